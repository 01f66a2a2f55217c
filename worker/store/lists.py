"""Lists as the views have them now: definitions, directory, and who may post."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.policy.expansion import Definition, ListAddress, candidates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.store.database import Connection

DEFINITIONS = """
    SELECT name, view::text, address, title, post, post_view::text, reply_to, max_size,
           max_recipients, lang
      FROM lists.definition ORDER BY name
"""


async def definitions(db: Connection) -> list[Definition]:
    """Return every definition."""
    return [Definition(**row) for row in await db.fetch(DEFINITIONS)]


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


MAY_POST = """
    SELECT EXISTS (
        SELECT FROM lists.recipients($1::text::regclass, $2::jsonb) r
         WHERE lower(btrim(r.email)) = lower($3)
           AND coalesce(r.may_post, true)
           AND ($4 OR r.moderator))
"""


async def may_post(db: Connection, address: ListAddress, author: str) -> bool:
    """Return whether the view says that *author* may post to *address*."""
    rule = address.definition.post
    if rule in ("anyone", "nobody"):
        return rule == "anyone"
    view = address.definition.post_view if rule == "view" else address.definition.view
    anybody_listed = rule != "moderators"
    allowed: bool = await db.fetchval(
        MAY_POST, view, as_json(address.parts), author, anybody_listed
    )
    return allowed


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


def as_json(parts: Mapping[str, str]) -> str:
    """Write address parts as the argument of a jsonb parameter."""
    return json.dumps(dict(parts), sort_keys=True)
