# SPDX-License-Identifier: GPL-2.0-or-later
"""Scenarios of all kinds, and traces of them, for the tests of trace, render and the command."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from natmodel.scenario import Scenario
from natmodel.schedule import Schedule, Step
from natmodel.system import System
from natmodel.trace import Trace, trace_of
from natmodel.verdict import Verdict, check, replay

SERVER: Final = "198.51.100.7:80"
POD: Final = f"tcp 172.16.1.8:32769 > {SERVER}"
FAR: Final = "2001:db8:aaaa:bbbb:cccc:dddd:eeee"
LONG_V6: Final = [f"tcp [{FAR}:{n}]:32769 > [{FAR}:ffff]:80" for n in range(1, 5)]
CLOSING: Final = [
    f"tcp 10.0.0.1:{p} > {SERVER} as 203.0.113.1:{p} state TIME_WAIT" for p in (4000, 4001)
]
FOUR_PORTS: Final = ["snat to 203.0.113.1:4000-4003"]

SCENARIOS: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "rover": {"kernel": "4.19.66", "nat": FOUR_PORTS, "occupied": ["4000"]},
    "IPv6": {"packet": LONG_V6[:2]},
    "four cpus, IPv6": {"packet": LONG_V6},
    "three cpus": {"cpus": 3},
    "four cpus": {"cpus": 4, "kernel": "4.19.66"},
    "five cpus": {"cpus": 5},
    "two packets on each cpu": {
        "cpus": 2,
        "packet": [POD.replace("1.8", f"1.{n}") for n in range(8, 12)],
    },
    "random": {"kernel": "4.19.66", "nat": ["masquerade random"]},
    "random-fully": {"nat": ["snat to 203.0.113.1:4000-4007 random-fully"], "occupied": ["4000"]},
    "udp, same ORIGINAL": {
        "packet": [POD.replace("tcp", "udp")] * 2,
        "nat": ["masquerade random-fully"],
    },
    "tcp, same ORIGINAL": {"packet": [POD] * 2},
    "dnat": {"nat": ["dnat to 10.0.0.1-10.0.0.2:8080-8081", "masquerade"]},
    "gre": {
        "packet": [f"gre 172.16.1.{n} > 198.51.100.7 key 1/2 master" for n in (8, 9)],
        "kernel": "4.19.66",
    },
    "gre without a call": {"packet": [f"gre 172.16.1.{n} > 198.51.100.7 key 1/2" for n in (8, 9)]},
    "icmp": {
        "packet": [f"icmp 172.16.1.{n} > 198.51.100.7 id 7" for n in (8, 9)],
        "occupied": ["7"],
        "kernel": "4.19.66",
    },
    "no ports": {"packet": [f"99 172.16.1.{n} > 198.51.100.7" for n in (8, 9)]},
    "zones": {"packet": [f"{POD} zone {n} orig" for n in (1, 2)], "kernel": "4.19.66"},
    "one port": {"nat": ["snat to 203.0.113.1:4000"]},
    "one port, unseen": {"nat": ["snat to 203.0.113.1:4000"], "kernel": "4.19.66"},
    "full, rover": {
        "nat": ["snat to 203.0.113.1:4000-4019"],
        "packet": [POD],
        "occupied": ["4000-4019"],
        "kernel": "4.19.66",
    },
    "full": {"nat": ["snat to 203.0.113.1:4000-4019"], "packet": [POD], "occupied": ["4000-4019"]},
    "eviction": {"nat": ["snat to 203.0.113.1:4000-4001"], "occupied": CLOSING},
    "no rule": {"nat": ["none"]},
    "own reverse": {
        "nat": ["none"],
        "packet": ["udp 10.0.0.1:1 > 10.0.0.2:2"],
        "occupied": ["udp 10.0.0.2:2 > 10.0.0.1:1 to 10.0.0.3:9 status confirmed"],
    },
    "long chain": {"packet": [POD], "occupied": ["4000-4099"], "boot": "buckets 1"},
}


@cache
def verdict_of(name: str) -> Verdict:
    return check(Scenario.from_arguments(**SCENARIOS[name]))


def trace_by(scenario: Scenario, schedule: Schedule | str) -> Trace:
    if isinstance(schedule, str):
        schedule = Schedule.parse(schedule)
    return trace_of(replay(scenario, schedule))


@cache
def witness_of(name: str) -> Trace:
    """The trace of a shortest drop."""
    verdict = verdict_of(name)
    assert verdict.witness is not None
    return trace_by(verdict.scenario, verdict.witness)


@cache
def system_of(name: str) -> tuple[Scenario, System]:
    scenario = Scenario.from_arguments(**SCENARIOS[name])
    return scenario, System(scenario.threads(), scenario.world())


def walked(name: str, choices: list[int]) -> Trace:
    """A schedule in which each number chooses a step."""
    scenario, system = system_of(name)
    state, steps = system.initial, []
    for choice in choices:
        moves = list(system.moves(state))
        if not moves:
            break
        move = moves[choice % len(moves)]
        steps.append(Step(move.cpu, move.answer.draws))
        state = move.state
    return trace_by(scenario, Schedule(tuple(steps)))


def names_with_a_drop() -> Iterator[str]:
    return (name for name in SCENARIOS if verdict_of(name).witness is not None)
