"""What people answer to a question of ours, in the words and the forms of their programs."""

from __future__ import annotations

import quopri
from base64 import encodebytes
from typing import NamedTuple

import pytest

from worker.mail.answer import Answer, Meaning, beginning_of, read_answer

YES, EMPTY, UNCLEAR = Answer(Meaning.YES), Answer(Meaning.EMPTY), Answer(Meaning.UNCLEAR)

# Our own question, as it stands below an answer: it names OK and NO itself.
QUESTION = """\
Un message à votre nom est arrivé pour tous@listes.example.fr.

  Objet : Convocation AG
  Pour : 820 personnes

→ C\u2019est bien vous ? Répondez OK à ce message, ou appuyez sur le bouton de cette page :
  https://listes.example.fr/c/k7k7k7k7k7k7k7k7k7k7k7k7k7k7k7k7

→ Ce n\u2019est pas vous ? Ne faites rien, ou répondez NON : le message ne partira pas.

Message automatique · n° 1842 · Une question ? aide@example.fr
"""
QUOTED = "".join(f"> {line}".rstrip() + "\n" for line in QUESTION.splitlines())
GMAIL = (
    "Le lun. 23 nov. 2026 à 10:30, listes.example.fr <confirm-k7@listes.example.fr>\na écrit :\n\n"
    + QUOTED
)
GMAIL_EN = (
    "On Mon, Nov 23, 2026 at 10:30 AM listes.example.fr <confirm-k7@listes.example.fr>\n"
    "wrote:\n\n" + QUOTED
)
APPLE = (
    "> Le 23 nov. 2026 à 10:30, listes.example.fr <confirm-k7@listes.example.fr> a écrit :\n> \n"
    + QUOTED
)
THUNDERBIRD = "Le 23/11/2026 à 10:30, listes.example.fr a écrit :\n" + QUOTED
YAHOO = (
    "    Le lundi 23 novembre 2026 à 10:30:00 UTC+1, listes.example.fr"
    " <confirm-k7@listes.example.fr> a écrit :  \n \n " + QUESTION
)
OUTLOOK = (
    "De : listes.example.fr <confirm-k7@listes.example.fr>\nEnvoyé : lundi 23 novembre 2026 10:30\n"
    "À : Marie Dupont <marie@example.fr>\nObjet : À confirmer \u2013 Convocation AG\n\n" + QUESTION
)
OUTLOOK_EN = (
    "From: listes.example.fr <confirm-k7@listes.example.fr>\nSent: Monday, November 23, 2026\n"
    "To: Marie Dupont <marie@example.fr>\nSubject: Please confirm\n\n" + QUESTION
)
ZIMBRA = (
    '----- Mail original -----\nDe: "listes.example.fr" <confirm-k7@listes.example.fr>\n'
    "À: marie@example.fr\nEnvoyé: Lundi 23 Novembre 2026 10:30:00\nObjet: À confirmer\n\n"
    + QUESTION
)
ORIGINAL = "-----Message d'origine-----\nDe : listes.example.fr\nEnvoyé : lundi\n\n" + QUESTION
ORANGE = '> Message du 23/11/26 10:30\n> De : "listes.example.fr"\n> A : marie\n>\n' + QUOTED


def no(reason: str = "") -> Answer:
    """Return a no, and its words."""
    return Answer(Meaning.NO, reason)


def written(text: str, *, kind: str = "text/plain", encoding: str = "8bit") -> bytes:
    """Return an answer of one part."""
    octets = text.replace("\n", "\r\n").encode()
    body = {"quoted-printable": quopri.encodestring, "base64": encodebytes}.get(encoding)
    return (
        f"From: marie@example.fr\r\nContent-Type: {kind}; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
    ).encode() + (body(octets) if body else octets)


def html(text: str) -> bytes:
    """Return an answer in HTML only."""
    return written(text, kind="text/html")


def parts(*leaves: tuple[str, str], kind: str = "alternative") -> bytes:
    """Return a multipart of (content type and what else its header says, body)."""
    body = "".join(f"--b\r\nContent-Type: {about}\r\n\r\n{text}\r\n" for about, text in leaves)
    return (f"Content-Type: multipart/{kind}; boundary=b\r\n\r\n{body}--b--\r\n").encode()


