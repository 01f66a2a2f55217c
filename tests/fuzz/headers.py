"""Random names, titles and subjects into the header writer: no line that is not ours comes out.

    python -m tests.fuzz.headers --count 1000000 --seed 1

One in twenty goes through a whole preparation, as the header of a message.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from email import message_from_bytes

from worker.mail.address import display_name
from worker.mail.copy import Personal, for_reader, read_template
from worker.mail.footer import Footer
from worker.mail.header import read_message
from worker.mail.header_writer import LINE_LIMIT_OCTETS, encoded_text, field_line, mailbox
from worker.mail.list_headers import Author, Form, ListIdentity, ReplyTo
from worker.mail.preparation import prepare
from worker.mail.surgery import KEPT_FIELDS

NOW = datetime(2026, 11, 27, tzinfo=UTC)
OURS = {
    "from", "reply-to", "x-original-from", "list-id", "list-post", "list-help", "list-owner",
    "list-unsubscribe", "list-unsubscribe-post", "precedence", "x-auto-response-suppress",
    "x-ms-reactions", "feedback-id", "x-relais-ref", "message-id",
}  # fmt: skip
ALLOWED = OURS | set(KEPT_FIELDS)
ONCE = {"from", "to", "date", "subject", "message-id", "mime-version", "list-id", "x-relais-ref"}
PIECES = (
    "\r\n", "\n", "\r", "\0", "\r\n ", "\n\n", "\r\n\r\n", "\t", " ", "  ", "\u2028", "\u2029",
    "\x85", "\x0b", "\x0c", "\x1c", "\u202e", "\u2066", "\ud800", "\ufeff", "Bcc: e@e.fr",
    "\r\nBcc: e@e.fr", "\nSubject: x", "\r\n\r\n<script>", "=?utf-8?q?=0D=0ABcc:_e=40e.fr?=",
    "=?utf-8?b?DQpCY2M6IGVAZS5mcg==?=", "=?", "?=", "=?utf-7?q?x?=", '"', "\\", '\\"', "(", ")",
    "<", ">", "<x@y.fr>", "@", ",", ";", ":", "é", "Jean", "Dupont", "東京", "😀", "a" * 80,
    "b" * 1200, "x@y.fr\r\nDATA", "undisclosed-recipients:;", "RE: ", "[Comité]",
)  # fmt: skip
NAMES = (
    "From", "To", "Cc", "Bcc", "Subject", "Date", "Message-ID", "References", "In-Reply-To",
    "Reply-To", "Sender", "Content-Type", "Content-Transfer-Encoding", "MIME-Version", "Keywords",
    "Thread-Topic", "List-Id", "List-Unsubscribe", "Received", "DKIM-Signature", "X-Relais-Ref",
    "Disposition-Notification-To", "Importance", "Content-Description", "Resent-To",
)  # fmt: skip


def hostile_text(chance: random.Random) -> str:
    """Return a text as a stranger, or a broken member file, might have it."""
    pieces = [chance.choice(PIECES) for _ in range(chance.randint(0, 8))]
    if chance.random() < 0.3:
        pieces.append("".join(chr(chance.randrange(0x110000)) for _ in range(chance.randint(0, 9))))
    return "".join(pieces)


def hostile_message(chance: random.Random) -> bytes:
    """Return a message whose header is made of hostile texts."""
    lines = [
        f"{chance.choice(NAMES)}:{chance.choice((' ', '', chr(9)))}{hostile_text(chance)}"
        for _ in range(chance.randint(1, 12))
    ]
    end = chance.choice(("\r\n", "\n"))
    return end.join([*lines, "", "text", ""]).encode("utf-8", "surrogatepass")


def injected_by_the_writer(text: str) -> str:
    """Return what is wrong with fields written of *text*, "" if nothing is."""
    written = (
        field_line("Subject", encoded_text("Subject", text))
        + field_line("From", mailbox("From", text, "list@listes.example.fr"))
        + field_line("X-End", b"1")
    )
    return _flaw(written) or _differs(written, ["Subject", "From", "X-End"])


def injected_by_a_copy(chance: random.Random, raw: bytes) -> str:
    """Return what is wrong with the header of a copy of *raw*, "" if nothing is."""
    text = hostile_text(chance)
    identity = ListIdentity(
        local_part="comite",
        domain="listes.example.fr",
        title=hostile_text(chance),
        definition="comite",
        public_url="https://listes.example.fr",
        help_address="aide@example.fr",
        form=chance.choice(list(Form)),
        reply_to=chance.choice(list(ReplyTo)),
        subject_tag=chance.choice(("", "[Comité]", text)),
        name_field=chance.choice((None, 0)),
    )
    footer = Footer(("Liste Comité",), "Ne plus recevoir :", identity.unsubscribe_url)
    author = Author("jean@b.fr", display_name(read_message(raw)))
    frozen = prepare(raw, identity=identity, author=author, footers={"fr": footer}, now=NOW)
    personal = Personal(b"r" * 32, b"u" * 32, "a@b.fr", (hostile_text(chance),))
    copy = read_template(for_reader(frozen, "fr")).copy(personal)
    header = copy.partition(b"\r\n\r\n")[0] + b"\r\n"
    names = Counter(name.lower() for name in message_from_bytes(header + b"\r\n").keys())  # noqa: SIM118 - a message, no mapping
    if strange := set(names) - ALLOWED:
        return f"has {sorted(strange)}"
    if missing := [name for name in ONCE if names[name] != 1]:
        return f"has not exactly one {missing}"
    if repeated := [name for name, count in names.items() if count > 1]:
        return f"repeats {repeated}"
    return _flaw(header)


def _flaw(header: bytes) -> str:
    if not header.isascii():
        return "is not ASCII"
    bare = header.replace(b"\r\n", b"")
    if b"\r" in bare or b"\n" in bare or b"\0" in bare:
        return "has a bare line end or a NUL"
    if any(len(line) > LINE_LIMIT_OCTETS for line in header.split(b"\r\n")):
        return "has a line that is too long"
    if b"\r\n\r\n" in header or b"\r\n \r\n" in header:
        return "ends early"
    return ""


def _differs(header: bytes, names: list[str]) -> str:
    found = message_from_bytes(header + b"\r\n").keys()
    return "" if found == names else f"has the fields {found}"


def run(count: int, seed: int, *, progress: bool = False) -> list[str]:
    """Return what was wrong with *count* random fields."""
    chance = random.Random(seed)
    wrong = []
    for nth in range(count):
        if nth % 20:
            text = hostile_text(chance)
            flaw, what = injected_by_the_writer(text), repr(text)
        else:
            raw = hostile_message(chance)
            flaw, what = injected_by_a_copy(chance, raw), repr(raw)
        if flaw:
            wrong.append(f"{flaw}: {what}")
        if progress and nth % 50_000 == 0:
            sys.stderr.write(f"\r{nth:,} of {count:,}")
    return wrong


def main() -> int:
    """Run as many as asked for, and say what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.monotonic()
    wrong = run(asked.count, asked.seed, progress=True)
    for one in wrong[:20]:
        sys.stdout.write(one[:500] + "\n")
    seconds = time.monotonic() - began
    sys.stdout.write(f"\n{asked.count:,} fields, {len(wrong)} wrong, {seconds:.0f} s\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
