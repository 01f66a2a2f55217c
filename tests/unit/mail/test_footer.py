"""Where the footer stands, and that everything else says what it said."""

from __future__ import annotations

import email
import re
from base64 import encodebytes
from email.policy import default
from typing import TYPE_CHECKING, NamedTuple

import pytest

from worker.mail.copy import Personal, for_reader, freeze, merge_slot, read_template
from worker.mail.footer import Footer, add_footer
from worker.mail.header import scan_fields

if TYPE_CHECKING:
    from email.message import EmailMessage

URL = b"https://listes.example.fr/u/\0U\0"
FRENCH = Footer(("Vous êtes sur la liste « Comité ».",), "Ne plus recevoir :", URL)
ENGLISH = Footer(("You are on the list “Comité”.",), "To leave:", URL)
ANNE = Personal(b"r" * 32, b"u" * 32, "anne@b.fr", ("Anne", "Élan <b>", ".point"))
LINK = "https://listes.example.fr/u/" + "u" * 32
TEXT_FOOTER = f"-- \n{FRENCH.lines[0]}\n{FRENCH.link_label}\n{LINK}\n"
BLOCK = re.compile(r'\n<div class="relais-footer".*?</div>', re.DOTALL)


def wire_of(
    raw: bytes, footers: dict[str, Footer] | None = None, lang: str = "fr", who: Personal = ANNE
) -> bytes:
    """Return a copy of *raw* as on the wire, its header as its author wrote it."""
    edited = add_footer(raw, footers or {"fr": FRENCH})
    _, at = scan_fields(edited, 0, len(edited))
    frozen = freeze(edited[:at].removesuffix(b"\r\n"), edited[at:])
    return read_template(for_reader(frozen, lang)).copy(who)


def read(wire: bytes) -> EmailMessage:
    """Read a copy as a recipient's program does, dots unstuffed."""
    return email.message_from_bytes(wire.replace(b"\r\n..", b"\r\n."), policy=default)


def octets_of(leaf: EmailMessage) -> bytes:
    """Return the content of a leaf, with LF as line end if it is a text."""
    octets = leaf.get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets.replace(b"\r\n", b"\n") if leaf.get_content_maintype() == "text" else octets


def said(wire: bytes) -> list[str]:
    """Return the texts of a copy, decoded."""
    return [
        octets_of(leaf).decode(str(leaf.get_content_charset("us-ascii")), "surrogateescape")
        for leaf in read(wire).walk()
        if leaf.get_content_maintype() == "text"
    ]


