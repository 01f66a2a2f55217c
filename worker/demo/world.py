"""The outside world of the demo, on loopback: the host, every provider, every member.

One SMTP server takes mail for everybody. Mail for the lists' domain gets its
trace fields and goes into the catch-all mailbox; copies for members lie in
memory, where an audit can count them. As with a real host, an unknown member
is found out later: the copy is taken, and a report comes back (RFC 3464).
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate, make_msgid
from enum import Enum
from typing import TYPE_CHECKING

import aiosmtplib
from aiosmtpd import smtp

from worker.config import Endpoint, Tls
from worker.demo.federation import Mailbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from aiosmtpd.smtp import SMTP, Envelope, Session

    from worker.demo.catch_all import CatchAll

AUTHSERV_ID = "mx.host.example"
_HOST = "127.0.0.1"
_CLIENT = "192.0.2.25"  # What the host saw of an author's provider; nobody has it (RFC 5737).
_LARGEST_BYTES = 50 * 1024 * 1024
_TIDIES_UP_AFTER = 3  # Refusals, until the owner of a full mailbox notices.
_REPORT_SECONDS = 0.4  # A host tries for a while before it reports.

_GREYLISTED = "451 4.7.1 Greylisted, please try again later"
_FULL = "452 4.2.2 Mailbox full"
_UNKNOWN = "550 5.1.1 <{}>: Recipient address rejected: User unknown"
_REFERENCE = re.compile(rb"^X-Relais-Ref: ([a-z2-7]{32})\r?$", re.MULTILINE)
_PERSONAL_LINK = re.compile(rb"<(http[^>\s]+/u/[a-z2-7]{32})>")


class Happening(Enum):
    """What the world may tell its spectators."""

    GREYLISTED = "greylisted"
    FULL = "full"
    REPORTED = "reported"


@dataclass(frozen=True, slots=True)
class Received:
    """A copy that the host took and answered with 250."""

    recipient: str
    return_address: str
    content: bytes

    @property
    def reference(self) -> str:
        """The token of the copy, which is there whatever its return address; "" if it has none."""
        found = _REFERENCE.search(self.content.partition(b"\r\n\r\n")[0])
        return found[1].decode("ascii") if found else ""

    @property
    def personal_link(self) -> str:
        """The page behind the copy's List-Unsubscribe; "" if it has none."""
        found = _PERSONAL_LINK.search(self.content)
        return found[1].decode("ascii") if found else ""


