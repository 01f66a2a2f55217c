"""How much may be claimed now, of everything that limits it.

Three kinds of rule: for an account (all it submits), for a provider (whoever
submits), and for both together. The worker claims for one account at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from worker.policy.limit import allowance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.policy.limit import Limit


class Use(Protocol):
    """A rule and what counts against it; store.limits.Usage is one."""

    @property
    def account(self) -> str | None:
        """The account it is for; None: any."""

    @property
    def provider(self) -> str | None:
        """The provider it is for; None: any."""

    @property
    def limit(self) -> Limit:
        """What it allows."""

    @property
    def spent(self) -> int:
        """Marks within the last period."""

    @property
    def claimed(self) -> int:
        """Claims that hold a token."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many deliveries may be claimed, in all and to each provider."""

    in_all: int
    by_provider: dict[str, int]


def room_for(providers: Iterable[str], uses: Iterable[Use], *, at_most: int) -> Room:
    """Return the room that the rules in *uses* leave, up to *at_most*."""
    in_all = at_most
    by_provider = dict.fromkeys(providers, at_most)
    for use in uses:
        left = allowance(use.limit, spent=use.spent, claimed=use.claimed)
        if use.provider is None:
            in_all = min(in_all, left)
        elif use.provider in by_provider:
            by_provider[use.provider] = min(by_provider[use.provider], left)
    return Room(in_all, {name: room for name, room in by_provider.items() if room > 0})


def next_window(window: int, *, smallest: int, drained_in: float) -> int:
    """How many claims to keep at hand, after the last ones took *drained_in* seconds.

    A slow host should hold few: what lies here is overtaken by nothing. A fast
    one should never wait for a claim.
    """
    if drained_in < 0.25:  # noqa: PLR2004 - a few times the cost of a claim
        return min(window * 2, 1000)
    if drained_in > 2:  # noqa: PLR2004 - what a small posting may wait behind
        return max(window // 2, smallest)
    return window
