"""What an author may do with a message, whatever its postings are at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from worker.policy.following import Followed, FollowedPosting
from worker.policy.telling import Figures

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
SOON = NOON + timedelta(minutes=5)
WAITING, GONE = Figures(handed_over=2, waiting=3), Figures(handed_over=5)
UNBEGUN = Figures(waiting=5)


def posting(
    state: str = "open",
    *,
    awaits: str | None = None,
    opens_at: datetime | None = None,
    can_be_resumed: bool = False,
    waits_for_operator: bool = False,
) -> FollowedPosting:
    """Return a posting that is so."""
    return FollowedPosting(
        posting_id=1,
        author="a@b.fr",
        subject="",
        list_title="Tous",
        state=state,
        awaits=awaits,
        ended_because=None,
        recipients=5,
        opens_at=opens_at,
        can_be_resumed=can_be_resumed,
        waits_for_operator=waits_for_operator,
    )


def followed(figures: Figures, *postings: FollowedPosting) -> Followed:
    """Return a message of these postings."""
    return Followed(NOON, postings, figures, (), None, wants_fewer=False)


PAUSED = posting("held", can_be_resumed=True)
MODERATED = posting("held", awaits="moderation")
STOPPED = posting("stopped", can_be_resumed=True)


class Case(NamedTuple):
    """A message, and the buttons that make sense."""

    message: Followed
    buttons: str


CASES = {
    "under way": Case(followed(WAITING, posting()), "stop hold"),
    "all has left": Case(followed(GONE, posting()), ""),
    "finished": Case(followed(GONE, posting("finished")), ""),
    "paused": Case(followed(WAITING, PAUSED), "stop resume"),
    "paused, and nobody waits any more": Case(followed(GONE, PAUSED), "resume"),
    "stopped": Case(followed(Figures(stopped=3), STOPPED), "resume"),
    "stopped, and purged": Case(followed(Figures(stopped=3), posting("stopped")), ""),
    "waits for a moderator": Case(followed(Figures(), MODERATED), "withdraw"),
    "held under way": Case(followed(WAITING, MODERATED), "withdraw"),
    "one goes, one waits for a moderator": Case(
        followed(WAITING, posting(), MODERATED), "stop hold"
    ),
    "one has left, one waits for a moderator": Case(
        followed(GONE, posting("finished"), MODERATED), "withdraw"
    ),
    "one goes, one is paused": Case(followed(WAITING, posting(), PAUSED), "stop hold resume"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_buttons(case: Case) -> None:
    """There is one only for what would change something."""
    can = {
        "stop": case.message.can_stop,
        "hold": case.message.can_hold,
        "resume": case.message.can_resume,
        "withdraw": case.message.can_withdraw,
    }

    assert " ".join(name for name, is_so in can.items() if is_so) == case.buttons


GRACE = {
    "none": (followed(UNBEGUN, posting()), None),
    "five minutes": (followed(UNBEGUN, posting(opens_at=SOON)), SOON),
    "over": (followed(UNBEGUN, posting(opens_at=NOON)), None),
    "of another list": (followed(UNBEGUN, posting(), posting(opens_at=SOON)), None),
    "of both lists": (
        followed(UNBEGUN, posting(opens_at=SOON + timedelta(hours=1)), posting(opens_at=SOON)),
        SOON,
    ),
    "a pause between, as for a list that does not answer": (
        followed(WAITING, posting(opens_at=SOON)),
        None,
    ),
    "paused": (followed(UNBEGUN, posting("held", opens_at=SOON)), None),
}


@pytest.mark.parametrize(("message", "opens_at"), GRACE.values(), ids=GRACE)
def test_grace(message: Followed, opens_at: datetime | None) -> None:
    """Nobody is told that nobody has it, once a single copy may have left."""
    assert message.opens_at == opens_at


def test_figures() -> None:
    """Who may have it counts as having it; refused copies have left, but reached nobody."""
    figures = Figures(handed_over=80, in_doubt=1, refused=9, expired=3, waiting=7, stopped=2)
    message = followed(figures, posting(), posting())

    assert (message.had, message.gone, message.recipients) == (81, 93, 10)
