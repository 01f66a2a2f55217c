"""Who is told that their message was not posted, what they read, and who hears nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
import pytest_asyncio

from tests.actors.letters import TO, Owner, arrive, letter, notices, outcome_of, text_of
from tests.edges.store.given import DOMAIN
from tests.unit.words import seen
from worker.actors.mediator import mediate
from worker.policy.strangers import ASKED_A_MINUTE
from worker.policy.telling import ANSWERS_A_DAY

if TYPE_CHECKING:
    from email.message import EmailMessage

    from worker.actors.office import Office

FAILED = "dmarc=fail header.from={}"
ROLES = """
    create table club.role (role text, committee text, email text, lang text);
    insert into club.role values
        ('president', 'arbitres', 'p@b.fr', null), ('tresorier', 'jeunes', 't@b.fr', null),
        ('secretaire', 'jeunes', 'a@b.fr', null), ('secretaire', 'arbitres', 's@b.fr', 'en');
    create view lists.role as
        select role, committee, email, lang from club.role where email is not null;
    select lists.define(view => 'lists.role', address => '{role}.{committee}',
                        title => '{role}, {committee}', post => 'anyone');
    create view lists.closed as select email, name, person, may_post, moderator from club.member;
    select lists.define(view => 'lists.closed', address => 'tousse', title => 'Closed',
                        post => 'nobody');
