"""Who speaks in a message: a mail system that tells of a failure, or somebody else.

People forward notices, discuss them and quote them, and phishing imitates
them. No single sign is enough; each has a weight.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from worker.mail.diagnosis import REPLY_CODE, reason_of
from worker.mail.folding import any_of, folded
from worker.mail.mention import begins_with_address
from worker.mail.notice_words import (
    DAEMON,
    DELAY,
    DIGEST,
    FAILURE,
    FINAL,
    FORWARDED,
    INTRODUCTION,
    NO_SUCCESS,
    OFFICE,
    SUCCESS,
    VACATION,
)
from worker.mail.notification import OPENING_LIMIT
from worker.mail.reason import Reason

if TYPE_CHECKING:
    from worker.mail.notification import Notification

_ENOUGH = 5
_SHORT_TEXT = 600
_SHORTEST_REPLY = 8

_BY_HAND = re.compile(r"^(?:re|fwd?|tr|aw|wg|rv|sv|antw)\s*:", re.IGNORECASE)
_DATA_BEFORE = re.compile(r"(?:>>> (?:data|\.)(?!.*>>>)|after end of data|after data)")
_DATA_AFTER = re.compile(r"[ .)>]*(?:\(in reply to (?:end of )?data|-*smtp command:? data)")


def speaks_of_failure(notification: Notification) -> bool:
    """Whether a mail system, and no person, says that a message did not arrive."""
    author = _weight_of_author(notification)
    by_system = is_daemon(notification) or _is_office(notification)
    in_subject = _is_about_failure(notification.subject, by_system=by_system)
    in_text = _says_failure(notification)
    is_sure = author >= _ENOUGH or _has_substance(notification)
    if not (in_subject or in_text) or not is_sure:
        return False
    evidence = (
        author,
        2 * in_subject,
        2 * in_text,
        2 * (by_system and any_of(INTRODUCTION).found_in(notification.opening)),
        2 * begins_with_address(notification.text),
        1 * (REPLY_CODE.search(notification.opening) is not None),
        1 * (notification.returned is not None),
        -3 * _is_by_hand(notification, in_subject=in_subject),
        -3 * any_of(DIGEST).found_in(f"{folded(notification.subject)} {notification.opening}"),
        -3 * (not in_subject and any_of(VACATION).found_in(notification.opening)),
    )
    return sum(evidence) >= _ENOUGH


def says_success(notification: Notification) -> bool:
    """Whether a mail system says that a message has arrived, or was handed on."""
    in_subject = "success" in folded(notification.subject)
    by_system = is_daemon(notification) or (_is_office(notification) and in_subject)
    return (
        by_system
        and any_of(SUCCESS).found_in(notification.opening)
        and not any_of(NO_SUCCESS).found_in(notification.opening)
    )


def is_delay(notification: Notification) -> bool:
    """Whether the system still tries."""
    said = f"{folded(notification.subject)}\n{notification.opening}"
    is_final = any_of(FINAL).found_in(notification.opening)
    return any_of(DELAY).found_in(said) and not is_final


def is_daemon(notification: Notification) -> bool:
    """Whether a mail system is in From, or nobody."""
    return not notification.author or any_of(DAEMON).found_in(notification.author)


def is_after_data(notification: Notification, diagnostic: str) -> bool:
    """Whether *diagnostic* was said when the whole message was there, and no earlier."""
    said, text = folded(diagnostic), notification.opening
    at = text.find(said) if len(said) >= _SHORTEST_REPLY else -1
    while at >= 0:
        before, after = text[max(0, at - 60) : at], text[at + len(said) : at + len(said) + 40]
        if _DATA_BEFORE.search(before) or _DATA_AFTER.match(after):
            return True
        at = text.find(said, at + 1)
    return False


def _is_office(notification: Notification) -> bool:
    return any_of(OFFICE).found_in(notification.author)


def _weight_of_author(notification: Notification) -> int:
    message = notification.message
    by_daemon = is_daemon(notification)
    weight = 3 if by_daemon else 1 if _is_office(notification) else 0
    return_path = message.value("return-path").replace(" ", "").lower()
    if return_path == "<>" or "mailer-daemon" in return_path:
        weight += 2
    elif weight == 0 and return_path and f" {return_path}" in notification.author:
        weight -= 3  # It has a name, and can be answered; programs are bare addresses.
    if message.first("x-failed-recipients") or notification.report_type == "delivery-status":
        weight += 3
    automatic = message.value("auto-submitted").lower()
    if automatic.startswith(("auto-generated", "auto-notified")):
        weight += 1
    elif automatic.startswith("auto-replied") and not by_daemon:
        weight -= 2  # A person's program (RFC 3834), which may also say that they have left.
    if message.first("list-unsubscribe") or message.first("list-id"):
        weight -= 1
    if message.first("x-cron-env"):
        weight -= 3
    return weight


def _says_failure(notification: Notification) -> bool:
    said = _own_words(notification)
    if any_of(FAILURE).found_in(said):
        return True
    # A short text that says nothing but why.
    reason = reason_of(said) if len(said) <= _SHORT_TEXT else Reason.UNKNOWN
    return reason not in (Reason.UNKNOWN, Reason.EXPIRED)


def _own_words(notification: Notification) -> str:
    """Return the opening; of what a person may have written without what they quote."""
    if is_daemon(notification):
        return notification.opening
    lines = notification.text[:OPENING_LIMIT].splitlines()
    own = "\n".join(line for line in lines if not line.startswith(">"))
    return folded(own, limit=OPENING_LIMIT)


def _is_about_failure(subject: str, *, by_system: bool) -> bool:
    """Whether *subject* says so; where a person may write, it has to begin with it, or to end."""
    said, failure = folded(subject).strip(" *[]-!"), any_of(FAILURE)
    if by_system:
        return failure.found_in(said)
    head, _, tail = said.rpartition(":")
    return failure.begins(said) or bool(head and failure.begins(tail.strip(" (")))


def _has_substance(notification: Notification) -> bool:
    """Whether it says of whom, or by which code, or returns what: whoever only alarms does not."""
    return (
        notification.returned is not None
        or REPLY_CODE.search(notification.opening) is not None
        or bool(notification.statuses)
        or bool(notification.mentions)
        or notification.message.first("x-failed-recipients") is not None
    )


def _is_by_hand(notification: Notification, *, in_subject: bool) -> bool:
    subject = _BY_HAND.sub("re:", notification.subject)
    answers = _BY_HAND.match(subject) is not None
    tail = folded(subject.rpartition(":")[2])
    if answers and in_subject and any_of(FAILURE).found_in(tail) and tail != folded(subject[3:]):
        answers = False  # "Re: your subject : not delivered"
    return answers or any_of(FORWARDED).found_in(notification.opening)
