"""Construction of every flag in the atlas, keyed by ISO 3166-1 alpha-2 code.

A table, hence its length. Proportions are the official ones; colours are the ones given by law or,
where the law names only "red", the usual rendering. Flags with arms, animals, plants or lettering
are left out; `variant="civil"` marks the countries whose civil flag is the plain one.
"""

from __future__ import annotations

import math
from types import MappingProxyType

from builders.atlas.shapes import (
    LEFT,
    RIGHT,
    Band,
    Crescent,
    Disc,
    FlagSpec,
    Polygon,
    Rect,
    Shape,
    Star,
    Strokes,
    across,
    cross,
    hoist_triangle,
    union_jack,
    upright,
)

WHITE, BLACK = "#FFFFFF", "#000000"

#: Height of an equilateral triangle over its side: where its apex lies on a flag of height 1.
EQUILATERAL = math.sqrt(3) / 2


def _across(width: float, height: float, *stripes: tuple[float, str]) -> FlagSpec:
    return FlagSpec((width, height), across((width, height), *stripes))


def _upright(width: float, height: float, *stripes: tuple[float, str]) -> FlagSpec:
    return FlagSpec((width, height), upright((width, height), *stripes))


def _even(*colours: str) -> tuple[tuple[float, str], ...]:
    return tuple((1.0, colour) for colour in colours)


def _ring(
    count: int, x: float, y: float, radius: float, star: float, colour: str
) -> tuple[Shape, ...]:
    """Upright five-pointed stars evenly on a circle, the first at the top."""
    angles = [2 * math.pi * i / count for i in range(count)]
    return tuple(
        Star(x + radius * math.sin(a), y - radius * math.cos(a), star, colour) for a in angles
    )


def _rays(
    count: int, x: float, y: float, inner: float, outer: float, half_width: float, colour: str
) -> tuple[Shape, ...]:
    """Triangular rays with their bases on the circle `inner` and their tips on `outer`."""
    rays = []
    for i in range(count):
        a = 2 * math.pi * i / count
        s, c = math.sin(a), -math.cos(a)
        base = (x + inner * s, y + inner * c)
        rays.append(
            Polygon(
                (
                    (base[0] + half_width * c, base[1] - half_width * s),
                    (x + outer * s, y + outer * c),
                    (base[0] - half_width * c, base[1] + half_width * s),
                ),
                colour,
            )
        )
    return tuple(rays)


def _bosnia() -> FlagSpec:
    blue, yellow = "#002395", "#FECB00"
    stars = tuple(Star(132 + 50 * i, 50 * i, 38, WHITE) for i in range(9))
    ground = (Rect(0, 0, 800, 400, blue), Polygon(((212, 0), (612, 0), (612, 400)), yellow))
    return FlagSpec((800, 400), ground + stars)


def _burundi() -> FlagSpec:
    red, green = "#CE1126", "#1EB53A"
    stars: list[Shape] = []
    for turn in (0, 120, 240):
        x = 250 + 42 * math.sin(math.radians(turn))
        y = 150 - 42 * math.cos(math.radians(turn))
        stars += [
            Star(x, y, 25, green, tips=6, inner=1 / math.sqrt(3)),
            Star(x, y, 19, red, tips=6, inner=1 / math.sqrt(3)),
        ]
    return FlagSpec(
        (500, 300),
        (
            Rect(0, 0, 500, 300, red),
            Polygon(((0, 0), (250, 150), (0, 300)), green),
            Polygon(((500, 0), (250, 150), (500, 300)), green),
            Band((-50, -30), (550, 330), 40, WHITE),
            Band((-50, 330), (550, -30), 40, WHITE),
            Disc(250, 150, 85, WHITE),
            *stars,
        ),
    )


def _china() -> FlagSpec:
    yellow = "#FFFF00"
    small = []
    for x, y in ((10, 2), (12, 4), (12, 7), (10, 9)):
        # Each small star points at the centre of the large one.
        turn = math.degrees(math.atan2(5 - x, y - 5))
        small.append(Star(x, y, 1, yellow, turn=turn))
    return FlagSpec((30, 20), (Rect(0, 0, 30, 20, "#EE1C25"), Star(5, 5, 3, yellow), *small))


def _georgia() -> FlagSpec:
    red = "#DA291C"

    def pattee(x: float, y: float) -> tuple[Shape, ...]:
        arm = ((-4.0, 0.0), (-7.5, -17.5), (7.5, -17.5), (4.0, 0.0))
        turned = (
            arm,
            tuple((-v, u) for u, v in arm),
            tuple((-u, -v) for u, v in arm),
            tuple((v, -u) for u, v in arm),
        )
        return tuple(Polygon(tuple((x + u, y + v) for u, v in points), red) for points in turned)

    return FlagSpec(
        (300, 200),
        (
            Rect(0, 0, 300, 200, WHITE),
            *cross((300, 200), (130, 170), (80, 120), red),
            *(s for x in (65, 235) for y in (40, 160) for s in pattee(x, y)),
        ),
    )


