"""The map: which column of a member file is what in the schema ``club``.

A place in the map names a column, or says the value itself:

    last_name = "Nom"                                     # short for the next
    last_name = { column = "Nom" }
    lang      = { value = "fr" }                          # a constant
    active    = { column = "Actif", values = { "OUI" = true, "NON" = false } }

*values* is the whole list of what the column may hold; "" stands for an empty
cell, "*" for whatever else there is. read_map() finds every problem before it
raises ConfigError.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING

from worker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Table = Mapping[str, object]

ANYTHING = "*"
KINDS = ("competition", "loisir", "dirigeant")
LANGS = ("fr", "en")
ROLE = re.compile(r"[a-z_]+")
COMMITTEE = re.compile(r"[a-z0-9_]+")

_SECTIONS: dict[str, tuple[str, ...]] = {
    "file": ("encoding", "separator", "sheet", "header"),
    "member": ("key", "first_name", "last_name", "email", "lang", "active"),
    "club": ("number", "name", "departement", "departement_name"),
    "licence": ("season", "kind"),
    "role": ("role", "committee", "club", "since", "until"),
    "committees": (),
    "max_bad": (),
}
_PLACE_KEYS = ("column", "value", "values")
_MORE_PLACE_KEYS = {
    "member.key": ("digits",),
    "role.since": ("format",),
    "role.until": ("format",),
}
_MAX_BAD = re.compile(r"([0-9]{1,3}(?:\.[0-9]+)?) ?%")
# What a person writes for a date, and what Python calls it.
_DATE_PARTS = {"DD": "%d", "MM": "%m", "YYYY": "%Y", "YY": "%y"}
_DATE_FORMAT = re.compile(r"(?:DD|MM|YYYY|YY)(?:[-/. ]?(?:DD|MM|YYYY|YY)){2}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one value of a row comes from: a column, or a constant."""

    name: str  # As the map calls it: "member.key".
    column: str | None = None
    value: str = ""
    values: Mapping[str, str] | None = None  # By folded cell.
    digits: int | None = None
    formats: tuple[str, ...] = ()  # Of dates, as strptime has them; none: the usual ones.


@dataclass(frozen=True, slots=True)
class FileSettings:
    """How the file is written, where it is not to be found out."""

    encoding: str | None = None
    separator: str | None = None
    sheet: str | None = None
    header: int | None = None  # The line, or row, of the column names.


@dataclass(frozen=True, slots=True)
class RolePlaces:
    """A role that rows may give: in a committee, or in the row's club."""

    role: Place
    committee: Place | None  # None: in the club.
    since: Place | None = None
    until: Place | None = None


@dataclass(frozen=True, slots=True)
class MaxBad:
    """How many rows may be wrong before the whole file is refused."""

    rows: int | None = None
    percent: float = 1.0

    def allows(self, bad: int, rows: int) -> bool:
        """Tell whether *bad* of *rows* may be left out."""
        return bad <= (self.rows if self.rows is not None else rows * self.percent / 100)

    def __str__(self) -> str:
        return f"{self.percent:g} %" if self.rows is None else f"{self.rows} rows"


@dataclass(frozen=True, slots=True)
class MemberMap:
    """All of the map; a place that it leaves out is None, and nothing is changed there."""

    key: Place
    last_name: Place
    email: Place
    first_name: Place | None = None
    lang: Place | None = None
    active: Place | None = None
    club: Place | None = None
    club_name: Place | None = None
    departement: Place | None = None
    departement_name: Place | None = None
    season: Place | None = None
    kind: Place | None = None
    roles: tuple[RolePlaces, ...] = ()
    committees: Mapping[str, str] = field(default_factory=dict)  # Names by slug.
    file: FileSettings = FileSettings()
    max_bad: MaxBad = MaxBad()

    def places(self) -> Iterator[Place]:
        """Go through all places there are."""
        several = [self.key, self.last_name, self.email, self.first_name, self.lang, self.active]
        several += [self.club, self.club_name, self.departement, self.departement_name]
        several += [self.season, self.kind]
        for role in self.roles:
            several += [role.role, role.committee, role.since, role.until]
        yield from (place for place in several if place is not None)

    def columns(self) -> list[str]:
        """Return the columns that the file must have, in the order of the map."""
        return list(dict.fromkeys(place.column for place in self.places() if place.column))


