# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's hashes, bit for bit: the same secrets and tuple give the same bucket and port.

The host is little-endian.  A tuple in memory is: source address 16 bytes, source port 2, l3num 2,
destination address 16, destination port 2, protonum 1.  Addresses and ports are in network order
(an IPv4 address is followed by 12 zero bytes), l3num is native; where the kernel reads a
network-order word as a number, that number is byte-swapped here.

The functions of a family (`hash_conntrack_raw_*`, `hash_by_src_*`, `secure_port_*`) have one
signature, so that a release row can hold any of them; an argument that a variant has no use for is
ignored.  Nothing here is drawn at random: the secrets of one boot are a `HashKeys`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final, TypeAlias

import attrs

from natmodel.values import (
    AF_INET,
    NF_NAT_RANGE_MAP_IPS,
    NF_NAT_RANGE_PERSISTENT,
    CtTuple,
    Manip,
    NatRange,
)

# Ticks per second of the modelled kernels (CONFIG_HZ).
HZ: Final = 250
EPHEMERAL_PORT_SHUFFLE_PERIOD: Final = 10 * HZ

# siphash_key_t: two u64, as read by a little-endian host.
SipKey: TypeAlias = tuple[int, int]

_M32: Final = 0xFFFFFFFF
_M64: Final = 0xFFFFFFFFFFFFFFFF
_U64: Final = Struct("<Q")
_U64_X2: Final = Struct("<2Q")
_U32: Final = Struct("<I")
_U32_X3: Final = Struct("<3I")
_U32_X4: Final = Struct("<4I")
_U32_X5: Final = Struct("<5I")
_U32_X9: Final = Struct("<9I")
_BE32_X4: Final = Struct(">4I")
_IPV4_PADDING: Final = bytes(12)
_IPV4_PORT_PADDING: Final = bytes(2)


@attrs.frozen(cache_hash=True)
class HashKeys:
    """The secrets of one boot, as the bytes they have in memory.

    `conntrack` (16 bytes) is nf_conntrack_hash_rnd, `by_source` (16 bytes) nf_nat_hash_rnd: jhash
    reads the first four bytes as a u32, siphash reads all as two u64.  `net_secret` (64 bytes) is
    that of net/core/secure_seq.c; siphash releases have, and read, only its first 16 bytes.
    Raises ValueError for another length.
    """

    conntrack: bytes = attrs.field()
    by_source: bytes = attrs.field()
    net_secret: bytes = attrs.field()

    @conntrack.validator
    @by_source.validator
    @net_secret.validator
    def _check_length(self, attribute: attrs.Attribute[bytes], value: bytes) -> None:
        length = 64 if attribute.name == "net_secret" else 16
        if len(value) != length:
            raise ValueError(f"{attribute.name}: {len(value)} bytes given, {length} needed")

    @classmethod
    def counting(cls) -> HashKeys:
        """00 01 02 ... 5f, running on from key to key: the keys of the test vectors."""
        return cls(bytes(range(0x10)), bytes(range(0x10, 0x20)), bytes(range(0x20, 0x60)))


# (t, zone_id, net_hash_mix, keys) -> u32
HashConntrackRaw: TypeAlias = Callable[[CtTuple, int, int, HashKeys], int]
# (t, zone_id, net_hash_mix, keys, size) -> bucket
HashBySrc: TypeAlias = Callable[[CtTuple, int, int, HashKeys, int], int]
# (l3num, saddr, daddr, dport, jiffies, keys) -> u32 or u64
SecurePortEphemeral: TypeAlias = Callable[[int, int, int, int, int, HashKeys], int]


# ── what values look like in memory ─────────────────────────────────────────────────────────────


def address_bytes(l3num: int, address: int) -> bytes:
    """The 16 bytes of union nf_inet_addr.  Raises OverflowError if the family cannot hold it.

    kernel: union nf_inet_addr (4.19.66, 6.12.117)
    """
    if l3num == AF_INET:
        return address.to_bytes(4, "big") + _IPV4_PADDING
    return address.to_bytes(16, "big")


def manip_bytes(t: CtTuple) -> bytes:
    """The 20 bytes of t's source half: address, port, l3num.  Raises OverflowError as above.

    kernel: struct nf_conntrack_man (4.19.66, 6.12.117)
    """
    return (
        address_bytes(t.l3num, t.src) + t.sport.to_bytes(2, "big") + t.l3num.to_bytes(2, "little")
    )


