# SPDX-License-Identifier: GPL-2.0-or-later
"""One schedule of each trace finds what every schedule finds: on every row, and on drawn paths.

The slow, obvious search takes every step from every state.  Both ways of reducing it also run each
trace once, so they must agree on the number of traces.  Mutants of the reduction are noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from natmodel import dpor
from natmodel import system as system_module
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
from natmodel.system import System
from natmodel.values import IPPROTO_TCP, Conn, CtTuple, nf_ct_invert_tuple
from natmodel.world import Background, Hashing, World
from tests.bench.natclash import Workload
from tests.drawn import drawn_scenarios
from tests.exploring import calls_on

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


# ── drawn paths ─────────────────────────────────────────────────────────────────────────────────

# What a script does: an operation, and how many of the next it leaves out if the reply is odd.
Line = tuple[Op[Any], int]
WINDOW = Window(CtTuple(2, IPPROTO_TCP, 1, 0, 2, 80), True, 1024, 2, 2)


def conn(number: int, orig: int, reply: int) -> Conn:
    """Connections with equal numbers in the place of a key share its lock."""
    t = nf_ct_invert_tuple(CtTuple(2, IPPROTO_TCP, 3, reply, 2, 80))
    return Conn(number, CtTuple(2, IPPROTO_TCP, 1, orig, 2, 80), t)


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


keys = st.integers(0, 2)
hints = st.sampled_from([6, 17])
accesses: st.SearchStrategy[Op[Any]] = st.one_of(
    st.builds(RoverLoad, hints),
    st.builds(RoverStore, hints, st.just(1)),
    st.builds(IdIncrement, hints),
)
simple = st.lists(st.tuples(accesses, st.just(0)), max_size=1)


@st.composite
def locked(draw: st.DrawFn, n: int) -> list[Line]:
    """One lock or two, taken in the one order and let go in any, and steps meanwhile.

    No path of the kernel's waits while it holds a lock; a path of one's own may.
    """
    cts = [
        conn(10 * n + key, key, key) for key in sorted(draw(st.sets(keys, min_size=1, max_size=2)))
    ]
    lines: list[Line] = []
    for ct in cts:
        lines += [(LockBuckets(ct), 0), *draw(simple)]
    for ct in draw(st.permutations(cts)):
        lines += [(UnlockBuckets(ct), 0), *draw(simple)]
    return lines


@st.composite
def sections(draw: st.DrawFn, n: int) -> list[Line]:
    """A section that may have to wait, according to what it reads first."""
    ct = conn(10 * n + 9, draw(keys), draw(keys))
    lines: list[Line] = [(draw(accesses), 1), (HashDelete(ct), 0), *draw(simple)]
    return [(atomic(script(tuple(lines))), 0)]


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


holders = st.tuples(
    *(
        st.tuples(simple, locked(n)).map(lambda parts: script((*parts[0], *parts[1])))
        for n in range(3)
    )
).map(list)


@st.composite
def lookers(draw: st.DrawFn) -> list[Call[Any]]:
    """Somebody changes what decides whether another one waits for a third."""
    parts = [[(draw(accesses), 0)], draw(sections(1)), [*draw(simple), *draw(locked(2))]]
    return [script(tuple(lines)) for lines in draw(st.permutations(parts))]


def shared() -> World:
    return World(Background((), Hashing(lambda zone, direction: 0, lambda zone: 0)))


@given(calls=st.one_of(scripts(), holders, lookers()))
def test_drawn_paths(calls: list[Call[Any]]) -> None:
    agree(calls, shared(), 20_000)


# ── the workload that other checkers were measured on ───────────────────────────────────────────

# What: traces; measured with another reduction, which knew ports and the rover.
TRACES = {
    Workload(2, 4, 0, "fixed"): 4,
    Workload(3, 4, 0, "fixed"): 21,
    Workload(4, 4, 0, "fixed"): 148,
    Workload(3, 4, 0, "rover"): 312,
}


@pytest.mark.parametrize("work", TRACES, ids=str)
def test_as_many_traces_as_there_are(work: Workload) -> None:
    traces = Dpor(work.calls(), work.world()).run()
    assert (traces.traces, traces.blocked) == (TRACES[work], 0)


@pytest.mark.exhaustive
def test_many_traces() -> None:
    work = Workload(4, 4, 0, "rover")
    assert Dpor(work.calls(), work.world()).run().traces == 15_600


def test_a_limit_says_so() -> None:
    work = Workload(3, 4, 0, "fixed")
    traces = Dpor(work.calls(), work.world()).run(Limits(states=50))
    assert (traces.complete, traces.steps) == (False, 51)
    assert not Dpor(work.calls(), work.world()).run(Limits(seconds=0)).complete


# ── a reduction that saves too much is noticed ──────────────────────────────────────────────────


def noticed(calls: list[Call[Any]], world: World) -> bool:
    """Does the search miss something, or fail?"""
    try:
        agree(calls, world, 20_000)
    except AssertionError:
        return True
    return False


def forgetting(kind: str) -> Callable[[Event, int, Footprint], bool]:
    """Dependence without what is read of these cells."""

    def less(touched: Footprint) -> Footprint:
        return Footprint(frozenset(c for c in touched.reads if c[0] != kind), touched.writes)

    def depends(event: Event, cpu: int, touched: Footprint) -> bool:
        return event.cpu == cpu or less(event.answer.footprint).meets(less(touched))

    return depends


def lockless(event: Event, cpu: int, touched: Footprint) -> bool:
    """Dependence without locks."""
    one, two = (
        Footprint(*(frozenset(c for c in cells if c[0] != "lock") for cells in (f.reads, f.writes)))
        for f in (event.answer.footprint, touched)
    )
    return event.cpu == cpu or one.meets(two)


def always(*args: Any) -> bool:
    return True


def nothing(*args: Any) -> None:
    return None


def touching_nothing(*args: Any) -> Footprint:
    return Footprint()


REVERSE: Final = Search.reverse


def as_if_reversed(self: Search, at: int, cpu: int, touched: Footprint) -> None:
    """An unlock and the lock that waited for it are taken for reversed."""
    REVERSE(self, at, cpu, touched)


def everybody(events: list[Event], cpu: int, touched: Footprint) -> set[int]:
    """Initials: whoever takes a step at all."""
    return {event.cpu for event in events} | {cpu}


GENERATED = settings(
    max_examples=2_000, database=None, derandomize=True, deadline=None, phases=[Phase.generate]
)


@pytest.mark.parametrize(
    ("kernel", "where", "what", "mutant"),
    [
        ("4.19.66", dpor, "depends", lockless),
        ("6.12.117", dpor, "depends", forgetting("chain")),
        ("6.12.117", dpor, "depends", forgetting("source")),
        ("4.19.66", dpor, "depends", forgetting("hint")),
        ("6.12.117", dpor, "sleeps_on", always),
        ("4.19.66", Search, "reverse", as_if_reversed),
    ],
)
def test_a_mutant_is_noticed_by_some_drawn_scenario(
    kernel: str, where: Any, what: str, mutant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, what, mutant)
    scenarios = drawn_scenarios(kernel)
    find(scenarios, lambda s: noticed(calls_on(s, None), s.world()), settings=GENERATED)


@pytest.mark.parametrize(
    ("drawn", "where", "what", "mutant"),
    [
        (scripts(), dpor, "initials", everybody),
        (scripts(), system_module, "waits_for", touching_nothing),
        (lookers(), dpor, "is_within", always),
        pytest.param(holders, Search, "give_up", nothing, marks=pytest.mark.slow),
    ],
    ids=["initials", "waits_for", "is_within", "give_up"],
)
def test_a_mutant_is_noticed_by_some_drawn_path(
    drawn: st.SearchStrategy[list[Call[Any]]],
    where: Any,
    what: str,
    mutant: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(where, what, mutant)
    find(drawn, lambda calls: noticed(calls, shared()), settings=GENERATED)
