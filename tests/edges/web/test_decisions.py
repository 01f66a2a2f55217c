"""The pages of decisions, on a real database: what they show, and that only a POST acts."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.edges.store.held import (
    ANNE,
    AUTHOR,
    BERNARD,
    a_posting,
    ask_anew,
    asked_author,
    asked_moderators,
    row_of,
)
from tests.edges.web.directory import MemoryDirectory
from tests.edges.web.visitor import (
    HOSTILE,
    SITE,
    Answer,
    Visitor,
    assert_hardened,
    open_door,
    visiting,
)
from worker.actors.following import Following
from worker.app import _Decisions
from worker.mail.return_address import Purpose, Tokens
from worker.notices.letters import reason_words
from worker.store import decisions
from worker.store.database import close_pool, connect, open_pool
from worker.telemetry.metrics import Metrics
from worker.web.decisions import REASON_LIMIT
from worker.web.page import BODY_LIMIT_BYTES
from worker.web.pages import build_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from worker.store.database import Connection, Pool

TOKENS = Tokens(SITE.secrets)
PATHS = {Purpose.CONFIRM: "c", Purpose.MODERATE: "m", Purpose.POSTING: "p"}
YES, NO, WITHDRAW = {"answer": "yes"}, {"answer": "no"}, {"action": "withdraw"}


def link(purpose: Purpose, number: int) -> str:
    """Return the path that is in the letter."""
    return f"/{PATHS[purpose]}/{TOKENS.sign(purpose, number).decode()}"


@dataclass(frozen=True)
class Visit(Visitor):
    """A visitor of the pages, and the database behind them."""

    pool: Pool
    db: Connection


@pytest.fixture
async def visit(database_url: str) -> AsyncIterator[Visit]:
    """Serve the pages on a port of their own."""
    pool, db = await open_pool(database_url, size=4), await connect(database_url)
    app = build_app(
        tokens=TOKENS,
        directory=MemoryDirectory({}, {}),
        decisions=_Decisions(pool),
        postings=Following(pool, ["main"], Metrics()),
        metrics=Metrics(),
        site=SITE,
        door=open_door(),
    )
    async with visiting(app) as visitor:
        yield Visit(visitor.session, visitor.base, pool, db)
    await db.close()
    await close_pool(pool)


async def everything(db: Connection) -> list[Any]:
    """Return all that a page could change."""
    return [
        await db.fetch("select * from relais.posting order by posting_id"),
        await db.fetch("select * from relais.decision order by decision_id"),
        await db.fetch("select * from relais.proven_author"),
    ]


def plain(text: str) -> str:
    """Return *text* with the marks of an ordinary keyboard."""
    return html.unescape(text).replace("\u2019", "'").replace("\u00a0", " ").replace("\u202f", " ")


def heading(answer: Answer) -> str:
    """Return the one heading, which is the title too."""
    (first,) = re.findall(r"<h1>(.*?)</h1>", answer.text, re.DOTALL)
    (title,) = re.findall(r"<title>(.*?)</title>", answer.text, re.DOTALL)
    assert title.split() == [*first.split(), "\u2013", SITE.domain]
    return plain(first)


# --- every state has its heading -------------------------------------------------

Given = Callable[["Connection"], Awaitable[str]]


async def answered(db: Connection, decision_id: int, *, yes: bool) -> None:
    """Answer a question elsewhere."""
    async with db.transaction():
        await decisions.answer(db, decision_id, yes=yes, source="mail")


async def becomes(db: Connection, posting_id: int, state: str) -> None:
    """Let a posting go its way."""
    await db.execute(
        "update relais.posting set state = $2, awaits = null where posting_id = $1",
        posting_id,
        state,
    )


async def run_out(db: Connection) -> None:
    """Let the time of every question be over."""
    await db.execute("update relais.decision set expires_at = relais.now()")


def confirming(
    *,
    answer: bool | None = None,
    reasons: tuple[str, ...] = (),
    then: str = "",
    is_repeated: bool = False,
) -> Given:
    """Ask an author, who answers; then something happens."""

    async def given(db: Connection) -> str:
        repeats = await a_posting(db, None) if is_repeated else None
        posting_id, question = await asked_author(db, reasons=reasons, repeats=repeats)
        if then == "released":
            async with db.transaction():
                await decisions.decide(db, posting_id, yes=True, by="root", reason="r")
        if then == "run out":
            await run_out(db)
        if answer is not None:
            await answered(db, question, yes=answer)
        if then in ("withdrawn", "refused", "expired", "stopped"):
            await decisions.end(db, posting_id, then)
        if then in ("open", "finished", "held"):
            await becomes(db, posting_id, then)
        return link(Purpose.CONFIRM, question)

    return given


def moderating(*, anne: bool | None = None, bernard: bool | None = None, then: str = "") -> Given:
    """Ask two moderators, of whom Anne answers first; then something happens. Bernard looks."""

    async def given(db: Connection) -> str:
        posting_id, [first, second] = await asked_moderators(db)
        for question, yes in ((first, anne), (second, bernard)):
            if yes is not None:
                await answered(db, question, yes=yes)
        if then == "asked anew":
            await decisions.await_moderation(db, posting_id, ["shrank"])
            await ask_anew(db, posting_id)
        if then == "run out":
            await run_out(db)
        if then in ("withdrawn", "expired", "stopped"):
            await decisions.end(db, posting_id, then, by="author" if then == "withdrawn" else None)
        if then in ("open", "finished", "held"):
            await becomes(db, posting_id, then)
        return link(Purpose.MODERATE, second)

    return given


def posting(awaits: str | None, *, ends: str = "", state: str = "") -> Given:
    """Take a posting, and end it."""

    async def given(db: Connection) -> str:
        posting_id = await a_posting(db, awaits)
        if ends:
            await decisions.end(db, posting_id, ends)
        if state:
            await becomes(db, posting_id, state)
        return link(Purpose.POSTING, posting_id)

    return given


# What happened before, the heading in French and in English, and how many buttons; one
# of the author's page is about our letters.
STATES: dict[str, tuple[Given, str, str, int]] = {
    "author is asked": (
        confirming(),
        "Avez-vous envoyé ce message ?",
        "Did you send this message?",
        2,
    ),
    "author said yes": (
        confirming(answer=True),
        "Merci : votre message part",
        "Thank you: your message is on its way",
        0,
    ),
    "author said yes, it has begun": (
        confirming(answer=True, then="open"),
        "Merci : votre message part",
        "Thank you: your message is on its way",
        0,
    ),
    "author said yes, it has left": (
        confirming(answer=True, then="finished"),
        "Votre message est parti pour tout le monde",
        "Your message has left for everybody",
        0,
    ),
    "author said yes, moderators are next": (
        confirming(answer=True, reasons=("old",)),
        "Merci : un modérateur va maintenant le regarder",
        "Thank you: a moderator will now look at it",
        0,
    ),
    "author said yes, a moderator no": (
        confirming(answer=True, reasons=("old",), then="refused"),
        "Votre message n'a pas été envoyé",
        "Your message was not sent",
        0,
    ),
    "author said yes, no moderator answered": (
        confirming(answer=True, reasons=("old",), then="expired"),
        "Votre message n'a pas été envoyé",
        "Your message was not sent",
        0,
    ),
    "author said no": (
        confirming(answer=False),
        "C'est fait : le message ne partira pas",
        "Done: the message will not be sent",
        0,
    ),
    "author sent it twice": (
        confirming(is_repeated=True),
        "Envoyer ce message de nouveau ?",
        "Send this message again?",
        2,
    ),
    "author sent it twice, and meant it": (
        confirming(answer=True, is_repeated=True),
        "Merci : votre message part",
        "Thank you: your message is on its way",
        0,
    ),
    "author sent it twice, and did not mean it": (
        confirming(answer=False, is_repeated=True),
        "C'est fait : le message ne sera pas envoyé de nouveau",
        "Done: the message will not be sent again",
        0,
    ),
    "author sent it twice, and did not answer": (
        confirming(then="expired", is_repeated=True),
        "Trop tard : ce message n'a pas été envoyé",
        "Too late: this message was not sent",
        0,
    ),
    "author took it back": (
        confirming(then="withdrawn"),
        "C'est fait : votre message ne partira pas",
        "Done: your message will not be sent",
        0,
    ),
    "author did not answer": (
        confirming(then="expired"),
        "Trop tard : ce message n'a pas été envoyé",
        "Too late: this message was not sent",
        0,
    ),
    "author's time is over": (
        confirming(then="run out"),
        "Trop tard : ce message n'a pas été envoyé",
        "Too late: this message was not sent",
        0,
    ),
    "an operator released it": (
        confirming(then="released"),
        "Votre message part",
        "Your message is on its way",
        0,
    ),
    "an operator released it, then the author said no": (
        confirming(answer=False, then="released"),
        "Trop tard : c'était décidé avant votre réponse",
        "Too late: this was decided before your answer",
        0,
    ),
    "moderators are asked": (
        moderating(),
        "Ce message peut-il partir ?",
        "May this message go out?",
        2,
    ),
    "a moderator said yes": (
        moderating(anne=True),
        "Approuvé : le message part",
        "Approved: the message is on its way",
        0,
    ),
    "a moderator said yes, it has left": (
        moderating(anne=True, then="finished"),
        "Approuvé : le message est parti pour tout le monde",
        "Approved: the message has left for everybody",
        0,
    ),
    "a moderator said no": (
        moderating(anne=False),
        "Refusé : le message ne partira pas",
        "Refused: the message will not be sent",
        0,
    ),
    "moderators: its author took it back": (
        moderating(then="withdrawn"),
        "Son auteur a retiré ce message",
        "Its author has taken this message back",
        0,
    ),
    "no moderator answered": (
        moderating(then="expired"),
        "Trop tard : ce message n'a pas été envoyé",
        "Too late: this message was not sent",
        0,
    ),
    "moderators' time is over": (
        moderating(then="run out"),
        "Trop tard : ce message n'a pas été envoyé",
        "Too late: this message was not sent",
        0,
    ),
    "moderators said yes, and it is paused": (
        moderating(anne=True, then="held"),
        "Ce message est en pause",
        "This message is paused",
        0,
    ),
    "stopped while moderators were asked": (
        moderating(then="stopped"),
        "Ce message a été arrêté",
        "This message was stopped",
        0,
    ),
    "author said yes, and it is paused": (
        confirming(answer=True, then="held"),
        "Votre message est en pause",
        "Your message is paused",
        0,
    ),
    "stopped while its author was asked": (
        confirming(then="stopped"),
        "Votre message a été arrêté",
        "Your message was stopped",
        0,
    ),
    "moderators are asked anew": (
        moderating(anne=True, then="asked anew"),
        "Cette question est close ; un courrier plus récent la pose à nouveau",
        "This question is closed; a newer mail asks again",
        0,
    ),
    "posting waits for its author": (
        posting("confirmation"),
        "Votre message attend que vous le confirmiez",
        "Your message waits until you confirm it",
        2,
    ),
    "posting waits for a moderator": (
        posting("moderation"),
        "Votre message attend l'accord d'un modérateur",
        "Your message waits for a moderator",
        2,
    ),
    "posting is about to go": (
        posting("release"),
        "Votre message part",
        "Your message is on its way",
        2,
    ),
    "posting goes": (posting(None), "Votre message part", "Your message is on its way", 1),
    "posting has left": (
        posting(None, state="finished"),
        "Votre message est parti pour tout le monde",
        "Your message has left for everybody",
        1,
    ),
    "posting was taken back": (
        posting("moderation", ends="withdrawn"),
        "C'est fait : votre message ne partira pas",
        "Done: your message will not be sent",
        1,
    ),
    "posting was refused": (
        posting("moderation", ends="refused"),
        "Votre message n'a pas été envoyé",
        "Your message was not sent",
        1,
    ),
    "posting expired": (
        posting("confirmation", ends="expired"),
        "Votre message n'a pas été envoyé",
        "Your message was not sent",
        1,
    ),
}


@pytest.mark.parametrize(("given", "french", "english", "buttons"), STATES.values(), ids=STATES)
async def test_every_state(
    visit: Visit, given: Given, french: str, english: str, buttons: int
) -> None:
    """The heading says how it stands; there are buttons only where they would count."""
    path = await given(visit.db)
    before = await everything(visit.db)

    for locale, expected in (("fr", french), ("en", english)):
        answer = await visit.ask("GET", f"{path}?lang={locale}")
        assert (answer.status, heading(answer)) == (200, expected)
        assert answer.headers["Content-Language"] == locale
        assert answer.text.count("<button") == buttons
        number = "1 842" if locale == "fr" else "1,842"
        assert f"<dd>{number}</dd>" in plain(answer.text)
        assert_hardened(answer)

    assert await everything(visit.db) == before


# --- only a POST acts, and only one -------------------------------------------------


async def pages(visit: Visit) -> dict[str, str]:
    """Return a page of each sort that waits for an answer."""
    _, confirm = await asked_author(visit.db)
    posting_id, [anne, _] = await asked_moderators(visit.db)
    return {
        "c": link(Purpose.CONFIRM, confirm),
        "m": link(Purpose.MODERATE, anne),
        "p": link(Purpose.POSTING, posting_id),
    }


async def test_looking_changes_nothing(visit: Visit) -> None:
    """A scanner may follow each link with any method, any query and any header."""
    paths = await pages(visit)
    before = await everything(visit.db)

    for path in paths.values():
        for query in ("", "?answer=yes", "?action=withdraw&answer=no"):
            for method in ("GET", "HEAD", "GET"):
                answer = await visit.ask(
                    method, f"{path}{query}", headers={"Sec-Purpose": "prefetch"}
                )
                assert answer.status == 200
            for method in ("OPTIONS", "PUT", "DELETE", "PATCH"):
                answer = await visit.ask(method, f"{path}{query}")
                assert answer.status == 405
                assert_hardened(answer)

    assert await everything(visit.db) == before


EMPTY_POSTS = {
    "nothing": b"",
    "one click": b"List-Unsubscribe=One-Click",
    "reason only": b"reason=Non",
    "both answers": b"answer=yes&answer=no",
    "another answer": b"answer=maybe",
    "upper case": b"answer=YES&action=WITHDRAW",
    "other fields": b"scope=all",
    "many fields": b"&".join(b"f%d=1" % n for n in range(40)) + b"&answer=yes&action=withdraw",
    "bytes": b"\xff\xfe=%00%ff",
}


@pytest.mark.parametrize("body", EMPTY_POSTS.values(), ids=EMPTY_POSTS)
async def test_post_that_says_nothing(visit: Visit, body: bytes) -> None:
    """Without an answer a POST changes nothing, and shows the question once more."""
    paths = await pages(visit)
    before = await everything(visit.db)

    for path in paths.values():
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await visit.ask("POST", path, data=body, headers=headers)
        assert answer.status == 400
        assert "<button" in answer.text
        assert_hardened(answer)

    assert await everything(visit.db) == before


async def test_fields_of_another_page(visit: Visit) -> None:
    """What one page is told another does not understand."""
    paths = await pages(visit)
    before = await everything(visit.db)

    for name, fields in (("c", WITHDRAW), ("m", WITHDRAW), ("p", YES), ("p", NO)):
        assert (await visit.ask("POST", paths[name], data=fields)).status == 400

    assert await everything(visit.db) == before


@pytest.mark.parametrize("fields", [YES, NO])
@pytest.mark.parametrize("name", ["c", "m"])
async def test_a_post_acts_once(visit: Visit, name: str, fields: dict[str, str]) -> None:
    """The second press, the other button and the back key change nothing."""
    path = (await pages(visit))[name]

    first = await visit.ask("POST", path, data=fields)
    assert (first.status, first.headers["Location"]) == (303, path.rpartition("/")[2])
    assert_hardened(first)
    after = await everything(visit.db)

    for again in (fields, YES, NO):
        assert (await visit.ask("POST", path, data=again)).status == 303
    assert await everything(visit.db) == after


async def test_withdrawing_acts_once(visit: Visit) -> None:
    """The author's page shows that it is done."""
    path = (await pages(visit))["p"]

    for _ in range(2):
        answer = await visit.ask("POST", path, data=WITHDRAW)
        assert (answer.status, answer.headers["Location"]) == (303, path.rpartition("/")[2])

    shown = await visit.ask("GET", path)
    assert heading(shown) == "C'est fait : votre message ne partira pas"
    assert "withdraw" not in shown.text


