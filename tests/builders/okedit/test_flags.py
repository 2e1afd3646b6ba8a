from __future__ import annotations

from pathlib import Path

import pytest

from builders.atlas.entities import RELATION_KEYS, RelationKey
from builders.atlas.facts import load_atlas
from builders.definition import Row
from builders.okedit.draft import Draft
from builders.okedit.options import Options
from builders.okedit.sources.flags import GRADES, RECOGNITION, FlagsSource, FlagsWorld
from builders.okedit.words import same
from schemas.manifest import Manifest
from schemas.records import EditRecord
from schemas.validate import validate
from tests.builders.okedit.support import (
    build_in_process,
    file_bytes,
    records_of,
    rejects_of,
    without_provenance,
)

ATLAS = load_atlas()
KEYS: tuple[RelationKey, ...] = RELATION_KEYS


def relation_of(row: Row) -> RelationKey:
    return KEYS[KEYS.index(row.fields["relation"])]


def rows(seed: int = 0, limit: int | None = None) -> list[Row]:
    return [row for row in FlagsSource(seed, limit).ingest(Path()) if isinstance(row, Row)]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small build, shared by tests that only look at it."""
    out = tmp_path_factory.mktemp("flags") / "out"
    build_in_process(Options(limit=16, image_size=224, shard_rows=5), out)
    return out


@pytest.fixture(scope="module")
def records(small: Path) -> list[EditRecord]:
    return records_of(small)


@pytest.fixture(scope="module")
def drafts() -> list[tuple[Row, Draft]]:
    """Every pair of the source as a draft, without the pictures of the steps."""
    world = FlagsWorld(templates=True, size=224)
    made = []
    for row in rows(limit=400)[::5]:
        draft = world.draft(row)
        assert isinstance(draft, Draft)
        made.append((row, draft))
    return made


def test_the_source_has_at_least_four_hundred_pairs_all_different() -> None:
    pairs = rows()
    assert len(pairs) >= 400
    assert len({row.id for row in pairs}) == len(pairs)
    assert len({(row.fields["country"], row.fields["relation"]) for row in pairs}) == len(pairs)
    assert {row.fields["relation"] for row in pairs} == set(KEYS)


def test_the_limit_cuts_and_goes_round_again() -> None:
    pairs = rows()
    assert rows(limit=7) == pairs[:7]
    more = rows(limit=len(pairs) + 3)
    assert more[: len(pairs)] == pairs
    assert [row.fields["variant"] for row in more[-3:]] == [1, 1, 1]
    assert len({row.id for row in more}) == len(more)


def test_the_seed_changes_order_and_ids() -> None:
    assert [r.fields["country"] for r in rows(1)[:20]] != [r.fields["country"] for r in rows()[:20]]
    assert not {row.id for row in rows(1)} & {row.id for row in rows()}


def test_drafts_are_true_to_the_atlas_and_their_edit_is_not(
    drafts: list[tuple[Row, Draft]],
) -> None:
    for row, draft in drafts:
        country = row.fields["country"]
        relation = relation_of(row)
        truth = ATLAS.answers(relation, country)
        assert truth is not None
        assert draft.old.all == truth.accepted
        assert draft.new is not None
        assert draft.third is not None
        assert not any(same(a, b) for a in draft.old.all for b in draft.new.all)
        assert not any(same(draft.third, a) for a in (*draft.old.all, *draft.new.all))
        pool = {answer.text for answer in ATLAS.pool(relation)}
        assert {draft.new.text, draft.third} <= pool
        assert draft.scope == ("recognition" if relation == RECOGNITION else "knowledge")
        assert draft.new.text in draft.facts[0]


def test_hops_follow_from_the_new_answer(drafts: list[tuple[Row, Draft]]) -> None:
    for row, draft in drafts:
        relation = relation_of(row)
        by_text = {answer.text: answer for answer in ATLAS.pool(relation)}
        assert draft.new is not None
        wanted = {
            hop.picture_question: hop.answers
            for hop in ATLAS.hops(relation, by_text[draft.new.text].key)
        }
        asked = [q for q in draft.questions if q.kind in ("one_hop", "two_hop")]
        assert [q.kind for q in asked] == ["one_hop", "two_hop"]
        for question in asked:
            assert question.answer is not None
            assert question.answer.all == wanted[question.prompt]


def test_questions_about_the_same_picture_fit_the_scope(
    drafts: list[tuple[Row, Draft]],
) -> None:
    asked = {"recognition": 0, "knowledge": 0}
    for row, draft in drafts:
        country = row.fields["country"]
        (found,) = [q for q in draft.questions if q.kind == "same_image"]
        prompts = [ATLAS.relation(key).picture_question for key in KEYS]
        relation = KEYS[prompts.index(found.prompt)]
        of_old = ATLAS.answers(relation, country)
        assert of_old is not None
        assert found.answer is not None
        assert draft.scope is not None
        asked[draft.scope] += 1
        if draft.scope == "knowledge":
            assert found.answer.all == of_old.accepted
        else:
            (new,) = [c for c in ATLAS.countries.values() if draft.new and c.name == draft.new.text]
            of_new = ATLAS.answers(relation, new.key)
            assert of_new is not None
            assert found.answer.all == of_new.accepted
            assert found.before is not None
            assert found.before.all == of_old.accepted
    assert min(asked.values()) > 0


def test_every_record_is_valid_and_says_where_all_of_it_comes_from(
    small: Path, records: list[EditRecord]
) -> None:
    assert validate(small).ok
    assert len(records) == 16
    assert rejects_of(small) == []
    for record in records:
        assert without_provenance(record) == set()
        made_by = {entry.generator for entry in record.provenance}
        assert made_by == {"source", "templates", "offline", "flags"}


def test_negatives_have_answers_of_their_own(records: list[EditRecord]) -> None:
    grades = set()
    for record in records:
        (request,) = record.requests
        edited = [request.target_new, *request.target_new_aliases, request.target_true or ""]
        others = [a for probe in record.of_kind("negative") for a in probe.answers]
        others += [sample.answer for sample in request.negatives]
        assert len(record.of_kind("negative")) == 3
        assert len(request.negatives) == 1
        assert not any(same(a, b) for a in others for b in edited)
        for probe in record.of_kind("negative"):
            assert probe.distance is not None
            grades.add(probe.grade)
    assert grades <= set(GRADES)
    assert len(grades) >= 2


def test_pictures_of_editor_and_probes_are_different_files(records: list[EditRecord]) -> None:
    for record in records:
        (request,) = record.requests
        edited = request.image
        assert edited is not None
        editor = {s.image.bytes for s in (*request.positives, *request.negatives) if s.image}
        probes = {image.bytes for probe in record.probes for image in probe.images}
        assert editor & probes == {edited.bytes}
        size = edited.decode().size
        assert size == (224, 224)


def test_equal_builds_are_equal_and_another_seed_is_another_data_set(
    small: Path, tmp_path: Path
) -> None:
    build_in_process(Options(limit=16, image_size=224, shard_rows=5), tmp_path / "a")
    assert file_bytes(tmp_path / "a") == file_bytes(small)
    build_in_process(Options(limit=16, image_size=224, shard_rows=5, seed=1), tmp_path / "b")
    ids = {record.id for record in records_of(small)}
    assert not ids & {record.id for record in records_of(tmp_path / "b")}


def test_shard_size_changes_files_but_no_record(small: Path, tmp_path: Path) -> None:
    build_in_process(Options(limit=16, image_size=224, shard_rows=16), tmp_path / "out")
    assert records_of(tmp_path / "out") == records_of(small)
    assert len(Manifest.read(small).shards) == 4


@pytest.mark.slow
def test_four_hundred_records_build_without_a_reject(tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = build_in_process(Options(limit=400, image_size=224), out, workers=2)
    assert outcome.report is not None
    assert outcome.report.ok
    assert outcome.manifest.counts.records == 400
    assert outcome.manifest.counts.rejects == 0
    assert set(outcome.manifest.counts.scopes) == {"recognition", "knowledge"}
