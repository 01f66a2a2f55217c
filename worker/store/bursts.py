"""Bursts: copies of one posting that one provider has sent back with the same words.

row               means                                          after a crash
not excused       counted with the failures (store/health.py)    unchanged
excused           what comes of it now blames nobody             the rest by the next round
settled           nor does what came before                      unchanged
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.policy.health import BURST_FROM, BURST_SHARE

if TYPE_CHECKING:
    from worker.store.database import Connection


@dataclass(frozen=True, slots=True)
class Burst:
    """Copies of one posting that one provider has sent back with the same words."""

    posting_id: int
    provider: str
    words: bytes
    failures: int
    delivery_id: int  # One of them, and what was said of it.
    evidence: str
    account: str | None


# As many as might be a burst by the last count of what had left, which only grows.
LARGE = """
    SELECT b.posting_id, b.provider, b.words, b.failures, f.delivery_id, f.evidence, d.account
      FROM relais.burst b
     CROSS JOIN LATERAL (
           SELECT x.delivery_id, x.evidence FROM relais.address_failure x
            WHERE x.posting_id = b.posting_id AND x.provider = b.provider AND x.words = b.words
            ORDER BY x.failure_id LIMIT 1) f
      LEFT JOIN relais.delivery d ON d.delivery_id = f.delivery_id
     WHERE b.failures >= $1 AND NOT b.is_excused AND b.failures * $2 > b.left_there
     ORDER BY b.began_at, b.posting_id, b.provider, b.words
"""


async def large(db: Connection) -> list[Burst]:
    """Return what may be a burst, if no more has left there than was counted last."""
    return [Burst(**row) for row in await db.fetch(LARGE, BURST_FROM, BURST_SHARE)]


# At most so many: of a posting to a million only some are looked at.
LEFT_THERE = """
    WITH there AS (
        SELECT FROM relais.delivery d
         WHERE d.posting_id = $1 AND d.provider = $2
           AND (d.marked_at IS NOT NULL OR d.state = 'refused') LIMIT $4
    )
    UPDATE relais.burst SET left_there = (SELECT count(*) FROM there)
     WHERE posting_id = $1 AND provider = $2 AND words = $3
 RETURNING left_there
"""


async def count_left(db: Connection, burst: Burst) -> int:
    """Count, as far as it matters, how many copies have left for where *burst* comes from."""
    enough = burst.failures * BURST_SHARE
    left: int | None = await db.fetchval(
        LEFT_THERE, burst.posting_id, burst.provider, burst.words, enough
    )
    return left or 0


EXCUSE = """
    UPDATE relais.burst SET is_excused = true
     WHERE posting_id = $1 AND provider = $2 AND words = $3 AND NOT is_excused
 RETURNING true
"""


async def excuse(db: Connection, burst: Burst) -> bool:
    """Excuse what comes of *burst* from now on; False if somebody else has."""
    return bool(await db.fetchval(EXCUSE, burst.posting_id, burst.provider, burst.words))


BLAMED = """
    SELECT DISTINCT f.address
      FROM relais.burst b JOIN relais.address_failure f USING (posting_id, provider, words)
     WHERE b.is_excused AND NOT b.is_settled AND NOT f.is_excused
     ORDER BY f.address LIMIT $1
"""


async def blamed(db: Connection, *, at_most: int) -> list[str]:
    """Return addresses that failures still count against which came in a burst."""
    return [row["address"] for row in await db.fetch(BLAMED, at_most)]


EXCUSE_OF = """
    UPDATE relais.address_failure f SET is_excused = true
      FROM relais.burst b
     WHERE f.address = $1 AND NOT f.is_excused AND b.is_excused
       AND b.posting_id = f.posting_id AND b.provider = f.provider AND b.words = f.words
"""


async def excuse_of(db: Connection, address: str) -> None:
    """Excuse the failures of *address* that came in bursts."""
    await db.execute(EXCUSE_OF, address)


SETTLE = """
    UPDATE relais.burst b SET is_settled = true
     WHERE b.is_excused AND NOT b.is_settled
       AND NOT EXISTS (SELECT FROM relais.address_failure f
                        WHERE f.posting_id = b.posting_id AND f.provider = b.provider
                          AND f.words = b.words AND NOT f.is_excused)
"""


async def settle(db: Connection) -> None:
    """End the bursts of which nobody is blamed any more."""
    await db.execute(SETTLE)
