"""Where the parts of a message begin and end."""

from __future__ import annotations

import base64
from typing import NamedTuple

import pytest

from worker.mail import parts


class Case(NamedTuple):
    """A message, the types of its leaves, and their bodies as they stand."""

    raw: bytes
    types: list[str]
    bodies: list[bytes]


MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
CASES = {
    "plain": Case(b"Subject: x\r\n\r\ntext\r\n", ["text/plain"], [b"text\r\n"]),
    "empty": Case(b"", ["text/plain"], [b""]),
    "no header": Case(b"\r\ntext", ["text/plain"], [b"text"]),
    "two parts": Case(
        MIXED + b"pre\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\ntwo\r\n"
        b"\r\n--b--\r\npost\r\n",
        ["text/plain", "text/html"],
        [b"one", b"two\r\n"],
    ),
    "bare LF": Case(
        MIXED.replace(b"\r", b"") + b"--b\n\none\n--b\n\ntwo\n--b--\n",
        ["text/plain"] * 2,
        [b"one", b"two"],
    ),
    "nested": Case(
        MIXED + b"--b\r\nContent-Type: multipart/alternative; boundary=bb\r\n\r\n"
        b"--bb\r\n\r\none\r\n--bb\r\n\r\ntwo\r\n--bb--\r\n--b\r\n\r\nthree\r\n--b--",
        ["text/plain"] * 3,
        [b"one", b"two", b"three"],
    ),
    "inner not closed": Case(
        MIXED + b"--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n"
        b"--c\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--",
        ["text/plain"] * 2,
        [b"one", b"two"],
    ),
    "not closed": Case(MIXED + b"--b\r\n\r\none\r\n", ["text/plain"], [b"one\r\n"]),
    "white space after": Case(MIXED + b"--b \t\r\n\r\none\r\n--b-- \r\n", ["text/plain"], [b"one"]),
    "inside a line": Case(
        MIXED + b"--b\r\n\r\nx --b\r\n--bx\r\n--b--", ["text/plain"], [b"x --b\r\n--bx"]
    ),
    "empty part": Case(MIXED + b"--b\r\n--b--\r\n", ["text/plain"], [b""]),
    "header only": Case(
        MIXED + b"--b\r\nContent-Type: text/html\r\n--b--\r\n", ["text/html"], [b""]
    ),
    "no boundary": Case(
        b"Content-Type: multipart/mixed\r\n\r\n--b\r\n", ["multipart/mixed"], [b"--b\r\n"]
    ),
    "boundary not found": Case(MIXED + b"text", ["multipart/mixed"], [b"text"]),
    "closed at once": Case(MIXED + b"--b--\r\n", ["multipart/mixed"], [b"--b--\r\n"]),
    "quoted boundary": Case(
        b'Content-Type: multipart/mixed;\r\n\tboundary="=_a b"\r\n\r\n--=_a b\r\n\r\nx\r\n'
        b"--=_a b--",
        ["text/plain"],
        [b"x"],
    ),
    "continued boundary": Case(
        b"Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\r\n\r\n--ab\r\n\r\nx\r\n--ab--",
        ["text/plain"],
        [b"x"],
    ),
    "message is a leaf": Case(
        MIXED + b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + MIXED + b"--b--",
        ["message/rfc822"],
        [MIXED[:-2]],
    ),
    "digest": Case(
        b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nX: y\r\n--b--",
        ["message/rfc822"],
        [b"X: y"],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_leaves(case: Case) -> None:
    """A body ends before the line end that belongs to the delimiter."""
    found = parts.leaves(case.raw)

    assert [part.content_type for part in found] == case.types
    assert [part.body for part in found] == case.bodies


def test_offsets_are_exact() -> None:
    """Header, body and close are where surgery cuts."""
    raw = CASES["two parts"].raw
    whole, first, second = parts.entities(raw)

    assert whole.is_multipart
    assert raw[whole.close_at :] == b"\r\n--b--\r\npost\r\n"
    assert raw[first.end :].startswith(b"\r\n--b\r\nContent-Type")
    assert second.header == b"Content-Type: text/html\r\n\r\n"
    assert second.body_at - second.header_at == len(second.header)
    assert second.parent == whole


def test_bombs_are_bounded() -> None:
    """Neither depth nor number grows beyond the limits."""
    deep = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(2000)
    )
    wide = MIXED + b"--b\r\n\r\nx\r\n" * 200_000

    assert max(part.depth for part in parts.entities(deep)) == parts.DEPTH_LIMIT
    assert len(parts.entities(wide)) == parts.PARTS_LIMIT


PARAMETERS = {
    "plain": ("a/b; X=y", {"x": "y"}),
    "quoted": ('a/b; x="y; \\"z\\""', {"x": 'y; "z"'}),
    "continued": ("a/b; x*0=y; x*1=z", {"x": "yz"}),
    "extended": ("a/b; x*=utf-8'fr'y%20z", {"x": "y z"}),
    "both": ("a/b; x*=utf-8''y; x=z", {"x": "z"}),
    "twice": ("a/b; x=y; x=z", {"x": "y"}),
    "none": ("a/b;;=;x", {}),
}


@pytest.mark.parametrize(("value", "parameters"), PARAMETERS.values(), ids=PARAMETERS)
def test_parameters(value: str, parameters: dict[str, str]) -> None:
    """RFC 2045, section 5.1, and RFC 2231; what is plain wins."""
    assert parts.read_media_type(value) == ("a/b", parameters)


TEXTS = {
    "utf-8 by default": (b"", "é".encode(), "é"),
    "latin-1 if it must be": (b"", b"\xe9", "é"),
    "declared": (b"Content-Type: text/plain; charset=KOI8-R\r\n", b"\xc0", "ю"),
    "unknown charset": (b"Content-Type: text/plain; charset=x-y\r\n", b"a", "a"),
    "dangerous codec": (b"Content-Type: text/plain; charset=punycode\r\n", b"a-b", "a-b"),
    "wrong charset": (b"Content-Type: text/plain; charset=utf-8\r\n", b"\xe9", "é"),
    "quoted-printable": (b"Content-Transfer-Encoding: quoted-printable\r\n", b"=41=\r\nB", "AB"),
    "base64": (
        b"Content-Transfer-Encoding: BASE64\r\n",
        base64.encodebytes("é".encode() * 60),
        "é" * 60,
    ),
    "broken base64": (b"Content-Transfer-Encoding: base64\r\n", b"QU\r\nJD! R", "ABC"),
    "unknown encoding": (b"Content-Transfer-Encoding: x-uue\r\n", b"=41", "=41"),
}


@pytest.mark.parametrize(("header", "body", "text"), TEXTS.values(), ids=TEXTS)
def test_decoded_text(header: bytes, body: bytes, text: str) -> None:
    """Any charset and any bytes give some text."""
    (part,) = parts.leaves(header + b"\r\n" + body)

    assert parts.decoded_text(part) == text
