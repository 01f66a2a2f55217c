"""Diagnosis: the reason of a failure, read from a system's words, then from its codes.

Codes mislead: French providers refuse a full mailbox with 5.1.1 and say "try later"
with 550, gateways put 5.7.1 on everything, and a block of our relay's address comes
with any. So words go first (worker/mail/reason_words.py); then the code of RFC 3463;
then words that mean little by themselves.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from worker.mail.folding import any_of, folded
from worker.mail.reason import NOBODY, Reason
from worker.mail.reason_words import ENDED, GAP, HINTS, MAILBOX, WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.mail.folding import AnyOf
    from worker.mail.reason_words import Words

# Read from words or codes that mean little: whatever else is said is asked, too.
HINTED = frozenset({Reason.UNKNOWN, Reason.SYSTEM, Reason.POLICY, Reason.FORM})
_OF_RECIPIENTS = NOBODY | {Reason.DISABLED, Reason.FULL}

# RFC 3463, section 3; what is left out says nothing by itself.
_CODES: Mapping[str, Reason] = {
    "1.0": Reason.UNKNOWN_USER,
    "1.1": Reason.UNKNOWN_USER,
    "1.2": Reason.UNKNOWN_DOMAIN,
    "1.3": Reason.UNKNOWN_USER,
    "1.4": Reason.UNKNOWN_USER,
    "1.6": Reason.MOVED,
    "1.7": Reason.SENDER,
    "1.8": Reason.SENDER,
    "1.9": Reason.FORM,
    "1.10": Reason.NOT_ACCEPTING,
    "2.0": Reason.FILTERED,
    "2.1": Reason.DISABLED,
    "2.2": Reason.FULL,
    "2.3": Reason.TOO_BIG,
    "2.4": Reason.POLICY,
    "3.0": Reason.SYSTEM,
    "3.1": Reason.SYSTEM,
    "3.2": Reason.NOT_ACCEPTING,
    "4.3.2": Reason.SYSTEM,  # It is being mended.
    "3.3": Reason.SYSTEM,
    "3.4": Reason.TOO_BIG,
    "3.5": Reason.SYSTEM,
    "4.3": Reason.SYSTEM,
    "4.4": Reason.UNKNOWN_DOMAIN,
    "4.5": Reason.RATE,
    "4.6": Reason.LOOP,
    "4.7": Reason.EXPIRED,
    "6.": Reason.FORM,
    "7.8": Reason.AUTHENTICATION,
    "7.13": Reason.DISABLED,
    "7.20": Reason.AUTHENTICATION,
    "7.23": Reason.AUTHENTICATION,
    "7.25": Reason.SENDING_IP,
    "7.26": Reason.AUTHENTICATION,
    "7.27": Reason.SENDER,
    "7.": Reason.POLICY,
    "5.": Reason.FORM,
}
# The three digits alone (RFC 5321, section 4.2.3; RFC 7504).
_REPLIES: Mapping[str, Reason] = {
    "521": Reason.NOT_ACCEPTING,
    "552": Reason.FULL,
    "556": Reason.NOT_ACCEPTING,
    "551": Reason.MOVED,
}

# RFC 3463, section 2, where no longer number or address surrounds it.
STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?!\.{0,3}\d)")
REPLY_CODE = re.compile(r"(?<![\d.:])([45]\d\d)(?!\.{0,3}\d)(?=[ #:-]|$)")
# What a filter says that has taken the recipient, and then the whole message.
_OF_A_FILTER = re.compile(r"user.{0,12}unknown|unknown user|no such user|not exist\w*$")
# Said before the recipient was: it is about who sends.
_BEFORE_RECIPIENT = re.compile(
    r"(?:after|in reply to) (?:mail from|initial connection|[eh][eh]lo)|refused to talk"
    r"|connected to @?.{0,60} but "
)


# A gateway's own words around another server's: 5.1.0 - Unknown address error 550-'...'
_QUOTED_REPLY = re.compile(r"\b[45]\.\d\.\d - [\w ]{1,60}(\d{3}[ -]'.*)")


def reason_of(text: str, status: str = "", *, after_data: bool = False) -> Reason:
    """Say why a recipient was not reached, by what a system said and its *status*.

    *after_data*: it was said when the whole message was there.
    """
    said = folded(text)
    quoted = _QUOTED_REPLY.search(said)
    said = quoted[1] if quoted else said
    found = _first_of(WORDS, said)
    if found in _OF_RECIPIENTS and _is_about_who_sends(said, status):
        return Reason.SENDER
    if found is Reason.UNKNOWN_USER and after_data and _speaks_a_filter(said, status):
        return Reason.FILTERED
    if found is not None:
        return found
    return _of_code(said, status) or _first_of(HINTS, said) or Reason.UNKNOWN


def status_in(text: str) -> str:
    """Return the status code in *text*, or the class that its reply code has."""
    found = STATUS.search(text)
    if found:
        return found[1]
    code = REPLY_CODE.search(text)
    return f"{code[1][0]}.0.0" if code else ""


def _is_about_who_sends(said: str, status: str) -> bool:
    is_of_sender = (status_in(said) or status).endswith((".1.7", ".1.8"))
    return is_of_sender or _BEFORE_RECIPIENT.search(said) is not None


def _speaks_a_filter(said: str, status: str) -> bool:
    return not status.startswith(("5.1.", "4.1.")) and _OF_A_FILTER.search(said) is not None


def _of_code(said: str, status: str) -> Reason | None:
    for code in (*STATUS.findall(said)[:1], status):
        if code in ("4.4.1", "4.4.2"):  # Exchange says 5.4.1 of whoever it does not know.
            return Reason.NETWORK
        _, _, detail = code.partition(".")
        found = _CODES.get(code) or _CODES.get(detail) or _CODES.get(f"{detail.partition('.')[0]}.")
        if found is not None and not detail.startswith("0."):
            return found
    reply = REPLY_CODE.search(said)
    return _REPLIES.get(reply[1]) if reply else None


def _first_of(table: Words, said: str) -> Reason | None:
    return next((reason for reason, words in table if _compiled(words).found_in(said)), None)


@cache
def _compiled(words: tuple[str, ...]) -> AnyOf:
    return any_of(tuple(map(spelt_out, words)))


def spelt_out(word: str) -> str:
    """Return the regular expression that a *word* of the tables stands for."""
    for short, long in ((".. ?", GAP), ("{mailbox}", MAILBOX), ("{ended}", ENDED)):
        word = word.replace(short, long)
    return word
