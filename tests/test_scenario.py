# SPDX-License-Identifier: GPL-2.0-or-later
"""A scenario survives its file form and its command line, and what makes no sense is refused."""

from __future__ import annotations

import copy
import errno
import json
import os
import pickle
import shlex
import time
import tomllib
from collections.abc import Callable
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from natmodel import scenario_file
from natmodel.boot import Boot, hashing
from natmodel.errors import BadInput
from natmodel.hashes import HashKeys
from natmodel.nat_text import NatRule, PacketSpec
from natmodel.ops import ReadChain
from natmodel.release import Fate, Packet
from natmodel.releases import RELEASES, V4_19_66, V6_12_117
from natmodel.run import run
from natmodel.scenario import DEFAULT_KERNEL, Scenario, has_hint, pods, row_of
from natmodel.values import (
    AF_INET,
    IPPROTO_ICMP,
    IPPROTO_TCP,
    NF_NAT_RANGE_PROTO_RANDOM,
    PROTO_NAMES,
    CtTuple,
    Manip,
    NatRange,
    Zone,
    address_text,
    parse_address,
)
from natmodel.world import Stamp, read_chain

A: Final = "tcp 172.16.1.8:32769 > 198.51.100.7:80"
B: Final = "tcp 172.16.1.9:32769 > 198.51.100.7:80"
SERVER: Final = parse_address("198.51.100.7")[1]
OUTSIDE: Final = parse_address("203.0.113.1")[1]


def todo(scenario: Scenario) -> list[tuple[Packet, ...]]:
    """The packets of each CPU."""
    return [call.args[1] for call in scenario.threads()]


def is_used(scenario: Scenario, reply: CtTuple, zone_id: int = 0) -> bool:
    """Does an entry own this key at the start?"""
    hashing = scenario.world().background.hashing
    return any(
        hashing.zone_id(node.ct.zone, node.direction) == zone_id
        for _, node in scenario.world().background.nodes_of(reply)
    )


def answer(port: int, outside: int = OUTSIDE, dst: int = SERVER, dport: int = 80) -> CtTuple:
    """The reply key of a TCP connection that leaves from outside:port."""
    return CtTuple(AF_INET, IPPROTO_TCP, dst, dport, outside, port)


# ── what it says to a checker ───────────────────────────────────────────────────────────────────


def test_the_default_is_two_pods_behind_one_masquerade_rule() -> None:
    scenario = Scenario.default()
    assert scenario == Scenario() == Scenario.from_arguments()
    assert scenario.release is V6_12_117
    assert [str(spec) for spec in scenario.packets] == [A, B]
    asked = NatRange(1, OUTSIDE, OUTSIDE)
    assert [[(p.id, p.src, p.dst) for p in packets] for packets in todo(scenario)] == [
        [(0, asked, None)],
        [(1, asked, None)],
    ]
    assert not scenario.world().background.entries
    assert scenario.bound() == (
        "kernel 6.12.117, masquerade (203.0.113.1), 2 packets on 2 cpus, empty table, "
        "no entry expires, chains below their limit"
    )


def test_packets_go_round_the_cpus() -> None:
    scenario = Scenario(packets=pods(5), cpus=2)
    assert [[p.id for p in packets] for packets in todo(scenario)] == [[0, 2, 4], [1, 3]]
    assert len(Scenario(packets=pods(3)).threads()) == 3
    assert len(Scenario.from_arguments(cpus=4).packets) == 4
    assert len(todo(Scenario.from_arguments(cpus=1))[0]) == 2


def test_one_cpu_runs_to_its_end() -> None:
    scenario = Scenario(cpus=1)
    (call,) = scenario.threads()
    fates: tuple[Fate, ...] = run(call, scenario.world(), [0, 7, 0]).result
    assert [fate.ct and fate.ct.reply.dport for fate in fates] == [32769, 1024 + 7]


def test_worlds_of_one_scenario_are_equal() -> None:
    scenario = Scenario(occupied="32769")
    assert scenario.world() is scenario.world()
    assert scenario.threads() == scenario.threads()


