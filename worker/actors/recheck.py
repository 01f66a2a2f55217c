"""Rechecks: before a late copy is claimed, its list is asked once more.

A list that is broken, or has lost most of those who wait, cancels nobody: the
copies wait, and a person is asked.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import structlog

from worker.errors import QueryFailed
from worker.policy.admission import Reason, has_shrunk
from worker.policy.expansion import ListAddress
from worker.policy.outcome import DeliveryResult
from worker.store import expansion, lists, rechecks
from worker.store.database import CONFLICTS, failed_query

if TYPE_CHECKING:
    from worker.store.database import Connection
    from worker.store.expansion import Roll
    from worker.store.rechecks import StalePosting
    from worker.telemetry.metrics import Metrics

log = structlog.get_logger()

# Claims of the account wait meanwhile.
_QUERY_PATIENCE = timedelta(seconds=20)
_QUERY_RETRY = timedelta(minutes=5)


async def recheck(db: Connection, posting_id: int, *, domain: str, metrics: Metrics) -> None:
    """Bring what waits of one posting up to date with its list."""
    try:
        async with db.transaction(isolation="repeatable_read"):
            stale = await rechecks.lock(db, posting_id)
            if stale is not None:
                await _recheck(db, stale, domain=domain, metrics=metrics)
    except CONFLICTS:
        return  # Somebody else has just looked, or the posting has changed; the next round sees.


async def _recheck(db: Connection, stale: StalePosting, *, domain: str, metrics: Metrics) -> None:
    try:
        async with db.transaction():
            roll = await _judge(db, stale, domain=domain)
    except QueryFailed as failure:
        log.error("list.query_failed", definition=stale.definition, why=str(failure))  # noqa: TRY400 - foreseen
        await rechecks.postpone(db, stale.posting_id, _QUERY_RETRY)
        return
    waiting, lost = await rechecks.count_lost(db, stale.posting_id)
    # An empty list, or one without a single address, is broken however few wait.
    known = roll.recipients + roll.duplicates + roll.suppressed + roll.held
    is_broken = not roll.listed or not known
    has_lost = waiting > 0 and (is_broken or has_shrunk(waiting, waiting - lost))
    if has_lost and Reason.LOST_UNDER_WAY not in stale.approved:
        await rechecks.hold(db, stale.posting_id, Reason.LOST_UNDER_WAY.value)
        log.warning("posting.held", posting_id=stale.posting_id, waiting=waiting, lost=lost)
        return
    cancelled = await rechecks.apply(db, stale.posting_id, approved=Reason.LOST_UNDER_WAY.value)
    metrics.finished(DeliveryResult.CANCELLED, cancelled)
    log.info("posting.rechecked", posting_id=stale.posting_id, cancelled=cancelled)


async def _judge(db: Connection, stale: StalePosting, *, domain: str) -> Roll:
    definition = next((d for d in await lists.definitions(db) if d.name == stale.definition), None)
    if definition is None:
        raise QueryFailed(f"the list {stale.definition} is defined no more", name=stale.definition)
    try:
        return await expansion.judge(
            db,
            ListAddress(definition, stale.parts),
            list_id=stale.list_id,
            fingerprint=stale.fingerprint,
            domain=domain,
            patience=_QUERY_PATIENCE,
        )
    except CONFLICTS:
        raise
    except asyncpg.PostgresError as error:
        raise failed_query(stale.definition, error) from error
