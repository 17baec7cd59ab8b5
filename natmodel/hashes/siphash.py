# SPDX-License-Identifier: GPL-2.0-or-later
"""SipHash-2-4: a hash with a 16-byte key, for those who must not guess it."""

from __future__ import annotations

from struct import Struct
from typing import Final, TypeAlias

from natmodel.hashes.memory import M64

# siphash_key_t: two u64, as read by a little-endian host.
SipKey: TypeAlias = tuple[int, int]

_U64: Final = Struct("<Q")
_U64_X2: Final = Struct("<2Q")


def sip_key(raw: bytes) -> SipKey:
    """A siphash key from its 16 bytes in memory.  Raises struct.error for another length.

    kernel: siphash_key_t (4.12 and later)
    """
    k0, k1 = _U64_X2.unpack(raw)
    return k0, k1


def siphash24(data: bytes, key: SipKey) -> int:
    """Aumasson and Bernstein's SipHash-2-4 of any bytes; a u64.

    kernel: siphash, siphash_3u32, siphash_4u32 (4.19.66, 6.12.117), siphash_4u64 (6.2), which differ
    only in how they are handed their bytes
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
    m = M64
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