class World:
    """Takes mail for everybody; its handle_ methods are aiosmtpd's hooks."""

    def __init__(
        self,
        domain: str,
        mailboxes: Mapping[str, Mailbox],
        catch_all: CatchAll,
        *,
        tell: Callable[[Happening, str], None],
    ) -> None:
        self.received: list[Received] = []
        self.reported: list[Received] = []  # Taken first, then reported as unknown.
        self.endpoint = Endpoint(_HOST, 0, "", "", Tls.NONE)
        self._domain = domain
        self._mailboxes = mailboxes
        self._catch_all = catch_all
        self._tell = tell
        self._refusals: Counter[str] = Counter()
        self._unknown: asyncio.Queue[Received] = asyncio.Queue()

    async def wait_until_quiet(self) -> None:
        """Wait until every report that is due has been sent."""
        await self._unknown.join()

    async def post(self, author: str, address: str, message: bytes) -> None:
        """Submit an author's message, as a mail program does."""
        await aiosmtplib.send(
            message,
            sender=author,
            recipients=[address],
            hostname=_HOST,
            port=self.endpoint.port,
            start_tls=False,
        )

    async def handle_RCPT(  # noqa: N802 - aiosmtpd looks for this name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _: list[str]
    ) -> str:
        """Take a recipient, or say why not now."""
        match self._mailbox(address):
            case Mailbox.GREYLISTED if self._refuses(address, times=1):
                self._tell(Happening.GREYLISTED, address)
                return _GREYLISTED
            case Mailbox.FULL if self._refuses(address, times=_TIDIES_UP_AFTER):
                self._tell(Happening.FULL, address)
                return _FULL
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd looks for this name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Take a message; it is where it belongs before this answers."""
        content = envelope.original_content or b""
        return_address = (envelope.mail_from or "").strip("<>")  # aiosmtpd leaves a null one so.
        for recipient in envelope.rcpt_tos:
            if recipient.lower().endswith(f"@{self._domain}"):
                trace = _trace_fields(return_address, recipient)
                await self._catch_all.receive(trace + content)
                continue
            copy = Received(recipient, return_address, content)
            self.received.append(copy)
            if self._mailbox(recipient) is Mailbox.GONE:
                self._unknown.put_nowait(copy)
        return "250 2.0.0 OK: queued"

    async def run_reports(self) -> None:
        """Report unknown members a moment later, until cancelled."""
        while True:
            copy = await self._unknown.get()
            await asyncio.sleep(_REPORT_SECONDS)
            if copy.return_address:  # RFC 5321, section 4.5.5: never to a null one.
                trace = _trace_fields("", copy.return_address)
                await self._catch_all.receive(trace + report(copy))
                self._tell(Happening.REPORTED, copy.recipient)
                self.reported.append(copy)
            self._unknown.task_done()

    def _mailbox(self, address: str) -> Mailbox:
        return self._mailboxes.get(address.lower(), Mailbox.SOUND)

    def _refuses(self, address: str, *, times: int) -> bool:
        self._refusals[address.lower()] += 1
        return self._refusals[address.lower()] <= times


@asynccontextmanager
async def outside_world(
    domain: str,
    mailboxes: Mapping[str, Mailbox],
    catch_all: CatchAll,
    *,
    tell: Callable[[Happening, str], None] = lambda _happening, _address: None,
) -> AsyncIterator[World]:
    """Serve the world on loopback."""
    world = World(domain, mailboxes, catch_all, tell=tell)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: smtp.SMTP(world, hostname=AUTHSERV_ID, data_size_limit=_LARGEST_BYTES, loop=loop),
        _HOST,
        0,
    )
    port: int = server.sockets[0].getsockname()[1]
    world.endpoint = Endpoint(_HOST, port, "", "", Tls.NONE)
    try:
        async with asyncio.TaskGroup() as group:
            reports = group.create_task(world.run_reports(), name="reports")
            try:
                yield world
            finally:
                reports.cancel()
    finally:
        server.close()


def _trace_fields(return_address: str, recipient: str) -> bytes:
    """Return what a host writes above a message at final delivery (RFC 5321, section 4.4)."""
    domain = return_address.rpartition("@")[2]
    results = f"dmarc=pass header.from={domain}" if domain else "none"
    lines = (
        f"Return-Path: <{return_address}>",
        f"Delivered-To: {recipient}",
        f"Authentication-Results: {AUTHSERV_ID}; {results}",
        (
            f"Received: from mail.{domain or AUTHSERV_ID} (mail [{_CLIENT}])"
            f" by {AUTHSERV_ID} with ESMTP for <{recipient}>; {formatdate()}"
        ),
    )
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


def report(copy: Received) -> bytes:
    """Return the report that a copy could not be handed on (RFC 3464)."""
    said = _UNKNOWN.format(copy.recipient)
    header = copy.content.partition(b"\r\n\r\n")[0] + b"\r\n"
    boundary = "=_report_" + make_msgid(domain="host.example").strip("<>").partition("@")[0]
    head = f"""\
From: Mail Delivery System <MAILER-DAEMON@{AUTHSERV_ID}>
To: {copy.return_address}
Subject: Undelivered Mail Returned to Sender
Date: {formatdate()}
Message-ID: {make_msgid(domain=AUTHSERV_ID)}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
 boundary="{boundary}"

--{boundary}
Content-Type: text/plain; charset=us-ascii

Your message could not be delivered to

<{copy.recipient}>: {said}

--{boundary}
Content-Type: message/delivery-status

Reporting-MTA: dns; {AUTHSERV_ID}

Final-Recipient: rfc822; {copy.recipient}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; {said}

--{boundary}
Content-Type: text/rfc822-headers

"""
    tail = f"\n--{boundary}--\n"
    return _lines(head) + header + _lines(tail)


def _lines(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("ascii")
