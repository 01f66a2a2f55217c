"""`relais lists` and `relais list`."""

from __future__ import annotations

from tests.edges.cli.site import COMMITTEE, DOMAIN, Site

LEAVE = """
    with l as (insert into relais.list (definition, parts, address)
               values ('committee_role', '{"role": "comite_directeur", "committee": "comite"}',
                       'comite_directeur.comite') returning list_id),
         p as (insert into relais.person (key) values ('person:p12') returning person_id)
    insert into relais.suppression (list_id, person_id, reason, source, since)
    select list_id, person_id, 'unsubscribed', 'page', relais.now() from l, p
"""


def test_lists(site: Site) -> None:
    """Every address that exists, with its size."""
    ended = site.relais("lists", "--json")
    human = site.relais("lists", "--grep", "COMITE")

    assert ended.code == 0
    assert ended.answer == {
        "lists": [{"address": COMMITTEE, "definition": "committee_role", "recipients": 14}],
        "problems": [],
    }
    header, row = human.out.splitlines()
    assert header.split() == ["address", "definition", "recipients"]
    assert row.split() == [COMMITTEE, "committee_role", "14"]
    assert site.relais("lists", "--grep", "moon", "--json").answer == {
        "lists": [],
        "problems": [],
    }


async def test_list(site: Site) -> None:
    """The rules of one list, its size and its history."""
    await site.sql(LEAVE)
    await site.sql(
        "insert into relais.address_health (address, state, since, reason, status, evidence)"
        " select lower(btrim(email)), state, relais.now(), 'full', '', ''"
        "   from (select email, row_number() over (order by email) as nth from lists.committee_role"
        "          where role = 'comite_directeur' and committee = 'comite'"
        "            and email like '%@%') one"
        "   join (values (1, 'held'), (2, 'trial')) as states(nth, state) using (nth)"
    )

    answer = site.relais("list", COMMITTEE, "--json").answer
    human = site.relais("list", "comite_directeur.comite")

    assert answer["parts"] == {"role": "comite_directeur", "committee": "comite"}
    assert answer["title"] == "comite_directeur, comite"
    assert (answer["recipients"], answer["suppressed"], answer["postings"]) == (14, 1, 0)
    assert answer["held"] == 1
    assert answer["last_posting_at"] is None
    assert "14 now; 1 have left, 1 held" in human.out
    assert human.out.splitlines()[0].split()[:2] == ["List", COMMITTEE]


async def test_list_shows_every_option(site: Site) -> None:
    """As lists.define was told; for people in their words."""
    await site.sql(
        "select lists.define('lists.news', 'nouvelles', 'Nouvelles', post => 'anyone',"
        " why => 'as a reader', footer => 'One more line.', unsubscribe => 'contact',"
        " in_doubt => 'park', notify_above => 3, max_size => '200 kB',"
        " notify_delay => '90 minutes', grace => '10 minutes', report_addresses => 'author')"
    )

    answer = site.relais("list", "nouvelles", "--json").answer
    human = site.relais("list", "nouvelles").out

    assert {key: answer[key] for key in ("why", "authenticate", "moderate", "unsubscribe")} == {
        "why": "as a reader",
        "authenticate": "auth_or_confirm",
        "moderate": "no",
        "unsubscribe": "contact",
    }
    assert (answer["footer"], answer["in_doubt"], answer["notify_above"], answer["owner"]) == (
        "One more line.",
        "park",
        3,
        None,
    )
    letters = ("receipt", "notify_delay_seconds", "grace_seconds", "report_addresses")
    assert [answer[key] for key in letters] == ["auto", 5400, 600, "author"]
    said = dict(line.split("  ", maxsplit=1) for line in human.splitlines())
    said = {name: fact.strip() for name, fact in said.items()}
    assert said["Reason"] == "as a reader"
    assert said["Leaving"] == "on the page only, not by one click"
    assert said["Owner"] == "aide@example.fr (the site's help address)"
    assert said["At most"] == "2000 recipients, 200 kB"
    assert said["Letters"] == (
        "a receipt above 3 recipients, or if it takes longer than 90 min;"
        " grace: 10 min above 200 recipients; refused addresses are shown to: author"
    )


