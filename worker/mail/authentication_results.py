"""Reading Authentication-Results fields (RFC 8601).

Whether one is to be believed is not asked here. A field that is not whole is
read as nothing: it quotes strangers, and what it says would be theirs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Far above what hosts write; what is longer is not read.
_FIELD_LIMIT_BYTES = 10_000
_COMMENTS_LIMIT = _SEGMENTS_LIMIT = 100

_OPENING = re.compile(r'"(?:[^"\\]|\\.)*+(?P<closed>"?)|\(|\)', re.DOTALL)
_IN_COMMENT = re.compile(r"\\.|[()]", re.DOTALL)
_PART = re.compile(
    r"(?P<end>;)"
    r'|(?P<key>[^\s;="]++)(?:\s*+=\s*+(?P<value>(?:"(?:[^"\\]|\\.)*+"|[^\s;"])*+))?'
    r"|(?P<odd>\S)",
    re.DOTALL,
)
_QUOTING = re.compile(r'\\(.)|"', re.DOTALL)
_DOMAIN = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+")
# What a verifier says of a pass that is none: of a key that is only being tried
# (RFC 6376, section 3.6.1), of an SPF record that does not exist.
_NO_PASS = re.compile(r"test(?:ing)? mode|best guess", re.IGNORECASE)

_Parts = list[tuple[str, str | None]]  # Words, and keys with their values.


@dataclass(frozen=True, slots=True)
class Result:
    """What one method found (RFC 8601, section 2.2), in lower case."""

    method: str
    value: str
    properties: dict[str, str]  # By ptype.property; one that is told twice is "".
    comment: str

    @property
    def passes(self) -> bool:
        """Whether this is a pass without reservation."""
        return self.value == "pass" and not _NO_PASS.search(self.comment)

    def domain_of(self, *names: str) -> str:
        """Return the domain of the first of *names* that is told, or ""."""
        told = (self.properties[name] for name in names if name in self.properties)
        return domain_of(next(told, ""))


@dataclass(frozen=True, slots=True)
class AuthenticationResults:
    """One field: whose it is, and what it says."""

    authserv_id: str  # "" if it has none.
    results: tuple[Result, ...]


def read_authentication_results(body: bytes) -> AuthenticationResults | None:
    """Read an Authentication-Results field, None if it is not whole.

    Verifiers quote a stranger's words in comments, where a quoted local part can
    close the comment and go on with verdicts of its own. So there must be no
    quotation in any comment.
    """
    text = body.decode("latin-1")
    comments = _comments(text) if len(text) <= _FIELD_LIMIT_BYTES else None
    if comments is None or len(comments) > _COMMENTS_LIMIT:
        return None
    segments = _segments(_blanked(text, comments))
    if segments is None or len(segments) > _SEGMENTS_LIMIT:
        return None
    if any(_QUOTING.search(text, *span) for span in comments):
        return None
    words = [key for key, value in segments[0][1] if value is None]
    named = bool(segments[0][1]) and segments[0][1][0][1] is None
    if words[1:] not in ([], ["1"]):  # A later version of this format.
        return None
    results = [
        _read_result(parts, " ".join(text[slice(*c)] for c in comments if start <= c[0] < end))
        for (start, end), parts in segments[named:]
    ]
    return AuthenticationResults(
        authserv_id=words[0].lower() if named else "",
        results=tuple(result for result in results if result is not None),
    )


def domain_of(value: str) -> str:
    """Return the domain of an address, of ``@domain`` or of a domain alone; "" if it is none."""
    domain = value.strip(" \t<>").rpartition("@")[2].lower().rstrip(".")
    return domain if _DOMAIN.fullmatch(domain) else ""


def _comments(text: str) -> list[tuple[int, int]] | None:
    """Return where the comments are, None if one, or a quotation, has no end."""
    found: list[tuple[int, int]] = []
    at = 0
    while token := _OPENING.search(text, at):
        at = token.end()
        if token[0] == "(":
            end = _end_of_comment(text, token.start())
            if end is None:
                return None
            found.append((token.start(), end))
            at = end
        elif not token["closed"]:  # Or a parenthesis that nobody opened.
            return None
    return found


def _end_of_comment(text: str, start: int) -> int | None:
    depth = 0
    for token in _IN_COMMENT.finditer(text, start):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if depth == 0 and token[0] == ")":
            return token.end()
    return None


def _blanked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """Return *text* with spaces for what is in *spans*, so that all keeps its place."""
    pieces: list[str] = []
    at = 0
    for start, end in spans:
        pieces += [text[at:start], " " * (end - start)]
        at = end
    return "".join([*pieces, text[at:]])


def _segments(plain: str) -> list[tuple[tuple[int, int], _Parts]] | None:
    """Split at semicolons; return where each segment is, and its words and key=value pairs."""
    segments: list[tuple[tuple[int, int], _Parts]] = []
    parts: _Parts = []
    start = 0
    for part in _PART.finditer(plain):
        if part["odd"]:
            return None
        if part["end"]:
            segments.append(((start, part.start()), parts))
            start, parts = part.end(), []
        else:
            value = part["value"]
            parts.append((part["key"].lower(), value if value is None else _unquoted(value)))
    return [*segments, ((start, len(plain)), parts)]


def _read_result(parts: _Parts, comment: str) -> Result | None:
    if not parts or parts[0][1] is None:
        return None
    method, value = parts[0]
    properties: dict[str, str] = {}
    for name, told in parts[1:]:
        text = (told or "").lower()
        properties[name] = text if properties.get(name, text) == text else ""
    return Result(method.partition("/")[0], (value or "").lower(), properties, comment)


def _unquoted(text: str) -> str:
    return _QUOTING.sub(r"\1", text)
