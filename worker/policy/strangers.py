"""Strangers: whom no view knew lately, and whether all views may be asked of one more.

To ask them all may cost a scan of each, which mail to guessed addresses must not cost
for every message. A memory of one process, lost with it.
"""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

ASKED_A_MINUTE = 20
_REMEMBERED = 10_000
_REMEMBERED_FOR, _A_MINUTE = timedelta(hours=1), timedelta(minutes=1)


class Strangers:
    """Authors whom no view knew when it was asked, and how often that was lately."""

    def __init__(self) -> None:
        self._met: dict[str, datetime] = {}  # The one who was met first is first.
        self._asked: deque[datetime] = deque(maxlen=ASKED_A_MINUTE)

    def has(self, author: str, now: datetime) -> bool:
        """Whether no view knew *author* within the hour."""
        met = self._met.get(author.lower())
        return met is not None and now - met < _REMEMBERED_FOR

    def add(self, author: str, now: datetime) -> None:
        """Remember that no view knows *author*; of too many the first is forgotten."""
        self._met.pop(author.lower(), None)
        self._met[author.lower()] = now
        if len(self._met) > _REMEMBERED:
            del self._met[next(iter(self._met))]

    def may_ask(self, now: datetime) -> bool:
        """Whether the views may be asked of somebody now, which then counts."""
        if len(self._asked) == ASKED_A_MINUTE and now - self._asked[0] < _A_MINUTE:
            return False
        self._asked.append(now)
        return True
