"""Reading what an IMAP server says (RFC 3501, section 7).

The server may say more than it was asked: news of other clients comes in the
midst of our own answers. So everything is found by what it is, never by where
it stands, and what cannot be read is left out; nothing here raises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from .names import FolderNames

if TYPE_CHECKING:
    from collections.abc import Iterable

_EXISTS = re.compile(rb"(\d{1,10}) EXISTS\b", re.IGNORECASE)
_EXPUNGE = re.compile(rb"\d{1,10} EXPUNGE\b", re.IGNORECASE)
_SEARCH = re.compile(rb"SEARCH((?: \d{1,10})*)", re.IGNORECASE)
_CAPABILITY = re.compile(rb"CAPABILITY (.*)", re.IGNORECASE)
_UIDVALIDITY = re.compile(rb"OK \[UIDVALIDITY (\d{1,10})\]", re.IGNORECASE)
_COPYUID = re.compile(rb"\[COPYUID \d{1,10} \d{1,10} (\d{1,10})\]", re.IGNORECASE)
_FETCH = re.compile(rb"\d{1,10} FETCH \(", re.IGNORECASE)
_UID = re.compile(rb"[ (]UID (\d{1,10})\b", re.IGNORECASE)
_SIZE = re.compile(rb"[ (]RFC822\.SIZE (\d{1,10})\b", re.IGNORECASE)
_INTERNALDATE = re.compile(rb'[ (]INTERNALDATE "([^"]*)"', re.IGNORECASE)
_BODY_LITERAL = re.compile(rb"[ (]BODY\[\] \{\d+\}$", re.IGNORECASE)
_BODY_QUOTED = re.compile(rb'[ (]BODY\[\] "((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_ESCAPED = re.compile(rb"\\(.)")
_SEPARATOR = rb'(?:"\\?([!-~])"|NIL)'
_LIST = re.compile(rb"LIST \(([^)]*)\) " + _SEPARATOR, re.IGNORECASE)
_NAMESPACE = re.compile(rb'NAMESPACE \(\("((?:[ !#-\[\]-~]|\\.)*)" ' + _SEPARATOR, re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

_QUOTE_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Response:
    """One untagged response: *literals* stand between its *lines*."""

    lines: tuple[bytes, ...]
    literals: tuple[bytes, ...] = ()

    @property
    def text(self) -> bytes:
        """The response without its literals, which are somebody's mail."""
        return b"".join(self.lines)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command brought: the tagged status, and all that came before it."""

    status: str  # OK, NO or BAD
    text: bytes  # What follows the status.
    responses: tuple[Response, ...]


@dataclass(frozen=True, slots=True)
class MessageSize:
    """How large the server says a message is, and when it received it."""

    uid: int
    size_bytes: int  # RFC822.SIZE: some servers only estimate it.
    internal_date: datetime | None


def read_responses(parts: Iterable[bytes | bytearray]) -> tuple[Response, ...]:
    """Put lines (bytes) and literals (bytearray) together again."""
    responses: list[tuple[list[bytes], list[bytes]]] = []
    for part in parts:
        if isinstance(part, bytearray):
            responses[-1][1].append(bytes(part))
        elif responses and len(responses[-1][0]) == len(responses[-1][1]):
            responses[-1][0].append(part)  # What follows a literal belongs to it.
        else:
            responses.append(([part], []))
    return tuple(Response(tuple(lines), tuple(texts)) for lines, texts in responses)


def read_text(text: bytes) -> str:
    """Return what a server wrote for people, fit for a log line."""
    decoded = text.decode("utf-8", "replace")
    return _CONTROLS.sub(" ", decoded).strip()[:_QUOTE_LENGTH]


def read_capabilities(answer: Answer) -> frozenset[str]:
    """Return the names of all that the server can do, in upper case."""
    return frozenset(
        word.decode("ascii", "replace").upper()
        for response in answer.responses
        if (match := _CAPABILITY.match(response.text))
        for word in match[1].split()
    )


def read_exists(line: bytes) -> int | None:
    """Return how many messages *line* says there are, if it does."""
    match = _EXISTS.match(line)
    return int(match[1]) if match else None


def is_bye(line: bytes) -> bool:
    """Whether *line* announces that the server closes the connection."""
    return line[:4].upper().strip() == b"BYE"


def is_expunge(line: bytes) -> bool:
    """Whether *line* says that one message has gone."""
    return _EXPUNGE.match(line) is not None


def read_uidvalidity(answer: Answer) -> int | None:
    """Return the UIDVALIDITY that the server mentions, if it does."""
    for response in answer.responses:
        if match := _UIDVALIDITY.match(response.text):
            return int(match[1])
    return None


def read_search(answer: Answer) -> list[int]:
    """Return what was found, in ascending order."""
    found = {
        int(number)
        for response in answer.responses
        if (match := _SEARCH.match(response.text))
        for number in match[1].split()
    }
    return sorted(found)


def read_size(answer: Answer, uid: int) -> MessageSize | None:
    """Return the size of message *uid*, unless it has gone."""
    for response in _fetched(answer, uid):
        if match := _SIZE.search(response.text):
            return MessageSize(uid, int(match[1]), _read_internal_date(response.text))
    return None


def read_body(answer: Answer, uid: int) -> bytes | None:
    """Return the bytes of message *uid*, unless it has gone."""
    for response in _fetched(answer, uid):
        for line, literal in zip(response.lines, response.literals, strict=False):
            if _BODY_LITERAL.search(line):
                return literal
        if match := _BODY_QUOTED.search(response.text):
            return _ESCAPED.sub(rb"\1", match[1])
    return None


def read_copied_uid(answer: Answer) -> int | None:
    """Return the UID that one copied message has now (RFC 4315, section 3)."""
    # MOVE tells it in an untagged OK (RFC 6851, section 4.3), COPY in the tagged.
    for text in (answer.text, *(response.text for response in answer.responses)):
        if match := _COPYUID.search(text):
            return int(match[1])
    return None


def is_listed(answer: Answer) -> bool:
    """Whether LIST found a folder that can hold messages."""
    unusable = (rb"\noselect", rb"\nonexistent")
    return any(
        not any(flag in match[1].lower() for flag in unusable)
        for response in answer.responses
        if (match := _LIST.match(response.text))
    )


def read_folder_names(answer: Answer) -> FolderNames:
    """Return how folders are named, from NAMESPACE or from LIST "" ""."""
    for response in answer.responses:
        if match := _NAMESPACE.match(response.text):
            prefix = _ESCAPED.sub(rb"\1", match[1]).decode("ascii", "replace")
            return FolderNames(prefix, _separator(match[2]))
        if match := _LIST.match(response.text):
            return FolderNames(separator=_separator(match[2]))
    return FolderNames()


def _fetched(answer: Answer, uid: int) -> Iterable[Response]:
    for response in answer.responses:
        if _FETCH.match(response.text):
            match = _UID.search(response.text)
            if match and int(match[1]) == uid:
                yield response


def _read_internal_date(text: bytes) -> datetime | None:
    match = _INTERNALDATE.search(text)
    if not match:
        return None
    try:
        when = parsedate_to_datetime(match[1].decode("ascii", "replace"))
    except (ValueError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)  # "-0000"


def _separator(found: bytes | None) -> str:
    return found.decode("ascii", "replace") if found else "/"
