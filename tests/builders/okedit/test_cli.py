from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.manifest import Manifest
from schemas.validate import validate
from tests.builders.okedit.support import (
    CommandLine,
    Vqa,
    file_bytes,
    records_of,
)

SMALL = ("--limit", "4", "--image-size", "224", "--shard-size", "2")
HEAVY = ("torch", "transformers", "datasets", "pandas", "spacy", "great_expectations", "openai",
         "huggingface_hub", "scipy", "diffusers")  # fmt: skip


def test_build_preview_export_and_publish(okedit: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "flags"
    built = okedit("build", "--out", out, *SMALL)
    assert built.code == 0, built.err
    images = Manifest.read(out).counts.images
    assert images > 4 * 10
    assert built.out == f"FlagEdit: 4 records with {images} images in {out}, 0 rejects\n"
    assert validate(out).ok
    assert {path.name for path in out.iterdir()} == {
        "data", "README.md", "manifest.json", "rejects.parquet", "validation.json",
    }  # fmt: skip

    again = okedit("build", "--out", out, *SMALL)
    assert (again.code, "nothing to do" in again.out) == (0, True)
    other = okedit("build", "--out", out, *SMALL, "--seed", 1)
    assert other.code == 2
    assert "holds a finished data set" in other.complaint
    before = file_bytes(out)
    replaced = okedit("build", "--out", out, *SMALL, "--overwrite")
    assert replaced.code == 0
    assert file_bytes(out) == before

    shown = okedit("preview", out)
    assert shown.code == 0
    page = Path(shown.out.strip())
    assert "FlagEdit" in page.read_text()

    exported = okedit("export", out, "--format", "mmedit")
    assert exported.code == 0, exported.err
    assert exported.out.startswith("4 records and ")
    rows = json.loads((tmp_path / "flags.mmedit" / "mmedit.json").read_text())
    assert [row["src"] for row in rows] == [r.requests[0].prompt for r in records_of(out)]

    listed = okedit("publish", out, "--repo-id", "me/flags", "--dry-run")
    assert listed.code == 0, listed.err
    assert "nothing was sent" in listed.out
    assert "manifest.json" in listed.out


def test_without_options_flags_go_to_out_okedit(
    okedit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All of its defaults but the number of rows, which would take minutes.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "builders.okedit.sources.flags.FlagsSource.ingest", _first_rows(3), raising=True
    )
    said = okedit("build")
    assert said.code == 0, said.err
    manifest = Manifest.read(Path("out/okedit"))
    assert (manifest.name, manifest.split, manifest.counts.records) == ("FlagEdit", "test", 3)
    assert manifest.arguments["image-size"] == 256
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def _first_rows(count: int):
    from builders.okedit.sources.flags import FlagsSource

    ingest = FlagsSource.ingest

    def some(self: FlagsSource, spool: Path):
        return (row for row, _ in zip(ingest(self, spool), range(count), strict=False))

    return some


@pytest.mark.slow
def test_without_any_option_every_pair_is_built_in_an_empty_folder(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "builders.okedit", "build"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    counts = Manifest.read(tmp_path / "out/okedit").counts
    assert counts.records >= 400
    assert counts.rejects == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_help_imports_nothing_heavy_and_lists_every_command() -> None:
    code = (
        "import sys; sys.argv = ['okedit', '--help']\n"
        "from builders.okedit.__main__ import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert said.splitlines()[-1] == "HEAVY []"
    for command in ("build", "preview", "export", "publish"):
        assert f" {command} " in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("build", "--source", "moon"), "Invalid value"),
        (("build", "--limit", "0"), "Invalid value"),
        (("build", "--limit", "many"), "Invalid value"),
        (("build", "--seed", "x"), "Invalid value"),
        (("build", "--rephrasings", "0"), "Invalid value"),
        (("build", "--rephrasings", "21"), "Invalid value"),
        (("build", "--editor-rephrasings", "-1"), "Invalid value"),
        (("build", "--image-size", "223"), "Invalid value"),
        (("build", "--image-size", "1025"), "Invalid value"),
        (("build", "--concurrency", "0"), "Invalid value"),
        (("build", "--max-requests", "-1"), "Invalid value"),
        (("build", "--workers", "0"), "Invalid value"),
        (("build", "--shard-size", "0"), "Invalid value"),
        (("build", "--text", "parrot"), "Invalid value"),
        (("build", "--images", "crayon"), "Invalid value"),
        (("build", "--nonsense"), "No such option"),
        (("export", ".", "--format", "csv"), "Invalid value"),
        (("export", "."), "Missing option"),
        (("preview",), "Missing argument"),
        (("publish", "."), "Missing option"),
        (("dance",), "No such command"),
    ],
)
def test_usage_errors_end_with_two(
    okedit: CommandLine, arguments: tuple[str, ...], complaint: str
) -> None:
    said = okedit(*arguments)
    assert said.code == 2
    assert complaint in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("build", "--source", "okvqa"), "--source okvqa needs --questions"),
        (("build", "--source", "hub"), "needs --columns"),
        (("build", "--split", "a b"), "must be one word"),
        (("build", "--text", "openai"), "no model is named"),
        (("build", "--text", "openai", "--model", "m"), "no API key"),
        (("build", "--text", "openai", "--model", "m", "--base-url", "ftp://x"), "URL"),
        (("build", "--images", "openai"), "no image model is named"),
        (("preview", "nowhere"), "nowhere"),
        (("export", "nowhere", "--format", "vlkeb"), "nowhere"),
        (("publish", "nowhere", "--repo-id", "a/b"), "nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    okedit: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MEDIT_MODEL", "MEDIT_IMAGE_MODEL", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    said = okedit(*arguments)
    assert said.code == 2
    assert complaint in said.complaint
    assert list(tmp_path.iterdir()) == []


def test_rejects_are_counted_by_rule(vqa: Vqa, okedit: CommandLine, tmp_path: Path) -> None:
    next(vqa.images.iterdir()).unlink()
    said = okedit("build", *vqa.arguments, "--out", tmp_path / "out", "--rephrasings", 2)
    assert said.code == 0, said.err
    assert "11 records" in said.out
    assert "  rejected 1: missing_image" in said.out.splitlines()


def test_workers_and_an_own_name_and_split(okedit: CommandLine, tmp_path: Path) -> None:
    arguments = ("--name", "My flags", "--split", "train")
    one = okedit("build", "--out", tmp_path / "one", *SMALL, *arguments)
    assert one.code == 0, one.err
    assert one.out.startswith("My flags: 4 records")
    names = [path.name for path in sorted((tmp_path / "one" / "data").iterdir())]
    assert names == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]


@pytest.mark.slow
def test_workers_change_no_byte(okedit: CommandLine, tmp_path: Path) -> None:
    for workers in (1, 2):
        out = tmp_path / str(workers)
        assert okedit("build", "--out", out, *SMALL, "--workers", workers).code == 0
    assert file_bytes(tmp_path / "1") == file_bytes(tmp_path / "2")
