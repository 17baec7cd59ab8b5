# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of kernels, each as a property that fails, with its smallest example, on just the rows it is in.

docs/findings.md tells of them; the rows that it names under a finding are held against all rows here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from natmodel.boot import hashing
from natmodel.draws import every_walk
from natmodel.odds import odds_of
from natmodel.ops import RhltableLookup, path
from natmodel.paths.nf_hooks import resolve_normal_ct
from natmodel.paths.packet import packets
from natmodel.release import Fate, Packet, Release, Skb, absent
from natmodel.releases import RELEASES
from natmodel.run import Ran, follow
from natmodel.scenario import Scenario
from natmodel.values import (
    AF_INET,
    IPPROTO_DCCP,
    IPPROTO_ICMP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPPROTO_UDPLITE,
    IPS_CONFIRMED,
    IPS_DST_NAT_DONE,
    IPS_DYING,
    IPS_OFFLOAD,
    IPS_SEEN_REPLY,
    IPS_SRC_NAT,
    IPS_SRC_NAT_DONE,
    NF_ACCEPT,
    NF_DROP,
    NF_NAT_RANGE_MAP_IPS,
    NF_NAT_RANGE_PROTO_RANDOM,
    NF_NAT_RANGE_PROTO_RANDOM_FULLY,
    NF_NAT_RANGE_PROTO_SPECIFIED,
    TCP_CONNTRACK_SYN_SENT2,
    TCP_CONNTRACK_TIME_WAIT,
    Conn,
    CtTuple,
    Manip,
    NatRange,
    Zone,
    nf_ct_invert_tuple,
)
from natmodel.verdict import Quantifier, check
from natmodel.world import Background, Draw, Entry, World

PAGE: Final = Path(__file__).parent.parent / "docs" / "findings.md"
DONE: Final = IPS_SRC_NAT_DONE | IPS_DST_NAT_DONE
TCP: Final = CtTuple(AF_INET, IPPROTO_TCP, 10, 1000, 20, 80)
UDP: Final = attrs.evolve(TCP, protonum=IPPROTO_UDP)
PING: Final = CtTuple(AF_INET, IPPROTO_ICMP, 10, 77, 20, 8 * 256)
MASQUERADE: Final = NatRange(NF_NAT_RANGE_MAP_IPS, 30, 30)


def ports(first: int, last: int, flags: int = 0) -> NatRange:
    return attrs.evolve(
        MASQUERADE,
        flags=MASQUERADE.flags | NF_NAT_RANGE_PROTO_SPECIFIED | flags,
        min_proto=first,
        max_proto=last,
    )


def world_of(k: Release, *cts: Conn) -> World:
    return World(Background([Entry(ct) for ct in cts], hashing(k)))


def entry(orig: CtTuple, leaves_as: CtTuple, number: int = 1000, **more: Any) -> Conn:
    """An entry that SNAT has translated."""
    status = more.pop("status", 0) | IPS_CONFIRMED | DONE | IPS_SRC_NAT
    return Conn(number, orig, nf_ct_invert_tuple(leaves_as), status, **more)


def sent(k: Release, world: World, *todo: Packet, draw: int = 0) -> Ran:
    """The packets, one after the other; every random number is `draw`."""
    return follow(packets(k, todo, ()), world, lambda _: draw)


def fates(ran: Ran) -> tuple[Fate, ...]:
    made: tuple[Fate, ...] = ran.result
    return made


def verdicts(ran: Ran) -> list[int]:
    return [fate.verdict for fate in fates(ran)]


# ── each says whether a row has the fault ───────────────────────────────────────────────────────


def random_flag(k: Release) -> int:
    """The flag under which a search starts at a random offset, or at a hash."""
    fully = k.range_flags & NF_NAT_RANGE_PROTO_RANDOM_FULLY
    return NF_NAT_RANGE_PROTO_RANDOM_FULLY if fully else NF_NAT_RANGE_PROTO_RANDOM


