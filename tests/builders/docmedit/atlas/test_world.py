"""The dated facts are consistent with themselves and with the rest of the atlas."""

from __future__ import annotations

from itertools import pairwise

import pytest

from builders.atlas.facts import load_atlas
from builders.docmedit.atlas.invented import WORDS, blocks, draw_block
from builders.docmedit.atlas.places import known_changes, known_countries, read_part
from builders.docmedit.atlas.things import Article, Item, at, read_data
from builders.docmedit.atlas.wordings import load_wordings
from builders.docmedit.atlas.world import FIRST_DAY, LAST_DAY, load_world

WORLD = load_world(FIRST_DAY, LAST_DAY)


def article(title: str) -> Article:
    return next(a for a in WORLD.articles if a.title == title)


def test_changes_are_in_order_and_in_time() -> None:
    for subject, change in known_changes():
        days = [day for day, _ in change.timeline if day is not None]
        assert days == sorted(set(days)), subject
        assert all(FIRST_DAY < day <= LAST_DAY for day in days), subject
        assert all(len(day) == len(FIRST_DAY) for day in days)
        assert all(a != b for (_, a), (_, b) in pairwise(change.timeline)), subject


def test_every_change_has_a_source_that_says_when_or_who() -> None:
    data = read_data("changes.json")
    for row in data["timelines"]:
        years = {day[:4] for day, _ in row["timeline"] if day}
        assert any(year in row["source"] for year in years), row["subject"]
    assert all(row["source"] for row in data["joined"])


def test_no_relation_of_a_subject_has_two_timelines() -> None:
    keys = [(subject, change.relation) for subject, change in known_changes()]
    assert len(set(keys)) == len(keys)


def test_there_are_many_real_changes() -> None:
    real = [(a.title, i.relation) for a in WORLD.articles for i in a.items if i.changed]
    assert len(real) >= 200
    assert len({title for title, _ in real}) >= 150


def test_subjects_and_values_are_known() -> None:
    countries = {country.key for country in known_countries(load_atlas())}
    cities = {a.before.name for a in WORLD.articles if a.kind == "city"} | {
        a.title for a in WORLD.articles if a.kind == "city"
    }
    wordings = load_wordings()
    for subject, change in known_changes():
        assert subject in countries | cities, subject
        kind = "country" if subject in countries else "city"
        assert (kind, change.relation) in wordings


def test_the_last_value_is_what_the_atlas_holds() -> None:
    atlas = load_atlas()
    checked = 0
    for subject, change in known_changes():
        country = atlas.countries.get(subject)
        if country is None:
            continue
        value, _ = at(change.timeline, LAST_DAY)
        if change.relation == "currency":
            assert value == country.currency
        elif change.relation == "currency_code":
            assert country.currency in (value, None)
        elif change.relation == "capital" and country.capital is not None:
            assert value == atlas.cities[country.capital].name
        elif change.relation == "name":
            assert value in (country.name, *country.aliases, "Türkiye")
        else:
            continue
        checked += 1
    assert checked >= 15


def test_no_place_is_in_the_data_twice() -> None:
    titles = [a.title for a in WORLD.articles]
    assert len(set(titles)) == len(titles)
    named = [name for names in read_part("cities").values() for name in names]
    assert len(set(named)) == len(named)


@pytest.mark.parametrize(
    ("title", "relation", "old", "new", "year"),
    [
        ("Estonia", "currency", "Estonian kroon", "euro", 2011),
        ("Bulgaria", "currency", "Bulgarian lev", "euro", 2026),
        ("Myanmar", "capital", "Yangon", "Naypyidaw", 2006),
        ("Burundi", "capital", "Bujumbura", "Gitega", 2019),
        ("Eswatini", "name", "Swaziland", "Eswatini", 2018),
        ("North Macedonia", "name", "Macedonia", "North Macedonia", 2019),
        ("Cabo Verde", "name", "Cape Verde", "Cabo Verde", 2013),
        ("Finland", "alliance", None, "NATO", 2023),
        ("Croatia", "union", None, "European Union", 2013),
        ("Skopje", "country", "Macedonia", "North Macedonia", 2019),
        ("Tallinn", "currency", "Estonian kroon", "euro", 2011),
        ("Belarus", "currency_code", "BYR", "BYN", 2016),
    ],
)
def test_changes_of_the_world(
    title: str, relation: str, old: str | None, new: str, year: int
) -> None:
    item = next(item for item in article(title).items if item.relation == relation)
    assert item.before is None if old is None else item.before is not None
    assert item.before is None or item.before.name == old
    assert (item.after.name, item.year) == (new, year)


