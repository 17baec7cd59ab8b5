# SPDX-License-Identifier: GPL-2.0-or-later
"""Replays recorded vectors on the release they come from, and says where the model differs.

Every field that a vector records is compared: what the model did is rebuilt in the vector's own
terms by listening to its paths, and the two values are held side by side.  Nothing is guessed: a
vector that the model cannot play is refused, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from signal import SIG_IGN, SIGINT, signal
from typing import Any, Final, TypeAlias

import attrs

from natmodel import ops
from natmodel.boot import Boot, hashing
from natmodel.errors import BadInput
from natmodel.hashes import (
    best_ips_hash,
    jhash2,
    reciprocal_scale,
)
from natmodel.kernel_vectors import is_hashes, is_walks, read_hashes, read_walks
from natmodel.live_conform import Document, Observation, is_live, observe, wrong_lines
from natmodel.ops import Call, Node, Op, path
from natmodel.paths.nf_nat_used_tuple import not_harder
from natmodel.release import Confirmed, Release
from natmodel.releases import RELEASES
from natmodel.run import follow, reply_to
from natmodel.stretch import Stretches, is_source_key
from natmodel.values import (
    IP_CT_DIR_ORIGINAL,
    IP_CT_DIR_REPLY,
    IPS_SRC_NAT_DONE,
    NF_ACCEPT,
    NF_NAT_RANGE_MAP_IPS,
    Conn,
    CtTuple,
    Manip,
    NatRange,
    nf_ct_invert_tuple,
    u16,
)
from natmodel.vectors import (
    BestAddress,
    BestIps,
    Buckets,
    Commit,
    Confirm,
    Event,
    Flow,
    FlowEnd,
    Hash,
    HashCall,
    Hashed,
    Interleave,
    Interleaving,
    Jhash2,
    Lookup,
    NodeText,
    PortHash,
    Probe,
    RawHash,
    Recorded,
    Refused,
    Scale,
    Select,
    Selection,
    SourceHash,
    Table,
    Walk,
    Walked,
    printable,
    read_document,
    read_vectors,
    status_names,
    told_chain,
)
from natmodel.world import (
    Background,
    Draw,
    Entry,
    Hashing,
    Returned,
    World,
    flatten,
    range_of_draw,
)


def probes_of(k: Release) -> dict[str, str]:
    """The functions that are probes, and what vectors call them."""
    probes = {k.used_tuple_new.__name__: "used_tuple_new"}
    if k.used_tuple_harder is not not_harder:  # which only goes on to the plain one
        probes[k.used_tuple_harder.__name__] = "used_tuple_harder"
    # Where the newer form is the plain one, it goes by that name.
    return probes | {k.used_tuple.__name__: "used_tuple"}


_SIDES: Final = ("orig", "reply")
# Operations that vectors do not record, each by itself.
_SILENT: Final = (ops.ReadChain, ops.Count)

Outcome: TypeAlias = Selection | Commit | Interleaving | Hashed | Walked


class RanOut(Exception):
    """The path draws more random values than were recorded."""


# ── what a vector is played on ──────────────────────────────────────────────────────────────────


class Machine:
    """A booted kernel with a vector's table in memory; it notes the port hashes it is asked for."""

    def __init__(self, k: Release, table: Table, port: int | None = None) -> None:
        self.k: Final = k
        self.ports: Final[list[int]] = []
        self._entries: Final = table.entries
        boot = Boot(
            buckets=table.htable_size,
            bysource_buckets=table.nat_htable_size,
            jiffies=table.jiffies,
        )
        booted = hashing(k, boot)
        assert booted.secure_port is not None
        self._own_port: Final = booted.secure_port
        self._port: Final = port
        self.hashing: Final = attrs.evolve(booted, secure_port=self._secure_port)

    def world(self, protonum: int, rover: int | None) -> World:
        return World(Background(self._entries, self.hashing)).with_hint(protonum, rover or 0)

    def buckets(self, ct: Conn) -> Buckets:
        """Where both directions of ct are hashed."""
        return self.bucket(Node(ct, IP_CT_DIR_ORIGINAL)), self.bucket(Node(ct, IP_CT_DIR_REPLY))

    def bucket(self, node: Node) -> int:
        assert self.hashing.bucket is not None
        return self.hashing.bucket(node.t, self.k.hash_zone_id(node.ct.zone, node.direction))

    def _secure_port(self, t: CtTuple, manip: Manip) -> int:
        port = self._own_port(t, manip) if self._port is None else self._port
        self.ports.append(port)
        return port


