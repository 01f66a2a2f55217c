"""What becomes of every message of the shared corpus as a copy.

    python -m tests.corpus.copies [FOLDER]

One line per structure: how many messages, in how many texts the footer stands,
how many had none to stand in; then every check that failed, by file. Structures
are told by the standard library, so that our own reader is not its own judge.
"""

from __future__ import annotations

import codecs
import email
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from worker.mail import parts
from worker.mail.copy import Personal, for_reader, read_template
from worker.mail.footer import Footer
from worker.mail.list_headers import Author, ListIdentity
from worker.mail.preparation import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
FOLDERS = ("posts", "malformed")

COMITE = ListIdentity(
    local_part="comite",
    domain="listes.example.fr",
    title="Comité directeur",
    definition="committee",
    public_url="https://listes.example.fr",
    help_address="aide@example.fr",
)
FOOTERS = {
    "fr": Footer(
        ("Vous recevez ce message parce que vous êtes sur la liste « Comité ».",),
        "Pour ne plus recevoir cette liste :",
        COMITE.unsubscribe_url,
    ),
    "en": Footer(
        ("You get this message because you are on the list “Comité”.",),
        "To stop getting this list:",
        COMITE.unsubscribe_url,
    ),
}
OURS = Personal(reference=b"r" * 32, unsubscribe=b"u" * 32, address="anne@b.fr")
MEMBER = Personal(reference=b"q" * 32, unsubscribe=b"q" * 32, address="paul@b.fr")
ATTACHED = (
    b"From: jean@b.fr\r\nContent-Type: multipart/mixed; boundary=attached\r\n\r\n"
    b"--attached\r\nContent-Type: message/rfc822\r\n\r\n%b\r\n--attached--\r\n"
)
LINK = "https://listes.example.fr/u/" + "u" * 32
# Of others' copies, whatever slash or encoding it is in.
_TOKEN = re.compile(rb"(?:/[upcm]/|(?:return|unsubscribe|confirm|moderate)-)([a-z2-7]{32})")
_FOOTER = re.compile(
    r'\n<div class="relais-footer".*?</div>|(?m:^)-- \nVous recevez.*u{32}\Z', re.DOTALL
)
_AS_READ = {"iso-8859-1": "windows-1252", "gb2312": "gb18030", "us-ascii": "utf-8"}
ONCE = (
    "from", "reply-to", "to", "subject", "date", "message-id", "mime-version",
    "list-id", "list-post", "list-help", "list-owner", "list-unsubscribe",
    "list-unsubscribe-post", "precedence", "x-relais-ref", "feedback-id",
)  # fmt: skip
_SEALED = {
    "multipart/signed": "signed",
    "application/pkcs7-mime": "encrypted",
    "application/x-pkcs7-mime": "encrypted",
    "application/pgp-encrypted": "encrypted",
    "multipart/encrypted": "encrypted",
    "multipart/report": "report",
}

SEALED = ("signed", "encrypted", "report", "calendar")
ENCODINGS = ("7bit", "8bit", "binary", "quoted-printable", "base64")

# The standard library and we read these otherwise, and say so.
KNOWN = {
    "malformed/flanker/enclosed-bad-encoding.eml": "begins with a blank line: all is body",
    "malformed/flanker/enclosed-broken-body.eml": "the same",
    "malformed/flanker/enclosed-broken.eml": "the same",
    "malformed/flanker/enclosed-global.eml": "the same",
    "malformed/flanker/enclosed.eml": "the same",
    "malformed/mime4j/multi-badnames.eml": "a boundary is folded, which we undo",
    "malformed/mime4j/multi-simple.eml": "the same",
    "malformed/mime4j/obsolete.eml": "white space before a colon, which we accept",
    "malformed/mime4j/very-long-boundary.eml": "a boundary of 700 octets, which we do not accept",
}


@dataclass(frozen=True, slots=True)
class Copied:
    """A message of the corpus, and what was found out about its copy."""

    file: str
    structure: str
    footers: int
    failures: tuple[str, ...] = field(default=())


