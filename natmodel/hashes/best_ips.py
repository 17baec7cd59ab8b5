# SPDX-License-Identifier: GPL-2.0-or-later
"""The address choice: which address of a range an inside address is mapped to.

Each function gives the address that `range_` gives t's `manip` end, a host-order integer of t's
family; without MAP_IPS that is the address it has.  `zone_id` is the zone's id whatever its directions.
The range's addresses must be of t's family: for IPv4 nothing checks that.  The functions from before
NAT of IPv6 raise ValueError where they would have to choose among IPv6 addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final, TypeAlias

from natmodel.hashes.bucket import modulo, reciprocal_scale
from natmodel.hashes.jhash import jhash2, jhash_2words, jhash_2words_lookup2
from natmodel.hashes.memory import M32, address_bytes, native32
from natmodel.values import (
    AF_INET,
    NF_NAT_RANGE_MAP_IPS,
    NF_NAT_RANGE_PERSISTENT,
    CtTuple,
    Manip,
    NatRange,
)

# (t, range_, zone_id, manip) -> address
FindBestIps: TypeAlias = Callable[[CtTuple, NatRange, int, Manip], int]

_U32_X4: Final = Struct("<4I")
_BE32_X4: Final = Struct(">4I")


# ── one IPv4 address from two words ─────────────────────────────────────────────────────────────


def find_best_ips_lookup2_modulo(t: CtTuple, range_: NatRange, zone_id: int, manip: Manip) -> int:
    """The address that lookup2 of both ends picks, by division; `zone_id` is ignored.

    PERSISTENT is not known yet, and ignored.  Raises ZeroDivisionError, as the kernel does, for a range
    of all 2^32 addresses.
    kernel: find_best_ips_proto (2.6.24)
    """
    if (address := _without_choice(t, range_, manip)) is not None:
        return address
    src, dst = _ipv4_words(t)
    j = jhash_2words_lookup2(src, dst, 0)
    return range_.min_addr + modulo(j, _width(range_.min_addr, range_.max_addr)) & M32


def find_best_ips_lookup2(t: CtTuple, range_: NatRange, zone_id: int, manip: Manip) -> int:
    """The address that lookup2 of both ends and the zone picks; of the source alone if PERSISTENT.

    kernel: find_best_ips_proto (2.6.35)
    """
    if (address := _without_choice(t, range_, manip)) is not None:
        return address
    j = jhash_2words_lookup2(*_source_and_other(t, range_, zone_id), 0)
    return _spread(j, range_.min_addr, range_.max_addr)


def find_best_ips_jhash_2words(t: CtTuple, range_: NatRange, zone_id: int, manip: Manip) -> int:
    """The address that lookup3 of both ends and the zone picks; of the source alone if PERSISTENT.

    kernel: find_best_ips_proto (3.4.113; so in 3.4 to 3.6)
    """
    if (address := _without_choice(t, range_, manip)) is not None:
        return address
    j = jhash_2words(*_source_and_other(t, range_, zone_id), 0)
    return _spread(j, range_.min_addr, range_.max_addr)


def _without_choice(t: CtTuple, range_: NatRange, manip: Manip) -> int | None:
    """The address if there is but one to take."""
    if not range_.flags & NF_NAT_RANGE_MAP_IPS:
        return t.src if manip is Manip.SRC else t.dst
    if range_.min_addr == range_.max_addr:
        return range_.min_addr
    return None


def _ipv4_words(t: CtTuple) -> tuple[int, int]:
    """(source, destination), as this host reads them.  Raises ValueError for IPv6."""
    if t.l3num != AF_INET:
        raise ValueError("NAT of IPv6 came with 3.7")
    return native32(t.src), native32(t.dst)


def _source_and_other(t: CtTuple, range_: NatRange, zone_id: int) -> tuple[int, int]:
    """The two words to hash.  Raises ValueError for IPv6."""
    src, dst = _ipv4_words(t)
    return src, 0 if range_.flags & NF_NAT_RANGE_PERSISTENT else dst ^ zone_id


# ── as many words as the family has ─────────────────────────────────────────────────────────────


def best_ips_hash(t: CtTuple, range_: NatRange, zone_id: int) -> tuple[int, int]:
    """(initval, j): the u32s that an address choice starts from, whether or not one is made.

    kernel: the jhash2 call of find_best_ips_proto (4.19.66, 6.12.117; so since 3.7)
    """
    initval = 0
    if not range_.flags & NF_NAT_RANGE_PERSISTENT:
        # The last word of the destination; an IPv4 address has only one.
        initval = native32(t.dst & M32) ^ zone_id
    return initval, jhash2(_U32_X4.unpack(address_bytes(t.l3num, t.src)), initval)


def find_best_ips(t: CtTuple, range_: NatRange, zone_id: int, manip: Manip) -> int:
    """The address that jhash2 of the source picks, seeded by destination and zone unless PERSISTENT.

    kernel: find_best_ips_proto (4.19.66, 6.12.117; so since 3.7)
    """
    if (address := _without_choice(t, range_, manip)) is not None:
        return address
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
    return low + reciprocal_scale(j, _width(low, high)) & M32


def _width(low: int, high: int) -> int:
    """How many low..high are, as a u32."""
    return high - low + 1 & M32
