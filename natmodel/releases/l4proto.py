# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables of layer 4 protocols: who is tracked, whose ports NAT can change, which clashes can be resolved.

A protocol without a tracker is "generic": its tuples have no keys, and NAT changes addresses only.
"""

from __future__ import annotations

from typing import Final

from natmodel.values import (
    IPPROTO_DCCP,
    IPPROTO_GRE,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPPROTO_UDPLITE,
    PROTO_NAMES,
)

TRACKERS: Final = frozenset(PROTO_NAMES)
TRACKERS_2_6_24: Final = TRACKERS - {IPPROTO_DCCP}
# fd72f265bb00 "conntrack: remove DCCP protocol support"
TRACKERS_6_16: Final = TRACKERS - {IPPROTO_DCCP}
TRACKERS_7_1: Final = TRACKERS_6_16 - {IPPROTO_UDPLITE}

PORTS: Final = frozenset({IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_SCTP, IPPROTO_DCCP})
# no NAT module for the others yet
PORTS_2_6_24: Final = frozenset({IPPROTO_TCP, IPPROTO_UDP})
PORTS_6_16: Final = PORTS - {IPPROTO_DCCP}
PORTS_7_1: Final = PORTS_6_16 - {IPPROTO_UDPLITE}


# ── l4proto.allow_clash ─────────────────────────────────────────────────────────────────────────


def allow_none(protonum: int) -> bool:
    """There is no such field (<= 4.6)."""
    return False


def allow_udp(protonum: int) -> bool:
    """UDP and UDPLITE (4.7 .. 6.4)."""
    return protonum in (IPPROTO_UDP, IPPROTO_UDPLITE)


def allow_udp_generic(protonum: int) -> bool:
    """UDP, UDPLITE and protocols without a tracker (stable 5.10.252, 5.15.202, 6.1.165)."""
    return protonum in (IPPROTO_UDP, IPPROTO_UDPLITE) or protonum not in TRACKERS


def allow_udp_gre(protonum: int) -> bool:
    """UDP, UDPLITE and GRE (6.5 .. 6.18)."""
    return protonum in (IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_GRE)


def allow_udp_gre_generic(protonum: int) -> bool:
    """UDP, UDPLITE, GRE and protocols without a tracker (stable 6.12.75)."""
    return protonum in (IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_GRE) or protonum not in TRACKERS


def allow_udp_gre_generic_6_16(protonum: int) -> bool:
    """As allow_udp_gre_generic; DCCP has no tracker any more (6.19)."""
    return protonum in (IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_GRE) or protonum not in TRACKERS_6_16


def allow_all_but_tcp_sctp(protonum: int) -> bool:
    """UDP, UDPLITE, GRE, ICMP, ICMPv6 and protocols without a tracker (7.0 .. 7.3.4)."""
    return protonum not in (IPPROTO_TCP, IPPROTO_SCTP)
