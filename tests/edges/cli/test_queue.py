"""`relais queue`, `postings` and `posting`."""

from __future__ import annotations

import getpass
import shlex
from datetime import UTC, datetime, timedelta

from tests.edges.cli.site import COMMITTEE, Site

# Of 100/day, 62 left twelve hours ago and one is in hand; 5 are kept free, and
# the five of the small posting go first. So 27 of the 37 of the large one leave
# before the 62 count no more, 13 min 41 s apart (95 % of a day by 100). By then
# the bucket is paid back: five leave at a stretch, and five more so spaced.
ORANGE_LEAST, ORANGE_MOST = 13.0, 13.3


def _hours_ahead(moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(UTC)) / timedelta(hours=1)


def test_queue(busy: Site) -> None:
    """By provider: what waits, the limits, and when it will be gone."""
    ended = busy.relais("queue", "--json")

    assert ended.code == 0
    assert (ended.answer["waiting"], ended.answer["in_doubt"]) == (53, 1)
    assert ended.answer["in_hand"] == 1
    providers = {row["provider"]: row for row in ended.answer["providers"]}
    orange = providers["orange"]
    assert (orange["waiting"], orange["in_doubt"], orange["paused_until"]) == (43, 1, None)
    assert orange["limits"] == [{"limit": "100/day", "account": None, "used": 63, "left": 37}]
    assert -3.1 < _hours_ahead(orange["oldest_at"]) < -2.9
    assert (orange["in_hand"], orange["rate_factor"], orange["states"]) == (1, 1, [])
    assert ORANGE_LEAST < _hours_ahead(orange["finish_at"]) < ORANGE_MOST
    assert providers["free"]["waiting"] == 10
    assert _hours_ahead(providers["free"]["finish_at"]) < 0.1
    assert providers["yahoo"]["finish_at"] is None
    assert ended.answer["accounts"] == [
        {
            "account": "main",
            "limits": [{"limit": "200/hour", "account": "main", "used": 63, "left": 137}],
            "paused_until": None,
            "why": None,
        }
    ]


def test_a_grouping_that_is_none(site: Site) -> None:
    """Those that there are are named, in our own words."""
    ended = site.relais("queue", "--by", "people")

    assert (ended.code, ended.err) == (2, "--by people: write one of provider, list, posting\n")


def test_queue_by_posting_and_list(busy: Site) -> None:
    """The small posting behind the large one leaves at once."""
    first, second = busy.relais("queue", "--by", "posting", "--json").answer["postings"]
    lists = busy.relais("queue", "--by", "list", "--json").answer["lists"]

    assert (first["posting"], first["waiting"], first["in_doubt"]) == (1, 48, 1)
    assert (first["recipients"], first["final"], first["held"]) == (110, 61, False)
    assert ORANGE_LEAST < _hours_ahead(first["finish_at"]) < ORANGE_MOST
    assert (second["posting"], second["waiting"]) == (2, 5)
    assert _hours_ahead(second["finish_at"]) < 0.1
    assert [(row["address"], row["waiting"]) for row in lists] == [
        (COMMITTEE, 48),
        ("nouvelles@listes.example.fr", 5),
    ]


def test_queue_for_people(busy: Site) -> None:
    """A provider is a line; what a terminal would obey is not printed."""
    by_provider = busy.relais("queue").out.splitlines()
    by_posting = busy.relais("queue", "--by", "posting").out

    head = "provider limit used now waiting <6h in doubt finished"
    assert by_provider[0].split() == head.split()
    orange = next(line for line in by_provider if line.startswith("orange"))
    assert orange.split()[1:7] == ["100/day", "63", "1", "43", "43", "1"]
    total = next(line for line in by_provider if line.startswith("total"))
    assert total.split()[1:5] == ["1", "53", "53", "1"]
    assert "account main: 63 of 200/hour" in by_provider
    assert by_provider[-1] == (
        "2 postings in progress: #1 Convocation\N{REPLACEMENT CHARACTER}[2J"
        " (comite_directeur.comite, 61/110), #2 Nouvelles (nouvelles, 0/5)"
    )
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
    assert free["paused_until"] == answer["accounts"][0]["paused_until"]
    # A few leave at a stretch then, and the others 17 seconds apart.
    assert 0 <= _hours_ahead(free["finish_at"]) - _hours_ahead(free["paused_until"]) < 0.1


