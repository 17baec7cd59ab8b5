# SPDX-License-Identifier: GPL-2.0-or-later
"""Questions about a scenario, and answers that carry their bound.

`check` asks: can a packet be dropped?  `replay` walks one schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Final

import attrs

from natmodel.errors import BadInput
from natmodel.explore import NO_LIMITS, Explored, Explorer, Limits
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
class Verdict:
    """The answer to "can a packet be dropped?", for one scenario and no other.

    NEVER and ALWAYS are said only when every state within the bound has been seen.
    """

    quantifier: Quantifier
    scenario: Scenario
    explored: Explored

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
    def exit_code(self) -> int:
        """0 never, 1 a drop is reachable, 3 not decided within the limits."""
        return EXIT_CODES[self.quantifier]


def check(
    scenario: Scenario,
    limits: Limits = NO_LIMITS,
    *,
    exhaustive: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Verdict:
    """Can a packet be dropped, in any schedule and with any random values?

    The search ends with the first drop unless it is to be exhaustive; only an exhaustive one can say
    ALWAYS.  `progress` is called now and then with the states seen and those waiting.
    """
    explorer = Explorer(scenario.threads(), scenario.world(), progress=progress)
    explored = explorer.run(limits, stop_at_drop=not exhaustive)
    return Verdict(_quantifier(explored), scenario, explored)


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
