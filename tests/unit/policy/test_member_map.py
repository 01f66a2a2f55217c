"""Maps of member files: what they may say, and how a wrong one is told."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from worker.errors import ConfigError
from worker.policy.member_map import MaxBad, did_you_mean, read_map

EXAMPLE = Path(__file__).parents[3] / "migrations" / "site" / "map.toml"
LEAST = '[member]\nkey = "N°"\nlast_name = "Nom"\nemail = "Courriel"\n'
CLUB = '[club]\nnumber = "Club"\n[licence]\nkind = { value = "loisir" }\n'

WRONG = {
    "section": ("[membre]\n", "membre is unknown: did you mean member?"),
    "setting": (
        LEAST + 'first_nam = "Prénom"\n',
        "[member] first_nam is unknown: did you mean first_name?",
    ),
    "setting far from any": (LEAST + 'x = "y"\n', "[member] x is unknown; known are key, "),
    "place": (
        LEAST + 'lang = { colum = "Langue" }\n',
        'member.lang must name a column, as in "Nom"',
    ),
    "place with more": (
        LEAST + 'lang = { column = "Langue", vales = {} }\n',
        "member.lang: vales is unknown: did you mean values?",
    ),
    "digits of what is no key": (
        LEAST + 'lang = { column = "Langue", digits = 3 }\n',
        "member.lang: digits is unknown",
    ),
    "column and constant": (
        LEAST + 'lang = { column = "Langue", value = "fr" }\n',
        "member.lang must name a column",
    ),
    "values of a constant": (
        LEAST + 'lang = { value = "fr", values = { "x" = "fr" } }\n',
        "member.lang: values are those of a column, and there is none",
    ),
    "no e-mail": ('[member]\nkey = "N°"\nlast_name = "Nom"\n', "[member] email is missing"),
    "language that is none": (
        LEAST + 'lang = { column = "L", values = { "D" = "de" } }\n',
        "member.lang: 'de' is none of fr, en",
    ),
    "activity that is none": (
        LEAST + 'active = { column = "A", values = { "D" = "perhaps" } }\n',
        "member.active: 'perhaps' is none of true, false",
    ),
    "kind that is none": (
        LEAST + '[club]\nnumber = "Club"\n[licence]\nkind = { value = "jeune" }\n',
        "licence.kind: 'jeune' is none of competition, loisir, dirigeant",
    ),
    "club without a kind of licence": (
        LEAST + '[club]\nnumber = "Club"\n',
        "[licence] kind is missing",
    ),
    "licence without a club": (
        LEAST + '[licence]\nkind = { value = "loisir" }\n',
        "[licence] needs [club]",
    ),
    "role nowhere": (
        LEAST + '[[role]]\nrole = { value = "president" }\n',
        "[[role]] needs either committee = ..., or club = true",
    ),
    "role in a club that is not mapped": (
        LEAST + '[[role]]\nrole = { value = "president" }\nclub = true\n',
        "[[role]] club = true needs [club] number",
    ),
    "role that is no part of an address": (
        LEAST + CLUB + '[[role]]\nrole = { value = "Président" }\nclub = true\n',
        "[[role]] 'Président' cannot be part of an address: write it with a-z and _",
    ),
    "role as one table": (LEAST + '[role]\nrole = "x"\n', "role is no list of tables"),
    "committee that is no part of an address": (
        LEAST + '[committees]\n"Comité" = "Comité"\n',
        "[committees] 'Comité': write it with a-z, 0-9 and _",
    ),
    "date format": (
        LEAST + CLUB + '[[role]]\nrole="R"\nclub=true\nsince={column="D", format="%d/%m"}\n',
        "role.since: format must be like \"DD/MM/YYYY\", not '%d/%m'",
    ),
    "share": ('max_bad = "many"\n' + LEAST, 'max_bad must be a share such as "1 %"'),
    "separator": (LEAST + '[file]\nseparator = ";;"\n', "[file] separator must be one character"),
    "header": (LEAST + "[file]\nheader = 0\n", "[file] header must be the number of a line"),
    "no table": ('member = "x"\n', "member is no table: write [member] above its settings"),
}


@pytest.mark.parametrize(("text", "problem"), WRONG.values(), ids=WRONG)
def test_wrong(text: str, problem: str) -> None:
    """Every mistake says what to write instead."""
    with pytest.raises(ConfigError) as wrong:
        read_map(tomllib.loads(text))

    assert any(told.startswith(problem) for told in wrong.value.problems), wrong.value.problems


def test_all_problems_at_once() -> None:
    """Nobody mends a map one message at a time."""
    with pytest.raises(ConfigError) as wrong:
        read_map(tomllib.loads('max_bad = "x"\n[member]\nkey = "N°"\n[klub]\nnumber = "x"\n'))

    assert len(wrong.value.problems) == 4


def test_the_example_is_right() -> None:
    """The map beside the sample schema, to copy from."""
    found = read_map(tomllib.loads(EXAMPLE.read_text(encoding="utf-8")))

    assert found.columns() == [
        *("N° licence", "Nom", "Courriel", "Prénom", "Validité", "N° club", "Nom du club"),
        *("Code postal du club", "Saison", "Type", "Président", "Fonction", "Commission"),
        "Depuis",
    ]
    assert found.roles[1].since is not None
    assert found.roles[1].since.formats == ("%d/%m/%Y",)
    assert found.committees["arbitrage"] == "Commission d'arbitrage"
    assert str(found.max_bad) == "1 %"


ALLOWED = {
    "1 % of 100": (MaxBad(), 1, 100, True),
    "more than 1 %": (MaxBad(), 2, 100, False),
    "none of a small file": (MaxBad(), 1, 99, False),
    "a number": (MaxBad(rows=3), 3, 4, True),
    "more than the number": (MaxBad(rows=3), 4, 400, False),
    "zero": (MaxBad(percent=0), 0, 5, True),
}


@pytest.mark.parametrize(("limit", "bad", "rows", "allowed"), ALLOWED.values(), ids=ALLOWED)
def test_max_bad(limit: MaxBad, bad: int, rows: int, *, allowed: bool) -> None:
    """A share of the rows, or a number of them."""
    assert limit.allows(bad, rows) is allowed


def test_did_you_mean() -> None:
    """Accents and capitals are what is mistyped."""
    assert did_you_mean("PRENOM", ["Nom", "Prénom"]) == ": did you mean Prénom?"
    assert did_you_mean("x", ["Nom", "Prénom"]) == "; known are Nom, Prénom"


def test_the_page_shows_a_right_map() -> None:
    """What docs/member-file.md has to copy from."""
    page = (EXAMPLE.parents[2] / "docs" / "member-file.md").read_text(encoding="utf-8")
    _, _, rest = page.partition("```toml\n")

    assert read_map(tomllib.loads(rest.partition("```")[0])).key.digits == 7
