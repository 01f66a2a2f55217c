"""Whose an address is: the views are asked, one by one, who has it and where else.

The views are the admin's: one that fails takes nothing away from the others' answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING

from worker.cli.show import visible
from worker.cli.verb import USAGE, VerbError
from worker.mail.address import addresses_in, usable_address
from worker.store import people

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.store.people import Row, Search
    from worker.store.views import Views

_KNOWN_ADDRESSES = "known_addresses"


def read_address(text: str) -> str:
    """Return the address in *text*; as it stands if none could be written to, for a view may."""
    found = addresses_in(text.encode("latin-1", errors="replace"))
    return (found[0] if len(found) == 1 else text.strip()).lower()


def read_whole_address(text: str, *, option: str = "") -> str:
    """Return the address in *text*, which must be one that somebody can be written to."""
    address = read_address(text)
    if not usable_address(address):
        named = f"{option} {visible(text)}" if option else repr(text)
        raise VerbError(f"{named}: write one address, as name@example.org", code=USAGE)
    return address


@dataclass(frozen=True, slots=True)
class Whose:
    """Who has an address, or had it, and where the views know them."""

    address: str
    keys: list[str]  # Of the views.
    met: list[int]  # Their numbers in deliveries and suppressions.
    rows: Mapping[str, Sequence[Row]]  # By definition.
    other_addresses: list[str]


async def find(views: Views, address: str) -> Whose:
    """Return whose *address* is."""
    db = views.db
    keys, rows = await _search(views, address)
    pairs = await views.ask(_KNOWN_ADDRESSES, partial(people.known_addresses, db, address, keys))
    met = await people.met(db, address, keys)
    elsewhere = {
        *await people.other_addresses(db, address, met),
        *(known for _, known in pairs or []),
        *(row.address.lower() for found in rows.values() for row in found),
    }
    return Whose(address, keys, met, rows, sorted(elsewhere - {address, ""}))


async def _search(views: Views, address: str) -> tuple[list[str], dict[str, list[Row]]]:
    """Return the keys of whoever has *address*, and the rows of the views that are theirs.

    A view may tell who has the address, and another what else they are on by
    another address: then the views that know people are asked again.
    """
    db = views.db
    searches = await people.searches(db)
    pairs = await views.ask(_KNOWN_ADDRESSES, partial(people.known_addresses, db, address, []))
    keys = {*await people.written_to(db, address), *(person for person, _ in pairs or [])}
    found = await rows_of(views, searches, address, keys)
    theirs = (row for rows in found.values() for row in rows if row.address.lower() == address)
    more = {row.person for row in theirs if row.person is not None} - keys
    if more:
        keys |= more
        again = [search for search in searches if search.knows_people]
        found |= await rows_of(views, again, address, keys)
    return sorted(keys), found


async def rows_of(
    views: Views, searches: Sequence[Search], address: str, keys: set[str]
) -> dict[str, list[Row]]:
    """Return the rows for *address* or *keys*, by definition."""
    found = {}
    for search in searches:
        query = partial(people.rows, views.db, search, address, sorted(keys))
        found[search.definition] = await views.ask(search.definition, query) or []
    return found


async def like(views: Views, address: str) -> list[str]:
    """Return addresses of the views that may be meant by *address*, which none of them has."""
    found: set[str] = set()
    for name, statement in await people.alike(views.db):
        query = partial(people.alike_in, views.db, statement, address)
        found |= set(await views.ask(name, query) or [])
    return get_close_matches(address, sorted(found), n=3, cutoff=0.8)
