"""``relais limits``, ``relais limits set`` and ``relais limits remove``."""

import asyncio
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import typer

from worker.cli.reading import reading, writing
from worker.cli.show import Rows, age, print_json
from worker.cli.states import percent
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
from worker.policy.limit import Limit, Use, read_limit
from worker.policy.meter import Meter
from worker.policy.provider_state import ProviderState, rate_factor
from worker.store import limits, overview, provider_states
from worker.store.limits import Usage

_UNITS = (
    (timedelta(hours=2), timedelta(hours=1), "h"),
    (timedelta(minutes=2), timedelta(minutes=1), "min"),
    (timedelta(0), timedelta(seconds=1), "s"),
)

_Scope = tuple[str | None, str | None]  # account, provider


def _look(config: Config) -> Listing:
    rules, now = asyncio.run(_read(config))
    table = Rows(
        _COLUMNS,
        [
            (
                _scope(rule.use),
                rule.use.limit,
                rule.meter.spent + rule.meter.claimed,
                max(0, rule.meter.left_by_law),
                rule.meter.stretch if rule.meter.interval else None,
                _interval(rule.meter.interval),
                percent(rule.meter.factor) if rule.meter.factor < 1 else "",
                f"{age(rule.use.set_at, now)} ago",
                rule.use.set_by,
                rule.use.reason,
            )
            for rule in rules
        ],
    )
    return Listing(
        {"limits": [_answer(rule) for rule in rules]},
        [table.without_empty(_PACING) if rules else _NO_LIMIT],
    )


_NO_LIMIT = "There is no limit."
_PACING = ("at once", "then every", "slowed to")
_COLUMNS = ("scope", "limit", "used", "left", *_PACING, "set", "by", "reason")

verbs = showing("Show every limit, what is used of it, and who set it why; or change one.", _look)

ScopeArgument = Annotated[
    str, typer.Argument(metavar="SCOPE", help="A provider, an account, or account/provider.")
]