async def test_withdrawing_too_late(visit: Visit) -> None:
    """What is on its way is shown to be."""
    posting_id = await a_posting(visit.db, None)
    path = link(Purpose.POSTING, posting_id)
    before = await everything(visit.db)

    assert (await visit.ask("POST", path, data=WITHDRAW)).status == 303

    assert await everything(visit.db) == before
    assert heading(await visit.ask("GET", path)) == "Votre message part"


async def test_two_moderators_press_at_once(visit: Visit) -> None:
    """One decides; the other reads who it was."""
    posting_id, questions = await asked_moderators(visit.db)
    paths = [link(Purpose.MODERATE, question) for question in questions]

    await asyncio.gather(
        visit.ask("POST", paths[0], data=YES), visit.ask("POST", paths[1], data=NO)
    )

    decided_by = (await row_of(visit.db, posting_id)).decided_by
    assert decided_by in (ANNE, BERNARD)
    shown = [await visit.ask("GET", path) for path in paths]
    assert heading(shown[0]) == heading(shown[1])
    for moderator, answer in zip((ANNE, BERNARD), shown, strict=True):
        assert f"<bdi>{decided_by}</bdi>" in answer.text
        assert ("Votre réponse est arrivée après" in answer.text) == (moderator != decided_by)


# --- tokens ------------------------------------------------------------------------


