"""`card`: reads finished runs, and makes and writes a card for each editor."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medit_eval.cards.basis import place, run_section, settings_section
from medit_eval.cards.facts import Facts
from medit_eval.cards.limits import limits
from medit_eval.cards.outcome import metrics_section, missing_section, results_section
from medit_eval.cards.protocol import protocol_of
from medit_eval.cards.texts import Section, latex_card, markdown_card
from medit_eval.contenders import Contender, read_contenders
from schemas.errors import InputError
from schemas.layout import write_text
from schemas.progress import Progress

NAME = "card"
"""Of the files, without their suffix; with several editors, the editor's name follows."""


@dataclass(frozen=True)
class Card:
    """A card.

    Attributes:
        name: Of its files, without their suffix.
        markdown: The card in Markdown.
        latex: The card in LaTeX, without a preamble.
    """

    name: str
    markdown: str
    latex: str

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write both files, and return their paths."""
        paths = folder / f"{self.name}.md", folder / f"{self.name}.tex"
        write_text(paths[0], self.markdown)
        write_text(paths[1], self.latex)
        return paths


def card(
    run: str | Path, out: str | Path | None = None, *, progress: Progress | None = None
) -> tuple[Card, ...]:
    """The evaluation cards of a run or a study, from its files alone.

    An editor with its settings has one card, over all orders of edits that it was run on.

    Args:
        run: A run folder, or that of a study. Nothing is written there unless `out` says so.
        out: Where to write the cards; nowhere by default.
        progress: Shows how far it is.

    Raises:
        InputError: If the folder is damaged or holds no run, or `out` is a file.
    """
    root = None if out is None else Path(out)
    if root is not None and root.is_file():
        raise InputError("is a file; cards are written into a folder", file=root)
    cards = cards_of(read_contenders([run], progress))
    if root is not None:
        for made in cards:
            made.write(root)
    return cards


def cards_of(found: Sequence[Contender]) -> tuple[Card, ...]:
    """The cards of contenders, each under a name of its own."""
    if len(found) == 1:
        return (_card(found[0], NAME),)
    names: list[str] = []
    for contender in found:
        slug = re.sub(r"[^a-z0-9]+", "-", contender.label.lower()).strip("-") or "editor"
        name, count = f"{NAME}-{slug}", 2
        while name in names:
            name, count = f"{NAME}-{slug}-{count}", count + 1
        names.append(name)
    return tuple(_card(contender, name) for contender, name in zip(found, names, strict=True))


def _card(contender: Contender, name: str) -> Card:
    facts = Facts(contender)
    model = place(str(facts.arguments.get("model", "")))
    title = f"Evaluation card: {facts.reports[0].editor or 'editor'}"
    title += f" on {model}" if model else ""
    lead = [*_incomplete(facts), protocol_of(facts.arguments, facts.counts, len(facts.reports))]
    sections = [
        run_section(facts),
        settings_section(facts),
        results_section(facts),
        missing_section(facts),
        metrics_section(facts),
        Section("Known limits", lines=limits(facts)),
    ]
    shown = [section for section in sections if section.grids or section.lines]
    return Card(name, markdown_card(title, lead, shown), latex_card(title, lead, shown))


def _incomplete(facts: Facts) -> list[str]:
    """What stands on top of a card whose runs are not complete."""
    broken = sum(1 for manifest in facts.manifests if not manifest.complete)
    if not broken:
        return []
    which = "This run is" if len(facts.manifests) == 1 else f"{broken} of these runs are"
    asked = len(facts.predictions)
    return [
        f"NOT COMPLETE. {which} not finished: everything below rests on the {asked:,} answers that "
        "were there when the card was made, and will change."
    ]