class Dice:
    """Hands out recorded random values in order, and notes who drew which."""

    def __init__(self, values: Iterable[int | None]) -> None:
        self._values: Final = iter(values)
        self.drawn: Final[list[tuple[str, int | None, int]]] = []

    def __call__(self, op: Draw) -> int:
        assert not isinstance(op, ops.SecurePort)  # the machine knows it
        value = next(self._values, None)
        below = range_of_draw(op)
        self.drawn.append((op.fn, value, below))
        if value is None:
            raise RanOut
        # The kernel cuts prandom_u32() to 16 bits.
        return value if below != 65536 else u16(value)


# ── unique_tuple ────────────────────────────────────────────────────────────────────────────────


class Listener:
    """Hears a path run, and rebuilds what vectors record of it."""

    def __init__(
        self, k: Release, rover: int | None, manip: Manip, asking: Conn, background: Background
    ) -> None:
        self.taken: Final = k.tuple_taken.__name__
        self.find: Final = k.find_get.__name__
        self.bysource_walk: Final = k.find_appropriate_src.__name__
        self.announce: Final = frozenset({*probes_of(k), self.taken, self.find, self.bysource_walk})
        self.asking: Final = probes_of(k)
        self.probes: Final[list[Probe]] = []
        self.rover_trace: Final[list[tuple[str, int]]] = []
        self.rover: int | None = rover
        self.bysource: tuple[CtTuple | None] | None = None
        self.killed: Final[list[int]] = []
        self.warn: Final[list[str]] = []
        self._probe: Call[Any] | None = None
        self._lookups: list[Returned] = []
        self._stretches: Final = Stretches(background, manip, asking)
        self._on_src: Final = is_source_key(asking.orig, manip)
        # A run of known probes: the first of them, its key, and the key after the last one's (-1: none).
        self._run: Call[Any]
        self._first_key = self._next_key = -1

    def hear(self, op: Op[Any] | Returned, reply: Any) -> None:
        if isinstance(op, Returned):
            self._hear_return(op)
        elif isinstance(op, Call):
            # A probe may ask another probe's function: that is a look-up of its own.
            if self._probe is None and op.name in self.asking:
                self.end_run()
                self._probe = op
                self._stretches.begin()
        else:
            self._stretches.hear(op, reply)
            if not isinstance(op, _SILENT):
                self._hear_access(op, reply)

    def known(self, call: Call[Any]) -> bool | None:
        """True where a probe's answer is known from those before it; then it is noted, too."""
        if self._probe is not None or call not in self._stretches:
            return None
        t: CtTuple = call.args[1]
        key = t.sport if self._on_src else t.dport
        if key != self._next_key or call.body is not self._run.body:
            self.end_run()
            self._run, self._first_key = call, key
        self._next_key = key + 1
        return True

    def end_run(self) -> None:
        """Write down the known probes that have been noted last, which make one run."""
        if self._next_key >= 0:
            n = self._next_key - self._first_key
            self.probes.append(Probe(self.asking[self._run.name], self._run.args[1], n, True))
            self._next_key = -1

    def _hear_return(self, returned: Returned) -> None:
        call = returned.call
        if call is self._probe:
            probe = self._probed(call.args[1], returned)
            self.probes.append(probe)
            if probe.used and not probe.lookups:
                self._stretches.learn(call)
            self._probe = None
            self._lookups.clear()
        elif call.name == self.bysource_walk:
            self.bysource = (returned.value,)
        elif self._probe is not None and call.name not in self.asking:
            self._lookups.append(returned)

    def _probed(self, t: CtTuple, probe: Returned) -> Probe:
        """The probe that has just ended.  One that is just a tuple_taken names no look-ups."""
        fn, used = self.asking[probe.call.name], probe.value
        if len(self._lookups) == 1:
            (only,) = self._lookups
            asked = only.call.args[1]
            if only.call.name == self.taken and only.value is used:
                if asked == nf_ct_invert_tuple(t):
                    return Probe(fn, t, 1, used)
        return Probe(fn, t, 1, used, tuple(map(self._lookup, self._lookups)))

    def _lookup(self, returned: Returned) -> Lookup:
        t, value = returned.call.args[1], returned.value
        if returned.call.name == self.taken:
            return Lookup("taken", t, value)
        return Lookup("find", t, None if value is None else (value.ct.id, value.direction))

    def _hear_access(self, op: Op[Any], reply: Any) -> None:
        match op:
            case ops.RoverLoad():
                self.rover_trace.append(("r", reply))
                self.rover = reply
            case ops.RoverStore():
                self.rover_trace.append(("w", op.off))
                self.rover = op.off
            case ops.IdLoad() | ops.IdIncrement():
                self.rover = reply
            case ops.HashDelete() if reply:
                self.killed.append(op.ct.id)
            case ops.Warn():
                self.warn.append(op.text)


