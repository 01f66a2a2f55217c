"""Limits: the rules, what was spent of them, and accounts that are left alone.

A claim locks the rules it falls under, in the order of their numbers, and then
counts marks and claims in one statement: its snapshot is younger than the
lock, so every token that another worker took is in the count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.errors import ConfigError
from worker.policy.limit import Limit
from worker.policy.meter import Meter, still_owed
from worker.store import audit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime, timedelta

    import asyncpg

    from worker.store.database import Connection


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a claim has to look at."""

    now: datetime
    is_paused: bool  # The account is left alone.
    has_rules: bool
    has_due: bool  # Something that was deferred is due again.


BEGIN = "SELECT now, is_paused, has_rules, has_due FROM relais.begin_claim($1)"


async def begin_claim(db: Connection, account: str) -> Beginning:
    """Lock every rule that a claim of *account* falls under, until the transaction ends."""
    row = await db.fetchrow(BEGIN, account)
    return Beginning(**row)  # type: ignore[arg-type]  # a function always has its one row


METERS = """
    SELECT limit_id, account, provider, amount, period, burst, spacing, spent, spent_within,
           claimed, spent_small + claimed_small AS small, owed,
           coalesce(relais.now() - owed_as_of, interval '0') AS unpaid_for
      FROM relais.v_limits
     WHERE account = $1 OR account IS NULL
"""


async def meters(db: Connection, account: str, factor: Callable[[str], float]) -> list[Meter]:
    """Return what counts against the rules of *account* now; the caller holds their locks.

    *factor* says by how much a provider is slowed down.
    """
    return [_meter(row, factor) for row in await db.fetch(METERS, account)]


def _meter(row: asyncpg.Record, factor: Callable[[str], float]) -> Meter:
    limit = Limit(row["amount"], row["period"], row["burst"], row["spacing"])
    meter = Meter(
        row["account"],
        row["provider"],
        limit,
        spent=row["spent"],
        spent_within=row["spent_within"],
        claimed=row["claimed"],
        small=row["small"],
        factor=1.0 if row["provider"] is None else factor(row["provider"]),
        rule=row["limit_id"],
    )
    meter.owed = still_owed(row["owed"], row["unpaid_for"], meter.interval)
    return meter


@dataclass(frozen=True, slots=True)
class Usage:
    """A rule, and what counts against it now, as people are shown it."""

    account: str | None
    provider: str | None
    limit: Limit
    spent: int
    claimed: int
    set_at: datetime
    set_by: str
    reason: str


USAGE = """
    SELECT account, provider, amount, period, burst, spacing, spent, claimed, set_at, set_by,
           reason
      FROM relais.v_limits
     ORDER BY account NULLS FIRST, provider NULLS FIRST, period
"""


async def usage(db: Connection) -> list[Usage]:
    """Return every rule with what counts against it now."""
    return [
        Usage(
            row["account"],
            row["provider"],
            Limit(row["amount"], row["period"], row["burst"], row["spacing"]),
            row["spent"],
            row["claimed"],
            row["set_at"],
            row["set_by"],
            row["reason"],
        )
        for row in await db.fetch(USAGE)
    ]


# A bin leaves spent_within first, and then spent.
NEXT_ROOM = """
    SELECT least(extract(epoch FROM $3::interval) / c.rate,
                 (SELECT min(extract(epoch FROM next.at - t.now)) / c.rate
                    FROM relais.limit_rule r
                   CROSS JOIN LATERAL (
                         (SELECT s.bin + r.period - relais.bin_width(r.period) AS at
                            FROM relais.limit_spent s
                           WHERE s.limit_id = r.limit_id AND r.limit_id = ANY($2)
                             AND s.bin >= t.now - r.period + relais.bin_width(r.period)
                           ORDER BY s.bin LIMIT 1)
                          UNION ALL
                         (SELECT s.bin + r.period + relais.bin_width(r.period)
                            FROM relais.limit_spent s
                           WHERE s.limit_id = r.limit_id AND r.limit_id = ANY($1)
                             AND s.bin > t.now - r.period - relais.bin_width(r.period)
                           ORDER BY s.bin LIMIT 1)) next))::double precision
      FROM relais.clock c, (SELECT relais.now() AS now) t
"""


