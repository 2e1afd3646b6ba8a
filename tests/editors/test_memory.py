"""Searching large memories: equal to looking at every entry, however the memory came to be."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from editors import codebook, facts
from editors.balancedit import BalancEdit
from editors.codebook import Codebook, Entry
from editors.copies import Vectors
from editors.facts import Fact, Shelf
from editors.grace import GRACE
from editors.keys import Measure, distances, nearest_of, prepared
from editors.prompts import Query
from editors.retrieval import BM25
from editors.rows import appended, overwritten
from editors.sight import Picture
from schemas.errors import InputError
from schemas.images import EncodedImage
from tests.editors.facts import FACTS
from tests.factories import make_image
from tests.reference.memory_literal import LiteralBM25, nearest, nearest_keys
from tests.tiny_models import tiny

NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Fay", "Gil")
PLACES = ("Rome", "Paris", "Oslo", "Kyiv", "the Old Town of Bern")
VERBS = ("was born in", "works in", "lives in, and was born in,", "likes")
QUESTIONS = (
    *("Where was Ann born?", "Who lives in Paris? Who?", "Zork", "", "Ann Bob Cleo Dan the"),
    *("Does Eve like Kyiv, or Rome?", "Where was Nobody born in Bern in Bern?"),
)
IMAGES = tuple(make_image(seed) for seed in range(4))


class Eyes:
    """Sees pictures as random unit vectors."""

    def keys(self, images: list[EncodedImage]) -> list[torch.Tensor]:
        return [self.key(image) for image in images]

    def key(self, image: EncodedImage) -> torch.Tensor:
        seed = int.from_bytes(image.bytes[-8:], "little") % 2**31
        made = torch.randn(6, generator=torch.Generator().manual_seed(seed))
        return torch.nn.functional.normalize(made, dim=0)


def sentences(count: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [
        f"{draw.choice(NAMES)} {draw.choice(VERBS)} {draw.choice(PLACES)}." for _ in range(count)
    ]


def memory(count: int, pictured: float, seed: int = 0) -> tuple[Fact, ...]:
    draw, made = random.Random(seed), []
    for number, text in enumerate(sentences(count, seed)):
        picture = None
        if draw.random() < pictured:
            picture = Picture(Eyes().key(draw.choice(IMAGES)), draw.choice((-1.0, 0.1, 0.999)))
        made.append(Fact(text, None, str(number), str(number), picture))
    return tuple(made)


@pytest.mark.parametrize("count", [0, 1, 7, 300])
def test_scores_are_bit_for_bit_those_of_every_sentence(count: int) -> None:
    texts = sentences(count)
    found = BM25().index(texts).scores(QUESTIONS)
    assert np.array_equal(found, LiteralBM25(texts).scores(QUESTIONS))


def test_an_index_that_changed_is_one_made_anew() -> None:
    draw, texts = random.Random(1), sentences(40)
    index = BM25().index(texts)
    for seed in range(8):
        more = [*sentences(draw.randrange(4), seed), f"Word{seed} is new"]
        kept = None if draw.random() < 0.5 else np.flatnonzero(np.arange(len(texts)) % 7 != seed)
        before = index.scores(QUESTIONS)
        changed = index.changed(kept, more)
        index.changed(None, ["Bern is a branch that nobody goes on with"])
        texts_now = [*(texts if kept is None else [texts[i] for i in kept]), *more]
        asked = (*QUESTIONS, f"word{seed}", "branch Ann")
        assert np.array_equal(changed.scores(asked), LiteralBM25(texts_now).scores(asked))
        assert np.array_equal(index.scores(QUESTIONS), before)
        index, texts = changed, texts_now
    emptied = index.changed(np.zeros(0, np.int64), [])
    assert emptied.scores(QUESTIONS).shape == (len(QUESTIONS), 0)
    again = emptied.changed(None, texts)
    assert np.array_equal(again.scores(QUESTIONS), LiteralBM25(texts).scores(QUESTIONS))


@pytest.mark.parametrize("pictured", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("k", [1, 5, 1000])
def test_the_nearest_facts_are_those_of_full_sorts(
    pictured: float, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "_COMPARED", 200)
    held = memory(90, pictured)
    queries = [Query(q, image) for q in QUESTIONS for image in (None, IMAGES[0], IMAGES[3])]
    eyes: Any = Eyes()
    shelf = Shelf(held, BM25(), eyes, k)
    scores = LiteralBM25([fact.text for fact in held]).scores([q.prompt for q in queries])
    literal = nearest(held, scores, queries, eyes, k)
    found = zip(shelf.nearest(queries), shelf.best(queries), strict=True)
    for (ours, best), (theirs, their_best) in zip(found, literal, strict=True):
        assert [c.fact.request_id for c in ours] == [c.fact.request_id for c in theirs]
        assert [c.open for c in ours] == [c.open for c in theirs]
        assert [c.score for c in ours] == pytest.approx([c.score for c in theirs], abs=1e-6)
        assert best.fact is their_best.fact
        assert best.open == their_best.open


@pytest.mark.parametrize("pictured", [0.0, 0.5])
def test_a_shelf_made_from_an_earlier_one_is_one_made_anew(pictured: float) -> None:
    draw, held = random.Random(0), memory(30, pictured)
    eyes: Any = Eyes()
    queries = [Query(q, image) for q in QUESTIONS for image in (None, IMAGES[1])]
    shelf = Shelf(held, BM25(), eyes, 4)
    for seed in range(1, 9):
        if seed % 2:
            held = tuple(fact for fact in held if draw.random() < 0.8)
        if seed != 4:
            held = (*held, *memory(draw.randrange(5), pictured, seed))
        shelf = Shelf(held, BM25(), eyes, 4, shelf)
        anew = Shelf(held, BM25(), eyes, 4)
        assert shelf.nearest(queries) == anew.nearest(queries)
        assert shelf.best(queries) == anew.best(queries)
    empty = Shelf((), BM25(), eyes, 4, shelf)
    assert empty.nearest(queries) == [[] for _ in queries]
    assert Shelf(held, BM25(), eyes, 4, empty).nearest(queries) == shelf.nearest(queries)


def book(count: int, width: int = 24, spread: float = 1.0, offset: float = 0.0) -> Codebook:
    generator = torch.Generator().manual_seed(0)
    keys = offset + spread * torch.randn(count, width, generator=generator)
    entries = tuple(Entry(str(i), str(i), 0.5 + i % 3) for i in range(count))
    return Codebook(entries, keys, Vectors(torch.randn(count, 3, generator=generator)))


@pytest.mark.parametrize("measure", ["euclidean", "cosine"])
@pytest.mark.parametrize(("spread", "offset"), [(1.0, 0.0), (1e-3, 50.0), (1e-6, 3.0)])
def test_the_nearest_entries_are_those_of_all_distances(
    measure: Measure, spread: float, offset: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codebook, "_LARGE", 1)
    monkeypatch.setattr(codebook, "_COMPARED", 2000)
    made = book(400, spread=spread, offset=offset)
    generator = torch.Generator().manual_seed(1)
    keys = made.keys[::40] + 0.1 * spread * torch.randn(10, 24, generator=generator)
    keys[0] = made.keys[7]
    distance, index = made.nearest(keys, measure)
    literal = distances(keys, made.keys, measure).min(dim=1)
    if measure == "euclidean":
        assert torch.equal(distance, literal.values)
        assert torch.equal(index, literal.indices)
        assert distance[0] == 0
        assert index[0] == 7
        far, place = nearest_keys(keys, made.keys)
        torch.testing.assert_close(distance, far, rtol=1e-4, atol=1e-7)
        assert bool((index == place).all()) or spread < 1e-5
    else:
        torch.testing.assert_close(distance, literal.values, rtol=0, atol=1e-6)


@pytest.mark.parametrize("most", [0, 1, 5])
def test_where_too_many_entries_may_be_the_nearest_all_are_compared(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("editors.keys._CANDIDATES", most)
    made = book(200, spread=1e-5, offset=9.0)
    keys = torch.cat([made.keys[:5] + 1e-5, torch.full((1, 24), float("nan"))])
    distance, index = nearest_of(keys, made.keys, prepared(made.keys, "euclidean"))
    literal = distances(keys, made.keys, "euclidean").min(dim=1)
    assert torch.equal(distance[:5], literal.values[:5])
    assert torch.equal(index[:5], literal.indices[:5])
    assert bool(distance[5].isnan())


def test_a_codebook_that_grew_is_one_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codebook, "_LARGE", 1)
    whole = book(60)

    def part(rows: slice) -> Codebook:
        return Codebook(whole.entries[rows], whole.keys[rows], whole.copies[rows])

    grown, states = part(slice(0, 3)), []
    keys = torch.randn(5, 24, generator=torch.Generator().manual_seed(2))
    for start in range(3, 60, 3):
        states.append(grown)
        for measure in ("euclidean", "cosine"):
            grown.nearest(keys, measure)
        grown = grown.with_more(part(slice(start, start + 3)))
        grown = grown.with_entry(0, replace(grown.entries[0], radius=float(start)))
    assert torch.equal(grown.keys, whole.keys)
    assert torch.equal(grown.copies.values, whole.copies.values)  # type: ignore[attr-defined]
    assert grown.radii()[0] == 57
    for measure in ("euclidean", "cosine"):
        for ours, theirs in zip(
            grown.nearest(keys, measure), whole.nearest(keys, measure), strict=True
        ):
            assert torch.equal(ours, theirs)
    for number, state in enumerate(states):
        assert torch.equal(state.keys, whole.keys[: 3 * (number + 1)])
    assert grown.keeping(range(60)) is grown


def test_tensors_that_grow_out_of_one_do_not_see_each_other() -> None:
    first = appended(torch.zeros(2, 2), torch.ones(1, 2))
    one, other = appended(first, torch.full((1, 2), 2.0)), appended(first, torch.full((1, 2), 3.0))
    assert one.data_ptr() == first.data_ptr() != other.data_ptr()
    assert [row[0] for row in one.tolist()] == [0, 0, 1, 2]
    assert [row[0] for row in other.tolist()] == [0, 0, 1, 3]
    wide = appended(first.half(), torch.full((1, 2), 70_000.0))
    assert wide.dtype == torch.float32


def test_only_rows_of_ones_own_are_overwritten_in_place() -> None:
    given = torch.zeros(1, 2).expand(3, -1)
    assert overwritten(given, torch.tensor([1]), torch.ones(1, 2), 0) is not given
    assert not given.any()
    grown = appended(torch.zeros(2, 2), torch.zeros(2, 2))
    assert overwritten(grown, torch.tensor([1]), torch.ones(1, 2), 2) is not grown
    assert not grown.any()
    assert overwritten(grown, torch.tensor([3]), torch.ones(1, 2), 2) is grown
    assert grown[3].all()


@pytest.mark.parametrize("editor", [GRACE(layer=2, steps=3), BalancEdit(steps=3)])
def test_edits_route_alike_in_codebooks_searched_either_way(
    editor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = [Query(request.prompt) for request in FACTS] + [Query("Who is Ann?")]
    routes = []
    for large in (10_000, 1):
        monkeypatch.setattr(codebook, "_LARGE", large)
        lm = tiny("gpt2")
        with editor.apply(lm) as edited:
            for request in FACTS:
                edited.edit([request])
            routes.append(edited.routing(queries))
    assert routes[0] == routes[1]


def test_a_failed_edit_leaves_the_values_before_it() -> None:
    lm = tiny("gpt2")
    with GRACE(layer=2, steps=3).apply(lm) as edited:
        for request in FACTS[:2]:
            edited.edit([request])
        before: Any = edited.state
        values = before.copies.tensors[0]
        copied = values.clone()
        broken = replace(FACTS[2], target_new="x " * 5000)
        with pytest.raises(InputError, match="exceed"):
            edited.edit([broken])
        after: Any = edited.state
        assert after.entries == before.entries
        assert torch.equal(values, copied)
        edited.edit([FACTS[2]])
        after = edited.state
        assert torch.equal(after.copies.tensors[0][:2], copied)
