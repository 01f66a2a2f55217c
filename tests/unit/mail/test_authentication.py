"""Whose word for an author is taken: our host's, where only our host writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from worker.mail.authentication import Authenticity, authenticate, is_aligned
from worker.mail.authentication_results import read_authentication_results
from worker.mail.header import Message, read_message
from worker.mail.host import HOSTS, HostRecipe
from worker.mail.received import client_network, own_hops

CORPUS = Path(__file__).resolve().parents[4] / "shared" / "corpus"

PROVEN, FAILED, UNKNOWN = Authenticity.PROVEN, Authenticity.FAILED, Authenticity.UNKNOWN
FROM = "From: Jean <jean@example.org>"
PLAIN = HostRecipe("plain", ("Delivered-To",), authserv_id=r"mx\.host\.example")
NAMED = replace(PLAIN, received_by=r"([a-z0-9-]+\.)*host\.example")
BORDER = (
    "Received: from mail.example.org (mail.example.org [198.51.100.7])"
    " by mx.host.example (Postfix) with ESMTPS id 4P for <tous@listes.example.fr>; x"
)
INNER = (
    "Received: from mx.host.example (mx.host.example [10.0.0.3])"
    " by box.host.example with LMTP id A for <box@listes.example.fr>; x"
)
PASS = "Authentication-Results: mx.host.example; dmarc=pass header.from=example.org"
GOOGLE_BORDER = (
    "Received: from mail-wr1.example.org (mail-wr1.example.org. [198.51.100.41])"
    " by mx.google.com with SMTPS id a1 for <tous@listes.example.fr>; x (PDT)"
)
GOOGLE_INNER = "Received: by 2002:a05:6a20:3d8e:b0:1d9:1c8a:2d30 with SMTP id c4csp1; x (PDT)"
GOOGLE_PASS = (
    "Authentication-Results: mx.google.com; dkim=pass header.i=@example.org header.s=s1"
    " header.b=RJNz7oaY; spf=pass (google.com: domain of jean@example.org designates"
    " 198.51.100.41 as permitted sender) smtp.mailfrom=jean@example.org;"
    " dmarc=pass (p=NONE sp=QUARANTINE dis=NONE) header.from=example.org"
)
OVH_INNER = (
    "Received: from in31.mail.ovh.net (unknown [10.101.4.31])"
    " by vr45.mail.ovh.net (Postfix) with ESMTP id 4PQ for <tous@listes.example.fr>; x"
)
OVH_BORDER = (
    "Received: from mail.example.org (mail.example.org [198.51.100.7])"
    " by in31.mail.ovh.net (Postfix) with ESMTPS id 4PR for <tous@listes.example.fr>; x"
)
OVH_SPF = (
    "Received-SPF: Pass (mailfrom) identity=mailfrom; client-ip=198.51.100.7;"
    " helo=mail.example.org; envelope-from=jean@example.org; receiver=tous@listes.example.fr"
)
OVH_PASS = (
    "Authentication-Results: in31.mail.ovh.net;\r\n"
    "\tdkim=pass (1024-bit key; unprotected) header.d=example.org header.i=@example.org"
    ' header.b="HDetLEPl";\r\n\tdkim-atps=neutral'
)
OVH_LOGIN = (
    "Authentication-Results: garm.ovh; auth=pass (GARM-95G0010a3a2227-d285,\r\n"
    "                    191AC0B3D9F265F0EBDA6C7C6CC780C2) smtp.auth=Jean@example.org"
)
MICROSOFT_INNER = (
    "Received: from AM0PR0.eurprd.prod.outlook.com (2603:10a6:20b::1)"
    " by PR0P264.FRAP264.PROD.OUTLOOK.COM (2603:10a6:102::2) with HTTPS; x"
)
MICROSOFT_BORDER = (
    "Received: from mail.example.org (198.51.100.7) by"
    " VE1EUR01FT012.mail.protection.outlook.com (10.152.2.1) with Microsoft SMTP Server"
    " (version=TLS1_3, cipher=TLS_AES_256_GCM_SHA384) id 15.20; x"
)
MICROSOFT_PASS = (
    "Authentication-Results: spf=pass (sender IP is 198.51.100.7)\r\n"
    " smtp.mailfrom=example.org; dkim=pass (signature was verified)\r\n"
    " header.d=example.org;dmarc=pass action=none\r\n"
    " header.from=example.org;compauth=pass reason=100"
)


def results(words: str) -> str:
    """Return our host's field."""
    return f"Authentication-Results: mx.host.example; {words}"


