"""Connecting and logging in: every way it can end."""

from __future__ import annotations

import asyncio
import base64
import logging
import traceback
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.edges.inbox.script import LOGIN, SOON, Script, endpoint
from worker.config import Tls
from worker.errors import LoginRefused, MailboxLost
from worker.inbox.imap import Inbox

if TYPE_CHECKING:
    from tests.servers.tls import Certificates

SHORT = timedelta(milliseconds=80)
CANARY = 'can"ary\\bird'

CAPABILITY = """
    S: * OK ready
    C: CAPABILITY
    S: * CAPABILITY IMAP4rev1
    S: T OK
"""
PLAIN = """
    S: * OK ready
    C: CAPABILITY
    S: * CAPABILITY IMAP4rev1 AUTH=PLAIN LOGINDISABLED
    S: T OK
    C: AUTHENTICATE PLAIN
    S: +
"""

LOST = {
    "BYE for a greeting": ("S: * BYE too many connections", "too many connections"),
    "PREAUTH for a greeting": ("S: * PREAUTH somebody", "PREAUTH"),
    "no greeting, but the end": ("close", "closed"),
    "no greeting at all": ("silence", "no answer"),
    "another protocol": ("S: 220 ESMTP", "220 ESMTP"),
    "closed instead of capabilities": ("S: * OK\nC: CAPABILITY\nclose", "closed"),
    "capabilities refused": ("S: * OK\nC: CAPABILITY\nS: T BAD what", "BAD what"),
    "closed at the login": (CAPABILITY + "C: *\nclose", "closed"),
    "silent at the login": (CAPABILITY + "C: *\nsilence", "no answer"),
    "BYE at the login": (CAPABILITY + "C: *\nS: * BYE no\nsilence", "BYE no"),
    "not now": (CAPABILITY + "C: *\nS: T NO [UNAVAILABLE] database down", "database down"),
    "challenged again and again": (PLAIN + "L: *\nS: + go on\nsilence", "no answer"),
    "no login offered": (CAPABILITY.replace("rev1", "rev1 LOGINDISABLED"), "no login"),
}


@pytest.mark.parametrize(("dialogue", "why"), LOST.values(), ids=LOST)
async def test_lost(dialogue: str, why: str) -> None:
    """Whatever hinders the login, but a refusal, is a lost mailbox, soon."""
    deadline = SHORT if why == "no answer" else SOON
    async with Script(dialogue).playing() as script:
        with pytest.raises(MailboxLost, match=why):
            await Inbox.connect(endpoint(script.port), deadline=deadline)


async def test_nobody_listens() -> None:
    """A port that refuses is a lost mailbox, too, and is named."""
    with pytest.raises(MailboxLost, match=r"127\.0\.0\.1:1: "):
        await Inbox.connect(endpoint(1))


REFUSALS = {
    "LOGIN": CAPABILITY + "C: *\nS: T NO [AUTHENTICATIONFAILED] no",
    "AUTHENTICATE": PLAIN + "L: *\nS: T NO [AUTHENTICATIONFAILED] no",
}


@pytest.mark.parametrize("dialogue", REFUSALS.values(), ids=REFUSALS)
async def test_login_refused(dialogue: str) -> None:
    """A refusal is told as such, after exactly one try."""
    async with Script(dialogue + "\nsilence").playing() as script:
        with pytest.raises(LoginRefused, match="AUTHENTICATIONFAILED"):
            await Inbox.connect(endpoint(script.port), deadline=SOON)


@pytest.mark.parametrize("breaker", ["\r", "\n", "\0"])
@pytest.mark.parametrize("field", ["user", "password"])
async def test_control_characters(field: str, breaker: str) -> None:
    """No login carries what would end its line; nothing is even connected."""
    with pytest.raises(ValueError, match="NUL, CR or LF"):
        await Inbox.connect(endpoint(1, Tls.NONE, **{field: f"a{breaker}b"}))


