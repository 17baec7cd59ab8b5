# SPDX-License-Identifier: GPL-2.0-or-later
"""What running kernels did, as a laboratory wrote it down: read strictly, as values.

Two kinds of files, each one JSON object.  `scenarios` maps a name to rules, steps, and for each kernel
how often each step came out how; a `fill` file belongs to one kernel and says how often the last free
keys of a window were found.  tests/vectors/live/README.md has the format.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import attrs

from natmodel.errors import BadInput
from natmodel.fields import (
    Fields,
    Malformed,
    Unplayable,
    as_int,
    as_list,
    as_text,
    as_word,
    wrong,
)
from natmodel.kernel_name import kernel_rows
from natmodel.router import FORWARD, LOCAL_IN, LOCAL_OUT, POST_ROUTING, PRE_ROUTING, Rule, Ruleset
from natmodel.values import (
    AF_INET,
    IPPROTO_ICMP,
    IPPROTO_TCP,
    PROTO_NAMES,
    RANGE_FLAG_NAMES,
    CtTuple,
    NatRange,
    TcpHdr,
    parse_address,
)

# Which row plays which laboratory kernel.
#
# What the kernels call themselves: the fill files, which the same kernels wrote, have "6.1.0-56 ...
# Debian 6.1.192-2" and "6.12.117+deb12", stable levels that rows were held against; and "6.18.44", which
# lies behind the last 6.18.y that was read (6.18.2, row 6.17.0).
#
# What the scenarios tell of the rows from 6.1 on (tests/test_live.py tries them all): 6.1's outcomes can
# be those of 6.1.0-rc7, 6.1.192, 6.2.1 and 6.4.4 only; those of 6.12 and of 6.18, of 6.12.0 and all later
# rows.
#   evict_TIME_WAIT_*, evict_RST_AFTER_EST_ahead   eviction (6.5 and later)
#   dnat_range                                     a random start (before 6.8)
#   q_race_*_same_socket*, q_fwd_*                 the queue switches packets to entries (before 6.12)
#   q_fwd_reverse_udp                              reverse clashes are merged (6.12 and later)
# 6.18.44 is no row.  It lies between 6.17.0 and 7.3.4: confirm does not ask for the generation of
# extensions (nf_ct_ext_bump_genid is not there), and what it has of used_tuple_new, for an entry found in
# ORIGINAL direction, and of allow_clash without a tracker is not known.  No scenario meets any of them,
# nor UDPLITE or an ICMP clash: both rows are played, and agree.
LIVE_ROWS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"6.1": ("6.1.192",), "6.12": ("6.12.117",), "6.18": ("6.17.0", "7.3.4")}
)


# ── steps ───────────────────────────────────────────────────────────────────────────────────────


@attrs.frozen
class Send:
    """A packet from `origin`: a pod ("p0"), the router ("r") or the server's side ("s").

    `expect_at` is the network where it must appear for its class to be told; None: anywhere.
    """

    origin: str
    t: CtTuple
    th: TcpHdr | None
    expect_at: str | None


@attrs.frozen
class Hold(Send):
    """As Send; a queue takes it."""


@attrs.frozen
class Reply:
    """The server answers what it got in step `to`."""

    to: int
    th: TcpHdr


@attrs.frozen
class Release:
    """The queue gives back the packet that was held as number `which`."""

    which: int


@attrs.frozen
class DeleteNat:
    """The NAT table goes, and its hooks with it."""


@attrs.frozen
class Sleep:
    """Seconds in which nothing comes."""

    seconds: Fraction


@attrs.frozen
class UdpBind:
    """A local socket gets a port."""

    address: int
    port: int


@attrs.frozen
class NfqOpen:
    """Somebody listens to the queue."""


Step: TypeAlias = Send | Reply | Release | DeleteNat | Sleep | UdpBind | NfqOpen


# ── what was seen ───────────────────────────────────────────────────────────────────────────────


@attrs.frozen
class StepSeen:
    """How often the step came out in each class, on which source ports, and what the counters rose by."""

    classes: tuple[tuple[str, int], ...]
    ports: tuple[int, ...]
    counters: tuple[tuple[str, int], ...]


@attrs.frozen
class Seen:
    """What one kernel did in `reps` runs.

    `endpoints` counts patterns: one letter for each packet, equal letters for equal source endpoints,
    `-` for a packet that was lost.  `dports` are the destination ports of each step, and `addresses` the
    numbers of different source addresses in a run; both None where they were not noted.
    """

    reps: int
    endpoints: tuple[tuple[str, int], ...]
    steps: tuple[StepSeen, ...]
    dports: tuple[frozenset[int], ...] | None = None
    addresses: frozenset[int] | None = None


@attrs.frozen
class LiveScenario:
    """A scenario; `refused` says why it cannot be read whole, and then it has no rules and no steps.

    `range` are the keys that the laboratory took for "inside the range" in its classes.
    """

    name: str
    where: str
    rules: Ruleset
    range: tuple[int, int] | None
    steps: tuple[Step, ...]
    seen: tuple[tuple[str, Seen], ...]
    refused: str | None = None


# ── small values ────────────────────────────────────────────────────────────────────────────────

# Exact tails of more runs than this take too long.
MOST_RUNS: Final = 1000

_PROTOCOLS: Final = {name: number for number, name in PROTO_NAMES.items()}
_HOOKS: Final = {h: h for h in (PRE_ROUTING, LOCAL_IN, FORWARD, LOCAL_OUT, POST_ROUTING)}
_TARGETS: Final = {name: name for name in ("masquerade", "snat", "dnat")}
_QUEUES: Final = {"after_nat": POST_ROUTING, "forward": FORWARD}
_ORIGINS: Final = {"send": "send", "local": "local", "server": "server"}
U16: Final = 0xFFFF


def _as_address(value: object, at: str) -> int:
    try:
        l3num, address = parse_address(as_text(value, at))
    except ValueError:
        wrong(at, "an address", value)
    if l3num != AF_INET:
        raise Unplayable(f"{at}: the laboratory has IPv4 only")
    return address


def _as_network(value: object, at: str) -> tuple[int, int] | None:
    if value is None:
        return None
    try:
        network = ipaddress.IPv4Network(as_text(value, at))
    except ValueError:
        wrong(at, "a prefix", value)
    return int(network.network_address), int(network.broadcast_address)


def _as_protocol(value: object, at: str) -> int:
    return as_word(value, at, _PROTOCOLS)


def _counts(value: object, at: str) -> tuple[tuple[str, int], ...]:
    """An object of positive numbers."""
    if not isinstance(value, dict):
        wrong(at, "an object", value)
    return tuple((as_text(k, at), as_int(n, f"{at}.{k}", 1)) for k, n in value.items())


def _as_header(f: Fields, protonum: int | None, default: str = "S") -> TcpHdr | None:
    """The TCP header as the laboratory makes it: a SYN with sequence number 1000 unless it is told."""
    at = f.at("flags")
    flags = f.text("flags") if f.has("flags") else default
    seq, ack_seq = f.number("seq", default=1000), f.number("ack", default=0)
    if not set(flags) <= set("FSRPAU"):
        raise Unplayable(f"{at}: {flags} are no flags")
    if protonum not in (None, IPPROTO_TCP):
        return None
    return TcpHdr(seq, ack_seq, "S" in flags, "A" in flags, "F" in flags, "R" in flags)


# ── reading steps ───────────────────────────────────────────────────────────────────────────────


def _as_step(value: object, at: str) -> Step:
    f = Fields(value, at)
    op = f.text("op")
    reader = _STEPS.get(op)
    if reader is None:
        raise Unplayable(f"{at}.op: {op} is unknown here")
    step = reader(f, op)
    f.end()
    return step


def _read_send(f: Fields, op: str) -> Send:
    origin = f.word("from", _ORIGINS, default="send") if op == "hold" else op
    t, th = _read_packet(f)
    pod = f.number("pod", high=255, default=0)
    origin = {"local": "r", "server": "s", "send": f"p{pod}"}[origin]
    if op == "hold":
        f.number("num")
        return Hold(origin, t, th, None)
    expect = f.text("expect_at") if f.has("expect_at") else ("s" if op != "server" else None)
    return Send(origin, t, th, expect)


def _read_packet(f: Fields) -> tuple[CtTuple, TcpHdr | None]:
    protonum = _as_protocol(f.value("proto"), f.at("proto"))
    src, dst = (_as_address(f.value(name), f.at(name)) for name in ("src", "dst"))
    sport, dport = f.number("sport", high=U16), f.number("dport", high=U16)
    if protonum == IPPROTO_ICMP:
        dport = f.number("icmp_type", high=255, default=8) * 256
    return CtTuple(AF_INET, protonum, src, sport, dst, dport), _as_header(f, protonum)


def _read_reply(f: Fields, op: str) -> Reply:
    to = f.number("to", high=999)
    header = _as_header(f, None)
    assert header is not None
    return Reply(to, header)


def _read_rules(f: Fields, op: str) -> DeleteNat:
    commands = f.each("rules", _as_command)
    if commands != ("delete table ip nat",):
        raise Unplayable(f"{f.at('rules')}: only the NAT table can be deleted")
    return DeleteNat()


def _as_command(value: object, at: str) -> str:
    f = Fields(value, at)
    text = f.text("nft")
    f.end()
    return text.strip()


def _read_sleep(f: Fields, op: str) -> Sleep:
    value = f.value("s")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        wrong(f.at("s"), "a number of seconds", value)
    return Sleep(Fraction(str(value)))


def _read_bind(f: Fields, op: str) -> UdpBind:
    return UdpBind(_as_address(f.value("addr"), f.at("addr")), f.number("port", high=U16))


def _read_open(f: Fields, op: str) -> NfqOpen:
    f.number("num")
    return NfqOpen()


def _read_release(f: Fields, op: str) -> Release:
    return Release(f.number("which", high=999))


_STEPS: Final[Mapping[str, Callable[[Fields, str], Step]]] = {
    "send": _read_send,
    "local": _read_send,
    "server": _read_send,
    "hold": _read_send,
    "reply": _read_reply,
    "release": _read_release,
    "rules": _read_rules,
    "sleep": _read_sleep,
    "udp_bind": _read_bind,
    "nfq_open": _read_open,
}


# ── reading rules ───────────────────────────────────────────────────────────────────────────────


def _read_nat(f: Fields) -> Ruleset:
    not_loaded = f.flag("not_loaded")
    hooks = f.value("nat_hooks")
    queue = f.value("queue")
    rules = f.each("rules", _as_rule)
    f.end()
    if not_loaded:
        return Ruleset(nat_hooks=False)
    if hooks not in (True, False):
        wrong(f.at("nat_hooks"), "true or false", hooks)
    named = None if queue is None else as_word(queue, f.at("queue"), _QUEUES)
    return Ruleset(bool(hooks), rules, named)


def _as_rule(value: object, at: str) -> Rule:
    f = Fields(value, at)
    f.word("target", _TARGETS)
    proto = f.value("proto")
    rule = Rule(
        hook=f.word("hook", _HOOKS),
        saddr=_as_network(f.value("saddr"), f.at("saddr")),
        daddr=_as_network(f.value("daddr"), f.at("daddr")),
        protonum=None if proto is None else _as_protocol(proto, f.at("proto")),
        dport=f.number_or_null("dport", U16),
        range=_read_range(f),
        alternates=f.each("alternates", _as_address, optional=True),
    )
    f.end()
    return rule


def _read_range(f: Fields) -> NatRange:
    flags = sum({as_word(n, f.at("flags"), RANGE_FLAG_NAMES) for n in f.items("flags")})
    low, high = (_as_address(f.value(name), f.at(name)) for name in ("min_addr", "max_addr"))
    ports = [f.number_or_null(name, U16) or 0 for name in ("min_proto", "max_proto", "base_proto")]
    return NatRange(flags, low, high, *ports)


# ── reading what was seen ───────────────────────────────────────────────────────────────────────


def _as_seen(value: object, at: str) -> Seen:
    f = Fields(value, at)
    reps = f.number("reps", 1, MOST_RUNS)
    seen = Seen(
        reps,
        _counts(f.value("endpoints"), f.at("endpoints")),
        f.each("steps", _as_step_seen),
        **_read_extra(f),
    )
    f.end()
    for name, counts in (
        ("endpoints", seen.endpoints),
        *(("steps", s.classes) for s in seen.steps),
    ):
        if sum(n for _, n in counts) != reps:
            raise Malformed(f"{at}.{name}: the counts are not {reps} in all")
    return seen


def _as_step_seen(value: object, at: str) -> StepSeen:
    f = Fields(value, at)
    ports = f.each("ports", lambda item, where: as_int(item, where, 0, U16))
    classes = _counts(f.value("class"), f.at("class"))
    seen = StepSeen(classes, ports, _counts(f.value("stats"), f.at("stats")))
    f.end()
    return seen


_DPORTS: Final = re.compile(r"destination ports per step: \[(\[[\d, ]*\](?:, \[[\d, ]*\])*)\]")
_ADDRESSES: Final = re.compile(r"distinct source addresses per run: \[([\d, ]+)\]")
# These repeat the endpoints, and what a tool said about the rules.
_NO_NEWS: Final = re.compile(r"endpoints .*|rule rc=.*")


def _read_extra(f: Fields) -> dict[str, Any]:
    """What the laboratory's remarks tell."""
    told: dict[str, Any] = {}
    for text in f.each("extra", as_text):
        if m := _DPORTS.fullmatch(text):
            told["dports"] = tuple(map(_numbers, re.findall(r"\[([\d, ]*)\]", m[1])))
        elif m := _ADDRESSES.fullmatch(text):
            told["addresses"] = _numbers(m[1])
        elif not _NO_NEWS.fullmatch(text):
            raise Unplayable(f"{f.at('extra')}: this remark is unknown here")
    return told


