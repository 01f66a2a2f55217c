"""A directory in memory, which answers the pages as the store does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.errors import StoreLost
from worker.mail.return_address import subscription
from worker.store.decisions import Answered

if TYPE_CHECKING:
    from worker.policy.following import Followed
    from worker.store.decisions import AskedDecision, Kind


@dataclass(frozen=True, slots=True)
class KnownSubscriber:
    """A person on a list."""

    subscription: bytes
    title: str
    list_address: str
    address: str
    out_of_list: bool
    out_of_all: bool
    other_lists: int
    official_lists: list[str]
    is_official: bool
    lang: str
    list_lang: str


def stands_for(list_id: int, person_id: int) -> bytes:
    """Return what the token of a person on a list stands for."""
    return subscription(f"list{list_id}", {}, f"person:{person_id}")


@dataclass
class MemoryDirectory:
    """Lists by number, and people's opt-outs: (person, list), None for all lists."""

    titles: dict[int, str]
    addresses: dict[int, str]
    opt_outs: dict[tuple[int, int | None], str] = field(default_factory=dict)
    official: set[int] = field(default_factory=set)
    langs: dict[int, str] = field(default_factory=dict)  # Of people.
    list_langs: dict[int, str] = field(default_factory=dict)
    farewells: list[str] = field(default_factory=list)
    lost: bool = False

    async def subscriber(self, list_id: int, person_id: int) -> KnownSubscriber | None:
        """Return a person on a list, None if either is unknown."""
        self._answer()
        if list_id not in self.titles or person_id not in self.addresses:
            return None
        return KnownSubscriber(
            subscription=stands_for(list_id, person_id),
            title=self.titles[list_id],
            list_address=f"list{list_id}@listes.example.fr",
            address=self.addresses[person_id],
            out_of_list=(person_id, list_id) in self.opt_outs,
            out_of_all=(person_id, None) in self.opt_outs,
            other_lists=sum(
                other != list_id and (person_id, other) not in self.opt_outs
                for other in self.titles
            ),
            official_lists=[
                self.titles[other]
                for other in sorted(self.official - {list_id})
                if (person_id, other) not in self.opt_outs
            ],
            is_official=list_id in self.official,
            lang=self.langs.get(person_id, ""),
            list_lang=self.list_langs.get(list_id, ""),
        )

    async def opt_out(
        self, list_id: int, person_id: int, *, everywhere: bool, source: str, undo_link: str = ""
    ) -> None:
        """Take a person off a list, or off all; twice is like once."""
        self._answer()
        self.opt_outs.setdefault((person_id, None if everywhere else list_id), source)
        if undo_link:
            self.farewells.append(undo_link)

    async def opt_in(self, list_id: int, person_id: int) -> None:
        """Undo what of a person's own opt-outs keeps this list away."""
        self._answer()
        for scope in (list_id, None):
            self.opt_outs.pop((person_id, scope), None)

    def _answer(self) -> None:
        if self.lost:
            raise StoreLost("the database does not answer")


class NoDecisions:
    """Nothing was ever posted, so nobody was asked."""

    async def asked(self, _decision_id: int, _kind: Kind) -> AskedDecision | None:
        """Know of no question."""
        return None

    async def answer(self, _decision_id: int, *, yes: bool, reason: str | None) -> Answered:
        """Take no answer."""
        del yes, reason
        return Answered.TOO_LATE


class NoPostings:
    """Nothing was ever posted, so there is nothing to follow."""

    async def is_known(self, _posting_id: int) -> bool:
        """Know of no posting."""
        return False

    async def follow(self, _posting_id: int) -> Followed | None:
        """Know of no posting."""
        return None

    async def stop(self, _posting_id: int) -> None:
        """Know of nothing to stop."""

    async def hold(self, _posting_id: int) -> None:
        """Know of nothing to hold."""

    async def resume(self, _posting_id: int) -> None:
        """Know of nothing to resume."""

    async def withdraw(self, _posting_id: int) -> None:
        """Know of nothing to withdraw."""

    async def wish(self, _posting_id: int, *, fewer: bool) -> None:
        """Know of nobody who wishes."""
        del fewer
