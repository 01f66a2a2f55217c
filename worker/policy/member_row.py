"""One row of a member file: what it says of a member, or what is wrong with it.

Foreign data: judging never raises. A row with a problem is left out and told; a
remark tells what was mended or left empty in a row that is taken. Only what is
certain is mended.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING

from worker.mail.address import NAME_LIMIT, clean_name, usable_address
from worker.policy.member_map import ANYTHING, COMMITTEE, KINDS, LANGS, ROLE, did_you_mean, folded

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from worker.policy.member_map import MemberMap, Place, RolePlaces

CLUB_DIGITS = 7
KEY_LIMIT = 64
SHOWN_LIMIT = 60  # Of a cell, in a sentence about it.
UNREADABLE = "\N{REPLACEMENT CHARACTER}"

_DATES = ("%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y")
_SEASON = re.compile(r"([0-9]{4}) ?[-/] ?([0-9]{4}|[0-9]{2})")
_FLOAT = re.compile(r"([0-9]+)[.,]0+")
_SHORTENED = re.compile(r"[0-9][.,][0-9]+[eE]\+[0-9]+")
_POSTCODE = re.compile(r"[0-9]{5}")
_DEPARTEMENT = re.compile(r"[0-9]{2}|2[ab]|9[78][0-9]")
_CORSE_SOUTH = re.compile(r"20[01]..")
_NAMED = (
    re.compile(
        r"(?<!\d)(?P<year>20\d\d)(?P<between>[-_.]?)(?P<month>\d\d)(?P=between)(?P<day>\d\d)(?!\d)"
    ),
    re.compile(r"(?<!\d)(?P<day>\d\d)[-_.](?P<month>\d\d)[-_.](?P<year>20\d\d)(?!\d)"),
)
_TRUE = frozenset(("true", "oui", "o", "yes", "y", "1", "vrai", "x"))
_FALSE = frozenset(("false", "non", "n", "no", "0", "faux"))
_MAILTO = re.compile(r"mailto:", re.IGNORECASE)
_ANGLED = re.compile(r"[^<>@]*<([^<>]*)>")
_BETWEEN = re.compile(r"\s*[;,/|]\s*|\s+(?:ou|et|or|and)\s+")
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"), None)


class Remark(Enum):
    """What kind of thing was noticed in a row that is taken nevertheless."""

    UNUSABLE = "address not usable, left empty"
    SEVERAL = "several addresses, the first usable one taken"
    MENDED = "address mended"
    NO_CLUB = "no club, so no licence"
    UNREADABLE = "a character could not be read"
    SHORT = "fewer cells than columns, the others taken for empty"
    KIND = "two kinds of licence in one club, the first one taken"
    CLUB_NAME = "a club by several names or départements, the commonest taken"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the row on *line* is left out."""

    line: int
    text: str
    key: str | None = None  # The member, where it is known: they stay as they are.


@dataclass(frozen=True, slots=True)
class Noticed:
    """A remark on the row on *line*."""

    line: int
    remark: Remark
    text: str


@dataclass(frozen=True, slots=True)
class HeldRole:
    """A role that a row gives, in a committee or in a club."""

    role: str
    committee: str | None
    club: str | None
    since: date | None


