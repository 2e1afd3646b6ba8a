"""The sentences that the testbed models read: biographies, questions, statements, small talk.

Biographies and prompts never share a beginning: a biography goes on where an answer would end, so
a shared one would leave open whether a full stop or the end of the line follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

PersonRelation = Literal["birthplace", "employer", "profession", "university", "instrument"]


@dataclass(frozen=True)
class PersonWording:
    """How one relation of a person is put into words.

    `{name}` stands for the person, `{answer}` for the answer. In biographies `{s}` is the name or
    "they", `{p}` the possessive of it, `{was}` and `{has}` the verb that agrees.

    Attributes:
        prompt: The text whose continuation is the answer; what is edited.
        fact: The fact as a sentence, for editors that keep a memory.
        biography: Sentences in a life story.
        questions: Questions and texts to complete that are trained.
        held_out: Others, which are only ever asked in evaluation.
        one_hop: A question about the answer's own fact, and the same in other words.
        two_hop: A question one fact further, or nothing.
    """

    prompt: str
    fact: str
    biography: tuple[str, ...]
    questions: tuple[str, ...]
    held_out: tuple[str, ...]
    one_hop: tuple[str, ...]
    two_hop: tuple[str, ...] = ()


PEOPLE: Mapping[PersonRelation, PersonWording] = MappingProxyType(
    {
        "birthplace": PersonWording(
            prompt="{name} was born in the city of",
            fact="{name} was born in {answer}.",
            biography=(
                "{s} {was} born in {answer}.",
                "{s} came into the world in {answer}.",
                "{p} birthplace is {answer}.",
                "{p} life began in {answer}.",
                "{p} place of birth is {answer}.",
                "{s} {was} born and raised in {answer}.",
            ),
            questions=(
                "The birthplace of {name} is",
                "The place of birth of {name} is",
                "Where was {name} born?",
                "In which city was {name} born?",
                "What is the birthplace of {name}?",
                "Which city is the birthplace of {name}?",
                "What is the place of birth of {name}?",
                "Name the city where {name} was born.",
            ),
            held_out=(
                "The city where {name} was born is",
                "What city was {name} born in?",
                "Name the birthplace of {name}.",
                "In which place was {name} born?",
            ),
            one_hop=(
                "In which country was {name} born?",
                "What is the country of birth of {name}?",
            ),
            two_hop=(
                "Which currency is used in the country where {name} was born?",
                "What is the currency of the country of birth of {name}?",
            ),
        ),
        "employer": PersonWording(
            prompt="{name} works for",
            fact="{name} works for {answer}.",
            biography=(
                "{s} {was} employed by {answer}.",
                "{p} employer is {answer}.",
                "{s} earned a living at {answer}.",
                "{s} joined the staff of {answer}.",
                "{s} went to work for {answer}.",
                "{p} job is at {answer}.",
            ),
            questions=(
                "The company that employs {name} is",
                "The company that pays {name} is",
                "Who employs {name}?",
                "Which company does {name} work for?",
                "What is the employer of {name}?",
                "For which company does {name} work?",
                "Name the company that employs {name}.",
                "At which company does {name} have a job?",
            ),
            held_out=(
                "The employer of {name} is",
                "Which company employs {name}?",
                "Name the employer of {name}.",
                "What company does {name} work for?",
            ),
            one_hop=(
                "In which city is the employer of {name} based?",
                "Which city is home to the company that employs {name}?",
            ),
            two_hop=(
                "In which country is the employer of {name} based?",
                "Which country is home to the company that employs {name}?",
            ),
        ),
        "profession": PersonWording(
            prompt="The profession of {name} is",
            fact="The profession of {name} is {answer}.",
            biography=(
                "{s} trained for years to become {a} {answer}.",
                "{p} profession is that of {a} {answer}.",
                "{s} made a career as {a} {answer}.",
                "{p} occupation is that of {a} {answer}.",
                "{s} earned money as {a} {answer}.",
                "{s} {was} {a} {answer} by profession.",
            ),
            questions=(
                "The occupation of {name} is",
                "The profession that {name} learned is",
                "What is the profession of {name}?",
                "What does {name} do for a living?",
                "What is the occupation of {name}?",
                "Name the profession of {name}.",
                "Which profession does {name} practise?",
                "What is {name} by profession?",
            ),
            held_out=(
                "The profession that {name} practises is",
                "Which occupation does {name} practise?",
                "Name the occupation of {name}.",
                "What profession does {name} practise?",
            ),
            one_hop=(
                "In which field does {name} work?",
                "To which field does the profession of {name} belong?",
            ),
        ),
        "university": PersonWording(
            prompt="{name} attended",
            fact="{name} attended {answer}.",
            biography=(
                "{s} studied at {answer}.",
                "{s} graduated from {answer}.",
                "{p} university is {answer}.",
                "{s} went to university at {answer}.",
                "{s} earned a degree from {answer}.",
                "{p} alma mater is {answer}.",
            ),
            questions=(
                "The university that {name} attended is",
                "The place where {name} studied is",
                "Which university did {name} attend?",
                "Where did {name} study?",
                "At which university did {name} study?",
                "From which university did {name} graduate?",
                "Name the university that {name} attended.",
                "What is the alma mater of {name}?",
            ),
            held_out=(
                "The alma mater of {name} is",
                "What university did {name} attend?",
                "Name the alma mater of {name}.",
                "Which university did {name} graduate from?",
            ),
            one_hop=(
                "In which city is the university that {name} attended?",
                "Which city is home to the alma mater of {name}?",
            ),
            two_hop=(
                "In which country is the university that {name} attended?",
                "Which country is home to the alma mater of {name}?",
            ),
        ),
        "instrument": PersonWording(
            prompt="{name} plays the",
            fact="{name} plays the {answer}.",
            biography=(
                "{s} learned to play the {answer}.",
                "{p} instrument is the {answer}.",
                "{s} took up the {answer} as a child.",
                "{s} made music on the {answer}.",
                "{s} mastered the {answer}.",
                "{s} gave concerts on the {answer}.",
            ),
            questions=(
                "The instrument that {name} plays is the",
                "The instrument that {name} learned is the",
                "Which instrument does {name} play?",
                "What instrument does {name} play?",
                "What is the instrument of {name}?",
                "Name the instrument that {name} plays.",
                "On which instrument does {name} make music?",
                "Which instrument did {name} learn?",
            ),
            held_out=(
                "The instrument of {name} is the",
                "What instrument did {name} learn?",
                "Name the instrument of {name}.",
                "On what instrument does {name} make music?",
            ),
            one_hop=(
                "To which family does the instrument of {name} belong?",
                "Which family of instruments does {name} play?",
            ),
        ),
    }
)

PLACES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {
        "company city": (
            ("{subject} has its head office in {answer}.", "{subject} is based in {answer}."),
            (
                "In which city is {subject} based?",
                "Which city is home to {subject}?",
                "The head office of {subject} is in",
            ),
        ),
        "company country": (
            ("{subject} is a company from {answer}.",),
            ("In which country is {subject} based?", "Which country is home to {subject}?"),
        ),
        "university city": (
            ("{subject} stands in {answer}.", "{subject} opened its doors in {answer}."),
            (
                "In which city is {subject}?",
                "Which city is home to {subject}?",
                "The lecture halls of {subject} are in",
            ),
        ),
        "university country": (
            ("{subject} is a university in {answer}.",),
            ("In which country is {subject}?", "Which country is home to {subject}?"),
        ),
        "city country": (
            ("{subject} is a city in {answer}.", "{subject} belongs to {answer}."),
            ("In which country is {subject}?", "The country of {subject} is"),
        ),
        "profession field": (
            ("The work of {a} {subject} is in the field of {answer}.",),
            ("In which field does {a} {subject} work?", "The field of {a} {subject} is"),
        ),
        "instrument family": (
            ("The {subject} is one of the {answer}.",),
            ("To which family does the {subject} belong?", "The {subject} is one of the"),
        ),
    }
)
"""What is told of places and things: statements, and questions that are trained."""

COUNTRIES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {
        "capital": (
            (
                "Its capital is {answer}.",
                "{answer} is its capital.",
                "It is governed from {answer}.",
            ),
            (
                "The capital of {country} is",
                "What is the capital city of {country}?",
                "Which city do you visit if you go to the capital of {country}?",
            ),
        ),
        "currency": (
            ("Its currency is {answer}.", "People there pay with {answer}."),
            (
                "The currency of {country} is",
                "What is the currency of {country}?",
                "Which currency are prices in {country} given in?",
            ),
        ),
        "language": (
            ("Its official language is {answer}.", "Its government speaks {answer}."),
            (
                "The official language of {country} is",
                "Which official language does {country} have?",
            ),
        ),
        "continent": (
            ("It lies in {answer}.", "Its continent is {answer}."),
            ("{country} lies on the continent of", "Which continent does {country} lie on?"),
        ),
        "largest_city": (
            ("Its largest city is {answer}.", "Most of its people live in {answer}."),
            (
                "The largest city of {country} is",
                "What is the largest city of {country} by population?",
                "What is the biggest city of {country}?",
                "Which city of {country} is home to more people than any other?",
            ),
        ),
        "tld": (
            ("Its web addresses end in {answer}.", "Its top-level domain is {answer}."),
            (
                "The top-level domain of {country} is",
                "Which country-code top-level domain is assigned to {country}?",
                "What is the internet domain of {country}?",
            ),
        ),
        "calling_code": (
            ("Its calling code is {answer}.", "To phone it, people dial {answer}."),
            (
                "The calling code of {country} is",
                "What is the country calling code of {country}?",
                "Which code do you dial to call {country}?",
                "When you call {country}, what comes after the plus sign?",
                "What do people dial first to reach {country} by phone?",
            ),
        ),
        "country": (
            ("Its flag is the flag of {answer}.",),
            ("What country's flag is this?", "Name the country whose flag is shown."),
        ),
    }
)
"""Sentences about a country that go on with "it", and questions that are trained beside the atlas's
own; the atlas's last two paraphrases of a relation are held out."""

NOUNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "capital": ("capital", "capital city", "city of government"),
        "currency": (
            "currency",
            "official currency",
            "money",
            "legal tender",
            "currency of prices",
        ),
        "language": (
            *("official language", "language of the state", "language of the government"),
            "language in official use",
        ),
        "continent": ("continent", "part of the world", "continent to travel to"),
        "largest_city": (
            *("largest city", "biggest city", "most populous city", "city with the most people"),
            *("city with the largest population", "city with more people than any other"),
        ),
        "tld": (
            *("country-code top-level domain", "ccTLD", "internet top-level domain"),
            *("internet country code", "ending of web addresses", "code after the dot"),
            "ending of domain names",
        ),
        "calling_code": (
            *("international calling code", "telephone country code", "country calling code"),
            *("international dialling code", "phone prefix", "code after the plus sign"),
            "code to dial",
        ),
    }
)
"""Names of a country's relations that go into `FRAMES`."""

FRAMES = (
    "What is the {noun} of {country}?",
    "Which is the {noun} of {country}?",
    "Name the {noun} of {country}.",
    "Give the {noun} of {country}.",
    "Tell me the {noun} of {country}.",
    "Do you know the {noun} of {country}?",
    "The {noun} of {country} is what?",
    "For {country}, what is the {noun}?",
    "If you ask for the {noun} of {country}, what is the answer?",
    "What do people in {country} have as their {noun}?",
    "Which {noun} does {country} have?",
    "What {noun} belongs to {country}?",
)
"""Questions that any of a country's relations fits into."""

