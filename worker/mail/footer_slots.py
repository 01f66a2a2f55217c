"""The words of a footer in quoted-printable, with slots where copies differ.

A slot begins and ends a line, with soft line breaks (RFC 2045, section 6.7),
because what is put there brings its own. Dots are stuffed once for all copies,
after each line end, so nothing that follows a slot may begin with one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.mail.copy import UNSUBSCRIBE_SLOT
from worker.mail.transfer import LINE_OCTETS, SOFT_BREAK, quoted_printable, with_room

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXT, HTML = b"t", b"h"
_TOKEN_OCTETS = 32
_MERGE_SLOT = re.compile(r"\0M(\d{1,3})\0")


@dataclass(frozen=True, slots=True)
class Footer:
    """The words below a copy, line by line; the link is put on a line of its own."""

    lines: tuple[str, ...]  # With slots of merge fields, see worker/mail/copy.py.
    link_label: str
    url: bytes  # With the slot of the token.

    @property
    def words(self) -> str:
        """All that has to be written in the charset of the text."""
        return _MERGE_SLOT.sub("", "".join((*self.lines, self.link_label)))

    @property
    def has_merge_fields(self) -> bool:
        """Whether some of the words are known with each copy only, in UTF-8."""
        return any(_MERGE_SLOT.search(line) for line in (*self.lines, self.link_label))


def slotted(text: str, charset: str, context: bytes) -> bytes:
    """Return *text* encoded, its merge fields as slots for *context*; the last line is open."""
    first, *rest = _MERGE_SLOT.split(text)
    pieces = [with_room(quoted_printable(first.encode(charset)))]
    for number, words in zip(rest[::2], rest[1::2], strict=True):
        slot = b"\0M%s%s\0" % (number.encode("ascii"), context)
        after = with_room(quoted_printable(words.encode(charset)))
        pieces += [SOFT_BREAK, slot, SOFT_BREAK, after]
    written = b"".join(pieces)
    return b"=2E" + SOFT_BREAK + written[1:] if written.startswith(b".") else written


def link(url: bytes) -> bytes:
    """Return *url* encoded, in a line that is open, the slot of the token never cut in two."""
    prefix, _, suffix = url.partition(UNSUBSCRIBE_SLOT)
    head, tail = with_room(quoted_printable(prefix)), with_room(quoted_printable(suffix))
    is_long = len(prefix) + _TOKEN_OCTETS + len(suffix) >= LINE_OCTETS
    return b"".join((head, SOFT_BREAK if is_long else b"", UNSUBSCRIBE_SLOT, tail))


def in_blocks(written: Mapping[str, bytes]) -> bytes:
    """Return what is *written* in each language, as blocks if there are several."""
    if len(written) == 1:
        return next(iter(written.values()))
    blocks = (b"\0?%s\0%s" % (lang.encode("ascii"), words) for lang, words in written.items())
    return b"".join((*blocks, b"\0?\0"))
