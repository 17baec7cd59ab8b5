# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory that CPUs share, as a value, and what it answers to each operation.

A world knows no kernel function and no release: it stores entries, chains, hints and locks, and does
what one operation says.  It is immutable; what a scenario starts with stands in a `Background` that all
its worlds share, so a table of 64,512 entries costs a world nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator
from fractions import Fraction
from functools import cached_property
from typing import Any, Final, TypeAlias

import attrs

from natmodel import ops
from natmodel.ops import NO_FOOTPRINT, Cell, Chain, Footprint, Node, Op
from natmodel.values import (
    IP_CT_DIR_ORIGINAL,
    IP_CT_DIR_REPLY,
    IPS_DYING,
    Conn,
    CtTuple,
    Manip,
    Zone,
    u16,
)

ONE: Final = Fraction(1)
BOTH: Final = (IP_CT_DIR_ORIGINAL, IP_CT_DIR_REPLY)


@attrs.frozen(eq=False)
class Hashing:
    """How a booted kernel hashes.  The three functions need secrets and may be unknown (None).

    Without `bucket`, two tuples are taken to be in one chain only if they are equal and hashed with
    the same zone id; without `secure_port`, the keyed hash is a random function, drawn as it is asked.
    """

    zone_id: Callable[[Zone, int], int]
    bysource_zone_id: Callable[[Zone], int]
    bucket: Callable[[CtTuple, int], int] | None = None
    bysource_bucket: Callable[[CtTuple, int], int] | None = None
    secure_port: Callable[[CtTuple, Manip], int] | None = None

    def same_bucket(self, t: CtTuple, a: int, b: int) -> bool:
        """Is `t`, hashed with zone id a, in the bucket it has with zone id b?"""
        return a == b or (self.bucket is not None and self.bucket(t, a) == self.bucket(t, b))

    def same_bysource_bucket(self, t: CtTuple, a: int, b: int) -> bool:
        if a == b:
            return True
        bucket = self.bysource_bucket
        return bucket is not None and bucket(t, a) == bucket(t, b)


@attrs.frozen
class Entry:
    """An entry as a scenario or a vector gives it.

    `hashed` lists the directions that are linked; `in_bysource` says whether the by-source hash has it.
    """

    ct: Conn
    hashed: tuple[int, ...] = BOTH
    in_bysource: bool = False


