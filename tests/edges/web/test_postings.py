"""The page of an author, on a real database: what it shows, what it does, and what it does not."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from tests.edges.store.given import frozen_clock
from tests.edges.store.held import AUTHOR, a_posting
from tests.edges.web.directory import MemoryDirectory, NoDecisions
from tests.edges.web.test_decisions import heading, plain
from tests.edges.web.visitor import SITE, Visitor, assert_hardened, open_door, visiting
from worker.actors.following import Following
from worker.mail.return_address import Purpose, Tokens
from worker.store import stopping, wishes
from worker.store.database import close_pool, connect, open_pool
from worker.telemetry.metrics import Metrics
from worker.web.pages import build_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from worker.store.database import Connection
    from worker.store.stopping import Action

OUR_SITE = replace(SITE, timezone="Europe/Paris")
TOKENS = Tokens(OUR_SITE.secrets)

COPIES = """
    with person as (
        insert into relais.person (key)
        select 'person:' || n + (select count(*) from relais.person)
          from generate_series(1, $4::integer) n
        returning person_id)
    insert into relais.delivery (posting_id, person_id, address, provider, state, due_at,
                                 settled_at, reply)
    select $1::bigint, person_id, 'jean' || person_id || '@orange.fr', $2::text,
           $3::text::relais.delivery_state, relais.now(),
           case when $3 not in ('queued', 'deferred', 'claimed', 'in_doubt') then relais.now() end,
           $5
      from person
"""


@dataclass
class Clock:
    """The seconds of the process."""

    now: float = 0.0
    looks: int = 0  # Whoever wants a plan looks.

    def __call__(self) -> float:
        """Return them."""
        self.looks += 1
        return self.now


@dataclass(frozen=True)
class Page(Visitor):
    """A visitor of authors' pages, and the database behind them."""

    db: Connection
    clock: Clock
    metrics: Metrics

    async def shown(self, number: int, lang: str = "en") -> str:
        """Return the page of a posting, as plain text."""
        answer = await self.ask("GET", f"{link(number)}?lang={lang}")
        assert answer.status == 200
        assert_hardened(answer)
        text = re.sub(r"(?s)<style>.*?</style>|<[^>]+>", " ", answer.text)
        assert "@" not in text.replace(OUR_SITE.help_address, "")  # Nobody's address.
        return " ".join(plain(text).split())

    async def heading(self, number: int, lang: str = "en") -> str:
        """Return the heading of that page."""
        return heading(await self.ask("GET", f"{link(number)}?lang={lang}"))

    async def buttons(self, number: int) -> list[str]:
        """Return what the buttons of that page do."""
        answer = await self.ask("GET", link(number))
        return re.findall(r'name="action" value="(\w+)"', answer.text)

    async def press(self, number: int, action: str) -> None:
        """Press a button."""
        answer = await self.ask("POST", link(number), data={"action": action})
        assert (answer.status, answer.headers["Location"]) == (303, link(number).split("/")[-1])

    async def copies(
        self,
        number: int,
        state: str,
        count: int,
        *,
        provider: str = "orange",
        reply: str | None = None,
    ) -> None:
        """Let a posting have so many copies in a state."""
        await self.db.execute(COPIES, number, provider, state, count, reply)


def link(number: int) -> str:
    """Return the path that is in the letter."""
    return f"/p/{TOKENS.sign(Purpose.POSTING, number).decode()}"


@pytest.fixture
async def owner(admin_url: str) -> AsyncIterator[Connection]:
    """The role that migrates, and may set the clock."""
    db = await connect(admin_url)
    yield db
    await db.close()


@pytest.fixture
async def page(database_url: str) -> AsyncIterator[Page]:
    """Serve the pages on a port of their own."""
    pool, db = await open_pool(database_url, size=4), await connect(database_url)
    clock, metrics = Clock(), Metrics()
    app = build_app(
        tokens=TOKENS,
        directory=MemoryDirectory({}, {}),
        decisions=NoDecisions(),
        postings=Following(pool, ["main"], metrics, clock=clock),
        metrics=metrics,
        site=OUR_SITE,
        door=open_door(),
    )
    async with visiting(app) as visitor:
        yield Page(visitor.session, visitor.base, db, clock, metrics)
    await db.close()
    await close_pool(pool)


