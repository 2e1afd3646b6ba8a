"""Carries out a plan: edits, asks, restores, and hands on every prediction as it comes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice, takewhile
from typing import Protocol

from editors.base import Branch, EditedModel, Editor
from editors.lm import LM
from editors.prompts import Query
from editors.routing import Forced, Routed
from medit_eval.asking import Settings, ask
from medit_eval.checkpoints import Checkpoints
from medit_eval.clashes import Clashes
from medit_eval.predictions import Baseline, Diagnostic, Prediction, Routing
from medit_eval.protocols import Episode, Step
from medit_eval.questions import Question, Slot, step_slots
from schemas.errors import InputError
from schemas.progress import Tick
from schemas.records import EditRecord, EditRequest

_CHUNK = 512
"""Questions that are asked before their predictions are handed on."""

_ABREAST = 128
"""Single edits that are made side by side at most, and lost if a run is killed in their midst."""


class EditorError(InputError):
    """An editor that failed in another way than by refusing a request; its run is not complete."""


class Benchmark(Protocol):
    """Benchmarks to run at some steps."""

    def lacks(self, phase: str) -> bool:
        """Whether some of a phase are still to be run."""
        ...

    def after(self, edited: EditedModel, phase: str) -> None:
        """Run those of a phase that are still to be run."""
        ...


@dataclass(frozen=True)
class Asked:
    """A question after an edit.

    Attributes:
        slot: The question's place in its record.
        phase: What the answer is filed under.
        clashes: The edits that are in the model that is asked.
        branch: Which of several models side by side is asked, or None.
    """

    slot: Slot
    phase: str
    clashes: Clashes
    branch: int | None = None

    def question(self, before: Baseline) -> Question:
        """The question with the answer scored that was scored before the edit."""
        question = self.slot.question
        if self.branch is not None:
            question = replace(question, query=replace(question.query, branch=self.branch))
        if question.answer is not None or before.output is None:
            return question
        return replace(question, answer=before.output.generation)


@dataclass
class Runner:
    """Asks an edited model what a plan says.

    Attributes:
        lm: The model.
        editor: The editor.
        settings: How the model is asked.
        before: The unedited model's answers by question.
        continued: Whether edited questions are continued at length.
        apart: The kinds that stand apart and are asked all the same.
        seed: What random choices of editors derive from.
        one_by_one: Whether single edits are made, asked and taken back one after another, though
            the editor could have them side by side; see `EditedModel.branched`.
        done: Keys of the predictions that are there already.
        keep: Takes predictions as they come.
        note: Takes what the editor tells of itself after each edit.
        tick: Told how many questions are done.
        checkpoints: Where the edits of a sequence are kept on the way, or None.
        benchmark: The benchmarks, or None where none are wanted.
        notes: What the reader of the numbers should know.
    """

    lm: LM
    editor: Editor
    settings: Settings
    before: Mapping[str, Baseline]
    continued: bool
    apart: frozenset[str]
    seed: int
    done: Collection[tuple[str, str, int, str]]
    keep: Callable[[Sequence[Prediction]], None]
    note: Callable[[Sequence[Diagnostic]], None]
    tick: Tick
    checkpoints: Checkpoints | None = None
    benchmark: Benchmark | None = None
    one_by_one: bool = False
    notes: list[str] = field(default_factory=list)

    def run(self, episodes: Sequence[Episode]) -> None:
        """Carry out episodes; those whose predictions are all there are passed over.

        An edit that cannot be made (`InputError`) makes its records' questions unscorable. Any
        other error of an editor ends the run; what is done by then has been kept. A sequence goes
        on from the last checkpoint that was kept.

        Raises:
            EditorError: If the editor fails in another way than by refusing a request.
        """
        with _own_randomness(), self.editor.apply(self.lm) as edited:
            left = []
            for episode in episodes:
                if any(self._todo(step) for step in episode):
                    left.append(episode)
                else:
                    self.tick(sum(self._size(step) for step in episode))
            while left:
                edited.restore()
                abreast = self._abreast(edited, left)
                if abreast > 1 and _Abreast(self, edited).run([one for (one,) in left[:abreast]]):
                    del left[:abreast]
                else:
                    _Episode(self, edited).run(left.pop(0))

    def slots(self, step: Step) -> Iterator[Slot]:
        """The questions of a step."""
        return step_slots(step, continued=self.continued, apart=self.apart)

    def _abreast(self, edited: EditedModel, episodes: Sequence[Episode]) -> int:
        """How many episodes, from the first on, can be gone through side by side."""
        alike = takewhile(_is_single, episodes[:_ABREAST])
        groups = [_requests(episode[0].edit) for episode in alike]
        return 0 if self.one_by_one else edited.branches(groups)

    def predictions(
        self, edited: EditedModel, asked: Sequence[Asked], *, forced: bool
    ) -> list[Prediction]:
        """Ask questions, and put down what is said beside what was said before the edits."""
        before = [self.before[one.slot.question.digest] for one in asked]
        failures = [
            one.clashes.failure(one.slot) or old.failure
            for one, old in zip(asked, before, strict=True)
        ]
        askable = [i for i, failure in enumerate(failures) if failure is None]
        questions = [asked[i].question(before[i]) for i in askable]
        answers = dict(zip(askable, ask(edited, questions, self.settings), strict=True))
        # Under force an editor does not follow its own routes, so they are of no interest.
        queries = [question.query for question in questions if not forced]
        routes = dict(zip(askable, _routes(edited, queries), strict=False))
        predictions = []
        for i, one in enumerate(asked):
            after = answers.get(i)
            predictions.append(
                one.slot.prediction(
                    one.phase,
                    before[i],
                    post=after.output if after else None,
                    routing=routes.get(i),
                    failure=failures[i] or (after.failure if after else None),
                )
            )
        return predictions

    def new(self, chunk: Sequence[Asked]) -> list[Asked]:
        """Those whose predictions are not there yet."""
        return [one for one in chunk if one.slot.key(one.phase) not in self.done]

    def _todo(self, step: Step) -> bool:
        if step.benchmarks and self.benchmark is not None and self.benchmark.lacks(step.phase):
            return True
        return any(slot.key(step.phase) not in self.done for slot in self.slots(step))

    def _size(self, step: Step) -> int:
        return sum(1 for _ in self.slots(step))


@dataclass
class _Episode:
    """Edits that add up until the next restore."""

    runner: Runner
    edited: EditedModel
    edits: int = 0

    def __post_init__(self) -> None:
        self.clashes = Clashes(self.runner.notes)

    @property
    def failed(self) -> dict[str, str]:
        """Records that could not be edited, each with the reason."""
        return self.clashes.failed

    def run(self, steps: Episode) -> None:
        resumed = self._resumed(steps)
        for step in steps[resumed or 0 :]:
            if step.edit and (resumed is None or step is not steps[resumed]):
                self._edit_or_fail(step, steps)
            with _forced(self.edited, step.force):
                self._ask(step)
            if step.benchmarks and self.runner.benchmark is not None:
                self.runner.benchmark.after(self.edited, step.phase)

    def _resumed(self, steps: Episode) -> int | None:
        """The step of the last checkpoint kept, whose edits are loaded; None where none is."""
        kept = self.runner.checkpoints
        last = kept.latest() if kept is not None else None
        places = [number for number, step in enumerate(steps) if step.edits == last]
        if kept is None or last is None or not places:
            return None
        self.failed.update(kept.load(self.edited, last))
        for step in steps[: places[0] + 1]:
            self.clashes.warn_of_contradictions(step.edit)
            self.clashes.made([record for record in step.edit if record.id not in self.failed])
        self.edits = last - len(self.failed)
        return places[0]

    def _edit_or_fail(self, step: Step, steps: Episode) -> None:
        try:
            self._edit(step.edit)
            self._note(step)
        except Exception as error:  # a stranger's editor may raise anything
            made = sum(len(earlier.edit) for earlier in steps[: steps.index(step)])
            among = sum(len(every.edit) for every in steps)
            where = f"edit {made + 1} of {among}"
            raise _editor_error(self.runner.editor, where, step.edit, error) from error
        self._keep(step)

    def _keep(self, step: Step) -> None:
        """Keep the edits of a checkpoint, so that a run that is killed goes on from here."""
        if step.edits is None or self.runner.checkpoints is None:
            return
        try:
            self.runner.checkpoints.save(self.edited, step.edits, self.failed)
        except TypeError as error:  # what a stranger's editor remembers may have no form on disk
            self.runner.checkpoints = None
            self.runner.notes.append(f"the edits were not kept on the way: {error}")

    def _edit(self, records: Sequence[EditRecord]) -> None:
        """Put records into the model with one call; leave out those that cannot be edited."""
        self.clashes.warn_of_contradictions(records)
        left = list(records)
        while left:
            requests = _requests(left)
            _seed(self.runner.seed, requests[0].id)
            try:
                self.edited.edit(requests)
                break
            except InputError as error:
                faults = _faults(self.runner.lm, requests, error)
                bad = {r.id for r in left if any(q.id in faults for q in r.requests)}
                for record in left:
                    if record.id in bad or not bad:
                        reasons = [faults[q.id] for q in record.requests if q.id in faults]
                        self.failed[record.id] = f"the edit failed: {(*reasons, error)[0]}"
                left = [record for record in left if bad and record.id not in bad]
        self.edits += len(left)
        self.clashes.made(left)

    def _note(self, step: Step) -> None:
        record, told = step.edit[-1].id, self.edited.diagnostics()
        self.runner.note(
            [Diagnostic(step.phase, record, self.edits, *fact) for fact in told.items()]
        )

    def _ask(self, step: Step) -> None:
        todo = (Asked(slot, step.phase, self.clashes) for slot in self.runner.slots(step))
        while chunk := list(islice(todo, _CHUNK)):
            if new := self.runner.new(chunk):
                forced = step.force is not None
                self.runner.keep(self.runner.predictions(self.edited, new, forced=forced))
            self.runner.tick(len(chunk))


@dataclass
class _Abreast:
    """Single edits, each in a branch of its own, asked together."""

    runner: Runner
    edited: EditedModel

    def run(self, steps: Sequence[Step]) -> bool:
        """Go through steps of one edit each; False if they have to be gone through one by one."""
        runner, groups = self.runner, [_requests(step.edit) for step in steps]
        # No editor that branches draws anything that depends on what was drawn before.
        _seed(runner.seed, groups[0][0].id)
        with ExitStack() as stack:
            try:
                branches = stack.enter_context(self.edited.branched(groups))
            except InputError:
                return False
            except Exception as error:  # a stranger's editor may raise anything
                records = [record for step in steps for record in step.edit]
                where = f"one of {len(steps)} single edits"
                raise _editor_error(runner.editor, where, records, error) from error
            todo = self._asked(steps, branches)
            while chunk := list(islice(todo, _CHUNK)):
                if new := runner.new(chunk):
                    runner.keep(runner.predictions(self.edited, new, forced=False))
                runner.tick(len(chunk))
        return True

    def _asked(self, steps: Sequence[Step], branches: Sequence[Branch]) -> Iterator[Asked]:
        for number, (step, branch) in enumerate(zip(steps, branches, strict=True)):
            clashes = Clashes(self.runner.notes)
            clashes.warn_of_contradictions(step.edit)
            (record,) = step.edit
            if branch.failure is None:
                clashes.made(step.edit)
            else:
                clashes.failed[record.id] = f"the edit failed: {branch.failure}"
            edits = int(branch.failure is None)
            told = [Diagnostic(step.phase, record.id, edits, *fact) for fact in branch.told.items()]
            self.runner.note(told)
            for slot in self.runner.slots(step):
                yield Asked(slot, step.phase, clashes, number)


def _is_single(episode: Episode) -> bool:
    """Whether an episode is the edit of one record and its questions."""
    if len(episode) != 1:
        return False
    (step,) = episode
    return len(step.edit) == 1 and step.force is None and step.edits is None and not step.benchmarks


def _requests(records: Sequence[EditRecord]) -> list[EditRequest]:
    return [request for record in records for request in record.requests]


def _editor_error(
    editor: Editor, where: str, records: Sequence[EditRecord], error: Exception
) -> EditorError:
    ids = ", ".join(record.id for record in records[:3])
    more = f" and {len(records) - 3} more" if len(records) > 3 else ""
    told = " ".join(str(error).split())
    return EditorError(
        f"the editor {editor.name} failed at {where} (record {ids}{more}): "
        f"{type(error).__name__}{f': {told}' if told else ''}"
    )


def _faults(lm: LM, requests: Sequence[EditRequest], error: InputError) -> dict[str, str]:
    """The requests that cannot be edited, each with its reason, or none where no one knows.

    An editor that names the request is believed. Otherwise a request is at fault if its answer is
    empty or its subject is not in its prompt.
    """
    faults: dict[str, str] = {}
    if any(request.id == error.row for request in requests):
        return {str(error.row): str(error)}
    for request in requests:
        if not request.target_new.strip():
            faults[request.id] = "the new answer is empty"
        else:
            try:
                lm.encoder.lookup(Query(request.prompt, request.image), request.subject)
            except InputError as fault:
                faults[request.id] = str(fault)
    return faults


def _routes(edited: EditedModel, queries: Sequence[Query]) -> list[Routing | None]:
    """Where an editor with a memory would send queries; None of each where it has none."""
    if not isinstance(edited, Routed) or not queries:
        return [None] * len(queries)
    return [
        Routing(route.request_id, route.nearest, route.score, route.threshold)
        for route in edited.routing(queries)
    ]


@contextmanager
def _forced(edited: EditedModel, mode: Forced | None) -> Iterator[None]:
    if mode is None:
        yield
        return
    if not isinstance(edited, Routed):
        raise InputError("the editor does not route, so its routing cannot be forced")
    edited.force(mode)
    try:
        yield
    finally:
        edited.force(None)


@contextmanager
def _own_randomness() -> Iterator[None]:
    """Let editors draw from torch's generators without changing them for anybody else."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield


def _seed(seed: int, request: str) -> None:
    """Make what an editor draws depend on the seed and the edit alone, not on what came before."""
    import torch

    digest = hashlib.blake2b(f"{seed}\n{request}".encode(), digest_size=8).digest()
    torch.manual_seed(int.from_bytes(digest, "big") >> 1)
