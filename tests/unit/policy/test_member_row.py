"""Rows of a member file: what they say, what is mended, and what is wrong."""

from __future__ import annotations

import tomllib
from datetime import date
from typing import Any

import pytest

from worker.policy.member_map import read_map
from worker.policy.member_row import (
    HeldRole,
    Judged,
    Remark,
    RowJudge,
    date_in_name,
    mended,
    read_date,
)

MAP = """
[member]
key = { column = "Licence", digits = 6 }
last_name = "Nom"
first_name = "Prénom"
email = "Courriel"
lang = { column = "Langue", values = { "F" = "fr", "GB" = "en", "" = "fr" } }
active = "Actif"
[club]
number = "Club"
name = "Nom du club"
departement = "Dép"
[licence]
season = "Saison"
kind = { column = "Type", values = { "C" = "competition", "*" = "loisir" } }
[[role]]
role = { column = "Pdt", values = { "OUI" = "president", "" = "" } }
club = true
[[role]]
role = "Fonction"
committee = { column = "Commission", values = { "CA" = "comite", "" = "", "Jeunes" = "jeune" } }
since = { column = "Depuis", format = "DD/MM/YY" }
until = "Fin"
[committees]
comite = "Comité"
"""
ROW = {
    "Licence": "012345",
    "Nom": "Lefèvre",
    "Prénom": "Zoé",
    "Courriel": "zoe@orange.example",
    "Langue": "F",
    "Actif": "OUI",
    "Club": "0440012",
    "Nom du club": "Étoile",
    "Dép": "44",
    "Saison": "2026-2027",
    "Type": "C",
    "Pdt": "",
    "Fonction": "",
    "Commission": "",
    "Depuis": "",
    "Fin": "",
}
TODAY = date(2026, 11, 12)


def judge(cells: dict[str, str], more: tuple[str, ...] = ()) -> Judged:
    """Judge the usual row with *cells* in it, and *more* behind it."""
    member_map = read_map(tomllib.loads(MAP))
    row = RowJudge(
        member_map, tuple(ROW), exported_on=TODAY, season="2026-2027", committees=("jeunes",)
    )
    return row.judge(7, [*(ROW | cells).values(), *more])


def test_a_row() -> None:
    """All of it is taken."""
    judged = judge({})

    assert judged.problem is None
    assert judged.noticed == ()
    row: Any = judged.row
    assert {name: getattr(row, name) for name in row.__slots__} == {
        "line": 7,
        "key": "012345",
        "first_name": "Zoé",
        "last_name": "Lefèvre",
        "email": "zoe@orange.example",
        "lang": "fr",
        "active": True,
        "club": "0440012",
        "club_name": "Étoile",
        "departement": "44",
        "departement_name": None,
        "season": "2026-2027",
        "kind": "competition",
        "roles": (),
    }


TAKEN: dict[str, tuple[dict[str, str], str, object]] = {
    "key of a spreadsheet": ({"Licence": "12345.0"}, "key", "012345"),
    "key without its zeros": ({"Licence": "12345"}, "key", "012345"),
    "key with letters": ({"Licence": " a 12 "}, "key", "a 12"),
    "club without its zeros": ({"Club": "440012"}, "club", "0440012"),
    "club of a spreadsheet": ({"Club": "440012.0"}, "club", "0440012"),
    "club in groups": ({"Club": "04 40 012"}, "club", "0440012"),
    "name over two lines": ({"Nom": "de la\n Tour "}, "last_name", "de la Tour"),
    "name with what is not seen": ({"Nom": "Mar\u200btin"}, "last_name", "Martin"),
    "no first name": ({"Prénom": ""}, "first_name", ""),
    "language": ({"Langue": "gb"}, "lang", "en"),
    "no language": ({"Langue": ""}, "lang", "fr"),
    "not active": ({"Actif": "non"}, "active", False),
    "anything else": ({"Type": "Handisport"}, "kind", "loisir"),
    "season with a stroke": ({"Saison": "2026/2027"}, "season", "2026-2027"),
    "short season": ({"Saison": "2026-27"}, "season", "2026-2027"),
    "no season": ({"Saison": ""}, "season", "2026-2027"),
    "département of one digit": ({"Dép": "1"}, "departement", "01"),
    "département of three": ({"Dép": "035"}, "departement", "35"),
    "overseas": ({"Dép": "974"}, "departement", "974"),
    "south of Corsica": ({"Dép": "2A"}, "departement", "2a"),
    "postcode": ({"Dép": "35400"}, "departement", "35"),
    "postcode overseas": ({"Dép": "97400"}, "departement", "974"),
    "postcode of Ajaccio": ({"Dép": "20090"}, "departement", "2a"),
    "postcode of Bastia": ({"Dép": "20600"}, "departement", "2b"),
    "no département": ({"Dép": ""}, "departement", None),
    "role in the club": ({"Pdt": "oui"}, "roles", (HeldRole("president", None, "0440012", None),)),
    "role in a committee": (
        {"Fonction": "membre", "Commission": "ca", "Depuis": "01/09/24"},
        "roles",
        (HeldRole("membre", "comite", None, date(2024, 9, 1)),),
    ),
    "role from a spreadsheet's date": (
        {"Fonction": "membre", "Commission": "CA", "Depuis": "2024-09-01 00:00:00"},
        "roles",
        (HeldRole("membre", "comite", None, date(2024, 9, 1)),),
    ),
    "role that has ended": (
        {"Fonction": "membre", "Commission": "CA", "Fin": "12/11/2026"},
        "roles",
        (),
    ),
    "role that ends later": (
        {"Fonction": "membre", "Commission": "CA", "Fin": "13/11/2026"},
        "roles",
        (HeldRole("membre", "comite", None, None),),
    ),
}