def _numbers(text: str) -> frozenset[int]:
    return frozenset(int(n) for n in text.split(",") if n.strip())


# ── reading a scenario ──────────────────────────────────────────────────────────────────────────


def read_scenarios(document: Mapping[str, object], where: str) -> Iterator[LiveScenario]:
    """The scenarios of a document.  Raises BadInput; `where` begins its text."""
    for name, value in document.items():
        try:
            yield _read_scenario(as_text(name, "a name"), value, where)
        except Malformed as error:
            raise BadInput(f"{where}: {error}") from None


def _read_scenario(name: str, value: object, where: str) -> LiveScenario:
    f = Fields(value, name)
    f.skip("doc", "differs", "rules")
    kernels = f.nested("kernels")
    raw = {kernel: kernels.value(kernel) for kernel in LIVE_ROWS if kernels.has(kernel)}
    kernels.end()
    limits = f.value("range")
    span = None
    if limits is not None:
        low, high = (as_int(n, f.at("range"), 0, U16) for n in as_list(limits, f.at("range"), 2))
        span = low, high
    seen = tuple((kernel, _as_seen(v, f"{name}.kernels.{kernel}")) for kernel, v in raw.items())
    try:
        rules, steps = _read_nat(f.nested("nat")), f.each("steps", _as_step)
        f.end()
    except Unplayable as why:
        return LiveScenario(name, where, Ruleset(False), span, (), seen, str(why))
    if any(len(s.steps) != len(steps) for _, s in seen):
        raise Malformed(f"{name}: not as many outcomes as steps")
    return LiveScenario(name, where, rules, span, steps, seen)


