"""Copies as they leave: each in its reader's language, with their own fields and link.

From the author's message through expansion, claim and rendering, on PostgreSQL.
"""

from __future__ import annotations

import email
import email.policy
import re
from typing import TYPE_CHECKING

import pytest_asyncio

from tests.actors.conftest import SECRET
from tests.actors.letters import desk, letter, outcome_of
from tests.edges.store.given import DOMAIN, claim_due
from worker.mail.return_address import Purpose, Tokens, alleged_number, list_and_person
from worker.store import suppressions
from worker.store.database import borrowed

if TYPE_CHECKING:
    from email.message import EmailMessage

    from tests.actors.letters import Owner
    from worker.actors.desk import Copy
    from worker.actors.office import Office
    from worker.store.deliveries import Claim

TEAM = """
    create table club.team (email text, name text, person text, lang text, team text,
                            number integer);
    insert into club.team values
        ('jean@orange.fr', 'Jean Dupont', '1', 'fr', 'judo', 7),
        ('john@example.com', 'John <b>Smith</b>', '2', 'en-GB', 'judo', null),
        ('hans@example.de', E'Hans\\r\\nBcc: x@y.fr', '3', 'de', 'judo', 9),
        ('other@example.fr', 'Other', '4', 'fr', 'karate', 1);
    create view lists.team as select * from club.team;
    select lists.define(view => 'lists.team', address => '{team}', title => 'Équipe {team}',
        why => 'comme licencié n° {number} de {team}', footer => 'Envoyé à {name}.',
        post => 'anyone', form => 'announcement', subject_prefix => '[{team}]');
"""
LINK = re.compile(rb"/u/([a-z2-7]{32})")


@pytest_asyncio.fixture
async def team(owner: Owner) -> Owner:
    """Make a list for each team, whose words name what the view knows of its members."""
    await owner.execute(TEAM)
    return owner


async def claims(office: Office, owner: Owner) -> list[Claim]:
    """Post a message to the judo team, and claim its copies."""
    row = await outcome_of(office, owner, letter(trace=f"judo@{DOMAIN}"))
    assert row["outcome"] == "posted"
    async with borrowed(office.pool) as db:
        return await claim_due(db, "w1", at_most=10)


async def copies(office: Office, owner: Owner) -> dict[str, Copy]:
    """Render what is due, by address."""
    rendering = desk(office)
    return {claim.address: await rendering.copy_of(claim) for claim in await claims(office, owner)}


def read(copy: Copy) -> EmailMessage:
    """Read a copy as a recipient's program does."""
    return email.message_from_bytes(
        copy.body.replace(b"\r\n..", b"\r\n."), policy=email.policy.default
    )


async def test_each_in_their_language_with_their_fields(office: Office, team: Owner) -> None:
    """Who reads a language that we have not gets the list's; hostile fields are text."""
    found = await copies(office, team)

    assert set(found) == {"jean@orange.fr", "john@example.com", "hans@example.de"}
    jean, john, hans = (
        read(found[one]).get_content().replace("\N{NO-BREAK SPACE}", " ")
        for one in ("jean@orange.fr", "john@example.com", "hans@example.de")
    )
    assert "Vous recevez ce message comme licencié n° 7 de judo (liste « Équipe judo »)." in jean
    assert "Envoyé à Jean Dupont." in jean
    assert "You get this message because you are on the list “Équipe judo”." in john
    assert "Envoyé à John <b>Smith</b>." in john
    assert "comme licencié n° 9 de judo" in hans
    assert "Envoyé à Hans Bcc: x@y.fr." in hans


async def test_each_is_addressed_by_name(office: Office, team: Owner) -> None:
    """An announcement is for its recipient; a name adds no line to a header."""
    found = await copies(office, team)

    to = {address: str(read(copy)["to"]) for address, copy in found.items()}
    assert to == {
        "jean@orange.fr": "Jean Dupont <jean@orange.fr>",
        "john@example.com": '"John <b>Smith</b>" <john@example.com>',
        "hans@example.de": '"Hans Bcc: x at y.fr" <hans@example.de>',
    }
    assert {str(read(copy)["subject"]) for copy in found.values()} == {"[judo] Bonjour"}
    assert all(read(copy)["bcc"] is None for copy in found.values())


async def test_what_the_view_does_not_know_is_empty(office: Office, team: Owner) -> None:
    """A member without a name and a number gets a copy like everybody."""
    await team.execute("update club.team set name = null, number = null, lang = null")
    found = await copies(office, team)

    jean = read(found["jean@orange.fr"])
    assert str(jean["to"]) == "jean@orange.fr"
    assert "Envoyé à ." in jean.get_content().replace("\N{NO-BREAK SPACE}", " ")


async def test_a_second_rendering_is_byte_identical(office: Office, team: Owner) -> None:
    """By another worker, after a rotation of secrets, though the view has changed."""
    held = await claims(office, team)
    first = [await desk(office).copy_of(claim) for claim in held]
    await team.execute("update club.team set name = 'Changed', number = 0, lang = 'en'")
    await team.execute("select lists.drop('lists.team')")

    later = desk(office, tokens=Tokens((b"n" * 32, SECRET)))
    assert [await later.copy_of(claim) for claim in held] == first


async def test_reports_about_anonymous_copies_find_them(office: Office, team: Owner) -> None:
    """They name the Message-ID of the copies, which is not the author's."""
    await team.execute(
        "update lists.definition set form = 'anonymous', reply_to = 'list' where name = 'team'"
    )
    found = await copies(office, team)
    kept = await team.fetchval("select message_id from relais.posting")

    assert {str(read(copy)["message-id"]) for copy in found.values()} == {kept}
    assert kept != "<1@b.fr>"


async def test_a_link_is_for_its_list_and_person(office: Office, team: Owner) -> None:
    """Another person who is given the same number by a restored database is no one's."""
    found = await copies(office, team)
    tokens = {LINK.findall(copy.body)[0].decode() for copy in found.values()}
    assert len(tokens) == 3

    await team.execute("update relais.person set key = 'person:restored-' || person_id")
    for token in tokens:
        number = alleged_number(token)
        async with borrowed(office.pool) as db:
            subscriber = await suppressions.subscriber(db, *list_and_person(number))
        assert subscriber is not None
        stands_for = subscriber.subscription
        assert office.tokens.read(Purpose.UNSUBSCRIBE, token, stands_for=stands_for) is None
