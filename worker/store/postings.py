"""Postings: one message to one list address.

    state     means                                        after a crash
    open      has deliveries that may leave                unchanged
    held      waits for *awaits* (worker/store/decisions)  unchanged
              or, if that is null, until it is resumed     unchanged
    stopped   ended before it was finished                 unchanged
    finished  each of its deliveries is final              unchanged

The key (list, fingerprint) makes a second taking of the same message harmless.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from worker.store.authors import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from worker.store.database import Connection
    from worker.store.expansion import Roll


@dataclass(frozen=True, slots=True)
class NewPosting:
    """What is frozen when a posting is taken; held if it *awaits* anything."""

    list_id: int
    arrival_id: int
    fingerprint: bytes
    author: str
    subject: str
    message_id: str
    template: bytes
    key_id: str
    size_bytes: int = 0
    lang: str = "fr"
    awaits: str | None = None
    reasons: tuple[str, ...] = ()
    proof: str = ""
    evidence: Evidence = field(default_factory=Evidence)
    resend_doubtful: bool = True
    weight: int = 2
    finish_within: timedelta | None = None
    grace: timedelta | None = None  # Before its first copy.
    author_lang: str | None = None
    content: bytes | None = None  # What it says, hashed.
    repeats: int | None = None  # The posting that says the same.
    thread: tuple[str, ...] = ()  # What an answer to its author refers to.
    answerable: bool = True  # A person wrote it, to us.


# Who is not proven to be its author is told nothing of it, nor is a program.
ADD = """
    INSERT INTO relais.posting (list_id, arrival_id, fingerprint, state, held_because, author,
                                subject, message_id, accepted_at, template, key_id, listed,
                                recipients, suppressed, unusable, duplicates, size_bytes, lang,
                                awaits, reasons, proof, signed_by, return_path_domain, network,
                                resend_doubtful, weight, finish_by, held, owes_receipt,
                                not_before, author_lang, content, repeats, thread,
                                answerable)
    VALUES ($1, $2, $3, CASE WHEN $17::text IS NULL THEN 'open' ELSE 'held' END, $4, $5, $6, $7,
            relais.now(), $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
            $23, $24, relais.now() + $25::interval, $26,
            $17::text IS NULL AND $19 <> '' AND $32, relais.now() + $27::interval, $28, $29, $30,
            $31, $32)
        ON CONFLICT (list_id, fingerprint) DO NOTHING
 RETURNING posting_id
"""


async def add(db: Connection, new: NewPosting, roll: Roll) -> int | None:
    """Insert a posting and return its number; None if it was posted before."""
    posting_id: int | None = await db.fetchval(
        ADD,
        new.list_id,
        new.arrival_id,
        new.fingerprint,
        held_because(new.awaits, new.reasons),
        new.author,
        new.subject,
        new.message_id,
        new.template,
        new.key_id,
        roll.listed,
        roll.recipients,
        roll.suppressed,
        roll.unusable,
        roll.duplicates,
        new.size_bytes,
        new.lang,
        new.awaits,
        new.reasons,
        new.proof,
        new.evidence.signed_by,
        new.evidence.return_path_domain,
        new.evidence.network,
        new.resend_doubtful,
        new.weight,
        new.finish_within,
        roll.held,
        new.grace,
        new.author_lang,
        new.content,
        new.repeats,
        new.thread,
        new.answerable,
    )
    return posting_id


def held_because(awaits: str | None, reasons: Sequence[str]) -> str | None:
    """Say in a few words what a posting waits for, for operators; None if for nothing."""
    if awaits is None:
        return None
    return "; ".join([f"awaits {awaits}", *reasons])


# The expansion of one message follows the other: whoever comes second is told
# by a serialization error, and runs again on what the first has written.
TAKE = """
    INSERT INTO relais.message AS m (fingerprint) VALUES ($1)
        ON CONFLICT (fingerprint) DO UPDATE
       SET expansions = m.expansions + 1, seen_at = relais.now()
"""


async def take_turn(db: Connection, fingerprint: bytes) -> None:
    """Be the only one who expands this message, for any list, until the transaction ends."""
    await db.execute(TAKE, fingerprint)


# Of a message that its host delivers several times, each is refused; one is answered.
REFUSE = """
    INSERT INTO relais.message AS m (fingerprint, refused) VALUES ($1, $2)
        ON CONFLICT (fingerprint) DO UPDATE
       SET refused = m.refused || excluded.refused, seen_at = relais.now()
     WHERE NOT m.refused @> excluded.refused
 RETURNING true
