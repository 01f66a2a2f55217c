"""What the submitters of one account share: sessions, templates, and its breaker."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from worker.errors import ProviderSilent, StoreLost
from worker.mail.copy import Template, read_template
from worker.mail.reply import Reply, Stage
from worker.mail.return_address import Purpose, Tokens, subscriber_number
from worker.policy.schedule import account_pause
from worker.store import limits, notices, postings
from worker.store.database import borrowed
from worker.submission.connect import open_session
from worker.submission.session import Envelope, Session

if TYPE_CHECKING:
    from worker.actors.feedback import Feedback
    from worker.config import Account
    from worker.policy.schedule import Chance
    from worker.store.database import Pool
    from worker.store.deliveries import Claim
    from worker.telemetry.metrics import Metrics

log = structlog.get_logger()

# Postings under way at one time are few; a template can be some megabytes.
_TEMPLATES_KEPT = 8


@dataclass(frozen=True, slots=True)
class Copy:
    """A claim and its bytes, ready to be submitted."""

    claim: Claim
    envelope: Envelope
    body: bytes


@dataclass(frozen=True, slots=True)
class _Frozen:
    template: Template
    list_id: int | None  # None: a notice, which has no link to leave.
    key_id: str


class Desk:
    """Opens sessions for one account, one at a time, and renders its copies."""

    def __init__(
        self,
        account: Account,
        *,
        pool: Pool,
        tokens: Tokens,
        domain: str,
        chance: Chance,
        metrics: Metrics,
        feedback: Feedback,
    ) -> None:
        self.account = account
        self.feedback = feedback
        self._pool = pool
        self._tokens = tokens
        self._domain = domain
        self.chance = chance
        self.metrics = metrics
        self._templates: OrderedDict[int, _Frozen] = OrderedDict()  # Of postings; notices go once.
        self._door = asyncio.Lock()
        self._proved = False

    async def open_session(self) -> Session | None:
        """Return a new session, or None: the account is in trouble, and paused.

        One connection tries at a time, and only after asking the database, so
        that a refused password is tried once and not once per claim at hand.
        """
        async with self._door:
            if await self._is_paused():
                return None
            try:
                opened = await open_session(self.account.endpoint, local_hostname=self._domain)
            except ProviderSilent as silence:
                await self.pause(None, silence.why)
                return None
            if isinstance(opened, Reply):
                await self.pause(opened, str(opened))
                return None
            await self._forget_trouble()
            return opened

    async def _is_paused(self) -> bool:
        try:
            async with borrowed(self._pool) as db:
                return await limits.seconds_paused(db, self.account.name) is not None
        except StoreLost:
            return True  # Without the database there could be no mark either.

    async def pause(self, reply: Reply | None, why: str) -> None:
        """Leave the account alone for a while, in every process; StoreLost is survived."""
        self._proved = False
        try:
            async with borrowed(self._pool) as db, db.transaction():
                failures = await limits.failures_in_a_row(db, self.account.name)
                if failures is None:
                    return
                pause = account_pause(reply, failures + 1, self.chance)
                await limits.pause_account(
                    db, self.account.name, pause=pause, failures=failures + 1, why=why
                )
        except StoreLost:
            return  # Nothing can be claimed without the database anyway.
        log.warning(
            "account.paused",
            account=self.account.name,
            stage=(reply.stage if reply else Stage.CONNECT).value,
            why=why,
            seconds=pause.total_seconds(),
        )

    async def _forget_trouble(self) -> None:
        if self._proved:
            return
        try:
            async with borrowed(self._pool) as db:
                await limits.account_works(db, self.account.name)
        except StoreLost:
            return
        self._proved = True

    async def copy_of(self, claim: Claim) -> Copy:
        """Render the copy of *claim*; the same bytes each time. May raise StoreLost."""
        frozen = await self._frozen(claim)
        sign, key = self._tokens.sign, frozen.key_id
        reference = sign(Purpose.RETURN, claim.delivery_id, key=key)
        unsubscribe = b""
        if frozen.list_id is not None and claim.person_id is not None:
            subscriber = subscriber_number(frozen.list_id, claim.person_id)
            unsubscribe = sign(Purpose.UNSUBSCRIBE, subscriber, key=key)
        body = frozen.template.render(reference=reference, unsubscribe=unsubscribe)
        return_address = f"return-{reference.decode()}@{self._domain}"
        return Copy(claim, Envelope(return_address, claim.address, len(body)), body)

    async def _frozen(self, claim: Claim) -> _Frozen:
        if claim.posting_id is not None:
            return self._templates.get(claim.posting_id) or await self._load(claim.posting_id)
        if claim.notice_id is None:
            raise LookupError(f"delivery {claim.delivery_id} is of no posting and no notice")
        async with borrowed(self._pool) as db:
            row = await notices.frozen(db, claim.notice_id)
        return _Frozen(read_template(row.template), None, row.key_id)

    async def _load(self, posting_id: int) -> _Frozen:
        async with borrowed(self._pool) as db:
            row = await postings.frozen_copy(db, posting_id)
        frozen = _Frozen(read_template(row.template), row.list_id, row.key_id)
        self._templates[posting_id] = frozen
        while len(self._templates) > _TEMPLATES_KEPT:
            self._templates.popitem(last=False)
        return frozen
