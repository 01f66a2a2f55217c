"""The way of a message through its host: which Received fields are the host's own.

A stranger writes everything below the Received by which the host took the
message over, and words in that one as well: the name after HELO, the name of
his address, the recipient. What he cannot do is hide the address he came from,
so that a public address anywhere in the from clause ends the host's zone. So
does a hand-over that does not say how it came about.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.mail.header import Message
    from worker.mail.host import HostRecipe

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# RFC 5321, section 4.5.3.1.6, has lines of 1000; no server folds ten of them.
_FIELD_LIMIT_BYTES = 10_000
# No host hands over so often to itself.
_HOPS_LIMIT = 30
# A closed list: whatever is not in it may be anybody.
_INTERNAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
        *("127.0.0.0/8", "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10"),
    )
)
_NETWORK_BITS = {4: 24, 6: 48}  # What one customer of a network keeps over the days.

_BY = re.compile(r"(?<!\S)by\s++([^\s;()]++)", re.IGNORECASE)
_WITH = re.compile(r"(?<!\S)with\s++([^\s;()]++)", re.IGNORECASE)
_FOR = re.compile(r"(?<!\S)for\s++([^\s;]++)", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9_.-]++", re.IGNORECASE)
_ADDRESS = re.compile(r"(?<![\w.:-])(?:IPv6:)?([0-9a-f]*+[.:][0-9a-f.:]++)(?![\w-])", re.IGNORECASE)
# Their last letter would be A if somebody had logged in (RFC 3848).
_SMTP = re.compile(r"e?smtps?", re.IGNORECASE)
_LMTP = re.compile(r"lmtps?", re.IGNORECASE)
_QMAIL_FROM_NETWORK = re.compile(r"\(qmail \d{1,10} invoked from network\)")
_IN_COMMENT = re.compile(r"\(([^()]++)\)")
_COMMENT_TOKEN = re.compile(r'\\.|"(?:[^"\\]|\\.)*+"?|[()]|[^()\\"]++|.', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Hop:
    """One Received field (RFC 5321, section 4.4): who took the message over, from whom."""

    at: int  # Its place among the fields of the message.
    text: str
    source: str  # The from clause, with its comments; "" if there is none.
    by: str
    protocol: str
    recipient: str  # What follows "for", as written.


@dataclass(frozen=True, slots=True)
class OwnHops:
    """The host's own hops, topmost first.

    The *border* is the last of them: the host took the message over from outside.
    Without one, it never came from outside, or the zone ends where nobody knows.
    """

    hops: tuple[Hop, ...]
    border: Hop | None


def own_hops(message: Message, host: HostRecipe, *, trust_names: bool = False) -> OwnHops:
    """Return the hops of *message* that *host* wrote.

    *trust_names* goes on where something that calls itself the host's own server
    came from a public address. That is enough to find the recipient, whom a
    stranger chooses anyway; it proves nothing.
    """
    hops: list[Hop] = []
    for hop in islice(_hops(message), _HOPS_LIMIT):
        if host.received_by and hop.by and not host.is_own_server(hop.by):
            break
        hops.append(hop)
        if _is_from_outside(hop, host, trust_names=trust_names):
            return OwnHops(tuple(hops), hop)
    return OwnHops(tuple(hops), None)


def client_network(border: Hop) -> str:
    """Return the network of the client that the host saw: a /24, or a /48 of IPv6; or "".

    The name after HELO is the client's choice and may be an address, so that
    there must be no second one, and the one must stand where the host writes it.
    """
    public = {address for address in _addresses(border.source) if not _is_internal(address)}
    noted = set(_addresses(" ".join(_IN_COMMENT.findall(border.source))))
    if len(public) != 1 or not public <= noted:
        return ""
    (address,) = public
    prefix = _NETWORK_BITS[address.version]
    return str(ipaddress.ip_network(f"{address}/{prefix}", strict=False))


def without_comments(text: str) -> str:
    """Return *text* with a space for each comment, nested or not (RFC 5322, section 3.2.2)."""
    kept: list[str] = []
    depth = 0
    for token in _COMMENT_TOKEN.finditer(text):
        word = token[0]
        if word == "(":
            depth += 1
        elif word == ")" and depth:
            depth -= 1
            kept.append(" ")
        elif not depth:
            kept.append(word)
    return "".join(kept)


def _hops(message: Message) -> Iterator[Hop]:
    for at, field in enumerate(message.fields):
        if field.name == "received":
            yield _read_hop(at, field.body[:_FIELD_LIMIT_BYTES].decode("latin-1"))


def _read_hop(at: int, text: str) -> Hop:
    """Read one Received field.

    The last "by" is the server's: a stranger can put one into what precedes it,
    the name after HELO. If he puts one into the recipient, which follows it, the
    hop is nobody's, and the zone ends.
    """
    plain = without_comments(text)
    by = _last(_BY, plain)
    ended = _last(_BY, text)
    rest = plain[by.end() :] if by else ""
    recipient = _FOR.search(rest)
    protocol = _WITH.search(rest[: recipient.start()] if recipient else rest)
    return Hop(
        at=at,
        text=text,
        source=text[: ended.start() if ended else None] if text[:4].lower() == "from" else "",
        by=by[1].rstrip(".") if by else "",
        protocol=protocol[1] if protocol else "",
        recipient=recipient[1] if recipient else "",
    )


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = None
    for found in pattern.finditer(text):
        last = found
    return last


def _is_from_outside(hop: Hop, host: HostRecipe, *, trust_names: bool) -> bool:
    if not hop.source:
        return not _says_nothing_of_outside(hop)
    addresses = list(_addresses(hop.source))
    if not addresses:  # Some hosts hide whom they had a message from.
        return _LMTP.fullmatch(hop.protocol) is None
    is_own = any(host.is_own_server(name) for name in _NAME.findall(hop.source))
    if not all(map(_is_internal, addresses)):
        return not (trust_names and is_own)
    # The web servers of a host's customers have internal addresses, too.
    return bool(host.received_by) and not is_own and not all(a.is_loopback for a in addresses)


def _says_nothing_of_outside(hop: Hop) -> bool:
    """Tell whether a hop without a from clause is a host's own hand-over.

    Google writes an address after "by". Anything else may be a program on that
    machine, or a host that hides its clients.
    """
    if _QMAIL_FROM_NETWORK.match(hop.text) or _LMTP.fullmatch(hop.protocol):
        return True
    return _SMTP.fullmatch(hop.protocol) is not None and any(_addresses(hop.by))


def _is_internal(address: Address) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in network for network in _INTERNAL)


def _addresses(text: str) -> Iterator[Address]:
    for written in _ADDRESS.findall(text):
        try:
            yield ipaddress.ip_address(written.rstrip("."))
        except ValueError:
            continue
