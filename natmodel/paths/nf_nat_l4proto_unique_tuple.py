# SPDX-License-Identifier: GPL-2.0-or-later
"""Pick a port: walk a window of keys from some start until one is not used, or until told to stop.

Offsets are u16 and wrap at 65,536, whatever the window's size; the candidate is
u16(first + off % size).  A walk is one goto per probe, so that its history does not grow with it.
"""

from __future__ import annotations

from natmodel.ops import (
    Call,
    IdIncrement,
    IdLoad,
    RandomU16,
    RoverLoad,
    RoverStore,
    SecurePort,
    Window,
    path,
)
from natmodel.release import Release
from natmodel.values import (
    IPPROTO_GRE,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    NF_NAT_RANGE_PROTO_OFFSET,
    NF_NAT_RANGE_PROTO_RANDOM,
    NF_NAT_RANGE_PROTO_RANDOM_ALL,
    NF_NAT_RANGE_PROTO_RANDOM_FULLY,
    NF_NAT_RANGE_PROTO_SPECIFIED,
    Conn,
    CtTuple,
    Manip,
    NatRange,
    u16,
    u32,
)


def port_window(t: CtTuple, r: NatRange, manip: Manip) -> tuple[int, int] | None:
    """(first, size) for protocols with ports; None where the port must stay.  Reversed is swapped.

    kernel: nf_nat_l4proto_unique_tuple, its top (4.16 .. 7.3.4; stable 4.4.155, 4.9.154, 4.14.177)
    """
    if not r.flags & NF_NAT_RANGE_PROTO_SPECIFIED:
        if manip is Manip.DST:
            return None
        if t.sport < 512:
            return 1, 511
        if t.sport < 1024:
            return 600, 424
        return 1024, 64512
    first, last = sorted((r.min_proto, r.max_proto))
    return first, last - first + 1


# ── a function per protocol, each with its own static hint (<= 4.20) ────────────────────────────


