# SPDX-License-Identifier: GPL-2.0-or-later
"""What is to be checked, as a value: kernel, rules, packets, CPUs, and what the table holds.

A scenario that can be made makes sense: everything else is BadInput.  It has a file form (TOML or
JSON, `scenario.schema.json`) and a form as command line arguments; each gives the same value back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from functools import cache, cached_property
from itertools import count, pairwise
from pathlib import Path
from typing import Any, Final

import attrs

from natmodel import scenario_file
from natmodel.boot import Boot, hashing
from natmodel.errors import BadInput
from natmodel.kernel_name import kernel_rows
from natmodel.nat_text import (
    ICMP_REQUESTS,
    ICMPS,
    TCP_CONNTRACK_ESTABLISHED,
    U16_MAX,
    EntrySpec,
    NatRule,
    PacketSpec,
    Ports,
    Words,
    hint_protocol,
    occupied_texts,
    parse_hint,
    parse_occupied,
    shown,
    usual_entry,
)
from natmodel.ops import Call, IdLoad, RoverLoad
from natmodel.paths.packet import packets, packets_retransmitted
from natmodel.release import Fate, Release
from natmodel.releases import RELEASES
from natmodel.schedule import CPUS
from natmodel.values import (
    AF_INET,
    DEFAULT_ZONE,
    IP_CT_DIR_ORIGINAL,
    IP_CT_DIR_REPLY,
    IPPROTO_GRE,
    IPS_CONFIRMED,
    IPS_NAT_CLASH,
    IPS_SRC_NAT_DONE,
    NF_NAT_RANGE_MAP_IPS,
    NF_NAT_RANGE_PROTO_SPECIFIED,
    PROTO_NAMES,
    TCP_STATES,
    Conn,
    CtTuple,
    Manip,
    NatRange,
    Zone,
    address_text,
    nf_ct_invert_tuple,
    nf_ct_zone_id,
    parse_address,
)
from natmodel.world import BOTH, Background, Entry, Stamp, Timers, World, flatten

DEFAULT_KERNEL: Final = "6.12.117"

# The address that MASQUERADE finds on its interface, from the ranges for documentation.
DEFAULT_OUTSIDE: Final = {True: "203.0.113.1", False: "2001:db8::1"}

# Packets are connections 0, 1, ...; what the table holds at the start comes after these.
FIRST_ENTRY_ID: Final = 1000

# A sender has given up long before.
MOST_SECONDS: Final = 1000

# A bare port is occupied at each address and destination that the rules allow, up to this many.
MOST_ADDRESSES: Final = 256
MOST_PLACES: Final = 4096

_FIRST_STRANGER: Final = {
    True: parse_address("10.255.0.1")[1],
    False: parse_address("fd00:10:255::1")[1],
}


# ── what a scenario's fields may be given as ────────────────────────────────────────────────────


def _rules(given: Iterable[NatRule | str]) -> tuple[NatRule, ...]:
    """Rules or their texts; the one text `none` says that there is no rule."""
    texts = [given] if isinstance(given, str) else list(given)
    if [str(text).strip().lower() for text in texts] == ["none"]:
        return ()
    return tuple(NatRule.parse(rule) if isinstance(rule, str) else rule for rule in texts)


def _packet_specs(given: Iterable[PacketSpec | str]) -> tuple[PacketSpec, ...]:
    texts = [given] if isinstance(given, str) else list(given)
    if not texts:
        raise BadInput("packet: there is none, and at least one is needed")
    return tuple(PacketSpec.parse(text) if isinstance(text, str) else text for text in texts)


def _occupied(given: Iterable[Ports | EntrySpec | str]) -> tuple[Ports | EntrySpec, ...]:
    items: list[Ports | EntrySpec] = []
    for item in [given] if isinstance(given, str) else given:
        items.extend(parse_occupied(item) if isinstance(item, str) else (item,))
    return tuple(items)


def _outside(given: str) -> str:
    return address_text(*Words(given, "outside").address(given))


def _hints(
    given: Mapping[str, int] | Iterable[tuple[int, int] | str],
) -> tuple[tuple[int, int], ...]:
    """(protocol, value) pairs, a mapping from protocol names, or texts like tcp=4711."""
    if isinstance(given, Mapping):
        given = [(hint_protocol(name), value) for name, value in given.items()]
    texts = [given] if isinstance(given, str) else list(given)
    hints = [parse_hint(hint) if isinstance(hint, str) else hint for hint in texts]
    for (a, _), (b, _) in pairwise(sorted(hints)):
        if a == b:
            raise BadInput(f"rover: {PROTO_NAMES.get(a, a)} is given twice")
    for number, value in hints:
        if not 0 <= value <= U16_MAX:
            raise BadInput(f"rover {PROTO_NAMES.get(number, number)}: {value} is not in 0 to 65535")
    return tuple(sorted(hints))


def _times(given: Iterable[int] | str) -> tuple[int, ...]:
    """Milliseconds, or a text of seconds like 1,3,7."""
    if isinstance(given, str):
        given = [_milliseconds(word.strip()) for word in given.split(",")] if given.strip() else []
    times = tuple(given)
    for before, after in pairwise((0, *times)):
        if after <= before:
            raise BadInput(f"retransmit: {seconds_text(after)} does not come after the time before")
    return times


def _milliseconds(word: str) -> int:
    try:
        seconds = Decimal(word)
    except InvalidOperation:
        raise BadInput(f"retransmit: {shown(word)} is no number of seconds") from None
    if not (seconds.is_finite() and 0 <= seconds <= MOST_SECONDS) or seconds * 1000 % 1:
        raise BadInput(f"retransmit: {shown(word)} is not 0.001 to {MOST_SECONDS} seconds")
    return int(seconds * 1000)


def seconds_text(milliseconds: int) -> str:
    """1, or 0.25: as it is given."""
    return f"{Decimal(milliseconds) / 1000:f}"


def _boot(given: Boot | str | None) -> Boot | None:
    return Boot.parse(given) if isinstance(given, str) else given


def pods(number: int) -> tuple[PacketSpec, ...]:
    """So many pods that connect to one server from the same source port."""
    texts = (f"tcp 172.16.1.{8 + n}:32769 > 198.51.100.7:80" for n in range(number))
    return tuple(map(PacketSpec.parse, texts))


@cache
def row_of(kernel: str) -> str:
    """The row that a kernel's name means: its own name, or what `uname` says.

    Raises BadInput if the name is none, or leaves open which row it is.
    """
    if kernel in RELEASES:
        return kernel
    try:
        answer = kernel_rows(kernel)
    except BadInput as error:
        raise BadInput(f"kernel {shown(kernel)}: {error}") from None
    if answer.certain:
        return answer.rows[0]
    if not answer.rows:
        raise BadInput(f"kernel {shown(kernel)}: no row is known to be this kernel's")
    raise BadInput(
        f"kernel {shown(kernel)}: the name leaves open whether it is {', '.join(answer.rows)} or none "
        "of the rows; give a row's name (`natmodel releases --of` says what would tell)"
    )


@cache
def has_hint(k: Release, protonum: int) -> bool:
    """Does the release's search for a key of this protocol start where the last one has ended?"""
    keys = (1024, ICMP_REQUESTS[protonum][0] << 8) if protonum in ICMP_REQUESTS else (1024, 1024)
    t = CtTuple(AF_INET, protonum, 1, keys[0], 2, keys[1])
    ct = Conn(0, t, nf_ct_invert_tuple(t), has_master=True)
    first = next(flatten(k.l4proto_unique_tuple(k, t, NatRange(), Manip.SRC, ct)), None)
    return isinstance(first, RoverLoad | IdLoad)


