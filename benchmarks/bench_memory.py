"""Searching a large memory: facts by words, by vectors and by pictures, and codebooks of keys.

    python -m benchmarks.bench_memory                              # a few minutes on two cores
    python -m benchmarks.bench_memory --write docs/performance.md  # the table, between its markers

The literal way looks at one query at a time and at every entry of the memory in turn
(`tests/reference/memory_literal.py`), at a few queries, since it takes long. "From scratch" is what
one more entry costs where the whole index is made anew. Words, vectors and keys are random.
"""

from __future__ import annotations

import argparse
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import torch

from benchmarks.measuring import Measured, alternate, machine, markdown, seconds
from benchmarks.paste import paste
from editors.codebook import Codebook, Entry
from editors.copies import Vectors
from editors.facts import Fact, Shelf
from editors.keys import Measure
from editors.prompts import Query
from editors.retrieval import BM25, Index, VectorIndex
from editors.sight import Picture
from schemas.images import EncodedImage
from tests.reference.memory_literal import LiteralBM25, nearest, nearest_keys

COLUMNS = (
    *("memory", "entries", "queries", "literal, per query", "medit, per query", "ratio"),
    *("one more entry, from scratch", "medit, with a query", "ratio"),
)

HIDDEN, VECTOR, KEY = 896, 768, 2048
"""Widths of pictures' keys, of sentences' vectors, and of a codebook's keys."""

_SYLLABLES = ("ba", "do", "ki", "lu", "mer", "nas", "or", "pel", "ri", "sto", "ta", "vin", "wen")
_FRAMES = (
    "{} was born in {}.",
    "The mother tongue of {} is {}.",
    "{} works for {} in the city.",
    "The capital of the country of {} is {}.",
    "{}, who was born in the north, died in {}.",
)
_QUESTIONS = ("Where was {} born?", "What is the mother tongue of {}?", "Who does {} work for?")


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        name: What is searched.
        queries: How many queries are asked together.
        literal: One query, entry by entry.
        ours: All queries.
        scratch: An index of all entries and one more, and a query.
        grown: The same index grown out of the one before, and a query.
    """

    name: str
    queries: int
    literal: Callable[[], Any]
    ours: Callable[[], Any]
    scratch: Callable[[], Any]
    grown: Callable[[], Any]


class Words:
    """Sentences about made-up people."""

    def __init__(self, seed: int) -> None:
        """Begin anew."""
        self._draw = random.Random(seed)

    def name(self) -> str:
        """One of some 28,000 names."""
        return " ".join("".join(self._draw.choices(_SYLLABLES, k=2)).title() for _ in range(2))

    def fact(self) -> str:
        """A sentence about somebody."""
        return self._draw.choice(_FRAMES).format(self.name(), self.name())

    def question(self) -> str:
        """A question about somebody."""
        return self._draw.choice(_QUESTIONS).format(self.name())


class RandomVectors:
    """Stands for an encoder of sentences, whose own time does not belong to the search."""

    def __init__(self) -> None:
        """Begin without any."""
        self._known: dict[str, torch.Tensor] = {}

    def embed(self, texts: Sequence[str]) -> torch.Tensor:
        """A random vector for each text."""
        for text in texts:
            if text not in self._known:
                self._known[text] = _random(zlib.crc32(text.encode()), VECTOR)
        return torch.stack([self._known[text] for text in texts])


class RandomSight:
    """Stands for a model that looks at pictures."""

    def keys(self, images: Sequence[EncodedImage]) -> list[torch.Tensor]:
        """A random unit vector for each picture."""
        return [_unit(zlib.crc32(image.bytes)) for image in images]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and paste it where asked."""
    parser = argparse.ArgumentParser(description="Memories: milliseconds per query.")
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", type=Path, help="file with the markers to paste between")
    args = parser.parse_args(arguments)
    rows = [
        cells
        for case in (
            *_texts(args.entries, args.queries),
            *_pictures(args.entries, args.queries),
            *_codebooks(args.entries, args.queries),
        )
        for cells in [_measured(case, args.entries, args.repeats)]
    ]
    table = f"{markdown(COLUMNS, rows)}\n\n{machine()}"
    print(table)
    if args.write:
        paste(args.write, "bench_memory", table)


def _texts(entries: int, queries: int) -> Iterator[Case]:
    """BM25 and vectors, as scores of all facts and as the facts that a shelf finds."""
    draw = Words(0)
    texts = [draw.fact() for _ in range(entries)]
    asked = [draw.question() for _ in range(queries)]
    literal, index = LiteralBM25(texts), BM25().index(texts)
    yield Case(
        "BM25, scores of all facts",
        queries,
        lambda: literal.scores(asked[:1]),
        lambda: index.scores(asked),
        lambda: BM25().index([*texts, "One more."]).scores(asked[:1]),
        lambda: index.changed(None, ["One more."]).scores(asked[:1]),
    )
    encoder = RandomVectors()
    held = encoder.embed(texts)
    vectors = VectorIndex(encoder, held)
    yield Case(
        "vectors, scores of all facts",
        queries,
        lambda: [float(encoder.embed(asked[:1])[0] @ vector) for vector in held],
        lambda: vectors.scores(asked),
        lambda: VectorIndex(encoder, encoder.embed([*texts, "One more."])).scores(asked[:1]),
        _growing(vectors, asked),
    )
    yield _shelf("facts, the five nearest", texts, asked, None)


