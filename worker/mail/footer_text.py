"""The footer of a text/plain part, below the line "-- " (RFC 3676, section 4.3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from worker.mail import charset as charsets
from worker.mail.footer_slots import TEXT, in_blocks, link, slotted
from worker.mail.transfer import quoted_printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.mail.footer_slots import Footer

_SIGNATURE_LINE = b"--=20\r\n"  # Many programs fold away what follows.
_PGP = re.compile(rb"(?m)^-----BEGIN PGP (?:SIGNED )?MESSAGE-----")
# In flowed text these lines would be read otherwise (RFC 3676, section 4.4).
# What a merge field begins with is not known.
_STUFFED = (" ", ">", "From ", "\0")


def is_inline_pgp(octets: bytes) -> bool:
    """Whether a signature or a cipher text would end up above a footer."""
    return _PGP.search(octets) is not None


def text_with_footer(
    octets: bytes, charset: str, footers: Mapping[str, Footer], *, is_flowed: bool
) -> tuple[bytes, str] | None:
    """Return *octets* and the footer below in quoted-printable, and their charset.

    Foreign octets stay as they are wherever the charset can hold the footer, be
    they valid or not; else they become UTF-8. None if that is impossible.
    """
    if not _is_kept(charset, footers):
        text = charsets.text_in(octets, charset)
        if text is None:
            return None
        octets, charset = text.encode("utf-8", "replace"), "utf-8"
    above = octets.rstrip(b"\r\n")
    encoded = quoted_printable(above + b"\n\n") if above else b""
    footer = text_footer(footers, charset, is_flowed=is_flowed)
    return encoded + footer, charset


def text_footer(
    footers: Mapping[str, Footer], charset: str = "utf-8", *, is_flowed: bool = False
) -> bytes:
    """Return the footer alone."""
    written = {
        lang: _block(footer, charset, is_flowed=is_flowed) for lang, footer in footers.items()
    }
    return _SIGNATURE_LINE + in_blocks(written) + b"\r\n"


def _is_kept(charset: str, footers: Mapping[str, Footer]) -> bool:
    if not charsets.extends_ascii(charset):
        return False
    return all(
        charsets.can_hold(charset, footer.words)
        and (charset == "utf-8" or not footer.has_merge_fields)
        for footer in footers.values()
    )


def _block(footer: Footer, charset: str, *, is_flowed: bool) -> bytes:
    lines = (line.rstrip() for line in (*footer.lines, footer.link_label))
    written = [
        slotted(f" {line}" if is_flowed and line.startswith(_STUFFED) else line, charset, TEXT)
        for line in lines
    ]
    return b"\r\n".join((*written, link(footer.url)))
