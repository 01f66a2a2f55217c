"""What becomes of an answer to a receipt: a stop, a word for a person, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.actors.letters import Owner, letter, notices, outcome_of, text_of
from tests.edges.store.given import DOMAIN
from worker.mail.return_address import Purpose, Tokens

if TYPE_CHECKING:
    from worker.actors.office import Office

AUTOMATIC = b"Auto-Submitted: auto-replied\r\n"


def reply(tokens: Tokens, number: int, body: bytes, more: bytes = b"") -> bytes:
    """Write an answer to the receipt of a posting."""
    to = f"posting-{tokens.sign(Purpose.POSTING, number).decode()}@{DOMAIN}"
    return letter(to=to, trace=to, subject="Re: Reçu", body=body, more=more)


async def ends(owner: Owner) -> list[tuple[str, str | None, str | None]]:
    """Return how the postings have ended."""
    rows = await owner.fetch(
        "select state, ended_because, decided_by from relais.posting order by posting_id"
    )
    return [tuple(row) for row in rows]


async def test_stop(office: Office, owner: Owner) -> None:
    """What waits is cancelled, and the report is looked at soon; a second stop comes late."""
    await outcome_of(office, owner, letter(), uid=1)
    await owner.execute(
        "with receipt as (insert into relais.receipt (author, lang, accepted_at, look_at)"
        " values ('a@b.fr', 'fr', relais.now(), relais.now() + interval '1 day')"
        " returning receipt_id)"
        " update relais.posting set receipt_id = receipt.receipt_id from receipt"
    )

    first = await outcome_of(
        office, owner, reply(office.tokens, 1, b"Stop, mauvais fichier"), uid=2
    )
    again = await outcome_of(office, owner, reply(office.tokens, 1, b"STOP !!"), uid=3)

    assert (first["kind"], first["outcome"], first["wanted_in"]) == ("request", "stopped", None)
    assert (again["outcome"], again["wanted_in"]) == ("answer_late", "relais/refused")
    assert await ends(owner) == [("stopped", "stopped", "author")]
    copies = await owner.fetch("select state::text, reply from relais.delivery")
    assert {tuple(copy) for copy in copies} == {("cancelled", "stopped")}
    assert await owner.fetchval("select look_at <= relais.now() from relais.receipt")
    assert await notices(owner) == {}


async def test_whoever_writes_it(office: Office, owner: Owner) -> None:
    """The token is the proof: people answer from another of their addresses."""
    await outcome_of(office, owner, letter(), uid=1)
    stop = reply(office.tokens, 1, b"Stop").replace(b"a@b.fr", b"a@ailleurs.example")

    assert (await outcome_of(office, owner, stop, uid=2))["outcome"] == "stopped"


async def test_too_late(office: Office, owner: Owner) -> None:
    """What has left has left, and nobody is made to believe something else."""
    await outcome_of(office, owner, letter(), uid=1)
    await owner.execute(
        "update relais.delivery set state = 'handed_over', settled_at = relais.now()"
    )
    await owner.execute("update relais.posting set state = 'finished'")

    late = await outcome_of(office, owner, reply(office.tokens, 1, b"Stop"), uid=2)

    assert late["outcome"] == "answer_late"
    assert await ends(owner) == [("finished", None, None)]


OTHERS = {
    "a question": b"stop ?",
    "not to stop": b"Ne pas arr=C3=AAter",
    "a word": b"Merci, et qui sont les 12 ?",
    "a quoted stop": b"> stop",
    "nothing": b"",
}


@pytest.mark.parametrize("body", OTHERS.values(), ids=OTHERS)
async def test_anything_else(office: Office, owner: Owner, body: bytes) -> None:
    """A person reads it, and can answer; the posting goes on."""
    await outcome_of(office, owner, letter(), uid=1)
    more = b"Content-Transfer-Encoding: quoted-printable\r\n"

    row = await outcome_of(office, owner, reply(office.tokens, 1, body, more), uid=2)

    assert (row["kind"], row["outcome"]) == ("request", "forwarded")
    assert (await ends(owner))[0][0] == "open"
    [forwarded] = (await notices(owner))["forwarded"]
    assert forwarded["to"] == "aide@example.fr"
    assert forwarded["reply-to"] == "a@b.fr"
    assert "a@b.fr" in text_of(forwarded)
    assert "  relais posting stop 1" in text_of(forwarded).splitlines()
    assert await owner.fetchval("select subject from relais.posting") in text_of(forwarded)


async def test_a_program(office: Office, owner: Owner) -> None:
    """An absence that quotes a stop, or is called so, stops nothing and reaches nobody."""
    await outcome_of(office, owner, letter(), uid=1)

    row = await outcome_of(office, owner, reply(office.tokens, 1, b"Stop", AUTOMATIC), uid=2)

    assert (row["kind"], row["outcome"]) == ("automatic", "dropped_automatic")
    assert (await ends(owner))[0][0] == "open"
    assert await notices(owner) == {}


async def test_forged(office: Office, owner: Owner) -> None:
    """Whoever guesses an address stops nothing, and is answered nothing."""
    await outcome_of(office, owner, letter(), uid=1)
    others = Tokens((b"other" * 8,))
    confirm = office.tokens.sign(Purpose.CONFIRM, 1).decode()
    to = f"posting-{confirm}@{DOMAIN}"

    for uid, forged in enumerate((reply(others, 1, b"Stop"), letter(to=to, trace=to)), 2):
        row = await outcome_of(office, owner, forged, uid=uid)
        assert (row["outcome"], row["wanted_in"]) == ("refused_stranger", "relais/refused")

    assert (await ends(owner))[0][0] == "open"
    assert await notices(owner) == {}


async def test_a_posting_that_is_gone(office: Office, owner: Owner) -> None:
    """A number that no posting has, as after a restore, is late and no more."""
    row = await outcome_of(office, owner, reply(office.tokens, 77, b"Stop"), uid=1)

    assert row["outcome"] == "answer_late"


async def test_not_too_many(office: Office, owner: Owner) -> None:
    """The human behind the site is not flooded, whoever has the address."""
    await owner.execute(
        "insert into relais.notice (kind, address, template, key_id, made_at)"
        " select 'forwarded', 'aide@example.fr', '', 'k', relais.now() from generate_series(1, 50)"
    )
    await outcome_of(office, owner, letter(), uid=1)

    row = await outcome_of(office, owner, reply(office.tokens, 1, b"Merci"), uid=2)

    assert (row["outcome"], row["wanted_in"]) == ("refused_flood", "relais/refused")
