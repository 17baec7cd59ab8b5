# SPDX-License-Identifier: GPL-2.0-or-later
"""What can happen, each with its shortest schedule."""

from __future__ import annotations

from natmodel.release import Release
from natmodel.verdict import check, replay
from proofs.theorem import Quantifier, drops, explored, pods, theorem

SHORTEST = {
    ("4.19.66", "masquerade"): "00000 1111111 0",
    ("6.12.117", "masquerade"): "00000 111111 0",
    ("4.19.66", "masquerade random"): "000[0]00 1111111 0",
    ("6.12.117", "masquerade random"): "000[0]00 111[0]111 0",
    ("4.19.66", "masquerade random-fully"): "000[0]00 111[0]1111 0",
    ("6.12.117", "masquerade random-fully"): "000[0]00 111[0]111 0",
}


def witness(k: Release, nat: str) -> str:
    """A shortest schedule that drops one of two SYNs; replayed, and the one that is expected."""
    s = pods(k, nat)
    found = check(s).witness
    assert found is not None
    assert len(replay(s, found).drops) == 1
    assert str(found) == SHORTEST[k.name, nat]
    return str(found)


@theorem(Quantifier.SOMETIMES, "2 packets of one source port, default range")
def a_SYN_is_dropped_in_default_mode(k: Release) -> str:  # TCP's name
    return witness(k, "masquerade")


@theorem(Quantifier.SOMETIMES, "2 packets of one source port, default range")
def a_SYN_is_dropped_under_random(k: Release) -> str:
    return witness(k, "masquerade random")


@theorem(Quantifier.SOMETIMES, "2 packets of one source port, default range")
def a_SYN_is_dropped_under_random_fully(k: Release) -> str:
    return witness(k, "masquerade random-fully")


@theorem(Quantifier.ALWAYS, "2 or 3 packets of one source port, default mode; the most is reached")
def of_n_packets_at_most_n_less_one_are_dropped(k: Release) -> str:
    seen = 0
    for n in (2, 3):
        result = explored(pods(k, ports=(32769,) * n), k)
        assert max(drops(outcome) for outcome in result.outcomes) == n - 1
        seen += result.states
    return f"{seen:,} states"
