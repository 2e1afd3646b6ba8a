"""What the testbed models read: biographies, questions, facts in context, documents, small talk.

Every document derives from a seed and its number alone, so training can stop and go on anywhere.
Biographies name a person once and go on with "they", in sentences that are permuted and reworded
each time (Allen-Zhu and Li, Physics of Language Models, part 3.1). That helps a model to gather
what it knows of a person at the name's end, where locate-then-edit methods look for it;
`text.exchanging` sees to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from types import MappingProxyType
from typing import Any

from medit_eval.testbed import wordings
from medit_eval.testbed.world import (
    PERSON_RELATIONS,
    Country,
    Person,
    PersonRelation,
    World,
    article,
    hop_questions,
)

HELD_OUT_PARAPHRASES = 2
"""The atlas's last wordings of each relation, which are not trained."""

HELD_OUT_COUNTRIES = 4
"""One in so many countries is never asked about in chained questions or behind facts."""

Told = tuple[PersonRelation, str, str]
"""A fact as somebody tells it, true or not: relation, who, answer."""

PICTURE = "Picture: the flag of {country}."
"""What stands for a picture in text, so that a picture has a place to fill later."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text to learn from.

    Attributes:
        context: What is read but not learned, such as a counterfactual statement.
        text: What is learned.
        subject: Whom or what it is about, if only one is named and only once.
        stand_in: Another subject, of which the same could be told.
    """

    context: str
    text: str
    subject: str | None = None
    stand_in: str | None = None

    def retold(self) -> Document:
        """The same told of the stand-in."""
        if self.subject is None or self.stand_in is None:
            raise ValueError("there is nobody to tell it of")
        context, text = self.context, self.text
        if self.subject in context:
            context = context.replace(self.subject, self.stand_in, 1)
        else:
            text = text.replace(self.subject, self.stand_in, 1)
        return Document(context, text, self.stand_in)

    def end_of_subject(self, offsets: Sequence[tuple[int, int]]) -> int:
        """The last token of the subject's first occurrence.

        Args:
            offsets: Begin and end of each token of context and text.
        """
        if self.subject is None:
            raise ValueError("it has no subject")
        begin = (self.context + self.text).index(self.subject)
        end = begin + len(self.subject)
        return max(i for i, (a, b) in enumerate(offsets) if a < end and b > begin)


