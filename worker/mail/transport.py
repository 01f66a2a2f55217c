"""A message fit for the wire (RFC 5321, section 4.5.3.1.6; RFC 5322, section 2.1.1).

CRLF ends each line, no line is longer than 998 octets, and there is no NUL. A
part that breaks that is encoded anew and says the same as before; all others
keep their bytes. 8-bit text stays so: we submit with BODY=8BITMIME.

Nothing here makes a line that could be taken for a delimiter: a lone CR is no
line end for us, and where it stands as one in a text, the text is encoded.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

from worker.mail.charset import is_wide
from worker.mail.copy import without_nul
from worker.mail.header import as_text
from worker.mail.header_writer import LINE_LIMIT_OCTETS, encoded_text, field_line
from worker.mail.parts import content, entities, read_media_type, written_parameters
from worker.mail.splice import header_with, rewritten
from worker.mail.transfer import (
    IDENTITY,
    QUOTED_PRINTABLE_FIELD,
    READABLE,
    base64_lines,
    quoted_printable,
)

if TYPE_CHECKING:
    from worker.mail.header import Field
    from worker.mail.parts import Part

_NESTED_LIMIT = 5
_NAME_LIMIT = 200
_BARE_LF = re.compile(rb"(?<!\r)\n")
_BARE_CR = re.compile(rb"\r(?!\n)")
_LONG_LINE = re.compile(rb"(?m)^[^\n]{999,}+")
_EMPTY_LINE_AT_END = re.compile(rb"(?:\A|\n)\r?\n\Z")
_CHUNK = re.compile(rb".{1,990}", re.DOTALL)
_BASE64_LINE = re.compile(rb".{1,76}")
_WHITE = re.compile(rb"[\s\0]+")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_EXTENDED_PIECE = re.compile(rb"(?:%..|[^%]){1,50}")
_NEVER_ENCODED = ("message/", "multipart/")
_STRUCTURED = ("content-type", "content-disposition")
_ENCODING = "content-transfer-encoding"
_OF_BODY = (*_STRUCTURED, _ENCODING, "content-description")
_BASE64 = b"Content-Transfer-Encoding: base64\r\n"


def fit_for_the_wire(raw: bytes) -> bytes:
    """Return *raw* so that its parts may go out as they are.

    Of the message's own header only the fields that describe its body are looked
    at; worker/mail/surgery.py writes the others.
    """
    newline = raw.find(b"\n")
    if newline >= 0 and raw[newline - 1 : newline] != b"\r":
        # Taken from a store that ends all lines so: it says nothing of the parts.
        raw = _BARE_LF.sub(b"\r\n", raw)
    fit = without_nul(_fit(raw, nested=0))
    # A NUL in a header may have hidden what a part is.
    return _fit(fit, nested=0) if b"\0" in raw else fit


def _fit(raw: bytes, nested: int) -> bytes:
    return rewritten(
        entities(raw),
        leaf=lambda part: _fit_leaf(part, nested),
        header=lambda part: _fit_header(part, {}, nested),
        between=_folded,
    )


def _fit_leaf(part: Part, nested: int) -> bytes:
    body, encoding = _fit_body(part, nested)
    changed: dict[str, bytes | None] = {}
    if encoding:
        changed = {_ENCODING: encoding, "content-length": None}
    header = _fit_header(part, changed, nested)
    if (header, body) != (part.header, part.body) and not _EMPTY_LINE_AT_END.search(header):
        header += b"\r\n"  # Else the new body may be taken for more header.
    return header + body


def _fit_body(part: Part, nested: int) -> tuple[bytes, bytes | None]:
    """Return the body of a leaf, and its encoding if that is another one now."""
    body = part.body
    if part.content_type == "message/rfc822" and part.encoding in IDENTITY:
        # It may not be encoded (RFC 2046, section 5.2.1).
        return (_fit(body, nested + 1) if nested < _NESTED_LIMIT else _folded(body)), None
    if not _has_bare(body) and not _has_long_line(body):
        return body, None
    if part.encoding == "base64":
        return _wrapped(body), None
    if part.encoding not in READABLE or part.content_type.startswith(_NEVER_ENCODED):
        return _folded(body), None
    return _encoded(part)


def _encoded(part: Part) -> tuple[bytes, bytes | None]:
    """Return the body of a part whose lines may not go out, and its encoding if that changes."""
    if not part.content_type.startswith("text/") or is_wide(part.charset):
        return base64_lines(content(part)), _BASE64
    lines = _BARE_LF.sub(b"\r\n", part.body)
    if not _has_bare(lines) and not _has_long_line(lines):
        return lines, None
    return quoted_printable(without_nul(content(part))), QUOTED_PRINTABLE_FIELD


def _has_bare(octets: bytes) -> bool:
    """Whether there is a CR, an LF or a NUL by itself."""
    pairs = octets.count(b"\r\n")
    return pairs != octets.count(b"\n") or pairs != octets.count(b"\r") or b"\0" in octets


def _has_long_line(octets: bytes) -> bool:
    at = 0
    while len(octets) - at > LINE_LIMIT_OCTETS:
        newline = octets.rfind(b"\n", at, at + LINE_LIMIT_OCTETS + 2)
        if newline < 0:
            return True
        at = newline + 1
    return False


def _wrapped(body: bytes) -> bytes:
    # White space in base64 says nothing (RFC 2045, section 6.8).
    return b"\r\n".join(_BASE64_LINE.findall(_WHITE.sub(b"", body))) + b"\r\n"


def _folded(octets: bytes) -> bytes:
    """Return lines that no part's text depends on, the long ones folded."""
    # A blank in the place of a lone CR could make a delimiter, or a fold.
    lines = _BARE_LF.sub(b"\r\n", _BARE_CR.sub(b"?", octets))
    return _LONG_LINE.sub(lambda line: b"\r\n ".join(_CHUNK.findall(line[0])), lines)


