"""The shipped reply rules, as PostgreSQL has them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from asyncpg import CheckViolationError, InsufficientPrivilegeError

from worker.policy.feedback import Action, read_verdict
from worker.store import rules

if TYPE_CHECKING:
    from worker.store.database import Connection

OWN = """
    insert into relais.provider_rule (rule_id, provider, nth, pattern, action, factor, pause,
                                      example, why)
    values ($1, $2, $3, $4, $5, $6, $7, '', '')
"""


async def test_each_rule_reads_its_own_example(db: Connection) -> None:
    """All 94, each at its own provider, with all others beside it."""
    known, bad = await rules.load(db)
    examples = {
        row["rule_id"]: row["example"]
        for row in await db.fetch("select rule_id, example from relais.provider_rule")
    }
    found = {
        rule.rule_id: read_verdict(
            examples[rule.rule_id], provider=rule.provider or "other", rules=known
        )
        for rule in known
    }

    assert bad == []
    assert len(known) == 94
    assert {name: verdict.rule_id for name, verdict in found.items()} == {
        name: name for name in examples
    }
    assert {rule.rule_id: rule.action for rule in known} == {
        name: verdict.action for name, verdict in found.items()
    }


async def test_all_actions_can_be_stored(owner: Connection, db: Connection) -> None:
    """The closed list is the same in both places."""
    for action in Action:
        factor = 0.5 if action is Action.SLOW else None
        await owner.execute(OWN, f"own_{action}", None, 1, "x", action, factor, timedelta(hours=1))

    known, _ = await rules.load(db)
    assert {rule.action for rule in known} == set(Action)
    with pytest.raises(CheckViolationError):
        await owner.execute(OWN, "y", None, 1, "x", "explode", None, None)
    with pytest.raises(CheckViolationError):
        await owner.execute(OWN, "y", None, 1, "x", "pause", None, None)


async def test_an_admins_rules(owner: Connection, db: Connection) -> None:
    """One between two tens; and a pattern that does not compile is left out and told."""
    await owner.execute(OWN, "mine", "orange", 5, "OFR_104", "ignore", None, None)
    await owner.execute(OWN, "broken", "orange", 6, "(", "ignore", None, None)

    known, bad = await rules.load(db)

    assert read_verdict("421 OFR_104", provider="orange", rules=known).rule_id == "mine"
    assert [rule.rule_id for rule in bad] == ["broken"]
    assert bad[0].why.startswith("is no regular expression: ")


async def test_the_worker_only_reads(db: Connection) -> None:
    """Rules are the admins'."""
    with pytest.raises(InsufficientPrivilegeError):
        await db.execute("delete from relais.provider_rule")
