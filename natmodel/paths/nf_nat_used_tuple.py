# SPDX-License-Identifier: GPL-2.0-or-later
"""Is a tuple used?  That is: does some entry own the key that an answer to it would look up?

Only entries in the table count.  A connection that another CPU has chosen but not confirmed yet is
invisible here.  That is the race.
"""

from __future__ import annotations

from natmodel.ops import BysourceDel, Call, HashDelete, Warn, atomic, path
from natmodel.release import Release
from natmodel.values import (
    IP_CT_DIR_ORIGINAL,
    IP_CT_DIR_REPLY,
    IPPROTO_TCP,
    IPS_DYING,
    IPS_FIXED_TIMEOUT,
    IPS_HW_OFFLOAD,
    IPS_NAT_MASK,
    IPS_OFFLOAD,
    IPS_SEQ_ADJUST,
    IPS_SEQ_ADJUST_BIT,
    IPS_SRC_NAT,
    IPS_SRC_NAT_DONE,
    TCP_CONNTRACK_SYN_SENT,
    TCP_CONNTRACK_TIME_WAIT,
    Conn,
    CtTuple,
    nf_ct_invert_tuple,
    u32,
)

# NF_NAT_MAX_ATTEMPTS / 4 (6.5 .. 7.3.4)
NF_NAT_HARDER_THRESH = 32


@path
async def nf_nat_used_tuple(k: Release, t: CtTuple, ignored: Conn) -> bool:
    """kernel: nf_nat_used_tuple (every release)"""
    return await atomic(k.tuple_taken(k, nf_ct_invert_tuple(t), ignored))


# ── the fast path's question ────────────────────────────────────────────────────────────────────


@path
async def nf_nat_used_tuple_new_minding_the_wrong_bits(
    k: Release, t: CtTuple, ignored: Conn
) -> bool:
    """As nf_nat_used_tuple, but a clash with our own reverse (both sides began at once) is let pass.

    The bit *number* of SEQ_ADJUST, 6, stands where its mask is meant: it is SEEN_REPLY | ASSURED, so an
    entry that has seen an answer is never let pass.
    kernel: nf_nat_used_tuple_new, first form (6.12 .. 6.15; stable 6.6.57+, 6.11.4+)
    """
    uses_nat = IPS_NAT_MASK | IPS_SEQ_ADJUST_BIT
    if not await nf_nat_used_tuple(k, t, ignored):
        return False
    if not k.allow_clash(ignored.orig.protonum):
        return True
    if ignored.status & uses_nat:
        return True
    h = await k.find_get(k, t, ignored.zone, ignored.net)
    if h is None:
        return False  # the clashing entry went away
    if h.direction != IP_CT_DIR_REPLY or h.ct.status & uses_nat:
        return True
    return h.ct.orig != ignored.reply or h.ct.reply != ignored.orig


@path
async def nf_nat_used_tuple_new_of_replies(k: Release, t: CtTuple, ignored: Conn) -> bool:
    """As nf_nat_used_tuple_new, but what is found must be found as a REPLY and be our exact reverse.

    kernel: nf_nat_used_tuple_new, second form (6.16 .. 6.18; stable 6.12.34 .. 6.12.63)
    """
    uses_nat = IPS_NAT_MASK | IPS_SEQ_ADJUST
    if not await nf_nat_used_tuple(k, t, ignored):
        return False
    if not k.allow_clash(ignored.orig.protonum):
        return True
    if ignored.status & uses_nat:
        return True
    h = await k.find_get(k, t, ignored.zone, ignored.net)
    if h is None:
        h = await k.find_get(k, nf_ct_invert_tuple(t), ignored.zone, ignored.net)
        if h is None:
            return False  # the clashing entry went away
    if h.direction != IP_CT_DIR_REPLY or h.ct.status & uses_nat:
        return True
    return h.ct.orig != ignored.reply or h.ct.reply != ignored.orig


