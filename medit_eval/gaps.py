"""How long ago each edit of a sequence was made, as subsets of a summary.

`just_made` are the edits since the last checkpoint, `earlier` all others (retention). `gap A-B` are
edits behind which A to B others were made: how an edit fares at growing gaps, as in VLKEB
(arXiv 2403.07350).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from medit_eval.predictions import Prediction
from medit_eval.protocols import edits_of

BOUNDS = (0, 10, 50, 100, 500)
"""Where the ranges of gaps begin."""

JUST_MADE, EARLIER = "just_made", "earlier"


@dataclass(frozen=True)
class Gaps:
    """The order in which records were edited.

    Attributes:
        order: Their ids; empty for runs without checkpoints.
        checkpoints: Numbers of edits after which everything was asked.
    """

    order: Sequence[str] = ()
    checkpoints: Sequence[int] = ()

    def subsets(self, prediction: Prediction) -> list[str]:
        """The subsets that a prediction belongs to beside `all`; none where there is no order."""
        edits, place = edits_of(prediction.phase), self._places.get(prediction.record)
        if edits is None or place is None or prediction.expectation != "target":
            return []
        gap = edits - 1 - place
        last = max((c for c in self.checkpoints if c < edits), default=0)
        return [JUST_MADE if place >= last else EARLIER, gap_name(gap)]

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {record: place for place, record in enumerate(self.order)}


def gap_name(gap: int) -> str:
    """The subset of a gap: `gap 10-49` for 17."""
    start = max(bound for bound in BOUNDS if bound <= gap)
    following = [bound for bound in BOUNDS if bound > start]
    return f"gap {start}-{following[0] - 1}" if following else f"gap {start}+"
