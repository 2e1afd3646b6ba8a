"""The embedded source of document edits: usable without a network, a model or a download.

Introductions of countries, cities, people and companies at two dates. What happened to the
countries and cities did happen; the people and companies are invented.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from builders.definition import Row
from builders.docmedit.atlas.compose import Scene, compose
from builders.docmedit.atlas.invented import COMPANIES, PEOPLE, blocks, draw_block
from builders.docmedit.atlas.things import Article, read_data
from builders.docmedit.atlas.world import FIRST_DAY, LAST_DAY, load_world
from builders.seeds import digest, seed_for
from builders.steps import Reject
from schemas.arrow import to_row

DEFAULT_EDITS, LEAST_BLOCKS = 400, 25
"""Document edits where no limit says how many, nearly; and blocks of invented articles that are
among them, however many real ones there are."""

STYLE_ONLY = "style_only"
"""The rule that rejects an article of which nothing but the wording changed."""

_QUIET_PLACES = 24


@dataclass(frozen=True)
class AtlasSource:
    """Document edits of the embedded world, in an order that the seed decides.

    What an article becomes depends on the seed, the dates and the article, never on the limit.

    Attributes:
        seed: The build's seed.
        limit: Document edits to give, or None for all real ones and invented ones, together
            about `DEFAULT_EDITS`. Beyond those, further people and companies are invented, some
            ten thousand.
        before: The first date, in ISO 8601.
        after: The second one.
    """

    seed: int = 0
    limit: int | None = None
    before: str = FIRST_DAY
    after: str = LAST_DAY

    def ingest(self, spool: Path) -> Iterator[Row | Reject]:
        """The document edits, and a reject for each article that was only reworded.

        Raises:
            InputError: If the dates are not in order or outside of what the data covers.
        """
        given = 0
        for number, (article, scene) in enumerate(self._articles()):
            if self.limit is not None and given >= self.limit:
                return
            row_id, draft = scene.row_id(article), compose(article, scene)
            if draft is None:
                yield Reject(
                    number,
                    row_id,
                    "atlas",
                    STYLE_ONLY,
                    "document.after",
                    f"{article.title} was reworded, and nothing in it changed",
                )
            else:
                given += 1
                yield Row(number, row_id, to_row(draft))

    def context(self) -> dict[str, Any]:
        """Nothing: every row says all there is to know."""
        return {}

    def describe(self) -> dict[str, Any]:
        """Facts about the source for manifest and card."""
        data = ("changes.json", "names.json", "places.json", "wordings.json")
        changes = read_data("changes.json")
        known = len(changes["timelines"]) + sum(
            len(subjects.split()) for row in changes["joined"] for subjects in row["days"].values()
        )
        sources = (row["source"] for part in ("timelines", "joined") for row in changes[part])
        return {
            "name": "atlas",
            "title": "Countries, cities and invented lives at two dates, written by this project",
            "licence": "apache-2.0",
            "as_of": self.after,
            "before": self.before,
            "digest": digest({name: read_data(name) for name in data}),
            "sources": sorted(set(sources)),
            "notes": [
                f"The {known} relations of countries and cities that changed are real and dated; "
                "each names its source. Facts are not subject to copyright.",
                "People, companies, universities, prizes, societies and orchestras are invented. "
                "Nobody in the data exists, and any likeness of a name is chance.",
                "The texts are short sentences from a few dozen patterns, not encyclopedic prose. "
                "Results on them do not carry over to real articles without a check.",
                "What does not change is taken to have held all the time between the dates; "
                "relations that are disputed or have several answers are left out.",
                "Membership that ended, such as that of the United Kingdom in the European Union, "
                "is left out: an edit here adds or replaces, and never only removes.",
            ],
        }

    def _articles(self) -> Iterator[tuple[Article, Scene]]:
        """Articles with what surrounds them: real and invented ones mixed, then invented ones."""
        world = load_world(self.before, self.after)
        quiet = [a for a in world.articles if not a.changes and len(a.items) > 2]
        Random(seed_for("docmedit atlas quiet", self.seed)).shuffle(quiet)
        quiet = quiet[:_QUIET_PLACES]
        changing = {article.title: article for article in world.articles if article.changes}
        real = Scene(self.seed, world.pages, changing, (quiet,), self.before, self.after)
        mixed = [(article, real) for article in changing.values()]
        mixed += [(article, real) for article in quiet]
        wanted = -(-(DEFAULT_EDITS - len(changing)) // (PEOPLE + COMPANIES))
        first = max(LEAST_BLOCKS, wanted)
        for number in range(first):
            mixed += self._block(number, real)
        Random(seed_for("docmedit atlas order", self.seed)).shuffle(mixed)
        yield from mixed
        if self.limit is not None:
            for number in range(first, blocks()):
                yield from self._block(number, real)

    def _block(self, number: int, real: Scene) -> list[tuple[Article, Scene]]:
        world = load_world(self.before, self.after)
        years = (int(self.before[:4]), int(self.after[:4]))
        # The next block's articles are strangers to this one's, whatever the limit is.
        block, next_one = (
            draw_block(self.seed, place % blocks(), world.cities, years)
            for place in (number, number + 1)
        )
        strangers = [article for article in next_one.articles if not article.changes]
        changing = {article.title: article for article in block.articles if article.changes}
        scene = replace(
            real,
            pages={**real.pages, **block.pages},
            articles={**real.articles, **changing},
            quiet=(*real.quiet, strangers),
        )
        return [(article, scene) for article in block.articles]
