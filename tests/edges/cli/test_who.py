"""`relais who`: everything known about one person."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.edges.cli.site import COMMITTEE, DOMAIN, PERSON, Site

if TYPE_CHECKING:
    from typing import Any

BROKEN = """
    create view lists.broken as select email from club.member where club.halved(1) = 1;
    select lists.define(view => 'lists.broken', address => 'casse', title => 'Casse');
    create or replace view lists.broken as select email from club.member where club.halved(0) = 1
        offset 0;
    create table club.seen (n integer);
    create function club.noted() returns boolean language sql security definer
        as 'insert into club.seen values (1) returning true';
    create view lists.writes as select email from club.member;
    select lists.define(view => 'lists.writes', address => 'ecrit', title => 'Ecrit');
    grant usage on schema club to relais_worker;
    create or replace view lists.writes as select email from club.member where club.noted();
"""


@pytest.fixture
async def peopled(site: Site) -> Site:
    """A site where there is much to tell of p2."""
    await site.sql(PERSON)
    return site


def test_everything(peopled: Site) -> None:
    """All that is known, by the address that the person has now."""
    ended = peopled.relais("who", "M2@orange.fr", "--json")

    assert ended.code == 0
    answer = ended.answer
    due = answer["deliveries"][0].pop("at")
    accepted = answer["postings"][0].pop("accepted_at")
    assert (due[-1], accepted[-1]) == ("Z", "Z")
    assert answer == {
        "address": "m2@orange.fr",
        "people": ["p2"],
        "lists": [
            {
                "address": f"bureau@{DOMAIN}",
                "definition": "seat",
                "may_post": False,  # Banned there; and the list knows another address.
                "moderator": False,
                "listed_as": "deux@travail.fr",
            },
            {
                "address": COMMITTEE,
                "definition": "committee_role",
                "may_post": False,
                "moderator": False,
                "listed_as": "m2@orange.fr",
            },
        ],
        "other_addresses": ["deux@ancien.fr", "deux@maison.fr", "deux@travail.fr"],
        "health": None,
        "failures": [],
        "suppressions": [
            {
                "scope": "all",
                "reason": "operator",
                "source": "operator",
                "since": "2026-01-06T12:00:00Z",
                "note": None,
            },
            {
                "scope": f"bureau@{DOMAIN}",
                "reason": "unsubscribed",
                "source": "one-click",
                "since": "2026-01-05T12:00:00Z",
                "note": None,
            },
        ],
        "bans": answer["bans"],
        "deliveries": [
            {"posting": 2, "address": COMMITTEE, "state": "queued", "reply": None},
            {
                "posting": 1,
                "address": f"bureau@{DOMAIN}",
                "state": "bounced",
                "at": "2026-01-05T12:00:00Z",
                "reply": "550 5.1.1 unknown\x1b[2J",
            },
        ],
        "postings": [
            {"posting": 2, "address": COMMITTEE, "subject": "Un\x1b[2J", "state": "finished"}
        ],
        "decisions": [
            {
                "posting": 1,
                "kind": "moderate",
                "asked_at": "2026-01-05T12:00:00Z",
                "expires_at": "2026-01-10T12:00:00Z",
                "answer": None,
            }
        ],
        "authentications": [
            {
                "signed_by": "orange.fr",
                "return_path_domain": "orange.fr",
                "network": "",
                "until": "2126-01-05T12:00:00Z",
            }
        ],
        "notices": [
            {
                "kind": "moderate",
                "posting": 1,
                "state": "handed_over",
                "made_at": "2026-01-05T12:00:00Z",
            }
        ],
        "problems": [],
    }
    assert [(ban["author"], ban["definition"]) for ban in answer["bans"]] == [
        ("m2@orange.fr", "seat")
    ]


WAYS = {
    "the address of another list": "deux@travail.fr",
    "an address that is known of them": "deux@maison.fr",
    "an address that they had": "Deux <deux@ancien.fr>",
}


@pytest.mark.parametrize("address", WAYS.values(), ids=WAYS)
def test_by_any_address(peopled: Site, address: str) -> None:
    """Whoever is asked for by one address is found by the others."""
    answer = peopled.relais("who", address, "--json").answer

    assert answer["people"] == ["p2"]
    assert [place["address"] for place in answer["lists"]] == [f"bureau@{DOMAIN}", COMMITTEE]
    assert "m2@orange.fr" in answer["other_addresses"]
    assert len(answer["deliveries"]) == 2


def test_rights(peopled: Site) -> None:
    """As the mediator would say of this address: a member's other address counts too."""
    by_list = _lists(peopled.relais("who", "deux@travail.fr", "--json").answer)
    by_known = _lists(peopled.relais("who", "deux@maison.fr", "--json").answer)
    first = _lists(peopled.relais("who", "m1@orange.fr", "--json").answer)

    assert by_list["bureau"] == by_known["bureau"] == (True, True)
    assert by_list["comite_directeur.comite"] == (False, False)
    assert first == {"comite_directeur.comite": (True, False)}


