"""What is wrong with an address whose mail comes back, in plain words without codes."""

from __future__ import annotations

from worker.mail.reason import Reason
from worker.notices.catalogue import translations


def _sentence(text: str) -> str:
    """Mark *text* for the catalogue; it is translated where it is used."""
    return text


_UNREACHABLE = _sentence("its mail server does not answer")
_TURNED_AWAY = _sentence("its mail server turns our messages away")
_WORDS: dict[Reason, str] = {
    Reason.UNKNOWN_USER: _sentence("this mailbox does not exist (any more)"),
    Reason.UNKNOWN_DOMAIN: _sentence("what follows the @ does not exist: perhaps a typing mistake"),
    Reason.NOT_ACCEPTING: _sentence("what follows the @ takes no mail"),
    Reason.MOVED: _sentence("the person has another address now"),
    Reason.DISABLED: _sentence("this mailbox is closed or blocked by its provider"),
    Reason.FULL: _sentence("the mailbox is full"),
    Reason.RECIPIENT_RATE: _sentence("this mailbox gets more mail than its provider lets in"),
    Reason.FILTERED: _sentence("a rule of this mailbox turns our messages away"),
    Reason.EXPIRED: _UNREACHABLE,
    Reason.NETWORK: _UNREACHABLE,
    Reason.SYSTEM: _sentence("its mail server is out of order"),
    Reason.UNKNOWN: _sentence("the messages come back, and nobody says why"),
}


def failure_words(lang: str, reason: Reason) -> str:
    """Say in the language *lang* what is wrong with an address."""
    return translations(lang).gettext(_WORDS.get(reason, _TURNED_AWAY))
