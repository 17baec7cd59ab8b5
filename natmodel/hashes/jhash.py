# SPDX-License-Identifier: GPL-2.0-or-later
"""jhash: Bob Jenkins' lookup3 over u32 words."""

from __future__ import annotations

from collections.abc import Sequence

from natmodel.hashes.memory import M32


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
