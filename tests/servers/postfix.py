"""Postfix: the mailbox host's servers, and those of all members' providers.

    smtp_port          submission from the loopback, no questions asked
    submission_port    STARTTLS, then AUTH (names and passwords are Dovecot's)
    submissions_port   implicit TLS, then AUTH
    inbound_port       where the world writes to the lists. Clients say by XCLIENT
                       from which address they come; the host adds what it found
                       out, Authentication-Results: "pass" for AUTHORS_NETWORK,
                       where the authors' providers are, nothing for others
    providers_port     the members' providers themselves

Mail for LISTS goes to Dovecot's catch-all. All other mail goes over SMTP to the
providers' listener of the same instance, which asks ``Providers`` about each
recipient, and about each message at its end, and delivers to the mailboxes that
Dovecot keeps for members. So what is refused makes a genuine report (RFC 3464)
to the return address.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import signal
import socketserver
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.servers.process import Process, accepts, free_ports, memory_folder, remove, wait_until

if TYPE_CHECKING:
    from types import TracebackType

    from tests.servers.dovecot import Dovecot

LISTS = "listes.test"
HOST = "mx.hote.test"  # Also the authserv-id of Authentication-Results.
PROVIDERS = "mx.fournisseurs.test"
# Reserved for documentation (RFC 5737): public addresses that nobody has.
AUTHORS_NETWORK = "203.0.113."

MAIN = """
compatibility_level = 3.6
queue_directory = {home}/spool
data_directory = {home}/data
config_directory = {home}/etc
command_directory = /usr/sbin
daemon_directory = {programs}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {home}/maillog
maillog_file_prefixes = {home}
enable_long_queue_ids = yes
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
myhostname = {host}
myorigin = {host}
mydestination =
alias_maps =
local_recipient_maps =
recipient_delimiter =
smtputf8_enable = yes
message_size_limit = 52428800
# Nothing asks the DNS.
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
virtual_mailbox_domains = {lists}
virtual_mailbox_maps = static:ok
virtual_transport = lmtp:inet:127.0.0.1:{catchall_port}
default_transport = smtp:[127.0.0.1]:{providers_port}
relay_transport = $default_transport
# One recipient at a time: hosts write one Delivered-To per copy.
lmtp_destination_recipient_limit = 1
smtp_destination_concurrency_limit = 20
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions =
smtpd_client_connection_count_limit = 0
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
smtpd_tls_auth_only = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{sasl_port}
smtpd_error_sleep_time = 0
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
bounce_queue_lifetime = 5m
maximal_queue_lifetime = 5m
"""

POLL_SECONDS = 0.02

# service type private unprivileged chroot wakeup maxproc command
MASTER = """
127.0.0.1:{smtp_port} inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o {{ smtpd_end_of_data_restrictions =
       check_policy_service {{ inet:127.0.0.1:{policy_port}, policy_context=submission }} }}
127.0.0.1:{submission_port} inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o {{ smtpd_end_of_data_restrictions =
       check_policy_service {{ inet:127.0.0.1:{policy_port}, policy_context=submission }} }}
127.0.0.1:{submissions_port} inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o {{ smtpd_end_of_data_restrictions =
       check_policy_service {{ inet:127.0.0.1:{policy_port}, policy_context=submission }} }}
127.0.0.1:{inbound_port} inet n - n - - smtpd
  -o syslog_name=postfix/inbound
  -o smtpd_authorized_xclient_hosts=127.0.0.0/8
  -o smtpd_relay_restrictions=reject_unauth_destination
  -o {{ smtpd_recipient_restrictions = reject_unauth_destination,
       check_policy_service {{ inet:127.0.0.1:{policy_port}, policy_context=inbound }} }}
