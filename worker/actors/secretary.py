"""The secretary: writes, on Monday morning, to who can mend addresses that get nothing any more.

Any number may run: one statement decides who writes each letter, in the
transaction that writes it. No transaction is open while the views are asked,
each of which has a few seconds. A crash repeats no letter, and loses none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from worker.actors.outbox import Outbox
from worker.errors import StoreLost
from worker.notices.dead_addresses import dead_addresses
from worker.policy.mending import (
    SHOWN_AT_MOST,
    by_recipient,
    due,
    lang_of,
    monday_of,
    next_letters,
)
from worker.policy.outcome import NoticeKind
from worker.store import ailing, overview, secretary_letters
from worker.store.database import CONFLICTS, borrowed
from worker.store.views import Views

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from worker.actors.office import Office
    from worker.actors.signals import Signals
    from worker.policy.mending import DeadAddress
    from worker.store.database import Connection

log = structlog.get_logger()

_LOOK_SECONDS = 300.0
_ASK_AGAIN_SECONDS = 3600.0  # Of views that did not answer: each round asks all of them.
_RETRY_SECONDS = 5.0


async def run_secretary(office: Office, *, signals: Signals) -> None:
    """Write what is due, until the worker stops."""
    while not signals.stopping:
        try:
            await write_letters(office=office)
            office.metrics.actor_succeeded("secretary")
            await signals.sleep(await _seconds_to_wait(office))
        except CONFLICTS as conflict:
            log.info("secretary.postponed", why=repr(conflict))
        except StoreLost as lost:
            log.warning("secretary.interrupted", why=str(lost))
            await signals.sleep(_RETRY_SECONDS)


async def _seconds_to_wait(office: Office) -> float:
    async with borrowed(office.pool) as db:
        local = Outbox(office.site, office.tokens, office.metrics).local(await overview.moment(db))
        seconds = await overview.seconds_of(db, next_letters(local) - local)
        is_written = await secretary_letters.is_written(db, monday_of(local))
    return min(seconds, _LOOK_SECONDS if is_written else _ASK_AGAIN_SECONDS)


async def write_letters(*, office: Office) -> int:
    """Write the letters of this week that are not written yet; return how many that were.

    The week ends when every view has answered; those who hear only of what no row
    names a secretary for wait until then.
    """
    outbox = Outbox(office.site, office.tokens, office.metrics)
    async with borrowed(office.pool) as db:
        now = outbox.local(await overview.moment(db))
        monday = monday_of(now)
        if await secretary_letters.is_written(db, monday):
            return 0
        written = 0
        to_tell, is_whole = await _to_tell(db, office=office)
        for secretary, dead in to_tell.items():
            async with db.transaction():
                written += await _write(db, secretary, dead, now=now, outbox=outbox)
        if not is_whole:
            return written
        async with db.transaction():
            await secretary_letters.end_week(db, monday)
    log.info("secretaries.told", monday=monday.isoformat(), letters=written)
    return written


async def _to_tell(db: Connection, *, office: Office) -> tuple[dict[str, list[DeadAddress]], bool]:
    """Return who can mend what, as the views tell it now, and whether all of them do."""
    held = {one.address: one for one in await ailing.ailing(db, ["held"])}
    if not held:
        return {}, True
    views = Views(db)
    bearers = await ailing.bearers(views, ["held"])
    for definition, problem in views.problems.items():
        log.warning("view.unanswered", definition=definition, why=problem)
    site, is_whole = office.site, not views.problems
    found = by_recipient(
        bearers,
        held,
        held=held,
        domain=site.domain,
        help_address=site.help_address,
        is_whole=is_whole,
    )
    if site.help_address.lower() in held:
        log.error("secretary.unreachable", why="the help address is held itself")
    return found, is_whole


async def _write(
    db: Connection,
    secretary: str,
    dead: Sequence[DeadAddress],
    *,
    now: datetime,
    outbox: Outbox,
) -> bool:
    """Write to one of them, if it is for us to do and there is anything to tell."""
    monday = monday_of(now)
    begun = await secretary_letters.begin(db, secretary, monday)
    if begun is None:
        return False
    told = await secretary_letters.told(db, secretary)
    to_tell = due(dead, told, monday=monday, last_letter=begun.last_letter)
    if not to_tell:
        return False
    shown, site = to_tell[:SHOWN_AT_MOST], outbox.site
    letter = dead_addresses(
        site.locale if secretary == site.help_address.lower() else lang_of(dead, site.locale),
        shown,
        more=len(to_tell) - len(shown),
        known=len(dead) - len(to_tell),
        member_space=site.member_space,
        help_address=site.help_address,
        now=now,
    )
    await outbox.send(db, NoticeKind.DEAD_ADDRESSES, letter, secretary, about=None)
    await secretary_letters.tell(db, secretary, monday, shown)
    return True
