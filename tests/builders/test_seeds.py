from __future__ import annotations

import hashlib
import random
import subprocess
import sys

from builders.seeds import content_id, digest, seed_for


def test_the_order_of_keys_does_not_matter():
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1})


def test_different_values_have_different_digests():
    values = [
        None,
        0,
        False,
        "",
        "0",
        [],
        [0],
        ["0"],
        {},
        {"a": 0},
        {"a": "0"},
        [[0]],
        "ä",
        "a\u0308",
    ]
    assert len({digest(value) for value in values}) == len(values)


def test_a_digest_is_that_of_the_canonical_text():
    """Pinned: ids of published records must never change."""
    text = '{"a":1,"b":"ä"}'
    assert digest({"b": "ä", "a": 1}) == hashlib.sha256(text.encode()).hexdigest()
    assert content_id("flags", "FR", 0) == "26847b73c108c767"
    assert seed_for("flags", 0) == 8812723304313149275


def test_parts_are_not_simply_joined():
    assert content_id("ab", "c") != content_id("a", "bc") != content_id("abc")
    assert seed_for("1", 2) != seed_for(1, "2") != seed_for("12")


def test_lone_surrogates_do_not_break_a_digest():
    assert digest("\ud800") != digest("\ud801")


def test_seeds_fit_into_63_bits_and_ids_are_16_hex_digits():
    seeds = [seed_for("x", number) for number in range(1000)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert len(set(seeds)) == 1000
    assert max(seeds) > 2**62
    assert all(len(content_id(n)) == 16 and int(content_id(n), 16) >= 0 for n in range(50))


def test_another_process_derives_the_same():
    """Python's own hashes differ from process to process; these must not."""
    code = "from builders.seeds import *; print(digest({'a': ['ä', 1.5]}), seed_for('x', 3))"
    process = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert process.stdout.split() == [digest({"a": ["ä", 1.5]}), str(seed_for("x", 3))]


def test_neighbouring_seeds_give_unrelated_randomness():
    drawn = [random.Random(seed_for("record", number)).random() for number in range(200)]
    assert 0.4 < sum(drawn) / len(drawn) < 0.6
