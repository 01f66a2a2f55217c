"""The plan of a message as a table: how many people each provider has, and until when.

Orange   221   Friday, about 3 am   (Orange accepts only 100 messages a day)
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from babel.numbers import format_decimal
from babel.units import format_unit

from worker.mail.address import readable
from worker.notices.columns import columns
from worker.notices.moments import about_time
from worker.policy.telling import Share

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from worker.notices.letters import About
    from worker.policy.limit import Limit

PROVIDER_LIMIT = 24  # Characters of a name.
_ROWS_AT_MOST = 7
_UNITS = {
    "day": timedelta(days=1),
    "hour": timedelta(hours=1),
    "minute": timedelta(minutes=1),
    "second": timedelta(seconds=1),
}


def plan_table(about: About, shares: Sequence[Share], now: datetime) -> str:
    """Return *shares* as they finish; "" if none of them has a name to tell."""
    if not any(share.display for share in shares):
        return ""
    return columns(
        [
            (
                readable(share.display, PROVIDER_LIMIT) or about.say("Others"),
                format_decimal(share.recipients, locale=about.lang),
                _finish(about, share, now),
                _limit_words(about, share),
            )
            for share in _few_rows(shares)
        ]
    )


def _few_rows(shares: Sequence[Share]) -> list[Share]:
    """Return *shares* in the order of their finish; the small ones are one, at the end."""
    named = sorted((s for s in shares if s.display), key=lambda s: s.recipients, reverse=True)
    small = [s for s in shares if not s.display]
    if len(named) + bool(small) > _ROWS_AT_MOST:
        small += named[_ROWS_AT_MOST - 1 :]
        named = named[: _ROWS_AT_MOST - 1]
    named.sort(key=_finish_key)
    return [*named, *([_together(small)] if small else [])]


def _finish_key(share: Share) -> tuple[bool, bool, float, int, str]:
    finish_at = share.finish_at
    return (
        bool(share.waiting),
        finish_at is None,
        finish_at.timestamp() if finish_at else 0,
        -share.recipients,
        share.display,
    )


def _together(shares: Sequence[Share]) -> Share:
    waiting = [s.finish_at for s in shares if s.waiting]
    known = [finish_at for finish_at in waiting if finish_at is not None]
    return Share(
        provider="",
        display="",
        recipients=sum(s.recipients for s in shares),
        handed_over=sum(s.handed_over for s in shares),
        waiting=sum(s.waiting for s in shares),
        finish_at=max(known) if known and len(known) == len(waiting) else None,
    )


def _finish(about: About, share: Share, now: datetime) -> str:
    if not share.waiting:
        return about.say("done")
    if share.finish_at is None:
        return about.say("not known yet")
    return about_time(about.lang, share.finish_at, now)


def _limit_words(about: About, share: Share) -> str:
    if share.limit is None or not share.display:
        return ""
    name = {"provider": readable(share.display, PROVIDER_LIMIT)}
    if not share.limit.amount:
        return about.say("(nothing leaves for %(provider)s at the moment)") % name
    messages = about.counted("%(count)s message", "%(count)s messages", share.limit.amount)
    pattern = about.say("(%(provider)s accepts only %(messages)s %(period)s)")
    return pattern % {**name, "messages": messages, "period": _period_words(about, share.limit)}


def _period_words(about: About, limit: Limit) -> str:
    say = about.say
    names = {
        "day": say("a day"),
        "hour": say("an hour"),
        "minute": say("a minute"),
        "second": say("a second"),
    }
    # What no unit measures is told in seconds; only SQL can write a fraction of one.
    unit = next((name for name, unit in _UNITS.items() if not limit.period % unit), "second")
    count = max(1, round(limit.period / _UNITS[unit]))
    if count == 1:
        return names[unit]
    return say("within %(time)s") % {
        "time": format_unit(count, f"duration-{unit}", locale=about.lang)
    }
