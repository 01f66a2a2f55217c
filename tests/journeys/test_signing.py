"""What we sign arrives signed: over two hops of Postfix, into Dovecot, and verified there."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from tests.journeys.conftest import members
from tests.journeys.relais import DOMAIN, STRANGERS_SERVER, message, submit, until
from tests.unit.mail.signing_keys import is_verified
from worker.signing import make_key, read_key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.journeys.relais import Relais
    from tests.servers.dovecot import Dovecot
    from tests.servers.postfix import Postfix
    from worker.signing import SigningKey

pytestmark = pytest.mark.real_servers

AUTHOR = "president@membres.test"
ANNE = "anne@free.test"
COMITE = f"membre.comite@{DOMAIN}"
NEWS = f"nouvelles@{DOMAIN}"
ANNOUNCEMENT = """
    create view lists.news as select email, name, person from club.member;
    select lists.define(view => 'lists.news', address => 'nouvelles', title => 'Nouvelles',
                        why => 'Pour {name}.', post => 'anyone', form => 'announcement');
"""
# What mail servers are known to touch: 8 bits, long lines, dots, spaces, blank lines.
MIXED = (
    b'Content-Type: multipart/mixed; boundary="m"\r\n\r\n--m\r\n'
    b'Content-Type: multipart/alternative; boundary="a"\r\n\r\n'
    b"--a\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"Bonjour \xc3\xa0 tous,   \r\n.\r\n..\r\n\r\n"
    b"--a\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"<html><body><p>Bonjour \xc3\xa0 tous</p></body></html>\r\n--a--\r\n"
    b"--m\r\nContent-Type: application/x-odd\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"From the attachment\r\n.\t \r\n" + b"\xe9 " * 490 + b"\r\n--m--\r\n\r\n \r\n\r\n"
)


@pytest.fixture
def key(relais: Relais, tmp_path: Path) -> SigningKey:
    """The key that the worker is configured with."""
    pem = make_key()
    (tmp_path / "relais1.pem").write_text(pem)
    (tmp_path / "relais1.pem").chmod(0o600)
    with relais.config.open("a") as config:
        config.write('[dkim]\nselector = "relais1"\nkey_file = "relais1.pem"\n')
    return read_key(pem, domain=DOMAIN, selector="relais1")


def mixed(to: str) -> bytes:
    """Write a message to *to* with all that can be broken on the way."""
    lines = (
        "From: =?utf-8?q?Le_Pr=C3=A9sident?= <president@membres.test>", f"To: {to}",
        "Subject: =?utf-8?q?R=C3=A9union?=", f"Date: {formatdate()}", "MIME-Version: 1.0", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + MIXED


async def test_copies_arrive_verified(
    relais: Relais, dovecot: Dovecot, postfix: Postfix, key: SigningKey
) -> None:
    """A plain text, 8 bits with attachments, and what goes to each by name."""
    await relais.define(ANNOUNCEMENT)
    await members(relais, AUTHOR, ANNE)
    await relais.start()

    for to, raw in (
        (COMITE, message(COMITE, body=".\r\n  Bonjour  \t à tous,\r\n\r\n")),
        (COMITE, mixed(COMITE)),
        (NEWS, mixed(NEWS)),
    ):
        await submit(postfix.inbound_port, AUTHOR, to, raw)
    await until(lambda: all(len(dovecot.received(name)) == 3 for name in (AUTHOR, ANNE)))

    copies = [*dovecot.received(AUTHOR), *dovecot.received(ANNE)]
    assert [is_verified(copy, key) for copy in copies] == [True] * 6
    assert sum(b"\nTo: anne <anne@free.test>\n" in copy for copy in copies) == 1
    assert not any(is_verified(copy.replace(b"tous", b"toux", 1), key) for copy in copies)


async def test_a_question_arrives_verified(
    relais: Relais, dovecot: Dovecot, postfix: Postfix, key: SigningKey
) -> None:
    """Whoever is asked whether a message is theirs can see that we ask."""
    await members(relais, AUTHOR, ANNE)
    await relais.start()

    await submit(postfix.inbound_port, AUTHOR, COMITE, mixed(COMITE), client=STRANGERS_SERVER)
    await until(lambda: bool(dovecot.received(AUTHOR)))

    (question,) = dovecot.received(AUTHOR)
    assert b"\nAuto-Submitted: auto-replied\n" in question
    assert is_verified(question, key)
