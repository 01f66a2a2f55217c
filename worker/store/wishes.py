"""Wishes of authors: who wants fewer of the letters that tell about their postings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.store.database import Connection

FEWER = "SELECT fewer FROM relais.author_wish WHERE author = lower($1)"


async def fewer(db: Connection, author: str) -> bool:
    """Return whether *author* has asked for fewer letters."""
    return bool(await db.fetchval(FEWER, author))


WISH = """
    INSERT INTO relais.author_wish AS w (author, fewer, since)
    VALUES (lower($1), $2, relais.now())
        ON CONFLICT (author) DO UPDATE SET fewer = excluded.fewer, since = excluded.since
     WHERE w.fewer <> excluded.fewer
"""


async def wish(db: Connection, author: str, *, fewer: bool) -> None:
    """Keep whether *author* wants fewer letters; a wish that is kept already stays as it is."""
    await db.execute(WISH, author, fewer)
