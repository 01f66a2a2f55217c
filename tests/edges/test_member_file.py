"""Member files as spreadsheets and databases write them: encodings, separators, sheets."""

from __future__ import annotations

import zipfile
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import openpyxl
import pytest

from tests.edges.national_file import COLUMNS, as_csv, people, person
from worker.errors import ConfigError
from worker.members.opening import opened, read_map_file, sha256_of
from worker.members.table import MemberFileError
from worker.policy.member_map import FileSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from worker.members.table import Record, Table

WANTED = ("N° licence", "Nom", "Prénom", "Courriel")
PLAIN = FileSettings()


@contextmanager
def table(
    folder: Path, content: bytes, settings: FileSettings = PLAIN, wanted: Sequence[str] = WANTED
) -> Iterator[Table]:
    """Open *content* as a file."""
    path = folder / "file.csv"
    path.write_bytes(content)
    with opened(path, settings, wanted) as found:
        yield found


def read(
    folder: Path, content: bytes, settings: FileSettings = PLAIN, wanted: Sequence[str] = WANTED
) -> list[Record]:
    """Read all rows of *content*."""
    with table(folder, content, settings, wanted) as found:
        return list(found.rows)


def refused(
    folder: Path, content: bytes, settings: FileSettings = PLAIN, wanted: Sequence[str] = WANTED
) -> str:
    """Return why *content* is refused."""
    with pytest.raises(MemberFileError) as refusal:
        read(folder, content, settings, wanted)
    return str(refusal.value)


ENCODINGS = {
    "UTF-8": ("utf-8", "UTF-8"),
    "UTF-8 with a mark": ("utf-8-sig", "UTF-8"),
    "UTF-16": ("utf-16", "UTF-16"),
    "UTF-16 without a mark": ("utf-16-le", "UTF-16"),
    "UTF-16 of a Mac": ("utf-16-be", "UTF-16"),
    "Windows": ("cp1252", "Windows-1252"),
    "Mac": ("mac_roman", "MacRoman"),
    "DOS": ("cp850", "CP850 (DOS)"),
}


@pytest.mark.parametrize("rows", [12, 600])
@pytest.mark.parametrize(("codec", "name"), ENCODINGS.values(), ids=ENCODINGS)
def test_encoding(tmp_path: Path, codec: str, name: str, rows: int) -> None:
    """It is found out, told, and can be seen from words with accents."""
    content = as_csv(people(range(rows))).encode(codec)

    with table(tmp_path, content) as found:
        records = list(found.rows)
        assert found.form == f"{name}, separator ;"
        assert found.progress() == 1.0
    assert len(records) == rows
    assert [record.cells[1] for record in records[:3]] == ["Lefèvre", "Martin", "Guérin"]
    if "16" not in name:
        assert "Hélène" in found.sample


@pytest.mark.parametrize("separator", [";", ",", "\t"], ids=["semicolon", "comma", "tab"])
@pytest.mark.parametrize("line_end", ["\r\n", "\n", "\r"], ids=["CRLF", "LF", "CR"])
def test_separator(tmp_path: Path, separator: str, line_end: str) -> None:
    """The one under which the header has the columns that the map wants."""
    rows = [person(1, Nom="Martin, dit; le\tGrand"), person(2)]
    records = read(tmp_path, as_csv(rows, separator=separator, line_end=line_end).encode())

    assert [record.cells[1] for record in records] == ["Martin, dit; le\tGrand", "Guérin"]
    assert [record.line for record in records] == [2, 3]


def test_what_is_given_is_not_guessed(tmp_path: Path) -> None:
    """Encoding and separator of the map."""
    content = as_csv(people(range(9)), separator="|").encode("latin-1")
    settings = FileSettings(encoding="ISO-8859-1", separator="|")

    with table(tmp_path, content, settings) as found:
        assert found.form == "iso8859-1, separator |"
        assert next(found.rows).cells[1] == "Lefèvre"
    assert "utf-9 is unknown" in refused(tmp_path, content, FileSettings(encoding="utf-9"))


