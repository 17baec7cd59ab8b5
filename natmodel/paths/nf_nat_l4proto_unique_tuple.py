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
from natmodel.release import Release, known_flags
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

# ── windows ─────────────────────────────────────────────────────────────────────────────────────


def class_window(t: CtTuple, manip: Manip) -> tuple[int, int] | None:
    """(first, size) without a range: the class of the port it has; None where it must stay."""
    if manip is Manip.DST:
        return None
    if t.sport < 512:
        return 1, 511
    if t.sport < 1024:
        return 600, 424
    return 1024, 64512


def port_window_as_given(t: CtTuple, r: NatRange, manip: Manip) -> tuple[int, int] | None:
    """(first, size u32) for protocols with ports.  A reversed range wraps to a huge size, or to 0.

    kernel: nf_nat_l4proto_unique_tuple and its predecessors, their top (2.6.24 .. 4.15)
    """
    if not r.flags & NF_NAT_RANGE_PROTO_SPECIFIED:
        return class_window(t, manip)
    return r.min_proto, u32(r.max_proto - r.min_proto + 1)


def port_window(t: CtTuple, r: NatRange, manip: Manip) -> tuple[int, int] | None:
    """As port_window_as_given, but a reversed range is swapped.

    kernel: nf_nat_l4proto_unique_tuple, its top (4.16 .. 7.3.4; stable 4.4.155, 4.9.154, 4.14.177,
    4.15.15)
    """
    if not r.flags & NF_NAT_RANGE_PROTO_SPECIFIED:
        return class_window(t, manip)
    first, last = sorted((r.min_proto, r.max_proto))
    return first, last - first + 1


def id_window(r: NatRange) -> tuple[int, int]:
    """(first, size u32) of ICMP ids.  Without a range the size is 0xFFFF: one id is never chosen.

    kernel: icmp_unique_tuple, icmpv6_unique_tuple (2.6.24 .. 4.20)
    """
    specified = r.flags & NF_NAT_RANGE_PROTO_SPECIFIED
    return r.min_proto, u32(r.max_proto - r.min_proto + 1) if specified else 0xFFFF


def key_window(r: NatRange) -> tuple[int, int]:
    """(first, size u32) of GRE keys.  kernel: gre_unique_tuple (2.6.24 .. 4.20)"""
    if r.flags & NF_NAT_RANGE_PROTO_SPECIFIED:
        return r.min_proto, u32(r.max_proto - r.min_proto + 1)
    return 1, 0xFFFF


# ── a function per protocol, each with its own static hint (<= 4.20) ────────────────────────────


