# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel passes around by value: tuples, ranges, zones, connections.

Everything here is frozen and hashable.  Addresses, ports, ids and GRE keys are host-order integers;
`hashes` alone knows the bytes they have in memory.  Constants carry the kernel's names and numbers.
"""

from __future__ import annotations

import ipaddress
from enum import Enum
from types import MappingProxyType
from typing import Final

import attrs

AF_INET: Final = 2
AF_INET6: Final = 10

IPPROTO_ICMP: Final = 1
IPPROTO_TCP: Final = 6
IPPROTO_UDP: Final = 17
IPPROTO_DCCP: Final = 33
IPPROTO_GRE: Final = 47
IPPROTO_ICMPV6: Final = 58
IPPROTO_SCTP: Final = 132
IPPROTO_UDPLITE: Final = 136

PROTO_NAMES: Final = MappingProxyType(
    {
        IPPROTO_ICMP: "icmp",
        IPPROTO_TCP: "tcp",
        IPPROTO_UDP: "udp",
        IPPROTO_DCCP: "dccp",
        IPPROTO_GRE: "gre",
        IPPROTO_ICMPV6: "icmpv6",
        IPPROTO_SCTP: "sctp",
        IPPROTO_UDPLITE: "udplite",
    }
)

# enum ip_conntrack_dir
IP_CT_DIR_ORIGINAL: Final = 0
IP_CT_DIR_REPLY: Final = 1

# enum ip_conntrack_status
IPS_EXPECTED: Final = 0x1
IPS_SEEN_REPLY: Final = 0x2
IPS_ASSURED: Final = 0x4
IPS_CONFIRMED: Final = 0x8
IPS_SRC_NAT: Final = 0x10
IPS_DST_NAT: Final = 0x20
IPS_NAT_MASK: Final = IPS_SRC_NAT | IPS_DST_NAT
IPS_SEQ_ADJUST_BIT: Final = 6
IPS_SEQ_ADJUST: Final = 1 << IPS_SEQ_ADJUST_BIT
IPS_SRC_NAT_DONE: Final = 0x80
IPS_DST_NAT_DONE: Final = 0x100
IPS_NAT_DONE_MASK: Final = IPS_SRC_NAT_DONE | IPS_DST_NAT_DONE
IPS_DYING: Final = 0x200
IPS_FIXED_TIMEOUT: Final = 0x400
IPS_TEMPLATE: Final = 0x800
IPS_NAT_CLASH: Final = 0x1000
IPS_HELPER: Final = 0x2000
IPS_OFFLOAD: Final = 0x4000
IPS_HW_OFFLOAD: Final = 0x8000

STATUS_NAMES: Final = {
    "EXPECTED": IPS_EXPECTED,
    "SEEN_REPLY": IPS_SEEN_REPLY,
    "ASSURED": IPS_ASSURED,
    "CONFIRMED": IPS_CONFIRMED,
    "SRC_NAT": IPS_SRC_NAT,
    "DST_NAT": IPS_DST_NAT,
    "SEQ_ADJUST": IPS_SEQ_ADJUST,
    "SRC_NAT_DONE": IPS_SRC_NAT_DONE,
    "DST_NAT_DONE": IPS_DST_NAT_DONE,
    "DYING": IPS_DYING,
    "FIXED_TIMEOUT": IPS_FIXED_TIMEOUT,
    "TEMPLATE": IPS_TEMPLATE,
    "NAT_CLASH": IPS_NAT_CLASH,
    "HELPER": IPS_HELPER,
    "OFFLOAD": IPS_OFFLOAD,
    "HW_OFFLOAD": IPS_HW_OFFLOAD,
}

# enum tcp_conntrack
TCP_CONNTRACK_NONE: Final = 0
TCP_CONNTRACK_SYN_SENT: Final = 1
TCP_CONNTRACK_SYN_RECV: Final = 2
TCP_CONNTRACK_ESTABLISHED: Final = 3
TCP_CONNTRACK_FIN_WAIT: Final = 4
TCP_CONNTRACK_CLOSE_WAIT: Final = 5
TCP_CONNTRACK_LAST_ACK: Final = 6
TCP_CONNTRACK_TIME_WAIT: Final = 7
TCP_CONNTRACK_CLOSE: Final = 8
TCP_CONNTRACK_SYN_SENT2: Final = 9
TCP_STATES: Final = (
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
)

# struct nf_nat_range2 flags
NF_NAT_RANGE_MAP_IPS: Final = 1
NF_NAT_RANGE_PROTO_SPECIFIED: Final = 2
NF_NAT_RANGE_PROTO_RANDOM: Final = 4
NF_NAT_RANGE_PERSISTENT: Final = 8
NF_NAT_RANGE_PROTO_RANDOM_FULLY: Final = 16
NF_NAT_RANGE_PROTO_OFFSET: Final = 32
NF_NAT_RANGE_NETMAP: Final = 64
NF_NAT_RANGE_PROTO_RANDOM_ALL: Final = NF_NAT_RANGE_PROTO_RANDOM | NF_NAT_RANGE_PROTO_RANDOM_FULLY

RANGE_FLAG_NAMES: Final = {
    "MAP_IPS": NF_NAT_RANGE_MAP_IPS,
    "PROTO_SPECIFIED": NF_NAT_RANGE_PROTO_SPECIFIED,
    "PROTO_RANDOM": NF_NAT_RANGE_PROTO_RANDOM,
    "PERSISTENT": NF_NAT_RANGE_PERSISTENT,
    "PROTO_RANDOM_FULLY": NF_NAT_RANGE_PROTO_RANDOM_FULLY,
    "PROTO_OFFSET": NF_NAT_RANGE_PROTO_OFFSET,
    "NETMAP": NF_NAT_RANGE_NETMAP,
}

# nf_hook verdicts
NF_DROP: Final = 0
NF_ACCEPT: Final = 1


class Manip(Enum):
    """enum nf_nat_manip_type."""

    SRC = 0
    DST = 1

    # Enum's own hash goes through the name; identity is enough and four times faster.
    __hash__ = object.__hash__


def u16(value: int) -> int:
    """The value a kernel u16 would hold."""
    return value & 0xFFFF


def u32(value: int) -> int:
    """The value a kernel u32 would hold."""
    return value & 0xFFFFFFFF


@attrs.frozen(cache_hash=True)
class CtTuple:
    """struct nf_conntrack_tuple without its dst.dir, which no comparison looks at.

    `sport` is the source port, the ICMP id (either direction) or the GRE source key; `dport` is the
    destination port, ICMP type * 256 + code, or the GRE destination key.  Unknown protocols have 0.
    """

    l3num: int
    protonum: int
    src: int
    sport: int
    dst: int
    dport: int

    def with_src(self, src: int) -> CtTuple:
        return CtTuple(self.l3num, self.protonum, src, self.sport, self.dst, self.dport)

    def with_dst(self, dst: int) -> CtTuple:
        return CtTuple(self.l3num, self.protonum, self.src, self.sport, dst, self.dport)

    def with_sport(self, sport: int) -> CtTuple:
        return CtTuple(self.l3num, self.protonum, self.src, sport, self.dst, self.dport)

    def with_dport(self, dport: int) -> CtTuple:
        return CtTuple(self.l3num, self.protonum, self.src, self.sport, self.dst, dport)

    @property
    def key(self) -> tuple[int, ...]:
        """All fields: something to sort by."""
        return self.l3num, self.protonum, self.src, self.sport, self.dst, self.dport

    def __str__(self) -> str:
        if self.protonum in (IPPROTO_ICMP, IPPROTO_ICMPV6):
            ends = (address_text(self.l3num, self.src), address_text(self.l3num, self.dst))
            kind, code = divmod(self.dport, 256)
            return (
                f"{proto_text(self.protonum)} {ends[0]} > {ends[1]} id {self.sport} {kind}/{code}"
            )
        src = endpoint_text(self.l3num, self.src, self.sport)
        return (
            f"{proto_text(self.protonum)} {src} > {endpoint_text(self.l3num, self.dst, self.dport)}"
        )


# icmp_invert_tuple / icmpv6_invert_tuple: the type an answer to this type has.
ICMP_INVMAP: Final = MappingProxyType({8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17})
ICMPV6_INVMAP: Final = MappingProxyType({128: 129, 129: 128, 139: 140, 140: 139})


def nf_ct_invert_tuple(t: CtTuple) -> CtTuple:
    """The tuple an answer to `t` has: ends swapped; ICMP keeps its id and maps its type.

    Raises ValueError for an ICMP type that has no answer (the kernel then tracks nothing).
    kernel: nf_ct_invert_tuple, icmp_invert_tuple, icmpv6_invert_tuple (4.19.66, 6.12.117)
    """
    if t.protonum == IPPROTO_ICMP or t.protonum == IPPROTO_ICMPV6:
        invmap = ICMP_INVMAP if t.protonum == IPPROTO_ICMP else ICMPV6_INVMAP
        kind, code = divmod(t.dport, 256)
        if kind not in invmap:
            raise ValueError(f"{proto_text(t.protonum)} type {kind} has no answer")
        return CtTuple(t.l3num, t.protonum, t.dst, t.sport, t.src, invmap[kind] * 256 + code)
    return CtTuple(t.l3num, t.protonum, t.dst, t.dport, t.src, t.sport)


@attrs.frozen(cache_hash=True)
class NatRange:
    """struct nf_nat_range2: what a rule (or a null binding) asks for.

    Addresses are integers of the packet's own family; ports are host order.
    """

    flags: int = 0
    min_addr: int = 0
    max_addr: int = 0
    min_proto: int = 0
    max_proto: int = 0
    base_proto: int = 0


@attrs.frozen(cache_hash=True)
class Zone:
    """struct nf_conntrack_zone: dir is a bit set, 1 = ORIGINAL, 2 = REPLY."""

    id: int = 0
    dir: int = 3


DEFAULT_ZONE: Final = Zone()


def nf_ct_zone_id(zone: Zone, direction: int) -> int:
    """The zone's id as seen in `direction`; 0 where the zone does not cover it."""
    return zone.id if zone.dir & (1 << direction) else 0


