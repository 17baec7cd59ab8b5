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
    """Releases that do not hash the zone (2.6.24; 4.4 .. 5.14)."""
    return 0


def zone_of_both_directions(zone: Zone, direction: int) -> int:
    """Releases whose zones have an id and no direction.  kernel: nf_ct_zone (2.6.35 .. 4.2)"""
    return zone.id


def nf_ct_is_expired(ct: Conn) -> bool:
    return ct.timeout <= 0


def equal_in_zone(h: Node, t: CtTuple, zone: Zone) -> bool:
    """Same tuple and zone; whether the entry is confirmed is not asked.

    kernel: nf_ct_tuple_equal and nf_ct_zone, side by side (2.6.35 .. 4.2)
    """
    return h.t == t and h.ct.zone.id == zone.id


def equal_in_zone_of_direction(h: Node, t: CtTuple, zone: Zone) -> bool:
    """Same tuple, same zone as seen from h's direction; CONFIRMED is not asked.

    kernel: nf_ct_tuple_equal and nf_ct_zone_equal, side by side (4.3 .. 4.6)
    """
    same_zone = nf_ct_zone_id(h.ct.zone, h.direction) == nf_ct_zone_id(zone, h.direction)
    return h.t == t and same_zone


def nf_ct_key_equal(h: Node, t: CtTuple, zone: Zone, net: int) -> bool:
    """Same tuple, same zone as seen from h's direction, confirmed, same namespace.

    kernel: nf_ct_key_equal (4.7 .. 7.3.4)
    """
    return (
        equal_in_zone_of_direction(h, t, zone)
        and h.ct.status & IPS_CONFIRMED != 0
        and h.ct.net == net
    )


@path
async def nf_ct_gc_expired(ct: Conn) -> None:
    """Delete an expired entry that a look-up has met, unless somebody else is already doing it.

    kernel: nf_ct_gc_expired, nf_ct_should_gc (4.9 .. 7.3.4)
    """
    if ct.refcount == 0 or not ct.status & IPS_CONFIRMED or ct.status & IPS_DYING:
        return
    if await HashDelete(ct) and ct.status & IPS_SRC_NAT_DONE:
        await BysourceDel(ct)


# ── __nf_conntrack_find_get ─────────────────────────────────────────────────────────────────────


@path
async def find_any(k: Release, t: CtTuple, zone: Zone, net: int, zone_id: int) -> Node | None:
    """The first entry with this tuple: no zones, no namespaces, nothing else is asked.

    kernel: __nf_conntrack_find, nf_conntrack_find_get (2.6.24)
    """
    for h in (await ReadChain(t, zone_id)).nodes:
        if h.t == t:
            return h
    return None


@path
async def find_unless_dying(
    k: Release, t: CtTuple, zone: Zone, net: int, zone_id: int
) -> Node | None:
    """The first entry with this tuple and zone; if that one is going, there is none.

    kernel: nf_conntrack_find_get (2.6.35), __nf_conntrack_find_get (3.10, 3.13)
    """
    for h in (await ReadChain(t, zone_id, net=net)).nodes:
        if equal_in_zone(h, t, zone):
            return None if h.ct.status & IPS_DYING or not h.ct.refcount else h
    return None


@path
async def find_confirmed_unless_dying(
    k: Release, t: CtTuple, zone: Zone, net: int, zone_id: int
) -> Node | None:
    """As find_unless_dying, among confirmed entries.

    kernel: __nf_conntrack_find_get (3.14 .. 4.2; stable 3.4.113)
    """
    for h in (await ReadChain(t, zone_id, net=net)).nodes:
        if equal_in_zone(h, t, zone) and h.ct.status & IPS_CONFIRMED:
            return None if h.ct.status & IPS_DYING or not h.ct.refcount else h
    return None


@path
async def find_in_direction_unless_dying(
    k: Release, t: CtTuple, zone: Zone, net: int, zone_id: int
) -> Node | None:
    """As find_confirmed_unless_dying; zones have directions.

    kernel: __nf_conntrack_find_get (4.3 .. 4.6)
    """
    for h in (await ReadChain(t, zone_id, net=net)).nodes:
        if equal_in_zone_of_direction(h, t, zone) and h.ct.status & IPS_CONFIRMED:
            return None if h.ct.status & IPS_DYING or not h.ct.refcount else h
    return None


