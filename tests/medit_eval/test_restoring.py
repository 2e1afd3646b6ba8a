"""Saved edits answer in a new process as they did, and leave the model as it was."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import medit_eval
from editors.base import EditedModel
from editors.lm import LM
from editors.saving import describe
from schemas.errors import InputError
from schemas.layout import sha256_of
from tests.editors.facts import ANN, FRANCE
from tests.editors.test_matrix import NAMES, answers, editor, questions, requests_for
from tests.plugin_packages import install
from tests.tiny_models import tiny

ROOT = Path(__file__).parents[2]
FAMILIES = ("gpt2", "llava")
TOKENS = 6


def says(model: LM | EditedModel, family: str) -> list[str]:
    return model.generate(questions(family), max_new_tokens=TOKENS)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of tiny models, by family."""
    root = tmp_path_factory.mktemp("models")
    for family in FAMILIES:
        lm = tiny(family)
        lm.model.save_pretrained(root / family)
        (lm.processor or lm.tokenizer).save_pretrained(root / family)
    return root


NEW_PROCESS = """
import json, pathlib, sys
import medit_eval, transformers
from tests.medit_eval.test_restoring import answers, questions, says, TOKENS

told = {}
for line in sys.stdin:
    folder, family = json.loads(line)
    edited = medit_eval.load(folder, device="cpu")
    said = {"scores": answers(edited, family), "texts": says(edited, family)}
    with edited:
        pass
    whole = pathlib.Path(folder, "edit.json").read_text().count('"form": "model"')
    before = json.loads(pathlib.Path(folder, "edit.json").read_text())
    said["restored"] = edited.lm.digest() == (before["edited_digest"] or before["model"]["digest"])
    if whole and family == "gpt2":
        model = transformers.AutoModelForCausalLM.from_pretrained(folder)
        words = transformers.AutoTokenizer.from_pretrained(folder)
        said["plain"] = []
        for query in questions(family):
            ids = words(query.prompt, return_tensors="pt")
            out = model.generate(**ids, do_sample=False, max_new_tokens=TOKENS)
            text = words.decode(out[0][ids["input_ids"].shape[1]:], skip_special_tokens=True)
            said["plain"].append(text.lstrip().partition("\\n")[0].rstrip())
    told[folder] = said
print(json.dumps(told))
"""


