# SPDX-License-Identifier: GPL-2.0-or-later
"""Generation beside generation: what each asks of an entry, in which order, and what it counts.

Many releases recorded no vectors, and a packet's own look-up is in none.  The tables here say, from the
behavioural spec (the section is cited) and from the trees themselves, what every generation answers to
the same few entries; the decision tree and the walks are held against another telling of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import product
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natmodel import ops
from natmodel.boot import Boot, hashing
from natmodel.draws import eager
from natmodel.ops import BysourceAdd, BysourceWrite, Call, Op, path
from natmodel.paths.get_unique_tuple import in_range
from natmodel.paths.nf_hooks import nf_nat_inet_fn, resolve_normal_ct
from natmodel.paths.packet import init_conntrack, nat_and_confirm, packets
from natmodel.release import Packet, Release, Skb
from natmodel.release_text import field_of, value_text
from natmodel.releases import RELEASES
from natmodel.run import Ran, follow, run
from natmodel.values import (
    AF_INET,
    IPPROTO_GRE,
    IPPROTO_ICMP,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPPROTO_UDPLITE,
    IPS_CONFIRMED,
    IPS_DST_NAT,
    IPS_DST_NAT_DONE,
    IPS_DYING,
    IPS_SEEN_REPLY,
    IPS_SRC_NAT,
    IPS_SRC_NAT_DONE,
    NF_ACCEPT,
    NF_DROP,
    NF_NAT_RANGE_MAP_IPS,
    NF_NAT_RANGE_PERSISTENT,
    NF_NAT_RANGE_PROTO_OFFSET,
    NF_NAT_RANGE_PROTO_RANDOM,
    NF_NAT_RANGE_PROTO_RANDOM_FULLY,
    NF_NAT_RANGE_PROTO_SPECIFIED,
    Conn,
    CtTuple,
    Manip,
    NatRange,
    Zone,
    nf_ct_invert_tuple,
)
from natmodel.world import Background, Entry, Returned, World, answers, flatten
from tests.test_paths_from_spec import made_of, play

POD = CtTuple(AF_INET, IPPROTO_UDP, 10, 1000, 20, 80)
OUT = CtTuple(AF_INET, IPPROTO_UDP, 30, 4000, 20, 80)
KEY = nf_ct_invert_tuple(OUT)
DONE = IPS_SRC_NAT_DONE | IPS_DST_NAT_DONE
ENTRY = Conn(1000, POD, KEY, IPS_CONFIRMED | DONE)
OTHER = attrs.evolve(ENTRY, id=1001, orig=POD.with_src(11))
ASKING = Conn(7, POD.with_src(12), nf_ct_invert_tuple(POD.with_src(12)))


def world_of(k: Release, *cts: Conn) -> World:
    """A table with these entries, the last one at the head of its chains."""
    return World(Background([Entry(ct) for ct in cts], hashing(k)))


# The entries of the two tables below: what is special about each.
ENTRIES: Final = {
    "plain": ENTRY,
    "unconfirmed": attrs.evolve(ENTRY, status=DONE),
    "dying": attrs.evolve(ENTRY, status=ENTRY.status | IPS_DYING),
    "being freed": attrs.evolve(ENTRY, refcount=0),
    "zone 5": attrs.evolve(ENTRY, zone=Zone(5)),
    "zone 5 of ORIGINAL": attrs.evolve(ENTRY, zone=Zone(5, 1)),
    "net 1": attrs.evolve(ENTRY, net=1),
    "expired": attrs.evolve(ENTRY, timeout=0),
}
ZONED: Final = ("zone 5", "zone 5 of ORIGINAL")

# ── a packet's own look-up (SPEC e, last paragraph; h.1) ────────────────────────────────────────

# generation -> the entries that its look-up finds
FOUND: Final = {
    # no zones, no namespaces, no state is asked for
    "2.6.24": {"plain", "unconfirmed", "dying", "being freed", "net 1", "expired", *ZONED},
    "2.6.35.6": {"plain", "unconfirmed", "expired"},
    "3.4.113": {"plain", "expired"},
    "3.10.4": {"plain", "unconfirmed", "expired"},
    "3.14.1": {"plain", "expired"},
    "3.18.20": {"plain", "expired"},
    # a REPLY key is in the zone's REPLY direction, which this one does not cover
    "4.4.0": {"plain", "expired", "zone 5 of ORIGINAL"},
    "4.7.4": {"plain", "expired", "zone 5 of ORIGINAL"},
    "4.9.0": {"plain", "zone 5 of ORIGINAL"},
    "5.2.1": {"plain", "zone 5 of ORIGINAL"},
    "5.3.1": {"plain", "dying", "zone 5 of ORIGINAL"},
    "5.15.0": {"plain", "dying", "zone 5 of ORIGINAL"},
    "7.3.4": {"plain", "dying", "zone 5 of ORIGINAL"},
}


@pytest.mark.parametrize(("kernel", "what"), list(product(FOUND, ENTRIES)))
def test_what_a_packets_look_up_finds(kernel: str, what: str) -> None:
    k = RELEASES[kernel]
    found = run(k.find_get(k, KEY, Zone(), 0), world_of(k, ENTRIES[what])).result
    assert (found is not None) is (what in FOUND[kernel])


def test_the_table_has_every_generation_of_find() -> None:
    assert {RELEASES[name].find for name in FOUND} == {k.find for k in RELEASES.values()}


@pytest.mark.parametrize("kernel", FOUND)
def test_other_tuples_are_not_found(kernel: str) -> None:
    k = RELEASES[kernel]
    dead = attrs.evolve(ENTRY, timeout=0)
    for t in (KEY.with_dport(4001), KEY.with_dst(31), KEY.with_sport(81)):
        assert run(k.find_get(k, t, Zone(), 0), world_of(k, ENTRY, dead)).result is None


@pytest.mark.parametrize("kernel", RELEASES)
def test_who_else_is_in_the_bucket_makes_no_difference(kernel: str) -> None:
    """One bucket for everything, and in it an entry that has expired, and one of other tuples."""
    k = RELEASES[kernel]
    others = [
        attrs.evolve(ENTRY, id=n, orig=POD.with_src(50 + n), reply=KEY.with_dport(n), timeout=t)
        for n, t in ((1001, 0), (1002, 30000))
    ]
    world = World(Background([Entry(ct) for ct in others], hashing(k, Boot(buckets=1))))
    assert run(k.find_get(k, KEY, Zone(), 0), world).result is None
    assert run(k.tuple_taken(k, KEY, ASKING), world).result is False
    assert alone(k.confirm(k, NEW, 0), world).result.cause == "inserted"


@pytest.mark.parametrize(
    ("kernel", "passed_over"),
    [("2.6.35.6", False), ("3.14.1", False), ("4.4.0", False), ("4.7.4", False), ("4.9.0", True)],
)
def test_a_dying_entry_ends_the_look_up_or_is_passed_over(kernel: str, passed_over: bool) -> None:
    """SPEC e: <= 4.8 a DYING hit means "not found" at once; 4.9 .. 5.2 skip it."""
    k = RELEASES[kernel]
    world = world_of(k, OTHER, ENTRIES["dying"])  # the dying one is met first
    found = run(k.find_get(k, KEY, Zone(), 0), world).result
    assert found == (ops.Node(OTHER, 1) if passed_over else None)


@pytest.mark.parametrize(("kernel", "reaps"), [("4.7.4", False), ("4.9.0", True), ("5.3.1", True)])
def test_who_reaps_an_expired_entry(kernel: str, reaps: bool) -> None:
    """SPEC e: from 4.9 on, by the way."""
    k = RELEASES[kernel]
    ran = run(k.find_get(k, KEY, Zone(), 0), world_of(k, ENTRIES["expired"]))
    assert (1000 in ran.world.gone) is reaps
    assert k.timer_per_entry is not reaps


# ── is a key taken? (SPEC e) ────────────────────────────────────────────────────────────────────

# generation -> the entries that count
TAKEN: Final = {
    "2.6.24": {"plain", "unconfirmed", "dying", "being freed", "net 1", "expired", *ZONED},
    "2.6.35.6": {"plain", "unconfirmed", "dying", "being freed", "expired"},
    "4.4.0": {"plain", "unconfirmed", "dying", "being freed", "expired", "zone 5 of ORIGINAL"},
    "4.7.4": {"plain", "dying", "being freed", "expired", "zone 5 of ORIGINAL"},
    "4.9.0": {"plain", "dying", "being freed", "zone 5 of ORIGINAL"},
    "5.0.1": {"plain", "dying", "being freed", "zone 5 of ORIGINAL"},
    "5.11.0": {"plain", "dying", "being freed", "zone 5 of ORIGINAL"},
    "7.3.4": {"plain", "dying", "being freed", "zone 5 of ORIGINAL"},
}


@pytest.mark.parametrize(("kernel", "what"), list(product(TAKEN, ENTRIES)))
def test_which_entries_count_as_taken(kernel: str, what: str) -> None:
    k = RELEASES[kernel]
    ran = run(k.tuple_taken(k, KEY, ASKING), world_of(k, ENTRIES[what]))
    assert ran.result is (what in TAKEN[kernel])
    assert ran.counted == (("found",) if ran.result else ())


def test_the_table_has_every_generation_of_taken() -> None:
    named = {RELEASES[name].tuple_taken for name in TAKEN}
    assert named == {k.tuple_taken for k in RELEASES.values()}


@pytest.mark.parametrize("kernel", TAKEN)
def test_ones_own_entry_and_other_keys_do_not_count(kernel: str) -> None:
    k = RELEASES[kernel]
    me = attrs.evolve(ENTRY, id=ASKING.id)
    assert not run(k.tuple_taken(k, KEY, ASKING), world_of(k, me)).result
    assert run(k.tuple_taken(k, KEY, ASKING), world_of(k, me, ENTRY)).result
    assert not run(k.tuple_taken(k, KEY.with_dport(4001), ASKING), world_of(k, ENTRY)).result
    assert run(k.tuple_taken(k, POD, ASKING), world_of(k, ENTRY)).result  # in either direction


SKIPS: Final = {"4.9.0": (False, False), "5.0.1": (True, True), "5.11.0": (True, False)}


@pytest.mark.parametrize("kernel", SKIPS)
def test_the_same_origin_is_passed_over(kernel: str) -> None:
    """SPEC e: since 5.0; from 5.11 on only in one zone.  The walk goes on behind it."""
    k = RELEASES[kernel]
    in_zone, in_another = SKIPS[kernel]
    asking = attrs.evolve(ASKING, orig=POD)
    foreign = attrs.evolve(ENTRY, zone=Zone(5, 1))
    assert run(k.tuple_taken(k, KEY, asking), world_of(k, ENTRY)).result is not in_zone
    assert run(k.tuple_taken(k, KEY, asking), world_of(k, foreign)).result is not in_another
    assert run(k.tuple_taken(k, KEY, asking), world_of(k, OTHER, ENTRY)).result


# ── an old mapping of the same source (SPEC a.2) ────────────────────────────────────────────────

MAPPED = attrs.evolve(ENTRY, reply=nf_ct_invert_tuple(OUT.with_dst(21)), orig=POD.with_dst(21))
SOURCES: Final = {
    "plain": MAPPED,
    "another port": attrs.evolve(MAPPED, orig=MAPPED.orig.with_sport(1001)),
    "zone 5": attrs.evolve(MAPPED, zone=Zone(5)),
    "zone 5 of REPLY": attrs.evolve(MAPPED, zone=Zone(5, 2)),
    "net 1": attrs.evolve(MAPPED, net=1),
    "out of range": attrs.evolve(MAPPED, reply=MAPPED.reply.with_dport(9)),
}
REUSED: Final = {
    "2.6.24": {"plain", "zone 5", "zone 5 of REPLY", "net 1"},
    "2.6.35.6": {"plain"},
    "4.4.0": {"plain", "zone 5 of REPLY"},
    "4.9.0": {"plain", "zone 5 of REPLY"},
    "4.13.9": {"plain", "zone 5 of REPLY"},
}
RANGE: Final = NatRange(NF_NAT_RANGE_PROTO_SPECIFIED, 0, 0, 4000, 4001)


def reuse(k: Release, *newest_first: Conn, chance: int = 0) -> CtTuple | None:
    """What is found among these, whatever bucket they are in; 4.9 .. 4.13 if chance has it (0)."""
    steps = flatten(k.find_appropriate_src(k, POD, RANGE, Zone(), 0))
    reply: Any = None
    while True:
        try:
            op = steps.send(reply)
        except StopIteration as stop:
            found: CtTuple | None = stop.value
            return found
        reply = chance if isinstance(op, ops.RhltableLookup) else newest_first


@pytest.mark.parametrize(("kernel", "what"), list(product(REUSED, SOURCES)))
def test_whose_mapping_is_reused(kernel: str, what: str) -> None:
    expected = OUT if what in REUSED[kernel] else None
    assert reuse(RELEASES[kernel], SOURCES[what]) == expected


def test_the_table_has_every_generation_of_reuse() -> None:
    named = {RELEASES[name].find_appropriate_src for name in REUSED}
    assert named == {k.find_appropriate_src for k in RELEASES.values()}


@pytest.mark.parametrize(
    ("kernel", "found"), [("2.6.24", 1), ("2.6.35.6", 1), ("4.4.0", 1), ("4.9.0", 0), ("4.13.9", 1)]
)
def test_behind_a_mapping_that_does_not_fit(kernel: str, found: int) -> None:
    """SPEC a.2: 4.9 .. 4.12 look at the newest one of the source only."""
    k = RELEASES[kernel]
    assert reuse(k, SOURCES["out of range"], MAPPED) == (OUT if found else None)
    # what is of another source is no first element
    assert reuse(k, SOURCES["another port"], MAPPED) == OUT
    if k.zones != "none":
        assert reuse(k, SOURCES["zone 5"], MAPPED) == OUT


@pytest.mark.parametrize(
    ("kernel", "by_chance"), [("4.9.0", True), ("4.13.9", True), ("4.4.0", False)]
)
def test_an_rhltable_finds_a_source_by_chance(kernel: str, by_chance: bool) -> None:
    """Its look-up hashes no byte of the key: one bucket of 1,024 is walked for all of them."""
    k = RELEASES[kernel]
    assert reuse(k, MAPPED) == OUT
    assert (reuse(k, MAPPED, chance=1) is None) is by_chance
    again = NatRange(NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED, 30, 30, 4000, 4001)
    first = packets(k, (Packet(0, POD, src=again), Packet(1, POD.with_dst(21), src=again)), ())
    ways = [
        (answer.odds, [fate.ct.reply.dport for fate in answer.reply])
        for answer in answers(world_of(k), ops.atomic(first), lambda w, op: eager_or_one(w, op))
    ]
    assert sum(odds for odds, _ in ways) == 1
    assert len(ways) == (2 if by_chance else 1)
    if by_chance:
        assert [odds for odds, _ in ways] == [Fraction(1, 1024), Fraction(1023, 1024)]


def eager_or_one(world: World, op: Any) -> list[tuple[int, Fraction]]:
    """Is a source found?  All else is drawn as 0."""
    if isinstance(op, ops.RhltableLookup):
        return eager(world, op)
    return [(0, Fraction(1))]


def test_the_first_two_releases_enter_the_by_source_hash_at_the_first_manip() -> None:
    """SPEC a.2, d: 2.6.24 and 2.6.35 at PRE_ROUTING; a second manip rewrites the tuple in place."""
    packet = Packet(0, POD, src=NatRange(NF_NAT_RANGE_MAP_IPS, 30, 30))
    for kernel, (adds, writes) in {"2.6.24": (1, 1), "2.6.35.6": (1, 1), "3.4.113": (1, 0)}.items():
        k = RELEASES[kernel]
        made: list[Op[Any]] = []

        def hear(op: Op[Any] | Returned, reply: Any, made: list[Op[Any]] = made) -> None:
            if isinstance(op, Op):
                made.append(op)

        done = follow(nat_and_confirm(k, packet), world_of(k), lambda _: 0, hear)
        assert done.result.verdict == NF_ACCEPT
        assert len(made_of(BysourceAdd, made)) == adds
        assert len(made_of(BysourceWrite, made)) == writes
        (added,) = made_of(BysourceAdd, made)
        assert isinstance(added, BysourceAdd)
        translated = added.ct.reply.dst == 30
        assert translated is (kernel == "3.4.113")
        assert [ct.reply.dst for ct in done.world.bysource] == [30]
        # a first manip that changes the tuple has nothing to rewrite yet
        made.clear()
        dnat = attrs.evolve(packet, dst=NatRange(NF_NAT_RANGE_MAP_IPS, 21, 21))
        follow(nat_and_confirm(k, dnat), world_of(k), lambda _: 0, hear)
        assert (len(made_of(BysourceAdd, made)), len(made_of(BysourceWrite, made))) == (
            adds,
            writes,
        )


@pytest.mark.parametrize("kernel", RELEASES)
def test_only_what_was_changed_is_called_translated(kernel: str) -> None:
    """SPEC d: SRC_NAT and DST_NAT say that a tuple was changed, DONE that it was looked at."""
    k = RELEASES[kernel]
    to = NatRange(NF_NAT_RANGE_MAP_IPS, 30, 30)
    for dst, src in product((None, to), repeat=2):
        ran = follow(nat_and_confirm(k, Packet(0, POD, dst, src)), world_of(k), lambda _: 7)
        status = ran.result.ct.status
        assert (status & IPS_DST_NAT != 0, status & IPS_SRC_NAT != 0) == (bool(dst), bool(src))
        assert status & DONE == DONE
        assert {ct.reply for ct in ran.world.bysource} == {ran.result.ct.reply}


@pytest.mark.parametrize("kernel", RELEASES)
def test_the_destination_is_translated_first(kernel: str) -> None:
    """SPEC 0: PRE_ROUTING's manip comes first, so the source is chosen for the new destination."""
    k = RELEASES[kernel]
    dst = NatRange(NF_NAT_RANGE_MAP_IPS, 21, 21)
    src = NatRange(NF_NAT_RANGE_MAP_IPS, 30, 30)
    wanted = CtTuple(AF_INET, IPPROTO_UDP, 30, 1000, 21, 80)
    there = Conn(1000, POD.with_src(11), nf_ct_invert_tuple(wanted), IPS_CONFIRMED | DONE)
    call = nat_and_confirm(k, Packet(0, POD, dst, src))
    for world, kept in ((world_of(k), True), (world_of(k, there), False)):
        fate = follow(call, world, lambda _: 7).result
        assert fate.verdict == NF_ACCEPT
        assert (fate.ct.reply.src, fate.ct.reply.dst) == (21, 30)
        assert (fate.ct.reply.dport == 1000) is kept


