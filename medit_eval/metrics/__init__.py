"""Metrics by name. `docs/metrics.md` says what each means and where it comes from."""

from __future__ import annotations

from medit_eval.metrics import fluency, generation, likelihood, memory
from medit_eval.metrics.core import Metric, Need, Unscorable
from medit_eval.metrics.papers import HARMONICS, PAPER_METRICS, PAPERS, per_record

_LIKELIHOOD: frozenset[Need] = frozenset({"likelihood"})
_CONTINUATION: frozenset[Need] = frozenset({"continuation"})
_EDIT = frozenset({"edit"})

DEFAULT: tuple[Metric, ...] = (
    Metric("generated", generation.generated, "target"),
    Metric("exact", generation.exact, "target"),
    Metric(
        "teacher_forced",
        likelihood.teacher_forced,
        "target",
        needs=_LIKELIHOOD,
        way="teacher-forced",
    ),
    Metric("unchanged_generated", generation.unchanged_generated, "unchanged"),
    Metric(
        "unchanged_top1",
        likelihood.unchanged_top1,
        "unchanged",
        needs=_LIKELIHOOD,
        way="teacher-forced",
    ),
    Metric(
        "unchanged_topk",
        likelihood.unchanged_topk,
        "unchanged",
        needs=_LIKELIHOOD,
        way="teacher-forced",
    ),
    Metric("gold_generated", generation.gold_generated, "unchanged"),
    Metric("leak", generation.leak, "unchanged"),
    Metric("probability", likelihood.probability, needs=_LIKELIHOOD, way="probability"),
    Metric("pre_edit_right", generation.pre_edit_right),
    Metric("pre_edit_target", generation.pre_edit_target, "target"),
    Metric("activation", memory.activation, routed=True, way="routing"),
    Metric("right_entry", memory.right_entry, "target", routed=True, way="routing"),
)
"""What is reported where nobody says otherwise."""

METRICS: tuple[Metric, ...] = (
    *DEFAULT,
    Metric("fluency", fluency.fluency, "target", kinds=_EDIT, needs=_CONTINUATION),
    Metric(
        "fluency_pre_edit",
        fluency.fluency_pre_edit,
        "target",
        kinds=_EDIT,
        needs=_CONTINUATION,
    ),
    *PAPER_METRICS,
)
"""All metrics that need no endpoint; see `medit_eval.judge` for the one that does."""

HEADLINE = ("generated", "unchanged_generated")
"""The metrics that a report leads with: free generation, for probes to reach and not to reach."""


def way_of(metric: str) -> str:
    """How a metric of this name looks at an answer; `its own` for a metric of the user's."""
    ways: dict[str, str] = {known.name: known.way for known in METRICS}
    ways |= {name: ways[parts[0].metric] for name, parts in HARMONICS.items()}
    return ways.get(metric, "judge" if metric == "judged" else "its own")


__all__ = [
    "DEFAULT",
    "HEADLINE",
    "METRICS",
    "PAPERS",
    "Metric",
    "Need",
    "Unscorable",
    "per_record",
    "way_of",
]
