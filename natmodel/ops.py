# SPDX-License-Identifier: GPL-2.0-or-later
"""The alphabet: every access that a kernel function makes to memory it shares.

Rule 1.  A path touches shared memory only by `await`ing an Op.      (every race is visible in text)
Rule 2.  One Op is one atomic access; docs/model.md says why.        (granularity has one address)
Rule 3.  A path is a pure function of its arguments and the replies. (so replay is memory)
No event loop is involved.  `await` marks the points where another CPU may act.

`await path(...)` calls; `return path(...)`, without await, is the kernel's goto: the frame is replaced
and its history forgotten.  Both mean the same to a reader and to the world; the goto merges more.

`Atomic(call)` runs a whole path as one step: a look-up under RCU, or a section under a lock.  What the
section does inside is still written with these operations, so it still reads like the kernel's function.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, ClassVar, Final, Generic, ParamSpec, TypeAlias, TypeVar, overload

import attrs

from natmodel.values import Conn, CtTuple, Manip

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
R_co = TypeVar("R_co", covariant=True)


# A piece of shared memory: what it is, and which one.  `("lock",)` is every lock.
Cell: TypeAlias = tuple[Any, ...]
NOTHING: Final[frozenset[Cell]] = frozenset()
_EVERY_LOCK: Final[Cell] = ("lock",)


@attrs.frozen(cache_hash=True)
class Footprint:
    """The cells whose content an operation's reply depends on, and those whose content it changes.

    Two steps of two CPUs whose footprints do not meet commute: in either order both come out the same,
    and leave the same memory (tests/test_footprints.py holds all rows to that).
    """

    reads: frozenset[Cell] = NOTHING
    writes: frozenset[Cell] = NOTHING

    def meets(self, other: Footprint) -> bool:
        """Does one of them change what the other reads or changes?"""
        return (
            _overlap(self.writes, other.writes)
            or _overlap(self.writes, other.reads)
            or _overlap(self.reads, other.writes)
        )

    def __or__(self, other: Footprint) -> Footprint:
        return Footprint(self.reads | other.reads, self.writes | other.writes)


def _overlap(a: frozenset[Cell], b: frozenset[Cell]) -> bool:
    if not a.isdisjoint(b):
        return True
    for one, two in ((a, b), (b, a)):
        if _EVERY_LOCK in one and any(cell[0] == "lock" for cell in two):
            return True
    return False


NO_FOOTPRINT: Final = Footprint()


def _reads(*cells: Cell) -> Footprint:
    return Footprint(reads=frozenset(cells))


def _writes(*cells: Cell) -> Footprint:
    return Footprint(writes=frozenset(cells))


class Op(Generic[R_co]):
    """One access to shared memory.  `reply = await op` is the only way a path touches the world."""

    __slots__ = ()

    def __await__(self) -> Generator[Op[Any], Any, R_co]:
        reply: R_co = yield self
        return reply

    @property
    def footprint(self) -> Footprint:
        """Which memory it touches."""
        return NO_FOOTPRINT


Body: TypeAlias = Callable[..., Coroutine[Any, Any, Any]]


@attrs.frozen(cache_hash=True)
class Call(Op[R_co]):
    """A path and its arguments, not yet run.  Await it to call it, return it to go to it."""

    body: Body
    args: tuple[Any, ...]

    @property
    def name(self) -> str:
        return self.body.__name__

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.args))})"


def blind(function: F) -> F:
    """Declare that a function looks at no address, and uses a draw only to start a walk.

    That is: it, and what it calls by name, never compares, hashes or computes with a source address
    or an id, hands them on in natmodel's own values only, uses what it draws only as the first offset of
    a walk over the draw's window, and inserts at most one entry for each packet it is given, or one if it
    is given none.  Only then may an explorer exchange CPUs and bind draws
    lazily (docs/model.md).  natmodel's own functions are so; nobody checks yours.
    """
    function.blind = True  # type: ignore[attr-defined]  # functions have no field for a mark
    return function


@overload
def path(body: Callable[P, Coroutine[Any, Any, T | Call[T]]], /) -> Callable[P, Call[T]]: ...


@overload
def path(
    *, blind: bool
) -> Callable[[Callable[P, Coroutine[Any, Any, T | Call[T]]]], Callable[P, Call[T]]]: ...


def path(body: Callable[..., Any] | None = None, /, *, blind: bool = False) -> Any:
    """Make a kernel function of an `async def`: calling it only says what is to be run.

    `@path(blind=True)` also declares it to be `blind`.
    """
    return _path(body) if body is not None else _blind_path if blind else _path


def _blind_path(body: Callable[..., Any]) -> Callable[..., Call[Any]]:
    return _path(blind(body))


def _path(body: Callable[..., Any]) -> Callable[..., Call[Any]]:
    def call(*args: Any, **kwargs: Any) -> Call[Any]:
        if kwargs:
            raise TypeError(f"{body.__name__}: a path takes positional arguments only")
        return Call(body, args)

    call.__name__ = body.__name__
    call.__qualname__ = body.__qualname__
    call.__doc__ = body.__doc__
    call.__wrapped__ = body  # type: ignore[attr-defined]  # for inspect.getsource and the lints
    return call


@attrs.frozen(cache_hash=True)
class Atomic(Op[R_co]):
    """Run `call` to its end while no other CPU acts.  One step, whatever it does inside."""

    call: Call[R_co]

    @property
    def footprint(self) -> Footprint:
        """Raises TypeError: what a section touches is known when it has run."""
        raise TypeError("a section has a footprint only once it has run: natmodel.world.Answer")


def atomic(call: Call[T]) -> Atomic[T]:
    """Atomic(call), with the type of the call's result."""
    return Atomic(call)


