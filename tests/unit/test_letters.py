"""Letters and footers: what people read, in both languages, by the rules they are written by."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.unit.words import LANGUAGES, french, replies_that_only_quote, seen
from worker.mail.answer import Meaning, read_answer
from worker.mail.list_headers import ReplyTo
from worker.mail.reason import Reason as Failing
from worker.notices import letters
from worker.notices.footer import footer_words
from worker.notices.letters import About, Crowd, LastTime, reason_words
from worker.notices.moments import about_time
from worker.policy.admission import FAULTS_OF_LISTS, Reason
from worker.policy.expansion import Definition, ListAddress

if TYPE_CHECKING:
    from worker.mail.notice import Letter

LINK = "https://listes.example.fr/c/" + "k7" * 16
UNTIL = datetime(2026, 11, 27, 15, 5, tzinfo=UTC)
NOW, FINISH_AT = (
    datetime(2026, 11, 22, 14, 5, tzinfo=UTC),
    datetime(2026, 11, 22, 17, 5, tzinfo=UTC),
)
ABOUT = About(
    lang="fr",
    author="marie.dupont@example.fr",
    subject="Convocation AG",
    list_address="tous.adherents@listes.example.fr",
    number=1842,
    help_address="aide@example.fr",
    is_attached=True,
)
CROWD = Crowd(40, 43, LastTime(820, date(2026, 11, 12)))


def written(about: About) -> dict[str, Letter]:
    """Write each kind of letter about one message."""
    return {
        "confirmation": letters.confirmation(
            about, recipients=820, size=12_400, link=LINK, until=UNTIL
        ),
        "moderation": letters.moderation(
            about,
            crowd=Crowd(1842, 1850, LastTime(12_042, date(2026, 11, 12))),
            size=4_812_345,
            reasons=[Reason.STRANGER, Reason.SHRANK],
            link=LINK,
            until=UNTIL,
            finish=about_time(about.lang, FINISH_AT, NOW),
            beginning="> Bonjour,\n> Voici la convocation.",
        ),
        "held": letters.held(
            about, moderators=3, link=LINK, reasons=[Reason.MODERATED], crowd=CROWD
        ),
        "refused": letters.refused(about, reason="la date est fausse"),
        "refused without a reason": letters.refused(about, reason=""),
        "expired": letters.expired(about),
        "query fails": letters.query_fails(about),
        "answer unclear": letters.answer_unclear(about, link=LINK),
        "forwarded": letters.forwarded(
            about, role="tous.adherents-owner@listes.example.fr", can_be_answered=True
        ),
        "reply forwarded": letters.forwarded(
            about,
            role="posting-abc@listes.example.fr",
            can_be_answered=True,
            replied_to=[(16, "Convocation"), (17, "Convocation")],
        ),
    }


KINDS = {f"{lang}, {kind}": (lang, kind) for lang in LANGUAGES for kind in written(ABOUT)}
WITH_LINK = ("confirmation", "moderation", "held", "answer unclear")


class Words(NamedTuple):
    """How a letter begins: its subject, and its first line."""

    subject: str
    first: str


BEGINNINGS = {
    "fr, confirmation": Words(
        "À confirmer : avez-vous envoyé ce message ?",
        "Un message à votre nom est arrivé pour tous.adherents@listes.example.fr. Il n'est pas"
        " encore parti : nous vous demandons d'abord si vous l'avez bien écrit.",
    ),
    "en, confirmation": Words(
        "Please confirm: did you send this message?",
        "A message in your name has arrived for tous.adherents@listes.example.fr. It has not been"
        " sent yet: we ask you first whether you wrote it.",
    ),
    "fr, moderation": Words(
        "À valider (de marie.dupont@example.fr, pour 1\u202f842 personnes)",
        "Un message pour tous.adherents@listes.example.fr attend votre accord, car :",
    ),
    "en, moderation": Words(
        "To approve (from marie.dupont@example.fr, for 1,842 people)",
        "A message for tous.adherents@listes.example.fr waits for your approval, because:",
    ),
    "fr, held": Words(
        "En attente d'accord",
        "Votre message à tous.adherents@listes.example.fr attend l'accord d'un modérateur"
        " (3 personnes prévenues).",
    ),
    "en, held": Words(
        "Waiting for approval",
        "Your message to tous.adherents@listes.example.fr waits for a moderator"
        " (3 people have been told).",
    ),
    "fr, refused": Words(
        "Non envoyé",
        "Votre message à tous.adherents@listes.example.fr n'a pas été envoyé :"
        " la modération ne l'a pas approuvé.",
    ),
    "en, refused": Words(
        "Not sent",
        "Your message to tous.adherents@listes.example.fr was not sent:"
        " a moderator has not approved it.",
    ),
    "fr, expired": Words(
        "Non envoyé : personne n'a répondu",
        "Personne n'a répondu à temps : votre message à tous.adherents@listes.example.fr"
        " n'a pas été envoyé.",
    ),
    "en, expired": Words(
        "Not sent: nobody answered",
        "Nobody has answered in time: your message to tous.adherents@listes.example.fr"
        " was not sent.",
    ),
    "fr, query fails": Words(
        "Retardé : un problème chez nous",
        "Votre message à tous.adherents@listes.example.fr est bien arrivé, mais la liste des"
        " destinataires ne répond pas. Nous réessayons ; rien à faire. L'équipe est prévenue.",
    ),
    "en, query fails": Words(
        "Delayed: a problem on our side",
        "Your message to tous.adherents@listes.example.fr arrived, but the list of recipients does"
        " not answer. We keep trying; nothing for you to do. The team has been told.",
    ),
    "fr, answer unclear": Words(
        "Réponse non comprise",
        "Nous n'avons pas compris si votre réponse veut dire oui ou non ; rien n'a donc été fait.",
    ),
    "en, answer unclear": Words(
        "Answer not understood",
        "We could not tell whether your answer means yes or no, so nothing was done.",
    ),
    "fr, forwarded": Words(
        "Pour vous : message à tous.adherents-owner@listes.example.fr",
        "Un message de marie.dupont@example.fr est arrivé pour"
        " tous.adherents-owner@listes.example.fr : c'est vous qui répondez à cette adresse.",
    ),
    "en, forwarded": Words(
        "For you: mail to tous.adherents-owner@listes.example.fr",
        "A message of marie.dupont@example.fr has arrived for"
        " tous.adherents-owner@listes.example.fr: you are the person behind it.",
    ),
}


@pytest.mark.parametrize("name", BEGINNINGS, ids=BEGINNINGS)
def test_the_first_line_says_what_happened(name: str) -> None:
    """And the subject says it in a word, before the author's own."""
    lang, kind = KINDS[name]
    letter = written(replace(ABOUT, lang=lang))[kind]
    subject, first = BEGINNINGS[name]
    if lang == "fr":
        subject, first = french(subject), french(first)

    assert letter.subject == f"{subject} \u2013 Convocation AG"
    assert letter.text.splitlines()[0] == first
    assert letter.lang == lang


