"""How an address fares: what its failures make of it, and when it is asked or tried again.

    state    comes of                                       leaves by
    alive    nothing, or a success                          one clear permanent failure: suspect
    suspect  no such user or domain, said once              a letter after a day; a second day: held
    held     permanent failures on two days, or failures    90 days: trial
             on five days within at least three weeks
    trial    90 days held                                   one permanent failure: held

The state follows from the set of the failures, in whatever order they became
known. A success ends those before it: they are left out by the caller. An
excused failure is not the address's: it came in a burst, in which many copies
of a posting are sent back with the same words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

from worker.mail.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, tzinfo

# What was handed over and has not come back for so long has arrived: relays try for
# five days (RFC 5321, section 4.5.4.1), and then their report is on its way.
ARRIVED_AFTER = timedelta(days=7)
HELD_FOR = timedelta(days=90)
BURST_FROM = 10
BURST_SHARE = 5  # More than a fifth of what has left.
# Letters to suspects in an hour, of all accounts: most come back, and hosts block an
# account at 15 failures an hour.
ASKED_AN_HOUR = 3

_ASKED_AFTER = timedelta(days=1)
_PERMANENT_DAYS = 2
_FAILING_DAYS, _FAILING_FOR = 5, timedelta(days=21)
_BURST_AGAIN = timedelta(days=7)
_CLEAR = frozenset({Reason.UNKNOWN_USER, Reason.UNKNOWN_DOMAIN})
_TEXT_LIMIT = 2000
_MARKS = "<>()[]{}\"'`,;:!?=.*-"


class HealthState(StrEnum):
    """As relais.address_health has them; an address without a row is alive."""

    SUSPECT = "suspect"
    HELD = "held"
    TRIAL = "trial"


@dataclass(frozen=True, slots=True)
class Failure:
    """A copy that came back because of its address."""

    failed_at: datetime
    is_permanent: bool
    reason: Reason
    status: str = ""
    evidence: str = ""
    posting_id: int | None = None  # None: a notice.
    is_excused: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """The state of an address that is not simply alive."""

    state: HealthState
    since: datetime
    due_at: datetime | None  # When it is asked, or tried, again.
    cause: Failure


@dataclass(frozen=True, slots=True)
class Steps:
    """What we have done about an address."""

    asked_at: datetime | None = None  # It was written to after the failure that made it suspect.
    tried_at: datetime | None = None  # Its last trial began.


def health_of(
    failures: Sequence[Failure], steps: Steps | None = None, *, zone: tzinfo | None
) -> Health | None:
    """Say what *failures* make of an address; None if it is alive.

    Days are those of *zone*; None is the machine's own.
    """
    steps = steps or Steps()
    counted = sorted((f for f in failures if _counts(f, failures)), key=_in_order)
    tried_at = steps.tried_at
    if tried_at is not None:
        before = [f for f in counted if f.failed_at < tried_at]
        if (cause := _last_straw(before, zone)) is not None:
            return _on_trial(counted[len(before) :], cause, tried_at, zone)
    if (cause := _last_straw(counted, zone)) is not None:
        return _held(cause)
    clear = next((f for f in counted if f.is_permanent and f.reason in _CLEAR), None)
    return None if clear is None else _suspect(clear, steps, zone)


def is_burst(failures: int, left: int) -> bool:
    """Whether *failures* with the same words, of *left* copies there, blame no address."""
    return failures >= BURST_FROM and failures * BURST_SHARE > left


def words_of(text: str, status: str, *, address: str) -> bytes:
    """Return what two texts share that say the same of two addresses: a hash.

    Numbers, ids, hosts and whatever names the recipient are left out; where
    nothing is left, the status speaks.
    """
    local_part, _, domain = address.lower().rpartition("@")
    words = (word.strip(_MARKS) for word in text[:_TEXT_LIMIT].lower().split())
    said = " ".join(word for word in words if word not in (local_part, domain) and _is_word(word))
    return sha256((said or status).encode("utf-8", "replace")).digest()[:16]


def _is_word(text: str) -> bool:
    """Tell a word from an address, a host, a number and an id."""
    return bool(text) and not any(c.isdigit() or c in "@./_" for c in text)


def _counts(failure: Failure, failures: Iterable[Failure]) -> bool:
    return not failure.is_excused or any(_repeats(failure, earlier) for earlier in failures)


def _repeats(failure: Failure, earlier: Failure) -> bool:
    """Tell whether a burst has come again: then the address may be to blame after all."""
    return (
        earlier.is_excused
        and earlier.posting_id != failure.posting_id
        and failure.failed_at - earlier.failed_at >= _BURST_AGAIN
    )


def _in_order(failure: Failure) -> tuple[object, ...]:
    # Total, so that those of one moment are in one order, too.
    return (
        failure.failed_at,
        not failure.is_permanent,
        failure.reason,
        failure.status,
        failure.evidence,
        failure.posting_id or 0,
        failure.is_excused,
    )


def _last_straw(counted: Sequence[Failure], zone: tzinfo | None) -> Failure | None:
    """Return the failure by which an address is given up."""
    days: list[date] = []
    permanent: set[date] = set()
    for failure in counted:
        day = _day(failure.failed_at, zone)
        if day not in days:
            days.append(day)
        if failure.is_permanent:
            permanent.add(day)
        for_weeks = len(days) >= _FAILING_DAYS and day - days[0] >= _FAILING_FOR
        if len(permanent) >= _PERMANENT_DAYS or for_weeks:
            return failure
    return None


def _held(cause: Failure) -> Health:
    return Health(HealthState.HELD, cause.failed_at, cause.failed_at + HELD_FOR, cause)


def _on_trial(
    since: Sequence[Failure], cause: Failure, tried_at: datetime, zone: tzinfo | None
) -> Health:
    again = next((failure for failure in since if failure.is_permanent), None)
    again = again or _last_straw(since, zone)
    return Health(HealthState.TRIAL, tried_at, None, cause) if again is None else _held(again)


def _suspect(clear: Failure, steps: Steps, zone: tzinfo | None) -> Health:
    is_asked = steps.asked_at is not None and steps.asked_at >= clear.failed_at
    due_at = None if is_asked else _a_day_after(clear.failed_at, zone)
    return Health(HealthState.SUSPECT, clear.failed_at, due_at, clear)


def _a_day_after(moment: datetime, zone: tzinfo | None) -> datetime:
    later = moment + _ASKED_AFTER
    # A day of 25 hours: what comes back at once is to be on another day.
    return later if _day(later, zone) != _day(moment, zone) else later + timedelta(hours=1)


def _day(moment: datetime, zone: tzinfo | None) -> date:
    return moment.astimezone(zone).date()
