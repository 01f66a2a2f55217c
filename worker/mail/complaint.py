"""Complaints: recipients who call a message unwanted (RFC 5965), and what others send instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from worker.mail.dsn import (
    ANY_ADDRESS,
    Kind,
    RecipientReport,
    address_of,
    field_groups,
    first_value,
)
from worker.mail.parts import content

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.mail.dsn import Return
    from worker.mail.header import Field
    from worker.mail.notification import Notification

_REPORT = b"feedback-type:"
_REPORT_LIMIT_BYTES = 64 * 1024
_NAMING = ("original-rcpt-to", "removal-recipient", "original-recipient", "final-recipient")
# Where a provider has taken the recipient out, its address may stand in these.
_OF_HOTMAIL = ("x-hmxmroriginalrecipient", "x-original-recipient")


def read_feedback(notification: Notification) -> Return | None:
    """Read a feedback report (RFC 5965), also where its part has lost its type."""
    for part in notification.parts:
        body = content(part)[:_REPORT_LIMIT_BYTES]
        is_report = part.content_type == "message/feedback-report" and not part.is_attachment
        if is_report or (
            notification.report_type == "feedback-report"
            and part.content_type.startswith("text/")
            and _REPORT in body.lower()
        ):
            groups = list(field_groups(body))
            return _complaint(notification, [field for group in groups for field in group])
    return None


def _complaint(notification: Notification, fields: list[Field]) -> Return:
    is_report = notification.report_type == "feedback-report"
    return notification.make(
        Kind.COMPLAINT,
        "arf" if is_report else "feedback",
        _complaining(_named(fields) or _named_elsewhere(notification)),
        feedback_type=first_value(fields, "feedback-type").partition(";")[0].strip().lower(),
        original_envelope_id=first_value(fields, "original-envelope-id"),
        reporting_mta=first_value(fields, "reporting-mta"),
    )


def _named(fields: list[Field]) -> list[str]:
    return [
        address
        for name in _NAMING
        for found in fields
        if found.name == name
        for address in [address_of(found.body.decode("latin-1"))]
        if address
    ]


def _named_elsewhere(notification: Notification) -> list[str]:
    """Return whom the returned message was for, if it was for one person."""
    if notification.returned is None:
        return []
    named = ANY_ADDRESS.findall(notification.returned.value("to"))
    return named if len(named) == 1 else []


def _complaining(addresses: Iterable[str]) -> list[RecipientReport]:
    unique = {address.lower(): address for address in addresses}
    return [RecipientReport(address, action="") for address in unique.values()]


def read_forward(notification: Notification) -> Return | None:
    """Read a complaint of the Junk Mail Reporting Program: a bare forward."""
    for message in (notification.returned, notification.message):
        for name in _OF_HOTMAIL if message else ():
            named = ANY_ADDRESS.findall(message.value(name)) if message else []
            if named and (name == _OF_HOTMAIL[0] or _is_from_microsoft(notification)):
                return notification.make(
                    Kind.COMPLAINT, "jmrp", _complaining(named[:1]), feedback_type="abuse"
                )
    return None


def _is_from_microsoft(notification: Notification) -> bool:
    author = notification.message.value("from").lower()
    return re.search(r"staff@hotmail\.com|fbl@|jmrp", author) is not None


def read_unsubscription(notification: Notification) -> Return | None:
    """Read the mail by which Apple's program unsubscribes its user: a complaint in kind."""
    if notification.message.value("x-apple-unsubscribe").lower() != "true":
        return None
    author = ANY_ADDRESS.findall(notification.message.value("from"))
    return notification.make(
        Kind.COMPLAINT, "apple", _complaining(author[:1]), feedback_type="opt-out"
    )


def read_spamcop(notification: Notification) -> Return | None:
    """Read a complaint by way of SpamCop, which names nobody."""
    if not notification.subject.lower().startswith("[spamcop ("):
        return None
    return notification.make(Kind.COMPLAINT, "spamcop", [], feedback_type="abuse")
