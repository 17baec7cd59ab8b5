# SPDX-License-Identifier: GPL-2.0-or-later
"""What the model says of a nearly full window: how likely is the last free key found?

The row's own path says which rounds of probes there are; that a start misses a key is then a matter of
counting starts.  Where the key lies in the window is not known, and near the wrap it counts, so the
probability is an interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import chain, groupby
from math import prod
from typing import Any, Final

import attrs

from natmodel import ops
from natmodel.boot import hashing
from natmodel.chances import Hits
from natmodel.live import Trials
from natmodel.ops import Call, Op, Window
from natmodel.paths.nf_hooks import nf_confirm, nf_nat_inet_fn, resolve_normal_ct
from natmodel.release import Release, Skb
from natmodel.router import CannotPlay
from natmodel.run import follow
from natmodel.values import (
    AF_INET,
    IPPROTO_TCP,
    IPS_CONFIRMED,
    IPS_SRC_NAT,
    IPS_SRC_NAT_DONE,
    NF_DROP,
    NF_NAT_RANGE_MAP_IPS,
    NF_NAT_RANGE_PROTO_SPECIFIED,
    TCP_CONNTRACK_SYN_SENT,
    TCP_CONNTRACK_TIME_WAIT,
    Conn,
    CtTuple,
    Manip,
    NatRange,
    TcpHdr,
    nf_ct_invert_tuple,
    parse_address,
)
from natmodel.world import Background, Draw, Entry, Returned, Stamp, World

_INSIDE, _STRANGER, _OUTSIDE, _SERVER = (
    parse_address(text)[1] for text in ("10.1.0.2", "10.1.1.2", "10.200.0.1", "10.201.0.1")
)
# Where the laboratory's windows began is not told, and makes no difference.
_FIRST: Final = 1000
_U16: Final = 65536


@attrs.frozen
class Lost:
    """A packet that found no key: the windows of its draws, in order, and the counters it raised."""

    windows: tuple[Window, ...]
    counted: tuple[str, ...]


def _held(protonum: int, port: int, state: int) -> Conn:
    """An entry that holds an outside port."""
    orig = CtTuple(AF_INET, protonum, _STRANGER, port, _SERVER, 80)
    status = IPS_CONFIRMED | IPS_SRC_NAT | IPS_SRC_NAT_DONE
    reply = nf_ct_invert_tuple(orig).with_dst(_OUTSIDE).with_dport(port)
    return Conn(1000, orig, reply, status, tcp_state=state, td_end=1001, refcount=2)


def _hooks(k: Release, r: NatRange) -> tuple[Callable[[Skb], Call[Skb]], ...]:
    """A forwarded packet's way."""
    return (
        lambda skb: resolve_normal_ct(k, skb),
        lambda skb: nf_nat_inet_fn(k, skb, Manip.DST, None),
        lambda skb: nf_nat_inet_fn(k, skb, Manip.SRC, r),
        lambda skb: nf_confirm(k, skb),
    )


def lost(k: Release, world: World, protonum: int, sport: int, r: NatRange) -> Lost:
    """Send one packet into a world in which every key is held.  Raises CannotPlay if it is not lost."""
    windows: list[Window] = []

    def first_offset(op: Draw) -> int:
        if isinstance(op, ops.RandomU16):
            windows.append(op.window)
        elif not isinstance(op, ops.RandomBelow):
            raise CannotPlay("the start of the walk is not drawn at random")
        return 0

    th = TcpHdr(seq=900_000, syn=True) if protonum == IPPROTO_TCP else None
    skb = Skb(1, CtTuple(AF_INET, protonum, _INSIDE, sport, _SERVER, 80), th)
    counted: tuple[str, ...] = ()
    for hook in _hooks(k, r):
        ran = follow(hook(skb), world, first_offset)
        skb, world, counted = ran.result, ran.world, counted + ran.counted
    if skb.verdict != NF_DROP:
        raise CannotPlay("a packet finds a key in a full window")
    return Lost(tuple(windows), counted)


def world_of(k: Release, entries: Sequence[Entry | Stamp]) -> World:
    return World(Background(entries, hashing(k)))


def port_range(size: int, flags: int) -> NatRange:
    flags |= NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED
    return NatRange(flags, _OUTSIDE, _OUTSIDE, _FIRST, _FIRST + size - 1)


def full(k: Release, trials: Trials) -> Lost:
    """What becomes of a packet when the whole range is held."""
    size = trials.size
    held = _held(trials.protonum, _FIRST, TCP_CONNTRACK_SYN_SENT)
    world = world_of(k, [Stamp(held, "reply.dport", _FIRST, _FIRST + size - 1, sport_step=True)])
    return lost(k, world, trials.protonum, 50_000, port_range(size, trials.flags))


# ── odds ────────────────────────────────────────────────────────────────────────────────────────


def opens(k: Release, w: Window, special: Conn | None) -> tuple[bool, ...]:
    """Does probe number i of the round take a key: a free one, or one that entry `special` holds?"""
    if special is None:
        return (True,) * min(w.attempts, w.size)
    world = world_of(k, [Entry(special)])
    ct = Conn(1, w.t, nf_ct_invert_tuple(w.t), tcp_state=TCP_CONNTRACK_SYN_SENT, td_end=900_001)
    t = w.tuple_at(special.reply.dport)

    def no_draw(op: Draw) -> int:
        raise AssertionError(op)

    return tuple(
        not follow(k.used_tuple_harder(k, t, ct, w.attempts - i), world, no_draw).result
        for i in range(min(w.attempts, w.size))
    )


