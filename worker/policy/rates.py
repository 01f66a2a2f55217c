"""Rates: what limits let through in the long run, shared out in turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from worker.policy.meter import Meter
    from worker.policy.turns import QueueKey


def shared_rates(
    weights: Mapping[QueueKey, int], meters: Iterable[Meter], *, accounts: Sequence[str]
) -> dict[QueueKey, float]:
    """Return how many deliveries a second each queue gets while all of them wait.

    All queues grow by their weight until a limit that they share is used up; then
    the others go on. A queue that nothing limits gets infinitely many.
    """
    every = list(meters)
    pools = [
        _Pool(_rate_of_all(every, accounts), set(weights)),
        *(
            _Pool(
                _rate_to(provider, every, accounts), {k for k in weights if k.provider == provider}
            )
            for provider in {key.provider for key in weights}
        ),
    ]
    rates = dict.fromkeys(weights, 0.0)
    growing = set(weights)
    while growing:
        tight = min(pools, key=lambda pool: pool.grows_by(rates, weights, growing))
        step = tight.grows_by(rates, weights, growing)
        for key in growing:
            rates[key] += step * weights[key]
        growing -= tight.queues
        pools.remove(tight)
    return rates


class _Pool:
    """Queues that share one rate."""

    def __init__(self, rate: float, queues: set[QueueKey]) -> None:
        self.rate = rate
        self.queues = queues

    def grows_by(
        self,
        rates: Mapping[QueueKey, float],
        weights: Mapping[QueueKey, int],
        growing: set[QueueKey],
    ) -> float:
        """Return by how much a queue of weight 1 may grow before the rate is used up."""
        weight = sum(weights[key] for key in self.queues & growing)
        left = self.rate - sum(rates[key] for key in self.queues)
        return max(0.0, left) / weight if weight else float("inf")


def _rate_of_all(meters: Sequence[Meter], accounts: Sequence[str]) -> float:
    return sum(
        min((_rate(m) for m in meters if m.provider is None and m.account == a), default=_INFINITE)
        for a in accounts
    )


def _rate_to(provider: str, meters: Sequence[Meter], accounts: Sequence[str]) -> float:
    """Return the rate to one provider, whoever submits, and by each account together."""
    mine = [m for m in meters if m.provider in (None, provider)]
    by_all = min((_rate(m) for m in mine if m.account is None), default=_INFINITE)
    by_each = sum(
        min((_rate(m) for m in mine if m.account == account), default=_INFINITE)
        for account in accounts
    )
    return min(by_all, by_each)


_INFINITE = float("inf")


def _rate(meter: Meter) -> float:
    """Return what a meter lets through of large postings, a second."""
    by_law = (meter.amount - meter.kept) / meter.limit.period.total_seconds()
    return by_law if meter.interval is None else min(by_law, 1 / meter.interval.total_seconds())