@attrs.frozen
class Stamp:
    """Many entries that differ in one key only; one for each value in `values`, ascending.

    Entry number k has `field` ("reply.dport" or "reply.sport") set to the k-th value, its ORIGINAL
    source key raised by k * sport_step (mod 65,536), and, where dport_step is set, its ORIGINAL
    destination key k + 1.  Ids count up from the template's.  `hashed` and `in_bysource` are as in Entry.
    """

    template: Conn
    field: str
    first: int
    last: int
    excluded: tuple[tuple[int, int], ...] = ()
    sport_step: bool = False
    dport_step: bool = False
    in_bysource: bool = False
    hashed: tuple[int, ...] = BOTH

    def __len__(self) -> int:
        return self.last - self.first + 1 - self._excluded_below(self.last + 1)

    def _excluded_below(self, value: int) -> int:
        """How many values in first..value-1 are excluded (the ranges do not overlap)."""
        below = 0
        for a, b in self.excluded:
            below += max(0, min(value - 1, b, self.last) - max(a, self.first) + 1)
        return below

    def __contains__(self, value: int) -> bool:
        if not self.first <= value <= self.last:
            return False
        return all(not a <= value <= b for a, b in self.excluded) if self.excluded else True

    def values(self) -> Iterator[int]:
        return (v for v in range(self.first, self.last + 1) if v in self)

    def conn(self, value: int) -> Conn:
        """The entry for one value."""
        reply = self.template.reply
        if self.field == "reply.sport":
            return self._conn(value, reply.with_sport(value))
        return self._conn(value, reply.with_dport(value))

    def _conn(self, value: int, reply: CtTuple) -> Conn:
        k = value - self.first - self._excluded_below(value)
        orig = self.template.orig
        if self.sport_step:
            orig = orig.with_sport(u16(orig.sport + k))
        if self.dport_step:
            orig = orig.with_dport(u16(k + 1))
        return Conn(self.template.id + k, orig, reply, *self._alike)

    @cached_property
    def _alike(self) -> tuple[Any, ...]:
        """What all the entries have in common: a Conn's fields after its id and tuples."""
        return tuple(getattr(self.template, field.name) for field in attrs.fields(Conn)[3:])

    def nodes_of(self, t: CtTuple) -> list[Node]:
        """The nodes that carry `t`, newest first."""
        nodes = []
        if IP_CT_DIR_REPLY in self.hashed and same_ends(t, self.template.reply):
            value = self._value_of(t)
            if value is not None:
                nodes.append(Node(self._conn(value, t), IP_CT_DIR_REPLY))
        if IP_CT_DIR_ORIGINAL in self.hashed and same_ends(t, self.template.orig):
            nodes.extend(Node(ct, IP_CT_DIR_ORIGINAL) for ct in self._originals(t))
        return nodes

    def _value_of(self, t: CtTuple) -> int | None:
        """The value for which `t` is an entry's REPLY tuple; its ends are the template's."""
        reply = self.template.reply
        if self.field == "reply.dport":
            value, fixed, other = t.dport, t.sport, reply.sport
        else:
            value, fixed, other = t.sport, t.dport, reply.dport
        return value if fixed == other and value in self else None

    def with_source(self, t: CtTuple) -> Iterator[Conn]:
        """The entries with t's protocol and source in their ORIGINAL tuple, newest first."""
        orig = self.template.orig
        if source_of(orig.with_sport(t.sport)) != source_of(t):
            return
        if self.sport_step:
            value = self._nth(u16(t.sport - orig.sport))
            if value is not None:
                yield self.conn(value)
        elif orig.sport == t.sport:
            yield from map(self.conn, reversed(list(self.values())))

    def _originals(self, t: CtTuple) -> Iterator[Conn]:
        if self.sport_step or self.dport_step:
            orig = self.template.orig
            k = u16(t.sport - orig.sport) if self.sport_step else u16(t.dport - 1)
            value = self._nth(k)
            if value is not None and (ct := self.conn(value)).orig == t:
                yield ct
        elif t == self.template.orig:
            yield from map(self.conn, reversed(list(self.values())))

    def _nth(self, k: int) -> int | None:
        """The k-th value, or None."""
        value = self.first + k
        for a, b in sorted(self.excluded):
            if a <= value and b >= self.first:
                value += b - max(a, self.first) + 1
        return value if value in self else None


def same_ends(a: CtTuple, b: CtTuple) -> bool:
    """Are the two tuples equal but for their keys?"""
    return a.src == b.src and a.dst == b.dst and a.protonum == b.protonum and a.l3num == b.l3num


