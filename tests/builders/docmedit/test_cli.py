from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from builders.docmedit.build import define, rehearsal
from builders.docmedit.extractors import Relations, SourceTriples
from builders.docmedit.model_triples import EXTRACT, ModelTriples
from builders.docmedit.options import Options
from builders.docmedit.recipe import DocmeditRecipe
from builders.docmedit.triples import ExtractTriples
from builders.text.model import TextModel
from builders.text.settings import EndpointSettings
from medit_eval.sources import load
from schemas.documents import DocumentRecord
from schemas.errors import InputError
from schemas.manifest import Manifest
from schemas.validate import validate
from tests.builders.docmedit.mediawiki.support import ruler
from tests.builders.okedit.support import CommandLine, Scripted
from tests.document_factories import make_draft
from tests.stubs.openai_server import OpenAIStub
from tests.test_documents import write_dumps

SMALL = ("--limit", "5", "--shard-size", "2")


def records_of(folder: Path) -> Sequence[DocumentRecord]:
    found = load(folder)
    return [record for record in found if isinstance(record, DocumentRecord)]


def test_build_preview_export_and_publish(docmedit: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "docs"
    built = docmedit("build", "--out", out, *SMALL)
    assert built.code == 0, built.err
    assert built.out.startswith(f"AtlasDocs: 5 records in {out}, ")
    assert validate(out).ok
    assert len(records_of(out)) == 5
    assert "# AtlasDocs" in (out / "README.md").read_text()

    again = docmedit("build", "--out", out, *SMALL)
    assert (again.code, "nothing to do" in again.out) == (0, True)

    shown = docmedit("preview", out)
    assert shown.code == 0, shown.err
    page = Path(shown.out.strip()).read_text()
    assert '<mark class="new">' in page
    assert records_of(out)[0].document.facts[0].text.split(".")[0] in page

    exported = docmedit("export", out, "--format", "fruit")
    assert exported.code == 0, exported.err
    rows = (tmp_path / "docs.fruit" / "fruit.jsonl").read_text().splitlines()
    titles = [json.loads(row)["title"][0].replace("_", " ") for row in rows]
    assert titles == [record.document.title for record in records_of(out)]

    listed = docmedit("publish", out, "--repo-id", "me/docs", "--dry-run")
    assert listed.code == 0, listed.err
    assert "nothing was sent" in listed.out


def test_an_export_is_a_source(docmedit: CommandLine, tmp_path: Path) -> None:
    assert docmedit("build", "--out", tmp_path / "docs", *SMALL).code == 0
    docmedit("export", tmp_path / "docs", "--format", "fruit")
    file = tmp_path / "docs.fruit" / "fruit.jsonl"
    built = docmedit("build", "--source", "fruit", "--records", file, "--out", tmp_path / "again")
    assert built.code == 0, built.err
    before = {record.document.title for record in records_of(tmp_path / "docs")}
    assert {record.document.title for record in records_of(tmp_path / "again")} == before
    docmedit("export", tmp_path / "again", "--format", "fruit")
    back = (tmp_path / "again.fruit" / "fruit.jsonl").read_text().splitlines()
    assert set(back) == set(file.read_text().splitlines())


def test_the_language_and_counts_of_dumps_are_in_manifest_and_card(
    docmedit: CommandLine, tmp_path: Path
) -> None:
    write_dumps(tmp_path)
    before, after = sorted(tmp_path.glob("*.xml.bz2"))
    out = tmp_path / "docs"
    built = docmedit(
        "build", "--source", "dumps", "--before", before, "--after", after, "--out", out
    )
    assert built.code == 0, built.err
    source = Manifest.read(out).source
    assert source["language"] == "en"
    assert source["counts"]["updated"] == 1
    card = (out / "README.md").read_text()
    assert 'language:\n- "en"\n' in card
    assert "| `facts` | list of Fact |" in card
    assert "| `requests` | list of EditRequest | The facts to change together" in card


def test_a_trained_pipeline_is_in_the_manifest_and_must_be_there(
    docmedit: CommandLine, tmp_path: Path
) -> None:
    write_dumps(tmp_path)
    before, after = sorted(tmp_path.glob("*.xml.bz2"))
    dumps = ("build", "--source", "dumps", "--before", before, "--after", after)
    out = tmp_path / "docs"
    built = docmedit(*dumps, "--out", out, "--entities", ruler(tmp_path / "names"))
    assert built.code == 0, built.err
    manifest = Manifest.read(out)
    assert manifest.source["recogniser"] == {"name": "en_ruler", "version": "1.2.3"}
    assert manifest.arguments["entities"] == "names"
    missing = docmedit(*dumps, "--out", tmp_path / "none", "--entities", "no_such_pipeline")
    assert missing.code == 2
    assert "no pipeline 'no_such_pipeline'" in missing.err
    assert not (tmp_path / "none").exists()


def test_a_row_of_a_file_that_cannot_be_used_is_a_reject(
    docmedit: CommandLine, tmp_path: Path
) -> None:
    assert docmedit("build", "--out", tmp_path / "docs", *SMALL).code == 0
    docmedit("export", tmp_path / "docs", "--format", "fruit")
    file = tmp_path / "docs.fruit" / "fruit.jsonl"
    file.write_text(file.read_text() + '{"title": ["Nothing"]}\n')
    built = docmedit("build", "--source", "fruit", "--records", file, "--out", tmp_path / "again")
    assert built.code == 0, built.err
    rules = Manifest.read(tmp_path / "again").counts.rejects_by_rule
    assert rules.get("row", 0) >= 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--source", "dumps"), "--source dumps needs --before"),
        (("--source", "fruit"), "--source fruit needs --records"),
        (("--source", "atlas", "--before", "a.xml"), "--source atlas takes no --before"),
        (("--source", "fruit", "--records", "missing.jsonl"), "does not exist"),
        (("--relations", "missing.txt"), "does not exist"),
        (("--entities", "en_core_web_md"), "--source atlas takes no --entities"),
        (("--split", "two words"), "must be one word"),
        (("--triples", "openai"), "model"),
        (("--triples", "sorce"), "no triple extractor 'sorce'; did you mean source?"),
    ],
)
def test_bad_options_are_one_sentence(
    docmedit: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEDIT_MODEL", raising=False)
    said = docmedit("build", "--out", tmp_path / "docs", *arguments)
    assert said.code == 2
    assert complaint in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "docs").exists()


