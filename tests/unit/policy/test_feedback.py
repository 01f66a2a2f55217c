"""What texts mean, and what follows from them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.policy.breaker import opening
from worker.policy.feedback import (
    BURST,
    RETURNS_AT_MOST,
    Action,
    Alert,
    Reaction,
    Rule,
    Situation,
    Verdict,
    action_of_code,
    compiled,
    goes_back,
    normalised,
    react,
    read_verdict,
    refusal_delay,
    returns_at,
)
from worker.policy.limit import Limit
from worker.policy.provider_state import ProviderState, StateKind, rate_factor

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)

TEXTS = {
    "plain": ("250 fine", "250 fine"),
    "white space": (" 550\r\n  5.1.1\tno ", "550 5.1.1 no"),
    "continued": (
        "450-4.2.1 The user is receiving mail at a rate that 450-4.2.1 prevents 450 4.2.1 more",
        "450-4.2.1 The user is receiving mail at a rate that prevents more",
    ),
    "as our connection gives it": ("450 4.2.1 at a rate that 4.2.1 prevents", None),
    "without a status": ("554-gmx.net 554-No SMTP 554 Reject", "554-gmx.net No SMTP Reject"),
    "after the relay's words": ("mx.orange.fr said: 550-a 550 b", "mx.orange.fr said: 550-a b"),
    "NUL": ("a\0b", "ab"),
}


@pytest.mark.parametrize(("text", "said"), TEXTS.values(), ids=TEXTS)
def test_normalised(text: str, said: str | None) -> None:
    """A multi-line reply reads as one sentence."""
    assert normalised(text) == (said or "450 4.2.1 at a rate that prevents")


CODES = {
    "no address": ("550 5.1.1 x", None, Action.HARD),
    "disabled": ("550 5.2.1 x", None, Action.HARD),
    "other permanent": ("550 5.7.1 x", None, Action.SOFT),
    "temporary": ("450 4.1.1 x", None, Action.SOFT),
    "a bare reply code": ("550 x", None, Action.SOFT),
    "the report's status": ("no words", "5.1.1", Action.HARD),
    "more telling than the reply code": ("550 x", "5.1.1", Action.HARD),
    "the text's own comes first": ("452 4.2.2 x", "5.1.1", Action.SOFT),
    "our own address": ("553 5.1.8 x", None, Action.SOFT),
    "delivered": ("250 2.0.0 x", "2.0.0", None),
    "nothing": ("no words", "", None),
}


@pytest.mark.parametrize(("text", "status", "action"), CODES.values(), ids=CODES)
def test_action_of_code(text: str, status: str | None, action: Action | None) -> None:
    """Without a rule only an address status gives an address up."""
    assert action_of_code(text, status) == action


RULES = [
    Rule("own", "orange", compiled("later"), Action.PAUSE, None, HOUR),
    Rule("any_first", None, compiled("try (?:again )?later"), Action.SOFT),
    Rule("any_hard", None, compiled("host not found|does not exist"), Action.HARD),
    Rule("sfr", "sfr", compiled("."), Action.CONTENT),
]


class Said(NamedTuple):
    """A text at a provider, and what it means."""

    provider: str
    text: str
    rule_id: str | None
    action: Action


SAID = {
    "own rules first": Said("orange", "550 5.1.1 TRY LATER", "own", Action.PAUSE),
    "any provider": Said("free", "550 5.1.1 try later", "any_first", Action.SOFT),
    "another provider's are not asked": Said("free", "550 5.7.1 x", None, Action.SOFT),
    "text before code": Said("free", "550 5.2.2 host not found", "any_hard", Action.HARD),
    "temporary words spare": Said("free", "450 4.4.3 host not found", "any_hard", Action.SOFT),
    "our domain": Said("free", "553 5.1.8 x.fr does not exist", "any_hard", Action.SOFT),
    "only what is near": Said("free", "x" * 2000 + " try later", None, Action.SOFT),
    "nothing at all": Said("free", "", None, Action.SOFT),
}


@pytest.mark.parametrize("case", SAID.values(), ids=SAID)
def test_read_verdict(case: Said) -> None:
    """The first rule that finds its pattern wins; else the code."""
    verdict = read_verdict(case.text, provider=case.provider, rules=RULES)

    assert (verdict.rule_id, verdict.action) == (case.rule_id, case.action)


@pytest.mark.parametrize("pattern", ["(", "a{9999999999}", "[z-a]", "(?P<x>a)(?P<x>b)", "(" * 5000])
def test_bad_patterns_are_told(pattern: str) -> None:
    """And nothing else is raised."""
    with pytest.raises(ValueError, match="is no regular expression"):
        compiled(pattern)


@given(st.text(), st.none() | st.text(max_size=10))
def test_any_text_has_a_verdict(text: str, status: str | None) -> None:
    """Nothing is raised, whatever a stranger writes."""
    verdict = read_verdict(text, provider="orange", rules=RULES, status=status)

    assert verdict.action in Action


SLOW = Verdict("too_many", Action.SLOW, 0.5, HOUR)
PAUSE = Verdict("later", Action.PAUSE, None, 2 * HOUR)
BLOCKED = Verdict("dnsbl", Action.IP_BLOCK, None, 6 * HOUR)
CONTENT = Verdict("spam", Action.CONTENT)
AUTH = Verdict("dmarc", Action.AUTH)
SENDER = Verdict("from", Action.SENDER)
QUOTA = Verdict("cpanel", Action.ACCOUNT_LIMIT, None, HOUR)


def at(
    *states: ProviderState,
    now: datetime = NOON,
    posting_id: int | None = 7,
    returned: int = 0,
    is_limited: bool = True,
) -> Situation:
    """A copy of posting 7 to Orange from the account ``main``."""
    return Situation(
        "orange", "main", posting_id, now, "their words", returned, is_limited, tuple(states)
    )


def state_of(reaction: Reaction) -> ProviderState:
    """Return the state that must have come of it."""
    assert reaction.state is not None
    return reaction.state


class Follows(NamedTuple):
    """A verdict somewhere, and the state that follows."""

    verdict: Verdict
    at: Situation
    kind: StateKind
    length: timedelta
    alert: Alert
    account: str | None = None
    posting_id: int | None = None


FOLLOWS = {
    "slow": Follows(SLOW, at(), StateKind.SLOW, HOUR, Alert.PROVIDER_SLOWED),
    "slow without a limit": Follows(
        SLOW, at(is_limited=False), StateKind.PAUSE, 15 * MINUTE, Alert.PROVIDER_PAUSED
    ),
    "pause": Follows(PAUSE, at(), StateKind.PAUSE, 2 * HOUR, Alert.PROVIDER_PAUSED),
    "block": Follows(
        BLOCKED, at(), StateKind.PAUSE, 6 * HOUR, Alert.PROVIDER_PAUSED, account="main"
    ),
    "content": Follows(
        CONTENT, at(), StateKind.PAUSE, 5 * DAY, Alert.POSTING_STOPPED, posting_id=7
    ),
    "content for a day": Follows(
        Verdict("low", Action.CONTENT, None, DAY),
        at(),
        StateKind.PAUSE,
        DAY,
        Alert.POSTING_STOPPED,
        posting_id=7,
    ),
    "sender": Follows(SENDER, at(), StateKind.PAUSE, 5 * DAY, Alert.POSTING_STOPPED, posting_id=7),
    "auth": Follows(AUTH, at(), StateKind.PAUSE, 6 * HOUR, Alert.AUTHENTICATION_REFUSED),
}


@pytest.mark.parametrize("case", FOLLOWS.values(), ids=FOLLOWS)
def test_what_follows(case: Follows) -> None:
    """The provider, the account there, or the posting there; the copy goes back."""
    reaction = react(case.verdict, case.at)
    state = state_of(reaction)

    assert (state.kind, state.until - state.since) == (case.kind, case.length)
    assert (state.account, state.posting_id) == (case.account, case.posting_id)
    assert reaction.alert is case.alert
    assert reaction.requeue
    assert not reaction.counts


def test_the_host_limits_us() -> None:
    """That is the account's, and no provider's."""
    assert react(QUOTA, at()) == Reaction(
        requeue=True, counts=False, account_pause=HOUR, alert=Alert.ACCOUNT_PAUSED
    )


OTHERS = sorted(
    set(Action) - {v.action for v in (SLOW, PAUSE, BLOCKED, CONTENT, AUTH, SENDER, QUOTA)}
)


@pytest.mark.parametrize("action", OTHERS)
def test_what_is_about_the_person_or_the_copy(action: Action) -> None:
    """Nothing follows for others; only hard and soft count."""
    assert react(Verdict("x", action), at()) == Reaction(
        requeue=False, counts=action in (Action.HARD, Action.SOFT)
    )


STOPS = [PAUSE, BLOCKED, CONTENT, AUTH, SENDER]


@pytest.mark.parametrize("verdict", STOPS)
def test_what_one_server_of_thousands_says_stops_no_other(verdict: Verdict) -> None:
    """The copy goes back; nothing rests for everybody whose provider has no name."""
    reaction = react(verdict, replace(at(), provider="other"))

    assert reaction == Reaction(requeue=True, counts=False)


def test_many_servers_of_thousands_stop_a_posting() -> None:
    """A burst is no longer one server's word."""
    burst = Verdict(BURST, Action.CONTENT)

    assert state_of(react(burst, replace(at(), provider="other"))).posting_id is not None


