"""Whose an address is: the views are asked, one by one, who has it and where else.

The views are the admin's: one that fails takes nothing away from the others' answers.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import asyncpg

from worker.errors import StoreLost
from worker.mail.address import addresses_in
from worker.store import lists, people
from worker.store.database import failed_query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from worker.store.database import Connection
    from worker.store.people import Row, Search

T = TypeVar("T")

_PATIENCE = timedelta(seconds=5)  # With each query: there may be two hundred definitions,
_PATIENCE_WITH_ALL = timedelta(seconds=60)  # and a person waits for the answer.
_KNOWN_ADDRESSES = "known_addresses"


def read_address(text: str) -> str:
    """Return the address in *text*; as it stands if none could be written to, for a view may."""
    found = addresses_in(text.encode("latin-1", errors="replace"))
    return (found[0] if len(found) == 1 else text.strip()).lower()


@dataclass(slots=True)
class Views:
    """The admin's queries, asked one by one: what fails is noted, and not asked again."""

    db: Connection
    deadline: float = field(
        default_factory=lambda: (
            asyncio.get_running_loop().time() + _PATIENCE_WITH_ALL.total_seconds()
        )
    )
    problems: dict[str, str] = field(default_factory=dict)  # By definition.

    async def ask(self, name: str, query: Callable[[], Awaitable[T]]) -> T | None:
        """Return the answer to *query*; None if what *name* defines is in trouble."""
        if name in self.problems:
            return None
        if asyncio.get_running_loop().time() > self.deadline:
            self.problems[name] = "not asked, for the others took too long"
            return None
        try:
            async with lists.asking_views(self.db, _PATIENCE):
                return await query()
        except asyncpg.QueryCanceledError:
            self.problems[name] = f"no answer within {_PATIENCE.total_seconds():.0f} seconds"
        except asyncpg.ReadOnlySQLTransactionError as error:  # It writes, or would like to.
            self.problems[name] = str(error)
        except asyncpg.PostgresError as error:
            failure = failed_query(name, error)
            if isinstance(failure, StoreLost):
                raise failure from error
            self.problems[name] = str(error)
        return None


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
