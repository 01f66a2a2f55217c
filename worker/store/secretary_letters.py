"""Weekly letters to secretaries: which were written, and what they told.

secretary_week      every letter of that Monday is written, or needs none
secretary_letter    one secretary's is; decided by the statement that any number of
                    workers may run, and committed with the letter
secretary_told      what it told
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.policy.mending import Told

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from worker.policy.mending import DeadAddress
    from worker.store.database import Connection

IS_WRITTEN = "SELECT EXISTS (SELECT FROM relais.secretary_week WHERE monday >= $1)"


async def is_written(db: Connection, monday: date) -> bool:
    """Return whether every letter of *monday* is written."""
    return bool(await db.fetchval(IS_WRITTEN, monday))


# Who was mended is news when they are held again.
FORGET = """
    DELETE FROM relais.secretary_told t
     WHERE NOT EXISTS (SELECT FROM relais.address_health h
                        WHERE h.address = t.address AND h.state = 'held')
"""

FORGET_SECRETARIES = """
    DELETE FROM relais.secretary_letter l
     WHERE l.monday < $1
       AND NOT EXISTS (SELECT FROM relais.secretary_told t WHERE t.secretary = l.secretary)
"""

END_WEEK = """
    INSERT INTO relais.secretary_week AS known (monday) VALUES ($1)
        ON CONFLICT (only_row) DO UPDATE SET monday = greatest(known.monday, excluded.monday)
"""


async def end_week(db: Connection, monday: date) -> None:
    """Keep that every letter of *monday* is written; forget what needs no more telling."""
    await db.execute(FORGET)
    await db.execute(FORGET_SECRETARIES, monday)
    await db.execute(END_WEEK, monday)


@dataclass(frozen=True, slots=True)
class Begun:
    """A letter that is this transaction's to write."""

    last_letter: date | None


BEGIN = """
    INSERT INTO relais.secretary_letter AS known (secretary, monday) VALUES ($1, $2)
        ON CONFLICT (secretary) DO UPDATE SET monday = excluded.monday
     WHERE known.monday < excluded.monday
 RETURNING written AS last_letter
"""


async def begin(db: Connection, secretary: str, monday: date) -> Begun | None:
    """Take the letter of *monday* to *secretary*; None if another has written it.

    Call it in the transaction that writes the letter.
    """
    row = await db.fetchrow(BEGIN, secretary, monday)
    return None if row is None else Begun(**row)


TOLD = "SELECT address, held_since, monday FROM relais.secretary_told WHERE secretary = $1"


async def told(db: Connection, secretary: str) -> dict[str, Told]:
    """Return what *secretary* was told, by address."""
    rows = await db.fetch(TOLD, secretary)
    return {row["address"]: Told(row["held_since"], row["monday"]) for row in rows}


TELL = """
    INSERT INTO relais.secretary_told (secretary, address, held_since, monday)
    SELECT $1, address, held_since, $2
      FROM unnest($3::text[], $4::timestamptz[]) dead(address, held_since)
        ON CONFLICT (secretary, address) DO UPDATE
       SET held_since = excluded.held_since, monday = excluded.monday
"""

WRITTEN = "UPDATE relais.secretary_letter SET written = $2 WHERE secretary = $1"


async def tell(db: Connection, secretary: str, monday: date, dead: Sequence[DeadAddress]) -> None:
    """Keep that the letter of *monday* tells *secretary* of *dead*."""
    await db.execute(
        TELL,
        secretary,
        monday,
        [one.ailing.address for one in dead],
        [one.ailing.since for one in dead],
    )
    await db.execute(WRITTEN, secretary, monday)
