"""Provider states: what is slowed or paused for a while, by feedback or by an operator.

A row ends by itself; what follows from the rows is worker/policy/provider_state.py.
Whoever decides from them and adds one holds lock() meanwhile.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from worker.policy.feedback import POSTING_STOP
from worker.policy.provider_state import MATTERS_FOR, ProviderState, StateKind, kept_why
from worker.store import audit

if TYPE_CHECKING:
    from datetime import datetime

    from worker.store.database import Connection

# "Until told otherwise": infinity is no time that can be reckoned with.
FOR_GOOD = timedelta(days=3652)

NOW = "SELECT relais.now()"


async def now(db: Connection) -> datetime:
    """Return what relais.now() says."""
    moment: datetime = await db.fetchval(NOW)
    return moment


LOCK = "SELECT pg_advisory_xact_lock(7256948, hashtext($1))"


async def lock(db: Connection, provider: str) -> None:
    """Be the only one who decides about *provider*, until the transaction ends."""
    await db.execute(LOCK, provider)


LIVE = """
    SELECT provider, account, posting_id, kind, factor, since, until, why, rule_id, set_by
      FROM relais.provider_state WHERE until > relais.now() - $1::interval
     ORDER BY provider, since, state_id
"""


async def live(db: Connection) -> list[ProviderState]:
    """Return the rows that still matter: in force, or recovering."""
    return [
        ProviderState(**{**row, "kind": StateKind(row["kind"])})
        for row in await db.fetch(LIVE, MATTERS_FOR)
    ]


# The times of the state are the transaction's idea of now; only their distance counts.
ADD = """
    INSERT INTO relais.provider_state (provider, account, posting_id, kind, factor, since, until,
                                       why, rule_id, set_by)
    SELECT $1, $2, $3, $4, $5, t.now, t.now + $6::interval, $7, $8, $9
      FROM (SELECT relais.now() AS now) t
"""

NOTIFY = "SELECT pg_notify('relais', 'delivery')"


async def add(db: Connection, state: ProviderState) -> None:
    """Put *state* in force from now on, for as long as it says."""
    await db.execute(
        ADD,
        state.provider,
        state.account,
        state.posting_id,
        state.kind.value,
        state.factor,
        state.until - state.since,
        kept_why(state.why),
        state.rule_id,
        state.set_by,
    )
    await db.execute(NOTIFY)


async def pause(
    db: Connection, provider: str, *, length: timedelta | None, who: str, reason: str
) -> None:
    """Let nothing leave for *provider* for *length*; None: until told otherwise."""
    moment = await now(db)
    state = ProviderState(
        provider=provider,
        account=None,
        posting_id=None,
        kind=StateKind.PAUSE,
        factor=None,
        since=moment,
        until=moment + (length or FOR_GOOD),
        why=reason,
        rule_id=None,
        set_by=who,
    )
    await add(db, state)
    span = f"for {length}" if length else "until told otherwise"
    await audit.record(db, who=who, what=f"pause {provider} {span}", reason=reason)


# What has ended but is still recovering goes as well: resumed is at full speed.
END = """
    DELETE FROM relais.provider_state
     WHERE provider = $1 AND until > relais.now() - $2::interval
 RETURNING until > relais.now() AS in_force
"""

# What came back waits for the end of what held it.
LET_GO = """
    UPDATE relais.delivery SET due_at = relais.now()
     WHERE provider = $1 AND state = 'deferred' AND returned > 0 AND due_at > relais.now()
"""


async def resume(db: Connection, provider: str, *, who: str, reason: str) -> int:
    """End what is in force for *provider*, stops of postings included; return how many."""
    ended = [row["in_force"] for row in await db.fetch(END, provider, MATTERS_FOR)]
    await db.execute(LET_GO, provider)
    await audit.record(db, who=who, what=f"resume {provider}", reason=reason)
    await db.execute(NOTIFY)
    return sum(ended)


# What a provider has called unwanted is not sent to it again because five days
# have passed; shorter stops end by themselves.
CANCEL_REFUSED = """
    UPDATE relais.delivery d
       SET state = 'cancelled', settled_at = relais.now(), worker_id = NULL,
           reply = 'refused there as unwanted: ' || s.why
      FROM relais.provider_state s
     WHERE s.kind = 'pause' AND s.rule_id IS NOT NULL AND s.until <= (SELECT relais.now())
       AND s.until > (SELECT relais.now()) - interval '1 day'
       AND s.until - s.since >= $1::interval
       AND d.posting_id = s.posting_id AND d.provider = s.provider
       AND d.settled_at IS NULL AND d.state IN ('queued', 'deferred')
 RETURNING d.delivery_id
"""


async def cancel_refused(db: Connection) -> list[int]:
    """Cancel what is left of a posting where a provider's stop of it has ended unresumed."""
    return [row["delivery_id"] for row in await db.fetch(CANCEL_REFUSED, POSTING_STOP)]


FORGET = "DELETE FROM relais.provider_state WHERE until < relais.now() - interval '30 days'"


async def forget(db: Connection) -> None:
    """Drop rows that nobody will ask about any more."""
    await db.execute(FORGET)


LIMITED = """
    SELECT EXISTS (SELECT FROM relais.limit_rule
                    WHERE provider = $1 AND (account IS NULL OR account = $2))
"""


async def is_limited(db: Connection, provider: str, account: str | None) -> bool:
    """Return whether what *account* submits to *provider* has a limit, which a factor can slow."""
    return bool(await db.fetchval(LIMITED, provider, account))


NEXT_CHANGE = """
    SELECT relais.seconds_until(min(until)) FROM relais.provider_state
     WHERE until > (SELECT relais.now())
"""


async def seconds_until_change(db: Connection) -> float | None:
    """Return how long until something that is in force for a provider ends."""
    seconds: float | None = await db.fetchval(NEXT_CHANGE)
    return seconds
