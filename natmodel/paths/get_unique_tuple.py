# SPDX-License-Identifier: GPL-2.0-or-later
"""Choose a tuple: the original if it will do, else an old mapping's, else a new address and port.

No lock is held.  Every used-test is a separate look-up, and nothing is looked at again before confirm.
"""

from __future__ import annotations

from natmodel.ops import Call, ReadBysource, RhltableLookup, path
from natmodel.release import Release, known_flags
from natmodel.values import (
    IP_CT_DIR_ORIGINAL,
    IPPROTO_GRE,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPPROTO_UDPLITE,
    NF_NAT_RANGE_MAP_IPS,
    NF_NAT_RANGE_PROTO_OFFSET,
    NF_NAT_RANGE_PROTO_RANDOM,
    NF_NAT_RANGE_PROTO_RANDOM_ALL,
    NF_NAT_RANGE_PROTO_SPECIFIED,
    Conn,
    CtTuple,
    Manip,
    NatRange,
    Zone,
    nf_ct_invert_tuple,
    nf_ct_zone_id,
)


def l4proto_in_range(k: Release, t: CtTuple, manip: Manip, r: NatRange) -> bool:
    """Is t's key inside the range?  ICMP has one key; unknown protocols have none and always fit.

    kernel: l4proto_in_range (5.0 .. 7.3.4), l4proto->in_range (<= 4.20)
    """
    if t.protonum in (IPPROTO_ICMP, IPPROTO_ICMPV6):
        key = t.sport
    elif t.protonum == IPPROTO_GRE or t.protonum in k.port_protocols:
        key = t.sport if manip is Manip.SRC else t.dport
    else:
        return True
    return r.min_proto <= key <= r.max_proto


def in_range(k: Release, t: CtTuple, r: NatRange) -> bool:
    """Would `t` do as the source side of this range?  kernel: in_range, nf_in_range"""
    if r.flags & NF_NAT_RANGE_MAP_IPS and not r.min_addr <= t.src <= r.max_addr:
        return False
    if not r.flags & NF_NAT_RANGE_PROTO_SPECIFIED:
        return True
    return l4proto_in_range(k, t, Manip.SRC, r)


def find_best_ips_proto(k: Release, t: CtTuple, r: NatRange, zone_id: int, manip: Manip) -> CtTuple:
    """`t` with the range's address; a hash of both ends chooses among several."""
    address = k.find_best_ips(t, r, zone_id, manip)
    return t.with_src(address) if manip is Manip.SRC else t.with_dst(address)


# ── find_appropriate_src ────────────────────────────────────────────────────────────────────────


def same_src(ct: Conn, t: CtTuple) -> bool:
    """An address is a number within its family only.  kernel: same_src (2.6.24 .. 7.3.4)"""
    o = ct.orig
    same_address = o.l3num == t.l3num and o.src == t.src
    return o.protonum == t.protonum and same_address and o.sport == t.sport


def mapped_source(ct: Conn, t: CtTuple) -> CtTuple:
    """`t` as it would leave with ct's mapping."""
    mapped = nf_ct_invert_tuple(ct.reply)
    return CtTuple(t.l3num, t.protonum, mapped.src, mapped.sport, t.dst, t.dport)


def same_zone(ct: Conn, zone: Zone) -> bool:
    """kernel: nf_ct_zone_equal(ct, zone, IP_CT_DIR_ORIGINAL) (4.3 .. 7.3.4)"""
    direction = IP_CT_DIR_ORIGINAL
    return nf_ct_zone_id(ct.zone, direction) == nf_ct_zone_id(zone, direction)


@path
async def find_appropriate_src_in_any_zone(
    k: Release, t: CtTuple, r: NatRange, zone: Zone, net: int
) -> CtTuple | None:
    """The mapping that another connection of the same inside address and port already has.

    kernel: find_appropriate_src (2.6.24)
    """
    for ct in await ReadBysource(t, k.bysource_zone_id(zone)):
        if same_src(ct, t):
            result = mapped_source(ct, t)
            if in_range(k, result, r):
                return result
    return None


