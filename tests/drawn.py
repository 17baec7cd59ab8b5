# SPDX-License-Identifier: GPL-2.0-or-later
"""Scenarios and workloads that Hypothesis draws, small enough to be searched without any reduction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs
from hypothesis import find, settings
from hypothesis import strategies as st

from natmodel.ops import Call, RandomOffset, path
from natmodel.release import Fate
from natmodel.releases import RELEASES
from natmodel.scenario import Scenario
from tests.bench import natclash
from tests.bench.natclash import Workload

T = TypeVar("T")

# Small ranges: every start is told apart here, and of the default range there are 65,536.
NATS = (
    "masquerade to :4000-4001",
    "masquerade to :4000-4002 random",
    "snat to 203.0.113.1:4000-4002 random",
    "snat to 203.0.113.1:4000-4001 random-fully",
)


@st.composite
def drawn_scenarios(draw: st.DrawFn, kernel: str) -> Scenario:
    """Two or three packets of few sources, ports and protocols; entries in their way."""
    pings = RELEASES[kernel].null_binding_id
    protocol = draw(st.sampled_from(["tcp", "udp", "icmp"][: 3 if pings else 2]))
    nat = draw(st.sampled_from(NATS))
    ports = draw(st.lists(st.sampled_from([32769, 4000, 4001]), min_size=2, max_size=3))
    if protocol == "icmp":
        packets = [f"icmp 172.16.1.{8 + n} > 198.51.100.7 id {p}" for n, p in enumerate(ports)]
    else:
        ends = st.lists(
            st.tuples(st.sampled_from([8, 9, 10]), st.sampled_from([80, 81])),
            min_size=len(ports),
            max_size=len(ports),
        )
        packets = [
            f"{protocol} 172.16.1.{host}:{port} > 198.51.100.7:{dport}"
            for (host, dport), port in zip(draw(ends), ports, strict=True)
        ]
    taken = draw(st.sets(st.sampled_from([4000, 4001, 32769]), max_size=2))
    occupied = tuple(map(str, sorted(taken))) if protocol != "icmp" else ()
    return Scenario.from_arguments(kernel, (nat,) if nat else (), packets, occupied=occupied)


# ── workloads ───────────────────────────────────────────────────────────────────────────────────


@attrs.frozen
class Twisted(Workload):
    """A workload in which nobody takes the port at `odd`, or everybody begins there."""

    odd: int
    begins: bool

    def calls(self) -> list[Call[Any]]:
        start = skewed if self.begins else fussy
        return [start(self.window, self.odd)] * self.packets


@path(blind=True)
async def skewed(window: Any, odd: int) -> Fate | Call[Fate]:
    off = await RandomOffset("get_random_u32_below", window)
    return natclash.probe(window, max(off, odd), 0, False)


@path(blind=True)
async def fussy(window: Any, odd: int) -> Fate | Call[Fate]:
    off = await RandomOffset("get_random_u32_below", window)
    if off == odd:
        return natclash.DROPPED
    return natclash.probe(window, off, 0, False)


@st.composite
def drawn_workloads(draw: st.DrawFn) -> Workload:
    """natclash, and now and then with a port that is not as the others."""
    packets, ports = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    taken = draw(st.integers(0, ports))
    modes: list[natclash.Mode] = ["fixed", "random", "rover"]
    mode = draw(st.sampled_from(modes))
    odd = draw(st.none() | st.integers(0, ports - 1))
    if odd is None:
        return Workload(packets, ports, taken, mode)
    return Twisted(packets, ports, taken, mode, odd, draw(st.booleans()))


@path
async def spin(window: Any) -> Fate | Call[Fate]:
    await natclash.is_taken(window.t)
    return spin(window)


# ── mutants ─────────────────────────────────────────────────────────────────────────────────────


def shown_by(drawn: st.SearchStrategy[T], agrees: Callable[[T], bool], examples: int = 400) -> None:
    """Some drawn case shows a mutant: two answers that differ, or a search that breaks down."""

    def shows(case: T) -> bool:
        try:
            return not agrees(case)
        except (AssertionError, KeyError, ZeroDivisionError):
            return True

    find(drawn, shows, settings=settings(max_examples=examples, database=None, derandomize=True))