@pytest.mark.slow
def test_every_editor_answers_the_same_in_a_new_process(models: Path, tmp_path: Path) -> None:
    expected: dict[str, Any] = {}
    jobs = []
    for family in FAMILIES:
        lm = LM.load(models / family, device="cpu")
        for name in NAMES:
            work = tmp_path / "work"  # what edits need, and answers do not
            work.mkdir()
            with editor(name, lm, work).apply(lm) as edited:
                edited.edit(requests_for(family))
                for form in ("delta", *(["model"] if edited.in_weights else [])):
                    folder = tmp_path / f"{family}-{name}-{form}"
                    edited.save(folder, form=form)  # type: ignore[arg-type]
                    jobs.append([str(folder), family])
                    expected[str(folder)] = answers(edited, family), says(edited, family)
            shutil.rmtree(work)
    done = subprocess.run(
        [sys.executable, "-c", NEW_PROCESS],
        input="\n".join(map(json.dumps, jobs)),
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for folder, (scores, texts) in expected.items():
        found = told[folder]
        assert found["restored"], folder
        assert found["texts"] == texts, folder
        assert found.get("plain", texts) == texts, folder
        flat = [(a, b) for one, two in zip(scores, found["scores"], strict=True)
                for a, b in zip(one, two, strict=True)]  # fmt: skip
        allowed = 1e-4 if folder.endswith("delta") else 0.0
        assert max(abs(a - b) for a, b in flat) <= allowed, folder


@pytest.fixture
def saved(models: Path, tmp_path: Path) -> Path:
    """A delta of two edits of a tiny model."""
    lm = LM.load(models / "gpt2", device="cpu")
    with editor("memit", lm, tmp_path).apply(lm) as edited:
        edited.edit([ANN])
        edited.edit([FRANCE])
        edited.save(tmp_path / "saved")
    return tmp_path / "saved"


def test_a_folder_says_what_is_in_it(saved: Path, models: Path) -> None:
    about = describe(saved)
    assert (about.editor, about.form, about.edits) == ("memit", "delta", 2)
    assert about.settings["layers"] == [0, 1]
    assert "TextFile" in about.left_out["corpus"]
    assert about.left_out["cache"] == "a path"
    assert about.model.name == str(models / "gpt2")
    assert [made.target_new for made in about.requests] == ["Rome", "New York"]
    assert {"medit", "torch", "transformers"} <= set(about.versions)
    assert str(saved.parent) not in (saved / "edit.json").read_text()


def test_further_edits_ask_for_what_was_left_out(saved: Path, tmp_path: Path) -> None:
    with medit_eval.load(saved, device="cpu") as edited:
        assert edited.edits == 2
        with pytest.raises(InputError, match="further edits need the corpus"):
            edited.edit([ANN])
    options = {"corpus": tmp_path / "corpus.txt", "cache": tmp_path / "cache"}
    with medit_eval.load(saved, editor_options=options, device="cpu") as edited:
        edited.edit([ANN])
        edited.save(tmp_path / "more")
    assert describe(tmp_path / "more").edits == 3


def test_a_model_in_memory_is_given_back(saved: Path, models: Path) -> None:
    lm = LM.load(models / "gpt2", device="cpu")
    digest, before = lm.digest(), answers(lm, "gpt2")
    with medit_eval.load(saved, lm) as edited:
        assert answers(edited, "gpt2") != before
        edited.restore()
        assert answers(edited, "gpt2") == before
        edited.load(saved)
    assert lm.digest() == digest


def test_a_whole_model_can_be_edited_further(saved: Path, tmp_path: Path) -> None:
    with medit_eval.load(saved, device="cpu") as edited:
        edited.save(tmp_path / "model", form="model")
        told = answers(edited, "gpt2")
    options = {"corpus": tmp_path / "corpus.txt", "cache": tmp_path / "cache"}
    with medit_eval.load(tmp_path / "model", editor_options=options, device="cpu") as edited:
        assert answers(edited, "gpt2") == told
        edited.edit([ANN])
        assert answers(edited, "gpt2") != told
        edited.restore()
        assert answers(edited, "gpt2") == told
    with pytest.raises(InputError, match="holds a whole model, so no other is needed"):
        medit_eval.load(tmp_path / "model", "testbed/lm")


OF_WEIGHTS = ("memit", "alphaedit", "come", "rome", "ft", "lora")


@pytest.mark.parametrize("name", OF_WEIGHTS)
def test_later_edits_of_a_saved_model_add_to_the_earlier_ones(
    name: str, models: Path, tmp_path: Path
) -> None:
    lm = LM.load(models / "gpt2", device="cpu")
    before = {name: p.detach().clone() for name, p in lm.model.named_parameters()}

    def moved(edited: EditedModel) -> float:
        """How far the edits moved the weights."""
        weights = dict(edited.lm.model.named_parameters())
        return sum(float((weights[n] - p).norm() ** 2) for n, p in before.items()) ** 0.5

    with editor(name, lm, tmp_path).apply(lm) as edited:
        edited.edit([ANN])
        for form in ("delta", "model"):
            edited.save(tmp_path / form, form=form)
        edited.edit([FRANCE])
        expected = moved(edited)
    options = {"corpus": tmp_path / "corpus.txt", "cache": tmp_path / "cache"}
    given = options if describe(tmp_path / "delta").left_out else {}
    with medit_eval.load(tmp_path / "delta", lm, editor_options=given) as edited:
        edited.edit([FRANCE])
        assert moved(edited) == pytest.approx(expected, rel=1e-3)
    edited = medit_eval.load(tmp_path / "model", editor_options=given, device="cpu")
    assert (tmp_path / "model" / "edit.safetensors").is_file() == (name == "alphaedit")
    edited.edit([FRANCE])
    assert moved(edited) == pytest.approx(expected, rel=0.2)


def rewrite(folder: Path, **fields: Any) -> None:
    path = folder / "edit.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def other_model(folder: Path) -> None:
    found = json.loads((folder / "edit.json").read_text())["model"]
    rewrite(folder, model={**found, "digest": "f" * 32})


def cut(folder: Path) -> None:
    path = folder / "edit.safetensors"
    path.write_bytes(path.read_bytes()[:-9])


def cut_and_signed(folder: Path) -> None:
    cut(folder)
    rewrite(folder, files={"edit.safetensors": sha256_of(folder / "edit.safetensors")})


def settings(folder: Path, **changed: Any) -> None:
    """Other settings, of which none is said to be left out."""
    kept = json.loads((folder / "edit.json").read_text())["settings"]
    rewrite(folder, settings={**kept, **changed}, left_out={})


def narrower(folder: Path) -> None:
    """Factors that cannot be multiplied."""
    tensors = load_file(folder / "edit.safetensors")
    right = next(name for name in tensors if name.startswith("weight.right."))
    tensors[right] = tensors[right][:-1].contiguous()
    save_file(tensors, folder / "edit.safetensors")
    rewrite(folder, files={"edit.safetensors": sha256_of(folder / "edit.safetensors")})


@pytest.mark.parametrize(
    ("spoil", "said", "file"),
    [
        (other_model, "belongs to a model with the digest f{32}, not", "edit.json"),
        (cut, r"has the SHA-256 [0-9a-f]{64}; edit.json says", "edit.safetensors"),
        (cut_and_signed, "cannot be read: ", "edit.safetensors"),
        (lambda f: (f / "edit.safetensors").unlink(), "is not there", "edit.safetensors"),
        (lambda f: (f / "edit.json").unlink(), "no edits were saved here", ""),
        (lambda f: rewrite(f, editor="memitt"), "no editor 'memitt'; did you mean", "edit.json"),
        (lambda f: rewrite(f, editor=None), "names no editor: give the one", "edit.json"),
        (lambda f: rewrite(f, format=1), "holds no edits of format 3", "edit.json"),
        (lambda f: rewrite(f, form="zip"), "is 'zip', not one of delta, exact, model", "edit.json"),
        (lambda f: rewrite(f, edits="2"), "is a str, not a int", "edit.json"),
        (lambda f: rewrite(f, files={}), "does not list edit.safetensors", "edit.json"),
        (lambda f: rewrite(f, files={"../x": ""}), "which is not in its folder", "edit.json"),
        (lambda f: rewrite(f, settings={"x": 1}), "of this installation has no 'x'", "edit.json"),
        (lambda f: rewrite(f, settings={}), "does not take them: .*layers", "edit.json"),
        (lambda f: settings(f, cache="/tmp"), "no editor wrote its 'cache': paths", "edit.json"),
        (lambda f: settings(f, corpus="/tmp/x"), "no editor wrote its 'corpus'", "edit.json"),
        (lambda f: settings(f, corpus={"hub": {"repo": "/tmp/x"}}), "wrote its 'cor", "edit.json"),
        (lambda f: settings(f, corpus={"hub": 3}), "no editor wrote its 'corpus'", "edit.json"),
        (lambda f: settings(f, steps={"hub": 3}), "does not take them: holds some", "edit.json"),
        (lambda f: settings(f, steps={"float": "x"}), "does not take them", "edit.json"),
        (lambda f: settings(f, steps={"map": 3}), "does not take them", "edit.json"),
        (narrower, "cannot be read: holds factors of shape", "edit.json"),
        (lambda f: rewrite(f, kind="Other"), "holds edits of Other, not of Located", "edit.json"),
    ],
)  # fmt: skip
def test_bad_folders_are_one_sentence(saved: Path, spoil: Any, said: str, file: str) -> None:
    spoil(saved)
    with pytest.raises(InputError, match=said) as error:
        medit_eval.load(saved, device="cpu")
    assert error.value.file == (saved / file if file else saved)


def test_no_folder_and_no_model(saved: Path, tmp_path: Path, models: Path) -> None:
    with pytest.raises(InputError, match="is no folder, so no edits"):
        medit_eval.load(tmp_path / "nowhere")
    (models / "gpt2").rename(models / "moved")
    try:
        with pytest.raises(InputError, match=r"the model '.*gpt2' cannot be loaded"):
            medit_eval.load(saved)
        with medit_eval.load(saved, models / "moved", device="cpu") as edited:
            assert edited.edits == 2
        with pytest.raises(InputError, match="belongs to a model with the digest"):
            medit_eval.load(saved, models / "moved", dtype="bfloat16", device="cpu")
    finally:
        (models / "moved").rename(models / "gpt2")


@pytest.mark.parametrize("name", [n for n in NAMES if n in ("balancedit", "scr", "grace", "ike")])
def test_edits_beside_the_weights_are_no_model(name: str, tmp_path: Path) -> None:
    lm = tiny("gpt2")
    with editor(name, lm, tmp_path).apply(lm) as edited:
        edited.edit([ANN])
        with pytest.raises(InputError, match="are not in the weights, so there is no model"):
            edited.save(tmp_path / "model", form="model")
    assert not (tmp_path / "model").exists()


def test_other_folders_are_not_written_into(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    with medit_eval.load(saved, device="cpu") as edited:
        with pytest.raises(InputError, match="holds no edits: name another folder"):
            edited.save(tmp_path / "notes")
        with pytest.raises(InputError, match="unknown form 'zip'; known are delta, exact, model"):
            edited.save(tmp_path / "new", form="zip")  # type: ignore[arg-type]
        edited.save(saved, form="model", texts=False)
        assert describe(saved).requests[0].prompt is None
        assert (saved / "model.safetensors").is_file()
        (saved / "README.md").write_text("my words")
        edited.save(saved)
    assert not (saved / "model.safetensors").exists()
    assert (saved / "README.md").read_text() == "my words"
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_a_plug_in_is_loaded_by_its_name(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (ROOT / "tests" / "test_package" / "medit_finetune.py").read_text(encoding="utf-8")
    install(tmp_path, monkeypatch, "medit.editors", "tuned", code, "FineTune")
    lm = LM.load(models / "gpt2", device="cpu")
    with medit_eval.edit("tuned", lm, [ANN], editor_options={"layer": 1}) as edited:
        edited.save(tmp_path / "saved")
        told = answers(edited, "gpt2")
    assert describe(tmp_path / "saved").editor == "tuned"
    with medit_eval.load(tmp_path / "saved", lm) as edited:
        now = torch.tensor(answers(edited, "gpt2")[0])
        assert torch.allclose(now, torch.tensor(told[0]), atol=1e-4)
        edited.edit([FRANCE])


def test_an_editor_without_a_name_is_given(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "tests" / "test_package")
    from medit_finetune import FineTune  # type: ignore[import-not-found]

    lm = LM.load(models / "gpt2", device="cpu")
    with FineTune(layer=1).apply(lm) as edited:
        edited.edit([ANN])
        edited.save(tmp_path / "tuned")
        told = answers(edited, "gpt2")
    with pytest.raises(InputError, match="names no editor"):
        medit_eval.load(tmp_path / "tuned", lm)
    with medit_eval.load(tmp_path / "tuned", lm, editor=FineTune(layer=1)) as edited:
        now = torch.tensor(answers(edited, "gpt2")[0])
        assert torch.allclose(now, torch.tensor(told[0]), atol=1e-4)