# ── the conntrack hash table (inside Atomic only) ───────────────────────────────────────────────


@attrs.frozen(cache_hash=True)
class Node:
    """struct nf_conntrack_tuple_hash: one direction of one entry, as met on a chain."""

    ct: Conn
    direction: int

    @property
    def t(self) -> CtTuple:
        """kernel: h->tuple"""
        return self.ct.reply if self.direction else self.ct.orig


@attrs.frozen(cache_hash=True)
class Chain:
    """A bucket's chain, head first, without the nodes that no kernel function could react to.

    `nodes` holds those that carry the tuple looked for, and those whose entry has expired;
    `passed[i]` counts the chain's nodes in front of nodes[i] and `length` counts all of them.
    Where the scenario models no buckets, a chain has no other nodes.
    """

    nodes: tuple[Node, ...]
    passed: tuple[int, ...]
    length: int


@attrs.frozen(cache_hash=True)
class ReadChain(Op[Chain]):
    """The chain where `t` is hashed with this zone id (0 where the release does not hash zones)."""

    t: CtTuple
    zone_id: int
    # does the caller count nodes, against a chain limit?
    counting: bool = False
    # the namespace that has a table of its own (<= 4.6); None where one table serves all
    net: int | None = None

    @property
    def footprint(self) -> Footprint:
        return _reads(("chain", self.t))


def _locks(ct: Conn) -> tuple[Cell, Cell]:
    return ("lock", ct.orig), ("lock", ct.reply)


def _entry(ct: Conn) -> tuple[Cell, Cell, Cell]:
    """An entry, wherever it can be met."""
    return ("chain", ct.orig), ("chain", ct.reply), ("entry", ct.id)


def _source(t: CtTuple) -> Cell:
    return "source", t.l3num, t.protonum, t.src, t.sport


@attrs.frozen(cache_hash=True)
class LockBuckets(Op[None]):
    """nf_conntrack_double_lock: not runnable while another CPU holds one of ct's two keys."""

    ct: Conn

    @property
    def footprint(self) -> Footprint:
        return _writes(*_locks(self.ct))


@attrs.frozen(cache_hash=True)
class LockTable(Op[None]):
    """spin_lock(&nf_conntrack_lock), <= 3.14: not runnable while another CPU holds it."""

    ct: Conn

    @property
    def footprint(self) -> Footprint:
        return _writes(_EVERY_LOCK)


@attrs.frozen(cache_hash=True)
class UnlockBuckets(Op[None]):
    """nf_conntrack_double_unlock, or spin_unlock(&nf_conntrack_lock)."""

    ct: Conn

    @property
    def footprint(self) -> Footprint:
        return _writes(*_locks(self.ct))


