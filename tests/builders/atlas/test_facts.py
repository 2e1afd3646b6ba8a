from __future__ import annotations

import re
from itertools import combinations

import pytest

from builders.atlas.facts import (
    AS_OF,
    RELATION_KEYS,
    SHOWN_COUNTRY,
    SOURCES,
    ZONES,
    RelationKey,
    clock_spellings,
    load_atlas,
    utc_spellings,
)
from builders.atlas.flag_specs import FLAGS
from schemas.errors import InputError

ATLAS = load_atlas()


def test_at_least_eighty_countries_have_a_flag_and_each_flag_a_country() -> None:
    assert len(ATLAS.flag_keys) >= 80
    assert set(ATLAS.flag_keys) == set(FLAGS)


def test_no_reference_dangles() -> None:
    for country in ATLAS.countries.values():
        for field, table in (
            ("capital", ATLAS.cities),
            ("largest_city", ATLAS.cities),
            ("currency", ATLAS.currencies),
            ("language", ATLAS.languages),
            ("continent", ATLAS.continents),
        ):
            key = getattr(country, field)
            assert key is None or key in table, (country.key, field, key)
    for city in ATLAS.cities.values():
        assert city.continent is None or city.continent in ATLAS.continents
    for currency in ATLAS.currencies.values():
        assert currency.bank_seat is None or currency.bank_seat in ATLAS.cities
    for language in ATLAS.languages.values():
        home = language.most_native_speakers
        assert home is None or home in ATLAS.countries
    for continent in ATLAS.continents.values():
        assert continent.most_populous in ATLAS.countries


def test_every_entity_is_used() -> None:
    countries = ATLAS.countries.values()
    cities = {c.capital for c in countries} | {c.largest_city for c in countries}
    cities |= {c.bank_seat for c in ATLAS.currencies.values()}
    assert set(ATLAS.cities) <= cities
    assert set(ATLAS.currencies) <= {c.currency for c in countries}
    assert set(ATLAS.languages) <= {c.language for c in countries}


def test_codes_are_well_formed_and_unique() -> None:
    countries = list(ATLAS.countries.values())
    for country in countries:
        assert re.fullmatch(r"[A-Z]{2}", country.key)
        assert re.fullmatch(r"\.[a-z]{2}", country.tld)
        assert country.calling_code is None or re.fullmatch(
            r"\+(1(-\d{3})?|[2-9]\d{0,2})", country.calling_code
        )
    assert len({c.tld for c in countries}) == len(countries)
    assert len({c.name for c in countries}) == len(countries)
    codes = [c.calling_code for c in countries if c.calling_code]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[A-Z]{3}", key) for key in ATLAS.currencies)
    assert all(re.fullmatch(r"[a-z]{2}", key) for key in ATLAS.languages)


def test_a_capital_lies_on_the_continent_of_its_country() -> None:
    for country in ATLAS.countries.values():
        if country.capital and country.continent:
            assert ATLAS.cities[country.capital].continent == country.continent, country.key


@pytest.mark.parametrize("relation", RELATION_KEYS)
def test_accepted_answers_never_name_two_entities(relation: RelationKey) -> None:
    owner: dict[str, str] = {}
    for key in ATLAS.flag_keys:
        answer = ATLAS.answers(relation, key)
        if answer is None:
            continue
        assert len(set(answer.accepted)) == len(answer.accepted), answer
        for spelling in answer.accepted:
            assert spelling.strip() == spelling != ""
            assert owner.setdefault(spelling.casefold(), answer.key) == answer.key, spelling


@pytest.mark.parametrize("relation", RELATION_KEYS)
def test_every_pool_answer_has_a_one_hop_and_a_two_hop_question(relation: RelationKey) -> None:
    pool = ATLAS.pool(relation)
    assert len({answer.text for answer in pool}) == len(pool) >= 3
    for answer in pool:
        hops = ATLAS.hops(relation, answer.key)
        assert [hop.hops for hop in hops] == [1, 2]
        for hop in hops:
            assert all(hop.answers)
            assert len(set(hop.answers)) == len(hop.answers)
            assert SHOWN_COUNTRY in hop.picture_question
            assert "{" not in hop.picture_question


