"""The examination of a message: all that is asked of its bytes before it is posted, at once.

Foreign bytes are read in a process of their own (worker/reading). A message goes
there whole, and this comes back; nobody else looks into it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - read by worker/reading, as the other types are
from typing import TYPE_CHECKING

from worker.mail.address import display_name, read_author
from worker.mail.answer import Answer, read_answer, read_stop
from worker.mail.authentication import Authentication, Authenticity, authenticate
from worker.mail.content import content_hash
from worker.mail.dkim_signature import Signature, signatures_of_author
from worker.mail.dsn import Return  # noqa: TC001 - read by worker/reading
from worker.mail.envelope import envelope_recipients, named_recipients
from worker.mail.header import read_message
from worker.mail.leaving import asks_to_leave
from worker.mail.preparation import fingerprint, message_id, thread_of
from worker.mail.received import client_network, own_hops
from worker.mail.return_address import Purpose, ServiceAddress, read_service_address
from worker.mail.returns import read_return
from worker.mail.trace import (
    is_automatic,
    is_called_spam,
    is_from_another_list,
    is_loop,
    is_not_to_be_answered,
)
from worker.mail.written_at import written_at

if TYPE_CHECKING:
    from worker.mail.header import Message
    from worker.mail.host import HostRecipe

_LOCAL_PARTS_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Examination:
    """What a message tells of itself. Nothing of it is proven but by the authentication."""

    local_parts: tuple[str, ...]  # Whom it is for: the envelope's, else To and Cc.
    named: tuple[str, ...]  # Whom To and Cc name in our domain.
    services: tuple[ServiceAddress, ...]  # Those of the local parts that are no lists.
    author: str | None
    author_name: str
    subject: str
    written_at: datetime | None
    message_id: str
    thread: tuple[str, ...]  # What an answer refers to: the message itself last.
    fingerprint: bytes
    content: bytes  # What it says, hashed.
    automatic: str | None  # The rule by which it is; so are the next four.
    loop: str | None
    other_list: str | None
    spam: str | None
    unanswered: str | None  # By which nobody wants an answer to it.
    answers_us: bool  # It is in a thread with a message of ours.
    asks_to_leave: bool  # All it says is that its author wants to.
    authentication: Authentication
    network: str  # Of the client that our host saw, or "".
    signatures: tuple[Signature, ...]  # That could prove the author, where the host says nothing.
    returned: Return | None
    answer: Answer | None  # To the last address at which one is awaited, if there is any.


def examine(raw: bytes, *, host: HostRecipe, domain: str, account: str) -> Examination:
    """Read all that is asked of *raw*, which *host* laid into the mailbox of *account*."""
    message = read_message(raw)
    local_parts = envelope_recipients(message, host=host, domain=domain, account=account)
    services = tuple(filter(None, map(read_service_address, local_parts)))
    authentication = authenticate(message, host=host)
    border = own_hops(message, host).border
    subject = message.first("subject")
    return Examination(
        local_parts=local_parts[:_LOCAL_PARTS_LIMIT],
        named=named_recipients(message, domain)[:_LOCAL_PARTS_LIMIT],
        services=services[:_LOCAL_PARTS_LIMIT],
        author=read_author(message),
        author_name=display_name(message),
        subject=subject.text if subject else "",
        written_at=written_at(message),
        message_id=message_id(message, domain=domain),
        thread=thread_of(message),
        fingerprint=fingerprint(message),
        content=content_hash(message, raw),
        automatic=is_automatic(message),
        loop=is_loop(message, domain=domain),
        other_list=is_from_another_list(message),
        spam=is_called_spam(message),
        unanswered=is_not_to_be_answered(message),
        answers_us=_answers_us(message, domain),
        asks_to_leave=asks_to_leave(message, raw),
        authentication=authentication,
        network=client_network(border) if border is not None else "",
        signatures=_signatures(raw, message, authentication),
        returned=read_return(raw),
        answer=_answer(raw, services),
    )


def _answers_us(message: Message, domain: str) -> bool:
    """Tell whether *message* is in a thread with one of ours (RFC 5322, section 3.6.4)."""
    above = f"{message.value('in-reply-to')} {message.value('references')}"
    return f"@{domain}>" in above.lower()


def _signatures(
    raw: bytes, message: Message, authentication: Authentication
) -> tuple[Signature, ...]:
    # What the host has said of the author holds, whatever it is.
    if authentication.verdict is not Authenticity.UNKNOWN or authentication.method:
        return ()
    return signatures_of_author(raw, message)


def _answer(raw: bytes, services: tuple[ServiceAddress, ...]) -> Answer | None:
    """Read what is said to the last of the addresses at which an answer is awaited."""
    for service in reversed(services):
        if service.purpose in (Purpose.CONFIRM, Purpose.MODERATE):
            return read_answer(raw)
        if service.purpose is Purpose.POSTING:
            return read_stop(raw)
    return None