def tuple_bytes(t: CtTuple) -> bytes:
    """The first 39 bytes of a tuple: all but its dst.dir.  Raises OverflowError as above.

    kernel: struct nf_conntrack_tuple (4.19.66, 6.12.117)
    """
    return (
        manip_bytes(t)
        + address_bytes(t.l3num, t.dst)
        + t.dport.to_bytes(2, "big")
        + t.protonum.to_bytes(1, "little")
    )


def sip_key(raw: bytes) -> SipKey:
    """A siphash key from its 16 bytes in memory.  Raises struct.error for another length.

    kernel: siphash_key_t (4.12 and later)
    """
    k0, k1 = _U64_X2.unpack(raw)
    return k0, k1


def native16(port: int) -> int:
    """The u16 that this host reads where a host-order `port` lies in network order.

    Raises OverflowError for a port past 65535.
    """
    return int.from_bytes(port.to_bytes(2, "big"), "little")


def native32(address: int) -> int:
    """The u32 that this host reads where a host-order IPv4 `address` lies in network order.

    Raises OverflowError for a longer address.
    """
    return int.from_bytes(address.to_bytes(4, "big"), "little")


# ── jhash (lookup3) ─────────────────────────────────────────────────────────────────────────────


def jhash2(words: Sequence[int], initval: int) -> int:
    """Bob Jenkins' lookup3 over u32 `words`, seeded by a u32; a u32.

    kernel: jhash2 (4.19.66, 6.12.117)
    """
    left = len(words)
    a = b = c = 0xDEADBEEF + 4 * left + initval & _M32
    at = 0
    while left > 3:
        a, b, c = _jhash_mix(a + words[at], b + words[at + 1], c + words[at + 2])
        at += 3
        left -= 3
    if left == 0:
        return c
    if left == 3:
        c += words[at + 2]
    if left >= 2:
        b += words[at + 1]
    return _jhash_final(a + words[at], b, c)


def _jhash_mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    """Stir three words, reversibly.  The arguments may have grown past 32 bits."""
    m = _M32
    b &= m
    c &= m
    a = (a - c & m) ^ (c << 4 & m | c >> 28)
    c = c + b & m
    b = (b - a & m) ^ (a << 6 & m | a >> 26)
    a = a + c & m
    c = (c - b & m) ^ (b << 8 & m | b >> 24)
    b = b + a & m
    a = (a - c & m) ^ (c << 16 & m | c >> 16)
    c = c + b & m
    b = (b - a & m) ^ (a << 19 & m | a >> 13)
    a = a + c & m
    c = (c - b & m) ^ (b << 4 & m | b >> 28)
    b = b + a & m
    return a, b, c


def _jhash_final(a: int, b: int, c: int) -> int:
    """Force three words into one.  The arguments may have grown past 32 bits."""
    m = _M32
    b &= m
    c = (c ^ b) - (b << 14 | b >> 18) & m
    a = (a ^ c) - (c << 11 | c >> 21) & m
    b = (b ^ a) - (a << 25 | a >> 7) & m
    c = (c ^ b) - (b << 16 | b >> 16) & m
    a = (a ^ c) - (c << 4 | c >> 28) & m
    b = (b ^ a) - (a << 14 | a >> 18) & m
    return (c ^ b) - (b << 24 | b >> 8) & m


def reciprocal_scale(val: int, ep_ro: int) -> int:
    """A u32 `val` scaled down to 0..ep_ro-1, without a division; 0 where ep_ro is 0.

    kernel: reciprocal_scale (4.19.66, 6.12.117)
    """
    return val * ep_ro >> 32


# ── SipHash-2-4 ─────────────────────────────────────────────────────────────────────────────────


def siphash24(data: bytes, key: SipKey) -> int:
    """Aumasson and Bernstein's SipHash-2-4 of any bytes; a u64.

    kernel: siphash, siphash_3u32, siphash_4u32 (4.19.66, 6.12.117), which differ only in how they
    are handed their bytes
    """
    length = len(data)
    # The last word ends with the length's low byte, after what is left of the data.
    padded = data + bytes(7 - (length & 7)) + bytes((length & 0xFF,))
    k0, k1 = key
    v0 = 0x736F6D6570736575 ^ k0
    v1 = 0x646F72616E646F6D ^ k1
    v2 = 0x6C7967656E657261 ^ k0
    v3 = 0x7465646279746573 ^ k1
    for (word,) in _U64.iter_unpack(padded):
        v0, v1, v2, v3 = _sip_rounds(2, v0, v1, v2, v3 ^ word)
        v0 ^= word
    v0, v1, v2, v3 = _sip_rounds(4, v0, v1, v2 ^ 0xFF, v3)
    return v0 ^ v1 ^ v2 ^ v3


