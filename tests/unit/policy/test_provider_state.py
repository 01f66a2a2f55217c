"""Slowed and paused providers: how long, how much, and how it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.policy.provider_state import (
    ProviderState,
    StateKind,
    kept_why,
    paused_until,
    rate_factor,
)

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def slow(factor: float, *, until: datetime = NOON, provider: str = "orange") -> ProviderState:
    """Return a slowed provider."""
    return ProviderState(
        provider,
        None,
        None,
        StateKind.SLOW,
        factor,
        NOON - HOUR,
        until,
        "too fast",
        "r",
        "feedback",
    )


def pause(
    until: datetime,
    *,
    provider: str = "orange",
    account: str | None = None,
    posting_id: int | None = None,
) -> ProviderState:
    """Return a paused provider, account there, or posting there."""
    return ProviderState(
        provider, account, posting_id, StateKind.PAUSE, None, NOON - HOUR, until, "no", "r", "me"
    )


class Factor(NamedTuple):
    """States, the time since noon, and the factor then."""

    states: list[ProviderState]
    after: timedelta
    factor: float


FACTORS = {
    "nothing": Factor([], timedelta(), 1.0),
    "in force": Factor([slow(0.5)], -HOUR, 0.5),
    "at its end": Factor([slow(0.5)], timedelta(), 0.5),
    "not a whole hour after": Factor([slow(0.5)], timedelta(minutes=59), 0.5),
    "a quarter an hour": Factor([slow(0.5)], HOUR, 0.75),
    "never above one": Factor([slow(0.9)], HOUR, 1.0),
    "the slowest, after two hours": Factor([slow(0.1)], 2 * HOUR, 0.6),
    "forgotten after three": Factor([slow(0.1)], 3 * HOUR, 1.0),
    "the smallest counts": Factor([slow(0.5), slow(0.25), slow(0.75)], timedelta(), 0.25),
    "of another provider": Factor([slow(0.5, provider="sfr")], timedelta(), 1.0),
    "a pause slows nothing": Factor([pause(NOON + HOUR)], timedelta(), 1.0),
}


@pytest.mark.parametrize("case", FACTORS.values(), ids=FACTORS)
def test_rate_factor(case: Factor) -> None:
    """A factor holds until its end and then comes back in steps."""
    assert rate_factor(case.states, "orange", NOON + case.after) == pytest.approx(case.factor)


class Paused(NamedTuple):
    """States, and until when Orange is left alone."""

    states: list[ProviderState]
    until: datetime | None


PAUSES = {
    "nothing": Paused([], None),
    "over": Paused([pause(NOON)], None),
    "in force": Paused([pause(NOON + HOUR)], NOON + HOUR),
    "the latest counts": Paused([pause(NOON + 2 * HOUR), pause(NOON + HOUR)], NOON + 2 * HOUR),
    "of this account": Paused([pause(NOON + HOUR, account="main")], NOON + HOUR),
    "of another account": Paused([pause(NOON + HOUR, account="second")], None),
    "of another provider": Paused([pause(NOON + HOUR, provider="sfr")], None),
    "of one posting": Paused([pause(NOON + HOUR, posting_id=1)], None),
    "slowed is not paused": Paused([slow(0.5, until=NOON + HOUR)], None),
}


@pytest.mark.parametrize("case", PAUSES.values(), ids=PAUSES)
def test_paused_until(case: Paused) -> None:
    """A provider is left alone for what concerns the account, and no posting's stop."""
    assert paused_until(case.states, "orange", "main", NOON) == case.until


FACTORS_GIVEN = st.floats(min_value=0.1, max_value=0.99)
SPANS = st.timedeltas(min_value=timedelta(), max_value=timedelta(days=1))


@given(
    st.lists(st.builds(lambda factor, span: slow(factor, until=NOON + span), FACTORS_GIVEN, SPANS)),
    SPANS,
    SPANS,
)
def test_recovery_never_goes_back(
    states: list[ProviderState], first: timedelta, more: timedelta
) -> None:
    """Time alone only speeds up, and all is well in the end."""
    earlier = rate_factor(states, "orange", NOON + first)

    assert 0.1 <= earlier <= rate_factor(states, "orange", NOON + first + more) <= 1
    assert rate_factor(states, "orange", NOON + timedelta(days=2)) == 1


WHYS = {
    "an address": ("<jean.dupont@orange.fr>: unknown", "<(address)>: unknown"),
    "in a link": ("see http://x.test/?e=jean%40orange.fr now", "see http:(address) now"),
    "quoted": ('"jean dupont"@orange.fr is full', "(address) is full"),
    "spaces and NUL": ("a\r\n b\0c", "a bc"),
    "none": ("OFR_999 [999]", "OFR_999 [999]"),
}


@pytest.mark.parametrize(("text", "kept"), WHYS.values(), ids=WHYS)
def test_reasons_hold_no_address(text: str, kept: str) -> None:
    """A reason outlives the mail it came from."""
    assert kept_why(text) == kept


@given(st.text())
def test_reasons_are_short(text: str) -> None:
    """Whatever a stranger writes."""
    assert len(kept_why(text * 50)) <= 300
    assert "jean@orange.fr" not in kept_why(f"{text} jean@orange.fr {text}")
