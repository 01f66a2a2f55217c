"""What is known of one person, for `relais who`: reads that change nothing.

A person is an address, and the keys by which the views and past deliveries know
who has it: there may be several, since an address can be shared or passed on.
The views are the admin's: each is asked by itself, so that one that fails takes
nothing away from the others' answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from worker.store.database import Connection

_DELIVERIES, _POSTINGS, _DECISIONS, _NOTICES = 10, 10, 10, 5
# Addresses of deliveries have no index of their own; the key of each posting is
# looked at instead, from the newest on.
_POSTINGS_SEARCHED = 5000
_ROWS_OF_A_VIEW = 500


@dataclass(frozen=True, slots=True)
class Search:
    """How one definition's view is searched: a statement that PostgreSQL has written."""

    definition: str
    statement: str
    knows_people: bool


# Only names of columns and views are put into the statements; see lists.recipients.
SEARCHES = """
    SELECT d.name AS definition, lists.has_column(d.view, 'person') AS knows_people, format(
           'SELECT DISTINCT btrim(v.email::text) AS address, %1$s AS person,'
           ' jsonb_build_object(%2$s)::text AS parts, btrim(%4$s) AS name'
           '  FROM %3$s v'
           ' WHERE lower(btrim(v.email::text)) = $1 OR %1$s = ANY ($2::text[]) LIMIT $3',
           lists.column_or_null(d.view, 'person', 'text'),
           (SELECT string_agg(format('%L, v.%I::text', part, part), ', ')
              FROM unnest(d.parts) part),
           d.view, lists.column_or_null(d.view, 'name', 'text')) AS statement
      FROM lists.definition d ORDER BY d.name
"""


async def searches(db: Connection) -> list[Search]:
    """Return how each definition is searched."""
    return [Search(**row) for row in await db.fetch(SEARCHES)]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a view that is this person's, and the parts of the list that it is on."""

    address: str
    person: str | None
    parts: dict[str, str]
    name: str = ""  # No answer to whose a row is, but how to speak of them.


async def rows(db: Connection, search: Search, address: str, people: Sequence[str]) -> list[Row]:
    """Return the rows for *address* or one of *people*. Asks the admin's query."""
    found = await db.fetch(search.statement, address, people, _ROWS_OF_A_VIEW)
    rows = [
        Row(r["address"] or "", r["person"], json.loads(r["parts"]), r["name"] or "") for r in found
    ]
    return [row for row in rows if None not in row.parts.values()]  # Else it is on no list.


ALIKE = """
    SELECT d.name AS definition, format(
           'SELECT DISTINCT a.address FROM %s v,'
           ' LATERAL (SELECT lower(btrim(v.email::text)) AS address) a'
           ' WHERE split_part(a.address, ''@'', 1) = $1'
           '    OR split_part(a.address, ''@'', 2) = $2 AND left(a.address, 1) = left($1, 1)'
           ' ORDER BY 1 LIMIT 1000', d.view) AS statement
      FROM lists.definition d ORDER BY d.name
"""


async def alike(db: Connection) -> list[tuple[str, str]]:
    """Return for each definition the statement that finds what may be meant by an address."""
    return [(row["definition"], row["statement"]) for row in await db.fetch(ALIKE)]


async def alike_in(db: Connection, statement: str, address: str) -> list[str]:
    """Return addresses with the local part of *address*, or near it in its domain.

    Asks the admin's query.
    """
    local_part, _, domain = address.rpartition("@")
    return [row["address"] for row in await db.fetch(statement, local_part, domain)]


KNOWN = """
    SELECT k.person, lower(btrim(k.email)) AS address FROM lists.known_addresses k
     WHERE lower(btrim(k.email)) = $1 OR k.person = ANY ($2::text[])
     ORDER BY 1, 2 LIMIT 100
"""


async def known_addresses(
    db: Connection, address: str, people: Sequence[str]
) -> list[tuple[str, str]]:
    """Return pairs of person and address for *address* or *people*. Asks the admin's view."""
    return [(row["person"], row["address"]) for row in await db.fetch(KNOWN, address, people)]


