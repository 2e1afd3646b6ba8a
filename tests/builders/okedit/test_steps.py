from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from builders.definition import Row
from builders.images.protocol import ImageGenerator, ImageRequest, ImageResult
from builders.okedit.draft import Answer, Draft, Picture, Question
from builders.okedit.steps import (
    Counterfactual,
    EditTypeVote,
    Facts,
    FurtherQuestions,
    Locality,
    Negatives,
    ObjectPhrase,
    Pictures,
    Positives,
    Rephrase,
    ThirdAnswer,
    distinct_answers,
    question_keeps_answer,
)
from builders.okedit.world import NegativePlan
from builders.steps import Problem
from schemas.images import EncodedImage
from tests.builders.okedit.support import Scripted, draft, jpeg


def only(results: Sequence[Draft | Problem]) -> Draft:
    (result,) = results
    assert isinstance(result, Draft), result
    return result


def problem(results: Sequence[Draft | Problem]) -> Problem:
    (result,) = results
    assert isinstance(result, Problem)
    return result


def origins(made: Draft) -> dict[str, str]:
    return {entry.field: entry.generator for entry in made.provenance}


@pytest.mark.parametrize(
    ("step", "given"),
    [
        (Rephrase, {"rephrasings": ("a?", "b?"), "editor_rephrasings": ("c?",)}),
        (ObjectPhrase, {"image_object": "a bus"}),
        (Counterfactual, {"new": Answer("green")}),
        (EditTypeVote, {"edit_type": "text", "scope": "knowledge"}),
        (ThirdAnswer, {"third": "green", "third_object": "a green bus"}),
        (ThirdAnswer, {"answer_type": "yes/no"}),
        (ThirdAnswer, {"answer_type": "choice"}),
        (Facts, {"facts": ("It is so.",)}),
        (
            FurtherQuestions,
            {
                "questions": tuple(
                    Question(kind, "Who?", Answer("x"))
                    for kind in ("text_only", "same_image", "one_hop")
                )
            },
        ),
    ],
)
def test_a_step_asks_nothing_where_nothing_is_missing(step: Any, given: dict[str, Any]) -> None:
    text = Scripted()
    made = step(text, 2, 1) if step is Rephrase else step(text)
    start = draft(**given)
    assert only(made([start])) == start
    assert text.asked == []


def test_steps_keep_the_order_of_mixed_drafts() -> None:
    text = Scripted(counterfactual=lambda i: "no idea" if i["old"] == "bad" else _new("zebra"))
    starts = [
        draft(id="a", new=Answer("given")),
        draft(id="b", new=None, old=Answer("bad")),
        draft(id="c", new=None),
    ]
    given, failed, made = Counterfactual(text)(starts)
    assert given == starts[0]
    assert failed == Problem(
        "text", "requests.target_new", "scripted gave no counterfactual: no idea"
    )
    assert isinstance(made, Draft)
    assert (made.id, made.new) == ("c", Answer("zebra"))
    assert len(text.asked) == 2


def _new(answer: str) -> dict[str, Any]:
    return {"answer": answer, "aliases": []}


class TestRephrase:
    def test_adds_what_is_missing_and_avoids_what_is_there(self) -> None:
        text = Scripted()
        start = draft(rephrasings=("Mine?",), editor_rephrasings=())
        made = only(Rephrase(text, 3, 2)([start]))
        assert made.rephrasings[0] == "Mine?"
        assert (len(made.rephrasings), len(made.editor_rephrasings)) == (3, 2)
        probe, editor = text.inputs("rephrase")
        assert (probe["n"], probe["avoid"]) == (2, ("Mine?",))
        assert (editor["n"], editor["avoid"]) == (2, made.rephrasings)
        assert origins(made) == {
            "probes.rephrase": "scripted",
            "requests.positives.rephrase": "scripted",
        }

    def test_more_than_wanted_are_cut(self) -> None:
        made = only(Rephrase(Scripted(), 1, 0)([draft(rephrasings=("a?", "b?"))]))
        assert (made.rephrasings, made.editor_rephrasings) == (("a?",), ())

    @pytest.mark.parametrize(
        ("said", "why"),
        [
            (["Same?", "same ?"], "repeats a rephrasing"),
            (["What color is the BUS", "x?"], "the question itself"),
            (["only one"], "1 rephrasings instead of 2"),
            (["", "x?"], "leaves one empty"),
        ],
    )
    def test_unusable_answers_become_rejects(self, said: list[str], why: str) -> None:
        failed = problem(Rephrase(Scripted(rephrase={"rephrasings": said}), 2, 0)([draft()]))
        assert (failed.rule, failed.column) == ("text", "probes")
        assert why in failed.reason

    def test_an_editor_gets_none_of_the_probes_wordings(self) -> None:
        text = Scripted(rephrase={"rephrasings": ["Just this?"]})
        failed = problem(Rephrase(text, 1, 1)([draft()]))
        assert failed.column == "requests.positives"
        assert "taken" in failed.reason

    def test_spaces_around_a_rephrasing_go(self) -> None:
        text = Scripted(rephrase={"rephrasings": [" Well? "]})
        assert only(Rephrase(text, 1, 0)([draft()])).rephrasings == ("Well?",)