def _lists(answer: Any) -> dict[str, tuple[bool, bool]]:
    return {
        place["address"].partition("@")[0]: (place["may_post"], place["moderator"])
        for place in answer["lists"]
    }


def test_for_people(peopled: Site) -> None:
    """The facts, then a table for each thing that there is; nothing that a terminal obeys."""
    out = peopled.relais("who", "m2@orange.fr").out
    quiet = peopled.relais("who", "m3@orange.fr").out

    lines = out.splitlines()
    assert lines[0].split() == ["Address", "m2@orange.fr"]
    assert lines[1].split() == ["Person", "p2"]
    assert lines[2] == "Also     deux@ancien.fr, deux@maison.fr, deux@travail.fr"
    assert "\x1b" not in out
    headings = [line.split("  ")[0] for previous, line in pairwise(lines) if not previous]
    assert headings == [
        "list",
        "out of",
        "banned",
        "delivery of",
        "wrote",
        "asked about",
        "trusted if signed by",
        "notice",
    ]
    assert "out of" not in quiet
    assert "delivery of" not in quiet


async def test_a_broken_definition(peopled: Site) -> None:
    """It is told beside the others, and takes nothing away from them."""
    await peopled.sql(BROKEN)

    ended = peopled.relais("who", "m2@orange.fr", "--json")
    human = peopled.relais("who", "m2@orange.fr")
    nobody = peopled.relais("who", "x@y.fr", "--json")

    assert (ended.code, human.code) == (0, 0)
    problems = {p["definition"]: p["error"] for p in ended.answer["problems"]}
    assert problems == {
        "broken": "division by zero",
        "writes": "cannot execute INSERT in a read-only transaction",
    }
    assert len(ended.answer["lists"]) == 2
    assert "broken        division by zero" in human.out
    assert nobody.code == 1
    assert "broken (division by zero)" in nobody.answer["error"]


async def test_a_view_of_known_addresses_that_fails(peopled: Site) -> None:
    """The site may replace it, so it may be wrong as any other."""
    await peopled.sql(
        "create or replace view lists.known_addresses as"
        " select person, email from relais.known_address where club.halved(0) = 1"
    )

    answer = peopled.relais("who", "m2@orange.fr", "--json").answer

    assert [p["definition"] for p in answer["problems"]] == ["known_addresses"]
    assert answer["other_addresses"] == ["deux@ancien.fr", "deux@travail.fr"]


def test_nothing(site: Site) -> None:
    """Exit 1, for people and for scripts; a view may hold what is no address."""
    human = site.relais("who", "X@y.fr")
    answer = site.relais("who", "X@y.fr", "--json")
    odd = site.relais("who", "no address", "--json")

    assert (human.code, human.out) == (1, "")
    assert human.err.startswith("nothing is known of x@y.fr; ")
    assert (answer.code, answer.answer["error"] + "\n") == (1, human.err)
    assert [place["address"] for place in odd.answer["lists"]] == [COMMITTEE]
