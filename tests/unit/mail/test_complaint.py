"""Complaints, in the forms that providers give them."""

from __future__ import annotations

import pytest

from worker.mail.dsn import Kind, Return
from worker.mail.returns import read_return

HEAD = b"Return-Path: <>\r\nFrom: fbl@feedback.example\r\nSubject: complaint\r\n"
MIXED = b"Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n"
WORDS = b"--b\r\n\r\nThis is an email abuse report.\r\n"
FIELDS = b"--b\r\nContent-Type: message/feedback-report\r\n\r\n"
OURS = (
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nX-Relais-Ref: tok1\r\n"
    b"Message-ID: <m@example.fr>\r\nTo: z@x.fr\r\n\r\ntext\r\n--b--\r\n"
)


def _report(fields: bytes, ours: bytes = OURS) -> bytes:
    return HEAD + MIXED + WORDS + FIELDS + fields + b"\r\n" + ours


def _read(raw: bytes) -> Return:
    found = read_return(raw)
    assert found is not None
    assert found.kind is Kind.COMPLAINT
    return found


ABUSE = b"Feedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\n"
NAMED = {
    "Original-Rcpt-To": (ABUSE + b"Original-Rcpt-To: <a@x.fr>\r\n", ["a@x.fr"]),
    "with a type": (ABUSE + b"Original-Rcpt-To: rfc822; a@x.fr\r\n", ["a@x.fr"]),
    "Removal-Recipient": (ABUSE + b"Removal-Recipient: a@x.fr\r\n", ["a@x.fr"]),
    "Final-Recipient": (ABUSE + b"Final-Recipient: rfc822; a@x.fr\r\n", ["a@x.fr"]),
    "two": (ABUSE + b"Original-Rcpt-To: a@x.fr\r\nOriginal-Rcpt-To: b@x.fr\r\n",
            ["a@x.fr", "b@x.fr"]),
    "the same twice": (ABUSE + b"Original-Rcpt-To: a@x.fr\r\nRemoval-Recipient: A@x.fr\r\n",
                       ["A@x.fr"]),
    "in a second group": (ABUSE + b"\r\nOriginal-Rcpt-To: a@x.fr\r\n", ["a@x.fr"]),
    "nobody: whom our message was for": (ABUSE, ["z@x.fr"]),
    "redacted": (ABUSE + b"Original-Rcpt-To: redacted\r\n", ["z@x.fr"]),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "addresses"), NAMED.values(), ids=NAMED)
def test_who_complains(fields: bytes, addresses: list[str]) -> None:
    """Each once; where nobody is named, whom our message was for."""
    found = _read(_report(fields))

    assert [report.final_recipient for report in found.recipients] == addresses
    assert {report.action for report in found.recipients} == {""}
    assert (found.family, found.feedback_type) == ("arf", "abuse")
    assert found.references == ("tok1",)
    assert found.message_id == "<m@example.fr>"


FORMS = {
    "header of our message only": _report(ABUSE).replace(b"message/rfc822", b"text/rfc822-headers"),
    "fields as text": _report(ABUSE).replace(b"message/feedback-report", b"text/plain"),
    "case": _report(ABUSE.replace(b"Feedback-Type: abuse", b"FEEDBACK-TYPE:ABUSE")),
    "type with a parameter": _report(ABUSE.replace(b"abuse", b"abuse; x=y")),
    "line ends of UNIX": _report(ABUSE).replace(b"\r\n", b"\n"),
    "by a person's address": _report(ABUSE).replace(b"<>", b"<fbl@feedback.example>"),
}


@pytest.mark.parametrize("raw", FORMS.values(), ids=FORMS)
def test_forms(raw: bytes) -> None:
    """Reports lose their type, their case and half of our message on the way."""
    found = _read(raw)

    assert found.feedback_type == "abuse"
    assert found.complains
    assert found.references == ("tok1",)
    assert [report.final_recipient for report in found.recipients] == ["z@x.fr"]


