"""PostgreSQL for a test session: one cluster, migrated once, copied per test.

RELAIS_TEST_PG_BIN=/usr/lib/postgresql/15/bin runs the tests on other programs
than the wheel's.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import asyncpg

from worker.store.embedded import EmbeddedPostgres
from worker.store.migrations import Track, up

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType
    from typing import Any

T = TypeVar("T")

MIGRATIONS = Path(__file__).parents[2] / "migrations"
TEMPLATE = "relais_template"
WORKER = "relais_worker"  # The role that migration 0001 makes.
# A test may open many connections; a test session opens several pools.
SETTINGS = {"max_connections": "200"}


@dataclass(frozen=True, slots=True)
class Database:
    """A migrated database with nothing in it."""

    name: str
    url: str  # As the worker's role.
    admin_url: str  # As the role that migrates; a superuser, here.


class PostgresCluster:
    """A server in memory, not durable, that ends with the session."""

    def __init__(self) -> None:
        programs = os.environ.get("RELAIS_TEST_PG_BIN")
        self.server = EmbeddedPostgres(
            in_memory=True, bin_dir=Path(programs) if programs else None, settings=SETTINGS
        )
        self._numbers = itertools.count(1)
        # A loop of its own, in a thread of its own: fixtures are not coroutines,
        # and tests have a loop each.
        self._thread = ThreadPoolExecutor(1, "postgres-fixture")

    def __enter__(self) -> Self:
        self.server.start()
        self._run(_execute(self.server.url(), f"CREATE DATABASE {TEMPLATE}"))
        self._run(up(self.server.url(TEMPLATE), [Track("relais", MIGRATIONS)]))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.server.stop()
        self._thread.shutdown()

    def create(self) -> Database:
        """Make a database from the migrated template."""
        return self._create(f"TEMPLATE {TEMPLATE}")

    def create_empty(self) -> Database:
        """Make a database without migrations."""
        return self._create("TEMPLATE template1")

    def copy(self, database: Database) -> Database:
        """Make a copy of a database that nobody is connected to."""
        return self._create(f"TEMPLATE {database.name}")

    def _create(self, clause: str) -> Database:
        name = f"relais_{next(self._numbers)}"
        self._run(_execute(self.server.url(), f"CREATE DATABASE {name} {clause}"))
        return Database(name, self.server.url(name, WORKER), self.server.url(name))

    def drop(self, database: Database) -> None:
        """Drop it, whoever still uses it."""
        self._run(
            _execute(self.server.url(), f"DROP DATABASE IF EXISTS {database.name} WITH (FORCE)")
        )

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._thread.submit(asyncio.run, work).result()


async def _execute(url: str, statement: str) -> None:
    db = await asyncpg.connect(url)
    try:
        await db.execute(statement)
    finally:
        await db.close()
