"""Following a message: what its author sees of all its postings together, and may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from worker.policy.telling import Figures, Share


@dataclass(frozen=True, slots=True)
class FollowedPosting:
    """One posting of the message."""

    posting_id: int
    author: str
    subject: str
    list_title: str
    state: str
    awaits: str | None
    ended_because: str | None
    recipients: int
    opens_at: datetime | None  # Nothing of it leaves before.
    can_be_resumed: bool  # By its author.
    waits_for_operator: bool  # Who has paused or stopped it, and alone can let it go on.
    author_lang: str = ""  # In which we write to them, "" if no view says it;
    list_lang: str = ""  # then it is the list's.


@dataclass(frozen=True, slots=True)
class Followed:
    """A message under way, at *now*; its postings are one or more."""

    now: datetime
    postings: tuple[FollowedPosting, ...]
    figures: Figures
    shares: tuple[Share, ...]
    finish_at: datetime | None  # By the plan; None: not in sight, or nothing waits.
    wants_fewer: bool  # Its author, of our letters.

    @property
    def numbers(self) -> list[int]:
        """The numbers of its postings."""
        return [posting.posting_id for posting in self.postings]

    @property
    def recipients(self) -> int:
        """Whom all its postings are for, also those that have no copies yet."""
        return sum(posting.recipients for posting in self.postings)

    @property
    def had(self) -> int:
        """How many have it, or may have."""
        return self.figures.handed_over + self.figures.in_doubt

    @property
    def gone(self) -> int:
        """Of how many the copy has left, whatever became of it."""
        return self.had + self.figures.refused + self.figures.expired

    @property
    def waits(self) -> bool:
        """Whether copies have still to leave, now or once it is resumed."""
        return self.figures.waiting > 0 and any(
            posting.state in ("open", "held") for posting in self.postings
        )

    @property
    def opens_at(self) -> datetime | None:
        """When the first copy leaves, if none has left and its author may still think again."""
        opens = [posting.opens_at for posting in self.postings if posting.state == "open"]
        if self.gone or not opens or any(at is None or at <= self.now for at in opens):
            return None
        return min(at for at in opens if at is not None)

    @property
    def can_stop(self) -> bool:
        """Whether there is something to stop."""
        return self.waits and any(_is_under_way(posting) for posting in self.postings)

    @property
    def can_hold(self) -> bool:
        """Whether there is something to hold."""
        return self.waits and any(posting.state == "open" for posting in self.postings)

    @property
    def can_resume(self) -> bool:
        """Whether there is something that can go on."""
        return any(posting.can_be_resumed for posting in self.postings)

    @property
    def waits_for_operator(self) -> bool:
        """Whether some of it can go on only if an operator says so."""
        return any(posting.waits_for_operator for posting in self.postings)

    @property
    def can_withdraw(self) -> bool:
        """Whether all that is left of it waits for somebody to say yes."""
        return not any(_is_under_way(posting) for posting in self.postings) and any(
            posting.awaits is not None for posting in self.postings
        )


def _is_under_way(posting: FollowedPosting) -> bool:
    """Whether it is open, or paused."""
    return posting.state == "open" or (posting.state == "held" and posting.awaits is None)
