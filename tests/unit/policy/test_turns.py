"""Turns: the law first, then the reserve, then everybody by weight."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.policy.limit import read_limit
from worker.policy.meter import Meter
from worker.policy.turns import Queue, QueueKey, Turn, Turns, is_small, share, weight_of

if TYPE_CHECKING:
    from collections.abc import Sequence

MANY = 1_000_000


def large(
    number: int,
    provider: str = "orange",
    *,
    waiting: int = MANY,
    priority: str = "normal",
    passed: float = 0.0,
) -> Queue:
    """Make the queue of a posting to thousands."""
    return Queue.of_posting(
        number,
        provider,
        waiting=waiting,
        recipients=5000,
        weight=weight_of(priority),
        passed=passed,
    )


def small(number: int, provider: str = "orange", *, waiting: int = 30) -> Queue:
    """Make the queue of a posting to so few that it may use the reserve."""
    return Queue.of_posting(number, provider, waiting=waiting, recipients=30, weight=2, passed=0)


def notices(provider: str = "orange", *, waiting: int = 2) -> Queue:
    """Make the queue of what we have to tell people."""
    return Queue.of_notices(provider, waiting=waiting)


def meter(
    limit: str, *, account: str | None = None, provider: str | None = None, spent: int = 0
) -> Meter:
    """Make the meter of a limit as people write it."""
    return Meter(account, provider, read_limit(limit), spent=spent, spent_within=spent)


def unspaced(amount: int, provider: str | None = None, *, spent: int = 0) -> Meter:
    """Make a meter that only the law and the reserve are of."""
    return meter(f"{amount}/hour, spacing=none", provider=provider, spent=spent)


def numbers(turns: Turns) -> list[int | None]:
    """Whose turn it was, one by one."""
    return [turn.key.posting_id for turn in turns.order for _ in range(turn.copies)]


class Case(NamedTuple):
    """What waits, what limits it, and who leaves in this order; None is a notice."""

    queues: list[Queue]
    meters: list[Meter]
    at_most: int
    leave: list[int | None]


CASES = {
    "nothing waits": Case([], [unspaced(9)], 5, []),
    "nothing may be taken": Case([large(1)], [], 0, []),
    "two of equal weight alternate": Case([large(1), large(2)], [], 6, [1, 2, 1, 2, 1, 2]),
    # After n turns each has had n/4, n/2 and n/1: the least is next, of equals the first.
    "4 : 2 : 1": Case(
        [large(1, priority="high"), large(2), large(3, priority="low")],
        [],
        14,
        [1, 2, 3, 1, 1, 2, 1, 1, 2, 3, 1, 1, 2, 1],
    ),
    "who has had fewer goes on first": Case(
        [large(1, passed=7), large(2, passed=6)], [], 5, [2, 2, 1, 2, 1]
    ),
    "one ends, the other goes on": Case([large(1, waiting=1), large(2)], [], 4, [1, 2, 2, 2]),
    "a provider without room slows nobody": Case(
        [large(1, "free"), large(2), large(3)],
        [unspaced(10, "free", spent=10)],
        4,
        [2, 3, 2, 3],
    ),
    "nor one whose room ends": Case(
        [large(1, "free"), large(2)], [unspaced(2, "free")], 6, [1, 2, 1, 2, 2, 2]
    ),
    # 20 may leave, 1 is kept, 4 are in reserve.
    "notices before small before large": Case(
        [large(1), small(2, waiting=2), notices()], [unspaced(20)], 6, [None, None, 2, 2, 1, 1]
    ),
    "the reserve ends": Case([large(1), small(2)], [unspaced(20)], 9, [2, 2, 2, 2, 1, 1, 1, 1, 1]),
    "then small ones take turns": Case(
        [large(1), small(2)], [unspaced(20)], 12, [2, 2, 2, 2, 1, 1, 1, 1, 1, 2, 1, 2]
    ),
    "all share one reserve": Case(
        [large(1), small(2), small(3), notices(waiting=1)],
        [unspaced(20)],
        6,
        [None, 2, 3, 2, 1, 1],
    ),
    # Of 20, 18 have left; a large one must leave 1.
    "the last is kept for a small one": Case(
        [large(1), small(2, "free")], [unspaced(20, spent=18)], 9, [2, 2]
    ),
    "a large one does not take it": Case([large(1)], [unspaced(20, spent=18)], 9, [1]),
    "spacing does not hold up a small one": Case(
        [large(1), small(2, waiting=3)], [meter("100/hour")], 99, [2, 2, 2, 1, 1]
    ),
    "but for a burst that is given": Case(
        [large(1), small(2, waiting=9)], [meter("100/hour, burst=5")], 99, [2, 2, 2, 2, 2]
    ),
    "an account's limit is shared by all providers": Case(
        [large(1, "free"), large(2, "orange"), large(3, "sfr")],
        [unspaced(7)],
        99,
        [1, 2, 3, 1, 2, 3, 1],
    ),
    "the stricter of two limits": Case(
        [large(1, "free"), large(2, "orange")],
        [unspaced(7), unspaced(2, "free")],
        99,
        [1, 2, 1, 2, 2, 2, 2],
    ),
    # Ten turns are owed, and twice as many copies of a normal posting.
    "who was away is not owed everything": Case(
        [large(1, passed=5000), large(2)], [], 24, [*[2] * 20, 1, 2, 1, 2]
    ),
    "a posting of which only a number is known": Case(
        [large(1), small(0, waiting=2)], [unspaced(20)], 3, [0, 0, 1]
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_who_leaves(case: Case) -> None:
    """Who leaves, in which order."""
    turns = share(case.queues, [replace(m) for m in case.meters], at_most=case.at_most)

    assert numbers(turns) == case.leave


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_order_is_of_the_queues_alone(case: Case) -> None:
    """However the queues are read, the same leave in the same order."""
    meters = [replace(m) for m in case.meters]
    turned = [replace(m) for m in case.meters[::-1]]

    turns = share(case.queues, meters, at_most=case.at_most)

    assert share(case.queues[::-1], turned, at_most=case.at_most) == turns


def test_alone_in_one_chunk() -> None:
    """Who is alone, or left alone, leaves at once as far as he may."""
    turns = share([large(1), large(2, waiting=1)], [unspaced(100)], at_most=MANY)

    assert turns.order == [
        Turn(QueueKey(1, "orange"), 1),
        Turn(QueueKey(2, "orange"), 1),
        Turn(QueueKey(1, "orange"), 93),
    ]
    assert turns.taken == {QueueKey(1, "orange"): 94, QueueKey(2, "orange"): 1}


def test_turns_are_remembered() -> None:
    """What a posting has had is counted by its weight; notices have no turns."""
    queues = [large(1, priority="high", passed=3), small(2, waiting=3), notices(waiting=1)]

    turns = share(queues, [], at_most=8)

    assert turns.taken == {key.key: n for key, n in zip(queues, (4, 3, 1), strict=True)}
    assert turns.passed == {QueueKey(1, "orange"): 4.0, QueueKey(2, "orange"): 1.5}


def test_newcomer_behind_thousands() -> None:
    """A newcomer begins where the other stands, and gets every second turn."""
    waited = large(1, waiting=1000, passed=2500)
    newcomer = large(2, waiting=50, passed=2500)

    turns = share([waited, newcomer], [], at_most=100)

    assert numbers(turns) == [1, 2] * 50


@pytest.mark.parametrize(("recipients", "small"), [(0, True), (1, True), (30, True), (31, False)])
def test_small(recipients: int, small: bool) -> None:  # noqa: FBT001 - The expected answer.
    """Thirty recipients are few."""
    assert is_small(recipients) is small


# What follows is true of whatever waits.

PROVIDERS = ("orange", "free", "sfr")


@st.composite
def queues(draw: st.DrawFn, *, with_notices: bool = True) -> list[Queue]:
    """Draw queues of few and of many, some of which have had turns."""
    first = None if with_notices else 1
    keys = draw(
        st.sets(
            st.builds(
                QueueKey,
                st.sampled_from([first, 1, 2, 3, 4, 5]),
                st.sampled_from(PROVIDERS),
            ),
            min_size=1,
            max_size=8,
        )
    )
    return [
        Queue.of_notices(key.provider, waiting=draw(st.integers(0, 20)))
        if key.posting_id is None
        else Queue(
            key,
            draw(st.integers(0, 60)),
            draw(st.booleans()),
            draw(st.sampled_from([1, 2, 4])),
            draw(st.integers(0, 400)) / 4,
        )
        for key in sorted(keys, key=repr)
    ]


@st.composite
def meters(draw: st.DrawFn) -> list[Meter]:
    """Draw what limits one account, some of it slow, spent or claimed."""
    options = st.sampled_from(["", ", spacing=none", ", burst=9", ", spacing=30s"])
    made = []
    for provider in draw(st.lists(st.sampled_from([None, *PROVIDERS]), max_size=5)):
        made.append(meter(f"{draw(st.integers(0, 120))}/hour{draw(options)}", provider=provider))
        made[-1].spent = draw(st.integers(0, 120))
        made[-1].spent_within = made[-1].spent - draw(st.integers(0, made[-1].spent))
        made[-1].small = draw(st.integers(0, made[-1].spent))
        made[-1].claimed = draw(st.integers(0, 3))
        made[-1].owed = draw(st.integers(0, 40)) / 4
    return made


def limiting(meters: Sequence[Meter], key: QueueKey) -> list[Meter]:
    """Return those of *meters* that a queue falls under."""
    return [m for m in meters if m.limits("main", key.provider)]


def may_leave(queue: Queue, meters: Sequence[Meter]) -> bool:
    """Whether the limits leave room for one more."""
    return all(
        (m.left_to_small if queue.is_small else m.left) > 0 for m in limiting(meters, queue.key)
    )


def replayed(turns: Turns) -> list[QueueKey]:
    """Whose turn it was, one by one."""
    return [turn.key for turn in turns.order for _ in range(turn.copies)]


@given(queues(), meters(), st.integers(0, 200))
def test_no_limit_is_exceeded(queues: list[Queue], meters: list[Meter], at_most: int) -> None:
    """Counted one by one, no departure breaks the law, nor a large one what is kept."""
    by_key = {q.key: q for q in queues}
    used = [m.spent + m.claimed for m in meters]

    turns = share(queues, meters, at_most=at_most)

    for key in replayed(turns):
        for i, each in enumerate(meters):
            if each.limits("main", key.provider):
                used[i] += 1
                assert used[i] <= each.amount
                # Of what is about to leave the period nothing is kept free.
                leaving = each.spent - each.spent_within
                if not by_key[key].is_small:
                    assert used[i] - leaving <= each.amount - each.kept
    assert [m.spent + m.claimed for m in meters] == used
    assert sum(turns.taken.values()) <= at_most
    assert all(0 < count <= by_key[key].waiting for key, count in turns.taken.items())


@given(queues(), meters(), st.integers(0, 200))
def test_nothing_that_may_leave_stays(
    queues: list[Queue], meters: list[Meter], at_most: int
) -> None:
    """What still waits has no room in some limit, unless all that was asked for leaves."""
    turns = share(queues, meters, at_most=at_most)

    taken = turns.taken
    if sum(taken.values()) < at_most:
        waits = [q for q in queues if q.waiting > taken.get(q.key, 0)]
        assert not any(may_leave(queue, meters) for queue in waits)


@given(queues(), meters(), st.integers(1, 200))
def test_reserve(queues: list[Queue], meters: list[Meter], at_most: int) -> None:
    """No large one leaves before a small one that has room in the law and in the reserve."""
    by_key = {q.key: q for q in queues}
    before = [(m.claimed, m.small) for m in meters]

    turns = share(queues, meters, at_most=at_most)

    # Played again: nothing but the meters says who could have left.
    for each, (claimed, of_small) in zip(meters, before, strict=True):
        each.claimed, each.small = claimed, of_small
    waiting = {q.key: q.waiting for q in queues}
    for key in replayed(turns):
        entitled = [
            q
            for q in queues
            if q.is_small
            and waiting[q.key]
            and all(m.left_to_small > 0 and m.reserve_left > 0 for m in limiting(meters, q.key))
        ]
        if entitled:
            assert by_key[key].is_small
            if any(q.is_notices for q in entitled):
                assert key.posting_id is None
        waiting[key] -= 1
        for each in limiting(meters, key):
            each.take(1, small=by_key[key].is_small)


@given(queues(), meters(), st.integers(0, 200))
def test_deterministic(queues: list[Queue], meters: list[Meter], at_most: int) -> None:
    """The order in which queues are read is nobody's advantage."""
    before = [(m.claimed, m.small) for m in meters]
    turns = share(queues, meters, at_most=at_most)
    for each, (claimed, of_small) in zip(meters, before, strict=True):
        each.claimed, each.small = claimed, of_small

    assert share(queues[::-1], meters, at_most=at_most) == turns


