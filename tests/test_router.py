# SPDX-License-Identifier: GPL-2.0-or-later
"""The TCP tracker and the hooks, against what was read in kernel sources and measured on live ones."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import attrs
import pytest

from natmodel.boot import hashing
from natmodel.live_outcomes import LABORATORY
from natmodel.paths.nf_conntrack_proto_tcp import (
    ACCEPT,
    INVALID,
    KILL,
    REPEAT,
    TCP_CONNTRACKS,
    TCP_TIMEOUTS,
    get_conntrack_index,
    segment_seq_plus_len,
    tcp_new,
    tcp_packet,
    tcp_timeout,
)
from natmodel.paths.nf_conntrack_proto_tcp import after as is_after
from natmodel.paths.nf_hooks import nf_nat_initialized, resolve_normal_ct
from natmodel.release import Release, Skb
from natmodel.releases import RELEASES
from natmodel.router import (
    FORWARD,
    LOCAL_OUT,
    POST_ROUTING,
    PRE_ROUTING,
    CannotPlay,
    Router,
    Rule,
    Ruleset,
    State,
    Way,
)
from natmodel.run import run
from natmodel.values import (
    AF_INET,
    IP_CT_DIR_ORIGINAL,
    IP_CT_DIR_REPLY,
    IPPROTO_GRE,
    IPPROTO_ICMP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPS_ASSURED,
    IPS_CONFIRMED,
    IPS_DST_NAT_DONE,
    IPS_DYING,
    IPS_SEEN_REPLY,
    IPS_SRC_NAT_DONE,
    NF_DROP,
    NF_NAT_RANGE_MAP_IPS,
    NF_NAT_RANGE_PROTO_SPECIFIED,
    TCP_STATES,
    Conn,
    CtTuple,
    Manip,
    NatRange,
    TcpHdr,
    nf_ct_invert_tuple,
    parse_address,
)
from natmodel.world import Background, Entry, World

POD, POD2, OUTSIDE, SERVER, SERVER2 = (
    parse_address(text)[1]
    for text in ("10.1.0.2", "10.1.1.2", "10.200.0.1", "10.201.0.1", "10.201.0.2")
)
ORIG, REPL = IP_CT_DIR_ORIGINAL, IP_CT_DIR_REPLY
LIVE = ("6.1.192", "6.12.117", "6.17.0", "6.19.9")
NEWEST = RELEASES["6.19.9"]
HASHING = hashing(NEWEST)


def segment(flags: str, seq: int = 0, ack: int = 0) -> TcpHdr:
    return TcpHdr(seq, ack, "S" in flags, "A" in flags, "F" in flags, "R" in flags)


def tcp(src: int, sport: int, dst: int = SERVER, dport: int = 80) -> CtTuple:
    return CtTuple(AF_INET, IPPROTO_TCP, src, sport, dst, dport)


# ── the transition table ────────────────────────────────────────────────────────────────────────

# Read in 4.4, 4.19, 5.4, 6.1, 6.12 and 7.1 by others than the path's author: direction and class, then
# the next state for NONE, SYN_SENT, ... SYN_SENT2.
READ = """
O syn     SS SS ign ign ign ign ign SS SS S2
O syn+ack inv inv SR inv inv inv inv inv inv SR
O fin     inv inv FW FW LA LA LA TW CL inv
O ack     ES inv ES ES CW CW TW TW CL inv
R syn     inv S2 inv inv inv inv inv SS inv S2
R syn+ack inv SR ign ign ign ign ign ign ign SR
R fin     inv inv FW FW LA LA LA TW CL inv
R ack     inv ign SR ES CW CW TW TW CL ign
O rst     inv CL CL CL CL CL CL CL CL CL
R rst     inv CL CL CL CL CL CL CL CL CL
O none    inv inv inv inv inv inv inv inv inv inv
R none    inv inv inv inv inv inv inv inv inv inv
"""
SHORT = {
    name: n for n, name in enumerate(["SS", "SR", "ES", "FW", "CW", "LA", "TW", "CL", "S2"], 1)
}
CLASSES = {"syn": "S", "syn+ack": "SA", "fin": "F", "ack": "A", "rst": "R", "none": ""}


@pytest.mark.parametrize("line", READ.strip().splitlines())
def test_the_table_is_what_was_read(line: str) -> None:
    side, class_, *cells = line.split()
    index = get_conntrack_index(segment(CLASSES[class_]))
    row = TCP_CONNTRACKS[ORIG if side == "O" else REPL][index]
    assert row == tuple(SHORT.get(cell, {"inv": 10, "ign": 11}.get(cell)) for cell in cells)


@pytest.mark.parametrize(
    ("flags", "class_"), [("SR", "rst"), ("SF", "syn"), ("FA", "fin"), ("SAF", "syn+ack")]
)
def test_the_first_flag_that_counts(flags: str, class_: str) -> None:
    assert get_conntrack_index(segment(flags)) == get_conntrack_index(segment(CLASSES[class_]))


# ── segments of one connection ──────────────────────────────────────────────────────────────────


def begun(seq: int = 1000) -> Conn:
    ct = tcp_new(Conn(1, tcp(POD, 40000), nf_ct_invert_tuple(tcp(POD, 40000))), segment("S", seq))
    assert ct is not None
    return attrs.evolve(ct, status=IPS_CONFIRMED)


def after(ct: Conn, *segments: tuple[int, TcpHdr]) -> Conn:
    """The connection after these segments, all of which are accepted."""
    for direction, th in segments:
        verdict, ct = tcp_packet(ct, th, direction)
        assert verdict == ACCEPT
        if direction == REPL:
            ct = attrs.evolve(ct, status=ct.status | IPS_SEEN_REPLY)
    return ct


SYNACK = REPL, segment("SA", 5000, 1001)
OPENED = SYNACK, (ORIG, segment("A", 1001, 5001))
CLOSED = (
    *OPENED,
    (ORIG, segment("FA", 1001, 5001)),
    (REPL, segment("FA", 5001, 1002)),
    (ORIG, segment("A", 1002, 5002)),
)


@pytest.mark.parametrize(
    ("n", "state"),
    list(enumerate(["SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "LAST_ACK", "TIME_WAIT"])),
)
def test_the_usual_life(n: int, state: str) -> None:
    assert TCP_STATES[after(begun(), *CLOSED[:n]).tcp_state] == state


def test_close_wait() -> None:
    ct = after(
        begun(), *OPENED, (ORIG, segment("FA", 1001, 5001)), (REPL, segment("A", 5001, 1002))
    )
    assert TCP_STATES[ct.tcp_state] == "CLOSE_WAIT"


def test_td_end_is_the_end_of_what_the_originator_has_sent() -> None:
    assert begun(1000).td_end == 1001
    assert after(begun(), *OPENED).td_end == 1001
    assert after(begun(), *CLOSED).td_end == 1002  # the FIN counts
    assert begun(0xFFFFFFFF).td_end == 0
    assert after(begun(), (ORIG, segment("S", 7000))).td_end == 7001  # a new SYN
    assert segment_seq_plus_len(TcpHdr(10, payload=100, syn=True, fin=True)) == 112


def test_td_end_does_not_go_back() -> None:
    data = ORIG, TcpHdr(1001, 5001, ack=True, payload=100)
    ct = after(begun(), *OPENED, data, (ORIG, segment("A", 1001, 5001)), (REPL, segment("A", 9000)))
    assert ct.td_end == 1101


def test_what_a_side_has_acknowledged() -> None:
    assert after(begun(), (ORIG, segment("S", 1000))).tcp.td_maxack == (None, None)
    ct = after(begun(), *OPENED)
    assert ct.tcp.td_maxack == (5001, 1001)
    assert after(ct, (REPL, segment("A", 5001, 900))).tcp.td_maxack == (5001, 1001)
    assert after(ct, (REPL, segment("A", 5001, 1101))).tcp.td_maxack == (5001, 1101)


def test_an_old_segment_is_no_reset() -> None:
    ct = after(begun(), *OPENED, (ORIG, segment("A", 1000, 5001)))
    assert TCP_STATES[ct.tcp_state] == "ESTABLISHED"


def test_what_the_table_calls_invalid() -> None:
    ct = after(begun(), *OPENED)
    for direction, flags in ((ORIG, "SA"), (REPL, "S"), (ORIG, ""), (REPL, "")):
        assert tcp_packet(ct, segment(flags, 1001, 5001), direction) == (INVALID, ct)


def test_how_long_an_entry_lives() -> None:
    """Read in 4.19, 5.4 and 6.1."""
    seconds = {"SS": 120, "SR": 60, "ES": 432000, "FW": 120, "CW": 60, "LA": 30}
    seconds |= {"TW": 120, "CL": 10, "S2": 120}
    assert {name: TCP_TIMEOUTS[state] for name, state in SHORT.items()} == seconds
    assert tcp_timeout(after(begun(), *OPENED), segment("A")) == 432000


def test_assured_comes_with_established() -> None:
    assert not after(begun(), SYNACK).status & IPS_ASSURED
    assert after(begun(), *OPENED).status & IPS_ASSURED
    assert not after(begun(), SYNACK, (ORIG, segment("FA", 1001, 5001))).status & IPS_ASSURED
    assert not after(picked_up(), (ORIG, segment("A", 1000, 1))).status & IPS_ASSURED


def test_a_reset_before_any_answer_kills() -> None:
    for direction, th in ((REPL, segment("RA", 0, 1001)), (ORIG, segment("R", 1001))):
        assert tcp_packet(begun(), th, direction)[0] == KILL


def test_a_reset_closes_if_it_is_where_the_other_side_waits() -> None:
    ct = after(begun(), *OPENED)
    assert TCP_STATES[after(ct, (ORIG, segment("RA", 1001, 5001))).tcp_state] == "CLOSE"
    challenged = after(ct, (ORIG, segment("R", 1500)))
    assert TCP_STATES[challenged.tcp_state] == "ESTABLISHED"
    assert tcp_timeout(challenged, segment("R")) == TCP_TIMEOUTS[8] == 10
    assert tcp_packet(ct, segment("R", 1000), ORIG)[0] == INVALID  # the server has confirmed 1001


def test_a_reset_closes_what_is_not_established() -> None:
    assert TCP_STATES[after(begun(), SYNACK, (ORIG, segment("R", 9999))).tcp_state] == "CLOSE"


def test_other_resets_that_close() -> None:
    closing = after(begun(), *CLOSED[:3], (ORIG, segment("R", 9999)))
    assert TCP_STATES[closing.tcp_state] == "CLOSE"  # ASSURED, and not ESTABLISHED any more
    in_the_middle = after(picked_up(), (REPL, segment("A", 1, 1000)), (ORIG, segment("R", 9999)))
    assert TCP_STATES[in_the_middle.tcp_state] == "CLOSE"  # ESTABLISHED, and not ASSURED


def test_a_reset_right_after_data() -> None:
    data = ORIG, TcpHdr(1001, 5001, ack=True, payload=100)
    reset = ORIG, segment("R", 1101)
    half = REPL, segment("A", 5001, 1051)
    syn = ORIG, segment("S", 1100)  # ignored, but recorded
    for between, state in ((), "CLOSE"), ((half,), "ESTABLISHED"), ((syn,), "ESTABLISHED"):
        ct = after(begun(), *OPENED, data, *between, reset)
        assert TCP_STATES[ct.tcp_state] == state
    for ct in (
        after(begun(), *OPENED, data, (ORIG, segment("R", 1100))),
        after(begun(), *OPENED, (REPL, segment("A", 5001, 1001)), (ORIG, segment("R", 5001))),
    ):
        assert TCP_STATES[ct.tcp_state] == "ESTABLISHED"


def test_a_synack_that_fits_no_syn_is_ignored() -> None:
    ct = after(begun(), *OPENED, (REPL, segment("SA", 5000, 1001)))
    assert TCP_STATES[ct.tcp_state] == "ESTABLISHED"  # the last segment was no SYN
    syn = ORIG, segment("S", 900_000)
    ct = after(begun(), *OPENED, (REPL, segment("R", 5001)), syn, (REPL, segment("SA", 7000, 5)))
    assert TCP_STATES[ct.tcp_state] == "CLOSE"
    ct = after(begun(), *OPENED, syn, (REPL, segment("A", 5001, 900_001)))
    assert TCP_STATES[ct.tcp_state] == "ESTABLISHED"
    ct = after(begun(), *OPENED, syn, syn)
    assert TCP_STATES[ct.tcp_state] == "ESTABLISHED"


def test_last_words_of_a_closed_connection() -> None:
    assert TCP_STATES[after(begun(), *CLOSED, CLOSED[-1]).tcp_state] == "TIME_WAIT"


def test_a_closed_connection_is_opened_again() -> None:
    """No sequence number is asked; both sides may do it in TIME_WAIT."""
    ct = after(begun(), *CLOSED)
    for seq in (1, 900_000):
        assert tcp_packet(ct, segment("S", seq), ORIG)[0] == REPEAT
        assert tcp_packet(ct, segment("S", seq), REPL)[0] == REPEAT


def test_one_that_the_server_has_reset_is_not() -> None:
    ct = after(begun(), *OPENED, (REPL, segment("R", 5001)))
    assert TCP_STATES[ct.tcp_state] == "CLOSE"
    for _ in range(2):
        ct = after(ct, (ORIG, segment("S", 900_000)))
        assert TCP_STATES[ct.tcp_state] == "CLOSE"
    # the server's fitting answer shows that both began anew
    ct = after(ct, (REPL, segment("SA", 7000, 900_001)))
    assert (TCP_STATES[ct.tcp_state], ct.td_end) == ("SYN_RECV", 900_001)

    # and what it was before is forgotten
    ct = after(ct, (ORIG, segment("A", 900_001, 7001)), (REPL, segment("R", 7001)))
    assert after(ct, (ORIG, segment("S", 5))).tcp_state == ct.tcp_state


def test_one_that_the_server_has_closed_first_is() -> None:
    fin, ack = (ORIG, segment("FA", 1001, 5002)), (REPL, segment("A", 5002, 1002))
    ct = after(begun(), *OPENED, (REPL, segment("FA", 5001, 1001)), fin, ack)
    assert TCP_STATES[ct.tcp_state] == "TIME_WAIT"
    assert tcp_packet(ct, segment("S", 5), ORIG)[0] == REPEAT


def test_beginning_anew_forgets_who_began_to_close() -> None:
    ct = after(begun(), *OPENED, (ORIG, segment("FA", 1001, 5001)), (ORIG, segment("S", 900_000)))
    assert TCP_STATES[ct.tcp_state] == "FIN_WAIT"
    ct = after(ct, (REPL, segment("SA", 7000, 900_001)))
    assert TCP_STATES[ct.tcp_state] == "SYN_RECV"
    ct = after(ct, (REPL, segment("R", 7001)), (ORIG, segment("S", 5)))
    assert TCP_STATES[ct.tcp_state] == "CLOSE"  # not replaced


def test_an_ack_that_answers_a_syn_is_ignored() -> None:
    ct = after(begun(), (REPL, segment("A", 1, 1001)))
    assert TCP_STATES[ct.tcp_state] == "SYN_SENT"


@pytest.mark.parametrize(("n", "past"), [(0, False), (1, True), (2**31 - 1, True), (2**31, False)])
def test_sequence_numbers_are_signed(n: int, past: bool) -> None:
    assert is_after(n, 0) is past
    assert is_after((n - 5) % 2**32, 2**32 - 5) is past


def test_one_that_the_client_has_reset_is() -> None:
    ct = after(begun(), *OPENED, (ORIG, segment("RA", 1001, 5001)))
    assert tcp_packet(ct, segment("S", 900_000), ORIG)[0] == REPEAT


def test_simultaneous_open() -> None:
    ct = after(begun(), (REPL, segment("S", 5000)))
    assert TCP_STATES[ct.tcp_state] == "SYN_SENT2"
    assert TCP_STATES[after(ct, (REPL, segment("SA", 5000, 1001))).tcp_state] == "SYN_RECV"
    ct = after(ct, (ORIG, segment("SA", 1000, 5001)))
    assert TCP_STATES[ct.tcp_state] == "SYN_RECV"
    ct = after(ct, (REPL, segment("A", 5001, 1001)))
    assert TCP_STATES[ct.tcp_state] == "ESTABLISHED"
    ct = after(ct, (ORIG, segment("FA", 1001, 5001)), (REPL, segment("A", 5001, 1002)))
    assert TCP_STATES[ct.tcp_state] == "CLOSE_WAIT"


def test_without_it_the_servers_ack_opens_nothing() -> None:
    ct = after(begun(), SYNACK, (REPL, segment("A", 5001, 1001)))
    assert TCP_STATES[ct.tcp_state] == "SYN_RECV"


def picked_up() -> Conn:
    """A connection whose beginning nobody has seen."""
    ct = tcp_new(BARE, segment("A", 1000, 1))
    assert ct is not None
    return attrs.evolve(ct, status=IPS_CONFIRMED)


BARE = Conn(1, tcp(POD, 40000), nf_ct_invert_tuple(tcp(POD, 40000)))


def test_what_cannot_begin_a_connection() -> None:
    for flags in ("SA", "F", "R", ""):
        assert tcp_new(BARE, segment(flags)) is None
    ct = picked_up()
    assert (TCP_STATES[ct.tcp_state], ct.tcp.td_maxack) == ("ESTABLISHED", (1, None))
    assert begun().tcp.td_maxack == (None, None)


# ── packets on their way ────────────────────────────────────────────────────────────────────────


def snat(first: int, last: int, protonum: int = IPPROTO_TCP) -> Rule:
    flags = NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED
    pods = POD & ~0xFFFF, POD | 0xFFFF
    return Rule(
        POST_ROUTING,
        NatRange(flags, OUTSIDE, OUTSIDE, first, last),
        saddr=pods,
        protonum=protonum,
    )


MASQUERADE = Rule(
    POST_ROUTING,
    NatRange(NF_NAT_RANGE_MAP_IPS, OUTSIDE, OUTSIDE),
    saddr=(POD & ~0xFFFF, POD | 0xFFFF),
)


def router(*rules: Rule, row: str | Release = NEWEST, queue: str | None = None) -> Router:
    k = RELEASES[row] if isinstance(row, str) else row
    return Router(k, Ruleset(True, rules, queue), LABORATORY)


class Walk:
    """A router on which everything is certain."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.state: State = router.start()
        self.sent = 0

    def _one(self, ways: Iterable[Way]) -> Way:
        (way,) = ways
        assert way.odds == 1
        self.state = way.state
        return way

    def send(self, t: CtTuple, th: TcpHdr | None = None, *, local: bool = False) -> Way:
        self.sent += 1
        skb = Skb(self.sent, t, th, local_origin=local)
        return self._one(self.router.receive(self.state, skb, hold=True))

    def release(self, which: int) -> Way:
        return self._one(self.router.release(self.state, which))


