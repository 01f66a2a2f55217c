"""Copies that we sign are good to another implementation, and no longer so when they change."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.mail.signing_keys import ED25519, KEYS, RSA, is_verified
from worker.mail.copy import Personal, for_reader, freeze
from worker.mail.dkim_signing import (
    is_selector,
    read_signed_template,
    signed,
    signer_of,
    without_signature,
)
from worker.mail.footer import Footer
from worker.mail.list_headers import Author, Form, ListIdentity, ReplyTo
from worker.mail.notice import Envelope, Letter, attachment, write_notice
from worker.mail.preparation import prepare

if TYPE_CHECKING:
    from worker.signing import SigningKey

NOW = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
DOMAIN = "listes.example.fr"
LIST = ListIdentity(
    local_part="comite",
    domain=DOMAIN,
    title="Comité directeur de la Fédération régionale des associations de cyclotourisme",
    definition="committee",
    public_url=f"https://{DOMAIN}",
    help_address="aide@example.fr",
)
AUTHOR = Author("jerome@b.fr", "Jérôme")
PERSONAL = Personal(
    b"r" * 32, b"u" * 32, "jean@orange.fr", ("Jean  Dupont, président\tdélégué ", "." * 200)
)
FOOTERS = {
    "fr": Footer(("Vous êtes sur la liste.",), "Ne plus recevoir :", LIST.unsubscribe_url),
    "en": Footer(("You are on the list.",), "Unsubscribe:", LIST.unsubscribe_url),
}
HEAD = (
    b"From: jerome@b.fr\r\nTo: comite@listes.example.fr,\r\n\t  autre@b.fr  \r\n"
    b"Subject:   AG   de\t mars \r\nDate: Mon, 23 Nov 2026 10:00:00 +0100\r\n"
    b"Message-ID: <1@b.fr>\r\nMIME-Version: 1.0\r\n"
)
HTML = (
    b'Content-Type: multipart/alternative; boundary="b b"\r\n\r\n'
    b"--b b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nBonjour \xc3\xa0 tous\r\n"
    b"--b b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    b"<html><body><p>Bonjour</p></body></html>\r\n--b b--\r\n"
)

FORMS = {
    "discussion": LIST,
    "discussion, replies to the list": replace(LIST, reply_to=ReplyTo.LIST),
    "announcement": replace(LIST, form=Form.ANNOUNCEMENT),
    "announcement to a name": replace(LIST, form=Form.ANNOUNCEMENT, name_field=0),
    "anonymous": replace(LIST, form=Form.ANONYMOUS),
    "official": replace(LIST, has_one_click=False),
}
BODIES = {
    "text": HEAD + b"\r\nBonjour\r\n",
    "alternative": HEAD + HTML,
    "mixed": HEAD + b"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n" + HTML
    + b"--m\r\nContent-Type: application/pdf\r\n\r\n%PDF \xff\r\n--m--\r\n",
    "dots": HEAD + b"Content-Type: x/y\r\n\r\n.\r\n..\r\n. . .\r\n\r\n.end",
    "blank lines at the end": HEAD + b"Content-Type: x/y\r\n\r\n\r\na\r\n \r\n\t\r\n\r\n\r\n",
    "runs of spaces": HEAD + b"Content-Type: x/y\r\n\r\n a  b\t \tc   \r\n\t\td\r\n",
    "empty": HEAD + b"Content-Type: x/y\r\n\r\n",
    "only blank lines": HEAD + b"Content-Type: x/y\r\n\r\n\r\n  \r\n",
    "8-bit": HEAD + b"Content-Type: x/y\r\n\r\n" + bytes(range(128, 256)) + b"\r\n",
    "a megabyte": HEAD + b"Content-Type: x/y\r\n\r\n" + b"QUJD \r\n" * 150_000,
}  # fmt: skip


def frozen(raw: bytes, identity: ListIdentity = LIST, key: SigningKey = RSA) -> bytes:
    """Prepare *raw* with a signer."""
    return prepare(
        raw, identity=identity, author=AUTHOR, footers=FOOTERS, now=NOW, signer=key.signer
    )


def copy_of(template: bytes, key: SigningKey = RSA, lang: str = "fr") -> bytes:
    """Render a signed copy, and return it as it is received."""
    wire = read_signed_template(for_reader(template, lang), key.sign).copy(PERSONAL)
    return wire.replace(b"\r\n.", b"\r\n")


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("identity", FORMS.values(), ids=FORMS)
def test_every_form_is_verified(identity: ListIdentity, key: SigningKey) -> None:
    """What differs between copies is signed in each of them."""
    assert is_verified(copy_of(frozen(HEAD + HTML, identity, key), key), key)


@pytest.mark.parametrize("lang", FOOTERS)
@pytest.mark.parametrize("raw", BODIES.values(), ids=BODIES)
def test_every_body_is_verified(raw: bytes, lang: str) -> None:
    """Dots, spaces and line ends are signed as the receiver sees them."""
    assert is_verified(copy_of(frozen(raw), lang=lang), RSA)


def test_merge_fields_and_languages_are_verified() -> None:
    """A field's own spaces are canonical, too, and only the blocks that are read are signed."""
    header = signed(b"From: a@listes.example.fr\r\nTo: \0T0\0\r\n", RSA.signer, NOW)
    template = freeze(
        header,
        b"=\r\n\0M0t\0=\r\n  ,\r\n\0?fr\0oui \0U\0  \r\n\0?en\0yes\r\n\0?\0=\r\n\0M1h\0=\r\n\r\n",
    )

    copies = [copy_of(template, lang=lang) for lang in ("fr", "en")]
    assert all(is_verified(copy, RSA) for copy in copies)
    assert b"oui" in copies[0]
    assert b"Jean" in copies[0]
    assert b"oui" not in copies[1]