def _greece() -> FlagSpec:
    blue = "#0D5EAF"
    stripes = across((27, 18), *((1.0, WHITE if i % 2 else blue) for i in range(9)))
    canton = (Rect(0, 0, 10, 10, blue), *cross((10, 10), (4, 6), (4, 6), WHITE))
    return FlagSpec((27, 18), stripes + canton)


def _india() -> FlagSpec:
    navy = "#06038D"
    x, y, r = 1.5, 1.0, 0.308
    spokes = []
    for i in range(24):
        a = math.pi * i / 12
        spokes.append(Band((x, y), (x + 0.27 * math.sin(a), y - 0.27 * math.cos(a)), 0.013, navy))
    return FlagSpec(
        (3, 2),
        (
            *across((3, 2), (1, "#FF671F"), (1, WHITE), (1, "#046A38")),
            Disc(x, y, r, navy),
            Disc(x, y, r - 0.043, WHITE),
            *spokes,
            Disc(x, y, 0.055, navy),
        ),
    )


def _israel() -> FlagSpec:
    blue = "#0038B8"
    triangles = []
    for turn in (0, 60):
        corners = tuple(
            (
                110 + 33 * math.sin(math.radians(turn + 120 * i)),
                80 - 33 * math.cos(math.radians(turn + 120 * i)),
            )
            for i in range(3)
        )
        triangles.append(Strokes(corners, 5.5, blue))
    return FlagSpec(
        (220, 160),
        (
            Rect(0, 0, 220, 160, WHITE),
            Rect(0, 15, 220, 40, blue),
            Rect(0, 120, 220, 145, blue),
            *triangles,
        ),
    )


def _liberia() -> FlagSpec:
    red = "#BF0A30"
    stripes = across((20.9, 11), *((1.0, WHITE if i % 2 else red) for i in range(11)))
    return FlagSpec((20.9, 11), (*stripes, Rect(0, 0, 5, 5, "#002868"), Star(2.5, 2.6, 1.7, WHITE)))


def _malaysia() -> FlagSpec:
    yellow = "#FFCC00"
    stripes = across((28, 14), *((1.0, WHITE if i % 2 else "#CC0000") for i in range(14)))
    return FlagSpec(
        (28, 14),
        (
            *stripes,
            Rect(0, 0, 14, 8, "#010066"),
            Crescent(5.3, 4, 2.85, 6.15, 4, 2.5, yellow),
            Star(8.9, 4, 2.1, yellow, tips=14, inner=0.55),
        ),
    )


def _morocco() -> FlagSpec:
    tips = tuple(
        (
            450 + 145 * math.sin(math.radians(144 * i)),
            305 - 145 * math.cos(math.radians(144 * i)),
        )
        for i in range(5)
    )
    return FlagSpec((900, 600), (Rect(0, 0, 900, 600, "#C1272D"), Strokes(tips, 25, "#006233")))


def _new_zealand() -> FlagSpec:
    red = "#C8102E"
    stars: list[Shape] = []
    for x, y, r in ((900, 120, 38), (806, 252, 42), (984, 222, 34), (900, 480, 48)):
        stars += [Star(x, y, r + 14, WHITE), Star(x, y, r, red)]
    return FlagSpec((1200, 600), (Rect(0, 0, 1200, 600, "#012169"), *union_jack(600, 300), *stars))


def _australia() -> FlagSpec:
    def star7(x: float, y: float, r: float) -> Star:
        return Star(x, y, r, WHITE, tips=7, inner=4 / 9)

    return FlagSpec(
        (2, 1),
        (
            Rect(0, 0, 2, 1, "#012169"),
            *union_jack(1, 0.5),
            star7(0.5, 0.75, 0.15),
            star7(1.5, 5 / 6, 1 / 14),
            star7(1.25, 0.5 - 1 / 16, 1 / 14),
            star7(1.5, 1 / 6, 1 / 14),
            star7(1.5 + 2 / 9, 0.5 - 31 / 240, 1 / 14),
            Star(1.6, 0.5 + 1 / 24, 1 / 24, WHITE, inner=4 / 9),
        ),
    )


