"""`relais members import`: what a person types, and what they see."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import openpyxl
import pytest
import pytest_asyncio

from tests.edges.cli.forge import REPOSITORY
from tests.edges.cli.site import Site
from tests.edges.national_file import COLUMNS, as_csv, people, person
from worker.store import members
from worker.store.migrations import Track, shipped_track, up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from pathlib import Path

    from tests.edges.cli.site import Finished
    from tests.servers.postgres import Database

SAMPLE = REPOSITORY / "migrations" / "site"
FILE = "licences-2026-09-12.csv"


@pytest_asyncio.fixture
async def site(database: Database, tmp_path: Path) -> Site:
    """A site with member tables, nobody in them, and a map."""
    site = Site.made(tmp_path, database)
    for path in SAMPLE.glob("*.sql"):
        shutil.copy(path, tmp_path / "migrations")
    shutil.copy(SAMPLE / "map.toml", tmp_path)
    await up(site.admin_url, [shipped_track(), Track("site", tmp_path / "migrations")])
    return site


def imported(
    site: Site,
    rows: Iterable[Mapping[str, str]],
    *options: str,
    name: str = FILE,
    codec: str = "cp1252",
) -> Finished:
    """Import a file with *rows*."""
    (site.folder / name).write_bytes(as_csv(rows).encode(codec))
    return site.relais("members", "import", name, "--map", "map.toml", *options)


async def test_a_federation(site: Site) -> None:
    """Five thousand members: looked at, imported, imported again, asked for."""
    rows = list(people(range(5000)))
    dry = imported(site, rows, "--dry-run")
    nobody = await site.sql("select count(*) from club.member where $1", True)  # noqa: FBT003
    done = imported(site, rows)
    again = imported(site, rows)

    assert (dry.code, dry.err, nobody[0][0]) == (0, "", 0)
    assert dry.out.splitlines() == [
        (
            "File  licences-2026-09-12.csv: Windows-1252 (Lefèvre, Hélène, Étoile), separator ;,"
            " header on line 1"
        ),
        "Date  12 September 2026, from the file's name",
        "Rows  5000: 5000 taken, 0 left out",
        "+ 5000 people, ~ 0 changed, - 0 gone; 0 unchanged; clubs: + 100, ~ 0",
        "  + 0000000 Hélène Lefèvre",
        "  + 0000001 Hélène Martin",
        "  + 0000002 Hélène Guérin",
        "Nothing was changed.",
    ]
    assert (done.code, done.out.splitlines()) == (0, dry.out.splitlines()[:-1])
    assert again.out.splitlines()[3:] == ["+ 0 people, ~ 0 changed, - 0 gone; 5000 unchanged"]
    entries = site.relais("lists", "--json").answer["lists"]
    sizes = {entry["address"].partition("@")[0]: entry["recipients"] for entry in entries}
    assert sizes["tous"] == 5000
    assert sizes["presidents.44"] == 100


def test_a_week_later(site: Site) -> None:
    """Who came, who changed and who is gone, with examples; remarks with their lines."""
    imported(site, people(range(100)))
    rows = [person(n) for n in range(96)] + [person(n) for n in range(100, 105)]
    rows[0]["Courriel"] = " mailto:new@free.example"
    rows[1]["Courriel"] = "pere@free.example; mere@free.example"
    rows[2]["Courriel"] = "yann.le goff@orange.example"
    rows[3]["N° club"] = "440001.0"

    ended = imported(site, rows, name="licences-2026-09-19.csv")

    assert ended.code == 0
    assert ended.out.splitlines()[2:] == [
        "Rows  101: 101 taken, 0 left out",
        (
            "4 remarks: 1 address mended; 1 several addresses, the first usable one taken;"
            " 1 address not usable, left empty;"
            " 1 a club by several names or départements, the commonest taken"
        ),
        '  line 2: address mended: "mailto:new@free.example"',
        (
            "  line 3: several addresses, the first usable one taken:"
            ' "pere@free.example; mere@free.example"'
        ),
        '  line 4: address not usable, left empty: "yann.le goff@orange.example"',
        "  line 5: a club by several names or départements, the commonest taken: 0440001",
        "+ 5 people, ~ 4 changed (3 email, 1 club), - 4 gone; 92 unchanged; clubs: + 1, ~ 0",
        "  + 0000100 Zoé Dupont",
        "  + 0000101 Zoé Bérénger",
        "  + 0000102 Zoé Lefèvre",
        "  ~ 0000000 Hélène Lefèvre: email",
        "  ~ 0000001 Hélène Martin: email",
        "  ~ 0000002 Hélène Guérin: email",
        "  - 0000096 François Lefèvre",
        "  - 0000097 François Martin",
        "  - 0000098 Zoé Guérin",
    ]


def test_bad_rows(site: Site) -> None:
    """Are listed with their lines, twenty of them, and refuse the file when they are many."""
    rows = [person(n, Type="Handisport" if n % 4 == 0 else "Loisir") for n in range(160)]
    rows[1]["N° licence"] = ""

    ended = imported(site, rows)
    as_json = imported(site, rows, "--json")

    assert ended.code == 1
    lines = ended.out.splitlines()
    assert lines[2:6] == [
        "Rows  160: 119 taken, 41 left out",
        "41 rows left out:",
        '  line 2: Type "Handisport" is not among its values',
        "  line 3: no N° licence",
    ]
    assert lines[-2:] == ["  and 21 more; --json shows them", "Nothing was changed."]
    assert ended.err == (
        "Refused: 41 of 160 rows are wrong, and at most 1 % may be:"
        " mend the file or the map, or raise max_bad in it.\n"
    )
    assert as_json.code == 1
    assert as_json.answer["error"].startswith("41 of 160 rows are wrong")
    assert len(as_json.answer["problems"]) == 41
    assert as_json.answer["problems"][1] == {"line": 3, "problem": "no N° licence"}


def test_some_bad_rows_may_be(site: Site) -> None:
    """What is left out is counted and told, and the others are imported."""
    rows = [person(n) for n in range(200)]
    rows[7]["Saison"] = "2026"

    ended = imported(site, rows, "--json")

    answer = ended.answer
    assert ended.code == 0
    assert (answer["imported"], answer["rows"], answer["left_out"]) == (True, 200, 1)
    assert answer["added"] == 199
    assert answer["problems"] == [
        {"line": 9, "problem": 'unknown season "2026": it must be like 2026-2027'}
    ]


async def test_half_a_file(site: Site) -> None:
    """Is refused with the numbers, unless it is meant."""
    imported(site, people(range(200)))
    half = imported(site, people(range(80)), name="licences-2026-09-20.csv")
    looked = imported(site, people(range(80)), "--dry-run", "--yes-shrink")
    still = await site.sql("select count(*) from club.member where active = $1", True)  # noqa: FBT003
    meant = imported(site, people(range(80)), "--yes-shrink", name="licences-2026-09-20.csv")
    back = imported(site, people(range(200)), "--json", name="licences-2026-09-21.csv")

    assert half.code == 1
    assert half.err == (
        "Refused: 120 of 200 active members would be gone;"
        " 50 of 50 members of club 0440002 (Étoile n° 2) would be gone;"
        " 50 of 50 members of club 0440003 (Étoile n° 3) would be gone."
        " If that is what is meant, add --yes-shrink.\n"
    )
    assert "+ 0 people, ~ 0 changed, - 120 gone; 80 unchanged" in half.out
    assert (looked.code, still[0][0]) == (0, 200)
    assert (meant.code, back.answer["back"], back.answer["added"]) == (0, 120, 0)


DATES = {
    "the option": (("--date", "2026-09-30"), FILE, "30 September 2026, from --date"),
    "the name": ((), "12-09-2026.csv", "12 September 2026, from the file's name"),
    "a day to come": ((), "2099-01-01.csv", "5 January 2026, from when the file was last changed"),
    "no name": ((), "licences.csv", "5 January 2026, from when the file was last changed"),
}


@pytest.mark.parametrize(("options", "name", "said"), DATES.values(), ids=DATES)
async def test_the_date_of_the_file(
    site: Site, options: tuple[str, ...], name: str, said: str
) -> None:
    """It is kept, and told with where it is from."""
    path = site.folder / name
    path.write_text(as_csv(people(range(3))), encoding="utf-8")
    os.utime(path, (1767614400, 1767614400))

    ended = site.relais("members", "import", name, "--map", "map.toml", *options)

    assert f"Date  {said}" in ended.out.splitlines()
    row = await site.sql("select * from club.import where file_name = $1", name)
    assert f"{row[0]['exported_on']:%Y-%m-%d}" in {"2026-09-30", "2026-09-12", "2026-01-05"}
    assert (row[0]["rows"], row[0]["added"], row[0]["left_out"]) == (3, 3, 0)
    assert len(row[0]["sha256"]) == 32
    assert row[0]["imported_by"]


def test_an_older_file(site: Site) -> None:
    """Is warned of: it takes back what a younger one had brought."""
    imported(site, people(range(3)))
    ended = imported(site, people(range(3)), name="licences-2026-09-01.csv")

    assert ended.code == 0
    assert ended.err == (
        "warning: licences-2026-09-12.csv, which was imported before this one, is younger:"
        " of 12 September 2026\n"
    )


USAGE = {
    "no such file": (["nothing.csv", "--map", "map.toml"], "nothing.csv is no file"),
    "no such map": ([FILE, "--map", "none.toml"], "none.toml cannot be read: No such file"),
    "a wrong day": (
        [FILE, "--map", "map.toml", "--date", "12/11/2026"],
        "--date 12/11/2026: write it as in 2026-11-12",
    ),
    "a day to come": (
        [FILE, "--map", "map.toml", "--date", "2099-01-01"],
        "--date 2099-01-01 is not over yet",
    ),
}


@pytest.mark.parametrize(("arguments", "said"), USAGE.values(), ids=USAGE)
def test_usage(site: Site, arguments: list[str], said: str) -> None:
    """What cannot be asked."""
    (site.folder / FILE).write_text(as_csv(people(range(3))), encoding="utf-8")

    ended = site.relais("members", "import", *arguments)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(said)


def test_a_wrong_map(site: Site) -> None:
    """All that is wrong with it."""
    path = site.folder / "map.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("email =", "mail =").replace("[club]", "[klub]"))

    ended = imported(site, people(range(3)), "--json")

    assert ended.code == 2
    assert "map.toml: klub is unknown: did you mean club?" in ended.answer["problems"]
    assert "map.toml: [member] email is missing" in ended.answer["problems"]


def test_another_file_than_the_map_is_for(site: Site) -> None:
    """The file's columns, and which is like the one that is meant."""
    text = as_csv(people(range(3))).replace("Courriel", "Courriels")
    (site.folder / FILE).write_text(text, encoding="utf-8")

    ended = site.relais("members", "import", FILE, "--map", "map.toml")

    assert (ended.code, ended.out) == (1, "")
    columns = ", ".join(COLUMNS).replace("Courriel", "Courriels")
    assert ended.err.splitlines() == [
        f"{FILE}: the file has no column Courriel: did you mean Courriels?",
        f"line 1 (UTF-8, separator ;) has the columns {columns}",
    ]


