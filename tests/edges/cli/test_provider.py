"""`relais provider`, `provider pause` and `provider resume`."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from worker.cli.moments import read_length, read_moment
from worker.cli.verb import VerbError

if TYPE_CHECKING:
    from tests.edges.cli.site import Site

WHY = ("--reason", "they asked for it")


def _provider(site: Site, name: str) -> Any:
    rows = site.relais("provider", "--json").answer["providers"]
    return next(row for row in rows if row["provider"] == name)


def _hours_ahead(moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(UTC)) / timedelta(hours=1)


def test_providers(site: Site) -> None:
    """All of them, with how many domains they have."""
    assert _provider(site, "orange") == {
        "provider": "orange",
        "name": "Orange / Wanadoo",
        "domains": 3,
        "paused_until": None,
        "rate_factor": 1,
        "states": [],
    }
    lines = site.relais("provider").out.splitlines()
    assert lines[0].split() == ["provider", "name", "domains"]
    assert "orange    Orange / Wanadoo         3" in lines


async def test_pause_and_resume(busy: Site) -> None:
    """A pause is seen by all who ask, and ends when it is told to."""
    paused = busy.relais("provider", "pause", "orange", "--for", "2h", *WHY)

    assert paused.code == 0
    first, second = paused.out.splitlines()
    assert first.startswith("orange: paused until ")
    assert first.endswith("; what is in hand still leaves.")
    assert second == "Resume: relais provider resume orange --reason ..."
    orange = _provider(busy, "orange")
    assert 1.9 < _hours_ahead(orange["paused_until"]) <= 2
    (state,) = orange["states"]
    assert state.pop("since") < state.pop("until") == orange["paused_until"]
    assert state == {
        "kind": "pause",
        "account": None,
        "posting": None,
        "factor": None,
        "why": "they asked for it",
        "rule": None,
        "set_by": getpass.getuser(),
    }
    for view in ("queue", "provider"):
        out = busy.relais(view).out
        line = next(line for line in out.splitlines() if line.startswith("orange "))
        assert "paused" in line
        assert f": they asked for it ({getpass.getuser()})" in out
    queue = next(
        row
        for row in busy.relais("queue", "--json").answer["providers"]
        if row["provider"] == "orange"
    )
    assert queue["paused_until"] == orange["paused_until"]
    assert _hours_ahead(queue["finish_at"]) > 2

    resumed = busy.relais("provider", "resume", "orange", *WHY)

    assert resumed.out == "orange: resumed at full speed; ended: 1 pause.\n"
    assert _provider(busy, "orange")["states"] == []
    kept = await busy.sql("select who, what, reason from relais.audit where audit_id > $1", 0)
    assert [tuple(row) for row in kept] == [
        (getpass.getuser(), "pause orange for 2:00:00", "they asked for it"),
        (getpass.getuser(), "resume orange", "they asked for it"),
    ]


def test_pause_until(busy: Site) -> None:
    """An end is a time; without one, a person ends it. What is paused longer stays so."""
    for_good = busy.relais("provider", "pause", "free", *WHY)
    shorter = busy.relais("provider", "pause", "free", "--for", "30m", *WHY)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(second=0, microsecond=0)
    until = busy.relais(
        "provider", "pause", "yahoo", "--until", f"{tomorrow:%Y-%m-%d %H:%M}", *WHY, "--json"
    )

    assert for_good.out.startswith("free: paused until resumed; ")
    assert shorter.out.startswith("free: paused until resumed; ")
    seconds = (datetime.fromisoformat(until.answer["paused_until"]) - tomorrow).total_seconds()
    assert abs(seconds) <= 2
    assert "free: since " in busy.relais("provider").out
    assert busy.relais("provider", "resume", "free", *WHY, "--json").answer == {
        "provider": "free",
        "pauses": 2,
        "slow_downs": 0,
        "stops": 0,
    }


FEEDBACK = """
    insert into relais.provider_state
           (provider, account, posting_id, kind, factor, since, until, why, rule_id, set_by)
    values ('orange', null, null, 'slow', 0.5, relais.now() - interval '3 hours',
            relais.now() - interval '1 hour', 'too many', 'r1', 'feedback'),
           ('orange', null, 1, 'pause', null, relais.now(), relais.now() + interval '1 day',
            'spam', 'r2', 'feedback'),
           ('orange', 'main', null, 'pause', null, relais.now(),
            relais.now() + interval '1 hour', 'quota', 'r3', 'feedback')
