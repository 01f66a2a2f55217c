"""The parts of a message (RFC 2046), as offsets into its bytes.

Nothing is copied or decoded until asked for, and whatever lies between the
offsets can be put back as it was: reading reports and adding footers both
stand on this. A part ends before the line end that belongs to the delimiter
(RFC 2046, section 5.1.1). Attached messages are leaves; whoever wants to look
into one reads its body.

Time is proportional to the bytes, times the depth: each multipart is searched
for its own delimiters, within the bounds that its parent gave it.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from worker.mail.header import as_text, from_base64, scan_fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.mail.header import Field

DEPTH_LIMIT = 20
PARTS_LIMIT = 1000
BOUNDARY_LIMIT = 200  # RFC 2046, section 5.1.1, allows 70.
_VALUE_LIMIT = 4000

_PARAMETER = re.compile(
    r";\s*+([^\s=;\"*]{1,60}+)(\*[\d*]{0,4}+)?\s*+="
    r"\s*+(?:\"((?:[^\"\\]|\\.)*+)\"?|([^;\s]*+))",
    re.DOTALL,
)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_REST_OF_DELIMITER = re.compile(rb"(--)?[ \t]*+(?:\r?\n|\Z)")


@dataclass(frozen=True, slots=True)
class Part:
    """An entity (RFC 2045, section 2.4): its header and body within *raw*."""

    raw: bytes = field(repr=False, compare=False)
    header_at: int
    body_at: int
    end: int
    depth: int
    content_type: str  # In lower case: text/plain
    parameters: dict[str, str]  # Of the content type, their names in lower case.
    encoding: str  # Content-Transfer-Encoding in lower case, or ""
    disposition: str  # inline or attachment, in lower case, or ""
    fields: tuple[Field, ...] = field(repr=False)
    parent: Part | None = field(repr=False, default=None)
    # Where the closing delimiter of a multipart begins, with the line end
    # before it: a further part would go here. Its end if it was not closed.
    close_at: int = 0

    @property
    def charset(self) -> str:
        """The declared charset in lower case, or ""."""
        return self.parameters.get("charset", "").lower()

    @property
    def file_name(self) -> str:
        """The name that an attachment asks to be saved under, as it stands, or ""."""
        _, parameters = read_media_type(_value(self.fields, "content-disposition"))
        return parameters.get("filename", "")

    @property
    def is_attachment(self) -> bool:
        """Whether it is to be saved rather than read."""
        return self.disposition == "attachment" or bool(self.file_name)

    @property
    def is_multipart(self) -> bool:
        """Whether other parts were found in it; broken multiparts are leaves."""
        return self.close_at > 0

    @property
    def header(self) -> bytes:
        """The header as it stands, with the empty line."""
        return self.raw[self.header_at : self.body_at]

    @property
    def body(self) -> bytes:
        """The body as it stands, still encoded."""
        return self.raw[self.body_at : self.end]


def entities(raw: bytes) -> list[Part]:
    """Return the message itself and all parts within, as they stand in *raw*.

    The list ends at PARTS_LIMIT; multiparts below DEPTH_LIMIT stay closed.
    """
    found: list[Part] = []
    _read_entity(raw, 0, len(raw), None, found)
    return found


def leaves(raw: bytes) -> list[Part]:
    """Return the parts that hold no other parts, in their order."""
    return [part for part in entities(raw) if not part.is_multipart]


def content(part: Part) -> bytes:
    """Return the body with its transfer encoding undone, as far as it goes."""
    match part.encoding:
        case "base64":
            return from_base64(part.body)
        case "quoted-printable":
            return binascii.a2b_qp(part.body)
        case _:
            return part.body


def decoded_text(part: Part) -> str:
    """Return the body as text. Any charset and any bytes give some text."""
    return as_text(content(part), part.charset)


def read_media_type(value: str) -> tuple[str, dict[str, str]]:
    """Read a Content-Type or Content-Disposition body: its type, its parameters.

    RFC 2045, section 5.1; the pieces of a continued parameter are joined
    (RFC 2231, section 3), octets that are written as numbers are read (section 4).
    """
    value = value[:_VALUE_LIMIT]
    head = value.partition(";")[0]
    parameters: dict[str, str] = {}
    extended: dict[str, str] = {}
    for name, piece, quoted, bare in _PARAMETER.findall(value[len(head) :]):
        text = bare or _QUOTED_PAIR.sub(r"\1", quoted)
        if piece == "*":
            extended.setdefault(name.lower(), unquote(text.rpartition("'")[2], "latin-1"))
        elif piece:
            parameters[name.lower()] = parameters.get(name.lower(), "") + text
        else:
            parameters.setdefault(name.lower(), text)
    return head.strip().lower(), {**extended, **parameters}


def written_parameters(value: str) -> list[tuple[str, str]]:
    """Return the parameters of a Content-Type body by name, each as it stands."""
    value = value[:_VALUE_LIMIT]
    head = value.partition(";")[0]
    found = _PARAMETER.finditer(value[len(head) :])
    return [(match[1].lower(), match[0].lstrip("; \t\r\n")) for match in found]


def _read_entity(raw: bytes, start: int, end: int, parent: Part | None, found: list[Part]) -> None:
    """Add the entity between *start* and *end* to *found*, and all within it."""
    part = _read_header(raw, start, end, parent)
    spans = _spans(part)
    if spans:
        *spans, (close_at, _) = spans
        part = replace(part, close_at=close_at)
    found.append(part)
    for begin, stop in spans:
        if len(found) >= PARTS_LIMIT:
            return
        _read_entity(raw, begin, stop, part, found)


def _read_header(raw: bytes, start: int, end: int, parent: Part | None) -> Part:
    fields, body_at = scan_fields(raw, start, end)
    # RFC 2046, section 5.1.5: a digest is made of messages.
    in_digest = parent is not None and parent.content_type == "multipart/digest"
    usual = "message/rfc822" if in_digest else "text/plain"
    content_type, parameters = read_media_type(_value(fields, "content-type") or usual)
    disposition, _ = read_media_type(_value(fields, "content-disposition"))
    encoding, _ = read_media_type(_value(fields, "content-transfer-encoding"))
    return Part(
        raw=raw,
        header_at=start,
        body_at=body_at,
        end=end,
        depth=parent.depth + 1 if parent else 0,
        content_type=content_type,
        parameters=parameters,
        encoding=encoding,
        disposition=disposition,
        fields=fields,
        parent=parent,
    )


def _value(fields: tuple[Field, ...], name: str) -> str:
    """Return the body of the first field called *name*, without what programs pass over."""
    found = (f.body.decode("latin-1").replace("\0", "") for f in fields if f.name == name)
    return next(found, "")


def _spans(part: Part) -> list[tuple[int, int]]:
    """Return where the parts within *part* begin and end, and then its close.

    Nothing if it has none; a part that is not closed reaches to the end.
    """
    boundary = part.parameters.get("boundary", "").rstrip().encode("latin-1", "replace")
    if (
        not part.content_type.startswith("multipart/")
        or not 0 < len(boundary) <= BOUNDARY_LIMIT
        or part.depth >= DEPTH_LIMIT
    ):
        return []
    spans: list[tuple[int, int]] = []
    begin: int | None = None
    for at, after, closes in _delimiters(part, b"--" + boundary):
        if len(spans) >= PARTS_LIMIT:
            begin = None
            break
        if begin is not None:
            spans.append((begin, max(begin, at)))
        if closes:
            return [*spans, (max(at, begin or 0), after)] if spans else []
        begin = after
    if begin is not None:
        spans.append((begin, part.end))
    return [*spans, (part.end, part.end)] if spans else []


def _delimiters(part: Part, marker: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yield where each delimiter line begins, what follows it, if it closes.

    It begins with the line end before it, which is no part's.
    """
    raw, at = part.raw, part.body_at
    while (at := raw.find(marker, at, part.end)) >= 0:
        rest = _REST_OF_DELIMITER.match(raw, at + len(marker), part.end)
        if rest and (at == part.body_at or raw[at - 1 : at] == b"\n"):
            line_end = 2 if raw[at - 2 : at] == b"\r\n" else 1
            yield max(part.body_at, at - line_end), rest.end(), bool(rest[1])
            at = rest.end()
        else:
            at += len(marker)
