"""Answers that ask whoever wrote to prove that they are a person."""

from __future__ import annotations

import pytest

from worker.mail.challenge import is_challenge, names_its_service
from worker.mail.notification import Notification
from worker.mail.returns import read_return


def _message(author: str, subject: str, *text: str, fields: str = "") -> bytes:
    body = "\r\n".join(text)
    return (
        f"Return-Path: <>\r\nFrom: {author}\r\nSubject: {subject}\r\n{fields}"
        f"Content-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n"
    ).encode()


BY_NAME = {
    "boxbe": _message(
        "noreply@boxbe.com",
        "Re: AG (Action Required)",
        "Your message to marie@x.fr is waiting in her guest list. Click here to be approved.",
    ),
    "Spam Arrest": _message(
        "marie@x.fr",
        "Re: AG [Spam Arrest verification]",
        "I am using Spam Arrest. Click below to verify your message.",
    ),
    "TMDA": _message(
        "marie@x.fr",
        "Please confirm your message",
        "This message was created automatically by TMDA. Simply reply to confirm it.",
    ),
    "Mailinblack": _message(
        "marie@x.fr",
        "Authentification de votre message",
        "Ma messagerie est protégée par MailInBlack. Cliquez ici pour vous authentifier.",
    ),
    "BoxTrapper": _message(
        "marie@x.fr",
        "Your email requires verification",
        "The message requires verification. Reply to this message to be verified (BoxTrapper).",
    ),
}
BY_WORDS = {
    "in English": _message(
        "marie@x.fr",
        "Your message to marie@x.fr",
        "Your message is being held because you are not on my list of approved senders.",
        "Please click the link below to confirm that you are a person.",
    ),
    "in French": _message(
        "marie@x.fr",
        "Votre message",
        "Votre message est en attente. Cliquez sur ce lien pour confirmer que vous n'êtes pas"
        " un robot.",
    ),
    "by a form": _message(
        "marie@x.fr",
        "Verification",
        "Before your mail can be delivered you have to complete a form with this code.",
    ),
}


@pytest.mark.parametrize("raw", BY_NAME.values(), ids=BY_NAME)
def test_services_that_are_known(raw: bytes) -> None:
    """They name themselves."""
    assert names_its_service(Notification(raw))
    assert is_challenge(Notification(raw))
    assert read_return(raw) is None


@pytest.mark.parametrize("raw", BY_WORDS.values(), ids=BY_WORDS)
def test_words_of_a_challenge(raw: bytes) -> None:
    """It says that a message waits, and how to free it."""
    assert is_challenge(Notification(raw))
    assert not names_its_service(Notification(raw))
    assert read_return(raw) is None


NONE = {
    "nothing": b"",
    "a person on a guest list": _message(
        "jean@x.fr", "Fête", "La liste des invités est en attente. Qui vient ?"
    ),
    "a person who asks": _message("jean@x.fr", "AG", "Please reply to confirm that you come."),
    "a message that waits, and no way": _message(
        "jean@x.fr", "Re: AG", "Your message is waiting, I answer on Monday."
    ),
    "a moderator's notice of a list": _message(
        "bureau-owner@lists.x.fr",
        "Your message to Bureau awaits moderator approval",
        "Your message is being held until a moderator can review it for approval.",
        "To cancel this posting visit the following URL: confirm",
        fields="List-Id: <bureau.lists.x.fr>\r\n",
    ),
    "a newsletter": _message(
        "news@x.fr",
        "Confirm",
        "Your message is waiting. Click to confirm your address.",
        fields="List-Unsubscribe: <https://x.fr/u>\r\n",
    ),
    "a mail system": _message(
        "MAILER-DAEMON@x.fr",
        "Delayed mail",
        "Your message is in the queue. Click the link to confirm your address.",
    ),
    "a vacation": _message("marie@x.fr", "Absence", "De retour lundi. Urgences : jean@x.fr"),
    "a person who names a service": _message(
        "jean@x.fr", "Boxbe", "Quelqu'un connaît Boxbe ? Je ne m'en sors pas."
    ),
}


@pytest.mark.parametrize("raw", NONE.values(), ids=NONE)
def test_no_challenge(raw: bytes) -> None:
    """People write of guests and confirming, and mail systems of waiting."""
    assert not is_challenge(Notification(raw))


def test_a_challenge_in_the_form_of_a_report() -> None:
    """Boxbe sends a delivery report; nobody has failed."""
    raw = (
        b"Return-Path: <>\r\nFrom: noreply@boxbe.com\r\nSubject: Delayed: AG\r\n"
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        b"--b\r\n\r\nYour message is waiting: click here to be added to the guest list.\r\n"
        b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; boxbe.com\r\n\r\n"
        b"Final-Recipient: rfc822; a@x.fr\r\nAction: delayed\r\nStatus: 4.7.0\r\n--b--\r\n"
    )

    assert read_return(raw) is None
    delay = raw.replace(b"boxbe.com", b"mx.x.fr").replace(b"click here to be added", b"we keep")
    assert read_return(delay) is not None
