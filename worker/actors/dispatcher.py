"""The dispatcher: which deliveries are due and affordable now?

Claims and tokens are taken in one transaction: the locks of the limits are
held until the claims that count against them are committed. So no crash, no
restart and no other process can exceed a limit.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from worker.actors.recheck import recheck
from worker.policy.meter import is_full
from worker.policy.provider_state import paused_until, rate_factor
from worker.policy.schedule import next_window
from worker.policy.turns import share
from worker.store import deliveries, limits, overview, provider_states, rechecks, turns
from worker.store.deliveries import DeliveryState, Settlement

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from worker.actors.ledger import Ledger
    from worker.actors.mailbox import Mailbox
    from worker.actors.signals import Signals
    from worker.config import Account
    from worker.policy.meter import Meter
    from worker.store.database import Connection, Reconnecting
    from worker.store.deliveries import Claim
    from worker.telemetry.metrics import Metrics

log = structlog.get_logger()

_RETRY_SECONDS = 1.0
_LONGEST_SLEEP_SECONDS = 5.0  # NOTIFY is a hint; this is the guarantee.
_SHORTEST_SLEEP_SECONDS = 0.02
# On the fast clock of a demo hours pass between two questions, and an answer may
# be late: there nobody sleeps for days.
_LONGEST_SLEEP = timedelta(hours=6)


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
    # A lowered limit binds at once: what nobody has begun is claimed anew.
    signals.at("limit", lambda: _put_back(claims.empty(), ledger))
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
    _put_back(claims.close(), ledger)


def _put_back(claims: Iterable[Claim], ledger: Ledger) -> None:
    for claim in claims:
        ledger.settle(Settlement(claim.key, DeliveryState.QUEUED))


async def claim_affordable(
    db: Connection, worker_id: str, account: str, *, at_most: int
) -> list[Claim]:
    """Claim what has its turn and is affordable, in one transaction."""
    async with db.transaction():
        beginning = await limits.begin_claim(db, account)
        if beginning.is_paused:
            return []
        if beginning.has_due:
            await deliveries.promote_due(db)
        prospect = await _look_at(db, account, beginning.now, has_rules=beginning.has_rules)
        if prospect.is_closed:
            return []
        queues = await turns.queues(db, closed=prospect.closed, at_most=at_most)
        shared = share(queues, prospect.meters, at_most=at_most)
        if not shared.order:
            return []
        if len(queues) > 1:
            await turns.record(db, shared.passed)
        return await deliveries.claim(db, worker_id, account, shared)


async def recheck_due(
    db: Connection, account: str, *, domain: str, at_most: int, metrics: Metrics
) -> None:
    """Ask the lists of old postings again, as far as their copies could be claimed now.

    Without the locks of the limits: a list's query may take long, and must not
    hold up another process.
    """
    if not await rechecks.any_stale(db) or await limits.seconds_paused(db, account) is not None:
        return
    prospect = await _look_at(db, account, await overview.moment(db))
    if prospect.is_closed:
        return
    for posting_id in await rechecks.stale(db, closed=prospect.closed, at_most=at_most):
        await recheck(db, posting_id, domain=domain, metrics=metrics)


@dataclass(frozen=True, slots=True)
class _Prospect:
    """What limits an account now, and the providers that it can submit nothing to."""

    meters: list[Meter]
    closed: list[str]

    @property
    def is_closed(self) -> bool:
        return any(is_full(meter) for meter in self.meters if meter.provider is None)


async def _look_at(
    db: Connection, account: str, now: datetime, *, has_rules: bool = True
) -> _Prospect:
    states = await provider_states.live(db)
    meters: list[Meter] = []
    if has_rules:
        meters = await limits.meters(db, account, lambda name: rate_factor(states, name, now))
    full = {meter.provider for meter in meters if is_full(meter)}
    paused = {s.provider for s in states if paused_until(states, s.provider, account, now)}
    return _Prospect(meters, [name for name in full | paused if name is not None])


async def seconds_until_claimable(db: Connection, account: str) -> float | None:
    """How long nothing can become claimable without a notification; None: for ever."""
    paused = await limits.seconds_paused(db, account)
    if paused is not None:
        return paused
    prospect = await _look_at(db, account, await overview.moment(db))
    if not prospect.is_closed and await rechecks.stale(db, closed=prospect.closed, at_most=1):
        return 0.0  # A copy of an old posting has become due since its list was asked.
    times = (
        await limits.seconds_until_room(db, prospect.meters),
        await deliveries.seconds_until_due(db),
        await provider_states.seconds_until_change(db),
    )
    return min((time for time in times if time is not None), default=None)


async def _sleep_seconds(db: Connection, account: str) -> float:
    soonest = await seconds_until_claimable(db, account)
    longest = min(_LONGEST_SLEEP_SECONDS, await overview.seconds_of(db, _LONGEST_SLEEP))
    if soonest is None:
        return longest
    return min(max(soonest, _SHORTEST_SLEEP_SECONDS), longest)
