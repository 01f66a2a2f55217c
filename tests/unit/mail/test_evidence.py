"""What the reader of returns promises of any input: evidence that can be stored and shown."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.accidents import accidents
from worker.mail.dsn import (
    DIAGNOSTIC_LIMIT,
    RECIPIENTS_LIMIT,
    REFERENCES_LIMIT,
    Kind,
    RecipientReport,
    Return,
)
from worker.mail.reason import Reason
from worker.mail.returns import read_return

QUICK = settings(
    database=None,
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
HEAD = b"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.x.fr\r\nSubject: Undelivered Mail\r\n"
REPORT = HEAD + b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
STATUS = b"--b\r\nContent-Type: message/delivery-status\r\n\r\n"
GROUP = b"Final-Recipient: rfc822; a%d@x.fr\r\nDiagnostic-Code: smtp; %s\r\nAction: failed\r\n\r\n"
COPY = b"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
COMPLAINT = (
    HEAD + b"Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n"
)


def _assert_contract(found: Return) -> None:
    assert found.kind in Kind
    assert len(found.recipients) <= RECIPIENTS_LIMIT
    assert len(found.references) <= REFERENCES_LIMIT
    for report in found.recipients:
        assert report.final_recipient
        assert len(report.diagnostic) <= DIAGNOSTIC_LIMIT
        assert report.reason in Reason
        assert report.status == "" or report.status[:2] in ("2.", "4.", "5.")
        _assert_text(report)
    _assert_text(found)


def _assert_text(value: Return | RecipientReport) -> None:
    for field in fields(value):
        held = getattr(value, field.name)
        for text in held if isinstance(held, tuple) else (held,):
            if isinstance(text, str):
                text.encode()  # No lone surrogate.


NASTY = {
    "a NUL": b"550 \0 no",
    "no UTF-8": b"550 \xff\xfe\xed\xa0\x80 no",
    "half a character, encoded": b"550 =?utf-16?b?2AA=?= no",
    "half a character, in UTF-7": b"550 =?utf-7?q?+2AA-?= no",
    "half a character, escaped": b"550 =?raw-unicode-escape?q?=5Cud800?= no",
    "a charset that is none": b"550 =?x?q?=ff?= no",
    "very long": b"550 " + b"no " * 9000,
    "very long, each three octets": b"550 " + "邮".encode() * 9000,
    "very long when folded": b"550 " + "\ufdfa".encode() * 900,
}


@pytest.mark.parametrize("words", NASTY.values(), ids=NASTY)
@pytest.mark.parametrize("charset", [b"utf-8", b"utf-16", b"utf-7", b"raw-unicode-escape", b"x"])
def test_words_that_nobody_could_store(words: bytes, charset: bytes) -> None:
    """In fields, in text and in HTML."""
    text = b"--b\r\nContent-Type: %s; charset=%s\r\n\r\nIt failed: <a@x.fr>: %s\r\n"
    for media_type in (b"text/plain", b"text/html"):
        said = text % (media_type, charset, words)
        for raw in (
            REPORT + said + STATUS + GROUP % (1, words) + b"--b--\r\n",
            REPORT + said + b"--b--\r\n",
            HEAD + b"X-Failed-Recipients: a@x.fr\r\n" + said[5:],
        ):
            found = read_return(raw)
            assert found is not None
            _assert_contract(found)


def test_many_recipients() -> None:
    """A report names at most as many as are kept, however it names them."""
    numbers = range(RECIPIENTS_LIMIT + 9)
    groups = b"".join(GROUP % (number, b"550 no") for number in numbers)
    lines = b"".join(b"<a%d@x.fr>: 550 no\r\n" % number for number in numbers)
    named = b", ".join(b"a%d@x.fr" % number for number in numbers)
    complaining = b"".join(b"Original-Rcpt-To: a%d@x.fr\r\n" % number for number in numbers)
    returns = [
        read_return(raw)
        for raw in (
            REPORT + STATUS + groups + b"--b--\r\n",
            HEAD + b"\r\nIt could not be delivered:\r\n" + lines,
            HEAD + b"X-Failed-Recipients: " + named + b"\r\n\r\nIt failed.\r\n",
            COMPLAINT + complaining + b"--b--\r\n",
        )
    ]

    for found in returns:
        assert found is not None
        assert 0 < len(found.recipients) <= RECIPIENTS_LIMIT
        _assert_contract(found)


def test_many_references() -> None:
    """A reference is looked up; nobody makes us look up thousands."""
    copies = b"".join(b"X-Relais-Ref: t%d\r\n" % number for number in range(1000))
    found = read_return(REPORT + STATUS + GROUP % (1, b"550 no") + COPY + copies + b"--b--\r\n")

    assert found is not None
    assert len(found.references) == REFERENCES_LIMIT


PIECES = [
    *(HEAD, REPORT, STATUS, GROUP % (1, b"550 no"), COMPLAINT, b"--b\r\n", b"--b--\r\n", b"\r\n"),
    *(b"Original-Envelope-Id: \xff\0\r\n", b"Reporting-MTA: dns; \xed\xa0\x80\r\n", b"\0", b"\xff"),
    *(b"Content-Type: text/plain; charset=utf-7\r\n", b"Content-Type: message/rfc822\r\n"),
    *(b"X-Relais-Ref: t\r\n", b"X-Relais-Ref: \xff\0\r\n", b"Message-ID: <\0\xff@x>\r\n", b"+2AA-"),
    *(b"<a@x.fr>: 550 5.1.1 unknown\r\n", b"<\xff\0@x.fr>: no\r\n", b"=?utf-16?b?2AA=?=", b"not"),
    *(b"Feedback-Type: \xff\0\r\n", b'{"notificationType": "Bounce"', b'"\\ud800"', b"delivered "),
]


@QUICK
@given(st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join))
def test_any_order_of_pieces(raw: bytes) -> None:
    """What looks like a return, in an order that no system makes."""
    found = read_return(raw)

    if found is not None:
        _assert_contract(found)


def test_accidents() -> None:
    """A report with octets changed, cut, doubled and moved is still evidence, or none."""
    seed = REPORT + b"--b\r\n\r\n<a1@x.fr>: no\r\n" + STATUS + GROUP % (1, b"550 5.1.1 no")
    seeds = (seed + b"--b--\r\n", COMPLAINT + b"Original-Rcpt-To: a@x.fr\r\n--b--\r\n")
    read = [
        found
        for seed in seeds
        for raw in accidents(seed, PIECES, count=400, seed=20261127)
        if (found := read_return(raw)) is not None
    ]

    assert len(read) > 100
    for found in read:
        _assert_contract(found)
