"""The whole of what is read of a message: examined, then prepared as a posting."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from worker.mail.examination import examine
from worker.mail.footer import Footer
from worker.mail.host import HOSTS
from worker.mail.list_headers import Author, Form, ListIdentity, ReplyTo
from worker.mail.preparation import prepare

if TYPE_CHECKING:
    from worker.mail.examination import Examination
    from worker.reading.reader import Reader

DOMAIN = "listes.example.fr"
IDENTITY = ListIdentity(
    local_part="tous",
    domain=DOMAIN,
    title="Tous",
    definition="tous",
    public_url="https://listes.example.fr",
    help_address="aide@example.fr",
    form=Form.DISCUSSION,
    reply_to=ReplyTo.LIST,
    subject_tag="[Tous]",
)
FOOTERS = {
    "fr": Footer(("Une ligne, à lire.",), "Se désabonner", IDENTITY.unsubscribe_url),
    "en": Footer(("A line.",), "Unsubscribe", IDENTITY.unsubscribe_url),
}
NOW = datetime(2025, 1, 6, tzinfo=UTC)


async def examined(reader: Reader, raw: bytes) -> Examination:
    """Ask *reader* all that is asked of an arrival."""
    return await reader.run(
        examine, raw, host=HOSTS["other"], domain=DOMAIN, account=f"catchall@{DOMAIN}"
    )


async def prepared(reader: Reader, raw: bytes, seen: Examination | None = None) -> bytes:
    """Have *reader* make the template of a posting."""
    author = Author("a@b.fr") if seen is None else Author(seen.author or "", seen.author_name)
    return await reader.run(
        prepare, raw, identity=IDENTITY, author=author, footers=FOOTERS, now=NOW
    )
