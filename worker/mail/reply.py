"""What a host answered (RFC 5321, section 4.2), and what that means for a delivery.

The same code means different things at different stages. Before RCPT nothing
was said about a recipient: a refusal there is the account's trouble and never
a member's. At RCPT and after the dot it is about this one copy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

_COMPLETION = 2
_PERMANENT = 5
_SERVICE_NOT_AVAILABLE = 421
_EXCEEDED_STORAGE = 552
# Postfix, for one, says only at RCPT what it has against who a message is from.
_NAMES_THE_SENDER = re.compile(
    r"<>|\bsender\b|\bnull\b|mail from|return[- ]path|envelope from|\b[45]\.1\.[78]\b",
    re.IGNORECASE,
)


class Stage(Enum):
    """Where in a session a reply was given."""

    CONNECT = "connect"
    EHLO = "ehlo"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"


class Disposition(Enum):
    """What a reply says about one copy."""

    HANDED_OVER = "handed_over"
    DEFERRED = "deferred"
    REFUSED = "refused"
    ACCOUNT_TROUBLE = "account_trouble"


@dataclass(frozen=True, slots=True)
class Reply:
    """A host's reply: *text* has its lines joined by one space."""

    stage: Stage
    code: int
    text: str

    @property
    def disposition(self) -> Disposition:
        """What the reply says about the copy."""
        if self.stage is Stage.DOT and self.is_completion:
            return Disposition.HANDED_OVER
        if self.is_about_size:
            return Disposition.REFUSED
        if self.stage not in (Stage.RCPT, Stage.DATA, Stage.DOT):
            return Disposition.ACCOUNT_TROUBLE
        if self.is_permanent:
            return Disposition.REFUSED
        # 4yz, and anything a broken server invents: trying again is the answer
        # that loses no mail.
        return Disposition.DEFERRED

    @property
    def is_about_size(self) -> bool:
        """Whether this message is too big, and another is not (RFC 1870, section 6.1)."""
        return self.stage is Stage.MAIL and self.code == _EXCEEDED_STORAGE

    @property
    def may_be_about_null_path(self) -> bool:
        """Whether the same copy with a return path might not be answered so.

        Hosts have no common code for it: 501, 530, 550, 553 and 554 are all in use.
        """
        if self.ends_session or self.is_about_size:
            return False
        if self.stage in (Stage.RCPT, Stage.DATA):
            return self.is_permanent or _NAMES_THE_SENDER.search(self.text) is not None
        return self.stage is Stage.MAIL

    @property
    def is_permanent(self) -> bool:
        """Whether trying again as it is would be answered the same (section 4.2.1)."""
        return self.code // 100 == _PERMANENT

    @property
    def is_completion(self) -> bool:
        """Whether the command has been done."""
        return self.code // 100 == _COMPLETION

    @property
    def ends_session(self) -> bool:
        """The server closes after a 421, whatever it answered to (section 3.8)."""
        return self.code == _SERVICE_NOT_AVAILABLE

    def __str__(self) -> str:
        """Return the reply as a log or a row keeps it, at most 500 characters."""
        return f"{self.code} {self.text}"[:500]