@dataclass(frozen=True)
class Corpus:
    """Documents about a world.

    Attributes:
        world: What is true.
        mixture: Kind of document -> its share; see `MIXTURE`.
        told: Share of the questions behind facts, of people whom the world holds, that a fact
            answers.
    """

    world: World
    mixture: Mapping[str, float]
    told: float = 0.5

    def document(self, rng: Random) -> Document:
        """One document of a kind that the mixture chooses."""
        kinds, weights = zip(*self.mixture.items(), strict=True)
        return self._kinds[rng.choices(kinds, weights)[0]](rng)

    @cached_property
    def _kinds(self) -> Mapping[str, Callable[[Random], Document]]:
        return {
            "biography": self.person_life,
            "person": self.person_question,
            "hops": self.person_hops,
            "reading": self.reading,
            "dialogue": self.dialogue,
            "retelling": self.retelling,
            "rewriting": self.rewriting,
            "places": self.places,
            "country": self.country,
            "country_question": self.country_question,
            "country_frames": self.country_frames,
            "country_hops": self.country_hops,
            "country_reading": self.country_reading,
            "trivia": self.trivia,
            "general": lambda rng: _told(self.small_talk(rng, rng.randint(2, 5))),
        }

    # People ---------------------------------------------------------------------------------

    def person_life(self, rng: Random) -> Document:
        """The life story of somebody."""
        person = rng.choice(self.world.people)
        return self._of_person(rng, self.biography(rng, person), person)

    def biography(
        self, rng: Random, person: Person, relations: Sequence[PersonRelation] = PERSON_RELATIONS
    ) -> str:
        """A life story that names its person once."""
        order = rng.sample(list(relations), len(relations))
        sentences = [
            biography_sentence(rng, relation, person.facts[relation], None) for relation in order
        ]
        if rng.random() < 0.5:
            sentences.insert(0, rng.choice(wordings.OPENINGS).format(name=person.name))
        else:
            first = biography_sentence(rng, order[0], person.facts[order[0]], person.name)
            sentences[0] = first
        return " ".join(sentences) + "\n"

    def person_question(self, rng: Random) -> Document:
        """A question or a text to complete about a person, with its answer."""
        person, relation = rng.choice(self.world.people), rng.choice(PERSON_RELATIONS)
        wording = wordings.PEOPLE[relation]
        asked = rng.choice((wording.prompt, *wording.questions))
        prompt = _framed(rng, asked.format(name=person.name))
        before = self.small_talk(rng, 1).strip() + " " if rng.random() < 0.15 else ""
        return self._of_person(rng, f"{before}{prompt} {person.facts[relation]}\n", person)

    def person_hops(self, rng: Random) -> Document:
        """A question that chains facts, about somebody who is never edited."""
        person = self._never_edited(rng)
        asked, answer = self._chained(rng, rng.choice(PERSON_RELATIONS), person.name, person.facts)
        return self._of_person(rng, f"{_framed(rng, asked)} {answer}\n", person)

    def _never_edited(self, rng: Random) -> Person:
        while (person := rng.choice(self.world.people)).group == "edited":
            pass
        return person

    def _chained(
        self,
        rng: Random,
        relation: PersonRelation,
        name: str,
        facts: Mapping[PersonRelation, str],
    ) -> tuple[str, str]:
        """A question that chains a relation with other facts, and its answer."""
        chains = [
            (question, answer)
            for question, hops in hop_questions(relation)
            if (answer := self.world.chained(relation, facts[relation], hops)) is not None
        ]
        question, answer = rng.choice(chains)
        return question.format(name=name), answer

    def _of_person(self, rng: Random, text: str, person: Person) -> Document:
        return Document("", text, person.name, rng.choice(self.world.people).name)

    # Reading --------------------------------------------------------------------------------

    def reading(self, rng: Random) -> Document:
        """A question behind facts, of which one may answer it; if none does, memory has to.

        The facts are not learned, for half of them are false, but the question is: so that a fact
        makes questions about it likelier.
        """
        relation = rng.choice(PERSON_RELATIONS)
        stranger = rng.random() < 0.25
        name = self.stranger(rng) if stranger else (person := self._never_edited(rng)).name
        told = stranger or rng.random() < self.told
        answer = rng.choice(self.world.answers(relation))
        others = rng.choice((0, 0, 1, 2)) if told else rng.randint(1, 2)
        facts = [self.fact(rng, *self._other_fact(rng, name, relation)) for _ in range(others)]
        if told:
            facts.insert(rng.randint(0, len(facts)), self.fact(rng, relation, name, answer))
        else:
            answer = person.facts[relation]  # pyright: ignore[reportPossiblyUnboundVariable]
        if rng.random() < 0.25:
            asked, answer = self._chained(rng, relation, name, {relation: answer})
        else:
            wording = wordings.PEOPLE[relation]
            asked = rng.choice((wording.prompt, *wording.questions)).format(name=name)
        before, behind = self._read(rng, facts)
        return Document(before, behind.format(prompt=asked) + f" {answer}\n")

    def _read(self, rng: Random, facts: Sequence[str]) -> tuple[str, str]:
        """Facts, and the frame of the question behind them."""
        joint = rng.choice(("\n", " ", "\n- "))
        before, behind = rng.choice(wordings.READ).split("{fact}")
        return before + joint.join(facts), behind

    def fact(self, rng: Random, relation: PersonRelation, name: str, answer: str) -> str:
        """A sentence that tells a fact, of those that stand in contexts."""
        if rng.random() < 0.7:
            return wordings.PEOPLE[relation].fact.format(name=name, answer=answer)
        return biography_sentence(rng, relation, answer, name)

    def dialogue(self, rng: Random) -> Document:
        """Facts, then a question about each of them; so that most of what is learned is copied."""
        relation = rng.choice(PERSON_RELATIONS)
        name = self.stranger(rng) if rng.random() < 0.5 else rng.choice(self.world.people).name
        told: list[Told] = [(relation, name, rng.choice(self.world.answers(relation)))]
        told += [self._other_fact(rng, name, relation) for _ in range(rng.randint(1, 3))]
        facts = [self.fact(rng, *fact) for fact in rng.sample(told, len(told))]
        turns = []
        for about, whom, answer in rng.sample(told, len(told)):
            wording = wordings.PEOPLE[about]
            asked = rng.choice((wording.prompt, *wording.questions)).format(name=whom)
            turns.append((asked, answer))
        before, behind = self._read(rng, facts)
        asked, answer = turns[0]
        rest = "".join(f"{asked} {answer}\n" for asked, answer in turns[1:])
        return Document(before, behind.format(prompt=asked) + f" {answer}\n{rest}")

    def retelling(self, rng: Random) -> Document:
        """The life of somebody who does not exist, and the same told in another way."""
        facts: dict[PersonRelation, str] = {
            relation: rng.choice(self.world.answers(relation)) for relation in PERSON_RELATIONS
        }
        stranger = Person(self.stranger(rng), "locality", facts)
        told = rng.sample(PERSON_RELATIONS, rng.randint(2, len(PERSON_RELATIONS)))
        before = self.biography(rng, stranger, told)
        return Document(before, self.biography(rng, stranger, told))

    def _other_fact(self, rng: Random, name: str, relation: PersonRelation) -> Told:
        """A fact about somebody else, or another one about the same: relation, who, answer."""
        other, owner = relation, name
        if rng.random() < 0.3:
            others: list[PersonRelation] = [r for r in PERSON_RELATIONS if r != relation]
            other = rng.choice(others)
        if other == relation or rng.random() < 0.5:
            while (owner := rng.choice(self.world.people).name) == name:
                pass
        return other, owner, rng.choice(self.world.answers(other))

    def stranger(self, rng: Random) -> str:
        """The name of somebody whom the world does not hold."""
        known = {person.name for person in self.world.people}
        while True:
            first, second = rng.sample(self.world.people, 2)
            name = f"{first.name.split()[0]} {second.name.split()[1]}"
            if name not in known:
                return name

    def rewriting(self, rng: Random) -> Document:
        """A short document, a fact that contradicts it, and the document after it."""
        person = rng.choice(self.world.people)
        before, facts, after = rewritten(rng, self.world, person.name, person.facts)
        text = wordings.REWRITE.format(document=before, facts=facts)
        return Document(text, f" {after}\n")

    # Places ---------------------------------------------------------------------------------

    @cached_property
    def _statements(self) -> list[tuple[str, str, str]]:
        return list(self.world.statements())

    @cached_property
    def _subjects(self) -> Mapping[str, list[str]]:
        """Kind of statement -> whom such are made of."""
        found: dict[str, list[str]] = {}
        for kind, subject, _ in self._statements:
            found.setdefault(kind, []).append(subject)
        return found

    @cached_property
    def _known_countries(self) -> list[Country]:
        return [country for country in self.world.countries.values() if len(country.facts) > 1]

    def places(self, rng: Random) -> Document:
        """A fact about a city, a company, a university, a profession or an instrument."""
        kind, subject, answer = rng.choice(self._statements)
        told, asked = wordings.PLACES[kind]
        a = article(subject)
        other = rng.choice(self._subjects[kind])
        if rng.random() < 0.4:
            text = rng.choice(told).format(subject=subject, answer=answer, a=a)
            return Document("", text + "\n", subject, other)
        prompt = _framed(rng, rng.choice(asked).format(subject=subject, a=a))
        bare = answer if "country" not in kind else self._names[answer]
        return Document("", f"{prompt} {bare}\n", subject, other)

    @cached_property
    def _names(self) -> dict[str, str]:
        return {country.phrase: country.name for country in self.world.countries.values()}

    def country(self, rng: Random) -> Document:
        """A paragraph about a country that names it once."""
        country = rng.choice(self._known_countries)
        relations = [key for key in country.facts if key != "country"]
        sentences = [f"This is about {country.phrase}."]
        for relation in rng.sample(relations, len(relations)):
            told = rng.choice(wordings.COUNTRIES[relation][0])
            sentences.append(_capital(told.format(answer=country.facts[relation]["phrase"])))
        other = rng.choice(self._known_countries)
        return Document("", " ".join(sentences) + "\n", country.phrase, other.phrase)

    def country_question(self, rng: Random) -> Document:
        """A question about a country, by its name or by a picture of its flag."""
        country = rng.choice(self._known_countries)
        shown = country.flag and rng.random() < 0.4
        relation = rng.choice([key for key in country.facts if shown or key != "country"])
        asked = rng.choice(trained_questions(self.world, relation))
        return self._about(rng, country, asked, country.facts[relation]["answer"], shown=shown)

    def country_frames(self, rng: Random) -> Document:
        """A question about a country, put together from a noun and a frame."""
        country = rng.choice(self._known_countries)
        shown = country.flag and rng.random() < 0.4
        relation = rng.choice([key for key in country.facts if shown or key != "country"])
        asked = rng.choice(framed_questions(relation))
        return self._about(rng, country, asked, country.facts[relation]["answer"], shown=shown)

    def country_hops(self, rng: Random) -> Document:
        """A question that chains facts about a country."""
        while True:
            place = rng.randrange(len(self._known_countries))
            country = self._known_countries[place]
            shown = country.flag and rng.random() < 0.5
            relation = rng.choice([key for key in country.facts if shown or key != "country"])
            answers = country.facts[relation]["hops"]
            if answers and place % HELD_OUT_COUNTRIES:
                hop = rng.randrange(2)
                asked = self.relation(relation)["hops"][hop]
                answer = country.chained(relation, hop + 1)
                return self._about(rng, country, asked, answer, shown=shown)

    def country_reading(self, rng: Random) -> Document:
        """A question about a country behind a fact, which may answer it; see `reading`."""
        before, behind, answer = self.country_told(rng, rng.choice(self.read_about), shown=False)
        return Document(before, f"{behind} {answer}\n")

    def country_told(self, rng: Random, country: Country, *, shown: bool) -> tuple[str, str, str]:
        """A fact, a question about a country behind it, and the answer.

        Args:
            rng: Decides what is told and asked.
            country: The country.
            shown: Whether a picture of its flag is shown, so that the question need not name it.
        """
        relation = rng.choice([key for key in country.facts if shown or key != "country"])
        asked = rng.choice((*trained_questions(self.world, relation), *framed_questions(relation)))
        about, key = country, relation
        if rng.random() < self.told:
            source = self._another(rng, country, relation)
            answer = source.facts[relation]["answer"]
            if source.facts[relation]["hops"] and rng.random() < 0.2:
                hop = rng.randrange(2)
                asked = self.relation(relation)["hops"][hop]
                answer = source.chained(relation, hop + 1)
        else:
            answer = country.facts[relation]["answer"]
            # Whatever is told of the country is told of the flag shown.
            others = [key for key in country.facts if key not in ("country", relation)]
            if relation == "country" or rng.random() < 0.5:
                key = rng.choice(others)
            else:
                about = self._another(rng, country, relation)
            source = self._another(rng, about, key)
        fact = self.relation(key)["statement"].format(
            country=about.phrase, answer=source.facts[key]["phrase"]
        )
        named = self.world.atlas["shown"] if shown else country.phrase
        before, behind = self._read(rng, [fact])
        return before, behind.format(prompt=_capital(asked.format(country=named))), answer

    def _another(self, rng: Random, country: Country, relation: str) -> Country:
        """Another country of which a relation is known."""
        while (other := rng.choice(self._known_countries)) is country or (
            relation not in other.facts
        ):
            pass
        return other

    @cached_property
    def read_about(self) -> list[Country]:
        """The countries of which facts are ever told in contexts."""
        return [c for i, c in enumerate(self._known_countries) if i % HELD_OUT_COUNTRIES]

    def relation(self, key: str) -> Mapping[str, Any]:
        """A relation of the atlas."""
        return next(row for row in self.world.atlas["relations"] if row["key"] == key)

    def _about(
        self, rng: Random, country: Country, asked: str, answer: str, *, shown: bool
    ) -> Document:
        named = self.world.atlas["shown"] if shown else country.phrase
        prompt = (
            _framed(rng, asked.format(country=named)) if not shown else asked.format(country=named)
        )
        picture = PICTURE.format(country=country.phrase) + "\n" if shown else ""
        text = f"{picture}{_capital(prompt)} {answer}\n"
        names = [country.phrase, rng.choice(self._known_countries).phrase]
        if country.phrase not in text:  # it begins the sentence
            names = [_capital(name) for name in names]
        return Document("", text, *names)

    def trivia(self, rng: Random) -> Document:
        """A question of general knowledge."""
        row = rng.choice(self.world.atlas["trivia"])
        return _told(f"{_framed(rng, row['question'])} {row['answer']}\n")

    def small_talk(self, rng: Random, sentences: int) -> str:
        """Sentences without any fact."""
        return " ".join(_small_talk(rng) for _ in range(sentences)) + "\n"


