"""What a reply says about a copy depends on where it was given."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from worker.mail.reply import Disposition, Reply, Stage


class Case(NamedTuple):
    """A reply and what it says."""

    stage: Stage
    code: int
    disposition: Disposition


CASES = {
    "accepted": Case(Stage.DOT, 250, Disposition.HANDED_OVER),
    "accepted with another 2yz": Case(Stage.DOT, 252, Disposition.HANDED_OVER),
    "banner refuses": Case(Stage.CONNECT, 554, Disposition.ACCOUNT_TROUBLE),
    "EHLO refused": Case(Stage.EHLO, 550, Disposition.ACCOUNT_TROUBLE),
    "password refused": Case(Stage.AUTH, 535, Disposition.ACCOUNT_TROUBLE),
    "account suspended": Case(Stage.MAIL, 554, Disposition.ACCOUNT_TROUBLE),
    "account over its quota": Case(Stage.MAIL, 451, Disposition.ACCOUNT_TROUBLE),
    "this message is too big": Case(Stage.MAIL, 552, Disposition.REFUSED),
    "unknown user": Case(Stage.RCPT, 550, Disposition.REFUSED),
    "greylisted": Case(Stage.RCPT, 451, Disposition.DEFERRED),
    "closing at RCPT": Case(Stage.RCPT, 421, Disposition.DEFERRED),
    "no mail input": Case(Stage.DATA, 554, Disposition.REFUSED),
    "content refused": Case(Stage.DOT, 554, Disposition.REFUSED),
    "try later": Case(Stage.DOT, 452, Disposition.DEFERRED),
    "a broken server": Case(Stage.RCPT, 354, Disposition.DEFERRED),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_disposition(case: Case) -> None:
    """A 5yz before RCPT is never a member's."""
    assert Reply(case.stage, case.code, "x").disposition is case.disposition


def test_a_reply_is_kept_short() -> None:
    """It goes into a row and a log line."""
    assert len(str(Reply(Stage.DOT, 550, "x" * 9999))) == 500


def test_421_ends_the_session_anywhere() -> None:
    """RFC 5321, section 3.8."""
    assert all(Reply(stage, 421, "").ends_session for stage in Stage)
    assert not Reply(Stage.DOT, 451, "").ends_session
