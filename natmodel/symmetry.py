# SPDX-License-Identifier: GPL-2.0-or-later
"""CPUs that can be exchanged, so that one state of each class is enough.

CPUs that run the very same call have no names at all (`Alike`).  CPUs that differ in their packets'
source addresses only are told apart by nothing else (`Exchange`): exchanging two of them, with the
addresses and ids of their packets renamed everywhere, leads from reachable states to reachable states
and from drops to drops.  It is refused where anything could tell the addresses apart; `exchangeable`
says what that is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, permutations, product
from math import factorial, prod
from typing import Any, Final, Protocol, TypeAlias

import attrs

from natmodel import ops
from natmodel.ops import Call, Cell
from natmodel.release import Confirmed, Fate, Packet
from natmodel.system import State, System, tuples_in
from natmodel.values import NF_NAT_RANGE_MAP_IPS, Conn, CtTuple, NatRange
from natmodel.world import Background, Stamp, World

Cells: TypeAlias = frozenset[Cell]

# Of more CPUs that show than these, not every order is looked at: classes may be met twice.
MOST_SHOWN: Final = 4


class Symmetry(Protocol):
    """Which states are one: permutations of CPUs lead from one to the other."""

    @property
    def groups(self) -> Sequence[tuple[int, ...]]:
        """The CPUs of each group, of two or more, that can be exchanged."""

    @property
    def exact(self) -> bool:
        """Does no class have two canonical states?"""

    def canonical(self, state: State) -> State:
        """The state that stands for all of the state's class."""

    def orbit(self, state: State) -> int:
        """How many states a canonical one stands for."""

    def movers(self, state: State) -> Iterable[tuple[int, int]]:
        """(CPU, for how many it stands): their steps lead from a canonical state to the same classes."""

    def place(self, cpu: int, t: int) -> int:
        """A number that a thread shares with those that it is exchanged for, and no other."""

    def relative(self, cpu: int, cells: Cells) -> Cells:
        """Cells as somebody on this CPU sees them: exchanges lead to the same."""


def symmetry_of(system: System, calls: Sequence[Call[Any]]) -> Symmetry:
    """What the CPUs of `system`, which run `calls`, have in common."""
    alike = Alike(system)
    if alike.groups:
        return alike
    todo = todo_of(calls) if system.blind else [() for _ in calls]
    groups = exchangeable(todo, system.world(system.initial))
    return Exchange(system, todo, groups) if groups else NAMED


def todo_of(calls: Sequence[Call[Any]]) -> list[tuple[Packet, ...]]:
    """The packets of each CPU; nothing for a path that is not `packets`."""
    return [
        next((a for a in call.args if isinstance(a, tuple) and a and isinstance(a[0], Packet)), ())
        for call in calls
    ]


class Named:
    """Every CPU is told from every other."""

    groups: Final[Sequence[tuple[int, ...]]] = ()
    exact: Final = True

    def canonical(self, state: State) -> State:
        return state

    def orbit(self, state: State) -> int:
        return 1

    def movers(self, state: State) -> Iterable[tuple[int, int]]:
        return ((cpu, 1) for cpu in range(len(state) - 1))

    def place(self, cpu: int, t: int) -> int:
        return t

    def relative(self, cpu: int, cells: Cells) -> Cells:
        return cells


NAMED: Final = Named()


class Alike:
    """CPUs that run one call, sorted by where they stand.

    A thread's steps depend on where it stands and on the world, not on the CPU's number, whatever its
    path does.
    """

    exact: Final = True

    def __init__(self, system: System) -> None:
        cpus: dict[int, list[int]] = defaultdict(list)
        for cpu, t in enumerate(system.initial[:-1]):
            cpus[t].append(cpu)
        self.groups: Final = [tuple(group) for group in cpus.values() if len(group) > 1]
        self._all: Final = len(cpus) == 1

    def canonical(self, state: State) -> State:
        if self._all:
            return (*sorted(state[:-1]), state[-1])
        to = list(state)
        for group in self.groups:
            for cpu, t in zip(group, sorted(state[cpu] for cpu in group), strict=True):
                to[cpu] = t
        return tuple(to)

    def orbit(self, state: State) -> int:
        ways = 1
        for group in self.groups:
            alike = Counter(state[cpu] for cpu in group).values()
            ways *= factorial(len(group)) // prod(map(factorial, alike))
        return ways

    def movers(self, state: State) -> Iterable[tuple[int, int]]:
        if self._all:
            return _runs(state[:-1])
        return ((cpu, 1) for cpu in range(len(state) - 1))

    def place(self, cpu: int, t: int) -> int:
        return t

    def relative(self, cpu: int, cells: Cells) -> Cells:
        return cells


