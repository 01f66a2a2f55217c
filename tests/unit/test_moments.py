"""Times in words: rounded up, never down, whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from worker.notices.moments import (
    about_time,
    clock_time,
    exact_time,
    promised_time,
    time_span,
)

PARIS = ZoneInfo("Europe/Paris")


def at(written: str, *, fold: int = 0) -> datetime:
    """Return the time that clocks show in Paris; 1 is the second of an hour that comes twice."""
    return datetime.fromisoformat(written).replace(tzinfo=PARIS, fold=fold)


def seen(text: str) -> str:
    """Return *text* as it is typed: with plain spaces and apostrophes."""
    return text.replace("\u00a0", " ").replace("\u2019", "'")


class About(NamedTuple):
    """When it is, when that is told, and what is said."""

    moment: datetime
    now: datetime
    fr: str
    en: str


MONDAY = at("2026-11-23T20:58")
LATE = at("2026-11-23T23:20")
EVE = at("2026-03-28T20:00")  # Of the night without the hour from 2 to 3.
SPRING = at("2026-03-29T01:10")
AUTUMN = at("2026-10-25T01:50")  # Of the night that has this hour twice.
AUTUMN_FIRST, AUTUMN_SECOND = at("2026-10-25T02:20"), at("2026-10-25T02:20", fold=1)
ABOUT = {
    "past": About(at("2026-11-23T20:00"), MONDAY, "dans quelques minutes", "in a few minutes"),
    "now": About(MONDAY, MONDAY, "dans quelques minutes", "in a few minutes"),
    "ten minutes": About(
        at("2026-11-23T21:08"), MONDAY, "dans quelques minutes", "in a few minutes"
    ),
    "a second more": About(
        at("2026-11-23T21:08:01"), MONDAY,
        "aujourd'hui vers 21 h 15", "today, about 9:15 pm",
    ),
    "a full quarter": About(
        at("2026-11-23T21:15"), MONDAY,
        "aujourd'hui vers 21 h 15", "today, about 9:15 pm",
    ),
    "a quarter and an instant": About(
        at("2026-11-23T21:15:00.000001"), MONDAY,
        "aujourd'hui vers 21 h 30", "today, about 9:30 pm",
    ),
    "two hours": About(
        at("2026-11-23T22:58"), MONDAY,
        "aujourd'hui vers 23 h", "today, about 11 pm",
    ),
    "two hours, to the quarter": About(
        at("2026-11-23T22:40"), MONDAY,
        "aujourd'hui vers 22 h 45", "today, about 10:45 pm",
    ),
    "more than two hours": About(
        at("2026-11-23T12:01"), at("2026-11-23T08:00"),
        "aujourd'hui vers 13 h", "today, about 1 pm",
    ),
    "noon": About(
        at("2026-11-23T11:30"), at("2026-11-23T08:00"),
        "aujourd'hui vers midi", "today, about noon",
    ),
    "a quarter past noon": About(
        at("2026-11-23T12:05"), at("2026-11-23T11:00"),
        "aujourd'hui vers 12 h 15", "today, about 12:15 pm",
    ),
    "midnight is tomorrow": About(
        at("2026-11-23T23:50"), LATE,
        "demain juste après minuit", "tomorrow, just after midnight",
    ),
    "the hour is carried over midnight": About(
        at("2026-11-23T23:05"), at("2026-11-23T20:00"),
        "demain juste après minuit", "tomorrow, just after midnight",
    ),
    "a quarter past midnight": About(
        at("2026-11-24T00:01"), LATE,
        "demain vers 0 h 15", "tomorrow, about 12:15 am",
    ),
    "tomorrow": About(
        at("2026-11-24T14:30"), MONDAY,
        "demain vers 15 h", "tomorrow, about 3 pm",
    ),
    "its last hour": About(
        at("2026-11-24T23:30"), MONDAY,
        "mercredi juste après minuit", "Wednesday, just after midnight",
    ),
    "in the week": About(
        at("2026-11-27T02:10"), MONDAY,
        "vendredi vers 3 h", "Friday, about 3 am",
    ),
    "six days": About(
        at("2026-11-29T23:00"), MONDAY,
        "dimanche vers 23 h", "Sunday, about 11 pm",
    ),
    "carried to the seventh": About(
        at("2026-11-29T23:01"), MONDAY,
        "lundi 30 novembre juste après minuit", "Monday 30 November, just after midnight",
    ),
    "seven days, less than 168 hours": About(
        at("2026-11-30T08:00"), MONDAY,
        "lundi 30 novembre vers 8 h", "Monday 30 November, about 8 am",
    ),
    "beyond": About(
        at("2026-12-04T02:10"), MONDAY,
        "vendredi 4 décembre vers 3 h", "Friday 4 December, about 3 am",
    ),
    "the first of a month": About(
        at("2026-12-01T09:00"), MONDAY,
        "mardi 1er décembre vers 9 h", "Tuesday 1 December, about 9 am",
    ),
    "carried to the first of a year": About(
        at("2026-12-31T23:30"), MONDAY,
        "vendredi 1er janvier juste après minuit", "Friday 1 January, just after midnight",
    ),
    "spring: there is no 2 o'clock": About(
        at("2026-03-29T01:30"), EVE,
        "demain vers 3 h", "tomorrow, about 3 am",
    ),
    "spring: a quarter more than 1:45": About(
        at("2026-03-29T01:50"), SPRING,
        "aujourd'hui vers 3 h", "today, about 3 am",
    ),
    "spring: ten minutes over the gap": About(
        at("2026-03-29T03:05"), at("2026-03-29T01:55"),
        "dans quelques minutes", "in a few minutes",
    ),
    "spring: two hours over the gap": About(
        at("2026-03-29T04:10"), SPRING,
        "aujourd'hui vers 4 h 15", "today, about 4:15 am",
    ),
    "autumn: the first of the hours": About(
        at("2026-10-25T02:40"), AUTUMN_FIRST,
        "aujourd'hui vers 2 h 45", "today, about 2:45 am",
    ),
    "autumn: the second of the hours": About(
        AUTUMN_SECOND, AUTUMN_FIRST,
        "aujourd'hui vers 2 h 30", "today, about 2:30 am",
    ),
    "autumn: in the second, soon": About(
        at("2026-10-25T02:29", fold=1), AUTUMN_SECOND,
        "dans quelques minutes", "in a few minutes",
    ),
    "autumn: two hours on the clock are three": About(
        at("2026-10-25T03:20"), AUTUMN,
        "aujourd'hui vers 4 h", "today, about 4 am",
    ),
    "another zone's times": About(
        datetime(2026, 11, 23, 23, 30, tzinfo=UTC), datetime(2026, 11, 23, 20, tzinfo=UTC),
        "demain juste après minuit", "tomorrow, just after midnight",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lang", ["fr", "en"])
@pytest.mark.parametrize("case", ABOUT.values(), ids=ABOUT)
def test_what_is_expected(case: About, lang: str) -> None:
    """By the day's name while that is clear, then by its date."""
    said = {"fr": case.fr, "en": case.en}[lang]
    assert seen(about_time(lang, case.moment, case.now)) == said


