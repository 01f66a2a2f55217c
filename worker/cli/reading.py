"""How verbs reach the database."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from worker.cli.verb import USAGE, VerbError
from worker.config import Database
from worker.errors import StoreLost
from worker.store import overview
from worker.store.database import LOST, connect
from worker.store.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import asyncpg

    from worker.store.database import Connection

_EMBEDDED = "embedded:"
_CLOSE_SECONDS = 5.0
_HOST = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(:[0-9]{1,5})?")


@contextmanager
def served(database: Database) -> Iterator[Database]:
    """Give URLs of servers only: what an ``embedded:`` one names runs meanwhile."""
    if not database.url.startswith(_EMBEDDED):
        _refuse_unreadable("url", database.url)
        _refuse_unreadable("admin_url", database.admin_url)
        yield database
        return
    directory = Path(database.url.removeprefix(_EMBEDDED))
    with EmbeddedPostgres(directory, durable=True) as server:
        yield Database(url=server.url(user="relais_worker"), admin_url=server.url())


def _refuse_unreadable(key: str, url: str) -> None:
    """Refuse a URL whose password would be taken for a port, and quoted in an error."""
    hosts = urlsplit(url).netloc.rpartition("@")[2].split(",")
    if not all(_HOST.fullmatch(host) for host in hosts):
        raise VerbError(
            f"[database] {key}: host and port cannot be told apart; in a name or a password,"
            " write %2F for /, %3A for :, %23 for #, %3F for ? and %40 for @",
            code=USAGE,
        )


@asynccontextmanager
async def reading(database: Database) -> AsyncIterator[Connection]:
    """Lend a connection that sees one moment, and whose changes are rolled back.

    A database that was not migrated is found out here, and not taken for a
    list's query that fails.
    """
    async with connected(database) as db:
        transaction = db.transaction(isolation="repeatable_read")
        await transaction.start()
        try:
            await overview.moment(db)
            yield db
        finally:
            if not db.is_closed():
                await transaction.rollback()


@asynccontextmanager
async def writing(database: Database) -> AsyncIterator[Connection]:
    """Lend a connection in a transaction that commits, unless an error leaves."""
    async with connected(database) as db, db.transaction():
        yield db


@asynccontextmanager
async def connected(
    database: Database,
) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Lend a connection whose transactions the caller begins."""
    with served(database) as servers:
        db = await connect(servers.url)
        try:
            yield db
        except LOST as error:
            raise StoreLost(f"the database was lost: {error!r}") from error
        finally:
            await _close(db)


async def _close(db: asyncpg.Connection[asyncpg.Record]) -> None:
    try:
        await db.close(timeout=_CLOSE_SECONDS)
    except LOST:
        db.terminate()
