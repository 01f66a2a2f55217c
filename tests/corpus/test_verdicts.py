"""The shipped rules against labelled bounces. The floors were measured; they never go down."""

from __future__ import annotations

import pytest

from tests.corpus.verdicts import CORPUS, judge_all
from worker.policy.feedback import Action

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"the shared corpus is not at {CORPUS}")

READ_FLOOR = 643
HARD_FLOOR = 143
SOFT_FLOOR = 293


async def test_verdicts(database_url: str) -> None:
    """Nobody who is gone is taken for a refusal of rate, and few who are there for gone."""
    found = await judge_all(database_url, CORPUS)
    verdicts = [(f.permanence, f.verdict) for f in found if f.verdict]
    hard = [verdict for label, verdict in verdicts if label == "hard"]
    soft = [verdict for label, verdict in verdicts if label == "soft"]

    assert len(verdicts) >= READ_FLOOR
    assert sum(verdict.action is Action.HARD for verdict in hard) >= HARD_FLOOR
    assert sum(verdict.action is not Action.HARD for verdict in soft) >= SOFT_FLOOR
    assert [verdict for verdict in hard if verdict.concerns_us] == []