def test_a_scenario_is_a_value() -> None:
    scenario = Scenario(kernel="4.19.66", occupied="1024-2047", boot="buckets 4", rover={"tcp": 3})
    for twin in (copy.deepcopy(scenario), pickle.loads(pickle.dumps(scenario))):
        assert twin == scenario
        assert hash(twin) == hash(scenario)
    assert attrs.evolve(scenario, kernel="4.19.66").release is V4_19_66


def test_rules_reach_the_packets() -> None:
    scenario = Scenario(nat=["snat to 203.0.113.5-203.0.113.6 random", "dnat to :8080-8090/80"])
    packet = todo(scenario)[0][0]
    first = parse_address("203.0.113.5")[1]
    assert packet.src == NatRange(1 | NF_NAT_RANGE_PROTO_RANDOM, first, first + 1)
    assert packet.dst == NatRange(34, 0, 0, 8080, 8090, 80)
    masquerade = Scenario(nat="masquerade random to :5-6", outside="192.0.2.1")
    address = parse_address("192.0.2.1")[1]
    assert todo(masquerade)[0][0].src == NatRange(7, address, address, 5, 6)
    assert todo(Scenario(nat="none"))[0][0].src is None
    assert Scenario(nat=()).nat == Scenario(nat="NONE").nat == ()


def test_masquerade_leaves_packets_without_a_source_alone() -> None:
    scenario = Scenario(packets="udp 0.0.0.0:68 > 198.51.100.7:67")
    assert todo(scenario)[0][0].src is None


def test_ipv6_has_its_own_outside_address() -> None:
    scenario = Scenario(packets="tcp [2001:db8::8]:5 > [2001:db8::7]:80")
    assert scenario.outside == "2001:db8::1"
    assert "--outside" not in scenario.arguments()


def test_hints_are_in_the_world() -> None:
    scenario = Scenario(kernel="4.19.66", rover={"tcp": 4711, "icmp": 7, "udp": 0})
    assert scenario.rover == ((1, 7), (6, 4711))
    assert scenario.world().hint(IPPROTO_TCP) == 4711
    assert scenario.world().hint(IPPROTO_ICMP) == 7
    assert Scenario(kernel="4.19.66", rover=["icmp=7", "tcp=4711"]).rover == scenario.rover


@pytest.mark.parametrize(
    ("kernel", "hinted"),
    [
        ("2.6.24", "tcp udp icmp gre"),
        ("4.4.0", "tcp udp udplite sctp dccp icmp icmpv6 gre"),
        ("4.19.66", "tcp udp udplite sctp dccp icmp icmpv6 gre"),
        ("4.19.304", "icmp icmpv6 gre"),
        ("5.0.1", ""),
        ("6.12.117", ""),
    ],
)
def test_a_hint_is_refused_where_no_search_starts_at_one(kernel: str, hinted: str) -> None:
    """SPEC b: a static per protocol up to 4.20; rovers went with the stable backports, ids stayed."""
    assert {PROTO_NAMES[n] for n in PROTO_NAMES if has_hint(RELEASES[kernel], n)} == set(
        hinted.split()
    )
    for name in PROTO_NAMES.values():
        for value in (0, 7):
            if name in hinted.split():
                Scenario(kernel=kernel, rover={name: value})
                continue
            with pytest.raises(BadInput, match=f"^rover {name}: a search of {kernel} "):
                Scenario(kernel=kernel, rover={name: value})


# ── what is occupied ────────────────────────────────────────────────────────────────────────────


def test_a_port_is_held_by_a_stranger() -> None:
    scenario = Scenario(occupied="32769,1024-2047")
    for port, used in ((32769, True), (1024, True), (2047, True), (1023, False), (2048, False)):
        assert is_used(scenario, answer(port)) is used
    (entry, stamp) = scenario.world().background.entries
    assert not isinstance(entry, Stamp)
    assert isinstance(stamp, Stamp)
    assert str(entry.ct.orig) == "tcp 10.255.0.1:32769 > 198.51.100.7:80"
    assert entry.ct.id == 1000
    assert [stamp.conn(port).id for port in (1024, 2047)] == [1001, 2024]
    assert str(stamp.conn(1500).orig) == "tcp 10.255.0.1:1500 > 198.51.100.7:80"
    assert "occupied 32769,1024-2047" in scenario.bound()


