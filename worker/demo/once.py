"""One posting to everybody, run to its end, and the audit of what became of it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from worker.demo.audit import Discrepancy, Recorded, Taken, audit
from worker.demo.stage import Stage, staged
from worker.mail.return_address import Purpose

if TYPE_CHECKING:
    from worker.demo.world import Received

# At first a day takes a minute, so that on the slowest machine somebody still
# waits for Orange's limit; then a second, so that nobody waits for tomorrow.
_FIRST_SPEED = 1440.0
SPEED = 86_400.0

_PATIENCE_SECONDS = 30.0
_SUBJECT = "Assemblée générale : convocation"
_TEXT = """\
Bonjour,

L'assemblée générale de la fédération aura lieu le samedi 12 à Angers.
Vous trouverez l'ordre du jour dans votre espace membre.

Bien à vous
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of everything; each recipient's delivery is in exactly one number."""

    postings: int
    recipients: int
    handed_over: int
    bounced: int
    refused: int
    expired: int
    deferred: int  # Still, at the end: none, when all went well.
    unsubscribed: int  # Copies that were waiting when their recipient left.
    suppressed: int  # Listed, but had left before: not among the recipients.
    unusable: int  # Listed without a usable address.
    duplicates: int  # Listed with an address that somebody else has, too.
    tried_again: int  # Put off by their provider, and taken later.
    discrepancies: tuple[Discrepancy, ...]
    seconds: float

    @property
    def lost(self) -> int:
        """How many discrepancies there are, in whichever direction."""
        return len(self.discrepancies)

    def as_json(self) -> dict[str, object]:
        """Return the object that scripts read."""
        numbers = asdict(self)
        del numbers["discrepancies"], numbers["seconds"]
        return {
            "schema": 1,
            **numbers,
            "lost": self.lost,
            "seconds": round(self.seconds, 2),
            "discrepancies": [
                {"finding": d.finding.value, "address": d.address, "delivery": d.delivery_id}
                for d in self.discrepancies
            ],
        }


async def play_once(*, speed: float = SPEED) -> Result:
    """Post to everybody, let one person leave while their copy waits, and audit the end."""
    started = time.perf_counter()
    async with staged(speed=_FIRST_SPEED) as stage:
        author = stage.federation.holder("communication")
        await stage.post(author, "tous", subject=_SUBJECT, text=_TEXT)
        left: set[int] = set()
        # Whatever has not happened by then, the audit will find.
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                left.add(await _let_one_leave(stage))
                await stage.hurry(speed)
                await _wait_until_final(stage)
        found = await _audit(stage, left)
        row = await stage.db.fetchrow(NUMBERS)
    seconds = time.perf_counter() - started
    return Result(**dict(row or {}), discrepancies=tuple(found), seconds=seconds)


# The last of those who wait for the tightest limit, once copies leave within it.
WAITING_FOR_ROOM = """
    SELECT d.delivery_id, o.list_id, d.person_id
      FROM relais.delivery d
      JOIN relais.posting o USING (posting_id)
      JOIN relais.v_limits l ON l.provider = d.provider AND l.spent > 0
     WHERE d.state = 'queued'
     ORDER BY l.amount, d.delivery_id DESC LIMIT 1
"""


async def _let_one_leave(stage: Stage) -> int:
    """Unsubscribe somebody whose copy waits; return which delivery that is."""
    waiting: list[tuple[int, int, int]] = []

    async def somebody_waits() -> bool:
        row = await stage.db.fetchrow(WAITING_FOR_ROOM)
        waiting.extend([tuple(row)] if row else [])
        return bool(waiting)

    await stage.wait_until(somebody_waits)
    delivery_id, list_id, person_id = waiting[0]
    await stage.unsubscribe(await stage.personal_link(list_id, person_id))
    return delivery_id


# A suspect is written to once more, a day later: a second or so of this clock.
ALL_FINAL = """
    SELECT EXISTS (SELECT FROM relais.posting)
       AND NOT EXISTS (SELECT FROM relais.delivery
                        WHERE state IN ('queued', 'claimed', 'dotting', 'in_doubt', 'deferred'))
       AND NOT EXISTS (SELECT FROM relais.address_health WHERE state = 'suspect')
"""
ALL_READ = "SELECT count(*) >= $1 FROM relais.arrival WHERE state = 'settled'"


async def _wait_until_final(stage: Stage) -> None:
    """Wait until every delivery is final, then for the reports on them, and what they lead to."""

    async def all_final() -> bool:
        return bool(await stage.db.fetchval(ALL_FINAL))

    async def all_read() -> bool:
        return bool(await stage.db.fetchval(ALL_READ, stage.catch_all.received))

    for _ in ("copies", "letters to who did not get one"):
        await stage.wait_until(all_final)
        await stage.world.wait_until_quiet()
        await stage.wait_until(all_read)


DELIVERIES = """
    SELECT delivery_id, address, state::text, resends, notice_id IS NOT NULL AS is_letter
      FROM relais.delivery
"""


async def _audit(stage: Stage, left: set[int]) -> list[Discrepancy]:
    deliveries = [Recorded(**row) for row in await stage.db.fetch(DELIVERIES)]
    copies = [Taken(_delivery_of(copy, stage), copy.recipient) for copy in stage.world.received]
    reported = {_delivery_of(copy, stage) for copy in stage.world.reported}
    return audit(
        deliveries,
        copies,
        expected=stage.federation.everybody(),
        reported={number for number in reported if number is not None},
        left=left,
    )


def _delivery_of(copy: Received, stage: Stage) -> int | None:
    """Return which delivery a copy says that it belongs to; answers have no return address."""
    return stage.tokens.read(Purpose.RETURN, copy.reference)


NUMBERS = """
    SELECT o.postings, o.suppressed, o.unusable, o.duplicates, d.*
      FROM (SELECT count(*)::integer AS postings, sum(suppressed)::integer AS suppressed,
                   sum(unusable)::integer AS unusable, sum(duplicates)::integer AS duplicates
              FROM relais.posting) o,
           (SELECT count(*)::integer AS recipients,
                   (count(*) FILTER (WHERE state = 'handed_over'))::integer AS handed_over,
                   (count(*) FILTER (WHERE state = 'bounced'))::integer AS bounced,
                   (count(*) FILTER (WHERE state = 'refused'))::integer AS refused,
                   (count(*) FILTER (WHERE state = 'expired'))::integer AS expired,
                   (count(*) FILTER (WHERE state = 'deferred'))::integer AS deferred,
                   (count(*) FILTER (WHERE state = 'cancelled'))::integer AS unsubscribed,
                   (count(*) FILTER (WHERE attempts > 1))::integer AS tried_again
              FROM relais.delivery WHERE posting_id IS NOT NULL) d
"""