@path
async def find_in_one_table_unless_dying(
    k: Release, t: CtTuple, zone: Zone, net: int, zone_id: int
) -> Node | None:
    """As find_in_direction_unless_dying; one table serves all namespaces.

    kernel: __nf_conntrack_find_get (4.7, 4.8)
    """
    for h in (await ReadChain(t, zone_id)).nodes:
        if nf_ct_key_equal(h, t, zone, net):
            return None if h.ct.status & IPS_DYING or not h.ct.refcount else h
    return None


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
    """One look-up: the zone is not hashed, or is the same in both directions.

    kernel: nf_conntrack_find_get, resolve_normal_ct (2.6.24 .. 5.14)
    """
    return await atomic(k.find(k, t, zone, net, k.hash_zone_id(zone, IP_CT_DIR_ORIGINAL)))


@path
async def find_get_per_zone_id(k: Release, t: CtTuple, zone: Zone, net: int) -> Node | None:
    """A second look-up under the REPLY zone id where it is another one.

    kernel: nf_conntrack_find_get, resolve_normal_ct (5.15 .. 7.3.4)
    """
    zone_id = nf_ct_zone_id(zone, IP_CT_DIR_ORIGINAL)
    h = await atomic(k.find(k, t, zone, net, zone_id))
    rid = nf_ct_zone_id(zone, IP_CT_DIR_REPLY)
    if h is None and rid != zone_id:
        h = await atomic(k.find(k, t, zone, net, rid))
    return h


# ── nf_conntrack_tuple_taken ────────────────────────────────────────────────────────────────────


@path
async def taken(k: Release, t: CtTuple, ignored: Conn) -> bool:
    """Does another entry own key `t`?  kernel: nf_conntrack_tuple_taken (2.6.24)"""
    for h in (await ReadChain(t, 0)).nodes:
        if h.ct.id != ignored.id and h.t == t:
            await Count("found")
            return True
    return False


@path
async def taken_in_zone(k: Release, t: CtTuple, ignored: Conn) -> bool:
    """Does another entry own key `t` in this zone?  kernel: nf_conntrack_tuple_taken (2.6.35 .. 4.2)"""
    for h in (await ReadChain(t, ignored.zone.id, net=ignored.net)).nodes:
        if h.ct.id != ignored.id and equal_in_zone(h, t, ignored.zone):
            await Count("found")
            return True
    return False


@path
async def taken_in_zone_of_direction(k: Release, t: CtTuple, ignored: Conn) -> bool:
    """As taken_in_zone; zones have directions and are not hashed.

    kernel: nf_conntrack_tuple_taken (4.3 .. 4.6)
    """
    for h in (await ReadChain(t, 0, net=ignored.net)).nodes:
        if h.ct.id != ignored.id and equal_in_zone_of_direction(h, t, ignored.zone):
            await Count("found")
            return True
    return False


@path
async def taken_if_confirmed(k: Release, t: CtTuple, ignored: Conn) -> bool:
    """Does another confirmed entry of this namespace own key `t`?

    kernel: nf_conntrack_tuple_taken (4.7, 4.8)
    """
    for h in (await ReadChain(t, 0)).nodes:
        if h.ct.id != ignored.id and nf_ct_key_equal(h, t, ignored.zone, ignored.net):
            await Count("found")
            return True
    return False


@path
async def taken_unless_expired(k: Release, t: CtTuple, ignored: Conn) -> bool:
    """As taken_if_confirmed; an expired entry does not count, and is reaped on the way.

    kernel: nf_conntrack_tuple_taken (4.9 .. 4.20)
    """
    for h in (await ReadChain(t, 0)).nodes:
        ct = h.ct
        if ct.id == ignored.id:
            continue
        if nf_ct_is_expired(ct):
            await nf_ct_gc_expired(ct)
            continue
        if nf_ct_key_equal(h, t, ignored.zone, ignored.net):
            await Count("found")
            return True
    return False


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

    The key is hashed with the zone id of its direction, where zones are hashed (5.15 .. 7.3.4).
    kernel: nf_conntrack_tuple_taken (5.11 .. 7.3.4; stable 5.10.17, 5.4.195, 4.19.222, 4.14.222,
    4.9.273)
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
