"""A hand-over between two actors: small, bounded, closed from one side."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Items that one actor puts and some others take, until it is closed.

    What lies in it may be lost at any time: every item is a claim, and its
    lease ends by itself.
    """

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._closed = False
        self._arrived = asyncio.Event()
        self._emptied = asyncio.Event()
        self._enough = 0

    def put_all(self, items: list[T]) -> None:
        """Add *items*. The writer asked for no more than it wants to lie here."""
        self._items.extend(items)
        self._arrived.set()

    def __len__(self) -> int:
        return len(self._items)

    async def wait_until_below(self, enough: int) -> None:
        """Wait until fewer than *enough* items lie here, or it is closed."""
        self._enough = enough
        while len(self._items) >= enough and not self._closed:
            self._emptied.clear()
            await self._emptied.wait()

    async def wait_for_item(self) -> None:
        """Wait until there is something to take, or it is closed."""
        while not self._items and not self._closed:
            self._arrived.clear()
            await self._arrived.wait()

    async def take(self) -> T | None:
        """Return the next item, or None once the mailbox is closed and empty."""
        await self.wait_for_item()
        return self.take_now()

    def take_now(self) -> T | None:
        """Return the next item if there is one now."""
        if not self._items:
            return None
        item = self._items.popleft()
        if len(self._items) < self._enough:
            self._emptied.set()
        return item

    def empty(self) -> list[T]:
        """Return what nobody has taken. Never waits."""
        left, self._items = list(self._items), deque()
        self._emptied.set()
        return left

    def end(self) -> None:
        """Wake everybody: nothing more will be put here."""
        self._closed = True
        self._arrived.set()
        self._emptied.set()

    def close(self) -> list[T]:
        """End it, and return what nobody has taken. Never waits."""
        self.end()
        return self.empty()
