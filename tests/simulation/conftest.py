"""The same connections as the tests of the store have."""

from tests.edges.store.conftest import db, owner

__all__ = ["db", "owner"]
