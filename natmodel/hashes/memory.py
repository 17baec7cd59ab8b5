# SPDX-License-Identifier: GPL-2.0-or-later
"""What the hashes read: the bytes of tuples and secrets in the memory of a little-endian host.

A tuple in memory is: source address 16 bytes, source port 2, l3num 2, destination address 16,
destination port 2, protonum 1.  Addresses and ports are in network order (an IPv4 address is followed
by 12 zero bytes), l3num is native; where the kernel reads a network-order word as a number, that
number is byte-swapped here.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

import attrs

from natmodel.values import AF_INET, CtTuple

M32: Final = 0xFFFFFFFF
M64: Final = 0xFFFFFFFFFFFFFFFF
_U32: Final = Struct("<I")
_IPV4_PADDING: Final = bytes(12)


@attrs.frozen(cache_hash=True)
class HashKeys:
    """The secrets of one boot, as the bytes they have in memory.

    `conntrack` (16 bytes) is nf_conntrack_hash_rnd, `by_source` (16 bytes) nf_nat_hash_rnd, which
    came with 4.7: jhash reads the first four bytes as a u32, siphash reads all as two u64.
    `net_secret` (64 bytes) is that of net/core/secure_seq.c, as MD5 reads it; siphash releases have,
    and read, only its first 16 bytes.  In 2.6.24 and 2.6.35 its first 48 bytes are the secret of
    drivers/char/random.c, which the kernel renews every five minutes.
    Raises ValueError for another length.
    """

    conntrack: bytes = attrs.field()
    by_source: bytes = attrs.field()
    net_secret: bytes = attrs.field()

    @conntrack.validator
    @by_source.validator
    @net_secret.validator
    def _check_length(self, attribute: attrs.Attribute[bytes], value: bytes) -> None:
        length = 64 if attribute.name == "net_secret" else 16
        if len(value) != length:
            raise ValueError(f"{attribute.name}: {len(value)} bytes given, {length} needed")

    @classmethod
    def counting(cls) -> HashKeys:
        """00 01 02 ... 5f, running on from key to key: the keys of the test vectors."""
        return cls(bytes(range(0x10)), bytes(range(0x10, 0x20)), bytes(range(0x20, 0x60)))


def address_bytes(l3num: int, address: int) -> bytes:
    """The 16 bytes of union nf_inet_addr.  Raises OverflowError if the family cannot hold it.

    kernel: union nf_inet_addr (4.19.66, 6.12.117)
    """
    if l3num == AF_INET:
        return address.to_bytes(4, "big") + _IPV4_PADDING
    return address.to_bytes(16, "big")


def manip_bytes(t: CtTuple) -> bytes:
    """The 20 bytes of t's source half: address, port, l3num.  Raises OverflowError as above.

    kernel: struct nf_conntrack_man (4.19.66, 6.12.117)
    """
    return (
        address_bytes(t.l3num, t.src) + t.sport.to_bytes(2, "big") + t.l3num.to_bytes(2, "little")
    )


def tuple_bytes(t: CtTuple) -> bytes:
    """The first 39 bytes of a tuple: all but its dst.dir.  Raises OverflowError as above.

    kernel: struct nf_conntrack_tuple (4.19.66, 6.12.117)
    """
    return (
        manip_bytes(t)
        + address_bytes(t.l3num, t.dst)
        + t.dport.to_bytes(2, "big")
        + t.protonum.to_bytes(1, "little")
    )


def u32_key(raw: bytes) -> int:
    """The u32 that jhash reads from the first bytes of a secret.  Raises struct.error below four.

    kernel: unsigned int nf_conntrack_hash_rnd (before 5.15)
    """
    key: int = _U32.unpack_from(raw)[0]
    return key


def native16(port: int) -> int:
    """The u16 that this host reads where a host-order `port` lies in network order.

    Raises OverflowError for a port past 65535.
    """
    return int.from_bytes(port.to_bytes(2, "big"), "little")


def native32(address: int) -> int:
    """The u32 that this host reads where a host-order IPv4 `address` lies in network order.

    Raises OverflowError for a longer address.
    """
    return int.from_bytes(address.to_bytes(4, "big"), "little")
