# SPDX-License-Identifier: GPL-2.0-or-later
"""The little texts mean what iptables and nft mean by them; complaints name the word at fault."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from natmodel.errors import BadInput
from natmodel.nat_text import (
    EntrySpec,
    NatRule,
    PacketSpec,
    Ports,
    occupied_texts,
    parse_hint,
    parse_occupied,
)
from natmodel.values import (
    AF_INET,
    AF_INET6,
    IPPROTO_TCP,
    IPS_CONFIRMED,
    IPS_DST_NAT,
    IPS_SRC_NAT,
    CtTuple,
    Manip,
    NatRange,
    Zone,
    parse_address,
    status_text,
)


def address(text: str) -> int:
    return parse_address(text)[1]


V4: Final = address("203.0.113.1")
V6: Final = address("2001:db8::1")

RULES: Final = [
    # as written back, and what it means (SPEC g.1, g.2)
    ("masquerade", NatRange()),
    ("masquerade random", NatRange(4)),
    ("masquerade random-fully", NatRange(16)),
    ("masquerade persistent", NatRange(8)),
    ("masquerade to :1024-2047", NatRange(2, 0, 0, 1024, 2047)),
    ("masquerade to :1024", NatRange(2, 0, 0, 1024, 1024)),
    ("masquerade to :1-65535 random persistent", NatRange(14, 0, 0, 1, 65535)),
    ("snat to 203.0.113.1", NatRange(1, V4, V4)),
    ("snat to 203.0.113.1:80-90", NatRange(3, V4, V4, 80, 90)),
    ("snat to 203.0.113.1-203.0.113.3 persistent", NatRange(9, V4, V4 + 2)),
    ("snat to 203.0.113.1-203.0.113.3:5 random-fully", NatRange(19, V4, V4 + 2, 5, 5)),
    ("snat to :80", NatRange(2, 0, 0, 80, 80)),
    ("snat to 2001:db8::1", NatRange(1, V6, V6)),
    ("snat to 2001:db8::1-2001:db8::9", NatRange(1, V6, V6 + 8)),
    ("snat to [2001:db8::1]:1024-2047", NatRange(3, V6, V6, 1024, 2047)),
    ("snat to [2001:db8::1-2001:db8::9]:80", NatRange(3, V6, V6 + 8, 80, 80)),
    ("dnat to 203.0.113.1:8080", NatRange(3, V4, V4, 8080, 8080)),
    ("dnat to :8080-8090/80", NatRange(34, 0, 0, 8080, 8090, 80)),
    ("dnat to 203.0.113.1:80-80/443 random", NatRange(39, V4, V4, 80, 80, 443)),
]


@pytest.mark.parametrize(("text", "meaning"), RULES, ids=[text for text, _ in RULES])
def test_a_rule_becomes_the_kernels_range(text: str, meaning: NatRange) -> None:
    rule = NatRule.parse(text)
    assert rule.range == meaning
    assert str(rule) == text
    assert rule.manip is (Manip.DST if text.startswith("dnat") else Manip.SRC)


@pytest.mark.parametrize(
    ("pasted", "text"),
    [
        ("MASQUERADE", "masquerade"),
        ("-j MASQUERADE --random-fully", "masquerade random-fully"),
        ("MASQUERADE --to-ports 1024-2047 --random", "masquerade to :1024-2047 random"),
        ("masquerade fully-random,persistent", "masquerade random-fully persistent"),
        ("masquerade random to :5-6", "masquerade to :5-6 random"),
        ("  masquerade\trandom\n", "masquerade random"),
        ("SNAT --to-source 203.0.113.1-203.0.113.1:5-5", "snat to 203.0.113.1:5"),
        ("snat to [2001:DB8::1]", "snat to 2001:db8::1"),
        ("SNAT --to-source [2001:db8::1]-[2001:db8::9]:80", "snat to [2001:db8::1-2001:db8::9]:80"),
        ("DNAT --to-destination :80-90/80 --persistent", "dnat to :80-90/80 persistent"),
        ("dnat ip to 203.0.113.1:80", "dnat to 203.0.113.1:80"),
        ("dnat ip6 to [2001:db8::1]:80", "dnat to [2001:db8::1]:80"),
    ],
)
def test_what_people_paste_is_understood(pasted: str, text: str) -> None:
    assert str(NatRule.parse(pasted)) == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "masquerade, snat or dnat is missing"),
        ("random", "begins with masquerade, snat or dnat, not 'random'"),
        ("masquerade rondom", "unknown word 'rondom'"),
        ("masquerade random random", "'random' is given twice"),
        ("masquerade fully-random --random-fully", "'random-fully' is given twice"),
        ("masquerade random,", "before or after a comma"),
        ("masquerade ,,random", "before or after a comma"),
        ("masquerade to", "an address or a port is missing"),
        ("masquerade to :0", "port 0 is not in 1 to 65535"),
        ("masquerade to :70000", "port 70000"),
        ("masquerade to :1024-70000", "port 70000"),
        ("masquerade to :2047-1024", "2047-1024 ends before it begins"),
        ("masquerade to :1-", "'' is no port"),
        ("masquerade to :", "'' is no port"),
        ("masquerade to :a", "'a' is no port"),
        ("masquerade to :1-2-3", "'2-3' is no port"),
        ("masquerade to :\u0661", "is no port"),
        ("masquerade to 203.0.113.1", "'203.0.113.1': masquerade takes ports only"),
        ("masquerade to :1 to :2", "'to' is given twice"),
        ("masquerade to :1-5/1", "only a port range of dnat"),
        ("snat", "'to' and an address are missing"),
        ("snat random", "'to' and an address are missing"),
        ("snat to 203.0.113.300", "'203.0.113.300' is no address"),
        ("snat to 203.0.113", "'203.0.113' is no address"),
        ("snat to fe80::1%eth0", "is no address"),
        ("snat to [2001:db8::1", "is no address"),
        ("snat to 2001:db8::1-2047", "'2047' is no address"),
        ("snat to 203.0.113.9-203.0.113.1", "ends before it begins"),
        ("snat to 203.0.113.9-2001:db8::1", "address family"),
        ("snat ip6 to 203.0.113.9", "address family"),
        ("snat to 203.0.113.9:", "'' is no port"),
        ("snat to 203.0.113.9:1-2/1", "'/1': only a port range of dnat"),
        ("dnat to :80/1", "'/1': only a port range of dnat"),
        ("dnat to :80-81/", "'' is no base port"),
        ("dnat to :80-81/0", "base port 0"),
    ],
)
def test_a_malformed_rule_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(BadInput) as refused:
        NatRule.parse(text, "--nat")
    assert str(refused.value).startswith("--nat '")
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


PACKETS: Final = [
    "tcp 172.16.1.8:32769 > 198.51.100.7:80",
    "udp 172.16.1.8:53 > 198.51.100.7:53 zone 5",
    "udplite 172.16.1.8:1 > 198.51.100.7:65535 zone 5 orig",
    "sctp [2001:db8::8]:1 > [2001:db8::1]:2 zone 65535 reply",
    "dccp 0.0.0.0:1 > 198.51.100.7:80",
    "tcp 172.16.1.8:1 > 198.51.100.7:80 zone 1 seq 4294967295",
    "icmp 172.16.1.8 > 198.51.100.7 id 7",
    "icmp 172.16.1.8 > 198.51.100.7 id 0 type 13/0",
    "icmpv6 2001:db8::8 > 2001:db8::1 id 65535",
    "icmpv6 2001:db8::8 > 2001:db8::1 id 7 type 139/1",
    "gre 172.16.1.8 > 198.51.100.7 key 1/2",
    "gre 172.16.1.8 > 198.51.100.7 key 0/65535 master zone 3",
    "99 172.16.1.8 > 198.51.100.7",
    "0 2001:db8::8 > 2001:db8::1 zone 9",
]


@pytest.mark.parametrize("text", PACKETS)
def test_a_packet_pastes_back(text: str) -> None:
    assert str(PacketSpec.parse(text)) == text


def test_a_packet_means_what_it_says() -> None:
    spec = PacketSpec.parse("TCP 172.16.1.8:32769 -> 198.51.100.7:80 seq 4294967295 zone 5 REPLY")
    src, dst = address("172.16.1.8"), address("198.51.100.7")
    assert spec.t == CtTuple(AF_INET, IPPROTO_TCP, src, 32769, dst, 80)
    assert spec.zone == Zone(5, 2)
    packet = spec.packet(3, None, NatRange(1))
    assert (packet.id, packet.td_end, packet.dst, packet.src) == (3, 0, None, NatRange(1))
    assert PacketSpec.parse("icmp 1.2.3.4 > 5.6.7.8 id 7").t.dport == 8 * 256
    assert PacketSpec.parse("icmpv6 ::1 > ::2 id 7").t.dport == 128 * 256
    assert PacketSpec.parse("icmpv6 ::1 > ::2 id 7").t.l3num == AF_INET6
    assert PacketSpec.parse("gre 1.2.3.4 > 5.6.7.8 key 1/2 master").packet(0, None, None).has_master
    assert PacketSpec.parse("6 1.2.3.4:1>5.6.7.8:2").t.protonum == IPPROTO_TCP
    # zone 0 is the default zone, whatever it covers
    assert PacketSpec.parse("99 1.2.3.4 > 5.6.7.8 zone 0 orig").zone == Zone()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "a protocol is missing"),
        ("tpc 1.2.3.4:1 > 5.6.7.8:2", "unknown protocol 'tpc'"),
        ("256 1.2.3.4 > 5.6.7.8", "protocol 256 is not in 0 to 255"),
        ("tcp 1.2.3.4 > 5.6.7.8:2", "'1.2.3.4' has no port"),
        ("tcp 1.2.3.4:0 > 5.6.7.8:2", "port 0"),
        ("tcp 1.2.3.4:1 > 5.6.7.8:70000", "port 70000"),
        ("tcp 1.2.3.4:1 5.6.7.8:2", "'>' is missing before '5.6.7.8:2'"),
        ("tcp 1.2.3.4:1 >", "an address and port is missing"),
        ("tcp 1.2.3.4:1", "'>' is missing at the end"),
        ("tcp 1.2.3.4:1 > [2001:db8::1]:2", "address family: 1.2.3.4 and 2001:db8::1 differ"),
        ("tcp 2001:db8::1 > [2001:db8::1]:2", "as in [2001:db8::1]:80"),
        ("tcp 1.2.3.4:1 > 5.6.7.8:2 seq 4294967296", "sequence number 4294967296"),
        ("tcp 1.2.3.4:1 > 5.6.7.8:2 seq", "sequence number is missing"),
        ("tcp 1.2.3.4:1 > 5.6.7.8:2 zone 65536", "zone 65536"),
        ("tcp 1.2.3.4:1 > 5.6.7.8:2 zone 1 zone 2", "'zone' is given twice"),
        ("tcp 1.2.3.4:1 > 5.6.7.8:2 master", "unknown word 'master'"),
        ("udp 1.2.3.4:1 > 5.6.7.8:2 seq 1", "unknown word 'seq'"),
        ("tcp 1.2.3.4:1 > 5.6.7.8:2 > 9.9.9.9:3", "unknown word '>'"),
        ("icmp 1.2.3.4 > 5.6.7.8", "'id' and a number are missing"),
        ("icmp 1.2.3.4:1 > 5.6.7.8 id 1", "has no ports"),
        ("icmp 1.2.3.4 > 5.6.7.8 id 1 type 0/0", "no connection begins with type 0"),
        ("icmp 1.2.3.4 > 5.6.7.8 id 1 type 8", "'' is no ICMP type"),
        ("icmp ::1 > ::2 id 1", "address family"),
        ("icmpv6 1.2.3.4 > 5.6.7.8 id 1", "address family"),
        ("gre 1.2.3.4 > 5.6.7.8", "two GRE keys"),
        ("gre 1.2.3.4 > 5.6.7.8 key 1", "'' is no GRE key"),
        ("gre 1.2.3.4 > 5.6.7.8 key 1/65536", "GRE key 65536"),
    ],
)
def test_a_malformed_packet_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(BadInput) as refused:
        PacketSpec.parse(text)
    assert str(refused.value).startswith("packet '")
    assert complaint in str(refused.value)


ENTRIES: Final = [
    "tcp 10.0.0.9:5000 > 198.51.100.7:80",
    "tcp 10.0.0.9:5000 > 198.51.100.7:80 as 203.0.113.1:1024",
    "tcp 10.0.0.9:5000 > 198.51.100.7:80 as 203.0.113.1:1024 state TIME_WAIT td-end 7",
    "udp 10.0.0.9:5000 > 198.51.100.7:80 to 10.1.1.1:8080 as 203.0.113.1:1024 zone 5 orig",
    "tcp 10.0.0.9:5000 > 198.51.100.7:80 as 203.0.113.1:1024 status CONFIRMED,SRC_NAT timeout 0",
    "tcp [2001:db8::8]:5000 > [2001:db8::1]:80 as [2001:db8::2]:1024",
    "icmp 10.0.0.9 > 198.51.100.7 id 7 as 203.0.113.1 id 9",
    "icmp 10.0.0.9 > 198.51.100.7 id 7 to 10.1.1.1",
    "gre 10.0.0.9 > 198.51.100.7 key 1/2 to 10.1.1.1 key 3 as 203.0.113.1 key 4",
    "99 10.0.0.9 > 198.51.100.7 as 203.0.113.1",
]


@pytest.mark.parametrize("text", ENTRIES)
def test_an_entry_pastes_back(text: str) -> None:
    assert occupied_texts(parse_occupied(text)) == [text]


def test_an_entry_is_translated_as_it_says() -> None:
    text = "udp 10.0.0.9:5000 > 198.51.100.7:80 to 10.1.1.1:8080 as 203.0.113.1:1024"
    (spec,) = parse_occupied(text)
    assert isinstance(spec, EntrySpec)
    assert str(spec.ct.reply) == "udp 10.1.1.1:8080 > 203.0.113.1:1024"
    assert status_text(spec.ct.status) == (
        "SEEN_REPLY ASSURED CONFIRMED SRC_NAT DST_NAT SRC_NAT_DONE DST_NAT_DONE"
    )
    (spec,) = parse_occupied("icmp 10.0.0.9 > 198.51.100.7 id 7 as 203.0.113.1")
    assert isinstance(spec, EntrySpec)
    assert str(spec.ct.reply) == "icmp 198.51.100.7 > 203.0.113.1 id 7 0/0"
    assert spec.ct.status & (IPS_SRC_NAT | IPS_DST_NAT) == IPS_SRC_NAT
    (spec,) = parse_occupied("tcp 1.2.3.4:1>5.6.7.8:2 STATUS confirmed State close")
    assert isinstance(spec, EntrySpec)
    assert (spec.ct.status, spec.ct.tcp_state) == (IPS_CONFIRMED, 8)


def test_ports_and_ranges_may_share_a_text() -> None:
    items = parse_occupied("32769, 1024-2047,99")
    assert items == (Ports(32769, 32769), Ports(1024, 2047), Ports(99, 99))
    entry = parse_occupied(ENTRIES[0])
    assert occupied_texts((*items[:2], *entry, items[2])) == ["32769,1024-2047", ENTRIES[0], "99"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "a port, a port range or an entry is missing"),
        (",", "before or after a comma"),
        ("80,", "before or after a comma"),
        (",80", "before or after a comma"),
        ("80, ,81", "before or after a comma"),
        ("0", "port 0"),
        ("70000", "port 70000"),
        ("5-4", "5-4 ends before it begins"),
        ("5--6", "'-6' is no port"),
        ("tcp 1.2.3.4:1", "'tcp' is no port"),
        ("tcp 1.2.3.4:1 > 5.6.7.8:2 as ::1", "has no port"),
        ("tcp 1.2.3.4:1 > 5.6.7.8:2 as [::1]:1", "address family"),
        ("tcp 1.2.3.4:1 > 5.6.7.8:2 state OPEN", "unknown TCP state 'OPEN'"),
        ("udp 1.2.3.4:1 > 5.6.7.8:2 state CLOSE", "unknown word 'state'"),
        ("tcp 1.2.3.4:1 > 5.6.7.8:2 status GONE", "after 'status' come names"),
        ("tcp 1.2.3.4:1 > 5.6.7.8:2 status CONFIRMED GONE", "unknown word 'GONE'"),
        ("tcp 1.2.3.4:1 > 5.6.7.8:2 as 1.2.3.4:5 as 1.2.3.4:6", "'as' is given twice"),
    ],
)
def test_malformed_occupancy_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_occupied(text)
    assert str(refused.value).startswith("occupied '")
    assert complaint in str(refused.value)


def test_search_hints_are_read() -> None:
    assert parse_hint("tcp=4711") == parse_hint("TCP 4711") == (IPPROTO_TCP, 4711)
    for text in ("", "tcp", "tcp=", "tcp=65536", "tpc=1", "tcp=1 2", "6=1"):
        with pytest.raises(BadInput, match=r"^rover"):
            parse_hint(text)


# Texts that nearly make sense get further into a parser than noise does.
words = st.sampled_from(
    " ".join((*(text for text, _ in RULES), *PACKETS, *ENTRIES, "5-4 0 -- - [ ]: : / =")).split()
)
noise = st.text() | st.lists(words, max_size=9).map(" ".join) | st.text("masqudnt >:,-/[]01.%")


@given(noise)
@example("masquerade to :" + "9" * 5000)
@example("tcp \ud800:1 > 1.2.3.4:5")
def test_random_text_is_understood_or_bad_input(text: str) -> None:
    for parse in (NatRule.parse, PacketSpec.parse):
        with suppress(BadInput):
            value = parse(text)
            assert parse(str(value)) == value
    with suppress(BadInput):
        items = parse_occupied(text)
        assert sum(map(parse_occupied, occupied_texts(items)), ()) == items
    with suppress(BadInput):
        parse_hint(text)


@given(noise)
def test_a_complaint_is_one_plain_line(text: str) -> None:
    for parse in (NatRule.parse, PacketSpec.parse, parse_occupied, parse_hint):
        try:
            parse(text)
        except BadInput as refused:
            complaint = str(refused)
        else:
            continue
        assert complaint.isprintable(), complaint
        assert len(complaint) < 500
