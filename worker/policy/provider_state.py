"""What is different about a provider for a while: slower, or nothing at all.

A slow row holds its factor until its end; then a quarter comes back with each
whole hour, and after three hours it is as if it had never been. A pause ends
all at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

SLOWEST = 0.1
MATTERS_FOR = timedelta(hours=3)  # After its end; store.provider_states.live has the same.

_RECOVERED_EACH_HOUR = 0.25
_WHY_LIMIT = 300
_NO_ADDRESS = r"\s<>()\[\]\",;:'"
_ADDRESS = re.compile(
    rf'(?:"[^"\n]{{1,64}}"|(?<![^{_NO_ADDRESS}])(?:(?!%40)[^{_NO_ADDRESS}@])++)'
    rf"(?:@|%40)[^{_NO_ADDRESS}]++",
    re.IGNORECASE,
)


class StateKind(StrEnum):
    """As relais.provider_state has them."""

    SLOW = "slow"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class ProviderState:
    """A row of relais.provider_state: of a provider, or of one posting there."""

    provider: str
    account: str | None  # None: whoever submits.
    posting_id: int | None  # None: all.
    kind: StateKind
    factor: float | None  # Of a slow one.
    since: datetime
    until: datetime
    why: str
    rule_id: str | None  # None: an operator's.
    set_by: str

    def factor_at(self, now: datetime) -> float:
        """Say what part of its limits the provider gets, as far as this row says."""
        if self.kind is not StateKind.SLOW or self.factor is None:
            return 1.0
        over = now - self.until
        if over >= MATTERS_FOR:
            return 1.0
        hours = max(0, over // timedelta(hours=1))
        return min(1.0, self.factor + _RECOVERED_EACH_HOUR * hours)


def rate_factor(states: Iterable[ProviderState], provider: str, now: datetime) -> float:
    """Say what part of its limits *provider* gets; the slowest row counts."""
    return min((s.factor_at(now) for s in states if s.provider == provider), default=1.0)


def paused_until(
    states: Iterable[ProviderState], provider: str, account: str | None, now: datetime
) -> datetime | None:
    """Say until when *account* leaves *provider* alone; None if it does not.

    A posting that is stopped at the provider pauses nobody else.
    """
    ends = [
        state.until
        for state in states
        if state.kind is StateKind.PAUSE
        and state.posting_id is None
        and state.provider == provider
        and state.account in (None, account)
        and state.until > now
    ]
    return max(ends, default=None)


def kept_why(text: str) -> str:
    """Return of *text* what a row may keep: short, and no address, for it outlives the mail."""
    masked = _ADDRESS.sub("(address)", text[: 4 * _WHY_LIMIT].replace("\0", ""))
    return " ".join(masked.split())[:_WHY_LIMIT]
