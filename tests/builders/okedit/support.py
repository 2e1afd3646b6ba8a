"""Small sources, scripted generators and ways to run the builder that these tests share."""

from __future__ import annotations

import importlib
import json
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from builders import pipeline
from builders.okedit.build import Models, build
from builders.okedit.draft import Answer, Draft
from builders.okedit.options import Options
from builders.text.protocol import TextRequest, TextResult
from builders.text.settings import EndpointSettings, Secret
from schemas.arrow import from_row
from schemas.images import EncodedImage
from schemas.progress import Quiet
from schemas.records import EditRecord
from tests.factories import make_image

KEY = "sk-very-secret-9876543210"

Answerer = Callable[[Mapping[str, Any]], Any]
"""Gives a task's output, as keyword arguments, or an error as a string."""


def draft(**fields: Any) -> Draft:
    """A draft about picture 0; a step's own fields are still to be filled in."""
    start = Draft(
        id="r0",
        row=0,
        source="tests",
        question="What color is the bus?",
        image=make_image(0, 96),
        old=Answer("red"),
        answer_type="colour",
        new=Answer("blue"),
        image_object="a red bus",
        scope="recognition",
    )
    return replace(start, **fields)


class Scripted:
    """A text generator that answers by task name and notes what it was asked."""

    name = "scripted"

    def __init__(self, **answers: Answerer | Any) -> None:
        self.answers = {**GOOD_ANSWERS, **answers}
        self.asked: list[TextRequest[Any]] = []

    def inputs(self, task: str) -> list[Mapping[str, Any]]:
        return [request.inputs for request in self.asked if request.task.name == task]

    def generate(self, requests: Sequence[TextRequest[Any]]) -> list[TextResult[Any]]:
        self.asked += requests
        return [self._answer(request) for request in requests]

    def close(self) -> None:
        pass

    def _answer(self, request: TextRequest[Any]) -> TextResult[Any]:
        task = request.task
        answer = self.answers[task.name]
        made: Any = answer(request.inputs) if callable(answer) else answer
        output, error = (None, made) if isinstance(made, str) else (task.output(**made), None)
        if output is not None:
            error = task.check(request.inputs, output)
        return TextResult(
            output=None if error else output,
            error=error,
            generator=self.name,
            model="script-1",
            prompt_digest=request.prompt_digest,
            seed=request.seed,
        )


def _rephrasings(inputs: Mapping[str, Any]) -> dict[str, Any]:
    start = "Hey" if inputs["audience"] == "editor" else "Well"
    return {"rephrasings": [f"{start} {i}: {inputs['question']}" for i in range(inputs["n"])]}


def _follow(name: str) -> dict[str, Any]:
    return {"question": f"Which {name} follows?", "answers": [name], "answers_before": ["before"]}


GOOD_ANSWERS: Mapping[str, Answerer | Any] = {
    "rephrase": _rephrasings,
    "object_phrase": lambda inputs: {"phrase": f"a thing that is {inputs['answer']}"},
    "counterfactual": {"answer": "zebra", "aliases": ["a zebra", "zebras"]},
    "edit_type": {"edit_type": "image_text", "scope": "recognition", "reason": "it shows"},
    "third_answer": {"answer": "walrus", "aliases": []},
    "named_question": {"question": "What is a bus?", "subject": "a bus", "answer": "a vehicle"},
    "same_image": _follow("neighbour"),
    "hops": {"one_hop": _follow("step"), "two_hop": _follow("leap")},
    "fact": lambda inputs: {"sentence": f"It is {inputs['new']}."},
}


