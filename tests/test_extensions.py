# SPDX-License-Identifier: GPL-2.0-or-later
"""Extensions that are older than the last module that left: 5.19 .. 7.0 drop their connection.

READ: 5.19.0, 6.1.0-rc7, 6.1.192, 6.2.1, 6.4.4, 6.6.9, 6.6.63, 6.8.0, 6.12.0, 6.17.0, 6.19.9, 7.0.0 have
the check; 5.15.148, 6.12.117 and 7.1.5 have not.  SPEC f.3.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from natmodel.boot import hashing
from natmodel.nat_text import NatRule, PacketSpec
from natmodel.ops import Node
from natmodel.paths.nf_conntrack_confirm import drop_if_outdated, inserted
from natmodel.paths.nf_conntrack_extend import nf_ct_ext_add, nf_ct_ext_bump_genid
from natmodel.paths.packet import nat_and_confirm, packets
from natmodel.release import Ext, Fate, Packet, Release
from natmodel.releases import RELEASES
from natmodel.run import follow
from natmodel.system import State, System
from natmodel.values import (
    IP_CT_DIR_ORIGINAL,
    IPS_CONFIRMED,
    IPS_DYING,
    NF_ACCEPT,
    NF_DROP,
    Conn,
    nf_ct_invert_tuple,
)
from natmodel.world import Background, World

ROWS = list(RELEASES)
CHECKED = {
    *ROWS[ROWS.index("5.19.0") : ROWS.index("6.12.117")],
    *ROWS[ROWS.index("6.17.0") : ROWS.index("7.3.4")],
}

DNAT = NatRule.parse("dnat to 192.0.2.10:1000-2000").range
CLASH = "udp 10.0.0.1:4000 > 192.0.2.9:53"


def world_of(k: Release, genid: int = 1) -> World:
    return attrs.evolve(World(Background((), hashing(k))), ext_genid=genid)


def packet(ext: Ext, number: int = 0) -> Packet:
    source = NatRule.parse("snat to 198.51.100.1").range
    return attrs.evolve(PacketSpec.parse(CLASH).packet(number, None, source), ext=ext)


def connection(genid: int) -> Conn:
    t = packet("none").t
    return Conn(7, t, nf_ct_invert_tuple(t), ext_genid=genid)


def test_the_rows() -> None:
    checked = {name for name, k in RELEASES.items() if k.ext_add is nf_ct_ext_add}
    assert checked == CHECKED


@pytest.mark.parametrize("kernel", RELEASES)
@pytest.mark.parametrize("genid", [0, 1, 2])
def test_confirm_drops_what_is_outdated(kernel: str, genid: int) -> None:
    """0: it has no extension; 1: from before a module left; 2: from after."""
    k = RELEASES[kernel]
    call = k.confirm(k, connection(genid), IP_CT_DIR_ORIGINAL)
    ran = follow(call, world_of(k, genid=2), lambda op: 0)
    if genid == 1 and kernel in CHECKED:
        assert ran.result.verdict == NF_DROP
        assert ran.result.cause == "extensions outdated"
        assert ran.counted == ("insert_failed",)
        assert not ran.result.ct.status & (IPS_CONFIRMED | IPS_DYING)
        assert not ran.world.linked
    else:
        assert ran.result.verdict == NF_ACCEPT
        assert [node.ct.ext_genid for node in ran.world.linked] == [0, 0]


def ends(k: Release, *each: Packet) -> set[tuple[tuple[str, ...], tuple[str, ...], int]]:
    """(causes, counters, nodes left) of every schedule of these packets and a module that leaves."""
    calls = [*(packets(k, (p,), ()) for p in each), nf_ct_ext_bump_genid(k)]
    system = System(calls, world_of(k))
    start: tuple[State, tuple[str, ...]] = (system.initial, ())
    seen, todo, found = {start}, [start], set()
    while todo:
        state, counted = todo.pop()
        if system.is_final(state):
            fates: list[Fate] = [f for (f,) in system.results(state)[:-1]]
            causes = tuple(sorted(fate.cause for fate in fates))
            world = system.world(state)
            assert not world.bysource or any(f.verdict == NF_ACCEPT for f in fates)
            found.add((causes, tuple(sorted(counted)), len(world.linked)))
        for move in system.moves(state):
            there = (move.state, (*counted, *move.answer.counted))
            if there not in seen:
                seen.add(there)
                todo.append(there)
    return found


IN_TIME = (("inserted",), (), 2)
BEFORE_CONFIRM = (("extensions outdated",), ("insert_failed",), 0)
AFTER_ITS_LINKS = (("extensions outdated",), ("drop",), 0)


@pytest.mark.parametrize("kernel", ["5.15.148", "6.12.117", "7.3.4"])
@pytest.mark.parametrize("ext", ["none", "new", "masquerade"])
def test_no_module_that_leaves_is_minded(kernel: str, ext: Ext) -> None:
    assert ends(RELEASES[kernel], packet(ext)) == {IN_TIME}


@pytest.mark.parametrize("kernel", sorted(CHECKED))
def test_a_module_may_leave_at_any_time(kernel: str) -> None:
    """Before confirm: insert_failed.  Between its links and its last look: unlinked again, drop."""
    k = RELEASES[kernel]
    for ext in ("new", "masquerade"):
        assert ends(k, packet(ext)) == {IN_TIME, BEFORE_CONFIRM, AFTER_ITS_LINKS}
    assert ends(k, packet("none")) == {IN_TIME}


@pytest.mark.parametrize("kernel", ["5.19.0", "6.17.0"])
@pytest.mark.parametrize(
    ("status", "cause", "counted"),
    [
        (IPS_CONFIRMED, "confirmed already", ()),
        (IPS_DYING, "extensions outdated", ("insert_failed",)),
    ],
)
def test_it_is_asked_after_confirmed_and_before_dying(
    kernel: str, status: int, cause: str, counted: tuple[str, ...]
) -> None:
    k = RELEASES[kernel]
    ct = attrs.evolve(connection(1), status=status)
    ran = follow(k.confirm(k, ct, IP_CT_DIR_ORIGINAL), world_of(k, genid=2), lambda op: 0)
    assert (ran.result.verdict, ran.result.cause, ran.counted) == (NF_DROP, cause, counted)


def test_what_is_unlinked_again_is_confirmed_and_dying() -> None:
    """READ 7.0.0: nf_ct_kill sets DYING, and CONFIRMED stays."""
    ct = connection(1)
    done = inserted(ct)
    world = attrs.evolve(world_of(RELEASES["7.0.0"], genid=2), linked=(Node(done.ct, 0),))
    ran = follow(drop_if_outdated(RELEASES["7.0.0"], ct, done), world, lambda op: 0)
    assert ran.result.ct.status == IPS_CONFIRMED | IPS_DYING
    assert (ran.result.verdict, ran.counted, ran.world.linked) == (NF_DROP, ("drop",), ())


def test_masquerade_adds_its_extension_before_it_sets_up_the_source() -> None:
    """READ 7.0.0: nf_nat_masquerade_ipv4.  A new connection's own comes before all else."""
    k = RELEASES["7.0.0"]
    ways: tuple[tuple[Ext, bool], ...] = (("new", False), ("masquerade", True))
    for ext, later in ways:
        heard: list[Any] = []
        call = nat_and_confirm(k, attrs.evolve(packet("none"), ext=ext, dst=DNAT))
        follow(call, world_of(k), lambda op: 0, lambda *one, heard=heard: heard.append(one))
        kinds = [type(op).__name__ for op, _ in heard]
        order = [kind for kind in kinds if kind in ("ExtGenidLoad", "BysourceAdd")]
        assert order[0] == "ExtGenidLoad"
        look_ups = kinds[: kinds.index("ExtGenidLoad")].count("ReadChain")
        assert (look_ups > 0) is later


@pytest.mark.parametrize("kernel", ["5.19.0", "6.17.0"])
def test_who_meets_the_entry_before_it_is_unlinked_again(kernel: str) -> None:
    """A datagram of the same flow may belong to an entry that its own confirm then deletes."""
    found = ends(RELEASES[kernel], packet("new"), packet("none", 1))
    assert (("established", "extensions outdated"), ("drop",), 0) in found


def test_a_merge_does_not_look_again() -> None:
    """Only who was inserted itself does, and may then delete the entry that the other one has."""
    found = ends(RELEASES["6.17.0"], packet("new"), packet("new", 1))
    assert (("inserted", "merged with the winner"), ("clash_resolve",), 2) in found
    lost = ("extensions outdated", "merged with the winner")
    assert (lost, ("clash_resolve", "drop"), 0) in found
    assert not any("merged with the winner" in causes and nodes == 1 for causes, _, nodes in found)
