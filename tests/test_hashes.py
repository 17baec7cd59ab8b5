# SPDX-License-Identifier: GPL-2.0-or-later
"""The hashes agree with the kernels on every vector of 22 releases.

tests/vectors/hashes/hash_all.jsonl.xz has the lines of kind `hash` of 22 recordings like the whole ones
beside it, release by release: 128 calls of functions cut out of each kernel and compiled, on a
little-endian machine.  They are as recorded, in the same form.
"""

from __future__ import annotations

import json
import lzma
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from natmodel.hashes import (
    HZ,
    FindBestIps,
    HashBucket,
    HashBySrc,
    HashConntrackRaw,
    HashKeys,
    SecurePortEphemeral,
    address_bytes,
    best_ips_hash,
    find_best_ips,
    find_best_ips_jhash_2words,
    find_best_ips_lookup2,
    find_best_ips_lookup2_modulo,
    hash_by_src_jhash,
    hash_by_src_jhash_3words,
    hash_by_src_jhash_tuple,
    hash_by_src_jhash_zone,
    hash_by_src_lookup2,
    hash_by_src_lookup2_modulo,
    hash_by_src_siphash,
    hash_conntrack_raw_jhash,
    hash_conntrack_raw_jhash_tuple,
    hash_conntrack_raw_jhash_zone,
    hash_conntrack_raw_lookup2,
    hash_conntrack_raw_lookup2_halves,
    hash_conntrack_raw_siphash_4u64,
    hash_conntrack_raw_siphash_39,
    hash_conntrack_raw_siphash_48,
    jhash2,
    manip_bytes,
    modulo,
    native16,
    native32,
    reciprocal_scale,
    secure_port_fixed,
    secure_port_half_md4,
    secure_port_md5,
    secure_port_reshuffled,
    secure_port_reshuffled_u32,
    tuple_bytes,
)
from natmodel.values import (
    AF_INET,
    AF_INET6,
    NF_NAT_RANGE_MAP_IPS,
    NF_NAT_RANGE_PERSISTENT,
    PROTO_NAMES,
    CtTuple,
    Manip,
    NatRange,
    Zone,
    nf_ct_zone_id,
    parse_address,
)

Vector = dict[str, Any]

VECTORS = Path(__file__).parent / "vectors"
KEYS = HashKeys.counting()
U32_MAX = 0xFFFFFFFF
PROTO_NUMBERS = {name: number for number, name in PROTO_NAMES.items()} | {"other": 99}


@attrs.frozen
class Uses:
    """Which functions a release uses.  Zones have directions since 4.3; before, they are ids."""

    raw: HashConntrackRaw
    bucket: HashBucket
    by_src: HashBySrc
    secure_port: SecurePortEphemeral
    best_ips: FindBestIps
    directions: bool = True

    def raw_zone_id(self, zone: Zone, direction: int) -> int:
        return nf_ct_zone_id(zone, direction) if self.directions else zone.id

    def by_src_zone_id(self, zone: Zone) -> int:
        return zone.id if zone.dir == 3 or not self.directions else 0


V2_6_24 = Uses(
    hash_conntrack_raw_lookup2_halves,
    modulo,
    hash_by_src_lookup2_modulo,
    secure_port_half_md4,
    find_best_ips_lookup2_modulo,
    directions=False,
)
V2_6_35 = Uses(
    hash_conntrack_raw_lookup2,
    reciprocal_scale,
    hash_by_src_lookup2,
    secure_port_half_md4,
    find_best_ips_lookup2,
    directions=False,
)
V3_4 = Uses(
    hash_conntrack_raw_jhash_zone,
    reciprocal_scale,
    hash_by_src_jhash_3words,
    secure_port_md5,
    find_best_ips_jhash_2words,
    directions=False,
)
V3_10 = attrs.evolve(V3_4, by_src=hash_by_src_jhash_zone, best_ips=find_best_ips)
V4_4 = attrs.evolve(
    V3_10,
    raw=hash_conntrack_raw_jhash_tuple,
    by_src=hash_by_src_jhash_tuple,
    directions=True,
)
V4_7 = attrs.evolve(V4_4, raw=hash_conntrack_raw_jhash, by_src=hash_by_src_jhash)
V4_12 = attrs.evolve(V4_7, secure_port=secure_port_fixed)
V5_15 = attrs.evolve(V4_12, raw=hash_conntrack_raw_siphash_48, by_src=hash_by_src_siphash)
V5_18 = attrs.evolve(V5_15, secure_port=secure_port_reshuffled)
V6_2 = attrs.evolve(V5_18, raw=hash_conntrack_raw_siphash_4u64)
V6_5 = attrs.evolve(V5_18, raw=hash_conntrack_raw_siphash_39)