@lru_cache(maxsize=4096)
def folded(text: str) -> str:
    """Write *text* as it is compared: spaces, capitals and composition do not matter."""
    return " ".join(unicodedata.normalize("NFC", text).split()).casefold()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """End a sentence about the unknown *word* with what is like it, or with all there is."""
    known = list(known)
    by_fold = {folded(name): name for name in known}
    near = get_close_matches(folded(word), by_fold, n=1)
    return f": did you mean {by_fold[near[0]]}?" if near else f"; known are {', '.join(known)}"


def read_map(document: Table) -> MemberMap:
    """Read what a map's TOML holds."""
    problems: list[str] = []
    reader = _Reader(document, problems)
    reader.refuse_unknown()
    found = reader.member_map()
    if found is None or problems:
        raise ConfigError(problems)
    return found


@dataclass(frozen=True, slots=True)
class _Reader:
    document: Table
    problems: list[str]

    def refuse_unknown(self) -> None:
        for name, section in self.document.items():
            if name not in _SECTIONS:
                self.problems.append(f"{name} is unknown{did_you_mean(name, _SECTIONS)}")
                continue
            for table in section if isinstance(section, list) else [section]:
                known = _SECTIONS[name]
                self.problems.extend(
                    f"[{name}] {key} is unknown{did_you_mean(key, known)}"
                    for key in (table if isinstance(table, dict) and known else {})
                    if key not in known
                )

    def member_map(self) -> MemberMap | None:
        member, club = self._section("member"), self._section("club")
        licence = self._section("licence")
        key = self._needed("member", member, "key")
        last_name = self._needed("member", member, "last_name")
        email = self._needed("member", member, "email")
        self._check_licence(club, licence)
        roles = tuple(self._roles(has_club="number" in club))
        first_name = self._place("member.first_name", member.get("first_name"))
        lang = self._place("member.lang", member.get("lang"), known=LANGS)
        active = self._place("member.active", member.get("active"), known=("true", "false"))
        season = self._place("licence.season", licence.get("season"))
        kind = self._place("licence.kind", licence.get("kind"), known=KINDS)
        number, club_name, departement, departement_name = (
            self._place(f"club.{name}", club.get(name)) for name in _SECTIONS["club"]
        )
        committees, file, max_bad = self._committees(), self._file(), self._max_bad()
        if key is None or last_name is None or email is None:
            return None
        return MemberMap(
            key=key,
            last_name=last_name,
            email=email,
            first_name=first_name,
            lang=lang,
            active=active,
            club=number,
            club_name=club_name,
            departement=departement,
            departement_name=departement_name,
            season=season,
            kind=kind,
            roles=roles,
            committees=committees,
            file=file,
            max_bad=max_bad,
        )

    def _section(self, name: str) -> Table:
        table = self.document.get(name, {})
        if isinstance(table, dict):
            return table
        self.problems.append(f"{name} is no table: write [{name}] above its settings")
        return {}

    def _check_licence(self, club: Table, licence: Table) -> None:
        if club and "number" not in club:
            self.problems.append("[club] number is missing: which column has the club's number?")
        if club and "kind" not in licence:
            self.problems.append(
                "[licence] kind is missing: a column, or one of them for everybody, as in"
                ' kind = { value = "competition" }'
            )
        if licence and not club:
            self.problems.append("[licence] needs [club]: a licence is one of a club")

    def _roles(self, *, has_club: bool) -> Iterator[RolePlaces]:
        tables = self.document.get("role", [])
        if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
            self.problems.append("role is no list of tables: write [[role]] above each")
            return
        for table in tables:
            role = self._needed("role", table, "role")
            committee = self._place("role.committee", table.get("committee"))
            if (committee is None) == (table.get("club") is not True):
                self.problems.append(
                    "[[role]] needs either committee = ..., or club = true for the row's own club"
                )
            elif committee is None and not has_club:
                self.problems.append("[[role]] club = true needs [club] number")
            self._check_words(role, ROLE, "a-z and _")
            self._check_words(committee, COMMITTEE, "a-z, 0-9 and _")
            if role is not None:
                since = self._place("role.since", table.get("since"))
                until = self._place("role.until", table.get("until"))
                yield RolePlaces(role, committee, since, until)

    def _check_words(self, place: Place | None, form: re.Pattern[str], letters: str) -> None:
        """Refuse what the map itself says and the schema does not take."""
        said = [] if place is None else [place.value, *(place.values or {}).values()]
        self.problems.extend(
            f'[[role]] {word!r} cannot be part of an address: write it with {letters}, or ""'
            for word in said
            if word and not form.fullmatch(word)
        )

    def _committees(self) -> dict[str, str]:
        names = {slug: str(name) for slug, name in self._section("committees").items()}
        self.problems.extend(
            f"[committees] {slug!r}: write it with a-z, 0-9 and _"
            for slug in names
            if not COMMITTEE.fullmatch(slug)
        )
        return names

    def _file(self) -> FileSettings:
        table = self._section("file")
        texts: dict[str, str | None] = {}
        for key in ("encoding", "separator", "sheet"):
            text = table.get(key)
            if text is not None and not (isinstance(text, str) and text):
                self.problems.append(f"[file] {key} must be text")
                text = None
            texts[key] = text
        header = table.get("header")
        if header is not None and (type(header) is not int or header < 1):
            self.problems.append("[file] header must be the number of a line, 1 or more")
            header = None
        separator = {"tab": "\t"}.get(texts["separator"] or "", texts["separator"])
        if separator is not None and len(separator) != 1:
            self.problems.append('[file] separator must be one character, or "tab"')
        return FileSettings(texts["encoding"], separator, texts["sheet"], header)

    def _max_bad(self) -> MaxBad:
        said = self.document.get("max_bad", "1 %")
        if type(said) is int and said >= 0:
            return MaxBad(rows=said)
        percent = _MAX_BAD.fullmatch(said) if isinstance(said, str) else None
        if percent is None:
            self.problems.append('max_bad must be a share such as "1 %", or a number of rows')
            return MaxBad()
        return MaxBad(percent=float(percent[1]))

    def _needed(self, section: str, table: Table, key: str) -> Place | None:
        if key not in table:
            self.problems.append(f"[{section}] {key} is missing")
            return None
        return self._place(f"{section}.{key}", table[key])

    def _place(self, name: str, said: object, *, known: tuple[str, ...] = ()) -> Place | None:
        if said is None:
            return None
        if isinstance(said, str):
            return Place(name, column=said)
        if not isinstance(said, dict) or ("column" in said) == ("value" in said):
            self.problems.append(
                f'{name} must name a column, as in "Nom", or be'
                ' { column = "Nom", ... } or { value = ... }'
            )
            return None
        keys = (*_PLACE_KEYS, *_MORE_PLACE_KEYS.get(name, ()))
        self.problems.extend(
            f"{name}: {key} is unknown{did_you_mean(key, keys)}" for key in said if key not in keys
        )
        if "value" in said and "values" in said:
            self.problems.append(f"{name}: values are those of a column, and there is none")
        place = Place(
            name,
            column=str(said["column"]) if "column" in said else None,
            value=_text(said.get("value", "")),
            values=self._values(name, said.get("values")),
            digits=self._digits(name, said.get("digits")),
            formats=self._formats(name, said.get("format")),
        )
        meant = [place.value] if place.column is None else list((place.values or {}).values())
        self.problems.extend(
            f"{name}: {word!r} is none of {', '.join(known)}"
            for word in meant
            if known and word not in known
        )
        return place

    def _values(self, name: str, said: object) -> dict[str, str] | None:
        if said is None:
            return None
        if not isinstance(said, dict) or not said:
            self.problems.append(f'{name}: values must be a table, as in {{ "OUI" = true }}')
            return None
        return {folded(cell): _text(meant) for cell, meant in said.items()}

    def _digits(self, name: str, said: object) -> int | None:
        if said is None:
            return None
        if type(said) is not int or not 1 <= said <= 20:  # noqa: PLR2004 - a licence number
            self.problems.append(f"{name}: digits must be a number from 1 to 20")
            return None
        return said

    def _formats(self, name: str, said: object) -> tuple[str, ...]:
        written = said if isinstance(said, list) else [] if said is None else [said]
        for form in written:
            if not isinstance(form, str) or not _DATE_FORMAT.fullmatch(form):
                self.problems.append(f'{name}: format must be like "DD/MM/YYYY", not {form!r}')
        return tuple(
            re.sub("YYYY|YY|MM|DD", lambda part: _DATE_PARTS[part[0]], form)
            for form in written
            if isinstance(form, str)
        )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
