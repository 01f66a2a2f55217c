"""``relais provider``, ``relais provider pause`` and ``relais provider resume``."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.moments import read_length, read_moment, to_come
from worker.cli.reading import reading, writing
from worker.cli.show import Rows, counted, print_json
from worker.cli.states import briefly, in_words, of_provider, state_answer, until_when
from worker.cli.verb import (
    USAGE,
    ConfigOption,
    JsonOption,
    Listing,
    ReasonOption,
    VerbError,
    find_config,
    no_such,
    operator,
    reason_given,
    showing,
    told,
)
from worker.config import Config
from worker.policy.provider_state import ProviderState, StateKind, paused_until, rate_factor
from worker.store import limits, overview, provider_states, providers
from worker.store.providers import Provider

if TYPE_CHECKING:
    from worker.store.database import Connection


@dataclass(frozen=True, slots=True)
class _Sight:
    """All providers, and what is in force for them."""

    providers: list[Provider]
    states: list[ProviderState]
    now: datetime


def _look(config: Config) -> Listing:
    sight = asyncio.run(_read(config))
    table = Rows(
        ("provider", "name", "domains", "state"),
        [
            (p.provider, p.display, p.domains, briefly(sight.states, p.provider, sight.now))
            for p in sight.providers
        ],
    )
    return Listing(
        {"providers": [_answer(provider, sight) for provider in sight.providers]},
        [
            table.without_empty({"state"}),
            *(
                f"{state.provider}: since {state.since.astimezone():%Y-%m-%d %H:%M}"
                f" {in_words(state, sight.now)}"
                for state in sight.states
            ),
        ],
    )


verbs = showing("Show the providers and what is in force for them; or pause and resume one.", _look)

ProviderArgument = Annotated[str, typer.Argument(metavar="PROVIDER", help="Its name, as orange.")]


@verbs.command("pause")
def pause_provider(
    provider: ProviderArgument,
    *,
    length: Annotated[str | None, typer.Option("--for", metavar="2h", help="How long.")] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help="Until when, as in 2026-11-25T08:00."),
    ] = None,
    reason: ReasonOption,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let nothing leave for PROVIDER for a while, or until it is resumed."""
    with told(as_json=as_json):
        if length is not None and until is not None:
            raise VerbError("write --for or --until, not both", code=USAGE)
        why = reason_given(reason)
        span = None if length is None else read_length(length)
        moment = None if until is None else read_moment(until)
        config = find_config(config_file)
        now, end = asyncio.run(_pause(config, provider, span or moment, reason=why))
        if as_json:
            print_json({"provider": provider, "paused_until": end})
            return
        print(f"{provider}: paused {until_when(end, now)}; what is in hand still leaves.")
        print(f"Resume: relais provider resume {provider} --reason ...")


@verbs.command("resume")
def resume_provider(
    provider: ProviderArgument,
    *,
    reason: ReasonOption,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """End all that is in force for PROVIDER: pauses, slow-downs, stops of single postings."""
    with told(as_json=as_json):
        why = reason_given(reason)
        ended = asyncio.run(_resume(find_config(config_file), provider, reason=why))
        counts = _counts(ended)
        if as_json:
            print_json({"provider": provider, **counts})
        else:
            lifted = ", ".join(
                counted(count, _NOUNS[name][0], _NOUNS[name][1])
                for name, count in counts.items()
                if count
            )
            print(f"{provider}: resumed at full speed; ended: {lifted}.")


_NOUNS = {
    "pauses": ("pause", "pauses"),
    "slow_downs": ("slow-down", "slow-downs"),
    "stops": ("stop of a single posting", "stops of single postings"),
}


def _counts(states: Sequence[ProviderState]) -> dict[str, int]:
    """Return how many of each kind *states* are."""
    slow = sum(state.kind is StateKind.SLOW for state in states)
    stops = sum(s.kind is StateKind.PAUSE and s.posting_id is not None for s in states)
    return {"pauses": len(states) - slow - stops, "slow_downs": slow, "stops": stops}


async def _read(config: Config) -> _Sight:
    async with reading(config.database) as db:
        return _Sight(
            await providers.described(db),
            await provider_states.live(db),
            await overview.moment(db),
        )


async def _pause(
    config: Config, provider: str, span: timedelta | datetime | None, *, reason: str
) -> tuple[datetime, datetime]:
    """Pause *provider*; return the moment, and when it ends: what is paused longer stays so."""
    async with writing(config.database) as db:
        await _lock(db, provider)
        now = await overview.moment(db)
        if isinstance(span, datetime):
            # Whole seconds, for the audit writes the length; not one before the time asked for.
            span = timedelta(seconds=ceil((to_come(span, now) - now).total_seconds()))
        await provider_states.pause(db, provider, length=span, who=operator(), reason=reason)
        end = paused_until(await provider_states.live(db), provider, None, now)
    return now, end or now


async def _resume(config: Config, provider: str, *, reason: str) -> list[ProviderState]:
    """Resume *provider*; return what was in force for it, or recovering."""
    async with writing(config.database) as db:
        await _lock(db, provider)
        ended = of_provider(await provider_states.live(db), provider)
        if not ended:
            raise VerbError(f"nothing is in force for {provider}")
        await provider_states.resume(db, provider, who=operator(), reason=reason)
    return ended


async def _lock(db: "Connection", provider: str) -> None:
    known = await limits.providers(db)
    if provider not in known:
        raise no_such("provider", provider, known)
    await provider_states.lock(db, provider)


def _answer(provider: Provider, sight: _Sight) -> dict[str, object]:
    name = provider.provider
    return {
        "provider": name,
        "name": provider.display,
        "domains": provider.domains,
        "paused_until": paused_until(sight.states, name, None, sight.now),
        "rate_factor": rate_factor(sight.states, name, sight.now),
        "states": [state_answer(s, sight.now) for s in of_provider(sight.states, name)],
    }