async def forgeries(visit: Visit) -> list[str]:
    """Return paths that look like ours."""
    _, confirm = await asked_author(visit.db)
    posting_id, [moderate, _] = await asked_moderators(visit.db)
    numbers = {
        Purpose.CONFIRM: confirm,
        Purpose.MODERATE: moderate,
        Purpose.POSTING: posting_id,
        Purpose.UNSUBSCRIBE: moderate,
        Purpose.RETURN: moderate,
    }
    paths = [
        f"/{page}/{TOKENS.sign(purpose, number).decode()}"
        for own, page in PATHS.items()
        for purpose, number in numbers.items()
        if purpose is not own
    ]
    for own, page in PATHS.items():
        token = TOKENS.sign(own, numbers[own]).decode()
        other = "b" if token[-1] == "a" else "a"
        paths += [
            f"/{page}/{forged}"
            for forged in (
                token[:-1],
                token + "a",
                token[:-1] + other,
                Tokens((b"x" * 32,)).sign(own, numbers[own]).decode(),
                TOKENS.sign(own, 999).decode(),
                TOKENS.sign(own, (1 << 63) - 1).decode(),
                "%00%ff%3Cscript%3E",
                "a" * 3000,
            )
        ]
    # Signed by us, for the other sort of question.
    paths.append(link(Purpose.CONFIRM, moderate))
    paths.append(link(Purpose.MODERATE, confirm))
    return paths