class Background:
    """What a scenario starts with: entries in the order of their insertion, and how they are hashed.

    Compared by identity: the worlds of one scenario share one background.
    """

    def __init__(self, entries: Iterable[Entry | Stamp], hashing: Hashing) -> None:
        self.entries: Final[tuple[Entry | Stamp, ...]] = tuple(_unroll_expired(entries))
        self.hashing: Final = hashing
        self._keyed: dict[CtTuple, list[tuple[int, Node]]] = defaultdict(list)
        self._bysource: dict[Source, list[tuple[int, Conn]]] = defaultdict(list)
        self._stamps: list[tuple[int, Stamp]] = []
        self.expired: Final[list[tuple[int, Node]]] = []
        self._kinds: dict[Any, int] = {}
        for n, entry in enumerate(self.entries):
            if isinstance(entry, Stamp):
                self._stamps.append((n, entry))
                continue
            for direction in entry.hashed:
                node = Node(entry.ct, direction)
                self._keyed[node.t].append((n, node))
                if entry.ct.timeout <= 0:
                    self.expired.append((n, node))
            if entry.in_bysource:
                self._bysource[source_of(entry.ct.orig)].append((n, entry.ct))

    @cached_property
    def size(self) -> int:
        """How many nodes are linked."""
        return sum(len(e.hashed) * (len(e) if isinstance(e, Stamp) else 1) for e in self.entries)

    def kind(self, entry: Entry | Stamp) -> int:
        """A number that entries share which differ in their ids and keys only."""
        ct = entry.template if isinstance(entry, Stamp) else entry.ct
        same = tuple(getattr(ct, field.name) for field in attrs.fields(Conn)[3:])
        ends = tuple((t.l3num, t.protonum, t.src, t.dst) for t in (ct.orig, ct.reply))
        alike = (same, ends, entry.hashed, entry.in_bysource)
        return self._kinds.setdefault(alike, len(self._kinds))

    def nodes_of(self, t: CtTuple) -> list[tuple[int, Node]]:
        """(insertion number, node) of the nodes that carry `t`, newest first."""
        found = self._keyed.get(t)
        nodes = found[::-1] if found else []
        if self._stamps:
            for n, stamp in self._stamps:
                for node in stamp.nodes_of(t):
                    nodes.append((n, node))
            if len(nodes) > 1:
                nodes.sort(key=lambda at: (at[0], at[1].ct.id, at[1].direction), reverse=True)
        return nodes

    def met_on(self, t: CtTuple) -> list[tuple[int, Node]]:
        """As nodes_of, with all the nodes whose entry has expired, whatever they carry."""
        nodes = [at for at in self.nodes_of(t) if at[1].ct.timeout > 0] + self.expired
        nodes.sort(key=lambda at: (at[0], at[1].ct.id, at[1].direction), reverse=True)
        return nodes

    def bysource(self, t: CtTuple) -> list[Conn]:
        """The connections with t's protocol and source, newest first."""
        found = self._bysource.get(source_of(t))
        cts = found[::-1] if found else []
        if self._stamps:
            cts.extend((n, ct) for n, s in self._stamps if s.in_bysource for ct in s.with_source(t))
            cts.sort(key=lambda at: (at[0], at[1].id), reverse=True)
        return [ct for _, ct in cts]

    def all_nodes(self) -> Iterator[Node]:
        """Every node, oldest first."""
        for entry in self.entries:
            if isinstance(entry, Stamp):
                for ct in map(entry.conn, entry.values()):
                    yield from (Node(ct, direction) for direction in entry.hashed)
            else:
                yield from (Node(entry.ct, direction) for direction in entry.hashed)

    @cached_property
    def chains(self) -> dict[int, list[Node]]:
        """Bucket -> nodes, head first.  Hashes every tuple: only for those who count nodes."""
        bucket = self.hashing.bucket
        assert bucket is not None
        chains: dict[int, list[Node]] = defaultdict(list)
        for node in self.all_nodes():
            zone_id = self.hashing.zone_id(node.ct.zone, node.direction)
            chains[bucket(node.t, zone_id)].append(node)
        for nodes in chains.values():
            nodes.reverse()
        return chains


def _unroll_expired(entries: Iterable[Entry | Stamp]) -> Iterator[Entry | Stamp]:
    """An expired entry is met by every look-up of its bucket, whatever its key: name them singly."""
    for entry in entries:
        if isinstance(entry, Stamp) and entry.template.timeout <= 0:
            for value in entry.values():
                yield Entry(entry.conn(value), entry.hashed, entry.in_bysource)
        else:
            yield entry


Source: TypeAlias = tuple[int, int, int, int]


def source_of(t: CtTuple) -> Source:
    """What the by-source hash looks at in an ORIGINAL tuple."""
    return t.l3num, t.protonum, t.src, t.sport


@attrs.frozen(cache_hash=True)
class Timers:
    """How many CPUs have something to do at the time `now`, and when others will (ms, ascending)."""

    busy: int
    set: tuple[int, ...] = ()
    now: int = 0


