"""UnKE rows: an answer of a whole paragraph, and questions about its details.

Fields as counted in `unke_v2.json` of TrustedLLM/UnKE: 1,000 rows, all with the same six (Deng et
al. 2024, "Everything is Editable: Extend Knowledge Editing to Unstructured Data"). The rows name no
subject and no earlier answer, and nothing that the edit must leave alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.formats import mmedit
from schemas.formats.core import Format, OutputFile
from schemas.formats.images import ImageSink
from schemas.formats.rows import Row
from schemas.records import EditRecord, EditRequest, Probe


def parse(row: Row) -> EditRecord:
    """The record of a row: one request, its paraphrase, and a probe for each detail."""
    request = EditRequest(
        id=row.id,
        prompt=row.text("question"),
        image=None,
        subject=None,
        target_new=row.text("answer"),
        target_true=None,
    )
    probes = [mmedit.edit_probe(request)]
    if (rephrased := row.optional_text("para_question")) is not None:
        probes.append(mmedit.reached("rephrase", (rephrased,), None, request.target_new))
    questions, answers = row.prompts("sub_question"), row.texts("sub_answer")
    if len(questions) != len(answers):
        raise row.error(
            f"has {len(answers)} entries, and sub_question has {len(questions)}", "sub_answer"
        )
    for index, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        if not answer.strip():
            raise row.error("is empty", f"sub_answer[{index}]")
        kind, name = "sub_question", f"sub_question/{index}"
        probes.append(Probe(name, "portability", kind, "target", (question,), (), (answer,)))
    return EditRecord(row.id, (request,), tuple(probes))


def render(record: EditRecord, images: ImageSink) -> dict[str, Any]:
    """The fields of a record without pictures.

    Raises:
        InputError: If it has several requests, or one with a picture.
    """
    request = mmedit.only_text_request(record)
    fields: dict[str, Any] = {"question": request.prompt, "answer": request.target_new}
    if (probe := mmedit.first(record, "rephrase")) is not None:
        fields["para_question"] = probe.prompts[0]
    if details := [probe for probe in record.of_kind("sub_question") if probe.answers]:
        fields["sub_question"] = [probe.prompts[0] for probe in details]
        fields["sub_answer"] = [probe.answers[0] for probe in details]
    return fields


def required(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields that the released evaluation reads."""
    return ("question", "para_question", "answer", "sub_question", "sub_answer")


FORMAT = Format(
    name="unke",
    title="UnKE",
    files=(OutputFile("unke.json"),),
    required=required,
    parse=parse,
    render=render,
    defaults={"sub_question": [], "sub_answer": []},
)
