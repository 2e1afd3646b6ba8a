"""What a source as a whole offers to its single rows: answer pools and other pictures."""

from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from builders.okedit.offline import pool_answers
from builders.okedit.words import answer_type
from builders.seeds import seed_for

RESERVOIR = 2_000
"""Rows whose pictures can serve others; a fixed number, so memory does not grow with the source."""


@dataclass
class Survey:
    """Gathered while the source is read once, then handed to every worker as JSON.

    Attributes:
        seed: The build's seed.
        pools: Distinct answers by answer type.
        candidates: A uniform sample of rows with a picture (reservoir sampling).
    """

    seed: int
    pools: dict[str, list[str]] = field(default_factory=dict)
    candidates: list[dict[str, Any]] = field(default_factory=list)
    _rows: int = 0

    def add(self, row: int, question: str, answer: str, image: str | None) -> None:
        """Take note of one row, unless its text would spoil the records that it is lent to."""
        if any(unicodedata.category(c) in ("Cc", "Cs") for c in question + answer):
            return
        pool_answers(self.pools, question, answer)
        if image is None:
            return
        entry = {
            "row": row,
            "question": question,
            "answer": answer,
            "answer_type": answer_type(question, answer),
            "image": image,
        }
        self._rows += 1
        if len(self.candidates) < RESERVOIR:
            self.candidates.append(entry)
            return
        place = random.Random(seed_for(self.seed, "survey", self._rows)).randrange(self._rows)
        if place < RESERVOIR:
            self.candidates[place] = entry

    def to_json(self) -> dict[str, Any]:
        """The survey as the workers get it."""
        return {"pools": self.pools, "candidates": self.candidates}
