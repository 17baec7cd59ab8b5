# SPDX-License-Identifier: GPL-2.0-or-later
"""The race itself, on both kernels: where it is, where it is not, and what it depends on.

Two packets overlap if both approving look-ups come before either confirm has published its REPLY key
(docs/words.md).
"""

from __future__ import annotations

import attrs
import pytest

from natmodel import ops, schedulers
from natmodel.controls import locked
from natmodel.ops import atomic, path
from natmodel.paths.nf_conntrack_confirm import confirm_linking_one_by_one
from natmodel.quotient import Quotient
from natmodel.release import Confirmed, Release
from natmodel.scenario import Scenario
from natmodel.system import System
from natmodel.values import IPS_CONFIRMED, NF_DROP, Conn
from natmodel.verdict import Quantifier, check, replay
from tests.exploring import (
    OUTSIDE,
    POD,
    calls_on,
    drops,
    explore,
    fates,
    histories,
    reachable,
    scenario,
)
from tests.kernels import ROUNDS, ROVER, each_kernel

TWO_OF_THREE = ((1025, 1026), (600, 700), (32769, 1))


# ── default mode ────────────────────────────────────────────────────────────────────────────────


@each_kernel(ROVER, ROUNDS)
@pytest.mark.parametrize("ports", TWO_OF_THREE)
def test_different_free_source_ports_never_race(kernel: str, ports: tuple[int, ...]) -> None:
    assert check(scenario(kernel, ports=ports)).quantifier is Quantifier.NEVER


@each_kernel(ROVER, ROUNDS)
def test_three_different_free_source_ports_never_race(kernel: str) -> None:
    s = scenario(kernel, ports=(1025, 1026, 1027))
    assert check(s).quantifier is Quantifier.NEVER


@each_kernel(ROVER, ROUNDS)
def test_equal_source_ports_race_exactly_when_they_overlap(kernel: str) -> None:
    assert overlaps_and_drops(kernel, "masquerade") == {(True, 1), (False, 0)}


def overlaps_and_drops(kernel: str, nat: str) -> set[tuple[bool | None, int]]:
    """(do the two packets overlap, how many are dropped) over every schedule and every draw."""
    s = scenario(kernel, nat)
    system = System(s.threads(), s.world())
    return {(history.overlap, drops(system.results(state))) for state, history in histories(system)}


# ── random modes ────────────────────────────────────────────────────────────────────────────────


def test_a_keyed_hash_drops_in_every_overlapping_schedule() -> None:
    """`random` before 5.0: both start at the hash of (outside, server, port), so both choose alike."""
    assert overlaps_and_drops("4.19.66", "masquerade random") == {(True, 1), (False, 0)}


@pytest.mark.parametrize(
    ("kernel", "nat"),
    [
        ("4.19.66", "masquerade random-fully"),
        ("6.12.117", "masquerade random-fully"),
        ("6.12.117", "masquerade random"),
        ("6.12.117", "masquerade to :4000-4006 random"),
    ],
)
def test_independent_draws_drop_only_when_both_give_one_port(kernel: str, nat: str) -> None:
    s = scenario(kernel, nat)
    system = System(s.threads(), s.world())
    ends = list(histories(system))
    window = next(op.window for op in system.threads.pending if isinstance(op, ops.RandomU16))
    seen = set()
    for state, history in ends:
        first, second = (window.candidate(drawn[0]) for drawn in history.drawn)
        dropped = drops(system.results(state))
        assert dropped == (history.overlap is True and first == second)
        seen.add((dropped, first == second))
    assert seen == {(0, False), (0, True), (1, True)}


# ── the control: choosing and confirming in one step ────────────────────────────────────────────


MODES = ("masquerade", "masquerade random", "masquerade random-fully",
         "snat to 203.0.113.1:4000-4002 random-fully", "snat to 203.0.113.1:4000-4002")  # fmt: skip


@each_kernel(ROVER, ROUNDS)
@pytest.mark.parametrize("nat", MODES)
def test_choosing_and_confirming_in_one_step_never_loses_a_packet(kernel: str, nat: str) -> None:
    s = scenario(kernel, nat)
    assert explore(s).witness is not None
    explored = explore(s, locked(s.release))
    assert explored.complete
    assert explored.witness is None


@each_kernel(ROVER, ROUNDS)
@pytest.mark.parametrize("nat", ["snat to 203.0.113.1:4000", "snat to 203.0.113.1:4000-4001"])
def test_one_step_does_not_help_against_exhaustion(kernel: str, nat: str) -> None:
    s = scenario(kernel, nat, occupied=() if nat.endswith(":4000") else ("4000",))
    explored = explore(s, locked(s.release))
    assert explored.complete
    assert {drops(results) for results in explored.outcomes} == {1}
    assert explored.witness is not None