WRITTEN_TO = """
    SELECT DISTINCT substr(p.key, 8) AS person
      FROM (SELECT posting_id FROM relais.posting ORDER BY posting_id DESC LIMIT $2) o
      JOIN relais.delivery d ON d.posting_id = o.posting_id AND lower(d.address) = $1
      JOIN relais.person p ON p.person_id = d.person_id
     WHERE p.key LIKE 'person:%'
     UNION
    SELECT substr(p.key, 8)
      FROM relais.suppression s JOIN relais.person p USING (person_id)
     WHERE s.address = $1 AND p.key LIKE 'person:%'
     ORDER BY 1 LIMIT 20
"""


async def written_to(db: Connection, address: str) -> list[str]:
    """Return who was written to at *address*, or left by it, though no view may tell any more."""
    return [row["person"] for row in await db.fetch(WRITTEN_TO, address, _POSTINGS_SEARCHED)]


# Of the keys, those whom we have met; people without a key are their address.
MET = """
    SELECT person_id FROM relais.person
     WHERE key = 'address:' || $1 OR key IN (SELECT 'person:' || unnest($2::text[]))
"""


async def met(db: Connection, address: str, people: Sequence[str]) -> list[int]:
    """Return the numbers of *address* and *people* in deliveries and suppressions."""
    return [row["person_id"] for row in await db.fetch(MET, address, people)]


OTHER_ADDRESSES = """
    SELECT DISTINCT lower(d.address) AS address FROM relais.delivery d
     WHERE d.person_id = ANY ($2::bigint[]) AND lower(d.address) <> $1
       AND position('@' IN d.address) > 0   -- Else it was erased.
     ORDER BY 1 LIMIT 20
"""


async def other_addresses(db: Connection, address: str, met: Sequence[int]) -> list[str]:
    """Return where else these people were written to."""
    return [row["address"] for row in await db.fetch(OTHER_ADDRESSES, address, met)]


@dataclass(frozen=True, slots=True)
class Suppressed:
    """What somebody gets nothing from; no *scope*: from all lists."""

    scope: str | None
    reason: str
    source: str
    since: datetime
    note: str | None  # Why an operator took them out, as it was kept.


# What somebody left before they were erased is known by its hash.
SUPPRESSIONS = """
    WITH hashed AS MATERIALIZED (
        SELECT relais.salted(theirs, salt) AS hash
          FROM relais.salt, unnest(array[$1, 'address:' || $1]
                                   || ARRAY(SELECT 'person:' || unnest($3::text[]))) theirs
    )
    SELECT l.address AS scope, s.reason::text, s.source, s.since,
           (SELECT a.reason FROM relais.audit a
             WHERE s.source = 'operator'
               AND a.what = format('suppress %s on %s', s.address, coalesce(l.address, 'all lists'))
             ORDER BY a.audit_id DESC LIMIT 1) AS note
      FROM relais.suppression s LEFT JOIN relais.list l USING (list_id)
     WHERE s.address = $1 OR s.person_id = ANY ($2::bigint[])
        OR s.address IN (SELECT 'erased:' || hash FROM hashed)
        OR s.person_id IN (SELECT p.person_id FROM relais.person p
                            WHERE p.key LIKE 'erased:%'
                              AND split_part(p.key, ':', 2) IN (SELECT hash FROM hashed))
     ORDER BY s.since DESC LIMIT 100
"""


async def suppressions(
    db: Connection, address: str, people: Sequence[str], met: Sequence[int]
) -> list[Suppressed]:
    """Return what they left, or were taken out of, the newest first."""
    return [Suppressed(**row) for row in await db.fetch(SUPPRESSIONS, address, met, people)]


@dataclass(frozen=True, slots=True)
class Ban:
    """Why an author may not post; no *definition*: to any list."""

    author: str
    definition: str | None
    reason: str
    since: datetime


BANS = """
    SELECT author, definition, reason, since FROM relais.ban
     WHERE author IN ($1, '@' || split_part($1, '@', 2))
        OR author = (SELECT 'erased:' || relais.salted($1, salt) FROM relais.salt)
     ORDER BY since DESC LIMIT 100
"""