def low_ports_are_drawn_twice_as_often(k: Release) -> bool:
    """Of 65,536 starts, each of the ports 1024 to 2047 has two, and every other port one."""
    r = attrs.evolve(MASQUERADE, flags=MASQUERADE.flags | random_flag(k))
    packet = Packet(0, TCP.with_sport(5000), src=r)
    found = [sent(k, world_of(k), packet, draw=n) for n in (0, 64512, 1024)]
    chosen = [fate.ct.reply.dport for ran in found for fate in fates(ran) if fate.ct is not None]
    return chosen == [1024, 1024, 2048]


def test_two_starts_name_one_low_port_more_often() -> None:
    odds = dict(every_walk(64512, 1))
    assert odds[0] == 2 * odds[1024]
    assert sum(p * p for p in odds.values()) == Fraction(67584, 2**32)


def a_walk_misses_a_free_port(k: Release) -> bool:
    """Three ports, of which the second is free; a start two before the u16 wraps."""
    taken = [entry(TCP.with_src(n), TCP.with_src(30).with_sport(p)) for n, p in ((11, 1), (12, 3))]
    packet = Packet(0, TCP, src=ports(1, 3, random_flag(k)))
    ran = sent(k, world_of(k, *taken), packet, draw=65534)
    return verdicts(ran) == [NF_DROP]


def two_random_walks_are_one(k: Release) -> bool:
    """Two SYNs that choose at the same time under `random` clash more often than once in a thousand.

    Where they always do, it is another finding: they start at one hash.
    """
    packets = [f"tcp 172.16.1.{n}:32769 > 198.51.100.7:80" for n in (8, 9)]
    s = Scenario.from_arguments(k.name, ("masquerade random",), packets)
    overlap = odds_of(s).overlap
    return overlap is not None and Fraction(1, 1000) < 1 - overlap[0] < 1


def a_reversed_range_divides_by_zero(k: Release) -> bool:
    """The last port is one below the first."""
    try:
        ran = sent(k, world_of(k), Packet(0, TCP, src=ports(4001, 4000)))
    except ZeroDivisionError:
        return True
    assert verdicts(ran) == [NF_ACCEPT]
    return False


def a_resolved_clash_counts_as_a_failed_insertion(k: Release) -> bool:
    """Two datagrams of one socket, no NAT: the second is merged, and nothing is lost."""
    ct = Conn(7, UDP, nf_ct_invert_tuple(UDP))
    winner = attrs.evolve(ct, id=1000, status=IPS_CONFIRMED)
    ran = follow(k.confirm(k, ct, 0), world_of(k, winner), lambda _: 0)
    return bool(ran.result.verdict == NF_ACCEPT and "insert_failed" in ran.counted)


def pings_share_one_id(k: Release) -> bool:
    """Three hosts ping with one id.  The first keeps it, the second gets id 0, the third as well."""
    hosts = [Packet(n, PING.with_src(10 + n), src=MASQUERADE) for n in range(3)]
    ids = iter((5, 9))
    ran = follow(packets(k, tuple(hosts), ()), world_of(k), lambda op: next(ids, 1))
    return verdicts(ran) != [NF_ACCEPT] * 3


def a_datagram_keeps_a_port_that_is_taken(k: Release) -> bool:
    """A pod is masqueraded to the router's port 4321; then the router itself sends from that port.

    Nothing races.  The clashing key is in the table, the tuple that is looked for is not.
    """
    out = UDP.with_src(30).with_sport(4321)
    lent = entry(UDP, out)
    return verdicts(sent(k, world_of(k, lent), Packet(0, out), draw=5)) == [NF_DROP]


def a_forced_remap_can_give_the_port_back(k: Release) -> bool:
    """A well-known port is to be changed, and nothing keeps the draw from being that very port."""
    shadow = attrs.evolve(UDP, sport=1405, dport=41404)
    (fate,) = fates(sent(k, world_of(k), Packet(0, shadow, src=MASQUERADE), draw=1405 - 1024))
    (other,) = fates(sent(k, world_of(k), Packet(0, shadow, src=MASQUERADE), draw=7))
    assert fate.ct is not None
    assert other.ct is not None
    return fate.ct.reply.dport == 1405 != other.ct.reply.dport


