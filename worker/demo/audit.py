"""The auditor asks whether the database says what really happened.

It compares the deliveries with the copies that the SMTP side took, and with
the people whom the posting had to reach. Neither is believed more than the
other: whatever does not match is a discrepancy.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

_TAKEN = ("handed_over", "bounced")
_UNTAKEN = ("refused", "cancelled", "expired")


class Finding(Enum):
    """What does not match."""

    LOST = "handed over, but nobody received it"
    DUPLICATE = "received more often than it was submitted"
    UNRECORDED = "received, but the database says that it did not leave"
    MISDIRECTED = "received by somebody else"
    UNKNOWN = "received, but it belongs to no delivery"
    UNFINISHED = "not final"
    FORGOTTEN = "a member without a delivery"
    UNWANTED = "a delivery to somebody who must get none"
    UNHEARD = "unsubscribed while the copy waited, and the copy was not cancelled"
    REPORT_LOST = "reported as unknown, but not marked as bounced"
    REPORT_INVENTED = "marked as bounced, but nobody reported it"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A delivery as the database has it."""

    delivery_id: int
    address: str
    state: str
    resends: int = 0
    is_letter: bool = False  # Of ours to one person, and no copy of a posting.


@dataclass(frozen=True, slots=True)
class Taken:
    """A copy that the SMTP side has; *delivery_id* is what its token names, if it is ours."""

    delivery_id: int | None
    recipient: str


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One thing that does not match."""

    finding: Finding
    address: str
    delivery_id: int | None = None


def audit(
    deliveries: Sequence[Recorded],
    copies: Iterable[Taken],
    *,
    expected: AbstractSet[str],
    reported: AbstractSet[int],
    left: AbstractSet[int] = frozenset(),
) -> list[Discrepancy]:
    """Return every discrepancy; *expected* are the addresses to reach, in lower case.

    *reported* are the deliveries of which the SMTP side has sent a report;
    *left* those that waited when their recipient unsubscribed.
    """
    by_delivery: dict[int | None, list[Taken]] = defaultdict(list)
    for copy in copies:
        by_delivery[copy.delivery_id].append(copy)
    known = {delivery.delivery_id for delivery in deliveries}
    found = [
        Discrepancy(Finding.UNKNOWN, copy.recipient, number)
        for number, taken in by_delivery.items()
        if number not in known
        for copy in taken
    ]
    for delivery in deliveries:
        found += (
            Discrepancy(finding, delivery.address, delivery.delivery_id)
            for finding in _of_one(
                delivery,
                by_delivery[delivery.delivery_id],
                is_reported=delivery.delivery_id in reported,
            )
        )
    found += (
        Discrepancy(Finding.UNHEARD, delivery.address, delivery.delivery_id)
        for delivery in deliveries
        if delivery.delivery_id in left and delivery.state != "cancelled"
    )
    reached = {delivery.address.lower() for delivery in deliveries if not delivery.is_letter}
    found += (Discrepancy(Finding.FORGOTTEN, address) for address in sorted(expected - reached))
    found += (Discrepancy(Finding.UNWANTED, address) for address in sorted(reached - expected))
    return found


def _of_one(delivery: Recorded, copies: list[Taken], *, is_reported: bool) -> Iterator[Finding]:
    if any(copy.recipient.lower() != delivery.address.lower() for copy in copies):
        yield Finding.MISDIRECTED
    if delivery.state in _TAKEN:
        if not copies:
            yield Finding.LOST
        elif len(copies) > 1 + delivery.resends:
            yield Finding.DUPLICATE
    elif delivery.state in _UNTAKEN:
        if copies:
            yield Finding.UNRECORDED
    else:
        yield Finding.UNFINISHED
    if is_reported and delivery.state != "bounced":
        yield Finding.REPORT_LOST
    if delivery.state == "bounced" and not is_reported:
        yield Finding.REPORT_INVENTED
