"""``relais person export``: everything stored of one person."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.erase import erase_person
from worker.cli.known import (
    Table,
    authentication_table,
    ban_table,
    names,
    problems_listed,
    shown,
    suppression_table,
    unasked,
)
from worker.cli.show import print_facts, print_json, print_table
from worker.cli.stored import Message, Stored, read_stored
from worker.cli.verb import AddressArgument, ConfigOption, JsonOption, VerbError, find_config, told
from worker.cli.whose import read_whole_address
from worker.config import Config

verbs = typer.Typer(help="What is stored of one person.", no_args_is_help=True)
verbs.command("erase")(erase_person)

_FROM_MEMBERS = "from the member database"


@verbs.command("export")
def export_person(
    address: AddressArgument,
    *,
    messages: Annotated[
        Path | None,
        typer.Option("--messages", metavar="DIR", help="Write what they wrote into a folder."),
    ] = None,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell everything that is stored of one person. Nothing changes."""
    with told(as_json=as_json):
        config = find_config(config_file)
        stored = asyncio.run(read_stored(config.database, read_whole_address(address)))
        if stored.is_nothing:
            raise VerbError(
                f"nothing is stored of {stored.subject.address}{unasked(stored.problems)}"
            )
        files = {} if messages is None else _write(messages, stored.contents)
        if as_json:
            print_json(_answer(stored, files, config))
        else:
            _print(stored, files)


def _write(folder: Path, contents: Mapping[int, bytes]) -> dict[int, str]:
    """Write messages as files that only their owner can read; return the names."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = {number: str(folder / f"{number}.eml") for number in contents}
        for number, raw in contents.items():
            path = Path(names[number])
            path.touch(mode=0o600)
            path.write_bytes(raw)
    except OSError as error:
        raise VerbError(f"{error.filename}: {error.strerror}") from error
    return names


def _answer(stored: Stored, files: Mapping[int, str], config: Config) -> dict[str, object]:
    def full(local_part: str) -> str:
        return f"{local_part}@{config.site.domain}"

    return {
        "address": stored.subject.address,
        "other_addresses": stored.subject.other_addresses,
        "people": stored.subject.keys,
        "lists": [
            {"definition": name, **asdict(row), "source": _FROM_MEMBERS}
            for name, row in stored.listed
        ],
        "members": [{**row, "source": _FROM_MEMBERS} for row in stored.members],
        "manual": [{**asdict(e), "list": full(e.list)} for e in stored.entries],
        "known_addresses": [asdict(known) for known in stored.known_addresses],
        "suppressions": [
            {**asdict(s), "scope": full(s.scope) if s.scope else "all"} for s in stored.suppressions
        ],
        "bans": [asdict(ban) for ban in stored.bans],
        "deliveries": [{**asdict(d), "list": full(d.list)} for d in stored.deliveries],
        "postings": [{**asdict(p), "list": full(p.list)} for p in stored.postings],
        "receipts": [asdict(receipt) for receipt in stored.receipts],
        "wishes": [asdict(wish) for wish in stored.wishes],
        "decisions": [asdict(decision) for decision in stored.decisions],
        "notices": [asdict(notice) for notice in stored.notices],
        "failures": [asdict(failure) for failure in stored.failures],
        "address_states": [asdict(state) for state in stored.address_states],
        "authentications": [asdict(one) for one in stored.authentications],
        "audit": [asdict(one) for one in stored.audit],
        "messages": [_message(message, stored, files) for message in stored.messages],
        "problems": problems_listed(stored.problems),
    }


def _message(message: Message, stored: Stored, files: Mapping[int, str]) -> dict[str, object]:
    """Return one message with its bytes, or where they were written."""
    arrival, number = message.arrival, message.arrival.arrival_id
    raw = stored.contents.get(number)
    content: dict[str, object] = {}
    if number in files:
        content = {"file": files[number]}
    elif raw is not None:
        content = {"raw": b64encode(raw).decode("ascii")}
    return {
        "arrival": number,
        "wrote": message.wrote,
        "arrived_at": arrival.arrived_at,
        "kind": arrival.kind,
        "outcome": arrival.outcome,
        "reason": arrival.reason,
        "size_bytes": arrival.size_bytes,
        "filed_in": arrival.filed_in,
        **content,
    }


def _print(stored: Stored, files: Mapping[int, str]) -> None:
    subject = stored.subject
    print_facts(names(subject.address, subject.keys, subject.other_addresses))
    for columns, rows in _tables(stored, files):
        if rows:
            print()
            print_table(columns, rows)
    print()
    print("With --json: every detail, and the messages that they wrote.")


def _tables(stored: Stored, files: Mapping[int, str]) -> list[Table]:
    return [
        (
            (_FROM_MEMBERS, "address", "person"),
            [(name, row.address, row.person) for name, row in stored.listed],
        ),
        (
            ("of the member file", "value"),
            [(key, value) for row in stored.members for key, value in _fields_of(row["member"])],
        ),
        (
            ("by hand on", "address", "name"),
            [(entry.list, entry.email, entry.name) for entry in stored.entries],
        ),
        (
            ("known address", "person"),
            [(known.email, known.person) for known in stored.known_addresses],
        ),
        suppression_table(stored.suppressions),
        ban_table(stored.bans),
        (
            ("delivery of", "list", "to", "state", "at"),
            [
                (f"#{d.posting}", d.list, d.address, d.state, shown(d.settled_at or d.due_at))
                for d in stored.deliveries
            ],
        ),
        (
            ("wrote", "list", "subject", "state", "accepted"),
            [
                (f"#{p.posting}", p.list, p.subject, p.state, shown(p.accepted_at))
                for p in stored.postings
            ],
        ),
        (
            ("told about", "receipt", "delay notice", "closed"),
            [
                (
                    ", ".join(f"#{number}" for number in r.postings),
                    *(shown(at) if at else "" for at in (r.written_at, r.delayed_at, r.closed_at)),
                )
                for r in stored.receipts
            ],
        ),
        (
            ("wishes", "fewer letters", "since"),
            [(w.author, "yes" if w.fewer else "no", shown(w.since)) for w in stored.wishes],
        ),
        (
            ("asked about", "to", "asked", "answer"),
            [(f"#{d.posting}", d.kind, shown(d.asked_at), d.answer) for d in stored.decisions],
        ),
        (
            ("notice", "about", "state", "made"),
            [
                (n.kind, f"#{n.posting}" if n.posting else "", n.state, shown(n.made_at))
                for n in stored.notices
            ],
        ),
        (
            ("address", "is", "because", "since"),
            [(a.address, a.state, a.reason, shown(a.since)) for a in stored.address_states],
        ),
        (
            ("came back from", "of", "because", "at"),
            [
                (f.address, f"#{f.posting}" if f.posting else "", f.reason, shown(f.failed_at))
                for f in stored.failures
            ],
        ),
        authentication_table(stored.authentications),
        (
            ("done by", "what", "because", "at"),
            [(one.who, one.what, one.reason, shown(one.at)) for one in stored.audit],
        ),
        (
            ("message", "outcome", "octets", "arrived", "file"),
            [
                (
                    "from them" if message.wrote else message.arrival.kind,
                    message.arrival.outcome,
                    message.arrival.size_bytes,
                    shown(message.arrival.arrived_at),
                    files.get(message.arrival.arrival_id, ""),
                )
                for message in stored.messages
            ],
        ),
        (("no answer of", "because"), list(stored.problems.items())),
    ]


def _fields_of(row: object) -> list[tuple[str, object]]:
    return list(row.items()) if isinstance(row, dict) else []
