from __future__ import annotations

import json
from collections import Counter

from builders.tally import Tally
from schemas.records import Provenance
from tests.factories import make_bare_record, make_image, make_probe, make_record


def tally_of(*records: object) -> Tally:
    tally = Tally()
    for record in records:
        tally.add(record)  # type: ignore[arg-type]
    return tally


def test_a_record_is_counted_by_kind_scope_and_edit_type():
    counts = tally_of(make_record(), make_record(1)).counts({})
    assert counts.records == 2
    assert counts.scopes == {"recognition": 2}
    assert counts.edit_types == {"image_text": 2}
    assert counts.probes_by_kind == {
        "generality/image_other_instance": (2, 2),
        "generality/rephrase": (2, 4),
        "locality/negative": (2, 2),
        "reliability/edit": (2, 2),
    }
    assert counts.images == 2 * (1 + 2 + 4), "request, samples, probes"


def test_queries_are_pairs_of_a_prompt_and_an_image():
    probe = make_probe(prompts=("a", "b", "c"), images=(make_image(1), make_image(2)))
    record = make_record(probes=(probe, make_probe(id="other", prompts=("a", "b"))))
    assert len(list(probe.queries())) == 6
    assert tally_of(record).counts({}).probes_by_kind == {"portability/one_hop": (2, 6 + 2)}


def test_what_a_record_does_not_say_is_unknown():
    counts = tally_of(make_bare_record()).counts({})
    assert counts.scopes == counts.edit_types == {"unknown": 1}
    assert counts.images == 0


def test_fallbacks_are_counted_by_field():
    provenance = [Provenance(f, "flags", "rules", fallback=f != "c") for f in ("a", "b", "c")]
    assert tally_of(make_record(provenance=tuple(provenance))).counts({}).fallbacks == 2


def test_shards_add_up_in_any_order():
    records = [make_record(number) for number in range(3)] + [make_bare_record()]
    whole = tally_of(*records)
    for parts in ((records[:1], records[1:]), (records[2:], records[:2])):
        total = Tally()
        for part in parts:
            total.merge(tally_of(*part))
        assert total == whole
        assert total.to_json() == whole.to_json()


def test_json_keeps_every_count():
    tally = tally_of(make_record(), make_bare_record())
    text = json.dumps(tally.to_json())
    assert Tally.from_json(json.loads(text)) == tally
    assert json.loads(text)["totals"] == {"fallbacks": 0, "images": 7, "records": 2}


def test_rejects_are_counted_by_rule():
    counts = Tally().counts(Counter(["blank", "odd", "blank"]))
    assert (counts.records, counts.rejects) == (0, 3)
    assert counts.rejects_by_rule == {"blank": 2, "odd": 1}
