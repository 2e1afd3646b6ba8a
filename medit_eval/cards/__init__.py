"""Evaluation cards: one page that says what a run did, what came of it, and what it cannot say."""

from medit_eval.cards.making import Card, card

__all__ = ["Card", "card"]
