"""Copies of the shared corpus survive real servers, and so does their signature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.corpus.copies import CORPUS, messages
from tests.corpus.roundtrip import round_trip

if TYPE_CHECKING:
    from tests.servers.dovecot import Dovecot
    from tests.servers.postfix import Postfix

pytestmark = [
    pytest.mark.real_servers,
    pytest.mark.skipif(not CORPUS.exists(), reason=f"no shared corpus at {CORPUS}"),
]


def test_round_trip(dovecot: Dovecot, postfix: Postfix) -> None:
    """Two hops of Postfix and a mailbox of Dovecot change no byte."""
    became = round_trip(dovecot, postfix, list(messages(CORPUS)))

    assert became.failures == ()
    assert became.sent == became.accepted == became.unchanged == became.verified > 400
