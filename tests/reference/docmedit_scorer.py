"""DocMEdit's six metrics from their formulas, slowly, with the libraries that the release uses.

`rouge-score` and scikit-learn do the counting, one pair of texts at a time. Texts are taken as the
model wrote them, evidence as a list of sentences. NaN stands where the release draws at random.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from rouge_score.rouge_scorer import RougeScorer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

NAN = float("nan")
Entities = Callable[[str], Sequence[str]]


def rouge_l(target: str, prediction: str) -> float:
    return RougeScorer(["rougeL"]).score(target, prediction)["rougeL"].fmeasure


def add(x: str, text: str) -> list[str]:
    """Pieces between full stops with a cosine to all of x under 0.7."""
    pieces = text.split(".")
    try:
        vectors = TfidfVectorizer().fit_transform([x, *pieces])
    except ValueError:  # no word of two letters anywhere: nothing is like anything
        return [piece.strip() for piece in pieces]
    cosines = cosine_similarity(vectors[:1], vectors[1:]).ravel()
    return [p.strip() for p, cosine in zip(pieces, cosines, strict=True) if cosine < 0.7]


def keep(x: str, text: str) -> list[str]:
    """Pieces between full stops that are substrings of x."""
    pieces = (match.group(0) for match in re.finditer(r"[^.]+\.?", text))
    return [piece.strip() for piece in pieces if piece in x]


def document_rouge(x: str, gold: str, output: str) -> float:
    return rouge_l(" ".join(add(x, gold)), " ".join(add(x, output)))


def document_entity(x: str, gold: str, output: str, entities: Entities) -> float:
    new = set(entities(gold)) - set(entities(x))
    given = set(entities(output)) - set(entities(x))
    return len(given & new) / len(new) if new else NAN


def edit_rouge(x: str, output: str, evidence: Sequence[str]) -> list[float]:
    additions = add(x, output) or [""]
    return [max(rouge_l(sentence, addition) for addition in additions) for sentence in evidence]


def edit_entity(
    x: str, gold: str, output: str, evidence: Sequence[str], entities: Entities
) -> list[float]:
    values = []
    for sentence in evidence:
        wanted = set(entities(sentence)) & (set(entities(gold)) - set(entities(x)))
        given = set(entities(output)) - set(entities(x))
        values.append(len(given & wanted) / len(wanted) if wanted else None)
    scored = [value for value in values if value is not None]
    fill = sum(scored) / len(scored) if scored else NAN
    return [fill if value is None else value for value in values]


def rouge_side_effect(x: str, gold: str, output: str) -> float:
    target, prediction = " ".join(keep(x, gold)), " ".join(keep(x, output))
    return 1.0 if target == "" or x in output else rouge_l(target, prediction)


def entity_side_effect(x: str, gold: str, output: str, entities: Entities) -> float:
    stay = set(entities(x)) & set(entities(gold))
    return len(stay & set(entities(output))) / len(stay) if stay else 0.0