async def test_forged_tokens_get_one_answer(visit: Visit) -> None:
    """Nothing tells a forger how near the guess was."""
    paths = await forgeries(visit)
    before = await everything(visit.db)

    answers = set()
    for path in [*paths, "/elsewhere"]:
        for method, fields in (("GET", None), ("POST", YES), ("POST", WITHDRAW), ("POST", {})):
            answer = await visit.ask(method, path, data=fields)
            assert_hardened(answer)
            answers.add((answer.status, answer.text))

    ((status, text),) = answers
    assert status == 404
    assert "Ce lien est incomplet" in text
    assert await everything(visit.db) == before


async def test_old_secret_and_upper_case(visit: Visit) -> None:
    """Links outlive a rotation, and gateways that change the case."""
    _, question = await asked_author(visit.db)
    old = Tokens(SITE.secrets[1:]).sign(Purpose.CONFIRM, question).decode()

    for token in (old, link(Purpose.CONFIRM, question).rpartition("/")[2].upper()):
        assert (await visit.ask("GET", f"/c/{token}")).status == 200


# --- what strangers wrote ------------------------------------------------------------


async def hostile_pages(visit: Visit) -> list[str]:
    """Return pages of a posting of which a stranger wrote every word."""
    words = {
        "subject": HOSTILE + "x" * 10_000,
        "author": HOSTILE + "@example.org",
        "title": HOSTILE,
    }
    _, confirm = await asked_author(visit.db, **words)
    posting_id, [moderate, _] = await asked_moderators(visit.db, [HOSTILE, ANNE], **words)
    return [
        link(Purpose.CONFIRM, confirm),
        link(Purpose.MODERATE, moderate),
        link(Purpose.POSTING, posting_id),
    ]


