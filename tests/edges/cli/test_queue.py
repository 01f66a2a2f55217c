"""`relais queue`, `postings`, `posting show` and `limits`."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta

import pytest

from tests.edges.cli.site import COMMITTEE, Site

# One posting of a hundred copies to Orange, ten to Free; some have left, and
# a second, smaller one behind it.
POSTED = """
    insert into relais.list (definition, parts, address) values
        ('committee_role', '{"role": "comite_directeur", "committee": "comite"}',
         'comite_directeur.comite'),
        ('news', '{}', 'nouvelles');
    insert into relais.posting (list_id, fingerprint, author, subject, accepted_at, template,
                                key_id, listed, recipients, suppressed)
    values (1, 'a', 'm1@orange.fr', E'Convocation\\x1b[2J', relais.now() - interval '3 hours', '',
            'k', 112, 110, 2),
           (2, 'b', 'm2@orange.fr', 'Nouvelles', relais.now() - interval '1 hour', '',
            'k', 5, 5, 0);
    insert into relais.person (key) select 'person:' || n from generate_series(1, 115) n;
    insert into relais.delivery (posting_id, person_id, address, provider, state, due_at, account)
    select case when n <= 110 then 1 else 2 end, n, 'd' || n || '@example.org',
           case when n <= 100 then 'orange' when n <= 110 then 'free' else 'orange' end,
           (case when n <= 60 then 'handed_over' when n = 61 then 'bounced'
                 when n = 62 then 'in_doubt' when n = 63 then 'claimed'
                 when n = 64 then 'deferred' else 'queued' end)::relais.delivery_state,
           relais.now() - interval '1 hour' + case when n > 110 then interval '1 minute'
                                                   else interval '0' end,
           'main'
      from generate_series(1, 115) n;
    delete from relais.limit_rule;
    insert into relais.limit_rule (account, provider, amount, period, set_at, set_by, reason)
    values (null, 'orange', 100, '1 day', relais.now(), 'test', 'shipped'),
           ('main', null, 200, '1 hour', relais.now(), 'test', 'starting');
    insert into relais.limit_spent
    select limit_id, relais.bin_of(period, relais.now() - period / 2), 62 from relais.limit_rule;
