"""How one chart of a report is drawn: bars with intervals, and lines with bands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    import altair as alt

HEIGHT = 190
"""Pixels of a chart."""

_BAR = 26

Chart = Union["alt.LayerChart", "alt.FacetChart"]


@dataclass(frozen=True)
class Spot:
    """One editor's number in a chart."""

    editor: str
    mean: float
    low: float
    high: float
    n: int
    x: Any = None

    def row(self) -> dict[str, Any]:
        """The number as a chart's data have it, and in words."""
        known = {"mean": self.mean, "low": self.low, "high": self.high}
        numbers = {k: v if math.isfinite(v) else None for k, v in known.items()}
        span = f", 95 % {self.low:.3f} – {self.high:.3f}" if self.low == self.low else ""
        told = f"{self.editor}: {self.mean:.3f}{span} (n {self.n:,})"
        return {"editor": self.editor, **numbers, "told": told, "x": self.x}


def told_of(title: str, spots: Sequence[Spot]) -> str:
    """A chart in words."""
    places = (f"at {spot.x}, " if spot.x is not None else "" for spot in spots)
    return f"{title}. " + "; ".join(
        f"{place}{spot.row()['told']}" for place, spot in zip(places, spots, strict=True)
    )


def data_of(spots: Sequence[Spot]) -> alt.InlineData:
    """Numbers as a chart's data."""
    import altair as alt

    return alt.InlineData(values=[spot.row() for spot in spots])


def colour(labels: Sequence[str], legend: bool) -> alt.Color:
    """Editors' colours, in the order of their labels everywhere."""
    import altair as alt

    return alt.Color("editor:N", scale=alt.Scale(domain=list(labels)), legend=_legend(legend))


def shape(labels: Sequence[str], legend: bool) -> alt.Shape:
    """Editors' marks."""
    import altair as alt

    return alt.Shape("editor:N", scale=alt.Scale(domain=list(labels)), legend=_legend(legend))


def _legend(wanted: bool) -> alt.Legend | None:
    import altair as alt

    # Opaque, whatever the layer that the legend is taken from.
    there = alt.Legend(title=None, orient="bottom", labelLimit=300, symbolOpacity=1)
    return there if wanted else None


def bars(spots: Sequence[Spot], labels: Sequence[str]) -> Callable[[bool], Chart]:
    """A chart of one bar with its interval for each editor."""

    def draw(legend: bool) -> Chart:
        import altair as alt

        shown = [label for label in labels if any(spot.editor == label for spot in spots)]
        y = alt.Y("editor:N", sort=shown, title=None, axis=alt.Axis(labelLimit=110, ticks=False))
        axis = alt.Axis(tickCount=5)
        x = alt.X("mean:Q", scale=alt.Scale(domain=[0, 1]), title=None, axis=axis)
        chart = alt.Chart(data_of(spots)).encode(y=y)
        bars = chart.mark_bar(height={"band": 0.62}).encode(
            x=x, color=colour(labels, False), tooltip="told:N"
        )
        spans = chart.mark_rule(strokeWidth=1.6, aria=False).encode(x="low:Q", x2="high:Q")
        return alt.layer(bars, spans, height=_BAR * len(shown))

    return draw


@dataclass(frozen=True)
class Ordinal:
    """An axis of named places, in order."""

    places: tuple[str, ...]


@dataclass(frozen=True)
class Log:
    """A logarithmic axis of numbers of edits."""

    marks: tuple[int, ...]


def lines_chart(
    spots: Sequence[Spot],
    labels: Sequence[str],
    across: Ordinal | Log,
    lines: Mapping[str, float] | None = None,
    *,
    fraction: bool = True,
    title: str | None = None,
) -> Callable[[bool], Chart]:
    """A chart of one line with its band for each editor, and of lines across."""

    def draw(legend: bool) -> Chart:
        import altair as alt

        scale = alt.Scale(domain=[0, 1]) if fraction else alt.Scale(zero=False)
        x, y = _across(across), alt.Y("mean:Q", scale=scale, title=title)
        chart = alt.Chart(data_of(spots)).encode(x=x)
        bands = chart.mark_area(opacity=0.16, aria=False).encode(
            y=alt.Y("low:Q", scale=scale, title=title), y2="high:Q", color=colour(labels, legend)
        )
        curves = chart.mark_line(strokeWidth=2, aria=False).encode(
            y=y, color=colour(labels, legend)
        )
        dots = chart.mark_point(filled=True, size=55, opacity=1).encode(
            y=y,
            color=colour(labels, legend),
            shape=shape(labels, legend),
            tooltip="told:N",
        )
        return alt.layer(*_rules(lines or {}, scale, title), bands, curves, dots, height=HEIGHT)

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


def _across(across: Ordinal | Log) -> alt.X:
    import altair as alt

    if isinstance(across, Ordinal):
        axis = alt.Axis(labelAngle=0, labelExpr="split(datum.label, ' ')")
        scale = alt.Scale(type="point", padding=0.3)
        return alt.X("x:N", sort=list(across.places), title=None, axis=axis, scale=scale)
    first, last = across.marks[0], across.marks[-1]
    ends = [first, last] if first < last else [first / 2, last * 2]
    axis = alt.Axis(values=list(across.marks), format=",d", labelOverlap=True, grid=False)
    scale = alt.Scale(type="log", domain=ends, nice=False)
    return alt.X("x:Q", title="edits", axis=axis, scale=scale)
