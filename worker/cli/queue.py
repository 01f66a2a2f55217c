"""``relais queue``: what waits, what limits it, and when it will be gone."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import typer

from worker.cli.limits import left_of
from worker.cli.reading import reading, served
from worker.cli.show import Block, Rows, age, counted, print_blocks, print_json, visible, when
from worker.cli.states import briefly, in_words, of_provider, state_answer
from worker.cli.verb import USAGE, ConfigOption, JsonOption, VerbError, find_config, one_of, told
from worker.cli.watch import WatchOption, watch
from worker.config import Config, Database
from worker.policy.plan import Plan, Window
from worker.policy.provider_state import rate_factor
from worker.policy.situation import QueuePart, Situation
from worker.store import limits
from worker.store.situation import read_situation

_AGES = {
    "<1h": timedelta(hours=1),
    "<6h": timedelta(hours=6),
    "<1d": timedelta(days=1),
    "<3d": timedelta(days=3),
    ">3d": timedelta.max,
}
_OPTIONAL = {*_AGES, "in doubt", "state"}
_NAMED_POSTINGS = 4


def show_queue(
    *,
    by: Annotated[
        str,
        typer.Option("--by", metavar="provider|list|posting", help="What each line stands for."),
    ] = "provider",
    watch_seconds: WatchOption = None,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what waits, what limits it, and when it will be gone."""
    with told(as_json=as_json):
        if watch_seconds is not None and as_json:
            raise VerbError("--watch is for people: leave out --watch or --json", code=USAGE)
        config = find_config(config_file)
        answer, view = _GROUPINGS[one_of(list(_GROUPINGS), by, option="--by")]
        # An embedded server runs for all looks, and each look has its own connection.
        with served(config.database) as database:
            if as_json:
                print_json(answer(asyncio.run(_read(config, database))))
            elif watch_seconds is None:
                print_blocks(view(asyncio.run(_read(config, database))))
            else:
                watch(lambda: view(asyncio.run(_read(config, database))), seconds=watch_seconds)


@dataclass(frozen=True, slots=True)
class _Line:
    """Some part of the queue, added up."""

    waiting: int
    in_hand: int
    in_doubt: int
    by_age: Mapping[str, int]
    oldest_at: datetime | None
    finish_at: datetime | None
    is_cut: bool

    def answer(self) -> dict[str, object]:
        return {
            "waiting": self.waiting,
            "in_hand": self.in_hand,
            "in_doubt": self.in_doubt,
            "oldest_at": self.oldest_at,
            "finish_at": self.finish_at,
            "cut": self.is_cut,
        }

    def finished(self, now: datetime) -> str:
        if not self.waiting:
            return ""
        then = ", then the rest is cancelled" if self.is_cut else ""
        return when(self.finish_at, now) + then


@dataclass(frozen=True, slots=True)
class _Sight:
    """All that there is to see, at one moment."""

    config: Config
    providers: list[str]
    situation: Situation
    plan: Plan

    @property
    def now(self) -> datetime:
        return self.situation.now

    @property
    def postings(self) -> list[int]:
        return sorted({p.posting for p in self.situation.parts if p.posting is not None})

    def parts(self, **such: object) -> list[QueuePart]:
        """Return the parts that have *such* values."""
        return [
            part
            for part in self.situation.parts
            if all(getattr(part, name) == value for name, value in such.items())
        ]

    def line(self, parts: Iterable[QueuePart]) -> _Line:
        some = list(parts)
        waiting = [part for part in some if part.waiting]
        return _Line(
            waiting=sum(part.waiting for part in some),
            in_hand=sum(part.claimed + part.dotting for part in some),
            in_doubt=sum(part.in_doubt for part in some),
            by_age=self._by_age(waiting),
            oldest_at=min((part.accepted_at for part in waiting), default=None),
            finish_at=self.situation.finish_at(self.plan, some),
            is_cut=any(part.key in self.plan.cut for part in waiting),
        )

    def _by_age(self, parts: Iterable[QueuePart]) -> dict[str, int]:
        counts = dict.fromkeys(_AGES, 0)
        for part in parts:
            since = self.now - part.accepted_at
            counts[next(name for name, limit in _AGES.items() if since < limit)] += part.waiting
        return counts

    def limits_of(self, *, provider: str | None = None, account: str | None = None) -> list[Window]:
        """Return a provider's limits, whoever submits, or an account's for all providers."""
        if provider is None:
            return [
                w for w in self.situation.windows if w.account == account and w.provider is None
            ]
        return [w for w in self.situation.windows if w.provider == provider]


