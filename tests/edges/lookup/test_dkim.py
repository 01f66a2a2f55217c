"""Signatures that prove an author, and the many that do not; the keys come over a socket."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

import dkim
import dns.rcode
import pytest
from dkim.canonicalization import CanonicalizationPolicy

from worker.lookup.dkim import good_signer
from worker.lookup.dkim_keys import keys_of
from worker.mail.dkim_signature import signatures_of_author
from worker.mail.header import read_message

if TYPE_CHECKING:
    from tests.edges.lookup.conftest import Key, NameServer
    from worker.lookup.dns import Resolver

NAME = "s1._domainkey.example.org"
PROOF = "example.org"
MESSAGE = (
    b"From: Jean <jean@example.org>\r\nTo: tous@listes.example.fr\r\nSubject: AG\r\n"
    b"Date: Mon, 6 Jan 2025 10:00:00 +0100\r\n\r\nBonjour \xc3\xa0 tous\r\n"
)
COVERED = [b"from", b"to", b"subject", b"date"]


def signed(
    key: Key,
    message: bytes = MESSAGE,
    tags: dict[str, bytes | None] | None = None,
    *,
    covered: list[bytes] = COVERED,
) -> bytes:
    """Return *message* with a signature; *tags* replace its tags, None takes one away."""
    signer = dkim.DKIM(message)
    signer.hasher = hashlib.sha256
    policy = CanonicalizationPolicy.from_c_value(b"relaxed/relaxed")
    body = hashlib.sha256(policy.canonicalize_body(signer.body)).digest()
    values: dict[str, bytes | None] = {
        "v": b"1",
        "a": b"rsa-sha256",
        "c": b"relaxed/relaxed",
        "d": b"example.org",
        "s": b"s1",
        "h": b":".join(covered),
        "bh": base64.b64encode(body),
        **(tags or {}),
        "b": b"0" * 60,
    }
    fields = [(name.encode(), value) for name, value in values.items() if value is not None]
    private = dkim.parse_pem_private_key(key.private)
    line = signer.gen_header(fields, covered, policy, b"DKIM-Signature", private)
    return b"DKIM-Signature: " + bytes(line) + message


async def verified(raw: bytes, resolver: Resolver) -> str | None:
    """Return the domain that proves the author of *raw*."""
    signatures = signatures_of_author(raw, read_message(raw))
    return good_signer(raw, signatures, await keys_of(signatures, resolver))


async def test_a_good_signature(server: NameServer, resolver: Resolver, key: Key) -> None:
    """It proves the author, by the domain that signed."""
    server.publish(NAME, key.record)

    assert await verified(signed(key), resolver) == PROOF
    assert server.asked == [NAME]


async def test_line_ends_of_a_host(server: NameServer, resolver: Resolver, key: Key) -> None:
    """Some hosts store LF alone."""
    server.publish(NAME, key.record)

    raw = signed(key).replace(b"\r\n", b"\n")

    assert await verified(raw, resolver) == PROOF


async def test_what_the_library_itself_signs(
    server: NameServer, resolver: Resolver, key: Key
) -> None:
    """Our helper is not the measure."""
    server.publish(NAME, key.record)
    line = dkim.sign(MESSAGE, b"s1", b"example.org", key.private)

    assert await verified(line + MESSAGE, resolver) == PROOF


@dataclass(frozen=True)
class Bad:
    """What is wrong with a signature, or happened to the message after it."""

    tags: dict[str, bytes | None] = field(default_factory=dict)
    covered: list[bytes] = field(default_factory=lambda: COVERED)
    before: bytes = b""
    after: bytes = b""
    old: bytes = b""
    new: bytes = b""
    is_asked: bool = True


BAD = {
    "body appended": Bad(after=b"Autre chose\r\n"),
    "body appended, length told": Bad({"l": b"20"}, after=b"Autre chose\r\n", is_asked=False),
    "length told": Bad({"l": b"20"}, is_asked=False),
    "body changed": Bad(old=b"Bonjour", new=b"Bonsoir"),
    "subject changed": Bad(old=b"Subject: AG", new=b"Subject: CA"),
    "author changed": Bad(old=b"jean@", new=b"paul@"),
    "second From above": Bad(before=b"From: paul@example.org\r\n", is_asked=False),
    "second From below": Bad(
        old=b"Subject:", new=b"From: x@example.org\r\nSubject:", is_asked=False
    ),
    "From not covered": Bad(covered=[b"to", b"subject"], is_asked=False),
    "expired": Bad({"t": b"1000000000", "x": b"1000100000"}),
    "from the future": Bad({"t": b"99999999999"}),
    "expiry that is no number": Bad({"x": b"never"}),
    "expiry of 10 000 digits": Bad({"x": b"9" * 5000}),
    "SHA-1": Bad({"a": b"rsa-sha1"}, is_asked=False),
    "Ed25519": Bad({"a": b"ed25519-sha256"}, is_asked=False),
    "another domain": Bad({"d": b"example.net"}, is_asked=False),
    "look-alike domain": Bad({"d": b"notexample.org"}, is_asked=False),
    "top-level domain": Bad({"d": b"org"}, is_asked=False),
    "empty domain": Bad({"d": b""}, is_asked=False),
    "no domain": Bad({"d": None}, is_asked=False),
    "domain with a line end": Bad({"d": b"example.\r\n org"}, is_asked=False),
    "selector with a line end": Bad({"s": b"s\r\n 1"}, is_asked=False),
    "selector that is a path": Bad({"s": b"../s1"}, is_asked=False),
    "two domains": Bad({"d": b"example.org; d=example.net"}, is_asked=False),
    "identity outside": Bad({"i": b"jean@example.net"}),
    "identity as long as the domain": Bad({"i": b"example.org"}),
    "unknown canonicalization": Bad({"c": b"nofws"}),
    "unknown version": Bad({"v": b"2"}),
    "body hash that is none": Bad({"bh": b"xxxxx"}),
    "no body hash": Bad({"bh": None}),
    "a fold on top": Bad(before=b" folded\r\n", is_asked=False),
    "junk above": Bad(before=b"junk\r\n", is_asked=False),
    "name with a space": Bad(old=b"DKIM-Signature:", new=b"DKIM-Signature :"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_a_bad_signature(server: NameServer, resolver: Resolver, key: Key, bad: Bad) -> None:
    """It proves nothing, and most of them need no question."""
    server.publish(NAME, key.record)
    raw = bad.before + signed(key, tags=bad.tags, covered=bad.covered) + bad.after
    raw = raw.replace(bad.old, bad.new, 1) if bad.old else raw

    assert await verified(raw, resolver) is None
    assert bool(server.asked) == bad.is_asked


KEYS = {
    "revoked": b"v=DKIM1; p=",
    "on trial": b"v=DKIM1; t=y; p=%s",
    "on trial, and more": b"v=DKIM1; t=s : Y; p=%s",
    "of another version": b"v=DKIM2; p=%s",
    "for another purpose": b"v=DKIM1; k=dsa; p=%s",
    "no base64": b"v=DKIM1; p=%%%%",
    "no key": b"v=DKIM1; p=" + base64.b64encode(b"no key at all"),
    "cut": b"v=DKIM1; p=MIIB",
    "nested to no end": b"v=DKIM1; p=" + base64.b64encode(b"\x30\x80" * 300),
    "length of 127 octets": b"v=DKIM1; p=" + base64.b64encode(b"\x30\xff" + b"\xff" * 127),
    "modulus of nought": b"v=DKIM1; p=" + base64.b64encode(b"\x30\x06\x02\x01\x00\x02\x01\x03"),
    "null with a length": b"v=DKIM1; p="
    + base64.b64encode(b"\x30\x0b\x30\x09\x06\x01\x2a\x05\x01\x00\x03\x02\x00\x00"),
    "too long": b"v=DKIM1; p=" + b"A" * 4000,
    "no tags": b"some other text",
    "empty": b"",
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("record", KEYS.values(), ids=KEYS)
async def test_a_bad_key(server: NameServer, resolver: Resolver, key: Key, record: bytes) -> None:
    """A key may hold anything; it makes no good signature, and no exception."""
    public = key.record.partition(b"p=")[2]
    server.publish(NAME, record.replace(b"%s", public))

    assert await verified(signed(key), resolver) is None


async def test_a_weak_key(server: NameServer, resolver: Resolver, weak_key: Key) -> None:
    """RFC 8301, section 3.2: such signatures are not good."""
    server.publish(NAME, weak_key.record)

    assert await verified(signed(weak_key), resolver) is None


async def test_another_s_key(
    server: NameServer, resolver: Resolver, key: Key, weak_key: Key
) -> None:
    """The domain's own key decides."""
    server.publish(NAME, weak_key.record)

    assert await verified(signed(key), resolver) is None