async def seconds_until_room(db: Connection, meters: Iterable[Meter]) -> float | None:
    """Return how long until one of *meters* has room again that has none now."""
    every = list(meters)
    spaced = [m.spaced_for for m in every if m.spaced_for and not m.is_spent_by_large]
    spaced += [m.spaced_for_small for m in every if m.spaced_for_small and not m.is_spent]
    seconds: float | None = await db.fetchval(
        NEXT_ROOM,
        [m.rule for m in every if m.is_spent],
        [m.rule for m in every if m.is_spent_by_large],
        min(spaced, default=None),
    )
    return seconds


PROVIDERS = "SELECT provider FROM relais.provider ORDER BY provider"


async def providers(db: Connection) -> list[str]:
    """Return the names of all providers."""
    return [row["provider"] for row in await db.fetch(PROVIDERS)]


SET = """
    INSERT INTO relais.limit_rule AS rule
           (account, provider, amount, period, burst, spacing, set_at, set_by, reason)
    VALUES ($1, $2, $3, $4, $5, $6, relais.now(), $7, $8)
        ON CONFLICT (account, provider, period) DO UPDATE
       SET amount = excluded.amount, burst = excluded.burst, spacing = excluded.spacing,
           set_at = excluded.set_at, set_by = excluded.set_by, reason = excluded.reason
"""


async def set_limit(
    db: Connection,
    limit: Limit,
    *,
    account: str | None = None,
    provider: str | None = None,
    who: str,
    reason: str,
) -> None:
    """Set one rule of a scope; a rule for another period stays beside it."""
    await _set(db, limit, account, provider, who=who, reason=reason)
    what = f"limit {account or ''}{'/' if account and provider else ''}{provider or ''} = {limit}"
    await audit.record(db, who=who, what=what, reason=reason)


REMOVE = """
    DELETE FROM relais.limit_rule
     WHERE account IS NOT DISTINCT FROM $1 AND provider IS NOT DISTINCT FROM $2 AND period = $3
"""

# A trigger wakes the dispatchers when a rule is set, and none when it goes.
WAKE = "SELECT pg_notify('relais', 'delivery')"


async def remove_limit(
    db: Connection,
    limit: Limit,
    *,
    account: str | None,
    provider: str | None,
    who: str,
    reason: str,
) -> None:
    """Remove the rule of a scope that has the period of *limit*."""
    await db.execute(REMOVE, account, provider, limit.period)
    await db.execute(WAKE)
    what = f"remove limit {account or ''}{'/' if account and provider else ''}{provider or ''}"
    await audit.record(db, who=who, what=f"{what} = {limit}", reason=reason)


async def _set(
    db: Connection,
    limit: Limit,
    account: str | None,
    provider: str | None,
    *,
    who: str,
    reason: str,
) -> None:
    await db.execute(
        SET,
        account,
        provider,
        limit.amount,
        limit.period,
        limit.burst,
        limit.spacing,
        who,
        reason,
    )


STARTING = """
    SELECT NOT EXISTS (SELECT FROM relais.limit_rule
                        WHERE account IS NOT DISTINCT FROM $1 AND provider IS NOT DISTINCT FROM $2
                          AND set_by <> 'shipped')
"""

FORGET_SHIPPED = """
    DELETE FROM relais.limit_rule
     WHERE account IS NOT DISTINCT FROM $1 AND provider IS NOT DISTINCT FROM $2
       AND set_by = 'shipped'
"""