def test_the_whole_range_costs_nothing() -> None:
    began = time.process_time()
    scenario = Scenario(occupied="1-65535", nat="snat to 203.0.113.0-203.0.113.255")
    background = scenario.world().background
    assert background.size == 2 * 256 * 65535
    assert len(background.entries) == 256
    assert time.process_time() - began < 1


def test_a_port_is_held_wherever_a_packet_could_want_it() -> None:
    scenario = Scenario(
        nat=["snat to 203.0.113.1-203.0.113.2", "dnat to 198.51.100.9:8080-8081"],
        packets=[A, B, "tcp 172.16.1.8:32769 > 198.51.100.8:443 zone 7"],
        occupied=["5000"],
    )
    entries = scenario.world().background.entries
    # 2 addresses x 2 destination ports x 2 zones; who has one address is one stranger
    assert len(entries) == 8
    dst = parse_address("198.51.100.9")[1]
    for outside in (OUTSIDE, OUTSIDE + 1):
        for dport in (8080, 8081):
            for zone_id in (0, 7):
                assert is_used(scenario, answer(5000, outside, dst, dport), zone_id)
    assert not is_used(scenario, answer(5000))


def test_an_address_range_of_the_destination_is_narrowed_by_its_hash() -> None:
    scenario = Scenario(nat="dnat to 198.51.100.0-198.51.100.255", packets=[A], occupied="5000")
    (entry,) = scenario.world().background.entries
    assert not isinstance(entry, Stamp)
    (call,) = scenario.threads()
    (fate,) = run(call, scenario.world(), [0]).result
    assert fate.ct.reply.src == entry.ct.reply.src


def test_ids_and_keys_are_ports_too() -> None:
    icmp = Scenario(packets="icmp 172.16.1.8 > 198.51.100.7 id 7", occupied="5-9")
    assert is_used(icmp, CtTuple(AF_INET, IPPROTO_ICMP, SERVER, 7, OUTSIDE, 0))
    gre = Scenario(packets="gre 172.16.1.8 > 198.51.100.7 key 5/6 master", occupied="5")
    assert is_used(gre, CtTuple(AF_INET, 47, SERVER, 6, OUTSIDE, 5))


def test_strangers_have_addresses_of_their_own() -> None:
    scenario = Scenario(
        nat="snat to 10.255.0.1-10.255.0.3",
        packets="tcp 10.255.0.4:1 > 10.255.0.6:80",
        occupied=["80", "tcp 10.255.0.5:9 > 10.255.0.8:80"],
    )
    first, *others, entry = scenario.world().background.entries
    assert not isinstance(first, Stamp)
    assert address_text(AF_INET, first.ct.orig.src) == "10.255.0.7"
    assert len(others) == 2
    assert not isinstance(entry, Stamp)
    assert entry.ct.id == 1003


def test_full_entries_are_hashed_as_their_status_says() -> None:
    merged = "udp 10.0.0.9:5000 > 198.51.100.7:80 status CONFIRMED,NAT_CLASH"
    plain = "udp 10.0.0.9:5001 > 198.51.100.7:80"
    entries = Scenario(occupied=[merged, plain]).world().background.entries
    assert [(e.hashed, e.in_bysource) for e in entries if not isinstance(e, Stamp)] == [
        ((1,), False),
        ((0, 1), True),
    ]


