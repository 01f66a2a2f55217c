"""Every sentence of a template has its translation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import worker
from worker.notices.catalogue import LOCALE_FOLDER, translations

WORKER = Path(worker.__file__).parent
METHODS = [("web/templates/**.html", "jinja2"), ("notices/**.py", "python")]
PLACEHOLDER = re.compile(r"%\(\w+\)\w|</?\w+>")


def _sentences() -> set[str]:
    found = extract_from_dir(WORKER, METHODS, keywords={"_": None, "gettext": None, "say": None})
    return {message for _, _, message, _, _ in found if isinstance(message, str)}


def test_french_is_complete() -> None:
    """Nothing is missing, left over, doubtful, or of other placeholders."""
    with (LOCALE_FOLDER / "fr.po").open("rb") as file:
        catalogue = read_po(file, locale="fr")
    messages = {message.id: message for message in catalogue if message.id}

    assert set(messages) == _sentences()
    for english, message in messages.items():
        assert isinstance(english, str)
        assert isinstance(message.string, str)
        assert message.string
        assert not message.fuzzy
        assert sorted(PLACEHOLDER.findall(english)) == sorted(PLACEHOLDER.findall(message.string))
        # French puts a space before these, which must not break the line.
        assert not re.search(r"(?<=\S) [?:!;»]|« ", message.string)


@pytest.mark.parametrize("locale", ["en", "de"])
def test_no_catalogue(locale: str) -> None:
    """English is what the templates say, and so is what we have not."""
    assert translations(locale).gettext("Unsubscribe me") == "Unsubscribe me"


def test_french() -> None:
    """The catalogue is compiled when it is asked for."""
    assert translations("fr").gettext("Unsubscribe me") == "Me désabonner"
