# SPDX-License-Identifier: GPL-2.0-or-later
"""Recorded vectors as typed values: what compiled kernel code was given, and what it did.

A line of a `.jsonl` or `.jsonl.xz` file becomes a `Recorded`.  A wrong file, text or shape raises
BadInput, which names file and line.  What is well formed but speaks of something that this model
does not know (a release without a row, an unknown word) is kept, with the reason for refusing it.
"""

from __future__ import annotations

import io
import json
import lzma
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

import attrs

from natmodel.errors import BadInput
from natmodel.fields import (
    U16,
    U64,
    Fields,
    Malformed,
    Unplayable,
    as_flag,
    as_int,
    as_list,
    as_text,
    as_word,
    wrong,
)
from natmodel.hashes import HZ, HashKeys
from natmodel.release import Release
from natmodel.releases import RELEASES
from natmodel.values import (
    AF_INET,
    AF_INET6,
    ICMP_INVMAP,
    ICMPV6_INVMAP,
    IP_CT_DIR_ORIGINAL,
    IP_CT_DIR_REPLY,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPS_DST_NAT_DONE,
    IPS_SRC_NAT_DONE,
    NF_NAT_RANGE_MAP_IPS,
    PROTO_NAMES,
    RANGE_FLAG_NAMES,
    STATUS_NAMES,
    TCP_CONNTRACK_NONE,
    TCP_STATES,
    Conn,
    CtTuple,
    Manip,
    NatRange,
    Zone,
    parse_address,
    proto_text,
)
from natmodel.world import BOTH, Entry, Stamp

# Longer than any table that 65,536 ports can fill, entry by entry.
_MAX_LINE: Final = 1 << 26
_XZ_MAGIC: Final = b"\xfd7zXZ\x00"
_PIECE: Final = 1 << 16

_PROTONUMS: Final = {name: number for number, name in PROTO_NAMES.items()} | {"other": 99}
_MANIPS: Final = {"SRC": Manip.SRC, "DST": Manip.DST}
_TCP_STATES: Final = {name: number for number, name in enumerate(TCP_STATES)}
_IN_TABLE: Final[Mapping[str, tuple[int, ...]]] = {
    "both": BOTH,
    "reply_only": (IP_CT_DIR_REPLY,),
    "none": (),
}
_STAMPED: Final = {
    "reply.dport": "reply.dport",
    "reply.sport": "reply.sport",
    "reply.id": "reply.sport",
}
_CTINFO: Final = {
    name + suffix: direction
    for name in ("NEW", "RELATED", "ESTABLISHED")
    for suffix, direction in (("", IP_CT_DIR_ORIGINAL), ("_REPLY", IP_CT_DIR_REPLY))
}


# ── what the code did ───────────────────────────────────────────────────────────────────────────


@attrs.frozen
class Lookup:
    """One look-up inside a probe: "taken" says yes or no, "find" (id, direction) or nothing."""

    fn: str
    t: CtTuple
    answer: bool | tuple[int, int] | None


@attrs.frozen
class Probe:
    """`n` probes in a row with one answer, the first of `t`; the manipulated key rises by 1 each.

    No `lookups` means just one tuple_taken for each.
    """

    fn: str
    t: CtTuple
    n: int
    used: bool
    lookups: tuple[Lookup, ...] = ()


@attrs.frozen(kw_only=True)
class Selection:
    """What get_unique_tuple did.  `bysource_lookup` is what was found, None if nobody looked."""

    probes: tuple[Probe, ...]
    random: tuple[tuple[str, int | None], ...]
    secure_port: tuple[int, ...]
    rover_trace: tuple[tuple[str, int], ...]
    rover_after: int | None
    bysource_lookup: tuple[CtTuple | None] | None
    result: CtTuple | None
    result_dir: int | None
    fault: str | None
    killed: tuple[int, ...]
    warn: tuple[str, ...]


# Where the ORIGINAL and the REPLY tuple are hashed.
Buckets: TypeAlias = tuple[int, int]
# A node as vectors tell it: (id, "orig" or "reply"), or with its bucket.
NodeText: TypeAlias = tuple[int, str]
# A chain, head first, or only its length.
ChainText: TypeAlias = tuple[NodeText, ...] | int


@attrs.frozen(kw_only=True)
class Commit:
    """What __nf_conntrack_confirm did, and in which buckets things are.

    `table_buckets` are those of the table's entries; `table_after` is None where it is not told.
    """

    allow_clash: bool
    buckets: Buckets
    table_buckets: tuple[Buckets | None, ...]
    chain_orig_before: ChainText
    chain_reply_before: ChainText
    random: tuple[tuple[str, int | None, int], ...]
    verdict: str
    stats: tuple[tuple[str, int], ...]
    added: tuple[tuple[int, str, int], ...]
    removed: tuple[tuple[int, str, int], ...]
    table_after: tuple[tuple[int, int, str], ...] | None
    skb_ct_after: int
    status: tuple[str, ...]
    timeout: int
    freed: bool
    refcount: int
    warn: tuple[str, ...]