def test_a_notice_is_verified() -> None:
    """Its Message-ID is of the delivery's own."""
    envelope = Envelope(DOMAIN, f"postmaster@{DOMAIN}", "jean@orange.fr", DOMAIN)
    letter = Letter("À confirmer", "Bonjour  ,\n.\n\n", "fr")
    template = write_notice(
        letter, envelope, now=NOW, attached=attachment(HEAD + HTML), signer=RSA.signer
    )

    assert is_verified(copy_of(template), RSA)


CHANGES = {
    "text": (b"Bonjour", b"Bonsoir"),
    "author": (b"J=C3=A9r=C3=B4me", b"Jean"),
    "subject": (b"AG ", b"AGE "),
    "the page to leave": (b"<https://listes.example.fr/u/", b"<https://evil.example/u/"),
    "one click": (b"List-Unsubscribe=One-Click", b"List-Unsubscribe=Two-Click"),
    "no one click": (b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", b""),
    "name of the list": (b"List-Id:", b"X-List-Id:"),
    "moment of signing": (b" t=", b" t=1"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_noticed(change: tuple[bytes, bytes]) -> None:
    """RFC 8058, section 4, asks for both fields of unsubscribing."""
    copy = copy_of(frozen(HEAD + b"\r\nBonjour\r\n"))
    changed = copy.replace(*change, 1)

    assert changed != copy
    assert not is_verified(changed, RSA)


ADDED = [
    "From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "In-Reply-To", "References",
    "MIME-Version", "Content-Type", "List-Unsubscribe", "List-Unsubscribe-Post",
]  # fmt: skip


@pytest.mark.parametrize("name", ADDED)
def test_a_second_field_is_noticed(name: str) -> None:
    """Programs show the first of two; the seal is broken wherever it is added."""
    head, blank, body = copy_of(frozen(HEAD + b"\r\nBonjour\r\n")).partition(b"\r\n\r\n")
    added = f"{name}: someone <someone@evil.example>".encode()

    assert not is_verified(added + b"\r\n" + head + blank + body, RSA)
    assert not is_verified(head + b"\r\n" + added + blank + body, RSA)


def test_what_relays_add_does_no_harm() -> None:
    """Traces, and fields that hosts put in or take away."""
    copy = copy_of(frozen(HEAD + b"\r\nBonjour\r\n"))
    relayed = b"Received: from a\r\nFeedback-ID: theirs:b:c\r\nSender: x@y.fr\r\n" + copy.replace(
        b"X-Relais-Ref", b"X-Gone"
    )

    assert is_verified(relayed, RSA)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_second_rendering_is_byte_identical(key: SigningKey) -> None:
    """The moment of signing is frozen, and neither algorithm has chance in it."""
    template = frozen(HEAD + HTML, key=key)

    assert copy_of(template, key) == copy_of(template, key)
    assert f"t={int(NOW.timestamp())};".encode() in template
    later = prepare(
        HEAD + HTML, identity=LIST, author=AUTHOR, footers=FOOTERS,
        now=NOW + timedelta(days=1), signer=key.signer,
    )  # fmt: skip
    assert copy_of(later, key) != copy_of(template, key)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_lines_are_short(key: SigningKey) -> None:
    """RFC 5322, section 2.1.1: 78 characters, so that nobody folds them anew."""
    field = copy_of(frozen(HEAD + HTML, key=key), key).partition(b"\r\nFrom:")[0]

    assert field.startswith(b"DKIM-Signature: v=1;")
    assert max(map(len, field.split(b"\r\n"))) <= 78


def test_without_a_key_the_copy_is_unsigned() -> None:
    """Nothing else of it changes."""
    template = frozen(HEAD + HTML)
    unsigned = prepare(HEAD + HTML, identity=LIST, author=AUTHOR, footers=FOOTERS, now=NOW)

    assert signer_of(unsigned) is None
    assert without_signature(template) == unsigned
    assert without_signature(unsigned) == unsigned


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_the_signer_is_read_from_the_template(key: SigningKey) -> None:
    """And is plain enough to be given to another process."""
    assert signer_of(frozen(HEAD + HTML, key=key)) == key.signer
    assert pickle.loads(pickle.dumps(key.signer)) == key.signer


SELECTORS = {
    "relais1": True, "a": True, "2026.relais": True, "re-lais": True,
    "": False, "-a": False, "a-": False, "A": False, "a_b": False, "a..b": False, "a.": False,
    "a;d=x": False, "é": False, "a" * 64: False,
}  # fmt: skip


@pytest.mark.parametrize(("selector", "is_good"), SELECTORS.items())
def test_selectors(selector: str, is_good: bool) -> None:  # noqa: FBT001 - a row of a table
    """They are labels of a name in the DNS, and stand in a tag."""
    assert is_selector(selector) is is_good


WORDS = st.lists(
    st.sampled_from([b" ", b"\t", b"\r\n", b"\r", b"\n", b".", b"a", b"=", b"\xe9", b"b  ", b":"])
).map(b"".join)
FOLDED = st.lists(st.sampled_from([b" ", b"\t", b"\r\n ", b"\r\n\t", b"a", b":", b";b=", b"."]))


@settings(  # A shared machine may be slow.
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(body=WORDS, subject=FOLDED.map(b"".join), merged=st.text(" \tab.=é", max_size=90))
def test_whatever_is_written_is_verified(body: bytes, subject: bytes, merged: str) -> None:
    """RFC 6376, section 3.4, as dkimpy has it."""
    header = b"From: a@listes.example.fr\r\nSubject:" + subject + b"x\r\nTo: \0T0\0\r\n"
    template = freeze(
        signed(header, ED25519.signer, NOW), body + b"\n=\n\0M0t\0=\n\0M0h\0=\n" + body
    )
    personal = Personal(b"r" * 32, address="jean@orange.fr", fields=(merged,))
    wire = read_signed_template(template, ED25519.sign).copy(personal)

    assert is_verified(wire.replace(b"\r\n.", b"\r\n"), ED25519)
