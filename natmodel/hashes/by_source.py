# SPDX-License-Identifier: GPL-2.0-or-later
"""The by-source hash: where a connection is in the table that remembers mappings by inside end."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final, TypeAlias

from natmodel.hashes.bucket import reciprocal_scale
from natmodel.hashes.jhash import jhash2
from natmodel.hashes.memory import M32, U32, HashKeys, manip_bytes
from natmodel.hashes.siphash import sip_key, siphash24
from natmodel.values import CtTuple

# (t, zone_id, net_hash_mix, keys, size) -> bucket
HashBySrc: TypeAlias = Callable[[CtTuple, int, int, HashKeys, int], int]

_U32_X3: Final = Struct("<3I")
_U32_X5: Final = Struct("<5I")


def hash_by_src_jhash(
    t: CtTuple, zone_id: int, net_hash_mix: int, keys: HashKeys, size: int
) -> int:
    """The bucket, below `size`, of t's source and protocol; zones are not hashed.

    `zone_id` is ignored; `net_hash_mix` is a u32.
    Raises OverflowError for an address or port that does not fit its field.
    kernel: hash_by_src (4.19.66; so in 4.7 to 5.14, but for 4.9 to 4.13, which had another table)
    """
    (rnd,) = U32.unpack_from(keys.by_source)
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
    return reciprocal_scale(siphash24(data, sip_key(keys.by_source)) & M32, size)
