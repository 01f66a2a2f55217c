"""Reading returns: what mail systems send back about a message of ours.

Each family of systems has one reader. They are asked in order, from the one
that leaves least to guess; the first that understands answers. What people
write is no return, whatever it quotes: a reader that guesses asks first
whether a mail system is speaking (worker/mail/speaker.py).
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from worker.mail.challenge import is_challenge
from worker.mail.complaint import read_feedback, read_forward, read_spamcop, read_unsubscription
from worker.mail.diagnosis import HINTED, reason_of, status_in
from worker.mail.dsn import (
    ANY_ADDRESS,
    DIAGNOSTIC_LIMIT,
    RECIPIENTS_LIMIT,
    Kind,
    RecipientReport,
    kind_of,
    read_status,
)
from worker.mail.mention import said_of
from worker.mail.notification import RETURNED_TYPES, TEXT_LIMIT, Notification
from worker.mail.parts import content
from worker.mail.reason import NOBODY, Reason
from worker.mail.ses import read_event
from worker.mail.speaker import is_after_data, is_delay, says_success, speaks_of_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from worker.mail.dsn import Return

_BLOCK_LIMIT_BYTES = 512 * 1024
_REASONS_LIMIT = 10
_WORDS_LIMIT = 4000 + TEXT_LIMIT


def read_return(raw: bytes) -> Return | None:
    """Read *raw* as a return; None if it is none."""
    # Some gateways put empty lines before the header.
    notification = Notification(raw.lstrip(b" \t\r\n"))
    if _is_receipt(notification) or is_challenge(notification):
        return None
    return next((found for read in _FAMILIES if (found := read(notification))), None)


def _is_receipt(notification: Notification) -> bool:
    """Whether it is a read receipt (RFC 8098), which has recipients, too.

    Sieve refuses a message by one that says so (RFC 5429, section 2.2.1).
    """
    if notification.report_type != "disposition-notification":
        return False
    return "(rejected" not in notification.message.value("auto-submitted").lower()


# Delivery reports (RFC 3464).


def _read_delivery_report(notification: Notification) -> Return | None:
    blocks = notification.statuses
    if notification.report_type != "delivery-status" and not speaks_of_failure(notification):
        return None
    if not blocks:
        # Some systems give the fields as text, or lose a delimiter.
        blocks = [
            content(part)
            for part in notification.parts
            if part.content_type not in RETURNED_TYPES
            and b"-recipient:" in part.body[:_BLOCK_LIMIT_BYTES].lower()
        ]
    status = read_status(blocks)
    if not status.recipients:
        return None
    is_report = notification.report_type == "delivery-status"
    return notification.make(
        kind_of(status.recipients),
        "rfc3464" if is_report else "status",
        [_explained(report, notification) for report in status.recipients],
        original_envelope_id=status.original_envelope_id,
        reporting_mta=status.reporting_mta,
    )


def _explained(report: RecipientReport, notification: Notification) -> RecipientReport:
    """Give a report its reason: of its own words, else of what the text says."""
    if report.action not in ("failed", "delayed"):
        return report
    said = report.diagnostic
    reason = _reason(notification, said, report.status)
    if reason in HINTED:
        said = _said_of(report.final_recipient, notification)
        said = said or _said_of(report.original_recipient, notification)
        found = _reason(notification, said or notification.text, report.status)
        reason = reason if found in HINTED else found
    return replace(report, reason=reason, diagnostic=report.diagnostic or said)


def _reason(notification: Notification, said: str, status: str) -> Reason:
    known = notification.reasons
    if (said, status) in known:
        return known[said, status]
    # Who tells of many people in as many words is read by its codes: reading takes time.
    if len(known) > _REASONS_LIMIT or sum(len(text) for text, _ in known) > _WORDS_LIMIT:
        return reason_of("", status)
    found = reason_of(said, status, after_data=is_after_data(notification, said))
    known[said, status] = found
    return found


def _said_of(address: str, notification: Notification) -> str:
    """Return what the text says of *address*, if it names it."""
    mention = notification.mentioned.get(address.lower())
    return said_of(notification.text, mention) if mention is not None else ""


# A report within a message: a gateway has wrapped it.


def _read_wrapped(notification: Notification) -> Return | None:
    attached = [part for part in notification.parts if part.content_type == "message/rfc822"]
    if len(attached) != 1 or not speaks_of_failure(notification):
        return None
    inner = Notification(content(attached[0]).lstrip(b" \t\r\n"))
    if inner.report_type != "delivery-status":
        return None
    found = _read_delivery_report(inner)
    return replace(found, family="wrapped") if found else None


# X-Failed-Recipients: Exim, and Gmail where it sends no report.


def _read_failed_recipients(notification: Notification) -> Return | None:
    named = [
        address
        for found in notification.message.named("x-failed-recipients")
        for address in ANY_ADDRESS.findall(found.body.decode("latin-1"))
    ]
    if not named or not speaks_of_failure(notification):
        return None
    said = ((name, _said_of(name, notification)) for name in dict.fromkeys(named))
    return _of_text(notification, "x-failed-recipients", said)


# Free text by a mail system.


def _read_success(notification: Notification) -> Return | None:
    return notification.make(Kind.DELIVERED, "text", []) if says_success(notification) else None


def _read_text(notification: Notification) -> Return | None:
    is_report = notification.report_type == "delivery-status"
    if not is_report and not speaks_of_failure(notification):
        return None
    mentions = notification.mentions
    if not mentions and not _may_name_nobody(notification):
        return None
    return _of_text(
        notification,
        "text",
        ((mention.address, said_of(notification.text, mention)) for mention in mentions),
    )


def _may_name_nobody(notification: Notification) -> bool:
    """Whether it is a return for certain: phishing imitates notices, and names only its reader."""
    is_unanswerable = notification.message.value("return-path").replace(" ", "") == "<>"
    return speaks_of_failure(notification) and (
        is_unanswerable or notification.returned is not None or bool(notification.statuses)
    )


def _of_text(notification: Notification, family: str, said: Iterable[tuple[str, str]]) -> Return:
    by_address = dict(islice(said, RECIPIENTS_LIMIT))
    status = status_in(notification.text)
    about_all = status if len(by_address) == 1 else ""
    delayed = is_delay(notification)
    reports = tuple(
        _in_words(address, diagnostic, status_in(diagnostic) or about_all, delayed=delayed)
        for address, diagnostic in by_address.items()
    )
    if not reports:
        return notification.make(Kind.DELAYED if delayed else Kind.REPORT, family, [])
    reports = tuple(_with_reason(report, notification, status) for report in reports)
    return notification.make(kind_of(reports), family, reports)


def _in_words(address: str, diagnostic: str, status: str, *, delayed: bool) -> RecipientReport:
    got_it = "delivered" if _GOT_IT.match(diagnostic) else ""
    action = got_it or ("delayed" if delayed else "failed")
    return RecipientReport(address, action=action, status=status, diagnostic=diagnostic)


def _with_reason(
    report: RecipientReport, notification: Notification, status: str
) -> RecipientReport:
    if report.action not in ("failed", "delayed"):
        return report
    reason = _reason(notification, report.diagnostic, report.status)
    # Of several one may be dead, and another be tried again.
    is_final = reason in NOBODY and status_in(report.diagnostic) != ""
    action = "failed" if is_final else report.action
    said = report.diagnostic or " ".join(notification.text[:DIAGNOSTIC_LIMIT].split())
    if reason not in HINTED:
        return replace(report, action=action, reason=reason, diagnostic=said)
    status = report.status or status
    found = _reason(notification, f"{notification.subject} {notification.text}", status)
    reason = found if found not in HINTED else reason
    return replace(report, action=action, reason=reason, status=status, diagnostic=said)


# In a table of what became of each recipient.
_GOT_IT = re.compile(r"[\s:|-]*(?:delivered|relayed|ok)\b", re.IGNORECASE)

_FAMILIES: tuple[Callable[[Notification], Return | None], ...] = (
    read_feedback,
    read_forward,
    read_unsubscription,
    read_spamcop,
    read_event,
    _read_delivery_report,
    _read_wrapped,
    _read_failed_recipients,
    _read_success,
    _read_text,
)
