"""Matching: which delivery a return speaks of, and whether anybody could have said so.

The token of the copy itself is proof: it stands in the return address, in the
reference of the returned part, and where the host takes DSN parameters in the
envelope's id (RFC 3461, section 4.4). Message-ID and recipient are known to
everybody on the list: they settle a delivery, and score nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.mail.return_address import TOKEN_LENGTH, Purpose
from worker.policy.outcome import Foreign
from worker.store import deliveries

if TYPE_CHECKING:
    from worker.mail.dsn import Return
    from worker.mail.examination import Examination
    from worker.mail.return_address import Tokens
    from worker.store.database import Connection


@dataclass(frozen=True, slots=True)
class Match:
    """The delivery that a return speaks of, if any, and why that is no proof."""

    delivery_id: int | None
    doubt: Foreign | None = None

    @property
    def is_proven(self) -> bool:
        """Whether only its copy could tell."""
        return self.delivery_id is not None and self.doubt is None


async def match(db: Connection, seen: Examination, *, tokens: Tokens) -> Match:
    """Find the delivery that a return speaks of, by the strongest evidence it has."""
    found = _tokens_in(seen)
    numbers = [tokens.read(Purpose.RETURN, token) for token in found]
    for number in numbers:
        if number is not None and await deliveries.exists(db, number):
            return Match(number)
    delivery_id = await _by_message(db, seen.returned)
    if delivery_id is not None:
        return Match(delivery_id, Foreign.MESSAGE_ID)
    if any(number is not None for number in numbers):
        return Match(None, Foreign.GONE)
    return Match(None, Foreign.FORGED if found else Foreign.UNKNOWN)


def _tokens_in(seen: Examination) -> list[str]:
    found = [s.token for s in seen.services if s.purpose is Purpose.RETURN]
    if seen.returned is not None:
        found += seen.returned.references
        envelope_id = seen.returned.original_envelope_id.strip().lower()
        found += [envelope_id] if len(envelope_id) == TOKEN_LENGTH else []
    return found


async def _by_message(db: Connection, found: Return | None) -> int | None:
    if found is None or not found.message_id:
        return None
    for report in found.recipients:
        for address in (report.original_recipient, report.final_recipient):
            delivery_id = await deliveries.find(
                db, message_id=found.message_id, recipient=address or ""
            )
            if delivery_id is not None:
                return delivery_id
    return None
