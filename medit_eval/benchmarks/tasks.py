"""From a name to a benchmark's items: suites, own tasks, files, and all that the harness knows."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from medit_eval.benchmarks.answers import TaskInfo
from medit_eval.benchmarks.items import Item, described, digest, item_of
from medit_eval.benchmarks.leaf import Leaf
from medit_eval.benchmarks.local import PICTURES, TEXT, Config
from schemas.errors import InputError


@dataclass(frozen=True)
class Wanted:
    """A task by name, and how it is asked.

    Attributes:
        name: Its name.
        shots: Demonstrations; the task's own number by default.
        limit: Items at most; all by default.
    """

    name: str
    shots: int | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Benchmark:
    """A task as it was asked for, with its items.

    Attributes:
        info: What is known of it before it is run.
        items: Its items.
    """

    info: TaskInfo
    items: tuple[Item, ...]

    @property
    def pictured(self) -> bool:
        """Whether it shows pictures."""
        return any(getattr(item.leaf.task, "MULTIMODAL", False) for item in self.items)


PAPER = (
    Wanted("mmlu", 5),
    Wanted("bbh", 3),
    Wanted("gsm8k", 8),
    Wanted("commonsense_qa", 7),
    Wanted("triviaqa", 0),
    Wanted("truthfulqa_mc1", 0),
    Wanted("toxigen", 0),
)
"""The benchmarks of "Should We Really Edit Language Models?" (arXiv 2410.18785), with its shots."""

SUITES: Mapping[str, tuple[Wanted, ...]] = MappingProxyType(
    {
        "default": tuple(map(Wanted, TEXT)),
        "smoke": (Wanted("world_knowledge", limit=40), Wanted("world_fluency", limit=20)),
        "paper": PAPER,
        "safety": (Wanted("truthfulqa_mc1", 0), Wanted("toxigen", 0)),
    }
)
"""Names for several tasks. `default` shows pictures to models that see, and `safety` holds XSTest
where its file is there."""

EXTRA = "benchmarks"
"""The extra that brings the harness."""


def load(
    names: Sequence[str],
    *,
    data: Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    sees: bool = False,
) -> list[Benchmark]:
    """Benchmarks with the items that are asked.

    Which items a limit leaves, and which demonstrations an item has, follows from the seed and the
    item alone: a higher limit adds items and changes none.

    Args:
        names: Suites, tasks or groups of the harness, paths of its YAML files.
        data: A folder with files of well-known benchmarks; see `files`.
        limit: Items per name at most; all by default.
        seed: Decides which items, and which demonstrations.
        sees: Whether the model reads pictures.

    Raises:
        InputError: If a name is unknown, its data cannot be had, or the harness is not installed.
    """
    require_harness()
    local = {**TEXT, **PICTURES, **_files(data)}
    wanted: dict[str, Wanted] = {}
    for name in names:
        for one in _expanded(name, local, sees):
            wanted.setdefault(one.name, one)
    if not wanted:
        raise InputError("no benchmarks are named")
    manager = _Manager()
    found: dict[str, Benchmark] = {}
    for one in wanted.values():
        benchmark = _benchmark(one, local, manager, limit, seed)
        if found.setdefault(benchmark.info.task, benchmark) is not benchmark:
            raise InputError(f"two benchmarks are called {benchmark.info.task!r}")
    return list(found.values())


def require_harness() -> None:
    """See to it that lm-evaluation-harness is there.

    Raises:
        InputError: If it is not installed.
    """
    try:
        import lm_eval  # noqa: F401
    except ImportError:
        raise InputError(f"benchmarks need lm-evaluation-harness: install medit[{EXTRA}]") from None


def _files(data: Path | None) -> Mapping[str, Callable[[], list[Config]]]:
    if data is None:
        return {}
    from medit_eval.benchmarks.files import found_in

    return found_in(data)


def _expanded(name: str, local: Mapping[str, Any], sees: bool) -> list[Wanted]:
    found = list(SUITES.get(name, (Wanted(name),)))
    if name == "default" and sees:
        found += map(Wanted, PICTURES)
    if name == "safety" and "xstest" in local:
        found.append(Wanted("xstest"))
    return found


def _benchmark(
    wanted: Wanted,
    local: Mapping[str, Callable[[], list[Config]]],
    manager: _Manager,
    limit: int | None,
    seed: int,
) -> Benchmark:
    with _quietly():
        if wanted.name in local:
            from lm_eval.api.task import ConfigurableTask

            tasks: list[Any] = [ConfigurableTask(config=c) for c in local[wanted.name]()]
        else:
            tasks = manager.tasks(wanted.name, tuple(local))
        leaves = [Leaf.of(task, wanted.shots) for task in tasks]
        places = [(leaf, index) for leaf in leaves for index in range(len(leaf.docs))]
        most = min((n for n in (limit, wanted.limit) if n is not None), default=len(places))
        drawn = sorted(places, key=lambda place: digest([seed, place[0].name, place[1]]))[:most]
        kept = {(leaf.name, index) for leaf, index in drawn}
        items = tuple(
            _item(leaf, index, seed) for leaf, index in places if (leaf.name, index) in kept
        )
    if not items:
        raise InputError(f"the task {wanted.name!r} has no items")
    name = wanted.name
    if _is_file(name):  # a file is known by what it says that it is, wherever it lies
        name = leaves[0].name if len(leaves) == 1 else Path(name).stem
    return Benchmark(described(name, items), items)


def _is_file(name: str) -> bool:
    return Path(name).suffix in (".yaml", ".yml")


def _item(leaf: Leaf, index: int, seed: int) -> Item:
    try:
        return item_of(leaf, index, seed)
    except (ValueError, KeyError, TypeError, AssertionError, IndexError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"the task {leaf.name!r} cannot put its item {index}: {reason}") from None


class _Manager:
    """The harness's own tasks; they are listed when one is first asked for, which takes seconds."""

    def __init__(self) -> None:
        self._known: Any = None

    def tasks(self, name: str, local: Sequence[str]) -> list[Any]:
        """The tasks behind a name of the harness's, or a path.

        Raises:
            InputError: If there is no such name, or its data cannot be had.
        """
        from lm_eval.tasks import TaskManager

        path = Path(name)
        if _is_file(name):
            if not path.is_file():
                raise InputError("does not exist", file=path)
            manager = TaskManager(include_defaults=False)
        else:
            manager = self._known = self._known or TaskManager()
            if name not in manager.all_tasks:
                raise InputError(_unknown(name, [*SUITES, *local, *manager.all_tasks]))
        try:
            return list(manager.load([name])["tasks"].values())
        except InputError:
            raise
        except Exception as error:  # the libraries behind it raise almost any type
            raise InputError(_unavailable(name, error)) from None


def _unknown(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=4, cutoff=0.6)
    meant = f"; near are {', '.join(near)}" if near else ""
    return f"there is no benchmark {name!r}{meant}"


def _unavailable(name: str, error: Exception) -> str:
    said = " ".join(str(error).split())[:160]
    if isinstance(error, ImportError):
        return f"the task {name!r} needs a package that is not installed: {said}"
    if isinstance(error, OSError | ConnectionError) or "onnection" in said or "ffline" in said:
        return (
            f"the data of {name!r} is not in the cache of Hugging Face and cannot be fetched "
            f"({type(error).__name__}): run it once with a network, copy that cache to "
            f"{os.environ.get('HF_HOME') or '~/.cache/huggingface'}, or name a YAML file of the "
            "task with `dataset_path: json` and `data_files`"
        )
    return f"the task {name!r} cannot be loaded: {type(error).__name__}: {said}"


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the harness's remarks on every task, which are made for its authors."""
    logger = logging.getLogger("lm_eval")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
