"""The check-up: what follows for addresses when time has passed.

    found                                              becomes
    a burst: many equal failures of a posting          excused, the posting stops at that provider
    failures of a burst that count against addresses   excused, one address at a time
    failures, and a later copy that has arrived        over
    an address that is held for long enough            on trial
    a suspect, a day later                             a letter to that very address, a few an hour
    copies that wait for addresses held meanwhile      cancelled

Any number may do it at once, and it may end at any line: each address is changed
in a transaction of its own, under its lock, and what is left is found again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from worker.actors import health as addresses
from worker.actors.feedback import Heard, act
from worker.actors.feedback import tell as tell_felt
from worker.actors.outbox import Outbox
from worker.config import LOCALES
from worker.errors import StoreLost
from worker.mail.address import usable_address
from worker.mail.reason import Reason
from worker.notices import letters
from worker.policy.feedback import BURST, BURST_STOP, Action, Verdict
from worker.policy.health import ARRIVED_AFTER, ASKED_AN_HOUR, HealthState, is_burst
from worker.policy.outcome import DeliveryResult, NoticeKind
from worker.store import bursts, deliveries, health, notices, overview
from worker.store.database import CONFLICTS, borrowed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from worker.actors.health import Change
    from worker.actors.office import Office
    from worker.actors.signals import Signals
    from worker.store.bursts import Burst
    from worker.store.database import Connection
    from worker.store.health import Addressee

log = structlog.get_logger()

_BATCH = 200  # At a time: a round comes every few seconds.
_LOOK_AGAIN = timedelta(hours=6)
_HOUR = timedelta(hours=1)


async def run_checkup(office: Office, *, every: timedelta, signals: Signals) -> None:
    """Check up on addresses now and *every* so often, until the worker stops."""
    while not signals.stopping:
        try:
            await check_up(office=office)
            office.metrics.actor_succeeded("checkup")
        except CONFLICTS as conflict:
            log.info("checkup.postponed", why=repr(conflict))
            continue
        except StoreLost as lost:
            log.warning("checkup.interrupted", why=str(lost))
        await signals.sleep(every.total_seconds())


async def check_up(*, office: Office) -> None:
    """Do a round of all that is due."""
    async with borrowed(office.pool) as db:
        for burst in await bursts.large(db):
            await _judge_burst(db, burst, office=office)
        await _each(db, await bursts.blamed(db, at_most=_BATCH), _let_go, office=office)
        await bursts.settle(db)
        await _each(db, await health.to_look_at(db, at_most=_BATCH), _look, office=office)
        held = await health.due(db, HealthState.HELD.value, at_most=_BATCH)
        await _each(db, held, _try_again, office=office)
        suspects = await health.due(db, HealthState.SUSPECT.value, at_most=ASKED_AN_HOUR)
        await _each(db, suspects[: await _room(db)], _ask, office=office)
        cancelled = await deliveries.cancel_held(db)
        office.metrics.finished(DeliveryResult.CANCELLED, len(cancelled))


async def _judge_burst(db: Connection, burst: Burst, *, office: Office) -> None:
    """Excuse equal failures if they are too many for their posting; stop the posting there."""
    felt = None
    async with db.transaction():
        left = await bursts.count_left(db, burst)
        if not is_burst(burst.failures, left) or not await bursts.excuse(db, burst):
            return
        heard = Heard(
            burst.delivery_id,
            burst.provider,
            burst.account,
            burst.posting_id,
            Verdict(BURST, Action.CONTENT, pause=BURST_STOP),
            burst.evidence,
        )
        felt = await act(db, heard)
    tell_felt(felt, metrics=office.metrics)
    log.error(
        "burst.excused",
        provider=burst.provider,
        posting_id=burst.posting_id,
        failures=burst.failures,
        left=left,
    )


async def _each(
    db: Connection,
    found: list[str],
    change: Callable[..., Awaitable[Change | None]],
    *,
    office: Office,
) -> None:
    """Change each address of *found* in a transaction of its own, under its lock."""
    for address in found:
        async with db.transaction():
            await health.lock(db, address)
            changed = await change(db, address, office=office)
        addresses.tell(changed)


async def _let_go(db: Connection, address: str, *, office: Office) -> Change | None:
    await bursts.excuse_of(db, address)
    return await addresses.judge(db, address, zone=office.site.zone)


async def _look(db: Connection, address: str, *, office: Office) -> Change | None:
    """End what came back before a copy that has not."""
    arrived = await health.last_arrival(db, address, after=ARRIVED_AFTER, again=_LOOK_AGAIN)
    if arrived is None:
        return None
    await health.end(db, address, until=arrived)
    return await addresses.judge(db, address, zone=office.site.zone)


async def _try_again(db: Connection, address: str, *, office: Office) -> Change | None:
    known = await health.history(db, address)
    now = await overview.moment(db)
    if known.state != HealthState.HELD or known.due_at is None or known.due_at > now:
        return None  # Somebody else was faster.
    steps = replace(known.steps, tried_at=now)
    return await addresses.judge(db, address, zone=office.site.zone, steps=steps)


async def _ask(db: Connection, address: str, *, office: Office) -> Change | None:
    """Write to a suspect, unless another copy has left for there: it tells as much."""
    known = await health.history(db, address)
    now = await overview.moment(db)
    if known.state != HealthState.SUSPECT or known.since is None:
        return None
    if known.due_at is None or known.due_at > now:
        return None
    if not await health.has_left(db, address, since=known.since):
        reason = known.failures[-1].reason if known.failures else Reason.UNKNOWN_USER
        await _send(db, address, reason, await health.addressee(db, address), office=office)
    steps = replace(known.steps, asked_at=now)
    return await addresses.judge(db, address, zone=office.site.zone, steps=steps)


async def _room(db: Connection) -> int:
    """Return how many suspects may be written to just now."""
    written = await notices.written(db, NoticeKind.RECHECK, within=_HOUR)
    return max(0, ASKED_AN_HOUR - written)


async def _send(
    db: Connection, address: str, reason: Reason, addressee: Addressee | None, *, office: Office
) -> None:
    if addressee is None or addressee.has_left or not usable_address(address):
        return
    site = office.site
    letter = letters.recheck(
        _lang(addressee, site.locale),
        title=addressee.title or site.called,
        help_address=site.help_address,
        reason=reason,
    )
    await Outbox(site, office.tokens, office.metrics).send(
        db, NoticeKind.RECHECK, letter, address, about=None
    )


def _lang(addressee: Addressee, locale: str) -> str:
    known = (addressee.lang, addressee.list_lang, locale)
    return next(lang for lang in known if lang in LOCALES)