# The releases that recorded `hash` vectors.  Of 2.6.24, 2.6.35, 3.4, 6.2 and 6.4 there are only the
# vectors in test_hashes_generations.py.
USES = {
    "3.10.4": V3_10,
    "3.14.1": V3_10,
    "4.4.155": V4_4,
    "4.9.154": V4_7,
    "4.14.177": V4_12,
    "4.14.280": attrs.evolve(V4_12, secure_port=secure_port_reshuffled_u32),
    "4.18.0-394.el8": V4_12,
    "4.19.66": V4_12,
    "4.19.304": attrs.evolve(V4_12, secure_port=secure_port_reshuffled),
    "5.0.1": V4_12,
    "5.4.286": attrs.evolve(V4_12, secure_port=secure_port_reshuffled),
    "5.8.1": V4_12,
    "5.10.262": attrs.evolve(V4_12, secure_port=secure_port_reshuffled),
    "5.15.148": V5_18,
    "5.17.0-rc5": V5_15,
    "6.1.192": V5_18,
    "6.6.9": V6_5,
    "6.6.63": V6_5,
    "6.12.0": V6_5,
    "6.12.117": V6_5,
    "6.17.0": V6_5,
    "7.3.4": V6_5,
}
# The releases of which tests/vectors has every kind of vector.
WHOLE = ("4.19.66", "6.12.117")

GENERATIONS = (V2_6_24, V2_6_35, V3_4, V3_10, V4_4, V4_7, V4_12, V5_15, V5_18, V6_2, V6_5)
RAW = {uses.raw for uses in GENERATIONS}
BY_SRC = {uses.by_src for uses in GENERATIONS}
BEST_IPS = {uses.best_ips for uses in GENERATIONS}


# ── reading the vectors ─────────────────────────────────────────────────────────────────────────


def read(name: str, kind: str) -> list[Vector]:
    with lzma.open(VECTORS / f"{name}.jsonl.xz", "rt", encoding="utf-8") as lines:
        return [v for v in map(json.loads, lines) if v["kind"] == kind]


HASH_VECTORS = read("hashes/hash_all", "hash")


def ct_tuple(proto: str, ends: list[Any]) -> CtTuple:
    src, sport, dst, dport = ends
    l3num, address = parse_address(src)
    return CtTuple(l3num, PROTO_NUMBERS[proto], address, sport, int(ip_address(dst)), dport)


def nat_range(config: Vector) -> NatRange:
    ends = (int(ip_address(config[end] or "0.0.0.0")) for end in ("min_addr", "max_addr"))
    ports = (config[key] for key in ("min_proto", "max_proto", "base_proto"))
    return NatRange(config["flags_value"], *ends, *ports)


def keys_with(name: str, text: str) -> HashKeys:
    """KEYS but for one: its first bytes are given, and no function may read past those."""
    given_bytes = bytes.fromhex(text)
    lengths = {"conntrack": 16, "by_source": 16, "net_secret": 64}
    fields = {field: getattr(KEYS, field) for field in lengths}
    fields[name] = given_bytes + bytes([0xEE]) * (lengths[name] - len(given_bytes))
    return HashKeys(**fields)


# ── every hash vector ───────────────────────────────────────────────────────────────────────────


def check_hash_conntrack_raw(v: Vector) -> None:
    t = ct_tuple(v["proto"], v["tuple"])
    keys = keys_with("conntrack", v["key"])
    assert USES[v["release"]].raw(t, v["zone_id_arg"], v["net_hash_mix"], keys) == v["result"]


