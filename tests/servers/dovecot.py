"""Dovecot: the hosted mailbox, and the mailboxes of all members.

One instance, two LMTP listeners. What comes to *lmtp_port* lands in the one
account ``catchall``, whoever it was for; what comes to *members_port* lands in
a mailbox of the recipient's own, which exists as soon as it is written to. Those
in the domain FULL have no room (RFC 3463: 5.2.2).
"""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.servers.process import (
    Process,
    free_ports,
    memory_folder,
    ordinary_user,
    remove,
)

if TYPE_CHECKING:
    from types import TracebackType

    from tests.servers.tls import Certificates

ACCOUNT = "catchall"
PASSWORD = "mot-de-passe"
FULL = "plein.test"

CONFIGURATION = """
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
default_internal_user = {internal_user}
default_internal_group = {internal_group}
default_login_user = {login_user}
first_valid_uid = 1
first_valid_gid = 1
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
# By default a plus is no part of a name.
auth_username_chars =
mail_location = maildir:~/Maildir
mail_fsync = never
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}/mail/%Lu
}}
protocol lmtp {{
  mail_plugins = quota
  userdb {{
    driver = static
    args = uid={uid} gid={gid} allow_all_users=yes user={reader} home={home}/mail/{reader} \
      quota_rule={quota}
  }}
}}
plugin {{
  quota = maildir:User quota
}}
# This is what writes RCPT TO into Delivered-To, if there is only one.
lmtp_hdr_delivery_address = final
recipient_delimiter =
lda_mailbox_autocreate = yes
namespace inbox {{
  inbox = yes
  separator = /
}}
service anvil {{
  chroot =
  # No address of ours waits longer and longer for having been refused.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 100
}}
service lmtp {{
  chroot =
  user = {lmtp_user}
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
  inet_listener members {{
    port = {members_port}
  }}
}}
service auth {{
  inet_listener sasl {{
    port = {sasl_port}
  }}
}}
"""


class Dovecot:
    """A private instance. Any login is good with PASSWORD; ACCOUNT is ours."""

    def __init__(self, certificates: Certificates) -> None:
        self.certificates = certificates
        (
            self.imap_port,
            self.imaps_port,
            self.lmtp_port,
            self.members_port,
            self.sasl_port,
        ) = free_ports(5)

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
        """Say whether Dovecot is here, with IMAP and with LMTP."""
        return all(Path("/usr/lib/dovecot", name).exists() for name in ("imap", "lmtp")) and bool(
            _program()
        )

    def start(self) -> Self:
        """Start it, on the same ports and mailboxes if it ran before."""
        if not hasattr(self, "home"):
            self._make_home()
        self._process = Process(
            [_program(), "-F", "-c", self.home / "dovecot.conf"],
            self.home / "dovecot.log",
            self.home,
        )
        self._process.wait_until_ready(self._greets)
        return self

    def pause(self) -> None:
        """Stop the server and keep the mailboxes for another start()."""
        self._process.stop()

    def stop(self) -> None:
        """Stop the server and forget its mailboxes."""
        self._process.kill()
        remove(self.home)
        del self.home

    def received(self, address: str = ACCOUNT, folder: str = "INBOX") -> list[bytes]:
        """Return the messages in a folder of *address*, oldest first."""
        maildir = self.home / "mail" / address.lower() / "Maildir"
        if folder != "INBOX":
            maildir /= "." + folder.replace("/", ".")
        files = [*maildir.glob("new/*"), *maildir.glob("cur/*")]
        return [file.read_bytes() for file in sorted(files, key=_arrival)]

    def members(self) -> list[str]:
        """Return the addresses that anything was delivered to."""
        return sorted(
            folder.name for folder in (self.home / "mail").iterdir() if folder.name != ACCOUNT
        )

    def log(self) -> str:
        """Return what it has logged."""
        return (self.home / "dovecot.log").read_text()

    def _make_home(self) -> None:
        self.home = memory_folder("relais-dovecot-")
        self.home.chmod(0o711)
        user = ordinary_user()
        (self.home / "mail").mkdir()
        os.chown(self.home / "mail", user.pw_uid, user.pw_gid)
        is_root = os.geteuid() == 0
        (self.home / "dovecot.conf").write_text(
            CONFIGURATION.format(
                **{name: port for name, port in vars(self).items() if name.endswith("_port")},
                home=self.home,
                cert=self.certificates.cert,
                key=self.certificates.key,
                # By the port that it came to.
                reader=f"%{{if;%a;==;{self.lmtp_port};{ACCOUNT};%Lu}}",
                # No rule of one byte, but to whoever has no room at all; 0 is no limit.
                quota=f"*:bytes=%{{if;%Ld;eq;{FULL};1;0}}",
                password=PASSWORD,
                uid=user.pw_uid,
                gid=user.pw_gid,
                internal_user="dovecot" if is_root else user.pw_name,
                internal_group="dovecot" if is_root else _group(),
                login_user="dovenull" if is_root else user.pw_name,
                lmtp_user="root" if is_root else user.pw_name,
            )
        )

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.imap_port), 2) as probe:
                return probe.recv(4) == b"* OK"
        except OSError:
            return False


def _program() -> str:
    return shutil.which("dovecot", path="/usr/sbin:/usr/bin:/usr/local/sbin") or ""


def _group() -> str:
    import grp  # noqa: PLC0415 - Only POSIX has it, and only real servers need it.

    return grp.getgrgid(os.getegid()).gr_name


def _arrival(file: Path) -> tuple[int, str]:
    return file.stat().st_mtime_ns, file.name