async def test_hostile_words(visit: Visit) -> None:
    """They are text, of a length that can be read, in every state."""
    paths = await hostile_pages(visit)
    shown = [await visit.ask("GET", path) for path in paths]
    for path in paths[:2]:
        await visit.ask("POST", path, data={**NO, "reason": HOSTILE})
    shown += [await visit.ask("GET", path) for path in paths]

    for answer in shown:
        assert answer.status == 200
        assert "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&#34;&amp;" in answer.text
        assert not re.search(r"<script|<link|<img|<iframe|\bon\w+=\"|\bstyle=", answer.text)
        assert "\u202e" not in answer.text
        assert "…</bdi>" in answer.text
        assert len(answer.text.encode()) < 20_000


REASONS = {
    "plain": ("Trop long, à raccourcir", "Trop long, à raccourcir"),
    "none": ("", None),
    "blank": (" \r\n\t ", None),
    "lines": ("Trop\r\nlong", "Trop long"),
    "hostile": (HOSTILE, "<script>alert('1')</script>\"&"),
    "nul": ("a\0b", "a b"),
    "invisible": ("\u200b\u202e\ufeff", None),
    "as long as can be typed": ("é" * REASON_LIMIT, "é" * REASON_LIMIT),
    "widest script": ("会" * REASON_LIMIT, "会" * REASON_LIMIT),
}


