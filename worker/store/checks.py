"""Checks of the definitions: every query is tried once, as the worker would run it.

Each runs in a savepoint of its own that is rolled back, read only, with the
worker's rights and within a time limit; PostgreSQL starts the clock of a limit
with a statement, so it is one statement here that tries one definition. What
is tried is in migrations/0005_definitions.sql.

The caller opens the transaction, as of a migration that has not committed yet.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING

import asyncpg

from worker.policy.effect import Size
from worker.store.database import LOST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from worker.policy.effect import Sizes
    from worker.store.database import Connection

PATIENCE = timedelta(seconds=5)
_ADDRESSES_AT_MOST = 20_000  # Of one definition: more are a mistake, and not held in memory.


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"  # A migration is rolled back for it.
    WARNING = "warning"
    REMARK = "remark"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a definition, or about all of them if None."""

    definition: str | None
    severity: Severity
    text: str

    def __str__(self) -> str:
        return f"list {self.definition}: {self.text}" if self.definition else self.text


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found, and the sizes that were seen on the way."""

    findings: tuple[Finding, ...]
    sizes: Sizes


@dataclass(frozen=True, slots=True)
class Expectation:
    """How many people an address should have: *least* or more, and fewer than *below*."""

    address: str
    least: int | None
    below: int | None

    def met_by(self, people: int) -> bool:
        """Tell whether *people* is within the bounds."""
        return (self.least is None or people >= self.least) and (
            self.below is None or people < self.below
        )

    def __str__(self) -> str:
        if self.below is None:
            return "any number" if self.least is None else f"{self.least} or more"
        if self.least is None:
            return f"at most {self.below - 1}"
        if self.below == self.least + 1:
            return str(self.least)
        return f"{self.least} to {self.below - 1}"


CAN_CHECK = "SELECT to_regprocedure('lists.check_definition(text)') IS NOT NULL"

DEFINED = "SELECT name, address FROM lists.definition ORDER BY name"

ANY_DEFINED = "SELECT to_regclass('lists.definition') IS NOT NULL"


async def measure(db: Connection, *, patience: timedelta = PATIENCE) -> Sizes:
    """Return the size of every definition, as far as it can be known."""
    if not await db.fetchval(ANY_DEFINED):
        return {}
    defined = await db.fetch(DEFINED)
    if not await db.fetchval(CAN_CHECK):
        return {row["name"]: None for row in defined}
    sizes: dict[str, Size | None] = {}
    for row in defined:
        async with _tried(db, patience):
            try:
                people = await _addresses(db, row["name"])
            except asyncpg.PostgresError as error:
                if isinstance(error, LOST):
                    raise
                people = None
        sizes[row["name"]] = None if people is None else Size(row["address"], dict(people))
    return sizes


async def inspect(db: Connection, *, patience: timedelta = PATIENCE) -> Inspection:
    """Look for everything that can be wrong with the definitions."""
    if not await db.fetchval(CAN_CHECK):
        return Inspection((), await measure(db))
    findings: list[Finding] = []
    given: list[tuple[str, str]] = []
    sizes: dict[str, Size | None] = {}
    for row in await db.fetch(DEFINED):
        name = row["name"]
        found, people = await _inspected(db, name, patience)
        findings += found
        sizes[name] = None if people is None else Size(row["address"], dict(people))
        given += [(name, address) for address, _ in people or ()]
    findings += await _together(db, given)
    findings += await _disappointments(db, sizes)
    return Inspection(tuple(findings), sizes)


SET_PATIENCE = "SELECT set_config('statement_timeout', $1, true)"


@asynccontextmanager
async def _tried(db: Connection, patience: timedelta) -> AsyncIterator[None]:
    """Undo whatever is done meanwhile, and cancel a statement that takes too long."""
    await db.execute("SAVEPOINT tried")
    try:
        await db.fetchval(SET_PATIENCE, str(int(patience.total_seconds() * 1000)))
        yield
    finally:
        if not db.is_closed():
            await db.execute("ROLLBACK TO SAVEPOINT tried; RELEASE SAVEPOINT tried")


CHECK_DEFINITION = "SELECT severity, finding FROM lists.check_definition($1)"


async def _inspected(
    db: Connection, name: str, patience: timedelta
) -> tuple[list[Finding], list[tuple[str, int]] | None]:
    """Return what is wrong with *name*, and its addresses, if they are known."""
    async with _tried(db, patience):
        try:
            rows = await db.fetch(CHECK_DEFINITION, name)
            found = [Finding(name, Severity(row["severity"]), row["finding"]) for row in rows]
            if any(finding.severity is Severity.ERROR for finding in found):
                return found, None
            people = await _addresses(db, name)
        except asyncpg.QueryCanceledError:
            seconds = f"{patience.total_seconds():g}"
            late = f"its query takes longer than {seconds} s"
            return [Finding(name, Severity.ERROR, late)], None
    if people is None:
        many = f"it has more than {_ADDRESSES_AT_MOST} addresses, which are not compared"
        found.append(Finding(name, Severity.WARNING, many))
    return found, people


ADDRESSES = "SELECT address, people FROM lists.directory_of($1) LIMIT $2"


async def _addresses(db: Connection, name: str) -> list[tuple[str, int]] | None:
    """Return the addresses of a definition with their people; None if too many."""
    rows = await db.fetch(ADDRESSES, name, _ADDRESSES_AT_MOST + 1)
    if len(rows) > _ADDRESSES_AT_MOST:
        return None
    return [(row["address"], row["people"]) for row in rows]


CHECK_TOGETHER = """
    SELECT definition, severity, finding FROM lists.check_together($1::text[], $2::text[])