@attrs.frozen(cache_hash=True)
class HashInsert(Op[None]):
    """Link one direction of ct at the head of its chain."""

    ct: Conn
    direction: int

    @property
    def footprint(self) -> Footprint:
        return _writes(("chain", self.ct.tuplehash(self.direction)))


@attrs.frozen(cache_hash=True)
class HashDelete(Op[bool]):
    """nf_ct_delete: set DYING and unlink.  False if it was DYING, or another CPU was first."""

    ct: Conn

    @property
    def footprint(self) -> Footprint:
        return Footprint(frozenset(_locks(self.ct)), frozenset(_entry(self.ct)))


@attrs.frozen(cache_hash=True)
class EntryWrite(Op[None]):
    """What a tracker writes into the entry that a packet belongs to, under ct->lock."""

    ct: Conn

    @property
    def footprint(self) -> Footprint:
        return _writes(*_entry(self.ct), _source(self.ct.orig))


# ── the by-source hash ──────────────────────────────────────────────────────────────────────────


@attrs.frozen(cache_hash=True)
class ReadBysource(Op[tuple[Conn, ...]]):
    """The connections in the by-source chain of `t` with t's protocol and source, newest first."""

    t: CtTuple
    zone_id: int

    @property
    def footprint(self) -> Footprint:
        return _reads(_source(self.t))


@attrs.frozen(cache_hash=True)
class BysourceAdd(Op[None]):
    """hlist_add_head_rcu(&ct->nat_bysource) under its bucket's lock.  From here others read ct."""

    ct: Conn
    zone_id: int

    @property
    def footprint(self) -> Footprint:
        return _writes(_source(self.ct.orig))


@attrs.frozen(cache_hash=True)
class BysourceWrite(Op[None]):
    """nf_conntrack_alter_reply of a connection that by-source readers can already see (<= 2.6.35)."""

    ct: Conn

    @property
    def footprint(self) -> Footprint:
        return _writes(_source(self.ct.orig))


@attrs.frozen(cache_hash=True)
class BysourceDel(Op[None]):
    """nf_nat_cleanup_conntrack: unlink a connection that is being freed."""

    ct: Conn

    @property
    def footprint(self) -> Footprint:
        return _writes(_source(self.ct.orig))


# ── search hints shared by all flows of a protocol (<= 4.20) ────────────────────────────────────


@attrs.frozen(cache_hash=True)
class RoverLoad(Op[int]):
    """Plain load of the protocol's static u16 (tcp_port_rover, ...)."""

    protonum: int

    @property
    def footprint(self) -> Footprint:
        return _reads(("hint", self.protonum))


@attrs.frozen(cache_hash=True)
class RoverStore(Op[None]):
    """Plain store of the protocol's static u16."""

    protonum: int
    off: int

    @property
    def footprint(self) -> Footprint:
        return _writes(("hint", self.protonum))


@attrs.frozen(cache_hash=True)
class IdLoad(Op[int]):
    """Plain load of the static u16 `id` (ICMP, ICMPv6) or `key` (GRE)."""

    protonum: int

    @property
    def footprint(self) -> Footprint:
        return _reads(("hint", self.protonum))


@attrs.frozen(cache_hash=True)
class IdIncrement(Op[int]):
    """`++id`, not locked: the new value."""

    protonum: int

    @property
    def footprint(self) -> Footprint:
        return _writes(("hint", self.protonum))


# ── extensions of connections ───────────────────────────────────────────────────────────────────


@attrs.frozen(cache_hash=True)
class ExtGenidLoad(Op[int]):
    """atomic_read(&nf_conntrack_ext_genid): 1 at first, so that 0 is no generation."""

    @property
    def footprint(self) -> Footprint:
        return _reads(("ext genid",))


@attrs.frozen(cache_hash=True)
class ExtGenidIncrement(Op[None]):
    """atomic_inc(&nf_conntrack_ext_genid)."""

    @property
    def footprint(self) -> Footprint:
        return _writes(("ext genid",))


# ── the senders' clocks (scenarios with retransmissions only) ───────────────────────────────────


@attrs.frozen(cache_hash=True)
class SetTimer(Op[None]):
    """The CPU has nothing to do until a sender's timer fires, `at` ms after the first attempts."""

    at: int

    @property
    def footprint(self) -> Footprint:
        return _writes(("timers",))


