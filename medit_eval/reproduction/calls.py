"""From an entry and what a user wants otherwise to arguments of `score`, all of them checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medit_eval.reproduction.entry import UNRECORDED, Entry, Run
from schemas.errors import InputError
from schemas.plugins import hint

if TYPE_CHECKING:
    from editors.lm import LM

BY_FORM = "form"
"""The recogniser that needs no pipeline."""

LIMITS = ("limit ", "benchmark limit ")
"""What overrides begin with that make a run small."""


@dataclass(frozen=True)
class Wanted:
    """What a user wants otherwise than an entry says."""

    model: Any
    records: Mapping[str, str]
    limit: int | None
    dtype: str | None
    editor_options: Mapping[str, Any]
    benchmarks: Sequence[str]
    benchmark_data: str | Path | None
    benchmark_limit: int | None
    recogniser: str | None

    def recogniser_of(self, run: Run) -> str | None:
        """The spaCy pipeline of a run; None finds entities by their form."""
        if self.recogniser is None or run.recogniser is None:
            return run.recogniser
        return None if self.recogniser == BY_FORM else self.recogniser

    def overrides(self, runs: Sequence[Run]) -> Iterator[str]:
        """Each in words."""
        if self.limit is not None and any(run.limit != self.limit for run in runs):
            yield f"{LIMITS[0]}{self.limit}"
        if self.benchmark_limit is not None:
            yield f"{LIMITS[1]}{self.benchmark_limit}"
        if self.model is not None:
            yield f"model {getattr(self.model, 'name', self.model)}"
        yield from (f"{name} from {path}" for name, path in self.records.items())
        if self.dtype is not None and any(run.dtype != self.dtype for run in runs):
            yield f"dtype {self.dtype}"
        yield from (f"{name} = {value}" for name, value in self.editor_options.items())
        if self.benchmarks:
            yield f"benchmarks {', '.join(map(str, self.benchmarks))}"
        if self.benchmark_data is not None:
            yield f"benchmark data from {self.benchmark_data}"
        if any(self.recogniser_of(run) != run.recogniser for run in runs):
            yield f"recogniser {self.recogniser}"


def records_of(
    entry: Entry, runs: Sequence[Run], given: str | Path | Mapping[str, str | Path] | None
) -> dict[str, str]:
    """Other files of records, by the name that the entry gives them."""
    known = list(dict.fromkeys(run.records for run in runs))
    if given is None:
        return {}
    if isinstance(given, str | Path):
        if len(known) > 1:
            raise InputError(
                f"the entry {entry.name!r} reads {' and '.join(known)}: say which one is replaced, "
                f"as {known[0]}=FILE"
            )
        return {known[0]: str(given)}
    for name in given:
        if name not in known:
            raise InputError(f"the entry {entry.name!r} reads no {name!r}; {hint(name, known)}")
    return {name: str(path) for name, path in given.items()}


def calls_of(
    entry: Entry, runs: Sequence[Run], wanted: Wanted, data: Path
) -> dict[str, dict[str, Any]]:
    """The arguments of `score` for each run; what is missing shows before a model is loaded."""
    from medit_eval.benchmarks.tasks import require_harness
    from medit_eval.documents.entities import SpacyRecogniser
    from medit_eval.sources import load

    seen: set[tuple[Any, ...]] = set()
    calls: dict[str, dict[str, Any]] = {}
    for run in runs:
        limit = run.limit if wanted.limit is None else wanted.limit
        path = _file(
            data, run.records, f"records, {run.records_format}", wanted.records.get(run.records)
        )
        images = None if run.images is None else _folder(data, run.images)
        references = None
        if run.references is not None:
            references = _file(data, run.references, "texts to compare with", None)
        key = (path, run.records_format, images, limit)
        if key not in seen:
            seen.add(key)
            found = load(path, records_format=run.records_format, images=images, limit=limit)
            if run.limit is not None and wanted.limit is None and len(found) < run.limit:
                raise InputError(
                    f"holds {len(found):,} records, and the entry {entry.name!r} takes the first "
                    f"{run.limit:,}; fewer are a small shape, --limit",
                    file=path,
                )
            if run.records not in wanted.records:
                _same_file(path, run)
        benchmarks = list(wanted.benchmarks or run.benchmarks) if run.benchmarks else []
        if benchmarks:
            require_harness()
        if (pipeline := wanted.recogniser_of(run)) is not None:
            SpacyRecogniser(pipeline)("")
        calls[run.name] = {
            "records": str(path),
            "records_format": run.records_format,
            "images": images,
            "references": references,
            "limit": limit,
            "protocol": run.protocol,
            "batch_size": run.batch_size,
            "checkpoints": run.checkpoints,
            "metrics": list(run.metrics) or None,
            "benchmarks": benchmarks,
            "benchmark_data": wanted.benchmark_data if benchmarks else None,
            "benchmark_limit": wanted.benchmark_limit if benchmarks else None,
            "recogniser": wanted.recogniser_of(run),
            "max_new_tokens": run.max_new_tokens,
            "seed": run.seed,
            "editor_options": _options(entry, run, wanted.editor_options) or None,
        }
    _require_known(runs, wanted.editor_options)
    return calls


def _file(data: Path, name: str, what: str, other: str | None) -> Path:
    path = data / name if other is None else Path(other)
    if path.exists():
        return path
    if other is not None:
        raise InputError("does not exist", file=path)
    raise InputError(
        f"is not there ({what}): put {name} into the folder that --data names"
        + (", or name another file with --records" if what != "texts to compare with" else ""),
        file=path,
    )


def _folder(data: Path, name: str) -> Path:
    path = data / name
    if not path.is_dir():
        raise InputError(
            f"is not there (pictures): put {name} into the folder that --data names", file=path
        )
    return path


def _same_file(path: Path, run: Run) -> None:
    from schemas.layout import sha256_of

    if run.records_digest != UNRECORDED and path.is_file():
        found = sha256_of(path)
        if found != run.records_digest:
            raise InputError(
                f"is another file than the entry's: its SHA-256 is {found}, not "
                f"{run.records_digest}; name it with --records to run it all the same",
                file=path,
            )


def _options(entry: Entry, run: Run, given: Mapping[str, Any]) -> dict[str, Any]:
    from editors.registry import option_names

    known = option_names(run.editor)
    return {**entry.options_of(run), **{n: value for n, value in given.items() if n in known}}


def _require_known(runs: Sequence[Run], given: Mapping[str, Any]) -> None:
    from editors.registry import option_names

    known = sorted({option for run in runs for option in option_names(run.editor)})
    for name in given:
        if name not in known:
            raise InputError(f"no editor of these runs has an option {name!r}; {hint(name, known)}")


def model_of(run: Run, wanted: Wanted, device: str | None) -> LM:
    """The weights of a run.

    Raises:
        InputError: If they are not there.
    """
    from medit_eval.models import resolve

    try:
        return resolve(
            run.pinned if wanted.model is None else wanted.model,
            prompt_format=run.prompt_format,
            device=device,
            dtype=wanted.dtype or run.dtype,
        )
    except InputError as error:
        if wanted.model is not None:
            raise
        raise InputError(
            f"the run {run.name!r} needs the weights of {run.pinned}, which cannot be loaded: put "
            "them into the cache of Hugging Face, or name another model with --model "
            f"({error.reason[:200]})"
        ) from None
