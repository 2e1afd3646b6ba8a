"""The pass over a corpus: equal to the papers' way, and going on where it was stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from editors import moments
from editors.corpus import Corpus, HubTexts, Mixed, Questions, TextFile, Texts, read_from
from editors.lm import LM
from editors.moment_files import Checkpoint, Moment, Progress
from editors.moments import second_moments
from editors.outer import OuterSum
from editors.packing import Place, encoded, packed
from editors.prompts import Query
from schemas.errors import InputError
from tests.editors.facts import TEXTS, corpus
from tests.reference.moments_literal import layer_stats
from tests.tiny_models import tiny

LAYERS, TOKENS = (0, 2), 128


class KilledError(Exception):
    pass


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks, batches and merges also in a small corpus."""
    monkeypatch.setattr("editors.packing.SORTED", 10)
    monkeypatch.setattr("editors.moments.MERGED_AFTER", 100)


@dataclass(frozen=True)
class Plain:
    """A corpus that cannot skip."""

    texts: tuple[str, ...]
    formatted: bool = False
    digest: str = "plain"

    def queries(self) -> Iterator[Query]:
        return map(Query, self.texts)


def run(lm: LM, source: Corpus, folder: Path, **options: Any) -> dict[int, Moment]:
    options = {"tokens_per_batch": TOKENS, "checkpoint_seconds": 0.0, **options}
    return second_moments(lm, LAYERS, source, cache=folder, **options)