@pytest.mark.parametrize(("lang", "kind"), KINDS.values(), ids=KINDS)
def test_a_letter_keeps_to_the_rules(lang: str, kind: str) -> None:
    """Short, no begging, no code, links whole on a line of their own; a human at the end."""
    letter = written(replace(ABOUT, lang=lang))[kind]
    lines = letter.text.splitlines()
    said = [line for line in lines if line and not line.startswith(("  ", "> ", "- "))]

    assert len(said) <= 12
    assert "\n\n\n" not in letter.text
    assert not re.search(
        r"veuillez|merci de|please note|error|null|None|%\(|\{", letter.text, re.IGNORECASE
    )
    assert [line.strip() for line in lines if "https://" in line] == [LINK] * (kind in WITH_LINK)
    assert all(seen(line).isprintable() for line in lines)
    assert (
        lines[-1]
        == {
            "fr": "Message automatique · n°\u00a01842 · Une question\u00a0? aide@example.fr",
            "en": "Automatic message · no. 1842 · Questions? aide@example.fr",
        }[lang]
    )
    # French puts a space before these that must not break the line.
    assert lang == "en" or not re.search(r"(?<=\S) [?:!;»]|« ", letter.text)


@pytest.mark.parametrize(("lang", "kind"), KINDS.values(), ids=KINDS)
def test_a_letter_does_not_answer_itself(lang: str, kind: str) -> None:
    """Whoever quotes it, marked or not, folded or not, has not said yes by it."""
    for reply in replies_that_only_quote(written(replace(ABOUT, lang=lang))[kind]):
        assert read_answer(reply).meaning not in (Meaning.YES, Meaning.NO)


