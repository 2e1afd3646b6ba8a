"""Tables: their rows as text, and as triples where a row of headings says what the cells are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from builders.docmedit.mediawiki import infobox, wikitext
from builders.docmedit.mediawiki.templates import WikitextError
from builders.docmedit.mediawiki.titles import Titles
from schemas.documents import Triple

MAX_COLUMNS = 50
"""Columns of a table that gives triples."""

MAX_DOWN = 1_000
"""Rows that a cell may go on through."""

MAX_CELL = 1_000
"""Characters of a cell's wikitext; longer ones are prose."""

MAX_NAME = 100
"""Characters of what a triple is about, and of a column's name."""

_SPAN = re.compile(r"\b(col|row)span\s*=\s*[\"']?\s*(\d{1,4})", re.I)
_RANK = re.compile(r"(?:|#|№|n[ro]\.?|num(?:ber)?\.?|rank(?:ing)?|pos(?:ition)?\.?|place)", re.I)
_TIME = re.compile(r"(?:dates?|days?|months?|years?|seasons?|terms?|periods?|times?)", re.I)
_NOTHING = re.compile(r"n/?a|none|not available|unknown|tb[acd]|vacant|various", re.I)
_LOOKS = re.compile(r"\s*(?:[\w-]+\s*=\s*(?:\"[^\"]*\"|'[^']*')\s*)+")
_NO_RELATION = re.compile(
    r"(?:refs?|references?|sources?|citations?|notes?|comments?|remarks?|images?|photos?|pictures?|"
    r"portraits?|flags?|logos?|coordinates|coords?|websites?|links?)\b\W*(?:\(s\))?",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as wikitext.

    Attributes:
        text: What stands in it.
        heads: Whether it is a heading.
        across: The columns that it takes.
        down: The rows that it takes.
    """

    text: str
    heads: bool
    across: int = 1
    down: int = 1


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is no row of headings.

    Attributes:
        text: A paragraph of wikitext: `Year: 1999; Town: [[A]]`.
        named: Its cells behind the wikitext of their columns' headings; none where these are not
            known.
    """

    text: str
    named: tuple[tuple[str, Cell], ...] = ()


def rows(raw: str) -> list[Row]:
    """The rows of a section's tables.

    In a row's text, cells have the names of their columns in front where the table has as many of
    one as of the other. Rows that are far too long are left out.

    Raises:
        WikitextError: If templates are nested too deep.
    """
    if "{|" not in raw:
        return []
    text = wikitext.without_marks(raw)
    return [
        row
        for start, end, _ in wikitext.table_spans(text)
        for row in _rows(text[start:end])
        if any(map(str.isalnum, row.text)) and not wikitext.too_much(row.text)
    ]


def triples(found: Iterable[Row], titles: Titles) -> tuple[Triple, ...]:
    """What rows state: subject, column's name, cell.

    The subject of a row is its one heading cell, or else its first cell that is neither number nor
    date nor that of other rows as well. Left out are cells that are empty, too long or take several
    columns, ranks (a number under `No.` or the like), and columns of references, notes and
    pictures. A table without a row of headings states nothing.

    Args:
        found: Some of `rows`.
        titles: The wiki's naming rules.
    """
    # Headings are the same in every row.
    names: dict[str, str] = {}
    stated: dict[Triple, None] = {}
    for row in found:
        for heading, _ in row.named:
            if heading not in names:
                names[heading] = _plain(heading, titles)
        cells = [(names[heading], cell) for heading, cell in row.named]
        cells = [pair for pair in cells if not _is_rank(*pair)]
        subject = _subject(cells, titles)
        if subject is None:
            continue
        about, text = subject
        for name, cell in cells:
            if cell is not about and cell.across == 1 and (relation := _relation(name)):
                values = (v for v in _values(cell, titles) if v != text)
                stated |= dict.fromkeys(Triple(text, relation, value) for value in values)
    return tuple(stated)


def _subject(cells: Sequence[tuple[str, Cell]], titles: Titles) -> tuple[Cell, str] | None:
    """The cell that a row is about, and what it says."""
    headings = [pair for pair in cells if pair[1].heads]
    for name, cell in (*(headings if len(headings) == 1 else ()), *cells):
        values = _values(cell, titles)
        if any(any(map(str.isalpha, value)) for value in values):
            if _TIME.fullmatch(name) or cell.down > 1:
                continue
            whole = len(values) == 1 and cell.across == 1 and len(values[0]) <= MAX_NAME
            return (cell, values[0]) if whole else None
        if not any(map(str.isdigit, cell.text)):
            return None  # who goes on without a name is not known
    return None


def _values(cell: Cell, titles: Titles) -> list[str]:
    if len(cell.text) > MAX_CELL:
        return []
    try:
        found = list(infobox.values(cell.text, titles))
    except WikitextError:
        return []
    return [v for v in found if any(map(str.isalnum, v)) and not _NOTHING.fullmatch(v)]


def _plain(heading: str, titles: Titles) -> str:
    if len(heading) > MAX_CELL:
        return ""
    try:
        return wikitext.plain(heading, titles).text.strip(" ,;:'")
    except WikitextError:
        return ""


def _relation(name: str) -> str:
    """A column's name as a relation; "" where it is none."""
    known = any(map(str.isalpha, name)) and len(name) <= MAX_NAME
    return name if known and not _NO_RELATION.fullmatch(name) else ""


def _is_rank(name: str, cell: Cell) -> bool:
    return _RANK.fullmatch(name) is not None and not any(map(str.isalpha, cell.text))


def _rows(table: str) -> Iterator[Row]:
    """The rows of one table, those of tables within it left out."""
    columns: list[str] = []
    grid = _Grid()
    inner = wikitext.without_tables(table.partition("\n")[2])
    for part in re.split(r"^[ \t:]*\|-.*$", inner, flags=re.M):
        cells = _cells(part)
        named = grid.add(cells)
        texts = [cell.text.replace("\n", " ") for cell in cells]
        if all(cell.heads for cell in cells):
            columns = columns or texts
        elif len(columns) == len(texts):
            pairs = zip(columns, texts, strict=True)
            yield Row("; ".join(f"{name}: {text}" for name, text in pairs if text), named)
        else:
            yield Row("; ".join(filter(None, texts)), named)


def _cells(row: str) -> list[Cell]:
    """The cells of a row."""
    cells: list[Cell] = []
    for line in map(str.strip, row.split("\n")):
        if line.startswith(("|+", "|}")):
            continue
        if line.startswith(("|", "!")):
            heads = line[0] == "!"
            parts = re.split(r"\|\||!!" if heads else r"\|\|", line[1:])
            cells += [_cell(part, heads) for part in parts]
        elif cells and line:
            last = cells.pop()
            cells.append(replace(last, text=f"{last.text}\n{line}".strip()))
    return cells


def _cell(part: str, heads: bool) -> Cell:
    # What stands before a single bar is how the cell looks; a template may have held the bar.
    looks = re.match(r"[^|\[\]]*\|", part) or _LOOKS.fullmatch(part)
    if looks is None:
        return Cell(part.strip(), heads)
    spans = {kind.lower(): max(1, int(number)) for kind, number in _SPAN.findall(looks[0])}
    text = part[looks.end() :].strip()
    return Cell(text, heads, spans.get("col", 1), min(spans.get("row", 1), MAX_DOWN))


class _Grid:
    """The columns of a table: cells that take several rows or columns stand in each of them."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._begun = False
        self._going_on: dict[int, tuple[Cell, int]] = {}

    def add(self, cells: Sequence[Cell]) -> tuple[tuple[str, Cell], ...]:
        """The cells of the next row with the names of their columns, if these are known."""
        line = self._line(cells)
        if not line or len(line) > MAX_COLUMNS:
            return ()
        if not all(cell.heads for cell in line):
            self._begun = True
            whole = len(line) == len(self._names)
            return tuple(zip(self._names, line, strict=True)) if whole else ()
        # A single heading over all columns is a title, of the table or of the rows below.
        if any(cell is not line[0] for cell in line[1:]):
            if self._begun:
                self._names, self._begun = [], False
            self._head(line)
        return ()

    def _head(self, line: Sequence[Cell]) -> None:
        """Take up a row of headings, of which there may be several on top of one another."""
        above = self._names if len(self._names) == len(line) else [""] * len(line)
        self._names = [
            upper if cell.text == upper else f"{upper} {cell.text}".strip()
            for upper, cell in zip(above, line, strict=True)
        ]

    def _line(self, cells: Sequence[Cell]) -> list[Cell]:
        line: list[Cell] = []
        waiting = iter(cells)
        going_on, self._going_on = self._going_on, {}
        last = max(going_on, default=-1)
        while len(line) <= MAX_COLUMNS:
            column = len(line)
            if column in going_on:
                cell, left = going_on[column]
                taken = 1
            elif (cell := next(waiting, None)) is not None:
                left, taken = cell.down, min(cell.across, MAX_COLUMNS + 1)
            elif column <= last:
                cell, left, taken = Cell("", heads=False), 1, 1
            else:
                break
            line += [cell] * taken
            if left > 1:
                self._going_on |= {column + n: (cell, left - 1) for n in range(taken)}
        return line
