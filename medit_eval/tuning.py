"""`tune`: hyperparameters for a model that nobody published any for, found on records set aside.

Some records are set aside for the search by a hash of their ids. They are written down with the
result, and `score(..., tuned=FILE)` leaves them out, so that no evaluated record has had a say in
the settings it is evaluated with.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medit_eval.report import Report
from medit_eval.summary import ALL, HARMONIC, metric_of
from schemas.digest import digest128
from schemas.errors import InputError
from schemas.layout import read_json, write_json
from schemas.progress import Progress, Quiet
from schemas.records import EditRecord

if TYPE_CHECKING:
    from editors.lm import LM


@dataclass(frozen=True)
class Trial:
    """One choice of hyperparameters and what came of it.

    Attributes:
        options: The hyperparameters.
        mean: The harmonic mean over the axes by free generation, on the records set aside; None
            where the edit failed or nothing could be scored.
        axes: The axes' own means.
        failure: Why there is none.
    """

    options: dict[str, Any]
    mean: float | None
    axes: dict[str, float]
    failure: str | None = None


@dataclass(frozen=True)
class Tuned:
    """The result of a search.

    Attributes:
        editor: The editor's name.
        options: The best hyperparameters.
        model: Digest of the weights that they are for.
        development: Ids of the records that they were chosen on.
        trials: All trials, best first.
    """

    editor: str
    options: dict[str, Any]
    model: str
    development: tuple[str, ...]
    trials: tuple[Trial, ...]

    @property
    def source(self) -> str:
        """What is said of a setting that is from here."""
        aside = digest128("\n".join(sorted(self.development)))
        return f"found by tune on {len(self.development)} records set aside, digest of ids {aside}"

    def write(self, path: Path) -> None:
        """Write the result down."""
        write_json(path, dataclasses.asdict(self))

    @classmethod
    def read(cls, path: Path) -> Tuned:
        """A result that was written down.

        Raises:
            InputError: If the file is not one.
        """
        value = read_json(path)
        try:
            return cls(
                str(value["editor"]),
                {name: _frozen(option) for name, option in value["options"].items()},
                str(value["model"]),
                tuple(map(str, value["development"])),
                tuple(Trial(**trial) for trial in value["trials"]),
            )
        except (KeyError, TypeError, AttributeError):
            raise InputError("is not the result of `tune`", file=path) from None

    def evaluated(self, records: Iterable[EditRecord]) -> list[EditRecord]:
        """The records that had no say in the settings.

        Raises:
            InputError: If none is left.
        """
        aside = set(self.development)
        left = [record for record in records if record.id not in aside]
        if not left:
            raise InputError("all records were used to find the settings; none is left to score")
        return left


def tune(
    editor: str,
    model: Any,
    records: Any,
    *,
    trials: int = 24,
    share: float = 0.2,
    most: int = 50,
    space: Mapping[str, Sequence[Any]] | None = None,
    fixed: Mapping[str, Any] | None = None,
    records_format: str = "medit",
    limit: int | None = None,
    processor: Any = None,
    device: str | None = None,
    dtype: str = "auto",
    seed: int = 0,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """Search hyperparameters on records set aside, edited in one batch.

    Args:
        editor: An editor's name.
        model: See `score`.
        records: See `score`.
        trials: Choices to try, drawn at random from all that the space holds.
        share: Share of the records to set aside.
        most: How many records to set aside at most.
        space: Values to choose from by hyperparameter; by default layers, rate and clamp for
            locate-then-edit methods, layer and alpha for BalancEdit.
        fixed: Hyperparameters that all trials have.
        records_format: The format of a foreign file.
        limit: How many records to use, from the first on.
        processor: The tokenizer or processor of a `PreTrainedModel`.
        device: Where a model that is loaded goes.
        dtype: The dtype of a model that is loaded.
        seed: What the draw derives from.
        out: A file to write the result to.
        progress: Shows how far it is.

    Raises:
        InputError: If an argument cannot be used, or no trial could be scored.
    """
    from medit_eval.models import resolve
    from medit_eval.sources import load

    progress = progress or Quiet()
    found = load(records, records_format=records_format, limit=limit)
    lm = resolve(model, processor, device=device, dtype=dtype)
    aside = set_aside(found, share=share, most=most, seed=seed)
    choices = draw(space or default_space(editor, lm), trials, seed)
    tried: list[Trial] = []
    with progress.phase(f"tuning {editor}", len(choices)) as tick:
        for options in choices:
            tried.append(_try(editor, lm, aside, {**(fixed or {}), **options}, seed))
            tick(1)
    tried.sort(key=lambda trial: -1.0 if trial.mean is None else trial.mean, reverse=True)
    if tried[0].mean is None:
        raise InputError(f"none of {len(tried)} trials could be scored: {tried[0].failure}")
    tuned = Tuned(editor, tried[0].options, lm.digest(), tuple(r.id for r in aside), tuple(tried))
    if out is not None:
        tuned.write(Path(out))
    return tuned


def set_aside(
    records: Sequence[EditRecord], *, share: float, most: int, seed: int
) -> list[EditRecord]:
    """The records to search on: a share of all, chosen by a hash of seed and id.

    Raises:
        InputError: If that leaves nothing to search on, or nothing to evaluate.
    """
    if not 0 < share < 1:
        raise InputError(f"the share to set aside is between 0 and 1, not {share}")
    count = min(most, math.ceil(share * len(records)))
    if not 0 < count < len(records):
        raise InputError(f"{len(records)} records are too few to set {count} of them aside")
    ordered = sorted(records, key=lambda record: digest128(f"{seed} {record.id}"))
    chosen = {record.id for record in ordered[:count]}
    return [record for record in records if record.id in chosen]


def default_space(editor: str, lm: LM) -> dict[str, Sequence[Any]]:
    """What an editor says is worth choosing from, by its classmethod `space(lm)`.

    Raises:
        InputError: If it says nothing.
    """
    from editors.registry import find

    offered = getattr(find(editor), "space", None)
    if offered is None:
        raise InputError(f"nothing is known of how to tune {editor!r}: pass what to choose from")
    return dict(offered(lm))


def draw(space: Mapping[str, Sequence[Any]], trials: int, seed: int) -> list[dict[str, Any]]:
    """Different choices from a space, at random; all of them where there are no more.

    Raises:
        InputError: If the space is empty.
    """
    size = math.prod(len(values) for values in space.values())
    if not space or size == 0:
        raise InputError("there is nothing to choose from")
    numbers = random.Random(seed).sample(range(size), min(trials, size))
    wanted = set(numbers)
    products: Iterator[tuple[Any, ...]] = itertools.product(*space.values())
    chosen = {i: values for i, values in enumerate(products) if i in wanted}
    return [dict(zip(space, chosen[i], strict=True)) for i in numbers]


def _try(
    editor: str, lm: LM, records: Sequence[EditRecord], options: dict[str, Any], seed: int
) -> Trial:
    from medit_eval.scoring import score

    try:
        report = score(
            editor,
            lm,
            list(records),
            protocol="batch",
            batch_size=len(records),
            metrics=("generated", "unchanged_generated", "pre_edit_right"),
            editor_options=options,
            seed=seed,
        )
    except InputError as error:
        return Trial(options, None, {}, str(error))
    axes = {
        row.axis: row.mean
        for row in report.rows
        if row.kind == ALL
        and row.subset == ALL
        and row.metric == metric_of(row.axis)
        and not math.isnan(row.mean)
    }
    mean = axes.pop(HARMONIC, None)
    return Trial(options, mean, axes, None if mean is not None else _reason(report))


def _reason(report: Report) -> str:
    failures = [row.failure for row in report.raw if row.failure is not None]
    return failures[0] if failures else "no two axes could be scored"


def _frozen(value: Any) -> Any:
    """JSON's lists as the tuples that hyperparameters are."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
