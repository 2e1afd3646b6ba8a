"""Rows of the right shape, invented here, and tiny pictures beside them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from schemas.images import EncodedImage
from schemas.records import EditRecord, EditRequest, Probe

from .text_rows import TEXT_ROWS

MakeImage = Callable[..., EncodedImage]


def encode(colour: int, kind: str = "JPEG") -> bytes:
    """A small two-tone picture, another one for each colour."""
    picture = Image.new("RGB", (12, 12), (colour % 256, 40, 90))
    picture.paste((250, colour % 200, 10), (0, 0, 6, 8))
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def make_image() -> MakeImage:
    def make(colour: int, path: str | None = None, kind: str = "JPEG") -> EncodedImage:
        return EncodedImage(encode(colour, kind), path)

    return make


MMEDIT_ROW: dict[str, Any] = {
    "src": "What is on the bench?",
    "pred": "a hat",
    "rephrase": "Which thing lies on the bench?",
    "alt": "a kite",
    "image": "val2014/bench.jpg",
    "image_rephrase": "rephrased/bench.png",
    "loc": "nq question: who wrote the first almanac",
    "loc_ans": "a monk",
    "m_loc": "val2014/river.jpg",
    "m_loc_q": "What crosses the water?",
    "m_loc_a": "a ferry",
}
CAPTION_ROW: dict[str, Any] = {
    **MMEDIT_ROW,
    "src": "a photo of",
    "pred": "two dogs on a beach",
    "rephrase": "an image of",
    "alt": "a red kite above a long pier",
}
"""E-IC: the question asks for a caption, and the answers are whole sentences."""
TRAIN_FIELDS: dict[str, Any] = {
    "rephrased_questions_train": ["Name the thing on the bench.", "On the bench, what is it?"],
    "locality_answer_train": "a lamp",
}
HOPS: list[dict[str, Any]] = [
    {"port_type": "1-hop", "Q&A": {"Question": "What moves that thing?", "Answer": "wind"}},
    {"port_type": "2-hop", "Q&A": {"Question": "What measures it?", "Answer": "a vane"}},
    {"port_type": "4-hop", "Q&A": {"Question": "Where was that made?", "Answer": "Delft"}},
]
VLKEB_ROW: dict[str, Any] = {**MMEDIT_ROW, "port_new": HOPS}
ONE_HOP_ROW: dict[str, Any] = {
    **MMEDIT_ROW,
    "port_new": [
        {
            "port_edit_q": "What moves a kite?",
            "port_edit_a": "a motor",
            "port_q": "What moves the thing on the bench?",
            "port_a": "a motor",
        }
    ],
}
_PAIRS: dict[str, Any] = {
    "rel_1": "Who invented the kite?",
    "rel_ans_1": "Mo",
    "rel_2": "What is a kite made of?",
    "rel_ans_2": "silk",
    "m_rel_1": "Who invented the thing shown?",
    "m_rel_ans_1": "Mo",
    "m_rel_2": "What is the thing shown made of?",
    "m_rel_ans_2": "silk",
}
MMKE_ENTITY_ROW: dict[str, Any] = {
    "knowledge_type": "entity_level",
    "type_self": "toy",
    **MMEDIT_ROW,
    **_PAIRS,
    "port_new": HOPS[:1],
}
MMKE_USER_ROW: dict[str, Any] = {
    **MMEDIT_ROW,
    "knowledge_type": "user_specific",
    **{
        name.replace("rel_ans_1", "rel_1_ans").replace("rel_ans_2", "rel_2_ans"): value
        for name, value in _PAIRS.items()
    },
    "one_hop_img": "hops/vane.jpg",
    "port_new": HOPS[:1],
}
MMKE_VISUAL_ROW: dict[str, Any] = {
    "knowledge_type": "visual_knowledge",
    **MMEDIT_ROW,
    "pred": "",
    "rel": "What does this sign mean?",
    "rel_ans": "stop",
    "m_rel": "What does the sign shown mean?",
    "m_rel_ans": "stop",
    "image_rephrase_question": "What is meant here?",
    "one_hop_img": "hops/vane.jpg",
    "port_new": HOPS[:1],
}
OKEDIT_ROW: dict[str, Any] = {
    "image_id": 42,
    "answer_type": "other",
    "question_type": "four",
    "question_id": 425,
    "answers": [
        {"answer_id": n + 1, "raw_answer": word, "answer": word, "answer_confidence": "yes"}
        for n, word in enumerate(["oak", "oak", "elm", "oak", "tree"] * 2)
    ],
    "confidence": 3,
    "image_object": "an oak",
    "counterfact_answer": "birch",
    "counterfact_type": "image-text based",
    "counterfact_type_reason": "[image-text based], the picture decides",
    "locality_answer": "pine",
    "locality_image_object": "a pine",
    "rephrased_questions_train": ["Name this tree."],
    "locality_answer_train": "fir",
    "question": "Which tree is it?",
    "rephrased_questions": [f"Wording {n} of the question?" for n in range(10)],
}
KNOWEDIT_ROW: dict[str, Any] = {
    "subject": "the Ida tower",
    "prompt": "The Ida tower stands in",
    "target_new": "Oslo",
    "ground_truth": ["Bergen", "Bjorgvin"],
    "rephrase": "The city of the Ida tower is",
    "portability": {
        "Reasoning": [{"prompt": "Its country is", "ground_truth": [["Norway", "Norge"]]}],
        "Subject_Aliasing": [{"prompt": "Old Ida is in", "ground_truth": "Oslo"}],
    },
    "locality": {"Relation_Specificity": [{"prompt": "Its height is", "ground_truth": ["9 m"]}]},
    "case_id": 7,
}

ROWS: list[tuple[str, str, dict[str, Any]]] = [
    ("mmedit", "plain", MMEDIT_ROW),
    ("mmedit", "train fields", {**MMEDIT_ROW, **TRAIN_FIELDS}),
    (
        "mmedit",
        "unknown fields",
        {"n": 1.5, **MMEDIT_ROW, "tags": ["a", {"b": None}], "k": 2**70},
    ),
    ("mmedit", "gaps", {**{k: v for k, v in MMEDIT_ROW.items() if k != "loc_ans"}, "pred": None}),
    ("mmedit", "empty train list", {**MMEDIT_ROW, "rephrased_questions_train": []}),
    ("mmedit", "captions", CAPTION_ROW),
    ("easyedit", "plain", MMEDIT_ROW),
    ("vlkeb", "no hops", MMEDIT_ROW),
    ("vlkeb", "hops", VLKEB_ROW),
    ("vlkeb", "one-hop edit", ONE_HOP_ROW),
    ("mmke", "entity", MMKE_ENTITY_ROW),
    ("mmke", "user", MMKE_USER_ROW),
    ("mmke", "visual", MMKE_VISUAL_ROW),
    ("okedit", "plain", OKEDIT_ROW),
    ("okedit", "odd type", {**OKEDIT_ROW, "counterfact_type": "text base"}),
    ("easyedit-text", "knowedit", KNOWEDIT_ROW),
    (
        "easyedit-text",
        "concept",
        {"concept": "kite", "text": "A kite is", "labels": "a bird", "locality": {}},
    ),
    (
        "easyedit-text",
        "flat",
        {
            "case_id": 3,
            "prompt": "Ida speaks",
            "target_new": "Norn",
            "subject": "Ida",
            "ground_truth": "Norse",
            "rephrase_prompt": "The tongue of Ida is",
            "locality_prompt": "Mo speaks",
            "locality_ground_truth": "Norse",
        },
    ),
    *TEXT_ROWS,
]


@pytest.fixture
def image_root(tmp_path: Path) -> Path:
    """Pictures for all rows above, in one folder."""
    root = tmp_path / "pictures"
    names = ["val2014/bench.jpg", "val2014/river.jpg", "hops/vane.jpg", "rephrased/bench.png"]
    names += ["val2014/COCO_val2014_000000000042.jpg", "locality/425/0.png"]
    names += [f"generality/425/{n}.jpg" for n in range(10)]
    names += ["bench.jpg", "river.jpg", "vane.jpg"]
    for index, name in enumerate(names):
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encode(index * 20, "PNG" if name.endswith("png") else "JPEG"))
    return root


@pytest.fixture
def built_record(make_image: MakeImage) -> EditRecord:
    """A record as a builder makes it: pictures without paths, no foreign fields."""
    image, other, unrelated = (make_image(n) for n in (1, 60, 120))
    request = EditRequest("r1", "Which tree is it?", image, None, "birch", "oak")

    def probe(axis: Any, kind: str, prompt: str, image: EncodedImage | None, answer: str) -> Probe:
        expectation = "unchanged" if axis == "locality" else "target"
        images = () if image is None else (image,)
        return Probe(kind, axis, kind, expectation, (prompt,), images, (answer,))

    return EditRecord(
        id="f00d",
        requests=(request,),
        probes=(
            probe("reliability", "edit", "Which tree is it?", image, "birch"),
            probe("generality", "rephrase", "Name this tree.", image, "birch"),
            probe("generality", "image_other_instance", "Which tree is it?", other, "birch"),
            probe("locality", "negative", "Which tree is it?", unrelated, "pine"),
            probe("locality", "text", "who wrote the almanac", None, "a monk"),
        ),
    )
