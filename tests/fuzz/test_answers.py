"""Answers of people: any input, no exception, no yes or no out of nowhere, bounded time."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.mail.answer import Meaning, beginning_of, read_answer, read_stop
from worker.mail.header import read_message
from worker.mail.written_at import written_at

QUICK = settings(
    database=None,
    deadline=None,
    derandomize=True,
    max_examples=200,
    suppress_health_check=[HealthCheck.too_slow],
)

PIECES = [
    *(b"ok", b"OK\r\n", b"oui", b"non", b"NON : ", b"no", b"n", b"merci", b"mais"),
    *(b"\xf0\x9f\x91\x8d", b"Bonjour,", b"-- \r\n", b"--\r\n", b"---", b"____"),
    *(b"> ", b"> ok\r\n", b">", b"<", b"=", b"&gt;", b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t"),
    *(b"\xc2\xa0", b"\xe2\x80\x8b", b"\xff", b"\xc3", b"Le 1", b"a \xc3\xa9crit :"),
    *(b"Le 23/11/2026 \xc3\xa0 10:30, x a \xc3\xa9crit :\r\n", b"On 1 wrote:"),
    *(b"De : x\r\n", b"Envoy\xc3\xa9 : y\r\n", b"From: x\r\nSent: y\r\n"),
    *(b"-----Message d'origine-----\r\n", b"Envoy\xc3\xa9 de mon iPhone\r\n", b"Sent from my "),
    *(b"Date: ", b"Mon, 23 Nov 2026 10:30:00 +0100", b"base64", b"\r\n\r\n"),
    *(b"Content-Type: text/plain; charset=utf-8\r\n", b"Content-Type: text/html\r\n"),
    *(b"Content-Transfer-Encoding: base64\r\n", b"--b\r\n"),
    b"Content-Type: multipart/mixed; boundary=b\r\n",
    *(b"<p>", b"</p>", b"<br>", b"<style>", b"</style>", b"<!--", b"-->"),
    *(b"<blockquote>", b"</blockquote>"),
]


def _read(raw: bytes) -> Meaning:
    """Read *raw*; what is promised of any input is asserted here."""
    answer = read_answer(raw)
    assert len(answer.reason) <= 500
    assert answer.meaning is Meaning.NO or not answer.reason
    assert answer.reason == " ".join(answer.reason.split())
    # Stored in PostgreSQL, which refuses a NUL, and as UTF-8.
    assert "\0" not in answer.reason
    answer.reason.encode()
    stop = read_stop(raw)
    assert stop.meaning in (Meaning.STOP, Meaning.UNCLEAR)
    assert len(stop.reason) <= 500
    shown = beginning_of(raw)
    assert shown.count("\n") < 20
    assert all(line.startswith("> ") and len(line) <= 202 for line in shown.split("\n") if shown)
    assert "\0" not in shown
    shown.encode()
    return answer.meaning


@QUICK
@given(st.binary(max_size=2000))
def test_any_bytes(raw: bytes) -> None:
    """Noise is read without an exception."""
    _read(raw)


@QUICK
@given(st.text(max_size=500))
def test_any_text(text: str) -> None:
    """Every character that there is."""
    _read(b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text.encode("utf-8", "replace"))
    _read(b"Content-Type: text/html; charset=utf-8\r\n\r\n" + text.encode("utf-8", "replace"))


@QUICK
@given(st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join))
def test_any_order_of_pieces(raw: bytes) -> None:
    """What looks like an answer, in an order that nobody writes."""
    _read(raw)


QUOTE = [
    *("> ok\n", "> oui\n", ">OK\n", "> NON : x\n", "> Bonjour,\n", "> > ok\n", ">\n", "> -- \n"),
    *("\n", "\u00a0\n", "Le 23/11/2026 à 10:30, x a écrit :\n", "On 23/11/2026, x wrote:\n"),
]


@QUICK
@given(st.lists(st.sampled_from(QUOTE), max_size=12).map("".join))
def test_a_marked_quote_says_nothing(text: str) -> None:
    """However it is put together."""
    raw = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text.encode()

    assert _read(raw) in (Meaning.EMPTY, Meaning.UNCLEAR)


DOUBTS = ["mais pas avant lundi", "Non, finalement", "attendez !", "but not now", "Stop"]


@QUICK
@given(
    st.sampled_from(["ok", "OK,", "Oui.", "d'accord"]),
    st.lists(st.sampled_from(["Marie", "", "Bonne journée", "> ok", "> non"]), max_size=6),
    st.sampled_from(DOUBTS),
)
def test_a_yes_that_is_taken_back(yes: str, between: list[str], doubt: str) -> None:
    """On any later line that is their own."""
    text = "\n".join([yes, *between, "", doubt])
    raw = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text.encode()

    assert _read(raw) is Meaning.UNCLEAR


DATE = [
    *("Mon,", "23", "Nov", "2026", "0001", "99999", "10:30:00", "25:61:61", "+0100", "-9999"),
    *("GMT", ":", "(", "+", "-", " ", "\u0663"),
]


@QUICK
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(DATE), max_size=10).map(" ".join)))
def test_any_date(date: str) -> None:
    """A moment in UTC, or none."""
    moment = written_at(read_message(b"Date: " + date.encode("utf-8", "replace") + b"\r\n\r\nx"))

    assert moment is None or moment.utcoffset() is not None


PLAIN = b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
HTML = b"Content-Type: text/html; charset=utf-8\r\n\r\n"
HOSTILE = {
    "oks": (PLAIN, b"ok " * 33_000 + b"x"),
    "marks behind an ok": (PLAIN, b"ok" + b"!" * 100_000 + b"x"),
    "spaces behind an ok": (PLAIN, b"ok" + b" " * 100_000 + b"x"),
    "no, no, no": (PLAIN, b"no" + b", no" * 25_000 + b" x"),
    "what is to be stopped": (PLAIN, b"stop" + b" this message it" * 6000 + b" x"),
    "wishes to stop": (PLAIN, b"merci de " * 11_000),
    "dots behind a no": (PLAIN, b"no" + b". " * 50_000 + b"1"),
    "dashes": (PLAIN, b"-" * 100_000 + b"x"),
    "dash lines": (PLAIN, b"--\n" * 33_000),
    "decoration": (PLAIN, b"_ " * 50_000 + b"x"),
    "quotes": (PLAIN, b">" * 100_000),
    "quote lines": (PLAIN, b"> x\n" * 25_000),
    "introductions": (PLAIN, b"le 1 a \xc3\xa9crit " * 7000),
    "introductions, folded": (PLAIN, b"le 1 x\n" * 14_000),
    "headers": (PLAIN, b"de : x\n" * 14_000),
    "separators": (PLAIN, b"--- message original " * 5000),
    "signatures": (PLAIN, b"sent from my iphone " * 5000 + b"x"),
    "links": (PLAIN, b"sent <http:" * 9000),
    "greetings": (PLAIN, b"bonjour \xc3\xa0 tous " * 7000),
    "combining marks": (PLAIN, "e\u0301\u0323".encode() * 20_000),
    "invisible": (PLAIN, "\u200b".encode() * 33_000),
    "empty lines": (PLAIN, b"\n" * 100_000),
    "angles": (HTML, b"<" * 100_000),
    "open breaks": (HTML, b"<br" * 33_000),
    "open styles": (HTML, b"<style" * 16_000),
    "styles": (HTML, b"<style>" * 14_000),
    "comments": (HTML, b"<!--" * 25_000),
    "quoted": (HTML, b"<blockquote>" * 8000),
    "unquoted": (HTML, b"</blockquote>" * 8000),
    "entities": (HTML, b"&#38;" * 20_000),
    "an entity's number": (HTML, b"&#" + b"9" * 100_000),
    "open entities": (HTML, b"&" * 100_000),
    "paragraphs": (HTML, b"<p>" * 33_000),
    "a megabyte": (HTML, b"<p>x</p>" * 125_000),
    "words of a date": (b"Date: ", b"1 " * 50_000),
}


# A reader that backtracks would not come back within the day, let alone a minute.
@pytest.mark.timeout(60)
@pytest.mark.parametrize(("head", "tail"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_input_is_read(head: bytes, tail: bytes) -> None:
    """100 kB made to make a reader backtrack are read like any others."""
    meaning = _read(head + tail)
    written_at(read_message(head + tail))

    assert meaning is not Meaning.YES
