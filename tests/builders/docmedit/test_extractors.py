"""Extractors are found by name, and what strangers' ones give is looked at."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from builders.docmedit.extractors import (
    GROUP,
    Failed,
    Passage,
    Relations,
    SourceTriples,
    describe,
    open_extractor,
)
from builders.docmedit.triples import ExtractTriples
from medit_eval.sources import load
from schemas.documents import DocumentRecord, Triple
from schemas.errors import InputError
from schemas.manifest import Manifest
from schemas.validate import validate
from tests.builders.okedit.support import CommandLine
from tests.document_factories import make_document, make_draft
from tests.plugin_packages import install

DOCS = Path(__file__).parents[3] / "docs" / "docmedit.md"
OSLO = Triple("Norway", "capital", "Oslo")
PASSAGES = [Passage("Norway", "Oslo is its capital.", (OSLO,), "r0", 1)] * 2

STRANGE = """
from builders.docmedit.extractors import Failed
from schemas.documents import Triple
from schemas.errors import InputError

OSLO = Triple("Norway", "capital", "Oslo")

class Odd:
    name = "odd"
    def extract(self, passages, relations):
        {body}
    def close(self):
        pass

class Nameless(Odd):
    name = ""

def broken():
    raise ValueError("no weights\\nhere")
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installs a plug-in whose `extract` has a body, under a name of its own."""

    def make(name: str, body: str = "return []", attribute: str = "Odd") -> str:
        folder = tmp_path / name
        folder.mkdir()
        install(folder, monkeypatch, GROUP, name, STRANGE.format(body=body), attribute)
        return name

    return make


def test_what_the_source_states_stands() -> None:
    made = open_extractor("source").extract(PASSAGES, Relations())
    assert made == [(OSLO,), (OSLO,)]
    draft = make_draft()
    assert ExtractTriples(SourceTriples(), Relations(), seed=0)([draft]) == [draft]


def test_a_source_s_triple_of_a_fact_stands_whatever_its_object() -> None:
    document = make_document()
    other = Triple("Ada Berg", "employer", "Sundal Ltd")
    changed = replace(document, facts=(replace(document.facts[0], triple=other),))
    (made,) = ExtractTriples(SourceTriples(), Relations(), seed=0)([make_draft(document=changed)])
    assert made.document.facts[0].triple == other  # pyright: ignore[reportAttributeAccessIssue]


def test_a_plug_in_says_what_the_triples_are(plugin: Any) -> None:
    body = "return [[OSLO, OSLO], Failed(f'cannot\\n{passages[0].page}')]"
    extractor = open_extractor(plugin("twice", body))
    assert extractor.name == "odd (medit-twice 1.2)"
    made = extractor.extract(PASSAGES, Relations())
    assert made == [[OSLO], Failed("cannot Norway")]
    extractor.close()
    described = {"generator": "twice", "package": "medit-twice", "version": "1.2"}
    assert describe("twice") == described
    assert describe("source") == {"generator": "source"}


def test_a_part_that_is_empty_is_the_passage_s_failure(plugin: Any) -> None:
    body = "return [[OSLO], [OSLO, Triple('Norway', ' ', 'Oslo')]]"
    made = open_extractor(plugin("blank", body)).extract(PASSAGES, Relations())
    assert made == [[OSLO], Failed("leaves a part of a triple empty")]


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("none", "return None", "must return a list, not a NoneType"),
        ("text", "return 'ab'", "must return a list, not a str"),
        ("short", "return [[]]", "gave 1 results for 2 passages"),
        ("flat", "return [OSLO, OSLO]", "lists of triples, or Failed, not a Triple"),
        ("tuples", "return [[('a', 'b', 'c')], []]", "must return Triple objects, not a tuple"),
        ("number", "return [[Triple('a', 'b', 3)], []]", "must return triples of strings"),
        ("raises", "return passages[9]", "raised IndexError: list index out of range"),
    ],
)
def test_rubbish_ends_in_a_sentence(plugin: Any, name: str, body: str, reason: str) -> None:
    extractor = open_extractor(plugin(f"bad_{name}", body))
    with pytest.raises(InputError, match=f"'bad_{name}' of medit-bad_{name} .*{reason}"):
        extractor.extract(PASSAGES, Relations())


def test_what_a_plug_in_says_of_its_input_is_passed_on(plugin: Any) -> None:
    extractor = open_extractor(plugin("unplugged", "raise InputError('the server is down')"))
    with pytest.raises(InputError, match=r"^the server is down$"):
        extractor.extract(PASSAGES, Relations())


@pytest.mark.parametrize(
    ("name", "attribute", "reason"),
    [
        ("dict_maker", "dict", "cannot be loaded: module .* has no attribute 'dict'"),
        ("triple_maker", "OSLO.__str__", "makes a str, which is no triple extractor"),
        ("shy", "Nameless", "'shy' of medit-shy has no name for provenance"),
        ("broken", "broken", "'broken' of medit-broken cannot be opened: no weights here"),
    ],
)
def test_plug_ins_that_do_not_open(plugin: Any, name: str, attribute: str, reason: str) -> None:
    plugin(name, attribute=attribute)
    with pytest.raises(InputError, match=reason):
        open_extractor(name)


def test_the_plug_in_of_the_docs_builds(
    docmedit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = DOCS.read_text(encoding="utf-8").split("\n## Triples\n")[1]
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (entry,) = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    shown = re.fullmatch(r'\[project\.entry-points\."(.+)"\]\n(\w+) = "medit_\2:(\w+)"\n', entry)
    assert shown is not None
    group, name, attribute = shown.groups()
    install(tmp_path, monkeypatch, group, name, code, attribute)

    out = tmp_path / "docs"
    built = docmedit(
        "build", "--out", out, "--limit", "6", "--shard-size", "3", "--workers", "2",
        "--triples", name,
    )  # fmt: skip
    assert built.code == 0, built.err
    assert validate(out).ok
    records = [record for record in load(out) if isinstance(record, DocumentRecord)]
    facts = [fact for record in records for fact in record.document.facts]
    stated = [fact for fact in facts if fact.triple is not None]
    assert stated
    assert all(re.match("The [a-z ]+ of .+ is ", fact.text) for fact in stated)
    made = {e.generator for r in records for e in r.provenance if e.field == "document.triples"}
    assert made == {"patterns (medit-patterns 1.2)"}
    manifest = Manifest.read(out)
    assert manifest.generators["triples"] == {
        "generator": "patterns", "package": "medit-patterns", "version": "1.2"
    }  # fmt: skip
    assert manifest.arguments["triples"] == "patterns"


def test_a_plug_in_that_fails_for_a_passage_costs_its_record(
    docmedit: CommandLine, tmp_path: Path, plugin: Any
) -> None:
    body = "return [Failed('is lost') if 'city' in p.text else [] for p in passages]"
    name = plugin("choosy", body)
    out = tmp_path / "docs"
    built = docmedit("build", "--out", out, "--limit", "8", "--triples", name)
    assert built.code == 0, built.err
    rejects = pq.read_table(out / "rejects.parquet").to_pylist()
    assert {(r["step"], r["rule"], r["reason"]) for r in rejects} == {
        ("triples", "triples", "is lost")
    }
