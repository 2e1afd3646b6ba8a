"""The run folder: what was asked of whom, and every answer.

DIR/manifest.json              arguments, versions, digests; whether the run is complete
DIR/predictions/part-*.parquet raw outputs before and after, written as the run goes
DIR/documents.parquet          the documents that were rewritten, if the records hold any
DIR/images.parquet             small copies of the pictures that were shown, if any
DIR/diagnostics.parquet        what the editor told of itself after each edit, if anything
DIR/scores.parquet             each metric's judgement of each prediction
DIR/benchmarks/                answers to benchmarks, what they cost, what is left out
DIR/summary.csv                the table
DIR/checkpoints/edits-N/       the edits of a sequence, while the run goes on
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medit_eval.checkpoints import Checkpoints
from medit_eval.documents.report import RUN_DOCUMENTS, RunDocument
from medit_eval.parts import Parts, read_part
from medit_eval.predictions import DIAGNOSTICS, PREDICTIONS, Diagnostic, Prediction
from medit_eval.provenance import Setting, Sitting
from schemas.arrow import from_row
from schemas.documents import Document
from schemas.errors import InputError
from schemas.layout import read_json, sha256_of, write_json, write_parquet
from schemas.versions import now

VERSION = 1
"""Raised when the folder's layout changes."""

SPELLINGS = frozenset({"model", "records", "predictions_file"})
"""Arguments that may differ between runs of the same thing: their digests tell."""

_FLUSH_ROWS = 512
_FLUSH_SECONDS = 20.0


@dataclass(frozen=True)
class RunManifest:
    """What a run folder holds, and how it came about.

    Attributes:
        run_version: Version of the folder's layout.
        arguments: What decides the predictions: a run with others does not go on here.
        reporting: What decides the scores and the summary only.
        versions: Versions of medit and of the libraries that shape the numbers.
        complete: Whether everything was asked.
        predictions: Rows in all parts, once complete.
        parts: SHA-256 of the predictions' parts by name, once complete.
        files: SHA-256 of all else that the run wrote, by path in its folder, once complete; what
            follows from the predictions, such as scores, is not among them.
        notes: What the reader of the numbers should know.
        started: ISO 8601 time at which the run began.
        finished: ISO 8601 time at which it was complete, or None.
        settings: The editor's settings, each with its source; none where nobody wrote them down.
        sittings: When and on what it was run; several where it broke off and went on.
        model: What the model is like; see `medit_eval.provenance.model_of`.
    """

    run_version: int
    arguments: dict[str, Any]
    reporting: dict[str, Any]
    versions: dict[str, str]
    complete: bool
    predictions: int
    parts: dict[str, str]
    notes: tuple[str, ...]
    started: str
    finished: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    settings: tuple[Setting, ...] = ()
    sittings: tuple[Sitting, ...] = ()
    model: dict[str, Any] = field(default_factory=dict)


