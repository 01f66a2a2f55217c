"""Keys for DKIM: made in a private file, and shown as the DNS is to have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.edges.cli.site import Site

NAME = "relais1._domainkey.listes.example.fr"


def test_a_key_is_made_and_shown(bare: Site) -> None:
    """What `new` says to add to the configuration is what it then reads."""
    assert "relais dkim new" in bare.relais("dkim").out
    made = bare.relais("dkim", "new", "relais1")
    path = bare.folder / "relais1.pem"
    added = "[[dkim]]" + made.out.rpartition("[[dkim]]")[2]
    bare.configured("[mailbox]", f"{added}\n[mailbox]")

    (key,) = bare.relais("dkim", "--json").answer["keys"]

    assert made.code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in made.out
    assert key["name"] == NAME
    assert key["record"].startswith("v=DKIM1; k=rsa; p=MII")
    assert key["record"] in made.out
    shown = bare.relais("dkim").out.splitlines()
    assert shown == [f"{NAME}  TXT", key["record"]]


def test_a_key_is_never_overwritten(bare: Site) -> None:
    """Copies on their way are verified with it."""
    bare.relais("dkim", "new", "relais1", "--file", "keys.pem", "--json")
    before = (bare.folder / "keys.pem").read_bytes()

    ended = bare.relais("dkim", "new", "relais1", "--file", "keys.pem")

    assert ended.code == 1
    assert "keys.pem is there already" in ended.err
    assert (bare.folder / "keys.pem").read_bytes() == before


def test_a_selector_is_a_name_of_the_dns(bare: Site) -> None:
    """It stands in a tag and in a name."""
    ended = bare.relais("dkim", "new", "re_lais")

    assert (ended.code, ended.out) == (2, "")
    assert "must be of a-z" in ended.err
