"""Who is told of addresses that get nothing any more, and when.

Once a week, on Monday morning. A week is known by its Monday, so that one that
was missed is made up once, and no clock that steps back repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from worker.mail.address import usable_address

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from worker.mail.reason import Reason

_AT = time(7)
_AGAIN_AFTER = timedelta(weeks=4)  # What is unchanged is not repeated every week.
SHOWN_AT_MOST = 100


@dataclass(frozen=True, slots=True)
class Bearer:
    """A row of a list that has an address which fails."""

    address: str  # In lower case.
    name: str
    person: str | None
    list: str  # Its address, without the domain.
    title: str
    list_lang: str
    secretary: str | None = None  # As the row says, in lower case.
    owner: str | None = None  # Of the definition.


@dataclass(frozen=True, slots=True)
class Ailing:
    """How an address fares."""

    address: str
    state: str  # suspect, held or trial
    since: datetime
    due_at: datetime | None  # When it is asked, or tried, again.
    reason: Reason
    status: str
    evidence: str
    failures: int
    failing_since: datetime  # The first of them.


@dataclass(frozen=True, slots=True)
class DeadAddress:
    """An address that somebody can mend."""

    ailing: Ailing
    names: tuple[str, ...]
    titles: tuple[str, ...]
    langs: frozenset[str]  # Of the lists.
    is_reminder: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What a secretary was told of before."""

    held_since: datetime
    monday: date


def monday_of(local: datetime) -> date:
    """Return the Monday whose letters are due at *local*, a time as clocks show it."""
    monday = local.date() - timedelta(days=local.weekday())
    if local.weekday() == 0 and local.time() < _AT:
        return monday - timedelta(weeks=1)
    return monday


def next_letters(local: datetime) -> datetime:
    """Return when letters are due again after *local*."""
    return datetime.combine(monday_of(local) + timedelta(weeks=1), _AT, tzinfo=local.tzinfo)


def secretaries(bearers: Iterable[Bearer]) -> list[str]:
    """Return who can mend the address of all these rows; nobody is the site's help address.

    What a row says goes before the owners of lists, for a list of everybody has an
    owner, too. The view relais.v_dead_addresses has the same rule.
    """
    rows = list(bearers)
    return _said(rows) or sorted({row.owner for row in rows if row.owner})


def recipients(
    named: Iterable[str], *, held: Collection[str], domain: str, help_address: str
) -> list[str]:
    """Return who is written to if these can mend an address.

    Nobody is written to at an address that is *held* itself, nor at a list of ours:
    that goes to the help address, or to nobody if that is held.
    """
    reached = _reached(named, held=held, domain=domain)
    return reached or [one for one in (help_address.lower(),) if one not in held]


def by_recipient(
    bearers: Iterable[Bearer],
    ailing: Mapping[str, Ailing],
    *,
    held: Collection[str],
    domain: str,
    help_address: str,
    is_whole: bool = True,
) -> dict[str, list[DeadAddress]]:
    """Return who is written to about what, in the order in which it is told.

    If the rows are not the *whole*, one that lacks may name a secretary: then only
    those whom a row names are written to, and no owner, nor the help address, gets
    what is another's.
    """
    rows: dict[str, list[Bearer]] = {}
    for bearer in bearers:
        if bearer.address in ailing:
            rows.setdefault(bearer.address, []).append(bearer)
    found: dict[str, list[DeadAddress]] = {}
    for address, theirs in rows.items():
        dead = _dead(ailing[address], theirs)
        told = (
            recipients(secretaries(theirs), held=held, domain=domain, help_address=help_address)
            if is_whole
            else _reached(_said(theirs), held=held, domain=domain)
        )
        for recipient in told:
            found.setdefault(recipient, []).append(dead)
    return {who: sorted(about, key=_order) for who, about in sorted(found.items())}


def due(
    dead: Sequence[DeadAddress],
    told: Mapping[str, Told],
    *,
    monday: date,
    last_letter: date | None,
) -> list[DeadAddress]:
    """Return what a letter of *monday* tells: what is news, then what was told weeks ago.

    Reminders go along with news; alone only when there was no letter for as long.
    """
    news = [one for one in dead if _is_news(one, told)]
    if not news and last_letter is not None and monday - last_letter < _AGAIN_AFTER:
        return []
    reminders = [
        replace(one, is_reminder=True)
        for one in dead
        if not _is_news(one, told) and monday - told[one.ailing.address].monday >= _AGAIN_AFTER
    ]
    return [*news, *reminders]


def lang_of(dead: Iterable[DeadAddress], locale: str) -> str:
    """Return the language of a letter: of the lists, if they have one, else the site's."""
    langs = {lang for one in dead for lang in one.langs}
    return langs.pop() if len(langs) == 1 else locale


def _reached(named: Iterable[str], *, held: Collection[str], domain: str) -> list[str]:
    return [
        one
        for one in named
        if usable_address(one) and one.rpartition("@")[2] != domain and one not in held
    ]


def _said(rows: Iterable[Bearer]) -> list[str]:
    return sorted({row.secretary for row in rows if row.secretary})


def _dead(ailing: Ailing, rows: Sequence[Bearer]) -> DeadAddress:
    return DeadAddress(
        ailing,
        names=tuple(sorted({row.name for row in rows if row.name})),
        titles=tuple(sorted({row.title for row in rows})),
        langs=frozenset(row.list_lang for row in rows),
    )


def _order(dead: DeadAddress) -> tuple[object, ...]:
    return dead.titles, dead.names, dead.ailing.address


def _is_news(dead: DeadAddress, told: Mapping[str, Told]) -> bool:
    before = told.get(dead.ailing.address)
    return before is None or before.held_since != dead.ailing.since
