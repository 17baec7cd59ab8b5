# SPDX-License-Identifier: GPL-2.0-or-later
"""The little texts that people type, read and written: a NAT rule, a packet, what is occupied.

One tokeniser serves them all: words, with commas as good as blanks and `>` a word of its own.
Keywords may be in any case and may have leading dashes, so that a rule's words can be pasted from
iptables or nft.  Every complaint is a BadInput that names the text, where it came from, and the
word at fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NoReturn

import attrs

from natmodel.errors import BadInput
from natmodel.release import Packet
from natmodel.values import (
    AF_INET,
    DEFAULT_ZONE,
    IPPROTO_GRE,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_TCP,
    IPS_ASSURED,
    IPS_CONFIRMED,
    IPS_DST_NAT,
    IPS_DST_NAT_DONE,
    IPS_SEEN_REPLY,
    IPS_SRC_NAT,
    IPS_SRC_NAT_DONE,
    NF_NAT_RANGE_MAP_IPS,
    NF_NAT_RANGE_PERSISTENT,
    NF_NAT_RANGE_PROTO_OFFSET,
    NF_NAT_RANGE_PROTO_RANDOM,
    NF_NAT_RANGE_PROTO_RANDOM_FULLY,
    NF_NAT_RANGE_PROTO_SPECIFIED,
    PROTO_NAMES,
    STATUS_NAMES,
    TCP_CONNTRACK_NONE,
    TCP_STATES,
    Conn,
    CtTuple,
    Manip,
    NatRange,
    Zone,
    address_text,
    endpoint_text,
    nf_ct_invert_tuple,
    parse_address,
    proto_text,
    status_text,
    u32,
)

PROTO_NUMBERS: Final = {name: number for number, name in PROTO_NAMES.items()}
ICMPS: Final = (IPPROTO_ICMP, IPPROTO_ICMPV6)
WITHOUT_PORTS: Final = (*ICMPS, IPPROTO_GRE)

FLAG_WORDS: Final = {
    "random": NF_NAT_RANGE_PROTO_RANDOM,
    "random-fully": NF_NAT_RANGE_PROTO_RANDOM_FULLY,
    "persistent": NF_NAT_RANGE_PERSISTENT,
    "fully-random": NF_NAT_RANGE_PROTO_RANDOM_FULLY,
}
TO_WORDS: Final = ("to", "to-ports", "to-source", "to-destination")

# What begins a connection; conntrack calls any other first packet invalid.
# kernel: valid_new of icmp_new and icmpv6_new
ICMP_REQUESTS: Final = {IPPROTO_ICMP: (8, 13, 15, 17), IPPROTO_ICMPV6: (128, 139)}

TCP_CONNTRACK_ESTABLISHED: Final = TCP_STATES.index("ESTABLISHED")
DEFAULT_TIMEOUT: Final = 30000
U16_MAX: Final = 0xFFFF
U32_MAX: Final = 0xFFFFFFFF

_WORD: Final = re.compile(r">|[^\s,>]+")
_NUMBER: Final = re.compile(r"[0-9]{1,20}")


# ── the tokeniser ───────────────────────────────────────────────────────────────────────────────


class Words:
    """The words of one text, from left to right; `where` is the option or field it came from."""

    def __init__(self, text: str, where: str) -> None:
        self._text = text
        self._where = where
        self._left: list[str] = _WORD.findall(text.replace("->", ">"))[::-1]
        self._options: set[tuple[str, ...]] = set()
        if "," in text and not all(map(str.strip, text.split(","))):
            self.fail("nothing stands before or after a comma")

    def __bool__(self) -> bool:
        return bool(self._left)

    def __contains__(self, word: str) -> bool:
        return word in self._left

    def fail(self, why: str) -> NoReturn:
        raise BadInput(f"{self._where} {shown(self._text)}: {why}")

    def take(self, wanted: str) -> str:
        """The next word as it is."""
        if not self._left:
            self.fail(f"{wanted} is missing at the end")
        return self._left.pop()

    def skip(self, names: Iterable[str]) -> str | None:
        """The next word in lower case, if it is one of `names`; else nothing is taken."""
        word = self._left[-1].lower().lstrip("-") if self._left else ""
        if word not in names:
            return None
        self._left.pop()
        return word

    def need(self, name: str) -> None:
        word = self.take(repr(name))
        if word != name:
            self.fail(f"{name!r} is missing before {shown(word)}")

    def number(self, wanted: str, highest: int, lowest: int = 0) -> int:
        return self.as_number(self.take(wanted), wanted, highest, lowest)

    def as_number(self, word: str, wanted: str, highest: int, lowest: int = 0) -> int:
        if not _NUMBER.fullmatch(word):
            self.fail(f"{shown(word)} is no {wanted}")
        if not lowest <= int(word) <= highest:
            self.fail(f"{wanted} {word} is not in {lowest} to {highest}")
        return int(word)

    def option(self, *names: str) -> bool:
        """Is the next word a name of this option?  Then it is taken.  It may come only once."""
        word = self.skip(names)
        if word is None:
            return False
        if names in self._options:
            self.fail(f"{word!r} is given twice")
        self._options.add(names)
        return True

    def unknown(self) -> NoReturn:
        self.fail(f"unknown word {shown(self.take('a word'))}")

    def hex(self, wanted: str, length: int) -> bytes:
        word = self.take(wanted)
        if not re.fullmatch(f"[0-9a-fA-F]{{{2 * length}}}", word):
            self.fail(f"{shown(word)} is no {wanted} of {length} bytes in hex")
        return bytes.fromhex(word)

    # ── addresses and ports ─────────────────────────────────────────────────────────────────────

    def ports(self, text: str) -> tuple[int, int]:
        """A or A-B."""
        low, dash, high = text.partition("-")
        first = self.as_number(low, "port", U16_MAX, 1)
        last = self.as_number(high, "port", U16_MAX, 1) if dash else first
        if last < first:
            self.fail(f"port range {first}-{last} ends before it begins")
        return first, last

    def address(self, text: str) -> tuple[int, int]:
        """(l3num, integer)"""
        try:
            # A scope would be dropped without a word.
            return parse_address(text.replace("%", " "))
        except ValueError:
            self.fail(f"{shown(text)} is no address")

    def addresses(self, text: str) -> tuple[int, int, int]:
        """(l3num, first, last) of A or A-B."""
        low, dash, high = text.partition("-")
        l3num, first = self.address(low)
        other, last = self.address(high) if dash else (l3num, first)
        if other != l3num:
            self.fail(f"address family: {low} and {high} differ")
        if last < first:
            self.fail(f"address range {low}-{high} ends before it begins")
        return l3num, first, last

    def endpoint(self, has_port: bool) -> tuple[int, int, int]:
        """(l3num, address, port) of A:P or [A]:P, and of A or [A] where there is no port (0)."""
        word = self.take("an address and port" if has_port else "an address")
        host, ports = split_ports(word)
        l3num, address = self.address(host)
        if not has_port:
            if ports is not None:
                self.fail(f"{shown(word)}: this protocol has no ports")
            return l3num, address, 0
        if ports is None:
            hint = "" if l3num == AF_INET else f", as in [{host}]:80"
            self.fail(f"{shown(word)} has no port{hint}")
        return l3num, address, self.as_number(ports, "port", U16_MAX, 1)


def shown(text: object) -> str:
    """The text in quotes, on one line and not too long."""
    quoted = repr(text)
    return quoted if len(quoted) <= 100 else f"{quoted[:90]}...{quoted[0]}"


def split_ports(word: str) -> tuple[str, str | None]:
    """(address or addresses, ports or None): an IPv6 address with ports stands in brackets."""
    if word.startswith("["):
        host, bracket, rest = word[1:].replace("]-[", "-").partition("]")
        if bracket and (not rest or rest.startswith(":")):
            return host, rest[1:] if rest else None
    elif word.count(":") == 1:
        host, _, ports = word.partition(":")
        return host, ports
    return word, None


# ── a NAT rule ──────────────────────────────────────────────────────────────────────────────────


@attrs.frozen
class NatRule:
    """masquerade, snat or dnat, and what it asks for; `l3num` is its family if it names an address.

    The range of a masquerade rule has no address: `Scenario` fills in the outside one.
    """

    kind: str
    range: NatRange = attrs.field(factory=NatRange)
    l3num: int | None = None

    @classmethod
    def parse(cls, text: str, where: str = "nat") -> NatRule:
        return _rule(Words(text, where))

    @property
    def manip(self) -> Manip:
        return Manip.DST if self.kind == "dnat" else Manip.SRC

    def __str__(self) -> str:
        r = self.range
        words = [self.kind]
        if self.l3num is not None or r.flags & NF_NAT_RANGE_PROTO_SPECIFIED:
            words.append(f"to {_target_text(r, self.l3num)}")
        words += [word for word, bit in list(FLAG_WORDS.items())[:3] if r.flags & bit]
        return " ".join(words)


def _rule(words: Words) -> NatRule:
    words.skip(("j", "jump"))
    kind = words.skip(("masquerade", "snat", "dnat"))
    if kind is None:
        word = words.take("masquerade, snat or dnat")
        words.fail(f"a rule begins with masquerade, snat or dnat, not {shown(word)}")
    named_family = words.skip(("ip", "ip6"))
    rule, flags = NatRule(kind), 0
    to = False
    while words:
        if flag := words.skip(FLAG_WORDS):
            if flags & FLAG_WORDS[flag]:
                words.fail(f"{flag!r} is given twice")
            flags |= FLAG_WORDS[flag]
        elif words.option(*TO_WORDS):
            rule, to = _target(words, kind), True
        else:
            words.unknown()
    if kind != "masquerade" and not to:
        words.fail("'to' and an address are missing")
    if named_family and rule.l3num and (rule.l3num == AF_INET) != (named_family == "ip"):
        words.fail(f"address family: the address is not of family {named_family}")
    return attrs.evolve(rule, range=attrs.evolve(rule.range, flags=rule.range.flags | flags))


def _target(words: Words, kind: str) -> NatRule:
    """What follows `to`: IP[-IP][:A[-B]], or :A[-B] alone; dnat may shift, :A-B/BASE."""
    word = words.take("an address or a port")
    host, ports = split_ports(word)
    l3num: int | None = None
    low = high = first = last = base = flags = 0
    if kind == "masquerade":
        if ports is None and re.fullmatch(r"[0-9]+(-[0-9]+)?", host):  # iptables --to-ports
            host, ports = "", host
        if host:
            words.fail(f"{shown(host)}: masquerade takes ports only, as in 'to :1024-2047'")
    if host or ports is None:
        l3num, low, high = words.addresses(host)
        flags |= NF_NAT_RANGE_MAP_IPS
    if ports is not None:
        span, slash, base_text = ports.partition("/")
        first, last = words.ports(span)
        flags |= NF_NAT_RANGE_PROTO_SPECIFIED
        if slash:
            if kind != "dnat" or "-" not in span:
                words.fail(f"{shown('/' + base_text)}: only a port range of dnat has a base port")
            base = words.as_number(base_text, "base port", U16_MAX, 1)
            flags |= NF_NAT_RANGE_PROTO_OFFSET
    return NatRule(kind, NatRange(flags, low, high, first, last, base), l3num)


def _target_text(r: NatRange, l3num: int | None) -> str:
    has_ports = r.flags & NF_NAT_RANGE_PROTO_SPECIFIED
    host = ""
    if l3num is not None:
        host = _span(address_text(l3num, r.min_addr), address_text(l3num, r.max_addr))
        if has_ports and l3num != AF_INET:
            host = f"[{host}]"
    if not has_ports:
        return host
    # A base needs a range in front of it, be it of one port.
    if r.flags & NF_NAT_RANGE_PROTO_OFFSET:
        return f"{host}:{r.min_proto}-{r.max_proto}/{r.base_proto}"
    return f"{host}:{_span(str(r.min_proto), str(r.max_proto))}"


def _span(first: str, last: str) -> str:
    return first if first == last else f"{first}-{last}"


# ── a flow, a zone ──────────────────────────────────────────────────────────────────────────────


def _flow(words: Words) -> CtTuple:
    """tcp A:P > B:Q, icmp A > B id N [type T/C], gre A > B key S/D, 99 A > B"""
    protonum = _protocol(words)
    has_port = protonum in PROTO_NAMES and protonum not in WITHOUT_PORTS
    l3num, src, sport = words.endpoint(has_port)
    words.need(">")
    other, dst, dport = words.endpoint(has_port)
    if other != l3num:
        source, destination = address_text(l3num, src), address_text(other, dst)
        words.fail(f"address family: {source} and {destination} differ")
    if protonum in ICMPS:
        if (l3num == AF_INET) != (protonum == IPPROTO_ICMP):
            words.fail(f"address family: {proto_text(protonum)} to {address_text(l3num, dst)}")
        sport, dport = _icmp_keys(words, protonum)
    elif protonum == IPPROTO_GRE:
        if not words.skip(("key",)):
            words.fail("'key' and two GRE keys, as in 'key 1/2', are missing")
        sport, dport = _pair(words, "GRE key", U16_MAX)
    return CtTuple(l3num, protonum, src, sport, dst, dport)


def _protocol(words: Words) -> int:
    name = words.skip(PROTO_NUMBERS)
    if name is not None:
        return PROTO_NUMBERS[name]
    word = words.take("a protocol")
    if not word.isascii() or not word.isdigit():
        words.fail(f"unknown protocol {shown(word)}: {' '.join(PROTO_NUMBERS)}, or a number")
    return words.as_number(word, "protocol", 255)


def _pair(words: Words, wanted: str, highest: int) -> tuple[int, int]:
    left, _, right = words.take(wanted).partition("/")
    return words.as_number(left, wanted, highest), words.as_number(right, wanted, highest)


def _icmp_keys(words: Words, protonum: int) -> tuple[int, int]:
    """(id, type * 256 + code)"""
    if not words.skip(("id",)):
        words.fail("'id' and a number are missing")
    number = words.number("id", U16_MAX)
    requests = ICMP_REQUESTS[protonum]
    kind, code = requests[0], 0
    if words.skip(("type",)):
        kind, code = _pair(words, "ICMP type or code", 255)
        if kind not in requests:
            words.fail(f"no connection begins with type {kind}, only with {requests}")
    return number, kind * 256 + code


def flow_text(t: CtTuple) -> str:
    """What `_flow` reads."""
    text = f"{proto_text(t.protonum)} {_end(t, t.src, t.sport)} > {_end(t, t.dst, t.dport)}"
    if t.protonum in ICMPS:
        text += f" id {t.sport}"
        if t.dport != ICMP_REQUESTS[t.protonum][0] * 256:
            text += f" type {t.dport // 256}/{t.dport % 256}"
    elif t.protonum == IPPROTO_GRE:
        text += f" key {t.sport}/{t.dport}"
    return text


def _end(t: CtTuple, address: int, port: int) -> str:
    has_port = t.protonum in PROTO_NAMES and t.protonum not in WITHOUT_PORTS
    return endpoint_text(t.l3num, address, port) if has_port else address_text(t.l3num, address)


def _zone(words: Words) -> Zone:
    number = words.number("zone", U16_MAX)
    direction = {"orig": 1, "reply": 2, None: 3}[words.skip(("orig", "reply"))]
    # Zone 0 is the default zone, whatever it covers.
    return Zone(number, direction) if number else DEFAULT_ZONE


def _zone_text(zone: Zone) -> str:
    if not zone.id:
        return ""
    return f" zone {zone.id}" + {1: " orig", 2: " reply", 3: ""}[zone.dir]


# ── a packet ────────────────────────────────────────────────────────────────────────────────────


@attrs.frozen
class PacketSpec:
    """The first packet of a connection, as its sender made it.

    `seq` is TCP's initial sequence number; `master` says that GRE belongs to a PPTP call.
    """

    t: CtTuple
    zone: Zone = DEFAULT_ZONE
    seq: int = 0
    master: bool = False

    @classmethod
    def parse(cls, text: str, where: str = "packet") -> PacketSpec:
        words = Words(text, where)
        spec = cls(_flow(words))
        while words:
            if words.option("zone"):
                spec = attrs.evolve(spec, zone=_zone(words))
            elif spec.t.protonum == IPPROTO_TCP and words.option("seq"):
                spec = attrs.evolve(spec, seq=words.number("sequence number", U32_MAX))
            elif spec.t.protonum == IPPROTO_GRE and words.option("master"):
                spec = attrs.evolve(spec, master=True)
            else:
                words.unknown()
        return spec

    def packet(self, number: int, dst: NatRange | None, src: NatRange | None) -> Packet:
        """The packet as the paths want it.  A SYN takes one number of its sequence space."""
        return Packet(
            id=number,
            t=self.t,
            dst=dst,
            src=src,
            zone=self.zone,
            td_end=u32(self.seq + 1),
            has_master=self.master,
        )

    def __str__(self) -> str:
        seq = f" seq {self.seq}" if self.seq else ""
        return f"{flow_text(self.t)}{' master' if self.master else ''}{_zone_text(self.zone)}{seq}"


# ── what is occupied ────────────────────────────────────────────────────────────────────────────


@attrs.frozen
class Ports:
    """Ports `first` to `last`, held by strangers wherever the packets could want them."""

    first: int
    last: int

    def __str__(self) -> str:
        return _span(str(self.first), str(self.last))


@attrs.frozen
class EntrySpec:
    """One entry of the table, in full; its `ct` has no id yet."""

    ct: Conn

    def __str__(self) -> str:
        ct = self.ct
        mapped = nf_ct_invert_tuple(ct.reply)
        text = flow_text(ct.orig)
        if (mapped.dst, mapped.dport) != (ct.orig.dst, ct.orig.dport):
            text += f" to {_mapped_text(mapped, mapped.dst, mapped.dport)}"
        if (mapped.src, mapped.sport) != (ct.orig.src, ct.orig.sport):
            text += f" as {_mapped_text(mapped, mapped.src, mapped.sport)}"
        if ct.tcp_state != _usual_state(ct.orig):
            text += f" state {TCP_STATES[ct.tcp_state]}"
        if ct.td_end:
            text += f" td-end {ct.td_end}"
        if ct.status != _usual_status(ct.orig, mapped):
            text += f" status {status_text(ct.status).replace(' ', ',')}"
        if ct.timeout != DEFAULT_TIMEOUT:
            text += f" timeout {ct.timeout}"
        return text + _zone_text(ct.zone)


def parse_occupied(text: str, where: str = "occupied") -> tuple[Ports | EntrySpec, ...]:
    """Ports and port ranges, or one full entry.  Raises BadInput."""
    words = Words(text, where)
    if ">" in words:
        return (_entry(words),)
    if not words:
        words.fail("a port, a port range or an entry is missing")
    ports = []
    while words:
        ports.append(Ports(*words.ports(words.take("a port"))))
    return tuple(ports)


def occupied_texts(items: Iterable[Ports | EntrySpec]) -> list[str]:
    """One text for each entry, and one for ports that follow each other."""
    texts: list[str] = []
    after_ports = False
    for item in items:
        is_ports = isinstance(item, Ports)
        if is_ports and after_ports:
            texts[-1] += f",{item}"
        else:
            texts.append(str(item))
        after_ports = is_ports
    return texts


def _entry(words: Words) -> EntrySpec:
    """FLOW [to B] [as M] [state S] [td-end N] [status NAME,NAME] [timeout N] [zone ...]"""
    orig = mapped = _flow(words)
    is_tcp = orig.protonum == IPPROTO_TCP
    zone, state, td_end, timeout = DEFAULT_ZONE, _usual_state(orig), 0, DEFAULT_TIMEOUT
    status: int | None = None
    while words:
        if words.option("to"):
            address, key = _mapped_end(words, orig, orig.dport)
            mapped = mapped.with_dst(address).with_dport(key)
        elif words.option("as"):
            address, key = _mapped_end(words, orig, orig.sport)
            mapped = mapped.with_src(address).with_sport(key)
        elif is_tcp and words.option("state"):
            state = _state(words)
        elif is_tcp and words.option("td-end", "td_end"):
            td_end = words.number("td-end", U32_MAX)
        elif words.option("status"):
            status = _status(words)
        elif words.option("timeout"):
            timeout = words.number("timeout", U32_MAX // 2)
        elif words.option("zone"):
            zone = _zone(words)
        else:
            words.unknown()
    return EntrySpec(
        Conn(
            id=0,
            orig=orig,
            reply=nf_ct_invert_tuple(mapped),
            status=_usual_status(orig, mapped) if status is None else status,
            zone=zone,
            tcp_state=state,
            td_end=td_end,
            timeout=timeout,
        )
    )


def _mapped_end(words: Words, t: CtTuple, key: int) -> tuple[int, int]:
    """(address, key) after translation: A:P, or A [id N] for ICMP, A [key N] for GRE."""
    has_port = t.protonum in PROTO_NAMES and t.protonum not in WITHOUT_PORTS
    l3num, address, port = words.endpoint(has_port)
    if l3num != t.l3num:
        before, after = address_text(t.l3num, t.src), address_text(l3num, address)
        words.fail(f"address family: {before} and {after} differ")
    if has_port:
        return address, port
    if t.protonum in ICMPS and words.skip(("id",)):
        return address, words.number("id", U16_MAX)
    if t.protonum == IPPROTO_GRE and words.skip(("key",)):
        return address, words.number("GRE key", U16_MAX)
    return address, key


def _mapped_text(t: CtTuple, address: int, key: int) -> str:
    """What `_mapped_end` reads."""
    if t.protonum == IPPROTO_GRE:
        return f"{_end(t, address, key)} key {key}"
    # The destination key of ICMP is a type, which nothing translates.
    is_id = t.protonum in ICMPS and (address, key) == (t.src, t.sport)
    return _end(t, address, key) + (f" id {key}" if is_id else "")


def _usual_state(t: CtTuple) -> int:
    return TCP_CONNTRACK_ESTABLISHED if t.protonum == IPPROTO_TCP else TCP_CONNTRACK_NONE


def _usual_status(orig: CtTuple, mapped: CtTuple) -> int:
    """Of an entry that has seen traffic both ways and was translated as the tuples say."""
    status = IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED | IPS_SRC_NAT_DONE | IPS_DST_NAT_DONE
    if (mapped.src, mapped.sport) != (orig.src, orig.sport):
        status |= IPS_SRC_NAT
    if (mapped.dst, mapped.dport) != (orig.dst, orig.dport):
        status |= IPS_DST_NAT
    return status


def usual_entry(orig: CtTuple, reply: CtTuple, zone: Zone, number: int) -> Conn:
    """An established connection of that kind."""
    status = _usual_status(orig, nf_ct_invert_tuple(reply))
    return Conn(number, orig, reply, status, zone, tcp_state=_usual_state(orig))


def _state(words: Words) -> int:
    word = words.take("a TCP state")
    if word.upper() not in TCP_STATES:
        words.fail(f"unknown TCP state {shown(word)}: {' '.join(TCP_STATES)}")
    return TCP_STATES.index(word.upper())


def _status(words: Words) -> int:
    status = 0
    names = {name.lower(): bit for name, bit in STATUS_NAMES.items()}
    while word := words.skip(names):
        status |= names[word]
    if not status:
        words.fail(f"after 'status' come names: {','.join(STATUS_NAMES)}")
    return status


# ── search hints ────────────────────────────────────────────────────────────────────────────────


def parse_hint(text: str, where: str = "rover") -> tuple[int, int]:
    """(protocol, value) of PROTO=N."""
    words = Words(text.replace("=", " ", 1), where)
    hint = hint_protocol(words.take("a protocol"), where), words.number("rover", U16_MAX)
    if words:
        words.unknown()
    return hint


def hint_protocol(name: str, where: str = "rover") -> int:
    """The number of a protocol that has a search hint."""
    number = PROTO_NUMBERS.get(name.lower())
    if number is None:
        raise BadInput(f"{where} {shown(name)}: the protocols are {' '.join(PROTO_NUMBERS)}")
    return number
