"""What authors are told, on real servers: messages to 820 people, from receipt to report.

While copies wait for a limit, the database's clock is set forward to when there is room
again; while they leave it goes as clocks do. One that only ran faster would have each
submission take minutes, and what a submission takes is no part of a plan.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import re
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import aiohttp
import pytest
import pytest_asyncio

from tests.journeys.relais import DOMAIN, audit, message, submit, until
from worker.actors.dispatcher import seconds_until_claimable
from worker.mail.return_address import Purpose, subscriber_number
from worker.notices.moments import about_time
from worker.store import suppressions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from datetime import datetime
    from email.message import EmailMessage

    from tests.journeys.relais import Relais
    from tests.servers.dovecot import Dovecot
    from tests.servers.postfix import Accepted, Dot, Postfix

pytestmark = [pytest.mark.real_servers, pytest.mark.slow]

AUTHOR = "president@membres.test"
SECRETARY = "secretariat@club.test"
ALL = f"adherents@{DOMAIN}"
PARIS = ZoneInfo("Europe/Paris")
CONNECTIONS = 2
# With the author they are 820. As Relais is shipped, Orange takes 100 a day, Outlook 300,
# Gmail and Free some hundreds an hour; nothing limits the rest.
MEMBERS = {"orange.fr": 151, "hotmail.fr": 91, "gmail.com": 180, "free.fr": 40, "club.test": 357}
NAMES = {
    "Orange / Wanadoo": "orange",
    "Outlook / Hotmail": "outlook",
    "Gmail": "google",
    "Free": "free",
    "Autres": "other",
}
UNKNOWN = [f"inconnu-{n}@{domain}" for domain in ("gmail.com", "club.test") for n in range(3)]

LIST = """
    create view lists.adherents as
    select email, name, person, 'fr' as lang from club.member;
    select lists.define(view => 'lists.adherents', address => 'adherents', title => 'Adhérents',
                        owner => 'secretariat@club.test');
"""

WAITING = """
    SELECT count(*) FROM relais.delivery
     WHERE provider = ANY($1) AND posting_id IS NOT NULL
       AND state IN ('queued', 'claimed', 'dotting', 'deferred')
"""
MARKED_AFTER = """
    SELECT count(*) FROM relais.delivery d JOIN relais.posting o USING (posting_id)
     WHERE d.marked_at > o.finished_at
