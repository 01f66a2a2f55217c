"""Every metric of a process, declared here and nowhere else.

Flow counters live in the process. What must survive a restart (the backlog,
what was spent of a limit) is read from the database before each scrape. Labels
are of closed sets, and each counter is there from the start: increase() would
miss the first event of a series that is born with it.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from worker import __version__
from worker.errors import KillReason
from worker.mail.reason import Reason
from worker.policy.answering import Withheld
from worker.policy.feedback import ACTIONS, Action
from worker.policy.health import HealthState
from worker.policy.outcome import (
    ArrivalKind,
    ArrivalOutcome,
    BounceClass,
    DeliveryOutcome,
    DeliveryResult,
    Foreign,
    NoticeKind,
    OptOutMethod,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from worker.policy.limit import Use

Actor = Literal[
    "fetcher",
    "mediator",
    "holds",
    "dispatcher",
    "submitter",
    "return_handler",
    "checkup",
    "janitor",
    "surveyor",
    "secretary",
    "reporter",
    "heartbeat",
    "web",
]
ImapError = Literal["login", "lost", "move"]

PENDING_STATES = ("queued", "claimed", "dotting", "in_doubt", "deferred")

_CLASSES = {Action.HARD: BounceClass.HARD, Action.SOFT: BounceClass.SOFT}
# What names no address has no reason of the address's: that is in relais_feedback.
_BOUNCES = frozenset(
    {
        *((_CLASSES[action], reason) for reason, action in ACTIONS.items() if action in _CLASSES),
        *((kind, Reason.UNKNOWN) for kind in BounceClass),
    }
)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be expected of a provider."""

    waits: bool
    finish_at: datetime | None  # None: nothing waits, or its end is not in sight.
    oldest_at: datetime | None
    rate_factor: float
    is_paused: bool

    @property
    def drained(self) -> float:
        """When all that waits is gone, as a metric has it."""
        if not self.waits:
            return 0.0
        return math.inf if self.finish_at is None else self.finish_at.timestamp()