@attrs.frozen(cache_hash=True)
class World:
    """One state of the shared memory.

    `linked` are the nodes linked since the start, oldest first; `gone` the ids of background entries
    that were deleted and `aged` of those that have expired since; `bysource` what entered the by-source
    hash since, newest first, and `bysource_gone` who left it; `hints` the static search hints that are
    not 0; `secure` the keyed hashes drawn so far; `locked` the connections whose bucket locks are held;
    `timers` the senders' clocks where packets are retransmitted; `found` which sources the by-source
    table of 4.9 .. 4.13 has been found to find (0) or not; `ext_genid` the generation of extensions.
    """

    background: Background
    linked: tuple[Node, ...] = ()
    gone: frozenset[int] = frozenset()
    aged: frozenset[int] = frozenset()
    bysource: tuple[Conn, ...] = ()
    bysource_gone: frozenset[int] = frozenset()
    hints: tuple[tuple[int, int], ...] = ()
    secure: tuple[tuple[tuple[int, int, int, int], int], ...] = ()
    locked: tuple[Conn, ...] = ()
    timers: Timers | None = None
    found: tuple[tuple[Source, int], ...] = ()
    ext_genid: int = 1

    def arranged(
        self,
        *,
        linked: tuple[Node, ...] | None = None,
        bysource: tuple[Conn, ...] | None = None,
        secure: tuple[tuple[tuple[int, int, int, int], int], ...] | None = None,
        locked: tuple[Conn, ...] | None = None,
        found: tuple[tuple[Source, int], ...] | None = None,
    ) -> World:
        """A world with these parts, in the order that can be told.

        Among nodes of one key, and among connections of one source, the order counts.  Any other order
        of nodes shows only where buckets are known.
        """
        nodes = self.linked if linked is None else linked
        if self.background.hashing.bucket is None:
            nodes = tuple(sorted(nodes, key=lambda node: node.t.key))
        conns = self.bysource if bysource is None else bysource
        return attrs.evolve(
            self,
            linked=nodes,
            bysource=tuple(sorted(conns, key=lambda ct: source_of(ct.orig))),
            secure=tuple(sorted(self.secure if secure is None else secure)),
            locked=tuple(sorted(self.locked if locked is None else locked, key=lambda ct: ct.id)),
            found=tuple(sorted(self.found if found is None else found)),
        )

    def hint(self, protonum: int) -> int:
        """The protocol's static u16."""
        for number, off in self.hints:
            if number == protonum:
                return off
        return 0

    def with_hint(self, protonum: int, off: int) -> World:
        hints = [at for at in self.hints if at[0] != protonum]
        if off:
            hints.append((protonum, off))
        return attrs.evolve(self, hints=tuple(sorted(hints)))

    def current(self, node: Node) -> Node | None:
        """A background node as it is now; None if its entry is gone."""
        ct = node.ct
        if ct.id in self.gone:
            return None
        return Node(attrs.evolve(ct, timeout=0), node.direction) if ct.id in self.aged else node

    def entries(self) -> Iterator[Conn]:
        """The entries linked since the start, oldest first, each once."""
        seen = set()
        for node in self.linked:
            if node.ct.id not in seen:
                seen.add(node.ct.id)
                yield node.ct

    def bury(self, conn_id: int) -> World:
        """The entry's timer has fired: both its nodes and its by-source node are unlinked."""
        return attrs.evolve(
            self,
            linked=tuple(node for node in self.linked if node.ct.id != conn_id),
            gone=self.gone | ({conn_id} - {node.ct.id for node in self.linked}),
            bysource=tuple(ct for ct in self.bysource if ct.id != conn_id),
            bysource_gone=self.bysource_gone | ({conn_id} - {ct.id for ct in self.bysource}),
        )

    def expire(self, conn_id: int) -> World:
        """The entry's timeout has passed; it stays linked until somebody reaps it."""
        if not any(node.ct.id == conn_id for node in self.linked):
            return attrs.evolve(self, aged=self.aged | {conn_id})
        linked = tuple(
            Node(attrs.evolve(n.ct, timeout=0), n.direction) if n.ct.id == conn_id else n
            for n in self.linked
        )
        return attrs.evolve(self, linked=linked)


# ── answers to one operation ────────────────────────────────────────────────────────────────────


class Blocked(Exception):
    """The operation cannot happen now: another CPU holds the lock.

    `footprint` is what had been touched, the lock included, where that was asked for.
    """

    def __init__(self, footprint: Footprint = NO_FOOTPRINT) -> None:
        super().__init__()
        self.footprint: Final = footprint


