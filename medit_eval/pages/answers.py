"""Raw answers before and after edits, as the page's browser of records has them.

Texts, verdicts and pictures are kept once and referred to by number: most answers are those that
the unedited model gave, and a page of thousands of them stays small.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from medit_eval.contenders import Contender
from medit_eval.metrics import HEADLINE, way_of
from medit_eval.pages.cells import phase_name
from medit_eval.pictures import read_pictures
from medit_eval.predictions import Prediction, Score
from schemas.gallery import data_uri
from schemas.pages import visible

BUDGET = 12_000_000
"""Characters that raw answers and pictures may add to a page."""


@dataclass(frozen=True)
class Answers:
    """What the browser of records shows.

    Attributes:
        data: All of it, as JSON has it; see `report.js`.
        shown: Records in it.
        total: Records of the runs.
        missing: Pictures that were asked about and are not kept in the runs' folders.
    """

    data: dict[str, Any]
    shown: int
    total: int
    missing: int


def answers_of(found: Sequence[Contender], limit: int) -> Answers:
    """The raw answers to the questions about some records, evenly spread over all.

    Args:
        found: The runs.
        limit: Records at most; fewer where they would take more than `BUDGET`.

    Raises:
        InputError: If a run's pictures are damaged.
    """
    kept = {
        digest: picture
        for contender in found
        for report in contender.reports
        if report.path is not None
        for digest, picture in read_pictures(report.path).items()
    }
    uris = {
        digest: str(data_uri(picture.small.bytes))
        for digest, picture in kept.items()
        if picture.small is not None
    }
    records = list(dict.fromkeys(p.record for c in found for r in c.reports for p in r.raw))
    count = min(limit, len(records))
    while True:
        chosen = [records[place * len(records) // count] for place in range(count)]
        made = _Writer(uris).write(found, chosen)
        size = len(json.dumps(made.data, ensure_ascii=False)) if count > 1 else 0
        if size <= BUDGET:
            return Answers(made.data, count, len(records), len(made.lost))
        count = max(1, min(count - 1, int(0.95 * count * BUDGET / size)))


@dataclass
class _Writer:
    """Collects answers, each text once."""

    uris: dict[str, str]
    lost: set[str] = field(default_factory=set)
    data: dict[str, Any] = field(default_factory=dict)
    _texts: dict[str, int] = field(default_factory=dict)
    _verdicts: dict[str, int] = field(default_factory=dict)
    _pictures: dict[str, int] = field(default_factory=dict)

    def write(self, found: Sequence[Contender], chosen: Sequence[str]) -> _Writer:
        wanted = {record: number for number, record in enumerate(chosen)}
        runs = [(c.named(o), report) for c in found for o, report in c.runs.items()]
        metrics = list(dict.fromkeys(s.metric for _, report in runs for s in report.scores))
        phases = list(dict.fromkeys(p.phase for _, report in runs for p in report.raw))
        questions: list[dict[tuple[str, str, int], dict[str, Any]]] = [{} for _ in chosen]
        for number, (_, report) in enumerate(runs):
            scores: dict[tuple[str, str, int, str], list[Score]] = {}
            for score in report.scores:
                if score.record in wanted:
                    scores.setdefault(score.key, []).append(score)
            for asked in report.raw:
                if asked.record not in wanted:
                    continue
                own = questions[wanted[asked.record]]
                # Runs of other records may share an id: what was asked tells them apart.
                key = (asked.probe, asked.question, asked.index)
                if key not in own:
                    own[key] = self._question(asked)
                own[key]["asked"].append(
                    [
                        number,
                        phases.index(asked.phase),
                        self._text(asked.pre.generation if asked.pre else None),
                        self._text(asked.post.generation if asked.post else None),
                        self._verdict(scores.get(asked.key, []), metrics),
                        self._text(asked.failure),
                        _routed(asked),
                    ]
                )
        self.data = {
            "runs": [visible(name) for name, _ in runs],
            "phases": [visible(phase_name(phase)) for phase in phases],
            "metrics": [[visible(name), way_of(name)] for name in metrics],
            "headline": [metrics.index(name) for name in HEADLINE if name in metrics],
            "records": [
                {"id": self._text(record), "questions": list(own.values())}
                for record, own in zip(chosen, questions, strict=True)
            ],
            "texts": list(self._texts),
            "verdicts": [json.loads(verdict) for verdict in self._verdicts],
            "pictures": list(self._pictures),
        }
        return self

    def _question(self, asked: Prediction) -> dict[str, Any]:
        return {
            "axis": asked.axis,
            "kind": self._text(asked.kind),
            "reach": asked.expectation == "target",
            "prompt": self._text(asked.prompt),
            "picture": self._picture(asked.image),
            "answers": [self._text(answer) for answer in asked.answers],
            "before": [self._text(answer) for answer in asked.answers_pre_edit],
            "targets": [self._text(answer) for answer in asked.targets[:1]],
            "grade": self._text(asked.grade),
            "distance": None if asked.distance is None else f"{asked.distance:.3g}",
            "hops": asked.hops,
            "asked": [],
        }

    def _text(self, text: str | None) -> int | None:
        if text is None:
            return None
        return self._texts.setdefault(visible(text), len(self._texts))

    def _picture(self, digest: str | None) -> int | str | None:
        """The number of a picture; the beginning of its digest where there is none to show."""
        if digest is None:
            return None
        uri = self.uris.get(digest)
        if uri is None:
            self.lost.add(digest)
            return digest[:12]
        return self._pictures.setdefault(uri, len(self._pictures))

    def _verdict(self, scores: Sequence[Score], metrics: Sequence[str]) -> int:
        """The number of a list of metric and value, or metric, null and why there is none."""
        made = [
            [metrics.index(s.metric), None, self._text(s.reason or "")]
            if s.value is None
            else [metrics.index(s.metric), round(s.value, 3)]
            for s in scores
        ]
        return self._verdicts.setdefault(json.dumps(made), len(self._verdicts))


def _routed(asked: Prediction) -> str | None:
    if asked.routing is None:
        return None
    entry = asked.routing.request
    if entry is None:
        return "the model itself"
    return "its own edit's entry" if entry in asked.requests else "another edit's entry"
