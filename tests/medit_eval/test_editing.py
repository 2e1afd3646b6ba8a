"""Edits made, asked and published from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from editors.saving import describe
from medit_eval.__main__ import app
from medit_eval.editing import read_queries, read_requests
from schemas.arrow import OKEDIT
from schemas.errors import InputError
from schemas.layout import write_parquet
from tests.factories import make_image
from tests.medit_eval.support import person
from tests.tiny_models import tiny

ROWS = (
    {"prompt": "Ann was born in", "target_new": "Rome", "subject": "Ann", "facts": ["A fact."]},
    {"id": "b", "prompt": "Bob was born in", "target_new": "Oslo", "target_true": "Kyiv"},
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    lm = tiny("gpt2")
    lm.model.save_pretrained(tmp_path / "model")
    lm.tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def call(*words: Any) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def written(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_edit_ask_and_publish(model: Path, tmp_path: Path) -> None:
    requests, out = written(tmp_path / "r.jsonl", *ROWS), tmp_path / "out"
    edit = ("edit", "--editor", "balancedit", "--set", "steps=40", "--set", "w_pos=1e-3",
            "--set", "w_neg=1e-3", "--model", model, "--out", out, "--device", "cpu")  # fmt: skip
    done = call(*edit, "--requests", requests)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"2 edits by balancedit in {out}, ")
    about = describe(out)
    assert (about.editor, about.settings["steps"], about.edits) == ("balancedit", 40, 2)
    file = written(tmp_path / "q.jsonl", {"prompt": "Bob was born in"})
    asked = ("ask", out, "Ann was born in", "--file", file, "--max-new-tokens", 4)
    done = call(*asked, "--json", "--both", "--device", "cpu")
    assert done.exit_code == 0, done.output
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [row["prompt"] for row in told] == ["Ann was born in", "Bob was born in"]
    assert told[0]["answer"].startswith("Rome")
    assert not told[0]["unedited"].startswith("Rome")
    assert f"Ann was born in\n  {told[0]['answer']}\n" in call(*asked).stdout
    done = call("publish", out, "--repo", "ada/x", "--base-model", "ada/base", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "nothing was sent" in done.output
    with pytest.raises(InputError, match="is there already: name another folder"):
        app([str(word) for word in (*edit, "--requests", requests)], standalone_mode=False)
    records = tmp_path / "r.parquet"
    write_parquet(records, OKEDIT.table([person(0), person(1)]))
    done = call(*edit, "--records", records, "--limit", 1, "--overwrite", "--no-texts")
    assert done.exit_code == 0, done.output
    assert [made.prompt for made in describe(out).requests] == [None]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("edit", "--editor", "scr", "--out", "x"), "--requests FILE or from --records R"),
        (("ask", "DIR"), "there is nothing to ask"),
        (("ask", "DIR", "x", ""), "a PROMPT is empty"),
        (("ask", "DIR", " \n"), "a PROMPT is empty"),
        (("ask", "nowhere", "x"), "is no folder, so no edits"),
        (("ask", "DIR", "x", "--image", "none.png"), "there is no image 'none.png'"),
        (("publish", "DIR", "--repo", "a/b"), "no edits were saved here"),
    ],
)
def test_what_is_missing_is_said(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        app([word.replace("DIR", str(tmp_path)) for word in words], standalone_mode=False)


def test_requests_and_questions_are_read(tmp_path: Path) -> None:
    (tmp_path / "flag.png").write_bytes(make_image(1).bytes)
    pictured = {"prompt": "What is it?", "target_new": "Oslo", "image": "flag.png"}
    first, second, third = read_requests(written(tmp_path / "r.jsonl", *ROWS, pictured))
    assert (first.subject, first.facts, len(first.id)) == ("Ann", ("A fact.",), 32)
    assert (second.id, second.target_true) == ("b", "Kyiv")
    assert third.image is not None
    asked = {"prompt": "What?", "context": "It is so.\n", "image": "flag.png"}
    (query,) = read_queries(written(tmp_path / "q.jsonl", asked))
    assert query.text == "It is so.\nWhat?"
    assert query.image == third.image


@pytest.mark.parametrize(
    ("row", "field", "said"),
    [
        ({"prompt": "x"}, "target_new", "is missing"),
        ({"target_new": "x"}, "prompt", "is missing"),
        ({**ROWS[0], "prompt": " "}, "prompt", "is empty"),
        ({**ROWS[0], "subject": 3}, "subject", "is a int, not a text"),
        ({**ROWS[0], "facts": "x"}, "facts", "no list of sentences"),
        ({**ROWS[0], "answer": "x"}, "answer", "is not known; known are id, prompt"),
        ({**ROWS[0], "image": "../x.png"}, "image", "climbs out of its folder"),
        ({**ROWS[0], "id": "b"}, "id", "two edits have the id 'b'"),
    ],
)
def test_bad_requests_are_named(row: Any, field: str, said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", ROWS[1], row)
    with pytest.raises(InputError, match=said) as error:
        read_requests(path)
    assert (error.value.file, error.value.row, error.value.field) == (path, 1, field)