FACTS = {
    "fr, confirmation": ["Objet : Convocation AG", "Pour : 820 personnes", "Taille : 12 ko"],
    "en, confirmation": ["Subject: Convocation AG", "For: 820 people", "Size: 12 kB"],
    "fr, moderation": [
        "De : marie.dupont@example.fr",
        "Objet : Convocation AG",
        "Pour : 1\u202f842 personnes",
        "Dans la liste : 1\u202f850 personnes",
        "La dernière fois : 12\u202f042 personnes, le 12 novembre",
        "Fin prévue : aujourd\u2019hui vers 18 h, si vous l\u2019approuvez maintenant",
        "Taille : 4,6 Mo",
    ],
    "en, moderation": [
        "From: marie.dupont@example.fr",
        "Subject: Convocation AG",
        "For: 1,842 people",
        "On the list: 1,850 people",
        "Last time: 12,042 people, on 12 November",
        "Expected to be finished: today, about 6 pm, if you approve it now",
        "Size: 4.6 MB",
    ],
}


@pytest.mark.parametrize("name", FACTS, ids=FACTS)
def test_facts(name: str) -> None:
    """Numbers as each language writes them."""
    lang, kind = KINDS[name]
    text = written(replace(ABOUT, lang=lang))[kind].text.replace("\u00a0", " ")

    assert "\n".join(f"  {fact}" for fact in FACTS[name]) in text


FAREWELLS = {
    "fr": (
        "Vous êtes désabonné(e) de toutes les listes",
        "Comme demandé sur notre page, aucune liste de listes.example.fr ne vous écrira plus.",
        "Message automatique · Une question ? aide@example.fr",
    ),
    "en": (
        "You are unsubscribed from all lists",
        "As asked on our page, no list of listes.example.fr will write to you any more.",
        "Automatic message · Questions? aide@example.fr",
    ),
}


@pytest.mark.parametrize("lang", FAREWELLS)
def test_farewell(lang: str) -> None:
    """It is about no message: what happened, how to undo it, and a human to ask."""
    subject, first, last = FAREWELLS[lang]
    letter = letters.farewell(
        lang, domain="listes.example.fr", link=LINK, help_address="aide@example.fr"
    )
    lines = letter.text.splitlines()

    assert (letter.subject, letter.lang) == (subject, lang)
    assert (seen(lines[0]), seen(lines[-1])) == (first, last)
    assert [line for line in lines if "https://" in line] == [f"  {LINK}"]
    assert lang == "en" or not re.search(r"(?<=\S) [?:!;»]|« ", letter.text)


RECHECKS = {
    "fr": (
        "Votre adresse fonctionne-t-elle ? Un message n\u2019a pas pu vous être remis",
        (
            "Un message de « Bureau » n\u2019a pas pu vous être remis à cette adresse :"
            " ce qui suit le @ n\u2019existe pas : peut-être une faute de frappe."
        ),
        "Message automatique · Une question ? aide@example.fr",
    ),
    "en": (
        "Does your address work? A message could not be delivered to you",
        (
            "A message of “Bureau” to this address came back to us:"
            " what follows the @ does not exist: perhaps a typing mistake."
        ),
        "Automatic message · Questions? aide@example.fr",
    ),
}


