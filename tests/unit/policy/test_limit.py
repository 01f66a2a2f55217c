"""Limits are read as they are written, and written as short as they can be."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.policy.limit import Limit, allowance, read_limit

WRITTEN = {
    "200/hour": Limit(200, timedelta(hours=1)),
    "100/day": Limit(100, timedelta(days=1)),
    "40/20s": Limit(40, timedelta(seconds=20)),
    "500/15m": Limit(500, timedelta(minutes=15)),
    "1/minute": Limit(1, timedelta(minutes=1)),
    "7/second": Limit(7, timedelta(seconds=1)),
    "0/day": Limit(0, timedelta(days=1)),
    "900/31d": Limit(900, timedelta(days=31)),
    "200/hour, burst=10": Limit(200, timedelta(hours=1), burst=10),
}
SHORTENED = {
    "60/60m": "60/hour",
    "60/3600s": "60/hour",
    "60/1hour": "60/hour",
    "60/h": "60/hour",
    "60/36h": "60/36h",
    "60/48h": "60/2d",
    " 60 / 90 s ,burst = 5 ": "60/90s, burst=5",
}
REFUSED = [
    "",
    "200",
    "/hour",
    "-1/hour",
    "2.5/hour",
    "200/",
    "200/0s",
    "200/week",
    "200/32d",
    "1/999999999d",
    "9999999999/hour",
    "200/hour burst=10",
    "200/hour, burst=0",
    "200/hour, burst=-1",
    "٣/hour",
    "200/hour\n200/hour",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_read_and_written(text: str) -> None:
    """A limit in its shortest form comes back as it was."""
    assert read_limit(text) == WRITTEN[text]
    assert str(WRITTEN[text]) == text


@pytest.mark.parametrize("text", SHORTENED)
def test_shortest_form(text: str) -> None:
    """The same limit is always written the same."""
    assert str(read_limit(text)) == SHORTENED[text]


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    """What is no limit is refused with what is one."""
    with pytest.raises(ValueError, match="200/hour, 100/day, 40/20s or 500/15m"):
        read_limit(text)


@given(
    amount=st.integers(0, 999_999_999),
    seconds=st.integers(1, 31 * 86_400),
    burst=st.none() | st.integers(1, 999_999_999),
)
def test_round_trip(amount: int, seconds: int, burst: int | None) -> None:
    """Every limit that the database can hold is read back from what is shown."""
    limit = Limit(amount, timedelta(seconds=seconds), burst)

    assert read_limit(str(limit)) == limit


@pytest.mark.parametrize(
    ("spent", "claimed", "left"),
    [(0, 0, 100), (60, 39, 1), (60, 40, 0), (100, 5, 0), (0, 300, 0)],
)
def test_allowance(spent: int, claimed: int, left: int) -> None:
    """Claims count as if they had left, and a lowered limit is no debt."""
    limit = Limit(100, timedelta(days=1))

    assert allowance(limit, spent=spent, claimed=claimed) == left
