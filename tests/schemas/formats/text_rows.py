"""Rows of text benchmarks and of MC-MKE, invented here: places, people and books that are not."""

from __future__ import annotations

from typing import Any


def rewrite(
    subject: str, prompt: str, relation: str, new: str, true: str, question: str | None = None
) -> dict[str, Any]:
    """An entry of CounterFact's or MQuAKE's `requested_rewrite`."""
    made: dict[str, Any] = {
        "prompt": prompt,
        "relation_id": relation,
        "target_new": {"str": new, "id": f"Q-{new}"},
        "target_true": {"str": true, "id": f"Q-{true}"},
        "subject": subject,
    }
    return made if question is None else {**made, "question": question}


def hop(question: str, cloze: str, answer: str, *aliases: str) -> dict[str, Any]:
    """An entry of MQuAKE's chains."""
    return {"question": question, "cloze": cloze, "answer": answer, "answer_alias": list(aliases)}


MULTI_ROW: dict[str, Any] = {
    "case_id": 4,
    "pararel_idx": 911,
    "requested_rewrite": rewrite("Ida Holm", "{} was born in", "P19", "Oslo", "Bergen"),
    "paraphrase_prompts": ["It rained. Ida Holm comes from", "Where Ida Holm was born is"],
    "neighborhood_prompts": ["Per Lie was born in", "Ane Moe was born in"],
    "attribute_prompts": ["Kai Dahl was born in"],
    "generation_prompts": ["Ida Holm lives", "In her youth Ida Holm"],
}
ZSRE_ROW: dict[str, Any] = {
    "subject": "Ida Holm",
    "src": "Where was Ida Holm born?",
    "pred": "Bergen",
    "rephrase": "What is the birthplace of Ida Holm?",
    "alt": "Oslo",
    "answers": ["Bergen", "Bjorgvin"],
    "loc": "nq question: who wrote the first almanac",
    "loc_ans": "a monk",
    "cond": "Bergen >> Oslo || Where was Ida Holm born?",
}
TOWER = hop("Who built the Ida tower?", "The Ida tower was built by", "Per Lie", "P. Lie")
CITIZEN = "{} is a citizen of", "P27"
LIE = "Which country is Per Lie a citizen of?"
CAPITAL = hop("What is the capital of Fjellia?", "The capital of Fjellia is", "Fjellby")
MQUAKE_ROW: dict[str, Any] = {
    "case_id": 12,
    "requested_rewrite": [rewrite("Per Lie", *CITIZEN, "Dalia", "Fjellia", LIE)],
    "questions": [
        "What is the capital of the country of the builder of the Ida tower?",
        "The builder of the Ida tower is a citizen of a country with which capital?",
        "Which city is the capital of the home country of the Ida tower's builder?",
    ],
    "answer": "Fjellby",
    "answer_alias": ["Fjell City"],
    "new_answer": "Dalby",
    "new_answer_alias": ["Dal City"],
    "single_hops": [
        TOWER,
        hop(LIE, "Per Lie is a citizen of", "Fjellia", "Kingdom of Fjellia"),
        CAPITAL,
    ],
    "new_single_hops": [
        TOWER,
        hop(LIE, "Per Lie is a citizen of", "Dalia", "Republic of Dalia"),
        hop("What is the capital of Dalia?", "The capital of Dalia is", "Dalby", "Dal City"),
    ],
    "orig": {
        "triples": [["Q1", "P84", "Q2"], ["Q2", "P27", "Q3"], ["Q3", "P36", "Q4"]],
        "triples_labeled": [["the Ida tower", "architect", "Per Lie"]],
        "new_triples": [["Q1", "P84", "Q2"], ["Q2", "P27", "Q5"], ["Q5", "P36", "Q6"]],
        "new_triples_labeled": [["the Ida tower", "architect", "Per Lie"]],
        "edit_triples": [["Q2", "P27", "Q5"]],
    },
}
TWO_EDITS_ROW: dict[str, Any] = {
    **{name: value for name, value in MQUAKE_ROW.items() if name != "orig"},
    "case_id": 13,
    "requested_rewrite": [
        *MQUAKE_ROW["requested_rewrite"],
        rewrite(
            "Dalia", "The capital of {} is", "P36", "Sund", "Dalby", "What is the capital of Dalia?"
        ),
    ],
    "answer_extended": ["Old Fjellby"],
    "new_answer": "Sund",
    "new_answer_alias": [],
    "new_single_hops": [
        *MQUAKE_ROW["new_single_hops"][:2],
        hop("What is the capital of Dalia?", "The capital of Dalia is", "Sund"),
    ],
}
HUB_ROW: dict[str, Any] = {
    **{name: value for name, value in MQUAKE_ROW.items() if name != "orig"},
    "requested_rewrite": [
        {
            "prompt": "{} is a citizen of",
            "relation_id": "P27",
            "subject": "Per Lie",
            "question": LIE,
            "target_new_str": "Dalia",
            "target_new_id": "Q5",
            "target_true_str": "Fjellia",
            "target_true_id": "Q3",
        }
    ],
    "orig_triples": MQUAKE_ROW["orig"]["triples"],
    "new_triples": MQUAKE_ROW["orig"]["new_triples"],
    "split": {"100": ["edited"]},
}


