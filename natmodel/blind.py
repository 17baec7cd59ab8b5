# SPDX-License-Identifier: GPL-2.0-or-later
"""May a run be explored in a reduced form?

Two reductions save most of the states: CPUs that differ in source addresses only are exchanged, and a
draw branches only where the table and the other packets can tell its values apart.  Both are right for
functions that are `blind` (natmodel.ops): natmodel's own, and those that their authors declare.  A run
that can reach any other function is explored without them.
"""

from __future__ import annotations

from enum import Enum
from fractions import Fraction
from types import FunctionType
from typing import Any, Final

import attrs

from natmodel.ops import Call

_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes, Fraction})


def is_blind(value: Any) -> bool:
    """Is every function in this value blind, be it in a call, a row, or among their arguments?

    A value of a type that natmodel does not know may hide anything: it is not.
    """
    kind = type(value)
    if kind in _PLAIN or isinstance(value, Enum):
        return True
    if kind in (tuple, frozenset):
        return all(map(is_blind, value))
    if kind is FunctionType:
        return is_blind_function(value)
    if isinstance(value, type):
        return _is_own(value.__module__)
    if kind is Call:
        return is_blind_function(value.body) and is_blind(value.args)
    if attrs.has(kind) and _is_own(kind.__module__):
        return all(is_blind(getattr(value, field.name)) for field in attrs.fields(kind))
    return False


def is_blind_function(function: Any) -> bool:
    """Is this function natmodel's own, or declared?  What it is given does not count."""
    home = getattr(function, "__globals__", {}).get("__name__", "")
    if home == Call.__module__ and hasattr(function, "__wrapped__"):  # a path: its body tells
        return is_blind_function(function.__wrapped__)
    return _is_own(home) or getattr(function, "blind", False) is True


def _is_own(module: str) -> bool:
    return module.partition(".")[0] == "natmodel"