# ── the scenario ────────────────────────────────────────────────────────────────────────────────


@attrs.frozen
class Place:
    """Where an entry must stand to be in a packet's way, but for the port."""

    l3num: int
    protonum: int
    outside: int
    dst: int
    dport: int
    zone_id: int


@attrs.frozen(kw_only=True)
class Scenario:
    """One question's premises.  Fields take values or their texts; BadInput if they make no sense.

    Packet i runs on CPU i mod `cpus`; a CPU's packets run one after the other.  `outside` is what
    MASQUERADE translates to.  `rover` is where <= 4.20 left its search hints, by protocol number.
    `boot` makes every hash concrete; without it keys are unknown, and no chain reaches its limit.
    `retransmit` is when the sender of a dropped SYN sends it again, in ms after it was sent first.
    """

    kernel: str = DEFAULT_KERNEL
    nat: tuple[NatRule, ...] = attrs.field(default="masquerade", converter=_rules)
    packets: tuple[PacketSpec, ...] = attrs.field(
        default=attrs.Factory(lambda: pods(2)), converter=_packet_specs
    )
    cpus: int = attrs.field(
        default=attrs.Factory(lambda self: _default_cpus(self.packets), takes_self=True)
    )
    occupied: tuple[Ports | EntrySpec, ...] = attrs.field(default=(), converter=_occupied)
    outside: str = attrs.field(
        default=attrs.Factory(lambda self: _default_outside(self.packets), takes_self=True),
        converter=_outside,
    )
    rover: tuple[tuple[int, int], ...] = attrs.field(default=(), converter=_hints)
    boot: Boot | None = attrs.field(default=None, converter=_boot)
    retransmit: tuple[int, ...] = attrs.field(default=(), converter=_times)

    def __attrs_post_init__(self) -> None:
        self._check_kernel()
        self._check_hints()
        self._check_rules()
        self._check_cpus()
        self._check_families()
        self._check_zones()
        self._check_ids()
        self._check_ports()
        self._check_keys()
        self._check_reopened()

    @classmethod
    def default(cls) -> Scenario:
        """Two pods, one source port, one server, MASQUERADE without flags."""
        return cls()

    # ── what a checker wants of it ──────────────────────────────────────────────────────────────

    @property
    def release(self) -> Release:
        """The row that the kernel's name means."""
        return RELEASES[row_of(self.kernel)]

    def world(self) -> World:
        """The shared memory at the start; always the same one, so that states can be compared."""
        return self._world

    @cached_property
    def _world(self) -> World:
        world = World(Background(self._entries(), hashing(self.release, self.boot)))
        for protonum, value in self.rover:
            world = world.with_hint(protonum, value)
        if self.retransmit:
            world = attrs.evolve(world, timers=Timers(self.cpus))
        return world

    def threads(self) -> tuple[Call[tuple[Fate, ...]], ...]:
        """What each CPU runs."""
        made = [
            spec.packet(n, self._range(Manip.DST, spec), self._range(Manip.SRC, spec))
            for n, spec in enumerate(self.tracked)
        ]
        todo = [tuple(made[cpu :: self.cpus]) for cpu in range(self.cpus)]
        if self.retransmit:
            times = self.retransmit
            return tuple(
                packets_retransmitted(self.release, on_cpu, (), (), times, 0) for on_cpu in todo
            )
        return tuple(packets(self.release, on_cpu, ()) for on_cpu in todo)

    @cached_property
    def tracked(self) -> tuple[PacketSpec, ...]:
        """The packets as the kernel's trackers see them: without keys where they know none."""
        return tuple(attrs.evolve(spec, t=self._tracked(spec.t)) for spec in self.packets)

    def _tracked(self, t: CtTuple) -> CtTuple:
        """kernel: nf_ct_get_tuple"""
        known = t.protonum in self.release.trackers
        return t if known else t.with_sport(0).with_dport(0)

    def bound(self) -> str:
        """What a verdict covers, in one line."""
        nat = ", ".join(map(str, self.nat)) or "no rule"
        if any(rule.kind == "masquerade" for rule in self.nat):
            nat += f" ({self.outside})"
        parts = [
            self._kernel_text(),
            nat,
            f"{_counted(len(self.packets), 'packet')} on {_counted(self.cpus, 'cpu')}",
            self._occupied_text(),
            "no entry expires",
        ]
        if self.retransmit:
            times = ", ".join(map(seconds_text, self.retransmit))
            parts.append(f"dropped SYNs sent again after {times} s")
        if self.boot is not None:
            parts.append("one boot's hash keys")
        elif self.release.chain_limit is not None:
            parts.append("chains below their limit")
        return ", ".join(parts)

    def _kernel_text(self) -> str:
        row = row_of(self.kernel)
        return f"kernel {row}" if row == self.kernel else f"kernel {shown(self.kernel)} = {row}"

    def _occupied_text(self) -> str:
        if not self.occupied:
            return "empty table"
        text = "; ".join(occupied_texts(self.occupied))
        if len(text) <= 40:
            return f"occupied {text}"
        return f"{_counted(self.world().background.size // 2, 'entry', 'entries')} at the start"

    # ── rules ───────────────────────────────────────────────────────────────────────────────────

    def _rule(self, manip: Manip) -> NatRule | None:
        return next((rule for rule in self.nat if rule.manip is manip), None)

    def _range(self, manip: Manip, spec: PacketSpec) -> NatRange | None:
        """What the rule asks for this packet; None is a null binding."""
        rule = self._rule(manip)
        if rule is None or rule.kind != "masquerade":
            return None if rule is None else rule.range
        if spec.t.l3num == AF_INET and spec.t.src == 0:
            return None  # masquerade leaves it alone
        r = rule.range
        address = parse_address(self.outside)[1]
        return NatRange(r.flags | NF_NAT_RANGE_MAP_IPS, address, address, r.min_proto, r.max_proto)

    def _family(self, rule: NatRule) -> int | None:
        return parse_address(self.outside)[0] if rule.kind == "masquerade" else rule.l3num

    # ── what the table holds ────────────────────────────────────────────────────────────────────

    def _entries(self) -> Iterator[Entry | Stamp]:
        number = FIRST_ENTRY_ID
        strangers = self._strangers()
        for item in self.occupied:
            if isinstance(item, EntrySpec):
                yield _entry(self._as_tracked(attrs.evolve(item.ct, id=number)))
                number += 1
                continue
            for place in self._places(item):
                template = _held(place, strangers(place), item.first, number)
                number += item.last - item.first + 1
                if item.first == item.last:
                    yield Entry(template)
                else:
                    field = "reply.sport" if place.protonum in ICMPS else "reply.dport"
                    yield Stamp(template, field, item.first, item.last, sport_step=True)

    def _as_tracked(self, ct: Conn) -> Conn:
        return attrs.evolve(ct, orig=self._tracked(ct.orig), reply=self._tracked(ct.reply))

    def _places(self, ports: Ports) -> list[Place]:
        """Where a port must be held so that no packet can have it; each once."""
        places: dict[Place, None] = {}
        for spec in self.tracked:
            t = spec.t
            if t.protonum not in self.release.trackers:
                continue  # has no ports
            zone_id = nf_ct_zone_id(spec.zone, IP_CT_DIR_REPLY)
            first, last = self._sources(spec)
            for dst, dport in self._destinations(spec):
                if last - first >= MOST_ADDRESSES or len(places) > MOST_PLACES:
                    raise BadInput(
                        f"occupied '{ports}': that is more than {MOST_ADDRESSES} addresses or "
                        f"{MOST_PLACES} places; give full entries"
                    )
                for outside in range(first, last + 1):
                    places[Place(t.l3num, t.protonum, outside, dst, dport, zone_id)] = None
        if not places:
            raise BadInput(f"occupied '{ports}': no packet's protocol has ports")
        return list(places)

    def _sources(self, spec: PacketSpec) -> tuple[int, int]:
        """The addresses that the packet may leave from."""
        r = self._range(Manip.SRC, spec)
        if r is not None and r.flags & NF_NAT_RANGE_MAP_IPS:
            return r.min_addr, r.max_addr
        return spec.t.src, spec.t.src

    def _destinations(self, spec: PacketSpec) -> Iterator[tuple[int, int]]:
        """The (address, key) that the packet may be sent to; no secret chooses the address."""
        t = spec.t
        r = self._range(Manip.DST, spec)
        if r is None:
            yield t.dst, t.dport
            return
        dst = self.release.find_best_ips(t, r, spec.zone.id, Manip.DST)
        moves = t.protonum in self.release.port_protocols or (
            t.protonum == IPPROTO_GRE and spec.master
        )
        if r.flags & NF_NAT_RANGE_PROTO_SPECIFIED and moves:
            yield from ((dst, port) for port in range(r.min_proto, r.max_proto + 1))
        else:
            yield dst, t.dport

    def _strangers(self) -> Callable[[Place], int]:
        """An inside address for each outside one, that nothing else in the scenario has."""
        taken = list(self._named_addresses())
        free = {is_v4: _free_addresses(is_v4, taken) for is_v4 in (True, False)}

        @cache
        def address(is_v4: bool, outside: int) -> int:
            return next(free[is_v4])

        return lambda place: address(place.l3num == AF_INET, place.outside)

    def _named_addresses(self) -> Iterator[tuple[int, int, int]]:
        """(l3num, first, last)"""
        l3num, address = parse_address(self.outside)
        yield l3num, address, address
        for rule in self.nat:
            if rule.l3num is not None:
                yield rule.l3num, rule.range.min_addr, rule.range.max_addr
        cts = [item.ct for item in self.occupied if isinstance(item, EntrySpec)]
        for t in (
            *(spec.t for spec in self.packets),
            *(t for ct in cts for t in (ct.orig, ct.reply)),
        ):
            yield t.l3num, t.src, t.src
            yield t.l3num, t.dst, t.dst

    # ── what makes no sense ─────────────────────────────────────────────────────────────────────

    def _check_kernel(self) -> None:
        row_of(self.kernel)

    def _check_hints(self) -> None:
        for protonum, _ in self.rover:
            if not has_hint(self.release, protonum):
                name = PROTO_NAMES[protonum]
                raise BadInput(f"rover {name}: a search of {self.release} starts at no {name} hint")
        # 0 is where every search starts that nobody said anything about
        object.__setattr__(self, "rover", tuple(hint for hint in self.rover if hint[1]))

    def _check_rules(self) -> None:
        for one, two in pairwise(sorted(self.nat, key=lambda rule: rule.manip.value)):
            if one.manip is two.manip:
                side = "source" if one.manip is Manip.SRC else "destination"
                raise BadInput(f"nat '{two}': there is a {side} rule already, '{one}'")

    def _check_cpus(self) -> None:
        if not 1 <= self.cpus <= len(CPUS):
            raise BadInput(f"cpus {self.cpus}: from 1 to {len(CPUS)} can be told apart")
        if self.cpus > len(self.packets):
            raise BadInput(
                f"cpus {self.cpus}: more than there are packets, which are {len(self.packets)}"
            )

    def _check_families(self) -> None:
        for spec in self.packets:
            for rule in self.nat:
                family = self._family(rule)
                if family not in (None, spec.t.l3num):
                    ours, theirs = _family_text(spec.t.l3num), _family_text(family)
                    what = f"{rule} ({self.outside})" if rule.kind == "masquerade" else str(rule)
                    raise BadInput(
                        f"packet '{spec}': address family: it is {ours}, and '{what}' is {theirs}"
                    )

            if spec.t.l3num != AF_INET and not self.release.nat_ipv6:
                raise BadInput(f"packet '{spec}': {self.release} has no NAT for IPv6")

    def _check_zones(self) -> None:
        zoned: list[tuple[str, Zone]] = [("packet", spec.zone) for spec in self.packets]
        zoned += [("occupied", i.ct.zone) for i in self.occupied if isinstance(i, EntrySpec)]
        for where, zone in zoned:
            if zone != DEFAULT_ZONE and self.release.zones == "none":
                raise BadInput(f"{where}: {self.release} has no zones")
            if zone.dir != DEFAULT_ZONE.dir and self.release.zones == "id":
                raise BadInput(f"{where}: zones of {self.release} have no direction")

    def _check_ids(self) -> None:
        """An ICMP id that clashes under a null binding is searched for from anywhere (3.4 .. 3.16)."""
        pings = [spec for spec in self.packets if spec.t.protonum in ICMPS]
        alone = len(self.packets) == 1 and not self.occupied
        if pings and not alone and not self.release.null_binding_id:
            raise BadInput(
                f"packet '{pings[0]}': {self.release}'s null bindings take ICMP ids from memory that "
                "was never written, and what is there is not modelled"
            )

    def _check_ports(self) -> None:
        ports = [item for item in self.occupied if isinstance(item, Ports)]
        for one, two in pairwise(sorted(ports, key=lambda item: item.first)):
            if two.first <= one.last:
                raise BadInput(
                    f"occupied '{two}': port {two.first} is occupied already, by '{one}'"
                )

    def _check_keys(self) -> None:
        """No two entries may own one key.  Strangers never share one."""
        for spec in self.occupied:
            if not isinstance(spec, EntrySpec):
                continue
            ct = self._as_tracked(spec.ct)
            for direction in _entry(ct).hashed:
                zone_id = nf_ct_zone_id(ct.zone, direction)
                owners = list(self._owners(ct.tuplehash(direction), zone_id))
                if len({ct.id for ct in owners}) > 1:
                    side = "reply" if direction else "original"
                    raise BadInput(f"occupied '{spec}': another entry owns its {side} key")

    def _check_reopened(self) -> None:
        for spec in self.tracked:
            zone_id = nf_ct_zone_id(spec.zone, IP_CT_DIR_ORIGINAL)
            for ct in self._owners(spec.t, zone_id):
                found = ct.status & IPS_CONFIRMED and ct.timeout > 0
                if found and ct.tcp_state > TCP_CONNTRACK_ESTABLISHED:
                    raise BadInput(
                        f"packet '{spec}': reopening a closing connection is not modelled, and an "
                        f"entry in state {TCP_STATES[ct.tcp_state]} owns its tuple"
                    )

    def _owners(self, t: CtTuple, zone_id: int) -> Iterator[Conn]:
        """The entries that own this key."""
        for _, node in self.world().background.nodes_of(t):
            if nf_ct_zone_id(node.ct.zone, node.direction) == zone_id:
                yield node.ct

    # ── the command line ────────────────────────────────────────────────────────────────────────

    def arguments(self) -> list[str]:
        """The command line flags that give this scenario.

        Kernel, rules and packets are always named, the rest where it is not the default.
        """
        flags = ["--kernel", self.kernel]
        for rule in self.nat or ("none",):
            flags += ["--nat", str(rule)]
        for spec in self.packets:
            flags += ["--packet", str(spec)]
        if self.cpus != _default_cpus(self.packets):
            flags += ["--cpus", str(self.cpus)]
        for text in occupied_texts(self.occupied):
            flags += ["--occupied", text]
        if self.outside != _default_outside(self.packets):
            flags += ["--outside", self.outside]
        for protonum, value in self.rover:
            flags += ["--rover", f"{PROTO_NAMES[protonum]}={value}"]
        if self.boot is not None:
            flags += ["--boot", str(self.boot)]
        if self.retransmit:
            flags += ["--retransmit", ",".join(map(seconds_text, self.retransmit))]
        return flags

    @classmethod
    def from_arguments(
        cls,
        kernel: str | None = None,
        nat: Iterable[str] = (),
        packet: Iterable[str] = (),
        cpus: int | None = None,
        occupied: Iterable[str] = (),
        outside: str | None = None,
        rover: Iterable[str] = (),
        boot: str | None = None,
        retransmit: str | None = None,
        base: Scenario | None = None,
    ) -> Scenario:
        """The scenario that flags of these names give.  What is not given is as in `base`.

        Without a base it is as usual, with one pod for each CPU.  Raises BadInput.
        """
        base = base or cls(packets=pods(min(max(2, cpus or 0), len(CPUS))))
        given: dict[str, Any] = {
            "kernel": kernel,
            "nat": tuple(nat) or None,
            "packets": tuple(packet) or None,
            "cpus": cpus,
            "occupied": tuple(occupied) or None,
            "outside": outside,
            "rover": tuple(rover) or None,
            "boot": boot,
            "retransmit": retransmit,
        }
        fields = base._chosen() | {
            name: value for name, value in given.items() if value is not None
        }
        return cls(**fields)

    def _chosen(self) -> dict[str, Any]:
        """The fields, but for those that follow from the packets."""
        fields = {a.name: getattr(self, a.name) for a in attrs.fields(Scenario)}
        if self.cpus == _default_cpus(self.packets):
            del fields["cpus"]
        if self.outside == _default_outside(self.packets):
            del fields["outside"]
        return fields

    # ── the file form ───────────────────────────────────────────────────────────────────────────

    @classmethod
    def from_file(cls, path: str | Path) -> Scenario:
        """The scenario in a TOML or JSON file.  Raises BadInput, naming the file."""
        return cls.from_text(scenario_file.read(path), str(path))

    @classmethod
    def from_text(cls, text: str, name: str = "scenario") -> Scenario:
        """The scenario in a file's text; `name` is what complaints call it."""
        try:
            return cls(**scenario_file.fields(text, name))
        except BadInput as refused:
            raise BadInput(f"{scenario_file.shown_name(name)}: {refused}") from None

    def _as_data(self) -> dict[str, Any]:
        """The file form.  `packets`, which must be there, come last: a cut file is noticed."""
        data: dict[str, Any] = {"schema": scenario_file.SCHEMA, "kernel": self.kernel}
        data["nat"] = list(map(str, self.nat))
        data["cpus"] = self.cpus
        if self.occupied:
            data["occupied"] = occupied_texts(self.occupied)
        if self.outside != _default_outside(self.packets):
            data["outside"] = self.outside
        if self.rover:
            data["rover"] = {PROTO_NAMES[protonum]: value for protonum, value in self.rover}
        if self.boot is not None:
            data["boot"] = str(self.boot)
        if self.retransmit:
            data["retransmit"] = [float(seconds_text(at)) for at in self.retransmit]
        data["packets"] = list(map(str, self.packets))
        return data

    def to_json(self) -> str:
        return scenario_file.json_text(self._as_data())

    def to_toml(self) -> str:
        return scenario_file.toml_text(self._as_data())


