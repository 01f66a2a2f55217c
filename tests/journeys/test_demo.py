"""The demo, as everybody runs it first: a process of its own, and its answer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

DEMO = [sys.executable, "-u", "-m", "worker", "demo"]
ACCOUNTED = ("handed_over", "bounced", "refused", "expired", "deferred", "unsubscribed")


def test_once_loses_nothing() -> None:
    """One posting to its end: every delivery accounted for, in seconds."""
    run = subprocess.run([*DEMO, "--once", "--json"], capture_output=True, timeout=60, check=False)

    assert run.returncode == 0, run.stderr.decode()
    result: dict[str, Any] = json.loads(run.stdout)
    assert run.stdout.count(b"\n") == 1
    assert result["schema"] == 1
    assert result["discrepancies"] == []
    assert result["lost"] == 0
    assert result["postings"] == 1
    assert result["recipients"] == 394
    assert sum(result[key] for key in ACCOUNTED) == result["recipients"]
    assert (result["bounced"], result["unsubscribed"], result["suppressed"]) == (5, 1, 3)
    assert result["tried_again"] == 7
    assert result["seconds"] < 30


def test_once_tells_people() -> None:
    """Without --json, words."""
    run = subprocess.run([*DEMO, "--once"], capture_output=True, timeout=60, check=False)

    assert run.returncode == 0, run.stderr.decode()
    assert "copies handed over" in run.stdout.decode()


@pytest.fixture
def live() -> Iterator[subprocess.Popen[str]]:
    """A demo that runs until it is told to stop."""
    with subprocess.Popen(DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        yield demo
        demo.kill()


def test_live_plays_until_interrupted(live: subprocess.Popen[str]) -> None:
    """Without a terminal it writes lines; Ctrl-C ends it cleanly."""
    assert live.stdout is not None
    seen = []
    for line in live.stdout:
        seen.append(line)
        if "Orange has had its 100/day" in line:
            break
    live.send_signal(signal.SIGINT)
    rest, complaints = live.communicate(timeout=20)

    told = "".join(seen)
    assert live.returncode == 0, complaints
    assert complaints == ""
    assert "finishing what is under way" in rest
    assert "a copy each for 394 people" in told
    assert "does not exist" in told
    assert "/u/" in told
    assert "/healthz" in told