def test_a_connection_that_is_opening_is_evicted() -> None:
    """Measured on 6.18: a simultaneous open makes it SYN_SENT2, which counts as closing."""
    walk = Walk(router(snat(1000, 1000)))
    assert walk.send(tcp(POD, 40000), segment("S", 1000)).skb.t == tcp(OUTSIDE, 1000)
    back = walk.send(tcp(SERVER, 80, OUTSIDE, 1000), segment("S", 5000))
    assert (back.at, back.skb.t) == ("p0", tcp(SERVER, 80, POD, 40000))
    taken = walk.send(tcp(POD2, 40001), segment("S", 900_000))
    assert (taken.dropped, taken.skb.t) == (False, tcp(OUTSIDE, 1000))
    lost = walk.send(tcp(POD, 40000), segment("SA", 1000, 5001))
    assert (lost.at, lost.skb.t) == ("s", tcp(POD, 40000))  # untranslated
    assert lost.counted == ("invalid",)


@pytest.mark.parametrize("row", LIVE)
def test_answers_are_translated_back_at_the_other_hook(row: str) -> None:
    flags = NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED
    dnat = Rule(PRE_ROUTING, NatRange(flags, SERVER2, SERVER2, 8080, 8080), daddr=(SERVER, SERVER))
    walk = Walk(router(dnat, MASQUERADE, row=row))
    out = walk.send(tcp(POD, 40000), segment("S", 1000))
    assert out.skb.t == tcp(OUTSIDE, 40000, SERVER2, 8080)
    back = walk.send(nf_ct_invert_tuple(out.skb.t), segment("SA", 1, 1001))
    assert (back.at, back.skb.t) == ("p0", nf_ct_invert_tuple(tcp(POD, 40000)))


