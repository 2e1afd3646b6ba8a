"""Tables as Markdown and as LaTeX, with text from data escaped."""

from __future__ import annotations

import re
from collections.abc import Callable

from medit_eval.pages.cells import Cell, Table
from schemas.pages import visible

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",  # the mark itself needs an encoding that is not TeX's own
    "⟨": r"$\langle$",
    "⟩": r"$\rangle$",
    "–": "--",
    "×": r"$\times$",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "−": "$-$",
}
_LATEX_SPECIAL = re.compile("|".join(map(re.escape, _LATEX)))
_MARKDOWN_SPECIAL = re.compile(r"([\\`*{}\[\]<>|~&$]|^#|^[+-](?=[\s-]|$)|(?<![^\W_])_|_(?![^\W_]))")
"""What Markdown takes for markup: anywhere, where a line begins, or on the border of a word."""

_MARKDOWN_NUMBER = re.compile(r"^(\d+)([.)])(?=\s|$)")


def latex(text: str) -> str:
    """Text as LaTeX shows it, on one line."""
    line = " ".join(visible(text).split())
    return _LATEX_SPECIAL.sub(lambda match: _LATEX[match.group()], line)


def markdown(text: str) -> str:
    """Text as Markdown shows it, on one line: nothing in it is markup."""
    line = _MARKDOWN_SPECIAL.sub(r"\\\1", " ".join(visible(text).split()))
    return _MARKDOWN_NUMBER.sub(r"\1\\\2", line)


def markdown_table(table: Table) -> str:
    """A table in Markdown, with its title and caption."""
    rule = ["---:" if place in table.numbers else "---" for place in range(len(table.columns))]
    lines = [
        f"## {markdown(table.title)}",
        "",
        markdown(table.caption),
        "",
        _line([markdown(name) for name in table.columns]),
        _line(rule),
    ]
    for row in table.rows:
        lines.append(_line([_in_one(cell, markdown) for cell in row]))  # noqa: PERF401
    return "\n".join([*lines, ""])


def latex_table(table: Table) -> str:
    """A table for `booktabs`, in a `table` environment."""
    align = "".join("r" if place in table.numbers else "l" for place in range(len(table.columns)))
    body = [" & ".join(_in_one(cell, latex) for cell in row) + r" \\" for row in table.rows]
    caption = f"{table.title}. {table.caption}"
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{latex(caption)}}}",
            rf"\label{{tab:{table.name}}}",
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
            " & ".join(latex(name) for name in table.columns) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _in_one(cell: Cell, escape: Callable[[str], str]) -> str:
    text, notes = escape(cell.text), escape("; ".join(cell.notes))
    return f"{text} ({notes})" if notes else text


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
