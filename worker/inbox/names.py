"""Folder names: ours on one side, the server's on the other.

We write "relais/taken" everywhere. A server may separate levels otherwise, and
may keep people's own folders under a prefix (RFC 2342): "INBOX.relais.taken".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# What needs neither modified UTF-7 nor a literal, and is no wildcard of LIST.
_PLAIN = re.compile(r"[ -~]+")
_SPECIAL = re.compile(r"[&%*]")


def quoted(text: str) -> str:
    """Return *text* as a quoted string (RFC 3501, section 9)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True, slots=True)
class FolderNames:
    """How one server names folders."""

    prefix: str = ""
    separator: str = "/"

    def on_server(self, folder: str) -> str:
        """Return our name *folder* as the server wants it, quoted."""
        if not _PLAIN.fullmatch(folder) or _SPECIAL.search(folder):
            raise ValueError(f"not a folder name: {folder!r}")
        if folder.upper() == "INBOX":
            return quoted("INBOX")
        return quoted(self.prefix + folder.replace("/", self.separator))