@attrs.frozen
class FlowEnd:
    """How one flow of a schedule ended."""

    id: int
    reply_tuple: CtTuple
    status: tuple[str, ...]
    setup: str
    confirm: str
    skb_ct: int


Event: TypeAlias = tuple[str | int | bool | CtTuple | None, ...]


@attrs.frozen(kw_only=True)
class Interleaving:
    """What two flows did together; a flow that has not ended has no result."""

    trace: tuple[Event, ...]
    random: tuple[tuple[str, str, int | None], ...]
    results: tuple[FlowEnd | None, ...]
    stats: tuple[tuple[str, int], ...]
    rover_after: int | None


@attrs.frozen(kw_only=True)
class Hashed:
    """A hash function's value; for an address choice also the two words that it started from."""

    result: int | CtTuple
    jhash2_initval: int | None = None
    j_initial: int | None = None


@attrs.frozen(kw_only=True)
class Walked:
    """What a port search did: the keys it chose and asked about (result None: it divided by zero).

    `attempts_left` is what each probe was told of it; None where probes know no such thing.
    """

    result: int | None
    probes: tuple[int, ...]
    attempts_left: tuple[int, ...] | None
    rover_after: int


# ── what it was given ───────────────────────────────────────────────────────────────────────────


@attrs.frozen(kw_only=True)
class Table:
    """What was in memory: entries in the order of their insertion, sizes of the tables, the time.

    `buckets` are each entry's, where they are told.
    """

    entries: tuple[Entry | Stamp, ...]
    buckets: tuple[Buckets | None, ...]
    jiffies: int
    htable_size: int
    nat_htable_size: int


@attrs.frozen(kw_only=True)
class Select:
    """A call of get_unique_tuple.  `port` is what the keyed hash is made to return, if it is."""

    table: Table
    orig: CtTuple
    range: NatRange
    ct: Conn
    manip: Manip
    rover: int | None
    port: int | None
    did: Selection


@attrs.frozen(kw_only=True)
class Confirm:
    """A call of __nf_conntrack_confirm."""

    table: Table
    ct: Conn
    direction: int
    did: Commit


@attrs.frozen
class Flow:
    """One flow of a schedule: nf_nat_setup_info, then confirm."""

    ct: Conn
    range: NatRange
    manip: Manip


@attrs.frozen(kw_only=True)
class Interleave:
    """Two flows, A and B, and whose turn it is from one switch point to the next."""

    table: Table
    flows: tuple[Flow, Flow]
    schedule: str
    rover: int | None
    did: Interleaving


@attrs.frozen
class RawHash:
    """hash_conntrack_raw, or its bucket in a table of `size`"""

    t: CtTuple
    zone_id: int
    net_hash_mix: int
    keys: HashKeys
    size: int | None = None


@attrs.frozen
class SourceHash:
    """hash_by_src"""

    t: CtTuple
    zone: Zone
    net_hash_mix: int
    keys: HashKeys
    size: int


@attrs.frozen
class Jhash2:
    words: tuple[int, ...]
    initval: int


@attrs.frozen
class Scale:
    """reciprocal_scale"""

    val: int
    ep_ro: int


@attrs.frozen
class PortHash:
    """secure_ipv4_port_ephemeral, secure_ipv6_port_ephemeral"""

    l3num: int
    saddr: int
    daddr: int
    dport: int
    jiffies: int
    keys: HashKeys


@attrs.frozen
class BestIps:
    """find_best_ips_proto"""

    t: CtTuple
    range: NatRange
    zone: Zone
    manip: Manip


@attrs.frozen
class BestAddress:
    """find_best_ips_proto, of which only the address was recorded"""

    t: CtTuple
    range: NatRange
    zone_id: int
    manip: Manip


HashCall: TypeAlias = RawHash | SourceHash | Jhash2 | Scale | PortHash | BestIps | BestAddress


@attrs.frozen(kw_only=True)
class Hash:
    """A call of a hash function."""

    call: HashCall
    did: Hashed


@attrs.frozen(kw_only=True)
class Walk:
    """A port search on the row `row`; the keys in `used` are used, whatever probe asks about them.

    `random` are the values that it may draw, in order, and `port` is what the keyed hash returns.
    """

    row: str
    t: CtTuple
    range: NatRange
    manip: Manip
    ct: Conn
    rover: int
    random: tuple[int, ...]
    port: int
    used: Container[int]
    did: Walked


@attrs.frozen
class Refused:
    """A vector that this model cannot play, and why."""

    why: str


Played: TypeAlias = Select | Confirm | Interleave | Hash | Walk


