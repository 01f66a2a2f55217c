"""The screen: it fits, and says what is there, in every size."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from worker.demo.screen import Event, Size, picture
from worker.demo.snapshot import Allowance, ProviderSeen, Snapshot
from worker.policy.limit import Limit

MONDAY = datetime(2026, 3, 2, 8, tzinfo=UTC)
DAY = timedelta(days=1)
ORANGE = ProviderSeen("Orange", Allowance(Limit(100, DAY), 100), 9, 98, 2)
OTHERS = tuple(ProviderSeen(name, None, 0, 30, 0) for name in ("Free", "SFR", "Gmail"))
EMPTY = Snapshot(MONDAY, None, (), ())
BUSY = Snapshot(MONDAY, Allowance(Limit(200, DAY), 188), (ORANGE, *OTHERS), ())
EVENTS = [Event(MONDAY, f"event {number}") for number in range(20)]


def drawn(snapshot: Snapshot, columns: int, rows: int) -> str:
    """Draw as a terminal of this size shows it."""
    console = Console(file=io.StringIO(), width=columns, height=rows, force_terminal=False)
    with console.capture() as capture:
        pages = ["http://127.0.0.1:1/healthz"]
        size = Size(columns, rows)
        console.print(picture(snapshot, EVENTS, pages=pages, speed=1440, size=size))
    return capture.get()


@pytest.mark.parametrize("columns", [80, 100, 120, 200])
@pytest.mark.parametrize("rows", [24, 50])
def test_fits(columns: int, rows: int) -> None:
    """Neither wider nor higher than the terminal, and no number cut off."""
    text = drawn(BUSY, columns, rows)

    lines = text.splitlines()
    assert len(lines) < rows
    assert max(map(len, lines)) < columns
    assert "100 of 100/day" in text
    assert "event 19" in text
    assert "http://127.0.0.1:1/healthz" in text


def test_few_rows_put_small_providers_together() -> None:
    """What has a limit keeps its row."""
    assert "3 others" in drawn(BUSY, 80, 24)
    assert "Free" in drawn(BUSY, 80, 50)


def test_draws_the_beginning() -> None:
    """Before anything has happened there is still a picture."""
    assert "Monday 02 March, 08:00" in drawn(EMPTY, 80, 24)