def _sip_rounds(n: int, v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    """n SipRounds.  Rotations are written out: a call for each would double the time."""
    m = _M64
    for _ in range(n):
        v0 = v0 + v1 & m
        v2 = v2 + v3 & m
        v1 = (v1 << 13 & m | v1 >> 51) ^ v0
        v3 = (v3 << 16 & m | v3 >> 48) ^ v2
        v0 = (v0 << 32 & m | v0 >> 32) + v3 & m
        v2 = v2 + v1 & m
        v3 = (v3 << 21 & m | v3 >> 43) ^ v0
        v1 = (v1 << 17 & m | v1 >> 47) ^ v2
        v2 = v2 << 32 & m | v2 >> 32
    return v0, v1, v2, v3


# ── the conntrack hash ──────────────────────────────────────────────────────────────────────────


def hash_conntrack_raw_jhash(t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys) -> int:
    """The u32 that places `t` in the conntrack table; zones are not hashed.

    `zone_id` is ignored; `net_hash_mix` is a u32.  The bucket is reciprocal_scale of the result.
    Raises OverflowError for an address or port that does not fit its field.
    kernel: hash_conntrack_raw (4.19.66; so in 4.7 to 5.14)
    """
    (rnd,) = _U32.unpack_from(keys.conntrack)
    words = _U32_X9.unpack(manip_bytes(t) + address_bytes(t.l3num, t.dst))
    return jhash2(words, rnd ^ net_hash_mix ^ (native16(t.dport) << 16 | t.protonum))


def hash_conntrack_raw_siphash_39(
    t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys
) -> int:
    """The u32 that places `t` in the conntrack table; zone and namespace go into the key.

    `zone_id` is what nf_ct_zone_id gives for t's direction, `net_hash_mix` is a u32.  The bucket is
    reciprocal_scale of the result.
    Raises OverflowError for an address or port that does not fit its field.
    kernel: hash_conntrack_raw (6.12.117; so since 6.5)
    """
    k0, k1 = _U64_X2.unpack(keys.conntrack)
    return siphash24(tuple_bytes(t), (k0 ^ zone_id, k1 ^ net_hash_mix)) & _M32


# ── the by-source hash ──────────────────────────────────────────────────────────────────────────


def hash_by_src_jhash(
    t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys, size: int
) -> int:
    """The bucket, below `size`, of t's source and protocol; zones are not hashed.

    `zone_id` is ignored; `net_hash_mix` is a u32.
    Raises OverflowError for an address or port that does not fit its field.
    kernel: hash_by_src (4.19.66; so in 4.7 to 5.14, but for 4.9 to 4.13, which had another table)
    """
    (rnd,) = _U32.unpack_from(keys.by_source)
    raw = jhash2(_U32_X5.unpack(manip_bytes(t)), t.protonum ^ rnd ^ net_hash_mix)
    return reciprocal_scale(raw, size)


def hash_by_src_siphash(
    t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys, size: int
) -> int:
    """The bucket, below `size`, of t's source and protocol.

    `zone_id` counts only for a zone of both directions: the caller passes 0 for any other.
    `net_hash_mix` is a u32.
    Raises OverflowError for an address or port that does not fit its field.
    kernel: hash_by_src (6.12.117; so since 5.15)
    """
    data = manip_bytes(t) + _U32_X3.pack(net_hash_mix, t.protonum, zone_id)
    return reciprocal_scale(siphash24(data, sip_key(keys.by_source)) & _M32, size)


# ── the port hash ───────────────────────────────────────────────────────────────────────────────


def secure_port_fixed(
    l3num: int, saddr: int, daddr: int, dport: int, jiffies: int, keys: HashKeys
) -> int:
    """A u32 that stays the same for as long as the machine is up; `jiffies` is ignored.

    NAT keeps its low 16 bits, and passes the other end's port as `dport`: t.dport for SRC, t.sport
    for DST.  Raises OverflowError for an address or port that does not fit its field.
    kernel: secure_ipv4_port_ephemeral, secure_ipv6_port_ephemeral (4.19.66; so in 4.12 to 5.17)
    """
    port = dport.to_bytes(2, "big")
    if l3num == AF_INET:
        # siphash_3u32: the port has a u32 of its own.
        data = saddr.to_bytes(4, "big") + daddr.to_bytes(4, "big") + port + _IPV4_PORT_PADDING
    else:
        # A structure that is hashed up to the end of the port: 34 bytes.
        data = saddr.to_bytes(16, "big") + daddr.to_bytes(16, "big") + port
    return siphash24(data, sip_key(keys.net_secret[:16])) & _M32


def secure_port_reshuffled(
    l3num: int, saddr: int, daddr: int, dport: int, jiffies: int, keys: HashKeys
) -> int:
    """A u64 that changes every 10 seconds; `jiffies` counts ticks of 1/HZ s.

    The NAT of these releases asks for none; where an older NAT got it as a backport, it passes
    `dport` and keeps 16 bits as said at `secure_port_fixed`.
    Raises OverflowError for an address or port that does not fit its field.
    kernel: secure_ipv4_port_ephemeral, secure_ipv6_port_ephemeral (6.12.117; so since 5.18)
    """
    port = dport.to_bytes(2, "big")
    timeseed = _U32.pack(jiffies // EPHEMERAL_PORT_SHUFFLE_PERIOD & _M32)
    if l3num == AF_INET:
        # siphash_4u32: the time comes last.
        ends = saddr.to_bytes(4, "big") + daddr.to_bytes(4, "big")
        data = ends + port + _IPV4_PORT_PADDING + timeseed
    else:
        # In the structure the time stands before the port: 38 bytes.
        data = saddr.to_bytes(16, "big") + daddr.to_bytes(16, "big") + timeseed + port
    return siphash24(data, sip_key(keys.net_secret[:16]))


# ── the address choice ──────────────────────────────────────────────────────────────────────────


def best_ips_hash(t: CtTuple, range_: NatRange, zone_id: int) -> tuple[int, int]:
    """(initval, j): the u32s that an address choice starts from, whether or not one is made.

    kernel: the jhash2 call of find_best_ips_proto (4.19.66, 6.12.117)
    """
    initval = 0
    if not range_.flags & NF_NAT_RANGE_PERSISTENT:
        # The last word of the destination; an IPv4 address has only one.
        initval = native32(t.dst & _M32) ^ zone_id
    return initval, jhash2(_U32_X4.unpack(address_bytes(t.l3num, t.src)), initval)


def find_best_ips(t: CtTuple, range_: NatRange, zone_id: int, manip: Manip) -> int:
    """The address that `range_` gives t's `manip` end: a host-order integer of t's family.

    Without MAP_IPS that is the address it has.  `zone_id` is the zone's id whatever its directions.
    The range's addresses must be of t's family: for IPv4 nothing checks that.
    kernel: find_best_ips_proto (4.19.66, 6.12.117; so since 3.7)
    """
    if not range_.flags & NF_NAT_RANGE_MAP_IPS:
        return t.src if manip is Manip.SRC else t.dst
    if range_.min_addr == range_.max_addr:
        return range_.min_addr
    _, j = best_ips_hash(t, range_, zone_id)
    if t.l3num == AF_INET:
        return _spread(j, range_.min_addr, range_.max_addr)
    return _find_best_ip6(t, range_, j, manip)


def _find_best_ip6(t: CtTuple, range_: NatRange, j: int, manip: Manip) -> int:
    """Word by word, high to low.  Once a word differs from max's, the lower ones are unbounded."""
    lows = _BE32_X4.unpack(range_.min_addr.to_bytes(16, "big"))
    highs = _BE32_X4.unpack(range_.max_addr.to_bytes(16, "big"))
    dsts = _BE32_X4.unpack(t.dst.to_bytes(16, "big"))
    chosen = 0
    full_range = False
    for low, high, dst in zip(lows, highs, dsts, strict=True):
        # Unbounded is one value short of all 2^32: the kernel scales to ~0 here, without + 1.
        word = reciprocal_scale(j, _M32) if full_range else _spread(j, low, high)
        chosen = chosen << 32 | word
        full_range = full_range or word != high
        if not range_.flags & NF_NAT_RANGE_PERSISTENT:
            # Under DST the kernel has already overwritten the destination that it mixes in.
            j ^= native32(word if manip is Manip.DST else dst)
    return chosen


def _spread(j: int, low: int, high: int) -> int:
    """low..high scaled by j in u32 arithmetic: of 0..~0 the width wraps to 0, giving `low`."""
    return low + reciprocal_scale(j, high - low + 1 & _M32) & _M32
