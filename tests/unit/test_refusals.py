"""Letters about what was not posted: what happened, what to do, and little else."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.unit.words import LANGUAGES, french, replies_that_only_quote, seen
from worker.mail.answer import Meaning, read_answer
from worker.notices.letters import About
from worker.notices.refusals import (
    Elsewhere,
    Enclosed,
    Places,
    Proposal,
    Refusal,
    not_posted,
    sent_twice,
)
from worker.policy.refusal import Why

if TYPE_CHECKING:
    from worker.mail.notice import Letter

LINK = "https://listes.example.fr/c/" + "k7" * 16
UNTIL = datetime(2026, 11, 27, 15, 5, tzinfo=UTC)
SPACE, SHARE = "https://membres.example.fr", "https://fichiers.example.fr"
LIST = "comite_directeur.comite@listes.example.fr"
ABOUT = About(
    lang="fr",
    author="marie.perso@free.fr",
    subject="Convocation AG",
    list_address=LIST,
    number=None,
    help_address="aide@example.fr",
)
BIG = 12 * 1024**2
PROPOSALS = (
    Proposal("comite_directeur.comite@listes.example.fr", 14),
    Proposal("comite_directeur.arbitrage@listes.example.fr", 1),
)
REFUSALS = {
    "no member": Refusal(LIST, Why.NO_MEMBER),
    "reads only": Refusal(LIST, Why.NO_WRITER),
    "moderators write": Refusal(LIST, Why.NO_MODERATOR),
    "a view writes": Refusal(LIST, Why.NOT_CHOSEN),
    "nobody writes": Refusal(LIST, Why.NOBODY),
    "banned": Refusal(LIST, Why.BANNED),
    "unproven": Refusal(LIST, Why.UNPROVEN),
    "too big": Refusal(LIST, Why.TOO_BIG, limit=5 * 1024**2, people=820),
    "too big, of a stranger": Refusal(LIST, Why.TOO_BIG, limit=5 * 1024**2),
    "unknown": Refusal(LIST, Why.UNKNOWN_LIST, proposals=PROPOSALS),
    "unknown, and like nothing": Refusal(LIST, Why.UNKNOWN_LIST),
    "empty": Refusal(LIST, Why.EMPTY_LIST),
    "flooded": Refusal(LIST, Why.FLOOD),
    "on other lists": Refusal(LIST, Why.NO_MEMBER, is_known=True),
}
MANY = [
    replace(refusal, address=f"liste{number}@listes.example.fr")
    for number, refusal in enumerate(REFUSALS.values())
]
KINDS = {f"{lang}, {name}": (lang, name) for lang in LANGUAGES for name in REFUSALS}


def written(
    refusals: list[Refusal],
    lang: str = "fr",
    *,
    places: Places = Places(SPACE, SHARE),  # noqa: B008 - a value
    elsewhere: Elsewhere = Elsewhere(),  # noqa: B008 - a value
    enclosed: Enclosed = Enclosed.WHOLE,
) -> Letter:
    """Write the letter about a message of 12 MB."""
    return not_posted(
        replace(ABOUT, lang=lang),
        refusals,
        size=BIG,
        places=places,
        elsewhere=elsewhere,
        enclosed=enclosed,
    )


class Words(NamedTuple):
    """What a letter says of a refusal, but for the last lines."""

    subject: str
    text: str


TEXTS = {
    "fr, no member": Words(
        "Non envoyé : vous ne pouvez pas écrire à cette liste",
        f"Votre message à {LIST} n'a pas été envoyé.\n"
        "Seuls les membres de la liste peuvent y écrire, et aucun d'eux n'a l'adresse"
        " marie.perso@free.fr.\n\n"
        "→ Vous êtes membre ? Renvoyez-le depuis l'adresse que nous avons de vous. Vous la"
        f" trouverez ici :\n  {SPACE}\n→ Sinon, écrivez à aide@example.fr.",
    ),
    "en, no member": Words(
        "Not sent: you cannot write to this list",
        f"Your message to {LIST} was not sent.\n"
        "Only members of the list can write to it, and none of them has the address"
        " marie.perso@free.fr.\n\n"
        "→ Are you a member? Send it again from the address that we have for you. You find it"
        f" here:\n  {SPACE}\n→ Otherwise write to aide@example.fr.",
    ),
    "fr, on other lists": Words(
        "Non envoyé : vous ne pouvez pas écrire à cette liste",
        f"Votre message à {LIST} n'a pas été envoyé.\n"
        "Seuls les membres de la liste peuvent y écrire, et vous n'y êtes pas.\n\n"
        "→ Vous pensez que c'est une erreur ? Écrivez à aide@example.fr.",
    ),
    "en, on other lists": Words(
        "Not sent: you cannot write to this list",
        f"Your message to {LIST} was not sent.\n"
        "Only members of the list can write to it, and you are not on it.\n\n"
        "→ You think that this is a mistake? Write to aide@example.fr.",
    ),
    "en, banned": Words(
        "Not sent: you cannot write to this list",
        f"Your message to {LIST} was not sent.\nYou cannot write to this list.\n\n"
        "→ You think that this is a mistake? Write to aide@example.fr.",
    ),
    "fr, too big": Words(
        "Non envoyé : message trop lourd (12 Mo)",
        f"Votre message à {LIST} n'a pas été envoyé.\n"
        "Cette liste accepte 5 Mo ; votre message en fait 12 Mo (les pièces jointes grossissent"
        " d'un tiers en route).\nMultiplié par 820 personnes, cela ferait 9,6 Go.\n\n"
        f"→ Déposez les fichiers sur cette page et envoyez le lien :\n  {SHARE}",
    ),
    "en, too big": Words(
        "Not sent: message too big (12 MB)",
        f"Your message to {LIST} was not sent.\n"
        "This list accepts 5 MB; your message is 12 MB (attachments grow by a third on the way)."
        "\nTimes 820 people, that would be 9.6 GB.\n\n"
        f"→ Put the files on this page, and send the link:\n  {SHARE}",
    ),
    "fr, unknown": Words(
        "Non envoyé : cette liste n'existe pas",
        f"Votre message n'a pas été envoyé : la liste {LIST} n'existe pas.\n"
        "Vouliez-vous écrire à :\n"
        "  comite_directeur.comite@listes.example.fr (14 personnes)\n"
        "  comite_directeur.arbitrage@listes.example.fr (1 personne)\n\n"
        "→ Renvoyez votre message à la bonne adresse.",
    ),
    "en, unknown, and like nothing": Words(
        "Not sent: this list does not exist",
        f"Your message was not sent: there is no list {LIST}.\n\n"
        "→ Check the address, or ask aide@example.fr.",
    ),
    "fr, empty": Words(
        "Non envoyé : personne dans cette liste aujourd'hui",
        f"Votre message à {LIST} n'a pas été envoyé.\n"
        "La liste existe, mais personne n'a cette fonction en ce moment dans le fichier des"
        " membres.\n\n→ aide@example.fr peut corriger la fiche. Renvoyez ensuite votre message.",
    ),
}


@pytest.mark.parametrize("name", TEXTS, ids=TEXTS)
def test_what_is_said(name: str) -> None:
    """What happened first, what to do second, and that nothing is lost."""
    lang, kind = KINDS[name]
    words = TEXTS[name]
    letter = written([REFUSALS[kind]], lang)
    subject, text = map(french, words) if lang == "fr" else words
    attached = {
        "fr": french("Votre message est joint : rien n'est perdu."),
        "en": "Your message is attached: nothing is lost.",
    }[lang]

    # No unit is torn from its number, either.
    assert seen(letter.subject) == seen(f"{subject} \u2013 Convocation AG")
    assert seen(letter.text.rpartition("\n\n")[0]) == seen(f"{text}\n\n{attached}")


@pytest.mark.parametrize(("lang", "kind"), KINDS.values(), ids=KINDS)
def test_a_refusal_keeps_to_the_rules(lang: str, kind: str) -> None:
    """Short, without codes; the last line says who writes, and whom to ask."""
    _check(written([REFUSALS[kind]], lang), lang)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_one_letter_for_many_lists(lang: str) -> None:
    """A line each for some of them, what to do about them, and where it did go."""
    elsewhere = Elsewhere(("tous@listes.example.fr",), ("bureau@listes.example.fr",))
    letter = written(MANY, lang, elsewhere=elsewhere)
    more = {"fr": "… et 11 autres.", "en": "… and 11 more."}[lang]

    _check(letter, lang)
    assert more in letter.text
    assert "liste2@" in letter.text
    assert "liste3@" not in letter.text
    assert "tous@listes.example.fr" in letter.text
    assert "bureau@listes.example.fr" in letter.text
    assert letter.subject.startswith({"fr": "Pas envoyé à toutes", "en": "Not sent to all"}[lang])


def test_two_lists() -> None:
    """What is to be done about both is said once."""
    letter = written([MANY[9], MANY[4], MANY[5]], "en", elsewhere=Elsewhere(("a@x.fr", "b@x.fr")))

    assert letter.text.startswith(
        "Your message was not sent to these addresses:\n"
        "  liste9@listes.example.fr: there is no such list. Did you mean"
        " comite_directeur.comite@listes.example.fr or"
        " comite_directeur.arbitrage@listes.example.fr?\n"
        "  liste4@listes.example.fr: nobody can write to this list.\n"
        "  liste5@listes.example.fr: you cannot write to this list.\n\n"
        "→ Send your message again to the right address.\n"
        "→ You think that this is a mistake? Write to aide@example.fr.\n\n"
        "It does go out to a@x.fr and b@x.fr.\n\n"
    )


def test_nothing_sent_is_no_partial_success() -> None:
    """The subject does not say that some lists got it."""
    assert written(MANY, "en").subject == "Not sent \u2013 Convocation AG"


def test_a_site_without_places_of_its_own() -> None:
    """No link leads nowhere."""
    for name in ("no member", "too big"):
        letter = written([REFUSALS[name]], "en", places=Places())
        assert "https://" not in letter.text
        assert ":\n\n" not in letter.text


def test_a_stranger_hears_no_numbers() -> None:
    """How many people a list has is for its members."""
    assert "Times" not in written([REFUSALS["too big, of a stranger"]], "en").text


def test_what_is_little_in_all_is_not_told() -> None:
    """Some kilobytes for some people make nobody think."""
    few = replace(REFUSALS["too big"], people=8)

    assert "Times" not in written([few], "en").text
    assert "Times 9 people, that would be 108 MB." in written([replace(few, people=9)], "en").text


ENCLOSED = {
    "whole": (Enclosed.WHOLE, "nothing is lost"),
    "header": (Enclosed.HEADER, "you find it in your sent mail"),
    "nothing": (Enclosed.NOTHING, "it lies in the lists' mailbox"),
}


@pytest.mark.parametrize(("enclosed", "words"), ENCLOSED.values(), ids=ENCLOSED)
def test_the_letter_says_what_goes_along(enclosed: Enclosed, words: str) -> None:
    """Nobody looks for an attachment that is not there."""
    assert words in written([REFUSALS["banned"]], "en", enclosed=enclosed).text


def test_the_letter_says_where_a_large_message_is_in_french() -> None:
    """In words of a volunteer."""
    words = "Votre message est trop lourd pour être joint : vous le trouverez dans vos messages"
    letter = written([REFUSALS["banned"]], enclosed=Enclosed.HEADER)

    assert f"\n{french(words)} envoyés.\n" in letter.text


AGAIN = {
    "fr, it goes out": (
        None,
        (
            f"Vous avez envoyé deux fois le même message à {LIST}."
            " Nous ne le distribuons qu'une fois, à 820 personnes."
        ),
    ),
    "en, it goes out": (
        None,
        (f"You sent the same message to {LIST} twice. We distribute it once, to 820 people."),
    ),
    "en, it waits for its author": (
        "confirmation",
        (
            f"You sent the same message to {LIST} twice."
            " The first one still waits for your confirmation."
        ),
    ),
    "fr, it waits for a moderator": (
        "moderation",
        (
            f"Vous avez envoyé deux fois le même message à {LIST}."
            " Le premier attend encore l'accord d'un modérateur."
        ),
    ),
    "en, it waits": (
        "release",
        (f"You sent the same message to {LIST} twice. The first one still waits."),
    ),
}


@pytest.mark.parametrize("name", AGAIN, ids=AGAIN)
def test_sent_twice(name: str) -> None:
    """What became of the first, how to send it again, and that silence is an answer."""
    awaits, words = AGAIN[name]
    lang = name[:2]
    letter = sent_twice(
        replace(ABOUT, lang=lang, number=7),
        recipients=820,
        awaits=awaits,
        is_waiting=awaits is not None,
        link=LINK,
        until=UNTIL,
    )

    assert letter.text.startswith((french(words) if lang == "fr" else words) + "\n\n→ ")
    assert f"\n  {LINK}\n" in letter.text
    _check(letter, lang, number=7)
    for reply in replies_that_only_quote(letter):
        assert read_answer(reply).meaning not in (Meaning.YES, Meaning.NO)


def _check(letter: Letter, lang: str, number: int | None = None) -> None:
    *lines, last = letter.text.split("\n")
    assert 1 <= len([line for line in lines if line]) <= 12, letter.text
    assert "\n\n\n" not in letter.text
    assert not re.search(
        r"veuillez|merci de|please note|error|null|%\(|\{|\b[45]\d\d\b", letter.text, re.IGNORECASE
    )
    assert "None" not in letter.text
    assert all(seen(line).isprintable() for line in lines)
    assert letter.lang == lang
    assert letter.html
    told = {
        "fr": ("Message automatique", "Une question\u00a0? aide@example.fr"),
        "en": ("Automatic message", "Questions? aide@example.fr"),
    }[lang]
    numbered = {"fr": f"n°\u00a0{number}", "en": f"no. {number}"}[lang]
    assert last == " · ".join([told[0], *([numbered] if number else []), told[1]])
    # French puts a space before these that must not break the line.
    assert lang == "en" or not re.search(r"(?<=\S) [?:!;»]|« ", letter.text)
