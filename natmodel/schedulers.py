# SPDX-License-Identifier: GPL-2.0-or-later
"""How probable drops are, exactly, for a stated scheduler.

Random values have the kernel's own odds.  Who is next is for the scheduler:

* uniform: any CPU that can take a step, each as likely.  It is as if every CPU took its steps at the
  ticks of a clock of its own, all clocks alike and memoryless; one that waits for a lock lets its ticks
  pass.
* full overlap: uniform, but nobody links an entry before everybody has chosen.
* worst, best: one that sees everything, random values drawn so far included, and wants a drop, or none.
* arrivals: packets come at random times within a window, choose at once, and commit a fixed time later
  (natmodel.arrivals).

A probability is carried as an integer in units so small that no step needs to round; that nothing was
lost is checked at the end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import permutations
from math import lcm
from typing import Any, Final, TypeAlias

from natmodel.arrivals import Pattern, patterns
from natmodel.ops import Call
from natmodel.quotient import Quotient
from natmodel.symmetry import symmetry_of
from natmodel.system import Edge, State, System
from natmodel.world import World


def drops(graph: Quotient) -> tuple[Fraction, ...]:
    """P(n packets are dropped) for n = 0, 1, ..., under the uniform scheduler.

    Of a graph that was grown `together`, those under full overlap.  Raises Circular.
    """
    return _Forward(graph).drops()


def ends(graph: Quotient) -> dict[int, Fraction]:
    """Class in which no CPU has a step left -> its probability, as for `drops`."""
    return _Forward(graph).ends()


def worst(graph: Quotient) -> Fraction:
    """P(some packet is dropped) if who is next is chosen to make it most probable.  Raises Circular."""
    return _adaptive(graph, max)


def best(graph: Quotient) -> Fraction:
    """P(some packet is dropped) if who is next is chosen to make it least probable.  Raises Circular."""
    return _adaptive(graph, min)


def on_arrival(
    calls: Sequence[Call[Any]], world: World, share: Fraction | int
) -> tuple[Fraction, ...]:
    """P(n packets are dropped) for n = 0, 1, ..., if they arrive within a window.

    `share` is the time from choosing to committing, as a part of the window.  A CPU chooses up to the
    step that takes a lock or links its entry; all from there on is to commit.  Raises BadInput if the
    share is not between 0 and 1, or there are more packets than `patterns` can be had for.
    """
    return _Arrivals(calls, world).drops(patterns(len(calls), share))


# A state and how many packets were dropped on the way to it -> its probability.
_Where: TypeAlias = dict[tuple[State, int], Fraction]


class _Arrivals:
    def __init__(self, calls: Sequence[Call[Any]], world: World) -> None:
        self._system: Final = System(calls, world, touching=True)
        groups = symmetry_of(self._system, calls).groups
        everybody = tuple(range(len(calls)))
        # of CPUs that can be exchanged, the order does not matter
        self._orders: Final = (
            [everybody] if [*groups] == [everybody] else [*permutations(everybody)]
        )

    def drops(self, odds: Mapping[Pattern, Fraction]) -> tuple[Fraction, ...]:
        found = [Fraction(0)] * (len(self._orders[0]) + 1)
        for pattern, p in odds.items():
            for order in self._orders:
                for (_, n), share in self._walked(order, pattern).items():
                    found[n] += p * share / len(self._orders)
        return tuple(found)

    def _walked(self, order: tuple[int, ...], pattern: Pattern) -> _Where:
        """Each chooses after as many before it have committed as the pattern says."""
        where: _Where = {(self._system.initial, 0): Fraction(1)}
        committed = 0
        for cpu, before in zip(order, pattern, strict=True):
            for other in order[committed:before]:
                where = self._run(where, other, commits=True)
            committed = before
            where = self._run(where, cpu, commits=False)
        for other in order[committed:]:
            where = self._run(where, other, commits=True)
        return where

    def _run(self, where: _Where, cpu: int, *, commits: bool) -> _Where:
        """The CPU goes on to where it would commit, or to its end."""
        done: _Where = defaultdict(Fraction)
        while where:
            after: _Where = defaultdict(Fraction)
            for (state, n), p in where.items():
                edges = self._system.edges(state, cpu)
                if not edges or (not commits and any(map(_commits, edges))):
                    assert edges or self._system.pending(state, cpu) is None, "a lock is held"
                    done[state, n] += p
                    continue
                for t, w, answer, drop in edges:
                    after[(*state[:cpu], t, *state[cpu + 1 : -1], w), n + drop] += p * answer.odds
            where = after
        return done


def _commits(edge: Edge) -> bool:
    """Does the step take a lock or link an entry?"""
    return any(cell[0] in ("chain", "lock") for cell in edge[2].footprint.writes)


class _Forward:
    """The probability of each class and number of drops, carried from the start to the ends."""

    def __init__(self, graph: Quotient) -> None:
        self._graph: Final = graph
        self._order: Final = graph.order()
        self._unit: Final = _unit(graph, self._order, _scheduler(graph))
        self._weights: list[list[int]] = []

    def drops(self) -> tuple[Fraction, ...]:
        weights = [0] * (self._graph.system.cpus + 1)
        for _, weight in self._run():
            weights += [0] * (len(weight) - len(weights))
            for n, share in enumerate(weight):
                weights[n] += share
        return self._checked(weights)

    def ends(self) -> dict[int, Fraction]:
        weights = {number: sum(weight) for number, weight in self._run()}
        return dict(zip(weights, self._checked(list(weights.values())), strict=True))

    def _checked(self, weights: list[int]) -> tuple[Fraction, ...]:
        assert sum(weights) == self._unit, "a step had to round"
        return tuple(Fraction(weight, self._unit) for weight in weights)

    def _run(self) -> Iterator[tuple[int, list[int]]]:
        """(class, weight by number of drops) for each class without steps."""
        weights: list[list[int]] = [[] for _ in self._order]
        weights[0] = [self._unit]
        for number in self._order:
            here, choices = weights[number], self._graph.steps[number]
            weights[number] = []  # nobody asks for it again
            if not choices:
                yield number, here
                continue
            movers = sum(alike for alike, _ in choices)
            for alike, ways in choices:
                for to, (_, _, answer, drop) in ways:
                    odds = answer.odds
                    share = (alike * odds.numerator, movers * odds.denominator)
                    _add(weights[to], here, share, drop)


def _add(weights: list[int], here: list[int], share: tuple[int, int], drop: bool) -> None:
    """A share of the weights here goes there, with one drop more if the step drops."""
    numerator, denominator = share
    weights += [0] * (len(here) + drop - len(weights))
    for n, weight in enumerate(here, drop):
        if weight:
            weights[n] += weight * numerator // denominator


def _scheduler(graph: Quotient) -> int:
    """What the uniform scheduler divides by."""
    return lcm(*range(1, graph.system.cpus + 1))


def _unit(graph: Quotient, order: list[int], scheduler: int) -> int:
    """A multiple of every product of odds along a schedule: by steps, and by steps that draw."""
    steps, draws = [0] * len(order), [0] * len(order)
    below = 1
    for number in order:
        step, draw = steps[number] + 1, draws[number]
        for _, ways in graph.steps[number]:
            for to, (_, _, answer, _) in ways:
                steps[to] = max(steps[to], step)
                denominator = answer.odds.denominator
                if denominator > 1:
                    below = lcm(below, denominator)
                    draws[to] = max(draws[to], draw + 1)
                else:
                    draws[to] = max(draws[to], draw)
    unit: int = scheduler ** max(steps) * below ** max(draws)
    return unit


def _adaptive(graph: Quotient, prefer: Callable[[list[int]], int]) -> Fraction:
    order = graph.order()
    unit = _unit(graph, order, 1)
    values = [0] * len(order)
    for number in reversed(order):
        chances = [
            sum(
                (unit if drop else values[to]) * answer.odds.numerator // answer.odds.denominator
                for to, (_, _, answer, drop) in ways
            )
            for _, ways in graph.steps[number]
        ]
        values[number] = prefer(chances) if chances else 0
    return Fraction(values[0], unit)