def canned(body: Mapping[str, Any]) -> str:
    """A schema-correct answer to any of the builder's chat requests, the same for the same body."""
    fields = body["response_format"]["json_schema"]["schema"]["properties"]
    prompt = body["messages"][-1]["content"]
    mark = f"{zlib.crc32(json.dumps(body, sort_keys=True).encode()) % 10_000:04d}"

    def follow(name: str) -> dict[str, Any]:
        return {"question": f"{name} {mark}?", "answers": [f"new {mark}"], "answers_before": []}

    answers: dict[str, Any] = {
        "rephrasings": [f"Wording {mark}-{i}?" for i in range(int(prompt.split(" ", 2)[1]))]
        if prompt.startswith("Write ")
        else [],
        "phrase": f"a picture {mark}",
        "answer": f"answer {mark}",
        "aliases": [f"alias {mark}"],
        "edit_type": "image_text",
        "scope": "recognition",
        "reason": f"reason {mark}",
        "question": f"What is thing {mark}?",
        "subject": f"thing {mark}",
        "answers": [f"answer {mark}"],
        "answers_before": [f"before {mark}"],
        "one_hop": follow("One hop"),
        "two_hop": follow("Two hops"),
        "sentence": f"{prompt.rpartition('Answer: ')[2]} it is.",
    }
    return json.dumps({name: answers[name] for name in fields})


@dataclass(frozen=True)
class Vqa:
    """OK-VQA style files in a folder."""

    questions: Path
    annotations: Path
    images: Path

    @property
    def arguments(self) -> list[str]:
        return [
            *("--source", "okvqa", "--questions", str(self.questions)),
            *("--annotations", str(self.annotations), "--images-folder", str(self.images)),
        ]

    def options(self, **changes: Any) -> Options:
        given: dict[str, Any] = {
            "source": "okvqa",
            "questions": self.questions,
            "annotations": self.annotations,
            "image_folder": self.images,
            "rephrasings": 2,
            "editor_rephrasings": 1,
        }
        return Options(**{**given, **changes})


def coco(number: int, split: str = "val2014") -> str:
    return f"COCO_{split}_{number:012d}.jpg"


QUESTIONS: tuple[tuple[str, str], ...] = (
    ("What color is the bus?", "red"),
    ("What color is the bus?", "blue"),
    ("What color is the bus?", "green"),
    ("How many dogs are there?", "2"),
    ("How many dogs are there?", "five"),
    ("What kind of animal is this?", "horse"),
    ("What kind of animal is this?", "sheep"),
    ("What kind of animal is this?", "otter"),
    ("What sport is being played?", "tennis"),
    ("What sport is being played?", "cricket"),
    ("What sport is being played?", "rowing"),
    ("What color is the bus?", "white"),
)


