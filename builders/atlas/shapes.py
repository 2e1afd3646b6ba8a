"""The geometric vocabulary in which flags are written down, and its rasteriser.

Coordinates are in the units of each flag's own construction sheet: x to the right from the hoist,
y down from the top. Shapes are painted in order, each over what is there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

from PIL import Image, ImageChops, ImageDraw

Point = tuple[float, float]

#: Inner over outer radius of a pentagram, the star whose edges run straight through.
PENTAGRAM = math.sin(math.radians(18)) / math.sin(math.radians(54))

UP, RIGHT, LEFT = 0.0, 90.0, -90.0

_SUPERSAMPLE = 4


@dataclass(frozen=True, slots=True)
class Canvas:
    """A picture being painted, with the pixels per flag unit along x and y.

    The two differ by less than one pixel over the picture: its width is a whole number.
    """

    image: Image.Image
    scale: Point
    draw: ImageDraw.ImageDraw = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "draw", ImageDraw.Draw(self.image))

    def polygon(self, points: tuple[Point, ...], colour: str) -> None:
        """Fills a polygon given in flag units."""
        # Pixel centres sit at half coordinates; Pillow's at whole ones.
        sx, sy = self.scale
        self.draw.polygon([(x * sx - 0.5, y * sy - 0.5) for x, y in points], fill=colour)

    def circle_box(self, x: float, y: float, r: float) -> tuple[float, float, float, float]:
        """The bounding box of a circle, in Pillow's pixel coordinates."""
        sx, sy = self.scale
        return ((x - r) * sx - 0.5, (y - r) * sy - 0.5, (x + r) * sx - 0.5, (y + r) * sy - 0.5)


class Shape(Protocol):
    """Something that can be painted on a canvas."""

    def paint(self, canvas: Canvas) -> None:
        """Paints the shape over what the canvas shows."""
        ...


@dataclass(frozen=True, slots=True)
class Rect:
    """An upright rectangle from (x0, y0) to (x1, y1)."""

    x0: float
    y0: float
    x1: float
    y1: float
    colour: str

    def paint(self, canvas: Canvas) -> None:
        """Paints the rectangle."""
        sx, sy = canvas.scale
        left, right = round(self.x0 * sx), round(self.x1 * sx)
        top, bottom = round(self.y0 * sy), round(self.y1 * sy)
        canvas.draw.rectangle((left, top, right - 1, bottom - 1), fill=self.colour)


@dataclass(frozen=True, slots=True)
class Polygon:
    """A filled polygon."""

    points: tuple[Point, ...]
    colour: str

    def paint(self, canvas: Canvas) -> None:
        """Paints the polygon."""
        canvas.polygon(self.points, self.colour)


@dataclass(frozen=True, slots=True)
class Band:
    """A straight band of the given width around the line from start to end."""

    start: Point
    end: Point
    width: float
    colour: str

    def paint(self, canvas: Canvas) -> None:
        """Paints the band with square ends."""
        (x0, y0), (x1, y1) = self.start, self.end
        length = math.hypot(x1 - x0, y1 - y0)
        nx, ny = -(y1 - y0) / length * self.width / 2, (x1 - x0) / length * self.width / 2
        canvas.polygon(
            ((x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)),
            self.colour,
        )


@dataclass(frozen=True, slots=True)
class Disc:
    """A filled circle."""

    x: float
    y: float
    r: float
    colour: str

    def paint(self, canvas: Canvas) -> None:
        """Paints the disc."""
        canvas.draw.ellipse(canvas.circle_box(self.x, self.y, self.r), fill=self.colour)


@dataclass(frozen=True, slots=True)
class Crescent:
    """The disc (x, y, r) less the disc (cut_x, cut_y, cut_r)."""

    x: float
    y: float
    r: float
    cut_x: float
    cut_y: float
    cut_r: float
    colour: str

    def paint(self, canvas: Canvas) -> None:
        """Paints the crescent and leaves what lies under the cut as it was."""
        moon = Image.new("L", canvas.image.size, 0)
        ImageDraw.Draw(moon).ellipse(canvas.circle_box(self.x, self.y, self.r), fill=255)
        cut = Image.new("L", canvas.image.size, 255)
        ImageDraw.Draw(cut).ellipse(canvas.circle_box(self.cut_x, self.cut_y, self.cut_r), fill=0)
        canvas.image.paste(self.colour, mask=ImageChops.darker(moon, cut))


@dataclass(frozen=True, slots=True)
class Star:
    """A regular star with its first tip `turn` degrees clockwise from the top."""

    x: float
    y: float
    r: float
    colour: str
    tips: int = 5
    inner: float = PENTAGRAM
    turn: float = UP

    def outline(self) -> tuple[Point, ...]:
        """The corners, tips and notches in turn, clockwise."""
        step = math.pi / self.tips
        return tuple(
            (
                self.x + radius * math.sin(math.radians(self.turn) + i * step),
                self.y - radius * math.cos(math.radians(self.turn) + i * step),
            )
            for i in range(2 * self.tips)
            for radius in ((self.r * self.inner) if i % 2 else self.r,)
        )

    def paint(self, canvas: Canvas) -> None:
        """Paints the star."""
        canvas.polygon(self.outline(), self.colour)