@each_kernel(ROVER, ROUNDS)
def test_one_step_does_not_help_equal_original_tuples(kernel: str) -> None:
    s = scenario(kernel, packet=[POD.format(8, 32769)] * 2)
    explored = explore(s, locked(s.release))
    assert {drops(results) for results in explored.outcomes} == {0, 1}
    assert ((NF_DROP, "clash"), (1, "inserted")) in fates(explored)


# ── between ORIGINAL and REPLY ──────────────────────────────────────────────────────────────────


def test_on_4_19_a_reader_can_come_between_the_two_links() -> None:
    """A state with ORIGINAL linked and REPLY not; a confirm of the same REPLY key waits there."""
    s = scenario("4.19.66")
    trace = replay(s, check(s).witness or pytest.fail("no witness"))
    half = [n for n, state in enumerate(trace.states) if len(trace.system.world(state).linked) == 1]
    assert half, "some state has one node linked"
    state = trace.states[half[0]]
    (node,) = trace.system.world(state).linked
    assert node.ct.status & IPS_CONFIRMED
    assert trace.system.world(state).locked
    assert trace.system.edges(state, 0) == []  # cpu 0 is about to confirm, and waits
    assert trace.system.take(state, 0, ()) is None


@path(blind=True)
async def confirm_at_once(k: Release, ct: Conn, ctinfo_dir: int) -> Confirmed:
    """4.19's confirm, as if nobody could look between its two links."""
    return await atomic(confirm_linking_one_by_one(k, ct, ctinfo_dir))


def test_what_a_reader_between_the_links_sees() -> None:
    """It can see ORIGINAL's port taken and REPLY's free, and be dropped for having believed it.

    The server connects to its own forwarded port: its ORIGINAL key holds port 4000 of the outside
    address, its REPLY key port 4001.  A pod asks for 4000 first and 4001 next.
    """
    s = scenario(
        "4.19.66",
        packet=["tcp 172.16.1.8:4000 > 198.51.100.7:80", "tcp 198.51.100.7:80 > 203.0.113.1:4000"],
        rover=("tcp=1",),
    )
    rules = ("masquerade to :4000-4002", "dnat to 198.51.100.7:80")
    s = Scenario.from_arguments(nat=rules, base=s)
    at_once = attrs.evolve(s.release, confirm=confirm_at_once)
    assert ports_dropped(s, s.release) == {4000, 4001}
    assert ports_dropped(s, at_once) == {4000}


def ports_dropped(s: Scenario, k: Release) -> set[int]:
    """The ports with which cpu 0's packet can be dropped."""
    system = System(calls_on(s, k), s.world())
    found = set()
    for state in reachable(system):
        for move in system.moves(state):
            if move.drops and move.cpu == 0:
                found.add(move.answer.reply.ct.reply.dport)
    return found


def test_on_6_12_both_keys_appear_at_once() -> None:
    s = scenario("6.12.117")
    system = System(s.threads(), s.world())
    assert {len(system.world(state).linked) for state in reachable(system)} == {0, 2, 4}


# ── other clashes ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        # 4.19: the same mapping is merged
        ("4.19.66", {((1, "inserted"), (1, "merged with the winner")),
                     ((1, "established"), (1, "inserted"))}),
        ("6.12.117", {((1, "inserted"), (1, "merged with the winner")),
                      ((1, "established"), (1, "inserted"))}),
    ],
)  # fmt: skip
def test_two_datagrams_of_one_socket(kernel: str, expected: set[object]) -> None:
    s = scenario(kernel, packet=["udp 172.16.1.8:5353 > 198.51.100.7:53"] * 2)
    assert fates(explore(s)) == expected


def test_random_ports_for_one_socket_s_datagrams() -> None:
    """With random ports the two mappings differ: dropped on 4.19, a reply-only entry on 6.12."""
    packets = ["udp 172.16.1.8:5353 > 198.51.100.7:53"] * 2
    old = fates(explore(scenario("4.19.66", "masquerade random-fully", packet=packets)))
    new = fates(explore(scenario("6.12.117", "masquerade random-fully", packet=packets)))
    assert ((0, "clash"), (1, "inserted")) in old
    assert ((1, "inserted"), (1, "inserted for replies only")) in new
    assert not any(verdict == NF_DROP for outcome in new for verdict, _ in outcome)


@each_kernel(ROVER, ROUNDS)
def test_no_rule_no_race_for_different_sources(kernel: str) -> None:
    assert check(scenario(kernel, "none")).quantifier is Quantifier.NEVER


def test_outside_is_the_documented_address() -> None:
    packet = scenario("6.12.117").threads()[0].args[1][0]
    assert packet.src.min_addr == packet.src.max_addr == OUTSIDE


def test_a_start_that_others_go_on_from_is_told_from_more() -> None:
    """2.6.24 puts its random start where another walk may go on, past the first key."""
    s = scenario("2.6.24", "masquerade to :4000-4002 random", occupied=("4001",))
    odds = []
    for lazy in (True, False):
        graph = Quotient(s.threads(), s.world(), lazy=lazy)
        assert graph.grow()
        odds.append(schedulers.drops(graph))
    assert odds[0] == odds[1]
