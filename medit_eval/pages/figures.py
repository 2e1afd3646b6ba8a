"""The figures of a report: specifications for the page, and the same as PNG and SVG files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

from medit_eval.contenders import Contender
from medit_eval.curves import AXES as SERIES
from medit_eval.curves import Point
from medit_eval.gaps import BOUNDS, gap_name
from medit_eval.pages.cells import phases_of, row_of
from medit_eval.pages.tables import AXES
from medit_eval.summary import MEASURES, metric_of

if TYPE_CHECKING:
    import altair as alt

LIGHT = (*("#1f5fa8", "#b8540a", "#1b7048", "#7240a8", "#b0303c", "#0b6b78", "#8a6d0b", "#5b626b"),)
"""Colours of editors on a light ground, in order; the page's styles have those for a dark one."""

DARK = (*("#86b8f0", "#f0a35e", "#79cfa0", "#c5a1f0", "#f08a94", "#6fcbd8", "#e0c45a", "#a3abb3"),)
"""The same on a dark ground."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
"""Marks of editors, so that colour is not all that tells them apart."""

_WIDTH, _HEIGHT, _BAR, _COLUMNS = 260, 190, 26, 3
_FONT = "Liberation Sans"  # comes with vl-convert


@dataclass(frozen=True)
class Panel:
    """One chart.

    Attributes:
        title: What it shows.
        description: The same for those who cannot see it.
        spec: Vega-Lite, as wide as the place it gets.
    """

    title: str
    description: str
    spec: dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """Charts that belong together.

    Attributes:
        name: Of its files.
        title: What they show.
        caption: How to read them.
        panels: The charts.
        whole: Vega-Lite of all of them with a legend, for files.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    whole: dict[str, Any]

    def png(self) -> bytes:
        """The figure as a PNG file, at twice the screen's resolution."""
        import vl_convert

        return vl_convert.vegalite_to_png(
            json.dumps(self.whole), scale=2, ppi=144, allowed_base_urls=[]
        )

    def svg(self) -> str:
        """The figure as an SVG file."""
        import vl_convert

        return vl_convert.vegalite_to_svg(json.dumps(self.whole), allowed_base_urls=[])


def figures(found: Sequence[Contender], points: Sequence[Point]) -> list[Figure]:
    """All figures that the runs have numbers for."""
    labels = [contender.label for contender in found]
    made = [
        _axes(found, labels),
        _trade_off(found, labels),
        _graded(found, labels),
        _over_edits(found, points, labels),
        _by_gap(found, labels),
    ]
    return [figure for figure in made if figure is not None]


def bundle() -> str:
    """The script that draws the page's charts: Vega, Vega-Lite and vega-embed in one."""
    import vl_convert

    # A closing tag within a text would end the page's script element.
    made = vl_convert.javascript_bundle()  # pyright: ignore[reportCallIssue] - may be left out
    return made.replace("</script", r"<\/script")


Chart = Union["alt.LayerChart", "alt.FacetChart"]
Drawn = tuple[str, str, Callable[[bool], Chart]]
"""A chart's title, its description, and what draws it, with a legend or without."""


def _figure(name: str, title: str, caption: str, drawn: Sequence[Drawn]) -> Figure | None:
    import altair as alt

    if not drawn:
        return None
    panels = []
    for heading, description, draw in drawn:
        chart = draw(False).properties(width="container", description=description)
        panels.append(Panel(heading, description, chart.to_dict()))
    parts = [draw(True).properties(width=_WIDTH, title=heading) for heading, _, draw in drawn]
    whole = (
        alt.concat(*parts, columns=_COLUMNS, spacing=26)
        .resolve_scale(color="shared", shape="shared")
        .configure(
            font=_FONT,
            background="white",
            range={"category": list(LIGHT), "symbol": list(SHAPES)},
        )
        .configure_view(stroke=None)
        .configure_title(fontSize=12, anchor="start")
    )
    return Figure(name, title, caption, tuple(panels), whole.to_dict())


