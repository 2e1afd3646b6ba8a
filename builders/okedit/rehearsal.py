"""The text requests of an OKEDIT-style build, to be collected; see `builders.rehearsal`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from builders.definition import Build
from builders.okedit import tasks
from builders.okedit.models import Models
from builders.okedit.offline import OfflineTextGenerator
from builders.okedit.options import Options
from builders.okedit.recipe import OkeditRecipe
from builders.okedit.steps import Pictures
from builders.rehearsal import Rehearsal
from builders.text.protocol import TextGenerator, TextTask
from builders.workdir import WorkDir

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


def rehearsal(definition: Build[Any], options: Options, models: Models) -> Rehearsal:
    """The text requests of a build; rules stand in for answers that are not there yet."""

    def open_recipe(text: TextGenerator, context: dict[str, Any], root: Path) -> OkeditRecipe:
        return OkeditRecipe(
            world=options.make_world(context, WorkDir(root).spool),
            text=text,
            images=None,
            rephrasings=options.rephrasings,
            editor_rephrasings=options.editor_rephrasings,
            pictures=Pictures(),
        )

    return Rehearsal(
        definition,
        models.text_model,
        ALL_TASKS,
        open_recipe,
        lambda context: OfflineTextGenerator(context["pools"]),
    )
