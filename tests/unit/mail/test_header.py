"""Fields as they stand, and what is shown of them."""

from __future__ import annotations

import pytest

from worker.mail.header import decoded, read_message


def test_fields_stand_as_received() -> None:
    """Folds and line ends are kept; the value is unfolded."""
    raw = b"From x Mon\nA: 1\r\n\t2\r\nb : 3\n\nbody\r\n"
    message = read_message(raw)

    assert [field.line for field in message.fields] == [b"A: 1\r\n\t2\r\n", b"b : 3\n"]
    assert [field.body for field in message.fields] == [b"1\t2", b"3"]
    assert message.body == b"body\r\n"


def test_what_is_no_field_begins_the_body() -> None:
    """Some mailers forget the empty line."""
    assert read_message(b"A: 1\r\nHello you\r\n").body == b"Hello you\r\n"


def test_a_body_may_begin_with_a_blank() -> None:
    """The empty line before it is none of the header that goes on."""
    assert read_message(b"A: 1\r\n\r\n indented\r\n").body == b" indented\r\n"


TEXTS = {
    "q": (b"=?utf-8?q?a_=C3=A9?=", "a é"),
    "b": (b"=?iso-8859-1?B?6Q==?=", "é"),
    "with language": (b"=?utf-8*fr?q?=C3=A9?=", "é"),
    "white space between words": (b"=?utf-8?q?a?= \t=?utf-8?q?b?=", "ab"),
    "white space before text": (b"=?utf-8?q?a?= b", "a b"),
    "inside text": (b"x =?utf-8?q?a?= y", "x a y"),
    "unknown charset": (b"=?x-unknown?q?a?=", "a"),
    "dangerous codec": (b"=?unicode_escape?q?=5C777?=", "\\777"),
    "no padding": (b"=?utf-8?b?YQ?=", "a"),
    "not ended": (b"=?utf-8?q?a", "=?utf-8?q?a"),
    "line end inside": (b"=?utf-8?q?a=0D=0ABcc:_b?=", "a Bcc: b"),
    "raw 8-bit": (b"\xe9", "é"),
}


@pytest.mark.parametrize(("value", "text"), TEXTS.values(), ids=TEXTS)
def test_decoded(value: bytes, text: str) -> None:
    """RFC 2047, tolerant, and always on one line."""
    assert decoded(value) == text
