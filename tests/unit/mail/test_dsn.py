"""What returns say, also where they are sloppy or forged."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from worker.mail.dsn import Kind, RecipientReport, read_return

HEAD = (
    b"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example.net\r\n"
    b"To: return-abc@listes.example.fr\r\n"
    b"Subject: Undelivered Mail Returned to Sender\r\n"
)
REPORT = b"Content-Type: multipart/report; report-type=%s; boundary=b\r\n\r\n"
RETURNED = (
    b"--b\r\nContent-Type: message/rfc822\r\n\r\n"
    b"X-Relais-Ref: tok1\r\nMessage-ID: <m@example.fr>\r\n"
    b"Subject: AG\r\n\r\ntext\r\n--b--\r\n"
)
STATUS = b"--b\r\nContent-Type: message/delivery-status\r\n\r\n"


def _dsn(fields: bytes, head: bytes = HEAD) -> bytes:
    return (
        head
        + REPORT % b"delivery-status"
        + b"--b\r\n\r\nSorry.\r\n"
        + STATUS
        + fields
        + b"\r\n"
        + RETURNED
    )


FAILED = RecipientReport("a@x.fr", "", "failed", "5.1.1", "550 5.1.1 unknown")
GROUP = (
    b"Final-Recipient: rfc822; a@x.fr\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    b"Diagnostic-Code: smtp; 550 5.1.1\r\n unknown\r\n"
)


class Case(NamedTuple):
    """A return, what it is about, and whom."""

    raw: bytes
    kind: Kind
    recipients: tuple[RecipientReport, ...]


CASES = {
    "as it should be": Case(
        _dsn(b"Reporting-MTA: dns; mx\r\n\r\n" + GROUP), Kind.REPORT, (FAILED,)
    ),
    "original recipient": Case(
        _dsn(b"Original-Recipient: rfc822;<b@x.fr>\r\n" + GROUP),
        Kind.REPORT,
        (RecipientReport("a@x.fr", "b@x.fr", "failed", "5.1.1", "550 5.1.1 unknown"),),
    ),
    "original recipient only": Case(
        _dsn(b"Original-Recipient: rfc822;b@x.fr\r\nAction: failed\r\n"),
        Kind.REPORT,
        (RecipientReport("b@x.fr", "b@x.fr"),),
    ),
    "two recipients": Case(
        _dsn(GROUP + b"\r\nFinal-Recipient: rfc822; b@x.fr\r\nAction: delayed\r\n"),
        Kind.REPORT,
        (FAILED, RecipientReport("b@x.fr", "", "delayed")),
    ),
    "two in one group": Case(
        _dsn(GROUP + b"Final-Recipient: rfc822; b@x.fr\r\nAction: failed\r\n"),
        Kind.REPORT,
        (FAILED, RecipientReport("b@x.fr")),
    ),
    "torn apart": Case(
        _dsn(GROUP.replace(b"\r\nAction", b"\r\n\r\nAction")), Kind.REPORT, (FAILED,)
    ),
    "no group for the message": Case(
        _dsn(b"Reporting-MTA: dns; mx\r\n" + GROUP), Kind.REPORT, (FAILED,)
    ),
    "case and white space": Case(
        _dsn(b"FINAL-RECIPIENT:RFC822;A@x.fr  \r\naction : FAILED (x)\r\nstatus:  5.1.1 x\r\n"),
        Kind.REPORT,
        (RecipientReport("A@x.fr", "", "failed", "5.1.1"),),
    ),
    "no type": Case(
        _dsn(b"Final-Recipient: <a@x.fr>\r\nAction: failed\r\n"),
        Kind.REPORT,
        (RecipientReport("a@x.fr"),),
    ),
    "status in the diagnostic": Case(
        _dsn(GROUP.replace(b"Status: 5.1.1\r\n", b"")), Kind.REPORT, (FAILED,)
    ),
    "rubbish between": Case(
        _dsn(b"Hello you\r\n \r\n" + GROUP + b"%%%\r\n"), Kind.REPORT, (FAILED,)
    ),
    "as text": Case(
        _dsn(GROUP).replace(b"message/delivery-status", b"text/plain"),
        Kind.REPORT,
        (FAILED,),
    ),
    "first boundary lost": Case(
        _dsn(GROUP).replace(STATUS, b"Content-Type: message/delivery-status\r\n\r\n"),
        Kind.REPORT,
        (FAILED,),
    ),
    "delayed": Case(
        _dsn(b"Final-Recipient: rfc822; a@x.fr\r\nAction: delayed\r\nStatus: 4.4.1\r\n"),
        Kind.DELAYED,
        (RecipientReport("a@x.fr", "", "delayed", "4.4.1"),),
    ),
    "delivered": Case(
        _dsn(b"Final-Recipient: rfc822; a@x.fr\r\nAction: relayed\r\nStatus: 2.0.0\r\n"),
        Kind.DELIVERED,
        (RecipientReport("a@x.fr", "", "relayed", "2.0.0"),),
    ),
    "complaint": Case(
        HEAD
        + REPORT % b"feedback-report"
        + b"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n"
        b"Original-Rcpt-To: <a@x.fr>\r\n\r\n" + RETURNED,
        Kind.COMPLAINT,
        (RecipientReport("a@x.fr", action=""),),
    ),
    "authentication failure": Case(
        HEAD + REPORT % b"feedback-report" + b"--b\r\nContent-Type: message/feedback-report\r\n\r\n"
        b"Feedback-Type: auth-failure\r\nOriginal-Rcpt-To: a@x.fr\r\n\r\n" + RETURNED,
        Kind.COMPLAINT,
        (),
    ),
    "exim": Case(
        HEAD + b"X-Failed-Recipients: a@x.fr\r\n\r\nThis message was created automatically."
        b"\r\nIt could not be delivered.\r\n\r\n  a@x.fr\r\n    550 5.1.1 unknown\r\n\r\n"
        b"------ This is a copy of the message. ------\r\n\r\n"
        b"X-Relais-Ref: tok1\r\nMessage-ID: <m@example.fr>\r\n\r\nto z@x.fr\r\n",
        Kind.REPORT,
        (FAILED,),
    ),
    "qmail": Case(
        HEAD + b"\r\nHi. I wasn't able to deliver your message.\r\n\r\n<a@x.fr>:\r\n"
        b"550 5.1.1 unknown\r\n\r\n--- Below this line is a copy of the message.\r\n\r\n"
        b"X-Relais-Ref: tok1\r\nMessage-ID: <m@example.fr>\r\nTo: z@x.fr\r\n\r\ntext\r\n",
        Kind.REPORT,
        (FAILED,),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_read_return(case: Case) -> None:
    """Who was not reached and why, and which of our copies came back."""
    found = read_return(case.raw)

    assert found is not None
    assert found.kind is case.kind
    assert found.recipients == case.recipients
    assert found.references == ("tok1",)
    assert found.message_id == "<m@example.fr>"


def test_what_it_says_of_the_message() -> None:
    """The envelope identifier that we gave comes back (RFC 3461, section 4.4)."""
    found = read_return(
        _dsn(b"Reporting-MTA: dns; mx\r\nOriginal-Envelope-Id: QQ1\r\n\r\n" + GROUP)
    )

    assert found is not None
    assert (found.original_envelope_id, found.reporting_mta) == ("QQ1", "mx")


def test_only_the_copy_itself_refers_to_us() -> None:
    """A message within the returned one may be another copy of ours."""
    inner = RETURNED.replace(b"text\r\n", b"\r\nX-Relais-Ref: tok2\r\n")
    found = read_return(_dsn(GROUP).replace(RETURNED, inner))

    assert found is not None
    assert found.references == ("tok1",)


PERSON = b"Return-Path: <jean@x.fr>\r\nFrom: Jean <jean@x.fr>\r\nSubject: %s\r\n"
NO_RETURNS = {
    "empty": b"",
    "a person": PERSON % b"Bonjour" + b"\r\nBonjour\r\n",
    "a person about a bounce": PERSON % b"Undelivered Mail"
    + b"\r\n<a@x.fr>: 550 5.1.1 user unknown\r\n",
    "a person quotes a report": PERSON % b"Fwd: failure notice" + b"\r\n> " + GROUP,
    "a person pastes a report": PERSON % b"failure" + b"\r\n" + GROUP,
    "a person forwards a report": PERSON
    % b"Fwd: failure"
    + b"Content-Type: multipart/mixed; boundary=f\r\n\r\n--f\r\n"
    b"Content-Type: message/rfc822\r\n\r\n" + _dsn(GROUP) + b"\r\n--f--\r\n",
    "a person attaches the fields": PERSON % b"failure"
    + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + STATUS
    + GROUP
    + b"--b--\r\n",
    "vacation": b"Return-Path: <>\r\nFrom: jean@x.fr\r\nAuto-Submitted: auto-replied\r\n"
    b"Subject: Absence du bureau\r\n\r\nDe retour lundi. Urgences: marie@x.fr\r\n",
    "receipt": b"Return-Path: <>\r\nFrom: jean@x.fr\r\nSubject: Read: AG\r\n"
    + REPORT % b"disposition-notification"
    + b"--b\r\nContent-Type: message/disposition-notification\r\n\r\n"
    b"Final-Recipient: rfc822;jean@x.fr\r\nDisposition: manual-action; displayed\r\n--b--",
}


@pytest.mark.parametrize("raw", NO_RETURNS.values(), ids=NO_RETURNS)
def test_no_return(raw: bytes) -> None:
    """What people write, and what answers for them, is none."""
    assert read_return(raw) is None
