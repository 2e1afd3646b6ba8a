"""Every foreign format can be scored, and what is odd about some stays out of others' means."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from editors.lm import LM
from medit_eval import score
from medit_eval.__main__ import app
from medit_eval.metrics import METRICS, Metric
from medit_eval.metrics.core import post
from medit_eval.predictions import Prediction
from medit_eval.questions import slots
from medit_eval.sources import load
from schemas.errors import InputError
from schemas.formats import FORMATS
from schemas.formats.okedit import FORMAT as OKEDIT
from schemas.records import EditRecord, Probe
from tests.medit_eval.support import Oracle, person, probe
from tests.schemas.formats.conftest import MMKE_USER_ROW, OKEDIT_ROW
from tests.schemas.formats.test_looks_like import EXAMPLES
from tests.schemas.formats.text_rows import (
    IE_TESTED_ROW,
    MQUAKE_ROW,
    MULTI_ROW,
    ZSRE_ROW,
    hop,
    rewrite,
)
from tests.tiny_models import tiny

SMALL = ("--max-new-tokens", "2", "--device", "cpu", "--editor", "none")


@pytest.fixture(scope="module")
def lm() -> LM:
    return tiny("gpt2", positions=512)


@pytest.fixture(scope="module")
def model(lm: LM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return folder


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    file = folder / "x.json"
    file.write_text(json.dumps(rows))
    return file


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "fruit"])
def test_every_format_can_be_scored(name: str, model: Path, tmp_path: Path) -> None:
    file = written(tmp_path, EXAMPLES[name])
    words = ("--model", model, "--records", file, "--records-format", name, *SMALL)
    cache = ("--cache", tmp_path / "cache", "--out", tmp_path / "run")
    result = CliRunner().invoke(app, ["score", *map(str, (*words, *cache))])
    assert result.exit_code == 0, (result.output, result.exception)
    assert "reliability" in result.output


def test_a_wrong_name_is_told_on_the_command_line(model: Path, tmp_path: Path) -> None:
    file = written(tmp_path, ZSRE_ROW, MQUAKE_ROW)
    words = ("--model", model, "--records", file, "--records-format", "zsre-mend", *SMALL)
    result = CliRunner().invoke(app, ["score", *map(str, words)])
    assert isinstance(result.exception, InputError)
    assert "x.json, row 1" in str(result.exception)
    assert "looks like 'mquake'" in str(result.exception)


def test_folders_of_files_that_belong_together(tmp_path: Path) -> None:
    edits, tests = tmp_path / "final_ie_edit_input.jsonl", tmp_path / "final_ie_locality.jsonl"
    plain = {n: v for n, v in IE_TESTED_ROW.items() if not isinstance(v, dict)}
    edits.write_text(json.dumps(plain))
    tests.write_text(json.dumps(IE_TESTED_ROW["locality"]))
    (record,) = load(tmp_path, records_format="mc-mke")
    assert "locality" in record.extra_fields["rest"]
    folder = tmp_path / "okedit"
    folder.mkdir()
    for file in OKEDIT.files:
        (folder / file.name).write_text(json.dumps({file.key: [file.part(OKEDIT_ROW)]}))
    (record,) = load(folder, records_format="okedit")
    assert record.requests[0].prompt == OKEDIT_ROW["question"]
    with pytest.raises(InputError, match="cannot be read"):
        load(folder, records_format="unke")


def test_mmke_rows_are_not_taken_for_plain_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'knowledge_type': is no field of MMEdit; .*'mmke'"):
        load(written(tmp_path, MMKE_USER_ROW), records_format="mmedit")


# Kinds that stand apart -------------------------------------------------------------------------


def continued(prediction: Prediction) -> float:
    """How long the continuation is."""
    return float(len(post(prediction).continuation or ""))


TEXTS = Metric(
    "continued",
    continued,
    kinds=frozenset({"generation"}),
    needs=frozenset({"continuation"}),
)
ATTRIBUTES = Metric("attributes", lambda prediction: 1.0, kinds=frozenset({"attribute"}))


def released() -> EditRecord:
    return FORMATS["multi-counterfact"].read_row(MULTI_ROW)


USUAL = [metric for metric in METRICS if not metric.apart]


def test_texts_to_continue_and_attributes_enter_no_mean(lm: LM, tmp_path: Path) -> None:
    record = released()
    usual = [slot.probe.kind for slot in slots(record)]
    assert usual == ["edit", "rephrase", "rephrase", "neighborhood", "neighborhood"]
    report = score("none", lm, [record], metrics=USUAL, max_new_tokens=2, cache=tmp_path / "cache")
    assert {row.kind for row in report.raw} == {"edit", "rephrase", "neighborhood"}
    without = replace(record, probes=tuple(p for p in record.probes if p.kind in usual))
    fewer = score("none", lm, [without], metrics=USUAL, max_new_tokens=2, cache=tmp_path / "cache")
    assert fewer.summary.equals(report.summary)


def test_a_metric_that_names_a_kind_apart_has_it_asked(lm: LM, tmp_path: Path) -> None:
    report = score(
        "none", lm, [released()], metrics=[*USUAL, TEXTS, ATTRIBUTES], max_new_tokens=2,
        cache=tmp_path / "cache",
    )  # fmt: skip
    asked = [row for row in report.raw if row.kind == "generation"]
    assert [row.prompt for row in asked] == MULTI_ROW["generation_prompts"]
    assert all(row.post is not None and row.post.continuation is not None for row in asked)
    assert report.value("generality", "continued", kind="generation") > 0
    assert report.value("locality", "attributes", kind="attribute") == 1.0
    rows = report.summary
    others = rows[~rows["metric"].isin(["continued", "attributes"])]
    assert not set(others["kind"]) & {"generation", "attribute"}


# Contamination ----------------------------------------------------------------------------------

MOVED: dict[str, Any] = {
    **{name: value for name, value in MQUAKE_ROW.items() if name != "orig"},
    "case_id": 99,
    "requested_rewrite": [
        rewrite("Dalia", "The capital of {} is", "P36", "Sund", "Dalby", "Dalia's capital?")
    ],
    "new_answer": "Sund",
    "single_hops": [],
    "new_single_hops": [hop("Dalia's capital?", "The capital of Dalia is", "Sund")],
}
"""Its edit changes the fact that MQUAKE_ROW's new chain ends with."""


