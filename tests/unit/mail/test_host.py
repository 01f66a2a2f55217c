"""The table of hosts is whole, and its patterns are of whole names."""

from __future__ import annotations

import re

import pytest

from worker.mail.host import HOSTS, RECEIVED_FOR, HostRecipe, Results


@pytest.mark.parametrize("recipe", HOSTS.values(), ids=HOSTS)
def test_recipe(recipe: HostRecipe) -> None:
    """Each names where to look, and is readable."""
    assert recipe.recipient_headers
    assert all(
        name == RECEIVED_FOR or re.fullmatch(r"[A-Za-z-]+", name)
        for name in recipe.recipient_headers
    )
    assert len(set(recipe.recipient_headers)) == len(recipe.recipient_headers)
    re.compile(recipe.authserv_id)
    re.compile(recipe.received_by)
    # A name that is not given is believed only where nobody else can be topmost.
    assert not recipe.is_own_authserv_id("")
    assert recipe.results is not Results.TOPMOST or recipe.received_by


SERVERS = {
    "OVH, in": ("ovh", "in31.mail.ovh.net", True),
    "OVH, out": ("ovh", "MO548.mail-out.ovh.net", True),
    "OVH, Exchange": ("ovh", "DAG6EX1.mxp5.local", True),
    "OVH, a customer's": ("ovh", "vps-1.vps.ovh.net", False),
    "OVH, a customer's site": ("ovh", "cluster028.hosting.ovh.net", False),
    "OVH, longer": ("ovh", "in31.mail.ovh.net.evil.example", False),
    "Gandi": ("gandi", "nmboxes159.sd4.0x35.net", True),
    "Gandi, look-alike": ("gandi", "notgandi.net", False),
    "Microsoft": ("microsoft", "VE1EUR01FT012.mail.protection.outlook.com", True),
    "Microsoft, look-alike": ("microsoft", "evil-outlook.com", False),
    "not known": ("other", "mx.host.example", False),
    "too long": ("gandi", "a." * 200 + "gandi.net", False),
}


@pytest.mark.parametrize(("host", "name", "own"), SERVERS.values(), ids=SERVERS)
def test_is_own_server(host: str, name: str, *, own: bool) -> None:
    """What customers may call themselves is not the host's."""
    assert HOSTS[host].is_own_server(name) == own


AUTHSERV_IDS = {
    "OVH": ("ovh", "in31.mail.ovh.net", True),
    "OVH, a login": ("ovh", "garm.ovh", False),
    "Google": ("google", "MX.google.com", True),
    "Google, any letter for a dot": ("google", "mxxgoogle.com", False),
    "Fastmail": ("fastmail", "phl-mx-07.messagingengine.com", True),
    "IONOS": ("ionos", "kundenserver.de", True),
    "nobody": ("other", "", False),
}


@pytest.mark.parametrize(("host", "name", "own"), AUTHSERV_IDS.values(), ids=AUTHSERV_IDS)
def test_is_own_authserv_id(host: str, name: str, *, own: bool) -> None:
    """Only whole names count, in any letters."""
    assert HOSTS[host].is_own_authserv_id(name) == own
