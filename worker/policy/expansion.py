"""Which list an address means.

A definition gives addresses by a template, ``{role}.{committee}``. The most
exact definition wins: fewer placeholders before more (DESIGN, section 6).
Whether the parts name anybody is for the database to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from worker.mail.address import match_template
from worker.mail.copy import merge_slot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Definition:
    """A row of lists.definition: a view, its addresses and its rules."""

    name: str
    view: str
    address: str
    title: str
    post: str  # members, anyone, moderators, nobody or view
    post_view: str | None
    reply_to: str  # author, list or owner
    max_size: int  # octets
    max_recipients: int
    lang: str
    why: str | None = None  # the footer's reason; may hold placeholders of parts
    authenticate: str = "auth_or_confirm"  # or auth_only, confirm_always, moderate
    moderate: str = "no"  # no, strangers or all
    unsubscribe: str = "yes"  # yes or contact
    footer: str | None = None  # one more line below each copy
    notify_above: int = 25
    in_doubt: str = "resend"  # resend or park
    priority: str = "normal"  # low, normal or high: how many turns its postings get
    finish_within: timedelta | None = None  # what has not left by then is cancelled
    owner: str | None = None  # the person behind -owner; None: the site's help address
    form: str = "discussion"  # or announcement, anonymous
    subject_prefix: str = ""
    merge_fields: tuple[str, ...] = ()  # columns of the view that its words name
    receipt: str = "auto"  # or always, never
    notify_delay: timedelta = timedelta(hours=1)  # who waits longer for the last copy is told
    grace: timedelta = timedelta(minutes=5)  # before the first copy of a large posting
    report_addresses: str = "owner"  # or author, nobody: who reads which were refused


@dataclass(frozen=True, slots=True)
class ListAddress:
    """One address of a definition."""

    definition: Definition
    parts: Mapping[str, str]

    @property
    def local_part(self) -> str:
        """The address without its domain."""
        return _filled(self.definition.address, self.parts)

    @property
    def title(self) -> str:
        """The title for people, its placeholders filled."""
        return _filled(self.definition.title, self.parts)

    def filled(self, text: str) -> str:
        """Fill the placeholders of any other words of the definition."""
        return _filled(text, self.parts)

    def worded(self, text: str) -> str:
        """Fill the placeholders of words that may also name columns of the view.

        What each recipient's row says is put in when their copy is rendered.
        """
        slots = {name: merge_slot(n) for n, name in enumerate(self.definition.merge_fields)}
        return _filled(text, {**slots, **self.parts})


def _filled(template: str, parts: Mapping[str, str]) -> str:
    # Not str.format: a title may hold braces that are nobody's placeholder.
    for name, value in parts.items():
        template = template.replace(f"{{{name}}}", value)
    return template


def candidates(definitions: Iterable[Definition], local_part: str) -> list[ListAddress]:
    """Return every list that *local_part* may mean, the most exact first."""
    found = [
        ListAddress(definition, parts)
        for definition in definitions
        for parts in match_template(definition.address, local_part)
    ]
    return sorted(found, key=lambda address: len(address.parts))
