# SPDX-License-Identifier: GPL-2.0-or-later
"""The shape of one row of the releases table: what can differ between two kernels, and nothing else.

A path gets the row as its first argument `k` and spells every difference `k.something`.  Control flow
that differs is a function here; a number that differs is a number here.  No path compares releases.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from natmodel.hashes import HashBySrc, HashConntrackRaw, SecurePortEphemeral
from natmodel.ops import Call, Node
from natmodel.values import Conn, CtTuple, Manip, NatRange, Zone


@attrs.frozen
class Packet:
    """The first packet of a connection, as conntrack and the NAT hooks meet it.

    `id` names the connection it may create.  `dst` and `src` are what the rules ask for; None is a
    null binding.  `td_end` is the end of the SYN's sequence space (u32).
    """

    id: int
    t: CtTuple
    dst: NatRange | None = None
    src: NatRange | None = None
    zone: Zone = Zone()
    net: int = 0
    td_end: int = 1
    has_master: bool = False


@attrs.frozen(cache_hash=True)
class Confirmed:
    """What __nf_conntrack_confirm did with the connection `ct`.

    `verdict` is NF_ACCEPT or NF_DROP; `skb_ct` the id of the connection the packet now points to;
    `ct` the connection as it is left; `freed` says that its last reference is gone.
    `clash` is the entry that was in the way, if there was one, and `cause` says in a few words what
    became of it.
    """

    verdict: int
    ct: Conn
    skb_ct: int
    freed: bool
    cause: str
    clash: Conn | None = None


@attrs.frozen(cache_hash=True)
class Fate:
    """How a packet ended: its verdict, the connection it belongs to, and why."""

    packet: int
    verdict: int
    cause: str
    ct: Conn | None


UsedTuple = Callable[["Release", CtTuple, Conn], Call[bool]]


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Release:
    """One behaviour generation, fully written.  Rows are compared by identity and named by `name`."""

    name: str
    # Which trees this row was held against, and since when the kernel has behaved so.
    covers: str

    # nf_conntrack_core.c
    find_get: Callable[[Release, CtTuple, Zone, int], Call[Node | None]]
    tuple_taken: Callable[[Release, CtTuple, Conn], Call[bool]]
    confirm: Callable[[Release, Conn, int], Call[Confirmed]]
    resolve_clash: Callable[[Release, Conn, Node], Call[Confirmed]]
    # MIN_CHAINLEN and the modulus of the random part; None where chains may grow
    chain_limit: tuple[int, int] | None
    # the zone id that goes into a tuple's hash, for one direction
    hash_zone_id: Callable[[Zone, int], int]
    hash_conntrack_raw: HashConntrackRaw

    # nf_nat_core.c
    get_unique_tuple: Callable[[Release, CtTuple, NatRange, Conn, Manip], Call[CtTuple]]
    l4proto_unique_tuple: Callable[[Release, CtTuple, NatRange, Manip, Conn], Call[CtTuple]]
    used_tuple: UsedTuple
    # the fast path's first question, about the tuple as it is
    used_tuple_new: UsedTuple
    # a walk's question; the last argument is attempts_left
    used_tuple_harder: Callable[[Release, CtTuple, Conn, int], Call[bool]]
    bysource_zone_id: Callable[[Zone], int]
    hash_by_src: HashBySrc
    # the random number generator's name, and NF_NAT_MAX_ATTEMPTS (None: no bound)
    rng: str
    max_attempts: int | None

    # l4proto tables
    port_protocols: frozenset[int]
    allow_clash: Callable[[int], bool]
    secure_port: SecurePortEphemeral

    # the hooks from PRE_ROUTING to POST_ROUTING, after the ORIGINAL look-up has found nothing
    new_connection: Callable[[Release, Packet], Call[Fate]]

    def __repr__(self) -> str:
        return self.name
