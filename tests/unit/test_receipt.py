"""Receipt, delay and closing report: their words, their numbers, and what they leave out."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from tests.unit.words import LANGUAGES, french, replies_that_only_quote, seen
from worker.mail.answer import Meaning, read_answer
from worker.mail.reason import Reason
from worker.notices.letters import About
from worker.notices.receipt import (
    Ending,
    LeftOut,
    Outlook,
    Slip,
    delay,
    receipt,
    report,
    report_to_owner,
)
from worker.policy.limit import Limit, read_limit
from worker.policy.telling import DelayReason, Figures, Share, Unreached

if TYPE_CHECKING:
    from worker.mail.notice import Letter

LINK = "https://listes.example.fr/p/" + "k7" * 16
SPACE = "https://membres.example.fr/"
ABOUT = About(
    lang="fr",
    author="marie.dupont@example.fr",
    subject="Convocation AG",
    list_address="tous.adherents@listes.example.fr",
    number=1842,
    help_address="aide@example.fr",
)
PARIS = ZoneInfo("Europe/Paris")
NOW = datetime(2026, 11, 23, 20, 58, tzinfo=PARIS)
EVENING = datetime(2026, 11, 23, 22, 0, tzinfo=PARIS)
TOMORROW = datetime(2026, 11, 24, 14, 40, tzinfo=PARIS)
FRIDAY = datetime(2026, 11, 27, 2, 10, tzinfo=PARIS)


def share(
    display: str,
    recipients: int,
    finish_at: datetime | None = EVENING,
    *,
    waiting: int = -1,
    limit: Limit | None = None,
) -> Share:
    """Return what is for one provider; unless told, all of it waits."""
    waiting = recipients if waiting < 0 else waiting
    return Share(
        display.lower(), display, recipients, recipients - waiting, waiting, finish_at, limit
    )


OUTLOOK = Outlook(
    recipients=820,
    shares=(
        share("Gmail", 246),
        share("Orange", 221, FRIDAY, limit=read_limit("100/day")),
        share("Outlook", 131, TOMORROW),
        share("Free", 74),
        share("", 148),
    ),
    finish_at=FRIDAY,
    suppressed=8,
    held=4,
    unusable=0,
    link=LINK,
    now=NOW,
    first_copy_at=None,
    report_promised=True,
)
ENDING = Ending(
    figures=Figures(handed_over=806, refused=9, expired=3, unsubscribed=2),
    began_at=datetime(2026, 11, 23, 21, 5, tzinfo=PARIS),
    ended_at=datetime(2026, 11, 27, 3, 10, tzinfo=PARIS),
    why_expired=Reason.FULL,
    unreached=(),
    hidden=True,
    owner_told=True,
    stopped_by="",
    why_stopped="",
    left_out=None,
    link=LINK,
    now=datetime(2026, 11, 27, 3, 15, tzinfo=PARIS),
)
ANNE = Unreached("anne@orange.fr", "Anne Martin", Reason.UNKNOWN_USER)
NAMELESS = Unreached("x@free.fr", "", Reason.POLICY)


def delayed(about: About, **changes: object) -> Letter:
    """Write the usual delay notice, with *changes*."""
    told: dict[str, object] = {
        "told_at": NOW - timedelta(days=1),
        "promised_at": FRIDAY,
        "finish_at": datetime(2026, 11, 29, 8, 10, tzinfo=PARIS),
        "figures": Figures(handed_over=630, waiting=190),
        "why": DelayReason.SLOWED,
        "display": "Outlook",
        "link": LINK,
        "now": NOW,
    }
    return delay(about, Slip(**{**told, **changes}))  # type: ignore[arg-type]  # rows of a table


def written(about: About) -> dict[str, Letter]:
    """Write each kind of letter, and its rarer forms."""
    stopped = replace(
        ENDING, figures=Figures(handed_over=100, stopped=720), hidden=False, stopped_by="author"
    )
    return {
        "receipt": receipt(about, OUTLOOK),
        "receipt in grace": receipt(
            about, replace(OUTLOOK, first_copy_at=NOW + timedelta(minutes=7))
        ),
        "receipt, no end": receipt(
            about, replace(OUTLOOK, finish_at=None, unusable=1, report_promised=False)
        ),
        "delay": delayed(about),
        "delay, no end": delayed(about, finish_at=None, why=DelayReason.PAUSED),
        "report": report(about, ENDING),
        "report of a stop": report(about, stopped),
        "report with addresses": report(about, replace(ENDING, unreached=(ANNE, NAMELESS))),
        "report to the owner": report_to_owner(
            about,
            replace(ENDING, unreached=(ANNE, NAMELESS), hidden=False),
            author="marie.dupont@example.fr",
            member_space=SPACE,
        ),
    }


KINDS = {f"{lang}, {kind}": (lang, kind) for lang in LANGUAGES for kind in written(ABOUT)}
WHOLE = {
    "fr, receipt": """\
