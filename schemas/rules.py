"""Row rules: what must hold for every single record, whatever built it.

Each rule is a function from a record, and what its data set promises, to the places where the
record breaks it. `RULES` lists them; a rule's name is its function's name.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from schemas.findings import Finding
from schemas.images import EncodedImage, Fingerprint, ImageError, fingerprint
from schemas.manifest import Rules
from schemas.records import APART, EditRecord
from schemas.walk import (
    Picture,
    answers,
    images,
    names,
    probe_images,
    questions,
    request_images,
    samples,
)

Problem = tuple[str, str]
"""The path of a field, and what is wrong with it as a clause."""

Rule = Callable[[EditRecord, Rules], Iterator[Problem]]

MAX_QUESTION = 20_000
"""Characters of a prompt or a fact: room for a document of several pages in front of a question."""

MAX_ANSWER = 10_000
"""Characters of an answer: unstructured edits answer with whole paragraphs."""

MAX_NAME = 1_000
"""Characters of ids, kinds and other short texts."""

EXPECTED = {
    "reliability": "target",
    "generality": "target",
    "portability": "target",
    "locality": "unchanged",
}
"""What the probes of an axis expect; an axis that is not listed may expect either."""

_KIND = re.compile(r"[a-z0-9_]+")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_TRAILING = " .,;:!?\N{IDEOGRAPHIC FULL STOP}\N{IDEOGRAPHIC COMMA}"


def check_record(record: EditRecord, rules: Rules) -> list[Finding]:
    """Everything that is wrong with a record."""
    return [
        Finding("rows", rule.__name__, record.id, column, reason)
        for rule in RULES
        for column, reason in rule(record, rules)
    ]


@lru_cache(maxsize=4096)
def normalised(text: str) -> str:
    """The text without differences that no reader would call one.

    Folds Unicode compatibility forms (NFKC), case, runs of whitespace and trailing punctuation.
    Text that is nothing but punctuation keeps it.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    spaced = " ".join(folded.split())
    return spaced.rstrip(_TRAILING) or spaced


