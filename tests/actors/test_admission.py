"""What the mediator finds out before it asks the chain: rights, bans, evidence, forgeries."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.actors.letters import HOST, NOW, Owner, letter, outcome_of
from tests.edges.store.given import DOMAIN
from worker.actors import admission

if TYPE_CHECKING:
    from worker.actors.office import Office


class Right(NamedTuple):
    """What an admin has set up, who writes, and what becomes of it."""

    setting: str
    author: str
    outcome: str
    proof: str | None = "dmarc=pass header.from={}"


RIGHTS = {
    "another address of a member": Right(
        "insert into relais.known_address (person, email) values ('1', 'perso@z.fr')",
        "Perso@z.fr",
        "posted",
    ),
    "another address, unproven": Right(
        "insert into relais.known_address (person, email) values ('1', 'perso@z.fr')",
        "perso@z.fr",
        "to_confirm",
        None,
    ),
    "another address of nobody here": Right(
        "insert into relais.known_address (person, email) values ('99', 'perso@z.fr')",
        "perso@z.fr",
        "refused_stranger",
    ),
    "a member who may not": Right(
        "update club.member set may_post = false where person = '1'", "a@b.fr", "refused_stranger"
    ),
    "banned": Right("select lists.ban('A@b.fr', 'insults')", "a@b.fr", "refused_banned"),
    "banned, with the whole domain": Right(
        "select lists.ban('@b.fr', 'spam')", "a@b.fr", "refused_banned"
    ),
    "banned elsewhere": Right(
        "select lists.ban('a@b.fr', 'insults', 'manual')", "a@b.fr", "posted"
    ),
    "no longer banned": Right(
        "select lists.ban('a@b.fr', 'x'); select lists.unban('a@b.fr')", "a@b.fr", "posted"
    ),
    "the owner, who is no member": Right(
        "update lists.definition set owner = 'chef@z.fr', post = 'moderators'",
        "chef@z.fr",
        "posted",
    ),
    "anyone, unproven": Right(
        "update lists.definition set post = 'anyone'", "x@y.fr", "posted", None
    ),
    "anyone, in a member's name": Right(
        "update lists.definition set post = 'anyone'", "a@b.fr", "to_confirm", None
    ),
    "only authenticated authors": Right(
        "update lists.definition set authenticate = 'auth_only'", "a@b.fr", "refused_unproven", None
    ),
    "only authenticated authors, by SPF": Right(
        "update lists.definition set authenticate = 'auth_only'",
        "a@b.fr",
        "refused_unproven",
        "spf=pass smtp.mailfrom={}",
    ),
    "by SPF": Right("", "a@b.fr", "posted", "spf=pass smtp.mailfrom={}"),
    "always confirmed": Right(
        "update lists.definition set authenticate = 'confirm_always'", "a@b.fr", "to_confirm"
    ),
    "a stranger, for the moderators": Right(
        "update lists.definition set moderate = 'strangers'", "x@y.fr", "held"
    ),
    "signed by somebody else": Right("", "a@b.fr", "to_confirm", "dkim=pass header.d=mailer.test"),
}


@pytest.mark.parametrize("right", RIGHTS.values(), ids=RIGHTS)
async def test_rights(office: Office, owner: Owner, right: Right) -> None:
    """The views and the tables decide together with what the host says."""
    await owner.execute(right.setting or "select 1")

    row = await outcome_of(office, owner, letter(author=right.author, proof=right.proof))

    assert row["outcome"] == right.outcome, row["reason"]


OURS = f"Authentication-Results: {HOST}; dmarc=pass header.from=b.fr\r\n"
FORGERIES = {
    "our host's name, below the border": OURS.encode(),
    "another host's": b"Authentication-Results: mx.evil.test; dmarc=pass header.from=b.fr\r\n",
    "our host's hop as well": (
        f"Received: from mail.b.fr ([192.0.2.7]) by {HOST} with ESMTPS; {NOW}\r\n{OURS}".encode()
    ),
    "in a comment": f"Authentication-Results: evil.test (; {HOST}; dmarc=pass)\r\n".encode(),
    "ARC": f"ARC-Authentication-Results: i=1; {HOST}; dmarc=pass header.from=b.fr\r\n".encode(),
}


@pytest.mark.parametrize("forged", FORGERIES.values(), ids=FORGERIES)
async def test_forged_results_prove_nothing(office: Office, owner: Owner, forged: bytes) -> None:
    """What stands below our host's own Received was written by whoever sent it."""
    row = await outcome_of(office, owner, letter(proof=None, more=forged))

    assert row["outcome"] == "to_confirm"


async def test_a_forged_delivered_to_reaches_no_other_list(office: Office, owner: Owner) -> None:
    """The topmost is the host's."""
    await owner.execute("insert into lists.manual (list, email) values ('bureau', 'z@b.fr')")
    forged = f"Delivered-To: bureau@{DOMAIN}\r\n".encode()

    await outcome_of(office, owner, letter(more=forged))

    assert await owner.fetchval(
        "select array_agg(address order by address) from relais.delivery"
    ) == [
        "a@b.fr",
        "c@d.fr",
    ]


HOSTILE = ("' or '1'='1", "tous';--", "{section}", "%", "tous%00", "a" * 300, "\\", "tous\u202e")


@pytest.mark.parametrize("local_part", HOSTILE)
async def test_hostile_local_parts_are_data(office: Office, owner: Owner, local_part: str) -> None:
    """They find no list, and break none."""
    raw = letter(trace=f'"{local_part}"@{DOMAIN}', to="x@y.fr")
    row = await outcome_of(office, owner, raw)

    assert row["outcome"] in ("refused_unknown_list", "held_no_recipient_header")
    assert await owner.fetchval("select count(*) from lists.everybody") == 2


QUERIES = {
    "writes": (
        "create function club.greedy() returns boolean language plpgsql volatile security definer"
        " as $$ begin delete from club.member; return true; end $$;"
        "grant usage on schema club to relais_worker;"
        "create or replace view lists.everybody as select email, name, person, may_post,"
        " club.greedy() as moderator from club.member"
    ),
    "draws a number": (
        "create sequence club.numbers; grant usage on schema club to relais_worker;"
        "grant usage on sequence club.numbers to relais_worker;"
        "create or replace view lists.everybody as select email, name, person, may_post,"
        " nextval('club.numbers') > 0 as moderator from club.member"
    ),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
async def test_a_query_that_writes_is_stopped(office: Office, owner: Owner, query: str) -> None:
    """It runs read-only, so that it fails: the message waits, and nothing is changed."""
    await owner.execute(query)

    row = await outcome_of(office, owner, letter())

    assert row["state"] == "received"
    assert "read-only transaction" in row["reason"]
    assert await owner.fetchval("select count(*) from club.member") == 2


async def test_a_query_that_sleeps_is_cut(
    office: Office, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mediator goes on with other lists."""
    monkeypatch.setattr(admission, "_PATIENCE", timedelta(seconds=0.3))
    await owner.execute(
        "create or replace view lists.everybody as select email, name, person, may_post,"
        " moderator from club.member where pg_sleep(60) is not null;"
        "insert into lists.manual (list, email) values ('bureau', 'a@b.fr')"
    )
    slow = await outcome_of(office, owner, letter())
    other = await outcome_of(
        office, owner, letter(trace=f"bureau@{DOMAIN}", to=f"bureau@{DOMAIN}"), uid=2
    )

    assert slow["state"] == "received"
    assert "statement timeout" in slow["reason"]
    assert other["outcome"] == "posted"
