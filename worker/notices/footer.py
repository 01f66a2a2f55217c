"""The words below each copy: why it came, where a reply goes, how to leave.

The reason comes first and the link last (reference: user experience, 3.1). The
personal link itself is put in by worker/mail/footer.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from babel.lists import format_list

from worker.mail.list_headers import ReplyTo
from worker.notices.catalogue import translations

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class FooterWords:
    """Lines of text, and the words before the link."""

    lines: tuple[str, ...]
    link_label: str


def footer_words(
    lang: str,
    *,
    title: str,
    reply_to: ReplyTo,
    also: tuple[str, ...] = (),
    why: str = "",
    more: str = "",
    is_official: bool = False,
) -> FooterWords:
    """Return the footer of a list called *title* in the language *lang*.

    *also* are the titles of the other lists that the message was sent to, *why*
    and *more* the list's own words, *is_official* mail that one cannot just leave.
    """
    say = translations(lang).gettext
    lines = [
        say("You get this message %(why)s (list “%(list)s”).") % {"why": why, "list": title}
        if why
        else say("You get this message because you are on the list “%(list)s”.") % {"list": title}
    ]
    if also:
        others = format_list([say("“%(list)s”") % {"list": other} for other in also], locale=lang)
        lines.append(say("It was also sent to %(lists)s; you get it once.") % {"lists": others})
    lines.append(_where_a_reply_goes(say, reply_to))
    label = (
        say("This list carries official mail. To object:")
        if is_official
        else say("To stop getting this list:")
    )
    return FooterWords((*lines, *([more] if more else [])), label)


def _where_a_reply_goes(say: Callable[[str], str], reply_to: ReplyTo) -> str:
    match reply_to:
        case ReplyTo.LIST:
            return say("A reply goes to the whole list.")
        case ReplyTo.OWNER:
            return say("A reply goes to those who look after this list.")
        case ReplyTo.AUTHOR:
            return say("A reply goes to the author alone.")