@pytest.mark.parametrize("verdict", [*STOPS, QUOTA])
def test_words_without_a_rule_stop_nobody_else(verdict: Verdict) -> None:
    """They may be wrong: the copy goes back, and that is all."""
    reaction = react(replace(verdict, is_by_words=True), at())

    assert reaction == Reaction(requeue=True, counts=False)


def test_words_slow_down() -> None:
    """What asks for less gets it, rule or no rule."""
    assert state_of(react(replace(SLOW, is_by_words=True), at())).factor == SLOW.factor


def test_a_new_slow_multiplies() -> None:
    """Down to a tenth."""
    states: list[ProviderState] = []
    factors = []
    for number in range(5):
        now = NOON + number * 11 * MINUTE
        state = state_of(react(SLOW, at(*states, now=now)))
        states.append(state)
        factors.append(state.factor)

    assert factors == [0.5, 0.25, 0.125, 0.1, 0.1]


@pytest.mark.parametrize("verdict", [SLOW, PAUSE, BLOCKED, CONTENT, AUTH, SENDER])
def test_a_burst_is_one_signal(verdict: Verdict) -> None:
    """Forty equal reports within ten minutes change what one does, and alert once."""
    states: list[ProviderState] = []
    reactions = [react(verdict, at(*states))]
    states.append(state_of(reactions[0]))
    reactions += [react(verdict, at(*states, now=NOON + n * MINUTE / 4)) for n in range(1, 40)]

    assert [r.state for r in reactions[1:]] == [None] * 39
    assert [r.alert for r in reactions[1:]] == [None] * 39
    assert all(r.requeue for r in reactions)


