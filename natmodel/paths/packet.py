# SPDX-License-Identifier: GPL-2.0-or-later
"""One packet's life: look up ORIGINAL, translate the destination, translate the source, confirm.

Between the look-up and confirm the connection is private to its packet, except through the by-source
hash, which it enters when its source has been chosen.
"""

from __future__ import annotations

import attrs

from natmodel.ops import (
    BysourceAdd,
    BysourceDel,
    BysourceWrite,
    Call,
    Idle,
    SetTimer,
    TimerFires,
    path,
)
from natmodel.release import Confirmed, Fate, Packet, Release
from natmodel.values import (
    IP_CT_DIR_ORIGINAL,
    IPPROTO_TCP,
    IPS_CONFIRMED,
    IPS_DST_NAT,
    IPS_DST_NAT_DONE,
    IPS_NAT_DONE_MASK,
    IPS_SRC_NAT,
    IPS_SRC_NAT_DONE,
    NF_ACCEPT,
    NF_DROP,
    NF_NAT_RANGE_MAP_IPS,
    TCP_CONNTRACK_NONE,
    TCP_CONNTRACK_SYN_SENT,
    Conn,
    Manip,
    NatRange,
    Zone,
    nf_ct_invert_tuple,
)


def bysource_zone_id(zone: Zone) -> int:
    """Only a zone for both directions is hashed.  kernel: hash_by_src (5.15 .. 7.3.4)"""
    return zone.id if zone.dir == 3 else 0


def bysource_no_zone(zone: Zone) -> int:
    """kernel: hash_by_src (2.6.24; 4.3 .. 5.14)"""
    return 0


def bysource_whole_zone(zone: Zone) -> int:
    """Zones have no direction.  kernel: hash_by_src (2.6.35 .. 4.2)"""
    return zone.id


@path
async def packets(
    k: Release, todo: tuple[Packet, ...], fates: tuple[Fate, ...]
) -> tuple[Fate, ...] | Call[tuple[Fate, ...]]:
    """What one CPU does: its packets, one after the other."""
    if not todo:
        return fates
    fate = await nf_conntrack_in(k, todo[0])
    return packets(k, todo[1:], (*fates, fate))


@path
async def packets_retransmitted(
    k: Release,
    todo: tuple[Packet, ...],
    fates: tuple[Fate, ...],
    again: tuple[Packet, ...],
    times: tuple[int, ...],
    tried: int,
) -> tuple[Fate, ...] | Call[tuple[Fate, ...]]:
    """As packets; but who sent a SYN that was dropped sends it again, at `times` (ms after the first).

    Everything else that a CPU does takes no time beside the shortest of these.  A SYN that is sent
    again is a new packet: of its dropped connection nothing is left.
    kernel: tcp_retransmit_timer, of the sender (every release)
    """
    if todo:
        fate = await nf_conntrack_in(k, todo[0])
        if fate.verdict == NF_DROP and todo[0].t.protonum == IPPROTO_TCP and tried < len(times):
            return packets_retransmitted(k, todo[1:], fates, (*again, todo[0]), times, tried)
        fate = attrs.evolve(fate, at=(0, *times)[tried])
        return packets_retransmitted(k, todo[1:], (*fates, fate), again, times, tried)
    if again:
        await SetTimer(times[tried])
        await TimerFires(times[tried])
        return packets_retransmitted(k, again, fates, (), times, tried + 1)
    await Idle()
    return fates


@path
async def nf_conntrack_in(k: Release, p: Packet) -> Fate | Call[Fate]:
    """A packet whose tuple an entry owns belongs to it, and is translated as that entry says.

    kernel: nf_conntrack_in, resolve_normal_ct (4.9 .. 7.3.4)
    """
    h = await k.find_get(k, p.t, p.zone, p.net)
    if h is not None:
        return Fate(p.id, NF_ACCEPT, "established", h.ct)
    return k.new_connection(k, p)


@path
async def nat_and_confirm(k: Release, p: Packet) -> Fate | Call[Fate]:
    """PRE_ROUTING's and POST_ROUTING's NAT hooks, then confirm."""
    ct = init_conntrack(p)
    if p.ext == "new":
        ct = await k.ext_add(k, ct)
    ct = await k.setup_info(k, ct, p.dst or null_binding(ct, Manip.DST), Manip.DST)
    if p.ext == "masquerade":
        ct = await k.ext_add(k, ct)
    ct = await k.setup_info(k, ct, p.src or null_binding(ct, Manip.SRC), Manip.SRC)
    done = await k.confirm(k, ct, IP_CT_DIR_ORIGINAL)
    return finish(k, p, done)


@path
async def finish(k: Release, p: Packet, done: Confirmed) -> Fate:
    """A dropped packet takes its connection with it, and so does one that was merged.

    kernel: kfree_skb or nf_ct_put -> nf_conntrack_destroy -> nf_nat_cleanup_conntrack
    """
    if done.verdict == NF_DROP or done.freed:
        if done.ct.status & IPS_SRC_NAT_DONE:
            await BysourceDel(done.ct)
    ct = done.clash if done.freed else done.ct
    return Fate(p.id, done.verdict, done.cause, ct if done.verdict == NF_ACCEPT else None)


