from __future__ import annotations

from pathlib import Path

import pytest
import torch

from editors.moments import Moment
from editors.solve import NullSpace
from editors.spectrum import spectrum
from schemas.errors import InputError


def moment(seed: int = 0) -> torch.Tensor:
    keys = torch.randn(12, 30, generator=torch.Generator().manual_seed(seed))
    return keys.t() @ keys / 12


def test_what_is_read_back_is_what_was_computed(tmp_path: Path) -> None:
    matrix = moment()
    values, vectors = torch.linalg.eigh(matrix.double())
    for found in (spectrum(matrix, tmp_path / "new"), spectrum(matrix, tmp_path / "new")):
        assert torch.equal(found.values, values)
        assert torch.equal(found.vectors, vectors)
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_it_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spectrum(moment(), tmp_path)
    monkeypatch.setattr(torch.linalg, "eigh", lambda _: pytest.fail("computed again"))
    spectrum(moment(), tmp_path)


def test_other_moments_have_files_of_their_own(tmp_path: Path) -> None:
    one, other = spectrum(moment(0), tmp_path), spectrum(moment(1), tmp_path)
    assert not torch.allclose(one.values, other.values)
    spectrum(moment().double(), tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_files_of_another_moment_and_damaged_ones_are_named(tmp_path: Path) -> None:
    spectrum(moment(0), tmp_path)
    (first,) = tmp_path.iterdir()
    spectrum(moment(1), tmp_path)
    (second,) = set(tmp_path.iterdir()) - {first}
    second.write_bytes(first.read_bytes())
    with pytest.raises(InputError, match=f"{second.name}.*belongs to another moment"):
        spectrum(moment(1), tmp_path)
    second.write_bytes(b"nothing")
    with pytest.raises(InputError, match=f"{second.name}.*damaged"):
        spectrum(moment(1), tmp_path)


@pytest.mark.parametrize("rule", ["absolute", "relative", "energy"])
def test_the_null_space_is_the_same_with_and_without_a_cache(rule: str, tmp_path: Path) -> None:
    known = Moment(moment(), 12)
    plain = NullSpace.of(known, 2.0, 0.1, rule)  # type: ignore[arg-type]
    for _ in range(2):
        found = NullSpace.of(known, 2.0, 0.1, rule, cache=tmp_path)  # type: ignore[arg-type]
        assert torch.equal(found.used, plain.used)
