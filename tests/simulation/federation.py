"""The federation that the shipped limits were chosen for, and what its people write."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

LIMITS = {"main": ["200/hour"], "orange": ["100/day"], "outlook": ["300/day"]}

# 820 members; 221 of them at Orange, 131 at Outlook.
EVERYBODY = {
    "orange": 221, "outlook": 131, "google": 210, "free": 90, "sfr": 50, "laposte": 40,
    "yahoo": 30, "other": 48,
}  # fmt: skip
COMMITTEE = {"orange": 5, "google": 4, "outlook": 2, "free": 2, "other": 1}
CLUB = {"orange": 8, "google": 9, "outlook": 5, "free": 4, "sfr": 2, "other": 2}
SECTION = {"orange": 16, "google": 18, "outlook": 10, "free": 8, "sfr": 4, "laposte": 4}
PRESIDENTS = {
    "orange": 43, "google": 44, "outlook": 26, "free": 20, "sfr": 10, "laposte": 8, "other": 9,
}  # fmt: skip

LISTS = {
    "newsletter": EVERYBODY,
    "presidents": PRESIDENTS,
    "section": SECTION,
    "club": CLUB,
    "committee": COMMITTEE,
}

# Six postings a day; the sixth is the large one of that day of the week.
_EVERY_DAY = ("committee", "committee", "committee", "club", "section")
_OF_THE_DAY = (
    "newsletter",
    "committee",
    "presidents",
    "committee",
    "presidents",
    "club",
    "committee",
)


class Letter(NamedTuple):
    """A message that somebody writes."""

    at: datetime
    list: str


def letters(start: datetime, days: int, seed: int) -> Iterator[Letter]:
    """Yield what is written between seven in the morning and ten in the evening."""
    chance = random.Random(seed)
    morning = start.replace(hour=7, minute=0)
    for day in range(days):
        lists = [*_EVERY_DAY, _OF_THE_DAY[day % 7]]
        chance.shuffle(lists)
        minutes = sorted(chance.sample(range(15 * 60), len(lists)))
        for name, minute in zip(lists, minutes, strict=True):
            yield Letter(morning + timedelta(days=day, minutes=minute), name)
