"""Decisions: what a posting waits for, and what people answered.

    awaits        means                                   after a crash
    confirmation  the author is asked, or about to be     asked again only if it was not
    moderation    the moderators are, or about to be      the same
    release       everybody said yes; not yet expanded    expanded by whoever comes first

*asked_at* is null while nobody has been asked: asking writes the decisions and
the notices in the transaction that sets it. The first answer counts; each
change of a posting here is one UPDATE that fails when another came first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from worker.policy.admission import REMEMBERED_FOR
from worker.store import audit, authors
from worker.store.authors import Evidence
from worker.store.postings import held_because

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from worker.store.database import Connection


class Kind(Enum):
    """What somebody is asked."""

    CONFIRM = "confirm"  # Did you write this?
    MODERATE = "moderate"  # May it go out?

    @property
    def awaits(self) -> str:
        """What a posting waits for while this is asked."""
        return "confirmation" if self is Kind.CONFIRM else "moderation"


class Answered(Enum):
    """What an answer did."""

    TAKEN = "taken"
    TOO_LATE = "too_late"  # Decided by somebody, withdrawn, or expired.


@dataclass(frozen=True, slots=True)
class HeldPosting:
    """A posting that waits, or whose end has to be told."""

    posting_id: int
    list_id: int
    definition: str
    parts: dict[str, str]
    list_address: str
    list_title: str
    author: str
    subject: str
    message_id: str
    thread: tuple[str, ...]
    size_bytes: int
    listed: int
    recipients: int
    lang: str
    author_lang: str | None  # None: no view says it.
    awaits: str | None
    reasons: list[str]
    approved: list[str]
    proof: str
    answerable: bool  # A person wrote it, to us.
    ended_because: str | None
    held_because: str | None  # Of a refusal: the moderator's words.
    asked_at: datetime | None
    repeats: int | None  # The posting that says the same, and came before.
    raw: bytes | None  # None once the arrival has been purged.


HELD = """
    SELECT o.posting_id, o.list_id, l.definition, l.parts, l.address AS list_address,
           coalesce(nullif(l.title, ''), l.address) AS list_title, o.author, o.subject,
           coalesce(o.message_id, '') AS message_id, o.thread,
           coalesce(o.size_bytes, 0) AS size_bytes,
           o.listed, o.recipients, coalesce(o.lang, 'fr') AS lang, o.author_lang, o.awaits,
           o.reasons, o.approved, o.proof, o.answerable, o.ended_because, o.held_because,
           o.asked_at, o.repeats, a.raw
      FROM relais.posting o
      JOIN relais.list l USING (list_id)
      LEFT JOIN relais.arrival a USING (arrival_id)
     WHERE o.posting_id = $1
"""


async def held(db: Connection, posting_id: int) -> HeldPosting:
    """Return a posting with all that letters about it say."""
    row = await db.fetchrow(HELD, posting_id)
    if row is None:
        raise LookupError(f"there is no posting {posting_id}")
    return HeldPosting(**{**row, "parts": json.loads(row["parts"]), "thread": tuple(row["thread"])})


@dataclass(frozen=True, slots=True)
class Earlier:
    """A posting whose author sent the same again."""

    state: str
    awaits: str | None
    recipients: int  # Of a stopped one: whom its copies have left for.


EARLIER = """
    SELECT o.state, o.awaits,
           CASE WHEN o.state <> 'stopped' THEN o.recipients
                ELSE (SELECT count(*) FROM relais.delivery d
                       WHERE d.posting_id = o.posting_id
                         AND d.state IN ('dotting', 'in_doubt', 'handed_over', 'bounced'))
                END::integer AS recipients
      FROM relais.posting o WHERE o.posting_id = $1
"""


async def earlier(db: Connection, posting_id: int) -> Earlier:
    """Return how a posting fares that was sent twice."""
    row = await db.fetchrow(EARLIER, posting_id)
    if row is None:
        raise LookupError(f"there is no posting {posting_id}")
    return Earlier(**row)


# *held_until* is null for what waits to be asked about, unless that was put off.
NEXT = """
    UPDATE relais.posting SET attempts = attempts + 1
     WHERE posting_id = (
               SELECT o.posting_id FROM relais.posting o
                WHERE o.tell
                   OR o.awaits IS NOT NULL
                      AND (o.held_until IS NULL OR o.held_until <= (SELECT relais.now()))
                ORDER BY o.posting_id LIMIT 1
                  FOR NO KEY UPDATE SKIP LOCKED)
 RETURNING posting_id, attempts
