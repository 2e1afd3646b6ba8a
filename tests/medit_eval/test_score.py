"""Scores of toy editors come out as they must, under every protocol, and are written down."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from editors.lm import LM
from editors.prompts import Query
from editors.registry import make
from medit_eval import Report, rescore, score
from medit_eval.asking import Settings, ask
from medit_eval.manifests import settings_with_sources
from medit_eval.provenance import GIVEN, UNTOLD
from medit_eval.questions import Question
from medit_eval.runs import read_manifest
from schemas.errors import InputError
from schemas.progress import Tick
from schemas.records import EditRecord
from tests.factories import make_image, make_record
from tests.medit_eval.support import Oracle, Scripted, Switchboard, person, probe
from tests.tiny_models import tiny


@pytest.fixture(scope="module")
def lm() -> LM:
    return tiny("gpt2")


@pytest.fixture(scope="module")
def records() -> list[EditRecord]:
    return [person(number) for number in range(5)]


def run(editor: Any, lm: LM, records: Any, tmp_path: Path, **options: Any) -> Report:
    """A run with short answers, and a cache of its own."""
    return score(
        editor, lm, records, **{"cache": tmp_path / "cache", "max_new_tokens": 4, **options}
    )


@pytest.mark.parametrize("protocol", ["single", "batch", "sequential"])
def test_an_editor_that_is_always_right(
    protocol: str, lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    report = run(Oracle(), lm, records, tmp_path, protocol=protocol, batch_size=2)
    assert report.value("reliability", "generated") == 1.0
    assert report.value("reliability", "exact") == 1.0
    assert report.value("generality", "generated") == 0.0
    assert report.value("locality", "unchanged_generated") == 1.0
    assert report.value("locality", "leak") == 0.0
    phases = {"sequential": {"right_after", "at_end"}}.get(protocol, {"after"})
    assert set(report.summary["phase"]) == phases
    assert set(report.summary["protocol"]) == {protocol}


def test_an_editor_that_changes_everything(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    report = run(Oracle(everywhere=True), lm, records, tmp_path)
    assert report.value("generality", "generated") == 1.0
    assert report.value("locality", "unchanged_generated") == 0.0
    assert report.value("locality", "leak") == 1.0
    assert report.value("harmonic_mean", "generated") == 0.0


def test_single_edits_do_not_see_each_other_and_sequential_ones_do(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    forgetful = Oracle(everywhere=True)  # gives the newest edit's answer to every question
    single = run(forgetful, lm, records, tmp_path)
    assert single.value("reliability", "generated") == 1.0
    sequential = run(forgetful, lm, records, tmp_path, protocol="sequential", batch_size=1)
    assert sequential.value("reliability", "generated", phase="right_after") == 1.0
    assert sequential.value("reliability", "generated", phase="at_end") == 0.2


@pytest.mark.parametrize("family", ["llama", "llava"])
def test_no_edit_changes_nothing(family: str, tmp_path: Path) -> None:
    lm = tiny(family, positions=512)
    records: Any = [person(0)] if family == "llama" else [make_record(0), make_record(1)]
    report = run("none", lm, records, tmp_path, protocol="batch")
    for metric in ("unchanged_generated", "unchanged_top1", "unchanged_topk"):
        assert report.value("locality", metric) == 1.0
    rows = report.predictions
    assert (rows["pre_generation"] == rows["post_generation"]).all()


def test_predictions_hold_raw_outputs_and_scores(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    report = run(Oracle(), lm, records[:1], tmp_path)
    rows = {row["probe"]: row for row in report.predictions.to_dict("records")}
    assert list(rows) == ["edit", "rephrase", "text", "one_hop"]
    edit = rows["edit"]
    assert edit["post_generation"] == "Rome 0"
    assert edit["pre_generation"] != "Rome 0"
    assert edit["generated"] == 1.0
    assert math.isnan(edit["unchanged_generated"])
    assert edit["rival"] == "Oslo 0"
    assert len(edit["pre_ids"]) == len(edit["pre_logprobs"]) == len(edit["pre_top"])
    assert len(edit["pre_top"][0]) == 10
    assert rows["text"]["rival"] == "Rome 0"


def test_where_no_answer_is_given_the_unedited_models_own_is_followed(
    lm: LM, tmp_path: Path
) -> None:
    record = person(0)
    bare = replace(record, probes=(replace(record.of_kind("text")[0], answers=()),))
    report = run("none", lm, [bare], tmp_path)
    (row,) = report.raw
    assert row.pre is not None
    assert row.answer == row.pre.generation
    assert row.pre.ids
    assert report.value("locality", "unchanged_topk") == 1.0
    assert math.isnan(report.value("locality", "gold_generated"))


def test_aliases_of_the_new_answer_are_accepted(lm: LM, tmp_path: Path) -> None:
    record = person(0, target_new_aliases=("Roma 0",))
    report = run(Oracle(), lm, [record], tmp_path)
    assert report.raw[0].answers == ("Rome 0", "Roma 0")
    assert report.raw[3].answers == ("Italy",)


def _noting(
    method: Callable[..., Any],
    noted: list[str],
    what: Callable[[LM, Query], str] = lambda _, query: query.prompt,
) -> Callable[..., Any]:
    """A method of `LM` that notes what is asked."""

    def noting(self: LM, queries: Any, *args: Any, **settings: Any) -> Any:
        noted.extend(what(self, query) for query in queries)
        return method(self, queries, *args, **settings)

    return noting


def test_the_unedited_model_is_asked_once_for_all_editors(
    lm: LM, records: list[EditRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run("none", lm, records, tmp_path)
    asked: list[str] = []
    for name in ("generate", "reply"):
        monkeypatch.setattr(LM, name, _noting(getattr(LM, name), asked))
    second = run(Oracle(), lm, records, tmp_path)
    assert len(asked) == 20  # after the edits only
    assert [row.pre for row in first.raw] == [row.pre for row in second.raw]
    run("none", tiny("gpt2", seed=1), records, tmp_path)
    assert len(asked) == 20 + 40  # another model is asked anew


def test_a_damaged_cache_is_asked_again(lm: LM, records: list[EditRecord], tmp_path: Path) -> None:
    first = run("none", lm, records, tmp_path)
    (part,) = (tmp_path / "cache").rglob("part-*.parquet")
    part.write_bytes(b"PAR1 nothing")
    assert run("none", lm, records, tmp_path).to_csv() == first.to_csv()
    assert part.read_bytes() != b"PAR1 nothing"


def test_results_do_not_depend_on_the_order_of_runs(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    first = run(Oracle(), lm, records, tmp_path, out=tmp_path / "a")
    again = run(Oracle(), lm, records, tmp_path, out=tmp_path / "b")
    for name in ("summary.csv", "scores.parquet", "predictions/part-00000.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert first.to_csv() == again.to_csv()
    other = run(Oracle(everywhere=True), lm, records, tmp_path, seed=1)
    assert other.to_csv() != first.to_csv()


def test_routing_is_reported_at_several_memory_sizes(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    report = run(Switchboard(), lm, records, tmp_path, protocol="batch", memory_sizes=(1, 4, 1000))

    def value(axis: str, metric: str, phase: str) -> float:
        return report.value(axis, metric, phase=phase)

    assert set(report.summary["phase"]) == {"after"} | {
        f"memory-{size}{mode}" for size in (1, 4) for mode in ("", "-on", "-off")
    }
    for phase in ("after", "memory-1", "memory-4"):
        assert value("reliability", "activation", phase) == 1.0
        assert value("reliability", "right_entry", phase) == 1.0
        assert value("locality", "activation", phase) == 0.0
    # Forced on, the toy gives its first entry to all; forced off, nothing of the edit is left.
    assert value("reliability", "generated", "memory-1-on") == 1.0
    assert value("reliability", "generated", "memory-4-on") == 0.25
    assert value("locality", "unchanged_generated", "memory-4-on") == 0.0
    assert value("reliability", "generated", "memory-4-off") == 0.0
    assert value("locality", "unchanged_generated", "memory-4-off") == 1.0
    assert math.isnan(value("reliability", "activation", "memory-4-on"))
    routes = report.routes.query("phase == 'memory-4' and axis == 'reliability'")
    assert list(routes["routed_to"]) == ["q0", "q1", "q2", "q3"]
    assert list(routes["ratio"]) == [0.5] * 4
    histogram = report.distances(bins=3)
    # The toy is at 0.5 from what it knows, and at 2 from all else; 5 + 5 + 4 records were asked.
    assert list(histogram["reliability"]) == [14, 0, 0]
    assert list(histogram["locality"]) == [0, 0, 14]
    assert report.value("reliability", "generated") == 1.0  # the protocol's, not a memory size's


def test_what_an_editor_tells_of_itself_is_reported(
    lm: LM, records: list[EditRecord], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    report = run(Oracle(), lm, records[:4], tmp_path, protocol="sequential", batch_size=2, out=out)
    found = report.diagnostics.to_dict("records")
    expected = {"phase": "right_after", "name": "answers known", "n": 2}
    assert found == [{**expected, "mean": 3.0, "min": 2.0, "max": 4.0}]
    assert [row.edits for row in report.told] == [2, 4]
    assert rescore(out).told == report.told
    table = Console(width=120, record=True, file=io.StringIO())
    table.print(report.diagnostics_table())
    assert "answers known" in table.export_text()
    assert run("none", lm, records, tmp_path).diagnostics.empty


def test_the_manifest_says_what_was_done(lm: LM, records: list[EditRecord], tmp_path: Path) -> None:
    run(Oracle(), lm, records, tmp_path, out=tmp_path / "run", limit=3)
    manifest = read_manifest(tmp_path / "run")
    assert manifest.complete
    assert manifest.predictions == 12
    assert manifest.arguments["record_count"] == 3
    assert manifest.arguments["prompt_format"] == "plain"
    assert manifest.arguments["editor"]["name"] == "oracle"
    assert {"torch", "transformers", "numpy"} <= set(manifest.versions)
    assert manifest.started <= (manifest.finished or "")


def test_testbed_models_bring_their_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    import editors.registry
    from medit_eval import corpora, testbed

    monkeypatch.setattr(testbed, "covariance_corpus", lambda: ["a", "b"], raising=False)
    monkeypatch.setattr(corpora, "option_names", lambda name: ["corpus", "layers"])
    known, other = tiny("gpt2"), tiny("gpt2")
    known.name = "testbed/lm"
    chosen = corpora.with_corpus("memit", known, {"layers": (1,)})
    assert [query.prompt for query in chosen["corpus"].queries()] == ["a", "b"]
    assert chosen["layers"] == (1,)
    assert corpora.with_corpus("memit", known, {"corpus": "mine.txt"}) == {"corpus": "mine.txt"}
    assert corpora.with_corpus("memit", other, None) == {}
    assert "corpus" in corpora.with_corpus("memit", other, {"corpus": "testbed"})
    seeing, question = tiny("llava"), Query("What is this?", make_image(0))
    monkeypatch.setattr(testbed, "covariance_pictures", lambda: [question], raising=False)
    both = corpora.with_corpus("memit", seeing, {"corpus": "testbed"})["corpus"]
    assert [query.prompt for query in both.queries()] == ["a", "b", "What is this?"]
    assert [part.formatted for part in both.parts] == [False, True]
    monkeypatch.setattr(corpora, "option_names", editors.registry.option_names)
    assert corpora.with_corpus("none", known, None) == {}


def test_lessons_that_the_testbed_brings_have_a_source() -> None:
    from medit_eval import corpora

    known, other = tiny("gpt2"), tiny("gpt2")
    known.name = "testbed/lm"
    for lm, options, source in (
        (known, {}, corpora.LESSONS_SOURCE),
        (known, {"lessons": "testbed"}, GIVEN),
        (other, {}, "default"),
    ):
        options = {"k": 2, **options}
        editor = make("ike", lm, corpora.with_lessons("ike", lm, options, []))
        chosen = {name: (value, GIVEN) for name, value in options.items()}
        settings = settings_with_sources("ike", editor, lm, chosen)
        (lessons,) = [s for s in settings if s.name == "lessons"]
        assert lessons.source.startswith(source)
        assert lessons.source != UNTOLD


def test_prompt_formats_are_put_to_the_model(
    records: list[EditRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm, seen = tiny("gpt2"), []
    monkeypatch.setattr(LM, "reply", _noting(LM.reply, seen, lambda lm, q: lm.renderer.render(q)))
    run("none", lm, records[:1], tmp_path, prompt_format="qa")
    assert "Question: Ann 0 was born in\nAnswer:" in seen


def test_fluency_asks_for_a_long_text(lm: LM, records: list[EditRecord], tmp_path: Path) -> None:
    report = run("none", lm, records[:2], tmp_path, metrics=["generated", "fluency"])
    assert report.value("reliability", "fluency", kind="edit") > 0
    assert report.raw[0].post is not None
    assert report.raw[0].post.continuation
    assert report.raw[1].post is not None
    assert report.raw[1].post.continuation is None
    assert not report.raw[0].post.ids  # nothing that was chosen reads likelihoods


def test_an_edit_that_reaches_anothers_locality_probe_does_not_count_against_it(
    lm: LM, tmp_path: Path
) -> None:
    first, second = person(0), person(1)
    asks_second = probe("text", "locality", "Ann 1 was born in", "Oslo 1", expectation="unchanged")
    first = replace(first, probes=(*first.probes[:2], asks_second))
    together = run(Oracle(), lm, [first, second], tmp_path, protocol="batch")
    (row,) = (r for r in together.raw if (r.record, r.kind) == ("r0", "text"))
    assert row.failure == "the edit of record r1 is meant to change this answer"
    alone = run(Oracle(), lm, [first, second], tmp_path)
    assert alone.value("locality", "unchanged_generated") == 1.0


def test_progress_counts_every_question(lm: LM, records: list[EditRecord], tmp_path: Path) -> None:
    import contextlib
    from collections.abc import Iterator

    phases: list[list[Any]] = []

    class Counting:
        @contextlib.contextmanager
        def phase(self, name: str, total: int) -> Iterator[Tick]:
            phases.append([name, total, 0])
            counted = phases[-1]

            def tick(done: int) -> None:
                counted[2] += done

            yield tick

    run("none", lm, records, tmp_path, protocol="sequential", progress=Counting())
    assert phases == [["before the edits", 20, 20], ["after none", 40, 40]]


def test_equal_questions_are_asked_once_and_bad_ones_alone_fail() -> None:

    model = Scripted({"a": "A", "b": "B"})
    prompts = ["a", "b", "a", "#", "b"]
    questions = [Question(Query(p), "right", "wrong") for p in prompts]
    answers = ask(model, questions, Settings())
    assert [a.output.generation if a.output else a.failure for a in answers] == [
        "A", "B", "A", "cannot read '#'", "B",
    ]  # fmt: skip
    assert model.batches[0] == ["a", "b", "#"]


def test_contradictions_are_warned_of_and_named(lm: LM, tmp_path: Path) -> None:
    clash = person(1, prompt="ann 0 was  born in", subject="ann 0")
    with pytest.warns(UserWarning, match="want different answers.*: q0 and q1") as caught:
        report = run(Oracle(), lm, [person(0), clash], tmp_path, protocol="batch")
    assert len(caught) == 1
    assert any("q0 and q1" in note for note in report.notes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(Oracle(), lm, [person(0), clash], tmp_path)  # one at a time they do not meet


def test_arguments_are_checked(lm: LM, records: list[EditRecord], tmp_path: Path) -> None:
    for options, reason in (
        ({"protocol": "simple"}, "unknown protocol 'simple'; known are single, batch"),
        ({"batch_size": 0, "protocol": "batch"}, "batch size must be at least 1"),
        ({"metrics": ["exakt"]}, "did you mean exact"),
        ({"metrics": ["judged"]}, "needs a judge"),
        ({"memory_sizes": (0,)}, "memory sizes must be at least 1"),
        ({"memory_sizes": (2,)}, "'oracle' does not route"),
        ({"editor_options": {"a": 1}}, "options belong to an editor that is given by name"),
        ({"prompt_format": "chat"}, "chat template"),
    ):
        with pytest.raises(InputError, match=reason):
            run(Oracle(), lm, records, tmp_path, **options)
    with pytest.raises(InputError, match="needs its tokenizer"):
        run(Oracle(), lm.model, records, tmp_path)
    by_hand = score(
        Oracle(), lm.model, records[:1], processor=lm.tokenizer, cache=tmp_path, max_new_tokens=4
    )
    assert by_hand.value("reliability", "generated") == 1.0
