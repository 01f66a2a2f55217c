"""May they post? What the mediator's own chain of rules says to one author, in plain words.

The chain is asked twice, for a message that nothing proves to be its author's
and for one whose provider does. What only a message tells (its age, a call of
spam, an earlier answer to the same evidence, that it says what was said before)
is not known before there is one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from worker.cli.size import octets
from worker.mail.authentication import Authenticity
from worker.notices.letters import reason_words
from worker.policy.admission import (
    RAILS,
    Action,
    Admission,
    Facts,
    MessageFacts,
    Reason,
    Standing,
    admit,
)
from worker.policy.outcome import ArrivalOutcome
from worker.store import authors, lists

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.policy.expansion import Definition, ListAddress
    from worker.store.database import Connection

_PATIENCE = timedelta(seconds=20)  # The mediator's.
_BY_PROOF = "their provider proves who they are"


@dataclass(frozen=True, slots=True)
class Rights:
    """What the chain says to one author, without and with proof of who they are."""

    author: str
    definition: Definition
    standing: Standing
    unproven: Admission
    proven: Admission


async def read_rights(
    db: Connection, address: ListAddress, author: str, *, list_id: int | None, size: int
) -> Rights:
    """Put what the mediator would know of *author* before the chain.

    Asks the admin's queries: raises asyncpg.PostgresError for what is wrong with them.
    """
    definition = address.definition
    banned = await authors.is_banned(db, author, definition.name)
    standing = Standing()
    if not banned:
        async with lists.asking_views(db, _PATIENCE):
            standing = await authors.standing(db, address, author)
    pace = await authors.pace(db, author, list_id or 0)  # No list has the number 0.
    facts = Facts(
        message=MessageFacts(author, size=size),
        definition=definition,
        standing=standing,
        banned=banned,
        asked_today=pace.asked_today,
        posts_by_author=pace.by_author,
        posts_to_list=pace.to_list,
    )
    return judged(facts)


def judged(facts: Facts) -> Rights:
    """Ask the chain, as if nothing and as if the author's provider proved who they are."""
    by_provider = replace(facts.message, authenticity=Authenticity.PROVEN, method="dmarc")
    return Rights(
        author=facts.message.author or "",
        definition=facts.definition,
        standing=facts.standing,
        unproven=admit(facts),
        proven=admit(replace(facts, message=by_provider)),
    )


def with_rails(admission: Admission, stopped_by: tuple[Reason, ...]) -> Admission:
    """Return what becomes of a message that the chain lets in, and a rail does not."""
    reasons = (*admission.reasons, *stopped_by)
    if admission.action is Action.ACCEPT and stopped_by:
        rule = next(rail.name for rail in RAILS if rail.reason is stopped_by[0])
        return Admission(Action.HOLD, rule, reasons=reasons)
    return replace(admission, reasons=reasons)


def in_words(rights: Rights) -> str:
    """Say whether they may post, and on which condition."""
    proven = rights.proven
    if proven.action is Action.REFUSE:
        return f"may NOT post: {_refusal(rights)}"
    if not proven.reasons:
        return f"may post{_condition(rights, confirms=', once they have confirmed')}"
    why = _reasons(proven.reasons, rights)
    return (
        f"waits for a moderator: {why}{_condition(rights, confirms='; before that they confirm')}"
    )


def too_large(definition: Definition) -> str:
    """Say that a message is."""
    return f"too large: this list takes {octets(definition.max_size)}"


def _condition(rights: Rights, *, confirms: str) -> str:
    """Say what changes for a message that nothing proves to be its author's."""
    unproven, proven = rights.unproven, rights.proven
    more = [reason for reason in unproven.reasons if reason not in proven.reasons]
    asked = f"a moderator is asked: {_reasons(more, rights)}" if more else ""
    if proven.action is Action.CONFIRM:
        always = f"{confirms}: this list always asks"
        return f"{always}; and unless {_BY_PROOF}, {asked}" if asked else always
    if unproven.action is Action.CONFIRM and not asked:
        return f"{confirms} (or {_BY_PROOF})"
    if unproven.action is Action.CONFIRM:
        return f", if {_BY_PROOF}; else they confirm, and {asked}"
    if unproven.action is Action.REFUSE:
        return f", if {_BY_PROOF}; else it is refused"
    return f", if {_BY_PROOF}; else {asked}" if asked else ""


def _refusal(rights: Rights) -> str:
    match rights.proven.outcome:
        case ArrivalOutcome.REFUSED_BANNED:
            return "banned"
        case ArrivalOutcome.REFUSED_NOBODY:
            return "nobody may post to this list"
        case ArrivalOutcome.REFUSED_OVERSIZE:
            return too_large(rights.definition)
        case _:
            return _stranger(rights)


def _reasons(reasons: Iterable[Reason], rights: Rights) -> str:
    return "; ".join(
        _stranger(rights) if reason is Reason.STRANGER else reason_words("en", reason)
        for reason in reasons
    )


def _stranger(rights: Rights) -> str:
    """Say what they lack who may not post."""
    definition = rights.definition
    if definition.post == "moderators":
        return "not among the moderators"
    if definition.post == "view":
        return f"not among {definition.post_view}"
    if rights.standing.known:
        return "on the list, but its view has may_post = false for them"
    return "not among the members"
