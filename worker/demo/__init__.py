"""Embedded servers and an invented federation: nothing leaves this machine."""
