"""What the models that come with the package are, and what they know."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from editors.lm import LM
from editors.prompts import Query
from editors.trace import first, with_first
from medit_eval import sources, testbed
from medit_eval.testbed import quality, wordings
from medit_eval.testbed.loop import REPORT
from medit_eval.testbed.pictures import Album
from medit_eval.testbed.run import text_recipe
from medit_eval.testbed.world import World

LIMIT = 12_000_000
"""Bytes that a model may take."""


@pytest.fixture(scope="module")
def lm() -> LM:
    return LM.load(testbed.path("testbed/lm"), dtype="float32")


@pytest.fixture(scope="module")
def world() -> World:
    return World.draw()


@pytest.mark.parametrize("name", testbed.MODELS)
def test_a_model_is_small_and_comes_with_recipe_and_log(name: str) -> None:
    folder = testbed.path(name)
    assert sum(file.stat().st_size for file in folder.iterdir()) < LIMIT
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    assert {"digest", "recipe", "measured"} <= set(report)
    logs = list(folder.glob("*.jsonl"))
    assert logs
    for log in logs:
        steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
        assert steps == sorted(set(steps))


@pytest.mark.parametrize("name", testbed.MODELS)
def test_a_model_reached_its_bars_when_it_was_made(name: str) -> None:
    measured = json.loads((testbed.path(name) / REPORT).read_text(encoding="utf-8"))["measured"]
    for kind, bar in quality.BARS[name.removeprefix("testbed/")].items():
        assert measured[kind] >= bar, kind


def test_the_text_model_is_that_of_the_recipe_in_the_package() -> None:
    report = json.loads((testbed.path("testbed/lm") / REPORT).read_text(encoding="utf-8"))
    assert report["digest"] == text_recipe().digest()


@pytest.mark.slow
def test_the_text_model_knows_facts_in_wordings_it_never_saw(lm: LM, world: World) -> None:
    exam = quality.examination(world, per_kind=60, seed=1)
    found = quality.accuracy(lm, exam)
    for kind, bar in quality.BARS["lm"].items():
        assert found[kind] >= bar - 0.05, kind
    assert found["reading, counterfactual"] >= 0.8
    assert found["reading, stranger"] >= 0.8


def test_what_the_text_model_knows_of_people_is_at_the_end_of_their_names(
    lm: LM, world: World
) -> None:
    """Exchanging the hidden states of two names' last tokens exchanges the answers."""
    people = world.of_group("edited")[:40]
    wording = wordings.PEOPLE["employer"]
    queries = [Query(wording.prompt.format(name=person.name)) for person in people]
    batch = lm.encode(queries, [person.facts["employer"] for person in people])
    keep = batch.target_ids.shape[1] + 1
    places = [
        batch.prompt_end - lm.encoder.lookup(query, person.name)
        for query, person in zip(queries, people, strict=True)
    ]
    rows, columns = torch.arange(len(people)), torch.tensor(places)
    other = (rows + 1) % len(people)

    def exchange(_: object, __: object, output: object) -> object:
        hidden = first(output).clone()
        hidden[rows, columns] = hidden[other, columns[other]]
        return with_first(output, hidden)

    with torch.no_grad():
        before = lm.forward(batch, keep=keep)[:, 0].argmax(-1)
        with lm.anatomy.blocks[2].register_forward_hook(exchange):
            after = lm.forward(batch, keep=keep)[:, 0].argmax(-1)
    differ = before != before[other]
    assert differ.sum() > 30
    assert (after == before[other])[differ].float().mean() > 0.8


@pytest.mark.slow
def test_the_vision_model_answers_about_pictures_it_never_saw(tmp_path: Path, world: World) -> None:
    command = [sys.executable, "-m", "builders.okedit", "build", "--out", str(tmp_path / "flags")]
    subprocess.run([*command, "--seed", "9", "--limit", "60"], check=True, capture_output=True)
    album = Album.of(sources.load(tmp_path / "flags"), world)
    model = LM.load(testbed.path("testbed/vlm"), dtype="float32")
    exam = quality.picture_examination(world, album, per_kind=100)
    found = quality.accuracy(model, exam)
    for kind, bar in quality.BARS["vlm"].items():
        assert found[kind] >= bar - 0.05, kind
    # It reads facts about what it sees, and most facts about something else do not mislead it.
    assert found["pictures, reading counterfactual, trained country"] >= 0.7
    assert found["pictures, reading fact about another, trained country"] >= 0.5
