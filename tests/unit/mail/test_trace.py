"""Whether a program wrote a message, and whether it has been here before."""

from __future__ import annotations

import pytest

from worker.mail import trace
from worker.mail.header import Message, read_message

DOMAIN = "listes.example.fr"


def _message(*fields: str) -> Message:
    return read_message("".join(f"{field}\r\n" for field in fields).encode() + b"\r\n.")


AUTOMATIC = {
    "auto-replied": (["Auto-Submitted: auto-replied"], "auto-replied"),
    "auto-replied, with comment": (["Auto-Submitted: auto-replied (vacation)"], "auto-replied"),
    "auto-notified": (["Auto-Submitted: auto-notified"], "auto-submitted"),
    "with parameter": (["Auto-Submitted: auto-generated; x=y"], "auto-submitted"),
    "no": (["Auto-Submitted: no"], None),
    "no, with comment": (["Auto-Submitted: No (by a person)"], None),
    "null return path": (["Return-Path: <>"], "null-return-path"),
    "return path": (["Return-Path: <jean@example.fr>"], None),
    "bulk": (["Precedence: bulk"], "precedence"),
    "auto_reply": (["Precedence: auto_reply"], "autoreply-precedence"),
    "auto-reply": (["Precedence: auto-reply"], "autoreply-precedence"),
    "junk of a list": (["Precedence: junk", "List-Id: <x.y.z>"], "precedence"),
    "bulk of a list": (["Precedence: bulk", "List-Id: <x.y.z>"], None),
    "list": (["Precedence: list"], None),
    "x-autoreply": (["X-Autoreply: yes"], "autoreply-field"),
    "x-autoreply no": (["X-Autoreply: no"], None),
    "apple": (["X-Apple-Action: vacation"], "autoreply-field"),
    "exchange": (["X-Auto-Response-Suppress: All"], None),
    "receipt": (
        ["Content-Type: multipart/report; report-type=disposition-notification"],
        "receipt",
    ),
    "receipt that is named so": (
        [
            "Auto-Submitted: auto-replied",
            "Content-Type: multipart/report; report-type=disposition-notification",
        ],
        "receipt",
    ),
    "delivery report": (["Content-Type: multipart/report; report-type=delivery-status"], "report"),
    "cron": (["X-Cron-Env: <SHELL=/bin/sh>", "Auto-Submitted: auto-generated"], "cron"),
    "answer without a return path": (
        ["Return-Path: <>", "In-Reply-To: <x@y.fr>", "From: jean@x.fr"],
        "null-return-path-answer",
    ),
    "answer of a robot": (
        ["Return-Path: <>", "References: <x@y.fr>", "From: mailer-daemon@x.fr"],
        "null-return-path",
    ),
    "acknowledgement": (
        ["Subject: [Support #1234] Votre demande", "Auto-Submitted: auto-generated"],
        "acknowledgement",
    ),
    "acknowledgement, in bulk": (["Subject: Ticket 42", "Precedence: bulk"], "acknowledgement"),
    "a person on a ticket": (["Subject: Ticket 42"], None),
    "a tracker's list": (
        ["Subject: Ticket 42", "Auto-Submitted: auto-generated", "List-Id: <x.y.z>"],
        "auto-submitted",
    ),
    "robot": (["From: Sympa <sympa@example.fr>"], "robot"),
    "outlook": (["Subject: Automatic reply: AG"], "subject"),
    "outlook in French": (["Subject: R\u00e9ponse automatique\u00a0: AG"], "subject"),
    "encoded": (["Subject: =?utf-8?q?R=C3=A9ponse_automatique_=3A_AG?="], "subject"),
    "absence": (["Subject: Absence du bureau"], "subject"),
    "message of absence": (["Subject: Message d\u2019absence : AG"], "subject"),
    "out of office": (["Subject: Out of Office AutoReply: AG"], "subject"),
    "notes": (["Subject: AUTO: Jean Dupont is out of the office. (back 1/2)"], "subject"),
    "a person on offices": (["Subject: Out of office days 2026"], None),
    "a person answers": (["Subject: Re: R\u00e9ponse automatique : AG"], None),
    "a person on absences": (["Subject: Absence du tr\u00e9sorier"], None),
    "cars": (["Subject: Auto : covoiturage"], None),
    "a person on a colleague": (["Subject: Marie is out of the office"], None),
    "a notice of a person": (["Subject: Avis d'absence - Paul"], None),
    "a person on automatic mail": (["Subject: Message automatique : comment ça marche"], None),
    "a person on receipts": (["Subject: Accusé de lecture : merci de ne plus en demander"], None),
    "a person on August": (["Subject: Out of office - who covers August?"], None),
    "notes, in French": (["Subject: Pierre CHEVAL est absent(e)."], "subject"),
    "a receipt in words, answering": (
        ["Subject: Accusé de lecture : AG", "In-Reply-To: <x@y.fr>"],
        "subject",
    ),
    "auto, answering": (["Subject: Auto: AG", "In-Reply-To: <x@y.fr>"], "subject"),
    "a person": (["From: jean@example.fr", "Subject: AG"], None),
}


