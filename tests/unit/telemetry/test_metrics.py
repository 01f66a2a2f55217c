"""The metrics: all there from the start, few, and named by closed sets."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, get_args

import pytest

from worker.mail.reason import Reason
from worker.policy.answering import Withheld
from worker.policy.feedback import Action
from worker.policy.limit import Limit
from worker.policy.outcome import (
    ArrivalKind,
    ArrivalOutcome,
    DeliveryOutcome,
    DeliveryResult,
    Foreign,
    NoticeKind,
    OptOutMethod,
)
from worker.telemetry.metrics import Actor, ImapError, Metrics, Outlook

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Use:
    """A limit, and what counts against it."""

    account: str | None
    provider: str | None
    limit: Limit
    spent: int
    claimed: int


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Return one value."""
    return metrics.registry.get_sample_value(f"relais_{name}", labels)


def test_feedback_of_all_providers_from_the_start() -> None:
    """As soon as their names are known."""
    metrics = Metrics()
    metrics.know_providers(["orange", "other"])
    metrics.fed_back("orange", Action.SLOW)

    for action in Action:
        assert value(metrics, "feedback_total", provider="other", action=action) == 0
    assert value(metrics, "feedback_total", provider="orange", action="slow") == 1


def test_all_series_from_the_start() -> None:
    """A counter that is born at one loses its first increase."""
    metrics = Metrics()

    for kind in ArrivalKind:
        assert value(metrics, "messages_received_total", kind=kind) == 0
    for outcome in ArrivalOutcome:
        assert value(metrics, "postings_total", outcome=outcome) == 0
    for ended in DeliveryOutcome:
        assert value(metrics, "delivery_attempts_total", outcome=ended) == 0
    for result in DeliveryResult:
        assert value(metrics, "deliveries_finished_total", result=result) == 0
    for actor in get_args(Actor):
        assert value(metrics, "actor_last_success_timestamp_seconds", actor=actor) == 0
    for why in Foreign:
        assert value(metrics, "foreign_reports_total", why=why) == 0
    for notice in NoticeKind:
        assert value(metrics, "notices_total", kind=notice) == 0
    for withheld in Withheld:
        assert value(metrics, "answers_withheld_total", why=withheld) == 0
    assert value(metrics, "imap_connected") == 0
    assert value(metrics, "imap_last_success_timestamp_seconds") == 0
    assert value(metrics, "smtp_connections") == 0
    assert value(metrics, "build_info", version="0.1.0") == 1


def test_everything_at_once() -> None:
    """With every label and fifteen providers it stays small, and no counter is doubled."""
    metrics = Metrics()
    providers = [f"provider{number}" for number in range(15)]
    metrics.set_backlog({}, providers=providers)
    metrics.set_limits([], providers=providers)
    metrics.set_outlook(dict.fromkeys(providers, OUTLOOKS["busy"].outlook))
    metrics.know_providers(providers)
    metrics.set_addresses({})

    samples = [line for line in metrics.exposition().decode().splitlines() if line[0] != "#"]

    assert len(samples) < 750
    assert not [line for line in samples if "_created" in line]
    assert all(re.match(r"(relais|process)_", line) for line in samples)


def test_two_processes_in_one() -> None:
    """Each has a registry of its own."""
    one, other = Metrics(), Metrics()

    one.received(ArrivalKind.POSTING)

    assert value(one, "messages_received_total", kind="posting") == 1
    assert value(other, "messages_received_total", kind="posting") == 0


def test_flows() -> None:
    """Each event counts in its own series."""
    metrics = Metrics()

    metrics.mediated(ArrivalOutcome.HELD)
    metrics.attempted(DeliveryOutcome.IN_DOUBT)
    metrics.noticed(NoticeKind.RECEIPT)
    metrics.finished(DeliveryResult.EXPIRED, 3)
    metrics.unsubscribed(OptOutMethod.ONE_CLICK)
    metrics.imap_failed("login")
    metrics.actor_succeeded("janitor")
    with metrics.session_in_use(), metrics.session_in_use():
        assert value(metrics, "smtp_connections") == 2

    assert value(metrics, "postings_total", outcome="held") == 1
    assert value(metrics, "delivery_attempts_total", outcome="in_doubt") == 1
    assert value(metrics, "notices_total", kind="receipt") == 1
    assert value(metrics, "deliveries_finished_total", result="expired") == 3
    assert value(metrics, "unsubscribes_total", method="one-click") == 1
    assert value(metrics, "imap_errors_total", kind="login") == 1
    assert value(metrics, "smtp_connections") == 0
    assert (value(metrics, "actor_last_success_timestamp_seconds", actor="janitor") or 0) > 1e9


def test_closed_sets() -> None:
    """The names that callers write are those that are there from the start."""
    assert set(get_args(ImapError)) == {"login", "lost", "move"}
    assert set(OptOutMethod) == {
        "page",
        "one-click",
        "mail",
        "complaint",
        "operator",
    }


def test_mailbox() -> None:
    """Connected is what a look at the mailbox proves, until the connection ends."""
    metrics = Metrics()

    metrics.imap_succeeded()
    assert value(metrics, "imap_connected") == 1
    assert (value(metrics, "imap_last_success_timestamp_seconds") or 0) > 1e9

    metrics.imap_ended()
    assert value(metrics, "imap_connected") == 0