def test_a_promise_is_never_too_early() -> None:
    """At any minute of the nights when clocks are set, too: what is said has not yet been."""
    for start in (datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 10, 24, 21, tzinfo=UTC)):
        now = start.astimezone(PARIS)
        for minutes in range(11, 8 * 60):
            moment = (start + timedelta(minutes=minutes)).astimezone(PARIS)
            said = seen(about_time("en", moment, now))
            shown = _time_in(said)
            # On the clock: in autumn an hour earlier is what comes again.
            assert shown is None or shown >= (moment.hour, moment.minute), (said, moment)


def _time_in(said: str) -> tuple[int, int] | None:
    """Return what a clock shows at the time of night that is told; midnight is another day's."""
    if said.endswith("midnight"):
        return None
    told = datetime.strptime(
        said.partition(", about ")[2].replace(":", " ").upper(),
        "%I %M %p" if ":" in said else "%I %p",
    ).replace(tzinfo=UTC)
    return told.hour, told.minute


class Exact(NamedTuple):
    """When it was, and what is said."""

    moment: datetime
    fr: str
    en: str


EXACT = {
    "evening": Exact(
        at("2026-11-23T21:05:59"), "lundi 23 novembre à 21 h 05", "Monday 23 November, 9:05 pm"
    ),
    "night": Exact(
        at("2026-11-27T03:10"), "vendredi 27 novembre à 3 h 10", "Friday 27 November, 3:10 am"
    ),
    "full hour": Exact(
        at("2026-11-27T15:00"), "vendredi 27 novembre à 15 h 00", "Friday 27 November, 3:00 pm"
    ),
    "past midnight": Exact(
        at("2026-11-27T00:05"), "vendredi 27 novembre à 0 h 05", "Friday 27 November, 12:05 am"
    ),
    "the first": Exact(
        at("2026-05-01T12:30"), "vendredi 1er mai à 12 h 30", "Friday 1 May, 12:30 pm"
    ),
}


