"""Logs: whatever is written arrives on one line, and tells nobody's address."""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from worker.telemetry.log import Redaction, configure_logging

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = b"k" * 32
PERSON = "jean.martin@orange.fr"
HASHED = Redaction(KEY)(None, "", {"who": PERSON})["who"]
TOKEN = "abcdefghijklmnopqrstuvwxyz234567"
CANARY = "canary-4711"


@pytest.fixture
def logs(capsys: pytest.CaptureFixture[str]) -> Iterator[Logs]:
    """Log as a worker does, and give the process back as it was."""
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, sys.excepthook
    yield Logs(capsys)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(capture=False)
    root.handlers, root.level, sys.excepthook = handlers, level, hook


class Logs:
    """What is logged from start() on."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def start(self) -> None:
        """Configure logging; in the test itself, where pytest's own handlers go."""
        configure_logging(KEY, level="info")

    def lines(self) -> list[dict[str, object]]:
        """Return what was logged; nothing else may be there."""
        written = self._capsys.readouterr()
        assert written.out == ""
        assert PERSON not in written.err
        assert CANARY not in written.err
        return [json.loads(line) for line in written.err.splitlines()]


def test_one_line(logs: Logs) -> None:
    """An event has its name, level, logger, time, and what is bound."""
    logs.start()
    structlog.contextvars.bind_contextvars(posting_id=7)
    structlog.get_logger("worker.x").info("delivery.settled", code=250, seconds=0.5, ok=True)

    (line,) = logs.lines()

    at = str(line.pop("at"))
    assert line == {
        "event": "delivery.settled",
        "level": "info",
        "logger": "worker.x",
        "posting_id": 7,
        "code": 250,
        "seconds": 0.5,
        "ok": True,
    }
    assert at.endswith("Z")
    assert at[10] == "T"


def test_foreign_logs(logs: Logs) -> None:
    """Libraries and warnings come through the same door; the talkative one is pinned."""
    logs.start()
    logging.getLogger("asyncpg").warning("no %s here\nat all", PERSON)
    logging.getLogger("asyncpg").debug("not seen")
    logging.getLogger("aioimaplib.aioimaplib").info("A1 LOGIN %s", CANARY)
    logging.getLogger("aioimaplib").info("A1 LOGIN %s", CANARY)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"about {PERSON}", stacklevel=1)

    first, second = logs.lines()

    assert first["event"] == f"no {HASHED} here\\nat all"
    assert first["logger"] == "asyncpg"
    assert f"about {HASHED}" in str(second["event"])


def _fail(password: str) -> None:
    assert password
    raise ValueError(f"({PERSON}) exists\x1b[2J") from KeyError(PERSON)


def test_traceback(logs: Logs) -> None:
    """A traceback keeps its lines, loses addresses, and never shows locals."""
    logs.start()
    password = CANARY
    try:
        _fail(password)
    except ValueError:
        structlog.get_logger().exception("list.query_failed")

    (line,) = logs.lines()

    told = str(line["exception"]).split("\n")
    assert told[0] == f"KeyError: '{HASHED}'"
    assert told[-1] == f"ValueError: ({HASHED}) exists\\x1b[2J"


def test_end_of_the_process(logs: Logs) -> None:
    """What ends the process is logged as well, but for an interrupt."""
    logs.start()
    error = ExceptionGroup("unhandled", [ValueError(PERSON)])
    sys.excepthook(ExceptionGroup, error, None)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)

    (line,) = logs.lines()

    assert line["event"] == "process.ended"
    assert f"ValueError: {HASHED}" in str(line["exception"])


def test_log_call_that_is_wrong(logs: Logs) -> None:
    """The standard library would print the arguments as they are."""
    logs.start()
    logging.getLogger("foreign").warning("%d messages", PERSON)

    (line,) = logs.lines()

    assert (line["event"], line["logger"]) == ("log.failed", "foreign")


REDACTED = {
    "plain": (PERSON, "{u}"),
    "case": (PERSON.upper(), "{u}"),
    "in text": (f"Jean <{PERSON}>, hello", "Jean <{u}>, hello"),
    "in a URL": ("/?a=jean.martin%40orange.fr&b", "/?a=...&b"),
    "percent": ("jean.martin%40orange.fr", "{u}"),
    "quoted": (f"{{'to': '{PERSON}'}}", "{'to': '{u}'}"),
    "named": (f"to={PERSON} size=1", "{u} size=1"),
    "full stop": (f"no {PERSON}.", "no {u}."),
    "detail": (f"Key (address)=({PERSON}) exists", "Key (address)=({u}) exists"),
    "mailto": (f"mailto:{PERSON}?x", "mailto:{u}?x"),
    "token": (f"/u/{TOKEN}", "/u/{t}"),
    "no address": ("a @ b, @x, x@ y, 5.1.1", "a @ b, @x, x@ y, 5.1.1"),
    "no token": (TOKEN + "a", TOKEN + "a"),
    "bidi": ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
    "controls": ("a\r\n{}\x1b[31m\x7f\x85\u2028", "a\\r\\n{}\\x1b[31m\\x7f\\x85\\u2028"),
    "surrogate": ("a\udc80", "a\\udc80"),
    "accents": ("Fédération", "Fédération"),
}


@pytest.mark.parametrize(("text", "shown"), REDACTED.values(), ids=REDACTED)
def test_redacted(text: str, shown: str) -> None:
    """Addresses and tokens go wherever they stand; the rest stays readable."""
    event = Redaction(KEY)(
        None, "", {"deep": [{text: (text,)}], "bytes": text.encode("utf-8", "replace")}
    )

    (inner,) = event["deep"]
    ((name, (value,)),) = inner.items()
    token = Redaction(KEY)(None, "", {"x": TOKEN})["x"]
    if "..." in shown:
        assert "orange" not in value
    else:
        assert value == name == shown.replace("{u}", HASHED).replace("{t}", token)


def test_hash_is_keyed() -> None:
    """Nobody without the key can try addresses against a log."""
    assert HASHED.startswith("u:")
    assert len(HASHED) == 8
    assert Redaction(b"other")(None, "", {"who": PERSON})["who"] != HASHED


LOCAL = st.from_regex(r"[A-Za-z0-9!#$&'*+/=?^_`{|}~.-]{1,30}", fullmatch=True)
DOMAIN = st.from_regex(r"[a-z0-9-]{1,20}(\.[a-z0-9-]{1,10}){1,3}", fullmatch=True)


@given(before=st.text(max_size=20), local=LOCAL, domain=DOMAIN, after=st.text(max_size=20))
def test_no_address_survives(before: str, local: str, domain: str, after: str) -> None:
    """Whatever stands around an address, it is gone, and the line is one."""
    event = Redaction(KEY)(None, "", {"event": f"{before}{local}@{domain}{after}"})

    shown = str(event["event"])
    assert f"{local}@{domain}" not in shown
    assert len(json.dumps(event, ensure_ascii=False).splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    ["a" * 100_000, "a." * 50_000, "%4" * 50_000, '"' * 100_000, "a@" * 50_000, "@[" * 50_000],
)
def test_linear(text: str) -> None:
    """A stranger cannot make logging slow."""
    redaction = Redaction(KEY)
    began = time.process_time()

    redaction(None, "", {"event": text})

    assert time.process_time() - began < 1
