"""Reply rules: relais.provider_rule, as the admins have it now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.policy.feedback import Action, Rule, compiled

if TYPE_CHECKING:
    from worker.store.database import Connection


@dataclass(frozen=True, slots=True)
class BadRule:
    """A rule that cannot be used, and why."""

    rule_id: str
    why: str


LOAD = """
    SELECT rule_id, provider, pattern, action, factor, pause FROM relais.provider_rule
     ORDER BY provider NULLS LAST, nth, rule_id
"""


async def load(db: Connection) -> tuple[list[Rule], list[BadRule]]:
    """Return the rules in their order, and apart from them those that do not compile."""
    rules: list[Rule] = []
    bad: list[BadRule] = []
    for row in await db.fetch(LOAD):
        try:
            pattern = compiled(row["pattern"])
        except ValueError as error:
            bad.append(BadRule(row["rule_id"], str(error)))
            continue
        rules.append(
            Rule(
                row["rule_id"],
                row["provider"],
                pattern,
                Action(row["action"]),
                row["factor"],
                row["pause"],
            )
        )
    return rules, bad
