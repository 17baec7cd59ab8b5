# SPDX-License-Identifier: GPL-2.0-or-later
"""Recorded calls of single functions, cut out of many kernels and compiled: port walks and hashes.

A file is one JSON document.  Port walks are a list; each names the tree that its function is from, and
is played on that tree's row.  Hashes are an object of four lists; each names its function's generation:
`ct_` is a conntrack hash, `bs_` a by-source hash, `sp_` a port hash, `bi_` an address choice, and the
number is the first release that has it.  A wrong shape raises BadInput, which names file and entry.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import suppress
from functools import partial
from struct import pack
from typing import Final

from natmodel.errors import BadInput
from natmodel.fields import (
    U16,
    U64,
    Fields,
    Malformed,
    Unplayable,
    as_int,
    as_list,
    as_word,
    wrong,
)
from natmodel.hashes import EPHEMERAL_PORT_SHUFFLE_PERIOD, HashKeys
from natmodel.lines import TREES, Version
from natmodel.values import (
    AF_INET,
    AF_INET6,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_TCP,
    Conn,
    CtTuple,
    Manip,
    NatRange,
    Zone,
    nf_ct_invert_tuple,
)
from natmodel.vectors import (
    BestAddress,
    Hash,
    Hashed,
    Played,
    PortHash,
    RawHash,
    Recorded,
    Refused,
    SourceHash,
    Walk,
    Walked,
)

_MANIPS: Final = {"SRC": Manip.SRC, "DST": Manip.DST}

# The row that has a generation's function.
GENERATIONS: Final[Mapping[str, str]] = {
    "ct_2624": "2.6.24",
    "ct_2635": "2.6.35.6",
    "ct_34": "3.4.113",
    "ct_44": "4.4.0",
    "ct_47": "4.7.4",
    "ct_515": "5.15.0",
    "ct_62": "6.2.1",
    "ct_66": "6.6.9",
    "bs_2624": "2.6.24",
    "bs_2635": "2.6.35.6",
    "bs_34": "3.4.113",
    "bs_310": "3.10.4",
    "bs_44": "4.4.0",
    "bs_47": "4.7.4",
    "bs_515": "5.15.0",
    "sp_hmd4": "2.6.35.6",
    "sp_md5": "3.4.113",
    "sp_sip3": "4.12.0",
    "sp_sip4": "4.14.280",
    "bi_2624": "2.6.24",
    "bi_2635": "2.6.35.6",
    "bi_34": "3.4.113",
    "bi_310": "3.10.4",
    "bi_44": "4.4.0",
}
# These have a u64 pair for a key; the others have words.
_SIPHASH: Final = frozenset({"ct_515", "ct_62", "ct_66", "bs_515", "sp_sip3", "sp_sip4"})
# The first two kernels' functions give a bucket, in tables of these sizes.
_BUCKETS: Final = {"ct_2624": 0x7FFFFFFF, "ct_2635": 0xFFFFFFFF}


# ── port walks ──────────────────────────────────────────────────────────────────────────────────


def _read_walk(kernel: str, f: Fields) -> Walk:
    f.skip("gen")
    manip, protonum = f.word("manip", _MANIPS), f.number("proto", high=255)
    t = _walked_tuple(protonum, manip, f.number("orig_key", high=U16))
    flags = f.number("flags")
    keys = [f.number(name, high=U16) for name in ("min", "max", "base")]
    return Walk(
        row=_row_of(kernel),
        t=t,
        range=NatRange(flags, 0, 0, *keys),
        manip=manip,
        ct=Conn(1, t, nf_ct_invert_tuple(t), has_master=f.flag("has_master")),
        rover=f.number("rover_before", high=U16),
        random=f.each("rnd_u32", as_int),
        port=f.number("secure_u32"),
        used=_read_used(f),
        did=Walked(
            result=f.number("result", high=U16),
            probes=f.each("probes", _as_key),
            attempts_left=_read_attempts(f),
            rover_after=f.number("rover_after", high=U16),
        ),
    )


def _row_of(kernel: str) -> str:
    """The row that the tree of this name was held against."""
    with suppress(BadInput):
        if (row := TREES.get(Version.of(kernel))) is not None:
            return row
    raise Unplayable("no row for this release")


def _walked_tuple(protonum: int, manip: Manip, key: int) -> CtTuple:
    """A tuple with this key.  What else is in it was not recorded, and no walk looks at it."""
    if protonum in (IPPROTO_ICMP, IPPROTO_ICMPV6):
        family, request = (AF_INET, 8) if protonum == IPPROTO_ICMP else (AF_INET6, 128)
        return CtTuple(family, protonum, 1, key, 2, request * 256)
    ports = (key, 80) if manip is Manip.SRC else (40000, key)
    return CtTuple(AF_INET, protonum, 1, ports[0], 2, ports[1])


def _as_key(value: object, at: str) -> int:
    return as_int(value, at, 0, U16)


def _read_used(f: Fields) -> Container[int]:
    """The keys that are used: a list, or "none", or "all"."""
    every: Mapping[str, range] = {"none": range(0), "all": range(U16 + 1)}
    value = f.value("used")
    if isinstance(value, str):
        return as_word(value, f.at("used"), every)
    keys = as_list(value, f.at("used"))
    return frozenset(_as_key(key, f"{f.at('used')}[{n}]") for n, key in enumerate(keys))


def _read_attempts(f: Fields) -> tuple[int, ...] | None:
    """attempts_left of each probe; None where probes know no such thing."""
    value, at = f.value("attempts_left"), f.at("attempts_left")
    return None if value is None else tuple(as_int(left, at) for left in as_list(value, at))


# ── hashes ──────────────────────────────────────────────────────────────────────────────────────


def _read_conntrack_hash(gen: str, f: Fields) -> Hash:
    t = _hashed_tuple(f, f.number("proto", high=255), destination=True)
    keys = _table_keys(gen, f)
    call = RawHash(t, f.number("zone", high=U16), f.number("net_mix"), keys, _BUCKETS.get(gen))
    return Hash(call=call, did=Hashed(result=f.number("result")))


def _read_bysource_hash(gen: str, f: Fields) -> Hash:
    t = _hashed_tuple(f, f.number("proto", high=255), destination=False)
    call = SourceHash(
        t,
        Zone(f.number("zone", high=U16)),
        f.number("net_mix"),
        _table_keys(gen, f),
        f.number("table_size", 1),
    )
    return Hash(call=call, did=Hashed(result=f.number("result")))


def _hashed_tuple(f: Fields, protonum: int, destination: bool) -> CtTuple:
    l3num = _read_family(f)
    src, sport = _read_address(f, "saddr", l3num), f.number("sport", high=U16)
    dst, dport = 0, 0
    if destination:
        dst, dport = _read_address(f, "daddr", l3num), f.number("dport", high=U16)
    return CtTuple(l3num, protonum, src, sport, dst, dport)


def _read_family(f: Fields) -> int:
    l3num = f.number("l3num")
    if l3num not in (AF_INET, AF_INET6):
        raise Unplayable(f"{f.at('l3num')}: no family of addresses that this model has")
    return l3num


def _read_address(f: Fields, name: str, l3num: int) -> int:
    """16 bytes of memory in hex; IPv4 has the first four."""
    text = f.text(name)
    try:
        memory = bytes.fromhex(text)
    except ValueError:
        wrong(f.at(name), "an address in hex", text)
    used = 4 if l3num == AF_INET else 16
    if len(memory) != 16 or any(memory[used:]):
        wrong(f.at(name), "an address of 16 bytes", text)
    return int.from_bytes(memory[:used], "big")


def _table_keys(gen: str, f: Fields) -> HashKeys:
    """The one key in both places; past a u32 there are bytes that jhash may not read."""
    word, pair = f.number("hash_rnd_u32"), _read_pair(f)
    key = pack("<2Q", *pair) if gen in _SIPHASH else pack("<IQ4x", word, 0xEEEE)
    return HashKeys(key, key, bytes(64))


def _read_pair(f: Fields) -> tuple[int, int]:
    return f.number("key0", high=U64), f.number("key1", high=U64)


def _read_secure_port(gen: str, f: Fields) -> Hash:
    pair, words = _read_pair(f), f.value("secret_words")
    if gen in _SIPHASH:
        secret = pack("<2Q48x", *pair)
    else:
        at = f.at("secret_words")
        secret = pack("<16I", *(as_int(word, at) for word in as_list(words, at, 16)))
    bucket = f.number_or_null("time_bucket")
    call = PortHash(
        AF_INET,
        f.number("saddr_int"),
        f.number("daddr_int"),
        f.number("dport", high=U16),
        (bucket or 0) * EPHEMERAL_PORT_SHUFFLE_PERIOD,
        HashKeys(bytes(16), bytes(16), secret),
    )
    return Hash(call=call, did=Hashed(result=f.number("result")))


def _read_best_ip(gen: str, f: Fields) -> Hash:
    l3num = _read_family(f)
    src, dst, low, high, result = (
        _read_address(f, name, l3num) for name in ("saddr", "daddr", "min", "max", "result")
    )
    call = BestAddress(
        CtTuple(l3num, IPPROTO_TCP, src, 0, dst, 0),
        NatRange(f.number("flags"), low, high),
        f.number("zone", high=U16),
        Manip(f.number("manip", high=1)),
    )
    return Hash(call=call, did=Hashed(result=result))


_HASHES: Final[Mapping[str, Callable[[str, Fields], Hash]]] = {
    "conntrack_hash": _read_conntrack_hash,
    "bysource_hash": _read_bysource_hash,
    "secure_port": _read_secure_port,
    "best_ip": _read_best_ip,
}


# ── documents ───────────────────────────────────────────────────────────────────────────────────


def is_walks(document: object) -> bool:
    return isinstance(document, list)


def is_hashes(document: object) -> bool:
    return isinstance(document, dict) and not document.keys().isdisjoint(_HASHES)


def read_walks(document: object, name: str) -> Iterator[Recorded]:
    """The port walks of a document; `name` is its file's."""
    walks = as_list(document, name)
    if not walks:
        raise BadInput(f"{name}: no vectors in this file")
    for n, value in enumerate(walks, 1):
        where = f"{name}, entry {n}"
        try:
            f = Fields(value)
            kernel = f.text("kernel")
            vector = _played(f, partial(_read_walk, kernel))
        except Malformed as error:
            raise BadInput(f"{where}: {error}") from None
        yield Recorded(where, f"{kernel}/walk/{n:04}", "port_walk", kernel, vector)


def read_hashes(document: object, name: str) -> Iterator[Recorded]:
    """The hashes of a document; `name` is its file's."""
    where = name
    try:
        lists = Fields(document)
        for kind, read in _HASHES.items():
            for n, value in enumerate(lists.items(kind) if lists.has(kind) else (), 1):
                where = f"{name}, {kind} {n}"
                f = Fields(value)
                gen = f.text("gen")
                vector = _played(f, partial(_read_hash, read, gen))
                release = GENERATIONS.get(gen, gen)
                yield Recorded(where, f"{gen}/{kind}/{n:02}", kind, release, vector)
        where = name
        lists.end()
    except (Malformed, Unplayable) as error:
        raise BadInput(f"{where}: {error}") from None


def _read_hash(read: Callable[[str, Fields], Hash], gen: str, f: Fields) -> Hash:
    if gen not in GENERATIONS:
        raise Unplayable("no row has a function of this generation")
    return read(gen, f)


def _played(f: Fields, read: Callable[[Fields], Played]) -> Played | Refused:
    """The entry, if this model can play it."""
    try:
        vector = read(f)
        f.end()
    except Unplayable as why:
        return Refused(str(why))
    return vector