def check_hash_by_src(v: Vector) -> None:
    uses = USES[v["release"]]
    t = ct_tuple(v["proto"], v["tuple"])
    # A secret of its own came with the namespace, in 4.7.
    own = uses.by_src in (hash_by_src_jhash, hash_by_src_siphash)
    keys = keys_with("by_source" if own else "conntrack", v["key"])
    zone_id = uses.by_src_zone_id(Zone(*v["zone"]))
    bucket = uses.by_src(t, zone_id, v["net_hash_mix"], keys, v["nat_htable_size"])
    assert bucket == v["result"]


def check_jhash2(v: Vector) -> None:
    assert jhash2(v["words"], v["initval"]) == v["result"]


def check_reciprocal_scale(v: Vector) -> None:
    assert reciprocal_scale(v["val"], v["ep_ro"]) == v["result"]


def check_secure_port(v: Vector) -> None:
    l3num, saddr = parse_address(v["saddr"])
    daddr = int(ip_address(v["daddr"]))
    keys = keys_with("net_secret", v["net_secret"])
    assert v["hz"] == HZ
    secure_port = USES[v["release"]].secure_port
    value = secure_port(l3num, saddr, daddr, v["dport"], v["jiffies"], keys)
    assert value == v["result"]


def check_find_best_ips_proto(v: Vector) -> None:
    t = ct_tuple(v["proto"], v["tuple"])
    range_ = nat_range(v["config"])
    zone_id = v["zone"][0]
    manip = Manip[v["manip"]]
    if v["j_initial"] is not None:
        assert best_ips_hash(t, range_, zone_id) == (v["jhash2_initval"], v["j_initial"])
    address = USES[v["release"]].best_ips(t, range_, zone_id, manip)
    expected = ct_tuple(v["proto"], v["result"])
    assert address == (expected.src if manip is Manip.SRC else expected.dst)


CHECKS: dict[str, Callable[[Vector], None]] = {
    "hash_conntrack_raw": check_hash_conntrack_raw,
    "hash_by_src": check_hash_by_src,
    "jhash2": check_jhash2,
    "reciprocal_scale": check_reciprocal_scale,
    "secure_ipv4_port_ephemeral": check_secure_port,
    "secure_ipv6_port_ephemeral": check_secure_port,
    "find_best_ips_proto": check_find_best_ips_proto,
}


@pytest.mark.parametrize("fn", CHECKS)
@pytest.mark.parametrize("release", USES)
def test_hash_vectors(release: str, fn: str) -> None:
    for v in HASH_VECTORS:
        if v["release"] == release and v["fn"] == fn:
            CHECKS[fn](v)


def test_no_hash_vector_is_missing() -> None:
    counts = Counter((v["release"], v["fn"]) for v in HASH_VECTORS)
    each = {fn: 24 if fn.startswith(("hash", "find")) else 14 for fn in CHECKS}
    assert counts == {(release, fn): each[fn] for release in USES for fn in CHECKS}


# ── what other kinds of vector say about the hashes ─────────────────────────────────────────────


@pytest.mark.parametrize(
    "name", [f"{release}{kind}" for release in WHOLE for kind in ("", ".sharp")]
)
def test_confirm_vectors_name_the_buckets_we_compute(name: str) -> None:
    for v in read(name, "confirm"):
        uses, ct = USES[v["release"]], v["ct"]
        zone = Zone(*ct.get("zone", (0, 3)))
        for direction, way in enumerate(("orig", "reply")):
            t = ct_tuple(ct["proto"], ct[way])
            hashed = uses.raw(t, uses.raw_zone_id(zone, direction), 0, KEYS)
            assert uses.bucket(hashed, v["htable_size"]) == v["buckets"][way], v["id"]


