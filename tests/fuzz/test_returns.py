"""Real returns, mutated, through the reader of returns."""

from __future__ import annotations

import pytest

from tests.fuzz.returns import CORPUS, CPU_LIMIT_SECONDS, mutant, read_some, seeds


def test_mutated_returns() -> None:
    """A few of those that `python -m tests.fuzz.returns` reads by the million."""
    if not CORPUS.is_dir():
        pytest.skip(f"no corpus at {CORPUS}")

    found = read_some(range(2000), seeds(), seed=2)

    assert (found.count, found.large) == (2000, 2)
    assert found.returns > 500, "or the reader is not tried"
    assert found.broken == {}
    # Ours is not the only program here; what grows faster than its input is far above.
    assert found.slowest.seconds < 4 * CPU_LIMIT_SECONDS
    assert found.slowest_large.seconds < 4 * CPU_LIMIT_SECONDS


def test_the_same_number_is_the_same_return() -> None:
    """In every process, so that an offender can be shown again."""
    originals = [b"Return-Path: <>\r\nSubject: failure\r\n\r\n<a@b.fr>: unknown\r\n"]

    shown = [mutant(number, originals, seed=3) for number in range(50)]

    assert shown == [mutant(number, originals, seed=3) for number in range(50)]
    assert len(set(shown)) > 40
