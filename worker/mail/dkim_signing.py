"""Signing our own mail (RFC 6376): prepared once per template, finished in each copy.

The DKIM-Signature is the first field of a template, with slots for the hash of
the body and the signature of the header. What these cover is kept in canonical
form (section 3.4) with the same slots as the copy, so that a copy costs three
joins, two hashes and one use of the private key, which only the caller has.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from textwrap import wrap
from typing import TYPE_CHECKING, TypeAlias

from worker.mail.copy import Template, read_template
from worker.mail.dkim_signature import read_tags
from worker.mail.header_writer import field_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from worker.mail.copy import Personal

# The signature of a SHA-256 digest.
Sign: TypeAlias = Callable[[bytes], bytes]

BODY_HASH_SLOT = b"\0B\0"
SIGNATURE_SLOT = b"\0S\0"

# Each is named once more than it is there, so that nobody can add another one
# in front of what we have written (RFC 6376, section 8.15).
_SEALED = (
    "From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "In-Reply-To", "References",
    "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
    "List-Unsubscribe", "List-Unsubscribe-Post",  # RFC 8058, section 4.
)  # fmt: skip
# A relay or another list may add its own. X-Relais-Ref proves itself, and hosts
# drop fields that they do not know.
_COVERED = ("List-Id", "List-Post", "List-Help", "List-Owner", "Feedback-ID", "Auto-Submitted")
_LINE_OCTETS = 74

_FIRST_FIELD = re.compile(rb"DKIM-Signature:(.*(?:\r\n[ \t].*)*)\r\n")
_FIELD_NAME = re.compile(rb"(?m)^[!-9;-~]+(?=:)")
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_SELECTOR = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


class Algorithm(StrEnum):
    """How a signature is made."""

    RSA = "rsa-sha256"
    ED25519 = "ed25519-sha256"  # RFC 8463; Gmail and Outlook do not read it.


@dataclass(frozen=True, slots=True)
class Signer:
    """The domain that answers for a message, and which of its keys proves that."""

    domain: str
    selector: str
    algorithm: Algorithm

    @property
    def key_name(self) -> str:
        """Where the public key is published, as TXT (RFC 6376, section 3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"


@dataclass(frozen=True, slots=True)
class SignedTemplate:
    """A template, and what its signature covers."""

    template: Template
    header: Template
    body: Template
    sign: Sign

    def copy(self, personal: Personal) -> bytes:
        """Return the bytes of one copy with its signature; the same bytes each time."""
        values = self.template.values(personal)
        canonical = {slot: _canonical_value(slot, value) for slot, value in values.items()}
        body_hash = b64encode(sha256(self.body.render(canonical)).digest())
        values[b"B"] = canonical[b"B"] = body_hash
        digest = sha256(self.header.render(canonical)).digest()
        values[b"S"] = _folded(self.sign(digest))
        return self.template.render(values)


def is_selector(text: str) -> bool:
    """Tell whether *text* can be the selector of a key of ours (RFC 6376, section 3.1)."""
    return _SELECTOR.fullmatch(text) is not None


def signed(header: bytes, signer: Signer | None, now: datetime) -> bytes:
    """Return *header*, for a template, with the field that will sign it in front."""
    if signer is None:
        return header
    written = Counter(name.lower().decode("ascii") for name in _FIELD_NAME.findall(header))
    covered = [
        *(name for name in _SEALED for _ in range(written[name.lower()] + 1)),
        *(name for name in _COVERED for _ in range(written[name.lower()])),
    ]
    names = wrap(f"h={': '.join(covered)};", _LINE_OCTETS, break_on_hyphens=False)
    lines = (
        f"v=1; a={signer.algorithm.value}; c=relaxed/relaxed; t={int(now.timestamp())};",
        f"d={signer.domain};",
        f"s={signer.selector};",
        *(line.replace(": ", ":") for line in names),
        f"bh={BODY_HASH_SLOT.decode()};",
        f"b={SIGNATURE_SLOT.decode()}",
    )
    return field_line("DKIM-Signature", "\r\n ".join(lines).encode("ascii")) + header


def signer_of(frozen: bytes) -> Signer | None:
    """Return who is to sign the copies of a template, if anybody."""
    first = _FIRST_FIELD.match(frozen)
    if first is None:
        return None
    tags = {name: value.decode("ascii") for name, value in read_tags(first[1]).items()}
    return Signer(tags[b"d"], tags[b"s"], Algorithm(tags[b"a"]))


def without_signature(frozen: bytes) -> bytes:
    """Return a template without the field that nobody can finish."""
    return _FIRST_FIELD.sub(b"", frozen, count=1)


def read_signed_template(frozen: bytes, sign: Sign) -> SignedTemplate:
    """Return the template in *frozen*, which has a signer and no blocks (any more)."""
    # What the receiver sees: RFC 5321, section 4.5.2, takes the first dot of a line away.
    header, _, body = frozen.replace(b"\r\n.", b"\r\n").partition(b"\r\n\r\n")
    return SignedTemplate(
        read_template(frozen),
        read_template(_canonical_header(header)),
        read_template(_canonical_body(body)),
        sign,
    )


def _canonical_header(header: bytes) -> bytes:
    """Return the fields that are covered, in that order, and the signature's own without b=.

    RFC 6376, section 3.7; of fields with one name the last one is meant first
    (section 5.4.2), and one that is not there stands for nothing.
    """
    own, *others = _FOLD.sub(b"", header).split(b"\r\n")
    fields: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for line in others:
        fields[_name(line)].append(_canonical_field(line))
    covered = [fields[name].pop() for name in _covered_names(own) if fields[name]]
    return b"".join([*covered, _canonical_field(own).partition(SIGNATURE_SLOT)[0]])


def _covered_names(own: bytes) -> Sequence[bytes]:
    names = read_tags(own.partition(b":")[2])[b"h"]
    return [name.strip().lower() for name in names.split(b":")]


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].strip().lower()


def _canonical_field(line: bytes) -> bytes:
    """RFC 6376, section 3.4.2; *line* is unfolded."""
    value = line.partition(b":")[2]
    return _name(line) + b":" + _squeezed(value).strip(b" ") + b"\r\n"


def _canonical_body(body: bytes) -> bytes:
    """RFC 6376, section 3.4.4; lines end in CRLF."""
    lines = _squeezed(body).replace(b" \r\n", b"\r\n").rstrip(b"\r\n")
    return lines + b"\r\n" if lines else b""


def _canonical_value(slot: bytes, value: bytes) -> bytes:
    """Return what stands for *value* where its slot is: within a line, with no space around."""
    # Only a recipient's To is folded; a merge field is broken by "=", which is text to DKIM.
    return _squeezed(_FOLD.sub(b"", value) if slot.startswith(b"T") else value)


def _squeezed(octets: bytes) -> bytes:
    """Return *octets* with one space for each run of spaces and tabs."""
    squeezed = octets.replace(b"\t", b" ")
    while b"  " in squeezed:  # Each time half of a run goes, in less time than a regex takes.
        squeezed = squeezed.replace(b"  ", b" ")
    return squeezed


def _folded(signature: bytes) -> bytes:
    encoded = b64encode(signature)
    return b"\r\n ".join(
        encoded[at : at + _LINE_OCTETS - 2] for at in range(0, len(encoded), _LINE_OCTETS - 2)
    )
