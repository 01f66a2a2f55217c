"""The catch-all mailbox: the only importer of aioimaplib."""