# ── the decision tree (SPEC a.1, a.4) ───────────────────────────────────────────────────────────

TREES: Final = {
    "2.6.24": "2.6.24",
    "2.6.35.6": "2.6.35",
    "3.4.113": "3.x",
    "3.14.1": "3.14",
    "4.18.0": "4.18",
    "5.17.0-rc5": "5.17rc",
    "7.3.4": "4.18",
}
KNOWN: Final = {
    "2.6.24": NF_NAT_RANGE_PROTO_RANDOM,
    "2.6.35": NF_NAT_RANGE_PROTO_RANDOM,
    "3.x": NF_NAT_RANGE_PROTO_RANDOM,
}
RANDOM_ALL: Final = NF_NAT_RANGE_PROTO_RANDOM | NF_NAT_RANGE_PROTO_RANDOM_FULLY


@attrs.frozen
class Facts:
    """The answers to everything that the tree asks, and the flags it asks them under."""

    flags: int
    src: bool
    in_range: bool
    orig_used: bool
    mapped: bool
    mapped_used: bool
    l4_in_range: bool
    single: bool
    best_used: bool
    local: bool
    well_known: bool


def told(tree: str, f: Facts) -> tuple[str, list[str]]:
    """(what is chosen, what was asked) as SPEC a.1 and a.4 tell it."""
    random = bool(f.flags & KNOWN.get(tree, RANDOM_ALL))
    spec = bool(f.flags & NF_NAT_RANGE_PROTO_SPECIFIED)
    asked: list[str] = []
    if tree in ("2.6.24", "2.6.35"):
        if f.src and (tree == "2.6.24" or not random):
            asked.append("bysource")
            if f.mapped and not random:
                asked.append("mapped used")
                if not f.mapped_used:
                    return "mapped", asked
        if not random and (not spec or f.l4_in_range):
            asked.append("best used")
            if not f.best_used:
                return "best", asked
        return "search", asked
    if tree == "5.17rc" and f.src and not random and not f.local:
        random = f.well_known
    if f.src and not random:
        if f.in_range:
            asked.append("orig used")
            if not f.orig_used:
                return "orig", asked
        else:
            asked.append("bysource")
            if f.mapped:
                asked.append("mapped used")
                if not f.mapped_used:
                    return "mapped", asked
    offset = tree in ("4.18", "5.17rc") and f.flags & NF_NAT_RANGE_PROTO_OFFSET
    if not random and (not spec or (not offset and f.l4_in_range)):
        if spec and f.single:
            return "best", asked
        asked.append("best used")
        if not f.best_used:
            return "best", asked
    return "search", asked


