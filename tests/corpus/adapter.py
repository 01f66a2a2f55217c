"""Our reader in the form that the shared measuring tool wants.

From the repository root:

    python3 ../shared/tools/score_returns.py ../shared/corpus \
        --parser tests.corpus.adapter:read
"""

from __future__ import annotations

from typing import Any

from worker.mail import dsn, trace
from worker.mail.challenge import is_challenge
from worker.mail.header import read_message
from worker.mail.notification import Notification
from worker.mail.reason import NOBODY, PASSING, Reason
from worker.mail.returns import read_return

_KINDS = {
    dsn.Kind.REPORT: "bounce",
    dsn.Kind.DELAYED: "bounce",
    dsn.Kind.DELIVERED: "dsn-success",
    dsn.Kind.COMPLAINT: "complaint",
}

# By these rules a program answers to what somebody has sent it.
_ANSWERS = {
    "receipt",
    "auto-replied",
    "autoreply-field",
    "autoreply-precedence",
    "subject",
    "challenge",
    "acknowledgement",
    "null-return-path-answer",
}


def read(raw: bytes) -> dict[str, Any]:
    """Classify *raw* as the tool's parsers do."""
    found = read_return(raw)
    if found is None:
        # Newsletters, cron and calendars are automatic for us, and posts for the measure.
        rule = trace.is_automatic(read_message(raw))
        answers = rule in _ANSWERS or is_challenge(Notification(raw.lstrip()))
        return {"kind": "autoreply" if answers else "post", "recipients": []}
    return {
        "kind": _KINDS[found.kind],
        "recipients": [
            _recipient(report, found.kind)
            for report in found.recipients
            if report.action not in dsn.DELIVERED
        ],
    }


def _recipient(report: dsn.RecipientReport, kind: dsn.Kind) -> dict[str, str]:
    passes = not report.status and report.reason in PASSING
    transient = kind is dsn.Kind.DELAYED or report.status.startswith("4") or passes
    # DNS trouble says "no such host", too.
    may_pass = report.status.startswith("4") and report.reason is not Reason.UNKNOWN_USER
    hard = report.action != "delayed" and report.reason in NOBODY and not may_pass
    return {
        "address": report.final_recipient,
        "class": "transient" if transient else "permanent",
        "permanence": "hard" if hard else "soft",
        "status": report.status,
        "reason": report.reason.value,
    }
