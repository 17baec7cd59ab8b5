# SPDX-License-Identifier: GPL-2.0-or-later
"""Choose a tuple: the original if it will do, else an old mapping's, else a new address and port.

No lock is held.  Every used-test is a separate look-up, and nothing is looked at again before confirm.
"""

from __future__ import annotations

from natmodel.hashes import find_best_ips
from natmodel.ops import Call, ReadBysource, path
from natmodel.release import Release
from natmodel.values import (
    IP_CT_DIR_ORIGINAL,
    IPPROTO_GRE,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    NF_NAT_RANGE_MAP_IPS,
    NF_NAT_RANGE_PROTO_OFFSET,
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


def find_best_ips_proto(t: CtTuple, r: NatRange, zone_id: int, manip: Manip) -> CtTuple:
    """`t` with the range's address; a hash of both ends chooses among several."""
    address = find_best_ips(t, r, zone_id, manip)
    return t.with_src(address) if manip is Manip.SRC else t.with_dst(address)


def same_src(ct: Conn, t: CtTuple) -> bool:
    """An address is a number within its family only.  kernel: same_src (2.6.24 .. 7.3.4)"""
    o = ct.orig
    same_address = o.l3num == t.l3num and o.src == t.src
    return o.protonum == t.protonum and same_address and o.sport == t.sport


@path
async def find_appropriate_src(
    k: Release, t: CtTuple, r: NatRange, zone: Zone, net: int
) -> CtTuple | None:
    """The mapping that another connection of the same inside address and port already has.

    kernel: find_appropriate_src (2.6.35 .. 4.8, 4.14 .. 7.3.4)
    """
    for ct in await ReadBysource(t, k.bysource_zone_id(zone)):
        same_zone = nf_ct_zone_id(ct.zone, IP_CT_DIR_ORIGINAL) == nf_ct_zone_id(
            zone, IP_CT_DIR_ORIGINAL
        )
        if same_src(ct, t) and ct.net == net and same_zone:
            mapped = nf_ct_invert_tuple(ct.reply)
            result = CtTuple(t.l3num, t.protonum, mapped.src, mapped.sport, t.dst, t.dport)
            if in_range(k, result, r):
                return result
    return None


@path
async def get_unique_tuple(
    k: Release, orig: CtTuple, r: NatRange, ct: Conn, manip: Manip
) -> CtTuple | Call[CtTuple]:
    """kernel: get_unique_tuple (4.18 .. 7.3.4)"""
    random = r.flags & NF_NAT_RANGE_PROTO_RANDOM_ALL
    if manip is Manip.SRC and not random:
        if in_range(k, orig, r):
            if not await k.used_tuple_new(k, orig, ct):
                return orig
        else:
            t = await find_appropriate_src(k, orig, r, ct.zone, ct.net)
            if t is not None and not await k.used_tuple(k, t, ct):
                return t
    return best_address(k, find_best_ips_proto(orig, r, ct.zone.id, manip), r, ct, manip)


@path
async def best_address(
    k: Release, t: CtTuple, r: NatRange, ct: Conn, manip: Manip
) -> CtTuple | Call[CtTuple]:
    """The address is settled.  Keep the port if the rule allows it and nobody uses it."""
    if not r.flags & NF_NAT_RANGE_PROTO_RANDOM_ALL:
        if r.flags & NF_NAT_RANGE_PROTO_SPECIFIED:
            if not r.flags & NF_NAT_RANGE_PROTO_OFFSET and l4proto_in_range(k, t, manip, r):
                # a range of one port is accepted even if that port is used
                if r.min_proto == r.max_proto or not await k.used_tuple(k, t, ct):
                    return t
        elif not await k.used_tuple(k, t, ct):
            return t
    return k.l4proto_unique_tuple(k, t, r, manip, ct)