@pytest.fixture
async def number(owner: Connection, page: Page) -> int:
    """Post to 820 people at noon, of whom 100 have it; return the posting's number."""
    await frozen_clock(owner)
    await owner.execute("delete from relais.limit_rule")
    posting_id = await a_posting(page.db, None)
    await page.db.execute("update relais.posting set recipients = 820")
    await page.copies(posting_id, "handed_over", 80)
    await page.copies(posting_id, "handed_over", 19, provider="google")
    await page.copies(posting_id, "in_doubt", 1, provider="google")
    await page.copies(posting_id, "queued", 720)
    return posting_id


async def limited(owner: Connection, limit: int) -> None:
    """Let Orange take *limit* copies a day."""
    await owner.execute(
        "insert into relais.limit_rule (provider, amount, period, set_at, set_by, reason)"
        " values ('orange', $1, '1 day', relais.now(), 'test', 'test')",
        limit,
    )


# --- what it shows -----------------------------------------------------------


async def test_under_way(owner: Connection, page: Page, number: int) -> None:
    """How many of how many, per provider as well, and when it is finished by the plan."""
    await limited(owner, 100)

    english, french = await page.shown(number), await page.shown(number, "fr")

    assert "100 of 820 copies have left" in english
    assert "Orange / Wanadoo 80 of 800 the rest: " in english
    assert "Gmail 20 of 20" in english
    assert "100 exemplaires sur 820 sont partis" in french
    assert "Orange / Wanadoo 80 sur 800 le reste : " in french
    finish = re.search(r"Expected to be finished: (\w+day)", english)
    assert finish is not None
    assert await page.heading(number) == "Your message is on its way"
    assert await page.buttons(number) == ["hold", "stop", "fewer"]
    answer = await page.ask("GET", link(number))
    assert '<progress id="progress" value="100" max="820">' in answer.text
    assert '<label for="progress">' in answer.text


async def test_nothing_has_left_yet(owner: Connection, page: Page, number: int) -> None:
    """There is no rest then; and what is none is singular in French."""
    await limited(owner, 100)
    await page.db.execute("delete from relais.delivery where state <> 'queued'")

    english, french = await page.shown(number), await page.shown(number, "fr")

    assert "0 of 720 copies have left" in english
    assert "0 exemplaire sur 720 est parti" in french
    assert re.search(r"Orange / Wanadoo 0 of 720 \w", english)
    assert "the rest" not in english
    assert "le reste" not in french


async def test_one_copy_has_left(page: Page, number: int) -> None:
    """It is one in both languages."""
    await page.db.execute("delete from relais.delivery where state <> 'queued'")
    await page.copies(number, "handed_over", 1)

    assert "1 of 721 copies has left" in await page.shown(number)
    assert "1 exemplaire sur 721 est parti" in await page.shown(number, "fr")


async def test_language_of_the_author(page: Page, number: int) -> None:
    """As in our letters: theirs before the browser's, the list's behind it."""
    answers = {}
    for author, of_list, accepted in (("en", "fr", "fr"), (None, "en", ""), (None, "en", "fr")):
        await page.db.execute(
            "update relais.posting set author_lang = $1, lang = $2", author, of_list
        )
        answer = await page.ask("GET", link(number), headers={"Accept-Language": accepted})
        answers[author, of_list, accepted] = answer.headers["Content-Language"]

    assert [*answers.values()] == ["en", "en", "fr"]


async def test_no_end_in_sight(owner: Connection, page: Page, number: int) -> None:
    """That nobody knows is said."""
    await limited(owner, 0)

    english, french = await page.shown(number), await page.shown(number, "fr")

    assert "Expected to be finished: no end in sight yet" in english
    assert "Orange / Wanadoo 80 of 800 the rest: no end in sight yet" in english
    assert "Fin prévue : pas encore en vue" in french


