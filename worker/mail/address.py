"""Addresses: which we write to, who wrote a message, which list is meant.

Strict where a decision hangs on it (who is the author), tolerant where the
answer is looked up afterwards (who else was addressed).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.mail.header import decoded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.mail.header import Message

# RFC 5321, section 4.5.3.1: the octets of a path are 256 with its brackets.
ADDRESS_LIMIT = 254
LOCAL_PART_LIMIT = 64
# An author's field is never this long; parsers disagree on very long ones.
AUTHOR_LIMIT_BYTES = 1000
ADDRESSES_LIMIT = 1000
NAME_LIMIT = 100
MATCHES_LIMIT = 100

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~-"

# RFC 5321, section 4.1.2, without quoted local parts, address literals and
# non-ASCII. relais.usable_address in migrations/0005_definitions.sql is the same rule.
_USABLE = re.compile(
    rf"[{_ATEXT}]+(\.[{_ATEXT}]+)*"
    r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]"
)

# RFC 5322, section 3.4, one mailbox only. A comment that holds what another
# parser could take for an address or a separator is refused, and so is any
# route, group, list or literal (CVE-2023-27043).
_COMMENT = r'\([^()<>@,:;"\\\x00-\x1f\x7f]*+\)'
_NAME = (
    rf'(?P<name>(?:[.\x80-\xff{_ATEXT}]++|"(?:[^"\\\x00-\x1f\x7f]|\\[ -~\x80-\xff])*+"'
    rf"|{_COMMENT}|[ \t]++)*+)"
)
_ADDR_SPEC = rf"[.{_ATEXT}]++@[A-Za-z0-9.-]++"
_ANGLED = re.compile(rf"{_NAME}<[ \t]*+(?P<address>{_ADDR_SPEC})[ \t]*+>(?:[ \t]|{_COMMENT})*+")
_BARE = re.compile(rf"(?P<address>{_ADDR_SPEC})[ \t]*+(?P<name>(?:{_COMMENT})?)")

_NAME_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*+)"|\(([^()]*+)\)|([^"()]++)')
_QUOTED_PAIR = re.compile(r"\\(.)")

# Quoted text and comments are stepped over: an address in them is a name.
_SCAN = re.compile(
    rf'"(?:[^"\\]|\\.)*+(?:"|(?P<open>\\?\Z))|\([^()]*+\)'
    rf"|(?<![.{_ATEXT}])(?P<address>{_ADDR_SPEC})",
    re.DOTALL,
)

# RFC 5322, sections 3.2.3 to 3.4, without comments, routes and obsolete forms.
_STRICT = rf"[{_ATEXT}]++(?:\.[{_ATEXT}]++)*+@(?:[A-Za-z0-9-]++\.)++[A-Za-z0-9-]++"
_PHRASE = rf'(?:[{_ATEXT}]++|"(?:[^"\\\x00-\x1f\x7f]|\\[ -~])*+"|[ \t]++)*+'
_MAILBOX = rf"[ \t]*+(?:{_PHRASE}<{_STRICT}>|{_STRICT})[ \t]*+"
_ADDRESS_LIST = re.compile(
    rf"{_MAILBOX}(?:,{_MAILBOX})*+|[ \t]*+[A-Za-z][A-Za-z -]{{0,60}}:[ \t]*+;[ \t]*+"
)

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def usable_address(text: str) -> bool:
    """Tell whether we may write *text* into RCPT TO."""
    return (
        len(text) <= ADDRESS_LIMIT
        and text.find("@") <= LOCAL_PART_LIMIT
        and _USABLE.fullmatch(text) is not None
    )


def split_address(address: str) -> tuple[str, str] | None:
    """Return local part and domain of a usable *address*, else None.

    The domain is in lower case; the local part belongs to its host.
    """
    if not usable_address(address):
        return None
    local_part, _, domain = address.partition("@")
    return local_part, domain.lower()


def local_part_of(address: str, domain: str) -> str | None:
    """Return the local part of *address*, in lower case, if it is in *domain*."""
    split = split_address(address)
    if split is None or split[1] != domain.lower():
        return None
    return split[0].lower()


def read_author(message: Message) -> str | None:
    """Return the one address that wrote *message*, as written.

    None unless every parser must agree: there is one From field, and it has
    one mailbox.
    """
    mailbox = _author_mailbox(message)
    return mailbox["address"] if mailbox else None


def display_name(message: Message) -> str:
    """Return the author's name, fit for a header and a page, or ""."""
    mailbox = _author_mailbox(message)
    return clean_name(_unquoted(mailbox["name"])) if mailbox else ""


