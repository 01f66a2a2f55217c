"""When a message was written, as far as it tells."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.mail.header import Message

_LIMIT = 200


def written_at(message: Message) -> datetime | None:
    """Return the Date of *message* (RFC 5322, section 3.6.1), None if it has no readable one."""
    value = message.value("date")[:_LIMIT]
    try:
        moment = parsedate_to_datetime(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        # What the standard library leaks on dates that are none.
        return None
