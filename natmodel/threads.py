# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a CPU stands, as a small integer: a stack of frames (path, arguments, log since entry).

Two histories that leave a CPU in the same frames are the same state.  A coroutine cannot be copied, so
a frame is brought back by running its path again on its log; logs are short, since calls forget their
history when they return and gotos when they are taken, and each frame is brought back once.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeAlias

import attrs

from natmodel.ops import Body, Call, Op
from natmodel.purity import ImpurePath, inspect, inspect_value, refuse_sets
from natmodel.release import Release

Frame: TypeAlias = tuple[Body, tuple[Any, ...], tuple[Any, ...]]
Stack: TypeAlias = tuple[Frame, ...]


class Threads:
    """Thread states, numbered as they are met.

    `pending[t]` is the operation t waits on, None when its path has returned `result[t]`;
    `stack[t]` are its frames, outermost first, empty when it has returned.
    """

    def __init__(self) -> None:
        self._ids: dict[Hashable, int] = {}
        self._after: dict[tuple[int, Any], int] = {}
        self._stands: dict[Frame, tuple[bool, Any]] = {}
        self._inspected: set[Body] = set()
        self._inspected_rows: set[Release] = set()
        self.stack: list[Stack] = []
        self.pending: list[Op[Any] | None] = []
        self.result: list[Any] = []

    def start(self, call: Call[Any]) -> int:
        """A thread about to run `call`."""
        return self._settle(((call.body, call.args, ()),))

    def after(self, t: int, reply: Any) -> int:
        """Where thread t stands when its operation has been answered."""
        then = self._after.get((t, reply))
        if then is None:
            *below, (body, args, log) = self.stack[t]
            then = self._settle((*below, (body, args, (*log, reply))))
            self._after[t, reply] = then
        return then

    def place(self, stack: Stack, result: Any = None) -> int:
        """The thread that stands in these frames, or that has returned `result` if there are none."""
        return self._settle(stack) if stack else self._number(("done", result), (), None, result)

    def _settle(self, stack: Stack) -> int:
        """Follow calls, gotos and returns until an operation is awaited or the path has ended."""
        while True:
            finished, value = self._stand(stack[-1])
            if isinstance(value, Call):
                below = stack[:-1] if finished else stack  # a goto replaces, a call adds
                stack = (*below, (value.body, value.args, ()))
            elif not finished:
                return self._number(stack, stack, value, None)
            elif len(stack) == 1:
                return self._number(("done", value), (), None, value)
            else:
                *rest, (body, args, log), _ = stack
                stack = (*rest, (body, args, (*log, value)))

    def _stand(self, frame: Frame) -> tuple[bool, Any]:
        """(False, what it awaits) or (True, what it returns)."""
        stands = self._stands.get(frame)
        if stands is None:
            self._inspect(frame)
            stands = self._replay(frame)
            again = self._replay(frame)
            if again != stands:
                raise ImpurePath(_complaint(frame, stands[1], again[1]))
            self._stands[frame] = stands
        return stands

    def _inspect(self, frame: Frame) -> None:
        body, args, _ = frame
        if body not in self._inspected:
            # natmodel's own paths are looked at by its tests (tests/test_purity.py)
            if not body.__module__.startswith("natmodel."):
                inspect(body)
            self._inspected.add(body)
        for k in args:
            if isinstance(k, Release) and k not in self._inspected_rows:
                self._inspected_rows.add(k)
                inspect_row(k)
        refuse_sets(f"{body.__module__}.{body.__qualname__}", args)

    def _replay(self, frame: Frame) -> tuple[bool, Any]:
        body, args, log = frame
        coroutine = body(*args)
        try:
            op = coroutine.send(None)
            for n, reply in enumerate(log):
                before = self._stands.get((body, args, log[:n]))
                if before is not None and before != (False, op):
                    raise ImpurePath(_complaint((body, args, log[:n]), before[1], op))
                op = coroutine.send(reply)
            return False, op
        except StopIteration as stop:
            return True, stop.value
        finally:
            coroutine.close()

    def _number(self, key: Hashable, stack: Stack, op: Op[Any] | None, result: Any) -> int:
        number = self._ids.get(key)
        if number is None:
            number = self._ids[key] = len(self.pending)
            self.stack.append(stack)
            self.pending.append(op)
            self.result.append(result)
        return number


def inspect_row(k: Release) -> None:
    """Raise ImpurePath if a function of the row that is no path looks outside.

    Paths are looked at when they are run, natmodel's own functions by the tests.
    """
    for field in attrs.fields(Release):
        value = getattr(k, field.name)
        if callable(value) and not getattr(value, "__module__", "").startswith("natmodel."):
            inspect_value(f"{field.name} of {k}", value)


def _complaint(frame: Frame, first: Any, second: Any) -> str:
    body, args, log = frame
    return (
        f"{body.__module__}.{body.__qualname__} is not a pure function of its arguments and replies: "
        f"called with {args!r} and answered {log!r}, it once gave {first!r} and once {second!r}.  "
        "Look for a global that changes, the order of a set, the clock, or random numbers."
    )