def read_chain(w: World, op: ops.ReadChain) -> tuple[Chain, World]:
    if op.counting and w.background.hashing.bucket is not None:
        return _counted_chain(w, op), w
    hashing, background = w.background.hashing, w.background
    nodes = []
    for node in reversed(w.linked):
        if (node.t == op.t or node.ct.timeout <= 0) and _same_chain(hashing, node, op):
            nodes.append(node)
    for _, node in background.met_on(op.t) if background.expired else background.nodes_of(op.t):
        now = w.current(node)
        if now is not None and _same_chain(hashing, now, op):
            nodes.append(now)
    return Chain(tuple(nodes), tuple(range(len(nodes))), len(nodes)), w


def _same_chain(hashing: Hashing, node: Node, op: ops.ReadChain) -> bool:
    """Is the node in the bucket that op walks?"""
    if op.net is not None and node.ct.net != op.net:
        return False
    zone_id = hashing.zone_id(node.ct.zone, node.direction)
    t = node.t
    if t == op.t:
        return hashing.same_bucket(t, zone_id, op.zone_id)
    bucket = hashing.bucket
    return bucket is not None and bucket(t, zone_id) == bucket(op.t, op.zone_id)


def _counted_chain(w: World, op: ops.ReadChain) -> Chain:
    """The chain with all its nodes counted."""
    bucket = w.background.hashing.bucket
    assert bucket is not None
    chain = [node for node in reversed(w.linked) if _same_chain(w.background.hashing, node, op)]
    for node in w.background.chains.get(bucket(op.t, op.zone_id), ()):
        now = w.current(node)
        if now is not None and (op.net is None or now.ct.net == op.net):
            chain.append(now)
    told = [(n, node) for n, node in enumerate(chain) if node.t == op.t or node.ct.timeout <= 0]
    return Chain(tuple(node for _, node in told), tuple(n for n, _ in told), len(chain))


def lock_buckets(w: World, op: ops.LockBuckets) -> tuple[None, World]:
    _wait_for_locks(w, op.ct)
    return None, w.arranged(locked=(*w.locked, op.ct))


def _wait_for_locks(w: World, ct: Conn) -> None:
    """Raise Blocked while another connection's confirm holds a lock of one of ct's keys."""
    keys = {ct.orig, ct.reply}
    if any(held.orig in keys or held.reply in keys for held in w.locked):
        raise Blocked


def lock_table(w: World, op: ops.LockTable) -> tuple[None, World]:
    if w.locked:
        raise Blocked
    return None, w.arranged(locked=(op.ct,))


def unlock_buckets(w: World, op: ops.UnlockBuckets) -> tuple[None, World]:
    return None, attrs.evolve(w, locked=tuple(ct for ct in w.locked if ct.id != op.ct.id))


def hash_insert(w: World, op: ops.HashInsert) -> tuple[None, World]:
    return None, w.arranged(linked=(*w.linked, Node(op.ct, op.direction)))


def hash_delete(w: World, op: ops.HashDelete) -> tuple[bool, World]:
    _wait_for_locks(w, op.ct)
    linked = tuple(node for node in w.linked if node.ct.id != op.ct.id)
    if len(linked) < len(w.linked):
        return True, attrs.evolve(w, linked=linked)
    if op.ct.status & IPS_DYING or op.ct.id in w.gone:
        return False, w
    return True, attrs.evolve(w, gone=w.gone | {op.ct.id})


def entry_write(w: World, op: ops.EntryWrite) -> tuple[None, World]:
    """Whoever has the entry sees what was written; one that was unlinked meanwhile stays unlinked."""
    if any(entry.ct.id == op.ct.id for entry in w.background.entries if isinstance(entry, Entry)):
        raise NotImplementedError("what a scenario starts with is not written to")
    return None, attrs.evolve(
        w,
        linked=tuple(
            Node(op.ct, node.direction) if node.ct.id == op.ct.id else node for node in w.linked
        ),
        bysource=tuple(op.ct if ct.id == op.ct.id else ct for ct in w.bysource),
    )


