"""Every message of the shared corpus becomes a copy that is sound."""

from __future__ import annotations

import pytest

from tests.corpus.copies import CORPUS, KNOWN, SEALED, copy_all

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"the shared corpus is not at {CORPUS}")

FOOTERS_FLOOR = 500  # Measured: it never goes down.


def test_copies() -> None:
    """Nothing crashes, nothing is lost, and the footer stands where it can be read."""
    found = copy_all(CORPUS)

    assert {copy.file: copy.failures for copy in found if copy.failures}.keys() <= KNOWN.keys()
    assert sum(copy.footers for copy in found) >= FOOTERS_FLOOR
    assert not [copy for copy in found if copy.structure in SEALED and copy.footers]
