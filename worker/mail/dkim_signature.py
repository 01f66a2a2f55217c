"""DKIM signatures (RFC 6376) that could prove the author: which ones, and their keys' names.

Everything that can be refused without the key is refused here: what remains is
looked up and verified (worker/lookup). A verifier in Python has loops that do
not end on hostile white space, so that such messages do not come so far.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from worker.mail.address import read_author
from worker.mail.authentication import is_aligned
from worker.mail.authentication_results import domain_of
from worker.mail.header import HEADER_LIMIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.mail.header import Field, Message

# Each costs a question to a name server that the author chose.
SIGNATURES_LIMIT = 5
# RSA of 8192 bits takes 1500 octets; a longer key only takes our time.
KEY_LIMIT_BYTES = 2048
_FIELD_LIMIT_BYTES = 8 * 1024
_SPACES_LIMIT = 200
_MESSAGE_LIMIT_BYTES = 10 * 1024 * 1024
_WHITE_SPACE_LIMIT = 20_000_000
_FOLDS_LIMIT = 2000

_SELECTOR = re.compile(
    rb"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)*"
)
_RUN = re.compile(rb"[ \t]{16,}+")
_MANY_SPACES = re.compile(rb"\s{%d}" % _SPACES_LIMIT)
# RFC 8301 forbids SHA-1; for Ed25519 we have no library.
_ALGORITHM = b"rsa-sha256"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature by the author's domain, or by one of the same owner's."""

    number: int  # Among all DKIM-Signature fields, the topmost is 0.
    domain: str
    selector: str

    @property
    def key_name(self) -> str:
        """Where its key is published, as TXT."""
        return f"{self.selector}._domainkey.{self.domain}"


def signatures_of_author(raw: bytes, message: Message) -> tuple[Signature, ...]:
    """Return the signatures that would prove the author of *message*, if they are good.

    *raw* is what it was read from.
    """
    author = read_author(message)
    if author is None or not _is_verifiable(raw, message):
        return ()
    return tuple(
        signature
        for signature in islice(_signatures(message), SIGNATURES_LIMIT)
        if signature is not None and is_aligned(signature.domain, domain_of(author))
    )


def is_key_in_use(record: bytes) -> bool:
    """Tell whether *record* is a key that counts: it is not revoked, and no longer on trial.

    RFC 6376, section 3.6.1: what is signed with a key on trial is not to be
    treated otherwise than what is not signed.
    """
    tags = read_tags(record) if len(record) <= KEY_LIMIT_BYTES else {}
    on_trial = b"y" in map(bytes.strip, tags.get(b"t", b"").lower().split(b":"))
    return bool(tags.get(b"p")) and not on_trial


def _is_verifiable(raw: bytes, message: Message) -> bool:
    """Tell whether a verifier will see the header that we see, and will come to an end."""
    header_bytes = len(raw) - len(message.body)
    header = raw[:header_bytes]
    return (
        header_bytes <= HEADER_LIMIT_BYTES
        and header.endswith((b"\n\r\n", b"\n\n"))
        and all(field.line.count(b"\n") <= _FOLDS_LIMIT for field in message.fields)
        and len(raw) <= _MESSAGE_LIMIT_BYTES
        and _white_space_cost(raw) <= _WHITE_SPACE_LIMIT
    )


def _white_space_cost(raw: bytes) -> int:
    """Return how many steps relaxed canonicalization takes: the square of each run."""
    return sum((run.end() - run.start()) ** 2 for run in _RUN.finditer(raw))


def _signatures(message: Message) -> Iterator[Signature | None]:
    for number, field in enumerate(message.named("dkim-signature")):
        yield _read_signature(number, field)


def _read_signature(number: int, field: Field) -> Signature | None:
    if len(field.line) > _FIELD_LIMIT_BYTES or _MANY_SPACES.search(field.line):
        return None
    tags = read_tags(field.line.partition(b":")[2])
    domain, selector = tags.get(b"d", b""), tags.get(b"s", b"")
    covered = [name.strip().lower() for name in tags.get(b"h", b"").split(b":")]
    if tags.get(b"a") != _ALGORITHM or b"from" not in covered:
        return None
    if b"l" in tags:  # Anything may follow what it covers (section 8.2).
        return None
    if domain_of(domain.decode("latin-1")) != domain.decode("latin-1").lower():
        return None
    if not domain or not _SELECTOR.fullmatch(selector):
        return None
    return Signature(number, domain.decode("ascii").lower(), selector.decode("ascii").lower())


def read_tags(text: bytes) -> dict[bytes, bytes]:
    """Read a list of tags (section 3.2), {} if it is none, or names one twice."""
    tags: dict[bytes, bytes] = {}
    for spec in text.strip().removesuffix(b";").split(b";"):
        name, equals, value = (part.strip() for part in spec.partition(b"="))
        if not equals or name in tags:
            return {}
        tags[name] = value
    return tags
