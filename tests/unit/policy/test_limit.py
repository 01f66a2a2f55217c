"""Limits are read as they are written, and written as short as they can be."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.policy.limit import NO_SPACING, Limit, read_limit

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

WRITTEN = {
    "200/hour": Limit(200, HOUR),
    "100/day": Limit(100, DAY),
    "40/20s": Limit(40, timedelta(seconds=20)),
    "500/15m": Limit(500, timedelta(minutes=15)),
    "1/minute": Limit(1, timedelta(minutes=1)),
    "7/second": Limit(7, timedelta(seconds=1)),
    "0/day": Limit(0, DAY),
    "900/31d": Limit(900, timedelta(days=31)),
    "200/hour, burst=10": Limit(200, HOUR, burst=10),
    "200/hour, spacing=30s": Limit(200, HOUR, spacing=timedelta(seconds=30)),
    "200/hour, spacing=1s": Limit(200, HOUR, spacing=timedelta(seconds=1)),
    "200/hour, spacing=1m": Limit(200, HOUR, spacing=timedelta(minutes=1)),
    "200/hour, spacing=none": Limit(200, HOUR, spacing=NO_SPACING),
    "9/day, burst=2, spacing=31d": Limit(9, DAY, 2, timedelta(days=31)),
}
SHORTENED = {
    "60/60m": "60/hour",
    "60/3600s": "60/hour",
    "60/1hour": "60/hour",
    "60/h": "60/hour",
    "60/36h": "60/36h",
    "60/48h": "60/2d",
    " 60 / 90 s ,burst = 5 ": "60/90s, burst=5",
    "60/hour, spacing=even": "60/hour",
    "60/hour,spacing = 60s": "60/hour, spacing=1m",
    "60/hour, spacing=minute": "60/hour, spacing=1m",
    "60/hour, spacing=90 second": "60/hour, spacing=90s",
    "60/hour, spacing=30s, burst=5": "60/hour, burst=5, spacing=30s",
    "60/hour, spacing=even, burst=5": "60/hour, burst=5",
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
    "200/hour,",
    "200/hour, ",
    "200/hour,, burst=1",
    "200/hour, burst",
    "200/hour, burst=",
    "200/hour, burst=0",
    "200/hour, burst=-1",
    "200/hour, burst=1, burst=1",
    "200/hour, spacing=30s, spacing=none",
    "200/hour, spacing=even, burst=1, spacing = even",
    "200/hour, spacing=0s",
    "200/hour, spacing=32d",
    "200/hour, spacing=30",
    "200/hour, spacing=odd",
    "200/hour, spacing=",
    "200/hour, space=30s",
    "٣/hour",
    "200/hour\n200/hour",
    "200/hour, burst=1\n, spacing=1s\n.",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_read_and_written(text: str) -> None:
    """A limit in its shortest form comes back as it was."""
    assert read_limit(text) == WRITTEN[text]
    assert str(WRITTEN[text]) == text


@pytest.mark.parametrize("text", SHORTENED)
def test_shortest_form(text: str) -> None:
    """The same limit is always written the same, in whatever order its options were."""
    assert str(read_limit(text)) == SHORTENED[text]


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    """What is no limit is refused with what is one, and which options may follow."""
    with pytest.raises(ValueError, match="200/hour, 100/day, 40/20s or 500/15m") as refusal:
        read_limit(text)

    for option in ("', burst=10'", "', spacing=30s'", "', spacing=none'"):
        assert option in str(refusal.value)


@pytest.mark.parametrize("options", ["burst=5, spacing=none", "spacing=none, burst=5"])
def test_burst_without_spacing_is_refused(options: str) -> None:
    """A burst before no spacing at all is a contradiction, and said to be one."""
    with pytest.raises(ValueError, match="a burst is what may leave before the spacing"):
        read_limit(f"200/hour, {options}")


@given(
    amount=st.integers(0, 999_999_999),
    seconds=st.integers(1, 31 * 86_400),
    burst=st.none() | st.integers(1, 999_999_999),
    spacing=st.none() | st.integers(0, 31 * 86_400),
)
def test_round_trip(amount: int, seconds: int, burst: int | None, spacing: int | None) -> None:
    """Every limit that can be written is read back from what is shown."""
    limit = Limit(
        amount,
        timedelta(seconds=seconds),
        None if spacing == 0 else burst,
        None if spacing is None else timedelta(seconds=spacing),
    )

    assert read_limit(str(limit)) == limit


@given(st.text(alphabet="019/,= \nburstspacingevenohdaym30", max_size=40))
def test_anything_is_read_or_refused(text: str) -> None:
    """Whatever somebody writes is a limit that reads back, or refused in words."""
    try:
        limit = read_limit(text)
    except ValueError as refusal:
        assert "is no limit" in str(refusal)  # noqa: PT017 - Both ends are right.
    else:
        assert read_limit(str(limit)) == limit


class Pace(NamedTuple):
    """How a limit spaces copies."""

    interval: timedelta | None
    stretch: int


PACES = {
    # 3600 s / 200 = 18 s is even; 0.95 of it.
    "200/hour": Pace(timedelta(seconds=17.1), 10),
    # 24 h / 100 = 14.4 min is even.
    "100/day": Pace(timedelta(minutes=13.68), 5),
    "19/day": Pace(DAY / 19 * 0.95, 1),
    "39/day": Pace(DAY / 39 * 0.95, 1),
    "1/hour": Pace(timedelta(minutes=57), 1),
    "0/hour": Pace(None, 1),
    "0/hour, burst=3, spacing=30s": Pace(None, 3),
    "200/hour, burst=3": Pace(timedelta(seconds=17.1), 3),
    "200/hour, spacing=30s": Pace(timedelta(seconds=30), 10),
    "200/hour, spacing=1s, burst=200": Pace(timedelta(seconds=1), 200),
    "200/hour, spacing=none": Pace(None, 10),
    # Even would be less than time can tell apart.
    "999999999/second": Pace(timedelta(microseconds=1), 49_999_999),
}


@pytest.mark.parametrize("text", PACES)
def test_pace(text: str) -> None:
    """A twentieth may leave at a stretch, then copies are a little less than even apart."""
    limit = read_limit(text)

    assert Pace(limit.interval, limit.stretch) == PACES[text]