async def test_a_workbook(site: Site) -> None:
    """With the numbers that a spreadsheet makes of keys, and no cells where nothing is."""
    path = site.folder / "map.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace('key = "N° licence"', 'key = { column = "N° licence", digits = 7 }')
    )
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Licences au 12/09/2026"])
    sheet.append([*COLUMNS])
    for row in people(range(120)):
        cells = [row[column] or None for column in COLUMNS]
        sheet.append([float(cells[0] or 0), *cells[1:5], int(cells[5] or 0), *cells[6:]])
    book.save(site.folder / "licences-2026-09-12.xlsx")

    first = site.relais("members", "import", "licences-2026-09-12.xlsx", "--map", "map.toml")
    again = imported(site, people(range(120)))

    assert first.out.splitlines()[:4] == [
        "File  licences-2026-09-12.xlsx: sheet Sheet, header on line 2",
        "Date  12 September 2026, from the file's name",
        "Rows  120: 120 taken, 0 left out",
        "+ 120 people, ~ 0 changed, - 0 gone; 0 unchanged; clubs: + 3, ~ 0",
    ]
    assert again.out.splitlines()[3:] == ["+ 0 people, ~ 0 changed, - 0 gone; 120 unchanged"]


async def test_tables_that_do_not_take_it(site: Site) -> None:
    """A site may have changed them; what PostgreSQL says is told, and nothing is kept."""
    await site.sql("alter table club.member add constraint short check (length(last_name) < 7)")

    ended = imported(site, people(range(120)))

    assert ended.code == 1
    assert ended.err.startswith(f"the member tables do not take {FILE}: new row for relation")
    assert await site.sql("select * from club.club where id > $1", 0) == []