BEST = POD.with_src(30)
FOUND_BY_SEARCH = POD.with_src(31)


def staged(k: Release, f: Facts, asked: list[str]) -> tuple[Release, CtTuple, NatRange, Manip]:
    """The row with answers in place of look-ups, and a tuple and a range that make the facts true."""
    low = 2 if f.l4_in_range else 5000
    port = 1000 if f.well_known else 20000
    orig = POD.with_sport(port).with_dport(40000)
    high = low if f.single else 30000
    if f.single and f.l4_in_range:
        low = high = port if f.src else 40000
    elif f.l4_in_range:
        low, high = (2, 50000)
    else:
        low, high = (60000, 60000 if f.single else 60001)
    address = 30
    best = orig.with_src(address) if f.src else orig.with_dst(address)
    low_address = orig.src if f.in_range and not f.flags & NF_NAT_RANGE_PROTO_SPECIFIED else 29
    r = NatRange(f.flags, low_address, address, low, high)

    @path
    async def by_source(*_: Any) -> CtTuple | None:
        asked.append("bysource")
        return OUT if f.mapped else None

    @path
    async def used(_: Release, t: CtTuple, __: Conn) -> bool:
        name = "mapped" if t == OUT else "orig" if t == orig != best else "best"
        asked.append(f"{name} used")
        return {"mapped": f.mapped_used, "orig": f.orig_used, "best": f.best_used}[name]

    @path
    async def search(*_: Any) -> CtTuple:
        return FOUND_BY_SEARCH

    row: Release = attrs.evolve(
        k,
        find_appropriate_src=by_source,
        used_tuple=used,
        used_tuple_new=used,
        l4proto_unique_tuple=search,
        find_best_ips=lambda *_: address,
    )
    return row, orig, r, Manip.SRC if f.src else Manip.DST


