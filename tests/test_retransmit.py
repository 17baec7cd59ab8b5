# SPDX-License-Identifier: GPL-2.0-or-later
"""A dropped SYN is sent again: which port it gets then, by release and mode; and it can lose again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from natmodel.cli import main, shown_way
from natmodel.errors import BadInput
from natmodel.ops import TimerFires
from natmodel.release import Fate
from natmodel.scenario import Scenario
from natmodel.schedule import Schedule
from natmodel.system import State, System
from natmodel.testing import NatMachine
from natmodel.trace import Ending, trace_of
from natmodel.values import IPPROTO_TCP, NF_ACCEPT, NF_DROP, nf_ct_invert_tuple
from natmodel.verdict import check, replay, to_the_end
from tests.kernels import each_kernel
from tests.machine import shrunk

POD = "tcp 172.16.1.{}:{} > 198.51.100.7:80"
ROVER_ROWS = ("3.10.4", "4.19.66")


def pods(
    kernel: str, nat: str = "masquerade", n: int = 2, port: int = 32769, **more: Any
) -> Scenario:
    packets = [POD.format(8 + i, port) for i in range(n)]
    return Scenario(kernel=kernel, nat=[nat], packets=packets, **more)


def fates(s: Scenario) -> set[tuple[tuple[int, int, int], ...]]:
    """For each outcome of any schedule and draw: (packet, verdict, ms) of every packet."""
    explored = check(s, exhaustive=True).explored
    assert explored.complete
    return {
        tuple((f.packet, f.verdict, f.at) for fates in outcome for f in fates)
        for outcome in explored.outcomes
    }


def retried(kernel: str, nat: str) -> list[tuple[int, int]]:
    """(ms, port) of the packets of the shortest drop, gone on with, in the order of their CPUs."""
    s = pods(kernel, nat, retransmit=(1000, 3000))
    trace = trace_of(replay(s, shown_way(check(s))))
    assert all(end.ending is Ending.ACCEPTED for end in trace.ends)
    found = []
    for end in trace.ends:
        assert end.ct is not None
        found.append((end.at, nf_ct_invert_tuple(end.ct.reply).sport))
    return found


def test_one_cpu_sends_its_packets_in_their_order() -> None:
    """The second of them in the first's way; nothing is dropped, nothing sent again."""
    s = pods("6.12.117", n=3, cpus=1, retransmit=(1000,))
    for (outcome,) in check(s, exhaustive=True).explored.outcomes:
        assert [(f.packet, f.verdict, f.at) for f in outcome] == [
            (n, NF_ACCEPT, 0) for n in range(3)
        ]
        ports = [nf_ct_invert_tuple(f.ct.reply).sport for f in outcome if f.ct is not None]
        assert ports[0] == 32769
        assert 32769 not in ports[1:]


def test_what_is_sent_again_is_what_was_dropped() -> None:
    """A SYN and a datagram of one sender, and another sender's SYN in the way of the first."""
    packets = [POD.format(8, 1025), POD.format(9, 1025), "udp 172.16.1.8:53 > 198.51.100.7:53"]
    s = Scenario(kernel="6.12.117", nat=["masquerade"], packets=packets, cpus=2, retransmit=[1000])
    found = fates(s)
    assert all(verdict == NF_ACCEPT for one in found for _, verdict, _ in one)
    times = {tuple(sorted((packet, at) for packet, _, at in one)) for one in found}
    assert times == {
        ((0, 0), (1, 0), (2, 0)),
        ((0, 1000), (1, 0), (2, 0)),
        ((0, 0), (1, 1000), (2, 0)),
    }


# ── SPEC k: which port the retry gets ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("kernel", ROVER_ROWS)
def test_with_a_rover_the_retry_gets_the_first_free_port_from_it(kernel: str) -> None:
    """The rover is 0 at boot: port 1024 (SPEC k, b.2)."""
    assert retried(kernel, "masquerade") == [(1000, 1024), (0, 32769)]


@pytest.mark.parametrize("kernel", ["5.0.1", "6.12.117"])
def test_later_the_retry_gets_a_random_port(kernel: str) -> None:
    s = pods(kernel, retransmit=(1000,))
    way = check(s).witness
    assert way is not None
    drawn = {step.draws for step in to_the_end(s, way).steps}
    assert len(drawn) == 2  # one step draws a start
    (_, port), _ = retried(kernel, "masquerade")
    assert port != 32769


@pytest.mark.parametrize("kernel", ROVER_ROWS)
def test_where_random_is_a_hash_the_retry_gets_the_next_free_port_after_it(kernel: str) -> None:
    (ms, port), (_, first) = retried(kernel, "masquerade random")
    assert (ms, port) == (1000, first + 1)


def test_fully_random_draws_anew() -> None:
    s = pods("4.19.66", "masquerade random-fully", retransmit=(1000,))
    way = check(s).witness
    assert way is not None
    draws = [step.draws for step in to_the_end(s, way).steps if step.draws]
    assert len(draws) == 3


