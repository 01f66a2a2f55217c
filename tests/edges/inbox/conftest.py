"""What the tests of the mailbox share: every one runs on both event loops."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest
import uvloop

from tests.servers.dovecot import Dovecot
from tests.servers.tls import Certificates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each test twice: the worker runs on uvloop, where there is one."""
    return LOOPS


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority that clients trust if they are told to, and what it signed."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here, which makes the certificates")
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def dovecot(certificates: Certificates) -> Iterator[Dovecot]:
    """The real server, a new one each time: it starts in no time.

    One for all would make everybody wait once somebody had a wrong password.
    """
    if not Dovecot.is_installed():
        pytest.skip("no Dovecot here: apt-get install dovecot-imapd dovecot-lmtpd")
    with Dovecot(certificates) as server:
        yield server
