"""Authentication: what our host says of an author, or else what we verify ourselves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from worker.lookup.dkim import good_signer
from worker.lookup.dkim_keys import keys_of
from worker.mail.authentication import Authenticity
from worker.store.authors import Evidence

if TYPE_CHECKING:
    from worker.actors.office import Office
    from worker.mail.authentication import Authentication
    from worker.mail.examination import Examination
    from worker.store.arrivals import Arrival


async def authenticated(
    arrival: Arrival, seen: Examination, *, office: Office
) -> tuple[Authentication, Evidence]:
    """Return what is known of the author of *arrival*, and what came with it besides."""
    found = await _verified(arrival, seen, office=office)
    return found, Evidence(
        signed_by=found.domain if found.verdict is Authenticity.UNKNOWN else "",
        return_path_domain=found.return_path_domain,
        network=seen.network,
    )


async def _verified(arrival: Arrival, seen: Examination, *, office: Office) -> Authentication:
    """Return what the host says, or a proof by a good signature of the author's domain.

    A bad signature proves nothing either way: many hosts change what they store.
    """
    keys = await keys_of(seen.signatures, office.lookup)
    if not keys:
        return seen.authentication
    signer = await office.reader.run(good_signer, arrival.raw, seen.signatures, keys)
    if signer is None:
        return seen.authentication
    return replace(seen.authentication, verdict=Authenticity.PROVEN, method="dkim", domain=signer)