@pytest.mark.parametrize(("fields", "rule"), AUTOMATIC.values(), ids=AUTOMATIC)
def test_is_automatic(fields: list[str], rule: str | None) -> None:
    """Programs give themselves away; people who write about them do not."""
    assert trace.is_automatic(_message(*fields)) == rule


CHALLENGES = {
    "boxbe": (
        (
            "From: Boxbe <noreply@boxbe.com>\r\nSubject: Message in guest queue\r\n\r\n"
            "Your message is waiting. Click here to be added to the guest list."
        ),
        "challenge",
    ),
    "a person about waiting": (
        (
            "From: jean@x.fr\r\nSubject: Inscription\r\n\r\n"
            "Votre message est en attente : cliquez pour le confirmer."
        ),
        None,
    ),
}


@pytest.mark.parametrize(("raw", "rule"), CHALLENGES.values(), ids=CHALLENGES)
def test_challenges_of_known_services(raw: str, rule: str | None) -> None:
    """People write of waiting and confirming, too: a service has to be named."""
    assert trace.is_automatic(read_message(raw.encode())) == rule


CALENDAR = "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n"
PROGRAMS = {
    "a recall": ("Content-Class: urn:content-classes:recallmessage", "recall"),
    "a recall's report": ("Content-class: URN:content-classes:RecallReport", "recall"),
    "Outlook": ("Content-Class: urn:content-classes:message", None),
    "an invitation of Outlook": ("Content-Class: urn:content-classes:calendarmessage", None),
    "a reaction": (
        CALENDAR + "Content-Type: text/vnd.google.email-reaction+json\r\n\r\n{}\r\n--b--",
        "reaction",
    ),
    "a reaction alone": ("Content-Type: text/vnd.google.email-reaction+json", "reaction"),
    "somebody comes": (
        CALENDAR + "Content-Type: text/calendar; METHOD=REPLY\r\n\r\n--b--", "invitation-answer",
    ),
    "a mail about who comes": (
        CALENDAR + "Content-Type: text/calendar; method=REPLY\r\n"
        "Content-Disposition: attachment; filename=a.ics\r\n\r\n--b--", None,
    ),
    "somebody comes, alone": ("Content-Type: text/calendar; method=reply", "invitation-answer"),
    "another date": ("Content-Type: text/calendar; method=COUNTER", "invitation-answer"),
    "an invitation": (CALENDAR + "Content-Type: text/calendar; method=REQUEST\r\n\r\n--b--", None),
    "it is cancelled": ("Content-Type: text/calendar; method=CANCEL", None),
    "a calendar": ("Content-Type: text/calendar", None),
    "a mail about all this": ("Subject: Rappel : METHOD=REPLY", None),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "rule"), PROGRAMS.values(), ids=PROGRAMS)
def test_what_programs_write_for_people(raw: str, rule: str | None) -> None:
    """Nobody on a list wants to read who comes, who likes it, or who takes it back."""
    assert trace.is_automatic(read_message(raw.encode() + b"\r\n\r\n.")) == rule


LOOPS = {
    "our reference": (["X-Relais-Ref: abc"], "relais-ref"),
    "our list": (["List-Id: Comit\u00e9 <bureau.Listes.example.fr>"], "list-id"),
    "our list, bare": (["List-Id: bureau.listes.example.fr"], "list-id"),
    "another list": (["List-Id: <bureau.example.fr>"], None),
    "a look-alike": (["List-Id: <bureau.mes-listes.example.fr>"], None),
    "our list-post": (["List-Post: <mailto:a@listes.example.fr>"], "list-post"),
    "x-loop": (["X-Loop: a@listes.example.fr"], "list-post"),
    "30 hops": (["Received: x"] * 30, None),
    "31 hops": (["Received: x"] * 31, "hops"),
    "a reply": (["In-Reply-To: <x@listes.example.fr>"], None),
}


@pytest.mark.parametrize(("fields", "rule"), LOOPS.values(), ids=LOOPS)
def test_is_loop(fields: list[str], rule: str | None) -> None:
    """Our own marks, or far too many hops."""
    assert trace.is_loop(_message(*fields), domain=DOMAIN) == rule


