"""For whom a message is, at each host, and what a stranger can do about it."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from worker.mail.envelope import envelope_recipients, named_recipients, split_detail
from worker.mail.header import Message, read_message
from worker.mail.host import HOSTS

DOMAIN = "listes.example.fr"
ACCOUNT = "catchall@listes.example.fr"


def message_of(*fields: str) -> Message:
    """Return a message of these fields."""
    return read_message("".join(f"{field}\r\n" for field in fields).encode() + b"\r\n.")


# As these hosts write them, but for names and addresses.
OVH_RELAYS = (
    "Received: from localhost (HELO queue) (127.0.0.1)\r\n by localhost with SMTP; 28 Feb 2023",
    (
        "Received: from unknown (HELO output28.mail.ovh.net) (192.168.11.93)\r\n"
        " by 192.168.1.2 with AES256-GCM-SHA384 encrypted SMTP; 28 Feb 2023 09:51:02 +0200"
    ),
    (
        "Received: from in31.mail.ovh.net (unknown [10.101.4.31])\r\n"
        " by vr45.mail.ovh.net (Postfix) with ESMTP id 4PQ\r\n for <catchall@listes.example.fr>; x"
    ),
)
OVH_BORDER = (
    "Received: from mail.example.org (mail.example.org [198.51.100.7])\r\n"
    " by in31.mail.ovh.net (Postfix) with ESMTPS id 4PR\r\n for <tous@listes.example.fr>; x"
)
OVH_REDIRECTION = (
    "Received: from mail663.ha.ovh.net (mail663.ha.ovh.net [213.186.33.59])\r\n"
    " by in31.mail.ovh.net (Postfix) with ESMTPS id 4PS\r\n for <catchall@listes.example.fr>; x"
)
OVH_FIRST = (
    "Received: from mail.example.org (mail.example.org [198.51.100.7])\r\n"
    " by mail663.ha.ovh.net (Postfix) with ESMTPS id 4PT; x"
)
GANDI = (
    (
        "Received: from spool.mail.gandi.net (mspool4-d.mgt.gandi.net [10.0.21.135])"
        " by nmboxes31-d.mgt.gandi.net (Postfix) with ESMTP id A for <box@listes.example.fr>; x"
    ),
    (
        "Received: from mfilter21-d.gandi.net (mfilter21-d.gandi.net [217.70.178.149])"
        " by spool.mail.gandi.net (Postfix) with ESMTP id B for <box@listes.example.fr>; x"
    ),
    (
        "Received: from spool.mail.gandi.net ([10.0.21.135]) by mfilter21-d.gandi.net"
        " (mfilter21-d.gandi.net [10.0.15.180]) (amavisd-new, port 10024) with ESMTP id C"
        " for <box@listes.example.fr>; x"
    ),
)
GANDI_BORDER = (
    "Received: from mail.example.org (mail.example.org [IPv6:2001:db8::23e])"
    " by spool.mail.gandi.net (Postfix) with ESMTPS id D{}; x"
)
FORGED = (
    "Received: from x (x [198.51.100.9]) by spool.mail.gandi.net (Postfix) with ESMTP id E"
    " for <forged@listes.example.fr>; x"
)
EXIM = (
    "Received: from mail.example.org ([198.51.100.7])\r\n\tby srv1.hosting.example with esmtps"
    "\r\n\t(Exim 4.96)\r\n\t(envelope-from <jean@example.org>)\r\n\tid 1abc-0001\r\n"
    "\tfor tous@listes.example.fr; x"
)


class Case(NamedTuple):
    """A host, what a message has, and whom it is for."""

    host: str
    fields: tuple[str, ...]
    found: tuple[str, ...]


CASES = {
    "plain": Case("other", ("Delivered-To: tous@listes.example.fr",), ("tous",)),
    "angled, in capitals": Case("other", ("Delivered-To: <TOUS@Listes.Example.FR>",), ("tous",)),
    "topmost of two": Case(
        "other",
        ("Delivered-To: tous@listes.example.fr", "Delivered-To: forged@listes.example.fr"),
        ("tous",),
    ),
    "topmost is the account, forged below": Case(
        "other",
        (f"Delivered-To: {ACCOUNT}", "Delivered-To: forged@listes.example.fr", "To: a@x.fr"),
        (),
    ),
    "topmost is elsewhere, next header": Case(
        "other",
        ("Delivered-To: box@host.example", "X-Original-To: tous@listes.example.fr"),
        ("tous",),
    ),
    "order is the recipe's": Case(
        "other",
        ("Envelope-To: no@listes.example.fr", "X-Original-To: tous@listes.example.fr"),
        ("tous",),
    ),
    "account in other letters": Case(
        "other", ("Delivered-To: CatchAll@LISTES.example.fr", f"To: {ACCOUNT}"), ()
    ),
    "empty field": Case("other", ("Delivered-To:", "To: tous@listes.example.fr"), ("tous",)),
    "another domain": Case("other", ("Delivered-To: tous@autre.example.fr",), ()),
    "a subdomain": Case("other", ("Delivered-To: tous@x.listes.example.fr",), ()),
    "several in one field": Case(
        "other",
        ("Envelope-To: tous@listes.example.fr, bureau@listes.example.fr",),
        ("tous", "bureau"),
    ),
    "plus stays": Case("other", ("Delivered-To: tous+x@listes.example.fr",), ("tous+x",)),
    "To and Cc": Case(
        "other",
        ("Cc: Bureau <BUREAU@listes.example.fr>", "To: tous@listes.example.fr, a@x.fr"),
        ("tous", "bureau"),
    ),
    "Resent-To and Resent-Cc": Case(
        "other",
        ("Resent-Cc: bureau@listes.example.fr", "Resent-To: tous@listes.example.fr"),
        ("tous", "bureau"),
    ),
    "To names the account besides": Case(
        "other", (f"To: tous@listes.example.fr, {ACCOUNT}",), ("tous",)
    ),
    "in a display name": Case("other", ('To: "tous@listes.example.fr" <a@x.fr>',), ()),
    "nothing found": Case("other", ("To: undisclosed-recipients:;", "Subject: x"), ()),
    "OVH, direct": Case(
        "ovh", ("Delivered-To: tous@listes.example.fr", *OVH_RELAYS, OVH_BORDER), ("tous",)
    ),
    "OVH, prefixed": Case(
        "ovh", ("Delivered-To: listes.example.fr-Tous@listes.example.fr",), ("tous",)
    ),
    "OVH, prefixed, name with a hyphen": Case(
        "ovh", ("Delivered-To: listes.example.fr-ag-2026@listes.example.fr",), ("ag-2026",)
    ),
    "OVH, prefixed, too long with it": Case(
        "ovh",
        (f"Delivered-To: listes.example.fr-{'t' * 60}@listes.example.fr",),
        ("t" * 60,),
    ),
    "OVH, prefixed for another domain": Case(
        "ovh", ("Delivered-To: autre.example.fr-tous@autre.example.fr",), ()
    ),
    "OVH, redirected": Case(
        "ovh",
        (
            f"Delivered-To: {ACCOUNT}",
            *OVH_RELAYS,
            OVH_REDIRECTION,
            "Delivered-To: listes.example.fr-tous@listes.example.fr",
            OVH_FIRST,
            "Delivered-To: listes.example.fr-forged@listes.example.fr",
        ),
        ("tous",),
    ),
    "OVH, redirected inside": Case(
        "ovh",
        (
            f"Delivered-To: {ACCOUNT}",
            OVH_RELAYS[2],
            "Delivered-To: listes.example.fr-tous@listes.example.fr",
        ),
        ("tous",),
    ),
    "OVH, forged below the border": Case(
        "ovh",
        (
            f"Delivered-To: {ACCOUNT}",
            *OVH_RELAYS,
            OVH_BORDER,
            "Delivered-To: listes.example.fr-forged@listes.example.fr",
        ),
        ("tous",),  # By the border's "for".
    ),
    "OVH, forged below a foreign hop": Case(
        "ovh",
        (
            f"Delivered-To: {ACCOUNT}",
            "Received: from a (a [10.0.0.1]) by mx.example.org with ESMTP; x",
            "Delivered-To: listes.example.fr-forged@listes.example.fr",
        ),
        (),
    ),
    "prefix at another host": Case(
        "other",
        ("Delivered-To: listes.example.fr-tous@listes.example.fr",),
        ("listes.example.fr-tous",),
    ),
    "Gandi": Case(
        "gandi",
        (
            "Delivered-To: box@listes.example.fr",
            *GANDI,
            GANDI_BORDER.format(" for <Tous@listes.example.fr>"),
            FORGED,
        ),
        ("tous",),
    ),
    "Gandi, several recipients": Case(
        "gandi",
        (*GANDI, GANDI_BORDER.format(""), FORGED, "To: a@listes.example.fr, b@listes.example.fr"),
        ("a", "b"),
    ),
    "Gandi, for an address elsewhere": Case(
        "gandi",
        (*GANDI, GANDI_BORDER.format(" for <x@example.net>"), "X-Original-To: b@listes.example.fr"),
        ("b",),
    ),
    "Gandi, HELO with a recipient": Case(
        "gandi",
        (
            (
                "Received: from for <forged@listes.example.fr> by x (x [198.51.100.9])"
                " by spool.mail.gandi.net (Postfix) with ESMTP id D for <tous@listes.example.fr>; x"
            ),
        ),
        ("tous",),
    ),
    "Infomaniak": Case(
        "infomaniak",
        ("Delivered-To: catchall@listes.example.fr", "X-Original-To: tous@listes.example.fr"),
        ("tous",),
    ),
    "IONOS": Case(
        "ionos",
        (
            (
                "Received: from mail.example.org ([198.51.100.7]) by mx.kundenserver.de (mxeue012"
                " [212.227.15.41]) with ESMTPS (Nemesis) id 1N for <box@listes.example.fr>; x"
            ),
            "To: a@listes.example.fr",
            "Envelope-To: <tous@listes.example.fr>",
        ),
        ("tous",),
    ),
    "IONOS, by Received alone": Case(
        "ionos",
        (
            (
                "Received: from mail.example.org ([198.51.100.7]) by mx.kundenserver.de (mxeue012"
                " [212.227.15.41]) with ESMTPS (Nemesis) id 1N for <tous@listes.example.fr>; x"
            ),
        ),
        ("tous",),
    ),
    "cPanel": Case(
        "cpanel",
        (
            f"Delivered-To: {ACCOUNT}",
            "Received: from srv1.hosting.example\r\n\tby srv1.hosting.example with LMTP",
            "Envelope-to: tous@listes.example.fr",
            EXIM,
        ),
        ("tous",),
    ),
    "cPanel, by Received alone": Case(
        "cpanel",
        (
            f"Delivered-To: {ACCOUNT}",
            (
                "Received: from srv1.hosting.example\r\n\tby srv1.hosting.example with LMTP\r\n"
                "\tid A (envelope-from <jean@example.org>)\r\n\tfor <catchall@listes.example.fr>; x"
            ),
            EXIM,
        ),
        ("tous",),
    ),
    "LWS": Case("lws", ("X-Original-To: tous@listes.example.fr",), ("tous",)),
    "Google, with its own field": Case(
        "google",
        ("Delivered-To: box@listes.example.fr", "X-Gm-Original-To: tous@listes.example.fr"),
        ("tous",),
    ),
    "Google, without": Case(
        "google", (f"Delivered-To: {ACCOUNT}", "To: tous@listes.example.fr"), ("tous",)
    ),
    "Microsoft": Case(
        "microsoft",
        (
            (
                "Received: from AM0PR0.eurprd.prod.outlook.com (2603:10a6:20b::1)\r\n by"
                " PR0P264.FRAP264.PROD.OUTLOOK.COM (2603:10a6:102::2) with HTTPS; x"
            ),
            "To: tous@listes.example.fr",
        ),
        ("tous",),
    ),
    "Fastmail": Case(
        "fastmail",
        ("X-Resolved-To: box@fastmail.example", "X-Delivered-To: tous@listes.example.fr"),
        ("tous",),
    ),
    "mailbox.org": Case("mailbox_org", ("X-Original-To: tous@listes.example.fr",), ("tous",)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_envelope_recipients(case: Case) -> None:
    """The host's own note decides; without one, what the message shows."""
    found = envelope_recipients(
        message_of(*case.fields), host=HOSTS[case.host], domain=DOMAIN, account=ACCOUNT
    )

    assert found == case.found


def test_account_that_is_no_address() -> None:
    """Some hosts' logins have no domain."""
    message = message_of("Delivered-To: tous@listes.example.fr")

    assert envelope_recipients(message, host=HOSTS["other"], domain=DOMAIN, account="box12") == (
        "tous",
    )


def test_named_recipients() -> None:
    """All that are shown, in their order, each once."""
    message = message_of(
        "Cc: C <c@listes.example.fr>, A@listes.example.fr",
        "To: a@listes.example.fr, x@example.org",
        "To: b@listes.example.fr",
        "Resent-To: d@listes.example.fr",
    )

    assert named_recipients(message, DOMAIN) == ("a", "b", "c", "d")


DETAILS = {
    "none": ("tous", ("tous", "")),
    "one": ("tous+secret", ("tous", "secret")),
    "first separator": ("tous+a+b", ("tous", "a+b")),
    "empty detail": ("tous+", ("tous", "")),
    "no base": ("+secret", ("+secret", "")),
}


@pytest.mark.parametrize(("local_part", "split"), DETAILS.values(), ids=DETAILS)
def test_split_detail(local_part: str, split: tuple[str, str]) -> None:
    """What follows the first plus is the list's own business."""
    assert split_detail(local_part) == split