@dataclass
class RunFolder:
    """A run's folder, or nothing but memory where `root` is None.

    Attributes:
        root: The folder.
        diagnostics: What the editor told of itself, by key.
    """

    root: Path | None
    diagnostics: dict[tuple[str, str, str], Diagnostic] = field(default_factory=dict)
    _kept: list[Prediction] = field(default_factory=list)
    _waiting: list[Prediction] = field(default_factory=list)
    _flushed: float = field(default_factory=time.monotonic)

    @property
    def checkpoints(self) -> Checkpoints | None:
        """Where the edits of a sequence are kept while the run goes on."""
        return None if self.root is None else Checkpoints(self.root / "checkpoints")

    @property
    def benchmarks(self) -> Path | None:
        """Where the answers to benchmarks are kept."""
        return None if self.root is None else benchmarks_path(self.root)

    @property
    def predictions(self) -> list[Prediction]:
        """All predictions so far."""
        return self._kept

    def needs(self) -> set[str]:
        """What the run that is here asks for, and the kinds apart; nothing where none is.

        Raises:
            InputError: If its manifest is damaged.
        """
        if self.root is None or not manifest_path(self.root).is_file():
            return set()
        return set(read_manifest(self.root).arguments.get("needs", ()))

    def begin(self, manifest: RunManifest) -> RunManifest:
        """Start a run here, or go on with the one that is here.

        Raises:
            InputError: If the folder holds a run with other arguments, is damaged, or holds
                something else.
        """
        if self.root is None:
            return manifest
        if not manifest_path(self.root).is_file():
            if self.root.is_dir() and any(p.name != "lock" for p in self.root.iterdir()):
                raise InputError("is not empty and holds no run", file=self.root)
            write_manifest(self.root, manifest)
            return manifest
        found = read_manifest(self.root)
        arguments = json.loads(json.dumps(manifest.arguments))
        for name in {**found.arguments, **arguments}:
            old, new = found.arguments.get(name), arguments.get(name)
            if old != new and name not in SPELLINGS:
                raise InputError(
                    f"holds a run with other arguments: {name} is {old!r} there and {new!r} here; "
                    "name another folder",
                    file=self.root,
                )
        check_files(self.root, found)
        self._kept = read_predictions(self.root, found)
        self.diagnostics = {row.key: row for row in read_diagnostics(self.root)}
        if not found.complete:
            # Written at once, so that a sitting that breaks off as well is known of.
            manifest = dataclasses.replace(
                manifest,
                started=found.started,
                sittings=(*found.sittings, *manifest.sittings),
            )
            write_manifest(self.root, manifest)
        return dataclasses.replace(manifest, started=found.started, complete=found.complete)

    def keep(self, rows: Sequence[Prediction]) -> None:
        """Take predictions; they are written when enough have come together."""
        self._kept += rows
        self._waiting += rows
        late = time.monotonic() - self._flushed > _FLUSH_SECONDS
        if late or len(self._waiting) >= _FLUSH_ROWS:
            self.flush()

    def note(self, rows: Sequence[Diagnostic]) -> None:
        """Take what an editor tells of itself; it is written with the next predictions."""
        self.diagnostics.update({row.key: row for row in rows})

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting and self.root is not None:
            if self.diagnostics:
                told = DIAGNOSTICS.table(list(self.diagnostics.values()))
                write_parquet(diagnostics_path(self.root), told)
            Parts(predictions_path(self.root), PREDICTIONS).append(self._waiting)
        self._waiting = []
        self._flushed = time.monotonic()

    def finish(self, manifest: RunManifest) -> None:
        """Write the manifest of a complete run."""
        if self.root is None:
            return
        if self.checkpoints is not None:
            self.checkpoints.clear()
        files = Parts(predictions_path(self.root), PREDICTIONS).files()
        write_manifest(
            self.root,
            dataclasses.replace(
                manifest,
                complete=True,
                predictions=len(self._kept),
                parts={file.name: sha256_of(file) for file in files},
                finished=now(),
                files={name: sha256_of(self.root / name) for name in _written(self.root)},
            ),
        )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder, so that no second process writes into it.

        Raises:
            InputError: If another process holds it.
        """
        if self.root is None:
            yield
            return
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError("another run is writing here", file=self.root) from None
            yield


def manifest_path(root: Path) -> Path:
    """Where a run's manifest is."""
    return root / "manifest.json"


def predictions_path(root: Path) -> Path:
    """Where a run's predictions are."""
    return root / "predictions"


def diagnostics_path(root: Path) -> Path:
    """Where what a run's editor told of itself is."""
    return root / "diagnostics.parquet"


def documents_path(root: Path) -> Path:
    """Where the documents of a run's records are."""
    return root / "documents.parquet"


def scores_path(root: Path) -> Path:
    """Where the metrics' judgements of a run's predictions are."""
    return root / "scores.parquet"


def images_path(root: Path) -> Path:
    """Where small copies of a run's pictures are."""
    return root / "images.parquet"


def benchmarks_path(root: Path) -> Path:
    """Where a run's answers to benchmarks are."""
    return root / "benchmarks"


def write_documents(root: Path, documents: Mapping[str, Document]) -> None:
    """Keep the documents of a run's records beside its predictions."""
    rows = [RunDocument(record, document) for record, document in documents.items()]
    write_parquet(documents_path(root), RUN_DOCUMENTS.table(rows))