"""


@dataclass(frozen=True, slots=True)
class Begun:
    """A posting that somebody has begun to attend to, and how often nobody ended."""

    posting_id: int
    attempts: int


async def begin_next(db: Connection) -> Begun | None:
    """Record durably that a posting is attended to: it is to be asked or told about, or due.

    Call it in a transaction of its own: a posting that kills the process is known
    by its attempts.
    """
    row = await db.fetchrow(NEXT)
    return Begun(**row) if row else None


AGAIN = """
    SELECT o.posting_id FROM relais.posting o
     WHERE o.posting_id = $1
       AND (o.tell OR o.awaits IS NOT NULL
                      AND (o.held_until IS NULL OR o.held_until <= (SELECT relais.now())))
       FOR NO KEY UPDATE SKIP LOCKED
"""


async def lock(db: Connection, posting_id: int) -> bool:
    """Lock a posting that was begun; False if somebody else has it, or was faster."""
    return await db.fetchval(AGAIN, posting_id) is not None


FORGET_ATTEMPTS = "UPDATE relais.posting SET attempts = 0 WHERE posting_id = $1"


async def ended(db: Connection, posting_id: int) -> None:
    """Forget the attempts, in the transaction that has attended to the posting."""
    await db.execute(FORGET_ATTEMPTS, posting_id)


NEXT_DUE = """
    SELECT relais.seconds_until(min(held_until)) FROM relais.posting WHERE awaits IS NOT NULL
"""


async def seconds_until_due(db: Connection) -> float | None:
    """Return how long until a posting that waits expires or is released."""
    seconds: float | None = await db.fetchval(NEXT_DUE)
    return seconds


# A posting may be asked about again: of its questions those count whose time is
# that of the posting.
ASK = """
    WITH asked AS (
        UPDATE relais.posting SET asked_at = t.now, held_until = t.now + $4
          FROM (SELECT relais.now() AS now) t
         WHERE posting_id = $1
     RETURNING posting_id, asked_at, held_until
    )
    INSERT INTO relais.decision (posting_id, kind, address, asked_at, expires_at)
    SELECT o.posting_id, $2, a.address, o.asked_at, o.held_until
      FROM asked o, unnest($3::text[]) WITH ORDINALITY AS a(address, n)
     ORDER BY a.n
 RETURNING decision_id, address, expires_at
"""


FOLLOW = """
    UPDATE relais.posting o SET asked_at = other.asked_at, held_until = other.held_until
      FROM relais.posting other
     WHERE o.posting_id = $1 AND other.fingerprint = o.fingerprint
       AND other.posting_id <> o.posting_id AND other.awaits = 'confirmation'
       AND other.asked_at IS NOT NULL AND (other.repeats IS NULL) = (o.repeats IS NULL)
 RETURNING o.posting_id
"""


async def is_asked_elsewhere(db: Connection, posting_id: int) -> bool:
    """Let a posting wait for the confirmation of the same message to another list, if one is asked.

    The answer counts for all of them.
    """
    return await db.fetchval(FOLLOW, posting_id) is not None


@dataclass(frozen=True, slots=True)
class Question:
    """Who is asked, and until when."""

    decision_id: int
    address: str
    expires_at: datetime


async def ask(
    db: Connection, posting_id: int, kind: Kind, addresses: Sequence[str], *, within: timedelta
) -> list[Question]:
    """Write down that *addresses* are asked; the caller writes to them in this transaction."""
    rows = await db.fetch(ASK, posting_id, kind.value, addresses, within)
    return [Question(**row) for row in rows]


AWAIT = """
    UPDATE relais.posting
       SET awaits = $2, reasons = $3, asked_at = NULL, held_until = NULL, held_because = $4
     WHERE posting_id = $1 AND state = 'held'
"""


async def await_moderation(db: Connection, posting_id: int, reasons: Sequence[str]) -> None:
    """Let a posting wait for the moderators, for *reasons*."""
    awaits = Kind.MODERATE.awaits
    await db.execute(AWAIT, posting_id, awaits, reasons, held_because(awaits, reasons))


POSTPONE = """
    UPDATE relais.posting SET held_until = relais.now() + $2, tell = false
     WHERE posting_id = $1 AND (awaits IS NOT NULL OR tell)
"""


async def postpone(db: Connection, posting_id: int, delay: timedelta) -> None:
    """Try again later to release a posting, or to ask about it; a word that fails is given up."""
    await db.execute(POSTPONE, posting_id, delay)


@dataclass(frozen=True, slots=True)
class _Question:
    """A question that is being answered."""

    posting_id: int
    kind: Kind
    address: str
    asked_at: datetime


# The author hears of an end that somebody else brought about, if it was proven
# that they wrote it; nobody else ever does. Who has a receipt hears of it by the report;
# who sent it twice, and did not answer, wanted it once.
END = """
    UPDATE relais.posting
       SET state = 'stopped', awaits = NULL, ended_because = $2, decided_by = $3,
           held_because = CASE WHEN $2 = 'refused' THEN $4 ELSE held_because END,
           finished_at = relais.now(),
           tell = $2 IN ('refused', 'expired') AND proof <> '' AND receipt_id IS NULL
                  AND (repeats IS NULL OR awaits <> 'confirmation')
     WHERE posting_id = $1 AND state = 'held' AND awaits IS NOT NULL
       AND ($5::text IS NULL OR awaits = $5 AND asked_at = $6)
 RETURNING posting_id