@attrs.frozen(cache_hash=True)
class TimerFires(Op[None]):
    """It is `at` ms later: not runnable while another CPU has something to do before."""

    at: int

    @property
    def footprint(self) -> Footprint:
        return _writes(("timers",))


@attrs.frozen(cache_hash=True)
class Idle(Op[None]):
    """The CPU has nothing to do any more."""

    @property
    def footprint(self) -> Footprint:
        return _writes(("timers",))


# ── what no table decides ───────────────────────────────────────────────────────────────────────


@attrs.frozen(cache_hash=True)
class Window:
    """The keys a walk may choose from: u16(first + off % size) in t's `manip` field, size a u32.

    `attempts` is how many candidates one round looks at (u32).  A draw carries its window so that an
    explorer can tell which draws lead apart; the kernel's generator knows nothing of it.
    """

    t: CtTuple
    on_src: bool
    first: int
    size: int
    attempts: int

    def candidate(self, off: int) -> int:
        return u16_add(self.first, off % self.size)

    def tuple_at(self, key: int) -> CtTuple:
        return self.t.with_sport(key) if self.on_src else self.t.with_dport(key)

    def holds(self, t: CtTuple) -> bool:
        """Is `t` a candidate?"""
        key = t.sport if self.on_src else t.dport
        return t == self.tuple_at(key) and u16_add(key, -self.first) < self.size


def u16_add(a: int, b: int) -> int:
    return (a + b) & 0xFFFF


@attrs.frozen(cache_hash=True)
class RandomU16(Op[int]):
    """A uniform u16: get_random_u16(), or prandom_u32() cut to 16 bits.  `fn` is the kernel's name.

    `shared`: it is put where other CPUs' walks go on, too (2.6.24).
    """

    fn: str
    window: Window
    shared: bool = False


@attrs.frozen(cache_hash=True)
class RandomOffset(Op[int]):
    """A uniform 0..size-1, as get_random_u32_below(size) gives it: no port is likelier than another.

    No NAT of the kernel's draws so; it is for paths of one's own.  A walk from it goes on with
    (off + 1) % size, where one from a u16 goes on with u16(off + 1).
    """

    fn: str
    window: Window


@attrs.frozen(cache_hash=True)
class SecurePort(Op[int]):
    """secure_ipv4/6_port_ephemeral cut to 16 bits: a keyed hash of the rewritten tuple.

    Equal arguments give equal replies for as long as the machine is up.
    """

    t: CtTuple
    manip: Manip
    window: Window

    @property
    def footprint(self) -> Footprint:
        t = self.t
        port = t.dport if self.manip is Manip.SRC else t.sport
        return _writes(("secure port", t.l3num, t.src, t.dst, port))


@attrs.frozen(cache_hash=True)
class RandomBelow(Op[int]):
    """A uniform value in 0..below-1, drawn inside confirm for its chain limit.

    The two chains that the limit is compared with are named, so that a world can tell which values
    lead apart.
    """

    fn: str
    below: int
    minimum: int
    ct: Conn
    zone_ids: tuple[int, int]


@attrs.frozen(cache_hash=True)
class RhltableLookup(Op[int]):
    """Does rhltable_lookup find the by-source list of `t`'s source?  0: it does.  (4.9 .. 4.13)

    The table's parameters have no key_len, so the look-up hashes no byte of the key, and walks one
    bucket of the table for every key; entries stand where their own hash puts them.  A source is found
    if its bucket happens to be that one: a value below the table's size, uniform, and the same for as
    long as the table is.  `t` has its source only.
    """

    t: CtTuple
    below: int = 1024  # min_size; from 769 entries on the table is larger
    fn: ClassVar[str] = "rhltable_lookup"

    @property
    def footprint(self) -> Footprint:
        return _writes(("found", *_source(self.t)))


@attrs.frozen(cache_hash=True)
class Count(Op[None]):
    """NF_CT_STAT_INC: one more in a counter that `conntrack -S` shows.  No path reads it back."""

    name: str


@attrs.frozen(cache_hash=True)
class Warn(Op[None]):
    """WARN_ON: no effect but a line in the log."""

    text: str


DRAWS: Final = (RandomU16, RandomOffset, SecurePort, RandomBelow, RhltableLookup)
