"""Feedback: what reports and replies mean for providers, postings and accounts.

A report is acted on in the transaction that settles it. A submitter does not
wait: it asks the rules, which are in memory, and leaves the rest in a mailbox;
what lies there may be lost, since the next reply says the same again. So may
what a refusal says of an address: the next copy is refused as well.

Only what a mail system wrote is read. Our own words, as those of a pause, of a
stop or of a silence, never come here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from worker.actors import health
from worker.actors.mailbox import Mailbox
from worker.errors import StoreLost
from worker.mail.diagnosis import reason_of, status_in
from worker.mail.reason import Reason
from worker.mail.reply import Disposition, Stage
from worker.policy.breaker import opening
from worker.policy.feedback import Alert, Situation, goes_back, react, read_verdict, returns_at
from worker.policy.provider_state import kept_why
from worker.store import breakers, provider_states, rules
from worker.store.database import CONFLICTS, borrowed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, tzinfo

    from worker.actors.health import Change
    from worker.mail.reply import Reply
    from worker.policy.feedback import Reaction, Rule, Verdict
    from worker.policy.limit import Limit
    from worker.store.database import Connection, Pool
    from worker.store.deliveries import Claim
    from worker.telemetry.metrics import Metrics

log = structlog.get_logger()

_READ_EACH_SECONDS = 60.0
_HEARD_LIMIT = 1000
_FAILURES_SEEN = 1000  # More are not counted: the breaker is open long before.


class Rulebook:
    """The rules as this process has read them last."""

    def __init__(self, known: Sequence[Rule] = ()) -> None:
        self._rules = tuple(known)
        self._bad: frozenset[rules.BadRule] = frozenset()
        self._read_at: float | None = None

    async def refresh(self, db: Connection) -> None:
        """Read the rules again, if that is a minute ago."""
        now = asyncio.get_running_loop().time()
        if self._read_at is not None and now - self._read_at < _READ_EACH_SECONDS:
            return
        known, bad = await rules.load(db)
        self._rules, self._read_at = tuple(known), now
        for rule in sorted(set(bad) - self._bad, key=lambda rule: rule.rule_id):
            log.error("rule.left_out", rule_id=rule.rule_id, why=rule.why)
        self._bad = frozenset(bad)

    def verdict(
        self,
        text: str,
        *,
        provider: str,
        status: str | None = None,
        reason: Reason = Reason.UNKNOWN,
    ) -> Verdict:
        """Say what *text* means at *provider*."""
        return read_verdict(
            text, provider=provider, rules=self._rules, status=status, reason=reason
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply that has ended a copy, and why."""

    copy: health.Copy
    reason: Reason
    status: str


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said about one copy, and what it means."""

    delivery_id: int
    provider: str
    account: str | None
    posting_id: int | None
    verdict: Verdict
    text: str
    returned: int = 0  # Times before.
    goes_back: bool = False  # Once more, as its submitter has decided.
    reason: Reason = Reason.UNKNOWN
    refusal: Refusal | None = None  # Of a copy that has ended with it.


@dataclass(frozen=True, slots=True)
class Felt:
    """What was heard, what followed, and when the copy may leave again if it goes back."""

    heard: Heard
    reaction: Reaction
    due_at: datetime


async def act(db: Connection, heard: Heard) -> Felt:
    """Put in force what follows, in the caller's transaction; tell() once it is committed."""
    if heard.verdict.concerns_us:
        await provider_states.lock(db, heard.provider)
    at = Situation(
        provider=heard.provider,
        account=heard.account,
        posting_id=heard.posting_id,
        now=await provider_states.now(db),
        why=heard.text,
        returned=heard.returned,
        is_limited=await provider_states.is_limited(db, heard.provider, heard.account),
        states=await provider_states.live(db),
    )
    reaction = react(heard.verdict, at)
    if reaction.state is not None:
        await provider_states.add(db, reaction.state)
    if reaction.account_pause is not None and not await _pause_account(db, reaction, at):
        reaction = replace(reaction, alert=None)
    return Felt(heard, reaction, returns_at(reaction, at))


async def _pause_account(db: Connection, reaction: Reaction, at: Situation) -> bool:
    if at.account is None or reaction.account_pause is None:
        return False
    return await breakers.pause_until(db, at.account, at.now + reaction.account_pause, why=at.why)


