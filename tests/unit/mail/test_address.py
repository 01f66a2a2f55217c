"""Who wrote it, who was addressed, which list is meant."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.unit.mail.addresses import ADDRESSES, Case
from worker.mail import address
from worker.mail.header import read_message


@pytest.mark.parametrize("case", ADDRESSES.values(), ids=ADDRESSES)
def test_usable_address(case: Case) -> None:
    """The rule of relais.usable_address."""
    assert address.usable_address(case.address) is case.usable


def test_local_part_of() -> None:
    """Domains and list addresses have no case; another domain is none of ours."""
    assert address.local_part_of("Comite@Listes.Example.FR", "listes.example.fr") == ("comite")
    assert address.local_part_of("comite@example.fr", "listes.example.fr") is None
    assert address.local_part_of("a@x.listes.example.fr", "listes.example.fr") is None
    assert address.local_part_of("listes.example.fr", "listes.example.fr") is None
    assert address.split_address("Jean@EXAMPLE.fr") == ("Jean", "example.fr")


class Author(NamedTuple):
    """What a From field says, and what we make of it."""

    field: bytes
    address: str | None
    name: str = ""


JEAN = "jean@example.fr"
AUTHORS = {
    "bare": Author(b"From: jean@example.fr\r\n", JEAN),
    "angled": Author(b"From: <jean@example.fr>\r\n", JEAN),
    "named": Author(b"From: Jean Dupont <jean@example.fr>\r\n", JEAN, "Jean Dupont"),
    "initial": Author(b"From: Jean P. D <jean@example.fr>\r\n", JEAN, "Jean P. D"),
    "quoted": Author(b'From: "Dupont, Jean" <jean@example.fr>\r\n', JEAN, "Dupont, Jean"),
    "escaped quote": Author(b'From: "a \\"b\\"" <jean@example.fr>\r\n', JEAN, 'a "b"'),
    "old comment": Author(b"From: jean@example.fr (Jean)\r\n", JEAN, "Jean"),
    "comment": Author(b"From: Jean (Lyon) <jean@example.fr>\r\n", JEAN, "Jean"),
    "encoded": Author(b"From: =?utf-8?q?Andr=C3=A9?= <jean@example.fr>\r\n", JEAN, "André"),
    "cut character": Author(
        b"From: =?utf-8?q?Andr=C3?= =?utf-8?q?=A9?= <jean@example.fr>\r\n", JEAN, "André"
    ),
    "raw UTF-8": Author("From: André <jean@example.fr>\r\n".encode(), JEAN, "André"),
    "folded": Author(b"From: Jean\r\n <jean@example.fr>\r\n", JEAN, "Jean"),
    "address as quoted name": Author(
        b'From: "x@evil.example" <jean@example.fr>\r\n', JEAN, "x@evil.example"
    ),
    "encoded line end": Author(
        b"From: =?utf-8?q?J=0D=0ABcc=3A_e=40e=2Efr?= <jean@example.fr>\r\n",
        JEAN,
        "J Bcc: e@e.fr",
    ),
    "encoded direction": Author(
        b"From: =?utf-8?q?J=E2=80=AEnaej?= <jean@example.fr>\r\n", JEAN, "Jnaej"
    ),
    "no From": Author(b"To: jean@example.fr\r\n", None),
    "empty": Author(b"From:\r\n", None),
    "two fields": Author(b"From: jean@example.fr\r\nFrom: jean@example.fr\r\n", None),
    "two addresses": Author(b"From: jean@example.fr, x@evil.example\r\n", None),
    "two angled": Author(b"From: <jean@example.fr> <x@evil.example>\r\n", None),
    "address as bare name": Author(b"From: jean@example.fr <x@evil.example>\r\n", None),
    "empty member": Author(b"From: jean@example.fr,\r\n", None),
    "group": Author(b"From: club: jean@example.fr;\r\n", None),
    "route": Author(b"From: <@evil.example:jean@example.fr>\r\n", None),
    "CVE-2023-27043": Author(b"From: jean@example.fr)x@evil.example\r\n", None),
    "comment inside": Author(b"From: jean(x)@example.fr\r\n", None),
    "comment hides address": Author(b"From: (x@evil.example) jean@example.fr\r\n", None),
    "comment hides angle": Author(b"From: J (<x>) <jean@example.fr>\r\n", None),
    "nested comment": Author(b"From: jean@example.fr (a(b)c)\r\n", None),
    "open quote": Author(b'From: "Jean <jean@example.fr>\r\n', None),
    "open angle": Author(b"From: Jean <jean@example.fr\r\n", None),
    "trailing text": Author(b"From: <jean@example.fr> x\r\n", None),
    "quoted local part": Author(b'From: "jean"@example.fr\r\n', None),
    "literal": Author(b"From: jean@[192.0.2.1]\r\n", None),
    "NUL": Author(b"From: Jean\x00 <jean@example.fr>\r\n", None),
    "bare CR": Author(b"From: Jean\r <jean@example.fr>\r\n", None),
    "encoded address": Author(b"From: =?utf-8?q?jean=40example=2Efr?=\r\n", None),
    "too long": Author(b"From: " + b"x" * 2000 + b" <jean@example.fr>\r\n", None),
}


@pytest.mark.parametrize("case", AUTHORS.values(), ids=AUTHORS)
def test_read_author(case: Author) -> None:
    """Only what every parser reads in one way is an author."""
    message = read_message(case.field + b"\r\nbody")

    assert address.read_author(message) == case.address
    assert address.display_name(message) == case.name


SCANS = {
    "list": (b"a@x.fr, B <b@x.fr>,<c@x.fr>", ["a@x.fr", "b@x.fr", "c@x.fr"]),
    "group": (b"club: a@x.fr, b@x.fr;", ["a@x.fr", "b@x.fr"]),
    "once": (b"a@x.fr, a@x.fr", ["a@x.fr"]),
    "quoted": (b'"z@x.fr" <a@x.fr>', ["a@x.fr"]),
    "comment": (b"a@x.fr (was z@x.fr)", ["a@x.fr"]),
    "open quote": (b'"Jean <a@x.fr>, b@x.fr', ["a@x.fr", "b@x.fr"]),
    "semicolons": (b"a@x.fr; b@x.fr", ["a@x.fr", "b@x.fr"]),
    "final dot": (b"a@x.fr.", ["a@x.fr"]),
    "unusable": (b"a@localhost, undisclosed-recipients:;", []),
    "8-bit name": ("André <a@x.fr>".encode(), ["a@x.fr"]),
}


@pytest.mark.parametrize(("body", "found"), SCANS.values(), ids=SCANS)
def test_addresses_in(body: bytes, found: list[str]) -> None:
    """Addresses come in their order, each once."""
    assert address.addresses_in(body) == found


class Template(NamedTuple):
    """A template, a local part, and all its readings."""

    template: str
    local_part: str
    matches: list[dict[str, str]]


TEMPLATES = {
    "two parts": Template(
        "{role}.{committee}", "tresorier.lyon", [{"role": "tresorier", "committee": "lyon"}]
    ),
    "case": Template("{role}.comite", "Bureau.COMITE", [{"role": "bureau"}]),
    "two ways": Template("{a}.{b}", "x.y.z", [{"a": "x", "b": "y.z"}, {"a": "x.y", "b": "z"}]),
    "fixed": Template("bureau", "bureau", [{}]),
    "fixed, other": Template("bureau", "bureaux", []),
    "prefix": Template("club-{x}", "club-a", [{"x": "a"}]),
    "no empty part": Template("{a}.{b}", ".x", []),
    "nothing": Template("{a}.{b}", "x", []),
    "the same part twice": Template("{a}.{a}", "x.x", [{"a": "x"}]),
    "the same part, different": Template("{a}.{a}", "x.y", []),
    "too long": Template("{a}", "x" * 65, []),
}


@pytest.mark.parametrize("case", TEMPLATES.values(), ids=TEMPLATES)
def test_match_template(case: Template) -> None:
    """All readings are found."""
    assert address.match_template(case.template, case.local_part) == case.matches


def test_match_template_is_bounded() -> None:
    """Neither many readings nor many dead ends take long."""
    local_part = ".".join("x" * 32)
    many = ".".join(f"{{p{n}}}" for n in range(8))

    assert len(address.match_template(many, local_part)) == address.MATCHES_LIMIT
    assert address.match_template(many + "!", local_part) == []


READABLE = {
    "Bonjour": "Bonjour",
    "  a \r\n b\0c ": "a b c",
    "a\u202eb\u200b": "ab",
    "12345678": "12345678",
    "123456789": "1234567…",
    "123456 789": "123456…",
    "": "",
}


@pytest.mark.parametrize("text", READABLE)
def test_readable(text: str) -> None:
    """What cannot be seen is left out, and a cut is shown."""
    assert address.readable(text, 8) == READABLE[text]
