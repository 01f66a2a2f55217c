"""``relais queue``: what waits, what limits it, and when it will be gone."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Annotated

import typer

from worker.cli.reading import reading
from worker.cli.show import age, print_json, print_table, when
from worker.cli.traffic import Traffic, read_traffic
from worker.cli.verb import ConfigOption, JsonOption, find_config, told
from worker.config import Config
from worker.policy.limit import allowance
from worker.policy.plan import Plan, Window
from worker.store import limits
from worker.store.overview import QueuePart


class Grouping(Enum):
    """What a line of the table stands for."""

    PROVIDER = "provider"
    LIST = "list"
    POSTING = "posting"


@dataclass(frozen=True, slots=True)
class _Line:
    """Some part of the queue, added up."""

    waiting: int
    in_doubt: int
    oldest_at: datetime | None
    finish_at: datetime | None

    def answer(self) -> dict[str, object]:
        return {
            "waiting": self.waiting,
            "in_doubt": self.in_doubt,
            "oldest_at": self.oldest_at,
            "finish_at": self.finish_at,
        }


def show_queue(
    *,
    by: Annotated[
        Grouping, typer.Option("--by", help="What each line stands for.")
    ] = Grouping.PROVIDER,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what waits, what limits it, and when it will be gone."""
    with told(as_json=as_json):
        config = find_config(config_file)
        traffic, providers = asyncio.run(_read(config))
        match by:
            case Grouping.PROVIDER:
                _by_provider(traffic, providers, as_json=as_json)
            case Grouping.LIST:
                _by_list(traffic, config, as_json=as_json)
            case Grouping.POSTING:
                _by_posting(traffic, config, as_json=as_json)


async def _read(config: Config) -> tuple[Traffic, list[str]]:
    async with reading(config.database) as db:
        return await read_traffic(db, config), await limits.providers(db)


def _by_provider(traffic: Traffic, providers: list[str], *, as_json: bool) -> None:
    plan = traffic.plan()
    lines = {
        provider: _line(traffic, plan, (p for p in traffic.parts if p.provider == provider))
        for provider in providers
    }
    if as_json:
        _print_answer(
            traffic,
            providers=[
                {
                    "provider": provider,
                    "limits": [_use(w) for w in _limits_of(traffic, provider=provider)],
                    "paused_until": traffic.all_paused_until,
                    **line.answer(),
                }
                for provider, line in lines.items()
            ],
            accounts=[
                {
                    "account": account,
                    "limits": [_use(w) for w in _limits_of(traffic, account=account)],
                    "paused_until": traffic.paused_until(account),
                }
                for account in traffic.accounts
            ],
        )
        return
    shown = {
        provider: line
        for provider, line in lines.items()
        if line.waiting or line.in_doubt or _limits_of(traffic, provider=provider)
    }
    print_table(
        ("provider", "used", "waiting", "in doubt", "oldest", "finished"),
        [
            (provider, _used(_limits_of(traffic, provider=provider)), *_cells(line, traffic))
            for provider, line in shown.items()
        ],
    )
    for account in traffic.accounts:
        used = _used(_limits_of(traffic, account=account)) or "no limit"
        until = traffic.paused_until(account)
        paused = f", paused until {when(until, traffic.now)}" if until else ""
        print(f"account {account}: {used}{paused}")
    _print_sum(traffic)


def _by_list(traffic: Traffic, config: Config, *, as_json: bool) -> None:
    plan = traffic.plan()
    lines = {
        _list_name(address, config): _line(
            traffic, plan, (p for p in traffic.parts if p.address == address)
        )
        for address in sorted({part.address for part in traffic.parts})
    }
    if as_json:
        answers = [{"address": address, **line.answer()} for address, line in lines.items()]
        _print_answer(traffic, lists=answers)
        return
    print_table(
        ("address", "waiting", "in doubt", "oldest", "finished"),
        [(address, *_cells(line, traffic)) for address, line in lines.items()],
    )
    _print_sum(traffic)


def _by_posting(traffic: Traffic, config: Config, *, as_json: bool) -> None:
    plan = traffic.plan()
    heads = {part.posting: part for part in traffic.parts}
    lines = {
        number: _line(traffic, plan, (p for p in traffic.parts if p.posting == number))
        for number in heads
    }
    if as_json:
        answers = [
            {
                "posting": number,
                "address": _list_name(heads[number].address, config),
                "subject": heads[number].subject,
                **line.answer(),
            }
            for number, line in lines.items()
        ]
        _print_answer(traffic, postings=answers)
        return
    print_table(
        ("posting", "address", "subject", "waiting", "in doubt", "oldest", "finished"),
        [
            (
                f"#{number}" if number is not None else "",
                heads[number].address,
                heads[number].subject,
                *_cells(line, traffic),
            )
            for number, line in lines.items()
        ],
    )
    _print_sum(traffic)


def _list_name(address: str, config: Config) -> str:
    """Return a list's address; notices, which are our own mail, are of none."""
    return f"{address}@{config.site.domain}" if address else "notices"


def _line(traffic: Traffic, plan: Plan, some: Iterable[QueuePart]) -> _Line:
    parts = list(some)
    return _Line(
        waiting=sum(part.waiting for part in parts),
        in_doubt=sum(part.in_doubt for part in parts),
        oldest_at=min((part.accepted_at for part in parts if part.waiting), default=None),
        finish_at=plan.finish_at(traffic.places(parts)),
    )


def _cells(line: _Line, traffic: Traffic) -> tuple[int, int, str, str]:
    finished = when(line.finish_at, traffic.now) if line.waiting else ""
    return line.waiting, line.in_doubt, age(line.oldest_at, traffic.now), finished


def _limits_of(
    traffic: Traffic, *, provider: str | None = None, account: str | None = None
) -> list[Window]:
    """Return a provider's limits, whoever submits, or an account's for all providers."""
    if provider is None:
        return [w for w in traffic.windows if w.account == account and w.provider is None]
    return [w for w in traffic.windows if w.provider == provider]


def _use(window: Window) -> dict[str, object]:
    return {
        "limit": str(window.limit),
        "account": window.account,
        "used": window.spent + window.claimed,
        "left": allowance(window.limit, spent=window.spent, claimed=window.claimed),
    }


def _used(windows: Iterable[Window]) -> str:
    return ", ".join(f"{window.spent + window.claimed} of {window.limit}" for window in windows)


def _print_answer(traffic: Traffic, **parts: list[dict[str, object]]) -> None:
    whole = {
        "waiting": sum(part.waiting for part in traffic.parts),
        "in_doubt": sum(part.in_doubt for part in traffic.parts),
    }
    print_json({**whole, **parts})


def _print_sum(traffic: Traffic) -> None:
    waiting = sum(part.waiting for part in traffic.parts)
    in_doubt = sum(part.in_doubt for part in traffic.parts)
    print(f"{waiting} waiting, {in_doubt} in doubt.")