def test_a_file_that_mixes_encodings(tmp_path: Path) -> None:
    """Is refused with the line; or read as it is told, and shows what is unreadable."""
    lines = as_csv(people(range(40))).encode().splitlines(keepends=True)
    lines[3] = as_csv([person(2)]).encode("cp1252").splitlines(keepends=True)[1]
    content = b"".join(lines)

    assert "mixes encodings: line 4 is not UTF-8" in refused(tmp_path, content)
    records = read(tmp_path, content, FileSettings(encoding="utf-8"))
    assert records[2].cells[1] == "Gu\N{REPLACEMENT CHARACTER}rin"


def test_header_below_a_title(tmp_path: Path) -> None:
    """A title, Excel's own line and empty lines may stand above it."""
    content = "sep=;\nLicences au 12/11/2026;;\n\n" + as_csv([person(1)], line_end="\n")

    with table(tmp_path, content.encode()) as found:
        assert found.header_line == 4
        assert [record.line for record in found.rows] == [5]


def test_header_by_its_line(tmp_path: Path) -> None:
    """The map's word, where the same columns come twice."""
    content = as_csv([person(1)], line_end="\n") * 2

    assert len(read(tmp_path, content.encode(), FileSettings(header=3))) == 1
    assert "line 9 of the file is not there" in refused(
        tmp_path, content.encode(), FileSettings(header=9)
    )


def test_rows_that_are_none(tmp_path: Path) -> None:
    """Blank rows, also those of separators only, and the header again."""
    text = as_csv(people(range(2)), line_end="\n")
    content = text + "\n;;;;\n" + " ; ;\n" + text + "\n\n"

    assert len(read(tmp_path, content.encode())) == 4


def test_columns_are_compared_as_people_do(tmp_path: Path) -> None:
    """Capitals, spaces, and accents written in two ways."""
    header = " N°\N{NO-BREAK SPACE}LICENCE ;nom;Pre\u0301nom;courriel\n"

    assert len(read(tmp_path, f"{header}1;a;b;c\n".encode())) == 1


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    """What is like it, and all there are."""
    told = refused(tmp_path, "N° licence;Nom;Prenom;Mail;Mail\n1;a;b;c;d\n".encode())

    assert "the file has no column Prénom: did you mean Prenom?" in told
    assert "the file has no column Courriel\n" in told
    assert told.endswith(
        "line 1 (UTF-8, separator ;) has the columns N° licence, Nom, Prenom, Mail#1, Mail#2"
    )


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    """Nobody guesses which; its number says it."""
    content = b"N;Nom;Mail;Mail\n1;a;b@x.example;c@x.example\n"

    told = refused(tmp_path, content, wanted=("N", "Nom", "Mail"))
    assert "no column Mail: it has several; write Mail#1 for the first" in told
    assert len(read(tmp_path, content, wanted=("N", "Nom", "Mail#2"))) == 1


def test_line_breaks_within_quotes(tmp_path: Path) -> None:
    """Rows keep the line that they begin on."""
    rows = [person(1, Commission="12 rue\r\nHaute\r\n44000"), person(2)]
    records = read(tmp_path, as_csv(rows).encode())

    assert [record.line for record in records] == [2, 5]
    assert records[0].cells[12] == "12 rue\r\nHaute\r\n44000"


OPEN_QUOTES = {
    "to the end": ({2: '0000001;"Martin;Zoé;x;y'}, "lines 3 to 9 are read as one row"),
    "to the next quote": (
        {2: '0000001;"Martin;Zoé;x;y', 5: '0000004;"Noël";Zoé;x;y'},
        "lines 3 to 6 are read as one row",
    ),
}


@pytest.mark.parametrize(("lines", "said"), OPEN_QUOTES.values(), ids=OPEN_QUOTES)
def test_a_quote_that_is_not_closed(tmp_path: Path, lines: dict[int, str], said: str) -> None:
    """Would swallow members, who would then be set inactive: the file is refused."""
    text = as_csv(people(range(8)), line_end="\n").splitlines()
    for number, line in lines.items():
        text[number] = line

    assert said in refused(tmp_path, "\n".join(text).encode())


def test_a_quote_within_a_cell(tmp_path: Path) -> None:
    """Is forgiven on its own line."""
    text = as_csv([person(1, Nom="@")]).replace("@", '"Jean "Jo" Martin"')

    assert len(read(tmp_path, text.encode())) == 1