@pytest.mark.parametrize(
    ("day", "name", "year"),
    [
        ("2010-01-01", "Astana", None),
        ("2019-03-22", "Astana", None),
        ("2019-03-23", "Nur-Sultan", 2019),
        ("2023-01-01", "Astana", 2022),
    ],
)
def test_a_value_holds_from_its_day_on(day: str, name: str, year: int | None) -> None:
    change = {s: c for s, c in known_changes() if c.relation == "capital"}["KZ"]
    assert at(change.timeline, day) == (name, year)


def test_nothing_is_told_of_the_time_between_two_holders() -> None:
    """Sources differ on when Naypyidaw became the capital; in between, no text names one."""

    def capital(before: str, after: str) -> list[Item]:
        world = load_world(before, after)
        myanmar = next(a for a in world.articles if a.title == "Myanmar")
        return [item for item in myanmar.items if item.relation == "capital"]

    assert capital(FIRST_DAY, "2006-01-01") == []
    (item,) = capital("2006-01-01", LAST_DAY)
    assert (item.before, item.after.name) == (None, "Naypyidaw")


def test_a_place_has_one_page_whatever_it_was_called_for_a_time() -> None:
    countries = {country.key for country in known_countries(load_atlas())}
    earlier = {
        value
        for subject, change in known_changes()
        if change.relation == "name" and subject not in countries
        for value in change.values
        if value != subject
    }
    assert {"Nur-Sultan", "Bangalore"} <= earlier
    assert not earlier & WORLD.pages.keys()
    assert not earlier & {a.title for a in WORLD.articles}


@pytest.mark.parametrize(
    ("after", "name", "text"),
    [
        (LAST_DAY, "John Mahama", "John Mahama came to office in 2012 and in 2025."),
        ("2020-01-01", "John Mahama", "John Mahama came to office in 2012."),
        (LAST_DAY, "Boris Johnson", "Boris Johnson came to office in 2008 and in 2019."),
        (LAST_DAY, "Charles III", "Charles III came to office in 2022."),
        (LAST_DAY, "Elizabeth II", "Elizabeth II has held a high office."),
    ],
)
def test_a_page_tells_of_all_terms_in_office(after: str, name: str, text: str) -> None:
    assert load_world(FIRST_DAY, after).pages[name].own == (text,)


def test_nobody_has_a_page_before_they_come_to_office() -> None:
    assert "Joe Biden" not in load_world(FIRST_DAY, "2020-01-01").pages


def test_a_country_whose_long_name_remains_is_not_renamed() -> None:
    czechia = article("Czechia")
    assert czechia.before.name == czechia.after.name == "Czechia"
    assert not any(item.relation == "name" for item in czechia.items)


def test_a_country_that_was_none_yet_has_no_article() -> None:
    assert not any(a.title == "Montenegro" for a in WORLD.articles)
    assert any(a.title == "Montenegro" for a in load_world("2010-01-01", LAST_DAY).articles)


def test_a_renamed_capital_comes_under_its_name_of_the_day() -> None:
    world = load_world("2018-01-01", "2020-01-01")
    kazakhstan = next(a for a in world.articles if a.title == "Kazakhstan")
    capital = next(item for item in kazakhstan.items if item.relation == "capital")
    assert (capital.before and capital.before.name, capital.after.name) == ("Astana", "Nur-Sultan")
    assert [a.before.name for a in world.articles if a.title == "Nur-Sultan"] == ["Astana"]


def test_blocks_depend_on_their_number_alone_and_share_no_name() -> None:
    def names(number: int, seed: int = 0) -> set[str]:
        block = draw_block(seed, number, WORLD.cities, (2004, 2026))
        cities = {city.name for city in WORLD.cities}
        return {a.title for a in block.articles} | set(block.pages) - cities

    assert draw_block(3, 5, WORLD.cities, (2004, 2026)) == draw_block(
        3, 5, WORLD.cities, (2004, 2026)
    )
    found = [names(number) for number in (0, 1, 2, blocks() - 1)]
    assert all(len(a & b) == 0 for a, b in pairwise(found))
    assert not names(0) & names(0, seed=1)
    assert blocks() * WORDS > 40_000


def test_years_lie_between_the_dates() -> None:
    for number in range(3):
        for a in draw_block(0, number, WORLD.cities, (2010, 2012)).articles:
            assert {item.year for item in a.items if item.changed} <= {2011, 2012}
            birthplace = [item for item in a.items if item.relation == "birthplace"]
            assert not any(item.changed for item in birthplace)