127.0.0.1:{providers_port} inet n - n - - smtpd
  -o syslog_name=postfix/providers
  -o myhostname={providers}
  -o content_filter=lmtp:inet:127.0.0.1:{members_port}
  -o {{ smtpd_recipient_restrictions =
       check_policy_service {{ inet:127.0.0.1:{policy_port}, policy_context=providers }} }}
  -o {{ smtpd_end_of_data_restrictions =
       check_policy_service {{ inet:127.0.0.1:{policy_port}, policy_context=providers }} }}
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
smtp      unix  -       -       n       -       -       smtp
lmtp      unix  -       -       n       -       -       lmtp
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
"""

SPOOL = {
    **dict.fromkeys(["active", "bounce", "corrupt", "defer", "deferred", "flush"], 0o700),
    **dict.fromkeys(["hold", "incoming", "private", "saved", "trace"], 0o700),
    "maildrop": 0o730,
    "public": 0o710,
    "pid": 0o755,
}

_SUBMITTED = re.compile(r"postfix/submission/smtpd\[\d+\]: (\w+): client=")
_MESSAGE_ID = re.compile(r"/cleanup\[\d+\]: (\w+): message-id=(.*)")
_TAKEN = re.compile(r"/qmgr\[\d+\]: (\w+): from=<(.*?)>, size=(\d+)")
_TRIED = re.compile(r": (\w+): to=<(.*?)>, .*dsn=([\d.]+), status=(\w+) \((.*)\)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Handover:
    """The last that became of one recipient, in Postfix's words."""

    recipient: str
    status: str  # sent, bounced or deferred
    dsn: str  # RFC 3463
    text: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that a submission listener took with 250 after the dot."""

    queue_id: str
    return_address: str
    size_bytes: int
    message_id: str
    handovers: tuple[Handover, ...]


@dataclass(frozen=True, slots=True)
class Dot:
    """A whole message that has come to a submission listener; its reply has not left yet."""

    at: float  # time.monotonic(): the log has whole seconds, and comes later.
    return_address: str
    recipient: str


class Providers:
    """What the members' providers answer to RCPT, and to the message; the first match counts.

    Each row is a regular expression of the recipient, the answer, and how often
    it is given to one recipient (None: always).
    """

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, int | None]] = [
            (r"@gone\.test$|^unknown@", "550 5.1.1 User unknown", None),
            (r"@grey\.test$", "451 4.7.1 Greylisted, try again later", 1),
            (r"@full\.test$", "452 4.2.2 Mailbox full", None),
        ]
        self.rows_at_end: list[tuple[str, str, int | None]] = []
        self._given: Counter[tuple[str, str]] = Counter()

    def answer(self, pattern: str, reply: str = "DUNNO", *, times: int | None = None) -> None:
        """Answer *reply* to recipients like *pattern* from now on."""
        self.rows.insert(0, (pattern, reply, times))

    def answer_at_end(
        self, pattern: str, reply: str = "DUNNO", *, times: int | None = None
    ) -> None:
        """Answer *reply* to the dot of a message for one recipient like *pattern*."""
        self.rows_at_end.insert(0, (pattern, reply, times))

    def verdict(self, recipient: str, *, at_end: bool = False) -> str:
        """Return an action of Postfix's access(5): a reply, or DUNNO to accept."""
        for pattern, reply, times in self.rows_at_end if at_end else self.rows:
            if re.search(pattern, recipient, re.IGNORECASE):
                self._given[pattern, recipient] += 1
                if times is None or self._given[pattern, recipient] <= times:
                    return reply
        return "DUNNO"