def read_documents(root: Path, manifest: RunManifest) -> dict[str, Document]:
    """The documents of a run's records; nothing where it has none.

    Raises:
        InputError: If the file is missing, damaged, or holds something else than the run wrote.
    """
    count = manifest.arguments.get("document_count", 0)
    path = documents_path(root)
    if not count:
        return {}
    if not path.is_file():
        raise InputError(f"is not there, though the run has {count} documents", file=path)
    rows = read_part(path, RUN_DOCUMENTS)
    if len(rows) != count:
        raise InputError(f"holds {len(rows)} documents; the run has {count}", file=path)
    return {row.record: row.document for row in rows}


def read_diagnostics(root: Path) -> list[Diagnostic]:
    """What the editor of a run told of itself; nothing where no file is.

    Raises:
        InputError: If the file is damaged or holds something else.
    """
    path = diagnostics_path(root)
    return read_part(path, DIAGNOSTICS) if path.is_file() else []


def write_manifest(root: Path, manifest: RunManifest) -> None:
    """Write a run's manifest."""
    write_json(manifest_path(root), dataclasses.asdict(manifest))


def read_manifest(root: Path) -> RunManifest:
    """The manifest of a run folder.

    Raises:
        InputError: If there is none, or it is damaged or of another version.
    """
    path = manifest_path(root)
    if not path.is_file():
        raise InputError("has no manifest.json, so no run is here", file=root)
    fields = read_json(path)
    if not isinstance(fields, Mapping):
        raise InputError("is not a JSON object", file=path)
    # Runs of before these were written down are no worse for it.
    fields = {"files": {}, "settings": [], "sittings": [], "model": {}, **fields}
    if fields.get("run_version") != VERSION:
        found = fields.get("run_version")
        raise InputError(f"is of a run of version {found}, not {VERSION}", file=path)
    try:
        return from_row(RunManifest, fields)
    except InputError as error:
        raise InputError(error.reason, file=path, field=error.field) from None


def read_predictions(root: Path, manifest: RunManifest) -> list[Prediction]:
    """The predictions of a run folder, checked against its manifest.

    Raises:
        InputError: If a part is damaged, changed, missing, or there are two of one question.
    """
    folder = Parts(predictions_path(root), PREDICTIONS)
    files = {file.name: file for file in folder.files()}
    for name, digest in manifest.parts.items():
        _check_file(folder.root, name, digest)
    rows = [row for file in files.values() for row in read_part(file, PREDICTIONS)]
    seen: set[tuple[str, str, int, str]] = set()
    for row in rows:
        if row.key in seen:
            raise InputError("holds two predictions of one question", file=folder.root,
                             row=f"{row.record}, probe {row.probe}")  # fmt: skip
        seen.add(row.key)
    if manifest.complete and len(rows) != manifest.predictions:
        raise InputError(
            f"holds {len(rows)} predictions; the manifest counts {manifest.predictions}",
            file=folder.root,
        )
    return rows


def check_files(root: Path, manifest: RunManifest) -> None:
    """Check that a run folder holds what the run wrote beside its predictions.

    Raises:
        InputError: If one of the manifest's files is missing or another, or there is one too many.
    """
    for name, digest in manifest.files.items():
        _check_file(root, name, digest)
    for name in _written(root) if manifest.files else ():
        if name not in manifest.files:
            raise InputError("is not among the files that the run wrote", file=root / name)


def _check_file(root: Path, name: str, digest: str) -> None:
    path = root / name
    if not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"lists {name!r}, which is not in the run's folder",
                         file=manifest_path(root))  # fmt: skip
    if not path.is_file():
        raise InputError(
            f"is not there, though the manifest lists it with the SHA-256 {digest}", file=path
        )
    if (found := sha256_of(path)) != digest:
        raise InputError(
            f"is not what the run wrote: its SHA-256 is {found}, the manifest's {digest}",
            file=path,
        )


def _written(root: Path) -> list[str]:
    """The finished files of a run beside its predictions, those that follow from them left out."""
    single = [documents_path(root), diagnostics_path(root), images_path(root)]
    folder = benchmarks_path(root)
    found = [path for path in single if path.is_file()]
    for pattern in ("*.json", "*/part-*.parquet"):
        found += sorted(folder.glob(pattern))
    return [path.relative_to(root).as_posix() for path in found]