@dataclass(frozen=True)
class _Spot:
    """One editor's number in a chart."""

    editor: str
    mean: float
    low: float
    high: float
    n: int
    x: Any = None

    def row(self) -> dict[str, Any]:
        known = {"mean": self.mean, "low": self.low, "high": self.high}
        numbers = {k: v if math.isfinite(v) else None for k, v in known.items()}
        span = f", 95 % {self.low:.3f} – {self.high:.3f}" if self.low == self.low else ""
        told = f"{self.editor}: {self.mean:.3f}{span} (n {self.n:,})"
        return {"editor": self.editor, **numbers, "told": told, "x": self.x}


def _spots(
    found: Sequence[Contender], axis: str, subset: str = "all", x: Any = None
) -> list[_Spot]:
    """Each editor's number on an axis, after its last edits; of orders, their mean."""
    spots = []
    for contender in found:
        rows = []
        for report in contender.reports:
            for phase in phases_of(report)[-1:]:
                row = row_of(report, phase, axis, metric_of(axis), subset)
                if row is not None and row.mean == row.mean:
                    rows.append(row)
        if rows:
            mean = sum(row.mean for row in rows) / len(rows)
            alone = len(rows) == 1
            low, high = (rows[0].ci_low, rows[0].ci_high) if alone else (float("nan"),) * 2
            n = sum(row.n for row in rows)
            spots.append(_Spot(contender.label, mean, low, high, n, x))
    return spots


def _told(title: str, spots: Sequence[_Spot]) -> str:
    """A chart in words."""
    places = (f"at {spot.x}, " if spot.x is not None else "" for spot in spots)
    return f"{title}. " + "; ".join(
        f"{place}{spot.row()['told']}" for place, spot in zip(places, spots, strict=True)
    )


def _data(spots: Sequence[_Spot]) -> alt.InlineData:
    import altair as alt

    return alt.InlineData(values=[spot.row() for spot in spots])


def _colour(labels: Sequence[str], legend: bool) -> alt.Color:
    import altair as alt

    return alt.Color("editor:N", scale=alt.Scale(domain=list(labels)), legend=_legend(legend))


def _shape(labels: Sequence[str], legend: bool) -> alt.Shape:
    import altair as alt

    return alt.Shape("editor:N", scale=alt.Scale(domain=list(labels)), legend=_legend(legend))


def _legend(wanted: bool) -> alt.Legend | None:
    import altair as alt

    # Opaque, whatever the layer that the legend is taken from.
    there = alt.Legend(title=None, orient="bottom", labelLimit=300, symbolOpacity=1)
    return there if wanted else None


def _axes(found: Sequence[Contender], labels: Sequence[str]) -> Figure | None:
    drawn = [
        (axis, _told(axis, spots), _bars(spots, labels))
        for axis in AXES
        if (spots := _spots(found, axis))
    ]
    reach, keep = MEASURES["generated"]
    return _figure(
        "axes",
        "Reliability, generality, locality, portability",
        f"Scored by generation ({reach}; locality: {keep}), with 95 % intervals over records.",
        drawn,
    )


def _bars(spots: Sequence[_Spot], labels: Sequence[str]) -> Callable[[bool], Chart]:
    def draw(legend: bool) -> Chart:
        import altair as alt

        shown = [label for label in labels if any(spot.editor == label for spot in spots)]
        y = alt.Y("editor:N", sort=shown, title=None, axis=alt.Axis(labelLimit=110, ticks=False))
        axis = alt.Axis(tickCount=5)
        x = alt.X("mean:Q", scale=alt.Scale(domain=[0, 1]), title=None, axis=axis)
        chart = alt.Chart(_data(spots)).encode(y=y)
        bars = chart.mark_bar(height={"band": 0.62}).encode(
            x=x, color=_colour(labels, False), tooltip="told:N"
        )
        spans = chart.mark_rule(strokeWidth=1.6, aria=False).encode(x="low:Q", x2="high:Q")
        return alt.layer(bars, spans, height=_BAR * len(shown))

    return draw


