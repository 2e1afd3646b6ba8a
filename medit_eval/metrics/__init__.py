"""Metrics by name. `docs/metrics.md` says what each means and where it comes from."""

from __future__ import annotations

from medit_eval.metrics import fluency, generation, likelihood, memory
from medit_eval.metrics.core import Metric, Need, Unscorable

_LIKELIHOOD: frozenset[Need] = frozenset({"likelihood"})
_CONTINUATION: frozenset[Need] = frozenset({"continuation"})
_EDIT = frozenset({"edit"})

DEFAULT: tuple[Metric, ...] = (
    Metric("generated", generation.generated, "target"),
    Metric("exact", generation.exact, "target"),
    Metric("teacher_forced", likelihood.teacher_forced, "target", needs=_LIKELIHOOD),
    Metric("unchanged_generated", generation.unchanged_generated, "unchanged"),
    Metric("unchanged_top1", likelihood.unchanged_top1, "unchanged", needs=_LIKELIHOOD),
    Metric("unchanged_topk", likelihood.unchanged_topk, "unchanged", needs=_LIKELIHOOD),
    Metric("gold_generated", generation.gold_generated, "unchanged"),
    Metric("leak", generation.leak, "unchanged"),
    Metric("probability", likelihood.probability, needs=_LIKELIHOOD),
    Metric("pre_edit_right", generation.pre_edit_right),
    Metric("pre_edit_target", generation.pre_edit_target, "target"),
    Metric("activation", memory.activation, routed=True),
    Metric("right_entry", memory.right_entry, "target", routed=True),
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
)
"""All metrics that need no endpoint; see `medit_eval.judge` for the one that does."""

HEADLINE = ("generated", "unchanged_generated")
"""The metrics that a report leads with: free generation, for probes to reach and not to reach."""

__all__ = ["DEFAULT", "HEADLINE", "METRICS", "Metric", "Need", "Unscorable"]
