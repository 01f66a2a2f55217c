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
from worker.store import audit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime, timedelta

    from worker.store.database import Connection


@dataclass(frozen=True, slots=True)
class Usage:
    """A rule, and what counts against it now."""

    account: str | None
    provider: str | None
    limit: Limit
    spent: int
    claimed: int
    set_at: datetime
    set_by: str
    reason: str


LOCK = """
    SELECT limit_id FROM relais.limit_rule
     WHERE account = $1 OR account IS NULL
     ORDER BY limit_id FOR NO KEY UPDATE
"""


async def lock(db: Connection, account: str) -> bool:
    """Lock every rule that a claim of *account* falls under; False if there is none."""
    return bool(await db.fetch(LOCK, account))


USAGE = """
    SELECT account, provider, amount, period, burst, spent, claimed, set_at, set_by, reason
      FROM relais.v_limits
     WHERE $1::text IS NULL OR account = $1 OR account IS NULL
     ORDER BY account NULLS FIRST, provider NULLS FIRST, period
"""


async def usage(db: Connection, account: str | None = None) -> list[Usage]:
    """Return the rules of *account*, or all, with what counts against them now."""
    return [
        Usage(
            row["account"],
            row["provider"],
            Limit(row["amount"], row["period"], row["burst"]),
            row["spent"],
            row["claimed"],
            row["set_at"],
            row["set_by"],
            row["reason"],
        )
        for row in await db.fetch(USAGE, account)
    ]


NEXT_ROOM = """
    SELECT min(relais.seconds_until(s.bin + r.period + r.period / 100))
      FROM relais.limit_rule r JOIN relais.limit_spent s USING (limit_id)
     WHERE (r.account = $1 OR r.account IS NULL)
       AND s.bin > (SELECT relais.now()) - r.period - r.period / 100
"""


async def seconds_until_room(db: Connection, account: str) -> float | None:
    """Return how long until a bin leaves a window, so that a limit has room again."""
    seconds: float | None = await db.fetchval(NEXT_ROOM, account)
    return seconds


PROVIDERS = "SELECT provider FROM relais.provider ORDER BY provider"


async def providers(db: Connection) -> list[str]:
    """Return the names of all providers."""
    return [row["provider"] for row in await db.fetch(PROVIDERS)]


SET = """
    INSERT INTO relais.limit_rule AS rule
           (account, provider, amount, period, burst, set_at, set_by, reason)
    VALUES ($1, $2, $3, $4, $5, relais.now(), $6, $7)
        ON CONFLICT (account, provider, period) DO UPDATE
       SET amount = excluded.amount, burst = excluded.burst, set_at = excluded.set_at,
           set_by = excluded.set_by, reason = excluded.reason
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


async def _set(
    db: Connection,
    limit: Limit,
    account: str | None,
    provider: str | None,
    *,
    who: str,
    reason: str,
) -> None:
    await db.execute(SET, account, provider, limit.amount, limit.period, limit.burst, who, reason)


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
     WHERE r.limit_id = s.limit_id AND s.bin < relais.now() - 2 * r.period
"""


async def forget_bins(db: Connection) -> None:
    """Drop bins that no window can reach any more."""
    await db.execute(FORGET_BINS)
