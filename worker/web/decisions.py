"""The pages on which people decide about a posting: /c and /m.

/c/TOKEN asks an author whether they wrote a message, /m/TOKEN a moderator
whether it may go out. A link that was forwarded is harmless: nothing happens
before a button is pressed, and the page says who is deciding.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from aiohttp import web
from babel.numbers import format_decimal

from worker.mail.address import readable
from worker.mail.return_address import Purpose
from worker.notices.letters import reason_words
from worker.store.decisions import Kind
from worker.web.page import back_to, form_of

if TYPE_CHECKING:
    from worker.mail.return_address import Tokens
    from worker.policy.following import FollowedPosting
    from worker.store.decisions import AskedDecision
    from worker.web.directory import Decisions
    from worker.web.page import Pages

# In any script it is posted in fewer octets than BODY_LIMIT_BYTES.
REASON_LIMIT = 400
SHOWN_LIMIT = 200
_KILO = 1024  # As lists.define counts.


class Standing(StrEnum):
    """How a posting stands, as far as whoever opens a page is concerned."""

    ASKED = "asked"  # The question is open.
    ASKED_ANEW = "asked_anew"  # It is closed; another one is open, or about to be.
    TO_CONFIRM = "to_confirm"
    TO_MODERATE = "to_moderate"
    LEAVING = "leaving"
    PAUSED = "paused"
    LEFT = "left"
    STOPPED = "stopped"
    ENDED = "ended"  # Its date has come before all of it had left.
    DISOWNED = "disowned"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    NOT_SENT = "not_sent"  # Nobody answered.


_ENDS = {
    **{end.value: end for end in (Standing.DISOWNED, Standing.REFUSED, Standing.WITHDRAWN)},
    "stopped": Standing.STOPPED,
    "finish_by": Standing.ENDED,
}
_WAITS = {"confirmation": Standing.TO_CONFIRM, "moderation": Standing.TO_MODERATE}


def standing_of(posting: AskedDecision | FollowedPosting) -> Standing:
    """Say how a posting stands, whoever asks."""
    match posting.state:
        case "stopped":
            return _ENDS.get(posting.ended_because or "", Standing.NOT_SENT)
        case "finished":
            return Standing.LEFT
        case "held":
            if posting.awaits is None:
                return Standing.PAUSED
            return _WAITS.get(posting.awaits, Standing.LEAVING)
        case _:
            return Standing.LEAVING


def standing_for(asked: AskedDecision) -> Standing:
    """Say how a posting stands for somebody who was asked about it."""
    if asked.is_open:
        return Standing.ASKED
    standing = standing_of(asked)
    if standing.value != f"to_{asked.kind.value}":
        return standing
    # It still waits for an answer, but not for one to this question: it has been
    # asked anew, or time is up and a worker is about to end it.
    return Standing.NOT_SENT if asked.is_latest else Standing.ASKED_ANEW


def came_late(asked: AskedDecision) -> bool:
    """Tell whether the answer to this question found it decided."""
    if asked.answer is None:
        return False
    if asked.kind is Kind.CONFIRM:
        return asked.answer == "no" and asked.ended_because != "disowned"
    return asked.is_latest and asked.decided_by != asked.address


def add_decisions(
    app: web.Application, *, pages: Pages, tokens: Tokens, decisions: Decisions
) -> None:
    """Serve the pages of decisions."""
    confirm = _DecisionPages(Kind.CONFIRM, Purpose.CONFIRM, pages, tokens, decisions)
    moderate = _DecisionPages(Kind.MODERATE, Purpose.MODERATE, pages, tokens, decisions)
    for path, shown in (("/c", confirm), ("/m", moderate)):
        app.router.add_get(f"{path}/{{token}}", shown.show)  # HEAD as well.
        app.router.add_post(f"{path}/{{token}}", shown.act)


class _DecisionPages:
    def __init__(
        self, kind: Kind, purpose: Purpose, pages: Pages, tokens: Tokens, decisions: Decisions
    ) -> None:
        self._kind = kind
        self._purpose = purpose
        self._pages = pages
        self._tokens = tokens
        self._decisions = decisions

    async def show(self, request: web.Request) -> web.Response:
        """Show what is to be decided, or what was."""
        return self._standing(request, await self._asked(request))

    async def act(self, request: web.Request) -> web.Response:
        """Take the answer; one that comes too late changes nothing, and is told."""
        asked = await self._asked(request)
        form = await form_of(request)
        answer = form.get("answer")
        if answer not in ("yes", "no"):
            return self._standing(request, asked, status=400)
        reason = readable(form.get("reason", ""), REASON_LIMIT) if answer == "no" else ""
        await self._decisions.answer(asked.decision_id, yes=answer == "yes", reason=reason or None)
        return back_to(request)

    async def _asked(self, request: web.Request) -> AskedDecision:
        number = self._tokens.read(self._purpose, request.match_info["token"])
        asked = None
        if number is not None:
            asked = await self._decisions.asked(number, self._kind)
        if asked is None:
            raise web.HTTPNotFound
        return asked

    def _standing(
        self, request: web.Request, asked: AskedDecision, *, status: int = 200
    ) -> web.Response:
        locale = self._pages.locale(request)
        size = format_decimal(max(1, round(asked.size_bytes / _KILO)), locale=locale)
        values = {
            **_facts(asked, locale),
            "standing": standing_for(asked),
            "asked": asked,
            "came_late": came_late(asked),
            "author": readable(asked.author, SHOWN_LIMIT),
            "address": readable(asked.address, SHOWN_LIMIT),
            "decided_by": readable(asked.decided_by or "", SHOWN_LIMIT),
            "kilobytes": size,
            "reasons": [reason_words(locale, reason) for reason in asked.reasons],
            "reason_limit": REASON_LIMIT,
        }
        return self._pages.page(request, f"{self._kind.value}.html", status=status, values=values)


def _facts(posting: AskedDecision, locale: str) -> dict[str, object]:
    """Return what every page tells of a posting."""
    return {
        "subject": readable(posting.subject, SHOWN_LIMIT),
        "title": readable(posting.list_title, SHOWN_LIMIT),
        "people": format_decimal(posting.recipients, locale=locale),
        "is_under_way": posting.is_under_way and posting.state in ("held", "stopped"),
    }