@pytest.mark.parametrize("lang", RECHECKS)
def test_recheck(lang: str) -> None:
    """Whoever reads it has nothing to do: no link, no question."""
    subject, first, last = RECHECKS[lang]
    letter = letters.recheck(
        lang, title="Bureau", help_address="aide@example.fr", reason=Failing.UNKNOWN_DOMAIN
    )
    lines = letter.text.splitlines()

    assert (seen(letter.subject), letter.lang) == (subject, lang)
    assert (seen(lines[0]), seen(lines[-1])) == (first, last)
    assert "://" not in letter.text
    assert lang == "en" or not re.search(r"(?<=\S) [?:!;»]|« ", letter.text)


FIRSTS = {
    "fr": {1: "1er mai", 2: "2 mai", 11: "11 mai", 21: "21 mai", 31: "31 mai"},
    "en": {1: "1 May", 2: "2 May", 11: "11 May", 21: "21 May", 31: "31 May"},
}


@pytest.mark.parametrize("lang", FIRSTS)
def test_the_first_of_a_month(lang: str) -> None:
    """Is the only day that French counts."""
    for day, shown in FIRSTS[lang].items():
        about = replace(ABOUT, lang=lang, member_file=date(2026, 5, day))
        until = datetime(2026, 5, day, 9, 30, tzinfo=UTC)
        letter = letters.confirmation(about, recipients=1, size=1, link=LINK, until=until)
        assert sum(f" {shown}" in line for line in seen(letter.text).splitlines()) == 2


SIZES = {0: "1 ko", 1: "1 ko", 1499: "1 ko", 999_499: "976 ko", 1024**2: "1 Mo",
         5 * 1024**2: "5 Mo", 12_345_678: "11,8 Mo"}  # fmt: skip


@pytest.mark.parametrize(("size", "shown"), SIZES.items())
def test_sizes(size: int, shown: str) -> None:
    """In the unit that people know from their attachments."""
    letter = letters.confirmation(ABOUT, recipients=1, size=size, link=LINK, until=UNTIL)

    assert f"Taille : {shown}\n" in letter.text.replace("\u00a0", " ")


PEOPLE = {
    ("fr", 0): "0 personne", ("fr", 1): "1 personne", ("fr", 2): "2 personnes",
    ("en", 0): "0 people", ("en", 1): "1 person", ("en", 2): "2 people",
}  # fmt: skip
TOLD = {
    ("fr", 0): "0 personne prévenue", ("fr", 1): "1 personne prévenue",
    ("fr", 2): "2 personnes prévenues", ("en", 0): "0 people have been told",
    ("en", 1): "1 person has been told", ("en", 2): "2 people have been told",
}  # fmt: skip


@pytest.mark.parametrize(("lang", "count"), PEOPLE)
def test_plurals(lang: str, count: int) -> None:
    """None is singular in French, plural in English."""
    about = replace(ABOUT, lang=lang)
    asks = letters.confirmation(about, recipients=count, size=1, link=LINK, until=UNTIL)
    tells = letters.held(
        about, moderators=count, link=LINK, reasons=[Reason.MODERATED], crowd=CROWD
    )

    assert f" {PEOPLE[lang, count]}\n" in asks.text.replace("\u00a0", " ")
    assert f"({TOLD[lang, count]})" in tells.text


MOMENTS = {
    "fr": "jusqu\u2019au vendredi 27 novembre à 15 h 05.",
    "en": "until Friday 27 November, 3:05 pm.",
}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_moments(lang: str) -> None:
    """A day of the week, not a number."""
    text = written(replace(ABOUT, lang=lang))["confirmation"].text
    assert MOMENTS[lang] in seen(text)


