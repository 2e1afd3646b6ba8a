"""Entry files: what they hold, what is wrong with one is said with file and field, and the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from editors.registry import find, option_names
from medit_eval.benchmarks.tasks import PAPER
from medit_eval.metrics import DEFAULT, METRICS, PAPERS
from medit_eval.metrics.core import select
from medit_eval.reproduction.page import ledger, printed, write_ledger
from medit_eval.reproduction.reading import ENTRIES, names, read_entry, settings_of
from medit_eval.reproduction.results import read_results
from medit_eval.sources import format_names
from schemas.errors import InputError

ROOT = Path(__file__).parents[3]

ENTRY = """
title = "A table"
paper = "Somebody, A Paper"
arxiv = "2501.00001"
what = "Two edits."
deviations = ["None is known."]

[needs]
hardware = "any"
weights = ["somebody/model"]
data = ["x.json"]
hours = "not recorded"

[common]
protocol = "batch"

[[runs]]
name = "first"
editor = "none"
model = "somebody/model"
records = "x.json"
records_format = "counterfact"

[sources]
protocol = "the paper"
editor = "the paper"
model = "the paper"
records = "the paper"
records_format = "the paper"

[[tables]]
name = "Table 1"
tolerance_reason = "two edits vary."
columns = [
  { name = "Eff.", unit = "%", ours = "summary reliability/edit/generated", tolerance = 5 },
  { name = "SC", unit = "levels", without = "people judged it" },
]

[[tables.rows]]
name = "none"
run = "first"
values = [0.5, "not found"]
source = "table 1"
confidence = "first-hand"
"""


def written(folder: Path, text: str = ENTRY, name: str = "mine") -> Path:
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


def test_an_entry_reads_as_it_is_written(tmp_path: Path) -> None:
    entry = read_entry("mine", written(tmp_path))
    assert (entry.name, entry.runs[0].protocol, entry.runs[0].seed) == ("mine", "batch", 0)
    assert entry.tables[0].rows[0].values == (0.5, "not found")
    told = {name: (value, source) for name, value, source in settings_of(entry, entry.runs[0])}
    assert told["protocol"] == ("batch", "the paper")
    assert told["revision"] == ("not recorded by the paper", "not recorded by the paper")
    assert told["seed"] == ("0", "default here")


WRONG = {
    "missing field": ('arxiv = "2501.00001"\n', "", "field 'arxiv': is missing"),
    "unknown field": ("title =", 'tilte = "x"\ntitle =', "field 'tilte': is no field of it; did"),
    "wrong type": ('hardware = "any"', "hardware = 3", "field 'needs.hardware': is not a text"),
    "no list": ('weights = ["somebody/model"]', 'weights = "x"', "'needs.weights': is not a list"),
    "inside a list": ('["x.json"]', '["x.json", 2]', r"'needs.data\[1\]': is not a text, but 2"),
    "protocol": ('"batch"', '"parallel"', r"'runs\[0\].protocol': is not one of 'single', 'batch'"),
    "no source": ('editor = "the paper"\n', "", "'sources.editor': is missing"),
    "idle source": (
        "[sources]",
        '[sources]\nlayers = "x"',
        "'sources.layers': is the source of no",
    ),
    "no such run": (
        'run = "first"',
        'run = "furst"',
        r"rows\[0\].run': there is no run 'furst'; did",
    ),
    "no run": ('run = "first"\n', "", r"'tables\[0\].rows\[0\].run': names a run, or `without`"),
    "numbers": ('[0.5, "not found"]', "[0.5]", "values': holds 1 numbers for 2 columns"),
    "no number": ("[0.5,", '["half",', r"values\[0\]': is not a number or 'not found', but 'half'"),
    "confidence": ("[0.5,", '["not found",', r"rows\[0\].confidence': does not go with the values"),
    "place": ("summary reli", "somewhere reli", r"columns\[0\].ours': is not `summary AXIS"),
    "tolerance": (", tolerance = 5", "", r"columns\[0\].tolerance': is missing or not above 0"),
    "path": ('records = "x.json"', 'records = "../x.json"', "records': leaves the folder of data"),
    "folder": ('name = "first"', 'name = "a/b"', "name': cannot be the name of a folder"),
    "no TOML": ("[needs]", "[needs", "mine.toml: is not TOML"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_an_entry_is_said_with_its_field(case: str, tmp_path: Path) -> None:
    old, new, said = WRONG[case]
    assert old in ENTRY
    with pytest.raises(InputError, match=said) as error:
        read_entry("mine", written(tmp_path, ENTRY.replace(old, new, 1)))
    assert str(error.value).startswith("mine.toml")


def test_an_unknown_entry_has_a_hint() -> None:
    with pytest.raises(
        InputError, match=r"no entry 'alphaedit-lama3'; did you mean alphaedit-llama3"
    ):
        read_entry("alphaedit-lama3")


@pytest.mark.parametrize("name", names())
def test_entries_name_what_there_is(name: str) -> None:
    entry = read_entry(name)
    axes = ("reliability", "generality", "locality", "portability", "harmonic_mean")
    for run in entry.runs:
        find(run.editor)
        assert run.records_format in format_names()
        assert set(entry.options_of(run)) <= set(option_names(run.editor))
        metrics = {metric.name for metric in select(run.metrics, METRICS, DEFAULT, PAPERS)}
        for table in entry.tables:
            if not any(row.run == run.name for row in table.rows):
                continue
            for column in table.columns:
                place, _, what = (column.ours or "").partition(" ")
                if place == "summary":
                    axis, _, metric = what.split("/")
                    assert axis in axes
                    assert metric in metrics or axis == "harmonic_mean"
                elif place == "benchmarks":
                    assert what in run.benchmarks
                    assert what in {wanted.name for wanted in PAPER}
    assert entry.deviations
    read_results(entry)


def test_the_committed_page_is_what_the_command_writes(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger.md")
    made = (tmp_path / "ledger.md").read_text(encoding="utf-8")
    assert made == (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
    assert made == ledger(ENTRIES)
    assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users)/", made)


def test_how_well_a_share_is_known_follows_from_how_many_are_asked() -> None:
    def points(asked: int) -> str:
        return f"{98 / asked**0.5:.1f}"

    text = ledger()
    told = re.findall(r"a share of ([\d,]+) records is known to ([\d.]+) points? at most", text)
    assert told
    assert all(points(int(asked.replace(",", ""))) == known for asked, known in told)
    # Questions of GSM8K's test set and of CommonsenseQA's validation set.
    assert f"GSM8K is known to {points(1_319)} points and CommonsenseQA to {points(1_221)}" in text


def test_every_published_number_is_on_the_page() -> None:
    text = ledger()
    for name in names():
        part = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for table in read_entry(name).tables:
            for row in table.rows:
                assert f"| {row.name}, published | {' | '.join(map(printed, row.values))} |" in part
                assert row.source in part
    assert "not yet run" in text
