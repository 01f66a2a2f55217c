"""`relais bounces list|show|forgive`, and what `relais who` tells of an address's health."""

from __future__ import annotations

import getpass
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.edges.cli.site import COMMITTEE, DOMAIN, Site

if TYPE_CHECKING:
    from tests.edges.cli.site import Finished

# m3 is held, m5 suspect, m7 tried once more; gone@ is on no list. The second view knows names
# and a secretary.
AILING = """
    create view lists.named as
        select email, 'Nom ' || person as name, person,
               case when person = 'p3' then 'Secretariat@club.fr' end as secretary
          from club.member where person in ('p3', 'p5');
    select lists.define('lists.named', address => 'nommes', title => 'Nommés');
    insert into relais.list (definition, parts, address, title)
    values ('named', '{}', 'nommes', 'Nommés');
    insert into relais.posting (list_id, fingerprint, author, subject, accepted_at, template,
                                key_id, state)
    values (1, 'a', 'm1@orange.fr', 'Un', '2026-01-01 12:00+00', '', 'k', 'finished'),
           (1, 'b', 'm1@orange.fr', 'Deux', '2026-01-06 12:00+00', '', 'k', 'finished'),
           (1, 'c', 'm1@orange.fr', 'Trois', '2026-01-07 12:00+00', '', 'k', 'stopped');
    insert into relais.address_health (address, state, since, due_at, reason, status, evidence)
    values ('m3@orange.fr', 'held', '2026-01-05 12:00+00', '2026-04-05 12:00+00', 'unknown_user',
            '5.1.1', E'550 5.1.1 <m3@orange.fr> unknown\\x1b[2J'),
           ('m5@free.fr', 'suspect', '2026-01-05 12:00+00', '2026-01-06 12:00+00', 'full',
            '5.2.2', '552 full'),
           ('m7@gmail.com', 'trial', '2026-01-05 12:00+00', null, 'disabled', '', '550 disabled'),
           ('gone@free.fr', 'held', '2026-01-05 12:00+00', '2026-04-05 12:00+00', 'moved',
            '5.1.6', '551 moved');
    insert into relais.address_failure (address, delivery_id, posting_id, provider, failed_at,
                                        is_permanent, reason, status, evidence, words, is_excused)
    values ('m3@orange.fr', 1, 1, 'orange', '2026-01-03 12:00+00', true, 'unknown_user', '5.1.1',
            '550 5.1.1 unknown', '', false),
           ('m3@orange.fr', 2, null, 'orange', '2026-01-05 12:00+00', true, 'unknown_user',
            '5.1.1', '550 5.1.1 unknown', '', false),
           ('m3@orange.fr', 3, 1, 'orange', '2026-01-04 12:00+00', false, 'full', '4.2.2',
            '452 full', '', true),
           ('m9@gmail.com', 4, 1, 'google', '2026-01-04 12:00+00', true, 'full', '5.2.2',
            '552 full', '', false);
    insert into relais.address_failure (address, delivery_id, posting_id, provider, failed_at,
                                        is_permanent, reason, status, evidence, words, is_over)
    values ('m9@gmail.com', 5, 1, 'google', '2026-01-02 12:00+00', true, 'full', '5.2.2',
            '552 full', '', true);
"""
WHY = ("--reason", "she wrote to us")


@pytest.fixture
async def ill(site: Site) -> Site:
    """A site with addresses that fail."""
    await site.sql(AILING)
    return site


def _listed(site: Site, *options: str) -> list[str]:
    answer = site.relais("bounces", "list", *options, "--json").answer
    assert answer["problems"] == []
    return [row["address"] for row in answer["addresses"]]


