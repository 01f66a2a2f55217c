"""`relais person`: everything stored of one person, and how they are erased."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from tests.edges.cli.site import COMMITTEE, DOMAIN, PERSON, Site
from worker.mail.return_address import Purpose, Tokens, subscriber_number
from worker.store import suppressions
from worker.store.database import connect

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    import asyncpg

NAME = "Renée Deux"
ADDRESSES = ("m2@orange.fr", "deux@ancien.fr", "deux@maison.fr", "deux@travail.fr")
WROTE = f"From: {NAME} <M2@orange.fr>\r\nSubject: Un\r\n\r\nBonjour\r\n{NAME}\r\n".encode()
REFUSED = b"From: =?utf-8?q?Ren=C3=A9e_Deux?= <deux@travail.fr>\r\n\r\nBonjour\r\n"
REPORT = b"From: mailer-daemon@orange.fr\r\n\r\nFinal-Recipient: rfc822; M2@Orange.fr\r\n"
OTHER = b"From: m3@orange.fr\r\nTo: m2@orange.fr\r\n\r\nBonjour\r\n"

# What they wrote, what came back, and what others keep of them, besides PERSON.
STORED = f"""
    update relais.delivery set state = 'handed_over', settled_at = relais.now(),
           fields = '{{Renée,Deux}}', lang = 'fr'
     where posting_id = 2;
    update relais.posting set template = convert_to('{NAME}', 'UTF8'), message_id = '<2@orange.fr>',
           thread = '{{<1@orange.fr>,<2@orange.fr>}}'
     where posting_id = 2;
    update relais.posting set decided_by = 'm2@orange.fr', held_because = 'signé {NAME}'
     where posting_id = 1;
    update relais.decision set reason = 'signé {NAME}, m2@orange.fr', answer = 'yes',
           answered_at = relais.now();
    update relais.notice set template = convert_to('To: m2@orange.fr', 'UTF8');
    insert into relais.posting (list_id, fingerprint, author, subject, accepted_at, template,
                                key_id, state)
    values (1, 'c', 'm1@orange.fr', 'Convocation', relais.now(), '', 'k', 'open');
    insert into relais.person (key) values ('person:p3');
    insert into relais.delivery (posting_id, person_id, address, provider, state, due_at,
                                 settled_at, reply)
    values (3, 1, 'm2@orange.fr', 'orange', 'queued', relais.now(), null, null),
           (3, 2, 'm3@orange.fr', 'orange', 'bounced', relais.now(), relais.now(),
            '550 not m3@orange.fr but M2@orange.fr');
    insert into relais.notice (kind, address, posting_id, template, key_id, made_at)
    values ('moderate', 'm3@orange.fr', 2, convert_to('{NAME} <m2@orange.fr>', 'UTF8'), 'k',
            relais.now());
    insert into relais.delivery (notice_id, address, provider, state, due_at)
    values (2, 'm3@orange.fr', 'orange', 'queued', relais.now());
    insert into relais.address_failure (address, delivery_id, posting_id, provider, failed_at,
                                        is_permanent, reason, status, evidence, words, person_id)
    values ('m2@orange.fr', 1, 1, 'orange', relais.now(), true, 'unknown_user', '5.1.1',
            '550 no <m2@orange.fr>', '', 1),
           ('before@orange.fr', 2, 1, 'orange', relais.now(), true, 'full', '5.2.2', '', '', 1),
           ('m3@orange.fr', 3, 1, 'orange', relais.now(), true, 'unknown_user', '5.1.1',
            '550 not M2@orange.fr', '', 2);
    insert into relais.address_health (address, state, since, reason, status, evidence)
    values ('m2@orange.fr', 'held', relais.now(), 'unknown_user', '5.1.1', '550 <m2@orange.fr>'),
           ('before@orange.fr', 'held', relais.now(), 'full', '5.2.2', ''),
           ('m3@orange.fr', 'trial', relais.now(), 'unknown_user', '5.1.1', 'm2@orange.fr');
    insert into relais.receipt (author, lang, accepted_at, look_at) values
        ('m2@orange.fr', 'fr', relais.now(), relais.now());
    update relais.posting set receipt_id = 1, author_lang = 'fr', content = '{NAME}'
     where posting_id = 2;
    insert into relais.author_wish (author, fewer, since) values
        ('m2@orange.fr', true, relais.now()), ('m3@orange.fr', true, relais.now());
    insert into relais.secretary_letter (secretary, monday) values
        ('m2@orange.fr', '2026-01-05'), ('m3@orange.fr', '2026-01-05');
    insert into relais.secretary_told (secretary, address, held_since, monday) values
        ('m2@orange.fr', 'm3@orange.fr', relais.now(), '2026-01-05'),
        ('m3@orange.fr', 'm2@orange.fr', relais.now(), '2026-01-05'),
        ('m3@orange.fr', 'm4@orange.fr', relais.now(), '2026-01-05');
    insert into relais.manual_member (list, email, name) values
        ('equipe', 'm2@orange.fr', '{NAME}'), ('equipe', 'm3@orange.fr', 'Trois');
    insert into relais.audit (at, who, what, reason)
    values (relais.now(), 'm2@orange.fr', 'limit orange = 100/day', 'asked by {NAME}');
    insert into relais.account_state (account, paused_until, failures, why, since)
    values ('main', relais.now(), 1, '550 <m2@orange.fr>', relais.now());
