"""Everything stored of one person, gathered: the views as the worker, the rest as the owner."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from worker.cli.reading import reading, served
from worker.cli.whose import Whose, find, rows_of
from worker.mail.address import addresses_in, display_name, usable_address
from worker.mail.header import read_message
from worker.store import people, personal
from worker.store.views import Views

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.config import Database
    from worker.store.database import Connection
    from worker.store.people import Row
    from worker.store.personal import Arrival, Subject

T = TypeVar("T")

MANUAL = "manual"  # The view of lists that are kept by hand: its table is ours.


@dataclass(frozen=True, slots=True)
class Message:
    """A message that they wrote, or a return that names them."""

    arrival: Arrival
    wrote: bool
    name: str  # Of its author, if it is theirs.


@dataclass(frozen=True, slots=True)
class Stored:
    """Everything stored of one person."""

    subject: Subject
    whose: Whose
    problems: Mapping[str, str]  # Of the views, by definition.
    members: list[dict[str, object]]
    entries: list[personal.Entry]
    known_addresses: list[personal.KnownAddress]
    suppressions: list[people.Suppressed]
    bans: list[people.Ban]
    deliveries: list[personal.Delivery]
    postings: list[personal.Posting]
    receipts: list[personal.Receipt]
    wishes: list[personal.Wish]
    decisions: list[personal.Decision]
    notices: list[personal.Notice]
    failures: list[personal.Failure]
    address_states: list[personal.AddressState]
    authentications: list[people.Remembered]
    audit: list[personal.Audited]
    messages: list[Message]
    contents: Mapping[int, bytes]  # Of what they wrote, by the number of its arrival.

    @property
    def listed(self) -> list[tuple[str, Row]]:
        """The rows of the admin's views that are theirs, by definition."""
        return [
            (name, row) for name, rows in self.whose.rows.items() for row in rows if name != MANUAL
        ]

    @property
    def is_nothing(self) -> bool:
        """Whether the address is nobody's."""
        places = any(self.whose.rows.values())
        return not (places or self.subject.keys or self.subject.people) and not any(
            (
                *(self.members, self.entries, self.known_addresses, self.suppressions, self.bans),
                *(self.deliveries, self.postings, self.decisions, self.notices),
                *(self.authentications, self.audit, self.messages),
                *(self.failures, self.address_states, self.receipts, self.wishes),
            )
        )


async def find_views(servers: Database, address: str) -> tuple[Whose, Mapping[str, str]]:
    """Return whose *address* is, and which views gave no answer."""
    async with reading(servers) as db:
        views = Views(db)
        whose = await find(views, address)
        return replace(whose, rows=await _rows_everywhere(views, whose)), views.problems


async def _rows_everywhere(views: Views, whose: Whose) -> dict[str, list[Row]]:
    """Return also the rows of views that know no people, by the other addresses."""
    plain = [search for search in await people.searches(views.db) if not search.knows_people]
    rows = {name: list(found) for name, found in whose.rows.items()}
    for address in whose.other_addresses:
        for name, found in (await rows_of(views, plain, address, set())).items():
            rows[name] += found
    return rows


async def read_stored(database: Database, address: str) -> Stored:
    """Return everything stored of whoever has *address*."""
    with served(database) as servers:
        whose, problems = await find_views(servers, address)
        async with reading(replace(servers, url=servers.admin_url)) as db:
            return await _stored(db, whose, problems)


async def subject_of(db: Connection, whose: Whose) -> Subject:
    """Return the person with all numbers that we know them by."""
    # A view may hold anything. Bytes are searched for these, and a word is in everybody's.
    others = [address for address in whose.other_addresses if usable_address(address)]
    return await personal.subject(db, whose.address, other_addresses=others, keys=whose.keys)


async def messages_of(db: Connection, subject: Subject) -> list[Message]:
    """Return what they wrote, and the returns that name them."""
    found = [_judged(arrival, subject) for arrival in await personal.arrivals(db, subject)]
    return [message for message in found if message.wrote or message.arrival.is_return]


def _judged(arrival: Arrival, subject: Subject) -> Message:
    header = read_message(arrival.head or b"")
    authors = {a.lower() for field in header.named("from") for a in addresses_in(field.body)}
    wrote = arrival.is_posting or not authors.isdisjoint(subject.addresses)
    return Message(arrival, wrote, display_name(header) if wrote else "")


def _once(found: Sequence[Sequence[T]]) -> list[T]:
    return list(dict.fromkeys(one for some in found for one in some))


async def _stored(db: Connection, whose: Whose, problems: Mapping[str, str]) -> Stored:
    subject = await subject_of(db, whose)
    every = subject.addresses
    found = await messages_of(db, subject)
    contents = {
        message.arrival.arrival_id: await personal.raw(db, message.arrival.arrival_id)
        for message in found
        if message.wrote
    }
    return Stored(
        subject=subject,
        whose=whose,
        problems=problems,
        members=await personal.member_rows(db, subject),
        entries=await personal.entries(db, subject),
        known_addresses=await personal.known_addresses(db, subject),
        suppressions=_once(
            [await people.suppressions(db, a, subject.keys, subject.people) for a in every]
        ),
        bans=_once([await people.bans(db, a) for a in every]),
        deliveries=await personal.deliveries(db, subject),
        postings=await personal.postings(db, subject),
        receipts=await personal.receipts(db, subject),
        wishes=await personal.wishes(db, subject),
        decisions=await personal.decisions(db, subject),
        notices=await personal.notices(db, subject),
        failures=await personal.failures(db, subject),
        address_states=await personal.address_states(db, subject),
        authentications=_once([await people.authentications(db, a) for a in every]),
        audit=await personal.audited(db, subject),
        messages=found,
        contents={number: raw for number, raw in contents.items() if raw is not None},
    )
