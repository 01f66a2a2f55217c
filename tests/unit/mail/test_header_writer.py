"""Header fields as they are written: read back by two readers, folded, and never longer."""

from __future__ import annotations

from email import message_from_bytes
from email.header import decode_header, make_header
from email.utils import getaddresses

import pytest

from worker.mail.header import decoded
from worker.mail.header_writer import encoded_text, field_line, mailbox

TEXTS = {
    "plain": ("Meeting", "Meeting"),
    "accents": ("Réunion à 20 h, à l'hôtel", None),
    "Japanese": ("東京" * 40, None),
    "emoji": ("😀" * 40, None),
    "mixed": ("Ordre du jour: 東京 " * 12, None),
    "long ASCII": ("a long subject " * 40, None),
    "a word that cannot be folded": ("x" * 1990, None),
    "looks like an encoded word": ("=?utf-8?q?x?=", None),
    "line ends": ("a\r\nBcc: e@e.fr\u2028b\0c", "a Bcc: e@e.fr b c"),
    "turned writing": ("a\u202eb", "a b"),
    "right to left": ("اجتماع اللجنة", None),
    "blanks at the ends": ("  a  b ", "a b"),
    "lone surrogate": ("a\ud800b", "a b"),
    "empty": ("", ""),
}


@pytest.mark.parametrize(("text", "seen"), TEXTS.values(), ids=TEXTS)
def test_texts_are_read_back(text: str, seen: str | None) -> None:
    """By the standard library and by our own reader; no line is over 76 octets."""
    body = encoded_text("Subject", text)
    expected = " ".join(text.split()) if seen is None else seen
    unfolded = body.replace(b"\r\n", b"").decode("ascii")

    assert str(make_header(decode_header(unfolded))) == expected
    assert decoded(body.replace(b"\r\n", b"")) == expected
    assert max(map(len, field_line("Subject", body).split(b"\r\n"))) <= 76


NAMES = {
    "none": ("", ""),
    "plain": ("Jean Dupont", "Jean Dupont"),
    "a comma": ("Dupont, Jean", "Dupont, Jean"),
    "quotes": ('Jean "Jeannot" Dupont\\', 'Jean "Jeannot" Dupont\\'),
    "accents": ("Jérôme Lefèvre", "Jérôme Lefèvre"),
    "accents and a comma": ("Lefèvre, Jérôme (FR)", "Lefèvre, Jérôme (FR)"),
    "an address": ("jean@orange.fr", "jean at orange.fr"),
    "a bracket": ("Jean <x", "Jean <x"),
    "line ends": ("a\r\nBcc: e@e.fr", "a Bcc: e at e.fr"),
    "an encoded line end": ("=?utf-8?q?=0D=0ABcc:_x?=", "=?utf-8?q?=0D=0ABcc:_x?="),
    "a long one": ("Jérôme " * 30, ("Jérôme " * 30)[:100].strip()),
}


ADDRESS = "comite_directeur.comite@listes.example.fr"


@pytest.mark.parametrize(("name", "seen"), NAMES.values(), ids=NAMES)
def test_mailboxes_are_read_back(name: str, seen: str) -> None:
    """One address with its name, as the standard library reads it; nothing beside it."""
    line = field_line("From", mailbox("From", name, ADDRESS))
    read = message_from_bytes(line + b"\r\n")
    [(phrase, address)] = getaddresses([str(read["from"]).replace("\r\n", "")])

    # Not by the parser of email.policy.default: 3.11 shows a blank between encoded words.
    assert str(make_header(decode_header(phrase))) == seen
    assert address == ADDRESS
    assert read.keys() == ["From"]
    assert max(map(len, line.split(b"\r\n"))) <= 76
