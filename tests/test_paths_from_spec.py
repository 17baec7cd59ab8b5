# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules of the paths that the recorded vectors do not reach, each cited from the behavioural spec.

`play` runs a path against replies given by hand, so that a test can be another CPU: it says what each
operation finds, and sees which operations are made, in which order, and which are not.
`python -m tests.mutation` found what is here.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from natmodel import ops
from natmodel.ops import (
    BysourceAdd,
    BysourceDel,
    Call,
    Chain,
    Count,
    HashDelete,
    HashInsert,
    LockBuckets,
    Node,
    Op,
    ReadChain,
    UnlockBuckets,
    Warn,
    path,
)
from natmodel.paths import (
    get_unique_tuple,
    nf_conntrack_confirm,
    nf_conntrack_find,
    nf_nat_used_tuple,
    packet,
)
from natmodel.release import Confirmed, Packet, Release
from natmodel.releases import RELEASES
from natmodel.values import (
    AF_INET,
    IP_CT_DIR_ORIGINAL,
    IP_CT_DIR_REPLY,
    IPPROTO_GRE,
    IPPROTO_ICMP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPS_CONFIRMED,
    IPS_DYING,
    IPS_SRC_NAT,
    IPS_SRC_NAT_DONE,
    NF_ACCEPT,
    NF_DROP,
    NF_NAT_RANGE_MAP_IPS,
    NF_NAT_RANGE_PROTO_SPECIFIED,
    TCP_CONNTRACK_SYN_SENT,
    TCP_CONNTRACK_TIME_WAIT,
    Conn,
    CtTuple,
    Manip,
    NatRange,
    Zone,
    nf_ct_invert_tuple,
)
from natmodel.world import flatten

OLD, NEW = RELEASES["4.19.66"], RELEASES["6.12.117"]
POD = CtTuple(AF_INET, IPPROTO_TCP, 10, 1000, 20, 80)
OUT = CtTuple(AF_INET, IPPROTO_TCP, 30, 4000, 20, 80)
SYN = Conn(7, POD, nf_ct_invert_tuple(POD), tcp_state=TCP_CONNTRACK_SYN_SENT, td_end=2000)
CLOSING = Conn(
    1000,
    POD.with_src(11),
    nf_ct_invert_tuple(OUT),
    IPS_CONFIRMED | IPS_SRC_NAT | IPS_SRC_NAT_DONE,
    tcp_state=TCP_CONNTRACK_TIME_WAIT,
    td_end=1000,
)


# operations whose reply a test gives
REPLIED = (
    HashDelete,
    ops.ReadBysource,
    ops.RandomU16,
    ops.RandomBelow,
    ops.RhltableLookup,
    ops.IdLoad,
    ops.IdIncrement,
)


def play(call: Call[Any], *replies: Any) -> tuple[list[Op[Any]], Any]:
    """(the operations made, the result).  A chain is given by its nodes; effects need no reply."""
    steps, given = flatten(call), list(replies)
    made: list[Op[Any]] = []
    reply: Any = None
    while True:
        try:
            op = steps.send(reply)
        except StopIteration as stop:
            assert not given, f"not asked for: {given}"
            return made, stop.value
        assert isinstance(op, Op)
        made.append(op)
        reply = None
        if isinstance(op, ReadChain):
            nodes = tuple(given.pop(0))
            reply = Chain(nodes, tuple(range(len(nodes))), len(nodes))
        elif isinstance(op, REPLIED):
            reply = given.pop(0)


def made_of(kind: type, made: list[Op[Any]]) -> list[Op[Any]]:
    return [op for op in made if isinstance(op, kind)]


# ── eviction (SPEC c.4; nf_nat_used_tuple_harder, 6.12.117) ─────────────────────────────────────


def harder(found: list[Node], *more: Any, ct: Conn = SYN) -> tuple[list[Op[Any]], bool]:
    """One probe near the end of a round."""
    made, used = play(nf_nat_used_tuple.nf_nat_used_tuple_harder(NEW, OUT, ct, 1), found, *more)
    return made, used


