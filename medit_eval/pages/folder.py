"""The folder of a report: the page, its tables and figures as files, and all numbers as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from medit_eval.contenders import Contender, differences, read_contenders
from medit_eval.curves import Point
from medit_eval.pages.answers import Answers, answers_of
from medit_eval.pages.cells import Table
from medit_eval.pages.figures import DARK, LIGHT, Figure, bundle, figures
from medit_eval.pages.tables import numbers, points_of, tables
from medit_eval.pages.texts import latex_table, markdown, markdown_table
from medit_eval.report import plain
from medit_eval.runs import RunManifest, manifest_path
from schemas.errors import InputError
from schemas.layout import atomic_write, write_json, write_text
from schemas.pages import asset, environment, flatten, json_for_page, policy_hash
from schemas.progress import Progress

RECORDS = 200
"""Records whose raw outputs a page shows, where nobody says otherwise."""

_LISTS = ("sequence",)
"""Arguments too long to be read."""


def report_pages(
    runs: Sequence[str | Path],
    out: str | Path,
    *,
    records: int = RECORDS,
    progress: Progress | None = None,
) -> Path:
    """Write the report of finished runs, and return the path of its page.

    Args:
        runs: Run folders, and folders of studies. Nothing is written there.
        out: The report's folder; files of an earlier report are replaced.
        records: Records whose raw outputs the page shows at most, evenly spread.
        progress: Shows how far it is.

    Raises:
        InputError: If a run's folder is damaged or holds no run, the libraries of the extra
            `report` are not installed, or `out` is no place for a report.
    """
    if records < 0:
        raise InputError(f"a report cannot show {records} records", field="records")
    root = Path(out)
    _require_place(root)
    _require_libraries()
    return write_report(read_contenders(runs, progress), root, records)


def write_report(found: Sequence[Contender], root: Path, records: int = RECORDS) -> Path:
    """Write the report of contenders, and return the path of its page."""
    points = points_of(found)
    made, drawn = tables(found, points), figures(found, points)
    for table in made:
        write_text(root / "tables" / f"{table.name}.tex", latex_table(table))
    for figure in drawn:
        with atomic_write(root / "figures" / f"{figure.name}.png") as file:
            file.write(figure.png())
        write_text(root / "figures" / f"{figure.name}.svg", figure.svg())
    notes = _notes(found)
    write_json(root / "summary.json", _summary(found, points, notes))
    write_text(root / "summary.md", _markdown(made, notes))
    page = _page(found, made, drawn, notes, answers_of(found, records))
    write_text(root / "index.html", page)
    return root / "index.html"


def _require_place(root: Path) -> None:
    if root.is_file():
        raise InputError("is a file; a report is a folder", file=root)
    if manifest_path(root).is_file():
        raise InputError("holds a run; name another folder for its report", file=root)


def _require_libraries() -> None:
    try:
        import altair
        import vl_convert
    except ImportError as error:
        raise InputError(
            f"a report needs {error.name}, which is not installed: pip install 'medit[report]'"
        ) from None
    assert altair
    assert vl_convert


def _notes(found: Sequence[Contender]) -> list[str]:
    """What the reader should know of the runs, and whether they can be compared."""
    notes = [
        f"{other.label} and {found[0].label} cannot be compared: here is {other.label}, there "
        f"{found[0].label}; {'; '.join(wrong)}"
        for other in found[1:]
        if (wrong := differences(found[0], other))
    ]
    told: dict[str, list[str]] = {}
    for contender in found:
        for order, report in contender.runs.items():
            for note in report.notes:
                told.setdefault(note, []).append(contender.named(order))
    return notes + [f"{', '.join(names)}: {note}" for note, names in told.items()]


def _summary(
    found: Sequence[Contender], points: Sequence[Point], notes: Sequence[str]
) -> dict[str, Any]:
    runs = []
    for contender in found:
        for order, report in contender.runs.items():
            manifest = plain([report.manifest])[0] if report.manifest is not None else {}
            results = report.benchmarks
            runs.append(
                {
                    "label": contender.named(order),
                    "editor": contender.label,
                    "order": order,
                    "folder": None if report.path is None else str(report.path),
                    "manifest": manifest,
                    "notes": list(report.notes),
                    "summary": plain(report.rows),
                    "documents": plain(report.about_documents),
                    "degradation": plain(results.degradation),
                    "collapse": plain(results.collapse),
                    "costs": plain(results.costs),
                    "unscorable": report.unscorable.to_dict("records"),
                }
            )
    return {"notes": list(notes), "runs": runs, "curves": plain(points)}


def _markdown(made: Sequence[Table], notes: Sequence[str]) -> str:
    parts = ["# Report", ""]
    parts += [f"- {markdown(note)}" for note in notes]
    parts += [""] if notes else []
    return "\n".join([*parts, *map(markdown_table, made)])


def _page(
    found: Sequence[Contender],
    made: Sequence[Table],
    drawn: Sequence[Figure],
    notes: Sequence[str],
    answers: Answers,
) -> str:
    style = asset("page.css") + asset("report.css", "medit_eval") + _palette()
    script, library = asset("page.js") + asset("report.js", "medit_eval"), bundle()
    same, own = _settings(found)
    return (
        environment("medit_eval")
        .get_template("report.html.j2")
        .render(
            found=found,
            tables={table.name: table for table in made},
            numbers=numbers(found),
            figures={figure.name: figure for figure in drawn},
            charts=json_for_page([panel.spec for figure in drawn for panel in figure.panels]),
            places=_places(drawn),
            answers=answers,
            answers_data=json_for_page(answers.data),
            notes=notes,
            same=same,
            own=own,
            # These are files of packages, and the policy admits no other script or style.
            style=Markup(style),  # noqa: S704
            library=Markup(library),  # noqa: S704
            script=Markup(script),  # noqa: S704
            style_hash=policy_hash(style),
            library_hash=policy_hash(library),
            script_hash=policy_hash(script),
        )
    )


def _places(drawn: Sequence[Figure]) -> dict[str, int]:
    """The number of each figure's first chart."""
    places, start = {}, 0
    for figure in drawn:
        places[figure.name] = start
        start += len(figure.panels)
    return places