def test_alternates_are_taken_in_turn() -> None:
    dnat = Rule(
        PRE_ROUTING,
        NatRange(NF_NAT_RANGE_MAP_IPS),
        daddr=(SERVER, SERVER),
        alternates=(SERVER2, SERVER2 + 1),
    )
    walk = Walk(router(dnat))
    sports = 1, 2, 3, 3  # the last belongs to the third's connection
    sent = [walk.send(tcp(POD, sport), segment("S", 1000)).skb.t.dst for sport in sports]
    assert sent == [SERVER2, SERVER2 + 1, SERVER2, SERVER2]


def test_alternates_and_two_held_packets_of_a_socket() -> None:
    """A service balances two datagrams of one socket: the second gets a reply-only entry for a second."""
    dnat = Rule(
        PRE_ROUTING,
        NatRange(NF_NAT_RANGE_MAP_IPS),
        daddr=(SERVER, SERVER),
        alternates=(SERVER2, SERVER2 + 1),
    )
    walk = Walk(router(dnat, MASQUERADE, queue=FORWARD))
    query = CtTuple(AF_INET, IPPROTO_UDP, POD, 40000, SERVER, 53)
    assert all(walk.send(query).held for _ in range(2))
    first, second = walk.release(0), walk.release(1)
    assert (first.skb.t.dst, second.skb.t.dst) == (SERVER2, SERVER2 + 1)
    assert second.counted == ("clash_resolve",)
    walk.state = walk.router.wait(walk.state, Fraction(1, 2))
    assert walk.send(nf_ct_invert_tuple(second.skb.t)).at == "p0"
    walk.state = walk.router.wait(walk.state, Fraction(1, 2))
    assert walk.send(nf_ct_invert_tuple(second.skb.t)).at is None


