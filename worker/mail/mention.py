"""Addresses that a notice in free text names: whom it is about, and what it says of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from itertools import islice
from typing import TYPE_CHECKING

from worker.mail.diagnosis import REPLY_CODE
from worker.mail.dsn import ADDRESS, ANY_ADDRESS, DIAGNOSTIC_LIMIT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_LINES_LIMIT = 1000
_MENTIONS_LIMIT = 100
_NAMED_LIMIT = 20  # What is said of each is read.
_LINE_LIMIT = 2000
_BEFORE_LIMIT = 80
_PARAGRAPH_LIMIT = 30  # lines
_SHORTEST_WHY = 24  # "could not be delivered" is none.

# A line may begin with the address, with what it is, or with the code of the reply.
_LABEL = (
    r"(?:(?:failed |final |original |intended |invalid |envelope |e-?mail |forward )?"
    r"(?:recipient|address|user|mailbox|to|rcpt to|destinataires?|adresse|empf[aä]nger"
    r"|destinatario|an|para|для|кому)"
    r"(?:s|\(s\)|es)?(?: address(?:es)?| e-?mail)?[ \t]*+[:=][ \t]*+)"
)
_CODE = r"(?:[45]\d\d(?:[ -][45]\.\d{1,3}\.\d{1,3})?[ \t:-]{1,3})"
# "a@b.c <d@e.f>": the first one is a name.
_NAME = r"(?:[^\s<>@]{1,64}@[^\s<>]{1,250}[ \t]+(?=<))"
_LEADING = re.compile(
    rf"[\s>|*\-•·]*+{_CODE}?{_LABEL}?(?:rfc822;|smtp:|mailto:)?[ \t]*{_NAME}?[\"'<(\[]*({ADDRESS})",
    re.IGNORECASE,
)
# In a sentence, what is right before it.
_MEANT = re.compile(
    r"(?:\bto|\bfor|recipients?|address(?:es)?|user|mailbox|rcpt|destinataires?|l'adresse"
    r"|\b[aà]|\ban|\bpara|\bnach|\bal?la)[\s:]*[\"'<(\[*]*$",
    re.IGNORECASE,
)
_NOT_MEANT = re.compile(
    r"(?:from|sender|contact|writ\w+ to|reply[- ]to|send (?:mail|e-?mail|a message)?[\w ]*to"
    r"|forward\w*[\w ]*to|help|support|questions?|assistance|exp[eé]diteur|de la part de|absender"
    r"|remitente|mittente|[eé]crire? [aà]|[eé]crire d[eé]sormais"
    r"|contacter|return-path|message-id|sent by|on behalf of"
    r"|please (?:e-?mail|use|try))[^@]{0,25}$",
    re.IGNORECASE,
)
# A field of our message that is shown: "To:", beside "Subject:".
_TO = re.compile(r"\s*(?:to|[aà]|an|para)\s*:", re.IGNORECASE)
_BESIDE = re.compile(
    r"\s*(?:subject|sent|date|from|objet|envoy[eé]|betreff|gesendet|asunto|enviado)[ \t]*:",
    re.IGNORECASE,
)
# Whom a notice tells the reader to ask.
_HELPERS = ("postmaster@", "mailer-daemon@", "abuse@", "support@", "helpdesk@", "help@")
_KEEPS_A_LIST = re.compile(r"-(?:ctl|request|help|owner|admin|unsubscribe)@")
_ANNOUNCES = re.compile(r"(?:recipient|address|user)[\w()]{0,5}[^:]{0,200}:\s*$", re.IGNORECASE)
_NAME_ALONE = re.compile(r"\s*([a-z0-9][\w.+-]{1,63})\s*$", re.IGNORECASE)
_DIALOGUE = re.compile(r"\s*(?:>>>|<<<)")
_REPLY_LINE = re.compile(r"\s*(?:<<< )?[45]\d\d ")
_LINK = re.compile(r"\b(?:https?|ftp)://\S+|//\S+/\S*", re.IGNORECASE)


# The heading of those who got it.
_HAVE_IT = re.compile(
    r"\b(?:did receive|(?:was|were|been|successfully) (?:delivered|relayed|sent)|have received)",
    re.IGNORECASE,
)
_HAVE_IT_NOT = re.compile(r"not |n't |fail|unable", re.IGNORECASE)


class _Place(Enum):
    """Where an address stands in a text, from what says most."""

    LEADING = auto()
    MEANT = auto()
    DIALOGUE = auto()
    FIELD = auto()
    ELSEWHERE = auto()
    NAME_ALONE = auto()
    NOT_MEANT = auto()  # Whom the reader may ask, or who wrote.


@dataclass(frozen=True, slots=True)
class Mention:
    """An address that a text names, and where in its lines."""

    address: str
    line: int
    at: int


def find_mentions(text: str, *, own: Collection[str], domain: str) -> list[Mention]:
    """Return whom *text* is most likely about, each once.

    *own* addresses (lower case) never are; names that stand alone where
    recipients are announced are of the system's own *domain*.
    """
    lines = [_LINK.sub(" ", line[:_LINE_LIMIT]) for line in text.splitlines()[:_LINES_LIMIT]]
    found: dict[_Place, list[Mention]] = {place: [] for place in _Place}
    for place, mention in islice(_placed(lines), _MENTIONS_LIMIT):
        found[place].append(mention)
    found[_Place.NAME_ALONE] = list(_names_alone(lines, domain)) if domain else []
    found[_Place.NOT_MEANT] = []
    candidates = (_unique(found[place], own) for place in _Place)
    return next((mentions for mentions in candidates if mentions), [])


def begins_with_address(text: str) -> bool:
    """Whether one of the first lines is about an address."""
    lines = [line for line in text[:1500].splitlines() if line.strip()][:12]
    return any(_LEADING.match(line) for line in lines)


def said_of(text: str, mention: Mention) -> str:
    """Return what *text* says of one address, to the end of its paragraph."""
    lines = text.splitlines()[mention.line : mention.line + _PARAGRAPH_LIMIT]
    if not lines:
        return ""
    first = lines[0][:_LINE_LIMIT]
    before, after = first[: mention.at], first[mention.at + len(mention.address) :]
    # "554 <address>... why" has its code before it.
    said = [before + after if REPLY_CODE.search(before) else after.strip(" \t<>:.,;()\"'")]
    for line in lines[1:]:
        if not line.strip():
            if len(" ".join(said).strip(" -<>:.")) >= _SHORTEST_WHY:
                break
        elif _begins_another(line, first, mention):
            break
        else:
            said.append(line[:_LINE_LIMIT])
    return " ".join(" ".join(said).strip(" \t\r\n<>:.,;\"'").split())[:DIAGNOSTIC_LIMIT]


def _placed(lines: list[str]) -> Iterator[tuple[_Place, Mention]]:
    margin: int | None = None
    have_it = False
    for number, line in enumerate(lines):
        if line.rstrip().endswith(":"):  # A heading.
            have_it = _HAVE_IT.search(line) is not None and _HAVE_IT_NOT.search(line) is None
        if have_it:
            continue
        head = _LEADING.match(line)
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            margin = None
        elif margin is not None and indent > margin:
            head = None  # What is said of the one above.
        elif head is not None:
            margin = indent
        for match in ANY_ADDRESS.finditer(line):
            mention = Mention(match[0].rstrip("."), number, match.start())
            leads = head is not None and match.start() == head.start(1)
            yield _place(lines, mention, leads=leads), mention


def _place(lines: list[str], mention: Mention, *, leads: bool) -> _Place:
    if _KEEPS_A_LIST.search(mention.address.lower()):
        return _Place.NOT_MEANT
    before = lines[mention.line][max(0, mention.at - _BEFORE_LIMIT) : mention.at]
    if leads and _DIALOGUE.match(before):
        return _Place.DIALOGUE
    if leads:
        around = lines[max(0, mention.line - 2) : mention.line + 3]
        is_field = _TO.match(before) and any(map(_BESIDE.match, around))
        return _Place.FIELD if is_field else _Place.LEADING
    if _NOT_MEANT.search(before):
        return _Place.NOT_MEANT
    if _MEANT.search(before):
        return _Place.MEANT
    is_helper = mention.address.lower().startswith(_HELPERS)
    return _Place.NOT_MEANT if is_helper else _Place.ELSEWHERE


def _unique(mentions: list[Mention], own: Collection[str]) -> list[Mention]:
    unique: dict[str, Mention] = {}
    for mention in mentions:
        if mention.address.lower() not in own:
            unique.setdefault(mention.address.lower(), mention)
    # "W32.Bugbear@mm" is none, where there is another.
    dotted = [mention for name, mention in unique.items() if "." in name.rpartition("@")[2]]
    return (dotted or list(unique.values()))[:_NAMED_LIMIT]


def _names_alone(lines: list[str], domain: str) -> Iterator[Mention]:
    """Yield local parts that are announced and stand alone."""
    is_announced = False
    for number, line in enumerate(lines):
        name = _NAME_ALONE.match(line)
        if is_announced and name:
            yield Mention(f"{name[1]}@{domain}", number, 0)
        elif line.strip():
            is_announced = _ANNOUNCES.search(line[-250:]) is not None


def _begins_another(line: str, first: str, mention: Mention) -> bool:
    """Whether *line* is about another address, or another reply of a dialogue."""
    if _REPLY_LINE.match(line) and _REPLY_LINE.match(first):
        return True
    leads = _LEADING.match(line) is not None and mention.address not in line
    return leads and not _REPLY_LINE.match(line)
