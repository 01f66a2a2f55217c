"""A copy: what it keeps of the author's message, what it adds, what it never holds."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import pytest

from worker.mail.copy import Personal, for_reader, read_template
from worker.mail.footer import Footer
from worker.mail.header import read_message
from worker.mail.list_headers import Author, ListIdentity, ReplyTo
from worker.mail.preparation import fingerprint, message_id, prepare, thread_of

if TYPE_CHECKING:
    from email.message import EmailMessage, Message

NOW = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
COMITE = ListIdentity(
    local_part="comite_directeur.comite",
    domain="listes.example.fr",
    title="Comité directeur",
    definition="committee_role",
    public_url="https://listes.example.fr",
    help_address="aide@example.fr",
)
FOOTER = Footer(
    ("Vous êtes sur la liste « Comité ».",), "Ne plus recevoir :", COMITE.unsubscribe_url
)
AUTHOR = Author("jerome@b.fr", "Jérôme")
PERSONAL = Personal(b"r" * 32, b"u" * 32, "jean@orange.fr", ("Jean Dupont",))
LINK = "https://listes.example.fr/u/" + "u" * 32

HEAD = (
    b"Received: from secret.internal by mx (Postfix); Mon, 23 Nov 2026 10:00:00 +0100\r\n"
    b"DKIM-Signature: v=1; d=b.fr; b=xxxx\r\n"
    b"From: =?utf-8?q?J=C3=A9r=C3=B4me?= <jerome@b.fr>\r\n"
    b"To: comite_directeur.comite@listes.example.fr\r\n"
    b"Subject: =?utf-8?q?R=C3=A9union?=\r\n"
    b"Date: Mon, 23 Nov 2026 10:00:00 +0100\r\n"
    b"Message-ID: <1@b.fr>\r\n"
    b"MIME-Version: 1.0\r\n"
)


def copy_of(raw: bytes, identity: ListIdentity = COMITE) -> bytes:
    """Render one copy of *raw*, as it would go over the wire."""
    frozen = prepare(raw, identity=identity, author=AUTHOR, footers={"fr": FOOTER}, now=NOW)
    return read_template(for_reader(frozen, "fr")).copy(PERSONAL)


def read(wire: bytes) -> EmailMessage:
    """Read a copy as a recipient's program does, dots unstuffed."""
    unstuffed = wire.replace(b"\r\n..", b"\r\n.")
    return email.message_from_bytes(unstuffed, policy=email.policy.default)


def plain(text: bytes, kind: bytes = b"text/plain; charset=utf-8") -> bytes:
    """Return a message of one part."""
    return HEAD + b"Content-Type: " + kind + b"\r\n\r\n" + text


ONCE = (
    "from", "reply-to", "to", "subject", "date", "message-id", "mime-version", "content-type",
    "list-id", "list-post", "list-help", "list-owner", "list-unsubscribe",
    "list-unsubscribe-post", "precedence", "x-relais-ref", "feedback-id",
)  # fmt: skip


def test_the_header_of_a_copy() -> None:
    """Each field of ours and of the author's exactly once, and nothing else."""
    copy = read(copy_of(plain(b"Bonjour\r\n")))

    names = sorted(name.lower() for name in copy.keys())  # noqa: SIM118 - a message, no mapping
    expected = [
        *ONCE, "content-transfer-encoding", "x-auto-response-suppress", "x-ms-reactions",
        "x-original-from",
    ]  # fmt: skip
    assert names == sorted(expected)
    assert str(copy["from"]) == (
        "Jérôme via Comité directeur <comite_directeur.comite@listes.example.fr>"
    )
    assert str(copy["reply-to"]) == "Jérôme <jerome@b.fr>"
    assert str(copy["subject"]) == "Réunion"
    assert str(copy["message-id"]) == "<1@b.fr>"
    assert str(copy["list-id"]).endswith("<comite_directeur.comite.listes.example.fr>")
    assert LINK in str(copy["list-unsubscribe"])
    assert f"mailto:unsubscribe-{'u' * 32}@listes.example.fr" in str(copy["list-unsubscribe"])
    assert str(copy["list-unsubscribe-post"]) == "List-Unsubscribe=One-Click"
    assert str(copy["x-relais-ref"]) == "r" * 32