@pytest.mark.parametrize(("posted", "kept"), REASONS.values(), ids=REASONS)
async def test_reason_reaches_the_author(visit: Visit, posted: str, kept: str | None) -> None:
    """The letter's words are the moderator's, on one line."""
    posting_id, [anne, _] = await asked_moderators(visit.db)

    answer = await visit.ask("POST", link(Purpose.MODERATE, anne), data={**NO, "reason": posted})

    assert answer.status == 303
    reason = (await decisions.held(visit.db, posting_id)).held_because
    assert reason == kept
    assert (
        await visit.db.fetchval("select reason from relais.decision where decision_id = $1", anne)
        == reason
    )


async def test_reason_of_an_approval(visit: Visit) -> None:
    """The field belongs to the other button."""
    posting_id, [anne, _] = await asked_moderators(visit.db)

    await visit.ask("POST", link(Purpose.MODERATE, anne), data={**YES, "reason": "Bien"})

    row = await visit.db.fetchrow(
        "select answer, reason from relais.decision where decision_id = $1", anne
    )
    assert row is not None
    assert tuple(row) == ("yes", None)
    assert (await row_of(visit.db, posting_id)).awaits == "release"


async def test_body_too_large(visit: Visit) -> None:
    """A form of ours is small."""
    paths = await pages(visit)
    before = await everything(visit.db)
    body = b"answer=no&action=withdraw&reason=" + b"x" * BODY_LIMIT_BYTES

    for path in paths.values():
        answer = await visit.ask("POST", path, data=body)
        assert answer.status == 413
        assert_hardened(answer)

    assert await everything(visit.db) == before


# --- what people read -------------------------------------------------------------------


async def test_a_forwarded_link(visit: Visit) -> None:
    """Whoever opens it reads in whose name they would decide."""
    _, [_, bernard] = await asked_moderators(visit.db, reasons=("old", "spam"))

    answer = await visit.ask("GET", link(Purpose.MODERATE, bernard))

    assert f"Vous décidez en tant que <bdi>{BERNARD}</bdi>." in answer.text
    assert ANNE not in answer.text
    assert f"<dd><bdi>{AUTHOR}</bdi></dd>" in answer.text
    for reason in ("old", "spam"):
        assert f"<li>{plain(reason_words('fr', reason))}</li>" in plain(answer.text)
    assert "<dd>12 ko</dd>" in plain(answer.text)


@pytest.mark.parametrize("yes", [True, False])
async def test_who_decided(visit: Visit, *, yes: bool) -> None:
    """The other moderators and whoever pressed read it on the same page."""
    _, [anne, bernard] = await asked_moderators(visit.db)
    path = link(Purpose.MODERATE, anne)
    assert "Décidé par" not in (await visit.ask("GET", path)).text

    await visit.ask("POST", path, data=YES if yes else NO)

    for question in (anne, bernard):
        answer = await visit.ask("GET", link(Purpose.MODERATE, question))
        assert f"Décidé par <bdi>{ANNE}</bdi>." in answer.text
        assert "Votre réponse est arrivée après" not in answer.text


