"""`relais migrate`: up, status, dry-run and new, and files that cannot be applied."""

from __future__ import annotations

import re

import pytest

from tests.edges.cli.site import LISTS, Site

OURS = ["relais/0001_ground", "relais/0002_lists", "relais/0003_mail", "relais/0004_limits"]
NOBODY = {"definition": "news", "severity": "warning", "finding": "its view has no row"}


async def test_up(bare: Site) -> None:
    """Our files come first, then the site's, a line each; again, nothing is left."""
    bare.migration("0001_club.sql", LISTS)

    first = bare.relais("migrate")
    second = bare.relais("migrate", "up", "--json")

    assert first.code == 0
    lines = first.out.splitlines()
    assert lines[: len(OURS)] == [f"applied {name}" for name in OURS]
    assert lines[-2] == "applied site/0001_club"
    assert lines[-1] == f"{len(lines) - 1} migrations applied; nothing is pending."
    assert "warning: list committee_role: rows without a usable address: 1" in first.err
    assert (second.code, second.answer["applied"]) == (0, [])
    assert second.answer["findings"] == [
        {
            "definition": "committee_role",
            "severity": "warning",
            "finding": "rows without a usable address: 1",
        },
        NOBODY,
    ]


def test_status(site: Site) -> None:
    """What is applied and what is pending, in order."""
    site.migration("0002_more.sql", "select 1;")

    ended = site.relais("migrate", "status", "--json")
    human = site.relais("migrate", "status")

    assert ended.code == 0
    assert ended.answer["applied"][: len(OURS)] == OURS
    assert ended.answer["applied"][-1] == "site/0001_club"
    assert ended.answer["pending"] == ["site/0002_more"]
    assert "pending site/0002_more" in human.out.splitlines()


async def test_dry_run(site: Site) -> None:
    """A rehearsal says what would be applied, and leaves nothing."""
    site.migration("0002_more.sql", "create table club.more (id integer);")

    ended = site.relais("migrate", "dry-run")

    assert ended.code == 0
    [file, nothing] = ended.out.splitlines()
    assert re.fullmatch(r"site/0002_more  ok \(\d+ ms, rolled back\)", file)
    assert nothing == "Nothing was changed."
    assert await site.sql("select to_regclass($1)::text as t", "club.more") == [(None,)]
    assert site.relais("migrate", "status", "--json").answer["pending"] == ["site/0002_more"]


REGIONS = """
create view lists.regional as
select case when n <= 4 then 'president' else 'r' || n end as role, 'region_bzh' as region,
       'x' || n || '@free.fr' as email from generate_series(1, 29) n;
select lists.define('lists.regional', '{role}.{region}', '{role}, {region}');
update club.member set committee = 'bureau' where email = 'm1@free.fr';
insert into club.member
select 'r' || n, 'sport', 'x' || n || '@free.fr' from generate_series(1, 12) n;
"""
SHRUNK = """
create or replace view lists.committee_role as
    select role, committee, email, person, may_post from club.member where may_post;
"""


def test_dry_run_shows_the_effect(site: Site) -> None:
    """Addresses that come and go, people who do, and what looks wrong, file by file."""
    site.migration("0002_regions.sql", REGIONS)
    site.migration("0003_shrunk.sql", SHRUNK)

    ended = site.relais("migrate", "dry-run")
    meant = site.relais("migrate", "dry-run", "--yes-shrink", "committee_role")
    answer = site.relais("migrate", "dry-run", "--json").answer

    assert ended.code == 1
    lines = [re.sub(r"\d+ ms", "N ms", line) for line in ended.out.splitlines()]
    assert lines == [
        "site/0002_regions  ok (N ms, rolled back)",
        "  + 13 addresses  {role}.{committee}  e.g. comite_directeur.bureau (1 person)",
        "  + 26 addresses  {role}.{region}  e.g. president.region_bzh (4 people)",
        "  ~ committee_role  comite_directeur.comite  14 → 13 people",
        "site/0003_shrunk  ok (N ms, rolled back)",
        "  - 13 addresses  {role}.{committee}  e.g. comite_directeur.bureau (1 person)",
        "  ~ committee_role  comite_directeur.comite  13 → 1 person",
        (
            "  ! list committee_role: 26 → 1 people looks wrong;"
            " use --yes-shrink committee_role if you mean it"
        ),
        "Nothing was changed.",
    ]
    assert meant.code == 0
    assert "  ! list committee_role: 26 → 1 person, as you said" in meant.out.splitlines()
    [first, second] = answer["files"]
    assert first["added"][1] == {
        "definition": "regional",
        "template": "{role}.{region}",
        "addresses": 26,
        "example": "president.region_bzh",
        "people": 4,
    }
    assert isinstance(first["milliseconds"], int)
    assert second["shrunk"] == [{"definition": "committee_role", "before": 26, "after": 1}]
    assert answer["would_apply"] == [first["migration"], second["migration"]]


