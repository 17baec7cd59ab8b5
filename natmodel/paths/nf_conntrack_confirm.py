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
    Node,
    RandomBelow,
    ReadChain,
    UnlockBuckets,
    Warn,
    atomic,
    path,
)
from natmodel.paths.nf_conntrack_extend import nf_ct_ext_valid
from natmodel.paths.nf_conntrack_find import (
    equal_in_zone,
    equal_in_zone_of_direction,
    nf_ct_key_equal,
)
from natmodel.paths.nf_nat_used_tuple import nf_ct_delete
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


def dropped(ct: Conn, cause: str, clash: Conn | None = None) -> Confirmed:
    return Confirmed(NF_DROP, ct, ct.id, False, cause, clash)


def inserted(ct: Conn) -> Confirmed:
    """In the table and referenced by it.  Whoever meets it there does not mind its extensions' age."""
    ct = attrs.evolve(ct, status=ct.status | IPS_CONFIRMED, refcount=2, ext_genid=0)
    return Confirmed(NF_ACCEPT, ct, ct.id, False, "inserted")


# ── __nf_conntrack_confirm: locks and links ─────────────────────────────────────────────────────


@path
async def confirm_linking_one_by_one(k: Release, ct: Conn, ctinfo_dir: int) -> Confirmed:
    """ORIGINAL is linked, then REPLY: a reader can come in between.

    kernel: __nf_conntrack_confirm (2.6.35 .. 5.18)
    """
    if ctinfo_dir != IP_CT_DIR_ORIGINAL:
        return Confirmed(NF_ACCEPT, ct, ct.id, False, "not the ORIGINAL direction")
    done = await atomic(test_and_link_original(k, ct))
    if done.cause == "inserted":
        await atomic(link_reply(k, done.ct))
    return done


@path
async def confirm_linking_one_by_one_with_genid(
    k: Release, ct: Conn, ctinfo_dir: int
) -> Confirmed | Call[Confirmed]:
    """As confirm_linking_one_by_one; then its extensions' generation is looked at once more.

    kernel: __nf_conntrack_confirm (5.19 .. 6.15)
    """
    if ctinfo_dir != IP_CT_DIR_ORIGINAL:
        return Confirmed(NF_ACCEPT, ct, ct.id, False, "not the ORIGINAL direction")
    done = await atomic(test_and_link_original(k, ct))
    if done.cause == "inserted":
        await atomic(link_reply(k, done.ct))
        return drop_if_outdated(k, ct, done)
    return done


@path
async def test_and_link_original(k: Release, ct: Conn) -> Confirmed:
    """The locked section up to the first link; if there is none, to its end."""
    await k.lock(ct)
    done = await k.test_keys(k, ct)
    if done.cause == "inserted":
        await HashInsert(done.ct, IP_CT_DIR_ORIGINAL)
    else:
        await UnlockBuckets(ct)
    return done


@path
async def link_reply(k: Release, ct: Conn) -> None:
    """The rest of the locked section."""
    await HashInsert(ct, IP_CT_DIR_REPLY)
    await UnlockBuckets(ct)


@path
async def confirm_publishing_at_once(k: Release, ct: Conn, ctinfo_dir: int) -> Confirmed:
    """A reader sees both keys or none: both nodes are linked before CONFIRMED is set.

    In 2.6.24 for another reason: readers take a lock, too.
    kernel: __nf_conntrack_confirm (2.6.24; 6.12.97+ of 6.12.y; 7.1 .. 7.3.4)
    """
    if ctinfo_dir != IP_CT_DIR_ORIGINAL:
        return Confirmed(NF_ACCEPT, ct, ct.id, False, "not the ORIGINAL direction")
    return await atomic(test_and_publish(k, ct))


@path
async def confirm_publishing_at_once_with_genid(
    k: Release, ct: Conn, ctinfo_dir: int
) -> Confirmed | Call[Confirmed]:
    """As confirm_publishing_at_once; then its extensions' generation is looked at once more.

    kernel: __nf_conntrack_confirm (6.16 .. 7.0; 6.1.147+ of 6.1.y; 6.12.40 .. 6.12.96)
    """
    if ctinfo_dir != IP_CT_DIR_ORIGINAL:
        return Confirmed(NF_ACCEPT, ct, ct.id, False, "not the ORIGINAL direction")
    done = await atomic(test_and_publish(k, ct))
    return drop_if_outdated(k, ct, done) if done.cause == "inserted" else done


