# SPDX-License-Identifier: GPL-2.0-or-later
"""The address choice: which address of a range an inside address is mapped to."""

from __future__ import annotations

from struct import Struct
from typing import Final

from natmodel.hashes.bucket import reciprocal_scale
from natmodel.hashes.jhash import jhash2
from natmodel.hashes.memory import M32, address_bytes, native32
from natmodel.values import (
    AF_INET,
    NF_NAT_RANGE_MAP_IPS,
    NF_NAT_RANGE_PERSISTENT,
    CtTuple,
    Manip,
    NatRange,
)

_U32_X4: Final = Struct("<4I")
_BE32_X4: Final = Struct(">4I")


def best_ips_hash(t: CtTuple, range_: NatRange, zone_id: int) -> tuple[int, int]:
    """(initval, j): the u32s that an address choice starts from, whether or not one is made.

    kernel: the jhash2 call of find_best_ips_proto (4.19.66, 6.12.117)
    """
    initval = 0
    if not range_.flags & NF_NAT_RANGE_PERSISTENT:
        # The last word of the destination; an IPv4 address has only one.
        initval = native32(t.dst & M32) ^ zone_id
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
        word = reciprocal_scale(j, M32) if full_range else _spread(j, low, high)
        chosen = chosen << 32 | word
        full_range = full_range or word != high
        if not range_.flags & NF_NAT_RANGE_PERSISTENT:
            # Under DST the kernel has already overwritten the destination that it mixes in.
            j ^= native32(word if manip is Manip.DST else dst)
    return chosen


def _spread(j: int, low: int, high: int) -> int:
    """low..high scaled by j in u32 arithmetic: of 0..~0 the width wraps to 0, giving `low`."""
    return low + reciprocal_scale(j, high - low + 1 & M32) & M32
