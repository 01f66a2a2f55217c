"""The subject of a copy: the list's tag once, and "Re:" once.

Replies come back with the tag in the middle and "Re:" in several languages
before it. Sympa's order is kept, ``Re: [Comité] Réunion``: programs that group
by subject strip "Re:" alone.
"""

from __future__ import annotations

import re

# What programs write before the subject of a reply: "Re:", "RE :", "Ré:", "Rép:",
# "AW:" (German), "SV:" (Scandinavian), "Antw:" (Dutch), "Re[2]:" (Lotus, The Bat).
_REPLY = re.compile(
    r"\s*+(?:r[eé]|r[eé]p|aw|sv|antw)(?:\[\d{1,3}\]|\^\d{1,3})?[\s\u00a0]{0,3}:", re.IGNORECASE
)
_BLANKS = re.compile(r"\s+")


def tagged(subject: str, tag: str) -> str:
    """Return *subject* with *tag* before it; as it is where there is no tag."""
    if not tag:
        return subject
    rest, is_reply = subject, False
    while True:
        rest = rest.lstrip()
        if rest.lower().startswith(tag.lower()):
            rest = rest[len(tag) :]
        elif (reply := _REPLY.match(rest)) is not None:
            rest, is_reply = rest[reply.end() :], True
        else:
            break
    rest = _BLANKS.sub(" ", _without(rest, tag)).strip()
    return f"{'Re: ' if is_reply else ''}{tag} {rest}".strip()


def without_reply_marks(subject: str) -> str:
    """Return *subject* as it was before anybody replied."""
    while (reply := _REPLY.match(subject)) is not None:
        subject = subject[reply.end() :]
    return subject.strip()


def _without(text: str, tag: str) -> str:
    """Drop *tag* from the middle, as in "Fwd: [Comité] Réunion"."""
    return re.sub(re.escape(tag), "", text, flags=re.IGNORECASE)
