"""The fields of a delivery status (RFC 3464), also where they are sloppy."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from worker.mail.dsn import (
    DIAGNOSTIC_LIMIT,
    RECIPIENTS_LIMIT,
    Kind,
    RecipientReport,
    Return,
    address_of,
    field_groups,
    first_value,
    kind_of,
    most_telling,
    read_status,
)

OF_MESSAGE = b"Reporting-MTA: dns; mx.x.fr\r\nOriginal-Envelope-Id: QQ1\r\n\r\n"


class Case(NamedTuple):
    """Fields, and what they say: recipient, original recipient, action, status, diagnostic."""

    fields: bytes
    reports: tuple[tuple[str, str, str, str, str], ...]


CASES = {
    "nothing": Case(b"", ()),
    "of the message only": Case(OF_MESSAGE, ()),
    "Postfix": Case(
        OF_MESSAGE + b"Final-Recipient: rfc822; a@x.fr\r\nOriginal-Recipient: rfc822;b@x.fr\r\n"
        b"Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.x.fr\r\n"
        b"Diagnostic-Code: smtp; 550 5.1.1 <a@x.fr>: Recipient address\r\n"
        b" rejected: User unknown\r\n",
        (
            (
                *("a@x.fr", "b@x.fr", "failed", "5.1.1"),
                "550 5.1.1 <a@x.fr>: Recipient address rejected: User unknown",
            ),
        ),
    ),
    "line ends of UNIX": Case(
        b"Final-Recipient: rfc822; a@x.fr\nAction: failed\nStatus: 4.2.2\n",
        (("a@x.fr", "", "failed", "4.2.2", ""),),
    ),
    "a name in UTF-8 (RFC 6533)": Case(
        "Final-Recipient: utf-8; zoé@x.fr\r\nAction: failed\r\nStatus: 5.1.1\r\n".encode(),
        (("zoé@x.fr", "", "failed", "5.1.1", ""),),
    ),
    "an action that is none": Case(
        b"Final-Recipient: rfc822; a@x.fr\r\nAction: exploded\r\n",
        (("a@x.fr", "", "failed", "", ""),),
    ),
    "an action with a comment": Case(
        b"Final-Recipient: rfc822; a@x.fr\r\nAction: delayed (will retry)\r\n",
        (("a@x.fr", "", "delayed", "", ""),),
    ),
    "no recipient": Case(b"Action: failed\r\nStatus: 5.1.1\r\n", ()),
    "an empty recipient": Case(b"Final-Recipient: rfc822;\r\nAction: failed\r\n", ()),
    "Exchange, inside": Case(
        b"Final-Recipient: rfc822; jean@ims-daemon\r\nOriginal-Recipient: rfc822;a@x.fr\r\n",
        (("a@x.fr", "a@x.fr", "failed", "", ""),),
    ),
    "only who it really was": Case(
        b"Final-Recipient: rfc822;\r\nX-Actual-Recipient: rfc822; a@x.fr\r\n",
        (("a@x.fr", "", "failed", "", ""),),
    ),
    "a code within the words goes first": Case(
        b"Final-Recipient: rfc822; a@x.fr\r\nStatus: 4.4.7\r\nAction: failed\r\n"
        b"Diagnostic-Code: smtp; 452 4.2.2 over quota\r\n",
        (("a@x.fr", "", "failed", "4.2.2", "452 4.2.2 over quota"),),
    ),
    "words in another encoding": Case(
        "Final-Recipient: rfc822; a@x.fr\r\nDiagnostic-Code: smtp; 550 boîte pleine\r\n".encode(),
        (("a@x.fr", "", "failed", "5.0.0", "550 boîte pleine"),),
    ),
    "words without their type": Case(
        b"Final-Recipient: rfc822; a@x.fr\r\nDiagnostic-Code: 550 no; try b@y.fr\r\n",
        (("a@x.fr", "", "failed", "5.0.0", "550 no; try b@y.fr"),),
    ),
    "an address like an encoded word": Case(
        b"Final-Recipient: rfc822; =?x?q?a?=@x.fr\r\n",
        (("=?x?q?a?=@x.fr", "", "failed", "", ""),),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_read_status(case: Case) -> None:
    """What each field says of each recipient; reasons are read elsewhere."""
    assert read_status([case.fields]).recipients == tuple(
        RecipientReport(*report) for report in case.reports
    )


def test_the_fields_of_the_message() -> None:
    """Our envelope identifier comes back, and who reports."""
    status = read_status([b"X: y\r\n\r\n", OF_MESSAGE])

    assert (status.original_envelope_id, status.reporting_mta) == ("QQ1", "mx.x.fr")


def test_limits() -> None:
    """Nobody makes us keep more than we would write ourselves."""
    group = b"Final-Recipient: rfc822; a%d@x.fr\r\nDiagnostic-Code: smtp; %s\r\n\r\n"
    block = b"".join(group % (number, b"long " * 1000) for number in range(RECIPIENTS_LIMIT + 9))
    recipients = read_status([block[: 512 * 1024], *[block[: 512 * 1024]] * 3]).recipients

    assert 0 < len(recipients) <= RECIPIENTS_LIMIT
    assert all(len(report.diagnostic) <= DIAGNOSTIC_LIMIT for report in recipients)


ADDRESSES = {
    "as it should be": ("rfc822; a@x.fr", "a@x.fr"),
    "no space": ("rfc822;a@x.fr", "a@x.fr"),
    "brackets": ("rfc822; <a@x.fr>", "a@x.fr"),
    "no type": ("a@x.fr", "a@x.fr"),
    "case stays": ("RFC822; Marie.Dupont@X.fr", "Marie.Dupont@X.fr"),
    "a name": ('rfc822; "Marie" <a@x.fr>', "a@x.fr"),
    "a route": ("rfc822; @relay.fr,@b.fr:a@x.fr", "a@x.fr"),
    "a dot at the end": ("rfc822; a@x.fr.", "a@x.fr"),
    "quotes": ("rfc822; 'a@x.fr'", "a@x.fr"),
    "a comment": ("rfc822; a@x.fr (Marie)", "a@x.fr"),
    "system and host": ("rfc822; a+b=c@x.fr", "a+b=c@x.fr"),
    "a host's number": ("rfc822; a@[192.0.2.1]", "a@[192.0.2.1]"),
    "of an inside system": ("rfc822; jean@ims-daemon", "jean@ims-daemon"),
    "X.400": ("x-local; /C=FR/S=Dupont/", ""),
    "a name only": ("rfc822; jean", ""),
    "nothing behind": ("rfc822;", ""),
    "nothing": ("", ""),
    "an at sign": ("rfc822; @", ""),
}


@pytest.mark.parametrize(("value", "address"), ADDRESSES.values(), ids=ADDRESSES)
def test_address_of(value: str, address: str) -> None:
    """The address in a field "type; address", without what surrounds it."""
    assert address_of(value) == address


TELLING = {
    "both agree": ("smtp; 550 5.1.1 unknown", "5.1.1", "5.1.1"),
    "no words": ("", "5.1.1", "5.1.1"),
    "no status": ("smtp; 550 5.1.1 unknown", "", "5.1.1"),
    "words without a code": ("smtp; unknown", "5.1.1", "5.1.1"),
    "given up": ("smtp; 452 4.2.2 over quota", "4.4.7", "4.2.2"),
    "for anything": ("smtp; 550 5.7.26 unauthenticated", "5.0.0", "5.7.26"),
    "a bare reply code says less": ("smtp; 550 unknown", "5.1.1", "5.1.1"),
    "a bare reply code alone": ("smtp; 421 later", "", "4.0.0"),
    "the server's own 5.0.0 says less": ("smtp; 550 5.0.0 no", "5.1.1", "5.1.1"),
    "neither": ("", "", ""),
}


@pytest.mark.parametrize(("diagnostic", "status", "telling"), TELLING.values(), ids=TELLING)
def test_most_telling(diagnostic: str, status: str, telling: str) -> None:
    """The code of the server's own reply, unless it is the emptier of the two."""
    assert most_telling(diagnostic, status) == telling


