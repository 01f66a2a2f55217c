"""The dispatcher: which deliveries are due and affordable now?

Claims and tokens are taken in one transaction: the locks of the limits are
held until the claims that count against them are committed. So no crash, no
restart and no other process can exceed a limit.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from worker.actors.recheck import recheck
from worker.policy.room import next_window, room_for
from worker.store import deliveries, limits, rechecks
from worker.store.deliveries import DeliveryState, Settlement

if TYPE_CHECKING:
    from worker.actors.ledger import Ledger
    from worker.actors.mailbox import Mailbox
    from worker.actors.signals import Signals
    from worker.config import Account
    from worker.policy.room import Room
    from worker.store.database import Connection, Reconnecting
    from worker.store.deliveries import Claim
    from worker.telemetry.metrics import Metrics

log = structlog.get_logger()

_RETRY_SECONDS = 1.0
_LONGEST_SLEEP_SECONDS = 5.0  # NOTIFY is a hint; this is the guarantee.
_SHORTEST_SLEEP_SECONDS = 0.02


async def run_dispatcher(
    claims: Mailbox[Claim],
    *,
    account: Account,
    worker_id: str,
    domain: str,
    db: Reconnecting,
    ledger: Ledger,
    signals: Signals,
    metrics: Metrics,
) -> None:
    """Fill *claims* until the worker stops; then put back what nobody took."""
    signals.at_stop(claims.end)
    smallest = window = account.connections * 2
    clock = asyncio.get_running_loop().time
    filled_at = clock()
    while not signals.stopping:
        try:
            connection = await db.connection()
            room_left = window - len(claims)
            await recheck_due(
                connection, account.name, domain=domain, at_most=room_left, metrics=metrics
            )
            claimed = await claim_affordable(connection, worker_id, account.name, at_most=room_left)
            metrics.actor_succeeded("dispatcher")
            if not claimed:
                await signals.wait("delivery", await _sleep_seconds(connection, account.name))
                continue
        except db.lost as error:
            await db.drop()
            log.warning("dispatcher.interrupted", account=account.name, why=repr(error))
            await signals.wait("delivery", _RETRY_SECONDS)
            continue
        claims.put_all(claimed)
        filled_at = clock()
        await claims.wait_until_below(max(1, window // 2))
        window = next_window(window, smallest=smallest, drained_in=clock() - filled_at)
    for claim in claims.close():
        ledger.settle(Settlement(claim.delivery_id, DeliveryState.QUEUED))


async def claim_affordable(
    db: Connection, worker_id: str, account: str, *, at_most: int
) -> list[Claim]:
    """Claim what is due and affordable, in one transaction."""
    if await limits.seconds_paused(db, account) is not None:
        return []
    async with db.transaction():
        locked = await limits.lock(db, account)
        room = await _room(db, account, at_most=at_most, has_limits=locked)
        if room.in_all == 0 or not room.by_provider:
            return []
        return await deliveries.claim(
            db, worker_id, account, room=room.by_provider, at_most=room.in_all
        )


async def recheck_due(
    db: Connection, account: str, *, domain: str, at_most: int, metrics: Metrics
) -> None:
    """Ask the lists of old postings again, as far as their copies could be claimed now.

    Without the locks of the limits: a list's query may take long, and must not
    hold up another process.
    """
    if not await rechecks.any_stale(db) or await limits.seconds_paused(db, account) is not None:
        return
    room = await _room(db, account, at_most=at_most, has_limits=True)
    if room.in_all == 0:
        return
    for posting_id in await rechecks.stale(db, room=room.by_provider, at_most=room.in_all):
        await recheck(db, posting_id, domain=domain, metrics=metrics)


async def _room(db: Connection, account: str, *, at_most: int, has_limits: bool) -> Room:
    uses = await limits.usage(db, account) if has_limits else []
    return room_for(await limits.providers(db), uses, at_most=at_most)


async def _sleep_seconds(db: Connection, account: str) -> float:
    """How long nothing can become claimable without a notification."""
    times = (
        await limits.seconds_paused(db, account),
        await limits.seconds_until_room(db, account),
        await deliveries.seconds_until_due(db),
    )
    soonest = min((time for time in times if time is not None), default=_LONGEST_SLEEP_SECONDS)
    return min(max(soonest, _SHORTEST_SLEEP_SECONDS), _LONGEST_SLEEP_SECONDS)