async def test_queue_in_hand(busy: Site) -> None:
    """A copy whose dot is being sent is in hand, and not in doubt."""
    await busy.sql("update relais.delivery set state = 'dotting' where delivery_id = 62")

    answer = busy.relais("queue", "--json").answer

    assert (answer["waiting"], answer["in_hand"], answer["in_doubt"]) == (53, 2, 0)
    assert "in doubt" not in busy.relais("queue").out


async def test_queue_of_a_slow_provider(busy: Site) -> None:
    """What is in force is told with its cause, and counts in what is left."""
    await busy.sql(
        "insert into relais.provider_state (provider, kind, factor, since, until, why, rule_id,"
        " set_by) values ('orange', 'slow', 0.8, relais.now(), relais.now() + interval '2 hours',"
        " '421 too many', 'orange-rate', 'feedback')"
    )

    answer = busy.relais("queue", "--json").answer
    human = busy.relais("queue").out.splitlines()

    orange = next(row for row in answer["providers"] if row["provider"] == "orange")
    (state,) = orange["states"]
    assert orange["rate_factor"] == state["factor"] == 0.8
    assert (state["kind"], state["why"], state["set_by"]) == ("slow", "421 too many", "feedback")
    assert 1.9 < _hours_ahead(state["until"]) < 2.1
    assert orange["limits"][0]["left"] == 80 - 63
    assert _hours_ahead(orange["finish_at"]) > ORANGE_LEAST
    assert " slowed to 80 % " in next(line for line in human if line.startswith("orange "))
    told = next(line for line in human if line.startswith("orange: "))
    assert told.startswith("orange: slowed to 80 % until ")
    assert told.endswith(": 421 too many (feedback, rule orange-rate)")


async def test_queue_that_is_cut(busy: Site) -> None:
    """What will not all have left by its finish-by date says so."""
    await busy.sql("update relais.posting set finish_by = relais.now() + interval '3 hours'")

    answer = busy.relais("queue", "--json").answer

    orange = next(row for row in answer["providers"] if row["provider"] == "orange")
    assert orange["cut"]
    assert 2.9 < _hours_ahead(orange["finish_at"]) <= 3
    assert [posting["cut"] for posting in answer["postings"]] == [True, False]
    for by in ("provider", "list", "posting"):
        assert ", then the rest is cancelled" in busy.relais("queue", "--by", by).out


async def test_ages_and_many_postings(busy: Site) -> None:
    """Each age has a column if something is so old; a few postings are named."""
    await busy.sql(
        "insert into relais.posting (list_id, fingerprint, author, subject, accepted_at, template,"
        " key_id, listed, recipients) select 2, n::text::bytea, 'a@b.fr', 'No. ' || n,"
        " relais.now() - n * interval '20 hours', '', 'k', 1, 1 from generate_series(1, 4) n;"
        "insert into relais.delivery (posting_id, person_id, address, provider, state, due_at)"
        " select n + 2, n, 'x@gmail.com', 'google', 'queued', relais.now()"
        "   from generate_series(1, 4) n;"
        "update relais.posting set state = 'held' where posting_id = 3"
    )

    lines = busy.relais("queue").out.splitlines()

    assert lines[0].split()[5:9] == ["<6h", "<1d", "<3d", ">3d"]
    google = next(line for line in lines if line.startswith("google"))
    assert google.split() == ["google", "0", "4", "1", "2", "1", "not", "in", "sight"]
    assert lines[-1].startswith("6 postings in progress: #1 ")
    assert "#3 No. 1 (nouvelles, 0/1, held), #4 No. 2 (nouvelles, 0/1), and 2 more" in lines[-1]


async def test_notices(busy: Site) -> None:
    """Our own mail has a line, and is no posting in progress."""
    await busy.sql(
        "with notice as (insert into relais.notice (kind, address, template, key_id, made_at)"
        " values ('confirm', 'x@gmail.com', '', 'k', relais.now()) returning notice_id)"
        "insert into relais.delivery (notice_id, address, provider, state, due_at)"
        " select notice_id, 'x@gmail.com', 'google', 'queued', relais.now() from notice"
    )

    by_posting = busy.relais("queue", "--by", "posting", "--json").answer["postings"]
    by_list = busy.relais("queue", "--by", "list", "--json").answer["lists"]

    assert (by_posting[0]["posting"], by_posting[0]["address"]) == (None, "notices")
    assert by_list[0]["address"] == "notices"
    assert len(busy.relais("queue", "--json").answer["postings"]) == 2
    assert "notices" in busy.relais("queue", "--by", "posting").out


