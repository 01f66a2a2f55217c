"""How the demo looks: a snapshot and the last events, as rich draws them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from worker.demo.snapshot import Allowance, ProviderSeen, Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.console import RenderableType

_TALL_ROWS = 42  # What everything takes; in fewer rows the small providers share one.
_ROWS_OF_FRAME = 15  # Borders, headings, spaces, and the line of the cursor.
_FEWEST_EVENTS = 3
_WIDE_COLUMNS = 100
_WIDEST_COLUMNS = 120


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth a line; *style* is a colour of rich's."""

    at: datetime
    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Size:
    """Of the terminal, in cells."""

    columns: int
    rows: int


def picture(
    snapshot: Snapshot, events: Sequence[Event], *, pages: Sequence[str], speed: float, size: Size
) -> RenderableType:
    """Draw everything; at most as wide as people read."""
    # Room for the ^C that a terminal echoes; in the next line it would spoil the picture.
    width = min(size.columns - 2, _WIDEST_COLUMNS)
    providers: Sequence[ProviderSeen] = snapshot.providers
    if size.rows < _TALL_ROWS:
        providers = _small_ones_together(providers)
    taken = _ROWS_OF_FRAME + len(providers) + len(snapshot.postings) + len(pages)
    shown = list(events)[-max(_FEWEST_EVENTS, size.rows - taken) :]
    blocks: list[RenderableType] = [
        _title(snapshot, speed=speed),
        Text(),
        _providers(snapshot, providers),
        Text(),
        _postings(snapshot, is_wide=width >= _WIDE_COLUMNS),
        Text(),
        *(line(event) for event in shown),
        footer(pages),
    ]
    return Panel(Group(*blocks), width=width, border_style="dim", padding=(0, 1))


def _title(snapshot: Snapshot, *, speed: float) -> Text:
    pace = f"a day passes in {86_400 / speed:.0f} seconds"
    return Text.assemble(
        ("Relais ", "bold"), (f"{snapshot.now:%A %d %B, %H:%M}", "bold cyan"), (f"  {pace}", "dim")
    )


def _providers(snapshot: Snapshot, providers: Sequence[ProviderSeen]) -> Table:
    table = _table("Provider", "Used of limit", "")
    table.columns[2].ratio = 1
    for heading in ("Waiting", "Handed over", "Bounced"):
        table.add_column(heading, justify="right", no_wrap=True)
    everything = _sum("our host, all", snapshot.host, snapshot.providers)
    for provider in (*providers, everything):
        allowance = provider.allowance
        table.add_row(
            provider.display,
            f"{allowance.used:3} of {allowance.limit}" if allowance else "",
            _bar(allowance) if allowance else "",
            str(provider.waiting or ""),
            str(provider.handed_over or ""),
            str(provider.bounced or ""),
            style="yellow" if provider.is_full else "",
        )
    return table


def _table(*headings: str) -> Table:
    table = Table(box=SIMPLE_HEAD, expand=True, pad_edge=False, show_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table


def _small_ones_together(providers: Sequence[ProviderSeen]) -> list[ProviderSeen]:
    limited = [provider for provider in providers if provider.allowance]
    others = [provider for provider in providers if not provider.allowance]
    return [*limited, _sum(f"{len(others)} others", None, others)]


def _sum(
    display: str, allowance: Allowance | None, providers: Sequence[ProviderSeen]
) -> ProviderSeen:
    return ProviderSeen(
        display,
        allowance,
        sum(provider.waiting for provider in providers),
        sum(provider.handed_over for provider in providers),
        sum(provider.bounced for provider in providers),
    )


def _bar(allowance: Allowance) -> ProgressBar:
    return ProgressBar(
        total=allowance.limit.amount,
        completed=min(allowance.used, allowance.limit.amount),
        complete_style="cyan",
        finished_style="yellow",
    )


def _postings(snapshot: Snapshot, *, is_wide: bool) -> Table:
    table = _table("List", *(["Subject"] if is_wide else []))
    if is_wide:
        table.columns[1].ratio = 1
    for heading in ("People", "Handed over", "Waiting", "Bounced", "Left", "Skipped"):
        table.add_column(heading, justify="right", no_wrap=True)
    for posting in snapshot.postings:
        counts = (
            posting.recipients,
            posting.handed_over,
            posting.waiting,
            posting.bounced,
            posting.cancelled,
            posting.suppressed,
        )
        subject = [Text(posting.subject)] if is_wide else []
        table.add_row(
            Text(posting.address),
            *subject,
            *(str(count or "") for count in counts),
            style="dim" if posting.state == "finished" else "",
        )
    return table


def line(event: Event) -> Text:
    """Draw one event."""
    return Text.assemble((f"{event.at:%a %H:%M}  ", "dim"), (event.text, event.style))


def footer(pages: Sequence[str]) -> Group:
    """Draw the pages to try, and the way out."""
    ways = [page_line(page) for page in pages]
    return Group(Text(), *ways, Text("Ctrl-C ends it; nothing has left this machine", "dim"))


def page_line(page: str) -> Text:
    """Draw one page to try."""
    return Text.assemble(("try  ", "dim"), (page, "underline"))
