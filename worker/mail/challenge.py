"""Challenges: answers that ask whoever wrote to prove that they are a person.

Nobody answers them here. Some are formed as delivery reports, so they are told
from returns before those are read. People write of guest lists and of
confirming, too: a challenge says both that a message waits, and how to free it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.mail.folding import any_of, folded
from worker.mail.speaker import is_daemon

if TYPE_CHECKING:
    from worker.mail.folding import AnyOf
    from worker.mail.notification import Notification

_MAIL = r"(?:message|e-?mail|mail|courriel|courrier|envoi)s?"
_WAITS = (
    (
        r"your {mail}\b.{0,80}\b(?:held|hold|waiting|pending|queue|quarantin|not (?:yet )?(?:been"
        r" )?(?:deliver|approved)|blocked|delivered to .{0,30}(?:waiting|pending))"
    ),
    r"(?:held|holding|received|quarantined) .{0,20}your {mail}",
    (
        r"(?:before|until|so that|for) .{0,30}(?:your |this )?{mail} .{0,30}(?:be |is |to be"
        r" )?(?:deliver|released|accepted|read)"
    ),
    r"guest ?list",
    r"approved (?:senders?|list)",
    r"allowed (?:senders?|list)",
    r"trusted senders?",
    r"white ?list",
    r"not (?:yet )?on my",
    r"votre {mail}\b.{0,80}(?:attente|bloqu|retenu|mis en|pas encore)",
    r"liste (?:blanche|des expediteurs)",
)
_FREES = (
    (
        r"(?:click|visit|follow|reply|respond|answer|type|enter|fill|complete)\b.{0,120}?(?:confirm"
        r"|verif|deliver|releas|human|person|approv|authenticat|add(?:ed)?\b|allow|request|once"
        r"|code|form)"
    ),
    (
        r"(?:confirm|verify|prove|validate|authenticate)\b.{0,60}(?:you are|you're|yourself|human"
        r"|person|your (?:e-?mail|message|identity|address))"
    ),
    (
        r"(?:clique|repond|saisi|suiv|recopi)\w*\b.{0,120}?(?:confirm|valid|authentifi|identifi"
        r"|debloqu|liber|robot|remis)"
    ),
    r"(?:authentifi|identifi|valid|confirm)\w*\b.{0,60}(?:votre|vous|expediteur)",
)
_BY_NAME = (
    r"boxbe",
    r"spam ?arrest",
    r"spamblocker",
    r"mailguard",
    r"boxtrapper",
    r"mailinblack",
    r"bluebottle",
    r"sendio",
    r"\btmda\b",
    r"choicemail",
    r"challenge[/ -]response",
)


def is_challenge(notification: Notification) -> bool:
    """Whether *notification* says that a message waits until its reader has proved something."""
    if names_its_service(notification):
        return True
    message = notification.message
    is_bulk = message.first("list-id") or message.first("list-unsubscribe")
    said = _said(notification)
    asks = _any_of(_WAITS).found_in(said) and _any_of(_FREES).found_in(said)
    return asks and not is_bulk and not is_daemon(notification)


def is_of_service(notification: Notification) -> bool:
    """Whether a service that is known for challenges has written it, and asks for something."""
    named = _any_of(_BY_NAME).found_in(notification.author)
    return named and _any_of(_FREES).found_in(_said(notification))


def names_its_service(notification: Notification) -> bool:
    """Whether it is a challenge by a service that is known for them."""
    said = f"{notification.author} {_said(notification)}"
    return _any_of(_BY_NAME).found_in(said) and _any_of(_FREES).found_in(said)


def _any_of(words: tuple[str, ...]) -> AnyOf:
    return any_of(tuple(word.replace("{mail}", _MAIL) for word in words))


def _said(notification: Notification) -> str:
    return f"{folded(notification.subject)} {notification.opening}"