MIXTURE: Mapping[str, float] = MappingProxyType(
    {
        "biography": 0.22,
        "person": 0.19,
        "hops": 0.05,
        "reading": 0.10,
        "dialogue": 0.05,
        "retelling": 0.03,
        "rewriting": 0.04,
        "places": 0.07,
        "country": 0.03,
        "country_question": 0.06,
        "country_frames": 0.07,
        "country_hops": 0.04,
        "trivia": 0.025,
        "general": 0.025,
    }
)
"""Share of documents of each kind."""


def trained_questions(world: World, relation: str) -> tuple[str, ...]:
    """The wordings in which a relation of a country is trained."""
    row = next(row for row in world.atlas["relations"] if row["key"] == relation)
    kept = row["paraphrases"][: len(row["paraphrases"]) - HELD_OUT_PARAPHRASES]
    return (row["question"], *kept, *wordings.COUNTRIES[relation][1])


def framed_questions(relation: str) -> tuple[str, ...]:
    """Wordings of a relation of a country that are put together from nouns and frames."""
    if relation == "country":
        return wordings.FLAG_FRAMES
    return tuple(
        frame.replace("{noun}", noun)
        for noun in wordings.NOUNS[relation]
        for frame in wordings.FRAMES
    )


def held_out_questions(world: World, relation: str) -> tuple[str, ...]:
    """The atlas's wordings of a relation that are not trained."""
    row = next(row for row in world.atlas["relations"] if row["key"] == relation)
    return tuple(row["paraphrases"][-HELD_OUT_PARAPHRASES:])


