"""The header fields that a list adds to each copy (RFC 2369, 2919, 8058).

How a copy presents itself is the list's form:

    discussion      From: Jean Dupont via Comité <list>, To as its author wrote it
    announcement    From: Comité <list>, To: each recipient
    anonymous       From: Comité <list>, To: the list, and no trace of the author

From always names the list: a copy in the author's name would fail the DMARC
policy of the author's domain, and be refused. Reply-To is decided here once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from worker.mail.copy import REFERENCE_SLOT, UNSUBSCRIBE_SLOT
from worker.mail.header_writer import encoded_text, field_line, mailbox

# An address in a display name is taken for the address, or sold as one.
_DOMAIN_IN_NAME = re.compile(r"@[^\s<>()]*")


class Form(StrEnum):
    """How a list's copies present themselves."""

    DISCUSSION = "discussion"
    ANNOUNCEMENT = "announcement"
    ANONYMOUS = "anonymous"


class ReplyTo(StrEnum):
    """Where a reply goes."""

    AUTHOR = "author"
    LIST = "list"
    OWNER = "owner"  # The human behind the list.


@dataclass(frozen=True, slots=True)
class ListIdentity:
    """What a list says of itself in its copies."""

    local_part: str
    domain: str
    title: str
    definition: str
    public_url: str
    help_address: str
    form: Form = Form.DISCUSSION
    reply_to: ReplyTo = ReplyTo.AUTHOR
    subject_tag: str = ""
    has_one_click: bool = True  # False: official mail, which one leaves on a page only.
    name_field: int | None = None  # Which merge field is the recipient's name.

    @property
    def address(self) -> str:
        """Where one writes to the list."""
        return f"{self.local_part}@{self.domain}"

    @property
    def owner_address(self) -> str:
        """Where one writes to the human behind the list (RFC 2142, section 6)."""
        return f"{self.local_part}-owner@{self.domain}"

    @property
    def unsubscribe_url(self) -> bytes:
        """The personal page, with the slot of its token."""
        return self.public_url.encode("ascii") + b"/u/" + UNSUBSCRIBE_SLOT


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote a posting."""

    address: str
    name: str = ""

    @property
    def shown_name(self) -> str:
        """The name without any address in it; of a nameless author the local part."""
        return _DOMAIN_IN_NAME.sub("", self.name).strip(" <>") or self.address.partition("@")[0]


def list_fields(identity: ListIdentity, author: Author) -> list[bytes]:
    """Return the fields that every copy of this list carries, in their order."""
    return [
        field_line("From", _from(identity, author)),
        field_line("Reply-To", _reply_to(identity, author)),
        *([_original_from(author)] if identity.form is Form.DISCUSSION else []),
        *_mailing_list_fields(identity),
        field_line("Precedence", b"list"),
        field_line("X-Auto-Response-Suppress", b"OOF, AutoReply, DR, RN, NRN"),
        # Outlook mails a reaction to everybody who is named, which is the whole list.
        field_line("X-MS-Reactions", b"disallow"),
        field_line("Feedback-ID", f"{identity.definition}:list:relais".encode("ascii")),
        field_line("X-Relais-Ref", REFERENCE_SLOT),
    ]


def _from(identity: ListIdentity, author: Author) -> bytes:
    shown = identity.title
    if identity.form is Form.DISCUSSION:
        shown = f"{author.shown_name} via {identity.title}"
    return mailbox("From", shown, identity.address)


def _reply_to(identity: ListIdentity, author: Author) -> bytes:
    match identity.reply_to:
        case ReplyTo.AUTHOR if identity.form is not Form.ANONYMOUS:
            return mailbox("Reply-To", author.name, author.address)
        case ReplyTo.LIST:
            return mailbox("Reply-To", identity.title, identity.address)
        case _:
            return mailbox("Reply-To", identity.title, identity.owner_address)


def _original_from(author: Author) -> bytes:
    return field_line("X-Original-From", mailbox("X-Original-From", author.name, author.address))


def _mailing_list_fields(identity: ListIdentity) -> list[bytes]:
    mailto = b"<mailto:unsubscribe-%s@%s?subject=unsubscribe>" % (
        UNSUBSCRIBE_SLOT,
        identity.domain.encode("ascii"),
    )
    page = b"<" + identity.unsubscribe_url + b">"
    leave = page + b",\r\n " + mailto if identity.has_one_click else page
    list_id = f"<{identity.local_part}.{identity.domain}>".encode("ascii")
    fields = [
        field_line("List-Id", _with_phrase("List-Id", identity.title, list_id)),
        field_line("List-Post", _list_post(identity)),
        field_line("List-Help", f"<mailto:{identity.help_address}>".encode("ascii")),
        field_line("List-Owner", f"<mailto:{identity.owner_address}>".encode("ascii")),
        field_line("List-Unsubscribe", leave),
    ]
    # RFC 8058, section 3.1, asks for https.
    if identity.has_one_click and identity.public_url.startswith("https://"):
        fields.append(field_line("List-Unsubscribe-Post", b"List-Unsubscribe=One-Click"))
    return fields


def _list_post(identity: ListIdentity) -> bytes:
    # RFC 2369, section 3.4: NO where posting is not for those who read this.
    if identity.form is Form.ANNOUNCEMENT:
        return b"NO"
    return f"<mailto:{identity.address}>".encode("ascii")


def _with_phrase(name: str, title: str, bracketed: bytes) -> bytes:
    # RFC 2919, section 3: a phrase before the identifier is for people.
    return encoded_text(name, title.replace("<", "").replace(">", "")) + b"\r\n " + bracketed