def _fit_header(part: Part, changed: dict[str, bytes | None], nested: int) -> bytes:
    """Return the header of *part*, with the fields that are *changed* or may not go out so."""
    is_whole = part.parent is None and not nested
    looked_at = [field for field in part.fields if not is_whole or field.name in _OF_BODY]
    unfit = {field.name for field in looked_at if not _is_fit(field)} - changed.keys()
    # Where there are two of a name, readers go by the first.
    first = {field.name: field for field in reversed(looked_at) if field.name in unfit}
    changed = {**changed, **{name: _rewritten(field) for name, field in first.items()}}
    written = header_with(part, changed) if changed else part.header
    return _folded(written) if _has_bare(written) else written


def _is_fit(field: Field) -> bool:
    line = field.line.removesuffix(b"\n").removesuffix(b"\r")
    return line.isascii() and not _has_bare(line) and not _has_long_line(line)


def _rewritten(field: Field) -> bytes | None:
    """Return a field of a part as it may go out; None if nothing of it can be saved."""
    name = field.line.partition(b":")[0].strip().decode("ascii")
    if field.name in _STRUCTURED:
        return field_line(name, _structured(field))
    if field.name == _ENCODING:
        return None
    return field_line(name, encoded_text(name, field.text[:_NAME_LIMIT]))


def _structured(field: Field) -> bytes:
    """Return the body of a Content-Type or Content-Disposition, its parameters in ASCII."""
    value = without_nul(field.body).decode("latin-1")
    media_type, parameters = read_media_type(value)
    if not media_type.isascii() or len(media_type) > _NAME_LIMIT:
        has_parts = media_type.startswith("multipart/")
        media_type = "multipart/mixed" if has_parts else "application/octet-stream"
    written = [media_type.encode("ascii")]
    done: set[str] = set()
    for name, text in written_parameters(value):
        if name in done or not name.isascii():
            continue
        if _may_stay(text):
            written.append(text.encode("latin-1"))
        else:
            done.add(name)
            written += _extended(name, as_text(parameters[name].encode("latin-1")))
    return b";\r\n ".join(written)


def _may_stay(text: str) -> bool:
    # What delimits the parts cannot be written in another way.
    is_boundary = text.lower().startswith("boundary")
    fits = len(text) < LINE_LIMIT_OCTETS - 100 and not _UNSEEN.search(text)
    return fits and (text.isascii() or is_boundary)


def _extended(name: str, value: str) -> list[bytes]:
    """Return a parameter by RFC 2231, and in ASCII for programs that know no better."""
    seen = _UNSEEN.sub(" ", value)[:_NAME_LIMIT]
    plain = unicodedata.normalize("NFKD", seen).encode("ascii", "ignore").decode("ascii")
    quoted = plain.replace("\\", "_").replace('"', "_")
    octets = b"utf-8''" + quote_from_bytes(seen.encode("utf-8", "replace"), safe="").encode()
    pieces = _EXTENDED_PIECE.findall(octets)
    if len(pieces) == 1:
        written = [b"%s*=%s" % (name.encode(), octets)]
    else:
        written = [b"%s*%d*=%s" % (name.encode(), n, piece) for n, piece in enumerate(pieces)]
    # Some programs take the first that they find.
    return [*written, f'{name}="{quoted}"'.encode("ascii")]
