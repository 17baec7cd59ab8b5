# SPDX-License-Identifier: GPL-2.0-or-later
"""Commit a choice: under both bucket locks, see that neither key is taken, and insert.

Two confirms that could clash on a key share a bucket lock, so the tests and the insertion are one step
for other confirms.  What unlocked readers see in between differs by release.
"""

from __future__ import annotations

import attrs

from natmodel.ops import (
    Call,
    Chain,
    Count,
    HashInsert,
    LockBuckets,
    Node,
    RandomBelow,
    ReadChain,
    UnlockBuckets,
    Warn,
    atomic,
    path,
)
from natmodel.paths.nf_conntrack_find import nf_ct_key_equal
from natmodel.release import Confirmed, Release
from natmodel.values import (
    IP_CT_DIR_ORIGINAL,
    IP_CT_DIR_REPLY,
    IPS_CONFIRMED,
    IPS_DYING,
    IPS_FIXED_TIMEOUT,
    IPS_NAT_CLASH,
    IPS_NAT_DONE_MASK,
    NF_ACCEPT,
    NF_DROP,
    Conn,
    nf_ct_zone_id,
)

HZ = 250


def first_equal(chain: Chain, ct: Conn, direction: int) -> tuple[Node | None, int]:
    """The first node on the chain with ct's key, and how many nodes stand before it (or at all)."""
    for h, passed in zip(chain.nodes, chain.passed, strict=True):
        if nf_ct_key_equal(h, ct.tuplehash(direction), ct.zone, ct.net):
            return h, passed
    return None, chain.length


def dropped(ct: Conn, cause: str, clash: Conn | None = None) -> Confirmed:
    return Confirmed(NF_DROP, ct, ct.id, False, cause, clash)


def inserted(ct: Conn) -> Confirmed:
    """In the table and referenced by it."""
    ct = attrs.evolve(ct, status=ct.status | IPS_CONFIRMED, refcount=2)
    return Confirmed(NF_ACCEPT, ct, ct.id, False, "inserted")


# ── __nf_conntrack_confirm ──────────────────────────────────────────────────────────────────────


@path
async def confirm_linking_one_by_one(k: Release, ct: Conn, ctinfo_dir: int) -> Confirmed:
    """CONFIRMED is set, then ORIGINAL linked, then REPLY: a reader can come in between.

    kernel: __nf_conntrack_confirm (4.19.66; 2.6.35 .. 5.18 link in this order)
    """
    if ctinfo_dir != IP_CT_DIR_ORIGINAL:
        return Confirmed(NF_ACCEPT, ct, ct.id, False, "not the ORIGINAL direction")
    done = await atomic(test_and_link_original(k, ct))
    if done.cause == "inserted":
        await atomic(link_reply(k, done.ct))
    return done


@path
async def test_and_link_original(k: Release, ct: Conn) -> Confirmed | Call[Confirmed]:
    """The locked section up to the first link; if there is a clash, to its end."""
    await LockBuckets(ct)
    if ct.status & IPS_CONFIRMED:
        await Warn("1")
        await UnlockBuckets(ct)
        return dropped(ct, "confirmed already")
    if ct.status & IPS_DYING:
        await UnlockBuckets(ct)
        await Count("insert_failed")
        return dropped(ct, "dying")
    for direction in (IP_CT_DIR_ORIGINAL, IP_CT_DIR_REPLY):
        h, _ = first_equal(await ReadChain(ct.tuplehash(direction), 0), ct, direction)
        if h is not None:
            done = await k.resolve_clash(k, ct, h)
            await UnlockBuckets(ct)
            await Count("insert_failed")  # also when the clash was resolved
            return done
    done = inserted(ct)
    await HashInsert(done.ct, IP_CT_DIR_ORIGINAL)
    return done


@path
async def link_reply(k: Release, ct: Conn) -> None:
    """The rest of the locked section."""
    await HashInsert(ct, IP_CT_DIR_REPLY)
    await UnlockBuckets(ct)


@path
async def confirm_publishing_at_once(k: Release, ct: Conn, ctinfo_dir: int) -> Confirmed:
    """Both nodes are linked before CONFIRMED is set, so a reader sees both keys or none.

    kernel: __nf_conntrack_confirm (6.12.40+ of 6.12.y, 6.16 .. 7.3.4)
    """
    if ctinfo_dir != IP_CT_DIR_ORIGINAL:
        return Confirmed(NF_ACCEPT, ct, ct.id, False, "not the ORIGINAL direction")
    return await atomic(test_and_publish(k, ct))


