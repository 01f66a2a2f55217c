"""`relais limits`, `limits set` and `limits remove`."""

from __future__ import annotations

import getpass
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.edges.cli.site import Site

WHY = ("--reason", "Orange agreed")


async def _audit(site: Site) -> list[tuple[str, ...]]:
    rows = await site.sql("select who, what, reason from relais.audit where audit_id > $1", 0)
    return [tuple(row) for row in rows]


def _limits(site: Site) -> dict[tuple[str | None, str | None, str], int]:
    """Return what is left of each limit."""
    rows = site.relais("limits", "--json").answer["limits"]
    return {(row["account"], row["provider"], row["limit"]): row["left"] for row in rows}


def _again(site: Site, undo: str) -> None:
    """Paste an Undo line, with a reason."""
    words = shlex.split(undo.removeprefix("Undo: relais ").replace("...", "undo"))
    assert site.relais(*words).code == 0


def test_limits(busy: Site) -> None:
    """Each limit with its use, its pace and its reason."""
    answer = busy.relais("limits", "--json").answer["limits"]

    orange = next(row for row in answer if row["provider"] == "orange")
    assert orange.pop("set_at").endswith("Z")
    assert orange == {
        "account": None,
        "provider": "orange",
        "limit": "100/day",
        "used": 63,
        "left": 37,
        "burst": 5,
        "spacing_seconds": 820.8,
        "rate_factor": 1,
        "set_by": "test",
        "reason": "shipped",
    }
    lines = busy.relais("limits").out.splitlines()
    assert lines[0].split() == (
        ["scope", "limit", "used", "left", "at", "once", "then", "every", "set", "by", "reason"]
    )
    orange_line = next(line for line in lines if line.startswith("orange"))
    assert orange_line.split()[1:7] == ["100/day", "63", "37", "5", "13.7", "min"]


async def test_limits_while_slowed(busy: Site) -> None:
    """A slow-down shows in what is left and in the pace; without spacing there is none."""
    await busy.sql(
        "insert into relais.provider_state (provider, kind, factor, since, until, why, set_by)"
        " values ('orange', 'slow', 0.7, relais.now(), relais.now() + interval '2 hours', 'x',"
        " 'feedback');"
        "update relais.limit_rule set spacing = '0' where account = 'main'"
    )

    rows = busy.relais("limits", "--json").answer["limits"]
    human = busy.relais("limits").out

    orange = next(row for row in rows if row["provider"] == "orange")
    main = next(row for row in rows if row["account"] == "main")
    assert (orange["left"], orange["rate_factor"]) == (7, 0.7)
    assert round(orange["spacing_seconds"]) == 1173
    assert (main["spacing_seconds"], main["burst"], main["rate_factor"]) == (None, None, 1)
    assert "19.5 min    70 %" in human


async def test_set(busy: Site) -> None:
    """A change says what it replaced, and is kept with who and why."""
    ended = busy.relais("limits", "set", "orange", "120/day", *WHY)
    account = busy.relais("limits", "set", "main", "500/day", "--reason", "new contract")

    assert ended.code == 0
    assert ended.out.splitlines() == [
        "orange: 120/day  (before: 100/day)",
        "It counts from the next claim on, in every process.",
        "Undo: relais limits set orange 100/day --reason ...",
    ]
    assert account.out.splitlines() == [
        "main: 500/day  (before: none for this period)",
        "It counts from the next claim on, in every process.",
        "Undo: relais limits remove main day --reason ...",
    ]
    assert await _audit(busy) == [
        (getpass.getuser(), "limit orange = 120/day", "Orange agreed"),
        (getpass.getuser(), "limit main = 500/day", "new contract"),
    ]
    limits = _limits(busy)
    # The copy that was in hand is queued again: the new limit of main has not let it through.
    assert limits[None, "orange", "120/day"] == 58
    assert ("main", None, "200/hour") in limits
    assert ("main", None, "500/day") in limits


def test_undo_can_be_pasted(busy: Site) -> None:
    """A limit with a burst is quoted; what was new is removed."""
    busy.relais("limits", "set", "orange", "100/day, burst=10, spacing=1m", *WHY)
    changed = busy.relais("limits", "set", "orange", "50/day", *WHY).out.splitlines()
    added = busy.relais("limits", "set", "orange", "5/15m, burst=2", *WHY).out.splitlines()

    assert changed[0] == "orange: 50/day  (before: 100/day, burst=10, spacing=1m)"
    assert added[-1] == "Undo: relais limits remove orange 15m --reason ..."
    before = set(_limits(busy))
    for undo in (changed[-1], added[-1]):
        _again(busy, undo)
    assert {limit for _, provider, limit in before if provider == "orange"} == {
        "50/day",
        "5/15m, burst=2",
    }
    assert [limit for _, provider, limit in _limits(busy) if provider == "orange"] == [
        "100/day, burst=10, spacing=1m"
    ]


