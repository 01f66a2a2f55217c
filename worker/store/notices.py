"""Notices: our own mail to one person, queued as a delivery of its own.

The caller's transaction is the one that changed what the notice is about, so it
is written once or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

    from worker.policy.outcome import NoticeKind
    from worker.store.database import Connection


@dataclass(frozen=True, slots=True)
class NewNotice:
    """A notice, and whom and what it is about."""

    kind: NoticeKind
    address: str
    template: bytes
    key_id: str
    posting_id: int | None = None
    arrival_id: int | None = None  # Of the message that is forwarded.


SEND = """
    WITH made AS (
        INSERT INTO relais.notice (kind, address, posting_id, template, key_id, arrival_id, made_at)
        VALUES ($1, $2, $3, $4, $5, $6, relais.now())
     RETURNING notice_id
    )
    INSERT INTO relais.delivery (notice_id, address, provider, due_at, small)
    SELECT made.notice_id, $2, relais.provider_of($2), relais.now(), true FROM made
"""


async def send(db: Connection, notice: NewNotice) -> None:
    """Queue *notice*; it leaves within the limits, before postings."""
    await db.execute(
        SEND,
        notice.kind.value,
        notice.address,
        notice.posting_id,
        notice.template,
        notice.key_id,
        notice.arrival_id,
    )
    await db.execute("SELECT pg_notify('relais', 'delivery')")


WRITTEN = """
    SELECT count(*)::integer FROM relais.notice
     WHERE kind = $1 AND made_at > (SELECT relais.now()) - $2::interval
"""


async def written(db: Connection, kind: NoticeKind, *, within: timedelta) -> int:
    """Count the notices of *kind* that were written *within* the time before now."""
    count: int = await db.fetchval(WRITTEN, kind.value, within)
    return count


IS_FORWARDED = """
    SELECT EXISTS (SELECT FROM relais.notice
                    WHERE arrival_id = $1 AND lower(address) = lower($2) AND kind = 'forwarded')
"""


async def is_forwarded(db: Connection, arrival_id: int, address: str) -> bool:
    """Return whether *address* has been sent this message before: a list beside it may wait."""
    return bool(await db.fetchval(IS_FORWARDED, arrival_id, address))


SENT = """
    SELECT count(*) FROM relais.notice
     WHERE lower(address) = lower($1) AND kind = $2 AND made_at > relais.now() - $3::interval
"""


async def sent_lately(db: Connection, address: str, kind: NoticeKind, within: timedelta) -> int:
    """Count the notices of *kind* that *address* got *within* the time before now."""
    count: int = await db.fetchval(SENT, address, kind.value, within)
    return count


@dataclass(frozen=True, slots=True)
class FrozenNotice:
    """What a notice is rendered from."""

    template: bytes
    key_id: str


FROZEN = """
    SELECT template, key_id FROM relais.notice WHERE notice_id = $1 AND template IS NOT NULL
"""


async def frozen(db: Connection, notice_id: int) -> FrozenNotice:
    """Return the bytes of a notice that has a delivery."""
    row = await db.fetchrow(FROZEN, notice_id)
    if row is None:
        raise LookupError(f"notice {notice_id} has a delivery but no bytes")
    return FrozenNotice(**row)
