"""Erasure: whatever is stored of one person is deleted, or tells no more whose it was.

    what                            becomes
    deliveries, notices, decisions  nameless; states and counts stay for the figures
    what they wrote                 without bytes, subject, author; its fingerprint stays,
                                    the hash of what it says does not
    returns that name them          without bytes
    receipts of what they sent      nameless, and closed: nothing more is told of them
    their entries, evidence         deleted; so are their wishes, and how their addresses fare
    opt-outs and bans               salted hashes, which the expansion honours
    the key that links stand for    'erased:<hash>:<number>'; old links are taken for forged
    what others wrote               unchanged, but for an address in a reason or a reply

The caller's transaction is the owner's, and commits all of it or nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.store import health

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.store.database import Connection
    from worker.store.personal import Subject

_GONE = "(erased)"
_SECONDS = 600.0  # Deliveries have no index by address.


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A posting of theirs that still needs what would be erased."""

    posting: int
    state: str


# Before their postings, as whoever stops or tells does.
LOCK_RECEIPTS = """
    SELECT FROM relais.receipt r
     WHERE lower(r.author) = ANY($1) ORDER BY r.receipt_id FOR NO KEY UPDATE
"""

# Locked, so that none of them begins anew meanwhile.
UNDER_WAY = """
    WITH theirs AS (
        SELECT o.posting_id, o.tell,
               CASE WHEN o.state = 'held' AND o.awaits IS NULL THEN 'paused' ELSE o.state END
                   AS state
          FROM relais.posting o
         WHERE lower(o.author) = ANY($1) ORDER BY o.posting_id FOR UPDATE
    )
    SELECT o.posting_id AS posting, o.state FROM theirs o
     WHERE o.tell OR o.state IN ('open', 'held', 'paused')
        OR EXISTS (SELECT FROM relais.delivery d
                    WHERE d.posting_id = o.posting_id AND d.settled_at IS NULL)
     ORDER BY 1
"""


async def under_way(db: Connection, subject: Subject) -> list[UnderWay]:
    """Return which of their postings have not ended, and lock all of them."""
    await db.execute(LOCK_RECEIPTS, subject.addresses)
    rows = await db.fetch(UNDER_WAY, subject.addresses)
    return [UnderWay(**row) for row in rows]


@dataclass(frozen=True, slots=True)
class Erased:
    """How much was erased of one person."""

    cancelled: int  # Copies and notices that waited.
    deliveries: int
    notices: int
    decisions: int
    postings: int
    messages: int  # As they came, and returns.
    entries: int  # In lists that are kept by hand.
    addresses: int  # That were noted as theirs.
    authentications: int
    wishes: int  # As an author.
    failures: int  # What came back from their addresses.
    bans: int  # Kept as a hash, like the next two.
    suppressions: int
    keys: int
    mentions: int  # Of an address in words of others.


async def _count(db: Connection, statement: str, *arguments: object) -> int:
    """Run *statement*; return how many rows it has changed."""
    tag = await db.execute(statement, *arguments, timeout=_SECONDS)
    return int(tag.rpartition(" ")[2])


CANCEL = """
    UPDATE relais.delivery d
       SET state = 'cancelled', settled_at = relais.now(), worker_id = NULL
     WHERE d.settled_at IS NULL
       AND d.state IN ('queued', 'deferred', 'in_doubt')
       AND (d.person_id = ANY($1) OR lower(d.address) = $2
            OR d.notice_id IN (SELECT n.notice_id FROM relais.notice n
                                WHERE lower(n.address) = ANY($3) OR n.arrival_id = ANY($4)
                                   OR n.posting_id IN (SELECT o.posting_id FROM relais.posting o
                                                        WHERE lower(o.author) = ANY($3))))
"""


async def _cancel(db: Connection, subject: Subject, arrivals: Sequence[int]) -> int:
    """Cancel what waits for them, and notices about what they wrote."""
    return await _count(db, CANCEL, subject.people, subject.address, subject.addresses, arrivals)


