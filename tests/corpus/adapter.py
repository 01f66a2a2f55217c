"""Our reader in the form that the shared measuring tool wants.

From the repository root:

    python3 ../shared/tools/score_returns.py ../shared/corpus \
        --parser tests.corpus.adapter:read
"""

from __future__ import annotations

from typing import Any

from worker.mail import dsn, trace
from worker.mail.header import read_message

# Address status and routing codes that mean: there is nobody (RFC 3463,
# section 3.2). Only for the measure; policy decides who is given up.
_HARD = ("5.1.", "5.4.4", "5.0.0")

_KINDS = {
    dsn.Kind.REPORT: "bounce",
    dsn.Kind.DELAYED: "bounce",
    dsn.Kind.DELIVERED: "dsn-success",
    dsn.Kind.COMPLAINT: "complaint",
}


def read(raw: bytes) -> dict[str, Any]:
    """Classify *raw* as the tool's parsers do."""
    found = dsn.read_return(raw)
    if found is None:
        message = read_message(raw)
        # Newsletters are automatic for us, and posts for the measure.
        is_post = not trace.is_automatic(message) or message.value("precedence") == "bulk"
        kind = "post" if is_post else "autoreply"
        return {"kind": kind, "recipients": []}
    return {
        "kind": _KINDS[found.kind],
        "recipients": [
            _recipient(report, found.kind)
            for report in found.recipients
            if report.action not in ("delivered", "relayed", "expanded")
        ],
    }


def _recipient(report: dsn.RecipientReport, kind: dsn.Kind) -> dict[str, str]:
    transient = kind is dsn.Kind.DELAYED or report.status.startswith("4")
    hard = not transient and report.status.startswith(_HARD)
    return {
        "address": report.final_recipient,
        "class": "transient" if transient else "permanent",
        "permanence": "hard" if hard else "soft",
        "status": report.status,
        "reason": report.diagnostic,
    }
