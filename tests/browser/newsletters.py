"""Kinds of HTML mail, each as its copy looks: the footer must be readable in all of them.

    python -m tests.browser.newsletters FOLDER

draws each at 360 and 1280 px, light and dark, as a mail program's pane would show it.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import sys
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from tests.browser.chromium import chromium
from worker.mail.copy import Personal, for_reader, read_template
from worker.mail.footer import Footer
from worker.mail.list_headers import Author, ListIdentity
from worker.mail.preparation import prepare

if TYPE_CHECKING:
    from email.message import EmailMessage

    from playwright.async_api import Page, ViewportSize

Scheme: TypeAlias = Literal["light", "dark"]
COMITE = ListIdentity(
    local_part="comite",
    domain="listes.example.fr",
    title="Comité directeur",
    definition="committee",
    public_url="https://listes.example.fr",
    help_address="aide@example.fr",
)
FOOTER = Footer(
    (
        "Vous recevez ce message comme membre du comité (liste « Comité directeur »).",
        "Une réponse va à l'auteur seul.",
    ),
    "Pour ne plus recevoir cette liste :",
    COMITE.unsubscribe_url,
)
_PARAGRAPH = "Bonjour à tous, la prochaine réunion du comité a lieu vendredi à 20 h. " * 4
BODIES = {
    "plain": f"<p>{_PARAGRAPH}</p>",
    "a program's own": (
        "<html><head><style>body{font-family:Calibri;font-size:11pt;color:#1F497D}</style></head>"
        "<body lang=FR><div class=WordSection1>"
        f"<p class=MsoNormal>{_PARAGRAPH}</p></div></body></html>"
    ),
    "right to left": (
        '<html dir="rtl" lang="ar"><meta charset="utf-8"><body>'
        "<p>اجتماع اللجنة يوم الجمعة الساعة الثامنة مساء.</p></body></html>"
    ),
    "white on black": (
        '<html><body style="background:#111;color:#eee;margin:0;padding:1em">'
        f"<h1>Lettre d'information</h1><p>{_PARAGRAPH}</p></body></html>"
    ),
    "a newsletter of tables": (
        '<html><head><meta name="viewport" content="width=device-width"></head>'
        '<body bgcolor="#0b3d91" style="margin:0;color:#fff">'
        '<table width="100%" cellpadding="12"><tr><td align="center">'
        '<table width="100%" style="max-width:600px;background:#fff;color:#222"><tr><td>'
        f"<h2>Saison 2027</h2><p>{_PARAGRAPH}</p></td></tr></table></td></tr></table></body></html>"
    ),
    "floats and large type": (
        '<body style="font-size:28px;text-align:right"><div style="float:left;width:40%;height:9em;'
        f'background:#ccc">photo</div><p>{_PARAGRAPH}</p></body>'
    ),
    "follows the scheme": (
        '<html><head><meta name="color-scheme" content="light dark"><style>'
        "@media (prefers-color-scheme: dark){body{background:#1b1b1b;color:#ddd}}</style></head>"
        f"<body><p>{_PARAGRAPH}</p></body></html>"
    ),
}


def html_of(body: str, lang: str = "fr") -> str:
    """Return the HTML that a reader's program shows of a copy of *body*."""
    raw = (
        b"From: Jean <jean@b.fr>\r\nTo: comite@listes.example.fr\r\nSubject: Bonjour\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body.encode()
    )
    frozen = prepare(
        raw,
        identity=COMITE,
        author=Author("jean@b.fr", "Jean"),
        footers={"fr": FOOTER},
        now=datetime(2026, 11, 27, tzinfo=UTC),
    )
    wire = read_template(for_reader(frozen, lang)).copy(Personal(b"r" * 32, b"u" * 32))
    copy: EmailMessage = email.message_from_bytes(
        wire.replace(b"\r\n..", b"\r\n."), policy=email.policy.default
    )
    shown = copy.get_body(("html",))
    if shown is None:
        raise AssertionError("a copy of HTML has HTML")
    return str(shown.get_content())


# Gmail, Outlook and others turn the colours of mail that says nothing of a scheme.
TURNED_COLOURS = "--enable-features=WebContentsForceDark"


async def show(page: Page, body: str) -> None:
    """Load a copy of *body* as a document of its own."""
    # Not by set_content(): about:blank is dark in a dark scheme, whatever stands in it.
    await page.goto(
        "data:text/html;charset=utf-8;base64," + b64encode(html_of(body).encode()).decode()
    )


async def _draw(folder: Path) -> None:
    schemes: tuple[tuple[Scheme, tuple[str, ...]], ...] = (
        ("light", ()),
        ("dark", (TURNED_COLOURS,)),
    )
    for scheme, arguments in schemes:
        async with chromium(*arguments) as browser:
            for width in (360, 1280):
                size: ViewportSize = {"width": width, "height": 500}
                page = await browser.new_page(viewport=size, color_scheme=scheme)
                for name, body in BODIES.items():
                    await show(page, body)
                    path = folder / f"{name.replace(' ', '_')}-{width}-{scheme}.png"
                    await page.screenshot(path=path, full_page=True)
                await page.close()


def main(folder: Path) -> None:
    """Write the pictures into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_draw(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
