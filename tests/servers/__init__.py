"""Servers for tests: real ones, started privately, and scripted ones."""
