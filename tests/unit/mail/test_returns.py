"""What returns say, also where they are sloppy or forged."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest

from worker.mail.dsn import Kind, RecipientReport
from worker.mail.reason import Reason
from worker.mail.returns import read_return

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


FAILED = RecipientReport("a@x.fr", "", "failed", "5.1.1", "550 5.1.1 unknown", Reason.UNKNOWN_USER)
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
        (replace(FAILED, original_recipient="b@x.fr"),),
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
        (RecipientReport("A@x.fr", status="5.1.1", reason=Reason.UNKNOWN_USER),),
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
        (RecipientReport("a@x.fr", "", "delayed", "4.4.1", reason=Reason.NETWORK),),
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
    + b"\r\nBonjour,\r\n\r\nJe recois ceci :\r\n<a@x.fr>: 550 5.1.1 user unknown\r\n",
    "a person about a bounce, in its own words": PERSON % b"Undelivered Mail"
    + b"\r\n<a@x.fr>: 550 5.1.1 user unknown\r\n",
    "a person quotes a report": PERSON % b"Fwd: failure notice"
    + b"\r\n"
    + b"".join(b"> " + line for line in GROUP.splitlines(keepends=True)),
    "a person quotes some of it": PERSON % b"Fwd: failure notice" + b"\r\n> " + GROUP,
    "a person answers a notice": PERSON % b"Re: Undelivered Mail Returned to Sender"
    + b"\r\nQui connait sa nouvelle adresse ?\r\n\r\n> <a@x.fr>: 550 5.1.1 unknown\r\n",
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
    "newsletter": b"Return-Path: <news@x.fr>\r\nFrom: Lettre <news@x.fr>\r\n"
    b"List-Unsubscribe: <https://x.fr/u>\r\nSubject: Pourquoi vos mails n'arrivent pas\r\n\r\n"
    b"550 5.1.1 user unknown : que faire ? Ecrivez a aide@x.fr\r\n",
    "receipt": b"Return-Path: <>\r\nFrom: jean@x.fr\r\nSubject: Read: AG\r\n"
    + REPORT % b"disposition-notification"
    + b"--b\r\nContent-Type: message/disposition-notification\r\n\r\n"
    b"Final-Recipient: rfc822;jean@x.fr\r\nDisposition: manual-action; displayed\r\n--b--",
}


@pytest.mark.parametrize("raw", NO_RETURNS.values(), ids=NO_RETURNS)
def test_no_return(raw: bytes) -> None:
    """What people write, and what answers for them, is none."""
    assert read_return(raw) is None


RETURNED_TEXT = b"X-Relais-Ref: tok1\r\nMessage-ID: <m@example.fr>\r\nTo: z@x.fr\r\n\r\ntext\r\n"
NOTICES = {
    "Postfix": (
        (
            b"This is the mail system at host mx.x.fr.\r\n\r\nI'm sorry to have to inform you"
            b" that your message could not\r\nbe delivered to one or more recipients.\r\n\r\n"
            b"<a@x.fr>: host mx.x.fr[192.0.2.1] said: 550 5.1.1 User unknown (in reply to\r\n"
            b"    RCPT TO command)\r\n"
        ),
        ("a@x.fr", "failed", "5.1.1", Reason.UNKNOWN_USER),
    ),
    "sendmail": (
        (
            b"   ----- The following addresses had permanent fatal errors -----\r\n<a@x.fr>\r\n"
            b"    (reason: 552 5.2.2 mailbox full)\r\n\r\n"
        ),
        ("a@x.fr", "failed", "5.2.2", Reason.FULL),
    ),
    "in French": (
        (
            b"Votre message n'a pas pu \xc3\xaatre remis au destinataire suivant :\r\n\r\n"
            b"a@x.fr\r\n    550 5.1.1 Destinataire inconnu\r\n"
        ),
        ("a@x.fr", "failed", "5.1.1", Reason.UNKNOWN_USER),
    ),
    "in French, full": (
        (
            b"Impossible de remettre votre message \xc3\xa0 a@x.fr :\r\n"
            b"la bo\xc3\xaete aux lettres du destinataire est pleine.\r\n"
        ),
        ("a@x.fr", "failed", "", Reason.FULL),
    ),
    "in German": (
        b"Ihre Nachricht konnte nicht zugestellt werden:\r\n\r\na@x.fr: 550 Benutzer unbekannt\r\n",
        ("a@x.fr", "failed", "5.0.0", Reason.UNKNOWN_USER),
    ),
    "still tried": (
        (
            b"Created automatically: your message has not been delivered yet to\r\n"
            b"\r\n  a@x.fr\r\n    452 4.2.2 over quota\r\n\r\nDelivery attempts will continue.\r\n"
        ),
        ("a@x.fr", "delayed", "4.2.2", Reason.FULL),
    ),
    "a block of the relay": (
        (
            b"Your message could not be delivered:\r\n\r\n<a@x.fr>: 550 5.7.1 Service unavailable;"
            b" client [192.0.2.1] blocked using Spamhaus\r\n"
        ),
        ("a@x.fr", "failed", "5.7.1", Reason.SENDING_IP),
    ),
    "cPanel": (
        (
            b"A message that you sent could not be delivered to a@x.fr:\r\n\r\n  a@x.fr\r\n"
            b"    Domain example.org has exceeded the max defers and failures per hour (5/5 (100%))"
            b" allowed. Message discarded.\r\n"
        ),
        ("a@x.fr", "failed", "", Reason.ACCOUNT_LIMIT),
    ),
}


@pytest.mark.parametrize(("text", "expected"), NOTICES.values(), ids=NOTICES)
def test_notices_of_mail_systems(text: bytes, expected: tuple[str, str, str, Reason]) -> None:
    """Where there are no fields the words are read; our message follows them."""
    mark = b"\r\n------ This is a copy of the message. ------\r\n\r\n"
    head = HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
    found = read_return(head + text + mark + RETURNED_TEXT)

    assert found is not None
    assert found.family == "text"
    assert [
        (report.final_recipient, report.action, report.status, report.reason)
        for report in found.recipients
    ] == [expected]
    assert found.references == ("tok1",)


WRAPPED = (
    HEAD.replace(b"<>", b"<gate@x.fr>")
    + b"Content-Type: multipart/mixed; boundary=w\r\n\r\n--w\r\n\r\n"
    b"Your message could not be delivered.\r\n--w\r\nContent-Type: message/rfc822\r\n\r\n"
)
FAMILIES = {
    "fields": (_dsn(GROUP), "rfc3464"),
    "fields as text": (_dsn(GROUP).replace(b"message/delivery-status", b"text/plain"), "rfc3464"),
    "wrapped": (WRAPPED + _dsn(GROUP) + b"\r\n--w--\r\n", "wrapped"),
    "X-Failed-Recipients": (CASES["exim"].raw, "x-failed-recipients"),
    "text": (CASES["qmail"].raw, "text"),
    "complaint": (CASES["complaint"].raw, "arf"),
    "empty lines before it": (b"\r\n\r\n" + _dsn(GROUP), "rfc3464"),
    "success in words": (
        HEAD.replace(b"Undelivered Mail Returned to Sender", b"Successful Mail Delivery Report")
        + b"\r\nThis is the mail system at host mx.\r\n\r\nYour message was successfully delivered"
        b" to\r\nthe destination(s) listed below.\r\n\r\n<a@x.fr>: delivered\r\n",
        "text",
    ),
}


@pytest.mark.parametrize(("raw", "family"), FAMILIES.values(), ids=FAMILIES)
def test_each_family_has_its_reader(raw: bytes, family: str) -> None:
    """The first that understands answers; from the one that leaves least to guess."""
    found = read_return(raw)

    assert found is not None
    assert found.family == family


def test_a_success_in_words_names_nobody_that_failed() -> None:
    """Who has got it has not failed."""
    found = read_return(FAMILIES["success in words"][0])

    assert found is not None
    assert found.kind is Kind.DELIVERED
    assert [report for report in found.recipients if report.action == "failed"] == []


def test_the_text_explains_what_the_fields_leave_open() -> None:
    """A gateway says 5.0.0 to programs, and why to people."""
    raw = _dsn(b"Final-Recipient: rfc822; a@x.fr\r\nAction: failed\r\nStatus: 5.0.0\r\n").replace(
        b"Sorry.", b"<a@x.fr>: the mailbox of this recipient is full"
    )
    found = read_return(raw)

    assert found is not None
    assert found.recipients[0].reason is Reason.FULL
    assert "mailbox of this recipient is full" in found.recipients[0].diagnostic


def test_a_refusal_of_the_whole_message() -> None:
    """A server that has taken the recipient does not mean that there is nobody."""
    said = b"host mx.x.fr[192.0.2.1] said: 550 user unknown"
    fields = (
        b"Final-Recipient: rfc822; a@x.fr\r\nAction: failed\r\nStatus: 5.0.0\r\n"
        b"Diagnostic-Code: smtp; 550 user unknown\r\n"
    )
    at_rcpt, at_data = (
        read_return(
            _dsn(fields).replace(b"Sorry.", b"<a@x.fr>: %s (in reply to %s)" % (said, command))
        )
        for command in (b"RCPT TO command", b"end of DATA command")
    )

    assert at_rcpt is not None
    assert at_rcpt.recipients[0].reason is Reason.UNKNOWN_USER
    assert at_data is not None
    assert at_data.recipients[0].reason is Reason.FILTERED


def test_a_sieve_that_refuses() -> None:
    """Its receipt is a return (RFC 5429, section 2.2.1)."""
    receipt = NO_RETURNS["receipt"].replace(
        b"Subject: Read: AG\r\n",
        b"Subject: Undelivered Mail\r\nAuto-Submitted: auto-replied (rejected)\r\n",
    )

    assert read_return(NO_RETURNS["receipt"]) is None
    found = read_return(receipt.replace(b"jean@x.fr\r\nSubject", b"MAILER-DAEMON@x.fr\r\nSubject"))
    assert found is not None
    assert [report.final_recipient for report in found.recipients] == ["jean@x.fr"]
