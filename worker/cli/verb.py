"""What all verbs have in common: their options, and how they fail.

exit code  means
0          done
1          a problem was found
2          asked in a way that cannot be: arguments or configuration
3          a server cannot be reached
"""

from __future__ import annotations

import getpass
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import asyncpg
import typer

from worker.cli.show import print_blocks, print_json, visible
from worker.config import read_config
from worker.errors import ConfigError, MigrationError, QueryFailed, StoreLost, StoreRefused
from worker.store.embedded import EmbeddedPostgresError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from worker.cli.show import Block
    from worker.config import Config

PROBLEM = 1
USAGE = 2
UNREACHABLE = 3

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The configuration; by default $RELAIS_CONFIG, ./relais.toml"
        " or /etc/relais/relais.toml.",
    ),
]
AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="A person's address.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="R", help="Why; it is kept.")]

_HERE = Path("relais.toml")
_SYSTEM = Path("/etc/relais/relais.toml")
_VARIABLE = "RELAIS_CONFIG"

_NOT_MIGRATED = (
    asyncpg.UndefinedTableError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.UndefinedFunctionError,
)


class VerbError(Exception):
    """Why a verb ends, for the person who asked; *code* is its exit code."""

    def __init__(
        self, message: str, *, code: int = PROBLEM, did_you_mean: Sequence[str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.did_you_mean = did_you_mean


def config_path(path: Path | None) -> Path | None:
    """Return *path*, or else where the configuration usually is, None if nowhere."""
    named = os.environ.get(_VARIABLE)
    if path is not None:
        return path
    if named:
        return Path(named)  # Said on purpose, so it wins over what happens to lie here.
    return next((usual for usual in (_HERE, _SYSTEM) if usual.exists()), None)


def find_config(path: Path | None) -> Config:
    """Read the configuration at *path*, or else where it usually is."""
    path = config_path(path)
    try:
        return read_config(path, os.environ)
    except ConfigError as error:
        if path is not None:
            raise
        missing = (
            f"no configuration: looked for {_HERE.absolute()}, ${_VARIABLE} (not set)"
            f" and {_SYSTEM}; name one with --config FILE"
        )
        # Without a file, variables may hold all of it: then their problems matter.
        told_by_variables = any(name.startswith("RELAIS_") for name in os.environ)
        raise ConfigError([missing, *(error.problems if told_by_variables else [])]) from error


def reason_given(reason: str) -> str:
    """Return a reason that says something."""
    if not reason.strip():
        raise VerbError("--reason must say why", code=USAGE)
    return reason.strip()


def one_of(known: Sequence[str], given: str, *, option: str) -> str:
    """Return what was *given*, which must be *known*."""
    if given not in known:
        raise VerbError(f"{option} {visible(given)}: write one of {', '.join(known)}", code=USAGE)
    return given


def no_such(what: str, name: str, known: Sequence[str]) -> VerbError:
    """Return the error that *name* is none of the *known* ones."""
    return VerbError(
        f"no {what} is called {name}; there are {', '.join(known)}",
        did_you_mean=get_close_matches(name, known, n=3),
    )


@dataclass(frozen=True, slots=True)
class Listing:
    """What a group of verbs shows by itself, to scripts and to people."""

    answer: Mapping[str, object]
    blocks: Sequence[Block]


def showing(text: str, look: Callable[[Config], Listing]) -> typer.Typer:
    """Return a group of verbs that shows what *look* finds if no verb is named."""
    verbs = typer.Typer(help=text, invoke_without_command=True)

    @verbs.callback(help=text)
    def show(
        context: typer.Context, *, config_file: ConfigOption = None, as_json: JsonOption = False
    ) -> None:
        refuse_options_before(context, config_file, as_json)
        if context.invoked_subcommand is not None:
            return
        with told(as_json=as_json):
            listing = look(find_config(config_file))
            if as_json:
                print_json(listing.answer)
            else:
                print_blocks(listing.blocks)

    return verbs


def refuse_options_before(context: typer.Context, *given: object) -> None:
    """Refuse options of a group that stand before its verb: the verb would not see them.

    Were ``--config`` overlooked, the verb would change another site's database.
    """
    if context.invoked_subcommand is not None and any(given):
        verb = context.invoked_subcommand
        print(
            f"write options behind the verb: {context.command_path} {verb} --config FILE ...",
            file=sys.stderr,
        )
        raise typer.Exit(USAGE)


def operator() -> str:
    """Return who runs the verb, for what is kept of it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # In a container, a user may have no name.
        return f"uid {os.getuid()}"


@contextmanager
def told(*, as_json: bool) -> Iterator[None]:
    """Tell why a verb fails, on stderr or as an object, and exit with its code.

    What is not foreseen is a bug, and leaves with its traceback.
    """
    try:
        yield
    except VerbError as error:
        _tell(str(error), did_you_mean=error.did_you_mean, as_json=as_json)
        raise typer.Exit(error.code) from error
    except ConfigError as error:
        _tell("\n".join(error.problems), problems=error.problems, as_json=as_json)
        raise typer.Exit(USAGE) from error
    except (MigrationError, QueryFailed) as error:
        _tell(str(error), as_json=as_json)
        raise typer.Exit(PROBLEM) from error
    except _NOT_MIGRATED as error:
        _tell(f"{error}: run relais migrate on this database first", as_json=as_json)
        raise typer.Exit(PROBLEM) from error
    except (StoreLost, StoreRefused, EmbeddedPostgresError) as error:
        _tell(str(error), as_json=as_json)
        raise typer.Exit(UNREACHABLE) from error


def _tell(
    message: str,
    *,
    as_json: bool,
    did_you_mean: Sequence[str] | None = None,
    problems: Sequence[str] | None = None,
) -> None:
    if as_json:
        more = {"did_you_mean": did_you_mean, "problems": problems}
        known = {key: value for key, value in more.items() if value is not None}
        print_json({"error": message, **known})
        return
    print(message, file=sys.stderr)
    if did_you_mean:
        print(f"Did you mean {' or '.join(did_you_mean)}?", file=sys.stderr)
