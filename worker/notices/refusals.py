"""Letters about messages that were not posted: what happened first, then what to do.

A message has one letter, whichever addresses it was refused at: of one address all is
said, of several a line each. Where something of it was posted, the letter says where
(reference: user experience, 2.5, R1 to R3, R5, R7).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from babel.lists import format_list

from worker.notices.letters import size_words
from worker.notices.moments import exact_time
from worker.policy.refusal import Why

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from worker.mail.notice import Letter
    from worker.notices.letters import About

_SHOWN = 3  # Of several addresses, or what to do about them.
_ADVICE_LIMIT = 4
_NAMED = 10  # Addresses in a line.
_MUCH = 100 * 1024**2  # In all: less makes nobody think.


class Enclosed(Enum):
    """What of the author's message goes along with the letter."""

    WHOLE = "whole"
    HEADER = "header"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Proposal:
    """An address that may have been meant, and how many people it is for."""

    address: str
    people: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """An address that a message was refused at."""

    address: str
    why: Why
    is_known: bool = False  # Its author is on other lists, by the same address.
    limit: int = 0  # Of a message that is too big: what the list takes, in octets,
    people: int | None = None  # and for how many; None: that is not for the author to know.
    proposals: tuple[Proposal, ...] = ()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The other addresses of a message, at which it was not refused."""

    sent: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()  # For somebody's yes.


@dataclass(frozen=True, slots=True)
class Places:
    """Where a site sends people; "" where it has no such place."""

    member_space: str = ""
    share: str = ""


@dataclass(frozen=True, slots=True)
class _Words:
    """What is said of one refusal."""

    subject: str
    happened: tuple[str, ...]
    advice: tuple[str, ...]


def not_posted(
    about: About,
    refusals: Sequence[Refusal],
    *,
    size: int,
    places: Places,
    elsewhere: Elsewhere,
    enclosed: Enclosed,
) -> Letter:
    """Tell an author at which addresses their message was refused, and why."""
    after = (*_told_of_others(about, elsewhere), _enclosed(about, enclosed))
    if len(refusals) == 1:
        words = _words(about, refusals[0], size, places)
        return about.letter(words.subject, *_paragraphs(words), *after)
    say = about.say
    shown, more = refusals[:_SHOWN], len(refusals[_SHOWN:])
    lines = [_line(about, refusal, size) for refusal in shown]
    if more:
        lines.append("  " + about.counted("… and %(count)s more.", "… and %(count)s more.", more))
    advice = [line for one in shown for line in _words(about, one, size, places).advice]
    is_partly_sent = bool(elsewhere.sent or elsewhere.waiting)
    return about.letter(
        say("Not sent to all its lists") if is_partly_sent else say("Not sent"),
        say("Your message was not sent to these addresses:") + "\n" + "\n".join(lines),
        "\n".join(list(dict.fromkeys(advice))[:_ADVICE_LIMIT]),
        *after,
    )


def sent_twice(
    about: About,
    *,
    recipients: int,
    awaits: str | None,
    is_waiting: bool,
    link: str,
    until: datetime,
) -> Letter:
    """Ask an author who sent the same message again whether they mean it.

    The earlier one waits, or has gone out to *recipients*.
    """
    say = about.say
    twice = say("You sent the same message to %(list)s twice.") % {"list": about.list_address}
    waits = {
        "confirmation": say("The first one still waits for your confirmation."),
        "moderation": say("The first one still waits for a moderator."),
    }
    once = say("We distribute it once, to %(people)s.") % {"people": about.people(recipients)}
    first = waits.get(awaits or "", say("The first one still waits.")) if is_waiting else once
    return about.letter(
        say("Sent twice"),
        f"{twice} {first}",
        say(
            "→ To really send it again, answer this mail with OK, or press the button on this page:"
        )
        + f"\n  {link}",
        say("→ Once is enough? There is nothing for you to do."),
        say("The question is open until %(until)s.") % {"until": exact_time(about.lang, until)},
    )


def _paragraphs(words: _Words) -> tuple[str, str]:
    return "\n".join(words.happened), "\n".join(words.advice)


def _line(about: About, refusal: Refusal, size: int) -> str:
    """Say of one of several addresses why the message was refused there."""
    reason = _reason(about, refusal, size)
    if refusal.why is Why.UNKNOWN_LIST and refusal.proposals:
        meant = format_list([p.address for p in refusal.proposals], "or", locale=about.lang)
        reason += " " + about.say("Did you mean %(lists)s?") % {"lists": meant}
    name_and_value = about.say("%(name)s: %(value)s")
    return "  " + name_and_value % {
        "name": refusal.address,
        "value": reason[:1].lower() + reason[1:],
    }


def _words(about: About, refusal: Refusal, size: int, places: Places) -> _Words:
    match refusal.why:
        case Why.UNKNOWN_LIST:
            return _unknown(about, refusal)
        case Why.EMPTY_LIST:
            return _empty(about, refusal)
        case Why.TOO_BIG:
            return _too_big(about, refusal, size, places)
        case Why.FLOOD:
            subject = about.say("Not sent: too many messages today")
            advice = about.say("→ Send it again tomorrow, or write to %(address)s.")
        case Why.UNPROVEN:
            subject = about.say("Not sent: nothing proves that you wrote it")
            advice = about.say(
                "→ Send it again by your mail provider's own server, as its webmail does."
                " If that does not help, write to %(address)s."
            )
        case Why.NO_MEMBER:
            return _no_member(about, refusal, size, places)
        case _:
            subject = about.say("Not sent: you cannot write to this list")
            advice = about.say("→ You think that this is a mistake? Write to %(address)s.")
    return _Words(
        subject,
        (_not_sent(about, refusal), _reason(about, refusal, size)),
        (advice % {"address": about.help_address},),
    )


def _no_member(about: About, refusal: Refusal, size: int, places: Places) -> _Words:
    say = about.say
    if refusal.is_known:
        mistaken = say("→ You think that this is a mistake? Write to %(address)s.")
        return _Words(
            say("Not sent: you cannot write to this list"),
            (_not_sent(about, refusal), _reason(about, refusal, size)),
            (mistaken % {"address": about.help_address},),
        )
    if places.member_space:
        again = say(
            "→ Are you a member? Send it again from the address that we have for you."
            " You find it here:"
        )
        again += f"\n  {places.member_space}"
    else:
        again = say("→ Are you a member? Send it again from the address that we have for you.")
    return _Words(
        say("Not sent: you cannot write to this list"),
        (_not_sent(about, refusal), _reason(about, refusal, size)),
        (again, say("→ Otherwise write to %(address)s.") % {"address": about.help_address}),
    )


def _unknown(about: About, refusal: Refusal) -> _Words:
    say = about.say
    happened = [
        say("Your message was not sent: there is no list %(list)s.") % {"list": refusal.address}
    ]
    if refusal.proposals:
        happened += [
            say("Did you mean:"),
            *(f"  {p.address} ({about.people(p.people)})" for p in refusal.proposals),
        ]
        advice = say("→ Send your message again to the right address.")
    else:
        advice = say("→ Check the address, or ask %(address)s.") % {"address": about.help_address}
    return _Words(say("Not sent: this list does not exist"), tuple(happened), (advice,))


def _empty(about: About, refusal: Refusal) -> _Words:
    say = about.say
    return _Words(
        say("Not sent: nobody is on this list today"),
        (
            _not_sent(about, refusal),
            say("The list exists, but nobody has this role in the member file at the moment."),
        ),
        (
            say("→ %(address)s can correct that. Then send your message again.")
            % {"address": about.help_address},
        ),
    )


def _too_big(about: About, refusal: Refusal, size: int, places: Places) -> _Words:
    say = about.say
    happened = [_not_sent(about, refusal), _reason(about, refusal, size)]
    if refusal.people and size * refusal.people >= _MUCH:
        happened.append(
            say("Times %(people)s, that would be %(total)s.")
            % {
                "people": about.people(refusal.people),
                "total": size_words(about, size * refusal.people),
            }
        )
    if places.share:
        advice = say("→ Put the files on this page, and send the link:") + f"\n  {places.share}"
    else:
        advice = say("→ Send it again with smaller files, or with links to them.")
    subject = say("Not sent: message too big (%(size)s)") % {"size": size_words(about, size)}
    return _Words(subject, tuple(happened), (advice,))


def _not_sent(about: About, refusal: Refusal) -> str:
    return about.say("Your message to %(list)s was not sent.") % {"list": refusal.address}


def _reason(about: About, refusal: Refusal, size: int) -> str:
    """Say why a message was refused, in a sentence."""
    say = about.say
    author = {"author": about.author}
    match refusal.why:
        case Why.NO_MEMBER if refusal.is_known:
            return say("Only members of the list can write to it, and you are not on it.")
        case Why.NO_MEMBER:
            return (
                say(
                    "Only members of the list can write to it, and none of them has the address"
                    " %(author)s."
                )
                % author
            )
        case Why.NOT_CHOSEN:
            return (
                say(
                    "Only certain people can write to this list, and none of them has the address"
                    " %(author)s."
                )
                % author
            )
        case Why.TOO_BIG:
            return say(
                "This list accepts %(limit)s; your message is %(size)s (attachments grow by a"
                " third on the way)."
            ) % {"limit": size_words(about, refusal.limit), "size": size_words(about, size)}
        case _:
            return _plain_reason(about, refusal.why)


def _plain_reason(about: About, why: Why) -> str:
    say = about.say
    return {
        Why.NO_WRITER: say("You are on the list, but not among those who can write to it."),
        Why.NO_MODERATOR: say("Only the moderators of the list can write to it."),
        Why.NOBODY: say("Nobody can write to this list."),
        Why.UNPROVEN: say(
            "This list takes only messages whose author a mail provider vouches for."
        ),
        Why.UNKNOWN_LIST: say("There is no such list."),
        Why.EMPTY_LIST: say("Nobody has this role in the member file at the moment."),
        Why.FLOOD: say("Too many messages have come to this address today."),
    }.get(why, say("You cannot write to this list."))


def _told_of_others(about: About, elsewhere: Elsewhere) -> tuple[str, str]:
    say = about.say
    sent = waiting = ""
    if elsewhere.sent:
        sent = say("It does go out to %(lists)s.") % {"lists": _named(about, elsewhere.sent)}
    if elsewhere.waiting:
        waiting = say("For %(lists)s it waits for approval.") % {
            "lists": _named(about, elsewhere.waiting)
        }
    return sent, waiting


def _named(about: About, addresses: Iterable[str]) -> str:
    return format_list(list(addresses)[:_NAMED], locale=about.lang)


def _enclosed(about: About, enclosed: Enclosed) -> str:
    match enclosed:
        case Enclosed.WHOLE:
            return about.say("Your message is attached: nothing is lost.")
        case Enclosed.HEADER:
            return about.say(
                "Your message is too large to be attached: you find it in your sent mail."
            )
        case Enclosed.NOTHING:
            return about.say("Your message could not be attached; it lies in the lists' mailbox.")
