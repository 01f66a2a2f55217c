"""Who speaks: a mail system, or a person who writes about what one has said."""

from __future__ import annotations

import pytest

from worker.mail.notification import Notification
from worker.mail.returns import read_return
from worker.mail.speaker import (
    is_after_data,
    is_daemon,
    is_delay,
    says_success,
    speaks_of_failure,
)

DAEMON = "Mail Delivery System <MAILER-DAEMON@mx.x.fr>"
JEAN = "Jean Martin <jean@x.fr>"


def _message(author: str, subject: str, text: str, fields: str = "") -> bytes:
    return (
        f"From: {author}\r\nTo: tous@listes.example.fr\r\nSubject: {subject}\r\n{fields}"
        "Content-Type: text/plain; charset=utf-8\r\n\r\n" + text.replace("\n", "\r\n")
    ).encode()


NULL = "Return-Path: <>\r\n"
SYSTEMS = {
    "Postfix": _message(
        DAEMON,
        "Undelivered Mail Returned to Sender",
        "This is the mail system at host mx.x.fr.\n\nI'm sorry to have to inform you that your"
        " message could not\nbe delivered.\n\n<a@x.fr>: 550 5.1.1 User unknown\n",
        NULL,
    ),
    "qmail": _message(
        DAEMON,
        "failure notice",
        "Hi. This is the qmail-send program at mx.x.fr.\nI'm afraid I wasn't able to deliver your"
        " message to the following addresses.\n\n<a@x.fr>:\nSorry, no mailbox here by that name.\n",
        NULL,
    ),
    "Exim": _message(
        DAEMON,
        "Mail delivery failed: returning message to sender",
        "This message was created automatically by mail delivery software.\n\nA message that you"
        " sent could not be delivered.\n\n  a@x.fr\n    Unrouteable address\n",
        NULL + "X-Failed-Recipients: a@x.fr\r\nAuto-Submitted: auto-replied\r\n",
    ),
    "without a return path": _message(
        DAEMON, "Delivery failure", "The message to a@x.fr could not be delivered.\n"
    ),
    "a postmaster": _message(
        "postmaster@x.fr",
        "Undeliverable: AG",
        "Delivery has failed to these recipients:\n\na@x.fr\nThe mailbox is full. 552 5.2.2\n",
        NULL,
    ),
    "in French": _message(
        "Postmaster <postmaster@x.fr>",
        "Message non remis : AG",
        "Votre message n'a pas pu être remis au destinataire suivant :\n\na@x.fr\n550 inconnu\n",
        NULL,
    ),
    "in German": _message(
        "postmaster@x.fr",
        "Unzustellbar: AG",
        "Die Nachricht konnte nicht zugestellt werden:\n\na@x.fr: 550 unbekannt\n",
        NULL,
    ),
    "in Japanese": _message(
        DAEMON, "配信不能", "メールを配信できませんでした。\n\n<a@x.fr>: 550 宛先不明\n", NULL
    ),
    "a short one": _message(DAEMON, "Re: AG", "<a@x.fr>: mailbox full\n", NULL),
}


@pytest.mark.parametrize("raw", SYSTEMS.values(), ids=SYSTEMS)
def test_mail_systems(raw: bytes) -> None:
    """They speak of failure, and it is read."""
    found = read_return(raw)

    assert speaks_of_failure(Notification(raw))
    assert found is not None
    assert [report.final_recipient for report in found.recipients] == ["a@x.fr"]


