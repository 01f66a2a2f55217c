"""Letters as HTML: the same words, and nothing that a stranger could put in."""

from __future__ import annotations

import re
from html import unescape

from worker.notices.letter_html import as_html

TEXT = """\
Les messages reviennent.

→ Corrigez-la ici :
  https://membres.example.fr/?a=1&b="2"

  Anne <b>Martin</b> {lines}
  anne@example.fr

Message automatique"""


def shown(html: str) -> list[str]:
    """Return the lines of a document as they are read."""
    body = html.partition("<body")[2].partition(">")[2]
    lines = re.sub(r"<br>|</p>", "\n", body.replace("\n", ""))
    return [line for line in unescape(re.sub(r"<[^>]*>", "", lines)).split("\n") if line]


def test_the_words_are_the_same() -> None:
    """In the same order, each line of the text a line."""
    assert shown(as_html(TEXT, "fr", title="Une & deux")) == [
        line.strip() for line in TEXT.split("\n") if line
    ]


def test_only_our_own_tags() -> None:
    """A name may look like one; a link is one if it has a line of its own."""
    html = as_html(TEXT, "fr", title="Une & deux")

    assert "<b>" not in html
    assert html.count("<a ") == 1
    assert "<title>Une &amp; deux</title>" in html
    assert '<a href="https://membres.example.fr/?a=1&amp;b=&quot;2&quot;"' in html
    assert '<html lang="fr">' in html
    assert "<a " not in as_html("See https://evil.example\n\nend", "en", title="")


def test_nothing_is_loaded() -> None:
    """No picture, script or style sheet; and no colour that the dark would hide."""
    html = as_html(TEXT, "fr", title="Une & deux")

    assert not re.search(r"src=|url\(|<link|<script|<img|[^-]color:(?!inherit)|background", html)


def test_an_address_has_a_line_of_its_own() -> None:
    """As it is written, too: what is erased must be found again in a letter."""
    assert "\nanne@example.fr</p>" in as_html(TEXT, "fr", title="Une & deux")
