"""Receipts: what the author of a message was told, of all its postings together.

    written_at  closed_at  means                              after a crash
    null        null       no receipt yet, or none is due     unchanged
    set         null       the author has it; the end is due  unchanged
    any         set        the end was told, or needs no word unchanged

*attempts* counts beginnings without an end, so that a message whose letter kills
the process is known by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from worker.store.database import Connection

# The mediator ends with a message when it has posted to all of its lists; a host that
# delivers a copy for each list makes an arrival of each, so the first look comes some
# seconds later, and postings join a receipt of which nothing was written yet. Whoever
# comes second waits for the rows, and finds that they owe nothing any more.
OPEN = """
    WITH next AS (
        SELECT o.fingerprint
          FROM relais.posting o LEFT JOIN relais.arrival a USING (arrival_id)
         WHERE o.owes_receipt AND coalesce(a.state = 'settled', true)
         ORDER BY o.posting_id LIMIT 1
    ), owing AS (
        SELECT o.posting_id, o.author, o.author_lang, o.lang, o.accepted_at
          FROM relais.posting o JOIN next USING (fingerprint)
         WHERE o.owes_receipt
           FOR NO KEY UPDATE OF o
    ), joined AS (
        SELECT r.receipt_id
          FROM relais.posting o JOIN next USING (fingerprint)
          JOIN relais.receipt r USING (receipt_id)
         WHERE r.written_at IS NULL AND r.closed_at IS NULL
         ORDER BY r.receipt_id LIMIT 1
    ), made AS (
        INSERT INTO relais.receipt (author, lang, accepted_at, look_at)
        SELECT min(author), coalesce(min(author_lang), min(lang), 'fr'), min(accepted_at),
               greatest((SELECT relais.now()), min(accepted_at) + $1::interval)
          FROM owing HAVING count(*) > 0 AND NOT EXISTS (SELECT FROM joined)
     RETURNING receipt_id
    )
    UPDATE relais.posting o SET receipt_id = found.receipt_id, owes_receipt = false
      FROM (SELECT receipt_id FROM made UNION ALL SELECT receipt_id FROM joined) found, owing
     WHERE o.posting_id = owing.posting_id
 RETURNING o.posting_id
"""


async def open_next(db: Connection, *, first_look: timedelta) -> bool:
    """Make a receipt for the next message whose postings have none; False if there is none."""
    return bool(await db.fetch(OPEN, first_look))


# Nobody else begins meanwhile, unless something becomes of it: then who came first is
# known by the attempt. After a crash it is seen again in a minute.
BEGIN = """
    UPDATE relais.receipt
       SET attempts = attempts + 1, look_at = relais.now() + interval '1 minute'
     WHERE receipt_id = (
               SELECT r.receipt_id FROM relais.receipt r
                WHERE r.closed_at IS NULL AND r.look_at <= (SELECT relais.now())
                ORDER BY r.look_at LIMIT 1
                  FOR NO KEY UPDATE SKIP LOCKED)
 RETURNING receipt_id, attempts
"""


@dataclass(frozen=True, slots=True)
class Begun:
    """A receipt that somebody has begun to look at, and how often nobody ended."""

    receipt_id: int
    attempts: int


async def begin_next(db: Connection) -> Begun | None:
    """Record durably that a receipt is looked at, whose time has come.

    Call it in a transaction of its own.
    """
    row = await db.fetchrow(BEGIN)
    return Begun(**row) if row else None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an author was told so far."""

    receipt_id: int
    author: str
    lang: str
    accepted_at: datetime
    written_at: datetime | None
    promised_at: datetime | None
    report_promised: bool
    delayed_at: datetime | None


LOCK = """
    SELECT receipt_id, author, lang, accepted_at, written_at, promised_at, report_promised,
           delayed_at
      FROM relais.receipt
     WHERE receipt_id = $1 AND attempts = $2 AND closed_at IS NULL
       FOR NO KEY UPDATE SKIP LOCKED
"""


async def lock(db: Connection, begun: Begun) -> Receipt | None:
    """Lock a receipt that was begun; None if somebody else has it, or has begun since."""
    row = await db.fetchrow(LOCK, begun.receipt_id, begun.attempts)
    return Receipt(**row) if row else None


@dataclass(frozen=True, slots=True)
class ToldPosting:
    """One of the postings that a receipt is about."""

    posting_id: int
    definition: str
    list_address: str
    list_title: str
    lang: str
    state: str
    recipients: int
    suppressed: int
    held: int  # Rows whose address is held.
    unusable: int
    opens_at: datetime | None  # Nothing of it leaves before.
    finished_at: datetime | None
    ended_because: str | None
    decided_by: str | None
    why_refused: str  # A moderator's own words, of what they ended under way.
    asks_for_domains: bool  # Whose some of its domains are is being asked for.


POSTINGS = """
    SELECT o.posting_id, l.definition, l.address AS list_address,
           coalesce(nullif(l.title, ''), l.address) AS list_title, coalesce(o.lang, 'fr') AS lang,
           o.state, o.recipients, o.suppressed, o.held, o.unusable, o.not_before AS opens_at,
           o.finished_at, o.ended_because, o.decided_by,
           CASE WHEN o.ended_because = 'refused' THEN coalesce(o.held_because, '')
                ELSE '' END AS why_refused,
           o.state = 'open' AND EXISTS (SELECT FROM relais.delivery d
                    WHERE d.posting_id = o.posting_id AND d.settled_at IS NULL
                      AND d.state = 'deferred' AND d.attempts = 0) AS asks_for_domains
      FROM relais.posting o JOIN relais.list l USING (list_id)
     WHERE o.receipt_id = $1 ORDER BY o.posting_id
"""


