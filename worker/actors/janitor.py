"""The janitor: frees what the dead held, resends what stayed in doubt, ends what is done.

Any number may sweep at once: each statement changes only rows that still need it.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import structlog

from worker.actors.feedback import open_breakers
from worker.policy.outcome import DeliveryResult
from worker.policy.schedule import EXPIRES_AFTER
from worker.store import (
    authors,
    deliveries,
    leases,
    limits,
    postings,
    provider_states,
    receipts,
    retention,
    returns,
    turns,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from worker.actors.signals import Signals
    from worker.config import Retention
    from worker.policy.limit import Limit
    from worker.store.database import Reconnecting
    from worker.telemetry.metrics import Metrics

log = structlog.get_logger()


async def run_janitor(
    db: Reconnecting,
    *,
    every: timedelta,
    in_doubt_after: timedelta,
    keep: Retention,
    failures: Mapping[str, Limit],
    signals: Signals,
    metrics: Metrics,
) -> None:
    """Sweep now and *every* so often, until the worker stops."""
    while not signals.stopping:
        try:
            await sweep(db, in_doubt_after=in_doubt_after, metrics=metrics)
            await purge(db, keep)
            await open_breakers(await db.connection(), failures)
            metrics.actor_succeeded("janitor")
        except db.lost as error:
            await db.drop()
            log.warning("janitor.interrupted", why=repr(error))
        await signals.sleep(every.total_seconds())


async def sweep(db: Reconnecting, *, in_doubt_after: timedelta, metrics: Metrics) -> None:
    """Do everything once. May raise what *db* calls lost."""
    connection = await db.connection()
    queued, doubtful = await deliveries.release_dead(connection)
    if queued or doubtful:
        log.warning("leases.released", queued=queued, in_doubt=doubtful)
    for delivery_id in await deliveries.resend_doubtful(connection, after=in_doubt_after):
        log.warning("delivery.resent", delivery_id=delivery_id)
    for delivery_id in await deliveries.expire(connection, after=EXPIRES_AFTER):
        metrics.finished(DeliveryResult.EXPIRED)
        log.info("delivery.expired", delivery_id=delivery_id)
    finished, late = await postings.finish(connection), await postings.end_late(connection)
    for posting_id in finished:
        log.info("posting.finished", posting_id=posting_id)
    for posting_id in late:
        log.warning("posting.ended", posting_id=posting_id, why="finish_by")
    await receipts.hurry(connection, [*finished, *late])
    cancelled = await deliveries.cancel_stopped(connection, within=2 * EXPIRES_AFTER)
    cancelled += await provider_states.cancel_refused(connection)
    cancelled += await deliveries.cancel_suppressed(connection, within=2 * EXPIRES_AFTER)
    metrics.finished(DeliveryResult.CANCELLED, len(cancelled))
    await returns.reopen(connection)
    await turns.take_part_late(connection)
    await turns.forget_finished(connection)
    await limits.forget_bins(connection)
    await leases.forget_dead(connection)
    await authors.forget_old(connection)
    await provider_states.forget(connection)


async def purge(db: Reconnecting, keep: Retention) -> None:
    """Purge a batch of what was kept for long enough. May raise what *db* calls lost."""
    purged = await retention.purge(
        await db.connection(), messages=keep.messages, returns=keep.returns, traces=keep.traces
    )
    if not purged.is_nothing:
        log.info("retention.purged", **asdict(purged))


async def run_heartbeat(
    db: Reconnecting, worker_id: str, *, lease: timedelta, metrics: Metrics
) -> None:
    """Renew this worker's lease, until cancelled.

    If it has run out meanwhile, others have freed what we held: the fences see
    to that, and the lease is simply taken again.
    """
    while True:
        try:
            connection = await db.connection()
            await leases.renew(connection, worker_id, lease)
            metrics.actor_succeeded("heartbeat")
        except db.lost as error:
            await db.drop()
            log.warning("heartbeat.interrupted", why=repr(error))
        await asyncio.sleep(lease.total_seconds() / 4)