FLAG_SETS: Final = [
    sum(flags)
    for flags in product(
        (0, NF_NAT_RANGE_PROTO_SPECIFIED),
        (0, NF_NAT_RANGE_PROTO_RANDOM, NF_NAT_RANGE_PROTO_RANDOM_FULLY),
        (0, NF_NAT_RANGE_PROTO_OFFSET),
    )
]


def all_facts() -> Iterator[Facts]:
    for flags in FLAG_SETS:
        for said in product((False, True), repeat=10):
            yield Facts(NF_NAT_RANGE_MAP_IPS | flags, *said)


@pytest.mark.parametrize("kernel", TREES)
def test_every_way_through_the_decision_tree(kernel: str) -> None:
    """All flags and all answers: what is chosen, and what is asked on the way, in order."""
    k, ways = RELEASES[kernel], 0
    for f in all_facts():
        asked: list[str] = []
        row, orig, r, manip = staged(k, f, asked)
        spec = f.flags & NF_NAT_RANGE_PROTO_SPECIFIED
        if in_range(row, orig, r) is not f.in_range or (spec and f.in_range):
            continue  # these facts do not go together; a range of addresses decides
        ct = Conn(7, orig, nf_ct_invert_tuple(orig), local_origin=f.local)
        _, result = play(k.get_unique_tuple(row, orig, r, ct, manip))
        best = orig.with_src(30) if f.src else orig.with_dst(30)
        name = {OUT: "mapped", orig: "orig", best: "best", FOUND_BY_SEARCH: "search"}[result]
        assert (name, asked) == told(TREES[kernel], f), f
        ways += 1
    assert ways > 2000


def test_the_trees_are_all_there() -> None:
    named = {(RELEASES[n].get_unique_tuple, RELEASES[n].range_flags) for n in TREES}
    rows = {(k.get_unique_tuple, k.range_flags) for k in RELEASES.values()}
    rhel = RELEASES["4.18.0-394.el8"]
    assert rows == named | {(rhel.get_unique_tuple, rhel.range_flags)}


def test_the_address_is_chosen_once_for_all_that_follows() -> None:
    """PERSISTENT is looked at by the address choice alone."""
    for k in RELEASES.values():
        r = NatRange(NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PERSISTENT, 30, 30)
        ct = init_conntrack(Packet(0, POD))
        ran = run(k.get_unique_tuple(k, POD, r, ct, Manip.SRC), world_of(k))
        assert ran.result == BEST


# ── the walks of the first releases (SPEC b.1, b.2, b.4) ────────────────────────────────────────


def told_walk(
    first: int, size: int, off: int, used: Callable[[int], bool]
) -> tuple[list[int], int | None, int]:
    """(candidates looked at, the one chosen if it is free, the counter after): all are looked at."""
    looked = []
    for n in range(size):
        key = (first + (off + n) % 65536 % size) % 65536
        looked.append(key)
        if not used(key):
            return looked, key, (off + n) % 65536
    return looked, None, (off + size) % 65536


@pytest.mark.parametrize("kernel", RELEASES)
def test_a_protocol_without_keys_stays_as_it_is(kernel: str) -> None:
    """SPEC b.4: unknown protocol: tuple untouched, so it may be used; a master makes no difference."""
    k = RELEASES[kernel]
    t = CtTuple(AF_INET, 99, 30, 0, 20, 0)
    conn = Conn(7, t, nf_ct_invert_tuple(t), has_master=True)
    r = NatRange(NF_NAT_RANGE_PROTO_SPECIFIED, 0, 0, 4000, 4002)
    for manip in Manip:
        assert run(k.l4proto_unique_tuple(k, t, r, manip, conn), world_of(k)).result == t


# Where a hint is that a search must not start at.
ELSEWHERE: Final = 7