@path
async def hint_per_protocol(
    k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """kernel: l4proto->unique_tuple (4.18 .. 4.20; 4.19.y before 4.19.228)"""
    if t.protonum in (IPPROTO_ICMP, IPPROTO_ICMPV6):
        return icmp_unique_tuple(k, t, r, ct)
    if t.protonum == IPPROTO_GRE:
        return gre_unique_tuple(k, t, r, manip, ct)
    if t.protonum in k.port_protocols:
        return rover_walk(k, t, r, manip, ct)
    return t


@path
async def rover_walk(
    k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """Start at a keyed hash, a random offset, a shift, or where the last search ended.

    kernel: nf_nat_l4proto_unique_tuple (4.18 .. 4.20; 4.19.y before 4.19.228)
    """
    window = port_window(t, r, manip)
    if window is None:
        return t
    first, size = window
    w = Window(t, manip is Manip.SRC, first, size, size)
    keep = not r.flags & (NF_NAT_RANGE_PROTO_RANDOM_ALL | NF_NAT_RANGE_PROTO_OFFSET)
    if r.flags & NF_NAT_RANGE_PROTO_RANDOM:
        off = await SecurePort(t, manip, w)
    elif r.flags & NF_NAT_RANGE_PROTO_RANDOM_FULLY:
        off = await RandomU16(k.rng, w)
    elif r.flags & NF_NAT_RANGE_PROTO_OFFSET:
        off = u16((t.sport if manip is Manip.SRC else t.dport) - r.base_proto)
    else:
        off = await RoverLoad(t.protonum)
    return rover_probe(k, w, ct, keep, off, 1)


@path
async def rover_probe(
    k: Release, w: Window, ct: Conn, keep: bool, off: int, i: int
) -> CtTuple | Call[CtTuple]:
    """One candidate.  The last one, the `size`-th, is taken without a look."""
    t = w.tuple_at(w.candidate(off))
    if i != w.size and await k.used_tuple(k, t, ct):
        return rover_probe(k, w, ct, keep, u16(off + 1), i + 1)
    if keep:
        await RoverStore(t.protonum, off)
    return t


@path
async def icmp_unique_tuple(
    k: Release, t: CtTuple, r: NatRange, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """Ids from a static counter that every search advances; random flags are not looked at.

    Without a range the size is 0xFFFF, so one id is never chosen.  A reversed range wraps to a huge
    size, or to 0, which divides by zero.
    kernel: icmp_unique_tuple, icmpv6_unique_tuple (3.4 .. 4.20)
    """
    specified = r.flags & NF_NAT_RANGE_PROTO_SPECIFIED
    size = u32(r.max_proto - r.min_proto + 1) if specified else 0xFFFF
    w = Window(t, True, r.min_proto, size, size)
    return static_id_probe(k, w, ct, await IdLoad(t.protonum), 1)


@path
async def gre_unique_tuple(
    k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """Only PPTP's calls, which have a master, are given another key.

    kernel: gre_unique_tuple (3.4 .. 4.20)
    """
    if not ct.has_master:
        return t
    first, size = 1, 0xFFFF
    if r.flags & NF_NAT_RANGE_PROTO_SPECIFIED:
        first, size = r.min_proto, u32(r.max_proto - r.min_proto + 1)
    w = Window(t, manip is Manip.SRC, first, size, size)
    return static_id_probe(k, w, ct, await IdLoad(t.protonum), 1)


@path
async def static_id_probe(
    k: Release, w: Window, ct: Conn, off: int, i: int
) -> CtTuple | Call[CtTuple]:
    """One candidate.  The counter is advanced past every id that was found used."""
    t = w.tuple_at(w.candidate(off))
    if i != w.size and await k.used_tuple(k, t, ct):
        return static_id_probe(k, w, ct, await IdIncrement(t.protonum), i + 1)
    return t


# ── one function for all protocols, a random start, at most 248 probes (5.0+) ───────────────────


def id_or_port_window(
    k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn
) -> tuple[bool, int, int] | None:
    """(is it the source key?, first, size u32); None where the tuple must stay as it is.

    kernel: nf_nat_l4proto_unique_tuple, its switch (5.1 .. 7.3.4)
    """
    specified = r.flags & NF_NAT_RANGE_PROTO_SPECIFIED
    size = u32(r.max_proto - r.min_proto + 1)
    if t.protonum in (IPPROTO_ICMP, IPPROTO_ICMPV6):
        # the id is the source key in either direction
        return (True, r.min_proto, size) if specified else (True, 0, 65536)
    on_src = manip is Manip.SRC
    if t.protonum == IPPROTO_GRE:
        if not ct.has_master:
            return None
        return (on_src, r.min_proto, size) if specified else (on_src, 1, 65535)
    if t.protonum not in k.port_protocols:
        return None
    window = port_window(t, r, manip)
    return None if window is None else (on_src, *window)


@path
async def bounded_rounds(
    k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """Rounds of at most 128, 64, 32, 16, 8 probes, each from a new random offset.

    Plain DNAT starts at the window's first port.
    kernel: nf_nat_l4proto_unique_tuple (6.8 .. 7.3.4)
    """
    window = id_or_port_window(k, t, r, manip, ct)
    if window is None:
        return t
    on_src, first, size = window
    assert k.max_attempts is not None
    attempts = min(size, k.max_attempts)
    w = Window(t, on_src, first, size, attempts)
    if r.flags & NF_NAT_RANGE_PROTO_OFFSET:
        off = u16((t.sport if on_src else t.dport) - r.base_proto)
    elif r.flags & NF_NAT_RANGE_PROTO_RANDOM_ALL or manip is not Manip.DST:
        off = await RandomU16(k.rng, w)
    else:
        off = 0
    return bounded_probe(k, w, ct, off, 0, t)


@path
async def another_round(k: Release, w: Window, ct: Conn, t: CtTuple) -> CtTuple | Call[CtTuple]:
    """The round found nothing: half as many probes from a new start, or leave the last, used tuple."""
    if w.attempts >= w.size or w.attempts < 16:
        return t
    w = Window(w.t, w.on_src, w.first, w.size, w.attempts // 2)
    return bounded_probe(k, w, ct, await RandomU16(k.rng, w), 0, t)


@path
async def bounded_probe(
    k: Release, w: Window, ct: Conn, off: int, i: int, t: CtTuple
) -> CtTuple | Call[CtTuple]:
    """Probe number i of this round; `t` is the candidate before it."""
    if i == w.attempts:
        return another_round(k, w, ct, t)
    t = w.tuple_at(w.candidate(off))
    if not await k.used_tuple_harder(k, t, ct, w.attempts - i):
        return t
    return bounded_probe(k, w, ct, u16(off + 1), i + 1, t)