"""
IN_HAND = "SELECT EXISTS (SELECT FROM relais.delivery WHERE state IN ('claimed', 'dotting'))"


@dataclass(frozen=True, slots=True)
class Scene:
    """A worker that runs between real servers, and the pages that it serves."""

    relais: Relais
    dovecot: Dovecot
    postfix: Postfix
    web_port: int
    browser: aiohttp.ClientSession
    deliveries: set[int] = field(default_factory=set)  # Of the posting whose copies are counted.

    async def join(self, addresses: list[str]) -> None:
        """Add members."""
        await self.relais.db.executemany(
            "INSERT INTO club.member VALUES ($1, $1, $1, 'membre', 'comite')",
            [(address,) for address in addresses],
        )

    async def post(self, subject: str) -> tuple[int, EmailMessage, bytes]:
        """Let the author's provider bring a message; return its posting, its receipt, and it."""
        raw = message(ALL, author=AUTHOR, subject=subject)
        await submit(self.postfix.inbound_port, AUTHOR, ALL, raw)
        receipt = await self.letter(AUTHOR, "Reçu")
        rows = await self.relais.db.fetch(
            "SELECT posting_id, delivery_id FROM relais.delivery WHERE posting_id IS NOT NULL"
        )
        self.deliveries.update(row["delivery_id"] for row in rows)
        return rows[0]["posting_id"], receipt, raw

    async def letter(self, recipient: str, state: str) -> EmailMessage:
        """Wait for a letter whose subject begins with *state*, and return the newest."""
        await until(lambda: bool(self.letters(recipient, state)))
        return self.letters(recipient, state)[-1]

    def letters(self, recipient: str, state: str) -> list[EmailMessage]:
        """Return the letters whose subject begins with *state*."""
        received = (
            email.message_from_bytes(raw, policy=email.policy.default)
            for raw in self.dovecot.received(recipient)
        )
        return [letter for letter in received if str(letter["subject"]).startswith(state)]

    async def press(self, page: str, **button: str) -> None:
        """Press a button of a page; what it leads to is not looked at."""
        address = f"http://127.0.0.1:{self.web_port}{page}"
        async with self.browser.post(address, data=button, allow_redirects=False) as done:
            assert done.status in {200, 303}

    async def figures_on(self, page: str) -> dict[str, int]:
        """Return what the author's page says of a message that has ended."""
        address = f"http://127.0.0.1:{self.web_port}{page}?lang=fr"
        async with self.browser.get(address) as shown:
            found = re.findall(r"<dt>([^<]+)</dt><dd>(\d+)</dd>", await shown.text())
        figures = called((name, int(number)) for name, number in found)
        assert figures.pop("recipients") == sum(figures.values())
        return figures

    async def figures_of_verb(self, posting: int) -> dict[str, int]:
        """Return what `relais posting show` says of a message that has ended."""
        said = json.loads(await self.relais.verb("posting", "show", str(posting), "--json"))
        names = {"handed_over": "handed_over", "bounced": "refused", "cancelled": "stopped"}
        return {name: said[key] for key, name in names.items() if said[key]}

    def copies(self, *, after: float = 0.0) -> list[Dot]:
        """Return the copies that have come to the host."""
        return [dot for dot in self.postfix.dots if dot.at > after and self._counts(dot)]

    def fates(self) -> list[str]:
        """Return what became of each copy after the host took it: sent or bounced."""
        tried = [
            handover
            for accepted in self.postfix.accepted()
            if self._counts(accepted)
            for handover in accepted.handovers
        ]
        assert len({handover.recipient for handover in tried}) == len(tried), "nobody twice"
        return [handover.status for handover in tried if handover.status != "deferred"]

    def _counts(self, sent: Dot | Accepted) -> bool:
        token = sent.return_address.removeprefix("return-").partition("@")[0]
        return self.relais.tokens.read(Purpose.RETURN, token) in self.deliveries

    async def until_nothing_leaves(self) -> dict[str, int]:
        """Wait until no copy is in hand and every report is in; return the servers' figures."""
        await self.relais.until(f"SELECT NOT ({IN_HAND})")
        await until(lambda: len(self.fates()) == len(self.copies()))
        sent, bounced = (self.fates().count(status) for status in ("sent", "bounced"))
        await self.relais.until(
            "SELECT count(*) = $1 FROM relais.delivery"
            " WHERE state = 'bounced' AND posting_id IS NOT NULL",
            bounced,
        )
        return {"handed_over": sent, **({"refused": bounced} if bounced else {})}

    async def skip(self, interval: str) -> None:
        """Set the clock forward, and tell those who sleep by it."""
        await self.relais.pass_time(interval)
        await self.relais.wake()

    async def skip_waiting(self, *providers: str) -> None:
        """Set the clock forward whenever nothing may leave, until all for *providers* has left."""
        while await self.relais.db.fetchval(WAITING, providers):
            if not await self.relais.db.fetchval(IN_HAND):
                seconds = await seconds_until_claimable(self.relais.db, "main")
                if seconds is not None and seconds > 0:
                    await self.skip(f"{seconds} seconds")
            await asyncio.sleep(0.01)  # The worker tells a spectator nothing.


@pytest_asyncio.fixture
async def scene(
    relais: Relais, dovecot: Dovecot, postfix: Postfix, web_port: int
) -> AsyncIterator[Scene]:
    """The worker on a Monday morning; the author is the first member."""
    postfix.providers.answer("^inconnu-", "550 5.1.1 User unknown")
    await relais.define(LIST)
    await relais.db.execute(
        "UPDATE relais.clock SET since = clock_timestamp(),"
        " origin = date_trunc('week', clock_timestamp()) + interval '7 days 8 hours'"
    )
    await relais.start()
    async with aiohttp.ClientSession() as browser:
        scene = Scene(relais, dovecot, postfix, web_port, browser)
        await scene.join([AUTHOR])
        yield scene


