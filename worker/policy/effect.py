"""What a migration does to the lists: addresses that come and go, people that do.

A list that loses more than half of its people is more often a mistake in a view
than a wish, so it has to be meant (--yes-shrink).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHRINKS_FROM = 10  # Fewer people may go without a question.


@dataclass(frozen=True, slots=True)
class Size:
    """The addresses of one definition, each with the number of its people."""

    template: str
    people: Mapping[str, int]

    @property
    def total(self) -> int:
        """All people of all its addresses."""
        return sum(self.people.values())

    @property
    def largest(self) -> int:
        """The people of its largest address, whichever that is."""
        return max(self.people.values(), default=0)


# By name; None where it is not known, because the query fails.
Sizes: TypeAlias = "Mapping[str, Size | None]"


@dataclass(frozen=True, slots=True)
class Group:
    """Addresses of one definition that came, or went."""

    definition: str
    template: str
    people: Mapping[str, int]

    @property
    def example(self) -> tuple[str, int]:
        """The address with the most people, and their number."""
        return max(self.people.items(), key=lambda item: item[1])


@dataclass(frozen=True, slots=True)
class Resized:
    """An address that has another number of people."""

    definition: str
    address: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A definition that lost so many people that it looks wrong."""

    definition: str
    before: int
    after: int
    only_largest: bool  # The figures are of its largest address, not of all.


@dataclass(frozen=True, slots=True)
class Effect:
    """What became of all lists."""

    added: tuple[Group, ...]
    removed: tuple[Group, ...]
    resized: tuple[Resized, ...]
    shrunk: tuple[Shrunk, ...]


def effect(before: Sizes, after: Sizes) -> Effect:
    """Compare; a definition whose size is not known, before or after, is left out."""
    nothing = Size("", {})
    pairs = [
        (name, before.get(name, nothing), after.get(name, nothing))
        for name in sorted(before.keys() | after.keys())
    ]
    known = [(name, was, now) for name, was, now in pairs if was is not None and now is not None]
    return Effect(
        added=tuple(_only_in(now, was, name) for name, was, now in known if _gains(now, was)),
        removed=tuple(_only_in(was, now, name) for name, was, now in known if _gains(was, now)),
        resized=tuple(change for name, was, now in known for change in _resized(name, was, now)),
        # One that was dropped by lists.drop() is meant to be gone.
        shrunk=tuple(
            loss for name, was, now in known if name in after for loss in _shrunk(name, was, now)
        ),
    )


def updated(before: Sizes, after: Sizes) -> Sizes:
    """Return *after*, with the last known size where it has none."""
    return {name: size or before.get(name) for name, size in after.items()}


def _gains(size: Size, other: Size) -> bool:
    return bool(size.people.keys() - other.people.keys())


def _only_in(size: Size, other: Size, name: str) -> Group:
    only = {a: people for a, people in size.people.items() if a not in other.people}
    return Group(name, size.template, only)


def _resized(name: str, was: Size, now: Size) -> Iterator[Resized]:
    for address, people in was.people.items():
        if now.people.get(address, people) != people:
            yield Resized(name, address, people, now.people[address])


def _shrunk(name: str, was: Size, now: Size) -> Iterator[Shrunk]:
    if _looks_wrong(was.total, now.total):
        yield Shrunk(name, was.total, now.total, only_largest=False)
    elif _looks_wrong(was.largest, now.largest):
        yield Shrunk(name, was.largest, now.largest, only_largest=True)


def _looks_wrong(before: int, after: int) -> bool:
    return before >= SHRINKS_FROM and after * 2 < before


# By name of the list, then of the option.
Options: TypeAlias = "Mapping[str, Mapping[str, str | None]]"


@dataclass(frozen=True, slots=True)
class OptionChange:
    """An option of a list that says something else now; None: nothing."""

    definition: str
    option: str
    before: str | None
    after: str | None


def option_changes(before: Options, after: Options) -> tuple[OptionChange, ...]:
    """Compare; lists that came or went, and options that are new to all, are left out."""
    return tuple(
        OptionChange(name, option, was, after[name][option])
        for name in sorted(before.keys() & after.keys())
        for option, was in before[name].items()
        if option in after[name] and after[name][option] != was
    )
