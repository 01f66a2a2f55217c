"""Actors: one coroutine each, meeting only in the database."""