@path
async def test_and_publish(k: Release, ct: Conn) -> Confirmed:
    """The locked section."""
    done = await k.test_keys(k, ct)
    if done.cause == "inserted":
        await HashInsert(done.ct, IP_CT_DIR_ORIGINAL)
        await HashInsert(done.ct, IP_CT_DIR_REPLY)
    return done


@path
async def drop_if_outdated(k: Release, ct: Conn, done: Confirmed) -> Confirmed:
    """What was inserted is unlinked again if a module has left meanwhile.  `ct`: as before.

    kernel: __nf_conntrack_confirm, nf_ct_ext_valid_post (5.19 .. 7.0)
    """
    if await nf_ct_ext_valid(ct):
        return done
    await atomic(nf_ct_delete(done.ct))
    await Count("drop")
    status = done.ct.status | IPS_DYING
    return dropped(attrs.evolve(done.ct, status=status), "extensions outdated")


# ── __nf_conntrack_confirm: is there a clash? ───────────────────────────────────────────────────


@path
async def clash_in_any_zone(k: Release, ct: Conn) -> Node | None:
    """An entry with one of ct's keys; ORIGINAL is looked for first.

    kernel: __nf_conntrack_confirm, its two loops (2.6.24)
    """
    for direction in (IP_CT_DIR_ORIGINAL, IP_CT_DIR_REPLY):
        for h in (await ReadChain(ct.tuplehash(direction), 0)).nodes:
            if h.t == ct.tuplehash(direction):
                return h
    return None


@path
async def clash_in_zone(k: Release, ct: Conn) -> Node | None:
    """As clash_in_any_zone, in ct's zone and its namespace's table.

    kernel: __nf_conntrack_confirm, its two loops (2.6.35 .. 4.2)
    """
    for direction in (IP_CT_DIR_ORIGINAL, IP_CT_DIR_REPLY):
        t = ct.tuplehash(direction)
        for h in (await ReadChain(t, ct.zone.id, net=ct.net)).nodes:
            if equal_in_zone(h, t, ct.zone):
                return h
    return None


@path
async def clash_in_zone_of_direction(k: Release, ct: Conn) -> Node | None:
    """As clash_in_zone; zones have directions and are not hashed.

    kernel: __nf_conntrack_confirm, its two loops (4.3 .. 4.6)
    """
    for direction in (IP_CT_DIR_ORIGINAL, IP_CT_DIR_REPLY):
        t = ct.tuplehash(direction)
        for h in (await ReadChain(t, 0, net=ct.net)).nodes:
            if equal_in_zone_of_direction(h, t, ct.zone):
                return h
    return None


@path
async def clash(k: Release, ct: Conn) -> Node | None:
    """As clash_in_zone_of_direction, among confirmed entries, in one table for all.

    kernel: __nf_conntrack_confirm, its two loops (4.7 .. 5.14)
    """
    for direction in (IP_CT_DIR_ORIGINAL, IP_CT_DIR_REPLY):
        t = ct.tuplehash(direction)
        for h in (await ReadChain(t, 0)).nodes:
            if nf_ct_key_equal(h, t, ct.zone, ct.net):
                return h
    return None


# ── __nf_conntrack_confirm: the tests under the lock ────────────────────────────────────────────


@path
async def insert_unless_clash(k: Release, ct: Conn) -> Confirmed:
    """Nothing but the two keys is asked.  kernel: __nf_conntrack_confirm (2.6.24)"""
    h = await k.clash(k, ct)
    if h is not None:
        await Count("insert_failed")
        return dropped(ct, "clash", h.ct)
    await Count("insert")
    return inserted(ct)


@path
async def accept_the_dying(k: Release, ct: Conn) -> Confirmed:
    """A connection that is dying is let pass, and not inserted.

    kernel: __nf_conntrack_confirm (2.6.35 .. 3.17)
    """
    if ct.status & IPS_DYING:
        return Confirmed(NF_ACCEPT, ct, ct.id, False, "dying")
    h = await k.clash(k, ct)
    if h is not None:
        await Count("insert_failed")
        return dropped(ct, "clash", h.ct)
    await Count("insert")
    return inserted(ct)


@path
async def drop_the_dying(k: Release, ct: Conn) -> Confirmed:
    """A connection that is dying is dropped.  kernel: __nf_conntrack_confirm (3.18 .. 4.6)"""
    if ct.status & IPS_DYING:
        await Count("insert_failed")
        return dropped(ct, "dying")
    h = await k.clash(k, ct)
    if h is not None:
        await Count("insert_failed")
        return dropped(ct, "clash", h.ct)
    await Count("insert")
    return inserted(ct)


