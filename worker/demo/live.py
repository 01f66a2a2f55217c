"""The demo that people watch: a federation writes letters, on a clock that runs fast."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from contextlib import contextmanager
from datetime import timedelta
from itertools import count, islice
from typing import TYPE_CHECKING

from rich.live import Live

from worker.demo import snapshot
from worker.demo.screen import Event, Size, footer, line, page_line, picture
from worker.demo.stage import staged
from worker.demo.world import Happening
from worker.policy.limit import read_limit
from worker.store.database import borrowed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from worker.demo.federation import Member
    from worker.demo.snapshot import Snapshot
    from worker.demo.stage import Stage
    from worker.store.postings import PostingSummary

SPEED = 1440.0  # A day passes in a minute.

HOST_LIMITS = (read_limit("200/hour"),)
_LOOK_SECONDS = 0.25
_EVENTS_KEPT = 12

_LETTERS = (
    "La lettre : la rentrée",
    "La lettre : le calendrier",
    "La lettre : les stages",
    "La lettre : l'assemblée générale",
)
_REFEREES_SUBJECT = "Désignations du week-end"
_BOARD_SUBJECT = "Réunion de jeudi : ordre du jour"
_TEXT = "Bonjour,\n\nVous trouverez le détail dans votre espace membre.\n\nBien à vous\n"


class Chronicle:
    """The events, dated by the fast clock; shown at once where there is no screen."""

    def __init__(self, console: Console) -> None:
        self.events: deque[Event] = deque(maxlen=_EVENTS_KEPT)
        self._console = console
        self._latest: Snapshot | None = None

    def looked(self, seen: Snapshot) -> None:
        """Note what is there now, and tell what is new in it."""
        before, self._latest = self._latest, seen
        if before is not None:
            for text, style in _news(before, seen):
                self.tell(text, style)

    def tell(self, text: str, style: str = "") -> None:
        """Add an event that happens now."""
        if self._latest is None:
            return  # Nobody watches yet.
        event = Event(self._latest.now, text, style)
        self.events.append(event)
        if not self._console.is_terminal:
            self._console.print(line(event), soft_wrap=True)

    def happened(self, happening: Happening, address: str) -> None:
        """Add what the outside world did."""
        who = _masked(address)
        match happening:
            case Happening.GREYLISTED:
                self.tell(f"{who} is greylisted: tried again later")
            case Happening.FULL:
                self.tell(f"{who} has a full mailbox: tried again later")
            case Happening.REPORTED:
                self.tell(f"the host reports that {who} does not exist", "red")


def _masked(address: str) -> str:
    local_part, _, domain = address.partition("@")
    return f"{local_part[:2]}…@{domain}"


def _news(before: Snapshot, seen: Snapshot) -> Iterator[tuple[str, str]]:
    """Tell what has changed between two looks."""
    known = {posting.posting: posting for posting in before.postings}
    for posting in reversed(seen.postings):
        old = known.get(posting.posting)
        if old is None and posting.state == "held":
            yield f"{posting.address}: held, its moderators are asked", "yellow"
        elif old is None:
            yield _expanded(posting), "green"
        if _is_done(posting) and not (old and _is_done(old)):
            yield _done(posting, seen), "green"
    full = {provider.display for provider in before.providers if provider.is_full}
    for provider in seen.providers:
        if provider.is_full and provider.allowance and provider.display not in full:
            limit = provider.allowance.limit
            yield f"{provider.display} has had its {limit}: {provider.waiting} wait", "yellow"


def _is_done(posting: PostingSummary) -> bool:
    return posting.state != "held" and posting.waiting + posting.in_doubt == 0


def _expanded(posting: PostingSummary) -> str:
    skipped = f", {posting.suppressed} had left" if posting.suppressed else ""
    unusable = f", {posting.unusable} have no usable address" if posting.unusable else ""
    return f"{posting.address}: a copy each for {posting.recipients} people{skipped}{unusable}"


def _done(posting: PostingSummary, seen: Snapshot) -> str:
    overtaken = [p.address for p in seen.postings if p.posting < posting.posting and p.waiting]
    first = f", before {overtaken[0]}" if overtaken else ""
    bounced = f", {posting.bounced} bounced" if posting.bounced else ""
    return f"{posting.address}: {posting.handed_over} handed over{bounced}: done{first}"


async def play_live(console: Console, *, speed: float = SPEED) -> None:
    """Play until Ctrl-C."""
    stopped = asyncio.Event()
    chronicle = Chronicle(console)
    with _until_signalled(stopped):
        console.print("Relais: starting PostgreSQL, a mailbox, a host, and a worker ...")
        async with staged(speed=speed, host_limits=HOST_LIMITS, tell=chronicle.happened) as stage:
            async with asyncio.TaskGroup() as players:
                tasks = [
                    players.create_task(_watch(stage, chronicle, console), name="spectator"),
                    players.create_task(tell_story(stage, chronicle), name="story"),
                ]
                await stopped.wait()
                for task in tasks:
                    task.cancel()
            console.print("Relais: finishing what is under way ...")


@contextmanager
def _until_signalled(stopped: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _watch(stage: Stage, chronicle: Chronicle, console: Console) -> None:
    """Show what happens, until cancelled."""
    if not console.is_terminal:
        await _watch_plainly(stage, chronicle, console)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            seen = await look(stage, chronicle)
            size = Size(console.width, console.height)
            shown = picture(
                seen, chronicle.events, pages=pages_of(stage), speed=stage.speed, size=size
            )
            live.update(shown, refresh=True)
            await asyncio.sleep(_LOOK_SECONDS)


async def _watch_plainly(stage: Stage, chronicle: Chronicle, console: Console) -> None:
    shown: set[str] = set()
    console.print(footer([]))
    while True:
        await look(stage, chronicle)
        for page in pages_of(stage):
            if page not in shown:
                console.print(page_line(page), soft_wrap=True)
                shown.add(page)
        await asyncio.sleep(_LOOK_SECONDS)


async def look(stage: Stage, chronicle: Chronicle) -> Snapshot:
    """Take a snapshot, and tell what is new in it."""
    async with borrowed(stage.db) as db:
        seen = await snapshot.take(db)
    chronicle.looked(seen)
    return seen


def pages_of(stage: Stage) -> list[str]:
    """Return the addresses of the pages to try."""
    ops = f"http://127.0.0.1:{stage.ports.metrics}"
    # Of the first member who got a copy: nobody in the story uses that one. Letters of
    # ours, such as the author's receipt, have none.
    links = filter(None, (copy.personal_link for copy in stage.world.received))
    return [*islice(links, 1), f"{ops}/metrics", f"{ops}/healthz"]


async def tell_story(stage: Stage, chronicle: Chronicle) -> None:
    """Write a letter to everybody each day, small postings in between, and let people leave."""
    people = stage.federation
    await asyncio.sleep(2 * _LOOK_SECONDS)  # So that the first look is without it.
    for day in count():
        letter = _LETTERS[day % len(_LETTERS)]
        await _write(stage, chronicle, people.holder("communication"), "tous", letter)
        await stage.sleep(timedelta(hours=3))
        referee = people.holder("president", "arbitrage")
        await _write(stage, chronicle, referee, "membre.arbitrage", _REFEREES_SUBJECT)
        await stage.sleep(timedelta(hours=2))
        await _let_somebody_leave(stage, chronicle, 40 + 7 * day)
        await stage.sleep(timedelta(hours=2))
        secretary = people.holder("secretaire")
        await _write(stage, chronicle, secretary, "comite_directeur.comite", _BOARD_SUBJECT)
        await stage.sleep(timedelta(hours=19))


async def _write(
    stage: Stage, chronicle: Chronicle, author: Member, address: str, subject: str
) -> None:
    chronicle.tell(f"{author.full_name} writes to {address}: {subject}", "bold")
    await stage.post(author, address, subject=subject, text=_TEXT)


async def _let_somebody_leave(stage: Stage, chronicle: Chronicle, number: int) -> None:
    """Follow the link in somebody's copy and press the button, as a person would."""
    if number >= len(stage.world.received):
        return
    copy = stage.world.received[number]
    done = await stage.unsubscribe(copy.personal_link)
    said = "and gets nothing more" if done else "but the page refused"
    chronicle.tell(f"{_masked(copy.recipient)} unsubscribes on the page, {said}", "magenta")
