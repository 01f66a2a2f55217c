"""`relais suppress list|add|remove`."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

import pytest

from tests.edges.cli.site import COMMITTEE, DOMAIN, PERSON, Site

if TYPE_CHECKING:
    from collections.abc import Sequence

WHY = ("--reason", "by telephone")
BUREAU = f"bureau@{DOMAIN}"


@pytest.fixture
async def peopled(site: Site) -> Site:
    """A site where p2 has left one list, and was taken out of all."""
    await site.sql(PERSON)
    return site


def _listed(site: Site, *options: str) -> list[tuple[str, str | None, str | None, str]]:
    rows = site.relais("suppress", "list", *options, "--json").answer["suppressions"]
    return [(row["scope"], row["address"], row["person"], row["reason"]) for row in rows]


async def _audit(site: Site) -> list[tuple[str, ...]]:
    rows = await site.sql("select who, what, reason from relais.audit where audit_id > $1", 0)
    return [tuple(row) for row in rows]


async def _verdicts(site: Site, address: str = COMMITTEE) -> dict[str, int]:
    """Return how a posting of this moment would be judged."""
    answer = site.relais("preview", address, "--json").answer
    return {"would_receive": answer["would_receive"], "suppressed": answer["suppressed"]}


EVERYWHERE = ("all", "m2@orange.fr", None, "operator")
ONE_LIST = (BUREAU, "deux@ancien.fr", "p2", "unsubscribed")
FILTERS: dict[str, tuple[Sequence[str], list[tuple[str, str | None, str | None, str]]]] = {
    "all": ((), [EVERYWHERE, ONE_LIST]),
    "of a list": (("--list", "bureau"), [EVERYWHERE, ONE_LIST]),
    "of another": (("--list", COMMITTEE), [EVERYWHERE]),
    "for a reason": (("--why", "unsubscribed"), [ONE_LIST]),
    "by a word": (("--grep", "ANCIEN"), [ONE_LIST]),
    "the last": (("--last", "1"), [EVERYWHERE]),
    "nothing": (("--grep", "nobody"), []),
}


@pytest.mark.parametrize(("options", "found"), FILTERS.values(), ids=FILTERS)
def test_list(
    peopled: Site,
    options: Sequence[str],
    found: list[tuple[str, str | None, str | None, str]],
) -> None:
    """The newest first; who is out of all lists is so out of each."""
    assert _listed(peopled, *options) == found


def test_a_reason_that_is_none(site: Site) -> None:
    """Those that there are are named, in our own words."""
    ended = site.relais("suppress", "list", "--why", "gone")

    assert (ended.code, ended.err) == (
        2,
        "--why gone: write one of unsubscribed, complained, bounced, operator\n",
    )


def test_list_for_people(peopled: Site) -> None:
    """A table, or that there is nobody."""
    header, first, second = peopled.relais("suppress", "list").out.splitlines()

    assert header.split() == ["out", "of", "address", "person", "because", "by", "since"]
    assert first.startswith("all lists  m2@orange.fr")
    assert second.split()[:5] == ["bureau", "deux@ancien.fr", "p2", "unsubscribed", "one-click"]
    nobody = peopled.relais("suppress", "list", "--grep", "nobody")
    assert (nobody.code, nobody.out) == (0, "No suppression matches.\n")


@pytest.mark.parametrize("verb", ["list", "add", "remove"])
def test_an_unknown_list(peopled: Site, verb: str) -> None:
    """What is like it is named."""
    arguments = ("suppress", verb, "--list", "burau", *(() if verb == "list" else WHY))
    address = () if verb == "list" else ("m2@orange.fr",)

    ended = peopled.relais(*arguments, *address, "--json")

    assert ended.code == 1
    assert ended.answer == {
        "error": f"no list has the address burau@{DOMAIN}",
        "did_you_mean": [BUREAU],
    }


async def test_add(peopled: Site) -> None:
    """The person gets nothing more at any address, and what waits is cancelled."""
    await peopled.sql("delete from relais.suppression; update relais.posting set state = 'open'")
    before = await _verdicts(peopled)

    ended = peopled.relais("suppress", "add", "M2@orange.fr", "--list", COMMITTEE, *WHY)

    assert (ended.code, ended.out.splitlines()) == (
        0,
        [
            f"m2@orange.fr: out of {COMMITTEE}; 1 waiting copy cancelled.",
            "It holds for person p2 by any other address as well.",
            "Undo: relais suppress remove m2@orange.fr --list comite_directeur.comite --reason ...",
        ],
    )
    assert await _verdicts(peopled) == {
        "would_receive": before["would_receive"] - 1,
        "suppressed": 1,
    }
    await peopled.sql("update club.member set email = 'deux@neuf.fr' where person = 'p2'")
    assert (await _verdicts(peopled))["suppressed"] == 1
    assert (await _verdicts(peopled, "bureau"))["suppressed"] == 0
    assert await _audit(peopled) == [
        (
            getpass.getuser(),
            "suppress m2@orange.fr on comite_directeur.comite",
            "by telephone",
        )
    ]
    kept = await peopled.sql(
        "select state::text, reply from relais.delivery where address = $1 and posting_id = 2",
        "m2@orange.fr",
    )
    assert [tuple(row) for row in kept] == [("cancelled", "suppressed by an operator")]
    again = peopled.relais("suppress", "add", "m2@orange.fr", "--list", COMMITTEE, *WHY)
    assert again.code == 1
    assert again.err.startswith(
        "m2@orange.fr is out of comite_directeur.comite already: operator, since "
    )


async def test_add_names_the_person(peopled: Site) -> None:
    """As some view does."""
    await peopled.sql(
        "create view lists.named as select email, person, 'Renée Deux' as name from club.member;"
        "select lists.define('lists.named', address => 'nommes', title => 'Nommés');"
    )

    ended = peopled.relais("suppress", "add", "m2@orange.fr", "--list", "nommes", *WHY)

    assert "It holds for Renée Deux (p2) by any other address as well." in ended.out


MISTAKEN = {
    "a letter more": ("m22@orange.fr", "m2@orange.fr"),
    "another domain": ("m2@orage.fr", "m2@orange.fr"),
}


@pytest.mark.parametrize(("typed", "meant"), MISTAKEN.values(), ids=MISTAKEN)
def test_add_what_no_list_has(peopled: Site, typed: str, meant: str) -> None:
    """It is done, for it may be somebody whom a file will bring; but it is said what is like it."""
    ended = peopled.relais("suppress", "add", typed, *WHY)

    assert ended.code == 0
    [hint] = [line for line in ended.out.splitlines() if "Did you mean" in line]
    assert hint.startswith("No list has it. Did you mean ")
    assert meant in hint


OURS = {
    "a list": (BUREAU, f"{BUREAU} is a list of this site, and nobody's address: "),
    "the help address": (
        "Aide@example.fr",
        "aide@example.fr is the help address of this site, and must get its mail\n",
    ),
}


@pytest.mark.parametrize(("address", "said"), OURS.values(), ids=OURS)
def test_add_what_is_no_person(peopled: Site, address: str, said: str) -> None:
    """Nothing is kept of it."""
    ended = peopled.relais("suppress", "add", address, *WHY)

    assert ended.code == 1
    assert ended.err.startswith(said)
    assert len(_listed(peopled)) == 2


def test_the_reason_is_shown(peopled: Site) -> None:
    """As the operator gave it, wherever the suppression is."""
    peopled.relais("suppress", "add", "m3@orange.fr", *WHY)
    peopled.relais("suppress", "add", "m3@orange.fr", "--list", "bureau", "--reason", "of old")

    listed = peopled.relais("suppress", "list", "--json").answer["suppressions"]
    assert [(row["scope"], row["note"]) for row in listed[:2]] == [
        (BUREAU, "of old"),
        ("all", "by telephone"),
    ]
    assert {row["note"] for row in listed[2:]} == {None}
    assert "operator: by telephone" in peopled.relais("suppress", "list").out
    who = peopled.relais("who", "m3@orange.fr")
    assert "operator: by telephone" in who.out
    assert "operator: of old" in who.out


async def test_add_everywhere(peopled: Site) -> None:
    """Also somebody whom no view knows: then it is the address."""
    ended = peopled.relais("suppress", "add", "trap@spam.example", *WHY, "--json")

    assert ended.answer == {
        "address": "trap@spam.example",
        "scope": "all",
        "people": [],
        "did_you_mean": [],
        "cancelled": 0,
        "problems": [],
    }
    assert _listed(peopled)[0] == ("all", "trap@spam.example", None, "operator")
    again = peopled.relais("suppress", "add", "trap@spam.example", *WHY)
    assert again.code == 1
    assert again.err.startswith("trap@spam.example is out of all lists already: operator, since ")


def test_an_address_is_one(peopled: Site) -> None:
    """What is none is the mistake of whoever asks."""
    ended = peopled.relais("suppress", "add", "m2 at orange", *WHY)

    assert (ended.code, ended.err) == (
        2,
        "'m2 at orange': write one address, as name@example.org\n",
    )


async def test_remove_what_an_operator_did(peopled: Site) -> None:
    """Nobody has to be asked; what else keeps them away is said."""
    ended = peopled.relais("suppress", "remove", "m2@orange.fr", *WHY)

    assert (ended.code, ended.out.splitlines()) == (
        0,
        [
            "m2@orange.fr: gets the next posting of all its lists again.",
            f"Still out of {BUREAU}: name one with --list.",
        ],
    )
    assert _listed(peopled) == [ONE_LIST]
    assert await _audit(peopled) == [
        (getpass.getuser(), "let m2@orange.fr in again on all lists", "by telephone")
    ]


async def test_what_somebody_said_themselves(peopled: Site) -> None:
    """It is theirs to undo, unless they have asked."""
    remove = ("suppress", "remove", "m2@orange.fr", "--list", "bureau", *WHY)

    refused = peopled.relais(*remove)
    assert refused.code == 1
    assert refused.err.startswith(
        "m2@orange.fr has unsubscribed on 05 Jan 2026, 12:00 UTC (by one-click): nobody else"
    )
    assert "--yes-they-asked" in refused.err
    assert ONE_LIST in _listed(peopled)
    assert await _audit(peopled) == []

    done = peopled.relais(*remove, "--yes-they-asked", "--json")
    answer = done.answer
    assert [one["source"] for one in answer.pop("removed")] == ["one-click"]
    assert answer == {
        "address": "m2@orange.fr",
        "scope": BUREAU,
        "still_out_of": ["all"],
        "held_since": None,
    }
    assert _listed(peopled) == [EVERYWHERE]
    assert [what for _, what, _ in await _audit(peopled)] == [
        "let m2@orange.fr in again on bureau (they asked)"
    ]


def test_what_is_out_of_all_lists(peopled: Site) -> None:
    """One list more or less makes no difference to it, and it is said how to let it in."""
    ended = peopled.relais(
        "suppress", "remove", "m2@orange.fr", "--list", "bureau", *WHY, "--yes-they-asked"
    )

    assert ended.out.splitlines() == [
        f"m2@orange.fr: out of {BUREAU} no more.",
        (
            "It is still out of all lists, so it still gets nothing: relais suppress remove"
            " m2@orange.fr --reason ... without --list."
        ),
    ]


async def test_what_is_held(peopled: Site) -> None:
    """No wish keeps it away any more, but its mail comes back."""
    await peopled.sql(
        "insert into relais.address_health (address, state, since, reason, status, evidence)"
        " values ('m2@orange.fr', 'held', '2026-01-05 12:00+00', 'full', '5.2.2', 'full')"
    )
    remove = ("suppress", "remove", "m2@orange.fr", *WHY)

    ended = peopled.relais(*remove)

    assert ended.out.splitlines() == [
        "m2@orange.fr: out of all its lists no more.",
        (
            "It is held since 05 Jan 2026, 12:00 UTC, so it still gets nothing:"
            " see relais bounces show m2@orange.fr."
        ),
        f"Still out of {BUREAU}: name one with --list.",
    ]


NOT_OUT: dict[str, tuple[Sequence[str], Any]] = {
    "another list": (
        ("m2@orange.fr", "--list", COMMITTEE),
        (
            "m2@orange.fr is not out of comite_directeur.comite, but of bureau, all lists: leave"
            " --list out"
        ),
    ),
    "which one": (
        ("deux@travail.fr",),
        "deux@travail.fr is out of bureau: name one with --list",
    ),
    "nothing": (("m3@orange.fr",), "m3@orange.fr is not suppressed"),
}


@pytest.mark.parametrize(("arguments", "said"), NOT_OUT.values(), ids=NOT_OUT)
def test_what_is_not_to_be_removed(peopled: Site, arguments: Sequence[str], said: str) -> None:
    """What there is instead is named."""
    ended = peopled.relais("suppress", "remove", *arguments, *WHY, "--json")

    assert ended.code == 1
    assert ended.answer["error"] == said


def test_did_you_mean(peopled: Site) -> None:
    """An address that is suppressed, and like it."""
    ended = peopled.relais("suppress", "remove", "m2@orange.com", *WHY, "--json")

    assert ended.answer["did_you_mean"] == ["m2@orange.fr"]


async def test_who_was_erased_joins_again(peopled: Site) -> None:
    """What they left is known by a hash alone, which holds until they ask."""
    await peopled.sql("update relais.posting set state = 'finished'")
    await peopled.sql("update relais.delivery set state = 'handed_over', settled_at = relais.now()")
    await peopled.sql(
        "insert into relais.suppression (list_id, person_id, address, reason, source, since)"
        " values (2, 1, 'm2@orange.fr', 'unsubscribed', 'page', relais.now())"
    )
    peopled.relais("suppress", "remove", "m2@orange.fr", *WHY)
    erased = peopled.relais(
        "person", "erase", "m2@orange.fr", "--reason", "letter of 3 May", "--yes"
    )
    assert erased.code == 0
    assert all(address is None for _, address, _, _ in _listed(peopled))
    assert "(erased)" in peopled.relais("suppress", "list").out
    assert (await _verdicts(peopled))["suppressed"] == 1  # Still in the member file.

    remove = ("suppress", "remove", "m2@orange.fr", "--list", COMMITTEE, *WHY)
    assert peopled.relais(*remove).code == 1
    done = peopled.relais(*remove, "--yes-they-asked")

    assert done.code == 0
    assert (await _verdicts(peopled))["suppressed"] == 0
