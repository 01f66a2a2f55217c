"""Authentication: what our host says of an author, or else what we verify ourselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.lookup.dkim import verify_author
from worker.mail.authentication import Authenticity, authenticate
from worker.mail.received import client_network, own_hops
from worker.store.authors import Evidence

if TYPE_CHECKING:
    from worker.actors.office import Office
    from worker.mail.authentication import Authentication
    from worker.mail.header import Message
    from worker.store.arrivals import Arrival


async def authenticated(
    arrival: Arrival, message: Message, author: str | None, *, office: Office
) -> tuple[Authentication, Evidence]:
    """Return what is known of the author of *message*, and what came with it besides."""
    host = office.mailbox.recipe
    found = authenticate(message, host=host)
    if author is not None and found.verdict is Authenticity.UNKNOWN and not found.method:
        found = await verify_author(arrival.raw, found=found, lookup=office.lookup)
    border = own_hops(message, host).border
    return found, Evidence(
        signed_by=found.domain if found.verdict is Authenticity.UNKNOWN else "",
        return_path_domain=found.return_path_domain,
        network=client_network(border) if border is not None else "",
    )
