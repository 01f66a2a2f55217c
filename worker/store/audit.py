"""The audit: what operators changed, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from worker.store.database import Connection

RECORD = "INSERT INTO relais.audit (at, who, what, reason) VALUES (relais.now(), $1, $2, $3)"


async def record(db: Connection, *, who: str, what: str, reason: str) -> None:
    """Keep that *who* did *what*, and why."""
    await db.execute(RECORD, who, what, reason)


@dataclass(frozen=True, slots=True)
class Done:
    """What an operator has done."""

    at: datetime
    who: str
    reason: str


LAST = "SELECT at, who, reason FROM relais.audit WHERE what = $1 ORDER BY audit_id DESC LIMIT 1"


async def last(db: Connection, what: str) -> Done | None:
    """Return when *what* was done last."""
    row = await db.fetchrow(LAST, what)
    return None if row is None else Done(**row)
