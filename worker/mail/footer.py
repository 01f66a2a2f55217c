"""The footer: merged into the text that people read, not hung on as an attachment.

It goes into the text/plain and the text/html that are shown: the message itself,
the leaves of a multipart/alternative, the first body of a multipart/mixed or
multipart/related, however nested. HTML alone gets a text beside it. A
multipart/mixed that begins with an attachment gets a text part at its end.

What is signed or encrypted, an invitation, a report, what is in an unknown
charset or encoding or put together in any other way keeps its bytes; the header
fields offer the same link.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

from worker.mail.charset import is_undeclared, true_charset
from worker.mail.footer_html import html_with_footer
from worker.mail.footer_slots import Footer
from worker.mail.footer_text import is_inline_pgp, text_footer, text_with_footer
from worker.mail.header import as_text
from worker.mail.hypertext import text_of
from worker.mail.parts import PARTS_LIMIT, content, entities, written_parameters
from worker.mail.splice import header_with, spliced
from worker.mail.transfer import QUOTED_PRINTABLE_FIELD, READABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from worker.mail.parts import Part

    Fields: TypeAlias = dict[str, bytes | None]

__all__ = ["Footer", "add_footer"]

# No text may be put beside these. A file that was signed may lie beside a text.
_SEALED = ("multipart/", "application/pkcs7-mime", "application/x-pkcs7-mime")
_PARAMETER_LIMIT_OCTETS = 900
# Nobody reads more of it as text; what is beyond stands in the HTML.
_HTML_LIMIT = 500_000
_FIRST_IS_SHOWN = ("multipart/mixed", "multipart/related")
_TEXTS = ("text/plain", "text/html")
_TEXT_HEADER = b"Content-Type: text/plain; charset=utf-8\r\n" + QUOTED_PRINTABLE_FIELD + b"\r\n"


def add_footer(raw: bytes, footers: Mapping[str, Footer]) -> bytes:
    """Return *raw*, which holds no NUL, with the footer where it can be read.

    *footers* are by language; if there are several, each is in a block for its readers.
    """
    parts = entities(raw)
    if any(map(_seals_all, parts)):
        return raw
    shown = list(_shown(parts, parts[0]))
    if not shown:
        return _with_text_at_end(parts, footers)
    is_html_alone = all(part.content_type == "text/html" for part in shown)
    write = _html_and_text if is_html_alone else _with_footer
    written = ((part, write(part, footers)) for part in shown)
    return spliced(raw, [(part.header_at, part.end, piece) for part, piece in written if piece])


def _seals_all(part: Part) -> bool:
    """Whether *part*, wherever it is, leaves the whole message to programs that know it."""
    is_invitation = part.content_type == "text/calendar" and "method" in part.parameters
    return part.content_type == "application/pgp-encrypted" or is_invitation


def _shown(parts: Sequence[Part], whole: Part) -> Iterator[Part]:
    """Yield the texts in *whole* that are read as its body."""
    if whole.content_type in _TEXTS:
        if not whole.is_attachment:
            yield whole
    elif whole.is_multipart:
        children = _children(parts, whole)
        if whole.content_type in _FIRST_IS_SHOWN:
            yield from _shown(parts, _first(whole, children))
        elif whole.content_type == "multipart/alternative":
            for child in children:
                yield from _shown(parts, child)


def _children(parts: Sequence[Part], whole: Part) -> list[Part]:
    return [part for part in parts if part.parent is whole]


def _first(whole: Part, children: Sequence[Part]) -> Part:
    """Return the body of a multipart/mixed or multipart/related (RFC 2387, section 3.2)."""
    start = whole.parameters.get("start")
    if start and whole.content_type == "multipart/related":
        return next((part for part in children if _content_id(part) == start), children[0])
    return children[0]


def _content_id(part: Part) -> str:
    found = (f.body.decode("latin-1") for f in part.fields if f.name == "content-id")
    return next(found, "")


def _with_footer(part: Part, footers: Mapping[str, Footer]) -> bytes | None:
    """Return header and body of *part* with the footer, or None to leave it alone."""
    written = _written(part, footers)
    return header_with(part, written[0]) + written[1] if written else None


def _written(part: Part, footers: Mapping[str, Footer]) -> tuple[Fields, bytes] | None:
    """Return the fields of *part* that change, and its body with the footer."""
    if part.encoding not in READABLE:
        return None
    octets = content(part)
    charset = true_charset(part.charset, octets)
    if part.content_type == "text/html":
        # A footer in ASCII spoils no text whose charset nobody knows.
        charset = charset or ("us-ascii" if is_undeclared(part.charset) else None)
        written = html_with_footer(octets, charset, footers) if charset else None
    elif charset is None or is_inline_pgp(octets):
        return None
    else:
        is_flowed = part.parameters.get("format", "").lower() == "flowed"
        written = text_with_footer(octets, charset, footers, is_flowed=is_flowed)
    return (_fields(part, written[1]), written[0]) if written else None


def _fields(part: Part, charset: str) -> Fields:
    """Return the fields of *part* that its new body makes untrue, as they are now."""
    changed: Fields = {
        "content-length": None,
        "content-md5": None,
        "content-transfer-encoding": QUOTED_PRINTABLE_FIELD,
    }
    if charset != (part.charset or "us-ascii"):
        changed["content-type"] = _content_type(part, charset)
    return changed


def _content_type(part: Part, charset: str) -> bytes:
    value = next((f.body for f in part.fields if f.name == "content-type"), b"").decode("latin-1")
    others = [
        text
        for name, text in written_parameters(value)
        if name != "charset" and len(text) <= _PARAMETER_LIMIT_OCTETS
    ]
    written = "".join(f";\r\n {text}" for text in (f"charset={charset}", *others))
    return f"Content-Type: {part.content_type}{written}\r\n".encode("latin-1", "replace")


def _html_and_text(part: Part, footers: Mapping[str, Footer]) -> bytes | None:
    """Return *part*, HTML that nothing stands beside, in a multipart/alternative."""
    written = _written(part, footers)
    if written is None:
        return None
    text = _text_beside(as_text(content(part), part.charset))
    beside = text_with_footer(text, "utf-8", footers, is_flowed=False)
    boundary = _unused_boundary(part.raw)
    alternative = b'Content-Type: multipart/alternative; boundary="%s"\r\n' % boundary
    # A multipart/related may name its body, which the alternative is now.
    inside = [f.name for f in part.fields if _is_of_content(f.name)]
    outside = [f.name for f in part.fields if not _is_of_content(f.name)]
    return b"".join(
        (
            header_with(part, {**dict.fromkeys(inside), "content-type": alternative}),
            b"--%s\r\n" % boundary,
            _TEXT_HEADER,
            beside[0] if beside else b"",
            b"\r\n--%s\r\n" % boundary,
            header_with(part, {**dict.fromkeys(outside), **written[0]}),
            written[1],
            b"\r\n--%s--\r\n" % boundary,
        )
    )


def _text_beside(source: str) -> bytes:
    text = text_of(source[:_HTML_LIMIT]) + ("\n\n[...]" if len(source) > _HTML_LIMIT else "")
    return text.encode("utf-8", "replace")


def _is_of_content(name: str) -> bool:
    return name.startswith("content-") and name != "content-id"


def _unused_boundary(raw: bytes) -> bytes:
    # "=_" stands in no quoted-printable (RFC 2045, section 6.7), and nobody can
    # write a boundary that depends on the whole message into that message.
    return b"=_" + sha256(raw).hexdigest()[:32].encode("ascii")


def _with_text_at_end(parts: Sequence[Part], footers: Mapping[str, Footer]) -> bytes:
    """Return the message with the footer as its last part, if it begins with an attachment."""
    whole = parts[0]
    children = _children(parts, whole)
    if whole.content_type != "multipart/mixed" or not children or len(parts) >= PARTS_LIMIT:
        return whole.raw
    if children[0].content_type.startswith(_SEALED):
        return whole.raw
    delimiter = b"\r\n--" + whole.parameters["boundary"].rstrip().encode("latin-1", "replace")
    is_closed = whole.close_at < whole.end
    piece = b"".join(
        (delimiter, b"\r\n", _TEXT_HEADER, text_footer(footers))
        + (() if is_closed else (delimiter, b"--\r\n"))
    )
    return spliced(whole.raw, [(whole.close_at, whole.close_at, piece)])
