"""Letters as HTML: the same words, and nothing that a stranger could put in."""

from __future__ import annotations

import re
from html import unescape

import pytest

from worker.notices.columns import cells_of, columns
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
    lines = re.sub(r"<br>|</p>|</tr>|</blockquote>", "\n", body.replace("\n", ""))
    lines = re.sub(r"</t[hd]>", " ", lines)
    return [line.strip() for line in unescape(re.sub(r"<[^>]*>", "", lines)).split("\n") if line]


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


PLAN = [
    ["Gmail", "246", "today, about 10 pm", ""],
    ["Crédit <b>", "1\u202f221", "Friday", "(only <100> a day)"],
]


def test_a_table_is_a_table() -> None:
    """A row with its name at its head; what is noted of it goes below, where there is room."""
    html = as_html(f"Who:\n{columns(PLAN)}\n\nend", "en", title="")

    assert shown(html) == [
        "Who:",
        "Gmail 246 today, about 10 pm",
        "Crédit <b> 1\u202f221 Friday",
        "(only <100> a day)",
        "end",
    ]
    assert html.count("<table") == 1
    assert re.findall(r'<th scope="row"[^>]*>([^<]*)', html) == ["Gmail", "Crédit &lt;b&gt;"]
    assert html.count('<td colspan="3"') == 1
    assert html.count("text-align:right") == 2


TABLES = {
    "a plan": (columns(PLAN).split("\n"), [(PLAN[0][:3], ""), (PLAN[1][:3], "(only <100> a day)")]),
    "two columns": (["  handed over   8", "  refused       10"],
                    [(["handed over", "8"], ""), (["refused", "10"], "")]),
    "two columns and a note": (["  given up   3   (full)"], [(["given up", "3"], "(full)")]),
    "lines": (["  Anne Martin", "  anne@example.fr"], []),
    "a link": (["  https://listes.example.fr/p/k7"], []),
    "rows that do not agree": (["  a   1", "  b   2   c"], []),
    "a row and a line": (["  a   1", "  b"], []),
    "a line with a note": (["  a   (b)", "  c"], []),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "rows"), TABLES.values(), ids=TABLES)
def test_what_is_a_table(lines: list[str], rows: list[tuple[list[str], str]]) -> None:
    """Columns, as many in each row; all else is lines."""
    assert cells_of(lines) == rows


def test_what_somebody_wrote_is_a_quotation() -> None:
    """Without the marks, and without links: whoever wrote it is not we."""
    text = "It begins:\n\n> Hello <b>all</b>,\n> https://evil.example\n>\n>  x   1\n\nend"
    html = as_html(text, "en", title="")

    assert html.count("<blockquote") == 1
    assert "<br>\nhttps://evil.example<br>\n<br>\nx   1</blockquote>" in html
    assert "Hello &lt;b&gt;all" in html
    assert "<a " not in html
    assert "<table" not in html
