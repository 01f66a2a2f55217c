"""What a message says is the same when it is sent again, however it is written then."""

from __future__ import annotations

from base64 import encodebytes

import pytest

from worker.mail.content import content_hash
from worker.mail.header import read_message

TEXT = "Bonjour à tous,\r\n\r\nla réunion est à 18 h.\r\n"
PDF = b"%PDF-1.7\r\n\0\xff"


def message(
    text: str = TEXT,
    *,
    number: int = 1,
    subject: str = "=?utf-8?q?R=C3=A9union?=",
    charset: str = "utf-8",
    attached: bytes | None = PDF,
    name: str = "b",
) -> bytes:
    """Write a message with an attachment; *number* and *name* say nothing."""
    head = (
        f"From: a@b.fr\r\nSubject: {subject}\r\nMessage-ID: <{number}@b.fr>\r\n"
        f"Date: Mon, 5 Jan 2026 10:00:0{number} +0100\r\nMIME-Version: 1.0\r\n"
    ).encode()
    body = f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode() + text.encode(charset)
    if attached is None:
        return head + body
    file = b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    mark = name.encode()
    return b"".join(
        (
            head,
            b"Content-Type: multipart/mixed; boundary=%s\r\n\r\n" % mark,
            b"--%s\r\n" % mark,
            body,
            b"\r\n--%s\r\n" % mark,
            file + encodebytes(attached),
            b"\r\n--%s--\r\n" % mark,
        )
    )


ANSWER = b"In-Reply-To: <question@b.fr>\r\n" + message()


def hashed(raw: bytes) -> bytes:
    """Return the hash of *raw*."""
    return content_hash(read_message(raw), raw)


QUOTED = (
    message()
    .replace(
        TEXT.encode(),
        b"Bonjour =C3=A0 tous,\r\n\r\nla r=C3=A9union est =\r\n=C3=A0 18 h.\r\n",
    )
    .replace(b"utf-8\r\n\r\n", b"utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
)

SAME = {
    "at another time, by another number": message(number=2),
    "with another boundary": message(name="another"),
    "in another charset": message(charset="iso-8859-1"),
    "encoded otherwise": QUOTED,
    "the subject encoded otherwise": message(subject="=?iso-8859-1?q?R=E9union?="),
    "white space at the ends of lines": message(TEXT.replace("\r\n", " \t\r\n")),
    "blank lines at its end": message(TEXT + "\r\n\r\n"),
    "line ends of Unix": message(TEXT.replace("\r\n", "\n")),
    "the subject folded": message(subject="=?utf-8?q?R=C3=A9union?=\r\n "),
    "other trace fields": b"Received: from x by y; now\r\n" + message(),
}
OTHER = {
    "one word": message(TEXT.replace("18", "19")),
    "the subject": message(subject="Re: =?utf-8?q?R=C3=A9union?="),
    "the attachment": message(attached=PDF + b"."),
    "no attachment": message(attached=None),
    "an indentation": message(TEXT.replace("la r", "  la r")),
    "words moved into the subject": message("", subject="Reunion"),
}


@pytest.mark.parametrize("raw", SAME.values(), ids=SAME)
def test_the_same_message_sent_again(raw: bytes) -> None:
    """Nobody who reads it sees a difference."""
    assert raw != message()
    assert hashed(raw) == hashed(message())


def test_answers_in_one_thread() -> None:
    """The same word to two questions is two messages; sent again, it has the same question."""
    again = b"In-Reply-To:\r\n <question@b.fr>\r\n" + message(number=2)
    to_another = ANSWER.replace(b"question", b"other")

    assert hashed(again) == hashed(ANSWER)
    assert len({hashed(ANSWER), hashed(to_another), hashed(message())}) == 3


@pytest.mark.parametrize("raw", OTHER.values(), ids=OTHER)
def test_another_message(raw: bytes) -> None:
    """A reader would see it."""
    assert hashed(raw) != hashed(message())


def test_what_is_said_in_two_parts_is_not_what_is_said_in_one() -> None:
    """Nobody can make two messages of which one hides the other."""
    one = message("ab", attached=b"c")
    other = message("a", attached=b"bc")

    assert hashed(one) != hashed(other)
