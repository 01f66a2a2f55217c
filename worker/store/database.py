"""Connections to PostgreSQL: the one place that opens them, and says so when they fail.

Every wait has a limit: asyncpg sets none of its own. A lost connection during a
commit leaves it unknown whether it happened, so every transaction here can be
run again (the keys and the fences make that harmless).
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from worker.errors import QueryFailed, StoreLost, StoreRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from asyncpg.pool import PoolConnectionProxy

    from worker.errors import WorkerError

    Connection: TypeAlias = (
        "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
    )
    Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

CONNECT_SECONDS = 10.0
COMMAND_SECONDS = 60.0
_CLOSE_SECONDS = 5.0

# What asyncpg raises when the server is away, going away, or not ours to
# write to: a primary that was demoted counts as away (SQLSTATE 25006).
LOST = (
    OSError,  # TimeoutError is one.
    asyncpg.InterfaceError,
    # A session that the server ended between two statements answers so at times.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.CannotConnectNowError,
)

# Two transactions that met, as two postings that meet the same new person: one
# is run again, and then sees what the other has written.
CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)

# Nothing that our own server says of a statement.
_OF_A_SESSION = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
)

# It answers, and will go on answering so until a person has mended something.
_REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,  # A wrong password is one.
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what asyncpg raises on connecting into what we know."""
    try:
        yield
    except _REFUSED as error:
        raise StoreRefused(
            f"the database does not let us in: {error}; if it is new, run relais migrate,"
            " else mend [database] url"
        ) from error
    except LOST as error:
        raise StoreLost(f"the database does not answer: {error}") from error


async def connect(url: str) -> asyncpg.Connection[asyncpg.Record]:
    """Open one connection. StoreLost if the server does not answer, else StoreRefused."""
    with _told():
        db = await asyncpg.connect(url, timeout=CONNECT_SECONDS, command_timeout=COMMAND_SECONDS)
    _keep_alive(db)
    return db


async def open_pool(url: str, *, size: int) -> Pool:
    """Open a pool of at most *size* connections; errors as in connect()."""
    with _told():
        return await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            timeout=CONNECT_SECONDS,
            command_timeout=COMMAND_SECONDS,
            init=_prepare,
        )


async def close_pool(pool: Pool) -> None:
    """Close *pool*, politely for a while, then not."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await pool.close()
    except TimeoutError:
        pool.terminate()


@asynccontextmanager
async def borrowed(pool: Pool) -> AsyncIterator[Connection]:
    """Lend one connection. StoreLost for whatever the server's absence raises.

    Also for that of a server behind ours, unless failed_query() was asked before:
    waiting is then the mild answer.
    """
    try:
        async with pool.acquire(timeout=CONNECT_SECONDS) as db:
            yield db
    except LOST as error:
        raise StoreLost(f"the database was lost: {error!r}") from error


def failed_query(name: str, error: asyncpg.PostgresError) -> WorkerError:
    """Tell an admin's query that fails, or takes too long, from a database that goes away."""
    # These queries run read-only on purpose: one that writes is wrong, and our
    # server is no standby because of it.
    writes = isinstance(error, asyncpg.ReadOnlySQLTransactionError)
    if isinstance(error, LOST) and not writes and not is_foreign(error):
        return StoreLost(f"the database was lost: {error!r}")
    return QueryFailed(f"the query of {name} fails: {error}", name=name)


def is_foreign(error: Exception) -> bool:
    """Tell whether *error* is of a server behind ours, as postgres_fdw passes it on.

    A member database that is down is no reason to think that ours is: all other
    lists would wait for it. Whoever ends our session says so with FATAL, and
    asyncpg, when it finds the session ended, with nothing; only a statement that
    fails in a healthy session is an ERROR, and of a connection that can only be
    one to another server. The rest is told by the function that raised it.
    """
    if not isinstance(error, asyncpg.PostgresError) or error.severity_en != "ERROR":
        return False
    return isinstance(error, _OF_A_SESSION) or str(error.server_source_function).startswith("pgfdw")


class Reconnecting:
    """One connection of its own for an actor, opened when needed.

    A pool resets the session at each release, which is a round trip; an actor
    that asks all the time keeps its connection instead.
    """

    lost = (*LOST, StoreLost)

    def __init__(self, url: str) -> None:
        self._url = url
        self._db: asyncpg.Connection[asyncpg.Record] | None = None

    async def connection(self) -> asyncpg.Connection[asyncpg.Record]:
        """Return the connection. StoreLost if there is none to be had."""
        if self._db is None or self._db.is_closed():
            self._db = await connect(self._url)
        return self._db

    async def drop(self) -> None:
        """Throw the connection away: after an error nobody knows its state."""
        if self._db is not None:
            self._db.terminate()
            self._db = None

    async def close(self) -> None:
        """Close the connection, politely for a while."""
        db, self._db = self._db, None
        if db is not None:
            try:
                await db.close(timeout=_CLOSE_SECONDS)
            except LOST:
                db.terminate()


async def _prepare(db: Any) -> None:  # asyncpg hands its proxy, which no stub names alike
    _keep_alive(db)


def _keep_alive(db: Any) -> None:
    """Notice a half-open connection; asyncpg itself never asks for it."""
    sock = db._transport.get_extra_info("socket")  # noqa: SLF001 - no public way
    if sock is not None and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