def _palette() -> str:
    """Editors' colours, as the styles that legend and charts take them from."""
    light, dark = (
        " ".join(f"--e{place}: {colour};" for place, colour in enumerate(colours))
        for colours in (LIGHT, DARK)
    )
    marks = "\n".join(f".e{place} {{ color: var(--e{place}); }}" for place in range(len(LIGHT)))
    return (
        f"\n:root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
        f"{marks}\n"
    )


def _settings(
    found: Sequence[Contender],
) -> tuple[list[tuple[str, str]], list[tuple[str, list[tuple[str, str]]]]]:
    """What all runs have in common, and what each has beside it, as lines of tables."""
    lines = {
        contender.named(order): dict(_lines(report.manifest))
        for contender in found
        for order, report in contender.runs.items()
        if report.manifest is not None
    }
    common = set.intersection(*(set(of.items()) for of in lines.values())) if lines else set()
    if len(lines) < 2:
        return [], [(name, list(of.items())) for name, of in lines.items()]
    first = next(iter(lines.values()))
    same = [line for line in first.items() if line in common]
    own = [
        (name, [line for line in of.items() if line not in common]) for name, of in lines.items()
    ]
    return same, own


def _lines(manifest: RunManifest) -> Iterator[tuple[str, str]]:
    arguments = {
        name: f"{len(value):,} entries" if name in _LISTS else value
        for name, value in manifest.arguments.items()
    }
    yield from flatten("", arguments)
    yield from flatten("", manifest.reporting)
    yield from flatten("versions", manifest.versions)
    yield "started", manifest.started
    yield "finished", manifest.finished or "not complete"
