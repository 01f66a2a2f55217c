"""Whom a notice in free text is about, and what it says of them."""

from __future__ import annotations

import pytest

from worker.mail.dsn import DIAGNOSTIC_LIMIT
from worker.mail.mention import begins_with_address, find_mentions, said_of

OWN = frozenset({"mailer-daemon@mx.x.fr", "return-abc@listes.example.fr"})


def _named(text: str, domain: str = "mx.x.fr") -> list[str]:
    return [mention.address for mention in find_mentions(text, own=OWN, domain=domain)]


NAMED = {
    "alone on its line": ("Sorry.\n\na@x.fr\n", ["a@x.fr"]),
    "Postfix": ("<a@x.fr>: host mx.x.fr[192.0.2.1] said: 550 5.1.1 unknown\n", ["a@x.fr"]),
    "sendmail": ("550 5.1.1 <a@x.fr>... User unknown\n", ["a@x.fr"]),
    "Exim": ("  a@x.fr\n    Unrouteable address\n", ["a@x.fr"]),
    "a list of two": ("<a@x.fr>: unknown\n\n<b@y.fr>: full\n", ["a@x.fr", "b@y.fr"]),
    "the same twice": ("<a@x.fr>: unknown\n<A@x.fr>: unknown\n", ["a@x.fr"]),
    "bullets": ("* a@x.fr\n* b@y.fr\n", ["a@x.fr", "b@y.fr"]),
    "labelled": ("Recipient: a@x.fr\nReason: full\n", ["a@x.fr"]),
    "labelled in French": ("Destinataire : a@x.fr\nRaison : boîte pleine\n", ["a@x.fr"]),
    "labelled in German": ("Empfänger: a@x.fr\n", ["a@x.fr"]),
    "labelled in Russian": ("Кому: a@x.fr\n", ["a@x.fr"]),
    "a name before it": ("a@x.fr <a@x.fr>: unknown\n", ["a@x.fr"]),
    "a type": ("rfc822;a@x.fr\n", ["a@x.fr"]),
    "in a sentence": ("Your message to a@x.fr could not be delivered.\n", ["a@x.fr"]),
    "in a French sentence": (
        "Votre message à a@x.fr n'a pas pu être remis.\n",
        ["a@x.fr"],
    ),
    "French, the address": ("L'adresse a@x.fr n'existe pas.\n", ["a@x.fr"]),
    "a dot behind it": ("It was for a@x.fr.\n", ["a@x.fr"]),
    "who wrote is left out": (
        "The message from jean@y.fr to a@x.fr was refused.\n",
        ["a@x.fr"],
    ),
    "who helps is left out": (
        "<a@x.fr>: unknown\n\nPlease contact postmaster@mx.x.fr for assistance.\n",
        ["a@x.fr"],
    ),
    "who helps, in a sentence": (
        "Mail for a@x.fr failed. Questions? Write to helpdesk@mx.x.fr\n",
        ["a@x.fr"],
    ),
    "the system and the reader are left out": (
        "<return-abc@listes.example.fr>\n<MAILER-DAEMON@mx.x.fr>\n<a@x.fr>\n",
        ["a@x.fr"],
    ),
    "who got it": (
        "These were delivered:\n  b@y.fr\n\nThese failed:\n  a@x.fr\n",
        ["a@x.fr"],
    ),
    "who did not get it": ("Not delivered to:\n  a@x.fr\n", ["a@x.fr"]),
    "what is said of the one above": (
        "a@x.fr\n    b@y.fr is forwarded to nobody\n",
        ["a@x.fr"],
    ),
    "a link": ("See https://x.fr/?to=b@y.fr about a@x.fr\n", ["a@x.fr"]),
    "a name alone where one is announced": (
        "Delivery to the following recipients failed:\n\n   marie\n",
        ["marie@mx.x.fr"],
    ),
    "a name alone, unannounced": ("Hello\n\n   marie\n", []),
    "nobody": ("It could not be delivered.\n", []),
    "nothing": ("", []),
    "only who wrote": ("The message from jean@y.fr was refused.\n", []),
    "at signs": ("@ @@ a@ @x.fr\n", []),
}


@pytest.mark.parametrize(("text", "addresses"), NAMED.values(), ids=NAMED)
def test_find_mentions(text: str, addresses: list[str]) -> None:
    """Whoever failed: not who wrote, who got it, who helps, or the system."""
    assert _named(text) == addresses


def test_a_name_alone_needs_a_domain() -> None:
    """Whose it would be is not known otherwise."""
    assert _named("The following recipients failed:\n  marie\n", domain="") == []


SAID = {
    "on its line": ("<a@x.fr>: 550 5.1.1 unknown\n", "550 5.1.1 unknown"),
    "to the end of its paragraph": (
        "<a@x.fr>: host mx.x.fr said: 550\n    5.1.1 unknown\n\nSorry.\n",
        "host mx.x.fr said: 550 5.1.1 unknown",
    ),
    "below": ("a@x.fr\n    550 5.1.1 unknown\n", "550 5.1.1 unknown"),
    "after an empty line": ("a@x.fr\n\n550 5.1.1 user unknown\n", "550 5.1.1 user unknown"),
    "the code before it": ("554 <a@x.fr>... no mailbox\n", "554 <>... no mailbox"),
    "up to the next": ("<a@x.fr>: unknown\n<b@y.fr>: full\n", "unknown"),
    "in a sentence": ("Mail to a@x.fr failed: the mailbox is full.\n",
                      "failed: the mailbox is full"),
    "nothing": ("a@x.fr\n", ""),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), SAID.values(), ids=SAID)
def test_said_of(text: str, said: str) -> None:
    """The system's words about this one: the evidence."""
    mention = find_mentions(text, own=OWN, domain="")[0]

    assert said_of(text, mention) == said


def test_what_is_said_has_an_end() -> None:
    """A paragraph may be a book."""
    text = "<a@x.fr>: " + "why " * 9000 + ("\n  and why" * 9000)
    mention = find_mentions(text, own=OWN, domain="")[0]

    assert len(said_of(text, mention)) <= DIAGNOSTIC_LIMIT


def test_a_mention_of_another_text() -> None:
    """Nothing is said of somebody beyond the end."""
    mention = find_mentions("\n\n\n<a@x.fr>: no\n", own=OWN, domain="")[0]

    assert said_of("", mention) == ""


BEGINS = {
    "at once": ("<a@x.fr>: unknown\n", True),
    "after words": ("Sorry.\n\nNot delivered:\n  a@x.fr\n", True),
    "in a sentence": ("Hello, a@x.fr wrote to me.\n", False),
    "far below": ("line\n" * 20 + "<a@x.fr>\n", False),
    "nobody": ("Sorry.\n", False),
}


@pytest.mark.parametrize(("text", "begins"), BEGINS.values(), ids=BEGINS)
def test_begins_with_address(text: str, begins: bool) -> None:  # noqa: FBT001
    """Notices do, near their beginning."""
    assert begins_with_address(text) is begins
