"""What an item of MQuAKE says: its edits, its chains of facts, and whether they go together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from schemas.formats import multi_counterfact
from schemas.formats.rows import Row
from schemas.rules import normalised, quoted

ReadTarget = Callable[[Row, str, str], str]
"""The answer that a rewrite (its fields, and where it sits) gives under a name."""


class Rewrite:
    """An entry of `requested_rewrite`: where it sits, its fields and what it asks."""

    def __init__(self, at: str, fields: Row, target: ReadTarget) -> None:
        self.at = at
        self.prompt = multi_counterfact.filled(fields, at)
        self.subject = fields.text(f"{at}.subject")
        self.new = target(fields, at, "target_new")
        self.true = target(fields, at, "target_true")
        self.question = fields.optional_text(f"{at}.question")
        relation = fields.optional_text(f"{at}.relation_id") or fields.text(f"{at}.prompt")
        self.fact = (normalised(self.subject), relation)
        wordings = (self.prompt, self.question)
        self.asked = {normalised(text) for text in wordings if text is not None}


class Hop:
    """An entry of `single_hops` or `new_single_hops`."""

    def __init__(self, at: str, fields: Row) -> None:
        self.at = at
        question, cloze = fields.text(f"{at}.question"), fields.text(f"{at}.cloze")
        self.prompts = tuple(dict.fromkeys((question, cloze)))
        self.asked = {normalised(text) for text in self.prompts}
        self.answers = distinct(fields.text(f"{at}.answer"), fields.texts(f"{at}.answer_alias"))
        self.says = {normalised(text) for text in self.answers}


def distinct(first: str, others: Iterable[str]) -> tuple[str, ...]:
    """An answer and its aliases, each once; aliases without a text are left out."""
    return tuple(dict.fromkeys((first, *(text for text in others if text.strip()))))


def check(row: Row, rewrites: Sequence[Rewrite], new: Sequence[Hop]) -> None:
    """Refuse an item whose edits cannot all be true together with its own new chain."""
    for index, later in enumerate(rewrites):
        for earlier in rewrites[:index]:
            same = later.fact == earlier.fact or later.asked & earlier.asked
            if same and normalised(later.new) != normalised(earlier.new):
                raise row.error(
                    f"is {quoted(later.new)}, but {earlier.at} changes the same fact to "
                    f"{quoted(earlier.new)}",
                    f"{later.at}.target_new",
                )
    for hop in new:
        for rewrite in rewrites:
            if hop.asked & rewrite.asked and normalised(rewrite.new) not in hop.says:
                raise row.error(
                    f"is {quoted(hop.answers[0])}, but {rewrite.at} changes this fact to "
                    f"{quoted(rewrite.new)}",
                    f"{hop.at}.answer",
                )
    _check_triples(row)


def _check_triples(row: Row) -> None:
    """Refuse an item whose new chain and edits differ by their ids, where it has both."""
    origin = row.fields.get("orig")
    if not isinstance(origin, dict):
        return
    chain, edits = (_triples(origin.get(name)) for name in ("new_triples", "edit_triples"))
    wanted = {(subject, relation): target for subject, relation, target in edits}
    for index, (subject, relation, target) in enumerate(chain):
        changed = wanted.get((subject, relation), target)
        if changed != target:
            raise row.error(
                f"leads from {subject} by {relation} to {target}, but an edit leads to {changed}",
                f"orig.new_triples[{index}]",
            )


def _triples(value: Any) -> list[tuple[str, str, str]]:
    """The well-formed triples of ids in a list; none where it is no list."""
    entries = value if isinstance(value, list) else []
    whole = (entry for entry in entries if isinstance(entry, list) and len(entry) == 3)
    return [(str(subject), str(relation), str(target)) for subject, relation, target in whole]
