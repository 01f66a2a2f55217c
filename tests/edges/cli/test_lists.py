"""`relais lists`, `list` and `preview`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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
        "lists": [{"address": COMMITTEE, "definition": "committee_role", "recipients": 14}]
    }
    header, row = human.out.splitlines()
    assert header.split() == ["address", "definition", "recipients"]
    assert row.split() == [COMMITTEE, "committee_role", "14"]
    assert site.relais("lists", "--grep", "moon", "--json").answer == {"lists": []}


async def test_list(site: Site) -> None:
    """The rules of one list, its size and its history."""
    await site.sql(LEAVE)

    answer = site.relais("list", COMMITTEE, "--json").answer
    human = site.relais("list", "comite_directeur.comite")

    assert answer["parts"] == {"role": "comite_directeur", "committee": "comite"}
    assert answer["title"] == "comite_directeur, comite"
    assert (answer["recipients"], answer["suppressed"], answer["postings"]) == (14, 1, 0)
    assert answer["last_posting_at"] is None
    assert human.out.splitlines()[0].split()[:2] == ["List", COMMITTEE]


async def test_preview(site: Site) -> None:
    """Who would get it, who would not and why, and nothing is written."""
    await site.sql(LEAVE)

    ended = site.relais("preview", COMMITTEE, "--json")

    assert ended.code == 0
    answer = ended.answer
    finish_at = datetime.fromisoformat(answer.pop("finish_at"))
    assert datetime.now(UTC) - finish_at < timedelta(minutes=1)
    for provider in answer["providers"]:
        assert provider.pop("finish_at").endswith("Z")
    assert answer == {
        "address": COMMITTEE,
        "definition": "committee_role",
        "parts": {"role": "comite_directeur", "committee": "comite"},
        "recipients": 14,
        "would_receive": 11,
        "suppressed": 1,
        "unusable": 1,
        "duplicates": 1,
        "may_post": None,
        "providers": [
            {"provider": "google", "recipients": 5},
            {"provider": "free", "recipients": 3},
            {"provider": "orange", "recipients": 3},
        ],
    }
    counts = await site.sql(
        "select (select count(*) from relais.list) as lists, (select count(*) from relais.posting)"
        " as postings, count(*) as people from relais.person where $1",
        True,  # noqa: FBT003 - an argument of the statement
    )
    assert counts == [(1, 0, 1)]


def test_preview_rights(site: Site) -> None:
    """The view says who may post."""
    for author, may in (("M1@orange.fr", True), ("m2@orange.fr", False), ("x@y.fr", False)):
        answer = site.relais("preview", COMMITTEE, "--from", author, "--json").answer
        assert answer["may_post"] is may, author
    human = site.relais("preview", COMMITTEE, "--from", "x@y.fr")
    assert human.code == 0
    assert "x@y.fr may NOT post  (post: members)" in human.out


def test_preview_for_people(site: Site) -> None:
    """The same for people, and nothing was sent."""
    lines = site.relais("preview", "Comite_Directeur.comite").out.splitlines()

    said = dict(line.split(maxsplit=1) for line in lines)
    assert said["List"] == f"{COMMITTEE}  (definition committee_role)"
    assert said["Parts"] == "role = comite_directeur, committee = comite"
    assert said["Who"].endswith("12 would receive it")
    assert said["Finished"] == "now  (google 6, free 3, orange 3)"
    assert lines[-1].startswith("Nothing was sent.")


def test_preview_who(site: Site) -> None:
    """With --who the addresses are shown with their verdicts; without, none is."""
    answer = site.relais("preview", COMMITTEE, "--who", "--json").answer
    human = site.relais("preview", COMMITTEE, "--who")

    verdicts = {row["address"]: row["verdict"] for row in answer["who"]}
    assert len(answer["who"]) == 14
    assert verdicts["m2@orange.fr"] == "recipient"
    assert verdicts["no address"] == "unusable"
    assert {verdicts["m1@free.fr"], verdicts["m1@orange.fr"]} == {"recipient", "duplicate"}
    assert "m2@orange.fr" in human.out
    assert "m2@orange.fr" not in site.relais("preview", COMMITTEE).out


async def test_preview_waits_for_a_limit(site: Site) -> None:
    """What a provider's window has spent postpones the finish to when it comes free."""
    await site.sql(
        "update relais.limit_rule set amount = 5 where provider = 'orange';"
        "insert into relais.limit_spent (limit_id, bin, marks)"
        " select limit_id, relais.bin_of(period, relais.now() - interval '20 hours'), 4"
        "   from relais.limit_rule where provider = 'orange'"
    )

    answer = site.relais("preview", COMMITTEE, "--json").answer
    human = site.relais("preview", COMMITTEE).out

    orange = next(p for p in answer["providers"] if p["provider"] == "orange")
    wait = datetime.fromisoformat(orange["finish_at"]) - datetime.now(UTC)
    assert timedelta(hours=3.9) < wait < timedelta(hours=4.3)
    assert answer["finish_at"] == orange["finish_at"]
    assert "(google 6 now, free 3 now, orange 3)" in human


def test_preview_of_an_empty_list(site: Site) -> None:
    """A list without parts exists though it is empty, and anybody may post to it."""
    ended = site.relais("preview", "nouvelles", "--from", "x@y.fr", "--json")

    assert ended.code == 0
    assert (ended.answer["recipients"], ended.answer["may_post"]) == (0, True)
    assert ended.answer["finish_at"] is None


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
