"""`relais posting stop`, `hold` and `resume`, and what `show` tells of a posting's course."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.edges.cli.site import Site

WHY = ("--reason", "wrong file")


async def _stands(site: Site, number: int = 1) -> tuple[object, ...]:
    [row] = await site.sql(
        "select state, awaits, ended_because, decided_by from relais.posting where posting_id = $1",
        number,
    )
    return tuple(row)


async def test_stop_and_resume(busy: Site) -> None:
    """What had left is told, what waited is cancelled; and it can be undone."""
    stopped = busy.relais("posting", "stop", "1", *WHY)

    assert stopped.code == 0
    assert stopped.out.splitlines() == [
        "posting 1: stopped; 48 copies cancelled, 62 had left",
        "Undo: relais posting resume 1 --reason ...",
    ]
    assert await _stands(busy) == ("stopped", None, "stopped", getpass.getuser())
    again = busy.relais("posting", "stop", "1", *WHY, "--json")
    assert again.answer == {"error": "posting 1 has ended already: stopped; 62 had left"}
    assert again.code == 1

    resumed = busy.relais("posting", "resume", "1", *WHY, "--json")

    assert resumed.answer == {"posting": 1, "now": "open", "waiting": 48, "left": 62}
    assert await _stands(busy) == ("open", None, None, None)
    kept = await busy.sql("select who, what, reason from relais.audit where audit_id > $1", 0)
    assert [tuple(row) for row in kept] == [
        (getpass.getuser(), "posting 1 stopped", "wrong file"),
        (getpass.getuser(), "posting 1 resumed", "wrong file"),
    ]


async def test_hold(busy: Site) -> None:
    """It waits until it is resumed, and shows how; nobody can approve or refuse it."""
    held = busy.relais("posting", "hold", "1", *WHY, "--json")

    assert held.answer == {"posting": 1, "now": "paused", "waiting": 48, "left": 62}
    assert await _stands(busy) == ("held", None, None, None)
    shown = busy.relais("posting", "show", "1").out
    assert f"State       held: paused, by {getpass.getuser()}\n" in shown
    assert "Go on       relais posting resume 1, or stop 1\n" in shown
    again = busy.relais("posting", "hold", "1", *WHY)
    assert (again.code, again.err) == (
        1,
        "posting 1 is paused already; relais posting resume 1 lets it go on\n",
    )
    for verb in ("approve", "refuse"):
        decided = busy.relais("posting", verb, "1", *WHY)
        assert (decided.code, decided.err) == (
            1,
            "posting 1 waits for nobody: it is paused; relais posting resume 1 or stop 1\n",
        )
    resumed = busy.relais("posting", "resume", "1", *WHY)
    assert resumed.out.splitlines() == [
        "posting 1: open; 48 wait, 62 have left",
        "Undo: relais posting hold 1 --reason ...",
    ]


REFUSED = {
    "held for a moderator": (
        "update relais.posting set state = 'held', awaits = 'moderation' where posting_id = 1",
        ("stop", "hold", "resume"),
        (
            "posting 1 is held for a moderator, so nothing of it leaves:"
            " relais posting approve 1 or refuse 1\n"
        ),
    ),
    "all has left": (
        "update relais.delivery set state = 'handed_over', settled_at = relais.now()",
        ("stop", "hold"),
        "nothing of posting 1 waits any more: 110 have left\n",
    ),
    "finished": (
        (
            "update relais.delivery set state = 'handed_over', settled_at = relais.now();"
            "update relais.posting set state = 'finished'"
        ),
        ("stop", "hold"),
        "nothing of posting 1 waits any more: 110 have left\n",
    ),
    "never stopped": (
        "select 1",
        ("resume",),
        "posting 1 is neither held nor stopped: it is open\n",
    ),
    "refused": (
        "update relais.posting set state = 'stopped', ended_because = 'refused'",
        ("resume",),
        "posting 1 cannot be resumed, for nobody has stopped it: it was ended as refused\n",
    ),
    "purged": (
        "update relais.posting set state = 'stopped', ended_because = 'stopped', template = null",
        ("resume",),
        (
            "posting 1 cannot be resumed: its bytes are purged, its date has passed,"
            " or nobody is left who would get it\n"
        ),
    ),
    "no such": (
        "delete from relais.turn; delete from relais.delivery; delete from relais.posting",
        ("stop", "hold", "resume"),
        "there is no posting 1; see relais postings\n",
    ),
}


@pytest.mark.parametrize(("change", "verbs", "said"), REFUSED.values(), ids=REFUSED)
async def test_refused(busy: Site, change: str, verbs: tuple[str, ...], said: str) -> None:
    """What cannot be is said, with what to do; nothing is changed or kept."""
    await busy.sql(change)
    before = await busy.sql("select * from relais.posting where posting_id > $1", 0)

    for verb in verbs:
        ended = busy.relais("posting", verb, "1", *WHY)
        assert (ended.code, ended.out, ended.err) == (1, "", said)

    assert await busy.sql("select * from relais.posting where posting_id > $1", 0) == before
    assert await busy.sql("select from relais.audit where audit_id > $1", 0) == []


def test_a_reason_is_wanted(busy: Site) -> None:
    """Nothing is done without one."""
    for verb in ("stop", "hold", "resume"):
        assert busy.relais("posting", verb, "1").code == 2
        assert busy.relais("posting", verb, "1", "--reason", " ").code == 2


TOLD = """
    insert into relais.receipt (author, lang, accepted_at, look_at, promised_at)
    values ('m1@orange.fr', 'fr', relais.now(), relais.now(), '2026-11-27 03:00+01');
    update relais.posting set receipt_id = 1 where posting_id in (1, 2);
    insert into relais.notice (kind, address, posting_id, template, key_id, made_at) values
        ('receipt', 'm1@orange.fr', 2, '', 'k', '2026-11-23 21:05+01'),
        ('delay', 'm1@orange.fr', 2, '', 'k', '2026-11-24 21:05+01'),
        ('moderate', 'm3@orange.fr', 1, '', 'k', '2026-11-23 20:00+01');
    insert into relais.delivery (notice_id, address, provider, state, due_at, settled_at)
    values (1, 'm1@orange.fr', 'orange', 'handed_over', relais.now(), relais.now());