@settings(max_examples=50)  # Each plays many rounds.
@given(
    weights=st.lists(st.sampled_from([1, 2, 4]), min_size=1, max_size=4),
    started=st.lists(st.integers(0, 4000), min_size=4, max_size=4),
    at_most=st.integers(3, 7),
    closed=st.booleans(),
)
def test_nobody_starves(
    weights: list[int],
    started: list[int],
    at_most: int,
    closed: bool,  # noqa: FBT001 - Drawn.
) -> None:
    """Over many rounds every posting gets its share, wherever it began.

    Who comes first is owed at most ten turns of weight 1: each of the others is
    ahead by no more than ten of its weights, and by one turn each way.
    """
    waiting = {
        QueueKey(n, PROVIDERS[n % 2]): Queue(
            QueueKey(n, PROVIDERS[n % 2]), MANY, is_small=False, weight=w, passed=started[n] / 4
        )
        for n, w in enumerate(weights)
    }
    blocked = Queue(QueueKey(99, "sfr"), MANY, is_small=False, weight=4)
    had = dict.fromkeys(waiting, 0)
    rounds = 100
    for _ in range(rounds):
        room = [unspaced(0, "sfr")] if closed else []
        queues = [*waiting.values(), *([blocked] if closed else [])]
        turns = share(queues, room, at_most=at_most)
        for key, count in turns.taken.items():
            had[key] += count
            queue = waiting[key]
            waiting[key] = Queue(key, MANY, queue.is_small, queue.weight, turns.passed[key])

    total = rounds * at_most
    assert sum(had.values()) == total
    for key, queue in waiting.items():
        fair = total * queue.weight / sum(weights)
        assert had[key] >= fair - (10 + 1) * queue.weight - 1


@given(
    amount=st.integers(20, 200),
    weights=st.lists(st.sampled_from([1, 2, 4]), min_size=1, max_size=4),
)
def test_small_is_not_starved_beyond_the_reserve(amount: int, weights: list[int]) -> None:
    """A small posting that has used the reserve still gets turns among the large ones.

    What it had of the reserve counts as turns, so in all it has no less than the
    reserve, or no less than its share less one.
    """
    reserve = amount // 5
    queues = [
        small(0, waiting=MANY),
        *(
            Queue(QueueKey(n, "orange"), MANY, is_small=False, weight=w)
            for n, w in enumerate(weights, start=1)
        ),
    ]

    had = share(queues, [unspaced(amount)], at_most=amount).taken[QueueKey(0, "orange")]

    share_of_law = (amount - amount // 20) * 2 / (2 + sum(weights))
    assert had >= max(reserve, share_of_law - 2)
