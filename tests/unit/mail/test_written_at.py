"""When a message was written: whatever stands in its Date."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from worker.mail.header import read_message
from worker.mail.written_at import written_at


def at(hour: int, minute: int = 0, *, day: int = 23) -> datetime:
    """Return a moment of November 2026."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


DATES = {
    "ordinary": ("Mon, 23 Nov 2026 10:30:00 +0100", at(9, 30)),
    "UTC": ("Mon, 23 Nov 2026 10:30:00 +0000", at(10, 30)),
    "no zone is known": ("Mon, 23 Nov 2026 10:30:00 -0000", at(10, 30)),
    "no zone": ("Mon, 23 Nov 2026 10:30:00", at(10, 30)),
    "GMT": ("Mon, 23 Nov 2026 10:30:00 GMT", at(10, 30)),
    "EST": ("Mon, 23 Nov 2026 10:30:00 EST", at(15, 30)),
    "a comment": ("Mon, 23 Nov 2026 10:30:00 +0100 (CET)", at(9, 30)),
    "the day before in UTC": ("Mon, 23 Nov 2026 00:30:00 +0100", at(23, 30, day=22)),
    "no weekday": ("23 Nov 2026 10:30:00 +0100", at(9, 30)),
    "a wrong weekday": ("Fri, 23 Nov 2026 10:30:00 +0100", at(9, 30)),
    "no seconds": ("Mon, 23 Nov 2026 10:30 +0100", at(9, 30)),
    "two digits of year": ("Mon, 23 Nov 26 10:30:00 +0100", at(9, 30)),
    "folded": ("Mon, 23 Nov\r\n 2026 10:30:00 +0100", at(9, 30)),
    "empty": ("", None),
    "words": ("hier", None),
    "French": ("lundi 23 novembre 2026", None),
    "a 31st": ("Mon, 31 Nov 2026 10:30:00 +0100", None),
    "hour 25": ("Mon, 23 Nov 2026 25:30:00 +0100", None),
    # RFC 5322, section 4.3: years below 100 are of a century.
    "year 0": ("Mon, 23 Nov 0000 10:30:00 +0100", datetime(2000, 11, 23, 9, 30, tzinfo=UTC)),
    "long ago": ("Mon, 01 Jan 0100 00:30:00 +0100", datetime(99, 12, 31, 23, 30, tzinfo=UTC)),
    "after the last year": ("Fri, 31 Dec 9999 23:30:00 -0100", None),
    "a far zone": ("Mon, 23 Nov 2026 10:30:00 +9999", None),
    "a far, far zone": ("Mon, 23 Nov 2026 10:30:00 +99999999999999999999", None),
    "digits": ("9" * 5000, None),
    "8-bit": ("Mon, 23 Nov 2026 10:30:00 +0100 \xe9", at(9, 30)),
}


@pytest.mark.parametrize(("date", "moment"), DATES.values(), ids=DATES)
def test_written_at(date: str, moment: datetime | None) -> None:
    """In UTC, or not at all."""
    message = read_message(f"Date: {date}\r\n\r\nx".encode("latin-1"))

    assert written_at(message) == moment


def test_the_topmost_date_counts() -> None:
    """A second one is somebody's mistake."""
    message = read_message(b"Date: hier\r\nDate: Mon, 23 Nov 2026 10:30:00 +0100\r\n\r\nx")

    assert written_at(message) is None


def test_no_date() -> None:
    """Nothing is guessed."""
    assert written_at(read_message(b"Subject: x\r\n\r\nx")) is None