async def test_the_small_ones_together(page: Page, number: int) -> None:
    """They have no name of their own."""
    await page.copies(number, "queued", 5, provider="other")

    assert "Others 0 of 5" in await page.shown(number)
    assert "Autres 0 sur 5" in await page.shown(number, "fr")


async def test_grace(page: Page, number: int) -> None:
    """Until the first copy leaves it says so, and what a stop means is plain."""
    await page.db.execute("delete from relais.delivery where state <> 'queued'")
    await page.db.execute(
        "update relais.posting set not_before = relais.now() + interval '5 minutes'"
    )

    assert await page.heading(number) == "Your message is about to leave"
    assert "5 January, 1:05 pm; until then nobody has it" in await page.shown(number)
    assert "5 janvier à 13 h 05 ; d'ici là, personne ne l'a" in await page.shown(number, "fr")
    await page.press(number, "stop")
    assert await page.heading(number) == "Stopped: nobody has it, 720 will not get it"
    assert await page.heading(number, "fr") == "Arrêté : personne ne l'a, 720 ne le recevront pas"


async def test_how_it_ended(page: Page, number: int) -> None:
    """Each is in one number, and what became of nobody is left out."""
    await page.db.execute(
        "update relais.delivery set state = 'handed_over' where state in ('queued', 'in_doubt')"
    )
    await page.copies(number, "refused", 9)
    await page.copies(number, "cancelled", 2, reply="unsubscribed")
    await page.copies(number, "cancelled", 3, reply="held: mail to this address comes back")
    await page.db.execute("update relais.posting set state = 'finished'")

    shown = await page.shown(number)

    assert await page.heading(number) == "Your message has left for everybody"
    assert (
        "Handed over 820 Refused by their server 9 Unsubscribed meanwhile 2"
        " Address that does not work 3 “Handed over” means"
    ) in shown
    assert await page.buttons(number) == ["fewer"]


async def test_ended_by_its_date(page: Page, number: int) -> None:
    """Nobody pressed a button, and nobody can press one now."""
    await page.db.execute(
        "update relais.delivery set state = 'cancelled', reply = 'stopped' where state = 'queued'"
    )
    await page.db.execute(
        "update relais.posting set state = 'stopped', ended_because = 'finish_by'"
    )

    assert await page.heading(number) == (
        "Its deadline has passed: 100 people have it already, 720 will not get it"
    )
    assert await page.buttons(number) == ["fewer"]


async def test_what_was_purged(page: Page, number: int) -> None:
    """The page of long ago still opens, with the numbers alone."""
    await page.db.execute("delete from relais.delivery")
    await page.db.execute(
        "insert into relais.posting_figure values ($1, 'handed_over', 820)", number
    )
    await page.db.execute(
        "update relais.posting set state = 'finished', author = '', subject = '',"
        " template = null, has_traces = false"
    )

    assert "(no subject)" in await page.shown(number)
    assert "Handed over 820" in await page.shown(number)
    assert await page.buttons(number) == []


async def test_the_plan_is_kept_a_while(owner: Connection, page: Page, number: int) -> None:
    """Whoever reloads all the time does not have it planned each time; the counts are new."""
    first = await page.shown(number)
    await limited(owner, 100)
    await page.copies(number, "handed_over", 1)
    soon = await page.shown(number)
    page.clock.now = 5.0
    later = await page.shown(number)

    assert "Expected to be finished: in a few minutes" in first
    assert "Expected to be finished: in a few minutes" in soon
    assert "101 of 821" in soon
    assert "Expected to be finished: in a few minutes" not in later


async def test_what_is_in_no_plan(page: Page, number: int) -> None:
    """What was posted since is in the next one; whoever reloads does not hasten it."""
    await page.shown(number)
    newer = await a_posting(page.db, None)
    await page.copies(newer, "queued", 5)

    for _ in range(2):
        assert "no end in sight yet" in await page.shown(newer)
    page.clock.now = 5.0
    assert "no end in sight yet" not in await page.shown(newer)


