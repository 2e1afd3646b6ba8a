from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageColor

from builders.atlas.flag_specs import FLAGS
from builders.atlas.flags import (
    draw_flag,
    fragile_partners,
    grade,
    is_fragile,
    neighbours,
    spec,
    srgb_to_lab,
    visual_distance,
)
from builders.atlas.shapes import Rect, Star
from schemas.errors import InputError


@pytest.mark.parametrize("key", sorted(FLAGS))
def test_a_flag_is_drawn_in_its_proportion_and_not_blank(key: str) -> None:
    flag = draw_flag(key, 96)
    assert flag.mode == "RGB"
    assert flag.height == 96
    assert flag.width == round(96 * spec(key).aspect)
    colours = np.asarray(flag).reshape(-1, 3)
    assert colours.std(axis=0).max() > 15


@pytest.mark.parametrize("key", sorted(FLAGS))
def test_shapes_cover_the_flag_to_its_last_row_and_column(key: str) -> None:
    # An uncovered edge would show as a white line beside a coloured one.
    pixels = np.asarray(draw_flag(key, 256), np.int16)
    for edge, inner in ((pixels[-1], pixels[-3]), (pixels[:, -1], pixels[:, -3])):
        assert np.abs(edge - inner).mean() < 14


@pytest.mark.parametrize(
    ("key", "aspect"),
    [
        ("CH", 1),
        ("MC", 5 / 4),
        ("ID", 3 / 2),
        ("BE", 15 / 13),
        ("QA", 28 / 11),
        ("DK", 37 / 28),
        ("NL", 3 / 2),
        ("LU", 5 / 3),
        ("IE", 2),
        ("US", 1.9),
        ("NE", 7 / 6),
    ],
)
def test_proportions(key: str, aspect: float) -> None:
    assert spec(key).aspect == pytest.approx(aspect)


@pytest.mark.parametrize(
    ("key", "u", "v", "colour"),
    [
        ("TD", 0.1, 0.5, "#002664"),
        ("TD", 0.5, 0.5, "#FECB00"),
        ("RO", 0.1, 0.5, "#002B7F"),
        ("FR", 0.9, 0.5, "#E1000F"),
        ("CI", 0.1, 0.5, "#FF8200"),
        ("IE", 0.1, 0.5, "#169B62"),
        ("PL", 0.5, 0.9, "#DC143C"),
        ("ID", 0.5, 0.1, "#FF0000"),
        ("JP", 0.5, 0.5, "#BC002D"),
        ("JP", 0.1, 0.1, "#FFFFFF"),
        ("SE", 6 / 16, 0.1, "#FECC02"),
        ("NO", 8 / 22, 0.5, "#00205B"),
        ("SN", 0.5, 0.5, "#00853F"),
        ("ML", 0.5, 0.5, "#FCD116"),
        ("CL", 0.05, 0.05, "#0032A0"),
        ("CZ", 0.2, 0.5, "#11457E"),
        ("AE", 0.1, 0.9, "#FF0000"),
        ("CG", 0.05, 0.05, "#009543"),
        ("CG", 0.95, 0.95, "#DC241F"),
        ("GB", 0.5, 0.5, "#C8102E"),
        ("AU", 0.25, 0.25, "#C8102E"),
        ("ZA", 0.9, 0.5, "#007749"),
        ("TR", 0.2, 0.5, "#FFFFFF"),
        ("LY", 0.02, 0.5, "#000000"),
        ("QA", 0.1, 0.5, "#FFFFFF"),
        ("UA", 0.5, 0.9, "#FFD700"),
    ],
)
def test_colours_at_known_places(key: str, u: float, v: float, colour: str) -> None:
    flag = draw_flag(key, 240)
    seen = flag.getpixel((int(u * flag.width), int(v * flag.height)))
    assert seen == ImageColor.getrgb(colour)


