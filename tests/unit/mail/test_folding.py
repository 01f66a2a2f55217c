"""Text as words are looked for in it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.mail.folding import FOLDED_LIMIT, folded, without_accents

CASES = {
    "case": ("User UNKNOWN", "user unknown"),
    "accents": ("Boîte aux lettres saturée, À vérifier", "boite aux lettres saturee, a verifier"),
    "accents apart": ("boi\u0302te", "boite"),
    "white space": (" a \r\n\tb\u00a0c ", "a b c"),
    "an address": ("<Marie@x.fr>: unknown", "@: unknown"),
    "an address in a sentence": ("to marie.dupont@x.fr, now", "to @, now"),
    "two addresses": ("a@x.fr b@y.fr", "@ @"),
    "an apostrophe": ("n\u2019existe pas", "n'existe pas"),
    "Cyrillic": ("Почтовый ЯЩИК отключён", "почтовыи ящик отключен"),
    "Chinese": ("邮箱已满", "邮箱已满"),
    "ligatures": ("o\ufb03ce", "office"),
    "full width": ("\uff55\uff53\uff45\uff52", "user"),
    "a mark that stands alone": ("a \u00b8 b", "a b"),
    "signs of several letters": ("\u2121 \u3392", "tel mhz"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_folded(text: str, expected: str) -> None:
    """Lower case, no accents, one line, and no address."""
    assert folded(text) == expected


PIECES = (
    *("a", "É", "ß", "İ", "\u0301", "\u0300", "e", " a@x.fr ", " <a@x.fr> ", "<", ">", " ", "\n"),
    *("\u2019", "\ufb03", "が", "き", "\u3099", "й", "ё", "한", "\ufdfa", "\0", "\ud800", "."),
)
# Not "@" alone: where brackets alone have kept two words apart it would join them.
TEXTS = st.text(st.characters(exclude_characters="@\ufe6b\uff20")) | st.lists(
    st.sampled_from(PIECES), max_size=60
).map("".join)
QUICK = settings(database=None, deadline=None, derandomize=True, max_examples=300)


@QUICK
@given(TEXTS)
def test_folding_again_changes_nothing(text: str) -> None:
    """What is folded once is what patterns are compared with."""
    once = folded(text)

    assert folded(once, limit=len(once)) == once


@QUICK
@given(TEXTS)
def test_no_marks_are_left(text: str) -> None:
    """Neither accents, nor the marks of kana and Cyrillic; nor line ends."""
    once = folded(text)

    assert not any(map(unicodedata.combining, once))
    assert " ".join(once.split()) == once


def test_only_the_beginning_is_folded() -> None:
    """One character may become eighteen, and no more."""
    assert folded("x" * 9000) == "x" * FOLDED_LIMIT
    assert len(folded("\ufdfa" * 9000)) <= 18 * FOLDED_LIMIT


def test_text_without_accents_stays_as_it_is() -> None:
    """Most of it is so, and case is not ours to change."""
    assert without_accents("User unknown") == "User unknown"
    assert without_accents("Été") == "Ete"