def select(k: Release, v: Select) -> Selection:
    """What the model's get_unique_tuple does."""
    machine = Machine(k, v.table, v.port)
    dice = Dice(value for _, value in v.did.random)
    call = k.get_unique_tuple(k, v.orig, v.range, v.ct, v.manip)
    world = machine.world(v.orig.protonum, v.rover)
    listener = Listener(k, v.rover, v.manip, v.ct, world.background)
    result, fault = None, None
    try:
        result = follow(call, world, dice, listener.hear, listener.announce, listener.known).result
    except ZeroDivisionError:
        fault = "divide_error"
    except RanOut:
        pass  # the draw without a value tells
    listener.end_run()
    return Selection(
        probes=tuple(listener.probes),
        random=tuple((name, value) for name, value, _ in dice.drawn),
        secure_port=tuple(machine.ports),
        rover_trace=tuple(listener.rover_trace),
        rover_after=listener.rover,
        bysource_lookup=listener.bysource,
        result=result,
        # An answer's answer is ORIGINAL, whatever it was made of.
        result_dir=None if result is None else IP_CT_DIR_ORIGINAL,
        fault=fault,
        killed=tuple(listener.killed),
        warn=tuple(listener.warn),
    )


def in_runs(probes: Iterable[Probe], manip: Manip) -> tuple[Probe, ...]:
    """The same probes in the longest runs that a vector can write."""
    runs: list[Probe] = []
    first, n = None, 0
    for probe in probes:
        if first is not None and _continues(first, n, probe, manip):
            n += probe.n
            continue
        if first is not None:
            runs.append(attrs.evolve(first, n=n))
        first, n = probe, probe.n
    return tuple(runs) if first is None else (*runs, attrs.evolve(first, n=n))


def _continues(first: Probe, n: int, probe: Probe, manip: Manip) -> bool:
    """Does `probe` follow on `first`, which stands for n probes?"""
    if first.lookups or probe.lookups or first.used is not probe.used or first.fn != probe.fn:
        return False
    return _nth(first.t, n, manip) == probe.t


def _nth(t: CtTuple, n: int, manip: Manip) -> CtTuple:
    """The tuple of probe number n of a run that begins with `t`."""
    if is_source_key(t, manip):
        return t.with_sport(t.sport + n)
    return t.with_dport(t.dport + n)


# ── confirm ─────────────────────────────────────────────────────────────────────────────────────

Chains: TypeAlias = dict[int, list[NodeText]]


def commit(k: Release, v: Confirm) -> Commit:
    """What the model's __nf_conntrack_confirm does."""
    machine = Machine(k, v.table)
    dice = Dice(value for _, value, _ in v.did.random)
    world = machine.world(v.ct.orig.protonum, None)
    before = _chains(machine, world, v.ct.net)
    warn: list[str] = []

    def hear(op: Op[Any] | Returned, reply: Any) -> None:
        if isinstance(op, ops.Warn):
            warn.append(op.text)

    counted: tuple[str, ...] = ()
    done = Confirmed(NF_ACCEPT, v.ct, v.ct.id, False, "ran out of random values")
    try:
        ran = follow(k.confirm(k, v.ct, v.direction), world, dice, hear)
        done, world, counted = ran.result, ran.world, ran.counted
    except RanOut:
        pass  # the draw without a value tells
    after = _chains(machine, world, v.ct.net)
    added, removed = _nodes_beyond(after, before), _nodes_beyond(before, after)
    buckets = machine.buckets(v.ct)
    # Only insertion makes the time absolute.
    linked = any(conn_id == v.ct.id for conn_id, _, _ in added)
    table_after = None
    if v.did.table_after is not None:
        table_after = tuple((bucket, *node) for bucket in sorted(after) for node in after[bucket])
    return Commit(
        allow_clash=k.allow_clash(v.ct.orig.protonum),
        buckets=buckets,
        table_buckets=_table_buckets(machine, v.table),
        chain_orig_before=told_chain(before.get(buckets[IP_CT_DIR_ORIGINAL], [])),
        chain_reply_before=told_chain(before.get(buckets[IP_CT_DIR_REPLY], [])),
        random=tuple(dice.drawn),
        verdict=_verdict(done),
        stats=_stats(counted, v.did.stats),
        added=added,
        removed=removed,
        table_after=table_after,
        skb_ct_after=done.skb_ct,
        status=status_names(done.ct.status),
        timeout=done.ct.timeout + (v.table.jiffies if linked else 0),
        freed=done.freed,
        refcount=done.ct.refcount,
        warn=tuple(warn),
    )