def test_nat_passes_the_rewritten_tuple_and_the_other_ends_port() -> None:
    unscripted = 0
    for v in read("4.19.66", "unique_tuple"):
        if v["secure_port"] is None or v["secure_port"]["scripted"]:
            continue
        unscripted += 1
        t = ct_tuple(v["proto"], v["result"])
        dport = t.dport if v["manip"] == "SRC" else t.sport
        value = secure_port_fixed(t.l3num, t.src, t.dst, dport, v["jiffies"], KEYS)
        assert value & 0xFFFF == v["secure_port"]["value"] & 0xFFFF, v["id"]
    assert unscripted == 46


# ── bytes in memory ─────────────────────────────────────────────────────────────────────────────


def test_tuple_bytes_are_those_of_a_little_endian_host() -> None:
    t = CtTuple(AF_INET, 17, 0x0A010203, 0x0102, 0xC6120001, 0x0304)
    manip = bytes.fromhex("0a010203" + "00" * 12 + "0102" + "0200")
    assert manip_bytes(t) == manip
    assert tuple_bytes(t) == manip + bytes.fromhex("c6120001" + "00" * 12 + "0304" + "11")


def test_ipv6_address_bytes() -> None:
    assert address_bytes(AF_INET6, 1) == bytes(15) + b"\x01"
    assert native32(0x0A010203) == 0x0302010A
    assert native16(0x0102) == 0x0201


@pytest.mark.parametrize(
    "t", [CtTuple(AF_INET, 6, 1 << 32, 0, 0, 0), CtTuple(2, 6, 0, 1 << 16, 0, 0)]
)
def test_a_number_that_does_not_fit_is_refused(t: CtTuple) -> None:
    with pytest.raises(OverflowError):
        tuple_bytes(t)


def test_keys_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="net_secret: 16 bytes given, 64 needed"):
        HashKeys(bytes(16), bytes(16), bytes(16))
    with pytest.raises(ValueError, match="by_source: 4 bytes given, 16 needed"):
        HashKeys(bytes(16), bytes(4), bytes(64))


# ── properties ──────────────────────────────────────────────────────────────────────────────────

u16s = st.integers(0, 0xFFFF)
u32s = st.integers(0, U32_MAX)
protocols = st.sampled_from(sorted(PROTO_NUMBERS.values()))


def addresses(l3num: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << (32 if l3num == AF_INET else 128)) - 1)


def tuples_of(l3num: int) -> st.SearchStrategy[CtTuple]:
    ends = addresses(l3num)
    return st.builds(CtTuple, st.just(l3num), protocols, ends, u16s, ends, u16s)


tuples = st.one_of(tuples_of(AF_INET), tuples_of(AF_INET6))
all_keys = st.builds(HashKeys, *(st.binary(min_size=n, max_size=n) for n in (16, 16, 64)))


@given(tuples, u16s, u32s, all_keys)
def test_raw_hashes_are_u32(t: CtTuple, zone_id: int, mix: int, keys: HashKeys) -> None:
    for raw in RAW:
        assert 0 <= raw(t, zone_id, mix, keys) <= U32_MAX


@given(tuples, u16s, u32s, all_keys, st.integers(1, 1 << 20))
def test_buckets_are_below_size(
    t: CtTuple, zone_id: int, mix: int, keys: HashKeys, size: int
) -> None:
    for by_src in BY_SRC:
        assert 0 <= by_src(t, zone_id, mix, keys, size) < size


@given(tuples, u16s, u32s, all_keys, addresses(AF_INET), u16s)
def test_by_source_sees_the_source_only(
    t: CtTuple, zone_id: int, mix: int, keys: HashKeys, dst: int, dport: int
) -> None:
    other = CtTuple(t.l3num, t.protonum, t.src, t.sport, dst, dport)
    for by_src in BY_SRC:
        # A size of 2^32 makes the bucket the hash itself.
        assert by_src(t, zone_id, mix, keys, 1 << 32) == by_src(other, zone_id, mix, keys, 1 << 32)