def test_an_evicted_entry_leaves_the_by_source_hash() -> None:
    """SPEC d: removal when the connection is freed, if SRC_NAT_DONE; SPEC c.4: nf_ct_kill frees it."""
    made, used = harder([Node(CLOSING, IP_CT_DIR_REPLY)], True)
    assert not used
    assert made[1:] == [HashDelete(CLOSING), BysourceDel(CLOSING)]


def test_an_entry_that_was_never_added_does_not_leave() -> None:
    """SPEC d: only if SRC_NAT_DONE."""
    entry = attrs.evolve(CLOSING, status=IPS_CONFIRMED | IPS_SRC_NAT)
    made, used = harder([Node(entry, IP_CT_DIR_REPLY)], True)
    assert not used
    assert made[1:] == [HashDelete(entry)]


def test_an_entry_that_another_cpu_evicted_first_counts_as_used() -> None:
    """SPEC c.4: `if nf_ct_kill(e) ... ; return True`; SPEC i, row 8: the DYING test is atomic."""
    made, used = harder([Node(CLOSING, IP_CT_DIR_REPLY)], False)
    assert used
    assert made[1:] == [HashDelete(CLOSING)]


def test_a_dying_entry_is_not_even_tried() -> None:
    """SPEC c.4: FIXED_TIMEOUT or DYING refuses before the kill."""
    entry = attrs.evolve(CLOSING, status=CLOSING.status | IPS_DYING)
    made, used = harder([Node(entry, IP_CT_DIR_REPLY)])
    assert used
    assert not made_of(HashDelete, made)


def test_the_own_entry_met_by_its_original_key_is_no_warning() -> None:
    """SPEC c.4: the ORIGINAL direction is tested before `e is ct`."""
    own = attrs.evolve(SYN, orig=nf_ct_invert_tuple(OUT), status=IPS_CONFIRMED)
    made, used = harder([Node(own, IP_CT_DIR_ORIGINAL)], ct=own)
    assert used
    assert not made_of(Warn, made)


def test_the_own_entry_met_by_its_reply_key_is_a_warning() -> None:
    """SPEC c.4: `e is ct` warns, and the tuple counts as used."""
    own = attrs.evolve(CLOSING, id=SYN.id, orig=SYN.orig)
    made, used = harder([Node(own, IP_CT_DIR_REPLY)])
    assert used
    assert made_of(Warn, made)
    assert not made_of(HashDelete, made)


def test_another_entry_of_the_same_flow_is_not_the_own_one() -> None:
    """SPEC c.4: `e is ct` compares connections, not tuples: one flow may have entries in two zones."""
    twin = attrs.evolve(CLOSING, orig=SYN.orig)
    made, used = harder([Node(twin, IP_CT_DIR_REPLY)], True)
    assert not used
    assert not made_of(Warn, made)
    assert made_of(HashDelete, made) == [HashDelete(twin)]


def test_only_tcp_evicts() -> None:
    """SPEC c.4: proto != TCP asks tuple_taken, whatever the protocol's part of the union holds."""
    udp = POD.__class__(AF_INET, IPPROTO_UDP, 10, 1000, 20, 80)
    ct = attrs.evolve(SYN, orig=udp, reply=nf_ct_invert_tuple(udp))
    t = CtTuple(AF_INET, IPPROTO_UDP, 30, 4000, 20, 80)
    entry = attrs.evolve(CLOSING, reply=nf_ct_invert_tuple(t))
    call = nf_nat_used_tuple.nf_nat_used_tuple_harder(NEW, t, ct, 1)
    made, used = play(call, [Node(entry, IP_CT_DIR_REPLY)])
    assert used
    assert made_of(Count, made) == [Count("found")]


# ── a clash with our own reverse (SPEC c.3; nf_nat_used_tuple_new) ──────────────────────────────