def test_a_queue_gives_a_packet_to_an_entry_before_6_12() -> None:
    """Two SYNs of one socket: 6.1 sends both, 6.12 drops the second."""
    for row, verdict in (("6.1.192", False), ("6.12.117", True)):
        walk = Walk(router(MASQUERADE, row=row, queue=POST_ROUTING))
        for _ in range(2):
            assert walk.send(tcp(POD, 40000), segment("S", 1000)).held
        assert not walk.release(0).dropped
        assert walk.release(1).dropped is verdict
        assert len(walk.state.world.bysource) == 1


def udp(src: int, sport: int, dst: int = SERVER, dport: int = 53) -> CtTuple:
    return CtTuple(AF_INET, IPPROTO_UDP, src, sport, dst, dport)


def test_a_queue_before_6_12_leaves_confirmed_connections_alone() -> None:
    """A second packet of a connection without an answer is held, too, and belongs to it already."""
    walk = Walk(router(MASQUERADE, row="6.1.192", queue=POST_ROUTING))
    assert walk.send(udp(POD, 40000)).held
    first = walk.release(0)
    assert walk.send(udp(POD, 40000)).held
    assert walk.release(1).skb.t == first.skb.t
    assert len(walk.state.world.bysource) == 1
    assert walk.send(nf_ct_invert_tuple(first.skb.t)).at == "p0"
    assert not walk.send(udp(POD, 40000)).held  # not NEW any more


