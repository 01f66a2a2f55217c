"""Asking for reports: xtext, and what MAIL and RCPT say."""

from __future__ import annotations

import pytest

from worker.mail.address import ADDRESS_LIMIT, usable_address
from worker.mail.report_request import mail_parameters, rcpt_parameters, xtext

XTEXT = {
    "plain": ("jean.dupont@orange.fr", "jean.dupont@orange.fr"),
    "plus": ("jean+listes@orange.fr", "jean+2Blistes@orange.fr"),
    "equals": ("a=b@orange.fr", "a+3Db@orange.fr"),
    "already encoded": ("a+2B@b.fr", "a+2B2B@b.fr"),
    "blank and line end": ("a b\r\n", "a+20b+0D+0A"),
    "everything else that is seen": ("!#$%&'*/?^_`{|}~-", "!#$%&'*/?^_`{|}~-"),
    "not ASCII": ("hélène@b.fr", "h+C3+A9l+C3+A8ne@b.fr"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("text", "written"), XTEXT.values(), ids=XTEXT)
def test_xtext(text: str, written: str) -> None:
    """RFC 3461, section 4: what is seen but + and = is itself."""
    assert xtext(text) == written


def test_the_parameters() -> None:
    """Failures and delays, with the header of the copy alone."""
    assert mail_parameters("abc") == " RET=HDRS ENVID=abc"
    assert rcpt_parameters("a+b@c.fr") == " NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb@c.fr"


def test_an_original_recipient_that_would_be_too_long_is_left_out() -> None:
    """Its 500 octets are counted as written (section 4.2); a report is wanted all the same."""
    long = f"{'+' * 64}@{'b' * 60}.{'c' * 60}.{'d' * 60}.fr"
    assert usable_address(long)
    assert len(rcpt_parameters(long)) < 530

    longer = "+" * (ADDRESS_LIMIT - 5) + "@b.fr"
    assert rcpt_parameters(longer) == " NOTIFY=FAILURE,DELAY"