def read_bysource(w: World, op: ops.ReadBysource) -> tuple[tuple[Conn, ...], World]:
    hashing, background = w.background.hashing, w.background
    source = source_of(op.t)
    cts = [ct for ct in w.bysource if source_of(ct.orig) == source]
    cts += [ct for ct in background.bysource(op.t) if ct.id not in w.bysource_gone]
    return tuple(
        ct
        for ct in cts
        if hashing.same_bysource_bucket(op.t, hashing.bysource_zone_id(ct.zone), op.zone_id)
    ), w


def bysource_add(w: World, op: ops.BysourceAdd) -> tuple[None, World]:
    return None, w.arranged(bysource=(op.ct, *w.bysource))


def bysource_write(w: World, op: ops.BysourceWrite) -> tuple[None, World]:
    cts = tuple(op.ct if ct.id == op.ct.id else ct for ct in w.bysource)
    return None, w.arranged(bysource=cts)


def bysource_del(w: World, op: ops.BysourceDel) -> tuple[None, World]:
    cts = tuple(ct for ct in w.bysource if ct.id != op.ct.id)
    if len(cts) < len(w.bysource):
        return None, attrs.evolve(w, bysource=cts)
    return None, attrs.evolve(w, bysource_gone=w.bysource_gone | {op.ct.id})


def load_hint(w: World, op: ops.RoverLoad | ops.IdLoad) -> tuple[int, World]:
    return w.hint(op.protonum), w


def store_rover(w: World, op: ops.RoverStore) -> tuple[None, World]:
    return None, w.with_hint(op.protonum, op.off)


def increment_id(w: World, op: ops.IdIncrement) -> tuple[int, World]:
    value = u16(w.hint(op.protonum) + 1)
    return value, w.with_hint(op.protonum, value)


def load_ext_genid(w: World, op: ops.ExtGenidLoad) -> tuple[int, World]:
    return w.ext_genid, w


def increment_ext_genid(w: World, op: ops.ExtGenidIncrement) -> tuple[None, World]:
    return None, attrs.evolve(w, ext_genid=w.ext_genid + 1)


def set_timer(w: World, op: ops.SetTimer) -> tuple[None, World]:
    assert w.timers is not None
    at = tuple(sorted((*w.timers.set, op.at)))
    return None, attrs.evolve(w, timers=attrs.evolve(w.timers, busy=w.timers.busy - 1, set=at))


def timer_fires(w: World, op: ops.TimerFires) -> tuple[None, World]:
    """All timers of one time may fire; the first of them only when nobody has anything to do."""
    t = w.timers
    assert t is not None
    if t.now != op.at and (t.busy or t.set[0] != op.at):
        raise Blocked
    left = list(t.set)
    left.remove(op.at)
    return None, attrs.evolve(w, timers=Timers(t.busy + 1, tuple(left), op.at))


def idle(w: World, op: ops.Idle) -> tuple[None, World]:
    assert w.timers is not None
    return None, attrs.evolve(w, timers=attrs.evolve(w.timers, busy=w.timers.busy - 1))


def no_effect(w: World, op: Op[Any]) -> tuple[None, World]:
    return None, w


REPLIES: Final[dict[type, Callable[[World, Any], tuple[Any, World]]]] = {
    ops.ReadChain: read_chain,
    ops.LockBuckets: lock_buckets,
    ops.LockTable: lock_table,
    ops.UnlockBuckets: unlock_buckets,
    ops.HashInsert: hash_insert,
    ops.HashDelete: hash_delete,
    ops.EntryWrite: entry_write,
    ops.ReadBysource: read_bysource,
    ops.BysourceAdd: bysource_add,
    ops.BysourceWrite: bysource_write,
    ops.BysourceDel: bysource_del,
    ops.RoverLoad: load_hint,
    ops.RoverStore: store_rover,
    ops.IdLoad: load_hint,
    ops.IdIncrement: increment_id,
    ops.ExtGenidLoad: load_ext_genid,
    ops.ExtGenidIncrement: increment_ext_genid,
    ops.SetTimer: set_timer,
    ops.TimerFires: timer_fires,
    ops.Idle: idle,
    ops.Count: no_effect,
    ops.Warn: no_effect,
}


