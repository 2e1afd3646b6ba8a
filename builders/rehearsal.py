"""What a build would ask for text: printed in a dry run, or asked at once through the Batch API.

Both take all rows through the text steps with a generator that only collects. Later requests
depend on earlier answers, so a stand-in gives the answers that are not there yet.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import pipeline
from builders.definition import Build, Recipe
from builders.text.cache import AnswerCache
from builders.text.collect import CollectingGenerator
from builders.text.model import TextModel
from builders.text.pending import PendingRequests
from builders.text.protocol import TextGenerator, TextTask
from builders.workdir import WorkDir
from schemas.executor import LocalExecutor
from schemas.progress import Progress


@dataclass(frozen=True)
class Rehearsal:
    """A build's text requests, to be collected.

    Attributes:
        definition: The data set.
        model: The model that would be asked, or None where text is made offline.
        tasks: All that it may be asked to do.
        open_recipe: Opens the text steps from generator, source's context and work folder.
        stand_in: Opens what answers in the model's place, from the source's context.
    """

    definition: Build[Any]
    model: TextModel | None
    tasks: Sequence[TextTask[Any]]
    open_recipe: Callable[[TextGenerator, dict[str, Any], Path], Recipe[Any]]
    stand_in: Callable[[dict[str, Any]], TextGenerator]

    def dry_run(self, requests_file: Path, progress: Progress) -> str:
        """What the build would ask for text, without asking: writes the requests, gives the sums.

        Args:
            requests_file: Where the requests go, in the Batch API's form.
            progress: Shows how far it is.
        """
        if self.model is None:
            return "text is written offline: nothing would be asked"
        with tempfile.TemporaryDirectory() as folder:
            work = WorkDir(Path(folder))
            pending = PendingRequests(Path(folder) / "pending.sqlite")
            self._collect(self.model, progress, work, pending)
            written = pending.write_jsonl(requests_file)
            summary = pending.summary()
            pending.close()
        return f"{summary}\n{written} requests are in {requests_file}"

    def ask_in_batches(self, progress: Progress, work: WorkDir) -> None:
        """Fill the cache through the Batch API, one round per layer of dependent steps."""
        from builders.text.batch import batch_rounds

        if self.model is None:
            return
        pending = PendingRequests(work.root / "pending.sqlite")
        budget = self.model.budget(work.root)
        cache = AnswerCache(self.model.cache)
        try:
            batch_rounds(
                functools.partial(self._collect, self.model, progress, work, pending),
                pending,
                self.tasks,
                self.model.endpoint,
                cache=cache,
                work_dir=work.root / "batches",
                budget=budget,
            )
        finally:
            pending.close()
            budget.close()
            cache.close()

    def _collect(
        self, model: TextModel, progress: Progress, work: WorkDir, pending: PendingRequests
    ) -> None:
        """Take all rows through the text steps and note what the model would be asked."""

        def open_collecting(context: dict[str, Any], root: Path) -> Recipe[Any]:
            collecting = CollectingGenerator(
                model.endpoint,
                cache=AnswerCache(model.cache),
                pending=pending,
                stand_in=self.stand_in(context),
            )
            return self.open_recipe(collecting, context, root)

        pipeline.rehearse(self.definition, work, open_collecting, progress)


def perform(
    rehearsed: Rehearsal,
    out: Path,
    progress: Progress,
    *,
    workers: int,
    overwrite: bool,
    batch: bool,
    checks_apart: bool,
) -> pipeline.Outcome:
    """Build a data set, or go on with an unfinished one.

    Args:
        rehearsed: The data set, and what it asks for text.
        out: Its folder.
        progress: Shows how far it is.
        workers: Processes.
        overwrite: Whether what is in the folder may be replaced.
        batch: Whether text is asked for through the Batch API first.
        checks_apart: Whether the last checks run in a process of their own; see `pipeline.run`.

    Raises:
        InputError: If an input, the folder or a model cannot be used.
    """
    return pipeline.run(
        rehearsed.definition,
        out,
        LocalExecutor(workers),
        progress,
        overwrite=overwrite,
        prepare=functools.partial(rehearsed.ask_in_batches, progress) if batch else None,
        checks_apart=checks_apart,
    )
