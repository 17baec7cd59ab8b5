# SPDX-License-Identifier: GPL-2.0-or-later
"""The releases: one fully written row per behaviour generation.

Read a row alone; read a column as history.
"""

from __future__ import annotations

from typing import Final

from natmodel.hashes import (
    hash_by_src_jhash,
    hash_by_src_siphash,
    hash_conntrack_raw_jhash,
    hash_conntrack_raw_siphash_39,
    secure_port_fixed,
    secure_port_reshuffled,
)
from natmodel.paths.get_unique_tuple import get_unique_tuple
from natmodel.paths.nf_conntrack_confirm import (
    confirm_linking_one_by_one,
    confirm_publishing_at_once,
    merge_or_insert_reply_only,
    merge_unless_translated,
)
from natmodel.paths.nf_conntrack_find import (
    find_get_once,
    find_get_per_zone_id,
    no_zone,
    taken_unless_same_origin,
    taken_unless_same_origin_and_zone,
)
from natmodel.paths.nf_nat_l4proto_unique_tuple import bounded_rounds, hint_per_protocol
from natmodel.paths.nf_nat_used_tuple import (
    nf_nat_used_tuple,
    nf_nat_used_tuple_harder,
    nf_nat_used_tuple_new,
    not_harder,
)
from natmodel.paths.packet import bysource_no_zone, bysource_zone_id, nat_and_confirm
from natmodel.release import Release
from natmodel.values import (
    IPPROTO_DCCP,
    IPPROTO_GRE,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPPROTO_UDPLITE,
    PROTO_NAMES,
    nf_ct_zone_id,
)

PORTS: Final = frozenset({IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_SCTP, IPPROTO_DCCP})


def allow_udp(protonum: int) -> bool:
    """l4proto.allow_clash: UDP and UDPLITE (4.7 .. 6.4)."""
    return protonum in (IPPROTO_UDP, IPPROTO_UDPLITE)


def allow_udp_gre_generic(protonum: int) -> bool:
    """l4proto.allow_clash: UDP, UDPLITE, GRE (6.5+) and protocols without a tracker (6.12.75, 6.19)."""
    return protonum in (IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_GRE) or protonum not in PROTO_NAMES


V4_19_66: Final = Release(
    name="4.19.66",
    covers="4.19.y with the same-origin skip (READ: 4.19.66 to 4.19.95)",
    find_get=find_get_once,
    tuple_taken=taken_unless_same_origin,
    confirm=confirm_linking_one_by_one,
    resolve_clash=merge_unless_translated,
    chain_limit=None,
    hash_zone_id=no_zone,
    hash_conntrack_raw=hash_conntrack_raw_jhash,
    get_unique_tuple=get_unique_tuple,
    l4proto_unique_tuple=hint_per_protocol,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash,
    rng="prandom_u32",
    max_attempts=None,
    port_protocols=PORTS,
    allow_clash=allow_udp,
    secure_port=secure_port_fixed,
    new_connection=nat_and_confirm,
)
"""Rover; RANDOM is a keyed hash; a walk probes all but the last port of its window.

4e35c1cb9460 "netfilter: nf_nat: skip nat clash resolution for same-origin entries" is in this stable
level and not in 4.19.1 or 4.19.13.
"""

V6_12_117: Final = Release(
    name="6.12.117",
    covers="6.12.y from 6.12.75 on (READ: 6.12.117)",
    find_get=find_get_per_zone_id,
    tuple_taken=taken_unless_same_origin_and_zone,
    confirm=confirm_publishing_at_once,
    resolve_clash=merge_or_insert_reply_only,
    chain_limit=(50, 30),
    hash_zone_id=nf_ct_zone_id,
    hash_conntrack_raw=hash_conntrack_raw_siphash_39,
    get_unique_tuple=get_unique_tuple,
    l4proto_unique_tuple=bounded_rounds,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple_new,
    used_tuple_harder=nf_nat_used_tuple_harder,
    bysource_zone_id=bysource_zone_id,
    hash_by_src=hash_by_src_siphash,
    rng="get_random_u16",
    max_attempts=128,
    port_protocols=PORTS,
    allow_clash=allow_udp_gre_generic,
    secure_port=secure_port_reshuffled,
    new_connection=nat_and_confirm,
)
"""Bounded rounds from random starts; eviction of closing connections; reverse clashes are merged.

50d9ce9679dd "also check reverse tuple to obtain clashing entry" (6.12.34), 5ec8ca26fe93 "remove bogus
direction check" (6.12.64), 2d72afb34065 "fix crash due to removal of uninitialised entry" (6.12.40),
8a49fc8d8a3e (6.12.75: allow_clash for protocols without a tracker).
"""

RELEASES: Final = {k.name: k for k in (V4_19_66, V6_12_117)}
