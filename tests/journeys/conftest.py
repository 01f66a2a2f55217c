"""Journeys run the worker as a process between real servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.journeys.relais import Relais
from tests.servers.process import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.servers.dovecot import Dovecot
    from tests.servers.postfix import Postfix
    from tests.servers.postgres import Database

MEMBERS = """
    create schema club;
    create table club.member (person text primary key, email text, name text,
                              role text, committee text);
    create view lists.committee_role as
    select role, committee, email, name, person from club.member;
    select lists.define(view => 'lists.committee_role', address => '{role}.{committee}',
                        title => '{role}, {committee}', post => 'members');
    create view lists.everybody as select email, name, person from club.member;
    select lists.define(view => 'lists.everybody', address => 'tous', title => 'Tous',
                        post => 'anyone', grace => '0', receipt => 'never');
"""


@pytest.fixture
def web_port() -> int:
    """A port for the pages, known before the worker starts."""
    return free_ports(1)[0]


@pytest_asyncio.fixture
async def relais(
    tmp_path: Path, database: Database, dovecot: Dovecot, postfix: Postfix, web_port: int
) -> AsyncIterator[Relais]:
    """A worker between a real mailbox and a real host, not yet started."""
    async with Relais(
        tmp_path,
        database,
        imap=f"imaps://catchall@127.0.0.1:{dovecot.imaps_port}",
        smtp=f"smtps://listes%40listes.test@127.0.0.1:{postfix.submissions_port}",
        mailbox=f'ca_file = "{dovecot.certificates.ca}"',
        account=f'ca_file = "{dovecot.certificates.ca}"\npassword_file = "smtp.secret"',
        web=web_port,
    ) as relais:
        await relais.define(MEMBERS)
        yield relais


@pytest_asyncio.fixture
async def relais_to_providers(
    tmp_path: Path, database: Database, dovecot: Dovecot, postfix: Postfix
) -> AsyncIterator[Relais]:
    """A worker whose host answers for the recipients itself, and greylists."""
    async with Relais(
        tmp_path,
        database,
        imap=f"imap://catchall@127.0.0.1:{dovecot.imap_port}",
        smtp=f"smtp://127.0.0.1:{postfix.providers_port}",
    ) as relais:
        await relais.define(MEMBERS)
        yield relais


async def members(relais: Relais, *emails: str, role: str = "membre") -> None:
    """Add members of the committee ``comite``."""
    await relais.db.executemany(
        "insert into club.member values ($1, $2, $3, $4, 'comite')",
        [(email, email, email.partition("@")[0], role) for email in emails],
    )
