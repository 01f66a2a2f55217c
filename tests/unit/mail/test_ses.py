"""Events of Amazon SES."""

from __future__ import annotations

import json
from typing import Any

import pytest

from worker.mail.dsn import Kind, Return
from worker.mail.reason import Reason
from worker.mail.returns import read_return

HEAD = (
    b"From: AWS Notifications <no-reply@sns.amazonaws.example>\r\n"
    b"Subject: AWS Notification Message\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
)
AFTER = b"\r\n--\r\nIf you wish to stop receiving notifications click here\r\n"

# Any: JSON, as it comes.
BOUNCE: dict[str, Any] = {
    "notificationType": "Bounce",
    "bounce": {
        "bounceType": "Permanent",
        "bouncedRecipients": [
            {
                "emailAddress": "a@x.fr",
                "action": "failed",
                "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 user unknown",
            },
            {"emailAddress": "b@x.fr", "diagnosticCode": "smtp; 452 4.2.2 over quota"},
        ],
    },
    "mail": {"messageId": "1"},
}
COMPLAINT: dict[str, Any] = {
    "notificationType": "Complaint",
    "complaint": {"complainedRecipients": [{"emailAddress": "a@x.fr"}]},
}


def _read(text: str) -> Return | None:
    return read_return(HEAD + text.encode() + AFTER)


def test_a_bounce() -> None:
    """Who was not reached and why; a status that is left out is in the words."""
    found = _read(json.dumps(BOUNCE))

    assert found is not None
    assert (found.kind, found.family) == (Kind.REPORT, "ses")
    assert [(r.final_recipient, r.status, r.reason) for r in found.recipients] == [
        ("a@x.fr", "5.1.1", Reason.UNKNOWN_USER),
        ("b@x.fr", "4.2.2", Reason.FULL),
    ]


def test_a_complaint() -> None:
    """A person does not want such mail."""
    found = _read(json.dumps(COMPLAINT))

    assert found is not None
    assert found.complains
    assert [report.final_recipient for report in found.recipients] == ["a@x.fr"]


def test_a_delivery() -> None:
    """It has arrived."""
    found = _read(json.dumps({"eventType": "Delivery", "delivery": {}}))

    assert found is not None
    assert found.kind is Kind.DELIVERED


FORMS = {
    "with indents": json.dumps(BOUNCE, indent=2),
    "folded by a mail program": json.dumps(BOUNCE).replace("user unknown", "user\r\n unknown"),
    "within a message": json.dumps({"Type": "Notification", "Message": json.dumps(BOUNCE)}),
    "event publishing": json.dumps(BOUNCE).replace("notificationType", "eventType"),
    "after words": "Hello,\r\n\r\n" + json.dumps(BOUNCE),
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_forms(text: str) -> None:
    """The same event, however it was wrapped."""
    found = _read(text)

    assert found is not None
    assert [report.final_recipient for report in found.recipients] == ["a@x.fr", "b@x.fr"]
    assert found.recipients[0].reason is Reason.UNKNOWN_USER


NONE = {
    "another event": json.dumps({"eventType": "Open"}),
    "no JSON": "the notificationType is Bounce",
    "an array": '["notificationType"]',
    "broken": '{"notificationType": "Bounce", "bounce": {',
    "deep": '{"notificationType":' + "[" * 20_000,
    "a type that is none": '{"notificationType": {"Bounce": 1}}',
    "a message that is none": '{"Message": "notificationType"}',
    "a number": '{"notificationType": 1e999}',
}


@pytest.mark.parametrize("text", NONE.values(), ids=NONE)
def test_no_event(text: str) -> None:
    """Foreign JSON is checked where it is read."""
    assert _read(text) is None


ODD = {
    "no bounce": {},
    "a bounce that is none": {"bounce": "x"},
    "recipients that are none": {"bounce": {"bouncedRecipients": "a@x.fr"}},
    "recipients that are text": {"bounce": {"bouncedRecipients": ["a@x.fr", 1, None]}},
    "an address that is none": {"bounce": {"bouncedRecipients": [{"emailAddress": 1}]}},
    "no address": {"bounce": {"bouncedRecipients": [{"status": "5.1.1"}]}},
}


@pytest.mark.parametrize("about", ODD.values(), ids=ODD)
def test_an_odd_bounce_names_nobody(about: dict[str, object]) -> None:
    """A recipient always has an address."""
    found = _read(json.dumps({"notificationType": "Bounce", **about}))

    assert found is not None
    assert all(report.final_recipient for report in found.recipients)


def test_what_is_kept_of_it() -> None:
    """A thousand characters, which UTF-8 can write; half of a character it cannot."""
    one = {"emailAddress": "a@x.fr", "status": "5.1.1 \ud800", "diagnosticCode": "\ud800" * 2000}
    event = {"notificationType": "Bounce", "bounce": {"bouncedRecipients": [one]}}
    found = _read(json.dumps(event))

    assert found is not None
    assert found.recipients[0].status == "5.1.1"
    assert found.recipients[0].diagnostic == "?" * 1000
