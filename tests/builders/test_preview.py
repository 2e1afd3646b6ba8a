"""The preview page: what it shows, that data cannot act in it, and that it works in a browser."""

from __future__ import annotations

import dataclasses
import io
import random
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from builders.preview import write_preview
from builders.survey import sample, survey
from schemas.arrow import OKEDIT
from schemas.errors import InputError
from schemas.gallery import Gallery
from schemas.images import EncodedImage
from schemas.layout import Layout, write_parquet
from schemas.records import EditRecord, EditRequest, Probe, Provenance, Sample
from tests.datasets_on_disk import make_dataset

QUESTION = "Whose flag is this?"
HOSTILE = (
    "<script>document.title='owned'</script></script>"
    "<img src=x onerror=\"document.title='owned'\">'\"&amp;"
)
OVERRIDE, CONTROLS = "\u202egnp.exe", "\x00\x07"
JAPANESE, ARABIC = "日本の首都は？", "ما هي عاصمة فرنسا؟"


def flag(*colours: str, noise: int | None = None) -> EncodedImage:
    picture = Image.new("RGB", (90, 60))
    for place, colour in enumerate(colours):
        picture.paste(colour, (90 * place // len(colours), 0, 90, 60))
    if noise is not None:
        picture = Image.frombytes("RGB", (700, 500), random.Random(noise).randbytes(700 * 500 * 3))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return EncodedImage(buffer.getvalue(), "flag.png")


def record(number: int, **changes: Any) -> EditRecord:
    """A record with a picture, samples, and probes on every axis; changes replace its fields."""
    image, other = flag("blue", "white", "red"), flag("green", "white", "red")
    request = EditRequest(
        f"q{number}",
        QUESTION,
        image,
        None,
        f"Peru {number}",
        "France",
        ("Perú",),
        (Sample("rephrase", "Which nation flies it?", image, f"Peru {number}"),),
        (Sample("negative", QUESTION, other, "Italy", 0.25),),
        ("The flag is that of Peru.",),
    )
    words = ("Name the country.", "Name its country.", "What land is it?")
    probes = (
        Probe("a", "reliability", "edit", "target", (QUESTION,), (image,), ("Peru",), ("France",)),
        Probe("b", "generality", "rephrase", "target", words, (image,), ("Peru", "Republic")),
        Probe("c", "generality", "image_augmented", "target", (QUESTION,), (image, other), ("P",)),
        Probe(
            "d", "locality", "negative", "unchanged", (QUESTION,), (other,), ("Italy",),
            distance=0.5, grade="confusable" if number % 2 else "similar",
        ),
        Probe("e", "locality", "text", "unchanged", ("Who wrote Faust?",), (), ()),
        Probe("f", "portability", "two_hop", "target", ("Its capital?",), (image,), ("L",), hops=2),
    )  # fmt: skip
    value = EditRecord(
        f"rec-{number:03d}",
        (request,),
        probes,
        scope="recognition" if number % 4 == 0 else "knowledge",
        edit_type="image_text",
        third_answer="Italy",
        provenance=(Provenance("requests.target_new", "atlas", "rule", fallback=True),),
    )
    return dataclasses.replace(value, **changes)


def text_only(number: int, prompt: str, answer: str) -> EditRecord:
    probe = Probe("a", "reliability", "edit", "target", (prompt,), (), (answer,))
    request = EditRequest("t", prompt, None, "France", answer, None)
    return record(number, requests=(request,), probes=(probe,), edit_type="text")


def dataset(root: Path, records: list[EditRecord], shards: int = 1) -> Path:
    size = -(-len(records) // shards)
    for index in range(shards):
        part = OKEDIT.table(records[index * size : (index + 1) * size])
        write_parquet(Layout(root).shard("train", index, shards), part, row_group_size=3)
    return root


class Page(HTMLParser):
    """What a browser's parser makes of a page, as far as the tests ask."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(root: Path, **options: Any) -> Page:
    return Page(write_preview(root, **options))


def test_shows_what_a_record_holds(tmp_path: Path) -> None:
    shown = page(dataset(tmp_path / "Flags", [record(1)]))
    for text in (
        "Flags", "rec-001", QUESTION, "France", "Peru 1", "Perú", "Italy", "The flag is that of",
        "What the editor may see", "Which nation flies it?", "distance 0.25", "2 rephrasings",
        "What land is it?", "Republic", "confusable", "distance 0.5", "2 hops", "Who wrote Faust?",
        "whatever the unedited model says", "knowledge", "fallback", "the edited question",
    ):  # fmt: skip
        assert text in shown.text, text
    axes = [a["data-axis"] for t, a in shown.tags if "data-axis" in a]
    assert list(dict.fromkeys(axes)) == ["reliability", "generality", "locality", "portability"]


def test_tells_how_a_finished_build_was_made(tmp_path: Path) -> None:
    make_dataset(tmp_path / "folder", records=3)
    shown = page(tmp_path / "folder")
    for text in ("Stripes", "All 3 records", "source.licence", "CC0-1.0", "generators.text.name"):
        assert text in shown.text, text


def test_lies_beside_the_folder_and_leaves_it_alone(tmp_path: Path) -> None:
    root = dataset(tmp_path / "Flags", [record(1)])
    before = sorted(root.rglob("*"))
    assert write_preview(root) == tmp_path / "Flags.preview.html"
    assert sorted(root.rglob("*")) == before
    with pytest.raises(InputError, match="only what is published"):
        write_preview(root, root / "data" / "page.html")


def test_same_input_gives_same_bytes(tmp_path: Path) -> None:
    root = dataset(tmp_path / "Flags", [record(n) for n in range(9)], shards=2)
    first = write_preview(root, tmp_path / "a.html", limit=4, seed=3).read_bytes()
    assert write_preview(root, tmp_path / "b.html", limit=4, seed=3).read_bytes() == first
    others = [page(root, limit=4, seed=seed) for seed in range(4)]
    assert len({tuple(re.findall(r"rec-\d+", other.text)) for other in others}) > 1


def test_data_is_text_and_never_markup(tmp_path: Path) -> None:
    hostile = dataclasses.replace(
        record(1).requests[0],
        prompt=HOSTILE + OVERRIDE + CONTROLS,
        target_new=HOSTILE,
        image=EncodedImage(flag("red").bytes, HOSTILE),
    )
    probe = Probe("a", "locality", HOSTILE, "unchanged", (HOSTILE,), (), (), grade=HOSTILE)
    root = dataset(
        tmp_path / "<i>&",
        [record(1, id=HOSTILE, requests=(hostile,), probes=(probe,), extra='{"a":"</script>"}')],
    )
    plain = page(dataset(tmp_path / "plain", [record(1)]))
    shown = page(root)
    assert len(shown.all("script")) == len(plain.all("script")) == 1
    assert {
        name for _, attributes in shown.tags for name in attributes if name[:2] == "on"
    } == set()
    assert not [a for a in shown.all("img") if a.get("src") == "x"]
    assert shown.text.count(HOSTILE) >= 3
    assert "⟨U+202E⟩gnp.exe⟨U+0000⟩⟨U+0007⟩" in shown.text
    assert not re.search("[\u202e\x00\x07]", shown.source)
    (tile,) = (a for _, a in shown.tags if "data-grade" in a)
    assert tile["data-grade"] == tile["data-kind"] == HOSTILE


def test_refers_to_nothing_outside_itself(tmp_path: Path) -> None:
    shown = page(dataset(tmp_path / "Flags", [record(1)]))
    links = [a[k] for _, a in shown.tags for k in ("src", "href", "action", "srcset") if a.get(k)]
    assert links
    assert all(str(link).startswith(("data:", "#")) for link in links)
    assert not re.search(r"https?:|url\(|@import", shown.source)
    (policy,) = (a["content"] for a in shown.all("meta") if "http-equiv" in a)
    assert str(policy).startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in str(policy)


def test_equal_pictures_are_inlined_once(tmp_path: Path) -> None:
    shown = page(dataset(tmp_path / "Flags", [record(n) for n in range(3)]))
    inlined = [a["src"] for a in shown.all("img") if "src" in a]
    assert len(inlined) == len(set(inlined)) == 2
    named = {a["id"] for a in shown.all("img") if "id" in a}
    again = [a["data-same"] for a in shown.all("img") if "data-same" in a]
    assert set(again) <= named
    assert len(again) > 10


def test_a_small_place_does_not_serve_a_large_one() -> None:
    gallery, image = Gallery(), flag("red", "green", noise=1)
    small, large, later = gallery.show(image), gallery.show(image, large=True), gallery.show(image)
    assert small.uri
    assert large.uri
    assert len(large.uri) > len(small.uri)
    assert later.uri is None
    assert later.number == large.number != small.number


def test_pictures_that_hardly_compress_stay_small() -> None:
    gallery = Gallery()
    small, large = (gallery.show(flag("red", noise=n), large=n == 1).uri for n in (0, 1))
    assert small
    assert large
    assert len(small) < 8_000
    assert len(large) < 40_000


def test_broken_pictures_leave_a_placeholder_with_the_reason(tmp_path: Path) -> None:
    broken = (EncodedImage(b"nonsense"), EncodedImage(b""), EncodedImage(b"nonsense"))
    probe = Probe("a", "generality", "image_augmented", "target", (QUESTION,), broken, ("Peru",))
    shown = page(dataset(tmp_path / "Flags", [record(1, probes=(probe,))]))
    assert shown.text.count("cannot be shown: the bytes are not an image") == 2
    assert "cannot be shown: the image is empty" in shown.text


def test_records_without_pictures(tmp_path: Path) -> None:
    records = [text_only(1, ARABIC, "برلين"), text_only(2, JAPANESE, "東京")]
    shown = page(dataset(tmp_path / "Text", records))
    assert shown.all("img") == []
    assert "this edit has no picture" in shown.text
    assert ARABIC in shown.text
    assert JAPANESE in shown.text
    assert all(a.get("dir") == "auto" for _, a in shown.tags if "data-find" in a)


def test_says_how_many_of_how_many_are_shown(tmp_path: Path) -> None:
    root = dataset(tmp_path / "Flags", [record(n) for n in range(20)], shards=4)
    shown = page(root, limit=8)
    assert len(shown.all("article")) == 8
    assert "8 of 20 records" in shown.text
    numbers = [int(str(a["id"])[1:]) for a in shown.all("article")]
    assert numbers == sorted(numbers)
    assert {(n - 1) // 5 for n in numbers} == {0, 1, 2, 3}
    ids = re.findall(r"rec-(\d{3})", shown.text)
    assert [int(i) + 1 for i in ids] == numbers
    assert "All 20 records" in page(root).text


def test_an_empty_data_set_is_a_page_too(tmp_path: Path) -> None:
    assert "has no records" in page(dataset(tmp_path / "Flags", [])).text


def test_sample_is_spread_and_keeps_rare_strata() -> None:
    strata = np.zeros(1000, np.uint8)
    strata[500:900] = 1
    strata[7] = 2
    rows = sample(strata, 20, seed=0)
    assert len(rows) == len(set(rows)) == 20
    assert 7 in rows
    counts = np.bincount(strata[rows])
    assert counts.tolist() == [11, 8, 1]
    assert {row // 100 for row in rows} == set(range(10))
    assert sample(strata, 2000, seed=0) == list(range(1000))
    assert {int(strata[row]) for row in sample(strata, 2, seed=5)} == {0, 1}


def test_survey_counts_probes_queries_and_pictures(tmp_path: Path) -> None:
    root = dataset(tmp_path / "Flags", [record(n) for n in range(5)], shards=2)
    overview = survey(Layout(root).shards())
    found = {c.kind: (c.probes, c.queries, c.pictures) for c in overview.kinds}
    assert found["rephrase"] == (5, 15, 5)
    assert found["image_augmented"] == (5, 10, 10)
    assert found["text"] == (5, 5, 0)
    assert overview.scopes == {"recognition": 2, "knowledge": 3}
    assert overview.edit_types == {"image_text": 5}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"no parquet"), "not a readable Parquet file"),
        (lambda path: path.unlink(), "holds no data set"),
        (
            lambda path: write_parquet(path, OKEDIT.table([record(1)]).select(["id"])),
            "not of schema okedit",
        ),
    ],
)
def test_names_the_file_that_cannot_be_read(tmp_path: Path, damage: Any, message: str) -> None:
    root = dataset(tmp_path / "Flags", [record(1)])
    damage(Layout(root).shards()[0])
    with pytest.raises(InputError, match=message) as caught:
        write_preview(root)
    assert str(tmp_path) in str(caught.value)
    assert not (tmp_path / "Flags.preview.html").exists()


def test_names_the_row_and_field_of_a_broken_record(tmp_path: Path) -> None:
    root = dataset(tmp_path / "Flags", [record(1)])
    (path,) = Layout(root).shards()
    (row,) = OKEDIT.table([record(1)]).to_pylist()
    row["requests"][0]["target_new"] = None
    write_parquet(path, OKEDIT.table([record(1)]).from_pylist([row], schema=OKEDIT.arrow))
    with pytest.raises(InputError, match=r"row 0 .*target_new.*is null"):
        write_preview(root)


def test_refuses_a_limit_below_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one record"):
        write_preview(tmp_path, limit=0)


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """The page of eight records in a browser; at the end, it was quiet and asked for nothing."""
    records = [record(n) for n in range(6)]
    records += [text_only(6, HOSTILE + OVERRIDE, "Åland"), text_only(7, ARABIC, "برلين")]
    path = write_preview(dataset(tmp_path / "Flags", records, shards=2))
    trouble: list[str] = []
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.on("console", lambda message: trouble.append(message.text))
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.on("request", lambda request: trouble.append(request.url))
    tab.goto(path.as_uri())
    yield tab
    asked = [line for line in trouble if not line.startswith(("data:", path.as_uri()))]
    tab.close()
    assert asked == []


def shown_ids(tab: Any) -> list[str]:
    return [n[4:] for n in tab.locator("article.card:visible .id").all_inner_texts()]


def test_browser_loads_all_pictures_and_runs_nothing_from_the_data(opened: Any) -> None:
    opened.evaluate("Promise.all([...document.images].map((image) => image.decode()))")
    widths = opened.evaluate("[...document.images].map((i) => i.naturalWidth)")
    assert len(widths) == 6 * 9
    assert min(widths) > 0
    assert opened.title() == "Flags preview"
    assert opened.locator("#count").inner_text() == "8 of 8 shown"


def test_browser_refuses_scripts_that_are_not_the_page_s_own(browser: Any, tmp_path: Path) -> None:
    path = write_preview(dataset(tmp_path / "Flags", [record(1)]))
    source = path.read_text(encoding="utf-8")
    path.write_text(source.replace("</main>", f"{HOSTILE}</main>"), encoding="utf-8")
    tab = browser.new_page()
    tab.goto(path.as_uri())
    assert tab.title() == "Flags preview"
    tab.close()


def test_browser_search_narrows(opened: Any) -> None:
    opened.keyboard.press("/")
    opened.keyboard.type("peru 3")
    assert shown_ids(opened) == ["003"]
    assert opened.locator("#count").inner_text() == "1 of 8 shown"
    opened.keyboard.press("Escape")
    assert len(shown_ids(opened)) == 8
    opened.fill("#search", "aland")
    assert shown_ids(opened) == ["006"]
    opened.fill("#search", "عاصمة")
    assert shown_ids(opened) == ["007"]
    opened.fill("#search", "rec-002")
    assert shown_ids(opened) == ["002"]
    opened.fill("#search", "no such thing")
    assert shown_ids(opened) == []
    opened.get_by_role("button", name="Show all").click()
    expect(opened.locator("#count")).to_have_text("8 of 8 shown")


def test_browser_search_opens_the_list_that_holds_the_match(opened: Any) -> None:
    assert opened.get_by_text("What land is it?").first.is_hidden()
    opened.fill("#search", "what land")
    assert opened.get_by_text("What land is it?").first.is_visible()


def test_browser_filters(opened: Any) -> None:
    opened.select_option("#scope", "recognition")
    assert shown_ids(opened) == ["000", "004"]
    opened.select_option("#scope", "")
    opened.select_option("#edit_type", "text")
    assert shown_ids(opened) == ["006", "007"]
    opened.select_option("#edit_type", "")
    opened.select_option("#kind", "locality / negative")
    opened.select_option("#grade", "confusable")
    assert shown_ids(opened) == ["001", "003", "005"]
    opened.get_by_role("button", name="Reset").click()
    expect(opened.locator("#count")).to_have_text("8 of 8 shown")


def test_browser_keys_walk_through_the_records(opened: Any) -> None:
    opened.keyboard.press("j")
    opened.keyboard.press("j")
    assert opened.evaluate("document.activeElement.id") == "r2"
    opened.keyboard.press("k")
    assert opened.evaluate("document.activeElement.id") == "r1"


def test_browser_page_is_no_wider_than_a_phone(opened: Any) -> None:
    opened.set_viewport_size({"width": 390, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
