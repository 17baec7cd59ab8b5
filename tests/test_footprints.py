# SPDX-License-Identifier: GPL-2.0-or-later
"""Steps whose footprints do not meet commute: on every row, in every state of drawn scenarios.

The footprints that operations declare (natmodel/ops.py) are all that a reduction may go by.  Here they
are held against the worlds: two steps of two CPUs are taken in both orders.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from natmodel import ops
from natmodel.ops import Footprint
from natmodel.paths.nf_conntrack_extend import nf_ct_ext_bump_genid
from natmodel.releases import RELEASES
from natmodel.scenario import Scenario
from natmodel.system import Move, State, System
from natmodel.world import REPLIES
from tests.drawn import drawn_scenarios
from tests.exploring import calls_on

# ── two steps, in both orders ───────────────────────────────────────────────────────────────────

# (state, cpu): each way in which that CPU can take its next step
Ways = Callable[[State, int], list[Move]]


def ways_of(system: System) -> Ways:
    def ways(state: State, cpu: int) -> list[Move]:
        return [move for move in system.moves(state) if move.cpu == cpu]

    return ways


def seen_as(move: Move) -> tuple[Any, ...]:
    """What the CPU itself, and whoever counts, sees of its step."""
    return move.answer.draws, move.answer.reply, move.answer.counted, move.answer.odds


def same(ways: Ways, state: State, move: Move) -> Move | None:
    """The same step from another state; None if it is not possible there."""
    return next((m for m in ways(state, move.cpu) if seen_as(m) == seen_as(move)), None)


def commute(ways: Ways, one: Move, other: Move) -> bool:
    """Can the two steps be taken in either order, with one end?"""
    ends = []
    for first, second in ((one, other), (other, one)):
        then = same(ways, first.state, second)
        if then is None:
            return False
        ends.append(then.state)
    return ends[0] == ends[1]


def pairs(ways: Ways, state: State, cpus: int) -> Iterator[tuple[Move, Move]]:
    """Two steps of two CPUs whose footprints do not meet."""
    for i, j in combinations(range(cpus), 2):
        for one in ways(state, i):
            for other in ways(state, j):
                if not one.answer.footprint.meets(other.answer.footprint):
                    yield one, other


def states(system: System, most: int) -> Iterator[State]:
    """The first states that a breadth-first search meets."""
    todo, seen = deque([system.initial]), {system.initial}
    for _ in range(most):
        if not todo:
            return
        state = todo.popleft()
        yield state
        for move in system.moves(state):
            if move.state not in seen:
                seen.add(move.state)
                todo.append(move.state)


def lapses(system: System, most: int = 80) -> Iterator[tuple[Move, Move]]:
    """Steps that do not commute, though their footprints say so."""
    ways = ways_of(system)
    for state in states(system, most):
        for one, other in pairs(ways, state, system.cpus):
            if not commute(ways, one, other):
                yield one, other


# ── every row ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kernel", RELEASES)
@settings(max_examples=8)
@given(data=st.data())
def test_steps_whose_footprints_do_not_meet_commute(kernel: str, data: st.DataObject) -> None:
    s = data.draw(drawn_scenarios(kernel))
    assert (
        next(lapses(System(calls_on(s, None), s.world(), lazy=False, touching=True)), None) is None
    )


# ── a footprint that says too little is noticed ─────────────────────────────────────────────────


def without(*kinds: str) -> Callable[[Footprint], Footprint]:
    """The footprint without cells of these kinds."""

    def less(touched: Footprint) -> Footprint:
        reads, writes = (
            frozenset(cell for cell in cells if cell[0] not in kinds)
            for cells in (touched.reads, touched.writes)
        )
        return Footprint(reads, writes)

    return less


@pytest.mark.parametrize(
    ("kernel", "op", "kind"),
    [
        ("6.12.117", ops.HashInsert, "chain"),
        ("6.12.117", ops.ReadChain, "chain"),
        ("6.12.117", ops.ReadBysource, "source"),
        ("6.12.117", ops.BysourceAdd, "source"),
        ("4.19.66", ops.LockBuckets, "lock"),
        ("4.19.66", ops.RoverStore, "hint"),
        ("4.19.66", ops.SecurePort, "secure port"),
        ("3.10.4", ops.LockTable, "lock"),
    ],
)
def test_a_cell_left_out_is_noticed_by_some_drawn_scenario(
    kernel: str, op: type[ops.Op[Any]], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared, less = vars(op)["footprint"].fget, without(kind)
    monkeypatch.setattr(op, "footprint", property(lambda self: less(declared(self))))

    def noticed(s: Scenario) -> bool:
        return (
            next(lapses(System(calls_on(s, None), s.world(), lazy=False, touching=True)), None)
            is not None
        )

    find(
        drawn_scenarios(kernel),
        noticed,
        settings=settings(max_examples=300, database=None, derandomize=True),
    )


def test_every_operation_on_memory_declares_what_it_touches() -> None:
    """Counters and warnings nobody reads; random numbers come from nowhere that others can see."""
    silent = {op for op in (*REPLIES, *ops.DRAWS) if "footprint" not in vars(op)}
    assert silent == {ops.Count, ops.Warn, ops.RandomU16, ops.RandomOffset, ops.RandomBelow}


def test_a_section_has_no_footprint_before_it_has_run() -> None:
    section = ops.atomic(nf_ct_ext_bump_genid(RELEASES["7.0.0"]))
    with pytest.raises(TypeError, match="once it has run"):
        _ = section.footprint