"""


async def refuse(db: Connection, fingerprint: bytes, local_parts: Sequence[str]) -> bool:
    """Keep that a message is refused at *local_parts*; False if it was at each of them before."""
    marks = [sha256(local_part.encode()).digest()[:8] for local_part in local_parts]
    return await db.fetchval(REFUSE, fingerprint, marks) is not None


RESUME = """
    WITH resumed AS (
        UPDATE relais.posting o SET state = 'open', awaits = NULL, held_until = NULL,
               held_because = NULL, not_before = NULL
         WHERE o.posting_id = $1 AND o.state = 'held' AND o.awaits = 'release'
           AND EXISTS (SELECT FROM relais.delivery d WHERE d.posting_id = o.posting_id)
     RETURNING o.posting_id
    )
    SELECT pg_notify('relais', 'delivery') FROM resumed
"""


async def resume(db: Connection, posting_id: int) -> bool:
    """Let a posting go on that was held under way; False if it has no deliveries yet."""
    return await db.fetchrow(RESUME, posting_id) is not None


OPEN = """
    UPDATE relais.posting
       SET state = 'open', awaits = NULL, held_until = NULL, held_because = NULL, listed = $2,
           recipients = $3, suppressed = $4, unusable = $5, duplicates = $6, held = $8,
           not_before = relais.now() + $9::interval,
           finish_by = CASE WHEN finish_by = accepted_at + $7::interval
                            THEN relais.now() + $7::interval ELSE finish_by END,
           fresh_until = relais.now() + interval '12 hours',
           owes_receipt = proof <> '' AND answerable
     WHERE posting_id = $1 AND state = 'held' AND awaits = 'release'
 RETURNING posting_id
"""


async def release(
    db: Connection,
    posting_id: int,
    roll: Roll,
    *,
    finish_within: timedelta | None,
    grace: timedelta | None,
) -> bool:
    """Open a posting that everybody has agreed to; False if it waits no more.

    The list's *finish_within* counts from now; a date that somebody has set stands. So
    does *grace*: who has agreed is not its author, or agreed to no number.
    """
    return (
        await db.fetchval(
            OPEN,
            posting_id,
            roll.listed,
            roll.recipients,
            roll.suppressed,
            roll.unusable,
            roll.duplicates,
            finish_within,
            roll.held,
            grace,
        )
        is not None
    )


@dataclass(frozen=True, slots=True)
class LastOut:
    """The last posting to a list that went out: how many rows the list had, and when."""

    listed: int
    accepted_at: datetime


LAST_OUT = """
    SELECT listed, accepted_at FROM relais.posting
     WHERE list_id = $1 AND state IN ('open', 'finished') ORDER BY accepted_at DESC LIMIT 1
"""


async def last_out(db: Connection, list_id: int) -> LastOut | None:
    """Return the last posting to a list that went out, if one ever did."""
    row = await db.fetchrow(LAST_OUT, list_id)
    return None if row is None else LastOut(**row)


async def listed_last(db: Connection, list_id: int) -> int | None:
    """Return how many rows the list had at the last posting that went out."""
    last = await last_out(db, list_id)
    return None if last is None else last.listed


# What went to nobody may be sent again; a second sending that still waits is none to go by.
EARLIER = """
    SELECT o.posting_id FROM relais.posting o
     WHERE lower(o.author) = lower($1) AND o.list_id = $2 AND o.content = $3
       AND o.fingerprint <> $4 AND o.accepted_at > (SELECT relais.now()) - $5::interval
       AND (o.state IN ('open', 'finished')
            OR o.state = 'held' AND o.repeats IS NULL
            OR o.state = 'stopped'
               AND o.ended_because NOT IN ('refused', 'withdrawn', 'expired', 'disowned')
               AND EXISTS (SELECT FROM relais.delivery d
                            WHERE d.posting_id = o.posting_id
                              AND d.state IN ('dotting', 'in_doubt', 'handed_over', 'bounced')))
     ORDER BY o.posting_id LIMIT 1
