"""RippleEdits rows: an edit, and tests of what it should change beside itself and what not.

Fields as `src/benchmark.py`, `testcase.py`, `query.py` and `fact.py` of edenbiran/RippleEdits write
them (Cohen et al. 2024, "Evaluating the Ripple Effects of Knowledge Editing in Language Models").
The fact before the edit is `previous_fact` there and `original_fact` in files that circulate; both
are read.

`edit` holds no question and no answer, only a statement of both, such as "The capital of X is Y."
The answer is the label that a test gives for `target_id`. Where no test gives one, it is what
follows the question that the statement shares with that of the old fact; without an old fact, what
follows the statement's verb. Each test query becomes a probe. Its conditions, which say what the
unedited model should know, come back on export and are not asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from schemas.formats import mmedit
from schemas.formats.core import Format, OutputFile
from schemas.formats.images import ImageSink
from schemas.formats.rows import Row
from schemas.records import Axis, EditRecord, EditRequest, Expectation, Probe

_GROUPS: Mapping[str, tuple[Axis, str, Expectation]] = {
    "Relation_Specificity": ("locality", "relation_specificity", "unchanged"),
    "Logical_Generalization": ("portability", "logical_generalization", "target"),
    "Subject_Aliasing": ("portability", "subject_aliasing", "target"),
    "Compositionality_I": ("portability", "compositionality_i", "target"),
    "Compositionality_II": ("portability", "compositionality_ii", "target"),
    "Forgetfulness": ("locality", "forgetfulness", "unchanged"),
}
_CHAINED = frozenset({"compositionality_i", "compositionality_ii"})
_OLD_FACTS = ("original_fact", "previous_fact")

_VERB = r"(?:is followed by|follows|is|are)"
_OPENING = (
    # A relative clause has a verb of its own in front of the statement's: "which X plays in is".
    rf"The .+? that is most likely to be performed in .+? {_VERB}",
    rf"The .+? which .+? (?:is|are|plays|won)\b.*? {_VERB}",
    rf"The .+? {_VERB}",
    r".+? (?:is followed by|follows)",
    rf".+? {_VERB}",
)
_STATEMENTS = tuple(re.compile(rf"({opening}) (.+?)\.?", re.S) for opening in _OPENING)
"""A question and its answer in one statement, the more telling patterns first."""

_ENDS_IN_VERB = re.compile(rf".* {_VERB}", re.S)

_SUBJECTS = tuple(
    re.compile(pattern)
    for pattern in (
        r"The .+? which (.+) (?:is (?:associated with|a member of|part of|the capital of)"
        r"|plays in) is",
        r"The .+? that is most likely to be performed in (.+) is",
        r"The number of children (.+) has is",
        r"The name of the award (.+) won is",
        r"The .+ (?:held by|currency in) (.+) is",
        r"The (?:[a-z]+ )*of (.+) (?:is|are)",
        r"(?:The )?(.+) (?:is followed by|follows)",
    )
)
"""Where the benchmark's questions have their subject."""


def parse(row: Row) -> EditRecord:
    """The record of a row: one request, and a probe for each test query that can be judged."""
    edit = row.inner("edit")
    old = None
    for name in _OLD_FACTS:
        if edit.fields.get(f"edit.{name}") is not None:
            fact = edit.inner(f"edit.{name}")
            old = fact.text(f"edit.{name}.prompt")
    prompt, target = _split(row, edit, "edit", old)
    request = EditRequest(
        id=row.id,
        prompt=prompt,
        image=None,
        subject=_subject(prompt),
        target_new=target,
        target_true=None if old is None else _after(old, prompt),
    )
    probes = [mmedit.edit_probe(request)]
    for group, (axis, kind, expectation) in _GROUPS.items():
        for place, query, at in _queries(row, group):
            answers = _answers(query, at)
            if not answers and expectation == "target":
                continue  # nothing could judge it
            probes.append(
                Probe(
                    id=f"{kind}/{place}",
                    axis=axis,
                    kind=kind,
                    expectation=expectation,
                    prompts=(query.text(f"{at}.prompt"),),
                    images=(),
                    answers=answers,
                    hops=1 if kind in _CHAINED else None,
                )
            )
    return EditRecord(row.id, (request,), tuple(probes))