def test_a_burst_of_two_postings_stops_both() -> None:
    """The same words about another posting are another signal."""
    first = state_of(react(CONTENT, at()))

    assert state_of(react(CONTENT, at(first, posting_id=8))).posting_id == 8


def test_recovering_compounds_from_where_it_is() -> None:
    """An hour after its end half has become three quarters."""
    first = state_of(react(SLOW, at()))
    later = first.until + HOUR

    assert rate_factor([first], "orange", later) == 0.75
    assert state_of(react(SLOW, at(first, now=later))).factor == 0.375


def test_the_fourth_time_ends() -> None:
    """Three returns; and a notice that is refused for its words ends at once."""
    assert [react(PAUSE, at(returned=n)).requeue for n in range(5)] == [True] * 3 + [False] * 2
    assert not goes_back(CONTENT, returned=0, posting_id=None)
    assert react(CONTENT, at(posting_id=None)).state is None
    assert goes_back(PAUSE, returned=0, posting_id=None)


DUE = {
    "slow": (SLOW, at(), 15 * MINUTE),
    "pause": (PAUSE, at(), 2 * HOUR),
    "content": (CONTENT, at(), 5 * DAY),
    "the account": (QUOTA, at(), HOUR),
    "a longer pause in force": (SLOW, at(state_of(react(PAUSE, at()))), 2 * HOUR),
    "a stop of the posting in force": (SLOW, at(state_of(react(CONTENT, at()))), 5 * DAY),
    "a stop of another posting": (
        SLOW,
        at(state_of(react(CONTENT, at(posting_id=8)))),
        15 * MINUTE,
    ),
}


@pytest.mark.parametrize(("verdict", "situation", "wait"), DUE.values(), ids=DUE)
def test_when_a_copy_goes_back(verdict: Verdict, situation: Situation, wait: timedelta) -> None:
    """When nothing holds it any more, and never at once."""
    assert returns_at(react(verdict, situation), situation) == NOON + wait
    assert refusal_delay(verdict) >= 15 * MINUTE


@given(st.sampled_from(Action), st.integers(min_value=0, max_value=9), st.booleans())
def test_bounded_and_fair(action: Action, returned: int, is_limited: bool) -> None:  # noqa: FBT001
    """No copy goes back for ever, and what goes back counts against nobody."""
    verdict = Verdict("x", action, 0.5, HOUR)
    reaction = react(verdict, at(returned=returned, is_limited=is_limited))

    assert not (reaction.requeue and returned >= RETURNS_AT_MOST)
    assert not (reaction.requeue and reaction.counts)
    assert reaction.state is None or reaction.state.until > NOON


def test_the_breaker() -> None:
    """It opens at the threshold and closes when fewer are left within the period."""
    failures = [NOON - n * MINUTE for n in range(12)]

    assert opening(failures[:11], Limit(12, HOUR)) is None
    opened = opening(failures, Limit(12, HOUR))
    assert opened is not None
    assert opened.until == NOON - 11 * MINUTE + HOUR
    assert opened.why == ("12 failures within an hour; some hosts block an account at 15 an hour")
    more = opening([NOON, *failures], Limit(12, HOUR))
    assert more is not None
    assert more.until == NOON - 10 * MINUTE + HOUR