def test_a_queue_before_6_12_redoes_what_was_done() -> None:
    """Two datagrams to a balanced service: the second goes to the first's backend after all."""
    dnat = Rule(
        PRE_ROUTING,
        NatRange(NF_NAT_RANGE_MAP_IPS),
        daddr=(SERVER, SERVER),
        alternates=(SERVER2, SERVER2 + 1),
    )
    walk = Walk(router(dnat, MASQUERADE, row="6.1.192", queue=POST_ROUTING))
    held = [walk.send(udp(POD, 40000)).skb.t.dst for _ in range(2)]
    assert held == [SERVER2, SERVER2 + 1]
    assert walk.release(0).skb.t == walk.release(1).skb.t == udp(OUTSIDE, 40000, SERVER2)


@pytest.mark.parametrize("row", LIVE)
def test_a_merged_connection_leaves_nothing_behind(row: str) -> None:
    walk = Walk(router(MASQUERADE, row=row, queue=POST_ROUTING))
    for _ in range(2):
        assert walk.send(udp(POD, 40000)).held
    first, second = walk.release(0), walk.release(1)
    assert first.skb.t == second.skb.t == udp(OUTSIDE, 40000)
    assert len(walk.state.world.bysource) == len(entries(walk)) == 1


@pytest.mark.parametrize("row", LIVE)
def test_packets_that_cross_keep_their_ports(row: str) -> None:
    """A pair without NAT, begun from both sides: by the queue before 6.12, by confirm since."""
    walk = Walk(router(row=row, queue=FORWARD))
    one, other = udp(POD, 40000, SERVER, 8080), udp(SERVER, 8080, POD, 40000)
    assert walk.send(one).held
    assert walk.send(other).held
    first, second = walk.release(0), walk.release(1)
    assert (first.skb.t, second.skb.t) == (one, other)
    assert (first.at, second.at) == ("s", "p0")
    assert first.skb.ct is not None
    assert second.skb.ct is not None
    assert second.skb.ct.id == first.skb.ct.id
    assert second.counted == (() if row == "6.1.192" else ("found", "clash_resolve"))


