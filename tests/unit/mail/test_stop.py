"""What says stop in a reply to a receipt, and what does not."""

from __future__ import annotations

import pytest

from tests.unit.mail.test_answer import APPLE, GMAIL, OUTLOOK, QUOTED, html, written
from worker.mail.answer import Answer, Meaning, read_stop

UNCLEAR = Answer(Meaning.UNCLEAR)

STOPS = {
    "stop": "",
    "STOP !": "",
    "Stop.": "",
    "Stop merci": "",
    "Stop, merci.": "",
    "Arrêter": "",
    "Arrêtez": "",
    "arretez": "",
    "arrête": "",
    "Arrêtez l\u2019envoi svp": "",
    "Arrêtez tout !": "",
    "Merci d'arrêter l'envoi": "",
    "Merci de stopper l'envoi": "",
    "Stoppez": "",
    "Stopper tout de suite": "",
    "Annuler": "",
    "Annulez l'envoi, s'il vous plaît": "",
    "Veuillez annuler": "",
    "cancel": "",
    "Please stop": "",
    "Please, stop sending it now": "",
    "Stop everything, thanks": "",
    "stop stop stop": "",
    "\U0001f6d1": None,
    "Stop \U0001f6d1": "",
    "Bonjour, stop": "",
    "Stop, mauvaise pièce jointe": "mauvaise pièce jointe",
    "Arrêtez : ce n'est pas le bon fichier !": "ce n'est pas le bon fichier !",
    "Stop - wrong attachment": "wrong attachment",
    "Bonjour, Merci d'arrêter cet envoi": "",
    "Bonjour,\n\nmerci de stopper": "",
    "Bonjour,\n\nMerci d arrêter cet envoi.": "",
    "Merci de l'arrêter": "",
    "Merci de bien vouloir arrêter l'envoi.": "",
    "Veuillez arrêter": "",
    "Stop svp": "",
    "Il faut arrêter !": "",
    "Je voudrais arrêter cet envoi": "",
    "Pouvez-vous arrêter ?": "",
    "Pourriez-vous s'il vous plaît arrêter l\u2019envoi ?": "",
    "Est-ce que vous pouvez arrêter ? La date est fausse.": "La date est fausse.",
    "Could you stop this": "",
    "Can you please stop it?": "",
    "Annulez l'envoi": "",
    "Ne pas envoyer": "",
    "Ne pas envoyer la suite": "",
    "N'envoyez pas la suite, merci": "",
    "Merci de ne plus envoyer": "",
    "N'envoyez plus rien, stop": "",
    "Please don't send the rest": "",
    "Arrêtez l'envoi car la date est fausse": "la date est fausse",
}


@pytest.mark.parametrize(
    ("said", "why"), STOPS.items(), ids=[ascii(said).strip("'\"") for said in STOPS]
)
def test_stop(said: str, why: str | None) -> None:
    """A word in either language is enough, above the quote of any program or without one."""
    expected = UNCLEAR if why is None else Answer(Meaning.STOP, why)

    for quote in ("", f"\n\n{GMAIL}", f"\n\n{APPLE}", f"\n\n{OUTLOOK}", "\n\nMarie\n-- \nM. D."):
        assert read_stop(written(f"{said}\n{quote}")) == expected


NO_STOPS = {
    "not to stop": "Ne pas arrêter",
    "do not stop": "Please do not stop",
    "do not stop, below": "Stop\n\nEn fait non, n'arrêtez pas.",
    "go on, below": "Stop.\nFinalement continuez, tout va bien.",
    "a question": "stop?",
    "a question with a space": "Stop ?",
    "a question behind it": "Stop, c'est encore possible ?",
    "a condition": "Stop, si quelqu'un se plaint",
    "a part": "Stop, but only for Orange",
    "later": "Stop : après demain",
    "how": "Comment arrêter ?",
    "how to stop it": "Comment l'arrêter ?",
    "how, in English": "How do I stop it?",
    "whether it can be": "Peut-on arrêter ?",
    "whether it was": "Avez-vous arrêté l'envoi ?",
    "by no means": "Surtout n'arrêtez pas",
    "don't": "Don't stop",
    "politely not": "Merci de ne pas arrêter l'envoi",
    "asked not to": "Pouvez-vous ne pas arrêter ?",
    "asked, with a condition": "Pouvez-vous arrêter si c'est encore possible ?",
    "not before": "Ne pas envoyer avant lundi",
    "not to some": "N'envoyez pas à Orange",
    "a sentence with the word": "Le bus ne stoppe pas ici",
    "a longer word": "Stopover in Paris",
    "another thing": "Stop pub dans ma boîte",
    "replaces": "Annule et remplace le précédent",
    "thanks": "Merci !",
    "yes": "OK",
    "no": "Non",
    "nothing": "",
    "the word below": "Merci beaucoup,\n\nstop",
    "a quoted stop": "> stop\n",
    "a quoted stop, unmarked": "De : a\nEnvoyé : lundi\n\nstop",
    "the rest of a quoted line": "> On peut\nstop\n",
    "only the quote": QUOTED,
    "in the signature": "Merci\n-- \nstop",
}


@pytest.mark.parametrize("text", NO_STOPS.values(), ids=NO_STOPS)
def test_no_stop(text: str) -> None:
    """It is for a person, who may ask back."""
    assert read_stop(written(text)) == UNCLEAR


def test_html() -> None:
    """What is read is what people see."""
    assert read_stop(html("<p>Stop&nbsp;!</p><blockquote>x</blockquote>")).meaning is Meaning.STOP
    assert read_stop(html("<blockquote>stop</blockquote>")) == UNCLEAR


def test_with_the_right_file() -> None:
    """An attachment does not keep a stop waiting."""
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nStop\r\n"
        b"--b\r\nContent-Type: application/pdf\r\n\r\nPDF\r\n--b--\r\n"
    )

    assert read_stop(raw).meaning is Meaning.STOP


def test_a_reason_is_not_endless() -> None:
    """Nobody writes a letter behind it."""
    assert read_stop(written("Stop: " + "x" * 5000)) == Answer(Meaning.STOP, "x" * 500)