"""


async def test_resume_what_feedback_did(busy: Site) -> None:
    """Slow-downs that recover, stops of postings and pauses of accounts end as well."""
    await busy.sql(FEEDBACK)
    told = [
        line.partition(": since ")[2].partition(" ")[2].partition(" ")[2]
        for line in busy.relais("provider").out.splitlines()
        if line.startswith("orange: ")
    ]

    assert told[0].startswith("slowed to 75 % and recovering until ")
    assert told[0].endswith(": too many (feedback, rule r1)")
    assert told[1].startswith("paused for posting #1 until ")
    assert told[2].startswith("paused for account main until ")
    resumed = busy.relais("provider", "resume", "orange", *WHY)
    assert resumed.out == (
        "orange: resumed at full speed; ended: 1 pause, 1 slow-down, 1 stop of a single posting.\n"
    )
    assert _provider(busy, "orange")["rate_factor"] == 1


async def test_refused(site: Site) -> None:
    """What cannot be changes nothing, and nothing is kept of it."""
    unknown = site.relais("provider", "pause", "ornage", *WHY, "--json")
    assert (unknown.code, unknown.answer["did_you_mean"]) == (1, ["orange"])
    assert site.relais("provider", "resume", "ornage", *WHY).code == 1
    nothing = site.relais("provider", "resume", "orange", *WHY)
    assert (nothing.code, nothing.err) == (1, "nothing is in force for orange\n")
    pause = ("provider", "pause", "orange")
    past = site.relais(*pause, "--until", "2020-01-01T08:00Z", *WHY)
    assert (past.code, past.err) == (2, "2020-01-01 08:00 UTC has passed\n")
    assert site.relais(*pause, "--for", "1h", "--until", "2099-01-01", *WHY).code == 2
    assert site.relais(*pause, "--for", "soon", *WHY).code == 2
    assert site.relais(*pause, "--reason", " ").code == 2
    assert site.relais(*pause).code == 2
    assert site.relais("provider", "--json", *pause[1:], *WHY).code == 2
    assert await site.sql("select 1 from relais.audit where audit_id > $1", 0) == []


LENGTHS = {
    "2h": timedelta(hours=2),
    "90m": timedelta(minutes=90),
    "45s": timedelta(seconds=45),
    "1d": timedelta(days=1),
    "day": timedelta(days=1),
}


@pytest.mark.parametrize(("text", "length"), LENGTHS.items())
def test_read_length(text: str, length: timedelta) -> None:
    """In the units of a limit's period."""
    assert read_length(text) == length


@pytest.mark.parametrize("text", ["", "2", "-1h", "0h", "2w", "40d", "1h, burst=2", "x" * 999])
def test_what_is_no_length(text: str) -> None:
    """Anything else is told to be none, but for a burst, which has no meaning here."""
    with pytest.raises(VerbError, match="no length"):
        read_length(text)


def test_read_moment() -> None:
    """RFC 3339 says its zone; without one it is the reader's."""
    moment = datetime(2026, 11, 25, 8, tzinfo=UTC)

    assert read_moment("2026-11-25T08:00:00Z") == read_moment("2026-11-25 09:00+01:00") == moment
    assert read_moment("2026-11-25 08:00") == datetime(2026, 11, 25, 8).astimezone()
    for text in ("", "tomorrow", "2026-13-01", "0001-01-01", "9999-12-31T23:59:59"):
        try:
            read_moment(text)
        except VerbError as error:
            assert "is no time" in str(error)  # noqa: PT017 - some zones can write them
