"""Notices: our own mail to one person, queued as a delivery of its own.

The caller's transaction is the one that changed what the notice is about, so it
is written once or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.policy.outcome import ANSWERS, NoticeKind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

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


# Of a snapshot that is older than another's answer the count would be too low, which
# no lock mends: so each answer writes the row of its author, and the later one conflicts.
FOLLOW = """
    INSERT INTO relais.answer_turn AS t (bucket) VALUES (hashtext(lower($1)) & 4095)
        ON CONFLICT (bucket) DO UPDATE SET turns = t.turns + 1
"""


async def follow_other_answers(db: Connection, address: str) -> None:
    """Be the only one who answers *address*, until the transaction ends."""
    await db.execute(FOLLOW, address)


ANSWERED = """
    SELECT count(*) FILTER (WHERE kind <> $4)::integer AS answers,
           count(*) FILTER (WHERE kind = $4)::integer AS farewells
      FROM relais.notice
     WHERE lower(address) = lower($1) AND kind = ANY ($2)
       AND made_at > (SELECT relais.now()) - $3::interval
"""


async def answers_lately(db: Connection, address: str, within: timedelta) -> tuple[int, int]:
    """Count the answers to *address*, and the letters that there are no more, of that time."""
    row = await db.fetchrow(
        ANSWERED,
        address,
        [kind.value for kind in ANSWERS],
        within,
        NoticeKind.NO_MORE_TODAY.value,
    )
    if row is None:
        raise AssertionError("an aggregate always has its one row")
    return row["answers"], row["farewells"]


@dataclass(frozen=True, slots=True)
class Told:
    """A letter to an author about what they sent, and what became of the letter."""

    kind: str
    at: datetime
    state: str
    promised_at: datetime | None  # The finish that a receipt has named.


TOLD = """
    SELECT n.kind, n.made_at AS at, coalesce(d.state::text, 'gone') AS state,
           CASE WHEN n.kind = 'receipt' THEN r.promised_at END AS promised_at
      FROM relais.notice n
      LEFT JOIN relais.delivery d USING (notice_id)
      JOIN relais.posting o ON o.posting_id = n.posting_id
      LEFT JOIN relais.receipt r USING (receipt_id)
     WHERE n.posting_id = ANY($1) AND n.kind = ANY($2)
     ORDER BY n.notice_id
"""


async def told(
    db: Connection, posting_ids: Sequence[int], kinds: Sequence[NoticeKind]
) -> list[Told]:
    """Return which letters of these *kinds* were written about postings, and are kept."""
    rows = await db.fetch(TOLD, posting_ids, [kind.value for kind in kinds])
    return [Told(**row) for row in rows]


@dataclass(frozen=True, slots=True)
class FrozenNotice:
    """What a notice is rendered from."""

    kind: NoticeKind
    template: bytes
    key_id: str


FROZEN = """
    SELECT kind, template, key_id FROM relais.notice
     WHERE notice_id = $1 AND template IS NOT NULL
"""


async def frozen(db: Connection, notice_id: int) -> FrozenNotice:
    """Return the bytes of a notice that has a delivery."""
    row = await db.fetchrow(FROZEN, notice_id)
    if row is None:
        raise LookupError(f"notice {notice_id} has a delivery but no bytes")
    return FrozenNotice(NoticeKind(row["kind"]), row["template"], row["key_id"])
