"""Names and numbers in a text, found by their form: no list of known titles, no trained model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from schemas.recognisers import NUMERIC, load_recogniser


@dataclass(frozen=True, slots=True)
class Entity:
    """A name or a number as it stands in a text."""

    text: str
    kind: Literal["name", "number"]


class Recogniser(Protocol):
    """Finds the names and numbers of a text, in order, each as often as it stands there."""

    def __call__(self, text: str) -> Sequence[Entity]:
        """The entities of a text."""
        ...


def surfaces(recogniser: Recogniser) -> Callable[[str], list[str]]:
    """The recogniser as a function from a text to strings, without the kinds."""

    def find(text: str) -> list[str]:
        return [entity.text for entity in recogniser(text)]

    return find


_AHEAD = "Mr|Mrs|Ms|Dr|St|Ste|Prof|Gen|Lt|Col|Capt|Sgt|Rev|Hon|Mt|Ft"
_BEHIND = "Jr|Sr|Inc|Ltd|Co|Bros"
_TOKEN = re.compile(
    rf"""
      (?P<number> (?<![\w.]) \d+ (?:[.,]\d+)* (?:st|nd|rd|th|s)? (?!\w) )
    | (?P<word>   (?: [^\W\d_]\. ){{2,}}                 # U.S.
                | [^\W\d_]\.(?=\s[^\W\d_])               # J. Smith
                | (?:{_AHEAD}|{_BEHIND})\.(?=\s|,|$)
                | [^\W\d_] (?: \w | ['’&\-‐‑](?=\w) )* )
    """,
    re.VERBOSE,
)
_LINKING = """
of the de la le les del della delle dei di da do dos das du des van von der den ter ten zu zur zum
bin ibn al el y e i et und og och av af ni te &
"""
_OPENING = """
a about above according across additionally after afterwards again against all almost along already
also although always amid among an and another any are around as aside at away based because been
before behind being below besides between beyond both but by can could currently despite did do does
due during each earlier either every few finally following for formed formerly founded from further
furthermore given had has have having he hence her here his historically how however i if in
including indeed initially inside instead into is it its just known later less like likewise located
many may me meanwhile might more moreover most mostly much my nearly neither never nevertheless no
none nonetheless nor not notably now of off officially often on once only opened or originally other
others our out outside over overall owing perhaps previously prior rather receiving recently
released several she similarly since so some sometimes soon starting still subsequently such than
that the their them then there thereafter therefore these they this those though through throughout
thus to today together too toward towards traditionally typically under unlike until up upon us
using usually various very was we were what when where whereas whether which while who whom whose
why will with within without would yes yet you your
"""
_PLAIN = """
back building children common construction critics current development early eight eleven experts
fans film filming films first five former four games general half large last late least members men
new next nine notable old one original part people players production recent research researchers
residents reviewers scientists second seven six small students teams ten third three twelve two
women workers working
"""
_OF_YEAR = """
January February March April May June July August September October November December
"""
_CONNECTORS = frozenset(_LINKING.split())
_OPENERS = frozenset(_OPENING.split())
_COMMON = _OPENERS | frozenset(_PLAIN.split())
_MONTHS = frozenset(_OF_YEAR.split())
_COMMON_END = re.compile(
    r"(?:ally|ously|ively|ently|antly|edly|ately|tion|tions|sions|ments|ness|ists|ities)$"
)
_NAME_GOES_ON = re.compile(rf"(?:^|\W)(?:{_AHEAD})\.$")
_NAME_MAY_GO_ON = re.compile(rf"(?:^|\W)(?:{_BEHIND}|[^\W\d_]|(?:[^\W\d_]\.)+[^\W\d_])\.$")


@dataclass(frozen=True, slots=True)
class _Word:
    start: int
    end: int
    text: str
    opens: bool

    @property
    def capital(self) -> bool:
        return any(letter.isupper() for letter in self.text)


def by_form(text: str) -> list[Entity]:
    """The capitalised spans and the numbers of a text.

    A span is a row of capitalised words, with words such as "of the" or "de" between two of them
    ("Bank of the West"), and ends at a comma, a bracket or a possessive. The first word of a
    sentence counts where it is no common word, or is followed by a capitalised one, or is
    capitalised elsewhere in the text and nowhere in lower case. Articles in front of a name are no
    part of it. Months beside a number are left out; the number is not.
    """
    tokens = list(_TOKEN.finditer(text))
    lower = {t["word"] for t in tokens if t["word"] and t["word"].islower()}
    inner = {t["word"] for t in tokens if t["word"] and not _opens(text, t)}
    found: list[tuple[int, Entity]] = [
        (t.start(), Entity(t["number"], "number")) for t in tokens if t["number"]
    ]
    for row in _rows(text, tokens):
        span = _trim(row)
        if not span or not any(word.capital for word in span):
            continue
        if len(span) == 1:
            word = span[0].text
            if not _is_name(word, lower, inner) if span[0].opens else _common(word):
                continue
        name = text[span[0].start : span[-1].end]
        found.append((span[0].start, Entity(_bare(name), "name")))
    return [entity for _, entity in sorted(found, key=lambda pair: pair[0])]


def _rows(text: str, tokens: Sequence[re.Match[str]]) -> Iterator[list[_Word]]:
    """Rows of capitalised words with connectors between them, before anything is stripped."""
    row: list[_Word] = []
    for index, token in enumerate(tokens):
        word = _Word(token.start(), token.end(), token[0], _opens(text, token))
        joined = bool(row) and text[row[-1].end : word.start] == " " and not _ends(row[-1].text)
        if (row and not joined) or word.opens:
            yield row
            row = []
        if not token["word"] or (word.text in _MONTHS and _beside_number(text, tokens, index)):
            yield row
            row = []
        elif word.capital or (row and word.text in _CONNECTORS):
            row.append(word)
        else:
            yield row
            row = []
    yield row


def _trim(row: list[_Word]) -> list[_Word]:
    """The row without connectors at its ends, and common words in front."""
    start, end = 0, len(row)
    while end and not row[end - 1].capital:
        end -= 1
    opening = bool(row) and row[0].opens
    while start < end:
        word = row[start].text
        article = word in {"The", "A", "An"} and start + 1 < end
        common = opening and _common(word, _OPENERS)  # but "New York" is one name
        if row[start].capital and not article and not (common and start + 1 < end):
            break
        start += 1
    return row[start:end]


def _is_name(word: str, lower: set[str], inner: set[str]) -> bool:
    """Whether the one capitalised word that a sentence begins with is a name."""
    small = word.lower()
    if small in lower:
        return False
    if word in inner:
        return True
    return not _common(word) and not (len(word) > 6 and _COMMON_END.search(word))


def _common(word: str, among: frozenset[str] = _COMMON) -> bool:
    return word.lower() in among and not (word.isupper() and len(word) > 1)  # "US", "IT"


def _opens(text: str, token: re.Match[str]) -> bool:
    """Whether a sentence begins with this token."""
    start = token.start()
    ahead = text[max(0, start - 12) : start]
    bare = ahead.rstrip(" \t\"'“‘«([*•–-")
    if not bare:
        return start <= 12
    if bare[-1] in "\n\r":
        return True
    if bare[-1] in "\"'”’»)]":
        bare = bare.rstrip("\"'”’»)]")
    if ahead[-1:].isalnum() or not bare or bare[-1] not in ".!?:…。":
        return False
    if _NAME_GOES_ON.search(bare):
        return False
    # "Arch Hall Sr. The film" begins a sentence, "J. Smith" and "U.S. Army" do not.
    return _common(token[0], _OPENERS) or not _NAME_MAY_GO_ON.search(bare)


def _ends(word: str) -> bool:
    return word.endswith(("'s", "’s"))


def _bare(name: str) -> str:
    """The name without a possessive."""
    return name[:-2] if _ends(name) else name


def _beside_number(text: str, tokens: Sequence[re.Match[str]], index: int) -> bool:
    sides = []
    if index and text[tokens[index - 1].end() : tokens[index].start()] == " ":
        sides.append(tokens[index - 1])
    if index + 1 < len(tokens) and tokens[index + 1].start() - tokens[index].end() <= 2:
        sides.append(tokens[index + 1])
    return any(token["number"] for token in sides)


@dataclass(frozen=True)
class SpacyRecogniser:
    """A trained spaCy pipeline as recogniser.

    Attributes:
        pipeline: Its name or folder, for example `en_core_web_md`, which DocMEdit's scorer uses.
    """

    pipeline: str = "en_core_web_md"

    def __call__(self, text: str) -> list[Entity]:
        """The entities of a text.

        Raises:
            InputError: If the pipeline is not installed or finds no entities.
        """
        return [
            Entity(span.text, "number" if span.label_ in NUMERIC else "name")
            for span in load_recogniser(self.pipeline)(text).ents
        ]
