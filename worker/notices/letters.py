"""What we write to people about a message: what happened first, then what to do.

One function per kind of notice; each gives the words in the reader's language.
English stands here, French in locale/fr.po (reference: user experience, 2.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from babel.dates import format_date
from babel.lists import format_list
from babel.numbers import format_decimal

from worker.mail.address import readable
from worker.mail.notice import Letter
from worker.notices.catalogue import translations
from worker.notices.failure import failure_words
from worker.notices.letter_html import as_html
from worker.notices.moments import exact_time, ordinal
from worker.policy.admission import FAULTS_OF_LISTS, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from worker.mail.reason import Reason as Failing

_SUBJECT_LIMIT = 120
_REASON_LIMIT = 500
# As lists.define counts them.
_KILO, _MEGA, _GIGA = 1024, 1024**2, 1024**3


@dataclass(frozen=True, slots=True)
class LastTime:
    """How many people a list had when it was last written to."""

    people: int
    day: date


@dataclass(frozen=True, slots=True)
class Crowd:
    """Whom a message is for, and how many they were before."""

    recipients: int
    listed: int = 0  # With those who get nothing.
    last: LastTime | None = None


@dataclass(frozen=True, slots=True)
class About:
    """The message that a letter is about."""

    lang: str
    author: str
    subject: str
    list_address: str
    number: int | None  # Of the posting.
    help_address: str
    member_file: date | None = None  # Of which day the file of the members is.
    is_attached: bool = False  # The message goes along with the letter.

    @property
    def shown_subject(self) -> str:
        """The author's subject, fit to be quoted in a line."""
        return readable(self.subject, _SUBJECT_LIMIT) or self.say("(no subject)")

    def say(self, text: str) -> str:
        """Translate *text*."""
        return translations(self.lang).gettext(text)

    def counted(self, singular: str, plural: str, count: int) -> str:
        """Translate what is said of so many, with their number in it."""
        words = translations(self.lang).ngettext(singular, plural, count)
        return words % {"count": format_decimal(count, locale=self.lang)}

    def people(self, count: int) -> str:
        """Say how many people they are."""
        return self.counted("%(count)s person", "%(count)s people", count)

    def letter(self, subject: str, *paragraphs: str, can_be_fewer: bool = False) -> Letter:
        """Put a letter together; the last, grey line names the posting and a human.

        If there *can be fewer* of its kind, the page that it names is where to ask for that.
        """
        last = last_line(self.lang, self.help_address, self.number)
        if can_be_fewer:
            last += " · " + self.say("Fewer messages like this one: the same page")
        text = "\n\n".join([*(p for p in paragraphs if p), last])
        return _letter(f"{subject} \u2013 {self.shown_subject}", text, self.lang)


def confirmation(about: About, *, recipients: int, size: int, link: str, until: datetime) -> Letter:
    """Ask the author whether they wrote it."""
    say = about.say
    return about.letter(
        say("Please confirm: did you send this message?"),
        say(
            "A message in your name has arrived for %(list)s. It has not been sent yet:"
            " we ask you first whether you wrote it."
        )
        % {"list": about.list_address},
        _facts(
            about,
            (say("Subject"), about.shown_subject),
            (say("For"), _people_of_file(about, recipients)),
            (say("Size"), size_words(about, size)),
        ),
        say("→ You wrote it? Answer this mail with OK, or press the button on this page:")
        + f"\n  {link}",
        say("→ You did not? Do nothing, or answer NO: the message will not be sent."),
        say("The question is open until %(until)s.") % {"until": exact_time(about.lang, until)},
    )


