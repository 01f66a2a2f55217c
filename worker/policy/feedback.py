"""What a reply or a report means, and what follows from it.

The text is read before the code: French providers say "try later" with 550, a
full mailbox comes with 5.1.1, and a block of our host's address with either.
Rules are data (relais.provider_rule); a verdict is what one of them, or else the
reader's reason, or else the code, makes of a text; a reaction is what we do about it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from worker.mail.diagnosis import status_in
from worker.mail.reason import Reason
from worker.policy.provider import OTHER
from worker.policy.provider_state import (
    SLOWEST,
    ProviderState,
    StateKind,
    paused_until,
    rate_factor,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

RETURNS_AT_MOST = 3
# In place of a rule: many copies of one posting came back with the same words.
BURST = "burst"
SET_BY = "feedback"

_TEXT_LIMIT = 2000
_ECHO = timedelta(minutes=10)
_SHORTEST_RETURN = timedelta(minutes=15)
_PAUSE_WITHOUT_LIMIT = timedelta(minutes=15)
_AUTHENTICATION_PAUSE = timedelta(hours=6)
POSTING_STOP = timedelta(days=5)
# An old file looks the same as a posting that is refused: the rest is not given up.
BURST_STOP = timedelta(days=1)
_PAUSE = timedelta(hours=1)
_SLOWER = 0.5  # Where no rule of the provider's says by how much.

# RFC 3463, section 3.2: the sender's address cannot be written, or is none.
_ABOUT_THE_SENDER = frozenset({"5.1.7", "5.1.8"})
_FIRST_CODE = re.compile(r"(?<![\d.])([245]\d\d)[ -](?:([245]\.\d{1,3}\.\d{1,3}) )?")


class Action(StrEnum):
    """What a rule says; as relais.provider_rule has them, and labels of a metric."""

    HARD = "hard"
    SOFT = "soft"
    SLOW = "slow"
    PAUSE = "pause"
    IP_BLOCK = "ip_block"
    CONTENT = "content"
    AUTH = "auth"
    SENDER = "sender"
    TOO_BIG = "too_big"
    POLICY = "policy"
    LOOP = "loop"
    ACCOUNT_LIMIT = "account_limit"
    IGNORE = "ignore"


class Alert(StrEnum):
    """What operators are told; the names of log events."""

    PROVIDER_PAUSED = "provider.paused"
    PROVIDER_SLOWED = "provider.slowed"
    POSTING_STOPPED = "posting.stopped_at_provider"
    ACCOUNT_PAUSED = "account.paused"
    AUTHENTICATION_REFUSED = "authentication.refused"


# Not about the person: the copy goes back to the queue.
_RETURNS = frozenset(
    {
        Action.SLOW,
        Action.PAUSE,
        Action.IP_BLOCK,
        Action.CONTENT,
        Action.AUTH,
        Action.SENDER,
        Action.ACCOUNT_LIMIT,
    }
)
_AGAINST_THE_PERSON = frozenset({Action.HARD, Action.SOFT})
# What a reason means where no rule knows the words; None: the code decides.
ACTIONS: dict[Reason, Action | None] = {
    Reason.UNKNOWN_USER: Action.HARD,
    Reason.UNKNOWN_DOMAIN: Action.HARD,
    Reason.NOT_ACCEPTING: Action.HARD,
    Reason.MOVED: Action.HARD,
    Reason.DISABLED: Action.HARD,
    Reason.FULL: Action.SOFT,
    Reason.RECIPIENT_RATE: Action.SOFT,
    Reason.FILTERED: Action.SOFT,
    Reason.EXPIRED: Action.SOFT,
    Reason.TOO_BIG: Action.TOO_BIG,
    Reason.CONTENT: Action.CONTENT,
    Reason.FORM: Action.POLICY,
    Reason.LOOP: Action.LOOP,
    Reason.SENDING_IP: Action.IP_BLOCK,
    Reason.RATE: Action.SLOW,
    Reason.AUTHENTICATION: Action.AUTH,
    Reason.SENDER: Action.SENDER,
    Reason.ACCOUNT_LIMIT: Action.ACCOUNT_LIMIT,
    Reason.POLICY: Action.POLICY,
    Reason.RELAYING: Action.POLICY,
    Reason.NETWORK: Action.SOFT,
    Reason.SYSTEM: Action.SOFT,
    Reason.UNKNOWN: None,
}
_OF_THE_POSTING = frozenset({Action.CONTENT, Action.SENDER})


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of relais.provider_rule, its pattern compiled."""

    rule_id: str
    provider: str | None  # None: any.
    pattern: re.Pattern[str]
    action: Action
    factor: float | None = None
    pause: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a text means; without a rule its code said so, or nothing did."""

    rule_id: str | None  # Or the reader's reason.
    action: Action
    factor: float | None = None
    pause: timedelta | None = None
    is_by_words: bool = False  # Of the reader, which nobody has confirmed by a rule.

    @property
    def hold(self) -> timedelta:
        """How long nothing of what it is about leaves."""
        match self.action:
            case Action.PAUSE | Action.IP_BLOCK | Action.ACCOUNT_LIMIT:
                return self.pause or _PAUSE
            case Action.AUTH:
                return self.pause or _AUTHENTICATION_PAUSE
            case Action.CONTENT | Action.SENDER:
                return self.pause or POSTING_STOP
            case _:
                return timedelta()

    @property
    def concerns_us(self) -> bool:
        """Whether it is about the provider, the posting or the account, and no person."""
        return self.action in _RETURNS

    @property
    def counts(self) -> bool:
        """Whether it counts against the person."""
        return self.action in _AGAINST_THE_PERSON


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile the pattern of a rule; a ValueError says why it is none."""
    try:
        return re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is no regular expression: {error}") from error


