"""Times as people say them, in words that stand in the middle of a sentence.

What is expected is told roughly and rounded up, never down: a promise must not be
too early. What has happened is told to the minute.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from babel.dates import format_date, format_datetime

from worker.notices.catalogue import translations

if TYPE_CHECKING:
    from datetime import date

_A_FEW_MINUTES = timedelta(minutes=10)
_SOON = timedelta(hours=2)
_QUARTER, _HOUR = timedelta(minutes=15), timedelta(hours=1)
_WEEKDAY_IS_CLEAR = 6  # The seventh day has today's name.
_NOON = 12


def about_time(lang: str, moment: datetime, now: datetime) -> str:
    """Say in the language *lang* about when *moment* will be: "tomorrow, about 3 pm".

    Both are in the zone of the people who read it.
    """
    # Two times of one zone are subtracted as clocks show them, as if none was ever set.
    remaining = moment.astimezone(UTC) - now.astimezone(UTC)
    if remaining <= _A_FEW_MINUTES:
        return translations(lang).gettext("in a few minutes")
    return _about(lang, _rounded_up(moment, _QUARTER if remaining <= _SOON else _HOUR), now)


def promised_time(lang: str, moment: datetime, now: datetime, *, told_at: datetime) -> str:
    """Say which *moment* was told at *told_at*, as roughly as it was; it may have passed."""
    remaining = moment.astimezone(UTC) - told_at.astimezone(UTC)
    return _about(lang, _rounded_up(moment, _QUARTER if remaining <= _SOON else _HOUR), now)


def exact_time(lang: str, moment: datetime) -> str:
    """Say in the language *lang* when *moment* is, to the minute."""
    return translations(lang).gettext("%(day)s, %(time)s") % {
        "day": _date_words(lang, moment.date()),
        "time": _clock(lang, moment),
    }


def clock_time(lang: str, moment: datetime, now: datetime) -> str:
    """Say at what time *moment* is, to the minute, and on which day if that is not today's."""
    if moment.date() == now.date():
        return _clock(lang, moment)
    return translations(lang).gettext("%(day)s at %(time)s") % {
        "day": _day_words(lang, moment.date(), now.date()),
        "time": _clock(lang, moment),
    }


def time_span(lang: str, first: datetime, last: datetime) -> str:
    """Say from when to when something went on: "on Monday 23 November between 9 pm and ..."."""
    say = translations(lang).gettext
    begin, end = exact_time(lang, first), exact_time(lang, last)
    if begin == end:
        return say("on %(time)s") % {"time": begin}
    if first.date() != last.date():
        return say("between %(begin)s, and %(end)s") % {"begin": begin, "end": end}
    return say("on %(day)s between %(begin)s and %(end)s") % {
        "day": _date_words(lang, first.date()),
        "begin": _clock(lang, first),
        "end": _clock(lang, last),
    }


def ordinal(lang: str, pattern: str, day: date) -> str:
    """Return the *pattern* of a date in the language *lang*; in French it is "1er mai"."""
    is_first = lang == "fr" and day.day == 1
    return pattern.replace("d MMMM", "d'er' MMMM") if is_first else pattern


def _about(lang: str, shown: datetime, now: datetime) -> str:
    say = translations(lang).gettext
    day = _day_words(lang, shown.date(), now.date())
    if not shown.hour and not shown.minute:  # Midnight alone could be either end of the day.
        return say("%(day)s, just after midnight") % {"day": day}
    return say("%(day)s, about %(time)s") % {"day": day, "time": _hour(lang, shown)}


def _rounded_up(moment: datetime, step: timedelta) -> datetime:
    """Return the next full *step* on the clock, as the clock shows it then."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    steps = -((midnight - moment) // step)
    # In spring there is an hour that no clock shows.
    return (midnight + steps * step).astimezone(UTC).astimezone(moment.tzinfo)


def _day_words(lang: str, day: date, today: date) -> str:
    say = translations(lang).gettext
    days = (day - today).days
    if days in {0, 1}:
        return say("tomorrow") if days else say("today")
    if 0 < days <= _WEEKDAY_IS_CLEAR:
        return format_date(day, "EEEE", locale=lang)
    return _date_words(lang, day)


def _date_words(lang: str, day: date) -> str:
    pattern = ordinal(lang, translations(lang).gettext("EEEE d MMMM"), day)
    return format_date(day, pattern, locale=lang)


def _hour(lang: str, moment: datetime) -> str:
    if moment.minute:
        return _clock(lang, moment)
    say = translations(lang).gettext
    if moment.hour == _NOON:
        return say("noon")
    return _shown(lang, moment, say("h a"))


def _clock(lang: str, moment: datetime) -> str:
    return _shown(lang, moment, translations(lang).gettext("h:mm a"))


def _shown(lang: str, moment: datetime, pattern: str) -> str:
    # "8" and "pm" stay on one line.
    return format_datetime(moment, pattern, locale=lang).lower().replace(" ", "\u00a0")