@path
async def resolve_and_count_inserts(k: Release, ct: Conn) -> Confirmed:
    """A clash may be resolved; it is counted as failed all the same.

    kernel: __nf_conntrack_confirm (4.7, 4.8)
    """
    if ct.status & IPS_DYING:
        await Count("insert_failed")
        return dropped(ct, "dying")
    h = await k.clash(k, ct)
    if h is not None:
        done = await k.resolve_clash(k, ct, h)
        await Count("insert_failed")
        return done
    await Count("insert")
    return inserted(ct)


@path
async def resolve(k: Release, ct: Conn) -> Confirmed:
    """As resolve_and_count_inserts, but what succeeds is not counted any more.

    kernel: __nf_conntrack_confirm (4.9 .. 4.13)
    """
    if ct.status & IPS_DYING:
        await Count("insert_failed")
        return dropped(ct, "dying")
    h = await k.clash(k, ct)
    if h is not None:
        done = await k.resolve_clash(k, ct, h)
        await Count("insert_failed")
        return done
    return inserted(ct)


@path
async def resolve_and_warn_of_the_confirmed(k: Release, ct: Conn) -> Confirmed | Call[Confirmed]:
    """As resolve, with a warning for a connection that is confirmed already; it is inserted again.

    kernel: __nf_conntrack_confirm (4.15 .. 5.1)
    """
    if ct.status & IPS_CONFIRMED:
        await Warn("nf_ct_is_confirmed(ct)")
    return resolve(k, ct)


@path
async def drop_the_confirmed_or_resolve(k: Release, ct: Conn) -> Confirmed | Call[Confirmed]:
    """As resolve, but a connection that is confirmed already is dropped.

    kernel: __nf_conntrack_confirm (5.2 .. 5.5; stable 4.14.177, 4.19.66)
    """
    if ct.status & IPS_CONFIRMED:
        await Warn("1")
        return dropped(ct, "confirmed already")
    return resolve(k, ct)


@path
async def warn_of_the_confirmed_and_count_apart(
    k: Release, ct: Conn
) -> Confirmed | Call[Confirmed]:
    """As resolve_counting_apart, but a connection that is confirmed already is inserted again.

    kernel: __nf_conntrack_confirm (RHEL's 4.18.0-394.el8)
    """
    if ct.status & IPS_CONFIRMED:
        await Warn("nf_ct_is_confirmed(ct)")
    if ct.status & IPS_DYING:
        await Count("insert_failed")
        return dropped(ct, "dying")
    h = await k.clash(k, ct)
    if h is not None:
        return k.resolve_clash(k, ct, h)
    return inserted(ct)


@path
async def resolve_counting_apart(k: Release, ct: Conn) -> Confirmed | Call[Confirmed]:
    """As drop_the_confirmed_or_resolve, but resolving a clash counts for itself.

    kernel: __nf_conntrack_confirm (5.6 .. 5.14)
    """
    if ct.status & IPS_CONFIRMED:
        await Warn("1")
        return dropped(ct, "confirmed already")
    if ct.status & IPS_DYING:
        await Count("insert_failed")
        return dropped(ct, "dying")
    h = await k.clash(k, ct)
    if h is not None:
        return k.resolve_clash(k, ct, h)
    return inserted(ct)


@path
async def resolve_within_chain_limit(k: Release, ct: Conn) -> Confirmed | Call[Confirmed]:
    """As resolve_counting_apart, but chains may grow to a limit only, which is drawn each time.

    kernel: __nf_conntrack_confirm (5.15 .. 5.18; 6.12.97+ of 6.12.y; 7.1 .. 7.3.4)
    """
    if ct.status & IPS_CONFIRMED:
        await Warn("1")
        return dropped(ct, "confirmed already")
    if ct.status & IPS_DYING:
        await Count("insert_failed")
        return dropped(ct, "dying")
    return keys_within_chain_limit(k, ct)


@path
async def resolve_within_chain_limit_with_genid(
    k: Release, ct: Conn
) -> Confirmed | Call[Confirmed]:
    """As resolve_within_chain_limit, if its extensions are not from before a module left.

    kernel: __nf_conntrack_confirm (6.16 .. 7.0; 6.1.147+ of 6.1.y; 6.12.40 .. 6.12.96)
    """
    if ct.status & IPS_CONFIRMED:
        await Warn("1")
        return dropped(ct, "confirmed already")
    if not await nf_ct_ext_valid(ct):
        await Count("insert_failed")
        return dropped(ct, "extensions outdated")
    if ct.status & IPS_DYING:
        await Count("insert_failed")
        return dropped(ct, "dying")
    return keys_within_chain_limit(k, ct)


