"""Providers: whose a domain is, by the exchanges that take its mail.

A provider is told by the suffixes of its exchanges' names. One exchange that is
not the provider's is enough to say nothing: a filter in front of Microsoft has
limits of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OTHER = "other"

# Names that nobody can have (RFC 2606, RFC 6761, and RFC 6762 for .local). The
# database reads this expression, too.
RESERVED = r"(^|\.)(test|example|invalid|localhost|local|example\.(com|net|org))$"
_RESERVED = re.compile(RESERVED)


def is_looked_up(domain: str) -> bool:
    """Whether the DNS could say anything about *domain*, in lower case."""
    return not _RESERVED.search(domain)


def provider_by_exchanges(hosts: Iterable[str], suffixes: Mapping[str, str]) -> str | None:
    """Return the one provider of all *hosts* by *suffixes*; None if there is no such one.

    A domain without an exchange has none, and one that takes no mail, whose
    exchange is ``.`` (RFC 7505), is nobody's.
    """
    providers = {_provider_of(host, suffixes) for host in hosts}
    return providers.pop() if len(providers) == 1 else None


def _provider_of(host: str, suffixes: Mapping[str, str]) -> str | None:
    labels = host.lower().removesuffix(".").split(".")
    ends = (".".join(labels[at:]) for at in range(len(labels)))
    return next((suffixes[end] for end in ends if end in suffixes), None)
