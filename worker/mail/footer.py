"""The footer: merged into the text that people read, not hung on as an attachment.

It goes into the text/plain and the text/html that are shown: the whole message,
the leaves of a multipart/alternative, or these as the first part of a
multipart/mixed. Everything else keeps its bytes. What is signed or encrypted,
in an unknown charset, or put together in any other way gets no footer; its
header fields offer the same link.
"""

from __future__ import annotations

import binascii
import codecs
import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.mail.copy import UNSUBSCRIBE_SLOT
from worker.mail.parts import content, entities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.mail.parts import Part

_QP_LINE_OCTETS = 76
_TOKEN_OCTETS = 32
_READABLE_ENCODINGS = ("", "7bit", "8bit", "quoted-printable", "base64")
_TOKEN = re.compile(r"[!#$&'*+.^_`|~0-9A-Za-z-]+")
_LINE_END = re.compile(r"\r\n|\r|\n")

# The personal link of whoever is quoted; everybody would get it otherwise.
_QUOTED_LINK = re.compile(r"(/u/|unsubscribe-)[a-z2-7]{32}")
_QUOTED_LINK_OCTETS = re.compile(_QUOTED_LINK.pattern.encode())

# Comments and raw text elements may hold "</body>" that closes nothing.
_HTML_MARK = re.compile(
    rb"<!--|-->|</?(?:script|style|textarea|title)\b|</body\b|</html\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Footer:
    """The words below a copy, line by line; the link is put on a line of its own."""

    lines: tuple[str, ...]
    link_label: str
    url: bytes  # With the slot of the token.


def add_footer(raw: bytes, footer: Footer) -> bytes:
    """Return *raw*, which holds no NUL, with the footer where it can be read."""
    pieces: list[bytes] = []
    at = 0
    for part in _shown_texts(entities(raw)):
        written = _with_footer(part, footer)
        if written is not None:
            pieces += [raw[at : part.header_at], written]
            at = part.end
    return b"".join([*pieces, raw[at:]])


def _shown_texts(found: Sequence[Part]) -> list[Part]:
    root = found[0]
    children = [part for part in found if part.parent is root]
    if root.content_type == "multipart/mixed" and children:
        first = children[0]
        if first.content_type == "multipart/alternative":
            children, root = [part for part in found if part.parent is first], first
        else:
            root, children = first, []
    texts = children if root.content_type == "multipart/alternative" else [root]
    return [
        part
        for part in texts
        if part.content_type in ("text/plain", "text/html") and part.disposition != "attachment"
    ]


def _with_footer(part: Part, footer: Footer) -> bytes | None:
    """Return header and body of *part* with the footer, or None to leave it alone."""
    if part.encoding not in _READABLE_ENCODINGS:
        return None
    charset = part.parameters.get("charset") or "us-ascii"
    try:
        if not _is_ascii_compatible(charset):
            return None
        if part.content_type == "text/html":
            body = _html_with_footer(_QUOTED_LINK_OCTETS.sub(rb"\1", content(part)), footer)
        else:
            text = _QUOTED_LINK.sub(r"\1", content(part).decode(charset))
            charset = _charset_for(charset, text, footer)
            body = _text_with_footer(text, charset, footer)
    except (LookupError, UnicodeError, binascii.Error):
        return None
    return _header_of(part, charset) + b"\r\n" + body


def _is_ascii_compatible(charset: str) -> bool:
    return "</body>".encode(charset) == b"</body>" and codecs.lookup(charset).name != "utf-7"


def _charset_for(charset: str, text: str, footer: Footer) -> str:
    try:
        (text + "".join(footer.lines) + footer.link_label).encode(charset)
    except UnicodeError:
        return "utf-8"
    return charset


def _text_with_footer(text: str, charset: str, footer: Footer) -> bytes:
    # "-- " starts a signature; many programs fold it away (RFC 3676, section 4.3).
    above = ["-- ", *footer.lines, footer.link_label]
    body = "\n".join([_LINE_END.sub("\n", text).rstrip("\n"), "", *above, ""])
    prefix, _, suffix = footer.url.partition(UNSUBSCRIBE_SLOT)
    return _quoted_printable(body.encode(charset)) + _link_line(prefix, suffix)


def _link_line(prefix: bytes, suffix: bytes) -> bytes:
    """Return the link in quoted-printable, its slot never broken in two."""
    break_before = len(prefix) + _TOKEN_OCTETS + len(suffix) >= _QP_LINE_OCTETS
    return b"".join(
        (
            _quoted_printable(prefix).rstrip(b"\r\n"),
            b"=\r\n" if break_before else b"",
            UNSUBSCRIBE_SLOT,
            _quoted_printable(suffix).rstrip(b"\r\n"),
            b"\r\n",
        )
    )


def _quoted_printable(octets: bytes) -> bytes:
    encoded = binascii.b2a_qp(octets, quotetabs=False, istext=True)
    return encoded.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _html_with_footer(octets: bytes, footer: Footer) -> bytes:
    shown = "<br>\n".join(html.escape(line) for line in footer.lines)
    prefix, _, suffix = (
        html.escape(piece.decode("ascii")).encode("ascii")
        for piece in footer.url.partition(UNSUBSCRIBE_SLOT)
    )
    # Characters as references, so that the part keeps its charset.
    block = (
        '\n<div style="margin-top:2em;padding-top:.5em;border-top:1px solid #999;'
        f'font:13px sans-serif">\n{shown}<br>\n<a href="'
    ).encode("ascii", "xmlcharrefreplace")
    label = html.escape(footer.link_label.rstrip(" :\N{NO-BREAK SPACE}"))
    tail = f'">{label}</a>\n</div>\n'.encode("ascii", "xmlcharrefreplace")
    at = _end_of_body(octets)
    head = _quoted_printable(octets[:at].rstrip(b"\r\n") + block).rstrip(b"\r\n")
    return b"".join(
        (
            head,
            b"=\r\n",
            _link_line(prefix, suffix).rstrip(b"\r\n"),
            b"=\r\n",
            _quoted_printable(tail + octets[at:]),
        )
    )


def _end_of_body(octets: bytes) -> int:
    """Return where the last real ``</body>`` stands, else ``</html>``, else the end."""
    inside = b""
    body = document = -1
    for mark in _HTML_MARK.finditer(octets):
        token = mark[0].lower()
        if inside:
            if token in (b"-->", b"</" + inside):
                inside = b""
        elif token == b"<!--":
            inside = b"!--"  # Ended by --> alone: no tag has this name.
        elif token == b"</body":
            body = mark.start()
        elif token == b"</html":
            document = mark.start()
        elif not token.startswith((b"</", b"--")):
            inside = token[1:]
    return next((at for at in (body, document) if at >= 0), len(octets))


def _header_of(part: Part, charset: str) -> bytes:
    """Return the part's header block with a content type and an encoding that are true."""
    kept = [
        field.line.rstrip(b"\r\n") + b"\r\n"
        for field in part.fields
        if field.name not in ("content-type", "content-transfer-encoding", "content-length")
    ]
    parameters = {**part.parameters, "charset": charset}
    written = "".join(f"; {name}={_parameter(value)}" for name, value in parameters.items())
    return b"".join(
        (
            *kept,
            f"Content-Type: {part.content_type}{written}\r\n".encode("ascii", "replace"),
            b"Content-Transfer-Encoding: quoted-printable\r\n",
        )
    )


def _parameter(value: str) -> str:
    if _TOKEN.fullmatch(value):
        return value
    return '"{}"'.format(value.replace("\\", "\\\\").replace('"', '\\"'))
