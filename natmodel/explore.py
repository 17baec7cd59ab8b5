# SPDX-License-Identifier: GPL-2.0-or-later
"""Every interleaving, breadth first: which states there are, and the shortest way to a drop.

The search is exhaustive within its limits; one that a limit has stopped says so.  States are merged by
symmetry, but a witness is always a concrete schedule that replays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from natmodel.memory import memory_in_use
from natmodel.ops import Call
from natmodel.schedule import Schedule, Step
from natmodel.symmetry import NAMED, symmetry_of
from natmodel.system import State, System
from natmodel.world import World


@attrs.frozen
class Limits:
    """Where a search gives up: this many states, or seconds, or bytes that the process holds."""

    states: int | None = None
    seconds: float | None = None
    memory: int | None = None


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
    ways: Mapping[Hashable, Schedule] = attrs.Factory(dict)


# What the CPUs' paths have returned -> the kind of end it is.
KindOf: TypeAlias = Callable[[tuple[Any, ...]], Hashable]


@attrs.define
class _Found:
    """What a search has come to: all that it needs to go on from there.

    Of the last layer, the states before `at` have been expanded; `after` is the layer that follows.
    """

    layers: list[list[State]]
    after: list[State] = attrs.Factory(list)
    at: int = 0
    seen: set[State] = attrs.Factory(set)
    drops_at: int | None = None  # the depth of the first steps that drop
    edges: int = 0
    final: int = 0
    outcomes: set[tuple[Any, ...]] = attrs.Factory(set)
    # for each kind of end its least depth, and the ends of that depth
    kinds: dict[Hashable, tuple[int, set[State]]] = attrs.Factory(dict)
    seconds: float = 0.0

    @property
    def depth(self) -> int:
        return len(self.layers) - 1


# Called now and then with what a search has come to, in a state from which it can go on.
Pause: TypeAlias = Callable[["Explorer"], None]
# How many states are expanded between two looks at the limits.
_BETWEEN: Final = 64


class Explorer:
    """A breadth-first search over the interleavings of `calls`.

    It can be pickled between two states, and goes on where it was.
    """

    def __init__(
        self,
        calls: Sequence[Call[Any]],
        world: World,
        *,
        lazy: bool = True,
        merge: bool = True,
    ) -> None:
        self.system: Final = System(calls, world, lazy=lazy)
        self.symmetry: Final = symmetry_of(self.system, calls) if merge else NAMED
        first = self.symmetry.canonical(self.system.initial)
        self.found: Final = _Found([[first]], seen={first})

    def run(
        self,
        limits: Limits = NO_LIMITS,
        *,
        stop_at_drop: bool = False,
        kind_of: KindOf | None = None,
        pause: Pause | None = None,
    ) -> Explored:
        """Search until every state has been seen, a limit is reached, or a drop, if that ends it.

        `kind_of`: also find a best schedule to each kind of end; exchanged CPUs must be of one kind.
        `pause` is called now and then, and must be quick.
        """
        found, began = self.found, time.monotonic()
        before, within = found.seconds, True
        while within and found.layers[-1] and not (stop_at_drop and found.drops_at is not None):
            within = self._layer(limits, began, kind_of, pause)
            found.seconds = before + time.monotonic() - began
        return self._explored(complete=not found.layers[-1])

    def _layer(
        self, limits: Limits, began: float, kind_of: KindOf | None, pause: Pause | None
    ) -> bool:
        """Expand what is left of the last layer; False if a limit was reached."""
        found = self.found
        layer = found.layers[-1]
        while found.at < len(layer):
            for state in layer[found.at : found.at + _BETWEEN]:
                self._expand(state, kind_of)
                found.at += 1
                if limits.states is not None and len(found.seen) > limits.states:
                    return False
            if over(limits, len(found.seen), began):
                return False
            if pause is not None:
                pause(self)
        found.layers.append(found.after)
        found.after, found.at = [], 0
        return True

    def _expand(self, state: State, kind_of: KindOf | None) -> None:
        found, seen, after = self.found, self.found.seen, self.found.after
        canonical, ended = self.symmetry.canonical, True
        for cpu in range(self.system.cpus):
            for t, w, _, drops in self.system.edges(state, cpu):
                ended = False
                found.edges += 1
                to = canonical((*state[:cpu], t, *state[cpu + 1 : -1], w))
                if drops and found.drops_at is None:
                    found.drops_at = len(found.layers)
                if to not in seen:
                    seen.add(to)
                    after.append(to)
        if ended:
            self._end(state, kind_of)

    def _end(self, state: State, kind_of: KindOf | None) -> None:
        """No CPU has a step left."""
        assert self.system.is_final(state), "every CPU that has not ended is blocked"
        found, results = self.found, self.system.results(state)
        found.final += 1
        found.outcomes.add(results)
        if kind_of is not None:
            depth, ends = found.kinds.setdefault(kind_of(results), (found.depth, set()))
            if depth == found.depth:
                ends.add(state)

    def _explored(self, *, complete: bool) -> Explored:
        found = self.found
        to_a_drop = None if found.drops_at is None else found.layers[: found.drops_at]
        return Explored(
            states=len(found.seen),
            final=found.final,
            edges=found.edges,
            depth=found.depth,
            outcomes=frozenset(found.outcomes),
            witness=None if to_a_drop is None else self._witness([*to_a_drop, []], None),
            complete=complete,
            seconds=found.seconds,
            reductions=self.reductions,
            ways={
                kind: self._witness(found.layers[: depth + 1], ends)
                for kind, (depth, ends) in found.kinds.items()
            },
        )

    def __getstate__(self) -> dict[str, Any]:
        """Without `seen`, which the layers make up."""
        found = attrs.evolve(self.found, seen=set())
        return {"system": self.system, "symmetry": self.symmetry, "found": found}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for layer in (*self.found.layers, self.found.after):
            self.found.seen.update(layer)

    @property
    def reductions(self) -> tuple[str, ...]:
        """The names of those in use."""
        used = {"lazy draws": self.system.lazy, "merged cpus": bool(self.symmetry.groups)}
        return tuple(name for name, is_used in used.items() if is_used)

    # ── the witness ─────────────────────────────────────────────────────────────────────────────

    def _witness(self, layers: list[list[State]], ends: set[State] | None) -> Schedule:
        """Of the shortest schedules to one of these ends, or to a drop, the best.

        It has the fewest switches, then the least text.  Backward over the layers: which classes lie on
        a shortest way.  Then forward over concrete states on those classes, keeping the best ways to
        each state with each last CPU.
        """
        on_way = self._on_shortest_way(layers, ends)
        best: dict[tuple[State, int], _Best] = {(self.system.initial, -1): {0: _NO_WAY}}
        canonical = self.symmetry.canonical
        for depth in range(1, len(layers)):
            after: dict[tuple[State, int], _Best] = {}
            drop_is_next = ends is None and depth == len(layers) - 1
            for (state, _), ways in best.items():
                for cpu in range(self.system.cpus):
                    for t, w, answer, drops in self.system.edges(state, cpu):
                        to = (*state[:cpu], t, *state[cpu + 1 : -1], w)
                        if not drops if drop_is_next else canonical(to) not in on_way[depth]:
                            continue
                        kept = after.setdefault((to, cpu), {})
                        for way in ways.values():
                            _keep(kept, way.then(cpu, answer.draws))
            best = after
        return min(way for ways in best.values() for way in ways.values()).schedule

    def _on_shortest_way(
        self, layers: list[list[State]], ends: set[State] | None
    ) -> list[set[State]]:
        """For each depth, the classes from which an end, or a drop, is reached at the last depth."""
        canonical, edges = self.symmetry.canonical, self.system.edges
        on_way: list[set[State]] = [set() for _ in layers]
        on_way[-1] = ends or set()
        for depth in range(len(layers) - 2, -1, -1):
            drop_is_next = ends is None and depth == len(layers) - 2
            for state in layers[depth]:
                for cpu in range(self.system.cpus):
                    for t, w, _, drops in edges(state, cpu):
                        if drop_is_next:
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
    if limits.seconds is not None and time.monotonic() - began > limits.seconds:
        return True
    return limits.memory is not None and memory_in_use() > limits.memory
