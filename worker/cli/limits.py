"""``relais limits`` and ``relais limits set``."""

import asyncio
from difflib import get_close_matches
from typing import Annotated

import typer

from worker.cli.reading import reading, writing
from worker.cli.show import print_json, print_table
from worker.cli.verb import (
    USAGE,
    ConfigOption,
    JsonOption,
    VerbError,
    find_config,
    operator,
    refuse_options_before,
    told,
)
from worker.config import Config
from worker.policy.limit import Limit, allowance, read_limit
from worker.store import limits
from worker.store.limits import Usage

verbs = typer.Typer(help="Show or set the limits.", invoke_without_command=True)


@verbs.callback()
def show_limits(
    context: typer.Context, *, config_file: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show every limit, what is used of it, and who set it why."""
    refuse_options_before(context, config_file, as_json)
    if context.invoked_subcommand is not None:
        return
    with told(as_json=as_json):
        uses = asyncio.run(_read(find_config(config_file)))
        if as_json:
            print_json({"limits": [_answer(use) for use in uses]})
        elif uses:
            print_table(
                ("scope", "limit", "used", "left", "set", "by", "reason"),
                [
                    (
                        _scope(use),
                        use.limit,
                        use.spent + use.claimed,
                        _left(use),
                        f"{use.set_at.astimezone():%Y-%m-%d %H:%M}",
                        use.set_by,
                        use.reason,
                    )
                    for use in uses
                ],
            )
        else:
            print("There is no limit.")


@verbs.command("set")
def set_limit(
    scope: Annotated[
        str, typer.Argument(metavar="SCOPE", help="A provider's or an account's name.")
    ],
    limit: Annotated[str, typer.Argument(metavar="LIMIT", help="As in 200/hour or 100/day.")],
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="R", help="Why; it is kept.")],
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set one limit of SCOPE; a limit for another period stays beside it."""
    with told(as_json=as_json):
        wanted = _read_limit(limit)
        if not reason.strip():
            raise VerbError("--reason must say why", code=USAGE)
        before = asyncio.run(_set(find_config(config_file), scope, wanted, reason=reason.strip()))
        if as_json:
            print_json({"scope": scope, "limit": str(wanted), "before": before and str(before)})
            return
        print(f"{scope}: {wanted}  (before: {before or 'none for this period'})")
        if before:
            print(f"Undo: relais limits set {scope} {before} --reason ...")


def _read_limit(text: str) -> Limit:
    try:
        return read_limit(text)
    except ValueError as error:
        raise VerbError(str(error), code=USAGE) from error


async def _read(config: Config) -> list[Usage]:
    async with reading(config.database) as db:
        return await limits.usage(db)


async def _set(config: Config, scope: str, limit: Limit, *, reason: str) -> Limit | None:
    """Set the limit; return the one for the same period that it replaces."""
    accounts = [account.name for account in config.accounts]
    async with writing(config.database) as db:
        providers = await limits.providers(db)
        account, provider = _scope_named(scope, accounts, providers)
        before = [
            use.limit
            for use in await limits.usage(db)
            if (use.account, use.provider) == (account, provider)
            and use.limit.period == limit.period
        ]
        await limits.set_limit(
            db, limit, account=account, provider=provider, who=operator(), reason=reason
        )
    return before[0] if before else None


def _scope_named(
    name: str, accounts: list[str], providers: list[str]
) -> tuple[str | None, str | None]:
    """Return the account or the provider of that name."""
    if name in accounts and name in providers:
        raise VerbError(f"{name} is an account and a provider: rename the account", code=USAGE)
    if name in accounts:
        return name, None
    if name in providers:
        return None, name
    known = [*accounts, *providers]
    raise VerbError(
        f"no provider and no account is called {name}; there are {', '.join(known)}",
        did_you_mean=get_close_matches(name, known, n=3),
    )


def _scope(use: Usage) -> str:
    return "/".join(name for name in (use.account, use.provider) if name)


def _left(use: Usage) -> int:
    return allowance(use.limit, spent=use.spent, claimed=use.claimed)


def _answer(use: Usage) -> dict[str, object]:
    return {
        "account": use.account,
        "provider": use.provider,
        "limit": str(use.limit),
        "used": use.spent + use.claimed,
        "left": _left(use),
        "set_at": use.set_at,
        "set_by": use.set_by,
        "reason": use.reason,
    }