KINDS = {
    "failed": (("failed",), Kind.REPORT),
    "delayed": (("delayed",), Kind.DELAYED),
    "failed and delayed": (("delayed", "failed"), Kind.REPORT),
    "delayed and delivered": (("delayed", "delivered"), Kind.DELAYED),
    "failed and delivered": (("failed", "delivered"), Kind.REPORT),
    "delivered": (("delivered",), Kind.DELIVERED),
    "relayed and expanded": (("relayed", "expanded"), Kind.DELIVERED),
}


@pytest.mark.parametrize(("actions", "kind"), KINDS.values(), ids=KINDS)
def test_kind_of(actions: tuple[str, ...], kind: Kind) -> None:
    """One who failed is what the report is about."""
    assert kind_of(tuple(RecipientReport("a@x.fr", action=action) for action in actions)) is kind


COMPLAINTS = {
    "abuse": ("abuse", True),
    "fraud": ("fraud", True),
    "opt-out": ("opt-out", True),
    "virus": ("virus", True),
    "other": ("other", True),
    "no type": ("", True),
    "not spam": ("not-spam", False),
    "authentication": ("auth-failure", False),
    "DKIM": ("dkim", False),
}


@pytest.mark.parametrize(("feedback_type", "complains"), COMPLAINTS.values(), ids=COMPLAINTS)
def test_complains(feedback_type: str, complains: bool) -> None:  # noqa: FBT001
    """Whoever takes it out of the junk folder, or reports a forger, wants our mail."""
    assert Return(Kind.COMPLAINT, feedback_type=feedback_type).complains is complains
    assert not Return(Kind.REPORT, feedback_type=feedback_type).complains


GROUPS = {
    "nothing": (b"", []),
    "empty lines": (b"\r\n\r\n\n", []),
    "one": (b"A: b\r\nC: d\r\n", [["a", "c"]]),
    "two": (b"A: b\r\n\r\nC: d\r\n", [["a"], ["c"]]),
    "folded": (b"A: b\r\n c\r\nD: e\r\n", [["a", "d"]]),
    "rubbish before": (b"hello you\r\nA: b\r\n", [["a"]]),
    "rubbish between": (b"A: b\r\n%%%\r\nC: d\r\n", [["a"], ["c"]]),
    "many empty lines": (b"\r\n\r\nA: b\r\n\r\n\r\n\r\nC: d\r\n\r\n", [["a"], ["c"]]),
}


@pytest.mark.parametrize(("block", "names"), GROUPS.values(), ids=GROUPS)
def test_field_groups(block: bytes, names: list[list[str]]) -> None:
    """Fields between empty lines; what is no field only divides them."""
    assert [[found.name for found in group] for group in field_groups(block)] == names


def test_first_value() -> None:
    """The first of a name; nothing where there is none."""
    (group,) = field_groups(b"Status: 5.1.1\r\nstatus: 4.2.2\r\n")

    assert first_value(group, "status") == "5.1.1"
    assert first_value(group, "action") == ""
