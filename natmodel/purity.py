# SPDX-License-Identifier: GPL-2.0-or-later
"""Is a path a pure function of its arguments and replies?  What its code says, before it runs.

The explorer runs a path again to bring back a frame, so a path that reads a clock, draws random
numbers, keeps a global, or depends on the order of a set would make states that never were.  `inspect`
looks for these in the code of the path and of the functions it calls, and names what it finds;
`threads` runs every frame twice, and so catches what the code hides.
"""

from __future__ import annotations

import dis
import re
import struct
import sys
from collections.abc import Iterator
from enum import Enum
from fractions import Fraction
from types import BuiltinFunctionType, CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any, Final, TypeVar

import attrs


class ImpurePath(Exception):
    """A path depends on more than its arguments and replies."""


CLOCKS: Final = frozenset({"time", "datetime", "calendar"})
RANDOM: Final = frozenset({"random", "secrets", "uuid"})
OUTSIDE: Final = frozenset({"os", "sys", "io", "socket", "asyncio", "threading", "subprocess"})
CONSTANTS: Final[tuple[type, ...]] = (
    type(None), type(...), bool, int, float, str, bytes, range, Fraction, Enum, MappingProxyType,
    frozenset, struct.Struct, re.Pattern, TypeVar, type, ModuleType, BuiltinFunctionType,
)  # fmt: skip


def inspect(body: Any) -> None:
    """Raise ImpurePath if the code of `body`, or of a function it calls, looks outside."""
    for problem in _problems(body, set()):
        raise ImpurePath(f"{body.__module__}.{body.__qualname__} is not a pure path: it {problem}")


def _problems(function: FunctionType, seen: set[FunctionType]) -> Iterator[str]:
    seen.add(function)
    for code in _codes(function.__code__):
        for instruction in dis.get_instructions(code):
            yield from _instruction(function, instruction, seen)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The code of a function and of what is defined inside."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _instruction(
    function: FunctionType, at: dis.Instruction, seen: set[FunctionType]
) -> Iterator[str]:
    name = str(at.argval)
    if at.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
        yield f"changes the global {name!r}"
    elif at.opname in ("STORE_ATTR", "DELETE_ATTR"):
        yield f"changes an attribute, {name!r}"
    elif at.opname in ("BUILD_SET", "SET_ADD", "SET_UPDATE"):
        yield "builds a set, whose order may differ from run to run"
    elif at.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF"):
        found, value = _look_up(function, name)
        if found:
            yield from _value(name, value, seen)


def _look_up(function: FunctionType, name: str) -> tuple[bool, Any]:
    """What a free name stands for in this function."""
    for variable, cell in zip(
        function.__code__.co_freevars, function.__closure__ or (), strict=True
    ):
        if variable == name:
            return True, cell.cell_contents
    if name in function.__globals__:
        return True, function.__globals__[name]
    builtins = sys.modules["builtins"]
    return hasattr(builtins, name), getattr(builtins, name, None)


def _value(name: str, value: Any, seen: set[FunctionType]) -> Iterator[str]:
    """What is wrong with using this value in a path."""
    home = value.__name__ if isinstance(value, ModuleType) else _home(value)
    root = home.partition(".")[0]
    if root in CLOCKS:
        yield f"reads the clock, through {name!r}"
    elif root in RANDOM:
        yield f"draws random numbers of its own, through {name!r}"
    elif root in OUTSIDE or value in (open, input, print, id):
        yield f"reaches outside, through {name!r}"
    elif value in (set, frozenset):
        yield f"builds a {name}, whose order may differ from run to run"
    elif value is hash:
        yield "uses hash(), which may differ from run to run"
    elif isinstance(value, FunctionType):
        inner = getattr(value, "__wrapped__", value)  # a path is looked at when it is run
        if inner is value and value not in seen and root not in _TRUSTED:
            yield from (f"calls {name}, which {problem}" for problem in _problems(value, seen))
    elif not _is_constant(value):
        yield f"uses the global {name!r}, a {type(value).__name__}, which can change"


_TRUSTED: Final = frozenset({*sys.stdlib_module_names, "attr", "attrs"}) - CLOCKS - RANDOM - OUTSIDE


def _home(value: Any) -> str:
    """The module that a function, or the object it is a method of, comes from."""
    owner = getattr(value, "__self__", None)
    if owner is not None and not isinstance(owner, ModuleType):
        return type(owner).__module__
    if isinstance(value, FunctionType | BuiltinFunctionType | type):
        return value.__module__ or ""
    return type(value).__module__


def _is_constant(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_constant, value))
    if isinstance(value, CONSTANTS):
        return True
    frozen = getattr(type(value), "__setattr__", None) is not object.__setattr__
    return attrs.has(type(value)) and frozen


def refuse_sets(name: str, values: Any) -> None:
    """Raise ImpurePath if a path was given, or returned, a set: it might come to depend on its order."""
    if isinstance(values, set | frozenset):
        raise ImpurePath(f"{name} is not a pure path: it is given a set, which has no order")
    if isinstance(values, tuple):
        for value in values:
            refuse_sets(name, value)
