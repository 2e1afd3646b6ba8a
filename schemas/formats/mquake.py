"""MQuAKE rows: several edits at once, and multi-hop questions that need them.

Fields as the README of princeton-nlp/MQuAKE describes them (Zhong et al. 2023, "MQuAKE: Assessing
Knowledge Editing in Language Models via Multi-Hop Questions"), for MQuAKE-CF, MQuAKE-CF-3k and
MQuAKE-T. A record has one request for each entry of `requested_rewrite`, and these probes:

- `edit/N` and `rephrase/N`: each request's statement and its question;
- `hop`: the wordings of the multi-hop question;
- `single_hop/...`: the facts of the new chain that no request changes;
- `former_hop/...`: such facts that only the old chain goes through.

An item whose edits contradict each other, or a fact that its own new chain relies on, is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from schemas.formats import mmedit, multi_counterfact
from schemas.formats.core import Format, OutputFile
from schemas.formats.images import ImageSink
from schemas.formats.mquake_items import Hop, ReadTarget, Rewrite, check, distinct
from schemas.formats.rows import Row
from schemas.records import EditRecord, EditRequest, Probe
from schemas.rules import normalised

REQUIRED = (
    "requested_rewrite", "questions", "answer", "answer_alias", "new_answer", "new_answer_alias",
    "single_hops", "new_single_hops",
)  # fmt: skip

DEFAULTS: Mapping[str, Any] = {
    "answer_alias": [],
    "new_answer_alias": [],
    "single_hops": [],
    "new_single_hops": [],
}

_REWRITES = "requested_rewrite"
_BOTH, _NEW = "both", "new"


def parse(row: Row) -> EditRecord:
    """The record of a row with nested answers: `target_new.str`."""
    return parse_with(row, _nested)


def parse_with(row: Row, target: ReadTarget) -> EditRecord:
    """The record of a row.

    Args:
        row: The row.
        target: How a rewrite gives its answers.

    Raises:
        InputError: If a field is missing or the item contradicts itself.
    """
    rewrites = [Rewrite(at, fields, target) for at, fields in row.each(_REWRITES)]
    if not rewrites:
        raise row.error("holds no edit", _REWRITES)
    old = [Hop(at, fields) for at, fields in row.each("single_hops")]
    new = [Hop(at, fields) for at, fields in row.each("new_single_hops")]
    check(row, rewrites, new)
    requests = tuple(
        EditRequest(
            id=f"{row.id}/edit/{index}",
            prompt=rewrite.prompt,
            image=None,
            subject=rewrite.subject,
            target_new=rewrite.new,
            target_true=rewrite.true,
            target_new_aliases=_answers_of(rewrite, new, rewrite.new)[1:],
        )
        for index, rewrite in enumerate(rewrites)
    )
    probes: list[Probe] = []
    for index, (request, rewrite) in enumerate(zip(requests, rewrites, strict=True)):
        before = _answers_of(rewrite, old, rewrite.true)
        probes.append(replace(mmedit.edit_probe(request, before), id=f"edit/{index}"))
        if rewrite.question is not None and rewrite.question != rewrite.prompt:
            asked = mmedit.reached("rephrase", (rewrite.question,), None, request.target_new)
            probes.append(replace(asked, id=f"rephrase/{index}", answers_pre_edit=before))
    probes.append(_question(row, len(new)))
    probes += _unedited(rewrites, old, new)
    return EditRecord(row.id, requests, tuple(probes))


def render(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """The fields of a record without pictures, with nested answers.

    Raises:
        InputError: If a request has a picture or a prompt without its subject.
    """
    return render_with(record, lambda name, text: {name: {"str": text}})


def render_with(record: EditRecord, answer: Callable[[str, str], dict[str, Any]]) -> dict[str, Any]:
    """The fields of a record without pictures.

    Args:
        record: The record.
        answer: The fields of a rewrite that give the answer of a name.

    Raises:
        InputError: If a request has a picture or a prompt without its subject.
    """
    questions = {probe.id: probe.prompts[0] for probe in record.of_kind("rephrase")}
    before = {probe.id: probe.answers_pre_edit for probe in record.of_kind("edit")}
    rewrites, new_edited, old_edited = [], [], []
    for index, request in enumerate(record.requests):
        mmedit.without_picture(record, request)
        rewrite = {"prompt": multi_counterfact.template(record, request)}
        rewrite |= answer("target_new", request.target_new)
        if request.target_true is not None:
            rewrite |= answer("target_true", request.target_true)
        question = questions.get(f"rephrase/{index}", request.prompt)
        rewrites.append(rewrite | {"subject": request.subject, "question": question})
        wordings = (question, request.prompt)
        new_edited.append(_hop_entry(wordings, (request.target_new, *request.target_new_aliases)))
        if request.target_true is not None:
            known = before.get(f"edit/{index}", ()) or (request.target_true,)
            old_edited.append(_hop_entry(wordings, known))
    fields: dict[str, Any] = {_REWRITES: rewrites}
    if (probe := mmedit.first(record, "hop", "two_hop", "one_hop")) is not None and probe.answers:
        fields["questions"] = list(probe.prompts)
        if probe.answers_pre_edit:
            fields["answer"], *fields["answer_alias"] = probe.answers_pre_edit
        fields["new_answer"], *fields["new_answer_alias"] = probe.answers
    kept = record.of_kind("single_hop")
    shared = [probe for probe in kept if not probe.id.startswith(f"single_hop/{_NEW}/")]
    if chain := _chain([*shared, *record.of_kind("former_hop")], old_edited):
        fields["single_hops"] = chain
    if chain := _chain(kept, new_edited):
        fields["new_single_hops"] = chain
    return fields


def required(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of every row but `case_id` and `orig`, which no reader needs."""
    return REQUIRED