@pytest.mark.parametrize(
    ("occupied", "complaint"),
    [
        (["5", "1-9"], "'5': port 5 is occupied already, by '1-9'"),
        (["5-9", "9-12"], "'9-12': port 9 is occupied already, by '5-9'"),
        (
            ["5", "tcp 10.0.0.9:1 > 198.51.100.7:80 as 203.0.113.1:5"],
            "as 203.0.113.1:5': another entry owns its reply key",
        ),
        (
            ["tcp 10.0.0.9:1 > 198.51.100.7:80 as 203.0.113.1:6", "5-9"],
            "another entry owns its reply key",
        ),
        (
            [
                "tcp 10.0.0.9:1 > 198.51.100.7:80 as 203.0.113.1:5",
                "tcp 10.0.0.9:1 > 198.51.100.7:80 as 203.0.113.1:6",
            ],
            "another entry owns its original key",
        ),
        (
            ["tcp 1.1.1.1:1 > 2.2.2.2:2", "tcp 2.2.2.2:2 > 1.1.1.1:1"],
            "another entry owns its original key",
        ),
    ],
)
def test_no_two_entries_share_a_key(occupied: list[str], complaint: str) -> None:
    with pytest.raises(BadInput) as refused:
        Scenario(occupied=occupied)
    assert complaint in str(refused.value)


def test_equal_keys_in_two_zones_are_two_keys() -> None:
    entry = "tcp 10.0.0.9:1 > 198.51.100.7:80"
    Scenario(occupied=[entry, f"{entry} zone 5"])
    with pytest.raises(BadInput, match="original key"):
        Scenario(occupied=[f"{entry} zone 5", f"{entry} as 9.9.9.9:1 zone 5 orig"])


def test_reopening_a_closing_connection_is_refused() -> None:
    closing = f"{A} as 203.0.113.1:32769 state"
    for state in ("FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"):
        with pytest.raises(BadInput, match=f"not modelled.*{state}"):
            Scenario(occupied=f"{closing} {state}")
    for state in ("SYN_SENT", "SYN_RECV", "ESTABLISHED"):
        Scenario(occupied=f"{closing} {state}")
    Scenario(occupied=f"{closing} CLOSE timeout 0")
    Scenario(occupied=f"{closing} CLOSE zone 3")
    Scenario(occupied="tcp 10.0.0.9:1 > 198.51.100.7:80 as 203.0.113.1:5 state CLOSE")


# ── hashes ──────────────────────────────────────────────────────────────────────────────────────


def test_without_a_boot_no_hash_is_known() -> None:
    unknown = hashing(V6_12_117)
    assert (unknown.bucket, unknown.bysource_bucket, unknown.secure_port) == (None, None, None)
    assert unknown.zone_id(Zone(5, 1), 0) == 5


@pytest.mark.parametrize("release", RELEASES.values(), ids=str)
def test_a_boot_makes_every_hash_concrete(release: Any) -> None:
    boot = Boot(buckets=64, bysource_buckets=8, net_hash_mix=3, jiffies=5000)
    known = hashing(release, boot)
    t = answer(5000)
    keys = HashKeys.counting()
    assert known.bucket is not None
    assert known.bysource_bucket is not None
    assert known.secure_port is not None
    raw = release.hash_conntrack_raw(t, 5, 3, keys)
    assert known.bucket(t, 5) == (raw % 64 if release.name == "2.6.24" else raw * 64 >> 32)
    assert known.bysource_bucket(t, 5) == release.hash_by_src(t, 5, 3, keys, 8)
    for manip, port in ((Manip.SRC, t.dport), (Manip.DST, t.sport)):
        asked = release.secure_port(AF_INET, t.src, t.dst, port, 5000, keys)
        assert known.secure_port(t, manip) == asked


def test_a_boot_makes_chains() -> None:
    scenario = Scenario(occupied="1024-1123", boot="buckets 4 jiffies 9")
    assert scenario.bound().endswith("one boot's hash keys")
    chain = ReadChain(answer(1024), 0, counting=True)
    assert 20 < read_chain(scenario.world(), chain)[0].length < 80


