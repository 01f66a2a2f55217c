"""The header fields that a list adds to each copy (RFC 2369, 2919, 8058).

Fields are written here and nowhere else: names and titles come from other
people's systems, so every text is cleaned of controls and encoded by RFC 2047
before it is put into a line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.header import Header

from worker.mail.address import clean_name
from worker.mail.copy import REFERENCE_SLOT, UNSUBSCRIBE_SLOT

_LINE_OCTETS = 76
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_ATOM_SAFE = set(" !#$%&'*+-/=?^_`{|}~") | set(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
)


@dataclass(frozen=True, slots=True)
class ListIdentity:
    """What a list says of itself in its copies."""

    local_part: str
    domain: str
    title: str
    definition: str
    public_url: str
    help_address: str
    replies_to_list: bool
    has_one_click: bool = True  # False: official mail, which one leaves on a page only.

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


def field_line(name: str, value: bytes) -> bytes:
    """Return one header field with its line end; *value* is ASCII and clean."""
    return name.encode("ascii") + b": " + value + b"\r\n"


def encoded_text(name: str, text: str) -> bytes:
    """Return *text* as the body of the unstructured field *name* (RFC 2047, section 5)."""
    clean = _UNSEEN.sub(" ", text).strip()
    charset = "us-ascii" if clean.isascii() and "=?" not in clean else "utf-8"
    header = Header(clean, charset, maxlinelen=_LINE_OCTETS, header_name=name)
    return header.encode(linesep="\r\n").encode("ascii")


def mailbox(name: str, display_name: str, address: str) -> bytes:
    """Return ``"Display Name" <address>`` for the field *name* (RFC 5322, section 3.4).

    An at-sign in a display name makes some programs show it as the address.
    """
    shown = clean_name(display_name).replace("@", " at ")
    if not shown:
        return f"<{address}>".encode("ascii")
    if shown.isascii() and "=?" not in shown:
        if not set(shown) <= _ATOM_SAFE:
            shown = '"{}"'.format(shown.replace("\\", "\\\\").replace('"', '\\"'))
        phrase = shown.encode("ascii")
    else:
        phrase = (
            Header(shown, "utf-8", maxlinelen=_LINE_OCTETS, header_name=name)
            .encode(linesep="\r\n")
            .encode("ascii")
        )
    separator = b"\r\n " if len(phrase) + len(address) + len(name) > _LINE_OCTETS else b" "
    return phrase + separator + f"<{address}>".encode("ascii")


def list_fields(identity: ListIdentity, *, author: str, author_name: str) -> list[bytes]:
    """Return the fields that every copy of this list carries, in their order.

    From names the list, because a copy in the author's name would fail the
    DMARC policy of the author's domain; Reply-To leads to the author or the list.
    """
    shown = author_name or author.partition("@")[0]
    via = f"{shown} via {identity.title}"
    if identity.replies_to_list:
        reply_to = mailbox("Reply-To", identity.title, identity.address)
    else:
        reply_to = mailbox("Reply-To", author_name, author)
    mailto = b"<mailto:unsubscribe-%s@%s?subject=unsubscribe>" % (
        UNSUBSCRIBE_SLOT,
        identity.domain.encode("ascii"),
    )
    help_uri = f"<mailto:{identity.help_address}>".encode("ascii")
    owner_uri = f"<mailto:{identity.owner_address}>".encode("ascii")
    page = b"<" + identity.unsubscribe_url + b">"
    list_id = f"<{identity.local_part}.{identity.domain}>".encode("ascii")
    fields = [
        field_line("From", mailbox("From", via, identity.address)),
        field_line("Reply-To", reply_to),
        field_line("List-Id", _with_phrase("List-Id", identity.title, list_id)),
        field_line("List-Post", f"<mailto:{identity.address}>".encode("ascii")),
        field_line("List-Help", help_uri),
        field_line("List-Owner", owner_uri),
        field_line(
            "List-Unsubscribe", page + b",\r\n " + mailto if identity.has_one_click else page
        ),
    ]
    # RFC 8058, section 3.1, asks for https.
    if identity.has_one_click and identity.public_url.startswith("https://"):
        fields.append(field_line("List-Unsubscribe-Post", b"List-Unsubscribe=One-Click"))
    return [
        *fields,
        field_line("Precedence", b"list"),
        field_line("X-Auto-Response-Suppress", b"OOF, AutoReply, DR, RN, NRN"),
        field_line("Feedback-ID", f"{identity.definition}:list:relais".encode("ascii")),
        field_line("X-Relais-Ref", REFERENCE_SLOT),
    ]


def _with_phrase(name: str, title: str, bracketed: bytes) -> bytes:
    # RFC 2919, section 3: a phrase before the identifier is for people.
    return encoded_text(name, title.replace("<", "").replace(">", "")) + b"\r\n " + bracketed
