"""The auditor finds what was planted, and nothing where all is well."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from worker.demo.audit import Finding, Recorded, Taken, audit

ANNE, BENOIT = "anne@orange.example", "benoit@free.example"


class Case(NamedTuple):
    """What the two sides say, and what that must be called."""

    deliveries: list[Recorded]
    copies: list[Taken]
    findings: set[Finding]
    expected: frozenset[str] = frozenset({ANNE})
    reported: frozenset[int] = frozenset()
    left: frozenset[int] = frozenset()


CASES = {
    "all is well": Case([Recorded(1, ANNE, "handed_over")], [Taken(1, ANNE)], set()),
    "case does not matter": Case(
        [Recorded(1, "Anne@Orange.example", "handed_over")], [Taken(1, ANNE)], set()
    ),
    "bounced, as reported": Case(
        [Recorded(1, ANNE, "bounced")], [Taken(1, ANNE)], set(), reported=frozenset({1})
    ),
    "left before the copy did": Case(
        [Recorded(1, ANNE, "cancelled")], [], set(), left=frozenset({1})
    ),
    "left, and nobody heard": Case(
        [Recorded(1, ANNE, "handed_over")],
        [Taken(1, ANNE)],
        {Finding.UNHEARD},
        left=frozenset({1}),
    ),
    "resent, and received twice": Case(
        [Recorded(1, ANNE, "handed_over", resends=1)], [Taken(1, ANNE), Taken(1, ANNE)], set()
    ),
    "lost": Case([Recorded(1, ANNE, "handed_over")], [], {Finding.LOST}),
    "lost, though bounced": Case(
        [Recorded(1, ANNE, "bounced")], [], {Finding.LOST}, reported=frozenset({1})
    ),
    "twice": Case(
        [Recorded(1, ANNE, "handed_over")], [Taken(1, ANNE), Taken(1, ANNE)], {Finding.DUPLICATE}
    ),
    "three times, resent once": Case(
        [Recorded(1, ANNE, "handed_over", resends=1)], [Taken(1, ANNE)] * 3, {Finding.DUPLICATE}
    ),
    "left, and got it": Case(
        [Recorded(1, ANNE, "cancelled")], [Taken(1, ANNE)], {Finding.UNRECORDED}
    ),
    "refused, and got it": Case(
        [Recorded(1, ANNE, "refused")], [Taken(1, ANNE)], {Finding.UNRECORDED}
    ),
    "somebody else's copy": Case(
        [Recorded(1, ANNE, "handed_over")], [Taken(1, BENOIT)], {Finding.MISDIRECTED}
    ),
    "a forged copy": Case(
        [Recorded(1, ANNE, "handed_over")],
        [Taken(1, ANNE), Taken(None, ANNE)],
        {Finding.UNKNOWN},
    ),
    "a copy of no delivery": Case(
        [Recorded(1, ANNE, "handed_over")], [Taken(1, ANNE), Taken(2, ANNE)], {Finding.UNKNOWN}
    ),
    "waits for ever": Case([Recorded(1, ANNE, "queued")], [], {Finding.UNFINISHED}),
    "in doubt": Case([Recorded(1, ANNE, "in_doubt")], [Taken(1, ANNE)], {Finding.UNFINISHED}),
    "never expanded": Case([], [], {Finding.FORGOTTEN}),
    "should get none": Case(
        [Recorded(1, ANNE, "handed_over"), Recorded(2, BENOIT, "handed_over")],
        [Taken(1, ANNE), Taken(2, BENOIT)],
        {Finding.UNWANTED},
    ),
    "a letter to who keeps the list": Case(
        [Recorded(1, ANNE, "handed_over"), Recorded(2, BENOIT, "handed_over", is_letter=True)],
        [Taken(1, ANNE), Taken(2, BENOIT)],
        set(),
    ),
    "a letter is no copy": Case(
        [Recorded(1, ANNE, "handed_over", is_letter=True)], [Taken(1, ANNE)], {Finding.FORGOTTEN}
    ),
    "nobody read the report": Case(
        [Recorded(1, ANNE, "handed_over")],
        [Taken(1, ANNE)],
        {Finding.REPORT_LOST},
        reported=frozenset({1}),
    ),
    "nobody wrote the report": Case(
        [Recorded(1, ANNE, "bounced")], [Taken(1, ANNE)], {Finding.REPORT_INVENTED}
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_findings(case: Case) -> None:
    """Each planted fault is found, and nothing else is."""
    found = audit(
        case.deliveries,
        case.copies,
        expected=case.expected,
        reported=case.reported,
        left=case.left,
    )

    assert {discrepancy.finding for discrepancy in found} == case.findings