class TestEditTypeVote:
    @staticmethod
    def cast(*votes: tuple[str, str] | str, **fields: Any) -> Draft | Problem:
        def answer(inputs: Any) -> Any:
            vote = votes[inputs["vote"]]
            if isinstance(vote, str):
                return vote
            return {"edit_type": vote[0], "scope": vote[1], "reason": f"voter {inputs['vote']}"}

        start = draft(scope=None, **fields) if "scope" not in fields else draft(**fields)
        (made,) = EditTypeVote(Scripted(edit_type=answer))([start])
        return made

    def test_the_majority_of_three_wins(self) -> None:
        made = self.cast(
            ("text", "recognition"), ("image_text", "knowledge"), ("image_text", "recognition")
        )
        assert isinstance(made, Draft)
        assert (made.edit_type, made.scope) == ("image_text", "recognition")
        assert made.edit_type_votes == ("text", "image_text", "image_text")
        assert made.edit_type_reason == "voter 1"
        assert origins(made) == {"edit_type": "scripted", "scope": "scripted"}

    def test_a_scope_that_the_source_gives_is_kept(self) -> None:
        made = self.cast(*[("text", "recognition")] * 3, scope="knowledge")
        assert isinstance(made, Draft)
        assert made.scope == "knowledge"
        assert origins(made) == {"edit_type": "scripted"}

    def test_one_failed_vote_leaves_a_majority_of_two(self) -> None:
        made = self.cast("out of order", ("text", "knowledge"), ("text", "knowledge"))
        assert isinstance(made, Draft)
        assert (made.edit_type, made.edit_type_votes) == ("text", ("text", "text"))

    @pytest.mark.parametrize(
        "second", [("image_text", "knowledge"), ("text", "recognition"), "also out of order"]
    )
    def test_without_a_majority_of_all_three_nothing_is_decided(self, second: Any) -> None:
        made = self.cast(("text", "knowledge"), second, "out of order")
        assert isinstance(made, Problem)
        assert (made.rule, made.column) == ("text", "edit_type")
        assert "out of order" in made.reason

    def test_each_vote_is_a_request_of_its_own(self) -> None:
        text = Scripted()
        EditTypeVote(text)([draft(), draft(id="r1")])
        assert [inputs["vote"] for inputs in text.inputs("edit_type")] == [0, 1, 2, 0, 1, 2]
        assert len({request.seed for request in text.asked}) == 6


class TestThirdAnswer:
    def test_it_comes_with_a_phrase_for_its_picture(self) -> None:
        text = Scripted()
        made = only(ThirdAnswer(text)([draft(new=Answer("blue", ("navy",)))]))
        assert (made.third, made.third_object) == ("walrus", "a thing that is walrus")
        (asked,) = text.inputs("third_answer")
        assert (asked["old"], asked["new"], asked["avoid"]) == ("red", "blue", ("navy",))
        assert set(origins(made)) == {"third_answer", "third_object"}

    @pytest.mark.parametrize("taken", ["red", "Blue.", "a blue"])
    def test_old_and_new_answers_are_refused(self, taken: str) -> None:
        failed = problem(ThirdAnswer(Scripted(third_answer=_new(taken)))([draft()]))
        assert failed.column == "third_answer"
        assert "taken" in failed.reason

    def test_a_phrase_that_fails_rejects_the_record(self) -> None:
        text = Scripted(object_phrase="is stuck")
        failed = problem(ThirdAnswer(text)([draft()]))
        assert failed.column == "third_object"


