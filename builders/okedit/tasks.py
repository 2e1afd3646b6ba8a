"""What text generators are asked to do for an OKEDIT-style record: prompts, answers and checks.

The steps follow the construction of OKEDIT (rephrase, image object, counterfactual answer, edit
type by three votes, third answer), plus what OKEDIT lacks: scope, questions about the entity,
about the same picture, and one and two hops away. Every task works from text alone; like OKEDIT's
own pipeline, no task looks at the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from builders.okedit.words import normalise, same
from builders.text.protocol import TextTask

Inputs = Mapping[str, Any]

_SYSTEM = (
    "You help to build a test set for model editing. You get a question that people ask about a "
    "picture, and answers to it. Reply with one JSON object of the required form, in English "
    "unless the question is in another language, and with nothing else."
)


class _Output(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Rephrasings(_Output):
    """Rephrasings of a question."""

    rephrasings: list[str]


class Phrase(_Output):
    """A noun phrase that names what a picture shows."""

    phrase: str


class NewAnswer(_Output):
    """An answer with other accepted wordings."""

    answer: str
    aliases: list[str]


class Vote(_Output):
    """One vote on an edit's type and scope."""

    edit_type: Literal["text", "image_text"]
    scope: Literal["recognition", "knowledge"]
    reason: str


class NamedQuestion(_Output):
    """A question without a picture that names what the picture shows."""

    question: str
    subject: str
    answer: str


class Follow(_Output):
    """A question with its answers before and after the edit."""

    question: str
    answers: list[str]
    answers_before: list[str]


class Hops(_Output):
    """A one-hop and a two-hop question."""

    one_hop: Follow
    two_hop: Follow


class Sentence(_Output):
    """A declarative sentence."""

    sentence: str


def _check_rephrasings(inputs: Inputs, output: Rephrasings) -> str | None:
    wanted, question = int(inputs["n"]), str(inputs["question"])
    if len(output.rephrasings) != wanted:
        return f"has {len(output.rephrasings)} rephrasings instead of {wanted}"
    keys = {normalise(text) for text in output.rephrasings}
    if len(keys) != wanted or "" in keys:
        return "repeats a rephrasing or leaves one empty"
    if normalise(question) in keys:
        return "gives the question itself as a rephrasing"
    taken = {normalise(text) for text in inputs.get("avoid", ())}
    return "gives a rephrasing that is taken" if keys & taken else None


def _check_answer(inputs: Inputs, output: NewAnswer) -> str | None:
    taken = [str(inputs["old"])]
    if "new" in inputs:
        taken.append(str(inputs["new"]))
    if not normalise(output.answer):
        return "gives an empty answer"
    if any(same(output.answer, answer) for answer in taken):
        return "repeats an answer that is taken"
    if len(output.answer) > 80:
        return "gives a sentence instead of a short answer"
    return None


def _check_phrase(inputs: Inputs, output: Phrase) -> str | None:
    return None if 0 < len(output.phrase.strip()) <= 200 else "gives no short phrase"


def _check_vote(inputs: Inputs, output: Vote) -> str | None:
    return None


def _check_named(inputs: Inputs, output: NamedQuestion) -> str | None:
    if output.subject.casefold() not in output.question.casefold():
        return "names a subject that its question does not hold"
    return None if output.answer.strip() else "gives an empty answer"


def _check_follow(inputs: Inputs, output: Follow) -> str | None:
    if not output.question.strip() or not output.answers or not output.answers[0].strip():
        return "lacks a question or an answer"
    if same(output.question, str(inputs["question"])):
        return "repeats the question"
    return None


def _check_hops(inputs: Inputs, output: Hops) -> str | None:
    for follow in (output.one_hop, output.two_hop):
        if reason := _check_follow(inputs, follow):
            return reason
        if normalise(str(inputs["new"])) in normalise(follow.question).split():
            return "gives the new answer away"
    return None


def _check_sentence(inputs: Inputs, output: Sentence) -> str | None:
    if normalise(str(inputs["new"])) not in normalise(output.sentence):
        return "does not state the new answer"
    return None


