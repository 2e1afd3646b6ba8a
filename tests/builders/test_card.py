"""Data cards: what the Hub and `datasets` read of them, and that no text from data breaks them."""

from __future__ import annotations

import dataclasses
import html
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from builders.card import rebuild_command, render_card
from schemas import OKEDIT
from schemas.manifest import Manifest
from schemas.markdown import markdown
from tests.datasets_on_disk import make_dataset
from tests.stubs.hub_card import header_of, header_problems
from tests.stubs.hub_client import hub_environment, run_python
from tests.stubs.hub_server import Hub

TRUTH = [("same_image", "portability (target)", "locality (unchanged)")]
HOSTILE = (
    '|x|\n---\n# <script>alert("1")</script> `a` [b](javascript:c) *d* ```\r\n"} \x1b[31m\u2028'
)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return make_dataset(tmp_path_factory.mktemp("set"))


def card(manifest: Manifest) -> str:
    return render_card("okedit", manifest, OKEDIT, truth_table=TRUTH)


def rendered(text: str) -> str:
    """The HTML that a Markdown viewer makes of text, raw HTML in it included."""
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)


def body(text: str) -> str:
    return text.split("\n---\n", 1)[1]


def cells(page: str) -> list[list[str]]:
    """The texts of all table rows."""
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [
        [html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(r"<td.*?</td>", row)]
        for row in rows
    ]


# The header ----------------------------------------------------------------------------------


def test_the_hub_accepts_the_header_and_datasets_loads_the_folder(tmp_path: Path) -> None:
    plain = make_dataset(tmp_path / "plain")
    make_dataset(tmp_path / "set", card=card(plain))
    code = """
import json, sys
from datasets import Features, load_dataset
from huggingface_hub import DatasetCard
from schemas import OKEDIT

card = DatasetCard.load(sys.argv[1] + "/README.md")
card.validate()
splits = load_dataset(sys.argv[1])
features = Features.from_arrow_schema(OKEDIT.arrow)
told = Features._from_yaml_list(card.data.to_dict()["dataset_info"]["features"])
print(json.dumps({
    "rows": {name: split.num_rows for name, split in splits.items()},
    "loaded": splits["test"].features == features,
    "told": told == features,
    "decoded": splits["test"][0]["probes"][0]["images"][0].size,
    "card": {k: v for k, v in card.data.to_dict().items() if k != "dataset_info"},
}))
"""
    with Hub() as hub:
        environment = hub_environment(hub.url, tmp_path / "home")
        seen = json.loads(run_python(code, environment, str(tmp_path / "set")).splitlines()[-1])
        assert len(hub.requests("POST /api/validate-yaml")) == 1
    assert seen["rows"] == {"test": 5}  # `rejects.parquet` is no split
    assert seen["loaded"]
    assert seen["told"]
    assert seen["decoded"] == [16, 16]
    assert seen["card"]["pretty_name"] == "Stripes"
    assert seen["card"]["license"] == "cc0-1.0"
    assert seen["card"]["language"] == ["en"]
    assert seen["card"]["task_categories"] == ["visual-question-answering"]
    assert seen["card"]["size_categories"] == ["n<1K"]


@pytest.mark.parametrize(
    ("records", "size"),
    [(1, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10_000, "10K<n<100K"), (10**6, "1M<n<10M")],
)
def test_the_size_category_follows_the_count(manifest: Manifest, records: int, size: str) -> None:
    counts = dataclasses.replace(manifest.counts, records=records)
    header = header_of(card(dataclasses.replace(manifest, counts=counts)))
    assert header["size_categories"] == [size]


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("CC-BY-SA-4.0", {"license": "cc-by-sa-4.0"}),
        (None, {"license": "unknown"}),
        ("CC0: facts; BSD: code", {"license": "other", "license_name": "CC0: facts; BSD: code"}),
    ],
)
def test_a_licence_that_the_hub_does_not_know_is_named(
    manifest: Manifest, licence: str | None, expected: dict[str, str]
) -> None:
    source = manifest.source | {"licence": licence}
    text = card(dataclasses.replace(manifest, source=source))
    header = header_of(text)
    assert {k: v for k, v in header.items() if k.startswith("license")} == expected
    assert header_problems(text) == []


# The body ------------------------------------------------------------------------------------


def test_the_tables_hold_the_manifest_s_numbers(manifest: Manifest) -> None:
    rows = cells(rendered(body(card(manifest))))
    asked = "the edited question in other words, about the same picture"
    assert ["generality", "rephrase", "5", "10", asked] in rows
    assert ["records", "5"] in rows
    assert ["no_answer", "1"] in rows
    assert ["as of", "2024-05-01"] in rows
    assert ["same_image", "portability (target)", "locality (unchanged)"] in rows
    assert ["text", "name: templates; model: none"] in rows


