"""Pauses of accounts that are not the account's trouble: failures, and the host's own limiter.

They share relais.account_state with what sessions find (worker/store/limits.py):
the later end holds, and the failures in a row are left to the sessions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.policy.provider_state import kept_why

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from worker.store.database import Connection

FAILED = """
    SELECT d.failed_at FROM relais.delivery d
     WHERE d.account = $1 AND d.failed_at > (SELECT relais.now()) - $2::interval
       AND NOT EXISTS (SELECT FROM relais.address_failure f
                        WHERE f.delivery_id = d.delivery_id AND f.is_excused)
     ORDER BY d.failed_at DESC LIMIT $3
"""


async def failures(
    db: Connection, account: str, *, within: timedelta, at_most: int
) -> list[datetime]:
    """Return when copies of *account* failed within the time before now, the newest first.

    Hosts count what comes back, whatever we do with it; of a burst that is excused
    the posting has stopped where it came from.
    """
    return [row["failed_at"] for row in await db.fetch(FAILED, account, within, at_most)]


# The new row is seen by the next statement only: the answer is of the time before.
PAUSE_UNTIL = """
    WITH t AS MATERIALIZED (SELECT relais.now() AS now),
    before AS (
        SELECT a.paused_until > t.now AS paused FROM relais.account_state a, t WHERE a.account = $1
    ), written AS (
        INSERT INTO relais.account_state AS a (account, paused_until, failures, why, since)
        SELECT $1, $2, 0, $3, t.now FROM t WHERE $2 > t.now
            ON CONFLICT (account) DO UPDATE
           SET paused_until = excluded.paused_until, why = excluded.why,
               since = CASE WHEN a.paused_until > excluded.since THEN a.since
                            ELSE excluded.since END
         WHERE a.paused_until < excluded.paused_until
     RETURNING true
    )
    SELECT EXISTS (SELECT FROM written)
           AND NOT coalesce((SELECT paused FROM before), false)
"""


async def pause_until(db: Connection, account: str, until: datetime, *, why: str) -> bool:
    """Leave *account* alone until then, if not for longer already; True if it is news."""
    return bool(await db.fetchval(PAUSE_UNTIL, account, until, kept_why(why)))
