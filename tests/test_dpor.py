# SPDX-License-Identifier: GPL-2.0-or-later
"""One schedule of each trace finds what every schedule finds: on every row, and on drawn paths.

The slow, obvious search takes every step from every state.  Both ways of reducing it also run each
trace once, so they must agree on the number of traces.  Mutants of the reduction are noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from natmodel import dpor
from natmodel.dpor import Dpor, Event, Search, Traces
from natmodel.explore import Limits
from natmodel.ops import (
    Call,
    Footprint,
    HashDelete,
    IdIncrement,
    LockBuckets,
    Op,
    RandomOffset,
    RoverLoad,
    RoverStore,
    UnlockBuckets,
    Window,
    atomic,
    path,
)
from natmodel.releases import RELEASES
from natmodel.scenario import Scenario
from natmodel.system import State, System
from natmodel.values import IPPROTO_TCP, Conn, CtTuple, nf_ct_invert_tuple
from natmodel.world import Background, Hashing, World
from tests.bench.natclash import Workload
from tests.exploring import calls_on
from tests.test_footprints import drawn_scenarios, without

# What a search has found: the results of the CPUs, and the most drops.
Found = tuple[frozenset[tuple[Any, ...]], int]


def plain(system: System, most: int) -> Found | None:
    """By taking every step from every state; None if there are too many."""
    start = (system.initial, 0)
    todo, seen = [start], {start}
    outcomes, drops = set(), 0
    while todo:
        state, dropped = todo.pop()
        if system.is_final(state):
            outcomes.add(system.results(state))
            drops = max(drops, dropped)
        for move in system.moves(state):
            there = (move.state, dropped + move.drops)
            if there not in seen:
                seen.add(there)
                todo.append(there)
        if len(seen) > most:
            return None
    return frozenset(outcomes), drops


def found(traces: Traces) -> Found:
    return traces.outcomes, traces.drops


def agree(calls: list[Call[Any]], world: World, most: int) -> bool:
    """All three searches find the same; those that reduce run the same number of traces.

    False if one of them did not end within `most` states or steps.
    """
    expected = plain(System(calls, world, lazy=False), most)
    source, sleep = (Dpor(calls, world, source=s).run(Limits(states=most)) for s in (True, False))
    if expected is None or not source.complete or not sleep.complete:
        return False
    assert found(source) == found(sleep) == expected
    assert source.traces == sleep.traces
    return True


# ── every row ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kernel", RELEASES)
@settings(max_examples=4)
@given(data=st.data())
def test_every_row(kernel: str, data: st.DataObject) -> None:
    s = data.draw(drawn_scenarios(kernel))
    agree(calls_on(s, None), s.world(), 5_000)


@pytest.mark.parametrize("kernel", ["3.10.4", "4.19.66", "6.12.117"])
def test_retransmissions(kernel: str) -> None:
    """A CPU that waits for a timer waits for the other one."""
    nat = "snat to 203.0.113.1:4000-4000"
    s = Scenario.from_arguments(kernel, (nat,), cpus=2, retransmit="1,3")
    assert agree(calls_on(s, None), s.world(), 10_000)


@pytest.mark.parametrize("kernel", RELEASES)
@settings(max_examples=2)
@given(data=st.data())
def test_who_holds_locks_waits_for_nobody(kernel: str, data: st.DataObject) -> None:
    """What the reduction relies on."""
    s = data.draw(drawn_scenarios(kernel))
    system = System(calls_on(s, None), s.world(), lazy=False)
    start: tuple[State, frozenset[int]] = (system.initial, frozenset())
    todo, seen = [start], {start}
    for state, holders in todo[:2_000]:
        waiting = {
            cpu
            for cpu in range(system.cpus)
            if system.pending(state, cpu) is not None and not system.edges(state, cpu)
        }
        assert waiting.isdisjoint(holders)
        for move in system.moves(state):
            change = len(move.answer.world.locked) - len(system.world(state).locked)
            after = holders | {move.cpu} if change > 0 else holders
            after = holders - {move.cpu} if change < 0 else after
            if (move.state, after) not in seen and len(todo) < 2_000:
                seen.add((move.state, after))
                todo.append((move.state, after))


# ── drawn paths ─────────────────────────────────────────────────────────────────────────────────

# What a script does: an operation, and how many of the next it leaves out if the reply is odd.
Line = tuple[Op[Any], int]
WINDOW = Window(CtTuple(2, IPPROTO_TCP, 1, 0, 2, 80), True, 1024, 2, 2)


def conn(n: int, orig: int, reply: int) -> Conn:
    """Connections with equal numbers share a lock."""
    t = nf_ct_invert_tuple(CtTuple(2, IPPROTO_TCP, 3, reply, 2, 80))
    return Conn(n, CtTuple(2, IPPROTO_TCP, 1, orig, 2, 80), t)


@path
async def script(lines: tuple[Line, ...]) -> tuple[Any, ...]:
    """Take the steps, leaving out what replies say; all replies."""
    replies: tuple[Any, ...] = ()
    left_out = 0
    for op, jump in lines:
        if left_out:
            left_out -= 1
        else:
            reply = await op
            replies = (*replies, reply)
            left_out = jump if reply == 1 else 0
    return replies


hints = st.sampled_from([6, 17])
accesses: st.SearchStrategy[Op[Any]] = st.one_of(
    st.builds(RoverLoad, hints),
    st.builds(RoverStore, hints, st.just(1)),
    st.builds(IdIncrement, hints),
)
simple = st.tuples(accesses, st.just(0))


@st.composite
def locked(draw: st.DrawFn, n: int) -> list[Line]:
    """Some steps under the locks of a connection."""
    ct = conn(n, draw(st.integers(0, 1)), draw(st.integers(0, 1)))
    inside = draw(st.lists(simple, max_size=2))
    return [(LockBuckets(ct), 0), *inside, (UnlockBuckets(ct), 0)]


@st.composite
def sections(draw: st.DrawFn, n: int) -> list[Line]:
    """A section that may have to wait, according to what it reads first."""
    ct = conn(n, draw(st.integers(0, 1)), draw(st.integers(0, 1)))
    lines: tuple[Line, ...] = ((draw(accesses), 1), (HashDelete(ct), 0), draw(simple))
    return [(atomic(script(lines)), 0)]


@st.composite
def scripts(draw: st.DrawFn) -> list[Call[Any]]:
    """Two or three CPUs with a few steps each."""
    calls = []
    for n in range(draw(st.integers(2, 3))):
        kinds = st.one_of(
            st.tuples(accesses, st.integers(0, 1)).map(lambda line: [line]),
            st.just([(RandomOffset("", WINDOW), 1)]),
            locked(n),
            sections(n),
        )
        parts: list[list[Line]] = draw(st.lists(kinds, min_size=1, max_size=2))
        calls.append(script(tuple(line for part in parts for line in part)))
    return calls


def shared() -> World:
    return World(Background((), Hashing(lambda zone, direction: 0, lambda zone: 0)))


@given(calls=scripts())
def test_drawn_paths(calls: list[Call[Any]]) -> None:
    agree(calls, shared(), 20_000)
