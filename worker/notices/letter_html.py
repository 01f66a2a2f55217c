"""A letter's words as HTML: the same, for programs that show them so.

Nothing is loaded, and no text has a colour: the reader's program knows best, in the
dark as well. What is set in from the margin in the text is a block of its own.
"""

from __future__ import annotations

import re
from html import escape
from itertools import groupby

_LINK = re.compile(r"https?://\S+")
_DOCUMENT = """\
<!DOCTYPE html>
<html lang="{lang}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{title}</title></head>
<body style="font-family:sans-serif;line-height:1.5;max-width:40em;overflow-wrap:anywhere">
{blocks}
</body></html>
"""
_PLAIN = '<p style="margin:0 0 1em">{lines}</p>'
_SET_IN = '<p style="margin:0 0 1em;padding-left:.8em;border-left:2px solid gray">{lines}</p>'
_LAST = '<p style="margin:2em 0 0;font-size:.85em">{lines}</p>'


def as_html(text: str, lang: str, *, title: str) -> str:
    """Return *text*, of which the last paragraph says what wrote it, as a document."""
    *paragraphs, last = text.split("\n\n")
    blocks = [block for paragraph in paragraphs for block in _blocks(paragraph)]
    return _DOCUMENT.format(
        lang=escape(lang),
        title=escape(title),
        blocks="\n".join([*blocks, _LAST.format(lines=_joined([last]))]),
    )


def _blocks(paragraph: str) -> list[str]:
    grouped = groupby(paragraph.split("\n"), key=lambda line: line.startswith("  "))
    return [
        (_SET_IN if is_set_in else _PLAIN).format(lines=_joined([line.strip() for line in lines]))
        for is_set_in, lines in grouped
    ]


def _joined(lines: list[str]) -> str:
    # Each on its own line here, too: an address that is folded could not be found again.
    return "<br>\n".join(_line(line) for line in lines)


def _line(line: str) -> str:
    shown = escape(line)
    return (
        f'<a href="{shown}" style="color:inherit">{shown}</a>' if _LINK.fullmatch(line) else shown
    )
