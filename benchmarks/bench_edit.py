"""What editing costs, beside the way of the papers' codes, in the same run.

    python -m benchmarks.bench_edit                                # about an hour on two cores
    python -m benchmarks.bench_edit --edits 1,10 --no-wide         # a quick look
    python -m benchmarks.bench_edit --write docs/performance.md    # paste the table

*Literal* is `tests/reference/locate_released.py`: one edit at a time with its prompts in one small
batch, whole forwards, d x d solves. For BalancEdit and SCR it is one call of `edit` per request.
Second moments and what is made of them once per model are there before the clock starts, for both.
Values and scores of both ways are compared, and their largest relative differences printed.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.measuring import (
    Line,
    Measured,
    alternate,
    flops_of,
    machine,
    matrix_rate,
    seconds,
    table,
)
from benchmarks.paste import paste
from editors.alphaedit import AlphaEdit
from editors.anatomy import dtype_of, oriented
from editors.balancedit import BalancEdit
from editors.come import CoME
from editors.corpus import as_corpus
from editors.lm import LM
from editors.locate import LocatedModel, Memory, new_values
from editors.memit import MEMIT
from editors.moments import Moment, second_moments
from editors.prompts import Query
from editors.scr import SCR
from editors.solve import MomentPrecision, NullSpace, Precision
from medit_eval import testbed
from medit_eval.testbed import wordings
from medit_eval.testbed.world import PERSON_RELATIONS, World
from schemas.records import EditRequest
from tests.reference import locate_released as literal
from tests.reference.locate_literal import come_z

WIDE: dict[str, Any] = {
    "n_embd": 1600,
    "n_head": 25,
    "n_inner": 6400,
    "vocab_size": 50257,
    "n_positions": 1024,
}
"""The shape of GPT2-XL, but for its 48 blocks."""


@dataclass(frozen=True)
class Setting:
    """A method on a model, prepared.

    Attributes:
        title: What the table calls it.
        edited: The model, ready to be edited.
        moments: Second moments, or AlphaEdit's projectors, by layer: those of the literal way.
    """

    title: str
    edited: LocatedModel
    moments: dict[int, Tensor]

    @property
    def lm(self) -> LM:
        """The model."""
        return self.edited.lm

    @property
    def base(self) -> Any:
        """The method that writes."""
        return self.edited.editor

    def ours(
        self, requests: Sequence[EditRequest], after: Callable[[], None] | None = None
    ) -> None:
        """Edit and restore; `after` is called in between."""
        self.edited.edit(requests)
        if after is not None:
            after()
        self.edited.restore()
        self.edited.state = Memory()

    def our_values(self, requests: Sequence[EditRequest]) -> Tensor:
        """Our values, shape (n, H)."""
        method = self.edited.method
        aiming = method.values if isinstance(method, CoME) else new_values
        return aiming(self.edited, requests)

    def values(self, requests: Sequence[EditRequest]) -> Tensor:
        """The literal values, shape (H, n)."""
        method, given = self.edited.method, (self.base, self.edited.contexts)
        if isinstance(method, CoME):
            a, p = method.removal, method.share
            found = [
                come_z(self.lm, r, *given, a=a, p=p, search=literal.compute_z) for r in requests
            ]
        else:
            found = [literal.z_of(self.lm, r, *given) for r in requests]
        return torch.stack(found, dim=1)

    def write(self, requests: Sequence[EditRequest], clock: literal.Clock) -> Tensor:
        """Edit in the literal way; the values."""
        zs = self.values(requests)
        given = (self.lm, requests, zs, self.base, self.edited.contexts, self.moments)
        if isinstance(self.base, AlphaEdit):
            d = self.lm.anatomy.mlp_size
            literal.alphaedit(*given, {layer: torch.zeros(d, d) for layer in self.moments}, clock)
        else:
            literal.memit(*given, clock)
        return zs

    def literally(
        self,
        requests: Sequence[EditRequest],
        clock: literal.Clock,
        after: Callable[[], None] | None = None,
    ) -> Tensor:
        """The same in the literal way; the values."""
        projections = [self.lm.anatomy.projections[layer] for layer in self.base.layers]
        before = [oriented(p).detach().clone() for p in projections]
        zs = self.write(requests, clock)
        if after is not None:
            after()
        for projection, weight in zip(projections, before, strict=True):
            oriented(projection).detach().copy_(weight)
        return zs


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print the table, and paste it where asked."""
    args = arguments(given)
    with tempfile.TemporaryDirectory() as folder:
        text = _measured(args, args.cache or Path(folder), matrix_rate())
    print(text)
    if args.write:
        paste(args.write, "bench_edit", text)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked on the command line."""
    parser = argparse.ArgumentParser(description="What editing costs.")
    parser.add_argument("--edits", default="1,10,100,1000", help="with commas between")
    parser.add_argument("--methods", default="memit,alphaedit,come,balancedit,scr")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each way")
    parser.add_argument("--once-from", type=int, default=1000, help="edits that are run once")
    parser.add_argument("--literal", type=int, default=25, help="edits of the literal way, at most")
    parser.add_argument("--layers", help="with commas between; by default the methods' own")
    parser.add_argument("--steps", type=int, help="steps of a search; by default the methods' own")
    parser.add_argument("--documents", type=int, default=2000, help="texts of the second moments")
    parser.add_argument("--cache", type=Path, help="folder of second moments; by default none")
    parser.add_argument("--no-wide", action="store_true", help="without the shape of GPT2-XL")
    parser.add_argument("--wide-methods", default="alphaedit", help="with commas between")
    parser.add_argument("--wide-edits", default="1,10", help="with commas between")
    parser.add_argument("--wide-literal", type=int, default=1, help="edits of the literal way")
    parser.add_argument("--wide-blocks", type=int, default=6, help="of the 48 blocks")
    parser.add_argument("--wide-steps", type=int, default=5, help="steps of a search")
    parser.add_argument("--write", type=Path, help="file with the markers to paste between")
    return parser.parse_args(given)


def _measured(args: argparse.Namespace, folder: Path, rate: float) -> str:
    counts, methods = _numbers(args.edits), args.methods.split(",")
    lm = LM.load(testbed.path("testbed/lm"), dtype="float32", name="testbed/lm")
    asked = requests(max(*counts, *_numbers(args.wide_edits)))
    lines: list[Line] = []
    checks: list[str] = []
    costs: list[str] = []
    processor: list[str] = []

    def note(setting: Setting, found: Sequence[tuple[Line, float]]) -> None:
        lines.extend(line for line, _ in found)
        each = ", ".join(f"{times:.1f}x for {line.edits:,}" for line, times in found)
        processor.append(f"{setting.title} {each}")

    for setting in on_testbed(lm, methods, args, folder):
        own = list(_lines(setting, asked, counts, args.literal, args, rate))
        note(setting, own)
        costs.append(_costs([line for line, _ in own]))
        checks.append(_agreement(setting, asked[: args.literal]))
    for name in methods:
        if name in ("balancedit", "scr"):
            lines += _calls(name, lm, asked, [n for n in counts if n in (10, 100)] or counts, args)
    if not args.no_wide:
        counts = _numbers(args.wide_edits)
        for setting in _wide(args.wide_methods.split(","), args):
            note(setting, list(_lines(setting, asked, counts, args.wide_literal, args, rate)))
    return "\n\n".join(
        [
            table(lines),
            "Where a method has a star, the literal way was run on fewer edits, "
            f"{args.literal} (in GPT2-XL's shape {args.wide_literal}): what it takes for each edit "
            "is multiplied, its solves are not.",
            "Ratios by the processor's time, which other work on the machine disturbs less: "
            + "; ".join(processor)
            + ".",
            "Cost per edit: " + "; ".join(costs) + ".",
            "Agreement of both ways: " + "; ".join(checks) + ".",
            f"{rate / 1e9:,.0f} billion operations per second in matrix products. {machine()}",
        ]
    )


def requests(count: int) -> list[EditRequest]:
    """Edits of `testbed/people`, and beyond their number of the same people's other relations."""
    first = [record.requests[0] for record in testbed.people_records()]
    people = World.draw().of_group("edited")
    more: list[EditRequest] = []
    for shift in range(1, len(PERSON_RELATIONS)):
        for place, person in enumerate(people):
            relation = PERSON_RELATIONS[(place + shift) % len(PERSON_RELATIONS)]
            old = person.facts[relation]
            new = next(
                p.facts[relation] for p in people[place:] + people if p.facts[relation] != old
            )
            prompt = wordings.PEOPLE[relation].prompt.format(name=person.name)
            more.append(EditRequest(f"{relation} {place}", prompt, None, person.name, new, old))
    return [*first, *more][:count]


