"""Quoted-printable as we write it: it says the same, in lines that are safe anywhere."""

from __future__ import annotations

import binascii
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.mail.transfer import SOFT_BREAK, quoted_printable, quoted_printable_octets, with_room

TEXTS = {
    "ASCII": (b"Hello\r\n", b"Hello\r\n"),
    "8-bit": ("été".encode(), b"=C3=A9t=C3=A9"),
    "any line end": (b"a\rb\nc\r\nd", b"a\r\nb\r\nc\r\nd"),
    "space at the end": (b"a \r\n\t", b"a=20\r\n=09"),
    "a delimiter": (b"--b\r\n--b--", b"=2D-b\r\n=2D-b--"),
    "one hyphen": (b"-b", b"-b"),
    "a signature's line": (b"a\n-- \nJean", b"a\r\n--=20\r\nJean"),
    "a full line": (b"-" * 75, b"=2D" * 24 + b"=\r\n" + b"=2D" * 24 + b"=\r\n" + b"=2D" * 24
                    + b"=\r\n" + b"=2D" * 3),
}  # fmt: skip


@pytest.mark.parametrize(("text", "written"), TEXTS.values(), ids=TEXTS)
def test_quoted_printable(text: bytes, written: bytes) -> None:
    """RFC 2045, section 6.7."""
    assert quoted_printable(text) == written


def assert_safe(written: bytes) -> None:
    """Each line is short, ends in CRLF, and is no delimiter."""
    lines = written.split(b"\r\n")
    assert max(map(len, lines)) <= 76
    assert not re.search(rb"[\r\n\0\x80-\xff]", b"".join(lines))
    assert not any(line.startswith(b"--") and line != b"--=20" for line in lines)


ANY = st.lists(
    st.sampled_from(
        [b"-", b"--", b"=", b" ", b".", b"\n", b"\r\n", b"\r", b"\0", b"\xe9", b"a" * 9]
    )
)


@settings(database=None, derandomize=True)
@given(ANY.map(b"".join))
def test_any_octets(octets: bytes) -> None:
    """Whatever is in them."""
    text = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    for written, said in (
        (quoted_printable(octets), text.replace(b"\n", b"\r\n")),
        (quoted_printable_octets(octets), octets),
    ):
        assert_safe(written)
        assert binascii.a2b_qp(written) == said
        assert_safe(with_room(written) + SOFT_BREAK)
        assert binascii.a2b_qp(with_room(written) + SOFT_BREAK) == said
