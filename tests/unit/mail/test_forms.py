"""The forms of a list's copies: who it is from, who it is for, where a reply goes."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import pytest

from worker.mail.copy import Personal, for_reader, read_template
from worker.mail.footer import Footer
from worker.mail.list_headers import Author, Form, ListIdentity, ReplyTo
from worker.mail.preparation import prepare

if TYPE_CHECKING:
    from email.message import EmailMessage

NOW = datetime(2026, 11, 27, 10, tzinfo=UTC)
LIST, OWNER = "comite@listes.example.fr", "comite-owner@listes.example.fr"
READER = Personal(b"r" * 32, b"u" * 32, "marie@free.fr", ("Marie Curie",))
RAW = (
    b"From: Jean Dupont <jean@orange.fr>\r\n"
    b"To: Comite <comite@listes.example.fr>, ami@y.fr\r\n"
    b"Cc: Paul <paul@z.fr>\r\n"
    b"Reply-To: elsewhere@orange.fr\r\nSender: secretary@orange.fr\r\n"
    b"Subject: Re: [Comit\xc3\xa9] Dates\r\n"
    b"Date: Fri, 27 Nov 2026 09:00:00 +0100\r\n"
    b"Message-ID: <1@pc-de-jean.local>\r\n"
    b"In-Reply-To: <0@listes.example.fr>\r\n"
    b"References: <a@orange.fr> <0@listes.example.fr>\r\n"
    b"Thread-Topic: Dates\r\nKeywords: jean\r\nOrganization: Club de Jean\r\n"
    b"X-Mailer: Jean's\r\nDisposition-Notification-To: jean@orange.fr\r\n"
    b"List-Id: <other.example.org>\r\nPrecedence: bulk\r\nAutocrypt: addr=jean@orange.fr\r\n"
    b"Bcc: hidden@orange.fr\r\nResent-To: x@y.fr\r\nX-Originating-IP: 192.0.2.1\r\n"
    b"Content-ID: <part@pc-de-jean.local>\r\nContent-Description: from Jean\r\n"
    b"Content-Type: text/plain\r\n\r\nHello\r\n"
)


def copy_of(
    form: Form, reply_to: ReplyTo, *, name: str = "Jean Dupont", raw: bytes = RAW, tag: str = ""
) -> EmailMessage:
    """Return one copy, as its reader's program reads it."""
    identity = ListIdentity(
        local_part="comite",
        domain="listes.example.fr",
        title="Comité",
        definition="comite",
        public_url="https://listes.example.fr",
        help_address="aide@example.fr",
        form=form,
        reply_to=reply_to,
        subject_tag=tag,
        name_field=0,
    )
    footer = Footer(("On the list.",), "Leave:", identity.unsubscribe_url)
    author = Author("jean@orange.fr", name)
    frozen = prepare(raw, identity=identity, author=author, footers={"fr": footer}, now=NOW)
    wire = read_template(for_reader(frozen, "fr")).copy(READER)
    return email.message_from_bytes(wire, policy=email.policy.default)


class Shown(NamedTuple):
    """What a reader's program shows."""

    from_: str
    reply_to: str
    to: str
    cc: str | None


FORMS = {
    (Form.DISCUSSION, ReplyTo.AUTHOR): Shown(
        f"Jean Dupont via Comité <{LIST}>",
        "Jean Dupont <jean@orange.fr>",
        f"Comite <{LIST}>, ami@y.fr",
        "Paul <paul@z.fr>",
    ),
    (Form.DISCUSSION, ReplyTo.LIST): Shown(
        f"Jean Dupont via Comité <{LIST}>",
        f"Comité <{LIST}>",
        f"Comite <{LIST}>, ami@y.fr",
        "Paul <paul@z.fr>, Jean Dupont <jean@orange.fr>",
    ),
    (Form.DISCUSSION, ReplyTo.OWNER): Shown(
        f"Jean Dupont via Comité <{LIST}>",
        f"Comité <{OWNER}>",
        f"Comite <{LIST}>, ami@y.fr",
        "Paul <paul@z.fr>",
    ),
    (Form.ANNOUNCEMENT, ReplyTo.AUTHOR): Shown(
        f"Comité <{LIST}>", "Jean Dupont <jean@orange.fr>", "Marie Curie <marie@free.fr>", None
    ),
    (Form.ANNOUNCEMENT, ReplyTo.OWNER): Shown(
        f"Comité <{LIST}>", f"Comité <{OWNER}>", "Marie Curie <marie@free.fr>", None
    ),
    (Form.ANONYMOUS, ReplyTo.LIST): Shown(f"Comité <{LIST}>", f"Comité <{LIST}>", LIST, None),
    (Form.ANONYMOUS, ReplyTo.OWNER): Shown(f"Comité <{LIST}>", f"Comité <{OWNER}>", LIST, None),
    # lists.define refuses it; whatever a broken row says, the author stays unknown.
    (Form.ANONYMOUS, ReplyTo.AUTHOR): Shown(f"Comité <{LIST}>", f"Comité <{OWNER}>", LIST, None),
}


@pytest.mark.parametrize(("form", "reply_to"), FORMS, ids=["-".join(key) for key in FORMS])
def test_who_it_is_from_and_for(form: Form, reply_to: ReplyTo) -> None:
    """As deliverability 4 recommends; the author's address is never in From."""
    copy = copy_of(form, reply_to)
    cc = copy["cc"]

    shown = Shown(
        str(copy["from"]), str(copy["reply-to"]), str(copy["to"]), None if cc is None else str(cc)
    )
    assert shown == FORMS[form, reply_to]


