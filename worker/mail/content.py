"""What a message says, as one number: a message that is sent twice is known by it.

Mail programs write a message anew when it is sent again: Message-ID, Date, boundaries
and encodings differ. Its words and its attachments are the same, and so is what it
answers: "Yes" to two questions in one thread is said twice.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from worker.mail.parts import content, decoded_text, leaves
from worker.mail.surgery import thread_ids

if TYPE_CHECKING:
    from worker.mail.header import Message
    from worker.mail.parts import Part


def content_hash(message: Message, raw: bytes) -> bytes:
    """Return a hash of the subject of *message*, what it answers, and all that is in *raw*."""
    digest = sha256()
    subject = _words(field.text if (field := message.first("subject")) else "")
    answered = b" ".join(thread_ids(message, "in-reply-to"))
    for said in (subject, answered, *map(_said, leaves(raw))):
        digest.update(b"%d:" % len(said))
        digest.update(said)
    return digest.digest()


def _said(part: Part) -> bytes:
    if part.content_type.startswith("text/"):
        return _lines(decoded_text(part))
    return content(part)


def _words(text: str) -> bytes:
    return " ".join(text.split()).encode("utf-8", "replace")


def _lines(text: str) -> bytes:
    """Return *text* without what is at its end, and at that of its lines, but cannot be seen."""
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return lines.strip("\n").encode("utf-8", "replace")
