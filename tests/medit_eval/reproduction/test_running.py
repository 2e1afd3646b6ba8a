"""What `reproduce` asks for, refuses, writes down and keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import medit_eval
import medit_eval.scoring
from medit_eval.__main__ import app
from medit_eval.reproduction.page import ledger, status
from medit_eval.reproduction.reading import read_entry
from medit_eval.reproduction.results import read_results, results_path
from medit_eval.reproduction.running import reproduce
from schemas.errors import InputError
from tests.medit_eval.reproduction.support import write_data
from tests.medit_eval.reproduction.test_entries import ENTRY, written
from tests.schemas.formats.text_rows import FLAT_ROW, UNKE_ROW
from tests.tiny_models import tiny


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


@pytest.fixture
def mine(tmp_path: Path) -> dict[str, Any]:
    """An entry of our own about a model of our own, with all that it needs."""
    model = tmp_path / "model"
    lm = tiny("gpt2")
    lm.model.save_pretrained(model)
    lm.tokenizer.save_pretrained(model)
    folder = tmp_path / "entries"
    folder.mkdir()
    entry = ENTRY.replace('model = "somebody/model"', f'model = "{model}"').replace(
        'name = "first"', 'name = "first"\nmax_new_tokens = 4\nmetrics = ["generated"]\nlimit = 2'
    )
    told = 'max_new_tokens = "x"\nmetrics = "x"\nlimit = "x"\n[[tables]]'
    written(folder, entry.replace("[[tables]]", told, 1))
    rows = [{**FLAT_ROW, "case_id": n, "prompt": f"Ida Holm {n} speaks"} for n in range(3)]
    (tmp_path / "x.json").write_text(json.dumps(rows))
    return {
        "entries": folder, "data": tmp_path, "out": tmp_path / "out", "cache": tmp_path / "cache",
        "device": "cpu",
    }  # fmt: skip


def call(*words: Any) -> Any:
    return CliRunner().invoke(app, ["reproduce", *map(str, words)])


# What is missing --------------------------------------------------------------------------------


def test_missing_records_are_asked_for_before_a_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"put multi_counterfact.json into .* --data .* --records"):
        reproduce("alphaedit-llama3", data=tmp_path)


def test_missing_texts_and_pictures_are_asked_for(data: Path) -> None:
    (data / "attribute_snippets.json").unlink()
    with pytest.raises(InputError, match=r"put attribute_snippets.json into the folder"):
        reproduce("alphaedit-llama3", data=data, limit=2)
    (data / "okedit-images").rename(data / "elsewhere")
    with pytest.raises(InputError, match=r"\(pictures\): put okedit-images into the folder"):
        reproduce("balancedit-okedit", data=data)


def test_too_few_records_are_no_reproduction(data: Path) -> None:
    with pytest.raises(InputError, match=r"holds 2 records, .* takes the first 2,000; .* --limit"):
        reproduce("alphaedit-llama3", data=data)


def test_records_of_another_format_are_refused(data: Path) -> None:
    (data / "multi_counterfact.json").write_text(json.dumps([UNKE_ROW]))
    with pytest.raises(InputError, match=r"multi_counterfact.json, row 0.*looks like 'unke'"):
        reproduce("alphaedit-llama3", data=data, limit=1)


def test_a_model_that_cannot_be_loaded_is_named(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        InputError, match=r"weights of meta-llama/Meta-Llama-3-8B-Instruct, .*--mod"
    ):
        reproduce("alphaedit-llama3", data=data, limit=1)
    with pytest.raises(InputError, match=r"the model '/nowhere' cannot be loaded"):
        reproduce("alphaedit-llama3", data=data, limit=1, model="/nowhere")


def test_other_options_are_checked(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no run 'memit-zsr'; did you mean memit-zsre"):
        reproduce("alphaedit-llama3", data=data, runs=["memit-zsr"])
    with pytest.raises(InputError, match=r"no editor of these runs has an option 'stepz'; did you"):
        reproduce("alphaedit-llama3", data=data, limit=1, editor_options={"stepz": 1})
    with pytest.raises(
        InputError, match=r"reads multi_counterfact.json and zsre_mend_eval.json: sa"
    ):
        reproduce("alphaedit-llama3", data=data, records=tmp_path / "x.json")
    with pytest.raises(InputError, match=r"reads no 'zsre.json'; did you mean zsre_mend_eval.json"):
        reproduce("alphaedit-llama3", data=data, records={"zsre.json": "y"})
    with pytest.raises(InputError, match=r"y.json: does not exist"):
        reproduce("really-edit-curves", data=data, records="y.json")


def test_an_override_is_never_kept(data: Path) -> None:
    with pytest.raises(InputError, match=r"only a run without overrides .* has limit 2"):
        reproduce("alphaedit-llama3", data=data, limit=2, write=True)


def test_another_file_than_the_entry_s_is_refused(mine: dict[str, Any]) -> None:
    path = mine["entries"] / "mine.toml"
    text = path.read_text().replace(
        'name = "first"', f'name = "first"\nrecords_digest = "{"0" * 64}"'
    )
    path.write_text(text.replace("[sources]", '[sources]\nrecords_digest = "x"'))
    with pytest.raises(InputError, match=r"is another file than the entry's: its SHA-256 is"):
        reproduce("mine", **mine)
    found = reproduce("mine", **mine, records=mine["data"] / "x.json")
    assert found.kind == "deviating"


# What is run and kept ---------------------------------------------------------------------------


def test_a_run_as_the_entry_says_is_kept_and_goes_on(
    mine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ledger(mine["entries"])
    assert "| not yet run |" in before
    found = reproduce("mine", **mine, write=True)
    assert (found.kind, found.overrides) == ("reproduction", ())
    first, second = found.cells
    assert (first.ours.value, first.ours.n, first.published) == (0.0, 2, 0.5)
    assert (first.difference, first.within) == (-0.5, True)
    assert second.ours.reason == "people judged it"
    assert found.verdict == "1 of 1 numbers are within tolerance."

    entry = read_entry("mine", mine["entries"])
    assert found.written == results_path(entry)
    kept = read_results(entry)
    facts = kept.runs["first"]
    assert facts.count == 2
    assert facts.device
    assert facts.versions["torch"]
    assert facts.weights == tiny("gpt2").digest()
    assert kept.number(first.key) == first.ours
    assert status(entry, kept) == "1 of 1 numbers within tolerance"
    after = ledger(mine["entries"])
    assert "0 (0 – 0), n = 2; -0.5, within" in after
    assert facts.commit in after
    assert after == ledger(mine["entries"])

    text = results_path(entry).read_text()
    monkeypatch.setattr("medit_eval.running.Runner.run", None)  # nothing is asked again
    again = reproduce("mine", **mine, write=True)
    assert again.cells == found.cells
    assert json.loads(results_path(entry).read_text())["numbers"] == json.loads(text)["numbers"]


def test_a_damaged_file_of_results_is_named(mine: dict[str, Any]) -> None:
    entry = read_entry("mine", mine["entries"])
    results_path(entry).write_text('{"runs": {"first": {"date": 3}}}')
    with pytest.raises(InputError, match=r"mine.results.json, field 'runs.first.date': is not a t"):
        read_results(entry)


@pytest.mark.parametrize(
    ("overrides", "kind", "said"),
    [
        ({"limit": 1}, "small shape", "limit 1"),
        ({"dtype": "float32"}, "deviating", "dtype float32"),
        ({"dtype": "auto"}, "reproduction", None),
        ({"limit": 2}, "reproduction", None),
    ],
)
def test_overrides_are_written_down(
    overrides: dict[str, Any], kind: str, said: str | None, mine: dict[str, Any]
) -> None:
    found = reproduce("mine", **mine, **overrides)
    assert found.kind == kind
    assert found.overrides == (() if said is None else (said,))
    assert (said is None) or said in found.verdict


def test_the_command_says_the_same(data: Path, tmp_path: Path) -> None:
    lm = tiny("gpt2", positions=512)
    lm.model.save_pretrained(tmp_path / "model")
    lm.tokenizer.save_pretrained(tmp_path / "model")
    result = call(
        "alphaedit-llama3", "--data", data, "--model", tmp_path / "model", "--limit", 1, "--device",
        "cpu", "--runs", "none-zsre", "--out", tmp_path / "out", "--cache", tmp_path / "cache",
    )  # fmt: skip
    assert result.exit_code == 0, (result.output, result.exception)
    assert "small shape: " in result.output
    assert "Pre-edited" in result.output
    assert "37" in result.output
    assert (tmp_path / "out" / "none-zsre" / "manifest.json").is_file()


def test_the_command_lists_and_writes(tmp_path: Path) -> None:
    assert "scr-four-dimensions" in call("--list").output
    assert call("--ledger", tmp_path / "x" / "ledger.md").exit_code == 0
    assert (tmp_path / "x" / "ledger.md").read_text(encoding="utf-8") == ledger()
    for words in ((), ("--list", "come-counterfact")):
        assert "name an entry, or give" in str(call(*words).exception)
    bad = call("really-edit-curves", "--records", "a=b", "--records", "c")
    assert "several files of records are NAME=FILE" in str(bad.exception)


def test_it_is_there_for_python() -> None:
    assert medit_eval.reproduce is reproduce
