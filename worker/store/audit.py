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


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the audit."""

    at: datetime
    who: str
    what: str
    reason: str


OF_POSTING = """
    SELECT at, who, what, reason FROM relais.audit
     WHERE starts_with(what, 'posting ' || $1::bigint || ' ') ORDER BY audit_id
"""


async def of_posting(db: Connection, posting_id: int) -> list[Entry]:
    """Return what operators have done with a posting, the first first."""
    return [Entry(**row) for row in await db.fetch(OF_POSTING, posting_id)]


LAST = "SELECT at, who, reason FROM relais.audit WHERE what = $1 ORDER BY audit_id DESC LIMIT 1"


async def last(db: Connection, what: str) -> Done | None:
    """Return when *what* was done last."""
    row = await db.fetchrow(LAST, what)
    return None if row is None else Done(**row)