@path
async def resolve_within_chain_limit_marked_first(
    k: Release, ct: Conn
) -> Confirmed | Call[Confirmed]:
    """As resolve_within_chain_limit_with_genid; CONFIRMED is set before the tests that follow, and a
    loser keeps it.

    kernel: __nf_conntrack_confirm (5.19 .. 6.15)
    """
    if ct.status & IPS_CONFIRMED:
        await Warn("1")
        return dropped(ct, "confirmed already")
    if not await nf_ct_ext_valid(ct):
        await Count("insert_failed")
        return dropped(ct, "extensions outdated")
    ct = attrs.evolve(ct, status=ct.status | IPS_CONFIRMED)
    if ct.status & IPS_DYING:
        await Count("insert_failed")
        return dropped(ct, "dying")
    return keys_within_chain_limit(k, ct)


@path
async def keys_within_chain_limit(k: Release, ct: Conn) -> Confirmed | Call[Confirmed]:
    """Both chains: a clash is met first, or the limit is.

    kernel: __nf_conntrack_confirm, its two loops (5.15 .. 7.3.4)
    """
    zone_ids = (
        k.hash_zone_id(ct.zone, IP_CT_DIR_ORIGINAL),
        k.hash_zone_id(ct.zone, IP_CT_DIR_REPLY),
    )
    assert k.chain_limit is not None
    minimum, below = k.chain_limit
    limit = minimum + await RandomBelow(k.rng_below, below, minimum, ct, zone_ids)
    for direction in (IP_CT_DIR_ORIGINAL, IP_CT_DIR_REPLY):
        chain = await ReadChain(ct.tuplehash(direction), zone_ids[direction], True)
        h, passed = first_equal(chain, ct, direction)
        if passed >= limit + 2:
            await Count("chaintoolong")
            await Count("insert_failed")
            return dropped(ct, "chain too long")
        if h is not None:
            return k.resolve_clash(k, ct, h)
    return inserted(ct)


def first_equal(chain: Chain, ct: Conn, direction: int) -> tuple[Node | None, int]:
    """The first node on the chain with ct's key, and how many nodes stand before it (or at all)."""
    for h, passed in zip(chain.nodes, chain.passed, strict=True):
        if nf_ct_key_equal(h, ct.tuplehash(direction), ct.zone, ct.net):
            return h, passed
    return None, chain.length


# ── nf_ct_resolve_clash ─────────────────────────────────────────────────────────────────────────


@path
async def merge_or_drop(k: Release, loser: Conn, h: Node) -> Confirmed:
    """The loser's packet goes on with the winner's entry, or is dropped.

    kernel: nf_ct_resolve_clash (4.7 .. 5.5)
    """
    if k.allow_clash(h.ct.orig.protonum):
        done = await k.merge(k, loser, h)
        if done is not None:
            return done
    await Count("drop")
    return dropped(loser, "clash", h.ct)


@path
async def merge_or_insert_reply_only(k: Release, loser: Conn, h: Node) -> Confirmed:
    """As merge_or_drop; and if the REPLY key is free, its node alone is inserted.

    kernel: nf_ct_resolve_clash (5.6 .. 7.3.4)
    """
    if k.allow_clash(h.ct.orig.protonum):
        done = await k.merge(k, loser, h)
        if done is None:
            done = await k.resolve_clash_harder(k, loser)
        if done is not None:
            return done
    await Count("drop")
    await Count("insert_failed")
    return dropped(loser, "clash", h.ct)


# ── __nf_ct_resolve_clash: may the two be merged? ───────────────────────────────────────────────


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


def can_be_had(ct: Conn) -> bool:
    """Neither dying nor being freed: a reference to it can be taken."""
    return not ct.status & IPS_DYING and ct.refcount != 0


@path
async def merge_unless_nat(k: Release, loser: Conn, h: Node) -> Confirmed | None:
    """Merge with an entry that NAT has no part in.

    What is asked for is the entry's NAT extension.  Where NAT hooks are registered they give it to each
    new connection before it is set up, and dropped ones enter no table; so a confirmed entry is taken to
    have the extension if and only if NAT_DONE says that it has been set up.  (Unloading NAT clears the
    bits and leaves the extension: docs/model.md, "Left out".)
    kernel: nf_ct_resolve_clash, nfct_nat (4.7 .. 4.11); NAT_DONE itself (4.12 .. 4.18; stable 4.9.154)
    """
    if can_be_had(h.ct) and not h.ct.status & IPS_NAT_DONE_MASK:
        return merged(loser, h.ct)
    return None