@pytest.mark.parametrize("relation", RELATION_KEYS)
def test_counterfactuals_are_false_and_change_both_hops(relation: RelationKey) -> None:
    with_any = 0
    for key in ATLAS.flag_keys:
        truth = ATLAS.answers(relation, key)
        for answer in ATLAS.counterfactuals(relation, key):
            assert truth is not None
            assert not set(truth.accepted) & set(answer.accepted)
            pairs = zip(
                ATLAS.hops(relation, truth.key), ATLAS.hops(relation, answer.key), strict=True
            )
            assert all(not set(old.answers) & set(new.answers) for old, new in pairs)
        with_any += bool(ATLAS.counterfactuals(relation, key))
    assert with_any >= 60


@pytest.mark.parametrize("relation", [key for key in RELATION_KEYS if key != "country"])
def test_no_text_question_gives_a_new_answer_away(relation: RelationKey) -> None:
    for key in ATLAS.flag_keys:
        country = ATLAS.countries[key]
        wording = ATLAS.relations[relation]
        questions = (wording.text_question(country), *wording.text_paraphrases(country))
        for answer in ATLAS.counterfactuals(relation, key):
            assert not any(_says(question, answer.text) for question in questions)
            for hop in ATLAS.hops(relation, answer.key):
                assert not _says(hop.text_question(country), hop.answers[0]), (key, answer, hop)


def _says(question: str | None, answer: str) -> bool:
    return (
        question is not None
        and re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", question) is not None
    )


def test_recognition_cannot_be_asked_without_a_picture() -> None:
    relation = ATLAS.relation("country")
    country = ATLAS.country("RO")
    assert relation.text_question(country) is None
    assert relation.text_paraphrases(country) == ()
    assert all(hop.text_question(country) is None for hop in ATLAS.hops("country", "RO"))
    answer = ATLAS.answers("country", "NL")
    assert answer is not None
    assert relation.picture_statement(answer) == "The flag shown is the flag of the Netherlands."


@pytest.mark.parametrize("relation", RELATION_KEYS)
def test_wordings_are_distinct_and_complete(relation: RelationKey) -> None:
    wording = ATLAS.relations[relation]
    wordings = (wording.question, *wording.paraphrases)
    assert len(set(wordings)) == 6
    if relation != "country":
        assert all(w.count("{country}") == 1 for w in wordings)
    assert "{answer}" in wording.statement


@pytest.mark.parametrize(
    ("country", "relation", "expected"),
    [
        ("TD", "capital", "N'Djamena"),
        ("RO", "capital", "Bucharest"),
        ("BI", "capital", "Gitega"),
        ("AU", "capital", "Canberra"),
        ("BG", "currency", "euro"),
        ("PL", "currency", "Polish złoty"),
        ("SN", "currency", "West African CFA franc"),
        ("SR", "language", "Dutch"),
        ("CL", "language", "Spanish"),
        ("MG", "continent", "Africa"),
        ("TR", "largest_city", "Istanbul"),
        ("VN", "largest_city", "Ho Chi Minh City"),
        ("GB", "tld", ".uk"),
        ("CH", "tld", ".ch"),
        ("IT", "calling_code", "+39"),
        ("BS", "calling_code", "+1-242"),
        ("CI", "country", "Côte d'Ivoire"),
    ],
)
def test_well_known_facts(country: str, relation: RelationKey, expected: str) -> None:
    answer = ATLAS.answers(relation, country)
    assert answer is not None
    assert answer.text == expected


@pytest.mark.parametrize(
    ("country", "relation"),
    [
        ("ZA", "capital"),
        ("BO", "capital"),
        ("IL", "capital"),
        ("BE", "language"),
        ("CH", "language"),
        ("RU", "continent"),
        ("TR", "continent"),
        ("PA", "currency"),
    ],
)
def test_facts_without_one_clear_answer_are_left_out(country: str, relation: RelationKey) -> None:
    assert ATLAS.answers(relation, country) is None
    assert ATLAS.counterfactuals(relation, country) == ()