EMPTIED = Crowd(0, 0, LastTime(820, date(2026, 11, 12)))
FAULTS = {
    "fr, shrunk": (
        Reason.SHRANK,
        CROWD,
        "Cette liste a 43 personnes aujourd'hui ; 820 lors du dernier envoi, le 12 novembre.",
    ),
    "en, shrunk": (
        Reason.SHRANK,
        CROWD,
        "This list has 43 people today; 820 when it was last written to, on 12 November.",
    ),
    "en, grown": (
        Reason.GREW,
        Crowd(9000, 9001, LastTime(12, date(2026, 11, 1))),
        "This list has 9,001 people today; 12 when it was last written to, on 1 November.",
    ),
    "fr, emptied": (
        Reason.EMPTY,
        EMPTIED,
        (
            "Personne n'est dans cette liste aujourd'hui ; 820 personnes lors du dernier envoi,"
            " le 12 novembre."
        ),
    ),
    "en, always empty": (Reason.EMPTY, Crowd(0), "Nobody is on this list today."),
    "en, unreachable": (
        Reason.UNREACHABLE,
        Crowd(0, 3),
        (
            "This list has 3 people today, of whom nobody can be written to (unsubscribed, or no"
            " working address)."
        ),
    ),
    "fr, too many": (
        Reason.TOO_MANY,
        Crowd(2500, 2600),
        "Votre message est pour 2\u202f500 personnes, plus que la liste ne le permet.",
    ),
    "en, lost under way": (
        Reason.LOST_UNDER_WAY,
        CROWD,
        "It was on its way when the list lost most of those who have yet to get it.",
    ),
}


@pytest.mark.parametrize("name", FAULTS, ids=FAULTS)
def test_an_author_hears_what_is_wrong_with_the_list(name: str) -> None:
    """In numbers, with how many people look at it, and that nothing is to be done."""
    reason, crowd, words = FAULTS[name]
    lang = name[:2]
    letter = letters.held(
        replace(ABOUT, lang=lang), moderators=2, link=LINK, reasons=[reason], crowd=crowd
    )
    held = {"fr": "Nous avons retenu votre message le temps de vérifier."}.get(
        lang, "We have held your message to check."
    )

    assert f"\n\n{french(words) if lang == 'fr' else words}\n{held}\n\n" in letter.text
    assert letter.subject.startswith({"fr": "Retenu", "en": "Held to check"}[lang])


def test_every_fault_of_a_list_has_words() -> None:
    """Whatever a rail says, its author is told in their own words."""
    for reason in Reason:
        letter = letters.held(ABOUT, moderators=2, link=LINK, reasons=[reason], crowd=CROWD)
        assert ("retenu votre message" in letter.text) == (reason in FAULTS_OF_LISTS), reason


class TestModeration:
    """What a moderator needs to decide, in one mail."""

    def test_every_reason_is_listed(self) -> None:
        """In the order in which the rules gave them."""
        text = written(ABOUT)["moderation"].text

        assert (
            "car\u00a0:\n- son auteur n\u2019est pas sur la liste\n"
            "- la liste compte moins de la moitié des personnes de la dernière fois\n\n"
        ) in text

    def test_its_beginning_is_quoted(self) -> None:
        """At the end, above the human to ask."""
        text = written(ABOUT)["moderation"].text

        assert "Il commence ainsi\u00a0:\n\n> Bonjour,\n> Voici la convocation.\n\nMessage" in text

    @pytest.mark.parametrize("last", [None, LastTime(0, date(2026, 11, 1))])
    def test_what_is_not_known_is_left_out(self, last: LastTime | None) -> None:
        """A first message has no last one; a message without text has no beginning."""
        letter = letters.moderation(
            ABOUT, crowd=Crowd(1, last=last), size=1, reasons=[], link=LINK, until=UNTIL,
            finish="", beginning="",
        )  # fmt: skip

        assert "dernière fois" not in letter.text
        assert "commence" not in letter.text
        assert "Fin prévue" not in letter.text


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words(reason: Reason, lang: str) -> None:
    """A clause that goes on after "because", and no word of ours."""
    words = reason_words(lang, reason.value)

    assert words != reason.value
    assert "_" not in words
    assert not words.endswith(".")
    assert words != reason_words({"fr": "en", "en": "fr"}[lang], reason)