def a_mapping_is_reused_by_chance_only(k: Release) -> bool:
    """One socket to two servers, through two ports: are both given the same one?  It is drawn."""
    asked: list[object] = []

    def draw(op: object) -> int:
        asked.append(type(op))
        return 0

    pair = (
        Packet(0, TCP, src=ports(4000, 4001)),
        Packet(1, TCP.with_dst(21), src=ports(4000, 4001)),
    )
    ran = follow(packets(k, pair, ()), world_of(k), draw)
    assert verdicts(ran) == [NF_ACCEPT] * 2
    return RhltableLookup in asked


def an_opening_connection_is_evicted(k: Release) -> bool:
    """Simultaneous open leaves SYN_SENT2, which is above TIME_WAIT in the enumeration."""
    out = TCP.with_src(30).with_sport(4000)
    opening = entry(TCP.with_src(11), out, tcp_state=TCP_CONNTRACK_SYN_SENT2, td_end=1)
    ran = sent(k, world_of(k, opening), Packet(0, TCP, src=ports(4000, 4000), td_end=2))
    return verdicts(ran) == [NF_ACCEPT]


def an_offloaded_entry_is_evicted_for_nothing(k: Release) -> bool:
    """It is deleted, and its port is not used all the same."""
    out = TCP.with_src(30).with_sport(4000)
    closing = entry(
        TCP.with_src(11),
        out,
        status=IPS_OFFLOAD,
        tcp_state=TCP_CONNTRACK_TIME_WAIT,
        td_end=1,
    )
    ran = sent(k, world_of(k, closing), Packet(0, TCP, src=ports(4000, 4001), td_end=2))
    (fate,) = fates(ran)
    assert fate.ct is not None
    return closing.id in ran.world.gone and fate.ct.reply.dport == 4001


def the_same_tuple_in_another_zone_is_given_its_port(k: Release) -> bool:
    """Two tenants with one address, each in a zone of the ORIGINAL direction, one after the other."""
    if k.zones != "directed":
        return False
    tenants = [
        Packet(n, UDP.with_sport(5000), src=MASQUERADE, zone=Zone(n + 1, 1)) for n in range(2)
    ]
    return verdicts(sent(k, world_of(k), *tenants, draw=7)) == [NF_ACCEPT, NF_DROP]


def only_one_answer_comes_back(k: Release) -> bool:
    """One socket's two datagrams, sent to two servers: who may have the second entry's answers?"""
    if k.resolve_clash is absent:
        return False
    first, other = (entry(UDP, UDP.with_dst(server), server) for server in (21, 22))
    clash = attrs.evolve(other, status=other.status & ~IPS_CONFIRMED)
    world = follow(k.confirm(k, clash, 0), world_of(k, first), lambda _: 0).world
    answered = []
    for _ in range(2):
        ran = follow(resolve_normal_ct(k, Skb(9, other.reply)), world, lambda _: 0)
        answered.append(not ran.result.is_new)
        world = ran.world
    return answered == [True, False]


def test_an_answer_to_a_reply_only_entry_keeps_what_the_entry_was() -> None:
    """SPEC f: it sets SEEN_REPLY, and no bit is lost (nf_conntrack_udp_refresh_unreplied)."""
    k = RELEASES["5.8.1"]
    first, other = (entry(UDP, UDP.with_dst(server), server) for server in (21, 22))
    clash = attrs.evolve(other, status=other.status & ~IPS_CONFIRMED)
    world = follow(k.confirm(k, clash, 0), world_of(k, first), lambda _: 0).world
    ct = follow(resolve_normal_ct(k, Skb(9, other.reply)), world, lambda _: 0).result.ct
    assert ct.status & DONE == DONE
    assert ct.status & IPS_SEEN_REPLY