async def test_starttls(certificates: Certificates) -> None:
    """With STARTTLS, nothing is asked or told before TLS is there."""
    upgrade = "S: * OK\nC: STARTTLS\nS: T OK\nstarttls"
    rest = LOGIN.format(capabilities="").replace("S: * OK ready", "")
    script = Script(
        upgrade + rest + "C: LOGOUT\nS: * BYE\nS: T OK\nsilence", tls=certificates.server_context()
    )
    async with script.playing():
        inbox = await Inbox.connect(endpoint(script.port, Tls.STARTTLS, ca_file=certificates.ca))
        await inbox.close()


async def test_implicit_tls(certificates: Certificates) -> None:
    """TLS from the first octet on."""
    dialogue = LOGIN.format(capabilities="") + "C: LOGOUT\nS: * BYE\nS: T OK\nsilence"
    async with Script(dialogue, tls=certificates.server_context()).playing(
        implicit_tls=True
    ) as script:
        inbox = await Inbox.connect(endpoint(script.port, Tls.IMPLICIT, ca_file=certificates.ca))
        await inbox.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1"])
async def test_tls_is_verified(certificates: Certificates, host: str) -> None:
    """Neither an unknown authority nor another host's certificate is accepted."""
    ca_file = None if host == "127.0.0.1" else certificates.ca
    script = Script("silence", tls=certificates.server_context())
    async with script.playing(implicit_tls=True):
        where = endpoint(script.port, Tls.IMPLICIT, host=host, ca_file=ca_file)
        with pytest.raises(MailboxLost, match="CERTIFICATE_VERIFY_FAILED"):
            await Inbox.connect(where, deadline=SOON)
        script.end()


async def test_starttls_refused() -> None:
    """We never go on without TLS: the password stays here."""
    async with Script("S: * OK\nC: STARTTLS\nS: T NO not today\nsilence").playing() as script:
        with pytest.raises(MailboxLost, match="not today"):
            await Inbox.connect(endpoint(script.port, Tls.STARTTLS), deadline=SOON)
    assert script.heard == ["STARTTLS"]


async def test_starttls_injection() -> None:
    """What comes in the clear behind the answer to STARTTLS ends it (CVE-2021-33515)."""
    octets = {"injected": b"* CAPAB"}
    dialogue = "S: * OK\nC: STARTTLS\nS: T OK\nwrite injected\nsilence"
    async with Script(dialogue, octets).playing() as script:
        with pytest.raises(MailboxLost, match="between STARTTLS and TLS"):
            await Inbox.connect(endpoint(script.port, Tls.STARTTLS), deadline=SOON)


async def test_silent_tls_handshake() -> None:
    """A server that never answers the handshake is given up in time."""
    async with Script("silence").playing() as script:
        with pytest.raises(MailboxLost, match="no answer"):
            await Inbox.connect(endpoint(script.port, Tls.IMPLICIT), deadline=SHORT)


BETRAYALS = {
    "all is well": LOGIN.split("C: LOGIN")[0] + "C: *\nS: T OK\nC: CAPABILITY\nclose",
    "refused": CAPABILITY + "C: *\nS: T NO wrong",
    "another command's tag": CAPABILITY + "C: *\nS: Z9 OK surprise\nsilence",
    "nonsense": CAPABILITY + "C: *\nS: * 1 FETCH {99999999999999999999999999}\nsilence",
    "by SASL": PLAIN + "L: *\nS: Z9 OK surprise\nsilence",
}


@pytest.mark.parametrize("dialogue", BETRAYALS.values(), ids=BETRAYALS)
async def test_password_is_never_told(dialogue: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither logs nor errors have the password, whoever turns on DEBUG."""
    caplog.set_level(logging.DEBUG)
    sasl = base64.b64encode(f"\0user\0{CANARY}".encode()).decode()

    async with Script(dialogue.replace("{capabilities}", "")).playing() as script:
        with pytest.raises((MailboxLost, LoginRefused)) as caught:
            await Inbox.connect(endpoint(script.port, password=CANARY), deadline=SOON)
        await asyncio.sleep(0)

    # As the logs of some do, with all that the frames hold.
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    told = caplog.text + "".join(line for line in shown.format() if "test_connect.py" not in line)
    assert "ary" not in told
    assert sasl not in told
    assert not [record for record in caplog.records if record.name.startswith("aioimaplib")]