"""


async def test_show(busy: Site) -> None:
    """How far it is at each provider, when the rest leaves, and what its author was told."""
    await busy.sql(TOLD)

    answer = busy.relais("posting", "show", "1", "--json").answer
    human = busy.relais("posting", "show", "1").out

    orange, free = answer["providers"]
    finish_at = datetime.fromisoformat(orange.pop("finish_at"))
    assert timedelta(hours=12) < finish_at - datetime.now(UTC) < timedelta(hours=14)
    assert orange == {"provider": "orange", "recipients": 100, "left": 62, "waiting": 38}
    assert (free["provider"], free["left"], free["waiting"]) == ("free", 0, 10)
    assert answer["told"] == [
        {
            "kind": "receipt",
            "at": "2026-11-23T20:05:00Z",
            "state": "handed_over",
            "promised_at": "2026-11-27T02:00:00Z",
        },
        {"kind": "delay", "at": "2026-11-24T20:05:00Z", "state": "gone", "promised_at": None},
    ]
    lines = human.splitlines()
    assert "Receipt  23 Nov 2026, 20:05 UTC, handed over; it named 27 Nov 2026, 02:00 UTC" in lines
    assert [line.split()[:3] for line in lines[-3:]] == [
        ["provider", "left", "waiting"],
        ["orange", "62", "38"],
        ["free", "0", "10"],
    ]


async def test_show_tells_who_and_why(busy: Site) -> None:
    """What operators have done with it, when and why; not with another one."""
    busy.relais("posting", "hold", "1", *WHY)
    busy.relais("posting", "stop", "1", "--reason", "really wrong")
    await busy.sql(
        "insert into relais.audit (at, who, what, reason)"
        " values (relais.now(), 'root', 'posting 11 stopped', 'another')"
    )

    lines = busy.relais("posting", "show", "1").out.splitlines()
    audit = busy.relais("posting", "show", "1", "--json").answer["audit"]

    who = getpass.getuser()
    assert [(a["who"], a["what"], a["reason"]) for a in audit] == [
        (who, "paused", "wrong file"),
        (who, "stopped", "really wrong"),
    ]
    assert f"State       stopped, by {who}" in lines
    assert any(line.startswith("Ended ") for line in lines)
    at = lines.index(next(line for line in lines if line.split() == ["done", "by", "when", "why"]))
    assert lines[at + 2].startswith(f"stopped  {who}")
    assert lines[at + 2].endswith("  really wrong")


async def test_show_in_its_grace(busy: Site) -> None:
    """Until when nothing leaves; and a time to come is not called finished."""
    await busy.sql(
        "update relais.delivery set state = 'queued' where posting_id = 1;"
        "update relais.posting set not_before = '2099-11-27 08:00+00' where posting_id = 1"
    )

    shown = busy.relais("posting", "show", "1").out

    assert "Grace       until 27 Nov 2099; no copy leaves before\n" in shown
    assert "\nExpected    " in shown
    assert "Finished" not in shown


async def test_show_of_what_is_in_hand(busy: Site) -> None:
    """Whose last dot is just being sent is not in doubt yet; scripts get both numbers."""
    await busy.sql("update relais.delivery set state = 'dotting' where state = 'claimed'")

    answer = busy.relais("posting", "show", "1", "--json").answer
    lines = busy.relais("posting", "show", "1").out.splitlines()

    assert (answer["in_hand"], answer["in_doubt"]) == (1, 2)
    assert "In hand     1, being submitted just now" in lines
    assert "In doubt    1" in lines


async def test_approved_for_nobody(busy: Site) -> None:
    """Whoever approves what nobody would get is told so."""
    await busy.sql("update relais.posting set state = 'held', awaits = 'moderation'")
    await busy.sql("update relais.posting set recipients = 0 where posting_id = 2")

    assert busy.relais("posting", "approve", "1", *WHY).out == (
        "posting 1: approved; a worker sends it if the list allows\n"
    )
    assert busy.relais("posting", "approve", "2", *WHY).out == (
        "posting 2: approved; but as its list was when it came, nobody would get it now:"
        " see relais preview nouvelles\n"
    )


BEYOND = "99999999999999999999"
VERBS = {
    "show": ("show", BEYOND),
    "stop": ("stop", BEYOND, *WHY),
    "hold": ("hold", BEYOND, *WHY),
    "resume": ("resume", BEYOND, *WHY),
    "approve": ("approve", BEYOND, *WHY),
    "refuse": ("refuse", BEYOND, *WHY),
    "finish-by": ("finish-by", BEYOND, "none", *WHY),
}


@pytest.mark.parametrize("arguments", VERBS.values(), ids=VERBS)
def test_a_number_that_none_can_have(site: Site, arguments: tuple[str, ...]) -> None:
    """It is usage, and no traceback."""
    assert site.relais("posting", *arguments).code == 2


async def test_show_of_what_is_paused(busy: Site) -> None:
    """What waits for somebody has no end in sight."""
    busy.relais("posting", "hold", "1", *WHY)

    providers = busy.relais("posting", "show", "1", "--json").answer["providers"]

    assert [p["finish_at"] for p in providers] == [None, None]
