"""Everything stored of one person: complete reads, which change nothing.

They run as the role that migrates, for some tables are closed to the worker.
Whom the rows are of is a `Subject`. Who shares an address with somebody else is
found by it as well: what was sent there cannot be told apart.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.store import members

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from worker.store.database import Connection

# Of a message only its beginning is searched for an address: header fields.
_HEAD_OCTETS = 65536
_SECONDS = 600.0  # Deliveries have no index by address, and messages are searched.


@dataclass(frozen=True, slots=True)
class Subject:
    """A person, as we know them."""

    address: str  # In lower case, as all of these.
    other_addresses: list[str]
    keys: list[str]  # Of the views.
    people: list[int]  # Their numbers.

    @property
    def addresses(self) -> list[str]:
        """Every address of theirs."""
        return [self.address, *self.other_addresses]


# Also by deliveries of long ago, and people without a key, who are their address.
PEOPLE = """
    SELECT d.person_id FROM relais.delivery d
     WHERE d.person_id IS NOT NULL AND lower(d.address) = $1
     UNION
    SELECT p.person_id FROM relais.person p
     WHERE p.key IN (SELECT 'address:' || unnest($2::text[]))
        OR p.key IN (SELECT 'person:' || unnest($3::text[]))
     ORDER BY 1
"""


async def subject(
    db: Connection, address: str, *, other_addresses: Sequence[str], keys: Sequence[str]
) -> Subject:
    """Return who is known by *address*, and by what else."""
    every = [address, *other_addresses]
    rows = await db.fetch(PEOPLE, address, every, keys, timeout=_SECONDS)
    return Subject(address, list(other_addresses), list(keys), [row["person_id"] for row in rows])


@dataclass(frozen=True, slots=True)
class Delivery:
    """A posting to them."""

    posting: int
    list: str
    address: str
    provider: str
    state: str
    due_at: datetime
    marked_at: datetime | None
    settled_at: datetime | None
    attempts: int
    code: int | None
    status: str | None
    reply: str | None
    lang: str | None
    fields: Sequence[str] | None


DELIVERIES = """
    SELECT d.posting_id AS posting, l.address AS list, d.address, d.provider, d.state::text,
           d.due_at, d.marked_at, d.settled_at, d.attempts, d.code, d.status, d.reply, d.lang,
           d.fields
      FROM relais.delivery d
      JOIN relais.posting o USING (posting_id)
      JOIN relais.list l USING (list_id)
     WHERE d.person_id = ANY($1) OR lower(d.address) = $2
     ORDER BY d.delivery_id
"""


async def deliveries(db: Connection, subject: Subject) -> list[Delivery]:
    """Return every delivery of a posting to them."""
    rows = await db.fetch(DELIVERIES, subject.people, subject.address, timeout=_SECONDS)
    return [Delivery(**row) for row in rows]


@dataclass(frozen=True, slots=True)
class Posting:
    """A posting that they wrote."""

    posting: int
    list: str
    author: str
    subject: str
    message_id: str | None
    thread: Sequence[str]  # What an answer to them refers to.
    state: str
    accepted_at: datetime
    finished_at: datetime | None
    proof: str
    signed_by: str
    return_path_domain: str
    network: str


POSTINGS = """
    SELECT o.posting_id AS posting, l.address AS list, o.author, o.subject, o.message_id, o.thread,
           o.state, o.accepted_at, o.finished_at, o.proof, o.signed_by, o.return_path_domain,
           o.network
      FROM relais.posting o JOIN relais.list l USING (list_id)
     WHERE lower(o.author) = ANY($1) ORDER BY o.posting_id
"""


async def postings(db: Connection, subject: Subject) -> list[Posting]:
    """Return what was posted in their name."""
    return [Posting(**row) for row in await db.fetch(POSTINGS, subject.addresses)]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What they were told about a message of theirs that went out."""

    author: str
    lang: str
    accepted_at: datetime
    postings: list[int]
    written_at: datetime | None
    promised_at: datetime | None
    delayed_at: datetime | None
    closed_at: datetime | None


RECEIPTS = """
    SELECT r.author, r.lang, r.accepted_at,
           ARRAY(SELECT o.posting_id FROM relais.posting o
                  WHERE o.receipt_id = r.receipt_id ORDER BY 1) AS postings,
           r.written_at, r.promised_at, r.delayed_at, r.closed_at
      FROM relais.receipt r WHERE lower(r.author) = ANY($1) ORDER BY r.receipt_id
"""


async def receipts(db: Connection, subject: Subject) -> list[Receipt]:
    """Return when they were told about what they sent."""
    return [Receipt(**row) for row in await db.fetch(RECEIPTS, subject.addresses)]


