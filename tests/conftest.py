"""What tests of every folder may ask for: databases and servers.

A real server that is not installed skips the test, and says so; with CI=true it
fails, because there `.ci/servers` has installed it.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.servers.dovecot import Dovecot
from tests.servers.postfix import Postfix
from tests.servers.postgres import PostgresCluster
from tests.servers.smtp import SmtpServer
from tests.servers.tls import Certificates
from worker.store.embedded import EmbeddedPostgresError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.servers.postgres import Database


def lacking(what: str) -> None:
    """Skip, or fail in CI, because *what* is not here."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true, and there is no {what}; see .ci/servers")
    pytest.skip(f"no {what} here; on Debian, as root, .ci/servers installs it")


@pytest.fixture(scope="session")
def cluster() -> Iterator[PostgresCluster]:
    """The session's PostgreSQL, of the wheel or of the system."""
    try:
        with PostgresCluster() as cluster:
            yield cluster
    except EmbeddedPostgresError as error:
        lacking(f"PostgreSQL ({error})")


@pytest.fixture
def database(cluster: PostgresCluster) -> Iterator[Database]:
    """A migrated database of the test's own."""
    database = cluster.create()
    yield database
    cluster.drop(database)


@pytest.fixture
def empty_database(cluster: PostgresCluster) -> Iterator[Database]:
    """A database of the test's own that was never migrated."""
    database = cluster.create_empty()
    yield database
    cluster.drop(database)


@pytest.fixture
def database_url(database: Database) -> str:
    """Where the test's database is, as the worker's role."""
    return database.url


@pytest.fixture
def admin_url(database: Database) -> str:
    """Where the test's database is, as the role that migrates."""
    return database.admin_url


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority that clients trust if they are told to, and what it signed."""
    if shutil.which("openssl") is None:
        lacking("openssl")
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def dovecot(certificates: Certificates) -> Iterator[Dovecot]:
    """A hosted mailbox, and those of the members; it starts in 30 ms."""
    if not Dovecot.is_installed():
        lacking("Dovecot")
    with Dovecot(certificates) as dovecot:
        yield dovecot


@pytest.fixture
def postfix(dovecot: Dovecot) -> Iterator[Postfix]:
    """The host's and the providers' mail servers before *dovecot*."""
    if not Postfix.is_installed():
        lacking("Postfix, or no root to start it")
    with Postfix(dovecot) as postfix:
        yield postfix


@pytest_asyncio.fixture
async def smtp_server() -> AsyncIterator[SmtpServer]:
    """A submission server that fails where it is told to."""
    async with SmtpServer() as server:
        yield server