def a_reverse_clash_after_an_answer_changes_the_port(k: Release) -> bool:
    """An entry that has seen its answer, and the other side begins anew from the same two ports."""
    theirs = nf_ct_invert_tuple(UDP)
    seen = Conn(1000, UDP, theirs, IPS_CONFIRMED | DONE | IPS_SEEN_REPLY)
    ct = Conn(7, theirs, UDP, IPS_DST_NAT_DONE)
    r = NatRange(NF_NAT_RANGE_MAP_IPS, theirs.src, theirs.src)
    call = k.get_unique_tuple(k, theirs, r, ct, Manip.SRC)
    changed = follow(call, world_of(k, seen), lambda _: 5).result != theirs
    fresh = attrs.evolve(seen, status=seen.status & ~IPS_SEEN_REPLY)
    lets_pass = follow(call, world_of(k, fresh), lambda _: 5).result == theirs
    return bool(changed and lets_pass)


def a_reverse_clash_is_let_pass_and_then_dropped(k: Release) -> bool:
    """The null binding keeps the port, and confirm cannot merge what it let pass."""
    theirs = nf_ct_invert_tuple(UDP)
    ours = Conn(1000, UDP, theirs, IPS_CONFIRMED | DONE)
    ct = Conn(7, theirs, UDP, IPS_DST_NAT_DONE)
    r = NatRange(NF_NAT_RANGE_MAP_IPS, theirs.src, theirs.src)
    call = k.get_unique_tuple(k, theirs, r, ct, Manip.SRC)
    kept = follow(call, world_of(k, ours), lambda _: 5).result == theirs
    new = attrs.evolve(ct, status=DONE)
    ran = follow(k.confirm(k, new, 0), world_of(k, ours), lambda _: 0)
    return bool(kept and ran.result.verdict == NF_DROP)


def an_expired_entry_drops_a_packet(k: Release) -> bool:
    """A range of one port, which the packet has already, is taken without a look.

    The entry there has expired, nobody has met it yet, and confirm does not ask for expiry.
    """
    if k.timer_per_entry:
        return False
    gone = entry(TCP.with_src(11), TCP.with_src(30), timeout=0)
    return verdicts(sent(k, world_of(k, gone), Packet(0, TCP, src=ports(1000, 1000)))) == [NF_DROP]


def a_port_that_fits_already_evicts_nobody(k: Release) -> bool:
    """A closing connection gives way to every source port but the one that is in the range."""
    out = TCP.with_src(30)
    closing = entry(TCP.with_src(11), out, tcp_state=TCP_CONNTRACK_TIME_WAIT, td_end=1)
    world = world_of(k, closing)
    other = Packet(0, TCP.with_sport(2000), src=ports(1000, 1000), td_end=2)
    same = Packet(0, TCP, src=ports(1000, 1000), td_end=2)
    if verdicts(sent(k, world, other)) == [NF_DROP]:
        return False
    return verdicts(sent(k, world, same)) == [NF_DROP]


def a_dying_entry_drops_its_own_packet(k: Release) -> bool:
    """The entry is going; a packet of its own tuple does not find it, and clashes with it."""
    dying = entry(TCP, TCP.with_src(30), status=IPS_DYING)
    ran = sent(k, world_of(k, dying), Packet(0, TCP, src=MASQUERADE), draw=7)
    return verdicts(ran) == [NF_DROP]


def random_makes_every_overlap_a_drop(k: Release) -> bool:
    """Two pods with different ports: under RANDOM both start at one hash, by default they never meet."""
    s = Scenario(
        kernel=k.name,
        nat=["masquerade random"],
        packets=[f"tcp 172.16.1.{n}:{n + 2000} > 198.51.100.7:80" for n in (8, 9)],
    )
    plain = attrs.evolve(s, nat=["masquerade"])
    assert check(plain).quantifier is Quantifier.NEVER
    witness = check(s).witness
    assert witness is not None
    draws = [step.draws for step in witness.steps if step.draws]
    return len(draws) == 1


def hosts_without_keys_cannot_share_an_address(k: Release) -> bool:
    """A protocol that has lost its tracker has no keys; the second host to one server is dropped."""
    lost = {IPPROTO_DCCP, IPPROTO_UDPLITE} - k.trackers
    hit = set()
    for protonum in lost:
        t = CtTuple(AF_INET, protonum, 10, 0, 20, 0)
        hosts = [Packet(n, t.with_src(10 + n), src=MASQUERADE) for n in range(2)]
        if verdicts(sent(k, world_of(k), *hosts)) == [NF_ACCEPT, NF_DROP]:
            hit.add(protonum)
    assert hit == lost
    return bool(hit)


