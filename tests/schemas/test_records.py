from __future__ import annotations

from tests.factories import make_bare_record, make_image, make_probe, make_record


def test_queries_pair_every_prompt_with_every_image():
    first, second = make_image(1), make_image(2)
    probe = make_probe(prompts=("a", "b"), images=(first, second))
    assert list(probe.queries()) == [("a", first), ("a", second), ("b", first), ("b", second)]


def test_queries_without_images_ask_every_prompt_once():
    assert list(make_probe(prompts=("a", "b")).queries()) == [("a", None), ("b", None)]


def test_of_kind_keeps_order():
    probes = tuple(make_probe(id=name, kind=kind) for name, kind in [("x", "a"), ("y", "b")] * 2)
    assert [p.id for p in make_record(probes=probes).of_kind("b")] == ["y", "y"]


def test_extra_fields_decode():
    assert make_record(extra='{"case": [1]}').extra_fields == {"case": [1]}
    assert make_bare_record().extra_fields == {}
