"""Exports that cannot be used end in one sentence; single bad pages are rejects."""

from __future__ import annotations

import bz2
import tracemalloc
from pathlib import Path

import pytest

from builders.docmedit.mediawiki import wikitext
from builders.docmedit.mediawiki.dump import opened
from builders.docmedit.mediawiki.marked import Marked
from builders.docmedit.mediawiki.source import DumpSource
from builders.docmedit.mediawiki.titles import Titles
from schemas.errors import InputError
from tests.builders.docmedit.mediawiki.support import (
    EARLY,
    LATE,
    PageXml,
    Revision,
    export,
    ingested,
    source,
    write,
)

PAGES = [PageXml(n, f"Town {n}", f"Town {n} is a town in [[Land]]. " * 40) for n in range(1, 60)]
CHANGED = [
    PageXml(1, "Town 1", "Town 1 is a town in [[Land]]. It has [[Anna Bell|a mayor]]."),
    *PAGES[1:],
]
NAMES = ("wiki-20200620.xml", "wiki-20211220.xml")


def error(before: Path, after: Path, tmp_path: Path) -> str:
    with pytest.raises(InputError) as caught:
        list(DumpSource(before, after).ingest(tmp_path / "spool"))
    message = str(caught.value)
    assert "\n" not in message
    return message


def pair(folder: Path, first: str, second: str) -> tuple[Path, Path]:
    return write(folder / NAMES[0], first), write(folder / NAMES[1], second)


@pytest.mark.parametrize("suffix", [".xml", ".xml.bz2", ".xml.gz"])
def test_all_kinds_of_files_are_read(tmp_path: Path, suffix: str) -> None:
    before = write(tmp_path / f"w-20200620{suffix}", export(PAGES, EARLY))
    after = write(tmp_path / f"w-20211220{suffix}", export(CHANGED, LATE))
    assert list(ingested(DumpSource(before, after), tmp_path / "spool").drafts) == ["Town 1"]


@pytest.mark.parametrize("suffix", [".xml.bz2", ".xml.gz", ".xml"])
def test_a_truncated_file_is_named_with_the_pages_read(tmp_path: Path, suffix: str) -> None:
    many = [PageXml(n, f"P{n}", " ".join(str(n * i) for i in range(2_000))) for n in range(1, 300)]
    before = write(tmp_path / f"w-20200620{suffix}", export(many, EARLY))
    after = write(tmp_path / f"w-20211220{suffix}", export(CHANGED, LATE))
    before.write_bytes(before.read_bytes()[: before.stat().st_size * 3 // 4])
    message = error(before, after, tmp_path)
    assert before.name in message
    found = int(message.split("; ")[1].split(" pages were read before")[0])
    assert 0 < found < 299


def test_invalid_xml_is_named_with_the_pages_read(tmp_path: Path) -> None:
    broken = export(PAGES, EARLY).replace("<title>Town 30</title>", "<title>Town 30</titel>")
    message = error(*pair(tmp_path, broken, export(CHANGED, LATE)), tmp_path)
    assert NAMES[0] in message
    assert "not valid XML" in message
    assert message.endswith("29 pages were read before")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<id>5</id>", "<id>five</id>"),
        ("<title>Town 5</title>", ""),
        ("<ns>0</ns>", "<nothing/>"),
        (EARLY, "yesterday"),
    ],
)
def test_xml_that_is_no_export_is_refused(tmp_path: Path, old: str, new: str) -> None:
    broken = export(PAGES, EARLY).replace(old, new, 1)
    message = error(*pair(tmp_path, broken, export(CHANGED, LATE)), tmp_path)
    assert "no MediaWiki export as it should be" in message


def test_an_entity_bomb_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    bomb = '<?xml version="1.0"?>\n<!-- <mediawiki> -->\n<!DOCTYPE x [<!ENTITY a "ha">'
    for name, inner in zip("bcdefghij", "abcdefghi", strict=True):
        bomb += f'<!ENTITY {name} "{f"&{inner};" * 10}">'
    bomb += "]>\n" + export(PAGES, EARLY).replace("Town 7 is", "&j;")
    tracemalloc.start()
    message = error(*pair(tmp_path, bomb, export(CHANGED, LATE)), tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "declares a document type or entities" in message
    assert peak < 20_000_000


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ('<!DOCTYPE mediawiki SYSTEM "file:///etc/passwd">', "document type"),
        ('<?xml version="1.0" encoding="UTF-16"?>', "not in UTF-8"),
        ("<html>", "does not begin with <mediawiki>"),
        ("<!-- never closed ", "holds no <mediawiki>"),
        ("<?xml " + " " * 70_000 + "?>", "holds no <mediawiki>"),
    ],
)
def test_other_beginnings_are_refused(tmp_path: Path, head: str, reason: str) -> None:
    text = head + export(PAGES, EARLY)
    assert reason in error(*pair(tmp_path, text, export(CHANGED, LATE)), tmp_path)


