"""``relais dkim`` and ``relais dkim new``."""

import os
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.show import print_facts, print_json
from worker.cli.verb import (
    USAGE,
    ConfigOption,
    JsonOption,
    Listing,
    VerbError,
    config_path,
    find_config,
    showing,
    told,
)
from worker.config import Config
from worker.mail.dkim_signing import is_selector

_NO_KEY = "No key: the host signs, or nobody. Make one with: relais dkim new SELECTOR"
_THEN = """
A panel that refuses so long a text takes it in pieces of at most 255 characters, each in quotes.
When the DNS answers with it, add this before any other key; a [dkim] becomes [[dkim]]:"""


def _look(config: Config) -> Listing:
    records = {key.signer.key_name: key.record for key in config.site.keys}
    lines = [line for name, record in records.items() for line in (f"{name}  TXT", record, "")]
    return Listing(
        {"keys": [{"name": name, "record": record} for name, record in records.items()]},
        lines[:-1] or [_NO_KEY],
    )


verbs = showing("Show what is to be published in the DNS for each key that signs copies.", _look)


@verbs.command()
def new(
    selector: Annotated[str, typer.Argument(metavar="SELECTOR", help="A name, as relais1.")],
    *,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--file", metavar="FILE", help="By default SELECTOR.pem beside the configuration."
        ),
    ] = None,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key of 2048 bits for RSA, in a file that only you can read.

    Publish its record first, and put it into the configuration when the DNS
    answers with it.
    """
    with told(as_json=as_json):
        if not is_selector(selector):
            raise VerbError(f"{selector!r} must be of a-z, 0-9 and -", code=USAGE)
        domain = find_config(config_file).site.domain
        # The configuration does without it where no key is set.
        from worker.signing import make_key, read_key  # noqa: PLC0415 - as said

        pem = make_key()
        key = read_key(pem, domain=domain, selector=selector)
        path = (key_file or _beside(config_path(config_file), f"{selector}.pem")).absolute()
        _write(path, pem)
        answer = {"name": key.signer.key_name, "record": key.record, "key_file": str(path)}
        if as_json:
            print_json(answer)
            return
        print_facts({"publish": key.signer.key_name, "as TXT": key.record})
        print(_THEN)
        print(f'[[dkim]]\nselector = "{selector}"\nkey_file = "{path}"')


def _beside(config: Path | None, name: str) -> Path:
    return (config.parent if config is not None else Path()) / name


def _write(path: Path, pem: str) -> None:
    """Write a new file; a key that copies are signed with is never overwritten."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise VerbError(
            f"{path} is there already, and copies may be signed with it:"
            " take another SELECTOR, or another --file"
        ) from error
    except OSError as error:
        raise VerbError(f"{path}: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(pem)
