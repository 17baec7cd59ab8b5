# SPDX-License-Identifier: GPL-2.0-or-later
"""What a theorem is: a sentence with a quantifier, a bound, and a function that finds the evidence.

The function gets a release's row, raises AssertionError if the statement is false, and returns what it
rests on: how many states were seen, or the schedule that shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any

import attrs

from natmodel.explore import Explored, Explorer
from natmodel.ops import Call
from natmodel.release import Fate, Release
from natmodel.scenario import Scenario
from natmodel.system import State, System
from natmodel.values import NF_DROP

Evidence = Callable[[Release], str]


class Quantifier(Enum):
    """In which schedules, or for which inputs, the statement holds."""

    NEVER = "Never"
    SOMETIMES = "Sometimes"
    ALWAYS = "Always"


@attrs.frozen
class Theorem:
    """A statement about some releases, within a bound."""

    quantifier: Quantifier
    statement: str
    bound: str
    releases: tuple[str, ...]
    evidence: Evidence


def theorem(
    quantifier: Quantifier, bound: str, releases: tuple[str, ...] = ("4.19.66", "6.12.117")
) -> Callable[[Evidence], Theorem]:
    """The function's name is the statement."""

    def make(evidence: Evidence) -> Theorem:
        statement = evidence.__name__.replace("_", " ")
        return Theorem(quantifier, statement, bound, releases, evidence)

    return make


# ── what theorems are made of ───────────────────────────────────────────────────────────────────

MODES = ("masquerade", "masquerade random", "masquerade random-fully")
POD = "{} 172.16.1.{}:{} > 198.51.100.7:80"


def pods(
    k: Release,
    nat: str = "masquerade",
    ports: Sequence[int] = (32769, 32769),
    protocol: str = "tcp",
    occupied: Sequence[str] = (),
) -> Scenario:
    """One pod for each source port, all to one server."""
    packets = [POD.format(protocol, 8 + n, port) for n, port in enumerate(ports)]
    name = k.name.partition(",")[0]
    return Scenario.from_arguments(name, (nat,), packets, occupied=occupied)


def calls(s: Scenario, k: Release) -> list[Call[tuple[Fate, ...]]]:
    """The scenario's packets on the row that is given, a control included."""
    return [Call(call.body, (k, *call.args[1:])) for call in s.threads()]


def explored(s: Scenario, k: Release) -> Explored:
    seen = Explorer(calls(s, k), s.world()).run()
    assert seen.complete
    return seen


def states(s: Scenario, k: Release) -> Iterator[tuple[System, State]]:
    """Every state, unmerged."""
    system = System(calls(s, k), s.world())
    found, seen = [system.initial], {system.initial}
    for state in found:
        yield system, state
        for move in system.moves(state):
            if move.state not in seen:
                seen.add(move.state)
                found.append(move.state)


def drops(results: tuple[Any, ...]) -> int:
    """How many packets were dropped."""
    return sum(fate.verdict == NF_DROP for fates in results for fate in fates)


def count(number: int) -> str:
    return f"{number:,} states"
