# SPDX-License-Identifier: GPL-2.0-or-later
"""The bucket that a u32 hash falls into."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

# (hash, size) -> bucket
HashBucket: TypeAlias = Callable[[int, int], int]


def reciprocal_scale(val: int, ep_ro: int) -> int:
    """A u32 `val` scaled down to 0..ep_ro-1, without a division; 0 where ep_ro is 0.

    kernel: reciprocal_scale (4.19.66, 6.12.117; written out in older ones, back to 2.6.35)
    """
    return val * ep_ro >> 32


def modulo(val: int, size: int) -> int:
    """The remainder of a u32 `val`: 0..size-1.  Raises ZeroDivisionError where `size` is 0.

    kernel: __hash_conntrack (2.6.24)
    """
    return val % size
