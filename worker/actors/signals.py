"""Hints and the stop: what wakes an actor before its own clock does.

Actors meet in the database. NOTIFY tells that there is something to see; each
actor also looks by itself, so a lost notification costs seconds, not mail.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.store.database import Reconnecting

log = structlog.get_logger()

CHANNEL = "relais"
TOPICS = ("arrival", "report", "delivery", "decision", "limit", "domain", "receipt")
_RETRY_SECONDS = 2.0


class Signals:
    """One event per topic, and the stop, which sets them all."""

    def __init__(self) -> None:
        self.stopped = asyncio.Event()
        self._topics = {topic: asyncio.Event() for topic in TOPICS}
        self._at_stop: list[Callable[[], object]] = []
        self._at: dict[str, list[Callable[[], object]]] = {topic: [] for topic in TOPICS}

    @property
    def stopping(self) -> bool:
        """Whether no new work is to be begun."""
        return self.stopped.is_set()

    def stop(self) -> None:
        """Begin no new work; what is in hand is finished."""
        self.stopped.set()
        for event in self._topics.values():
            event.set()
        for call in self._at_stop:
            call()

    def at_stop(self, call: Callable[[], object]) -> None:
        """Have *call* called at the stop, to end a wait that is not for a topic."""
        self._at_stop.append(call)

    def at(self, topic: str, call: Callable[[], object]) -> None:
        """Have *call* called whenever *topic* is told."""
        self._at[topic].append(call)

    def tell(self, topic: str) -> None:
        """Wake whoever waits for *topic*; an unknown one wakes nobody."""
        event = self._topics.get(topic)
        if event is not None:
            event.set()
            for call in self._at[topic]:
                call()

    async def wait(self, topic: str, seconds: float) -> None:
        """Wait for *topic*, for *seconds*, or for the stop, whichever is first."""
        event = self._topics[topic]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
        if not self.stopping:
            event.clear()

    async def sleep(self, seconds: float) -> None:
        """Sleep for *seconds*, or until the stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopped.wait()


async def run_listener(db: Reconnecting, *, signals: Signals) -> None:
    """Turn notifications into signals, until cancelled."""
    while True:
        try:
            connection = await db.connection()
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _, lost=lost: lost.set())
            await connection.add_listener(CHANNEL, lambda *args: signals.tell(str(args[3])))
            await lost.wait()
        except db.lost as error:
            log.warning("listener.interrupted", why=repr(error))
        await db.drop()
        await asyncio.sleep(_RETRY_SECONDS)  # The other actors look by themselves meanwhile.
