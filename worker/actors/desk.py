"""What the submitters of one account share: sessions, templates, and its breaker."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from worker.errors import ProviderSilent, StoreLost
from worker.mail.copy import Personal, Template, for_reader, read_template
from worker.mail.dkim_signing import (
    SignedTemplate,
    read_signed_template,
    signer_of,
    without_signature,
)
from worker.mail.reply import Reply, Stage
from worker.mail.return_address import Purpose, Tokens, subscriber_number, subscription
from worker.policy.outcome import ANSWERS
from worker.policy.schedule import account_pause
from worker.store import limits, notices, postings
from worker.store.database import borrowed
from worker.submission.connect import open_session
from worker.submission.session import Envelope, Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.actors.feedback import Feedback
    from worker.config import Account
    from worker.policy.schedule import Chance
    from worker.signing import SigningKey
    from worker.store.database import Pool
    from worker.store.deliveries import Claim
    from worker.store.postings import FrozenCopy
    from worker.telemetry.metrics import Metrics

log = structlog.get_logger()

# Postings under way at one time are few, but a template can be as large as mail
# can be; to sign it takes as much again.
_TEMPLATES_KEPT = 16
_TEMPLATES_BYTES = 64 * 1024 * 1024
_KEPT_IN_ANY_CASE = 3  # One posting: in two languages, and as it is in its own.


@dataclass(frozen=True, slots=True)
class Copy:
    """A claim and its bytes, ready to be submitted."""

    claim: Claim
    envelope: Envelope
    body: bytes


@dataclass(frozen=True, slots=True)
class _Frozen:
    template: Template | SignedTemplate
    key_id: str
    size_bytes: int
    posting: FrozenCopy | None = None  # None: a notice, which has no link to leave.
    is_answer: bool = False  # To a message: RFC 3834, section 3.3, gives it no return path.


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
        keys: Sequence[SigningKey] = (),
    ) -> None:
        self.account = account
        self.feedback = feedback
        self._pool = pool
        self._tokens = tokens
        self._domain = domain
        self._keys = {key.signer: key.sign for key in keys}
        self.chance = chance
        self.metrics = metrics
        # Of postings, by their reader's language; notices go once.
        self._templates: OrderedDict[tuple[int, str | None], _Frozen] = OrderedDict()
        self._door = asyncio.Lock()
        self._proved = False
        # Until the next start: a host's rules change, and asking costs one copy a round trip.
        self._takes_null_path = True

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
        reference = self._tokens.sign(Purpose.RETURN, claim.delivery_id, key=frozen.key_id)
        personal = Personal(
            reference, self._unsubscription(claim, frozen), claim.address, claim.fields or ()
        )
        body = frozen.template.copy(personal)
        token = reference.decode()
        return_address = f"return-{token}@{self._domain}"
        envelope = Envelope(return_address, claim.address, len(body), envelope_id=token)
        if frozen.is_answer and self._takes_null_path:
            envelope = replace(envelope, return_address="", stand_in=return_address)
        return Copy(claim, envelope, body)

    def heed(self, session: Session) -> None:
        """Note for all sessions to come what *session* has learnt of the host."""
        refusal = session.null_path_refusal
        if refusal is None or not refusal.is_permanent or not self._takes_null_path:
            return
        self._takes_null_path = False
        log.info(
            "account.null_path_refused",
            account=self.account.name,
            stage=refusal.stage.value,
            why=str(refusal),
        )

    def _unsubscription(self, claim: Claim, frozen: _Frozen) -> bytes:
        posting, person_id, person = frozen.posting, claim.person_id, claim.person
        if posting is None or person_id is None or person is None:
            return b""
        return self._tokens.sign(
            Purpose.UNSUBSCRIBE,
            subscriber_number(posting.list_id, person_id),
            stands_for=subscription(posting.definition, posting.parts, person),
            key=frozen.key_id,
        )

    async def _frozen(self, claim: Claim) -> _Frozen:
        if claim.posting_id is not None:
            known = self._templates.get((claim.posting_id, claim.lang))
            return known or await self._load(claim.posting_id, claim.lang)
        if claim.notice_id is None:
            raise LookupError(f"delivery {claim.delivery_id} is of no posting and no notice")
        async with borrowed(self._pool) as db:
            row = await notices.frozen(db, claim.notice_id)
        template = self._template(row.template)
        is_answer = row.kind in ANSWERS
        return _Frozen(template, row.key_id, len(row.template), is_answer=is_answer)

    async def _load(self, posting_id: int, lang: str | None) -> _Frozen:
        async with borrowed(self._pool) as db:
            row = await postings.frozen_copy(db, posting_id)
        # Who reads the list's own language may be known to, or not.
        frozen = self._templates.get((posting_id, lang or row.lang))
        if frozen is None:
            template = self._template(for_reader(row.template, lang or row.lang))
            posting = replace(row, template=b"")
            frozen = _Frozen(template, row.key_id, len(row.template), posting)
        self._templates[posting_id, lang] = self._templates[posting_id, lang or row.lang] = frozen
        self._forget_the_oldest()
        return frozen

    def _forget_the_oldest(self) -> None:
        while len(self._templates) > _TEMPLATES_KEPT or (
            len(self._templates) > _KEPT_IN_ANY_CASE
            and sum(frozen.size_bytes for frozen in self._templates.values()) > _TEMPLATES_BYTES
        ):
            self._templates.popitem(last=False)

    def _template(self, frozen: bytes) -> Template | SignedTemplate:
        """Read a template; it goes out unsigned if its key has been taken away since.

        What it was frozen with names that key, and no other one can stand for it.
        """
        signer = signer_of(frozen)
        if signer is None:
            return read_template(frozen)
        sign = self._keys.get(signer)
        if sign is None:
            log.warning("template.unsigned", selector=signer.selector, domain=signer.domain)
            return read_template(without_signature(frozen))
        return read_signed_template(frozen, sign)