@given(tuples, u16s, u32s, all_keys)
def test_what_a_release_does_not_hash_changes_nothing(
    t: CtTuple, zone_id: int, mix: int, keys: HashKeys
) -> None:
    blind_to_zones = {
        hash_conntrack_raw_lookup2_halves,
        hash_conntrack_raw_jhash_tuple,
        hash_conntrack_raw_jhash,
    }
    blind_to_namespaces = {
        hash_conntrack_raw_lookup2_halves,
        hash_conntrack_raw_lookup2,
        hash_conntrack_raw_jhash_zone,
        hash_conntrack_raw_jhash_tuple,
    }
    for raw in RAW:
        seen_zone = 0 if raw in blind_to_zones else zone_id
        seen_mix = 0 if raw in blind_to_namespaces else mix
        assert raw(t, zone_id, mix, keys) == raw(t, seen_zone, seen_mix, keys)


@given(tuples, u16s, u32s, all_keys)
def test_what_a_release_does_not_hash_by_source_changes_nothing(
    t: CtTuple, zone_id: int, mix: int, keys: HashKeys
) -> None:
    blind_to_zones = {hash_by_src_lookup2_modulo, hash_by_src_jhash_tuple, hash_by_src_jhash}
    sees_namespaces = {hash_by_src_jhash, hash_by_src_siphash}
    for by_src in BY_SRC:
        seen_zone = 0 if by_src in blind_to_zones else zone_id
        seen_mix = mix if by_src in sees_namespaces else 0
        bucket = by_src(t, zone_id, mix, keys, 1 << 32)
        assert bucket == by_src(t, seen_zone, seen_mix, keys, 1 << 32)


@given(tuples, u16s, u32s)
def test_the_first_by_source_hashes_had_no_secret(t: CtTuple, zone_id: int, mix: int) -> None:
    others = HashKeys(bytes(16), bytes(16), bytes(64))
    for by_src in (hash_by_src_lookup2_modulo, hash_by_src_lookup2):
        bucket = by_src(t, zone_id, mix, KEYS, 1 << 32)
        assert bucket == by_src(t, zone_id, mix, others, 1 << 32)


@given(tuples, st.integers(0, (1 << 64) - 1), all_keys)
def test_secure_ports_keep_their_width(t: CtTuple, jiffies: int, keys: HashKeys) -> None:
    args = (t.l3num, t.src, t.dst, t.dport)
    for fixed in (secure_port_md5, secure_port_fixed):
        assert 0 <= fixed(*args, jiffies, keys) <= U32_MAX
        assert fixed(*args, jiffies, keys) == fixed(*args, 0, keys)
    reshuffled = secure_port_reshuffled(*args, jiffies, keys)
    assert 0 <= reshuffled < 1 << 64
    assert reshuffled == secure_port_reshuffled(*args, jiffies - jiffies % (10 * HZ), keys)
    assert reshuffled & U32_MAX == secure_port_reshuffled_u32(*args, jiffies, keys)


@given(tuples_of(AF_INET), st.integers(0, (1 << 64) - 1), all_keys)
def test_the_first_secure_port_reads_twelve_words(t: CtTuple, jiffies: int, keys: HashKeys) -> None:
    args = (t.l3num, t.src, t.dst, t.dport)
    port = secure_port_half_md4(*args, jiffies, keys)
    assert 0 <= port <= U32_MAX
    for at in (0x20, 0x23, 0x24, 0x27, 0x30, 0x3F):
        # Words 8 and 9, and those after the twelfth, are not read.
        secret = bytearray(keys.net_secret)
        secret[at] ^= 0xFF
        other = attrs.evolve(keys, net_secret=bytes(secret))
        assert port == secure_port_half_md4(*args, 0, other)


@given(u32s, u32s)
@example(U32_MAX, 0)
@example(U32_MAX, U32_MAX)
def test_reciprocal_scale_stays_below(val: int, ep_ro: int) -> None:
    assert 0 <= reciprocal_scale(val, ep_ro) < max(ep_ro, 1)


@st.composite
def choices(draw: st.DrawFn, l3num: int) -> tuple[CtTuple, NatRange]:
    low, high = sorted((draw(addresses(l3num)), draw(addresses(l3num))))
    flags = NF_NAT_RANGE_MAP_IPS | draw(st.sampled_from((0, NF_NAT_RANGE_PERSISTENT)))
    return draw(tuples_of(l3num)), NatRange(flags, low, high)


