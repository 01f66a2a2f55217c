"""May this message go out? The chain of rules, in the order in which they are asked.

Each rule is one line of a table: its name, when it applies, and what follows.

    drop     the message is no posting, or one that we have      nobody is told
    refuse   it is not posted, and kept where people look        first one ends the chain
    confirm  its author is asked whether they wrote it           then the holds count
    hold     a moderator is asked, with every reason listed      all of them are collected

The From of a message is forgeable, so a right to post is worth what proves the
author. What proves them is worker/mail/authentication.py's to say; who is known
and who may post, the views' (DESIGN, section 6).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

from worker.mail.authentication import Authenticity
from worker.policy.outcome import ArrivalOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from worker.policy.expansion import Definition

OLD_AFTER = timedelta(days=7)
CONFIRM_WITHIN = timedelta(hours=72)
REPEATED_WITHIN = timedelta(days=1)  # People send again what they are not sure of.
MODERATE_WITHIN = timedelta(days=5)
REMEMBERED_FOR = timedelta(days=90)
# More would make us throw other people's mail at whoever is named as the author.
CONFIRMATIONS_A_DAY = 5
POSTS_PER_AUTHOR_AND_HOUR = 10
POSTS_PER_LIST_AND_HOUR = 20
# Of three people one may leave: that is no accident yet.
_SHRINK_FROM = 4
_SHRINK_FACTOR, _GROWTH_FACTOR = 2, 20


class Action(Enum):
    """What follows when a rule applies."""

    DROP = "drop"
    REFUSE = "refuse"
    CONFIRM = "confirm"
    HOLD = "hold"
    ACCEPT = "accept"  # What is left when none does.


class Reason(StrEnum):
    """Why a posting waits for a moderator. Stored; the words for people are in notices."""

    AUTHOR_UNCLEAR = "author_unclear"
    STRANGER = "stranger"
    FORGED = "forged"
    UNPROVEN = "unproven"
    ASKED_ENOUGH = "asked_enough"
    REPEATED = "repeated"
    MODERATED = "moderated"
    OLD = "old"
    OTHER_LIST = "other_list"
    SPAM = "spam"
    AUTHOR_RATE = "author_rate"
    LIST_RATE = "list_rate"
    EMPTY = "empty"
    UNREACHABLE = "unreachable"
    TOO_MANY = "too_many"
    SHRANK = "shrank"
    GREW = "grew"
    LOST_UNDER_WAY = "lost_under_way"  # Of those who still wait, the list has lost most.


# What is wrong with a list rather than with a message is for those who keep it.
FAULTS_OF_LISTS = frozenset(
    {
        Reason.EMPTY,
        Reason.UNREACHABLE,
        Reason.TOO_MANY,
        Reason.SHRANK,
        Reason.GREW,
        Reason.LOST_UNDER_WAY,
    }
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the views say of an author."""

    known: bool = False  # On the list, among its authors, or by another address of a member.
    may_post: bool = False
    moderator: bool = False
    lang: str | None = None  # In which they read.


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """What a message tells of itself, whatever list it is for."""

    author: str | None  # None: not exactly one.
    size: int = 0
    age: timedelta = timedelta()
    automatic: str | None = None  # The name of the rule by which it is so.
    loop: str | None = None
    other_list: str | None = None
    spam: str | None = None
    asks_to_leave: bool = False  # And says nothing else.
    authenticity: Authenticity = Authenticity.UNKNOWN
    method: str = ""  # dmarc, dkim, spf


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the rules of one list ask about."""

    message: MessageFacts
    definition: Definition
    standing: Standing = field(default_factory=Standing)
    banned: bool = False
    posted_before: bool = False
    said_before: bool = False  # The same, in another message, within a day.
    remembered: bool = False  # The same evidence was confirmed lately.
    asked_today: int = 0  # Confirmations that this author was asked for.
    posts_by_author: int = 0  # In the last hour.
    posts_to_list: int = 0

    @property
    def proven(self) -> bool:
        """Whether something that a forger lacks speaks for the author."""
        return self.message.authenticity is Authenticity.PROVEN or self.remembered

    @property
    def strictly_proven(self) -> bool:
        """The same, by what covers the From: SPF says only which host spoke."""
        return self.message.authenticity is Authenticity.PROVEN and self.message.method != "spf"

    @property
    def can_be_asked(self) -> bool:
        """Whether the author is somebody we know: strangers are never written to.

        Nor is who wrote to another list: its address may stand for the author's, and
        anybody on it could answer.
        """
        known = self.standing.may_post and self.standing.known
        return self.message.author is not None and known and self.message.other_list is None

    @property
    def forged(self) -> bool:
        """Whether the author's own domain disowns the message."""
        return self.message.authenticity is Authenticity.FAILED

    @property
    def to_confirm(self) -> bool:
        """Whether the author has to say that they wrote it."""
        if self.forged or not self.can_be_asked:
            return False
        if self.definition.authenticate == "confirm_always":
            return True
        return self.definition.authenticate == "auth_or_confirm" and not self.proven

    @property
    def sent_again(self) -> bool:
        """Whether it says what its author sent before, and they can be asked why."""
        message = self.message
        is_theirs = (self.proven or self.can_be_asked) and not self.forged
        is_ours = message.other_list is None and message.spam is None
        return self.said_before and is_theirs and is_ours