def _chains(machine: Machine, world: World, net: int) -> Chains:
    """Bucket -> nodes, head first, of the table that serves this namespace."""
    chains: Chains = {}

    def is_there(node: Node) -> bool:
        return not machine.k.table_per_net or node.ct.net == net

    for node in filter(is_there, reversed(world.linked)):
        chains.setdefault(machine.bucket(node), []).append(_told_node(node))
    for bucket, nodes in world.background.chains.items():
        there = [
            _told_node(node) for node in filter(is_there, nodes) if world.current(node) is not None
        ]
        chains.setdefault(bucket, []).extend(there)
    return chains


def _told_node(node: Node) -> NodeText:
    return node.ct.id, _SIDES[node.direction]


def _nodes_beyond(chains: Chains, others: Chains) -> tuple[tuple[int, str, int], ...]:
    """The nodes that are in `chains` only, bucket by bucket, head first."""
    return tuple(
        (*node, bucket)
        for bucket in sorted(chains)
        for node in chains[bucket]
        if node not in others.get(bucket, ())
    )


def _table_buckets(machine: Machine, table: Table) -> tuple[Buckets | None, ...]:
    """The buckets of the entries for which they are told."""
    return tuple(
        machine.buckets(entry.ct) if told is not None and isinstance(entry, Entry) else None
        for entry, told in zip(table.entries, table.buckets, strict=True)
    )


def _verdict(done: Confirmed) -> str:
    return "ACCEPT" if done.verdict == NF_ACCEPT else "DROP"