# ── rows of one's own ───────────────────────────────────────────────────────────────────────────


@attrs.frozen(kw_only=True)
class _OwnRelease(Scenario):
    """A scenario on a kernel that is in no table."""

    row: Release

    @property
    def release(self) -> Release:
        return self.row

    def _kernel_text(self) -> str:
        return f"kernel {self.row}"


def with_release(scenario: Scenario, row: Release) -> Scenario:
    """The scenario, run by `row`.  `check` and `replay` take it like any other."""
    fields = {a.name: getattr(scenario, a.name) for a in attrs.fields(Scenario) if a.init}
    return _OwnRelease(**fields, row=row)


def _default_cpus(specs: tuple[PacketSpec, ...]) -> int:
    return min(len(specs), len(CPUS))


def _default_outside(specs: tuple[PacketSpec, ...]) -> str:
    return DEFAULT_OUTSIDE[specs[0].t.l3num == AF_INET]


def _family_text(l3num: int | None) -> str:
    return "IPv4" if l3num == AF_INET else "IPv6"


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _entry(ct: Conn) -> Entry:
    """An entry as confirm would have left it."""
    hashed = (IP_CT_DIR_REPLY,) if ct.status & IPS_NAT_CLASH else BOTH
    return Entry(ct, hashed, in_bysource=bool(ct.status & IPS_SRC_NAT_DONE))


def _held(place: Place, stranger: int, port: int, number: int) -> Conn:
    """A stranger's connection whose reply key is `port` at this place.

    By-source look-ups are for a packet's own source, so nobody finds strangers there.
    """
    orig = CtTuple(place.l3num, place.protonum, stranger, port, place.dst, place.dport)
    reply = nf_ct_invert_tuple(orig.with_src(place.outside))
    zone = Zone(place.zone_id) if place.zone_id else DEFAULT_ZONE
    return usual_entry(orig, reply, zone, number)


def _free_addresses(is_v4: bool, taken: list[tuple[int, int, int]]) -> Iterator[int]:
    """Addresses of strangers that are in none of the (l3num, first, last) ranges."""
    ranges = [(first, last) for l3num, first, last in taken if (l3num == AF_INET) == is_v4]
    for address in count(_FIRST_STRANGER[is_v4]):
        if not any(first <= address <= last for first, last in ranges):
            yield address