@attrs.frozen
class Recorded:
    """One line of a file: where it stands, what it is called, and what is to be played."""

    where: str
    id: str
    kind: str
    release: str
    vector: Played | Refused

    @property
    def row(self) -> Release:
        """The release to play it on.  There is none for a vector that is refused for that."""
        return RELEASES[self.release]


# ── small values ────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=1 << 14)
def _address(text: str) -> tuple[int, int] | None:
    try:
        return None if "%" in text else parse_address(text)
    except ValueError:
        return None


def as_address(value: object, at: str) -> tuple[int, int]:
    """(l3num, integer)"""
    found = _address(value) if isinstance(value, str) else None
    if found is None:
        wrong(at, "an address", value)
    return found


def as_tuple(protonum: int, value: object, at: str) -> CtTuple:
    """[src, sport, dst, dport]"""
    src, sport, dst, dport = as_list(value, at, 4)
    l3num, source = as_address(src, at)
    other, destination = as_address(dst, at)
    if l3num != other:
        wrong(at, "addresses of one family", value)
    t = CtTuple(
        l3num, protonum, source, as_int(sport, at, 0, U16), destination, as_int(dport, at, 0, U16)
    )
    if protonum in (IPPROTO_ICMP, IPPROTO_ICMPV6):
        kind = t.dport // 256
        if kind not in (ICMP_INVMAP if protonum == IPPROTO_ICMP else ICMPV6_INVMAP):
            raise Unplayable(f"{at}: {proto_text(protonum)} type {kind} has no answer")
    return t


def as_bits(value: object, at: str, names: Mapping[str, int]) -> int:
    """A list of flag names."""
    bits = 0
    for name in as_list(value, at):
        bits |= as_word(name, at, names)
    return bits


def as_zone(value: object, at: str) -> Zone:
    zone_id, direction = as_list(value, at, 2)
    return Zone(as_int(zone_id, at, 0, U16), as_int(direction, at, 0, 3))


def as_draw(value: object, at: str) -> tuple[str, int]:
    name, drawn = as_list(value, at, 2)
    return as_text(name, at), as_int(drawn, at)


def as_id(value: object, at: str) -> int:
    return as_int(value, at)


def as_span(value: object, at: str) -> tuple[int, int]:
    """[a, b], both included."""
    a, b = (as_int(end, at, 0, U16) for end in as_list(value, at, 2))
    if a > b:
        wrong(at, "a range that is not reversed", value)
    return a, b


def status_names(status: int) -> tuple[str, ...]:
    return tuple(name for name, bit in STATUS_NAMES.items() if status & bit)


def _read_protonum(f: Fields) -> int:
    protonum = f.word("proto", _PROTONUMS)
    if f.has("protonum") and f.number("protonum", 0, 255) != protonum:
        raise Malformed(f"{f.at('protonum')}: not the number of that protocol")
    return protonum


def _read_conn(f: Fields, id_name: str = "id") -> Conn:
    """The fields that every connection can have."""
    protonum = _read_protonum(f)
    zone = as_zone(f.value("zone"), f.at("zone")) if f.has("zone") else Zone()
    return Conn(
        id=f.number(id_name),
        orig=as_tuple(protonum, f.value("orig"), f.at("orig")),
        reply=as_tuple(protonum, f.value("reply"), f.at("reply")),
        status=as_bits(f.value("status"), f.at("status"), STATUS_NAMES),
        zone=zone,
        net=f.number("net", default=0),
        tcp_state=f.word("tcp_state", _TCP_STATES, TCP_STATES[TCP_CONNTRACK_NONE]),
        td_end=f.number("td_end", default=0),
        timeout=f.number("timeout", -0x80000000, 0x7FFFFFFF, default=30000),
        refcount=f.number("refcount", default=1),
        has_master=f.flag("master", False),
        local_origin=f.flag("local_origin", False),
    )


def _read_ct(f: Fields) -> tuple[Conn, bool]:
    """The connection being set up, and whether it is in the table."""
    conn = f.nested("ct")
    in_table = conn.flag("self_in_table", False)
    ct = _read_conn(conn)
    conn.end()
    return ct, in_table


def _read_range(f: Fields, l3num: int) -> NatRange:
    flags = as_bits(f.value("flags"), f.at("flags"), RANGE_FLAG_NAMES)
    if f.has("flags_value") and f.number("flags_value") != flags:
        raise Malformed(f"{f.at('flags_value')}: not the value of these flags")
    ends = [as_address(f.value(name), f.at(name)) for name in ("min_addr", "max_addr")]
    if flags & NF_NAT_RANGE_MAP_IPS and any(family != l3num for family, _ in ends):
        raise Unplayable(f"{f.at('min_addr')}: not of the packet's address family")
    ports = [f.number(name, 0, U16, default=0) for name in ("min_proto", "max_proto", "base_proto")]
    f.end()
    return NatRange(flags, ends[0][1], ends[1][1], *ports)