def _nested(rewrite: Row, at: str, name: str) -> str:
    return rewrite.inner(f"{at}.{name}").text(f"{at}.{name}.str")


def _answers_of(rewrite: Rewrite, hops: Sequence[Hop], answer: str) -> tuple[str, ...]:
    """An answer and the aliases that the hop of the same fact gives for it."""
    for hop in hops:
        if hop.asked & rewrite.asked and normalised(answer) in hop.says:
            return distinct(answer, hop.answers)
    return (answer,)


def _question(row: Row, chain: int) -> Probe:
    """The probe of the multi-hop question, with all its wordings."""
    questions = row.prompts("questions")
    if not questions:
        raise row.error("holds no question", "questions")
    before = distinct(row.text("answer"), row.texts("answer_alias"))
    return Probe(
        id="hop",
        axis="portability",
        kind="hop",
        expectation="target",
        prompts=questions,
        images=(),
        answers=distinct(row.text("new_answer"), row.texts("new_answer_alias")),
        answers_pre_edit=distinct(before[0], (*before[1:], *row.texts("answer_extended"))),
        hops=max(chain - 1, 1),
    )


def _unedited(rewrites: Sequence[Rewrite], old: Sequence[Hop], new: Sequence[Hop]) -> list[Probe]:
    """Probes of the facts in the chains that no rewrite changes, those of the new chain first."""
    edited = {text for rewrite in rewrites for text in rewrite.asked}
    before, after = ({frozenset(hop.asked) for hop in chain} for chain in (old, new))
    named = [
        (f"single_hop/{_BOTH if hop.asked in before else _NEW}/{index}", "single_hop", hop)
        for index, hop in enumerate(new)
    ]
    named += [
        (f"former_hop/{index}", "former_hop", hop)
        for index, hop in enumerate(old)
        if hop.asked not in after
    ]
    return [
        Probe(name, "locality", kind, "unchanged", hop.prompts, (), hop.answers)
        for name, kind, hop in named
        if not hop.asked & edited
    ]


def _place(probe: Probe) -> int:
    """Where in its chain the fact of a probe stands; at the end where its id does not say."""
    last = probe.id.rpartition("/")[2]
    return int(last) if last.isdecimal() and last.isascii() and len(last) < 6 else 10**6


def _chain(left_alone: Iterable[Probe], edited: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A chain of hops: facts left alone where they stood, edited ones in the gaps, in order."""
    gaps = list(edited)
    chain: list[dict[str, Any]] = []
    for probe in sorted((probe for probe in left_alone if probe.answers), key=_place):
        while gaps and len(chain) < _place(probe):
            chain.append(gaps.pop(0))
        chain.append(_hop_entry(probe.prompts, probe.answers))
    return chain + gaps


def _hop_entry(wordings: Sequence[str], answers: Sequence[str]) -> dict[str, Any]:
    return {
        "question": wordings[0],
        "cloze": wordings[-1],
        "answer": answers[0],
        "answer_alias": list(answers[1:]),
    }


FORMAT = Format(
    name="mquake",
    title="MQuAKE",
    files=(OutputFile("MQuAKE.json"),),
    required=required,
    parse=parse,
    render=render,
    defaults=DEFAULTS,
    foreign=frozenset({"split", "orig_triples", "new_triples"}),
)
