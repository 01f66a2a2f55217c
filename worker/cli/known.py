"""How whatever is known of a person is shown, alike by ``relais who`` and ``relais person``."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from worker.cli.show import print_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from worker.store.people import Ban, Remembered, Suppressed

Table: TypeAlias = "tuple[Sequence[str], Sequence[Sequence[object]]]"


def names(address: str, keys: Sequence[str], other_addresses: Sequence[str]) -> dict[str, str]:
    """Return by what somebody is known, as facts."""
    facts = {"Address": address}
    if keys:
        facts["Person"] = ", ".join(keys)
    if other_addresses:
        facts["Also"] = ", ".join(other_addresses)
    return facts


def problems_listed(problems: Mapping[str, str]) -> list[dict[str, str]]:
    """Return which views gave no answer, for JSON."""
    return [{"definition": name, "error": error} for name, error in problems.items()]


def print_problems(problems: Mapping[str, str]) -> None:
    """Print which views gave no answer, and why, below what the others say."""
    if problems:
        print()
        print_table(("no answer of", "because"), list(problems.items()))


def on_none(problems: Mapping[str, str]) -> str:
    """Return what is said of an address that no list has, as far as they can tell."""
    if not problems:
        return "on none now"
    return f"on none that answered; no answer of {', '.join(problems)}"


def unasked(problems: Mapping[str, str]) -> str:
    """Return the sentence that says so, or nothing."""
    failed = ", ".join(f"{name} ({error})" for name, error in problems.items())
    return f". These could not be asked: {failed}" if failed else ""


def suppression_table(suppressions: Sequence[Suppressed]) -> Table:
    """Return what they left."""
    return (
        ("out of", "because", "by", "since"),
        [
            (s.scope or "all lists", because(s.reason, s.note), s.source, shown(s.since))
            for s in suppressions
        ],
    )


def because(reason: str, note: str | None) -> str:
    """Return why somebody is suppressed, with the words of the operator who did it."""
    return f"{reason}: {note}" if note else reason


def ban_table(bans: Sequence[Ban]) -> Table:
    """Return where they may not post."""
    return (
        ("banned", "from", "because", "since"),
        [(ban.author, ban.definition or "all lists", ban.reason, shown(ban.since)) for ban in bans],
    )


def authentication_table(authentications: Sequence[Remembered]) -> Table:
    """Return by what they are recognised as authors."""
    return (
        ("trusted if signed by", "return path", "network", "until"),
        [
            (one.signed_by, one.return_path_domain, one.network, shown(one.until))
            for one in authentications
        ],
    )


def shown(moment: datetime) -> str:
    """Return a moment in local time, and which that is."""
    return f"{moment.astimezone():%d %b %Y, %H:%M %Z}"