# ── tables ──────────────────────────────────────────────────────────────────────────────────────


def _read_entry(value: object, at: str) -> tuple[Entry | Stamp, Buckets | None]:
    """An entry, and its buckets if they are told."""
    f = Fields(value, at)
    buckets = None
    if f.has("buckets"):
        orig, reply = f.items("buckets", 2)
        buckets = as_int(orig, f.at("buckets")), as_int(reply, f.at("buckets"))
    if f.flag("fill", False):
        if buckets:
            raise Unplayable(f"{f.at('buckets')}: many entries have no bucket in common")
        entry: Entry | Stamp = _read_stamp(f)
    else:
        entry = _read_plain(f)
    f.end()
    return entry, buckets


def _read_plain(f: Fields) -> Entry:
    hashed = f.word("in_table", _IN_TABLE, "both")
    return Entry(_read_conn(f), hashed, f.flag("bysource", False))


def _read_stamp(f: Fields) -> Stamp:
    stamp = Stamp(
        field=f.word("field", _STAMPED),
        first=f.number("from", 0, U16),
        last=f.number("to", 0, U16),
        excluded=_merged(f.each("except", as_span, optional=True)),
        sport_step=f.flag("orig_sport_step", False),
        dport_step=f.flag("orig_dport_step", False),
        hashed=f.word("in_table", _IN_TABLE, "both"),
        in_bysource=f.flag("bysource", False),
        template=_read_conn(f, "id0"),
    )
    if f.number("count", default=len(stamp)) != len(stamp):
        raise Malformed(f"{f.at('count')}: the range holds {len(stamp)}")
    return stamp