def _pakistan() -> FlagSpec:
    # Distances run along the diagonal from the upper fly corner to the green field's lower hoist.
    length = math.hypot(675, 600)
    dx, dy = -675 / length, 600 / length
    return FlagSpec(
        (900, 600),
        (
            Rect(0, 0, 900, 600, "#01411C"),
            Rect(0, 0, 225, 600, WHITE),
            Crescent(562.5, 300, 180, 900 + 390 * dx, 390 * dy, 165, WHITE),
            Star(
                900 + 300 * dx,
                300 * dy,
                60,
                WHITE,
                turn=math.degrees(math.atan2(-dx, dy)),
            ),
        ),
    )


def _serrated(width: float, height: float, notch: float, tip: float, teeth: int) -> Polygon:
    """A white hoist whose edge zigzags between x = notch and x = tip."""
    step = height / teeth
    edge: list[tuple[float, float]] = [(notch, 0.0)]
    for i in range(teeth):
        edge += [(tip, (i + 0.5) * step), (notch, (i + 1) * step)]
    return Polygon(((0, 0), *edge, (0, height)), WHITE)


def _south_africa() -> FlagSpec:
    green, gold = "#007749", "#FFB81C"
    upper, lower, fork, fly = (-15.0, -10.0), (-15.0, 70.0), (45.0, 30.0), (100.0, 30.0)
    shift = 10 * math.hypot(45, 30) / 30  # How far a 10-unit border moves the apex.
    return FlagSpec(
        (90, 60),
        (
            Rect(0, 0, 90, 30, "#E03C31"),
            Rect(0, 30, 90, 60, "#001489"),
            *(Band(a, b, 20, WHITE) for a, b in ((upper, fork), (lower, fork), (fork, fly))),
            hoist_triangle((90, 60), 45, gold),
            Polygon(((-shift, 0), (45 - shift, 30), (-shift, 60)), BLACK),
            *(Band(a, b, 12, green) for a, b in ((upper, fork), (lower, fork), (fork, fly))),
        ),
    )


def _united_states() -> FlagSpec:
    stripes = across((1.9, 1), *((1.0, WHITE if i % 2 else "#B31942") for i in range(13)))
    stars = tuple(
        Star(0.0633 * (column + 1), 0.0538 * (row + 1), 0.0308, WHITE)
        for row in range(9)
        for column in range(row % 2, 11, 2)
    )
    return FlagSpec((1.9, 1), (*stripes, Rect(0, 0, 0.76, 7 / 13, "#0A3161"), *stars))


def _venezuela() -> FlagSpec:
    arc = []
    for i in range(8):
        a = math.radians(-70 + 20 * i)
        arc.append(Star(4.5 + 1.5 * math.sin(a), 4.05 - 1.5 * math.cos(a), 0.2, WHITE))
    ground = across((9, 6), *_even("#FFCC00", "#00247D", "#CF142B"))
    return FlagSpec((9, 6), (*ground, *arc), variant="civil")


def _diagonal(
    size: tuple[float, float], upper: str, lower: str, *bands: tuple[float, str]
) -> tuple[Shape, ...]:
    """Bands (share of the edge on each side, colour) from the lower hoist to the upper fly."""
    w, h = size
    shapes: list[Shape] = [Rect(0, 0, w, h, lower), Polygon(((0, 0), (w, 0), (0, h)), upper)]
    for share, colour in bands:
        dx, dy = share * w, share * h
        outline = ((0, h), (0, h - dy), (w - dx, 0), (w, 0), (w, dy), (dx, h))
        shapes.append(Polygon(outline, colour))
    return tuple(shapes)


