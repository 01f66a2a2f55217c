"""``relais who``: everything known about one person."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import asyncpg
import typer

from worker.cli.reading import reading
from worker.cli.show import print_facts, print_json, print_table
from worker.cli.verb import ConfigOption, JsonOption, VerbError, find_config, told
from worker.config import Config
from worker.errors import StoreLost
from worker.mail.address import addresses_in
from worker.policy.expansion import ListAddress
from worker.store import authors, lists, people
from worker.store.database import failed_query
from worker.store.people import Row, Search

if TYPE_CHECKING:
    from worker.store.database import Connection

T = TypeVar("T")

_PATIENCE = timedelta(seconds=5)  # With each query: there may be two hundred definitions,
_PATIENCE_WITH_ALL = timedelta(seconds=60)  # and a person waits for the answer.
_KNOWN_ADDRESSES = "known_addresses"
_REPLY = 80


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
                *(self.deliveries, self.postings, self.decisions),
                *(self.authentications, self.notices),
            )
        )


def show_who(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="A person's address.")],
    *,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show everything known about one person: lists, opt-outs, deliveries, postings."""
    with told(as_json=as_json):
        config = find_config(config_file)
        known = asyncio.run(_read(config, _read_address(address)))
        if known.is_nothing:
            raise VerbError(_nothing(known))
        if as_json:
            _print_json(known, config)
        else:
            _print(known)


def _read_address(text: str) -> str:
    """Return the address in *text*; as it stands if none could be written to, for a view may."""
    found = addresses_in(text.encode("latin-1", errors="replace"))
    return (found[0] if len(found) == 1 else text.strip()).lower()


def _nothing(known: _Known) -> str:
    words = f"nothing is known of {known.address}; it is on no list, and in no delivery or posting"
    if not known.problems:
        return words
    failed = ", ".join(f"{name} ({error})" for name, error in known.problems.items())
    return f"{words}. These could not be asked: {failed}"


@dataclass(slots=True)
class _Views:
    """The admin's queries, asked one by one: what fails is noted, and not asked again."""

    db: "Connection"
    deadline: float
    problems: dict[str, str] = field(default_factory=dict)

    async def ask(self, name: str, query: Callable[[], Awaitable[T]]) -> T | None:
        """Return the answer to *query*; None if what *name* defines is in trouble."""
        if name in self.problems:
            return None
        if asyncio.get_running_loop().time() > self.deadline:
            self.problems[name] = "not asked, for the others took too long"
            return None
        try:
            async with lists.asking_views(self.db, _PATIENCE):
                return await query()
        except asyncpg.QueryCanceledError:
            self.problems[name] = f"no answer within {_PATIENCE.total_seconds():.0f} seconds"
        except asyncpg.ReadOnlySQLTransactionError as error:  # It writes, or would like to.
            self.problems[name] = str(error)
        except asyncpg.PostgresError as error:
            failure = failed_query(name, error)
            if isinstance(failure, StoreLost):
                raise failure from error
            self.problems[name] = str(error)
        return None


async def _read(config: Config, address: str) -> _Known:
    async with reading(config.database) as db:
        deadline = asyncio.get_running_loop().time() + _PATIENCE_WITH_ALL.total_seconds()
        views = _Views(db, deadline)
        keys, found = await _search(views, address)
        pairs = await views.ask(
            _KNOWN_ADDRESSES, partial(people.known_addresses, db, address, keys)
        )
        met = await people.met(db, address, keys)
        bans = await people.bans(db, address)
        elsewhere = {
            *await people.other_addresses(db, address, met),
            *(known for _, known in pairs or []),
            *(row.address.lower() for rows in found.values() for row in rows),
        }
        return _Known(
            address=address,
            keys=keys,
            places=await _places(views, address, found, bans),
            other_addresses=sorted(elsewhere - {address, ""}),
            suppressions=await people.suppressions(db, address, met),
            bans=bans,
            deliveries=await people.deliveries(db, address, met),
            postings=await people.postings(db, address),
            decisions=await people.decisions(db, address),
            authentications=await people.authentications(db, address),
            notices=await people.notices(db, address),
            problems=views.problems,
        )