def test_nothing_waits(site: Site) -> None:
    """An empty queue is no problem."""
    ended = site.relais("queue")

    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "No posting is in progress."
    assert any(line.split() == ["total", "0", "0"] for line in ended.out.splitlines())
    for by in ("list", "posting"):
        assert site.relais("queue", "--by", by).code == 0
    assert site.relais("postings").out == "Nothing has been posted yet.\n"


def test_posting(busy: Site) -> None:
    """The keys that scripts count on."""
    answer = busy.relais("posting", "show", "1", "--json").answer

    assert ORANGE_LEAST < _hours_ahead(answer["finish_at"]) < ORANGE_MOST
    expected = {
        "finish_by": None,
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

    assert (unknown.code, unknown.answer) == (
        1,
        {"error": "there is no posting 77; see relais postings"},
    )
    assert site.relais("posting", "show", "seven").code == 2


def test_postings(busy: Site) -> None:
    """The newest first, as many as asked for."""
    answer = busy.relais("postings", "--json").answer["postings"]

    assert [posting["posting"] for posting in answer] == [2, 1]
    one = busy.relais("postings", "--last", "1").out.splitlines()
    assert len(one) == 2
    assert one[1].split()[:3] == ["#2", "nouvelles", "Nouvelles"]


async def test_finish_by(busy: Site) -> None:
    """What has not left by then is cancelled; it is shown, kept with its reason, and undone."""
    at = ("posting", "finish-by", "1")
    set_ = busy.relais(*at, "2099-11-27T08:00:00+01:00", "--reason", "the meeting is over")
    shown = busy.relais("posting", "show", "1")
    answer = busy.relais("posting", "show", "1", "--json").answer

    assert set_.code == 0
    assert set_.out.splitlines() == [
        "posting 1: what has not left by 27 Nov 2099 is cancelled  (before: no end)",
        "Undo: relais posting finish-by 1 none --reason ...",
    ]
    assert "Finish by   27 Nov 2099; what is left then is cancelled\n" in shown.out
    assert answer["finish_by"] == "2099-11-27T07:00:00Z"
    undone = busy.relais(*at, "none", "--reason", "it is not", "--json")
    assert undone.answer == {"posting": 1, "finish_by": None, "before": "2099-11-27T07:00:00Z"}
    redone = busy.relais(*at, "2098-01-01 08:00", "--reason", "local time", TZ="Europe/Paris")
    assert redone.out.endswith("Undo: relais posting finish-by 1 none --reason ...\n")
    again = busy.relais(*at, "2097-01-01", "--reason", "sooner").out.splitlines()[-1]
    words = shlex.split(again.removeprefix("Undo: relais ").replace("...", "undo"))
    assert busy.relais(*words).code == 0
    assert busy.relais("posting", "show", "1", "--json").answer["finish_by"] == (
        "2098-01-01T07:00:00Z"
    )
    kept = await busy.sql("select who, what, reason from relais.audit where audit_id > $1", 0)
    assert tuple(kept[0]) == (
        getpass.getuser(),
        "posting 1 finish-by = 2099-11-27T07:00:00+00:00",
        "the meeting is over",
    )
    assert len(kept) == 5


async def test_finish_by_refused(busy: Site) -> None:
    """What cannot be is said before anything is changed."""
    later, why = "2099-01-01 08:00", ("--reason", "x")
    past = busy.relais("posting", "finish-by", "1", "2020-01-01 08:00", *why)
    assert (past.code, past.err) == (2, "2020-01-01 08:00 UTC has passed\n")
    for when in ("tomorrow", "", "25:00"):
        assert busy.relais("posting", "finish-by", "1", when, *why).code == 2
    assert busy.relais("posting", "finish-by", "1", later, "--reason", " ").code == 2
    assert busy.relais("posting", "finish-by", "1", later).code == 2
    unknown = busy.relais("posting", "finish-by", "77", later, *why, "--json")
    assert (unknown.code, unknown.answer) == (
        1,
        {"error": "there is no posting 77; see relais postings"},
    )
    await busy.sql("update relais.posting set state = 'finished' where posting_id = 2")
    over = busy.relais("posting", "finish-by", "2", later, *why)
    assert (over.code, over.err) == (1, "nothing of posting 2 waits: it is finished\n")
    assert await busy.sql("select 1 from relais.audit where audit_id > $1", 0) == []