class _Policy(socketserver.ThreadingTCPServer):
    """Postfix's policy delegation protocol (SMTPD_POLICY_README)."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, providers: Providers, dots: list[Dot]) -> None:
        self.providers = providers
        self.dots = dots
        super().__init__(("127.0.0.1", port), _PolicyConversation)


class _PolicyConversation(socketserver.StreamRequestHandler):
    server: _Policy

    def handle(self) -> None:
        asked: dict[str, str] = {}
        for line in self.rfile:
            name, _, value = line.decode().rstrip("\n").partition("=")
            if name:
                asked[name] = value
            elif asked:
                self.wfile.write(f"action={self._action(asked)}\n\n".encode())
                asked = {}

    def _action(self, asked: dict[str, str]) -> str:
        if asked["policy_context"] == "submission":
            self.server.dots.append(Dot(time.monotonic(), asked["sender"], asked["recipient"]))
            return "DUNNO"
        if asked["policy_context"] == "inbound":
            if not asked["client_address"].startswith((AUTHORS_NETWORK, "127.")):
                return f"PREPEND Authentication-Results: {HOST}; spf=none"
            domain = asked["sender"].rpartition("@")[2]
            return (
                f"PREPEND Authentication-Results: {HOST}; dmarc=pass"
                f" header.from={domain}; spf=pass smtp.mailfrom={asked['sender']}"
            )
        at_end = asked["protocol_state"] == "END-OF-MESSAGE"
        return self.server.providers.verdict(asked["recipient"], at_end=at_end)


class Postfix:
    """A private instance in front of *dovecot*. Only root may start one."""

    def __init__(self, dovecot: Dovecot) -> None:
        self.dovecot = dovecot
        self.providers = Providers()
        self.dots: list[Dot] = []
        *self._ports, self._policy_port = free_ports(6)
        (
            self.smtp_port,
            self.submission_port,
            self.submissions_port,
            self.inbound_port,
            self.providers_port,
        ) = self._ports

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @staticmethod
    def is_installed() -> bool:
        """Say whether Postfix is here and may be started by us."""
        return os.geteuid() == 0 and Path("/usr/sbin/postfix").exists()

    def start(self) -> Self:
        """Start it; `postfix start` would spend seconds on checking our work."""
        if not hasattr(self, "home"):
            self._make_home()
        self._policy = _Policy(self._policy_port, self.providers, self.dots)
        threading.Thread(
            target=self._policy.serve_forever, args=(POLL_SECONDS,), daemon=True
        ).start()
        etc = self.home / "etc"
        self._process = Process([_programs() / "master", "-c", etc], self._maillog, self.home)
        self._process.wait_until_ready(lambda: accepts(self.smtp_port))
        return self

    def pause(self) -> None:
        """Stop the server and keep its queue for another start()."""
        group = int((self.home / "spool/pid/master.pid").read_text())
        self._process.stop()
        # The master waits for no one, and its children still hold the ports.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        wait_until(lambda: not any(map(accepts, self._ports)), 10, "Postfix's end")
        self._policy.shutdown()
        self._policy.server_close()

    def stop(self) -> None:
        """Stop the server and forget its queue and its log."""
        self.pause()
        remove(self.home)
        del self.home

    def configure(self, **settings: str) -> None:
        """Start again with other values in main.cf; the queue is kept."""
        self.pause()
        main = self.home / "etc/main.cf"
        with main.open("a") as written:
            written.writelines(f"{name} = {value}\n" for name, value in settings.items())
        os.utime(main, (0, 0))
        self.start()

    def flush(self) -> None:
        """Try everything deferred at once (it is tried every second anyway)."""
        etc = self.home / "etc"
        subprocess.run(["/usr/sbin/postqueue", "-c", etc, "-f"], check=True)

    def log(self) -> str:
        """Return the mail log."""
        return self._maillog.read_text(errors="replace")

    def accepted(self) -> list[Accepted]:
        """Return what was submitted and accepted, in that order: the truth."""
        log = self.log()
        message_ids = {match[1]: match[2] for match in _MESSAGE_ID.finditer(log)}
        # The queue manager names a message again at every retry.
        taken = {queue_id: (who, int(size)) for queue_id, who, size in _TAKEN.findall(log)}
        tried: dict[str, dict[str, Handover]] = {}
        for queue_id, recipient, dsn, status, text in _TRIED.findall(log):
            tried.setdefault(queue_id, {})[recipient] = Handover(recipient, status, dsn, text)
        return [
            Accepted(
                queue_id,
                *taken[queue_id],
                message_ids.get(queue_id, ""),
                tuple(tried.get(queue_id, {}).values()),
            )
            for queue_id in _SUBMITTED.findall(log)
            if queue_id in taken  # Else the client left before the dot.
        ]

    @property
    def _maillog(self) -> Path:
        return self.home / "maillog"

    def _make_home(self) -> None:
        self.home = memory_folder("relais-postfix-")
        self.home.chmod(0o755)
        owner = pwd.getpwnam("postfix")
        for name in ("etc", "spool", "data"):
            (self.home / name).mkdir()
        os.chown(self.home / "data", owner.pw_uid, owner.pw_gid)
        for name, mode in SPOOL.items():
            folder = self.home / "spool" / name
            folder.mkdir()
            if name != "pid":
                os.chown(folder, owner.pw_uid, _postdrop() if mode & 0o070 else 0)
            folder.chmod(mode)
        values = {
            "home": self.home,
            "programs": _programs(),
            "host": HOST,
            "lists": LISTS,
            "providers": PROVIDERS,
            "cert": self.dovecot.certificates.cert,
            "key": self.dovecot.certificates.key,
            "catchall_port": self.dovecot.lmtp_port,
            "members_port": self.dovecot.members_port,
            "sasl_port": self.dovecot.sasl_port,
            "policy_port": self._policy_port,
            **{name: port for name, port in vars(self).items() if name.endswith("_port")},
        }
        main = self.home / "etc/main.cf"
        main.write_text(MAIN.format(**values))
        # Postfix waits for a file that is younger than a second to settle, six
        # times over.
        os.utime(main, (0, 0))
        (self.home / "etc/master.cf").write_text(MASTER.format(**values))


def _programs() -> Path:
    places = [Path("/usr/lib/postfix/sbin"), Path("/usr/libexec/postfix")]
    return next(place for place in places if (place / "master").exists())


def _postdrop() -> int:
    import grp  # noqa: PLC0415 - Only POSIX has it, and only real servers need it.

    return grp.getgrnam("postdrop").gr_gid