def _trade_off(found: Sequence[Contender], labels: Sequence[str]) -> Figure | None:
    across, up = ({s.editor: s for s in _spots(found, a)} for a in ("generality", "locality"))
    rows = [
        {
            **up[name].row(),
            "x": across[name].mean,
            "x_low": across[name].row()["low"],
            "x_high": across[name].row()["high"],
            "told": f"{name}: generality {across[name].mean:.3f}, locality {up[name].mean:.3f}",
        }
        for name in across
        if name in up
    ]
    if not rows:
        return None
    least = min(v for row in rows for v in (row["x"], row["mean"], row["x_low"], row["low"])
                if v is not None)  # fmt: skip
    domain = [math.floor(10 * min(least, 0.9)) / 10, 1]

    def draw(legend: bool) -> Chart:
        import altair as alt

        scale = alt.Scale(domain=domain, nice=False)
        x = alt.X("x:Q", scale=scale, title="generality")
        y = alt.Y("mean:Q", scale=scale, title="locality")
        chart = alt.Chart(alt.InlineData(values=rows)).encode(color=_colour(labels, legend))
        tall = chart.mark_rule(aria=False).encode(
            x=x, y=alt.Y("low:Q", scale=scale, title="locality"), y2="high:Q"
        )
        wide = chart.mark_rule(aria=False).encode(
            x=alt.X("x_low:Q", scale=scale, title="generality"), x2="x_high:Q", y=y
        )
        spots = chart.mark_point(filled=True, size=110, opacity=1).encode(
            x=x, y=y, shape=_shape(labels, legend), tooltip="told:N"
        )
        return alt.layer(tall, wide, spots, height=_HEIGHT + 60)

    title = "Generality against locality"
    told = f"{title}. " + "; ".join(str(row["told"]) for row in rows)
    return _figure(
        "trade-off",
        title,
        "An edit that reaches further is harder to keep from what it should leave alone: up and to "
        "the right is better. Scored by generation, with 95 % intervals over records.",
        [(title, told, draw)],
    )


def _graded(found: Sequence[Contender], labels: Sequence[str]) -> Figure | None:
    distances: dict[str, list[float]] = {}
    for contender in found:
        for report in contender.reports:
            for asked in report.raw:
                if asked.axis == "locality" and asked.grade:
                    distances.setdefault(asked.grade, []).append(
                        math.inf if asked.distance is None else asked.distance
                    )
    grades = sorted(distances, key=lambda g: sum(distances[g]) / len(distances[g]))
    spots = [spot for g in grades for spot in _spots(found, "locality", g, g)]
    if not spots:
        return None
    title = "Graded negatives"
    draw = _lines(spots, labels, _Ordinal(tuple(grades)), title="locality")
    return _figure(
        "graded-negatives",
        title,
        "Locality of questions that the edit must not reach, by their grade; the nearest first, "
        "where records say how far they are. Scored by generation.",
        [(title, _told(title, spots), draw)],
    )


def _by_gap(found: Sequence[Contender], labels: Sequence[str]) -> Figure | None:
    names = tuple(gap_name(bound) for bound in BOUNDS)
    places = {name: name.removeprefix("gap ").replace("-", "–") for name in names}
    spots = [spot for n in names for spot in _spots(found, "reliability", n, places[n])]
    if not spots:
        return None
    title = "Retention by edits made since"
    shown = tuple(p for p in places.values() if any(spot.x == p for spot in spots))
    draw = _lines(spots, labels, _Ordinal(shown), title="still answered as edited")
    return _figure(
        "gaps",
        title,
        "Edits at the last checkpoint, by how many others were made after them. Scored by "
        "generation. Of several orders of edits, the plain mean.",
        [(title, _told(title, spots), draw)],
    )


@dataclass(frozen=True)
class _Ordinal:
    """An axis of named places, in order."""

    places: tuple[str, ...]


@dataclass(frozen=True)
class _Log:
    """A logarithmic axis of numbers of edits."""

    marks: tuple[int, ...]


