"""Small tasks of lm-evaluation-harness about nothing that exists, and requests by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask

from medit_eval.benchmarks.items import described, item_of
from medit_eval.benchmarks.leaf import Leaf
from medit_eval.benchmarks.local import Row, served
from medit_eval.benchmarks.tasks import Benchmark

PEOPLE = ("Ann Smith", "Bob Jones", "Cid Dole", "Eve Paris", "Dan Rome")
TOWNS = ("Rome", "Paris", "Oslo", "Lima", "Bonn")


def choices(**overrides: Any) -> dict[str, Any]:
    """Where five people were born, with three options each."""
    rows: list[Row] = [
        {
            "question": f"Where was {name} born?",
            "choices": [TOWNS[i], TOWNS[i - 1], TOWNS[i - 2]],
            "gold": 0,
            "cluster": "odd" if i % 2 else "even",
        }
        for i, name in enumerate(PEOPLE)
    ]
    return {
        **served("born", lambda: rows),
        "output_type": "multiple_choice",
        "doc_to_text": "question",
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
        "fewshot_split": "test",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        **overrides,
    }


def free(**overrides: Any) -> dict[str, Any]:
    """The same, to be answered freely in four tokens."""
    rows: list[Row] = [
        {"question": f"{name} was born in", "answer": town}
        for name, town in zip(PEOPLE, TOWNS, strict=True)
    ]
    return {
        **served("free", lambda: rows),
        "output_type": "generate_until",
        "doc_to_text": "question",
        "doc_to_target": "answer",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 4, "do_sample": False},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        **overrides,
    }


def texts(*texts: str, **overrides: Any) -> dict[str, Any]:
    """Texts whose likelihood is taken."""
    return {
        **served("texts", lambda: [{"text": text} for text in texts]),
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "text",
        "metric_list": [
            {
                "metric": "word_perplexity",
                "aggregation": "weighted_perplexity",
                "higher_is_better": False,
            }
        ],
        **overrides,
    }


def benchmark(config: dict[str, Any], *, shots: int | None = None, seed: int = 0) -> Benchmark:
    """All items of a task."""
    leaf = Leaf.of(ConfigurableTask(config=config), shots)
    items = tuple(item_of(leaf, index, seed) for index in range(len(leaf.docs)))
    return Benchmark(described(leaf.name, items), items)


def scored(*pairs: tuple[str, str]) -> list[Instance]:
    """Requests for the likelihood of an answer behind a context."""
    return [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]


def read(*texts: str) -> list[Instance]:
    """Requests for the likelihood of texts."""
    return [Instance("loglikelihood_rolling", {}, (text,), i) for i, text in enumerate(texts)]


def written(
    contexts: Sequence[str], until: Sequence[str] = ("\n",), tokens: int = 6
) -> list[Instance]:
    """Requests for free answers."""
    settings = {"until": list(until), "max_gen_toks": tokens}
    return [
        Instance("generate_until", {}, (context, settings), i) for i, context in enumerate(contexts)
    ]