def the_loser_keeps_the_confirmed_bit(k: Release) -> bool:
    """CONFIRMED is set before the tests, and stays on a connection that is in no table."""
    winner = entry(TCP.with_src(11), TCP.with_src(30))
    loser = Conn(7, TCP, winner.reply, DONE)
    done = follow(k.confirm(k, loser, 0), world_of(k, winner), lambda _: 0).result
    assert done.verdict == NF_DROP
    return bool(done.ct.status & IPS_CONFIRMED)


def always(off: int) -> Callable[[Draw], int]:
    """Every draw gives this."""
    return lambda _: off


def one_ping_id_is_never_chosen(k: Release) -> bool:
    """Without a range the window is 0xFFFF ids wide: 65,535 is left out."""
    seen: list[int] = []

    @path
    async def free(_: Release, t: CtTuple, *__: Any) -> bool:
        seen.append(t.sport)
        return False

    row = attrs.evolve(k, used_tuple=free, used_tuple_harder=free)
    ct = Conn(7, PING, nf_ct_invert_tuple(PING))
    for off in (65534, 65535):
        world = world_of(k).with_hint(IPPROTO_ICMP, off)
        call = k.l4proto_unique_tuple(row, PING, NatRange(), Manip.SRC, ct)
        follow(call, world, always(off))
    return seen == [65534, 0]


FINDINGS: Final[tuple[Callable[[Release], bool], ...]] = (
    low_ports_are_drawn_twice_as_often,
    a_walk_misses_a_free_port,
    two_random_walks_are_one,
    a_reversed_range_divides_by_zero,
    a_resolved_clash_counts_as_a_failed_insertion,
    pings_share_one_id,
    one_ping_id_is_never_chosen,
    random_makes_every_overlap_a_drop,
    a_forced_remap_can_give_the_port_back,
    a_mapping_is_reused_by_chance_only,
    the_same_tuple_in_another_zone_is_given_its_port,
    only_one_answer_comes_back,
    a_reverse_clash_after_an_answer_changes_the_port,
    a_reverse_clash_is_let_pass_and_then_dropped,
    a_datagram_keeps_a_port_that_is_taken,
    an_opening_connection_is_evicted,
    an_offloaded_entry_is_evicted_for_nothing,
    a_port_that_fits_already_evicts_nobody,
    an_expired_entry_drops_a_packet,
    a_dying_entry_drops_its_own_packet,
    the_loser_keeps_the_confirmed_bit,
    hosts_without_keys_cannot_share_an_address,
)


# ── the page ────────────────────────────────────────────────────────────────────────────────────


def sections() -> dict[str, str]:
    """Heading -> text, of docs/findings.md."""
    parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {head: body for head, _, body in (part.partition("\n") for part in parts)}


def rows_named(text: str) -> set[str]:
    """The rows of a finding: names, `A to B` for a run of the table, or all."""
    (line,) = re.findall(r"^Rows: (.*?)\.$", text, flags=re.MULTILINE | re.DOTALL)
    names = list(RELEASES)
    found: set[str] = set()
    for item in " ".join(line.split()).split(", "):
        first, _, last = item.partition(" to ")
        if item == "all":
            found |= set(names)
        else:
            found |= set(names[names.index(first) : names.index(last or first) + 1])
    return found


def heading(finding: Callable[[Release], bool]) -> str:
    return finding.__name__.replace("_", " ")


def test_the_page_has_every_finding_and_no_other() -> None:
    assert list(sections()) == [heading(finding) for finding in FINDINGS]
    for text in sections().values():
        assert {"Cause: ", "Consequence: "} <= set(re.findall(r"^\w+: ", text, re.MULTILINE))


@pytest.mark.parametrize("finding", FINDINGS, ids=heading)
def test_a_finding_is_in_the_rows_that_the_page_names(finding: Callable[[Release], bool]) -> None:
    """The smallest example shows the fault on just these rows of all."""
    has_it = {name for name, k in RELEASES.items() if finding(k)}
    assert has_it == rows_named(sections()[heading(finding)])
