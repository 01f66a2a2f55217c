"""Delivery status notifications (RFC 3464), and the values that every return is read into.

    kind        what it says                                 written by
    report      a recipient was not reached                  RFC 3464, or free text
    delayed     the system still tries                       the same
    delivered   it was handed on, as asked for               RFC 3464
    complaint   a recipient calls it unwanted                RFC 5965

A return is written by a stranger's mail system, and may be forged: nothing
here raises on bad input, what cannot be read is left out, and whether a
reference was really ours is for the caller to find out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING

from worker.mail.diagnosis import STATUS, status_in
from worker.mail.header import as_text, decoded, end_of_field, scan_fields
from worker.mail.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.mail.header import Field

RECIPIENTS_LIMIT = 40  # We send one copy to one person.
REFERENCES_LIMIT = 20
DIAGNOSTIC_LIMIT = 1000
_BLOCK_LIMIT_BYTES = 256 * 1024
_GROUPS_LIMIT = 1000
_LINES_LIMIT = 4000

# RFC 3464, section 2.3.3; Postfix adds one for `sendmail -bv`.
DELIVERED = frozenset({"delivered", "relayed", "expanded", "deliverable"})
_ACTIONS = DELIVERED | {"failed", "delayed"}

STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")

# Tolerant: what a system calls an address is compared, and never written to.
_LOCAL_PART = r"(?:\"[^\"\r\n]{1,64}+\"|[^\s<>()\[\]\",;:@']{1,64}+)"
ADDRESS = rf"{_LOCAL_PART}@(?:[\w.-]{{1,254}}+|\[[\d.:a-fA-F]{{1,60}}\])"
ANY_ADDRESS = re.compile(rf"(?<![^\s<>()\[\]\",;:'=]){ADDRESS}(?!@)")
# A source route, to be ignored (RFC 5321, appendix C): "@relay,@other:user@host".
_ROUTE = re.compile(r"^(?:@[^\s,:@]{1,254},?){1,20}:")

# RFC 6591: an auth-failure report is about forgers.
_NO_COMPLAINTS = ("auth-failure", "not-spam", "dkim")


_NO_LINE_END = re.compile(rb"[^\r\n]")


# Families whose messages a person does not write: by report-type, or by a field of its own.
_FORMS = frozenset({"rfc3464", "arf", "apple", "x-failed-recipients"})


class Kind(Enum):
    """What a return is about."""

    REPORT = "report"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    COMPLAINT = "complaint"


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """What became of one recipient; "" where the system does not say."""

    final_recipient: str
    original_recipient: str = ""
    action: str = "failed"  # failed, delayed, delivered, relayed or expanded
    status: str = ""  # RFC 3463: "5.1.1"
    diagnostic: str = ""  # The system's own words: the evidence.
    reason: Reason = Reason.UNKNOWN


@dataclass(frozen=True, slots=True)
class Return:
    """What one returned message says."""

    kind: Kind
    recipients: tuple[RecipientReport, ...] = ()
    family: str = ""  # The reader that understood it.
    original_envelope_id: str = ""
    reporting_mta: str = ""
    feedback_type: str = ""  # RFC 5965, section 7.3: abuse, not-spam, auth-failure
    references: tuple[str, ...] = ()  # X-Relais-Ref of the message returned
    message_id: str = ""  # of the message returned, in its brackets

    @property
    def is_certain(self) -> bool:
        """Whether its form says so, or our token: what is pasted or attached says nothing."""
        return self.family in _FORMS or bool(self.references)

    @property
    def complains(self) -> bool:
        """Whether a person does not want such mail."""
        return self.kind is Kind.COMPLAINT and self.feedback_type not in _NO_COMPLAINTS


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The fields of a delivery status: of the message, and of each recipient."""

    recipients: tuple[RecipientReport, ...]
    original_envelope_id: str = ""
    reporting_mta: str = ""


def read_status(blocks: list[bytes]) -> StatusReport:
    """Read the fields of *blocks* (RFC 3464, section 2), whatever surrounds them."""
    short = (block[:_BLOCK_LIMIT_BYTES] for block in blocks)
    found_in = (group for block in short for group in field_groups(block))
    groups = list(islice(found_in, _GROUPS_LIMIT))
    found = map(_recipient_report, islice(_by_recipient(groups), RECIPIENTS_LIMIT))
    about = [found for group in groups for found in group]
    return StatusReport(
        tuple(report for report in found if report.final_recipient),
        original_envelope_id=first_value(about, "original-envelope-id"),
        reporting_mta=_typed_value(first_value(about, "reporting-mta")),
    )