# ── draws ───────────────────────────────────────────────────────────────────────────────────────

Draw: TypeAlias = (
    ops.RandomU16 | ops.RandomOffset | ops.SecurePort | ops.RandomBelow | ops.RhltableLookup
)


def secure_key(op: ops.SecurePort) -> tuple[int, int, int, int]:
    """What the keyed hash is taken of.  kernel: nf_nat_ipv4_secure_port, nf_nat_ipv6_secure_port"""
    t = op.t
    return t.l3num, t.src, t.dst, t.dport if op.manip is Manip.SRC else t.sport


def decided(w: World, op: Draw) -> int | None:
    """The draw's value where it is not open any more: a keyed hash that is known, or asked again."""
    if isinstance(op, ops.SecurePort):
        if w.background.hashing.secure_port is not None:
            return u16(w.background.hashing.secure_port(op.t, op.manip))
        key = secure_key(op)
        return next((value for asked, value in w.secure if asked == key), None)
    if isinstance(op, ops.RhltableLookup):
        return next((value for asked, value in w.found if asked == source_of(op.t)), None)
    return None


def is_open(w: World, op: Draw) -> bool:
    """Can the draw's value make any difference at all?"""
    if isinstance(op, ops.RandomBelow):
        hashing = w.background.hashing
        nodes = w.background.size + len(w.linked)
        return hashing.bucket is not None and nodes >= op.minimum + 2
    return isinstance(op, ops.RhltableLookup) or op.window.size > 1


def drawn(w: World, op: Draw, value: int) -> World:
    """The world after the draw has come out as `value`."""
    if isinstance(op, ops.SecurePort) and w.background.hashing.secure_port is None:
        return w.arranged(secure=(*w.secure, (secure_key(op), value)))
    if isinstance(op, ops.RhltableLookup):
        return w.arranged(found=(*w.found, (source_of(op.t), min(value, 1))))
    return w


def range_of_draw(op: Draw) -> int:
    """Values are 0 .. this - 1."""
    if isinstance(op, ops.RandomOffset):
        return op.window.size
    return op.below if isinstance(op, ops.RandomBelow | ops.RhltableLookup) else 65536


# ── answers, sections included ──────────────────────────────────────────────────────────────────

# The values of a draw that are to be told apart, with their exact odds.
Chooser: TypeAlias = Callable[[World, Draw], Iterable[tuple[int, Fraction]]]


@attrs.frozen
class Answer:
    """One way an operation can come out.

    `draws` are the values drawn, `counted` the counters raised, both in order.  `footprint`, if it was
    asked for, is what it touched on this way: of a section, all that was touched inside.
    """

    odds: Fraction
    reply: Any
    world: World
    draws: tuple[int, ...] = ()
    counted: tuple[str, ...] = ()
    footprint: Footprint = NO_FOOTPRINT


def footprint(w: World, op: Op[Any]) -> Footprint:
    """What the operation touches.  Where buckets are known, any two tuples may share a chain."""
    touched = op.footprint
    if w.background.hashing.bucket is None:
        return touched
    return Footprint(*(frozenset(map(_coarse, cells)) for cells in (touched.reads, touched.writes)))


def _coarse(cell: Cell) -> Cell:
    return cell[:1] if cell[0] == "chain" else cell


def answers(w: World, op: Op[Any], choose: Chooser, *, touching: bool = False) -> Iterator[Answer]:
    """Every way `op` can come out in `w`; none while it is blocked.  `touching`: with footprints."""
    if isinstance(op, ops.Atomic):
        try:
            yield from _section(w, op.call, choose, touching)
        except Blocked:
            return
    elif isinstance(op, ops.DRAWS):
        yield from _outcomes(w, op, choose, touching)
    else:
        try:
            reply, after = REPLIES[type(op)](w, op)
        except Blocked:
            return
        counted = (op.name,) if isinstance(op, ops.Count) else ()
        touched = footprint(w, op) if touching else NO_FOOTPRINT
        yield Answer(ONE, reply, after, (), counted, touched)


