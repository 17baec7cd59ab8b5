# SPDX-License-Identifier: GPL-2.0-or-later
"""Any packet's way through the hooks: the tracker, NAT at each hook, confirm, and a queue in between.

packet.py follows the first packet of a connection, alone; here are the pieces between which a packet may
be held, and the packets that belong to a connection that is there already.
"""

from __future__ import annotations

import attrs

from natmodel.ops import BysourceDel, Call, Count, EntryWrite, path
from natmodel.paths.nf_conntrack_confirm import HZ
from natmodel.paths.nf_conntrack_proto_tcp import (
    ACCEPT,
    INVALID,
    KILL,
    REPEAT,
    tcp_new,
    tcp_packet,
    tcp_timeout,
)
from natmodel.paths.nf_nat_used_tuple import nf_ct_kill
from natmodel.paths.packet import null_binding
from natmodel.release import Release, Skb
from natmodel.values import (
    IP_CT_DIR_ORIGINAL,
    IP_CT_DIR_REPLY,
    IPPROTO_GRE,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_UDP,
    IPPROTO_UDPLITE,
    IPS_CONFIRMED,
    IPS_DST_NAT,
    IPS_DST_NAT_DONE,
    IPS_FIXED_TIMEOUT,
    IPS_NAT_CLASH,
    IPS_NAT_MASK,
    IPS_SEEN_REPLY,
    IPS_SRC_NAT,
    IPS_SRC_NAT_DONE,
    NF_DROP,
    Conn,
    CtTuple,
    Manip,
    NatRange,
    TcpHdr,
    nf_ct_invert_tuple,
)

# Seconds that an entry lives after a packet.  kernel: udp_timeouts[UDP_CT_UNREPLIED],
# nf_ct_icmp_timeout, gre_timeouts[GRE_CT_UNREPLIED], nf_ct_generic_timeout (2.6.24 .. 7.3.4)
_SHORT = 30
_GENERIC = 600
_SHORT_LIVED = frozenset({IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_GRE})


# ── conntrack ───────────────────────────────────────────────────────────────────────────────────


@path
async def resolve_normal_ct(k: Release, skb: Skb) -> Skb | Call[Skb]:
    """Find the packet's connection, or make one; then its tracker looks at the packet.

    kernel: nf_conntrack_in, resolve_normal_ct (4.19.66 .. 7.3.4)
    """
    h = await k.find_get(k, skb.t, skb.zone, skb.net)
    if h is None:
        ct = init_conntrack(skb)
        if ct is None:
            return invalid(k, skb)
        return attrs.evolve(skb, ct=ct, direction=IP_CT_DIR_ORIGINAL, is_new=True)
    is_new = h.direction == IP_CT_DIR_ORIGINAL and not h.ct.status & IPS_SEEN_REPLY
    skb = attrs.evolve(skb, ct=h.ct, direction=h.direction, is_new=is_new)
    return nf_conntrack_handle_packet(k, skb, h.ct)


@path
async def nf_conntrack_handle_packet(k: Release, skb: Skb, ct: Conn) -> Skb | Call[Skb]:
    """The tracker of the packet's protocol, on an entry.

    kernel: nf_conntrack_handle_packet (5.0 .. 7.3.4), l4proto->packet (<= 4.20)
    """
    todo = ACCEPT
    if skb.th is not None:
        todo, ct = tcp_packet(ct, skb.th, skb.direction)
    if todo == INVALID:
        return invalid(k, skb)
    if todo in (KILL, REPEAT):
        killed = await nf_ct_kill(k, ct)
        if todo == KILL:
            return attrs.evolve(skb, ct=ct)
        # the old connection is unlinked, so the packet begins a new one
        return resolve_normal_ct(k, skb) if killed else drop_counting(k, skb)
    if ct.orig.protonum in (IPPROTO_UDP, IPPROTO_UDPLITE) and not ct.status & IPS_SEEN_REPLY:
        return k.udp_refresh_unreplied(k, skb, ct)
    return refresh(k, skb, ct)


@path
async def refresh(k: Release, skb: Skb, ct: Conn) -> Skb:
    """The entry lives on, and remembers an answer.

    kernel: nf_ct_refresh_acct, and the end of nf_conntrack_in (every release)
    """
    if skb.direction == IP_CT_DIR_REPLY:
        ct = attrs.evolve(ct, status=ct.status | IPS_SEEN_REPLY)
    ct = refreshed(ct, skb.th)
    await EntryWrite(ct)
    return attrs.evolve(skb, ct=ct)


@path
async def refresh_but_for_a_reply_only_entry(k: Release, skb: Skb, ct: Conn) -> Skb | Call[Skb]:
    """The first answer deletes an entry that clash resolution has inserted, and goes on as it says.

    kernel: nf_conntrack_udp_refresh_unreplied (5.6 .. 5.8.7)
    """
    if skb.direction == IP_CT_DIR_REPLY and ct.status & IPS_NAT_CLASH:
        await nf_ct_kill(k, ct)
        return attrs.evolve(skb, ct=attrs.evolve(ct, status=ct.status | IPS_SEEN_REPLY))
    return refresh(k, skb, ct)


@path
async def invalid(k: Release, skb: Skb) -> Skb:
    """The packet goes on without a connection.  kernel: nf_conntrack_in (4.19.66 .. 7.3.4)"""
    await Count("invalid")
    return attrs.evolve(skb, ct=None, is_new=False)


@path
async def drop_counting(k: Release, skb: Skb) -> Skb:
    """Somebody else is already deleting what was to be opened again.

    kernel: nf_conntrack_in, NF_DROP from the tracker (4.19.66 .. 7.3.4)
    """
    await Count("invalid")
    await Count("drop")
    return attrs.evolve(skb, verdict=NF_DROP)