"""


async def _together(db: Connection, given: Sequence[tuple[str, str]]) -> list[Finding]:
    names, addresses = [name for name, _ in given], [address for _, address in given]
    rows = await db.fetch(CHECK_TOGETHER, names, addresses)
    return [Finding(row["definition"], Severity(row["severity"]), row["finding"]) for row in rows]


EXPECTATIONS = """
    SELECT address, lower(people) AS least, upper(people) AS below
      FROM lists.expectation ORDER BY address
"""


async def _disappointments(db: Connection, sizes: Sizes) -> list[Finding]:
    expectations = [Expectation(**row) for row in await db.fetch(EXPECTATIONS)]
    found = (_disappointment(expectation, sizes) for expectation in expectations)
    return [finding for finding in found if finding is not None]


def _disappointment(expectation: Expectation, sizes: Sizes) -> Finding | None:
    """Return why *expectation* is not met, or None."""
    address = expectation.address
    known = [(name, size) for name, size in sizes.items() if size is not None]
    givers = [(size.template.count("{"), name, size) for name, size in known]
    givers = [giver for giver in givers if address in giver[2].people]
    if givers:
        _, name, size = min(givers, key=lambda giver: giver[:2])  # The most exact one.
        people = size.people[address]
        if expectation.met_by(people):
            return None
        noun = "person" if people == 1 else "people"
        text = f"{address} has {people} {noun}, expected {expectation}"
        return Finding(name, Severity.ERROR, text)
    if len(known) < len(sizes):
        return None  # Perhaps one whose query fails gives it; that has been said.
    near = get_close_matches(address, {a for _, size in known for a in size.people}, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    text = f"no list gives {address}, where {expectation} people are expected{meant}"
    return Finding(None, Severity.ERROR, text)


ARE_DEFINED = "SELECT to_regclass('lists.definition') IS NOT NULL"
# Whatever options this version of the table has.
OPTIONS = """
    SELECT d.name, o.key AS option, o.value
      FROM lists.definition d,
           jsonb_each_text(to_jsonb(d) - '{name,view,parts,defined_at,merge_fields}'::text[]) o
     ORDER BY d.name, o.key
"""


async def options(db: Connection) -> dict[str, dict[str, str | None]]:
    """Return what each definition says, by its name; nothing before there are any."""
    if not await db.fetchval(ARE_DEFINED):
        return {}
    found: dict[str, dict[str, str | None]] = {}
    for row in await db.fetch(OPTIONS):
        found.setdefault(row["name"], {})[row["option"]] = row["value"]
    return found
