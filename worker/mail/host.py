"""What each host writes into the mail that it delivers, and where.

One recipe per host: which field names the envelope's recipient, how its servers
are called, and whose Authentication-Results are its own. Every row can be
replaced by settings in [mailbox]; what a row leaves empty is unknown, and then
nothing is believed that depends on it.

Sources: reference, deliverability, sections 1c and 5, and public samples of the
hosts' own fields. Hosts change their back ends without a word: `doctor` measures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

RECEIVED_FOR = "Received:for"  # Not a field, but the "for" of the Received at the border.


class Results(Enum):
    """Where a host writes its Authentication-Results (RFC 8601, section 5)."""

    ABOVE = "above the Received by which it took the message over"
    BELOW = "directly below that Received"
    TOPMOST = "topmost of all, without a name"


@dataclass(frozen=True, slots=True)
class HostRecipe:
    """How to read what one host writes.

    *authserv_id* and *received_by* are regular expressions of whole names. An
    empty *authserv_id* trusts nobody, but for Results.TOPMOST, where the host
    gives none.
    """

    name: str
    recipient_headers: tuple[str, ...]  # The best first.
    authserv_id: str = ""
    received_by: str = ""
    results: Results = Results.ABOVE
    prefixes_domain: bool = False  # Delivered-To: DOMAIN-LOCAL@DOMAIN, as vpopmail writes it.

    def is_own_server(self, name: str) -> bool:
        """Tell whether *name* is a server of this host's, as far as is known."""
        return bool(self.received_by) and _is_whole(self.received_by, name)

    def is_own_authserv_id(self, name: str) -> bool:
        """Tell whether *name* is what this host signs its verdicts with."""
        return bool(self.authserv_id) and _is_whole(self.authserv_id, name)


_NAME_LIMIT = 255
_GENERIC = ("Delivered-To", "X-Original-To", "Envelope-To")

HOSTS = {
    recipe.name: recipe
    for recipe in (
        HostRecipe("other", _GENERIC),
        # Redirected mail has the mailbox in the topmost Delivered-To and the list
        # in an older one. One name per machine; the relays hand over under
        # private addresses, the last of them to itself.
        HostRecipe(
            "ovh",
            ("Delivered-To", RECEIVED_FOR),
            authserv_id=r"in\d+\.mail\.ovh\.net",
            received_by=r"([a-z0-9-]+\.)*(mail|mail-out|ha)\.ovh\.net|localhost"
            r"|192\.168\.\d+\.\d+|[a-z0-9-]+\.(mxp|p|indiv)\d+\.local",
            prefixes_domain=True,
        ),
        # Delivered-To is the mailbox. Its verdicts stand at the end of the
        # header, where anyone could have written them: not used.
        HostRecipe(
            "gandi",
            (RECEIVED_FOR, "Delivered-To", "X-Original-To"),
            received_by=r"([a-z0-9-]+\.)*(gandi\.net|0x35\.net)",
        ),
        HostRecipe("infomaniak", ("Delivered-To", "X-Original-To", RECEIVED_FOR)),
        HostRecipe(
            "ionos",
            ("Envelope-To", RECEIVED_FOR, "Delivered-To"),
            authserv_id=r"(mx\.)?kundenserver\.de",
        ),
        HostRecipe("cpanel", ("Envelope-To", "Delivered-To", "X-Forwarded-To", RECEIVED_FOR)),
        HostRecipe("lws", ("X-Original-To", "Delivered-To", "Envelope-To", RECEIVED_FOR)),
        # X-Gm-Original-To only if the routing rule asks for it.
        HostRecipe(
            "google",
            ("X-Gm-Original-To", "Delivered-To", RECEIVED_FOR),
            authserv_id=r"mx\.google\.com",
            results=Results.BELOW,
        ),
        # Names no recipient reliably: To and Cc are then asked. Its servers hand
        # over under public IPv6 addresses.
        HostRecipe(
            "microsoft",
            (RECEIVED_FOR,),
            received_by=r"([a-z0-9-]+\.)+(outlook|office365|exchangelabs)\.com",
            results=Results.TOPMOST,
        ),
        HostRecipe(
            "fastmail",
            ("X-Delivered-To", "X-Original-Delivered-To", "X-Resolved-To", RECEIVED_FOR),
            authserv_id=r"([a-z0-9-]+\.)*messagingengine\.com",
        ),
        HostRecipe("mailbox_org", (*_GENERIC, RECEIVED_FOR)),
    )
}


def _is_whole(pattern: str, name: str) -> bool:
    # A site's pattern may take long for what no name is (RFC 1035, section 2.3.4).
    return len(name) <= _NAME_LIMIT and _compiled(pattern).fullmatch(name) is not None


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