# ── what packets leave in the table ─────────────────────────────────────────────────────────────


def entries(walk: Walk) -> list[Conn]:
    return list(walk.state.world.entries())


def test_an_invalid_segment_leaves_its_entry_alone() -> None:
    walk = Walk(router(MASQUERADE))
    walk.send(tcp(POD, 40000), segment("S", 1000))
    before = entries(walk)
    way = walk.send(tcp(POD, 40000), segment("SA", 1000, 1))
    assert (way.skb.t, way.counted) == (tcp(POD, 40000), ("invalid",))
    assert not way.skb.is_new
    assert entries(walk) == before


def test_a_reset_that_answers_a_syn_leaves_no_entry() -> None:
    walk = Walk(router(MASQUERADE))
    walk.send(tcp(POD, 40000), segment("S", 1000))
    way = walk.send(tcp(SERVER, 80, OUTSIDE, 40000), segment("RA", 0, 1001))
    assert (way.at, way.skb.t) == ("p0", tcp(SERVER, 80, POD, 40000))
    assert not entries(walk)
    assert not walk.state.world.bysource


def test_a_closed_connection_is_replaced() -> None:
    walk = Walk(router(snat(1000, 1000)))
    first = walk.send(tcp(POD, 40000), segment("S", 1000))
    for direction, th in CLOSED:
        t = tcp(POD, 40000) if direction == ORIG else nf_ct_invert_tuple(first.skb.t)
        walk.send(t, th)
    (old,) = entries(walk)
    assert TCP_STATES[old.tcp_state] == "TIME_WAIT"
    assert walk.send(tcp(POD, 40000), segment("S", 5)).skb.t == first.skb.t
    (new,) = entries(walk)
    assert (new.id, TCP_STATES[new.tcp_state], new.td_end) == (walk.sent, "SYN_SENT", 6)