async def bans(db: Connection, address: str) -> list[Ban]:
    """Return the bans of *address* and of its domain."""
    return [Ban(**row) for row in await db.fetch(BANS, address)]


@dataclass(frozen=True, slots=True)
class Delivered:
    """A delivery to them: when it ended or was tried last, else when it is due."""

    posting: int
    address: str  # The list's.
    state: str
    at: datetime
    reply: str | None


DELIVERIES = """
    WITH theirs AS (
        SELECT d.* FROM relais.delivery d
         WHERE d.person_id = ANY ($2::bigint[]) AND d.posting_id IS NOT NULL
         UNION
        SELECT d.*
          FROM (SELECT posting_id FROM relais.posting ORDER BY posting_id DESC LIMIT $4) o
          JOIN relais.delivery d ON d.posting_id = o.posting_id AND lower(d.address) = $1
    )
    SELECT t.posting_id AS posting, l.address, t.state::text,
           coalesce(t.settled_at, t.marked_at, t.due_at) AS at, t.reply
      FROM theirs t
      JOIN relais.posting o USING (posting_id)
      JOIN relais.list l USING (list_id)
     ORDER BY t.delivery_id DESC LIMIT $3
"""


async def deliveries(db: Connection, address: str, met: Sequence[int]) -> list[Delivered]:
    """Return the last deliveries of postings to them."""
    found = await db.fetch(DELIVERIES, address, met, _DELIVERIES, _POSTINGS_SEARCHED)
    return [Delivered(**row) for row in found]


@dataclass(frozen=True, slots=True)
class Posted:
    """A posting that they wrote."""

    posting: int
    address: str
    subject: str
    state: str
    accepted_at: datetime


POSTINGS = """
    SELECT o.posting_id AS posting, l.address, o.subject, o.state, o.accepted_at
      FROM relais.posting o JOIN relais.list l USING (list_id)
     WHERE lower(o.author) = $1 ORDER BY o.accepted_at DESC LIMIT $2
"""


async def postings(db: Connection, address: str) -> list[Posted]:
    """Return what was posted in the name of *address* lately."""
    return [Posted(**row) for row in await db.fetch(POSTINGS, address, _POSTINGS)]


@dataclass(frozen=True, slots=True)
class Asked:
    """A decision that they are or were asked for."""

    posting: int
    kind: str
    asked_at: datetime
    expires_at: datetime
    answer: str | None


DECISIONS = """
    SELECT posting_id AS posting, kind, asked_at, expires_at, answer FROM relais.decision
     WHERE lower(address) = $1 ORDER BY asked_at DESC, decision_id DESC LIMIT $2
"""


async def decisions(db: Connection, address: str) -> list[Asked]:
    """Return what *address* was asked lately."""
    return [Asked(**row) for row in await db.fetch(DECISIONS, address, _DECISIONS)]


@dataclass(frozen=True, slots=True)
class Remembered:
    """Evidence with which a message of theirs needs no confirmation."""

    signed_by: str
    return_path_domain: str
    network: str
    until: datetime


AUTHENTICATIONS = """
    SELECT signed_by, return_path_domain, network, until FROM relais.proven_author
     WHERE author = $1 AND until > relais.now() ORDER BY until DESC LIMIT 20
"""


async def authentications(db: Connection, address: str) -> list[Remembered]:
    """Return what *address* has confirmed, as long as it is remembered."""
    return [Remembered(**row) for row in await db.fetch(AUTHENTICATIONS, address)]


@dataclass(frozen=True, slots=True)
class Notified:
    """A notice to them."""

    kind: str
    posting: int | None
    state: str
    made_at: datetime


NOTICES = """
    SELECT n.kind, n.posting_id AS posting, coalesce(d.state::text, 'gone') AS state, n.made_at
      FROM relais.notice n LEFT JOIN relais.delivery d USING (notice_id)
     WHERE lower(n.address) = $1 ORDER BY n.made_at DESC, n.notice_id DESC LIMIT $2
"""


async def notices(db: Connection, address: str) -> list[Notified]:
    """Return what we wrote to *address* lately."""
    return [Notified(**row) for row in await db.fetch(NOTICES, address, _NOTICES)]