def render(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """The fields of a record without pictures; each probe becomes a test with one query.

    Raises:
        InputError: If it has several requests, or one with a picture.
    """
    request = mmedit.only_text_request(record)
    edit: dict[str, Any] = {"prompt": _stated(request.prompt, request.target_new)}
    if request.target_true is not None:
        edit["original_fact"] = {"prompt": _stated(request.prompt, request.target_true)}
    fields: dict[str, Any] = {"edit": edit}
    for group, (_, kind, _) in _GROUPS.items():
        if tests := [_test(probe) for probe in record.of_kind(kind)]:
            fields[group] = tests
    return fields


def required(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields that the released loader reads."""
    return ("example_type", "edit", *_GROUPS)


def _queries(row: Row, group: str) -> Iterator[tuple[str, Row, str]]:
    """The test queries of a group: a name for each, its fields, and the path it sits at."""
    for number, (at, test) in enumerate(row.each(group)):
        for index, (inner, query) in enumerate(test.each(f"{at}.test_queries")):
            yield f"{number}/{index}", query, inner


def _answers(query: Row, at: str) -> tuple[str, ...]:
    """The values and aliases of a query's answers.

    Single characters that are no digit are left out, as the released evaluation does.
    """
    texts: list[str] = []
    for inner, answer in query.each(f"{at}.answers"):
        value = answer.optional_text(f"{inner}.value")
        texts += [
            text for text in (value, *answer.texts(f"{inner}.aliases")) if text and text.strip()
        ]
    return tuple(dict.fromkeys(text for text in texts if len(text) > 1 or text.isdigit()))


def _split(row: Row, edit: Row, at: str, old: str | None) -> tuple[str, str]:
    """The question and the answer that an edit states together.

    Its end is the label that a test gives for the answer. Without one, the question is what the
    old fact's statement shares with it; without that, what the benchmark's wordings say.
    """
    statement = edit.text(f"{at}.prompt")
    for label in sorted(_labels(row, edit.fields.get(f"{at}.target_id")), key=len, reverse=True):
        for ending in (f" {label}.", f" {label}"):
            if statement.endswith(ending) and len(statement) > len(ending):
                return statement.removesuffix(ending), label
    if old is not None and (shared := _shared_question(statement, old)) is not None:
        answer = _after(statement, shared)
        if answer is not None and _after(old, shared) is not None:
            return shared, answer
    for pattern in _STATEMENTS:
        if found := pattern.fullmatch(statement):
            return found[1], found[2]
    raise row.error("is no statement whose end is the new answer", f"{at}.prompt")


def _labels(row: Row, target: Any) -> set[str]:
    """What the tests call a target: the answers of one-hop queries that have no other target."""
    return {
        label
        for group in _GROUPS
        for _, query, at in _queries(row, group)
        if query.fields.get(f"{at}.target_ids") == [target]
        and query.fields.get(f"{at}.query_type") == "regular"
        for inner, answer in query.each(f"{at}.answers")
        if (label := answer.optional_text(f"{inner}.value")) is not None
    }


def _shared_question(statement: str, old: str) -> str | None:
    """The longest common opening of whole words that ends in a verb; None where there is none.

    A subject may hold verbs of its own. That of the question is the last one before the answers
    part, save where both answers open with the same words and there is a verb among those.
    """
    pairs = enumerate(zip(statement, old, strict=False))
    parted = next((i for i, (new, was) in pairs if new != was), min(len(statement), len(old)))
    openings = (statement[:i] for i in range(parted - 1, 0, -1) if statement[i] == " ")
    return next((opening for opening in openings if _ENDS_IN_VERB.fullmatch(opening)), None)


def _after(statement: str, question: str) -> str | None:
    """The answer of a statement that opens with a question; None where it does not."""
    rest = statement.removeprefix(f"{question} ")
    return rest.removesuffix(".") or None if rest != statement else None


def _subject(question: str) -> str | None:
    found = (pattern.fullmatch(question) for pattern in _SUBJECTS)
    return next((match[1] for match in found if match), None)


def _stated(question: str, answer: str) -> str:
    return f"{question} {answer}."


def _test(probe: Probe) -> dict[str, Any]:
    accepted = [{"value": text, "aliases": list(probe.answers[1:])} for text in probe.answers[:1]]
    queries = [{"prompt": prompt, "answers": accepted} for prompt in probe.prompts]
    return {"test_queries": queries, "test_condition": "OR", "condition_queries": []}


FORMAT = Format(
    name="rippleedits",
    title="RippleEdits",
    files=(OutputFile("rippleedits.json"),),
    required=required,
    parse=parse,
    render=render,
    defaults={"example_type": "popular", **{group: [] for group in _GROUPS}},
    marks=frozenset(_GROUPS),
)
