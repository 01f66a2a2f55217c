"""The words below each copy: why it came, where a reply goes, how to leave.

The reason comes first and the link last (reference: user experience, 3.1). The
personal link itself is put in by worker/mail/footer.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from worker.notices.catalogue import translations


@dataclass(frozen=True, slots=True)
class FooterWords:
    """Lines of text, and the words before the link."""

    lines: tuple[str, ...]
    link_label: str


def footer_words(lang: str, *, title: str, replies_to_list: bool) -> FooterWords:
    """Return the footer of a list called *title* in the language *lang*."""
    say = translations(lang).gettext
    why = say("You get this message because you are on the list “%(list)s”.") % {"list": title}
    reply = (
        say("A reply goes to the whole list.")
        if replies_to_list
        else say("A reply goes to the author alone.")
    )
    return FooterWords((why, reply), say("To stop getting this list:"))