@path
async def static_walk(
    k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """The protocol's static u16 is the walk's own variable; RANDOM writes a random number into it.

    kernel: tcp_unique_tuple, udp_unique_tuple (2.6.24)
    """
    if t.protonum not in k.port_protocols:
        return id_or_key_probing_all(k, t, r, manip, ct)
    window = k.port_window(t, r, manip)
    if window is None:
        return t
    first, size = window
    w = Window(t, manip is Manip.SRC, first, size, size)
    if r.flags & NF_NAT_RANGE_PROTO_RANDOM:
        await RoverStore(t.protonum, await RandomU16(k.rng, w, True))
    return static_probe_of_all(k, w, ct, t, await IdLoad(t.protonum), 0)


@path
async def rover_walk_probing_all(
    k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """Start at a keyed hash, or where the last search ended; no port is taken without a look.

    kernel: nf_nat_proto_unique_tuple (2.6.35)
    """
    if t.protonum not in k.port_protocols:
        return id_or_key_probing_all(k, t, r, manip, ct)
    window = k.port_window(t, r, manip)
    if window is None:
        return t
    first, size = window
    w = Window(t, manip is Manip.SRC, first, size, size)
    random = r.flags & NF_NAT_RANGE_PROTO_RANDOM != 0
    off = await SecurePort(t, manip, w) if random else await RoverLoad(t.protonum)
    return rover_probe_of_all(k, w, ct, not random, t, off, 0)


@path
async def rover_probe_of_all(
    k: Release, w: Window, ct: Conn, keep: bool, t: CtTuple, off: int, i: int
) -> CtTuple | Call[CtTuple]:
    """One candidate; `t` is the one before it, and is left in place if it was the last."""
    if i == w.size:
        return t
    t = w.tuple_at(w.candidate(off))
    if await k.used_tuple(k, t, ct):
        return rover_probe_of_all(k, w, ct, keep, t, u16(off + 1), i + 1)
    if keep:
        await RoverStore(t.protonum, off)
    return t


@path
async def rover_walk(
    k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """Start at a keyed hash, a random offset, a shift, or where the last search ended.

    Random offsets came with a flag in 3.14, shifts in 4.18: a release knows its flags.
    kernel: nf_nat_l4proto_unique_tuple (3.7 .. 4.20; 4.19.y before 4.19.228),
    nf_nat_proto_unique_tuple (3.4)
    """
    if t.protonum not in k.port_protocols:
        return id_or_key(k, t, r, manip, ct)
    window = k.port_window(t, r, manip)
    if window is None:
        return t
    first, size = window
    w = Window(t, manip is Manip.SRC, first, size, size)
    flags = known_flags(k, r)
    keep = not flags & (NF_NAT_RANGE_PROTO_RANDOM_ALL | NF_NAT_RANGE_PROTO_OFFSET)
    if flags & NF_NAT_RANGE_PROTO_RANDOM:
        off = await SecurePort(t, manip, w)
    elif flags & NF_NAT_RANGE_PROTO_RANDOM_FULLY:
        off = await RandomU16(k.rng, w)
    elif flags & NF_NAT_RANGE_PROTO_OFFSET:
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
async def bounded_rounds_from_a_hash(
    k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """As bounded_rounds, but under RANDOM the first round starts at a keyed hash.

    kernel: nf_nat_l4proto_unique_tuple (stable 4.9.300+, 4.14.265+, 4.19.228+)
    """
    if t.protonum not in k.port_protocols:
        return id_or_key(k, t, r, manip, ct)
    window = k.port_window(t, r, manip)
    if window is None:
        return t
    first, size = window
    w = first_round(k, t, manip is Manip.SRC, first, size)
    flags = known_flags(k, r)
    if flags & NF_NAT_RANGE_PROTO_RANDOM:
        off = await SecurePort(t, manip, w)
    elif flags & NF_NAT_RANGE_PROTO_OFFSET and not flags & NF_NAT_RANGE_PROTO_RANDOM_FULLY:
        off = u16((t.sport if manip is Manip.SRC else t.dport) - r.base_proto)
    else:
        off = await RandomU16(k.rng, w)
    return bounded_probe(k, w, ct, off, 0, t)


# Under RANDOM these start at a keyed hash.  No NAT since 5.0 asks for one, nor does that of 2.6.24.
ASK_SECURE_PORT = frozenset({rover_walk_probing_all, rover_walk, bounded_rounds_from_a_hash})


# ── ICMP ids and GRE keys, from a static counter (<= 4.20) ──────────────────────────────────────


@path
async def id_or_key_probing_all(
    k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """A protocol without ports.  kernel: nf_nat_protocol->unique_tuple (2.6.24, 2.6.35)"""
    if t.protonum == IPPROTO_ICMP:
        return icmp_unique_tuple_probing_all(k, t, r, ct)
    if t.protonum == IPPROTO_GRE:
        return gre_unique_tuple_probing_all(k, t, r, manip, ct)
    return t


@path
async def icmp_unique_tuple_probing_all(
    k: Release, t: CtTuple, r: NatRange, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """Ids from a static counter that every search advances; random flags are not looked at.

    kernel: icmp_unique_tuple (2.6.24, 2.6.35)
    """
    first, size = id_window(r)
    w = Window(t, True, first, size, size)
    return static_probe_of_all(k, w, ct, t, await IdLoad(t.protonum), 0)


@path
async def gre_unique_tuple_probing_all(
    k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """Only PPTP's calls, which have a master, are given another key.

    kernel: gre_unique_tuple (2.6.24, 2.6.35)
    """
    if not ct.has_master:
        return t
    first, size = key_window(r)
    w = Window(t, manip is Manip.SRC, first, size, size)
    return static_probe_of_all(k, w, ct, t, await IdLoad(t.protonum), 0)


@path
async def static_probe_of_all(
    k: Release, w: Window, ct: Conn, t: CtTuple, off: int, i: int
) -> CtTuple | Call[CtTuple]:
    """One candidate; the counter is advanced past every one that was found used.

    `t` is the candidate before it, and is left in place if it was the last.
    """
    if i == w.size:
        return t
    t = w.tuple_at(w.candidate(off))
    if await k.used_tuple(k, t, ct):
        return static_probe_of_all(k, w, ct, t, await IdIncrement(t.protonum), i + 1)
    return t


@path
async def id_or_key(
    k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """A protocol without ports.  kernel: nf_nat_l4proto->unique_tuple (3.4 .. 4.20)"""
    if t.protonum in (IPPROTO_ICMP, IPPROTO_ICMPV6):
        return icmp_unique_tuple(k, t, r, ct)
    if t.protonum == IPPROTO_GRE:
        return gre_unique_tuple(k, t, r, manip, ct)
    return t


@path
async def icmp_unique_tuple(
    k: Release, t: CtTuple, r: NatRange, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """As icmp_unique_tuple_probing_all, but the last candidate is taken without a look.

    A reversed range that wraps to size 0 divides by zero.
    kernel: icmp_unique_tuple, icmpv6_unique_tuple (3.4 .. 4.20)
    """
    first, size = id_window(r)
    w = Window(t, True, first, size, size)
    return static_id_probe(k, w, ct, await IdLoad(t.protonum), 1)


@path
async def gre_unique_tuple(
    k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """As gre_unique_tuple_probing_all, but the last candidate is taken without a look.

    kernel: gre_unique_tuple (3.4 .. 4.20)
    """
    if not ct.has_master:
        return t
    first, size = key_window(r)
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
    window = k.port_window(t, r, manip)
    return None if window is None else (on_src, *window)


def first_round(k: Release, t: CtTuple, on_src: bool, first: int, size: int) -> Window:
    """A window with at most NF_NAT_MAX_ATTEMPTS probes."""
    assert k.max_attempts is not None
    return Window(t, on_src, first, size, min(size, k.max_attempts))


@path
async def bounded_rounds_with_swapped_ids(
    k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """As bounded_rounds_always_random, but ICMP ids come from a range with its first id's bytes swapped.

    A rule without a range, and a null binding, say 0 to 0: then every ICMP flow is given id 0.
    kernel: nf_nat_l4proto_unique_tuple (5.0)
    """
    if t.protonum in (IPPROTO_ICMP, IPPROTO_ICMPV6):
        first = r.min_proto >> 8 | (r.min_proto & 0xFF) << 8
        size = u32(r.max_proto - r.min_proto + 1)
        w = first_round(k, t, True, first, size)
        return random_unless_shifted(k, w, r, ct)
    return bounded_rounds_always_random(k, t, r, manip, ct)


@path
async def bounded_rounds_always_random(
    k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """As bounded_rounds, but plain DNAT starts anywhere, too.

    kernel: nf_nat_l4proto_unique_tuple (5.1 .. 6.7; without ICMP 5.0)
    """
    window = id_or_port_window(k, t, r, manip, ct)
    if window is None:
        return t
    return random_unless_shifted(k, first_round(k, t, *window), r, ct)


@path
async def random_unless_shifted(
    k: Release, w: Window, r: NatRange, ct: Conn
) -> CtTuple | Call[CtTuple]:
    """The start of the first round (5.0 .. 6.7)."""
    if known_flags(k, r) & NF_NAT_RANGE_PROTO_OFFSET:
        off = u16((w.t.sport if w.on_src else w.t.dport) - r.base_proto)
    else:
        off = await RandomU16(k.rng, w)
    return bounded_probe(k, w, ct, off, 0, w.t)


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
    w = first_round(k, t, *window)
    if r.flags & NF_NAT_RANGE_PROTO_OFFSET:
        off = u16((t.sport if w.on_src else t.dport) - r.base_proto)
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
