"""The weekly letter to who can mend addresses that get nothing any more.

For people who keep a club's members beside their work: what is wrong in plain
words, without codes, and what to do about it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from babel.dates import format_date, format_timedelta
from babel.lists import format_list
from babel.numbers import format_decimal

from worker.mail.address import readable
from worker.mail.notice import Letter
from worker.notices.catalogue import translations
from worker.notices.failure import failure_words
from worker.notices.letter_html import as_html
from worker.notices.letters import last_line
from worker.notices.moments import ordinal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from worker.policy.mending import DeadAddress

_NAME_LIMIT = 120
_YEAR_IS_CLEAR = timedelta(days=300)
_DAY = timedelta(days=1)


def dead_addresses(
    lang: str,
    dead: Sequence[DeadAddress],
    *,
    more: int,
    known: int,
    member_space: str,
    help_address: str,
    now: datetime,
) -> Letter:
    """Tell who can mend them of *dead* addresses, news before reminders.

    *more* are for the next letter, *known* were in an earlier one. Without a
    *member_space* it is the member file where an address is corrected.
    """
    say, ngettext = translations(lang).gettext, translations(lang).ngettext
    count = len(dead) + more
    news = [_entry(lang, one, now) for one in dead if not one.is_reminder]
    reminders = [_entry(lang, one, now) for one in dead if one.is_reminder]
    paragraphs = [
        ngettext(
            "The messages of your lists come back from this address."
            " Nothing is sent there any more.",
            "The messages of your lists come back from these addresses."
            " Nothing is sent there any more.",
            count,
        ),
        what_to_do(lang, member_space),
        say("A corrected address gets the next message of its lists by itself."),
        *news,
        ngettext(
            "You know of this one already, and nothing has changed:",
            "You know of these already, and nothing has changed:",
            len(reminders),
        )
        if reminders
        else "",
        *reminders,
        ngettext("… and %(count)s more.", "… and %(count)s more.", more)
        % {"count": _number(lang, more)}
        if more
        else "",
        ngettext(
            "%(count)s other address, of which you were told before, still waits.",
            "%(count)s other addresses, of which you were told before, still wait.",
            known,
        )
        % {"count": _number(lang, known)}
        if known
        else "",
        say("→ You are sure that an address works as it is? Write to %(address)s.")
        % {"address": help_address},
        last_line(lang, help_address),
    ]
    subject = ngettext(
        "%(count)s address gets nothing any more",
        "%(count)s addresses get nothing any more",
        count,
    ) % {"count": _number(lang, count)}
    text = "\n\n".join(filter(None, paragraphs))
    return Letter(subject, text, lang, as_html(text, lang, title=subject))


def what_to_do(lang: str, member_space: str) -> str:
    """Say how an address is corrected: without a *member_space*, in the member file."""
    say = translations(lang).gettext
    if not member_space:
        return say(
            "→ Ask the person for an address that works, and have it corrected in the member file."
        )
    return (
        say(
            "→ Ask the person for an address that works. They or you correct it in their"
            " member space:"
        )
        + f"\n  {member_space}"
    )


def _entry(lang: str, dead: DeadAddress, now: datetime) -> str:
    say = translations(lang).gettext
    ailing = dead.ailing
    names = format_list([readable(name, _NAME_LIMIT) for name in dead.names], locale=lang)
    titles = ", ".join(readable(title, _NAME_LIMIT) for title in dead.titles)
    lines = [
        names,
        ailing.address,
        _since(lang, failure_words(lang, ailing.reason), ailing.failing_since, now),
        say("%(name)s: %(value)s")
        % {
            "name": translations(lang).ngettext("list", "lists", len(dead.titles)),
            "value": titles,
        },
    ]
    return "\n".join(f"  {line}" for line in lines if line)


def _since(lang: str, what: str, since: datetime, now: datetime) -> str:
    say = translations(lang).gettext
    local = since.astimezone(now.tzinfo)
    is_long_ago = now - since > _YEAR_IS_CLEAR
    pattern = ordinal(lang, say("d MMMM y") if is_long_ago else say("d MMMM"), local)
    return say("%(what)s, since %(day)s (%(time)s)") % {
        "what": what,
        "day": format_date(local.date(), pattern, locale=lang),
        "time": format_timedelta(
            max(now - since, _DAY), granularity="day", threshold=1, locale=lang
        ),
    }


def _number(lang: str, number: int) -> str:
    return format_decimal(number, locale=lang)
