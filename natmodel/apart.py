# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets that cannot meet are independent: exact odds where the states are too many to be met.

For paths of which each draws one random start and walks from it (`--random` from 5.0 on,
`--random-fully`, and paths of one's own declared `blind`).  Think of the starts as drawn before anything
happens: nobody sees them, and nothing that happens has a part in them.

Take some starts.  A packet takes the first free key of its walk, or, where the others of its group may
have been there first, a later one: one of n packets passes at most n - 1 keys that were free.  Packets
whose keys, so bounded, have nothing in common do not touch the same memory.  So whatever is asked of
every group by itself, and has the product over the groups for its answer, can be had group by group:

* uniform: it is as if every CPU ticked by itself (natmodel.schedulers), so who steps in one group says
  nothing about another.  The generating function of the number of drops is the product.
* full overlap: likewise; that a group waits for all others to have chosen delays it, no more.
* worst, best: nobody can do more against (for) each group than the worst (best) scheduler of the group
  alone, and doing all this at once is possible.  P(no drop) is the product.

Call the answer for a set T of packets with starts o: phi(T, o).  Define psi by
phi(T, o) = sum over the partitions of T of the product of psi(B, o) over their blocks B.  If T falls into
two groups that cannot meet, phi is the product over the two, and psi(T, o) is 0 (by induction on T).  The
starts of different packets are independent, so

    E phi(all) = sum over the partitions of all of the product of E psi(B),

and for E psi(B) only starts that are near to each other count.  The first packet's start is taken from
its classes (natmodel.draws): in one class, what is near looks the same.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import combinations, combinations_with_replacement, product
from math import factorial, prod
from typing import Any, Final, TypeAlias

import attrs

from natmodel import draws, ops
from natmodel.explore import NO_LIMITS, Limits, over
from natmodel.ops import NO_FOOTPRINT, Call, Footprint
from natmodel.quotient import links
from natmodel.symmetry import symmetry_of
from natmodel.system import Edge, State, System, is_drop
from natmodel.world import World, answers, range_of_draw

# P(n are dropped) for n = 0, 1, ...; for an adaptive scheduler, P(no drop) alone.
Value: TypeAlias = tuple[Fraction, ...]
_Draw: TypeAlias = ops.RandomU16 | ops.RandomOffset
# CPUs by number, and where each starts.
_Starts: TypeAlias = tuple[tuple[int, int], ...]


class NotApart(Exception):
    """The packets are not of the kind that this method is for: why, in one line."""


class GivenUp(Exception):
    """A limit was reached."""


class Apart:
    """The odds of a scenario whose packets each draw one start."""

    def __init__(
        self, calls: Sequence[Call[Any]], world: World, limits: Limits = NO_LIMITS
    ) -> None:
        """Raises NotApart, and so do the methods; if a limit is reached they raise GivenUp.

        `groups` counts the groups of packets that were looked at, `states` the states of them all.
        """
        self._system: Final = System(calls, world, lazy=False, touching=True)
        self._calls: Final = calls
        hashing = world.background.hashing
        if not self._system.blind:
            raise NotApart("a path is not declared blind")
        if hashing.bucket or hashing.bysource_bucket or hashing.secure_port:
            raise NotApart("hash keys are known")
        if world.timers is not None:
            raise NotApart("a timer fires when nobody has anything to do, wherever they are")
        first = {self._first_draw(cpu) for cpu in range(len(calls))}
        if len(first) != 1:
            raise NotApart("the packets draw from different windows")
        self._draw: Final = first.pop()
        self._below: Final = range_of_draw(self._draw)
        self._limits: Final = limits
        self._began: Final = time.monotonic()
        self._drawn: Final[set[int]] = set()
        self._taped: Final[dict[tuple[int, int, int], list[Edge]]] = {}
        self._values: Final[dict[Any, Value]] = {}
        self.groups = self.states = 0
        self._must_be_apart()

    def drops(self) -> Value:
        """P(n packets are dropped) for n = 0, 1, ..., under the uniform scheduler."""
        return self._all(_Kind(_average, counts=True))

    def overlapped(self) -> Value:
        """The same under full overlap."""
        return self._all(_Kind(_average, counts=True, together=True))

    def worst(self) -> Fraction:
        """P(some packet is dropped) if who is next is chosen to make it most probable."""
        return 1 - self._all(_Kind(min, counts=False))[0]

    def best(self) -> Fraction:
        """P(some packet is dropped) if who is next is chosen to make it least probable."""
        return 1 - self._all(_Kind(max, counts=False))[0]

    # ── what every packet does by itself ────────────────────────────────────────────────────────

    def _first_draw(self, cpu: int) -> _Draw:
        """What the CPU draws first, if nobody else does anything."""
        t, w = self._system.initial[cpu], self._system.initial[-1]
        while True:
            op = self._system.threads.pending[t]
            if isinstance(op, ops.RandomU16 | ops.RandomOffset):
                return op
            edges = self._system.edges((t, w), 0) if op is not None else []
            if len(edges) != 1:
                raise NotApart("a packet draws no start, or something else first")
            t, w = edges[0][:2]

    def _must_be_apart(self) -> None:
        """Hold two packets far from each other to what is claimed of them, by the steps' footprints."""
        starts = [start for start, _ in self.classes]
        far = [at for at in combinations(starts, 2) if not self._is_one_group(at)][:1]
        for cpus in combinations(range(len(self._calls)), 2):
            for at in far:
                one, other = (
                    self._touched(cpu, start) for cpu, start in zip(cpus, at, strict=True)
                )
                if one.meets(other):
                    raise NotApart("packets meet whose keys are far from each other")

    def _touched(self, cpu: int, start: int) -> Footprint:
        """All that the packet touches if it is alone."""
        initial, footprint = self._system.initial, NO_FOOTPRINT
        todo: list[State] = [(initial[cpu], initial[-1])]
        for state in todo:
            for t, w, answer, _ in self._edges(state, 0, start):
                footprint |= answer.footprint
                todo.append((t, w))
        return footprint

    @cached_property
    def _labels(self) -> dict[int, draws.Label]:
        world, context = self._system.worlds[self._system.initial[-1]], self._context
        return draws.labels_of(world, self._draw.window, context, self._below)

    @cached_property
    def _context(self) -> draws.Context:
        return self._system.context(self._system.initial, 0)

    @cached_property
    def classes(self) -> draws.Classes:
        """The starts that can be told apart, with their odds."""
        world = self._system.worlds[self._system.initial[-1]]
        return draws.lazy(world, self._draw, self._context)

    @cached_property
    def _walks(self) -> dict[int, Fraction]:
        """One start for each walk that there is, with its odds."""
        world = self._system.worlds[self._system.initial[-1]]
        return dict(draws.eager(world, self._draw))

    def _walk(self, start: int, packets: int) -> tuple[int, ...]:
        """The keys (residues) that one of so many packets can come to from there."""
        keys: list[int] = []
        free = 0
        for i in range(min(self._draw.window.attempts, self._below)):
            key = (start + i) % self._below % self._draw.window.size
            keys.append(key)
            free += self._is_free(key)
            if free == packets:
                break
        return tuple(keys)

    def _is_free(self, key: int) -> bool:
        label = self._labels.get(key)
        return label is None or not label.occupied

    def _frees(self, start: int, packets: int) -> list[int]:
        return [key for key in self._walk(start, packets) if self._is_free(key)]

    # ── who is near to whom ─────────────────────────────────────────────────────────────────────

    @cached_property
    def _comers(self) -> dict[int, list[int]]:
        """Key that is free -> the starts of those that can come to it."""
        comers: dict[int, list[int]] = defaultdict(list)
        for start in self._walks:
            for key in self._frees(start, len(self._calls)):
                comers[key].append(start)
        return comers

    def _near(self, start: int) -> list[int]:
        """The starts that can be in one group with this one: each step of the chain takes a free key."""
        found, keys = {start}, set(self._frees(start, len(self._calls)))
        todo = set(keys)
        for _ in range(len(self._calls) - 1):
            met = {other for key in todo for other in self._comers[key]} - found
            found |= met
            more = {key for other in met for key in self._frees(other, len(self._calls))}
            todo, keys = more - keys, keys | more
        return sorted(found)

    def _is_one_group(self, starts: Sequence[int]) -> bool:
        """Can they meet, by their keys?  Of a group of g, each can come to its first g free keys."""
        groups = [([start], set(self._frees(start, 1))) for start in starts]
        while len(groups) > 1:
            pair = next(
                (
                    (i, j)
                    for i, j in combinations(range(len(groups)), 2)
                    if groups[i][1] & groups[j][1]
                ),
                None,
            )
            if pair is None:
                return False
            members = groups[pair[0]][0] + groups[pair[1]][0]
            keys = {key for start in members for key in self._frees(start, len(members))}
            left = [group for n, group in enumerate(groups) if n not in pair]
            groups = [*left, (members, keys)]
        return True

    # ── sums over partitions, and over starts ───────────────────────────────────────────────────

    def _all(self, kind: _Kind) -> Value:
        everybody = tuple(range(len(self._calls)))
        found = self._sum(everybody, kind, {(): (Fraction(1),)})
        assert not kind.counts or sum(found) == 1, "the odds of all numbers of drops are not 1"
        return found

    def _sum(
        self, cpus: tuple[int, ...], kind: _Kind, known: dict[tuple[int, ...], Value]
    ) -> Value:
        """E phi: sum over partitions of the product of E psi."""
        if cpus not in known:
            first, *rest = cpus
            total: Value = (Fraction(0),)
            for inside in product((False, True), repeat=len(rest)):
                block = (first, *(c for c, within in zip(rest, inside, strict=True) if within))
                others = tuple(c for c, within in zip(rest, inside, strict=True) if not within)
                weight = _times(self._expected(block, kind), self._sum(others, kind, known))
                total = _plus(total, weight)
            known[cpus] = total
        return known[cpus]

    @cached_property
    def _alike(self) -> bool:
        groups = symmetry_of(self._system, self._calls).groups
        return [*map(len, groups)] == [len(self._calls)]

    def _expected(self, cpus: tuple[int, ...], kind: _Kind) -> Value:
        """E psi."""
        key = (kind, len(cpus) if self._alike else cpus)
        if key not in self._values:
            total: Value = (Fraction(0),)
            for start, odds in self.classes:
                for others, share in self._others(start, len(cpus) - 1):
                    starts = (start, *others)
                    if self._is_one_group(starts):
                        weight = odds * share
                        psi = self._psi(tuple(zip(cpus, starts, strict=True)), kind)
                        total = _plus(total, _times((weight,), psi))
            self._values[key] = total
        return self._values[key]

    def _others(self, start: int, n: int) -> Iterator[tuple[tuple[int, ...], Fraction]]:
        """Starts of n others near to this one, with their odds: if they are alike, in any order."""
        near = self._near(start) if n else []
        if not self._alike:
            for others in product(near, repeat=n):
                yield others, prod((self._walks[other] for other in others), start=Fraction(1))
            return
        for others in combinations_with_replacement(near, n):
            orders = factorial(n) // prod(map(factorial, Counter(others).values()))
            yield others, orders * prod((self._walks[o] for o in others), start=Fraction(1))

    def _psi(self, starts: _Starts, kind: _Kind) -> Value:
        if len(starts) == 1:
            return self._phi(starts, kind)
        first, *rest = starts
        total = self._phi(starts, kind)
        for inside in product((False, True), repeat=len(rest)):
            if all(inside):
                continue
            block = (first, *(s for s, within in zip(rest, inside, strict=True) if within))
            others = tuple(s for s, within in zip(rest, inside, strict=True) if not within)
            # the partitions with this block: psi of it, times phi of the others
            less = _times(self._psi(block, kind), self._phi(others, kind))
            total = _plus(total, _times((Fraction(-1),), less))
        return total

    def _phi(self, starts: _Starts, kind: _Kind) -> Value:
        """The answer for these packets alone; looked up by what can be told of where they are."""
        shape = (kind, self._shape(starts))
        value = self._values.get(shape)
        if value is None:
            if over(self._limits, self.states, self._began):
                raise GivenUp
            self.groups += 1
            value = self._values[shape] = self._evaluated(starts, kind)
        return value

    def _shape(self, starts: _Starts) -> Any:
        """The walks by the labels of their keys, and by which of their keys are the same."""
        numbers: dict[int, int] = {}
        walks = []
        for cpu, start in sorted(starts, key=lambda at: at[1]) if self._alike else starts:
            keys = [numbers.setdefault(k, len(numbers)) for k in self._walk(start, len(starts))]
            walks.append((None if self._alike else cpu, tuple(keys)))
        return tuple(walks), tuple(self._labels.get(key) for key in numbers)

    # ── a few packets with given starts ─────────────────────────────────────────────────────────

    def _evaluated(self, starts: _Starts, kind: _Kind) -> Value:
        """Backward over all states that these packets can come to."""
        initial = self._system.initial
        first: State = (*(initial[cpu] for cpu, _ in starts), initial[-1])
        values: dict[State, Value] = {}
        choices: dict[State, list[list[Edge]]] = {}
        todo = [first]
        while todo:
            state = todo[-1]
            if state not in choices:
                choices[state] = self._choices(state, starts, kind)
                todo.extend(to for to in _targets(state, choices[state]) if to not in values)
                continue
            todo.pop()
            if state not in values:
                values[state] = kind.value(state, choices[state], values)
        self.states += len(values)
        return values[first]

    def _choices(self, state: State, starts: _Starts, kind: _Kind) -> list[list[Edge]]:
        """The steps of each packet; none for one that has none, or may not go on."""
        found = [self._edges(state, n, start) for n, (_, start) in enumerate(starts)]
        if kind.together and self._nobody_has_linked(state):
            free = [edges if not any(map(links, edges)) else [] for edges in found]
            return free if any(free) else found
        return found

    def _nobody_has_linked(self, state: State) -> bool:
        worlds = self._system.worlds
        return worlds[state[-1]].linked == worlds[self._system.initial[-1]].linked

    def _edges(self, state: State, n: int, start: int) -> list[Edge]:
        t, w = state[n], state[-1]
        op = self._system.threads.pending[t]
        if isinstance(op, ops.RandomU16 | ops.RandomOffset):
            edges = self._started(t, w, op, start)
        else:
            edges = self._system.edges(state, n)
            if t in self._drawn:
                self._drawn.update(edge[0] for edge in edges)
        return edges

    def _started(self, t: int, w: int, op: _Draw, start: int) -> list[Edge]:
        """The draw comes out as the start."""
        if t in self._drawn:
            raise NotApart("a packet draws a second time")
        if op != self._draw:
            raise NotApart("a packet draws from another window if others are in its way")
        edges = self._taped.get((t, w, start))
        if edges is None:
            system = self._system
            edges = self._taped[t, w, start] = [
                (
                    system.threads.after(t, answer.reply),
                    system.number(answer.world),
                    answer,
                    is_drop(answer.reply),
                )
                for answer in answers(
                    system.worlds[w], op, lambda _, draw: [(start, Fraction(1))], touching=True
                )
            ]
            self._drawn.update(edge[0] for edge in edges)
        return edges


def _targets(state: State, choices: list[list[Edge]]) -> Iterator[State]:
    for n, edges in enumerate(choices):
        for t, w, _, _ in edges:
            yield (*state[:n], t, *state[n + 1 : -1], w)


@attrs.frozen
class _Kind:
    """What is asked: how the values of the CPUs' steps are put together, and what they are."""

    combine: Callable[[list[Value]], Value]
    counts: bool
    together: bool = False

    def value(self, state: State, choices: list[list[Edge]], values: dict[State, Value]) -> Value:
        found = []
        for n, edges in enumerate(choices):
            total: Value = (Fraction(0),)
            for t, w, answer, drop in edges:
                after = values[*state[:n], t, *state[n + 1 : -1], w]
                if drop:
                    after = (Fraction(0), *after) if self.counts else (Fraction(0),)
                total = _plus(total, after if answer.odds == 1 else _times((answer.odds,), after))
            if edges:
                found.append(total)
        return self.combine(found) if found else (Fraction(1),)


def _average(values: list[Value]) -> Value:
    total = values[0]
    for value in values[1:]:
        total = _plus(total, value)
    return total if len(values) == 1 else tuple(p / len(values) for p in total)


def _plus(a: Value, b: Value) -> Value:
    if len(a) < len(b):
        a, b = b, a
    return (*(x + y for x, y in zip(a, b, strict=False)), *a[len(b) :])


def _times(a: Value, b: Value) -> Value:
    if len(a) == 1:
        return tuple(a[0] * y for y in b)
    total = [Fraction(0)] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        if x:
            for j, y in enumerate(b):
                total[i + j] += x * y
    return tuple(total)
