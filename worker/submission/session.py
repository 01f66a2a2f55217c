"""One SMTP session: copies in, replies out, and a mark before each final dot.

    written so far            the connection ends here    so the delivery is
    MAIL, RCPT, DATA, body    never submitted             put back, tried again freely
    the mark                  never submitted             put back: we know it had no dot
    the dot                   nobody knows                in doubt, never silently resent

Where the host offers PIPELINING, the dot of one copy and the envelope of the
next leave in one write (RFC 2920, section 3.1): one round trip a copy.

Two things are asked for that not every host grants: reports (RFC 3461), where it
offers DSN, and a null return path for what answers a message (RFC 3834, section
3.3). A host that refuses either gets the same envelope without it, and is not
asked again on this connection.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from worker.errors import ProviderSilent
from worker.mail.reply import Reply, Stage
from worker.mail.report_request import mail_parameters, rcpt_parameters

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from worker.submission.wire import Wire

_QUIT_SECONDS = 2.0
_START_MAIL_INPUT = 354
_FINAL_REPLIES = (2, 4, 5)
_OPENING = (Stage.MAIL, Stage.RCPT, Stage.DATA)
# RFC 5321, sections 4.2.4 and 4.1.1.11: what a host says to a parameter it does
# not know, or does not like.
_PARAMETERS_REFUSED = (501, 504, 555)


class _Favour(Enum):
    """What is asked of a host that it may refuse."""

    NULL_PATH = auto()
    REPORTS = auto()


_NULL_PATH, _REPORTS = frozenset({_Favour.NULL_PATH}), frozenset({_Favour.REPORTS})
# How to ask for less, the least first: what was not the reason is asked for again.
_WITHOUT = (_NULL_PATH, _REPORTS, _NULL_PATH | _REPORTS)


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who a copy is from and for, as the host is told (RFC 5321, section 3.3)."""

    return_address: str  # "": the null one.
    recipient: str
    size_bytes: int
    envelope_id: str = ""  # What a report names the copy by; "" asks for none.
    stand_in: str = ""  # The return address where the host refuses the null one.


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a host may take, in seconds.

    The wait for the reply to the dot is long on purpose: who gives up sooner
    than the host is done makes a duplicate (RFC 5321, section 4.5.3.2.6).
    """

    command: float = 300.0
    dot: float = 600.0
    octets_per_second: float = 10_000.0

    def for_body(self, size_bytes: int) -> float:
        """How long the host may take to read a body."""
        return 60.0 + size_bytes / self.octets_per_second

    def for_dot(self, size_bytes: int) -> float:
        """How long the host may take to answer the dot."""
        return self.dot + size_bytes / self.octets_per_second


class Session:
    """An authenticated session that submits one copy after the other."""

    def __init__(self, wire: Wire, *, extensions: frozenset[str], patience: Patience) -> None:
        self._wire = wire
        self._extensions = extensions
        self._patience = patience
        self._grants = frozenset(_Favour) if "dsn" in extensions else _NULL_PATH
        self._null_path_refusal: Reply | None = None
        self._announced: Envelope | None = None  # Pipelined behind the last dot.

    @property
    def is_open(self) -> bool:
        """Whether another copy can be submitted here."""
        return self._wire.is_open

    @property
    def null_path_refusal(self) -> Reply | None:
        """What the host said to the null return path, if it takes any other."""
        return self._null_path_refusal

    async def submit(
        self,
        envelope: Envelope,
        body: bytes,
        *,
        mark: Callable[[], Awaitable[bool]],
        following: Envelope | None = None,
    ) -> Reply | None:
        """Submit *body*, dot-stuffed and ending in CRLF, and return the host's reply.

        *mark* records durably that the dot is about to be sent, and is called
        between body and dot. If it answers False the delivery is not ours any
        more: the connection is aborted without the dot and None is returned.
        *following*, if given, must be the envelope of the next call.
        Raises ProviderSilent; its in_doubt says whether the dot may have left.
        """
        refusal = await self._open_transaction(envelope)
        if refusal is not None:
            return refusal
        self._wire.write(body)
        await self._wire.drain(within=self._patience.for_body(envelope.size_bytes))
        if not await self._marked(mark):
            self._wire.abort("the delivery was no longer ours")
            return None
        if not self._wire.is_open or self._wire.has_unasked_reply:
            self._wire.abort("the host gave up before the dot")
            raise self._wire.silence(in_doubt=False)
        return await self._dot(envelope, following)

    async def _marked(self, mark: Callable[[], Awaitable[bool]]) -> bool:
        try:
            return await mark()
        except BaseException:
            # Without the mark there must be no dot, and a connection that is
            # left open in the middle of DATA is of no use to anybody.
            self._wire.abort("the mark could not be made")
            raise

    async def _open_transaction(self, envelope: Envelope) -> Reply | None:
        """Get as far as the 354; return the first reply that is not what we need.

        What is refused in the same words without a favour was not about it.
        """
        first = await self._begin_transaction(envelope)
        if first is None:
            return None
        blamed, granted = _blamed(first), self._grants
        for without in self._ways_to_ask_for_less(envelope):
            if not without <= blamed:
                continue
            self._expect_open(first, without)
            self._grants = granted - without
            refusal = await self._begin_transaction(envelope)
            if refusal is None or self._is_settled(envelope, refusal, first):
                self._learn(first, without)
                return refusal
            self._grants = granted
            blamed |= _blamed(refusal)
        return first

    def _is_settled(self, envelope: Envelope, refusal: Reply, first: Reply) -> bool:
        """Whether *refusal* is about something else than *first* was, and no favour."""
        is_about_a_favour = bool(_blamed(refusal) & self._asked_for(envelope))
        return _is_further(refusal, first) and not is_about_a_favour

    def _ways_to_ask_for_less(self, envelope: Envelope) -> list[frozenset[_Favour]]:
        asked = self._asked_for(envelope)
        return [without for without in _WITHOUT if without <= asked]

    def _asked_for(self, envelope: Envelope) -> frozenset[_Favour]:
        wished = _REPORTS if envelope.envelope_id else frozenset()
        if envelope.stand_in and not envelope.return_address:
            wished |= _NULL_PATH
        return wished & self._grants

    def _expect_open(self, refusal: Reply, without: frozenset[_Favour]) -> None:
        """Raise ProviderSilent if the host hung up, though another envelope may please it."""
        if self.is_open:
            return
        if not refusal.ends_session:
            self._learn(refusal, without)
        raise self._wire.silence(in_doubt=False)

    def _learn(self, refusal: Reply, without: frozenset[_Favour]) -> None:
        if _Favour.NULL_PATH in without:
            self._null_path_refusal = refusal

    async def _begin_transaction(self, envelope: Envelope) -> Reply | None:
        if self._announced is not None and self._announced != envelope:
            raise ValueError("the envelope that was pipelined must be submitted next")
        commands = self._commands(envelope) if self._announced is None else ()
        pipelined = "pipelining" in self._extensions
        if pipelined and commands:
            self._wire.write(b"".join(commands))
        self._announced = None
        for nth, stage in enumerate(_OPENING):
            if not pipelined:
                self._wire.write(commands[nth])
            reply = await self._wire.reply(stage, within=self._patience.command)
            if reply.code == _START_MAIL_INPUT and stage is Stage.DATA:
                return None
            if stage is Stage.DATA or not reply.is_completion:
                await self._leave_transaction(reply, unread=_unread(stage) if pipelined else ())
                return reply
        return None

    async def _leave_transaction(self, refusal: Reply, *, unread: tuple[Stage, ...]) -> None:
        """Make the session fit for the next copy, or end it; the refusal stands either way."""
        if refusal.ends_session:
            self._wire.abort("the host is closing")
        # A host that hangs up now has said what we needed.
        with suppress(ProviderSilent):
            for stage in unread:
                reply = await self._wire.reply(stage, within=self._patience.command)
                if reply.code == _START_MAIL_INPUT:
                    # RFC 2920, section 3.1: a server may answer 354 although it
                    # refused every recipient. The lone dot then ends a message
                    # that is for nobody.
                    self._wire.write(b".\r\n")
                    await self._wire.reply(Stage.DOT, within=self._patience.dot)
            self._wire.write(b"RSET\r\n")
            await self._wire.reply(Stage.MAIL, within=self._patience.command)

    async def _dot(self, envelope: Envelope, following: Envelope | None) -> Reply:
        dot = b".\r\n"
        if following is not None and "pipelining" in self._extensions:
            self._announced = following
            dot += b"".join(self._commands(following))
        self._wire.write(dot)
        within = self._patience.for_dot(envelope.size_bytes)
        reply = await self._wire.reply(Stage.DOT, within=within, in_doubt=True)
        if reply.code // 100 not in _FINAL_REPLIES:
            self._wire.abort(f"{reply.code} is no reply to the dot")
            raise self._wire.silence(in_doubt=True)
        if reply.ends_session:
            self._wire.abort("the host is closing")
        return reply

    def _commands(self, envelope: Envelope) -> tuple[bytes, bytes, bytes]:
        """Return MAIL, RCPT and DATA. The addresses were checked when they were expanded."""
        parameters = f" SIZE={envelope.size_bytes}" if "size" in self._extensions else ""
        if "8bitmime" in self._extensions:
            parameters += " BODY=8BITMIME"
        of_recipient = ""
        if _Favour.REPORTS in self._asked_for(envelope):
            parameters += mail_parameters(envelope.envelope_id)
            of_recipient = rcpt_parameters(envelope.recipient)
        return (
            f"MAIL FROM:<{self._return_address(envelope)}>{parameters}\r\n".encode("ascii"),
            f"RCPT TO:<{envelope.recipient}>{of_recipient}\r\n".encode("ascii"),
            b"DATA\r\n",
        )

    def _return_address(self, envelope: Envelope) -> str:
        if envelope.return_address or _Favour.NULL_PATH in self._grants:
            return envelope.return_address
        return envelope.stand_in

    async def quit(self) -> None:
        """End the session politely, but not for long. Never raises."""
        if self.is_open and self._announced is None:
            self._wire.write(b"QUIT\r\n")
            # Whatever it answers, or does not: every copy has its reply already.
            await self._wire.farewell(within=_QUIT_SECONDS)
        self._wire.abort("ended")


def _blamed(refusal: Reply) -> set[_Favour]:
    """Return what *refusal* may be about."""
    blamed: set[_Favour] = set()
    if refusal.may_be_about_null_path:
        blamed.add(_Favour.NULL_PATH)
    if refusal.stage is not Stage.DATA and refusal.code in _PARAMETERS_REFUSED:
        blamed.add(_Favour.REPORTS)
    return blamed


def _is_further(refusal: Reply, first: Reply) -> bool:
    """Whether a host that refused at *first* now refuses something else."""
    reached, before = _OPENING.index(refusal.stage), _OPENING.index(first.stage)
    return reached > before or (reached == before and refusal.code != first.code)


def _unread(refused_at: Stage) -> tuple[Stage, ...]:
    """Return the stages whose replies are still to come in a pipelined group."""
    return _OPENING[_OPENING.index(refused_at) + 1 :]