async def test_its_author_is_not_named_as_a_moderator(visit: Visit) -> None:
    """Who took a message back did not decide about it."""
    posting_id, [anne, _] = await asked_moderators(visit.db)
    await visit.ask("POST", link(Purpose.POSTING, posting_id), data=WITHDRAW)

    assert "Décidé par" not in (await visit.ask("GET", link(Purpose.MODERATE, anne))).text


async def test_a_disowned_message_that_has_left(visit: Visit) -> None:
    """Who says too late that it is not theirs is told whom to write to."""
    path = await confirming(answer=False, then="released")(visit.db)

    answer = await visit.ask("GET", path)

    assert 'href="mailto:aide@example.fr"' in answer.text


async def test_held_under_way(visit: Visit) -> None:
    """Nobody is made to believe that nothing has left."""
    posting_id, [anne, _] = await asked_moderators(visit.db)
    paths = [link(Purpose.MODERATE, anne), link(Purpose.POSTING, posting_id)]
    sentence = "L'envoi avait commencé"
    for path in paths:
        assert sentence not in plain((await visit.ask("GET", path)).text)
    await visit.db.execute(
        "with p as (insert into relais.person (key) values ('person:1') returning person_id)"
        " insert into relais.delivery (posting_id, person_id, address, provider, due_at, state)"
        " select $1, person_id, 'a@b.fr', 'other', relais.now(), 'handed_over' from p",
        posting_id,
    )

    for path in paths:
        assert sentence in plain((await visit.ask("GET", path)).text)
    await visit.ask("POST", paths[0], data=NO)
    for path in paths:
        assert sentence in plain((await visit.ask("GET", path)).text)


async def test_no_subject_and_no_author(visit: Visit) -> None:
    """A message may lack both."""
    _, [anne, _] = await asked_moderators(
        visit.db, subject="", author="", reasons=("author_unclear",)
    )

    answer = await visit.ask("GET", link(Purpose.MODERATE, anne))

    assert "<bdi>(sans objet)</bdi>" in answer.text
    assert plain(reason_words("fr", "author_unclear")) in plain(answer.text)


@pytest.mark.parametrize("name", ["c", "m", "p"])
async def test_language_stays(visit: Visit, name: str) -> None:
    """The URL is stronger than the browser, and stays through form and answer."""
    path = (await pages(visit))[name]
    english = {"Accept-Language": "en-GB,en;q=0.9"}
    assert '<html lang="en">' in (await visit.ask("GET", path, headers=english)).text
    page = await visit.ask("GET", f"{path}?lang=fr", headers=english)
    assert '<html lang="fr">' in page.text
    assert re.search(r'<form method="post">', page.text)  # To the URL of the page.
    assert '<a href="?lang=en" lang="en" hreflang="en">English</a>' in page.text

    refused = await visit.ask("POST", f"{path}?lang=fr", data={}, headers=english)
    assert '<html lang="fr">' in refused.text
    done = await visit.ask(
        "POST", f"{path}?lang=fr", data=WITHDRAW if name == "p" else NO, headers=english
    )
    assert done.headers["Location"] == f"{path.rpartition('/')[2]}?lang=fr"
    after = await visit.ask("GET", f"/{name}/{done.headers['Location']}", headers=english)
    assert '<html lang="fr">' in after.text
    assert 'href="?lang=en"' in after.text


async def test_labels_and_targets(visit: Visit) -> None:
    """Each field has its label, and each page one heading; nothing comes from elsewhere."""
    for path in (await pages(visit)).values():
        answer = await visit.ask("GET", path)
        fields = re.findall(r"<(?:textarea|input)[^>]* id=\"(\w+)\"", answer.text)
        assert re.findall(r"<label for=\"(\w+)\"", answer.text) == fields
        assert answer.text.count("<h1>") == 1
        assert not re.search(r"<script|<link|<img|<iframe|\bstyle=|@import|url\(", answer.text)


async def test_database_away(visit: Visit) -> None:
    """People are asked to come again; nobody is told that nothing has happened."""
    paths = await pages(visit)
    visit.pool.terminate()

    for path in paths.values():
        for method, fields in (("GET", None), ("POST", YES), ("POST", WITHDRAW)):
            answer = await visit.ask(method, path, data=fields)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "120")
            assert "Réessayez dans quelques minutes" in answer.text
            assert_hardened(answer)