@pytest.mark.parametrize("stored", ["other", ""])
def test_a_reason_of_another_version(stored: str) -> None:
    """It is shown as it is; the database may know one that the program does not."""
    assert reason_words("fr", stored) == stored


REASONS = {
    "short": ("trop tôt", "trop tôt"),
    "long": ("mot " * 125, ("mot " * 125).strip()),
    "lines": ("trop\r\n\r\n tôt", "trop tôt"),
    "what turns the direction": ("a\u202eb\x1b[1m\0c", "ab [1m c"),
    "a link of ours": ("voir %(link)s {x}", "voir %(link)s {x}"),
}


@pytest.mark.parametrize(("reason", "shown"), REASONS.values(), ids=REASONS)
def test_a_moderators_reason_is_told_whole(reason: str, shown: str) -> None:
    """On a line of its own, however long."""
    assert f"\n\nLa raison\u00a0: {shown}\n\n" in letters.refused(ABOUT, reason=reason).text


def test_without_a_reason() -> None:
    """Silence is said, too."""
    assert "\n\nAucune raison n\u2019a été donnée.\n\n" in letters.refused(ABOUT, reason=" ").text


SUBJECTS = {
    "plain": ("AG", "AG"),
    "none": ("", "(sans objet)"),
    "invisible": ("\u200b\u202e", "(sans objet)"),
    "line ends": ("AG\r\nBcc: e@e.fr", "AG Bcc: e@e.fr"),
    "a format": ("100 % %(list)s {0}", "100 % %(list)s {0}"),
    "long": ("x" * 500, "x" * 119 + "…"),
}


@pytest.mark.parametrize(("subject", "shown"), SUBJECTS.values(), ids=SUBJECTS)
def test_an_authors_subject_stays_in_its_place(subject: str, shown: str) -> None:
    """On one line, whatever it is."""
    for letter in written(replace(ABOUT, subject=subject)).values():
        assert letter.subject.endswith(f" \u2013 {shown}")
        assert seen(letter.subject).isprintable()
    text = written(replace(ABOUT, subject=subject))["confirmation"].text
    assert f"  Objet\u00a0: {shown}\n" in text


def test_without_a_number() -> None:
    """What became no posting has none."""
    text = letters.query_fails(replace(ABOUT, number=None)).text

    assert text.endswith("Message automatique · Une question\u00a0? aide@example.fr")


class Footer(NamedTuple):
    """What a list says of itself, and what stands below its copies."""

    lang: str
    asked: dict[str, object]
    lines: tuple[str, ...]
    label: str