@pytest.mark.parametrize("case", EXACT.values(), ids=EXACT)
def test_what_has_happened(case: Exact) -> None:
    """To the minute."""
    assert seen(exact_time("fr", case.moment)) == case.fr
    assert seen(exact_time("en", case.moment)) == case.en


PROMISES = {
    "to come": About(at("2026-11-24T14:30"), MONDAY, "demain vers 15 h", "tomorrow, about 3 pm"),
    "soon": About(at("2026-11-23T21:05"), MONDAY, "aujourd'hui vers 22 h", "today, about 10 pm"),
    "earlier today": About(
        at("2026-11-23T09:00"), MONDAY, "aujourd'hui vers 9 h", "today, about 9 am"
    ),
    "yesterday": About(
        at("2026-11-22T14:30"), MONDAY,
        "dimanche 22 novembre vers 15 h", "Sunday 22 November, about 3 pm",
    ),
    "last week": About(
        at("2026-11-16T11:30"), MONDAY,
        "lundi 16 novembre vers midi", "Monday 16 November, about noon",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lang", ["fr", "en"])
@pytest.mark.parametrize("case", PROMISES.values(), ids=PROMISES)
def test_what_was_promised(case: About, lang: str) -> None:
    """A day that has passed is told by its date."""
    said = {"fr": case.fr, "en": case.en}[lang]
    told_at = case.moment - timedelta(hours=3)
    assert seen(promised_time(lang, case.moment, case.now, told_at=told_at)) == said


def test_a_promise_to_the_quarter() -> None:
    """What was told as roughly as a quarter of an hour is not told otherwise later."""
    moment = at("2026-11-23T14:07")
    said = promised_time("fr", moment, MONDAY, told_at=moment - timedelta(hours=1))

    assert seen(said).endswith("vers 14 h 15")


CLOCKS = {
    "today": About(at("2026-11-23T21:05:59"), MONDAY, "21 h 05", "9:05 pm"),
    "tomorrow": About(at("2026-11-24T00:01"), LATE, "demain à 0 h 01", "tomorrow at 12:01 am"),
    "in the week": About(
        at("2026-11-25T12:00"), LATE, "mercredi à 12 h 00", "Wednesday at 12:00 pm"
    ),
}


@pytest.mark.parametrize("lang", ["fr", "en"])
@pytest.mark.parametrize("case", CLOCKS.values(), ids=CLOCKS)
def test_until_when(case: About, lang: str) -> None:
    """Never rounded up: it is how long something can still be done."""
    said = {"fr": case.fr, "en": case.en}[lang]
    assert seen(clock_time(lang, case.moment, case.now)) == said


SPANS = {
    "an instant": About(
        MONDAY, MONDAY, "le lundi 23 novembre à 20 h 58", "on Monday 23 November, 8:58 pm"
    ),
    "a day": About(
        MONDAY, LATE, "le lundi 23 novembre entre 20 h 58 et 23 h 20",
        "on Monday 23 November between 8:58 pm and 11:20 pm",
    ),
    "over midnight": About(
        LATE, at("2026-12-01T00:10"),
        "entre le lundi 23 novembre à 23 h 20 et le mardi 1er décembre à 0 h 10",
        "between Monday 23 November, 11:20 pm, and Tuesday 1 December, 12:10 am",
    ),
    "the hour that comes twice": About(
        AUTUMN_FIRST, AUTUMN_SECOND, "le dimanche 25 octobre à 2 h 20",
        "on Sunday 25 October, 2:20 am",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lang", ["fr", "en"])
@pytest.mark.parametrize("case", SPANS.values(), ids=SPANS)
def test_from_when_to_when(case: About, lang: str) -> None:
    """No day is said twice."""
    said = {"fr": case.fr, "en": case.en}[lang]
    assert seen(time_span(lang, case.moment, case.now)) == said