def init_conntrack(skb: Skb) -> Conn | None:
    """A new connection, private to its packet; None if the packet cannot begin one.

    kernel: init_conntrack, tcp_new
    """
    ct = Conn(
        id=skb.id,
        orig=skb.t,
        reply=nf_ct_invert_tuple(skb.t),
        zone=skb.zone,
        net=skb.net,
        local_origin=skb.local_origin,
    )
    if skb.th is not None:
        begun = tcp_new(ct, skb.th)
        if begun is None:
            return None
        ct = begun
    return refreshed(ct, skb.th)


def refreshed(ct: Conn, th: TcpHdr | None) -> Conn:
    """The entry's life begins anew.  One that clash resolution has inserted keeps its end.

    kernel: nf_ct_refresh_acct
    """
    if ct.status & IPS_FIXED_TIMEOUT:
        return ct
    if th is not None:
        seconds = tcp_timeout(ct, th)
    else:
        seconds = _SHORT if ct.orig.protonum in _SHORT_LIVED else _GENERIC
    return attrs.evolve(ct, timeout=seconds * HZ)


# ── NAT ─────────────────────────────────────────────────────────────────────────────────────────


def nf_nat_initialized(ct: Conn, manip: Manip) -> bool:
    """kernel: nf_nat_initialized"""
    return ct.status & (IPS_SRC_NAT_DONE if manip is Manip.SRC else IPS_DST_NAT_DONE) != 0


@path
async def nf_nat_inet_fn(k: Release, skb: Skb, manip: Manip, r: NatRange | None) -> Skb:
    """A NAT hook: set the connection up if it is new, then rewrite the packet as it says.

    `r` is what a rule asks for, None a null binding.  PRE_ROUTING and LOCAL_OUT do DST, LOCAL_IN and
    POST_ROUTING do SRC.
    kernel: nf_nat_inet_fn (4.18 .. 7.3.4)
    """
    ct = skb.ct
    if ct is None:
        return skb
    if skb.is_new and not nf_nat_initialized(ct, manip):
        ct = await k.setup_info(k, ct, r or null_binding(ct, manip), manip)
    return attrs.evolve(skb, ct=ct, t=nf_nat_packet(skb.t, ct, manip, skb.direction))


def nf_nat_packet(t: CtTuple, ct: Conn, manip: Manip, direction: int) -> CtTuple:
    """The packet's headers after one hook: answers are translated at the other hook of the pair.

    kernel: nf_nat_packet
    """
    bit = IPS_SRC_NAT if manip is Manip.SRC else IPS_DST_NAT
    if direction == IP_CT_DIR_REPLY:
        bit ^= IPS_NAT_MASK
    return manip_pkt(t, ct, manip, direction) if ct.status & bit else t


def manip_pkt(t: CtTuple, ct: Conn, manip: Manip, direction: int) -> CtTuple:
    """Rewrite one end as an answer to the other direction would look.  kernel: nf_nat_manip_pkt"""
    target = nf_ct_invert_tuple(ct.tuplehash(1 - direction))
    if t.protonum in (IPPROTO_ICMP, IPPROTO_ICMPV6):
        t = t.with_sport(target.sport)
        return t.with_src(target.src) if manip is Manip.SRC else t.with_dst(target.dst)
    if manip is Manip.SRC:
        return t.with_src(target.src).with_sport(target.sport)
    return t.with_dst(target.dst).with_dport(target.dport)


# ── confirm ─────────────────────────────────────────────────────────────────────────────────────


@path
async def nf_confirm(k: Release, skb: Skb) -> Skb:
    """The last hook.  A dropped packet takes its connection with it, and so does one that was merged.

    kernel: nf_confirm, nf_conntrack_confirm (4.19.66 .. 7.3.4)
    """
    if skb.ct is None or skb.ct.status & IPS_CONFIRMED:
        return skb
    done = await k.confirm(k, skb.ct, skb.direction)
    if (done.verdict == NF_DROP or done.freed) and done.ct.status & IPS_SRC_NAT_DONE:
        await BysourceDel(done.ct)
    ct = done.clash if done.freed else done.ct
    return attrs.evolve(skb, ct=ct, verdict=done.verdict)


# ── a queue gives a packet back ─────────────────────────────────────────────────────────────────


@path
async def reinject(k: Release, skb: Skb) -> Skb:
    """The packet goes on to the next hook as it is.

    kernel: nf_reinject (2.6.24 .. 4.17; 6.12 .. 7.3.4)
    """
    return skb


@path
async def reinject_to_an_entry(k: Release, skb: Skb) -> Skb:
    """If meanwhile an entry has come for the packet's tuple, the packet is switched to that entry.

    What was done to the packet is redone as the entry says, as if it went in ORIGINAL direction; its
    own connection is freed.  TCP is no exception, although its clashes are never resolved.
    kernel: nf_reinject, nf_conntrack_update (4.18 .. 6.11)
    """
    own = skb.ct
    if own is None or own.status & IPS_CONFIRMED:
        return skb
    h = await k.find_get(k, own.orig, skb.zone, skb.net)
    if h is None:
        return skb
    if own.status & IPS_SRC_NAT_DONE:
        await BysourceDel(own)
    t = skb.t
    for manip, bit in ((Manip.SRC, IPS_SRC_NAT), (Manip.DST, IPS_DST_NAT)):
        if own.status & bit:
            t = manip_pkt(t, h.ct, manip, IP_CT_DIR_ORIGINAL)
    return attrs.evolve(skb, t=t, ct=h.ct)
