"""Letters as programs show them: ``python -m tests.browser.letters FOLDER`` draws each."""

from __future__ import annotations

import asyncio
import email
import email.policy
import sys
from base64 import b64encode
from dataclasses import replace
from datetime import date, datetime, timedelta
from html import escape
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tests.browser.chromium import chromium
from worker.mail.copy import Personal, read_template
from worker.mail.notice import Envelope, write_notice
from worker.mail.reason import Reason
from worker.notices import letters, receipt
from worker.notices.dead_addresses import dead_addresses
from worker.notices.letters import About
from worker.notices.moments import about_time
from worker.notices.receipt import Ending, Outlook
from worker.notices.refusals import (
    Elsewhere,
    Enclosed,
    Places,
    Proposal,
    Refusal,
    not_posted,
    sent_twice,
)
from worker.policy import admission
from worker.policy.limit import read_limit
from worker.policy.mending import Ailing, DeadAddress
from worker.policy.refusal import Why
from worker.policy.telling import DelayReason, Figures, Share, Unreached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from email.message import EmailMessage

    from playwright.async_api import Browser, Page, ViewportSize

    from tests.browser.newsletters import Scheme
    from worker.mail.notice import Letter

NOW = datetime(2026, 11, 30, 7, 3, tzinfo=ZoneInfo("Europe/Paris"))
LANGUAGES = ("fr", "en")
LINK = "https://listes.example.fr/p/" + "k7" * 16
MEMBER_SPACE = "https://membres.example.fr/club/4400012/membres?saison=2026-2027"
_HELP = "aide@example.fr"
_ROLE = "tous.adherents-owner@listes.example.fr"
_CLUB = "Club 4400012, Étoile sportive de Saint-Nazaire"
_ENVELOPE = Envelope(
    sender_name="listes.example.fr",
    sender="postmaster@listes.example.fr",
    recipient="secretaire@club.example.fr",
    domain="listes.example.fr",
    reply_to=_HELP,
)


def _dead(
    name: str,
    address: str,
    reason: Reason,
    days: int,
    *titles: str,
    is_reminder: bool = False,
) -> DeadAddress:
    since = NOW - timedelta(days=days)
    ailing = Ailing(address, "held", since, None, reason, "", "", 2, since)
    names = (name,) if name else ()
    return DeadAddress(ailing, names, titles or (_CLUB,), frozenset({"fr"}), is_reminder)


_DEAD = (
    _dead("Anne Martin", "anne.martin@orange.fr", Reason.UNKNOWN_USER, 4, _CLUB, "Tous"),
    _dead("Noël Le Goff", "n.legoff@free.fr", Reason.FULL, 21),
    _dead("Zoé Petit-Guérin", "zoe.petit-guerin@gmial.com", Reason.UNKNOWN_DOMAIN, 6),
    _dead(
        "",
        "marie-antoinette.de-la-rochefoucauld-montbel@association-sportive.example.fr",
        Reason.DISABLED,
        400,
    ),
    _dead("Marc Hervé", "marc@sfr.fr", Reason.EXPIRED, 40, is_reminder=True),
)


def _weekly(lang: str) -> Letter:
    return dead_addresses(
        lang,
        _DEAD,
        more=0,
        known=2,
        member_space=MEMBER_SPACE,
        help_address=_HELP,
        now=NOW,
    )


def _about(lang: str) -> About:
    return About(
        lang=lang,
        author="marie.dupont@example.fr",
        subject="Convocation à l'assemblée générale du 12 décembre",
        list_address="tous.adherents@listes.example.fr",
        number=1842,
        help_address=_HELP,
        member_file=date(2026, 11, 29),
        is_attached=True,
    )


def _confirmation(lang: str) -> Letter:
    return letters.confirmation(
        _about(lang), recipients=820, size=12_400, link=LINK, until=_in_hours(120)
    )


def _moderation(lang: str) -> Letter:
    return letters.moderation(
        _about(lang),
        crowd=letters.Crowd(1842, 1850, letters.LastTime(12_042, date(2026, 11, 12))),
        size=4_812_345,
        reasons=[admission.Reason.STRANGER, admission.Reason.SHRANK],
        link=LINK,
        until=_in_hours(120),
        finish=about_time(lang, _in_hours(26), NOW),
        beginning="> Bonjour à tous,\n> voici la convocation, à lire avant samedi : l'ordre du jour"
        " est long et nous devons finir à midi.\n> https://example.org/convocation",
    )


def _how_to_leave(lang: str) -> Letter:
    return letters.how_to_leave(lang, title="Tous les adhérents", link=LINK, help_address=_HELP)


