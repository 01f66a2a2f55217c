"""An invented French sports federation: about four hundred members, none of them real.

Everything is drawn from the random.Random that the caller gives, so the same
seed makes the same people. Their providers are named after the real ones and
have about the real shares, but every domain is below .example, which is
reserved and can never receive mail (RFC 2606, section 2).

As in life a few addresses are missing or mistyped, a few are shared by a
family, and a few mailboxes are gone, greylisted or full.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from worker.demo.names import FIRST_NAMES, LAST_NAMES, plain
from worker.mail.address import usable_address

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

    from worker.store.database import Connection

DOMAIN = "listes.federation.example"
MEMBERS = 412

# Share in percent, provider as relais.provider has it, its domains here.
PROVIDERS: tuple[tuple[float, str, tuple[str, ...]], ...] = (
    (28.0, "orange", ("orange.example", "orange.example", "wanadoo.example")),
    (21.0, "google", ("gmail.example",)),
    (16.0, "outlook", ("outlook.example", "hotmail.example", "hotmail.example", "live.example")),
    (9.0, "free", ("free.example",)),
    (7.0, "sfr", ("sfr.example", "neuf.example")),
    (5.0, "laposte", ("laposte.example",)),
    (4.0, "yahoo", ("yahoo.example",)),
    (3.0, "icloud", ("icloud.example",)),
    (2.0, "bouygues", ("bbox.example",)),
    (1.0, "gmx", ("gmx.example",)),
    (4.0, "other", ("club-nantes.example", "club-rennes.example", "mairie.example")),
)

DEPARTEMENTS = {
    "35": ("Ille-et-Vilaine", ("Rennes", "Saint-Malo", "Fougères", "Vitré", "Redon")),
    "44": ("Loire-Atlantique", ("Nantes", "Saint-Nazaire", "Châteaubriant", "Rezé", "Pornic")),
    "49": ("Maine-et-Loire", ("Angers", "Cholet", "Saumur", "Segré", "Baugé")),
    "56": ("Morbihan", ("Vannes", "Lorient", "Ploërmel", "Auray", "Pontivy")),
    "85": ("Vendée", ("La Roche-sur-Yon", "Challans", "Fontenay-le-Comte", "Luçon")),
}
_CLUB_NAMES = ("Orientation", "Étoile sportive", "Avenir", "Les Foulées", "Union")

COMMITTEES = {
    "comite": "Comité directeur",
    "arbitrage": "Commission d'arbitrage",
    "jeunes": "Commission des jeunes",
    "medical": "Commission médicale",
}
_BOARD = ("president", "secretaire", "tresorier", "communication")
_BOARD_SIZE = 14
_COMMISSION_SIZE = 6

# What people leave the field empty with, or mistype into it.
_UNUSABLE = (
    *(None, None, None, None, ""),
    "yann.le goff@orange.example",
    "chloe,petit@free.example",
    "héloïse@laposte.example",
    "marc@@gmail.example",
    "jean-noel.mahe@wanadoo",
)


class Mailbox(Enum):
    """How a member's mailbox behaves towards the outside world."""

    SOUND = "sound"
    GONE = "gone"  # Accepted by our host, then reported: user unknown.
    GREYLISTED = "greylisted"  # Refused for now the first time, as every stranger is.
    FULL = "full"  # Refused until its owner has tidied up.