@attrs.frozen(cache_hash=True)
class IpCtTcp:
    """struct ip_ct_tcp, but for `state` and seen[0].td_end, which have fields of their own in Conn.

    seen[1].td_end is not kept: only the window test, which is not modelled, would look at it.
    Pairs are indexed by direction.  `td_maxack` is the highest acknowledgement that a side has sent,
    None before its first; `close_init` says which side began to close; `last_index` is the class of
    the last segment that was recorded (natmodel/paths/nf_conntrack_proto_tcp.py), `last_dir` its
    direction, `last_end` its end (u32).
    """

    td_maxack: tuple[int | None, int | None] = (None, None)
    close_init: tuple[bool, bool] = (False, False)
    last_index: int = 0
    last_dir: int = IP_CT_DIR_ORIGINAL
    last_end: int = 0
    simultaneous_open: bool = False


NO_SEGMENT: Final = IpCtTcp()


@attrs.frozen(cache_hash=True)
class TcpHdr:
    """struct tcphdr, as far as the tracker looks at it; `payload` is in bytes."""

    seq: int = 0
    ack_seq: int = 0
    syn: bool = False
    ack: bool = False
    fin: bool = False
    rst: bool = False
    payload: int = 0


@attrs.frozen(cache_hash=True)
class Conn:
    """struct nf_conn, as far as tuple selection and confirm can see it.

    `timeout` is relative to now in jiffies: an entry with timeout <= 0 has expired; for a connection
    that is not confirmed it is the value that confirm will add to now.  `td_end` is
    proto.tcp.seen[0].td_end (u32).  `refcount` 0 means: being freed, but still hashed.  `ext_genid` is
    ct->ext->gen_id; 0: no extension, or none whose age confirm still minds.
    """

    id: int
    orig: CtTuple
    reply: CtTuple
    status: int = 0
    zone: Zone = DEFAULT_ZONE
    net: int = 0
    tcp_state: int = TCP_CONNTRACK_NONE
    td_end: int = 0
    timeout: int = 30000
    refcount: int = 1
    has_master: bool = False
    local_origin: bool = False
    tcp: IpCtTcp = NO_SEGMENT
    ext_genid: int = 0

    def tuplehash(self, direction: int) -> CtTuple:
        """kernel: ct->tuplehash[direction].tuple"""
        return self.reply if direction else self.orig


def proto_text(protonum: int) -> str:
    """tcp, udp, ...; the bare number for a protocol without a tracker."""
    return PROTO_NAMES.get(protonum, str(protonum))


def address_text(l3num: int, address: int) -> str:
    """Dotted quad, or RFC 5952 text."""
    return str(
        ipaddress.IPv4Address(address) if l3num == AF_INET else ipaddress.IPv6Address(address)
    )


def endpoint_text(l3num: int, address: int, port: int) -> str:
    """192.0.2.1:80, or [2001:db8::1]:80."""
    text = address_text(l3num, address)
    return f"{text}:{port}" if l3num == AF_INET else f"[{text}]:{port}"


def parse_address(text: str) -> tuple[int, int]:
    """(l3num, integer) of an address.  Raises ValueError."""
    address = ipaddress.ip_address(text)
    return (AF_INET if address.version == 4 else AF_INET6), int(address)


def status_text(status: int) -> str:
    """The names of the bits that are set, without IPS_."""
    return " ".join(name for name, bit in STATUS_NAMES.items() if status & bit)
