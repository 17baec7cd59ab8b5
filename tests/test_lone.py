# SPDX-License-Identifier: GPL-2.0-or-later
"""Following lone steps alone changes no outcome, no number of drops and no adaptive scheduler's odds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from natmodel import odds
from natmodel.census import most_drops
from natmodel.explore import Limits
from natmodel.ops import NO_FOOTPRINT, Call
from natmodel.quotient import Circular, Quotient
from natmodel.releases import RELEASES
from natmodel.world import World
from tests.bench.natclash import Workload
from tests.drawn import drawn_scenarios, drawn_workloads, shown_by, spin
from tests.exploring import calls_on

Calls = list[Call[Any]]

MOST = Limits(states=3000)


def nameless(results: tuple[Any, ...]) -> tuple[Any, ...]:
    """How each packet ended, without saying which."""
    fates = [fate for cpu in results for fate in (cpu if isinstance(cpu, tuple) else (cpu,))]
    return tuple(sorted((f.verdict, f.cause, f.ct.reply.key if f.ct else ()) for f in fates))


def seen(graph: Quotient, *, merged: bool) -> tuple[Any, ...]:
    """Everything that lone steps are to keep."""
    system = graph.system
    ends = [state for state, steps in zip(graph.states, graph.steps, strict=True) if not steps]
    assert all(map(system.is_final, ends))
    outcomes = {nameless(r) if merged else r for r in map(system.results, ends)}
    return outcomes, most_drops(graph), odds.worst(graph), odds.best(graph)


def agrees(calls: Calls, world: World, *, merge: bool) -> bool:
    plain = Quotient(calls, world, merge=False)
    assume(plain.grow(MOST))
    reduced = Quotient(calls, world, merge=merge, lone=True)
    assert reduced.grow()
    assert len(reduced.states) <= len(plain.states)
    return seen(reduced, merged=merge) == seen(plain, merged=merge)


@pytest.mark.parametrize("kernel", RELEASES)
@settings(max_examples=4)
@given(data=st.data())
def test_lone_steps_keep_what_they_say(kernel: str, data: st.DataObject) -> None:
    s = data.draw(drawn_scenarios(kernel))
    assert agrees(calls_on(s, None), s.world(), merge=data.draw(st.booleans()))


@settings(max_examples=60)
@given(work=drawn_workloads(), merge=st.booleans())
def test_lone_steps_of_workloads(work: Workload, merge: bool) -> None:
    assert agrees(work.calls(), work.world(), merge=merge)


# what: states that are left, most drops
PINNED = {
    Workload(6, 8, 0, "fixed"): (462, 5),
    Workload(6, 8, 0, "rover"): (5874, 5),
    Workload(2, 1024, 1023, "fixed"): (2052, 1),
    Workload(4, 64, 32, "fixed"): (191, 3),
}


@pytest.mark.parametrize("work", PINNED, ids=str)
def test_how_much_is_left(work: Workload) -> None:
    graph = Quotient(work.calls(), work.world(), lone=True)
    assert graph.grow()
    assert (len(graph.states), most_drops(graph)) == PINNED[work]


def test_a_graph_that_a_limit_has_cut_off_says_so() -> None:
    work = Workload(6, 8, 0, "fixed")
    assert not Quotient(work.calls(), work.world(), lone=True).grow(Limits(states=20))


def test_a_circle_is_refused() -> None:
    work = Workload(2, 2, 0, "fixed")
    graph = Quotient([spin(work.window)] * 2, work.world(), lone=True)
    with pytest.raises(Circular):
        graph.grow()


# ── a dependency left out is noticed ────────────────────────────────────────────────────────────


def writes_only(self: Any, footprint: Any, other: int) -> Any:
    """As Lone._met_by, but nobody minds that others write what is read here."""
    _, writes = self._relative(footprint, other)
    mask = self._mask((cell,) for cell in writes)
    return mask, mask


def only_own(own: Any, after: Any) -> Any:
    """As _accumulated, but only of the next step."""
    return dict(own)


def once(self: Any) -> bool:
    """As Lone.learns, but never asked for a second search."""
    return False


@pytest.mark.parametrize(
    ("where", "mutant", "kernel"),
    [
        ("natmodel.lone.Lone._met_by", writes_only, "6.12.117"),
        ("natmodel.lone._accumulated", only_own, "6.12.117"),
        ("natmodel.lone.Lone.learns", once, "6.12.117"),
        ("natmodel.ops.HashInsert.footprint", NO_FOOTPRINT, "6.12.117"),
        ("natmodel.ops.RoverStore.footprint", NO_FOOTPRINT, "4.19.66"),
        ("natmodel.symmetry.Exchange.place", lambda self, cpu, t: t, "6.12.117"),
    ],
)
def test_a_mutant_is_noticed(
    where: str, mutant: Any, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, mutant)
    merge = where.startswith("natmodel.symmetry")

    shown_by(drawn_scenarios(kernel), lambda s: agrees(calls_on(s, None), s.world(), merge=merge))