def on_testbed(
    lm: LM, methods: Sequence[str], args: argparse.Namespace, folder: Path
) -> Iterator[Setting]:
    """Methods on `testbed/lm`, their second moments in a folder."""
    corpus = folder / f"corpus-{args.documents}.txt"
    folder.mkdir(parents=True, exist_ok=True)
    texts = testbed.covariance_corpus(args.documents)
    corpus.write_text("\n".join(" ".join(text.split()) for text in texts), encoding="utf-8")
    options: dict[str, Any] = {} if args.steps is None else {"steps": args.steps}
    if args.layers is not None:
        options["layers"] = tuple(_numbers(args.layers))
    made: dict[str, Callable[..., MEMIT | AlphaEdit | CoME]] = {
        "memit": MEMIT.for_model,
        "alphaedit": AlphaEdit.for_model,
        "come": CoME.for_model,
    }
    for name in methods:
        if name not in made:
            continue
        edited = made[name](lm, corpus=corpus, cache=folder / "moments", **options).apply(lm)
        yield setting_of(f"{name}, `testbed/lm`", edited)


def setting_of(title: str, edited: LocatedModel) -> Setting:
    """A method with what the literal way needs, taken before the clock starts."""
    editor, lm = edited.editor, edited.lm
    precisions = edited.precisions
    if isinstance(editor, AlphaEdit):
        moments = {layer: _projector(found, lm) for layer, found in precisions.items()}
    else:
        known = second_moments(lm, editor.layers, as_corpus(editor.corpus), cache=editor.cache)
        moments = {layer: moment.matrix for layer, moment in known.items()}
    return Setting(title, edited, moments)


