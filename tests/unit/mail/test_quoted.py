"""Quoted footers of ours are taken out, personal tokens with them, and nothing else."""

from __future__ import annotations

import quopri
from base64 import encodebytes
from typing import NamedTuple

import pytest

from worker.config import LOCALES
from worker.mail.footer import Footer, add_footer
from worker.mail.list_headers import ReplyTo
from worker.mail.parts import content, entities, leaves
from worker.mail.quoted import without_our_footers
from worker.notices.footer import footer_words

TOKEN = "ab2c" * 8
PAGE = f"https://listes.example.fr/u/{TOKEN}"
WORDS = (
    "Vous recevez ce message parce que vous êtes sur la liste « Comité ».",
    "Une réponse ne va qu'à l'auteur.",
    "Pour ne plus recevoir cette liste :",
)
ENGLISH = ("You get this message because you are on the list “Comité”.", "To leave:")


def text(*lines: str) -> str:
    """Return lines as the body of a mail."""
    return "".join(f"{line}\r\n" for line in lines)


def quote(marks: str, *lines: str) -> str:
    """Return lines that somebody quotes."""
    return text(*(f"{marks}{line}" for line in lines))


def reply(body: str, kind: str = "text/plain; charset=utf-8") -> bytes:
    """Return an answer to one of our copies."""
    return f"From: a@b.fr\r\nContent-Type: {kind}\r\n\r\n{body}".encode()


def read(raw: bytes) -> str:
    """Return the body of a message of one part."""
    return content(leaves(raw)[0]).decode()


class Quoted(NamedTuple):
    """What an author sends, and what is left of it."""

    body: str
    left: str


