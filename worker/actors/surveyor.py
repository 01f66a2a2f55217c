"""The surveyor: asks the DNS whose the domains are that copies wait for.

It looks when an expansion tells it, and by itself every few seconds. No
transaction is open while it asks, and whoever waits for it waits 20 seconds at
most: without a name server mail leaves all the same.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from worker.lookup.dns import Found
from worker.policy.provider import OTHER, provider_by_exchanges
from worker.store import domains
from worker.store.database import CONFLICTS
from worker.store.domains import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker.actors.signals import Signals
    from worker.lookup.dns import Lookup
    from worker.store.database import Connection, Reconnecting
    from worker.telemetry.metrics import Metrics

log = structlog.get_logger()

_EVERY_SECONDS = 5.0
_AT_ONCE = 20
_BATCH = 100
_KNOWN_FOR = timedelta(days=1)
_UNKNOWN_FOR = timedelta(hours=1)


async def run_surveyor(
    db: Reconnecting, *, lookup: Lookup, signals: Signals, metrics: Metrics
) -> None:
    """Look up what is due, until the worker stops."""
    while not signals.stopping:
        answered = 0
        try:
            answered = await survey(await db.connection(), lookup=lookup, signals=signals)
            metrics.actor_succeeded("surveyor")
        except CONFLICTS as conflict:
            log.info("domains.postponed", why=repr(conflict))
        except db.lost as error:
            await db.drop()
            log.warning("surveyor.interrupted", why=repr(error))
        if answered < _BATCH:
            await signals.wait("domain", _EVERY_SECONDS)


async def survey(db: Connection, *, lookup: Lookup, signals: Signals) -> int:
    """Look up some of what is due; return how many answers were written.

    What *db* raises when it is lost leaves it undone, to be asked for again.
    """
    await domains.forget_unused(db)
    names = await domains.due(db, at_most=_BATCH)
    if not names:
        return 0
    answers = await _look_up(names, await domains.suffixes(db), lookup, signals)
    async with db.transaction():
        answered, moved = await domains.answer(db, answers)
    unreachable = sum(said.provider is None for said in answers)
    log.info("domains.answered", answered=answered, unreachable=unreachable, moved=moved)
    return answered


async def _look_up(
    names: list[str], suffixes: Mapping[str, str], lookup: Lookup, signals: Signals
) -> list[Answer]:
    """Ask for all of *names*, some at once; at the stop for no more of them."""
    answers: list[Answer] = []
    left = iter(names)

    async def ask(left: Iterator[str]) -> None:
        for name in left:
            if signals.stopping:
                return
            answers.append(await _answer(name, suffixes, lookup))

    await asyncio.gather(*(ask(left) for _ in range(_AT_ONCE)))
    return answers


async def _answer(name: str, suffixes: Mapping[str, str], lookup: Lookup) -> Answer:
    exchanges = await lookup.exchanges(name)
    if exchanges.found is Found.UNREACHABLE:
        return Answer(name, None, _UNKNOWN_FOR)
    return Answer(name, provider_by_exchanges(exchanges.hosts, suffixes) or OTHER, _KNOWN_FOR)