async def start_with(
    db: Connection,
    limits: Iterable[Limit],
    *,
    account: str | None = None,
    provider: str | None = None,
) -> None:
    """Take starting values from the configuration, unless somebody has set others.

    After the first time the database is the authority.
    """
    if not await db.fetchval(STARTING, account, provider):
        return
    await db.execute(FORGET_SHIPPED, account, provider)
    for limit in limits:
        await _set(db, limit, account, provider, who="configuration", reason="starting value")


async def take_starting_values(
    db: Connection,
    *,
    providers: Mapping[str, Iterable[Limit]],
    accounts: Mapping[str, Iterable[Limit]],
) -> None:
    """Take all starting values of the configuration. Call it in a transaction.

    ConfigError if a provider is none of ours.
    """
    known = [row["provider"] for row in await db.fetch(PROVIDERS)]
    unknown = [name for name in providers if name not in known]
    if unknown:
        raise ConfigError(
            [
                f"[limits] {name}: is no provider; write one of {', '.join(known)}"
                for name in unknown
            ]
        )
    for provider, starting in providers.items():
        await start_with(db, starting, provider=provider)
    for account, starting in accounts.items():
        await start_with(db, starting, account=account)


PAUSED = """
    SELECT relais.seconds_until(paused_until) FROM relais.account_state
     WHERE account = $1 AND paused_until > relais.now()
"""


async def seconds_paused(db: Connection, account: str) -> float | None:
    """Return how long *account* is still left alone, or None if it is not."""
    seconds: float | None = await db.fetchval(PAUSED, account)
    return seconds


FAILURES = """
    SELECT failures, paused_until > relais.now() AS paused FROM relais.account_state
     WHERE account = $1 FOR UPDATE
"""


async def failures_in_a_row(db: Connection, account: str) -> int | None:
    """Return how often *account* failed in a row; None while it is paused already."""
    row = await db.fetchrow(FAILURES, account)
    if row is None:
        return 0
    return None if row["paused"] else row["failures"]


PAUSE = """
    INSERT INTO relais.account_state (account, paused_until, failures, why, since)
    SELECT $1, t.now + $2, $3, $4, t.now FROM (SELECT relais.now() AS now) t
        ON CONFLICT (account) DO UPDATE
       SET paused_until = excluded.paused_until, failures = excluded.failures,
           why = excluded.why, since = excluded.since
"""


async def pause_account(
    db: Connection, account: str, *, pause: timedelta, failures: int, why: str
) -> None:
    """Leave *account* alone for *pause*."""
    await db.execute(PAUSE, account, pause, failures, why[:500])


CLEAR = "DELETE FROM relais.account_state WHERE account = $1 AND paused_until <= relais.now()"


async def account_works(db: Connection, account: str) -> None:
    """Forget the failures of *account*: it has taken a copy."""
    await db.execute(CLEAR, account)


FORGET_BINS = """
    DELETE FROM relais.limit_spent s USING relais.limit_rule r
     WHERE r.limit_id = s.limit_id AND s.bin < (SELECT relais.now()) - 2 * r.period
"""

# A clock that ran ahead by more than a period and was set right would leave its
# marks in a time to come. They have left before now, so now is late enough.
BRING_BACK = """
    WITH ahead AS (
        DELETE FROM relais.limit_spent s USING relais.limit_rule r
         WHERE r.limit_id = s.limit_id AND s.bin > (SELECT relais.now()) + r.period
     RETURNING s.limit_id, r.period, s.marks, s.small
    )
    INSERT INTO relais.limit_spent AS bins (limit_id, bin, marks, small)
    SELECT limit_id, relais.bin_of(period, (SELECT relais.now())), sum(marks), sum(small)
      FROM ahead GROUP BY limit_id, period ORDER BY limit_id
        ON CONFLICT (limit_id, bin) DO UPDATE
       SET marks = bins.marks + excluded.marks, small = bins.small + excluded.small
"""


async def forget_bins(db: Connection) -> None:
    """Drop bins that no window can reach any more, and those of a clock that ran ahead."""
    await db.execute(FORGET_BINS)
    await db.execute(BRING_BACK)
