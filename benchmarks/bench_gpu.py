"""Editing and scoring a model of the size of Llama-3-8B on an accelerator.

    python -m benchmarks.bench_gpu                  # writes benchmarks/results/gpu-....md
    python -m benchmarks.bench_gpu --dtype float32 --tf32
    python -m benchmarks.bench_gpu --shape tiny --device cpu     # the same code within seconds

Nothing is downloaded: see `benchmarks.random_llama`. AlphaEdit edits people, against the literal
version of its paper's code (`tests/reference/locate_literal.py`), of which only few edits are run:
what it does for each edit is scaled to the number, what it does once is not. Then records are
scored with the protocols `batch` and `single`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import medit_eval
from benchmarks.measuring import (
    MIB,
    Line,
    Measured,
    alternate,
    flops_of,
    machine,
    markdown,
    matrix_rate,
    seconds,
    table,
)
from benchmarks.random_llama import LLAMA, SHAPES, Shape, build, people, texts_of
from editors.alphaedit import AlphaEdit, AlphaEditSettings
from editors.corpus import Texts
from editors.lm import LM
from editors.solve import NullSpace
from schemas.records import EditRecord, EditRequest
from tests.reference import locate_literal

NOTHING = "No accelerator is here, so nothing was measured; --device cpu runs on the processor."

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        edits: Edits made with one call.
        literal: Edits of the literal version.
        records: Records scored with the protocol `batch`.
        single: Records scored with the protocol `single`.
        texts: Texts that the second moments are taken of.
        steps: Passes of the search for values.
    """

    edits: int
    literal: int
    records: int
    single: int
    texts: int
    steps: int


