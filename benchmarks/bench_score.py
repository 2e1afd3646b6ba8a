"""Scoring records, against editing and asking one at a time as the papers' codes do.

    python -m benchmarks.bench_score                                # 1,000 records, about an hour
    python -m benchmarks.bench_score --records 100 --repeats 1      # a quick look
    python -m benchmarks.bench_score --write docs/performance.md    # paste the table

Three ways of the same, none of which keeps answers between runs: `literal` asks one prompt at a
time (`tests/reference/score_literal.py`), and on text models edits with `locate_literal.py`, where
the editor is of that kind; `one by one` is `score(one_by_one=True)`, which edits, asks in batches
and takes back; `medit` is `score` as it comes. Second moments are taken before. What the literal
way answers is compared with what `medit` reports.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import medit_eval
from benchmarks.bench_edit import setting_of
from benchmarks.measuring import (
    MIB,
    alternate,
    flops_of,
    machine,
    markdown,
    matrix_rate,
    seconds,
)
from benchmarks.paste import paste
from editors.base import Editor
from editors.come import CoME
from editors.lm import LM
from editors.locate import LocateThenEdit
from editors.registry import make
from medit_eval import Report
from medit_eval.corpora import with_corpus
from medit_eval.models import resolve
from medit_eval.questions import slots
from schemas.records import EditRecord, EditRequest, Probe
from tests.reference import score_literal
from tests.reference.locate_released import Clock
from tests.reference.score_literal import Scored

COLUMNS = (
    *("protocol", "editor", "records", "questions", "literal", "one by one", "medit"),
    *("to literal", "to one by one", "arithmetic alone", "peak memory", "answers alike"),
)

BATCH = 100
"""Records that are edited together in the protocol `batch`."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and paste it where asked."""
    parser = argparse.ArgumentParser(description="Scoring, against one prompt at a time.")
    parser.add_argument("--model", default="testbed/lm")
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--sample", type=int, default=20, help="records that go the literal way")
    parser.add_argument("--editors", default="alphaedit,balancedit,scr", help="with commas between")
    parser.add_argument("--protocols", default="single,batch", help="with commas between")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", type=Path, help="file with the markers to paste between")
    args = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    lm, rate = resolve(args.model, device="cpu"), matrix_rate()
    records = people(args.records)
    rows = []
    for editor in args.editors.split(","):
        method = make(editor, lm, with_corpus(editor, lm, None))
        for protocol in args.protocols.split(","):
            rows.append(_row(method, lm, records, protocol, args, rate))
            print(" | ".join(rows[-1]), flush=True)
    text = (
        f"{markdown(COLUMNS, rows)}\n\nMedians of {args.repeats} runs in turn, in one process; the "
        f"literal way went through {args.sample} records and its time is scaled to all. "
        f"{args.model}, batches of {BATCH}. Matrix products run at {rate / 1e9:.0f} GFLOP/s. "
        f"{machine()}"
    )
    print(f"\n{text}")
    if args.write:
        paste(args.write, "bench_score", text)


def people(count: int) -> list[EditRecord]:
    """The testbed's people, and behind them the same under names that the model never read."""
    from medit_eval import testbed

    found = [*testbed.people_records(), *testbed.people_records(group="tuning")]
    names = [record.requests[0].subject or "" for record in found]
    others = [" ".join(reversed(name.split())) for name in names]
    again = map(_renamed, found, names, others)
    return [*found, *again][:count]


def _renamed(record: EditRecord, name: str, other: str) -> EditRecord:
    def request(old: EditRequest) -> EditRequest:
        return dataclasses.replace(
            old,
            id=f"{old.id} again",
            prompt=old.prompt.replace(name, other),
            subject=other,
            facts=tuple(fact.replace(name, other) for fact in old.facts),
        )

    def probe(old: Probe) -> Probe:
        return dataclasses.replace(
            old, prompts=tuple(prompt.replace(name, other) for prompt in old.prompts)
        )

    return dataclasses.replace(
        record,
        id=f"{record.id} again",
        requests=tuple(map(request, record.requests)),
        probes=tuple(map(probe, record.probes)),
    )


def _row(
    editor: Editor,
    lm: LM,
    records: Sequence[EditRecord],
    protocol: str,
    args: argparse.Namespace,
    rate: float,
) -> list[str]:
    """Measure one line."""
    found: dict[str, Any] = {}
    scaled: list[float] = []
    sample = records[: args.sample]
    editing = _editing(editor, lm)

    def ours(name: str, some: Sequence[EditRecord], **options: Any) -> Callable[[], None]:
        def run() -> None:
            with tempfile.TemporaryDirectory() as cache:
                found[name] = medit_eval.score(
                    editor, lm, some, protocol=protocol, batch_size=BATCH, cache=cache, **options
                )

        return run

    def literal() -> None:
        groups = [records[:BATCH]] if protocol == "batch" else [[record] for record in sample]
        scored = score_literal.score(lm, editing, groups, sample)
        edits = sum(map(len, groups))
        each = scored.editing / edits + scored.asking / len(sample)
        found["literal"] = scored
        scaled.append(each * len(records))

    ours("warm", records[:2])()  # second moments are taken here
    ways = {"medit": ours("medit", records), "literal": literal}
    if protocol == "single":
        ways["one by one"] = ours("one by one", records, one_by_one=True)
    taken = alternate(ways, args.repeats, warm=False)
    few = records[:BATCH]
    flops = flops_of(ours("few", few)) * len(records) / len(few)
    medit, own = taken["medit"], taken.get("one by one")
    whole = statistics.median(scaled)
    return [
        protocol,
        editor.name,
        f"{len(records):,}",
        f"{sum(1 for record in records for _ in slots(record)):,}",
        seconds(whole),
        seconds(own.seconds) if own else "–",
        seconds(medit.seconds),
        f"{whole / medit.seconds:.1f}x",
        f"{own.seconds / medit.seconds:.1f}x" if own else "–",
        seconds(flops / rate),
        f"{medit.peak / MIB:,.0f} MiB",
        _alike(found["medit"], found["literal"]),
    ]


def _editing(editor: Editor, lm: LM) -> score_literal.Editing:
    """The literal way to edit: that of the released codes, or a call of the editor per request."""
    if not isinstance(editor, LocateThenEdit | CoME):
        return score_literal.one_after_another(editor, lm)
    edited = editor.apply(lm)
    setting = setting_of(editor.name, edited)
    names = [f"{lm.anatomy.projection_names[layer]}.weight" for layer in edited.editor.layers]
    return score_literal.written(lm, lambda requests: setting.write(requests, Clock()), names)


def _alike(report: Report, literal: Scored) -> str:
    """Of how many questions the free answers are the same, and how far log-probabilities are."""
    same, apart = 0, 0.0
    known = {(p.record, p.probe, p.index): p for p in report.raw}
    for key, (_, said) in literal.said.items():
        output = known[key].post
        assert output is not None
        same += output.generation == said.text
        if len(output.logprobs) == len(said.own):
            pairs = zip(output.logprobs, said.own, strict=True)
            apart = max([apart, *(abs(a - b) for a, b in pairs)])
    return f"{same} of {len(literal.said)}, ±{apart:.0e}"


if __name__ == "__main__":
    main()
