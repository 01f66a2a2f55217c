"""Two lists that are on each other: everybody gets one copy at most, and it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.actors.letters import (
    HOST,
    NOW,
    TO,
    Owner,
    attend,
    desk,
    letter,
    notices,
    outcome_of,
)
from tests.edges.store.given import DOMAIN, claim_due
from worker.store.database import borrowed

if TYPE_CHECKING:
    from worker.actors.office import Office

REMOTE = "liste@autre.test"
OTHER = f"autres@{DOMAIN}"


async def copies_to(owner: Owner) -> dict[str, int]:
    """Count the copies of postings by recipient."""
    rows = await owner.fetch(
        "select address, count(*) from relais.delivery where posting_id is not null"
        " group by 1 order by 1"
    )
    return dict(map(tuple, rows))


async def test_on_one_server(office: Office, owner: Owner) -> None:
    """An address of ours is no member: the roll calls it unusable, so no copy comes back."""
    await owner.execute(
        "create table club.other (email text);"
        f"insert into club.other values ('z@y.fr'), ('{TO}'), ('a@b.fr');"
        "create view lists.autres as select email, email as person, true as may_post"
        " from club.other;"
        "select lists.define(view => 'lists.autres', address => 'autres', title => 'Autres');"
        f"insert into club.member (email, person) values ('{OTHER}', '7')"
    )

    await outcome_of(office, owner, letter())
    await outcome_of(office, owner, letter(trace=OTHER, to=OTHER, subject="autre"), uid=2)

    rows = await owner.fetch("select recipients, unusable from relais.posting order by posting_id")
    assert [tuple(row) for row in rows] == [(2, 1), (2, 1)]
    assert await copies_to(owner) == {"a@b.fr": 2, "c@d.fr": 1, "z@y.fr": 1}


class Back(NamedTuple):
    """What another list makes of our copy, and what we make of that."""

    drops: tuple[str, ...] = ()  # Fields of ours that it does not keep.
    adds: bytes = b""
    rewrites_from: bool = True
    outcome: str = "dropped_loop"
    reason: str = ""


LIST = b"List-Id: Autre <liste.autre.test>\r\nPrecedence: list\r\n"
OURS = ("X-Relais-Ref", "List-", "Precedence", "X-MS-Reactions", "Feedback-ID", "X-Auto-Response")
BACK = {
    # A redirection, or a list that adds its fields to ours.
    "as it is": Back(rewrites_from=False, reason="relais-ref"),
    "with its own List-Id above ours": Back(adds=LIST, reason="relais-ref"),
    # Mailman removes List-* and keeps what it does not know.
    "without our List-Id": Back(("List-",), LIST, reason="relais-ref"),
    # What takes X- fields away, and no others.
    "without X-Relais-Ref": Back(("X-",), reason="list-id"),
    "without X-Relais-Ref, From kept": Back(("X-",), rewrites_from=False, reason="list-id"),
    "without both, but List-Post": Back(("X-", "List-Id"), reason="list-post"),
    # Its own From is on our list, so only its List-Id tells what it is: people decide.
    "without any field of ours": Back(OURS, LIST, outcome="held"),
    # Nor any of its own: by its Message-ID, which is that of somebody else's posting.
    "without any mark": Back(OURS, outcome="held"),
    # The author is then our own list, which is no author of its own.
    "without any field of ours, From kept": Back(
        OURS, LIST, rewrites_from=False, outcome="refused_stranger", reason="a stranger"
    ),
}


def sent_back(copy: bytes, back: Back, proof: str) -> bytes:
    """Return *copy* as another list posts it to us, its member."""
    header, _, body = copy.partition(b"\r\n\r\n")
    fields: list[bytes] = []
    for line in header.split(b"\r\n"):
        if line[:1] in b" \t" and fields:
            fields[-1] += b"\r\n" + line
        else:
            fields.append(line)
    kept = [
        field
        for field in fields
        if not field.decode().startswith(back.drops or "\0")
        and not (back.rewrites_from and field.startswith((b"From:", b"Reply-To:")))
    ]
    if back.rewrites_from:
        kept.append(f"From: Tous via Autre <{REMOTE}>\r\nReply-To: {REMOTE}".encode())
    trace = (
        f"Return-Path: <liste-bounces@autre.test>\r\nDelivered-To: {TO}\r\n"
        f"Authentication-Results: {HOST}; {proof}\r\n"
        f"Received: from mx.autre.test (mx.autre.test [192.0.2.9]) by {HOST}; {NOW}\r\n"
    )
    head = trace.encode() + back.adds + b"".join(field + b"\r\n" for field in kept)
    return head + b"\r\n" + body.replace(b"\r\n..", b"\r\n.") + b"-- \r\nAutre\r\n"


@pytest.mark.parametrize("proof", ["dmarc=pass header.from=autre.test", "none"])
@pytest.mark.parametrize("back", BACK.values(), ids=BACK)
async def test_on_two_servers(office: Office, owner: Owner, back: Back, proof: str) -> None:
    """Our copy comes back from an address that may post, proven or not: nobody gets it again."""
    await owner.execute(f"insert into club.member (email, person) values ('{REMOTE}', '7')")
    await outcome_of(office, owner, letter())
    async with borrowed(office.pool) as db:
        claims = await claim_due(db, "w1", at_most=10)
    [claim] = [claim for claim in claims if claim.address == REMOTE]
    copy = (await desk(office).copy_of(claim)).body

    row = await outcome_of(office, owner, sent_back(copy, back, proof), uid=2)
    await attend(office)
    again = await outcome_of(office, owner, sent_back(copy, back, proof) + b"again\r\n", uid=3)
    await attend(office)

    assert (row["outcome"], again["outcome"]) == (back.outcome, back.outcome)
    assert back.reason in (row["reason"] or "")
    assert await copies_to(owner) == {"a@b.fr": 1, "c@d.fr": 1, REMOTE: 1}
    assert set(await notices(owner)) <= {"moderate"}
    if back.outcome == "held":
        reasons = await owner.fetchval(
            "select reasons from relais.posting where state = 'held' limit 1"
        )
        assert reasons == ["other_list"]