@pytest.mark.parametrize("form", list(Form))
def test_what_no_form_keeps(form: Form) -> None:
    """Traces, receipts, other lists' fields, hidden recipients, addresses of machines."""
    copy = copy_of(form, ReplyTo.OWNER).as_string()

    for gone in ("hidden@", "elsewhere@", "secretary@", "192.0.2.1", "bulk", "other.example.org"):
        assert gone not in copy
    for name in ("Bcc", "Sender", "Resent", "Disposition", "Autocrypt", "X-Mailer", "Organization"):
        assert f"\n{name}" not in copy


def test_an_anonymous_copy_has_no_trace_of_its_author() -> None:
    """Neither a name nor an address nor a machine; the thread of the list is kept."""
    copy = copy_of(Form.ANONYMOUS, ReplyTo.LIST)

    assert "jean" not in copy.as_string().lower()
    assert "paul" not in copy.as_string().lower()
    assert str(copy["message-id"]).endswith("@listes.example.fr>")
    assert str(copy["in-reply-to"]) == "<0@listes.example.fr>"
    assert str(copy["references"]) == "<0@listes.example.fr>"
    assert str(copy["date"]) == "Fri, 27 Nov 2026 08:00:00 +0000"


@pytest.mark.parametrize("form", [Form.DISCUSSION, Form.ANNOUNCEMENT])
def test_threads_are_kept(form: Form) -> None:
    """Message-ID, References and Date are the author's (RFC 5322, section 3.6.4)."""
    copy = copy_of(form, ReplyTo.AUTHOR)

    assert str(copy["message-id"]) == "<1@pc-de-jean.local>"
    assert str(copy["references"]) == "<a@orange.fr> <0@listes.example.fr>"
    assert str(copy["date"]) == "Fri, 27 Nov 2026 09:00:00 +0100"


def test_the_tag_of_a_list() -> None:
    """Once, and after the one Re:."""
    copy = copy_of(Form.DISCUSSION, ReplyTo.AUTHOR, tag="[Comité]")

    assert str(copy["subject"]) == "Re: [Comité] Dates"


NAMES = {
    "an address": ("jean@orange.fr", "jean via Comité"),
    "a name with an address": ("Jean (jean@orange.fr)", "Jean (jean) via Comité"),
    "none": ("", "jean via Comité"),
    "an address alone in brackets": ("<jean@orange.fr>", "jean via Comité"),
}


@pytest.mark.parametrize(("name", "shown"), NAMES.values(), ids=NAMES)
def test_no_address_in_the_name(name: str, shown: str) -> None:
    """A display name that is an address looks like a forgery, and names the author's domain."""
    copy = copy_of(Form.DISCUSSION, ReplyTo.LIST, name=name)

    assert copy["from"].addresses[0].display_name == shown
    assert copy["from"].addresses[0].addr_spec == LIST


def test_an_author_who_is_named_is_not_named_again() -> None:
    """Who wrote themselves into Cc is there once."""
    raw = RAW.replace(b"Cc: Paul <paul@z.fr>", b"Cc: JEAN@orange.fr")
    copy = copy_of(Form.DISCUSSION, ReplyTo.LIST, raw=raw)

    assert str(copy["cc"]) == "JEAN@orange.fr"


@pytest.mark.parametrize(("reply_to", "tag"), [(ReplyTo.AUTHOR, "[C]"), (ReplyTo.LIST, "")])
def test_no_token_in_fields_that_are_ours(reply_to: ReplyTo, tag: str) -> None:
    """What is taken out of the author's fields does not come back with ours."""
    token = "a2" * 16
    raw = RAW.replace(b"Dates\r\nDate", f"https://l.fr/u/{token}\r\nDate".encode())
    raw = raw.replace(b"paul@z.fr", f"unsubscribe-{token}@listes.example.fr".encode())
    copy = copy_of(Form.DISCUSSION, reply_to, raw=raw, tag=tag)

    assert "https://l.fr/u/" in copy["subject"]
    assert "unsubscribe-@listes.example.fr" in str(copy["cc"])
    assert token not in str(copy)


BROKEN = {
    "no To": (b"To: Comite <comite@listes.example.fr>, ami@y.fr\r\n", b"", "to", LIST),
    "an empty To": (b"Comite <comite@listes.example.fr>, ami@y.fr", b"", "to", LIST),
    "an unqualified To": (
        b"Comite <comite@listes.example.fr>, ami@y.fr",
        b"Comite <comite@listes.example.fr>, ami",
        "to",
        LIST,
    ),
    "a list of nobody": (
        b"Comite <comite@listes.example.fr>, ami@y.fr",
        b"undisclosed-recipients:;",
        "to",
        "undisclosed-recipients:;",
    ),
    "a broken list of nobody": (
        b"Comite <comite@listes.example.fr>, ami@y.fr",
        b"undisclosed-recipients;;",
        "to",
        LIST,
    ),
    "no date": (
        b"Fri, 27 Nov 2026 09:00:00 +0100",
        b"yesterday",
        "date",
        "Fri, 27 Nov 2026 10:00:00 +0000",
    ),
    "a long thread": (
        b"<a@orange.fr> <0@listes.example.fr>",
        b" ".join(b"<%d@orange.fr>" % n for n in range(500)),
        "references",
        " ".join(f"<{n}@orange.fr>" for n in range(480, 500)),
    ),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_broken_fields_are_mended(broken: tuple[bytes, bytes, str, str]) -> None:
    """What hosts refuse is not passed on."""
    was, written, name, shown = broken
    copy = copy_of(Form.DISCUSSION, ReplyTo.AUTHOR, raw=RAW.replace(was, written))

    assert str(copy[name]) == shown
