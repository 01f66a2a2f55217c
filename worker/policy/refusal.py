"""Why a message was not taken for an address, as far as its author may know."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from worker.policy.outcome import ArrivalOutcome

if TYPE_CHECKING:
    from worker.policy.admission import Standing
    from worker.policy.expansion import Definition


class Why(Enum):
    """What an author is told of a refusal."""

    NO_MEMBER = "no member"
    NO_WRITER = "on the list, but not among those who write to it"
    NO_MODERATOR = "not among the moderators"
    NOT_CHOSEN = "not among those whom a view names"
    NOBODY = "nobody may write to it"
    BANNED = "banned"  # Of which nobody is told more than that they cannot.
    UNPROVEN = "only proven authors may"
    TOO_BIG = "too big"
    UNKNOWN_LIST = "no list has this address"
    EMPTY_LIST = "nobody has this role"
    FLOOD = "its reader has had enough today"


_WHY = {
    ArrivalOutcome.REFUSED_BANNED: Why.BANNED,
    ArrivalOutcome.REFUSED_NOBODY: Why.NOBODY,
    ArrivalOutcome.REFUSED_OVERSIZE: Why.TOO_BIG,
    ArrivalOutcome.REFUSED_UNPROVEN: Why.UNPROVEN,
    ArrivalOutcome.REFUSED_UNKNOWN_LIST: Why.UNKNOWN_LIST,
    ArrivalOutcome.REFUSED_EMPTY_LIST: Why.EMPTY_LIST,
    ArrivalOutcome.REFUSED_FLOOD: Why.FLOOD,
}
# They tell who is in the directory, and who is not.
FOR_MEMBERS = frozenset({Why.UNKNOWN_LIST, Why.EMPTY_LIST})


def why_refused(
    outcome: ArrivalOutcome, definition: Definition | None, standing: Standing
) -> Why | None:
    """Return what the author of a message with this *outcome* is told; None: nothing."""
    if outcome is not ArrivalOutcome.REFUSED_STRANGER:
        return _WHY.get(outcome)
    if definition is None:
        return None
    if definition.post == "moderators":
        return Why.NO_MODERATOR
    if definition.post == "view":
        return Why.NOT_CHOSEN
    return Why.NO_WRITER if standing.known else Why.NO_MEMBER