class Bounce(NamedTuple):
    """What was read of a copy that came back, and where it is counted."""

    action: Action
    reason: Reason
    kind: str
    counted: str


BOUNCES = {
    "no such user": Bounce(Action.HARD, Reason.UNKNOWN_USER, "hard", "unknown_user"),
    "full": Bounce(Action.SOFT, Reason.FULL, "soft", "full"),
    "a rule knows better": Bounce(Action.SOFT, Reason.UNKNOWN_USER, "soft", "unknown"),
    "nobody says why": Bounce(Action.HARD, Reason.UNKNOWN, "hard", "unknown"),
    "not the address's": Bounce(Action.CONTENT, Reason.CONTENT, "other", "unknown"),
}


@pytest.mark.parametrize("case", BOUNCES.values(), ids=BOUNCES)
def test_bounce(case: Bounce) -> None:
    """A class and a reason choose a series that was there from the start."""
    metrics = Metrics()
    metrics.know_providers(["orange"])
    labels = {"provider": "orange", "class": case.kind, "reason": case.counted}
    assert value(metrics, "bounces_total", **labels) == 0

    metrics.bounced("orange", case.action, case.reason)

    assert value(metrics, "bounces_total", **labels) == 1


def test_complaints() -> None:
    """By provider, and by the definition of the list; both are there from the start."""
    metrics = Metrics()
    metrics.know_providers(["orange"])
    metrics.know_definitions(["everybody"])
    assert value(metrics, "list_complaints_total", definition="everybody") == 0

    metrics.complained("everybody", "orange")

    assert value(metrics, "complaints_total", provider="orange") == 1
    assert value(metrics, "list_complaints_total", definition="everybody") == 1


def test_addresses() -> None:
    """Each state is shown, also that of nobody."""
    metrics = Metrics()

    metrics.set_addresses({"held": 3})

    assert value(metrics, "addresses", state="held") == 3
    assert value(metrics, "addresses", state="trial") == 0
    metrics.forget_facts()
    assert value(metrics, "addresses", state="held") is None


def test_facts() -> None:
    """The longest period of a provider's own limits is shown; no limit is infinite."""
    metrics = Metrics()
    uses = [
        Use(None, "orange", Limit(100, DAY), spent=60, claimed=3),
        Use(None, "orange", Limit(5, timedelta(minutes=1)), spent=1, claimed=0),
        Use("main", "orange", Limit(7, DAY * 2), spent=2, claimed=0),
        Use("main", None, Limit(200, DAY), spent=9, claimed=0),
    ]

    metrics.set_backlog({("orange", "deferred"): 4}, providers=["orange", "other"])
    metrics.set_limits(uses, providers=["orange", "other"])

    assert value(metrics, "deliveries_pending", provider="orange", state="deferred") == 4
    assert value(metrics, "deliveries_pending", provider="other", state="in_doubt") == 0
    assert value(metrics, "provider_limit_messages", provider="orange") == 100
    assert value(metrics, "provider_used_messages", provider="orange") == 63
    assert value(metrics, "provider_limit_messages", provider="other") == math.inf
    assert value(metrics, "provider_used_messages", provider="other") == 0

    metrics.set_backlog({}, providers=["other"])
    metrics.set_limits([], providers=["other"])
    assert value(metrics, "deliveries_pending", provider="orange", state="deferred") is None
    assert value(metrics, "provider_limit_messages", provider="orange") is None

    metrics.forget_facts()
    assert value(metrics, "provider_limit_messages", provider="other") is None


NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Shown(NamedTuple):
    """What a provider's gauges say: drain, oldest, factor, suspended."""

    outlook: Outlook
    values: tuple[float, float, float, float]


OUTLOOKS = {
    "idle": Shown(
        Outlook(waits=False, finish_at=None, oldest_at=None, rate_factor=1.0, is_paused=False),
        (0, 0, 1, 0),
    ),
    "busy": Shown(
        Outlook(waits=True, finish_at=NOON, oldest_at=NOON, rate_factor=0.5, is_paused=False),
        (NOON.timestamp(), NOON.timestamp(), 0.5, 0),
    ),
    "not in sight": Shown(
        Outlook(waits=True, finish_at=None, oldest_at=NOON, rate_factor=1.0, is_paused=True),
        (math.inf, NOON.timestamp(), 1, 1),
    ),
}
GAUGES = (
    "provider_drain_timestamp_seconds",
    "deliveries_oldest_timestamp_seconds",
    "provider_rate_factor",
    "provider_suspended",
)


@pytest.mark.parametrize("shown", OUTLOOKS.values(), ids=OUTLOOKS)
def test_outlook(shown: Shown) -> None:
    """Nothing that waits is 0, what is not in sight infinitely far; old values go."""
    metrics = Metrics()

    metrics.set_outlook({"orange": shown.outlook})
    assert tuple(value(metrics, name, provider="orange") for name in GAUGES) == shown.values

    metrics.forget_facts()
    assert [value(metrics, name, provider="orange") for name in GAUGES] == [None] * 4