"""


async def earlier(
    db: Connection, author: str, list_id: int, *, content: bytes, besides: bytes, within: timedelta
) -> int | None:
    """Return the first posting in which *author* said the same to this list, if there is one.

    *besides* is the fingerprint of the message itself.
    """
    posting_id: int | None = await db.fetchval(EARLIER, author, list_id, content, besides, within)
    return posting_id


FINGERPRINT = "SELECT fingerprint FROM relais.posting WHERE posting_id = $1"


async def fingerprint_of(db: Connection, posting_id: int) -> bytes:
    """Return the fingerprint of a posting."""
    mark: bytes = await db.fetchval(FINGERPRINT, posting_id)
    return mark


STANDS = """
    SELECT l.address,
           CASE WHEN o.state = 'held' AND o.awaits IS NULL THEN 'paused' ELSE o.state END AS state
      FROM relais.posting o JOIN relais.list l USING (list_id)
     WHERE o.fingerprint = $1
"""


async def stands(db: Connection, fingerprint: bytes) -> dict[str, str]:
    """Return how a message stands at each list that it was posted to, by their local parts."""
    return {row["address"]: row["state"] for row in await db.fetch(STANDS, fingerprint)}


EXISTS = "SELECT EXISTS (SELECT FROM relais.posting WHERE list_id = $1 AND fingerprint = $2)"


async def exists(db: Connection, list_id: int, fingerprint: bytes) -> bool:
    """Return whether this message has been posted to this list before."""
    return bool(await db.fetchval(EXISTS, list_id, fingerprint))


PASSED_ON = """
    SELECT EXISTS (SELECT FROM relais.posting
                    WHERE list_id = $1 AND message_id = $2 AND lower(author) <> lower($3))
"""


async def is_passed_on(db: Connection, list_id: int, message_id: str, author: str) -> bool:
    """Return whether this is somebody else's posting, which has come back as *author*'s."""
    return bool(await db.fetchval(PASSED_ON, list_id, message_id, author))


@dataclass(frozen=True, slots=True)
class FrozenCopy:
    """What the copies of a posting are rendered from."""

    list_id: int
    definition: str
    parts: Mapping[str, str]
    lang: str
    template: bytes
    key_id: str


# What was purged is never claimed.
FROZEN_COPY = """
    SELECT o.list_id, l.definition, l.parts, coalesce(o.lang, 'fr') AS lang, o.template, o.key_id
      FROM relais.posting o JOIN relais.list l USING (list_id)
     WHERE o.posting_id = $1 AND o.template IS NOT NULL
"""


async def frozen_copy(db: Connection, posting_id: int) -> FrozenCopy:
    """Return the frozen parts of a posting that has deliveries."""
    row = await db.fetchrow(FROZEN_COPY, posting_id)
    if row is None:
        raise LookupError(f"posting {posting_id} has deliveries but no bytes")
    return FrozenCopy(**{**row, "parts": json.loads(row["parts"])})


# Each open posting is probed once through the key; one probe ends at the first
# delivery that is not final, so a large posting costs no more than a small one. Of a
# paused one nothing may be left to resume: whoever waited has left the list.
FINISH = """
    UPDATE relais.posting o
       SET state = 'finished', finished_at = relais.now(), held_because = NULL
     WHERE (o.state = 'open' OR o.state = 'held' AND o.awaits IS NULL)
       AND NOT EXISTS (SELECT FROM relais.delivery d
                        WHERE d.posting_id = o.posting_id
                          AND d.settled_at IS NULL
                          AND d.state IN ('queued', 'claimed', 'dotting', 'in_doubt', 'deferred'))
 RETURNING o.posting_id
"""


async def finish(db: Connection) -> list[int]:
    """Mark postings whose deliveries are all final; return their numbers."""
    return [row["posting_id"] for row in await db.fetch(FINISH)]


# The rest is cancelled like that of every posting that was stopped.
END_LATE = """
    UPDATE relais.posting o
       SET state = 'stopped', ended_because = 'finish_by', finished_at = relais.now(),
           awaits = NULL, held_until = NULL, held_because = NULL
     WHERE o.finish_by <= (SELECT relais.now()) AND o.state IN ('open', 'held')
       AND EXISTS (SELECT FROM relais.delivery d
                    WHERE d.posting_id = o.posting_id AND d.settled_at IS NULL
                      AND d.state IN ('queued', 'deferred'))
 RETURNING posting_id