@dataclass(frozen=True, slots=True)
class Club:
    """A club, with its number of affiliation."""

    number: str
    name: str
    departement: str


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the member space has them; *club* is an index."""

    first_name: str
    last_name: str
    email: str | None
    club: int
    lang: str = "fr"
    active: bool = True
    mailbox: Mailbox = Mailbox.SOUND
    suppressed: bool = False  # Had asked the newsletter before this one to stop.

    @property
    def full_name(self) -> str:
        """How people call them."""
        return f"{self.first_name} {self.last_name}"

    @property
    def usable(self) -> str | None:
        """The address as mail can use it, if it can."""
        address = (self.email or "").strip()
        return address if usable_address(address) else None


@dataclass(frozen=True, slots=True)
class Role:
    """A role in a committee or in a club; members and clubs are indices."""

    member: int
    role: str
    committee: str | None = None
    club: int | None = None


@dataclass(frozen=True, slots=True)
class Federation:
    """Everybody and everything; a member's id in the database is the index plus one."""

    clubs: tuple[Club, ...]
    members: tuple[Member, ...]
    roles: tuple[Role, ...]

    def holder(self, role: str, committee: str = "comite") -> Member:
        """Return who holds a role that one person holds."""
        return next(
            self.members[r.member]
            for r in self.roles
            if r.role == role and r.committee == committee
        )

    def suppressed_addresses(self) -> set[str]:
        """Return the addresses that get nothing, in lower case."""
        return {m.usable.lower() for m in self.members if m.suppressed and m.usable}

    def everybody(self) -> set[str]:
        """Return whom a posting to ``tous`` must reach, in lower case.

        Worked out here and not in the database, so that an audit can find what
        the database has left out.
        """
        active = {m.usable.lower() for m in self.members if m.active and m.usable}
        return active - self.suppressed_addresses()

    def mailboxes(self) -> dict[str, Mailbox]:
        """Return how the mailbox behind each address behaves, in lower case."""
        return {
            m.usable.lower(): m.mailbox
            for m in self.members
            if m.usable and m.mailbox is not Mailbox.SOUND
        }


def invent(rng: random.Random, *, members: int = MEMBERS) -> Federation:
    """Invent a federation; the same state of *rng* gives the same one."""
    clubs = tuple(_clubs())
    addresses = _Addresses(rng, members)
    people = []
    for _ in range(members):
        first_name, last_name = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
        address = addresses.of(first_name, last_name)
        people.append(Member(first_name, last_name, address, club=rng.randrange(len(clubs))))
    sound = _trouble(rng, people)
    return Federation(clubs, tuple(people), tuple(_roles(people, sound, clubs)))


def _clubs() -> Iterator[Club]:
    for code, (_, towns) in DEPARTEMENTS.items():
        for number, town in enumerate(towns, start=1):
            name = f"{_CLUB_NAMES[number % len(_CLUB_NAMES)]} {town}"
            yield Club(f"{code}{number * 12:05}", name, code)


class _Addresses:
    """Hands out addresses: providers by their shares, no local part twice."""

    def __init__(self, rng: random.Random, members: int) -> None:
        self._rng = rng
        self._taken: set[str] = set()
        # Exact shares, shuffled: a small federation must not depend on luck.
        self._domains = [
            rng.choice(domains)
            for share, _, domains in PROVIDERS
            for _ in range(round(members * share / 100))
        ]
        self._domains += ["gmail.example"] * (members - len(self._domains))
        rng.shuffle(self._domains)

    def of(self, first: str, last: str) -> str:
        """Return an address such as this person might have chosen."""
        domain = self._domains.pop()
        given, family = plain(first), plain(last)
        local_part = self._rng.choice(
            (
                f"{given}.{family}",
                f"{given}.{family}",
                f"{given}-{family}",
                f"{family}.{given}",
                f"{given[0]}{family}",
                f"{given[0]}.{family}",
                f"{given}{self._rng.randrange(50, 99)}",
                f"{family}{self._rng.choice((35, 44, 49, 56, 85))}",
            )
        )
        address = f"{local_part}@{domain}"
        number = 1
        while address in self._taken:
            number += 1
            address = f"{local_part}{number}@{domain}"
        self._taken.add(address)
        return address


def _trouble(rng: random.Random, people: list[Member]) -> list[int]:
    """Give some of *people* what every member file has; return the numbers of the others."""
    numbers = rng.sample(range(len(people)), len(people))
    changes: list[Callable[[Member], Member]] = [
        *(partial(replace, email=written) for written in _UNUSABLE),
        *[partial(replace, active=False)] * 3,
        *[partial(replace, suppressed=True)] * 3,
        *[partial(replace, mailbox=Mailbox.GONE)] * 5,
        *[partial(replace, mailbox=Mailbox.GREYLISTED)] * 6,
        partial(replace, mailbox=Mailbox.FULL),
        _typed_on_a_telephone,
        # Two that have their parents' address, as the parents do.
        *(partial(replace, email=people[number].email) for number in numbers[-2:]),
    ]
    for number, change in zip(numbers, changes, strict=False):
        people[number] = change(people[number])
    return numbers[len(changes) :]


