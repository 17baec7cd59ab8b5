# SPDX-License-Identifier: GPL-2.0-or-later
"""A walk's cost: one goto for each probe, however many there are."""

from __future__ import annotations

import time

from natmodel import ops
from natmodel.releases import V4_19_66
from natmodel.run import Ran, run
from natmodel.values import (
    AF_INET,
    IPPROTO_TCP,
    IPS_CONFIRMED,
    NF_NAT_RANGE_MAP_IPS,
    Conn,
    CtTuple,
    Manip,
    NatRange,
    nf_ct_invert_tuple,
)
from natmodel.world import Background, Hashing, Stamp, World

SERVER, ROUTER, POD, OTHER = 0xCB007105, 0xC6336407, 0xAC100108, 0x0A000001
FIRST, LAST = 1024, 65535


def full_world(rover: int) -> World:
    """Every port from 1024 up is in use towards the server."""
    template = Conn(
        id=0,
        orig=CtTuple(AF_INET, IPPROTO_TCP, OTHER, 0, SERVER, 80),
        reply=CtTuple(AF_INET, IPPROTO_TCP, SERVER, 80, ROUTER, 0),
        status=IPS_CONFIRMED,
    )
    occupied = Stamp(template, "reply.dport", FIRST, LAST, sport_step=True)
    hashing = Hashing(V4_19_66.hash_zone_id, V4_19_66.bysource_zone_id)
    return World(Background([occupied], hashing)).with_hint(IPPROTO_TCP, rover)


def walk(rover: int) -> Ran:
    t = CtTuple(AF_INET, IPPROTO_TCP, POD, 40000, SERVER, 80)
    ct = Conn(id=70000, orig=t, reply=nf_ct_invert_tuple(t))
    masquerade = NatRange(NF_NAT_RANGE_MAP_IPS, ROUTER, ROUTER)
    call: ops.Call[CtTuple] = V4_19_66.get_unique_tuple(V4_19_66, t, masquerade, ct, Manip.SRC)
    return run(call, full_world(rover))


def test_a_walk_of_64512_occupied_ports_takes_less_than_two_seconds() -> None:
    def cpu_time() -> float:
        begin = time.process_time()
        ran = walk(rover=0)
        # The 64,512th candidate is taken without a look, and the rover is left on it (SPEC b.2).
        assert ran.result == CtTuple(AF_INET, IPPROTO_TCP, ROUTER, LAST, SERVER, 80)
        assert ran.world.hint(IPPROTO_TCP) == LAST - FIRST
        # One probe asks whether 40000 can be kept, and each but the last candidate is probed.
        assert ran.counted == ("found",) * 64512
        return time.process_time() - begin

    # One of some: neighbours on the machine slow us down, nothing speeds us up.
    assert any(cpu_time() < 2.0 for _ in range(5))


def test_a_walk_that_crosses_65535_sees_some_ports_twice_and_others_never() -> None:
    # Offsets are u16: from 2000 the walk's last offset is (2000 + 64511) mod 65536 (SPEC b.1).
    ran = walk(rover=2000)
    off = (2000 + 64511) % 65536
    assert ran.result.sport == FIRST + off
    assert ran.world.hint(IPPROTO_TCP) == off
