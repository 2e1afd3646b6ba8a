"""Commands: train the testbed models, or ones that know your own records; check them.

python -m medit_eval.testbed train lm
python -m medit_eval.testbed train lm --records out/facts --out models/mine
python -m medit_eval.testbed check lm
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from schemas import cli

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Small models that truly know a small world, or your own records.",
)

Kind = Literal["lm", "vlm"]
Model = Annotated[Kind, typer.Argument(help="The text model or the vision-language model.")]


@app.command()
def train(
    model: Model,
    records: Annotated[
        str | None,
        typer.Option(
            help="Your records, which a testbed model is to know: folder, file or Hub id."
        ),
    ] = None,
    records_format: Annotated[str, typer.Option(help="Format of the records' rows.")] = "medit",
    images: Annotated[Path | None, typer.Option(help="Pictures of a foreign format.")] = None,
    limit: Annotated[int | None, typer.Option(help="Records to read.", min=1)] = None,
    flags: Annotated[
        list[Path] | None,
        typer.Option(help="Built flag records to see flags in, for the vlm's own recipe."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the model.")] = None,
    steps: Annotated[int | None, typer.Option(help="Most updates.", min=1)] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after so long.", min=0)] = None,
    seed: Annotated[int, typer.Option(help="Everything random derives from it.")] = 0,
) -> None:
    """Train a model, or go on where the same command was interrupted.

    With --records, the model that comes with this package goes on until it gives the answer before
    the edit to 97 of 100 edited questions. Without, the recipes of the models themselves are run.
    """
    from medit_eval.testbed import run

    folder = out or Path("models") / model
    stages = run.stages(
        model,
        folder,
        own=run.Own(records, records_format, images, limit) if records is not None else None,
        flags=flags or [],
        steps=steps,
        seed=seed,
    )
    finished = run.follow(stages, minutes=minutes)
    typer.echo(f"{folder}: {'done' if finished else 'stopped; the same command goes on'}")


@app.command()
def check(
    model: Model,
    flags: Annotated[
        list[Path] | None,
        typer.Option(help="Built flag records with pictures that the vlm has not seen."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="A model of the same kind instead of the one that comes along."),
    ] = None,
    per_kind: Annotated[int, typer.Option(help="Most questions of a kind.", min=1)] = 500,
) -> None:
    """Examine a model with questions and pictures that it was not trained on."""
    from medit_eval.testbed import run

    if not run.examine(model, folder, flags or [], per_kind):
        raise typer.Exit(1)


if __name__ == "__main__":
    cli.run(app)