def test_set_for_an_account_at_a_provider(busy: Site) -> None:
    """Both together are a scope of their own, beside those of each."""
    ended = busy.relais("limits", "set", "main/orange", "50/day", *WHY, "--json")

    assert ended.answer == {"scope": "main/orange", "limit": "50/day", "before": None}
    assert _limits(busy)["main", "orange", "50/day"] == 50  # As above: nothing is in hand now.
    assert "\nmain/orange " in busy.relais("limits").out
    queue = busy.relais("queue")
    assert "50/day (main)" in queue.out
    removed = busy.relais("limits", "remove", "main/orange", "day", *WHY)
    assert removed.out.splitlines() == [
        "main/orange: 50/day is removed.",
        "main/orange has no limit of its own now.",
        "Undo: relais limits set main/orange 50/day --reason ...",
    ]


def test_looser_than_shipped(site: Site) -> None:
    """Nobody is stopped, but told."""
    looser = site.relais("limits", "set", "orange", "100000/day", *WHY).out
    again = site.relais("limits", "set", "orange", "200000/day", *WHY).out
    tighter = site.relais("limits", "set", "yahoo", "1/day", *WHY).out

    assert "looser than what Relais ships with for orange" in looser
    assert "looser" not in again + tighter


async def test_remove(busy: Site) -> None:
    """One rule of the scope goes; the others stay."""
    busy.relais("limits", "set", "main", "500/day", *WHY)

    by_limit = busy.relais("limits", "remove", "main", "500/day", *WHY, "--json")
    by_period = busy.relais("limits", "remove", "main", "hour", *WHY)

    assert by_limit.answer == {"scope": "main", "removed": "500/day"}
    assert by_period.out.splitlines() == [
        "main: 200/hour is removed.",
        "main has no limit of its own now.",
        "relais.toml has 200/hour for it, which the next migrate or run sets again.",
        "Undo: relais limits set main 200/hour --reason ...",
    ]
    assert [key for key in _limits(busy) if key[0] == "main"] == []
    assert (await _audit(busy))[-1] == (
        getpass.getuser(),
        "remove limit main = 200/hour",
        "Orange agreed",
    )


async def test_remove_of_an_account_that_is_gone(busy: Site) -> None:
    """Its rules are still there, and nothing but this verb would remove them."""
    await busy.sql("update relais.limit_rule set account = 'old' where account = 'main'")

    assert busy.relais("limits", "remove", "old", "hour", *WHY).code == 0


def test_remove_what_is_not_there(busy: Site) -> None:
    """What there is instead is told."""
    no_rule = busy.relais("limits", "remove", "orange", "hour", *WHY)
    other_amount = busy.relais("limits", "remove", "orange", "101/day", *WHY, "--json")
    no_scope = busy.relais("limits", "remove", "ornage", "day", *WHY, "--json")

    assert (no_rule.code, no_rule.err) == (1, "orange has no such limit; it has '100/day'\n")
    assert (other_amount.code, list(other_amount.answer)) == (1, ["error"])
    assert (no_scope.code, no_scope.answer["did_you_mean"]) == (1, ["orange"])
    assert busy.relais("limits", "remove", "orange", "fortnight", *WHY).code == 2
    assert busy.relais("limits", "remove", "orange", "day", "--reason", " ").code == 2


def test_refused(site: Site) -> None:
    """What cannot be a limit or a scope is refused with what can."""
    assert site.relais("limits", "set", "orange", "100/day").code == 2
    assert site.relais("limits", "set", "orange", "100/day", "--reason", "  ").code == 2
    bad = site.relais("limits", "set", "orange", "100 a day", *WHY)
    assert bad.code == 2
    assert "200/hour" in bad.err
    unknown = site.relais("limits", "set", "ornage", "100/day", *WHY, "--json")
    assert unknown.code == 1
    assert unknown.answer["did_you_mean"] == ["orange"]
    both = site.relais("limits", "set", "main/ornage", "100/day", *WHY, "--json")
    assert both.answer["did_you_mean"][0] == "main/orange"
    assert site.relais("limits", "--config", "x.toml", "set", "a", "1/day", *WHY).code == 2


def test_a_name_of_both(site: Site) -> None:
    """An account that is called as a provider cannot be told from it."""
    site.configured('name = "main"', 'name = "orange"')

    ended = site.relais("limits", "set", "orange", "100/day", *WHY)

    assert (ended.code, "rename the account" in ended.err) == (2, True)


async def test_no_limit(site: Site) -> None:
    """That nothing is limited is said."""
    await site.sql("delete from relais.limit_rule")

    assert site.relais("limits").out == "There is no limit.\n"