FLAGS: MappingProxyType[str, FlagSpec] = MappingProxyType(
    {
        "AE": FlagSpec(
            (12, 6),
            (
                *across((12, 6), *_even("#00732F", WHITE, BLACK)),
                Rect(0, 0, 3, 6, "#FF0000"),
            ),
        ),
        "AM": _across(2, 1, *_even("#D90012", "#0033A0", "#F2A800")),
        "AT": _across(3, 2, *_even("#C8102E", WHITE, "#C8102E")),
        "AU": _australia(),
        "AZ": FlagSpec(
            (1200, 600),
            (
                *across((1200, 600), *_even("#00B5E2", "#EF3340", "#509E2F")),
                Crescent(580, 300, 90, 595, 300, 75, WHITE),
                Star(670, 300, 50, WHITE, tips=8, inner=0.58),
            ),
        ),
        "BA": _bosnia(),
        "BD": FlagSpec((10, 6), (Rect(0, 0, 10, 6, "#006A4E"), Disc(4.5, 3, 2, "#F42A41"))),
        "BE": _upright(15, 13, *_even(BLACK, "#FDDA24", "#EF3340")),
        "BF": FlagSpec(
            (9, 6), (*across((9, 6), *_even("#EF2B2D", "#009E49")), Star(4.5, 3.1, 1.3, "#FCD116"))
        ),
        "BG": _across(5, 3, *_even(WHITE, "#00966E", "#D62612")),
        "BH": FlagSpec(
            (1250, 750),
            (Rect(0, 0, 1250, 750, "#DA291C"), _serrated(1250, 750, 400, 600, 5)),
        ),
        "BI": _burundi(),
        "BJ": FlagSpec(
            (15, 10),
            (
                *across((15, 10), *_even("#FCD116", "#E8112D")),
                Rect(0, 0, 6, 10, "#008751"),
            ),
        ),
        "BO": FlagSpec(
            (22, 15), across((22, 15), *_even("#DA291C", "#F4E400", "#007A33")), variant="civil"
        ),
        "BS": FlagSpec(
            (2, 1),
            (
                *across((2, 1), *_even("#00778B", "#FFC72C", "#00778B")),
                hoist_triangle((2, 1), EQUILATERAL, BLACK),
            ),
        ),
        "BW": _across(3, 2, (9, "#75AADB"), (1, WHITE), (4, BLACK), (1, WHITE), (9, "#75AADB")),
        "CD": FlagSpec(
            (800, 600),
            (
                *_diagonal((800, 600), "#007FFF", "#007FFF", (0.26, "#F7D618"), (0.19, "#CE1021")),
                Star(130, 125, 95, "#F7D618"),
            ),
        ),
        "CF": FlagSpec(
            (900, 600),
            (
                *across((900, 600), *_even("#003082", WHITE, "#289728", "#FFCE00")),
                Rect(375, 0, 525, 600, "#D21034"),
                Star(187.5, 80, 62, "#FFCE00"),
            ),
        ),
        "CG": FlagSpec(
            (900, 600),
            (
                Rect(0, 0, 900, 600, "#FBDE4A"),
                Polygon(((0, 0), (600, 0), (0, 600)), "#009543"),
                Polygon(((900, 600), (900, 0), (300, 600)), "#DC241F"),
            ),
        ),
        "CH": FlagSpec(
            (32, 32),
            (
                Rect(0, 0, 32, 32, "#DA291C"),
                Rect(13, 6, 19, 26, WHITE),
                Rect(6, 13, 26, 19, WHITE),
            ),
        ),
        "CI": _upright(3, 2, *_even("#FF8200", WHITE, "#009A44")),
        "CL": FlagSpec(
            (3, 2),
            (
                *across((3, 2), *_even(WHITE, "#DA291C")),
                Rect(0, 0, 1, 1, "#0032A0"),
                Star(0.5, 0.5, 0.25, WHITE),
            ),
        ),
        "CM": FlagSpec(
            (3, 2),
            (
                *upright((3, 2), *_even("#007A5E", "#CE1126", "#FCD116")),
                Star(1.5, 1.03, 0.36, "#FCD116"),
            ),
        ),
        "CN": _china(),
        "CO": _across(3, 2, (2, "#FCD116"), (1, "#003893"), (1, "#CE1126")),
        "CR": FlagSpec(
            (5, 3),
            across(
                (5, 3),
                (1, "#00205B"),
                (1, WHITE),
                (2, "#EF3340"),
                (1, WHITE),
                (1, "#00205B"),
            ),
            variant="civil",
        ),
        "CU": FlagSpec(
            (2, 1),
            (
                *across((2, 1), *_even("#002A8F", WHITE, "#002A8F", WHITE, "#002A8F")),
                hoist_triangle((2, 1), EQUILATERAL, "#CF142B"),
                Star(EQUILATERAL / 3, 0.5, 1 / 6, WHITE),
            ),
        ),
        "CV": FlagSpec(
            (17, 10),
            (
                *across(
                    (17, 10),
                    (6, "#003893"),
                    (1, WHITE),
                    (1, "#CF2027"),
                    (1, WHITE),
                    (3, "#003893"),
                ),
                *_ring(10, 6.375, 6.25, 2.5, 0.6, "#F7D116"),
            ),
        ),
        "CZ": FlagSpec(
            (3, 2),
            (
                *across((3, 2), *_even(WHITE, "#D7141A")),
                hoist_triangle((3, 2), 1.5, "#11457E"),
            ),
        ),
        "DE": _across(5, 3, *_even(BLACK, "#DD0000", "#FFCC00")),
        "DJ": FlagSpec(
            (3, 2),
            (
                *across((3, 2), *_even("#6AB2E7", "#12AD2B")),
                hoist_triangle((3, 2), 2 * EQUILATERAL, WHITE),
                Star(2 * EQUILATERAL / 3, 1, 0.3, "#D7141A"),
            ),
        ),
        "DK": FlagSpec(
            (37, 28),
            (Rect(0, 0, 37, 28, "#C8102E"), *cross((37, 28), (12, 16), (12, 16), WHITE)),
        ),
        "DZ": FlagSpec(
            (900, 600),
            (
                *upright((900, 600), *_even("#006633", WHITE)),
                Crescent(450, 300, 150, 486.2, 300, 120, "#D21034"),
                Star(510.7, 300, 75, "#D21034", turn=RIGHT),
            ),
        ),
        "EE": _across(11, 7, *_even("#0072CE", BLACK, WHITE)),
        "FI": FlagSpec(
            (18, 11),
            (Rect(0, 0, 18, 11, WHITE), *cross((18, 11), (5, 8), (4, 7), "#002F6C")),
        ),
        "FR": _upright(3, 2, *_even("#000091", WHITE, "#E1000F")),
        "GA": _across(4, 3, *_even("#009E60", "#FCD116", "#3A75C4")),
        "GB": FlagSpec((60, 30), union_jack(60, 30)),
        "GE": _georgia(),
        "GH": FlagSpec(
            (3, 2),
            (
                *across((3, 2), *_even("#CE1126", "#FCD116", "#006B3F")),
                Star(1.5, 1.035, 0.368, BLACK),
            ),
        ),
        "GM": _across(3, 2, (6, "#CE1126"), (1, WHITE), (4, "#0C1C8C"), (1, WHITE), (6, "#3A7728")),
        "GN": _upright(3, 2, *_even("#CE1126", "#FCD116", "#009460")),
        "GR": _greece(),
        "GW": FlagSpec(
            (12, 6),
            (
                *across((12, 6), *_even("#FCD116", "#009E49")),
                Rect(0, 0, 4, 6, "#CE1126"),
                Star(2, 3.1, 1.1, BLACK),
            ),
        ),
        "GY": FlagSpec(
            (500, 300),
            (
                Rect(0, 0, 500, 300, "#009E49"),
                hoist_triangle((500, 300), 500, WHITE),
                Polygon(((0, 9), (470, 150), (0, 291)), "#FCD116"),
                hoist_triangle((500, 300), 250, BLACK),
                Polygon(((0, 15), (225, 150), (0, 285)), "#CE1126"),
            ),
        ),
        "HN": FlagSpec(
            (1000, 500),
            (
                *across((1000, 500), *_even("#00BCE4", WHITE, "#00BCE4")),
                *(
                    Star(x, y, 30, "#00BCE4")
                    for x, y in ((400, 208), (600, 208), (500, 253), (400, 298), (600, 298))
                ),
            ),
        ),
        "HU": _across(2, 1, *_even("#CE2939", WHITE, "#477050")),
        "ID": _across(3, 2, *_even("#FF0000", WHITE)),
        "IE": _upright(2, 1, *_even("#169B62", WHITE, "#FF883E")),
        "IL": _israel(),
        "IN": _india(),
        "IS": FlagSpec(
            (25, 18),
            (
                Rect(0, 0, 25, 18, "#02529C"),
                *cross((25, 18), (7, 11), (7, 11), WHITE),
                *cross((25, 18), (8, 10), (8, 10), "#DC1E35"),
            ),
        ),
        "IT": _upright(3, 2, *_even("#008C45", "#F4F5F0", "#CD212A")),
        "JM": FlagSpec(
            (600, 300),
            (
                Rect(0, 0, 600, 300, "#009B3A"),
                Polygon(((0, 0), (300, 150), (0, 300)), BLACK),
                Polygon(((600, 0), (300, 150), (600, 300)), BLACK),
                Band((-60, -30), (660, 330), 50, "#FED100"),
                Band((-60, 330), (660, -30), 50, "#FED100"),
            ),
        ),
        "JO": FlagSpec(
            (1008, 504),
            (
                *across((1008, 504), *_even(BLACK, WHITE, "#007A3D")),
                hoist_triangle((1008, 504), 504, "#CE1126"),
                Star(168, 252, 36, WHITE, tips=7, inner=0.45),
            ),
        ),
        "JP": FlagSpec((3, 2), (Rect(0, 0, 3, 2, WHITE), Disc(1.5, 1, 0.6, "#BC002D"))),
        "KM": FlagSpec(
            (500, 300),
            (
                *across((500, 300), *_even("#FFC61E", WHITE, "#CE1126", "#3A75C4")),
                hoist_triangle((500, 300), 250, "#3D8E33"),
                Crescent(80, 150, 70, 105, 150, 64, WHITE),
                *(Star(110, 150 + dy, 12, WHITE) for dy in (-42, -14, 14, 42)),
            ),
        ),
        "KN": FlagSpec(
            (900, 600),
            (
                *_diagonal((900, 600), "#009E49", "#CE1126", (0.33, "#FCD116"), (0.26, BLACK)),
                Star(285, 410, 72, WHITE, turn=-33.7),
                Star(615, 190, 72, WHITE, turn=-33.7),
            ),
        ),
        "KP": FlagSpec(
            (72, 36),
            (
                *across(
                    (72, 36),
                    (6, "#024FA2"),
                    (2, WHITE),
                    (20, "#ED1C27"),
                    (2, WHITE),
                    (6, "#024FA2"),
                ),
                Disc(24, 18, 8, WHITE),
                Star(24, 18, 8, "#ED1C27"),
            ),
        ),
        "KW": FlagSpec(
            (12, 6),
            (
                *across((12, 6), *_even("#007A3D", WHITE, "#CE1126")),
                Polygon(((0, 0), (3, 2), (3, 4), (0, 6)), BLACK),
            ),
        ),
        "LA": FlagSpec(
            (3, 2),
            (
                *across((3, 2), (1, "#CE1126"), (2, "#002868"), (1, "#CE1126")),
                Disc(1.5, 1, 0.4, WHITE),
            ),
        ),
        "LC": FlagSpec(
            (500, 250),
            (
                Rect(0, 0, 500, 250, "#65CFFF"),
                Polygon(((250, 21), (338, 229), (162, 229)), WHITE),
                Polygon(((250, 48), (326, 229), (174, 229)), BLACK),
                Polygon(((250, 125), (338, 229), (162, 229)), "#FCD116"),
            ),
        ),
        "LR": _liberia(),
        "LT": _across(5, 3, *_even("#FFB81C", "#046A38", "#BE3A34")),
        "LU": _across(5, 3, *_even("#EF3340", WHITE, "#00A3E0")),
        "LV": _across(2, 1, (2, "#9E3039"), (1, WHITE), (2, "#9E3039")),
        "LY": FlagSpec(
            (960, 480),
            (
                *across((960, 480), (1, "#E70013"), (2, BLACK), (1, "#239E46")),
                Crescent(465, 240, 60, 480, 240, 50, WHITE),
                Star(523, 240, 30, WHITE, turn=LEFT),
            ),
        ),
        "MA": _morocco(),
        "MC": _across(5, 4, *_even("#CE1126", WHITE)),
        "MG": FlagSpec(
            (9, 6),
            (*across((9, 6), *_even("#FC3D32", "#007E3A")), Rect(0, 0, 3, 6, WHITE)),
        ),
        "MK": FlagSpec(
            (280, 140),
            (
                Rect(0, 0, 280, 140, "#D20000"),
                *(
                    Polygon((a, b, (140, 70)), "#FFE600")
                    for a, b in (
                        ((0, 0), (42, 0)),
                        ((238, 0), (280, 0)),
                        ((0, 140), (42, 140)),
                        ((238, 140), (280, 140)),
                        ((126, 0), (154, 0)),
                        ((126, 140), (154, 140)),
                        ((0, 56), (0, 84)),
                        ((280, 56), (280, 84)),
                    )
                ),
                Disc(140, 70, 22.9, "#D20000"),
                Disc(140, 70, 20, "#FFE600"),
            ),
        ),
        "ML": _upright(3, 2, *_even("#14B53A", "#FCD116", "#CE1126")),
        "MM": FlagSpec(
            (9, 6),
            (
                *across((9, 6), *_even("#FECB00", "#34B233", "#EA2839")),
                Star(4.5, 3.2, 2.2, WHITE),
            ),
        ),
        "MR": FlagSpec(
            (900, 600),
            (
                *across((900, 600), (15, "#D01C1F"), (70, "#00A95C"), (15, "#D01C1F")),
                Crescent(450, 255, 215, 450, 178, 213, "#FFD700"),
                Star(450, 220, 78, "#FFD700"),
            ),
        ),
        "MU": _across(3, 2, *_even("#EA2839", "#1A206D", "#FFD500", "#00A551")),
        "MV": FlagSpec(
            (720, 480),
            (
                Rect(0, 0, 720, 480, "#D21034"),
                Rect(120, 120, 600, 360, "#007E3A"),
                Crescent(375, 240, 80, 405, 240, 80, WHITE),
            ),
        ),
        "MY": _malaysia(),
        "NA": FlagSpec(
            (900, 600),
            (
                *_diagonal((900, 600), "#003580", "#009543", (0.33, WHITE), (0.25, "#D21034")),
                *_rays(12, 170, 160, 68, 115, 16, "#FFCE00"),
                Disc(170, 160, 60, "#FFCE00"),
            ),
        ),
        "NE": FlagSpec(
            (7, 6),
            (
                *across((7, 6), *_even("#E05206", WHITE, "#0DB02B")),
                Disc(3.5, 3, 0.85, "#E05206"),
            ),
        ),
        "NG": _upright(2, 1, *_even("#008751", WHITE, "#008751")),
        "NL": _across(3, 2, *_even("#AD1D25", WHITE, "#1E4785")),
        "NO": FlagSpec(
            (22, 16),
            (
                Rect(0, 0, 22, 16, "#BA0C2F"),
                *cross((22, 16), (6, 10), (6, 10), WHITE),
                *cross((22, 16), (7, 9), (7, 9), "#00205B"),
            ),
        ),
        "NR": FlagSpec(
            (24, 12),
            (
                Rect(0, 0, 24, 12, "#012169"),
                Rect(0, 5.5, 24, 6.5, "#FFC72C"),
                Star(6, 9, 2, WHITE, tips=12, inner=0.5),
            ),
        ),
        "NZ": _new_zealand(),
        "PA": FlagSpec(
            (18, 12),
            (
                Rect(0, 0, 18, 12, WHITE),
                Rect(9, 0, 18, 6, "#DA121A"),
                Rect(0, 6, 9, 12, "#072357"),
                Star(4.5, 3.1, 1.6, "#072357"),
                Star(13.5, 9.1, 1.6, "#DA121A"),
            ),
        ),
        "PE": FlagSpec(
            (3, 2), upright((3, 2), *_even("#D91023", WHITE, "#D91023")), variant="civil"
        ),
        "PK": _pakistan(),
        "PL": _across(8, 5, *_even(WHITE, "#DC143C")),
        "PW": FlagSpec(
            (800, 500), (Rect(0, 0, 800, 500, "#4AADD6"), Disc(350, 250, 150, "#FFDE00"))
        ),
        "QA": FlagSpec((28, 11), (Rect(0, 0, 28, 11, "#8A1538"), _serrated(28, 11, 8.0, 10.2, 9))),
        "RO": _upright(3, 2, *_even("#002B7F", "#FCD116", "#CE1126")),
        "RU": _across(3, 2, *_even(WHITE, "#0039A6", "#D52B1E")),
        "RW": FlagSpec(
            (1080, 720),
            (
                *across((1080, 720), (2, "#00A1DE"), (1, "#FAD201"), (1, "#20603D")),
                *_rays(24, 900, 180, 62, 116, 8, "#E5BE01"),
                Disc(900, 180, 55, "#E5BE01"),
            ),
        ),
        "SB": FlagSpec(
            (9, 5),
            (
                *_diagonal((9, 5), "#0051BA", "#215B33", (0.06, "#FCD116")),
                *(
                    Star(x, y, 0.36, WHITE)
                    for x, y in (
                        (0.95, 0.75),
                        (2.55, 0.75),
                        (1.75, 1.4),
                        (0.95, 2.05),
                        (2.55, 2.05),
                    )
                ),
            ),
        ),
        "SC": FlagSpec(
            (6, 3),
            (
                Rect(0, 0, 6, 3, "#D62828"),
                Polygon(((0, 3), (0, 0), (2, 0)), "#003F87"),
                Polygon(((0, 3), (2, 0), (4, 0)), "#FCD856"),
                Polygon(((0, 3), (6, 1), (6, 2)), WHITE),
                Polygon(((0, 3), (6, 2), (6, 3)), "#007A3D"),
            ),
        ),
        "SD": FlagSpec(
            (12, 6),
            (
                *across((12, 6), *_even("#D21034", WHITE, BLACK)),
                hoist_triangle((12, 6), 4, "#007229"),
            ),
        ),
        "SE": FlagSpec(
            (16, 10),
            (Rect(0, 0, 16, 10, "#006AA7"), *cross((16, 10), (5, 7), (4, 6), "#FECC02")),
        ),
        "SG": FlagSpec(
            (900, 600),
            (
                *across((900, 600), *_even("#EF3340", WHITE)),
                Crescent(195, 150, 110, 240, 150, 112, WHITE),
                *_ring(5, 265, 150, 62, 26, WHITE),
            ),
        ),
        "SL": _across(3, 2, *_even("#1EB53A", WHITE, "#0072C6")),
        "SN": FlagSpec(
            (9, 6),
            (
                *upright((9, 6), *_even("#00853F", "#FDEF42", "#E31B23")),
                Star(4.5, 3.05, 1, "#00853F"),
            ),
        ),
        "SO": FlagSpec((9, 6), (Rect(0, 0, 9, 6, "#4189DD"), Star(4.5, 3.1, 1.45, WHITE))),
        "SR": FlagSpec(
            (15, 10),
            (
                *across(
                    (15, 10),
                    (2, "#377E3F"),
                    (1, WHITE),
                    (4, "#B40A2D"),
                    (1, WHITE),
                    (2, "#377E3F"),
                ),
                Star(7.5, 5.15, 1.75, "#ECC81D"),
            ),
        ),
        "ST": FlagSpec(
            (28, 14),
            (
                *across((28, 14), (2, "#12AD2B"), (3, "#FFCE00"), (2, "#12AD2B")),
                hoist_triangle((28, 14), 7, "#D21034"),
                Star(14, 7.2, 2, BLACK),
                Star(21, 7.2, 2, BLACK),
            ),
        ),
        "TD": _upright(3, 2, *_even("#002664", "#FECB00", "#C60C30")),
        "TG": FlagSpec(
            (5 * (1 + math.sqrt(5)) / 2, 5),
            (
                *across(
                    (5 * (1 + math.sqrt(5)) / 2, 5),
                    *_even("#006A4E", "#FFCE00", "#006A4E", "#FFCE00", "#006A4E"),
                ),
                Rect(0, 0, 3, 3, "#D21034"),
                Star(1.5, 1.58, 1, WHITE),
            ),
        ),
        "TH": _across(
            3, 2, (1, "#A51931"), (1, "#F4F5F8"), (2, "#2D2A4A"), (1, "#F4F5F8"), (1, "#A51931")
        ),
        "TL": FlagSpec(
            (12, 6),
            (
                Rect(0, 0, 12, 6, "#DC241F"),
                hoist_triangle((12, 6), 6, "#FFC726"),
                hoist_triangle((12, 6), 4, BLACK),
                # One tip points at the upper hoist corner.
                Star(1.35, 3, 0.95, WHITE, turn=math.degrees(math.atan2(-1.35, 3))),
            ),
        ),
        "TN": FlagSpec(
            (120, 80),
            (
                Rect(0, 0, 120, 80, "#E70013"),
                Disc(60, 40, 20, WHITE),
                Crescent(60, 40, 15, 64, 40, 12, "#E70013"),
                Star(61.4, 40, 7.5, "#E70013", turn=LEFT),
            ),
        ),
        "TO": FlagSpec(
            (48, 24),
            (
                Rect(0, 0, 48, 24, "#C10000"),
                Rect(0, 0, 20, 12, WHITE),
                Rect(8.5, 1.5, 11.5, 10.5, "#C10000"),
                Rect(5.5, 4.5, 14.5, 7.5, "#C10000"),
            ),
        ),
        "TR": FlagSpec(
            (1.5, 1),
            (
                Rect(0, 0, 1.5, 1, "#E30A17"),
                Crescent(0.5, 0.5, 0.25, 0.5625, 0.5, 0.2, WHITE),
                Star(0.8208, 0.5, 0.125, WHITE, turn=LEFT),
            ),
        ),
        "TT": FlagSpec(
            (5, 3),
            (
                Rect(0, 0, 5, 3, "#DA1A35"),
                Polygon(((0, 0), (1.529, 0), (5, 3), (3.471, 3)), WHITE),
                Polygon(((0.255, 0), (1.274, 0), (4.745, 3), (3.726, 3)), BLACK),
            ),
        ),
        "TZ": FlagSpec(
            (72, 48),
            (
                Rect(0, 0, 72, 48, "#00A3DD"),
                Polygon(((0, 0), (72, 0), (0, 48)), "#1EB53A"),
                Band((-18, 60), (90, -12), 19, "#FCD116"),
                Band((-18, 60), (90, -12), 13, BLACK),
            ),
        ),
        "UA": _across(3, 2, *_even("#0057B7", "#FFD700")),
        "US": _united_states(),
        "VC": FlagSpec(
            (450, 300),
            (
                *upright((450, 300), (1, "#002674"), (2, "#FCD022"), (1, "#007C2E")),
                *(
                    Polygon(((x, y - 46), (x + 29, y), (x, y + 46), (x - 29, y)), "#007C2E")
                    for x, y in ((190, 117), (260, 117), (225, 182))
                ),
            ),
        ),
        "VE": _venezuela(),
        "VN": FlagSpec((9, 6), (Rect(0, 0, 9, 6, "#DA251D"), Star(4.5, 3, 1.8, "#FFFF00"))),
        "WS": FlagSpec(
            (24, 12),
            (
                Rect(0, 0, 24, 12, "#CE1126"),
                Rect(0, 0, 12, 6, "#002B7F"),
                Star(6, 1.0, 0.6, WHITE),
                Star(4.3, 2.5, 0.6, WHITE),
                Star(7.6, 2.2, 0.55, WHITE),
                Star(6, 4.9, 0.65, WHITE),
                Star(6.9, 3.4, 0.35, WHITE),
            ),
        ),
        "YE": _across(3, 2, *_even("#CE1126", WHITE, BLACK)),
        "ZA": _south_africa(),
    }
)
