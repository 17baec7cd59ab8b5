# SPDX-License-Identifier: GPL-2.0-or-later
"""Lone steps: what no other CPU can observe needs no interleaving.

A CPU's next step is lone if no step that any other CPU can come to without it touches what it touches
(`Footprint.meets`).  Then whatever the others do first can as well be done after it, with the same
replies and the same memory in the end; so in that state it alone is followed.  Ends, outcomes and the
most drops are kept, and the odds of the worst and the best scheduler; state counts, the shortest schedule
and the odds of the uniform scheduler are not.

What others can come to is learnt from the search itself.  It keeps, of every place where a thread was
seen, what its steps touched there and the places they led to, and searches again until nothing new is
learnt; each search goes by what was known when it began.

Why the last search is sound.  Claim: of every schedule from a state on, each step was learnt.  By
induction on the schedule's length, and for one length on how far the search goes on from that state,
which has an end (a search that comes back to a state is refused).  Let A be the step that is followed
alone in state s, of one CPU, and let others go first.  As long as what they do does not meet A, they can
do the same after A; that was learnt by induction, places and all.  Suppose a step B of theirs is the
first to meet A.  After A, the thread of B stands at the same place, and the operation in B that touches
the memory in question is asked for there, too, before any reply can differ.  So it was learnt that this
place touches that memory; but then, the place being one that the thread comes to, A was not lone in s.
A step that waits for a lock touches the lock: that is learnt like any other step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from natmodel.ops import Cell, Footprint
from natmodel.symmetry import Cells, Symmetry
from natmodel.system import Edge, State, System

# What is read and what is written: one bit for each cell.
Masks: TypeAlias = tuple[int, int]
NONE: Final[Masks] = (0, 0)

_EVERY_LOCK: Final[Cell] = ("lock",)
_SOME_LOCK: Final[Cell] = ("lock", "some")


class Lone:
    """What has been learnt of each place, and the choice of a lone step by it."""

    def __init__(self, system: System, symmetry: Symmetry) -> None:
        self._system: Final = system
        self._symmetry: Final = symmetry
        self._bits: Final[dict[Cell, int]] = {}
        self._steps: Final[dict[tuple[int, int, int], Footprint]] = {}
        self._own: Final[dict[int, Masks]] = {}
        self._next: Final[dict[int, set[int]]] = {}
        self._later: dict[int, Masks] = {}
        self._met: Final[dict[tuple[int, Footprint], Masks]] = {}
        self._learnt = False

    def learns(self) -> bool:
        """Has anything new been learnt since this was asked last?  Then what is known is renewed."""
        learnt, self._learnt = self._learnt, False
        if learnt:
            self._later = _accumulated(self._own, self._next)
        return learnt

    def choices(self, state: State) -> list[tuple[int, int, list[Edge]]]:
        """(CPU, for how many it stands, its steps): of one CPU whose step is lone, or else of each."""
        found = []
        for cpu, alike in self._symmetry.movers(state):
            if self._system.pending(state, cpu) is None:
                continue
            footprint = self._step(state, cpu)
            edges = self._system.edges(state, cpu)
            if edges and self._is_lone(footprint, state, cpu):
                return [(cpu, alike, edges)]
            if edges:
                found.append((cpu, alike, edges))
        return found

    def _is_lone(self, footprint: Footprint, state: State, cpu: int) -> bool:
        for other, t in enumerate(state[:-1]):
            if other != cpu:
                reads, writes = self._later.get(self._symmetry.place(other, t), NONE)
                if reads or writes:
                    met_by_reads, met_by_writes = self._met_by(footprint, other)
                    if reads & met_by_reads or writes & met_by_writes:
                        return False
        return True

    # ── what is learnt ──────────────────────────────────────────────────────────────────────────

    def _step(self, state: State, cpu: int) -> Footprint:
        """What the CPU's next step touches; learnt if it is new."""
        t, w = state[cpu], state[-1]
        footprint = self._steps.get((cpu, t, w))
        if footprint is None:
            footprint = self._steps[cpu, t, w] = self._system.touched(state, cpu)
            place = self._symmetry.place(cpu, t)
            edges = self._system.edges(state, cpu)
            to = {self._symmetry.place(cpu, after) for after, *_ in edges}
            self._learn(place, self._masks(footprint, cpu), to)
        return footprint

    def _learn(self, place: int, masks: Masks, to: set[int]) -> None:
        own = self._own.get(place, NONE)
        more = (own[0] | masks[0], own[1] | masks[1])
        places = self._next.setdefault(place, set())
        if more != own or not to <= places:
            self._learnt = True
            self._own[place] = more
            places |= to

    def _masks(self, footprint: Footprint, cpu: int) -> Masks:
        """What it touches, as the CPU itself sees it."""
        reads, writes = self._relative(footprint, cpu)
        return self._mask(map(_present, reads)), self._mask(map(_present, writes))

    def _met_by(self, footprint: Footprint, other: int) -> Masks:
        """What must be among the reads, and among the writes, of the other CPU to meet it."""
        met = self._met.get((other, footprint))
        if met is None:
            reads, writes = self._relative(footprint, other)
            met = self._met[other, footprint] = (
                self._mask(map(_meeting, writes)),
                self._mask(map(_meeting, writes | reads)),
            )
        return met

    def _relative(self, footprint: Footprint, cpu: int) -> tuple[Cells, Cells]:
        relative = self._symmetry.relative
        return relative(cpu, footprint.reads), relative(cpu, footprint.writes)

    def _mask(self, cells: Iterable[tuple[Cell, ...]]) -> int:
        mask = 0
        for cell in (one for some in cells for one in some):
            mask |= 1 << self._bits.setdefault(cell, len(self._bits))
        return mask


def _present(cell: Cell) -> tuple[Cell, ...]:
    """The bits of a cell that is touched: a lock is one of some, too."""
    is_one_lock = cell[0] == "lock" and cell != _EVERY_LOCK
    return (cell, _SOME_LOCK) if is_one_lock else (cell,)


def _meeting(cell: Cell) -> tuple[Cell, ...]:
    """The bits of cells that are met by it: every lock is met by each."""
    if cell[0] != "lock":
        return (cell,)
    return (cell, _SOME_LOCK) if cell == _EVERY_LOCK else (cell, _EVERY_LOCK)


def _accumulated(own: dict[int, Masks], after: dict[int, set[int]]) -> dict[int, Masks]:
    """For each place what is touched there or at any place that it leads to."""
    later: dict[int, Masks] = {}
    order = list(_after_those_they_lead_to(after))
    changed = True
    while changed:
        changed = False
        for place in order:
            reads, writes = own.get(place, NONE)
            for to in after.get(place, ()):
                more = later.get(to, NONE)
                reads, writes = reads | more[0], writes | more[1]
            if later.get(place, NONE) != (reads, writes):
                later[place] = (reads, writes)
                changed = True
    return later


def _after_those_they_lead_to(after: dict[int, set[int]]) -> Iterator[int]:
    """Every place, after those that it leads to as far as there is no circle."""
    seen: set[int] = set()
    for start in after:
        if start in seen:
            continue
        seen.add(start)
        todo = [(start, iter(after[start]))]
        while todo:
            place, left = todo[-1]
            to = next((to for to in left if to not in seen), None)
            if to is None:
                todo.pop()
                yield place
            else:
                seen.add(to)
                todo.append((to, iter(after.get(to, ()))))
