"""Mistakes in a migration: what PostgreSQL says, and what it cannot know of lists."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from worker.store.database import Connection

_NO_FUNCTION = re.compile(r"function lists\.(\w+)\((.*)\) does not exist")
_ARGUMENT = re.compile(r"(?:\"?(\w+)\"? => )?([^,]+)(?:, |$)")
_NO_SUCH_VALUE = re.compile(r": \w+ must be (.+) or (.+), not '(.*)'$")
_READ_BY_A_LIST = re.compile(r"view (lists\.\w+) depends on")


async def explained(db: Connection, error: asyncpg.PostgresError) -> str:
    """Return what PostgreSQL said, and more where that helps.

    *db* is asked, so no transaction of it may have failed.
    """
    told = str(error)  # Message, detail and hint.
    message = told.partition("\n")[0]
    if isinstance(error, asyncpg.UndefinedFunctionError) and (call := _NO_FUNCTION.search(message)):
        return "\n".join([message, *await _about_call(db, call[1], call[2])])
    if isinstance(error, asyncpg.RaiseError) and (value := _NO_SUCH_VALUE.search(message)):
        near = get_close_matches(value[3], [*value[1].split(", "), value[2]], n=1)
        return told.replace(message, f"{message}: did you mean {near[0]}?") if near else told
    if isinstance(error, asyncpg.DependentObjectsStillExistError):
        return _without_cascade(told)
    return told


def _without_cascade(told: str) -> str:
    """Say what to do instead of CASCADE, which would drop a list on the way."""
    views = list(dict.fromkeys(_READ_BY_A_LIST.findall(told)))
    if not views:
        return told
    said = told.partition("\nHINT:")[0]
    names = " and ".join(views)
    return f"{said}\nHINT:  Lists read it: first write {names} without it, in the same file."


OPTIONS = """
    SELECT a.name, format_type(a.type, NULL) AS type,
           a.nth <= p.pronargs - p.pronargdefaults AS needed
      FROM pg_proc p,
           unnest(p.proargnames[1:p.pronargs], p.proargtypes::oid[])
               WITH ORDINALITY a(name, type, nth)
     WHERE p.pronamespace = to_regnamespace('lists') AND p.proname = $1
     ORDER BY a.nth
"""

FUNCTIONS = """
    SELECT DISTINCT proname::text AS name FROM pg_proc
     WHERE pronamespace = to_regnamespace('lists') ORDER BY 1
"""


async def _about_call(db: Connection, function: str, arguments: str) -> list[str]:
    options = {row["name"]: row for row in await db.fetch(OPTIONS, function)}
    if not options:
        known = [row["name"] for row in await db.fetch(FUNCTIONS)]
        return [f"Did you mean lists.{near}?" for near in get_close_matches(function, known, n=1)]
    given: dict[str, str] = {}
    for position, (name, kind) in enumerate(_ARGUMENT.findall(arguments)):
        given[name or list(options)[min(position, len(options) - 1)]] = kind
    unknown = [name for name in given if name not in options]
    lacking = [name for name, option in options.items() if option["needed"] and name not in given]
    wrong = [
        f"lists.{function}: {name} must be {options[name]['type']}, not {kind}"
        for name, kind in given.items()
        if name in options and kind not in ("unknown", options[name]["type"])
    ]
    if unknown:
        near = get_close_matches(unknown[0], options, n=1)
        meant = f": did you mean {near[0]}?" if near else "."
        said = [f"lists.{function} has no option {unknown[0]}{meant}"]
    elif lacking:
        said = [f"lists.{function} needs {' and '.join(lacking)}."]
    else:
        said = wrong[:1]
    return [*said, f"Its options are: {', '.join(options)}"]