async def _read(config: Config, database: Database) -> _Sight:
    async with reading(database) as db:
        situation = await read_situation(db, [a.name for a in config.accounts])
        providers = await limits.providers(db)
    return _Sight(config, providers, situation, situation.plan())


def _provider_answer(sight: _Sight) -> dict[str, object]:
    return {
        **_whole(sight),
        "providers": [_of_provider(sight, provider) for provider in sight.providers],
        "accounts": [_of_account(sight, account) for account in sight.situation.accounts],
        "postings": [_of_posting(sight, number) for number in sight.postings],
    }


def _of_provider(sight: _Sight, provider: str) -> dict[str, object]:
    situation = sight.situation
    return {
        "provider": provider,
        "limits": [_use(w, sight) for w in sight.limits_of(provider=provider)],
        "paused_until": situation.provider_paused_until(provider),
        "rate_factor": rate_factor(situation.states, provider, sight.now),
        "states": [
            state_answer(state, sight.now) for state in of_provider(situation.states, provider)
        ],
        **sight.line(sight.parts(provider=provider)).answer(),
    }


def _of_account(sight: _Sight, account: str) -> dict[str, object]:
    return {
        "account": account,
        "limits": [_use(w, sight) for w in sight.limits_of(account=account)],
        "paused_until": sight.situation.account_paused_until(account),
        "why": sight.situation.troubles.get(account),
    }


def _of_posting(sight: _Sight, number: int | None) -> dict[str, object]:
    parts = sight.parts(posting=number)
    head = parts[0]
    return {
        "posting": number,
        "address": _list_name(head.address, sight.config),
        "subject": head.subject,
        "recipients": head.recipients,
        "final": _final(parts),
        "held": not head.is_open,
        "finish_by": head.finish_by,
        **sight.line(parts).answer(),
    }


def _final(parts: list[QueuePart]) -> int:
    """Return how many deliveries of a posting will not change any more."""
    return max(0, parts[0].recipients - sum(p.waiting + p.dotting + p.in_doubt for p in parts))


def _use(window: Window, sight: _Sight) -> dict[str, object]:
    return {
        "limit": str(window.limit),
        "account": window.account,
        "used": window.spent + window.claimed,
        "left": left_of(window, sight.situation.states, sight.now),
    }


def _list_answer(sight: _Sight) -> dict[str, object]:
    answers = [
        {
            "address": _list_name(address, sight.config),
            **sight.line(sight.parts(address=address)).answer(),
        }
        for address in _addresses(sight)
    ]
    return {**_whole(sight), "lists": answers}


def _posting_answer(sight: _Sight) -> dict[str, object]:
    return {**_whole(sight), "postings": [_of_posting(sight, n) for n in _numbers(sight)]}


def _whole(sight: _Sight) -> dict[str, object]:
    line = sight.line(sight.situation.parts)
    return {"waiting": line.waiting, "in_hand": line.in_hand, "in_doubt": line.in_doubt}


def _provider_view(sight: _Sight) -> list[Block]:
    columns = ("provider", "limit", "used", *_COUNTS, *_AGES, "in doubt", "state", "finished")
    rows = [row for provider in sight.providers for row in _provider_rows(sight, provider)]
    total = sight.line(sight.situation.parts)
    rows.append(_row(("total", "", None), total, sight, state=""))
    return [
        Rows(columns, rows).without_empty(_OPTIONAL),
        *(f"{s.provider}: {in_words(s, sight.now)}" for s in sight.situation.states),
        *(_account_line(sight, account) for account in sight.situation.accounts),
        _in_progress(sight),
    ]


_COUNTS = ("now", "waiting")


def _provider_rows(sight: _Sight, provider: str) -> Iterator[tuple[object, ...]]:
    """Yield a line for *provider* if there is something to say, and one for each limit more."""
    line = sight.line(sight.parts(provider=provider))
    uses = [(_limit(w), w.spent + w.claimed) for w in sight.limits_of(provider=provider)]
    state = briefly(sight.situation.states, provider, sight.now)
    if not (line.waiting or line.in_hand or line.in_doubt or uses or state):
        return
    first = uses[0] if uses else ("", None)
    yield _row((provider, *first), line, sight, state=state)
    for use in uses[1:]:
        yield ("", *use, *[None] * (len(_COUNTS) + len(_AGES) + 3))


