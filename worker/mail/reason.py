"""Why a recipient was not reached: a closed list."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why; the values are stored, and they are labels of a metric."""

    # The address itself.
    UNKNOWN_USER = "unknown_user"
    UNKNOWN_DOMAIN = "unknown_domain"
    NOT_ACCEPTING = "not_accepting"  # A domain or host that takes no mail at all: a null MX.
    MOVED = "moved"
    DISABLED = "disabled"  # An account that is suspended, closed or inactive.
    # The recipient, for now.
    FULL = "full"
    RECIPIENT_RATE = "recipient_rate"  # Too much mail for this one mailbox.
    FILTERED = "filtered"  # The recipient's own rules, or a filter that speaks for them.
    EXPIRED = "expired"  # Given up after hours or days, nobody says why.
    # The message.
    TOO_BIG = "too_big"
    CONTENT = "content"  # Taken for spam, a virus, a forbidden attachment.
    FORM = "form"  # Its syntax.
    LOOP = "loop"
    # Who sends: the relay, its address, its rate, its domain.
    SENDING_IP = "sending_ip"  # Block lists, reputation, no reverse name.
    RATE = "rate"
    AUTHENTICATION = "authentication"  # SPF, DKIM, DMARC.
    SENDER = "sender"  # The return address, or who is meant by From.
    ACCOUNT_LIMIT = "account_limit"  # Our own host's quota.
    # The receiving system.
    POLICY = "policy"
    RELAYING = "relaying"
    NETWORK = "network"
    SYSTEM = "system"
    UNKNOWN = "unknown"


# There is nobody, whatever is sent and whoever sends it.
NOBODY = frozenset({Reason.UNKNOWN_USER, Reason.UNKNOWN_DOMAIN, Reason.NOT_ACCEPTING, Reason.MOVED})
# Things that pass, where no code says otherwise.
PASSING = frozenset({Reason.EXPIRED, Reason.NETWORK, Reason.RATE, Reason.RECIPIENT_RATE})