@pytest.mark.parametrize(
    ("kernel", "used"), [("6.6.63", True), ("6.17.0", True), ("6.19.9", False)]
)
def test_until_6_19_a_reverse_clash_must_be_found_as_a_reply(kernel: str, used: bool) -> None:
    """Only a datagram to its own sender has a reverse that its own tuple finds as ORIGINAL."""
    t = CtTuple(AF_INET, IPPROTO_UDP, 10, 53, 10, 53)
    ct = Conn(7, t, t)
    h = Node(Conn(1000, t, t, IPS_CONFIRMED), IP_CT_DIR_ORIGINAL)

    @path
    async def taken(_: Release, key: CtTuple, ignored: Conn) -> bool:
        return True

    @path
    async def found(_: Release, key: CtTuple, zone: Zone, net: int) -> Node | None:
        return h

    k = attrs.evolve(RELEASES[kernel], tuple_taken=taken, find_get=found)
    made, answer = play(k.used_tuple_new(k, t, ct))
    assert made == []
    assert answer is used


# ── reaping (SPEC e; nf_ct_gc_expired, 4.9 and later) ───────────────────────────────────────────


EXPIRED = attrs.evolve(CLOSING, timeout=0)


@pytest.mark.parametrize("k", [OLD, NEW], ids=str)
def test_a_look_up_reaps_an_expired_entry_and_its_by_source_node(k: Release) -> None:
    call = k.tuple_taken(k, EXPIRED.reply, SYN)
    made, used = play(call, [Node(EXPIRED, IP_CT_DIR_REPLY)], True)
    assert not used
    assert made[1:] == [HashDelete(EXPIRED), BysourceDel(EXPIRED)]


@pytest.mark.parametrize("k", [OLD, NEW], ids=str)
@pytest.mark.parametrize(
    "entry",
    [
        attrs.evolve(EXPIRED, refcount=0),
        attrs.evolve(EXPIRED, status=EXPIRED.status | IPS_DYING),
        attrs.evolve(EXPIRED, status=EXPIRED.status & ~IPS_CONFIRMED),
    ],
)
def test_an_entry_that_is_being_freed_or_is_dying_is_not_reaped_again(
    k: Release, entry: Conn
) -> None:
    made, used = play(k.tuple_taken(k, entry.reply, SYN), [Node(entry, IP_CT_DIR_REPLY)])
    assert not used
    assert not made_of(HashDelete, made)


@pytest.mark.parametrize("k", [OLD, NEW], ids=str)
def test_who_loses_the_reaping_leaves_the_by_source_node_to_the_winner(k: Release) -> None:
    call = k.tuple_taken(k, EXPIRED.reply, SYN)
    made, _ = play(call, [Node(EXPIRED, IP_CT_DIR_REPLY)], False)
    assert not made_of(BysourceDel, made)


@pytest.mark.parametrize("k", [OLD, NEW], ids=str)
def test_a_reaped_entry_that_was_never_added_does_not_leave(k: Release) -> None:
    entry = attrs.evolve(EXPIRED, status=IPS_CONFIRMED)
    made, _ = play(k.tuple_taken(k, entry.reply, SYN), [Node(entry, IP_CT_DIR_REPLY)], True)
    assert not made_of(BysourceDel, made)


# ── the ORIGINAL look-up (SPEC e, last paragraph; SPEC f.2 for key_equal) ───────────────────────


def find(k: Release, nodes: list[Node], *more: Any, zone: Zone | None = None) -> Any:
    return play(k.find_get(k, CLOSING.reply, zone or Zone(), 0), nodes, *more)


@pytest.mark.parametrize("k", [OLD, NEW], ids=str)
def test_find_gives_the_first_entry_with_the_key(k: Release) -> None:
    first, second = (Node(attrs.evolve(CLOSING, id=n), IP_CT_DIR_REPLY) for n in (1, 2))
    assert find(k, [first, second])[1] == first