TEXTS = {
    "quoted": Quoted(
        text("Oui.", "> Bonjour") + quote("> ", "-- ", *WORDS, PAGE), text("Oui.", "> Bonjour")
    ),
    "quoted twice": Quoted(quote(">> ", "-- ", *WORDS, PAGE) + text("> Oui"), text("> Oui")),
    "quoted in two depths": Quoted(
        quote("> > ", "-- ", *WORDS, PAGE) + text("> Oui") + quote("> ", "--", *WORDS, PAGE),
        text("> Oui"),
    ),
    "marks without a space": Quoted(quote(">", "-- ", *WORDS, PAGE), ""),
    "no marks, as Outlook": Quoted(text("Oui.", "-- ", *WORDS, PAGE, "Jean"), text("Oui.", "Jean")),
    "English": Quoted(quote("> ", "-- ", *ENGLISH, PAGE), ""),
    "no dashes": Quoted(text("> Bonjour") + quote("> ", *WORDS, PAGE), text("> Bonjour")),
    "wrapped anew": Quoted(
        quote(
            "> ", "--", "Vous recevez ce", "message car vous êtes sur la liste « Comité ».",
            "Une réponse ne va qu'à l'auteur. Pour ne plus recevoir cette", f"liste : {PAGE}",
        ),
        "",
    ),
    "in one line": Quoted(quote("> ", f"-- {' '.join(WORDS)} {PAGE}"), ""),
    "empty lines between": Quoted(quote("> ", "-- ", *(w + "\r\n> " for w in WORDS), PAGE), ""),
    "empty lines without marks": Quoted(quote("> ", "-- ", *(w + "\r\n" for w in WORDS), PAGE), ""),
    "an answer behind the link": Quoted(
        quote("> ", *WORDS, f"<{PAGE}> Oui, merci."), text("> Oui, merci.")
    ),
    "an answer below": Quoted(quote("> ", *WORDS, PAGE) + text("", "Oui."), text("", "Oui.")),
    "somebody wrote between": Quoted(
        quote("> ", WORDS[0]) + text("Pourquoi ?") + quote("> ", PAGE),
        quote("> ", WORDS[0]) + text("Pourquoi ?", "> https://listes.example.fr/u/"),
    ),
    "far away": Quoted(
        text(WORDS[0], *("ligne" for _ in range(20)), PAGE),
        text(WORDS[0], *("ligne" for _ in range(20)), "https://listes.example.fr/u/"),
    ),
    "a link alone": Quoted(
        text(f"Voici : {PAGE}.", "Jean"), text("Voici : https://listes.example.fr/u/.", "Jean")
    ),
    "our words without a link": Quoted(text(*WORDS, "Jean"), text(*WORDS, "Jean")),
    "the page of a posting": Quoted(text(f"https://x.fr/p/{TOKEN}"), text("https://x.fr/p/")),
    "a question": Quoted(text(f"https://x.fr/c/{TOKEN}"), text("https://x.fr/c/")),
    "moderation": Quoted(text(f"https://x.fr/m/{TOKEN}"), text("https://x.fr/m/")),
    "a mailto": Quoted(
        text(f"<mailto:unsubscribe-{TOKEN}@x.fr>"), text("<mailto:unsubscribe-@x.fr>")
    ),
    "addresses": Quoted(
        text(f"return-{TOKEN}@x.fr Confirm-{TOKEN}@x.fr moderate-{TOKEN}@x.fr"),
        text("return-@x.fr Confirm-@x.fr moderate-@x.fr"),
    ),
    "in capitals": Quoted(text(f"x.fr/u/{TOKEN.upper()}"), text("x.fr/u/")),
    "a reference": Quoted(text(f"> X-Relais-Ref: {TOKEN}"), text("> X-Relais-Ref: ")),
    "a filter's link": Quoted(
        text(f"https://safe.example/?url=https%3A%2F%2Fx.fr%2Fu%2F{TOKEN}&data=5"),
        text("https://safe.example/?url=https%3A%2F%2Fx.fr%2Fu%2F&data=5"),
    ),
    "other links": Quoted(
        text("https://x.fr/u/abc https://y.fr/watch/u2/" + TOKEN),
        text("https://x.fr/u/abc https://y.fr/watch/u2/" + TOKEN),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("encoding", ["8bit", "quoted-printable", "base64"])
def test_texts(case: Quoted, encoding: str) -> None:
    """A footer goes if it is clearly ours; else only what is personal in it."""
    body = case.body.encode()
    match encoding:
        case "base64":
            body = encodebytes(body)
        case "quoted-printable":
            body = quopri.encodestring(body).replace(b"\n", b"\r\n").replace(b"\r\r", b"\r")
    head = f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}"
    raw = head.encode() + b"\r\n\r\n" + body

    assert read(without_our_footers(raw)).replace("\r\n", "\n") == case.left.replace("\r\n", "\n")


OURS = (
    '<div class="relais-footer" lang="fr" style="border-top:1px solid">\n'
    f'{WORDS[0]}<br>\n{WORDS[1]}<br>\n<a href="{PAGE}">Pour ne plus recevoir</a>\n</div>'
)
HTMLS = {
    "as we wrote it": Quoted(f"<blockquote>x{OURS}</blockquote>", "<blockquote>x</blockquote>"),
    "Gmail": Quoted(
        '<div dir="ltr">Oui</div><blockquote class="gmail_quote"><p>x</p><div lang="fr" '
        f'class="m_-123relais-footer" style="clear:both">\r\n{WORDS[0]}<br>\r\n{WORDS[1]}<br>\r\n'
        f'<a href="{PAGE}" target="_blank">Pour ne plus<br></a>\r\n</div></blockquote>',
        '<div dir="ltr">Oui</div><blockquote class="gmail_quote"><p>x</p></blockquote>',
    ),
    "Outlook": Quoted(
        '<div style="border:none;border-top:solid windowtext 1.0pt"><p class="MsoNormal">'
        f'<span style="font-size:10pt">{WORDS[0]}<br>{WORDS[1]}<br><a href="https://x.safelinks.'
        f'protection.outlook.com/?url=https%3A%2F%2Fx.fr%2Fu%2F{TOKEN}" originalsrc="{PAGE}">'
        '<span style="color:windowtext">Pour ne plus</span></a><o:p></o:p></span></p></div>',
        '<div style="border:none;border-top:solid windowtext 1.0pt"><p class="MsoNormal">'
        '<span style="font-size:10pt"><span style="color:windowtext"></span><o:p></o:p></span></p>'
        "</div>",
    ),
    "Thunderbird, of a text": Quoted(
        f'<pre class="moz-quote-pre" wrap="">Bonjour\n-- \n{WORDS[0]}\n{WORDS[2]}\n'
        f'<a class="moz-txt-link-freetext" href="{PAGE}">{PAGE}</a>\n</pre>',
        '<pre class="moz-quote-pre" wrap="">Bonjour\n\n</pre>',
    ),
    "Apple Mail": Quoted(
        f'<blockquote type="cite"><div>x<div lang="fr" dir="ltr">{WORDS[0]}<br>{WORDS[1]}<br>'
        f'<a href="{PAGE}" style="color: inherit;">Pour ne plus</a></div></div></blockquote>',
        '<blockquote type="cite"><div>x</div></blockquote>',
    ),
    "of a text, with breaks": Quoted(
        f"Bonjour<br>--&nbsp;<br>{WORDS[0]}<br>{WORDS[2]}<br>{PAGE}<br>Jean", "Bonjour<br><br>Jean"
    ),
    "blanks that do not break": Quoted(
        f'<p>You get this&nbsp;message\n because<br><a href="{PAGE}">x</a></p>', "<p></p>"
    ),
    "somebody wrote between": Quoted(
        f"<blockquote>{WORDS[0]}</blockquote>Pourquoi ?"
        f'<blockquote><a href="{PAGE}">x</a></blockquote>',
        f"<blockquote>{WORDS[0]}</blockquote>Pourquoi ?"
        '<blockquote><a href="https://listes.example.fr/u/">x</a></blockquote>',
    ),
    "a link alone": Quoted(
        f'<p>Voici <a href="{PAGE}">le lien</a></p>',
        '<p>Voici <a href="https://listes.example.fr/u/">le lien</a></p>',
    ),
    "twice": Quoted(f"<p>a</p>{OURS}<p>b</p>{OURS}<p>c</p>", "<p>a</p><p>b</p><p>c</p>"),
    "more in the element": Quoted(
        f'<div>{WORDS[0]}<br><a href="{PAGE}">x</a> Jean</div>', "<div> Jean</div>"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HTMLS.values(), ids=HTMLS)
def test_html(case: Quoted) -> None:
    """Told by our words and our link, for programs keep neither names nor classes."""
    cleaned = without_our_footers(reply(case.body, "text/html; charset=utf-8"))

    assert read(cleaned) == case.left


@pytest.mark.parametrize("lang", LOCALES)
@pytest.mark.parametrize("why", ["", "comme membre du comité directeur"])
@pytest.mark.parametrize("kind", ["text/plain", "text/html"])
def test_what_we_write_is_what_we_know(lang: str, why: str, kind: str) -> None:
    """Each footer that a catalogue gives is recognised when it comes back."""
    words = footer_words(lang, title="Comité", reply_to=ReplyTo.AUTHOR, why=why)
    url = PAGE.encode()
    sent = add_footer(reply("Bonjour", kind), {lang: Footer(words.lines, words.link_label, url)})
    shown = content(leaves(sent)[-1]).decode()

    left = read(without_our_footers(reply(shown, f"{kind}; charset=utf-8")))

    assert left.strip() == "Bonjour"


ANSWER = text("Oui", PAGE).encode()
BASE64 = b"Content-Transfer-Encoding: base64\r\n\r\n"
COPY = (
    f"List-Unsubscribe: <{PAGE}>,\r\n <mailto:unsubscribe-{TOKEN}@x.fr>\r\n"
    f"X-Relais-Ref: {TOKEN}\r\n"
    "Content-Type: multipart/alternative; boundary=i\r\n\r\n"
    "--i\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
).encode()
INNER = (
    COPY
    + f"-- \r\nVous recevez ce message\r\n{PAGE[:40]}=\r\n{PAGE[40:]}\r\n".encode()
    + b"--i\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + encodebytes(f'<a href="{PAGE}">x</a>'.encode()).replace(b"\n", b"\r\n")
    + b"--i--\r\n"
)
NESTED = {
    "attached": b"Content-Type: message/rfc822\r\n\r\n" + INNER,
    "attached as base64": b"Content-Type: message/rfc822\r\n" + BASE64
    + encodebytes(INNER).replace(b"\n", b"\r\n"),
    "attached, and signed": b"Content-Type: message/rfc822\r\n\r\n"
    + COPY.replace(b"alternative", b"signed") + b"x\r\n--i--\r\n",
    "attached to what is attached": b"Content-Type: message/rfc822\r\n\r\n"
    b"Content-Type: message/rfc822\r\n\r\n" + INNER,
    "a digest": b"Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\n" + INNER
    + b"--d--\r\n",
    "a header": b"Content-Type: text/rfc822-headers\r\n\r\n" + COPY,
    "UTF-16": b"Content-Type: text/plain; charset=utf-16\r\n" + BASE64
    + encodebytes(f"été {PAGE}".encode("utf-16")),
    "calendar": b"Content-Type: text/calendar\r\n\r\n" + ANSWER,
    "a multipart that is none": b"Content-Type: multipart/mixed\r\n\r\n" + ANSWER,
    "around the parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + ANSWER
    + b"--b\r\n\r\nx\r\n--b--\r\n" + ANSWER,
    "an unknown encoding": b"Content-Transfer-Encoding: x-odd\r\n\r\n" + ANSWER,
    "a file": b"Content-Type: text/html\r\nContent-Disposition: attachment\r\n\r\n" + ANSWER,
}  # fmt: skip


def everything_in(raw: bytes) -> bytes:
    """Return all that can be read in *raw*, decoded, and what is attached."""
    found = [raw]
    for part in entities(raw):
        octets = content(part)
        if part.content_type == "message/rfc822":
            found.append(everything_in(octets))
        elif part.charset == "utf-16":
            found.append(octets.decode("utf-16").encode())
        else:
            found.append(octets)
    return b"\r\n".join(found)


@pytest.mark.parametrize("raw", NESTED.values(), ids=NESTED)
def test_tokens_in_whatever_can_be_read(raw: bytes) -> None:
    """In any encoding, in headers, in what is attached: nobody gets another's token."""
    assert TOKEN.encode() in everything_in(raw)

    cleaned = without_our_footers(raw)

    assert TOKEN.encode() not in everything_in(cleaned)
    assert [part.content_type for part in entities(cleaned)] == [
        part.content_type for part in entities(raw)
    ]


SIGNED = (
    b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n" + ANSWER
    + b"\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--s--\r\n"
)  # fmt: skip
UNTOUCHED = {
    "signed": SIGNED,
    "signed, in a mixed": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + SIGNED
    + b"--b--",
    "signed in the text": b"\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\n\r\n" + ANSWER,
    "S/MIME": b"Content-Type: application/pkcs7-mime\r\n\r\n" + ANSWER,
    "an image": b"Content-Type: image/png\r\n\r\n" + ANSWER,
    "nothing of ours": b'Content-Type: text/html\r\n\r\n<a href="https://x.fr/u/">\xe9</a>\n\r\r\n',
    "base64 of nothing of ours": b"Content-Transfer-Encoding: base64\r\n\r\nQUJD REVG\r\n==",
}  # fmt: skip


@pytest.mark.parametrize("raw", UNTOUCHED.values(), ids=UNTOUCHED)
def test_what_keeps_its_bytes(raw: bytes) -> None:
    """What is signed, what cannot be read, and where there is nothing of ours."""
    assert without_our_footers(raw) == raw


def test_an_attached_text_loses_its_token_alone() -> None:
    """It is a file of the author's, whatever it quotes."""
    said = f"Vous recevez ce message parce que.\r\nNe plus recevoir :\r\n{PAGE}\r\n"
    head = "Content-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\n"

    cleaned = without_our_footers((head + said).encode())

    assert cleaned.decode() == head + said.replace(TOKEN, "")
