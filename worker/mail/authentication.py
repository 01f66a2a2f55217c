"""Who wrote a message, as far as our host has checked it (RFC 8601).

Anyone can write an Authentication-Results field. One is believed if it bears our
host's name and stands where only our host writes: above the Received by which
it took the message over (worker/mail/received.py), or where its recipe says.
What is in doubt proves nothing: then we verify the DKIM signatures ourselves
(worker/lookup), or the author is asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

from publicsuffixlist import PublicSuffixList

from worker.mail.address import read_author
from worker.mail.authentication_results import (
    AuthenticationResults,
    domain_of,
    read_authentication_results,
)
from worker.mail.host import Results
from worker.mail.received import own_hops

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.mail.authentication_results import Result
    from worker.mail.header import Message
    from worker.mail.host import HostRecipe

_FIELDS_LIMIT = 100
_POLICY_NONE = re.compile(r"(?<![a-z.])(?:p|policy|action)\s*+=\s*+none\b", re.IGNORECASE)
_UNREAD = AuthenticationResults("", ())


class Authenticity(Enum):
    """Whether the From of a message is its author's own."""

    PROVEN = "proven"
    FAILED = "failed"  # The domain of the From asks not to believe it.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Authentication:
    """What is known of a message's author, and by what.

    A *method* with the verdict UNKNOWN is one that came to no end. Without any,
    the host has said nothing of use, and our own verification may.
    """

    verdict: Authenticity = Authenticity.UNKNOWN
    method: str = ""  # dmarc, dkim, spf (weaker: it does not cover the From) or auth.
    domain: str = ""  # That of the proof; without one, of whoever signed.
    forged: bool = (
        False  # A field in our host's name below its border; also if it came by there twice.
    )
    return_path_domain: str = ""  # Unproven by itself.


def authenticate(message: Message, *, host: HostRecipe) -> Authentication:
    """Return what *host* has found out about the author of *message*."""
    trusted, forged = _trusted(message, host)
    results = [result for field in trusted for result in field.results]
    author = read_author(message)
    nothing = (Authenticity.UNKNOWN, "", "")
    verdict, method, domain = _judge(results, author.lower()) if author else nothing
    return_path = domain_of(message.value("return-path"))
    return Authentication(verdict, method, domain, forged, return_path)


def is_aligned(domain: str, other: str) -> bool:
    """Tell whether two domains have one owner (DMARC's relaxed alignment, RFC 9989)."""
    if not domain or not other:
        return False
    owner = _organizational_domain(domain)
    return domain == other or (bool(owner) and owner == _organizational_domain(other))


def _judge(results: list[Result], author: str) -> tuple[Authenticity, str, str]:
    """Return the verdict, the method it rests on, and its domain.

    Of several verdicts of one method the worst counts: a stranger who smuggles in
    one of his own cannot take away the verifier's. So a bad signature of somebody
    else's spoils a good one here, and our own verification decides.
    """
    domain = domain_of(author)
    signers = _signers(results)
    signed_by = next(iter(signers), "")
    dmarc = [result for result in results if result.method == "dmarc"]
    failed = [result for result in dmarc if result.value == "fail"]
    if failed:
        lenient = all(_POLICY_NONE.search(_all_words(result)) for result in failed)
        return Authenticity.UNKNOWN if lenient else Authenticity.FAILED, "dmarc", signed_by
    if _all_pass(dmarc) and all(r.domain_of("header.from") == domain for r in dmarc):
        return Authenticity.PROVEN, "dmarc", domain
    for signer in signers:
        if is_aligned(signer, domain):
            return Authenticity.PROVEN, "dkim", signer
    if _logged_in(results, author):
        return Authenticity.PROVEN, "auth", domain
    sender = _sender(results)
    if is_aligned(sender, domain):
        return Authenticity.PROVEN, "spf", sender
    return Authenticity.UNKNOWN, "", signed_by


def _signers(results: list[Result]) -> list[str]:
    """Return the domains that signed (RFC 8601, section 2.7.1), if all signatures are good."""
    dkim = [result for result in results if result.method == "dkim"]
    domains = (result.domain_of("header.d", "header.i") for result in dkim)
    return [domain for domain in domains if domain] if _all_pass(dkim) else []


def _logged_in(results: list[Result], author: str) -> bool:
    """Tell whether the author had logged in at our host (RFC 8601, section 2.7.4)."""
    auth = [result for result in results if result.method == "auth"]
    return _all_pass(auth) and all(r.properties.get("smtp.auth") == author for r in auth)


def _sender(results: list[Result]) -> str:
    """Return the domain of the return address, if its owner sent the message.

    A pass for the name after HELO says nothing of it.
    """
    spf = [result for result in results if result.method == "spf"]
    names = ("smtp.mailfrom", "smtp.mail", "smtp.envelope-from")
    domains = {domain for result in spf if (domain := result.domain_of(*names))}
    return domains.pop() if _all_pass(spf) and len(domains) == 1 else ""


def _all_pass(results: list[Result]) -> bool:
    return bool(results) and all(result.passes for result in results)


def _all_words(result: Result) -> str:
    told = " ".join(f"{name}={value}" for name, value in result.properties.items())
    return f"{result.comment} {told}"


def _trusted(message: Message, host: HostRecipe) -> tuple[list[AuthenticationResults], bool]:
    """Return the fields that *host* wrote, and whether others bear its name below them."""
    border = own_hops(message, host, trust_names=host.results is Results.TOPMOST).border
    if border is None:
        return [], False
    fields = dict(islice(_results_fields(message), _FIELDS_LIMIT))
    ours = {at for at, field in fields.items() if host.is_own_authserv_id(field.authserv_id)}
    match host.results:
        case Results.ABOVE:
            trusted = {at for at in ours if at < border.at}
        case Results.BELOW:
            place = _place_below(message, border.at)
            trusted = {at for at in ours & {place} if fields[at].authserv_id == border.by.lower()}
        case Results.TOPMOST:
            above = [at for at in fields if at < border.at]
            trusted = {at for at in above[:1] if _may_be_topmost(fields[at], host)}
    forged = any(at > border.at for at in ours - trusted)
    return [fields[at] for at in sorted(trusted)], forged


def _may_be_topmost(field: AuthenticationResults, host: HostRecipe) -> bool:
    if host.authserv_id:
        return host.is_own_authserv_id(field.authserv_id)
    return not field.authserv_id


def _place_below(message: Message, border: int) -> int:
    """Return where the host's verdict follows its Received; of its own it writes SPF's between."""
    at = border + 1
    while at < len(message.fields) and message.fields[at].name == "received-spf":
        at += 1
    return at


def _results_fields(message: Message) -> Iterator[tuple[int, AuthenticationResults]]:
    for at, field in enumerate(message.fields):
        if field.name == "authentication-results":
            # What is not whole keeps its place: the next is not the topmost.
            yield at, read_authentication_results(field.body) or _UNREAD


def _organizational_domain(domain: str) -> str:
    return _public_suffixes().privatesuffix(domain) or ""


@cache
def _public_suffixes() -> PublicSuffixList:
    """Read the list that comes with the package; it is never fetched."""
    return PublicSuffixList()
