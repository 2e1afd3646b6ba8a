from __future__ import annotations

import numpy as np
import pytest

from builders.atlas.unrelated import UNRELATED, UnrelatedPicture, render_unrelated
from schemas.errors import InputError


def test_there_are_a_dozen_distinct_pictures() -> None:
    assert len(UNRELATED) >= 12
    assert len({picture.key for picture in UNRELATED}) == len(UNRELATED)


@pytest.mark.parametrize("picture", UNRELATED, ids=lambda p: p.key)
def test_each_is_drawn_deterministically_and_moves_with_the_seed(picture: UnrelatedPicture) -> None:
    first = render_unrelated(picture.key, 1, 224)
    assert first.mode == "RGB"
    assert first.size == (224, 224)
    assert np.asarray(first).std() > 8
    assert first.tobytes() == render_unrelated(picture.key, 1, 224).tobytes()
    assert first.tobytes() != render_unrelated(picture.key, 2, 224).tobytes()


@pytest.mark.parametrize("picture", UNRELATED, ids=lambda p: p.key)
def test_each_has_a_question_that_does_not_answer_itself(picture: UnrelatedPicture) -> None:
    assert picture.question.endswith("?")
    assert picture.answer
    assert picture.answer not in picture.aliases
    if " or " not in picture.question:
        assert picture.answer.lower() not in picture.question.lower().split()
    assert "flag" not in picture.question.lower()


def test_the_lit_lamp_is_red() -> None:
    pixels = np.asarray(render_unrelated("traffic-light", 4), np.int16)
    bright = pixels[(pixels.max(axis=-1) > 200) & (np.ptp(pixels, axis=-1) > 120)]
    assert len(bright) > 100
    assert (bright[:, 0] > bright[:, 1] + 80).all()


def test_bad_requests_are_refused() -> None:
    with pytest.raises(InputError, match="'teapot'"):
        render_unrelated("teapot", 0)
    with pytest.raises(InputError, match="at least 64"):
        render_unrelated("clock", 0, 10)
