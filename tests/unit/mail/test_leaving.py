"""Who writes to a list only to leave it."""

from __future__ import annotations

import pytest

from worker.mail.header import read_message
from worker.mail.leaving import asks_to_leave

QUOTE = "\r\n\r\nLe 26 nov. 2026 à 10:00, Jean a écrit :\r\n> Bonjour\r\n> Réunion demain\r\n"


def message(body: str, subject: str = "Re: Réunion") -> bytes:
    """Write a message."""
    head = f"From: a@b.fr\r\nSubject: {subject}\r\nContent-Type: text/plain; charset=utf-8\r\n"
    return f"{head}\r\n{body}\r\n".encode()


LEAVING = {
    "one word": message("Désinscription"),
    "no accents": message("desinscription"),
    "English": message("unsubscribe"),
    "STOP": message("STOP"),
    "above a quote": message(f"Stop{QUOTE}"),
    "politely": message("Bonjour,\r\n\r\nMerci de me désinscrire de cette liste.\r\n\r\nJean"),
    "in English": message("Please unsubscribe me from this list, thanks".replace(",", "")),
    "je souhaite": message("je souhaite me désabonner"),
    "an imperative": message("Désabonnez-moi svp !"),
    "in the subject": message("", subject="unsubscribe"),
    "in the subject of a reply": message(QUOTE, subject="Re: Désabonnement"),
    "in the subject of a German reply": message("", subject="AW: RE : unsubscribe"),
    "with a signature": message("unsubscribe\r\n\r\n-- \r\nJean Dupont\r\nClub de judo\r\nTel"),
    "with thanks": message("Désinscription\r\nMerci d'avance,\r\nJean Dupont\r\n06 12 34 56 78"),
    "from a phone": message("Désinscription\r\n\r\nEnvoyé de mon iPhone"),
}
LEAVING |= {
    "what people write": message("Bonjour,\r\nje ne veux plus recevoir vos mails svp"),
    "in the subject, and a greeting": message("Bonjour", subject="Se désinscrire"),
}
STAYING = {
    "what one wants no more": message("Je ne veux plus recevoir vos mails sans ordre du jour."),
    "about it": message("Comment se désinscrire du tournoi ?"),
    "a club matter": message("Désinscription de Paul au tournoi de samedi"),
    "a long message": message("Stop\r\n" + "Et encore une ligne.\r\n" * 6),
    "a sentence that goes on": message("Bonjour,\r\nMerci de retirer\r\nla table de la salle 3"),
    "about something else": message("Stop !\r\nL'entraînement de ce soir est annulé.\r\nJean"),
    "a sentence": message("Stop aux réunions le lundi, svp"),
    "in a quote": message("> unsubscribe\r\n\r\nQuelqu'un sait quoi en faire ?"),
    "a subject with a text": message("Voici le formulaire.", subject="Désinscription"),
    "empty": message("", subject=""),
    "an attachment": (
        b"From: a@b.fr\r\nSubject: unsubscribe\r\nContent-Type: application/pdf\r\n\r\n%PDF\r\n"
    ),
}


@pytest.mark.parametrize("raw", LEAVING.values(), ids=LEAVING)
def test_leaving(raw: bytes) -> None:
    """Nothing else is said."""
    assert asks_to_leave(read_message(raw), raw)


@pytest.mark.parametrize("raw", STAYING.values(), ids=STAYING)
def test_staying(raw: bytes) -> None:
    """Whatever may be for the others is posted."""
    assert not asks_to_leave(read_message(raw), raw)
