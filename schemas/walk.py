"""Walks over the parts of a record, each with the path that findings name it by."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.images import EncodedImage
from schemas.records import EditRecord, Sample

Text = tuple[str, str]
"""A field's path and its text."""

Picture = tuple[str, EncodedImage]
"""A field's path and its image."""


def samples(record: EditRecord) -> Iterator[tuple[str, Sample]]:
    """The examples that editors may learn from."""
    for i, request in enumerate(record.requests):
        for j, sample in enumerate(request.positives):
            yield f"requests[{i}].positives[{j}]", sample
        for j, sample in enumerate(request.negatives):
            yield f"requests[{i}].negatives[{j}]", sample


def questions(record: EditRecord) -> Iterator[Text]:
    """Prompts of requests, samples and probes, and facts."""
    for i, request in enumerate(record.requests):
        yield f"requests[{i}].prompt", request.prompt
        yield from _each(f"requests[{i}].facts", request.facts)
    for column, sample in samples(record):
        yield f"{column}.prompt", sample.prompt
    for i, probe in enumerate(record.probes):
        yield from _each(f"probes[{i}].prompts", probe.prompts)


def answers(record: EditRecord) -> Iterator[Text]:
    """Answers of requests, samples and probes, and the third answer."""
    for i, request in enumerate(record.requests):
        yield f"requests[{i}].target_new", request.target_new
        if request.target_true is not None:
            yield f"requests[{i}].target_true", request.target_true
        yield from _each(f"requests[{i}].target_new_aliases", request.target_new_aliases)
    for column, sample in samples(record):
        yield f"{column}.answer", sample.answer
    for i, probe in enumerate(record.probes):
        yield from _each(f"probes[{i}].answers", probe.answers)
        yield from _each(f"probes[{i}].answers_pre_edit", probe.answers_pre_edit)
    if record.third_answer is not None:
        yield "third_answer", record.third_answer


def names(record: EditRecord) -> Iterator[Text]:
    """The short texts: ids, kinds, phrases, provenance, and the images' names."""
    yield "id", record.id
    for i, request in enumerate(record.requests):
        yield f"requests[{i}].id", request.id
        if request.subject is not None:
            yield f"requests[{i}].subject", request.subject
    for column, sample in samples(record):
        yield f"{column}.kind", sample.kind
    for i, probe in enumerate(record.probes):
        yield f"probes[{i}].id", probe.id
        yield f"probes[{i}].kind", probe.kind
        if probe.grade is not None:
            yield f"probes[{i}].grade", probe.grade
    for column, image in images(record):
        if image.path is not None:
            yield f"{column}.path", image.path
    yield from _each("edit_type_votes", record.edit_type_votes)
    for column in ("image_object", "third_object"):
        if (phrase := getattr(record, column)) is not None:
            yield column, phrase
    for i, entry in enumerate(record.provenance):
        for column in ("field", "source", "generator", "model", "prompt_digest"):
            if (text := getattr(entry, column)) is not None:
                yield f"provenance[{i}].{column}", text


def request_images(record: EditRecord) -> Iterator[Picture]:
    """The edited pictures."""
    for i, request in enumerate(record.requests):
        if request.image is not None:
            yield f"requests[{i}].image", request.image


def probe_images(record: EditRecord) -> Iterator[Picture]:
    """The pictures of the probes."""
    for i, probe in enumerate(record.probes):
        for j, image in enumerate(probe.images):
            yield f"probes[{i}].images[{j}]", image


def images(record: EditRecord) -> Iterator[Picture]:
    """Every picture; one that is used twice comes twice."""
    yield from request_images(record)
    for column, sample in samples(record):
        if sample.image is not None:
            yield f"{column}.image", sample.image
    yield from probe_images(record)


def _each(column: str, texts: tuple[str, ...]) -> Iterator[Text]:
    for i, text in enumerate(texts):
        yield f"{column}[{i}]", text
