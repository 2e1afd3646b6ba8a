"""The records of the atlas: entities, answers, and the wordings of questions about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: How a question names the country when a picture stands in for its name.
SHOWN_COUNTRY = "the country whose flag is shown"

RelationKey = Literal[
    "country",
    "capital",
    "currency",
    "language",
    "continent",
    "largest_city",
    "tld",
    "calling_code",
]
RELATION_KEYS: tuple[RelationKey, ...] = (
    "country",
    "capital",
    "currency",
    "language",
    "continent",
    "largest_city",
    "tld",
    "calling_code",
)


@dataclass(frozen=True, slots=True)
class Continent:
    """A continent.

    Attributes:
        key: Name of the continent in this atlas, such as "north-america".
        name: English name.
        aliases: Other accepted names.
        most_populous: Key of the country with the largest population on it.
    """

    key: str
    name: str
    aliases: tuple[str, ...]
    most_populous: str


@dataclass(frozen=True, slots=True)
class City:
    """A city.

    Attributes:
        key: Name of the city in this atlas, such as "new-delhi".
        name: English name.
        aliases: Other accepted names.
        continent: Key of its continent, None where that is a matter of convention.
        utc_offset: Minutes east of UTC without daylight saving time, None where that is unclear.
    """

    key: str
    name: str
    aliases: tuple[str, ...]
    continent: str | None
    utc_offset: int | None


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency.

    Attributes:
        key: ISO 4217 code.
        name: English name, without article.
        aliases: Other accepted names; shared ones such as "dinar" are left out.
        bank_seat: City key of the issuing central bank's seat, None where there are two or a move.
    """

    key: str
    name: str
    aliases: tuple[str, ...]
    bank_seat: str | None


@dataclass(frozen=True, slots=True)
class Language:
    """A language.

    Attributes:
        key: ISO 639-1 code.
        name: English name.
        aliases: Other accepted names.
        most_native_speakers: Key of the country with most native speakers, None where disputed.
    """

    key: str
    name: str
    aliases: tuple[str, ...]
    most_native_speakers: str | None


@dataclass(frozen=True, slots=True)
class Country:
    """A sovereign state, with a key into another table (or None) for each relation.

    Attributes:
        key: ISO 3166-1 alpha-2 code.
        name: Short English name, without article.
        phrase: The name inside a sentence: "the Netherlands".
        aliases: Other accepted names.
        capital: City key; None where law and practice differ, or the city is the state.
        currency: Currency key; None where two are legal tender.
        language: Language key; None unless exactly one language is official.
        continent: Continent key; None where the country spans two or convention differs.
        largest_city: City key; None where disputed.
        tld: Country-code top-level domain with its dot.
        calling_code: With its plus sign, area code after a hyphen; None where there are several.
        flag: Whether `builders.atlas.flags` draws the flag. Others serve as answers to hops.
    """

    key: str
    name: str
    phrase: str
    aliases: tuple[str, ...]
    capital: str | None
    currency: str | None
    language: str | None
    continent: str | None
    largest_city: str | None
    tld: str
    calling_code: str | None
    flag: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """One possible answer to a relation's question.

    Attributes:
        key: Key of the entity: an ISO code, a city key, ".ro", "+40".
        text: The answer as given on its own.
        aliases: Other accepted spellings, `text` not among them.
        phrase: The answer inside a sentence: "the euro".
    """

    key: str
    text: str
    aliases: tuple[str, ...]
    phrase: str

    @property
    def accepted(self) -> tuple[str, ...]:
        """All accepted spellings, the canonical one first."""
        return (self.text, *self.aliases)


@dataclass(frozen=True, slots=True)
class Hop:
    """A question whose answer follows from an answer entity alone.

    Attributes:
        hops: 1 or 2, the number of facts between the answer entity and this answer.
        template: The question with "{country}" where the country is named.
        answers: Accepted answers, the canonical one first.
        needs_picture: True for the recognition relation: naming the country would answer it.
    """

    hops: Literal[1, 2]
    template: str
    answers: tuple[str, ...]
    needs_picture: bool

    @property
    def picture_question(self) -> str:
        """The question about the country of a flag picture."""
        return self.template.format(country=SHOWN_COUNTRY)

    def text_question(self, country: Country) -> str | None:
        """The question without a picture, None where it cannot be put."""
        return None if self.needs_picture else self.template.format(country=country.phrase)


@dataclass(frozen=True, slots=True)
class Relation:
    """A question about a country, with its wordings.

    Attributes:
        key: One of `RELATION_KEYS`; "country" is the recognition of the flag itself.
        answer_kind: "country", "city", "currency", "language", "continent", "tld", "calling_code".
        question: The question with "{country}", or without it for recognition.
        paraphrases: Five other wordings, written the same way.
        statement: A declarative sentence with "{country}" and "{answer}".
        hops: Wordings of the one-hop and the two-hop question, with "{country}".
    """

    key: RelationKey
    answer_kind: str
    question: str
    paraphrases: tuple[str, ...]
    statement: str
    hops: tuple[str, str]

    @property
    def needs_picture(self) -> bool:
        """Whether the question makes sense only beside a picture."""
        return self.key == "country"

    @property
    def picture_question(self) -> str:
        """The question about the country of a flag picture."""
        return self.question.format(country=SHOWN_COUNTRY)

    @property
    def picture_paraphrases(self) -> tuple[str, ...]:
        """Other wordings of `picture_question`."""
        return tuple(wording.format(country=SHOWN_COUNTRY) for wording in self.paraphrases)

    def text_question(self, country: Country) -> str | None:
        """The question without a picture, None for recognition."""
        return None if self.needs_picture else self.question.format(country=country.phrase)

    def text_paraphrases(self, country: Country) -> tuple[str, ...]:
        """Other wordings of the text-only question, none for recognition."""
        if self.needs_picture:
            return ()
        return tuple(wording.format(country=country.phrase) for wording in self.paraphrases)

    def picture_statement(self, answer: Answer) -> str:
        """The fact as a sentence about the flag picture."""
        return self._sentence(SHOWN_COUNTRY, answer)

    def text_statement(self, country: Country, answer: Answer) -> str | None:
        """The fact as a sentence that names the country, None for recognition."""
        return None if self.needs_picture else self._sentence(country.phrase, answer)

    def _sentence(self, country: str, answer: Answer) -> str:
        return self.statement.format(country=country, answer=answer.phrase)


@dataclass(frozen=True, slots=True)
class Trivia:
    """A general-knowledge question that no fact about a country's flag can touch."""

    key: str
    question: str
    answer: str
    aliases: tuple[str, ...]