def test_every_field_of_a_record_is_explained(manifest: Manifest) -> None:
    rows = [row for row in cells(rendered(body(card(manifest)))) if len(row) == 3]
    explained = {row[0]: row[2] for row in rows}
    features = header_of(card(manifest))["dataset_info"]["features"]
    names = {f["name"] for f in features}
    nested = [f["list"] for f in features if isinstance(f.get("list"), list)]
    names |= {f["name"] for fields in nested for f in fields}
    assert {"requests", "target_new", "answers_pre_edit", "fallback"} <= names
    assert not [name for name in names if not explained.get(name)]
    # A meaning that goes on over several lines of the docstring is whole.
    assert explained["extra"].endswith("None if there are none.")


def test_sections_without_content_are_left_out(manifest: Manifest) -> None:
    counts = dataclasses.replace(manifest.counts, rejects=0, rejects_by_rule={})
    bare = dataclasses.replace(manifest, counts=counts, generators={}, notes=("One more.",))
    text = render_card("okedit", bare, OKEDIT)
    assert "What an edit should reach" not in text
    assert "| generator |" not in text
    assert "No source row was left out." in text
    assert "- One more." in text


def test_a_card_holds_no_times_and_no_digests_of_files_that_follow(manifest: Manifest) -> None:
    later = dataclasses.replace(manifest, started="2040-01-01", finished="2040-01-02", files={})
    assert card(later) == card(manifest)
    assert "2031-03-04" not in card(manifest)


# Text from data ------------------------------------------------------------------------------


def test_hostile_text_breaks_neither_header_nor_tables(manifest: Manifest) -> None:
    counts = dataclasses.replace(
        manifest.counts,
        rejects_by_rule={HOSTILE: 3},
        scopes={HOSTILE: 1},
        probes_by_kind={f"{HOSTILE}/{HOSTILE}": (1, 1)},
    )
    hostile = dataclasses.replace(
        manifest,
        name=HOSTILE,
        split=HOSTILE,
        source={"title": HOSTILE, "licence": HOSTILE, HOSTILE: [HOSTILE], "as_of": HOSTILE},
        arguments={"seed": f"1\n```\n{HOSTILE}"},
        generators={HOSTILE: {HOSTILE: HOSTILE}},
        counts=counts,
        notes=(HOSTILE,),
    )
    text = render_card("okedit", hostile, OKEDIT, truth_table=[(HOSTILE, HOSTILE, HOSTILE)])
    shown = '|x| --- # <script>alert("1")</script> `a` [b](javascript:c) *d* ``` "} [31m'

    header = header_of(text)
    assert header["pretty_name"] == header["license_name"] == shown
    assert header["configs"][0]["data_files"][0]["split"] == shown
    assert header.keys() - header_of(card(manifest)).keys() == {"license_name"}

    page = rendered(body(text))
    assert "<script" not in page
    assert 'href="javascript' not in page
    blocks = re.compile(r"<(h[1-6]|table|hr|pre)\b")
    assert blocks.findall(page) == blocks.findall(rendered(body(card(manifest))))
    rows = cells(page)
    assert [shown, "3"] in rows
    assert [shown, shown, shown] in rows
    assert ["title", shown] in rows
    assert "\x1b" not in text


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("ab1 \\`*_[]()|~<>&;#+-=.!:/\"'\n$@")), max_size=30))
def test_escaped_text_shows_as_itself(text: str) -> None:
    page = rendered(f"| x | y |\n|---|---|\n| {markdown(text)} | 7 |\n")
    assert cells(page)[-1] == [" ".join(text.split()), "7"]
    line = rendered(f"{markdown(text)} 7\n")
    shown = " ".join(f"{text} 7".split())
    assert line == f"<p>{html.escape(shown, quote=False)}</p>\n".replace('"', "&quot;")


def test_web_addresses_are_links() -> None:
    page = rendered(markdown("See https://example.org/a_b_c?x=1. Or ftp://no"))
    assert '<a href="https://example.org/a_b_c?x=1">https://example.org/a_b_c?x=1</a>.' in page
    assert page.count("<a ") == 1


def test_the_rebuild_command_quotes_arguments(manifest: Manifest) -> None:
    arguments = {
        "source": "my flags.json",
        "text_model": None,
        "keep_all": True,
        "resume": False,
        "negatives": [1, 2],
        "fingerprint": "abc",
    }
    command = rebuild_command(dataclasses.replace(manifest, arguments=arguments))
    assert command == (
        "python -m builders.okedit build --source 'my flags.json' --keep-all --no-resume"
        " --negatives 1 --negatives 2 --out DIR"
    )
    assert f"```bash\n{rebuild_command(manifest)}\n```" in card(manifest)
