"""Relais: mailing lists from one ordinary hosted mailbox."""

__version__ = "0.1.0"