"""


# Of a posting that was held under way; a claim fails at the fence of its mark.
CANCEL = """
    UPDATE relais.delivery
       SET state = 'cancelled', settled_at = relais.now(), reply = $2, worker_id = NULL
     WHERE posting_id = $1 AND state IN ('queued', 'deferred', 'claimed')
"""


async def end(
    db: Connection,
    posting_id: int,
    because: str,
    *,
    by: str | None = None,
    reason: str | None = None,
    question: _Question | None = None,
) -> bool:
    """End a posting that waits; False if it waits no more (for an answer to *question*)."""
    awaits, asked_at = (question.kind.awaits, question.asked_at) if question else (None, None)
    done = await db.fetchval(END, posting_id, because, by, reason, awaits, asked_at)
    if done is not None:
        await db.execute(CANCEL, posting_id, because)
    return done is not None


TOLD = "UPDATE relais.posting SET tell = false WHERE posting_id = $1"


async def told(db: Connection, posting_id: int) -> None:
    """Note that the author has been written to."""
    await db.execute(TOLD, posting_id)


# A confirmation leaves what the moderators have to say; their yes waves through
# every reason that they were shown. To send it again is to confirm it, too.
CONFIRMED = """
    UPDATE relais.posting
       SET proof = CASE WHEN repeats IS NOT NULL AND proof <> '' THEN proof ELSE 'confirmed' END,
           asked_at = NULL,
           awaits = CASE WHEN cardinality(reasons) > 0 THEN 'moderation' ELSE 'release' END,
           held_until = CASE WHEN cardinality(reasons) > 0 THEN NULL ELSE relais.now() END,
           held_because = CASE WHEN cardinality(reasons) > 0
                               THEN 'awaits moderation; ' || array_to_string(reasons, '; ')
                               ELSE 'awaits release' END
     WHERE posting_id = $1 AND state = 'held' AND awaits = 'confirmation' AND asked_at = $2
 RETURNING author, signed_by, return_path_domain, network
"""

APPROVED = """
    UPDATE relais.posting
       SET approved = approved || reasons, reasons = '{}', awaits = 'release',
           held_until = relais.now(), held_because = 'awaits release', decided_by = $2
     WHERE posting_id = $1 AND state = 'held' AND awaits = 'moderation' AND asked_at = $3
 RETURNING posting_id
"""


# The same message to other lists: its author is asked once.
CONFIRMED_ELSEWHERE = """
    UPDATE relais.posting o
       SET proof = CASE WHEN o.repeats IS NOT NULL AND o.proof <> '' THEN o.proof
                        ELSE 'confirmed' END,
           asked_at = NULL,
           awaits = CASE WHEN cardinality(o.reasons) > 0 THEN 'moderation' ELSE 'release' END,
           held_until = CASE WHEN cardinality(o.reasons) > 0 THEN NULL ELSE relais.now() END
      FROM relais.posting answered
     WHERE answered.posting_id = $1 AND o.fingerprint = answered.fingerprint
       AND o.posting_id <> $1 AND o.state = 'held' AND o.awaits = 'confirmation'
       AND (o.repeats IS NULL) = (answered.repeats IS NULL)
"""


async def _confirm(db: Connection, question: _Question) -> bool:
    """Take the author's yes, and remember what came with the message."""
    row = await db.fetchrow(CONFIRMED, question.posting_id, question.asked_at)
    if row is None:
        return False
    await db.execute(CONFIRMED_ELSEWHERE, question.posting_id)
    evidence = Evidence(row["signed_by"], row["return_path_domain"], row["network"])
    await authors.remember(db, row["author"], evidence, keep=REMEMBERED_FOR)
    return True


async def _approve(db: Connection, question: _Question) -> bool:
    """Take a moderator's yes."""
    done = await db.fetchval(APPROVED, question.posting_id, question.address, question.asked_at)
    return done is not None


RELEASED = """
    UPDATE relais.posting
       SET approved = approved || reasons, reasons = '{}', awaits = 'release',
           held_until = relais.now(), held_because = 'awaits release', decided_by = $2
     WHERE posting_id = $1 AND state = 'held' AND awaits <> 'release'
 RETURNING posting_id
"""


