"""Digests never change: caches and runs that were written earlier are found by them."""

from __future__ import annotations

from schemas.digest import digest128


def test_digests_are_what_they_were() -> None:
    assert digest128("") == "cae66941d9efbd404e4d88758ea67670"
    assert digest128("É") == digest128("É".encode())
    assert digest128("a") != digest128("b")
