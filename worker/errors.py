"""What can go wrong without being a bug.

A peer's answer is a value and never one of these. An exception says that
nobody knows (a peer fell silent), or that a person must mend something before
the worker can go on. Edges make them from their library's own.
"""

from __future__ import annotations

from typing import Literal

KillReason = Literal["time", "memory", "crash", "nonsense"]


class WorkerError(Exception):
    """The root of what the worker's own edges raise."""


class ConfigError(WorkerError):
    """The configuration cannot be used; *problems* has all of it at once."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StoreLost(WorkerError):
    """The database did not answer: what it was doing may be committed or not."""


class StoreRefused(WorkerError):
    """The database answers, and does not let us in: a role, a password or a name is wrong."""


class QueryFailed(WorkerError):
    """A list's own query fails, or takes too long; the message says why, *name* which."""

    def __init__(self, why: str, *, name: str) -> None:
        super().__init__(why)
        self.name = name


class ReaderKilled(WorkerError):
    """A message was not read to its end: *why* says what it took too much of, or what broke."""

    def __init__(self, why: KillReason, detail: str) -> None:
        super().__init__(f"{why}: {detail}")
        self.why = why


class ReaderMissing(WorkerError):
    """The process that reads foreign mail cannot be started; the message says why."""


class MigrationError(WorkerError):
    """The migrations cannot be applied as they are; the message says what to do."""


class MailboxLost(WorkerError):
    """The IMAP connection is gone or silent; the object is of no further use."""


class MailboxRefused(WorkerError):
    """The IMAP server answered NO or BAD; the connection is still good."""


class LoginRefused(WorkerError):
    """A host refused our name and password. Trying again soon may lock the account."""


class ProviderSilent(WorkerError):
    """A host ended the conversation without a reply.

    *in_doubt* is true once the final dot may have been written: the copy may
    then be on its way, and a second try may deliver it twice (RFC 1047).
    """

    def __init__(self, host: str, why: str, *, in_doubt: bool) -> None:
        super().__init__(f"{host}: {why} (in doubt: {in_doubt})")
        self.host = host
        self.why = why
        self.in_doubt = in_doubt
