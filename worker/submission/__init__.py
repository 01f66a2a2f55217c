"""Submitting copies to a host: the only importer of aiosmtplib."""
