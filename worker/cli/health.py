"""How an address fares, as it is shown alike by ``relais bounces`` and ``relais who``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from worker.cli.known import Table, shown
from worker.cli.show import counted
from worker.notices.failure import failure_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.config import Config
    from worker.policy.mending import Ailing
    from worker.store.ailing import Failure

_SAID = 80


def health_words(ailing: Ailing | None, failures: Sequence[Failure]) -> str:
    """Say how an address fares, and what happens next."""
    if ailing is None:
        counting = sum(failure.counts for failure in failures)
        return f"gets its copies; {counted(counting, 'failure')} on record"
    since = f"{ailing.state} since {shown(ailing.since)}"
    at = f" on {shown(ailing.due_at)}" if ailing.due_at is not None else ""
    match ailing.state:
        case "held":
            return f"{since}: gets nothing; tried again{at or ' when it is forgiven'}"
        case "suspect":
            return f"{since}: gets its copies; asked by a letter of its own{at}"
        case _:
            return f"{since}: gets its copies; one more that comes back, and it is held"


def wrong(ailing: Ailing) -> str:
    """Say what is wrong with an address."""
    return failure_words("en", ailing.reason)


def health_answer(ailing: Ailing | None) -> dict[str, object] | None:
    """Return the same for scripts."""
    if ailing is None:
        return None
    answer = asdict(ailing)
    del answer["address"]
    answer["retry_at"] = answer.pop("due_at")
    return {**answer, "words": wrong(ailing)}


def failure_answer(failure: Failure, config: Config) -> dict[str, object]:
    """Return a copy that came back, for scripts."""
    place = f"{failure.list}@{config.site.domain}" if failure.list is not None else None
    return {**asdict(failure), "list": place, "words": failure_words("en", failure.reason)}


def failure_table(failures: Sequence[Failure]) -> Table:
    """Return what came back, and whether it counts."""
    return (
        ("came back", "of", "list", "what is wrong", "counts", "said"),
        [
            (
                shown(failure.failed_at),
                f"#{failure.posting}" if failure.posting is not None else "a notice",
                failure.list,
                failure_words("en", failure.reason),
                _weight(failure),
                _short(failure.evidence),
            )
            for failure in failures
        ],
    )


def _weight(failure: Failure) -> str:
    if failure.is_excused:
        return "no: many came back alike"
    if failure.is_over:
        return "no: a later copy has arrived"
    return "permanent" if failure.is_permanent else "transient"


def _short(text: str) -> str:
    """Leave of what was said what tells why; JSON has all of it."""
    return text if len(text) <= _SAID else f"{text[: _SAID - 1]}…"
