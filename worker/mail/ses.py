"""Events of Amazon SES that come as mail, by way of its notification service: JSON in a text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from worker.mail.diagnosis import reason_of, status_in
from worker.mail.dsn import DIAGNOSTIC_LIMIT, Kind, RecipientReport

if TYPE_CHECKING:
    from worker.mail.dsn import Return
    from worker.mail.notification import Notification

# Foreign JSON: each value is checked where it is read.
_Object = dict[str, Any]


def read_event(notification: Notification) -> Return | None:
    """Read a bounce, a complaint or a delivery that SES tells of."""
    text = notification.text
    if "notificationType" not in text and "eventType" not in text:
        return None
    event = _event(text)
    match event.get("notificationType") or event.get("eventType"):
        case "Bounce":
            named = _recipients(event.get("bounce"), "bouncedRecipients")
            return notification.make(Kind.REPORT, "ses", map(_bounced, named))
        case "Complaint":
            named = _recipients(event.get("complaint"), "complainedRecipients")
            complaining = [RecipientReport(_text(one, "emailAddress"), action="") for one in named]
            return notification.make(Kind.COMPLAINT, "ses", complaining, feedback_type="abuse")
        case "Delivery":
            return notification.make(Kind.DELIVERED, "ses", [])
        case _:
            return None


def _event(text: str) -> _Object:
    event = _first_object(text)
    inner = event.get("Message")
    return _first_object(inner) if isinstance(inner, str) else event


def _first_object(text: str) -> _Object:
    # Mail programs fold long lines, also within strings.
    decoder = json.JSONDecoder(strict=False)
    try:
        found, _ = decoder.raw_decode(text, max(0, text.find("{")))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _recipients(about: object, name: str) -> list[_Object]:
    named = about.get(name) if isinstance(about, dict) else None
    named = named if isinstance(named, list) else []
    return [one for one in named if isinstance(one, dict) and _text(one, "emailAddress")]


def _bounced(one: _Object) -> RecipientReport:
    diagnostic = _text(one, "diagnosticCode")
    status = status_in(_text(one, "status")) or status_in(diagnostic)
    return RecipientReport(
        _text(one, "emailAddress"),
        status=status,
        diagnostic=diagnostic,
        reason=reason_of(diagnostic, status),
    )


def _text(one: _Object, name: str) -> str:
    value = one.get(name, "")
    if not isinstance(value, str):
        return ""
    # JSON can write half of a character, which UTF-8 cannot.
    return value[:DIAGNOSTIC_LIMIT].encode("utf-8", "replace").decode()
