# SPDX-License-Identifier: GPL-2.0-or-later
"""A walk that knows stretches does what the same walk does that asks about every key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from natmodel import world
from natmodel.boot import Boot, hashing
from natmodel.conform import Listener, in_runs, select
from natmodel.ops import Call, Chain, Count, HashDelete, Node, Op, ReadChain, path
from natmodel.releases import RELEASES
from natmodel.run import follow
from natmodel.stretch import Stretches, stretch_around
from natmodel.values import (
    IPPROTO_GRE,
    IPPROTO_ICMP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPS_CONFIRMED,
    IPS_DYING,
    NF_NAT_RANGE_MAP_IPS,
    NF_NAT_RANGE_PROTO_RANDOM,
    NF_NAT_RANGE_PROTO_SPECIFIED,
    Conn,
    CtTuple,
    Manip,
    NatRange,
    Zone,
    nf_ct_invert_tuple,
    u16,
)
from natmodel.vectors import Select, Selection, Table
from natmodel.world import BOTH, Background, Entry, Returned, Stamp, World, read_chain
from tests.kernels import TELLING, each_kernel

T = TypeVar("T")

POD, OTHER_POD, SERVER, OUTSIDE = 0x0A000001, 0x0A000002, 0xC6336407, 0xC0000201
NOTHING = Selection(
    probes=(),
    random=tuple(("", value) for value in (40_000, 9, 65_530, 3, 700, 1)),
    secure_port=(),
    rover_trace=(),
    rover_after=None,
    bysource_lookup=None,
    result=None,
    result_dir=None,
    fault=None,
    killed=(),
    warn=(),
)


@contextmanager
def key_by_key() -> Iterator[None]:
    """Nothing is known beforehand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Listener, "known", lambda listener, call: None)
        yield


def played(release: str, v: Select) -> Selection:
    did = select(RELEASES[release], v)
    return attrs.evolve(did, probes=in_runs(did.probes, v.manip))


# ── calls that are known ────────────────────────────────────────────────────────────────────────


@path
async def entered(n: int) -> bool:
    await Count(f"entered {n}")
    return True


@path
async def asking(goto: int) -> bool | Call[bool]:
    await Count(str(await entered(1)))
    await Count(str(await entered(2)))
    return entered(goto)


def test_a_known_call_or_goto_is_not_entered_and_its_answer_may_be_false() -> None:
    w = World(Background((), hashing(RELEASES["4.19.66"])))
    heard: list[object] = []

    def listen(op: Op[Any] | Returned, reply: Any) -> None:
        heard.append(op.call.args[0] if isinstance(op, Returned) else str(op))

    def known(call: Call[Any]) -> bool | None:
        return False if call.args == (2,) else None

    announce = frozenset({"entered"})
    ran = follow(asking(2), w, lambda draw: 0, listen, announce, known)
    assert (ran.result, ran.counted) == (False, ("entered 1", "True", "False"))
    assert heard == [
        "entered(1)",
        "Count(name='entered 1')",
        1,
        "Count(name='True')",
        "Count(name='False')",
    ]
    ran = follow(asking(3), w, lambda draw: 0, listen, announce, known)
    assert (ran.result, ran.counted) == (True, ("entered 1", "True", "False", "entered 3"))


# ── a full range ────────────────────────────────────────────────────────────────────────────────


def full_range(protonum: int, excluded: tuple[tuple[int, int], ...] = ()) -> Select:
    """Every port of OUTSIDE is taken but the excluded ones."""
    icmp = protonum == IPPROTO_ICMP
    dport = 2048 if icmp else 80
    orig = CtTuple(2, protonum, POD, 5_000, SERVER, dport)
    other = CtTuple(2, protonum, OTHER_POD, 1, SERVER, dport)
    reply = nf_ct_invert_tuple(other.with_src(OUTSIDE))
    field = "reply.sport" if icmp else "reply.dport"
    template = Conn(100, other, reply, IPS_CONFIRMED)
    flags = NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED
    return Select(
        table=Table(
            entries=(Stamp(template, field, 1024, 65535, excluded, sport_step=True),),
            buckets=(None,),
            jiffies=0,
            htable_size=1024,
            nat_htable_size=1024,
        ),
        orig=orig,
        range=NatRange(flags, OUTSIDE, OUTSIDE, 1024, 65535),
        ct=Conn(1, orig, nf_ct_invert_tuple(orig)),
        manip=Manip.SRC,
        rover=0,
        port=None,
        did=NOTHING,
    )