@dataclass(frozen=True, slots=True)
class Wish:
    """Whether they want fewer letters as an author."""

    author: str
    fewer: bool
    since: datetime


WISHES = """
    SELECT author, fewer, since FROM relais.author_wish WHERE author = ANY($1) ORDER BY author
"""


async def wishes(db: Connection, subject: Subject) -> list[Wish]:
    """Return what they have asked for as an author."""
    return [Wish(**row) for row in await db.fetch(WISHES, subject.addresses)]


@dataclass(frozen=True, slots=True)
class Decision:
    """What they were asked, and answered."""

    posting: int
    kind: str
    address: str
    asked_at: datetime
    expires_at: datetime
    answer: str | None
    answered_at: datetime | None
    source: str | None
    reason: str | None


DECISIONS = """
    SELECT posting_id AS posting, kind, address, asked_at, expires_at, answer, answered_at, source,
           reason
      FROM relais.decision WHERE lower(address) = ANY($1) ORDER BY decision_id
"""


async def decisions(db: Connection, subject: Subject) -> list[Decision]:
    """Return what they were asked."""
    return [Decision(**row) for row in await db.fetch(DECISIONS, subject.addresses)]


@dataclass(frozen=True, slots=True)
class Notice:
    """What we wrote to them ourselves."""

    kind: str
    address: str
    posting: int | None
    made_at: datetime
    state: str
    settled_at: datetime | None
    code: int | None
    reply: str | None


NOTICES = """
    SELECT n.kind, n.address, n.posting_id AS posting, n.made_at,
           coalesce(d.state::text, 'gone') AS state, d.settled_at, d.code, d.reply
      FROM relais.notice n LEFT JOIN relais.delivery d USING (notice_id)
     WHERE lower(n.address) = ANY($1) ORDER BY n.notice_id
"""


async def notices(db: Connection, subject: Subject) -> list[Notice]:
    """Return what we wrote to them."""
    return [Notice(**row) for row in await db.fetch(NOTICES, subject.addresses)]


@dataclass(frozen=True, slots=True)
class Failure:
    """A copy that came back because of an address of theirs."""

    address: str
    posting: int | None
    failed_at: datetime
    permanent: bool
    reason: str
    status: str
    evidence: str
    excused: bool  # The posting or the provider was to blame.
    over: bool  # A later copy has arrived.


FAILURES = """
    SELECT address, posting_id AS posting, failed_at, is_permanent AS permanent, reason, status,
           evidence, is_excused AS excused, is_over AS over
      FROM relais.address_failure WHERE address = ANY($1) OR person_id = ANY($2)
     ORDER BY failure_id
"""


async def failures(db: Connection, subject: Subject) -> list[Failure]:
    """Return what has come back from their addresses."""
    rows = await db.fetch(FAILURES, subject.addresses, subject.people)
    return [Failure(**row) for row in rows]


@dataclass(frozen=True, slots=True)
class AddressState:
    """An address of theirs that is not simply alive."""

    address: str
    state: str
    since: datetime
    due_at: datetime | None
    reason: str
    status: str
    evidence: str
    asked_at: datetime | None
    tried_at: datetime | None


ADDRESS_STATES = """
    SELECT address, state, since, due_at, reason, status, evidence, asked_at, tried_at
      FROM relais.address_health
     WHERE address = ANY($1)
        OR address IN (SELECT f.address FROM relais.address_failure f WHERE f.person_id = ANY($2))
     ORDER BY address
"""


async def address_states(db: Connection, subject: Subject) -> list[AddressState]:
    """Return which of their addresses are suspect, held or on trial."""
    rows = await db.fetch(ADDRESS_STATES, subject.addresses, subject.people)
    return [AddressState(**row) for row in rows]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of theirs in a list that is kept by hand."""

    list: str
    email: str
    name: str | None
    added_at: datetime


ENTRIES = """
    SELECT list, email, name, added_at FROM relais.manual_member
     WHERE lower(email) = ANY($1) ORDER BY list, email
"""


async def entries(db: Connection, subject: Subject) -> list[Entry]:
    """Return their entries in lists that are kept by hand."""
    return [Entry(**row) for row in await db.fetch(ENTRIES, subject.addresses)]


@dataclass(frozen=True, slots=True)
class KnownAddress:
    """An address that was noted as theirs."""

    person: str
    email: str
    added_at: datetime


KNOWN = """
    SELECT person, email, added_at FROM relais.known_address
     WHERE lower(email) = ANY($1) OR person = ANY($2) ORDER BY person, email
