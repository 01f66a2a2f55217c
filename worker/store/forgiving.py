"""Forgiving: an address starts clean, because somebody knows better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.store import audit, health

if TYPE_CHECKING:
    from worker.store.database import Connection


@dataclass(frozen=True, slots=True)
class Forgiven:
    """What is forgotten of an address."""

    state: str | None  # None: nothing was decided about it yet.
    failures: int


FORGET_STATE = "DELETE FROM relais.address_health WHERE address = $1 RETURNING state"

FORGET_FAILURES = """
    WITH gone AS (DELETE FROM relais.address_failure WHERE address = $1 RETURNING true)
    SELECT count(*)::integer FROM gone
"""


async def forgive(db: Connection, address: str, *, who: str, reason: str) -> Forgiven | None:
    """Forget all failures of *address*, which is in lower case; None if there are none.

    Call it in a transaction.
    """
    await health.lock(db, address)
    state = await db.fetchval(FORGET_STATE, address)
    forgotten = Forgiven(state, await db.fetchval(FORGET_FAILURES, address))
    if forgotten == Forgiven(None, 0):
        return None
    await audit.record(db, who=who, what=f"forgive {address}", reason=reason)
    return forgotten