def test_list(ill: Site) -> None:
    """Whose they are, where, what is wrong in words, and who can mend it."""
    answer = ill.relais("bounces", "list", "--json").answer

    gone, m3 = answer["addresses"]
    assert m3 == {
        "address": "m3@orange.fr",
        "names": ["Nom p3"],
        "people": ["p3"],
        "lists": [COMMITTEE, f"nommes@{DOMAIN}"],
        "state": "held",
        "since": "2026-01-05T12:00:00Z",
        "retry_at": "2026-04-05T12:00:00Z",
        "reason": "unknown_user",
        "words": "this mailbox does not exist (any more)",
        "status": "5.1.1",
        "evidence": "550 5.1.1 <m3@orange.fr> unknown\x1b[2J",
        "failures": 2,
        "failing_since": "2026-01-03T12:00:00Z",
        "secretaries": ["secretariat@club.fr"],
    }
    assert (gone["address"], gone["lists"], gone["secretaries"]) == ("gone@free.fr", [], [])
    header, first, second = ill.relais("bounces", "list").out.splitlines()
    assert header.split()[:3] == ["address", "name", "lists"]
    assert "on none now" in first
    assert second.startswith("m3@orange.fr  Nom p3  comite_directeur.comite, nommes")
    assert second.endswith("secretariat@club.fr")


def test_which_are_listed(ill: Site) -> None:
    """By their state, and by who can mend them."""
    assert _listed(ill, "--held") == ["gone@free.fr", "m3@orange.fr"]
    assert _listed(ill, "--suspect") == ["m5@free.fr"]
    assert _listed(ill, "--all") == ["gone@free.fr", "m3@orange.fr", "m5@free.fr", "m7@gmail.com"]
    assert _listed(ill, "--secretary", "Secretariat@Club.fr") == ["m3@orange.fr"]
    assert _listed(ill, "--all", "--secretary", "aide@example.fr") == ["m5@free.fr", "m7@gmail.com"]
    assert "  suspect  " in ill.relais("bounces", "list", "--all").out
    nobody = ill.relais("bounces", "list", "--secretary", "tennis@club.fr")
    assert nobody.out == "No address that is held is mended by tennis@club.fr.\n"
    both = ill.relais("bounces", "list", "--held", "--suspect")
    assert (both.code, both.err) == (2, "write one of --held, --suspect and --all\n")


WRITTEN_TO = {
    "one who is held": ("gone@free.fr", ["aide@example.fr"]),
    "a list of ours": (f"bureau@{DOMAIN}", ["aide@example.fr"]),
    "no address": ("nobody", ["aide@example.fr"]),
    "one who reads": ("m5@free.fr", ["m5@free.fr"]),
}


@pytest.mark.parametrize(("named", "told"), WRITTEN_TO.values(), ids=WRITTEN_TO)
async def test_where_the_letter_goes(ill: Site, named: str, told: list[str]) -> None:
    """It is said of whom it goes to, not of whom the row names."""
    await ill.sql(
        "create or replace view lists.named as select email, 'Nom ' || person as name, person,"
        f" case when person = 'p3' then '{named}' end as secretary"
        " from club.member where person in ('p3', 'p5')"
    )

    assert ill.relais("bounces", "show", "m3@orange.fr", "--json").answer["secretaries"] == told
    assert _listed(ill, "--secretary", told[0]) == ["m3@orange.fr"]


async def test_nobody_can_be_told(ill: Site) -> None:
    """While mail to the help address comes back as well."""
    await ill.sql("update relais.address_health set address = 'aide@example.fr'"
                  " where address = 'gone@free.fr'")  # fmt: skip
    shown = ill.relais("bounces", "show", "m7@gmail.com").out

    assert "nobody: the help address is held itself" in shown


def test_nothing_is_listed(site: Site) -> None:
    """That is good news, and no error."""
    ended = site.relais("bounces", "list")

    assert (ended.code, ended.out) == (0, "No address is in such a state.\n")


async def test_a_query_that_fails(ill: Site) -> None:
    """The other lists tell what they know, and it is said which one does not."""
    await ill.sql(
        "create view lists.broken as select email from club.member where club.halved(1) = 1;"
        "select lists.define(view => 'lists.broken', address => 'casse', title => 'Casse');"
        "create or replace view lists.broken as select email from club.member"
        " where club.halved(0) = 1 offset 0;"
        "grant usage on schema club to relais_worker;"
    )

    answer = ill.relais("bounces", "list", "--json").answer
    assert [row["address"] for row in answer["addresses"]] == ["gone@free.fr", "m3@orange.fr"]
    [problem] = answer["problems"]
    assert problem == {"definition": "broken", "error": "division by zero"}
    human = ill.relais("bounces", "list").out
    assert "broken        division by zero" in human
    assert "on none that answered; no answer of broken" in human