"""


async def known_addresses(db: Connection, subject: Subject) -> list[KnownAddress]:
    """Return the addresses that were noted as theirs, in the table of ours."""
    rows = await db.fetch(KNOWN, subject.addresses, subject.keys)
    return [KnownAddress(**row) for row in rows]


@dataclass(frozen=True, slots=True)
class Audited:
    """What an operator did that names them."""

    at: datetime
    who: str
    what: str
    reason: str


AUDITED = """
    SELECT at, who, what, reason FROM relais.audit
     WHERE EXISTS (SELECT FROM unnest($1::text[]) theirs
                    WHERE strpos(lower(concat_ws(' ', who, what, reason)), theirs) > 0)
     ORDER BY audit_id
"""


async def audited(db: Connection, subject: Subject) -> list[Audited]:
    """Return what operators did that names an address of theirs."""
    return [Audited(**row) for row in await db.fetch(AUDITED, subject.addresses)]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that may be from them: its header names an address of theirs."""

    arrival_id: int
    arrived_at: datetime
    state: str
    kind: str | None
    outcome: str | None
    reason: str | None
    size_bytes: int
    filed_in: str | None
    head: bytes | None  # None once it was purged.
    is_posting: bool  # What they have posted.
    is_return: bool  # A report or an automatic answer, which names them wherever it does.


# Bytes as text, whatever they are: what is no ASCII is escaped. A return is
# searched to its end, for it quotes whom it is about.
ARRIVALS = """
    SELECT a.arrival_id, a.arrived_at, a.state, a.kind, a.outcome, a.reason, a.size_bytes,
           a.filed_in, substring(a.raw FROM 1 FOR $2) AS head, theirs.posting_id IS NOT NULL
               AS is_posting, kinds.is_return
      FROM relais.arrival a
     CROSS JOIN LATERAL (
           SELECT coalesce(a.kind IN ('report', 'complaint', 'automatic'), false)) kinds(is_return)
      LEFT JOIN LATERAL (
           SELECT o.posting_id FROM relais.posting o
            WHERE o.arrival_id = a.arrival_id AND lower(o.author) = ANY($1) LIMIT 1) theirs ON true
     WHERE theirs.posting_id IS NOT NULL
        OR a.raw IS NOT NULL AND EXISTS (
           SELECT FROM unnest($1::text[]) address
            WHERE strpos(lower(encode(CASE WHEN kinds.is_return THEN a.raw
                                           ELSE substring(a.raw FROM 1 FOR $2) END, 'escape')),
                         address) > 0)
     ORDER BY a.arrival_id
"""


async def arrivals(db: Connection, subject: Subject) -> list[Arrival]:
    """Return the messages that name an address of theirs where authors or returns do."""
    rows = await db.fetch(ARRIVALS, subject.addresses, _HEAD_OCTETS, timeout=_SECONDS)
    return [Arrival(**row) for row in rows]


RAW = "SELECT raw FROM relais.arrival WHERE arrival_id = $1"


async def raw(db: Connection, arrival_id: int) -> bytes | None:
    """Return a message as it came; None once it was purged."""
    found: bytes | None = await db.fetchval(RAW, arrival_id)
    return found


MEMBERS = """
    SELECT jsonb_build_object(
               'member', to_jsonb(m),
               'licences', (SELECT coalesce(jsonb_agg(l), '[]') FROM club.licence l
                             WHERE l.member_id = m.id),
               'roles', (SELECT coalesce(jsonb_agg(h), '[]') FROM club.role_held h
                          WHERE h.member_id = m.id))::text AS row
      FROM club.member m
     WHERE lower(btrim(m.email)) = ANY($1) OR m.id::text = ANY($2)
     ORDER BY m.id
"""


async def member_rows(db: Connection, subject: Subject) -> list[dict[str, object]]:
    """Return what the imported member file has of them; a site may add columns to it."""
    if not await members.has_member_file(db):
        return []
    rows = await db.fetch(MEMBERS, subject.addresses, subject.keys)
    return [json.loads(row["row"]) for row in rows]


MEMBER_NAMES = """
    SELECT m.full_name FROM club.member m
     WHERE lower(btrim(m.email)) = ANY($1) OR m.id::text = ANY($2)
"""


async def member_names(db: Connection, subject: Subject) -> list[str]:
    """Return how the imported member file calls them; nothing where there is none."""
    if not await members.has_member_file(db):
        return []
    rows = await db.fetch(MEMBER_NAMES, subject.addresses, subject.keys)
    return [row["full_name"] for row in rows]


OWNED = "SELECT name FROM lists.definition WHERE lower(owner) = ANY($1) ORDER BY name"


async def owned(db: Connection, addresses: Sequence[str]) -> list[str]:
    """Return the definitions that name one of *addresses* as their owner."""
    return [row["name"] for row in await db.fetch(OWNED, addresses)]
