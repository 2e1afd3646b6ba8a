"""An article as a document edit: two introductions, the facts between them, and what to ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from builders.docmedit.atlas.introduction import Introduction, introduce, triple
from builders.docmedit.atlas.things import Article, Ask, Item, Page, Thing
from builders.docmedit.atlas.wordings import Sentence, Wording, asked, load_wordings, told
from builders.docmedit.draft import Asked, Draft, Elsewhere, Hop, Kept, Kind
from builders.seeds import content_id, seed_for
from schemas.documents import Document, Fact

_KEPT: Mapping[Kind, int] = {"unchanged_sentence": 4, "related_document": 3, "random_document": 3}
_FEWEST, _DISTRACTORS = 2, (3, 6)
_LONGEST_ELSEWHERE = 450


@dataclass(frozen=True, slots=True)
class Scene:
    """What surrounds a document.

    Attributes:
        seed: The world's seed.
        pages: Pages by title.
        articles: Articles that change, by title.
        quiet: Groups of articles that nothing happens to; one of those serves as a random document.
        before: The first date.
        after: The second one.
    """

    seed: int
    pages: Mapping[str, Page]
    articles: Mapping[str, Article]
    quiet: Sequence[Sequence[Article]]
    before: str
    after: str

    def row_id(self, article: Article) -> str:
        """The id of an article's document edit."""
        dates = (self.before, self.after)
        return content_id("docmedit atlas", self.seed, *dates, article.kind, article.title)

    def random(self, article: Article) -> Random:
        """What decides everything about an article; its introductions come first."""
        return Random(seed_for("docmedit atlas", self.row_id(article)))


def compose(article: Article, scene: Scene) -> Draft | None:
    """The document edit of an article, or None where nothing but the style changes."""
    row_id, rng = scene.row_id(article), scene.random(article)
    intro = introduce(article, rng, scene.before, scene.after)
    if not article.changes:
        return None
    facts, asks = [], []
    for number, (item, old) in enumerate(intro.changed):
        facts.append(_fact(article, item, old, f"{row_id}/{number}", scene.pages))
        asks.append(_asked(article, item))
    near = _near(article, intro, facts, scene)
    named = {mention.entity for mention in (*intro.before.mentions, *intro.after.mentions)}
    groups = [[a for a in group if not named & _names(a)] for group in scene.quiet]
    stranger = rng.choice(rng.choice([group for group in groups if group]))
    away = introduce(stranger, rng, scene.before, scene.after)
    document = Document(
        title=article.title,
        page_id=article.key,
        language="en",
        snapshot_before=scene.before,
        snapshot_after=scene.after,
        before=intro.before,
        after=intro.after,
        facts=tuple(facts),
        retrieved=_retrieved(article, intro, facts, near, (stranger, away), rng),
    )
    elsewhere = [Elsewhere("random_document", stranger.title, away.after.text)]
    if near.text is not None:
        elsewhere.insert(0, near.text)
    same = _unchanged(article, intro, rng)
    # An editor gets one of these; no other one may state the same fact in other words.
    other = _one_each(_unchanged(stranger, away, rng), rng)
    kept = (
        *_some("unchanged_sentence", [(article.title, ask) for ask in same], rng),
        *_some("related_document", near.asks, rng),
        *_some("random_document", [(stranger.title, ask) for ask in other], rng),
    )
    return Draft(document, tuple(asks), kept, tuple(elsewhere))


# Facts --------------------------------------------------------------------------------------


def _fact(
    article: Article, item: Item, old: Sentence | None, fact_id: str, pages: Mapping[str, Page]
) -> Fact:
    assert item.evidence is not None
    page, text = pages[item.evidence], told(article, item)
    sentences = page.paragraph(text)
    start = sum(len(s) + 1 for s in sentences[: sentences.index(text)])
    return Fact(
        id=fact_id,
        text=text,
        page=page.title,
        section=page.section,
        evidence="other_page",
        passage=" ".join(sentences),
        start=start,
        object=item.after.name,
        object_old=None if item.before is None else item.before.name,
        triple=triple(article, item),
        statement_old=None if item.before is None or old is None else old.text,
    )


def _asked(article: Article, item: Item) -> Asked:
    wording = load_wordings()[article.kind, item.relation]
    prompt, *_ = texts = _put(article, item, wording)
    subject = article.before.name if item.relation == "name" else article.title
    questions = texts[1 : 1 + len(wording.questions)]
    return Asked(
        prompt=prompt,
        subject=subject if subject in prompt else None,
        questions=tuple(questions),
        rephrasings=tuple(
            t for t in texts[1 + len(questions) :] if t not in texts[: 1 + len(questions)]
        ),
        aliases=item.after.aliases,
        hops=tuple(_hops(article, item, wording)),
    )


def _put(article: Article, item: Item, wording: Wording) -> list[str]:
    """Prompt, questions and rephrasings with everything filled in."""
    texts = (wording.prompt, *wording.questions, *wording.rephrasings)
    return [asked(article, item, item.after, text) for text in texts]


def _hops(article: Article, item: Item, wording: Wording) -> list[Hop]:
    found = []
    for place, question in enumerate(wording.hops):
        new = _behind(item.after, place)
        old = None if item.before is None else _behind(item.before, place)
        if new is not None and new != old:
            text = asked(article, item, item.after, question)
            found.append(Hop(text, new, old, place + 1))
    return found