async def test_two_keys_under_one_name(server: NameServer, resolver: Resolver, key: Key) -> None:
    """RFC 6376, section 3.6.2.2: nobody knows which is meant."""
    server.publish(NAME, key.record)
    server.publish(NAME, b"v=DKIM1; p=")

    assert await verified(signed(key), resolver) is None


async def test_no_key(server: NameServer, resolver: Resolver, key: Key) -> None:
    """Nobody published one."""
    assert await verified(signed(key), resolver) is None
    assert server.asked == [NAME]


async def test_unreachable(server: NameServer, resolver: Resolver, key: Key) -> None:
    """Nobody knows, and that is not a no."""
    server.broken = dns.rcode.SERVFAIL

    assert await verified(signed(key), resolver) is None


async def test_signed_by_the_parent_domain(
    server: NameServer, resolver: Resolver, key: Key
) -> None:
    """Alignment is relaxed."""
    server.publish(NAME, key.record)
    message = MESSAGE.replace(b"jean@example.org", b"jean@club.example.org")

    assert await verified(signed(key, message), resolver) == PROOF


async def test_a_good_one_among_bad_ones(server: NameServer, resolver: Resolver, key: Key) -> None:
    """Others sign what passes through them, above or below."""
    server.publish(NAME, key.record)
    raw = signed(key, signed(key, tags={"bh": b"AAAA"}), {"d": b"lists.example"})
    raw = signed(key, raw)
    raw = signed(key, raw, {"bh": b"AAAA"})

    assert await verified(raw, resolver) == PROOF