def normalised(text: str) -> str:
    """Return *text* with single spaces, and the code of a multi-line reply only once."""
    text = " ".join(text[:_TEXT_LIMIT].replace("\0", "").split())
    first = _FIRST_CODE.search(text)
    if first is None:
        return text
    code, status = first[1], re.escape(first[2] or "")
    # Our own connection leaves the codes of further lines out, and the status in.
    again = rf"{code}[ -](?:{status} )?|{status} " if status else rf"{code}[ -]"
    return text[: first.end()] + re.sub(rf"(?<= )(?:{again})", "", text[first.end() :])


def read_verdict(
    text: str,
    *,
    provider: str,
    rules: Sequence[Rule],
    status: str | None = None,
    reason: Reason = Reason.UNKNOWN,
) -> Verdict:
    """Say what *text* means: by the first rule that knows it, else by *reason*, else its code."""
    said = normalised(text)
    own = [rule for rule in rules if rule.provider == provider]
    for rule in own + [rule for rule in rules if rule.provider is None]:
        if rule.pattern.search(said):
            action = _spared(rule.action, _code(said, status))
            return Verdict(rule.rule_id, action, rule.factor, rule.pause)
    known = ACTIONS[reason]
    if known is None:
        return Verdict(None, action_of_code(said, status) or Action.SOFT)
    action = _spared(known, _code(said, status))
    factor = _SLOWER if action is Action.SLOW else None
    return Verdict(reason.value, action, factor, is_by_words=True)


def _spared(action: Action, code: str) -> Action:
    # DNS trouble at the relay says "host not found", too, with a code of 4yz.
    spares = code.startswith("4") or code in _ABOUT_THE_SENDER
    return Action.SOFT if spares and action is Action.HARD else action


def _code(text: str, status: str | None) -> str:
    """Return the most telling code: in the text, of the report, the reply's class; or ""."""
    said = status_in(text)
    return said if said and not said.endswith(".0.0") else status or said