def walked(k: Release, t: CtTuple, r: NatRange, off: int, used: set[int], **ct: Any) -> Any:
    """(keys looked at, the tuple chosen, what the world's hint says after) of a search for a source."""
    looked: list[int] = []

    @path
    async def in_use(_: Release, t: CtTuple, __: Conn) -> bool:
        looked.append(t.sport)
        return t.sport in used

    row: Release = attrs.evolve(k, used_tuple=in_use)
    conn = Conn(7, t, nf_ct_invert_tuple(t), **ct)
    drawn = r.flags & NF_NAT_RANGE_PROTO_RANDOM and t.protonum == IPPROTO_UDP
    world = world_of(k).with_hint(t.protonum, ELSEWHERE if drawn else off)
    draws = [off] if drawn else []
    ran = run(k.l4proto_unique_tuple(row, t, r, Manip.SRC, conn), world, draws)
    return looked, ran.result, ran.world.hint(t.protonum)


ports = st.integers(4000, 4011)


@pytest.mark.parametrize("kernel", ["2.6.24", "2.6.35.6"])
@given(st.integers(0, 65535), st.sets(ports), st.tuples(ports, ports).map(sorted), st.booleans())
def test_the_first_walks_look_at_every_port(
    kernel: str, off: int, used: set[int], ends: list[int], random: bool
) -> None:
    k, t = RELEASES[kernel], OUT.with_sport(9)
    flags = NF_NAT_RANGE_PROTO_SPECIFIED | (NF_NAT_RANGE_PROTO_RANDOM if random else 0)
    looked, result, after = walked(k, t, NatRange(flags, 0, 0, *ends), off, used)
    size = ends[1] - ends[0] + 1
    told_looked, chosen, counter = told_walk(ends[0], size, off, used.__contains__)
    assert looked == told_looked
    assert result.sport == (chosen if chosen is not None else told_looked[-1])
    if kernel == "2.6.24":  # the counter is the walk's own variable, RANDOM or not
        assert after == counter
    else:  # a rover: stored if a port was found and it was not random
        assert after == (ELSEWHERE if random else counter if chosen is not None else off)


@pytest.mark.parametrize("kernel", ["2.6.24", "2.6.35.6"])
@pytest.mark.parametrize("protonum", [IPPROTO_ICMP, IPPROTO_GRE])
@given(st.integers(0, 65535), st.sets(ports), st.tuples(ports, ports).map(sorted), st.booleans())
def test_ids_and_gre_keys_come_from_a_counter(
    kernel: str, protonum: int, off: int, used: set[int], ends: list[int], random: bool
) -> None:
    """SPEC b.4: random flags are not looked at."""
    dport = 8 * 256 if protonum == IPPROTO_ICMP else 80
    t = CtTuple(AF_INET, protonum, 30, 9, 20, dport)
    flags = NF_NAT_RANGE_PROTO_SPECIFIED | (NF_NAT_RANGE_PROTO_RANDOM if random else 0)
    r = NatRange(flags, 0, 0, *ends)
    looked, result, after = walked(RELEASES[kernel], t, r, off, used, has_master=True)
    told_looked, chosen, counter = told_walk(ends[0], ends[1] - ends[0] + 1, off, used.__contains__)
    assert looked == told_looked
    assert result.sport == (chosen if chosen is not None else told_looked[-1])
    assert after == counter


@pytest.mark.parametrize("kernel", ["2.6.24", "2.6.35.6", "3.4.113", "4.19.66"])
def test_windows_without_a_range(kernel: str) -> None:
    """SPEC b.1, b.4: the port's class; ids from 0, of which 65,535 is never one; keys from 1."""
    k = RELEASES[kernel]
    for port, first, size in ((80, 1, 511), (600, 600, 424), (5000, 1024, 64512)):
        looked, result, _ = walked(k, OUT.with_sport(port), NatRange(), size - 1, set())
        assert looked == [first + size - 1] == [result.sport]
        looked, result, _ = walked(k, OUT.with_sport(port), NatRange(), size, set())
        assert looked == [first]
    icmp = CtTuple(AF_INET, IPPROTO_ICMP, 30, 9, 20, 8 * 256)
    gre = CtTuple(AF_INET, IPPROTO_GRE, 30, 9, 20, 80)
    for off, key in ((0, 0), (65534, 65534), (65535, 0)):
        assert walked(k, icmp, NatRange(), off, set())[1].sport == key
        assert walked(k, gre, NatRange(), off, set(), has_master=True)[1].sport == key + 1
    assert walked(k, gre, NatRange(), 5, set())[1] == gre  # no master: as it is


@pytest.mark.parametrize("kernel", RELEASES)
def test_a_destination_port_stays_without_a_range(kernel: str) -> None:
    """SPEC b.1: for DST there is no window then."""
    k = RELEASES[kernel]
    conn = Conn(7, OUT, nf_ct_invert_tuple(OUT))
    for flags in (0, NF_NAT_RANGE_PROTO_RANDOM):
        call = k.l4proto_unique_tuple(k, OUT, NatRange(flags), Manip.DST, conn)
        assert run(call, world_of(k)).result == OUT


@pytest.mark.parametrize("kernel", ["3.4.113", "4.19.66"])
def test_later_the_last_candidate_is_taken_without_a_look(kernel: str) -> None:
    """SPEC b.2, b.4: U-3.x, and ICMP and GRE with it."""
    k = RELEASES[kernel]
    icmp = CtTuple(AF_INET, IPPROTO_ICMP, 30, 9, 20, 8 * 256)
    gre = CtTuple(AF_INET, IPPROTO_GRE, 30, 9, 20, 80)
    r = NatRange(NF_NAT_RANGE_PROTO_SPECIFIED, 0, 0, 4000, 4002)
    for t in (OUT, icmp, gre):
        full = {4000, 4001, 4002}
        looked, result, after = walked(k, t, r, 0, full, has_master=True)
        assert (looked, result.sport, after) == ([4000, 4001], 4002, 2)


@pytest.mark.parametrize(("kernel", "faults"), [("2.6.24", 0), ("2.6.35.6", 0), ("3.4.113", 1)])
def test_a_range_that_wraps_to_no_port_at_all(kernel: str, faults: int) -> None:
    """A loop that tests before it divides leaves the tuple alone; from 3.4 on it divides by zero."""
    r = NatRange(NF_NAT_RANGE_PROTO_SPECIFIED, 0, 0, 4001, 4000)
    for t in (OUT, CtTuple(AF_INET, IPPROTO_ICMP, 30, 9, 20, 8 * 256)):
        if faults:
            with pytest.raises(ZeroDivisionError):
                walked(RELEASES[kernel], t, r, 0, set())
        else:
            assert walked(RELEASES[kernel], t, r, 0, set()) == ([], t, 0)


def test_the_first_release_translates_no_sctp() -> None:
    """There was no NAT module for it: the address is changed, the port is not, used or not."""
    t = CtTuple(AF_INET, IPPROTO_SCTP, 30, 9, 20, 80)
    r = NatRange(NF_NAT_RANGE_PROTO_SPECIFIED, 0, 0, 4000, 4002)
    assert walked(RELEASES["2.6.24"], t, r, 0, {9}) == ([], t, 0)
    assert walked(RELEASES["2.6.35.6"], t, r, 0, {9}) == ([4000], t.with_sport(4000), 0)


