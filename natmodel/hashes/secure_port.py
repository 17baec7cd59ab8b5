# SPDX-License-Identifier: GPL-2.0-or-later
"""The port hash: where a search for a free port starts, the same for all who ask for the same ends.

NAT keeps the low 16 bits of each, and passes the other end's port as `dport`: t.dport for SRC, t.sport
for DST.  All raise OverflowError for an address or port that does not fit its field.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final, TypeAlias

from natmodel.hashes.md import half_md4_transform, md5_transform
from natmodel.hashes.memory import M32, HashKeys, native16, native32
from natmodel.hashes.siphash import sip_key, siphash24
from natmodel.values import AF_INET

# Ticks per second of the modelled kernels (CONFIG_HZ).
HZ: Final = 250
EPHEMERAL_PORT_SHUFFLE_PERIOD: Final = 10 * HZ

# (l3num, saddr, daddr, dport, jiffies, keys) -> u32 or u64
SecurePortEphemeral: TypeAlias = Callable[[int, int, int, int, int, HashKeys], int]

_U32: Final = Struct("<I")
_U32_X4: Final = Struct("<4I")
_U32_X12: Final = Struct("<12I")
_U32_X16: Final = Struct("<16I")
_IPV4_PORT_PADDING: Final = bytes(2)


# ── MD4 and MD5 ─────────────────────────────────────────────────────────────────────────────────


def secure_port_half_md4(
    l3num: int, saddr: int, daddr: int, dport: int, jiffies: int, keys: HashKeys
) -> int:
    """A u32 that stays the same for as long as the secret does; `jiffies` is ignored.

    Raises ValueError for IPv6, which had no NAT.
    kernel: secure_ipv4_port_ephemeral (2.6.24, whose NAT does not ask for it, and 2.6.35)
    """
    if l3num != AF_INET:
        raise ValueError("NAT of IPv6 came with 3.7")
    secret = _U32_X12.unpack_from(keys.net_secret)
    port = native16(dport) ^ secret[10]
    state = (native32(saddr), native32(daddr), port, secret[11])
    return half_md4_transform(state, secret[:8])


def secure_port_md5(
    l3num: int, saddr: int, daddr: int, dport: int, jiffies: int, keys: HashKeys
) -> int:
    """A u32 that stays the same for as long as the machine is up; `jiffies` is ignored.

    IPv4 puts both ends into the state.  IPv6 has no room for that: the destination is added to the
    secret.
    kernel: secure_ipv4_port_ephemeral, secure_ipv6_port_ephemeral (3.10.4, 3.14.1, 4.4.155, 4.9.154;
    so in 3.4 to 4.10)
    """
    secret = _U32_X16.unpack(keys.net_secret)
    port = native16(dport)
    if l3num == AF_INET:
        state = (native32(saddr), native32(daddr), port ^ secret[14], secret[15])
        return md5_transform(state, secret)[0]
    s0, s1, s2, s3 = _U32_X4.unpack(saddr.to_bytes(16, "big"))
    ends = (*_U32_X4.unpack(daddr.to_bytes(16, "big")), port)
    added = tuple(word + end & M32 for word, end in zip(secret[:5], ends, strict=True))
    return md5_transform((s0, s1, s2, s3), added + secret[5:])[0]


# ── siphash ─────────────────────────────────────────────────────────────────────────────────────


def secure_port_fixed(
    l3num: int, saddr: int, daddr: int, dport: int, jiffies: int, keys: HashKeys
) -> int:
    """A u32 that stays the same for as long as the machine is up; `jiffies` is ignored.

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


def secure_port_reshuffled_u32(
    l3num: int, saddr: int, daddr: int, dport: int, jiffies: int, keys: HashKeys
) -> int:
    """The low u32 of `secure_port_reshuffled`: a backport that kept the older return type.

    kernel: secure_ipv4_port_ephemeral, secure_ipv6_port_ephemeral (4.14.280)
    """
    return secure_port_reshuffled(l3num, saddr, daddr, dport, jiffies, keys) & M32


def secure_port_reshuffled(
    l3num: int, saddr: int, daddr: int, dport: int, jiffies: int, keys: HashKeys
) -> int:
    """A u64 that changes every 10 seconds; `jiffies` counts ticks of 1/HZ s.

    NAT has none since 5.0; an older NAT got it as a backport.
    kernel: secure_ipv4_port_ephemeral, secure_ipv6_port_ephemeral (6.12.117; so since 5.18, and in
    4.19.304, 5.4.286, 5.10.262, 5.15.148)
    """
    port = dport.to_bytes(2, "big")
    timeseed = _U32.pack(jiffies // EPHEMERAL_PORT_SHUFFLE_PERIOD & M32)
    if l3num == AF_INET:
        # siphash_4u32: the time comes last.
        ends = saddr.to_bytes(4, "big") + daddr.to_bytes(4, "big")
        data = ends + port + _IPV4_PORT_PADDING + timeseed
    else:
        # In the structure the time stands before the port: 38 bytes.
        data = saddr.to_bytes(16, "big") + daddr.to_bytes(16, "big") + timeseed + port
    return siphash24(data, sip_key(keys.net_secret[:16]))
