"""Second moments of keys against the way of the papers' codes and against a plain forward pass.

    python -m benchmarks.bench_stats                              # about fifteen minutes, two cores
    python -m benchmarks.bench_stats --write docs/performance.md  # the table, between its markers

The literal way reads all texts once per layer (`tests/reference/moments_literal.py`). The plain
forward pass reads the batches that the statistics read, tokenized before its clock starts, through
all of the model but for the logits. All three take turns in one process.

"Fixed" is what a corpus of one text takes: sums are begun, mirrored and written to files. It does
not grow with the corpus, which has millions of tokens in practice, so the tokens per second of the
statistics are those of the rest. Times and ratio are of all.

The second model has the shape of GPT2-XL and random weights. It ends behind the last layer that the
papers edit; the 30 layers after it would make the plain pass longer and nothing else.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.measuring import (
    MIB,
    Line,
    alternate,
    flops_of,
    machine,
    markdown,
    matrix_rate,
    seconds,
)
from benchmarks.paste import paste
from editors.corpus import Texts
from editors.lm import LM
from editors.moments import TOKENS_PER_BATCH, second_moments
from editors.outer import OuterSum
from editors.packing import Place, Row, encoded, packed
from medit_eval.models import resolve
from medit_eval.testbed import covariance_corpus
from tests.reference.moments_literal import layer_stats

COLUMNS = (
    *("model, layers", "texts", "tokens", "literal", "medit", "ratio"),
    *("fixed", "plain forward, tokens/s", "statistics, tokens/s", "quotient"),
    *("arithmetic alone", "share of it", "peak memory"),
)

XL: Mapping[str, Any] = {"n_embd": 1600, "n_head": 25, "n_positions": 1024, "vocab_size": 50257}
"""The shape of GPT2-XL, but for its 48 layers."""

XL_LAYERS = (13, 14, 15, 16, 17)
"""Those that MEMIT and AlphaEdit edit in it."""


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        name: The model and the layers in words.
        lm: The model.
        layers: The layers.
        texts: What is read.
    """

    name: str
    lm: LM
    layers: tuple[int, ...]
    texts: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and paste it where asked."""
    parser = argparse.ArgumentParser(description="Second moments: speed and memory.")
    parser.add_argument("--texts", type=int, default=1500, help="for testbed/lm; 0 leaves out")
    parser.add_argument("--xl-texts", type=int, default=8, help="of some 400 tokens; 0 leaves out")
    parser.add_argument("--xl-layers", type=int, default=len(range(XL_LAYERS[-1] + 1)))
    parser.add_argument("--repeats", type=int, default=5, help="rounds for testbed/lm")
    parser.add_argument("--xl-repeats", type=int, default=3)
    parser.add_argument("--write", type=Path, help="file with the markers to paste between")
    args = parser.parse_args(arguments)
    rows = [_measured(case, args.repeats) for case in _testbed(args.texts)] if args.texts else []
    if args.xl_texts:
        rows += [_measured(c, args.xl_repeats) for c in _xl(args.xl_texts, args.xl_layers)]
    table = f"{markdown(COLUMNS, rows)}\n\n{machine()}"
    print(table)
    if args.write:
        paste(args.write, "bench_stats", table)


def _testbed(texts: int) -> Iterator[Case]:
    """The layers that its presets edit, one of them, and all."""
    lm, corpus = resolve("testbed/lm"), tuple(covariance_corpus(texts))
    depth = len(lm.anatomy.blocks)
    for layers in ((0, 1, 2), (1,), tuple(range(depth))):
        yield Case(f"testbed/lm, {_words(layers, depth)}", lm, layers, corpus)


def _xl(texts: int, depth: int) -> Iterator[Case]:
    import transformers as hf

    torch.manual_seed(0)
    lm = LM(hf.GPT2LMHeadModel(hf.GPT2Config(**XL, n_layer=depth)), resolve("testbed/lm").tokenizer)
    documents = covariance_corpus(15 * texts)
    corpus = tuple(" ".join(documents[i::texts]) for i in range(texts))
    layers = tuple(layer for layer in XL_LAYERS if layer < depth) or (depth - 1,)
    name = f"shape of GPT2-XL with {depth} of 48 layers, {_words(layers, depth)}"
    yield Case(name, lm, layers, corpus)


def _words(layers: Sequence[int], depth: int) -> str:
    if len(layers) == depth > 1:
        return f"all {depth} layers"
    return f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]} to {layers[-1]}"


def _measured(case: Case, repeats: int) -> list[str]:
    """A line's cells."""
    lm, layers, texts = case.lm, case.layers, case.texts
    # One reading of the weights per run, whatever the corpus; it would count against short ones.
    digest = lm.digest()
    lm.digest = lambda: digest
    batches = _batches(lm, texts)
    tokens = sum(row.size for rows in batches for row in rows)

    def literal() -> None:
        for layer in layers:
            layer_stats(lm, texts, layer)

    def ours(chosen: tuple[str, ...] = texts) -> None:
        with tempfile.TemporaryDirectory() as folder:
            second_moments(lm, layers, Texts(chosen), cache=Path(folder))

    ways: dict[str, Callable[[], Any]] = {
        "literal": literal,
        "ours": ours,
        "fixed": lambda: ours(("A",)),
        "plain": _plain_forward(lm, batches),
    }
    found = alternate(ways, repeats)
    line = Line(
        case.name,
        len(texts),
        found["literal"],
        found["ours"],
        flops_of(ours) + _product_flops(lm, layers, tokens),
        matrix_rate(),
    )
    for name, measured in found.items():
        runs = ", ".join(map(seconds, measured.runs))
        print(f"{case.name}, {name}: {runs}", file=sys.stderr, flush=True)
    fixed = found["fixed"].seconds
    plain = tokens / found["plain"].seconds
    own = tokens / max(1e-9, found["ours"].seconds - fixed)
    return [
        case.name,
        f"{len(texts):,}",
        f"{tokens:,}",
        seconds(found["literal"].seconds),
        seconds(found["ours"].seconds),
        f"{line.ratio:.1f}x",
        seconds(fixed),
        f"{plain:,.0f}",
        f"{own:,.0f}",
        f"{own / plain:.0%}",
        seconds(line.floor),
        f"{line.floor / line.ours.seconds:.0%}",
        f"{line.ours.peak / MIB:,.0f} MiB",
    ]


def _batches(lm: LM, texts: Sequence[str]) -> list[list[Row]]:
    longest = min(TOKENS_PER_BATCH, lm.context_length or TOKENS_PER_BATCH)
    found = packed(Texts(tuple(texts)), lm.encoder, longest, TOKENS_PER_BATCH, Place())
    return [rows for _, rows in found]


def _plain_forward(lm: LM, batches: Sequence[list[Row]]) -> Callable[[], Any]:
    """The model reads what the statistics read, in the same batches."""
    chosen = []
    for rows in batches:
        lm.in_batches(
            rows,
            lambda some: chosen.append(encoded(lm.encoder, some)) or some,
            size=lambda row: row.key,
        )

    @torch.no_grad()
    def run() -> None:
        for batch in chosen:
            lm.forward(batch, keep=1)

    return run


def _product_flops(lm: LM, layers: Sequence[int], tokens: int) -> float:
    """Of the products into the sums, which torch's counter does not see."""
    panels = OuterSum(lm.anatomy.mlp_size).panels
    return 2.0 * sum(panel.numel() for panel in panels) * tokens * len(layers)


if __name__ == "__main__":
    main()
