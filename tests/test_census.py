# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts recovered from classes of states are those of a search that merges nothing."""

from __future__ import annotations

from math import factorial
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from natmodel import symmetry
from natmodel.census import Census, census
from natmodel.explore import Limits
from natmodel.ops import Call, RandomOffset, path
from natmodel.quotient import Circular, Quotient
from natmodel.release import Fate
from natmodel.rotation import Rotation
from natmodel.symmetry import Alike, Exchange
from natmodel.world import World
from tests.bench import natclash
from tests.bench.natclash import Workload
from tests.drawn import Twisted, drawn_scenarios, drawn_workloads, shown_by, spin
from tests.exploring import calls_on
from tests.kernels import TELLING, each_kernel

MOST = Limits(states=3000)

Calls = list[Call[Any]]


def counts(c: Census) -> tuple[Any, ...]:
    return c.states, c.transitions, c.final, c.schedules, c.drops


# ── what other checkers count ───────────────────────────────────────────────────────────────────

# what: states, transitions, terminals, schedules, most drops, classes; the first five were measured
# with several checkers, the classes with the two of them that merge (rumur's are sorted only)
PINNED = {
    Workload(2, 4, 0, "fixed"): (15, 16, 3, 6, 1, 9),
    Workload(3, 4, 0, "fixed"): (105, 162, 7, 144, 2, 27),
    Workload(4, 4, 0, "fixed"): (847, 1_800, 15, 17_568, 3, 78),
    Workload(6, 8, 0, "fixed"): (71_303, 241_116, 63, 345_317_420_160, 5, 588),
    Workload(3, 4, 0, "rover"): (320, 597, 10, 43_470, 2, 75),
    Workload(4, 4, 0, "rover"): (4_287, 10_260, 29, 173_813_280, 3, 324),
    Workload(6, 8, 0, "rover"): (1_336_032, 4_865_298, 187, 2_580_608_493_690_343_200, 5, 6_958),
    Workload(2, 4, 0, "random"): (175, 320, 14, 320, 1, 26),
    Workload(3, 4, 0, "random"): (2_413, 6_612, 34, 123_168, 2, 130),
    Workload(4, 8, 0, "random"): (377_175, 1_523_552, 494, 2_039_289_600, 3, 2_869),
}


@pytest.mark.parametrize("work", PINNED, ids=str)
def test_the_counts_of_the_other_checkers(work: Workload) -> None:
    counted = census(work.calls(), work.world())
    assert (*counts(counted), counted.classes) == PINNED[work]


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("work", "states"),
    [
        (Workload(5, 8, 0, "random"), 9_253_693),
        (Workload(7, 8, 0, "rover"), 28_668_386),
        (Workload(8, 8, 0, "rover"), 690_734_981),
        (Workload(6, 8, 0, "random"), 226_955_277),
        (Workload(4, 64, 32, "fixed"), 1_548_239),
        (Workload(2, 1024, 1023, "fixed"), 1_052_677),
    ],
    ids=str,
)
def test_the_counts_of_the_other_checkers_where_they_are_large(work: Workload, states: int) -> None:
    assert census(work.calls(), work.world()).states == states


# ── merged CPUs, turned ports ───────────────────────────────────────────────────────────────────


def agrees(calls: Calls, world: World) -> bool:
    """Is what is counted up to symmetry what is counted one by one?"""
    one_by_one = census(calls, world, MOST, merge=False)
    assume(one_by_one.complete)
    return counts(census(calls, world, merge=True)) == counts(one_by_one)


@each_kernel(*TELLING)
@settings(max_examples=6)
@given(data=st.data())
def test_a_census_of_classes_counts_every_state(kernel: str, data: st.DataObject) -> None:
    s = data.draw(drawn_scenarios(kernel))
    assert agrees(calls_on(s, None), s.world())


@given(work=drawn_workloads())
@settings(max_examples=60)
def test_workloads_are_counted_one_by_one_and_in_classes(work: Workload) -> None:
    assert agrees(work.calls(), work.world())