def _runs(threads: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """(place of the first, how many) of each run of equals in a sorted tuple."""
    at = 0
    while at < len(threads):
        n = threads.count(threads[at])
        yield at, n
        at += n


def exchangeable(todo: Sequence[Sequence[Packet]], world: World) -> list[tuple[int, ...]]:
    """Groups of CPUs, each of two or more, whose exchange nothing can tell.

    Refused: CPUs with several packets; concrete hash keys; a rule with more than one address, since a
    hash of the source chooses; a source address that anything but one packet names.
    """
    hashing = world.background.hashing
    if hashing.bucket or hashing.bysource_bucket or hashing.secure_port:
        return []
    groups: dict[Packet, list[int]] = defaultdict(list)
    for cpu, packets in enumerate(todo):
        if len(packets) == 1 and _is_renamable(packets[0], todo, world):
            groups[attrs.evolve(packets[0], id=0, t=packets[0].t.with_src(0))].append(cpu)
    return [tuple(cpus) for cpus in groups.values() if len(cpus) > 1]


def _is_renamable(packet: Packet, todo: Sequence[Sequence[Packet]], world: World) -> bool:
    ranges = [r for r in (packet.src, packet.dst) if r is not None]
    if any(r.flags & NF_NAT_RANGE_MAP_IPS and r.min_addr != r.max_addr for r in ranges):
        return False
    address = packet.t.src
    named = [a for packets in todo for p in packets for a in (p.t.src, p.t.dst)]
    named += [r.min_addr for packets in todo for p in packets for r in (p.src, p.dst) if r]
    return named.count(address) == 1 and address not in _addresses(world.background)


def _addresses(background: Background) -> set[int]:
    cts = (e.template if isinstance(e, Stamp) else e.ct for e in background.entries)
    return {a for ct in cts for t in (ct.orig, ct.reply) for a in (t.src, t.dst)}


class Renaming:
    """Source addresses and packet ids exchanged along a permutation of CPUs."""

    def __init__(self, addresses: dict[int, int], ids: dict[int, int]) -> None:
        self.addresses: Final = addresses
        self.ids: Final = ids

    def __call__(self, value: Any) -> Any:
        """The value with every address and id in it renamed."""
        rename = _RENAME.get(type(value))
        if rename is not None:
            return rename(self, value)
        if isinstance(value, ops.Op) and attrs.has(type(value)):
            return self.fields(value)
        return value

    def fields(self, value: Any) -> Any:
        """An attrs value whose fields hold the names."""
        return type(value)(*(self(getattr(value, a.name)) for a in attrs.fields(type(value))))

    def cell(self, cell: Cell) -> Cell:
        """A piece of shared memory (natmodel.ops) with the names in it renamed."""
        kind, *at = cell
        if kind in ("chain", "lock"):
            return kind, *map(self.tuple, at)
        if kind == "entry":
            return kind, *map(self.id, at)
        if kind in ("source", "found"):
            l3num, protonum, src, port = at
            return kind, l3num, protonum, self.address(src), port
        if kind == "secure port":
            l3num, src, dst, port = at
            return kind, l3num, self.address(src), self.address(dst), port
        assert kind in ("hint", "ext genid", "timers"), f"a cell of an unknown kind: {cell}"
        return cell

    def id(self, number: int) -> int:
        return self.ids.get(number, number)

    def address(self, address: int) -> int:
        return self.addresses.get(address, address)

    def tuple(self, t: CtTuple) -> CtTuple:
        src, dst = self.address(t.src), self.address(t.dst)
        return CtTuple(t.l3num, t.protonum, src, t.sport, dst, t.dport)


def _conn(name: Renaming, ct: Conn) -> Conn:
    return attrs.evolve(ct, id=name.id(ct.id), orig=name(ct.orig), reply=name(ct.reply))


def _packet(name: Renaming, p: Packet) -> Packet:
    return attrs.evolve(p, id=name.id(p.id), t=name(p.t), dst=name(p.dst), src=name(p.src))


def _range(name: Renaming, r: NatRange) -> NatRange:
    low, high = name.address(r.min_addr), name.address(r.max_addr)
    return attrs.evolve(r, min_addr=low, max_addr=high)


def _confirmed(name: Renaming, done: Confirmed) -> Confirmed:
    return attrs.evolve(done, ct=name(done.ct), skb_ct=name.id(done.skb_ct), clash=name(done.clash))


def _fate(name: Renaming, fate: Fate) -> Fate:
    return attrs.evolve(fate, packet=name.id(fate.packet), ct=name(fate.ct))


def _world(name: Renaming, w: World) -> World:
    """What a world keeps sorted by name is sorted anew."""
    return w.arranged(
        linked=name(w.linked),
        bysource=name(w.bysource),
        secure=tuple(
            ((l3num, name.address(src), name.address(dst), port), value)
            for (l3num, src, dst, port), value in w.secure
        ),
        locked=name(w.locked),
        found=tuple(
            ((l3num, protonum, name.address(src), port), value)
            for (l3num, protonum, src, port), value in w.found
        ),
    )


_RENAME: Final[dict[type, Callable[[Renaming, Any], Any]]] = {
    tuple: lambda name, items: tuple(map(name, items)),
    CtTuple: lambda name, t: name.tuple(t),
    Conn: _conn,
    Packet: _packet,
    NatRange: _range,
    Confirmed: _confirmed,
    Fate: _fate,
    ops.Node: Renaming.fields,
    ops.Chain: Renaming.fields,
    ops.Window: Renaming.fields,
    World: _world,
}


class Exchange:
    """CPUs of `groups`, exchanged with their packets' names."""

    def __init__(
        self,
        system: System,
        todo: Sequence[Sequence[Packet]],
        groups: Sequence[tuple[int, ...]],
    ) -> None:
        self._system: Final = system
        self._todo: Final = todo
        self.groups: Final = groups
        self._sources: Final = frozenset(todo[cpu][0].t.src for group in groups for cpu in group)
        self._shapes: dict[Any, int] = {}
        self._shape_of: list[dict[int, int]] = [{} for _ in range(system.cpus)]
        self._blur = [_blurred(cpu, groups, todo) for cpu in range(system.cpus)]
        self._renamings: dict[tuple[int, ...], _Image] = {}
        self._names: dict[int, frozenset[int]] = {}
        self._held: dict[int, frozenset[int]] = {}

    @property
    def exact(self) -> bool:
        return all(len(group) <= MOST_SHOWN for group in self.groups)

    def orbit(self, state: State) -> int:
        """By orbit and stabiliser: all exchanges, over those that change nothing.

        An exchange that changes nothing takes threads to threads of one shape.
        """
        orders = [list(range(self._system.cpus))]
        for group in self.groups:
            orders = [
                _placed(order, group, exchanged)
                for exchanged in self._within_shapes(group, state)
                for order in orders
            ]
        same = sum(self.image(tuple(order), state) == state for order in orders)
        return prod(factorial(len(group)) for group in self.groups) // same

    def movers(self, state: State) -> Iterable[tuple[int, int]]:
        return ((cpu, 1) for cpu in range(len(state) - 1))

    def place(self, cpu: int, t: int) -> int:
        return self._shape(cpu, t)

    def relative(self, cpu: int, cells: Cells) -> Cells:
        return frozenset(map(self._blur[cpu].cell, cells))

    def _within_shapes(self, group: tuple[int, ...], state: State) -> Iterator[tuple[int, ...]]:
        """The group's CPUs with those of one shape in every order."""
        shapes: dict[int, list[int]] = defaultdict(list)
        for cpu in group:
            shapes[self._shape(cpu, state[cpu])].append(cpu)
        places = tuple(chain(*shapes.values()))
        for moved in product(*map(permutations, shapes.values())):
            to = dict(zip(places, chain(*moved), strict=True))
            yield tuple(to[cpu] for cpu in group)

    def canonical(self, state: State) -> State:
        """The least image of the state among those that put the threads of a group in order.

        The order is that of what a thread looks like to somebody who knows its own names only.
        """
        orders: list[list[int]] = [list(range(self._system.cpus))]
        for group in self.groups:
            orders = [
                _placed(order, group, exchanged)
                for exchanged in self._sorted(group, state)
                for order in orders
            ]
        if len(orders) == 1:
            return self.image(tuple(orders[0]), state)
        return min(self.image(tuple(order), state) for order in orders)

    def _sorted(self, group: tuple[int, ...], state: State) -> Iterator[tuple[int, ...]]:
        """The group's CPUs sorted by the shape of their threads; equals that show, in every order.

        CPUs of one shape that name nobody else, and that nobody else names, are alike: one order of
        them is enough.
        """
        shapes: dict[int, list[int]] = defaultdict(list)
        for cpu in group:
            shapes[self._shape(cpu, state[cpu])].append(cpu)
        if len(shapes) == len(group):
            return iter((tuple(shapes[at][0] for at in sorted(shapes)),))
        orders = (self._orders(shapes[at], state) for at in sorted(shapes))
        return (tuple(chain(*order)) for order in product(*orders))

    def _orders(self, cpus: list[int], state: State) -> list[tuple[int, ...]]:
        """The orders of CPUs of one shape that may make a difference."""
        shown = [cpu for cpu in cpus if len(cpus) > 1 and self._shows(cpu, state)]
        hidden = tuple(cpu for cpu in cpus if cpu not in shown)
        if len(shown) > MOST_SHOWN:
            return [(*hidden, *shown)]
        return [(*hidden, *order) for order in permutations(shown)]

    def _shows(self, cpu: int, state: State) -> bool:
        """Does the CPU name another of a group, or anybody else it?"""
        own, held = self._todo[cpu][0].t.src, self._held_by(state[cpu])
        if own in self._named(state[-1]) or held - {own}:
            return True
        return any(own in self._held_by(t) for c, t in enumerate(state[:-1]) if c != cpu)

    def _named(self, w: int) -> frozenset[int]:
        """The sources that a world's own entries name."""
        named = self._names.get(w)
        if named is None:
            world = self._system.worlds[w]
            cts = (*(node.ct for node in world.linked), *world.bysource, *world.locked)
            named = self._names[w] = frozenset(ct.orig.src for ct in cts)
        return named

    def _held_by(self, t: int) -> frozenset[int]:
        """The sources of the groups that a thread's frames, or its result, name."""
        held = self._held.get(t)
        if held is None:
            threads = self._system.threads
            found = tuples_in((threads.stack[t], threads.result[t]), set())
            held = self._held[t] = self._sources & {a for at in found for a in (at.src, at.dst)}
        return held

    def _shape(self, cpu: int, t: int) -> int:
        """A number that the images of a thread share."""
        shape = self._shape_of[cpu].get(t)
        if shape is None:
            threads, blur = self._system.threads, self._blur[cpu]
            looks = (blur(threads.stack[t]), blur(threads.result[t]))
            shape = self._shapes.setdefault(looks, len(self._shapes))
            self._shape_of[cpu][t] = shape
        return shape

    def image(self, order: tuple[int, ...], state: State) -> State:
        """The state in which CPU i has done what CPU order[i] did, under its own names."""
        images = self._renamings.get(order)
        if images is None:
            images = self._renamings[order] = _Image(_renaming(order, self._todo))
        threads, worlds = images.threads, images.worlds
        moved = []
        for cpu in order:
            t = state[cpu]
            to = threads.get(t)
            if to is None:
                to = threads[t] = self._rename_thread(images.rename, t)
            moved.append(to)
        w = state[-1]
        world = worlds.get(w)
        if world is None:
            world = worlds[w] = self._system.number(images.rename(self._system.worlds[w]))
        moved.append(world)
        return tuple(moved)

    def _rename_thread(self, rename: Renaming, t: int) -> int:
        threads = self._system.threads
        return threads.place(rename(threads.stack[t]), rename(threads.result[t]))


@attrs.frozen
class _Image:
    """A renaming, and where it leads threads and worlds."""

    rename: Renaming
    threads: dict[int, int] = attrs.Factory(dict)
    worlds: dict[int, int] = attrs.Factory(dict)


def _placed(order: list[int], group: tuple[int, ...], exchanged: tuple[int, ...]) -> list[int]:
    placed = list(order)
    for to, cpu in zip(group, exchanged, strict=True):
        placed[to] = cpu
    return placed


def _blurred(
    cpu: int, groups: Sequence[tuple[int, ...]], todo: Sequence[Sequence[Packet]]
) -> Renaming:
    """Own names become the group's first, its other names its second, those of another its first."""
    addresses, ids = {}, {}
    for group in groups:
        names = [todo[c][0] for c in group]
        for c, name in zip(group, names, strict=True):
            to = names[cpu in group and c != cpu]
            addresses[name.t.src], ids[name.id] = to.t.src, to.id
    return Renaming(addresses, ids)


def _renaming(order: tuple[int, ...], todo: Sequence[Sequence[Packet]]) -> Renaming:
    """What CPU order[i] calls its packet's, CPU i will call by its own names."""
    addresses, ids = {}, {}
    for to, cpu in enumerate(order):
        if to != cpu:
            addresses[todo[cpu][0].t.src] = todo[to][0].t.src
            ids[todo[cpu][0].id] = todo[to][0].id
    return Renaming(addresses, ids)