def test_replies_to_the_list() -> None:
    """reply_to => 'list' decides Reply-To, and only that."""
    copy = read(copy_of(plain(b"Bonjour\r\n"), replace(COMITE, reply_to=ReplyTo.LIST)))

    assert "comite_directeur.comite@listes.example.fr" in str(copy["reply-to"])


def test_without_https_there_is_no_one_click() -> None:
    """RFC 8058, section 3.1, asks for an https URI; the mailto form stays."""
    identity = replace(COMITE, public_url="http://127.0.0.1:8080")
    copy = read(copy_of(plain(b"Bonjour\r\n"), identity))

    assert copy["list-unsubscribe-post"] is None
    assert "mailto:unsubscribe-" in str(copy["list-unsubscribe"])


def test_the_owner_is_a_human_of_the_list() -> None:
    """RFC 2369, section 3.5; -owner is the address of RFC 2142, section 6."""
    copy = read(copy_of(plain(b"Bonjour\r\n")))

    owner = "comite_directeur.comite-owner@listes.example.fr"
    assert str(copy["list-owner"]) == f"<mailto:{owner}>"
    assert str(copy["list-help"]) == "<mailto:aide@example.fr>"


def test_official_mail_is_left_on_a_page_only() -> None:
    """No program and no mail unsubscribes by itself; the page says whom to ask."""
    official = replace(COMITE, has_one_click=False)
    copy = read(copy_of(plain(b"Bonjour\r\n"), official))

    assert str(copy["list-unsubscribe"]) == f"<{LINK}>"
    assert copy["list-unsubscribe-post"] is None
    assert "unsubscribe-" not in copy_of(plain(b"Bonjour\r\n"), official).decode()
    assert LINK in copy.get_content()


class Body(NamedTuple):
    """A body, and where its text must be found."""

    raw: bytes
    said: str
    footers: int


ALTERNATIVE = (
    b'Content-Type: multipart/alternative; boundary="b b"\r\n\r\nprologue\r\n'
    b"--b b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\nBonjour =E0 tous\r\n"
    b"--b b\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n"
    b"<html><!-- </body> --><body><p>Bonjour \xe0 tous</p></body></html>\r\n--b b--\r\n"
)
BODIES = {
    "ASCII": Body(plain(b"Hello all\r\n", b"text/plain"), "Hello all", 1),
    "no content type": Body(HEAD + b"\r\nHello all\r\n", "Hello all", 1),
    "8-bit UTF-8": Body(plain("Bonjour à tous\r\n".encode()), "Bonjour à tous", 1),
    "Latin-1": Body(
        plain("Bonjour à tous\r\n".encode("latin-1"), b"text/plain; charset=iso-8859-1"),
        "Bonjour à tous", 1,
    ),
    "base64": Body(
        HEAD + b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nQm9uam91ciDDoCB0b3Vz\r\n",
        "Bonjour à tous", 1,
    ),
    "a charset that lacks the footer's letters": Body(
        plain("Zażółć\r\n".encode("iso-8859-2"), b"text/plain; charset=iso-8859-2"), "Zażółć", 1
    ),
    "text and HTML": Body(HEAD + ALTERNATIVE, "Bonjour à tous", 2),
    "in a mixed": Body(
        HEAD + b"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n" + ALTERNATIVE
        + b"\r\n--m\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment\r\n\r\n"
        b"%PDF\r\n--m--\r\n",
        "Bonjour à tous", 2,
    ),
    "HTML only": Body(plain(b"<p>Hello all</p>", b"text/html; charset=us-ascii"), "Hello all", 2),
    "an unknown charset": Body(plain(b"Hello all\r\n", b"text/plain; charset=x-none"), "", 0),
    "signed": Body(
        HEAD + b"Content-Type: multipart/signed; boundary=s;\r\n"
        b' protocol="application/pgp-signature"\r\n'
        b"\r\n--s\r\nContent-Type: text/plain\r\n\r\nHello all\r\n--s\r\n"
        b"Content-Type: application/pgp-signature\r\n\r\nx\r\n--s--\r\n",
        "Hello all", 0,
    ),
}  # fmt: skip


