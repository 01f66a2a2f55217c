"""For whom a message is: the envelope's recipient, as far as the host tells.

All addresses of our domain end in one mailbox, so that the list must be read from
what the host noted at delivery. Where it noted nothing, To and Cc are asked,
which show no blind copy, and not who was really written to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.mail.address import addresses_in, local_part_of
from worker.mail.host import RECEIVED_FOR
from worker.mail.received import own_hops

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.mail.header import Message
    from worker.mail.host import HostRecipe

_NAMED_IN = ("to", "cc", "resent-to", "resent-cc")


def envelope_recipients(
    message: Message, *, host: HostRecipe, domain: str, account: str = ""
) -> tuple[str, ...]:
    """Return the local parts in *domain* that *message* is for, in lower case.

    The first of the host's fields that names one decides; of several fields of
    one name the topmost, for what stands below may be forged. *account* is the
    login of the mailbox: who is named by this alone is not named.
    """
    own = local_part_of(account, domain)
    for source in _sources(message, host=host, domain=domain):
        found = tuple(local_part for local_part in source if local_part != own)
        if found:
            return found
    return ()


def named_recipients(message: Message, domain: str) -> tuple[str, ...]:
    """Return the local parts in *domain* that To and Cc show, each once.

    Anyone can write these.
    """
    shown = (
        local_part
        for name in _NAMED_IN
        for field in message.named(name)
        for local_part in _local_parts(field.body, domain)
    )
    return tuple(dict.fromkeys(shown))


def split_detail(local_part: str) -> tuple[str, str]:
    """Split ``base+detail`` (RFC 5233). Look for the whole first: it may be a name as well."""
    base, _, detail = local_part.partition("+")
    return (base, detail) if base else (local_part, "")


def _sources(message: Message, *, host: HostRecipe, domain: str) -> Iterator[tuple[str, ...]]:
    for name in host.recipient_headers:
        if name == RECEIVED_FOR:
            yield _received_for(message, host, domain)
            continue
        topmost = message.first(name.lower())
        if topmost is None:
            continue
        if host.prefixes_domain:
            yield _unprefixed(topmost.body, domain)
        yield _local_parts(topmost.body, domain)
        if host.prefixes_domain:
            yield _redirected(message, name.lower(), host=host, domain=domain)
    yield named_recipients(message, domain)


def _received_for(message: Message, host: HostRecipe, domain: str) -> tuple[str, ...]:
    """Return whom the outermost hop of the host's own was for.

    Further in, the host may have looked up the mailbox already. Postfix leaves
    it out if there are several.
    """
    hops = own_hops(message, host, trust_names=True).hops
    return _local_parts(hops[-1].recipient.encode("latin-1"), domain) if hops else ()


def _redirected(message: Message, name: str, *, host: HostRecipe, domain: str) -> tuple[str, ...]:
    """Return whom an older field names that the host wrote before it redirected the message."""
    end = _end_of_zone(message, host)
    for field in message.fields[:end]:
        found = _unprefixed(field.body, domain) if field.name == name else ()
        if found:
            return found
    return ()


def _end_of_zone(message: Message, host: HostRecipe) -> int:
    """Return how many fields the host wrote: up to the border, or to a hop that is not its own."""
    own = own_hops(message, host, trust_names=True)
    if own.border:
        return own.border.at
    places = (at for at, field in enumerate(message.fields) if field.name == "received")
    return next(
        (at for number, at in enumerate(places) if number == len(own.hops)), len(message.fields)
    )


def _unprefixed(body: bytes, domain: str) -> tuple[str, ...]:
    """Read ``DOMAIN-LOCAL@DOMAIN``: what precedes the hyphen is no part of our name.

    It is taken away first, since with it a local part of ours may be too long.
    """
    text = body.lower().strip(b"<> \t")
    prefix = f"{domain.lower()}-".encode()
    return _local_parts(text.removeprefix(prefix), domain) if text.startswith(prefix) else ()


def _local_parts(body: bytes, domain: str) -> tuple[str, ...]:
    found = (local_part_of(address, domain) for address in addresses_in(body))
    return tuple(dict.fromkeys(local_part for local_part in found if local_part))
