# SPDX-License-Identifier: GPL-2.0-or-later
"""The Hypothesis machine finds what the explorer proves, no more, and in as few steps."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from functools import cache

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from natmodel.controls import locked
from natmodel.explore import Explorer
from natmodel.release import Release
from natmodel.releases import RELEASES
from natmodel.render import text
from natmodel.scenario import Scenario
from natmodel.schedule import Schedule
from natmodel.system import State
from natmodel.testing import NatMachine, PacketDropped, Turn, linked_entries, with_release
from natmodel.trace import trace_of
from natmodel.values import Conn
from natmodel.verdict import check, replay
from tests.kernels import ROUNDS, ROVER, each_kernel
from tests.machine import (
    BLIND,
    CELLS,
    EIGHT_PORTS,
    FORGETFUL_COUNTERS,
    HALF_BLIND_CONFIRM,
    LEAKY,
    MORE_CELLS,
    Shrunk,
    machine_for,
    shrunk,
)

SEEDS = range(20)


@cache
def shortest(s: Scenario) -> int:
    witness = check(s).witness
    assert witness is not None
    return len(witness)


@cache
def found(name: str, number: int) -> Shrunk:
    result = shrunk(machine_for((CELLS | MORE_CELLS)[name]), number)
    assert result is not None
    return result


# ── it finds the race, and shrinks it ───────────────────────────────────────────────────────────


# The seed's race on both kernels from two seeds; the other cells from one.  CI tries all 20.
@pytest.mark.parametrize(
    ("name", "number"),
    [(name, n) for name in CELLS for n in range(2 if name in ("rover", "rounds") else 1)],
)
def test_a_shrunk_drop_is_as_short_as_the_explorers(name: str, number: int) -> None:
    assert found(name, number).steps == shortest(CELLS[name])


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", CELLS | MORE_CELLS)
@pytest.mark.parametrize("number", SEEDS)
def test_a_shrunk_drop_is_as_short_as_the_explorers_from_any_seed(name: str, number: int) -> None:
    assert found(name, number).steps == shortest((CELLS | MORE_CELLS)[name])


@pytest.mark.parametrize("name", CELLS)
def test_a_shrunk_schedule_replays_to_the_same_drop(name: str) -> None:
    run = found(name, 0).run
    assert not run.expired
    again = replay(CELLS[name], Schedule.parse(str(run.schedule)))
    assert [n for n, _ in again.drops] == [len(run.moves) - 1]
    assert [move.answer.reply for move in again.moves] == [m.answer.reply for m in run.moves]


@pytest.mark.parametrize("name", ["rover", "rounds"])
def test_the_failure_ends_in_the_lane_trace_of_its_schedule(name: str) -> None:
    failure = found(name, 0)
    assert isinstance(failure.error, PacketDropped)
    assert f"'{failure.run.schedule}'" in str(failure.error)
    said = "".join(traceback.format_exception(failure.error)).rstrip("\n")
    assert said.endswith(text(trace_of(replay(CELLS[name], failure.run.schedule))).rstrip("\n"))


# ── it finds nothing where there is nothing ─────────────────────────────────────────────────────


@each_kernel(ROVER, ROUNDS)
def test_different_free_ports_never_fail(kernel: str) -> None:
    packets = [f"tcp 172.16.1.{n}:{n} > 198.51.100.7:80" for n in (8, 9)]
    assert shrunk(machine_for(Scenario(kernel=kernel, packets=packets)), examples=50) is None


@each_kernel(ROVER, ROUNDS)
def test_invariants_hold_where_drops_are_accepted_and_anything_expires(kernel: str) -> None:
    class Anything(NatMachine):
        scenario = Scenario(
            kernel=kernel,
            nat=(EIGHT_PORTS,),
            packets=[f"udp 172.16.1.{n}:4001 > 198.51.100.7:80" for n in (8, 9, 8, 8)],
            cpus=3,
            occupied=("4000-4004",),
        )
        fail_on_drop = False

        def may_expire(self) -> Iterable[Conn]:
            return linked_entries(self.world)

    assert shrunk(Anything, examples=60) is None


@each_kernel(ROVER, ROUNDS)
def test_choice_and_confirm_in_one_step_never_clash(kernel: str) -> None:
    k = locked(RELEASES[kernel])
    assert shrunk(machine_for(Scenario(kernel=kernel), k), examples=50) is None


@each_kernel(ROVER, ROUNDS)
def test_choice_and_confirm_in_one_step_still_run_out_of_ports(kernel: str) -> None:
    s = Scenario(kernel=kernel, nat=(EIGHT_PORTS,), occupied=("4000-4007",))
    failure = shrunk(machine_for(s, locked(RELEASES[kernel])))
    assert failure is not None
    assert failure.steps == 2


# ── it stays where the explorer has been ────────────────────────────────────────────────────────


def reachable(explorer: Explorer) -> set[State]:
    """The canonical states of a plain search."""
    system, canonical = explorer.system, explorer.symmetry.canonical
    seen = {canonical(system.initial)}
    todo = list(seen)
    while todo:
        for move in system.moves(todo.pop()):
            to = canonical(move.state)
            if to not in seen:
                seen.add(to)
                todo.append(to)
    return seen


@pytest.mark.parametrize("name", ["rover", "random", "random-fully", "exhausted"])
def test_random_runs_stay_inside_the_explorers_states(name: str) -> None:
    s = CELLS[name]
    schedules: set[Schedule] = set()

    class Walker(NatMachine):
        scenario = s
        fail_on_drop = False

        def may_expire(self) -> Iterable[Conn]:
            return ()

        def teardown(self) -> None:
            schedules.add(self.schedule)

    run_state_machine_as_test(
        Walker,
        settings=settings(
            max_examples=60,
            database=None,
            derandomize=True,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    explorer = Explorer(s.threads(), s.world())
    states = reachable(explorer)
    assert len(states) == explorer.run().states
    seen = {explorer.symmetry.canonical(state) for state in visited(explorer, schedules)}
    assert len(seen) > 30
    assert seen <= states


def visited(explorer: Explorer, schedules: Iterable[Schedule]) -> Iterable[State]:
    for schedule in schedules:
        state = explorer.system.initial
        for step in schedule.steps:
            move = explorer.system.take(state, step.cpu, step.draws)
            assert move is not None
            state = move.state
            yield state


# ── it finds planted bugs ───────────────────────────────────────────────────────────────────────


def test_an_allocator_that_sees_no_entry_loses_a_packet() -> None:
    s = Scenario(nat=(EIGHT_PORTS,), occupied=("4000",), packets=[POD])
    assert shrunk(machine_for(s), examples=50) is None
    failure = shrunk(machine_for(s, BLIND))
    assert failure is not None
    assert isinstance(failure.error, PacketDropped)
    assert failure.steps == shortest(with_release(s, BLIND))


POD = "tcp 172.16.1.8:4000 > 198.51.100.7:80"


@pytest.mark.parametrize(
    ("k", "complaint"),
    [
        (HALF_BLIND_CONFIRM, "two entries share the key"),
        (FORGETFUL_COUNTERS, "has raised {'drop': 1}"),
        (LEAKY, "has left its source"),
    ],
)
def test_a_planted_bug_breaks_its_invariant(k: Release, complaint: str) -> None:
    failure = shrunk(machine_for(Scenario(), k, fail_on_drop=False), shrink=False)
    assert failure is not None
    assert complaint in str(failure.error)
    assert "conntrack" in "".join(failure.error.__notes__)


# ── its parts ───────────────────────────────────────────────────────────────────────────────────


def test_a_turn_of_a_cpu_that_cannot_act_goes_to_the_next_below() -> None:
    run = NatMachine()
    run.packet_arrives(Turn(1, 0))
    run.packet_arrives(Turn(1, 0))
    assert str(run.schedule) == "1 0"
    run.cpu_takes_step(Turn(1, 0))
    assert str(run.schedule) == "1 0 1"


def test_an_entry_is_not_inserted_by_outcome_0() -> None:
    run = NatMachine()
    run.packet_arrives(Turn(0, 0))
    for _ in range(9):
        run.cpu_takes_step(Turn(0, 0))
    assert not run.world.linked
    run.cpu_takes_step(Turn(0, 1))
    assert [ct.id for ct in run.world.entries()] == [0]
    run.entry_expires(0)
    assert "entry 0 expired after step 6" in run.report()


def test_steps_without_a_packet_do_nothing() -> None:
    run = NatMachine()
    run.cpu_takes_step(Turn(1, 1))
    assert not run.moves
