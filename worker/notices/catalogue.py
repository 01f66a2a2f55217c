"""Translations: English is what the templates say, the others are in locale/*.po.

They are compiled in memory at the start, so that no built file can be stale.
"""

from __future__ import annotations

from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALE_FOLDER = Path(__file__).parent / "locale"


@cache
def translations(locale: str) -> NullTranslations:
    """Return the translations to *locale*; none for English and for what we have not."""
    source = LOCALE_FOLDER / f"{locale}.po"
    if not source.exists():
        return NullTranslations()
    with source.open("rb") as file:
        catalogue = read_po(file, locale=locale, abort_invalid=True)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return GNUTranslations(compiled)
