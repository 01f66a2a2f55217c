"""Templates: which slots a copy fills, for whom, and that nothing else differs."""

from __future__ import annotations

import binascii
from typing import NamedTuple

import pytest

from worker.mail.copy import (
    MERGE_FIELD_LIMIT,
    Personal,
    for_reader,
    freeze,
    merge_slot,
    read_template,
    without_nul,
)

JEAN = Personal(b"r" * 32, b"u" * 32, "jean@orange.fr", ("Jean Dupont", "<b>&\r\nBcc: x", ""))

BLOCKS = b"a\0?fr\0F\0U\0f\0?en\0E\0U\0e\0?\0z\0R\0"
READERS = {
    "French": ("fr", b"aF\0U\0fz\0R\0"),
    "English": ("en", b"aE\0U\0ez\0R\0"),
    "another language": ("de", b"az\0R\0"),
}


@pytest.mark.parametrize(("lang", "left"), READERS.values(), ids=READERS)
def test_blocks_are_for_their_readers(lang: str, left: bytes) -> None:
    """What stands in another language's block is in no way part of the copy."""
    assert for_reader(BLOCKS, lang) == left


def test_a_template_without_blocks_is_left_alone() -> None:
    """Notices, and postings of one language."""
    assert for_reader(b"a\0U\0b", "fr") == b"a\0U\0b"
    assert for_reader(b"", "fr") == b""


SLOTS = {
    "tokens": (b"<\0R\0> <\0U\0>", b"<" + b"r" * 32 + b"> <" + b"u" * 32 + b">"),
    "To": (b"To: \0T\0\r\n", b"To: <jean@orange.fr>\r\n"),
    "To by name": (b"To: \0T0\0\r\n", b"To: Jean Dupont <jean@orange.fr>\r\n"),
    "To by a name that is none": (b"To: \0T2\0\r\n", b"To: <jean@orange.fr>\r\n"),
    "To by a hostile name": (b"\0T1\0", b'"<b>& Bcc: x" <jean@orange.fr>'),
    "a field in text": (b"=\r\n\0M0t\0=\r\n", b"=\r\nJean Dupont=\r\n"),
    "a hostile field in text": (b"\0M1t\0", b"<b>& Bcc: x"),
    "a hostile field in HTML": (b"\0M1h\0", b"&lt;b&gt;&amp; Bcc: x"),
    "an empty field": (b"[\0M2t\0]", b"[]"),
    "a field that the row lacks": (b"[\0M9h\0]", b"[]"),
}


@pytest.mark.parametrize(("template", "copy"), SLOTS.values(), ids=SLOTS)
def test_slots(template: bytes, copy: bytes) -> None:
    """Each value is encoded for where it stands."""
    assert read_template(template).copy(JEAN) == copy


class Merged(NamedTuple):
    """A merge field, and what its reader sees."""

    value: str
    text: str
    html: str


FIELDS = {
    "accents": Merged("Éléonore", "Éléonore", "&#201;l&#233;onore"),
    "a leading dot": Merged(".", ".", "."),
    "a delimiter": Merged("--boundary", "--boundary", "--boundary"),
    "equals and blanks": Merged("a=b  c ", "a=b c", "a=b c"),
    "a script": Merged("<script>", "<script>", "&lt;script&gt;"),
    "quotes": Merged("\"'", "\"'", "&quot;&#x27;"),
    "line ends of Unicode": Merged("a\u2028b\x85c\0d", "a b c d", "a b c d"),
    "turned writing": Merged("a\u202eb", "ab", "ab"),
    "a long one": Merged("é" * 500, "é" * 199 + "…", "&#233;" * 199 + "&#8230;"),
}


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_merge_fields(field: Merged) -> None:
    """Quoted-printable within the line limit; what is read is what the row says."""
    text, html = (
        read_template(b"=\r\n\0M0%s\0=\r\n" % context).copy(Personal(b"", fields=(field.value,)))
        for context in (b"t", b"h")
    )

    assert binascii.a2b_qp(text).decode() == field.text
    assert binascii.a2b_qp(html).decode("ascii") == field.html
    for encoded in (text, html):
        lines = encoded.split(b"\r\n")
        assert max(map(len, lines)) <= 76
        assert not any(line.startswith((b".", b"--")) for line in lines)
    assert len(field.text) <= MERGE_FIELD_LIMIT


def test_a_merge_slot_is_what_the_words_hold() -> None:
    """The words of a footer and the template agree on what a slot looks like."""
    assert merge_slot(3).encode() == b"\0M3\0"


def test_freezing_is_fit_for_the_wire() -> None:
    """CRLF alone, dots stuffed also at the start, an end of line at the end."""
    frozen = freeze(b".a: b\n", b"one\r.two\n.\r\nthree\0U\0")

    assert frozen == b"..a: b\r\n\r\none\r\n..two\r\n..\r\nthree\0U\0\r\n"
    assert without_nul(b"a\0U\0b") == b"aUb"