@cache
def missing(size: int, residue: int, probes: tuple[bool, ...]) -> Fraction:
    """The part of the 65,536 starts from which no probe that would take the key meets it.

    Probe i of a walk from `off` names residue u16(off + i) mod size.
    """
    spans = []
    for taken, run in groupby(enumerate(probes), key=lambda item: item[1]):
        if taken:
            numbers = [i for i, _ in run]
            spans.append((numbers[0], numbers[-1]))
    starts = sorted(
        chain.from_iterable(
            _split(at - last, at - first)
            for at in range(residue, _U16, size)
            for first, last in spans
        )
    )
    met, end = 0, -1
    for low, high in starts:
        met += max(high - max(low, end + 1) + 1, 0)
        end = max(end, high)
    return Fraction(_U16 - met, _U16)


def _split(low: int, high: int) -> Iterator[tuple[int, int]]:
    """An interval of starts, wrapped at 0."""
    if high < 0:
        yield low + _U16, high + _U16
    elif low < 0:
        yield low + _U16, _U16 - 1
        yield 0, high
    else:
        yield low, high


def found(k: Release, windows: Sequence[Window], special: Conn | None) -> tuple[Fraction, Fraction]:
    """The least and the greatest probability that some round takes the key, over its places."""
    if not windows:
        raise CannotPlay("the walk has no rounds")
    return _found(windows[0].size, tuple(opens(k, w, special) for w in windows))


@cache
def _found(size: int, rounds: tuple[tuple[bool, ...], ...]) -> tuple[Fraction, Fraction]:
    missed = [
        prod((missing(size, r, probes) for probes in rounds), start=Fraction(1))
        for r in range(size)
    ]
    return 1 - max(missed), 1 - min(missed)


# ── what was seen ───────────────────────────────────────────────────────────────────────────────


def counts(k: Release, trials: Trials) -> tuple[list[Hits], list[str]]:
    """The tests of an experiment, and what is wrong in it for certain.  Raises CannotPlay."""
    if trials.kind == "remap_exhaust":
        return [], list(_exhausted(k, trials))
    held = _held(trials.protonum, _FIRST, TCP_CONNTRACK_TIME_WAIT)
    whole = full(k, trials)
    special = held if trials.kind == "evict_scan" else None
    low, high = found(k, whole.windows, special)
    if trials.free > 1:
        high = Fraction(1)  # how the free ones are spread is not told
    count = Hits(trials.kind, trials.reps, trials.hits, low, high)
    wrong = [f"{trials.hits} of {trials.reps}"] if count.is_impossible() else []
    if trials.kind == "fill":
        wrong += _wrong_counters(whole.counted, trials)
        if not min(trials.hits, 1) <= trials.distinct <= min(trials.free, trials.hits):
            wrong.append(f"{trials.distinct} different ports")
    return ([] if count.is_decided() else [count]), wrong


def _wrong_counters(counted: Sequence[str], trials: Trials) -> Iterator[str]:
    """Each packet that is lost raises the counters `counted`; one that gets through raises none."""
    n = trials.reps - trials.hits
    told = dict(trials.counters)
    for name in sorted({*told, "drop", "insert_failed"}):
        if told.get(name, 0) != n * counted.count(name):
            yield f"{name} rose by {told.get(name, 0)}"


def _exhausted(k: Release, trials: Trials) -> Iterator[str]:
    """Delivered from one port each: its own first, then out of the window of its class."""
    own = _held(trials.protonum, trials.sport, TCP_CONNTRACK_SYN_SENT)
    r = NatRange(NF_NAT_RANGE_MAP_IPS, _OUTSIDE, _OUTSIDE)
    window = _window(k, world_of(k, [Entry(own)]), trials, r)
    first, last = window.first, window.first + window.size - 1
    world = world_of(
        k, [Stamp(own, "reply.dport", min(first, trials.sport), last, sport_step=True)]
    )
    keys = {trials.sport, *range(first, last + 1)}
    if not (first <= trials.low and trials.high <= last):
        yield f"ports {trials.low} to {trials.high}"
    if trials.distinct != trials.hits or trials.hits > len(keys):
        yield f"{trials.hits} delivered from {trials.distinct} ports"
    missed = trials.hits < trials.reps
    counted = lost(k, world, trials.protonum, trials.sport, r).counted if missed else ()
    yield from _wrong_counters(counted, trials)


def _window(k: Release, world: World, trials: Trials, r: NatRange) -> Window:
    """The window that a packet draws from whose own port is held."""
    windows: list[Window] = []

    def listen(op: Op[Any] | Returned, reply: Any) -> None:
        if isinstance(op, ops.RandomU16):
            windows.append(op.window)

    orig = CtTuple(AF_INET, trials.protonum, _INSIDE, trials.sport, _SERVER, 80)
    ct = Conn(1, orig, nf_ct_invert_tuple(orig), tcp_state=TCP_CONNTRACK_SYN_SENT, td_end=1001)
    follow(k.get_unique_tuple(k, orig, r, ct, Manip.SRC), world, lambda op: 1, listen)
    if not windows:
        raise CannotPlay("the start of the walk is not drawn at random")
    return windows[0]
