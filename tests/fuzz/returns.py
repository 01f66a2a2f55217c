"""Real returns, mutated, through the reader of returns: no exception, and no time to speak of.

    python -m tests.fuzz.returns --count 2000000 --seed 1
    python -m tests.fuzz.returns --show NUMBER --seed 1     the bytes of one of them

Bytes are flipped, lines doubled, fields folded, charsets and encodings changed,
two returns spliced, reports nested, short pieces repeated ten thousand times; one
in ten is made of pieces alone. What raised, what took more than 50 ms of CPU and
what was slowest is saved in --offenders. One in a thousand is of one megabyte:
there the time for each 64 kB is looked at.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import random
import re
import signal
import sys
import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from worker.mail.dsn import RECIPIENTS_LIMIT, REFERENCES_LIMIT
from worker.mail.returns import read_return

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from worker.mail.dsn import Return

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
FOLDERS = ("bounces", "complaints", "autoreplies")
SIZE_LIMIT_BYTES = 64 * 1024
LARGE_BYTES = 1024 * 1024
CPU_LIMIT_SECONDS = 0.050
HANGS_AFTER_SECONDS = 20.0
_LARGE_EACH = 1000
_PIECES_EACH = 10
_CHUNK = 2000
_SAVED_AT_MOST = 200

FIELDS = (
    b"Return-Path: <>", b"From: MAILER-DAEMON@mx.fr (Mail Delivery System)", b"To: <a@l.fr>",
    b"Subject: Undelivered Mail Returned to Sender", b"Subject: Delayed Mail (still being retried)",
    b"Subject: =?utf-8?q?R=C3=A9ponse_automatique?=", b"Auto-Submitted: auto-replied",
    b"X-Failed-Recipients: a@b.fr, c@d.fr", b"X-HmXmrOriginalRecipient: a@b.fr",
    b"X-Relais-Ref: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", b"Message-ID: <1@l.fr>",
    b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"',
    b"Content-Type: multipart/report; report-type=feedback-report; boundary=b",
    b"Content-Type: multipart/report; report-type=disposition-notification; boundary=b",
    b"Content-Type: multipart/mixed; boundary=b", b"Content-Type: message/delivery-status",
    b"Content-Type: message/feedback-report", b"Content-Type: message/rfc822",
    b"Content-Type: text/rfc822-headers", b"Content-Type: text/html; charset=utf-16",
    b"Content-Type: text/plain; charset=iso-2022-jp", b"Content-Type: message/partial",
    b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: quoted-printable",
    b"Reporting-MTA: dns; mx.fr", b"Original-Envelope-Id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    b"Arrival-Date: Fri, 27 Nov 2026 10:00:00 +0100", b"Final-Recipient: rfc822; a@b.fr",
    b"Original-Recipient: rfc822;a+2Bc@b.fr", b"Action: failed", b"Action: delayed",
    b"Status: 5.1.1", b"Status: 4.2.2 (full)", b"Remote-MTA: dns; mx.b.fr",
    b"Diagnostic-Code: smtp; 550 5.1.1 <a@b.fr>: Recipient address rejected: User unknown",
    b"Diagnostic-Code: X-Postfix; host mx.b.fr[192.0.2.1] said: 552-5.2.2 full 552 5.2.2 full",
    b"Will-Retry-Until: Fri, 4 Dec 2026 10:00:00 +0100", b"Feedback-Type: abuse",
    b"Original-Rcpt-To: <a@b.fr>", b"Removal-Recipient: a@b.fr", b"User-Agent: x/1",
)  # fmt: skip
WORDS = (
    b"Hi. This is the qmail-send program at mx.fr.", b"<a@b.fr>:", b"<a@b.fr>: unknown user",
    b"I'm afraid I wasn't able to deliver your message to the following addresses.",
    b"This message was created automatically by mail delivery software.",
    b"A message that you sent could not be delivered to one or more of its recipients.",
    b"   ----- The following addresses had permanent fatal errors -----",
    b"   ----- Transcript of session follows -----", b"... while talking to mx.b.fr.:",
    b">>> RCPT To:<a@b.fr>", b"<<< 550 5.1.1 unknown", b"550 5.1.1 <a@b.fr>... User unknown",
    b"------ This is a copy of the message, including all the headers. ------",
    b"--- Below this line is a copy of the message.", b"The original message follows:",
    b"Your message did not reach some or all of the intended recipients.",
    b"The following recipient(s) could not be reached:", b"a@b.fr on 27/11/2026 10:00",
    b"Delivery to the following recipient failed permanently:", b"     a@b.fr",
    b"Delivery has been delayed. No action is required; will retry for 4 days. Giving up.",
    b"Votre message n'a pas pu \xc3\xaatre remis \xe0 a@b.fr", b"(reason: 550 5.1.1)",
    b"Je suis absent jusqu'au 12.", b"host mx.b.fr[192.0.2.1]: 452 4.2.2 Mailbox full",
    b"Generating server: mx.fr", b"#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##",
    b"=5F=C3=A9", b"SU4gQkFTRTY0IGFAYi5mciA1NTAgNS4xLjE=",
)  # fmt: skip
PIECES = (
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n \n", b"\n>", b"\0", b" ", b"\t", b"-", b"--b"),
    *(b"\r\n--b\r\n", b"\r\n--b--\r\n", b"\r\n--b\r\n\r\n", b'"', b"\\", b"(", b")", b"<", b">"),
    *(b"@", b"a@", b"a@b.fr", b"<a@b.fr>", b"a@b.fr, ", b"a.", b"a@b.", b";", b":", b"rfc822;"),
    *(b"=?", b"?=", b"=?utf-8?q?a?= ", b"=?utf-8?b?", b"&#", b"&lt;", b"<a", b"<br>", b"</", b"=_"),
    *(b"5", b"5.", b"5.1.1 ", b"550 ", b"550-", b"550 5.1.1 ", b"4.2.2", b"#5.1.1", b"<!--"),
    *(b"\xff", b"\xc3", b"\xe9", b"\xf0\x9f\x98\x80", b"+4A-", b"\x1b$B", b"x" * 70, b"> "),
    *(b"original message ", b"failed ", b"the following ", b"recipient ", b"n'a pas ", b"said: "),
    *(b"delivery ", b"returned ", b"message ", b"host ", b"to ", b"on "),
)
CHARSETS = (
    *(b"utf-8", b"us-ascii", b"iso-8859-1", b"iso-8859-15", b"windows-1252", b"koi8-r", b"utf-7"),
    *(b"utf-16", b"utf-32le", b"iso-2022-jp", b"gb2312", b"big5", b"euc-kr", b"x-unknown", b"idna"),
    *(b"base64", b"rot13", b"punycode", b"unicode_escape", b'"utf-8', b"\xff", b"", b"u" * 500),
)  # fmt: skip
ENCODINGS = (
    *(b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable", b"x-uuencode", b"uuencode"),
    *(b"BASE64 (x)", b"quoted printable", b"x" * 200, b""),
)
REPORT_TYPES = (
    *(b"delivery-status", b"feedback-report", b"disposition-notification", b"x", b'"', b""),
)

_WRITTEN = (
    (re.compile(rb'(?i)charset\s*=\s*("[^"\r\n]*"|[^\s;]*)'), CHARSETS),
    (re.compile(rb"(?i)content-transfer-encoding:[ \t]*([^\r\n]*)"), ENCODINGS),
    (re.compile(rb'(?i)report-type\s*=\s*("[^"\r\n]*"|[^\s;]*)'), REPORT_TYPES),
)
_WHITE = re.compile(rb"[ \t]")


class Worst(NamedTuple):
    """The slowest of its kind."""

    seconds: float
    number: int


NONE = Worst(0.0, -1)


@dataclass
class Figures:
    """What came of a run, or of a part of one."""

    count: int = 0
    returns: int = 0  # Taken for a return all the same: else the reader would not be tried.
    broken: dict[int, str] = field(default_factory=dict)  # By number: what it raised.
    slow: dict[int, float] = field(default_factory=dict)  # By number: seconds of CPU.
    slowest: Worst = NONE
    large: int = 0
    slowest_large: Worst = NONE  # For each 64 kB of it.

    def add(self, part: Figures) -> None:
        """Add what came of another part."""
        self.count += part.count
        self.returns += part.returns
        self.large += part.large
        self.broken |= part.broken
        self.slow |= part.slow
        self.slowest = max(self.slowest, part.slowest)
        self.slowest_large = max(self.slowest_large, part.slowest_large)


def seeds() -> list[bytes]:
    """Return the returns of the corpus, in a fixed order."""
    files = sorted(file for name in FOLDERS for file in (CORPUS / name).rglob("*.eml"))
    return [file.read_bytes()[:SIZE_LIMIT_BYTES] for file in files]


def is_large(number: int) -> bool:
    """Tell whether return *number* is one of the large ones."""
    return number % _LARGE_EACH == _LARGE_EACH - 1


def mutant(number: int, originals: Sequence[bytes], *, seed: int) -> bytes:
    """Return return *number*: one of *originals* after a few accidents, or pieces alone."""
    chance = random.Random(f"{seed}:{number}")
    limit = LARGE_BYTES if is_large(number) else SIZE_LIMIT_BYTES
    raw = bytearray(
        chance.choice(originals) if chance.randrange(_PIECES_EACH) else _of_pieces(chance)
    )
    for _ in range(chance.randint(1, 6)):
        chance.choice(_ACCIDENTS)(raw, chance, originals)
        del raw[limit:]
    if is_large(number):
        _fill(raw, chance, originals, limit)
    return bytes(raw)


def _of_pieces(chance: random.Random) -> bytes:
    header = chance.choices(FIELDS, k=chance.randint(1, 9))
    body = chance.choices((*FIELDS, *WORDS, b"--b", b"", b"", b"--b--"), k=chance.randint(0, 60))
    return chance.choice((b"\r\n", b"\n")).join([*header, b"", *body, b""])


def _span(raw: bytearray, chance: random.Random, longest: int) -> tuple[int, int]:
    at = chance.randrange(len(raw) + 1)
    return at, min(len(raw), at + chance.randint(1, longest))


def _line_at(raw: bytearray, at: int) -> tuple[int, int]:
    return raw.rfind(b"\n", 0, at) + 1, raw.find(b"\n", at) + 1 or len(raw)


def _end_of_header(raw: bytearray) -> int:
    return raw.find(b"\n\r\n") + 1 or raw.find(b"\n\n") + 1 or len(raw)


def _flip(raw: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    for _nth in range(min(chance.randint(1, 40), len(raw))):
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)


def _double_a_line(raw: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    at, to = _line_at(raw, chance.randrange(len(raw) + 1))
    raw[at:at] = raw[at:to] * chance.choice((1, 1, 1, 2, 10, _often(chance)))


def _cut(raw: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    at, to = _span(raw, chance, 2000)
    del raw[at : to if chance.randrange(4) else len(raw)]


def _put_a_piece(raw: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    at, to = _span(raw, chance, 3)
    piece = chance.choice(PIECES)
    if chance.randrange(2):
        piece = chance.choice((*FIELDS, *WORDS)) + chance.choice((b"\r\n", b"\n", b""))
        at = to = _line_at(raw, at)[0]
    raw[at : to if chance.randrange(2) else at] = piece


def _splice(raw: bytearray, chance: random.Random, originals: Sequence[bytes]) -> None:
    other = chance.choice(originals)
    begin, at = chance.randrange(len(other) + 1), chance.randrange(len(raw) + 1)
    match chance.randrange(3):
        case 0:
            raw[at:] = other[begin:]
        case 1:
            raw[at:at] = other[begin : begin + 2000]
        case _:
            at = _line_at(raw, at)[0]
            begin = other.rfind(b"\n", 0, begin) + 1
            raw[at:at] = other[begin : begin + 2000]


def _fold(raw: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    fold = chance.choice((b"\r\n ", b"\n\t", b"\r\n \r\n ", b"\r ", b"\n" + b" " * 200))
    every = chance.randint(1, 6)
    reach = _end_of_header(raw) if chance.randrange(2) else len(raw)
    words = _WHITE.split(raw[:reach])
    ends = [fold if nth % every == 0 else b" " for nth in range(len(words) - 1)]
    raw[:reach] = b"".join(
        octets for pair in zip_longest(words, ends, fillvalue=b"") for octets in pair
    )


def _change_a_charset(raw: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    for pattern, words in _WRITTEN:
        found = list(pattern.finditer(raw))
        if found and chance.randrange(2):
            raw[slice(*chance.choice(found).span(1))] = chance.choice(words)


def _change_line_ends(raw: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    ends = (b"\n", b"\r\n", b"\r", b"\r\r\n", b"\n\n", b"\n> ", b"", b" ")
    old, new = chance.choice(((b"\r\n", b"\n"), (b"\n", chance.choice(ends))))
    at, to = _span(raw, chance, chance.choice((300, SIZE_LIMIT_BYTES)))
    raw[at:to] = raw[at:to].replace(old, new)


def _repeat(raw: bytearray, chance: random.Random, originals: Sequence[bytes]) -> None:
    """Put a short piece, of ours or of any return, hundreds or thousands of times."""
    at = chance.randrange(len(raw) + 1)
    if chance.randrange(3):
        at = _line_at(raw, at)[0]
    raw[at:at] = _short(chance, originals) * _often(chance)


def _often(chance: random.Random) -> int:
    # Most are small, so that there is time for many; what grows faster than its
    # input shows in the few large ones.
    return chance.choice((3, 3, 3, 20, 20, 100)) if chance.randrange(8) else 10_000


def _short(chance: random.Random, originals: Sequence[bytes]) -> bytes:
    if chance.randrange(2):
        return b"".join(chance.choices(PIECES, k=chance.randint(1, 3)))
    other = chance.choice(originals)
    begin = chance.randrange(len(other) + 1)
    if chance.randrange(2):
        begin = other.rfind(b"\n", 0, begin) + 1
    return other[begin : begin + chance.randint(1, 80)]


def _name_thousands(raw: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    form = chance.choice(
        (
            b"Final-Recipient: rfc822; u%d@b.fr\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n",
            b"Original-Recipient: rfc822;u%d@b.fr\r\n", b"<u%d@b.fr>:\r\n550 unknown\r\n\r\n",
            b"    u%d@b.fr\r\n", b"X-Failed-Recipients: u%d@b.fr\r\n", b"u%d@b.fr, ",
            b"X-Relais-Ref: %032d\r\n", b"Original-Rcpt-To: u%d@b.fr\r\n",
        )
    )  # fmt: skip
    at = _line_at(raw, chance.randrange(len(raw) + 1))[0]
    raw[at:at] = b"".join(form % n for n in range(min(5000, _often(chance))))


def _nest(raw: bytearray, chance: random.Random, originals: Sequence[bytes]) -> None:
    """Put the return into another report, or another return into it."""
    kind = chance.choice(
        (b"message/rfc822", b"message/delivery-status", b"text/rfc822-headers", b"text/plain")
    )
    inner = bytes(raw) if chance.randrange(2) else chance.choice(originals)
    boundary = b"%x" % chance.getrandbits(32)
    inside = inner[: SIZE_LIMIT_BYTES // 2]
    for _nth in range(chance.choice((1, 1, 1, 3, 30))):
        inside = (
            b"Return-Path: <>\r\nFrom: mailer-daemon@mx.fr\r\nSubject: failure notice\r\n"
            b"Content-Type: multipart/report; report-type=delivery-status; boundary=%s\r\n\r\n"
            b"--%s\r\nContent-Type: %s\r\n\r\n%s\r\n--%s--\r\n"
            % (boundary, boundary, kind, inside, boundary)
        )
    if chance.randrange(2):
        raw[:] = inside
    else:
        at = _line_at(raw, chance.randrange(len(raw) + 1))[0]
        raw[at:at] = inside


def _fill(raw: bytearray, chance: random.Random, originals: Sequence[bytes], limit: int) -> None:
    """Let *raw* grow to *limit* in one place, where it is or in what comes again and again."""
    short = _short(chance, originals) or b"x"
    at = _line_at(raw, chance.randrange(len(raw) + 1))[0]
    raw[at:at] = short * ((limit - len(raw)) // len(short))


_ACCIDENTS: tuple[Callable[[bytearray, random.Random, Sequence[bytes]], None], ...] = (
    _flip,
    _double_a_line,
    _cut,
    _put_a_piece,
    _put_a_piece,
    _splice,
    _splice,
    _fold,
    _change_a_charset,
    _change_line_ends,
    _repeat,
    _name_thousands,
    _nest,
)


def wrong_with(found: Return) -> str:
    """Name what a reading may not have, or ""."""
    texts = [found.original_envelope_id, found.reporting_mta, found.message_id, found.family]
    texts += [found.feedback_type, *found.references]
    for report in found.recipients:
        texts += [report.final_recipient, report.original_recipient, report.diagnostic]
        texts += [report.action, report.status]
    faults = {
        "no recipient": not all(report.final_recipient for report in found.recipients),
        "too many recipients": len(found.recipients) > RECIPIENTS_LIMIT,
        "too many references": len(found.references) > REFERENCES_LIMIT,
        "a lone surrogate": any(re.search("[\ud800-\udfff]", text) for text in texts),
    }
    return ", ".join(name for name, holds in faults.items() if holds)


class _Hangs(Exception):
    """A return was still being read after many seconds of CPU."""


@contextmanager
def _alarm() -> Iterator[None]:
    """Raise _Hangs where a reading never ends; regular expressions look for signals, too."""

    def raise_it(*_: object) -> None:
        raise _Hangs(f"still reading after {HANGS_AFTER_SECONDS:.0f} s of CPU")

    before = signal.signal(signal.SIGPROF, raise_it)
    signal.setitimer(signal.ITIMER_PROF, HANGS_AFTER_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def read_some(numbers: Iterable[int], originals: Sequence[bytes], *, seed: int) -> Figures:
    """Read the returns with *numbers*."""
    figures = Figures()
    for number in numbers:
        raw = mutant(number, originals, seed=seed)
        figures.count += 1
        try:
            found, seconds = _timed(raw)
        except Exception as error:  # noqa: BLE001 - which ones there are is the question
            figures.broken[number] = _where(error)
            continue
        figures.returns += found is not None
        if found is not None and (wrong := wrong_with(found)):
            figures.broken[number] = wrong
        _note_time(figures, number, len(raw), seconds)
    return figures


def _note_time(figures: Figures, number: int, size_bytes: int, seconds: float) -> None:
    if is_large(number):
        figures.large += 1
        seconds = seconds * SIZE_LIMIT_BYTES / max(size_bytes, SIZE_LIMIT_BYTES)
        figures.slowest_large = max(figures.slowest_large, Worst(seconds, number))
    else:
        figures.slowest = max(figures.slowest, Worst(seconds, number))
    if seconds > CPU_LIMIT_SECONDS:
        figures.slow[number] = seconds


def _timed(raw: bytes) -> tuple[Return | None, float]:
    """Return what is read in *raw*, and the CPU that it takes."""
    found, seconds = _timed_once(raw)
    if seconds > CPU_LIMIT_SECONDS / 2:
        # Other programs on the machine empty our caches; a slow reader is slow again.
        seconds = min(seconds, *(_timed_once(raw)[1] for _ in range(2)))
    return found, seconds


def _timed_once(raw: bytes) -> tuple[Return | None, float]:
    with _alarm():
        begun = time.process_time()
        found = read_return(raw)
        return found, time.process_time() - begun


def _where(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"[:300]


_originals: list[bytes] = []  # Of this process.


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _originals[:] = seeds()
    gc.collect()
    gc.freeze()


def _read_chunk(chunk: tuple[range, int]) -> Figures:
    numbers, seed = chunk
    return read_some(numbers, _originals, seed=seed)


def run(
    count: int,
    *,
    seed: int,
    processes: int,
    progress: Callable[[Figures], None] = lambda _figures: None,
) -> Figures:
    """Read *count* returns in *processes*; *progress* is told of each chunk."""
    chunks = [(range(at, min(at + _CHUNK, count)), seed) for at in range(0, count, _CHUNK)]
    figures = Figures()
    # A child starts anew: a fork would take the parent's threads half along.
    with multiprocessing.get_context("spawn").Pool(processes, _begin) as pool:
        for part in pool.imap_unordered(_read_chunk, chunks):
            figures.add(part)
            progress(figures)
    return figures


def save(found: Figures, folder: Path, *, seed: int) -> list[Path]:
    """Save what is to be looked at, with a list of the reasons; return the files."""
    reasons = {found.slowest.number: f"slowest, {found.slowest.seconds * 1000:.1f} ms"}
    per_64_kb = f"{found.slowest_large.seconds * 1000:.1f} ms for each 64 kB"
    reasons[found.slowest_large.number] = f"slowest of the large ones, {per_64_kb}"
    slow = sorted(found.slow.items(), key=lambda item: -item[1])
    reasons |= {number: f"{seconds * 1000:.1f} ms" for number, seconds in slow}
    reasons |= found.broken
    reasons.pop(NONE.number, None)
    folder.mkdir(parents=True, exist_ok=True)
    originals, files = seeds(), []
    for number in list(reasons)[:_SAVED_AT_MOST]:
        files.append(folder / f"{seed}-{number}.eml")
        files[-1].write_bytes(mutant(number, originals, seed=seed))
    told = [f"{seed}-{number}.eml: {why}\n" for number, why in reasons.items()]
    (folder / f"{seed}-reasons.txt").write_text("".join(told))
    return files


def told(found: Figures, seconds: float, *, seed: int) -> str:
    """Return the figures as people read them."""
    large = found.slowest_large
    lines = [
        f"seed {seed}: {found.count:,} returns in {seconds:.0f} s, {len(found.broken)} exceptions",
        f"still taken for a return: {found.returns:,}",
        f"over {CPU_LIMIT_SECONDS * 1000:.0f} ms of CPU: {len(found.slow)}",
        f"slowest: {found.slowest.seconds * 1000:.1f} ms, number {found.slowest.number}",
        f"{found.large:,} large ones: {large.seconds * 1000:.1f} ms each 64 kB, {large.number}",
        *(f"  {number}: {why}" for number, why in list(found.broken.items())[:50]),
    ]
    return "\n".join(lines) + "\n"


def _progress(figures: Figures) -> None:
    sys.stderr.write(
        f"\r{figures.count:,} read, {len(figures.broken)} exceptions, {len(figures.slow)} slow,"
        f" slowest {figures.slowest.seconds * 1000:.1f} ms "
    )


def main() -> int:
    """Read as many as were asked for, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--offenders", type=Path, default=Path("/tmp/offenders"))
    parser.add_argument("--show", type=int)
    asked = parser.parse_args()
    if asked.show is not None:
        sys.stdout.buffer.write(mutant(asked.show, seeds(), seed=asked.seed))
        return 0
    begun = time.perf_counter()
    found = run(asked.count, seed=asked.seed, processes=asked.processes, progress=_progress)
    sys.stderr.write("\n")
    sys.stdout.write(told(found, time.perf_counter() - begun, seed=asked.seed))
    save(found, asked.offenders, seed=asked.seed)
    return 1 if found.broken or found.slow else 0


if __name__ == "__main__":
    sys.exit(main())
