"""Letters as programs show them: ``python -m tests.browser.letters FOLDER`` draws each."""

from __future__ import annotations

import asyncio
import email
import email.policy
import sys
from base64 import b64encode
from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tests.browser.chromium import chromium
from worker.mail.copy import Personal, read_template
from worker.mail.notice import Envelope, write_notice
from worker.mail.reason import Reason
from worker.notices.dead_addresses import dead_addresses
from worker.policy.mending import Ailing, DeadAddress

if TYPE_CHECKING:
    from email.message import EmailMessage

    from playwright.async_api import Page, ViewportSize

    from tests.browser.newsletters import Scheme
    from worker.mail.notice import Letter

NOW = datetime(2026, 11, 30, 7, 3, tzinfo=ZoneInfo("Europe/Paris"))
LANGUAGES = ("fr", "en")
_CLUB = "Club 4400012, Étoile sportive de Saint-Nazaire"
_ENVELOPE = Envelope(
    sender_name="listes.example.fr",
    sender="postmaster@listes.example.fr",
    recipient="secretaire@club.example.fr",
    domain="listes.example.fr",
    reply_to="aide@example.fr",
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


def letter(lang: str) -> Letter:
    """Return the weekly letter to a secretary, with one of each kind."""
    return dead_addresses(
        lang,
        _DEAD,
        more=0,
        known=2,
        member_space="https://membres.example.fr/club/4400012/membres?saison=2026-2027",
        help_address="aide@example.fr",
        now=NOW,
    )


def shown(lang: str, kind: str) -> str:
    """Return the HTML that a program shows of it; of text, as it does so."""
    wire = read_template(write_notice(letter(lang), _ENVELOPE, now=NOW)).copy(Personal(b"r" * 32))
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


async def show(page: Page, lang: str, kind: str) -> None:
    """Load the letter as a document of its own."""
    encoded = b64encode(shown(lang, kind).encode()).decode()
    await page.goto("data:text/html;charset=utf-8;base64," + encoded)


async def _draw(folder: Path) -> None:
    schemes: tuple[Scheme, ...] = ("light", "dark")
    async with chromium() as browser:
        for scheme in schemes:
            for width in (360, 1280):
                size: ViewportSize = {"width": width, "height": 640}
                page = await browser.new_page(viewport=size, color_scheme=scheme)
                for lang in LANGUAGES:
                    for kind in ("html", "plain"):
                        await show(page, lang, kind)
                        name = f"dead_addresses-{kind}-{lang}-{width}-{scheme}.png"
                        await page.screenshot(path=folder / name, full_page=True)
                await page.close()


def main(folder: Path) -> None:
    """Write the pictures into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_draw(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
