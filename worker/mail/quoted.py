"""What authors quote of our own copies, and must not pass on.

Whoever answers to a copy quotes its footer, with a link that is theirs alone.
The quoted footer is taken out where it is clearly ours: from our first words to
our link, in lines of one quote depth, or in HTML without a quote beginning or
ending within. Wherever else a token of ours stands in what can be read, also in
an attached message, it is cut out of its link or address, and nothing else is.

Parts of multipart/signed and what is encrypted keep their bytes: a signature
would break, a cipher text cannot be read. A link in there works until its owner
has left the list.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from worker.mail import charset as charsets
from worker.mail.footer_text import is_inline_pgp
from worker.mail.parts import content, entities
from worker.mail.splice import rewritten
from worker.mail.transfer import (
    READABLE,
    base64_lines,
    quoted_printable,
    quoted_printable_octets,
)

if TYPE_CHECKING:
    from worker.mail.parts import Part

_SEALED = (
    "multipart/signed",
    "multipart/encrypted",
    "application/pkcs7-mime",
    "application/x-pkcs7-mime",
)
_NESTED_LIMIT = 5

# As links stand in mail; filters on the way write them into links of their own.
_SLASH = rb"(?:/|%2[Ff]|%252[Ff]|_)"
_TOKEN = rb"(?:[a-z2-7]{32}|[A-Z2-7]{32})"
_PAGE = re.compile(rb"%b[upcm]%b%b" % (_SLASH, _SLASH, _TOKEN))
_PERSONAL = re.compile(
    rb"(%b[upcm]%b|(?i:return|unsubscribe|confirm|moderate)-|(?i:X-Relais-Ref):\s*+)%b"
    % (_SLASH, _SLASH, _TOKEN)
)

# The words with which each of our footers begins; a test compares them.
_GAP = rb"(?:\s|&nbsp;|&#160;)+"
_OPENING = re.compile(
    rb"(?:--\s*+)?(?:%b)\b"
    % b"|".join(
        _GAP.join(words.split()) for words in (b"You get this message", b"Vous recevez ce message")
    )
)
_QUOTE_MARKS = re.compile(rb"[> \t]*+")
_LINES_LIMIT = 15
_LINE_OCTETS_READ = 300
_URL_REST = re.compile(rb"[^\s<>\"'\[\]()]*+")
_AROUND_URL = b" \t\r\n<>[]()."

_BLOCK_OCTETS = 4000
_WORDS_OCTETS = 1000
_ANCHOR_END = re.compile(rb"</a\s*+>", re.IGNORECASE)
_DASHES = re.compile(rb"--(?:\s|&nbsp;|<br\b[^<>]{0,20}>)*+\Z", re.IGNORECASE)
_TAG = re.compile(rb"<(/?[a-z!][a-z0-9:]*)[^<>]*+>", re.IGNORECASE)
_DROPPED_TAGS = (b"a", b"/a", b"br", b"wbr")
_DIV_BEFORE = re.compile(rb"<div\b[^<>]*+>\s*+\Z", re.IGNORECASE)
_DIV_AFTER = re.compile(rb"\s*+</div\s*+>", re.IGNORECASE)
_QUOTE_TAG = re.compile(rb"</?blockquote\b", re.IGNORECASE)


def without_our_footers(raw: bytes) -> bytes:
    """Return *raw* without quoted footers of ours, and without personal tokens."""
    return _cleaned(raw, nested=0)


def _cleaned(raw: bytes, nested: int) -> bytes:
    return rewritten(
        entities(raw),
        leaf=lambda part: _harmless(part.header) + _clean_body(part, nested),
        header=lambda part: _harmless(part.header),
        between=_harmless,
        is_sealed=lambda part: part.content_type in _SEALED,
    )


def _harmless(octets: bytes) -> bytes:
    return _PERSONAL.sub(rb"\1", octets)


def _clean_body(part: Part, nested: int) -> bytes:
    """Return the body of a leaf; it keeps its encoding, and its bytes if nothing was found."""
    if not part.content_type.startswith(("text/", "message/", "multipart/")):
        return part.body
    if part.encoding not in READABLE:
        return _harmless(part.body)
    octets = content(part)
    if part.content_type == "message/rfc822" and nested < _NESTED_LIMIT:
        written = _cleaned(octets, nested + 1)
    elif charsets.is_wide(part.charset):
        written = _clean_wide(part, octets, nested)
    else:
        written = _clean_words(part, octets, nested)
    return part.body if written == octets else _encoded(written, part)


def _clean_wide(part: Part, octets: bytes, nested: int) -> bytes:
    text = charsets.text_in(octets, part.charset)
    if text is None:
        return octets
    words = text.encode("utf-8", "replace")
    written = _clean_words(part, words, nested)
    return octets if written == words else written.decode("utf-8").encode(part.charset, "replace")


def _clean_words(part: Part, octets: bytes, nested: int) -> bytes:
    if not _PERSONAL.search(octets) or is_inline_pgp(octets):
        return octets
    if not nested and not part.is_attachment:  # That stays whole but for the tokens.
        if part.content_type == "text/plain":
            octets = _without_quoted_lines(octets)
        elif part.content_type == "text/html":
            octets = _without_quoted_blocks(octets)
    return _harmless(octets)


def _encoded(octets: bytes, part: Part) -> bytes:
    match part.encoding:
        case "base64":
            return base64_lines(octets)
        case "quoted-printable" if charsets.is_wide(part.charset):
            return quoted_printable_octets(octets)
        case "quoted-printable":
            return quoted_printable(octets)
        case _:
            return octets


def _without_quoted_lines(text: bytes) -> bytes:
    """Return a text without the lines from our first words to our link."""
    kept: list[bytes] = []
    for line in text.splitlines(keepends=True):
        page = _PAGE.search(line)
        start = _first_line(kept, line) if page else None
        if page is None or start is None:
            kept.append(line)
            continue
        del kept[start:]
        rest = _URL_REST.match(line, page.end())
        below = line[rest.end() if rest else page.end() :]
        if below.strip(_AROUND_URL):
            marks = _QUOTE_MARKS.match(line)
            kept.append((marks[0] if marks else b"") + below.lstrip(_AROUND_URL))
    return b"".join(kept)


def _first_line(kept: list[bytes], last: bytes) -> int | None:
    """Return which of the lines *kept* begins the footer that ends in the line *last*."""
    depth = _depth(last)
    words = _words_of(last)
    if _OPENING.match(words):
        return _with_dashes(kept, len(kept), depth)
    for at in range(len(kept) - 1, max(-1, len(kept) - 1 - _LINES_LIMIT), -1):
        own = _words_of(kept[at])
        if (own and _depth(kept[at]) != depth) or _PAGE.search(own):
            return None  # Somebody wrote between the lines, or it is another footer.
        words = own + b" " + words if own else words
        if _OPENING.match(words):
            return _with_dashes(kept, at, depth)
    return None


def _with_dashes(kept: list[bytes], at: int, depth: int) -> int:
    above = kept[at - 1] if at else b""
    return at - 1 if _words_of(above) == b"--" and _depth(above) == depth else at


def _words_of(line: bytes) -> bytes:
    return line[:_LINE_OCTETS_READ].strip(b"> \t\r\n")


def _depth(line: bytes) -> int:
    marks = _QUOTE_MARKS.match(line)
    return marks[0].count(b">") if marks else 0


def _without_quoted_blocks(html: bytes) -> bytes:
    """Return HTML without the words from our first to our link, but with the tags between."""
    pieces: list[bytes] = []
    at = read_to = 0
    for page in _PAGE.finditer(html):
        if page.start() < at:
            continue  # The words of a link that is taken out.
        start = _block_start(html, max(read_to, page.start() - _BLOCK_OCTETS), page.start())
        read_to = page.end()
        if start is None:
            continue
        stop = _link_end(html, start, page)
        tags = _tags_between(html[start:stop])
        if tags is None:
            continue
        start, stop = _with_div(html, start, stop) if not tags else (start, stop)
        pieces += [html[at:start], tags]
        at = stop
    return b"".join([*pieces, html[at:]])


def _block_start(html: bytes, start: int, end: int) -> int | None:
    """Return where our last first words begin, with the dashes before them."""
    openings = list(_OPENING.finditer(html, start, end))
    if not openings:
        return None
    opening = openings[-1]
    before = max(start, opening.start() - 60)
    dashes = _DASHES.search(html[before : opening.start()])
    return before + dashes.start() if dashes else opening.start()


def _link_end(html: bytes, start: int, page: re.Match[bytes]) -> int:
    """Return where the link ends: after its words if it is a tag's, else after the URL."""
    if html.rfind(b"<", start, page.start()) <= html.rfind(b">", start, page.start()):
        rest = _URL_REST.match(html, page.end())
        return rest.end() if rest else page.end()
    tag_end = html.find(b">", page.end(), page.end() + _BLOCK_OCTETS)
    if tag_end < 0:
        return page.end()
    end = _ANCHOR_END.search(html, tag_end, tag_end + _WORDS_OCTETS)
    return end.end() if end else tag_end + 1


def _tags_between(block: bytes) -> bytes | None:
    """Return the tags in *block* that others rely on; None if it is not clearly ours."""
    if _QUOTE_TAG.search(block) or len(_TAG.sub(b"", block)) > _WORDS_OCTETS:
        return None
    found = _TAG.finditer(block)
    return b"".join(tag[0] for tag in found if tag[1].lower() not in _DROPPED_TAGS)


def _with_div(html: bytes, start: int, stop: int) -> tuple[int, int]:
    """Return the span with the element around it, if that holds nothing else."""
    lowest = max(0, start - _WORDS_OCTETS)
    before = _DIV_BEFORE.search(html[lowest:start])
    after = _DIV_AFTER.match(html, stop)
    return (lowest + before.start(), after.end()) if before and after else (start, stop)
