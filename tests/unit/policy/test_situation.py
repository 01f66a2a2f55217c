"""When a message would be finished that nobody has posted yet."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from worker.policy.expansion import Definition
from worker.policy.situation import Situation
from worker.policy.telling import GRACE_ABOVE

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
IDLE = Situation(now=NOW, parts=[], windows=[], accounts={"main": NOW}, states=[])
LIST = Definition(
    name="everybody", view="lists.everybody", address="tous", title="Tous", post="members",
    post_view=None, reply_to="author", max_size=5_000_000, max_recipients=2000, lang="fr",
    grace=timedelta(hours=3),
)  # fmt: skip


def finish_at(recipients: int, definition: Definition = LIST) -> datetime:
    """Say when a message to so many would be finished."""
    found = IDLE.finish_of_newcomer({"orange": recipients}, definition)
    assert found.at == found.by_provider["orange"]
    assert found.at is not None
    return found.at


def test_many_people_wait_for_the_grace() -> None:
    """In which their author can still stop all of it; few do not, nor where there is none."""
    many = GRACE_ABOVE + 1

    assert finish_at(many) >= NOW + LIST.grace
    assert finish_at(GRACE_ABOVE) < NOW + timedelta(hours=1)
    assert finish_at(many, replace(LIST, grace=timedelta())) < NOW + timedelta(hours=1)


def test_nobody_is_never_finished() -> None:
    """There is nothing to tell."""
    assert IDLE.finish_of_newcomer({}, LIST).at is None