class Case(NamedTuple):
    """An answer as it arrives, and what it says."""

    raw: bytes
    says: Answer


WORDS = {
    # Yes.
    "OK": YES, "ok": YES, "Ok.": YES, "OK !": YES, "ok ok": YES, "okay": YES, "  ok": YES,
    "\tOK\t": YES, "o": YES, "Oui": YES, "oui merci": YES, "OUI !!!": YES, "yes": YES, "Y": YES,
    "Yes, thank you!": YES, "ok merci": YES, "Ok pour moi": YES, "Ok pour moi, merci.": YES,
    "D'accord": YES, "d\u2019accord": YES, "Approuvé": YES, "Approuve\u0301": YES, "approved": YES,
    "Je confirme": YES, "Oui, je confirme.": YES, "I confirm": YES, "Validé": YES,
    "Oui, c\u2019est bien moi": YES, "Oui c'est moi": YES, "Yes, it was me.": YES,
    "Yes, I did": YES,
    "Ok, vous pouvez envoyer": YES, "Oui, envoyez, merci": YES, "OK 👍": YES,
    "ok \U0001F44D\U0001F3FD": YES,
    "*OK*": YES, "« OK »": YES, '"ok"': YES, "\u200bOK\ufeff": YES, "OK\u00a0!": YES,
    "Bonjour, OK": YES, "Bonjour,\n\nOK pour moi.\n\nCordialement,\nMarie": YES,
    "OK\nMarie": YES, "Ok\n\nBien cordialement,\nMarie Dupont\nPrésidente": YES,
    # No.
    "NON": no(), "non": no(), "Non.": no(), "NO!": no(), "n": no(), "Non merci": no(),
    "No, sorry": no(), "stop": no(), "STOP!!": no(), "Refusé": no(), "rejected": no(),
    "cancel": no(), "Annulez": no(), "Nein": no(), "« NON »": no(),
    "non : la date est fausse": no("la date est fausse"),
    "NON: la date est fausse": no("la date est fausse"),
    "« NON : la date est fausse »": no("la date est fausse"),
    "Non, merci de corriger": no("merci de corriger"),
    "Non - la date est fausse": no("la date est fausse"),
    "Non — la date est fausse": no("la date est fausse"),
    "Non. La date est fausse.": no("La date est fausse."),
    "Non, ce n\u2019est pas moi": no("ce n\u2019est pas moi"),
    "No: wrong date": no("wrong date"), "Refusé : doublon": no("doublon"),
    "Bonjour, non : la date est fausse": no("la date est fausse"),
    "Non :\nla date est fausse": no("la date est fausse"),
    "Non\nMarie": no(),
    "NON : la date est fausse, le gymnase de la rue des Lilas est fermé\net il manque tout.\n\nM.":
        no("la date est fausse, le gymnase de la rue des Lilas est fermé et il manque tout."),
    "NON : a\0b\x1b[31m\u202ec": no("ab[31mc"),
    # Neither.
    "oui mais pas avant lundi": UNCLEAR, "ok, but not now": UNCLEAR, "pas ok": UNCLEAR,
    "Ok ?": UNCLEAR, "ok ou pas ?": UNCLEAR, "Pas d'accord": UNCLEAR, "not ok": UNCLEAR,
    "OK si la date est corrigée": UNCLEAR, "Oui et non": UNCLEAR,
    "Oui,\nmais pas avant lundi": UNCLEAR,
    "OK\n\nAttendez, finalement non": UNCLEAR, "Ok\nMarie\n\nNon, en fait !": UNCLEAR,
    "No problem": UNCLEAR, "No problem, go ahead": UNCLEAR, "No, no problem": UNCLEAR,
    "Non, pas de souci": UNCLEAR, "Non, c\u2019est bon": UNCLEAR, "No worries": UNCLEAR,
    "No-one should object": UNCLEAR, "Non-respect du règlement": UNCLEAR, "No. 1842: ok": UNCLEAR,
    "N. Dupont": UNCLEAR, "Nothing to add": UNCLEAR, "Notre réponse est oui": UNCLEAR,
    "ce n'est pas moi": UNCLEAR, "Ce n\u2019est pas moi, je ne l\u2019ai pas écrit": UNCLEAR,
    "👍": UNCLEAR, "👎": UNCLEAR, "ok 👎": UNCLEAR, "👍\n\nMarie a réagi via Gmail": UNCLEAR,
    "Bonjour": UNCLEAR, "Bonjour,\n\nQui êtes-vous ?": UNCLEAR, "Marie Dupont\nPrésidente": UNCLEAR,
    "Okapi": UNCLEAR, "Oups": UNCLEAR, "?": UNCLEAR, "....": UNCLEAR, "yesterday": UNCLEAR,
    "-- non --": UNCLEAR, "---- ne pas envoyer ----": UNCLEAR,
    "Le rendez-vous de 14:30 est annulé, ne pas envoyer": UNCLEAR,
    "Le 12 mars à 10h30 ce n\u2019était pas moi": UNCLEAR,
    "De : la part du président, ne pas envoyer": UNCLEAR,
    "Envoyé de mon iPhone par mon fils": UNCLEAR, "Envoyé par erreur de mon mobile": UNCLEAR,
    "Envoyé": UNCLEAR, "I am out of the office until Monday.": UNCLEAR,
    "Je suis absent du bureau jusqu'au 30 novembre. Urgences : OK, 01 02 03 04 05": UNCLEAR,
}  # fmt: skip


