# SPDX-License-Identifier: GPL-2.0-or-later
"""How probable are drops in a scenario?  Exact fractions, one for each stated scheduler."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

import attrs

from natmodel.apart import Apart, GivenUp, NotApart
from natmodel.errors import BadInput
from natmodel.explore import NO_LIMITS, Limits
from natmodel.quotient import Quotient
from natmodel.scenario import Scenario
from natmodel.schedulers import best, drops, ends, on_arrival, worst
from natmodel.values import NF_DROP

__all__ = ["Odds", "best", "drops", "ends", "odds_of", "on_arrival", "worst"]

# ms after a packet was sent first; never, for one that was dropped each time.
NEVER: Final = None
# Of more starts than these, packets that cannot meet are weighed apart.
MANY: Final = 16


@attrs.frozen
class Odds:
    """The odds of drops in one scenario and no other, and for no other scheduler than is named.

    Distributions say P(n packets are dropped) for n = 0, 1, ...  `uniform`: each CPU that can take a step
    is as likely to be next; `overlap`: so, too, but nobody links an entry before everybody has chosen;
    `arrivals`: packets come within a window of which `share` passes between choosing and committing.
    `worst` and `best` are P(some packet is dropped) for a scheduler that sees everything.  `delays`,
    where SYNs are sent again: P(the last packet is through after so many ms), None for never.

    All are None if a limit was reached first: `complete` is False then.  `states` is how many classes of
    states were weighed; where packets that cannot meet were weighed apart, how many of all the `groups`
    that can.
    """

    scenario: Scenario
    complete: bool
    states: int
    uniform: tuple[Fraction, ...] | None = None
    overlap: tuple[Fraction, ...] | None = None
    worst: Fraction | None = None
    best: Fraction | None = None
    share: Fraction | None = None
    arrivals: tuple[Fraction, ...] | None = None
    delays: Mapping[int | None, Fraction] | None = None
    groups: int | None = None

    @property
    def exit_code(self) -> int:
        """0 nothing can be dropped, 1 something can, 3 not decided within the limits."""
        if self.worst is None:
            return 3
        return 1 if self.worst else 0


def odds_of(
    scenario: Scenario, limits: Limits = NO_LIMITS, *, share: Fraction | None = None
) -> Odds:
    """The odds for every scheduler; of arrivals if their `share` is given.

    Raises BadInput where arrivals mean nothing: several packets on a CPU, or SYNs that are sent again.
    """
    if share is not None:
        _must_arrive(scenario)
    ways = [_by_states, _by_groups]
    if _has_many_starts(scenario):
        ways.reverse()
    given_up: list[Odds] = []
    for way in ways:
        found = way(scenario, limits, share)
        if found is not None and found.complete:
            return found
        given_up += [found] if found is not None else []
    return max(given_up, key=lambda odds: odds.states)


def _has_many_starts(scenario: Scenario) -> bool:
    """Do the packets draw starts, of which so many can be told apart that pairs of them are too many?"""
    try:
        return len(Apart(scenario.threads(), scenario.world()).classes) > MANY
    except NotApart:
        return False


def _by_states(scenario: Scenario, limits: Limits, share: Fraction | None) -> Odds | None:
    """From the graph of all states."""
    calls, world = scenario.threads(), scenario.world()
    graph = Quotient(calls, world, lazy=True)
    together = Quotient(calls, world, lazy=True, together=True)
    complete = graph.grow(limits) and together.grow(limits)
    states = len(graph.states) + len(together.states)
    if not complete:
        return Odds(scenario, complete=False, states=states)
    return Odds(
        scenario,
        complete=True,
        states=states,
        uniform=drops(graph),
        overlap=drops(together),
        worst=worst(graph),
        best=best(graph),
        share=share,
        arrivals=None if share is None else on_arrival(calls, world, share),
        delays=_delays(graph) if scenario.retransmit else None,
    )


def _by_groups(scenario: Scenario, limits: Limits, share: Fraction | None) -> Odds | None:
    """From groups of packets that can meet; None if they are not of that kind."""
    calls, world = scenario.threads(), scenario.world()
    try:
        apart = Apart(calls, world, limits)
    except NotApart:
        return None
    try:
        return Odds(
            scenario,
            complete=True,
            uniform=apart.drops(),
            overlap=apart.overlapped(),
            worst=apart.worst(),
            best=apart.best(),
            share=share,
            arrivals=None if share is None else on_arrival(calls, world, share),
            states=apart.states,
            groups=apart.groups,
        )
    except NotApart:
        return None
    except GivenUp:
        return Odds(scenario, complete=False, states=apart.states)


def _must_arrive(scenario: Scenario) -> None:
    if len(scenario.packets) > scenario.cpus:
        raise BadInput("arrivals: each packet needs a cpu of its own")
    if scenario.retransmit:
        raise BadInput("arrivals: no SYN is sent again there")


def _delays(graph: Quotient) -> dict[int | None, Fraction]:
    """P(the last packet is through so many ms after it was sent first), soonest first."""
    found: dict[int | None, Fraction] = defaultdict(Fraction)
    for number, p in ends(graph).items():
        fates = [f for cpu in graph.system.results(graph.states[number]) for f in cpu]
        lost = any(fate.verdict == NF_DROP for fate in fates)
        found[NEVER if lost else max(fate.at for fate in fates)] += p
    return dict(sorted(found.items(), key=lambda item: (item[0] is NEVER, item[0] or 0)))
