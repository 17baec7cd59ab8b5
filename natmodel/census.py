# SPDX-License-Identifier: GPL-2.0-or-later
"""How many states, steps and schedules there are: as many as a search that merges nothing would meet.

A class of states counts as often as it has members, a schedule once for each way through the classes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import attrs

from natmodel.explore import NO_LIMITS, Limits
from natmodel.ops import Call
from natmodel.quotient import Circular, Quotient
from natmodel.world import World


@attrs.frozen
class Census:
    """What there is when nothing is merged.

    `transitions` counts steps, with each class of draws for itself; `final` the states in which no CPU
    has a step left; `schedules` the ways from the start to those, None if one of them could go on for
    ever; `drops` is the most packets that one schedule drops.  `classes` is how many states stood for
    them all.  If it is not `complete`, a limit was reached: the counts are of what had been met by
    then, and schedules and drops are None.
    """

    states: int
    transitions: int
    final: int
    schedules: int | None
    drops: int | None
    classes: int
    complete: bool
    seconds: float


def census(
    calls: Sequence[Call[Any]], world: World, limits: Limits = NO_LIMITS, *, merge: bool = True
) -> Census:
    """Count what CPUs that run `calls` over `world` can come to."""
    began = time.monotonic()
    graph = Quotient(calls, world, merge=merge)
    if not graph.symmetry.exact:
        graph = Quotient(calls, world, merge=False)
    complete = graph.grow(limits)
    states = transitions = final = 0
    for state, steps in zip(graph.states, graph.steps, strict=False):
        members = graph.symmetry.orbit(state)
        states += members
        transitions += members * sum(alike * len(ways) for alike, ways in steps)
        final += members * (not steps)
    schedules = drops = None
    if complete:
        with suppress(Circular):
            schedules, drops = _schedules(graph), most_drops(graph)
    return Census(
        states,
        transitions,
        final,
        schedules,
        drops,
        len(graph.states),
        complete,
        time.monotonic() - began,
    )


def _schedules(graph: Quotient) -> int:
    """How many schedules there are.  Raises Circular."""
    order = graph.order()
    ways, ended = [0] * len(order), 0
    ways[0] = 1  # the start is the only state of its class
    for number in order:
        here = ways[number]
        for alike, edges in graph.steps[number]:
            for to, _ in edges:
                ways[to] += here * alike
        if not graph.steps[number]:
            ended += here
    return ended


def most_drops(graph: Quotient) -> int:
    """The most packets that one schedule drops.  Raises Circular."""
    order = graph.order()
    most = [0] * len(order)
    for number in order:
        dropped = most[number]
        for _, edges in graph.steps[number]:
            for to, (_, _, _, drop) in edges:
                most[to] = max(most[to], dropped + drop)
    return max(most)
