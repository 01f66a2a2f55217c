"""Who is answered, and how often in a day."""

from __future__ import annotations

from dataclasses import replace

import pytest

from worker.mail.authentication import Authenticity
from worker.policy.answering import Allowance, Asking, Withheld, allowance_of, withheld
from worker.policy.telling import ANSWERS_A_DAY

ALLOWANCES = {
    "the first": (0, 0, Allowance.ANSWER),
    "the last": (ANSWERS_A_DAY - 1, 0, Allowance.ANSWER),
    "one more": (ANSWERS_A_DAY, 0, Allowance.NO_MORE),
    "after the farewell": (ANSWERS_A_DAY, 1, Allowance.SILENCE),
    "the day is over for the first of them": (ANSWERS_A_DAY - 1, 1, Allowance.ANSWER),
    "more than that, by an older version": (ANSWERS_A_DAY + 9, 0, Allowance.NO_MORE),
}


@pytest.mark.parametrize(("answers", "farewells", "left"), ALLOWANCES.values(), ids=ALLOWANCES)
def test_a_day_of_answers(answers: int, farewells: int, left: Allowance) -> None:
    """So many, one letter that there are no more, and silence."""
    assert allowance_of(answers, farewells) is left


PROVEN, UNKNOWN, FAILED = Authenticity.PROVEN, Authenticity.UNKNOWN, Authenticity.FAILED
STRANGER = Asking("x@y.fr", authenticity=PROVEN)
MEMBER = Asking("a@b.fr", authenticity=PROVEN, is_known=True)
ASKING = {
    "a proven stranger": (STRANGER, None),
    "a proven stranger, while a view fails": (replace(STRANGER, is_known=None), None),
    "a proven member": (MEMBER, None),
    "a member whom nothing proves": (replace(MEMBER, authenticity=UNKNOWN), None),
    "a member, about the directory": (replace(MEMBER, for_members=True), None),
    "a member whom nothing proves, about the directory": (
        replace(MEMBER, authenticity=UNKNOWN, for_members=True),
        None,
    ),
    "a member, disowned": (replace(MEMBER, authenticity=FAILED), Withheld.FAILED),
    "a stranger, disowned": (replace(STRANGER, authenticity=FAILED), Withheld.FAILED),
    "a stranger whom nothing proves": (
        replace(STRANGER, authenticity=UNKNOWN),
        Withheld.UNPROVEN,
    ),
    "somebody whom nothing proves, while a view fails": (
        replace(STRANGER, authenticity=UNKNOWN, is_known=None),
        Withheld.UNDECIDED,
    ),
    "a stranger, about the directory": (replace(STRANGER, for_members=True), Withheld.STRANGER),
    "about the directory, while a view fails": (
        replace(STRANGER, for_members=True, is_known=None),
        Withheld.UNDECIDED,
    ),
    "automatic": (replace(MEMBER, automatic="auto-replied"), Withheld.AUTOMATIC),
    "a loop": (replace(MEMBER, loop="relais-ref"), Withheld.OURS),
    "an address of ours": (replace(MEMBER, is_ours=True), Withheld.OURS),
    "another list's": (replace(MEMBER, other_list="list-id"), Withheld.OTHER_LIST),
    "a newsletter's": (replace(MEMBER, unanswered="list"), Withheld.OTHER_LIST),
    "bulk": (replace(MEMBER, automatic="precedence"), Withheld.BULK),
    "precedence": (replace(MEMBER, unanswered="precedence"), Withheld.BULK),
    "null return path": (
        replace(MEMBER, automatic="null-return-path", unanswered="null-return-path"),
        Withheld.NULL_RETURN_PATH,
    ),
    "a daemon": (replace(MEMBER, automatic="robot", unanswered="robot"), Withheld.ROBOT),
    "no-reply": (replace(MEMBER, unanswered="robot"), Withheld.ROBOT),
    "called spam": (replace(MEMBER, spam="x-spam-flag"), Withheld.SPAM),
    "two authors": (Asking(None, authenticity=PROVEN), Withheld.NO_AUTHOR),
}


@pytest.mark.parametrize(("asking", "why"), ASKING.values(), ids=ASKING)
def test_who_is_answered(asking: Asking, why: Withheld | None) -> None:
    """Whoever wrote it and can read an answer; the directory is told to members alone."""
    assert withheld(asking) is why


def test_every_reason_has_its_row() -> None:
    """But the cap, which counts (see below)."""
    rows = {why for _, why in ASKING.values()}

    assert rows == {None, *Withheld} - {Withheld.CAP}
