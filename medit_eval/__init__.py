"""Scoring of model editors: probes, metrics, protocols and statistics.

`score` edits a model and asks it the records' probes; `rescore` makes the report of a run again
from its files; both give a `Report`. `report_pages` makes a page, tables and figures of finished
runs, and `compare_runs` compares their editors on the same questions. `tune`
searches hyperparameters on records set aside.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medit_eval.comparing import Compared, compare_runs
    from medit_eval.pages.folder import report_pages
    from medit_eval.report import Report
    from medit_eval.scoring import rescore, score
    from medit_eval.tuning import Tuned, tune

__all__ = [
    "Compared",
    "Report",
    "Tuned",
    "compare_runs",
    "report_pages",
    "rescore",
    "score",
    "tune",
]

_HOME = {
    "Compared": "comparing",
    "Report": "report",
    "Tuned": "tuning",
    "compare_runs": "comparing",
    "report_pages": "pages.folder",
    "rescore": "scoring",
    "score": "scoring",
    "tune": "tuning",
}


def __getattr__(name: str) -> object:
    # Loaded at first use: the command line's help does not wait for torch.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"medit_eval.{_HOME[name]}"), name)
