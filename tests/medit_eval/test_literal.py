"""Scores are those of asking one prompt at a time, with weights that are edited and put back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from editors.locate import LocateThenEdit
from medit_eval import score
from schemas.records import EditRecord, EditRequest
from tests.editors.facts import corpus, exact
from tests.editors.test_matrix import editor
from tests.medit_eval.support import person
from tests.reference import score_literal


def grouped(records: Sequence[EditRecord], protocol: str) -> list[Sequence[EditRecord]]:
    return [records] if protocol == "batch" else [[record] for record in records]


@pytest.mark.parametrize("name", ["balancedit", "scr"])
def test_so_they_are_of_editors_that_write_no_weights(name: str, tmp_path: Path) -> None:
    lm, records = exact("gpt2"), [person(number) for number in range(4)]
    method = editor(name, lm, tmp_path)
    report = score(
        method, lm, records, protocol="single", max_new_tokens=4, cache=tmp_path / "answers"
    )
    editing = score_literal.one_after_another(method, lm)
    literal = score_literal.score(
        lm, editing, grouped(records, "single"), records, max_new_tokens=4
    )
    for one in report.raw:
        assert one.post is not None
        _, said = literal.said[one.record, one.probe, one.index]
        assert one.post.generation == said.text
        assert one.post.logprobs == pytest.approx(said.own, abs=1e-6)


@pytest.mark.parametrize("protocol", ["single", "batch"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_answers_and_scores_are_the_literal_ones(
    family: str, protocol: str, tmp_path: Path
) -> None:
    lm, records = exact(family), [person(number) for number in range(4)]
    corpus(tmp_path)
    method = editor("alphaedit", lm, tmp_path)
    assert isinstance(method, LocateThenEdit)
    report = score(
        method, lm, records, protocol=protocol, max_new_tokens=4, cache=tmp_path / "answers"
    )
    names = [f"{lm.anatomy.projection_names[layer]}.weight" for layer in method.layers]
    found = {(p.record, p.probe, p.index): p for p in report.raw}

    def write(requests: Sequence[EditRequest]) -> None:
        method.apply(lm)._edit(requests)

    groups = grouped(records, protocol)
    editing = score_literal.written(lm, write, names)
    literal = score_literal.score(lm, editing, groups, records, max_new_tokens=4)
    assert literal.said.keys() == found.keys()
    for key, (before, after) in literal.said.items():
        one = found[key]
        for said, output in ((before, one.pre), (after, one.post)):
            assert output is not None
            assert output.generation == said.text
            assert output.logprobs == pytest.approx(said.own, abs=1e-6)
            assert output.rival_logprobs == pytest.approx(said.rival, abs=1e-6)
            assert output.top == said.top
