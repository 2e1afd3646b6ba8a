"""The metrics of papers equal slow literal versions; records count the same; sets have names."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from medit_eval import rescore, score
from medit_eval.metrics import DEFAULT, METRICS, PAPERS, way_of
from medit_eval.metrics.core import select
from medit_eval.metrics.counterfact import CONSISTENCY, consistency
from medit_eval.metrics.papers import PAPER_METRICS
from medit_eval.predictions import Output, Prediction
from medit_eval.questions import slots
from medit_eval.references import read_references
from medit_eval.report import Report, scored
from medit_eval.sources import load
from medit_eval.summary import Row, summarise
from schemas.errors import InputError
from schemas.formats import counterfact
from schemas.records import EditRecord, EditRequest, Probe
from tests.medit_eval.support import Oracle, person, prediction, probe
from tests.reference import paper_metrics as literal
from tests.tiny_models import tiny

DATA = Path("/work/shared/data")
TABLE = dict[tuple[str, str, str], Row]


def table(predictions: Sequence[Prediction], *names: str) -> TABLE:
    metrics = select(names, METRICS, DEFAULT, PAPERS)
    rows = summarise(predictions, scored(predictions, metrics), protocol="single", seed=0)
    return {(row.axis, row.kind, row.metric): row for row in rows}


def asked(record: int | str, kind: str, number: int, **fields: Any) -> Prediction:
    axes = {"edit": "reliability", "rephrase": "generality", "image_rephrase": "generality"}
    axis: Any = axes.get(kind, "locality")
    unchanged = {"expectation": "unchanged", "answers": ("Oslo",)} if axis == "locality" else {}
    made = {"record": str(record), "probe": kind, "index": number, "axis": axis, "kind": kind}
    return prediction(**(made | unchanged | fields))


def tokens(rng: random.Random, length: int) -> tuple[float, ...]:
    return tuple(-rng.uniform(0, 6) for _ in range(length))


def test_counterfact_equals_its_formulas() -> None:
    rng = random.Random(0)
    kinds = {"edit": 1, "rephrase": 2, "neighborhood": 10}
    predictions: list[Prediction] = []
    cases: dict[str, list[list[tuple[float, float]]]] = {kind: [] for kind in kinds}
    for record in range(12):
        for kind, most in kinds.items():
            pairs = []
            for number in range(rng.randint(1, most)):  # records with more prompts count no more
                right, rival = tokens(rng, rng.randint(1, 4)), tokens(rng, rng.randint(1, 4))
                scores = [-sum(part) / len(part) for part in (right, rival)]
                pairs.append(tuple(scores if kind != "neighborhood" else reversed(scores)))
                output = Output("x", tuple(range(len(right))), right, ((0,),) * len(right), rival)
                predictions.append(asked(record, kind, number, post=output))
            cases[kind].append(pairs)
    found = table(predictions, "counterfact")
    means = []
    for name, kind in (("efficacy", "edit"), ("paraphrase", "rephrase"),
                       ("neighborhood", "neighborhood")):  # fmt: skip
        axis, keeps = asked(0, kind, 0).axis, kind == "neighborhood"
        means.append(literal.success(cases[kind], keeps_old=keeps))
        row = found[axis, kind, f"counterfact_{name}"]
        assert row.mean == pytest.approx(means[-1])
        assert row.n == sum(map(len, cases[kind]))
        assert row.ci_low <= row.mean <= row.ci_high
        assert found[axis, kind, f"counterfact_{name}_magnitude"].mean == pytest.approx(
            literal.magnitude(cases[kind], keeps_old=keeps)
        )
    row = found["harmonic_mean", "all", "counterfact_score"]
    assert row.mean == pytest.approx(literal.harmonic(means))
    assert row.note == "over efficacy, paraphrase, neighborhood"
    few = [p for p in predictions if p.kind != "rephrase"]
    assert not any(metric == "counterfact_score" for _, _, metric in table(few, "counterfact"))


def test_the_means_of_papers_are_over_records_and_others_over_questions() -> None:
    def one(record: int, number: int, first: int) -> Prediction:
        output = Output("x", (5,), (-1.0,), ((first,),))
        return asked(record, "rephrase", number, post=output)

    predictions = [one(0, 0, 5), one(1, 0, 0), one(1, 1, 0), one(1, 2, 0)]
    found = table(predictions, "zsre_paraphrase", "teacher_forced")
    assert found["generality", "rephrase", "zsre_paraphrase"].mean == 0.5
    assert found["generality", "rephrase", "teacher_forced"].mean == 0.25


def test_zsre_equals_its_formulas() -> None:
    rng = random.Random(1)
    kinds = {"edit": "efficacy", "rephrase": "paraphrase", "text": "neighborhood"}
    for kind, name in kinds.items():
        predictions, records = [], []
        for record in range(10):
            length = rng.randint(1, 5)
            pairs = [(rng.randint(0, 1), rng.randint(0, 1)) for _ in range(length)]
            ids, first = tuple(a for a, _ in pairs), tuple((b, 9) for _, b in pairs)
            output = Output("x", ids, (-1.0,) * length, first)
            predictions.append(asked(record, kind, 0, post=output))
            records.append([pairs])
        rows = table(predictions, "zsre")
        row = rows[predictions[0].axis, kind, f"zsre_{name}"]
        assert row.mean == pytest.approx(literal.token_accuracy(records))


def test_zsre_s_neighborhood_is_about_the_right_answer_alone() -> None:
    metric = next(m for m in METRICS if m.name == "zsre_neighborhood")
    made = asked(0, "text", 0, answers=(), answer="what the model says")
    assert metric.score(made).reason == "no right answer is given"


def test_balancedit_equals_its_formulas() -> None:
    rng = random.Random(2)

    def ranks(length: int) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(rng.sample(range(12), 10)) for _ in range(length))

    predictions: list[Prediction] = []
    shares: dict[str, list[float]] = {}
    for record in range(6):
        for kind in ("edit", "rephrase", "image_rephrase", "negative", "text"):
            length = rng.randint(1, 3)
            ids, before, after = tuple(range(length)), ranks(length), ranks(length)
            after = tuple(
                b if rng.random() < 0.6 else a for b, a in zip(before, after, strict=True)
            )
            scores = (-1.0,) * length
            predictions.append(asked(record, kind, 0, pre=Output("x", ids, scores, before),
                                     post=Output("x", ids, scores, after)))  # fmt: skip
            if kind in ("negative", "text"):
                value = literal.ordered_top(before, after)
            else:
                pairs = [(i, top[0]) for i, top in zip(ids, after, strict=True)]
                value = literal.token_accuracy([[pairs]])
            shares.setdefault(kind, []).append(value)
    means = {kind: sum(values) / len(values) for kind, values in shares.items()}
    found = table(predictions, "balancedit")
    assert found["reliability", "edit", "balancedit_accuracy"].mean == pytest.approx(means["edit"])
    row = found["locality", "negative", "balancedit_locality"]
    assert row.mean == pytest.approx(means["negative"])
    assert ("locality", "text", "balancedit_locality") not in found  # the top 1 there, not the 10
    row = found["locality", "all", "balancedit_locality"]
    assert row.mean == pytest.approx(means["negative"])
    row = found["harmonic_mean", "all", "balancedit_harmonic"]
    wanted = [means[kind] for kind in ("rephrase", "image_rephrase", "negative")]
    expected = literal.harmonic(wanted) if all(wanted) else 0.0
    assert row.mean == pytest.approx(expected)
    assert row.note == "over rephrasings, pictures, locality"


def test_scr_finds_parts_of_words() -> None:
    said = [("In ROME, Italy", ("Rome",)), ("a comparison", ("Paris", "Lyon")), ("Oslo", ("Rome",))]
    predictions = [
        asked(number // 2, "rephrase", number % 2, post=Output(text), answers=accepted)
        for number, (text, accepted) in enumerate(said)
    ]
    expected = literal.contain([said[:2], said[2:]])
    assert table(predictions, "scr")["generality", "rephrase", "scr_contain"].mean == expected
    metric = next(m for m in METRICS if m.name == "scr_contain")
    assert metric.score(asked(0, "text", 0, post=Output("xOslox"))).value == 1
    assert metric.score(prediction(answers=(" ",))).reason == "no accepted answer is given"


def test_portability_that_the_model_lacks_counts_in_a_paper_s_mean() -> None:
    hop = prediction(axis="portability", kind="one_hop", pre=Output("nonsense"))
    found = table([hop], "scr", "pre_edit_right", "generated")
    assert found["portability", "one_hop", "generated"].mean != 1
    assert found["portability", "one_hop", "scr_contain"].mean == 1


CORPUS = {"Rome": ["Rome is a city in Italy.", "She moved to Rome to paint."],
          "r1": ["A painter of walls and cities."]}  # fmt: skip


def continued(record: int, number: int, prompt: str, text: str | None) -> Prediction:
    output = Output("short", continuation=text)
    return asked(f"r{record}", "generation", number, prompt=prompt, post=output, answers=())


def test_continuations_are_judged_as_in_counterfact(tmp_path: Path) -> None:
    path = tmp_path / "texts.json"
    path.write_text(json.dumps(CORPUS))
    references = read_references(path)
    said = {0: [("Ann paints in", "Rome and paints walls"), ("Ann is", "a painter of Rome")],
            1: [("Bob likes", "walls, cities and walls")]}  # fmt: skip
    predictions = [
        continued(record, number, *pair)
        for record, pairs in said.items()
        for number, pair in enumerate(pairs)
    ]
    every = [text for texts in CORPUS.values() for text in texts]
    metric = consistency(references, predictions)
    for record, key in ((0, "Rome"), (1, "r1")):
        texts = [" ".join(pair) for pair in said[record]]
        expected = literal.likeness(texts, CORPUS[key], every)
        values = [metric.score(p).value for p in predictions if p.record == f"r{record}"]
        assert values == [pytest.approx(expected)] * len(texts)
    fluency = next(m for m in METRICS if m.name == "counterfact_fluency")
    words = ["Bob", "likes", "walls", ",", "cities", "and", "walls"]
    assert fluency.score(predictions[2]).value == pytest.approx(literal.entropy(words))


def test_continuations_that_cannot_be_judged_say_why(tmp_path: Path) -> None:
    path = tmp_path / "texts.json"
    path.write_text(json.dumps({"Rome": ["ok then"]}))
    references = read_references(path)
    plain = next(m for m in METRICS if m.name == CONSISTENCY)
    made = continued(0, 0, "Ann is", "a painter")
    assert plain.score(made).reason == "no reference texts are given"
    for case, reason in (
        (made, "a text has no word of the reference texts"),
        (continued(0, 0, "Ann is", None), "no continuation was asked for"),
    ):
        assert consistency(references, [case]).score(case).reason == reason
    path.write_text(json.dumps({"Lima": ["ok then"]}))
    other = consistency(read_references(path), [made]).score(made)
    assert other.reason == "there is no reference text for this record"


RELEASE = {
    "case_id": 0,
    "requested_rewrite": {
        "prompt": "The mother tongue of {} is",
        "relation_id": "P103",
        "target_new": {"str": "English", "id": "Q1860"},
        "target_true": {"str": "French", "id": "Q150"},
        "subject": "Danielle",
    },
    "paraphrase_prompts": ["Danielle speaks"],
    "neighborhood_prompts": ["Leon speaks"],
}


def test_the_release_s_texts_are_found_by_the_ids_of_relation_and_target(tmp_path: Path) -> None:
    record = counterfact.FORMAT.read_row(RELEASE)
    path = tmp_path / "attribute_snippets.json"
    rows = [
        {
            "relation_id": "P103",
            "target_id": "Q1860",
            "samples": [{"name": "A", "text": "English"}],
        },
        {"relation_id": "P27", "target_id": "Q1860", "samples": [{"name": "B", "text": "other"}]},
    ]
    path.write_text(json.dumps(rows))
    references = read_references(path, [record])
    assert references.texts == {record.id: ["English"]}
    assert set(references.tfidf.idf) == {"english", "other"}
    with pytest.raises(InputError, match="ids, which only the records tell"):
        read_references(path)
    with pytest.raises(InputError, match="no record has such"):
        read_references(path, [person(0)])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("3", "is neither a JSON object nor a list"),
        ("{}", "holds no texts"),
        ('{"a": "text"}', "field 'a': is no list of texts"),
        ("[3]", "row 0: is not an object"),
        ('[{"relation_id": 3}]', "row 0, field 'relation_id': is missing or no text"),
        (
            '[{"relation_id": "P", "target_id": "Q", "samples": [{}]}]',
            "field 'samples': is no list",
        ),
        ("{", "is not JSON"),
    ],
)
def test_texts_that_cannot_be_read(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "texts.json"
    path.write_text(text)
    with pytest.raises(InputError, match=reason):
        read_references(path, [person(0)])


def test_sets_have_names() -> None:
    assert {m.name for m in select(["counterfact", "zsre", "balancedit", "scr"], METRICS, DEFAULT,
                                   PAPERS)} == {m.name for m in PAPER_METRICS}  # fmt: skip
    chosen = select(["balancedit_harmonic", "balancedit_accuracy"], METRICS, DEFAULT, PAPERS)
    assert [m.name for m in chosen] == ["balancedit_accuracy", "balancedit_locality"]
    assert not {m.name for m in DEFAULT} & {m.name for m in PAPER_METRICS}
    assert way_of("counterfact_score") == "probability"
    with pytest.raises(InputError, match="no metric 'counterfac'; did you mean counterfact"):
        select(["counterfac"], METRICS, DEFAULT, PAPERS)


def generating(number: int) -> EditRecord:
    """A record with prompts to continue and a neighbour, as of multi-CounterFact."""
    base = person(number)
    request: EditRequest = base.requests[0]
    neighbour = probe("neighborhood", "locality", f"Bob {number} was born in",
                      request.target_true or "", expectation="unchanged")  # fmt: skip
    prompts = (f"Ann {number} likes", f"Ann {number} is known for")
    generation = Probe("generation", "generality", "generation", "target", prompts, (), ())
    kept = [p for p in base.probes if p.kind in ("edit", "rephrase")]
    return EditRecord(base.id, base.requests, (*kept, neighbour, generation))


def test_prompts_to_continue_are_asked_for_metrics_that_read_them_and_by_no_others() -> None:
    record = generating(0)
    assert all(slot.probe.kind != "generation" for slot in slots(record, continued=True))
    asked = slots(record, continued=True, apart=frozenset({"generation"}))
    found = [slot for slot in asked if slot.probe.kind == "generation"]
    assert len(found) == 2
    assert all(slot.question.continued and slot.question.answer == "" for slot in found)
    made = continued(0, 0, "Ann is", "a painter")
    assert {m.name for m in METRICS if m.applies(made)} == {"counterfact_fluency", CONSISTENCY}


def run(records: list[EditRecord], tmp_path: Path, **options: Any) -> Report:
    settings = {"cache": tmp_path / "cache", "max_new_tokens": 4, **options}
    return score(Oracle(), tiny("gpt2", positions=256), records, **settings)


def test_a_run_reports_them_and_keeps_what_it_took_from_texts(tmp_path: Path) -> None:
    out, texts = tmp_path / "run", tmp_path / "texts.json"
    records = [generating(number) for number in range(3)]
    vocabulary = "likes known for was born in"
    texts.write_text(json.dumps({f"r{number}": [vocabulary] for number in range(2)}))
    report = run(records, tmp_path, out=out, metrics=["counterfact", "generated"], references=texts)
    assert report.value("reliability", "counterfact_efficacy") in (0, 1 / 3, 2 / 3, 1)
    rows = {(row.kind, row.metric): row for row in report.rows if row.subset == "all"}
    row = rows["generation", CONSISTENCY]
    assert (row.n, row.unscorable) == (4, 2)
    assert 0 < row.mean <= 1
    assert rows["generation", "counterfact_fluency"].n == 6
    assert ("generation", "generated") not in rows
    assert ("all", "counterfact_score") in rows
    from rich.console import Console

    console = Console(width=200)
    with console.capture() as shown:
        console.print(report.table())
    assert "counterfact_score" in shown.get()
    texts.unlink()
    again = rescore(out)
    kept = {(row.kind, row.metric): row for row in again.rows if row.subset == "all"}
    assert kept["generation", CONSISTENCY].mean == row.mean
    named = rescore(out, metrics=[CONSISTENCY])
    assert named.value("generality", CONSISTENCY, kind="generation") == row.mean
    with pytest.raises(InputError, match="which is not chosen"):
        run(records, tmp_path, references=texts, metrics=["exact"])


def test_compared_runs_have_the_papers_means(tmp_path: Path) -> None:
    from medit_eval import compare_runs

    records = [generating(number) for number in range(3)]
    for name, editor in (("a", Oracle(name="a")), ("b", Oracle(everywhere=True, name="b"))):
        score(editor, tiny("gpt2"), records, out=tmp_path / name, cache=tmp_path / "cache",
              max_new_tokens=4, metrics=["scr", "zsre"])  # fmt: skip
    found = compare_runs([tmp_path / "a", tmp_path / "b"])
    standing = {(row.series, row.metric, row.editor): row.mean for row in found.standings}
    for editor in ("a", "b"):
        report = rescore(tmp_path / editor)
        for axis in ("reliability", "generality"):
            mean = report.value(axis, "scr_contain")
            assert standing[axis, "scr_contain", editor] == pytest.approx(mean)


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
def test_easyedit_s_counterfact_rows_have_all_three(tmp_path: Path) -> None:
    path = DATA / "counterfact" / "counterfact-edit.json"
    records = load(path, records_format="counterfact", limit=3)
    report = run(records, tmp_path, metrics=["counterfact"])
    rows = {row.metric: row for row in report.rows}
    names = ("efficacy", "paraphrase", "neighborhood")
    assert {rows[f"counterfact_{name}"].n for name in names} == {3}
    assert 0 <= rows["counterfact_score"].mean <= 1
