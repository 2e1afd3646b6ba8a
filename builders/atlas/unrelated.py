"""Pictures that have nothing to do with flags, each with a question and its answer.

They probe whether an edit of what a flag means leaves other pictures alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

from PIL import Image, ImageDraw

from schemas.errors import InputError

_SUPERSAMPLE = 3
_INK = "#2B2B2B"
_PAPERS = ("#ECE7DC", "#DCE3E8", "#E6DEE6", "#DFE7DC", "#E9E2D2", "#D9DDE3")


@dataclass(frozen=True, slots=True)
class UnrelatedPicture:
    """A picture that `render_unrelated` draws, with a question about it.

    Attributes:
        key: Name of the picture.
        question: What to ask about it.
        answer: The canonical answer.
        aliases: Other accepted answers.
    """

    key: str
    question: str
    answer: str
    aliases: tuple[str, ...] = ()


UNRELATED: tuple[UnrelatedPicture, ...] = (
    UnrelatedPicture(
        "clock", "What time does the clock show?", "3 o'clock", ("3:00", "three o'clock", "three")
    ),
    UnrelatedPicture("traffic-light", "Which colour is lit on the traffic light?", "red"),
    UnrelatedPicture("die", "How many pips does the die show?", "5", ("five",)),
    UnrelatedPicture(
        "chessboard",
        "What board is shown in the picture?",
        "chessboard",
        ("a chessboard", "chess board", "a chess board", "checkerboard"),
    ),
    UnrelatedPicture(
        "rainbow", "What coloured arc is shown in the picture?", "rainbow", ("a rainbow",)
    ),
    UnrelatedPicture("bar-chart", "How many bars does the chart have?", "4", ("four",)),
    UnrelatedPicture(
        "triangle", "What shape is shown in the picture?", "triangle", ("a triangle",)
    ),
    UnrelatedPicture("circles", "How many circles are in the picture?", "3", ("three",)),
    UnrelatedPicture(
        "arrow", "In which direction does the arrow point?", "right", ("to the right",)
    ),
    UnrelatedPicture("smiley", "Does the face look happy or sad?", "happy"),
    UnrelatedPicture("house", "What building is shown in the picture?", "house", ("a house",)),
    UnrelatedPicture("tree", "What plant is shown in the picture?", "tree", ("a tree",)),
    UnrelatedPicture(
        "pie-chart",
        "What fraction of the pie chart is dark?",
        "1/4",
        ("one quarter", "a quarter", "25%", "one fourth"),
    ),
    UnrelatedPicture("hexagon", "How many sides does the shape have?", "6", ("six",)),
    UnrelatedPicture(
        "umbrella", "Which object that keeps off rain is shown?", "umbrella", ("an umbrella",)
    ),
    UnrelatedPicture(
        "balloon", "What toy on a string is shown in the picture?", "balloon", ("a balloon",)
    ),
)


@dataclass(frozen=True, slots=True)
class _Pen:
    """Draws in a frame whose unit square is the object's bounding box."""

    draw: ImageDraw.ImageDraw
    left: float
    top: float
    side: float

    def xy(self, x: float, y: float) -> tuple[float, float]:
        return self.left + x * self.side, self.top + y * self.side

    def polygon(self, points: list[tuple[float, float]], colour: str) -> None:
        self.draw.polygon([self.xy(x, y) for x, y in points], fill=colour)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: str) -> None:
        self.draw.rectangle((*self.xy(x0, y0), *self.xy(x1, y1)), fill=colour)

    def disc(self, x: float, y: float, r: float, colour: str) -> None:
        self.draw.ellipse((*self.xy(x - r, y - r), *self.xy(x + r, y + r)), fill=colour)

    def line(self, points: list[tuple[float, float]], width: float, colour: str) -> None:
        ends = [self.xy(x, y) for x, y in points]
        self.draw.line(ends, fill=colour, width=round(width * self.side), joint="curve")

    def pie(self, x: float, y: float, r: float, start: float, end: float, colour: str) -> None:
        """A sector, angles in degrees clockwise from three o'clock."""
        box = (*self.xy(x - r, y - r), *self.xy(x + r, y + r))
        self.draw.pieslice(box, start, end, fill=colour)

    def arc(
        self, x: float, y: float, r: float, span: tuple[float, float], width: float, colour: str
    ) -> None:
        box = (*self.xy(x - r, y - r), *self.xy(x + r, y + r))
        self.draw.arc(box, *span, fill=colour, width=round(width * self.side))


