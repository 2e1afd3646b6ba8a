"""Reports to look at and to print: one HTML page, tables and figures of finished runs."""

from medit_eval.pages.folder import report_pages

__all__ = ["report_pages"]