Votre message à tous.adherents@listes.example.fr part vers 820 personnes.
Fin prévue : vendredi vers 3 h.

  Gmail     246   aujourd'hui vers 22 h
  Free       74   aujourd'hui vers 22 h
  Outlook   131   demain vers 15 h
  Orange    221   vendredi vers 3 h       (Orange n'accepte que 100 messages par jour)
  Autres    148   aujourd'hui vers 22 h

Il n'est pas envoyé à 8 personnes désabonnées et à 4 personnes dont l'adresse ne fonctionne plus.

→ Pour l'arrêter, répondez « stop » à ce message ou ouvrez cette page, qui montre aussi où en \
est l'envoi :
  LINK

Inutile de le renvoyer. Vous recevrez un bilan à la fin.

Message automatique · n° 1842 · Une question ? aide@example.fr · Moins de messages comme \
celui-ci : la même page""",
    "en, receipt": """\
Your message to tous.adherents@listes.example.fr is going out to 820 people.
Expected to finish: Friday, about 3 am.

  Gmail     246   today, about 10 pm
  Free       74   today, about 10 pm
  Outlook   131   tomorrow, about 3 pm
  Orange    221   Friday, about 3 am     (Orange accepts only 100 messages a day)
  Others    148   today, about 10 pm

It does not go to 8 people who have unsubscribed and 4 people whose address no longer works.

→ To stop it, answer this mail with “stop”, or open this page, which also shows how far it is:
  LINK

No need to send it again. You will get a report at the end.

Automatic message · no. 1842 · Questions? aide@example.fr · Fewer messages like this one: the \
same page""",
    "fr, delay": """\
Votre message à tous.adherents@listes.example.fr prendra plus de temps.
Fin prévue : dimanche vers 9 h (nous avions annoncé : vendredi vers 3 h).

La raison : Outlook nous a demandé de ralentir.

Jusqu'ici : 630 personnes l'ont, 190 attendent encore.

Rien à faire : l'envoi continue tout seul. Pour le suivre, ou arrêter le reste :
  LINK

Message automatique · n° 1842 · Une question ? aide@example.fr""",
    "en, delay": """\
Your message to tous.adherents@listes.example.fr takes longer.
Expected to finish: Sunday, about 9 am (we had said: Friday, about 3 am).

The reason: Outlook has asked us to slow down.

So far: 630 people have it, 190 still wait.

Nothing for you to do: it goes on by itself. To follow it, or to stop the rest:
  LINK

Automatic message · no. 1842 · Questions? aide@example.fr""",
    "fr, report": """\
Votre message à tous.adherents@listes.example.fr a été remis à 806 personnes, entre le lundi 23 \
novembre à 21 h 05 et le vendredi 27 novembre à 3 h 10.

  remis                              806
  refusés par leur serveur             9
  abandonnés après plusieurs jours     3   (le plus souvent : la boîte est pleine)
  désabonnés entre-temps               2

La personne responsable de la liste sait qui n'a pas été atteint.

« Remis » veut dire accepté par le serveur du destinataire ou par notre hébergeur ; nous ne \
savons pas si le message a été lu.

Détail :
  LINK

Message automatique · n° 1842 · Une question ? aide@example.fr · Moins de messages comme \
celui-ci : la même page""",
    "en, report": """\
Your message to tous.adherents@listes.example.fr was handed over for 806 people, between Monday \
23 November, 9:05 pm, and Friday 27 November, 3:10 am.

  handed over               806
  refused by their server     9
  given up after days         3   (mostly: the mailbox is full)
  unsubscribed meanwhile      2

The person behind the list has been told who was not reached.

“Handed over” means accepted by the recipient's server or by our host; we do not know whether it \
was read.

Details:
  LINK

Automatic message · no. 1842 · Questions? aide@example.fr · Fewer messages like this one: the \
same page""",
    "fr, report of a stop": """\
Vous avez arrêté votre message à tous.adherents@listes.example.fr : 100 personnes l'ont, 720 ne \
le recevront pas.

  remis                     100
  arrêtés avant le départ   720

« Remis » veut dire accepté par le serveur du destinataire ou par notre hébergeur ; nous ne \
savons pas si le message a été lu.

Détail :
  LINK

Message automatique · n° 1842 · Une question ? aide@example.fr · Moins de messages comme \
celui-ci : la même page""",
    "en, report to the owner": """\
A message of marie.dupont@example.fr to tous.adherents@listes.example.fr could not be delivered \
to everybody.

→ Ask the person for an address that works. They or you correct it in their member space:
  https://membres.example.fr/

Not reached:

  Anne Martin
  anne@orange.fr
  this mailbox does not exist (any more)

  x@free.fr
  its mail server turns our messages away

… and 10 more.

How it went for all:
  handed over               806
  refused by their server     9
  given up after days         3   (mostly: the mailbox is full)
  unsubscribed meanwhile      2

Details:
  LINK

Automatic message · no. 1842 · Questions? aide@example.fr""",
}  # fmt: skip
SUBJECTS = {
    "fr, receipt": "Reçu, envoi en cours à 820 personnes",
    "en, receipt": "Received, going out to 820 people",
    "fr, receipt in grace": "Reçu, envoi à 820 personnes à partir de 21 h 05",
    "en, receipt in grace": "Received, going out to 820 people from 9:05 pm",
    "fr, delay": "Retardé : fin prévue dimanche vers 9 h",
    "en, delay": "Delayed: expected to finish Sunday, about 9 am",
    "fr, delay, no end": "Retardé : fin encore inconnue",
    "en, delay, no end": "Delayed: the end is not in sight",
    "fr, report": "Bilan : 806 personnes sur 820",
    "en, report": "Report: 806 people out of 820",
    "fr, report of a stop": "Arrêté après 100 personnes sur 820",
    "en, report of a stop": "Stopped after 100 people out of 820",
    "fr, report to the owner": "Non remis à 12 personnes",
    "en, report to the owner": "Not reached: 12 people",
}


@pytest.mark.parametrize("name", WHOLE, ids=WHOLE)
def test_a_letter_as_a_whole(name: str) -> None:
    """What happened first, then what to do."""
    lang, kind = KINDS[name]
    expected = french(WHOLE[name]) if lang == "fr" else WHOLE[name]

    text = written(replace(ABOUT, lang=lang))[kind].text
    assert seen(text) == seen(expected.replace("LINK", LINK))


@pytest.mark.parametrize("name", SUBJECTS, ids=SUBJECTS)
def test_a_subject_begins_with_the_state(name: str) -> None:
    """Then comes the author's own."""
    lang, kind = KINDS[name]
    subject = seen(written(replace(ABOUT, lang=lang))[kind].subject)

    assert subject == f"{SUBJECTS[name]} \u2013 Convocation AG"


@pytest.mark.parametrize(("lang", "kind"), KINDS.values(), ids=KINDS)
def test_a_letter_keeps_to_the_rules(lang: str, kind: str) -> None:
    """Short beside its table, no begging, no code, and a link on a line of its own."""
    letter = written(replace(ABOUT, lang=lang))[kind]
    lines = letter.text.splitlines()

    assert len([line for line in lines if line and not line.startswith("  ")]) <= 12
    assert "\n\n\n" not in letter.text
    assert not re.search(
        r"veuillez|merci de|please|error|null|None|%\(|\{|\d\.\d\.\d", letter.text, re.IGNORECASE
    )
    assert f"  {LINK}" in lines
    assert all(seen(line).isprintable() for line in lines)
    assert lang == "en" or not re.search(r"(?<=\S) [?:!;»]|« |'", letter.subject + letter.text)


@pytest.mark.parametrize(("lang", "kind"), KINDS.values(), ids=KINDS)
def test_a_letter_does_not_answer_itself(lang: str, kind: str) -> None:
    """Whoever quotes it, marked or not, folded or not, has not said stop by it."""
    for reply in replies_that_only_quote(written(replace(ABOUT, lang=lang))[kind]):
        assert read_answer(reply).meaning not in (Meaning.YES, Meaning.NO)


def table(letter: Letter) -> list[list[str]]:
    """Return the cells of the table in a letter."""
    rows = [
        re.split(r" {2,}", line.strip())
        for line in seen(letter.text).splitlines()
        if line.startswith("  ")
    ]
    return [row for row in rows if len(row) > 1]


def test_several_lists_are_told_of_once() -> None:
    """By their addresses."""
    about = replace(ABOUT, list_address="a@l.fr, b@l.fr et c@l.fr")
    assert "Votre message à a@l.fr, b@l.fr et c@l.fr part vers" in receipt(about, OUTLOOK).text


class Rows(NamedTuple):
    """The shares of a message, and what of them is told."""

    shares: tuple[Share, ...]
    told: list[list[str]]


MANY = tuple(share(f"P{number}", 10 + number) for number in range(9))
ROWS = {
    "none": Rows((), []),
    "only small ones": Rows((share("", 30),), []),
    "one": Rows((share("Free", 30),), [["Free", "30", "today, about 10 pm"]]),
    "by their finish, then by their size": Rows(
        (share("A", 1, FRIDAY), share("B", 2), share("C", 3), share("D", 4, TOMORROW)),
        [
            ["C", "3", "today, about 10 pm"],
            ["B", "2", "today, about 10 pm"],
            ["D", "4", "tomorrow, about 3 pm"],
            ["A", "1", "Friday, about 3 am"],
        ],
    ),
    "done first, not known last": Rows(
        (share("A", 9, None), share("B", 2), share("C", 1, None, waiting=0), share("", 5)),
        [
            ["C", "1", "done"],
            ["B", "2", "today, about 10 pm"],
            ["A", "9", "not known yet"],
            ["Others", "5", "today, about 10 pm"],
        ],
    ),
    "of one size by their name": Rows(
        (share("B", 1), share("A", 1)),
        [["A", "1", "today, about 10 pm"], ["B", "1", "today, about 10 pm"]],
    ),
    "thousands": Rows(
        (share("Gmail", 1246), share("", 12)),
        [["Gmail", "1,246", "today, about 10 pm"], ["Others", "12", "today, about 10 pm"]],
    ),
    "seven and no small ones": Rows(
        MANY[2:], [[f"P{n}", str(10 + n), "today, about 10 pm"] for n in range(8, 1, -1)]
    ),
    "eight: the smallest are others": Rows(
        MANY[1:],
        [
            *([f"P{n}", str(10 + n), "today, about 10 pm"] for n in range(8, 2, -1)),
            ["Others", "23", "today, about 10 pm"],
        ],
    ),
    "others end with the last of them": Rows(
        (*MANY[3:], share("P0", 1, FRIDAY), share("", 5)),
        [
            *([f"P{n}", str(10 + n), "today, about 10 pm"] for n in range(8, 2, -1)),
            ["Others", "6", "Friday, about 3 am"],
        ],
    ),
    "one of the others has no end": Rows(
        (*MANY[3:], share("P0", 1, None), share("", 5)),
        [
            *([f"P{n}", str(10 + n), "today, about 10 pm"] for n in range(8, 2, -1)),
            ["Others", "6", "not known yet"],
        ],
    ),
    "others that are done": Rows(
        (share("A", 1), share("", 5, waiting=0)),
        [["A", "1", "today, about 10 pm"], ["Others", "5", "done"]],
    ),
    "a name of more spaces": Rows(
        (share("La  Poste\n(old)", 1),), [["La Poste (old)", "1", "today, about 10 pm"]]
    ),
}


@pytest.mark.parametrize("case", ROWS.values(), ids=ROWS)
def test_the_plan(case: Rows) -> None:
    """A row for each provider, at most seven, and everybody is in one."""
    outlook = replace(OUTLOOK, shares=case.shares)
    rows = table(receipt(replace(ABOUT, lang="en"), outlook))

    assert rows == case.told
    assert not rows or sum(int(row[1].replace(",", "")) for row in rows) == sum(
        one.recipients for one in case.shares
    )


@pytest.mark.parametrize("lang", LANGUAGES)
def test_columns_are_aligned(lang: str) -> None:
    """In characters, whatever they are: the numbers end, and the times begin, together."""
    shares = (share("Énergie à Zoé", 1246), share("Gmail", 7, FRIDAY), share("", 12))
    text = receipt(replace(ABOUT, lang=lang), replace(OUTLOOK, shares=shares)).text
    lines = [line for line in text.splitlines() if re.match(r"  (?!http)", line)]

    assert len(lines) == 3
    assert len({len(line) - len(re.sub(r"^  .*?   +[^ ]+", "", line)) for line in lines}) == 1
    assert all(line == line.rstrip() for line in lines)


LIMITS = {
    "a day": (read_limit("100/day"), "100 messages par jour", "100 messages a day"),
    "24 hours": (read_limit("100/24h"), "100 messages par jour", "100 messages a day"),
    "an hour": (read_limit("1500/hour"), "1 500 messages par heure", "1,500 messages an hour"),
    "a minute": (read_limit("9/minute"), "9 messages par minute", "9 messages a minute"),
    "a second": (read_limit("2/second"), "2 messages par seconde", "2 messages a second"),
    "one message": (read_limit("1/hour"), "1 message par heure", "1 message an hour"),
    "two days": (read_limit("50/2d"), "50 messages en 2 jours", "50 messages within 2 days"),
    "hours": (read_limit("5/36h"), "5 messages en 36 heures", "5 messages within 36 hours"),
    "minutes": (read_limit("5/90m"), "5 messages en 90 minutes", "5 messages within 90 minutes"),
    "seconds": (
        read_limit("40/20s"), "40 messages en 20 secondes", "40 messages within 20 seconds",
    ),
    "less than a second": (
        Limit(3, timedelta(seconds=0.2)), "3 messages par seconde", "3 messages a second",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("limit", "fr", "en"), LIMITS.values(), ids=LIMITS)
def test_what_a_provider_accepts(limit: Limit, fr: str, en: str) -> None:
    """Beside its row, in the unit in which it is written."""
    outlook = replace(OUTLOOK, shares=(share("Orange", 5, FRIDAY, limit=limit), share("", 1)))
    [[*_, french_note], _] = table(receipt(ABOUT, outlook))
    [[*_, english_note], _] = table(receipt(replace(ABOUT, lang="en"), outlook))

    assert french_note == f"(Orange n\u2019accepte que {fr})"
    assert english_note == f"(Orange accepts only {en})"


def test_a_provider_that_accepts_nothing() -> None:
    """It is paused by its limit."""
    shares = (share("Orange", 5, None, limit=read_limit("0/day")),)
    [row] = table(receipt(ABOUT, replace(OUTLOOK, shares=shares)))

    assert row == ["Orange", "5", "pas encore connu", "(rien ne part vers Orange en ce moment)"]


LEFT_OUT = {
    "nobody": ((0, 0, 0), "", ""),
    "one unsubscribed": (
        (1, 0, 0), "Il n'est pas envoyé à 1 personne désabonnée.",
        "It does not go to 1 person who has unsubscribed.",
    ),
    "one held": (
        (0, 1, 0), "Il n'est pas envoyé à 1 personne dont l'adresse ne fonctionne plus.",
        "It does not go to 1 person whose address no longer works.",
    ),
    "many": (
        (1200, 2, 1),
        (
            "Il n'est pas envoyé à 1 200 personnes désabonnées, à 2 personnes dont l'adresse ne"
            " fonctionne plus et à 1 personne dont l'adresse n'est pas valable."
        ),
        (
            "It does not go to 1,200 people who have unsubscribed, 2 people whose address no"
            " longer works, and 1 person whose address is not valid."
        ),
    ),
    "unusable": (
        (0, 0, 3), "Il n'est pas envoyé à 3 personnes dont l'adresse n'est pas valable.",
        "It does not go to 3 people whose address is not valid.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("counts", "fr", "en"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_who_will_not_get_it(counts: tuple[int, int, int], fr: str, en: str) -> None:
    """By why; who is none is left out."""
    suppressed, held, unusable = counts
    outlook = replace(OUTLOOK, suppressed=suppressed, held=held, unusable=unusable)
    for lang, words in (("fr", french(fr)), ("en", en)):
        paragraphs = seen(receipt(replace(ABOUT, lang=lang), outlook).text).split("\n\n")
        # Above them is the plan, below is how to stop it.
        assert paragraphs[2:-3] == ([seen(words)] if words else [])


GRACE = {
    "none": (None, "is going out to 820 people."),
    "over": (NOW, "is going out to 820 people."),
    "minutes": (NOW + timedelta(minutes=7), "goes out to 820 people from 9:05 pm on."),
    "its seconds are not promised": (
        NOW + timedelta(minutes=7, seconds=59), "goes out to 820 people from 9:05 pm on.",
    ),
    "hours": (
        NOW + timedelta(hours=12), "goes out to 820 people from tomorrow at 8:58 am on.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("first_copy_at", "said"), GRACE.values(), ids=GRACE)
def test_until_when_nobody_has_it(first_copy_at: datetime | None, said: str) -> None:
    """What the author may still do is told to the minute, and never too late."""
    outlook = replace(OUTLOOK, first_copy_at=first_copy_at)
    text = seen(receipt(replace(ABOUT, lang="en"), outlook).text)

    assert text.startswith(f"Your message to {ABOUT.list_address} {said}")
    assert ("If you stop it before, nobody gets it." in text) is ("from" in said)


def test_what_the_receipt_promises() -> None:
    """A report, or word only if something went wrong."""
    silent = receipt(ABOUT, replace(OUTLOOK, report_promised=False))
    words = "Vous n\u2019aurez de nos nouvelles que si quelqu\u2019un n\u2019a pas pu être atteint."

    assert "Vous recevrez un bilan à la fin." in receipt(ABOUT, OUTLOOK).text
    assert "bilan" not in silent.text
    assert f"Inutile de le renvoyer. {words}" in silent.text


WHY = {
    (DelayReason.SLOWED, "Free"): (
        "Free nous a demandé de ralentir.", "Free has asked us to slow down.",
    ),
    (DelayReason.SLOWED, ""): (
        "un fournisseur de messagerie nous a demandé de ralentir.",
        "a mail provider has asked us to slow down.",
    ),
    (DelayReason.PAUSED, "Free"): (
        "l'envoi vers Free est suspendu.", "sending to Free is paused.",
    ),
    (DelayReason.PAUSED, ""): ("l'envoi est suspendu.", "sending is paused."),
    (DelayReason.BUSY, "Free"): (
        "trop de messages attendent pour Free.",
        "more messages wait for Free than can leave.",
    ),
    (DelayReason.BUSY, ""): (
        "trop de messages attendent.",
        "more messages wait than can leave.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("why", "display"), WHY, ids=[f"{why.value} {display}".strip() for why, display in WHY]
)
def test_why_it_takes_longer(why: DelayReason, display: str, lang: str) -> None:
    """By the provider, if one makes it so."""
    text = seen(delayed(replace(ABOUT, lang=lang), why=why, display=display).text)
    said_fr, said_en = WHY[why, display]

    reason = {
        "fr": f"La raison : {said_fr}".replace("'", "\u2019"),
        "en": f"The reason: {said_en}",
    }
    assert f"\n\n{reason[lang]}\n\n" in text


SO_FAR = {
    "nobody": (
        Figures(waiting=2), "personne ne l'a, 2 attendent encore", "nobody has it, 2 still wait",
    ),
    "one of two": (
        Figures(handed_over=1, waiting=1), "1 personne l'a, 1 attend encore",
        "1 person has it, 1 still waits",
    ),
    "thousands": (
        Figures(handed_over=1200, waiting=3400), "1 200 personnes l'ont, 3 400 attendent encore",
        "1,200 people have it, 3,400 still wait",
    ),
    "all but reports": (Figures(handed_over=2), "2 personnes l'ont", "2 people have it"),
}  # fmt: skip


@pytest.mark.parametrize(("figures", "fr", "en"), SO_FAR.values(), ids=SO_FAR)
def test_how_far_it_is(figures: Figures, fr: str, en: str) -> None:
    """The right plural for none, one and many."""
    said = fr.replace("'", "\u2019")
    assert f"\n\nJusqu\u2019ici : {said}.\n\n" in seen(delayed(ABOUT, figures=figures).text)
    english = delayed(replace(ABOUT, lang="en"), figures=figures)
    assert f"\n\nSo far: {en}.\n\n" in english.text


def test_a_promise_that_has_passed() -> None:
    """It is told by its date, not as what is to come."""
    late = datetime(2026, 11, 28, 10, 0, tzinfo=PARIS)
    text = seen(delayed(replace(ABOUT, lang="en"), now=late).text)

    assert "Expected to finish: tomorrow, about 9 am (we had said: Friday 27 November," in text


STOPS = {
    "author": (
        "Vous avez arrêté votre message à LIST :",
        "You have stopped your message to LIST:",
    ),
    "operator": (
        "L'équipe a arrêté votre message à LIST :",
        "The team has stopped your message to LIST:",
    ),
    "moderator": (
        "La modération a arrêté votre message à LIST :",
        "A moderator has stopped your message to LIST:",
    ),
    "nobody": (
        "Personne n'a approuvé le reste de votre message à LIST :",
        "Nobody has approved the rest of your message to LIST:",
    ),
    "deadline": (
        "Le délai de votre message à LIST est écoulé :",
        "Your message to LIST had to end by now:",
    ),
}


def test_why_a_moderator_stopped_it() -> None:
    """In their own words, as of a message that was refused at once."""
    ending = replace(ENDING, stopped_by="moderator", why_stopped="la date est fausse")

    assert french("La raison : la date est fausse") in report(ABOUT, ending).text


def test_who_was_left_out() -> None:
    """Where no receipt has told it, the report does; who is in no line is none of the figures."""
    ending = replace(ENDING, left_out=LeftOut(suppressed=2, held=0, unusable=1))

    text = seen(report(replace(ABOUT, lang="en"), ending).text)

    assert (
        "It was not sent to 2 people who have unsubscribed and 1 person whose address is not valid."
        in text
    )
    assert "It was not sent" not in report(replace(ABOUT, lang="en"), ENDING).text


def test_a_copy_in_doubt_may_have_arrived() -> None:
    """Nobody is told that nobody has it while one may."""
    figures = Figures(in_doubt=1, stopped=40)
    letter = report(ABOUT, replace(ENDING, figures=figures, stopped_by="author"))

    assert "personne ne l" not in letter.subject
    assert letter.subject.startswith(french("Arrêté après 1 personne"))


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("stopped_by", STOPS)
def test_who_stopped_it(stopped_by: str, lang: str) -> None:
    """In the first line, with what came of it."""
    ending = replace(ENDING, figures=Figures(handed_over=100, stopped=720), stopped_by=stopped_by)
    text = report(replace(ABOUT, lang=lang), ending).text
    said_fr, said_en = STOPS[stopped_by]
    said = {
        "fr": french(f"{said_fr} 100 personnes l'ont, 720 ne le recevront pas."),
        "en": f"{said_en} 100 people have it, 720 will not get it.",
    }[lang]

    assert text.splitlines()[0] == said.replace("LIST", ABOUT.list_address)


STOPPED = {
    "before the first copy": (
        Figures(stopped=820), "Arrêté : personne ne l'a",
        "personne ne l'a, 820 ne le recevront pas.",
    ),
    "after one": (
        Figures(handed_over=1, stopped=1), "Arrêté après 1 personne sur 2",
        "1 personne l'a, 1 ne le recevra pas.",
    ),
    "too late": (
        Figures(handed_over=820), "Arrêté après 820 personnes sur 820", "820 personnes l'ont.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("figures", "subject", "result"), STOPPED.values(), ids=STOPPED)
def test_what_a_stop_came_to(figures: Figures, subject: str, result: str) -> None:
    """Who has it, and who will not get it."""
    letter = report(ABOUT, replace(ENDING, figures=figures, stopped_by="author"))

    assert letter.subject.startswith(french(subject) + " \u2013")
    assert letter.text.splitlines()[0].endswith(french(f" : {result}"))
    # Nothing was handed over that would have to be explained.
    assert ("« Remis »" in seen(letter.text)) is bool(figures.handed_over)


BEGAN = ENDING.ended_at.replace(hour=2)
SPANS = {
    "days": (
        ENDING.began_at,
        "entre le lundi 23 novembre à 21 h 05 et le vendredi 27 novembre à 3 h 10",
        "between Monday 23 November, 9:05 pm, and Friday 27 November, 3:10 am",
    ),
    "a day": (
        BEGAN,
        "le vendredi 27 novembre entre 2 h 10 et 3 h 10",
        "on Friday 27 November between 2:10 am and 3:10 am",
    ),
    "a minute": (
        ENDING.ended_at,
        "le vendredi 27 novembre à 3 h 10",
        "on Friday 27 November, 3:10 am",
    ),
    "not known": (
        None,
        "le vendredi 27 novembre à 3 h 10",
        "on Friday 27 November, 3:10 am",
    ),
}


@pytest.mark.parametrize(("began_at", "fr", "en"), SPANS.values(), ids=SPANS)
def test_when_it_left(began_at: datetime | None, fr: str, en: str) -> None:
    """From the first copy to the last."""
    ending = replace(ENDING, began_at=began_at, figures=Figures(handed_over=1))
    in_french = seen(report(ABOUT, ending).text).splitlines()[0]
    in_english = seen(report(replace(ABOUT, lang="en"), ending).text).splitlines()[0]

    assert in_french.endswith(f" a été remis à 1 personne, {fr}.")
    assert in_english.endswith(f" was handed over for 1 person, {en}.")


def test_who_reached_nobody() -> None:
    """No time, and no word about what handed over means."""
    letter = report(ABOUT, replace(ENDING, figures=Figures(refused=2), began_at=None))

    assert letter.subject == french("Bilan : 0 personne sur 2") + " \u2013 Convocation AG"
    first = f"Votre message à {ABOUT.list_address} n\u2019a été remis à personne."
    assert letter.text.splitlines()[0] == first
    assert "veut dire" not in letter.text


LINES = {
    "handed_over": ("remis", "handed over"),
    "refused": ("refusés par leur serveur", "refused by their server"),
    "expired": ("abandonnés après plusieurs jours", "given up after days"),
    "in_doubt": ("peut-être arrivés", "perhaps arrived, not known"),
    "unsubscribed": ("désabonnés entre-temps", "unsubscribed meanwhile"),
    "left": ("plus dans la liste", "no longer on the list"),
    "held": ("adresse qui ne fonctionne plus", "address no longer works"),
    "stopped": ("arrêtés avant le départ", "stopped before it left"),
    "waiting": ("encore en attente", "still waiting"),
}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_figure_has_a_line(lang: str) -> None:
    """And the lines are everybody whom it is for."""
    assert set(LINES) == {field.name for field in fields(Figures)}
    figures = Figures(**{name: 1000 + n for n, name in enumerate(LINES)})
    ending = replace(ENDING, figures=figures, why_expired=None)
    rows = table(report(replace(ABOUT, lang=lang), ending))

    named = {row[0]: int(re.sub(r"\D", "", row[1])) for row in rows}
    column = LANGUAGES.index(lang)
    assert named == {LINES[name][column]: getattr(figures, name) for name in LINES}
    assert sum(named.values()) == figures.recipients


@pytest.mark.parametrize("name", LINES)
def test_what_is_none_has_no_line(name: str) -> None:
    """However few lines stay."""
    ending = replace(ENDING, figures=Figures(**{name: 1}), why_expired=None)
    assert table(report(ABOUT, ending)) == [[LINES[name][0], "1"]]


class Seen(NamedTuple):
    """Which sentences a reader of a report has, by what they may see."""

    told: set[str]
    unreached: tuple[Unreached, ...] = ()
    hidden: bool = False
    owner_told: bool = False
    missed: int = 1


NOT_REACHED, OTHERS = "Not reached:", "There are others, whose addresses are not shown to you."
MORE = "… and 2 more."
TOLD = "The person behind the list has been told who was not reached."
VIEWS = {
    "all": Seen({NOT_REACHED}, (ANNE,)),
    "all, as the owner": Seen({NOT_REACHED}, (ANNE,), owner_told=True),
    "some": Seen({NOT_REACHED, OTHERS}, (ANNE,), hidden=True, missed=2),
    "some, and the owner the rest": Seen(
        {NOT_REACHED, TOLD}, (ANNE,), hidden=True, owner_told=True, missed=2
    ),
    "none, but the owner": Seen({TOLD}, hidden=True, owner_told=True),
    "none": Seen(set(), hidden=True),
    "all that there are": Seen({NOT_REACHED}, (ANNE,), hidden=True),
    "there is nobody": Seen(set(), hidden=True, owner_told=True, missed=0),
    "more than are told of": Seen({NOT_REACHED, MORE}, (ANNE,), missed=3),
}


@pytest.mark.parametrize("case", VIEWS.values(), ids=VIEWS)
def test_who_was_not_reached(case: Seen) -> None:
    """Addresses only where this reader may see them; that the owner knows only if it is so."""
    ending = replace(
        ENDING,
        figures=Figures(handed_over=1, refused=case.missed),
        unreached=case.unreached,
        hidden=case.hidden,
        owner_told=case.owner_told,
    )
    text = report(replace(ABOUT, lang="en"), ending).text

    said = {NOT_REACHED, OTHERS, TOLD, MORE}
    assert {words for words in said if f"\n\n{words}\n\n" in text} == case.told
    assert ("anne@orange.fr" in text) is bool(case.unreached)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_long_list_of_addresses_is_cut(lang: str) -> None:
    """A mail of a thousand addresses helps nobody."""
    many = tuple(replace(ANNE, address=f"a{n}@orange.fr") for n in range(1300))
    ending = replace(ENDING, unreached=many, hidden=False)
    text = seen(report(replace(ABOUT, lang=lang), ending).text)

    assert text.count("@orange.fr") == 100
    more = {"fr": "… et 1 200 autres.", "en": "… and 1,200 more."}[lang]
    assert f"\n\n{more}\n\n" in text


def test_a_name_is_foreign() -> None:
    """It stays on its line, and makes no table."""
    ending = replace(ENDING, unreached=(replace(ANNE, name="A\r\n\nB   1   (c)\u202e"),))
    letter = report(ABOUT, ending)

    assert "\n\n  A B 1 (c)\n  anne@orange.fr\n" in letter.text
    assert "<br>\nanne@orange.fr<br>" in letter.html


def test_without_a_member_space() -> None:
    """It is the member file where an address is corrected; and a page is shown if there is one."""
    ending = replace(ENDING, unreached=(ANNE,), hidden=False, link="")
    text = report_to_owner(ABOUT, ending, author="m@example.fr", member_space="").text

    assert "dans le fichier des membres." in text
    assert "Détail" not in text
    assert "://" not in text