# ── confirm: verdicts and counters (SPEC f.3) ───────────────────────────────────────────────────


def alone(call: Call[Any], world: World) -> Ran:
    """Run it with no other CPU; a chain's limit is drawn, and never reached here."""
    return follow(call, world, lambda _: 0)


NEW = Conn(7, POD.with_src(12), KEY, DONE)
CASES: Final = {
    "free": (NEW, ()),
    "clash": (NEW, (ENTRY,)),
    "dying": (attrs.evolve(NEW, status=DONE | IPS_DYING), ()),
    "dying, in a clash": (attrs.evolve(NEW, status=DONE | IPS_DYING), (ENTRY,)),
    "confirmed": (attrs.evolve(NEW, status=DONE | IPS_CONFIRMED), ()),
}
A, D = NF_ACCEPT, NF_DROP
OUTCOMES: Final[dict[str, dict[str, tuple[int, tuple[str, ...]]]]] = {
    # case:        free           clash                          dying                in a clash
    "2.6.24": {
        "free": (A, ("insert",)),
        "clash": (D, ("insert_failed",)),
        "dying": (A, ("insert",)),
        "dying, in a clash": (D, ("insert_failed",)),
        "confirmed": (A, ("insert",)),
    },
    "2.6.35.6": {
        "free": (A, ("insert",)),
        "clash": (D, ("insert_failed",)),
        "dying": (A, ()),
        "dying, in a clash": (A, ()),
        "confirmed": (A, ("insert",)),
    },
    "3.18.20": {
        "free": (A, ("insert",)),
        "clash": (D, ("insert_failed",)),
        "dying": (D, ("insert_failed",)),
        "dying, in a clash": (D, ("insert_failed",)),
        "confirmed": (A, ("insert",)),
    },
    "4.7.4": {
        "free": (A, ("insert",)),
        "clash": (D, ("drop", "insert_failed")),
        "dying": (D, ("insert_failed",)),
        "dying, in a clash": (D, ("insert_failed",)),
        "confirmed": (A, ("insert",)),
    },
    "4.9.0": {
        "free": (A, ()),
        "clash": (D, ("drop", "insert_failed")),
        "dying": (D, ("insert_failed",)),
        "dying, in a clash": (D, ("insert_failed",)),
        "confirmed": (A, ()),
    },
    "4.15.0": {
        "free": (A, ()),
        "clash": (D, ("drop", "insert_failed")),
        "dying": (D, ("insert_failed",)),
        "dying, in a clash": (D, ("insert_failed",)),
        "confirmed": (A, ()),
    },
}
LATER: Final = {
    "free": (A, ()),
    "clash": (D, ("drop", "insert_failed")),
    "dying": (D, ("insert_failed",)),
    "dying, in a clash": (D, ("insert_failed",)),
    "confirmed": (D, ()),
}
LATE: Final = ("4.19.66", "5.8.1", "5.15.0", "5.19.0", "6.12.117", "6.17.0", "7.3.4")
OUTCOMES.update(dict.fromkeys(LATE, LATER))
OUTCOMES["4.18.0-394.el8"] = OUTCOMES["4.15.0"]


@pytest.mark.parametrize(("kernel", "case"), list(product(OUTCOMES, CASES)))
def test_confirm(kernel: str, case: str) -> None:
    k = RELEASES[kernel]
    ct, entries = CASES[case]
    ran = alone(k.confirm(k, ct, 0), world_of(k, *entries))
    verdict, counters = OUTCOMES[kernel][case]
    assert (ran.result.verdict, tuple(sorted(ran.counted))) == (verdict, tuple(sorted(counters)))
    linked = verdict == NF_ACCEPT and ran.result.cause == "inserted"
    assert len(ran.world.linked) == (2 if linked else 0)
    assert not ran.world.locked


def test_the_table_has_every_generation_of_confirm() -> None:
    named = {RELEASES[name].test_keys for name in OUTCOMES}
    assert named == {k.test_keys for k in RELEASES.values()}


CLASHING: Final = {
    "unconfirmed": {"2.6.24", "2.6.35.6", "4.4.0"},
    "zone 5": {"2.6.24"},
    "zone 5 of ORIGINAL": {"2.6.24", "4.4.0", "4.7.4"},
    "net 1": {"2.6.24"},
    "expired": {"2.6.24", "2.6.35.6", "4.4.0", "4.7.4"},
}


@pytest.mark.parametrize(
    ("kernel", "what"), list(product(("2.6.24", "2.6.35.6", "4.4.0", "4.7.4"), CLASHING))
)
def test_which_entries_clash(kernel: str, what: str) -> None:
    """SPEC f.2: key_equal.  An expired entry that nobody has collected still clashes."""
    k = RELEASES[kernel]
    ran = alone(k.confirm(k, NEW, 0), world_of(k, ENTRIES[what]))
    assert (ran.result.verdict == NF_DROP) is (kernel in CLASHING[what])


@pytest.mark.parametrize("kernel", ["2.6.24", "2.6.35.6", "4.4.0", "4.7.4"])
def test_original_is_tested_before_reply(kernel: str) -> None:
    """SPEC f.2: of two clashes the one on ORIGINAL counts."""
    k = RELEASES[kernel]
    first = attrs.evolve(ENTRY, orig=NEW.orig, reply=KEY.with_dport(5))
    ran = alone(k.confirm(k, NEW, 0), world_of(k, first, OTHER))
    assert ran.result.clash == first


def test_one_lock_keeps_every_other_confirm_waiting() -> None:
    """SPEC f.1: 2.6.35 .. 3.14 lock the table, later kernels two buckets."""
    other = attrs.evolve(NEW, id=8, orig=POD.with_src(13), reply=KEY.with_dport(4001))
    for kernel, waits in {"2.6.35.6": True, "3.14.1": True, "3.15.5": False}.items():
        k = RELEASES[kernel]
        world = _locked(k, NEW)
        assert _blocks(k, world, other) is waits
        assert _blocks(k, world, attrs.evolve(other, reply=KEY))  # the same key, in any kernel


def _locked(k: Release, ct: Conn) -> World:
    """The world while `ct` is between its two links."""
    from natmodel.paths.nf_conntrack_confirm import test_and_link_original

    return run(test_and_link_original(k, ct), world_of(k)).world


def _blocks(k: Release, world: World, ct: Conn) -> bool:
    from natmodel.paths.nf_conntrack_confirm import test_and_link_original
    from natmodel.world import Blocked

    try:
        run(test_and_link_original(k, ct), world)
    except Blocked:
        return True
    return False


# ── merging (SPEC f.4) ──────────────────────────────────────────────────────────────────────────

