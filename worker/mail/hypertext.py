"""The text of an HTML document, for those who read text (RFC 2046, section 5.1.4).

One pass, and each piece is looked at once: what is no tag is shown, so broken
HTML loses nothing. Nobody's layout is copied; links keep their addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape

_TOKEN = re.compile(r"<!--|<[/a-z!?][^<>]*+>", re.IGNORECASE)
_HIDDEN = ("script", "style", "title", "template", "xmp", "iframe", "noembed", "noframes")
_NAME = re.compile(r"</?([a-z][a-z0-9]*)", re.IGNORECASE)
_ATTRIBUTE = r"""\b{}\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>]++))"""
_HREF, _ALT = (re.compile(_ATTRIBUTE.format(name), re.IGNORECASE) for name in ("href", "alt"))
_PARAGRAPHS = ("p", "ul", "ol", "dl", "table", "blockquote", "pre", "h1", "h2", "h3", "h4", "h5")
_BLOCKS = (
    "div", "tr", "li", "dt", "dd", "h6", "section", "article", "header", "footer", "form",
    "center", "address", "body", "html", "head", "fieldset", "caption", "figure",
)  # fmt: skip
# No character has such a number, and Python refuses to read it.
_LONG_REFERENCE = re.compile(r"&#[0-9]{9,}+;?")
_SPACE = re.compile(r"[ \t\r\n\f]+")
_SHOWN_LINKS = ("http://", "https://", "mailto:")
_QUOTES_LIMIT = 10


@dataclass(slots=True)
class _Page:
    """Lines that are finished, and the pieces of the one that is not."""

    lines: list[str] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    link: str = ""  # Where the link leads whose words are being read,
    link_at: int = 0  # and from which piece on.
    quotes: int = 0
    preformatted: int = 0

    def say(self, text: str) -> None:
        """Add *text*; outside of <pre> white space is one space."""
        if self.preformatted:
            first, *rest = text.splitlines() or [""]
            self.pieces.append(first)
            for line in rest:
                self.end_line()
                self.pieces.append(line)
        else:
            self.pieces.append(_SPACE.sub(" ", text))

    def end_line(self) -> None:
        """End the line, even if it is empty."""
        text = "".join(self.pieces)
        line = text.rstrip() if self.preformatted else _SPACE.sub(" ", text).strip()
        self.lines.append(("> " * min(self.quotes, _QUOTES_LIMIT) + line).rstrip())
        self.pieces.clear()
        self.link_at = 0

    def end_block(self) -> None:
        """End the line, if anything is in it."""
        if "".join(self.pieces).strip():
            self.end_line()
        self.pieces.clear()
        self.link_at = 0

    def set_off(self) -> None:
        """Leave a line empty, unless one is or there is nothing above."""
        if self.lines and self.lines[-1].startswith(">") and not self.lines[-1].strip("> "):
            self.lines.pop()
        if self.lines and self.lines[-1]:
            self.end_line()


def text_of(source: str) -> str:
    """Return what is to be read in the HTML *source*, in lines."""
    page = _Page()
    at = 0
    while token := _TOKEN.search(source, at):
        page.say(unescaped(source[at : token.start()]))
        name = _NAME.match(token[0])
        at = _after_hidden(source, token, name[1].lower() if name else "")
        if name:
            _read_tag(page, name[1].lower(), token[0])
    page.say(unescaped(source[at:]))
    page.end_block()
    return "\n".join(page.lines).strip("\n")


def unescaped(text: str) -> str:
    """Return *text* with its character references read, whatever numbers are in them."""
    return unescape(_LONG_REFERENCE.sub("", text))


def _after_hidden(source: str, token: re.Match[str], name: str) -> int:
    """Return where reading goes on: behind a comment, or what an element hides."""
    if token[0] == "<!--":
        # "<!-->" is a comment, too.
        end = source.find("-->", token.start() + 2)
        return end + 3 if end >= 0 else len(source)
    if name not in _HIDDEN or token[0].startswith("</"):
        return token.end()
    closing = re.compile(rf"</{name}\b", re.IGNORECASE).search(source, token.end())
    return closing.start() if closing else len(source)


def _read_tag(page: _Page, name: str, tag: str) -> None:
    closes = tag.startswith("</")
    if name == "a":
        _read_link(page, tag, closes=closes)
    elif name == "br":
        page.end_line()
    elif name == "hr":
        page.end_block()
        page.set_off()
        page.say("-" * 40)
        page.end_line()
    elif name == "img":
        page.say(_alternative(tag))
    elif name in ("td", "th"):
        page.say(" ")
    elif name in _PARAGRAPHS or name in _BLOCKS:
        page.end_block()
        _enter(page, name, closes=closes)


def _enter(page: _Page, name: str, *, closes: bool) -> None:
    """Begin or end a block; what sets a quote off is outside of it."""
    if closes:
        _count(page, name, -1)
    if name in _PARAGRAPHS:
        page.set_off()
    if not closes:
        _count(page, name, 1)
        if name == "li":
            page.say("- ")


def _count(page: _Page, name: str, step: int) -> None:
    if name == "blockquote":
        page.quotes = max(0, page.quotes + step)
    elif name == "pre":
        page.preformatted = max(0, page.preformatted + step)


def _read_link(page: _Page, tag: str, *, closes: bool) -> None:
    if page.link:  # The next one ends it, too.
        words = "".join(page.pieces[page.link_at :])
        if page.link.lower().removeprefix("mailto:") not in words.lower():
            page.say(f" <{page.link}>")
    href = "" if closes else _attribute(_HREF, tag).strip()
    page.link = href if href.lower().startswith(_SHOWN_LINKS) else ""
    page.link_at = len(page.pieces)


def _alternative(tag: str) -> str:
    words = _attribute(_ALT, tag).strip()
    return f"[{words}]" if words else ""


def _attribute(pattern: re.Pattern[str], tag: str) -> str:
    found = pattern.search(tag)
    return unescaped(found[1] or found[2] or found[3] or "") if found else ""