def test_an_empty_file(tmp_path: Path) -> None:
    """And one with a header only."""
    assert refused(tmp_path, b"") == "the file is empty"
    assert read(tmp_path, as_csv([]).encode()) == []


def test_what_is_no_table(tmp_path: Path) -> None:
    """By the first bytes, whatever the name says."""
    assert "old .xls or has a password" in refused(
        tmp_path, bytes.fromhex("d0cf11e0a1b11ae1") + b"x"
    )
    assert "is damaged" in refused(tmp_path, b"PK\x03\x04 and no more")
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("licences.csv", "x")
    assert "is an archive, but no .xlsx" in refused(tmp_path, archive.read_bytes())
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("xl/workbook.xml", "x")
    assert "cannot be read as a spreadsheet" in refused(tmp_path, archive.read_bytes())


def workbook(path: Path, rows: Sequence[Any], *titles: str) -> bytes:
    """Write *rows* into the last sheet of *titles*."""
    book = openpyxl.Workbook()
    for title in titles[:-1]:
        book.create_sheet(title)
    sheet: Any = book.create_sheet(titles[-1])
    for row in rows:
        sheet.append(row)
    del book["Sheet"]
    book.save(path / "made.xlsx")
    return (path / "made.xlsx").read_bytes()


def test_the_cells_of_a_workbook(tmp_path: Path) -> None:
    """Numbers without points, ISO dates, and the rows' own numbers."""
    rows = [
        ["Licences au 12/11/2026"],
        [],
        ["N° licence", "Nom", "Prénom", "Courriel", "Depuis", "Actif"],
        [12345.0, "Lefèvre", "Zoé", "z@b.example", datetime(2024, 9, 1), True],  # noqa: DTZ001
        [None, None, None, None, None, None],
        [12346, "Martin", None, 1.5, datetime(2024, 9, 3, 8, 30), False],  # noqa: DTZ001
        [None] * 6,
        [12347, "Noël"],
    ]
    content = workbook(tmp_path, rows, "Licences")
    with table(tmp_path, content) as found:
        assert (found.form, found.header_line) == ("sheet Licences", 3)
        assert [(record.line, list(record.cells)) for record in found.rows] == [
            (4, ["12345", "Lefèvre", "Zoé", "z@b.example", "2024-09-01", "true"]),
            (6, ["12346", "Martin", "", "1.5", "2024-09-03 08:30:00", "false"]),
            (8, ["12347", "Noël", "", "", "", ""]),
        ]


def test_a_named_sheet(tmp_path: Path) -> None:
    """By its name, as the map has it."""
    content = workbook(tmp_path, [list(COLUMNS), ["1"] * 14], "Notes", "Licences 2026")

    with table(tmp_path, content, FileSettings(sheet="licences 2026")) as found:
        assert found.form == "sheet Licences 2026"
    assert "there is no Licence: did you mean" in refused(
        tmp_path, content, FileSettings(sheet="Licence")
    )
    assert "sheet Notes has no such row, or is empty" in refused(tmp_path, content)


def test_a_workbook_lacks_a_column(tmp_path: Path) -> None:
    """Told as for a CSV."""
    content = workbook(tmp_path, [["N° licence", "Nom", "Prénom", "Mail"]], "Licences")

    assert refused(tmp_path, content).endswith(
        "line 1 (sheet Licences) has the columns N° licence, Nom, Prénom, Mail"
    )


def test_a_map_that_cannot_be_read(tmp_path: Path) -> None:
    """Told with its name."""
    path = tmp_path / "map.toml"
    with pytest.raises(ConfigError, match=r"map\.toml cannot be read: No such file"):
        read_map_file(path)
    path.write_text("[member\n")
    with pytest.raises(ConfigError, match=r"map\.toml is no TOML"):
        read_map_file(path)
    path.write_text("[membre]\n")
    with pytest.raises(ConfigError, match=r"map\.toml: membre is unknown"):
        read_map_file(path)


def test_the_digest(tmp_path: Path) -> None:
    """Of the bytes, so that the same file is known again."""
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    assert sha256_of(path).hex().startswith("ba7816bf")