def _stats(counted: Sequence[str], told: Sequence[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """How often the counters that a vector tells of were raised."""
    return tuple((name, counted.count(name)) for name, _ in told)


# ── schedule ────────────────────────────────────────────────────────────────────────────────────


@path
async def setup_and_confirm(k: Release, ct: Conn, r: NatRange, manip: Manip) -> Confirmed:
    """A flow of a schedule.  A merged connection is freed at once; a dropped one is not, here."""
    ct = await k.setup_info(k, ct, r, manip)
    done = await k.confirm(k, ct, IP_CT_DIR_ORIGINAL)
    if done.freed and done.ct.status & IPS_SRC_NAT_DONE:
        await ops.BysourceDel(done.ct)
    return done


class Stage:
    """What the flows of one schedule share: the world, the random values, and the trace."""

    def __init__(self, k: Release, v: Interleave) -> None:
        self.machine: Final = Machine(k, v.table)
        self.world: World = self.machine.world(v.flows[0].ct.orig.protonum, v.rover)
        self.dice: Final = Dice(value for _, _, value in v.did.random)
        self.drawers: Final[list[str]] = []
        self.counted: Final[list[str]] = []
        self.trace: Final[list[Event]] = []
        self.hinted: bool = v.rover is not None

    def answer(self, flow: str, op: Op[Any]) -> Any:
        """Let the world answer, and write down what a trace tells of it."""
        drawn = len(self.dice.drawn)
        if isinstance(op, ops.RandomU16 | ops.RandomBelow | ops.RhltableLookup):
            self.drawers.append(flow)
        reply, self.world = reply_to(op, self.world, self.dice)
        match op:
            case ops.RandomU16() | ops.RandomBelow() | ops.RhltableLookup():
                self.trace.append((flow, "random", *self.dice.drawn[drawn][:2]))
            case ops.SecurePort():
                self.trace.append((flow, "secure_port", self.machine.ports[-1]))
            case ops.RoverLoad():
                self.trace.append((flow, "rover_read", reply))
                self.hinted = True
            case ops.RoverStore():
                self.trace.append((flow, "rover_write", op.off))
                self.hinted = True
            case ops.HashDelete() if reply:
                self.trace.append((flow, "kill", op.ct.id))
            case ops.Count():
                self.counted.append(op.name)
        return reply


class Actor:
    """One flow: a path that is run up to the next point where vectors switch, and stopped there."""

    def __init__(self, name: str, stage: Stage, flow: Flow) -> None:
        k = stage.machine.k
        self.name: Final = name
        self.done: Confirmed | None = None
        self._stage: Final = stage
        self._confirm: Final = k.confirm.__name__
        self._bysource_walk: Final = k.find_appropriate_src.__name__
        self._asking: Final = probes_of(k)
        announce = frozenset({*self._asking, self._confirm, self._bysource_walk})
        call = setup_and_confirm(k, flow.ct, flow.range, flow.manip)
        self._run: Final = flatten(call, announce)
        # What the path waits on: an operation that is still to be answered, or nothing.
        self._stopped_at: Op[Any] | None = None
        self._probe: Call[Any] | None = None

    def resume(self) -> None:
        """Run to the next switch point, or to the end."""
        reply = None if self._stopped_at is None else self._answer(self._stopped_at)
        while True:
            try:
                op = self._run.send(reply)
            except StopIteration as stop:
                self.done = stop.value
                self._tell("end")
                return
            point = self._switch_point(op)
            if point is not None:
                self._tell("yield", point)
                self._stopped_at = op if not isinstance(op, Call | Returned) else None
                return
            reply = self._answer(op)

    def _switch_point(self, op: Op[Any] | Returned) -> str | None:
        """What `op` is about to do, in a trace's words, if flows may switch in front of it."""
        match op:
            case ops.RoverLoad():
                return "rover_read"
            case ops.RoverStore():
                return "rover_write"
            case Call() if op.name == self._confirm:
                return "confirm"
            case Call() if op.name in self._asking and self._probe is None:
                self._probe = op
                return f"nf_nat_{self._asking[op.name]}"
        return None

    def _answer(self, op: Op[Any] | Returned) -> Any:
        if isinstance(op, Returned):
            self._hear_return(op.call, op.value)
            return None
        return None if isinstance(op, Call) else self._stage.answer(self.name, op)

    def _hear_return(self, call: Call[Any], value: Any) -> None:
        if call is self._probe:
            self._tell("probe", f"nf_nat_{self._asking[call.name]}", call.args[1], value)
            self._probe = None
        elif call.name == self._bysource_walk:
            self._tell("bysource", value is not None, value)
        elif call.name == self._confirm and value.freed:
            self._tell("free", value.ct.id)

    def _tell(self, *event: str | int | CtTuple | None) -> None:
        self._stage.trace.append((self.name, *event))


def act(stage: Stage, v: Interleave) -> list[Actor]:
    """Let both flows run as the schedule says; when one has ended, its turns are the other's."""
    actors = [Actor(name, stage, flow) for name, flow in zip("AB", v.flows, strict=True)]
    with suppress(RanOut):  # the draw without a value tells
        for name in v.schedule:
            first = "AB".index(name)
            turn = actors[first] if actors[first].done is None else actors[1 - first]
            if turn.done is None:
                turn.resume()
    return actors


def interleave(k: Release, v: Interleave) -> Interleaving:
    """What the model's flows do under the schedule."""
    stage = Stage(k, v)
    actors = act(stage, v)
    protonum = v.flows[0].ct.orig.protonum
    draws = zip(stage.drawers, stage.dice.drawn, strict=True)
    return Interleaving(
        trace=tuple(stage.trace),
        random=tuple((flow, name, value) for flow, (name, value, _) in draws),
        results=tuple(flow_end(actor.done) for actor in actors),
        stats=_stats(stage.counted, v.did.stats),
        rover_after=stage.world.hint(protonum) if stage.hinted else None,
    )


def flow_end(done: Confirmed | None) -> FlowEnd | None:
    if done is None:
        return None
    ct = done.ct
    verdict = _verdict(done)
    return FlowEnd(ct.id, ct.reply, status_names(ct.status), "ACCEPT", verdict, done.skb_ct)


# ── hash ────────────────────────────────────────────────────────────────────────────────────────


def hashed(k: Release, call: HashCall) -> Hashed:
    """The value of one of the release's hash functions."""
    match call:
        case RawHash():
            raw = k.hash_conntrack_raw(call.t, call.zone_id, call.net_hash_mix, call.keys)
            return Hashed(result=raw if call.size is None else k.hash_bucket(raw, call.size))
        case SourceHash():
            zone_id = k.bysource_zone_id(call.zone)
            bucket = k.hash_by_src(call.t, zone_id, call.net_hash_mix, call.keys, call.size)
            return Hashed(result=bucket)
        case Jhash2():
            return Hashed(result=jhash2(call.words, call.initval))
        case Scale():
            return Hashed(result=reciprocal_scale(call.val, call.ep_ro))
        case PortHash():
            ends = call.l3num, call.saddr, call.daddr, call.dport
            return Hashed(result=k.secure_port(*ends, call.jiffies, call.keys))
        case BestIps():
            return _best_ips(k, call)
        case BestAddress():
            return Hashed(result=k.find_best_ips(call.t, call.range, call.zone_id, call.manip))


def _best_ips(k: Release, call: BestIps) -> Hashed:
    t, r = call.t, call.range
    address = k.find_best_ips(t, r, call.zone.id, call.manip)
    result = t.with_src(address) if call.manip is Manip.SRC else t.with_dst(address)
    if not r.flags & NF_NAT_RANGE_MAP_IPS or r.min_addr == r.max_addr:
        return Hashed(result=result)
    initval, j = best_ips_hash(t, r, call.zone.id)
    return Hashed(result=result, jhash2_initval=initval, j_initial=j)


# ── port walk ───────────────────────────────────────────────────────────────────────────────────


def walk(k: Release, v: Walk) -> Walked:
    """What the model's nf_nat_l4proto_unique_tuple does; its probes are answered from the vector."""
    on_src = is_source_key(v.t, v.manip)
    asking = {k.used_tuple.__name__, k.used_tuple_harder.__name__}
    probes: list[int] = []
    attempts_left: list[int] = []

    def known(call: Call[Any]) -> bool | None:
        if call.name not in asking:
            return None
        _, t, _, *left = call.args
        probes.append(t.sport if on_src else t.dport)
        attempts_left.extend(left)
        return probes[-1] in v.used

    world = _walked_world(k, v)
    search = k.l4proto_unique_tuple(k, v.t, v.range, v.manip, v.ct)
    result: int | None = None
    with suppress(ZeroDivisionError, RanOut):
        ran = follow(search, world, Dice(v.random), known=known)
        result, world = ran.result.sport if on_src else ran.result.dport, ran.world
    return Walked(
        result=result,
        probes=tuple(probes),
        attempts_left=None if k.used_tuple_harder is not_harder else tuple(attempts_left),
        rover_after=world.hint(v.t.protonum),
    )


def _walked_world(k: Release, v: Walk) -> World:
    """An empty table; it is the vector that says which keys are used."""
    port = Hashing(k.hash_zone_id, k.bysource_zone_id, secure_port=lambda t, manip: v.port)
    return World(Background((), port)).with_hint(v.t.protonum, v.rover)


# ── one vector ──────────────────────────────────────────────────────────────────────────────────


@attrs.frozen
class Difference:
    """A field in which the model differs, both values as lines; `note` says where to look first."""

    field: str
    note: str
    expected: tuple[str, ...]
    got: tuple[str, ...]


@attrs.frozen
class Verdict:
    """What became of one vector: it agrees if it neither differs nor is refused."""

    of: Recorded
    differences: tuple[Difference, ...] = ()

    @property
    def outcome(self) -> str:
        if isinstance(self.of.vector, Refused):
            return "refused"
        return "differ" if self.differences else "agree"


def conform(recorded: Recorded) -> Verdict:
    """Play one vector and compare."""
    k = RELEASES.get(recorded.release)
    match recorded.vector:
        case Select() as v if k:
            did = attrs.evolve(v.did, probes=in_runs(v.did.probes, v.manip))
            got = select(k, v)
            got = attrs.evolve(got, probes=in_runs(got.probes, v.manip))
            return Verdict(recorded, tuple(_differences(did, got, v.manip)))
        case Confirm() as v if k:
            return Verdict(recorded, tuple(_differences(v.did, commit(k, v))))
        case Interleave() as v if k:
            return Verdict(recorded, tuple(_differences(v.did, interleave(k, v))))
        case Hash() as v if k:
            return Verdict(recorded, tuple(_differences(v.did, hashed(k, v.call))))
        case Walk() as v:
            return Verdict(recorded, tuple(_differences(v.did, walk(RELEASES[v.row], v))))
    return Verdict(recorded)


def _differences(did: Outcome, got: Outcome, manip: Manip = Manip.SRC) -> Iterator[Difference]:
    for field in attrs.fields(type(did)):
        a, b = getattr(did, field.name), getattr(got, field.name)
        if a != b:
            in_runs = isinstance(got, Selection) and field.name == "probes"
            note = first_probe(a, b, manip) if in_runs else first_item(a, b)
            yield Difference(field.name, note, tuple(_lines(a)), tuple(_lines(b)))


def first_probe(a: Sequence[Probe], b: Sequence[Probe], manip: Manip) -> str:
    """Which single probe differs first, and how."""
    pairs = zip_longest(_singly(a, manip), _singly(b, manip))
    n, (expected, got) = next((n, pair) for n, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    return f"first at probe {n}: expected {_text(expected)}; got {_text(got)}"


def _singly(runs: Iterable[Probe], manip: Manip) -> Iterator[Probe]:
    for run in runs:
        for n in range(run.n):
            yield attrs.evolve(run, t=_nth(run.t, n, manip), n=1)


def first_item(a: object, b: object) -> str:
    """Which item of two lists differs first."""
    if not isinstance(a, tuple) or not isinstance(b, tuple) or max(len(a), len(b)) < 2:
        return ""
    n = next(n for n, (x, y) in enumerate(zip_longest(a, b, fillvalue=RanOut), 1) if x != y)
    return f"first at item {n}"


def _lines(value: object) -> Iterator[str]:
    """A value in full: a list has one line for each item."""
    if isinstance(value, tuple) and any(isinstance(i, tuple | Probe | FlowEnd) for i in value):
        yield from map(_text, value)
    else:
        yield _text(value)


def _text(value: object) -> str:
    """A value in one line."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case tuple():
            return " ".join(map(_text, value)) or "none"
        case Probe():
            times = f" and on, {value.n} times" if value.n > 1 else ""
            lookups = "".join(f"; {_text(lookup)}" for lookup in value.lookups)
            return f"{value.fn} {value.t}{times}: {'used' if value.used else 'free'}{lookups}"
        case Lookup():
            return f"{value.fn} {value.t}: {_text(value.answer)}"
        case FlowEnd():
            return ", ".join(
                f"{field.name} {_text(getattr(value, field.name))}"
                for field in attrs.fields(FlowEnd)
            )
    return str(value)


# ── all of them ─────────────────────────────────────────────────────────────────────────────────

OUTCOMES: Final = ("agree", "differ", "refused")
# How many vectors that differ are shown in full.
SHOWN: Final = 5
# To start another process takes as long as to play the vectors in so many bytes.
WORTH_A_PROCESS: Final = 20_000


@attrs.frozen
class Report:
    """What became of all vectors: how many of (release, kind, outcome), and who did not agree.

    `differing` holds the first that differ, `refused` how many were refused for each
    (release, reason), with the first of them.  `live` are the first observations of live kernels that
    differ, and `notes` says what was checked of all of them.
    """

    counts: Counter[tuple[str, str, str]]
    differing: tuple[Verdict, ...]
    refused: dict[tuple[str, str], tuple[int, Recorded]]
    live: tuple[Observation, ...] = ()
    notes: tuple[str, ...] = ()

    def total(self, outcome: str) -> int:
        return sum(n for (_, _, what), n in self.counts.items() if what == outcome)

    @property
    def exit_code(self) -> int:
        """0 if all agree, 1 if one differs, 3 if one is refused."""
        if self.total("differ"):
            return 1
        return 3 if self.total("refused") else 0

    def text(self) -> str:
        """The table, the first differences in full, the refusals, and the sum as the last line."""
        lines = [*_table_lines(self.counts), ""]
        for verdict in self.differing:
            lines += [*_verdict_lines(verdict), ""]
        for observation in self.live:
            lines += [*wrong_lines(observation), ""]
        hidden = self.total("differ") - len(self.differing) - len(self.live)
        if hidden:
            lines += [f"{hidden} more differ", ""]
        for (release, why), (n, first) in self.refused.items():
            lines.append(f"refused {n} of {release}: {why} (first: {first.id})")
        lines += self.notes
        if self.refused or self.notes:
            lines.append("")
        agree, differ, refused = (self.total(outcome) for outcome in OUTCOMES)
        total = agree + differ + refused
        lines.append(f"{total} vectors: {agree} agree, {differ} differ, {refused} refused")
        return "\n".join(lines)


def _table_lines(counts: Counter[tuple[str, str, str]]) -> Iterator[str]:
    """Release x kind, in the order in which they were met."""
    rows: list[tuple[str, ...]] = [("release", "kind", *OUTCOMES)]
    for release, kind in dict.fromkeys((release, kind) for release, kind, _ in counts):
        numbers = [str(counts[release, kind, outcome]) for outcome in OUTCOMES]
        rows.append((release, kind, *numbers))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for release, kind, *numbers in rows:
        cells = [release.ljust(widths[0]), kind.ljust(widths[1])]
        cells += [number.rjust(width) for number, width in zip(numbers, widths[2:], strict=True)]
        yield "  ".join(cells)


def _verdict_lines(verdict: Verdict) -> Iterator[str]:
    yield f"{verdict.of.id} differs ({verdict.of.where})"
    for difference in verdict.differences:
        yield f"  {difference.field}{': ' if difference.note else ''}{difference.note}"
        for name, lines in (("expected", difference.expected), ("got", difference.got)):
            for n, line in enumerate(lines or ("nothing",)):
                yield f"    {'' if n else name:8}  {line}"


# Documents that are no lines of vectors: how they are recognised, and who reads them.
_DOCUMENTS: Final = ((is_walks, read_walks), (is_hashes, read_hashes))


def read_recorded(path: Path) -> Iterator[Recorded]:
    """What a file of any kind recorded, in order.  Raises BadInput."""
    document = read_document(path)
    for recognise, read in _DOCUMENTS:
        if recognise(document):
            return read(document, printable(path))
    return read_vectors(path)


def conform_files(paths: Iterable[Path], jobs: int = 1) -> Report:
    """Play every vector of these files.  Raises BadInput for a file that is no file of vectors.

    At most `jobs` processes share the files; the report is the same, however many there are.
    """
    files: list[Path] = []
    live: list[tuple[Document, str]] = []
    for file in paths:
        document = _live_document(file)
        if document is None:
            files.append(file)
        else:
            live.append((document, printable(file)))
    jobs = min(jobs, len(files), sum(map(_size, files)) // WORTH_A_PROCESS)
    report = _in_processes(files, jobs) if jobs > 1 else _together(map(_conform_file, files))
    return _with_live(report, live)


def _live_document(file: Path) -> Document | None:
    """What a live kernel did; None for every other file, also for one that cannot be read."""
    with suppress(BadInput):  # told when it is its turn
        document = read_document(file)
        return document if is_live(document) else None
    return None


def _size(file: Path) -> int:
    with suppress(OSError, ValueError):
        return file.stat().st_size
    return 0


def _in_processes(files: Sequence[Path], jobs: int) -> Report:
    # Only those who need them wait for these to be loaded.
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # A new interpreter each: whoever calls may have threads, and those cannot be forked.
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _ignore_interrupts)
    try:
        return _together(pool.map(_conform_file, files))
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupts() -> None:
    """Ctrl-C is for the process that waits for us."""
    signal(SIGINT, SIG_IGN)


def _conform_file(file: Path) -> Report:
    counts: Counter[tuple[str, str, str]] = Counter()
    differing: list[Verdict] = []
    refused: dict[tuple[str, str], tuple[int, Recorded]] = {}
    for recorded in read_recorded(file):
        verdict = conform(recorded)
        counts[recorded.release, recorded.kind, verdict.outcome] += 1
        if verdict.differences and len(differing) < SHOWN:
            differing.append(verdict)
        if isinstance(recorded.vector, Refused):
            _refuse(refused, recorded, recorded.vector.why)
    return Report(counts, tuple(differing), refused)


def _together(reports: Iterable[Report]) -> Report:
    """The report of many files."""
    counts: Counter[tuple[str, str, str]] = Counter()
    differing: list[Verdict] = []
    refused: dict[tuple[str, str], tuple[int, Recorded]] = {}
    for report in reports:
        counts.update(report.counts)
        differing += report.differing
        for key, (n, first) in report.refused.items():
            before, earliest = refused.get(key, (0, first))
            refused[key] = before + n, earliest
    return Report(counts, tuple(differing[:SHOWN]), refused)


def _with_live(report: Report, documents: Sequence[tuple[Document, str]]) -> Report:
    """The report, with what became of the observations of live kernels."""
    observations, notes = observe(documents)
    for o in observations:
        report.counts[o.played_as, o.kind, o.outcome] += 1
        if o.refused is not None:
            of = Recorded(o.where, o.name, o.kind, o.played_as, Refused(o.refused))
            _refuse(report.refused, of, o.refused)
    shown = [o for o in observations if o.outcome == "differ"][:SHOWN]
    return attrs.evolve(report, live=tuple(shown), notes=tuple(notes))


def _refuse(
    refused: dict[tuple[str, str], tuple[int, Recorded]], recorded: Recorded, why: str
) -> None:
    n, first = refused.get((recorded.release, why), (0, recorded))
    refused[recorded.release, why] = n + 1, first
