from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import schemas
from schemas.__main__ import app
from schemas.cli import run
from schemas.errors import InputError
from schemas.records import EditRecord, EditRequest, Probe, Provenance, Sample
from tests.factories import make_record, write_dataset

REPOSITORY = Path(schemas.__file__).parents[1]
HEAVY = (
    "torch", "pandas", "datasets", "great_expectations", "transformers", "pyarrow", "spacy",
    "openai", "huggingface_hub", "scipy",
)  # fmt: skip


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    write_dataset(tmp_path, [make_record(i) for i in range(3)])
    return tmp_path


def test_a_valid_data_set_exits_with_0(dataset: Path):
    result = CliRunner().invoke(app, ["validate", str(dataset)])
    assert result.exit_code == 0
    assert "is valid: 3 records" in result.output


def test_findings_exit_with_1_and_are_counted(tmp_path: Path):
    write_dataset(tmp_path, [make_record(i, extra="{") for i in range(5)])
    result = CliRunner().invoke(app, ["validate", str(tmp_path)])
    assert result.exit_code == 1
    assert "extra_is_an_object" in result.output
    assert "record-2" in result.output
    assert "record-3" not in result.output  # three examples are enough
    assert "is not valid: 5 findings of 1 rule; 5 records" in result.output


def test_json_holds_everything(tmp_path: Path):
    write_dataset(tmp_path, [make_record(i, extra="{") for i in range(5)])
    result = CliRunner().invoke(app, ["validate", str(tmp_path), "--json"])
    assert result.exit_code == 1
    value = json.loads(result.output)
    assert value["by_rule"] == {"extra_is_an_object": 5}
    assert [finding["record"] for finding in value["findings"]] == [f"record-{i}" for i in range(5)]


def test_text_from_data_is_neither_markup_nor_a_command(tmp_path: Path):
    write_dataset(tmp_path, [make_record(id="[bold red]x[/]", third_answer=" [/nope] \x1b[2J")])
    result = CliRunner().invoke(app, ["validate", str(tmp_path)])
    assert result.exit_code == 1
    assert "[bold red]x[/]" in result.output
    assert "[/nope]" in result.output
    assert "\x1b[2J" not in result.output


def test_unusable_input_is_one_line_and_exits_with_2(tmp_path: Path):
    result = python("-m", "schemas", "validate", str(tmp_path / "no\nwhere"))
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_show_explains_every_field():
    result = CliRunner().invoke(app, ["show", "okedit", "--json"])
    assert result.exit_code == 0
    value = json.loads(result.output)
    assert (value["schema"], value["version"]) == ("okedit", 1)
    fields = {field["path"]: field for field in value["fields"]}
    assert all(field["description"] for field in fields.values())
    assert fields["requests[].image"]["type"] == "image"
    assert fields["requests[].image"]["nullable"]
    assert not fields["requests[].prompt"]["nullable"]
    assert fields["requests[].facts"]["type"] == "list of string"
    assert fields["scope"]["type"] == "recognition | knowledge"
    answer = fields["requests[].positives[].answer"]["description"]
    assert answer.endswith("answer for a negative one.")  # from its second line
    names = {path.rpartition(".")[2] for path in fields}
    for record in (EditRecord, EditRequest, Probe, Provenance, Sample):
        assert set(record.__dataclass_fields__) <= names


def test_show_as_a_table():
    result = CliRunner().invoke(app, ["show", "okedit"])
    assert result.exit_code == 0
    assert "okedit, version 1" in result.output
    assert "requests[].target_new" in result.output


def test_show_of_an_unknown_schema():
    result = python("-m", "schemas", "show", "nope")
    assert result.returncode == 2
    assert result.stderr == "error: there is no schema 'nope'; known are okedit, docmedit\n"


def test_help_loads_nothing_heavy():
    code = (
        "import runpy, sys\n"
        "sys.argv = ['schemas', '--help']\n"
        "try:\n"
        "    runpy.run_module('schemas', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    result = python("-c", code)
    assert result.returncode == 0, result.stderr
    assert "validate" in result.stdout
    assert result.stdout.splitlines()[-1] == "[]"


def test_the_package_gives_all_that_it_names():
    code = "import schemas; print(all(hasattr(schemas, name) for name in schemas.__all__))"
    assert python("-c", code).stdout == "True\n"
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = schemas.nothing  # pyright: ignore[reportAttributeAccessIssue]


def failing(error: BaseException) -> typer.Typer:
    cli = typer.Typer()

    @cli.command()
    def command() -> None:
        raise error

    return cli


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("is null", file="a.json", row=3, field="x"), 2,
         "error: a.json, row 3, field 'x': is null\n"),
        (KeyboardInterrupt(), 130, ""),
        (typer.Exit(1), 1, ""),
    ],
)  # fmt: skip
def test_run_ends_with_a_conventional_code(
    error: BaseException,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(sys, "argv", ["prog"])
    with pytest.raises(SystemExit) as end:
        run(failing(error))
    assert end.value.code == code
    assert capsys.readouterr().err == message