class TestFurtherQuestions:
    def test_all_four_kinds_are_asked_for(self) -> None:
        made = only(FurtherQuestions(Scripted())([draft()]))
        assert [q.kind for q in made.questions] == [
            "text_only", "same_image", "one_hop", "two_hop",
        ]  # fmt: skip
        assert set(origins(made)) == {f"probes.{q.kind}" for q in made.questions}

    def test_by_name_the_answer_depends_on_the_scope(self) -> None:
        recognised = only(FurtherQuestions(Scripted())([draft(scope="recognition")]))
        assert recognised.questions[0].answer == Answer("a vehicle")
        known = only(FurtherQuestions(Scripted())([draft(scope="knowledge")]))
        assert (known.questions[0].answer, known.questions[0].before) == (
            Answer("blue"),
            Answer("red"),
        )

    def test_what_fails_is_left_out_and_rejects_nothing(self) -> None:
        text = Scripted(named_question="cannot", same_image="cannot", hops="cannot")
        start = draft()
        assert only(FurtherQuestions(text)([start])) == start

    def test_a_text_only_record_is_asked_nothing_about_its_picture(self) -> None:
        made = only(FurtherQuestions(Scripted())([draft(image=None)]))
        assert not made.has("same_image")
        assert made.has("one_hop")

    def test_hops_that_give_the_new_answer_away_are_left_out(self) -> None:
        told = {"question": "Is blue nice?", "answers": ["yes"], "answers_before": []}
        text = Scripted(hops={"one_hop": told, "two_hop": told})
        assert not only(FurtherQuestions(text)([draft()])).has("one_hop")

    def test_answers_are_cleaned(self) -> None:
        said = {"question": " Q? ", "answers": [" a ", "a", " ", "b"], "answers_before": [" "]}
        made = only(FurtherQuestions(Scripted(same_image=said))([draft()]))
        (question,) = [q for q in made.questions if q.kind == "same_image"]
        assert question == Question("same_image", "Q?", Answer("a", ("b",)), None)


@pytest.mark.parametrize("step", [ObjectPhrase, Counterfactual, Facts])
def test_a_required_field_that_fails_rejects_with_the_reason(step: Any) -> None:
    text = Scripted(object_phrase="hm", counterfactual="hm", fact="hm")
    start = draft(image_object=None, new=None if step is Counterfactual else Answer("blue"))
    failed = problem(step(text)([start]))
    assert failed.rule == "text"
    assert failed.reason.startswith("scripted gave no ")
    assert failed.reason.endswith(": hm")


@pytest.mark.parametrize(
    "wild",
    ["{braces} {0} %s", "<b>bold</b> & <script>", "\u202eevil\u202c", "שלום עולם", "漢字と仮名"],
)
def test_any_writing_passes_through_unchanged(wild: str) -> None:
    text = Scripted(
        counterfactual=_new(wild),
        fact={"sentence": f"It is {wild}."},
        rephrase=lambda inputs: {"rephrasings": [f"{i} {wild}?" for i in range(inputs["n"])]},
    )
    start = draft(new=None, question=f"What is {wild}, and {{this}}?")
    made = only(Counterfactual(text)([start]))
    assert made.new == Answer(wild)
    made = only(Facts(text)(Rephrase(text, 2, 0)([made])))  # type: ignore[arg-type]
    assert made.facts == (f"It is {wild}.",)
    assert made.rephrasings == (f"0 {wild}?", f"1 {wild}?")
    prompts = [request.messages[-1]["content"] for request in text.asked]
    assert all(f"What is {wild}, and {{this}}?" in prompt for prompt in prompts)


@dataclass
class Drawn:
    """An image generator that draws by seed, or from a list, and notes its requests."""

    script: list[EncodedImage | str] = field(default_factory=list)
    asked: list[ImageRequest] = field(default_factory=list)
    name: str = "drawn"

    def generate(self, requests: Sequence[ImageRequest]) -> list[ImageResult]:
        self.asked += requests
        return [self._one(request) for request in requests]

    def close(self) -> None:
        pass

    def _one(self, request: ImageRequest) -> ImageResult:
        made = self.script.pop(0) if self.script else jpeg(request.seed % 100_000)
        error = made if isinstance(made, str) else None
        image = None if isinstance(made, str) else made
        return ImageResult(image, error, self.name, "ink", "digest", request.seed)