NOTICE = (
    "This is the mail system at host mx.x.fr.\n\nI'm sorry to have to inform you that your"
    " message could not\nbe delivered.\n\n<a@x.fr>: 550 5.1.1 User unknown\n"
)
QUOTED = "".join(f"> {line}\n" for line in NOTICE.splitlines())
PEOPLE = {
    "a person": _message(JEAN, "Bonjour", "Bonjour à tous,\n\nà samedi !\n"),
    "asks about a notice": _message(
        JEAN,
        "Messages non distribués",
        "Bonjour,\n\nDepuis lundi mes messages à marie@x.fr reviennent : « 550 5.1.1 user"
        " unknown ».\nQuelqu'un a-t-il sa nouvelle adresse ?\n\nJean\n",
    ),
    "asks in English": _message(
        JEAN,
        "Mail problems",
        "Hi all,\n\nmy mail to marie@x.fr was returned: 550 5.1.1 user unknown.\nAny idea?\n",
    ),
    "forwards one": _message(
        JEAN,
        "Fwd: Undelivered Mail Returned to Sender",
        "Voici ce que je reçois.\n\n---------- Forwarded message ---------\n"
        "From: MAILER-DAEMON@mx.x.fr\n\n" + NOTICE,
    ),
    "forwards one, in French": _message(
        JEAN,
        "TR : Undelivered Mail Returned to Sender",
        "Bonjour,\n\n-------- Message transféré --------\nDe : MAILER-DAEMON@mx.x.fr\n\n" + NOTICE,
    ),
    "forwards one without a word": _message(
        JEAN,
        "Fwd: failure notice",
        "---------- Forwarded message ---------\nFrom: MAILER-DAEMON@mx.x.fr\n\n" + NOTICE,
    ),
    "answers one": _message(
        JEAN,
        "Re: Undelivered Mail Returned to Sender",
        "Marie a changé d'adresse.\n\nLe 23/11/2026 à 10:30, Mail Delivery System a écrit :\n"
        + QUOTED,
    ),
    "quotes one": _message(JEAN, "Liste", "Encore une :\n\n" + QUOTED + "\nQue faire ?\n"),
    "on delivery": _message(
        JEAN, "Livraison des paniers", "La livraison a échoué, rappelez le 01 23 45 67 89.\n"
    ),
    "on a project": _message(
        JEAN, "[bug] Delivery failed", "Hello,\n\nthe pipeline says: error 550 while sending.\n"
    ),
    "a phisher": _message(
        "Service Mail <support@mail-verify.example>",
        "Undelivered messages: action required",
        "Dear user,\n\nyou have 5 undelivered messages. Click here to release them:\n"
        "https://mail-verify.example/release\n",
    ),
    "a phisher in French": _message(
        "Support <support@mail-verify.example>",
        "Votre boîte est pleine",
        "Cher utilisateur,\n\nvotre boîte aux lettres est pleine. Cliquez ici :\n"
        "https://mail-verify.example/quota\n",
    ),
    "a newsletter": _message(
        "Lettre <news@x.fr>",
        "Delivery problems? Ten tips",
        "Why was my mail returned? 550 5.1.1 user unknown explained.\n",
        "List-Unsubscribe: <https://x.fr/u>\r\nList-Id: <news.x.fr>\r\n",
    ),
    "cron": _message(
        "Cron Daemon <root@x.fr>",
        "Cron <root@x.fr> /usr/bin/mailq",
        "mail to a@x.fr delayed: connection timed out\n",
        "X-Cron-Env: <SHELL=/bin/sh>\r\nAuto-Submitted: auto-generated\r\n",
    ),
    "a vacation": _message(
        "Marie <marie@x.fr>",
        "Absence du bureau",
        "Je suis en congé. En cas d'urgence : jean@x.fr\n",
        NULL + "Auto-Submitted: auto-replied\r\n",
    ),
    "a vacation in English": _message(
        "Marie <marie@x.fr>",
        "Out of office",
        "I am out of the office until Monday. Please contact jean@x.fr\n",
        NULL + "Auto-Submitted: auto-replied\r\n",
    ),
    "a monitor": _message(
        "Surveillance <monitor@x.fr>",
        "DOWN: mx.x.fr",
        "SMTP check failed: connection refused\n",
        "Auto-Submitted: auto-generated\r\n",
    ),
}


@pytest.mark.parametrize("raw", PEOPLE.values(), ids=PEOPLE)
def test_people_and_other_programs(raw: bytes) -> None:
    """Whatever they quote, forward or imitate, nobody has failed."""
    assert not speaks_of_failure(Notification(raw))
    assert read_return(raw) is None


BACK = "Return-Path: <jean@x.fr>\r\n"
SECRETARIES = {
    "a list of them": _message(
        JEAN,
        "Adresses en erreur",
        "marie@x.fr : boîte pleine\npaul@y.fr : adresse inconnue\nluc@z.fr : 550 5.1.1 User"
        " unknown\n",
        BACK,
    ),
    "one who got no invitation": _message(
        JEAN,
        "Non remis : convocation AG",
        "Bonjour\n\nmarie@x.fr n'a pas reçu la convocation : 550 boîte pleine\nJean\n",
        BACK,
    ),
    "one to be taken off": _message(
        JEAN,
        "Failure notice",
        "marie@x.fr\nuser unknown, please update the list.\n",
        BACK,
    ),
    "a notice, pasted": _message(
        JEAN, "Undelivered Mail Returned to Sender", "Pour info\n\n" + NOTICE, BACK
    ),
    "nothing but a notice": _message(JEAN, "Undelivered Mail Returned to Sender", NOTICE, BACK),
}


