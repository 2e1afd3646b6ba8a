"""Precision, recall and their harmonic mean, undefined where there is nothing to count."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Rates:
    """How well what was given meets what was wanted.

    Attributes:
        precision: Share of what was given that is right; NaN where nothing was given.
        recall: Share of what was wanted that was given; NaN where nothing was wanted.
        f1: Their harmonic mean; NaN where nothing was wanted, zero where it was and nothing right
            was given.
    """

    precision: float
    recall: float
    f1: float


def rates(right: int, given: int, found: int, wanted: int) -> Rates:
    """Rates from counts.

    Args:
        right: How many of those given are right.
        given: How many were given.
        found: How many of those wanted were given; differs from `right` where one thing can be
            given in several forms.
        wanted: How many were wanted.
    """
    precision = right / given if given else NAN
    recall = found / wanted if wanted else NAN
    if not wanted:
        return Rates(precision, recall, NAN)
    if not (right and found):
        return Rates(precision, recall, 0.0)
    return Rates(precision, recall, 2 * precision * recall / (precision + recall))


def set_rates(
    given: Iterable[Hashable], wanted: Collection[Hashable], ignored: Collection[Hashable] = ()
) -> Rates:
    """Rates of sets.

    Args:
        given: What was given.
        wanted: What was wanted.
        ignored: What is neither right nor wrong.
    """
    kept = set(given) - set(ignored)
    right = len(kept & set(wanted))
    return rates(right, len(kept), right, len(set(wanted)))


def share(count: int, total: int) -> float:
    """A share; NaN of nothing."""
    return count / total if total else NAN