def message_of(*fields: str) -> Message:
    """Return a message of these fields."""
    return read_message("".join(f"{field}\r\n" for field in fields).encode() + b"\r\n.")


class Case(NamedTuple):
    """What one field says of jean@example.org, and what that is worth."""

    words: str
    verdict: Authenticity
    method: str = ""
    domain: str = ""


SAID = {
    "dmarc": Case("dmarc=pass header.from=example.org", PROVEN, "dmarc", "example.org"),
    "dmarc, in capitals": Case(
        "DMARC=Pass Header.From=EXAMPLE.org", PROVEN, "dmarc", "example.org"
    ),
    "dmarc for another": Case("dmarc=pass header.from=example.net", UNKNOWN),
    "dmarc for a subdomain": Case("dmarc=pass header.from=a.example.org", UNKNOWN),
    "dmarc for nobody": Case("dmarc=pass", UNKNOWN),
    "dmarc by guess": Case("dmarc=bestguesspass header.from=example.org", UNKNOWN),
    "dmarc failed": Case("dmarc=fail (p=REJECT) header.from=example.org", FAILED, "dmarc"),
    "dmarc failed, no policy told": Case("dmarc=fail header.from=example.org", FAILED, "dmarc"),
    "dmarc failed, p=none": Case(
        "dmarc=fail (p=NONE sp=QUARANTINE dis=NONE) header.from=example.org", UNKNOWN, "dmarc"
    ),
    "dmarc failed, sp=none only": Case(
        "dmarc=fail (p=REJECT sp=NONE dis=NONE) header.from=example.org", FAILED, "dmarc"
    ),
    "dmarc failed, policy=none": Case(
        "dmarc=fail reason='x' (policy=none) header.from=example.org", UNKNOWN, "dmarc"
    ),
    "dmarc failed, action=none": Case(
        "dmarc=fail action=none header.from=example.org", UNKNOWN, "dmarc"
    ),
    "dmarc failed, dkim aligned": Case(
        "dkim=pass header.d=example.org; dmarc=fail (p=quarantine) header.from=example.org",
        FAILED,
        "dmarc",
        "example.org",
    ),
    "dmarc failed without policy, dkim of another": Case(
        "dkim=pass header.d=esp.example; dmarc=fail (p=none) header.from=example.org",
        UNKNOWN,
        "dmarc",
        "esp.example",
    ),
    "dmarc twice": Case(
        "dmarc=pass header.from=example.org; dmarc=fail header.from=example.org", FAILED, "dmarc"
    ),
    "dmarc pass and none": Case(
        "dmarc=pass header.from=example.org; dmarc=none header.from=example.org", UNKNOWN
    ),
    "dmarc none, dkim aligned": Case(
        "dkim=pass header.d=example.org; dmarc=none header.from=example.org",
        PROVEN,
        "dkim",
        "example.org",
    ),
    "header.from told twice": Case(
        "dmarc=pass header.from=evil.example header.from=example.org", UNKNOWN
    ),
    "dkim": Case("dkim=pass header.d=example.org", PROVEN, "dkim", "example.org"),
    "dkim by identity": Case("dkim=pass header.i=@example.org", PROVEN, "dkim", "example.org"),
    "dkim of a subdomain": Case(
        "dkim=pass header.d=mail.example.org", PROVEN, "dkim", "mail.example.org"
    ),
    "dkim of the parent": Case("dkim=pass header.d=org", UNKNOWN),
    "dkim of another": Case("dkim=pass header.d=esp.example", UNKNOWN, "", "esp.example"),
    "dkim of a look-alike": Case(
        "dkim=pass header.d=notexample.org", UNKNOWN, "", "notexample.org"
    ),
    "dkim, identity against domain": Case(
        "dkim=pass header.d=evil.example header.i=@example.org", UNKNOWN, "", "evil.example"
    ),
    "dkim on trial": Case("dkim=pass (test mode) header.i=@example.org", UNKNOWN),
    "dkim with method version": Case(
        "dkim/1=pass header.d=example.org", PROVEN, "dkim", "example.org"
    ),
    "dkim failed": Case('dkim=fail reason="bad" header.d=example.org', UNKNOWN),
    "dkim two, both good": Case(
        "dkim=pass header.d=esp.example; dkim=pass header.d=example.org",
        PROVEN,
        "dkim",
        "example.org",
    ),
    "dkim two, one bad": Case(
        "dkim=pass header.d=example.org; dkim=fail header.d=lists.example", UNKNOWN
    ),
    "spf": Case("spf=pass smtp.mailfrom=jean@example.org", PROVEN, "spf", "example.org"),
    "spf, old name": Case("spf=pass smtp.mail=jean@example.org", PROVEN, "spf", "example.org"),
    "spf of a subdomain": Case(
        "spf=pass smtp.mailfrom=b@bounces.example.org", PROVEN, "spf", "bounces.example.org"
    ),
    "spf of another": Case("spf=pass smtp.mailfrom=a@evil.example", UNKNOWN),
    "spf of HELO": Case("spf=pass smtp.helo=example.org", UNKNOWN),
    "spf of nobody": Case("spf=pass smtp.mailfrom= smtp.helo=example.org", UNKNOWN),
    "spf by guess": Case(
        "spf=pass (host.example: best guess record for domain of jean@example.org)"
        " smtp.mail=jean@example.org",
        UNKNOWN,
    ),
    "spf softfail": Case("spf=softfail smtp.mailfrom=jean@example.org", UNKNOWN),
    "compauth": Case("compauth=pass reason=100", UNKNOWN),
    "login of the author": Case(
        "auth=pass smtp.auth=jean@example.org", PROVEN, "auth", "example.org"
    ),
    "login of another": Case("auth=pass smtp.auth=paul@example.org", UNKNOWN),
    "none": Case("none", UNKNOWN),
    "nothing": Case("", UNKNOWN),
    "iprev, as IONOS": Case(
        "dkim=pass header.i=jean@example.org header.s=s1-ionos; spf=pass"
        " smtp.helo=mout.host.example; dmarc=none header.from=example.org; iprev=pass"
        " policy.iprev=203.0.113.10",
        PROVEN,
        "dkim",
        "example.org",
    ),
    "rspamd, as Gandi": Case(
        "dkim=pass header.d=example.org header.s=gm1 header.b=Kv7mnn6+; spf=pass"
        " (mx.host.example: domain of jean@example.org designates 198.51.100.7 as permitted"
        " sender) smtp.mailfrom=jean@example.org; dmarc=pass (policy=reject)"
        " header.from=example.org",
        PROVEN,
        "dmarc",
        "example.org",
    ),
    "comments everywhere": Case(
        "(a (nested) one) dmarc (b) = (c) pass (d) header.from (e) = (f) example.org (g)",
        PROVEN,
        "dmarc",
        "example.org",
    ),
    "quoted values": Case(
        'dkim="pass" header.d="example.org" header.b="a;b=c"', PROVEN, "dkim", "example.org"
    ),
    # From here on, a stranger's words.
    "verdict in a comment": Case(
        "dmarc=none (; dmarc=pass header.from=example.org) header.from=example.org", UNKNOWN
    ),
    "verdict in a quoted reason": Case(
        'spf=fail reason="; dmarc=pass header.from=example.org" smtp.mailfrom=a@evil.example',
        UNKNOWN,
    ),
    "comment closed by a quoted local part": Case(
        'spf=pass (domain of "); dmarc=pass header.from=example.org; x=y ("@evil.example'
        " designates 198.51.100.9) smtp.mailfrom=a@evil.example",
        UNKNOWN,
    ),
    "comment closed by a local part": Case(
        "spf=pass (domain of ); dmarc=pass header.from=example.org; x=y (@evil.example) smtp."
        "mailfrom=a@evil.example; dmarc=fail header.from=example.org",
        FAILED,
        "dmarc",
    ),
    "quoted local part is a domain": Case(
        'spf=pass smtp.mailfrom="example.org"@evil.example', UNKNOWN
    ),
    "local part is a domain": Case("spf=pass smtp.mailfrom=example.org=x@evil.example", UNKNOWN),
    "local part has an at": Case('spf=pass smtp.mailfrom="x@example.org"@evil.example', UNKNOWN),
    "comment without an end": Case("dmarc=pass header.from=example.org (", UNKNOWN),
    "comment without a beginning": Case("dmarc=pass header.from=example.org )", UNKNOWN),
    "quote without an end": Case('dmarc=pass header.from=example.org "', UNKNOWN),
    "too long": Case("dmarc=pass header.from=example.org (" + "x" * 10_000 + ")", UNKNOWN),
    "too many": Case("x=y;" * 200 + "dmarc=pass header.from=example.org", UNKNOWN),
}