async def test_progress(ill: Site) -> None:
    """Once it takes long, it is said on stderr what is waited for."""
    await ill.sql(
        "create view lists.a_slow as select email from club.member, pg_sleep(2.5) where true;"
        "select lists.define(view => 'lists.a_slow', address => 'lent', title => 'Lent');"
    )
    await ill.sql("delete from club.member where person <> 'p3'")

    ended = ill.relais("bounces", "list", "--json")

    assert ended.answer["problems"] == []
    assert ended.err.splitlines()[0] == "asking committee_role, 2 of 5 ..."
    assert ill.relais("bounces", "list", "--suspect").err.count("asking") in range(5)


def test_show(ill: Site) -> None:
    """Its history, with words and what counts, and what it has missed."""
    answer = ill.relais("bounces", "show", "M3@Orange.fr", "--json").answer

    assert answer["health"]["state"] == "held"
    assert (answer["names"], answer["secretaries"]) == (["Nom p3"], ["secretariat@club.fr"])
    assert answer["missed"] == [{"list": f"nommes@{DOMAIN}", "postings": 1}]
    assert [
        (f["failed_at"], f["list"], f["reason"], f["is_permanent"], f["is_excused"])
        for f in answer["failures"]
    ] == [
        ("2026-01-05T12:00:00Z", None, "unknown_user", True, False),
        ("2026-01-04T12:00:00Z", f"nommes@{DOMAIN}", "full", False, True),
        ("2026-01-03T12:00:00Z", f"nommes@{DOMAIN}", "unknown_user", True, False),
    ]
    assert answer["failures"][1]["words"] == "the mailbox is full"

    lines = ill.relais("bounces", "show", "m3@orange.fr").out.splitlines()
    facts = dict(line.split("  ", 1) for line in lines[: lines.index("")])
    assert facts["State"].strip() == (
        "held since 05 Jan 2026, 12:00 UTC: gets nothing; tried again on 05 Apr 2026, 12:00 UTC"
    )
    assert facts["Wrong"].strip() == "this mailbox does not exist (any more)"
    assert facts["Said"].strip() == "550 5.1.1 <m3@orange.fr> unknown\N{REPLACEMENT CHARACTER}[2J"
    assert "no: many came back alike" in "\n".join(lines)
    assert lines[-2:] == ["list    postings missed since", "nommes                      1"]


STATES = {
    "m5@free.fr": "gets its copies; asked by a letter of its own on 06 Jan 2026, 12:00 UTC",
    "m7@gmail.com": "gets its copies; one more that comes back, and it is held",
    "m9@gmail.com": "gets its copies; 1 failure on record",
}


@pytest.mark.parametrize(("address", "said"), STATES.items())
def test_states(ill: Site, address: str, said: str) -> None:
    """What each means for the person, in who as well."""
    assert said in ill.relais("bounces", "show", address).out
    assert said in ill.relais("who", address).out


def _unknown(ended: Finished) -> Any:
    assert ended.code == 1
    return ended.answer


@pytest.mark.parametrize("verb", ["show", "forgive"])
def test_an_unknown_address(ill: Site, verb: str) -> None:
    """What is like it is named."""
    reason = WHY if verb == "forgive" else ()

    ended = ill.relais("bounces", verb, "m3@orange.fe", *reason)
    assert (ended.code, ended.err.splitlines()) == (
        1,
        ["nothing has come back from m3@orange.fe", "Did you mean m3@orange.fr?"],
    )
    answer = _unknown(ill.relais("bounces", verb, "m3@orange.fe", *reason, "--json"))
    assert answer["did_you_mean"] == ["m3@orange.fr"]
    strange = ill.relais("bounces", verb, "x@y.example", *reason, "--json")
    assert _unknown(strange)["did_you_mean"] == []
    none = ill.relais("bounces", verb, "nobody", *reason)
    assert (none.code, none.err) == (2, "'nobody': write one address, as name@example.org\n")


