"""How a fact is put: a sentence up to the entity in it, a row of a box, or a question."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from builders.docmedit.draft import Asked
from builders.docmedit.mediawiki.sentences import Sentence
from schemas.documents import Mention, Triple

MIN_WORDS = 2
"""Words of a sentence before the entity; fewer say too little for anybody to go on with them."""

_BRACKETS = re.compile(r" \([^()]*\)$")
_ARTICLE = re.compile(r"(?:the)?", re.I)

# Only what one thing alone can be: "who or what is a town?" has many answers.
_ASKED_BACK = re.compile(
    r"(?:is|was|are|were|became|becomes|remains|remained|leads|holds|owns|wrote|took)(?: over)? "
    r"(?:the|its|his|her|their) "
)


def wordings(
    title: str,
    sentence: Sentence,
    mention: Mention,
    triple: Triple | None,
    triples: Sequence[Triple],
) -> Iterator[Asked]:
    """The ways to ask for an entity of an article, the best one first.

    Args:
        title: The article.
        sentence: The sentence that names the entity.
        mention: The entity, counted from the sentence's beginning.
        triple: What says the same, or None.
        triples: All that the article's boxes and tables say.
    """
    text = cloze(title, sentence, mention) or _question(title, sentence, mention)
    if triple is not None:
        values = Counter((t.subject, t.relation) for t in triples)
        # "The owner of Asda is" has no one answer where the box names three.
        if values[triple.subject, triple.relation] == 1:
            about = f"the {triple.relation} of {triple.subject} is"
            prompt = about[0].upper() + about[1:]
            more = () if text is None else (text.prompt,)
            asked = _asked(title, prompt, triple.subject, more, about, mention.text)
            if asked is not None:
                yield asked
    if text is not None:
        yield text


def cloze(title: str, sentence: Sentence, mention: Mention) -> Asked | None:
    """A sentence up to an entity as a prompt, with the article's title in it.

    Args:
        title: The article.
        sentence: The sentence.
        mention: The entity, counted from the sentence's beginning.

    Returns:
        How the entity is asked for, or None where too little stands before it, or it stands
        before itself.
    """
    before = sentence.text[: mention.start]
    start = before.strip()
    if len(start.split()) < MIN_WORDS or before[-1].isalnum():
        return None
    headed = f"{title}: {start}"
    subject = _spelling(title, start, sentence.mentions)
    if subject is None:
        return _asked(title, headed, title, (), start, mention.text)
    return _asked(title, start, subject, (headed,), start, mention.text)


def contains(text: str, name: str) -> bool:
    """Whether a text holds a name as whole words."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.I) is not None


def bare(title: str) -> str:
    """A title without the brackets that tell it from others of the name."""
    return _BRACKETS.sub("", title)


def _question(title: str, sentence: Sentence, mention: Mention) -> Asked | None:
    """A sentence that begins with an entity as a question for it, where the rest can be one."""
    if not _ARTICLE.fullmatch(sentence.text[: mention.start].strip()):
        return None
    rest = sentence.text[mention.end :].strip().rstrip(".!;: ")
    if not _ASKED_BACK.match(rest):
        return None
    question = f"who or what {rest}?"
    return _asked(title, f"{title}: {question}", title, (), question, mention.text)


def _asked(
    title: str, prompt: str, subject: str, questions: Sequence[str], said: str, answer: str
) -> Asked | None:
    """A prompt and other ways to put what is said in it, without those that give the answer."""
    if contains(prompt, answer):
        return None
    frames = [
        f"According to the article on {title}: {said}",
        f'The article "{title}" says: {said}',
        f"From the article about {title}: {said}",
        f'In the encyclopedia, under "{title}": {said}',
    ]
    if said.endswith("?"):
        del frames[1]
    return Asked(
        prompt=prompt,
        subject=subject,
        questions=tuple(text for text in questions if not contains(text, answer)),
        rephrasings=tuple(text for text in frames if not contains(text, answer)),
    )


def _spelling(title: str, start: str, mentions: Sequence[Mention]) -> str | None:
    """The article's title as it stands in the beginning of a sentence, or None.

    What stands in the name of something else is not the article: "Berlin" in "Berlin Wall". Every
    title begins with a capital, whatever the thing is called: "iPhone" is the article "IPhone".
    """
    for name in dict.fromkeys((title, bare(title))):
        for spelling in (name, name[0].lower() + name[1:]):
            for found in re.finditer(rf"(?<!\w){re.escape(spelling)}(?!\w)", start):
                if not any(_is_part(found.span(), mention) for mention in mentions):
                    return spelling
    return None


def _is_part(span: tuple[int, int], mention: Mention) -> bool:
    start, end = span
    return mention.start <= start and end <= mention.end and end - start < len(mention.text)