def _over_edits(
    found: Sequence[Contender], points: Sequence[Point], labels: Sequence[str]
) -> Figure | None:
    marks = _Log(tuple(sorted({point.edits for point in points if point.edits})))
    if not marks.marks:
        return None
    infos = {t.task: t for c in found for r in c.reports for t in r.benchmarks.tasks}
    names = [axis for axis in SERIES if any(point.series == axis for point in points)]
    names += [s for s in dict.fromkeys(point.series for point in points) if s not in names]
    drawn = []
    for name in names:
        info = infos.get(name)
        texts = info is not None and info.kind == "perplexity"
        own = [point for point in points if point.series == name]
        spots = [_spot(point, texts) for point in own if point.edits]
        lines = {}
        if start := [_spot(point, texts) for point in own if not point.edits]:
            lines["unedited"] = start[0].mean
        if info is not None and info.chance is not None:
            lines["chance"] = info.chance
        title = f"{name}, perplexity (lower is better)" if texts else name
        told = _told(title, spots) + "".join(f"; {k}: {v:.3f}" for k, v in lines.items())
        drawn.append((title, told, _lines(spots, labels, marks, lines, fraction=not texts)))
    return _figure(
        "curves",
        "Over the number of edits",
        "reliability: edits since the checkpoint before; retention: all earlier ones. Axes are "
        "scored by generation, benchmarks by their own metric. Bands are 95 % intervals over "
        "orders of edits, and records or items. Dashed: the unedited model. Dotted: chance.",
        drawn,
    )


def _spot(point: Point, perplexity: bool) -> _Spot:
    scale = math.exp if perplexity else float
    low, high = scale(point.ci_low), scale(point.ci_high)
    return _Spot(point.editor, scale(point.mean), low, high, point.n, point.edits)


def _lines(
    spots: Sequence[_Spot],
    labels: Sequence[str],
    across: _Ordinal | _Log,
    lines: Mapping[str, float] | None = None,
    *,
    fraction: bool = True,
    title: str | None = None,
) -> Callable[[bool], Chart]:
    def draw(legend: bool) -> Chart:
        import altair as alt

        scale = alt.Scale(domain=[0, 1]) if fraction else alt.Scale(zero=False)
        x, y = _across(across), alt.Y("mean:Q", scale=scale, title=title)
        chart = alt.Chart(_data(spots)).encode(x=x)
        bands = chart.mark_area(opacity=0.16, aria=False).encode(
            y=alt.Y("low:Q", scale=scale, title=title), y2="high:Q", color=_colour(labels, legend)
        )
        curves = chart.mark_line(strokeWidth=2, aria=False).encode(
            y=y, color=_colour(labels, legend)
        )
        dots = chart.mark_point(filled=True, size=55, opacity=1).encode(
            y=y,
            color=_colour(labels, legend),
            shape=_shape(labels, legend),
            tooltip="told:N",
        )
        return alt.layer(*_rules(lines or {}, scale, title), bands, curves, dots, height=_HEIGHT)

    return draw


def _rules(lines: Mapping[str, float], scale: alt.Scale, title: str | None) -> Iterator[alt.Chart]:
    import altair as alt

    for name, value in lines.items():
        told = f"{name}: {value:.3f}"
        chart = alt.Chart(alt.InlineData(values=[{"value": value, "told": told}]))
        dash = [2, 3] if name == "chance" else [6, 4]
        yield chart.mark_rule(strokeDash=dash, strokeWidth=1.3).encode(
            y=alt.Y("value:Q", scale=scale, title=title), tooltip="told:N"
        )


def _across(across: _Ordinal | _Log) -> alt.X:
    import altair as alt

    if isinstance(across, _Ordinal):
        axis = alt.Axis(labelAngle=0, labelExpr="split(datum.label, ' ')")
        scale = alt.Scale(type="point", padding=0.3)
        return alt.X("x:N", sort=list(across.places), title=None, axis=axis, scale=scale)
    first, last = across.marks[0], across.marks[-1]
    ends = [first, last] if first < last else [first / 2, last * 2]
    axis = alt.Axis(values=list(across.marks), format=",d", labelOverlap=True, grid=False)
    scale = alt.Scale(type="log", domain=ends, nice=False)
    return alt.X("x:Q", title="edits", axis=axis, scale=scale)
