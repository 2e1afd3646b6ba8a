"""Tasks that come with this package: what the testbed models know, chain, read and write.

They ask about the world of `testbed`, and about nobody whose facts are there to be edited. Other
models know nothing of it, and are at chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from medit_eval.benchmarks import documents
from medit_eval.benchmarks.documents import Row
from medit_eval.metrics.matching import equals
from medit_eval.testbed.world import World

ITEMS: Mapping[str, int] = MappingProxyType(
    {"knowledge": 120, "recall": 180, "hops": 100, "reading": 100, "fluency": 80, "flags": 80}
)
"""Items of each task."""

Config = dict[str, Any]

_SHORT = 32
"""Tokens of a chained answer, at most."""


def knowledge() -> list[Config]:
    """Facts about people and countries, as questions with four options."""
    return [
        {
            **_served("world_knowledge", documents.knowledge),
            "output_type": "multiple_choice",
            "doc_to_text": "question",
            "doc_to_choice": "choices",
            "doc_to_target": "gold",
            "metric_list": [_mean("acc")],
        }
    ]


def recall() -> list[Config]:
    """Such questions without options, to be answered from memory: the most sensitive task."""
    return [_written("world_recall", documents.recall, right=_exactly)]


def hops() -> list[Config]:
    """Questions that chain two or three facts; the last link of a free answer counts."""
    return [_written("world_hops", documents.hops, right=_last_link)]


def reading() -> list[Config]:
    """Questions about strangers, behind the sentence that holds the answer."""
    return [_written("world_reading", documents.reading, right=_exactly)]


def fluency() -> list[Config]:
    """Texts of the kind that the models learned, in words and an order of their own."""
    return [
        {
            **_served("world_fluency", documents.fluency),
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
        }
    ]


def flags() -> list[Config]:
    """Pictures of flags, with four countries to choose from."""
    return [
        {
            **_served("world_flags", documents.flags),
            "output_type": "multiple_choice",
            "doc_to_text": "question",
            "doc_to_image": "picture",
            "doc_to_choice": "choices",
            "doc_to_target": "gold",
            "metric_list": [_mean("acc")],
        }
    ]


TEXT: Mapping[str, Callable[[], list[Config]]] = MappingProxyType(
    {
        "world_knowledge": knowledge,
        "world_recall": recall,
        "world_hops": hops,
        "world_reading": reading,
        "world_fluency": fluency,
    }
)
"""Tasks for every model."""

PICTURES: Mapping[str, Callable[[], list[Config]]] = MappingProxyType({"world_flags": flags})
"""Tasks for models that read pictures."""


def served(name: str, rows: Callable[[], list[Row]]) -> Config:
    """The part of a task's configuration that says where its documents come from."""

    def load(**_: Any) -> Any:
        from datasets import Dataset

        return {"test": Dataset.from_list(rows())}

    return {
        "task": name,
        "custom_dataset": load,
        "test_split": "test",
        "num_fewshot": 0,
        "target_delimiter": " ",
        "metadata": {"version": 1},
    }


def _served(name: str, rows: Callable[[World, int], list[Row]]) -> Config:
    count = ITEMS[name.removeprefix("world_")]
    return served(name, lambda: rows(World.draw(), count))


def _written(
    name: str,
    rows: Callable[[World, int], list[Row]],
    right: Callable[[Row, Sequence[str]], Mapping[str, float]],
) -> Config:
    return {
        **_served(name, rows),
        "output_type": "generate_until",
        "doc_to_text": "question",
        "doc_to_target": "answer",
        "process_results": right,
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": _SHORT, "do_sample": False},
        "metric_list": [_mean("exact_match")],
    }


def _mean(metric: str) -> Config:
    return {"metric": metric, "aggregation": "mean", "higher_is_better": True}


def _last_link(doc: Row, results: Sequence[str]) -> Mapping[str, float]:
    """Whether the last link of a chain is the answer; see `world.chain`."""
    return {"exact_match": float(equals(results[0].rsplit(", so ", 1)[-1], [doc["answer"]]))}


def _exactly(doc: Row, results: Sequence[str]) -> Mapping[str, float]:
    return {"exact_match": float(equals(results[0], [doc["answer"]]))}
