# SPDX-License-Identifier: GPL-2.0-or-later
"""Scenarios that Hypothesis draws, small enough to be searched without any reduction."""

from __future__ import annotations

from hypothesis import strategies as st

from natmodel.releases import RELEASES
from natmodel.scenario import Scenario

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
