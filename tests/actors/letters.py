"""Messages as they lie in the mailbox, and what becomes of them."""

from __future__ import annotations

import email
import email.policy
import re
from email.utils import formatdate
from typing import TYPE_CHECKING, TypeAlias

from tests.edges.store.given import DOMAIN
from worker.actors.desk import Desk
from worker.actors.feedback import Feedback
from worker.actors.holds import attend_next
from worker.actors.mediator import mediate
from worker.actors.return_handler import handle_return
from worker.config import Account
from worker.mail.copy import Personal, read_template
from worker.store import arrivals
from worker.store.arrivals import Place
from worker.store.database import borrowed

if TYPE_CHECKING:
    from email.message import EmailMessage

    import asyncpg

    from worker.actors.office import Office
    from worker.mail.return_address import Tokens
    from worker.signing import SigningKey
    from worker.store.arrivals import Arrival

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

TO = f"tous@{DOMAIN}"
HOST = "mx.host.test"
NOW = formatdate()  # Once, so that the same letter is the same message.
PROVEN = "dmarc=pass header.from={}"


def letter(  # noqa: PLR0913 - each test changes one thing
    *,
    author: str = "a@b.fr",
    to: str = TO,
    trace: str = TO,
    proof: str | None = PROVEN,
    client: str = "192.0.2.7",
    date: str = NOW,
    subject: str = "Bonjour",
    more: bytes = b"",
    body: bytes = b"x",
) -> bytes:
    """Write a message as it lies in the mailbox: with what the host says of its author."""
    domain = author.rpartition("@")[2]
    fields = [
        f"Return-Path: <{author}>",
        f"Delivered-To: {trace}",
        *([f"Authentication-Results: {HOST}; {proof.format(domain)}"] if proof else []),
        f"Received: from mail.{domain} (mail.{domain} [{client}]) by {HOST} with ESMTPS; {NOW}",
        f"From: A <{author}>",
        f"To: {to}",
        f"Subject: {subject}",
        f"Date: {date}",
        "Message-ID: <1@b.fr>",
    ]
    head = "".join(f"{field}\r\n" for field in fields).encode()
    return head + more + b"\r\n" + body + b"\r\n"


async def arrive(office: Office, raw: bytes, *, uid: int = 1) -> Arrival:
    """Store *raw* as the fetcher does, and claim it as the mediator does."""
    async with borrowed(office.pool) as db:
        await arrivals.store(db, Place("m", "INBOX", 1, uid), raw, internal_date=None)
        arrival = await arrivals.claim(db, "received", office.worker_id)
    assert arrival is not None
    return arrival


async def outcome_of(office: Office, owner: Owner, raw: bytes, *, uid: int = 1) -> asyncpg.Record:
    """Mediate *raw*, and handle it as a return if it is sorted as one."""
    await mediate(await arrive(office, raw, uid=uid), office=office)
    async with borrowed(office.pool) as db:
        sorted_out = await arrivals.claim(db, "sorted", office.worker_id)
    if sorted_out is not None:
        await handle_return(sorted_out, office=office)
    row = await owner.fetchrow(
        "select state, kind, outcome, wanted_in, reason, raw from relais.arrival where uid = $1",
        uid,
    )
    assert row is not None
    assert row["raw"] == raw, "whatever becomes of it, its bytes are kept"
    return row


async def attend(office: Office) -> None:
    """Do all that is due for postings that wait."""
    for _ in range(50):
        if not await attend_next(office=office):
            return
    raise AssertionError("it never comes to rest")


async def notices(owner: Owner) -> dict[str, list[EmailMessage]]:
    """Return the notices so far, by kind and in their order, as a mail program reads them."""
    rows = await owner.fetch("select kind, address, template from relais.notice order by notice_id")
    found: dict[str, list[EmailMessage]] = {}
    for row in rows:
        raw = read_template(row["template"]).copy(Personal(b"r" * 32))
        message = email.message_from_bytes(raw, policy=email.policy.default)
        assert str(message["to"]) == row["address"]
        found.setdefault(row["kind"], []).append(message)
    return found


def text_of(message: EmailMessage) -> str:
    """Return what is read of a notice."""
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def reply_address(message: EmailMessage) -> str:
    """Return where an answer to a notice goes."""
    found = re.search(r"<([^>]+)>", str(message["reply-to"] or message["from"]))
    assert found is not None
    return found[1]


def link_in(message: EmailMessage) -> str:
    """Return the token of the page that a notice leads to."""
    found = re.search(r"/[cmp]/([a-z2-7]{32})", text_of(message))
    assert found is not None
    return found[1]


async def states(owner: Owner) -> dict[str, str | None]:
    """Return how the postings stand, by subject."""
    rows = await owner.fetch("select subject, state, awaits from relais.posting")
    return {
        row["subject"]: f"{row['state']} {row['awaits']}" if row["awaits"] else row["state"]
        for row in rows
    }


def desk(office: Office, *keys: SigningKey, tokens: Tokens | None = None) -> Desk:
    """Return the desk of an account after a start with *keys* and *tokens*."""
    return Desk(
        Account("main", office.mailbox.endpoint, connections=1, limits=()),
        pool=office.pool,
        tokens=tokens or office.tokens,
        domain=office.site.domain,
        chance=lambda: 0.5,
        metrics=office.metrics,
        feedback=Feedback("main", office.rulebook),
        keys=keys,
    )