def _recheck(lang: str) -> Letter:
    return letters.recheck(
        lang, title="Tous les adhérents", help_address=_HELP, reason=Reason.UNKNOWN_DOMAIN
    )


def _in_hours(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)


def _waits(display: str, recipients: int, hours: float | None, limit: str = "") -> Share:
    return Share(
        provider=display.lower() or "other",
        display=display,
        recipients=recipients,
        handed_over=0,
        waiting=recipients,
        finish_at=None if hours is None else _in_hours(hours),
        limit=read_limit(limit) if limit else None,
    )


_OUTLOOK = Outlook(
    recipients=1842,
    shares=(
        _waits("Gmail", 246, 1),
        _waits("Orange", 1221, 70, "100/day"),
        _waits("La Poste", 9, None, "0/day"),
        _waits("Outlook", 131, 30),
        _waits("Free", 74, 1),
        _waits("Bouygues Telecom", 13, 200, "40/20s"),
        _waits("", 148, 1),
    ),
    finish_at=_in_hours(200),
    suppressed=8,
    held=4,
    unusable=1,
    link=LINK,
    now=NOW,
    first_copy_at=None,
    report_promised=True,
)


def _receipt(lang: str) -> Letter:
    return receipt.receipt(_about(lang), _OUTLOOK)


def _receipt_in_grace(lang: str) -> Letter:
    outlook = replace(
        _OUTLOOK,
        shares=(_waits("", 1842, 1),),
        finish_at=_in_hours(1),
        first_copy_at=_in_hours(0.1),
        report_promised=False,
    )
    return receipt.receipt(_about(lang), outlook)


def _delay(lang: str) -> Letter:
    slip = receipt.Slip(
        promised_at=_in_hours(30),
        told_at=_in_hours(-2),
        finish_at=_in_hours(70),
        figures=Figures(handed_over=630, waiting=190),
        why=DelayReason.SLOWED,
        display="Outlook",
        link=LINK,
        now=NOW,
    )
    return receipt.delay(_about(lang), slip)


_UNREACHED = (
    Unreached("anne.martin@orange.fr", "Anne Martin", Reason.UNKNOWN_USER),
    Unreached(
        "marie-antoinette.de-la-rochefoucauld-montbel@association-sportive.example.fr",
        "",
        Reason.POLICY,
    ),
)
_ENDING = Ending(
    figures=Figures(
        handed_over=1806,
        refused=9,
        expired=3,
        in_doubt=1,
        unsubscribed=2,
        left=4,
        held=17,
    ),
    began_at=NOW,
    ended_at=_in_hours(70),
    why_expired=Reason.FULL,
    unreached=(),
    hidden=True,
    owner_told=True,
    stopped_by="",
    why_stopped="",
    left_out=receipt.LeftOut(suppressed=2, held=1, unusable=0),
    link=LINK,
    now=_in_hours(71),
)


def _report(lang: str) -> Letter:
    return receipt.report(_about(lang), _ENDING)


def _report_of_a_stop(lang: str) -> Letter:
    figures = Figures(handed_over=100, refused=2, stopped=1740)
    ending = replace(_ENDING, figures=figures, unreached=_UNREACHED, stopped_by="author")
    return receipt.report(_about(lang), replace(ending, owner_told=False))


def _report_to_owner(lang: str) -> Letter:
    return receipt.report_to_owner(
        _about(lang),
        replace(_ENDING, unreached=_UNREACHED, hidden=False),
        author="marie.dupont@example.fr",
        member_space=MEMBER_SPACE,
    )


_COMMITTEE = "comite_directeur.comite@listes.example.fr"
_NOT_TAKEN = {
    "no_member": Refusal(_COMMITTEE, Why.NO_MEMBER),
    "too_big": Refusal(_COMMITTEE, Why.TOO_BIG, limit=5_000_000, people=820),
    "unknown_list": Refusal(
        "comite_directeurs.comitee@listes.example.fr",
        Why.UNKNOWN_LIST,
        proposals=(
            Proposal(_COMMITTEE, 14),
            Proposal("commission_des_arbitres_et_juges.comite@listes.example.fr", 1),
        ),
    ),
    "empty_list": Refusal("president.arbitres@listes.example.fr", Why.EMPTY_LIST),
    "unproven": Refusal(_COMMITTEE, Why.UNPROVEN),
}


def _not_posted(lang: str, *names: str, elsewhere: Elsewhere | None = None) -> Letter:
    return not_posted(
        replace(_about(lang), number=None),
        [_NOT_TAKEN[name] for name in names],
        size=12_000_000,
        places=Places(MEMBER_SPACE, "https://fichiers.example.fr/depot"),
        elsewhere=elsewhere or Elsewhere(),
        enclosed=Enclosed.HEADER,
    )