TWIN = attrs.evolve(ENTRY, id=7, status=DONE)
WINNERS: Final = {
    "plain NAT": ENTRY,
    "no NAT": attrs.evolve(ENTRY, status=IPS_CONFIRMED),
    "no NAT, dying": attrs.evolve(ENTRY, status=IPS_CONFIRMED | IPS_DYING),
    "no NAT, being freed": attrs.evolve(ENTRY, status=IPS_CONFIRMED, refcount=0),
    "NAT, dying": attrs.evolve(ENTRY, status=ENTRY.status | IPS_DYING),
    "NAT, being freed": attrs.evolve(ENTRY, refcount=0),
}
# generation -> the winners that a twin of theirs is merged with
MERGED: Final = {
    "4.4.155": set[str](),
    "4.7.4": {"no NAT"},
    "4.12.0": {"no NAT"},
    "4.19.1": {"no NAT", "plain NAT"},
    "5.8.1": {"no NAT", "plain NAT"},
    "4.18.0-394.el8": {"no NAT", "plain NAT"},
    "5.10.7": {"no NAT", "plain NAT", "no NAT, being freed", "NAT, being freed"},
    "6.12.117": set(WINNERS),
}


@pytest.mark.parametrize(("kernel", "winner"), list(product(MERGED, WINNERS)))
def test_with_whom_a_twin_is_merged(kernel: str, winner: str) -> None:
    k = RELEASES[kernel]
    ran = alone(k.confirm(k, TWIN, 0), world_of(k, WINNERS[winner]))
    assert ran.result.freed is (winner in MERGED[kernel])
    if ran.result.freed:
        assert (ran.result.verdict, ran.result.skb_ct) == (NF_ACCEPT, ENTRY.id)


@pytest.mark.parametrize("kernel", MERGED)
def test_only_udp_is_merged(kernel: str) -> None:
    k = RELEASES[kernel]
    twin, entry = (
        attrs.evolve(
            ct,
            orig=attrs.evolve(ct.orig, protonum=IPPROTO_TCP),
            reply=attrs.evolve(ct.reply, protonum=IPPROTO_TCP),
        )
        for ct in (TWIN, WINNERS["no NAT"])
    )
    assert alone(k.confirm(k, twin, 0), world_of(k, entry)).result.verdict == NF_DROP


REPLY_ONLY = attrs.evolve(TWIN, reply=KEY.with_dport(4001))


@pytest.mark.parametrize(
    ("kernel", "counters"),
    [
        ("5.4.286", None),
        ("4.18.0-394.el8", ("clash_resolve",)),
        ("5.8.1", ()),
        ("5.10.7", ("clash_resolve",)),
        ("7.3.4", ("clash_resolve",)),
    ],
)
def test_a_free_reply_key_is_enough(kernel: str, counters: tuple[str, ...] | None) -> None:
    """SPEC f.5: 5.6 and later, for one second; counted from 5.10 on."""
    k = RELEASES[kernel]
    ran = alone(k.confirm(k, REPLY_ONLY, 0), world_of(k, ENTRY))
    if counters is None:
        assert ran.result.verdict == NF_DROP
    else:
        assert (ran.result.verdict, ran.counted) == (NF_ACCEPT, counters)
        (node,) = ran.world.linked
        assert (node.direction, node.ct.timeout) == (1, 250)


@pytest.mark.parametrize(
    ("kernel", "deletes"),
    [("5.8.1", True), ("5.9.1", False), ("4.18.0-394.el8", False), ("7.3.4", False)],
)
@pytest.mark.parametrize("protonum", [IPPROTO_UDP, IPPROTO_UDPLITE])
def test_an_answer_to_a_reply_only_entry(kernel: str, deletes: bool, protonum: int) -> None:
    """SPEC f.5: up to 5.8.7 the first deletes it, and the next belongs to nobody."""
    k = RELEASES[kernel]
    if protonum not in k.trackers:
        return
    twin, entry = (_of_protocol(ct, protonum) for ct in (REPLY_ONLY, ENTRY))
    world = alone(k.confirm(k, twin, 0), world_of(k, entry)).world
    for is_new in (False, deletes):
        ran = alone(resolve_normal_ct(k, Skb(9, twin.reply)), world)
        skb, world = ran.result, ran.world
        assert (skb.verdict, skb.is_new) == (NF_ACCEPT, is_new)
        assert skb.ct.id == (9 if is_new else 7)
        if not is_new:
            assert skb.ct.status & IPS_SEEN_REPLY
        assert [(n.ct.id, n.direction, n.ct.timeout) for n in world.linked] == (
            [] if deletes else [(7, 1, 250)]
        )


def test_an_answer_to_a_whole_entry_deletes_nothing() -> None:
    k = RELEASES["5.8.1"]
    world = alone(k.confirm(k, NEW, 0), world_of(k)).world
    ran = alone(resolve_normal_ct(k, Skb(9, NEW.reply)), world)
    assert (ran.result.ct.id, len(ran.world.linked)) == (NEW.id, 2)
    assert all(node.ct.status & IPS_SEEN_REPLY for node in ran.world.linked)


def _of_protocol(ct: Conn, protonum: int) -> Conn:
    orig, reply = (attrs.evolve(t, protonum=protonum) for t in (ct.orig, ct.reply))
    return attrs.evolve(ct, orig=orig, reply=reply)


@pytest.mark.parametrize("kernel", ["4.7.4", "5.4.286", "5.8.1", "5.9.1", "5.10.7"])
def test_what_a_merge_counts(kernel: str) -> None:
    """SPEC f.3: insert_failed up to 5.9, clash_resolve from 5.10 on."""
    k = RELEASES[kernel]
    ran = alone(k.confirm(k, TWIN, 0), world_of(k, WINNERS["no NAT"]))
    assert ran.counted == (("clash_resolve",) if kernel == "5.10.7" else ("insert_failed",))


# ── the forced remap (SPEC a.4, GUT-5.17rc) ─────────────────────────────────────────────────────


@pytest.mark.parametrize("kernel", ["5.17.0-rc5", "4.18.0-394.el8", "5.15.0"])
@pytest.mark.parametrize(
    ("sport", "dport", "protonum", "well_known"),
    [
        (16383, 32768, IPPROTO_UDP, True),
        (16384, 32768, IPPROTO_UDP, False),
        (16383, 32767, IPPROTO_UDP, False),
        (53, 40000, IPPROTO_TCP, True),
        (53, 40000, IPPROTO_SCTP, False),
    ],
)
def test_well_known_ports_are_not_kept(
    kernel: str, sport: int, dport: int, protonum: int, well_known: bool
) -> None:
    k = RELEASES[kernel]
    t = CtTuple(AF_INET, protonum, 10, sport, 20, dport)
    ct = Conn(7, t, nf_ct_invert_tuple(t))
    call = k.get_unique_tuple(k, t, NatRange(NF_NAT_RANGE_MAP_IPS, 30, 30), ct, Manip.SRC)
    remapped = follow(call, world_of(k), lambda _: 77).result.sport != sport
    assert remapped is (well_known and kernel != "5.15.0")
    local = attrs.evolve(ct, local_origin=True)
    call = k.get_unique_tuple(k, t, NatRange(NF_NAT_RANGE_MAP_IPS, 30, 30), local, Manip.SRC)
    assert run(call, world_of(k)).result.sport == sport