def break_off(
    lm: LM, source: Corpus, folder: Path, batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop a run in the forward after so many batches."""
    forward, left = lm.forward, [batches]

    def limited(batch: Any, keep: int = 0) -> torch.Tensor:
        if left[0] == 0:
            raise KilledError
        left[0] -= 1
        return forward(batch, keep)

    with monkeypatch.context() as patched:
        patched.setattr(lm, "forward", limited)
        with pytest.raises(KilledError):
            run(lm, source, folder)


def stopped(
    lm: LM, source: Corpus, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, bytes]:
    """The checkpoint of a run that was stopped, and what is in it."""
    break_off(lm, source, folder, 4, monkeypatch)
    (path,) = unfinished(folder)
    return path, path.read_bytes()


def unfinished(folder: Path) -> list[Path]:
    return list(folder.glob("*-unfinished-*")) if folder.exists() else []


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt"])
def test_moments_are_those_of_the_papers_in_double_precision(family: str, tmp_path: Path) -> None:
    lm = tiny(family, positions=40)
    texts = (*TEXTS, "Ann was born in Rome. " * 30)
    found = run(lm, Texts(texts), tmp_path)
    for layer in LAYERS:
        literal, tokens = layer_stats(lm, texts, layer, dtype=torch.float64, longest=40)
        error = (found[layer].matrix.double() - literal).norm() / literal.norm()
        assert error < 1e-6
        assert found[layer].tokens == tokens


def test_the_papers_batches_hold_every_token_once() -> None:
    lm = tiny("gpt2")
    one = layer_stats(lm, TEXTS, 1, dtype=torch.float64, batch_tokens=1)
    many = layer_stats(lm, TEXTS, 1, dtype=torch.float64)
    torch.testing.assert_close(one[0], many[0], rtol=1e-5, atol=1e-8)
    assert one[1] == many[1] == sum(len(lm.tokenizer(text)["input_ids"]) for text in TEXTS)


@pytest.mark.parametrize("width", [5, 256, 300, 700])
def test_sums_of_outer_products_are_exact_to_single_precision(width: int) -> None:
    generator = torch.Generator().manual_seed(0)
    total, literal = OuterSum(width), torch.zeros(width, width, dtype=torch.float64)
    for count in (1, 300, 2000):
        keys = torch.randn(count, width, generator=generator) + 1
        total.add(keys)
        literal += keys.double().t() @ keys.double()
        total.merge()
    found = total.matrix()
    assert torch.equal(found, found.t())
    assert ((found - literal).abs() / literal.diagonal().max()).max() < 1e-6
    assert sum(panel.numel() for panel in total.panels) <= width * width


def test_a_batch_that_is_too_large_is_read_again_and_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny("gpt2")
    plain = run(lm, Texts(TEXTS), tmp_path / "plain")
    prepare, calls = OuterSum.prepare, [0]

    def scarce(self: OuterSum, device: torch.device) -> None:
        calls[0] += 1
        if calls[0] in (2, 8):  # the second sum of the first batch, and one in the middle
            raise torch.OutOfMemoryError("no memory")
        prepare(self, device)

    monkeypatch.setattr(OuterSum, "prepare", scarce)
    again = run(lm, Texts(TEXTS), tmp_path / "scarce")
    assert calls[0] > 8
    for layer in LAYERS:
        assert again[layer].tokens == plain[layer].tokens
        torch.testing.assert_close(again[layer].matrix, plain[layer].matrix, rtol=1e-5, atol=1e-6)


def test_no_work_is_done_from_the_last_projection_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny("llama")

    def never(*_: Any) -> None:
        raise AssertionError("it was run")

    for module in (lm.anatomy.projections[1], lm.anatomy.blocks[2]):
        monkeypatch.setattr(module, "forward", never)
    assert second_moments(lm, [1], Texts(TEXTS), cache=tmp_path)[1].tokens


def test_texts_are_tokenized_together_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny("gpt2")
    asked: list[int] = []
    tokenizer = lm.tokenizer

    class Counting:
        pad_token_id = tokenizer.pad_token_id

        def __call__(self, texts: list[str], **options: Any) -> Any:
            asked.append(len(texts))
            return tokenizer(texts, **options)

    lm.encoder = replace(lm.encoder, renderer=replace(lm.encoder.renderer, tokenizer=Counting()))
    monkeypatch.setattr(moments, "_plain", lambda lm: lm.encoder)
    run(lm, Texts(TEXTS), tmp_path)
    assert asked == [10, 10, 4]
    monkeypatch.setattr("editors.packing._CHARACTERS", 1)
    asked.clear()
    run(lm, Texts(TEXTS), tmp_path / "one by one")
    assert asked == [1] * len(TEXTS)


@pytest.mark.parametrize("kind", ["file", "texts", "no skipping", "mixed"])
@pytest.mark.parametrize("batches", [3, 7])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(
    kind: str, batches: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = Questions(tuple(Query(f"Who is {name}?") for name in ("Ann", "Bob", "Cleo")))
    source: Corpus = {
        "file": TextFile(corpus(tmp_path, (*TEXTS[:5], "", *TEXTS[5:]))),
        "texts": Texts(TEXTS),
        "no skipping": Plain(TEXTS),
        "mixed": Mixed((Texts(TEXTS[:12]), questions, Texts(TEXTS[12:]))),
    }[kind]
    lm = tiny("gpt2", prompt_format="qa")
    whole = run(lm, source, tmp_path / "whole")
    folder = tmp_path / "stopped"
    break_off(lm, source, folder, batches, monkeypatch)
    assert len(unfinished(folder)) == 1
    forward, seen = lm.forward, [0]

    def counted(batch: Any, keep: int = 0) -> torch.Tensor:
        seen[0] += 1
        return forward(batch, keep)

    monkeypatch.setattr(lm, "forward", counted)
    rest = run(lm, source, folder)
    after = seen[0]
    run(lm, source, tmp_path / "counted")
    assert after < seen[0] - after
    for layer in LAYERS:
        assert torch.equal(rest[layer].matrix, whole[layer].matrix)
        assert rest[layer].tokens == whole[layer].tokens
    assert not unfinished(folder)
    assert len(list(folder.iterdir())) == len(LAYERS)


def test_a_run_can_be_stopped_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm, source = tiny("llama"), Texts(TEXTS)
    whole = run(lm, source, tmp_path / "whole")
    for _ in range(3):
        break_off(lm, source, tmp_path / "stopped", 2, monkeypatch)
    rest = run(lm, source, tmp_path / "stopped")
    assert torch.equal(rest[2].matrix, whole[2].matrix)


def test_what_skips_does_not_make_what_it_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(
        datasets,
        "load_dataset",
        lambda *_, **__: datasets.Dataset.from_dict(
            {"text": ["One.", "", "Two.", "Three.", "Four."]}
        ).to_iterable_dataset(),
    )
    hub = HubTexts("a/b", samples=4)
    assert [(place, query.prompt) for place, query in read_from(hub, 0)] == [
        *((1, "One."), (3, "Two."), (4, "Three.")),
    ]
    assert [query.prompt for _, query in read_from(hub, 3)] == ["Three."]
    assert not list(read_from(hub, 4))
    made: list[str] = []

    @dataclass(frozen=True)
    class Watched(Plain):
        def queries(self) -> Iterator[Query]:
            for text in self.texts:
                made.append(text)
                yield Query(text)

    assert [place for place, _ in read_from(Watched(("a", "b", "c")), 2)] == [3]
    assert made == ["a", "b", "c"]


def test_batches_go_on_behind_any_place() -> None:
    lm = tiny("gpt2")
    batches = list(packed(Texts(TEXTS), lm.encoder, 40, TOKENS, Place()))
    assert len(batches) > 6
    for number, (place, _) in enumerate(batches):
        rest = list(packed(Texts(TEXTS), lm.encoder, 40, TOKENS, place))
        assert [p for p, _ in rest] == [p for p, _ in batches[number + 1 :]]
        for (_, ours), (_, theirs) in zip(rest, batches[number + 1 :], strict=True):
            assert [row.query for row in ours] == [row.query for row in theirs]
    rows = batches[2][1]
    again, direct = encoded(lm.encoder, rows), lm.encoder.encode([row.query for row in rows])
    assert {name: value.tolist() for name, value in again.inputs.items()} == {
        name: value.tolist() for name, value in direct.inputs.items()
    }


def test_checkpoints_are_written_at_intervals_and_less_often_where_they_take_long(
    tmp_path: Path,
) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 0.5
        return now[0]

    point = Checkpoint(tmp_path, "m" * 32, (0,), "c", 128, every=2.0, clock=clock)
    sums = {0: OuterSum(4)}
    written = []
    for place in range(40):
        point.save_if_due(sums, Progress(place + 1, 0, Place(place)))
        if point.path.exists():
            written.append(now[0])
            point.remove()
    assert written[0] >= 2.0
    assert min(b - a for a, b in pairwise(written)) >= 10.0


def test_another_pass_has_a_checkpoint_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm, source = tiny("gpt2"), Texts(TEXTS)
    break_off(lm, source, tmp_path, 4, monkeypatch)
    (first,) = unfinished(tmp_path)
    run(tiny("gpt2", seed=1), source, tmp_path)
    run(lm, Texts(TEXTS[:9]), tmp_path)
    second_moments(lm, [1], source, cache=tmp_path, tokens_per_batch=TOKENS)
    second_moments(lm, LAYERS, source, cache=tmp_path, tokens_per_batch=64)
    assert unfinished(tmp_path) == [first]


@pytest.mark.parametrize("field", ["model", "layers", "corpus", "tokens_per_batch"])
def test_a_checkpoint_of_something_else_is_warned_of_and_not_used(
    field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm, source = tiny("gpt2"), Texts(TEXTS)
    whole = run(lm, source, tmp_path / "whole")
    path, content = stopped(lm, source, tmp_path, monkeypatch)
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"][field] = "7"
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + content[8 + size :])
    with pytest.warns(UserWarning, match=f"belongs to another {field.replace('_', ' ')}; the"):
        again = run(lm, source, tmp_path)
    assert torch.equal(again[0].matrix, whole[0].matrix)
    assert not unfinished(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "another width"])
def test_a_damaged_checkpoint_is_warned_of_and_not_used(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm, source = tiny("gpt2"), Texts(TEXTS)
    whole = run(lm, source, tmp_path / "whole")
    path, content = stopped(lm, source, tmp_path, monkeypatch)
    if damage == "another width":
        monkeypatch.setattr("editors.outer.NARROWEST", 7)
        whole = run(lm, source, tmp_path / "narrow")
    else:
        path.write_bytes({"cut": content[:-9], "empty": b"", "noise": b"\1" * 99}[damage])
    with pytest.warns(UserWarning, match="is damaged .*; the corpus is read from its beginning"):
        again = run(lm, source, tmp_path)
    assert torch.equal(again[0].matrix, whole[0].matrix)


def test_a_full_disk_stops_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from editors import moment_files

    write = moment_files._write

    def full(path: Path, *rest: Any) -> None:
        if "unfinished" in path.name:
            raise OSError(28, "No space left on device")
        write(path, *rest)

    monkeypatch.setattr(moment_files, "_write", full)
    with pytest.warns(UserWarning, match="cannot be written: No space left on device"):
        assert run(tiny("gpt2"), Texts(TEXTS), tmp_path)[0].tokens


def test_an_error_of_the_corpus_is_the_same_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "corpus.jsonl"
    rows = [json.dumps({"text": text}) for text in TEXTS]
    path.write_text("\n".join([*rows, '{"body": "x"}']))
    break_off(tiny("gpt2"), TextFile(path), tmp_path / "cache", 5, monkeypatch)
    with pytest.raises(InputError, match=f"row {len(TEXTS)}, field 'text': expected a string"):
        run(tiny("gpt2"), TextFile(path), tmp_path / "cache")


_PASS = """
import sys, time
from pathlib import Path
import torch
from editors import moments, packing
from editors.corpus import Texts
from tests.editors.facts import TEXTS
from tests.tiny_models import tiny

packing.SORTED, moments.MERGED_AFTER = 10, 100
torch.set_num_threads(1)
lm = tiny("gpt2")
forward, pause = lm.forward, float(sys.argv[2])

def slow(batch, keep=0):
    time.sleep(pause)
    return forward(batch, keep)

lm.forward = slow
moments.second_moments(lm, [0, 2], Texts(TEXTS), cache=Path(sys.argv[1]),
                       tokens_per_batch=128, checkpoint_seconds=0.0)
"""


@pytest.mark.slow
def test_a_killed_process_goes_on(tmp_path: Path) -> None:
    def started(folder: Path, pause: float) -> subprocess.Popen[bytes]:
        root = Path(__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", _PASS, str(folder), str(pause)]
        return subprocess.Popen(command, cwd=root, env=environment)

    assert started(tmp_path / "whole", 0).wait() == 0
    killed = tmp_path / "killed"
    process = started(killed, 0.3)
    deadline = time.monotonic() + 120
    while not unfinished(killed) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert len(unfinished(killed)) == 1
    assert started(killed, 0).wait() == 0
    contents = [
        {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".tmp"}
        for folder in (killed, tmp_path / "whole")
    ]
    assert contents[0] == contents[1]
    assert not unfinished(killed)
