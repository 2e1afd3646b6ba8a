from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from builders.okedit.build import Models
from builders.okedit.options import NAMES, Options
from schemas.errors import InputError
from tests.builders.okedit.support import KEY, Vqa


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"source": "okvqa"}, "--source okvqa needs --questions"),
        ({"source": "mmedit"}, "--source mmedit needs --questions"),
        ({"source": "hub"}, "--source hub needs --columns"),
        ({"source": "mmedit", "questions": Path("gone.json")}, "gone.json: does not exist"),
        ({"image_folder": Path("gone")}, "gone: is not a folder of images"),
        ({"split": "two words"}, "must be one word, not 'two words'"),
        ({"split": "../up"}, "must be one word"),
        ({"split": ""}, "must be one word"),
    ],
)
def test_options_that_cannot_be_used_are_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError) as raised:
        Options(**given)
    assert complaint in str(raised.value)


def test_photographs_need_a_folder_or_leave_to_go_without(vqa: Vqa) -> None:
    with pytest.raises(InputError, match="needs --images-folder, or --allow-missing-images"):
        vqa.options(image_folder=None)
    assert vqa.options(image_folder=None, allow_missing_images=True).rules().images is False


def test_a_data_set_promises_what_its_source_can_keep(vqa: Vqa) -> None:
    flags = Options(rephrasings=4).rules()
    assert flags.rephrasings == 4
    assert flags.images
    assert {"edit", "rephrase", "negative", "one_hop", "two_hop", "text"} <= set(flags.kinds)
    assert "negative" in vqa.options().rules().kinds
    assert "negative" not in vqa.options(allow_missing_images=True).rules().kinds


def test_arguments_name_files_without_their_folders(vqa: Vqa) -> None:
    arguments = vqa.options().arguments()
    assert arguments["questions"] == vqa.questions.name
    assert arguments["images-folder"] == "images"
    assert str(vqa.questions.parent) not in str(arguments)


def test_no_data_set_is_called_okedit() -> None:
    assert "OKEDIT" not in NAMES.values()


def resolve(options: Options, **changes: Any) -> Models:
    given: dict[str, Any] = {
        "model": None, "image_model": None, "base_url": None, "api_key": None,
        "concurrency": 4, "cache": None, "max_requests": None,
    }  # fmt: skip
    return Models.resolve(options, **{**given, **changes})


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MEDIT_MODEL", "MEDIT_IMAGE_MODEL", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_an_offline_build_has_no_models() -> None:
    models = resolve(Options(), model="ignored", api_key=KEY)
    assert (models.text, models.images, models.diffusers) == (None, None, None)


def test_models_come_from_arguments_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no model is named"):
        resolve(Options(text="openai"))
    monkeypatch.setenv("MEDIT_MODEL", "from-environment")
    text = resolve(Options(text="openai"), api_key=KEY).text
    assert text is not None
    assert text.model == "from-environment"
    with pytest.raises(InputError, match="no image model is named"):
        resolve(Options(images="diffusers"))
    assert resolve(Options(images="diffusers"), image_model="a/b").diffusers == "a/b"


def test_what_the_manifest_says_of_models_holds_no_key_and_no_address() -> None:
    options = Options(text="openai", images="openai")
    models = resolve(
        options, model="m", image_model="i", base_url="http://127.0.0.1:9/v1", api_key=KEY
    )
    described = models.describe(options)
    assert described["text"]["model"] == "m"
    assert described["images"]["model"] == "i"
    for shown in (str(described), repr(models), str(models)):
        assert KEY not in shown
    assert "127.0.0.1" not in str(described)


def test_a_local_pipelines_folder_stays_private() -> None:
    options = Options(images="diffusers")
    described = resolve(options, image_model="/home/me/models/painter").describe(options)
    assert described["images"]["model"] == "painter"
