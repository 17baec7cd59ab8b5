# SPDX-License-Identifier: GPL-2.0-or-later
"""The bucket that a u32 hash falls into."""

from __future__ import annotations


def reciprocal_scale(val: int, ep_ro: int) -> int:
    """A u32 `val` scaled down to 0..ep_ro-1, without a division; 0 where ep_ro is 0.

    kernel: reciprocal_scale (4.19.66, 6.12.117)
    """
    return val * ep_ro >> 32