def test_a_boot_pastes_back() -> None:
    keys = HashKeys(bytes(16), b"\xff" * 16, b"\x01" * 64)
    boot = Boot(keys=keys, buckets=7, bysource_buckets=9, net_hash_mix=1, jiffies=2)
    assert Boot.parse(str(boot)) == boot
    assert str(Boot()) == "buckets 65536"
    assert Boot.parse("buckets 7").bysource_buckets == 7
    for text in ("", "buckets 0", "buckets", "bucket 1", "conntrack-key 00", "net-secret zz"):
        with pytest.raises(BadInput, match=r"^boot"):
            Boot.parse(text)


# ── files and command lines ─────────────────────────────────────────────────────────────────────


def flows(v4: bool) -> st.SearchStrategy[str]:
    number = st.integers(1, 65535)
    host = st.integers(8, 250)
    if v4:
        tcp = st.builds("tcp 172.16.1.{}:{} > 198.51.100.7:{}".format, host, number, number)
        icmp = st.builds("icmp 172.16.1.{} > 198.51.100.7 id {}".format, host, number)
        gre = st.builds("gre 172.16.1.{} > 198.51.100.7 key {}/1 master".format, host, number)
        other = st.builds("99 172.16.1.{} > 198.51.100.7".format, host)
        return tcp | icmp | gre | other | st.builds("{} zone 5 orig".format, tcp)
    tcp = st.builds("tcp [2001:db8::{:x}]:{} > [2001:db8::7]:{}".format, host, number, number)
    return tcp | st.builds("udp{}".format, tcp.map(lambda text: text[3:]))


# The rows that take whatever a scenario can say.
EVERYTHING = [k.name for k in RELEASES.values() if k.zones == "directed" and k.nat_ipv6]


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    v4 = draw(st.booleans())
    addresses = ("192.0.2.1", "192.0.2.1-192.0.2.4") if v4 else ("[2001:db8::9]", "[::1-::2]")
    flags = draw(
        st.sampled_from(["", " random", " random-fully", " persistent", " random persistent"])
    )
    source = draw(
        st.sampled_from(
            ["masquerade", "masquerade to :7-9", *(f"snat to {a}:5" for a in addresses)]
        )
    )
    target = draw(st.sampled_from(["", "dnat to :8080-8082/80", f"dnat to {addresses[1]}"]))
    fields: dict[str, Any] = {
        "kernel": draw(st.sampled_from(EVERYTHING)),
        "nat": draw(st.sampled_from([(), (source + flags, *filter(None, [target]))])),
        "packets": draw(st.lists(flows(v4), min_size=1, max_size=4)),
        "occupied": draw(
            st.sampled_from([(), ["5"], ["1024-2047,9", "tcp 9.9.9.9:1 > 9.9.9.8:2"]])
        ),
        "boot": draw(st.sampled_from([None, "buckets 16", Boot(jiffies=77)])),
    }
    if has_hint(RELEASES[row_of(fields["kernel"])], IPPROTO_TCP):
        fields["rover"] = draw(st.sampled_from([{}, {"tcp": 65535, "icmp": 1}]))
    if draw(st.booleans()):
        fields["cpus"] = draw(st.integers(1, len(fields["packets"])))
    if draw(st.booleans()):
        fields["outside"] = "192.0.2.9" if v4 else "2001:db8:1::"
    if all(packet.startswith("99") for packet in fields["packets"]):
        fields["occupied"] = ()
    return Scenario(**fields)


FLAGS: Final = {
    "--kernel": "kernel",
    "--nat": "nat",
    "--packet": "packet",
    "--cpus": "cpus",
    "--occupied": "occupied",
    "--outside": "outside",
    "--rover": "rover",
    "--boot": "boot",
}


def from_command_line(line: str) -> Scenario:
    """What a shell and the command's options make of it."""
    given: dict[str, Any] = {}
    words = iter(shlex.split(line))
    for flag, value in zip(words, words, strict=True):
        name = FLAGS[flag]
        if name in ("nat", "packet", "occupied", "rover"):
            given.setdefault(name, []).append(value)
        else:
            assert name not in given
            given[name] = int(value) if name == "cpus" else value
    return Scenario.from_arguments(**given)