def text_is_clean(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """No text holds control characters or lone surrogates, or is far too long."""
    kinds_of_text = (
        (questions(record), MAX_QUESTION),
        (answers(record), MAX_ANSWER),
        (names(record), MAX_NAME),
        ([("edit_type_reason", record.edit_type_reason or "")], MAX_ANSWER),
        ([("extra", record.extra or "")], math.inf),
    )
    for texts, limit in kinds_of_text:
        for column, text in texts:
            if found := forbidden(text):
                yield column, found
            if len(text) > limit:
                yield column, f"has {len(text):,} characters, more than {limit:,}"


def ids_are_unique(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """Record, requests and probes have ids; those of requests and of probes differ."""
    if not record.id:
        yield "id", "is empty"
    for column, ids in (
        ("requests", [request.id for request in record.requests]),
        ("probes", [probe.id for probe in record.probes]),
    ):
        for i, name in enumerate(ids):
            if not name:
                yield f"{column}[{i}].id", "is empty"
            elif name in ids[:i]:
                yield f"{column}[{i}].id", f"is {quoted(name)}, like that of {ids.index(name)}"


def record_is_complete(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """There is something to edit, something to judge it by, and every question has a wording."""
    if not record.requests:
        yield "requests", "is empty, so there is nothing to edit"
    if not record.probes:
        yield "probes", "is empty, so nothing judges the edit"
    for i, probe in enumerate(record.probes):
        if not probe.prompts:
            yield f"probes[{i}].prompts", "is empty"


def questions_are_not_blank(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """Prompts and facts say something."""
    for column, text in questions(record):
        if not text.strip():
            yield column, "is blank"


def answers_are_plain(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """Answers are not empty and carry no whitespace at their ends."""
    for column, text in answers(record):
        if not text:
            yield column, "is empty"
        elif text != text.strip():
            yield column, f"is {quoted(text)}, with whitespace at an end"


def target_is_new(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """The new answer is neither the old nor the third one, in any accepted wording."""
    third = None if record.third_answer is None else normalised(record.third_answer)
    for i, request in enumerate(record.requests):
        old = None if request.target_true is None else normalised(request.target_true)
        wordings = [(f"requests[{i}].target_new", request.target_new)] + [
            (f"requests[{i}].target_new_aliases[{j}]", alias)
            for j, alias in enumerate(request.target_new_aliases)
        ]
        for column, text in wordings:
            if normalised(text) == old:
                yield column, f"is {quoted(text)}, the same as target_true"
            if normalised(text) == third:
                yield column, f"is {quoted(text)}, the same as third_answer"
        if third is not None and third == old:
            yield "third_answer", f"is {quoted(record.third_answer or '')}, the same as target_true"


def rephrasings_differ(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """A `rephrase` probe has as many wordings as promised, each unlike the others and the edit."""
    own = _own_prompts(record)
    for i, probe in enumerate(record.probes):
        if probe.kind != "rephrase":
            continue
        seen: dict[str, int] = {}
        for j, prompt in enumerate(probe.prompts):
            column, folded = f"probes[{i}].prompts[{j}]", normalised(prompt)
            if folded in own:
                yield column, f"is {quoted(prompt)}, the request's own prompt"
            elif folded in seen:
                yield column, f"is {quoted(prompt)}, like prompt {seen[folded]}"
            seen.setdefault(folded, j)
        if rules.rephrasings is not None and len(probe.prompts) != rules.rephrasings:
            yield (
                f"probes[{i}].prompts",
                f"has {len(probe.prompts)} rephrasings, not {rules.rephrasings}",
            )


def axes_fit_expectations(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """What a probe measures and what it expects fit together."""
    for i, probe in enumerate(record.probes):
        expected = EXPECTED.get(probe.axis, probe.expectation)
        if probe.expectation != expected:
            yield (
                f"probes[{i}].expectation",
                f"is {probe.expectation!r}, but {probe.axis} expects {expected!r}",
            )


def targets_have_answers(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """Where the edit should show, an answer says how."""
    for i, probe in enumerate(record.probes):
        open_ended = probe.kind in APART
        if probe.expectation == "target" and not probe.answers and not open_ended:
            yield f"probes[{i}].answers", "is empty, though the edit should reach this probe"


def kinds_are_well_formed(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """Kinds of probes and samples are lower-case names, as they become names of metrics."""
    kinds = [(f"probes[{i}].kind", probe.kind) for i, probe in enumerate(record.probes)]
    kinds += [(f"{column}.kind", sample.kind) for column, sample in samples(record)]
    for column, kind in kinds:
        if not _KIND.fullmatch(kind):
            yield column, f"is {quoted(kind)}, not a name of a-z, 0-9 and _"


def required_kinds_are_there(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """Every kind of probe that the data set promises is in the record."""
    kinds = {probe.kind for probe in record.probes}
    for kind in rules.kinds:
        if kind not in kinds:
            yield "probes", f"has no probe of kind {kind!r}"


def requests_have_images(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """Every request has an image where the data set promises one."""
    for i, request in enumerate(record.requests):
        if rules.images and request.image is None:
            yield f"requests[{i}].image", "is null"


def images_decode(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """Every image is a whole file of an accepted format and size."""
    for column, image in images(record):
        try:
            fingerprint(image.bytes)
        except ImageError as error:
            yield column, str(error)


def images_are_not_blank(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """Every image shows more than one flat tone."""
    for column, image in images(record):
        look = _look(image)
        if look is not None and look.blank:
            yield column, "is blank"


def negatives_look_different(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """No negative picture looks like one that the edit should reach.

    Negatives are those of kind `negative`, and any others that ask the edited question: about
    another picture of the same thing, the new answer would be right.
    """
    own = _own_prompts(record)
    reached = list(request_images(record))
    negatives: list[Picture] = []
    for i, probe in enumerate(record.probes):
        pictures = [(f"probes[{i}].images[{j}]", image) for j, image in enumerate(probe.images)]
        if probe.expectation == "target":
            reached += pictures
        elif probe.kind == "negative" or any(normalised(p) in own for p in probe.prompts):
            negatives += pictures
    for i, request in enumerate(record.requests):
        for j, sample in enumerate(request.negatives):
            if sample.image and (sample.kind == "negative" or normalised(sample.prompt) in own):
                negatives.append((f"requests[{i}].negatives[{j}].image", sample.image))
    for column, image in negatives:
        if twin := _twin(image, reached):
            yield column, f"is a near-duplicate of {twin}"


def editors_see_no_probe(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """What editors learn from shares no prompt and no picture with what judges them.

    The edited question and picture are known to both sides. So are pictures that look like the
    edited one, as slight changes of it do, unless they are the very same file.
    """
    own = _own_prompts(record)
    given = list(request_images(record))
    prompts: dict[str, str] = {}
    for i, probe in enumerate(record.probes):
        for j, prompt in enumerate(probe.prompts):
            prompts.setdefault(normalised(prompt), f"probes[{i}].prompts[{j}]")
    files: dict[bytes, str] = {}
    hidden: list[Picture] = []
    for column, image in probe_images(record):
        if all(image.bytes != seen.bytes for _, seen in given):
            files.setdefault(image.bytes, column)
            if _twin(image, given) is None:
                hidden.append((column, image))
    for column, sample in samples(record):
        folded = normalised(sample.prompt)
        if folded in prompts and folded not in own:
            yield f"{column}.prompt", f"is {quoted(sample.prompt)}, like {prompts[folded]}"
        if sample.image is None:
            continue
        if same := files.get(sample.image.bytes):
            yield f"{column}.image", f"is the same file as {same}"
        elif twin := _twin(sample.image, hidden):
            yield f"{column}.image", f"is a near-duplicate of {twin}"


def numbers_make_sense(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """Distances are finite and not negative, and chains have at least one hop."""
    distances = [(f"probes[{i}]", probe.distance) for i, probe in enumerate(record.probes)]
    distances += [(column, sample.distance) for column, sample in samples(record)]
    for column, distance in distances:
        if distance is not None and not (math.isfinite(distance) and distance >= 0):
            yield f"{column}.distance", f"is {distance}"
    for i, probe in enumerate(record.probes):
        if probe.hops is not None and probe.hops < 1:
            yield f"probes[{i}].hops", f"is {probe.hops}"


def provenance_names_fields(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """Every entry of provenance says which field it is about."""
    for i, entry in enumerate(record.provenance):
        if not entry.field.strip():
            yield f"provenance[{i}].field", "is blank"


def extra_is_an_object(record: EditRecord, rules: Rules) -> Iterator[Problem]:
    """`extra` is a JSON object, or null."""
    if record.extra is None:
        return
    try:
        value = json.loads(record.extra)
    except (ValueError, RecursionError):
        yield "extra", "is not JSON"
        return
    if not isinstance(value, dict):
        yield "extra", "is not a JSON object"


RULES: tuple[Rule, ...] = (
    record_is_complete,
    ids_are_unique,
    text_is_clean,
    questions_are_not_blank,
    answers_are_plain,
    target_is_new,
    rephrasings_differ,
    axes_fit_expectations,
    targets_have_answers,
    kinds_are_well_formed,
    required_kinds_are_there,
    requests_have_images,
    images_decode,
    images_are_not_blank,
    negatives_look_different,
    editors_see_no_probe,
    numbers_make_sense,
    provenance_names_fields,
    extra_is_an_object,
)
"""All row rules, in the order in which their findings are reported."""


def forbidden(text: str) -> str | None:
    """Which character of a text should not be there, as a clause; None where all may be."""
    found = _FORBIDDEN.search(text)
    return found and f"holds U+{ord(found[0]):04X} at position {found.start()}"


def quoted(text: str) -> str:
    """A text in quotes, shortened for a message."""
    return repr(text) if len(text) <= 60 else repr(text[:57] + "...")


def _own_prompts(record: EditRecord) -> set[str]:
    return {normalised(request.prompt) for request in record.requests}


def _look(image: EncodedImage) -> Fingerprint | None:
    try:
        return fingerprint(image.bytes)
    except ImageError:  # `images_decode` reports it
        return None


def _twin(image: EncodedImage, others: Sequence[Picture]) -> str | None:
    """The path of the first picture that looks like `image`, if any does."""
    look = _look(image)
    if look is None:
        return None
    for column, other in others:
        seen = _look(other)
        if seen is not None and look.near_duplicate(seen):
            return column
    return None