def _typed_on_a_telephone(member: Member) -> Member:
    return replace(member, email=f" {(member.email or '').capitalize()} ", lang="en")


def _roles(people: Sequence[Member], sound: list[int], clubs: Sequence[Club]) -> Iterator[Role]:
    """Give the roles to people whose mail works: they write the postings."""
    board = sound[:_BOARD_SIZE]
    for number in board:
        yield Role(number, "comite_directeur", committee="comite")
    for number, role in zip(board, _BOARD, strict=False):
        yield Role(number, role, committee="comite")
    at = _BOARD_SIZE
    for committee in list(COMMITTEES)[1:]:
        commission, at = sound[at : at + _COMMISSION_SIZE], at + _COMMISSION_SIZE
        yield Role(commission[0], "president", committee=committee)
        for number in commission:
            yield Role(number, "membre", committee=committee)
    for club in range(len(clubs)):
        licensed = [number for number in sound if people[number].club == club]
        for number, role in zip(licensed, ("president", "secretaire", "tresorier"), strict=False):
            yield Role(number, role, club=club)


CREATE_PROVIDERS = """
    INSERT INTO relais.provider_domain (domain, provider)
    SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT (domain) DO NOTHING
"""

CREATE_LICENCES = """
    INSERT INTO club.licence (member_id, season, club_id, kind)
    SELECT member_id, club.season(), club_id, 'competition'
      FROM unnest($1::bigint[], $2::integer[]) AS l(member_id, club_id)
"""

# What came with the addresses from the tool before this one.
CREATE_SUPPRESSIONS = """
    INSERT INTO relais.suppression (address, reason, source, since)
    SELECT address, 'operator', 'the newsletter before this one', relais.now()
      FROM unnest($1::text[]) AS s(address)
"""


async def settle(db: Connection, federation: Federation) -> None:
    """Write *federation* into the migrated database behind *db*, which is its owner's."""
    domains = sorted(
        {(domain, provider) for _, provider, domains in PROVIDERS for domain in domains}
    )
    await db.execute(CREATE_PROVIDERS, *map(list, zip(*domains, strict=True)))
    await _copy(db, "departement", ("code", "name"), [(c, n) for c, (n, _) in DEPARTEMENTS.items()])
    await _copy(
        db,
        "club",
        ("id", "number", "name", "departement"),
        [(i, c.number, c.name, c.departement) for i, c in enumerate(federation.clubs, start=1)],
    )
    await _copy(
        db,
        "member",
        ("id", "first_name", "last_name", "email", "lang", "active"),
        [
            (i, m.first_name, m.last_name, m.email, m.lang, m.active)
            for i, m in enumerate(federation.members, start=1)
        ],
    )
    committees = {slug: number for number, slug in enumerate(COMMITTEES, start=1)}
    await _copy(
        db,
        "committee",
        ("id", "slug", "name"),
        [(number, slug, COMMITTEES[slug]) for slug, number in committees.items()],
    )
    await _copy(
        db,
        "role_held",
        ("member_id", "role", "committee_id", "club_id"),
        [
            (
                r.member + 1,
                r.role,
                committees[r.committee] if r.committee is not None else None,
                r.club + 1 if r.club is not None else None,
            )
            for r in federation.roles
        ],
    )
    numbers = range(1, len(federation.members) + 1)
    await db.execute(CREATE_LICENCES, numbers, [m.club + 1 for m in federation.members])
    await db.execute(CREATE_SUPPRESSIONS, sorted(federation.suppressed_addresses()))


async def _copy(
    db: Connection, table: str, columns: Sequence[str], records: Sequence[tuple[object, ...]]
) -> None:
    await db.copy_records_to_table(table, schema_name="club", columns=columns, records=records)
