"""May this message be answered, and today still? No letter goes to who did not write.

The host has accepted a message before we see it, so a refusal is a new mail: to a
forged author it would be spam from us. Answered is who is proven, and a member whom
nothing disowns; a program never is (RFC 3834, section 2; reference: user experience, 2.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

from worker.mail.authentication import Authenticity
from worker.policy.telling import ANSWERS_A_DAY

if TYPE_CHECKING:
    from collections.abc import Callable


class Withheld(StrEnum):
    """Why an author's message is not answered: labels of a metric."""

    AUTOMATIC = "automatic"
    OTHER_LIST = "other_list"
    BULK = "bulk"
    NULL_RETURN_PATH = "null_return_path"
    ROBOT = "robot"  # A daemon, or an address that says that nobody reads it.
    SPAM = "spam"
    NO_AUTHOR = "no_author"  # Not exactly one: nobody is proven to be it.
    OURS = "ours"  # An address in our own domain.
    FAILED = "failed"  # Its author's domain disowns it.
    UNPROVEN = "unproven"  # And no view knows its author.
    STRANGER = "stranger"  # Proven, but what is to be said is for members.
    UNDECIDED = "undecided"  # A view fails, so nobody can say what the answer is.
    CAP = "cap"  # They have had the day's answers.


@dataclass(frozen=True, slots=True)
class Asking:
    """A message, as far as it matters for whether its author is answered."""

    author: str | None  # None: not exactly one.
    automatic: str | None = None  # The name of the rule by which it is so, as are the next four.
    loop: str | None = None
    other_list: str | None = None
    spam: str | None = None
    unanswered: str | None = None  # By which nobody wants an answer.
    authenticity: Authenticity = Authenticity.UNKNOWN
    is_known: bool | None = False  # To any view; None: one of them fails, and no other does.
    is_ours: bool = False  # Its author has an address in our domain.
    for_members: bool = False  # What is to be said tells of the directory.

    @property
    def is_proven(self) -> bool:
        """Whether its author wrote it."""
        return self.authenticity is Authenticity.PROVEN


_RULES: tuple[tuple[Withheld, Callable[[Asking], bool]], ...] = (
    (Withheld.NULL_RETURN_PATH, lambda a: a.unanswered == "null-return-path"),
    (Withheld.ROBOT, lambda a: a.unanswered == "robot"),
    (Withheld.OURS, lambda a: a.is_ours or a.loop is not None),
    (Withheld.AUTOMATIC, lambda a: a.automatic not in (None, "precedence")),
    (Withheld.OTHER_LIST, lambda a: a.other_list is not None or a.unanswered == "list"),
    (Withheld.BULK, lambda a: "precedence" in (a.automatic, a.unanswered)),
    (Withheld.SPAM, lambda a: a.spam is not None),
    (Withheld.NO_AUTHOR, lambda a: a.author is None),
    (Withheld.FAILED, lambda a: a.authenticity is Authenticity.FAILED),
    (Withheld.UNDECIDED, lambda a: a.is_known is None and (a.for_members or not a.is_proven)),
    (Withheld.UNPROVEN, lambda a: not a.is_proven and not a.is_known),
    (Withheld.STRANGER, lambda a: a.for_members and not a.is_known),
)


def withheld(asking: Asking) -> Withheld | None:
    """Return why the author of a message is not answered; None: they are."""
    return next((why for why, holds in _RULES if holds(asking)), None)


class Allowance(Enum):
    """What an author may still have of us today."""

    ANSWER = "answer"
    NO_MORE = "no_more"  # One letter, which says that the others will not be written.
    SILENCE = "silence"


def allowance_of(answers: int, farewells: int) -> Allowance:
    """Say what follows *answers*, and letters that there are no more, within a day."""
    if answers < ANSWERS_A_DAY:
        return Allowance.ANSWER
    return Allowance.SILENCE if farewells else Allowance.NO_MORE
