"""The admin's views, asked one by one: one that fails takes nothing away from the others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import asyncpg

from worker.errors import StoreLost
from worker.store import lists
from worker.store.database import failed_query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from worker.store.database import Connection

T = TypeVar("T")

_PATIENCE = timedelta(seconds=5)  # With each query: there may be two hundred definitions,
_PATIENCE_WITH_ALL = timedelta(seconds=60)  # and a person waits for the answer.


@dataclass(slots=True)
class Views:
    """The admin's queries, asked one by one: what fails is noted, and not asked again.

    Each is asked in a savepoint, or outside of a transaction in one of its own.
    """

    db: Connection
    patience: timedelta = _PATIENCE
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
            async with lists.asking_views(self.db, self.patience):
                return await query()
        except asyncpg.QueryCanceledError:
            self.problems[name] = f"no answer within {self.patience.total_seconds():.0f} seconds"
        except asyncpg.ReadOnlySQLTransactionError as error:  # It writes, or would like to.
            self.problems[name] = str(error)
        except asyncpg.PostgresError as error:
            failure = failed_query(name, error)
            if isinstance(failure, StoreLost):
                raise failure from error
            self.problems[name] = str(error)
        return None
