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


KEYWORDS = {
    "_": None,
    "gettext": None,
    "say": None,
    "_sentence": None,
    "ngettext": (1, 2),
    "counted": (1, 2),
}


def _sentences() -> set[str | tuple[str, ...]]:
    found = extract_from_dir(WORKER, METHODS, keywords=KEYWORDS)
    return {message for _, _, message, _, _ in found}


def test_french_is_complete() -> None:
    """Nothing is missing, left over, doubtful, or of other placeholders."""
    with (LOCALE_FOLDER / "fr.po").open("rb") as file:
        catalogue = read_po(file, locale="fr")
    messages = {message.id: message for message in catalogue if message.id}

    assert set(messages) == _sentences()
    assert not catalogue.obsolete
    for english, message in messages.items():
        assert not message.fuzzy
        for source, french in zip(_forms(english), _forms(message.string), strict=True):
            assert french
            assert sorted(PLACEHOLDER.findall(source)) == sorted(PLACEHOLDER.findall(french))
            # French puts a space before these, which must not break the line.
            assert not re.search(r"(?<=\S) [?:!;»]|« ", french)
            assert not re.search(r"[^\W\d]'[^\W\d]|\.\.\.", french), "typed, not set"
            assert _margins(source) == _margins(french)


def test_nothing_is_translated_twice() -> None:
    """The second would count, and the first be mended in vain."""
    written = (LOCALE_FOLDER / "fr.po").read_text(encoding="utf-8")
    sentences = re.findall(r"^msgid (.+)$", written, re.MULTILINE)

    assert len(sentences) > 1
    assert {one for one in sentences if sentences.count(one) > 1} == set()


def _forms(text: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    """Return the one form of a sentence, or its singular and its plural."""
    return (text,) if isinstance(text, str) else tuple(text or ())


def _margins(text: str) -> tuple[int, int]:
    """Return how far it is set in, and how many spaces are behind it."""
    return len(text) - len(text.lstrip()), len(text) - len(text.rstrip())


@pytest.mark.parametrize("locale", ["en", "de"])
def test_no_catalogue(locale: str) -> None:
    """English is what the templates say, and so is what we have not."""
    assert translations(locale).gettext("Unsubscribe me") == "Unsubscribe me"


def test_french() -> None:
    """The catalogue is compiled when it is asked for."""
    assert translations("fr").gettext("Unsubscribe me") == "Me désabonner"