def test_a_copy_attached_is_no_loop() -> None:
    """Members forward our copies."""
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: message/rfc822\r\n\r\nX-Relais-Ref: abc\r\n\r\nx\r\n--b--\r\n"
    )

    assert trace.is_loop(read_message(raw), domain=DOMAIN) is None


OTHER_LISTS = {
    "list-id": (["List-Id: <bureau.example.org>"], "list-id"),
    "precedence": (["Precedence: list"], "precedence"),
    "newsletter": (["List-Unsubscribe: <https://example.org>"], None),
    "a person": (["Subject: AG"], None),
}


@pytest.mark.parametrize(("fields", "rule"), OTHER_LISTS.values(), ids=OTHER_LISTS)
def test_is_from_another_list(fields: list[str], rule: str | None) -> None:
    """The field that gave it away."""
    assert trace.is_from_another_list(_message(*fields)) == rule


SPAM = {
    "flag": (["X-Spam-Flag: YES"], "x-spam-flag"),
    "flag, no": (["X-Spam-Flag: NO"], None),
    "status": (["X-Spam-Status: Yes, score=7.1 required=5.0"], "x-spam-status"),
    "status, no": (["X-Spam-Status: No, score=-1.9 required=5.0"], None),
    "status, folded": (["X-Spam-Status:\r\n Yes, score=7.1"], "x-spam-status"),
    "yes": (["X-Spam: Yes"], "x-spam"),
    "OVH": (["X-VR-SPAMSTATE: SPAM"], "x-vr-spamstate"),
    "OVH, fine": (["X-VR-SPAMSTATE: OK"], None),
    "OVH, older": (["X-Ovh-Spam-Status: SPAM"], "x-ovh-spam-status"),
    "OVH, a reason": (["X-VR-SPAMCAUSE: spam spam"], None),
    "only a score": (["X-Spam-Score: 9.9"], None),
    "empty": (["X-Spam-Flag:"], None),
    "two that disagree": (["X-Spam-Flag: NO", "X-Spam-Status: Yes"], "x-spam-status"),
    "a subject about it": (["Subject: [SPAM] yes"], None),
    "a person": (["Subject: AG"], None),
}


@pytest.mark.parametrize(("fields", "name"), SPAM.values(), ids=SPAM)
def test_is_called_spam(fields: list[str], name: str | None) -> None:
    """The field in which a filter says so; a score alone says nothing."""
    assert trace.is_called_spam(_message(*fields)) == name


UNANSWERED = {
    "a person's": (["From: jean@b.fr", "Return-Path: <jean@b.fr>"], None),
    "null return path": (["From: jean@b.fr", "Return-Path: <>"], "null-return-path"),
    "null return path, with a space": (["From: jean@b.fr", "Return-Path: < >"], "null-return-path"),
    "a newsletter": (["From: jean@b.fr", "List-Unsubscribe: <https://b.fr/u>"], "list"),
    "another list": (["From: jean@b.fr", "List-Id: <x.b.fr>"], "list"),
    "bulk": (["From: jean@b.fr", "Precedence: bulk"], "precedence"),
    "junk": (["From: jean@b.fr", "Precedence: Junk"], "precedence"),
    "of a list": (["From: jean@b.fr", "Precedence: list"], "precedence"),
    "first-class": (["From: jean@b.fr", "Precedence: first-class"], None),
    "Exchange": (["From: jean@b.fr", "X-Auto-Response-Suppress: All"], None),
    "no-reply": (["From: no-reply@b.fr"], "robot"),
    "noreply": (["From: NoReply@b.fr"], "robot"),
    "no reply of a service": (["From: club.no_reply@b.fr"], "robot"),
    "no reply, tagged": (["From: noreply+42@b.fr"], "robot"),
    "do not reply": (["From: do-not-reply@b.fr"], "robot"),
    "French": (["From: ne-pas-repondre@b.fr"], "robot"),
    "French, in one": (["From: nepasrepondre@b.fr"], "robot"),
    "a daemon": (["From: MAILER-DAEMON@b.fr"], "robot"),
    "postmaster": (["From: postmaster@b.fr"], "robot"),
    "bounces": (["From: list-bounces@b.fr"], "robot"),
    "another list's program": (["From: sympa@b.fr"], "robot"),
    "a person called so": (["From: noe.replier@b.fr"], None),
    "a demon": (["From: eudaemon@b.fr"], None),
}


@pytest.mark.parametrize(("fields", "mark"), UNANSWERED.values(), ids=UNANSWERED)
def test_what_wants_no_answer(fields: list[str], mark: str | None) -> None:
    """RFC 3834, section 2: an answer there is read by nobody, or by a program."""
    assert trace.is_not_to_be_answered(_message(*fields)) == mark
