"""Writes the atlas's facts where the testbed models' recipe reads them.

python docs/testbed_facts.py     # writes medit_eval/testbed/data/facts.json

`medit_eval` does not import `builders`, so what its models are taught crosses over as a file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from builders.atlas.entities import RELATION_KEYS, SHOWN_COUNTRY, Answer, Country, RelationKey
from builders.atlas.facts import AS_OF, Atlas, load_atlas
from builders.atlas.unrelated import UNRELATED

TARGET = Path(__file__).parents[1] / "medit_eval" / "testbed" / "data" / "facts.json"


def main() -> None:
    """Write the file, one entry per line so that a change of one fact is a change of one line."""
    atlas = load_atlas()
    tables: dict[str, list[Any]] = {
        "relations": [
            {
                "key": relation.key,
                "question": relation.question,
                "paraphrases": relation.paraphrases,
                "statement": relation.statement,
                "hops": relation.hops,
            }
            for relation in atlas.relations.values()
        ],
        "countries": [about(atlas, atlas.country(key)) for key in sorted(atlas.countries)],
        "trivia": [
            {"question": trivia.question, "answer": trivia.answer} for trivia in atlas.trivia
        ],
        "unrelated": [{"question": thing.question, "answer": thing.answer} for thing in UNRELATED],
    }
    head = {"as_of": AS_OF, "shown": SHOWN_COUNTRY}
    lines = [f' "{key}": {json.dumps(value)}' for key, value in head.items()]
    for name, rows in tables.items():
        body = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in rows)
        lines.append(f' "{name}": [\n{body}\n ]')
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def about(atlas: Atlas, country: Country) -> dict[str, Any]:
    """A country with its answers, and the answers one and two hops behind each."""
    answers: dict[RelationKey, Answer | None] = {
        key: atlas.answers(key, country.key) for key in RELATION_KEYS
    }
    return {
        "key": country.key,
        "name": country.name,
        "phrase": country.phrase,
        "flag": country.flag,
        "facts": {
            key: fact(atlas, key, answer) for key, answer in answers.items() if answer is not None
        },
    }


def fact(atlas: Atlas, relation: RelationKey, answer: Answer) -> dict[str, Any]:
    """One answer: on its own, inside a sentence, and what follows from it."""
    hops = [hop.answers[0] for hop in atlas.hops(relation, answer.key)]
    return {"answer": answer.text, "phrase": answer.phrase, "hops": hops}


if __name__ == "__main__":
    main()
