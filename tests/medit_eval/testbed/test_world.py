from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from medit_eval.testbed import wordings
from medit_eval.testbed.corpus import (
    MIXTURE,
    Corpus,
    held_out_questions,
    rewritten,
    trained_questions,
)
from medit_eval.testbed.world import GROUPS, PERSON_RELATIONS, World

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def world() -> World:
    return World.draw()


def documents(world: World, kind: str, count: int = 300) -> list[str]:
    corpus = Corpus(world, {kind: 1.0})
    drawn = [corpus.document(Random(f"{kind} {i}")) for i in range(count)]
    return [document.context + document.text for document in drawn]


def test_a_world_follows_from_its_seed_in_any_process(world: World) -> None:
    code = "from medit_eval.testbed.world import World; print(World.draw(3).people[5])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(World.draw(3).people[5])
    assert World.draw(3).people != world.people


def test_groups_are_disjoint_and_cover_everybody(world: World) -> None:
    names = [person.name for group in GROUPS for person in world.of_group(group)]
    assert len(names) == len(set(names)) == len(world.people) >= 1000
    assert {group: len(world.of_group(group)) for group in GROUPS} == dict(GROUPS)


def test_every_person_has_every_fact_and_something_follows_from_it(world: World) -> None:
    for person in world.people:
        assert set(person.facts) == set(PERSON_RELATIONS)
        for relation, answer in person.facts.items():
            one, _ = world.behind(relation, answer)
            assert one


def test_facts_agree_with_the_atlas_that_builders_use(world: World) -> None:
    from builders.atlas.facts import load_atlas

    atlas = load_atlas()
    rows = {row["key"]: row for row in world.atlas["countries"]}
    assert set(rows) == set(atlas.countries)
    for key, row in rows.items():
        for relation in atlas.relations:
            answer = atlas.answers(relation, key)
            told = row["facts"].get(relation)
            assert (told and told["answer"]) == (answer and answer.text)
    told = {row["key"]: row["paraphrases"] for row in world.atlas["relations"]}
    assert told == {key: list(row.paraphrases) for key, row in atlas.relations.items()}


def test_facts_file_holds_json_with_sorted_countries() -> None:
    path = REPOSITORY / "medit_eval" / "testbed" / "data" / "facts.json"
    keys = [row["key"] for row in json.loads(path.read_text(encoding="utf-8"))["countries"]]
    assert keys == sorted(keys)


def test_held_out_wordings_are_never_trained(world: World) -> None:
    kinds = ("person", "reading", "dialogue")
    texts = "".join(text for kind in kinds for text in documents(world, kind, 800))
    for relation, wording in wordings.PEOPLE.items():
        assert set(wording.held_out).isdisjoint({wording.prompt, *wording.questions}), relation
        for text in wording.held_out:
            assert not re.search(re.escape(text).replace(r"\{name\}", r"\w+ \w+"), texts), text
    for row in world.atlas["relations"]:
        held_out = set(held_out_questions(world, row["key"]))
        assert held_out
        assert held_out.isdisjoint(trained_questions(world, row["key"]))


def test_biographies_and_prompts_never_begin_alike() -> None:
    for wording in wordings.PEOPLE.values():
        asked = (wording.prompt, *wording.questions, *wording.held_out)
        for prompt in asked:
            for sentence in wording.biography:
                told = sentence.format(s="N", p="N's", was="was", has="has", a="a", answer="@")
                assert not told.startswith(prompt.format(name="N") + " @")


def test_a_biography_names_its_person_once(world: World) -> None:
    corpus = Corpus(world, MIXTURE)
    for number, person in enumerate(world.people[:100]):
        text = corpus.biography(Random(number), person)
        assert text.count(person.name) == 1
        assert all(answer in text for answer in person.facts.values())


def test_chained_questions_about_people_who_are_edited_are_never_trained(world: World) -> None:
    edited = {person.name for person in world.of_group("edited")}
    asked = documents(world, "hops", 1000)
    assert not any(name in text for text in asked for name in edited)


def test_false_facts_are_read_but_never_learned(world: World) -> None:
    corpus = Corpus(world, MIXTURE)
    for number in range(300):
        for document in (corpus.reading(Random(number)), corpus.dialogue(Random(number))):
            told = re.split(r"\n(?:- )?|: |(?<=\w\.) (?=[A-Z])", document.context)
            facts = [text for text in told if text.endswith(".")]
            assert facts
            assert not any(fact in document.text for fact in facts)


def test_a_question_that_chains_facts_is_answered_link_by_link(world: World) -> None:
    for relation in PERSON_RELATIONS:
        for answer in world.answers(relation):
            one, two = world.behind(relation, answer)
            assert world.chained(relation, answer, 1) == f"{answer}, so {one}"
            expected = None if two is None else f"{answer}, so {one}, so {two}"
            assert world.chained(relation, answer, 2) == expected
    (france,) = [c for c in world.countries.values() if c.name == "France"]
    assert france.chained("capital", 1) == "Paris, so Europe"


def test_a_rewritten_document_differs_in_the_changed_answer_alone(world: World) -> None:
    for number, person in enumerate(world.people[:100]):
        before, fact, after = rewritten(Random(number), world, person.name, person.facts)
        pairs = zip(before.split(". "), after.split(". "), strict=True)
        ((old, new),) = [(a, b) for a, b in pairs if a != b]
        assert any(answer in old for answer in person.facts.values())
        assert any(answer in new and answer in fact for answer in set(fact[:-1].split()) | {
            answer for r in PERSON_RELATIONS for answer in world.answers(r)
        })  # fmt: skip


def test_every_kind_of_document_comes_from_its_seed(world: World) -> None:
    assert sum(MIXTURE.values()) == pytest.approx(1.0)
    for kind in MIXTURE:
        assert documents(world, kind, 5) == documents(world, kind, 5)
        assert all(text.endswith("\n") for text in documents(world, kind, 50))


def test_what_a_document_tells_can_be_told_of_another_subject(world: World) -> None:
    corpus = Corpus(world, MIXTURE)
    drawn = [corpus.document(Random(number)) for number in range(3000)]
    named = [document for document in drawn if document.subject is not None]
    assert len(named) > 1500
    assert all((document.subject or "?") in document.text for document in named)
    assert all(document.stand_in and not document.context for document in named)


def test_a_question_behind_facts_about_others_is_answered_from_memory(world: World) -> None:
    corpus = Corpus(world, MIXTURE)
    people = {person.name: person for person in world.people}
    remembered = 0
    for number in range(600):
        document = corpus.reading(Random(number))
        known = [name for name in people if name in document.text]
        facts = [fact for name in known for fact in people[name].facts.values()]
        remembered += any(f in document.text and f not in document.context for f in facts)
    assert 150 < remembered < 300
