"""Scoring of model editors: probes, metrics, protocols and statistics.

`score` edits a model and asks it the records' probes, or scores what another tool's model said, for
which `write_questions` writes the questions down; `rescore` makes the report of a run again from
its files; both give a `Report`. `study` scores several editors on several orders of edits,
`compare_runs` compares runs with each other, `report_pages` makes pages and figures of them, `card`
one page that says what was run, what came of it, and what it cannot say. `tune` searches
hyperparameters on records set aside, `reproduce` runs what a paper ran and puts the numbers side by
side. `edit` gives an edited model, whose `save` writes a folder
that `load` reads and `publish` puts on the Hub.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medit_eval.cards import Card, card
    from medit_eval.comparing import compare_runs
    from medit_eval.editing import edit
    from medit_eval.handout import write_questions
    from medit_eval.pages import report_pages
    from medit_eval.publishing import publish
    from medit_eval.report import Report
    from medit_eval.reproduction.running import Reproduction, reproduce
    from medit_eval.rescoring import rescore
    from medit_eval.restoring import load
    from medit_eval.scoring import score
    from medit_eval.studies import Study, study
    from medit_eval.tuning import Tuned, tune

__all__ = [
    "Card",
    "Report",
    "Reproduction",
    "Study",
    "Tuned",
    "card",
    "compare_runs",
    "edit",
    "load",
    "publish",
    "report_pages",
    "reproduce",
    "rescore",
    "score",
    "study",
    "tune",
    "write_questions",
]

_HOME = {
    "Card": "cards",
    "Report": "report",
    "Reproduction": "reproduction.running",
    "Study": "studies",
    "Tuned": "tuning",
    "card": "cards",
    "compare_runs": "comparing",
    "edit": "editing",
    "load": "restoring",
    "publish": "publishing",
    "report_pages": "pages",
    "reproduce": "reproduction.running",
    "rescore": "rescoring",
    "score": "scoring",
    "study": "studies",
    "tune": "tuning",
    "write_questions": "handout",
}


def __getattr__(name: str) -> object:
    # Loaded at first use: the command line's help does not wait for torch.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"medit_eval.{_HOME[name]}"), name)