@pytest.mark.parametrize("case", SAID.values(), ids=SAID)
def test_what_a_trusted_field_is_worth(case: Case) -> None:
    """The worst verdict of a method counts, and only what is of the author's domain."""
    found = authenticate(message_of(results(case.words), BORDER, FROM), host=PLAIN)

    assert (found.verdict, found.method, found.domain) == case[1:]
    assert not found.forged


class Place(NamedTuple):
    """A host, a message, and whether its author is proven, and a forgery seen."""

    host: HostRecipe
    fields: tuple[str, ...]
    proven: bool
    forged: bool = False


PLACES = {
    "above the border": Place(NAMED, (INNER, PASS, BORDER, FROM), proven=True),
    "above everything": Place(NAMED, (PASS, INNER, BORDER, FROM), proven=True),
    "names unknown": Place(PLAIN, (INNER, PASS, BORDER, FROM), proven=True),
    "in capitals": Place(PLAIN, (PASS.replace("mx.host", "MX.Host"), BORDER, FROM), proven=True),
    "in two fields": Place(
        PLAIN,
        (results("spf=pass smtp.mailfrom=a@b.example"), PASS, BORDER, FROM),
        proven=True,
    ),
    "with a version": Place(
        PLAIN, (PASS.replace("example;", "example 1;"), BORDER, FROM), proven=True
    ),
    "of a later version": Place(
        PLAIN, (PASS.replace("example;", "example 2;"), BORDER, FROM), proven=False
    ),
    "the demo's host": Place(
        PLAIN,
        (PASS, "Received: by mx.host.example for <tous@listes.example.fr>; x", FROM),
        proven=True,
    ),
    "directly below the border": Place(PLAIN, (BORDER, PASS, FROM), proven=False, forged=True),
    "further below": Place(
        PLAIN, (BORDER, "Received: from a by b; x", PASS, FROM), proven=False, forged=True
    ),
    "genuine above, forged below": Place(
        PLAIN, (results("dmarc=none"), BORDER, PASS, FROM), proven=False, forged=True
    ),
    "another's name": Place(
        PLAIN, (PASS.replace("mx.host", "mx.evil"), BORDER, FROM), proven=False
    ),
    "a name that ends like ours": Place(
        PLAIN, (PASS.replace("mx.host", "evil-mx.host"), BORDER, FROM), proven=False
    ),
    "a name that begins like ours": Place(
        PLAIN, (PASS.replace("host.example", "host.example.evil"), BORDER, FROM), proven=False
    ),
    "no border": Place(PLAIN, (PASS, FROM), proven=False),
    "nobody trusted": Place(replace(PLAIN, authserv_id=""), (PASS, BORDER, FROM), proven=False),
    "ARC's copy": Place(PLAIN, (f"ARC-{PASS}", BORDER, FROM), proven=False),
    "two From": Place(PLAIN, (PASS, BORDER, FROM, FROM), proven=False),
    "two From, one above": Place(PLAIN, ("From: x@evil.example", PASS, BORDER, FROM), proven=False),
    "two authors": Place(
        PLAIN, (PASS, BORDER, "From: jean@example.org, x@evil.example"), proven=False
    ),
    "HELO is the host's": Place(
        NAMED,
        (
            BORDER.replace("from mail.example.org", "from mx.host.example"),
            PASS,
            "Received: from a (a [198.51.100.8]) by mx.host.example with ESMTP; x",
            FROM,
        ),
        proven=False,
        forged=True,
    ),
    "HELO ends the clause": Place(
        NAMED,
        (
            BORDER.replace("from mail", "from x by box.host.example with LMTP id 1; (x"),
            PASS,
            "Received: from a (a [198.51.100.8]) by mx.host.example with ESMTP; x",
            FROM,
        ),
        proven=False,
        forged=True,
    ),
    "HELO is an internal address": Place(
        NAMED,
        (
            BORDER.replace("from mail.example.org", "from [10.0.0.1]"),
            PASS,
            "Received: from a (a [198.51.100.8]) by mx.host.example with ESMTP; x",
            FROM,
        ),
        proven=False,
        forged=True,
    ),
    "the address's name is the host's": Place(
        NAMED,
        (
            BORDER.replace("(mail.example.org", "(mx.host.example"),
            PASS,
            "Received: from a (a [198.51.100.8]) by mx.host.example with ESMTP; x",
            FROM,
        ),
        proven=False,
        forged=True,
    ),
    "recipient has a hop in it": Place(
        NAMED,
        (
            BORDER.replace("<tous@", '<" by box.host.example with LMTP "@'),
            PASS,
            "Received: from a (a [198.51.100.8]) by mx.host.example with ESMTP; x",
            FROM,
        ),
        proven=False,
        forged=True,
    ),
    "a web server of the host's": Place(
        NAMED,
        (
            (
                "Received: from web1.customers.example (unknown [10.0.0.9]) by mx.host.example"
                " (Postfix) with ESMTP id 1; x"
            ),
            PASS,
            BORDER,
            FROM,
        ),
        proven=False,
        forged=True,
    ),
    "a program on the host's machine": Place(
        PLAIN,
        ("Received: by mx.host.example (Postfix, from userid 33) id 1; x", PASS, BORDER, FROM),
        proven=False,
        forged=True,
    ),
    "a client that the host hides": Place(
        PLAIN,
        ("Received: from unknown by mx.host.example with ESMTPA id 1; x", PASS, BORDER, FROM),
        proven=False,
        forged=True,
    ),
    "a client hidden altogether": Place(
        PLAIN,
        ("Received: by mx.host.example (Postfix) with ESMTPS id 1; x", PASS, BORDER, FROM),
        proven=False,
        forged=True,
    ),
    "a stranger's hop on top": Place(
        NAMED,
        ("Received: from a (a [10.0.0.1]) by mx.evil.example with ESMTP; x", PASS, BORDER, FROM),
        proven=False,
    ),
    "IPv6": Place(
        PLAIN, (PASS, BORDER.replace("[198.51.100.7]", "[IPv6:2001:db8::7]"), FROM), proven=True
    ),
    "IPv6, internal": Place(
        PLAIN, (PASS, BORDER.replace("[198.51.100.7]", "[IPv6:fd00::7]"), FROM), proven=False
    ),
    "IPv4 in IPv6, internal": Place(
        PLAIN, (PASS, BORDER.replace("[198.51.100.7]", "[::ffff:10.0.0.7]"), FROM), proven=False
    ),
    "OVH": Place(HOSTS["ovh"], (OVH_INNER, OVH_SPF, OVH_PASS, OVH_BORDER, FROM), proven=True),
    "OVH, another machine's name below": Place(
        HOSTS["ovh"],
        (OVH_INNER, OVH_BORDER, OVH_PASS.replace("in31", "in77"), FROM),
        proven=False,
        forged=True,
    ),
    "OVH, a login": Place(HOSTS["ovh"], (OVH_INNER, OVH_LOGIN, OVH_BORDER, FROM), proven=False),
    "OVH, a login that the site trusts": Place(
        replace(HOSTS["ovh"], authserv_id=r"in\d+\.mail\.ovh\.net|garm\.ovh"),
        (OVH_INNER, OVH_LOGIN, OVH_BORDER, FROM),
        proven=True,
    ),
    "OVH, a login below the border": Place(
        replace(HOSTS["ovh"], authserv_id=r"in\d+\.mail\.ovh\.net|garm\.ovh"),
        (OVH_INNER, OVH_BORDER, OVH_LOGIN, FROM),
        proven=False,
        forged=True,
    ),
    "Google": Place(
        HOSTS["google"],
        (GOOGLE_INNER, GOOGLE_BORDER, "Received-SPF: pass", GOOGLE_PASS, FROM),
        proven=True,
    ),
    "Google, the second below": Place(
        HOSTS["google"],
        (
            GOOGLE_INNER,
            GOOGLE_BORDER,
            "Authentication-Results: mx.google.com; dmarc=none",
            GOOGLE_PASS,
            FROM,
        ),
        proven=False,
        forged=True,
    ),
    "Google, not directly below": Place(
        HOSTS["google"],
        (GOOGLE_INNER, GOOGLE_BORDER, "Subject: x", GOOGLE_PASS, FROM),
        proven=False,
        forged=True,
    ),
    "Google, after another Received": Place(
        HOSTS["google"],
        (GOOGLE_INNER, GOOGLE_BORDER, GOOGLE_BORDER, GOOGLE_PASS, FROM),
        proven=False,
        forged=True,
    ),
    "Microsoft": Place(
        HOSTS["microsoft"],
        (MICROSOFT_INNER, MICROSOFT_PASS, MICROSOFT_BORDER, FROM),
        proven=True,
    ),
    "Microsoft, the second": Place(
        HOSTS["microsoft"],
        (
            MICROSOFT_INNER,
            "Authentication-Results: spf=none (sender IP is ) smtp.mailfrom=example.org",
            MICROSOFT_PASS,
            MICROSOFT_BORDER,
            FROM,
        ),
        proven=False,
    ),
    "Microsoft, topmost is broken": Place(
        HOSTS["microsoft"],
        (
            MICROSOFT_INNER,
            "Authentication-Results: spf=none (",
            MICROSOFT_PASS,
            MICROSOFT_BORDER,
            FROM,
        ),
        proven=False,
    ),
    "Microsoft, below the border": Place(
        HOSTS["microsoft"],
        (MICROSOFT_INNER, MICROSOFT_BORDER, MICROSOFT_PASS, FROM),
        proven=False,
    ),
    "Microsoft, with a name": Place(
        HOSTS["microsoft"],
        (MICROSOFT_INNER, GOOGLE_PASS, MICROSOFT_BORDER, FROM),
        proven=False,
    ),
    "Gandi, at the end": Place(
        HOSTS["gandi"],
        (BORDER, FROM, PASS.replace("mx.host.example", "spool.mail.gandi.net")),
        proven=False,
    ),
    "Fastmail": Place(
        HOSTS["fastmail"],
        (PASS.replace("mx.host.example", "phl-mx-07.messagingengine.com"), BORDER, FROM),
        proven=True,
    ),
    "IONOS": Place(
        HOSTS["ionos"],
        (PASS.replace("mx.host.example", "kundenserver.de"), BORDER, FROM),
        proven=True,
    ),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_where_a_field_is_trusted(place: Place) -> None:
    """Above the border; what a stranger can write there, he cannot use."""
    found = authenticate(message_of(*place.fields), host=place.host)

    assert (found.verdict is PROVEN, found.forged) == (place.proven, place.forged)


def test_return_path_domain() -> None:
    """It is told whatever is proven."""
    message = message_of("Return-Path: <b+x@bounces.Example.net>", BORDER, FROM)

    assert authenticate(message, host=PLAIN).return_path_domain == "bounces.example.net"


ALIGNED = {
    "the same": ("example.org", "example.org", True),
    "a subdomain": ("mail.example.org", "example.org", True),
    "two subdomains": ("a.example.org", "b.example.org", True),
    "two customers of a registry": ("a.co.uk", "b.co.uk", False),
    "a registry": ("co.uk", "a.co.uk", False),
    "two sites of one host": ("a.github.io", "b.github.io", False),
    "top level": ("org", "example.org", False),
    "nothing": ("", "", False),
}


@pytest.mark.parametrize(("domain", "other", "aligned"), ALIGNED.values(), ids=ALIGNED)
def test_is_aligned(domain: str, other: str, *, aligned: bool) -> None:
    """Domains that one owner registered are one; that of a registry is nobody's."""
    assert is_aligned(domain, other) == aligned
    assert is_aligned(other, domain) == aligned


NETWORKS = {
    "IPv4": (BORDER, "198.51.100.0/24"),
    "IPv6": (BORDER.replace("[198.51.100.7]", "[IPv6:2001:db8:1:2::7]"), "2001:db8:1::/48"),
    "HELO is another address": (BORDER.replace("from mail", "from [203.0.113.5] mail"), ""),
    "HELO is its address": (
        BORDER.replace("from mail", "from [198.51.100.7] mail"),
        "198.51.100.0/24",
    ),
    "only HELO": ("Received: from [203.0.113.5] by mx.host.example with ESMTP; x", ""),
}


@pytest.mark.parametrize(("border", "network"), NETWORKS.values(), ids=NETWORKS)
def test_client_network(border: str, network: str) -> None:
    """Only an address that the host wrote down is told."""
    hop = own_hops(message_of(border), PLAIN).border

    assert hop is not None
    assert client_network(hop) == network


FIELDS = {
    "named": (b"mx.example.org; none", "mx.example.org", 0),
    "version": (b"mx.example.org 1; spf=pass", "mx.example.org", 1),
    "unnamed": (b"spf=pass (sender IP is 1.2.3.4) smtp.mailfrom=a.fr; dkim=none", "", 2),
    "old, a word after the results": (b"spf=pass smtp.mailfrom=a.fr; b.fr; dkim=none", "", 2),
    "reason": (b'a.fr; spf=fail reason (B) = "x (<>.%&!" smtp.mailfrom=b.fr', "a.fr", 1),
    "no results": (b"a.fr", "a.fr", 0),
    "semicolons": (b"a.fr;;; spf=pass;;", "a.fr", 1),
    "empty": (b"", "", 0),
}


@pytest.mark.parametrize(("body", "authserv_id", "count"), FIELDS.values(), ids=FIELDS)
def test_read_authentication_results(body: bytes, authserv_id: str, count: int) -> None:
    """All shapes that hosts have written."""
    field = read_authentication_results(body)

    assert field is not None
    assert (field.authserv_id, len(field.results)) == (authserv_id, count)


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"the corpus of foreign mail is not at {CORPUS}")
def test_fields_of_real_mail() -> None:
    """What hosts have really written is read, and has a name or a result."""
    unread = []
    count = 0
    for path in sorted((*CORPUS.glob("posts/**/*.eml"), *CORPUS.glob("malformed/**/*.eml"))):
        for field in read_message(path.read_bytes()).named("authentication-results"):
            count += 1
            read = read_authentication_results(field.body)
            if read is None or not (read.authserv_id or read.results):
                unread.append((path.name, field.body))

    assert count > 20
    # One of SpamAssassin's, of a version that does not exist.
    assert [body.split()[:2] for _, body in unread] == [[b"authrestest4int", b"2;"]]