@pytest.mark.parametrize("raw", SECRETARIES.values(), ids=SECRETARIES)
def test_who_looks_after_addresses_writes_of_them(raw: bytes) -> None:
    """Whoever can be answered is no mail system, though their words are its words."""
    assert not speaks_of_failure(Notification(raw))
    assert read_return(raw) is None


DAEMONS = {
    "Postfix": (DAEMON, True),
    "nobody": ("<>", True),
    "Exchange": ("Microsoft Outlook <MicrosoftExchange329e71ec@x.fr>", True),
    "Gmail": ("Mail Delivery Subsystem <mailer-daemon@googlemail.example>", True),
    "a postmaster": ("postmaster@x.fr", False),
    "a person": (JEAN, False),
}


@pytest.mark.parametrize(("author", "expected"), DAEMONS.values(), ids=DAEMONS)
def test_is_daemon(author: str, expected: bool) -> None:  # noqa: FBT001
    """A postmaster may also be a person."""
    assert is_daemon(Notification(_message(author, "x", "x"))) is expected


DELAYS = {
    "Postfix": ("Delayed Mail (still being retried)", "You do not need to resend it.", True),
    "Exim": ("Warning: message delayed 24 hours", "No action is required on your part.", True),
    "sendmail": ("Warning: could not send message", "** THIS IS A WARNING MESSAGE ONLY **", True),
    "in French": ("Remise retardée", "De nouvelles tentatives auront lieu.", True),
    "in German": ("Zustellung verzögert", "Es wird weiterhin versucht.", True),
    "given up": ("Delivery failure", "The delayed message has expired. Giving up.", False),
    "failed": ("Undelivered Mail", "550 5.1.1 unknown", False),
}


@pytest.mark.parametrize(("subject", "text", "delayed"), DELAYS.values(), ids=DELAYS)
def test_is_delay(subject: str, text: str, delayed: bool) -> None:  # noqa: FBT001
    """It still tries, unless it says that it has given up."""
    assert is_delay(Notification(_message(DAEMON, subject, text))) is delayed


SUCCESSES = {
    "Postfix": (DAEMON, "Your message was successfully delivered to a@x.fr", True),
    "in French": (DAEMON, "Votre message a bien été remis à a@x.fr", True),
    "half of them": (DAEMON, "It was delivered to a@x.fr. It could not reach b@x.fr", False),
    "a failure": (DAEMON, "It was not delivered to a@x.fr", False),
    "a person": (JEAN, "Le colis a bien été livré, it was delivered", False),
}


@pytest.mark.parametrize(("author", "text", "success"), SUCCESSES.values(), ids=SUCCESSES)
def test_says_success(author: str, text: str, success: bool) -> None:  # noqa: FBT001
    """Only a system says so for certain, and of all."""
    assert says_success(Notification(_message(author, "Report", text, NULL))) is success


PLACES = {
    "Postfix": ("<a@x.fr>: host mx said: 550 refused (in reply to end of DATA command)", True),
    "Postfix, recipient": (
        "<a@x.fr>: host mx said: 550 refused (in reply to RCPT TO command)",
        False,
    ),
    "Exim": ("SMTP error from remote mail server after end of data: 550 refused", True),
    "sendmail": ("... while talking to mx: >>> DATA <<< 550 refused", True),
    "sendmail, recipient": (
        "... while talking to mx: >>> DATA x >>> RCPT To:<a@x.fr> <<< 550 refused",
        False,
    ),
    "elsewhere": ("550 5.1.1 no such user, after end of data", False),
    "nowhere": ("Sorry.", False),
}


@pytest.mark.parametrize(("text", "after"), PLACES.values(), ids=PLACES)
def test_is_after_data(text: str, after: bool) -> None:  # noqa: FBT001
    """A server that says so had the whole message."""
    assert is_after_data(Notification(_message(DAEMON, "x", text)), "550 refused") is after


def test_nothing_is_after_nothing() -> None:
    """A report without words tells no place."""
    assert not is_after_data(Notification(b""), "")
    assert not is_after_data(Notification(SYSTEMS["Postfix"]), "")