# After CANCEL, whose locks keep the rest from being claimed: a submitter needs the
# bytes of what it holds.
IN_HAND = """
    SELECT EXISTS (
        SELECT FROM relais.delivery d
         WHERE d.state IN ('claimed', 'dotting')
           AND (d.person_id = ANY($1) OR lower(d.address) = $2
                OR d.notice_id IN (SELECT n.notice_id FROM relais.notice n
                                    WHERE lower(n.address) = ANY($3) OR n.arrival_id = ANY($4)
                                       OR n.posting_id IN (
                                          SELECT o.posting_id FROM relais.posting o
                                           WHERE lower(o.author) = ANY($3)))))
"""


async def _is_in_hand(db: Connection, subject: Subject, arrivals: Sequence[int]) -> bool:
    """Tell whether something for them, or about what they wrote, is leaving just now."""
    arguments = subject.people, subject.address, subject.addresses, arrivals
    return bool(await db.fetchval(IN_HAND, *arguments, timeout=_SECONDS))


DELIVERIES = """
    UPDATE relais.delivery d
       SET address = 'erased:' || d.delivery_id, reply = NULL, lang = NULL, fields = NULL
     WHERE position('@' IN d.address) > 0
       AND (d.person_id = ANY($1) OR lower(d.address) = $2
            OR d.notice_id IS NOT NULL AND lower(d.address) = ANY($3))
"""


async def _erase_deliveries(db: Connection, subject: Subject) -> int:
    return await _count(db, DELIVERIES, subject.people, subject.address, subject.addresses)


NOTICES = """
    UPDATE relais.notice n
       SET address = CASE WHEN lower(n.address) = ANY($1) THEN 'erased:' || n.notice_id
                          ELSE n.address END,
           template = NULL
     WHERE lower(n.address) = ANY($1)
        OR n.template IS NOT NULL
       AND (n.arrival_id = ANY($2)
            OR n.posting_id IN (SELECT o.posting_id FROM relais.posting o
                                 WHERE lower(o.author) = ANY($1))
            OR EXISTS (SELECT FROM unnest($1::text[]) theirs
                        WHERE strpos(lower(encode(n.template, 'escape')), theirs) > 0)
           AND NOT EXISTS (SELECT FROM relais.delivery d
                            WHERE d.notice_id = n.notice_id AND d.settled_at IS NULL))
"""


async def _erase_notices(db: Connection, subject: Subject, arrivals: Sequence[int]) -> int:
    """Erase what we wrote to them, and to others about them, but for what has yet to leave."""
    return await _count(db, NOTICES, subject.addresses, arrivals)


# What they are asked can be answered no more.
DECISIONS = """
    UPDATE relais.decision d
       SET address = 'erased:' || d.decision_id, reason = NULL,
           expires_at = least(d.expires_at, relais.now())
     WHERE lower(d.address) = ANY($1)
"""


async def _erase_decisions(db: Connection, subject: Subject) -> int:
    return await _count(db, DECISIONS, subject.addresses)


DECIDED = """
    UPDATE relais.posting SET decided_by = 'erased', held_because = NULL
     WHERE lower(decided_by) = ANY($1)
"""

POSTINGS = """
    UPDATE relais.posting
       SET author = '', subject = '', message_id = NULL, thread = '{}', template = NULL,
           held_because = NULL, signed_by = '', return_path_domain = '', network = '',
           author_lang = NULL, content = NULL
     WHERE lower(author) = ANY($1)
"""

MESSAGES = """
    DELETE FROM relais.message m USING relais.posting o
     WHERE lower(o.author) = ANY($1) AND m.fingerprint IN (o.fingerprint, o.content)
"""

RECEIPTS = """
    UPDATE relais.receipt SET author = '', closed_at = coalesce(closed_at, relais.now())
     WHERE lower(author) = ANY($1)
"""


async def _erase_postings(db: Connection, subject: Subject) -> int:
    """Erase what they wrote, and that they decided about what others wrote."""
    await db.execute(DECIDED, subject.addresses)
    await db.execute(RECEIPTS, subject.addresses)
    await db.execute(MESSAGES, subject.addresses)
    return await _count(db, POSTINGS, subject.addresses)


ARRIVALS = """
    UPDATE relais.arrival SET raw = NULL, reason = NULL
     WHERE arrival_id = ANY($1) AND raw IS NOT NULL
"""


async def _erase_arrivals(db: Connection, arrivals: Sequence[int]) -> int:
    return await _count(db, ARRIVALS, arrivals)