def action_of_code(text: str, status: str | None = None) -> Action | None:
    """Say what the code alone means; None if there is none of a failure."""
    code = _code(text[:_TEXT_LIMIT], status)
    if not code.startswith(("4", "5")):
        return None
    is_address = code == "5.2.1" or (code.startswith("5.1.") and code not in _ABOUT_THE_SENDER)
    return Action.HARD if is_address else Action.SOFT


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a text was met: which copy of what, and what is in force there."""

    provider: str
    account: str | None
    posting_id: int | None  # None: a notice.
    now: datetime
    why: str = ""
    returned: int = 0
    is_limited: bool = True  # Whether the provider has a limit that a factor can slow.
    states: Sequence[ProviderState] = ()


@dataclass(frozen=True, slots=True)
class Reaction:
    """What follows: a state of the provider or the posting there, a pause of the account."""

    requeue: bool  # The copy goes back to the queue.
    counts: bool  # Against the person.
    state: ProviderState | None = None
    account_pause: timedelta | None = None
    alert: Alert | None = None


def goes_back(verdict: Verdict, *, returned: int, posting_id: int | None) -> bool:
    """Whether a copy that came back *returned* times before is to be tried again.

    A notice that its own words keep away has no rest that could be stopped.
    """
    if verdict.action in _OF_THE_POSTING and posting_id is None:
        return False
    return verdict.concerns_us and returned < RETURNS_AT_MOST


def react(verdict: Verdict, at: Situation) -> Reaction:
    """Decide what follows from *verdict*.

    A burst of equal reports is one signal: they left before we could heed the first.
    """
    quiet = Reaction(
        requeue=goes_back(verdict, returned=at.returned, posting_id=at.posting_id),
        counts=verdict.counts,
    )
    if _concerns_one_copy(verdict, at):
        return quiet
    if verdict.action is Action.ACCOUNT_LIMIT:
        return replace(quiet, account_pause=verdict.hold, alert=Alert.ACCOUNT_PAUSED)
    state = _new_state(verdict, at)
    if state is None or any(_is_echo(state, of=earlier) for earlier in at.states):
        return quiet
    return replace(quiet, state=state, alert=_alert(verdict, state))


def _concerns_one_copy(verdict: Verdict, at: Situation) -> bool:
    """Whether what follows stops nobody else's copy.

    A word of the reader may be wrong, and what one server of thousands says is
    not the others' word. Slowing down costs little.
    """
    if verdict.action is Action.SLOW or verdict.rule_id == BURST:
        return False
    is_about_account = verdict.action is Action.ACCOUNT_LIMIT
    return verdict.is_by_words or (at.provider == OTHER and not is_about_account)


def _new_state(verdict: Verdict, at: Situation) -> ProviderState | None:
    match verdict.action:
        case Action.SLOW if at.is_limited:
            return _slowed(verdict, at)
        case Action.SLOW:
            return _paused(verdict, at, _PAUSE_WITHOUT_LIMIT)
        case Action.PAUSE | Action.AUTH:
            return _paused(verdict, at, verdict.hold)
        case Action.IP_BLOCK:
            # Another account may have another host, whose address is not blocked.
            return replace(_paused(verdict, at, verdict.hold), account=at.account)
        case Action.CONTENT | Action.SENDER if at.posting_id is not None:
            return replace(_paused(verdict, at, verdict.hold), posting_id=at.posting_id)
        case _:
            return None


def _paused(verdict: Verdict, at: Situation, length: timedelta) -> ProviderState:
    return ProviderState(
        provider=at.provider,
        account=None,
        posting_id=None,
        kind=StateKind.PAUSE,
        factor=None,
        since=at.now,
        until=at.now + length,
        why=at.why,
        rule_id=verdict.rule_id,
        set_by=SET_BY,
    )


def _slowed(verdict: Verdict, at: Situation) -> ProviderState:
    in_force = rate_factor(at.states, at.provider, at.now)
    factor = max(SLOWEST, in_force * (verdict.factor or 1))
    paused = _paused(verdict, at, verdict.pause or _PAUSE)
    return replace(paused, kind=StateKind.SLOW, factor=factor)


def _is_echo(state: ProviderState, *, of: ProviderState) -> bool:
    same = (state.rule_id, state.provider, state.account, state.posting_id) == (
        of.rule_id,
        of.provider,
        of.account,
        of.posting_id,
    )
    return same and of.until > state.since and state.since - of.since < _ECHO


def _alert(verdict: Verdict, state: ProviderState) -> Alert:
    if verdict.action is Action.AUTH:
        return Alert.AUTHENTICATION_REFUSED
    if state.posting_id is not None:
        return Alert.POSTING_STOPPED
    return Alert.PROVIDER_SLOWED if state.kind is StateKind.SLOW else Alert.PROVIDER_PAUSED


def returns_at(reaction: Reaction, at: Situation) -> datetime:
    """Say when a copy that goes back is due: when what holds it has ended, and not at once."""
    states = [*at.states, *([reaction.state] if reaction.state else [])]
    ends = [
        paused_until(states, at.provider, at.account, at.now),
        _stopped_until(states, at),
        at.now + (reaction.account_pause or timedelta()),
        at.now + _SHORTEST_RETURN,
    ]
    return max(end for end in ends if end is not None)


def _stopped_until(states: Iterable[ProviderState], at: Situation) -> datetime | None:
    if at.posting_id is None:
        return None
    stops = [s for s in states if (s.posting_id, s.provider) == (at.posting_id, at.provider)]
    return max((stop.until for stop in stops), default=None)


def refusal_delay(verdict: Verdict) -> timedelta:
    """How long a copy waits that a host has refused for good, but not for what it is."""
    return max(verdict.hold, _SHORTEST_RETURN)