@verbs.command("set")
def set_limit(
    scope: ScopeArgument,
    limit: Annotated[
        str, typer.Argument(metavar="LIMIT", help="As in 200/hour or '100/day, burst=10'.")
    ],
    *,
    reason: ReasonOption,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set one limit of SCOPE; a limit for another period stays beside it."""
    with told(as_json=as_json):
        wanted, why = _read_limit(limit), reason_given(reason)
        before = asyncio.run(_set(find_config(config_file), scope, wanted, reason=why))
        if as_json:
            replaced = None if before is None else str(before.limit)
            print_json({"scope": scope, "limit": str(wanted), "before": replaced})
        else:
            _print_set(scope, wanted, before)


def _print_set(scope: str, wanted: Limit, before: Usage | None) -> None:
    print(f"{scope}: {wanted}  (before: {before.limit if before else 'none for this period'})")
    print("It counts from the next claim on, in every process.")
    if before is None:
        period = str(wanted).partition("/")[2].partition(",")[0]
        print(f"Undo: relais limits remove {scope} {period} --reason ...")
        return
    if before.set_by == "shipped" and wanted.amount > before.limit.amount:
        print(f"This is looser than what Relais ships with for {scope}: watch relais queue.")
    print(f"Undo: {_set_again(scope, before.limit)}")


def _set_again(scope: str, limit: Limit) -> str:
    return f"relais limits set {scope} {shlex.quote(str(limit))} --reason ..."


@verbs.command("remove")
def remove_limit(
    scope: ScopeArgument,
    limit: Annotated[
        str, typer.Argument(metavar="PERIOD|LIMIT", help="Which one, as in day or 100/day.")
    ],
    *,
    reason: ReasonOption,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove one limit of SCOPE."""
    with told(as_json=as_json):
        period, amount = _read_period(limit)
        why, config = reason_given(reason), find_config(config_file)
        removed, is_last = asyncio.run(_remove(config, scope, period, amount, reason=why))
        if as_json:
            print_json({"scope": scope, "removed": str(removed.limit)})
            return
        print(f"{scope}: {removed.limit} is removed.")
        if is_last:
            _print_unlimited(scope, _starting_values(removed, config))
        print(f"Undo: {_set_again(scope, removed.limit)}")


def _print_unlimited(scope: str, starting: Sequence[Limit]) -> None:
    print(f"{scope} has no limit of its own now.")
    if starting:
        values = ", ".join(str(limit) for limit in starting)
        print(f"relais.toml has {values} for it, which the next migrate or run sets again.")


def _starting_values(removed: Usage, config: Config) -> Sequence[Limit]:
    """Return what the configuration has for the scope of what was *removed*."""
    if removed.account is None:
        return config.limits.get(removed.provider or "", ())
    accounts = {account.name: account.limits for account in config.accounts}
    return () if removed.provider else accounts.get(removed.account, ())


def _read_limit(text: str) -> Limit:
    try:
        return read_limit(text)
    except ValueError as error:
        raise VerbError(str(error), code=USAGE) from error


def _read_period(text: str) -> tuple[timedelta, int | None]:
    """Read ``day``, or ``100/day``, which names the amount as well."""
    if "/" in text:
        limit = _read_limit(text)
        return limit.period, limit.amount
    return _read_limit(f"1/{text}").period, None


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule as it is in force now."""

    use: Usage
    meter: Meter


async def _read(config: Config) -> tuple[list[_Rule], datetime]:
    async with reading(config.database) as db:
        states, now = await provider_states.live(db), await overview.moment(db)
        rules = [_Rule(use, _meter(use, states, now)) for use in await limits.usage(db)]
    return rules, now


def left_of(use: Use, states: Iterable[ProviderState], now: datetime) -> int:
    """Return how many more may be claimed now."""
    return max(0, _meter(use, states, now).left_by_law)


def _meter(use: Use, states: Iterable[ProviderState], now: datetime) -> Meter:
    return Meter(
        use.account,
        use.provider,
        use.limit,
        spent=use.spent,
        claimed=use.claimed,
        factor=1.0 if use.provider is None else rate_factor(states, use.provider, now),
    )


async def _set(config: Config, scope: str, limit: Limit, *, reason: str) -> Usage | None:
    """Set the limit; return the one for the same period that it replaces."""
    accounts = [account.name for account in config.accounts]
    async with writing(config.database) as db:
        providers = await limits.providers(db)
        account, provider = _scope_named(scope, accounts, providers)
        before = [
            use
            for use in await limits.usage(db)
            if (use.account, use.provider) == (account, provider)
            and use.limit.period == limit.period
        ]
        await limits.set_limit(
            db, limit, account=account, provider=provider, who=operator(), reason=reason
        )
    return before[0] if before else None


async def _remove(
    config: Config, scope: str, period: timedelta, amount: int | None, *, reason: str
) -> tuple[Usage, bool]:
    """Remove the rule; return it, and whether it was the last one of its scope.

    A scope is what rules have: an account may be gone.
    """
    async with writing(config.database) as db:
        uses = await limits.usage(db)
        mine = [use for use in uses if _scope(use) == scope]
        meant = [
            use for use in mine if use.limit.period == period and amount in (None, use.limit.amount)
        ]
        if not mine:
            raise no_such("scope that has a limit", scope, sorted({_scope(use) for use in uses}))
        if not meant:
            there = ", ".join(f"'{use.limit}'" for use in mine)
            raise VerbError(f"{scope} has no such limit; it has {there}")
        await limits.remove_limit(
            db,
            meant[0].limit,
            account=meant[0].account,
            provider=meant[0].provider,
            who=operator(),
            reason=reason,
        )
    return meant[0], len(mine) == 1


def _scope_named(name: str, accounts: list[str], providers: list[str]) -> _Scope:
    """Return the account, the provider, or both, of that name."""
    if name in accounts and name in providers:
        raise VerbError(f"{name} is an account and a provider: rename the account", code=USAGE)
    if name in accounts:
        return name, None
    if name in providers:
        return None, name
    account, slash, provider = name.partition("/")
    if slash and account in accounts and provider in providers:
        return account, provider
    both = [f"{account}/{provider}" for account in accounts for provider in providers]
    raise no_such(
        "provider and no account", name, [*accounts, *providers, *(both if slash else [])]
    )


def _scope(use: Usage) -> str:
    return "/".join(name for name in (use.account, use.provider) if name)


def _interval(length: timedelta | None) -> str:
    if length is None:
        return ""
    unit, name = next((unit, name) for least, unit, name in _UNITS if length >= least)
    return f"{round(length / unit, 1):g} {name}"


def _answer(rule: _Rule) -> dict[str, object]:
    use, meter = rule.use, rule.meter
    return {
        "account": use.account,
        "provider": use.provider,
        "limit": str(use.limit),
        "used": use.spent + use.claimed,
        "left": max(0, meter.left_by_law),
        "burst": meter.stretch if meter.interval else None,
        "spacing_seconds": meter.interval.total_seconds() if meter.interval else None,
        "rate_factor": meter.factor,
        "set_at": use.set_at,
        "set_by": use.set_by,
        "reason": use.reason,
    }