@path
async def nf_nat_used_tuple_new(k: Release, t: CtTuple, ignored: Conn) -> bool:
    """As nf_nat_used_tuple, but a clash with our own reverse (both sides began at once) is let pass.

    The three look-ups are three steps: the entry may come or go between them.
    kernel: nf_nat_used_tuple_new, third form (6.12.64+ of 6.12.y, 6.19 .. 7.3.4)
    """
    uses_nat = IPS_NAT_MASK | IPS_SEQ_ADJUST
    if not await nf_nat_used_tuple(k, t, ignored):
        return False
    if not k.allow_clash(ignored.orig.protonum):
        return True
    if ignored.status & uses_nat:
        return True
    h = await k.find_get(k, t, ignored.zone, ignored.net)
    if h is None:
        h = await k.find_get(k, nf_ct_invert_tuple(t), ignored.zone, ignored.net)
        if h is None:
            return False  # the clashing entry went away
    if h.ct.status & uses_nat:
        return True
    return h.ct.orig != ignored.reply


# ── a walk's question ───────────────────────────────────────────────────────────────────────────


@path
async def not_harder(
    k: Release, t: CtTuple, ignored: Conn, attempts_left: int
) -> bool | Call[bool]:
    """Nothing is evicted: the walk asks what everybody asks.  kernel: nf_nat_used_tuple (<= 6.4)"""
    return nf_nat_used_tuple(k, t, ignored)


@path
async def nf_nat_used_tuple_harder(
    k: Release, t: CtTuple, ignored: Conn, attempts_left: int
) -> bool:
    """Near the end of a round, a SYN may evict a closing connection that stands in its way.

    The look-up is one step and the eviction another: in between, somebody else may evict it.
    kernel: nf_nat_used_tuple_harder (6.5 .. 7.3.4)
    """
    reply = nf_ct_invert_tuple(t)
    if (
        attempts_left > NF_NAT_HARDER_THRESH
        or ignored.orig.protonum != IPPROTO_TCP
        or ignored.tcp_state != TCP_CONNTRACK_SYN_SENT
    ):
        return await atomic(k.tuple_taken(k, reply, ignored))
    h = await k.find_get(k, reply, ignored.zone, ignored.net)
    if h is None:
        return False
    if h.direction == IP_CT_DIR_ORIGINAL:
        return True
    if h.ct.id == ignored.id:
        await Warn("ct == ignored_conntrack")
        return True
    if not nf_nat_may_kill(h.ct) or not nf_seq_has_advanced(h.ct, ignored):
        return True
    # An offloaded entry goes, but its tuple still counts as used.
    killed = await nf_ct_kill(k, h.ct)
    return not killed or h.ct.status & (IPS_OFFLOAD | IPS_HW_OFFLOAD) != 0


def nf_nat_may_kill(ct: Conn) -> bool:
    """Closing, neither pinned nor dying, and source-translated.

    TCP_CONNTRACK_SYN_SENT2 (9) is above TIME_WAIT (7) and so counts as closing.
    kernel: nf_nat_may_kill (6.5 .. 7.3.4)
    """
    return (
        ct.tcp_state >= TCP_CONNTRACK_TIME_WAIT
        and not ct.status & (IPS_FIXED_TIMEOUT | IPS_DYING)
        and ct.status & IPS_SRC_NAT != 0
    )


def nf_seq_has_advanced(old: Conn, new: Conn) -> bool:
    """(s32)(new.td_end - old.td_end) > 0.  kernel: nf_seq_has_advanced (6.5 .. 7.3.4)"""
    return 0 < u32(new.td_end - old.td_end) < 0x80000000


@path
async def nf_ct_kill(k: Release, ct: Conn) -> bool:
    """Unlink the entry; False if another CPU was first.  Its by-source node goes with the last put."""
    killed = await atomic(nf_ct_delete(ct))
    if killed and ct.status & IPS_SRC_NAT_DONE:
        await BysourceDel(ct)
    return killed


@path
async def nf_ct_delete(ct: Conn) -> bool:
    """Test-and-set DYING, then unlink both nodes under their bucket locks.

    kernel: nf_ct_delete (4.9 .. 7.3.4)
    """
    return await HashDelete(ct)