@path
async def test_and_publish(k: Release, ct: Conn) -> Confirmed | Call[Confirmed]:
    """The locked section."""
    if ct.status & IPS_CONFIRMED:
        await Warn("1")
        return dropped(ct, "confirmed already")
    if ct.status & IPS_DYING:
        await Count("insert_failed")
        return dropped(ct, "dying")
    zone_ids = (
        k.hash_zone_id(ct.zone, IP_CT_DIR_ORIGINAL),
        k.hash_zone_id(ct.zone, IP_CT_DIR_REPLY),
    )
    assert k.chain_limit is not None
    minimum, below = k.chain_limit
    limit = minimum + await RandomBelow("get_random_u32_below", below, minimum, ct, zone_ids)
    for direction in (IP_CT_DIR_ORIGINAL, IP_CT_DIR_REPLY):
        chain = await ReadChain(ct.tuplehash(direction), zone_ids[direction], True)
        h, passed = first_equal(chain, ct, direction)
        if passed >= limit + 2:
            await Count("chaintoolong")
            await Count("insert_failed")
            return dropped(ct, "chain too long")
        if h is not None:
            return k.resolve_clash(k, ct, h)
    done = inserted(ct)
    await HashInsert(done.ct, IP_CT_DIR_ORIGINAL)
    await HashInsert(done.ct, IP_CT_DIR_REPLY)
    return done


# ── nf_ct_resolve_clash ─────────────────────────────────────────────────────────────────────────


def zone_equal(a: Conn, b: Conn, direction_a: int, direction_b: int) -> bool:
    return nf_ct_zone_id(a.zone, direction_a) == nf_ct_zone_id(b.zone, direction_b)


def nf_ct_match(a: Conn, b: Conn) -> bool:
    """The same connection in both directions.  kernel: nf_ct_match (4.19 .. 7.3.4)"""
    return (
        a.orig == b.orig
        and a.reply == b.reply
        and zone_equal(a, b, IP_CT_DIR_ORIGINAL, IP_CT_DIR_ORIGINAL)
        and zone_equal(a, b, IP_CT_DIR_REPLY, IP_CT_DIR_REPLY)
        and a.net == b.net
    )


def nf_ct_match_reverse(a: Conn, b: Conn) -> bool:
    """The same connection, begun from the other side.  kernel: nf_ct_match_reverse (6.12 .. 7.3.4)"""
    return (
        a.orig == b.reply
        and a.reply == b.orig
        and zone_equal(a, b, IP_CT_DIR_ORIGINAL, IP_CT_DIR_REPLY)
        and zone_equal(a, b, IP_CT_DIR_REPLY, IP_CT_DIR_ORIGINAL)
        and a.net == b.net
    )


def merged(loser: Conn, winner: Conn) -> Confirmed:
    """The packet goes on with the winner; the loser's last reference is dropped."""
    loser = attrs.evolve(loser, refcount=0)
    return Confirmed(NF_ACCEPT, loser, winner.id, True, "merged with the winner", winner)


@path
async def merge_unless_translated(k: Release, loser: Conn, h: Node) -> Confirmed:
    """Merge with an entry that NAT never touched, or with the very same connection.

    kernel: nf_ct_resolve_clash (4.19 .. 5.5)
    """
    ct = h.ct
    if k.allow_clash(ct.orig.protonum) and not ct.status & IPS_DYING and ct.refcount:
        if not ct.status & IPS_NAT_DONE_MASK or nf_ct_match(ct, loser):
            return merged(loser, ct)
    await Count("drop")
    return dropped(loser, "clash", ct)


@path
async def merge_or_insert_reply_only(k: Release, loser: Conn, h: Node) -> Confirmed:
    """Merge with the same connection, also reversed; else insert the REPLY node alone if it is free.

    kernel: nf_ct_resolve_clash, nf_ct_resolve_clash_harder (6.12 .. 7.3.4)
    """
    if k.allow_clash(h.ct.orig.protonum):
        done = await merge_if_same(k, loser, h)
        if done is None:
            done = await resolve_clash_harder(k, loser)
        if done is not None:
            return done
    await Count("drop")
    await Count("insert_failed")
    return dropped(loser, "clash", h.ct)


@path
async def merge_if_same(k: Release, loser: Conn, h: Node) -> Confirmed | None:
    """kernel: __nf_ct_resolve_clash (6.12 .. 7.3.4)"""
    if nf_ct_match(h.ct, loser) or nf_ct_match_reverse(h.ct, loser):
        await Count("clash_resolve")
        return merged(loser, h.ct)
    return None


@path
async def resolve_clash_harder(
    k: Release, loser: Conn
) -> Confirmed | Call[Confirmed | None] | None:
    """A free REPLY key is enough: an entry for one second that only answers can find.

    kernel: nf_ct_resolve_clash_harder (5.6 .. 7.3.4)
    """
    zone_id = k.hash_zone_id(loser.zone, IP_CT_DIR_REPLY)
    chain = await ReadChain(loser.reply, zone_id)
    h, _ = first_equal(chain, loser, IP_CT_DIR_REPLY)
    if h is not None:
        return merge_if_same(k, loser, h)
    ct = attrs.evolve(
        loser,
        status=loser.status | IPS_FIXED_TIMEOUT | IPS_NAT_CLASH | IPS_CONFIRMED,
        timeout=HZ,
        refcount=2,
    )
    await HashInsert(ct, IP_CT_DIR_REPLY)
    await Count("clash_resolve")
    return Confirmed(NF_ACCEPT, ct, ct.id, False, "inserted for replies only")
