"""Runs know where settings are from, and on what they ran; editors need not say."""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import editors.registry
import medit_eval
from editors.corpus import Texts
from editors.lm import LM
from editors.presets import OWN, PAPER, STAND_IN, Preset, kind_of, setting_sources
from editors.registry import make
from medit_eval import score
from medit_eval.provenance import DEFAULT, GIVEN, UNTOLD, commit, model_of, settings_of
from medit_eval.runs import RunManifest, read_manifest, write_manifest
from medit_eval.tuning import Tuned
from schemas.errors import InputError
from tests.medit_eval.support import Oracle, person
from tests.tiny_models import tiny


@pytest.fixture(scope="module")
def lm() -> LM:
    return tiny("gpt2")


def sources(name: str, lm: LM, **options: Any) -> dict[str, tuple[str, str]]:
    """Value and source of an editor's settings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        editor = make(name, lm, options)
    told = editors.registry.setting_sources(name, lm, options)
    chosen = {option: (value, GIVEN) for option, value in options.items()}
    found = settings_of(editor, chosen=chosen, told=told, by_name=True)
    return {setting.name: (setting.value, setting.source) for setting in found}


def test_every_setting_has_its_source(lm: LM) -> None:
    found = sources("memit", lm, layers=(0, 1), clamp=2.0)
    assert found["layers"] == ("[0, 1]", GIVEN)
    assert found["clamp"] == ("2.0", GIVEN)
    assert found["steps"] == ("25", STAND_IN)
    assert found["lookup"] == ("last_prompt", DEFAULT)
    assert "digest" in found["corpus"][0]


def test_parts_of_an_editor_are_told_by_their_names(lm: LM) -> None:
    found = sources("come", lm, layers=(0,), on="alphaedit", removal=0.3)
    assert found["base.layers"] == ("[0]", GIVEN)
    assert found["base.null_weight"] == ("10.0", STAND_IN)
    assert found["removal"] == ("0.3", GIVEN)
    assert "ekgus9/COME" in found["share"][1]
    assert found["on"] == ("alphaedit", f"{GIVEN}; other settings follow from it")


def test_published_presets_name_their_place(lm: LM, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = kind_of(lm)
    for preset, listed, other in (
        (Preset("their code, 123", {"clamp": 9.0}), "their code, 123", "default, as published"),
        (Preset("us", {"clamp": 9.0}, own=True), OWN, STAND_IN),
    ):
        monkeypatch.setattr("editors.presets.PAPER", {kind: preset})
        found = setting_sources(lm, ("clamp", "steps", "lookup"))
        assert listed in found["clamp"]
        assert other in found["steps"]
        assert "lookup" not in found
    assert [preset.own for preset in PAPER.values()].count(True) == 1


def test_alphaedit_constants_of_the_paper(lm: LM) -> None:
    found = sources("alphaedit", lm, layers=(0,), constants="paper", threshold=0.5)
    assert found["null_weight"] == ("1.0", "the paper, eq. 14")
    assert found["threshold"] == ("0.5", GIVEN)


def test_balancedit_and_scr_say_what_theirs_follow_from(lm: LM) -> None:
    assert "alpha 0.2" in sources("balancedit", lm)["w_pos"][1]
    found = sources("balancedit", lm, alpha=0.3, w_neg=0.5)
    assert "alpha=0.3" in found["w_pos"][1]
    assert found["w_neg"] == ("0.5", GIVEN)
    assert "authors' code for llama" in sources("balancedit", lm, preset="reference")["w_neg"][1]
    assert sources("scr", lm)["confirm"] == ("likelihood", "follows from the prompt format, plain")


@dataclass(frozen=True)
class Foreign(Oracle):
    """An editor of somebody else's, which says nothing of its settings."""

    depth: int = 1
    rate: float = 0.5

    @classmethod
    def for_model(cls, lm: LM, *, depth: int = 1) -> Foreign:
        return cls(depth=depth, rate=len(lm.anatomy.blocks) / 10)


class Talkative(Foreign):
    @classmethod
    def setting_sources(cls, lm: LM, options: Mapping[str, Any]) -> dict[str, str]:
        return {"rate": "a tenth of the layers"}


class Wrong(Foreign):
    @classmethod
    def setting_sources(cls, lm: LM, options: Mapping[str, Any]) -> Any:
        return ["rate"]


