# SPDX-License-Identifier: GPL-2.0-or-later
"""The graph of states up to symmetry: each class once, its steps with how often they are there.

What is counted or weighed over all schedules is carried along this graph from the start to the ends, in
an order in which every class comes after those that lead to it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from natmodel.explore import NO_LIMITS, Limits, over
from natmodel.ops import Call
from natmodel.rotation import NotRotated, rotation_of
from natmodel.symmetry import NAMED, Symmetry, symmetry_of
from natmodel.system import Edge, State, System
from natmodel.world import World

# (the class that it leads to, how many CPUs can take such a step, the step of one of them)
Step: TypeAlias = tuple[int, int, Edge]


class Circular(Exception):
    """A schedule comes back to where it was, and so there is no end of them."""


class Quotient:
    """The classes of states, numbered as they are met from the start, which is 0, and their steps.

    Every state of a class has as many steps to each other class.
    """

    def __init__(
        self,
        calls: Sequence[Call[Any]],
        world: World,
        *,
        lazy: bool = False,
        merge: bool = True,
    ) -> None:
        self.system: Final = System(calls, world, lazy=lazy)
        self._merged: Final[Symmetry] = symmetry_of(self.system, calls) if merge else NAMED
        self.rotation = rotation_of(self.system, self._merged) if merge else None
        self.states: list[State] = []
        self.steps: list[list[Step]] = []

    @property
    def symmetry(self) -> Symmetry:
        """What classes are made by."""
        return self.rotation or self._merged

    def grow(self, limits: Limits = NO_LIMITS) -> bool:
        """Meet every class; False if a limit was reached."""
        began = time.monotonic()
        complete = self._grow(limits, began)
        if self.rotation is not None:
            try:
                self.rotation.check(self._pairs())
            except NotRotated:
                self.rotation = None
                complete = self._grow(limits, began)
        return complete

    def _pairs(self) -> set[tuple[int, int]]:
        """Every (thread, world) that took a step."""
        return {(t, state[-1]) for state in self.states for t in state[:-1]}

    def _grow(self, limits: Limits, began: float) -> bool:
        self.states, self.steps = [self.symmetry.canonical(self.system.initial)], []
        canonical, movers, edges = self.symmetry.canonical, self.symmetry.movers, self.system.edges
        states, numbers = self.states, {self.states[0]: 0}
        for state in states:  # which grows meanwhile
            steps = []
            for cpu, alike in movers(state):
                for edge in edges(state, cpu):
                    to = canonical((*state[:cpu], edge[0], *state[cpu + 1 : -1], edge[1]))
                    number = numbers.get(to)
                    if number is None:
                        number = numbers[to] = len(states)
                        states.append(to)
                    steps.append((number, alike, edge))
            self.steps.append(steps)
            if over(limits, len(states), began):
                return False
        return True

    def order(self) -> list[int]:
        """The classes, each after all that lead to it.  Raises Circular if there is no such order."""
        before = [0] * len(self.states)
        for steps in self.steps:
            for to, _, _ in steps:
                before[to] += 1
        order = [0] if not before[0] else []
        for number in order:  # which grows meanwhile
            for to, _, _ in self.steps[number]:
                before[to] -= 1
                if not before[to]:
                    order.append(to)
        if len(order) < len(self.states):
            raise Circular
        return order