@dataclass
class Tokens:
    """Counts what a model reads.

    Attributes:
        read: Tokens, with the pads.
        forwards: Forwards.
    """

    read: int = 0
    forwards: int = 0
    _noted: list[int] = field(default_factory=list)

    @contextmanager
    def of(self, lm: LM) -> Iterator[None]:
        """Count while the context is open."""

        def note(_: Any, args: tuple[Tensor, ...]) -> None:
            self.read += args[0].numel()
            self.forwards += 1

        handle = lm.model.get_input_embeddings().register_forward_pre_hook(note)
        try:
            yield
        finally:
            handle.remove()


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, and write the results; without an accelerator say so."""
    parser = argparse.ArgumentParser(description="Editing and scoring on an accelerator.")
    parser.add_argument("--device", help="by default cuda, where there is one")
    parser.add_argument("--shape", choices=list(SHAPES), default=LLAMA)
    parser.add_argument("--layers", type=int, help="blocks, in place of the shape's")
    parser.add_argument("--hidden", type=int, help="width, in place of the shape's")
    parser.add_argument("--mlp", type=int, help="width of the MLPs, in place of the shape's")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--tf32", action="store_true", help="float32 products in TF32")
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--literal", type=int, default=5, help="edits of the literal version")
    parser.add_argument("--records", type=int, default=1000, help="scored with protocol batch")
    parser.add_argument("--single", type=int, default=100, help="scored with protocol single")
    parser.add_argument("--texts", type=int, default=4000, help="texts of the second moments")
    parser.add_argument("--steps", type=int, default=25, help="passes of the search for values")
    parser.add_argument("--out", type=Path, help="file; by default one in benchmarks/results")
    args = parser.parse_args(words)
    device = args.device or ("cuda" if torch.cuda.is_available() else None)
    if device is None or (device.startswith("cuda") and not torch.cuda.is_available()):
        print(NOTHING)
        return 0
    given = {n: getattr(args, n) for n in ("layers", "hidden", "mlp") if getattr(args, n)}
    shape = replace(SHAPES[args.shape], **given)
    plan = Plan(args.edits, args.literal, args.records, args.single, args.texts, args.steps)
    text = measure(shape, plan, device, getattr(torch, args.dtype), tf32=args.tf32)
    print(text)
    out = args.out or RESULTS / _file_name(device)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    return 0


def measure(shape: Shape, plan: Plan, device: str, dtype: torch.dtype, *, tf32: bool) -> str:
    """All measurements as Markdown."""
    records = people(max(plan.records, plan.single, plan.edits, plan.texts // 10))
    texts = texts_of(records)
    built: list[LM] = []
    made = _timed(lambda: built.append(build(shape, texts, device, dtype, tf32=tf32)))
    lm = built[0]
    rate = matrix_rate(device, dtype)
    digested = _timed(lm.digest)
    with tempfile.TemporaryDirectory() as folder:
        editor = _editor(lm, shape, plan, texts, Path(folder))
        lines, apart = _edited(lm, editor, records, plan, rate)
        scored = _scored(lm, editor, records, plan, rate, Path(folder))
    kind = f"{str(dtype).removeprefix('torch.')}{', TF32 products' if tf32 else ''}"
    size = sum(parameter.numel() for parameter in lm.model.parameters())
    width = sum(p.numel() * p.element_size() for p in lm.model.parameters())
    parts = [
        f"# Editing and scoring on {_device_name(device)}",
        machine(device),
        f"A random Llama of {shape.layers} blocks, width {shape.hidden} and {shape.mlp}, "
        f"{size / 1e9:.2f} billion parameters in {kind}, {width / 2**30:.1f} GiB. Matrix products "
        f"here: {rate / 1e12:.3g} Tflop/s.",
        markdown(
            ("what is done once", "time", "peak memory"),
            [
                _row("making the model on the device", made),
                _row("one digest of all weights", digested),
                *(_row(name, measured) for name, measured in apart.items()),
            ],
        ),
        f"`literal` is scaled from {plan.literal} edits: values, keys and residuals by the number "
        "of edits, the solves of d x d not. The projector is taken as made in both.",
        table(lines),
        "Tokens are counted with their pads; the share is that of the time which the operations "
        "alone would take at the rate of matrix products.",
        markdown(
            ("scored", "records", "time", "tokens/s", "tokens per forward", "share", "peak memory"),
            scored,
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _editor(lm: LM, shape: Shape, plan: Plan, texts: Sequence[str], folder: Path) -> AlphaEdit:
    """AlphaEdit as published for the shape.

    The threshold is another: keys of a random model use all directions about alike, and under the
    published one nothing would be free to be written to.
    """
    options: AlphaEditSettings = {
        "corpus": Texts(tuple(texts[: plan.texts])),
        "cache": folder / "moments",
        "threshold": 0.1,
        "threshold_rule": "energy",
        "steps": plan.steps,
    }
    if shape.edited is not None:
        options["layers"] = shape.edited
    elif (shape.layers, shape.hidden) != (SHAPES[LLAMA].layers, SHAPES[LLAMA].hidden):
        options["layers"] = tuple(range(min(5, shape.layers - 1)))
    return AlphaEdit.for_model(lm, **options)


def _edited(
    lm: LM, editor: AlphaEdit, records: Sequence[EditRecord], plan: Plan, rate: float
) -> tuple[list[Line], dict[str, Measured]]:
    """AlphaEdit's edits beside the literal version's, and what comes before and after them."""
    requests = [record.requests[0] for record in records[: plan.edits]]
    apart: dict[str, Measured] = {}
    with editor.apply(lm) as edited:
        apart["second moments, contexts and projectors"] = _timed(lambda: edited.precisions)
        spaces, contexts = edited.precisions, edited.contexts
        # Counting the operations is the first run, so that the second finds all kernels loaded.
        flops = flops_of(lambda: edited.edit(requests))
        apart["undo and its check"] = _timed(edited.restore)
        ours = _timed(lambda: edited.edit(requests))
        edited.restore()
        literal = None
        if plan.literal:
            few = requests[: plan.literal]
            literal = _literal(lm, editor, few, spaces, contexts, plan.edits)
    name = f"AlphaEdit, {len(editor.layers)} layers, {plan.steps} passes"
    return [Line(name, plan.edits, literal, ours, flops, rate)], apart


def _literal(
    lm: LM,
    editor: AlphaEdit,
    requests: Sequence[EditRequest],
    spaces: Any,
    contexts: Sequence[str],
    edits: int,
) -> Measured:
    """The literal version on a few edits, scaled to another number; the model stays as it is."""
    found: dict[str, Any] = {}

    def values() -> None:
        queries = [locate_literal.Query(r.prompt, r.image) for r in requests]
        zs = []
        for request, query in zip(requests, queries, strict=True):
            target = lm.encoder.target_ids(query, request.target_new)
            h, delta = locate_literal.compute_z(lm, request, target, editor, contexts)
            zs.append(h + delta)
        found["z"] = torch.stack(zs, dim=1)

    def keys(layer: int) -> None:
        found["k"] = locate_literal.keys_of(lm, requests, layer, contexts).double()

    def residual(i: int) -> None:
        z = found["z"]
        found["r"] = locate_literal.residual_of(lm, requests, z, editor, i).double()

    def solved(layer: int, projector: Tensor) -> None:
        k, r = found["k"], found["r"]
        system = projector @ (k @ k.T) + editor.null_weight * torch.eye(
            len(k), dtype=k.dtype, device=k.device
        )
        found["update"] = torch.linalg.solve(system, projector @ k @ r.T)

    each, once = [_timed(values)], []
    for i, layer in enumerate(editor.layers):
        each += [_timed(lambda layer=layer: keys(layer)), _timed(lambda i=i: residual(i))]
        projector = _projector(spaces[layer], found["k"].device)
        once.append(_timed(lambda layer=layer, p=projector: solved(layer, p)))
    each += [_timed(lambda layer=layer: keys(layer)) for layer in editor.layers]  # those remembered
    scaled = sum(part.seconds for part in each) * edits / len(requests)
    total = scaled + sum(part.seconds for part in once)
    return Measured(total, (total,), max(part.peak for part in (*each, *once)))


def _projector(space: NullSpace, device: torch.device) -> Tensor:
    used = space.used.to(device)
    return torch.eye(len(used), dtype=used.dtype, device=device) - used @ used.t()


def _scored(
    lm: LM,
    editor: AlphaEdit,
    records: Sequence[EditRecord],
    plan: Plan,
    rate: float,
    folder: Path,
) -> list[list[str]]:
    """What scoring takes: asking alone, and with edits."""

    def run(name: str, method: Any, count: int, protocol: str) -> Callable[[], Any]:
        return lambda: medit_eval.score(
            method, lm, records[:count], protocol=protocol, batch_size=100,
            cache=folder / name.replace(" ", "-"),
        )  # fmt: skip

    rows = []
    for name, method, count, protocol in (
        ("asked before and after, not edited", "none", plan.records, "batch"),
        ("AlphaEdit, batch of 100", editor, plan.records, "batch"),
        ("AlphaEdit, single", editor, plan.single, "single"),
    ):
        if not count:
            continue
        some = Tokens()
        with some.of(lm):
            flops = flops_of(run(f"first {name}", method, max(1, count // 20), protocol))
        all_of_them = Tokens()
        with all_of_them.of(lm):
            taken = _timed(run(name, method, count, protocol))
        # Per token: what a twentieth of the records took stands for the others.
        floor = flops * all_of_them.read / some.read / rate
        rows.append(
            [
                name,
                f"{count:,}",
                seconds(taken.seconds),
                f"{all_of_them.read / taken.seconds:,.0f}",
                f"{all_of_them.read / all_of_them.forwards:,.0f}",
                f"{floor / taken.seconds:.1%}",
                f"{taken.peak / MIB:,.0f} MiB",
            ]
        )
    return rows


def _timed(run: Callable[[], Any]) -> Measured:
    return alternate({"": run}, 1, warm=False)[""]


def _row(name: str, measured: Measured) -> list[str]:
    return [name, seconds(measured.seconds), f"{measured.peak / MIB:,.0f} MiB"]


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "the processor"


def _file_name(device: str) -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    name = re.sub(r"[^a-z0-9]+", "-", _device_name(device).lower()).strip("-")
    return f"gpu-{name}-{date.today().isoformat()}-{commit or 'unknown'}.md"


if __name__ == "__main__":
    raise SystemExit(main())