def _clock(pen: _Pen, paper: str) -> None:
    pen.disc(0.5, 0.5, 0.48, _INK)
    pen.disc(0.5, 0.5, 0.44, "#FBFBF7")
    for hour in range(12):
        a = math.radians(30 * hour)
        inner = 0.35 if hour % 3 == 0 else 0.38
        ends = [(0.5 + r * math.sin(a), 0.5 - r * math.cos(a)) for r in (inner, 0.415)]
        pen.line(ends, 0.024 if hour % 3 == 0 else 0.014, _INK)
    pen.line([(0.5, 0.53), (0.5, 0.14)], 0.022, _INK)
    pen.line([(0.47, 0.5), (0.74, 0.5)], 0.036, _INK)
    pen.disc(0.5, 0.5, 0.032, _INK)


def _traffic_light(pen: _Pen, paper: str) -> None:
    pen.box(0.46, 0.8, 0.54, 1.0, "#6B6B6B")
    pen.box(0.31, 0.02, 0.69, 0.84, "#33383B")
    for y, colour in ((0.17, "#F0281E"), (0.43, "#54491F"), (0.69, "#1F4A2B")):
        pen.disc(0.5, y, 0.115, colour)


def _die(pen: _Pen, paper: str) -> None:
    box = (*pen.xy(0.1, 0.1), *pen.xy(0.9, 0.9))
    pen.draw.rounded_rectangle(
        box, pen.side * 0.12, fill="#FDFDFA", outline=_INK, width=round(pen.side * 0.02)
    )
    for x, y in ((0.29, 0.29), (0.71, 0.29), (0.5, 0.5), (0.29, 0.71), (0.71, 0.71)):
        pen.disc(x, y, 0.075, _INK)


def _chessboard(pen: _Pen, paper: str) -> None:
    pen.box(0.02, 0.02, 0.98, 0.98, "#5A3A22")
    step = 0.9 / 8
    for row in range(8):
        for column in range(8):
            x, y = 0.05 + column * step, 0.05 + row * step
            dark = (row + column) % 2
            pen.box(x, y, x + step, y + step, "#8A5A34" if dark else "#EBD3A8")


def _rainbow(pen: _Pen, paper: str) -> None:
    colours = ("#D7263D", "#F46A1F", "#F9C80E", "#3CA55C", "#2D7DD2", "#4B3F9E", "#7B2D8B")
    for i, colour in enumerate(colours):
        pen.arc(0.5, 0.75, 0.5 - 0.045 * i, (180, 360), 0.05, colour)


def _bar_chart(pen: _Pen, paper: str) -> None:
    for i, height in enumerate((0.35, 0.6, 0.45, 0.8)):
        x = 0.16 + 0.2 * i
        pen.box(x, 0.92 - height, x + 0.13, 0.92, "#3F6C8F")
    pen.line([(0.1, 0.04), (0.1, 0.92), (0.98, 0.92)], 0.02, _INK)


def _triangle(pen: _Pen, paper: str) -> None:
    pen.polygon([(0.5, 0.08), (0.97, 0.9), (0.03, 0.9)], "#B23A48")


def _circles(pen: _Pen, paper: str) -> None:
    for x, y in ((0.26, 0.72), (0.74, 0.7), (0.5, 0.26)):
        pen.disc(x, y, 0.19, "#37718E")


def _arrow(pen: _Pen, paper: str) -> None:
    pen.box(0.04, 0.42, 0.62, 0.58, _INK)
    pen.polygon([(0.6, 0.24), (0.97, 0.5), (0.6, 0.76)], _INK)


def _smiley(pen: _Pen, paper: str) -> None:
    pen.disc(0.5, 0.5, 0.48, _INK)
    pen.disc(0.5, 0.5, 0.455, "#F6C945")
    pen.disc(0.34, 0.38, 0.055, _INK)
    pen.disc(0.66, 0.38, 0.055, _INK)
    pen.arc(0.5, 0.5, 0.29, (25, 155), 0.04, _INK)


