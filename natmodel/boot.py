# SPDX-License-Identifier: GPL-2.0-or-later
"""One boot of a kernel: the secrets and sizes that give every hash a value."""

from __future__ import annotations

from functools import cache

import attrs

from natmodel.hashes import HashKeys
from natmodel.nat_text import U32_MAX, Words
from natmodel.release import Release
from natmodel.values import CtTuple, Manip
from natmodel.world import Hashing


@attrs.frozen(kw_only=True)
class Boot:
    """What a kernel drew when it booted, and the time: with it, every hash has a value.

    `buckets` and `bysource_buckets` are the sizes of the two hash tables; `jiffies` is the clock
    that some port hashes look at.  Unless given, the keys are those of the test vectors.
    """

    keys: HashKeys = attrs.field(factory=HashKeys.counting)
    buckets: int = 65536
    bysource_buckets: int = attrs.field(
        default=attrs.Factory(lambda self: self.buckets, takes_self=True)
    )
    net_hash_mix: int = 0
    jiffies: int = 0

    @classmethod
    def parse(cls, text: str, where: str = "boot") -> Boot:
        """`buckets N` and what else differs from the usual; see str()."""
        words = Words(text, where)
        numbers: dict[str, int] = {}
        keys: dict[str, bytes] = {}
        while words:
            if words.option("buckets"):
                numbers["buckets"] = words.number("size", U32_MAX, 1)
            elif words.option("bysource-buckets"):
                numbers["bysource_buckets"] = words.number("size", U32_MAX, 1)
            elif words.option("net-hash-mix"):
                numbers["net_hash_mix"] = words.number("hash mix", U32_MAX)
            elif words.option("jiffies"):
                numbers["jiffies"] = words.number("time", U32_MAX)
            elif words.option("conntrack-key"):
                keys["conntrack"] = words.hex("key", 16)
            elif words.option("bysource-key"):
                keys["by_source"] = words.hex("key", 16)
            elif words.option("net-secret"):
                keys["net_secret"] = words.hex("key", 64)
            else:
                words.unknown()
        if not numbers and not keys:
            words.fail("'buckets' and a size are missing")
        return cls(keys=attrs.evolve(HashKeys.counting(), **keys), **numbers)

    def __str__(self) -> str:
        usual = HashKeys.counting()
        text = f"buckets {self.buckets}"
        if self.bysource_buckets != self.buckets:
            text += f" bysource-buckets {self.bysource_buckets}"
        if self.net_hash_mix:
            text += f" net-hash-mix {self.net_hash_mix}"
        if self.jiffies:
            text += f" jiffies {self.jiffies}"
        if self.keys.conntrack != usual.conntrack:
            text += f" conntrack-key {self.keys.conntrack.hex()}"
        if self.keys.by_source != usual.by_source:
            text += f" bysource-key {self.keys.by_source.hex()}"
        if self.keys.net_secret != usual.net_secret:
            text += f" net-secret {self.keys.net_secret.hex()}"
        return text


def hashing(release: Release, boot: Boot | None = None) -> Hashing:
    """How `release` hashes; without `boot`, only what holds whatever its secrets are."""
    if boot is None:
        return Hashing(zone_id=release.hash_zone_id, bysource_zone_id=release.bysource_zone_id)
    keys, mix = boot.keys, boot.net_hash_mix

    @cache
    def bucket(t: CtTuple, zone_id: int) -> int:
        return release.hash_bucket(release.hash_conntrack_raw(t, zone_id, mix, keys), boot.buckets)

    @cache
    def bysource_bucket(t: CtTuple, zone_id: int) -> int:
        return release.hash_by_src(t, zone_id, mix, keys, boot.bysource_buckets)

    def secure_port(t: CtTuple, manip: Manip) -> int:
        port = t.dport if manip is Manip.SRC else t.sport
        return release.secure_port(t.l3num, t.src, t.dst, port, boot.jiffies, keys)

    return Hashing(
        zone_id=release.hash_zone_id,
        bysource_zone_id=release.bysource_zone_id,
        bucket=bucket,
        bysource_bucket=bysource_bucket,
        secure_port=secure_port,
    )
