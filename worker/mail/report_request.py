"""Asking for reports (RFC 3461): what MAIL and RCPT say where a host offers DSN.

Only the header of a copy is wanted back; its X-Relais-Ref and the envelope
identifier name the delivery. Success is not asked for: a report for each copy
that arrived would be as much mail as the copies were.
"""

from __future__ import annotations

import re

_ORCPT_LIMIT = 500
_NOT_XTEXT = re.compile(rb"[^!-~]|[+=]")


def mail_parameters(envelope_id: str) -> str:
    """Return what MAIL says of the reports about one copy."""
    return f" RET=HDRS ENVID={xtext(envelope_id)}"


def rcpt_parameters(recipient: str) -> str:
    """Return what RCPT says: when a report is wanted, and for whom the copy was at first."""
    original = f"rfc822;{xtext(recipient)}"
    if len(original) > _ORCPT_LIMIT:  # Section 4.2.
        return " NOTIFY=FAILURE,DELAY"
    return f" NOTIFY=FAILURE,DELAY ORCPT={original}"


def xtext(text: str) -> str:
    """Write *text* as xtext (section 4)."""
    return _NOT_XTEXT.sub(lambda octet: b"+%02X" % octet[0][0], text.encode()).decode("ascii")
