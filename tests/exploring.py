# SPDX-License-Identifier: GPL-2.0-or-later
"""What the explorer's tests share: scenarios in one line, and a slow search that keeps histories."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import attrs

from natmodel.explore import Explored, Explorer, Limits
from natmodel.ops import Atomic, Call
from natmodel.release import Fate, Release
from natmodel.scenario import Scenario
from natmodel.system import Move, State, System
from natmodel.values import NF_DROP

POD = "tcp 172.16.1.{}:{} > 198.51.100.7:80"


def scenario(
    kernel: str, nat: str = "masquerade", *, ports: tuple[int, ...] = (32769, 32769), **more: Any
) -> Scenario:
    """One pod for each source port, all to one server."""
    packets = more.pop("packet", [POD.format(8 + n, port) for n, port in enumerate(ports)])
    return Scenario.from_arguments(kernel, (nat,) if nat else (), packets, **more)


def calls_on(s: Scenario, k: Release | None) -> list[Call[tuple[Fate, ...]]]:
    """The scenario's threads, on another row if one is given."""
    return [Call(call.body, (k or s.release, *call.args[1:])) for call in s.threads()]


def explore(
    s: Scenario, k: Release | None = None, *, stop_at_drop: bool = False, **options: Any
) -> Explored:
    return Explorer(calls_on(s, k), s.world(), **options).run(Limits(), stop_at_drop=stop_at_drop)


def fates(explored: Explored) -> set[tuple[tuple[int, str], ...]]:
    """The classes of outcomes without names: each packet's verdict and why, sorted."""
    return {
        tuple(sorted((fate.verdict, fate.cause) for cpu in results for fate in cpu))
        for results in explored.outcomes
    }


def drops(results: tuple[tuple[Fate, ...], ...]) -> int:
    return sum(fate.verdict == NF_DROP for cpu in results for fate in cpu)


@attrs.frozen
class History:
    """What a slow search remembers of the way to a state.

    For each CPU: the key of its last look-up that said free, whether its REPLY key has been published
    by confirm, and what it drew.  `overlap` says that every CPU's approving look-up came before the
    first of these publications.
    """

    approved: tuple[Any, ...]
    confirmed: tuple[bool, ...]
    drawn: tuple[tuple[int, ...], ...]
    overlap: bool | None = None

    def after(self, move: Move) -> History:
        op, reply, cpu = move.op, move.answer.reply, move.cpu
        approved, confirmed = list(self.approved), list(self.confirmed)
        drawn = list(self.drawn)
        drawn[cpu] += move.answer.draws
        overlap = self.overlap
        if isinstance(op, Atomic):
            name = op.call.name
            if (name.startswith("taken") and reply is False) or (name == "find" and reply is None):
                approved[cpu] = op.call.args[1]
            elif name in ("link_reply", "test_and_publish"):
                if overlap is None:
                    overlap = self._all_approved()
                confirmed[cpu] = True
        return History(tuple(approved), tuple(confirmed), tuple(drawn), overlap)

    def _all_approved(self) -> bool:
        """Has every CPU found a key of the outside address free?"""
        return all(key is not None and key.dst == OUTSIDE for key in self.approved)


OUTSIDE = 0xCB007101  # 203.0.113.1


def histories(system: System) -> Iterator[tuple[State, History]]:
    """Every final state with every way to it that History tells apart."""
    none: tuple[None, ...] = (None,) * system.cpus
    start = (system.initial, History(none, (False,) * system.cpus, ((),) * system.cpus))
    seen, todo = {start}, [start]
    while todo:
        state, history = todo.pop()
        if system.is_final(state):
            yield state, history
        for move in system.moves(state):
            there = (move.state, history.after(move))
            if there not in seen:
                seen.add(there)
                todo.append(there)


def reachable(system: System) -> list[State]:
    """Every state, unmerged, by the plainest search there is."""
    states = [system.initial]
    seen = {system.initial}
    for state in states:
        for move in system.moves(state):
            if move.state not in seen:
                seen.add(move.state)
                states.append(move.state)
    return states


def drop_odds(system: System) -> Fraction:
    """The probability of a drop when each step is taken by a CPU chosen evenly among those that can."""
    memo: dict[State, Fraction] = {}

    def odds(state: State) -> Fraction:
        known = memo.get(state)
        if known is None:
            known = memo[state] = average(state)
        return known

    def average(state: State) -> Fraction:
        by_cpu: dict[int, Fraction] = {}
        for cpu in range(system.cpus):
            for t, w, answer, drop in system.edges(state, cpu):
                to = (*state[:cpu], t, *state[cpu + 1 : -1], w)
                chance = Fraction(1) if drop else odds(to)
                by_cpu[cpu] = by_cpu.get(cpu, Fraction(0)) + answer.odds * chance
        return sum(by_cpu.values(), Fraction(0)) / len(by_cpu) if by_cpu else Fraction(0)

    return odds(system.initial)


def stripped(distribution: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """Without noughts at the end."""
    last = max(n for n, p in enumerate(distribution) if p)
    return distribution[: last + 1]
