# SPDX-License-Identifier: GPL-2.0-or-later
"""The by-source hash: where a connection is in the table of mappings by inside address and port.

Each function gives the bucket, below `size`, of t's source and protocol.  `net_hash_mix` is a u32 that
tells namespaces apart.  All raise OverflowError for an address or port that does not fit its field.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final, TypeAlias

from natmodel.hashes.bucket import modulo, reciprocal_scale
from natmodel.hashes.jhash import jhash2, jhash_3words, jhash_3words_lookup2
from natmodel.hashes.memory import M32, HashKeys, manip_bytes, native16, native32, u32_key
from natmodel.hashes.siphash import sip_key, siphash24
from natmodel.values import AF_INET, CtTuple

# (t, zone_id, net_hash_mix, keys, size) -> bucket
HashBySrc: TypeAlias = Callable[[CtTuple, int, int, HashKeys, int], int]

_U32_X3: Final = Struct("<3I")
_U32_X5: Final = Struct("<5I")


# ── jhash ───────────────────────────────────────────────────────────────────────────────────────


def hash_by_src_lookup2_modulo(
    t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys, size: int
) -> int:
    """lookup2 of source and protocol without a secret, divided by `size`; zones are not hashed.

    Only the first word of an address is hashed: IPv4, the one family that had NAT, has only one.
    Raises ZeroDivisionError where `size` is 0.
    kernel: hash_by_src (2.6.24)
    """
    return modulo(jhash_3words_lookup2(*_source_words(t), t.protonum, 0), size)


def hash_by_src_lookup2(
    t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys, size: int
) -> int:
    """lookup2 of source, protocol and zone without a secret; `net_hash_mix` is ignored.

    As in 2.6.24 only the first word of an address is hashed.
    kernel: hash_by_src (2.6.35)
    """
    src, sport = _source_words(t)
    return reciprocal_scale(jhash_3words_lookup2(src, sport ^ zone_id, t.protonum, 0), size)


def hash_by_src_jhash_3words(
    t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys, size: int
) -> int:
    """lookup3 of source, protocol and zone; `net_hash_mix` is ignored.

    The secret is the conntrack table's.  As in 2.6.24 only the first word of an address is hashed.
    kernel: hash_by_src (3.4.113)
    """
    src, sport = _source_words(t)
    return reciprocal_scale(
        jhash_3words(src, sport ^ zone_id, t.protonum, u32_key(keys.conntrack)), size
    )


def hash_by_src_jhash_zone(
    t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys, size: int
) -> int:
    """lookup3 of source, protocol and zone; `net_hash_mix` is ignored.

    The secret is the conntrack table's.
    kernel: hash_by_src (3.10.4, 3.14.1; so in 3.10 to 4.1)
    """
    return _scaled_jhash(t, zone_id ^ u32_key(keys.conntrack), size)


def hash_by_src_jhash_tuple(
    t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys, size: int
) -> int:
    """lookup3 of source and protocol and nothing else: `zone_id` and `net_hash_mix` are ignored.

    The secret is the conntrack table's.
    kernel: hash_by_src (4.4.155; so in 4.4 and 4.6)
    """
    return _scaled_jhash(t, u32_key(keys.conntrack), size)


def hash_by_src_jhash(
    t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys, size: int
) -> int:
    """lookup3 of source, protocol and namespace; `zone_id` is ignored.

    kernel: hash_by_src (4.19.66; so in 4.7 to 5.14, but for 4.9.0 to 4.13, which had another table)
    """
    return _scaled_jhash(t, net_hash_mix ^ u32_key(keys.by_source), size)


def _source_words(t: CtTuple) -> tuple[int, int]:
    """(first word of the source address, source port), as this host reads them."""
    first = t.src if t.l3num == AF_INET else t.src >> 96
    return native32(first), native16(t.sport)


def _scaled_jhash(t: CtTuple, seed: int, size: int) -> int:
    """The bucket of t's source half, port and l3num in one word; the protocol goes into the seed."""
    return reciprocal_scale(jhash2(_U32_X5.unpack(manip_bytes(t)), t.protonum ^ seed), size)


# ── siphash ─────────────────────────────────────────────────────────────────────────────────────


def hash_by_src_siphash(
    t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys, size: int
) -> int:
    """SipHash of source, protocol, namespace and zone.

    `zone_id` counts only for a zone of both directions: the caller passes 0 for any other.
    kernel: hash_by_src (6.12.117; so since 5.15)
    """
    data = manip_bytes(t) + _U32_X3.pack(net_hash_mix, t.protonum, zone_id)
    return reciprocal_scale(siphash24(data, sip_key(keys.by_source)) & M32, size)