async def test_what_can_leave_no_more_is_not_planned(page: Page, number: int) -> None:
    """The rest of a large posting that was stopped waits for the janitor alone."""
    await page.db.execute("update relais.posting set state = 'stopped', ended_because = 'stopped'")

    await page.shown(number)

    assert page.clock.looks == 0


@pytest.mark.parametrize("button", ["stop", "hold", "resume"])
async def test_buttons_wait_for_no_plan(page: Page, number: int, button: str) -> None:
    """Copies leave while somebody plans."""
    await page.press(number, button)
    assert page.clock.looks == 0


# --- several lists -----------------------------------------------------------


@pytest.fixture
async def second(page: Page, number: int) -> int:
    """Post the same message to another list, where it waits for a moderator."""
    list_id = await page.db.fetchval(
        "insert into relais.list (definition, parts, address, title)"
        " values ('judo', '{}', 'judo', 'Judo') returning list_id"
    )
    other = await a_posting(page.db, "moderation", list_id=list_id, reasons=("old",))
    await page.db.execute(
        "with receipt as (insert into relais.receipt (author, lang, accepted_at, look_at)"
        " values ($2, 'fr', relais.now(), relais.now()) returning receipt_id)"
        " update relais.posting set receipt_id = receipt.receipt_id from receipt"
        " where posting_id = any($1)",
        [number, other],
        AUTHOR,
    )
    return other


async def test_one_page_for_all_lists(page: Page, number: int, second: int) -> None:
    """Either link shows both, and stops both."""
    for one in (number, second):
        shown = await page.shown(one)
        assert "To the list Tous and Judo Recipients 2,662" in shown
        assert "Tous : on its way" in shown
        assert "Judo : waits for a moderator" in shown
        assert await page.buttons(one) == ["hold", "stop", "fewer"]

    await page.press(second, "stop")

    ends = await page.db.fetch("select ended_because from relais.posting order by posting_id")
    assert [row["ended_because"] for row in ends] == ["stopped", "withdrawn"]
    assert (await page.heading(number)).startswith("Stopped: 100 people have it already")


async def test_without_a_receipt_it_is_alone(page: Page, number: int, second: int) -> None:
    """Nothing else ties them together."""
    await page.db.execute("update relais.posting set receipt_id = null")

    assert "Judo" not in await page.shown(number)
    assert await page.buttons(second) == ["withdraw", "fewer"]


# --- what it does ------------------------------------------------------------


async def test_stop_and_go_on(page: Page, number: int) -> None:
    """What was done is told, how often it is pressed; and it can be undone."""
    for _ in range(2):
        await page.press(number, "stop")
        assert await page.heading(number) == (
            "Stopped: 100 people have it already, 720 will not get it"
        )
    assert await page.heading(number, "fr") == (
        "Arrêté : 100 personnes l'ont déjà, 720 ne le recevront pas"
    )
    shown = await page.shown(number)
    assert "Handed over 99 Uncertain 1 Stopped before it left 720" in shown
    assert await page.buttons(number) == ["resume", "fewer"]
    counted = 'relais_deliveries_finished_total{result="cancelled"} 720.0'
    assert counted in page.metrics.exposition().decode()

    await page.press(number, "resume")

    assert await page.heading(number) == "Your message is on its way"
    assert "100 of 820 copies have left" in await page.shown(number)


async def test_pause(page: Page, number: int) -> None:
    """Nothing leaves meanwhile, and no time is promised."""
    await page.shown(number)  # Its plan is kept for a while, and is none of this.
    await page.press(number, "hold")

    assert await page.heading(number) == "Paused: 100 people have it already, 720 wait for it"
    assert await page.heading(number, "fr") == (
        "En pause : 100 personnes l'ont déjà, 720 l'attendent"
    )
    shown = await page.shown(number)
    assert "100 of 820 copies have left" in shown
    assert "Expected" not in shown
    assert await page.buttons(number) == ["resume", "stop", "fewer"]
    await page.press(number, "resume")
    assert await page.buttons(number) == ["hold", "stop", "fewer"]
    assert "Expected to be finished" in await page.shown(number)


