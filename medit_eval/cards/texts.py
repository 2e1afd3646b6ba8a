"""Cards as Markdown and as LaTeX, with text from data escaped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from medit_eval.pages.texts import latex, markdown


@dataclass(frozen=True)
class Grid:
    """A table of a card.

    Attributes:
        columns: Headings.
        rows: Lines, each with a text per column.
        widths: What share of the text's width each column takes in LaTeX.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[float, ...]


@dataclass(frozen=True)
class Section:
    """A part of a card.

    Attributes:
        title: Its heading.
        grids: Its tables.
        lines: Sentences below them, each a point of a list.
    """

    title: str
    grids: tuple[Grid, ...] = ()
    lines: tuple[str, ...] = ()


def markdown_card(title: str, lead: Sequence[str], sections: Sequence[Section]) -> str:
    """A card in Markdown.

    Args:
        title: The heading.
        lead: Paragraphs below it.
        sections: All else.
    """
    parts = [f"# {markdown(title)}"]
    parts += map(markdown, lead)
    for section in sections:
        parts.append(f"## {markdown(section.title)}")
        parts += map(_markdown_grid, section.grids)
        if section.lines:
            parts.append("\n".join(f"- {markdown(line)}" for line in section.lines))
    return "\n\n".join(parts) + "\n"


def _markdown_grid(grid: Grid) -> str:
    lines = [grid.columns, ("---",) * len(grid.columns)]
    made = [f"| {' | '.join(map(markdown, line))} |" for line in (grid.columns, *grid.rows)]
    made.insert(1, f"|{'|'.join(lines[1])}|")
    return "\n".join(made)


_HEAD = r"""% An evaluation card made by medit, for \input into a document of any class.
% It needs no package; with booktabs its rules are those of booktabs. Letters that are not Latin
% need XeLaTeX or LuaLaTeX.
\begingroup
\providecommand{\toprule}{\hline}
\providecommand{\midrule}{\hline}
\providecommand{\bottomrule}{\hline}
\setlength{\parindent}{0pt}\setlength{\tabcolsep}{3pt}\footnotesize
"""

_LIST = r"\begin{itemize}\setlength{\itemsep}{0pt}\setlength{\parskip}{0pt}"


def latex_card(title: str, lead: Sequence[str], sections: Sequence[Section]) -> str:
    """A card in LaTeX, without a preamble; see `markdown_card`."""
    parts = [rf"{_HEAD}\subsection*{{{latex(title)}}}"]
    parts += [f"{latex(paragraph)}\\par" for paragraph in lead]
    for section in sections:
        parts.append(rf"\subsubsection*{{{latex(section.title)}}}")
        parts += map(_latex_grid, section.grids)
        if section.lines:
            # An empty group: an item may begin with a bracket, which would be its label.
            items = "\n".join(rf"\item {{}}{latex(line)}" for line in section.lines)
            parts.append(f"{_LIST}\n{items}\n\\end{{itemize}}")
    return "\n\n".join([*parts, r"\endgroup"]) + "\n"


def _latex_grid(grid: Grid) -> str:
    align = "".join(rf"p{{{width:g}\linewidth}}" for width in grid.widths)
    head = [_latex_line(grid.columns, latex), r"\midrule"] if any(grid.columns) else []
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
            *head,
            *(_latex_line(row, latex) for row in grid.rows),
            r"\bottomrule",
            r"\end{tabular}\par",
        ]
    )


def _latex_line(cells: Sequence[str], escape: Callable[[str], str]) -> str:
    # \tabularnewline: behind \raggedright, \\ would end a line inside the last cell.
    ragged = (rf"\raggedright {escape(cell)}" for cell in cells)
    return " & ".join(ragged) + r" \tabularnewline"