@pytest.mark.parametrize("verb", ["show", "forgive"])
def test_an_address_that_is_well(ill: Site, verb: str) -> None:
    """Lists know it, so nothing is guessed; what else there is, who tells."""
    ended = ill.relais("bounces", verb, "m2@orange.fr", *(WHY if verb == "forgive" else ()))

    assert (ended.code, ended.err) == (
        1,
        "nothing that counts has come back from m2@orange.fr; see relais who m2@orange.fr\n",
    )


async def test_what_waited_is_missed(ill: Site) -> None:
    """Its copies were cancelled when the address was held; what was stopped was not missed."""
    await ill.sql("""
        insert into relais.person (key) values ('person:p3'), ('person:p4');
        insert into relais.delivery (posting_id, person_id, address, provider, state, due_at,
                                     settled_at, reply)
        select n, case n when 1 then p else p + 1 end, 'M3@orange.fr', 'orange', 'cancelled',
               relais.now(), '2026-01-05 12:01+00',
               case n when 1 then 'held: mail to this address comes back' else 'stopped' end
          from generate_series(1, 2) n, (select min(person_id) from relais.person) people(p)
    """)

    answer = ill.relais("bounces", "show", "m3@orange.fr", "--json").answer

    assert answer["missed"] == [{"list": f"nommes@{DOMAIN}", "postings": 1}]


def test_who_can_be_let_in(ill: Site) -> None:
    """Only who is out; the others get their copies."""
    letting_in = {
        address: "Let in" in ill.relais("bounces", "show", address).out
        for address in ("m3@orange.fr", "m5@free.fr", "m7@gmail.com")
    }

    assert letting_in == {"m3@orange.fr": True, "m5@free.fr": False, "m7@gmail.com": False}


async def test_forgive(ill: Site) -> None:
    """Nothing is on record any more, but who did it and why."""
    ended = ill.relais("bounces", "forgive", "M3@orange.fr", *WHY)

    assert ended.code == 0
    assert ended.out == (
        "m3@orange.fr: was held; 3 failures forgotten.\n"
        "The next posting to its lists leaves for it again; what it has missed is not sent"
        " again. If it still does not work, it fails again and is counted from the start.\n"
    )
    assert _listed(ill, "--all") == ["gone@free.fr", "m5@free.fr", "m7@gmail.com"]
    kept = await ill.sql("select who, what, reason from relais.audit where audit_id > $1", 0)
    assert [tuple(row) for row in kept] == [
        (getpass.getuser(), "forgive m3@orange.fr", "she wrote to us")
    ]
    for again in (("forgive", "m3@orange.fr", *WHY), ("show", "m3@orange.fr")):
        ended = ill.relais("bounces", *again)
        assert ended.code == 1
        assert re.fullmatch(
            rf"m3@orange\.fr is not held; forgiven on .+ by {getpass.getuser()}: she wrote to us\n",
            ended.err,
        )


def test_forgive_what_was_not_decided(ill: Site) -> None:
    """A failure that counts is forgotten, too."""
    shown = ill.relais("bounces", "show", "m9@gmail.com")
    ended = ill.relais("bounces", "forgive", "m9@gmail.com", *WHY, "--json")

    assert "no: a later copy has arrived" in shown.out
    assert ended.answer == {"address": "m9@gmail.com", "was": None, "failures": 2}


def test_a_reason_says_something(ill: Site) -> None:
    """It is kept in the audit."""
    ended = ill.relais("bounces", "forgive", "m3@orange.fr", "--reason", " ")

    assert (ended.code, ended.err) == (2, "--reason must say why\n")


def test_who(ill: Site) -> None:
    """The same words, beside whatever else is known."""
    answer = ill.relais("who", "m3@orange.fr", "--json").answer
    assert answer["health"]["retry_at"] == "2026-04-05T12:00:00Z"
    assert len(answer["failures"]) == 3

    out = ill.relais("who", "m3@orange.fr").out
    assert "Health   held since 05 Jan 2026, 12:00 UTC: gets nothing" in out
    assert ill.relais("who", "gone@free.fr").code == 0