def test_an_entity_that_nobody_declared_is_an_error(tmp_path: Path) -> None:
    text = export(PAGES, EARLY).replace("Town 7 is", "&undeclared; is", 1)
    assert "not valid XML" in error(*pair(tmp_path, text, export(CHANGED, LATE)), tmp_path)


def test_a_document_type_further_down_is_an_error(tmp_path: Path) -> None:
    text = export(PAGES, EARLY).replace("<siteinfo>", '<!DOCTYPE a [<!ENTITY b "c">]><siteinfo>')
    assert "not valid XML" in error(*pair(tmp_path, text, export(CHANGED, LATE)), tmp_path)


def test_empty_and_odd_files(tmp_path: Path) -> None:
    after = write(tmp_path / NAMES[1], export(CHANGED, LATE))
    empty = write(tmp_path / NAMES[0], "")
    assert "holds no <mediawiki>" in error(empty, after, tmp_path)
    no_site = write(tmp_path / NAMES[0], "<mediawiki></mediawiki>")
    assert "no MediaWiki export as it should be" in error(no_site, after, tmp_path)
    no_page = write(tmp_path / NAMES[0], export([]))
    assert "holds no article" in error(no_page, after, tmp_path)
    fake = tmp_path / "w-20200620.xml.bz2"
    fake.write_text("no bzip2 at all")
    assert "cannot be unpacked" in error(fake, after, tmp_path)


def test_paths_that_lead_to_no_export(tmp_path: Path) -> None:
    after = write(tmp_path / NAMES[1], export(CHANGED, LATE))
    assert "does not exist" in error(tmp_path / "missing.xml", after, tmp_path)
    packed = tmp_path / "w-20200620.xml.7z"
    packed.write_bytes(b"7z")
    assert "7z x" in error(packed, after, tmp_path)
    text = tmp_path / "w.txt"
    text.write_text("x")
    assert "give .xml" in error(text, after, tmp_path)
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "holds no .xml" in error(folder, after, tmp_path)
    packed.rename(folder / packed.name)
    assert "7-Zip" in error(folder, after, tmp_path)


def test_the_wrong_order_is_refused(tmp_path: Path) -> None:
    before, after = pair(tmp_path, export(PAGES, EARLY), export(CHANGED, LATE))
    assert "exchange the two" in error(after, before, tmp_path)
    # Names without dates: the revisions tell.
    first = before.rename(tmp_path / "a.xml")
    second = after.rename(tmp_path / "b.xml")
    assert "exchange the two" in error(second, first, tmp_path)


def test_the_same_snapshot_twice_is_refused(tmp_path: Path) -> None:
    text = export(PAGES, EARLY)
    before = write(tmp_path / "a.xml", text)
    assert "same snapshot" in error(before, before, tmp_path)
    assert "same snapshot" in error(before, write(tmp_path / "b.xml", text), tmp_path)
    # Packed, its bytes differ and its pages do not.
    assert "same snapshot" in error(before, write(tmp_path / "b.xml.bz2", text), tmp_path)
    day = write(tmp_path / "c-20200620.xml", text), write(tmp_path / "d-2020-06-20.xml", text + " ")
    assert "same snapshot" in error(*day, tmp_path)


def test_different_languages_and_wikis_are_refused(tmp_path: Path) -> None:
    french = export(CHANGED, LATE, lang="fr")
    assert "another language" in error(*pair(tmp_path, export(PAGES), french), tmp_path)
    other = export(CHANGED, LATE, dbname="frwiki")
    assert "another wiki" in error(*pair(tmp_path, export(PAGES), other), tmp_path)
    with pytest.raises(InputError, match="is in 'en', not 'de'"):
        list(source(tmp_path, PAGES, CHANGED, language="de").ingest(tmp_path / "spool"))


def test_parts_of_several_dates_are_refused(tmp_path: Path) -> None:
    for name in NAMES:
        write(tmp_path / "parts" / name, export(PAGES))
    after = write(tmp_path / NAMES[1], export(CHANGED, LATE))
    assert "several dates" in error(tmp_path / "parts", after, tmp_path)


def test_parts_are_read_in_order_as_one(tmp_path: Path) -> None:
    for snapshot, pages, stamp in (("before", PAGES, EARLY), ("after", CHANGED, LATE)):
        for number, start in ((2, 10), (10, 40), (1, 0)):
            end = {0: 10, 10: 40, 40: 60}[start]
            name = f"w-pages-articles{number}.xml-p{start + 1}p{end}.bz2"
            folder = tmp_path / f"{snapshot}-{'2020' if snapshot == 'before' else '2021'}0601"
            write(folder / name, export(pages[start:end], stamp))
    parts = tmp_path / "before-20200601", tmp_path / "after-20210601"
    got = ingested(DumpSource(*parts), tmp_path / "spool")
    assert got.rows[0].row == 0
    assert got.counts["pages_after"] == len(CHANGED)
    assert got.drafts["Town 1"].document.snapshot_after == "2021-06-01"


