"""Reports as hosts write them that were asked for the header only: each trace of ours is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.actors.letters import Owner, outcome_of
from tests.edges.store.copies import a_copy, a_posting
from tests.edges.store.given import DOMAIN
from worker.mail.return_address import Purpose

if TYPE_CHECKING:
    from worker.actors.office import Office

# Postfix 3.7, when MAIL said RET=HDRS and ENVID, and RCPT said ORCPT.
REPORT = """\
Return-Path: <>
Delivered-To: {to}
Date: Fri, 27 Nov 2026 18:41:15 +0000 (UTC)
From: Mail Delivery System <MAILER-DAEMON@mx.hote.test>
Subject: Undelivered Mail Returned to Sender
To: {to}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="4jbj170FZTz1lKh.1795804875/mx.hote.test"

This is a MIME-encapsulated message.

--4jbj170FZTz1lKh.1795804875/mx.hote.test
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

<jean@alias.test> (expanded from <jean@x.test>): host mx.alias.test[192.0.2.1]
    said: 550 5.1.1 User unknown (in reply to RCPT TO command)

--4jbj170FZTz1lKh.1795804875/mx.hote.test
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.hote.test
Original-Envelope-Id: {envelope_id}
X-Postfix-Queue-ID: 4jbj170FZTz1lKh
Arrival-Date: Fri, 27 Nov 2026 18:41:15 +0000 (UTC)

Final-Recipient: rfc822; jean@alias.test
Original-Recipient: rfc822;jean@x.test
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.alias.test
Diagnostic-Code: smtp; 550 5.1.1 User unknown

--4jbj170FZTz1lKh.1795804875/mx.hote.test
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

Return-Path: <{to}>
From: "A via Tous" <tous@listes.example.fr>
Message-ID: <another@elsewhere.test>
X-Relais-Ref: {reference}

--4jbj170FZTz1lKh.1795804875/mx.hote.test--
"""
ELSEWHERE = f"tous@{DOMAIN}"  # Some systems report to From.
NOTHING = "none"
FORGED = "a" * 32


def written(*, to: str = ELSEWHERE, reference: str = NOTHING, envelope_id: str = NOTHING) -> bytes:
    """Write a report of which only some traces are left."""
    return REPORT.format(to=to, reference=reference, envelope_id=envelope_id).encode()


@pytest.mark.parametrize("trace", ["return address", "X-Relais-Ref", "Original-Envelope-Id"])
async def test_each_trace_of_ours_is_enough(office: Office, owner: Owner, trace: str) -> None:
    """The address it went on to is nobody's we know, and its Message-ID was changed."""
    other = await a_copy(owner, await a_posting(owner), "anne")
    copy = await a_copy(owner, await a_posting(owner), "jean")
    token = office.tokens.sign(Purpose.RETURN, copy).decode()
    raw = {
        "return address": written(to=f"return-{token}@{DOMAIN}"),
        "X-Relais-Ref": written(reference=token),
        "Original-Envelope-Id": written(envelope_id=token.upper()),
    }[trace]

    assert (await outcome_of(office, owner, raw))["outcome"] == "bounced"

    states = await owner.fetch("select delivery_id, state::text from relais.delivery order by 1")
    assert [tuple(row) for row in states] == [(other, "handed_over"), (copy, "bounced")]
    failed = await owner.fetch("select address, reason from relais.address_failure")
    assert [tuple(row) for row in failed] == [("jean@x.test", "unknown_user")]


async def test_a_forged_trace_changes_nothing(office: Office, owner: Owner) -> None:
    """Everybody can write a report; it is counted."""
    await a_copy(owner, await a_posting(owner), "jean")
    raw = written(to=f"return-{FORGED}@{DOMAIN}", reference=FORGED, envelope_id=FORGED)

    assert (await outcome_of(office, owner, raw))["outcome"] == "unmatched_report"

    assert await owner.fetchval("select state::text from relais.delivery") == "handed_over"
    assert await owner.fetchval("select count(*) from relais.address_failure") == 0