# Triples ------------------------------------------------------------------------------------


def test_relations_that_are_not_on_the_list_are_dropped(
    docmedit: CommandLine, tmp_path: Path
) -> None:
    listed = tmp_path / "relations.txt"
    listed.write_text("# those of people\nEmployer\t12\nplace_of_birth\ncapital\n")
    built = docmedit("build", "--out", tmp_path / "docs", *SMALL, "--relations", listed)
    assert built.code == 0, built.err
    relations = {
        triple.relation
        for record in records_of(tmp_path / "docs")
        for triple in record.document.after.triples
    }
    assert relations
    assert relations <= {"employer", "place of birth", "capital"}


@pytest.mark.parametrize(("content", "reason"), [(b"# none\n", "names no"), (b"\xff", "read")])
def test_bad_lists_of_relations(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "relations.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason):
        Relations.read(path)


def answer(*triples: tuple[str, str, str]) -> dict[str, Any]:
    return {"triples": [{"subject": s, "relation": r, "object": o} for s, r, o in triples]}


def test_a_model_reads_triples_from_both_texts_and_every_fact() -> None:
    def read(inputs: Any) -> dict[str, Any]:
        new = "Sundal" in inputs["text"]
        return answer(("Ada Berg", "employed by", "Sundal" if new else "Nordfrost"))

    model = ModelTriples(Scripted(extract_triples=read))
    step = ExtractTriples(model, Relations(("employed by",)), seed=0)
    (made,) = step([make_draft()])
    assert not hasattr(made, "rule")
    document = made.document  # pyright: ignore[reportAttributeAccessIssue]
    assert [t.object for t in document.before.triples] == ["Nordfrost"]
    assert [t.object for t in document.after.triples] == ["Sundal"]
    triple = document.facts[0].triple
    assert triple is not None
    assert triple.relation == "employed by"
    text = Scripted(extract_triples=read)
    ExtractTriples(ModelTriples(text), Relations(("employed by",)), seed=0)([make_draft()])
    assert all("employed by" in inputs["relations"] for inputs in text.inputs("extract_triples"))


def test_a_triple_that_the_text_does_not_hold_rejects_the_record() -> None:
    text = Scripted(extract_triples=answer(("Ada Berg", "employer", "Equinor")))
    (made,) = ExtractTriples(ModelTriples(text), Relations(), seed=0)([make_draft()])
    assert made.rule == "triples"  # pyright: ignore[reportAttributeAccessIssue]
    assert "Equinor" in made.reason  # pyright: ignore[reportAttributeAccessIssue]


def test_triples_come_from_an_endpoint(
    docmedit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reply(body: dict[str, Any]) -> str:
        passage = body["messages"][1]["content"].rpartition("Passage: ")[2]
        return json.dumps(answer(("it", "says", passage.split()[-1].strip("."))))

    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-to-be-shown-1")
    with OpenAIStub(reply) as server:
        said = docmedit(
            "build", "--out", tmp_path / "docs", "--limit", "2", "--triples", "openai",
            "--model", "stub", "--base-url", server.url, "--cache", tmp_path / "cache.sqlite",
        )  # fmt: skip
    assert said.code == 0, said.err
    record = records_of(tmp_path / "docs")[0]
    assert {t.relation for t in record.document.after.triples} == {"says"}
    assert {e.generator for e in record.provenance if e.field == "document.triples"} == {"openai"}
    texts = [path.read_bytes() for path in (tmp_path / "docs").rglob("*") if path.is_file()]
    assert not any(b"sk-not-to-be-shown" in text for text in texts)


def test_a_dry_run_counts_requests_and_asks_nobody(docmedit: CommandLine, tmp_path: Path) -> None:
    said = docmedit(
        "build", "--out", tmp_path / "docs", "--limit", "2", "--triples", "openai",
        "--model", "stub", "--base-url", "http://127.0.0.1:9", "--dry-run",
        "--cache", tmp_path / "cache.sqlite",
    )  # fmt: skip
    assert said.code == 0, said.err
    lines = (tmp_path / "docs.requests.jsonl").read_text().splitlines()
    assert f"{len(lines)} requests are in" in said.out
    assert len(lines) >= 2 * 3
    assert not (tmp_path / "docs").exists()


def test_offline_nothing_is_asked() -> None:
    definition = define(Options(limit=1), None, 1)
    assert rehearsal(definition, Options(limit=1), None).model is None
    with pytest.raises(InputError, match="a model is needed"):
        define(Options(limit=1, triples="openai"), None, 1)


def test_the_recipe_closes_its_generator() -> None:
    closed = []

    class Closing(Scripted):
        def close(self) -> None:
            closed.append(True)

    DocmeditRecipe("tests", ModelTriples(Closing()), Relations(), 0).close()
    DocmeditRecipe("tests", SourceTriples(), Relations(), 0).close()
    assert closed == [True]


def test_the_model_s_name_is_in_the_manifest_and_its_address_is_not() -> None:
    endpoint = EndpointSettings(model="reader", base_url="http://secret.example/v1")
    definition = define(Options(limit=1, triples="openai"), TextModel(endpoint), 1)
    assert definition.generators["triples"]["model"] == "reader"
    assert "secret.example" not in json.dumps(definition.generators)
    assert EXTRACT.name == "extract_triples"
