# SPDX-License-Identifier: GPL-2.0-or-later
"""The sequential reader of paths: one path alone, from start to end, with given draws.

The module can be called as its function `run`, so that `natmodel.run` is the function and the module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, Final, TypeVar

import attrs

from natmodel import ops
from natmodel.world import REPLIES, Draw, Known, Returned, World, decided, drawn, flatten

T = TypeVar("T")

_ANNOUNCED: Final = (ops.Call, Returned)


@attrs.frozen
class Ran:
    """What a path did: its result, the world it left, and the counters it raised, in order."""

    result: Any
    world: World
    counted: tuple[str, ...]


def run(call: ops.Call[Any], world: World, draws: Iterable[int] = ()) -> Ran:
    """Run a path alone, taking random values from `draws` in order.

    Raises ValueError if there are not enough of them.
    """
    values = iter(draws)

    def draw(op: Draw) -> int:
        value = next(values, None)
        if value is None:
            raise ValueError(f"no value left for {type(op).__name__}")
        return value

    return follow(call, world, draw)


def reply_to(op: ops.Op[Any], world: World, draw: Callable[[Draw], int]) -> tuple[Any, World]:
    """What the world answers to one operation, and the world after it."""
    answer = REPLIES.get(type(op))
    if answer is not None:
        return answer(world, op)
    assert isinstance(op, ops.DRAWS)
    known = decided(world, op)
    value = draw(op) if known is None else known
    return value, drawn(world, op, value)


def follow(
    call: ops.Call[Any],
    world: World,
    draw: Callable[[Draw], int],
    listen: Callable[[ops.Op[Any] | Returned, Any], None] | None = None,
    announce: frozenset[str] = frozenset(),
    known: Known | None = None,
) -> Ran:
    """As run, with draws from a function; `listen` hears every operation with its reply.

    It also hears the calls of paths named in `announce`, when they begin and when they return.  Of a
    call that `known` answers nothing is heard, and the counters that it would raise are not raised.
    """
    counted: list[str] = []
    steps = flatten(call, announce, known)
    reply: Any = None
    while True:
        try:
            op = steps.send(reply)
        except StopIteration as stop:
            return Ran(stop.value, world, tuple(counted))
        if isinstance(op, _ANNOUNCED):
            reply = None
        else:
            if isinstance(op, ops.Count):
                counted.append(op.name)
            reply, world = reply_to(op, world, draw)
        if listen is not None:
            listen(op, reply)


class _Callable(ModuleType):
    """Importing a module of a package puts the module where the package's function would be."""

    def __call__(self, call: ops.Call[Any], world: World, draws: Iterable[int] = ()) -> Ran:
        return run(call, world, draws)


sys.modules[__name__].__class__ = _Callable