def _not_posted_everywhere(lang: str) -> Letter:
    elsewhere = Elsewhere(("tous.adherents@listes.example.fr",), ("bureau@listes.example.fr",))
    return _not_posted(lang, *_NOT_TAKEN, elsewhere=elsewhere)


def _held(lang: str, reason: admission.Reason) -> Letter:
    return letters.held(
        _about(lang),
        moderators=3,
        link=LINK,
        reasons=[reason],
        crowd=letters.Crowd(40, 43, letters.LastTime(820, date(2026, 11, 12))),
    )


def _sent_twice(lang: str) -> Letter:
    return sent_twice(
        _about(lang),
        recipients=820,
        awaits=None,
        is_waiting=False,
        link=LINK,
        until=_in_hours(72),
    )


# What we write, by a name for its pictures: whoever adds a letter adds a line.
LETTERS: dict[str, Callable[[str], Letter]] = {
    "confirmation": _confirmation,
    "moderation": _moderation,
    "held": lambda lang: _held(lang, admission.Reason.MODERATED),
    "refused": lambda lang: letters.refused(_about(lang), reason="la date est fausse"),
    "expired": lambda lang: letters.expired(_about(lang)),
    "query_fails": lambda lang: letters.query_fails(_about(lang)),
    "last_today": lambda lang: letters.last_today(_delay(lang), help_address=_HELP),
    "no_member": lambda lang: _not_posted(lang, "no_member"),
    "too_big": lambda lang: _not_posted(lang, "too_big"),
    "unknown_list": lambda lang: _not_posted(lang, "unknown_list"),
    "empty_list": lambda lang: _not_posted(lang, "empty_list"),
    "unproven": lambda lang: _not_posted(lang, "unproven"),
    "not_posted_everywhere": _not_posted_everywhere,
    "held_to_check": lambda lang: _held(lang, admission.Reason.SHRANK),
    "sent_twice": _sent_twice,
    "answer_unclear": lambda lang: letters.answer_unclear(_about(lang), link=LINK),
    "forwarded": lambda lang: letters.forwarded(_about(lang), role=_ROLE, can_be_answered=True),
    "farewell": lambda lang: letters.farewell(
        lang, domain="listes.example.fr", link=LINK, help_address=_HELP
    ),
    "how_to_leave": _how_to_leave,
    "recheck": _recheck,
    "dead_addresses": _weekly,
    "receipt": _receipt,
    "receipt_in_grace": _receipt_in_grace,
    "delay": _delay,
    "report": _report,
    "report_of_a_stop": _report_of_a_stop,
    "report_to_owner": _report_to_owner,
}
# With a quotation, a table of three columns, one of two, and long addresses.
OF_EACH_FORM = ("moderation", "receipt", "report_to_owner")


def shown(letter: Letter, kind: str) -> str:
    """Return the HTML that a program shows of it; of text, as it does so."""
    wire = read_template(write_notice(letter, _ENVELOPE, now=NOW)).copy(Personal(b"r" * 32))
    notice: EmailMessage = email.message_from_bytes(
        wire.replace(b"\r\n..", b"\r\n."), policy=email.policy.default
    )
    body = notice.get_body((kind,))
    if body is None:
        raise AssertionError(f"a letter without {kind}")
    content = str(body.get_content())
    if kind == "html":
        return content
    style = "white-space:pre-wrap;overflow-wrap:anywhere;font-family:sans-serif"
    return (
        '<meta name="viewport" content="width=device-width">'
        f'<meta name="color-scheme" content="light dark"><div style="{style}">'
        f"{escape(content)}</div>"
    )


async def show(page: Page, letter: Letter, kind: str) -> None:
    """Load the letter as a document of its own."""
    encoded = b64encode(shown(letter, kind).encode()).decode()
    await page.goto("data:text/html;charset=utf-8;base64," + encoded)


async def _draw(folder: Path) -> None:
    async with chromium() as browser:
        await _draw_in(browser, folder, "light", LETTERS)
        await _draw_in(browser, folder, "dark", OF_EACH_FORM)


async def _draw_in(browser: Browser, folder: Path, scheme: Scheme, names: Iterable[str]) -> None:
    size: ViewportSize = {"width": 360, "height": 640}
    page = await browser.new_page(viewport=size, color_scheme=scheme)
    for name, lang, kind in product(names, LANGUAGES, ("html", "plain")):
        await show(page, LETTERS[name](lang), kind)
        picture = folder / f"{name}-{kind}-{lang}-{scheme}.png"
        await page.screenshot(path=picture, full_page=True)
    await page.close()


def main(folder: Path) -> None:
    """Write the pictures into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_draw(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
