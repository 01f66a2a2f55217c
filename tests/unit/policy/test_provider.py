"""Whose a domain is, by its exchanges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.policy.provider import is_looked_up, provider_by_exchanges

SUFFIXES = {
    "mail.protection.outlook.com": "outlook",
    "mx.microsoft": "outlook",
    "google.com": "google",
    "googlemail.com": "google",
    "gmx.net": "gmx",
}

MICROSOFT = "club-fr.mail.protection.outlook.com"
GOOGLE = "aspmx.l.google.com"
HOSTS = {
    "hosted at Microsoft": ([MICROSOFT], "outlook"),
    "in capitals, with a dot": (["Club-FR.Mail.Protection.OUTLOOK.com."], "outlook"),
    "the suffix itself": (["mx.microsoft"], "outlook"),
    "two suffixes of one provider": (["a.mx.microsoft", MICROSOFT], "outlook"),
    "five exchanges": ([GOOGLE, *(f"alt{n}.{GOOGLE}" for n in range(1, 5))], "google"),
    "one that is a stranger's": ([GOOGLE, "mx.filter.example"], None),
    "two providers": ([GOOGLE, "mx00.gmx.net"], None),
    "strangers only": (["mx1.ovh.net", "mx2.ovh.net"], None),
    "no label of its own": (["notgoogle.com"], None),
    "a suffix in the middle": (["google.com.evil.example"], None),
    "a part of a suffix": (["outlook.com"], None),
    "no exchange": ([], None),
    "takes no mail": (["."], None),
    "takes no mail, written otherwise": ([""], None),
}


@pytest.mark.parametrize(("hosts", "provider"), HOSTS.values(), ids=HOSTS)
def test_provider_by_exchanges(hosts: list[str], provider: str | None) -> None:
    """All exchanges must be of the same provider."""
    assert provider_by_exchanges(hosts, SUFFIXES) == provider


LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=5).map(".".join)


@given(st.lists(st.tuples(NAMES, st.sampled_from(["google.com", "googlemail.com"])), min_size=1))
def test_names_below_a_suffix(exchanges: list[tuple[str, str]]) -> None:
    """However many there are, and whatever stands before the suffix."""
    hosts = [f"{name}.{suffix}" for name, suffix in exchanges]

    assert provider_by_exchanges(hosts, SUFFIXES) == "google"
    assert provider_by_exchanges([*hosts, "mx.stranger.example"], SUFFIXES) is None


@given(st.lists(st.text(max_size=50), max_size=5))
def test_anything_may_be_a_host(hosts: list[str]) -> None:
    """The DNS holds what strangers write; the answer is one of our providers, or none."""
    found = provider_by_exchanges(hosts, SUFFIXES)

    assert found in {None, *SUFFIXES.values()}
    assert provider_by_exchanges(reversed(hosts), SUFFIXES) == found


LOOKED_UP = {
    "club-nantes.fr": True,
    "test.fr": True,
    "example.fr": True,
    "myexample.com": True,
    "latest": True,
    "contest.org": True,
    "free.test": False,
    "club.example": False,
    "example.com": False,
    "mail.example.org": False,
    "example.net": False,
    "a.invalid": False,
    "localhost": False,
    "mail.localhost": False,
    "printer.local": False,
}


@pytest.mark.parametrize(("domain", "expected"), LOOKED_UP.items(), ids=LOOKED_UP)
def test_is_looked_up(domain: str, *, expected: bool) -> None:
    """Names that nobody can have are asked of nobody."""
    assert is_looked_up(domain) is expected
