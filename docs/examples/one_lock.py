# SPDX-License-Identifier: GPL-2.0-or-later
"""One lock from choose to confirm: whoever has not chosen yet waits until the other has confirmed."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

import attrs

from natmodel.ops import LockTable, UnlockBuckets, path
from natmodel.paths.packet import init_conntrack, nat_and_confirm
from natmodel.quotient import Quotient
from natmodel.release import Fate, Packet, Release
from natmodel.releases import V6_12_117
from natmodel.scenario import Scenario


@path(blind=True)
async def under_one_lock(k: Release, p: Packet) -> Fate:
    """The kernel's own steps; every other new connection waits meanwhile, whatever it asks for."""
    ct = init_conntrack(p)
    await LockTable(ct)
    fate = await nat_and_confirm(k, p)
    await UnlockBuckets(ct)
    return fate


ONE_LOCK = attrs.evolve(V6_12_117, name="6.12.117, one lock", new_connection=under_one_lock)
"""6.12.117, if a lock were taken before the choice and given back after confirm."""


def odds_of_waiting(scenario: Scenario) -> Fraction:
    """P(some CPU finds the lock held) if whoever is next is drawn evenly."""
    graph = Quotient(scenario.threads(), scenario.world(), lazy=True)
    assert graph.grow()
    system, waiting = graph.system, Fraction(0)
    chances: dict[int, Fraction] = defaultdict(Fraction, {0: Fraction(1)})
    for number in graph.order():
        state, chance, choices = graph.states[number], chances[number], graph.steps[number]
        to_go = [cpu for cpu in range(system.cpus) if system.pending(state, cpu) is not None]
        if not all(system.edges(state, cpu) for cpu in to_go):
            waiting += chance
            continue
        for alike, ways in choices:
            for to, (_, _, answer, _) in ways:
                chances[to] += chance * Fraction(alike, len(to_go)) * answer.odds
    return waiting