@dataclass(frozen=True, slots=True)
class Strokes:
    """A closed line of the given width through points, with mitred look at sharp corners."""

    points: tuple[Point, ...]
    width: float
    colour: str

    def paint(self, canvas: Canvas) -> None:
        """Paints every side as a band, and a disc at each corner."""
        for start, end in zip(self.points, self.points[1:] + self.points[:1], strict=True):
            Band(start, end, self.width, self.colour).paint(canvas)
        for x, y in self.points:
            Disc(x, y, self.width / 2, self.colour).paint(canvas)


@dataclass(frozen=True, slots=True)
class FlagSpec:
    """How a flag is constructed.

    Attributes:
        size: Width and height in the units that the layers use; their ratio is the official one.
        layers: Shapes in painting order.
        variant: "national", or "civil" where the civil flag is the one without arms.
    """

    size: tuple[float, float]
    layers: tuple[Shape, ...]
    variant: str = "national"

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.size[0] / self.size[1]


def rasterise(spec: FlagSpec, height: int) -> Image.Image:
    """Draws a flag `height` pixels high, RGB, anti-aliased by 4 x 4 supersampling."""
    width = round(height * spec.aspect)
    big = Image.new("RGB", (width * _SUPERSAMPLE, height * _SUPERSAMPLE), "#ffffff")
    canvas = Canvas(big, (big.width / spec.size[0], big.height / spec.size[1]))
    for layer in spec.layers:
        layer.paint(canvas)
    return big.reduce(_SUPERSAMPLE)


def across(size: tuple[float, float], *stripes: tuple[float, str]) -> tuple[Shape, ...]:
    """Horizontal stripes (weight, colour) from the top that fill the flag."""
    return _stripes(size, stripes, vertical=False)


def upright(size: tuple[float, float], *stripes: tuple[float, str]) -> tuple[Shape, ...]:
    """Vertical stripes (weight, colour) from the hoist that fill the flag."""
    return _stripes(size, stripes, vertical=True)


def _stripes(
    size: tuple[float, float], stripes: tuple[tuple[float, str], ...], *, vertical: bool
) -> tuple[Shape, ...]:
    width, height = size
    unit = (width if vertical else height) / sum(weight for weight, _ in stripes)
    shapes: list[Shape] = []
    at = 0.0
    for weight, colour in stripes:
        end = at + weight * unit
        shapes.append(
            Rect(at, 0, end, height, colour) if vertical else Rect(0, at, width, end, colour)
        )
        at = end
    return tuple(shapes)


def cross(
    size: tuple[float, float], x: tuple[float, float], y: tuple[float, float], colour: str
) -> tuple[Shape, ...]:
    """A cross whose upright fills the x range and whose arm fills the y range, edge to edge."""
    return (Rect(x[0], 0, x[1], size[1], colour), Rect(0, y[0], size[0], y[1], colour))


def hoist_triangle(size: tuple[float, float], apex: float, colour: str) -> Polygon:
    """A triangle on the whole hoist with its apex at (apex, middle)."""
    return Polygon(((0, 0), (apex, size[1] / 2), (0, size[1])), colour)


def union_jack(width: float, height: float) -> tuple[Shape, ...]:
    """The Union Flag in the upper hoist corner; drawn for a 2:1 canton."""
    blue, white, red = "#012169", "#FFFFFF", "#C8102E"
    u = height / 30
    slant = math.sqrt(5)  # Vertical extent of a diagonal half-width of 2 units in a 60 x 30 field.

    def at(*points: Point) -> tuple[Point, ...]:
        return tuple((x * width / 60, y * u) for x, y in points)

    # Diagonals stop at the canton's edge, which a plain band would overshoot.
    w = 3 * slant / 2
    field_size = (width, height)
    return (
        Rect(0, 0, width, height, blue),
        Polygon(at((0, 0), (2 * w, 0), (60, 30 - w), (60, 30), (60 - 2 * w, 30), (0, w)), white),
        Polygon(at((60, 0), (60 - 2 * w, 0), (0, 30 - w), (0, 30), (2 * w, 30), (60, w)), white),
        Polygon(at((0, 0), (30, 15), (30, 15 + slant), (0, slant)), red),
        Polygon(at((30, 15), (60, 30), (60, 30 - slant), (30, 15 - slant)), red),
        Polygon(at((30, 15), (0, 30), (2 * slant, 30), (30, 15 + slant)), red),
        Polygon(at((30, 15), (60, 0), (60 - 2 * slant, 0), (30, 15 - slant)), red),
        *cross(field_size, (width * 25 / 60, width * 35 / 60), (10 * u, 20 * u), white),
        *cross(field_size, (width * 27 / 60, width * 33 / 60), (12 * u, 18 * u), red),
    )