def test_a_file_without_rows(site: Site) -> None:
    """Is no file of members."""
    ended = imported(site, [])

    assert ended.code == 1
    assert "the file has no row below its header on line 1" in ended.err


def test_a_site_without_member_tables(bare: Site) -> None:
    """Is told where they are."""
    shutil.copy(SAMPLE / "map.toml", bare.folder)

    ended = imported(bare, people(range(3)))

    assert ended.code == 1
    assert ended.err.startswith("this database has no tables for a member file: put 0001_club.sql")


@asynccontextmanager
async def another_import(site: Site) -> AsyncIterator[None]:
    """Hold the lock that an import holds."""
    db = await asyncpg.connect(site.admin_url)
    try:
        async with db.transaction():
            assert await members.lock(db)
            yield
    finally:
        await db.close()


async def test_two_at_a_time(site: Site) -> None:
    """The second one says that it waits, and goes on when the first has ended."""
    async with another_import(site):
        waiting = asyncio.create_task(asyncio.to_thread(imported, site, people(range(3))))
        db = await asyncpg.connect(site.admin_url)
        asks = "select count(*) from pg_stat_activity where query like '%try_advisory_xact%'"
        while await db.fetchval(f"{asks} and pid <> pg_backend_pid() and state <> 'active'") < 2:
            await asyncio.sleep(0.05)
        await db.close()
        assert not waiting.done()
    ended = await waiting

    assert ended.code == 0
    assert ended.err == "Another import is running; this one waits for its end.\n"
    assert "+ 3 people" in ended.out