def test_a_dying_entry_is_skipped_up_to_5_2_and_found_later() -> None:
    """SPEC e: 4.9 .. 5.2 DYING entries are skipped; 5.3+ not."""
    dying = Node(attrs.evolve(CLOSING, status=CLOSING.status | IPS_DYING), IP_CT_DIR_REPLY)
    live = Node(CLOSING, IP_CT_DIR_REPLY)
    assert find(OLD, [dying])[1] is None
    assert find(OLD, [dying, live])[1] == live
    assert find(NEW, [dying])[1] == dying


@pytest.mark.parametrize("k", [OLD, NEW], ids=str)
def test_an_entry_without_references_is_not_found(k: Release) -> None:
    """SPEC e: the refcount decides."""
    freed = Node(attrs.evolve(CLOSING, refcount=0), IP_CT_DIR_REPLY)
    assert find(k, [freed])[1] is None


@pytest.mark.parametrize("k", [OLD, NEW], ids=str)
def test_find_reaps_as_tuple_taken_does(k: Release) -> None:
    made, found = find(k, [Node(EXPIRED, IP_CT_DIR_REPLY)], True)
    assert found is None
    assert made[1:] == [HashDelete(EXPIRED), BysourceDel(EXPIRED)]


@pytest.mark.parametrize("k", [OLD, NEW], ids=str)
@pytest.mark.parametrize(
    "other",
    [
        attrs.evolve(CLOSING, status=CLOSING.status & ~IPS_CONFIRMED),
        attrs.evolve(CLOSING, net=1),
        attrs.evolve(CLOSING, zone=Zone(5)),
        attrs.evolve(CLOSING, reply=CLOSING.reply.with_dport(1)),
    ],
    ids=["unconfirmed", "namespace", "zone", "tuple"],
)
def test_another_key_is_not_found(k: Release, other: Conn) -> None:
    assert find(k, [Node(other, IP_CT_DIR_REPLY)])[1] is None


def test_a_zone_with_a_direction_is_looked_up_under_both_ids() -> None:
    """SPEC h.1: 5.15 and later hash the zone id of the direction; nf_conntrack_find_get tries both."""
    zone = Zone(5, 1 << IP_CT_DIR_ORIGINAL)
    entry = Node(attrs.evolve(CLOSING, zone=Zone(5, 1)), IP_CT_DIR_REPLY)
    made, found = play(NEW.find_get(NEW, CLOSING.reply, zone, 0), [], [entry])
    assert [op.zone_id for op in made_of(ReadChain, made) if isinstance(op, ReadChain)] == [5, 0]
    assert found == entry
    made, found = play(NEW.find_get(NEW, CLOSING.reply, zone, 0), [entry])
    assert len(made) == 1
    made, found = play(NEW.find_get(NEW, CLOSING.reply, Zone(5), 0), [])
    assert len(made) == 1
    assert found is None


# ── a packet's life (SPEC 0, d, f.3, i) ─────────────────────────────────────────────────────────


def life(k: Release, p: Packet, *replies: Any) -> tuple[list[Op[Any]], Any]:
    return play(packet.nf_conntrack_in(k, p), *replies)


@pytest.mark.parametrize("k", [OLD, NEW], ids=str)
def test_a_packet_of_a_known_connection_belongs_to_it(k: Release) -> None:
    """SPEC 0: if ORIGINAL is found nothing is allocated, chosen or inserted."""
    known = attrs.evolve(CLOSING, orig=POD)
    made, fate = life(k, Packet(0, POD), [Node(known, IP_CT_DIR_ORIGINAL)])
    assert len(made) == 1
    assert (fate.verdict, fate.cause, fate.ct) == (NF_ACCEPT, "established", known)


