"""What is made of foreign bodies: any input, no exception, linear time, fit for the wire."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.accidents import accidents
from tests.fuzz.test_readers import PIECES, QUICK, SEED
from worker.mail.copy import Personal, for_reader, freeze, read_template, without_nul
from worker.mail.footer import Footer, add_footer
from worker.mail.header import scan_fields
from worker.mail.hypertext import text_of
from worker.mail.parts import entities
from worker.mail.quoted import without_our_footers
from worker.mail.transport import fit_for_the_wire

FOOTERS = {
    "fr": Footer(("Vous êtes membre\0M0\0.", "..."), "Quitter :", b"https://x.fr/u/\0U\0"),
    "en": Footer((".\0M1\0", "--b"), "Leave:", b"https://x.fr/u/\0U\0"),
}
READER = Personal(b"r" * 32, b"u" * 32, "a@x.fr", (".Jérôme <b>", "\u202e."))
TOKEN = b"q" * 32
BODY_PIECES = [
    *PIECES,
    *(b"/u/" + TOKEN, b"unsubscribe-" + TOKEN + b"@x.fr", b"X-Relais-Ref: " + TOKEN + b"\r\n"),
    *(b"> Vous recevez ce message\r\n", b"You get this message ", b"\r\n-- \r\n", b"\r\n.\r\n"),
    *(b"<div>", b"</div>", b"</body>", b"<!--", b"-->", b"<a href='", b"</a>", b"&#99999999999;"),
    *(b"a" * 999, b"\r\n--c\r\n", b"Content-Type: text/html; charset=utf-16\r\n"),
    *(b"Content-Type: text/html\r\n", b"Content-Type: text/plain; format=flowed; delsp=yes\r\n"),
    b'Content-Disposition: attachment; filename="\xe9t\xe9"\r\n',
]
MIXED = b'From: a@x.fr\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
NESTED = b"Content-Type: message/rfc822\r\n\r\n"


def bodies_of(raw: bytes) -> list[bytes]:
    """Return the body of the copies of *raw*, in each language, as on the wire."""
    edited = add_footer(without_our_footers(fit_for_the_wire(raw)), FOOTERS)
    _, at = scan_fields(edited, 0, len(edited))
    frozen = freeze(b"", edited[at:])
    return [read_template(for_reader(frozen, lang)).copy(READER) for lang in FOOTERS]


def assert_same_parts(raw: bytes) -> None:
    """Making a message fit, and taking tokens out, neither adds nor removes parts."""
    raw = without_nul(raw)  # It may hide a delimiter.
    fit = fit_for_the_wire(raw)
    depths = [part.depth for part in entities(raw)]

    assert fit_for_the_wire(fit) == fit
    assert [part.depth for part in entities(fit)] == depths
    assert [part.depth for part in entities(without_our_footers(fit))] == depths


def assert_fit(wire: bytes) -> None:
    """CRLF only, short lines, no NUL, and no line that ends the data."""
    lines = wire.split(b"\r\n")
    assert b"\0" not in wire
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= 999  # With a dot that was stuffed.
    assert not re.search(rb"(?m)^\.(?!\.)", wire)


@QUICK
@given(st.lists(st.sampled_from(BODY_PIECES), max_size=60).map(b"".join))
def test_any_order_of_pieces(pieces: bytes) -> None:
    """What looks like mail becomes a copy, and a copy of that copy leaks nothing."""
    for raw in (pieces, SEED + pieces, MIXED + b"--b\r\n" + pieces):
        assert_same_parts(raw)
        for wire in bodies_of(raw):
            assert_fit(wire)


def test_mutations() -> None:
    """A message with bytes changed, cut, doubled and moved."""
    seed = SEED.replace(b"multipart/report", b"multipart/mixed") + b"".join(BODY_PIECES[-20:])
    for raw in accidents(seed, BODY_PIECES, count=800, seed=20261127):
        assert_same_parts(raw)
        for wire in bodies_of(raw):
            assert_fit(wire)


@QUICK
@given(st.text(max_size=400))
def test_any_html(source: str) -> None:
    """Any text has a text."""
    text_of(source)


HTML = b"Content-Type: text/html\r\n\r\n"
PAGE = b"https://x.fr/u/" + TOKEN
HOSTILE = {
    "parts": MIXED + b"--b\r\n\r\nx\r\n" * 200_000,
    "depth": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(2000)
    ),
    "attached depth": NESTED * 5000,
    "boundaries": MIXED + b"--b\r\n" * 300_000,
    "almost boundaries": MIXED + b"--b\r\n\r\n" + b"\r\n--bx" * 200_000 + b"\r\n--b--",
    "parameters": b"Content-Type: text/plain" + b"; a*0=\xe9" * 10_000 + b"\r\n\r\nx",
    "quotes": b"Content-Disposition: attachment; filename=" + b'"' * 20_000 + b"\r\n\r\nx",
    "fields of a part": MIXED
    + b"--b\r\n"
    + b"".join(b"x%x: \xe9\r\n" % n for n in range(25_000))
    + b"\r\nx\r\n--b--",
    "one line": b"\r\n" + b"x" * 1_000_000,
    "long lines": b"\r\n" + (b"x" * 997 + b"\r\n") * 1000,
    "hyphens": b"Content-Transfer-Encoding: base64\r\n\r\n" + b"LS0tLS0t" * 100_000,
    "CR": b"\r\n" + b"\r" * 500_000,
    "LF": b"\r\n" + b"\n" * 500_000,
    "NUL": b"\r\n" + b"\0" * 500_000,
    "links": b"\r\n" + (PAGE + b"\r\n") * 20_000,
    "links in a line": b"\r\n" + PAGE * 20_000,
    "openings": b"\r\n" + b"You get this message\r\n" * 40_000,
    "openings and links": b"\r\n" + (b"You get this message\r\n" + PAGE + b"\r\n") * 15_000,
    "half an opening": b"\r\nYou " + b" " * 500_000,
    "quote marks": b"\r\n" + b"> " * 500_000 + PAGE,
    "http": b"\r\n" + b"http://" * 100_000,
    "prefixes": b"\r\n" + b"unsubscribe-" * 80_000,
    "references": b"\r\nX-Relais-Ref:" + b" " * 500_000,
    "HTML links": HTML + (b'<a href="' + PAGE + b'">') * 15_000,
    "HTML openings": HTML + b"You get this message <br>" * 40_000 + PAGE,
    "HTML divs": HTML + b"<div>" * 200_000 + b"You get this message " + PAGE,
    "HTML tags": HTML + b"<" * 500_000,
    "HTML open tag": HTML + b"<a " * 300_000,
    "HTML comments": HTML + b"<!--" * 200_000,
    "HTML styles": HTML + b"<style>" * 150_000,
    "HTML bodies": HTML + b"</body>" * 150_000,
    "HTML quotes": HTML + b"<blockquote>" * 80_000 + b"<br>" * 20_000,
    "HTML anchors": HTML + b"<a href=http://x>x" * 50_000,
    "HTML references": HTML + b"&#" + b"9" * 500_000,
    "HTML ampersands": HTML + b"&" * 500_000,
    "HTML spaces": HTML + b"<p" + b" " * 500_000,
    "HTML attributes": HTML + b"<a " + b"href='" * 80_000 + b">",
}
# Seconds per octet, on a slow machine; what is quadratic takes hundreds of times that.
SLOWEST = 1e-5


@pytest.mark.timeout(60)
@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bodies(raw: bytes) -> None:
    """What is made to make a reader backtrack is read like anything else."""
    begun = time.process_time()
    copies = bodies_of(raw)

    assert time.process_time() - begun < 0.5 + len(raw) * SLOWEST
    for wire in copies:
        assert_fit(wire)