def _behind(thing: Thing, place: int) -> str | None:
    return thing.hops[place] if place < len(thing.hops) else None


# What surrounds it --------------------------------------------------------------------------


def _names(article: Article) -> set[str]:
    """Titles of an article and of all that it may link to."""
    return {article.title, *(item.after.title or "" for item in article.items)} - {""}


@dataclass(frozen=True, slots=True)
class _Near:
    """What is related with an article through a link.

    Attributes:
        asks: Questions, each with the title that it is about.
        sentences: What stands there about other subjects.
        text: A text that does not tell of the article's own changes, if there is one.
    """

    asks: Sequence[tuple[str, Ask]]
    sentences: Sequence[str]
    text: Elsewhere | None


def _near(article: Article, intro: Introduction, facts: Sequence[Fact], scene: Scene) -> _Near:
    """What the later text or a fact links to: pages, else articles, else pages one link on."""
    entities = [mention.entity for mention in intro.after.mentions]
    titles = dict.fromkeys([*entities, *(fact.page for fact in facts)])
    titles.pop(article.title, None)
    behind = dict.fromkeys(hop for item, _, _ in intro.told for hop in item.after.hops if hop)
    stated = {fact.text for fact in facts}
    renamed = article.before.name != article.after.name
    asks: list[tuple[str, Ask]] = []
    sentences: list[str] = []
    text: Elsewhere | None = None
    for names in (titles, behind):
        fitting: list[Elsewhere] = []
        pages = [page for name in names if (page := scene.pages.get(name)) is not None]
        for page in (page for page in pages if not page.article and page.own):
            first = page.paragraphs[0]
            others = [s for part in page.paragraphs for s in part if s not in stated]
            sentences += [s for s in others if article.title not in s and page.title in s]
            if names is titles or len(asks) < _FEWEST:
                asks += [(page.title, ask) for ask in page.asks]
            # What is told there of the article would give the edit away.
            if not any(s in stated or article.title in s for s in first[len(page.own) :]):
                fitting.append(Elsewhere("related_document", page.title, " ".join(first)))
        fitting = [found for found in fitting if len(found.text) <= _LONGEST_ELSEWHERE]
        text = text or max(fitting, key=_size, default=None)
        for name in names:
            other = scene.articles.get(name)
            if other is None or other.title == article.title:
                continue
            rng = scene.random(other)
            there = introduce(other, rng, scene.before, scene.after)
            if len(asks) < _FEWEST:
                asks += [(other.title, ask) for ask in _unchanged(other, there, rng)]
            text = text or Elsewhere("related_document", other.title, there.after.text)
    # A page that tells of the change did not do so before; what it says of itself stays.
    earlier = [page for name in titles if (page := scene.pages.get(name)) and not page.article]
    excerpts = [Elsewhere("related_document", p.title, " ".join(p.own)) for p in earlier if p.own]
    text = text or max(excerpts, key=_size, default=None)
    if renamed:
        asks = [
            (title, ask)
            for title, ask in asks
            if article.title not in ask.prompt and article.title != ask.answer
        ]
    return _Near(asks, sentences, text)


def _size(other: Elsewhere) -> int:
    return len(other.text)


def _some(kind: Kind, found: Sequence[tuple[str, Ask]], rng: Random) -> Sequence[Kept]:
    chosen = rng.sample(found, min(len(found), _KEPT[kind]))
    return [Kept(kind, title, ask.prompt, ask.answer) for title, ask in chosen]


def _unchanged(article: Article, intro: Introduction, rng: Random) -> list[Ask]:
    """Questions on what the text says at both dates, two on each relation."""
    # A place that was renamed is asked about by the name that it had all along until then.
    article = replace(article, after=article.before)
    found: list[Ask] = []
    for item, _, _ in intro.told:
        wording = load_wordings()[article.kind, item.relation]
        if item.changed or not wording.prompt:
            continue
        question = rng.choice(wording.questions)
        found += [
            Ask(asked(article, item, item.after, text), item.after.name)
            for text in (wording.prompt, question)
        ]
    return found


def _one_each(asks: Sequence[Ask], rng: Random) -> list[Ask]:
    """One question of those with the same answer, for each answer."""
    groups: dict[str, list[Ask]] = {}
    for ask in asks:
        groups.setdefault(ask.answer, []).append(ask)
    return [rng.choice(group) for group in groups.values()]


def _retrieved(
    article: Article,
    intro: Introduction,
    facts: Sequence[Fact],
    near: _Near,
    away: tuple[Article, Introduction],
    rng: Random,
) -> tuple[str, ...]:
    """The facts among sentences on other subjects and on what did not change, mixed."""
    same = [told(article, item) for item, _, _ in intro.told if not item.changed]
    stranger, there = away
    far = [told(stranger, item) for item, _, _ in there.told]
    pool = dict.fromkeys(
        [*rng.sample(same, min(1, len(same))), *near.sentences, *rng.sample(far, min(2, len(far)))]
    )
    wanted = min(rng.randint(*_DISTRACTORS), len(pool))
    texts = list(dict.fromkeys([*(fact.text for fact in facts), *rng.sample(list(pool), wanted)]))
    rng.shuffle(texts)
    return tuple(texts)
