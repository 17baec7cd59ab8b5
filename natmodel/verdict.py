# SPDX-License-Identifier: GPL-2.0-or-later
"""Questions about a scenario, and answers that carry their bound.

`check` asks: can a packet be dropped?  `replay` walks one schedule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from random import Random
from typing import Any, Final, TypeAlias

import attrs

from natmodel.errors import BadInput
from natmodel.explore import NO_LIMITS, Explored, Explorer, KindOf, Limits, Pause
from natmodel.release import Confirmed, Fate
from natmodel.scenario import Scenario
from natmodel.schedule import Schedule, Step
from natmodel.system import Move, State, System, WrongDraws
from natmodel.values import NF_DROP


class Quantifier(Enum):
    """In which schedules a packet is dropped."""

    NEVER = "never"
    SOMETIMES = "sometimes"
    ALWAYS = "always"
    UNKNOWN = "unknown"


EXIT_CODES: Final = {
    Quantifier.NEVER: 0,
    Quantifier.SOMETIMES: 1,
    Quantifier.ALWAYS: 1,
    Quantifier.UNKNOWN: 3,
}


@attrs.frozen
class Outcome:
    """How all packets can end: `drops` of them dropped, and a shortest schedule that ends so."""

    drops: int
    schedule: Schedule


@attrs.frozen
class Verdict:
    """The answer to "can a packet be dropped?", for one scenario and no other.

    NEVER and ALWAYS are said only when every state within the bound has been seen.
    """

    quantifier: Quantifier
    scenario: Scenario
    explored: Explored
    # was every outcome asked for?
    all_outcomes: bool = False

    @property
    def bound(self) -> str:
        """What was covered, in one line."""
        return self.scenario.bound()

    @property
    def witness(self) -> Schedule | None:
        """A shortest schedule that drops a packet."""
        return self.explored.witness

    @property
    def reductions(self) -> tuple[str, ...]:
        """What has saved states: none where a path of one's own is not declared blind."""
        return self.explored.reductions

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Those that were asked for and found: fewest drops, then shortest schedule first.

        Two are one if each packet has the same verdict, cause and time, up to an exchange of packets
        that differ in their source address only.
        """
        found = (
            Outcome(_drops_of(kind), schedule) for kind, schedule in self.explored.ways.items()
        )
        return tuple(sorted(found, key=lambda outcome: (outcome.drops, outcome.schedule)))

    @property
    def exit_code(self) -> int:
        """0 never, 1 a drop is reachable, 3 not decided within the limits.

        Where every outcome was asked for, it is decided only when all have been found.
        """
        if self.all_outcomes and not self.explored.complete:
            return EXIT_CODES[Quantifier.UNKNOWN]
        return EXIT_CODES[self.quantifier]


def check(
    scenario: Scenario,
    limits: Limits = NO_LIMITS,
    *,
    exhaustive: bool = False,
    outcomes: bool = False,
    explorer: Explorer | None = None,
    pause: Pause | None = None,
) -> Verdict:
    """Can a packet be dropped, in any schedule and with any random values?

    The search ends with the first drop unless it is to be exhaustive, or to find all `outcomes`; only an
    exhaustive one can say ALWAYS.  `explorer` goes on with a search of this scenario that was begun
    before; `pause` is called with it now and then.
    """
    if explorer is None:
        explorer = Explorer(scenario.threads(), scenario.world())
    explored = explorer.run(
        limits,
        stop_at_drop=not (exhaustive or outcomes),
        kind_of=_kind_of(explorer.symmetry.groups) if outcomes else None,
        pause=pause,
    )
    return Verdict(_quantifier(explored), scenario, explored, outcomes)


# How each packet of each CPU ended: verdict, cause, time.
_Kind: TypeAlias = tuple[tuple[tuple[int, str, int], ...], ...]


def _kind_of(groups: Sequence[tuple[int, ...]]) -> KindOf:
    def kind_of(results: tuple[tuple[Fate, ...], ...]) -> _Kind:
        ends = [tuple((fate.verdict, fate.cause, fate.at) for fate in fates) for fates in results]
        for group in groups:
            for cpu, end in zip(group, sorted(ends[cpu] for cpu in group), strict=True):
                ends[cpu] = end
        return tuple(ends)

    return kind_of


def _drops_of(kind: Any) -> int:
    return sum(verdict == NF_DROP for ends in kind for verdict, _, _ in ends)


def _quantifier(explored: Explored) -> Quantifier:
    if explored.witness is None:
        return Quantifier.NEVER if explored.complete else Quantifier.UNKNOWN
    if explored.complete and all(map(_drops, explored.outcomes)):
        return Quantifier.ALWAYS
    return Quantifier.SOMETIMES


def _drops(results: tuple[tuple[Fate, ...], ...]) -> bool:
    return any(fate.verdict == NF_DROP for fates in results for fate in fates)


@attrs.frozen
class Replay:
    """A schedule, walked: `states[n]` is the state before `moves[n]`; the last one is after them all."""

    scenario: Scenario
    schedule: Schedule
    system: System
    states: tuple[State, ...]
    moves: tuple[Move, ...]

    @property
    def counters(self) -> dict[str, int]:
        """What `conntrack -S` would show, raised by these steps."""
        counts: dict[str, int] = {}
        for move in self.moves:
            for name in move.answer.counted:
                counts[name] = counts.get(name, 0) + 1
        return counts

    @property
    def drops(self) -> tuple[tuple[int, Confirmed | Fate], ...]:
        """(step number from 0, what confirm or the whole section did) for each packet dropped."""
        return tuple((n, move.answer.reply) for n, move in enumerate(self.moves) if move.drops)


def replay(scenario: Scenario, schedule: Schedule) -> Replay:
    """Walk `schedule`.  Raises BadInput naming the step that does not fit, and why."""
    system = System(scenario.threads(), scenario.world(), lazy=False)
    states, moves = [system.initial], []
    for move in _moves(system, schedule):
        moves.append(move)
        states.append(move.state)
    return Replay(scenario, schedule, system, tuple(states), tuple(moves))


def to_the_end(scenario: Scenario, schedule: Schedule) -> Schedule:
    """The schedule, gone on with until every packet has ended: the first CPU that can, the least draw.

    Raises BadInput if the schedule does not fit.
    """
    system = System(scenario.threads(), scenario.world())
    state, steps = system.initial, list(schedule.steps)
    for move in _moves(system, schedule):
        state = move.state
    while (move_on := next(system.moves(state), None)) is not None:
        steps.append(Step(move_on.cpu, move_on.answer.draws))
        state = move_on.state
    return Schedule(tuple(steps))


def usual_length(scenario: Scenario, tries: int = 32, most: int = 5_000) -> int | None:
    """The longest of a few schedules that are taken at random, always the same ones: in steps.

    None if that would take more steps than `most` in all.
    """
    dice, longest = Random(0), 0
    system = System(scenario.threads(), scenario.world())
    for _ in range(tries):
        state, steps = system.initial, 0
        while moves := list(system.moves(state)):
            if not most:
                return None
            state, steps, most = dice.choice(moves).state, steps + 1, most - 1
        longest = max(longest, steps)
    return longest


def _moves(system: System, schedule: Schedule) -> Iterator[Move]:
    state = system.initial
    for n, step in enumerate(schedule.steps, 1):
        if step.cpu >= system.cpus:
            raise BadInput(f"schedule, step {n}: there is no cpu {step.cpu}, only {system.cpus}")
        try:
            move = system.take(state, step.cpu, step.draws)
        except WrongDraws as wrong:
            raise BadInput(f"schedule, step {n}: cpu {step.cpu}: {wrong}") from None
        if move is None:
            done = system.pending(state, step.cpu) is None
            why = "has nothing left to do" if done else "waits for a lock that another cpu holds"
            raise BadInput(f"schedule, step {n}: cpu {step.cpu} {why}")
        yield move
        state = move.state