@each_kernel("2.6.24", "4.19.66", "6.12.117")
def test_of_two_packets_the_loser_gets_through_after_a_second(kernel: str) -> None:
    s = pods(kernel, retransmit=(1000, 3000))
    outcomes = fates(s)
    assert {verdict for outcome in outcomes for _, verdict, _ in outcome} == {NF_ACCEPT}
    assert {tuple(sorted(ms for *_, ms in outcome)) for outcome in outcomes} == {(0, 0), (0, 1000)}


@pytest.mark.parametrize("kernel", ["4.19.66", "6.12.117"])
def test_two_losers_can_lose_again(kernel: str) -> None:
    """Three pods, one port: both losers come back after a second, and may meet again."""
    s = pods(kernel, "snat to 203.0.113.1:4000-4003", n=3, port=4000, retransmit=(1000, 3000))
    latest = {max(ms for _, _, ms in outcome) for outcome in fates(s)}
    assert latest == {0, 1000, 3000}


def test_a_full_range_is_lost_for_good() -> None:
    s = pods("6.12.117", "snat to 203.0.113.1:4000", retransmit=(1000, 3000, 7000))
    outcomes = fates(s)
    assert {max(outcome, key=lambda f: f[2])[1:] for outcome in outcomes} == {(NF_DROP, 7000)}


def test_only_a_SYN_is_sent_again() -> None:
    packets = [f"udp 172.16.1.{n}:32769 > 198.51.100.7:53" for n in (8, 9)]
    s = Scenario(packets=packets, retransmit=(1000,))
    assert {ms for outcome in fates(s) for _, _, ms in outcome} == {0}
    assert IPPROTO_TCP not in {spec.t.protonum for spec in s.packets}


def test_a_cpu_takes_its_other_packets_meanwhile() -> None:
    packets = [POD.format(n, 32769) for n in (8, 9, 10)]
    s = Scenario(packets=packets, cpus=2, retransmit=(1000,))
    way = check(s).witness
    assert way is not None
    trace = trace_of(replay(s, to_the_end(s, way)))
    assert sorted(end.at for end in trace.ends) == [0, 0, 1000]
    waits = [row.step for row in trace.rows if row.what.value == "wait"]
    ends = [row.step for row in trace.rows if row.done is not None]
    assert sum(step < waits[0] for step in ends) == 3


@pytest.mark.parametrize("kernel", ["4.19.66", "6.12.117"])
def test_nobody_is_sent_again_before_everybody_else_is_done(kernel: str) -> None:
    """In no state does one CPU work on a retry and another one on something earlier."""
    s = pods(kernel, "snat to 203.0.113.1:4000-4001", port=4000, retransmit=(1000,))
    system = System(s.threads(), s.world())
    todo, seen = [system.initial], {system.initial}
    retries = 0
    for state in todo:
        rounds = [round_of(system, state, cpu) for cpu in range(system.cpus)]
        retries += 1 in rounds
        assert not {0, 1} <= set(rounds)
        for move in system.moves(state):
            if move.state not in seen:
                seen.add(move.state)
                todo.append(move.state)
    assert retries


def round_of(system: System, state: State, cpu: int) -> int | None:
    """Which attempt the CPU is at; None if it waits for its timer, or is done."""
    op = system.pending(state, cpu)
    if op is None or isinstance(op, TimerFires):
        return None
    _, args, _ = system.threads.stack[state[cpu]][0]
    tried = args[-1]
    assert isinstance(tried, int)
    return tried


# ── forms ───────────────────────────────────────────────────────────────────────────────────────


def test_nothing_changes_where_nothing_is_sent_again() -> None:
    assert str(check(pods("6.12.117")).witness) == "00000 111111 0"


@pytest.mark.parametrize("text", ["x", "0", "-1", "3,1", "1,1", "1e9", "0.0001", "1,,3", "nan"])
def test_bad_times_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"^retransmit"):
        Scenario.from_arguments(retransmit=text)


def test_the_scenario_survives_its_forms() -> None:
    s = Scenario(retransmit="1,3,7.25")
    assert s.retransmit == (1000, 3000, 7250)
    assert Scenario.from_text(s.to_json(), "x.json") == s
    assert Scenario.from_text(s.to_toml(), "x.toml") == s
    assert "1,3,7.25" in s.arguments()


def test_the_command_shows_the_retry_and_replays(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--retransmit", "1,3", "--format", "json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert [end["after_ms"] for end in data["witness"]["packets"]] == [1000, 0]
    way = Schedule.parse(data["witness"]["schedule"])
    assert main(["replay", "--retransmit", "1,3", "--schedule", str(way)]) == 1
    assert "accepted after 1 s as tcp 203.0.113.1:" in capsys.readouterr().out


def test_the_hypothesis_machine_takes_it() -> None:
    class Retried(NatMachine):
        scenario = pods("6.12.117", "snat to 203.0.113.1:4000-4003", retransmit=(1000,))
        fail_on_drop = False

    assert shrunk(Retried, examples=40) is None


def test_fates_say_when() -> None:
    assert Fate(0, NF_ACCEPT, "inserted", None).at == 0