@dataclass(frozen=True, slots=True)
class RollFacts:
    """What the rules ask about the people whom the query names."""

    listed: int
    recipients: int
    max_recipients: int
    listed_last: int | None = None  # At the last posting to this list.
    elsewhere: int = 0  # Who gets the message as the copy of another list.


@dataclass(frozen=True, slots=True)
class MessageRule:
    """A rule that needs no list."""

    name: str
    applies: Callable[[MessageFacts], str | None]
    outcome: ArrivalOutcome


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the chain; *result* is an outcome, or the reason to hold."""

    name: str
    applies: Callable[[Facts], bool]
    action: Action
    result: ArrivalOutcome | Reason | None = None


@dataclass(frozen=True, slots=True)
class Rail:
    """A rule about the roll; all of them hold."""

    name: str
    applies: Callable[[RollFacts], bool]
    reason: Reason


UNWANTED: tuple[MessageRule, ...] = (
    MessageRule("automatic", lambda m: m.automatic, ArrivalOutcome.DROPPED_AUTOMATIC),
    MessageRule("loop", lambda m: m.loop, ArrivalOutcome.DROPPED_LOOP),
)

CHAIN: tuple[Rule, ...] = (
    Rule("posted before", lambda f: f.posted_before, Action.DROP, ArrivalOutcome.DUPLICATE),
    Rule("banned", lambda f: f.banned, Action.REFUSE, ArrivalOutcome.REFUSED_BANNED),
    Rule(
        "asks to leave, and says nothing else",
        lambda f: f.message.asks_to_leave,
        Action.REFUSE,
        ArrivalOutcome.ASKED_TO_LEAVE,
    ),
    Rule(
        "nobody may post",
        lambda f: f.definition.post == "nobody",
        Action.REFUSE,
        ArrivalOutcome.REFUSED_NOBODY,
    ),
    Rule(
        "not exactly one author, for the moderators",
        lambda f: f.message.author is None and f.definition.moderate != "no",
        Action.HOLD,
        Reason.AUTHOR_UNCLEAR,
    ),
    Rule(
        "not exactly one author",
        lambda f: f.message.author is None and f.definition.moderate == "no",
        Action.REFUSE,
        ArrivalOutcome.REFUSED_STRANGER,
    ),
    Rule(
        "a stranger whom the moderators want to see",
        lambda f: (
            not f.forged
            and (
                (_is_stranger(f) and f.definition.moderate != "no")
                # Where anyone may post, those are strangers whom no view names.
                or (_is_unknown(f) and f.definition.moderate == "strangers")
            )
        ),
        Action.HOLD,
        Reason.STRANGER,
    ),
    Rule(
        "a stranger",
        lambda f: _is_stranger(f) and (f.definition.moderate == "no" or f.forged),
        Action.REFUSE,
        ArrivalOutcome.REFUSED_STRANGER,
    ),
    # After who may post: the size of a list's mail is none of a stranger's business.
    Rule(
        "too large",
        lambda f: f.message.size > f.definition.max_size,
        Action.REFUSE,
        ArrivalOutcome.REFUSED_OVERSIZE,
    ),
    Rule("disowned by its domain", lambda f: f.forged, Action.HOLD, Reason.FORGED),
    Rule(
        "only proven authors may post",
        lambda f: (
            f.definition.authenticate == "auth_only"
            and f.message.author is not None
            and not f.forged
            and not f.strictly_proven
        ),
        Action.REFUSE,
        ArrivalOutcome.REFUSED_UNPROVEN,
    ),
    Rule(
        "unproven, for the moderators",
        lambda f: not f.forged and not f.proven and _is_for_moderators_to_believe(f),
        Action.HOLD,
        Reason.UNPROVEN,
    ),
    Rule(
        "asked too often today",
        lambda f: f.to_confirm and f.asked_today >= CONFIRMATIONS_A_DAY,
        Action.HOLD,
        Reason.ASKED_ENOUGH,
    ),
    Rule(
        "to be confirmed by the author",
        lambda f: f.to_confirm and f.asked_today < CONFIRMATIONS_A_DAY,
        Action.CONFIRM,
    ),
    Rule(
        "sent twice, and asked too often today",
        lambda f: f.sent_again and f.asked_today >= CONFIRMATIONS_A_DAY,
        Action.HOLD,
        Reason.REPEATED,
    ),
    Rule(
        "sent twice",
        lambda f: f.sent_again and f.asked_today < CONFIRMATIONS_A_DAY,
        Action.CONFIRM,
    ),
    Rule(
        "a moderated list",
        lambda f: f.definition.moderate == "all" and not _is_surely_moderator(f),
        Action.HOLD,
        Reason.MODERATED,
    ),
    Rule("old", lambda f: f.message.age > OLD_AFTER, Action.HOLD, Reason.OLD),
    Rule(
        "from another list",
        lambda f: f.message.other_list is not None,
        Action.HOLD,
        Reason.OTHER_LIST,
    ),
    Rule("called spam", lambda f: f.message.spam is not None, Action.HOLD, Reason.SPAM),
    Rule(
        "many from this author",
        lambda f: f.posts_by_author >= POSTS_PER_AUTHOR_AND_HOUR,
        Action.HOLD,
        Reason.AUTHOR_RATE,
    ),
    Rule(
        "many to this list",
        lambda f: f.posts_to_list >= POSTS_PER_LIST_AND_HOUR,
        Action.HOLD,
        Reason.LIST_RATE,
    ),
)

RAILS: tuple[Rail, ...] = (
    Rail("nobody is on the list", lambda r: r.listed == 0, Reason.EMPTY),
    Rail(
        "nobody on it can be written to",
        lambda r: r.listed > 0 and r.recipients == 0 and r.elsewhere == 0,
        Reason.UNREACHABLE,
    ),
    Rail("more than allowed", lambda r: r.recipients > r.max_recipients, Reason.TOO_MANY),
    Rail(
        "less than half of last time",
        lambda r: (
            r.listed_last is not None and r.listed > 0 and has_shrunk(r.listed_last, r.listed)
        ),
        Reason.SHRANK,
    ),
    Rail(
        "more than twenty times last time",
        lambda r: bool(r.listed_last) and r.listed > _GROWTH_FACTOR * (r.listed_last or 0),
        Reason.GREW,
    ),
)


@dataclass(frozen=True, slots=True)
class Admission:
    """What the chain says: what to do, by which rules, and every reason to hold."""

    action: Action
    rule: str = ""
    outcome: ArrivalOutcome | None = None  # Of a drop or a refusal.
    reasons: tuple[Reason, ...] = ()


def unwanted(message: MessageFacts) -> tuple[ArrivalOutcome, str] | None:
    """Return the outcome of what is no posting at all, and the mark that tells it."""
    for rule in UNWANTED:
        mark = rule.applies(message)
        if mark is not None:
            return rule.outcome, mark
    return None


def admit(facts: Facts) -> Admission:
    """Ask the chain about one message to one list."""
    reasons: list[Reason] = []
    asks = names = None
    for rule in CHAIN:
        if not rule.applies(facts):
            continue
        if isinstance(rule.result, ArrivalOutcome):
            return Admission(rule.action, rule.name, rule.result)
        names = names or rule.name
        if rule.action is Action.CONFIRM:
            asks = rule.name
        elif rule.result is not None:
            reasons.append(rule.result)
    if asks:
        return Admission(Action.CONFIRM, asks, reasons=tuple(reasons))
    return Admission(Action.HOLD if reasons else Action.ACCEPT, names or "", reasons=tuple(reasons))


def rails(roll: RollFacts, *, approved: Iterable[str] = ()) -> tuple[Reason, ...]:
    """Return which rails stop a posting, but for those that a person has waved through."""
    waved = set(approved)
    return tuple(rail.reason for rail in RAILS if rail.reason not in waved and rail.applies(roll))


def has_shrunk(before: int, now: int) -> bool:
    """Whether fewer than half are left of enough people to call it an accident."""
    return before >= _SHRINK_FROM and now * _SHRINK_FACTOR < before


def _is_for_moderators_to_believe(facts: Facts) -> bool:
    """Tell whether the list asks them, or would ask an author whom we cannot ask."""
    policy = facts.definition.authenticate
    return policy == "moderate" or (policy == "confirm_always" and not facts.can_be_asked)


def _is_surely_moderator(facts: Facts) -> bool:
    return facts.standing.moderator and (facts.strictly_proven or facts.remembered)


def _is_stranger(facts: Facts) -> bool:
    return facts.message.author is not None and not facts.standing.may_post


def _is_unknown(facts: Facts) -> bool:
    return facts.message.author is not None and not facts.standing.known