def _merged(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The same values in ranges that do not meet, ascending."""
    merged: list[tuple[int, int]] = []
    for a, b in sorted(spans):
        if merged and a <= merged[-1][1] + 1:
            a, b = merged[-1][0], max(b, merged.pop()[1])
        merged.append((a, b))
    return tuple(merged)


def _read_table(f: Fields, name: str, cts: Iterable[Conn]) -> Table:
    """`cts` are the connections that are being set up."""
    read = f.each(name, _read_entry)
    entries = tuple(entry for entry, _ in read)
    _check_ids(entries, cts, f.at(name))
    return Table(
        entries=entries,
        buckets=tuple(buckets for _, buckets in read),
        jiffies=f.number("jiffies", high=U64),
        htable_size=f.number("htable_size", 1),
        nat_htable_size=f.number("nat_htable_size", 1, default=1),
    )


def _check_ids(entries: Iterable[Entry | Stamp], cts: Iterable[Conn], at: str) -> None:
    """Ids name one connection each."""
    taken = [(ct.id, ct.id) for ct in cts]
    for entry in entries:
        if isinstance(entry, Entry):
            taken.append((entry.ct.id, entry.ct.id))
        elif len(entry):
            taken.append((entry.template.id, entry.template.id + len(entry) - 1))
    taken.sort()
    for (_, last), (first, _) in pairwise(taken):
        if first <= last:
            raise Malformed(f"{at}: id {first} is given twice")


# ── unique_tuple ────────────────────────────────────────────────────────────────────────────────


def _read_select(f: Fields) -> Select:
    protonum = _read_protonum(f)
    orig = as_tuple(protonum, f.value("orig_tuple"), f.at("orig_tuple"))
    ct, in_table = _read_ct(f)
    table = _read_table(f, "state", [ct])
    if in_table:
        table = attrs.evolve(table, entries=(*table.entries, Entry(ct)))
    port, ports = _read_port(f)
    return Select(
        table=table,
        orig=orig,
        range=_read_range(f.nested("config"), orig.l3num),
        ct=ct,
        manip=f.word("manip", _MANIPS),
        rover=f.number_or_null("rover", U16),
        port=port,
        did=_read_selection(f, protonum, ports),
    )


def _read_port(f: Fields) -> tuple[int | None, tuple[int, ...]]:
    """What secure_port is made to return (None: its own value), and what it returned, if called."""
    if not f.has("secure_port"):
        return None, ()
    value = f.value("secure_port")
    if value is None:
        return None, ()
    port = Fields(value, f.at("secure_port"))
    returned = port.number("value", high=U64)
    scripted = port.flag("scripted", False)
    port.end()
    return returned if scripted else None, (returned,)


def _read_selection(f: Fields, protonum: int, ports: tuple[int, ...]) -> Selection:
    probes = f.each("probes", partial(_read_probe, protonum))
    random = f.each("random", as_draw)
    if f.number("n_probes", default=sum(p.n for p in probes)) != sum(p.n for p in probes):
        raise Malformed("n_probes: not the number of probes")
    if f.number("random_consumed", default=len(random)) != len(random):
        raise Malformed("random_consumed: not the number of random values")
    result = f.value("result")
    return Selection(
        probes=probes,
        random=random,
        secure_port=ports,
        rover_trace=f.each("rover_trace", as_draw, optional=True),
        rover_after=f.number_or_null("rover_after", U16),
        bysource_lookup=_read_bysource(f, protonum),
        result=None if result is None else as_tuple(protonum, result, "result"),
        result_dir=f.number_or_null("result_dir", 1),
        fault=f.word("fault", {"divide_error": "divide_error"}) if f.has("fault") else None,
        killed=f.each("killed", as_id),
        warn=f.each("warn", as_text, optional=True),
    )


def _read_bysource(f: Fields, protonum: int) -> tuple[CtTuple | None] | None:
    value = f.value("bysource_lookup")
    if value is None:
        return None
    lookup = Fields(value, f.at("bysource_lookup"))
    found, t = lookup.flag("found"), lookup.value("tuple")
    lookup.end()
    if found != (t is not None):
        raise Malformed(f"{lookup.at('found')}: contradicts the tuple")
    return (None if t is None else as_tuple(protonum, t, lookup.at("tuple")),)


def _read_probe(protonum: int, value: object, at: str) -> Probe:
    f = Fields(value, at)
    probe = Probe(
        fn=f.text("fn"),
        t=as_tuple(protonum, f.value("t"), f.at("t")),
        n=f.number("n", 1, 1 << 20, default=1),
        used=f.flag("used"),
        lookups=f.each("lookups", partial(_read_lookup, protonum), optional=True),
    )
    if probe.n > 1 and probe.lookups:
        raise Malformed(f"{at}: a probe with look-ups stands for itself only")
    f.end()
    return probe


def _read_lookup(protonum: int, value: object, at: str) -> Lookup:
    """["taken", tuple, bool] or ["find", tuple, id or null, direction or null]"""
    parts = as_list(value, at)
    fn = as_word(parts[0] if parts else None, at, {"taken": "taken", "find": "find"})
    if fn == "taken":
        _, t, taken = as_list(value, at, 3)
        return Lookup(fn, as_tuple(protonum, t, at), as_flag(taken, at))
    _, t, found, direction = as_list(value, at, 4)
    answer = None
    if found is not None or direction is not None:
        answer = as_int(found, at), as_int(direction, at, 0, 1)
    return Lookup(fn, as_tuple(protonum, t, at), answer)


# ── confirm ─────────────────────────────────────────────────────────────────────────────────────

_SIDES: Final = {"orig": "orig", "reply": "reply"}
_VERDICTS: Final = {"ACCEPT": "ACCEPT", "DROP": "DROP"}
COUNTERS: Final = ("insert", "insert_failed", "clash_resolve", "drop", "chaintoolong", "found")
# Chains of more nodes are recorded as their length.
LONGEST_CHAIN_TOLD: Final = 12


def _read_confirm(f: Fields) -> Confirm:
    ct, in_table = _read_ct(f)
    if in_table:
        raise Unplayable("ct.self_in_table: confirm is for a connection that is not in the table")
    if f.has("proto") and _read_protonum(f) != ct.orig.protonum:
        raise Malformed("proto: not that of ct")
    if f.number("hz", default=HZ) != HZ:
        raise Unplayable(f"hz: this model has {HZ} ticks a second")
    table = _read_table(f, "table", [ct])
    direction = f.word("ctinfo", _CTINFO)
    return Confirm(table=table, ct=ct, direction=direction, did=_read_commit(f, table))


def _read_commit(f: Fields, table: Table) -> Commit:
    after = f.nested("ct_after")
    buckets = f.nested("buckets")
    commit = Commit(
        allow_clash=f.flag("allow_clash"),
        buckets=(buckets.number("orig"), buckets.number("reply")),
        table_buckets=table.buckets,
        chain_orig_before=_read_chain(f, "chain_orig_before"),
        chain_reply_before=_read_chain(f, "chain_reply_before"),
        random=f.each("random", _as_draw_below),
        verdict=f.word("verdict", _VERDICTS),
        stats=_read_stats(f),
        added=f.each("added", _as_node_in),
        removed=f.each("removed", _as_node_in),
        table_after=f.each("table_after", _as_bucket_node) if f.has("table_after") else None,
        skb_ct_after=f.number("skb_ct_after"),
        status=status_names(as_bits(after.value("status"), after.at("status"), STATUS_NAMES)),
        timeout=after.number("timeout", -0x80000000, U64),
        freed=after.flag("freed"),
        refcount=after.number("refcount"),
        warn=f.each("warn", as_text, optional=True),
    )
    after.end()
    buckets.end()
    return commit


def _read_chain(f: Fields, name: str) -> ChainText:
    value = f.value(name)
    if isinstance(value, int):
        return as_int(value, f.at(name))
    return told_chain(
        [_as_node(node, f"{f.at(name)}[{n}]") for n, node in enumerate(as_list(value, f.at(name)))]
    )


def told_chain(nodes: Sequence[NodeText]) -> ChainText:
    """A chain as vectors tell it."""
    return len(nodes) if len(nodes) > LONGEST_CHAIN_TOLD else tuple(nodes)


def _as_node(value: object, at: str) -> NodeText:
    conn_id, side = as_list(value, at, 2)
    return as_int(conn_id, at), as_word(side, at, _SIDES)


def _as_node_in(value: object, at: str) -> tuple[int, str, int]:
    conn_id, side, bucket = as_list(value, at, 3)
    return as_int(conn_id, at), as_word(side, at, _SIDES), as_int(bucket, at)


def _as_bucket_node(value: object, at: str) -> tuple[int, int, str]:
    bucket, conn_id, side = as_list(value, at, 3)
    return as_int(bucket, at), as_int(conn_id, at), as_word(side, at, _SIDES)


def _as_draw_below(value: object, at: str) -> tuple[str, int, int]:
    name, drawn, below = as_list(value, at, 3)
    limit = as_int(below, at, 1)
    return as_text(name, at), as_int(drawn, at, 0, limit - 1), limit


def _read_stats(f: Fields) -> tuple[tuple[str, int], ...]:
    """The counters that were recorded, by name."""
    stats = f.nested("stats")
    counters = tuple((name, stats.number(name)) for name in COUNTERS if stats.has(name))
    stats.end()
    return counters


# ── schedule ────────────────────────────────────────────────────────────────────────────────────

_FLOWS: Final = {"A": "A", "B": "B"}
# The events of a trace, and what stands in them after the flow and the event's name.
_EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "yield": ("text",),
    "probe": ("text", "tuple", "flag"),
    "random": ("text", "number"),
    "rover_read": ("number",),
    "rover_write": ("number",),
    "secure_port": ("number",),
    "bysource": ("flag", "tuple"),
    "kill": ("number",),
    "free": ("number",),
    "end": (),
}


def _read_interleave(f: Fields) -> Interleave:
    flows = f.each("flows", _read_flow)
    if len(flows) != 2:
        raise Unplayable(f"flows: {len(flows)} of them")
    protonum = flows[0].ct.orig.protonum
    if any(p != protonum for p in (flows[1].ct.orig.protonum, _read_protonum(f))):
        raise Unplayable("flows: of two protocols")
    schedule = f.text("schedule")
    if set(schedule) - set(_FLOWS):
        raise Malformed("schedule: it is made of A and B")
    if f.number("steps", default=len(schedule)) != len(schedule):
        raise Malformed("steps: not the length of the schedule")
    ids = [flow.ct.id for flow in flows]
    return Interleave(
        table=_read_table(f, "state", [flow.ct for flow in flows]),
        flows=(flows[0], flows[1]),
        schedule=schedule,
        rover=f.number_or_null("rover", U16),
        did=_read_interleaving(f, protonum, ids),
    )


def _read_flow(value: object, at: str) -> Flow:
    f = Fields(value, at)
    ct, in_table = _read_ct(f)
    manip = f.word("manip", _MANIPS)
    done = IPS_SRC_NAT_DONE if manip is Manip.SRC else IPS_DST_NAT_DONE
    if in_table or ct.status & done:
        raise Unplayable(f"{at}: it has been set up before, where kernels stop, or warn and drop")
    flow = Flow(ct, _read_range(f.nested("config"), ct.orig.l3num), manip)
    f.end()
    return flow


def _read_interleaving(f: Fields, protonum: int, ids: Sequence[int]) -> Interleaving:
    trace = f.each("trace", partial(_as_event, protonum))
    return Interleaving(
        # The model counts no references: when a table's entry is freed is not in it.
        trace=tuple(event for event in trace if event[1] != "free" or event[2] in ids),
        random=f.each("random", _as_flow_draw),
        results=f.each("results", partial(_read_flow_end, protonum)),
        stats=_read_stats(f),
        rover_after=f.number_or_null("rover_after", U16),
    )


def _as_event(protonum: int, value: object, at: str) -> Event:
    parts = as_list(value, at)
    if len(parts) < 2:
        wrong(at, "an event", value)
    flow, name = as_word(parts[0], at, _FLOWS), as_text(parts[1], at)
    kinds = as_word(name, at, _EVENTS)
    rest = as_list(value, at, 2 + len(kinds))[2:]
    return (
        flow,
        name,
        *(_as_part(kind, protonum, part, at) for kind, part in zip(kinds, rest, strict=True)),
    )


def _as_part(kind: str, protonum: int, value: object, at: str) -> str | int | bool | CtTuple | None:
    if kind == "text":
        return as_text(value, at)
    if kind == "number":
        return as_int(value, at, 0, U64)
    if kind == "flag":
        return as_flag(value, at)
    return None if value is None else as_tuple(protonum, value, at)


def _as_flow_draw(value: object, at: str) -> tuple[str, str, int]:
    flow, name, drawn = as_list(value, at, 3)
    return as_word(flow, at, _FLOWS), as_text(name, at), as_int(drawn, at)


def _read_flow_end(protonum: int, value: object, at: str) -> FlowEnd:
    f = Fields(value, at)
    end = FlowEnd(
        id=f.number("id"),
        reply_tuple=as_tuple(protonum, f.value("reply_tuple"), f.at("reply_tuple")),
        status=status_names(as_bits(f.value("status"), f.at("status"), STATUS_NAMES)),
        setup=f.word("setup", _VERDICTS),
        confirm=f.word("confirm", _VERDICTS),
        skb_ct=f.number("skb_ct"),
    )
    f.end()
    return end


# ── hash ────────────────────────────────────────────────────────────────────────────────────────


def _read_hash(f: Fields) -> Hash:
    read = f.word("fn", _HASHES)
    return read(f)


def _read_keys(f: Fields, name: str) -> HashKeys:
    """The same key for whichever secret the function reads; a short one is followed by zeros."""
    text = f.text(name)
    try:
        key = bytes.fromhex(text)
    except ValueError:
        wrong(f.at(name), "a key in hex", text)
    if not 4 <= len(key) <= 64:
        wrong(f.at(name), "a key of 4 to 64 bytes", text)
    return HashKeys(key[:16].ljust(16, b"\0"), key[:16].ljust(16, b"\0"), key.ljust(64, b"\0"))


def _read_hashed_tuple(f: Fields) -> CtTuple:
    return as_tuple(_read_protonum(f), f.value("tuple"), f.at("tuple"))


def _read_raw_hash(f: Fields) -> Hash:
    f.skip("dir")
    call = RawHash(
        _read_hashed_tuple(f),
        f.number("zone_id_arg"),
        f.number("net_hash_mix"),
        _read_keys(f, "key"),
    )
    return Hash(call=call, did=Hashed(result=f.number("result")))


def _read_source_hash(f: Fields) -> Hash:
    f.skip("dir")
    call = SourceHash(
        _read_hashed_tuple(f),
        as_zone(f.value("zone"), f.at("zone")),
        f.number("net_hash_mix"),
        _read_keys(f, "key"),
        f.number("nat_htable_size", 1),
    )
    return Hash(call=call, did=Hashed(result=f.number("result")))


def _read_jhash2(f: Fields) -> Hash:
    call = Jhash2(f.each("words", as_int), f.number("initval"))
    return Hash(call=call, did=Hashed(result=f.number("result")))


def _read_scale(f: Fields) -> Hash:
    return Hash(
        call=Scale(f.number("val"), f.number("ep_ro")), did=Hashed(result=f.number("result"))
    )


def _read_port_hash(l3num: int, f: Fields) -> Hash:
    if f.number("hz", default=HZ) != HZ:
        raise Unplayable(f"hz: this model has {HZ} ticks a second")
    (family, saddr), (other, daddr) = (
        as_address(f.value(name), f.at(name)) for name in ("saddr", "daddr")
    )
    if not family == other == l3num:
        raise Malformed("saddr: not of the function's address family")
    call = PortHash(
        l3num,
        saddr,
        daddr,
        f.number("dport", 0, U16),
        f.number("jiffies", high=U64),
        _read_keys(f, "net_secret"),
    )
    return Hash(call=call, did=Hashed(result=f.number("result", high=U64)))


def _read_best_ips(f: Fields) -> Hash:
    t = _read_hashed_tuple(f)
    zone = as_zone(f.value("zone"), f.at("zone")) if f.has("zone") else Zone()
    call = BestIps(t, _read_range(f.nested("config"), t.l3num), zone, f.word("manip", _MANIPS))
    did = Hashed(
        result=as_tuple(t.protonum, f.value("result"), f.at("result")),
        jhash2_initval=f.number_or_null("jhash2_initval"),
        j_initial=f.number_or_null("j_initial"),
    )
    return Hash(call=call, did=did)


_HASHES: Final[Mapping[str, Callable[[Fields], Hash]]] = {
    "hash_conntrack_raw": _read_raw_hash,
    "hash_by_src": _read_source_hash,
    "jhash2": _read_jhash2,
    "reciprocal_scale": _read_scale,
    "secure_ipv4_port_ephemeral": partial(_read_port_hash, AF_INET),
    "secure_ipv6_port_ephemeral": partial(_read_port_hash, AF_INET6),
    "find_best_ips_proto": _read_best_ips,
}


# ── lines and files ─────────────────────────────────────────────────────────────────────────────

KINDS: Final[Mapping[str, Callable[[Fields], Played]]] = {
    "unique_tuple": _read_select,
    "confirm": _read_confirm,
    "schedule": _read_interleave,
    "hash": _read_hash,
}


def read_vector(line: str, where: str) -> Recorded:
    """One line of a file.  Raises BadInput; `where` begins its text."""
    try:
        f = Fields(json.loads(line))
        conn_id, kind, release = f.text("id"), f.text("kind"), f.text("release")
        f.skip("class", "generation_hint")
        try:
            vector: Played | Refused = _read_body(f, kind, release)
        except Unplayable as why:
            vector = Refused(str(why))
    except Malformed as error:
        raise BadInput(f"{where}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: not JSON: {printable(error)}") from None
    return Recorded(where, conn_id, kind, release, vector)


def _read_body(f: Fields, kind: str, release: str) -> Played:
    if release not in RELEASES:
        raise Unplayable("no row for this release")
    read = KINDS.get(kind)
    if read is None:
        raise Unplayable("no such kind of vector")
    vector = read(f)
    f.end()
    return vector


def read_vectors(path: Path) -> Iterator[Recorded]:
    """The vectors of a file, in order.  Raises BadInput, also for a file without any."""
    name = printable(path)
    empty = True
    with opened(path) as file:
        for n, line in enumerate(iter(partial(file.readline, _MAX_LINE), b""), 1):
            if len(line) == _MAX_LINE:
                raise BadInput(f"{name}, line {n}: no vector is as long as this line")
            if line.strip():
                empty = False
                yield read_vector(_decoded(line, f"{name}, line {n}"), f"{name}, line {n}")
    if empty:
        raise BadInput(f"{name}: no vectors in this file")


def read_document(path: Path) -> object | None:
    """A file that is one JSON document; None if it is one of lines, or neither.  Raises BadInput."""
    with opened(path) as file:
        head = next((line for line in file if line.strip()), b"")
        try:
            first = json.loads(head)
        except (ValueError, RecursionError):
            first = None
        if isinstance(first, dict) and "kind" in first:
            return None
        try:
            document: object = json.loads(head + file.read(_MAX_LINE), object_pairs_hook=_once)
        except _Twice as twice:
            raise BadInput(f"{printable(path)}: {str(twice)!a} is there twice") from None
        except (ValueError, RecursionError) as error:
            if head.strip() in (b"[", b"{"):
                raise BadInput(f"{printable(path)}: not JSON: {printable(error)}") from None
            return None
    return document


class _Twice(Exception):
    """An object gives a name two values."""


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return value


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The file, uncompressed.  Raises BadInput if it cannot be read, now or later."""
    name = printable(path)
    try:
        with _open(path) as file:
            yield file
    except EOFError:
        raise BadInput(f"{name}: the compressed data end too early") from None
    except lzma.LZMAError as error:
        raise BadInput(f"{name}: corrupt xz data: {printable(error)}") from None
    except OSError as error:
        raise BadInput(f"{name}: {error.strerror or printable(error)}") from None


def _open(path: Path) -> IO[bytes]:
    """The file's bytes, uncompressed if they are compressed or should be."""
    with path.open("rb") as file:
        compressed = file.read(len(_XZ_MAGIC)) == _XZ_MAGIC
    if compressed or path.suffix == ".xz":
        return io.BufferedReader(_Unpacked(path.open("rb")), _PIECE)
    return path.open("rb")


class _Unpacked(io.RawIOBase):
    """The contents of an xz file, to its very end: whole streams, with zero words between them.

    lzma.open stops without a word at the first thing that is no stream.
    """

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._stream: lzma.LZMADecompressor | None = None
        self._first = True
        self._left = b""

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._packed.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        piece = self._piece(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def _piece(self, most: int) -> bytes:
        """At most so many bytes; none at the end of the file."""
        while True:
            if self._stream is None:
                if not self._another_stream():
                    return b""
                self._stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)
            if self._stream.needs_input and not self._left:
                self._left = self._packed.read(_PIECE)
                if not self._left:
                    raise EOFError
            piece = self._stream.decompress(self._left, most)
            self._left = b""
            if self._stream.eof:
                self._left, self._stream = self._stream.unused_data, None
            if piece:
                return piece

    def _another_stream(self) -> bool:
        """Does a stream follow, after padding?  There is one at least."""
        padding = 0
        while True:
            rest = self._left.lstrip(b"\0") if not self._first else self._left
            padding += len(self._left) - len(rest)
            self._left = rest or self._packed.read(_PIECE)
            if rest or not self._left:
                break
        if padding % 4:
            raise lzma.LZMAError("padding that is no multiple of four bytes")
        first, self._first = self._first, False
        return first or bool(self._left)


def _decoded(line: bytes, where: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise BadInput(f"{where}: not text in UTF-8") from None


def printable(value: object) -> str:
    """A message or a path in one line that can be printed."""
    text = str(value).encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
