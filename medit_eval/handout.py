"""The questions of records as a file, for a tool that is to answer them before and after edits.

One row of JSON per phase and question, in the order in which the protocol asks them: `record`,
`probe`, `index`, `phase`, `prompt`, `image` (SHA-256 of the picture's file, or null), `image_file`
(its name in the folder of pictures, where one is wanted), `continue` (whether a long continuation
is wanted), and `requests`, the record's edits: `prompt`, `subject`, `target_new`, `image` of each.
Records come in the order of their edits. Of a probe nothing but its question is written: neither
answers nor what the edit is expected to do to it, and in place of its id, which tells its kind, a
digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from medit_eval.metrics.core import GENERATION
from medit_eval.protocols import Episode
from medit_eval.questions import alias, step_slots
from schemas.errors import InputError
from schemas.formats.images import ImageWriter
from schemas.images import EncodedImage, ImageError
from schemas.layout import atomic_write


def write_questions(
    records: Any,
    out: str | Path,
    *,
    protocol: str = "single",
    batch_size: int | None = None,
    checkpoints: Sequence[int] = (),
    order: int = 0,
    seed: int = 0,
    limit: int | None = None,
    records_format: str = "medit",
    images: str | Path | None = None,
    split: str = "test",
    pictures: str | Path | None = None,
) -> int:
    """Write the questions of records, and tell how many there are.

    Args:
        records: As for `score`.
        out: The file, JSON Lines.
        protocol: As for `score`, and so are the next four: they decide what is asked when.
        batch_size: Records that are edited with one call.
        checkpoints: Numbers of edits after which everything is asked.
        order: Which sample of the records, in which order.
        seed: What that is drawn from.
        limit: How many records to use, from the first on.
        records_format: As for `score`, and so are the next two.
        images: The folder of a foreign file's pictures.
        split: The split of a data set on the Hub.
        pictures: Folder to write the pictures into; none is written without it.

    Raises:
        InputError: If the records, an argument or a picture cannot be used, or a file cannot be
            written.
    """
    from medit_eval.scoring import planned

    out = Path(out)
    if out.is_dir():
        raise InputError("cannot be written: it is a folder", file=out)
    episodes, _ = planned(
        records,
        protocol=protocol,
        batch_size=batch_size,
        checkpoints=checkpoints,
        order=order,
        seed=seed,
        limit=limit,
        records_format=records_format,
        images=images,
        split=split,
    )
    count, sink = 0, None if pictures is None else ImageWriter(Path(pictures))
    try:
        with atomic_write(out) as file:
            for row in _rows(episodes, sink):
                file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
                count += 1
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", file=out) from None
    return count


def _picture(image: EncodedImage | None, sink: ImageWriter | None) -> dict[str, str | None]:
    """What a row says of a picture, which is written where there is a folder for it."""
    if image is None:
        return {"image": None}
    digest = hashlib.sha256(image.bytes).hexdigest()
    if sink is None:
        return {"image": digest}
    try:
        # Its own path might say what it is for.
        return {"image": digest, "image_file": sink.put(replace(image, path=None))}
    except (ImageError, OSError) as error:
        raise InputError(f"picture {digest} cannot be written: {error}") from None


def _rows(episodes: Sequence[Episode], sink: ImageWriter | None) -> Iterator[dict[str, Any]]:
    for episode in episodes:
        for step in episode:
            for slot in step_slots(step, continued=True, apart=frozenset({GENERATION})):
                query = slot.question.query
                yield {
                    "record": slot.record.id,
                    "probe": alias(slot.record.id, slot.probe.id),
                    "index": slot.index,
                    "phase": step.phase,
                    "prompt": query.prompt,
                    **_picture(query.image, sink),
                    "continue": slot.probe.kind == GENERATION,
                    "requests": [
                        {
                            "prompt": request.prompt,
                            "subject": request.subject,
                            "target_new": request.target_new,
                            **_picture(request.image, sink),
                        }
                        for request in slot.record.requests
                    ],
                }
