# SPDX-License-Identifier: GPL-2.0-or-later
"""Every interleaving, breadth first: which states there are, and the shortest way to a drop.

The search is exhaustive within its limits; one that a limit has stopped says so.  States are merged by
symmetry, but a witness is always a concrete schedule that replays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import attrs

from natmodel.ops import Call
from natmodel.schedule import Schedule, Step
from natmodel.symmetry import NAMED, symmetry_of
from natmodel.system import State, System
from natmodel.world import World


@attrs.frozen
class Limits:
    """Where a search gives up: this many states, or this many seconds."""

    states: int | None = None
    seconds: float | None = None


NO_LIMITS: Final = Limits()


@attrs.frozen
class Explored:
    """What a search has seen.

    `states` counts states up to symmetry, `final` those in which every CPU has ended, `edges` the steps
    looked at.  `outcomes` are the results of the CPUs in final states, one for each class.
    `witness` is a shortest schedule that drops a packet: fewest steps, then fewest switches, then least
    text.  `complete` says that nothing was left out.  `reductions` names what has saved states:
    "lazy draws", "merged cpus".  On paths that are not blind (natmodel.ops) draws are not lazy, and only
    CPUs that run the very same call are merged.
    """

    states: int
    final: int
    edges: int
    depth: int
    outcomes: frozenset[tuple[Any, ...]]
    witness: Schedule | None
    complete: bool
    seconds: float
    reductions: tuple[str, ...]


class Explorer:
    """A breadth-first search over the interleavings of `calls`."""

    def __init__(
        self,
        calls: Sequence[Call[Any]],
        world: World,
        *,
        lazy: bool = True,
        merge: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.system: Final = System(calls, world, lazy=lazy)
        self.symmetry: Final = symmetry_of(self.system, calls) if merge else NAMED
        self._progress = progress

    def run(self, limits: Limits = NO_LIMITS, *, stop_at_drop: bool = False) -> Explored:
        """Search until every state has been seen, a limit is reached, or a drop, if that ends it."""
        began = time.monotonic()
        canonical, edges = self.symmetry.canonical, self.system.edges
        first = canonical(self.system.initial)
        layers: list[list[State]] = [[first]]
        seen = {first}
        drops_at: int | None = None  # the depth of the first steps that drop
        looked, final = 0, 0
        outcomes: set[tuple[Any, ...]] = set()
        complete = True
        while layers[-1] and complete and not (stop_at_drop and drops_at is not None):
            after: list[State] = []
            for state in layers[-1]:
                ended = True
                for cpu in range(self.system.cpus):
                    for t, w, _, drops in edges(state, cpu):
                        ended = False
                        looked += 1
                        to = canonical((*state[:cpu], t, *state[cpu + 1 : -1], w))
                        if drops and drops_at is None:
                            drops_at = len(layers)
                        if to not in seen:
                            seen.add(to)
                            after.append(to)
                if ended:
                    self._must_be_final(state)
                    final += 1
                    outcomes.add(self.system.results(state))
                if over(limits, len(seen), began):
                    complete = False
                    break
            layers.append(after)
            if self._progress is not None:
                self._progress(len(seen), len(after))
        if stop_at_drop and drops_at is not None:
            complete = False
        witness = None if drops_at is None else self._witness(layers[: drops_at + 1])
        return Explored(
            states=len(seen),
            final=final,
            edges=looked,
            depth=len(layers) - 1,
            outcomes=frozenset(outcomes),
            witness=witness,
            complete=complete,
            seconds=time.monotonic() - began,
            reductions=self.reductions,
        )

    @property
    def reductions(self) -> tuple[str, ...]:
        """The names of those in use."""
        used = {"lazy draws": self.system.lazy, "merged cpus": bool(self.symmetry.groups)}
        return tuple(name for name, is_used in used.items() if is_used)

    def _must_be_final(self, state: State) -> None:
        assert self.system.is_final(state), "every CPU that has not ended is blocked"

    # ── the witness ─────────────────────────────────────────────────────────────────────────────

    def _witness(self, layers: list[list[State]]) -> Schedule:
        """Of the shortest schedules that drop, the one with fewest switches, then least text.

        Backward over the layers: which classes lie on a shortest way.  Then forward over concrete
        states on those classes, keeping the best ways to each state with each last CPU.
        """
        on_way = self._on_shortest_way(layers)
        best: dict[tuple[State, int], _Best] = {(self.system.initial, -1): {0: _NO_WAY}}
        canonical = self.symmetry.canonical
        for depth in range(1, len(layers)):
            after: dict[tuple[State, int], _Best] = {}
            last = depth == len(layers) - 1
            for (state, _), ways in best.items():
                for cpu in range(self.system.cpus):
                    for t, w, answer, drops in self.system.edges(state, cpu):
                        to = (*state[:cpu], t, *state[cpu + 1 : -1], w)
                        if not drops if last else canonical(to) not in on_way[depth]:
                            continue
                        kept = after.setdefault((to, cpu), {})
                        for way in ways.values():
                            _keep(kept, way.then(cpu, answer.draws))
            best = after
        return min(way for ways in best.values() for way in ways.values()).schedule

    def _on_shortest_way(self, layers: list[list[State]]) -> list[set[State]]:
        """For each depth, the classes from which a drop is reached at the last depth, no sooner."""
        canonical, edges = self.symmetry.canonical, self.system.edges
        on_way: list[set[State]] = [set() for _ in layers]
        for depth in range(len(layers) - 2, -1, -1):
            last = depth == len(layers) - 2
            for state in layers[depth]:
                for cpu in range(self.system.cpus):
                    for t, w, _, drops in edges(state, cpu):
                        if last:
                            leads = drops
                        else:
                            to = canonical((*state[:cpu], t, *state[cpu + 1 : -1], w))
                            leads = to in on_way[depth + 1]
                        if leads:
                            on_way[depth].add(state)
        return on_way


@attrs.frozen(eq=False)
class _Way:
    """How a state was reached; the least is the best among ways of one length.

    `run` counts the equal steps without draws at the end.  Only they may still be written in another
    way when steps follow, and so of two ways with one last CPU and one `run` the lesser stays it.
    """

    switches: int
    run: int
    before: _Way | None
    step: Step | None

    def then(self, cpu: int, draws: tuple[int, ...]) -> _Way:
        switches, run = self.switches, 0 if draws else 1
        if self.step is not None:
            switches += self.step.cpu != cpu
            run += 0 if draws or self.step.cpu != cpu else self.run
        return _Way(switches, run, self, Step(cpu, draws))

    @property
    def schedule(self) -> Schedule:
        steps = []
        way: _Way | None = self
        while way is not None and way.step is not None:
            steps.append(way.step)
            way = way.before
        return Schedule(tuple(reversed(steps)))

    def __lt__(self, other: _Way) -> bool:
        if self.switches != other.switches:
            return self.switches < other.switches
        return self.schedule < other.schedule


_NO_WAY: Final = _Way(0, 0, None, None)
# The ways to one state with one last CPU that may still turn out to be the best, by `run`.
_Best: TypeAlias = dict[int, _Way]


def _keep(kept: _Best, way: _Way) -> None:
    """Keep the way unless a better one is known, and no way that this one betters."""
    switches = next(iter(kept.values())).switches if kept else way.switches
    if way.switches < switches:
        kept.clear()
    if way.switches <= switches and (way.run not in kept or way < kept[way.run]):
        kept[way.run] = way


def over(limits: Limits, states: int, began: float) -> bool:
    """Has a search that began then (time.monotonic) and has seen so many states reached a limit?"""
    if limits.states is not None and states > limits.states:
        return True
    return limits.seconds is not None and time.monotonic() - began > limits.seconds
