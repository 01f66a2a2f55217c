"""What may become of an arrival and of a delivery: closed sets.

The values are stored, and they are labels of metrics.
"""

from __future__ import annotations

from enum import StrEnum


class ArrivalKind(StrEnum):
    """What a message in the mailbox is."""

    POSTING = "posting"
    REPORT = "report"
    COMPLAINT = "complaint"
    AUTOMATIC = "automatic"
    REQUEST = "request"
    UNKNOWN = "unknown"


class ArrivalOutcome(StrEnum):
    """What became of it."""

    POSTED = "posted"
    HELD = "held"
    REFUSED_UNKNOWN_LIST = "refused_unknown_list"
    REFUSED_STRANGER = "refused_stranger"
    REFUSED_OVERSIZE = "refused_oversize"
    REFUSED_NOBODY = "refused_nobody"  # Nobody may post to it.
    REFUSED_BANNED = "refused_banned"
    REFUSED_FLOOD = "refused_flood"  # The human behind a role has had enough today.
    REFUSED_UNPROVEN = "refused_unproven"  # Only authenticated authors may post.
    REFUSED_EMPTY_LIST = "refused_empty_list"  # Nobody has this role at the moment.
    REPEATED = "repeated"  # Sent twice: its author is asked whether they mean it.
    STOPPED = "stopped"  # An author's answer to a receipt.
    TO_CONFIRM = "to_confirm"  # Its author is asked whether they wrote it.
    HELD_NO_RECIPIENT_HEADER = "held_no_recipient_header"
    DUPLICATE = "duplicate"
    DROPPED_AUTOMATIC = "dropped_automatic"
    DROPPED_LOOP = "dropped_loop"
    UNSUBSCRIBED = "unsubscribed"
    ASKED_TO_LEAVE = "asked_to_leave"  # To a list, with nothing else to say: told how.
    CONFIRMED = "confirmed"
    APPROVED = "approved"
    DECLINED = "declined"
    ANSWER_UNCLEAR = "answer_unclear"
    ANSWER_LATE = "answer_late"  # Decided before, or expired.
    FORWARDED = "forwarded"  # To the human behind -owner, postmaster ...
    BOUNCED = "bounced"
    DELAYED = "delayed"
    ARRIVED = "arrived"  # A report that the copy has reached its mailbox.
    REQUEUED = "requeued"  # Refused for rate or policy: it leaves again later.
    UNMATCHED_REPORT = "unmatched_report"
    QUARANTINED = "quarantined"


class DeliveryOutcome(StrEnum):
    """How one attempt to submit a copy ended."""

    HANDED_OVER = "handed_over"
    DEFERRED = "deferred"
    REFUSED = "refused"
    PUT_BACK = "put_back"  # Nothing was submitted; it counts for nothing.
    IN_DOUBT = "in_doubt"
    FENCED = "fenced"  # The mark came too late: the claim was no longer ours.


class DeliveryResult(StrEnum):
    """The final states of a delivery; as relais.delivery_state has them."""

    HANDED_OVER = "handed_over"
    BOUNCED = "bounced"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Foreign(StrEnum):
    """Why a report scores nothing against an address."""

    UNKNOWN = "unknown"  # It names nothing that we have submitted.
    FORGED = "forged"  # It has a token that we never signed.
    GONE = "gone"  # Our token, but the delivery is purged.
    MESSAGE_ID = "message_id"  # It knows what everybody on the list knows.


class BounceClass(StrEnum):
    """What a copy that came back says of its address."""

    HARD = "hard"
    SOFT = "soft"
    OTHER = "other"  # Nothing: it blames the message, or who sends it.


class NoticeKind(StrEnum):
    """What we write to one person."""

    CONFIRM = "confirm"
    MODERATE = "moderate"
    HELD = "held"
    REFUSED = "refused"
    EXPIRED = "expired"
    QUERY_FAILS = "query_fails"
    ANSWER_UNCLEAR = "answer_unclear"
    HOW_TO_LEAVE = "how_to_leave"
    DEAD_ADDRESSES = "dead_addresses"  # To who can mend them, weekly.
    FORWARDED = "forwarded"
    FAREWELL = "farewell"  # To who has left every list on a page.
    RECEIPT = "receipt"
    DELAY = "delay"
    REPORT = "report"  # How a posting ended.
    STOP_REPORT = "stop_report"  # The same, to the author who has stopped it.
    REPORT_TO_OWNER = "report_to_owner"  # The same, with the addresses that were refused.
    NOT_POSTED = "not_posted"  # Why a message was not taken for a list.
    SENT_TWICE = "sent_twice"
    NO_MORE_TODAY = "no_more_today"  # Any of these, which says that it is the day's last.
    RECHECK = "recheck"  # To an address of which a copy has come back: does it work?


# What answers an author's message: counted, no more than a few a day, and from a
# null return path where the host takes one (RFC 3834, section 3.3).
ANSWERS = (
    NoticeKind.HELD,
    NoticeKind.REFUSED,
    NoticeKind.EXPIRED,
    NoticeKind.QUERY_FAILS,
    NoticeKind.RECEIPT,
    NoticeKind.DELAY,
    NoticeKind.REPORT,
    NoticeKind.STOP_REPORT,
    NoticeKind.NOT_POSTED,
    NoticeKind.SENT_TWICE,
    NoticeKind.NO_MORE_TODAY,
)


# What is sent because its recipient has written (RFC 3834, section 5.1); all else a
# program sends of itself.
RESPONSES = (
    *ANSWERS,
    NoticeKind.CONFIRM,
    NoticeKind.ANSWER_UNCLEAR,
    NoticeKind.HOW_TO_LEAVE,
)


# Answers that no program brings about, and so no number limits.
ASKED_FOR = (NoticeKind.STOP_REPORT,)


class OptOutMethod(StrEnum):
    """How a person left; the source of a suppression."""

    PAGE = "page"
    ONE_CLICK = "one-click"
    MAIL = "mail"
    COMPLAINT = "complaint"
    OPERATOR = "operator"
