# SPDX-License-Identifier: GPL-2.0-or-later
"""The graph of states up to symmetry: each class once, its steps with how often they are there.

What is counted or weighed over all schedules is carried along this graph from the start to the ends, in
an order in which every class comes after those that lead to it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from natmodel.explore import NO_LIMITS, Limits, over
from natmodel.lone import Lone
from natmodel.ops import Call
from natmodel.rotation import NotRotated, rotation_of
from natmodel.symmetry import NAMED, Symmetry, symmetry_of
from natmodel.system import Edge, State, System
from natmodel.world import World

# One CPU's next step: for how many CPUs it stands, and (the class that it leads to, how) for each way in
# which it can come out.
Choice: TypeAlias = tuple[int, list[tuple[int, Edge]]]


class Circular(Exception):
    """A schedule comes back to where it was, and so there is no end of them."""


class Quotient:
    """The classes of states, numbered as they are met from the start, which is 0, and their steps.

    Every state of a class has as many steps to each other class.  `together`: nobody links an entry
    before everybody is about to, blocked, or done; after the first has, all is free.  `lone`: lone steps
    are followed alone (natmodel.lone says what that keeps).
    """

    def __init__(
        self,
        calls: Sequence[Call[Any]],
        world: World,
        *,
        lazy: bool = False,
        merge: bool = True,
        together: bool = False,
        lone: bool = False,
    ) -> None:
        self.system: Final = System(calls, world, lazy=lazy, touching=together or lone)
        self._together: Final = together
        self._merged: Final[Symmetry] = symmetry_of(self.system, calls) if merge else NAMED
        self.rotation = rotation_of(self.system, self._merged) if merge and not lone else None
        self._lone: Final = Lone(self.system, self._merged) if lone else None
        self.states: list[State] = []
        self.steps: list[list[Choice]] = []

    @property
    def symmetry(self) -> Symmetry:
        """What classes are made by."""
        return self.rotation or self._merged

    def grow(self, limits: Limits = NO_LIMITS) -> bool:
        """Meet every class; False if a limit was reached.  Lone steps: raises Circular."""
        began = time.monotonic()
        complete = self._grow(limits, began)
        if self._lone is not None:
            while complete and self._lone.learns():
                complete = self._grow(limits, began)
            if complete:
                self.order()
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
        canonical, choices = self.symmetry.canonical, self._choices
        states, numbers = self.states, {self.states[0]: 0}
        for state in states:  # which grows meanwhile
            found: list[Choice] = []
            for cpu, alike, edges in choices(state):
                ways = []
                for edge in edges:
                    to = canonical((*state[:cpu], edge[0], *state[cpu + 1 : -1], edge[1]))
                    number = numbers.get(to)
                    if number is None:
                        number = numbers[to] = len(states)
                        states.append(to)
                    ways.append((number, edge))
                found.append((alike, ways))
            self.steps.append(found)
            if over(limits, len(states), began):
                return False
        return True

    def _choices(self, state: State) -> list[tuple[int, int, list[Edge]]]:
        """(CPU, for how many it stands, its steps) for each that may be next."""
        if self._lone is not None:
            return self._lone.choices(state)
        edges = self.system.edges
        choices = []
        for cpu, alike in self.symmetry.movers(state):
            found = edges(state, cpu)
            if found:
                choices.append((cpu, alike, found))
        if self._together and self._nobody_has_linked(state):
            return [c for c in choices if not any(map(links, c[2]))] or choices
        return choices

    def _nobody_has_linked(self, state: State) -> bool:
        system = self.system
        return system.world(state).linked == system.world(system.initial).linked

    def order(self) -> list[int]:
        """The classes, each after all that lead to it.  Raises Circular if there is no such order."""
        before = [0] * len(self.states)
        for to in self._targets(range(len(self.steps))):
            before[to] += 1
        order = [0] if not before[0] else []
        for to in self._targets(order):  # which grows meanwhile
            before[to] -= 1
            if not before[to]:
                order.append(to)
        if len(order) < len(self.states):
            raise Circular
        return order

    def _targets(self, numbers: Iterable[int]) -> Iterator[int]:
        """Where the steps of these classes lead, one after the other."""
        for number in numbers:
            for _, ways in self.steps[number]:
                for to, _ in ways:
                    yield to


def links(edge: Edge) -> bool:
    """Does the step link an entry?"""
    return any(cell[0] == "chain" for cell in edge[2].footprint.writes)
