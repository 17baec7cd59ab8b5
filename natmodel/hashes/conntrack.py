# SPDX-License-Identifier: GPL-2.0-or-later
"""The conntrack hash: where a tuple is, or would be, in the conntrack table.

Each function gives a u32; the bucket is `reciprocal_scale` of it, and in 2.6.24 `modulo`.
`net_hash_mix` is a u32 that tells namespaces apart.  `zone_id` is what nf_ct_zone_id gives for t's
direction; before 4.3 a zone has no directions.  All raise OverflowError for an address or port that
does not fit its field.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final, TypeAlias

from natmodel.hashes.jhash import jhash2, jhash2_lookup2, jhash_2words_lookup2
from natmodel.hashes.memory import (
    M32,
    M64,
    HashKeys,
    address_bytes,
    manip_bytes,
    native16,
    tuple_bytes,
    u32_key,
)
from natmodel.hashes.siphash import sip_key, siphash24
from natmodel.values import CtTuple

# (t, zone_id, net_hash_mix, keys) -> u32
HashConntrackRaw: TypeAlias = Callable[[CtTuple, int, int, HashKeys], int]

_U32_X4: Final = Struct("<4I")
_U32_X9: Final = Struct("<9I")
_U64_X4: Final = Struct("<4Q")
# zone_id, net_hash_mix, destination port, protonum
_REST_OF_48: Final = Struct("<2I2H")


# ── jhash ───────────────────────────────────────────────────────────────────────────────────────


def hash_conntrack_raw_lookup2_halves(
    t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys
) -> int:
    """lookup2 of two lookup2, one of each address; neither zones nor namespaces are hashed.

    kernel: __hash_conntrack, before its division (2.6.24)
    """
    src = _U32_X4.unpack(address_bytes(t.l3num, t.src))
    dst = _U32_X4.unpack(address_bytes(t.l3num, t.dst))
    a = jhash2_lookup2(src, t.l3num << 16 | t.protonum)
    b = jhash2_lookup2(dst, native16(t.sport) << 16 | native16(t.dport))
    return jhash_2words_lookup2(a, b, u32_key(keys.conntrack))


def hash_conntrack_raw_lookup2(t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys) -> int:
    """lookup2 of the tuple; the zone is hashed, `net_hash_mix` ignored.

    kernel: __hash_conntrack, before its scaling (2.6.35)
    """
    return jhash2_lookup2(_nine_words(t), zone_id ^ _rnd_and_rest(t, keys))


def hash_conntrack_raw_jhash_zone(
    t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys
) -> int:
    """lookup3 of the tuple; the zone is hashed, `net_hash_mix` ignored.

    kernel: hash_conntrack_raw (3.4.113, 3.10.4, 3.14.1; so in 3.4 to 4.1)
    """
    return jhash2(_nine_words(t), zone_id ^ _rnd_and_rest(t, keys))


def hash_conntrack_raw_jhash_tuple(
    t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys
) -> int:
    """lookup3 of the tuple and nothing else: `zone_id` and `net_hash_mix` are ignored.

    kernel: hash_conntrack_raw (4.4.155; so in 4.4 and 4.6)
    """
    return jhash2(_nine_words(t), _rnd_and_rest(t, keys))


def hash_conntrack_raw_jhash(t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys) -> int:
    """lookup3 of the tuple; the namespace is hashed, `zone_id` ignored.

    kernel: hash_conntrack_raw (4.19.66; so in 4.7 to 5.14)
    """
    return jhash2(_nine_words(t), net_hash_mix ^ _rnd_and_rest(t, keys))


def _nine_words(t: CtTuple) -> tuple[int, ...]:
    """The tuple up to its destination address."""
    return _U32_X9.unpack(manip_bytes(t) + address_bytes(t.l3num, t.dst))


def _rnd_and_rest(t: CtTuple, keys: HashKeys) -> int:
    """The u32 secret, with the rest of the tuple folded in."""
    return u32_key(keys.conntrack) ^ (native16(t.dport) << 16 | t.protonum)


# ── siphash ─────────────────────────────────────────────────────────────────────────────────────


def hash_conntrack_raw_siphash_48(
    t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys
) -> int:
    """SipHash of a 48-byte copy of everything; only the low u32 is kept.

    kernel: hash_conntrack_raw (5.15.148, 5.17-rc5, 6.1.192; so in 5.15 to 6.1)
    """
    rest = _REST_OF_48.pack(zone_id, net_hash_mix, native16(t.dport), t.protonum)
    data = manip_bytes(t) + address_bytes(t.l3num, t.dst) + rest
    return siphash24(data, sip_key(keys.conntrack)) & M32


def hash_conntrack_raw_siphash_4u64(
    t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys
) -> int:
    """SipHash of four u64 into which everything is folded; only the low u32 is kept.

    For IPv4 the inner words of both addresses are 0, and nothing is lost.
    kernel: hash_conntrack_raw (6.2 to 6.4.4)
    """
    s0, s1, s2, s3 = _U32_X4.unpack(address_bytes(t.l3num, t.src))
    d0, d1, d2, d3 = _U32_X4.unpack(address_bytes(t.l3num, t.dst))
    rest = native16(t.sport) << 32 | native16(t.dport) << 16 | t.protonum
    data = _U64_X4.pack(
        s0 << 32 | s3,
        d0 << 32 | d3,
        rest ^ (s1 << 32 | s2),
        (zone_id << 32 | net_hash_mix) + (d1 << 32 | d2) & M64,
    )
    return siphash24(data, sip_key(keys.conntrack)) & M32


def hash_conntrack_raw_siphash_39(
    t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys
) -> int:
    """SipHash of the tuple's 39 bytes; zone and namespace go into the key.  The low u32 is kept.

    kernel: hash_conntrack_raw (6.12.117; so since 6.4.5)
    """
    k0, k1 = sip_key(keys.conntrack)
    return siphash24(tuple_bytes(t), (k0 ^ zone_id, k1 ^ net_hash_mix)) & M32