"""

ARRIVED = """
    insert into relais.arrival (account, folder, uidvalidity, uid, raw, sha256, size_bytes,
                                arrived_at, due_at, state, kind, outcome, reason)
    values ('main', 'INBOX', 1, (select count(*) from relais.arrival), $1::bytea, '',
            length($1::bytea),
            relais.now(), relais.now(), 'settled', $2, $3, $4)
"""

COLUMNS = """
    select c.table_schema, c.table_name, c.column_name, c.data_type
      from information_schema.columns c join information_schema.tables t
     using (table_schema, table_name)
     where c.table_schema in ('relais', 'lists') and t.table_type = 'BASE TABLE'
"""


@pytest.fixture
async def peopled(site: Site) -> Site:
    """A site where there is much to tell of p2."""
    await site.sql(PERSON)
    await site.sql(STORED)
    await site.sql(ARRIVED, WROTE, "posting", "posted", None)
    await site.sql(ARRIVED, REFUSED, "posting", "refused_stranger", "of deux@travail.fr")
    await site.sql(ARRIVED, REPORT, "report", "bounced", None)
    await site.sql("update relais.posting set arrival_id = 1 where posting_id = 2")
    return site


async def rows(site: Site, query: str, *arguments: object) -> list[asyncpg.Record]:
    """Return what *query* finds, asked as the owner of the database."""
    db = await connect(site.admin_url)
    try:
        return await db.fetch(query, *arguments)
    finally:
        await db.close()


async def found_in(site: Site, needle: str) -> list[str]:
    """Return every column of ours in which *needle* stands, however it is written."""
    found = []
    for schema, table, column, kind in await rows(site, COLUMNS):
        text = f'"{column}"::text'
        if kind == "bytea":
            text = f"encode(\"{column}\", 'escape')"
            needle_as = "encode(convert_to($1, 'UTF8'), 'escape')"
        else:
            needle_as = "$1"
        query = (
            f'select from "{schema}"."{table}" where strpos(lower({text}), lower({needle_as})) > 0'
        )
        if await rows(site, query, needle):
            found.append(f"{table}.{column}")
    return found


async def counts(site: Site) -> dict[str, int]:
    """Count the rows of every table of ours."""
    tables = {(row["table_schema"], row["table_name"]) for row in await rows(site, COLUMNS)}
    return {
        table: len(await rows(site, f'select from "{schema}"."{table}"'))
        for schema, table in tables
    }


def erase(site: Site, *options: str, address: str = "m2@orange.fr") -> Any:
    """Erase p2, and return how that ended."""
    return site.relais("person", "erase", address, "--reason", "asked by letter", *options)


NEEDLES = (*ADDRESSES, NAME, "person:p2")


async def test_nothing_is_left(peopled: Site) -> None:
    """No column of any table has an address or the name; so none added later is forgotten."""
    before = {needle: await found_in(peopled, needle) for needle in NEEDLES}
    assert all(before.values()), before
    assert len(before["m2@orange.fr"]) > 12

    ended = erase(peopled, "--yes")

    assert (ended.code, ended.err) == (0, "")
    assert {needle: await found_in(peopled, needle) for needle in NEEDLES} == {
        needle: [] for needle in NEEDLES
    }


async def test_it_is_found_by_any_address(peopled: Site) -> None:
    """A person is erased, not an address."""
    assert erase(peopled, "--yes", address="deux@maison.fr").code == 0

    assert [await found_in(peopled, needle) for needle in NEEDLES] == [[]] * len(NEEDLES)


async def test_figures_stay(peopled: Site) -> None:
    """States are counted as before; what waited is cancelled; others are untouched."""
    erase(peopled, "--yes")

    kept = await rows(
        peopled,
        "select posting_id, state::text, address, reply from relais.delivery"
        " where posting_id is not null order by delivery_id",
    )
    assert [(row["posting_id"], row["state"]) for row in kept] == [
        (1, "bounced"),
        (2, "handed_over"),
        (3, "cancelled"),
        (3, "bounced"),
    ]
    assert kept[3]["address"] == "m3@orange.fr"
    assert kept[3]["reply"] == "550 not m3@orange.fr but (erased)"
    [entry] = await rows(peopled, "select email from relais.manual_member")
    assert entry["email"] == "m3@orange.fr"
    [told] = await rows(peopled, "select secretary, address from relais.secretary_told")
    assert tuple(told) == ("m3@orange.fr", "m4@orange.fr")
    [wish] = await rows(peopled, "select author from relais.author_wish")
    assert wish["author"] == "m3@orange.fr"
    [receipt] = await rows(peopled, "select closed_at is not null as closed from relais.receipt")
    assert receipt["closed"]  # Nothing more is told of it.
    shown = peopled.relais("posting", "show", "2", "--json")
    assert (shown.code, shown.answer["author"], shown.answer["handed_over"]) == (0, "", 1)


async def test_opt_outs_and_bans_stay(peopled: Site) -> None:
    """Whoever is in the view still, or again, gets nothing from what they left."""
    erase(peopled, "--yes")

    left = peopled.relais("preview", f"bureau@{DOMAIN}", "--who", "--json").answer
    everywhere = peopled.relais("preview", COMMITTEE, "--who", "--json").answer
    assert (left["would_receive"], left["suppressed"]) == (1, 1)
    assert everywhere["suppressed"] == 1
    known = peopled.relais("who", "m2@orange.fr", "--json").answer
    assert {(s["scope"], s["reason"]) for s in known["suppressions"]} == {
        (f"bureau@{DOMAIN}", "unsubscribed"),
        ("all", "operator"),
    }
    assert [ban["definition"] for ban in known["bans"]] == ["seat"]
    author = peopled.relais("preview", f"bureau@{DOMAIN}", "--from", "m2@orange.fr", "--json")
    assert author.answer["rule"] == "banned"


async def test_old_links(peopled: Site) -> None:
    """They are answered like forged ones, which show nothing; a new copy has a new one."""
    tokens, number = Tokens((b"s" * 32,)), subscriber_number(2, 1)
    before = await subscription(peopled)
    token = tokens.sign(Purpose.UNSUBSCRIBE, number, stands_for=before).decode()

    erase(peopled, "--yes")

    after = await subscription(peopled)
    assert tokens.read(Purpose.UNSUBSCRIBE, token, stands_for=before) == number
    assert tokens.read(Purpose.UNSUBSCRIBE, token, stands_for=after) is None


async def subscription(site: Site) -> bytes:
    """Return what the links of p2 on the committee stand for."""
    db = await connect(site.admin_url)
    try:
        seen = await suppressions.subscriber(db, 2, 1)
    finally:
        await db.close()
    assert seen is not None
    return seen.subscription


async def test_first_it_is_shown(peopled: Site) -> None:
    """Without --yes the same counts are told, and nothing changes."""
    before = await counts(peopled)
    shown, human = erase(peopled, "--json"), erase(peopled)
    assert (shown.code, shown.answer["erased"], human.code) == (1, False, 1)
    assert "Nothing has been erased yet. To erase: --yes" in human.out
    assert "  2 opt-outs kept as a hash\n" in human.out
    assert await counts(peopled) == before
    assert await found_in(peopled, NAME)

    done = erase(peopled, "--yes", "--json")

    assert done.answer["erased"]
    assert done.answer["counts"] == shown.answer["counts"]
    assert done.answer["counts"] == {
        "cancelled": 2,
        "deliveries": 4,
        "notices": 2,
        "decisions": 1,
        "postings": 1,
        "messages": 3,
        "entries": 1,
        "addresses": 1,
        "authentications": 1,
        "wishes": 1,
        "failures": 2,
        "bans": 1,
        "suppressions": 2,
        "keys": 1,
        "mentions": done.answer["counts"]["mentions"],
    }
    assert done.answer["left"][0].startswith("the member database: they are still in ")
    assert any("mailbox at the host" in left for left in done.answer["left"])


async def test_twice_is_like_once(peopled: Site) -> None:
    """Also if they were written to and had left again meanwhile."""
    erase(peopled, "--yes")
    assert "is ours to erase" in erase(peopled, "--yes", "--json").answer["error"]

    await peopled.sql("""
        insert into relais.person (key) values ('person:p2');
        insert into relais.suppression (list_id, person_id, address, reason, source, since)
        select l, p, 'm2@orange.fr', 'unsubscribed', 'page', relais.now()
          from (select max(person_id) from relais.person) people(p),
               (values (1), (null)) lists(l);
        insert into relais.suppression (address, reason, source, since)
        values ('m2@orange.fr', 'operator', 'operator', relais.now());
        select lists.ban('m2@orange.fr', 'rude', 'seat');
    """)
    ended = erase(peopled, "--yes", "--json")

    assert ended.code == 0
    assert (ended.answer["counts"]["suppressions"], ended.answer["counts"]["keys"]) == (3, 1)
    assert await found_in(peopled, "m2@orange.fr") == []


async def test_it_is_audited(peopled: Site) -> None:
    """With who and why, but without whom: also if the reason names them."""
    peopled.relais(
        "person", "erase", "m2@orange.fr", "--reason", f"letter of {NAME} <m2@orange.fr>", "--yes"
    )

    audited = await rows(peopled, "select what, reason from relais.audit where audit_id > 1")
    assert [tuple(row) for row in audited] == [("person erased", "letter of (erased) <(erased)>")]


UNDER_WAY = {
    "held": (
        "update relais.posting set state = 'held', awaits = 'moderation' where posting_id = 2",
        "posting 2 of theirs is held, so nothing was erased: relais posting refuse 2 ",
    ),
    "paused": (
        "update relais.posting set state = 'held' where posting_id = 2",
        "posting 2 of theirs is paused, so nothing was erased: relais posting stop 2 ",
    ),
    "open": (
        "update relais.posting set state = 'open' where posting_id = 2",
        "posting 2 of theirs is open, so nothing was erased: wait for its end, or relais ",
    ),
    "in doubt": (
        "update relais.delivery set state = 'in_doubt', settled_at = null where posting_id = 2",
        "posting 2 of theirs is finished, so nothing was erased: wait until what is in hand",
    ),
    "in hand": (
        "update relais.delivery set state = 'claimed' where posting_id = 3 and person_id = 1",
        "a copy or a notice of theirs is leaving just now, so nothing was erased: try again",
    ),
    "about them in hand": (
        "update relais.delivery set state = 'claimed' where notice_id = 2",
        "a copy or a notice of theirs is leaving just now, so nothing was erased: try again",
    ),
    "just arrived": (
        "update relais.arrival set state = 'received', kind = null where arrival_id = 2",
        "a message that names them has just arrived, so nothing was erased: try again",
    ),
}


@pytest.mark.parametrize(("change", "told"), UNDER_WAY.values(), ids=UNDER_WAY)
async def test_under_way(peopled: Site, change: str, told: str) -> None:
    """What still needs their message is ended first, and how is told."""
    await peopled.sql(change)

    ended = erase(peopled, "--yes")

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(told)
    assert await found_in(peopled, NAME)


async def test_what_others_wrote_stays(peopled: Site) -> None:
    """It is theirs, and the output says so."""
    await peopled.sql(ARRIVED, OTHER, "posting", "refused_stranger", None)

    ended = erase(peopled, "--yes")

    assert await found_in(peopled, "m2@orange.fr") == ["arrival.raw"]
    assert "what others wrote that names them" in ended.out


@pytest.mark.parametrize("verb", ["export", "erase"])
@pytest.mark.parametrize("address", ["", " ", "@", "a", "no address", "@orange.fr"])
def test_no_address(bare: Site, verb: str, address: str) -> None:
    """What is in every message is nobody's, and the database is not even asked."""
    options = ["--reason", "letter", "--yes"] if verb == "erase" else []

    ended = bare.relais("person", verb, address, *options)

    assert (ended.code, ended.err) == (
        2,
        f"{address!r}: write one address, as name@example.org\n",
    )