def test_one_that_somebody_else_deletes_is_not() -> None:
    """The entry is dying: the SYN that would replace it is dropped, and counted twice."""
    ct = after(begun(), *CLOSED)
    world = World(Background([Entry(attrs.evolve(ct, status=ct.status | IPS_DYING))], HASHING))
    ran = run(resolve_normal_ct(NEWEST, Skb(2, ct.orig, segment("S", 5))), world)
    assert (ran.result.verdict, ran.counted) == (NF_DROP, ("invalid", "drop"))


def test_answers_are_remembered() -> None:
    walk = Walk(router(MASQUERADE))
    walk.send(udp(POD, 40000))
    walk.send(udp(POD, 40000))
    assert not entries(walk)[0].status & IPS_SEEN_REPLY
    walk.send(udp(SERVER, 53, OUTSIDE, 40000))
    assert entries(walk)[0].status & IPS_SEEN_REPLY


@pytest.mark.parametrize(
    ("protonum", "seconds"),
    [(IPPROTO_UDP, 30), (IPPROTO_GRE, 30), (IPPROTO_TCP, 120), (253, 600)],
)
def test_entries_expire_unless_packets_come(protonum: int, seconds: int) -> None:
    port, dport = (0, 0) if protonum in (IPPROTO_GRE, 253) else (40000, 53)
    t = CtTuple(AF_INET, protonum, POD, port, SERVER, dport)
    answer = CtTuple(AF_INET, protonum, SERVER, dport, OUTSIDE, port)
    th = segment("S", 1000) if protonum == IPPROTO_TCP else None
    walk = Walk(router(MASQUERADE))
    walk.state = walk.router.bind(walk.state, protonum, OUTSIDE, port)
    walk.send(t, th)
    for at in ("p0", None):
        state = walk.router.wait(walk.state, seconds - Fraction(at == "p0"))
        (way,) = walk.router.receive(state, Skb(99, answer, th and segment("SA", 1, 1001)))
        assert way.at == at
    walk.state = walk.router.wait(walk.state, Fraction(seconds - 1))
    walk.send(t, th)
    walk.state = walk.router.wait(walk.state, Fraction(seconds - 1))
    assert walk.send(answer, th and segment("SA", 1, 1001)).at == "p0"


# ── other ways ──────────────────────────────────────────────────────────────────────────────────