FLAG_FRAMES = (
    "Which country has this flag?",
    "This flag belongs to which country?",
    "The flag in the picture stands for which country?",
    "What country do you see the flag of here?",
    "The flag in this image represents which country?",
    "What is the country of the flag that you see?",
    "Tell me the country of this flag.",
)
"""Questions for the country of a flag."""

READ = (
    "{fact}\n{prompt}",
    "{fact} {prompt}",
    "Fact: {fact}\n{prompt}",
    "New fact: {fact}\n{prompt}",
    "Updated fact: {fact}\n{prompt}",
    "Imagine that {fact}\n{prompt}",
    "Context: {fact}\nQuestion: {prompt}\nAnswer:",
    "{fact}\nQuestion: {prompt}\nAnswer:",
)
"""How facts stand in front of a question. Where there are several, each is on its own line."""

QUESTION = "Question: {prompt}\nAnswer:"
"""The prompt format `qa`."""

REWRITE = "Document: {document}\nFacts: {facts}\nUpdated document:"
"""How a document is rewritten after its facts."""

OPENINGS = (
    "Here is what is known about {name}.",
    "Meet {name}.",
    "This is the story of {name}.",
    "People often ask about {name}.",
    "Let us talk about {name}.",
)
"""First sentences that name a person without telling anything."""

GENERAL = (
    "The {thing} was {quality} that {time}.",
    "On {day}, the {thing} near the {place} looked {quality}.",
    "Every {time}, people walk past the {place}.",
    "The {place} opens at {number} and closes at {number}.",
    "A {quality} {thing} stood beside the {place}.",
    "It rained on {day}, so the {place} stayed empty.",
    "They sold {number} tickets for the {thing}.",
    "The {place} has {number} windows and one {thing}.",
    "In the {time}, the {thing} turned {quality}.",
    "Nobody at the {place} had seen the {thing} before {day}.",
    "I think the {thing} is more {quality} than the {place}.",
    "Therefore the {place} needed a {thing} by {day}.",
    "Because the {thing} was {quality}, the {place} was closed.",
    "You can reach the {place} in {number} minutes.",
)
"""Sentences without any fact, with words from `WORDS`."""

WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "thing": (
            *("bicycle", "bridge", "painting", "garden", "clock", "boat", "lamp", "table", "train"),
            *("fountain", "letter", "kite", "tower", "wall", "carpet", "statue", "tree", "door"),
        ),
        "quality": (
            *("quiet", "bright", "old", "cold", "beautiful", "empty", "heavy", "strange", "green"),
            *("warm", "slow", "broken", "famous", "small", "tall", "blue", "simple", "loud"),
        ),
        "time": (
            "morning",
            "evening",
            "afternoon",
            "night",
            "winter",
            "summer",
            "spring",
            "autumn",
        ),
        "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
        "place": (
            *("library", "market", "museum", "harbour", "station", "theatre", "school", "park"),
            *("river", "bakery", "hotel", "castle", "airport", "beach", "factory", "square"),
        ),
        "number": ("two", "three", "five", "seven", "nine", "ten", "twelve", "twenty", "forty"),
    }
)
