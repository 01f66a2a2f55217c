"""`relais migrate`: up, status, dry-run and new, and files that cannot be applied."""

from __future__ import annotations

import pytest

from tests.edges.cli.site import LISTS, Site

OURS = ["relais/0001_ground", "relais/0002_lists", "relais/0003_mail", "relais/0004_limits"]


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
        }
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
    assert ended.out.splitlines() == ["would apply site/0002_more", "Nothing was changed."]
    assert await site.sql("select to_regclass($1)::text as t", "club.more") == [(None,)]
    assert site.relais("migrate", "status", "--json").answer["pending"] == ["site/0002_more"]


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
