# SPDX-License-Identifier: GPL-2.0-or-later
"""The conntrack hash: where a tuple is, or would be, in the conntrack table."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final, TypeAlias

from natmodel.hashes.jhash import jhash2
from natmodel.hashes.memory import (
    M32,
    U32,
    HashKeys,
    address_bytes,
    manip_bytes,
    native16,
    tuple_bytes,
)
from natmodel.hashes.siphash import sip_key, siphash24
from natmodel.values import CtTuple

# (t, zone_id, net_hash_mix, keys) -> u32
HashConntrackRaw: TypeAlias = Callable[[CtTuple, int, int, HashKeys], int]

_U32_X9: Final = Struct("<9I")


def hash_conntrack_raw_jhash(t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys) -> int:
    """The u32 that places `t` in the conntrack table; zones are not hashed.

    `zone_id` is ignored; `net_hash_mix` is a u32.  The bucket is reciprocal_scale of the result.
    Raises OverflowError for an address or port that does not fit its field.
    kernel: hash_conntrack_raw (4.19.66; so in 4.7 to 5.14)
    """
    (rnd,) = U32.unpack_from(keys.conntrack)
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
    k0, k1 = sip_key(keys.conntrack)
    return siphash24(tuple_bytes(t), (k0 ^ zone_id, k1 ^ net_hash_mix)) & M32