"""


@pytest_asyncio.fixture
async def site(owner: Owner) -> Owner:
    """Beside ``tous``, a list for each role of a committee, and one that nobody writes to."""
    await owner.execute(ROLES)
    return owner


async def told(office: Office, owner: Owner, raw: bytes, *, uid: int = 1) -> EmailMessage | None:
    """Mediate *raw*; return what its author reads of that, if anything."""
    before = len((await notices(owner)).get("not_posted", []))
    await outcome_of(office, owner, raw, uid=uid)
    letters = (await notices(owner)).get("not_posted", [])[before:]
    assert len(letters) <= 1
    return letters[0] if letters else None


def plain(message: EmailMessage) -> str:
    """Return what is read of a letter, with the marks of an ordinary keyboard."""
    return seen(text_of(message)).replace("\u2019", "'").replace("\r\n", "\n")


def withheld(office: Office) -> dict[str, float]:
    """Return how many answers were withheld, by why."""
    return {
        sample.labels["why"]: sample.value
        for metric in office.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "relais_answers_withheld_total" and sample.value
    }


class Told(NamedTuple):
    """A message, and words of the letter about it."""

    raw: bytes
    words: str
    setting: str = ""


def to(local_part: str, **more: object) -> bytes:
    """Write to *local_part*."""
    address = f"{local_part}@{DOMAIN}"
    return letter(trace=address, to=address, **more)  # type: ignore[arg-type]  # a test's own


TOLD = {
    "a proven stranger": Told(
        letter(author="x@y.fr"), "Seuls les membres de la liste peuvent y écrire"
    ),
    "a member who may only read": Told(
        letter(),
        "Vous êtes dans la liste, mais pas parmi ceux qui peuvent y écrire",
        "update club.member set may_post = false",
    ),
    "a member, where moderators write": Told(
        letter(),
        "Seuls les modérateurs",
        "update lists.definition set post = 'moderators' where name = 'everybody'",
    ),
    "nobody writes": Told(to("tousse"), "Personne ne peut écrire à cette liste."),
    "banned": Told(
        letter(), "Vous ne pouvez pas écrire à cette liste.", "select lists.ban('a@b.fr', 'x')"
    ),
    "only proven authors": Told(
        letter(proof=None),
        "Cette liste ne prend que les messages dont l'auteur est authentifié",
        "update lists.definition set authenticate = 'auth_only' where name = 'everybody'",
    ),
    "too big": Told(
        letter(body=b"x" * 6_000_000), "accepte 5 Mo ; votre message en fait 5,7 Mo"
    ),
    "too big, and nothing proves it of a member": Told(
        letter(body=b"x" * 6_000_000, proof=None), "accepte 5 Mo ; votre message en fait 5,7 Mo"
    ),
    "no such list": Told(to("touss"), f"Vouliez-vous écrire à :\n  tous@{DOMAIN} (2 personnes)"),
    "no such role": Told(to("president.arbitre"), f"president.arbitres@{DOMAIN} (1 personne)"),
    "like nothing": Told(to("newsletter"), "Vérifiez l'adresse, ou demandez à aide@example.fr"),
    "a role that nobody has": Told(
        to("president.jeunes"), "existe, mais personne n'a cette fonction en ce moment"
    ),
    "the owner of no list": Told(to("touss-owner"), f"la liste touss-owner@{DOMAIN} n'existe pas."),
    "in English, as a member reads it": Told(
        letter(author="s@b.fr"), "Only members of the list can write to it, and you are not on it."
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD.values(), ids=TOLD)
async def test_an_author_is_told(office: Office, site: Owner, case: Told) -> None:
    """In the thread of their message, which goes along, and is kept."""
    if case.setting:
        await site.execute(case.setting)

    found = await told(office, site, case.raw)

    assert found is not None
    text = plain(found)
    assert case.words in text
    assert found["in-reply-to"] == "<1@b.fr>"
    assert found["auto-submitted"] == "auto-replied"
    assert await site.fetchval("select wanted_in from relais.arrival") == "relais/refused"
    [part] = found.iter_attachments()
    whole = "Votre message est joint" in text or "Your message is attached" in text
    assert part.get_content_type() == ("message/rfc822" if whole else "text/rfc822-headers")
    assert whole == (len(case.raw) <= 200_000)
    assert withheld(office) == {}


async def test_who_writes_to_an_owner_who_has_had_enough(office: Office, site: Owner) -> None:
    """What is not passed on, its author hears of."""
    await site.execute(
        "insert into relais.notice (kind, address, template, key_id, made_at)"
        " select 'forwarded', 'aide@example.fr', '', '', relais.now() from generate_series(1, 50)"
    )

    row = await outcome_of(office, site, to("tous-owner", author="x@y.fr"))

    assert row["outcome"] == "refused_flood"
    kinds = await site.fetch("select kind from relais.notice where kind <> 'forwarded'")
    assert [kind["kind"] for kind in kinds] == ["not_posted"]


async def test_no_proposal_for_the_owner_of_a_list(office: Office, site: Owner) -> None:
    """What was for one person must not go to everybody."""
    found = await told(office, site, to("touss-owner"))

    assert found is not None
    assert f" tous@{DOMAIN}" not in text_of(found)


async def test_only_lists_that_the_author_may_write_to(office: Office, site: Owner) -> None:
    """``tousse`` is alike, but nobody may; from ``tous`` they are banned."""
    await site.execute("select lists.ban('a@b.fr', 'x', 'everybody')")

    found = await told(office, site, to("touss"))

    assert found is not None
    assert "Vérifiez" in text_of(found)


class Silent(NamedTuple):
    """A message that is not answered, and what that counts as."""

    raw: bytes
    why: str
    setting: str = ""


SILENT = {
    "a stranger whom nothing proves": Silent(letter(author="x@y.fr", proof=None), "unproven"),
    "a stranger whom the domain disowns": Silent(letter(author="x@y.fr", proof=FAILED), "failed"),
    "a member who may not post, disowned": Silent(
        letter(proof=FAILED), "failed", "update club.member set may_post = false"
    ),
    "called spam": Silent(letter(author="x@y.fr", more=b"X-Spam-Flag: YES\r\n"), "spam"),
    "another list's": Silent(
        letter(author="x@y.fr", more=b"List-Id: <x.y.fr>\r\n"), "other_list"
    ),
    "a newsletter's": Silent(
        letter(author="x@y.fr", more=b"List-Unsubscribe: <https://y.fr/>\r\n"), "other_list"
    ),
    "vacation": Silent(letter(more=b"Auto-Submitted: auto-replied\r\n"), "automatic"),
    "bulk": Silent(letter(more=b"Precedence: bulk\r\n"), "bulk"),
    "null return path": Silent(
        letter(author="x@y.fr").replace(b"Return-Path: <x@y.fr>", b"Return-Path: <>"),
        "null_return_path",
    ),
    "no-reply": Silent(letter(author="no-reply@y.fr"), "robot"),
    "our own address": Silent(letter(author=f"x@{DOMAIN}"), "ours"),
    "our own copy": Silent(letter(more=b"X-Relais-Ref: " + b"a" * 32 + b"\r\n"), "ours"),
    "two authors": Silent(letter(more=b"From: c@d.fr\r\n"), "no_author"),
    "a stranger, of a list that does not exist": Silent(to("touss", author="x@y.fr"), "stranger"),
    "a stranger, of a role that nobody has": Silent(
        to("president.jeunes", author="x@y.fr"), "stranger"
    ),
    "nothing proves them, and a view fails": Silent(
        to("touss", author="x@y.fr", proof=None), "undecided", "drop table club.role cascade;"
        "create view lists.role as select 'x' as role, 'y' as committee, 'z@y.fr' as email,"
        " (1 / (length(current_user) - length(current_user)))::text as lang;"
        "update lists.definition set view = 'lists.role' where name = 'role'"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SILENT.values(), ids=SILENT)
async def test_an_author_hears_nothing(office: Office, site: Owner, case: Silent) -> None:
    """Who did not write, or cannot read an answer; it is counted."""
    if case.setting:
        await site.execute(case.setting)

    assert await told(office, site, case.raw) is None

    assert await notices(site) == {}
    assert withheld(office) == {case.why: 1}


async def test_a_view_that_fails_takes_nothing_away_from_the_others(
    office: Office, site: Owner
) -> None:
    """A member whom another list knows is answered, though nothing proves them."""
    await site.execute(
        "create or replace view lists.role as select role, committee, email,"
        " (1 / (length(role) - length(role)))::text as lang from club.role"
    )

    found = await told(office, site, to("touss", proof=None))

    assert found is not None
    assert f"tous@{DOMAIN}" in text_of(found)


async def test_one_letter_for_all_lists(office: Office, site: Owner) -> None:
    """What was refused, and what was not."""
    addresses = ", ".join(f"{name}@{DOMAIN}" for name in ("tous", "tousse", "nulle-part"))
    raw = letter(to=addresses).replace(b"Delivered-To", b"X-Nothing")

    found = await told(office, site, raw)

    assert found is not None
    text = plain(found)
    assert str(found["subject"]).startswith("Pas envoyé à toutes ses listes")
    assert f"tousse@{DOMAIN} : personne ne peut écrire à cette liste." in text
    assert f"nulle-part@{DOMAIN} : cette liste n'existe pas." in text
    assert f"Il part en revanche vers {TO}." in text
    assert await site.fetchval("select outcome from relais.arrival") == "posted"


async def test_what_waits_is_told_apart(office: Office, site: Owner) -> None:
    """A message that waits has not been sent."""
    await site.execute("update lists.definition set moderate = 'all' where name = 'everybody'")
    addresses = ", ".join(f"{name}@{DOMAIN}" for name in ("tous", "tousse"))
    raw = letter(to=addresses).replace(b"Delivered-To", b"X-Nothing")

    found = await told(office, site, raw)

    assert found is not None
    assert f"Pour {TO}, il attend un accord." in text_of(found)


async def test_what_waits_is_told_apart_when_it_is_looked_at_again(
    office: Office, site: Owner
) -> None:
    """Because of the other list, which did not answer: the first one waits as before."""
    await site.execute(
        "update lists.definition set moderate = 'all' where name = 'everybody';"
        "create or replace view lists.closed as select email, name, person, may_post,"
        " (1 / (length(person) - 1))::boolean as moderator from club.member"
    )
    addresses = ", ".join(f"{name}@{DOMAIN}" for name in ("tous", "tousse"))
    arrival = await arrive(office, letter(to=addresses).replace(b"Delivered-To", b"X-Nothing"))
    await mediate(arrival, office=office)
    assert await notices(site) == {}
    await site.execute(
        "create or replace view lists.closed as select email, name, person, may_post,"
        " moderator from club.member;"
        "update relais.arrival set worker_id = 'w1'"
    )

    await mediate(arrival, office=office)

    [found] = (await notices(site))["not_posted"]
    assert f"Pour {TO}, il attend un accord." in text_of(found)
    assert "Il part" not in text_of(found)


async def test_how_many_a_list_has_is_for_who_writes_to_it(office: Office, site: Owner) -> None:
    """Who is on it, but may only read, learns that, and neither what size it takes."""
    await site.execute("update club.member set may_post = false")

    found = await told(office, site, letter(body=b"x" * 6_000_000))

    assert found is not None
    assert "pas parmi ceux qui peuvent" in plain(found)
    assert "5 Mo" not in plain(found)
    assert "Multiplié" not in text_of(found)


async def test_all_views_are_asked_of_a_stranger_once_an_hour(office: Office, site: Owner) -> None:
    """Mail to guessed addresses is no scan of every list for each message."""
    await outcome_of(office, site, to("touss", author="x@y.fr"))
    await site.execute("insert into club.member (email, person) values ('x@y.fr', '7')")
    assert await told(office, site, to("touss", author="x@y.fr", subject="2"), uid=2) is None
    assert withheld(office) == {"stranger": 2}

    await site.execute(
        "update relais.clock set origin = relais.now() + interval '61 minutes',"
        " since = clock_timestamp()"
    )

    assert await told(office, site, to("touss", author="x@y.fr", subject="3"), uid=3)


async def test_all_views_are_asked_of_so_many_a_minute(office: Office, site: Owner) -> None:
    """A flood of authors costs no more; meanwhile nobody can say who is a member."""
    for number in range(ASKED_A_MINUTE):
        raw = to("touss", author=f"{number}@y.fr", subject=str(number))
        await outcome_of(office, site, raw, uid=number + 1)
    assert await told(office, site, to("touss"), uid=98) is None
    assert withheld(office) == {"stranger": ASKED_A_MINUTE, "undecided": 1}

    await site.execute(
        "update relais.clock set origin = relais.now() + interval '1 minute',"
        " since = clock_timestamp()"
    )

    assert await told(office, site, to("touss", subject="2"), uid=99)


async def test_the_same_message_again_is_answered_once(office: Office, site: Owner) -> None:
    """Hosts deliver one message several times; at another list it is news."""
    raw = letter(author="x@y.fr")
    assert await told(office, site, raw)
    assert await told(office, site, b"Received: from x\r\n" + raw, uid=2) is None
    assert await told(office, site, raw.replace(TO.encode(), f"tousse@{DOMAIN}".encode()), uid=3)


async def test_a_day_of_refusals(office: Office, site: Owner) -> None:
    """A few answers, one that there are no more, and silence; the mail is kept."""
    for number in range(ANSWERS_A_DAY + 3):
        await outcome_of(
            office, site, letter(author="x@y.fr", subject=f"n. {number}"), uid=number + 1
        )

    found = await notices(site)
    assert {kind: len(some) for kind, some in found.items()} == {
        "not_posted": ANSWERS_A_DAY,
        "no_more_today": 1,
    }
    assert withheld(office) == {"cap": 2}
    kept = await site.fetchval(
        "select count(*) from relais.arrival where wanted_in = 'relais/refused'"
    )
    assert kept == ANSWERS_A_DAY + 3


async def test_who_no_longer_has_the_arrival_answers_nobody(office: Office, site: Owner) -> None:
    """Another worker has settled it meanwhile: the answer is part of that."""
    arrival = await arrive(office, letter(author="x@y.fr"))
    await site.execute("update relais.arrival set worker_id = 'w2'")

    await mediate(arrival, office=office)

    assert await notices(site) == {}
    assert await site.fetchval("select state from relais.arrival") == "received"


async def test_an_address_that_existed(office: Office, site: Owner) -> None:
    """A list with one part is known by its past; to its parts alone nobody is told."""
    await site.execute(
        "create table club.section (section text, email text);"
        "insert into club.section values ('judo', 'a@b.fr');"
        "create view lists.section as select section, email from club.section;"
        "select lists.define(view => 'lists.section', address => '{section}',"
        " title => '{section}', post => 'anyone')"
    )
    assert (await outcome_of(office, site, to("judo")))["outcome"] == "posted"
    await site.execute("delete from club.section")

    row = await outcome_of(office, site, to("judo", subject="again"), uid=2)

    assert row["outcome"] == "refused_empty_list"
    assert (await outcome_of(office, site, to("karate"), uid=3))[
        "outcome"
    ] == "refused_unknown_list"


DELAYED = {
    "proven": (letter(), 1, {}),
    "a member elsewhere, whom nothing proves": (letter(proof=None), 1, {}),
    "a stranger, proven": (letter(author="x@y.fr"), 1, {}),
    "disowned": (letter(proof=FAILED), 0, {"failed": 1}),
    "nothing proves them, and a view fails": (
        letter(author="x@y.fr", proof=None),
        0,
        {"undecided": 1},
    ),
}


@pytest.mark.parametrize(("raw", "told_of", "why"), DELAYED.values(), ids=DELAYED)
async def test_a_list_that_does_not_answer(
    office: Office, site: Owner, raw: bytes, told_of: int, why: dict[str, float]
) -> None:
    """Its author hears of it after an hour, by the same rules, once."""
    await site.execute(
        "create or replace view lists.everybody as select email, name, person, may_post,"
        " (1 / (length(person) - 1))::boolean as moderator from club.member"
    )
    arrival = await arrive(office, raw)
    for _ in range(2):
        await site.execute(
            "update relais.arrival set worker_id = 'w1',"
            " waits_since = relais.now() - interval '2 hours'"
        )
        await mediate(arrival, office=office)

    assert len((await notices(site)).get("query_fails", [])) == told_of
    assert withheld(office) == why


async def test_the_list_that_does_not_answer_is_named(office: Office, site: Owner) -> None:
    """Whichever of its lists the message names first."""
    await site.execute(
        "create or replace view lists.everybody as select email, name, person, may_post,"
        " (1 / (length(person) - 1))::boolean as moderator from club.member"
    )
    addresses = ", ".join(f"{name}@{DOMAIN}" for name in ("tousse", "tous"))
    arrival = await arrive(office, letter(to=addresses).replace(b"Delivered-To", b"X-Nothing"))
    await site.execute("update relais.arrival set waits_since = relais.now() - interval '2 hours'")

    await mediate(arrival, office=office)

    [found] = (await notices(site))["query_fails"]
    assert f"Votre message à {TO} " in plain(found)