def test_editors_by_others_need_not_say(lm: LM, monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, type] = {"foreign": Foreign, "talkative": Talkative, "wrong": Wrong}
    monkeypatch.setattr(editors.registry, "find", known.__getitem__)
    found = sources("foreign", lm, depth=1)
    assert found["depth"] == ("1", GIVEN)
    assert found["rate"] == ("0.3", UNTOLD)
    assert found["everywhere"] == ("False", DEFAULT)
    assert sources("talkative", lm)["rate"] == ("0.3", "a tenth of the layers")
    with pytest.raises(InputError, match="'wrong' does not say where its settings are from"):
        sources("wrong", lm)


def test_a_long_value_is_its_digest() -> None:
    @dataclass(frozen=True)
    class Holder:
        corpus: Texts
        text: str
        name: str = "holder"

    found = settings_of(Holder(Texts(("a",)), "x" * 300), chosen={}, told={}, by_name=False)  # type: ignore[arg-type]
    assert [s.value.split()[0].rstrip(",") for s in found] == ["Texts", "digest"]
    assert [s.source for s in found] == [GIVEN, GIVEN]


def test_a_run_records_settings_model_and_machine(lm: LM, tmp_path: Path) -> None:
    score(Oracle(everywhere=True), lm, [person(0)], out=tmp_path / "run", cache=tmp_path / "c",
          max_new_tokens=2)  # fmt: skip
    manifest = read_manifest(tmp_path / "run")
    settings = {setting.name: setting for setting in manifest.settings}
    assert settings["everywhere"].source == GIVEN
    assert settings["fails_on"].source == DEFAULT
    (sitting,) = manifest.sittings
    assert int(sitting.machine["cores"]) >= 1
    assert {"device", "threads", "system"} <= sitting.machine.keys()
    assert manifest.model["weights"] == lm.digest()
    assert manifest.model["dtype"] == "float32"
    assert manifest.model == model_of(lm)
    assert "python" in manifest.versions


def test_tf32_is_recorded_and_its_answers_are_kept_apart(lm: LM, tmp_path: Path) -> None:
    def go(name: str, **options: Any) -> RunManifest:
        out = tmp_path / name
        score(Oracle(), lm, [person(0)], out=out, cache=tmp_path / "c", max_new_tokens=2, **options)
        return read_manifest(out)

    plain, fast = go("plain"), go("fast", tf32=True)
    assert "tf32" not in plain.arguments
    assert fast.arguments["tf32"] is True
    assert plain.arguments["model_digest"] != fast.arguments["model_digest"]
    assert plain.model["weights"] == fast.model["weights"]
    (card,), (other,) = medit_eval.card(tmp_path / "plain"), medit_eval.card(tmp_path / "fast")
    assert "TF32" not in card.markdown
    assert "float32, matrix products of its forwards in TF32" in other.markdown
    with pytest.raises(InputError, match="tf32"):
        go("plain", tf32=True)


def test_each_sitting_of_a_run_is_kept(lm: LM, tmp_path: Path) -> None:
    def go(editor: Any = None) -> None:
        score(editor or Oracle(), lm, [person(0), person(1)], out=tmp_path / "run",
              cache=tmp_path / "c", max_new_tokens=2)  # fmt: skip

    go()
    manifest = read_manifest(tmp_path / "run")
    object.__setattr__(manifest, "complete", False)
    write_manifest(tmp_path / "run", manifest)
    go()
    found = read_manifest(tmp_path / "run")
    assert found.complete
    assert len(found.sittings) == 2
    assert found.sittings[0] == manifest.sittings[0]
    go()  # what is finished is read, and nothing is added
    assert len(read_manifest(tmp_path / "run").sittings) == 2


def test_tuned_settings_say_on_how_many_records() -> None:
    tuned = Tuned("memit", {"clamp": 1.0}, "m", ("a", "b"), ())
    assert tuned.source.startswith("found by tune on 2 records set aside, digest of ids ")
    again = Tuned("memit", {"clamp": 1.0}, "m", ("b", "a"), ())
    assert again.source == tuned.source


def test_the_commit_of_a_checkout(tmp_path: Path) -> None:
    assert commit(tmp_path) is None
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (
        ("init", "-q"),
        (*who, "commit", "-q", "--allow-empty", "-m", "first"),
    ):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True)
    found = commit(tmp_path)
    assert found is not None
    assert len(found) == 40
    (tmp_path / "inner").mkdir()
    assert commit(tmp_path / "inner") is None
    (tmp_path / "file").write_text("x")
    for words in (("add", "file"),):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True)
    assert commit(tmp_path) == f"{found}, with changes"
