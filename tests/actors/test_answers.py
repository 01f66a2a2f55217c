"""Answers to one author: a few a day, one farewell, and silence, whoever writes them."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Literal, TypeAlias

import pytest

from tests.actors.letters import Owner, notices, text_of
from worker.actors.answers import answer
from worker.mail.notice import Letter
from worker.policy.outcome import NoticeKind
from worker.policy.telling import ANSWERS_A_DAY
from worker.store.database import CONFLICTS, borrowed

if TYPE_CHECKING:
    from worker.actors.office import Office

Isolation: TypeAlias = Literal["read_committed", "repeatable_read"]

LETTER = Letter("Not sent", "It was not sent.\n\nAutomatic message", "en")


async def answered(
    office: Office, author: str = "a@b.fr", *, isolation: Isolation = "read_committed"
) -> bool:
    """Answer *author* once, as often as it takes."""
    while True:
        try:
            async with borrowed(office.pool) as db, db.transaction(isolation=isolation):
                return await answer(
                    db, NoticeKind.NOT_POSTED, LETTER, author, office=office, about=None
                )
        except CONFLICTS:
            continue


def withheld(office: Office) -> float | None:
    """Return how many answers the cap has withheld."""
    return office.metrics.registry.get_sample_value("relais_answers_withheld_total", {"why": "cap"})


async def test_six_a_day_one_farewell_and_silence(office: Office, owner: Owner) -> None:
    """The farewell is the seventh answer, which loses no word, to that address alone."""
    given = [await answered(office, author) for author in ("a@b.fr", "A@B.fr") * 5]

    assert given == [True] * (ANSWERS_A_DAY + 1) + [False] * 3
    found = await notices(owner)
    assert {kind: len(some) for kind, some in found.items()} == {
        "not_posted": ANSWERS_A_DAY,
        "no_more_today": 1,
    }
    text = text_of(found["no_more_today"][0])
    assert text.startswith("It was not sent.")
    assert "aide@example.fr" in text
    assert withheld(office) == 3
    assert await answered(office, "c@d.fr"), "others have a count of their own"


async def test_what_a_person_has_asked_for_comes(office: Office, owner: Owner) -> None:
    """Who has stopped a message hears what that has done, whatever the day was like."""
    for _ in range(ANSWERS_A_DAY + 1):
        await answered(office)
    async with borrowed(office.pool) as db, db.transaction():
        kind = NoticeKind.STOP_REPORT
        assert await answer(db, kind, LETTER, "a@b.fr", office=office, about=None)

    assert "stop_report" in await notices(owner)


async def test_after_a_day_it_begins_anew(office: Office, owner: Owner) -> None:
    """A day that rolls: what is older does not count."""
    for _ in range(ANSWERS_A_DAY + 2):
        await answered(office)
    await owner.execute("update relais.notice set made_at = made_at - interval '25 hours'")

    assert await answered(office)


async def test_what_answers_nobody_does_not_count(office: Office, owner: Owner) -> None:
    """Questions to confirm have a cap of their own."""
    await owner.execute(
        "insert into relais.notice (kind, address, template, key_id, made_at)"
        " select 'confirm', 'a@b.fr', '', '', relais.now() from generate_series(1, 20)"
    )

    assert await answered(office)


ISOLATIONS: dict[str, Isolation] = {
    "read committed": "read_committed",
    "repeatable read": "repeatable_read",
}


@pytest.mark.parametrize("isolation", ISOLATIONS.values(), ids=ISOLATIONS)
async def test_workers_that_race_keep_to_the_cap(
    office: Office, owner: Owner, isolation: Isolation
) -> None:
    """Whichever snapshot they count in."""
    given = await asyncio.gather(*(answered(office, isolation=isolation) for _ in range(12)))

    assert Counter(given) == {True: ANSWERS_A_DAY + 1, False: 11 - ANSWERS_A_DAY}
    kinds = {kind: len(some) for kind, some in (await notices(owner)).items()}
    assert kinds == {"not_posted": ANSWERS_A_DAY, "no_more_today": 1}
