"""Where the configuration is looked for, and how its problems are told."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.edges.cli.site import Site


def test_problems_are_told_all_at_once(bare: Site) -> None:
    """Each problem stands on its own line, and none tells a secret."""
    bare.configured('public_url = "https', 'publik_url = "https')
    bare.configured('["200/hour"]', '["200/fortnight"]')
    (bare.folder / "password").chmod(0o644)

    ended = bare.relais("queue")

    assert (ended.code, ended.out) == (2, "")
    assert bare.relais("run").code == 2
    problems = ended.err.splitlines()
    for said in (
        "[site] publik_url is unknown: did you mean public_url?",
        "200/fortnight",
        "chmod 600",
    ):
        assert any(said in problem for problem in problems)


def test_problems_for_scripts(bare: Site) -> None:
    """With --json the problems are a list."""
    bare.configured('domain = "listes', 'domain = "listes_')

    ended = bare.relais("queue", "--json")

    assert ended.code == 2
    assert len(ended.answer["problems"]) == 1
    assert ended.answer["problems"][0].startswith("[site] domain")


def test_looked_for(bare: Site) -> None:
    """Without a file, the places that were looked at are named."""
    (bare.folder / "relais.toml").unlink()

    ended = bare.relais("lists")

    assert ended.code == 2
    for place in (bare.folder / "relais.toml", "$RELAIS_CONFIG", "/etc/relais/relais.toml"):
        assert str(place) in ended.err
    assert len(ended.err.splitlines()) == 1


def test_named_elsewhere(site: Site) -> None:
    """The file may be named by a variable, or by an option."""
    elsewhere = site.folder / "elsewhere.toml"
    (site.folder / "relais.toml").rename(elsewhere)

    assert site.relais("lists", RELAIS_CONFIG=str(elsewhere)).code == 0
    assert site.relais("lists", "--config", str(elsewhere)).code == 0
    gone = site.relais("lists", RELAIS_CONFIG=str(site.folder / "gone.toml"))
    assert gone.code == 2
    assert "gone.toml does not exist" in gone.err


def test_database_away(bare: Site) -> None:
    """A database that does not answer is exit code 3, for every verb that needs it."""
    nowhere = {
        "RELAIS_DATABASE__URL": "postgresql://relais:correct-horse@127.0.0.1:1/relais",
        "RELAIS_DATABASE__ADMIN_URL": "postgresql://relais:correct-horse@127.0.0.1:1/relais",
    }

    for verb in ("lists", "queue", "postings", "limits", "migrate"):
        ended = bare.relais(verb, **nowhere)
        assert ended.code == 3, verb
        assert ended.err.startswith("the database does not answer"), verb
    assert "does not answer" in bare.relais("queue", "--json", **nowhere).answer["error"]


def test_embedded_database(bare: Site) -> None:
    """A site without a server of its own has one in a directory."""
    # Started as root, the server runs as somebody who cannot enter pytest's folders.
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        url = f"embedded:{directory}/pg"
        variables = {"RELAIS_DATABASE__URL": url, "RELAIS_DATABASE__ADMIN_URL": url}

        migrated = bare.relais("migrate", **variables)
        queue = bare.relais("queue", "--json", **variables)

    assert (migrated.code, queue.code) == (0, 0)


def test_unknown_database(bare: Site) -> None:
    """A server that has no such database cannot be used either."""
    ended = bare.relais("queue", RELAIS_DATABASE__URL=bare.admin_url.replace("relais_", "no_"))

    assert ended.code == 3
    assert "does not exist" in ended.err


def test_password_with_a_slash(bare: Site) -> None:
    """A password that breaks the URL is not quoted in the error."""
    ended = bare.relais(
        "queue", RELAIS_DATABASE__URL="postgresql://relais:correct-horse/battery@127.0.0.1/db"
    )

    assert ended.code == 2
    assert "/ as %2F" in ended.err


def test_not_migrated(bare: Site) -> None:
    """A database without our schema is told what it lacks."""
    ended = bare.relais("queue", RELAIS_DATABASE__URL=bare.admin_url)

    assert ended.code == 1
    assert "relais migrate" in ended.err


def test_usage(bare: Site) -> None:
    """A verb that does not exist, or an argument that is missing, is exit code 2."""
    assert bare.relais("bogus").code == 2
    assert bare.relais("preview").code == 2
    assert bare.relais("queue", "--by", "moon").code == 2


def test_help_needs_no_configuration(bare: Site) -> None:
    """The tree of verbs is shown without any file."""
    (bare.folder / "relais.toml").unlink()

    ended = bare.relais("--help")

    assert ended.code == 0
    for verb in ("run", "demo", "migrate", "lists", "list", "preview", "postings", "queue"):
        assert f"  {verb} " in ended.out


@pytest.mark.parametrize(
    "words",
    [
        ("limits", "--json", "set", "orange", "1/day", "--reason", "x"),
        ("migrate", "--yes-shrink", "tous", "up"),
        ("mailbox", "--json", "resume", "--reason", "x"),
    ],
)
def test_options_before_a_verb_are_refused(site: Site, words: tuple[str, ...]) -> None:
    """A verb does not see the options of its group: --config there named another site."""
    ended = site.relais(*words)

    assert ended.code == 2
    assert "write options behind the verb" in ended.err