@pytest.mark.parametrize("protonum", [IPPROTO_TCP, IPPROTO_ICMP])
@pytest.mark.parametrize("release", ["2.6.24", "2.6.35.6", "3.10.4", "4.19.66"])
def test_a_full_range_is_walked_with_a_few_looks(
    release: str, protonum: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0

    def counting(w: World, op: ReadChain) -> object:
        nonlocal looked
        looked += 1
        return read_chain(w, op)

    monkeypatch.setitem(world.REPLIES, ReadChain, counting)
    did = played(release, full_range(protonum, ((9_000, 9_000), (60_000, 60_010))))
    assert did.result is not None
    assert did.result.sport == 9_000
    assert looked < 6
    with key_by_key():
        looked = 0
        assert played(release, full_range(protonum, ((9_000, 9_000), (60_000, 60_010)))) == did
        assert looked > 7_900


# ── any table ───────────────────────────────────────────────────────────────────────────────────

PROTOS = st.sampled_from([IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_GRE])
# Windows of a few keys: in the middle, and up to the last key.
FIRSTS = st.sampled_from([2_000, 65_500])
KEYS = 36


def mostly(usual: T, *others: T, times: int = 9) -> st.SearchStrategy[T]:
    """The usual nine times as often: of many such choices, most are the usual ones."""
    return st.sampled_from([usual] * times * len(others) + [*others])


def wanted(orig: CtTuple, manip: Manip, key: int) -> CtTuple:
    """What a walk for `orig` asks about when it has come to `key`."""
    if manip is Manip.SRC:
        return orig.with_src(OUTSIDE).with_sport(key)
    return (
        orig.with_dst(OUTSIDE).with_sport(key)
        if orig.protonum == IPPROTO_ICMP
        else (orig.with_dst(OUTSIDE).with_dport(key))
    )


@st.composite
def conns(draw: st.DrawFn, orig: CtTuple, manip: Manip, conn_id: int) -> Conn:
    """An entry, mostly in the way of a walk for `orig`."""
    keys = st.integers(-1, KEYS).map(lambda n: u16(orig.sport // 500 * 500 + n))
    theirs = orig.with_src(draw(mostly(OTHER_POD, POD, OUTSIDE))).with_sport(draw(keys))
    in_the_way = wanted(orig, manip, draw(keys))
    reply = nf_ct_invert_tuple(draw(mostly(in_the_way, theirs, in_the_way.with_dst(SERVER + 1))))
    theirs = draw(mostly(theirs, orig, nf_ct_invert_tuple(in_the_way), times=3))
    return Conn(
        conn_id,
        theirs,
        reply,
        draw(mostly(IPS_CONFIRMED, 0, IPS_CONFIRMED | IPS_DYING)),
        draw(mostly(Zone(), Zone(7), Zone(7, 1), Zone(7, 2))),
        net=draw(mostly(0, 1)),
        timeout=draw(mostly(30_000, 0, times=9 if conn_id == 1_000 else 2)),
        refcount=draw(mostly(1, 0)),
    )


@st.composite
def stamps(draw: st.DrawFn, orig: CtTuple, manip: Manip, conn_id: int) -> Stamp:
    template = draw(conns(orig, manip, conn_id))
    low = orig.sport // 500 * 500
    first = low + draw(mostly(0, 1, 7))
    last = low + draw(mostly(KEYS - 1, 20, 7))
    cuts = draw(st.lists(st.integers(first, last), max_size=4, unique=True).map(sorted))
    # ICMP has no key in the other place.
    icmp = orig.protonum == IPPROTO_ICMP
    fields = (
        ("reply.dport", "reply.sport") if manip is Manip.SRC else ("reply.sport", "reply.dport")
    )
    return Stamp(
        template=template,
        field="reply.sport" if icmp else draw(mostly(*fields)),
        first=first,
        last=last,
        excluded=tuple(zip(cuts[::2], cuts[1::2], strict=False)),
        sport_step=draw(st.booleans()),
        dport_step=draw(mostly(False, not icmp)),
        in_bysource=draw(mostly(False, True)),
        hashed=draw(mostly(BOTH, (1,), (0,), ())),
    )


@st.composite
def selects(draw: st.DrawFn) -> Select:
    """A walk over a few keys, most of which a stamp occupies; now and then anything else as well."""
    protonum, first = draw(PROTOS), draw(FIRSTS)
    manip = draw(mostly(Manip.SRC, Manip.DST))
    # The other key is one of the window's, too, now and then.
    dport = 2048 if protonum == IPPROTO_ICMP else draw(mostly(80, first + 9))
    orig = CtTuple(2, protonum, POD, first + draw(st.integers(0, KEYS - 1)), SERVER, dport)
    entries: list[Entry | Stamp] = []
    for conn_id in range(1_000, 1_000 * draw(st.integers(2, 4)), 1_000):
        if conn_id == 1_000 or draw(st.booleans()):
            entries.append(draw(stamps(orig, manip, conn_id)))
        else:
            entries.append(Entry(draw(conns(orig, manip, conn_id))))
    flags = NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED
    flags |= draw(st.sampled_from([0, NF_NAT_RANGE_PROTO_RANDOM]))
    ct = Conn(
        # A connection has an id of its own; here that is not relied on.
        draw(mostly(1, 1_003)),
        orig,
        nf_ct_invert_tuple(orig),
        zone=draw(mostly(Zone(), Zone(7), Zone(7, 1), Zone(7, 2))),
        tcp_state=1,
        has_master=True,
    )
    return Select(
        table=Table(
            entries=tuple(entries),
            buckets=(None,) * len(entries),
            jiffies=0,
            # So few that keys often share a bucket.
            htable_size=draw(st.sampled_from([2, 1024])),
            nat_htable_size=1024,
        ),
        orig=orig,
        range=NatRange(flags, OUTSIDE, OUTSIDE, first, first + draw(mostly(KEYS - 1, 0, 5, 20))),
        ct=ct,
        manip=manip,
        rover=draw(st.sampled_from([0, first, 65_530])),
        port=None,
        did=NOTHING,
    )


@given(
    selects(),
    st.sampled_from(["2.6.24", "2.6.35.6", "6.12.117"]),
    st.sampled_from([0, 0, 7]),
    st.sampled_from([None, 0]),
)
def test_a_key_in_a_stretch_is_its_stamps_alone(
    v: Select, release: str, zone_id: int, net: int | None
) -> None:
    """Whichever key it is made from: one node is met, of one stamp, and it is not the asking one's."""
    booted = hashing(RELEASES[release], Boot(buckets=v.table.htable_size))
    w = World(Background(v.table.entries, booted))

    def read(t: CtTuple) -> tuple[ReadChain, Chain]:
        op = ReadChain(nf_ct_invert_tuple(t), zone_id, net=net)
        return op, read_chain(w, op)[0]

    tuples = [wanted(v.orig, v.manip, v.range.min_proto + n) for n in range(-2, KEYS)]
    chains = {t: read(t) for t in tuples}
    for made_from, (op, chain) in chains.items():
        stretch = stretch_around(w.background, made_from, v.manip, v.ct, op, chain)
        if stretch is None:
            continue
        event("a stretch")
        assert made_from in stretch
        template = chain.nodes[0].ct
        for t in tuples:
            if t in stretch:
                (node,) = chains[t][1].nodes
                assert node == Node(
                    attrs.evolve(template, id=node.ct.id, orig=node.ct.orig, reply=node.t), 1
                )
                assert node.ct.id != v.ct.id
                assert node.ct.orig != v.ct.orig


def test_nothing_is_known_once_the_table_has_changed() -> None:
    k, v = RELEASES["4.19.66"], full_range(IPPROTO_TCP)
    w = World(Background(v.table.entries, hashing(k)))
    stretches = Stretches(w.background, v.manip, v.ct)

    def ask(key: int) -> Call[bool]:
        call = k.used_tuple(k, wanted(v.orig, v.manip, key), v.ct)
        stretches.begin()
        assert follow(call, w, lambda draw: 0, stretches.hear).result
        stretches.learn(call)
        return call

    assert ask(2_000) in stretches
    assert k.used_tuple(k, wanted(v.orig, v.manip, 60_000), v.ct) in stretches
    assert k.used_tuple(k, wanted(v.orig, v.manip, 60_000), attrs.evolve(v.ct)) not in stretches
    assert k.used_tuple_harder(k, wanted(v.orig, v.manip, 60_000), v.ct, 5) not in stretches
    stretches.hear(HashDelete(v.ct), True)
    assert ask(2_000) not in stretches


@each_kernel(*TELLING)
@given(selects())
def test_what_is_known_is_what_would_be_answered(kernel: str, v: Select) -> None:
    did = played(kernel, v)
    with key_by_key():
        assert played(kernel, v) == did
    longest = max((probe.n for probe in did.probes if probe.used), default=0)
    event(f"longest run of used keys: {longest // 10}0")