def everybody() -> list[str]:
    """Return the addresses of the other members, six of which their providers do not know."""
    unknown = {domain: [a for a in UNKNOWN if a.endswith(f"@{domain}")] for domain in MEMBERS}
    known = [
        f"membre-{n}@{domain}"
        for domain, count in MEMBERS.items()
        for n in range(count - len(unknown[domain]))
    ]
    return [*UNKNOWN, *known]


def text_of(letter: EmailMessage) -> str:
    """Return what is read of a letter."""
    body = letter.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def page_of(letter: EmailMessage) -> str:
    """Return where the author follows the message."""
    found = re.search(r"/p/[a-z2-7]{32}", text_of(letter))
    assert found is not None
    return found[0]


def rows_of(letter: EmailMessage) -> dict[str, tuple[int, str]]:
    """Return the rows of a letter's table: a name, a number, and what is said of it."""
    lines = [[*re.split(r" {2,}", line.strip()), ""] for line in text_of(letter).splitlines()]
    return {row[0]: (int(row[1]), row[2]) for row in lines if row[1].isdigit()}


def figures_of(report: EmailMessage) -> dict[str, int]:
    """Return the figures of a closing report."""
    return called((name, number) for name, (number, _) in rows_of(report).items())


def called(figures: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Name what became of people in English; the first letters are enough to know it."""
    known = {
        "remis": "handed_over",
        "refus": "refused",
        "désab": "unsubscribed",
        "arrêt": "stopped",
        "desti": "recipients",
    }
    return {known[name[:5].lower()]: number for name, number in figures}


def promised(receipt: EmailMessage, written_at: datetime) -> dict[str, datetime]:
    """Return until when the receipt says that all has left, by provider, taking it at its word."""
    now = written_at.astimezone(PARIS)
    hour = now.replace(minute=0, second=0, microsecond=0)
    quarters = [hour + n * timedelta(minutes=15) for n in range(1, 7 * 24 * 4)]
    times = {about_time("fr", quarter, now): quarter for quarter in quarters if quarter > now}
    times[about_time("fr", now, now)] = now + timedelta(minutes=10)
    return {NAMES[name]: times[words] for name, (_, words) in rows_of(receipt).items()}


async def reply(scene: Scene, receipt: EmailMessage, words: str, *, more: bytes = b"") -> None:
    """Answer a receipt as a mail program does: above the quoted text, with *more* fields."""
    found = re.search(r"<(posting-[^>]+)>", str(receipt["from"]))
    assert found is not None
    quoted = "".join(f"> {line}\r\n" for line in text_of(receipt).splitlines())
    body = f"{words}\r\n\r\nLe lun. 30 nov. 2026 à 10:00, Listes a écrit :\r\n{quoted}"
    raw = more + message(found[1], author=AUTHOR, subject="Re: Reçu", body=body)
    await submit(scene.postfix.inbound_port, AUTHOR, found[1], raw)


def check_receipt(scene: Scene, receipt: EmailMessage, about: bytes, posting: int) -> None:
    """Check that it is an answer in the author's thread, which no program answers."""
    original = email.message_from_bytes(about, policy=email.policy.default)
    written = re.search(r"<posting-([a-z2-7]{32})@listes\.test>", str(receipt["from"]))
    assert written is not None
    assert scene.relais.tokens.read(Purpose.POSTING, written[1]) == posting
    assert receipt["reply-to"] is None
    assert str(receipt["auto-submitted"]) == "auto-replied"
    assert str(receipt["in-reply-to"]) == str(original["message-id"])
    assert str(receipt["content-language"]) == "fr"
    assert str(receipt["return-path"]) == "<>"
    [dot] = [dot for dot in scene.postfix.dots if dot.recipient == AUTHOR]
    assert dot.return_address == "", "MAIL FROM:<>"


async def check_the_grace(scene: Scene, posting: int) -> None:
    """Wait until the first copies leave, which is five minutes after the message was taken."""
    assert scene.copies() == []
    opens_at = await scene.relais.db.fetchval(
        "SELECT not_before FROM relais.posting"
        " WHERE posting_id = $1 AND not_before >= accepted_at + interval '5 minutes'",
        posting,
    )
    await scene.skip("4 minutes 55 seconds")
    await until(lambda: bool(scene.copies()))
    first = "SELECT min(marked_at) FROM relais.delivery WHERE posting_id = $1"
    assert await scene.relais.db.fetchval(first, posting) >= opens_at


async def stop_on_the_way(scene: Scene, page: str) -> Mapping[str, float]:
    """Press "stop" when 100 copies have left; return how many have left when."""
    await until(lambda: len(scene.copies()) >= 100)
    pressed_at = time.monotonic()
    await scene.press(page, action="stop")
    answered_at = time.monotonic()
    await scene.relais.until(f"SELECT NOT ({IN_HAND})")
    after = len(scene.copies(after=pressed_at))
    return {
        "copies_before_the_button": len(scene.copies()) - after,
        "copies_after_the_button": after,
        "copies_after_its_answer": len(scene.copies(after=answered_at)),
        "copies_marked_after_the_stop": await scene.relais.db.fetchval(MARKED_AFTER),
        "seconds_until_the_answer": round(answered_at - pressed_at, 2),
    }


async def unsubscribe_one(scene: Scene, provider: str) -> None:
    """Let the last whose copy waits for *provider* leave the list, by the link of theirs."""
    row = await scene.relais.db.fetchrow(
        "SELECT o.list_id, d.person_id FROM relais.delivery d JOIN relais.posting o"
        " USING (posting_id) WHERE d.state = 'queued' AND d.provider = $1"
        " ORDER BY d.delivery_id DESC LIMIT 1",
        provider,
    )
    assert row is not None
    subscriber = await suppressions.subscriber(scene.relais.db, row["list_id"], row["person_id"])
    assert subscriber is not None
    token = scene.relais.tokens.sign(
        Purpose.UNSUBSCRIBE,
        subscriber_number(row["list_id"], row["person_id"]),
        stands_for=subscriber.subscription,
    )
    await scene.press(f"/u/{token.decode()}", **{"List-Unsubscribe": "One-Click"})


async def finish_times(
    scene: Scene, receipt: EmailMessage, posting: int
) -> dict[str, tuple[datetime, datetime]]:
    """Return by provider when its copies were said to have left, and when they had."""
    written_at = await scene.relais.db.fetchval("SELECT written_at FROM relais.receipt")
    rows = await scene.relais.db.fetch(
        "SELECT provider, max(marked_at) AS last FROM relais.delivery"
        " WHERE posting_id = $1 GROUP BY 1",
        posting,
    )
    last = {row["provider"]: row["last"].astimezone(PARIS) for row in rows}
    return {
        provider: (moment, last[provider])
        for provider, moment in promised(receipt, written_at).items()
    }


@pytest.mark.timeout(300)
async def test_820_people(scene: Scene) -> None:
    """Told when it ends, stopped on the way, taken up again, and told how it ended."""
    await scene.join(everybody())
    begun = time.monotonic()
    posting, receipt, raw = await scene.post("Convocation")
    figures: dict[str, object] = {"receipt_after_seconds": round(time.monotonic() - begun, 2)}
    check_receipt(scene, receipt, raw, posting)
    page = page_of(receipt)
    await check_the_grace(scene, posting)

    stop = await stop_on_the_way(scene, page)
    figures |= stop
    # What was marked before goes on: one copy per connection.
    assert stop["copies_after_its_answer"] <= CONNECTIONS
    servers = await scene.until_nothing_leaves()
    servers["stopped"] = 820 - sum(servers.values())
    assert await scene.figures_on(page) == servers
    assert await scene.figures_of_verb(posting) == servers
    await scene.skip("5 minutes")
    assert figures_of(await scene.letter(AUTHOR, "Arrêté")) == servers
    assert len(scene.copies()) == 820 - servers["stopped"]

    await scene.press(page, action="resume")
    await scene.relais.until(f"SELECT ({WAITING}) = 0", ["other"])
    await scene.relais.run_clock(60)  # Some hundreds an hour: seconds lie between two copies.
    await scene.relais.until(f"SELECT ({WAITING}) = 0", ["google", "free"])
    await scene.relais.run_clock(1)
    for provider in ("orange", "outlook"):
        await unsubscribe_one(scene, provider)
    await scene.skip_waiting("orange", "outlook")
    await scene.relais.until("SELECT state = 'finished' FROM relais.posting")
    servers = await scene.until_nothing_leaves()
    assert servers == {"handed_over": 812, "refused": 6}
    await scene.skip("5 minutes")
    report = await scene.letter(AUTHOR, "Bilan")
    assert figures_of(report) == {**servers, "unsubscribed": 2}
    assert not any(address in text_of(report) for address in UNKNOWN)
    told = await scene.letter(SECRETARY, "Non remis")
    assert all(address in text_of(told) for address in UNKNOWN)
    assert len(scene.letters(AUTHOR, "Reçu")) == 1

    found = await audit(scene.relais, submitted(scene.postfix))
    assert found.balances, found
    assert found.duplicates == 0
    times = await finish_times(scene, receipt, posting)
    figures |= {
        provider: f"said {said:%a %H:%M}, was {last:%a %H:%M:%S}"
        for provider, (said, last) in times.items()
    }
    print(*figures.items(), sep="\n")  # noqa: T201 - pytest -s shows what was measured
    for said, last in times.values():
        # The stop took five minutes of each, whoever unsubscribed gave Orange a quarter of
        # an hour; the words are the next full hour.
        assert said - timedelta(hours=1, minutes=30) <= last <= said + timedelta(minutes=30)


def submitted(postfix: Postfix) -> list[tuple[str, str]]:
    """Return (name, recipient) of all that the host accepted from us, as audit() asks."""
    return [
        (accepted.return_address or accepted.message_id, handover.recipient)
        for accepted in postfix.accepted()
        for handover in accepted.handovers
        if accepted.return_address.startswith("return-") or not accepted.return_address
    ]


async def test_stopped_before_the_first_copy(scene: Scene) -> None:
    """Within the five minutes nobody gets it, and its author is told so."""
    await scene.join(everybody())
    posting, receipt, _ = await scene.post("Mauvaise pièce jointe")

    await scene.press(page_of(receipt), action="stop")
    await scene.skip("5 minutes 5 seconds")
    report = await scene.letter(AUTHOR, "Arrêté")

    assert figures_of(report) == {"stopped": 820}
    assert await scene.figures_on(page_of(receipt)) == {"stopped": 820}
    assert await scene.figures_of_verb(posting) == {"stopped": 820}
    assert scene.copies() == []


async def test_stopped_by_a_reply(scene: Scene) -> None:
    """An absence message changes nothing, a first line that says stop stops the rest."""
    await scene.join([f"membre-{n}@orange.fr" for n in range(40)])
    posting, receipt, _ = await scene.post("Convocation")
    leaves_at_once = 6  # Of the author's provider, and the first of Orange's.
    await until(lambda: len(scene.copies()) == leaves_at_once)

    absent = b"Auto-Submitted: auto-replied\r\nPrecedence: bulk\r\n"
    await reply(scene, receipt, "Stop, je suis en vacances.", more=absent)
    await scene.relais.until_outcomes("dropped_automatic", "posted")
    assert await scene.relais.db.fetchval("SELECT state FROM relais.posting") == "open"

    await reply(scene, receipt, "STOP, mauvais fichier")
    await scene.relais.until_outcomes("dropped_automatic", "posted", "stopped")
    await scene.until_nothing_leaves()
    left = len(scene.copies())
    await scene.skip("1 hour")
    report = await scene.letter(AUTHOR, "Arrêté")
    assert figures_of(report) == {"handed_over": left, "stopped": 41 - left}
    assert await scene.figures_of_verb(posting) == figures_of(report)
    assert len(scene.copies()) == left == leaves_at_once