"""


async def end_late(db: Connection) -> list[int]:
    """Stop what has not all left by its finish-by date; return the numbers of the postings."""
    return [row["posting_id"] for row in await db.fetch(END_LATE)]


DEADLINE = "SELECT state, finish_by FROM relais.posting WHERE posting_id = $1 FOR UPDATE"

FINISH_BY = "UPDATE relais.posting SET finish_by = $2 WHERE posting_id = $1"


@dataclass(frozen=True, slots=True)
class Deadline:
    """In which state a posting is, and when what is left of it is cancelled."""

    state: str
    finish_by: datetime | None


async def deadline(db: Connection, posting_id: int) -> Deadline | None:
    """Return the deadline of a posting, and lock its row; None if there is none such."""
    row = await db.fetchrow(DEADLINE, posting_id)
    return None if row is None else Deadline(**row)


async def set_deadline(db: Connection, posting_id: int, finish_by: datetime | None) -> None:
    """Let what is left of a posting be cancelled at *finish_by*; None: never."""
    await db.execute(FINISH_BY, posting_id, finish_by)


@dataclass(frozen=True, slots=True)
class PostingSummary:
    """One posting as `relais postings` and `relais posting show` tell it."""

    posting: int
    address: str
    author: str
    subject: str
    state: str
    held_because: str | None
    awaits: str | None
    reasons: list[str]
    held_until: datetime | None
    proof: str
    ended_because: str | None
    decided_by: str | None
    paused_by: str | None
    accepted_at: datetime
    finished_at: datetime | None
    finish_by: datetime | None
    opens_at: datetime | None  # No copy leaves before.
    listed: int
    recipients: int
    suppressed: int
    held: int  # Rows whose address is held.
    unusable: int
    duplicates: int
    handed_over: int
    bounced: int
    refused: int
    deferred: int
    in_hand: int  # Their last dot is being sent: they may be in doubt soon.
    in_doubt: int  # With those.
    cancelled: int
    expired: int
    waiting: int


SUMMARIES = """
    SELECT o.posting_id AS posting, l.address, o.author, o.subject, o.state, o.held_because,
           o.awaits, o.reasons, o.held_until, o.proof, o.ended_because, o.decided_by, o.paused_by,
           o.accepted_at, o.finished_at, o.finish_by, o.not_before AS opens_at, o.listed,
           o.recipients, o.suppressed, o.held, o.unusable, o.duplicates, c.handed_over, c.bounced,
           c.refused, c.deferred, c.in_hand, c.in_doubt, c.cancelled, c.expired, c.waiting
      FROM relais.posting o
      JOIN relais.list l USING (list_id)
      CROSS JOIN LATERAL (
          SELECT coalesce(sum(n) FILTER (WHERE state = 'handed_over'), 0)::bigint AS handed_over,
                 coalesce(sum(n) FILTER (WHERE state = 'bounced'), 0)::bigint AS bounced,
                 coalesce(sum(n) FILTER (WHERE state = 'refused'), 0)::bigint AS refused,
                 coalesce(sum(n) FILTER (WHERE state = 'deferred'), 0)::bigint AS deferred,
                 coalesce(sum(n) FILTER (WHERE state = 'dotting'), 0)::bigint AS in_hand,
                 coalesce(sum(n) FILTER (WHERE state IN ('dotting', 'in_doubt')), 0)::bigint
                     AS in_doubt,
                 coalesce(sum(n) FILTER (WHERE state = 'cancelled'), 0)::bigint AS cancelled,
                 coalesce(sum(n) FILTER (WHERE state = 'expired'), 0)::bigint AS expired,
                 coalesce(sum(n) FILTER (WHERE state IN ('queued', 'claimed', 'deferred')),
                          0)::bigint AS waiting
            FROM (SELECT d.state, count(*) AS n FROM relais.delivery d
                   WHERE d.posting_id = o.posting_id GROUP BY d.state
                   UNION ALL
                  SELECT f.state, f.deliveries FROM relais.posting_figure f
                   WHERE f.posting_id = o.posting_id) kept) c
     WHERE $1::bigint IS NULL OR o.posting_id = $1
     ORDER BY o.posting_id DESC LIMIT $2
"""


async def summaries(
    db: Connection, *, at_most: int, posting_id: int | None = None
) -> list[PostingSummary]:
    """Return the newest postings with the states of their deliveries."""
    return [PostingSummary(**row) for row in await db.fetch(SUMMARIES, posting_id, at_most)]
