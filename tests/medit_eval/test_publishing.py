"""Saved edits on a Hub on loopback, and back again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from editors.lm import LM
from editors.saving import describe
from medit_eval.publishing import publish
from schemas.errors import InputError
from tests.editors.facts import ANN
from tests.editors.test_matrix import editor
from tests.stubs.hub_card import header_of, header_problems
from tests.stubs.hub_client import hub_environment, run_python
from tests.stubs.hub_server import WRITE_TOKEN, Hub
from tests.tiny_models import tiny

STEPS = """
import dataclasses, json, sys
import medit_eval
from editors.prompts import Query
from schemas.errors import InputError

def publish(*words, **options):
    return dataclasses.asdict(medit_eval.publish(*words, **options))

def ask(folder, model):
    with medit_eval.load(folder, model, device="cpu") as edited:
        return edited.generate([Query("Ann Smith was born in")], max_new_tokens=6)[0]

told = []
for name, words, options in json.loads(sys.argv[1]):
    try:
        told.append({"publish": publish, "ask": ask}[name](*words, **options))
    except InputError as error:
        told.append(str(error))
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder and edits of it: `delta`, `model` and `exact`."""
    root = tmp_path_factory.mktemp("work")
    made = tiny("gpt2")
    made.model.save_pretrained(root / "base")
    made.tokenizer.save_pretrained(root / "base")
    lm = LM.load(root / "base", device="cpu")
    with editor("memit", lm, root).apply(lm) as edited:
        edited.edit([ANN])
        for form in ("delta", "model", "exact"):
            edited.save(root / form, form=form)
    return root


@pytest.mark.slow
def test_edits_are_published_and_loaded_from_there(server: Hub, work: Path, tmp_path: Path) -> None:
    base, delta, model = (str(work / name) for name in ("base", "delta", "model"))
    named = {"base_model": "ada/base"}
    steps = [
        ("publish", (model, "ada/edits"), {**named, "licence": "mit"}),
        ("publish", (delta, "ada/edits"), named),
        ("publish", (delta, "ada/edits"), named),
        ("publish", (delta, "ada/edits"), {**named, "private": True}),
        ("publish", (delta, "ada/edits"), {**named, "token": "hf_not_a_token"}),
        ("ask", ("ada/edits", base), {}),
        ("ask", (delta, base), {}),
        ("ask", ("ada/nothing", base), {}),
    ]
    environment = hub_environment(server.url, tmp_path / "home", WRITE_TOKEN)
    text = run_python(STEPS, environment, json.dumps(steps))
    whole, small, again, public, refused, told, expected, nothing = json.loads(text)
    repo = server.repos["ada/edits"]
    assert not repo.private
    assert "model.safetensors" in repo.commits[whole["oid"]].files
    commit = repo.history()[0]
    assert small["url"] == f"{server.url}/ada/edits/commit/{commit.oid}"
    assert small["deleted"] == ["model.safetensors"]
    assert not again["changed"]
    assert "is public" in public
    assert re.match("ada/edits was not published: .*HTTP 401", refused)
    assert "hf_not_a_token" not in text
    assert WRITE_TOKEN not in text
    assert commit.summary == "1 edits of ada/base by memit"
    described = json.loads(commit.files["edit.json"].content)
    assert described["model"]["name"] == "ada/base"
    assert str(work).encode() not in b"".join(file.content for file in commit.files.values())
    assert told == expected
    assert re.match("ada/nothing was not downloaded: .*HTTP 404", nothing)


def test_a_dry_run_writes_the_card(work: Path) -> None:
    done = publish(
        work / "delta", "ada/x", base_model="ada/base", licence="apache-2.0", dry_run=True
    )
    assert {file.path for file in done.files} == {"README.md", "edit.json", "edit.safetensors"}
    card = (work / "delta" / "README.md").read_text()
    assert header_problems(card) == []
    header = header_of(card)
    assert header["base_model"] == "ada/base"
    assert header["base_model_relation"] == "adapter"
    assert header["license"] == "apache-2.0"
    assert header["library_name"] == "medit"
    about = describe(work / "delta")
    for part in (about.model.digest, "1 edits of ada/base by memit", 'medit_eval.load("ada/x")'):
        assert part in card
    assert re.search(r"\| ann \| Ann Smith was born in \| Paris \| Rome \|", card)
    assert str(work) not in card


def test_a_card_of_ones_own_is_kept(work: Path) -> None:
    path = work / "model" / "README.md"
    before = path.read_text()
    assert header_of(before)["library_name"] == "transformers"
    assert "AutoModelForCausalLM" in before
    path.write_text("# My edits\n")
    try:
        publish(work / "model", "ada/x", dry_run=True)
        assert path.read_text() == "# My edits\n"
    finally:
        path.write_text(before)


@pytest.mark.parametrize(
    ("form", "options", "said"),
    [
        ("delta", {}, "which others do not have under this name: give its id on the Hub"),
        ("delta", {"base_model": "../up"}, r"'\.\./up' is no id of a model on the Hub"),
        ("exact", {}, "in the form 'exact', which serves runs that go on"),
        ("base", {}, "holds no edit.json, so no edits were saved here"),
    ],
)
def test_what_cannot_be_published(
    work: Path, form: str, options: dict[str, str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        publish(work / form, "ada/x", dry_run=True, **options)  # type: ignore[arg-type]


def test_bad_ids_and_altered_files(work: Path) -> None:
    with pytest.raises(InputError, match="not a repository id of the form ORG/NAME"):
        publish(work / "model", "edits", dry_run=True)
    path = work / "model" / "config.json"
    before = path.read_bytes()
    path.write_bytes(before + b" ")
    try:
        with pytest.raises(InputError, match="has the SHA-256") as error:
            publish(work / "model", "ada/x", dry_run=True)
        assert error.value.file == path
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"retriever": "/home/me/private/encoder"}, "which others do not have under this name"),
        ({"retriever": "encoders/mine/first"}, "which others do not have under this name"),
        ({"base": {"editor": "ike", "settings": {"retriever": "~/x"}}}, "others do not have"),
        ({"adapter": "/home/me/x"}, "has the setting adapter='/home/me/x', a path of this machine"),
        ({"adapters": ["a", "C:\\x"]}, "a path of this machine"),
    ],
)
def test_settings_that_name_a_path_are_refused(
    work: Path, tmp_path: Path, settings: dict[str, object], said: str
) -> None:
    folder = shutil.copytree(work / "delta", tmp_path / "delta")
    described = json.loads((folder / "edit.json").read_text())

    def rewritten(settings: dict[str, object]) -> None:
        fields = {**described, "settings": {**described["settings"], **settings}}
        (folder / "edit.json").write_text(json.dumps(fields))

    rewritten(settings)
    card = (folder / "README.md").read_text()
    with pytest.raises(InputError, match=said) as error:
        publish(folder, "ada/edits", base_model="ada/base", dry_run=True)
    assert error.value.file == folder / "edit.json"
    assert (folder / "README.md").read_text() == card
    for fine in ("bm25", "facebook/contriever"):
        rewritten({"retriever": fine})
        publish(folder, "ada/edits", base_model="ada/base", dry_run=True)
