# SPDX-License-Identifier: GPL-2.0-or-later
"""Ports that can be moved round: where every port of an empty window is as likely, none is the first.

Turning the window by one port turns whatever CPUs hold and the table holds.  Nobody is asked to believe
that this changes nothing: each step that is met is compared with the same step turned, by every turn,
and if one differs the rotation is refused (NotRotated).  A walk from a u16 differs at its wrap, one from
the rover at its start, one over a window with occupied ports at these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from natmodel.ops import Window
from natmodel.symmetry import Alike, Cells, Named, Renaming, Symmetry
from natmodel.system import State, System
from natmodel.threads import Frame, Stack
from natmodel.values import CtTuple, nf_ct_invert_tuple, u16


class NotRotated(Exception):
    """A step that is turned does not come out as the step does, turned: which, in one line."""


class Turn(Renaming):
    """The window's keys moved on by `by`, and the offsets into it."""

    def __init__(self, window: Window, by: int) -> None:
        super().__init__({}, {})
        self.window: Final = window
        self.by: Final = by

    def tuple(self, t: CtTuple) -> CtTuple:
        if self.window.holds(t):
            return self._moved(t)
        back = nf_ct_invert_tuple(t)
        return nf_ct_invert_tuple(self._moved(back)) if self.window.holds(back) else t

    def _moved(self, t: CtTuple) -> CtTuple:
        w = self.window
        off = u16((t.sport if w.on_src else t.dport) - w.first)
        return w.tuple_at(w.candidate(off + self.by))

    def stack(self, stack: Stack) -> Stack:
        return tuple(map(self.frame, stack))

    def frame(self, frame: Frame) -> Frame:
        """By the custom of the paths, an argument called `off` is an offset into the window.

        So may be a number that a path which has a window was answered.
        """
        body, args, log = frame
        names = body.__code__.co_varnames
        moved = (
            self._offset(arg) if name == "off" else self(arg)
            for name, arg in zip(names, args, strict=False)
        )
        if any(isinstance(arg, Window) for arg in args):
            log = tuple(self._offset(reply) if type(reply) is int else reply for reply in log)
        return body, tuple(moved), self(log)

    def _offset(self, off: int) -> int:
        return (off + self.by) % self.window.size


class _Images(dict[int, list[int]]):
    """What each turn makes of a number, made when it is first asked for."""

    def __init__(self, make: Callable[[int], list[int]]) -> None:
        super().__init__()
        self._make: Final = make

    def __missing__(self, number: int) -> list[int]:
        images = self[number] = self._make(number)
        return images


class Rotation:
    """CPUs merged as `base` does, and ports that are moved round."""

    exact: Final = True

    def __init__(self, system: System, base: Alike | Named, window: Window) -> None:
        """Raises NotRotated if the start is not what it is when turned."""
        self._system: Final = system
        self._base: Final = base
        self.groups: Final = base.groups
        self._turns: Final = [Turn(window, by) for by in range(window.size)]
        self._threads: Final = _Images(self._thread)
        self._worlds: Final = _Images(self._world)
        self._least: dict[int, list[int]] = {}
        for turn in range(window.size):
            if self._turned(turn, system.initial) != system.initial:
                raise NotRotated("the start is not the same from every port")

    def canonical(self, state: State) -> State:
        """The least of all turned and merged."""
        turns = self._to_least(state[-1])
        if len(turns) == 1:
            return self._base.canonical(self._turned(turns[0], state))
        return min(self._base.canonical(self._turned(turn, state)) for turn in turns)

    def _to_least(self, w: int) -> list[int]:
        """The turns that lead to the least of a world's images."""
        turns = self._least.get(w)
        if turns is None:
            images = self._worlds[w]
            least = min(images)
            turns = self._least[w] = [n for n, image in enumerate(images) if image == least]
        return turns

    def _turned(self, turn: int, state: State) -> State:
        threads = self._threads
        return (*[threads[t][turn] for t in state[:-1]], self._worlds[state[-1]][turn])

    def _thread(self, t: int) -> list[int]:
        threads = self._system.threads
        return [
            threads.place(turn.stack(threads.stack[t]), turn(threads.result[t]))
            for turn in self._turns
        ]

    def _world(self, w: int) -> list[int]:
        system = self._system
        return [system.number(turn(system.worlds[w])) for turn in self._turns]

    def orbit(self, state: State) -> int:
        """By orbit and stabiliser: a turn that leaves the state leaves its world, which is the least."""
        canonical, turns = self._base.canonical, self._to_least(state[-1])
        same = sum(canonical(self._turned(turn, state)) == state for turn in turns)
        return self._base.orbit(state) * len(self._turns) // same

    def movers(self, state: State) -> Iterable[tuple[int, int]]:
        return self._base.movers(state)

    def place(self, cpu: int, t: int) -> int:
        raise NotImplementedError("what steps touch is not turned")

    def relative(self, cpu: int, cells: Cells) -> Cells:
        raise NotImplementedError("what steps touch is not turned")

    def check(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Raise NotRotated unless these steps, (thread, world), are turned as their CPUs are.

        The identity is checked, too: it must be one.
        """
        for t, w in pairs:
            threads, worlds = self._threads[t], self._worlds[w]
            if threads[0] != t or worlds[0] != w:
                raise NotRotated(
                    f"an offset of {self._system.threads.pending[t]} is past the window"
                )
            steps = list(self._edges(t, w))
            for turn in range(1, len(self._turns)):
                turned = sorted(
                    (self._threads[to][turn], self._worlds[world][turn], drops, odds)
                    for to, world, drops, odds in steps
                )
                if turned != sorted(self._edges(threads[turn], worlds[turn])):
                    op = self._system.threads.pending[t]
                    raise NotRotated(f"{op} comes out otherwise when turned by {turn}")

    def _edges(self, t: int, w: int) -> Iterator[tuple[int, int, bool, Any]]:
        for to, world, answer, drops in self._system.edges((t, w), 0):
            yield to, world, drops, answer.odds


def rotation_of(system: System, base: Symmetry) -> Rotation | None:
    """The rotation of the one window that the CPUs name from their start; None if it is refused.

    What every CPU does alone is looked at first, so that most refusals are cheap.
    """
    windows = set(_windows([system.threads.stack[t] for t in system.initial[:-1]]))
    if not isinstance(base, Alike | Named) or len(windows) != 1 or system.lazy:
        return None
    try:
        rotation = Rotation(system, base, windows.pop())
        rotation.check(_alone(system))
    except NotRotated:
        return None
    return rotation


def _windows(stacks: Sequence[Stack]) -> Iterator[Window]:
    for stack in stacks:
        for _, args, _ in stack:
            yield from (arg for arg in args if isinstance(arg, Window))


def _alone(system: System) -> Iterator[tuple[int, int]]:
    """(thread, world) for all that each CPU can come to while the others wait."""
    todo = [(t, system.initial[-1]) for t in set(system.initial[:-1])]
    seen = set(todo)
    while todo:
        pair = todo.pop()
        yield pair
        for t, w, _, _ in system.edges(pair, 0):
            if (t, w) not in seen:
                seen.add((t, w))
                todo.append((t, w))