LEAVE_FR, LEAVE_EN = "Pour ne plus recevoir cette liste :", "To stop getting this list:"
FOOTERS = {
    "fr": Footer(
        "fr",
        {"reply_to": ReplyTo.AUTHOR},
        (
            "Vous recevez ce message parce que vous êtes sur la liste « Comité ».",
            "Une réponse ne va qu'à l'auteur.",
        ),
        LEAVE_FR,
    ),
    "en": Footer(
        "en",
        {"reply_to": ReplyTo.AUTHOR},
        (
            "You get this message because you are on the list “Comité”.",
            "A reply goes to the author alone.",
        ),
        LEAVE_EN,
    ),
    "fr, why": Footer(
        "fr",
        {"reply_to": ReplyTo.LIST, "why": "comme membre du comité directeur"},
        (
            "Vous recevez ce message comme membre du comité directeur (liste « Comité »).",
            "Une réponse va à toute la liste.",
        ),
        LEAVE_FR,
    ),
    "en, why": Footer(
        "en",
        {"reply_to": ReplyTo.LIST, "why": "as a member of the steering committee"},
        (
            "You get this message as a member of the steering committee (list “Comité”).",
            "A reply goes to the whole list.",
        ),
        LEAVE_EN,
    ),
    "fr, also one": Footer(
        "fr",
        {"reply_to": ReplyTo.AUTHOR, "also": ("Trésoriers",)},
        (
            "Vous recevez ce message parce que vous êtes sur la liste « Comité ».",
            "Il a aussi été envoyé à « Trésoriers » ; vous le recevez une seule fois.",
            "Une réponse ne va qu'à l'auteur.",
        ),
        LEAVE_FR,
    ),
    "fr, also three": Footer(
        "fr",
        {"reply_to": ReplyTo.AUTHOR, "also": ("Trésoriers", "Arbitres", "Clubs")},
        (
            "Vous recevez ce message parce que vous êtes sur la liste « Comité ».",
            (
                "Il a aussi été envoyé à « Trésoriers », « Arbitres » et « Clubs » ;"
                " vous le recevez une seule fois."
            ),
            "Une réponse ne va qu'à l'auteur.",
        ),
        LEAVE_FR,
    ),
    "en, also three": Footer(
        "en",
        {"reply_to": ReplyTo.AUTHOR, "also": ("Trésoriers", "Arbitres", "Clubs")},
        (
            "You get this message because you are on the list “Comité”.",
            "It was also sent to “Trésoriers”, “Arbitres”, and “Clubs”; you get it once.",
            "A reply goes to the author alone.",
        ),
        LEAVE_EN,
    ),
    "fr, more and official": Footer(
        "fr",
        {"reply_to": ReplyTo.AUTHOR, "more": "Fédération, 75000 Paris", "is_official": True},
        (
            "Vous recevez ce message parce que vous êtes sur la liste « Comité ».",
            "Une réponse ne va qu'à l'auteur.",
            "Fédération, 75000 Paris",
        ),
        "Cette liste sert aux messages officiels. Pour vous y opposer :",
    ),
    "en, official": Footer(
        "en",
        {"reply_to": ReplyTo.AUTHOR, "is_official": True},
        (
            "You get this message because you are on the list “Comité”.",
            "A reply goes to the author alone.",
        ),
        "This list carries official mail. To object:",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FOOTERS.values(), ids=FOOTERS)
def test_footers(case: Footer) -> None:
    """Why it came, where a reply goes, the list's own line; the link is put in last."""
    words = footer_words(case.lang, title="Comité", **case.asked)  # type: ignore[arg-type]  # rows of a table
    in_its_language = french if case.lang == "fr" else str

    assert words.lines == tuple(map(in_its_language, case.lines))
    assert words.link_label == in_its_language(case.label)


def test_a_footer_names_the_parts_of_its_address() -> None:
    """The list's own words may hold them; what is no part stays as it is."""
    definition = Definition(
        name="committee_role", view="lists.committee_role", address="{role}.{committee}",
        title="{role}, {committee}", post="members", post_view=None, reply_to="author",
        max_size=1, max_recipients=1, lang="fr",
        why="comme {role} du comité {committee} {saison}",
    )  # fmt: skip
    address = ListAddress(definition, {"role": "président", "committee": "jeunes"})
    words = footer_words(
        "fr", title=address.title, why=address.filled(definition.why or ""), reply_to=ReplyTo.AUTHOR
    )

    assert words.lines[0] == french(
        "Vous recevez ce message comme président du comité jeunes {saison}"
        " (liste « président, jeunes »)."
    )


def test_what_is_not_attached_is_not_said_to_be() -> None:
    """Nothing is promised that the letter does not have."""
    large = replace(ABOUT, is_attached=False)
    for letter in (letters.expired(large), letters.refused(large, reason="")):
        assert "joint : rien" not in letter.text.replace("\u00a0", " ")
        assert "pas pu être joint" in letter.text


def test_the_age_of_the_member_file_is_told() -> None:
    """An address that was changed after that day is not in it yet."""
    about = replace(ABOUT, member_file=date(2026, 11, 12))
    letter = letters.confirmation(about, recipients=14, size=1, link=LINK, until=UNTIL)
    assert "14 personnes (fichier des membres du 12 novembre)" in letter.text