async def test_list_without_letters(site: Site) -> None:
    """What was turned off is said to be."""
    await site.sql(
        "select lists.define('lists.news', 'nouvelles', 'Nouvelles', post => 'anyone',"
        " receipt => 'never', grace => '0', report_addresses => 'nobody')"
    )

    assert (
        "no receipt; grace: none; refused addresses are shown to: nobody\n"
        in site.relais("list", "nouvelles").out
    )


async def test_check(site: Site) -> None:
    """Every query is tried, as the worker; an error is a problem, a warning none."""
    fine = site.relais("lists", "--check")
    await site.sql("select lists.expect('comite_directeur.comite', people => int4range(5, 14))")
    ended = site.relais("lists", "--check", "--json")
    human = site.relais("lists", "--check")

    assert (fine.code, fine.out.splitlines()) == (
        0,
        [
            "warning: list committee_role: rows without a usable address: 1",
            "warning: list news: its view has no row",
            "3 definitions, 2 addresses; 2 findings.",
        ],
    )
    disappointment = "comite_directeur.comite has 14 people, expected 5 to 13"
    assert (ended.code, human.code) == (1, 1)
    assert (ended.answer["definitions"], ended.answer["addresses"]) == (3, 2)
    assert ended.answer["findings"][-1] == {
        "definition": "committee_role",
        "severity": "error",
        "finding": disappointment,
    }
    assert f"error: list committee_role: {disappointment}" in human.out.splitlines()


def test_unknown_address(site: Site) -> None:
    """What is like it is proposed, to people and to scripts."""
    for verb in ("preview", "list"):
        ended = site.relais(verb, "comite_directeur.comitte", "--json")
        assert ended.code == 1
        assert ended.answer == {
            "error": f"no list has the address comite_directeur.comitte@{DOMAIN}",
            "did_you_mean": [COMMITTEE],
        }
    human = site.relais("preview", "comite_directeur.comitte")
    assert (human.code, human.out) == (1, "")
    assert f"Did you mean {COMMITTEE}?" in human.err
    other = site.relais("preview", "comite_directeur.comite@example.org", "--json")
    assert other.code == 1
    assert other.answer["did_you_mean"] == [COMMITTEE]
    nothing = site.relais("preview", "moon\x1b[2J", "--json")
    assert nothing.answer["did_you_mean"] == []


async def test_a_list_whose_query_fails(site: Site) -> None:
    """The others are shown, and it is said which one is broken."""
    await site.sql(
        "create view lists.broken as select email from club.member where club.halved(1) = 1;"
        "select lists.define(view => 'lists.broken', address => 'casse', title => 'Casse');"
        "create or replace view lists.broken as select email from club.member"
        " where club.halved(0) = 1 offset 0;"
    )

    ended = site.relais("lists", "--json")
    human = site.relais("lists")

    assert (ended.code, human.code) == (1, 1)
    assert [entry["address"] for entry in ended.answer["lists"]] == [COMMITTEE]
    assert ended.answer["problems"] == [{"definition": "broken", "error": "division by zero"}]
    assert human.out.splitlines()[-3:] == [
        "",
        "no answer of  because",
        "broken        division by zero",
    ]


async def test_query_that_fails(site: Site) -> None:
    """A view that fails is told with what PostgreSQL says, not with a traceback."""
    await site.sql(
        "create view lists.broken as select email, (club.halved(0))::text as x from club.member;"
        "select lists.define(view => 'lists.broken', address => 'casse', title => 'Cassé');"
        "create or replace view lists.broken as"
        " select email, club.halved(0)::text as x from club.member where club.halved(0) = 1"
    )

    ended = site.relais("preview", "casse", "--json")

    assert ended.code == 1
    assert ended.answer["error"] == "the query of casse fails: division by zero"
