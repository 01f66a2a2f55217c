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
from tests.corpus.generality import sources_of_words, without

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"the shared corpus is not at {CORPUS}")

RECALL_FLOOR = 0.995
PRECISION_FLOOR = 0.999
EXACT_FLOOR = 0.994
CLASS_FLOOR = 0.985
DEAD_FLOOR = 0.962
# Where a source is measured without the words that are found in it alone.
UNSEEN_RECALL_FLOOR = 0.99
UNSEEN_DEAD_FLOOR = 0.90

_FOLDERS = ["bounces", "complaints", "autoreplies", "posts", "malformed"]


@cache
def _messages(folder: str) -> list[tuple[dict[str, Any], bytes]]:
    lines = (CORPUS / folder / "labels.jsonl").read_text("utf-8").splitlines()
    labels = [json.loads(line) for line in lines]
    return [(label, (CORPUS / folder / label["file"]).read_bytes()) for label in labels]


@cache
def _read_all(folder: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the labels and our reading of each message in *folder*."""
    return [(label, read(raw)) for label, raw in _messages(folder)]


def _reported(reading: dict[str, Any]) -> dict[str, dict[str, Any]]:
    if reading["kind"] != "bounce":
        return {}
    return {report["address"].lower(): report for report in reading["recipients"]}


def _names(detail: dict[str, Any]) -> set[str]:
    return {name.lower() for name in (detail["recipient"], *detail.get("alt", []))}


def _hits(
    readings: list[tuple[dict[str, Any], dict[str, Any]]],
) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Return each failed recipient with what was reported of them, if anything."""
    return [
        (detail, next((_reported(reading)[name] for name in found), None))
        for label, reading in readings
        for detail in label["details"]
        if not detail.get("optional")
        for found in [_names(detail) & _reported(reading).keys()]
    ]


def _share(of: list[bool]) -> float:
    return sum(of) / len(of)


def _shares_right(hits: list[tuple[dict[str, Any], dict[str, Any] | None]], field: str) -> float:
    known = {"permanent", "transient", "hard", "soft"}
    return _share(
        [
            report[field] == detail[field]
            for detail, report in hits
            if report is not None and detail.get(field) in known
        ]
    )


def test_bounces_name_their_recipients() -> None:
    """Nearly all failed recipients are found."""
    hits = _hits(_read_all("bounces"))

    assert _share([report is not None for _, report in hits]) >= RECALL_FLOOR


def test_bounces_name_nobody_else() -> None:
    """An address that did not fail is hardly ever reported."""
    right = reported = 0
    for label, reading in _read_all("bounces"):
        allowed = set().union(*map(_names, label["details"]))
        right += len(_reported(reading).keys() & allowed)
        reported += len(_reported(reading))

    assert right / reported >= PRECISION_FLOOR


def test_most_bounces_are_read_exactly() -> None:
    """Everybody who failed, and nobody else."""
    exact = []
    for label, reading in _read_all("bounces"):
        named = _reported(reading).keys()
        wanted = [_names(d) for d in label["details"] if not d.get("optional")]
        allowed = set().union(*map(_names, label["details"]))
        exact.append(named <= allowed and all(names & named for names in wanted))

    assert _share(exact) >= EXACT_FLOOR


def test_what_passes_is_told_from_what_does_not() -> None:
    """Permanent and transient, as the code or the words say."""
    assert _shares_right(_hits(_read_all("bounces")), "class") >= CLASS_FLOOR


def test_dead_addresses_are_told_from_the_rest() -> None:
    """A full mailbox, a block or a filter costs nobody their address."""
    assert _shares_right(_hits(_read_all("bounces")), "permanence") >= DEAD_FLOOR


def test_a_source_that_nobody_has_seen_is_read_as_well() -> None:
    """Each source without the words that are found in no other."""
    bounces = _messages("bounces")
    found_in = sources_of_words((label["set"], raw) for label, raw in bounces)
    readings = []
    for source in sorted({label["set"] for label, _ in bounces}):
        with without({word for word, sources in found_in.items() if sources == {source}}):
            readings += [(label, read(raw)) for label, raw in bounces if label["set"] == source]
    hits = _hits(readings)

    assert _share([report is not None for _, report in hits]) >= UNSEEN_RECALL_FLOOR
    assert _shares_right(hits, "permanence") >= UNSEEN_DEAD_FLOOR


@pytest.mark.parametrize("folder", _FOLDERS)
def test_each_message_is_taken_for_what_it_is(folder: str) -> None:
    """Posts, broken mail, answers and complaints; of bounces all but three."""
    usual = {"malformed": "post"}
    other = {
        label["file"]: reading["kind"]
        for label, reading in _read_all(folder)
        if reading["kind"] != usual.get(label["kind"], label["kind"])
    }

    assert len(other) <= (3 if folder == "bounces" else 0), other


def test_complaints_name_who_complains() -> None:
    """Wherever a provider has not taken them out."""
    missing = {
        label["file"]: label["recipients"]
        for label, reading in _read_all("complaints")
        if {name.lower() for name in label["recipients"]}
        - {report["address"].lower() for report in reading["recipients"]}
    }

    assert missing == {}