def query(prompt: str, value: str, *aliases: str, target: str = "Q9") -> dict[str, Any]:
    """A query of a RippleEdits test."""
    return {
        "prompt": prompt,
        "answers": [{"value": value, "aliases": list(aliases)}],
        "query_type": "regular",
        "subject_id": "Q2",
        "relation": "ANY",
        "target_ids": [target],
        "phrase": None,
    }


def ripple(*queries: dict[str, Any]) -> list[dict[str, Any]]:
    """A group of one test."""
    return [{"test_queries": list(queries), "test_condition": "OR", "condition_queries": []}]


RIPPLE_ROW: dict[str, Any] = {
    "example_type": "popular",
    "edit": {
        "prompt": "The name of the country of citizenship of Per Lie is Dalia.",
        "subject_id": "Q2",
        "relation": "COUNTRY_OF_CITIZENSHIP",
        "target_id": "Q5",
        "original_fact": {
            "prompt": "The name of the country of citizenship of Per Lie is Fjellia.",
            "target_id": "Q3",
        },
    },
    "Relation_Specificity": ripple(query("The name of the mother of Per Lie is", "Ane Moe", "A")),
    "Logical_Generalization": ripple(query("The mother tongue of Per Lie is", "Dalish")),
    "Subject_Aliasing": ripple(
        query("The name of the country of citizenship of P. Lie is", "Dalia", "DL", target="Q5")
    ),
    "Compositionality_I": ripple(
        query("The capital of the country of Per Lie is", "Dalby"),
        query("The anthem of the country of Per Lie is", ""),
    ),
    "Compositionality_II": ripple(query("The country of the builder of the Ida tower is", "Dalia")),
    "Forgetfulness": [],
}
RECENT_ROW: dict[str, Any] = {
    **RIPPLE_ROW,
    "example_type": "recent",
    "edit": {
        "prompt": "The name of the sports team which Per Lie is a member of is Sund IF Jr..",
        "subject_id": "Q2",
        "relation": "MEMBER_OF_SPORTS_TEAM",
        "target_id": "Q77",
    },
}
UNKE_ROW: dict[str, Any] = {
    "id": 3,
    "question": "What is Ida Holm known for?",
    "para_question": "Why do people know Ida Holm?",
    "answer": "Ida Holm drew maps of Dalia. She walked every road of it twice, and drew by night.",
    "sub_question": ["What did Ida Holm draw?", "When did Ida Holm draw?"],
    "sub_answer": ["Maps of Dalia.", "By night."],
}
DISK = "/home/someone/MQuAKE-CF/images"
IE_ROW: dict[str, Any] = {
    "relation": "author",
    "e_ent": "The Grey Kite",
    "ie_edit_input_idx": 5,
    "new_e_ent": "The Red Kite",
    "ie_question": "Which book is shown in the picture?",
    "ie_cloze": "The book in the picture is",
    "new_e_ent_alias": ["Red Kite", "the red kite\n"],
    "locality_test": [8, 9],
    "images": [f"{DISK}/bench.jpg", f"{DISK}/river.jpg"],
    "ie_question_paraphrases": {
        "ie_question": "Which book is shown in the picture?",
        "ie_ques_paraphrases": ["What book is this?", "Which novel appears in the photo?"],
    },
}
IE_TESTED_ROW: dict[str, Any] = {
    **IE_ROW,
    "text_generality": {
        "ie_edit_input_idx": 5,
        "image": f"{DISK}/bench.jpg",
        "ie_question_paraphrases": ["Which book is shown?", "What book is this?"],
        "new_e_ent": "The Red Kite",
        "new_e_ent_alias": ["Red Kite"],
    },
    "image_generality": {
        "ie_edit_input_idx": 5,
        "ie_cloze": "The book in the picture is",
        "generality_images": [f"{DISK}/river.jpg"],
        "new_e_ent": "The Red Kite",
        "new_e_ent_alias": ["Red Kite"],
    },
    "consistency": {
        "ie_edit_input_idx": 5,
        "consistency_iro_image": f"{DISK}/bench.jpg",
        "consistency_iro_input_cloze": "The author of the book in the picture is",
        "consistency_iro_output": "Kai Dahl",
        "consistency_iro_output_alias": ["K. Dahl"],
    },
    "locality": {
        "ie_edit_input_idx": 5,
        "locality_test_dict": {
            "8": {
                "image": f"{DISK}/vane.jpg",
                "ie_question": "Which city is shown in the picture?",
                "orig_loc_ent": "Sund",
                "orig_loc_ent_alias": [],
            }
        },
    },
}
IRO_ROW: dict[str, Any] = {
    "s": "The Grey Kite",
    "r": "author",
    "o": "Ane Moe",
    "new_o": "Kai Dahl",
    "images": [f"{DISK}/bench.jpg"],
    "iro_question": "Who is the author of the book in the picture?",
    "iro_cloze": "The author of the book in the picture is",
    "iro_edit_input_idx": 2,
    "new_o_alias": [],
    "consistency": {
        "iro_edit_input_idx": 2,
        "consistency_image": "",
        "consistency_sro_cloze": "The author of The Grey Kite is",
        "new_o": "Kai Dahl",
        "new_o_alias": [],
    },
}
SRO_ROW: dict[str, Any] = {
    "s": "The Grey Kite",
    "r": "author",
    "o": "Ane Moe",
    "new_o": "Kai Dahl",
    "question": "Who is the author of The Grey Kite?",
    "cloze": "The author of The Grey Kite is",
    "new_o_alias": ["K. Dahl"],
    "sro_edit_input_idx": 2,
    "para_question": "\n\nWho wrote The Grey Kite?",
    "locality": {
        "sro_edit_input_idx": 2,
        "locality_test_dict": {
            "8": {
                "image": "",
                "sro_question": "What is the capital of Dalia?",
                "orig_loc_output_ent": "Dalby",
                "orig_loc_output_ent_alias": ["Dal City"],
            }
        },
    },
}
FLAT_ROW: dict[str, Any] = {
    "case_id": 3,
    "prompt": "Ida Holm speaks",
    "target_new": "Dalish",
    "subject": "Ida Holm",
    "ground_truth": "Norse",
    "rephrase_prompt": "The tongue of Ida Holm is",
    "locality_prompt": "Per Lie speaks",
    "locality_ground_truth": "Norse",
}
TEXT_ROWS: list[tuple[str, str, dict[str, Any]]] = [
    ("counterfact", "flat", FLAT_ROW),
    ("counterfact", "as released", MULTI_ROW),
    ("multi-counterfact", "plain", MULTI_ROW),
    ("multi-counterfact", "no lists", {"requested_rewrite": MULTI_ROW["requested_rewrite"]}),
    ("zsre-mend", "plain", ZSRE_ROW),
    ("zsre-rome", "plain", ZSRE_ROW),
    ("zsre-rome", "asked already", {**ZSRE_ROW, "loc": "who?", "loc_ans": None}),
    ("mquake", "one edit", MQUAKE_ROW),
    ("mquake", "two edits", TWO_EDITS_ROW),
    ("mquake-remastered", "Hub", HUB_ROW),
    ("mquake-remastered", "JSON", {**MQUAKE_ROW, "6334_split": {"100": ["test_edited"]}}),
    ("rippleedits", "counterfactual", RIPPLE_ROW),
    ("rippleedits", "recent", RECENT_ROW),
    ("unke", "plain", UNKE_ROW),
    ("mc-mke", "IE alone", IE_ROW),
    ("mc-mke", "IE with tests", IE_TESTED_ROW),
    ("mc-mke", "IRO", IRO_ROW),
    ("mc-mke", "SRO", SRO_ROW),
]
