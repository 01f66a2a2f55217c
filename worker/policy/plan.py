"""The plan: when each delivery is expected to leave.

One function computes every time that people are told (DESIGN, section 7). It
plays the dispatcher's rule forward: whenever a limit has room again, each
account hands over what its limits allow, providers in turns. Marks are held in
the bins of relais.limit_spent, so the windows move here as they will there.

What a submission itself takes is not counted: beside the limits it is nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from worker.policy.limit import Limit

# As relais.bin_of has it: a hundredth of the period, counted from one moment.
_BINS = 100
_FIRST_BIN = datetime(2000, 1, 1, tzinfo=UTC)

# A time beyond this is no plan: something must be changed, and a person told.
_IN_SIGHT = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Window:
    """A limit and what counts against it: marks by the start of their bin, and claims."""

    account: str | None
    provider: str | None
    limit: Limit
    bins: Mapping[datetime, int]
    claimed: int

    @property
    def spent(self) -> int:
        """How many marks count against the limit."""
        return sum(self.bins.values())


@dataclass(frozen=True, slots=True)
class Place:
    """Where the last of some deliveries stands in its provider's queue.

    The first delivery that waits is number 1; 0 stands for those that are
    already claimed. None of them is due after *due_at*.
    """

    nth: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class _Departure:
    at: datetime
    total: int  # Left by then, from the provider's queue.


@dataclass(frozen=True, slots=True)
class Plan:
    """When the deliveries of each provider's queue leave."""

    now: datetime
    departures: Mapping[str, list[_Departure]]

    def leaves_at(self, provider: str, place: Place) -> datetime | None:
        """When the delivery at *place* leaves; None if that is not in sight."""
        if place.nth == 0:
            return self.now
        departures = self.departures.get(provider, [])
        index = bisect_left(departures, place.nth, key=lambda departure: departure.total)
        if index == len(departures):
            return None
        return max(departures[index].at, place.due_at)

    def finish_at(self, places: Mapping[str, Place]) -> datetime | None:
        """When all are gone that stand no later than *places*; None without any."""
        times = [self.leaves_at(provider, place) for provider, place in places.items()]
        known = [time for time in times if time is not None]
        return max(known) if known and len(known) == len(times) else None


def make_plan(
    now: datetime,
    waiting: Mapping[str, int],
    *,
    windows: Iterable[Window],
    accounts: Mapping[str, datetime],
) -> Plan:
    """Plan the departures of all that is *waiting*, by provider.

    *accounts* are those that submit, and from when: a pause may still run.
    """
    meters = [_Meter(window, now) for window in windows]
    desks = {
        account: (opens_at, [m for m in meters if m.account in (None, account)])
        for account, opens_at in sorted(accounts.items())
    }
    left = {provider: count for provider, count in waiting.items() if count > 0}
    departures: dict[str, list[_Departure]] = {provider: [] for provider in left}
    moment: datetime | None = now
    while left and moment is not None:
        for meter in meters:
            meter.move_to(moment)
        for opens_at, mine in desks.values():
            if opens_at <= moment:
                for provider, count in _affordable(left, mine).items():
                    _leave(provider, count, left, mine, moment)
                    total = waiting[provider] - left.get(provider, 0)
                    departures[provider].append(_Departure(moment, total))
        moment = _next_moment(moment, meters, accounts, end=now + _IN_SIGHT)
    return Plan(now, departures)


class _Meter:
    """A window while time passes."""

    def __init__(self, window: Window, now: datetime) -> None:
        self.account = window.account
        self.provider = window.provider
        self.room = window.limit.amount - window.spent
        self._bin = window.limit.period / _BINS
        # A bin that the window cuts is counted whole: it is held for one bin more.
        self._held_for = window.limit.period + self._bin
        self._held = deque(
            (bin_start + self._held_for, count) for bin_start, count in sorted(window.bins.items())
        )
        if window.claimed:
            self.take(window.claimed, now)

    @property
    def frees_at(self) -> datetime | None:
        return self._held[0][0] if self._held else None

    def move_to(self, moment: datetime) -> None:
        while self._held and self._held[0][0] <= moment:
            self.room += self._held.popleft()[1]

    def take(self, count: int, moment: datetime) -> None:
        bin_start = moment - (moment - _FIRST_BIN) % self._bin
        self._held.append((bin_start + self._held_for, count))
        self.room -= count


def _affordable(left: Mapping[str, int], meters: Iterable[_Meter]) -> dict[str, int]:
    """Return how many may leave now, by provider; those with few to send come first."""
    in_all = sum(left.values())
    rooms = dict(left)
    for meter in meters:
        room = max(0, meter.room)
        if meter.provider is None:
            in_all = min(in_all, room)
        elif meter.provider in rooms:
            rooms[meter.provider] = min(rooms[meter.provider], room)
    return _shared(in_all, {provider: room for provider, room in rooms.items() if room})


def _shared(in_all: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """Share out *in_all* in turns, until each has what it wanted or nothing is left."""
    shares = {}
    turns = sorted(wanted.items(), key=lambda want: (want[1], want[0]))
    for served, (provider, count) in enumerate(turns):
        share = min(count, in_all // (len(turns) - served))
        in_all -= share
        if share:
            shares[provider] = share
    return shares


def _leave(
    provider: str, count: int, left: dict[str, int], meters: Iterable[_Meter], moment: datetime
) -> None:
    left[provider] -= count
    if not left[provider]:
        del left[provider]
    for meter in meters:
        if meter.provider in (None, provider):
            meter.take(count, moment)


def _next_moment(
    moment: datetime,
    meters: Iterable[_Meter],
    accounts: Mapping[str, datetime],
    *,
    end: datetime,
) -> datetime | None:
    """Return when there may be room again, if that is before *end*."""
    frees = [meter.frees_at for meter in meters]
    times = [time for time in frees if time is not None]
    times += [opens_at for opens_at in accounts.values() if opens_at > moment]
    soonest = min(times, default=end)
    return soonest if soonest < end else None