@pytest.mark.parametrize(("cells", "name", "value"), TAKEN.values(), ids=TAKEN)
def test_taken(cells: dict[str, str], name: str, value: object) -> None:
    """What a cell means."""
    judged = judge(cells)

    assert judged.problem is None
    assert getattr(judged.row, name) == value


WRONG = {
    "no key": ({"Licence": " "}, None, "no Licence"),
    "key that a spreadsheet shortened": (
        {"Licence": "1,23457E+11"},
        None,
        "1,23457E+11: a spreadsheet has shortened it; export it as text",
    ),
    "no name": ({"Nom": "", "Prénom": ""}, "012345", "no name"),
    "activity": (
        {"Actif": "peut-être"},
        "012345",
        'Actif "peut-être" is neither yes nor no: write it in values',
    ),
    "language": ({"Langue": "D"}, "012345", 'Langue "D" is not among its values'),
    "club of eight digits": (
        {"Club": "12345678"},
        "012345",
        'club "12345678" is no number of 7 digits',
    ),
    "club by name": ({"Club": "Étoile"}, "012345", 'club "Étoile" is no number of 7 digits'),
    "season": (
        {"Saison": "2026"},
        "012345",
        'unknown season "2026": it must be like 2026-2027',
    ),
    "season of two years": (
        {"Saison": "2026-2028"},
        "012345",
        'unknown season "2026-2028": it must be like 2026-2027',
    ),
    "département": ({"Dép": "Loire"}, "012345", 'unknown département "loire"'),
    "value of a role": ({"Pdt": "?"}, "012345", 'Pdt "?" is not among its values'),
    "role": (
        {"Fonction": "Présidente", "Commission": "CA"},
        "012345",
        'unknown role "Présidente": write it in values',
    ),
    "committee": (
        {"Fonction": "membre", "Commission": "Jeunes"},
        "012345",
        'unknown committee "jeune": did you mean jeunes?',
    ),
    "no committee": ({"Fonction": "membre"}, "012345", "role membre, but no committee"),
    "no club": ({"Club": "", "Pdt": "OUI"}, "012345", "role president, but no club"),
    "date": (
        {"Fonction": "membre", "Commission": "CA", "Depuis": "hier"},
        "012345",
        'Depuis "hier" is no date: name its format in the map',
    ),
    "two problems": (
        {"Saison": "x", "Dép": "y"},
        "012345",
        'unknown département "y"; unknown season "x": it must be like 2026-2027',
    ),
}


@pytest.mark.parametrize(("cells", "key", "text"), WRONG.values(), ids=WRONG)
def test_wrong(cells: dict[str, str], key: str | None, text: str) -> None:
    """A row with a problem is left out, and its member known where that can be."""
    judged = judge(cells)

    assert judged.row is None
    assert judged.problem is not None
    assert (judged.problem.line, judged.problem.key, judged.problem.text) == (7, key, text)


