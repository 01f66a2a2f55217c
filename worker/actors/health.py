"""Address health: failures and successes of copies become the state of an address.

Both are written in the transaction of whoever has learned of them: the return
handler with its report, the feedback with a refusal. What takes time, as
bursts, trials and letters, is for the check-up (worker/actors/checkup.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from worker.policy.feedback import Action
from worker.policy.health import HealthState, health_of, words_of
from worker.store import health
from worker.store.health import NewFailure

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from worker.mail.reason import Reason
    from worker.policy.feedback import Verdict
    from worker.policy.health import Health, Steps
    from worker.store.database import Connection

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Copy:
    """Whose copy something was said about."""

    delivery_id: int
    posting_id: int | None
    person_id: int | None
    provider: str


@dataclass(frozen=True, slots=True)
class Change:
    """What became of an address."""

    before: str | None  # None: alive.
    after: Health | None


async def fail(
    db: Connection,
    copy: Copy,
    verdict: Verdict,
    *,
    reason: Reason,
    status: str,
    text: str,
    zone: tzinfo | None,
) -> Change | None:
    """Count it against the address that *copy* has come back; None if that changes nothing.

    Call it in a transaction, after whatever else it locks; tell() once it is committed.
    """
    if not verdict.counts:
        return None
    address = await health.address_of(db, copy.delivery_id)
    if address is None:
        return None
    failure = NewFailure(
        address=address,
        delivery_id=copy.delivery_id,
        posting_id=copy.posting_id,
        person_id=copy.person_id,
        provider=copy.provider,
        is_permanent=verdict.action is Action.HARD,
        reason=reason,
        status=status,
        evidence=text,
        words=words_of(text, status, address=address),
    )
    await health.lock(db, address)
    if not await health.record(db, failure):
        return None
    return await judge(db, address, zone=zone)


async def heal(db: Connection, delivery_id: int, *, zone: tzinfo | None) -> Change | None:
    """Let failures before that copy count no more: it has arrived. In a transaction, as fail()."""
    address = await health.address_of(db, delivery_id)
    if address is None or not await health.is_troubled(db, address):
        return None
    await health.lock(db, address)
    await health.end_before(db, address, delivery_id)
    return await judge(db, address, zone=zone)


async def judge(
    db: Connection, address: str, *, zone: tzinfo | None, steps: Steps | None = None
) -> Change | None:
    """Write what the failures of *address* make of it, after *steps* if they are new.

    The caller holds its lock.
    """
    known = await health.history(db, address)
    steps = steps or known.steps
    after = health_of(known.failures, steps, zone=zone)
    await health.write(db, address, after, steps)
    state = after.state.value if after else None
    return None if state == known.state else Change(known.state, after)


def tell(change: Change | None, *, delivery_id: int | None = None) -> None:
    """Log what became of an address, which is not named."""
    if change is None:
        return
    after = change.after
    log.info(
        _EVENTS[after.state] if after else "address.healed",
        before=change.before,
        reason=after.cause.reason.value if after else None,
        due_at=_told(after.due_at) if after else None,
        delivery_id=delivery_id,
    )


_EVENTS = {
    HealthState.SUSPECT: "address.suspected",
    HealthState.HELD: "address.held",
    HealthState.TRIAL: "address.tried",
}


def _told(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