def init_conntrack(p: Packet) -> Conn:
    """A new connection, private to its packet.  kernel: init_conntrack, tcp_new"""
    tcp = p.t.protonum == IPPROTO_TCP
    return Conn(
        id=p.id,
        orig=p.t,
        reply=nf_ct_invert_tuple(p.t),
        zone=p.zone,
        net=p.net,
        tcp_state=TCP_CONNTRACK_SYN_SENT if tcp else TCP_CONNTRACK_NONE,
        td_end=p.td_end if tcp else 0,
        has_master=p.has_master,
    )


def null_binding(ct: Conn, manip: Manip) -> NatRange:
    """No rule: ask for the address it has, and let the port go if it must.

    kernel: __nf_nat_alloc_null_binding (3.14 .. 7.3.4)
    """
    address = ct.reply.dst if manip is Manip.SRC else ct.reply.src
    return NatRange(NF_NAT_RANGE_MAP_IPS, address, address)


# ── nf_nat_setup_info ───────────────────────────────────────────────────────────────────────────


@path
async def enter_bysource_first_though_late(
    k: Release, ct: Conn, r: NatRange, manip: Manip
) -> Conn | Call[Conn]:
    """No rule is asked about a connection that is confirmed: it is to stay as it is, key and all.

    Of ICMP the key of the REPLY tuple's destination is type and code, and is taken for an id.
    kernel: nf_nat_fn, alloc_null_binding_confirmed (2.6.24)
    """
    if ct.status & IPS_CONFIRMED:
        key = ct.reply.dport if manip is Manip.SRC else ct.reply.sport
        r = attrs.evolve(null_binding(ct, manip), min_proto=key, max_proto=key)
    return enter_bysource(k, ct, r, manip)


@path
async def enter_bysource_first(
    k: Release, ct: Conn, r: NatRange, manip: Manip
) -> Conn | Call[Conn]:
    """A connection that was confirmed before NAT was there goes on without it.

    kernel: nf_nat_fn (2.6.35)
    """
    if ct.status & IPS_CONFIRMED and not ct.status & IPS_NAT_DONE_MASK:
        return ct
    return enter_bysource(k, ct, r, manip)


@path
async def enter_bysource(k: Release, ct: Conn, r: NatRange, manip: Manip) -> Conn:
    """The first manip of either kind enters the by-source hash; a second one rewrites it there.

    kernel: nf_nat_setup_info (2.6.24, 2.6.35)
    """
    current = nf_ct_invert_tuple(ct.reply)
    new = await k.get_unique_tuple(k, current, r, ct, manip)
    status, entered = ct.status, ct.status & IPS_NAT_DONE_MASK != 0
    if new != current:
        status |= IPS_SRC_NAT if manip is Manip.SRC else IPS_DST_NAT
        ct = attrs.evolve(ct, reply=nf_ct_invert_tuple(new), status=status)
        if entered:
            await BysourceWrite(ct)
    if not entered:
        await BysourceAdd(ct, k.bysource_zone_id(ct.zone))
    status |= IPS_SRC_NAT_DONE if manip is Manip.SRC else IPS_DST_NAT_DONE
    return attrs.evolve(ct, status=status)


@path
async def nf_nat_setup_info_with_extension(k: Release, ct: Conn, r: NatRange, manip: Manip) -> Conn:
    """Choose, write the choice into ct's REPLY tuple, and enter the by-source hash.

    A connection that was confirmed before NAT was there has no NAT extension, is given none, and goes
    on without NAT.  One that was set up for the other manip has it, and is set up for this one, too.
    kernel: nf_nat_fn, nf_nat_ipv4_fn, nf_nat_setup_info (3.4 .. 4.11)
    """
    if ct.status & IPS_CONFIRMED and not ct.status & IPS_NAT_DONE_MASK:
        return ct
    current = nf_ct_invert_tuple(ct.reply)
    new = await k.get_unique_tuple(k, current, r, ct, manip)
    status = ct.status
    if new != current:
        status |= IPS_SRC_NAT if manip is Manip.SRC else IPS_DST_NAT
        ct = attrs.evolve(ct, reply=nf_ct_invert_tuple(new), status=status)
    if manip is Manip.SRC:
        await BysourceAdd(ct, k.bysource_zone_id(ct.zone))
        status |= IPS_SRC_NAT_DONE
    else:
        status |= IPS_DST_NAT_DONE
    return attrs.evolve(ct, status=status)


@path
async def nf_nat_setup_info(k: Release, ct: Conn, r: NatRange, manip: Manip) -> Conn:
    """As nf_nat_setup_info_with_extension, but whatever is confirmed stays as it is.

    kernel: nf_nat_setup_info (4.12 .. 7.3.4)
    """
    if ct.status & IPS_CONFIRMED:
        return ct
    current = nf_ct_invert_tuple(ct.reply)
    new = await k.get_unique_tuple(k, current, r, ct, manip)
    status = ct.status
    if new != current:
        status |= IPS_SRC_NAT if manip is Manip.SRC else IPS_DST_NAT
        ct = attrs.evolve(ct, reply=nf_ct_invert_tuple(new), status=status)
    if manip is Manip.SRC:
        await BysourceAdd(ct, k.bysource_zone_id(ct.zone))
        status |= IPS_SRC_NAT_DONE
    else:
        status |= IPS_DST_NAT_DONE
    return attrs.evolve(ct, status=status)