async def test_a_view_may_hold_anything(peopled: Site) -> None:
    """A word in the place of an address is not taken out of what others say."""
    await peopled.sql("insert into club.seat values ('asked', 'p2', false)")

    erase(peopled, "--yes")

    said = await rows(peopled, "select reason from relais.audit order by audit_id")
    assert [row["reason"] for row in said] == ["asked by (erased)", "asked by letter"]


def test_nobody(site: Site) -> None:
    """Whoever mistypes an address is told so."""
    exported = site.relais("person", "export", "x@y.fr", "--json")
    erased = site.relais("person", "erase", "x@y.fr", "--reason", "letter", "--yes", "--json")

    assert (exported.code, exported.answer) == (1, {"error": "nothing is stored of x@y.fr"})
    assert (erased.code, erased.answer) == (1, {"error": "nothing of x@y.fr is ours to erase"})


async def test_export(peopled: Site) -> None:
    """All of it, complete, whoever is asked for by whichever address; nothing changes."""
    before = await counts(peopled)

    answer = peopled.relais("person", "export", "deux@travail.fr", "--json").answer

    assert answer["address"] == "deux@travail.fr"
    assert {answer["address"], *answer["other_addresses"]} == set(ADDRESSES)
    assert answer["people"] == ["p2"]
    assert {(row["definition"], row["source"]) for row in answer["lists"]} == {
        ("committee_role", "from the member database"),
        ("seat", "from the member database"),
    }
    assert [(d["posting"], d["list"], d["state"]) for d in answer["deliveries"]] == [
        (1, f"bureau@{DOMAIN}", "bounced"),
        (2, COMMITTEE, "handed_over"),
        (3, f"bureau@{DOMAIN}", "queued"),
    ]
    assert answer["deliveries"][1]["fields"] == ["Renée", "Deux"]
    assert [(p["posting"], p["message_id"]) for p in answer["postings"]] == [(2, "<2@orange.fr>")]
    assert answer["postings"][0]["thread"] == ["<1@orange.fr>", "<2@orange.fr>"]
    assert [r["postings"] for r in answer["receipts"]] == [[2]]
    assert [w["fewer"] for w in answer["wishes"]] == [True]
    assert [d["answer"] for d in answer["decisions"]] == ["yes"]
    assert [n["state"] for n in answer["notices"]] == ["handed_over"]
    assert [(e["list"], e["name"]) for e in answer["manual"]] == [(f"equipe@{DOMAIN}", NAME)]
    assert [known["email"] for known in answer["known_addresses"]] == ["deux@maison.fr"]
    assert len(answer["suppressions"]) == 2
    assert len(answer["bans"]) == len(answer["authentications"]) == len(answer["audit"]) == 1
    messages = answer["messages"]
    assert [(m["wrote"], m["outcome"]) for m in messages] == [
        (True, "posted"),
        (True, "refused_stranger"),
        (False, "bounced"),
    ]
    assert [base64.b64decode(m["raw"]) for m in messages if m["wrote"]] == [WROTE, REFUSED]
    assert (answer["members"], answer["problems"]) == ([], [])
    assert await counts(peopled) == before


def test_messages_as_files(peopled: Site, tmp_path: Path) -> None:
    """Each as it came, for its owner only to read."""
    folder = tmp_path / "mail" / "p2"

    human = peopled.relais("person", "export", "m2@orange.fr", "--messages", str(folder))

    files = sorted(folder.iterdir())
    assert [file.read_bytes() for file in files] == [WROTE, REFUSED]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert str(files[0]) in human.out
    assert NAME in human.out
    refused = peopled.relais("person", "export", "m2@orange.fr", "--messages", str(files[0]))
    assert (refused.code, refused.err) == (1, f"{files[0]}: File exists\n")
