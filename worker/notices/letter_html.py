"""A letter's words as HTML: the same, for programs that show them so.

Nothing is loaded, and no text has a colour: the reader's program knows best, in the
dark as well. What is set in from the margin in the text is a block of its own, or a
table if it has columns; what somebody else wrote is a quotation, without links.
"""

from __future__ import annotations

import re
from enum import Enum
from html import escape
from itertools import groupby

from worker.notices.columns import cells_of

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
_QUOTED = (
    '<blockquote style="margin:0 0 1em;padding-left:.8em;border-left:2px solid gray">'
    "{lines}</blockquote>"
)
_TABLE = (
    '<table style="margin:0 0 1em;border-collapse:collapse;border-left:2px solid gray">\n'
    "{rows}\n</table>"
)
_ROW = "<tr>{cells}</tr>"
_NAME = (
    '<th scope="row" style="padding:.1em .8em;font-weight:normal;text-align:left;'
    'vertical-align:top;overflow-wrap:break-word">{words}</th>'
)
_NUMBER = (
    '<td style="padding:.1em 0;text-align:right;vertical-align:top;white-space:nowrap">{words}</td>'
)
# The name needs no more room than its longest word.
_CELL = '<td style="padding:.1em 0 .1em .8em;vertical-align:top;width:100%">{words}</td>'
# Beside its row it would be too narrow on a telephone.
_NOTE = '<td colspan="{count}" style="padding:0 0 .4em .8em;font-size:.85em">{words}</td>'
_LAST = '<p style="margin:2em 0 0;font-size:.85em">{lines}</p>'


class _Kind(Enum):
    PLAIN = "plain"
    SET_IN = "set in"
    QUOTED = "quoted"


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
    grouped = groupby(paragraph.split("\n"), key=_kind)
    return [_block(kind, list(lines)) for kind, lines in grouped]


def _kind(line: str) -> _Kind:
    if line.startswith(">"):
        return _Kind.QUOTED
    return _Kind.SET_IN if line.startswith("  ") else _Kind.PLAIN


def _block(kind: _Kind, lines: list[str]) -> str:
    if kind is _Kind.QUOTED:
        quoted = "<br>\n".join(escape(line.removeprefix(">").strip()) for line in lines)
        return _QUOTED.format(lines=quoted)
    if kind is _Kind.PLAIN:
        return _PLAIN.format(lines=_joined(lines))
    rows = cells_of(lines)
    if rows:
        return _TABLE.format(rows="\n".join(_row(cells, note) for cells, note in rows))
    return _SET_IN.format(lines=_joined([line.strip() for line in lines]))


def _row(cells: list[str], note: str) -> str:
    name, number, *more = map(escape, cells)
    shown = [_NAME.format(words=name), _NUMBER.format(words=number)]
    shown += [_CELL.format(words=words) for words in more]
    row = _ROW.format(cells="".join(shown))
    if not note:
        return row
    below = _NOTE.format(count=len(cells), words=escape(note))
    return f"{row}\n{_ROW.format(cells=below)}"


def _joined(lines: list[str]) -> str:
    # Each on its own line here, too: an address that is folded could not be found again.
    return "<br>\n".join(_line(line) for line in lines)


def _line(line: str) -> str:
    shown = escape(line)
    return (
        f'<a href="{shown}" style="color:inherit">{shown}</a>' if _LINK.fullmatch(line) else shown
    )