@given(scenarios())
def test_a_scenario_survives_each_of_its_forms(scenario: Scenario) -> None:
    assert Scenario.from_text(scenario.to_toml()) == scenario
    assert Scenario.from_text(scenario.to_json()) == scenario
    assert tomllib.loads(scenario.to_toml()) == json.loads(scenario.to_json())
    assert from_command_line(shlex.join(scenario.arguments())) == scenario
    assert scenario.bound().isprintable()


@given(scenarios(), st.data())
def test_a_cut_file_is_noticed(scenario: Scenario, data: st.DataObject) -> None:
    for text in (scenario.to_toml().rstrip(), scenario.to_json().rstrip()):
        cut = text[: data.draw(st.integers(0, len(text) - 1))]
        with pytest.raises(BadInput):
            Scenario.from_text(cut)


def test_flags_change_a_scenario() -> None:
    base = Scenario(kernel="4.19.66", occupied="5", cpus=2)
    assert Scenario.from_arguments(base=base) == base
    changed = Scenario.from_arguments(base=base, kernel="6.12.117", nat=["masquerade random"])
    assert changed == attrs.evolve(base, kernel="6.12.117", nat="masquerade random")
    # what followed from the packets still does
    packet = ["tcp [2001:db8::8]:5 > [2001:db8::7]:80"] * 3
    assert Scenario.from_arguments(base=base, packet=packet).cpus == 3
    assert Scenario.from_arguments(base=base, packet=packet).outside == "2001:db8::1"
    assert Scenario.from_arguments(base=attrs.evolve(base, cpus=1), packet=packet).cpus == 1


def test_a_replay_command_names_what_it_stands_on() -> None:
    assert shlex.join(Scenario().arguments()) == (
        f"--kernel {DEFAULT_KERNEL} --nat masquerade --packet '{A}' --packet '{B}'"
    )
    assert "--nat none" in shlex.join(Scenario(nat="none").arguments())


def test_a_file_may_be_short_and_may_have_numbers_for_ports() -> None:
    text = f'occupied = [5, "6-7"]\npackets = ["{A}", "{B}"]'
    assert Scenario.from_text(text) == Scenario(occupied="5,6-7")
    assert Scenario.from_text(json.dumps({"packets": [A, B]})) == Scenario()


def test_the_schema_knows_the_keys() -> None:
    schema = json.loads(files("natmodel").joinpath("scenario.schema.json").read_text())
    properties = schema["properties"]
    written = json.loads(
        Scenario(
            kernel="4.19.66",
            occupied="5",
            outside="9.9.9.9",
            rover={"tcp": 1},
            boot="buckets 1",
            retransmit="1,3",
        ).to_json()
    )
    assert set(properties) == set(written)
    assert properties["schema"]["const"] == scenario_file.SCHEMA == written["schema"]
    kinds: dict[str, type] = {"string": str, "array": list, "integer": int, "object": dict}
    for key, value in written.items():
        assert key == "schema" or isinstance(value, kinds[properties[key]["type"]])
    for key in ("kernel", "nat", "packets", "occupied", "boot"):
        for value in properties[key]["examples"]:
            if key == "nat":
                assert [NatRule.parse(text) for text in value]
                continue
            data: dict[str, Any] = {"packets": [A], "nat": [], key: value}
            Scenario.from_text(json.dumps(data))