async def test_too_late(page: Page, number: int) -> None:
    """What has left has left: the buttons of an old page change nothing."""
    await page.db.execute(
        "update relais.delivery set state = 'handed_over', settled_at = relais.now()"
    )
    await page.db.execute("update relais.posting set state = 'finished'")
    before = await page.db.fetch("select * from relais.posting")

    for action in ("stop", "hold", "resume", "withdraw"):
        await page.press(number, action)

    assert await page.db.fetch("select * from relais.posting") == before
    assert await page.heading(number) == "Your message has left for everybody"


async def test_fewer_letters(page: Page, number: int) -> None:
    """The wish is kept with the author, and undone by the same button."""
    await page.press(number, "fewer")
    assert await wishes.fewer(page.db, AUTHOR)
    assert await page.buttons(number) == ["hold", "stop", "more"]

    await page.press(number, "more")
    assert not await wishes.fewer(page.db, AUTHOR)
    await page.db.execute("update relais.posting set author = ''")
    assert await page.buttons(number) == ["hold", "stop"]
    await page.press(number, "fewer")
    assert await page.db.fetchval("select count(*) from relais.author_wish") == 1


@pytest.mark.parametrize("action", [stopping.stop, stopping.hold], ids=["stopped", "paused"])
async def test_by_an_operator(page: Page, number: int, action: Action) -> None:
    """Its author sees how many have it, cannot go on, and reads whom to ask."""
    async with page.db.transaction():
        await action(page.db, [number], by="root")
    before = await page.db.fetch("select * from relais.posting")

    assert "100 people have it already" in await page.heading(number)
    shown = await page.shown(number)
    assert "root" not in shown
    assert f"To write to them: {OUR_SITE.help_address}" in shown
    assert f"Pour lui écrire : {OUR_SITE.help_address}" in await page.shown(number, "fr")
    assert "resume" not in await page.buttons(number)
    await page.press(number, "resume")
    assert await page.db.fetch("select * from relais.posting") == before


@pytest.mark.parametrize("body", [{}, {"action": "delete"}, {"answer": "yes"}])
async def test_a_post_that_says_nothing(page: Page, number: int, body: dict[str, str]) -> None:
    """Nothing is changed, and the page says so."""
    before = await page.db.fetch("select * from relais.posting")

    answer = await page.ask("POST", f"{link(number)}?lang=en", data=body)

    assert answer.status == 400
    assert "Nothing was done: something was missing" in answer.text
    assert "Nothing was done" not in await page.shown(number)
    assert await page.db.fetch("select * from relais.posting") == before


async def test_looking_changes_nothing(page: Page, number: int) -> None:
    """A scanner may follow the link with any query and any method but POST."""
    before = [
        await page.db.fetch(f"select * from relais.{table}")
        for table in ("posting", "delivery", "author_wish")
    ]
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
        for query in ("", "?action=stop", "?stop=1"):
            await page.ask(method, link(number) + query)

    assert before == [
        await page.db.fetch(f"select * from relais.{table}")
        for table in ("posting", "delivery", "author_wish")
    ]


async def test_forged(page: Page, number: int) -> None:
    """Nobody stops what they have no link to; a link of another purpose is none."""
    forged = f"/p/{Tokens((b'other' * 8,)).sign(Purpose.POSTING, number).decode()}"
    other = f"/p/{TOKENS.sign(Purpose.CONFIRM, number).decode()}"
    unknown = link(number + 1)
    for path in (forged, other, unknown):
        for method in ("GET", "POST"):
            answer = await page.ask(method, path, data={"action": "stop"})
            assert answer.status == 404

    assert await page.db.fetchval("select state from relais.posting") == "open"
