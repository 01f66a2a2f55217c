"""No text that comes from outside adds a line to a header."""

from __future__ import annotations

from tests.fuzz.headers import run


def test_no_header_line_is_injected() -> None:
    """A few thousand of those that `python -m tests.fuzz.headers` runs by the million."""
    assert run(6_000, seed=7) == []