# ── fill files ──────────────────────────────────────────────────────────────────────────────────


@attrs.frozen
class Trials:
    """One experiment of a fill file, `reps` times.

    kind "fill": of `size` keys all but `free` were held; `hits` new packets found one.
    kind "evict_scan": one key was held by an entry in TIME_WAIT, all others by entries in SYN_SENT;
    `hits` new packets evicted the former.
    kind "remap_exhaust": `reps` packets with one source port; `hits` were delivered, from `hits`
    different ports between `low` and `high`, the first of them with its own (`size`, `free` say nothing).
    """

    kind: str
    protonum: int
    size: int
    free: int
    flags: int
    reps: int
    hits: int
    counters: tuple[tuple[str, int], ...]
    sport: int = 0
    low: int = 0
    high: int = 0
    distinct: int = 0


@attrs.frozen
class LiveFill:
    """A fill file: the rows its kernel can be, and its experiments."""

    where: str
    kernel: str
    rows: tuple[str, ...]
    trials: tuple[Trials, ...]


_MODES: Final = {
    "default": 0,
    "random": RANGE_FLAG_NAMES["PROTO_RANDOM"],
    "fully-random": RANGE_FLAG_NAMES["PROTO_RANDOM_FULLY"],
}


def read_fill(document: Mapping[str, object], where: str) -> LiveFill:
    """A document with the key "fill".  Raises BadInput."""
    f = Fields(document)
    try:
        kernel, version = f.text("kernel"), f.text("version")
        f.skip("cpus", "time", "wall_s")
        trials = f.each("fill", _as_trials)
        f.end()
    except (Malformed, Unplayable) as error:
        raise BadInput(f"{where}: {error}") from None
    names = f"{kernel} {version}", kernel
    for name in names:
        candidates = kernel_rows(name)
        if candidates.rows:
            return LiveFill(where, kernel, candidates.rows, trials)
    raise BadInput(f"{where}: no row is known to be this kernel's")