@dataclass
class FakeWorld:
    """A world with things to tell apart, numbered by distance."""

    images: ImageGenerator = field(default_factory=Drawn)
    instances: Sequence[Picture] | None = None
    plans: int = 9
    pictured: bool = False
    unrelated_picture: Picture | None = None

    @property
    def offline_images(self) -> ImageGenerator:
        return self.images

    def draft(self, row: Row) -> Draft | Problem:
        return draft(id=row.id)

    def negatives(self, draft: Draft, wanted: int, seed: int) -> Sequence[NegativePlan]:
        return [
            NegativePlan(
                Answer(f"answer {i}"),
                f"thing {i}",
                f"thing {i}",
                distance=float(i),
                grade=("near", "far")[i % 2],
                image=jpeg(500 + i) if self.pictured else None,
            )
            for i in range(min(wanted, self.plans))
        ]

    def other_instances(self, draft: Draft, wanted: int, seed: int) -> Sequence[Picture] | None:
        return None if self.instances is None else self.instances[:wanted]

    def unrelated(self, draft: Draft, seed: int) -> Picture | None:
        return self.unrelated_picture

    def text_question(self, draft: Draft, seed: int) -> Question:
        return Question("text", "Who wrote it?", Answer("Homer"))


class TestPositives:
    def test_probes_and_editor_get_pictures_of_both_kinds_apart(self) -> None:
        made = only(Positives(FakeWorld(), Drawn(), Pictures())([draft()]))
        assert (len(made.augmented), len(made.other_instances)) == (1, 2)
        assert [kind for kind, _ in made.editor_pictures] == [
            "image_augmented", "image_other_instance",
        ]  # fmt: skip
        pictures = [*made.augmented, *made.other_instances, *(p for _, p in made.editor_pictures)]
        assert len({picture.image.bytes for picture in pictures}) == 5
        assert set(origins(made)) == {
            "probes.image_augmented",
            "probes.image_other_instance",
            "requests.positives.image_augmented",
            "requests.positives.image_other_instance",
        }

    def test_near_duplicates_are_drawn_again_with_other_seeds(self) -> None:
        images = Drawn([jpeg(1), jpeg(1), jpeg(1), jpeg(2)])
        counts = Pictures(augmented=1, other_instances=0, editor_augmented=1)
        world = FakeWorld(instances=())
        made = only(Positives(world, images, replace(counts, editor_other_instances=0))([draft()]))
        assert made.augmented[0].image == jpeg(1)
        assert made.editor_pictures[0][1].image == jpeg(2)
        assert [len(images.asked), len({request.seed for request in images.asked})] == [4, 4]

    def test_it_gives_up_on_pictures_that_never_differ(self) -> None:
        images = Drawn([jpeg(1)] * 99)
        counts = Pictures(editor_augmented=4)
        made = only(Positives(FakeWorld(instances=()), images, counts)([draft()]))
        assert (len(made.augmented), made.editor_pictures) == (1, ())
        assert len(images.asked) == 5 + 3 * 4
        assert set(origins(made)) == {"probes.image_augmented"}

    def test_the_probes_are_served_before_the_editor(self) -> None:
        instances = [Picture(jpeg(i), entity=f"row {i}") for i in range(2)]
        made = only(Positives(FakeWorld(instances=instances), Drawn(), Pictures())([draft()]))
        assert made.other_instances == tuple(instances)
        assert [kind for kind, _ in made.editor_pictures] == ["image_augmented"]
        assert origins(made)["probes.image_other_instance"] == "source"

    def test_nothing_to_show_rejects(self) -> None:
        failed = problem(
            Positives(FakeWorld(instances=()), Drawn(["no ink"] * 99), Pictures())([draft()])
        )
        assert failed.rule == "positive_images"

    def test_a_text_only_record_gets_none(self) -> None:
        images, start = Drawn(), draft(image=None)
        assert only(Positives(FakeWorld(), images, Pictures())([start])) == start
        assert images.asked == []

    def test_what_the_question_asks_about_is_protected(self) -> None:
        images = Drawn()
        Positives(FakeWorld(instances=()), images, Pictures())([draft()])
        assert all("colour" in request.protects for request in images.asked)
        assert all(request.reference == draft().image for request in images.asked)


