"""The figures of a report: specifications for the page, and the same as PNG and SVG files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from medit_eval.contenders import Contender
from medit_eval.curves import AXES as SERIES
from medit_eval.curves import Point, series_of
from medit_eval.gaps import BOUNDS, gap_name
from medit_eval.pages.cells import phases_of, row_of
from medit_eval.pages.charts import (
    HEIGHT,
    Chart,
    Log,
    Ordinal,
    Spot,
    bars,
    colour,
    lines_chart,
    shape,
    told_of,
)
from medit_eval.pages.tables import AXES
from medit_eval.summary import MEASURES, metric_of

LIGHT = (*("#1f5fa8", "#b8540a", "#1b7048", "#7240a8", "#b0303c", "#0b6b78", "#8a6d0b", "#5b626b"),)
"""Colours of editors on a light ground, in order; the page's styles have those for a dark one."""

DARK = (*("#86b8f0", "#f0a35e", "#79cfa0", "#c5a1f0", "#f08a94", "#6fcbd8", "#e0c45a", "#a3abb3"),)
"""The same on a dark ground."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
"""Marks of editors, so that colour is not all that tells them apart."""

_WIDTH, _COLUMNS = 260, 3
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

        return vl_convert.vegalite_to_png(json.dumps(self.whole), scale=2, allowed_base_urls=[])

    def svg(self) -> str:
        """The figure as an SVG file."""
        import vl_convert

        return vl_convert.vegalite_to_svg(json.dumps(self.whole), allowed_base_urls=[])


def figures(found: Sequence[Contender], points: Sequence[Point]) -> list[Figure]:
    """All figures that the runs have numbers for."""
    labels = [contender.label for contender in found]
    made = [
        _axes(found, points, labels),
        _trade_off(found, points, labels),
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


def _spots(found: Sequence[Contender], axis: str, subset: str = "all", x: Any = None) -> list[Spot]:
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
            spots.append(Spot(contender.label, mean, low, high, n, x))
    return spots


def _at_the_end(found: Sequence[Contender], points: Sequence[Point], axis: str) -> list[Spot]:
    """Each editor's number on an axis after its last edits; over several orders, its curve's."""
    several = {contender.label for contender in found if len(contender.reports) > 1}
    alone = [contender for contender in found if contender.label not in several]
    spots = {spot.editor: spot for spot in _spots(alone, axis)}
    for point in sorted(points, key=lambda point: point.edits):
        if point.series == axis and point.editor in several and point.edits:
            spots[point.editor] = _spot(point)
    return [spots[c.label] for c in found if c.label in spots]


def _axes(
    found: Sequence[Contender], points: Sequence[Point], labels: Sequence[str]
) -> Figure | None:
    several = any(len(contender.reports) > 1 for contender in found)
    drawn = [
        (axis, told_of(axis, spots), bars(spots, labels))
        for axis in (SERIES if several else AXES)
        if (spots := _at_the_end(found, points, axis))
    ]
    reach, keep = MEASURES["generated"]
    return _figure(
        "axes",
        "Reliability, generality, locality, portability",
        f"Scored by generation ({reach}; locality: {keep}), with 95 % intervals over "
        + ("orders of edits and records." if several else "records."),
        drawn,
    )


def _trade_off(
    found: Sequence[Contender], points: Sequence[Point], labels: Sequence[str]
) -> Figure | None:
    across, up = (
        {spot.editor: spot for spot in _at_the_end(found, points, axis)}
        for axis in ("generality", "locality")
    )
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
        chart = alt.Chart(alt.InlineData(values=rows)).encode(color=colour(labels, legend))
        tall = chart.mark_rule(aria=False).encode(
            x=x, y=alt.Y("low:Q", scale=scale, title="locality"), y2="high:Q"
        )
        wide = chart.mark_rule(aria=False).encode(
            x=alt.X("x_low:Q", scale=scale, title="generality"), x2="x_high:Q", y=y
        )
        spots = chart.mark_point(filled=True, size=110, opacity=1).encode(
            x=x, y=y, shape=shape(labels, legend), tooltip="told:N"
        )
        return alt.layer(tall, wide, spots, height=HEIGHT + 60)

    title = "Generality against locality"
    told = f"{title}. " + "; ".join(str(row["told"]) for row in rows)
    return _figure(
        "trade-off",
        title,
        "An edit that reaches further is harder to keep from what it should leave alone: up and to "
        "the right is better. Scored by generation, with 95 % intervals.",
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
    draw = lines_chart(spots, labels, Ordinal(tuple(grades)), title="locality")
    return _figure(
        "graded-negatives",
        title,
        "Locality of questions that the edit must not reach, by their grade; the nearest first, "
        "where records say how far they are. Scored by generation. Of several orders of edits, "
        "the plain mean.",
        [(title, told_of(title, spots), draw)],
    )


def _by_gap(found: Sequence[Contender], labels: Sequence[str]) -> Figure | None:
    names = tuple(gap_name(bound) for bound in BOUNDS)
    places = {name: name.removeprefix("gap ").replace("-", "–") for name in names}
    spots = [spot for n in names for spot in _spots(found, "reliability", n, places[n])]
    if not spots:
        return None
    title = "Retention by edits made since"
    shown = tuple(p for p in places.values() if any(spot.x == p for spot in spots))
    draw = lines_chart(spots, labels, Ordinal(shown), title="still answered as edited")
    return _figure(
        "gaps",
        title,
        "Edits at the last checkpoint, by how many others were made after them. Scored by "
        "generation. Of several orders of edits, the plain mean.",
        [(title, told_of(title, spots), draw)],
    )


def _over_edits(
    found: Sequence[Contender], points: Sequence[Point], labels: Sequence[str]
) -> Figure | None:
    marks = Log(tuple(sorted({point.edits for point in points if point.edits})))
    if not marks.marks:
        return None
    infos = {t.task: t for c in found for r in c.reports for t in r.benchmarks.tasks}
    drawn = []
    for name in series_of(points):
        info = infos.get(name)
        texts = info is not None and info.kind == "perplexity"
        own = [point for point in points if point.series == name]
        spots = [_spot(point) for point in own if point.edits]
        lines = {}
        if start := [_spot(point) for point in own if not point.edits]:
            lines["unedited"] = start[0].mean
        if info is not None and info.chance is not None:
            lines["chance"] = info.chance
        title = f"{name}, perplexity (lower is better)" if texts else name
        told = told_of(title, spots) + "".join(f"; {k}: {v:.3f}" for k, v in lines.items())
        drawn.append((title, told, lines_chart(spots, labels, marks, lines, fraction=not texts)))
    return _figure(
        "curves",
        "Over the number of edits",
        "reliability: edits since the checkpoint before; retention: all earlier ones. Axes are "
        "scored by generation, benchmarks by their own metric. Bands are 95 % intervals over "
        "orders of edits, and records or items. Dashed: the unedited model. Dotted: chance.",
        drawn,
    )


def _spot(point: Point) -> Spot:
    return Spot(point.editor, point.mean, point.ci_low, point.ci_high, point.n, point.edits)