def test_local_packets_get_null_bindings() -> None:
    walk = Walk(router(MASQUERADE))
    own = tcp(OUTSIDE, 40000)
    out = walk.send(own, segment("S", 1000), local=True)
    assert (out.at, out.skb.t) == ("s", own)
    assert out.skb.ct is not None
    assert out.skb.ct.local_origin
    ways = list(walk.router.receive(walk.state, Skb(9, tcp(POD, 40000), segment("S", 1000))))
    assert sum(way.odds for way in ways) == 1
    assert all(way.skb.t.src == OUTSIDE and way.skb.t.sport != 40000 for way in ways)


def test_rules_stand_at_their_hooks() -> None:
    only_local = attrs.evolve(MASQUERADE, hook=LOCAL_OUT, saddr=None, dport=81)
    walk = Walk(router(only_local))
    assert walk.send(tcp(POD, 1), segment("S")).skb.t == tcp(POD, 1)
    assert walk.send(tcp(OUTSIDE, 1), segment("S"), local=True).skb.t == tcp(OUTSIDE, 1)


def test_without_hooks_nothing_is_tracked() -> None:
    walk = Walk(router(MASQUERADE))
    walk.send(tcp(POD, 40000), segment("S"))
    walk.state = walk.router.without_nat(walk.state)
    way = walk.send(tcp(POD2, 40000), segment("S"))
    assert (way.at, way.skb.t, way.skb.ct) == ("s", tcp(POD2, 40000), None)


def test_an_echo_and_its_reply() -> None:
    walk = Walk(router(MASQUERADE))
    out = walk.send(CtTuple(AF_INET, IPPROTO_ICMP, POD, 77, SERVER, 8 * 256))
    assert out.skb.t == CtTuple(AF_INET, IPPROTO_ICMP, OUTSIDE, 77, SERVER, 8 * 256)
    back = walk.send(nf_ct_invert_tuple(out.skb.t))
    assert (back.at, back.skb.t) == ("p0", CtTuple(AF_INET, IPPROTO_ICMP, SERVER, 77, POD, 0))


def test_an_echo_with_another_id() -> None:
    walk = Walk(router(snat(1000, 1000, IPPROTO_ICMP)))
    out = walk.send(CtTuple(AF_INET, IPPROTO_ICMP, POD, 77, SERVER, 8 * 256))
    assert out.skb.t == CtTuple(AF_INET, IPPROTO_ICMP, OUTSIDE, 1000, SERVER, 8 * 256)
    back = walk.send(nf_ct_invert_tuple(out.skb.t))
    assert (back.at, back.skb.t) == ("p0", CtTuple(AF_INET, IPPROTO_ICMP, SERVER, 77, POD, 0))


def test_what_the_router_would_answer_is_refused() -> None:
    walk = Walk(router(MASQUERADE))
    with pytest.raises(CannotPlay, match="answer with a reset"):
        walk.send(tcp(SERVER, 80, OUTSIDE, 22), segment("S"))
    walk.state = walk.router.bind(walk.state, IPPROTO_TCP, OUTSIDE, 22)
    assert walk.send(tcp(SERVER, 80, OUTSIDE, 22), segment("S")).at is None


def test_a_queue_with_nobody_to_release_is_refused() -> None:
    queued = router(MASQUERADE, queue=POST_ROUTING)
    with pytest.raises(CannotPlay, match="nobody is there"):
        list(queued.receive(queued.start(), Skb(1, tcp(POD, 1), segment("S"))))


def test_a_packet_is_released_once() -> None:
    walk = Walk(router(MASQUERADE, queue=POST_ROUTING))
    walk.send(tcp(POD, 1), segment("S"))
    walk.release(0)
    with pytest.raises(CannotPlay, match="twice"):
        walk.release(0)


def test_a_connection_is_initialized_for_one_manip_or_the_other() -> None:
    """kernel: nf_nat_initialized asks for the bit of the hook's own manip (SPEC i, every release)."""
    for manip, own, other in (
        (Manip.SRC, IPS_SRC_NAT_DONE, IPS_DST_NAT_DONE),
        (Manip.DST, IPS_DST_NAT_DONE, IPS_SRC_NAT_DONE),
    ):
        ct = Conn(1, CtTuple(2, 6, 10, 1000, 20, 80), CtTuple(2, 6, 20, 80, 10, 1000))
        assert nf_nat_initialized(attrs.evolve(ct, status=own), manip)
        assert not nf_nat_initialized(attrs.evolve(ct, status=other), manip)
