"""The dispatcher: which deliveries are due and affordable now?

Claims and tokens are taken in one transaction: the locks of the limits are
held until the claims that count against them are committed. So no crash, no
restart and no other process can exceed a limit.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from worker.policy.room import next_window, room_for
from worker.store import deliveries, limits
from worker.store.deliveries import DeliveryState, Settlement

if TYPE_CHECKING:
    from worker.actors.ledger import Ledger
    from worker.actors.mailbox import Mailbox
    from worker.actors.signals import Signals
    from worker.config import Account
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
            claimed = await claim_affordable(
                connection, worker_id, account.name, at_most=window - len(claims)
            )
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
        uses = await limits.usage(db, account) if locked else []
        room = room_for(await limits.providers(db), uses, at_most=at_most)
        if room.in_all == 0 or not room.by_provider:
            return []
        return await deliveries.claim(
            db, worker_id, account, room=room.by_provider, at_most=room.in_all
        )


async def _sleep_seconds(db: Connection, account: str) -> float:
    """How long nothing can become claimable without a notification."""
    times = (
        await limits.seconds_paused(db, account),
        await limits.seconds_until_room(db, account),
        await deliveries.seconds_until_due(db),
    )
    soonest = min((time for time in times if time is not None), default=_LONGEST_SLEEP_SECONDS)
    return min(max(soonest, _SHORTEST_SLEEP_SECONDS), _LONGEST_SLEEP_SECONDS)
