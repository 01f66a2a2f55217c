"""Mending: who is told of dead addresses, in which week, and what again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from worker.mail.reason import Reason
from worker.policy.mending import (
    Ailing,
    Bearer,
    DeadAddress,
    Told,
    by_recipient,
    due,
    lang_of,
    monday_of,
    next_letters,
    secretaries,
)

PARIS = ZoneInfo("Europe/Paris")
MONDAY = date(2026, 11, 30)
WEEK = timedelta(weeks=1)
SINCE = datetime(2026, 11, 3, tzinfo=UTC)
HELP = "Aide@example.fr"

MOMENTS = {
    "at seven": (datetime(2026, 11, 30, 7, tzinfo=PARIS), MONDAY),
    "before seven": (datetime(2026, 11, 30, 6, 59, 59, tzinfo=PARIS), MONDAY - WEEK),
    "on Sunday night": (datetime(2026, 12, 6, 23, 59, tzinfo=PARIS), MONDAY),
    "at the end of a year": (datetime(2027, 1, 3, 12, tzinfo=PARIS), date(2026, 12, 28)),
    "when clocks have changed": (datetime(2026, 10, 26, 7, tzinfo=PARIS), date(2026, 10, 26)),
}


@pytest.mark.parametrize(("local", "monday"), MOMENTS.values(), ids=MOMENTS)
def test_a_week_is_its_monday(local: datetime, monday: date) -> None:
    """From seven in the morning on, as clocks show it."""
    assert monday_of(local) == monday
    after = next_letters(local)
    assert (after.date(), after.hour, after.tzinfo) == (monday + WEEK, 7, PARIS)
    assert monday_of(after) == monday + WEEK


def ailing(address: str, *, since: datetime = SINCE) -> Ailing:
    """Return how a held address fares."""
    return Ailing(address, "held", since, None, Reason.FULL, "", "", 5, since)


def bearer(
    address: str = "a@b.fr", *, secretary: str | None = None, owner: str | None = None
) -> Bearer:
    """Return a row of the list of a club."""
    return Bearer(address, "Anne", "1", "club.judo", "Judo", "fr", secretary, owner)


class Row(NamedTuple):
    """What rows with one address say, and who is written to."""

    rows: list[Bearer]
    recipients: list[str]


ROWS = {
    "a secretary": Row([bearer(secretary="s@c.fr")], ["s@c.fr"]),
    "an owner": Row([bearer(owner="o@c.fr")], ["o@c.fr"]),
    "neither": Row([bearer()], ["aide@example.fr"]),
    "a secretary before the owner": Row(
        [bearer(owner="o@c.fr"), bearer(secretary="s@c.fr", owner="o@c.fr")], ["s@c.fr"]
    ),
    "two clubs": Row(
        [bearer(secretary="t@c.fr"), bearer(secretary="s@c.fr")], ["s@c.fr", "t@c.fr"]
    ),
    "two owners, one list without": Row(
        [bearer(owner="o@c.fr"), bearer(), bearer(owner="p@c.fr")], ["o@c.fr", "p@c.fr"]
    ),
    "a secretary who is held": Row([bearer(secretary="held@b.fr")], ["aide@example.fr"]),
    "one of two who is held": Row(
        [bearer(secretary="held@b.fr"), bearer(secretary="s@c.fr")], ["s@c.fr"]
    ),
    "a list of ours": Row([bearer(secretary="bureau@listes.fr")], ["aide@example.fr"]),
    "what is no address": Row([bearer(secretary="the secretary")], ["aide@example.fr"]),
}


@pytest.mark.parametrize("case", ROWS.values(), ids=ROWS)
def test_who_is_written_to(case: Row) -> None:
    """Whoever is nearest to the person and can read it."""
    found = by_recipient(
        case.rows,
        {"a@b.fr": ailing("a@b.fr")},
        held={"a@b.fr", "held@b.fr"},
        domain="listes.fr",
        help_address=HELP,
    )

    assert list(found) == case.recipients
    assert all([dead.ailing.address for dead in told] == ["a@b.fr"] for told in found.values())


SURE = {"a secretary", "a secretary before the owner", "two clubs", "one of two who is held"}


@pytest.mark.parametrize(("name", "case"), ROWS.items(), ids=ROWS)
def test_who_is_written_to_while_rows_are_missing(name: str, case: Row) -> None:
    """Whom a row names; for the others, one that is missing may name somebody."""
    found = by_recipient(
        case.rows,
        {"a@b.fr": ailing("a@b.fr")},
        held={"a@b.fr", "held@b.fr"},
        domain="listes.fr",
        help_address=HELP,
        is_whole=False,
    )

    assert list(found) == (case.recipients if name in SURE else [])


def test_nobody_is_left_to_write_to() -> None:
    """The help address may be held itself."""
    held = {"a@b.fr": ailing("a@b.fr"), HELP.lower(): ailing(HELP.lower())}

    assert by_recipient([bearer()], held, held=held, domain="l.fr", help_address=HELP) == {}


def test_secretaries_of_nobody() -> None:
    """No row says anything: the site's help address is not the views' to know."""
    assert secretaries([bearer(), bearer()]) == []


def test_a_letter_is_in_order() -> None:
    """By list, then by name, each address once with all that is known."""
    rows = [
        replace(bearer("z@b.fr"), name="Zoé", title="Aikido"),
        replace(bearer("b@b.fr"), name="Zoé", title="Judo"),
        replace(bearer("b@b.fr"), name="Anne", title="Judo", list_lang="en"),
        replace(bearer("c@b.fr"), name="", title="Judo"),
        bearer("well@b.fr"),
    ]
    held = {address: ailing(address) for address in ("z@b.fr", "b@b.fr", "c@b.fr")}

    [told] = by_recipient(rows, held, held=held, domain="l.fr", help_address=HELP).values()

    assert [(one.ailing.address, one.names, one.titles) for one in told] == [
        ("z@b.fr", ("Zoé",), ("Aikido",)),
        ("c@b.fr", (), ("Judo",)),
        ("b@b.fr", ("Anne", "Zoé"), ("Judo",)),
    ]
    assert (lang_of(told, "fr"), lang_of(told[:1], "en")) == ("fr", "fr")


class Due(NamedTuple):
    """When a secretary was told of A and B, when there was a letter, and what is told now."""

    told: dict[str, tuple[int, datetime]]  # weeks ago, held since
    last_letter: int | None
    news: list[str]
    reminders: list[str]


DUE = {
    "the first letter": Due({}, None, ["a", "b"], []),
    "nothing new": Due({"a": (1, SINCE), "b": (1, SINCE)}, 1, [], []),
    "one is new": Due({"a": (1, SINCE)}, 1, ["b"], []),
    "held anew": Due({"a": (1, SINCE), "b": (1, SINCE - WEEK)}, 1, ["b"], []),
    "three weeks": Due({"a": (3, SINCE), "b": (3, SINCE)}, 3, [], []),
    "four weeks": Due({"a": (4, SINCE), "b": (4, SINCE)}, 4, [], ["a", "b"]),
    "one of them is old": Due({"a": (4, SINCE), "b": (2, SINCE)}, 2, [], []),
    "one is old, one is new": Due({"a": (4, SINCE)}, 2, ["b"], ["a"]),
    "one is old, and the letter about another was mended": Due({"a": (4, SINCE)}, 4, ["b"], ["a"]),
}


@pytest.mark.parametrize("case", DUE.values(), ids=DUE)
def test_what_is_told(case: Due) -> None:
    """News every week; what is unchanged every four, and no letter for less."""
    dead = [DeadAddress(ailing(name), (), ("Judo",), frozenset({"fr"})) for name in ("a", "b")]

    found = due(
        dead,
        {name: Told(since, MONDAY - n * WEEK) for name, (n, since) in case.told.items()},
        monday=MONDAY,
        last_letter=None if case.last_letter is None else MONDAY - case.last_letter * WEEK,
    )

    assert [one.ailing.address for one in found if not one.is_reminder] == case.news
    assert [one.ailing.address for one in found if one.is_reminder] == case.reminders
    assert found == sorted(found, key=lambda one: one.is_reminder)