@dataclass(frozen=True, slots=True)
class MemberRow:
    """What a row says; None is what the map does not speak of, or the row leaves empty."""

    line: int
    key: str
    first_name: str | None
    last_name: str
    email: str | None
    lang: str | None
    active: bool
    club: str | None = None
    club_name: str | None = None
    departement: str | None = None
    departement_name: str | None = None
    season: str | None = None
    kind: str | None = None
    roles: tuple[HeldRole, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """A row that is taken, or the problem that it has, and what was noticed."""

    row: MemberRow | None
    problem: Problem | None
    noticed: tuple[Noticed, ...]


class RowJudge:
    """Reads the rows of one file, whose columns are known."""

    def __init__(
        self,
        member_map: MemberMap,
        columns: Sequence[str],
        *,
        exported_on: date,
        season: str,
        committees: Collection[str],
    ) -> None:
        self._map = member_map
        self._width = len(columns)
        index = {folded(name): number for number, name in enumerate(columns)}
        self._index = {column: index[folded(column)] for column in member_map.columns()}
        self._exported_on = exported_on
        self._season = season  # Of rows that do not say one.
        self._committees = sorted({*committees, *member_map.committees})

    def judge(self, line: int, cells: Sequence[str]) -> Judged:
        """Say what the row of *cells* on *line* says."""
        reading = _Reading(line, cells, self._index)
        if len(cells) > self._width and any(cell.strip() for cell in cells[self._width :]):
            reading.wrong(
                "row", f"{len(cells)} cells, but {self._width} columns: a separator too many?"
            )
        elif len(cells) < self._width:
            reading.notice(Remark.SHORT, f"{len(cells)} of {self._width}")
        key = self._key(reading)
        row = self._row(reading, key)
        if reading.problems:
            text = "; ".join(reading.problems.values())
            return Judged(None, Problem(line, text, key or None), ())
        return Judged(row, None, tuple(reading.noticed))

    def _key(self, reading: _Reading) -> str:
        place = self._map.key
        key = _number(reading.text(place))
        if not key:
            reading.wrong(place.name, f"no {place.column}")
        elif _SHORTENED.fullmatch(key):
            reading.wrong(place.name, f"{key}: a spreadsheet has shortened it; export it as text")
            return ""
        elif len(key) > KEY_LIMIT or UNREADABLE in key:
            reading.wrong(place.name, f"{place.column} {_shown(key)} is no key")
            return ""
        return key.zfill(place.digits) if place.digits and key.isdecimal() else key

    def _row(self, reading: _Reading, key: str) -> MemberRow:
        places = self._map
        first_name = None
        if places.first_name is not None:
            first_name = _name(reading, places.first_name)
        last_name = _name(reading, places.last_name)
        if not (first_name or last_name):
            reading.wrong("name", "no name")
        club = self._club(reading) if places.club is not None else None
        return MemberRow(
            line=reading.line,
            key=key,
            first_name=first_name,
            last_name=last_name,
            email=_email(reading, places.email),
            lang=_lang(reading, places.lang) if places.lang is not None else None,
            active=_active(reading, places.active) if places.active is not None else True,
            club=club,
            club_name=reading.optional(places.club_name) if club else None,
            departement=_departement(reading, places.departement) if club else None,
            departement_name=reading.optional(places.departement_name) if club else None,
            season=self._season_of(reading) if club else None,
            kind=_kind(reading, places.kind) if club and places.kind is not None else None,
            roles=tuple(held for role in places.roles if (held := self._held(reading, role, club))),
        )

    def _club(self, reading: _Reading) -> str | None:
        place = self._map.club
        number = _number("".join(reading.text(place).split())) if place is not None else ""
        if not number:
            reading.notice(Remark.NO_CLUB, "")
            return None
        # Of seven digits: a spreadsheet drops the zeros in front of a number.
        is_number = number.isascii() and number.isdecimal()
        number = number.zfill(CLUB_DIGITS) if is_number else number
        if len(number) != CLUB_DIGITS or not is_number:
            reading.wrong(
                "club.number", f"club {_shown(number)} is no number of {CLUB_DIGITS} digits"
            )
            return None
        return number

    def _season_of(self, reading: _Reading) -> str:
        place = self._map.season
        text = reading.text(place) if place is not None else ""
        if not text:
            return self._season
        years = _SEASON.fullmatch(text)
        if years is None or int(years[1]) + 1 not in (int(years[2]), 2000 + int(years[2])):
            reading.wrong(
                "licence.season", f"unknown season {_shown(text)}: it must be like 2026-2027"
            )
            return ""
        return f"{years[1]}-{int(years[1]) + 1}"

    def _held(self, reading: _Reading, places: RolePlaces, club: str | None) -> HeldRole | None:
        role = reading.text(places.role)
        if not role:
            return None
        if not ROLE.fullmatch(role):
            reading.wrong(places.role.name, f"unknown role {_shown(role)}: write it in values")
            return None
        committee = None
        if places.committee is not None:
            committee = reading.text(places.committee)
            if committee not in self._committees:
                reading.wrong(places.committee.name, self._unknown_committee(role, committee))
                return None
        elif club is None:
            reading.wrong("role.club", f"role {role}, but no club")
            return None
        since = _date(reading, places.since)
        until = _date(reading, places.until)
        if until is not None and until <= self._exported_on:
            return None
        if since is not None and since > self._exported_on:
            since = None  # A mandate that is written down is held; when it began is not known.
        return HeldRole(role, committee, None if committee else club, since)

    def _unknown_committee(self, role: str, committee: str) -> str:
        if not committee:
            return f"role {role}, but no committee"
        if not COMMITTEE.fullmatch(committee):
            return f"unknown committee {_shown(committee)}: write it in values"
        if not self._committees:
            return f"unknown committee {_shown(committee)}: name it in [committees]"
        return f"unknown committee {_shown(committee)}{did_you_mean(committee, self._committees)}"


@dataclass(slots=True)
class _Reading:
    """A row while it is read."""

    line: int
    cells: Sequence[str]
    index: dict[str, int]
    problems: dict[str, str] = field(default_factory=dict)  # By place: one is enough.
    noticed: list[Noticed] = field(default_factory=list)

    def wrong(self, place: str, text: str) -> None:
        self.problems.setdefault(place, text)

    def notice(self, remark: Remark, text: str) -> None:
        self.noticed.append(Noticed(self.line, remark, text))

    def raw(self, place: Place) -> str:
        """Return what is in the place, as it is."""
        if place.column is None:
            return place.value
        index = self.index[place.column]
        return self.cells[index] if index < len(self.cells) else ""

    def text(self, place: Place) -> str:
        """Return what is in the place, tidied, or what the map says that it means."""
        text = " ".join(self.raw(place).replace("\0", " ").split())
        if place.values is None or place.column is None:
            return text
        meant = place.values.get(folded(text), place.values.get(ANYTHING))
        if meant is None:
            self.wrong(
                place.name,
                f"{place.column} {_shown(text)} is not among its values"
                if text
                else f"no {place.column}",
            )
        return meant or ""

    def optional(self, place: Place | None) -> str | None:
        """Return what is in a place that the map may leave out."""
        return (self.text(place) or None) if place is not None else None


def mended(written: str) -> tuple[str | None, Remark | None]:
    """Return the address that *written* certainly means, and what was noticed.

    Parents share a cell: of several addresses the first usable one is taken,
    for none would silently lose the member.
    """
    text = _MAILTO.sub(" ", written.translate(_INVISIBLE)).strip().rstrip(".;,").strip()
    angled = _ANGLED.fullmatch(text)
    text = angled[1].strip() if angled else text
    if usable_address(text):
        return text, None if text == written else Remark.MENDED
    for one in _addresses(text):
        if usable_address(one):
            return one, Remark.SEVERAL
    return None, Remark.UNUSABLE if text else None


def _addresses(text: str) -> list[str]:
    """Split what holds several addresses; a space may also be a slip within one."""
    if text.count("@") < 2:  # noqa: PLR2004 - several
        return []
    several = _BETWEEN.split(text)
    if len(several) == 1:
        words = text.split()
        several = words if all("@" in word for word in words) else []
    return [one.strip(" <>.") for one in several]


def _email(reading: _Reading, place: Place) -> str | None:
    written = reading.raw(place) if place.values is None else reading.text(place)
    address, remark = mended(written)
    if remark is not None:
        reading.notice(remark, _shown(written))
    return address


def _name(reading: _Reading, place: Place) -> str:
    text = reading.text(place)
    if UNREADABLE in text:
        reading.notice(Remark.UNREADABLE, _shown(text))
    # Half the time that a row takes is spared where there is nothing to clean.
    return text if text.isprintable() and len(text) < NAME_LIMIT else clean_name(text)


def _lang(reading: _Reading, place: Place) -> str | None:
    lang = reading.text(place).lower()
    if lang and lang not in LANGS:
        reading.wrong(place.name, f"unknown language {_shown(lang)}: write it in values")
    return lang or None


def _active(reading: _Reading, place: Place) -> bool:
    text = folded(reading.text(place))
    if text not in _TRUE | _FALSE:
        reading.wrong(
            place.name, f"{place.column} {_shown(text)} is neither yes nor no: write it in values"
        )
    return text in _TRUE


def _kind(reading: _Reading, place: Place) -> str:
    kind = folded(reading.text(place))
    if kind not in KINDS:
        reading.wrong(place.name, f"unknown kind {_shown(kind)} of licence: write it in values")
    return kind


def _departement(reading: _Reading, place: Place | None) -> str | None:
    """Return the code that a code or a postcode means."""
    if place is None:
        return None
    text = reading.text(place).lower()
    if not text:
        return None
    code = text
    if _POSTCODE.fullmatch(text):
        code = text[:3] if text.startswith(("97", "98")) else text[:2]
        if code == "20":
            code = "2a" if _CORSE_SOUTH.fullmatch(text) else "2b"
    elif text.isdecimal():
        code = text.lstrip("0").zfill(2)
    if not _DEPARTEMENT.fullmatch(code):
        reading.wrong(place.name, f"unknown département {_shown(text)}")
        return None
    return code


def _date(reading: _Reading, place: Place | None) -> date | None:
    if place is None or not (text := reading.text(place)):
        return None
    found = read_date(text, place.formats or _DATES)
    if found is None:
        reading.wrong(
            place.name, f"{place.column} {_shown(text)} is no date: name its format in the map"
        )
    return found


def read_date(text: str, formats: Sequence[str]) -> date | None:
    """Read a date; a time of day behind it does not matter. A spreadsheet's are ISO."""
    for form in (*formats, "%Y-%m-%d"):
        for written in (text, text.partition(" ")[0]):
            try:
                return datetime.strptime(written, form).date()  # noqa: DTZ007 - no time, no zone
            except ValueError:
                continue
    return None


def _number(text: str) -> str:
    """Write a number as text, though a spreadsheet made 12345.0 of it."""
    whole = _FLOAT.fullmatch(text)
    return whole[1] if whole else text


def _shown(text: str) -> str:
    short = text if len(text) <= SHOWN_LIMIT else f"{text[:SHOWN_LIMIT]}..."
    return f'"{" ".join(short.split())}"'


def date_in_name(file_name: str) -> date | None:
    """Return the date that a file's name tells, the last one if there are several."""
    found: list[tuple[int, date]] = []
    for match in (match for form in _NAMED for match in form.finditer(file_name)):
        try:
            day = date(int(match["year"]), int(match["month"]), int(match["day"]))
        except ValueError:  # Digits that are no date.
            continue
        found.append((match.start(), day))
    return max(found)[1] if found else None
