"""Authors: what the views say of them, who is banned, and who was asked and said yes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from worker.policy.admission import Standing
from worker.store import lists
from worker.store.lists import as_json

if TYPE_CHECKING:
    from datetime import timedelta

    from worker.policy.expansion import ListAddress
    from worker.store.database import Connection
    from worker.store.views import Views

# A person may write from any address that the member file knows of them. NULL in
# the column may_post says nothing, as a view without the column does.
ROWS = """
    SELECT coalesce(bool_or(r.may_post IS NOT FALSE), false) AS may_post,
           coalesce(bool_or(r.moderator), false) AS moderator,
           count(*) > 0 AS known,
           min(nullif(btrim(r.lang), '')) AS lang
      FROM lists.recipients($1::text::regclass, $2::jsonb) r
     WHERE lower(btrim(r.email)) = $3
        OR r.person IN (SELECT k.person FROM lists.known_addresses k
                         WHERE lower(btrim(k.email)) = $3)
"""


async def standing(db: Connection, address: ListAddress, author: str) -> Standing:
    """Return what the views of *address* say of *author*. Asks the admin's queries."""
    definition, author = address.definition, author.lower()
    member = await db.fetchrow(ROWS, definition.view, as_json(address.parts), author)
    writer = member
    if definition.post_view is not None:
        writer = await db.fetchrow(ROWS, definition.post_view, as_json(address.parts), author)
    if member is None or writer is None:
        raise AssertionError("an aggregate always has its one row")
    is_owner = author == (definition.owner or "").lower()
    moderator = member["moderator"] or writer["moderator"] or is_owner
    may_post = {
        "anyone": True,
        "nobody": False,
        "members": member["may_post"],
        "moderators": moderator,
        "view": writer["may_post"],
    }[definition.post]
    return Standing(
        known=member["known"] or writer["known"] or is_owner,
        may_post=may_post,
        moderator=moderator,
        lang=member["lang"] or writer["lang"],
    )


@dataclass(frozen=True, slots=True)
class Acquaintance:
    """What all views together say of an author."""

    is_known: bool | None  # None: no view that answers knows them, and some do not answer.
    lang: str | None = None


async def acquaintance(views: Views, author: str) -> Acquaintance:
    """Return whether any list, or any list's authors, has *author*; the first that does."""
    author = author.lower()
    for definition in await lists.definitions(views.db):
        if author == (definition.owner or "").lower():
            return Acquaintance(is_known=True)
        for view in filter(None, (definition.view, definition.post_view)):
            query = partial(views.db.fetchrow, ROWS, view, lists.as_json({}), author)
            row = await views.ask(definition.name, query)
            if row is not None and row["known"]:
                return Acquaintance(is_known=True, lang=row["lang"])
    return Acquaintance(is_known=None if views.problems else False)


MODERATORS = """
    SELECT DISTINCT ON (lower(btrim(r.email))) btrim(r.email) AS address
      FROM lists.recipients($1::text::regclass, $2::jsonb) r
     WHERE r.moderator AND relais.usable_address(btrim(r.email))
     ORDER BY lower(btrim(r.email)) LIMIT 20
"""


async def moderators(db: Connection, address: ListAddress) -> list[str]:
    """Return whom the view calls moderators. Asks the admin's query."""
    rows = await db.fetch(MODERATORS, address.definition.view, as_json(address.parts))
    return [row["address"] for row in rows]


BANNED = """
    SELECT EXISTS (SELECT FROM relais.ban b
                    WHERE b.author IN (lower($1), '@' || split_part(lower($1), '@', 2),
                                       (SELECT 'erased:' || relais.salted(lower($1), salt)
                                          FROM relais.salt))
                      AND (b.definition IS NULL OR b.definition = $2))
"""


async def is_banned(db: Connection, author: str, definition: str) -> bool:
    """Return whether *author* may not post to the lists of *definition*."""
    return bool(await db.fetchval(BANNED, author, definition))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What came with a message besides its author's own word."""

    signed_by: str = ""  # d= of a DKIM signature that held, whoever signed.
    return_path_domain: str = ""
    network: str = ""  # Of the client that our host saw.

    @property
    def is_worth_keeping(self) -> bool:
        """Whether a forger would have to do more than write a header."""
        return bool(self.signed_by or self.network)


REMEMBERED = """
    SELECT EXISTS (SELECT FROM relais.proven_author
                    WHERE author = lower($1) AND signed_by = $2 AND return_path_domain = $3
                      AND network = $4 AND until > relais.now())
"""


async def is_remembered(db: Connection, author: str, evidence: Evidence) -> bool:
    """Return whether *author* confirmed a message with the same evidence lately."""
    return evidence.is_worth_keeping and bool(
        await db.fetchval(
            REMEMBERED, author, evidence.signed_by, evidence.return_path_domain, evidence.network
        )
    )


REMEMBER = """
    INSERT INTO relais.proven_author AS known
           (author, signed_by, return_path_domain, network, until)
    VALUES (lower($1), $2, $3, $4, relais.now() + $5)
        ON CONFLICT (author, signed_by, return_path_domain, network)
        DO UPDATE SET until = excluded.until
"""


async def remember(db: Connection, author: str, evidence: Evidence, *, keep: timedelta) -> None:
    """Spare *author* the next questions, if the evidence is worth anything."""
    if evidence.is_worth_keeping:
        await db.execute(
            REMEMBER,
            author,
            evidence.signed_by,
            evidence.return_path_domain,
            evidence.network,
            keep,
        )


FORGET = "DELETE FROM relais.proven_author WHERE until < relais.now()"


async def forget_old(db: Connection) -> None:
    """Drop what has run out."""
    await db.execute(FORGET)


@dataclass(frozen=True, slots=True)
class Pace:
    """How much an author and a list have had lately; more than 100 are not counted."""

    by_author: int  # Postings in the last hour.
    to_list: int
    asked_today: int  # Confirmations, those included that are about to be asked.


PACE = """
    SELECT (SELECT count(*) FROM (
                SELECT FROM relais.posting
                 WHERE lower(author) = lower($1) AND accepted_at > t.now - interval '1 hour'
                 ORDER BY accepted_at DESC LIMIT 100) newest) AS by_author,
           (SELECT count(*) FROM (
                SELECT FROM relais.posting
                 WHERE list_id = $2 AND accepted_at > t.now - interval '1 hour'
                 ORDER BY accepted_at DESC LIMIT 100) newest) AS to_list,
           (SELECT count(*) FROM relais.decision
             WHERE lower(address) = lower($1) AND kind = 'confirm'
               AND asked_at > t.now - interval '1 day')
         + (SELECT count(*) FROM relais.posting
             WHERE lower(author) = lower($1) AND awaits = 'confirmation'
               AND asked_at IS NULL) AS asked_today
      FROM (SELECT relais.now() AS now) t
"""


async def pace(db: Connection, author: str, list_id: int) -> Pace:
    """Count what *author* and the list have had lately."""
    row = await db.fetchrow(PACE, author, list_id)
    return Pace(**row)  # type: ignore[arg-type]  # scalar subqueries always give one row
