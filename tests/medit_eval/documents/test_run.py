"""Documents in a run: what is asked on which track, what is kept, and what is reported."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import medit_eval
from editors.lm import LM
from editors.prompts import Query
from medit_eval import Report, testbed
from medit_eval.asking import Settings, ask
from medit_eval.documents import tracks
from medit_eval.documents.report import COPY, EDITED, GOLD, UNEDITED, document_rows
from medit_eval.questions import Question, slots
from medit_eval.testbed import document_records
from schemas.errors import InputError
from schemas.manifest import Rules
from schemas.validate import RowChecker
from tests.document_factories import BEFORE, make_document, make_document_record
from tests.medit_eval.support import Scripted


def written(prompt: str, length: int = 256) -> Question:
    return Question(Query(prompt), None, None, length=length)


def rows(report: Report, **wanted: Any) -> pd.DataFrame:
    frame = report.documents
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    return frame


# Asking -------------------------------------------------------------------------------------


def test_each_track_shows_what_it_is_called_after() -> None:
    document = make_document(retrieved=tuple(f"Sentence {i}." for i in range(9)))
    shown = dict(tracks.prompts(document))
    assert shown["parametric"] == f"Document: {BEFORE}\nUpdated document:"
    assert "Facts: Ada Berg joined Sundal in 2020.\n" in shown["gold"]
    assert "Sentence 4." in shown["retrieved"]
    assert "Sentence 5." not in shown["retrieved"]


def test_without_a_search_there_is_no_such_track() -> None:
    assert [track for track, _ in tracks.prompts(make_document(retrieved=()))] == [
        "parametric",
        "gold",
    ]


def test_a_record_asks_its_own_document_on_all_tracks_and_others_on_one() -> None:
    found = [slot for slot in slots(make_document_record()) if slot.probe.axis == "document"]
    assert [(slot.probe.kind, slot.track) for slot in found] == [
        ("rewrite", "parametric"),
        ("rewrite", "retrieved"),
        ("rewrite", "gold"),
        ("rewrite_random", "parametric"),
    ]
    assert len({slot.key("after") for slot in found}) == 4


def test_line_breaks_do_not_end_a_document() -> None:
    assert tracks.prompt("One.\n\nTwo.") == "Document: One. Two.\nUpdated document:"


def test_a_document_is_written_as_long_as_there_is_room() -> None:
    model = Scripted({"short": "as it was"}, places=250)
    short, long = written("short"), written(" ".join(["word"] * 200))
    first, second = ask(model, [short, long], Settings())
    assert first.output is not None
    assert first.output.generation == "as it was"
    assert first.output.ids == ()
    assert model.lengths == [224]  # in steps of 32
    assert second.failure == "the model has room for 50 tokens behind the document, too few"


def test_one_document_that_cannot_be_read_does_not_spoil_the_others() -> None:
    model = Scripted({"good": "text"})
    good, bad = ask(model, [written("good"), written("bad #")], Settings())
    assert good.output is not None
    assert bad.output is None
    assert bad.failure is not None


# Reporting ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    folder = tmp_path_factory.mktemp("run")
    report = medit_eval.score(
        "scr", "testbed/lm", "testbed/documents",
        protocol="batch", limit=4, out=folder / "out", cache=folder / "cache",
    )  # fmt: skip
    return report, folder / "out"


def test_copy_gold_and_unedited_stand_beside_the_editor(run: tuple[Report, Path]) -> None:
    report, _ = run
    for track in tracks.TRACKS:
        of_track = rows(report, track=track, family="strict")
        assert set(of_track["output"]) == {EDITED, UNEDITED, COPY, GOLD}
        best = rows(report, track=track, output=GOLD, metric="facts_recall")
        copied = rows(report, track=track, output=COPY, metric="facts_recall")
        assert list(best["mean"]) == [1.0]
        assert list(copied["mean"]) == [0.0]
    assert set(report.documents["family"]) == {
        "strict", "docmedit_compat", "unchanged", "statements", "known",
    }  # fmt: skip


def test_the_testbed_reads_gold_facts(run: tuple[Report, Path]) -> None:
    report, _ = run
    (recall,) = rows(report, track="gold", output=UNEDITED, metric="facts_recall")["mean"]
    assert recall >= 0.75
    (known,) = rows(report, metric="old_fact")["mean"]
    assert known >= 0.75


def test_documents_have_metrics_of_their_own(run: tuple[Report, Path]) -> None:
    report, _ = run
    assert "document" not in set(report.summary["axis"])
    asked = report.predictions[report.predictions["axis"] == "document"]
    assert set(asked["kind"]) == {
        "rewrite_parametric", "rewrite_retrieved", "rewrite_gold", "rewrite_random_parametric",
    }  # fmt: skip


def test_a_run_with_documents_is_reported_again_from_its_files(run: tuple[Report, Path]) -> None:
    report, out = run
    assert (out / "documents.csv").is_file()
    again = medit_eval.rescore(out)
    pd.testing.assert_frame_equal(again.documents, report.documents)


def test_damaged_documents_of_a_run_are_told(run: tuple[Report, Path], tmp_path: Path) -> None:
    _, out = run
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    (copy / "documents.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"documents\.parquet"):
        medit_eval.rescore(copy)


def test_missing_documents_of_a_run_are_told(run: tuple[Report, Path], tmp_path: Path) -> None:
    _, out = run
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    (copy / "documents.parquet").unlink()
    with pytest.raises(InputError, match="is not there, though the manifest lists it with"):
        medit_eval.rescore(copy)


def test_what_is_known_is_counted_over_those_who_were_asked(run: tuple[Report, Path]) -> None:
    report, _ = run
    known = rows(report, family="known")
    assert list(known["unasked"]) == [0, 0]
    without_old = [replace(p, answers_pre_edit=()) for p in report.raw]
    documents = {r.id: r.document for r in document_records(4)}
    (old,) = [r for r in document_rows(without_old, documents, 0) if r.metric == "old_fact"]
    assert (old.n, old.unasked) == (0, 0)
    assert old.undefined == next(iter(known["n"]))


def test_probabilities_of_old_and_new_statements_stand_beside_those_before(
    run: tuple[Report, Path],
) -> None:
    report, _ = run
    found = rows(report, family="statements").set_index(["output", "metric"])["mean"]
    assert found[UNEDITED, "old_probability"] > 0.5 > found[UNEDITED, "new_probability"]
    assert found[EDITED, "new_probability"] > found[UNEDITED, "new_probability"]
    assert found[EDITED, "old_probability"] < found[UNEDITED, "old_probability"]


def test_a_spacy_pipeline_can_find_the_entities(run: tuple[Report, Path], tmp_path: Path) -> None:
    import spacy
    from spacy.pipeline import EntityRuler

    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    assert isinstance(ruler, EntityRuler)
    ruler.add_patterns([{"label": "GPE", "pattern": "a place that no document names"}])
    nlp.to_disk(tmp_path / "finds_nothing")
    _, out = run
    report = medit_eval.rescore(out, recogniser=str(tmp_path / "finds_nothing"))
    recall = rows(report, track="gold", output=GOLD, metric="entities_recall")
    assert list(recall["n"]) == [0]


def test_a_spacy_pipeline_that_is_not_there_is_told_before_anything_is_asked() -> None:
    with pytest.raises(InputError, match="no_such_pipeline"):
        medit_eval.score("none", "testbed/lm", "testbed/documents", recogniser="no_such_pipeline")


def test_a_document_question_without_a_document_is_left_out() -> None:
    assert document_rows([], {}, 0) == ()


def test_no_gold_is_longer_than_it_may_be() -> None:
    lm = LM.load(testbed.path("testbed/lm"))
    for record in document_records(30):
        gold = lm.encoder.target_ids(Query("x"), record.document.after.text)
        for _, text in tracks.prompts(record.document):
            assert len(gold) < tracks.limit(text)


def test_a_sentence_that_does_not_name_what_is_new_stands_behind_its_page() -> None:
    document = make_document()
    he = replace(
        document.facts[0], text="She leads it now.", page="Sundal", passage=None, start=None
    )
    shown = dict(tracks.prompts(replace(document, facts=(he,))))
    assert "Facts: Sundal: She leads it now.\n" in shown["gold"]


def test_the_table_shows_tracks_apart(run: tuple[Report, Path]) -> None:
    report, _ = run
    table = report.documents_table()
    assert [str(column.header) for column in table.columns][-4:] == [EDITED, UNEDITED, COPY, GOLD]
    assert table.row_count > 15
    assert report.documents_table(everything=True).row_count > table.row_count


def test_documents_that_do_not_fit_are_counted_as_unasked(tmp_path: Path) -> None:
    (record,) = document_records(1)
    long = " ".join([record.document.before.text] * 30)
    probes = tuple(
        replace(p, prompts=(long,)) if p.kind == "rewrite_random" else p for p in record.probes
    )
    report = medit_eval.score(
        "none", "testbed/lm", [replace(record, probes=probes)], cache=tmp_path
    )
    (unasked,) = set(rows(report, family="strict")["unasked"])
    assert unasked == 0
    assert rows(report, family="unchanged").empty
    failures = [p.failure or "" for p in report.raw if p.kind == "rewrite_random_parametric"]
    assert any("room for" in failure for failure in failures)


def test_the_records_of_the_testbed_keep_all_rules() -> None:
    checker = RowChecker(Rules())
    for record in document_records(20):
        assert checker.check(record) == []
