"""DR, DE, ER, EE, RSE and ESE as DocMEdit's released scorer computes them, without its dice.

The quirks are kept, so that numbers compare with published ones; `docs/document-metrics.md` lists
them. Use `strict` for anything else. Source: `score.py` and `eval_all.py` of BITHLP/DocMEdit
(July 2025), which call the six AR, AT, ER, ET, RSE and TSE.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from medit_eval.documents.entities import by_form, surfaces
from medit_eval.documents.rates import NAN
from medit_eval.documents.rouge import ascii_words, similarity
from medit_eval.tfidf import Tfidf, cosine

Name = Literal["DR", "DE", "ER", "EE", "RSE", "ESE"]

NAMES: tuple[Name, ...] = ("DR", "DE", "ER", "EE", "RSE", "ESE")

NOVEL = 0.7
"""TF-IDF cosine to the whole input below which a piece counts as an addition."""

_PIECE = re.compile(r"[^.]+\.?")
_AHEAD = ("Updated version:", "Article:")
_BEHIND = ("Updated version:", "Article:", "Acticle:")  # the third as the scorer spells it


@dataclass(frozen=True, slots=True)
class CompatScore:
    """The released scorer's judgement of one output.

    Attributes:
        dr: Document-ROUGE.
        de: Document-Entity; NaN where the gold adds no entity.
        er: Edit-ROUGE of each fact.
        ee: Edit-Entity of each fact. A fact without an entity that the gold adds has the mean of
            the other facts; where there is none, all are NaN (the release draws a random number).
        rse: ROUGE Side Effect.
        ese: Entity Side Effect; zero where there is no entity to keep.
    """

    dr: float
    de: float
    er: tuple[float, ...]
    ee: tuple[float, ...]
    rse: float
    ese: float

    def of(self, name: Name) -> tuple[float, ...]:
        """The values that a metric's mean is taken over: one of the document, or one per fact."""
        single = {"DR": self.dr, "DE": self.de, "RSE": self.rse, "ESE": self.ese}
        several = {"ER": self.er, "EE": self.ee}
        return several[name] if name in several else (single[name],)

    def values(self) -> dict[str, float]:
        """The metrics by name, those of facts as the mean over the document's facts."""
        return {name: _mean([v for v in self.of(name) if not math.isnan(v)]) for name in NAMES}


def compat_score(
    before: str,
    after: str,
    output: str,
    evidence: Sequence[str],
    entities: Callable[[str], Sequence[str]] | None = None,
) -> CompatScore:
    """The released scorer's judgement of an output.

    Args:
        before: The input, x.
        after: The gold, y'.
        output: What the model wrote, ŷ; markers of the prompt are cut off as the scorer does.
        evidence: The evidence sentences, e_j.
        entities: From a text to the entities in it as they stand there; the release takes spaCy's
            `en_core_web_md` (`surfaces(SpacyRecogniser())`). None finds them by form.
    """
    find = surfaces(by_form) if entities is None else entities
    said = cut(output)
    gold_pieces, pieces = added_pieces(before, after), added_pieces(before, said)
    old, gold, given = (set(find(text)) for text in (before, after, said))
    new = gold - old
    stay = gold & old
    return CompatScore(
        dr=_rouge(" ".join(gold_pieces), " ".join(pieces)),
        de=len((given - old) & new) / len(new) if new else NAN,
        er=tuple(max((_rouge(text, piece) for piece in pieces), default=0.0) for text in evidence),
        ee=_edit_entity([set(find(text)) & new for text in evidence], given - old),
        rse=_rouge_side_effect(before, after, said),
        ese=len(given & stay) / len(stay) if stay else 0.0,
    )


def released_mean(name: Name, scores: Sequence[CompatScore]) -> float:
    """The mean of a metric as released: over `counted` values, of DE zero where there is none."""
    values = [value for score in scores for value in counted(name, score)]
    return _mean(values) if values or name != "DE" else 0.0


def counted(name: Name, score: CompatScore) -> list[float]:
    """The values of one document that the released mean takes: of DE only those above zero."""
    return [v for v in score.of(name) if not math.isnan(v) and not (name == "DE" and v == 0)]


def cut(output: str) -> str:
    """The output without a prompt's markers in front, and up to the next one."""
    for marker in _AHEAD:
        if output.startswith(marker):
            output = output[len(marker) :].strip()
            break
    for marker in _BEHIND:
        if marker in output:
            return output.split(marker)[0].strip()
    return output.strip()


def added_pieces(before: str, text: str) -> list[str]:
    """The pieces of a text between full stops whose TF-IDF cosine to all of the input is low.

    TF-IDF is fitted on the input and the pieces together, with scikit-learn's defaults.
    """
    pieces = text.split(".")
    words = Tfidf.of([before, *pieces])
    whole = words.vector(before)
    return [piece.strip() for piece in pieces if cosine(whole, words.vector(piece)) < NOVEL]


def kept_pieces(before: str, text: str) -> list[str]:
    """The pieces of a text between full stops that stand in the input."""
    return [piece.strip() for piece in _PIECE.findall(text) if piece in before]


def _rouge_side_effect(before: str, after: str, output: str) -> float:
    keep = " ".join(kept_pieces(before, after))
    if not keep or before in output:
        return 1.0
    return _rouge(keep, " ".join(kept_pieces(before, output)))


def _edit_entity(wanted: Sequence[set[str]], given: set[str]) -> tuple[float, ...]:
    found = [len(given & names) / len(names) if names else None for names in wanted]
    mean = _mean([value for value in found if value is not None])
    return tuple(mean if value is None else value for value in found)


def _rouge(target: str, prediction: str) -> float:
    return similarity(ascii_words(target), ascii_words(prediction))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else NAN
