"""Real messages, mutated, through the child that reads them."""

from __future__ import annotations

import pytest

from tests.fuzz.mutated import CORPUS, run


async def test_mutated_mail() -> None:
    """A few of those that `python -m tests.fuzz.mutated` reads by the hundred thousand."""
    if not CORPUS.is_dir():
        pytest.skip(f"no corpus at {CORPUS}")

    found = await run(600, seed=7)

    assert found.count == 600
    assert found.broken == {}
