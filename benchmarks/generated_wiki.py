"""Two snapshots of a generated wiki, for measurements.

Of every hundred pages one each gets a new fact that another page tells as well, is reworded, gets
another title, is created, is deleted; five are redirects. The others stay as they are.
"""

from __future__ import annotations

import bz2
import random
from collections.abc import Iterator
from pathlib import Path

UPDATED, REWORDED, MOVED, CREATED, DELETED = 0, 20, 40, 60, 80
"""Pages that change, by the last two digits of their numbers."""

REDIRECTS = (10, 30, 50, 70, 90)

_HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xml:lang="en">
<siteinfo><sitename>Generated</sitename><dbname>generatedwiki</dbname><case>first-letter</case>
<namespaces><namespace key="0" case="first-letter" /><namespace key="1">Talk</namespace>
<namespace key="6">File</namespace><namespace key="14">Category</namespace></namespaces></siteinfo>
"""

_WORDS = (
    "river valley council founded railway station bridge museum family company engineer painter "
    "harbour market church school province northern early large several known later became moved "
    "built opened century village region population district festival library castle mountain"
)


def generate(folder: Path, pages: int) -> int:
    """Write two snapshots of a generated wiki.

    Args:
        folder: Where `wiki-20230101.xml.bz2` and `wiki-20240101.xml.bz2` go.
        pages: Pages of each, but for one in a hundred.

    Returns:
        The size of their XML in bytes.
    """
    folder.mkdir(parents=True)
    size = 0
    for year, is_later in ((2023, False), (2024, True)):
        with bz2.open(folder / f"wiki-{year}0101.xml.bz2", "wb", compresslevel=9) as file:
            for text in _xml(pages, is_later):
                raw = text.encode()
                size += len(raw)
                file.write(raw)
    return size


def _xml(pages: int, is_later: bool) -> Iterator[str]:
    yield _HEAD
    for number in range(pages):
        kind = number % 100
        if kind == (DELETED if is_later else CREATED):
            continue
        title, redirect = _title(number), ""
        if kind == MOVED and is_later:
            title = f"New {title}"
        if kind in REDIRECTS:
            title = f"Town of {title}"
            target = _title(number + 1)
            redirect = f'<redirect title="{target}" />'
            text = f"#REDIRECT [[{target}]]"
        else:
            text = _article(number, pages, is_later)
        changed = is_later and kind in (UPDATED, REWORDED)
        stamp = "2023-06-01" if changed else "2022-06-01"
        yield (
            f"<page><title>{title}</title><ns>0</ns><id>{number + 1}</id>{redirect}<revision>"
            f"<id>{number * 10 + changed}</id><timestamp>{stamp}T00:00:00Z</timestamp><contributor>"
            f"<username>Somebody</username><id>7</id></contributor><model>wikitext</model>"
            f"<format>text/x-wiki</format><text bytes='9' xml:space='preserve'>"
            f"{text}</text><sha1>x</sha1></revision></page>\n"
        )
    yield "</mediawiki>\n"


def _title(number: int) -> str:
    words = _WORDS.split()
    first, second = words[number % 7], words[number % 11 + 7]
    return f"{first.capitalize()} {second.capitalize()} {number}"


def _article(number: int, pages: int, is_later: bool) -> str:
    """Wikitext of some 6 kB: a box, an introduction with links, sections."""
    draw = random.Random(number)
    words = _WORDS.split()

    def sentence(link: str = "") -> str:
        text = " ".join(draw.choices(words, k=draw.randint(8, 20)))
        return f"{text.capitalize()}{link}."

    def link() -> str:
        return f" near [[{_title(draw.randrange(pages))}]]"

    box = f"{{{{Infobox settlement\n| name = {_title(number)}\n| population = {number}\n}}}}\n"
    opening = f"'''{_title(number)}''' is a town in [[{_title((number + 7) % pages)}|the valley]]. "
    parts = [box, opening, *(sentence(link()) + " " for _ in range(4))]
    for section in range(6):
        lines = (
            " ".join(sentence(link() if draw.random() < 0.3 else "") for _ in range(5))
            for _ in range(2)
        )
        parts.append(f"\n== {words[section].capitalize()} ==\n" + "\n\n".join(lines) + "\n")
    if is_later and number % 100 == REWORDED:
        parts.insert(2, "It is by now a rather quiet one. ")
    if is_later and number % 100 == UPDATED:
        # A new neighbour, with a sentence about it on the neighbour's page; and one without a link.
        other, third = _title((number + 100) % pages), _title((number + 101) % pages)
        parts.insert(2, f"Since then it has belonged to the county of [[{other}]]. ")
        parts.insert(3, f"Its twin town in the far north has long been {third}. ")
        first = _title((number - 100) % pages)
        parts.append(f"\nThe county also took in the old town of [[{first}]] in that year.\n")
    return "".join(parts)