async def postings(db: Connection, receipt_id: int) -> list[ToldPosting]:
    """Return the postings of a receipt."""
    return [ToldPosting(**row) for row in await db.fetch(POSTINGS, receipt_id)]


LOOK_AGAIN = "UPDATE relais.receipt SET look_at = $2, attempts = 0 WHERE receipt_id = $1"


async def look_again(db: Connection, receipt_id: int, at: datetime) -> None:
    """End looking at a receipt until *at*."""
    await db.execute(LOOK_AGAIN, receipt_id, at)


POSTPONE = """
    UPDATE relais.receipt SET look_at = relais.now() + $2, attempts = 0 WHERE receipt_id = $1
"""


async def postpone(db: Connection, receipt_id: int, delay: timedelta) -> None:
    """Look again after *delay*, as if nothing had been begun."""
    await db.execute(POSTPONE, receipt_id, delay)


WRITTEN = """
    UPDATE relais.receipt
       SET written_at = relais.now(), promised_at = $2, report_promised = $3
     WHERE receipt_id = $1
"""


async def written(
    db: Connection, receipt_id: int, *, promised_at: datetime | None, report_promised: bool
) -> None:
    """Note that the author has the receipt, and what it promises."""
    await db.execute(WRITTEN, receipt_id, promised_at, report_promised)


DELAYED = "UPDATE relais.receipt SET delayed_at = relais.now() WHERE receipt_id = $1"


async def delayed(db: Connection, receipt_id: int) -> None:
    """Note that the author knows that it takes longer."""
    await db.execute(DELAYED, receipt_id)


CLOSED = "UPDATE relais.receipt SET closed_at = relais.now(), attempts = 0 WHERE receipt_id = $1"


async def closed(db: Connection, receipt_id: int) -> None:
    """Note that there is nothing more to tell."""
    await db.execute(CLOSED, receipt_id)


HURRY = """
    WITH hurried AS (
        UPDATE relais.receipt r SET look_at = least(r.look_at, relais.now())
          FROM relais.posting o
         WHERE o.posting_id = ANY($1) AND r.receipt_id = o.receipt_id AND r.closed_at IS NULL
     RETURNING r.receipt_id
    )
    SELECT pg_notify('relais', 'receipt') FROM hurried LIMIT 1
"""


async def hurry(db: Connection, posting_ids: Sequence[int]) -> None:
    """Have the receipts of postings looked at now, for something has become of them."""
    if posting_ids:
        await db.execute(HURRY, posting_ids)


NEXT_LOOK = """
    SELECT relais.seconds_until(min(look_at)) FROM relais.receipt WHERE closed_at IS NULL
"""


async def seconds_until_due(db: Connection) -> float | None:
    """Return how long until the next receipt is to be looked at."""
    seconds: float | None = await db.fetchval(NEXT_LOOK)
    return seconds


GIVEN_UP = """
    SELECT coalesce(d.reply, '') AS said, coalesce(d.status, '') AS status
      FROM relais.delivery d WHERE d.posting_id = ANY($1) AND d.state = 'expired' LIMIT $2
"""


async def given_up(
    db: Connection, posting_ids: Sequence[int], *, at_most: int
) -> list[tuple[str, str]]:
    """Return what was said last, and its status, of copies that were given up after days."""
    return [(row["said"], row["status"]) for row in await db.fetch(GIVEN_UP, posting_ids, at_most)]


@dataclass(frozen=True, slots=True)
class Missed:
    """A copy that did not reach its recipient, and what was said of it last."""

    address: str
    name: str
    state: str
    said: str
    status: str


# Of their rows in the view a copy has kept the columns that the list's words name.
MISSED = """
    SELECT d.address, coalesce(d.fields[array_position(def.merge_fields, 'name')], '') AS name,
           d.state::text, coalesce(d.reply, '') AS said, coalesce(d.status, '') AS status
      FROM relais.delivery d
      JOIN relais.posting o USING (posting_id)
      JOIN relais.list l USING (list_id)
      LEFT JOIN lists.definition def ON def.name = l.definition
     WHERE d.posting_id = ANY($1)
       AND (d.state IN ('bounced', 'refused', 'expired', 'in_doubt')
            OR d.state = 'cancelled'
               AND relais.cancelled_because(d.reply) IN ('held', 'refused', 'expired'))
     ORDER BY lower(d.address) LIMIT $2
"""


async def missed(db: Connection, posting_ids: Sequence[int], *, at_most: int) -> list[Missed]:
    """Return who was not reached, in the order of the alphabet."""
    return [Missed(**row) for row in await db.fetch(MISSED, posting_ids, at_most)]


SPAN = """
    SELECT min(d.marked_at) AS began_at, max(d.marked_at) AS ended_at
      FROM relais.delivery d WHERE d.posting_id = ANY($1) AND d.marked_at IS NOT NULL
"""


async def span(db: Connection, posting_ids: Sequence[int]) -> tuple[datetime, datetime] | None:
    """Return when the first and the last copy left; None if none has."""
    row = await db.fetchrow(SPAN, posting_ids)
    return (row["began_at"], row["ended_at"]) if row and row["began_at"] else None