ENTRIES = "DELETE FROM relais.manual_member WHERE lower(email) = ANY($1)"


async def _delete_entries(db: Connection, subject: Subject) -> int:
    return await _count(db, ENTRIES, subject.addresses)


KNOWN = "DELETE FROM relais.known_address WHERE lower(email) = ANY($1) OR person = ANY($2)"


async def _delete_known_addresses(db: Connection, subject: Subject) -> int:
    return await _count(db, KNOWN, subject.addresses, subject.keys)


TOLD = "DELETE FROM relais.secretary_told WHERE address = ANY($1) OR secretary = ANY($1)"

LETTERS = "DELETE FROM relais.secretary_letter WHERE secretary = ANY($1)"


async def _forget_letters(db: Connection, subject: Subject) -> None:
    """Forget of which dead addresses somebody was told, theirs or by them."""
    await db.execute(TOLD, subject.addresses)
    await db.execute(LETTERS, subject.addresses)


WISHES = "DELETE FROM relais.author_wish WHERE author = ANY($1)"


async def _delete_wishes(db: Connection, subject: Subject) -> int:
    return await _count(db, WISHES, subject.addresses)


AUTHENTICATIONS = "DELETE FROM relais.proven_author WHERE author = ANY($1)"


async def _delete_authentications(db: Connection, subject: Subject) -> int:
    return await _count(db, AUTHENTICATIONS, subject.addresses)


FAILING = """
    SELECT address FROM unnest($1::text[]) AS theirs(address)
     UNION
    SELECT f.address FROM relais.address_failure f WHERE f.person_id = ANY($2)
     ORDER BY 1
"""

# First, for it finds earlier addresses of theirs by what came back from there.
ADDRESS_STATES = """
    DELETE FROM relais.address_health
     WHERE address = ANY($1)
        OR address IN (SELECT f.address FROM relais.address_failure f WHERE f.person_id = ANY($2))
"""

FAILURES = """
    DELETE FROM relais.address_failure WHERE address = ANY($1) OR person_id = ANY($2)
"""


async def _delete_failures(db: Connection, subject: Subject) -> int:
    """Forget how their addresses fare; their deliveries are nameless by now."""
    arguments = subject.addresses, subject.people
    for row in await db.fetch(FAILING, *arguments):
        await health.lock(db, row["address"])
    await db.execute(ADDRESS_STATES, *arguments)
    return await _count(db, FAILURES, *arguments)


# An earlier erasure may have left the same hash.
FORGET_BANS = """
    DELETE FROM relais.ban b USING relais.salt t, relais.ban hashed
     WHERE b.author = ANY($1) AND hashed.author = 'erased:' || relais.salted(b.author, t.salt)
       AND hashed.definition IS NOT DISTINCT FROM b.definition
"""

BANS = """
    UPDATE relais.ban b SET author = 'erased:' || relais.salted(b.author, t.salt)
      FROM relais.salt t WHERE b.author = ANY($1)
"""


async def _hash_bans(db: Connection, subject: Subject) -> int:
    return await _count(db, FORGET_BANS, subject.addresses) + await _count(
        db, BANS, subject.addresses
    )


FORGET_SUPPRESSIONS = """
    DELETE FROM relais.suppression s USING relais.salt t, relais.suppression hashed
     WHERE (s.address = ANY($1) OR s.person_id = ANY($2) AND s.address NOT LIKE 'erased:%')
       AND hashed.address = 'erased:' || relais.salted(s.address, t.salt)
       AND hashed.list_id IS NOT DISTINCT FROM s.list_id
       AND hashed.person_id IS NOT DISTINCT FROM s.person_id
"""

SUPPRESSIONS = """
    UPDATE relais.suppression s SET address = 'erased:' || relais.salted(s.address, t.salt)
      FROM relais.salt t
     WHERE s.address = ANY($1) OR s.person_id = ANY($2) AND s.address NOT LIKE 'erased:%'
"""


async def _hash_suppressions(db: Connection, subject: Subject) -> int:
    arguments = subject.addresses, subject.people
    return await _count(db, FORGET_SUPPRESSIONS, *arguments) + await _count(
        db, SUPPRESSIONS, *arguments
    )