@pytest.mark.parametrize(("text", "says"), WORDS.items(), ids=ascii)
def test_words(text: str, says: Answer) -> None:
    """What stands alone in an answer; above a quote it says the same."""
    assert read_answer(written(text)) == says
    assert read_answer(written(f"{text}\n\n{GMAIL}")) == says
    assert read_answer(written(f"{text}\n\n{OUTLOOK}")) == says


PROGRAMS = {
    # Above the quote.
    "Gmail": Case(written(f"Ok\n\n{GMAIL}"), YES),
    "Gmail in English": Case(written(f"Yes, please\n\n{GMAIL_EN}"), YES),
    "Gmail, no": Case(written(f"Non : trop tôt\n\n{GMAIL}"), no("trop tôt")),
    "Gmail with a signature above": Case(written(f"ok\n\n-- \nMarie Dupont\n\n{GMAIL}"), YES),
    "Outlook": Case(written(f"OK\n\n{OUTLOOK}"), YES),
    "Outlook with a name": Case(written(f"Oui.\n\nMarie Dupont\nPrésidente\n\n{OUTLOOK}"), YES),
    "Outlook in English": Case(written(f"No: wrong date\n\n{OUTLOOK_EN}"), no("wrong date")),
    "Outlook, older": Case(written(f"OK\n\n{ORIGINAL}"), YES),
    "Outlook for Android": Case(
        written(
            "Non\n\nTélécharger Outlook pour Android<https://aka.ms/AAb9ysg>\n"
            f"________________________________\n{OUTLOOK}"
        ),
        no(),
    ),
    "Apple Mail": Case(written(f"D\u2019accord\n\n{APPLE}"), YES),
    "iPhone": Case(written(f"Oui\n\nEnvoyé de mon iPhone\n\n{APPLE}"), YES),
    "iPhone, without a line between": Case(written(f"Non\nEnvoyé de mon iPhone\n{APPLE}"), no()),
    "Thunderbird, above": Case(written(f"ok\n\n{THUNDERBIRD}"), YES),
    "Yahoo": Case(written(f"oui\n\n{YAHOO}"), YES),
    "Zimbra": Case(written(f"OK\n\n{ZIMBRA}"), YES),
    "Orange": Case(written(f"OK\n\n{ORANGE}"), YES),
    # Below it.
    "Thunderbird, below": Case(written(f"{THUNDERBIRD}\nOK\n"), YES),
    "Thunderbird, no below": Case(written(f"{THUNDERBIRD}\nNon, pas moi\n"), no("pas moi")),
    "below, with a signature": Case(written(f"{THUNDERBIRD}\nNon\n-- \nMarie\n"), no()),
    "below, and something else": Case(written(f"{GMAIL}\nPlus tard peut-être\n"), UNCLEAR),
    "between two quotes": Case(written(f"{QUOTED}\nNon\n\n> reste\n"), no()),
    "right below, as what a program folds": Case(written(f"{QUOTED}OK:\n> reste\n"), UNCLEAR),
    "right below, and then more": Case(written(f"{QUOTED}OK :\n\nok\n"), UNCLEAR),
    "yes above, no below": Case(written(f"Ok\n\n{QUOTED}\nNon, finalement\n"), UNCLEAR),
    "below a quote without marks": Case(written(f"{OUTLOOK}\nNon ! Pas moi !\n"), UNCLEAR),
    "within a quote without marks": Case(
        written(OUTLOOK.replace("Message auto", "NON !\nMessage auto")), UNCLEAR
    ),
    "below Yahoo's quote": Case(written(f"{YAHOO}\nOK\n"), UNCLEAR),
    # Nothing of one's own.
    "nothing at all": Case(written(""), EMPTY),
    "spaces": Case(written(" \n\u00a0\n\t\n\u200b\n"), EMPTY),
    "only Gmail's quote": Case(written(GMAIL), EMPTY),
    "only Apple's quote": Case(written(f"\n\n{APPLE}"), EMPTY),
    "only Thunderbird's quote": Case(written(THUNDERBIRD), EMPTY),
    "only Orange's quote": Case(written(ORANGE), EMPTY),
    "a quoted ok": Case(written("> ok\n> oui\n"), EMPTY),
    "a quoted ok without a space": Case(written(">ok\n"), EMPTY),
    "only an introduction": Case(written("On 23/11/2026 10:30, listes.example.fr wrote:\n"), EMPTY),
    "signature only": Case(written("-- \nMarie Dupont\nPrésidente"), EMPTY),
    "iPhone's signature only": Case(written(f"Envoyé de mon iPhone\n\n{APPLE}"), EMPTY),
    "Android's signature only": Case(written("Envoyé depuis Yahoo Mail pour Android\n"), EMPTY),
    "Proton's signature only": Case(
        written(f"Sent with [Proton Mail](https://proton.me/) secure email.\n\n{GMAIL_EN}"),
        EMPTY,
    ),
    "a signature, then the quote": Case(written(f"\n-- \nN. Dupont\n\n{GMAIL}"), EMPTY),
    # What looks like a signature or an end, and may be an answer.
    "no in a signature": Case(written("-- \nNon, surtout pas\n"), UNCLEAR),
    "yes in a signature": Case(written("-- \nOK\n"), UNCLEAR),
    "only Outlook's quote": Case(written(OUTLOOK), UNCLEAR),
    "only a quote after a separator": Case(written(ORIGINAL), UNCLEAR),
    "only Yahoo's quote": Case(written(YAHOO), UNCLEAR),
    # How it is written down.
    "quoted-printable": Case(
        written(f"Non : la fête a été déplacée\n\n{GMAIL}", encoding="quoted-printable"),
        no("la fête a été déplacée"),
    ),
    "base64": Case(written(f"Approuvé\n\n{GMAIL}", encoding="base64"), YES),
    "Latin-1": Case(
        b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nApprouv\xe9\r\n", YES
    ),
    "no content type": Case(b"From: marie@example.fr\r\n\r\nok\r\n", YES),
    "no header": Case(b"\r\nok\r\n", YES),
    "bare LF": Case(b"From: marie@example.fr\n\nok\n\n> non\n", YES),
    "alternative": Case(parts(("text/plain", "ok"), ("text/html", "<p>ok</p>")), YES),
    "an empty alternative": Case(parts(("text/plain", " "), ("text/html", "<p>non</p>")), no()),
    "an attachment beside it": Case(
        parts(("text/plain", "ok"), ("application/pdf", "%PDF"), kind="mixed"), YES
    ),
    "a logo beside a quote": Case(
        parts(("text/plain", QUOTED), ("image/png", "PNG"), kind="related"), EMPTY
    ),
    "signed": Case(
        parts(("text/plain", "non"), ("application/pkcs7-signature", "x"), kind="signed"), no()
    ),
    "text in an attachment": Case(
        parts(
            ("text/plain", QUOTED),
            ("text/plain\r\nContent-Disposition: attachment", "ok"),
            kind="mixed",
        ),
        EMPTY,
    ),
    "two texts": Case(parts(("text/plain", " "), ("text/plain", "non"), kind="mixed"), no()),
    "an attachment alone": Case(
        parts(("text/plain", QUOTED), ("application/pdf", "%PDF"), kind="mixed"), UNCLEAR
    ),
    "encrypted": Case(b"Content-Type: application/pkcs7-mime\r\n\r\nMIAGCSqGSIb3\r\n", UNCLEAR),
    "a broken multipart": Case(b"Content-Type: multipart/mixed\r\n\r\nok\r\n", UNCLEAR),
    "a calendar": Case(b"Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\n", UNCLEAR),
    "longer than we read": Case(written("\n" * 70_000 + "non"), UNCLEAR),
    "a yes that goes on": Case(written("ok " * 40_000 + "mais non"), UNCLEAR),
    # HTML only.
    "HTML": Case(html("<html><body><p>OK</p></body></html>"), YES),
    "HTML of Gmail": Case(
        html(
            '<div dir="ltr">Ok<br></div><br><div class="gmail_quote"><div class="gmail_attr">'
            "Le lun. 23 nov. 2026 à 10:30, x &lt;y@z.fr&gt; a écrit&nbsp;:<br></div>"
            "<blockquote>répondez OK<br></blockquote></div>"
        ),
        YES,
    ),
    "HTML of Gmail, only the quote": Case(
        html(
            '<div dir="ltr"><br></div><div class="gmail_attr">Le lun. 23 nov. 2026 à 10:30, x a'
            " écrit&nbsp;:<br></div><blockquote>OK<blockquote>non</blockquote>OK</blockquote>"
        ),
        EMPTY,
    ),
    "HTML, below the quote": Case(html("<blockquote>OK</blockquote><p>non</p>"), no()),
    "HTML of Outlook": Case(
        html(
            "<html><head><title>x</title><style><!-- p {color: red} --></style></head><body>"
            "<!--[if mso]>ok<![endif]--><p>Non&nbsp;: la date<o:p></o:p></p><div>"
            "<p><b>De&nbsp;:</b> x<br><b>Envoyé&nbsp;:</b> lundi<br><b>À&nbsp;:</b> y</p>"
            "<p>répondez OK</p></div>"
        ),
        no("la date"),
    ),
    "HTML of Outlook, only the quote": Case(
        html("<p>&nbsp;</p><p><b>De :</b> x<br><b>Envoyé :</b> lundi</p><p>OK</p>"), UNCLEAR
    ),
    "HTML of Apple": Case(
        html("Oui<br><br>Envoyé de mon iPad<div><br><blockquote type=cite>non</blockquote></div>"),
        YES,
    ),
    "HTML, entities": Case(html("<p>D&#39;accord</p>"), YES),
    "HTML, folded in its source": Case(html("<p>Oui\nmais pas avant\nlundi</p>"), UNCLEAR),
    "HTML, a quote written as text": Case(html("<p>&gt; OK</p>"), EMPTY),
    "HTML, a style that is never closed": Case(html("<style>p {} Non merci"), UNCLEAR),
    "HTML, hidden": Case(html("<style>ok</style><!-- ok --><title>ok</title>"), EMPTY),
}  # fmt: skip