@path
async def merge_unless_translated(k: Release, loser: Conn, h: Node) -> Confirmed | None:
    """Merge with an entry that NAT has no part in, or with the very same connection.

    kernel: nf_ct_resolve_clash (4.19 .. 5.5; stable 4.14.177)
    """
    if can_be_had(h.ct) and (not h.ct.status & IPS_NAT_DONE_MASK or nf_ct_match(h.ct, loser)):
        return merged(loser, h.ct)
    return None


@path
async def merge_counting_a_failure(k: Release, loser: Conn, h: Node) -> Confirmed | None:
    """As merge_unless_translated, and insert_failed is raised, though nothing is lost.

    kernel: __nf_ct_resolve_clash (5.6 .. 5.9)
    """
    done = await merge_unless_translated(k, loser, h)
    if done is not None:
        await Count("insert_failed")
    return done


@path
async def merge_referenced_counting_a_resolve(k: Release, loser: Conn, h: Node) -> Confirmed | None:
    """As merge_unless_translated, with a counter of its own.

    kernel: __nf_ct_resolve_clash (RHEL's 4.18.0-394.el8)
    """
    done = await merge_unless_translated(k, loser, h)
    if done is not None:
        await Count("clash_resolve")
    return done


@path
async def merge_counting_a_resolve(k: Release, loser: Conn, h: Node) -> Confirmed | None:
    """As merge_unless_translated, with a counter of its own; an entry that is being freed will do, too.

    kernel: __nf_ct_resolve_clash (5.10 .. 6.11)
    """
    if h.ct.status & IPS_DYING:
        return None
    if not h.ct.status & IPS_NAT_DONE_MASK or nf_ct_match(h.ct, loser):
        await Count("clash_resolve")
        return merged(loser, h.ct)
    return None


@path
async def merge_if_same(k: Release, loser: Conn, h: Node) -> Confirmed | None:
    """Merge with the same connection, also if the other side has begun it.

    kernel: __nf_ct_resolve_clash, nf_ct_can_merge (6.12 .. 7.3.4)
    """
    if nf_ct_match(h.ct, loser) or nf_ct_match_reverse(h.ct, loser):
        await Count("clash_resolve")
        return merged(loser, h.ct)
    return None


# ── nf_ct_resolve_clash_harder ──────────────────────────────────────────────────────────────────


@path
async def resolve_clash_harder_uncounted(
    k: Release, loser: Conn
) -> Confirmed | Call[Confirmed | None] | None:
    """As resolve_clash_harder, and no counter tells of it.

    kernel: nf_ct_resolve_clash_harder (5.6 .. 5.9)
    """
    h = await reply_clash(k, loser)
    if h is not None:
        return k.merge(k, loser, h)
    return insert_reply_only(loser)


@path
async def resolve_clash_harder(
    k: Release, loser: Conn
) -> Confirmed | Call[Confirmed | None] | None:
    """A free REPLY key is enough: an entry for one second that only answers can find.

    kernel: nf_ct_resolve_clash_harder (5.10 .. 7.3.4)
    """
    h = await reply_clash(k, loser)
    if h is not None:
        return k.merge(k, loser, h)
    await Count("clash_resolve")
    return insert_reply_only(loser)


@path
async def reply_clash(k: Release, loser: Conn) -> Node | None:
    """An entry with the loser's REPLY key."""
    zone_id = k.hash_zone_id(loser.zone, IP_CT_DIR_REPLY)
    h, _ = first_equal(await ReadChain(loser.reply, zone_id), loser, IP_CT_DIR_REPLY)
    return h


@path
async def insert_reply_only(loser: Conn) -> Confirmed:
    """Its ORIGINAL node is marked as hashed, and linked nowhere."""
    status = loser.status | IPS_FIXED_TIMEOUT | IPS_NAT_CLASH | IPS_CONFIRMED
    ct = attrs.evolve(loser, status=status, timeout=HZ, refcount=2)
    await HashInsert(ct, IP_CT_DIR_REPLY)
    return Confirmed(NF_ACCEPT, ct, ct.id, False, "inserted for replies only")
