# SPDX-License-Identifier: GPL-2.0-or-later
"""The workload that other checkers were measured on, as a researcher would write it for natmodel.

`packets` CPUs each choose one of `ports` ports, of which the first `occupied` are taken, and confirm it:
one step to choose where to begin, one for each probe, one to store the rover, one to confirm.  The last
probe's answer is not looked at.  Who has a port is not kept, so the table is a set of ports, and what a
packet has chosen is forgotten when it is through.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final, Literal

import attrs

from natmodel.ops import (
    Call,
    HashInsert,
    RandomOffset,
    ReadChain,
    RoverLoad,
    RoverStore,
    Window,
    atomic,
    path,
)
from natmodel.release import Fate
from natmodel.values import (
    IP_CT_DIR_REPLY,
    IPPROTO_TCP,
    NF_ACCEPT,
    NF_DROP,
    Conn,
    CtTuple,
    nf_ct_invert_tuple,
)
from natmodel.world import Background, Entry, Hashing, World

Mode = Literal["fixed", "random", "rover"]

FIRST: Final = 1024
SERVER: Final = CtTuple(2, IPPROTO_TCP, 1, 0, 2, 80)
THROUGH: Final = Fate(0, NF_ACCEPT, "confirmed", None)
DROPPED: Final = Fate(0, NF_DROP, "the port is taken", None)


@attrs.frozen(cache_hash=True)
class Workload:
    """What `packets` of one kind do: natclash(T, R, K, mode)."""

    packets: int
    ports: int
    occupied: int
    mode: Mode
    # the occupied ports are the first ones, or, with a seed, any
    seed: int | None = attrs.field(default=None, kw_only=True)

    @property
    def window(self) -> Window:
        return Window(SERVER, True, FIRST, self.ports, self.ports)

    def calls(self) -> list[Call[Fate]]:
        starts = {
            "fixed": probe(self.window, 0, 0, False),
            "random": draw(self.window),
            "rover": load(self.window),
        }
        return [starts[self.mode]] * self.packets

    def world(self) -> World:
        hashing = Hashing(lambda zone, direction: 0, lambda zone: 0)
        taken: Sequence[int] = range(self.occupied)
        if self.seed is not None:
            taken = sorted(Random(self.seed).sample(range(self.ports), self.occupied))
        tuples = (self.window.tuple_at(self.window.candidate(off)) for off in taken)
        return World(Background([Entry(stranger(t), (IP_CT_DIR_REPLY,)) for t in tuples], hashing))


def holder(t: CtTuple) -> Conn:
    """Whoever has t's port: all are one to us."""
    return Conn(0, t, nf_ct_invert_tuple(t))


def stranger(t: CtTuple) -> Conn:
    """Who has t's port from the start: nobody of us."""
    return Conn(0, t.with_src(99), nf_ct_invert_tuple(t))


@path(blind=True)
async def draw(window: Window) -> Fate | Call[Fate]:
    """mode random"""
    off = await RandomOffset("get_random_u32_below", window)
    return probe(window, off, 0, False)


@path(blind=True)
async def load(window: Window) -> Fate | Call[Fate]:
    """mode rover"""
    off = await RoverLoad(IPPROTO_TCP)
    return probe(window, off, 0, True)


@path(blind=True)
async def probe(window: Window, off: int, i: int, rover: bool) -> Fate | Call[Fate]:
    """Is the port at `off` taken?"""
    t = window.tuple_at(window.candidate(off))
    taken = await atomic(is_taken(t))
    if taken and i < window.size - 1:
        return probe(window, (off + 1) % window.size, i + 1, rover)
    return store(t, off) if rover else confirm(t)


@path(blind=True)
async def store(t: CtTuple, off: int) -> Fate | Call[Fate]:
    """The next search begins here."""
    await RoverStore(IPPROTO_TCP, off)
    return confirm(t)


@path(blind=True)
async def confirm(t: CtTuple) -> Fate:
    """The port, or a drop."""
    return await atomic(insert(t))


@path(blind=True)
async def is_taken(t: CtTuple) -> bool:
    chain = await ReadChain(nf_ct_invert_tuple(t), 0)
    return bool(chain.nodes)


@path(blind=True)
async def insert(t: CtTuple) -> Fate:
    ct = holder(t)
    chain = await ReadChain(ct.reply, 0)
    if chain.nodes:
        return DROPPED
    await HashInsert(ct, IP_CT_DIR_REPLY)
    return THROUGH