def test_cells_without_a_column() -> None:
    """A separator within a value moves all the cells behind it; empty ones do no harm."""
    assert judge({}, ("", " ")).problem is None
    problem = judge({}, ("x",)).problem
    assert problem is not None
    assert problem.text == "17 cells, but 16 columns: a separator too many?"


def test_a_short_row() -> None:
    """Some spreadsheets leave empty cells out at the end."""
    member_map = read_map(tomllib.loads(MAP))
    row = RowJudge(member_map, tuple(ROW), exported_on=TODAY, season="", committees=())
    judged = row.judge(3, list(ROW.values())[:11])

    assert judged.row is not None
    assert [(n.remark, n.text) for n in judged.noticed] == [(Remark.SHORT, "11 of 16")]


def test_a_member_without_a_club() -> None:
    """Is taken, has no licence, and that is told."""
    judged = judge({"Club": ""})

    assert judged.row is not None
    assert (judged.row.club, judged.row.season, judged.row.kind) == (None, None, None)
    assert [n.remark for n in judged.noticed] == [Remark.NO_CLUB]


ADDRESSES = {
    "usable": ("a@b.example", "a@b.example", None),
    "empty": ("", None, None),
    "blank": (" \u00a0", None, None),
    "capitals stay": ("Jean.Dupont@Orange.Example", "Jean.Dupont@Orange.Example", None),
    "spaces around": (" a@b.example\t", "a@b.example", Remark.MENDED),
    "space that is not seen": ("a@b.example\u200b", "a@b.example", Remark.MENDED),
    "mailto": ("MailTo:a@b.example", "a@b.example", Remark.MENDED),
    "dot behind": ("a@b.example.", "a@b.example", Remark.MENDED),
    "semicolon behind": ("a@b.example;", "a@b.example", Remark.MENDED),
    "with a name": ("Jean <a@b.example>", "a@b.example", Remark.MENDED),
    "two": ("a@b.example; c@d.example", "a@b.example", Remark.SEVERAL),
    "two with or": ("a@b.example ou c@d.example", "a@b.example", Remark.SEVERAL),
    "two with a space": ("a@b.example c@d.example", "a@b.example", Remark.SEVERAL),
    "two with a stroke": ("a@b.example/c@d.example", "a@b.example", Remark.SEVERAL),
    "first of two not usable": ("a@b, c@d.example", "c@d.example", Remark.SEVERAL),
    "a slip in the first of two": ("le goff@b.example, c@d.example", "c@d.example", Remark.SEVERAL),
    "a slip that may be a separator": ("yann.le goff@b.example", None, Remark.UNUSABLE),
    "comma for a dot": ("chloe,petit@b.example", None, Remark.UNUSABLE),
    "accent": ("héloïse@b.example", None, Remark.UNUSABLE),
    "two at signs": ("a@@b.example", None, Remark.UNUSABLE),
    "no domain": ("a@b", None, Remark.UNUSABLE),
    "a word": ("néant", None, Remark.UNUSABLE),
}


@pytest.mark.parametrize(("written", "address", "remark"), ADDRESSES.values(), ids=ADDRESSES)
def test_mended(written: str, address: str | None, remark: Remark | None) -> None:
    """Only what is certain is mended, and told."""
    assert mended(written) == (address, remark)


NAMES = {
    "licences-2026-11-12.csv": date(2026, 11, 12),
    "licences_12-11-2026.xlsx": date(2026, 11, 12),
    "20261112_0830_export.csv": date(2026, 11, 12),
    "export.2026.11.12.csv": date(2026, 11, 12),
    "saison-2026-09-01-au-2026-11-12.csv": date(2026, 11, 12),
    "licences-2026-2027.csv": None,
    "club-0440012.csv": None,
    "2026-13-45.csv": None,
    "120261112.csv": None,
    "licences.csv": None,
}


@pytest.mark.parametrize(("name", "day"), NAMES.items(), ids=NAMES)
def test_date_in_name(name: str, day: date | None) -> None:
    """Of several dates the last one; of digits that are none, nothing."""
    assert date_in_name(name) == day


def test_read_date() -> None:
    """A spreadsheet's dates are understood under every format."""
    assert read_date("01.09.2024", ("%d.%m.%Y",)) == date(2024, 9, 1)
    assert read_date("2024-09-01", ("%d.%m.%Y",)) == date(2024, 9, 1)
    assert read_date("01 09 2024", ("%d %m %Y",)) == date(2024, 9, 1)
    assert read_date("31.02.2024", ("%d.%m.%Y",)) is None