# ── NAT comes too late (SPEC d) ─────────────────────────────────────────────────────────────────


def late(k: Release, status: int) -> Conn:
    """A confirmed connection after its source was to be set up, by a rule that maps it."""
    ct = Conn(7, POD, nf_ct_invert_tuple(POD), IPS_CONFIRMED | status)
    r = NatRange(NF_NAT_RANGE_MAP_IPS, 30, 30)
    result = follow(k.setup_info(k, ct, r, Manip.SRC), world_of(k), lambda _: 0).result
    assert isinstance(result, Conn)
    return result


@pytest.mark.parametrize("kernel", RELEASES)
def test_a_connection_that_was_confirmed_before_nat_was_there(kernel: str) -> None:
    """READ: 2.6.24 gives it a null binding, later kernels leave it alone."""
    ct = late(RELEASES[kernel], 0)
    assert ct.reply.dst == POD.src  # no rule has mapped it
    assert (ct.status == IPS_CONFIRMED | IPS_SRC_NAT_DONE) is (kernel == "2.6.24")
    assert (ct.status == IPS_CONFIRMED) is (kernel != "2.6.24")


@pytest.mark.parametrize("kernel", RELEASES)
def test_a_confirmed_connection_with_one_manip_gets_the_other_up_to_4_11(kernel: str) -> None:
    """READ 2.6.35.6, 4.9.154, 4.10.17, 4.12.0: what has a NAT extension is set up, confirmed or not.

    2.6.24 asks no rule for it.
    """
    ct = late(RELEASES[kernel], IPS_DST_NAT_DONE)
    rows = list(RELEASES)
    set_up = rows.index(kernel) < rows.index("4.12.0")
    assert (ct.reply.dst == 30) is (set_up and kernel != "2.6.24")
    assert (ct.status & IPS_SRC_NAT_DONE != 0) is set_up


@pytest.mark.parametrize("kernel", RELEASES)
def test_what_is_not_confirmed_is_set_up_whatever_its_other_bits(kernel: str) -> None:
    k = RELEASES[kernel]
    ct = Conn(7, POD, nf_ct_invert_tuple(POD), IPS_SEEN_REPLY)
    r = NatRange(NF_NAT_RANGE_MAP_IPS, 30, 30)
    ran = follow(k.setup_info(k, ct, r, Manip.SRC), world_of(k), lambda _: 0)
    assert (ran.result.reply.dst, ran.result.status & IPS_SRC_NAT_DONE != 0) == (30, True)
    assert [entry.id for entry in ran.world.bysource] == [7]


def test_2_6_24_takes_the_type_of_an_answer_for_the_id_of_a_confirmed_request() -> None:
    """READ: alloc_null_binding_confirmed gives the range reply.dst.u.all, which for ICMP is no id."""
    k = RELEASES["2.6.24"]
    ping = CtTuple(AF_INET, IPPROTO_ICMP, 10, 77, 20, 13 * 256)  # a timestamp; 14 is the answer
    other = Conn(1000, ping.with_src(11), nf_ct_invert_tuple(ping), IPS_CONFIRMED)
    ct = Conn(7, ping, nf_ct_invert_tuple(ping), IPS_CONFIRMED)
    r = NatRange(NF_NAT_RANGE_MAP_IPS, 30, 30)
    result = follow(k.setup_info(k, ct, r, Manip.SRC), world_of(k, other), lambda _: 0).result
    assert result.reply.sport == 14 * 256


@pytest.mark.parametrize(("manip", "key"), [(Manip.SRC, POD.sport), (Manip.DST, POD.dport)])
def test_2_6_24_asks_a_confirmed_connection_to_keep_its_key(manip: Manip, key: int) -> None:
    k = RELEASES["2.6.24"]
    asked: list[NatRange] = []

    @path
    async def asks(_: Release, t: CtTuple, r: NatRange, ct: Conn, m: Manip) -> CtTuple:
        asked.append(r)
        return t

    ct = Conn(7, POD, nf_ct_invert_tuple(POD), IPS_CONFIRMED)
    row = attrs.evolve(k, get_unique_tuple=asks)
    follow(k.setup_info(row, ct, NatRange(0, 1, 2), manip), world_of(k), lambda _: 0)
    address = POD.src if manip is Manip.SRC else POD.dst
    assert asked == [NatRange(NF_NAT_RANGE_MAP_IPS, address, address, key, key)]


@pytest.mark.parametrize("kernel", RELEASES)
@pytest.mark.parametrize("is_new", [False, True])
def test_a_hook_sets_up_what_is_new_and_has_not_been_set_up(kernel: str, is_new: bool) -> None:
    """An answered connection is not, nor is one that has been set up for this manip."""
    k = RELEASES[kernel]
    r = NatRange(NF_NAT_RANGE_MAP_IPS, 30, 30)
    status = IPS_CONFIRMED | IPS_DST_NAT_DONE | (IPS_SRC_NAT_DONE if is_new else 0)
    ct = Conn(7, POD, nf_ct_invert_tuple(POD), status)
    skb = Skb(9, POD, ct=ct, is_new=is_new)
    ran = follow(nf_nat_inet_fn(k, skb, Manip.SRC, r), world_of(k), lambda _: 0)
    assert ran.result == skb
    assert not ran.world.bysource


# ── who asks for a keyed hash (SPEC g.3) ────────────────────────────────────────────────────────


def asks_secure_port(k: Release) -> bool:
    """Does any walk of a free range, under any flags, ask for it?"""
    asked: list[Op[Any]] = []

    def listen(op: Op[Any] | Returned, reply: Any) -> None:
        if isinstance(op, ops.SecurePort):
            asked.append(op)

    world = World(Background((), hashing(k, None)))
    ct = Conn(7, POD, nf_ct_invert_tuple(POD))
    for flags, manip in product(FLAG_SETS, Manip):
        r = NatRange(NF_NAT_RANGE_MAP_IPS | flags, 30, 30, 2000, 3000)
        follow(k.l4proto_unique_tuple(k, POD, r, manip, ct), world, lambda op: 0, listen)
    return bool(asked)


@pytest.mark.parametrize("kernel", RELEASES)
def test_a_keyed_hash_is_a_start_from_2_6_35_to_4_20_only(kernel: str) -> None:
    """Where NAT does not ask for one, no row tells kernels apart by theirs."""
    k = RELEASES[kernel]
    rows = list(RELEASES)
    asks = rows.index("2.6.35.6") <= rows.index(kernel) <= rows.index("4.19.304")
    assert asks_secure_port(k) is (asks and kernel != "4.18.0-394.el8")
    assert (value_text(field_of(k, "secure_port")) != "not asked") is asks_secure_port(k)
