"""A codebook with one fixed radius, as in GRACE (Hartvigsen et al. 2023): the line that balanced
radii are compared with.

It shares keys, copies and routing with BalancEdit, so that radii are all that differs. As in GRACE,
an edit that falls inside an earlier entry with another answer halves the distance between the two
keys and gives either half of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from editors.anatomy import fan_in
from editors.balancedit import REFERENCE_FAN_IN, REFERENCE_RATE
from editors.codebook import Codebook, CodebookModel, Entry, Measure, find_layer
from editors.copies import FullCopies, train
from editors.lm import LM
from editors.prompts import Query
from editors.routing import latest, question_id
from schemas.records import EditRequest


@dataclass(frozen=True)
class FixedRadius:
    """The baseline's hyperparameters.

    Attributes:
        radius: How far from its key an entry answers.
        distance: How far keys are from each other.
        steps: Updates of a copy.
        name: What it is called in reports.
    """

    radius: float = 1.0
    distance: Measure = "euclidean"
    steps: int = 50
    name: str = "fixed_radius"

    def apply(self, lm: LM) -> FixedRadiusModel:
        """An edited model with an empty codebook at the last block."""
        return FixedRadiusModel(lm, self)


class FixedRadiusModel(CodebookModel):
    """A model with GRACE's radii."""

    def __init__(self, lm: LM, editor: FixedRadius) -> None:
        layer = find_layer(lm, None)
        super().__init__(lm, layer, key="prompt", measure=editor.distance, rank=8)
        self.editor = editor

    def _edit(self, requests: Sequence[EditRequest]) -> None:
        requests = latest(requests)
        queries = [Query(request.prompt, request.image) for request in requests]
        keys = self.keys(queries)
        with self.unrouted():
            copies = train(
                self.lm,
                self.layer,
                list(zip(queries, [request.target_new for request in requests], strict=True)),
                FullCopies.of(self.layer, len(requests)),
                learning_rate=REFERENCE_RATE * REFERENCE_FAN_IN / fan_in(self.layer),
                steps=self.editor.steps,
            )
        for row, request in enumerate(requests):
            question = question_id(request.prompt, request.image)
            book: Codebook | None = self.state
            if book is not None:
                kept = [i for i, e in enumerate(book.entries) if e.question != question]
                book = book.keeping(kept)
            radius = self.editor.radius
            if book is not None:
                distance, index = book.nearest(keys[row : row + 1], self.editor.distance)
                near, place = float(distance[0]), int(index[0])
                if near <= book.entries[place].radius:
                    radius = near / 2
                    entries = list(book.entries)
                    entries[place] = replace(entries[place], radius=radius)
                    book = replace(book, entries=tuple(entries))
            only = slice(row, row + 1)
            fresh = Codebook((Entry(request.id, question, radius),), keys[only], copies[only])
            self.state = fresh if book is None else book.with_more(fresh)