@given(choices(AF_INET), u16s, st.sampled_from(Manip))
def test_an_ipv4_choice_is_in_range(
    choice: tuple[CtTuple, NatRange], zone_id: int, manip: Manip
) -> None:
    t, range_ = choice
    for best_ips in BEST_IPS - {find_best_ips_lookup2_modulo}:
        assert range_.min_addr <= best_ips(t, range_, zone_id, manip) <= range_.max_addr
    if range_.max_addr - range_.min_addr < U32_MAX:
        address = find_best_ips_lookup2_modulo(t, range_, zone_id, manip)
        assert range_.min_addr <= address <= range_.max_addr


def test_a_range_of_every_address() -> None:
    """Its width is 0 as a u32: the first NAT divides by it, later ones always take the lowest."""
    t = CtTuple(AF_INET, 6, 0x0A000001, 1024, 0xC6120001, 80)
    range_ = NatRange(NF_NAT_RANGE_MAP_IPS, 0, U32_MAX)
    with pytest.raises(ZeroDivisionError):
        find_best_ips_lookup2_modulo(t, range_, 0, Manip.SRC)
    for best_ips in BEST_IPS - {find_best_ips_lookup2_modulo}:
        assert best_ips(t, range_, 0, Manip.SRC) == 0


def test_a_range_from_its_end_to_its_start_wraps() -> None:
    t = CtTuple(AF_INET, 6, 0x0A000001, 1024, 0xC6120001, 80)
    range_ = NatRange(NF_NAT_RANGE_MAP_IPS, U32_MAX, 0)
    assert {f(t, range_, 0, Manip.SRC) for f in BEST_IPS} <= {U32_MAX, 0}


def test_before_nat_of_ipv6_there_is_nothing_to_choose() -> None:
    t = CtTuple(AF_INET6, 6, 1, 1024, 2, 80)
    for best_ips in BEST_IPS - {find_best_ips}:
        assert best_ips(t, NatRange(0, 3, 4), 0, Manip.SRC) == 1
        with pytest.raises(ValueError, match="NAT of IPv6"):
            best_ips(t, NatRange(NF_NAT_RANGE_MAP_IPS, 3, 4), 0, Manip.SRC)
    with pytest.raises(ValueError, match="NAT of IPv6"):
        secure_port_half_md4(AF_INET6, 1, 2, 80, 0, KEYS)


@given(choices(AF_INET), u16s, st.sampled_from(Manip))
def test_the_first_choice_knows_neither_persistence_nor_zones(
    choice: tuple[CtTuple, NatRange], zone_id: int, manip: Manip
) -> None:
    t, range_ = choice
    if range_.max_addr - range_.min_addr < U32_MAX:
        plain = attrs.evolve(range_, flags=NF_NAT_RANGE_MAP_IPS)
        address = find_best_ips_lookup2_modulo(t, range_, zone_id, manip)
        assert address == find_best_ips_lookup2_modulo(t, plain, 0, manip)


@given(choices(AF_INET6), u16s, st.sampled_from(Manip))
def test_a_persistent_choice_does_not_see_destination_or_zone(
    choice: tuple[CtTuple, NatRange], zone_id: int, manip: Manip
) -> None:
    t, range_ = choice
    sticky = NatRange(
        NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PERSISTENT, range_.min_addr, range_.max_addr
    )
    elsewhere = CtTuple(t.l3num, t.protonum, t.src, t.sport, t.dst ^ 1, t.dport)
    assert find_best_ips(t, sticky, zone_id, manip) == find_best_ips(elsewhere, sticky, 0, manip)


@given(tuples)
def test_without_map_ips_the_address_stays(t: CtTuple) -> None:
    range_ = NatRange(0, 1, 2)
    for best_ips in BEST_IPS:
        assert best_ips(t, range_, 0, Manip.SRC) == t.src
        assert best_ips(t, range_, 0, Manip.DST) == t.dst
