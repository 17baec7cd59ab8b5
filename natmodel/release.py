# SPDX-License-Identifier: GPL-2.0-or-later
"""The shape of one row of the releases table: what can differ between two kernels, and nothing else.

A path gets the row as its first argument `k` and spells every difference `k.something`.  Control flow
that differs is a function here; a number that differs is a number here.  No path compares releases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import attrs

from natmodel.hashes import (
    FindBestIps,
    HashBucket,
    HashBySrc,
    HashConntrackRaw,
    SecurePortEphemeral,
)
from natmodel.ops import Call, Node, Op
from natmodel.values import (
    IP_CT_DIR_ORIGINAL,
    NF_ACCEPT,
    Conn,
    CtTuple,
    Manip,
    NatRange,
    TcpHdr,
    Zone,
)

Ext = Literal["none", "new", "masquerade"]


@attrs.frozen
class Packet:
    """The first packet of a connection, as conntrack and the NAT hooks meet it.

    `id` names the connection it may create.  `dst` and `src` are what the rules ask for; None is a
    null binding.  `td_end` is the end of the SYN's sequence space (u32).  `ext` says when its
    connection is given its first extension: "new", when it is made (for accounting, events, labels);
    "masquerade", by MASQUERADE before it sets up the source; or "none".
    """

    id: int
    t: CtTuple
    dst: NatRange | None = None
    src: NatRange | None = None
    zone: Zone = Zone()
    net: int = 0
    td_end: int = 1
    has_master: bool = False
    ext: Ext = "none"


@attrs.frozen(cache_hash=True)
class Skb:
    """A packet on its way through the hooks, whether it is the first of its connection or not.

    `t` is what its headers say now; `ct` the connection it belongs to, None where it is not tracked;
    `direction` its direction in `ct`.  `is_new` is ctinfo IP_CT_NEW: no answer has been seen.  `id`
    names the connection that it may create.
    """

    id: int
    t: CtTuple
    th: TcpHdr | None = None
    local_origin: bool = False
    ct: Conn | None = None
    direction: int = IP_CT_DIR_ORIGINAL
    is_new: bool = False
    verdict: int = NF_ACCEPT
    zone: Zone = Zone()
    net: int = 0


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
    """How a packet ended: its verdict, the connection it belongs to, and why.

    `at` says when, for a packet that was sent again: ms after it was sent first.
    """

    packet: int
    verdict: int
    cause: str
    ct: Conn | None
    at: int = 0


# Are there zones, have they an id only, or a direction as well?
Zones = Literal["none", "id", "directed"]
UsedTuple = Callable[["Release", CtTuple, Conn], Call[bool]]


def absent(*args: object) -> Call[Any]:
    """The release has no such function, and none of its others asks for it."""
    raise AssertionError("this release has no such function")


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Release:
    """One behaviour generation, fully written.  Rows are compared by identity and named by `name`.

    `absent` stands for a kernel function that the release has not.
    """

    name: str
    # Which trees this row was held against, and since when the kernel has behaved so.
    covers: str

    # nf_conntrack_core.c: look-ups
    find_get: Callable[[Release, CtTuple, Zone, int], Call[Node | None]]
    find: Callable[[Release, CtTuple, Zone, int, int], Call[Node | None]]
    tuple_taken: Callable[[Release, CtTuple, Conn], Call[bool]]
    # is an entry unlinked by a timer of its own, or does it stay until somebody meets it?
    timer_per_entry: bool
    # has each namespace a table of its own?
    table_per_net: bool
    # the zone id that goes into a tuple's hash, for one direction
    hash_zone_id: Callable[[Zone, int], int]
    hash_conntrack_raw: HashConntrackRaw
    # what makes a bucket of the raw hash and the table's size
    hash_bucket: HashBucket

    # nf_conntrack_extend.c: the first extension of a connection
    ext_add: Callable[[Release, Conn], Call[Conn]]

    # nf_conntrack_core.c: confirm
    confirm: Callable[[Release, Conn, int], Call[Confirmed]]
    lock: Callable[[Conn], Op[None]]
    test_keys: Callable[[Release, Conn], Call[Confirmed]]
    clash: Callable[[Release, Conn], Call[Node | None]]
    resolve_clash: Callable[[Release, Conn, Node], Call[Confirmed]]
    merge: Callable[[Release, Conn, Node], Call[Confirmed | None]]
    resolve_clash_harder: Callable[[Release, Conn], Call[Confirmed | None]]
    # nf_conntrack_proto_udp.c: a datagram of an entry that no answer has been seen of
    udp_refresh_unreplied: Callable[[Release, Skb, Conn], Call[Skb]]
    # MIN_CHAINLEN and the modulus of the random part; None where chains may grow
    chain_limit: tuple[int, int] | None
    # the name of the function that draws it; "" where there is none
    rng_below: str

    # nf_nat_core.c: the choice
    get_unique_tuple: Callable[[Release, CtTuple, NatRange, Conn, Manip], Call[CtTuple]]
    # NF_NAT_RANGE_*: the flags that the release looks at
    range_flags: int
    find_best_ips: FindBestIps
    used_tuple: UsedTuple
    # the fast path's first question, about the tuple as it is
    used_tuple_new: UsedTuple
    # a walk's question; the last argument is attempts_left
    used_tuple_harder: Callable[[Release, CtTuple, Conn, int], Call[bool]]
    l4proto_unique_tuple: Callable[[Release, CtTuple, NatRange, Manip, Conn], Call[CtTuple]]
    port_window: Callable[[CtTuple, NatRange, Manip], tuple[int, int] | None]
    # the random number generator's name ("" where there is none), and NF_NAT_MAX_ATTEMPTS (None: no
    # bound)
    rng: str
    max_attempts: int | None
    # net/core/secure_seq.c of the tree that names the row.  Where NAT does not ask for it
    # (ASK_SECURE_PORT), trees of one row may differ in it.
    secure_port: SecurePortEphemeral

    # nf_nat_core.c: the by-source hash
    find_appropriate_src: Callable[[Release, CtTuple, NatRange, Zone, int], Call[CtTuple | None]]
    bysource_zone_id: Callable[[Zone], int]
    hash_by_src: HashBySrc
    setup_info: Callable[[Release, Conn, NatRange, Manip], Call[Conn]]

    # l4proto tables: who has a tracker, whose ports NAT can change, who may be merged
    trackers: frozenset[int]
    port_protocols: frozenset[int]
    allow_clash: Callable[[int], bool]
    # is there NAT for IPv6?
    nat_ipv6: bool
    # does a null binding say from which ICMP id to search, or is that left as it was on the stack?
    null_binding_id: bool
    # what tells zones apart
    zones: Zones

    # the hooks from PRE_ROUTING to POST_ROUTING, after the ORIGINAL look-up has found nothing
    new_connection: Callable[[Release, Packet], Call[Fate]]
    # nfnetlink_queue.c: what happens to a packet that a queue gives back, before the next hook
    nf_reinject: Callable[[Release, Skb], Call[Skb]]

    def __repr__(self) -> str:
        return self.name


def known_flags(k: Release, r: NatRange) -> int:
    """The range's flags that the release has heard of; it does not look at any other bit."""
    return r.flags & k.range_flags
