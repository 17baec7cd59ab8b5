# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own selftests about clashes, played on every row of the table.

Their names are those of tools/testing/selftests/net/netfilter.  What a kernel does is written down in
tables of rows, from the kernel's history (the commits are named) and not from the code under test; so
are the kernels on which its own test would fail, for a selftest is seldom run on older ones.

Scenarios with one packet at a time run on one CPU, with every value that a draw can have; the others run
in every schedule.  The model has no hooks that hold a packet: a packet that NFQUEUE holds is one whose
CPU is not scheduled.  That is all there is to it before 4.18 and from 6.12 on; in between, a packet that
comes back from the queue is looked up again, and natmodel.router plays that.

Left out as well is what no tuple is chosen for: rule counters, notrack, filters, sockets, early demux.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import attrs
import pytest

from natmodel.boot import Boot, hashing
from natmodel.errors import BadInput
from natmodel.nat_text import NatRule, PacketSpec
from natmodel.ops import Atomic, Call, RandomBelow, path
from natmodel.paths.nf_conntrack_find import no_zone
from natmodel.paths.nf_nat_used_tuple import nf_ct_kill
from natmodel.paths.packet import finish, init_conntrack, null_binding, packets
from natmodel.release import Fate, Packet, Release, Skb
from natmodel.releases import RELEASES
from natmodel.router import POST_ROUTING, PRE_ROUTING, Router, Rule, Ruleset, Topology
from natmodel.run import follow
from natmodel.scenario import Scenario
from natmodel.system import State, System
from natmodel.values import (
    DEFAULT_ZONE,
    IP_CT_DIR_ORIGINAL,
    NF_DROP,
    NF_NAT_RANGE_MAP_IPS,
    Conn,
    CtTuple,
    Manip,
    NatRange,
    nf_ct_invert_tuple,
)
from natmodel.verdict import check
from natmodel.world import Background, Draw, World
from tests.kernels import ROUNDS, ROVER, by_row, each_kernel

# ── what is told of an outcome ──────────────────────────────────────────────────────────────────

INSERTED, KNOWN, MERGED = "inserted", "established", "merged with the winner"
REPLY_ONLY, DROPPED = "inserted for replies only", "clash"
# the same, from another port than the sender's
MOVED, REPLY_ONLY_MOVED = "inserted, other port", "inserted for replies only, other port"

# the counters of `conntrack -S` that tell of clashes
COUNTERS = ("chaintoolong", "clash_resolve", "drop", "insert_failed")


@attrs.frozen
class End:
    """What became of the packets, in their order, and which counters were raised, by name."""

    fates: tuple[str, ...]
    counted: tuple[str, ...] = ()

    def unordered(self) -> End:
        """As it is told where it does not matter which packet it was."""
        return attrs.evolve(self, fates=tuple(sorted(self.fates)))


def end(*fates: str, counted: str = "") -> End:
    return End(fates, tuple(sorted(counted.split())))


def told(fate: Fate) -> str:
    """Why it ended so, and whether its source port had to change."""
    ct = fate.ct
    if fate.cause.startswith("inserted") and ct is not None:
        if nf_ct_invert_tuple(ct.reply).sport != ct.orig.sport:
            return f"{fate.cause}, other port"
    return fate.cause


def packet(number: int, text: str, *, dnat: str = "", snat: str = "") -> Packet:
    """What matches no rule has a null binding.  To masquerade is to `snat` to the router's address."""
    dst = NatRule.parse(f"dnat to {dnat}").range if dnat else None
    src = NatRule.parse(f"snat to {snat}").range if snat else None
    return PacketSpec.parse(text).packet(number, dst, src)


def empty(k: Release, boot: Boot | None = None) -> World:
    """No entries yet."""
    return World(Background((), hashing(k, boot)))


# ── every way it can go ─────────────────────────────────────────────────────────────────────────


def ways(calls: Sequence[Call[Any]], world: World) -> Iterator[End]:
    """What the packets meet on every way to every final state: of all schedules and all draws."""
    system = System(calls, world)
    start: tuple[State, tuple[str, ...]] = (system.initial, ())
    seen, todo = {start}, [start]
    while todo:
        state, counted = todo.pop()
        if system.is_final(state):
            yield End(tuple(map(told, fates_in(system, state))), counted)
        for move in system.moves(state):
            raised = (name for name in move.answer.counted if name in COUNTERS)
            there = (move.state, tuple(sorted((*counted, *raised))))
            if there not in seen:
                seen.add(there)
                todo.append(there)


def fates_in(system: System, state: State) -> list[Fate]:
    """By the numbers of their packets.  A CPU without packets has none."""
    by_cpu = (fates for fates in system.results(state) if fates is not None)
    return sorted((fate for fates in by_cpu for fate in fates), key=lambda fate: fate.packet)