@path
async def find_appropriate_src_in_zone(
    k: Release, t: CtTuple, r: NatRange, zone: Zone, net: int
) -> CtTuple | None:
    """As find_appropriate_src_in_any_zone, in this zone and namespace.

    kernel: find_appropriate_src (2.6.35 .. 4.2)
    """
    for ct in await ReadBysource(t, k.bysource_zone_id(zone)):
        if same_src(ct, t) and ct.net == net and ct.zone.id == zone.id:
            result = mapped_source(ct, t)
            if in_range(k, result, r):
                return result
    return None


def source_alone(t: CtTuple) -> CtTuple:
    """`t` with nothing but its source."""
    return t.with_dst(0).with_dport(0)


@path
async def find_first_appropriate_src(
    k: Release, t: CtTuple, r: NatRange, zone: Zone, net: int
) -> CtTuple | None:
    """Only the newest connection of this source is looked at: if its mapping will not do, none does.

    And it is found only by chance: see RhltableLookup.
    kernel: find_appropriate_src, rhltable_lookup (4.9 .. 4.12)
    """
    for ct in await ReadBysource(t, k.bysource_zone_id(zone)):
        if same_src(ct, t) and ct.net == net and same_zone(ct, zone):
            if await RhltableLookup(source_alone(t)) != 0:
                return None
            result = mapped_source(ct, t)
            return result if in_range(k, result, r) else None
    return None


@path
async def find_appropriate_src_by_chance(
    k: Release, t: CtTuple, r: NatRange, zone: Zone, net: int
) -> CtTuple | None:
    """As find_appropriate_src, but a source is found by chance: see RhltableLookup.

    kernel: find_appropriate_src, rhltable_lookup (4.13)
    """
    cts = [
        ct
        for ct in await ReadBysource(t, k.bysource_zone_id(zone))
        if same_src(ct, t) and ct.net == net and same_zone(ct, zone)
    ]
    if not cts or await RhltableLookup(source_alone(t)) != 0:
        return None
    results = (mapped_source(ct, t) for ct in cts)
    return next((result for result in results if in_range(k, result, r)), None)


@path
async def find_appropriate_src(
    k: Release, t: CtTuple, r: NatRange, zone: Zone, net: int
) -> CtTuple | None:
    """As find_appropriate_src_in_zone; of a zone, its ORIGINAL direction counts.

    kernel: find_appropriate_src (4.3 .. 4.8, 4.14 .. 7.3.4; stable 4.9.154)
    """
    for ct in await ReadBysource(t, k.bysource_zone_id(zone)):
        if same_src(ct, t) and ct.net == net and same_zone(ct, zone):
            result = mapped_source(ct, t)
            if in_range(k, result, r):
                return result
    return None


# ── get_unique_tuple ────────────────────────────────────────────────────────────────────────────


@path
async def by_source_even_if_random(
    k: Release, orig: CtTuple, r: NatRange, ct: Conn, manip: Manip
) -> CtTuple | Call[CtTuple]:
    """An old mapping comes first; under RANDOM it is looked for, and not used.

    kernel: get_unique_tuple (2.6.24)
    """
    random = known_flags(k, r) & NF_NAT_RANGE_PROTO_RANDOM
    if manip is Manip.SRC:
        t = await k.find_appropriate_src(k, orig, r, ct.zone, ct.net)
        if t is not None and not random:
            if not await k.used_tuple(k, t, ct):
                return t
    address = find_best_ips_proto(k, orig, r, ct.zone.id, manip)
    return in_range_and_unused(k, address, r, ct, manip)


@path
async def by_source_unless_random(
    k: Release, orig: CtTuple, r: NatRange, ct: Conn, manip: Manip
) -> CtTuple | Call[CtTuple]:
    """An old mapping comes first, the original tuple does not.

    kernel: get_unique_tuple (2.6.35)
    """
    random = known_flags(k, r) & NF_NAT_RANGE_PROTO_RANDOM
    if manip is Manip.SRC and not random:
        t = await k.find_appropriate_src(k, orig, r, ct.zone, ct.net)
        if t is not None and not await k.used_tuple(k, t, ct):
            return t
    address = find_best_ips_proto(k, orig, r, ct.zone.id, manip)
    return in_range_and_unused(k, address, r, ct, manip)


