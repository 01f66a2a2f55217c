"""The readers against real returns, posts, automatic answers and broken mail.

The floors were measured. They go up with the reader, and never down.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.adapter import read

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"the shared corpus is not at {CORPUS}")

RECALL_FLOOR = 0.945
PRECISION_FLOOR = 0.988
# Challenges of one service (boxbe), which are formed as delivery reports.
FALSE_AUTOREPLIES = {"rjbs/boxbe-cr.eml", "rjbs/boxbe-cr2.eml"}


@cache
def _read_all(folder: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the labels and our reading of each message in *folder*."""
    lines = (CORPUS / folder / "labels.jsonl").read_text("utf-8").splitlines()
    labels = [json.loads(line) for line in lines]
    return [(label, read((CORPUS / folder / label["file"]).read_bytes())) for label in labels]


def _addresses(reading: dict[str, Any]) -> set[str]:
    if reading["kind"] != "bounce":
        return set()
    return {report["address"].lower() for report in reading["recipients"]}


def _names(detail: dict[str, Any]) -> set[str]:
    return {name.lower() for name in (detail["recipient"], *detail.get("alt", []))}


def test_bounces_name_their_recipients() -> None:
    """Most failed recipients are found."""
    wanted = [
        bool(_names(detail) & _addresses(reading))
        for label, reading in _read_all("bounces")
        for detail in label["details"]
        if not detail.get("optional")
    ]

    assert sum(wanted) / len(wanted) >= RECALL_FLOOR


def test_bounces_name_nobody_else() -> None:
    """An address that did not fail is rarely reported."""
    right = reported = 0
    for label, reading in _read_all("bounces"):
        allowed = set().union(*map(_names, label["details"]))
        right += len(_addresses(reading) & allowed)
        reported += len(_addresses(reading))

    assert right / reported >= PRECISION_FLOOR


@pytest.mark.parametrize("folder", ["posts", "malformed"])
def test_posts_are_no_returns(folder: str) -> None:
    """What a person wrote, however broken, is never taken for a return."""
    wrong = [
        label["file"]
        for label, reading in _read_all(folder)
        if reading["kind"] not in ("post", "autoreply")
    ]

    assert wrong == []


def test_automatic_answers_are_no_bounces() -> None:
    """A vacation costs nobody their address."""
    wrong = {label["file"] for label, reading in _read_all("autoreplies") if _addresses(reading)}

    assert wrong <= FALSE_AUTOREPLIES


def test_complaints_are_complaints() -> None:
    """All but one, which is a request to unsubscribe written by a mail program."""
    other = {
        label["file"]
        for label, reading in _read_all("complaints")
        if reading["kind"] != "complaint"
    }

    assert other <= {"sisimai/arf-26.eml"}