def tell(felt: Felt, *, metrics: Metrics) -> None:
    """Count and log what followed."""
    heard, reaction = felt.heard, felt.reaction
    metrics.fed_back(heard.provider, heard.verdict.action)
    if reaction.alert is None:
        return
    state = reaction.state
    log.error(
        reaction.alert.value,
        provider=heard.provider,
        account=heard.account,
        posting_id=heard.posting_id,
        rule_id=heard.verdict.rule_id,
        factor=state.factor if state else None,
        until=(state.until if state else felt.due_at).isoformat(),
        why=kept_why(heard.text),
    )


async def open_breakers(db: Connection, thresholds: Mapping[str, Limit]) -> None:
    """Pause the accounts whose copies fail too often; a pause ends by itself."""
    for account, threshold in thresholds.items():
        failed = await breakers.failures(
            db,
            account,
            within=threshold.period,
            at_most=max(threshold.amount, _FAILURES_SEEN),
        )
        opened = opening(failed, threshold)
        if opened and await breakers.pause_until(db, account, opened.until, why=opened.why):
            log.error(
                Alert.ACCOUNT_PAUSED.value,
                account=account,
                until=opened.until.isoformat(),
                why=opened.why,
            )


def _reason_of(reply: Reply) -> Reason:
    if reply.is_about_size:
        return Reason.TOO_BIG
    text = str(reply)
    return reason_of(text, status_in(text), after_data=reply.stage is Stage.DOT)


class Feedback:
    """Where the submitters of one account bring replies."""

    def __init__(self, account: str, rulebook: Rulebook) -> None:
        self.heard: Mailbox[Heard] = Mailbox()
        self._account = account
        self._rulebook = rulebook

    def read(self, claim: Claim, reply: Reply) -> Heard:
        """Say what *reply* means, and whether a refused copy goes back to the queue."""
        text = str(reply)
        # Whatever words come with it: some hosts speak of storage then.
        said = "" if reply.is_about_size else text
        reason = _reason_of(reply)
        verdict = self._rulebook.verdict(said, provider=claim.provider, reason=reason)
        return Heard(
            claim.delivery_id,
            claim.provider,
            self._account,
            claim.posting_id,
            verdict,
            text,
            returned=claim.returned,
            goes_back=reply.disposition is Disposition.REFUSED
            and goes_back(verdict, returned=claim.returned, posting_id=claim.posting_id),
            reason=reason,
        )

    def bring(self, heard: Heard, *, refused: Claim | None = None) -> None:
        """Have it acted on soon, dropped when too much lies here already.

        *refused* is the claim whose copy has ended with it.
        """
        if refused is not None:
            heard = replace(heard, refusal=_refusal(heard, refused))
        if len(self.heard) < _HEARD_LIMIT:
            self.heard.put_all([heard])
        else:
            log.warning("feedback.dropped", delivery_id=heard.delivery_id)


def _refusal(heard: Heard, claim: Claim) -> Refusal:
    copy = health.Copy(claim.delivery_id, claim.posting_id, claim.person_id, claim.provider)
    return Refusal(copy, heard.reason, status_in(heard.text))


async def run_feedback(
    inbox: Mailbox[Heard], *, pool: Pool, metrics: Metrics, zone: tzinfo | None
) -> None:
    """Act on what submitters bring, until the mailbox is closed and empty."""
    while (heard := await inbox.take()) is not None:
        try:
            felt, change = await _heed(pool, heard, zone=zone)
        except StoreLost as lost:
            log.warning("feedback.lost", delivery_id=heard.delivery_id, why=str(lost))
            continue
        tell(felt, metrics=metrics)
        health.tell(change, delivery_id=heard.delivery_id)
        if heard.refusal is not None:
            metrics.bounced(heard.provider, heard.verdict.action, heard.refusal.reason)


async def _heed(pool: Pool, heard: Heard, *, zone: tzinfo | None) -> tuple[Felt, Change | None]:
    """Act on it, and again if another transaction was in the way."""
    while True:
        try:
            async with borrowed(pool) as db, db.transaction():
                return await act(db, heard), await _score(db, heard, zone=zone)
        except CONFLICTS as conflict:
            log.info("feedback.postponed", delivery_id=heard.delivery_id, why=repr(conflict))


async def _score(db: Connection, heard: Heard, *, zone: tzinfo | None) -> Change | None:
    """Count a refusal against its address, as a report is."""
    refusal = heard.refusal
    if refusal is None:
        return None
    return await health.fail(
        db,
        refusal.copy,
        heard.verdict,
        reason=refusal.reason,
        status=refusal.status,
        text=heard.text,
        zone=zone,
    )
