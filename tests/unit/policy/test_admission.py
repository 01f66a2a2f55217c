"""May this message go out? Each row is a message to a list, and what becomes of it.

to a list of its own words       post=, authenticate=, moderate=, max_size=
from somebody                    MEMBER, MODERATOR, STRANGER ... as the views say
with what speaks for its author  DMARC, DKIM, SPF, UNPROVEN, DISOWNED, REMEMBERED
"""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.mail.authentication import Authenticity
from worker.policy.admission import (
    CHAIN,
    RAILS,
    UNWANTED,
    Action,
    Admission,
    Facts,
    MessageFacts,
    Reason,
    RollFacts,
    Standing,
    admit,
    rails,
    unwanted,
)
from worker.policy.expansion import Definition
from worker.policy.outcome import ArrivalOutcome

LIST = Definition(
    name="committee",
    view="lists.committee",
    address="{committee}",
    title="Comité {committee}",
    post="members",
    post_view=None,
    reply_to="author",
    max_size=5_000_000,
    max_recipients=2000,
    lang="fr",
)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)

MEMBER = Standing(known=True, may_post=True)
MODERATOR = Standing(known=True, may_post=True, moderator=True)
READER = Standing(known=True)  # On the list, but not among those who may post.
STRANGER = Standing()
PASSER_BY = Standing(may_post=True)  # Known to no view, where anyone may post.


class Proof(NamedTuple):
    """What speaks for an author, or against."""

    authenticity: Authenticity
    method: str = ""
    remembered: bool = False


DMARC = Proof(Authenticity.PROVEN, "dmarc")
DKIM = Proof(Authenticity.PROVEN, "dkim")
SPF = Proof(Authenticity.PROVEN, "spf")
UNPROVEN = Proof(Authenticity.UNKNOWN)
DISOWNED = Proof(Authenticity.FAILED, "dmarc")
REMEMBERED = UNPROVEN._replace(remembered=True)  # The same evidence was confirmed lately.

_MESSAGE = {field.name for field in fields(MessageFacts)}
_LIST = {field.name for field in fields(Definition)}


def message(who: Standing = MEMBER, proof: Proof = DMARC, **more: Any) -> Facts:
    """Return the facts of a message of *who*, with *more* said of it, or of its list."""
    of_message = {name: more.pop(name) for name in _MESSAGE & set(more)}
    of_list = {name: more.pop(name) for name in _LIST & set(more)}
    said: dict[str, Any] = {"author": "marie@example.fr", "size": 10_000, **of_message}
    return Facts(
        message=MessageFacts(authenticity=proof.authenticity, method=proof.method, **said),
        definition=replace(LIST, **of_list),
        standing=who,
        remembered=proof.remembered,
        **more,
    )


ACCEPTED = Admission(Action.ACCEPT)
DUPLICATE = Admission(Action.DROP, "posted before", ArrivalOutcome.DUPLICATE)
BANNED = Admission(Action.REFUSE, "banned", ArrivalOutcome.REFUSED_BANNED)
LEAVING = Admission(
    Action.REFUSE, "asks to leave, and says nothing else", ArrivalOutcome.ASKED_TO_LEAVE
)
CLOSED = Admission(Action.REFUSE, "nobody may post", ArrivalOutcome.REFUSED_NOBODY)
TOO_LARGE = Admission(Action.REFUSE, "too large", ArrivalOutcome.REFUSED_OVERSIZE)
NOT_ALLOWED = Admission(Action.REFUSE, "a stranger", ArrivalOutcome.REFUSED_STRANGER)
NO_AUTHOR = Admission(Action.REFUSE, "not exactly one author", ArrivalOutcome.REFUSED_STRANGER)
NOT_PROVEN = Admission(
    Action.REFUSE, "only proven authors may post", ArrivalOutcome.REFUSED_UNPROVEN
)

AUTHOR_UNCLEAR = (Reason.AUTHOR_UNCLEAR, "not exactly one author, for the moderators")
FROM_STRANGER = (Reason.STRANGER, "a stranger whom the moderators want to see")
FORGED = (Reason.FORGED, "disowned by its domain")
NOTHING_PROVES = (Reason.UNPROVEN, "unproven, for the moderators")
ASKED_ENOUGH = (Reason.ASKED_ENOUGH, "asked too often today")
REPEATED = (Reason.REPEATED, "sent twice, and asked too often today")
MODERATED = (Reason.MODERATED, "a moderated list")
OLD = (Reason.OLD, "old")
OTHER_LIST = (Reason.OTHER_LIST, "from another list")
SPAM = (Reason.SPAM, "called spam")
AUTHOR_RATE = (Reason.AUTHOR_RATE, "many from this author")
LIST_RATE = (Reason.LIST_RATE, "many to this list")


