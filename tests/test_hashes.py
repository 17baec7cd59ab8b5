# SPDX-License-Identifier: GPL-2.0-or-later
"""The hashes agree with the kernels on every vector."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from natmodel.hashes import (
    HZ,
    HashBySrc,
    HashConntrackRaw,
    HashKeys,
    SecurePortEphemeral,
    address_bytes,
    best_ips_hash,
    find_best_ips,
    hash_by_src_jhash,
    hash_by_src_siphash,
    hash_conntrack_raw_jhash,
    hash_conntrack_raw_siphash_39,
    jhash2,
    manip_bytes,
    native16,
    native32,
    reciprocal_scale,
    secure_port_fixed,
    secure_port_reshuffled,
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

RAW: dict[str, HashConntrackRaw] = {
    "4.19.66": hash_conntrack_raw_jhash,
    "6.12.117": hash_conntrack_raw_siphash_39,
}
BY_SRC: dict[str, HashBySrc] = {
    "4.19.66": hash_by_src_jhash,
    "6.12.117": hash_by_src_siphash,
}
SECURE_PORT: dict[str, SecurePortEphemeral] = {
    "4.19.66": secure_port_fixed,
    "6.12.117": secure_port_reshuffled,
}


# ── reading the vectors ─────────────────────────────────────────────────────────────────────────


def read(name: str, kind: str) -> list[Vector]:
    with lzma.open(VECTORS / f"{name}.jsonl.xz", "rt", encoding="utf-8") as lines:
        return [v for v in map(json.loads, lines) if v["kind"] == kind]


HASH_VECTORS = [v for release in RAW for v in read(release, "hash")]


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
    assert RAW[v["release"]](t, v["zone_id_arg"], v["net_hash_mix"], keys) == v["result"]


def check_hash_by_src(v: Vector) -> None:
    t = ct_tuple(v["proto"], v["tuple"])
    zone_id, zone_dir = v["zone"]
    keys = keys_with("by_source", v["key"])
    bucket = BY_SRC[v["release"]](
        t, zone_id if zone_dir == 3 else 0, v["net_hash_mix"], keys, v["nat_htable_size"]
    )
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
    value = SECURE_PORT[v["release"]](l3num, saddr, daddr, v["dport"], v["jiffies"], keys)
    assert value == v["result"]


def check_find_best_ips_proto(v: Vector) -> None:
    t = ct_tuple(v["proto"], v["tuple"])
    range_ = nat_range(v["config"])
    zone_id = v["zone"][0]
    manip = Manip[v["manip"]]
    if v["j_initial"] is not None:
        assert best_ips_hash(t, range_, zone_id) == (v["jhash2_initval"], v["j_initial"])
    address = find_best_ips(t, range_, zone_id, manip)
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


@pytest.mark.parametrize("v", HASH_VECTORS, ids=lambda v: str(v["id"]))
def test_hash_vector(v: Vector) -> None:
    CHECKS[v["fn"]](v)


def test_no_hash_vector_is_missing() -> None:
    assert Counter(v["release"] for v in HASH_VECTORS) == dict.fromkeys(RAW, 128)
    assert {v["fn"] for v in HASH_VECTORS} == set(CHECKS)


# ── what other kinds of vector say about the hashes ─────────────────────────────────────────────


@pytest.mark.parametrize("name", [f"{release}{kind}" for release in RAW for kind in ("", ".sharp")])
def test_confirm_vectors_name_the_buckets_we_compute(name: str) -> None:
    for v in read(name, "confirm"):
        raw, ct = RAW[v["release"]], v["ct"]
        zone = Zone(*ct.get("zone", (0, 3)))
        for direction, way in enumerate(("orig", "reply")):
            t = ct_tuple(ct["proto"], ct[way])
            hashed = raw(t, nf_ct_zone_id(zone, direction), 0, KEYS)
            assert reciprocal_scale(hashed, v["htable_size"]) == v["buckets"][way], v["id"]


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
    for raw in RAW.values():
        assert 0 <= raw(t, zone_id, mix, keys) <= U32_MAX


@given(tuples, u16s, u32s, all_keys, st.integers(1, 1 << 20))
def test_buckets_are_below_size(
    t: CtTuple, zone_id: int, mix: int, keys: HashKeys, size: int
) -> None:
    for by_src in BY_SRC.values():
        assert 0 <= by_src(t, zone_id, mix, keys, size) < size


@given(tuples, u16s, u32s, all_keys, addresses(AF_INET), u16s)
def test_by_source_sees_the_source_only(
    t: CtTuple, zone_id: int, mix: int, keys: HashKeys, dst: int, dport: int
) -> None:
    other = CtTuple(t.l3num, t.protonum, t.src, t.sport, dst, dport)
    for by_src in BY_SRC.values():
        # A size of 2^32 makes the bucket the hash itself.
        assert by_src(t, zone_id, mix, keys, 1 << 32) == by_src(other, zone_id, mix, keys, 1 << 32)


@given(tuples, u16s, u32s, all_keys)
def test_jhash_variants_ignore_zones(t: CtTuple, zone_id: int, mix: int, keys: HashKeys) -> None:
    raw, by_src = hash_conntrack_raw_jhash, hash_by_src_jhash
    assert raw(t, zone_id, mix, keys) == raw(t, 0, mix, keys)
    assert by_src(t, zone_id, mix, keys, 1 << 32) == by_src(t, 0, mix, keys, 1 << 32)


@given(tuples, st.integers(0, (1 << 64) - 1), all_keys)
def test_secure_ports_keep_their_width(t: CtTuple, jiffies: int, keys: HashKeys) -> None:
    args = (t.l3num, t.src, t.dst, t.dport)
    fixed = secure_port_fixed(*args, jiffies, keys)
    assert 0 <= fixed <= U32_MAX
    assert fixed == secure_port_fixed(*args, 0, keys)
    reshuffled = secure_port_reshuffled(*args, jiffies, keys)
    assert 0 <= reshuffled < 1 << 64
    assert reshuffled == secure_port_reshuffled(*args, jiffies - jiffies % (10 * HZ), keys)


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
    assert range_.min_addr <= find_best_ips(t, range_, zone_id, manip) <= range_.max_addr


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
    assert find_best_ips(t, range_, 0, Manip.SRC) == t.src
    assert find_best_ips(t, range_, 0, Manip.DST) == t.dst
