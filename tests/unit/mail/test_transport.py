"""Bytes fit for the wire: what changes, and what does not."""

from __future__ import annotations

import email
from base64 import encodebytes
from email.policy import default
from typing import NamedTuple

import pytest

from worker.mail.parts import content, entities, leaves
from worker.mail.transport import fit_for_the_wire

LONG = b"x" * 5000
MIXED = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"


def in_mixed(*parts: bytes) -> bytes:
    """Return a message of *parts*."""
    return MIXED + b"".join(b"--b\r\n%s\r\n" % part for part in parts) + b"--b--\r\n"


def leaf(kind: bytes, body: bytes, encoding: bytes = b"") -> bytes:
    """Return an entity."""
    field = b"Content-Transfer-Encoding: %s\r\n" % encoding if encoding else b""
    return b"Content-Type: %s\r\n%s\r\n%s" % (kind, field, body)


class Body(NamedTuple):
    """A part, its encoding afterwards, and what it says then."""

    part: bytes
    encoding: str
    said: bytes


CHANGED = {
    "a long line of text": Body(leaf(b"text/plain", LONG), "quoted-printable", LONG),
    "a long line of 8-bit text": Body(
        leaf(b"text/plain; charset=utf-8", "é".encode() * 999, b"8bit"), "quoted-printable",
        "é".encode() * 999,
    ),
    "a long line of HTML": Body(leaf(b"text/html", LONG), "quoted-printable", LONG),
    "a lone CR in a text": Body(leaf(b"text/plain", b"a\rb"), "quoted-printable", b"a\r\nb"),
    "a lone CR before hyphens": Body(
        leaf(b"text/plain", b"a\r--b\r--b--"), "quoted-printable", b"a\r\n--b\r\n--b--"
    ),
    "a lone LF in a text": Body(leaf(b"text/plain", b"a\nb"), "", b"a\r\nb"),
    "NUL in a text": Body(leaf(b"text/plain", b"a\0b"), "quoted-printable", b"ab"),
    "UTF-16 as it is": Body(
        leaf(b"text/plain; charset=utf-16le", "a\n".encode("utf-16le")), "base64",
        "a\n".encode("utf-16le"),
    ),
    "a long line of bytes": Body(leaf(b"image/png", LONG, b"binary"), "base64", LONG),
    "a lone CR in bytes": Body(leaf(b"image/png", b"\x89\r\r\n"), "base64", b"\x89\r\r\n"),
    "a lone LF in bytes": Body(leaf(b"application/x", b"a\nb", b"8bit"), "base64", b"a\nb"),
    "NUL in bytes": Body(leaf(b"application/x", b"a\0b"), "base64", b"a\0b"),
    "base64 in one line": Body(
        leaf(b"image/png", encodebytes(LONG).replace(b"\n", b""), b"base64"), "base64", LONG
    ),
    "quoted-printable in one line": Body(
        leaf(b"text/plain", b"=41" * 999, b"quoted-printable"), "quoted-printable", b"A" * 999
    ),
    "bytes in quoted-printable": Body(
        leaf(b"image/png", b"=0A" * 999, b"quoted-printable"), "base64", b"\n" * 999
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGED.values(), ids=CHANGED)
@pytest.mark.parametrize("nested", [False, True])
def test_what_is_encoded_anew(case: Body, *, nested: bool) -> None:
    """It says the same, its header says how, and its neighbours keep their bytes."""
    beside = leaf(b"image/gif", b"GIF \xff\x01\r\n.\r\n")
    raw = in_mixed(case.part, beside) if nested else b"MIME-Version: 1.0\r\n" + case.part
    fit = fit_for_the_wire(raw)
    part = leaves(fit)[0]

    assert part.encoding == case.encoding
    assert content(part) == case.said
    assert fit.count(beside) == nested
    assert_fit(fit)


def assert_fit(fit: bytes) -> None:
    """No NUL, no lone CR or LF, no long line."""
    rest = fit.replace(b"\r\n", b"")
    assert b"\r" not in rest
    assert b"\n" not in rest
    assert b"\0" not in rest
    assert max(map(len, fit.split(b"\r\n"))) <= 998


KEPT = {
    "text": leaf(b"text/plain", b"a\r\n.\r\n"),
    "998 octets": leaf(b"text/plain", b"x" * 998),
    "998 octets and another line": leaf(b"image/png", b"x" * 998 + b"\r\ny"),
    "8-bit": leaf(b"text/plain; charset=utf-8", "été\r\n".encode()),
    "8-bit bytes": leaf(b"image/png", bytes(range(128, 256))),
    "base64": leaf(b"image/png", encodebytes(LONG).replace(b"\n", b"\r\n"), b"base64"),
    "strange base64": leaf(b"image/png", b"QUJD REVG==\r\nrest", b"base64"),
    "a strange header": b"X-Odd : \x07\tx\r\nContent-Type:   text/plain;;\r\n\r\nx",
    "a message": leaf(b"message/rfc822", b"Subject: x\r\n\r\nold \xe9\r\n"),
    "no message": leaf(b"message/rfc822", b"this is none"),
    "a name in ASCII": leaf(b"application/pdf; name=\"a.pdf\"; x*=utf-8''%C3%A9", b"x"),
}


@pytest.mark.parametrize("part", KEPT.values(), ids=KEPT)
def test_what_keeps_its_bytes(part: bytes) -> None:
    """Whatever may go out as it is."""
    assert fit_for_the_wire(in_mixed(part)) == in_mixed(part)
    assert fit_for_the_wire(part) == part


def test_all_line_ends_are_lf() -> None:
    """A message from a store that has no CR is not full of parts to be encoded."""
    raw = in_mixed(leaf(b"image/png", b"a\r\nb", b"8bit"), leaf(b"text/plain", b"x\r\n"))

    assert fit_for_the_wire(raw.replace(b"\r\n", b"\n")) == raw


def test_messages_within_are_not_encoded_but_their_parts_are() -> None:
    """RFC 2046, section 5.2.1, allows no encoding of a message."""
    inner = in_mixed(leaf(b"text/plain", LONG), leaf(b"image/png", b"\r\0"))
    inner = inner.replace(b"boundary=b", b"boundary=i").replace(b"--b", b"--i")
    fit = fit_for_the_wire(in_mixed(leaf(b"message/rfc822", inner)))
    (message,) = leaves(fit)

    assert message.encoding == ""
    assert [content(part) for part in leaves(message.body)] == [LONG, b"\r\0"]
    assert_fit(fit)


ODD = {
    "a long preamble": MIXED + LONG + b"\r\n--b\r\n\r\nx\r\n--b--\r\n",
    "a long epilogue": in_mixed(leaf(b"text/plain", b"x")) + LONG + b"--b",
    "a delimiter that is none": MIXED + b"--b\r\n\r\nx\r\n--b\r\r\ny\r\n--b--",
    "a lone CR before a delimiter": MIXED + b"\r--b\r\n--b\r\n\r\nx\r\n--b--",
    "a long delimiter": MIXED + b"--b" + b" " * 5000 + b"\r\n\r\nx\r\n--b--",
    "a long status": in_mixed(leaf(b"message/delivery-status", b"X: " + LONG)),
    "a long unknown encoding": in_mixed(leaf(b"text/plain", LONG, b"x-uuencode")),
    "a multipart that is none": in_mixed(leaf(b"multipart/mixed", LONG)),
    "a lone CR in a part's header": in_mixed(b"X: a\rBcc: e@e\r\n\r\nx"),
    "a lone CR in a part's name": in_mixed(b"Content-Type: text/plain; name=a\r\n\r\n\r\nx"),
    "a long field of a part": in_mixed(b"X: " + LONG + b"\r\nContent-Type: text/html\r\n\r\nx"),
    "a long type of a part": in_mixed(b"Content-Type: " + LONG + b"\r\n\r\nx"),
    "a long name of a part": in_mixed(b"Content-Type: text/plain; name=" + LONG + b"\r\n\r\nx"),
    "a long header of a multipart": MIXED + b"--b\r\nX: " + LONG
    + b"\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--",
    "two types, the second in 8-bit": in_mixed(
        b"Content-Type: multipart/mixed; boundary=c\r\nContent-Type: text/\xe9\r\n\r\n--c\r\n\r\nx"
        b"\r\n--c--"
    ),
    "8-bit in an unknown field": in_mixed(b"X-Caf\r\n: \xe9\r\n\r\nx"),
    "nothing but a header": in_mixed(b"Content-Type: text/html"),
    "empty": b"",
    "one CR": b"\r",
}  # fmt: skip


@pytest.mark.parametrize("raw", ODD.values(), ids=ODD)
def test_what_is_no_part_is_folded(raw: bytes) -> None:
    """No part appears, none disappears, and no line breaks a rule."""
    fit = fit_for_the_wire(raw)

    assert [p.depth for p in entities(fit)] == [p.depth for p in entities(raw)]
    assert_fit(fit)


def test_a_nul_hides_no_parts() -> None:
    """Programs that pass over it see parts, and these may go out, too."""
    inner = b"Content-Type: multi\0part/mixed; boundary=c\r\n\r\n--c\r\n\r\n%b\r\n--c--" % LONG
    fit = fit_for_the_wire(in_mixed(inner))

    assert [content(part) for part in leaves(fit)] == [LONG]
    assert_fit(fit)


class Name(NamedTuple):
    """A part's header, and the file name that a mail program reads in it."""

    field: bytes
    name: str


NAMES = {
    "UTF-8": Name(
        'Content-Disposition: attachment; filename="Été 2026.pdf"; size=3'.encode(), "Été 2026.pdf"
    ),
    "Latin-1": Name(b"Content-Disposition: attachment; filename=\xe9t\xe9.pdf", "été.pdf"),
    "of the type": Name('Content-Type: application/pdf; name="été.pdf"'.encode(), "été.pdf"),
    "folded": Name(
        'Content-Disposition: attachment;\r\n filename="long été.pdf"'.encode(), "long été.pdf"
    ),
    "very long": Name(
        f'Content-Disposition: attachment; filename="{"é" * 150}.pdf"'.encode(), "é" * 150 + ".pdf"
    ),
    "quotes": Name(
        'Content-Disposition: attachment; filename="a\\"é"'.encode(), 'a"é'
    ),
    "continued": Name(
        "Content-Disposition: attachment; filename*0=é; filename*1=t.pdf".encode(), "ét.pdf"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NAMES.values(), ids=NAMES)
def test_file_names(case: Name) -> None:
    """Raw 8-bit becomes RFC 2231, which programs read; the other parameters stay."""
    fit = fit_for_the_wire(in_mixed(case.field + b"\r\n\r\nx"))
    (part,) = email.message_from_bytes(fit, policy=default).iter_parts()

    assert fit.isascii()
    assert part.get_filename() == case.name
    assert_fit(fit)
    if b"size" in case.field:
        assert b"size=3" in fit


def test_old_programs_find_a_name_in_ascii() -> None:
    """Without accents, but with its ending."""
    fit = fit_for_the_wire(in_mixed(NAMES["UTF-8"].field + b"\r\n\r\nx"))

    assert b"filename*=utf-8''%C3%89t%C3%A9%202026.pdf;\r\n filename=\"Ete 2026.pdf\"" in fit


def test_descriptions_become_encoded_words() -> None:
    """RFC 2047, section 5: the field is a text."""
    fit = fit_for_the_wire(in_mixed(b"Content-Description: \xc3\xa9t\xc3\xa9\r\n\r\nx"))
    (part,) = email.message_from_bytes(fit, policy=default).iter_parts()

    assert str(part["content-description"]) == "été"
    assert fit.isascii()