async def test_only_five_are_looked_at(server: NameServer, resolver: Resolver, key: Key) -> None:
    """Each costs questions to whom a stranger chose."""
    server.publish(NAME, key.record)
    raw = signed(key)
    for number in range(5):
        raw = b"DKIM-Signature: " + _bogus(number) + raw

    assert await verified(raw, resolver) is None
    assert len(server.asked) == 5


def _bogus(number: int) -> bytes:
    return b"v=1; a=rsa-sha256; d=example.org; s=t%d; h=from; bh=AAAA; b=AAAA\r\n" % number


HOSTILE = {
    "spaces in the body": (b"", b" " * 1_000_000 + b"x"),
    "tabs in the body": (b"", b"\t " * 500_000 + b"x"),
    "empty lines in the body": (b"", b"\r\n" * 500_000 + b"x"),
    "short spaces in the body": (b"", (b" " * 999 + b"x") * 1000),
    "spaces in the signature": (b"DKIM-Signature: b=" + b" " * 100_000 + b"x\r\n", b""),
    "folds in the signature": (b"DKIM-Signature: b=" + b"\r\n " * 50_000 + b"x\r\n", b""),
    "tags": (b"DKIM-Signature: " + b"a=b;" * 50_000 + b"\r\n", b""),
    "signatures": (b"DKIM-Signature: d=example.org\r\n" * 5000, b""),
    "folds elsewhere": (b"X: y" + b"\r\n " * 80_000 + b"x\r\n", b""),
    "single spaces in the body": (b"", b" x" * 500_000),
    "fields": (b"X: y\r\n" * 40_000, b""),
}


@pytest.mark.parametrize(("before", "after"), HOSTILE.values(), ids=HOSTILE)
async def test_hostile_messages_take_no_time(
    server: NameServer, resolver: Resolver, key: Key, before: bytes, after: bytes
) -> None:
    """What a verifier would choke on is not given to it."""
    server.publish(NAME, key.record)
    raw = before + signed(key) + after
    began = perf_counter()

    await verified(raw, resolver)

    assert perf_counter() - began < 3.0