def test_long_effects_are_cut(site: Site) -> None:
    """Ten changes of a list are enough for a person; scripts get them all."""
    site.migration("0002_regions.sql", REGIONS)
    assert site.relais("migrate").code == 0
    site.migration(
        "0003_more.sql", "insert into club.member select role, committee from club.member;"
    )

    lines = site.relais("migrate", "dry-run").out.splitlines()
    answer = site.relais("migrate", "dry-run", "--json").answer

    assert lines[11] == "  ~ committee_role  and 4 more"
    assert len(lines) == 13
    assert len(answer["files"][0]["resized"]) == 14


def test_changed_options_are_told(site: Site) -> None:
    """An option that is left out is the default again, which nobody would see otherwise."""
    define = (
        "select lists.define('lists.committee_role', '{role}.{committee}', '{role}, {committee}'"
    )
    site.migration("0002_more.sql", f"{define}, footer => 'Bonjour', reply_to => 'list');")
    assert site.relais("migrate").code == 0
    site.migration("0003_less.sql", f"{define}, form => 'announcement');")

    lines = site.relais("migrate", "dry-run").out.splitlines()
    [file] = site.relais("migrate", "dry-run", "--json").answer["files"]

    assert lines[1:4] == [
        "  ~ committee_role  footer: 'Bonjour' \N{RIGHTWARDS ARROW} nothing",
        "  ~ committee_role  form: 'discussion' \N{RIGHTWARDS ARROW} 'announcement'",
        "  ~ committee_role  reply_to: 'list' \N{RIGHTWARDS ARROW} 'author'",
    ]
    assert file["options"][0] == {
        "definition": "committee_role",
        "option": "footer",
        "before": "Bonjour",
        "after": None,
    }


def test_a_great_loss_must_be_meant(site: Site) -> None:
    """Up refuses it, until it is named."""
    site.migration("0002_shrunk.sql", SHRUNK)

    refused = site.relais("migrate")
    misspelt = site.relais("migrate", "--yes-shrink", "comite")
    meant = site.relais("migrate", "up", "--yes-shrink", "committee_role")

    assert (refused.code, refused.out) == (1, "")
    assert refused.err.strip() == (
        "site/0002_shrunk.sql: list committee_role: 14 → 1 people looks wrong;"
        " use --yes-shrink committee_role if you mean it"
    )
    assert misspelt.code == 1
    assert misspelt.err.startswith("--yes-shrink comite: no list is defined under this name;")
    assert meant.code == 0
    assert "applied site/0002_shrunk" in meant.out


def test_dry_run_of_a_first_migration(bare: Site) -> None:
    """An empty database has nothing to compare with, and is empty afterwards."""
    bare.migration("0001_club.sql", LISTS)

    ended = bare.relais("migrate", "dry-run")

    assert ended.code == 0
    assert ended.out.splitlines()[-3:-1] == [
        "  + 1 address  {role}.{committee}  e.g. comite_directeur.comite (14 people)",
        "  + 1 address  nouvelles  e.g. nouvelles (0 people)",
    ]
    assert bare.relais("migrate", "status", "--json").answer["applied"] == []


