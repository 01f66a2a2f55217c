"""A message that may be a return, taken apart."""

from __future__ import annotations

from base64 import encodebytes

import pytest

from worker.mail.dsn import Kind
from worker.mail.notification import OPENING_LIMIT, TEXT_LIMIT, Notification

HEAD = (
    b"Return-Path: <>\r\nFrom: Mail System <MAILER-DAEMON@mx.x.fr>\r\n"
    b"To: return-abc@listes.example.fr\r\nSubject: =?utf-8?q?Non_remis_=C3=A9?=\r\n"
)
TEXT = HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
REPORT = HEAD + b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
MIXED = HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
WORDS = (
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    b"Sorry, that did not work for anybody at a@x.fr.\r\n"
)
HTML = (
    b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    b"<p>The mailbox of <b>a@x.fr</b> is full, says the HTML.</p>\r\n"
)
STATUS = b"--b\r\nContent-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; a@x.fr\r\n"
OURS = (
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nX-Relais-Ref: tok1\r\nSubject: AG\r\n"
    b"To: a@x.fr\r\nMessage-ID: <m@example.fr>\r\n\r\nour own words\r\n"
)
END = b"--b--\r\n"


def test_a_report() -> None:
    """Three things: words, fields, and our message."""
    notification = Notification(REPORT + WORDS + STATUS + OURS + END)

    assert notification.report_type == "delivery-status"
    assert notification.subject == "Non remis \u00e9"
    assert notification.author == "mail system <mailer-daemon@mx.x.fr>"
    assert notification.text.strip() == "Sorry, that did not work for anybody at a@x.fr."
    assert notification.opening == "sorry, that did not work for anybody at @"
    assert len(notification.statuses) == 1
    assert notification.returned is not None
    assert notification.returned.value("subject") == "AG"


REPORT_TYPES = {
    "a report": (b'multipart/report; report-type="Delivery-Status"; boundary=b', "delivery-status"),
    "a report of no type": (b"multipart/report; boundary=b", "delivery-status"),
    "a receipt": (
        b"multipart/report; report-type=disposition-notification; boundary=b",
        "disposition-notification",
    ),
    "a complaint": (b"multipart/report; report-type=feedback-report", "feedback-report"),
    "none": (b"multipart/mixed; report-type=delivery-status; boundary=b", ""),
    "a text": (b"text/plain", ""),
}


@pytest.mark.parametrize(("media_type", "expected"), REPORT_TYPES.values(), ids=REPORT_TYPES)
def test_report_type(media_type: bytes, expected: str) -> None:
    """Only a report has one (RFC 6522, section 3)."""
    assert Notification(b"Content-Type: " + media_type + b"\r\n\r\n").report_type == expected


SPOKEN = {
    "plain": (TEXT + b"Sorry.\r\n", "Sorry."),
    "HTML only": (
        HEAD + b"Content-Type: text/html\r\n\r\n<html><p>Sorry <b>a@x.fr</b></p></html>",
        "Sorry a@x.fr",
    ),
    "plain goes before HTML": (
        MIXED + WORDS + HTML + END,
        "Sorry, that did not work for anybody at a@x.fr.",
    ),
    "HTML where plain says nothing": (
        MIXED + b"--b\r\n\r\nSee HTML.\r\n" + HTML + END,
        "The mailbox of a@x.fr is full, says the HTML.",
    ),
    "an attachment is no words": (
        MIXED + b"--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\n"
        b"minutes of the meeting\r\n" + WORDS + END,
        "Sorry, that did not work for anybody at a@x.fr.",
    ),
    "our message is no words": (
        MIXED + WORDS + OURS + END,
        "Sorry, that did not work for anybody at a@x.fr.",
    ),
    "words after our message": (
        MIXED + WORDS + OURS + b"--b\r\nContent-Type: text/plain\r\n\r\nfooter\r\n" + END,
        "Sorry, that did not work for anybody at a@x.fr.",
    ),
    "Latin-1": (
        HEAD + b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nbo\xeete pleine\r\n",
        "boîte pleine",
    ),
    "base64": (
        HEAD + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"
        b"\r\n" + encodebytes("boîte pleine".encode()),
        "boîte pleine",
    ),
    "nothing": (b"", ""),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "text"), SPOKEN.values(), ids=SPOKEN)
def test_the_words_of_the_system(raw: bytes, text: str) -> None:
    """What it says itself, as text."""
    assert Notification(raw).text.strip() == text