def kind_of(reports: tuple[RecipientReport, ...]) -> Kind:
    """Say what *reports* are about in all: a failure goes before a delay."""
    actions = {report.action for report in reports}
    if actions <= DELIVERED:
        return Kind.DELIVERED
    return Kind.DELAYED if "delayed" in actions and "failed" not in actions else Kind.REPORT


def field_groups(block: bytes) -> Iterator[list[Field]]:
    """Yield the fields between empty lines; lines that are none are left out."""
    at = 0
    for _ in range(_LINES_LIMIT):
        start = _NO_LINE_END.search(block, at)
        if start is None:
            return
        fields, at = scan_fields(block, start.start(), len(block))
        if fields:
            yield list(fields)
        if at == start.start():  # No field.
            at = end_of_field(block, at, len(block))


def first_value(fields: list[Field], name: str) -> str:
    """Return the body of the first field called *name*, or ""."""
    # Not decoded: an address may look like an encoded word.
    body = next((found.body for found in fields if found.name == name), b"")
    return as_text(body[: 4 * DIAGNOSTIC_LIMIT])


_RECIPIENT_FIELDS = ("final-recipient", "original-recipient", "x-actual-recipient")


def _by_recipient(groups: list[list[Field]]) -> Iterator[list[Field]]:
    """Yield the fields of each recipient.

    A group may hold several, against RFC 3464, section 2.1, or be torn apart by
    an empty line.
    """
    current: list[Field] = []
    for group in groups:
        for piece in _split_at_repetition(group):
            if any(found.name in _RECIPIENT_FIELDS for found in piece):
                if current and not _is_other_half(current, piece):
                    yield current
                    current = []
                current.extend(piece)
            elif current:
                current.extend(piece)
    if current:
        yield current


def _split_at_repetition(group: list[Field]) -> Iterator[list[Field]]:
    """Cut *group* where a field comes again that each recipient has once."""
    piece: list[Field] = []
    seen: set[str] = set()
    for found in group:
        if found.name in seen and found.name in ("final-recipient", "original-recipient"):
            yield piece
            piece, seen = [], set()
        piece.append(found)
        seen.add(found.name)
    yield piece


def _is_other_half(current: list[Field], piece: list[Field]) -> bool:
    """Whether an empty line has torn Original-Recipient from its Final-Recipient."""
    names = {found.name for found in current}
    others = {found.name for found in piece}
    return "action" not in names and not names & others & set(_RECIPIENT_FIELDS)


def _recipient_report(fields: list[Field]) -> RecipientReport:
    final, original = _named(fields)
    said = next((found for found in fields if found.name == "diagnostic-code"), None)
    diagnostic = decoded(said.body[: 2 * DIAGNOSTIC_LIMIT]) if said else ""
    status = STATUS.search(first_value(fields, "status"))
    action = re.match(r"[a-z]+", first_value(fields, "action").lower())
    return RecipientReport(
        final_recipient=final,
        original_recipient=original,
        action=action[0] if action and action[0] in _ACTIONS else "failed",
        status=most_telling(diagnostic, status[1] if status else ""),
        diagnostic=_typed_value(diagnostic)[:DIAGNOSTIC_LIMIT],
    )


def most_telling(diagnostic: str, status: str) -> str:
    """Return the code of the server's own reply, else the one that was made of it.

    Relays write their own over it: 4.4.7 when they gave up, 5.0.0 for anything.
    """
    said = status_in(diagnostic)
    if not said or not status:
        return said or status
    return status if said.endswith(".0.0") else said


def _named(fields: list[Field]) -> tuple[str, str]:
    """Return the final and the original recipient: the first one is never empty for nothing."""
    final, original, actual = (address_of(first_value(fields, name)) for name in _RECIPIENT_FIELDS)
    # Some put a mailbox of their inside there: "user@ims-daemon".
    is_inside = "." not in final.rpartition("@")[2] and "." in original.rpartition("@")[2]
    return (original if is_inside else final) or original or actual, original


def address_of(typed_value: str) -> str:
    """Return the address in a ``type; address`` field, or ""."""
    value = _typed_value(typed_value)[:DIAGNOSTIC_LIMIT].strip(" \t<>")
    value = _ROUTE.sub("", value)
    if value.find("@") > 0 and not re.search(r"[\s<>(),;]", value):
        return value.strip("'").rstrip(".")
    found = ANY_ADDRESS.search(value)
    return found[0].rstrip(".") if found else ""


def _typed_value(value: str) -> str:
    """Drop the type of a ``type; value`` field (RFC 3464, section 2.1.2)."""
    kind, separator, rest = value.partition(";")
    return rest.strip() if separator and re.fullmatch(r"[\w.+-]+", kind.strip()) else value