@path
async def in_range_and_unused(
    k: Release, t: CtTuple, r: NatRange, ct: Conn, manip: Manip
) -> CtTuple | Call[CtTuple]:
    """Keep the port if it is in the range and nobody uses it: a range of one port is looked up, too.

    kernel: get_unique_tuple, its end (2.6.24, 2.6.35)
    """
    if not known_flags(k, r) & NF_NAT_RANGE_PROTO_RANDOM:
        if not r.flags & NF_NAT_RANGE_PROTO_SPECIFIED or l4proto_in_range(k, t, manip, r):
            if not await k.used_tuple(k, t, ct):
                return t
    return k.l4proto_unique_tuple(k, t, r, manip, ct)


@path
async def get_unique_tuple(
    k: Release, orig: CtTuple, r: NatRange, ct: Conn, manip: Manip
) -> CtTuple | Call[CtTuple]:
    """The original tuple comes first, if it is in the range; else an old mapping.

    kernel: get_unique_tuple (3.4 .. 7.3.4)
    """
    random = known_flags(k, r) & NF_NAT_RANGE_PROTO_RANDOM_ALL
    if manip is Manip.SRC and not random:
        if in_range(k, orig, r):
            if not await k.used_tuple_new(k, orig, ct):
                return orig
        else:
            t = await k.find_appropriate_src(k, orig, r, ct.zone, ct.net)
            if t is not None and not await k.used_tuple(k, t, ct):
                return t
    address = find_best_ips_proto(k, orig, r, ct.zone.id, manip)
    return best_address(k, address, r, ct, manip, random != 0)


def tuple_force_port_remap(t: CtTuple) -> bool:
    """Would answers to this well-known source port look like a service of ours?

    kernel: tuple_force_port_remap (5.17-rc1 .. rc7; RHEL's 4.18.0-394.el8)
    """
    well_known = t.sport < 16384 and t.dport >= 32768
    return well_known and t.protonum in (IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE)


@path
async def get_unique_tuple_forcing_port_remap(
    k: Release, orig: CtTuple, r: NatRange, ct: Conn, manip: Manip
) -> CtTuple | Call[CtTuple]:
    """As get_unique_tuple, but a forwarded packet's well-known port is never kept.

    kernel: get_unique_tuple (5.17-rc1 .. rc7; RHEL's 4.18.0-394.el8)
    """
    random = known_flags(k, r) & NF_NAT_RANGE_PROTO_RANDOM_ALL != 0
    if manip is Manip.SRC and not random and not ct.local_origin:
        random = tuple_force_port_remap(orig)
    if manip is Manip.SRC and not random:
        if in_range(k, orig, r):
            if not await k.used_tuple(k, orig, ct):
                return orig
        else:
            t = await k.find_appropriate_src(k, orig, r, ct.zone, ct.net)
            if t is not None and not await k.used_tuple(k, t, ct):
                return t
    address = find_best_ips_proto(k, orig, r, ct.zone.id, manip)
    return best_address(k, address, r, ct, manip, random)


@path
async def best_address(
    k: Release, t: CtTuple, r: NatRange, ct: Conn, manip: Manip, random: bool
) -> CtTuple | Call[CtTuple]:
    """The address is settled.  Keep the port if the rule allows it and nobody uses it.

    kernel: get_unique_tuple, its end (3.4 .. 7.3.4)
    """
    if not random:
        flags = known_flags(k, r)
        if flags & NF_NAT_RANGE_PROTO_SPECIFIED:
            if not flags & NF_NAT_RANGE_PROTO_OFFSET and l4proto_in_range(k, t, manip, r):
                # a range of one port is accepted even if that port is used
                if r.min_proto == r.max_proto or not await k.used_tuple(k, t, ct):
                    return t
        elif not await k.used_tuple(k, t, ct):
            return t
    return k.l4proto_unique_tuple(k, t, r, manip, ct)
