"""What an author is told of a message that goes out: a receipt, a delay, how it ended.

The plan and the figures are a table each, whose numbers are the people that the
message is for (reference: user experience, 2.5 A, D and F).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from babel.lists import format_list
from babel.numbers import format_decimal

from worker.mail.address import readable
from worker.notices.columns import SET_IN, columns
from worker.notices.dead_addresses import what_to_do
from worker.notices.failure import failure_words
from worker.notices.moments import about_time, clock_time, promised_time, time_span
from worker.notices.plan_table import PROVIDER_LIMIT, plan_table
from worker.policy.telling import DelayReason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from worker.mail.notice import Letter
    from worker.mail.reason import Reason
    from worker.notices.letters import About
    from worker.policy.telling import Figures, Share, Unreached

_UNREACHED_AT_MOST = 100
_REASON_LIMIT = 500
_NAME_LIMIT = 120


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a receipt tells; its times are in the zone of the people who read it."""

    recipients: int
    shares: Sequence[Share]
    finish_at: datetime | None  # None: not in sight.
    suppressed: int  # Who will not get it, as the next two: they have unsubscribed,
    held: int  # their address has begun to fail,
    unusable: int  # or is none.
    link: str  # Where to follow or stop it.
    now: datetime
    first_copy_at: datetime | None  # The end of the grace, if it has one.
    report_promised: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Who was on the list and not among the recipients."""

    suppressed: int  # They have unsubscribed,
    held: int  # their address has begun to fail,
    unusable: int  # or is none.


@dataclass(frozen=True, slots=True)
class Ending:
    """What a closing report tells; its times are in the zone of the people who read it."""

    figures: Figures
    began_at: datetime | None  # The first copy that left, as the next is the last.
    ended_at: datetime
    why_expired: Reason | None  # Of most of them.
    unreached: Sequence[Unreached]  # With their addresses; () if this reader may not see them.
    hidden: bool  # There are more, whom the reader may not see.
    owner_told: bool
    stopped_by: str  # "", "author", "operator", "deadline", "moderator" or "nobody"
    why_stopped: str  # A moderator's own words, "" if there are none.
    left_out: LeftOut | None  # None: the receipt has told it.
    link: str
    now: datetime


def receipt(about: About, outlook: Outlook) -> Letter:
    """Tell the author that a message goes out, until when, and how to stop it."""
    say = about.say
    return about.letter(
        _receipt_subject(about, outlook),
        _departure(about, outlook) + "\n" + _finish(about, outlook.finish_at, outlook.now),
        plan_table(about, outlook.shares, outlook.now),
        _left_out(about, say("It does not go to %(people)s."), outlook),
        say(
            "→ To stop it, answer this mail with “stop”, or open this page,"
            " which also shows how far it is:"
        )
        + f"\n{SET_IN}{outlook.link}",
        say("No need to send it again.")
        + " "
        + (
            say("You will get a report at the end.")
            if outlook.report_promised
            else say("You hear from us again only if somebody could not be reached.")
        ),
        can_be_fewer=True,
    )


@dataclass(frozen=True, slots=True)
class Slip:
    """How a promise has slipped; its times are in the zone of the people who read it."""

    promised_at: datetime
    told_at: datetime  # When it was promised.
    finish_at: datetime | None  # None: not in sight.
    figures: Figures  # Of those whom the message is for, until now.
    why: DelayReason
    display: str  # The provider that makes it so; "" if none does.
    link: str
    now: datetime


def delay(about: About, slip: Slip) -> Letter:
    """Tell the author that it takes longer than the receipt said."""
    say = about.say
    promised = promised_time(about.lang, slip.promised_at, slip.now, told_at=slip.told_at)
    if slip.finish_at is None:
        subject = say("Delayed: the end is not in sight")
        finish = say("We said: %(time)s. When it will be finished cannot be said at the moment.")
        finish %= {"time": promised}
    else:
        new = about_time(about.lang, slip.finish_at, slip.now)
        subject = say("Delayed: expected to finish %(time)s") % {"time": new}
        finish = say("Expected to finish: %(time)s (we had said: %(promised)s).")
        finish %= {"time": new, "promised": promised}
    return about.letter(
        subject,
        say("Your message to %(list)s takes longer.") % {"list": about.list_address}
        + "\n"
        + finish,
        say("The reason: %(reason)s") % {"reason": _delay_words(about, slip.why, slip.display)},
        _so_far(about, slip.figures),
        say("Nothing for you to do: it goes on by itself. To follow it, or to stop the rest:")
        + f"\n{SET_IN}{slip.link}",
    )


def report(about: About, ending: Ending) -> Letter:
    """Tell the author how a message ended."""
    say = about.say
    return about.letter(
        _report_subject(about, ending),
        _stop_words(about, ending) if ending.stopped_by else _end_words(about, ending),
        say("The reason: %(reason)s") % {"reason": readable(ending.why_stopped, _REASON_LIMIT)}
        if ending.why_stopped
        else "",
        _figures(about, ending),
        _left_out(about, say("It was not sent to %(people)s."), ending.left_out)
        if ending.left_out
        else "",
        *_unreached(about, ending),
        say(
            "“Handed over” means accepted by the recipient's server or by our host;"
            " we do not know whether it was read."
        )
        if ending.figures.handed_over
        else "",
        say("Details:") + f"\n{SET_IN}{ending.link}",
        can_be_fewer=True,
    )


def report_to_owner(about: About, ending: Ending, *, author: str, member_space: str) -> Letter:
    """Tell who is behind a list whom a message of *author* did not reach, and what to do.

    Without a *member_space* it is the member file where an address is corrected.
    """
    say = about.say
    missed = ending.figures.missed
    return about.letter(
        say("Not reached: %(people)s") % {"people": about.people(missed)},
        say("A message of %(author)s to %(list)s could not be delivered to everybody.")
        % {"author": author, "list": about.list_address},
        what_to_do(about.lang, member_space),
        *_unreached(about, ending),
        say("How it went for all:") + "\n" + _figures(about, ending),
        say("Details:") + f"\n{SET_IN}{ending.link}" if ending.link else "",
    )


def _receipt_subject(about: About, outlook: Outlook) -> str:
    people = about.people(outlook.recipients)
    if (first := _first_copy(about, outlook)) is None:
        return about.say("Received, going out to %(people)s") % {"people": people}
    return about.say("Received, going out to %(people)s from %(time)s") % {
        "people": people,
        "time": first,
    }


def _departure(about: About, outlook: Outlook) -> str:
    facts = {"list": about.list_address, "people": about.people(outlook.recipients)}
    if (first := _first_copy(about, outlook)) is None:
        return about.say("Your message to %(list)s is going out to %(people)s.") % facts
    return about.say(
        "Your message to %(list)s goes out to %(people)s from %(time)s on."
        " If you stop it before, nobody gets it."
    ) % {**facts, "time": first}


def _first_copy(about: About, outlook: Outlook) -> str | None:
    if outlook.first_copy_at is None or outlook.first_copy_at <= outlook.now:
        return None
    return clock_time(about.lang, outlook.first_copy_at, outlook.now)


def _finish(about: About, finish_at: datetime | None, now: datetime) -> str:
    if finish_at is None:
        return about.say("When it will be finished cannot be said at the moment.")
    return about.say("Expected to finish: %(time)s.") % {
        "time": about_time(about.lang, finish_at, now)
    }


def _left_out(about: About, sentence: str, who: Outlook | LeftOut) -> str:
    parts = _counted(
        (
            who.suppressed,
            about.counted(
                "%(count)s person who has unsubscribed",
                "%(count)s people who have unsubscribed",
                who.suppressed,
            ),
        ),
        (
            who.held,
            about.counted(
                "%(count)s person whose address no longer works",
                "%(count)s people whose address no longer works",
                who.held,
            ),
        ),
        (
            who.unusable,
            about.counted(
                "%(count)s person whose address is not valid",
                "%(count)s people whose address is not valid",
                who.unusable,
            ),
        ),
    )
    if not parts:
        return ""
    return sentence % {"people": format_list(parts, locale=about.lang)}


def _counted(*parts: tuple[int, str]) -> list[str]:
    """Return what is said of those who are not none."""
    return [words for count, words in parts if count]


def _delay_words(about: About, why: DelayReason, display: str) -> str:
    """Say why it takes longer; all of it, if *display* names no provider."""
    say = about.say
    provider = readable(display, PROVIDER_LIMIT)
    words = {
        DelayReason.SLOWED: say("%(provider)s has asked us to slow down.")
        if provider
        else say("a mail provider has asked us to slow down."),
        DelayReason.PAUSED: say("sending to %(provider)s is paused.")
        if provider
        else say("sending is paused."),
        DelayReason.BUSY: say("more messages wait for %(provider)s than can leave.")
        if provider
        else say("more messages wait than can leave."),
    }[why]
    return words % {"provider": provider}


def _so_far(about: About, figures: Figures) -> str:
    have = _have_it(about, figures.handed_over)
    if not figures.waiting:
        return about.say("So far: %(have)s.") % {"have": have}
    wait = about.counted("%(count)s still waits", "%(count)s still wait", figures.waiting)
    return about.say("So far: %(have)s, %(wait)s.") % {"have": have, "wait": wait}


def _have_it(about: About, count: int) -> str:
    if not count:
        return about.say("nobody has it")
    return about.counted("%(count)s person has it", "%(count)s people have it", count)


def _report_subject(about: About, ending: Ending) -> str:
    figures = ending.figures
    facts = {
        "people": about.people(figures.handed_over),
        "all": format_decimal(figures.recipients, locale=about.lang),
    }
    if not ending.stopped_by:
        return about.say("Report: %(people)s out of %(all)s") % facts
    if not _had(figures):
        return about.say("Stopped: nobody has it")
    return about.say("Stopped after %(people)s out of %(all)s") % {
        **facts,
        "people": about.people(_had(figures)),
    }


def _had(figures: Figures) -> int:
    """Return who has it, or may have it."""
    return figures.handed_over + figures.in_doubt


def _stop_words(about: About, ending: Ending) -> str:
    say = about.say
    figures = ending.figures
    words = {
        "author": say("You have stopped your message to %(list)s: %(result)s."),
        "operator": say("The team has stopped your message to %(list)s: %(result)s."),
        "moderator": say("A moderator has stopped your message to %(list)s: %(result)s."),
        "deadline": say("Your message to %(list)s had to end by now: %(result)s."),
        "nobody": say("Nobody has approved the rest of your message to %(list)s: %(result)s."),
    }[ending.stopped_by]
    result = _have_it(about, _had(figures))
    if figures.stopped:
        rest = about.counted(
            "%(count)s will not get it", "%(count)s will not get it", figures.stopped
        )
        result = f"{result}, {rest}"
    return words % {"list": about.list_address, "result": result}


def _end_words(about: About, ending: Ending) -> str:
    count = ending.figures.handed_over
    if not count:
        return about.say("Your message to %(list)s has reached nobody.") % {
            "list": about.list_address
        }
    return about.say("Your message to %(list)s was handed over for %(people)s, %(time)s.") % {
        "list": about.list_address,
        "people": about.people(count),
        "time": time_span(about.lang, ending.began_at or ending.ended_at, ending.ended_at),
    }


def _figures(about: About, ending: Ending) -> str:
    say, figures = about.say, ending.figures
    why = (
        say("(mostly: %(reason)s)") % {"reason": failure_words(about.lang, ending.why_expired)}
        if ending.why_expired
        else ""
    )
    rows = (
        (say("handed over"), figures.handed_over, ""),
        (say("refused by their server"), figures.refused, ""),
        (say("given up after days"), figures.expired, why),
        (say("perhaps arrived, not known"), figures.in_doubt, ""),
        (say("address no longer works"), figures.held, ""),
        (say("unsubscribed meanwhile"), figures.unsubscribed, ""),
        (say("no longer on the list"), figures.left, ""),
        (say("stopped before it left"), figures.stopped, ""),
        (say("still waiting"), figures.waiting, ""),
    )
    return columns(
        [
            (name, format_decimal(count, locale=about.lang), note)
            for name, count, note in rows
            if count
        ]
    )


def _unreached(about: About, ending: Ending) -> list[str]:
    """Return a paragraph for each who was not reached, as far as the reader may see them."""
    say = about.say
    shown = ending.unreached[:_UNREACHED_AT_MOST]
    # Whoever asks may have cut them already.
    more = max(ending.figures.missed, len(ending.unreached)) - len(shown)
    paragraphs = [say("Not reached:"), *(_entry(about, one) for one in shown)] if shown else []
    if not more:
        return paragraphs
    if ending.hidden:
        return [*paragraphs, _hidden_words(about, ending)]
    return [*paragraphs, about.counted("… and %(count)s more.", "… and %(count)s more.", more)]


def _entry(about: About, one: Unreached) -> str:
    lines = (
        readable(one.name, _NAME_LIMIT),
        one.address,
        failure_words(about.lang, one.reason),
    )
    return "\n".join(f"{SET_IN}{line}" for line in lines if line)


def _hidden_words(about: About, ending: Ending) -> str:
    if ending.owner_told:
        return about.say("The person behind the list has been told who was not reached.")
    if ending.unreached:
        return about.say("There are others, whose addresses are not shown to you.")
    return ""
