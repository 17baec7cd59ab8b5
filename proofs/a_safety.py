# SPDX-License-Identifier: GPL-2.0-or-later
"""What can never happen, and beside it that its situation arises."""

from __future__ import annotations

from collections import Counter

from natmodel.controls import locked
from natmodel.release import Release
from proofs.theorem import MODES, Quantifier, count, drops, explored, pods, states, theorem

RANGES = ("snat to 203.0.113.1:4000-4002", "snat to 203.0.113.1:4000-4002 random-fully")


@theorem(Quantifier.NEVER, "2 packets, tcp and udp, 3 ports, 1 of them occupied or none")
def two_nodes_in_the_table_carry_one_key(k: Release) -> str:
    """Confirm is safe: whatever is chosen, the table holds no key twice."""
    seen = 0
    for nat in RANGES:
        for protocol in ("tcp", "udp"):
            for occupied in ((), ("4001",)):
                for system, state in states(pods(k, nat, (1, 1), protocol, occupied), k):
                    seen += 1
                    world = system.world(state)
                    keys = Counter(node.t for node in world.linked)
                    background = [world.background.nodes_of(t) for t in keys]
                    assert all(n == 1 for n in keys.values())
                    assert not any(background)
    return count(seen)


@theorem(Quantifier.SOMETIMES, "2 packets, 3 ports")
def two_packets_have_chosen_one_key(k: Release) -> str:
    """So the theorem above is not empty: there are states with two choices of one key."""
    for seen, (system, state) in enumerate(states(pods(k, RANGES[0], (1, 1)), k)):
        replies = Counter(ct.reply for ct in system.world(state).bysource)
        if any(n > 1 for n in replies.values()):
            return f"state {seen}"
    raise AssertionError("no such state")


@theorem(Quantifier.NEVER, "2 or 3 packets, default range")
def different_free_source_ports_race_in_default_mode(k: Release) -> str:
    seen = 0
    for ports in ((1025, 1026), (600, 700), (80, 40000), (1025, 1026, 1027)):
        result = explored(pods(k, ports=ports), k)
        assert result.witness is None
        seen += result.states
    return count(seen)


@theorem(Quantifier.NEVER, "2 packets, default range and 3 ports, every mode")
def a_packet_is_lost_if_choosing_and_confirming_are_one_step(k: Release) -> str:
    """With different ORIGINAL tuples, and a free port that the walk reaches."""
    seen = 0
    for nat in (*MODES, *RANGES):
        result = explored(pods(k, nat), locked(k))
        assert result.witness is None
        seen += result.states
    return count(seen)


@theorem(Quantifier.ALWAYS, "2 packets, 1 free port")
def one_of_two_packets_is_lost_to_exhaustion_all_the_same(k: Release) -> str:
    s = pods(k, "snat to 203.0.113.1:4000-4001", occupied=("4000",))
    result = explored(s, locked(k))
    assert {drops(outcome) for outcome in result.outcomes} == {1}
    return count(result.states)