class Metrics:
    """The metrics of one process, on a registry of its own."""

    def __init__(self) -> None:
        # Each counter would be there twice.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._flows()
        self._connections()
        self._facts()

    def _flows(self) -> None:
        self._received = self._counter(
            "messages_received", "Messages taken from the mailbox.", "kind", ArrivalKind
        )
        self._postings = self._counter(
            "postings", "Messages to a list, by what became of them.", "outcome", ArrivalOutcome
        )
        self._attempts = self._counter(
            "delivery_attempts", "Attempts to submit a copy.", "outcome", DeliveryOutcome
        )
        self._finished = self._counter(
            "deliveries_finished", "Deliveries that became final.", "result", DeliveryResult
        )
        self._bounces = Counter(
            "relais_bounces",
            "Copies that came back or were refused for good, by what that says of their address.",
            ["provider", "class", "reason"],
            registry=self.registry,
        )
        self._doubts = self._counter(
            "foreign_reports", "Reports that score nothing, by why.", "why", Foreign
        )
        self._complaints = Counter(
            "relais_complaints",
            "People who called a copy spam.",
            ["provider"],
            registry=self.registry,
        )
        self._complaints_about = Counter(
            "relais_list_complaints",
            "People who called a copy spam, by the definition of its list.",
            ["definition"],
            registry=self.registry,
        )
        self._unsubscribes = self._counter(
            "unsubscribes", "People who left a list or all.", "method", OptOutMethod
        )
        self._notices = self._counter(
            "notices", "Letters of our own to one person, queued.", "kind", NoticeKind
        )
        self._withheld = self._counter(
            "answers_withheld", "Messages whose author is not answered, by why.", "why", Withheld
        )
        self._kills = self._counter(
            "reader_kills",
            "Messages whose reading was ended, by what it took too much of.",
            "why",
            get_args(KillReason),
        )
        self._feedback = Counter(
            "relais_feedback",
            "Replies and reports, by what they mean for a provider.",
            ["provider", "action"],
            registry=self.registry,
        )

    def _connections(self) -> None:
        self._imap_connected = self._gauge(
            "imap_connected", "1 while this process reads the mailbox."
        )
        self._imap_success = self._gauge(
            "imap_last_success_timestamp_seconds", "When the whole mailbox was last looked at."
        )
        self._imap_errors = self._counter(
            "imap_errors", "Failures of the mailbox.", "kind", get_args(ImapError)
        )
        self._sessions = self._gauge("smtp_connections", "Connections that are submitting a copy.")
        self._actors = self._gauge(
            "actor_last_success_timestamp_seconds", "When each actor last got round.", "actor"
        )
        for actor in get_args(Actor):
            self._actors.labels(actor)
        self._gauge("build_info", "1; the label has the version.", "version").labels(
            __version__
        ).set(1)

    def _facts(self) -> None:
        self._pending = self._gauge(
            "deliveries_pending", "Deliveries that are not final.", "provider", "state"
        )
        self._limit = self._gauge(
            "provider_limit_messages", "The limit of the longest period; +Inf if none.", "provider"
        )
        self._used = self._gauge(
            "provider_used_messages", "Marks and claims that count against it.", "provider"
        )
        self._drained = self._gauge(
            "provider_drain_timestamp_seconds",
            "When all that waits now has left, by the plan; 0 if nothing does, +Inf if never.",
            "provider",
        )
        self._oldest = self._gauge(
            "deliveries_oldest_timestamp_seconds",
            "When the oldest posting that waits was accepted; 0 if none does.",
            "provider",
        )
        self._factor = self._gauge(
            "provider_rate_factor", "What part of its limits it gets now.", "provider"
        )
        self._addresses = self._gauge(
            "addresses", "Addresses that mail came back from, by their state.", "state"
        )
        self._suspended = self._gauge(
            "provider_suspended", "1 while nothing leaves for the provider.", "provider"
        )

    def _counter(self, name: str, text: str, label: str, values: Iterable[str]) -> Counter:
        counter = Counter(f"relais_{name}", text, [label], registry=self.registry)
        for value in values:
            counter.labels(str(value))
        return counter

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"relais_{name}", text, labels, registry=self.registry)

    def received(self, kind: ArrivalKind) -> None:
        """Count a message that was taken from the mailbox and settled."""
        self._received.labels(kind.value).inc()

    def mediated(self, outcome: ArrivalOutcome) -> None:
        """Count a message to a list."""
        self._postings.labels(outcome.value).inc()

    def attempted(self, outcome: DeliveryOutcome) -> None:
        """Count an attempt to submit a copy."""
        self._attempts.labels(outcome.value).inc()

    def finished(self, result: DeliveryResult, count: int = 1) -> None:
        """Count deliveries that became final."""
        self._finished.labels(result.value).inc(count)

    def bounced(self, provider: str, action: Action, reason: Reason) -> None:
        """Count a copy that came back, or was refused for good."""
        kind = _CLASSES.get(action, BounceClass.OTHER)
        known = reason if (kind, reason) in _BOUNCES else Reason.UNKNOWN
        self._bounces.labels(provider, kind.value, known.value).inc()

    def doubted(self, why: Foreign) -> None:
        """Count a report that anybody could have written."""
        self._doubts.labels(why.value).inc()

    def complained(self, definition: str, provider: str) -> None:
        """Count a person who called a copy spam."""
        self._complaints.labels(provider).inc()
        self._complaints_about.labels(definition).inc()

    def know_providers(self, providers: Iterable[str]) -> None:
        """Have the counters of all providers from the start."""
        for provider in providers:
            self._complaints.labels(provider)
            for action in Action:
                self._feedback.labels(provider, action.value)
            for kind, reason in _BOUNCES:
                self._bounces.labels(provider, kind.value, reason.value)

    def know_definitions(self, definitions: Iterable[str]) -> None:
        """Have the counters of all definitions before the first complaint about one."""
        for definition in definitions:
            self._complaints_about.labels(definition)

    def fed_back(self, provider: str, action: Action) -> None:
        """Count what a reply or a report meant."""
        self._feedback.labels(provider, action.value).inc()

    def noticed(self, kind: NoticeKind) -> None:
        """Count a letter of ours that was queued."""
        self._notices.labels(kind.value).inc()

    def answer_withheld(self, why: Withheld) -> None:
        """Count an answer that an author does not get."""
        self._withheld.labels(why.value).inc()

    def reader_killed(self, why: KillReason) -> None:
        """Count a message that was not read to its end."""
        self._kills.labels(why).inc()

    def unsubscribed(self, method: OptOutMethod) -> None:
        """Count a person who left."""
        self._unsubscribes.labels(method.value).inc()

    def imap_succeeded(self) -> None:
        """Note that the mailbox was looked at, and all in it taken."""
        self._imap_connected.set(1)
        self._imap_success.set(time.time())

    def imap_ended(self) -> None:
        """Note that the connection to the mailbox is gone."""
        self._imap_connected.set(0)

    def imap_failed(self, kind: ImapError) -> None:
        """Count a failure of the mailbox."""
        self._imap_errors.labels(kind).inc()

    def session_in_use(self) -> AbstractContextManager[object]:
        """Count one connection for as long as the context lasts."""
        return self._sessions.track_inprogress()

    def actor_succeeded(self, actor: Actor) -> None:
        """Note that an actor got round its loop."""
        self._actors.labels(actor).set(time.time())

    def set_backlog(
        self, counts: Mapping[tuple[str, str], int], *, providers: Iterable[str]
    ) -> None:
        """Show how many deliveries wait, by provider and state."""
        self._pending.clear()
        for provider in providers:
            for state in PENDING_STATES:
                self._pending.labels(provider, state).set(counts.get((provider, state), 0))

    def set_limits(self, uses: Iterable[Use], *, providers: Iterable[str]) -> None:
        """Show what of each provider's own limit is used; accounts' limits are not here."""
        longest: dict[str, Use] = {}
        for use in sorted(uses, key=lambda use: use.limit.period):
            if use.provider is not None and use.account is None:
                longest[use.provider] = use
        self._limit.clear()
        self._used.clear()
        for provider in providers:
            found = longest.get(provider)
            self._limit.labels(provider).set(found.limit.amount if found else math.inf)
            self._used.labels(provider).set(found.spent + found.claimed if found else 0)

    def set_outlook(self, outlooks: Mapping[str, Outlook]) -> None:
        """Show when each provider's queue will be gone, and what holds it up."""
        for gauge in (self._drained, self._oldest, self._factor, self._suspended):
            gauge.clear()
        for provider, outlook in outlooks.items():
            oldest = outlook.oldest_at.timestamp() if outlook.oldest_at else 0
            self._drained.labels(provider).set(outlook.drained)
            self._oldest.labels(provider).set(oldest)
            self._factor.labels(provider).set(outlook.rate_factor)
            self._suspended.labels(provider).set(outlook.is_paused)

    def set_addresses(self, counts: Mapping[str, int]) -> None:
        """Show how many addresses are not simply alive."""
        for state in HealthState:
            self._addresses.labels(state.value).set(counts.get(state.value, 0))

    def forget_facts(self) -> None:
        """Show nothing of the database: what was read before may be wrong by now."""
        self._addresses.clear()
        self._pending.clear()
        self._limit.clear()
        self._used.clear()
        self.set_outlook({})

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