def content_of(part: Message) -> bytes:
    """Return the octets of a leaf, its transfer encoding undone."""
    octets = part.get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets


def known_charset(part: Message) -> str:
    """Return a charset that Python knows."""
    charset = part.get_content_charset("us-ascii")
    return "us-ascii" if charset == "x-none" else charset


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_the_footer_stands_in_what_is_read(body: Body) -> None:
    """In each text that people see, with the personal link whole; else nowhere."""
    copy = read(copy_of(body.raw))
    texts = [
        content_of(part).decode(known_charset(part), "replace")
        for part in copy.walk()
        if part.get_content_maintype() == "text"
    ]

    assert sum(LINK in text for text in texts) == body.footers
    assert all(body.said in text for text in texts)


def test_foreign_parts_keep_their_bytes() -> None:
    """An attachment beside the text is not touched."""
    attachment = b"Content-Type: application/x-odd\r\n\r\n\x01\xff odd = bytes \xe9\r\n.dot"
    raw = (
        HEAD + b"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\nHello\r\n--m\r\n"
        + attachment + b"\r\n--m--\r\n"
    )  # fmt: skip

    assert attachment.replace(b"\r\n.dot", b"\r\n..dot") in copy_of(raw)


HOSTILE = {
    "smuggled end of data": plain(b"a\r\n.\r\nMAIL FROM:<x@y>\r\n"),
    "bare LF dots": plain(b"a\n.\nb\r.\rc\r\n.\n"),
    "NUL": plain(b"a\0R\0b\0U\0\r\n"),
    "NUL in a header": HEAD + b"X: \0R\0\r\nSubject: a\0b\r\n\r\nx",
    "no line end": plain(b"no end"),
    "no body": HEAD,
    "folded injection": HEAD + b"Subject: a\r\n\r\nBcc: e@e\r\n\r\nbody",
    "encoded line end": HEAD.replace(b"R=C3=A9union", b"a=0D=0ABcc: e@e") + b"\r\nx",
    "long header line": HEAD + b"References: " + b"<a@b> " * 2000 + b"\r\n\r\nx",
    "raw 8-bit header": HEAD + "Keywords: été".encode() + b"\r\n\r\nx",
    "Bcc": HEAD + b"Bcc: someone@secret.fr\r\n\r\nx",
    "garbage": bytes(range(256)) * 20,
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_a_copy_is_safe_on_the_wire(raw: bytes) -> None:
    """CRLF only, no lone dot, no NUL, short ASCII header lines, no hidden recipients."""
    wire = copy_of(raw)
    header = wire.partition(b"\r\n\r\n")[0]

    assert b"\r\n.\r\n" not in b"\r\n" + wire
    assert b"\0" not in wire
    assert b"\n" not in wire.replace(b"\r\n", b"")
    assert b"\r" not in wire.replace(b"\r\n", b"")
    assert wire.endswith(b"\r\n")
    assert max(map(len, header.split(b"\r\n"))) <= 998
    assert header.isascii()
    assert not any(line.lower().startswith(b"bcc:") for line in header.split(b"\r\n"))
    assert b"=0a" not in header.lower()
    assert b"secret.internal" not in wire


def test_a_quoted_link_is_not_passed_on() -> None:
    """Whoever quotes their own copy does not hand out their unsubscription."""
    stolen = b"q" * 32
    raw = plain(
        b"> https://listes.example.fr/u/" + stolen + b"\r\n> unsubscribe-" + stolen + b"@x\r\n"
    )

    assert stolen not in copy_of(raw)


def test_a_second_rendering_is_byte_identical() -> None:
    """A resent copy is recognised by receivers that look at its bytes."""
    assert copy_of(plain(b"Bonjour\r\n")) == copy_of(plain(b"Bonjour\r\n"))


def test_what_is_missing_is_added() -> None:
    """Date, Message-ID, To, Subject and MIME-Version are in each copy (RFC 5322, section 3.6)."""
    copy = read(copy_of(b"From: jerome@b.fr\r\n\r\nHello\r\n"))

    assert str(copy["date"]) == "Tue, 24 Nov 2026 10:30:00 +0000"
    assert str(copy["to"]) == "comite_directeur.comite@listes.example.fr"
    assert str(copy["message-id"]).endswith("@listes.example.fr>")
    assert "Hello" in copy.get_content()


def test_the_message_id_is_the_one_that_is_kept() -> None:
    """It is made of the message as it was examined, NULs and all."""
    raw = HEAD.replace(b"Message-ID: <1@b.fr>\r\n", b"") + b"\r\na\0b\r\n"

    kept = message_id(read_message(raw), domain=COMITE.domain)
    assert read(copy_of(raw))["message-id"] == kept


class TestFingerprint:
    """The same message is known again, another is not taken for it."""

    MESSAGE = plain(b"Bonjour\r\n")

    def test_traces_do_not_matter(self) -> None:
        """The copy for another list, or the one after a migration, has other traces."""
        moved = b"Delivered-To: other@x\r\nReceived: from y\r\n" + self.MESSAGE

        assert fingerprint(read_message(moved)) == fingerprint(read_message(self.MESSAGE))

    @pytest.mark.parametrize(
        "change", [(b"Bonjour", b"Bonsoir"), (b"R=C3=A9union", b"x"), (b"jerome", b"jean")]
    )
    def test_content_matters(self, change: tuple[bytes, bytes]) -> None:
        """A Message-ID alone can be used again by anybody."""
        other = self.MESSAGE.replace(*change)

        assert fingerprint(read_message(other)) != fingerprint(read_message(self.MESSAGE))


NAMED = b"Message-ID: <c@x.fr>\n"
LONG = [f"<{number}{'x' * 190}@x.fr>" for number in range(30)]


class Thread(NamedTuple):
    """A header, and what an answer refers to (RFC 5322, section 3.6.4)."""

    header: bytes
    ids: tuple[str, ...]


LONGEST = f"<{'x' * 900}>"
THREADS = {
    "a new message": Thread(NAMED, ("<c@x.fr>",)),
    "a reply": Thread(
        NAMED + b"References: <a@x.fr>\n <b@x.fr>\nIn-Reply-To: <b@x.fr>\n",
        ("<a@x.fr>", "<b@x.fr>", "<c@x.fr>"),
    ),
    "a reply without references": Thread(
        NAMED + b"In-Reply-To: Jean's of Monday <b@x.fr>\n", ("<b@x.fr>", "<c@x.fr>")
    ),
    "a reply to two": Thread(NAMED + b"In-Reply-To: <a@x.fr> <b@x.fr>\n", ("<c@x.fr>",)),
    "it refers to itself": Thread(
        NAMED + b"References: <c@x.fr> <a@x.fr> <a@x.fr>\n", ("<a@x.fr>", "<c@x.fr>")
    ),
    "without a name": Thread(b"References: <a@x.fr>\n", ()),
    "a name that is none": Thread(b"Message-ID: c@x.fr\nReferences: <a@x.fr>\n", ()),
    "garbage between": Thread(
        NAMED + b"References: a@x.fr <\xe9@x.fr> <b @x.fr> <a@x.fr>\n", ("<a@x.fr>", "<c@x.fr>")
    ),
    "very long": Thread(
        NAMED + f"References: {' '.join(LONG)}\n".encode(), (*LONG[-10:], "<c@x.fr>")
    ),
    "a long name": Thread(f"Message-ID: {LONGEST}\nReferences: {LONGEST}\n".encode(), (LONGEST,)),
}


@pytest.mark.parametrize("case", THREADS.values(), ids=THREADS)
def test_what_an_answer_refers_to(case: Thread) -> None:
    """Bounded, and nothing but Message-IDs: it is kept, and goes out again."""
    assert thread_of(read_message(case.header + b"\nx\n")) == case.ids
