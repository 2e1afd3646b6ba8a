"""Commands that make, ask and publish edits: `edit`, `ask` and `publish`."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medit_eval.options import (
    HOW,
    MODEL,
    RUN,
    WHAT,
    Device,
    Dtype,
    FormatChoice,
    Limit,
    Model,
    RecordsFormat,
    Settings,
    setting_of,
)
from schemas.cli import option
from schemas.errors import InputError, printable

if TYPE_CHECKING:
    from editors.prompts import Query

Saved = Annotated[str, typer.Argument(metavar="DIR", help="Saved edits: a folder, or a Hub id.")]
Prompts = Annotated[list[str] | None, typer.Argument(metavar="PROMPT", help="Questions.")]


class FormChoice(enum.StrEnum):
    """What is saved."""

    delta = "delta"
    model = "model"


def edit(
    editor: Annotated[str, option("As for `score`; see there.", WHAT)],
    out: Annotated[Path, option("Folder of the edits.", RUN)],
    model: Model = "testbed/lm",
    requests: Annotated[
        Path | None,
        option("JSON Lines: prompt, target_new; subject, target_true, image, facts, id.", WHAT),
    ] = None,
    records: Annotated[
        str | None, option("Records whose requests are the edits; see `score`.", WHAT)
    ] = None,
    records_format: RecordsFormat = "medit",
    images: Annotated[Path | None, option("Folder of a foreign file's pictures.", WHAT)] = None,
    split: Annotated[str, option("Split of a data set on the Hub.", WHAT)] = "test",
    limit: Limit = None,
    setting: Settings = None,
    batch_size: Annotated[
        int | None, option("Edits made with one call; default: all.", HOW, min=1)
    ] = None,
    form: Annotated[
        FormChoice, option("What changed, or the whole model for transformers.", RUN)
    ] = FormChoice.delta,
    texts: Annotated[
        bool, option("Save questions and answers of the edits, or ids alone.", RUN)
    ] = True,
    prompt_format: Annotated[
        FormatChoice, option("How prompts are put to the model.", MODEL)
    ] = FormatChoice.plain,
    device: Device = None,
    dtype: Dtype = "auto",
    overwrite: Annotated[bool, option("Replace the edits that are in the folder.", RUN)] = False,
) -> None:
    """Edit a model and save the edits, for `ask`, `publish` and `medit_eval.load`."""
    from medit_eval.editing import edit as run_edit
    from medit_eval.editing import read_requests
    from medit_eval.sources import load as load_records

    if (requests is None) == (records is None):
        raise InputError("edits come from --requests FILE or from --records R, one of the two")
    if out.exists() and not overwrite and (not out.is_dir() or any(out.iterdir())):
        raise InputError("is there already: name another folder, or --overwrite", file=out)
    if requests is not None:
        wanted = read_requests(requests)[:limit]
    else:
        wanted = load_records(
            records, records_format=records_format, images=images, split=split, limit=limit
        )
    with run_edit(
        editor,
        model,
        wanted,
        batch_size=batch_size,
        editor_options=dict(map(setting_of, setting or [])),
        prompt_format=prompt_format.value,
        device=device,
        dtype=dtype,
    ) as edited:
        edited.save(out, form=form.value, texts=texts)
        made = edited.edits
    size = sum(path.stat().st_size for path in out.iterdir() if path.is_file())
    typer.echo(f"{made} edits by {editor} in {printable(str(out))}, {size:,} bytes")


def ask(
    folder: Saved,
    prompts: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="Questions.")
    ] = None,
    file: Annotated[
        Path | None, option("JSON Lines of questions: prompt; image, context.", WHAT)
    ] = None,
    image: Annotated[Path | None, option("Picture that the PROMPTs are about.", WHAT)] = None,
    model: Annotated[
        str | None, option("The unedited model; default: the one that DIR names.", MODEL)
    ] = None,
    max_new_tokens: Annotated[int, option("Length of an answer.", HOW, min=1)] = 32,
    both: Annotated[bool, option("Show what the unedited model answers too.", HOW)] = False,
    as_json: Annotated[bool, option("One JSON object per question.", HOW, "--json")] = False,
    device: Device = None,
) -> None:
    """Ask a model with saved edits."""
    from editors.saving import describe
    from medit_eval.restoring import load, place_of

    queries = _queries(prompts or [], file, image)
    place = place_of(folder)
    if both and describe(place).form == "model":
        raise InputError("holds a whole model, which gives no unedited answers", file=place)
    with load(place, model, device=device) as edited:
        after = edited.generate(queries, max_new_tokens=max_new_tokens)
        before = None
        if both:
            edited.restore()
            before = edited.generate(queries, max_new_tokens=max_new_tokens)
    for place, query in enumerate(queries):
        told = {"prompt": query.prompt, "answer": after[place]}
        if before is not None:
            told["unedited"] = before[place]
        if as_json:
            typer.echo(json.dumps(told, ensure_ascii=False))
            continue
        lines = [query.prompt, f"  {after[place]}"]
        if before is not None:
            lines.append(f"  unedited: {before[place]}")
        typer.echo("\n".join(map(printable, lines)))


def publish(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Saved edits.")],
    repo_id: Annotated[str, typer.Option("--repo", help="Model on the Hub: ORG/NAME.")],
    base_model: Annotated[
        str | None, typer.Option(help="Hub id of the unedited model; default: its name.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", help="Licence id of the Hub, for the card.")
    ] = None,
    private: Annotated[bool, typer.Option(help="Create it as a private one.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch; default: main.")] = None,
    message: Annotated[str | None, typer.Option(help="Commit message.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Write the card, list files, ask nobody.")] = False,
) -> None:
    """Put saved edits on the Hugging Face Hub with a card, in one commit.

    The token is that of `hf auth login`, or $HF_TOKEN.
    """
    from medit_eval.publishing import publish as publish_to
    from schemas.cli import say_published

    published = publish_to(
        folder,
        repo_id,
        base_model=base_model,
        licence=licence,
        private=private,
        revision=revision,
        message=message,
        dry_run=dry_run,
    )
    say_published(published, dry_run)


def _queries(prompts: list[str], file: Path | None, image: Path | None) -> list[Query]:
    """The questions of a command line and those of a file."""
    from editors.prompts import Query
    from medit_eval.editing import read_queries
    from schemas.formats.images import ImageFolder
    from schemas.images import ImageError

    picture = None
    if image is not None:
        try:
            picture = ImageFolder(image.parent).read(image.name)
        except ImageError as error:
            raise InputError(str(error), file=image) from None
    if not all(prompt.strip() for prompt in prompts):
        raise InputError("a PROMPT is empty, so there is nothing to ask")
    found = [Query(prompt, picture) for prompt in prompts]
    if file is not None:
        found += read_queries(file)
    if not found:
        raise InputError("there is nothing to ask: give a PROMPT or --file")
    return found
