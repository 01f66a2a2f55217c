"""Logs and metrics: each event and each metric is declared in one place."""
