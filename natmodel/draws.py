# SPDX-License-Identifier: GPL-2.0-or-later
"""Which values of a random draw lead apart, with their exact odds.

`every_walk` tells u16 starts apart by the keys that a walk from them names; it needs no context and is
the slow, obvious one.  `LazyDraws` tells them apart only as far as the table and the other packets can:
far from every key that anybody holds or has named, one free key is as good as another.
docs/model.md, "Draws", has the argument; tests hold the two against each other.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Final

import attrs
from sortedcontainers import SortedSet

from natmodel import ops
from natmodel.ops import Window
from natmodel.values import CtTuple, nf_ct_invert_tuple
from natmodel.world import Background, Draw, Stamp, World, range_of_draw, read_chain

U16 = 65536

Classes = list[tuple[int, Fraction]]


def every_walk(size: int, attempts: int) -> Classes:
    """(representative, odds) of the u16 starts whose walks name different keys, or in another order.

    A walk of `attempts` probes from `off` names the residues (off + i mod 65,536) mod size.  Starts
    that stay below the wrap are told apart by their residue; the others, each, by themselves.
    """
    attempts = min(attempts, U16)
    safe = U16 - attempts + 1  # starts below this do not wrap
    classes = [
        (off, Fraction(safe // size + (off < safe % size), U16)) for off in range(min(size, safe))
    ]
    if U16 % size == 0:  # the wrap is no seam
        return [(off, Fraction(U16 // size, U16)) for off in range(size)]
    return classes + [(off, Fraction(1, U16)) for off in range(safe, U16)]


@attrs.frozen(cache_hash=True)
class Context:
    """What a draw can be told apart by, beside the table.

    `keys` are the ports, ids and GRE keys that CPUs have in their hands, `offsets` the u16 offsets
    they walk from, `addresses` the addresses they deal with; `others` is how many packets beside the
    one that draws may still insert an entry.
    """

    keys: frozenset[int]
    offsets: frozenset[int]
    addresses: frozenset[int]
    others: int


def every_value(world: World, op: Draw) -> Classes:
    """Every value there is, for a function that may do anything with it."""
    below = range_of_draw(op)
    odds = Fraction(1, below)
    return [(value, odds) for value in range(below)]


def eager(world: World, op: Draw) -> Classes:
    """Every value that could matter in some context."""
    if isinstance(op, ops.RandomBelow):
        return chain_limits(world, op)
    if isinstance(op, ops.RhltableLookup):
        return found_or_not(op)
    if isinstance(op, ops.RandomOffset):
        return every_value(world, op)
    return every_walk(op.window.size, op.window.attempts)


def lazy(world: World, op: Draw, context: Context) -> Classes:
    """Every value that matters in this context."""
    if isinstance(op, ops.RandomBelow):
        return chain_limits(world, op)
    if isinstance(op, ops.RhltableLookup):
        return found_or_not(op)
    w = op.window
    below = range_of_draw(op)
    if isinstance(op, ops.RandomU16) and op.shared:
        # Another CPU's walk may go on from there before ours begins, and nobody looks at the first key.
        context = attrs.evolve(context, others=context.others + 1)
    labels = frozenset(labels_of(world, w, context, below).items())
    return neighbourhoods(w.size, w.attempts, context.others, labels, below=below)


def found_or_not(op: ops.RhltableLookup) -> Classes:
    """The one value by which a source is found, and all others together."""
    return [(0, Fraction(1, op.below)), (1, Fraction(op.below - 1, op.below))]


def chain_limits(world: World, op: ops.RandomBelow) -> Classes:
    """Limits that one of the two chains can reach, singly; all higher ones together."""
    reach = longest_chain(world, op) - op.minimum - 2  # too long from limit + 2 nodes on
    told = min(max(reach + 1, 0), op.below)
    classes = [(value, Fraction(1, op.below)) for value in range(told)]
    if told < op.below:
        classes.append((told, Fraction(op.below - told, op.below)))
    return classes


def longest_chain(world: World, op: ops.RandomBelow) -> int:
    """The longer of the two chains that confirm walks."""
    keys = zip((op.ct.orig, op.ct.reply), op.zone_ids, strict=True)
    return max(read_chain(world, ops.ReadChain(t, zone, True))[0].length for t, zone in keys)


# ── what can be told about a window's keys ──────────────────────────────────────────────────────


@attrs.frozen(cache_hash=True)
class Label:
    """What tells a key from others: is it occupied, and by or for whom?  Equal labels look alike."""

    occupied: bool
    name: tuple[str, int]


def labels_of(world: World, window: Window, context: Context, below: int = U16) -> dict[int, Label]:
    """Residue -> label, for every key of the window that somebody holds, names, or walks from.

    A key that a CPU names is told from others whether it is occupied or not: its walk goes on from there.
    """
    named = set(_named(world, window, context, below))
    labels = {residue: Label(False, ("named", residue)) for residue in named}
    for residue, name in _occupied(world, window, context):
        labels[residue] = Label(True, ("named", residue) if residue in named else name)
    return labels


def _residue(window: Window, key: int) -> int | None:
    """The residue whose candidate is this key."""
    residue = (key - window.first) % U16
    return residue if residue < window.size else None


def _named(world: World, window: Window, context: Context, below: int) -> Iterator[int]:
    keys = set(context.keys)
    for ct in (*(node.ct for node in world.linked), *world.locked, *world.bysource):
        keys |= {ct.orig.sport, ct.orig.dport, ct.reply.sport, ct.reply.dport}
    yield from (r for key in keys if (r := _residue(window, key)) is not None)
    offsets = {*context.offsets, *(off for _, off in world.secure)}
    offsets |= {off for protonum, off in world.hints if protonum == window.t.protonum}
    yield from (off % window.size for off in offsets)
    if context.others > 1:
        yield from _seam(window.size, below)


def _seam(size: int, below: int) -> set[int]:
    """Residues where two walks over one key may go on to different keys, and those keys."""
    rest = below % size
    return {0, size - 1, rest - 1, rest} if rest else set()


def _occupied(
    world: World, window: Window, context: Context
) -> Iterator[tuple[int, tuple[str, int]]]:
    for key, name in keys_in_table(world.background, window, context):
        residue = _residue(window, key)
        if residue is None:
            continue
        t = nf_ct_invert_tuple(window.tuple_at(key))
        nodes = [node for _, node in world.background.nodes_of(t)]
        current = [world.current(node) for node in nodes]
        if any(current):
            alike = name is not None and current == nodes and len(nodes) == 1
            yield residue, name if name is not None and alike else ("entry", residue)
    template = nf_ct_invert_tuple(window.t)
    for node in world.linked:
        for key in (node.t.sport, node.t.dport):
            residue = _residue(window, key)
            if residue is not None and _same_but_key(node.t, template):
                yield residue, ("entry", residue)


def _same_but_key(t: CtTuple, template: CtTuple) -> bool:
    """Same ends and protocol: the tuples can differ in keys only."""
    return (t.l3num, t.protonum, t.src, t.dst) == (
        template.l3num,
        template.protonum,
        template.src,
        template.dst,
    )


def keys_in_table(
    background: Background, window: Window, context: Context
) -> Iterator[tuple[int, tuple[str, int] | None]]:
    """(key, label) of the window's keys that the background may hold.

    Entries of one kind are alike, and share a label, unless a packet could belong to one of them.
    """
    template = nf_ct_invert_tuple(window.t)
    for entry in background.entries:
        ct = entry.template if isinstance(entry, Stamp) else entry.ct
        stranger = ct.orig.src not in context.addresses
        label = ("kind", background.kind(entry)) if stranger else None
        if isinstance(entry, Stamp):
            if _same_but_key(ct.reply, template):
                yield from ((value, label) for value in entry.values())
            continue
        for t in (ct.orig, ct.reply):
            if _same_but_key(t, template):
                yield from ((key, label) for key in (t.sport, t.dport))


# ── starts with the same surroundings ───────────────────────────────────────────────────────────

Around = tuple[tuple[Label | int, ...], tuple[Label | int, ...]]


@lru_cache(maxsize=65536)
def neighbourhoods(
    size: int,
    attempts: int,
    others: int,
    labels: frozenset[tuple[int, Label]],
    cuts: tuple[int, ...] = (),
    below: int = U16,
) -> Classes:
    """The least start of each surrounding, with its odds; starts are drawn from 0..below-1.

    Free keys without a label look alike, unless a cut lies between their residues (ascending).
    `below` is 65,536, or the window's size.
    """
    return _Starts(size, attempts, others, dict(labels), cuts, below).classes()


class _Starts:
    """Starts of walks over a window, told apart by the labels around them.

    A free key without a label is told by the number of starts that lead to it.
    """

    def __init__(
        self,
        size: int,
        attempts: int,
        others: int,
        labels: dict[int, Label],
        cuts: tuple[int, ...] = (),
        below: int = U16,
    ) -> None:
        self.size, self.others, self.labels, self.cuts = size, others, labels, cuts
        self.below: Final = below
        self.steps = min(attempts, below)
        self.fewest, self.rest = divmod(below, size)

    def _label(self, off: int) -> Label | int:
        residue = off % self.below % self.size
        label = self.labels.get(residue)
        if label is not None:
            return label
        starts = self.fewest + (residue < self.rest)
        return starts + (self.below + 1) * bisect_right(self.cuts, residue) if self.cuts else starts

    def _ahead(self, off: int) -> tuple[Label | int, ...]:
        """Labels from `off` on, until others + 1 free keys were met or the round is over."""
        seen: list[Label | int] = []
        free = 0
        while len(seen) < self.steps and free <= self.others:
            label = self._label(off + len(seen))
            seen.append(label)
            free += not (isinstance(label, Label) and label.occupied)
        return tuple(seen)

    def _behind(self, off: int) -> tuple[Label | int, ...]:
        """Labels before `off`, nearest first, up to but not with the `others`-th free key."""
        seen: list[Label | int] = []
        free = 0
        while len(seen) < self.steps:
            label = self._label(off - 1 - len(seen))
            free += not (isinstance(label, Label) and label.occupied)
            if free >= self.others:
                break
            seen.append(label)
        return tuple(seen)

    def _around(self, off: int) -> Around:
        return self._ahead(off), self._behind(off)

    def _told(self) -> set[int]:
        """Residues with anything but free, unlabelled keys of one kind around them."""
        if self.size <= 256:
            return set(range(self.size))
        reach = range(-self.others - 1, self.others + 2)
        marks = {*self.labels, *_seam(self.size, self.below), *self.cuts}
        return {(r + i) % self.size for r in marks for i in reach if r < self.size}

    def _arounds(self, residue: int) -> dict[Around, list[int]]:
        """The surroundings of a key's starts: surrounding -> [how many, the least]."""
        arounds: dict[Around, list[int]] = {}
        starts = range(residue, self.below, self.size)
        if not self.rest:  # the wrap is no seam
            return {self._around(starts[0]): [len(starts), starts[0]]}
        low, high = 0, 0
        if self.size <= 1024:  # many starts, and only near the wrap do they differ
            inner = self._around(starts[len(starts) // 2])
            ahead, behind = len(inner[0]), len(inner[1]) + 1  # one more was read, and ended it
            low = -(-max(behind - residue, 0) // self.size)
            high = len(range(residue, self.below - ahead + 1, self.size))
            arounds[inner] = [high - low, starts[low]]
        for off in (*starts[:low], *starts[high:]):
            found = arounds.setdefault(self._around(off), [0, off])
            found[0] += 1
            found[1] = min(found[1], off)
        return arounds

    def classes(self) -> Classes:
        """(least start, odds) of each class."""
        count: Counter[object] = Counter()
        least: dict[object, int] = {}
        told = SortedSet(self._told())

        def add(residue: int, keys: int) -> None:
            """Count the starts of `keys` keys with the surroundings of this one."""
            arounds = self._arounds(residue)
            whole = frozenset((around, n) for around, (n, _) in arounds.items())
            for (ahead, _), (n, off) in arounds.items():
                # The key's surroundings tell who else may come to it; ours is only the way ahead.
                count[ahead, whole] += keys * n
                least[ahead, whole] = min(off, least.get((ahead, whole), off))

        for residue in told:
            add(residue, 1)
        ends = sorted({0, self.rest, *self.cuts, min(self.size, self.below)})
        for keys in (range(low, high) for low, high in pairwise(ends)):
            near = told.bisect_left(keys.stop) - told.bisect_left(keys.start)
            if near < len(keys):  # the others are surrounded by their own kind alone: take one
                add(next(residue for residue in keys if residue not in told), len(keys) - near)
        return sorted((least[key], Fraction(n, self.below)) for key, n in count.items())