def part(kind: str, body: bytes = b"x", *fields: str) -> bytes:
    """Return an entity, its header and its body."""
    lines = [f"Content-Type: {kind}", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def multi(kind: str, *parts: bytes) -> bytes:
    """Return a multipart of *parts*, its boundary made of its kind."""
    subtype, _, parameters = kind.partition(";")
    boundary = subtype.encode("ascii")
    inside = b"".join(b"\r\n--%s\r\n%s" % (boundary, one) for one in parts)
    body = inside + b"\r\n--%s--\r\n" % boundary
    return part(f"multipart/{subtype}; boundary={subtype};{parameters}", body)


PLAIN = part("text/plain; charset=utf-8", "Été\r\n".encode())
HTML = part("text/html; charset=utf-8", "<p>Été</p></body>".encode())
IMAGE = part("image/png", b"iVBORw0KGgo=\r\n", "Content-Transfer-Encoding: base64")
PDF = part("application/pdf", b"%PDF \xe9\r\n", "Content-Disposition: attachment")
NOTES = part("text/plain", b"notes", 'Content-Disposition: inline; filename="notes.txt"')
MESSAGE = part("message/rfc822", b"Subject: x\r\n\r\nold")
SIGNED = multi("signed; protocol=application/pgp-signature", PLAIN, part("application/x-sig"))
INVITATION = part("text/calendar; method=REQUEST", b"BEGIN:VCALENDAR\r\n")


class Where(NamedTuple):
    """A message, and the types of its leaves; a star marks those with the footer."""

    raw: bytes
    leaves: str


WHERE = {
    "text": Where(PLAIN, "text/plain*"),
    "no content type": Where(b"From: a@b.fr\r\n\r\nx\r\n", "text/plain*"),
    "nothing at all": Where(b"From: a@b.fr\r\n\r\n", "text/plain*"),
    "empty text": Where(part("text/plain", b""), "text/plain*"),
    "HTML alone": Where(HTML, "text/plain* text/html*"),
    "alternative": Where(multi("alternative", PLAIN, HTML), "text/plain* text/html*"),
    "alternative of HTML alone": Where(multi("alternative", HTML), "text/plain* text/html*"),
    "alternative with more": Where(
        multi("alternative", PLAIN, part("text/x-amp-html"), HTML),
        "text/plain* text/x-amp-html text/html*",
    ),
    "related": Where(multi("related", HTML, IMAGE), "text/plain* text/html* image/png"),
    "alternative with related": Where(
        multi("alternative", PLAIN, multi("related", HTML, IMAGE)),
        "text/plain* text/html* image/png",
    ),
    "alternative with mixed, as Apple Mail": Where(
        multi("alternative", PLAIN, multi("mixed", HTML, PDF, part("text/html"))),
        "text/plain* text/html* application/pdf text/html",
    ),
    "mixed": Where(multi("mixed", PLAIN, PDF), "text/plain* application/pdf"),
    "mixed, HTML alone": Where(
        multi("mixed", HTML, PDF), "text/plain* text/html* application/pdf"
    ),
    "mixed with everything": Where(
        multi("mixed", multi("related", multi("alternative", PLAIN, HTML), IMAGE), PDF, MESSAGE),
        "text/plain* text/html* image/png application/pdf text/plain",
    ),
    "mixed, two texts": Where(multi("mixed", PLAIN, PLAIN), "text/plain* text/plain"),
    "related in mixed": Where(
        multi("mixed", multi("related", PLAIN), PDF), "text/plain* application/pdf"
    ),
    "an attachment alone": Where(multi("mixed", PDF), "application/pdf text/plain*"),
    "an image, then a text": Where(
        multi("mixed", IMAGE, PLAIN), "image/png text/plain text/plain*"
    ),
    "a text that is a file": Where(multi("mixed", NOTES), "text/plain text/plain*"),
    "a forwarded message alone": Where(multi("mixed", MESSAGE), "text/plain text/plain*"),
    "not closed": Where(multi("mixed", PDF)[:-11], "application/pdf text/plain*"),
    "a file as the whole": Where(PDF, "application/pdf"),
    "an image as the whole": Where(IMAGE, "image/png"),
    "a text file as the whole": Where(NOTES, "text/plain"),
    "signed": Where(SIGNED, "text/plain application/x-sig"),
    "signed in mixed": Where(
        multi("mixed", SIGNED, PLAIN), "text/plain application/x-sig text/plain"
    ),
    "a text, then something signed": Where(
        multi("mixed", PLAIN, SIGNED), "text/plain* text/plain application/x-sig"
    ),
    "encrypted": Where(
        multi("encrypted", part("application/pgp-encrypted"), part("application/octet-stream")),
        "application/pgp-encrypted application/octet-stream",
    ),
    "encrypted, as Exchange leaves it": Where(
        multi("mixed", PLAIN, part("application/pgp-encrypted")),
        "text/plain application/pgp-encrypted",
    ),
    "S/MIME": Where(part("application/pkcs7-mime; name=smime.p7m"), "application/pkcs7-mime"),
    "a signed file beside a text": Where(
        multi("mixed", PLAIN, part("application/pkcs7-mime; name=contract.p7m")),
        "text/plain* application/pkcs7-mime",
    ),
    "S/MIME in mixed": Where(
        multi("mixed", part("application/pkcs7-mime"), PDF),
        "application/pkcs7-mime application/pdf",
    ),
    "signed in the text": Where(
        part("text/plain", b"-----BEGIN PGP SIGNED MESSAGE-----\r\n\r\nx\r\n"), "text/plain"
    ),
    "encrypted in the text": Where(
        part("text/plain", b"Hi\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nx\r\n"), "text/plain"
    ),
    "an invitation": Where(
        multi("alternative", PLAIN, HTML, INVITATION), "text/plain text/html text/calendar"
    ),
    "an invitation as a file": Where(
        multi("mixed", multi("alternative", PLAIN, HTML), INVITATION),
        "text/plain text/html text/calendar",
    ),
    "a report": Where(
        multi("report", PLAIN, part("message/delivery-status")), "text/plain text/plain"
    ),
    "an unknown charset": Where(part("text/plain; charset=x-none"), "text/plain"),
    "a charset that is hardly one": Where(part("text/html; charset=utf-16rg"), "text/html"),
    "a dangerous charset": Where(part("text/plain; charset=utf-7"), "text/plain"),
    "an unknown encoding": Where(
        part("text/plain", b"x", "Content-Transfer-Encoding: x-uuencode"), "text/plain"
    ),
    "8-bit of no charset": Where(part("text/plain", b"\xe9t\xe9"), "text/plain"),
    "HTML, 8-bit of no charset": Where(part("text/html", b"\xe9"), "text/plain* text/html*"),
    "an unknown multipart": Where(multi("x-odd", PLAIN, HTML), "text/plain text/html"),
    "a digest": Where(multi("digest", b"\r\nSubject: x\r\n\r\nold"), "text/plain"),
    "a multipart without parts": Where(part("multipart/mixed; boundary=b"), "multipart/mixed"),
}  # fmt: skip


@pytest.mark.parametrize("case", WHERE.values(), ids=WHERE)
def test_where(case: Where) -> None:
    """In each text that is read as the body, and in nothing else."""
    leaves = [leaf for leaf in read(wire_of(case.raw)).walk() if not leaf.is_multipart()]
    shown = [leaf.get_content_type() + "*" * (LINK.encode() in octets_of(leaf)) for leaf in leaves]

    assert " ".join(shown) == case.leaves


@pytest.mark.parametrize("case", WHERE.values(), ids=WHERE)
def test_foreign_parts_keep_their_bytes(case: Where) -> None:
    """What got no footer stands in the copy as it was sent."""
    wire = wire_of(case.raw).replace(b"\r\n..", b"\r\n.")

    for foreign in (IMAGE, PDF, NOTES, MESSAGE, SIGNED, INVITATION):
        assert wire.count(foreign) == case.raw.count(foreign)


class Written(NamedTuple):
    """A text/plain part, what it says in the copy, and in which charset."""

    raw: bytes
    text: str
    charset: str


def encoded(kind: str, encoding: str, body: bytes) -> bytes:
    """Return an entity with a transfer encoding."""
    return part(kind, body, f"Content-Transfer-Encoding: {encoding}")


TEXTS = {
    "ASCII": Written(part("text/plain", b"Hello\r\n"), "Hello", "utf-8"),
    "declared ASCII, is UTF-8": Written(
        part("text/plain; charset=us-ascii", "Été".encode()), "Été", "utf-8"
    ),
    "UTF-8": Written(part("text/plain; charset=UTF-8", "Été".encode()), "Été", "utf-8"),
    "Latin-1 holds it": Written(
        part("text/plain; charset=ISO-8859-1", b"\xc9t\xe9"), "Été", "iso-8859-1"
    ),
    "Latin-2 does not": Written(
        part("text/plain; charset=iso-8859-5", "Ёлка".encode("iso-8859-5")), "Ёлка", "utf-8"
    ),
    "Latin-1 that is windows-1252": Written(
        part("text/plain; charset=iso-8859-1", b"l\x92\xe9t\xe9"), "l\x92été", "iso-8859-1"
    ),
    "UTF-16": Written(
        encoded("text/plain; charset=utf-16", "base64", encodebytes("Été".encode("utf-16"))),
        "Été", "utf-8",
    ),
    "shift_jis": Written(
        part("text/plain; charset=shift_jis", "日本".encode("shift_jis")), "日本", "utf-8"
    ),
    "iso-2022-jp": Written(
        part("text/plain; charset=iso-2022-jp", "日本".encode("iso-2022-jp")), "日本", "utf-8"
    ),
    "quoted-printable": Written(
        encoded("text/plain; charset=utf-8", "quoted-printable", b"=C3=89t=\r\n=C3=A9"),
        "Été", "utf-8",
    ),
    "base64": Written(
        encoded("text/plain; charset=utf-8", "BASE64", encodebytes("Été\n".encode())),
        "Été", "utf-8",
    ),
    "8bit": Written(encoded("text/plain; charset=utf-8", "8bit", "Été".encode()), "Été", "utf-8"),
    "many line ends": Written(part("text/plain", b"a\r\n\r\n\r\n"), "a", "utf-8"),
    "a boundary within": Written(
        encoded("text/plain", "base64", encodebytes(b"--mixed--\n" + b"-" * 200)),
        "--mixed--\n" + "-" * 200, "utf-8",
    ),
    "a signature of its own": Written(
        part("text/plain", b"a\r\n-- \r\nJean\r\n"), "a\n-- \nJean", "utf-8"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("in_mixed", [False, True])
def test_texts(case: Written, *, in_mixed: bool) -> None:
    """The charset stays if it can hold the footer; the words stay in any case."""
    raw = multi("mixed", case.raw, PDF) if in_mixed else case.raw
    wire = wire_of(raw, {"fr": _words(case.charset)})
    footer = TEXT_FOOTER if case.charset == "utf-8" else TEXT_FOOTER.replace("« Comité »", "é")

    assert said(wire)[0] == f"{case.text}\n\n{footer}"
    leaf = next(leaf for leaf in read(wire).walk() if not leaf.is_multipart())
    assert leaf.get_content_charset() == case.charset


def _words(charset: str) -> Footer:
    line = "Vous êtes sur la liste é." if charset != "utf-8" else FRENCH.lines[0]
    return Footer((line,), FRENCH.link_label, URL)


def test_octets_that_are_not_of_their_charset_stay() -> None:
    """Nobody knows what was meant, and the footer is no reason to guess."""
    wire = wire_of(part("text/plain; charset=utf-8", b"\xe9 is not UTF-8"))

    assert octets_of(read(wire)).startswith(b"\xe9 is not UTF-8\n\n-- \nVous \xc3\xaates")


def test_every_language_has_to_be_held() -> None:
    """One template serves all readers, so one charset does."""
    raw = part("text/plain; charset=iso-8859-1", b"l\x92\xe9t\xe9")  # Is windows-1252.
    wires = {lang: wire_of(raw, {"fr": FRENCH, "en": ENGLISH}, lang) for lang in ("fr", "en")}

    assert said(wires["fr"]) == [f"l\u2019été\n\n{TEXT_FOOTER}"]
    assert said(wires["en"]) == [f"l\u2019été\n\n-- \n{ENGLISH.lines[0]}\nTo leave:\n{LINK}\n"]


def test_parameters_are_kept() -> None:
    """Flowed text stays flowed, and its stuffed spaces are told from deleted ones."""
    raw = part(
        "text/plain; format=flowed; charset=us-ascii; DelSp=\"yes\"; x-a*=utf-8''b", b"a \r\nb"
    )
    copy = read(wire_of(raw))

    assert copy["content-type"].params["format"] == "flowed"
    assert copy["content-type"].params["delsp"] == "yes"
    assert b"x-a*=utf-8''b" in wire_of(raw)


FLOWED = {
    "a quote": ("> Comité", " > Comité"),
    "a space": ("  Comité", "   Comité"),
    "a mailbox mark": ("From here", " From here"),
    "space at the end": ("Comité  ", "Comité"),
    "an ordinary line": ("Comité", "Comité"),
}


@pytest.mark.parametrize(("line", "written"), FLOWED.values(), ids=FLOWED)
def test_flowed_text(line: str, written: str) -> None:
    """No line of the footer flows into the next, or is taken for a quote (RFC 3676, section 4)."""
    raw = part("text/plain; format=flowed", b"The last line flows \r\n")
    (text,) = said(wire_of(raw, {"fr": Footer((line,), "Ici :", URL)}))

    assert text == f"The last line flows \n\n-- \n{written}\nIci :\n{LINK}\n"


HTMLS = {
    "no body": "<p>Été</p>",
    "a body": "<html><body>Été</body>\n</html>\n",
    "upper case": "<BODY>Été</BODY ></HTML>",
    "in a comment": "<body>Été<!-- </body> --></body><!-- </body> -->",
    "in a short comment": "<body>Été<!--[if !mso]><!--></body>",
    "in a script": "<script>'</body>'</script>Été</body>",
    "in a title": "<title></body></title><body>Été",
    "an open comment": "<p>Été</p><!-- ",
    "an open style": "<p>Été</p><style>p {",
    "line ends": "Été\r\n\r\n</body>\r\n",
    "a line as long as can be": "É" + "a" * 75 + "</body>",
    "dots": ".\r\n.Été</body>.\r\n.",
    "another direction": '<html dir="rtl"><body>שלום Été</body></html>',
}


@pytest.mark.parametrize("source", HTMLS.values(), ids=HTMLS)
@pytest.mark.parametrize("charset", ["utf-8", "utf-16"])
def test_html(source: str, charset: str) -> None:
    """One block is added where it is seen; all the rest is the same, character by character."""
    body = encodebytes(source.encode(charset))
    wire = wire_of(encoded(f"text/html; charset={charset}", "base64", body))
    _, found = said(wire)

    assert BLOCK.sub("", found, count=1) == source.replace("\r\n", "\n")
    assert len(BLOCK.findall(found)) == 1
    assert f'href="{LINK}">Ne plus recevoir</a>' in found
    before = re.sub(r"<!--.*?-->", "", BLOCK.split(found)[0])
    assert "<!--" not in before
    assert before.count("<style") == before.count("</style")


def test_the_charset_of_html_stays() -> None:
    """Characters that it lacks are written as references."""
    source = "<p>Ёлка</p>".encode("koi8-r")
    wire = wire_of(part("text/html; charset=koi8-r", source))

    assert read(wire).get_payload()[1].get_content_charset() == "koi8-r"  # type: ignore[union-attr,index]  # a multipart
    assert "Ёлка" in said(wire)[1]
    assert "Comit&#233;" in said(wire)[1]


def test_the_block_is_readable_in_any_direction_and_on_any_background() -> None:
    """It has its own language and direction, and no colour of its own."""
    found = said(wire_of(HTML))[1]
    block = BLOCK.findall(found)[0]

    assert 'lang="fr" dir="ltr"' in block
    assert "color:inherit" in block
    assert "#" not in block.replace("&#", "")


def test_words_are_escaped() -> None:
    """A list's title is text, in HTML too."""
    wire = wire_of(multi("alternative", PLAIN, HTML), {"fr": Footer(("<b>&",), '"<i>:', URL)})
    text, page = said(wire)

    assert "<b>&\n" in text
    assert "&lt;b&gt;&amp;" in page
    assert "&quot;&lt;i&gt;</a>" in page


def test_html_alone_gets_its_text() -> None:
    """The header keeps what is about the message, the part what is about the HTML."""
    raw = (
        b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Language: fr\r\n"
        + part("text/html; charset=utf-8", "<p>Été<p>à <a href='http://b.fr/'>Brest</a>".encode())
    )  # fmt: skip
    copy = read(wire_of(raw))
    text, page = said(wire_of(raw))

    assert copy["subject"] == "x"
    assert copy.get_content_type() == "multipart/alternative"
    assert text == f"Été\n\nà Brest <http://b.fr/>\n\n{TEXT_FOOTER}"
    assert page.startswith("<p>Été<p>")
    assert b"Content-Language: fr\r\n" in wire_of(raw).partition(b"text/plain")[2]


def test_the_body_of_related_may_be_named() -> None:
    """RFC 2387, section 3.2: it is not always the first; it keeps its name."""
    named = part("text/html; charset=utf-8", b"<p>x", "Content-ID: <body>")
    copy = read(wire_of(multi('related; start="<body>"', IMAGE, named)))
    kinds = [leaf.get_content_type() for leaf in copy.walk()]

    assert kinds == [
        "multipart/related",
        "image/png",
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    assert [leaf["content-id"] for leaf in copy.walk()] == [None, None, "<body>", None, None]


MERGED = Footer(
    ("Bonjour " + merge_slot(0) + ", club " + merge_slot(1) + ".", merge_slot(2)), "Ici :", URL
)


def test_merge_fields() -> None:
    """Each value is escaped for where it stands, on lines that fit."""
    raw = multi("alternative", part("text/plain; charset=iso-8859-1", b"\xe9"), HTML)
    wire = wire_of(raw, {"fr": MERGED})
    text, page = said(wire)

    assert text == f"é\n\n-- \nBonjour Anne, club Élan <b>.\n.point\nIci :\n{LINK}\n"
    assert "Bonjour Anne, club &#201;lan &lt;b&gt;.<br>\n.point<br>" in page
    assert max(map(len, wire.split(b"\r\n"))) <= 76


LINES = {
    "a dot": ".dot",
    "only a dot": ".",
    "hyphens": "--alternative--",
    "long": "é" * 300,
    "long, with hyphens": "-" * 300,
    "equals": "=" * 80,
    "exactly a line": "a" * 76,
    "one more": "a" * 77,
    "a dot after a break": "a" * 75 + ".b",
    "slots at both ends": merge_slot(2) + "x" * 75 + merge_slot(2),
    "slot after slot": merge_slot(0) * 5,
}
LANGUAGES = {"one language": ("fr",), "two": ("fr", "en")}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
@pytest.mark.parametrize("languages", LANGUAGES.values(), ids=LANGUAGES)
def test_lines_fit(line: str, languages: tuple[str, ...]) -> None:
    """Whatever a footer says: short lines, no lone dot, and the same words at the end."""
    footer = Footer((line,), line, URL)
    raw = multi("alternative", part("text/plain; charset=utf-8", b"x"), HTML)
    wire = wire_of(raw, dict.fromkeys(languages, footer), languages[-1])
    shown = line
    for number, value in enumerate(ANNE.fields):
        shown = shown.replace(merge_slot(number), value)

    assert max(map(len, wire.split(b"\r\n"))) <= 77  # With a stuffed dot.
    assert b"\0" not in wire
    assert not re.search(rb"(?m)^\.(?!\.)", wire)
    assert said(wire)[0] == f"x\n\n-- \n{shown}\n{shown}\n{LINK}\n"
    assert len(said(wire)) == 2


def test_a_long_address_of_the_site() -> None:
    """The token is whole in its line, and the link whole when decoded."""
    url = b"https://" + b"listes." * 12 + b"example.fr/u/\0U\0?a=1&b=.2"
    wire = wire_of(multi("alternative", PLAIN, HTML), {"fr": Footer(("x",), "Ici :", url)})
    link = url.replace(b"\0U\0", b"u" * 32).decode()

    assert said(wire)[0].endswith(f"\n{link}\n")
    assert f'href="{link.replace("&", "&amp;")}"' in said(wire)[1]
    assert max(map(len, wire.split(b"\r\n"))) <= 76
