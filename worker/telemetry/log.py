"""Logs: one line of JSON per event, on stderr, and no address in any of them.

Addresses become a short hash under the site's secret, everywhere: in values, in
messages and in tracebacks, ours and our libraries'. The same person has the
same hash, so that their mail can be followed. Tokens are treated alike: whoever
reads one may use it. Characters that move the cursor or turn the reading
direction are escaped twice, so that they stay harmless in a decoded line.

Events are ``noun.past_participle``, one per unit of work, at its end.
"""

from __future__ import annotations

import hmac
import json
import logging
import re
import sys
import unicodedata
from typing import TYPE_CHECKING, TextIO

import structlog

if TYPE_CHECKING:
    from types import TracebackType

    from structlog.typing import EventDict, Processor, WrappedLogger

# Broader than what is an address: a false one costs a word. Each run of
# characters is looked at once, whatever a stranger writes.
_LOCAL = r"\w.!#$%&'*+/?^`{|}~=-"
_ADDRESS = re.compile(
    rf'(?:"[^"\n]{{1,64}}"|(?<![{_LOCAL}])(?:(?!%40)[{_LOCAL}])++)'
    r"(?:@|%40)(?:[\w-]++(?:\.[\w-]++)*+|\[[^\]\s]{1,64}\])",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"(?<![a-z0-9])[a-z2-7]{32}(?![a-z0-9])", re.IGNORECASE)
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def configure_logging(key: bytes, *, level: str = "INFO") -> None:
    """Send what is logged to stderr, addresses hashed under *key*."""
    first: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        # Without the values of locals: they are people's mail, and our passwords.
        structlog.processors.format_exc_info,
    ]
    lines = _Lines(sys.stderr)
    lines.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=first,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                Redaction(key),
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    threshold = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(handlers=[lines], level=threshold, force=True)
    logging.captureWarnings(capture=True)
    # It logs what it reads and writes: whole messages, and at DEBUG our password.
    logging.getLogger("aioimaplib").setLevel(logging.WARNING)
    logging.getLogger("aioimaplib.aioimaplib").setLevel(logging.WARNING)
    structlog.configure(
        processors=[*first, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        cache_logger_on_first_use=True,
    )
    sys.excepthook = _log_the_end


class Redaction:
    """A processor that leaves no address, token or unseen character in an event."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"relais log", "sha256")

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Return *event* as it may be written."""
        traceback = event.pop("exception", None)
        clean = {self._text(name): self._value(value) for name, value in event.items()}
        if traceback is not None:
            clean["exception"] = "\n".join(map(self._text, str(traceback).split("\n")))
        return clean

    def _value(self, value: object) -> object:
        if value is None or isinstance(value, int | float):
            return value
        if isinstance(value, dict):
            return {self._text(str(name)): self._value(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(inner) for inner in value]
        if isinstance(value, bytes):
            value = value.decode("utf-8", "backslashreplace")
        return self._text(str(value))

    def _text(self, text: str) -> str:
        text = _ADDRESS.sub(lambda found: self._hashed("u", found[0]), text)
        text = _TOKEN.sub(lambda found: self._hashed("t", found[0]), text)
        if text.isascii() and text.isprintable():
            return text
        return "".join(_escaped(char) for char in text)

    def _hashed(self, kind: str, found: str) -> str:
        # A quote or a name= before an address may be part of it; the hash is
        # the same without them.
        quote = "'" if found.startswith("'") else ""
        name = re.split("['=]", found.lower().replace("%40", "@"))[-1]
        digest = hmac.digest(self._key, name.encode("utf-8", "surrogatepass"), "sha256")
        return f"{quote}{kind}:{digest.hex()[:6]}"


def _escaped(char: str) -> str:
    if unicodedata.category(char) in _UNSEEN:
        return char.encode("unicode_escape").decode()
    return char


class _Lines(logging.StreamHandler[TextIO]):
    """Tells, where the standard library prints the arguments as they are."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        line = {"event": "log.failed", "level": "error", "logger": record.name}
        sys.stderr.write(json.dumps(line | {"why": repr(sys.exc_info()[0])}) + "\n")


def _log_the_end(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Log the exception that ends the process; an interrupt is no fault."""
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger(__name__).critical("process.ended", exc_info=(kind, error, trace))