def clean_name(text: str) -> str:
    """Drop what is not seen, and what turns the reading direction, from *text*."""
    return _visible(text)[:NAME_LIMIT].strip()


def readable(text: str, limit: int) -> str:
    """Return the same of a longer *text*, and mark where it was cut."""
    shown = _visible(text)
    return shown if len(shown) <= limit else shown[: limit - 1].rstrip() + "…"


def _visible(text: str) -> str:
    shown = "".join(
        " " if unicodedata.category(char) in ("Cc", "Zl", "Zp", "Zs") else char
        for char in text
        if unicodedata.category(char) not in ("Cf", "Cs", "Co", "Cn")
    )
    return " ".join(shown.split())


def addresses_in(field_value: bytes) -> list[str]:
    """Return the usable addresses in the body of a To or Cc field, as written.

    A scan and no parser: it overlooks what is quoted or in a comment.
    """
    found: dict[str, None] = {}
    for address in _scanned(field_value.decode("latin-1")):
        if usable_address(address):
            found.setdefault(address)
        if len(found) == ADDRESSES_LIMIT:
            break
    return list(found)


def is_address_list(field_value: bytes) -> bool:
    """Tell whether the body of a To or Cc field is what no host corrects on its way.

    A correction would break our signature.
    """
    return _ADDRESS_LIST.fullmatch(field_value.decode("latin-1")) is not None


def match_template(template: str, local_part: str) -> list[dict[str, str]]:
    """Return all ways in which *template* gives *local_part*, shortest parts first.

    "{role}.{committee}" gives "a.b.c" in two ways. No part is empty. More than
    MATCHES_LIMIT ways are not looked for.
    """
    if len(local_part) > LOCAL_PART_LIMIT:
        return []
    search = _Search()
    search.run(_PLACEHOLDER.split(template.lower()), local_part.lower(), {})
    return search.matches


@dataclass(slots=True)
class _Search:
    """What one search has found, and what it need not try twice.

    Without the second, a long local part could cost millions of steps.
    """

    matches: list[dict[str, str]] = field(default_factory=list)
    dead: set[tuple[str | None, ...]] = field(default_factory=set)

    def run(self, pieces: list[str], text: str, parts: dict[str, str]) -> None:
        """Find how *pieces*, literals and between them names, give *text*."""
        literal, *rest = pieces
        if not rest:
            self.matches += [parts] if text == literal else []
            return
        state = (*pieces, text, *map(parts.get, rest[::2]))
        if state in self.dead or not text.startswith(literal):
            return
        before = len(self.matches)
        self._try_parts(rest, text[len(literal) :], parts)
        if len(self.matches) == before:
            self.dead.add(state)

    def _try_parts(self, rest: list[str], text: str, parts: dict[str, str]) -> None:
        name, *after = rest
        for end in range(1, len(text) + 1):
            if len(self.matches) >= MATCHES_LIMIT:
                return
            value = text[:end]
            if text.startswith(after[0], end) and parts.get(name, value) == value:
                self.run(after, text[end:], {**parts, name: value})


def _author_mailbox(message: Message) -> re.Match[str] | None:
    fields = list(message.named("from"))
    if len(fields) != 1 or len(fields[0].line) > AUTHOR_LIMIT_BYTES:
        return None
    value = fields[0].body.decode("latin-1")
    mailbox = _ANGLED.fullmatch(value) or _BARE.fullmatch(value)
    return mailbox if mailbox and usable_address(mailbox["address"]) else None


def _unquoted(phrase: str) -> str:
    """Return *phrase* as it is shown; a comment only where there is nothing else."""
    words, comments = [], []
    for quoted, comment, plain in _NAME_TOKEN.findall(phrase):
        words.append(_QUOTED_PAIR.sub(r"\1", quoted) or plain)
        comments.append(comment)
    shown = "".join(words).strip() or " ".join(comments)
    return decoded(shown.encode("latin-1"))


def _scanned(text: str) -> Iterator[str]:
    for token in _SCAN.finditer(text):
        if token["address"]:
            yield token["address"].rstrip(".-")
        elif token["open"] is not None:
            # A quote that nobody closed hides nothing.
            yield from _scanned(text[token.start() :].replace('"', " "))
