"""The metrics of the CounterFact evaluation, as ROME, MEMIT and AlphaEdit print them.

Definitions: Meng et al. 2022, "Locating and Editing Factual Associations in GPT" (ES, EM, PS, PM,
NS, NM, GE, RS, S). Code reproduced: kmeng01/rome and jianghoucheng/AlphaEdit,
`experiments/py/eval_utils_counterfact.py` for each prompt, `experiments/summarize.py` for means.
There an answer's score is the mean of its tokens' negative log-probabilities, and its probability
is exp(-score). Means are over a record's prompts first, and then over records.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medit_eval.metrics.core import GENERATION, Metric, Unscorable, post
from medit_eval.metrics.fluency import ngram_entropy
from medit_eval.predictions import Prediction
from medit_eval.tfidf import Tfidf, cosine

CONSISTENCY = "counterfact_consistency"


def efficacy(prediction: Prediction) -> float:
    """After the edited prompt, the new answer is more probable than the old one."""
    return _wins(prediction)


def efficacy_magnitude(prediction: Prediction) -> float:
    """After the edited prompt, the probability of the new answer minus that of the old one."""
    return _difference(prediction)


def paraphrase(prediction: Prediction) -> float:
    """After a paraphrase of the prompt, the new answer is more probable than the old one."""
    return _wins(prediction)


def paraphrase_magnitude(prediction: Prediction) -> float:
    """After a paraphrase, the probability of the new answer minus that of the old one."""
    return _difference(prediction)


def neighborhood(prediction: Prediction) -> float:
    """For another subject with the old answer, that is more probable than the new one."""
    return _wins(prediction)


def neighborhood_magnitude(prediction: Prediction) -> float:
    """For another subject, the probability of its right answer minus that of the new one."""
    return _difference(prediction)


def generation_entropy(prediction: Prediction) -> float:
    """Entropy in bits of the word groups in a prompt about the subject and its continuation.

    The papers print 100 times this. Their words are those of NLTK, their continuations are sampled
    among the 5 most probable tokens and end 100 tokens after the prompt's first.
    """
    return ngram_entropy(_text(prediction))


def no_references(prediction: Prediction) -> float:
    """TF-IDF cosine of a record's continued prompts and texts about the new answer.

    This is what stands for it where no texts are given; see `consistency`.
    """
    raise Unscorable("no reference texts are given")


@dataclass(frozen=True)
class References:
    """Texts that a record's continuations should be like.

    Attributes:
        texts: The texts, by the record's id or by its new answer.
        tfidf: The weights of words, over all texts of the source.
    """

    texts: Mapping[str, Sequence[str]]
    tfidf: Tfidf

    def of(self, prediction: Prediction) -> Sequence[str]:
        """The texts of a prediction's record.

        Raises:
            Unscorable: If there are none.
        """
        for name in (prediction.record, *prediction.targets[:1]):
            if found := self.texts.get(name):
                return found
        raise Unscorable("there is no reference text for this record")


def consistency(references: References, predictions: Sequence[Prediction]) -> Metric:
    """The metric `counterfact_consistency` for these predictions.

    A record's continuations are one text, as in the code that is reproduced, so all prompts of a
    record have one score.
    """
    held: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        if prediction.kind == GENERATION:
            held[prediction.record, prediction.phase].append(prediction)
    known: dict[tuple[str, str], float] = {}

    def judge(prediction: Prediction) -> float:
        place = prediction.record, prediction.phase
        if place not in known:
            texts = references.of(prediction)
            said = " ".join(map(_text, held[place]))
            known[place] = _alike(references.tfidf, said, " ".join(texts))
        return known[place]

    judge.__doc__ = no_references.__doc__
    return Metric(
        CONSISTENCY,
        judge,
        kinds=frozenset({GENERATION}),
        needs=frozenset({"continuation"}),
        over="records",
    )


def _alike(words: Tfidf, first: str, second: str) -> float:
    here, there = words.vector(first), words.vector(second)
    if not here or not there:
        raise Unscorable("a text has no word of the reference texts")
    return cosine(here, there)


def _log_probabilities(prediction: Prediction) -> tuple[float, float]:
    """Mean log-probabilities of the right answer's tokens, and of those of its rival."""
    output = post(prediction)
    if not output.ids:
        raise Unscorable("there is no answer whose tokens could be scored")
    if not output.rival_logprobs:
        raise Unscorable("there is no other answer to compare with")
    return _mean(output.logprobs), _mean(output.rival_logprobs)


def _wins(prediction: Prediction) -> float:
    own, rival = _log_probabilities(prediction)
    return float(own > rival)


def _difference(prediction: Prediction) -> float:
    own, rival = _log_probabilities(prediction)
    return math.exp(own) - math.exp(rival)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _text(prediction: Prediction) -> str:
    continuation = post(prediction).continuation
    if continuation is None:
        raise Unscorable("no continuation was asked for")
    return f"{prediction.prompt} {continuation}"
