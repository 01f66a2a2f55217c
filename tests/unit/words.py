"""What people read of a letter, and what comes back of it in an answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.mail.notice import Letter

LANGUAGES = ("fr", "en")
_WIDTHS = (20, 40, 60, 72, 76, 78, 80, 998)


def french(text: str) -> str:
    """Return *text* with the apostrophe of French, and its spaces that do not break."""
    return re.sub(r" (?=[:;?!»])|(?<=«) ", "\u00a0", text).replace("'", "\u2019")


def seen(text: str) -> str:
    """Return *text* with spaces that are only spaces."""
    return re.sub(r"[\u00a0\u202f]", " ", text)


def replies_that_only_quote(letter: Letter) -> Iterator[bytes]:
    """Return answers that say nothing of their own: folded, marked, or in HTML."""
    head = b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
    for width in _WIDTHS:
        folded = "\n".join(
            piece for line in letter.text.splitlines() for piece in (_folded(line, width) or [""])
        )
        for quote in (folded, *(_marked(letter.text, width))):
            yield head + quote.encode()
    body = letter.html.partition("<body")[2].partition(">")[2].removesuffix("</body></html>\n")
    for page in (letter.html, f"<blockquote>{body}</blockquote>", f"<div>{body}</div>"):
        yield b"Content-Type: text/html; charset=utf-8\r\n\r\n" + page.encode()


def _folded(line: str, width: int) -> list[str]:
    """Fold *line* as mail programs do, who forget to mark what they fold."""
    pieces = [""]
    for word in line.split(" "):
        if pieces[-1] and len(pieces[-1]) + len(word) >= width:
            pieces.append(word)
        else:
            pieces[-1] = f"{pieces[-1]} {word}".lstrip(" ")
    return pieces


def _marked(text: str, width: int) -> list[str]:
    marked = [f"> {line}".rstrip() for line in text.splitlines()]
    folded = [piece for line in marked for piece in _folded(line, width)]
    return ["\n".join(marked), "\n".join(folded), "\n" + "\n".join(folded) + "\n"]
