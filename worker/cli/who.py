"""``relais who``: everything known about one person."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from worker.cli.health import failure_answer, failure_table, health_answer, health_words, wrong
from worker.cli.known import (
    Table,
    authentication_table,
    ban_table,
    names,
    on_none,
    print_problems,
    problems_listed,
    shown,
    suppression_table,
    unasked,
)
from worker.cli.reading import reading
from worker.cli.show import print_facts, print_json, print_table
from worker.cli.verb import AddressArgument, ConfigOption, JsonOption, VerbError, find_config, told
from worker.cli.whose import Whose, find, read_address
from worker.config import Config
from worker.policy.expansion import ListAddress
from worker.policy.mending import Ailing
from worker.store import ailing, authors, lists, people
from worker.store.ailing import Failure
from worker.store.views import Views

_REPLY, _FAILURES = 80, 10


@dataclass(frozen=True, slots=True)
class _Place:
    """A list that the person is on; what its queries did not tell is None."""

    address: ListAddress
    listed_as: str
    may_post: bool | None
    moderator: bool | None


@dataclass(frozen=True, slots=True)
class _Known:
    """Everything known about whoever has *address*."""

    address: str
    keys: list[str]  # Of the views: who has it, or had.
    places: list[_Place]
    other_addresses: list[str]
    health: Ailing | None  # None: it gets its copies.
    failures: list[Failure]
    suppressions: list[people.Suppressed]
    bans: list[people.Ban]
    deliveries: list[people.Delivered]
    postings: list[people.Posted]
    decisions: list[people.Asked]
    authentications: list[people.Remembered]
    notices: list[people.Notified]
    problems: Mapping[str, str]  # By definition.

    @property
    def is_nothing(self) -> bool:
        """Whether the address is nobody's."""
        return not any(
            (
                *(self.keys, self.places, self.other_addresses, self.suppressions, self.bans),
                *(self.health, self.failures, self.deliveries, self.postings, self.decisions),
                *(self.authentications, self.notices),
            )
        )


def show_who(
    address: AddressArgument,
    *,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show everything known about one person: lists, opt-outs, deliveries, postings."""
    with told(as_json=as_json):
        config = find_config(config_file)
        known = asyncio.run(_read(config, read_address(address)))
        if known.is_nothing:
            raise VerbError(_nothing(known))
        if as_json:
            _print_json(known, config)
        else:
            _print(known)


def _nothing(known: _Known) -> str:
    words = f"nothing is known of {known.address}; it is on no list, and in no delivery or posting"
    return f"{words}{unasked(known.problems)}"


async def _read(config: Config, address: str) -> _Known:
    async with reading(config.database) as db:
        views = Views(db)
        whose = await find(views, address)
        bans = await people.bans(db, address)
        return _Known(
            address=address,
            keys=whose.keys,
            places=await _places(views, whose, bans),
            other_addresses=whose.other_addresses,
            health=next(iter(await ailing.ailing(db, address=address)), None),
            failures=await ailing.failures(db, address, at_most=_FAILURES),
            suppressions=await people.suppressions(db, address, whose.keys, whose.met),
            bans=bans,
            deliveries=await people.deliveries(db, address, whose.met),
            postings=await people.postings(db, address),
            decisions=await people.decisions(db, address),
            authentications=await people.authentications(db, address),
            notices=await people.notices(db, address),
            problems=views.problems,
        )


async def _places(views: Views, whose: Whose, bans: Sequence[people.Ban]) -> list[_Place]:
    """Return the lists that they are on, with what their address may do there."""
    definitions = {d.name: d for d in await lists.definitions(views.db)}
    places: dict[str, _Place] = {}
    for name, rows in whose.rows.items():
        banned = any(ban.definition in (None, name) for ban in bans)
        for row in rows:
            place = ListAddress(definitions[name], row.parts)
            if place.local_part in places:
                continue
            standing = await views.ask(
                name, partial(authors.standing, views.db, place, whose.address)
            )
            places[place.local_part] = _Place(
                place,
                row.address,
                may_post=standing.may_post and not banned if standing else None,
                moderator=standing.moderator if standing else None,
            )
    return [places[local_part] for local_part in sorted(places)]


def _print_json(known: _Known, config: Config) -> None:
    def full(answer: people.Delivered | people.Posted) -> dict[str, object]:
        return {**asdict(answer), "address": _full(answer.address, config)}

    print_json(
        {
            "address": known.address,
            "people": known.keys,
            "lists": [
                {
                    "address": _full(place.address.local_part, config),
                    "definition": place.address.definition.name,
                    "may_post": place.may_post,
                    "moderator": place.moderator,
                    "listed_as": place.listed_as,
                }
                for place in known.places
            ],
            "other_addresses": known.other_addresses,
            "health": health_answer(known.health),
            "failures": [failure_answer(failure, config) for failure in known.failures],
            "suppressions": [
                {**asdict(s), "scope": _full(s.scope, config) if s.scope else "all"}
                for s in known.suppressions
            ],
            "bans": [asdict(ban) for ban in known.bans],
            "deliveries": [full(delivery) for delivery in known.deliveries],
            "postings": [full(posting) for posting in known.postings],
            "decisions": [asdict(decision) for decision in known.decisions],
            "authentications": [asdict(one) for one in known.authentications],
            "notices": [asdict(notice) for notice in known.notices],
            "problems": problems_listed(known.problems),
        }
    )


def _print(known: _Known) -> None:
    facts = names(known.address, known.keys, known.other_addresses)
    if not known.places:
        facts["Lists"] = on_none(known.problems)
    if known.health is not None or known.failures:
        facts["Health"] = health_words(known.health, known.failures)
    if known.health is not None:
        facts["Wrong"] = wrong(known.health)
    print_facts(facts)
    for columns, rows in _tables(known):
        if rows:
            print()
            print_table(columns, rows)
    print_problems(known.problems)


def _tables(known: _Known) -> list[Table]:
    return [
        (
            ("list", "definition", "listed as", "may post", "moderator"),
            [
                (
                    place.address.local_part,
                    place.address.definition.name,
                    "" if place.listed_as.lower() == known.address else place.listed_as,
                    _yes(place.may_post),
                    _yes(place.moderator),
                )
                for place in known.places
            ],
        ),
        failure_table(known.failures),
        suppression_table(known.suppressions),
        ban_table(known.bans),
        (
            ("delivery of", "list", "state", "at", "reply"),
            [
                (f"#{d.posting}", d.address, d.state, shown(d.at), _short(d.reply or ""))
                for d in known.deliveries
            ],
        ),
        (
            ("wrote", "list", "subject", "state", "accepted"),
            [
                (f"#{p.posting}", p.address, p.subject, p.state, shown(p.accepted_at))
                for p in known.postings
            ],
        ),
        (
            ("asked about", "to", "asked", "until", "answer"),
            [
                (f"#{d.posting}", d.kind, shown(d.asked_at), shown(d.expires_at), d.answer)
                for d in known.decisions
            ],
        ),
        authentication_table(known.authentications),
        (
            ("notice", "about", "state", "made"),
            [
                (n.kind, f"#{n.posting}" if n.posting else "", n.state, shown(n.made_at))
                for n in known.notices
            ],
        ),
    ]


def _short(text: str) -> str:
    """Leave of a reply what tells why; JSON has all of it."""
    return text if len(text) <= _REPLY else f"{text[: _REPLY - 1]}…"


def _yes(answer: bool | None) -> str:  # noqa: FBT001 - what it says is its only argument
    return "?" if answer is None else "yes" if answer else "no"


def _full(local_part: str, config: Config) -> str:
    return f"{local_part}@{config.site.domain}"
