# SPDX-License-Identifier: GPL-2.0-or-later
"""MD5 and half of MD4: what port hashes were made of before SipHash.

Only the compression of one block is needed.  A state is four u32, a block 16 or 8 of them, as read by a
little-endian host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sin
from typing import Final, TypeAlias

from natmodel.hashes.memory import M32

State: TypeAlias = tuple[int, int, int, int]
_Mix: TypeAlias = Callable[[int, int, int], int]

# (how b, c and d are mixed; which word each step adds; how far each of four steps rotates)
_MD5_ROUNDS: Final[tuple[tuple[_Mix, tuple[int, ...], tuple[int, ...]], ...]] = (
    (lambda b, c, d: d ^ b & (c ^ d), tuple(range(16)), (7, 12, 17, 22)),
    (lambda b, c, d: c ^ d & (b ^ c), tuple((5 * n + 1) % 16 for n in range(16)), (5, 9, 14, 20)),
    (lambda b, c, d: b ^ c ^ d, tuple((3 * n + 5) % 16 for n in range(16)), (4, 11, 16, 23)),
    (lambda b, c, d: c ^ (b | ~d & M32), tuple(7 * n % 16 for n in range(16)), (6, 10, 15, 21)),
)
_MD5_SINES: Final = tuple(int(abs(sin(n + 1)) * 2**32) for n in range(64))

# The same, after the number that the whole round adds: the roots of 2 and 3, times 2^30.
_HALF_MD4_ROUNDS: Final[tuple[tuple[int, _Mix, tuple[int, ...], tuple[int, ...]], ...]] = (
    (0, lambda b, c, d: d ^ b & (c ^ d), (0, 1, 2, 3, 4, 5, 6, 7), (3, 7, 11, 19)),
    (0x5A827999, lambda b, c, d: b & c | d & (b | c), (1, 3, 5, 7, 0, 2, 4, 6), (3, 5, 9, 13)),
    (0x6ED9EBA1, lambda b, c, d: b ^ c ^ d, (3, 7, 2, 6, 1, 5, 0, 4), (3, 9, 11, 15)),
)


def md5_transform(state: State, block: Sequence[int]) -> State:
    """The state after a block of 16 words: RFC 1321, without padding.

    kernel: md5_transform (3.4 to 4.10)
    """
    a, b, c, d = state
    step = 0
    for mix, order, shifts in _MD5_ROUNDS:
        for n, at in enumerate(order):
            turned = _rol32(a + mix(b, c, d) + block[at] + _MD5_SINES[step], shifts[n % 4])
            a, b, c, d = d, b + turned & M32, b, c
            step += 1
    return state[0] + a & M32, state[1] + b & M32, state[2] + c & M32, state[3] + d & M32


def half_md4_transform(state: State, block: Sequence[int]) -> int:
    """The second word of the state after a block of 8 words: half of each round of MD4.

    kernel: half_md4_transform (2.6.24, 2.6.35)
    """
    a, b, c, d = state
    for constant, mix, order, shifts in _HALF_MD4_ROUNDS:
        for n, at in enumerate(order):
            turned = _rol32(a + mix(b, c, d) + block[at] + constant, shifts[n % 4])
            a, b, c, d = d, turned, b, c
    return state[1] + b & M32


def _rol32(word: int, shift: int) -> int:
    """A word rotated to the left.  It may have grown past 32 bits."""
    word &= M32
    return (word << shift | word >> 32 - shift) & M32