@pytest.mark.parametrize("case", PROGRAMS.values(), ids=PROGRAMS)
def test_programs(case: Case) -> None:
    """The first own line decides, wherever it stands; a quoted one never does."""
    assert read_answer(case.raw) == case.says


def test_a_reason_is_not_endless() -> None:
    """It is stored and shown; nobody writes a letter behind a no."""
    answer = read_answer(written("NON : " + "x" * 5000))

    assert answer == no("x" * 500)


BEGINNINGS = {
    "text": (written("Bonjour,\n\n  Voici   la date.\n"), "> Bonjour,\n> Voici la date."),
    "HTML": (html("<p>Bonjour&nbsp;!</p><p>Voici</p>"), "> Bonjour !\n> Voici"),
    "twenty lines": (written("a\n" * 99), "\n".join(["> a"] * 20)),
    "long lines": (written("a" * 999), "> " + "a" * 200),
    "what turns the direction": (written("a\u202eb\0c\x1b[1m"), "> abc[1m"),
    "nothing": (written(""), ""),
    "no text": (b"Content-Type: image/png\r\n\r\nPNG", ""),
}


@pytest.mark.parametrize(("raw", "shown"), BEGINNINGS.values(), ids=BEGINNINGS)
def test_beginning_of(raw: bytes, shown: str) -> None:
    """What a moderator sees first, each line marked as not ours."""
    assert beginning_of(raw) == shown