@pytest.mark.parametrize("k", [OLD, NEW], ids=str)
def test_no_rule_is_two_null_bindings_that_change_nothing(k: Release) -> None:
    """SPEC d: MAP_IPS to the address it has; tuple free: nothing changes; DONE bits are set."""
    limit = [0] if k is NEW else []
    made, fate = life(k, Packet(3, POD), [], [], [], *limit, [], [])
    added = [op for op in made if isinstance(op, BysourceAdd)]
    assert [op.ct.reply for op in added] == [nf_ct_invert_tuple(POD)]
    assert fate.ct.status == IPS_CONFIRMED | IPS_SRC_NAT_DONE | 0x100
    assert (fate.ct.orig, fate.ct.reply) == (POD, nf_ct_invert_tuple(POD))
    assert [op.direction for op in made if isinstance(op, HashInsert)] == [0, 1]
    assert (fate.ct.tcp_state, fate.ct.td_end) == (TCP_CONNTRACK_SYN_SENT, 1)


def test_only_tcp_has_a_tcp_state() -> None:
    udp = CtTuple(AF_INET, IPPROTO_UDP, 10, 1000, 20, 80)
    ct = packet.init_conntrack(Packet(0, udp, td_end=9))
    assert (ct.tcp_state, ct.td_end) == (0, 0)


@pytest.mark.parametrize(
    ("done", "leaves"),
    [
        (Confirmed(NF_DROP, attrs.evolve(SYN, status=IPS_SRC_NAT_DONE), 7, False, "clash"), True),
        (Confirmed(NF_DROP, attrs.evolve(SYN, status=IPS_SRC_NAT), 7, False, "clash"), False),
        (Confirmed(NF_ACCEPT, attrs.evolve(SYN, status=IPS_SRC_NAT_DONE), 9, True, "merged"), True),
        (Confirmed(NF_ACCEPT, attrs.evolve(SYN, status=IPS_SRC_NAT_DONE), 7, False, "in"), False),
    ],
)
def test_a_connection_that_is_freed_leaves_the_by_source_hash(
    done: Confirmed, leaves: bool
) -> None:
    """SPEC d and f.3: a drop, and a merge, free it; only if SRC_NAT_DONE."""
    made, fate = play(packet.finish(NEW, Packet(7, POD), done))
    assert made == ([BysourceDel(done.ct)] if leaves else [])
    assert fate.verdict == done.verdict
    assert (fate.ct is None) == (done.verdict == NF_DROP or done.freed)


def test_a_cpu_takes_its_packets_in_order() -> None:
    """SPEC i: rows 5-12 of one packet are complete before rows 5-12 of the next on that CPU."""
    known = [attrs.evolve(CLOSING, orig=POD.with_sport(n)) for n in (1, 2)]
    todo = tuple(Packet(n, ct.orig) for n, ct in enumerate(known))
    found = [[Node(ct, IP_CT_DIR_ORIGINAL)] for ct in known]
    made, fates = play(packet.packets(NEW, todo, ()), *found)
    assert [op.t for op in made if isinstance(op, ReadChain)] == [p.t for p in todo]
    assert [fate.packet for fate in fates] == [0, 1]


def test_a_confirmed_connection_is_not_set_up_again() -> None:
    """SPEC d: CONFIRMED => ACCEPT (4.12 and later)."""
    made, ct = play(
        packet.nf_nat_setup_info(NEW, CLOSING, packet.null_binding(CLOSING, _SRC), _SRC)
    )
    assert made == []
    assert ct == CLOSING


_SRC = Manip.SRC


def test_key_equal_looks_at_the_zone_of_its_own_direction() -> None:
    """SPEC f.2: same zone for h's direction."""
    zone = Zone(5, 1 << IP_CT_DIR_ORIGINAL)
    ct = attrs.evolve(CLOSING, zone=zone)
    equal = nf_conntrack_find.nf_ct_key_equal
    assert equal(Node(ct, IP_CT_DIR_ORIGINAL), ct.orig, Zone(5), 0)
    assert not equal(Node(ct, IP_CT_DIR_REPLY), ct.reply, Zone(5), 0)
    assert equal(Node(ct, IP_CT_DIR_REPLY), ct.reply, Zone(0), 0)