def test_a_truncated_part_counts_the_pages_of_the_others(tmp_path: Path) -> None:
    write(tmp_path / "before" / "p1.xml.bz2", export(PAGES[:10]))
    second = write(tmp_path / "before" / "p2.xml.bz2", export(PAGES[10:]))
    second.write_bytes(bz2.compress(export(PAGES[10:]).encode()[:-2_000]))
    after = write(tmp_path / NAMES[1], export(CHANGED, LATE))
    message = error(tmp_path / "before", after, tmp_path)
    assert "p2.xml.bz2" in message
    assert int(message.split("; ")[1].split()[0]) > 10


def test_ten_megabytes_of_nested_templates_are_a_reject(tmp_path: Path) -> None:
    for nested, reason in (("{{a|" * 2_500_000, "bytes"), ("{{a|" * 400_000, "nested")):
        after = [PageXml(2, "Town 2", nested), *CHANGED]
        before = [PageXml(2, "Town 2", "A [[town]]."), *PAGES]
        del after[2], before[2]
        got = ingested(source(tmp_path, before, after), tmp_path / "spool")
        assert reason in got.rules["unreadable"]
        assert list(got.drafts) == ["Town 1"]


@pytest.mark.parametrize("error", [ValueError, KeyError, IndexError, RecursionError])
def test_a_page_that_the_reader_fails_at_is_a_reject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    plain = wikitext.plain

    def fails(paragraph: str, titles: Titles, own: str = "") -> Marked:
        if "odd" in paragraph:
            raise error("with words of the page")
        return plain(paragraph, titles, own)

    monkeypatch.setattr(wikitext, "plain", fails)
    # As an article, as another article, and as a page that may give evidence.
    odd = [PageXml(2, "Town 2", "An odd [[town]]."), PageXml(3, "Land", "An odd [[land]].")]
    late = [PageXml(2, "Town 2", "An odd [[city]]."), odd[1]]
    body = "Town 59 is a town.\n== Life ==\n"
    odd.append(PageXml(59, "Town 59", body))
    late.append(PageXml(59, "Town 59", body + "An odd man of [[Town 1]] came to live there."))
    before, after = [PAGES[0], *PAGES[3:-1], *odd], [CHANGED[0], *PAGES[3:-1], *late]
    got = ingested(source(tmp_path, before, after), tmp_path / "spool")
    assert got.rules == {"unreadable": f"is more than the reader can take ({error.__name__})"}
    assert got.counts["unreadable_as_evidence"] == 1
    assert list(got.drafts) == ["Town 1"]


def test_a_page_without_text_is_a_reject(tmp_path: Path) -> None:
    after = [*CHANGED[:-2], PageXml(58, "Town 58", ""), PageXml(59, "Town 59", None)]
    got = ingested(source(tmp_path, PAGES, after), tmp_path / "spool")
    assert [r.rule for r in got.rejects].count("no_text") == 2
    assert got.counts["no_text_after"] == 2
    assert "deleted" not in got.counts


def test_the_newest_revision_wins(tmp_path: Path) -> None:
    text = "Town 1 is a town in [[Land]]. It has [[Carl Dunn]]."
    versions = (Revision(text, LATE, 7), Revision("old", EARLY, 6))
    after = [PageXml(1, "Town 1", revisions=versions), *PAGES[1:]]
    got = ingested(source(tmp_path, PAGES, after), tmp_path / "spool")
    assert got.drafts["Town 1"].document.after.revision == "7"


def test_other_namespaces_are_counted(tmp_path: Path) -> None:
    extra = [PageXml(900, "Talk:Town 1", "a [[b]]", ns=1), PageXml(901, "File:A", "x", ns=6)]
    got = ingested(source(tmp_path, [*extra, *PAGES], [*CHANGED, *extra]), tmp_path / "spool")
    assert got.counts["other_namespace_before"] == got.counts["other_namespace_after"] == 2
    assert list(got.drafts) == ["Town 1"]
    assert got.rejects == []


def test_a_reader_holds_no_more_than_a_page(tmp_path: Path) -> None:
    pages = [PageXml(n, f"P{n}", "x" * 20_000) for n in range(1, 400)]
    path = write(tmp_path / "a.xml", export(pages))
    tracemalloc.start()
    with opened(path) as read:
        assert sum(1 for _ in read.pages) == 399
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < path.stat().st_size / 2