TYPES = {
    "abuse": True,
    "fraud": True,
    "opt-out": True,
    "other": True,
    "not-spam": False,
    "auth-failure": False,
}


@pytest.mark.parametrize(("feedback_type", "complains"), TYPES.items(), ids=TYPES)
def test_not_each_report_complains(feedback_type: str, complains: bool) -> None:  # noqa: FBT001
    """Some say the contrary, and some are about forgers."""
    fields = b"Feedback-Type: %s\r\nOriginal-Rcpt-To: a@x.fr\r\n" % feedback_type.encode()
    found = _read(_report(fields))

    assert found.feedback_type == feedback_type
    assert found.complains is complains


def test_our_envelope_identifier() -> None:
    """It comes back where a provider keeps it."""
    fields = ABUSE + b"Original-Envelope-Id: QQ1\r\nReporting-MTA: dns; mx.x.fr\r\n"

    assert _read(_report(fields)).original_envelope_id == "QQ1"


def test_a_message_to_a_list_names_nobody() -> None:
    """Whom it was for cannot be said where it was for several."""
    ours = OURS.replace(b"To: z@x.fr", b"To: y@x.fr, z@x.fr")

    assert _read(_report(ABUSE, ours)).recipients == ()


HOTMAIL = (
    b"From: staff@hotmail.com\r\nSubject: complaint about message from 192.0.2.1\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nX-HmXmrOriginalRecipient: a@hotmail.example\r\n"
    b"X-Relais-Ref: tok1\r\nFrom: liste@example.fr\r\n\r\ntext\r\n--b--\r\n"
)
OTHERS = {
    "Hotmail": (HOTMAIL, "jmrp", "abuse", ["a@hotmail.example"]),
    "Apple": (
        b"From: a@icloud.example\r\nX-Apple-Unsubscribe: true\r\nSubject: unsubscribe\r\n\r\nx\r\n",
        "apple",
        "opt-out",
        ["a@icloud.example"],
    ),
    "SpamCop": (
        b"From: 123@reports.spamcop.net\r\nSubject: [SpamCop (192.0.2.1) id:123]AG\r\n\r\nx\r\n",
        "spamcop",
        "abuse",
        [],
    ),
}


@pytest.mark.parametrize(("raw", "family", "type_", "addresses"), OTHERS.values(), ids=OTHERS)
def test_what_others_send(raw: bytes, family: str, type_: str, addresses: list[str]) -> None:
    """Some have no report."""
    found = _read(raw)

    assert (found.family, found.feedback_type) == (family, type_)
    assert [report.final_recipient for report in found.recipients] == addresses
    assert found.complains


NONE = {
    "a person on abuse": b"From: jean@x.fr\r\nSubject: abuse\r\n\r\nFeedback-Type: abuse\r\n",
    "a person forwards a report": b"From: jean@x.fr\r\nSubject: Fwd: complaint\r\n"
    b"Content-Type: multipart/mixed; boundary=f\r\n\r\n--f\r\nContent-Type: message/rfc822\r\n\r\n"
    + _report(ABUSE)
    + b"\r\n--f--\r\n",
    "a person attaches one": b"From: jean@x.fr\r\nSubject: voir ceci\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nvoir\r\n"
    b"--b\r\nContent-Type: message/feedback-report\r\nContent-Disposition: attachment\r\n\r\n"
    + ABUSE
    + b"--b--\r\n",
    "Apple, and no": b"From: a@x.fr\r\nX-Apple-Unsubscribe: false\r\nSubject: AG\r\n\r\nx\r\n",
    "a person on SpamCop": b"From: a@x.fr\r\nSubject: Re: [SpamCop (192.0.2.1)]\r\n\r\nx\r\n",
    "a field of others, too": b"From: a@x.fr\r\nX-Original-Recipient: b@x.fr\r\n\r\nx\r\n",
}


@pytest.mark.parametrize("raw", NONE.values(), ids=NONE)
def test_no_complaint(raw: bytes) -> None:
    """People write about complaints, and forward them."""
    assert read_return(raw) is None