# ── confirm (SPEC f) ────────────────────────────────────────────────────────────────────────────


def test_every_way_out_of_the_locked_section_unlocks() -> None:
    """SPEC f.1, f.3 (4.19.66): confirmed already, DYING, a clash, and the end of the insertion."""
    confirmed = attrs.evolve(SYN, status=IPS_CONFIRMED)
    dying = attrs.evolve(SYN, status=IPS_DYING)
    clash = Node(attrs.evolve(CLOSING, orig=POD), IP_CT_DIR_ORIGINAL)
    for ct, chains in ((confirmed, []), (dying, []), (SYN, [[clash]]), (SYN, [[], []])):
        made, done = play(OLD.confirm(OLD, ct, IP_CT_DIR_ORIGINAL), *chains)
        held = [op for op in made if isinstance(op, LockBuckets | UnlockBuckets)]
        assert held == [LockBuckets(ct), UnlockBuckets(held[1].ct)]
        assert held[1].ct.id == ct.id
        assert done.verdict == (NF_ACCEPT if len(chains) == 2 else NF_DROP)


@pytest.mark.parametrize("k", [OLD, NEW], ids=str)
def test_a_confirm_that_finds_its_own_bits_counts_as_the_release_does(k: Release) -> None:
    """SPEC f.2, f.3: CONFIRMED warns and drops without a counter; DYING counts insert_failed."""
    made, done = play(k.confirm(k, attrs.evolve(SYN, status=IPS_CONFIRMED), IP_CT_DIR_ORIGINAL))
    assert (made_of(Count, made), made_of(Warn, made)) == ([], [Warn("1")])
    assert done.verdict == NF_DROP
    made, done = play(k.confirm(k, attrs.evolve(SYN, status=IPS_DYING), IP_CT_DIR_ORIGINAL))
    assert (made_of(Count, made), made_of(Warn, made)) == ([Count("insert_failed")], [])
    assert done.verdict == NF_DROP


def test_the_same_connection_means_both_tuples_both_zones_and_the_namespace() -> None:
    """SPEC f.4: match(e, loser), and match_reverse with the zone ids swapped."""
    one, two = Zone(5, 1), Zone(5, 2)
    a = attrs.evolve(SYN, zone=Zone(5))
    match = nf_conntrack_confirm.nf_ct_match
    assert match(a, a)
    for b in (
        attrs.evolve(a, orig=POD.with_sport(1)),
        attrs.evolve(a, reply=POD.with_sport(1)),
        attrs.evolve(a, zone=one),
        attrs.evolve(a, zone=two),
        attrs.evolve(a, net=1),
    ):
        assert not match(a, b)
    reverse = nf_conntrack_confirm.nf_ct_match_reverse
    turned = attrs.evolve(a, orig=a.reply, reply=a.orig)
    assert reverse(a, turned)
    assert reverse(attrs.evolve(a, zone=one), attrs.evolve(turned, zone=two))
    for b in (
        attrs.evolve(turned, orig=POD.with_sport(1)),
        attrs.evolve(turned, reply=POD.with_sport(1)),
        attrs.evolve(turned, zone=one),
        attrs.evolve(turned, zone=two),
        attrs.evolve(turned, net=1),
    ):
        assert not reverse(a, b)


# ── who counts as another entry (SPEC e) ────────────────────────────────────────────────────────


@pytest.mark.parametrize("k", [OLD, NEW], ids=str)
def test_the_own_entry_is_passed_over_before_anything_is_asked_of_it(k: Release) -> None:
    """SPEC e: `e != self`; so a look-up does not even reap it."""
    own = attrs.evolve(EXPIRED, id=SYN.id)
    made, used = play(k.tuple_taken(k, own.reply, SYN), [Node(own, IP_CT_DIR_REPLY)])
    assert not used
    assert len(made) == 1