def moderation(
    about: About,
    *,
    crowd: Crowd,
    size: int,
    reasons: Sequence[str],
    link: str,
    until: datetime,
    finish: str,
    beginning: str,
) -> Letter:
    """Ask a moderator whether a message may go out, with every reason why it waits.

    *finish* says when its last copy would leave; "": that is not in sight.
    """
    say = about.say
    why = "\n".join(f"- {reason_words(about.lang, reason)}" for reason in reasons)
    recipients, last, today = crowd.recipients, crowd.last, None
    if FAULTS_OF_LISTS & set(reasons):
        today = (say("On the list"), about.people(crowd.listed))
    before = (say("Last time"), _people_on(about, last)) if last and last.people else None
    expected = None
    if finish:
        expected = (
            say("Expected to be finished"),
            say("%(time)s, if you approve it now") % {"time": finish},
        )
    return about.letter(
        say("To approve (from %(author)s, for %(people)s)")
        % {"author": about.author, "people": about.people(recipients)},
        say("A message for %(list)s waits for your approval, because:")
        % {"list": about.list_address}
        + f"\n{why}",
        _facts(
            about,
            (say("From"), about.author),
            (say("Subject"), about.shown_subject),
            (say("For"), _people_of_file(about, recipients)),
            *filter(None, (today, before, expected)),
            (say("Size"), size_words(about, size)),
        ),
        say("→ Decide on this page:")
        + f"\n  {link}\n"
        + say("  or answer this mail: “OK” on its first line, or “NO: your reason”."),
        say(
            "The first moderator who answers decides. Without an answer by %(until)s"
            " the message is not sent."
        )
        % {"until": exact_time(about.lang, until)},
        _beginning(about, beginning) if beginning else "",
    )


def held(
    about: About,
    *,
    moderators: int,
    link: str,
    reasons: Sequence[str],
    crowd: Crowd,
) -> Letter:
    """Tell the author that a moderator has been asked; and why, if it is the list's fault."""
    say = about.say
    told = translations(about.lang).ngettext(
        "%(count)d person has been told", "%(count)d people have been told", moderators
    ) % {"count": moderators}
    whys = [*filter(None, (_fault(about, reason, crowd) for reason in reasons))]
    if whys:
        whys.append(say("We have held your message to check."))
    return about.letter(
        say("Held to check") if whys else say("Waiting for approval"),
        say("Your message to %(list)s waits for a moderator (%(told)s).")
        % {"list": about.list_address, "told": told},
        "\n".join(whys),
        say(
            "Nothing for you to do. If nobody answers within 5 days we will tell you."
            " To take it back:"
        )
        + f"\n  {link}",
    )


def _fault(about: About, reason: str, crowd: Crowd) -> str:
    """Say what is wrong with the list, "" if it is nothing of the list's."""
    say = about.say
    match reason:
        case Reason.SHRANK | Reason.GREW | Reason.EMPTY:
            return _change(about, crowd)
        case Reason.UNREACHABLE:
            return say(
                "This list has %(now)s today, of whom nobody can be written to (unsubscribed, or"
                " no working address)."
            ) % {"now": about.people(crowd.listed)}
        case Reason.TOO_MANY:
            return say("Your message is for %(people)s, which is more than the list allows.") % {
                "people": about.people(crowd.recipients)
            }
        case Reason.LOST_UNDER_WAY:
            return say("It was on its way when the list lost most of those who have yet to get it.")
        case _:
            return ""


def _change(about: About, crowd: Crowd) -> str:
    """Say how many people a list has, and how many it had."""
    say, last = about.say, crowd.last
    if last is None or not last.people:
        if not crowd.listed:
            return say("Nobody is on this list today.")
        return say("This list has %(now)s today.") % {"now": about.people(crowd.listed)}
    if not crowd.listed:
        return say(
            "Nobody is on this list today; %(before)s when it was last written to, on %(day)s."
        ) % {"before": about.people(last.people), "day": _day(about, last.day)}
    return say(
        "This list has %(now)s today; %(before)s when it was last written to, on %(day)s."
    ) % {
        "now": about.people(crowd.listed),
        "before": format_decimal(last.people, locale=about.lang),
        "day": _day(about, last.day),
    }


def refused(about: About, *, reason: str) -> Letter:
    """Tell the author that a moderator said no."""
    say = about.say
    because = readable(reason, _REASON_LIMIT)
    return about.letter(
        say("Not sent"),
        say("Your message to %(list)s was not sent: a moderator has not approved it.")
        % {"list": about.list_address},
        say("The reason: %(reason)s") % {"reason": because}
        if because
        else say("No reason was given."),
        _attached(about),
    )


def expired(about: About) -> Letter:
    """Tell the author that nobody answered."""
    say = about.say
    return about.letter(
        say("Not sent: nobody answered"),
        say("Nobody has answered in time: your message to %(list)s was not sent.")
        % {"list": about.list_address},
        say("→ Send it again, or write to %(address)s.") % {"address": about.help_address},
        _attached(about),
    )


def query_fails(about: About) -> Letter:
    """Tell the author that we cannot work it out right now."""
    say = about.say
    return about.letter(
        say("Delayed: a problem on our side"),
        say(
            "Your message to %(list)s arrived, but the list of recipients does not answer."
            " We keep trying; nothing for you to do. The team has been told."
        )
        % {"list": about.list_address},
    )