# ── bad input ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"kernel": "9.9"}, "kernel '9.9': Linux 9.9 is newer than 7.3"),
        (
            {"kernel": "6.1.0-56"},
            "kernel '6.1.0-56': the name leaves open whether it is "
            "6.1.0-rc7, 6.1.119, 6.1.158, 6.1.192 or none",
        ),
        ({"kernel": "5.14.0-427.el9"}, "no row is known to be this kernel's"),
        ({"kernel": "2.6.24", "packets": "udp 1.2.3.4:1 > 5.6.7.8:9 zone 1"}, "has no zones"),
        ({"kernel": "3.4.113", "packets": "udp 1.2.3.4:1 > 5.6.7.8:9 zone 1 orig"}, "no direction"),
        ({"kernel": "3.4.113", "packets": "udp [::1]:1 > [::2]:9"}, "no NAT for IPv6"),
        (
            {"kernel": "3.4.113", "packets": ["icmp 1.2.3.4 > 5.6.7.8 id 1"] * 2},
            "never written, and what is there is not modelled",
        ),
        (
            {"nat": ["masquerade", "snat to 1.2.3.4"]},
            "nat 'snat to 1.2.3.4': there is a source rule",
        ),
        ({"nat": ["dnat to :5", "dnat to :6"]}, "nat 'dnat to :6': there is a destination rule"),
        ({"nat": ["none", "masquerade"]}, "nat 'none': a rule begins with"),
        ({"packets": []}, "packet: there is none"),
        ({"cpus": 0}, "cpus 0"),
        ({"cpus": 3}, "cpus 3: more than there are packets, which are 2"),
        ({"packets": pods(37), "cpus": 37}, "cpus 37: from 1 to 36"),
        ({"outside": "here"}, "outside 'here': 'here' is no address"),
        ({"outside": "2001:db8::1"}, "address family: it is IPv4, and 'masquerade (2001:db8::1)'"),
        ({"nat": "snat to 2001:db8::1"}, "address family: it is IPv4, and 'snat to 2001:db8::1'"),
        ({"nat": "dnat to [2001:db8::1]:80"}, "is IPv6"),
        (
            {"packets": [A, "tcp [::1]:1 > [::2]:2"]},
            "packet 'tcp [::1]:1 > [::2]:2': address family",
        ),
        ({"packets": ["99 1.2.3.4 > 5.6.7.8"], "occupied": "5"}, "no packet's protocol has ports"),
        (
            {"nat": "snat to 203.0.113.0-203.0.114.0", "occupied": "5"},
            "occupied '5': that is more than 256 addresses",
        ),
        ({"nat": "dnat to :1-65535", "occupied": "5"}, "4096 places; give full entries"),
        ({"rover": {"tcp": 65536}}, "rover tcp: 65536"),
        ({"rover": {"tpc": 1}}, "rover 'tpc'"),
        ({"rover": ["tcp=1", "tcp=2"]}, "tcp is given twice"),
        ({"boot": "buckets 0"}, "boot 'buckets 0': size 0"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadInput) as refused:
        Scenario(**fields)
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the key 'packets' is missing"),
        ("{", "not JSON"),
        ("[]", "not TOML"),
        ("packets", "not TOML"),
        ("packets = [" * 5000, "not TOML"),
        ('{"packets":' + "[" * 100_000, "not JSON"),
        ('{"packets": [], "packets": []}', "given twice"),
        ("packets = []", "packet: there is none"),
        ("packets = 5", "packets: a list of texts is needed, not 5"),
        ("packets = [5]", "packets: a text is needed, not 5"),
        ('packets = ["tcp"]', "packet 'tcp': an address and port is missing"),
        (f'packets = ["{A}"]\ncpu = 1', "unknown key 'cpu'; known are schema, kernel"),
        (f'packets = ["{A}"]\ncpus = true', "cpus: a whole number is needed, not True"),
        (f'packets = ["{A}"]\ncpus = 1.0', "cpus: a whole number"),
        (f'packets = ["{A}"]\nnat = "masquerade"', "nat: a list of texts is needed"),
        (f'packets = ["{A}"]\nkernel = 6.12', "kernel: a text is needed"),
        (f'packets = ["{A}"]\nschema = "natmodel.scenario/2"', "schema: 'natmodel.scenario/2'"),
        (f'packets = ["{A}"]\nrover = ["tcp=1"]', "rover: protocols and numbers"),
        (f'packets = ["{A}"]\nrover = {{ tcp = "1" }}', "rover.tcp: a whole number"),
        (f'packets = ["{A}"]\noccupied = 5', "occupied: a list is needed"),
        (f'packets = ["{A}"]\noccupied = [0]', "occupied '0': port 0"),
        (f'packets = ["{A}"]\ncpus = {"9" * 5000}', "not TOML"),
    ],
)
def test_a_corrupt_file_is_refused_by_key(text: str, complaint: str) -> None:
    with pytest.raises(BadInput) as refused:
        Scenario.from_text(text, "race")
    assert str(refused.value).startswith("race: ")
    assert complaint in str(refused.value)
    assert str(refused.value).isprintable()


