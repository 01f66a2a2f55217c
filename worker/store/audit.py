"""The audit: what operators changed, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.store.database import Connection

RECORD = "INSERT INTO relais.audit (at, who, what, reason) VALUES (relais.now(), $1, $2, $3)"


async def record(db: Connection, *, who: str, what: str, reason: str) -> None:
    """Keep that *who* did *what*, and why."""
    await db.execute(RECORD, who, what, reason)