class TestNegatives:
    def test_they_are_graded_and_the_editors_show_other_things(self) -> None:
        made = only(Negatives(FakeWorld(), Drawn(), Pictures())([draft()]))
        assert [p.grade for p in made.negatives] == ["near", "far", "near"]
        probe = {p.entity for p in made.negatives}
        editor = {p.entity for p in made.editor_negatives}
        assert (len(probe), len(editor)) == (3, 1)
        assert not probe & editor
        assert origins(made) == {"probes.negative": "drawn", "requests.negatives": "drawn"}

    def test_pictures_of_the_source_are_taken_as_they_are(self) -> None:
        images = Drawn()
        made = only(Negatives(FakeWorld(pictured=True), images, Pictures())([draft()]))
        assert made.negatives[1].image == jpeg(501)
        assert images.asked == []
        assert origins(made)["probes.negative"] == "source"

    def test_a_picture_that_fails_is_left_out(self) -> None:
        made = only(Negatives(FakeWorld(plans=2), Drawn(["no ink"]), Pictures())([draft()]))
        assert [p.entity for p in made.negatives] == ["thing 1"]
        assert made.editor_negatives == ()
        assert set(origins(made)) == {"probes.negative"}

    @pytest.mark.parametrize(("plans", "script"), [(0, []), (2, ["no ink", "no ink"])])
    def test_none_at_all_rejects(self, plans: int, script: list[EncodedImage | str]) -> None:
        failed = problem(Negatives(FakeWorld(plans=plans), Drawn(script), Pictures())([draft()]))
        assert (failed.rule, failed.column) == ("negative_images", "probes.negative")


class TestLocality:
    def test_an_unrelated_picture_and_question_are_added(self) -> None:
        other = Picture(jpeg(9), Answer("bread"), "row 9", "What is it?")
        made = only(Locality(FakeWorld(unrelated_picture=other))([draft()]))
        assert made.unrelated == other
        assert made.has("text")
        assert origins(made) == {"probes.unrelated_image": "source", "probes.text": "source"}

    def test_given_ones_are_kept(self) -> None:
        other = Picture(jpeg(8), None, None, "What?")
        start = draft(unrelated=other, questions=(Question("text", "Mine?", None),))
        assert only(Locality(FakeWorld(unrelated_picture=Picture(jpeg(9))))([start])) == start

    def test_a_text_only_record_gets_the_question_alone(self) -> None:
        world = FakeWorld(unrelated_picture=Picture(jpeg(9), None, None, "What?"))
        made = only(Locality(world)([draft(image=None)]))
        assert made.unrelated is None
        assert made.has("text")


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"new": Answer("Red!")}, "target_unchanged"),
        ({"new": Answer("the red")}, "target_unchanged"),
        ({"old": Answer("2"), "new": Answer("two")}, "target_unchanged"),
        ({"old": Answer("red", ("crimson",)), "new": Answer("Crimson")}, "target_unchanged"),
        ({"third": "red"}, "third_answer"),
        ({"new": Answer("blue", ("navy",)), "third": "Navy"}, "third_answer"),
    ],
)
def test_answers_that_are_not_distinct_are_rejected(fields: dict[str, Any], rule: str) -> None:
    found = distinct_answers(draft(**fields))
    assert found is not None
    assert found.rule == rule


def test_distinct_answers_pass() -> None:
    assert distinct_answers(draft(third="green")) is None
    assert distinct_answers(draft(third=None)) is None


@pytest.mark.parametrize(
    ("question", "new", "kind"),
    [
        ("What is on the blue bus?", "blue", "colour"),
        ("Why is this tower so TALL?", "tall", "why"),
        ("What is a C++ compiler?", "c++ compiler", "what"),
    ],
)
def test_a_question_that_states_the_new_answer_is_rejected(
    question: str, new: str, kind: str
) -> None:
    found = question_keeps_answer(draft(question=question, new=Answer(new), answer_type=kind))
    assert found is not None
    assert found.rule == "answer_in_question"


@pytest.mark.parametrize(
    ("question", "new", "kind"),
    [
        ("Is it dirty or clean?", "clean", "choice"),
        ("Does it turn left or right ahead?", "right", "does"),
        ("How many trees are there?", "many", "number"),
        ("Is yes an answer?", "yes", "yes/no"),
        ("What caterpillar is this?", "cater", "caterpillar"),
        ("What is a cat?", "cat", "what"),  # too short to tell chance from hint
    ],
)
def test_questions_that_may_hold_their_answer_pass(question: str, new: str, kind: str) -> None:
    start = draft(question=question, new=Answer(new), answer_type=kind)
    assert question_keeps_answer(start) is None
