"""The fetcher: takes messages from the catch-all mailbox, one UID at a time.

INBOX is the queue. A message is stored, the store is committed, and only then
is it moved to relais/taken; a crash in between finds it known by its key.

    the process dies after       on the next look the message is
    the attempt is recorded      fetched again; the third time, moved to quarantine unread
    the bytes are committed      known, and only moved
    the move                     gone from INBOX

IDLE is a hint, the look at all UIDs is the truth. One fetcher leads at a time;
two at once are harmless because of the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from worker.errors import LoginRefused, MailboxLost, MailboxRefused, StoreLost
from worker.inbox.imap import Inbox
from worker.store import arrivals, leases
from worker.store.arrivals import FOLDERS, QUARANTINE, TAKEN, Place
from worker.store.database import borrowed

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.actors.signals import Signals
    from worker.config import Mailbox
    from worker.store.database import Pool
    from worker.telemetry.metrics import Metrics

log = structlog.get_logger()

DUTY = "fetcher"
INBOX_FOLDER = "INBOX"
LARGEST_BYTES = 50 * 1024 * 1024
_CRASHES_ALLOWED = 3
_IDLE_AT_MOST = timedelta(minutes=4)  # Hosts and NATs drop longer ones without a word.
_LOGIN_PAUSES = (1800.0, 7200.0, 21600.0)
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 300.0


@dataclass(frozen=True, slots=True)
class Post:
    """What a fetcher works with."""

    mailbox: Mailbox
    pool: Pool
    worker_id: str
    lease: timedelta
    chance: Callable[[], float]
    metrics: Metrics

    @property
    def account(self) -> str:
        """The name that arrivals keep of this mailbox."""
        return f"{self.mailbox.endpoint.user or 'mailbox'}@{self.mailbox.endpoint.host}"

    @property
    def look_every(self) -> timedelta:
        """How long at most between two looks at all of INBOX."""
        return min(self.mailbox.poll, _IDLE_AT_MOST)


async def run_fetcher(post: Post, *, signals: Signals) -> None:
    """Take messages while this worker leads, until it stops."""
    lost = refused = 0
    while not signals.stopping:
        try:
            if await _lead(post):
                await _watch(post, signals=signals)
            lost = refused = 0
            await signals.sleep(post.look_every.total_seconds() / 4)
        except LoginRefused as refusal:
            # Again and again would lock the account.
            pause = _LOGIN_PAUSES[min(refused, len(_LOGIN_PAUSES) - 1)]
            refused += 1
            post.metrics.imap_failed("login")
            log.exception("inbox.login_refused", why=str(refusal), seconds=pause)
            await signals.sleep(pause)
        except (MailboxLost, MailboxRefused, StoreLost) as failure:
            longest = min(_FIRST_PAUSE_SECONDS * 2 ** min(lost, 16), _LONGEST_PAUSE_SECONDS)
            lost += 1
            post.metrics.imap_failed("lost")
            log.warning("inbox.interrupted", why=str(failure))
            await signals.sleep(longest * (0.5 + post.chance() / 2))
    await _step_down(post)


async def _lead(post: Post) -> bool:
    # Twice the time between two looks, so that a leader that is only slow keeps it.
    lease = max(post.lease, 2 * post.look_every + timedelta(seconds=30))
    async with borrowed(post.pool) as db:
        return await leases.take_duty(db, DUTY, post.worker_id, lease)


async def _step_down(post: Post) -> None:
    try:
        async with borrowed(post.pool) as db:
            await leases.yield_duty(db, DUTY, post.worker_id)
    except StoreLost:
        return  # The lease ends by itself.


async def _watch(post: Post, *, signals: Signals) -> None:
    """Look, take, wait for news, and so on, on one connection."""
    inbox = await Inbox.connect(post.mailbox.endpoint)
    try:
        await inbox.ensure_folders(FOLDERS)
        while not signals.stopping and await _lead(post):
            while await _look(post, inbox, signals=signals):
                pass  # What came while we took the others.
            await _file_again(post, inbox)
            post.metrics.imap_succeeded()
            post.metrics.actor_succeeded("fetcher")
            await inbox.wait_for_news(at_most=post.look_every, wake=signals.stopped)
    finally:
        post.metrics.imap_ended()
        await inbox.close()


async def _look(post: Post, inbox: Inbox, *, signals: Signals) -> bool:
    """Take all that lies in INBOX; return whether anything was taken."""
    selected = await inbox.select(INBOX_FOLDER)
    # Also when nothing may be taken: else what lies there would be news for ever.
    uids = await inbox.uids()
    async with borrowed(post.pool) as db:
        if not await arrivals.may_take(db, post.account, INBOX_FOLDER, selected.uidvalidity):
            log.error("inbox.halted", uidvalidity=selected.uidvalidity)
            return False
        known = await arrivals.known_uids(
            db, post.account, INBOX_FOLDER, selected.uidvalidity, uids
        )
    taken = False
    for uid in uids:
        if signals.stopping:
            return False
        place = Place(post.account, INBOX_FOLDER, selected.uidvalidity, uid)
        taken = await _take(post, inbox, place, is_known=uid in known) or taken
    return taken


async def _take(post: Post, inbox: Inbox, place: Place, *, is_known: bool) -> bool:
    """Store one message and move it. False if it stays where it is."""
    if is_known:
        return await _file(post, inbox, place, TAKEN)
    async with borrowed(post.pool) as db:
        attempts = await arrivals.begin_fetch(db, place)
    if attempts > _CRASHES_ALLOWED:
        log.error("message.quarantined", uid=place.uid, why="three crashes while fetching it")
        return await _file(post, inbox, place, QUARANTINE)
    stored = await _store(post, inbox, place)
    async with borrowed(post.pool) as db:
        await arrivals.end_fetch(db, place)
    return stored


async def _store(post: Post, inbox: Inbox, place: Place) -> bool:
    measured = await inbox.measure(place.uid)
    if measured is None:
        return False  # Somebody else took it away; that is their right.
    if measured.size_bytes > LARGEST_BYTES:
        log.error("message.quarantined", uid=place.uid, size_bytes=measured.size_bytes)
        return await _file(post, inbox, place, QUARANTINE)
    raw = await inbox.fetch(measured)
    if raw is None:
        return False
    async with borrowed(post.pool) as db:
        await arrivals.store(db, place, raw, internal_date=measured.internal_date)
    return await _file(post, inbox, place, TAKEN)


async def _file(post: Post, inbox: Inbox, place: Place, folder: str) -> bool:
    """Move a message out of INBOX. A host that refuses leaves it; its key protects it."""
    try:
        uid = await inbox.move(place.uid, folder)
    except MailboxRefused as refusal:
        post.metrics.imap_failed("move")
        log.warning("message.not_moved", uid=place.uid, folder=folder, why=str(refusal))
        return False
    async with borrowed(post.pool) as db:
        await arrivals.filed(db, place, folder, uid)
    return True


async def _file_again(post: Post, inbox: Inbox) -> None:
    """Move what the mediator wants to see in another folder."""
    async with borrowed(post.pool) as db:
        misfiled = await arrivals.misfiled(db, post.account)
    for arrival in misfiled:
        await inbox.select(arrival.filed_in)
        try:
            uid = await inbox.move(arrival.filed_uid, arrival.wanted_in)
        except MailboxRefused as refusal:
            log.warning("message.not_moved", arrival_id=arrival.arrival_id, why=str(refusal))
            continue
        async with borrowed(post.pool) as db:
            await arrivals.refiled(db, arrival.arrival_id, arrival.wanted_in, uid)