"""


@pytest.fixture
async def busy(site: Site) -> Site:
    """A site with two postings under way."""
    await site.sql(POSTED)
    return site


def _hours_ahead(moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(UTC)) / timedelta(hours=1)


def test_queue(busy: Site) -> None:
    """By provider: what waits, the limits, and when it will be gone."""
    ended = busy.relais("queue", "--json")

    assert ended.code == 0
    assert (ended.answer["waiting"], ended.answer["in_doubt"]) == (53, 1)
    providers = {row["provider"]: row for row in ended.answer["providers"]}
    orange = providers["orange"]
    assert (orange["waiting"], orange["in_doubt"], orange["paused_until"]) == (43, 1, None)
    assert orange["limits"] == [{"limit": "100/day", "account": None, "used": 63, "left": 37}]
    assert -3.1 < _hours_ahead(orange["oldest_at"]) < -2.9
    assert 11.9 < _hours_ahead(orange["finish_at"]) < 12.5
    assert providers["free"]["waiting"] == 10
    assert _hours_ahead(providers["free"]["finish_at"]) < 0.1
    assert providers["yahoo"]["finish_at"] is None
    assert ended.answer["accounts"] == [
        {
            "account": "main",
            "limits": [{"limit": "200/hour", "account": "main", "used": 63, "left": 137}],
            "paused_until": None,
        }
    ]


def test_queue_by_posting_and_list(busy: Site) -> None:
    """The first posting leaves before the one behind it."""
    first, second = busy.relais("queue", "--by", "posting", "--json").answer["postings"]
    lists = busy.relais("queue", "--by", "list", "--json").answer["lists"]

    assert (first["posting"], first["waiting"], first["in_doubt"]) == (1, 48, 1)
    assert _hours_ahead(first["finish_at"]) < 0.1
    assert (second["posting"], second["waiting"]) == (2, 5)
    assert _hours_ahead(second["finish_at"]) > 11.9
    assert [(row["address"], row["waiting"]) for row in lists] == [
        (COMMITTEE, 48),
        ("nouvelles@listes.example.fr", 5),
    ]


def test_queue_for_people(busy: Site) -> None:
    """A provider is a line; what a terminal would obey is not printed."""
    by_provider = busy.relais("queue").out.splitlines()
    by_posting = busy.relais("queue", "--by", "posting").out

    assert by_provider[0].split()[:3] == ["provider", "used", "waiting"]
    orange = next(line for line in by_provider if line.startswith("orange"))
    assert orange.split()[1:8] == ["63", "of", "100/day", "43", "1", "3", "h"]
    assert "account main: 63 of 200/hour" in by_provider
    assert by_provider[-1] == "53 waiting, 1 in doubt."
    assert "\x1b" not in by_posting
    assert "Convocation" in by_posting


async def test_queue_while_the_account_is_paused(busy: Site) -> None:
    """Nothing leaves before the only account is used again."""
    await busy.sql(
        "insert into relais.account_state values"
        " ('main', relais.now() + interval '2 hours', 1, 'refused', relais.now())"
    )

    answer = busy.relais("queue", "--json").answer

    free = next(row for row in answer["providers"] if row["provider"] == "free")
    assert 1.9 < _hours_ahead(free["paused_until"]) < 2.1
    assert free["finish_at"] == free["paused_until"] == answer["accounts"][0]["paused_until"]


def test_nothing_waits(site: Site) -> None:
    """An empty queue is no problem."""
    ended = site.relais("queue")

    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "0 waiting, 0 in doubt."
    for by in ("list", "posting"):
        assert site.relais("queue", "--by", by).code == 0
    assert site.relais("postings").out == "Nothing has been posted yet.\n"


def test_posting(busy: Site) -> None:
    """The keys that scripts count on."""
    answer = busy.relais("posting", "show", "1", "--json").answer

    assert _hours_ahead(answer["finish_at"]) < 0.1
    expected = {
        "posting": 1,
        "address": COMMITTEE,
        "author": "m1@orange.fr",
        "state": "open",
        "recipients": 110,
        "handed_over": 60,
        "bounced": 1,
        "refused": 0,
        "deferred": 1,
        "in_doubt": 1,
        "cancelled": 0,
        "expired": 0,
        "waiting": 48,
    }
    assert {key: answer[key] for key in expected} == expected
    human = busy.relais("posting", "show", "1").out
    assert "60 handed over, 1 bounced" in human
    assert "\x1b" not in human


def test_unknown_posting(site: Site) -> None:
    """A number that no posting has is a problem; what is no number is usage."""
    unknown = site.relais("posting", "show", "77", "--json")

    assert (unknown.code, unknown.answer) == (1, {"error": "there is no posting 77"})
    assert site.relais("posting", "show", "seven").code == 2


def test_postings(busy: Site) -> None:
    """The newest first, as many as asked for."""
    answer = busy.relais("postings", "--json").answer["postings"]

    assert [posting["posting"] for posting in answer] == [2, 1]
    one = busy.relais("postings", "--last", "1").out.splitlines()
    assert len(one) == 2
    assert one[1].split()[:3] == ["#2", "nouvelles", "Nouvelles"]


def test_limits(busy: Site) -> None:
    """Each limit with its use and its reason."""
    answer = busy.relais("limits", "--json").answer["limits"]

    orange = next(row for row in answer if row["provider"] == "orange")
    assert orange.pop("set_at").endswith("Z")
    assert orange == {
        "account": None,
        "provider": "orange",
        "limit": "100/day",
        "used": 63,
        "left": 37,
        "set_by": "test",
        "reason": "shipped",
    }
    assert "100/day" in busy.relais("limits").out


async def test_limits_set(busy: Site) -> None:
    """A change says what it replaced, and is kept with who and why."""
    ended = busy.relais("limits", "set", "orange", "120/day", "--reason", "Orange agreed")
    account = busy.relais("limits", "set", "main", "500/day", "--reason", "new contract")

    assert ended.code == 0
    assert ended.out.splitlines() == [
        "orange: 120/day  (before: 100/day)",
        "Undo: relais limits set orange 100/day --reason ...",
    ]
    assert account.out.splitlines() == ["main: 500/day  (before: none for this period)"]
    kept = await busy.sql("select who, what, reason from relais.audit where audit_id > $1", 0)
    assert [tuple(row) for row in kept] == [
        (getpass.getuser(), "limit orange = 120/day", "Orange agreed"),
        (getpass.getuser(), "limit main = 500/day", "new contract"),
    ]
    rows = busy.relais("limits", "--json").answer["limits"]
    limits = {(row["account"], row["provider"], row["limit"]): row["left"] for row in rows}
    assert limits[None, "orange", "120/day"] == 57
    assert ("main", None, "200/hour") in limits
    assert ("main", None, "500/day") in limits


def test_limits_refused(site: Site) -> None:
    """What cannot be a limit or a scope is refused with what can."""
    reason = ("--reason", "x")
    assert site.relais("limits", "set", "orange", "100/day").code == 2
    assert site.relais("limits", "set", "orange", "100/day", "--reason", " ").code == 2
    bad = site.relais("limits", "set", "orange", "100/fortnight", *reason)
    assert bad.code == 2
    assert "200/hour" in bad.err
    unknown = site.relais("limits", "set", "ornage", "100/day", *reason, "--json")
    assert unknown.code == 1
    assert unknown.answer["did_you_mean"] == ["orange"]
