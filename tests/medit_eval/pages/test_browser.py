"""The page of a report in a browser: light and dark, narrow and wide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from medit_eval.pages import report_pages
from medit_eval.pages.folder import write_report
from tests.medit_eval.pages.support import HOSTILE, hostile_people, run, sequences
from tests.medit_eval.support import Oracle
from tests.tiny_models import tiny


@pytest.fixture(scope="module")
def page(tmp_path_factory: Any) -> Path:
    """Two editors on six hostile records."""
    root, lm = tmp_path_factory.mktemp("page"), tiny("gpt2")
    for folder, name, everywhere in (("a", "sure", False), ("b", HOSTILE, True)):
        run(Oracle(everywhere=everywhere, name=name), lm, hostile_people(6), root / folder,
            root / "cache", protocol="batch")  # fmt: skip
    return report_pages([root / "a", root / "b"], root / "out")


@pytest.fixture(scope="module")
def curves(tmp_path_factory: Any) -> Path:
    """Two editors on a sequence with benchmarks."""
    root = tmp_path_factory.mktemp("curves")
    return write_report(sequences(tiny("gpt2"), root / "cache"), root / "out")


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Opens pages; at the end, they were quiet and asked for nothing."""
    trouble: list[str] = []
    tabs = []

    def open_(path: Path, width: int = 1280, scheme: str = "light") -> Any:
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        tab.on("console", lambda message: trouble.append(message.text))
        tab.on("pageerror", lambda error: trouble.append(str(error)))
        tab.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("data:", path.as_uri()))
                else trouble.append(request.url)
            ),
        )
        tab.goto(path.as_uri())
        tab.wait_for_function("document.documentElement.dataset.drawn")
        tabs.append(tab)
        return tab

    yield open_
    for tab in tabs:
        tab.close()
    assert trouble == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_charts_are_drawn_and_nothing_is_wider_than_the_screen(
    visit: Any, curves: Path, width: int, scheme: str
) -> None:
    tab = visit(curves, width, scheme)
    places = tab.locator(".chart").count()
    assert places >= 10
    assert tab.locator(".chart svg").count() == places
    sizes = tab.evaluate(
        "[...document.querySelectorAll('.chart svg')].map((s) => s.getBoundingClientRect().width)"
    )
    assert min(sizes) > 150
    tab.locator(".record > summary").first.click()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    lines = tab.locator(".chart svg .mark-line path").evaluate_all(
        "(paths) => paths.map((path) => path.getAttribute('stroke'))"
    )
    assert set(lines) == ({"#1f5fa8", "#b8540a"} if scheme == "light" else {"#86b8f0", "#f0a35e"})


def test_charts_are_told_to_those_who_cannot_see_them(visit: Any, curves: Path) -> None:
    charts = visit(curves).locator(".chart[role='graphics-document'][aria-label]")
    assert charts.count() >= 10
    labels = charts.evaluate_all("(all) => all.map((chart) => chart.getAttribute('aria-label'))")
    assert any("greedy: 0.000" in label for label in labels)


def test_charts_follow_the_colours_of_the_page(visit: Any, curves: Path) -> None:
    tab = visit(curves)
    line = tab.locator(".chart svg .mark-line path").first
    expect(line).to_have_attribute("stroke", "#1f5fa8")
    tab.emulate_media(color_scheme="dark")
    expect(line).to_have_attribute("stroke", "#86b8f0")


def test_nothing_from_the_data_runs(visit: Any, page: Path) -> None:
    tab = visit(page)
    for place in range(tab.locator(".record").count()):
        tab.locator(".record > summary").nth(place).click()
    assert tab.title() == "Model editing report"
    assert tab.locator(".record img").count() == 0
    assert HOSTILE in tab.locator(".record").first.inner_text()


def test_filters_narrow_to_answers(visit: Any, page: Path) -> None:
    tab = visit(page)
    expect(tab.locator("#count")).to_have_text("6 of 6 records")
    first = tab.locator(".record").first
    first.locator("summary").click()
    everything = first.locator("tr:not(.unedited)").count()
    assert everything == 8  # four questions, two editors
    tab.select_option("#run", label="sure")
    assert first.locator("tr:not(.unedited)").count() == 4
    tab.select_option("#axis", "locality")
    tab.select_option("#change", "changed")
    expect(tab.locator("#nothing")).to_be_visible()
    expect(tab.locator("#count")).to_have_text("0 of 6 records")
    tab.select_option("#run", label=HOSTILE)
    expect(tab.locator("#count")).to_have_text("6 of 6 records")
    tab.select_option("#verdict", "right")
    expect(tab.locator("#count")).to_have_text("0 of 6 records")
    tab.get_by_role("button", name="Show all").click()
    expect(tab.locator("#count")).to_have_text("6 of 6 records")


def test_search_and_keys(visit: Any, page: Path) -> None:
    tab = visit(page)
    tab.keyboard.press("/")
    tab.keyboard.type("Owned")
    expect(tab.locator("#count")).to_have_text("1 of 6 records")
    tab.keyboard.press("Escape")
    expect(tab.locator("#count")).to_have_text("6 of 6 records")
    tab.keyboard.press("j")
    tab.keyboard.press("j")
    tab.keyboard.press("Enter")
    assert tab.locator("details.record[open]").count() == 1
