# SPDX-License-Identifier: GPL-2.0-or-later
"""The port hash: where a search for a free port starts, the same for all who ask for the same ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from natmodel.hashes.memory import M32, U32, HashKeys
from natmodel.hashes.siphash import sip_key, siphash24
from natmodel.values import AF_INET

# Ticks per second of the modelled kernels (CONFIG_HZ).
HZ: Final = 250
EPHEMERAL_PORT_SHUFFLE_PERIOD: Final = 10 * HZ

# (l3num, saddr, daddr, dport, jiffies, keys) -> u32 or u64
SecurePortEphemeral: TypeAlias = Callable[[int, int, int, int, int, HashKeys], int]

_IPV4_PORT_PADDING: Final = bytes(2)


def secure_port_fixed(
    l3num: int, saddr: int, daddr: int, dport: int, jiffies: int, keys: HashKeys
) -> int:
    """A u32 that stays the same for as long as the machine is up; `jiffies` is ignored.

    NAT keeps its low 16 bits, and passes the other end's port as `dport`: t.dport for SRC, t.sport
    for DST.  Raises OverflowError for an address or port that does not fit its field.
    kernel: secure_ipv4_port_ephemeral, secure_ipv6_port_ephemeral (4.19.66; so in 4.12 to 5.17)
    """
    port = dport.to_bytes(2, "big")
    if l3num == AF_INET:
        # siphash_3u32: the port has a u32 of its own.
        data = saddr.to_bytes(4, "big") + daddr.to_bytes(4, "big") + port + _IPV4_PORT_PADDING
    else:
        # A structure that is hashed up to the end of the port: 34 bytes.
        data = saddr.to_bytes(16, "big") + daddr.to_bytes(16, "big") + port
    return siphash24(data, sip_key(keys.net_secret[:16])) & M32


def secure_port_reshuffled(
    l3num: int, saddr: int, daddr: int, dport: int, jiffies: int, keys: HashKeys
) -> int:
    """A u64 that changes every 10 seconds; `jiffies` counts ticks of 1/HZ s.

    The NAT of these releases asks for none; where an older NAT got it as a backport, it passes
    `dport` and keeps 16 bits as said at `secure_port_fixed`.
    Raises OverflowError for an address or port that does not fit its field.
    kernel: secure_ipv4_port_ephemeral, secure_ipv6_port_ephemeral (6.12.117; so since 5.18)
    """
    port = dport.to_bytes(2, "big")
    timeseed = U32.pack(jiffies // EPHEMERAL_PORT_SHUFFLE_PERIOD & M32)
    if l3num == AF_INET:
        # siphash_4u32: the time comes last.
        ends = saddr.to_bytes(4, "big") + daddr.to_bytes(4, "big")
        data = ends + port + _IPV4_PORT_PADDING + timeseed
    else:
        # In the structure the time stands before the port: 38 bytes.
        data = saddr.to_bytes(16, "big") + daddr.to_bytes(16, "big") + timeseed + port
    return siphash24(data, sip_key(keys.net_secret[:16]))
