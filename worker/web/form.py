"""Reading the body of a POST, which a stranger wrote: nothing here raises."""

from __future__ import annotations

from collections import defaultdict
from email import message_from_bytes
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FIELDS_LIMIT = 16


def is_one_click(form: Mapping[str, str]) -> bool:
    """Tell whether a mail provider asks for its user (RFC 8058, section 3.2)."""
    return form.get("List-Unsubscribe") == "One-Click"


def read_form(content_type: str, body: bytes) -> Mapping[str, str]:
    """Return the fields of a form, but for those that are there more than once.

    RFC 8058, section 3.2: mail providers post either encoding.
    """
    values = defaultdict(set)
    for name, value in _fields(content_type, body):
        values[name].add(value)
    return {name: one for name, (one, *others) in values.items() if not others}


def _fields(content_type: str, body: bytes) -> Iterator[tuple[str, str]]:
    if content_type.lower().startswith("multipart/"):
        yield from _parts(content_type, body)
        return
    try:
        yield from parse_qsl(body.decode("latin-1"), max_num_fields=_FIELDS_LIMIT)
    except ValueError:  # More fields than that.
        return


def _parts(content_type: str, body: bytes) -> Iterator[tuple[str, str]]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    for part in list(message_from_bytes(head + body).walk())[1 : _FIELDS_LIMIT + 1]:
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(value, bytes):
            yield name, value.decode("latin-1").strip()