# ── by source, in range (SPEC a.1, a.2) ─────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "stranger",
    [
        attrs.evolve(POD, l3num=10),
        attrs.evolve(POD, src=11),
        attrs.evolve(POD, sport=1001),
        attrs.evolve(POD, protonum=IPPROTO_UDP),
    ],
    ids=["family", "address", "port", "protocol"],
)
def test_a_chain_may_hold_other_sources(stranger: CtTuple) -> None:
    """SPEC a.2: same_src is asked of every connection in the bucket; buckets are shared."""
    outside = nf_ct_invert_tuple(OUT)
    mine = attrs.evolve(CLOSING, orig=POD.with_dst(21), reply=outside)
    other = attrs.evolve(CLOSING, orig=stranger, reply=outside)
    r = NatRange(NF_NAT_RANGE_MAP_IPS, OUT.src, OUT.src)
    call = get_unique_tuple.find_appropriate_src(NEW, POD, r, Zone(), 0)
    assert play(call, (other,))[1] is None
    assert play(call, (other, mine))[1] == POD.with_src(OUT.src).with_sport(OUT.sport)


def test_a_protocol_without_keys_fits_every_range() -> None:
    """SPEC a.1: l4_in_range, any other protocol: always true."""
    r = NatRange(NF_NAT_RANGE_PROTO_SPECIFIED, min_proto=1000, max_proto=2000)
    in_range = get_unique_tuple.l4proto_in_range
    assert in_range(NEW, CtTuple(AF_INET, 99, 1, 0, 2, 0), Manip.SRC, r)
    assert not in_range(NEW, CtTuple(AF_INET, IPPROTO_TCP, 1, 999, 2, 1500), Manip.SRC, r)


# ── windows of ids and keys (SPEC b.4) ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("k", [OLD, NEW], ids=str)
def test_gre_keys_are_1_to_65535(k: Release) -> None:
    """SPEC b.4: window (1, 65535); offset 65,535 is the first key again."""
    t = CtTuple(AF_INET, IPPROTO_GRE, 1, 7, 2, 8)
    ct = Conn(7, t, nf_ct_invert_tuple(t), has_master=True)
    found = play(k.l4proto_unique_tuple(k, t, NatRange(), Manip.SRC, ct), 65535, [])[1]
    assert found == t.with_sport(1)


def test_icmp_ids_are_all_65536_from_5_1_on_and_65535_before() -> None:
    """SPEC b.4: <= 4.20 size 0xFFFF; 5.1+ window (0, 65536)."""
    t = CtTuple(AF_INET, IPPROTO_ICMP, 1, 7, 2, 8 * 256)
    ct = Conn(7, t, nf_ct_invert_tuple(t))
    new = play(NEW.l4proto_unique_tuple(NEW, t, NatRange(), Manip.SRC, ct), 65535, [])[1]
    old = play(OLD.l4proto_unique_tuple(OLD, t, NatRange(), Manip.SRC, ct), 65535, [])[1]
    assert (new.sport, old.sport) == (65535, 0)


def test_the_last_id_of_a_range_is_taken_without_a_look() -> None:
    """SPEC b.4: 3.4+ return the last one unprobed; the static is advanced past each used id."""
    t = CtTuple(AF_INET, IPPROTO_ICMP, 1, 7, 2, 8 * 256)
    ct = Conn(7, t, nf_ct_invert_tuple(t))
    r = NatRange(NF_NAT_RANGE_PROTO_SPECIFIED, min_proto=5, max_proto=6)
    entry = Conn(8, t.with_src(9), nf_ct_invert_tuple(t.with_sport(5)), IPS_CONFIRMED | IPS_SRC_NAT)
    call = OLD.l4proto_unique_tuple(OLD, t, r, Manip.SRC, ct)
    made, found = play(call, 0, [Node(entry, IP_CT_DIR_REPLY)], 1)
    assert found == t.with_sport(6)
    assert len(made_of(ReadChain, made)) == 1