def messages(corpus: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each file of the folders that hold messages, and its bytes."""
    for folder in FOLDERS:
        for path in sorted((corpus / folder).rglob("*")):
            if path.is_file() and path.name != "labels.jsonl":
                yield str(path.relative_to(corpus)), path.read_bytes()


def copied(file: str, raw: bytes) -> Copied:
    """Make a copy of *raw*, and check it."""
    wire = rendered(raw, OURS)
    copy = wire.replace(b"\r\n..", b"\r\n.")
    normal = raw if b"\r\n" in raw else raw.replace(b"\n", b"\r\n")
    original, shown = email.message_from_bytes(normal), email.message_from_bytes(copy)
    failures = (
        *wire_failures(wire),
        *header_failures(shown),
        *content_failures(original, shown),
        *leaf_failures(normal, copy),
        *footer_failures(original, shown),
        *structure_failures(original, shown),
        *returned(raw),
    )
    return Copied(file, structure_of(original), len(with_footer(shown)), failures)


def rendered(raw: bytes, personal: Personal) -> bytes:
    """Return the copy of *raw* for one reader, as it goes over the wire."""
    frozen = prepare(
        raw,
        identity=COMITE,
        author=Author("jean@b.fr", "Jean"),
        footers=FOOTERS,
        now=datetime(2026, 11, 24, tzinfo=UTC),
    )
    return read_template(for_reader(frozen, "fr")).copy(personal)


def returned(raw: bytes) -> Iterator[str]:
    """Yield how a member's copy, sent to the list again, gives their token away."""
    copy = rendered(raw, MEMBER).replace(b"\r\n..", b"\r\n.")
    for way, sent in (("again", copy), ("attached", ATTACHED % copy)):
        wire = rendered(sent, OURS).replace(b"\r\n..", b"\r\n.")
        message = email.message_from_bytes(wire)
        if MEMBER.unsubscribe in all_that_can_be_read(message):
            yield f"sent {way}, a token is left"
        twice = [t for t in map(text_of, with_footer(message)) if t.count("Vous recevez") > 1]
        if twice and way == "again":
            yield "sent again, the footer stands twice"


def all_that_can_be_read(message: Message) -> bytes:
    """Return all headers and all leaves of *message*, decoded."""
    headers = [str(part.items()).encode("utf-8", "replace") for part in message.walk()]
    leaves = [
        content_of(leaf) + text_of(leaf).encode("utf-8", "replace") for leaf in leaves_of(message)
    ]
    return b"\n".join(headers + leaves)


def with_footer(copy: Message) -> list[Message]:
    """Return the leaves that show the footer."""
    return [leaf for leaf in leaves_of(copy) if LINK in text_of(leaf)]


def footer_failures(original: Message, copy: Message) -> Iterator[str]:
    """Yield where the footer is missing, and where it should not be."""
    wanted = [] if structure_of(original) in SEALED else wanted_in(copy)
    found = with_footer(copy)
    yield from (f"no footer in {leaf.get_content_type()}" for leaf in wanted if leaf not in found)
    yield from (f"a footer in {leaf.get_content_type()}" for leaf in found if leaf not in wanted)


def wanted_in(copy: Message) -> list[Message]:
    """Return the leaves that have to show the footer."""
    texts = shown_texts(copy)
    if not texts and copy.get_content_type() == "multipart/mixed" and copy.is_multipart():
        children = list(copy.walk())[1:]
        is_attachment = children[0].get_content_maintype() != "multipart"
        return [leaves_of(copy)[-1]] if is_attachment else []
    return [leaf for leaf in texts if is_understood(leaf)]


def is_understood(leaf: Message) -> bool:
    """Whether a text is in a charset and in an encoding that we know."""
    declared = str(leaf.get_content_charset("us-ascii"))
    known_type = "/" in str(leaf.get("content-type", "text/plain"))
    encoding = str(leaf.get("content-transfer-encoding", "7bit")).partition(";")[0]
    if encoding.strip().lower() not in ENCODINGS or not known_type or declared == "utf-7":
        return False
    try:
        codecs.lookup(declared)
        # A text without a charset can be read if it is ASCII or UTF-8.
        if declared == "us-ascii" and leaf.get_content_type() == "text/plain":
            content_of(leaf).decode("utf-8")
    except (LookupError, UnicodeError):
        return False
    return True


def wire_failures(wire: bytes) -> Iterator[str]:
    """Yield what may not go over the wire (RFC 5321, section 4.5)."""
    if b"\0" in wire:
        yield "NUL"
    rest = wire.replace(b"\r\n", b"")
    if b"\r" in rest or b"\n" in rest:
        yield "a bare line end"
    if max(map(len, wire.split(b"\r\n"))) > 999:  # A stuffed dot does not count.
        yield "a line of more than 998 octets"
    if re.search(rb"(?m)^\.(?!\.)", wire):
        yield "a dot that is not stuffed"
    if not wire.endswith(b"\r\n"):
        yield "no line end at the end"
    if any(found[1] != OURS.unsubscribe for found in _TOKEN.finditer(wire)):
        yield "somebody's token"


def header_failures(copy: Message) -> Iterator[str]:
    """Yield the fields that are not there exactly once."""
    counts = Counter(name.lower() for name in copy.keys())  # noqa: SIM118 - no mapping
    yield from (f"{name} {counts[name]} times" for name in ONCE if counts[name] != 1)
    yield from (f"{name} {n} times" for name, n in counts.items() if n > 1 and name not in ONCE)


def structure_failures(original: Message, copy: Message) -> Iterator[str]:
    """Yield the defects that the original did not have."""
    before = {type(defect) for part in original.walk() for defect in part.defects}
    after = {type(defect) for part in copy.walk() for defect in part.defects}
    yield from (f"a new defect: {defect.__name__}" for defect in after - before)


def leaf_failures(normal: bytes, copy: bytes) -> Iterator[str]:
    """Yield the parts without a footer that did not keep their bytes, though they could."""
    for part in parts.leaves(normal):
        octets = normal[part.header_at : part.end]
        is_foreign = part.parent and part.content_type not in ("text/plain", "text/html")
        if is_foreign and is_fit(octets) and octets not in copy:
            yield f"changed bytes of {part.content_type}"


def is_fit(octets: bytes) -> bool:
    """Whether a part may go out as it is."""
    header = octets.partition(b"\r\n\r\n")[0]
    rest = octets.replace(b"\r\n", b"")
    return (
        header.isascii()
        and b"\r" not in rest
        and b"\n" not in rest
        and b"\0" not in rest
        and max(map(len, octets.split(b"\r\n"))) <= 998
    )


def content_failures(original: Message, copy: Message) -> Iterator[str]:
    """Yield the leaves of the original whose content is not in the copy, in its place."""
    after = iter(leaves_of(copy))
    for leaf in leaves_of(original):
        kind = leaf.get_content_type()
        if not any(_says(leaf, other) for other in after if other.get_content_type() == kind):
            yield f"other content of {kind}"
            return


def _says(leaf: Message, other: Message) -> bool:
    if LINK not in text_of(other):
        # The line ends of what is no text belong to it, unless they were never CRLF.
        return content_of(other) == content_of(leaf) or text_of(other) == text_of(leaf)
    return _FOOTER.sub("", text_of(other)).rstrip("\n") == text_of(leaf)


def leaves_of(message: Message) -> list[Message]:
    """Return the parts that hold no parts, as the standard library finds them."""
    return [part for part in message.walk() if not part.is_multipart()]


def content_of(part: Message) -> bytes:
    """Return the octets of a leaf, its transfer encoding undone."""
    octets = part.get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets


def text_of(part: Message) -> str:
    """Return the content of a text with LF as line end, and none at its end."""
    text = content_of(part).decode(_charset(part), "replace").replace("\0", "")
    return re.sub(r"\r\n|\r", "\n", text).rstrip("\n")


def _charset(part: Message) -> str:
    charset = str(part.get_content_charset("utf-8"))
    # As mail programs read them (WHATWG encoding standard).
    charset = _AS_READ.get(charset, charset)
    try:
        codecs.lookup(charset)
    except LookupError:
        return "latin-1"
    return charset


def shown_texts(part: Message) -> list[Message]:
    """Return the leaves that people read as the body."""
    children = part.get_payload()
    kind = part.get_content_type()
    if isinstance(children, list) and children:
        if kind == "multipart/alternative":
            return [leaf for child in children for leaf in shown_texts(child)]  # type: ignore[arg-type]  # compat32 payloads are untyped
        if kind in ("multipart/mixed", "multipart/related"):
            return shown_texts(children[0])  # type: ignore[arg-type]  # the same
        return []
    is_named = part.get_param("filename", header="content-disposition")
    is_text = kind in ("text/plain", "text/html") and not is_named
    return [part] if is_text and part.get_content_disposition() != "attachment" else []


def structure_of(message: Message) -> str:
    """Name the structure of *message*."""
    kinds = [part.get_content_type() for part in message.walk()]
    if any(part.get_param("method") for part in message.walk() if _is_calendar(part)):
        return "calendar"
    sealed = next((_SEALED[kind] for kind in kinds if kind in _SEALED), None)
    if sealed:
        return sealed
    if kinds[0].startswith("multipart/"):
        return kinds[0].partition("/")[2] if len(kinds) > 1 else "broken multipart"
    return {"text/plain": "text", "text/html": "html only"}.get(kinds[0], "single, no text")


def _is_calendar(part: Message) -> bool:
    return part.get_content_type() == "text/calendar"


def copy_all(corpus: Path) -> list[Copied]:
    """Make a copy of each message of *corpus*."""
    return [copied(file, raw) for file, raw in messages(corpus)]


def tell(found: list[Copied]) -> None:
    """Print the table, and what failed."""
    print(f"{'structure':<20}{'messages':>9}{'footers':>9}{'without':>9}{'failed':>8}")
    for structure in sorted({copy.structure for copy in found}):
        of_it = [copy for copy in found if copy.structure == structure]
        print(
            f"{structure:<20}{len(of_it):>9}{sum(copy.footers for copy in of_it):>9}"
            f"{sum(not copy.footers for copy in of_it):>9}"
            f"{sum(bool(copy.failures) for copy in of_it):>8}"
        )
    print(f"{'all':<20}{len(found):>9}\n")
    for copy in found:
        for failure in copy.failures:
            print(f"{copy.file}: {failure}{_known(copy)}")


def _known(copy: Copied) -> str:
    return f" ({KNOWN[copy.file]})" if copy.file in KNOWN else ""


def main() -> None:
    """Copy everything, and tell."""
    tell(copy_all(Path(sys.argv[1]) if len(sys.argv) > 1 else CORPUS))


if __name__ == "__main__":
    main()