def at_once(k: Release, *each: Packet) -> set[End]:
    """A CPU for each packet: the outcomes of all schedules, whoever is first."""
    calls = [packets(k, (p,), ()) for p in each]
    return {seen.unordered() for seen in ways(calls, empty(k))}


def in_turn(k: Release, *each: Packet) -> set[End]:
    """One CPU, one packet after the other: the outcomes of all draws."""
    return set(ways([packets(k, each, ())], empty(k)))


def ran(call: Call[Any], world: World) -> tuple[Any, World, tuple[str, ...]]:
    """One path alone, always with the least draw: (result, world after, counters of clashes)."""
    done = follow(call, world, lambda op: 0)
    return done.result, done.world, tuple(name for name in done.counted if name in COUNTERS)


# ── conntrack_clash.sh: datagrams of one socket, on several CPUs ────────────────────────────────

DATAGRAM = "udp 10.0.1.2:54321 > 10.0.1.99:22111"
SERVERS = ("10.0.2.1:22111", "10.0.2.1:22112", "10.0.2.1:22113")

# One CPU was in time to see the other's entry: no clash.
IN_TIME = end(KNOWN, INSERTED).unordered()

FAILED = end(DROPPED, INSERTED, counted="insert_failed")
DROPPED_AND_FAILED = end(DROPPED, INSERTED, counted="drop insert_failed")
# 4.7 (71d8c47fc653) merges and still counts a failure; 5.10 has a counter of its own.
MERGED_AND_FAILED = end(INSERTED, MERGED, counted="insert_failed")
MERGED_AND_RESOLVED = end(INSERTED, MERGED, counted="clash_resolve")


@path
async def confirm_only(k: Release, p: Packet) -> Fate | Call[Fate]:
    """The hooks of a kernel where conntrack is loaded and NAT is not."""
    done = await k.confirm(k, init_conntrack(p), IP_CT_DIR_ORIGINAL)
    return finish(k, p, done)


# Its second run: loopback, without NAT.  SPEC f.3, f.4.
CLASH_WITHOUT_NAT = by_row(
    {
        "2.6.24 .. 4.4.155": FAILED,
        "4.7.4 .. 4.18.0, 4.19.1 .. 5.9.1": MERGED_AND_FAILED,
        "4.18.0-394.el8, 5.10.7 .. 7.3.4": MERGED_AND_RESOLVED,
    }
)


@each_kernel("2.6.24", "4.7.4", ROVER, "5.8.1", ROUNDS)
def test_conntrack_clash_without_nat(kernel: str) -> None:
    k = attrs.evolve(RELEASES[kernel], new_connection=confirm_only)
    found = at_once(k, *(packet(n, DATAGRAM) for n in range(2)))
    assert found == {IN_TIME, CLASH_WITHOUT_NAT[kernel]}


# The rule sends both to one server port: O and R are equal.  SPEC k, "Same-origin".
CLASH_TO_ONE_SERVER = by_row(
    {
        "2.6.24 .. 4.4.155": {FAILED},
        # only an entry that NAT had no part in is merged with
        "4.7.4 .. 4.13.9, 4.15.0 .. 4.18.0": {DROPPED_AND_FAILED},
        # ed07d9a021df: or the very same connection; but who meets its twin on its way changes its port
        "4.19.1": {MERGED_AND_FAILED, DROPPED_AND_FAILED},
        # 4e35c1cb9460: and the twin is no hindrance
        "4.14.177 .. 4.14.280, 4.19.66 .. 5.9.1": {MERGED_AND_FAILED},
        "4.18.0-394.el8, 5.10.7 .. 7.3.4": {MERGED_AND_RESOLVED},
    }
)


@each_kernel("2.6.24", "4.7.4", "4.19.1", ROVER, "5.8.1", ROUNDS)
def test_conntrack_clash_to_one_server(kernel: str) -> None:
    k = RELEASES[kernel]
    found = at_once(k, *(packet(n, DATAGRAM, dnat=SERVERS[0]) for n in range(2)))
    assert found == {IN_TIME, *CLASH_TO_ONE_SERVER[kernel]}


# The rule sends them to two: O is equal, R is not.  SPEC f.5: 6a757c07e51f, 5.6.
CLASH_TO_TWO_SERVERS = by_row(
    {
        "2.6.24 .. 4.4.155": FAILED,
        "4.7.4 .. 4.18.0, 4.19.1 .. 5.4.286": DROPPED_AND_FAILED,
        "5.8.1 .. 5.9.1": end(INSERTED, REPLY_ONLY),
        "4.18.0-394.el8, 5.10.7 .. 7.3.4": end(INSERTED, REPLY_ONLY, counted="clash_resolve"),
    }
)