REPHRASE = TextTask(
    name="rephrase",
    system=_SYSTEM,
    template=(
        "Write {n} different rephrasings of the question. Each must ask exactly the same thing "
        "about the same picture and have the same answer. {style} Do not use any of these: "
        "{avoid}.\nQuestion: {question}"
    ),
    output=Rephrasings,
    check=_check_rephrasings,
)
OBJECT_PHRASE = TextTask(
    name="object_phrase",
    system=_SYSTEM,
    template=(
        "The answer to a question about a picture is given. Name, in a short noun phrase for a "
        "text-to-image model, what the picture must show for this answer to be right.\n"
        "Question: {question}\nAnswer: {answer}"
    ),
    output=Phrase,
    check=_check_phrase,
)
COUNTERFACTUAL = TextTask(
    name="counterfactual",
    system=_SYSTEM,
    template=(
        "Give a wrong but plausible answer of the same kind as the right one, as short as it, "
        "with other accepted wordings if there are any.\n"
        "Question: {question}\nRight answer: {old}"
    ),
    output=NewAnswer,
    check=_check_answer,
)
EDIT_TYPE = TextTask(
    name="edit_type",
    system=_SYSTEM,
    template=(
        "An edit changes the answer of a question about a picture.\n"
        "edit_type: `text` if the question can be answered from its words alone, `image_text` if "
        "the picture is needed.\n"
        "scope: `recognition` if the edit changes what is seen in the picture, `knowledge` if "
        "what is seen stays the same and a fact about it changes.\n"
        "Give a short reason.\n"
        "Question: {question}\nThe picture shows: {image_object}\n"
        "Old answer: {old}\nNew answer: {new}"
    ),
    output=Vote,
    check=_check_vote,
)
THIRD_ANSWER = TextTask(
    name="third_answer",
    system=_SYSTEM,
    template=(
        "Two answers to a question about pictures are given. Give a third answer of the same "
        "kind that fits neither picture, with other accepted wordings if there are any.\n"
        "Question: {question}\nAnswer A: {old}\nAnswer B: {new}"
    ),
    output=NewAnswer,
    check=_check_answer,
)
NAMED_QUESTION = TextTask(
    name="named_question",
    system=_SYSTEM,
    template=(
        "Rewrite the question so that it can be understood without the picture: replace the "
        "reference to the picture by the name of what it shows, and give that name as the "
        "subject. Answer the rewritten question as it is true in the real world.\n"
        "Question: {question}\nThe picture shows: {image_object}\nAnswer so far: {old}"
    ),
    output=NamedQuestion,
    check=_check_named,
)
SAME_IMAGE = TextTask(
    name="same_image",
    system=_SYSTEM,
    template=(
        "An edit changes the answer of a question about a picture. Ask another question about "
        "the same picture. If the scope is `recognition`, its answer must follow from what the "
        "picture is now taken to show; if it is `knowledge`, it must not depend on the changed "
        "fact and keep its answer. Give the answers after and before the edit.\n"
        "Question: {question}\nThe picture shows: {image_object}\nScope: {scope}\n"
        "Old answer: {old}\nNew answer: {new}"
    ),
    output=Follow,
    check=_check_follow,
)
HOPS = TextTask(
    name="hops",
    system=_SYSTEM,
    template=(
        "An edit changes the answer of a question about a picture. Write a one-hop question "
        "about the same picture, whose answer needs the new answer and one more well-known fact, "
        "and a two-hop question that needs two more. Do not name the old or the new answer in "
        "them. List the accepted answers after the edit, and those before it.\n"
        "Question: {question}\nOld answer: {old}\nNew answer: {new}"
    ),
    output=Hops,
    check=_check_hops,
)
FACT = TextTask(
    name="fact",
    system=_SYSTEM,
    template=(
        "State the answer as one declarative sentence that can be understood without the "
        "question.\nQuestion: {question}\nThe picture shows: {image_object}\nAnswer: {new}"
    ),
    output=Sentence,
    check=_check_sentence,
)
