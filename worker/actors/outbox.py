"""The outbox: a notice's words, its links and its envelope become a delivery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from worker.errors import ReaderKilled
from worker.mail.notice import Envelope, write_notice, write_notice_about
from worker.mail.return_address import Purpose
from worker.notices.letters import About
from worker.store import notices, overview
from worker.store.arrivals import Arrival
from worker.store.decisions import HeldPosting
from worker.store.notices import NewNotice

if TYPE_CHECKING:
    from datetime import date, datetime

    from worker.config import Site
    from worker.mail.dkim_signing import Signer
    from worker.mail.notice import Letter
    from worker.mail.return_address import Tokens
    from worker.policy.outcome import NoticeKind
    from worker.reading.reader import Reader
    from worker.store.database import Connection

log = structlog.get_logger()

# Hosts and mailboxes take so much; what is larger lies in relais/taken.
_ATTACHED_LIMIT_BYTES = 8_000_000
_PAGES = {Purpose.CONFIRM: "c", Purpose.MODERATE: "m", Purpose.POSTING: "p"}


def can_be_attached(message: bytes | None) -> bool:
    """Tell whether a letter takes *message* along; None has been purged."""
    return message is not None and len(message) <= _ATTACHED_LIMIT_BYTES


@dataclass(frozen=True, slots=True)
class Outbox:
    """Writes notices in the name of the site."""

    site: Site
    tokens: Tokens

    def about(self, posting: HeldPosting, *, member_file: date | None = None) -> About:
        """Return what every letter about *posting* says of it."""
        return About(
            lang=posting.lang,
            author=posting.author or "?",
            subject=posting.subject,
            list_address=f"{posting.list_address}@{self.site.domain}",
            number=posting.posting_id,
            help_address=self.site.help_address,
            member_file=member_file,
            is_attached=can_be_attached(posting.raw),
        )

    def local(self, moment: datetime) -> datetime:
        """Return *moment* as clocks show it where the site's people live."""
        return moment.astimezone(self.site.zone)

    def link(self, purpose: Purpose, number: int) -> str:
        """Return the page where *number* is decided or followed."""
        token = self.tokens.sign(purpose, number).decode("ascii")
        return f"{self.site.public_url}/{_PAGES[purpose]}/{token}"

    async def send(
        self,
        db: Connection,
        kind: NoticeKind,
        letter: Letter,
        recipient: str,
        *,
        about: HeldPosting | Arrival | None,
        attach: Reader | None = None,
        reply: tuple[Purpose, int] | None = None,
        reply_to: str = "",
    ) -> None:
        """Queue *letter* in the caller's transaction.

        *attach* is who writes the message that it is *about* into it, if anybody.
        An answer goes to *reply*, a service address with its number, else to
        *reply_to*, else to the site's help address.
        """
        domain = self.site.domain
        sender = f"postmaster@{domain}"
        if reply is not None:
            purpose, number = reply
            sender = f"{purpose.value}-{self.tokens.sign(purpose, number).decode('ascii')}@{domain}"
        posting = about if isinstance(about, HeldPosting) else None
        envelope = Envelope(
            sender_name=domain,
            sender=sender,
            recipient=recipient,
            domain=domain,
            reply_to="" if reply is not None else reply_to or self.site.help_address,
            in_reply_to=posting.message_id if posting is not None else "",
        )
        arrival = about if isinstance(about, Arrival) else None
        raw = about.raw if about is not None else None
        template = await _written(
            letter,
            envelope,
            raw if can_be_attached(raw) else None,
            attach,
            now=await overview.moment(db),
            signer=self.site.signer,
        )
        notice = NewNotice(
            kind,
            recipient,
            template,
            self.tokens.key_id,
            posting_id=posting.posting_id if posting is not None else None,
            arrival_id=arrival.arrival_id if arrival is not None else None,
        )
        await notices.send(db, notice)


async def _written(
    letter: Letter,
    envelope: Envelope,
    raw: bytes | None,
    reader: Reader | None,
    *,
    now: datetime,
    signer: Signer | None,
) -> bytes:
    """Return the template of a notice; that a message breaks its reader keeps nobody waiting."""
    if raw is not None and reader is not None:
        try:
            return await reader.run(
                write_notice_about, raw, letter, envelope, now=now, signer=signer
            )
        except ReaderKilled as killed:
            log.warning("notice.unattached", why=str(killed))
    return write_notice(letter, envelope, now=now, signer=signer)
