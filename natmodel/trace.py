# SPDX-License-Identifier: GPL-2.0-or-later
"""A schedule that was walked, as data: what each step asked and got, and why a packet was dropped.

No layout and no sentences: `render` makes those.  `Trace.to_data` is the JSON form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from itertools import islice
from typing import Any, Final

import attrs

from natmodel import ops
from natmodel.nat_text import PacketSpec
from natmodel.ops import Body, Node, Op
from natmodel.release import Confirmed, Fate, Packet, Release
from natmodel.run import follow
from natmodel.scenario import Scenario
from natmodel.schedule import Schedule
from natmodel.system import Move
from natmodel.threads import Stack
from natmodel.values import (
    IP_CT_DIR_ORIGINAL,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    NF_ACCEPT,
    NF_DROP,
    NF_NAT_RANGE_PROTO_SPECIFIED,
    Conn,
    CtTuple,
    Manip,
    nf_ct_invert_tuple,
    nf_ct_zone_id,
)
from natmodel.verdict import Replay
from natmodel.world import BOTH, Draw, Returned, Stamp, World, is_open

SCHEMA: Final = "natmodel.trace/1"

Hints = tuple[tuple[int, int], ...]


# ── steps ───────────────────────────────────────────────────────────────────────────────────────


class What(Enum):
    """What a step does to the memory that CPUs share."""

    FIND = "find"
    TAKEN = "tuple_taken"
    KILL = "nf_ct_kill"
    CONFIRM = "confirm"
    AT_ONCE = "choose+confirm"
    LINK = "link REPLY"
    LOCK = "lock"
    UNLOCK = "unlock"
    BYSOURCE = "bysource"
    BYSOURCE_ADD = "bysource add"
    BYSOURCE_WRITE = "bysource write"
    BYSOURCE_DEL = "bysource del"
    ROVER_LOAD = "rover"
    ROVER_STORE = "rover :="
    ID_LOAD = "id"
    ID_INCREMENT = "++id"
    RANDOM = "random"
    SECURE_PORT = "secure_port"
    EXT_GENID = "ext genid"
    EXT_GENID_INCREMENT = "++ext genid"
    SET_TIMER = "wait"
    TIMER_FIRES = "timer fires"
    IDLE = "idle"
    COUNT = "count"
    WARN = "WARN_ON"
    OTHER = "section"


_OPS: Final[dict[type, What]] = {
    # the kernels' own locks are taken inside of sections
    ops.LockBuckets: What.LOCK,
    ops.LockTable: What.LOCK,
    ops.UnlockBuckets: What.UNLOCK,
    ops.ReadBysource: What.BYSOURCE,
    ops.BysourceAdd: What.BYSOURCE_ADD,
    ops.BysourceWrite: What.BYSOURCE_WRITE,
    ops.BysourceDel: What.BYSOURCE_DEL,
    ops.RoverLoad: What.ROVER_LOAD,
    ops.RoverStore: What.ROVER_STORE,
    ops.IdLoad: What.ID_LOAD,
    ops.IdIncrement: What.ID_INCREMENT,
    ops.RandomU16: What.RANDOM,
    ops.RandomOffset: What.RANDOM,
    ops.RandomBelow: What.RANDOM,
    ops.RhltableLookup: What.RANDOM,
    ops.SecurePort: What.SECURE_PORT,
    ops.ExtGenidLoad: What.EXT_GENID,
    ops.ExtGenidIncrement: What.EXT_GENID_INCREMENT,
    ops.SetTimer: What.SET_TIMER,
    ops.TimerFires: What.TIMER_FIRES,
    ops.Idle: What.IDLE,
    ops.Count: What.COUNT,
    ops.Warn: What.WARN,
}

LOOK_UPS: Final = (What.FIND, What.TAKEN)


@attrs.frozen
class Row:
    """One step.  `answer` is what the memory answered: found? taken? a value; None if nothing.

    `key` is the table key that the step is about, and `on_dport` says which of its ports the NAT
    rule may change.  `function` is the kernel's function, `frames` the paths that the CPU is in,
    outermost first.  `done` is how confirm ended.  The rest is what changed: nodes linked and
    unlinked, hints (protocol, value), counters.  `in_cause` marks the steps that explain a drop.
    """

    step: int
    cpu: int
    packet: int | None
    what: What
    function: str
    frames: tuple[str, ...]
    key: CtTuple | None = None
    on_dport: bool = True
    answer: bool | int | None = None
    done: Confirmed | None = None
    draws: tuple[int, ...] = ()
    counters: tuple[str, ...] = ()
    added: tuple[Node, ...] = ()
    removed: tuple[Node, ...] = ()
    hints: Hints = ()
    in_cause: bool = False

    @property
    def is_look_up(self) -> bool:
        return self.what in LOOK_UPS

    @property
    def drops(self) -> bool:
        return self.done is not None and self.done.verdict == NF_DROP


# ── why a packet was dropped ────────────────────────────────────────────────────────────────────


class Kind(Enum):
    """What went wrong.  Only RACE and the two of ORIGINAL come of steps in an unlucky order."""

    # a look-up found the key free, another CPU linked it, confirm found it taken
    RACE = "race"
    # another packet with this very ORIGINAL tuple was confirmed first
    SAME_ORIGINAL = "same ORIGINAL"
    # the ORIGINAL tuple is the reply tuple of an entry
    ORIGINAL_TAKEN = "ORIGINAL taken"
    # the last look-up said that the key is taken; nothing was left to try
    EXHAUSTED = "exhausted"
    # taken without a look-up: a range of one port, or the last candidate of a walk
    UNSEEN = "unseen"
    # nf_nat_used_tuple_new took the entry for the packet's own reverse
    LET_PASS = "let pass"
    # the entry was there, and the look-up passes over entries like it
    PASSED_OVER = "passed over"
    # chosen and confirmed in one step
    AT_ONCE = "at once"
    CHAIN_TOO_LONG = "chain too long"
    OTHER = "other"


@attrs.frozen
class Cause:
    """Why `packet` was dropped at `step`, with the steps that show it.

    `key` is the key that was taken (`direction` of the connection's two), `looked` the step at
    which this CPU last looked at it or, if `evicted`, made room for itself; `taken` the step at
    which `winner`, a packet, linked it.  An entry that was there from the start has neither.
    """

    kind: Kind
    packet: int
    cpu: int
    step: int
    text: str
    key: CtTuple | None = None
    direction: int | None = None
    looked: int | None = None
    evicted: bool = False
    taken: int | None = None
    winner: int | None = None
    one_port: bool = False

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps to look at, in order."""
        return tuple(sorted({n for n in (self.looked, self.taken, self.step) if n is not None}))


# ── how packets ended ───────────────────────────────────────────────────────────────────────────


class Ending(Enum):
    ACCEPTED = "accepted"
    DROPPED = "dropped"
    UNDER_WAY = "under way"
    NOT_BEGUN = "not begun"


@attrs.frozen
class PacketEnd:
    """How a packet ended, in whose words, the connection it is part of, and when (ms)."""

    packet: int
    cpu: int
    ending: Ending
    text: str = ""
    ct: Conn | None = None
    at: int = 0


@attrs.frozen
class Trace:
    """A schedule with all its steps.

    `hints` are the search hints at the start, `counters` the (name, value) pairs of each CPU that
    `conntrack -S` would show, `causes` one for each packet dropped.
    """

    scenario: Scenario
    schedule: Schedule
    rows: tuple[Row, ...]
    ends: tuple[PacketEnd, ...]
    counters: tuple[tuple[tuple[str, int], ...], ...]
    causes: tuple[Cause, ...]
    hints: Hints
    table_size: int

    @property
    def packets(self) -> tuple[PacketSpec, ...]:
        return self.scenario.packets

    @property
    def dropped(self) -> int:
        """How many packets."""
        return sum(end.ending is Ending.DROPPED for end in self.ends)

    @property
    def finished(self) -> bool:
        """Has every packet ended?"""
        return not any(end.ending in (Ending.UNDER_WAY, Ending.NOT_BEGUN) for end in self.ends)

    def to_data(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "schema": SCHEMA,
            "schedule": str(self.schedule),
            "steps": [_row_data(row) for row in self.rows],
            "packets": [_end_data(end, self.packets[end.packet]) for end in self.ends],
            "counters": [{"cpu": cpu, **dict(counts)} for cpu, counts in enumerate(self.counters)],
            "causes": [_cause_data(cause) for cause in self.causes],
            "finished": self.finished,
        }


def outcome_data(trace: Trace) -> dict[str, Any]:
    """The JSON form of a way in which all packets end: how, and a schedule that ends so."""
    return {
        "dropped": trace.dropped,
        "packets": [_end_data(end, trace.packets[end.packet]) for end in trace.ends],
        "schedule": str(trace.schedule),
        "steps": len(trace.schedule),
        "switches": trace.schedule.switches,
    }


def trace_of(replay: Replay) -> Trace:
    """What a walked schedule shows."""
    rows = tuple(_rows(replay))
    causes = tuple(_cause(replay, rows, row) for row in rows if row.drops)
    shown = {step for cause in causes for step in cause.steps}
    return Trace(
        scenario=replay.scenario,
        schedule=replay.schedule,
        rows=tuple(attrs.evolve(r, in_cause=True) if r.step in shown else r for r in rows),
        ends=tuple(_ends(replay, rows)),
        counters=tuple(_counters(rows, cpu) for cpu in range(replay.system.cpus)),
        causes=causes,
        hints=replay.system.world(replay.states[0]).hints,
        table_size=replay.system.world(replay.states[0]).background.size // len(BOTH),
    )


# ── making rows ─────────────────────────────────────────────────────────────────────────────────


def _rows(replay: Replay) -> Iterator[Row]:
    system = replay.system
    for n, move in enumerate(replay.moves):
        before = replay.states[n]
        row = _asked(system.threads.stack[before[move.cpu]], move, system.world(before))
        yield attrs.evolve(
            row,
            step=n + 1,
            cpu=move.cpu,
            draws=move.answer.draws,
            counters=move.answer.counted,
            **_changes(system.world(before), move.answer.world),
        )


def _asked(stack: Stack, move: Move, world: World) -> Row:
    """What the step asks, of which key, and the answer."""
    op, reply = move.op, move.answer.reply
    bodies = [body for body, _, _ in stack]
    key, what = None, _OPS.get(type(op), What.OTHER)
    if isinstance(op, ops.Atomic):
        if isinstance(reply, Fate):
            reply = _confirmed_within(op.call, world, move.answer.draws) or reply
        key, what = _section(op.call, reply)
        bodies.append(op.call.body)
    packet = next(_each(stack, Packet), None)
    is_icmp = key is not None and key.protonum in (IPPROTO_ICMP, IPPROTO_ICMPV6)
    return Row(
        step=0,
        cpu=0,
        packet=None if packet is None else packet.id,
        what=what,
        function=_function(op, bodies),
        frames=tuple(body.__name__ for body, _, _ in stack),
        key=key,
        # ICMP has its id on the source's side, in both directions
        on_dport=not is_icmp and next(_each(stack, Manip), Manip.SRC) is Manip.SRC,
        answer=_answer(op, what, reply),
        done=reply if isinstance(reply, Confirmed) else None,
    )


def _confirmed_within(
    call: ops.Call[Any], world: World, draws: tuple[int, ...]
) -> Confirmed | None:
    """What confirm said inside a section that is a whole packet's life."""
    left = list(draws)
    said: list[Confirmed] = []

    def draw(op: Draw) -> int:
        return left.pop(0) if is_open(world, op) else 0

    def listen(op: Op[Any] | Returned, reply: Any) -> None:
        if isinstance(op, Returned) and isinstance(op.value, Confirmed):
            said.append(op.value)

    rows = [arg for arg in call.args if isinstance(arg, Release)]
    follow(call, world, draw, listen, frozenset(k.confirm.__name__ for k in rows))
    return said[-1] if said else None


def _section(call: ops.Call[Any], reply: Any) -> tuple[CtTuple | None, What]:
    """A section is known by what it is given and what it gives, so that new paths need no table."""
    ct = next((arg for arg in call.args if isinstance(arg, Conn)), None)
    t = next((arg for arg in call.args if isinstance(arg, CtTuple)), None)
    if isinstance(reply, Confirmed):
        chosen_before = ct is not None and ct.reply == reply.ct.reply
        return reply.ct.reply, What.CONFIRM if chosen_before else What.AT_ONCE
    if t is not None:
        return t, What.TAKEN if isinstance(reply, bool) else What.FIND
    if ct is not None:
        return ct.reply, What.KILL if isinstance(reply, bool) else What.LINK
    return None, What.OTHER


def _answer(op: Op[Any], what: What, reply: Any) -> bool | int | None:
    if what is What.FIND:
        return reply is not None
    if what is What.BYSOURCE:
        return len(reply)
    if isinstance(op, ops.RoverStore):
        return op.off
    if isinstance(op, ops.SetTimer | ops.TimerFires):
        return op.at
    return reply if isinstance(reply, bool | int) else None


def _each(stack: Stack, kind: type[Any]) -> Iterator[Any]:
    """The arguments of this type, innermost frame first."""
    for _, args, _ in reversed(stack):
        for arg in args:
            if isinstance(arg, kind):
                yield arg
            elif isinstance(arg, tuple) and arg and isinstance(arg[0], kind):
                yield arg[0]


_CITED: Final = re.compile(r"kernel: (\w+)")


def kernel_name(body: Body) -> str | None:
    """The kernel function that a path says it is."""
    cited = _CITED.search(body.__doc__ or "")
    return cited[1] if cited else None


def _function(op: Op[Any], bodies: list[Body]) -> str:
    """The innermost kernel function that the CPU is in."""
    if isinstance(op, ops.RandomU16 | ops.RandomOffset | ops.RandomBelow | ops.RhltableLookup):
        return op.fn
    names = filter(None, map(kernel_name, reversed(bodies)))
    return next(names, bodies[-1].__name__)


def _changes(before: World, after: World) -> dict[str, Any]:
    """What a step did to the table and to the hints."""
    if before is after:
        return {}
    was, now = set(map(_place, before.linked)), set(map(_place, after.linked))
    removed = [node for node in before.linked if _place(node) not in now]
    for gone in sorted(after.gone - before.gone):
        removed += _background_nodes(after, gone)
    protocols = {protonum for protonum, _ in (*before.hints, *after.hints)}
    return {
        "added": tuple(node for node in after.linked if _place(node) not in was),
        "removed": tuple(removed),
        "hints": tuple(
            (p, after.hint(p)) for p in sorted(protocols) if after.hint(p) != before.hint(p)
        ),
    }


def _place(node: Node) -> tuple[int, int]:
    return node.ct.id, node.direction


def _background_nodes(world: World, conn_id: int) -> Iterator[Node]:
    """The nodes that an entry had at the start."""
    for entry in world.background.entries:
        if not isinstance(entry, Stamp):
            ct = entry.ct if entry.ct.id == conn_id else None
        else:
            k = conn_id - entry.template.id
            value = next(islice(entry.values(), k, None), None) if k >= 0 else None
            ct = None if value is None else entry.conn(value)
        if ct is not None:
            yield from (Node(ct, direction) for direction in entry.hashed)


# ── finding the cause ───────────────────────────────────────────────────────────────────────────


def _cause(replay: Replay, rows: tuple[Row, ...], at: Row) -> Cause:
    """Why the packet was dropped in the step `at`, from what was looked at and linked before."""
    done = at.done
    assert done is not None
    cause = Cause(Kind.OTHER, done.ct.id, at.cpu, at.step, done.cause)
    if done.clash is None:
        return attrs.evolve(cause, kind=Kind.CHAIN_TOO_LONG) if "chain" in done.cause else cause
    world = replay.system.world(replay.states[at.step - 1])
    direction = _direction_taken(world, done.ct, done.clash)
    if direction is None:
        return cause
    cause = attrs.evolve(
        cause,
        key=done.ct.tuplehash(direction),
        direction=direction,
        winner=done.clash.id if done.clash.id < len(replay.scenario.packets) else None,
        one_port=_one_port(replay, done.ct.id),
    )
    return _clash(cause, rows[: at.step - 1], at, done.clash)


def _clash(cause: Cause, before: tuple[Row, ...], at: Row, clash: Conn) -> Cause:
    """When the key was looked at and when it was taken, and what that amounts to."""
    assert at.done is not None
    assert cause.key is not None
    cause = attrs.evolve(cause, taken=_linked_at(before, clash.id, cause.key))
    mine = [row for row in before if row.packet == cause.packet]
    look = next((row for row in reversed(mine) if row.key == cause.key and row.is_look_up), None)
    killed = next((row for row in reversed(mine) if row.what is What.KILL and row.answer), None)
    if killed is not None and any(node.t == cause.key for node in killed.removed):
        cause = attrs.evolve(cause, looked=killed.step, evicted=True)
    elif look is not None:
        cause = attrs.evolve(cause, looked=look.step)
    if cause.direction == IP_CT_DIR_ORIGINAL:
        same = clash.orig == at.done.ct.orig
        return attrs.evolve(cause, kind=Kind.SAME_ORIGINAL if same else Kind.ORIGINAL_TAKEN)
    if at.what is What.AT_ONCE:
        return attrs.evolve(cause, kind=Kind.AT_ONCE)
    return attrs.evolve(cause, kind=_kind_of_choice(cause, look, mine))


def _kind_of_choice(cause: Cause, look: Row | None, mine: list[Row]) -> Kind:
    """How a key that is taken came to be chosen."""
    if cause.looked is None or look is None:
        return Kind.UNSEEN
    if look.answer and not cause.evicted:
        last = [row for row in mine if row.is_look_up][-1]
        in_new = any("used_tuple_new" in name for name in last.frames)
        let_pass = in_new and last.what is What.FIND and not cause.one_port
        return Kind.LET_PASS if let_pass else Kind.EXHAUSTED
    if cause.taken is not None and cause.taken > cause.looked:
        return Kind.RACE
    return Kind.PASSED_OVER


def _direction_taken(world: World, ct: Conn, clash: Conn) -> int | None:
    """Which of ct's keys is one of the clashing entry's; confirm looks at ORIGINAL first."""
    for direction in BOTH:
        key = ct.tuplehash(direction)
        nodes = [node for node in world.linked if node.t == key]
        nodes += [node for _, node in world.background.nodes_of(key)]
        for node in nodes:
            zones = (nf_ct_zone_id(c.zone, node.direction) for c in (ct, clash))
            if node.ct.id == clash.id and len(set(zones)) == 1:
                return direction
    return None


def _linked_at(rows: tuple[Row, ...], conn_id: int, key: CtTuple) -> int | None:
    """The last step that linked this key for this connection."""
    for row in reversed(rows):
        if any(node.ct.id == conn_id and node.t == key for node in row.added):
            return row.step
    return None


def _one_port(replay: Replay, packet: int) -> bool:
    """Does the source rule leave the packet a single port?"""
    on_cpu = replay.scenario.threads()[packet % replay.scenario.cpus]
    todo = next((arg for arg in on_cpu.args if isinstance(arg, tuple) and arg), ())
    src = next((p.src for p in todo if isinstance(p, Packet) and p.id == packet), None)
    if src is None or not src.flags & NF_NAT_RANGE_PROTO_SPECIFIED:
        return False
    return src.min_proto == src.max_proto


# ── how it ended ────────────────────────────────────────────────────────────────────────────────


def _ends(replay: Replay, rows: tuple[Row, ...]) -> Iterator[PacketEnd]:
    """One for each packet of the scenario, in order."""
    fates = {fate.packet: fate for fate in _fates(replay)}
    begun = {row.packet for row in rows}
    dropped = {row.done.ct.id: row.done for row in rows if row.done is not None and row.drops}
    for number in range(len(replay.scenario.packets)):
        cpu = number % replay.scenario.cpus
        if number in fates:
            fate = fates[number]
            ending = Ending.ACCEPTED if fate.verdict == NF_ACCEPT else Ending.DROPPED
            yield PacketEnd(number, cpu, ending, fate.cause, fate.ct, fate.at)
        elif number in dropped and not replay.scenario.retransmit:
            yield PacketEnd(number, cpu, Ending.DROPPED, dropped[number].cause)
        else:
            yield PacketEnd(number, cpu, Ending.UNDER_WAY if number in begun else Ending.NOT_BEGUN)


def _fates(replay: Replay) -> Iterator[Fate]:
    """What the CPUs' paths have returned, or hold."""
    threads, last = replay.system.threads, replay.states[-1]
    for t in last[:-1]:
        held: list[Any] = [threads.result[t]]
        held += [arg for _, args, _ in threads.stack[t][:1] for arg in args]
        for value in held:
            if isinstance(value, tuple):
                yield from (item for item in value if isinstance(item, Fate))
            elif isinstance(value, Fate):
                yield value


def _counters(rows: tuple[Row, ...], cpu: int) -> tuple[tuple[str, int], ...]:
    counts: dict[str, int] = {}
    for row in rows:
        if row.cpu == cpu:
            for name in row.counters:
                counts[name] = counts.get(name, 0) + 1
    return tuple(counts.items())


# ── the JSON form ───────────────────────────────────────────────────────────────────────────────


def _row_data(row: Row) -> dict[str, Any]:
    data: dict[str, Any] = {
        "step": row.step,
        "cpu": row.cpu,
        "packet": row.packet,
        "what": row.what.value,
        "function": row.function,
        "frames": list(row.frames),
        "key": None if row.key is None else str(row.key),
        "answer": row.answer,
        "verdict": None,
        "draws": list(row.draws),
        "counters": list(row.counters),
        "added": [_node_data(node) for node in row.added],
        "removed": [_node_data(node) for node in row.removed],
        "hints": [{"protocol": p, "value": value} for p, value in row.hints],
        "in_cause": row.in_cause,
    }
    if row.done is not None:
        data["answer"] = row.done.cause
        data["verdict"] = _verdict(row.done.verdict)
    return data


def _node_data(node: Node) -> dict[str, Any]:
    direction = "REPLY" if node.direction else "ORIGINAL"
    return {"entry": node.ct.id, "direction": direction, "key": str(node.t)}


def _verdict(verdict: int) -> str:
    return "NF_ACCEPT" if verdict == NF_ACCEPT else "NF_DROP"


def _end_data(end: PacketEnd, spec: PacketSpec) -> dict[str, Any]:
    mapped = None if end.ct is None else str(nf_ct_invert_tuple(end.ct.reply))
    return {
        "packet": end.packet,
        "cpu": end.cpu,
        "original": str(spec),
        "ending": end.ending.value,
        "cause": end.text,
        "leaves_as": mapped,
        "after_ms": end.at,
    }


def _cause_data(cause: Cause) -> dict[str, Any]:
    data = attrs.asdict(cause, recurse=False)
    data["kind"] = cause.kind.value
    data["key"] = None if cause.key is None else str(cause.key)
    if cause.direction is not None:
        data["direction"] = "REPLY" if cause.direction else "ORIGINAL"
    return data