def test_a_misspelt_option(site: Site) -> None:
    """What PostgreSQL says, what was meant, and what there is."""
    site.migration("0002_x.sql", "select lists.define('lists.news', 'x', titel => 'X');")

    ended = site.relais("migrate")

    assert ended.code == 1
    said, meant, options, *more = ended.err.splitlines()
    assert said.startswith("site/0002_x.sql, line 1: function lists.define(unknown, unknown,")
    assert meant == "lists.define has no option titel: did you mean title?"
    assert options.startswith("Its options are: view, address, title, why, post,")
    assert more == []


def test_dry_run_finds_errors(site: Site) -> None:
    """Two definitions that give one address are a problem before it is too late."""
    site.migration(
        "0002_twice.sql",
        "create view lists.twice as select 'nouvelles' as x, 'a@example.org' as email;"
        "select lists.define(view => 'lists.twice', address => '{x}', title => 'x');"
        "insert into lists.manual (list, email) values ('nouvelles', 'b@example.org');",
    )

    ended = site.relais("migrate", "dry-run", "--json")
    really = site.relais("migrate", "up")

    assert ended.code == 1
    assert [f["severity"] for f in ended.answer["findings"] if "twice" in f["finding"]] == ["error"]
    assert really.code == 1
    assert "nouvelles is also an address of" in really.err
    assert site.relais("migrate", "status", "--json").answer["pending"] == ["site/0002_twice"]


def test_new(site: Site) -> None:
    """A new file gets the next number, and is pending."""
    ended = site.relais("migrate", "new", "Comités régionaux")

    assert ended.code == 0
    assert ended.out.strip() == str(site.folder / "migrations" / "0002_comites_regionaux.sql")
    pending = site.relais("migrate", "status", "--json").answer["pending"]
    assert pending == ["site/0002_comites_regionaux"]


def test_new_without_a_folder(bare: Site) -> None:
    """A site without migrations of its own is told how to have some."""
    bare.configured('migrations = ["migrations"]', "")

    ended = bare.relais("migrate", "new", "x")

    assert ended.code == 1
    assert "[site]" in ended.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "-- a reason\n\nselect 1;\nselekt 2;\n",
            'site/0002_broken.sql, line 4: syntax error at or near "selekt"',
        ),
        (
            "select 'é', 1;\ncreate view lists.x as\nselect nome from club.member;\n",
            'site/0002_broken.sql, line 3: column "nome" does not exist',
        ),
        (
            (
                "create view lists.x as select 1 as one;\n"
                "select lists.define(view => 'lists.x', address => 'x', title => 'X');\n"
            ),
            "site/0002_broken.sql: list x: lists.x has no column email; its columns are: one",
        ),
    ],
    ids=["syntax", "column after an accent", "no column email"],
)
def test_broken(site: Site, text: str, said: str) -> None:
    """What PostgreSQL refuses is named with its file, and its line where one is known."""
    site.migration("0002_broken.sql", text)
    site.migration("0003_after.sql", "select 1;")

    ended = site.relais("migrate", "up")
    as_json = site.relais("migrate", "up", "--json")

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(said)
    assert as_json.answer["error"].startswith(said)
    pending = site.relais("migrate", "status", "--json").answer["pending"]
    assert pending == ["site/0002_broken", "site/0003_after"]


def test_files_before_a_broken_one_stay(site: Site) -> None:
    """Each file is a transaction of its own."""
    site.migration("0002_good.sql", "create table club.good (id integer);")
    site.migration("0003_broken.sql", "selekt;")

    ended = site.relais("migrate", "up")

    assert ended.code == 1
    assert ended.out.splitlines() == ["applied site/0002_good"]
    assert site.relais("migrate", "status", "--json").answer["pending"] == ["site/0003_broken"]


def test_drift(site: Site) -> None:
    """A file that was edited after it was applied is refused."""
    site.migration("0001_club.sql", LISTS + "-- edited\n")

    for verb in ("up", "status", "dry-run"):
        ended = site.relais("migrate", verb)
        assert ended.code == 1, verb
        assert ended.err.startswith("site/0001_club was edited after it was applied"), verb
