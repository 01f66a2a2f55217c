"""The footer of a text/html part: a block of our own before the end of its body.

It is written in ASCII, so the part keeps its charset, and takes its colours
from where it stands, so it can be read on whatever background a program shows.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from worker.mail import charset as charsets
from worker.mail.footer_slots import HTML, in_blocks, link, slotted
from worker.mail.transfer import SOFT_BREAK, quoted_printable, with_room

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.mail.footer_slots import Footer

_STYLE = (
    "clear:both;margin:2em 0 0;padding:.5em .5em 1em;border-top:1px solid currentColor;"
    "font:13px/1.5 sans-serif;text-align:left"
)
# Comments and raw text elements may hold "</body>" that closes nothing.
_MARK = re.compile(
    rb"<!--|</(?:body|html)\b"
    rb"|<(script|style|textarea|title|xmp|iframe|noembed|noframes)\b",
    re.IGNORECASE,
)


def html_with_footer(
    octets: bytes, charset: str, footers: Mapping[str, Footer]
) -> tuple[bytes, str] | None:
    """Return *octets* and the footer within in quoted-printable, and their charset."""
    if not charsets.extends_ascii(charset):
        text = charsets.text_in(octets, charset)
        if text is None:
            return None
        octets, charset = text.encode("utf-8", "replace"), "utf-8"
    at = end_of_body(octets)
    footer = in_blocks({lang: _block(lang, footer) for lang, footer in footers.items()})
    above, below = quoted_printable(octets[:at]), quoted_printable(octets[at:])
    return SOFT_BREAK.join((with_room(above), footer, below)), charset


def end_of_body(octets: bytes) -> int:
    """Return where the last real ``</body>`` stands, else ``</html>``, else the end.

    What is opened and never closed hides all that follows: the end is before it.
    """
    lower = octets.lower()
    found: dict[bytes, int] = {}
    at = 0
    while mark := _MARK.search(lower, at):
        at = mark.end()
        if mark[0].startswith(b"</"):
            found[mark[0]] = mark.start()
            continue
        closing = b"</" + mark[1] if mark[1] else b"-->"
        # "<!-->" is a comment, too.
        at = lower.find(closing, mark.end() if mark[1] else mark.start() + 2)
        if at < 0:
            found.setdefault(b"</html", mark.start())
            break
    return found.get(b"</body", found.get(b"</html", len(octets)))


def _block(lang: str, footer: Footer) -> bytes:
    """Return the footer in one language; its last line is open."""
    shown = "<br>\n".join(html.escape(line) for line in footer.lines)
    head = (
        f'\n<div class="relais-footer" lang="{lang}" dir="ltr" style="{_STYLE}">\n'
        f'{shown}<br>\n<a style="color:inherit" href="'
    )
    label = html.escape(footer.link_label.rstrip(" :\N{NO-BREAK SPACE}"))
    url = html.escape(footer.url.decode("ascii")).encode("ascii")
    pieces = (slotted(_ascii(head), "ascii", HTML), link(url))
    return SOFT_BREAK.join((*pieces, slotted(_ascii(f'">{label}</a>\n</div>'), "ascii", HTML)))


def _ascii(text: str) -> str:
    return text.encode("ascii", "xmlcharrefreplace").decode("ascii")