def _pictures(entries: int, queries: int) -> Iterator[Case]:
    draw = Words(1)
    texts = [draw.fact() for _ in range(entries)]
    asked = [draw.question() for _ in range(queries)]
    yield _shelf("facts with pictures, the five nearest", texts, asked, RandomSight())


def _shelf(name: str, texts: Sequence[str], asked: Sequence[str], sight: Any) -> Case:
    """A memory of facts, with pictures where there is somebody to look at them."""

    def fact(text: str, number: int) -> Fact:
        picture = None if sight is None else Picture(_unit(number), 0.5)
        return Fact(text, None, str(number), str(number), picture)

    def query(text: str, number: int) -> Query:
        picture = None if sight is None else EncodedImage(str(number).encode(), "a.png")
        return Query(text, picture)

    facts = tuple(fact(text, number) for number, text in enumerate(texts))
    more = (*facts, fact("One more.", len(facts)))
    queries = [query(text, number) for number, text in enumerate(asked)]
    literal = LiteralBM25(texts)
    shelf = Shelf(facts, BM25(), sight, 5)
    spaces = count(1)

    def search() -> None:
        # A shelf keeps what it found; with more spaces these are other queries.
        space = " " * next(spaces)
        shelf.nearest([replace(query, prompt=query.prompt + space) for query in queries])

    return Case(
        name,
        len(queries),
        lambda: nearest(facts, literal.scores([asked[0]]), queries[:1], sight, 5),
        search,
        lambda: Shelf(more, BM25(), sight, 5).nearest(queries[:1]),
        _adding(shelf, fact, sight, queries[:1]),
    )


def _adding(
    shelf: Shelf, fact: Callable[[str, int], Fact], sight: Any, asked: Sequence[Query]
) -> Callable[[], Any]:
    """Adds a fact to the memory that it made before, as an editor does."""
    state = [shelf]

    def run() -> None:
        facts = state[0].facts
        more = (*facts, fact("One more.", len(facts)))
        state[0] = Shelf(more, BM25(), sight, 5, state[0])
        state[0].nearest(asked)

    return run


def _codebooks(entries: int, queries: int) -> Iterator[Case]:
    """Keys that share a direction, as those of a layer do, and questions near some of them."""
    torch.manual_seed(0)
    keys = torch.randn(KEY) + torch.randn(entries, KEY)
    values = torch.randn(entries, 128)
    asked = keys[torch.randint(entries, (queries,))] + 0.1 * torch.randn(queries, KEY)
    made = tuple(Entry(str(i), str(i), 1.0) for i in range(entries))
    more = Codebook(
        (Entry("more", "more", 1.0),), torch.randn(1, KEY), Vectors(torch.zeros(1, 128))
    )

    def fresh() -> Codebook:
        return Codebook(made, keys, Vectors(values))

    measures: tuple[Measure, ...] = ("euclidean", "cosine")
    for measure in measures:
        yield _codebook(measure, fresh(), fresh, more, asked)


def _codebook(
    measure: Measure, book: Codebook, fresh: Callable[[], Codebook], more: Codebook, asked: Any
) -> Case:
    unit = torch.nn.functional.normalize

    def literal() -> None:
        if measure == "euclidean":
            nearest_keys(asked[:1], book.keys)
        else:
            min(float(1 - unit(asked[0], dim=0) @ unit(key, dim=0)) for key in book.keys)

    def scratch() -> None:
        old = fresh()
        keys = torch.cat([old.keys, more.keys])
        copies = Vectors(torch.cat([*old.copies.tensors, *more.copies.tensors]))  # type: ignore[list-item]
        made = Codebook(old.entries + more.entries, keys, copies)
        made.nearest(asked[:1], measure)

    grown = [book]

    def grow() -> None:
        grown[0] = grown[0].with_more(more)
        grown[0].nearest(asked[:1], measure)
        grown[0].radii()

    name = f"codebook of keys of width {KEY:,}, {measure}"
    return Case(name, len(asked), literal, lambda: book.nearest(asked, measure), scratch, grow)


def _growing(index: Index, asked: Sequence[str]) -> Callable[[], Any]:
    """Adds an entry to what it made before, as an editor does."""
    state = [index]

    def run() -> None:
        state[0] = state[0].changed(None, ["One more."])
        state[0].scores(asked[:1])

    return run


def _measured(case: Case, entries: int, repeats: int) -> list[str]:
    """A line's cells."""
    # The literal ways take seconds each, so once is enough for those.
    slow = alternate({"literal": case.literal}, 1, warm=False)["literal"].seconds
    case.grown()  # the first one takes the room that those after it fill
    found = alternate({"scratch": case.scratch, "grown": case.grown}, repeats)
    found |= alternate({"ours": case.ours}, repeats)
    own = found["ours"].seconds / case.queries
    return [
        case.name,
        f"{entries:,}",
        f"{case.queries:,}",
        seconds(slow),
        seconds(own),
        f"{slow / own:,.0f}x",
        seconds(found["scratch"].seconds),
        seconds(found["grown"].seconds),
        _ratio(found["scratch"], found["grown"]),
    ]


def _ratio(slow: Measured, fast: Measured) -> str:
    return f"{slow.seconds / fast.seconds:.1f}x"


def _random(seed: int, width: int) -> torch.Tensor:
    return torch.randn(width, generator=torch.Generator().manual_seed(seed % 2**31))


def _unit(seed: int) -> torch.Tensor:
    return torch.nn.functional.normalize(_random(seed, HIDDEN), dim=0)


if __name__ == "__main__":
    main()