def test_drawing_is_deterministic_at_any_height() -> None:
    for height in (40, 256, 300):
        first, second = draw_flag("MY", height), draw_flag("MY", height)
        assert first is not second
        assert first.tobytes() == second.tobytes()


def test_changing_a_drawing_leaves_the_next_one_alone() -> None:
    flag = draw_flag("FR")
    before = flag.tobytes()
    flag.paste("#000000", (0, 0, *flag.size))
    assert draw_flag("FR").tobytes() == before


def test_qatar_has_nine_teeth_and_bahrain_five() -> None:
    for key, notch, tip, teeth in (("QA", 8.0, 10.2, 9), ("BH", 400, 600, 5)):
        flag = np.asarray(draw_flag(key, 256), np.int16)
        column = int((notch + tip) / 2 / spec(key).size[0] * flag.shape[1])
        white = (flag[:, column].min(axis=1) > 128).astype(int)
        assert int((np.diff(white) == 1).sum()) + white[0] == teeth


def test_the_american_canton_has_fifty_stars_on_thirteen_stripes() -> None:
    layers = spec("US").layers
    assert sum(isinstance(layer, Star) for layer in layers) == 50
    assert sum(isinstance(layer, Rect) for layer in layers) == 13 + 1


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("TD", "RO"),
        ("ID", "MC"),
        ("MC", "PL"),
        ("NL", "LU"),
        ("IE", "CI"),
        ("IE", "IT"),
        ("AU", "NZ"),
        ("ML", "SN"),
        ("GN", "SN"),
        ("BO", "GH"),
    ],
)
def test_confusable_pairs(a: str, b: str) -> None:
    assert grade(visual_distance(a, b)) == "confusable"


@pytest.mark.parametrize(
    ("a", "b"), [("AT", "LV"), ("GN", "ML"), ("BH", "QA"), ("TN", "TR"), ("HU", "NL"), ("SD", "YE")]
)
def test_similar_pairs(a: str, b: str) -> None:
    assert grade(visual_distance(a, b)) == "similar"


@pytest.mark.parametrize(("a", "b"), [("JP", "US"), ("FR", "GH"), ("SE", "CN"), ("CH", "UA")])
def test_different_pairs(a: str, b: str) -> None:
    assert grade(visual_distance(a, b)) == "different"


def test_distance_is_symmetric_and_zero_only_for_the_same_flag() -> None:
    assert visual_distance("TD", "TD") == 0
    for a, b in (("TD", "RO"), ("IE", "CI"), ("JP", "US")):
        assert visual_distance(a, b) == visual_distance(b, a) > 0


def test_neighbours_are_all_other_flags_nearest_first() -> None:
    ranked = neighbours("TD")
    assert ranked[0][0] == "RO"
    assert {key for key, _ in ranked} == set(FLAGS) - {"TD"}
    assert [d for _, d in ranked] == sorted(d for _, d in ranked)


def test_fragile_flags_are_those_that_shade_or_proportion_separates() -> None:
    assert "RO" in fragile_partners("TD")
    assert "MC" in fragile_partners("ID")
    assert "LU" in fragile_partners("NL")
    assert "LV" in fragile_partners("AT")
    assert "BH" in fragile_partners("QA")
    # A mirror image confuses people, but no scene mirrors a flag.
    assert "CI" not in fragile_partners("IE")
    assert not any(is_fragile(key) for key in ("US", "JM", "ZA", "KN", "JP"))
    for key in FLAGS:
        assert all(key in fragile_partners(other) for other in fragile_partners(key))


def test_lab_of_reference_colours() -> None:
    lab = srgb_to_lab(np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0]], np.float32))
    np.testing.assert_allclose(lab, [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]], atol=0.05)


def test_bad_requests_are_refused() -> None:
    with pytest.raises(InputError, match="no flag is drawn for the country key 'BR'"):
        draw_flag("BR")
    with pytest.raises(InputError, match="at least 8 pixels"):
        draw_flag("FR", 4)
    with pytest.raises(InputError, match="'XX'"):
        neighbours("XX")
