"""A message that may be a return, taken apart once for all who read it.

Most returns are written by a mail system to a person, and hold three things: the
system's own words, fields for programs, and our message or its header. Old ones
put all three into one text, so where our message begins has to be guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from worker.mail.dsn import (
    ANY_ADDRESS,
    RECIPIENTS_LIMIT,
    REFERENCES_LIMIT,
    STATUS_TYPES,
    Return,
)
from worker.mail.folding import folded
from worker.mail.header import read_message
from worker.mail.hypertext import text_of
from worker.mail.mention import Mention, find_mentions
from worker.mail.parts import content, decoded_text, leaves, read_media_type

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.mail.dsn import Kind, RecipientReport
    from worker.mail.header import Message
    from worker.mail.parts import Part
    from worker.mail.reason import Reason

TEXT_LIMIT = 16 * 1024
OPENING_LIMIT = 3000
_SHORTEST_TEXT = 40
_TEXTS_LIMIT = 20

RETURNED_TYPES = (
    "message/rfc822",
    "text/rfc822-headers",
    "text/rfc822-header",
    "text/rfc822",
    "message/rfc822-headers",
    "message/global",
    "message/global-headers",
)

_REFERENCE = re.compile(
    r"^[> \t]*+X-Relais-Ref:[ \t]*+([\w.~+/=-]{1,200})[ \t]*+\r?$",
    re.IGNORECASE | re.MULTILINE | re.ASCII,
)
# Where a system's words end and our own message begins.
_COPY = re.compile(
    r"^[ \t>]*+(?:"
    r"-{2,}[ \w]{0,30}(?:copy|below|original|unsent|returned|header|message text|message follows)"
    r"|-{4,}\s*$(?=\s*(?:return-path|received|from|message-id)[: ])"
    r"|(?:the )?(?:original|returned|undelivered|unsent) (?:message|mail)[\w ]{0,40}"
    r"(?:follows|header|below|:?\s*$)"
    r"|message headers? follow|-{0,3}below (?:this line )?is (?:a |the )?(?:copy|original)"
    r"|the (?:first|header)[\w ]{0,20}(?:lines )?of (?:your|the) (?:original )?message"
    r"|(?:return-path|received|message-id|x-relais-ref):)",
    re.IGNORECASE | re.MULTILINE,
)
_FIELD = re.compile(
    r"^(?:return-path|received|from|to|subject|date|message-id|mime-version):",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass
class Notification:
    """A message that may be a return."""

    raw: bytes = field(repr=False)
    # What was read for a reason: reports of many recipients repeat themselves.
    reasons: dict[tuple[str, str], Reason] = field(default_factory=dict, repr=False)

    @cached_property
    def message(self) -> Message:
        """Its own header and body."""
        return read_message(self.raw)

    @cached_property
    def parts(self) -> list[Part]:
        """Its leaves; attached messages stay closed."""
        return leaves(self.raw)

    @cached_property
    def subject(self) -> str:
        """The decoded subject."""
        found = self.message.first("subject")
        return found.text if found else ""

    @cached_property
    def report_type(self) -> str:
        """The report-type of a multipart/report (RFC 6522, section 3), else ""."""
        media_type, parameters = read_media_type(self.message.value("content-type"))
        if media_type != "multipart/report":
            return ""
        return parameters.get("report-type", "delivery-status").strip().lower()

    @cached_property
    def text(self) -> str:
        """The system's own words."""
        return self._words[0]

    @cached_property
    def opening(self) -> str:
        """Their beginning, as patterns want it: folded, an address being "@"."""
        return folded(self.text[:OPENING_LIMIT], limit=OPENING_LIMIT)

    @cached_property
    def returned(self) -> Message | None:
        """Our own message, as far as it came back."""
        attached = [part for part in self.parts if part.content_type in RETURNED_TYPES]
        copy = content(attached[0]) if attached else self._words[1]
        return read_message(copy.lstrip(b" \t\r\n")) if copy else None

    @cached_property
    def statuses(self) -> list[bytes]:
        """The fields for programs: delivery statuses."""
        return [content(part) for part in self.parts if part.content_type in STATUS_TYPES]

    def make(
        self, kind: Kind, family: str, recipients: Iterable[RecipientReport], **about: str
    ) -> Return:
        """Make a return of what one reader found, with what all of them want."""
        message_id = self.returned.value("message-id") if self.returned else ""
        return Return(
            kind=kind,
            recipients=tuple(recipients)[:RECIPIENTS_LIMIT],
            family=family,
            references=self._references(),
            message_id=message_id.strip(),
            **about,
        )

    @cached_property
    def author(self) -> str:
        """Who is in From, name and address in lower case; "" if it is empty."""
        found = self.message.first("from")
        author = found.text.lower() if found else ""
        return author if author.strip(" <>\"'") else ""

    @cached_property
    def mentions(self) -> list[Mention]:
        """Whom the text is about; else whom the returned message was for, if that is one person."""
        _, _, domain = self.author.rpartition("@")
        found = find_mentions(self.text, own=self._own_addresses, domain=domain.strip("<>\"' "))
        return found or [Mention(address, 0, 0) for address in self._written_to]

    @cached_property
    def mentioned(self) -> dict[str, Mention]:
        """The same by address, in lower case."""
        return {mention.address.lower(): mention for mention in self.mentions}

    @cached_property
    def _own_addresses(self) -> frozenset[str]:
        """Who is never the recipient that failed: the system, and who gets its notice."""
        return frozenset(
            address.lower()
            for name in ("from", "to", "reply-to", "sender", "return-path")
            for found in self.message.named(name)
            for address in ANY_ADDRESS.findall(found.body.decode("latin-1"))
        )

    @property
    def _written_to(self) -> list[str]:
        if self.returned is None or self.returned.first("list-id") or self.returned.first("cc"):
            return []
        named = dict.fromkeys(ANY_ADDRESS.findall(self.returned.value("to")))
        return list(named) if len(named) == 1 else []

    @cached_property
    def _words(self) -> tuple[str, bytes]:
        """Return what the system says in its first texts, and our message after it."""
        text = _spoken(self.parts)
        mark = _COPY.search(text)
        if not mark:
            return text, b""
        copy = _FIELD.search(text, mark.start())
        return text[: mark.start()], text[copy.start() :].encode() if copy else b""

    def _references(self) -> tuple[str, ...]:
        found: list[str] = []
        for part in self.parts:
            if part.content_type in RETURNED_TYPES:
                # Only its own header: a message may carry others of ours.
                header = read_message(content(part)).named("x-relais-ref")
                found += [copy.body.decode("latin-1") for copy in header]
            elif part.content_type.startswith("text/"):
                found += _REFERENCE.findall(_beginning(part))
        tokens = [token for token in found if token.isascii() and token.isprintable()]
        return tuple(dict.fromkeys(tokens))[:REFERENCES_LIMIT]


def _spoken(parts: list[Part]) -> str:
    """Return the texts before the fields and our message; HTML where there is nothing else."""
    plain: list[str] = []
    html: list[str] = []
    for part in parts:
        if part.content_type in (*RETURNED_TYPES, *STATUS_TYPES) and (plain or html):
            break
        if part.is_attachment or len(plain) + len(html) >= _TEXTS_LIMIT:
            continue
        if part.content_type == "text/html":
            html.append(text_of(_beginning(part)))
        # A multipart among the leaves is broken: nothing was found in it.
        elif part.content_type.startswith(("text/", "multipart/")):
            plain.append(_beginning(part))
    text = "\n".join(plain)
    if len(text.strip()) < _SHORTEST_TEXT and html:
        text = "\n".join(html)
    return text[:TEXT_LIMIT]


def _beginning(part: Part) -> str:
    # Base64 makes four octets of three, quoted-printable three of one.
    short = replace(part, end=min(part.end, part.body_at + 4 * TEXT_LIMIT))
    return decoded_text(short)[:TEXT_LIMIT]
