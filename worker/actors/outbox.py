"""The outbox: a notice's words, its links and its envelope become a delivery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from worker.config import LOCALES
from worker.errors import ReaderKilled
from worker.mail.notice import (
    Attachment,
    Envelope,
    attached_header,
    attachment,
    write_notice,
)
from worker.mail.return_address import Purpose
from worker.notices.letters import About
from worker.policy.outcome import RESPONSES
from worker.store import notices, overview
from worker.store.decisions import HeldPosting
from worker.store.notices import NewNotice

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime

    from worker.actors.office import Office
    from worker.config import Site
    from worker.mail.notice import Letter
    from worker.mail.return_address import Tokens
    from worker.policy.outcome import NoticeKind
    from worker.store.arrivals import Arrival
    from worker.store.database import Connection
    from worker.telemetry.metrics import Metrics

log = structlog.get_logger()

# Hosts and mailboxes take so much; what is larger lies in relais/taken.
_ATTACHED_LIMIT_BYTES = 8_000_000
_RETURNED_LIMIT_BYTES = 200_000  # Its author has it; this is a courtesy.
_PAGES = {Purpose.CONFIRM: "c", Purpose.MODERATE: "m", Purpose.POSTING: "p"}


async def attached(raw: bytes | None, *, office: Office) -> Attachment | None:
    """Return *raw* as letters take it along; None if it is purged, too large or unreadable.

    Call it before the transaction that writes the letters: it may take long.
    """
    if raw is None or len(raw) > _ATTACHED_LIMIT_BYTES:
        return None
    return await _read(attachment, raw, office=office)


async def attached_or_its_header(raw: bytes, *, office: Office) -> tuple[Attachment | None, bool]:
    """Return *raw* as a refusal takes it along, and whether it is whole: else its header."""
    is_whole = len(raw) <= _RETURNED_LIMIT_BYTES
    read = attachment if is_whole else attached_header
    return await _read(read, raw, office=office), is_whole


async def _read(
    read: Callable[[bytes], Attachment], raw: bytes, *, office: Office
) -> Attachment | None:
    try:
        return await office.reader.run(read, raw)
    except ReaderKilled as killed:
        # That a message breaks its reader keeps nobody waiting.
        office.metrics.reader_killed(killed.why)
        log.warning("notice.unattached", why=str(killed))
        return None


@dataclass(frozen=True, slots=True)
class Unposted:
    """A message that has no posting, and is answered in its thread."""

    arrival: Arrival
    message_id: str
    thread: tuple[str, ...] = ()  # As an examination has it.


@dataclass(frozen=True, slots=True)
class Outbox:
    """Writes notices in the name of the site."""

    site: Site
    tokens: Tokens
    metrics: Metrics

    def about(
        self,
        posting: HeldPosting,
        *,
        member_file: date | None = None,
        is_attached: bool = False,
        to_author: bool = False,
    ) -> About:
        """Return what every letter about *posting* says of it, in its reader's language."""
        author_lang = posting.author_lang if to_author else None
        return About(
            lang=author_lang if author_lang in LOCALES else posting.lang,
            author=posting.author or "?",
            subject=posting.subject,
            list_address=f"{posting.list_address}@{self.site.domain}",
            number=posting.posting_id,
            help_address=self.site.help_address,
            member_file=member_file,
            is_attached=is_attached,
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
        about: HeldPosting | Unposted | None,
        attach: Attachment | None = None,
        reply: tuple[Purpose, int] | None = None,
        reply_to: str = "",
    ) -> None:
        """Queue *letter* in the caller's transaction, with the message that it is *about*.

        An answer goes to *reply*, a service address with its number, else to
        *reply_to*, else to the site's help address.
        """
        domain = self.site.domain
        sender = f"postmaster@{domain}"
        if reply is not None:
            purpose, number = reply
            sender = f"{purpose.value}-{self.tokens.sign(purpose, number).decode('ascii')}@{domain}"
        posting = about if isinstance(about, HeldPosting) else None
        arrival = about.arrival if isinstance(about, Unposted) else None
        envelope = Envelope(
            sender_name=self.site.called,
            sender=sender,
            recipient=recipient,
            domain=domain,
            reply_to="" if reply is not None else reply_to or self.site.help_address,
            thread=_thread(kind, about),
            is_response=kind in RESPONSES,
        )
        template = write_notice(
            letter,
            envelope,
            now=await overview.moment(db),
            attached=attach,
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
        self.metrics.noticed(kind)


def _thread(kind: NoticeKind, about: HeldPosting | Unposted | None) -> tuple[str, ...]:
    """Return what a notice refers to, as its recipient knows it.

    Who wrote the message knows it by the Message-ID that their program gave it; all
    others know its copies, which on an anonymous list have another.
    """
    match about:
        case HeldPosting() if kind in RESPONSES:
            return about.thread or (about.message_id,)
        case HeldPosting():
            return (about.message_id,)
        case Unposted():
            return about.thread or (about.message_id,)
        case _:
            return ()