def held(*because: tuple[Reason, str]) -> Admission:
    """Wait for a moderator, who is told every reason; the first one names the rule."""
    return Admission(Action.HOLD, because[0][1], reasons=tuple(reason for reason, _ in because))


def asked(*then_held: tuple[Reason, str]) -> Admission:
    """Wait for the author's own yes, and then for a moderator if there are reasons."""
    reasons = tuple(reason for reason, _ in then_held)
    return Admission(Action.CONFIRM, "to be confirmed by the author", reasons=reasons)


def asked_why(*then_held: tuple[Reason, str]) -> Admission:
    """Wait for the author to say whether they meant to send it twice."""
    return replace(asked(*then_held), rule="sent twice")


class Case(NamedTuple):
    """A message to a list, and what becomes of it."""

    facts: Facts
    becomes: Admission


ALL_HOLDS: dict[str, Any] = {
    "age": 8 * DAY,
    "other_list": "list-id",
    "spam": "x-spam-flag",
    "posts_by_author": 10,
    "posts_to_list": 20,
}
LATE_HOLDS = (OLD, OTHER_LIST, SPAM, AUTHOR_RATE, LIST_RATE)

CASES = {
    # An ordinary list: its members post, and prove or confirm that it is they.
    "a member, proven by DMARC": Case(message(MEMBER, DMARC), ACCEPTED),
    "a member, proven by DKIM": Case(message(MEMBER, DKIM), ACCEPTED),
    "a member, proven by SPF": Case(message(MEMBER, SPF), ACCEPTED),
    "a member, unproven": Case(message(MEMBER, UNPROVEN), asked()),
    "a member, remembered": Case(message(MEMBER, REMEMBERED), ACCEPTED),
    "a member, disowned": Case(message(MEMBER, DISOWNED), held(FORGED)),
    "a member, disowned though remembered": Case(
        message(MEMBER, DISOWNED._replace(remembered=True)), held(FORGED)
    ),
    "a moderator, proven": Case(message(MODERATOR, DMARC), ACCEPTED),
    "a moderator, unproven": Case(message(MODERATOR, UNPROVEN), asked()),
    "a stranger, proven": Case(message(STRANGER, DMARC), NOT_ALLOWED),
    "a stranger, unproven": Case(message(STRANGER, UNPROVEN), NOT_ALLOWED),
    "a stranger, disowned": Case(message(STRANGER, DISOWNED), NOT_ALLOWED),
    "a reader who may not post": Case(message(READER, DMARC), NOT_ALLOWED),
    "a reader, unproven, is not asked": Case(message(READER, UNPROVEN), NOT_ALLOWED),
    "no author, or two": Case(message(STRANGER, UNPROVEN, author=None), NO_AUTHOR),
    "no author, or two, for the moderators": Case(
        message(STRANGER, UNPROVEN, author=None, moderate="strangers"), held(AUTHOR_UNCLEAR)
    ),
    "no author, disowned": Case(
        message(STRANGER, DISOWNED, author=None, moderate="strangers"),
        held(AUTHOR_UNCLEAR, FORGED),
    ),
    # Who has been asked to confirm today.
    "asked 4 times": Case(message(MEMBER, UNPROVEN, asked_today=4), asked()),
    "asked 5 times": Case(message(MEMBER, UNPROVEN, asked_today=5), held(ASKED_ENOUGH)),
    "asked 6 times": Case(message(MEMBER, UNPROVEN, asked_today=6), held(ASKED_ENOUGH)),
    "asked 9 times, proven now": Case(message(MEMBER, DMARC, asked_today=9), ACCEPTED),
    "asked 9 times, remembered": Case(message(MEMBER, REMEMBERED, asked_today=9), ACCEPTED),
    "asked 9 times, disowned": Case(message(MEMBER, DISOWNED, asked_today=9), held(FORGED)),
    "a stranger asked 9 times": Case(message(STRANGER, UNPROVEN, asked_today=9), NOT_ALLOWED),
    # confirm_always: announcements to everybody.
    "always confirmed, proven": Case(message(authenticate="confirm_always"), asked()),
    "always confirmed, remembered": Case(
        message(MEMBER, REMEMBERED, authenticate="confirm_always"), asked()
    ),
    "always confirmed, proven and remembered": Case(
        message(MEMBER, DMARC._replace(remembered=True), authenticate="confirm_always"), asked()
    ),
    "always confirmed, unproven": Case(
        message(MEMBER, UNPROVEN, authenticate="confirm_always"), asked()
    ),
    "always confirmed, disowned": Case(
        message(MEMBER, DISOWNED, authenticate="confirm_always"), held(FORGED)
    ),
    "always confirmed, asked 5 times": Case(
        message(authenticate="confirm_always", asked_today=5), held(ASKED_ENOUGH)
    ),
    "always confirmed, a moderator": Case(
        message(MODERATOR, DMARC, authenticate="confirm_always"), asked()
    ),
    # auth_only: what covers the From, and nothing less.
    "only proven: DMARC": Case(message(authenticate="auth_only"), ACCEPTED),
    "only proven: DKIM": Case(message(MEMBER, DKIM, authenticate="auth_only"), ACCEPTED),
    "only proven: SPF alone": Case(message(MEMBER, SPF, authenticate="auth_only"), NOT_PROVEN),
    "only proven: SPF and remembered": Case(
        message(MEMBER, SPF._replace(remembered=True), authenticate="auth_only"), NOT_PROVEN
    ),
    "only proven: remembered": Case(
        message(MEMBER, REMEMBERED, authenticate="auth_only"), NOT_PROVEN
    ),
    "only proven: nothing": Case(message(MEMBER, UNPROVEN, authenticate="auth_only"), NOT_PROVEN),
    "only proven: disowned": Case(
        message(MEMBER, DISOWNED, authenticate="auth_only"), held(FORGED)
    ),
    "only proven: a stranger": Case(
        message(STRANGER, UNPROVEN, authenticate="auth_only"), NOT_ALLOWED
    ),
    "only proven: no author": Case(
        message(STRANGER, UNPROVEN, author=None, authenticate="auth_only"), NO_AUTHOR
    ),
    "only proven: a stranger for the moderators": Case(
        message(STRANGER, UNPROVEN, authenticate="auth_only", moderate="strangers"), NOT_PROVEN
    ),
    # authenticate => moderate: the moderators see what is unproven.
    "moderators see the unproven": Case(
        message(MEMBER, UNPROVEN, authenticate="moderate"), held(NOTHING_PROVES)
    ),
    "moderators see no proven ones": Case(message(authenticate="moderate"), ACCEPTED),
    "moderators see none by SPF": Case(message(MEMBER, SPF, authenticate="moderate"), ACCEPTED),
    "moderators see none remembered": Case(
        message(MEMBER, REMEMBERED, authenticate="moderate"), ACCEPTED
    ),
    "moderators see the disowned": Case(
        message(MEMBER, DISOWNED, authenticate="moderate"), held(FORGED)
    ),
    "moderators see no author": Case(
        message(STRANGER, UNPROVEN, author=None, authenticate="moderate", moderate="strangers"),
        held(AUTHOR_UNCLEAR, NOTHING_PROVES),
    ),
    # moderate => strangers.
    "strangers moderated: proven": Case(
        message(STRANGER, DMARC, moderate="strangers"), held(FROM_STRANGER)
    ),
    "strangers moderated: unproven": Case(
        message(STRANGER, UNPROVEN, moderate="strangers"), held(FROM_STRANGER)
    ),
    "strangers moderated: disowned": Case(
        message(STRANGER, DISOWNED, moderate="strangers"), NOT_ALLOWED
    ),
    "strangers moderated: a reader": Case(
        message(READER, DMARC, moderate="strangers"), held(FROM_STRANGER)
    ),
    "strangers moderated: a member": Case(message(moderate="strangers"), ACCEPTED),
    "strangers moderated: a member, unproven": Case(
        message(MEMBER, UNPROVEN, moderate="strangers"), asked()
    ),
    "strangers moderated: a member, disowned": Case(
        message(MEMBER, DISOWNED, moderate="strangers"), held(FORGED)
    ),
    "strangers and the unproven moderated": Case(
        message(STRANGER, UNPROVEN, moderate="strangers", authenticate="moderate"),
        held(FROM_STRANGER, NOTHING_PROVES),
    ),
    # moderate => all.
    "all moderated: a member": Case(message(moderate="all"), held(MODERATED)),
    "all moderated: a member, unproven": Case(
        message(MEMBER, UNPROVEN, moderate="all"), asked(MODERATED)
    ),
    "all moderated: a member, disowned": Case(
        message(MEMBER, DISOWNED, moderate="all"), held(FORGED, MODERATED)
    ),
    "all moderated: a stranger": Case(
        message(STRANGER, DMARC, moderate="all"), held(FROM_STRANGER, MODERATED)
    ),
    "all moderated: a stranger, disowned": Case(
        message(STRANGER, DISOWNED, moderate="all"), NOT_ALLOWED
    ),
    "all moderated: a moderator, proven": Case(message(MODERATOR, DMARC, moderate="all"), ACCEPTED),
    "all moderated: a moderator, by SPF": Case(
        message(MODERATOR, SPF, moderate="all"), held(MODERATED)
    ),
    "all moderated: a moderator, remembered": Case(
        message(MODERATOR, REMEMBERED, moderate="all"), ACCEPTED
    ),
    "all moderated: a moderator, unproven": Case(
        message(MODERATOR, UNPROVEN, moderate="all"), asked(MODERATED)
    ),
    "all moderated: a moderator, disowned": Case(
        message(MODERATOR, DISOWNED, moderate="all"), held(FORGED, MODERATED)
    ),
    "all moderated: always confirmed": Case(
        message(moderate="all", authenticate="confirm_always"), asked(MODERATED)
    ),
    "all moderated: a moderator, always confirmed": Case(
        message(MODERATOR, DMARC, moderate="all", authenticate="confirm_always"), asked()
    ),
    "all moderated: the unproven for the moderators": Case(
        message(MEMBER, UNPROVEN, moderate="all", authenticate="moderate"),
        held(NOTHING_PROVES, MODERATED),
    ),
    "all moderated: only proven": Case(
        message(MEMBER, SPF, moderate="all", authenticate="auth_only"), NOT_PROVEN
    ),
    "all moderated: asked 5 times": Case(
        message(MEMBER, UNPROVEN, moderate="all", asked_today=5), held(ASKED_ENOUGH, MODERATED)
    ),
    # post => anyone: nobody whom we do not know is written to.
    "anyone may post: unknown, unproven, but all are to confirm": Case(
        message(PASSER_BY, UNPROVEN, post="anyone", authenticate="confirm_always"),
        held(NOTHING_PROVES),
    ),
    "anyone may post: unknown, proven": Case(message(PASSER_BY, DMARC, post="anyone"), ACCEPTED),
    "anyone may post: unknown, unproven": Case(
        message(PASSER_BY, UNPROVEN, post="anyone"), ACCEPTED
    ),
    "anyone may post: unknown, disowned": Case(
        message(PASSER_BY, DISOWNED, post="anyone"), held(FORGED)
    ),
    "anyone may post: known, proven": Case(message(MEMBER, DMARC, post="anyone"), ACCEPTED),
    "anyone may post: known, unproven": Case(message(MEMBER, UNPROVEN, post="anyone"), asked()),
    "anyone may post: known, disowned": Case(
        message(MEMBER, DISOWNED, post="anyone"), held(FORGED)
    ),
    "anyone may post: only proven": Case(
        message(PASSER_BY, UNPROVEN, post="anyone", authenticate="auth_only"), NOT_PROVEN
    ),
    "anyone may post: the unproven for the moderators": Case(
        message(PASSER_BY, UNPROVEN, post="anyone", authenticate="moderate"), held(NOTHING_PROVES)
    ),
    "anyone may post: strangers moderated": Case(
        message(PASSER_BY, DMARC, post="anyone", moderate="strangers"), held(FROM_STRANGER)
    ),
    "anyone may post: strangers moderated, known": Case(
        message(MEMBER, DMARC, post="anyone", moderate="strangers"), ACCEPTED
    ),
    "anyone may post: strangers moderated, disowned": Case(
        message(PASSER_BY, DISOWNED, post="anyone", moderate="strangers"), held(FORGED)
    ),
    "anyone may post: all moderated": Case(
        message(PASSER_BY, DMARC, post="anyone", moderate="all"), held(MODERATED)
    ),
    "anyone may post: an unknown author's flood": Case(
        message(PASSER_BY, UNPROVEN, post="anyone", posts_by_author=10), held(AUTHOR_RATE)
    ),
    # post => moderators, a view, nobody.
    "moderators post: a moderator": Case(message(MODERATOR, DMARC, post="moderators"), ACCEPTED),
    "moderators post: a moderator, unproven": Case(
        message(MODERATOR, UNPROVEN, post="moderators"), asked()
    ),
    "moderators post: a member": Case(message(READER, DMARC, post="moderators"), NOT_ALLOWED),
    "moderators post: a member, for them to see": Case(
        message(READER, DMARC, post="moderators", moderate="strangers"), held(FROM_STRANGER)
    ),
    "a view posts: one of its authors": Case(message(MEMBER, DKIM, post="view"), ACCEPTED),
    "a view posts: an author, unproven": Case(message(MEMBER, UNPROVEN, post="view"), asked()),
    "a view posts: a member it does not name": Case(
        message(READER, DMARC, post="view"), NOT_ALLOWED
    ),
    "nobody posts: a member": Case(message(READER, DMARC, post="nobody"), CLOSED),
    "nobody posts: a moderator": Case(
        message(Standing(known=True, moderator=True), DMARC, post="nobody"), CLOSED
    ),
    "nobody posts: strangers moderated": Case(
        message(STRANGER, DMARC, post="nobody", moderate="strangers"), CLOSED
    ),
    "nobody posts: no author": Case(message(STRANGER, author=None, post="nobody"), CLOSED),
    # Banned, too large, posted before: which comes first.
    "banned": Case(message(banned=True), BANNED),
    "banned, a moderator": Case(message(MODERATOR, DMARC, banned=True), BANNED),
    "banned and too large": Case(message(banned=True, size=9_000_000), BANNED),
    "banned, where nobody posts": Case(message(banned=True, post="nobody"), BANNED),
    "banned, all moderated": Case(message(STRANGER, banned=True, moderate="all"), BANNED),
    "asks to leave": Case(message(asks_to_leave=True), LEAVING),
    "asks to leave, where nobody posts": Case(message(asks_to_leave=True, post="nobody"), LEAVING),
    "asks to leave, a stranger": Case(message(STRANGER, asks_to_leave=True), LEAVING),
    "asks to leave, moderated": Case(message(asks_to_leave=True, moderate="all"), LEAVING),
    "asks to leave, banned": Case(message(asks_to_leave=True, banned=True), BANNED),
    "as large as allowed": Case(message(size=5_000_000), ACCEPTED),
    "an octet too large": Case(message(size=5_000_001), TOO_LARGE),
    "a list with a limit of its own": Case(message(size=100_001, max_size=100_000), TOO_LARGE),
    "too large, where nobody posts": Case(message(size=9_000_000, post="nobody"), CLOSED),
    "too large, of a stranger": Case(message(STRANGER, DMARC, size=9_000_000), NOT_ALLOWED),
    "too large, no author": Case(message(STRANGER, author=None, size=9_000_000), NO_AUTHOR),
    "too large, disowned": Case(message(MEMBER, DISOWNED, size=9_000_000), TOO_LARGE),
    "too large and moderated": Case(message(size=9_000_000, moderate="all"), TOO_LARGE),
    "posted before": Case(message(posted_before=True), DUPLICATE),
    "posted before, since banned": Case(message(posted_before=True, banned=True), DUPLICATE),
    "posted before, of a stranger": Case(message(STRANGER, posted_before=True), DUPLICATE),
    "posted before, and all that can be wrong": Case(
        message(STRANGER, DISOWNED, posted_before=True, banned=True, size=9_000_000, post="nobody"),
        DUPLICATE,
    ),
    # Sent twice: its author is asked, if they are theirs to be asked about.
    "sent twice": Case(message(said_before=True), asked_why()),
    "sent twice, unproven: one question": Case(
        message(MEMBER, UNPROVEN, said_before=True), asked_why()
    ),
    "sent twice, always confirmed: one question": Case(
        message(authenticate="confirm_always", said_before=True), asked_why()
    ),
    "sent twice, remembered": Case(message(MEMBER, REMEMBERED, said_before=True), asked_why()),
    "sent twice, moderated": Case(message(moderate="all", said_before=True), asked_why(MODERATED)),
    "sent twice, disowned": Case(message(MEMBER, DISOWNED, said_before=True), held(FORGED)),
    "sent twice, a stranger": Case(message(STRANGER, said_before=True), NOT_ALLOWED),
    "sent twice, by another list": Case(
        message(said_before=True, other_list="list-id"), held(OTHER_LIST)
    ),
    "sent twice, called spam": Case(message(said_before=True, spam="x-spam-flag"), held(SPAM)),
    "sent twice, too large": Case(message(size=9_000_000, said_before=True), TOO_LARGE),
    "sent twice, the very same": Case(message(said_before=True, posted_before=True), DUPLICATE),
    "sent twice, anyone may post, proven": Case(
        message(PASSER_BY, DMARC, post="anyone", said_before=True), asked_why()
    ),
    "sent twice, anyone may post, unproven": Case(
        message(PASSER_BY, UNPROVEN, post="anyone", said_before=True), ACCEPTED
    ),
    "sent twice, asked 5 times": Case(message(said_before=True, asked_today=5), held(REPEATED)),
    "sent twice, asked 5 times, unproven": Case(
        message(MEMBER, UNPROVEN, said_before=True, asked_today=5), held(ASKED_ENOUGH, REPEATED)
    ),
    # What holds any message.
    "7 days old": Case(message(age=7 * DAY), ACCEPTED),
    "7 days and a second old": Case(message(age=7 * DAY + SECOND), held(OLD)),
    "from another list": Case(message(other_list="list-id"), held(OTHER_LIST)),
    "called spam": Case(message(spam="x-spam-flag"), held(SPAM)),
    "the author's 10th within the hour": Case(message(posts_by_author=9), ACCEPTED),
    "the author's 11th within the hour": Case(message(posts_by_author=10), held(AUTHOR_RATE)),
    "the list's 20th within the hour": Case(message(posts_to_list=19), ACCEPTED),
    "the list's 21st within the hour": Case(message(posts_to_list=20), held(LIST_RATE)),
    "a moderator's 11th": Case(message(MODERATOR, DMARC, posts_by_author=10), held(AUTHOR_RATE)),
    "a moderator's spam": Case(message(MODERATOR, DMARC, spam="x-spam-flag"), held(SPAM)),
    # Reasons are collected in the order of the chain.
    "old and spam": Case(message(age=8 * DAY, spam="x-spam-flag"), held(OLD, SPAM)),
    "all that holds": Case(message(**ALL_HOLDS), held(*LATE_HOLDS)),
    "all that holds, disowned and moderated": Case(
        message(MEMBER, DISOWNED, moderate="all", **ALL_HOLDS),
        held(FORGED, MODERATED, *LATE_HOLDS),
    ),
    "all that holds, no author": Case(
        message(STRANGER, author=None, moderate="all", **ALL_HOLDS),
        held(AUTHOR_UNCLEAR, MODERATED, *LATE_HOLDS),
    ),
    "all that holds, but a stranger": Case(message(STRANGER, **ALL_HOLDS), NOT_ALLOWED),
    "confirmed first, then held for spam": Case(
        message(MEMBER, UNPROVEN, spam="x-spam-flag"), asked(SPAM)
    ),
    "confirmed first, then held for all": Case(
        message(MEMBER, UNPROVEN, moderate="all", **(ALL_HOLDS | {"other_list": None})),
        asked(MODERATED, OLD, SPAM, AUTHOR_RATE, LIST_RATE),
    ),
    "from another list, which nobody may ask": Case(
        message(MEMBER, UNPROVEN, other_list="list-id"), held(OTHER_LIST)
    ),
    "from another list, and the same again": Case(
        message(MEMBER, said_before=True, other_list="list-id"), held(OTHER_LIST)
    ),
    "from another list, always to be confirmed": Case(
        message(MEMBER, authenticate="confirm_always", other_list="list-id"), held(OTHER_LIST)
    ),
    "from another list, always to be confirmed, unproven": Case(
        message(MEMBER, UNPROVEN, authenticate="confirm_always", other_list="list-id"),
        held(NOTHING_PROVES, OTHER_LIST),
    ),
    "asked 5 times, and spam": Case(
        message(MEMBER, UNPROVEN, asked_today=5, spam="x-spam-flag"), held(ASKED_ENOUGH, SPAM)
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_admission(case: Case) -> None:
    """What to do, by which rule, and every reason that a moderator is told."""
    assert admit(case.facts) == case.becomes


def test_every_rule_decides_once() -> None:
    """A rule that decides in no row above is not specified."""
    rules = {case.becomes.rule for case in CASES.values()}

    assert rules - {""} == {rule.name for rule in CHAIN}


def test_every_reason_of_the_chain_is_given() -> None:
    """The same for what a moderator reads."""
    given_reasons = {reason for case in CASES.values() for reason in case.becomes.reasons}

    assert given_reasons == {rule.result for rule in CHAIN if isinstance(rule.result, Reason)}


UNWANTED_CASES = {
    "a person's": (MessageFacts("a@b.fr"), None),
    "automatic": (
        MessageFacts("a@b.fr", automatic="auto-submitted"),
        (ArrivalOutcome.DROPPED_AUTOMATIC, "auto-submitted"),
    ),
    "loop": (MessageFacts("a@b.fr", loop="list-id"), (ArrivalOutcome.DROPPED_LOOP, "list-id")),
    "both": (
        MessageFacts("a@b.fr", automatic="precedence", loop="hops"),
        (ArrivalOutcome.DROPPED_AUTOMATIC, "precedence"),
    ),
    "automatic, without an author": (
        MessageFacts(None, automatic="robot"),
        (ArrivalOutcome.DROPPED_AUTOMATIC, "robot"),
    ),
    "spam of a person's": (MessageFacts("a@b.fr", spam="x-spam-flag"), None),
    "from another list": (MessageFacts("a@b.fr", other_list="list-id"), None),
}


@pytest.mark.parametrize(("facts", "outcome"), UNWANTED_CASES.values(), ids=UNWANTED_CASES)
def test_unwanted(facts: MessageFacts, outcome: tuple[ArrivalOutcome, str] | None) -> None:
    """What a program wrote, or what was here before, is no posting to any list."""
    assert unwanted(facts) == outcome


def test_every_rule_of_the_unwanted_decides_once() -> None:
    """By the name of the case."""
    assert {rule.name for rule in UNWANTED} <= set(UNWANTED_CASES)


def roll(
    listed: int, last: int | None = None, *, recipients: int | None = None, allowed: int = 2000
) -> RollFacts:
    """Return a roll of *listed* people, all of whom can be written to unless told."""
    return RollFacts(listed, listed if recipients is None else recipients, allowed, last)


class Roll(NamedTuple):
    """A roll, what a person has waved through, and what stops it still."""

    facts: RollFacts
    stopped_by: tuple[Reason, ...] = ()
    approved: tuple[Reason, ...] = ()


ROLLS = {
    "an ordinary one": Roll(roll(820, 815)),
    "the first message of a list": Roll(roll(820)),
    "nobody is on the list": Roll(roll(0), (Reason.EMPTY,)),
    "nobody is on it any more": Roll(roll(0, 820), (Reason.EMPTY,)),
    "nobody, again": Roll(roll(0, 0), (Reason.EMPTY,)),
    "nobody, approved": Roll(roll(0), (), (Reason.EMPTY,)),
    "nobody on it can be written to": Roll(roll(14, 14, recipients=0), (Reason.UNREACHABLE,)),
    "nobody can be written to, few left": Roll(
        roll(43, 820, recipients=0), (Reason.UNREACHABLE, Reason.SHRANK)
    ),
    "nobody can be written to, approved": Roll(
        roll(14, recipients=0), (), (Reason.UNREACHABLE,)
    ),
    "as many as allowed": Roll(roll(2000, 2000)),
    "more than allowed": Roll(roll(2001, 2000), (Reason.TOO_MANY,)),
    "more than allowed are listed, fewer get it": Roll(roll(2500, 2500, recipients=2000)),
    "more than a small list allows": Roll(roll(31, 31, allowed=30), (Reason.TOO_MANY,)),
    "more than allowed, approved": Roll(roll(2001, 2000), (), (Reason.TOO_MANY,)),
    "3 to 1": Roll(roll(1, 3)),
    "4 to 2": Roll(roll(2, 4)),
    "4 to 1": Roll(roll(1, 4), (Reason.SHRANK,)),
    "10 to 5": Roll(roll(5, 10)),
    "10 to 4": Roll(roll(4, 10), (Reason.SHRANK,)),
    "less than half of last time": Roll(roll(43, 820), (Reason.SHRANK,)),
    "820 to 410": Roll(roll(410, 820)),
    "820 to 43, approved": Roll(roll(43, 820), (), (Reason.SHRANK,)),
    "820 to 43, approved for another reason": Roll(
        roll(43, 820), (Reason.SHRANK,), (Reason.GREW, Reason.SPAM)
    ),
    "many unsubscribed is no shrinking": Roll(roll(820, 820, recipients=43)),
    "1 to 20": Roll(roll(20, 1)),
    "1 to 21": Roll(roll(21, 1), (Reason.GREW,)),
    "more than twenty times last time": Roll(roll(821, 41), (Reason.GREW,)),
    "820 after 41": Roll(roll(820, 41)),
    "1 to 21, approved": Roll(roll(21, 1), (), (Reason.GREW,)),
    "0 before": Roll(roll(820, 0)),
    "grown beyond what is allowed": Roll(roll(5000, 43), (Reason.TOO_MANY, Reason.GREW)),
    "grown beyond it, one approved": Roll(
        roll(5000, 43), (Reason.TOO_MANY,), (Reason.GREW,)
    ),
    "approved for what no rail asks": Roll(roll(820, 820), (), (Reason.MODERATED,)),
}  # fmt: skip


@pytest.mark.parametrize("case", ROLLS.values(), ids=ROLLS)
def test_rails(case: Roll) -> None:
    """What stops a posting when its people are known, and what a person's yes is good for."""
    assert rails(case.facts, approved=case.approved) == case.stopped_by


def test_every_rail_stops_once() -> None:
    """By the name of the case, which also says which reason it gives."""
    for rail in RAILS:
        assert rail.reason in ROLLS[rail.name].stopped_by


def test_a_stored_reason_is_waved_through() -> None:
    """The database keeps reasons as text."""
    assert rails(roll(43, 820), approved=["shrank"]) == ()


QUICK = settings(database=None, deadline=None, derandomize=True, max_examples=400)

COUNTS = st.integers(0, 25)
MESSAGES = st.builds(
    MessageFacts,
    author=st.sampled_from(["marie@example.fr", None]),
    size=st.sampled_from([0, 5_000_000, 5_000_001]),
    age=st.sampled_from([timedelta(), 7 * DAY, 8 * DAY]),
    other_list=st.sampled_from([None, "list-id"]),
    spam=st.sampled_from([None, "x-spam"]),
    authenticity=st.sampled_from(Authenticity),
    method=st.sampled_from(["", "dmarc", "dkim", "spf"]),
)
DEFINITIONS = st.builds(
    lambda post, authenticate, moderate: replace(
        LIST, post=post, authenticate=authenticate, moderate=moderate
    ),
    st.sampled_from(["members", "anyone", "moderators", "nobody", "view"]),
    st.sampled_from(["auth_or_confirm", "auth_only", "confirm_always", "moderate"]),
    st.sampled_from(["no", "strangers", "all"]),
)
STANDINGS = st.builds(Standing, st.booleans(), st.booleans(), st.booleans())
FACTS = st.builds(
    Facts,
    message=MESSAGES,
    definition=DEFINITIONS,
    standing=STANDINGS,
    banned=st.sampled_from([False, False, False, True]),
    posted_before=st.sampled_from([False, False, False, True]),
    said_before=st.sampled_from([False, False, True]),
    remembered=st.booleans(),
    asked_today=COUNTS,
    posts_by_author=COUNTS,
    posts_to_list=COUNTS,
).map(lambda facts: facts if facts.message.author else replace(facts, standing=Standing()))

# The first rule that asks for a fact; what is asked later cannot change a refusal.
FIRST_ASKED = {
    "posted before": ("posted_before",),
    "banned": ("banned",),
    "asks to leave, and says nothing else": ("message.asks_to_leave",),
    "nobody may post": ("definition.post",),
    "too large": ("message.size",),
    "not exactly one author, for the moderators": ("message.author", "definition.moderate"),
    "a stranger whom the moderators want to see": ("standing", "message.authenticity"),
    "only proven authors may post": ("definition.authenticate", "message.method", "remembered"),
    "asked too often today": ("asked_today",),
    "sent twice": ("said_before",),
    "old": ("message.age",),
    "from another list": ("message.other_list",),
    "called spam": ("message.spam",),
    "many from this author": ("posts_by_author",),
    "many to this list": ("posts_to_list",),
}
ORDER = {rule.name: place for place, rule in enumerate(CHAIN)}


def _with_later_facts(facts: Facts, other: Facts, rule: str) -> Facts:
    """Return *facts*, with those of *other* that only rules after *rule* ask for."""
    for asked_by, names in FIRST_ASKED.items():
        if ORDER[asked_by] <= ORDER[rule]:
            continue
        for name in names:
            part, _, inner = name.rpartition(".")
            if part:
                changed = replace(
                    getattr(facts, part), **{inner: getattr(getattr(other, part), inner)}
                )
                facts = replace(facts, **{part: changed})
            else:
                facts = replace(facts, **{name: getattr(other, name)})
    return facts


@QUICK
@given(FACTS, FACTS)
def test_a_refusal_does_not_depend_on_what_comes_after_it(facts: Facts, other: Facts) -> None:
    """Whoever reads the log can stop reading the chain at the rule that it names."""
    admission = admit(facts)
    if admission.outcome is None:
        return

    assert admit(_with_later_facts(facts, other, admission.rule)) == admission


@QUICK
@given(FACTS)
def test_the_first_refusal_decides(facts: Facts) -> None:
    """And nothing goes out, or waits, that any rule refuses."""
    refusals = [
        rule for rule in CHAIN if isinstance(rule.result, ArrivalOutcome) and rule.applies(facts)
    ]
    admission = admit(facts)

    assert (admission.outcome is not None) == bool(refusals)
    assert not refusals or admission.rule == refusals[0].name
    assert not refusals or not admission.reasons


@QUICK
@given(FACTS)
def test_what_its_domain_disowns_never_goes_out(facts: Facts) -> None:
    """Nor is anybody asked to confirm it: they would be asked about a forger's mail."""
    disowned = replace(facts, message=replace(facts.message, authenticity=Authenticity.FAILED))

    assert admit(disowned).action in (Action.DROP, Action.REFUSE, Action.HOLD)


@QUICK
@given(FACTS)
def test_a_known_author_is_never_believed_unproven(facts: Facts) -> None:
    """With auth_or_confirm, whoever the list is and whatever else is true."""
    unproven = replace(
        facts,
        message=replace(facts.message, authenticity=Authenticity.UNKNOWN),
        definition=replace(facts.definition, authenticate="auth_or_confirm"),
        standing=replace(facts.standing, known=True),
        remembered=False,
    )

    assert admit(unproven).action is not Action.ACCEPT


@QUICK
@given(FACTS)
def test_nobody_is_asked_who_may_not_post(facts: Facts) -> None:
    """A question to a stranger would be mail that they never wanted from us."""
    admission = admit(facts)
    if admission.action is Action.CONFIRM:
        may_post = facts.standing.may_post and facts.standing.known
        assert may_post or (facts.proven and facts.said_before)
        assert facts.message.author is not None
        assert facts.asked_today < 5


@QUICK
@given(FACTS)
def test_an_admission_is_consistent(facts: Facts) -> None:
    """The same facts give the same answer; held means reasons; each reason comes once."""
    admission = admit(facts)

    assert admit(facts) == admission
    assert (admission.action in (Action.DROP, Action.REFUSE)) == (admission.outcome is not None)
    assert admission.action is not Action.HOLD or admission.reasons
    assert admission.action is not Action.ACCEPT or admission == ACCEPTED
    assert len(set(admission.reasons)) == len(admission.reasons)


ROLL_FACTS = st.builds(
    RollFacts, COUNTS, COUNTS, st.integers(1, 30), st.one_of(st.none(), st.integers(0, 60))
)
APPROVALS = st.sets(st.sampled_from(Reason))


@QUICK
@given(ROLL_FACTS, APPROVALS, APPROVALS)
def test_a_further_yes_adds_no_reason(
    facts: RollFacts, approved: set[Reason], more: set[Reason]
) -> None:
    """It takes away those that it was given for, and no other."""
    before = rails(facts, approved=approved)
    after = rails(facts, approved=approved | more)

    assert after == tuple(reason for reason in before if reason not in more)
    assert not set(after) & approved
