"""Pipelines are loaded once, and those that find nothing are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import InputError
from schemas.recognisers import load_recogniser
from tests.builders.docmedit.mediawiki.support import ruler


def test_a_pipeline_is_loaded_once(tmp_path: Path) -> None:
    folder = ruler(tmp_path / "ruler")
    first = load_recogniser(folder)
    assert load_recogniser(folder) is first
    assert [span.text for span in first("He saw Oslo in May.").ents] == ["Oslo", "May"]


def test_a_folder_without_a_pipeline(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no pipeline '.*' here: install it, or go without"):
        load_recogniser(str(tmp_path))


def test_a_pipeline_that_finds_no_entities(tmp_path: Path) -> None:
    import spacy

    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    pipeline.to_disk(tmp_path / "plain")
    with pytest.raises(InputError, match="neither `ner` nor `entity_ruler`"):
        load_recogniser(str(tmp_path / "plain"))