def last_today(letter: Letter, *, help_address: str) -> Letter:
    """Add to *letter* that its reader has had the day's answers with it."""
    say = translations(letter.lang).gettext
    words, last = letter.text.rsplit("\n\n", 1)
    added = say(
        "This is our last automatic answer to you today. Your messages are taken as before;"
        " until tomorrow we just will not answer each of them. You do not know what became of"
        " one? Ask %(address)s."
    ) % {"address": help_address}
    return _letter(letter.subject, f"{words}\n\n{added}\n\n{last}", letter.lang)


def answer_unclear(about: About, *, link: str) -> Letter:
    """Tell somebody who was asked that we did not understand."""
    say = about.say
    return about.letter(
        say("Answer not understood"),
        say("We could not tell whether your answer means yes or no, so nothing was done."),
        say("→ Answer again with only OK or NO on the first line, or decide on this page:")
        + f"\n  {link}",
    )


def forwarded(
    about: About,
    *,
    role: str,
    can_be_answered: bool,
    replied_to: Sequence[tuple[int, str]] = (),
) -> Letter:
    """Bring a human what was written to -owner, postmaster or abuse, or in reply to a receipt.

    *replied_to* has the numbers and subjects of the postings that the receipt was about.
    """
    say = about.say
    return about.letter(
        say("For you: mail to %(role)s") % {"role": role},
        say("A message of %(author)s has arrived for %(role)s: you are the person behind it.")
        % {"author": about.author, "role": role},
        _replied_to(about, replied_to) if replied_to else "",
        say("The message is attached.") if about.is_attached else _not_attached(about),
        say("Your answer to this mail goes to its author.") if can_be_answered else "",
    )


def _replied_to(about: About, postings: Sequence[tuple[int, str]]) -> str:
    """Name the postings that somebody has written about, and how to stop them."""
    say, subject = about.say, readable(postings[0][1], _SUBJECT_LIMIT)
    numbers = format_list([str(number) for number, _ in postings], locale=about.lang)
    commands = "\n".join(f"  relais posting stop {number}" for number, _ in postings)
    return (
        say("It replies to what we wrote about posting %(numbers)s, “%(subject)s”.")
        % {"numbers": numbers, "subject": subject or say("(no subject)")}
        + "\n"
        + say("→ To stop what has not left of it, on the server:")
        + f"\n{commands}"
    )


def farewell(lang: str, *, domain: str, link: str, help_address: str) -> Letter:
    """Tell who has left every list how to come back, in case it was somebody else."""
    say = translations(lang).gettext
    paragraphs = (
        say("As asked on our page, no list of %(domain)s will write to you any more.")
        % {"domain": domain},
        say("→ It was not you, or you have changed your mind? Undo it on this page:")
        + f"\n  {link}",
        say("Else there is nothing for you to do: this was the last message."),
        last_line(lang, help_address),
    )
    return _letter(say("You are unsubscribed from all lists"), "\n\n".join(paragraphs), lang)


def how_to_leave(lang: str, *, title: str, link: str, help_address: str) -> Letter:
    """Answer who wrote "unsubscribe" to the list, where everybody would have read it."""
    say = translations(lang).gettext
    paragraphs = (
        say("You wrote to the list “%(list)s” that you want to leave it. Nobody else has seen it.")
        % {"list": title},
        say("→ One button on this page, and you get it no more:") + f"\n  {link}",
        say("This link is in each message of the list. It is yours alone: do not pass it on."),
        last_line(lang, help_address),
    )
    return _letter(
        say("How to leave the list “%(list)s”") % {"list": title}, "\n\n".join(paragraphs), lang
    )


def recheck(lang: str, *, title: str, help_address: str, reason: Failing) -> Letter:
    """Ask an address, by what comes back from it, whether it works; its reader has nothing to do.

    *reason* is why the message came back.
    """
    say = translations(lang).gettext
    paragraphs = (
        say("A message of “%(list)s” to this address came back to us: %(reason)s.")
        % {"list": title, "reason": failure_words(lang, reason)},
        say(
            "If you read this, your address works: there is nothing for you to do,"
            " and you get the next messages as before."
        ),
        say("If this mail comes back as well, we will write to this address no more."),
        last_line(lang, help_address),
    )
    return _letter(
        say("Does your address work? A message could not be delivered to you"),
        "\n\n".join(paragraphs),
        lang,
    )


