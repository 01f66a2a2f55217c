"""An invented national file, as a federation's own software exports it."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

COLUMNS = (
    "N° licence",
    "Nom",
    "Prénom",
    "Courriel",
    "Validité",
    "N° club",
    "Nom du club",
    "Code postal du club",
    "Saison",
    "Type",
    "Président",
    "Fonction",
    "Commission",
    "Depuis",
)
LAST_NAMES = ("Lefèvre", "Martin", "Guérin", "Noël", "Dupont", "Bérénger")
FIRST_NAMES = ("Hélène", "François", "Zoé", "Anaïs", "Paul", "Benoît")
CLUB_SIZE = 50


def person(number: int, **cells: str) -> dict[str, str]:
    """Return the row of one member; *cells* are those that are otherwise."""
    club = number // CLUB_SIZE
    row = {
        "N° licence": f"{number:07}",
        "Nom": LAST_NAMES[number % len(LAST_NAMES)],
        "Prénom": FIRST_NAMES[number // 7 % len(FIRST_NAMES)],
        "Courriel": f"membre{number}@orange.example",
        "Validité": "VALIDE",
        "N° club": f"{440_000 + club:07}",
        "Nom du club": f"Étoile n° {club}",
        "Code postal du club": "44000",
        "Saison": "2026-2027",
        "Type": "Loisir" if number % 3 else "Compétition",
        "Président": "OUI" if number % CLUB_SIZE == 0 else "NON",
        "Fonction": "",
        "Commission": "",
        "Depuis": "",
    }
    names = {"key": "N° licence", "email": "Courriel", "club": "N° club"}
    return row | {names.get(name, name): cell for name, cell in cells.items()}


def people(numbers: Iterable[int]) -> Iterator[dict[str, str]]:
    """Return the rows of several."""
    return (person(number) for number in numbers)


def as_csv(
    rows: Iterable[Mapping[str, str]],
    *,
    separator: str = ";",
    columns: Sequence[str] = COLUMNS,
    line_end: str = "\r\n",
) -> str:
    """Write rows as a spreadsheet saves them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, delimiter=separator, lineterminator=line_end)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
