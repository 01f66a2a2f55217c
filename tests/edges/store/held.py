"""What tests of decisions start from: postings that wait for somebody."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.edges.store.given import an_arrival
from worker.store import decisions, postings
from worker.store.authors import Evidence
from worker.store.decisions import Kind
from worker.store.expansion import Roll

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.store.database import Connection
    from worker.store.decisions import Question

AUTHOR, ANNE, BERNARD = "marie@example.org", "anne@example.org", "bernard@example.org"
EVIDENCE = Evidence(signed_by="example.org", return_path_domain="example.org")
WITHIN = timedelta(days=3)
ROLL = Roll(listed=1842, recipients=1842, suppressed=0, unusable=0, duplicates=0)

A_LIST = """
    insert into relais.list (definition, parts, address, title)
    values ('everybody', '{}', 'tous', $1)
        on conflict (definition, parts) do update set title = excluded.title
 returning list_id
"""


async def a_posting(
    db: Connection, awaits: str | None, *, title: str = "Tous", **changes: Any
) -> int:
    """Take a posting that waits for *awaits*, as the mediator does; *changes* are its own."""
    new = postings.NewPosting(
        list_id=await db.fetchval(A_LIST, title),
        arrival_id=await an_arrival(db),
        fingerprint=secrets.token_bytes(32),
        author=AUTHOR,
        subject="Convocation",
        message_id="<1@example.org>",
        template=b"",
        key_id="00000000",
        size_bytes=12_345,
        awaits=awaits,
    )
    posting_id = await postings.add(db, replace(new, **changes), ROLL)
    if posting_id is None:
        raise AssertionError("posted before")
    return posting_id


async def asked_author(db: Connection, **changes: Any) -> tuple[int, int]:
    """Ask an author; return the numbers of the posting and of the question."""
    posting_id = await a_posting(db, "confirmation", **changes)
    [question] = await decisions.ask(db, posting_id, Kind.CONFIRM, [AUTHOR], within=WITHIN)
    return posting_id, question.decision_id


async def asked_moderators(
    db: Connection, addresses: Sequence[str] = (ANNE, BERNARD), **changes: Any
) -> tuple[int, list[int]]:
    """Ask moderators; return the numbers of the posting and of the questions."""
    given = {"reasons": ("stranger",), "proof": "dkim", **changes}
    posting_id = await a_posting(db, "moderation", **given)
    questions = await ask_anew(db, posting_id, addresses)
    return posting_id, [question.decision_id for question in questions]


async def ask_anew(
    db: Connection, posting_id: int, addresses: Sequence[str] = (ANNE, BERNARD)
) -> list[Question]:
    """Ask moderators about a posting, once more."""
    return await decisions.ask(db, posting_id, Kind.MODERATE, addresses, within=WITHIN)


@dataclass(frozen=True, slots=True)
class Row:
    """How a posting stands in its table."""

    state: str
    awaits: str | None
    ended_because: str | None
    decided_by: str | None
    tell: bool


async def row_of(db: Connection, posting_id: int) -> Row:
    """Read how a posting stands."""
    row = await db.fetchrow(
        "select state, awaits, ended_because, decided_by, tell from relais.posting"
        " where posting_id = $1",
        posting_id,
    )
    if row is None:
        raise AssertionError(f"no posting {posting_id}")
    return Row(**row)
