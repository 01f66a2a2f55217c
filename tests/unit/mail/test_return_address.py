"""Tokens: only we can make them, for one purpose, and they name one number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.mail.return_address import (
    Purpose,
    ServiceAddress,
    Tokens,
    key_id,
    list_and_person,
    read_service_address,
    subscriber_number,
)

OLD, NEW = b"o" * 32, b"n" * 32
TOKENS = Tokens((NEW, OLD))


@given(number=st.integers(0, 2**64 - 1), purpose=st.sampled_from(Purpose))
def test_a_token_names_its_number(number: int, purpose: Purpose) -> None:
    """What is signed is read, in 32 lower-case characters."""
    token = TOKENS.sign(purpose, number).decode()

    assert len(token) == 32
    assert token == token.lower()
    assert TOKENS.read(purpose, token) == number
    assert TOKENS.read(purpose, token.upper()) == number


@given(number=st.integers(0, 2**64 - 1), place=st.integers(0, 31), by=st.integers(1, 31))
def test_any_change_is_noticed(number: int, place: int, by: int) -> None:
    """A forged character makes it nobody's token."""
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    token = TOKENS.sign(Purpose.RETURN, number).decode()
    other = alphabet[(alphabet.index(token[place]) + by) % 32]

    assert TOKENS.read(Purpose.RETURN, token[:place] + other + token[place + 1 :]) is None


def test_purposes_are_not_mixed() -> None:
    """The token of a return address unsubscribes nobody, and approves nothing."""
    for purpose in Purpose:
        token = TOKENS.sign(purpose, 7).decode()

        assert [other for other in Purpose if TOKENS.read(other, token) == 7] == [purpose]


@pytest.mark.parametrize("broken", ["", "a" * 31, "a" * 33, "é" * 32, "1" * 32, " " * 32])
def test_garbage_is_nobodys_token(broken: str) -> None:
    """Whatever stands in a link is answered."""
    assert TOKENS.read(Purpose.UNSUBSCRIBE, broken) is None


def test_rotation_keeps_old_links() -> None:
    """The old secret still reads, and can still be asked to sign."""
    old_token = Tokens((OLD,)).sign(Purpose.UNSUBSCRIBE, 5).decode()

    assert TOKENS.read(Purpose.UNSUBSCRIBE, old_token) == 5
    assert TOKENS.sign(Purpose.UNSUBSCRIBE, 5, key=key_id(OLD)).decode() == old_token
    assert Tokens((NEW,)).read(Purpose.UNSUBSCRIBE, old_token) is None


@given(list_id=st.integers(0, 2**24 - 1), person_id=st.integers(0, 2**40 - 1))
def test_a_subscriber_is_a_list_and_a_person(list_id: int, person_id: int) -> None:
    """Both come back out of the one number."""
    assert list_and_person(subscriber_number(list_id, person_id)) == (list_id, person_id)


def test_numbers_out_of_range_are_a_bug() -> None:
    """They would name somebody else."""
    with pytest.raises(ValueError, match="out of range"):
        subscriber_number(2**24, 1)


SERVICE = {
    "return-" + "a" * 32: ServiceAddress(Purpose.RETURN, "a" * 32),
    "UNSUBSCRIBE-" + "A2" * 16: ServiceAddress(Purpose.UNSUBSCRIBE, "a2" * 16),
    "confirm-" + "a" * 32: ServiceAddress(Purpose.CONFIRM, "a" * 32),
    "Moderate-" + "a" * 32: ServiceAddress(Purpose.MODERATE, "a" * 32),
    "posting-" + "a" * 32: ServiceAddress(Purpose.POSTING, "a" * 32),
    "confirm-": None,
    "confirm-" + "a" * 33: None,
    "confirmation-" + "a" * 32: None,
    "confirm": None,
    "return-" + "a" * 31: None,
    "return": None,
    "retour-" + "a" * 32: None,
    "comite.directeur": None,
}


@pytest.mark.parametrize(("local_part", "expected"), SERVICE.items(), ids=SERVICE)
def test_service_addresses(local_part: str, expected: ServiceAddress | None) -> None:
    """Which addresses of the domain are no lists."""
    assert read_service_address(local_part) == expected


def test_no_service_address_is_too_long() -> None:
    """RFC 5321, section 4.5.3.1.1: 64 octets for a local part."""
    assert max(len(purpose.value) for purpose in Purpose) + 1 + 32 <= 64
