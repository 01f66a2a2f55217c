"""How what is in force for a provider is told."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from worker.cli.show import when
from worker.policy.provider_state import MATTERS_FOR, ProviderState, StateKind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

# Who pauses a provider without saying for how long gets a date years ahead.
_FOR_GOOD = timedelta(days=366)


def of_provider(states: Iterable[ProviderState], provider: str) -> list[ProviderState]:
    """Return what is in force for *provider*, or recovering."""
    return [state for state in states if state.provider == provider]


def briefly(states: Iterable[ProviderState], provider: str, now: datetime) -> str:
    """Say in a cell what is in force for *provider*; "" if nothing is."""
    mine = of_provider(states, provider)
    paused = any(s.kind is StateKind.PAUSE and s.posting_id is None for s in in_force(mine, now))
    factor = min((state.factor_at(now) for state in mine), default=1.0)
    if paused:
        return "paused"
    return f"slowed to {percent(factor)}" if factor < 1 else ""


def in_force(states: Iterable[ProviderState], now: datetime) -> list[ProviderState]:
    """Return those of *states* that have not ended; what recovers has."""
    return [state for state in states if state.until > now]


def in_words(state: ProviderState, now: datetime) -> str:
    """Say what *state* does, until when, why and by whom."""
    whose = f" for account {state.account}" if state.account else ""
    whose += f" for posting #{state.posting_id}" if state.posting_id is not None else ""
    by = f"{state.set_by}, rule {state.rule_id}" if state.rule_id else state.set_by
    return f"{_effect(state, now)}{whose} {_end(state, now)}: {state.why} ({by})"


def _effect(state: ProviderState, now: datetime) -> str:
    if state.kind is StateKind.PAUSE:
        return "paused"
    return f"slowed to {percent(state.factor_at(now))}"


def _end(state: ProviderState, now: datetime) -> str:
    if state.until <= now:
        return f"and recovering until {when(state.until + MATTERS_FOR, now)}"
    return until_when(state.until, now)


def until_when(end: datetime, now: datetime) -> str:
    """Tell an end; one that is years ahead only a person brings about."""
    return "until resumed" if end - now > _FOR_GOOD else f"until {when(end, now)}"


def percent(factor: float) -> str:
    """Write a factor as ``50 %``."""
    return f"{factor * 100:.0f} %"


def state_answer(state: ProviderState, now: datetime) -> dict[str, object]:
    """Return *state* for scripts; factor is what it is by now."""
    return {
        "kind": state.kind.value,
        "account": state.account,
        "posting": state.posting_id,
        "factor": None if state.factor is None else state.factor_at(now),
        "since": state.since,
        "until": state.until,
        "why": state.why,
        "rule": state.rule_id,
        "set_by": state.set_by,
    }