def last_line(lang: str, help_address: str, number: int | None = None) -> str:
    """Say by what a letter was written, whom to ask, and by which number."""
    say = translations(lang).gettext
    parts = [
        say("Automatic message"),
        *([say("no. %(number)d") % {"number": number}] if number is not None else []),
        say("Questions? %(address)s") % {"address": help_address},
    ]
    return " · ".join(parts)


def _letter(subject: str, text: str, lang: str) -> Letter:
    return Letter(subject, text, lang, as_html(text, lang, title=subject))


def _sentence(text: str) -> str:
    """Mark *text* for the catalogue; it is translated where it is used."""
    return text


_REASONS: dict[str, str] = {
    Reason.AUTHOR_UNCLEAR: _sentence("it does not name exactly one author"),
    Reason.STRANGER: _sentence("its author is not on the list"),
    Reason.FORGED: _sentence("its author's own mail provider calls it forged"),
    Reason.UNPROVEN: _sentence("nothing proves that it comes from its author"),
    Reason.ASKED_ENOUGH: _sentence("its author has been asked to confirm enough messages today"),
    Reason.REPEATED: _sentence("its author has sent the same message before"),
    Reason.MODERATED: _sentence("every message to this list is approved first"),
    Reason.OLD: _sentence("it is more than 7 days old"),
    Reason.OTHER_LIST: _sentence("it comes from another mailing list"),
    Reason.SPAM: _sentence("our mail host calls it spam"),
    Reason.AUTHOR_RATE: _sentence("its author has sent many messages within the hour"),
    Reason.LIST_RATE: _sentence("the list has had many messages within the hour"),
    Reason.EMPTY: _sentence("nobody is on the list at the moment"),
    Reason.UNREACHABLE: _sentence(
        "nobody on the list can be written to (unsubscribed, or no working address)"
    ),
    Reason.TOO_MANY: _sentence("it is for more people than the list allows"),
    Reason.SHRANK: _sentence("the list has less than half as many people as last time"),
    Reason.LOST_UNDER_WAY: _sentence(
        "it was on its way when the list lost most of those who have yet to get it"
    ),
    Reason.GREW: _sentence("the list has more than 20 times as many people as last time"),
}


def reason_words(lang: str, reason: str) -> str:
    """Say in the language *lang* why a posting waits."""
    words = _REASONS.get(reason)
    return translations(lang).gettext(words) if words else reason


def _facts(about: About, *facts: tuple[str, str]) -> str:
    colon = about.say("%(name)s: %(value)s")
    return "\n".join("  " + colon % {"name": name, "value": value} for name, value in facts)


def size_words(about: About, size: int) -> str:
    """Say how many octets they are."""
    if size >= _GIGA:
        number = format_decimal(round(size / _GIGA, 1), locale=about.lang)
        return about.say("%(number)s GB") % {"number": number}
    if size >= _MEGA:
        number = format_decimal(round(size / _MEGA, 1), locale=about.lang)
        return about.say("%(number)s MB") % {"number": number}
    number = format_decimal(max(1, round(size / _KILO)), locale=about.lang)
    return about.say("%(number)s kB") % {"number": number}


def _people_of_file(about: About, count: int) -> str:
    """Tell how many people, and how old the file is that says so."""
    people = about.people(count)
    if about.member_file is None:
        return people
    day = _day(about, about.member_file)
    return about.say("%(people)s (member file of %(day)s)") % {"people": people, "day": day}


def _people_on(about: About, last: LastTime) -> str:
    return about.say("%(people)s, on %(day)s") % {
        "people": about.people(last.people),
        "day": _day(about, last.day),
    }


def _day(about: About, day: date) -> str:
    return format_date(day, ordinal(about.lang, about.say("d MMMM"), day), locale=about.lang)


def _beginning(about: About, beginning: str) -> str:
    where = about.say("The message is attached.") if about.is_attached else _not_attached(about)
    return where + " " + about.say("It begins:") + "\n\n" + beginning


def _attached(about: About) -> str:
    if about.is_attached:
        return about.say("Your message is attached: nothing is lost.")
    return about.say("Your message could not be attached; it lies in the lists' mailbox.")


def _not_attached(about: About) -> str:
    return about.say("The message could not be attached; it lies in the lists' mailbox.")
