# SPDX-License-Identifier: GPL-2.0-or-later
"""Unlocked look-ups in the conntrack table: find an entry, or ask whether a key is taken.

Each look-up is one step: it walks one RCU-protected chain and settles on the entries that were linked
when it passed.  A look-up may reap expired entries on its way; that is part of the same step, because
an expired entry is no answer to any look-up, reaped or not (docs/model.md).
"""

from __future__ import annotations

from natmodel.ops import BysourceDel, Count, HashDelete, Node, ReadChain, atomic, path
from natmodel.release import Release
from natmodel.values import (
    IP_CT_DIR_ORIGINAL,
    IP_CT_DIR_REPLY,
    IPS_CONFIRMED,
    IPS_DYING,
    IPS_SRC_NAT_DONE,
    Conn,
    CtTuple,
    Zone,
    nf_ct_zone_id,
)


def no_zone(zone: Zone, direction: int) -> int:
    """Releases that do not hash the zone (4.4 .. 5.14)."""
    return 0


def nf_ct_is_expired(ct: Conn) -> bool:
    return ct.timeout <= 0


def nf_ct_key_equal(h: Node, t: CtTuple, zone: Zone, net: int) -> bool:
    """Same tuple, same zone as seen from h's direction, confirmed, same namespace.

    kernel: nf_ct_key_equal (4.7 .. 7.3.4)
    """
    ct, direction = h.ct, h.direction
    return (
        h.t == t
        and nf_ct_zone_id(ct.zone, direction) == nf_ct_zone_id(zone, direction)
        and ct.status & IPS_CONFIRMED != 0
        and ct.net == net
    )


@path
async def nf_ct_gc_expired(ct: Conn) -> None:
    """Delete an expired entry that a look-up has met, unless somebody else is already doing it.

    kernel: nf_ct_gc_expired, nf_ct_should_gc (4.9 .. 7.3.4)
    """
    if ct.refcount == 0 or not ct.status & IPS_CONFIRMED or ct.status & IPS_DYING:
        return
    if await HashDelete(ct) and ct.status & IPS_SRC_NAT_DONE:
        await BysourceDel(ct.id)


# ── __nf_conntrack_find_get ─────────────────────────────────────────────────────────────────────


@path
async def find_skipping_dying(
    k: Release, t: CtTuple, zone: Zone, net: int, zone_id: int
) -> Node | None:
    """The first live entry with this key.  kernel: __nf_conntrack_find_get (4.9 .. 5.2)"""
    for h in (await ReadChain(t, zone_id)).nodes:
        if nf_ct_is_expired(h.ct):
            await nf_ct_gc_expired(h.ct)
        elif not h.ct.status & IPS_DYING and nf_ct_key_equal(h, t, zone, net):
            return h if h.ct.refcount else None
    return None


@path
async def find(k: Release, t: CtTuple, zone: Zone, net: int, zone_id: int) -> Node | None:
    """The first entry with this key, unless it is being freed.

    kernel: __nf_conntrack_find_get (5.3 .. 7.3.4)
    """
    for h in (await ReadChain(t, zone_id)).nodes:
        if nf_ct_is_expired(h.ct):
            await nf_ct_gc_expired(h.ct)
        elif nf_ct_key_equal(h, t, zone, net):
            return h if h.ct.refcount else None
    return None


# ── nf_conntrack_find_get ───────────────────────────────────────────────────────────────────────


@path
async def find_get_once(k: Release, t: CtTuple, zone: Zone, net: int) -> Node | None:
    """One look-up: the zone is not hashed.  kernel: nf_conntrack_find_get (4.9 .. 5.2)"""
    return await atomic(find_skipping_dying(k, t, zone, net, 0))


@path
async def find_get_per_zone_id(k: Release, t: CtTuple, zone: Zone, net: int) -> Node | None:
    """A second look-up under the REPLY zone id where it is another one.

    kernel: nf_conntrack_find_get, resolve_normal_ct (5.15 .. 7.3.4)
    """
    zone_id = nf_ct_zone_id(zone, IP_CT_DIR_ORIGINAL)
    h = await atomic(find(k, t, zone, net, zone_id))
    rid = nf_ct_zone_id(zone, IP_CT_DIR_REPLY)
    if h is None and rid != zone_id:
        h = await atomic(find(k, t, zone, net, rid))
    return h


# ── nf_conntrack_tuple_taken ────────────────────────────────────────────────────────────────────


@path
async def taken_unless_same_origin(k: Release, t: CtTuple, ignored: Conn) -> bool:
    """Does another entry own key `t`?  One with our ORIGINAL tuple, in any zone, does not count.

    kernel: nf_conntrack_tuple_taken (5.0 .. 5.10; stable 4.14.177, 4.19.66)
    """
    for h in (await ReadChain(t, 0)).nodes:
        ct = h.ct
        if ct.id == ignored.id:
            continue
        if nf_ct_is_expired(ct):
            await nf_ct_gc_expired(ct)
            continue
        if nf_ct_key_equal(h, t, ignored.zone, ignored.net):
            if ct.orig == ignored.orig:
                continue
            await Count("found")
            return True
    return False


@path
async def taken_unless_same_origin_and_zone(k: Release, t: CtTuple, ignored: Conn) -> bool:
    """As taken_unless_same_origin, but the same ORIGINAL tuple in another zone does count.

    kernel: nf_conntrack_tuple_taken (5.15 .. 7.3.4)
    """
    zone_id = k.hash_zone_id(ignored.zone, IP_CT_DIR_REPLY)
    for h in (await ReadChain(t, zone_id)).nodes:
        ct = h.ct
        if ct.id == ignored.id:
            continue
        if nf_ct_is_expired(ct):
            await nf_ct_gc_expired(ct)
            continue
        if nf_ct_key_equal(h, t, ignored.zone, ignored.net):
            same_zone = nf_ct_zone_id(ct.zone, IP_CT_DIR_ORIGINAL) == nf_ct_zone_id(
                ignored.zone, IP_CT_DIR_ORIGINAL
            )
            if ct.orig == ignored.orig and same_zone:
                continue
            await Count("found")
            return True
    return False
