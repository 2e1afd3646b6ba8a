"""What a build would ask for text: printed in a dry run, or asked at once through the Batch API.

Both take all rows through the text steps with a generator that only collects. Later requests
depend on earlier answers, so rules stand in for answers that are not there yet.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

from builders import pipeline
from builders.definition import Build
from builders.okedit import tasks
from builders.okedit.models import REQUESTS, Models
from builders.okedit.offline import OfflineTextGenerator
from builders.okedit.options import Options
from builders.okedit.recipe import OkeditRecipe
from builders.okedit.steps import Pictures
from builders.text.budget import RequestBudget
from builders.text.cache import AnswerCache
from builders.text.collect import CollectingGenerator
from builders.text.pending import PendingRequests
from builders.text.protocol import TextTask
from builders.workdir import WorkDir
from schemas.progress import Progress

ALL_TASKS: tuple[TextTask[Any], ...] = (
    tasks.REPHRASE,
    tasks.OBJECT_PHRASE,
    tasks.COUNTERFACTUAL,
    tasks.EDIT_TYPE,
    tasks.THIRD_ANSWER,
    tasks.NAMED_QUESTION,
    tasks.SAME_IMAGE,
    tasks.HOPS,
    tasks.FACT,
)


def dry_run(
    definition: Build[Any],
    options: Options,
    models: Models,
    requests_file: Path,
    progress: Progress,
) -> str:
    """What a build would ask for text, without asking: writes the requests, gives the sums.

    Later requests depend on earlier answers, for which rules stand in.

    Args:
        definition: The data set.
        options: What shapes its content.
        models: The models behind the generators.
        requests_file: Where the requests go, in the Batch API's form.
        progress: Shows how far it is.
    """
    if models.text is None:
        return "text is written offline: nothing would be asked"
    with tempfile.TemporaryDirectory() as folder:
        work = WorkDir(Path(folder))
        pending = PendingRequests(Path(folder) / "pending.sqlite")
        _collect(definition, options, models, progress, work, pending)
        written = pending.write_jsonl(requests_file)
        summary = pending.summary()
        pending.close()
    return f"{summary}\n{written} requests are in {requests_file}"


def ask_in_batches(
    definition: Build[Any],
    options: Options,
    models: Models,
    progress: Progress,
    work: WorkDir,
) -> None:
    """Fill the cache through the Batch API, one round per layer of dependent steps."""
    from builders.text.batch import batch_rounds

    if models.text is None:
        return
    pending = PendingRequests(work.root / "pending.sqlite")
    budget = RequestBudget(work.root / REQUESTS, models.max_requests)
    cache = AnswerCache(models.cache)
    try:
        batch_rounds(
            functools.partial(_collect, definition, options, models, progress, work, pending),
            pending,
            ALL_TASKS,
            models.text,
            cache=cache,
            work_dir=work.root / "batches",
            budget=budget,
        )
    finally:
        pending.close()
        budget.close()
        cache.close()


def _collect(
    definition: Build[Any],
    options: Options,
    models: Models,
    progress: Progress,
    work: WorkDir,
    pending: PendingRequests,
) -> None:
    """Take all rows through the text steps and note what a model would be asked."""
    assert models.text is not None
    settings = models.text

    def open_collecting(context: dict[str, Any], root: Path) -> OkeditRecipe:
        return OkeditRecipe(
            world=options.make_world(context, WorkDir(root).spool),
            text=CollectingGenerator(
                settings,
                cache=AnswerCache(models.cache),
                pending=pending,
                stand_in=OfflineTextGenerator(context["pools"]),
            ),
            images=None,
            rephrasings=options.rephrasings,
            editor_rephrasings=options.editor_rephrasings,
            pictures=Pictures(),
        )

    pipeline.rehearse(definition, work, open_collecting, progress)
