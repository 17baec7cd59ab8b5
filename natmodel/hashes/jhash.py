# SPDX-License-Identifier: GPL-2.0-or-later
"""jhash: Bob Jenkins' hashes of u32 words.  2.6.24 and 2.6.35 have lookup2, 3.4 and later lookup3.

Words and seeds are u32, and so are results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from natmodel.hashes.memory import M32

# ── lookup3 ─────────────────────────────────────────────────────────────────────────────────────


def jhash2(words: Sequence[int], initval: int) -> int:
    """Bob Jenkins' lookup3 over u32 `words`, seeded by a u32; a u32.

    kernel: jhash2 (4.19.66, 6.12.117)
    """
    left = len(words)
    a = b = c = 0xDEADBEEF + 4 * left + initval & M32
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


def jhash_2words(a: int, b: int, initval: int) -> int:
    """lookup3 over two u32 words; a u32.

    kernel: jhash_2words (3.4.113).  The first releases with lookup3 seed c with `initval` alone; a
    later stable 3.4 has this.
    """
    return jhash2((a, b), initval)


def jhash_3words(a: int, b: int, c: int, initval: int) -> int:
    """lookup3 over three u32 words; a u32.

    kernel: jhash_3words (3.4.113; see `jhash_2words`)
    """
    return jhash2((a, b, c), initval)


def _jhash_mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    """Stir three words, reversibly.  The arguments may have grown past 32 bits."""
    m = M32
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
    m = M32
    b &= m
    c = (c ^ b) - (b << 14 | b >> 18) & m
    a = (a ^ c) - (c << 11 | c >> 21) & m
    b = (b ^ a) - (a << 25 | a >> 7) & m
    c = (c ^ b) - (b << 16 | b >> 16) & m
    a = (a ^ c) - (c << 4 | c >> 28) & m
    b = (b ^ a) - (a << 14 | a >> 18) & m
    return (c ^ b) - (b << 24 | b >> 8) & m


# ── lookup2 ─────────────────────────────────────────────────────────────────────────────────────

_GOLDEN_RATIO: Final = 0x9E3779B9


def jhash2_lookup2(words: Sequence[int], initval: int) -> int:
    """Bob Jenkins' lookup2 over u32 `words`, seeded by a u32; a u32.

    kernel: jhash2 (2.6.24, 2.6.35)
    """
    a = b = _GOLDEN_RATIO
    c = initval
    whole = len(words) - len(words) % 3
    for at in range(0, whole, 3):
        a, b, c = _lookup2_mix(a + words[at], b + words[at + 1], c + words[at + 2])
    c += 4 * len(words)
    if len(words) - whole == 2:
        b += words[whole + 1]
    if len(words) > whole:
        a += words[whole]
    return _lookup2_mix(a, b, c)[2]


def jhash_2words_lookup2(a: int, b: int, initval: int) -> int:
    """lookup2 over two u32 words; a u32.

    kernel: jhash_2words (2.6.24, 2.6.35)
    """
    return jhash_3words_lookup2(a, b, 0, initval)


def jhash_3words_lookup2(a: int, b: int, c: int, initval: int) -> int:
    """lookup2 over three u32 words, whose number is not hashed; a u32.

    kernel: jhash_3words (2.6.24, 2.6.35)
    """
    return _lookup2_mix(a + _GOLDEN_RATIO, b + _GOLDEN_RATIO, c + initval)[2]


def _lookup2_mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    """Stir three words, reversibly.  The arguments may have grown past 32 bits."""
    m = M32
    c &= m
    a = (a - b - c & m) ^ c >> 13
    b = (b - c - a & m) ^ (a << 8 & m)
    c = (c - a - b & m) ^ b >> 13
    a = (a - b - c & m) ^ c >> 12
    b = (b - c - a & m) ^ (a << 16 & m)
    c = (c - a - b & m) ^ b >> 5
    a = (a - b - c & m) ^ c >> 3
    b = (b - c - a & m) ^ (a << 10 & m)
    c = (c - a - b & m) ^ b >> 15
    return a, b, c