def make_vqa(
    folder: Path, rows: Sequence[tuple[str, str]] = QUESTIONS, split: str = "val2014"
) -> Vqa:
    """The official pair of files with pictures in COCO's names, one per question."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    questions, annotations = [], []
    for i, (question, answer) in enumerate(rows):
        (images / coco(i + 1, split)).write_bytes(make_image(i + 100, 96, "JPEG").bytes)
        questions.append({"question": question, "image_id": i + 1, "question_id": 1000 + i})
        given = [{"answer": a} for a in (answer, answer, answer, f"{answer}ish", "odd one")]
        annotations.append({"question_id": 1000 + i, "answers": given, "question_type": "one"})
    files = Vqa(
        folder / f"OpenEnded_mscoco_{split}_questions.json",
        folder / f"mscoco_{split}_annotations.json",
        images,
    )
    files.questions.write_text(json.dumps({"questions": questions}))
    files.annotations.write_text(json.dumps({"annotations": annotations}))
    return files


def edit_json(path: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON file in place."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def mmedit_row(number: int = 0, **changes: Any) -> dict[str, Any]:
    """An E-VQA row of our own."""
    question, answer = QUESTIONS[number % len(QUESTIONS)]
    row = {
        "src": question,
        "pred": answer,
        "rephrase": f"I ask once more, number {number}: {question}",
        "alt": f"target {number}",
        "image": f"val2014/{number}.jpg",
        "image_rephrase": f"rephrase/{number}.jpg",
        "loc": "nq question: who wrote the odyssey",
        "loc_ans": "Homer",
        "m_loc": f"loc/{number}.jpg",
        "m_loc_q": "What can you buy here?",
        "m_loc_a": "bread",
        "rephrased_questions_train": [f"Say, number {number}: {question}"],
        "locality_answer_train": "unicorn",
    }
    return {**row, **changes}


def make_mmedit(folder: Path, rows: Sequence[Any]) -> Path:
    """An E-VQA file and, in `images`, the pictures its rows name by safe paths."""
    path = folder / "evqa.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    seed = 300
    for row in rows:
        names = [row.get(f) for f in ("image", "image_rephrase", "m_loc")] if row else []
        for name in names:
            if isinstance(name, str) and ".." not in name and not name.startswith("/"):
                target, seed = folder / "images" / name, seed + 1
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(make_image(seed, 96, "JPEG").bytes)
    return path


def build_in_process(
    options: Options, out: Path, models: Models | None = None, **how: Any
) -> pipeline.Outcome:
    return build(options, models or Models(), out, Quiet(), **how)


def endpoint(url: str, cache: Path, *, max_requests: int | None = None, **changes: Any) -> Models:
    """Models whose text comes from a stub, with short patience."""
    given: dict[str, Any] = {
        "model": "stub",
        "base_url": url,
        "api_key": Secret(KEY),
        "concurrency": 4,
        "timeout": 5.0,
        "max_wait": 1.0,
        "max_retries": 1,
    }
    settings = EndpointSettings(**{**given, **changes})
    return Models(text=settings, cache=cache, max_requests=max_requests)


def records_of(out: Path) -> list[EditRecord]:
    return [
        from_row(EditRecord, row)
        for file in sorted((out / "data").glob("*.parquet"))
        for row in pq.read_table(file).to_pylist()
    ]


def rejects_of(out: Path) -> list[dict[str, Any]]:
    return pq.read_table(out / "rejects.parquet").to_pylist()


def file_bytes(out: Path) -> dict[str, bytes]:
    """The files whose bytes must not depend on how a build went; the manifest has times in it."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line that says what is wrong."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err + self.out
        return lines[0]


class CommandLine:
    """`python -m builders.okedit`, or another builder, in this process."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        builder: str = "okedit",
    ) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self._builder = builder

    def __call__(self, *arguments: object) -> Said:
        from schemas.cli import run

        module = importlib.import_module(f"builders.{self._builder}.__main__")
        self._monkeypatch.setattr(sys, "argv", [self._builder, *map(str, arguments)])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(module.app)
        said = self._capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)


def png_of(width: int, height: int) -> bytes:
    """A tiny PNG file that claims this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 64)
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def fields_set(record: EditRecord) -> Iterator[str]:
    """Paths of everything in a record that came from somewhere, as provenance names it."""
    (request,) = record.requests
    for name in ("prompt", "image", "subject", "target_new", "target_true", "facts"):
        if getattr(request, name):
            yield f"requests.{name}"
    for sample in request.positives:
        yield f"requests.positives.{sample.kind}"
    if request.negatives:
        yield "requests.negatives"
    # The edit's own probe is the request again.
    yield from (f"probes.{probe.kind}" for probe in record.probes if probe.kind != "edit")
    for name in ("scope", "edit_type", "image_object", "third_answer", "third_object"):
        if getattr(record, name) is not None:
            yield name


def without_provenance(record: EditRecord) -> set[str]:
    """Fields that are set and that no entry of provenance covers."""
    known = [entry.field for entry in record.provenance]
    return {
        path
        for path in fields_set(record)
        if not any(path == name or path.startswith(f"{name}.") for name in known)
    }


def jpeg(seed: int, path: str | None = None) -> EncodedImage:
    return replace(make_image(seed, 96, "JPEG"), path=path)
