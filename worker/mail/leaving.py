"""Telling a posting from a member who only wants to leave, and wrote so to the list.

"Désinscription" alone, in the subject or in the first line of a short message:
everybody would read it, and nobody act on it. Sympa has had such a rule for
years, with the same five lines. Below it only a name or thanks may stand, for a
sentence that goes on there is meant for the list.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from worker.mail.answer import own_lines, shown_text
from worker.mail.subject import without_reply_marks

if TYPE_CHECKING:
    from worker.mail.header import Message

_LINES_AT_MOST = 5
_LINE_LIMIT = 200
_CLOSING_WORDS = 3
_POLITE = (
    r"(?:(?:bonjour|bonsoir|hello|hi|merci de|merci d['\u2019]avance de|veuillez"
    r"|pri[èe]re de|please"
    r"|je (?:souhaite|veux|voudrais|d[ée]sire)|i (?:want|would like|wish) to)[\s,!.]*)*"
)
_WISH = (
    r"(?:unsubscribe|signoff|(?:please )?(?:remove|unsubscribe) me|take me off"
    r"|(?:me |se )?d[ée]sinscrire|d[ée]sinscription|d[ée]sinscrivez[ -]moi"
    r"|(?:me |se )?d[ée]sabonner|d[ée]sabonnement|d[ée]sabonnez[ -]moi"
    r"|(?:me )?(?:retirer|supprimer)|retirez[ -]moi|stop"
    r"|(?:je )?ne (?:veux |souhaite |d[ée]sire )?plus recevoir"
    r" (?:de |des |ces |vos |les )?(?:e-?mails?|mails?|messages?|courriels?|courriers?))"
)
_OF_WHAT = (
    r"(?:\s+(?:me|moi|svp|s['\u2019]il vous pla[iî]t|please|merci|thanks?|thank you"
    r"|(?:de|from|off) (?:la|cette|votre|vos|the|this|your) (?:mailing )?(?:listes?|list|lists)"
    r"(?: de diffusion)?))*"
)
_GREETING = re.compile(r"(?:bonjour|bonsoir|hello|hi)[\s!,.]*", re.IGNORECASE)
_COMMAND = re.compile(rf"{_POLITE}{_WISH}{_OF_WHAT}[\s.,!]*", re.IGNORECASE)
# One of these is in every wish, whatever its accents and spaces.
_TRACES = (
    *("unsubscribe", "signoff", "remove", "take", "stop"),
    *("sinscri", "sabonn", "retire", "supprimer", "plus recevoir"),
)


def asks_to_leave(message: Message, raw: bytes) -> bool:
    """Tell whether all that *raw*, read as *message*, says is that its author wants to leave."""
    subject = message.first("subject")
    title = subject.text if subject else ""
    # Whose each line is takes long to tell, and most mail has no such word.
    text = f"{title}\n{shown_text(raw)}".lower()
    if not any(word in text for word in _TRACES):
        return False
    own = [line for line in own_lines(raw) if line and not _GREETING.fullmatch(line)]
    if len(own) > _LINES_AT_MOST:
        return False
    if own:
        return _is_command(own[0]) and all(map(_is_closing, own[1:]))
    return _is_command(without_reply_marks(title))


def _is_command(line: str) -> bool:
    return len(line) <= _LINE_LIMIT and _COMMAND.fullmatch(line) is not None


def _is_closing(line: str) -> bool:
    """Whether *line* has no room for more than a name, thanks or a number."""
    words = [word for word in line[:_LINE_LIMIT].split() if any(map(str.isalpha, word))]
    return len(words) <= _CLOSING_WORDS
