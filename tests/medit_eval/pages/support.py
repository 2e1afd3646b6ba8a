"""Runs of toy editors on disk, with names, prompts and notes that try to be markup."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from editors.lm import LM
from medit_eval import Report, score
from medit_eval.benchmarks.answers import UNEDITED
from medit_eval.benchmarks.results import BenchmarkResults
from medit_eval.contenders import Contender, contenders
from schemas.records import EditRecord
from tests.medit_eval.answers import answers, info
from tests.medit_eval.support import Oracle, person

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">'&amp;"
)
OVERRIDE = "\u202egnp.exe"


def run(editor: Any, lm: LM, records: Any, out: Path | None, cache: Path, **options: Any) -> Report:
    """A run with short answers."""
    return score(editor, lm, records, out=out, cache=cache, **{"max_new_tokens": 4, **options})


def graded(record: EditRecord) -> EditRecord:
    """The same with a grade and a distance on what the edit should not reach."""
    number = int(record.id[1:])
    far = number % 2 == 1
    probes = [
        dataclasses.replace(p, grade="far" if far else "near", distance=0.9 if far else 0.1)
        if p.axis == "locality"
        else p
        for p in record.probes
    ]
    return dataclasses.replace(record, probes=tuple(probes))


def people(count: int) -> list[EditRecord]:
    """Graded records."""
    return [graded(person(number)) for number in range(count)]


def hostile_people(count: int) -> list[EditRecord]:
    """Graded records, of which the first asks in markup."""
    records = people(count)
    probes = (dataclasses.replace(records[0].probes[0], prompts=(HOSTILE + OVERRIDE,)),)
    records[0] = dataclasses.replace(records[0], probes=probes + records[0].probes[1:])
    return records


def sequences(lm: LM, cache: Path, names: Sequence[str] = ("sure", "greedy")) -> list[Contender]:
    """Two contenders of one sequence each, in memory, with benchmarks that one of them ruins."""
    made = []
    for name, everywhere in zip(names, (False, True), strict=True):
        report = run(
            Oracle(name=name, everywhere=everywhere), lm, people(6), None, cache,
            protocol="sequential", checkpoints=(1, 3, 6),
        )  # fmt: skip
        found = [*answers([1.0] * 12), *answers([1.0] * 12, task="toxigen")]
        for edits in (1, 3, 6):
            wrong = min(12, 2 * edits) if everywhere else 0
            values = [0.0] * wrong + [1.0] * (12 - wrong)
            for task in ("t", "toxigen"):
                found += answers(values, phase=f"edits-{edits}", task=task)
        tasks = (info(items=12), info("toxigen", items=12))
        results = BenchmarkResults(tuple(found), tasks).weighed(0)
        assert {answer.phase for answer in found} >= {UNEDITED, "edits-6"}
        made.append(dataclasses.replace(report, benchmarks=results))
    return contenders(made)


class Page(HTMLParser):
    """What a browser's parser makes of a page, as far as the tests ask."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.cells: list[str] = []
        self.data: dict[str, str] = {}
        self._open, self._id = "", ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open, self._id = tag, dict(attrs).get("id") or ""
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = self._id = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script" and self._id:
            self.data[self._id] = self.data.get(self._id, "") + data
        elif self._open not in ("script", "style"):
            self.text += data
            if self._open in ("td", "th"):
                self.cells[-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]
