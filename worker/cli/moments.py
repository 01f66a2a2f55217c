"""Reading lengths of time and moments to come, as people write them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from worker.cli.verb import USAGE, VerbError
from worker.policy.limit import read_limit

if TYPE_CHECKING:
    from datetime import timedelta

_UNITS = {86400: "d", 3600: "h", 60: "min", 1: "s"}


def read_length(text: str) -> timedelta:
    """Read ``2h``, in the units that the period of a limit has."""
    try:
        limit = read_limit(f"1/{text}")
    except ValueError as error:
        raise _no_length(text) from error
    if "," in text:  # A burst or a spacing.
        raise _no_length(text)
    return limit.period


def length(span: timedelta) -> str:
    """Write a length of time in the largest unit that it is whole in."""
    seconds = int(span.total_seconds())
    unit = next((u for u in _UNITS if seconds and seconds % u == 0), 1)
    return f"{seconds // unit} {_UNITS[unit]}"


def _no_length(text: str) -> VerbError:
    return VerbError(f"{text!r} is no length of time: write 30m, 2h or 1d, at most 31d", code=USAGE)


def read_moment(text: str) -> datetime:
    """Read RFC 3339, or ``2026-11-25 08:00``, which is local time."""
    try:
        # Without a zone, astimezone() takes it for local time.
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise VerbError(
            f"{text!r} is no time: write 2026-11-25 08:00, which is local time,"
            " or 2026-11-25T08:00:00Z",
            code=USAGE,
        ) from error


def to_come(moment: datetime, now: datetime) -> datetime:
    """Return *moment*, unless it has passed."""
    if moment <= now:
        raise VerbError(f"{moment:%Y-%m-%d %H:%M %Z} has passed", code=USAGE)
    return moment