def _house(pen: _Pen, paper: str) -> None:
    pen.box(0.68, 0.16, 0.78, 0.4, "#7D5A4A")
    pen.box(0.15, 0.46, 0.85, 0.96, "#D8B98A")
    pen.polygon([(0.5, 0.06), (0.95, 0.48), (0.05, 0.48)], "#8C4A3B")
    pen.box(0.42, 0.64, 0.58, 0.96, "#5B4032")
    for x in (0.22, 0.66):
        pen.box(x, 0.58, x + 0.13, 0.72, "#A9C4D4")


def _tree(pen: _Pen, paper: str) -> None:
    pen.box(0.44, 0.58, 0.56, 0.98, "#6E4B32")
    for x, y, r in ((0.32, 0.46, 0.2), (0.68, 0.46, 0.2), (0.5, 0.28, 0.25), (0.5, 0.5, 0.2)):
        pen.disc(x, y, r, "#4E7A3F")


def _pie_chart(pen: _Pen, paper: str) -> None:
    pen.disc(0.5, 0.5, 0.47, "#C9D2D8")
    pen.pie(0.5, 0.5, 0.47, -90, 0, "#33475B")


def _hexagon(pen: _Pen, paper: str) -> None:
    angles = [math.radians(60 * i) for i in range(6)]
    pen.polygon([(0.5 + 0.48 * math.cos(a), 0.5 + 0.48 * math.sin(a)) for a in angles], "#6A5D8C")


def _umbrella(pen: _Pen, paper: str) -> None:
    pen.line([(0.5, 0.02), (0.5, 0.88)], 0.03, _INK)
    pen.arc(0.585, 0.86, 0.1, (0, 180), 0.03, _INK)
    pen.pie(0.5, 0.52, 0.45, 180, 360, "#7A3E6A")
    for i in range(4):
        pen.disc(0.1625 + 0.225 * i, 0.52, 0.1125, paper)
    pen.line([(0.5, 0.42), (0.5, 0.88)], 0.03, _INK)


def _balloon(pen: _Pen, paper: str) -> None:
    pen.line([(0.5, 0.66), (0.46, 0.78), (0.54, 0.88), (0.49, 0.99)], 0.012, _INK)
    pen.draw.ellipse((*pen.xy(0.22, 0.02), *pen.xy(0.78, 0.66)), fill="#C2553F")
    pen.polygon([(0.5, 0.64), (0.55, 0.71), (0.45, 0.71)], "#C2553F")
    pen.draw.ellipse((*pen.xy(0.33, 0.12), *pen.xy(0.43, 0.28)), fill="#DD8A77")


_DRAWINGS: Mapping[str, Callable[[_Pen, str], None]] = MappingProxyType(
    {
        "clock": _clock,
        "traffic-light": _traffic_light,
        "die": _die,
        "chessboard": _chessboard,
        "rainbow": _rainbow,
        "bar-chart": _bar_chart,
        "triangle": _triangle,
        "circles": _circles,
        "arrow": _arrow,
        "smiley": _smiley,
        "house": _house,
        "tree": _tree,
        "pie-chart": _pie_chart,
        "hexagon": _hexagon,
        "umbrella": _umbrella,
        "balloon": _balloon,
    }
)


def render_unrelated(key: str, seed: int, size: int = 256) -> Image.Image:
    """The picture `size` pixels square, RGB; seed moves and scales it and picks the paper.

    Raises:
        InputError: If no such picture is drawn, or the size is below 64.
    """
    if key not in _DRAWINGS:
        raise InputError(f"no unrelated picture has the key {key!r}")
    if size < 64:
        raise InputError(f"a picture needs a side of at least 64 pixels, not {size}")
    rng = Random(f"unrelated {key} {seed}")
    paper = rng.choice(_PAPERS)
    big = size * _SUPERSAMPLE
    side = big * rng.uniform(0.6, 0.84)
    image = Image.new("RGB", (big, big), paper)
    room = big - side
    left, top = room * rng.uniform(0.15, 0.85), room * rng.uniform(0.15, 0.85)
    _DRAWINGS[key](_Pen(ImageDraw.Draw(image), left, top, side), paper)
    return image.reduce(_SUPERSAMPLE)