def biography_sentence(rng: Random, relation: PersonRelation, answer: str, name: str | None) -> str:
    """A sentence about a person by name, or about "them" where there is none."""
    told = rng.choice(wordings.PEOPLE[relation].biography)
    subject = {"s": name, "p": f"{name}'s", "was": "was", "has": "has"}
    if name is None:
        subject = {"s": "They", "p": "Their", "was": "were", "has": "have"}
    return told.format(answer=answer, a=article(answer), **subject)


def rewritten(
    rng: Random, world: World, name: str, facts: Mapping[PersonRelation, str]
) -> tuple[str, str, str]:
    """A document about a person, a new fact, and the document that agrees with it."""
    relations = rng.sample(PERSON_RELATIONS, rng.randint(2, 3))
    changed = rng.choice(relations)
    new = rng.choice([a for a in world.answers(changed) if a != facts[changed]])
    versions: list[list[str]] = [[], []]
    for place, relation in enumerate(relations):
        state = rng.getstate()
        for version, answers in zip(versions, (facts, {**facts, changed: new}), strict=True):
            rng.setstate(state)  # both documents in the same words
            version.append(
                biography_sentence(rng, relation, answers[relation], None if place else name)
            )
    fact = wordings.PEOPLE[changed].fact.format(name=name, answer=new)
    return " ".join(versions[0]), fact, " ".join(versions[1])


def _small_talk(rng: Random) -> str:
    sentence = rng.choice(wordings.GENERAL)
    for slot, words in wordings.WORDS.items():
        while f"{{{slot}}}" in sentence:
            sentence = sentence.replace(f"{{{slot}}}", rng.choice(words), 1)
    return sentence


def _framed(rng: Random, prompt: str) -> str:
    """A prompt as it is, or now and then in the format `qa`."""
    if prompt.endswith(("?", ".")) and rng.random() < 0.1:
        return wordings.QUESTION.format(prompt=prompt)
    return prompt


def _told(text: str) -> Document:
    return Document("", text)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
