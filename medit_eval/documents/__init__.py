"""Scores of rewritten documents: pure functions of an article, its gold rewrite and an output.

`compat` has the numbers of DocMEdit's released scorer, `strict` those to rely on, `scores` both for
many documents with intervals. `docs/document-metrics.md` describes each.
"""

from medit_eval.documents.scores import DocumentTable, copy_input, gold, score_documents

__all__ = ["DocumentTable", "copy_input", "gold", "score_documents"]