@pytest.mark.parametrize(
    ("relation", "answer", "one", "two"),
    [
        ("country", "RO", "Bucharest", "RON"),
        ("capital", "bucharest", "Europe", "Russia"),
        ("currency", "XOF", "XOF", "Dakar"),
        ("currency", "EUR", "EUR", "Frankfurt"),
        ("language", "pt", "Brazil", "Brasília"),
        ("continent", "asia", "India", "New Delhi"),
        ("largest_city", "lima", "UTC-5", "17:00"),
        ("tld", ".pl", "Poland", "Warsaw"),
        ("calling_code", "+39", "3", "Europe"),
    ],
)
def test_hops_follow_from_the_answer(
    relation: RelationKey, answer: str, one: str, two: str
) -> None:
    first, second = ATLAS.hops(relation, answer)
    assert (first.answers[0], second.answers[0]) == (one, two)


def test_hops_are_empty_where_the_chain_breaks() -> None:
    assert ATLAS.hops("tld", ".uk") == ()  # The ISO code is GB.
    assert ATLAS.hops("currency", "CHF") == ()  # Two seats.
    assert "CHF" not in {answer.key for answer in ATLAS.pool("currency")}


@pytest.mark.parametrize(
    ("minutes", "offset", "clock"),
    [
        (330, "UTC+5:30", "03:30"),
        (-300, "UTC-5", "17:00"),
        (0, "UTC+0", "22:00"),
        (780, "UTC+13", "11:00"),
    ],
)
def test_offsets_and_clocks(minutes: int, offset: str, clock: str) -> None:
    assert utc_spellings(minutes)[0] == offset
    assert clock_spellings(minutes)[0] == clock


def test_utc_offsets_agree_with_the_time_zone_database() -> None:
    zoneinfo = pytest.importorskip("zoneinfo")
    from datetime import datetime, timedelta

    for city, zone in (
        ("bucharest", "Europe/Bucharest"),
        ("lagos", "Africa/Lagos"),
        ("yangon", "Asia/Yangon"),
        ("apia", "Pacific/Apia"),
        ("new-york", "America/New_York"),
        ("praia", "Atlantic/Cape_Verde"),
    ):
        moment = datetime(2025, 1, 15, tzinfo=zoneinfo.ZoneInfo(zone))
        offset, summer = moment.utcoffset(), moment.dst()
        assert offset is not None
        assert summer is not None
        assert ATLAS.cities[city].utc_offset == (offset - summer) / timedelta(minutes=1)


def test_zones_cover_every_calling_code() -> None:
    assert {c.calling_code[1] for c in ATLAS.countries.values() if c.calling_code} <= set(ZONES)


def test_trivia_is_plentiful_and_says_nothing_of_the_countries() -> None:
    assert len(ATLAS.trivia) >= 60
    assert len({t.key for t in ATLAS.trivia}) == len({t.question for t in ATLAS.trivia})
    names = {n for c in ATLAS.countries.values() for n in (c.name, *c.aliases)}
    names |= {c.name for c in ATLAS.cities.values()}
    for trivia in ATLAS.trivia:
        assert trivia.answer not in trivia.aliases
        assert not any(_says(trivia.question, name) for name in names), trivia
        assert not names & {trivia.answer, *trivia.aliases}, trivia


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(InputError, match="no country with the key 'XX'"):
        ATLAS.answers("capital", "XX")
    with pytest.raises(InputError, match="no city with the key 'atlantis'"):
        ATLAS.hops("capital", "atlantis")
    with pytest.raises(InputError, match=r"no tld with the key '\.zz'"):
        ATLAS.hops("tld", ".zz")
    with pytest.raises(InputError, match="no relation with the key 'anthem'"):
        ATLAS.pool("anthem")  # type: ignore[arg-type]


def test_sources_and_date_are_stated() -> None:
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", AS_OF)
    assert all(name and backs for name, backs in SOURCES)
    assert not any(a == b for (a, _), (b, _) in combinations(SOURCES, 2))