def waits_for(w: World, op: Op[Any], choose: Chooser) -> Footprint:
    """What an operation that is blocked in `w` has touched until it was, the lock included."""
    if not isinstance(op, ops.Atomic):
        return footprint(w, op)
    try:
        list(_section(w, op.call, choose, True))
    except Blocked as blocked:
        return blocked.footprint
    raise AssertionError("it is not blocked")


def _outcomes(w: World, op: Draw, choose: Chooser, touching: bool = False) -> Iterator[Answer]:
    touched = footprint(w, op) if touching else NO_FOOTPRINT
    value = decided(w, op)
    if value is None and not is_open(w, op):
        value = 0
    if value is not None:
        yield Answer(ONE, value, w, footprint=touched)
        return
    for value, odds in choose(w, op):
        yield Answer(odds, value, drawn(w, op, value), (value,), (), touched)


def _section(w: World, call: ops.Call[Any], choose: Chooser, touching: bool) -> Iterator[Answer]:
    """Run an atomic section once for each way its draws can come out.

    A coroutine cannot be copied, so each way runs the section from its start.
    """
    todo: list[tuple[Answer, ...]] = [()]
    while todo:
        made = todo.pop()
        run = flatten(call)
        odds, at = ONE, w
        draws: tuple[int, ...] = ()
        counted: list[str] = []
        touched = NO_FOOTPRINT
        reply: Any = None
        n = 0
        while True:
            try:
                op = run.send(reply)
            except StopIteration as stop:
                yield Answer(odds, stop.value, at, draws, tuple(counted), touched)
                break
            if touching:
                assert isinstance(op, Op)  # no call is announced here
                touched |= footprint(w, op)
            if isinstance(op, ops.DRAWS):
                if n == len(made):
                    ways = list(_outcomes(at, op, choose))
                    todo.extend((*made, way) for way in reversed(ways[1:]))
                    made = (*made, ways[0])
                way = made[n]
                n += 1
                odds, draws, reply, at = odds * way.odds, draws + way.draws, way.reply, way.world
                continue
            if isinstance(op, ops.Count):
                counted.append(op.name)
            try:
                reply, at = REPLIES[type(op)](at, op)
            except Blocked:
                if draws:
                    raise NotImplementedError("a section that draws, and then waits") from None
                raise Blocked(touched) from None


@attrs.frozen
class Returned:
    """flatten() says: the announced call has returned."""

    call: ops.Call[Any]
    value: Any


# Answers a call that need not be entered; None if it must be.
Known: TypeAlias = Callable[[ops.Call[Any]], Any]


def flatten(
    call: ops.Call[Any], announce: frozenset[str] = frozenset(), known: Known | None = None
) -> Generator[Op[Any] | Returned, Any, Any]:
    """Run a path, with the paths it calls, to its end: a generator of the operations it makes.

    Sections are entered like calls.  Calls of paths named in `announce` are yielded before they are
    entered and, as Returned, after; both want None for an answer.  Calls and gotos that `known` answers
    are not entered, and not announced either.
    """
    stack: list[tuple[ops.Call[Any], Coroutine[Any, Any, Any]]] = []
    entering: ops.Call[Any] = call
    while True:
        if announce and entering.body.__name__ in announce:
            yield entering
        coroutine = entering.body(*entering.args)
        stack.append((entering, coroutine))
        reply: Any = None
        while True:
            try:
                op = coroutine.send(reply)
            except StopIteration as stop:
                left, _ = stack.pop()
                reply = stop.value
                if isinstance(reply, ops.Call):  # goto
                    entering = reply
                    reply = None if known is None else known(entering)
                    if reply is None:
                        break
                elif announce and left.body.__name__ in announce:
                    yield Returned(left, reply)
                if not stack:
                    return reply
                coroutine = stack[-1][1]
                continue
            if isinstance(op, ops.Atomic):
                op = op.call
            if isinstance(op, ops.Call):
                reply = None if known is None else known(op)
                if reply is not None:
                    continue
                entering = op
                break
            reply = yield op