def test_ports_are_turned_where_none_is_the_first() -> None:
    work = Workload(3, 4, 0, "random")
    assert Quotient(work.calls(), work.world()).rotation is not None


@pytest.mark.parametrize(
    "work",
    [
        Workload(2, 4, 0, "fixed"),
        Workload(2, 4, 0, "rover"),
        Workload(2, 4, 1, "random"),
        Twisted(2, 4, 0, "random", 1, True),
        Twisted(2, 4, 0, "random", 1, False),
    ],
    ids=str,
)
def test_rotation_is_refused_where_one_port_is_not_as_the_others(work: Workload) -> None:
    assert Quotient(work.calls(), work.world()).rotation is None


def test_a_rotation_that_only_others_break_is_refused_in_the_end() -> None:
    """Alone, no CPU comes to the port that is odd; it needs one to be in its way."""
    work = Late(2, 4, 0, "random")
    graph = Quotient(work.calls(), work.world())
    assert graph.rotation is not None
    graph.grow()
    assert graph.rotation is None
    one_by_one = census(work.calls(), work.world(), merge=False)
    assert counts(census(work.calls(), work.world())) == counts(one_by_one)


class Late(Workload):
    """Whoever finds a port taken is told apart by which one it was."""

    def calls(self) -> Calls:
        return [late(self.window)] * self.packets


@path(blind=True)
async def late(window: Any) -> Fate:
    off = await RandomOffset("get_random_u32_below", window)
    fate = await natclash.confirm(window.tuple_at(window.candidate(off)))
    return natclash.THROUGH if fate == natclash.DROPPED and off == 0 else fate


def test_schedules_without_end_are_not_counted() -> None:
    work = Workload(1, 2, 0, "fixed")
    counted = census([spin(work.window)], work.world())
    assert (counted.states, counted.schedules, counted.drops) == (1, None, None)
    graph = Quotient([spin(work.window)], work.world())
    graph.grow()
    with pytest.raises(Circular):
        graph.order()


def test_a_census_that_a_limit_has_stopped_says_so() -> None:
    work = Workload(4, 8, 0, "random")
    counted = census(work.calls(), work.world(), Limits(states=100))
    assert not counted.complete
    assert counted.schedules is None
    assert counted.drops is None


# ── a symmetry that is not one is noticed ───────────────────────────────────────────────────────


def all_as_one(state: Any) -> int:
    return factorial(len(state) - 1)


def each_once(threads: Any) -> Any:
    return ((at, 1) for at in range(len(threads)) if threads.index(threads[at]) == at)


@pytest.mark.parametrize(
    ("where", "name", "mutant"),
    [
        (Alike, "orbit", lambda self, state: all_as_one(state)),
        (symmetry, "_runs", each_once),
        (Rotation, "check", lambda self, pairs: None),
        (Rotation, "_to_least", lambda self, w: [0]),
        (Rotation, "orbit", lambda self, state: self._base.orbit(state) * len(self._turns)),
    ],
)
def test_a_mutant_of_workloads_is_noticed(
    where: Any, name: str, mutant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, mutant)
    shown_by(drawn_workloads(), lambda work: agrees(work.calls(), work.world()))


@pytest.mark.parametrize(
    ("where", "name", "mutant"),
    [
        (Exchange, "orbit", lambda self, state: all_as_one(state)),
        (symmetry, "exchangeable", lambda todo, world: [tuple(range(len(todo)))]),
        (symmetry, "_world", lambda name, w: w),
        (Exchange, "_sorted", lambda self, group, state: iter([group])),
    ],
)
def test_a_mutant_of_exchanges_is_noticed(
    where: Any, name: str, mutant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, mutant)
    if name == "_world":
        monkeypatch.setitem(symmetry._RENAME, World, mutant)
    shown_by(drawn_scenarios("6.12.117"), lambda s: agrees(calls_on(s, None), s.world()))
