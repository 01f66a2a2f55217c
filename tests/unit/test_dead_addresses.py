"""The letter about dead addresses: plain words in both languages, and what to do."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from worker.mail.reason import Reason
from worker.notices.dead_addresses import dead_addresses
from worker.notices.failure import failure_words
from worker.policy.mending import Ailing, DeadAddress

NOW = datetime(2026, 11, 30, 7, 12, tzinfo=ZoneInfo("Europe/Paris"))
LANGUAGES = ("fr", "en")
PAGE = Path(__file__).parents[2] / "docs" / "mending.md"


def dead(
    address: str = "anne.martin@orange.fr",
    reason: Reason = Reason.UNKNOWN_USER,
    *,
    days: int = 21,
    name: str = "Anne Martin",
) -> DeadAddress:
    """Return an address that has failed for *days*."""
    since = (NOW - timedelta(days=days)).astimezone(UTC)
    ailing = Ailing(address, "held", since, None, reason, "5.1.1", "550 no", 2, since)
    return DeadAddress(ailing, (name,), ("Club de judo",), frozenset({"fr"}))


def written(
    lang: str,
    *told: DeadAddress,
    more: int = 0,
    known: int = 0,
    member_space: str = "https://membres.example.fr",
) -> list[str]:
    """Return the subject and the lines of a letter, in plain characters."""
    letter = dead_addresses(
        lang,
        told,
        more=more,
        known=known,
        member_space=member_space,
        help_address="aide@example.fr",
        now=NOW,
    )
    assert letter.lang == lang
    # French puts a space before these that must not break the line.
    assert lang == "en" or not re.search(r"(?<=\S) [?:;!»]|« ", letter.text + letter.subject)
    plain = letter.text.replace("\u00a0", " ").replace("\u202f", " ").replace("\u2019", "'")
    return [letter.subject, *plain.splitlines()]


WHOLE = {
    "fr": """\
1 adresse ne reçoit plus rien
Les messages de vos listes nous reviennent de cette adresse. Plus rien n'y est envoyé.

→ Demandez à la personne une adresse qui fonctionne. Elle la corrige, ou vous pour elle, dans son \
espace membre :
  https://membres.example.fr

Une adresse corrigée reçoit d'elle-même le prochain message de ses listes.

  Anne Martin
  anne.martin@orange.fr
  la boîte est pleine, depuis le 9 novembre (3 semaines)
  liste : Club de judo

→ Vous êtes sûr(e) qu'une adresse fonctionne telle quelle ? Écrivez à aide@example.fr.

Message automatique · Une question ? aide@example.fr""",
    "en": """\
1 address gets nothing any more
The messages of your lists come back from this address. Nothing is sent there any more.

→ Ask the person for an address that works. They or you correct it in their member space:
  https://membres.example.fr

A corrected address gets the next message of its lists by itself.

  Anne Martin
  anne.martin@orange.fr
  the mailbox is full, since 9 November (3 weeks)
  list: Club de judo

→ You are sure that an address works as it is? Write to aide@example.fr.

Automatic message · Questions? aide@example.fr""",
}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_letter(lang: str) -> None:
    """What happened, what to do, who it is, and a human to ask."""
    assert "\n".join(written(lang, dead(reason=Reason.FULL))) == WHOLE[lang]


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("reason", list(Reason), ids=lambda reason: reason.value)
def test_every_reason_has_plain_words(lang: str, reason: Reason) -> None:
    """Without a code, and not the name that we give it."""
    words = failure_words(lang, reason)

    assert 10 < len(words) < 90
    assert not re.search(r"\d|_|SMTP|DNS|bounce|erreur|error", words, re.IGNORECASE)
    assert words[0].islower()
    assert (failure_words("fr", reason) == failure_words("en", reason)) is False


@pytest.mark.parametrize("reason", list(Reason), ids=lambda reason: reason.value)
def test_the_page_for_secretaries_has_every_wording(reason: Reason) -> None:
    """With what to do about it, in the words of the letter."""
    words = failure_words("fr", reason).replace("\u2019", "'").partition("\u00a0:")[0]
    page = PAGE.read_text(encoding="utf-8")

    assert f"| {words} |" in page


MORE = {
    "fr": ("… et 1 234 autres.", "1 autre adresse, déjà signalée, attend encore."),
    "en": (
        "… and 1,234 more.",
        "1 other address, of which you were told before, still waits.",
    ),
}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_not_told(lang: str) -> None:
    """How many are for the next letter, and how many wait since an earlier one."""
    lines = written(lang, dead(), more=1234, known=1)

    assert set(MORE[lang]) <= set(lines)
    assert lines[0].startswith({"fr": "1\u202f235 adresses", "en": "1,235 addresses"}[lang])


def test_what_is_known() -> None:
    """News comes first, and what is repeated is said to be."""
    lines = written("fr", dead("a@b.fr"), replace(dead("c@d.fr"), is_reminder=True))

    [known] = [n for n, line in enumerate(lines) if line.startswith("Celle-ci, vous la")]
    assert lines.index("  a@b.fr") < known < lines.index("  c@d.fr")
    several = [replace(dead(address), is_reminder=True) for address in ("a@b.fr", "c@d.fr")]
    assert "Celles-ci, vous les connaissez déjà, et rien n'a changé :" in written("fr", *several)


def test_without_a_member_space() -> None:
    """It is the member file that is corrected."""
    lines = written("fr", dead(), member_space="")

    assert not any("https://" in line for line in lines)
    assert any(line.endswith("faites-la corriger dans le fichier des membres.") for line in lines)


DAYS = {
    0: "(1 jour)",
    2: "(2 jours)",
    6: "(6 jours)",
    60: "(2 mois)",
    400: "26 octobre 2025 (1 an)",
}


@pytest.mark.parametrize(("days", "shown"), DAYS.items())
def test_since_when(days: int, shown: str) -> None:
    """The day as clocks of the site show it, with its year if that is not clear."""
    assert any(line.endswith(shown) for line in written("fr", dead(days=days)))


@pytest.mark.parametrize("name", ["Anne\r\n\r\n→ https://evil.example", "\u202eAnne", "A" * 500])
def test_a_name_stays_in_its_line(name: str) -> None:
    """It comes from a member file that anybody may have written into."""
    lines = written("en", dead(name=name))

    assert len(lines) == len(written("en", dead()))
    assert all(line.isprintable() and len(line) < 160 for line in lines)


def test_without_a_name() -> None:
    """A view need not have any."""
    lines = written("en", replace(dead(), names=()))

    assert lines[lines.index("  anne.martin@orange.fr") - 1] == ""