@pytest.mark.parametrize("name", ["mquake", "mquake-remastered"])
def test_items_that_spoil_each_other_are_warned_of(name: str, tmp_path: Path) -> None:
    file = written(tmp_path, MQUAKE_ROW, MOVED)
    with pytest.warns(UserWarning, match=r"1 record contradicts .* which .* changes to 'Sund'"):
        assert len(load(file, records_format=name)) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(file, records_format=name, limit=1)


def test_a_spoilt_multi_hop_question_is_unscorable(lm: LM, tmp_path: Path) -> None:
    read = FORMATS["mquake"].read_row
    records = [read(MQUAKE_ROW), read(MOVED)]
    together = score(
        Oracle(), lm, records, protocol="batch", max_new_tokens=2, cache=tmp_path / "cache"
    )
    spoilt = {
        row.failure for row in together.raw if (row.record, row.kind) == (records[0].id, "hop")
    }
    assert spoilt == {
        f"the edit of record {records[1].id} changes a fact that this question relies on"
    }
    alone = score(Oracle(), lm, records, max_new_tokens=2, cache=tmp_path / "cache")
    assert {row.failure for row in alone.raw if row.kind == "hop"} == {None}


def test_other_portability_questions_are_left_alone(lm: LM, tmp_path: Path) -> None:
    asked: Probe = probe("hop", "portability", "Where?", "There")
    first = replace(person(0), probes=(asked,))
    report = score(
        Oracle(), lm, [first, person(1)], protocol="batch", max_new_tokens=2,
        cache=tmp_path / "cache",
    )  # fmt: skip
    assert {row.failure for row in report.raw if row.kind == "hop"} == {None}