def _projector(space: Precision, lm: LM) -> Tensor:
    assert isinstance(space, NullSpace)
    used = space.used.to(dtype_of(lm.anatomy.projections[0]))
    return torch.eye(len(used), dtype=used.dtype) - used @ used.t()


def _wide(methods: Sequence[str], args: argparse.Namespace) -> Iterator[Setting]:
    """Methods on a model in the shape of GPT2-XL, of fewer blocks, with weights at random."""
    import transformers as hf

    torch.manual_seed(0)
    model = hf.GPT2LMHeadModel(hf.GPT2Config(**WIDE, n_layer=args.wide_blocks))
    tokenizer = LM.load(testbed.path("testbed/lm"), dtype="float32").tokenizer
    lm = LM(model, tokenizer, name="GPT2-XL's shape")
    # Edited layers at GPT2-XL's share of the depth.
    layers = tuple(range(args.wide_blocks // 6, args.wide_blocks // 6 + 2))
    options: dict[str, Any] = {"layers": layers, "steps": args.wide_steps}
    d = lm.anatomy.mlp_size
    for name in methods:
        # What a corpus would use is drawn at random too: the arithmetic is the same.
        if name == "alphaedit":
            space = NullSpace(torch.linalg.qr(torch.randn(d, d // 4)).Q.double(), 10.0)
            moment, precision = _projector(space, lm), space
            method: MEMIT | AlphaEdit | CoME = _DrawnAlphaEdit(**options, drawn=precision)
        elif name in ("memit", "come"):
            keys = torch.randn(d, d)
            moment = keys @ keys.t() / d + torch.eye(d)
            base = _DrawnMEMIT(
                **options, drawn=MomentPrecision.of(Moment(moment, d), 20_000), moment_weight=20_000
            )
            method = CoME(base=base) if name == "come" else base
        else:
            continue
        edited = method.apply(lm)
        edited.precisions  # noqa: B018 - prepared before the clock starts
        title = f"{name}, {args.wide_blocks} blocks as wide as GPT2-XL's"
        yield Setting(title, edited, dict.fromkeys(layers, moment))


@dataclass(frozen=True, kw_only=True)
class _DrawnAlphaEdit(AlphaEdit):
    """AlphaEdit with a null space that no corpus was read for."""

    drawn: Precision

    def precisions(self, moments: Callable[[], Mapping[int, Moment]]) -> dict[int, Precision]:
        """What was drawn."""
        return dict.fromkeys(self.layers, self.drawn)


@dataclass(frozen=True, kw_only=True)
class _DrawnMEMIT(MEMIT):
    """MEMIT with moments that no corpus was read for."""

    drawn: Precision

    def precisions(self, moments: Callable[[], Mapping[int, Moment]]) -> dict[int, Precision]:
        """What was drawn."""
        return dict.fromkeys(self.layers, self.drawn)


def _lines(
    setting: Setting,
    asked: Sequence[EditRequest],
    counts: Sequence[int],
    limit: int,
    args: argparse.Namespace,
    rate: float,
) -> Iterator[tuple[Line, float]]:
    """Lines of a method, and the ratios of both ways by the processor's time."""
    counted: tuple[int, float] | None = None
    for count in counts:
        chosen, few = asked[:count], asked[: min(count, limit)]
        clocks: list[literal.Clock] = []
        spent: dict[str, list[float]] = {"literal": [], "ours": []}

        def slowly(few: Sequence[EditRequest] = few, clocks: list[Any] = clocks) -> None:
            clocks.append(literal.Clock())
            setting.literally(few, clocks[-1])

        def timed(name: str, run: Callable[[], Any], spent: Any = spent) -> Callable[[], None]:
            def wrapped() -> None:
                start = time.process_time()
                run()
                spent[name].append(time.process_time() - start)

            return wrapped

        repeats = 1 if count >= args.once_from else args.repeats
        ways = {
            "literal": timed("literal", slowly),
            "ours": timed("ours", lambda chosen=chosen: setting.ours(chosen)),
        }
        found = alternate(ways, repeats, warm=count < 10)
        if counted is None or count <= 100:
            counted = count, flops_of(lambda chosen=chosen: setting.ours(chosen))
        slow, last = found["literal"], slice(-repeats, None)
        scale = count / len(few)
        runs = _scaled(slow.runs, [clock.solving for clock in clocks[last]], scale)
        slow = Measured(statistics.median(runs), runs, slow.peak)
        processor = _scaled(
            spent["literal"][last], [clock.processor for clock in clocks[last]], scale
        )
        star = "" if len(few) == count else "*"
        line = Line(
            setting.title + star, count, slow, found["ours"], counted[1] * count / counted[0], rate
        )
        times = statistics.median(processor) / statistics.median(spent["ours"][last])
        print(" | ".join([*line.cells(), f"{times:.1f}x of the processor"]), flush=True)
        yield line, times
        gc.collect()


def _scaled(totals: Sequence[float], solving: Sequence[float], scale: float) -> tuple[float, ...]:
    """Seconds for more edits: solves stay, the rest is multiplied."""
    pairs = zip(totals, solving, strict=True)
    return tuple((total - solve) * scale + solve for total, solve in pairs)


def _calls(
    name: str, lm: LM, asked: Sequence[EditRequest], counts: Sequence[int], args: argparse.Namespace
) -> Iterator[Line]:
    """One call for all edits beside one call for each."""
    editor: BalancEdit | SCR = (
        BalancEdit.for_model(lm, **({} if args.steps is None else {"steps": args.steps}))
        if name == "balancedit"
        else SCR.for_model(lm)
    )
    for count in counts:
        chosen = asked[:count]

        def one_call(chosen: Sequence[EditRequest] = chosen) -> None:
            with editor.apply(lm) as edited:
                edited.edit(chosen)

        def many_calls(chosen: Sequence[EditRequest] = chosen) -> None:
            with editor.apply(lm) as edited:
                for request in chosen:
                    edited.edit([request])

        repeats = 1 if count >= args.once_from else args.repeats
        found = alternate({"literal": many_calls, "ours": one_call}, repeats, warm=False)
        line = Line(f"{name}, `testbed/lm`", count, found["literal"], found["ours"])
        print(" | ".join(line.cells()), flush=True)
        yield line


def _costs(lines: Sequence[Line]) -> str:
    each = ", ".join(
        f"{seconds(line.ours.seconds / line.edits)} of {line.edits:,}" for line in lines
    )
    return f"{lines[0].method.rstrip('*')} {each}"


@dataclass(frozen=True)
class Agreement:
    """How far two ways of making the same edits are apart.

    Attributes:
        values: The largest distance of two values z, in lengths of the literal one.
        scores: The largest difference of two scores, in sizes of the literal one, or of 0.1.
        answers: The share of free answers that are the same.
    """

    values: float
    scores: float
    answers: float


def agreement(setting: Setting, asked: Sequence[EditRequest]) -> Agreement:
    """Make the same edits both ways, and compare values, scores and free answers."""
    queries = [Query(r.prompt) for r in asked]
    queries += [Query(sample.prompt) for r in asked for sample in r.positives]
    answers = [r.target_new for r in asked]
    answers += [sample.answer for r in asked for sample in r.positives]
    scores: list[Tensor] = []
    texts: list[list[str]] = []

    def note() -> None:
        found = setting.lm.score(queries, answers)
        scores.append(torch.tensor([likelihood.mean for likelihood in found]).double())
        texts.append(setting.lm.generate(queries, max_new_tokens=8))

    z = setting.our_values(asked)
    setting.ours(asked, note)
    zs = setting.literally(asked, literal.Clock(), note).t()
    same = sum(one == other for one, other in zip(*texts, strict=True)) / len(queries)
    apart = (scores[0] - scores[1]).abs() / scores[1].abs().clamp(min=0.1)
    return Agreement(float(((z - zs).norm(dim=1) / zs.norm(dim=1)).max()), float(apart.max()), same)


def _agreement(setting: Setting, asked: Sequence[EditRequest]) -> str:
    found = agreement(setting, asked)
    return (
        f"{setting.title}, {len(asked)} edits: values apart by {found.values:.1e} at most, scores "
        f"by {found.scores:.1e}, {found.answers:.0%} of free answers the same"
    )


def _numbers(text: str) -> list[int]:
    return sorted(map(int, text.split(",")))


if __name__ == "__main__":
    main()
