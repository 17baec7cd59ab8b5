# SPDX-License-Identifier: GPL-2.0-or-later
"""The hashes of every generation from 2.6.24 on, also of those that recorded nothing else.

tests/vectors/kernel/vectors_hash.json.xz has 133 calls of functions cut out of kernels and compiled, on a
little-endian machine, as recorded.  Each names its function's generation: `ct_` is a conntrack hash,
`bs_` a by-source hash, `sp_` a port hash, `bi_` an address choice; the number is the first release that
has it.
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from natmodel.hashes import (
    EPHEMERAL_PORT_SHUFFLE_PERIOD,
    FindBestIps,
    HashBySrc,
    HashConntrackRaw,
    HashKeys,
    SecurePortEphemeral,
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
    modulo,
    reciprocal_scale,
    secure_port_fixed,
    secure_port_half_md4,
    secure_port_md5,
    secure_port_reshuffled_u32,
)
from natmodel.kernel_vectors import GENERATIONS
from natmodel.releases import RELEASES
from natmodel.values import AF_INET, CtTuple, Manip, NatRange

Vector = dict[str, Any]

FILE = Path(__file__).parent / "vectors" / "kernel" / "vectors_hash.json.xz"
KINDS: dict[str, list[Vector]] = json.loads(lzma.decompress(FILE.read_bytes()))

RAW: dict[str, HashConntrackRaw] = {
    "ct_2624": hash_conntrack_raw_lookup2_halves,
    "ct_2635": hash_conntrack_raw_lookup2,
    "ct_34": hash_conntrack_raw_jhash_zone,
    "ct_44": hash_conntrack_raw_jhash_tuple,
    "ct_47": hash_conntrack_raw_jhash,
    "ct_515": hash_conntrack_raw_siphash_48,
    "ct_62": hash_conntrack_raw_siphash_4u64,
    "ct_66": hash_conntrack_raw_siphash_39,
}
BY_SRC: dict[str, HashBySrc] = {
    "bs_2624": hash_by_src_lookup2_modulo,
    "bs_2635": hash_by_src_lookup2,
    "bs_34": hash_by_src_jhash_3words,
    "bs_310": hash_by_src_jhash_zone,
    "bs_44": hash_by_src_jhash_tuple,
    "bs_47": hash_by_src_jhash,
    "bs_515": hash_by_src_siphash,
}
SECURE_PORT: dict[str, SecurePortEphemeral] = {
    "sp_hmd4": secure_port_half_md4,
    "sp_md5": secure_port_md5,
    "sp_sip3": secure_port_fixed,
    "sp_sip4": secure_port_reshuffled_u32,
}
BEST_IPS: dict[str, FindBestIps] = {
    "bi_2624": find_best_ips_lookup2_modulo,
    "bi_2635": find_best_ips_lookup2,
    "bi_34": find_best_ips_jhash_2words,
    "bi_310": find_best_ips,
    "bi_44": find_best_ips,
}


def of_kind(kind: str) -> pytest.MarkDecorator:
    names = [f"{v['gen']}-{n}" for n, v in enumerate(KINDS[kind])]
    return pytest.mark.parametrize("v", KINDS[kind], ids=names)


def address(l3num: int, text: str) -> int:
    """Of 16 bytes in memory."""
    return int.from_bytes(bytes.fromhex(text)[: 4 if l3num == AF_INET else 16], "big")


def ct_tuple(v: Vector) -> CtTuple:
    l3num = v["l3num"]
    src, dst = address(l3num, v["saddr"]), address(l3num, v.get("daddr", "00" * 16))
    return CtTuple(l3num, v.get("proto", 6), src, v.get("sport", 0), dst, v.get("dport", 0))


def table_keys(v: Vector, siphash: bool) -> HashKeys:
    """The one key in both places; past a u32 there are bytes that jhash may not read."""
    numbers = (v["key0"], v["key1"]) if siphash else (v["hash_rnd_u32"], 0xEEEE)
    key = pack("<2Q" if siphash else "<IQ4x", *numbers)
    return HashKeys(key, key, bytes(64))


@of_kind("conntrack_hash")
def test_conntrack_hash(v: Vector) -> None:
    gen = v["gen"]
    keys = table_keys(v, siphash=gen in ("ct_515", "ct_62", "ct_66"))
    raw = RAW[gen](ct_tuple(v), v["zone"], v["net_mix"], keys)
    # The first two kernels give the bucket only; these are the sizes of the tables.
    if gen == "ct_2624":
        raw = modulo(raw, 0x7FFFFFFF)
    elif gen == "ct_2635":
        raw = reciprocal_scale(raw, 0xFFFFFFFF)
    assert raw == v["result"]


@of_kind("bysource_hash")
def test_bysource_hash(v: Vector) -> None:
    keys = table_keys(v, siphash=v["gen"] == "bs_515")
    bucket = BY_SRC[v["gen"]](ct_tuple(v), v["zone"], v["net_mix"], keys, v["table_size"])
    assert bucket == v["result"]


@of_kind("secure_port")
def test_secure_port(v: Vector) -> None:
    if v["secret_words"] is None or v["gen"].startswith("sp_sip"):
        secret = pack("<2Q48x", v["key0"], v["key1"])
    else:
        secret = pack("<16I", *v["secret_words"])
    keys = HashKeys(bytes(16), bytes(16), secret)
    jiffies = (v["time_bucket"] or 0) * EPHEMERAL_PORT_SHUFFLE_PERIOD
    args = (AF_INET, v["saddr_int"], v["daddr_int"], v["dport"], jiffies)
    assert SECURE_PORT[v["gen"]](*args, keys) == v["result"]


@of_kind("best_ip")
def test_best_ip(v: Vector) -> None:
    low, high = address(v["l3num"], v["min"]), address(v["l3num"], v["max"])
    manip = (Manip.SRC, Manip.DST)[v["manip"]]
    chosen = BEST_IPS[v["gen"]](ct_tuple(v), NatRange(v["flags"], low, high), v["zone"], manip)
    assert chosen == address(v["l3num"], v["result"])


def test_no_generation_is_missing() -> None:
    assert {kind: len(vectors) for kind, vectors in KINDS.items()} == {
        "conntrack_hash": 48,
        "bysource_hash": 35,
        "secure_port": 20,
        "best_ip": 30,
    }
    named = {*RAW, *BY_SRC, *SECURE_PORT, *BEST_IPS}
    assert named == GENERATIONS.keys()
    assert {v["gen"] for vectors in KINDS.values() for v in vectors} == named


def test_the_row_that_a_generation_is_played_on_has_its_function() -> None:
    for functions, field in (
        (RAW, "hash_conntrack_raw"),
        (BY_SRC, "hash_by_src"),
        (SECURE_PORT, "secure_port"),
        (BEST_IPS, "find_best_ips"),
    ):
        for gen, function in functions.items():
            assert getattr(RELEASES[GENERATIONS[gen]], field) is function, gen
