# SPDX-License-Identifier: GPL-2.0-or-later
"""Which protocols' clashes each generation may resolve, for every protocol number there is."""

from __future__ import annotations

from typing import Final

import pytest

from natmodel.releases import RELEASES

TRACKED: Final = {"icmp": 1, "tcp": 6, "udp": 17, "dccp": 33, "gre": 47, "icmpv6": 58, "sctp": 132,
                  "udplite": 136}  # fmt: skip

# Of one row each: the tracked protocols that may, and whether those without a tracker may.
MAY: Final = {
    "2.6.24": ("", False),
    "4.4.0": ("", False),
    "4.7.4": ("udp udplite", False),
    "4.19.66": ("udp udplite", False),
    "5.10.262": ("udp udplite", True),
    "6.1.192": ("udp udplite", True),
    "6.12.117": ("udp udplite gre", True),
    "6.19.9": ("udp udplite gre dccp", True),
    "7.3.4": ("udp udplite gre icmp icmpv6 dccp", True),
}


@pytest.mark.parametrize("kernel", MAY)
def test_allow_clash(kernel: str) -> None:
    """8a49fc8d8a3e lets generic protocols in; DCCP is one since fd72f265bb00 took its tracker."""
    names, generic = MAY[kernel]
    may = {TRACKED[name] for name in names.split()}
    if generic:
        may |= set(range(256)) - set(TRACKED.values())
    assert {n for n in range(256) if RELEASES[kernel].allow_clash(n)} == may