# The number keeps the key of somebody who is met and erased again another one.
KEYS = """
    UPDATE relais.person p
       SET key = 'erased:' || relais.salted(p.key, t.salt) || ':' || p.person_id
      FROM relais.salt t WHERE p.person_id = ANY($1) AND p.key NOT LIKE 'erased:%'
"""


async def _hash_keys(db: Connection, subject: Subject) -> int:
    return await _count(db, KEYS, subject.people)


# Words of people and of servers, wherever they are kept.
MENTIONS = (
    """
    UPDATE relais.audit
       SET who = regexp_replace(who, $1, $2, 'gi'), what = regexp_replace(what, $1, $2, 'gi'),
           reason = regexp_replace(reason, $1, $2, 'gi')
     WHERE who ~* $1 OR what ~* $1 OR reason ~* $1
    """,
    """
    UPDATE relais.arrival SET reason = regexp_replace(reason, $1, $2, 'gi') WHERE reason ~* $1
    """,
    """
    UPDATE relais.posting SET held_because = regexp_replace(held_because, $1, $2, 'gi')
     WHERE held_because ~* $1
    """,
    """
    UPDATE relais.decision SET reason = regexp_replace(reason, $1, $2, 'gi') WHERE reason ~* $1
    """,
    """
    UPDATE relais.delivery SET reply = regexp_replace(reply, $1, $2, 'gi') WHERE reply ~* $1
    """,
    """
    UPDATE relais.address_failure SET evidence = regexp_replace(evidence, $1, $2, 'gi')
     WHERE evidence ~* $1
    """,
    """
    UPDATE relais.address_health SET evidence = regexp_replace(evidence, $1, $2, 'gi')
     WHERE evidence ~* $1
    """,
    """
    UPDATE relais.ban SET reason = regexp_replace(reason, $1, $2, 'gi') WHERE reason ~* $1
    """,
    """
    UPDATE relais.account_state SET why = regexp_replace(why, $1, $2, 'gi') WHERE why ~* $1
    """,
    """
    UPDATE relais.provider_state SET why = regexp_replace(why, $1, $2, 'gi') WHERE why ~* $1
    """,
    """
    UPDATE relais.limit_rule SET reason = regexp_replace(reason, $1, $2, 'gi') WHERE reason ~* $1
    """,
)


async def _replace_mentions(db: Connection, addresses: Sequence[str], names: Sequence[str]) -> int:
    """Replace *addresses* and *names* in what others said."""
    pattern = _mention_of(addresses, names)
    return sum([await _count(db, statement, pattern, _GONE) for statement in MENTIONS])


def _mention_of(addresses: Sequence[str], names: Sequence[str]) -> str:
    """Return an expression of PostgreSQL's that finds them, and no longer word."""
    found = "|".join(re.escape(one) for one in (*addresses, *names))
    return f"(?<![A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-])(?:{found})(?![A-Za-z0-9-]|[.][A-Za-z0-9])"


async def erase(
    db: Connection,
    subject: Subject,
    *,
    arrivals: Sequence[int],
    names: Sequence[str],
) -> Erased | None:
    """Erase *subject*, *arrivals* of theirs, and their *names* in words of others.

    None if something of theirs is leaving just now: the caller then undoes it all.
    """
    cancelled = await _cancel(db, subject, arrivals)
    if await _is_in_hand(db, subject, arrivals):
        return None
    await _forget_letters(db, subject)
    # Notices are found by the author of the posting that they are about, who goes later.
    return Erased(
        cancelled=cancelled,
        deliveries=await _erase_deliveries(db, subject),
        notices=await _erase_notices(db, subject, arrivals),
        decisions=await _erase_decisions(db, subject),
        postings=await _erase_postings(db, subject),
        messages=await _erase_arrivals(db, arrivals),
        entries=await _delete_entries(db, subject),
        addresses=await _delete_known_addresses(db, subject),
        authentications=await _delete_authentications(db, subject),
        wishes=await _delete_wishes(db, subject),
        failures=await _delete_failures(db, subject),
        bans=await _hash_bans(db, subject),
        suppressions=await _hash_suppressions(db, subject),
        keys=await _hash_keys(db, subject),
        mentions=await _replace_mentions(db, subject.addresses, names),
    )