def _as_trials(value: object, at: str) -> Trials:
    f = Fields(value, at)
    kind = f.text("kind") if f.has("kind") else "fill"
    read = _TRIALS.get(kind)
    if read is None:
        raise Unplayable(f"{at}.kind: {kind} is unknown here")
    f.skip("freq", "ci95", "first_drop_at")
    trials = read(f)
    f.end()
    if trials.hits > trials.reps:
        raise Malformed(f"{at}: more hits than tries")
    return trials


def _stats(f: Fields) -> tuple[tuple[str, int], ...]:
    return _counts(f.value("stats"), f.at("stats"))


def _read_fill(f: Fields) -> Trials:
    size = f.number("size", 1, 0x10000)
    free = f.number("free", 1, size)
    if f.number("filled", 0, size) != size - free or f.number("not_in_hole"):
        raise Unplayable(f"{f.at('filled')}: the range was not filled as it should be")
    protonum = _as_protocol(f.value("proto"), f.at("proto"))
    flags = f.word("mode", _MODES)
    reps, hits = f.number("reps", 1, MOST_RUNS), f.number("found")
    distinct = f.number("distinct_ports")
    return Trials("fill", protonum, size, free, flags, reps, hits, _stats(f), distinct=distinct)


def _read_evict_scan(f: Fields) -> Trials:
    size = f.number("size", 1, 0x10000)
    if (f.number("filled_syn_sent"), f.number("time_wait")) != (size - 1, 1):
        raise Unplayable(f"{f.at('time_wait')}: one entry is to be evicted, not more")
    if f.number("setup_failures"):
        raise Unplayable(f"{f.at('setup_failures')}: some tries were none")
    reps = f.number("reps", 1, MOST_RUNS)
    return Trials("evict_scan", IPPROTO_TCP, size, 1, 0, reps, f.number("evicted"), ())


def _read_remap_exhaust(f: Fields) -> Trials:
    sport, packets = f.number("sport", high=U16), f.number("packets", 1, 1_000_000)
    hits, drops = f.number("delivered"), f.number("drops")
    first, distinct = f.number("first_port", high=U16), f.number("distinct")
    span = f.number("min", high=U16), f.number("max", high=U16)
    low, high = f.number("min_remapped", high=U16), f.number("max_remapped", high=U16)
    if first != sport or hits + drops != packets:
        raise Unplayable(f"{f.at('first_port')}: packets were lost on the way")
    if span != (min(low, first), max(high, first)):
        raise Malformed(f"{f.at('min')}: not the least and the greatest of the ports")
    return Trials(
        "remap_exhaust",
        IPPROTO_TCP,
        0,
        0,
        0,
        packets,
        hits,
        _stats(f),
        sport=sport,
        low=low,
        high=high,
        distinct=distinct,
    )


_TRIALS: Final = {
    "fill": _read_fill,
    "evict_scan": _read_evict_scan,
    "remap_exhaust": _read_remap_exhaust,
}