COPY = (
    b"X-Relais-Ref: tok1\r\nSubject: AG\r\nTo: a@x.fr\r\nMessage-ID: <m@example.fr>\r\n\r\nours\r\n"
)
MARKS = {
    "qmail": b"--- Below this line is a copy of the message.\r\n\r\nReturn-Path: <r@x.fr>\r\n",
    "Exim": b"------ This is a copy of the message, including all the headers. ------\r\n\r\n",
    "sendmail": b"   ----- Original message follows -----\r\n\r\n",
    "MMDF": b"    ----- Unsent message follows -----\r\n",
    "header only": b"--- The header of the original message is following. ---\r\n\r\n",
    "message headers": b"Message headers follow:\r\n\r\n",
    "returned message": b"Returned message follows:\r\n\r\n",
    "quoted": b"> -- original message --\r\n",
    "a rule": b"------------\r\nReceived: from a by b; x\r\n",
    "no mark but its first field": b"Return-Path: <return-abc@listes.example.fr>\r\n",
}


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)
def test_where_our_message_begins(mark: bytes) -> None:
    """Old systems put it below their words; what it says is not what they say."""
    notification = Notification(TEXT + b"It failed:\r\n\r\n<a@x.fr>: unknown\r\n\r\n" + mark + COPY)

    assert "unknown" in notification.text
    assert "ours" not in notification.text
    assert notification.returned is not None
    assert notification.returned.value("message-id") == "<m@example.fr>"
    assert notification.make(Kind.REPORT, "text", ()).references == ("tok1",)


NO_MARKS = {
    "a word": b"The original was long.\r\n",
    "dashes": b"--\r\nThe postmaster\r\n",
    "a dialogue": b"<<< 550 unknown\r\n",
    "a sentence": b"Please keep a copy of your message.\r\n",
}


@pytest.mark.parametrize("line", NO_MARKS.values(), ids=NO_MARKS)
def test_where_it_does_not(line: bytes) -> None:
    """Words that only look like a mark end nothing."""
    notification = Notification(TEXT + b"<a@x.fr>: unknown\r\n" + line + b"the end\r\n")

    assert notification.text.rstrip().endswith("the end")
    assert notification.returned is None


AUTHORS = {
    "name and address": (b"From: Mail System <MD@X.fr>\r\n", "mail system <md@x.fr>"),
    "encoded": (b"From: =?utf-8?q?Syst=C3=A8me?= <md@x.fr>\r\n", "système <md@x.fr>"),
    "the null address": (b"From: <>\r\n", ""),
    "quotes around nothing": (b'From: "" <>\r\n', ""),
    "empty": (b"From:\r\n", ""),
    "none": (b"Subject: x\r\n", ""),
}


@pytest.mark.parametrize(("fields", "author"), AUTHORS.values(), ids=AUTHORS)
def test_author(fields: bytes, author: str) -> None:
    """Some systems write no address, or an empty one."""
    assert Notification(fields + b"\r\nx").author == author


MENTIONED = {
    "the text": (REPORT + WORDS + OURS.replace(b"To: a@x.fr", b"To: z@x.fr") + END, ["a@x.fr"]),
    "else whom it was for": (
        REPORT + WORDS.replace(b" at a@x.fr", b"") + OURS + END,
        ["a@x.fr"],
    ),
    "but not if it was for a list": (
        REPORT + WORDS.replace(b" at a@x.fr", b"")
        + OURS.replace(b"Subject: AG", b"List-Id: <tous.listes.example.fr>") + END,
        [],
    ),
    "nor if others got it, too": (
        REPORT + WORDS.replace(b" at a@x.fr", b"")
        + OURS.replace(b"Subject: AG", b"Cc: b@x.fr") + END,
        [],
    ),
    "never who writes and reads": (
        TEXT + b"<return-abc@listes.example.fr>\r\n<mailer-daemon@mx.x.fr>\r\n<a@x.fr>\r\n",
        ["a@x.fr"],
    ),
    "a name alone, of the author's domain": (
        TEXT + b"The following recipient failed:\r\n   marie\r\n",
        ["marie@mx.x.fr"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "addresses"), MENTIONED.values(), ids=MENTIONED)
def test_mentions(raw: bytes, addresses: list[str]) -> None:
    """Whom it is about."""
    assert [mention.address for mention in Notification(raw).mentions] == addresses


def test_limits() -> None:
    """Ten megabytes of words are read as far as anybody would read them."""
    notification = Notification(TEXT + b"<a@x.fr>: no\r\n" * 700_000)

    assert len(notification.text) <= TEXT_LIMIT
    assert len(notification.opening) <= OPENING_LIMIT
