"""Our own values as bytes, from a child that hostile mail may have taken over.

The reader of an answer says what type it expects, and takes nothing else: no
name in the answer is looked up, no code of the child's choice is run. Text and
structure are JSON; bytes go beside it as they are, so that a copy of 50 MB is
not encoded.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from types import NoneType, SimpleNamespace, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Value = TypeVar("Value")

_SCALARS = (bool, int, str, NoneType)


def encode(value: object) -> list[bytes]:
    """Return *value* as pieces: its structure, and then each bytes object in it."""
    blobs: list[bytes] = []
    return [json.dumps(_plain(value, blobs)).encode("ascii"), *blobs]


def decode(pieces: Sequence[bytes], expected: type[Value]) -> Value:
    """Return the value of type *expected* in *pieces*; ValueError if they hold anything else."""
    try:
        structure = json.loads(pieces[0])
        return cast("Value", _typed(structure, expected, pieces[1:]))
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"no {expected} is in this") from error


def answer_type(read: Callable[..., Value]) -> type[Value]:
    """Return what *read* is annotated to return."""
    # Its parameters may name what is imported for the type checker only.
    answer = SimpleNamespace(__annotations__={"return": read.__annotations__["return"]})
    hints = get_type_hints(answer, read.__globals__)
    return cast("type[Value]", hints["return"])


def _plain(value: object, blobs: list[bytes]) -> object:  # noqa: PLR0911 - a table
    match value:
        case Enum():
            return value.name
        case bytes():
            blobs.append(value)
            return len(blobs) - 1
        case datetime():
            return value.isoformat()
        case tuple():
            return [_plain(each, blobs) for each in value]
        case dict():
            return {key: _plain(each, blobs) for key, each in value.items()}
        case _ if is_dataclass(value):
            return [_plain(getattr(value, field.name), blobs) for field in fields(value)]
        case _ if type(value) in _SCALARS:
            return value
        case _:
            raise TypeError(f"{type(value)} is no value that can be sent")


def _typed(tree: Any, expected: Any, blobs: Sequence[bytes]) -> object:  # noqa: PLR0911 - a table
    """Return what *tree* says, if it is what is *expected*."""
    origin, arguments = get_origin(expected), get_args(expected)
    if origin in (Union, UnionType):
        return _either(tree, arguments, blobs)
    if origin is tuple:
        return _tuple(tree, arguments, blobs)
    if origin is dict:
        return {key: _typed(each, arguments[1], blobs) for key, each in tree.items()}
    if expected in _SCALARS:
        if type(tree) is not expected:
            raise TypeError
        return tree
    if expected is bytes:
        return dict(enumerate(blobs))[tree]
    if expected is datetime:
        return datetime.fromisoformat(tree)
    if issubclass(expected, Enum):
        return expected[tree]
    return expected(*_tuple(tree, _field_types(expected), blobs))


def _either(tree: Any, choices: tuple[Any, ...], blobs: Sequence[bytes]) -> object:
    """Return None, or the one other thing that is expected."""
    if tree is None and NoneType in choices:
        return None
    [other] = (choice for choice in choices if choice is not NoneType)
    return _typed(tree, other, blobs)


def _tuple(tree: Any, types: tuple[Any, ...], blobs: Sequence[bytes]) -> tuple[object, ...]:
    if not isinstance(tree, list):
        raise TypeError
    if len(types) == 2 and types[1] is Ellipsis:  # noqa: PLR2004 - tuple[str, ...]
        types = (types[0],) * len(tree)
    return tuple(_typed(each, type_, blobs) for each, type_ in zip(tree, types, strict=True))


@cache
def _field_types(expected: type[Any]) -> tuple[Any, ...]:
    hints = get_type_hints(expected)
    return tuple(hints[field.name] for field in fields(expected))