async def decide(db: Connection, posting_id: int, *, yes: bool, by: str, reason: str) -> bool:
    """Let an operator decide, whatever a posting waits for. Call it in a transaction."""
    if yes:
        done = await db.fetchval(RELEASED, posting_id, by) is not None
    else:
        done = await end(db, posting_id, "refused", by=by, reason=reason)
    if done:
        what = f"posting {posting_id} {'approved' if yes else 'refused'}"
        await audit.record(db, who=by, what=what, reason=reason)
        await db.execute("SELECT pg_notify('relais', 'decision')")
    return done


@dataclass(frozen=True, slots=True)
class AskedDecision:
    """A decision as its page shows it."""

    decision_id: int
    posting_id: int
    kind: Kind
    address: str
    expires_at: datetime
    answer: str | None
    is_open: bool  # It would count now.
    is_latest: bool  # The posting was not asked about again, nor is it about to be.
    is_under_way: bool  # Some of its recipients may have it.
    state: str
    awaits: str | None
    ended_because: str | None
    decided_by: str | None
    author: str
    subject: str
    list_address: str
    list_title: str
    size_bytes: int
    recipients: int
    listed: int
    reasons: list[str]
    repeats: int | None  # The posting that says the same: the question is whether to send again.


ASKED_DECISION = """
    SELECT d.decision_id, d.posting_id, d.kind, d.address, d.expires_at, d.answer,
           d.answer IS NULL AND d.expires_at > relais.now() AND o.state = 'held'
               AND coalesce(o.asked_at = d.asked_at, false)
               AND o.awaits = CASE d.kind WHEN 'confirm' THEN 'confirmation'
                                          ELSE 'moderation' END AS is_open,
           coalesce(o.asked_at = d.asked_at, false) AS is_latest,
           EXISTS (SELECT FROM relais.delivery c
                    WHERE c.posting_id = o.posting_id) AS is_under_way,
           o.state, o.awaits, o.ended_because, o.decided_by, o.author, o.subject,
           l.address AS list_address, coalesce(nullif(l.title, ''), l.address) AS list_title,
           coalesce(o.size_bytes, 0) AS size_bytes, o.recipients, o.listed, o.reasons,
           o.repeats
      FROM relais.decision d
      JOIN relais.posting o USING (posting_id)
      JOIN relais.list l USING (list_id)
     WHERE d.decision_id = $1 AND d.kind = $2
"""


async def asked(db: Connection, decision_id: int, kind: Kind) -> AskedDecision | None:
    """Return a decision that was asked for; None if there is none of this kind."""
    row = await db.fetchrow(ASKED_DECISION, decision_id, kind.value)
    return AskedDecision(**{**row, "kind": kind}) if row else None


ANSWER = """
    UPDATE relais.decision
       SET answer = CASE WHEN $2 THEN 'yes' ELSE 'no' END, answered_at = relais.now(),
           source = $3, reason = $4
     WHERE decision_id = $1 AND answer IS NULL AND expires_at > relais.now()
 RETURNING posting_id, kind, address, asked_at
"""


async def answer(
    db: Connection, decision_id: int, *, yes: bool, source: str, reason: str | None = None
) -> Answered:
    """Take an answer, once: the row keeps it even if the posting no longer waits.

    Call it in a transaction.
    """
    row = await db.fetchrow(ANSWER, decision_id, yes, source, reason)
    if row is None:
        return Answered.TOO_LATE
    question = _Question(**{**row, "kind": Kind(row["kind"])})
    if not yes:
        because = "disowned" if question.kind is Kind.CONFIRM else "refused"
        taken = await end(
            db,
            question.posting_id,
            because,
            by=question.address,
            reason=reason,
            question=question,
        )
    elif question.kind is Kind.CONFIRM:
        taken = await _confirm(db, question)
    else:
        taken = await _approve(db, question)
    await db.execute("SELECT pg_notify('relais', 'decision')")
    return Answered.TAKEN if taken else Answered.TOO_LATE


@dataclass(frozen=True, slots=True)
class PostingStatus:
    """A posting that somebody wants to decide about."""

    state: str
    awaits: str | None
    address: str  # Of its list.
    recipients: int  # As the list was when it came.


STATUS = """
    SELECT o.state, o.awaits, l.address, o.recipients
      FROM relais.posting o JOIN relais.list l USING (list_id) WHERE o.posting_id = $1
"""


async def status(db: Connection, posting_id: int) -> PostingStatus | None:
    """Return how a posting stands; None if it is gone."""
    row = await db.fetchrow(STATUS, posting_id)
    return PostingStatus(**row) if row else None