def _directory(path: Path) -> None:
    path.mkdir()


def _binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


def _with_nul(path: Path) -> None:
    path.write_bytes(b"packets = []\0")


def _huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 30)


def _loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda path: None, "No such file"),
        (_directory, "directory"),
        (_binary, "not a text file (byte 128)"),
        (_with_nul, "not a text file (byte 12)"),
        (_huge, "too big"),
        (_loop, "symbolic links"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, make: Callable[[Path], None], complaint: str
) -> None:
    path = tmp_path / "race.toml"
    make(path)
    with pytest.raises(BadInput) as refused:
        Scenario.from_file(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert complaint in str(refused.value)


def test_an_unreadable_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tests run as root, no real file is unreadable."""

    def refuse(path: str, mode: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(scenario_file, "open", refuse, raising=False)
    with pytest.raises(BadInput, match=r"^race.toml: Permission denied$"):
        Scenario.from_file("race.toml")


def test_a_file_is_read(tmp_path: Path) -> None:
    scenario = Scenario(occupied="5")
    for name, text in (("race.toml", scenario.to_toml()), ("race.json", scenario.to_json())):
        path = tmp_path / name
        path.write_text(text)
        assert Scenario.from_file(path) == Scenario.from_file(str(path)) == scenario
    with pytest.raises(BadInput, match="no file can have this name"):
        Scenario.from_file("a\0b")


TEXTS: Final = st.text() | st.sampled_from(
    [
        A,
        B,
        "masquerade",
        "snat to ::1",
        "dnat to :5-6",
        "5",
        "1-9",
        "none",
        "6.12.117",
        f"{A} as 1.2.3.4:5",
    ]
)
VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)
KEYS: Final = st.sampled_from(
    ["schema", "kernel", "nat", "packets", "cpus", "occupied", "outside", "rover", "boot", "x"]
)


@given(st.text() | st.dictionaries(KEYS, VALUES).map(json.dumps), st.sampled_from(["a", "a.json"]))
@example('{"packets": ["\\ud800"]}', "a")
@example('{"\\ud800\\n": 1}', "a")
@example("\ufeff", "a")
def test_a_random_file_is_a_scenario_or_bad_input(text: str, name: str) -> None:
    try:
        scenario = Scenario.from_text(text, name)
    except BadInput as refused:
        complaint = str(refused)
    else:
        assert Scenario.from_text(scenario.to_toml()) == scenario
        return
    assert complaint.isprintable(), complaint


@given(st.binary())
def test_random_bytes_are_bad_input(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "noise"
    path.write_bytes(raw)
    with pytest.raises(BadInput):
        Scenario.from_file(path)


@given(
    kernel=st.none() | TEXTS,
    nat=st.lists(TEXTS, max_size=2),
    packet=st.lists(TEXTS, max_size=2),
    cpus=st.none() | st.integers(),
    occupied=st.lists(TEXTS, max_size=2),
    outside=st.none() | TEXTS,
    rover=st.lists(TEXTS, max_size=2),
    boot=st.none() | TEXTS,
)
def test_random_flags_are_a_scenario_or_bad_input(**flags: Any) -> None:
    with suppress(BadInput):
        scenario = Scenario.from_arguments(**flags)
        assert from_command_line(shlex.join(scenario.arguments())) == scenario


def test_fields_take_values_or_texts() -> None:
    assert (
        Scenario(packets=[PacketSpec.parse(A), B], nat=[NatRule.parse("masquerade")]) == Scenario()
    )
