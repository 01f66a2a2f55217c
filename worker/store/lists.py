"""Lists as the views have them now: definitions, the directory, and how their queries are asked."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from worker.policy.expansion import Definition, ListAddress, candidates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from datetime import timedelta

    from worker.store.database import Connection
    from worker.store.views import Views

READ_ONLY = "SET LOCAL transaction_read_only = on"
PATIENCE = "SELECT set_config('statement_timeout', $1, true)"


@asynccontextmanager
async def asking_views(db: Connection, patience: timedelta) -> AsyncIterator[None]:
    """Let the queries of admins write nothing, and each take no longer than *patience*.

    A savepoint within the caller's transaction: its read-only mode ends with it,
    and an error in a query leaves the transaction usable.
    """
    async with db.transaction():
        await db.execute(READ_ONLY)
        await db.fetchval(PATIENCE, str(int(patience.total_seconds() * 1000)))
        yield
        await db.fetchval(PATIENCE, "0")


DEFINITIONS = """
    SELECT name, view::text, address, title, post, post_view::text, reply_to, max_size,
           max_recipients, lang, why, authenticate, moderate, unsubscribe, footer, notify_above,
           in_doubt, owner, priority, finish_within, form, subject_prefix, merge_fields, receipt,
           notify_delay, grace, report_addresses
      FROM lists.definition ORDER BY name
"""


async def definitions(db: Connection) -> list[Definition]:
    """Return every definition."""
    return [
        Definition(**{**row, "merge_fields": tuple(row["merge_fields"])})
        for row in await db.fetch(DEFINITIONS)
    ]


EXISTS = "SELECT EXISTS (SELECT FROM lists.recipients($1::text::regclass, $2::jsonb))"


async def resolve(db: Connection, local_part: str) -> ListAddress | None:
    """Return the list that *local_part* names now, or None.

    An address with placeholders exists while its view has a row for it; one
    without exists, though it may be empty.
    """
    for address in candidates(await definitions(db), local_part):
        if not address.parts or await db.fetchval(
            EXISTS, address.definition.view, as_json(address.parts)
        ):
            return address
    return None


REMEMBER = """
    INSERT INTO relais.list AS known (definition, parts, address, title)
    VALUES ($1, $2::jsonb, $3, $4)
        ON CONFLICT (definition, parts) DO UPDATE
       SET address = excluded.address, title = excluded.title
 RETURNING list_id
"""


async def remember(db: Connection, address: ListAddress) -> int:
    """Return the number that postings, suppressions and tokens call this list."""
    list_id: int = await db.fetchval(
        REMEMBER,
        address.definition.name,
        as_json(address.parts),
        address.local_part,
        address.title,
    )
    return list_id


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """An address that exists now, and the number of rows behind it."""

    definition: str
    address: str
    recipients: int


DIRECTORY = """
    SELECT definition, address, rows AS recipients FROM lists.directory()
     WHERE address IS NOT NULL ORDER BY address
"""


async def directory(db: Connection) -> list[DirectoryEntry]:
    """Return every address that exists now, in alphabetical order."""
    return [DirectoryEntry(**row) for row in await db.fetch(DIRECTORY)]


DIRECTORY_OF = """
    SELECT $1 AS definition, address, people AS recipients FROM lists.directory_of($1)
     WHERE people > 0
"""


async def directory_of(db: Connection, definition: str) -> list[DirectoryEntry]:
    """Return every address that *definition* has now. Asks the admin's query."""
    return [DirectoryEntry(**row) for row in await db.fetch(DIRECTORY_OF, definition)]


async def directory_that_answers(views: Views) -> list[DirectoryEntry]:
    """Return every address of the definitions whose queries answer."""
    found: list[DirectoryEntry] = []
    for definition in await definitions(views.db):
        query = partial(directory_of, views.db, definition.name)
        found += await views.ask(definition.name, query) or []
    return sorted(found, key=lambda entry: entry.address)


PEOPLE = """
    SELECT count(DISTINCT lower(btrim(r.email)))
      FROM lists.recipients($1::text::regclass, $2::jsonb) r
"""


async def people(db: Connection, address: ListAddress) -> int:
    """Return how many people a list has now. Asks the admin's query."""
    count: int = await db.fetchval(PEOPLE, address.definition.view, as_json(address.parts))
    return count


KNOWN = "SELECT EXISTS (SELECT FROM relais.list WHERE definition = $1 AND parts = $2::jsonb)"


async def vacant(views: Views, local_part: str) -> ListAddress | None:
    """Return the list without anybody that *local_part* names, or None.

    It has been written to before; or each of its parts is in the view, as a role
    and a committee are of which nobody has the one in the other.
    """
    for address in candidates(await definitions(views.db), local_part):
        name, parts = address.definition.name, as_json(address.parts)
        if address.parts and (
            await views.db.fetchval(KNOWN, name, parts) or await _has_each_part(views, address)
        ):
            return address
    return None


async def _has_each_part(views: Views, address: ListAddress) -> bool:
    if len(address.parts) == 1:
        return False
    definition = address.definition
    for name, value in address.parts.items():
        query = partial(views.db.fetchval, EXISTS, definition.view, as_json({name: value}))
        if not await views.ask(definition.name, query):
            return False
    return True


def as_json(parts: Mapping[str, str]) -> str:
    """Write address parts as the argument of a jsonb parameter."""
    return json.dumps(dict(parts), sort_keys=True)