async def _search(views: _Views, address: str) -> tuple[list[str], dict[str, list[Row]]]:
    """Return the keys of whoever has *address*, and the rows of the views that are theirs.

    A view may tell who has the address, and another what else they are on by
    another address: then the views that know people are asked again.
    """
    db = views.db
    searches = await people.searches(db)
    pairs = await views.ask(_KNOWN_ADDRESSES, partial(people.known_addresses, db, address, []))
    keys = {*await people.written_to(db, address), *(person for person, _ in pairs or [])}
    found = await _rows(views, searches, address, keys)
    theirs = (row for rows in found.values() for row in rows if row.address.lower() == address)
    more = {row.person for row in theirs if row.person is not None} - keys
    if more:
        keys |= more
        again = [search for search in searches if search.knows_people]
        found |= await _rows(views, again, address, keys)
    return sorted(keys), found


async def _rows(
    views: _Views, searches: Sequence[Search], address: str, keys: set[str]
) -> dict[str, list[Row]]:
    found = {}
    for search in searches:
        query = partial(people.rows, views.db, search, address, sorted(keys))
        found[search.definition] = await views.ask(search.definition, query) or []
    return found


async def _places(
    views: _Views, address: str, found: Mapping[str, Sequence[Row]], bans: Sequence[people.Ban]
) -> list[_Place]:
    """Return the lists of *found*, with what *address* may do there."""
    definitions = {d.name: d for d in await lists.definitions(views.db)}
    places: dict[str, _Place] = {}
    for name, rows in found.items():
        banned = any(ban.definition in (None, name) for ban in bans)
        for row in rows:
            place = ListAddress(definitions[name], row.parts)
            if place.local_part in places:
                continue
            standing = await views.ask(name, partial(authors.standing, views.db, place, address))
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
            "problems": [
                {"definition": name, "error": error} for name, error in known.problems.items()
            ],
        }
    )


def _print(known: _Known) -> None:
    facts = {"Address": known.address}
    if known.keys:
        facts["Person"] = ", ".join(known.keys)
    if known.other_addresses:
        facts["Also"] = ", ".join(known.other_addresses)
    if not known.places:
        facts["Lists"] = "on none now"
    print_facts(facts)
    for columns, rows in _tables(known):
        if rows:
            print()
            print_table(columns, rows)
    if known.problems:
        print()
        print_table(("no answer of", "because"), list(known.problems.items()))


_Table = tuple[Sequence[str], Sequence[Sequence[object]]]


def _tables(known: _Known) -> list[_Table]:
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
        (
            ("out of", "because", "by", "since"),
            [
                (s.scope or "all lists", s.reason, s.source, _moment(s.since))
                for s in known.suppressions
            ],
        ),
        (
            ("banned", "from", "because", "since"),
            [
                (ban.author, ban.definition or "all lists", ban.reason, _moment(ban.since))
                for ban in known.bans
            ],
        ),
        (
            ("delivery of", "list", "state", "at", "reply"),
            [
                (f"#{d.posting}", d.address, d.state, _moment(d.at), _short(d.reply or ""))
                for d in known.deliveries
            ],
        ),
        (
            ("wrote", "list", "subject", "state", "accepted"),
            [
                (f"#{p.posting}", p.address, p.subject, p.state, _moment(p.accepted_at))
                for p in known.postings
            ],
        ),
        (
            ("asked about", "to", "asked", "until", "answer"),
            [
                (f"#{d.posting}", d.kind, _moment(d.asked_at), _moment(d.expires_at), d.answer)
                for d in known.decisions
            ],
        ),
        (
            ("trusted if signed by", "return path", "network", "until"),
            [
                (one.signed_by, one.return_path_domain, one.network, _moment(one.until))
                for one in known.authentications
            ],
        ),
        (
            ("notice", "about", "state", "made"),
            [
                (n.kind, f"#{n.posting}" if n.posting else "", n.state, _moment(n.made_at))
                for n in known.notices
            ],
        ),
    ]


def _short(text: str) -> str:
    """Leave of a reply what tells why; JSON has all of it."""
    return text if len(text) <= _REPLY else f"{text[: _REPLY - 1]}…"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone():%d %b %Y, %H:%M}"


def _yes(answer: bool | None) -> str:  # noqa: FBT001 - what it says is its only argument
    return "?" if answer is None else "yes" if answer else "no"


def _full(local_part: str, config: Config) -> str:
    return f"{local_part}@{config.site.domain}"
