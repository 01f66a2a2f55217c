"""What the pages ask of the store, and change in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.policy.following import Followed
    from worker.store.decisions import Answered, AskedDecision, Kind


class Subscriber(Protocol):
    """A person on a list, as their page shows them."""

    @property
    def subscription(self) -> bytes:
        """What their token stands for."""

    @property
    def title(self) -> str:
        """The list's title for people, its address where it has none."""

    @property
    def list_address(self) -> str:
        """The list's address."""

    @property
    def address(self) -> str:
        """Where we write to; "" if nobody knows any more."""

    @property
    def out_of_list(self) -> bool:
        """Tell whether this list writes to them no more."""

    @property
    def out_of_all(self) -> bool:
        """Tell whether no list writes to them."""

    @property
    def other_lists(self) -> int:
        """How many other lists have written to them, and were not left."""

    @property
    def official_lists(self) -> Sequence[str]:
        """Return the titles of those of them that carry official mail."""

    @property
    def is_official(self) -> bool:
        """Tell whether the list carries mail that one cannot just leave."""

    @property
    def lang(self) -> str:
        """The language in which we write to them; "" if nobody knows."""

    @property
    def list_lang(self) -> str:
        """The language of the list; "" if nobody knows."""


class Directory(Protocol):
    """Who is on which list, and who has left. Each may raise StoreLost."""

    async def subscriber(self, list_id: int, person_id: int) -> Subscriber | None:
        """Return a person on a list, None if either is unknown."""

    async def opt_out(
        self, list_id: int, person_id: int, *, everywhere: bool, source: str, undo_link: str = ""
    ) -> None:
        """Take a person off a list, or off all; twice is like once.

        With an *undo_link*, they are written to what has happened.
        """

    async def opt_in(self, list_id: int, person_id: int) -> None:
        """Undo what of a person's own opt-outs keeps this list away."""


class Decisions(Protocol):
    """What people are asked, and their answers. Each may raise StoreLost."""

    async def asked(self, decision_id: int, kind: Kind) -> AskedDecision | None:
        """Return what somebody is asked, None if it is unknown."""

    async def answer(self, decision_id: int, *, yes: bool, reason: str | None) -> Answered:
        """Take an answer; only the first one counts."""


class Postings(Protocol):
    """What authors follow, and what they do with it. Each may raise StoreLost.

    A posting stands for all of the same message. Twice is like once, and what comes
    too late changes nothing.
    """

    async def is_known(self, posting_id: int) -> bool:
        """Whether there is something to follow."""

    async def follow(self, posting_id: int) -> Followed | None:
        """Return how a message stands, None if it is unknown."""

    async def stop(self, posting_id: int) -> None:
        """Cancel what has not left."""

    async def hold(self, posting_id: int) -> None:
        """Let what has not left wait until it is resumed."""

    async def resume(self, posting_id: int) -> None:
        """Let go on what was held or stopped."""

    async def withdraw(self, posting_id: int) -> None:
        """End what still waits for somebody, because its author says so."""

    async def wish(self, posting_id: int, *, fewer: bool) -> None:
        """Keep whether its author wants fewer letters."""