def _row(
    head: tuple[object, ...], line: _Line, sight: _Sight, *, state: str | None = None
) -> tuple[object, ...]:
    return (
        *head,
        line.in_hand,
        line.waiting,
        *(count or None for count in line.by_age.values()),
        line.in_doubt or None,
        *([] if state is None else [state]),
        line.finished(sight.now),
    )


def _limit(window: Window) -> str:
    return f"{window.limit} ({window.account})" if window.account else str(window.limit)


def _account_line(sight: _Sight, account: str) -> str:
    used = ", ".join(
        f"{window.spent + window.claimed} of {window.limit}"
        for window in sight.limits_of(account=account)
    )
    until = sight.situation.account_paused_until(account)
    why = sight.situation.troubles.get(account, "")
    paused = f", paused until {when(until, sight.now)}: {why}" if until else ""
    return visible(f"account {account}: {used or 'no limit'}{paused}")


def _in_progress(sight: _Sight) -> str:
    numbers = sight.postings
    if not numbers:
        return "No posting is in progress."
    named = ", ".join(_named(sight, number) for number in numbers[:_NAMED_POSTINGS])
    more = len(numbers) - _NAMED_POSTINGS
    and_more = f", and {more} more" if more > 0 else ""
    return f"{counted(len(numbers), 'posting')} in progress: {named}{and_more}"


def _named(sight: _Sight, number: int) -> str:
    parts = sight.parts(posting=number)
    head = parts[0]
    held = "" if head.is_open else ", held"
    return f"#{number} {head.subject} ({head.address}, {_final(parts)}/{head.recipients}{held})"


def _list_view(sight: _Sight) -> list[Block]:
    rows = [
        _row((address or "notices",), sight.line(sight.parts(address=address)), sight)
        for address in _addresses(sight)
    ]
    rows.append(_row(("total",), sight.line(sight.situation.parts), sight))
    columns = ("address", *_COUNTS, *_AGES, "in doubt", "finished")
    return [Rows(columns, rows).without_empty(_OPTIONAL)]


def _posting_view(sight: _Sight) -> list[Block]:
    lines = {number: sight.line(sight.parts(posting=number)) for number in _numbers(sight)}
    rows = [
        (*_posting_head(sight, number), *_posting_cells(line, sight))
        for number, line in lines.items()
    ]
    total = _posting_cells(sight.line(sight.situation.parts), sight)
    rows.append(("total", "", "", "", *total))
    columns = ("posting", "address", "subject", "final", *_COUNTS, "in doubt", "oldest", "finished")
    return [Rows(columns, rows).without_empty(_OPTIONAL)]


def _posting_head(sight: _Sight, number: int | None) -> tuple[object, ...]:
    parts = sight.parts(posting=number)
    head = parts[0]
    if number is None:
        return "", "", head.subject, ""
    return f"#{number}", head.address, head.subject, f"{_final(parts)}/{head.recipients}"


def _posting_cells(line: _Line, sight: _Sight) -> tuple[object, ...]:
    oldest = age(line.oldest_at, sight.now)
    in_doubt = line.in_doubt or None
    return line.in_hand, line.waiting, in_doubt, oldest, line.finished(sight.now)


def _addresses(sight: _Sight) -> list[str]:
    return sorted({part.address for part in sight.situation.parts})


def _numbers(sight: _Sight) -> list[int | None]:
    """Return the postings' numbers, after None if there are notices."""
    return [None, *sight.postings] if sight.parts(posting=None) else [*sight.postings]


def _list_name(address: str, config: Config) -> str:
    """Return a list's address; notices, which are our own mail, are of none."""
    return f"{address}@{config.site.domain}" if address else "notices"


_Answer = Callable[[_Sight], dict[str, object]]
_View = Callable[[_Sight], list[Block]]

_GROUPINGS: dict[str, tuple[_Answer, _View]] = {
    "provider": (_provider_answer, _provider_view),
    "list": (_list_answer, _list_view),
    "posting": (_posting_answer, _posting_view),
}