@each_kernel("2.6.24", "4.7.4", ROVER, "5.8.1", ROUNDS)
def test_conntrack_clash_to_two_servers(kernel: str) -> None:
    k = RELEASES[kernel]
    found = at_once(k, *(packet(n, DATAGRAM, dnat=SERVERS[n]) for n in range(2)))
    assert found == {IN_TIME, CLASH_TO_TWO_SERVERS[kernel]}


LOSES_NO_DATAGRAM = by_row(
    {
        "2.6.24 .. 4.18.0, 4.19.1 .. 5.4.286": False,
        "4.18.0-394.el8, 5.8.1 .. 7.3.4": True,
    }
)
COUNTS_EACH_CLASH_RESOLVED = by_row(
    {
        "2.6.24 .. 4.18.0, 4.19.1 .. 5.9.1": False,
        "4.18.0-394.el8, 5.10.7 .. 7.3.4": True,
    }
)


@each_kernel(ROVER, ROUNDS)
def test_conntrack_clash_on_three_cpus(kernel: str) -> None:
    """Two datagrams for one server port and one for another: later ones may meet either entry."""
    k = RELEASES[kernel]
    found = at_once(k, *(packet(n, DATAGRAM, dnat=SERVERS[n // 2]) for n in range(3)))
    lost = {seen.fates.count(DROPPED) for seen in found}
    assert lost == ({0} if LOSES_NO_DATAGRAM[kernel] else {0, 1, 2})
    for seen in found:
        late = seen.fates.count(MERGED) + seen.fates.count(REPLY_ONLY)
        resolved = late if COUNTS_EACH_CLASH_RESOLVED[kernel] else 0
        assert seen.counted.count("clash_resolve") == resolved
        assert seen.counted.count("drop") in (0, seen.fates.count(DROPPED))


# (inserted, merged, for replies only, dropped) of its 128 datagrams, 43 + 43 + 42 for each server port,
# when all of them have been translated before the first is confirmed
OF_128 = by_row(
    {
        "2.6.24 .. 4.13.9, 4.15.0 .. 4.18.0": (1, 0, 0, 127),
        "4.14.177 .. 4.14.280, 4.19.1 .. 5.4.286": (1, 42, 0, 85),
        "4.18.0-394.el8, 5.8.1 .. 7.3.4": (1, 125, 2, 0),
    }
)


@each_kernel("2.6.24", "4.7.4", ROVER, "5.8.1", ROUNDS)
def test_conntrack_clash_at_its_worst(kernel: str) -> None:
    """The kernel's test passes if some `clash_resolve` is not 0: not before 5.10, which counts it."""
    k = RELEASES[kernel]
    world, each = empty(k), [packet(n, DATAGRAM, dnat=SERVERS[n % 3]) for n in range(128)]
    translated = []
    for p in each:
        ct, world = translate(k, p, world)
        translated.append(ct)
    causes: list[str] = []
    counted: list[str] = []
    for ct in translated:
        done, world, raised = ran(k.confirm(k, ct, IP_CT_DIR_ORIGINAL), world)
        causes.append(done.cause)
        counted += raised
    assert tuple(map(causes.count, (INSERTED, MERGED, REPLY_ONLY, DROPPED))) == OF_128[kernel]
    assert counted.count("clash_resolve") == 127 * COUNTS_EACH_CLASH_RESOLVED[kernel]


def translate(k: Release, p: Packet, world: World) -> tuple[Conn, World]:
    """Its connection, through both NAT hooks and ready for confirm."""
    ct = init_conntrack(p)
    for manip, given in ((Manip.DST, p.dst), (Manip.SRC, p.src)):
        r = given or null_binding(ct, manip)
        ct, world, _ = ran(k.setup_info(k, ct, r, manip), world)
    return ct, world


# ── conntrack_reverse_clash.sh: both sides begin at once, and no rule wants to change a port ────

FORWARD = "udp 127.0.0.11:56789 > 127.0.0.12:56790"
REVERSE = "udp 127.0.0.12:56790 > 127.0.0.11:56789"

# What the test calls a failure: a datagram arrives from a port that is not its sender's.
CHANGED = end(INSERTED, REPLY_ONLY_MOVED)

# SPEC c.3, d, f.4, f.5
REVERSE_CLASH = by_row(
    {
        "2.6.24 .. 4.4.155": {FAILED},
        "4.7.4 .. 4.18.0, 4.19.1 .. 5.4.286": {DROPPED_AND_FAILED},
        # the null binding finds its reply key used and changes the port; since 5.6 it then gets through
        "5.8.1 .. 5.9.1": {DROPPED_AND_FAILED, CHANGED},
        "4.18.0-394.el8, 5.10.7 .. 6.6.9, 6.8.0": {
            DROPPED_AND_FAILED,
            attrs.evolve(CHANGED, counted=("clash_resolve",)),
        },
        # d8f84a9bc7c4 without a4e6a1031e77: the port is kept, and confirm does not merge
        "6.6.63, 6.11.11": {DROPPED_AND_FAILED},
        "6.12.0, 6.12.49 .. 7.3.4": {MERGED_AND_RESOLVED},
        # found by its ORIGINAL key, while the other is not linked yet, it is not taken for the reverse
        "6.12.34": {MERGED_AND_RESOLVED, attrs.evolve(CHANGED, counted=("clash_resolve",))},
    }
)


@each_kernel("2.6.24", ROVER, "5.8.1", "6.6.63", "6.12.0", ROUNDS)
def test_conntrack_reverse_clash(kernel: str) -> None:
    found = at_once(RELEASES[kernel], packet(0, FORWARD), packet(1, REVERSE))
    assert found == {IN_TIME, *REVERSE_CLASH[kernel]}


@path(blind=True)
async def flush(k: Release, t: CtTuple) -> None:
    """Delete the entry that has this key now, as ctnetlink would."""
    h = await k.find_get(k, t, DEFAULT_ZONE, 0)
    if h is not None:
        await nf_ct_kill(k, h.ct)


# Does a port change, while somebody flushes the table now and then, as the test does?
# Yes, where the clash is not looked into: the entry that was in the way is gone before confirm.
CHANGES_PORT_UNDER_FLUSH = by_row(
    {
        "2.6.24 .. 6.6.9, 6.8.0, 6.12.34": True,
        "6.6.63, 6.11.11 .. 6.12.0, 6.12.49 .. 7.3.4": False,
    }
)
# 6.16 looks for its own key where its reply's is not there any more, but then minds which direction it
# has found (50d9ce9679dd; until 5ec8ca26fe93, 6.19): it takes two datagrams of the other side to see.
CHANGES_PORT_UNDER_FLUSH_OF_TWO = by_row(
    {
        "2.6.24 .. 6.6.9, 6.8.0, 6.12.34 .. 6.12.49, 6.17.0": True,
        "6.6.63, 6.11.11 .. 6.12.0, 6.12.64 .. 6.12.117, 6.19.9 .. 7.3.4": False,
    }
)


@each_kernel("4.4.0", ROVER, "6.6.63", "6.12.0", ROUNDS, "6.17.0")
@pytest.mark.parametrize("forward", [1, 2])
def test_conntrack_reverse_clash_under_flush(kernel: str, forward: int) -> None:
    k = RELEASES[kernel]
    one_side = tuple(packet(n, FORWARD) for n in range(forward))
    other = packet(forward, REVERSE)
    calls = [packets(k, one_side, ()), packets(k, (other,), ()), flush(k, one_side[0].t)]
    moved = {seen.fates[-1].endswith("other port") for seen in ways(calls, empty(k))}
    table = CHANGES_PORT_UNDER_FLUSH if forward == 1 else CHANGES_PORT_UNDER_FLUSH_OF_TWO
    assert moved == {False, True} if table[kernel] else moved == {False}


# A datagram that was looked up before the other side's entry was confirmed, and translated after;
# and the same where other datagrams have answered in the meantime.
LATE = by_row(
    {
        "2.6.24 .. 4.4.155": end(DROPPED, counted="insert_failed"),
        "4.7.4 .. 4.18.0, 4.19.1 .. 5.4.286": end(DROPPED, counted="drop insert_failed"),
        "5.8.1 .. 5.9.1": end(REPLY_ONLY_MOVED),
        "4.18.0-394.el8, 5.10.7 .. 6.6.9, 6.8.0": end(REPLY_ONLY_MOVED, counted="clash_resolve"),
        "6.6.63, 6.11.11": end(DROPPED, counted="drop insert_failed"),
        "6.12.0 .. 7.3.4": end(MERGED, counted="clash_resolve"),
    }
)
# SPEC c.3: 6 is a bit's number and was taken for its mask, which is that of SEEN_REPLY and ASSURED.
LATE_AND_ANSWERED = LATE | {
    "6.6.63": end(REPLY_ONLY_MOVED, counted="clash_resolve"),
    "6.11.11": end(REPLY_ONLY_MOVED, counted="clash_resolve"),
    "6.12.0": end(REPLY_ONLY_MOVED, counted="clash_resolve"),
}


@each_kernel("2.6.24", ROVER, "5.8.1", "6.6.63", "6.12.0", ROUNDS, "6.17.0")
@pytest.mark.parametrize("answered", [False, True])
def test_conntrack_reverse_clash_of_a_late_datagram(kernel: str, answered: bool) -> None:
    k = RELEASES[kernel]
    bits = "CONFIRMED,SRC_NAT_DONE,DST_NAT_DONE" + ",SEEN_REPLY" * answered
    held = Scenario(kernel=kernel, nat="none", occupied=[f"{FORWARD} status {bits}"])
    fate, _, counted = ran(k.new_connection(k, packet(0, REVERSE)), held.world())
    found = End((told(fate),), tuple(sorted(counted)))
    assert found == (LATE_AND_ANSWERED if answered else LATE)[kernel]


# ── nft_nat.sh, test_dnat_clash: through a DNAT rule, then directly, from one port ──────────────

THROUGH = packet(0, "udp 10.0.2.2:4321 > 10.0.2.1:1234", dnat="10.0.1.1:1234")
DIRECTLY = packet(1, "udp 10.0.2.2:4321 > 10.0.1.1:1234")

# What stands in its way is looked for under one of two keys, is not there, and is believed to be gone
# (SPEC c.3: until 50d9ce9679dd, 6.16 and stable 6.12.34).
DNAT_CLASH = by_row(
    {
        "2.6.24 .. 6.6.9, 6.8.0": end(INSERTED, MOVED),
        "6.6.63, 6.11.11, 6.12.0": end(INSERTED, DROPPED, counted="drop insert_failed"),
        "6.12.34 .. 7.3.4": end(INSERTED, MOVED),
    }
)


@each_kernel("2.6.24", "2.6.35.6", ROVER, "6.6.63", "6.12.0", ROUNDS, "6.17.0")
def test_dnat_clash(kernel: str) -> None:
    assert in_turn(RELEASES[kernel], THROUGH, DIRECTLY) == {DNAT_CLASH[kernel]}


@each_kernel("2.6.24", ROVER, "6.6.63", "6.12.0", ROUNDS, "6.17.0")
def test_dnat_clash_of_a_masqueraded_flow(kernel: str) -> None:
    """Not in the kernel's test, and the same: the router's own datagram, from a port it has lent out."""
    lent = packet(0, "udp 10.0.2.2:4321 > 10.0.1.1:53", snat="10.0.1.9")
    own = packet(1, "udp 10.0.1.9:4321 > 10.0.1.1:53")
    assert in_turn(RELEASES[kernel], lent, own) == {DNAT_CLASH[kernel]}


@each_kernel(ROVER, ROUNDS)
def test_dnat_clash_gets_the_right_answers(kernel: str) -> None:
    """Each of the two answers is the answer to its own question."""
    k = RELEASES[kernel]
    fates, world, _ = ran(packets(k, (THROUGH, DIRECTLY), ()), empty(k))
    for fate in fates:
        if fate.verdict == NF_DROP:
            continue  # asked nothing
        h, world, _ = ran(k.find_get(k, fate.ct.reply, DEFAULT_ZONE, 0), world)
        assert (h.ct.id, h.ct.orig) == (fate.packet, (THROUGH, DIRECTLY)[fate.packet].t)


# ── nft_nat.sh, test_port_shadowing: an inside host takes the port of the router's own service ──

SHADOWING = "udp 10.0.2.99:1405 > 10.0.1.99:41404"
TO_THE_SERVICE = packet(1, "udp 10.0.1.99:41404 > 10.0.1.1:1405")

# The service's client is answered by ...
CLIENT, ROUTER = end(INSERTED, KNOWN), end(MOVED, INSERTED)


def shadowing(k: Release, snat: str) -> set[End]:
    return in_turn(k, packet(0, SHADOWING, snat=snat), TO_THE_SERVICE)


# SPEC a.4: a well-known port towards an ephemeral one was never kept in 5.17-rc1 .. rc7 (878aed8db324,
# taken back by a82c25c366b0), but a random port is as good as any other: 1405 may be drawn again.
PORT_SHADOWING = by_row(
    {
        "2.6.24 .. 4.18.0, 4.19.1 .. 5.15.215, 5.19.0 .. 7.3.4": {CLIENT},
        "4.18.0-394.el8, 5.17.0-rc5": {ROUTER, CLIENT},
    }
)


@each_kernel("2.6.24", "4.18.0-394.el8", ROVER, "5.17.0-rc5", ROUNDS)
def test_port_shadowing(kernel: str) -> None:
    assert shadowing(RELEASES[kernel], "10.0.1.1") == PORT_SHADOWING[kernel]


@pytest.mark.parametrize("kernel", ["4.18.0-394.el8", "5.17.0-rc5"])
def test_port_shadowing_in_spite_of_the_remap(kernel: str) -> None:
    """Of 65,536 draws, two give 1405: the ports from 1024 to 2047 are drawn twice."""
    k = RELEASES[kernel]
    system = System([packets(k, (packet(0, SHADOWING, snat="10.0.1.1"),), ())], empty(k))
    odds = Fraction(0)
    todo = [(system.initial, Fraction(1))]
    while todo:
        state, chance = todo.pop()
        if system.is_final(state):
            (fate,) = fates_in(system, state)
            odds += chance * (told(fate) == INSERTED)
        todo += [(move.state, chance * move.answer.odds) for move in system.moves(state)]
    assert odds == Fraction(2, 65536)


@each_kernel("2.6.24", "4.18.0-394.el8", ROVER, ROUNDS)
def test_port_shadowing_mitigated_by_a_port_range(kernel: str) -> None:
    """`masquerade to :1406-65535 random` for whoever comes from a lower port."""
    assert shadowing(RELEASES[kernel], "10.0.1.1:1406-65535 random") == {ROUTER}


# ── nft_nat.sh, test_masquerade: ping, and ping again ───────────────────────────────────────────

PING = {4: "icmp 10.0.2.99 > 10.0.1.99 id {}", 6: "icmpv6 dead:2::99 > dead:1::99 id {}"}
ROUTER_ADDRESS = {4: "10.0.1.1", 6: "dead:1::1"}

# SPEC b.4: in 5.0 a search for an id has nothing but id 0 to choose from, and random flags want one.
SECOND_PING_AT_RANDOM = by_row(
    {
        "2.6.24 .. 4.19.304": INSERTED,
        "5.0.1": DROPPED,
        "5.2.1 .. 7.3.4": INSERTED,
    }
)


@each_kernel("2.6.24", "2.6.35.6", "3.14.1", ROVER, "5.0.1", "5.2.1", ROUNDS)
@pytest.mark.parametrize("flags", ["", " random", " random-fully"])
@pytest.mark.parametrize("family", [4, 6])
def test_masquerade_and_ping_again(kernel: str, flags: str, family: int) -> None:
    """Each `ping` has an id of its own; the entry of the first is still there."""
    k = RELEASES[kernel]
    if family == 6 and not k.nat_ipv6:
        pytest.skip("no NAT for IPv6")
    snat = ROUTER_ADDRESS[family] + flags
    pings = (packet(n, PING[family].format(4711 + n), snat=snat) for n in range(2))
    second = SECOND_PING_AT_RANDOM[kernel] if flags else INSERTED
    for seen in in_turn(k, *pings):
        # whether an id is kept is not asked
        assert tuple(fate.removesuffix(", other port") for fate in seen.fates) == (INSERTED, second)
        assert seen.counted == (() if second == INSERTED else ("drop", "insert_failed"))


# ── nft_nat_zones.sh: clients with one address, each in a zone of its own ───────────────────────


def client(zone: int) -> str:
    return f"tcp 10.1.0.3:10000 > 10.3.0.99:5201 zone {zone} orig"


FIRST_KEEPS_IT = end(INSERTED, MOVED, MOVED)
ALL_BUT_ONE_LOST = end(INSERTED, DROPPED, DROPPED, counted="drop drop insert_failed insert_failed")

# SPEC e: same-origin entries were skipped in whatever zone they are (4e35c1cb9460, 5.0; until 5.11 and
# stable 5.10.17, 5.4.195, 4.19.222, 4.14.222, 4.9.273).  Zones have directions since 4.3.
NAT_ZONES = by_row(
    {
        "2.6.24 .. 3.18.20": None,
        "4.4.0 .. 4.9.154, 4.9.273 .. 4.13.9": FIRST_KEEPS_IT,
        "4.14.241 .. 4.19.1, 4.19.222 .. 4.19.304": FIRST_KEEPS_IT,
        "4.9.229, 4.14.177, 4.19.66, 5.0.1 .. 5.3.1, 5.8.1 .. 5.10.7": ALL_BUT_ONE_LOST,
        "5.4.286, 5.10.262 .. 7.3.4": FIRST_KEEPS_IT,
    }
)


@each_kernel("2.6.24", "2.6.35.6", "4.4.0", ROVER, "5.10.7", ROUNDS)
def test_nat_zones(kernel: str) -> None:
    expected = NAT_ZONES[kernel]
    if expected is None:
        with pytest.raises(BadInput, match=r"has no zones|have no direction"):
            Scenario(kernel=kernel, packets=[client(1)])
        return
    each = (packet(n, client(n + 1), snat="10.3.0.1") for n in range(3))
    assert in_turn(RELEASES[kernel], *each) == {expected}


@each_kernel("4.4.0", ROVER, "5.0.1", ROUNDS)
def test_nat_zones_ping(kernel: str) -> None:
    """Before they connect, each client pings, with an id of its own."""
    if NAT_ZONES[kernel] is None:
        pytest.skip("no zones with a direction")
    ping = "icmp 10.1.0.3 > 10.3.0.99 id {} zone {} orig"
    each = (packet(n, ping.format(n + 1, n + 1), snat="10.3.0.1") for n in range(3))
    assert in_turn(RELEASES[kernel], *each) == {end(INSERTED, INSERTED, INSERTED)}


@each_kernel("4.4.0", ROVER, ROUNDS)
def test_nat_zones_at_once(kernel: str) -> None:
    """Clients that connect at once may lose a SYN on any kernel; it is sent again, and saves them.

    But where one client at a time is lost, it is lost for good.
    """
    if NAT_ZONES[kernel] is None:
        pytest.skip("no zones with a direction")
    s = Scenario(kernel=kernel, packets=[client(1), client(2)])
    once, again = drops(s), drops(attrs.evolve(s, retransmit=(1000,)))
    if NAT_ZONES[kernel] == ALL_BUT_ONE_LOST:
        assert (once, again) == ({1}, {1})
    else:
        assert (once, again) == ({0, 1}, {0})


def drops(s: Scenario) -> set[int]:
    """How many packets never get through, in every schedule."""
    explored = check(s, exhaustive=True).explored
    assert explored.complete
    return {
        sum(fate.verdict == NF_DROP for fates in by_cpu for fate in fates)
        for by_cpu in explored.outcomes
    }


# ── nft_zones_many.sh: one flow, in very many zones ─────────────────────────────────────────────

FLOW = "udp 127.0.0.1:12345 > 127.0.0.1:12346 zone {}"
MANY = 40

# SPEC h.1
ZONE_IS_HASHED = by_row(
    {
        "2.6.24": None,
        "2.6.35.6 .. 3.18.20": True,
        "4.4.0 .. 5.11.0": False,
        "5.15.0 .. 7.3.4": True,
    }
)


def many_zones(k: Release, boot: Boot, limit: int = 0) -> tuple[list[str], int]:
    """(what became of the flow's packet in each zone, in how many chains the ORIGINAL nodes are).

    `limit` is what confirm draws for its chain limit, above the least.
    """
    world = empty(k, boot)
    each = tuple(packet(n, FLOW.format(n + 1)) for n in range(MANY))

    def draw(op: Draw) -> int:
        assert isinstance(op, RandomBelow)
        return min(limit, op.below - 1)

    done = follow(packets(k, each, ()), world, draw)
    bucket = world.background.hashing.bucket
    assert bucket is not None
    chains = {bucket(p.t, k.hash_zone_id(p.zone, IP_CT_DIR_ORIGINAL)) for p in each}
    return [fate.cause for fate in done.result], len(chains)


@each_kernel("2.6.24", "2.6.35.6", ROVER, ROUNDS)
def test_zones_many(kernel: str) -> None:
    """As many entries as zones, also with the least limit that a chain can be given."""
    if ZONE_IS_HASHED[kernel] is None:
        with pytest.raises(BadInput, match="has no zones"):
            Scenario(kernel=kernel, packets=[FLOW.format(1)])
        return
    fates, chains = many_zones(RELEASES[kernel], Boot())
    assert fates == [INSERTED] * MANY
    assert chains == (MANY if ZONE_IS_HASHED[kernel] else 1)


# least and greatest length that a chain may have: SPEC f.3
LIMITS = {"5.15.0": (10, 33), "5.17.0-rc5": (10, 33), "6.2.1": (10, 33)}


@pytest.mark.parametrize("kernel", LIMITS)
def test_zones_many_is_why_zones_are_hashed(kernel: str) -> None:
    """5.15 limits the length of chains.  With all zones in one, few would get through: b16ac3c4c886."""
    unhashed = attrs.evolve(RELEASES[kernel], name="without zones", hash_zone_id=no_zone)
    for drawn, length in zip((0, 23), LIMITS[kernel], strict=True):
        fates, chains = many_zones(unhashed, Boot(), drawn)
        assert chains == 1
        assert fates == [INSERTED] * length + ["chain too long"] * (MANY - length)


# ── nf_nat_edemux.sh: the client has one port only, and it is in use ────────────────────────────

CONNECTED = packet(0, "tcp 192.168.1.2:10000 > 192.168.1.1:5201")
TO_A_SERVICE = packet(1, "tcp 192.168.1.2:10000 > 10.96.0.1:443", dnat="192.168.1.1:5201")


@each_kernel("2.6.24", "2.6.35.6", "3.4.113", ROVER, ROUNDS)
def test_edemux_on_the_client(kernel: str) -> None:
    """No rule is about sources: the null binding changes the port, on every kernel."""
    assert in_turn(RELEASES[kernel], CONNECTED, TO_A_SERVICE) == {end(INSERTED, MOVED)}


@each_kernel("2.6.24", "2.6.35.6", "3.4.113", ROVER, ROUNDS)
def test_edemux_on_the_server(kernel: str) -> None:
    """Two ports are redirected to a third.  That is LOCAL_IN, which has null bindings, too."""
    syn = "tcp 192.168.1.2:10000 > 192.168.1.1:{}"
    each = (packet(n, syn.format(5202 + n), dnat="192.168.1.1:5201") for n in range(2))
    assert in_turn(RELEASES[kernel], *each) == {end(INSERTED, MOVED)}


# ── nft_queue.sh, test_udp_nat_race: NFQUEUE holds two datagrams between NAT and confirm ────────

QUEUED = "udp 10.0.1.99:54321 > 10.6.6.6:12345"
BACKENDS = ("10.0.2.99:12345", "10.0.3.99:12345")

# What becomes of the second one.  4.18 .. 6.11 look up again what comes back from the queue
# (368982cd7d1b, until 8af79d3edb5f): test_udp_nat_race_where_what_comes_back_is_looked_up_again.
UDP_NAT_RACE = by_row(
    {
        "2.6.24 .. 4.16.13": DROPPED,
        "4.18.0 .. 6.11.11": None,
        "6.12.0 .. 7.3.4": REPLY_ONLY,
    }
)
PURE_PAUSE = [kernel for kernel, second in UDP_NAT_RACE.items() if second is not None]


def before_confirm(system: System) -> State:
    """Every CPU stands before its confirm, and nobody has drawn anything."""
    state = system.initial
    for cpu in range(system.cpus):
        while not confirms(system.pending(state, cpu)):
            ((t, w, _, _),) = system.edges(state, cpu)
            state = (*state[:cpu], t, *state[cpu + 1 : -1], w)
    return state


def confirms(op: object) -> bool:
    return isinstance(op, Atomic) and op.call.name in ("test_and_publish", "test_and_link_original")


def released(system: System, state: State, order: Iterable[int]) -> State:
    """Let the CPUs go to their ends, one after the other."""
    for cpu in order:
        while edges := system.edges(state, cpu):
            t, w, _, _ = edges[0]
            state = (*state[:cpu], t, *state[cpu + 1 : -1], w)
    assert system.is_final(state)
    return state


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("kernel", PURE_PAUSE)
def test_udp_nat_race(kernel: str, order: tuple[int, int]) -> None:
    """Each server gets one datagram from 6.12 on, and one entry is there for datagrams to come."""
    k = RELEASES[kernel]
    each = [packet(n, QUEUED, dnat=BACKENDS[n]) for n in range(2)]
    system = System([packets(k, (p,), ()) for p in each], empty(k))
    state = released(system, before_confirm(system), order)
    first, second = (fates_in(system, state)[n] for n in order)
    assert (first.cause, second.cause) == (INSERTED, UDP_NAT_RACE[kernel])
    servers = {fate.ct.reply.src for fate in (first, second) if fate.ct is not None}
    assert len(servers) == (1 if second.cause == DROPPED else 2)
    linked = system.world(state).linked
    originals = [node.ct.id for node in linked if node.direction == IP_CT_DIR_ORIGINAL]
    assert originals == [first.packet]


LOOKED_UP_AGAIN = [kernel for kernel, second in UDP_NAT_RACE.items() if second is None]


@pytest.mark.parametrize("kernel", LOOKED_UP_AGAIN)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_udp_nat_race_where_what_comes_back_is_looked_up_again(
    kernel: str, order: tuple[int, int]
) -> None:
    """SPEC i: both go to the server of the one that was released first: 2 to one, 0 to the other.

    The kernel's test, which wants one at each, would fail.
    """
    flow = PacketSpec.parse(QUEUED).t
    first, second = (PacketSpec.parse(f"udp 10.0.1.99:1 > {b}").t.dst for b in BACKENDS)
    rule = Rule(
        PRE_ROUTING,
        NatRange(NF_NAT_RANGE_MAP_IPS),
        daddr=(flow.dst, flow.dst),
        alternates=(first, second),
    )
    rules = Ruleset(True, (rule,), queue=POST_ROUTING)
    router = Router(RELEASES[kernel], rules, Topology(frozenset(), (((0, 2**32 - 1), "net"),)))
    state = router.start()
    for number in range(2):
        (way,) = router.receive(state, Skb(number, flow), hold=True)
        assert way.held
        state = way.state
    sent_to = []
    for which in order:
        (way,) = router.release(state, which)
        assert not way.dropped
        assert "insert_failed" not in way.counted
        sent_to.append(way.skb.t.dst)
        state = way.state
    assert sent_to == [(first, second)[order[0]]] * 2
    assert len(state.world.linked) == 2  # one entry
