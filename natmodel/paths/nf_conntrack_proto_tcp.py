# SPDX-License-Identifier: GPL-2.0-or-later
"""The TCP tracker: what a segment makes of its connection.

Everything here happens under ct->lock, so it is one step; the functions are plain, and the path that
calls them (natmodel/paths/nf_hooks.py) writes the result into the entry.

Left out: the window test.  A segment is taken to be inside its window.  docs/model.md lists the rest.
"""

from __future__ import annotations

import attrs

from natmodel.values import (
    IP_CT_DIR_ORIGINAL,
    IP_CT_DIR_REPLY,
    IPS_ASSURED,
    IPS_SEEN_REPLY,
    TCP_CONNTRACK_CLOSE,
    TCP_CONNTRACK_CLOSE_WAIT,
    TCP_CONNTRACK_ESTABLISHED,
    TCP_CONNTRACK_FIN_WAIT,
    TCP_CONNTRACK_LAST_ACK,
    TCP_CONNTRACK_NONE,
    TCP_CONNTRACK_SYN_RECV,
    TCP_CONNTRACK_SYN_SENT,
    TCP_CONNTRACK_SYN_SENT2,
    TCP_CONNTRACK_TIME_WAIT,
    Conn,
    TcpHdr,
    u32,
)

# enum tcp_bit_set
TCP_SYN_SET = 0
TCP_SYNACK_SET = 1
TCP_FIN_SET = 2
TCP_ACK_SET = 3
TCP_RST_SET = 4
TCP_NONE_SET = 5

# What the table says beside a state: not a state change, and not a valid segment.
TCP_CONNTRACK_IGNORE = 11
TCP_CONNTRACK_MAX = 10

_CELLS = {
    "-": TCP_CONNTRACK_MAX,
    "ign": TCP_CONNTRACK_IGNORE,
    "SS": TCP_CONNTRACK_SYN_SENT,
    "SR": TCP_CONNTRACK_SYN_RECV,
    "ES": TCP_CONNTRACK_ESTABLISHED,
    "FW": TCP_CONNTRACK_FIN_WAIT,
    "CW": TCP_CONNTRACK_CLOSE_WAIT,
    "LA": TCP_CONNTRACK_LAST_ACK,
    "TW": TCP_CONNTRACK_TIME_WAIT,
    "CL": TCP_CONNTRACK_CLOSE,
    "S2": TCP_CONNTRACK_SYN_SENT2,
}


def _row(text: str) -> tuple[int, ...]:
    return tuple(_CELLS[cell] for cell in text.split())


# [direction][class of the segment][present state] -> next state; `-` is invalid, `ign` ignored.
# kernel: tcp_conntracks (3.18 .. 7.3.4; before that a few cells differ, see docs/model.md)
TCP_CONNTRACKS = (
    (
        # present:     NONE SS  SR  ES  FW  CW  LA  TW  CL  S2
        _row("           SS  SS  ign ign ign ign ign SS  SS  S2 "),  # syn
        _row("           -   -   SR  -   -   -   -   -   -   SR "),  # syn+ack
        _row("           -   -   FW  FW  LA  LA  LA  TW  CL  -  "),  # fin
        _row("           ES  -   ES  ES  CW  CW  TW  TW  CL  -  "),  # ack
        _row("           -   CL  CL  CL  CL  CL  CL  CL  CL  CL "),  # rst
        _row("           -   -   -   -   -   -   -   -   -   -  "),  # none
    ),
    (
        _row("           -   S2  -   -   -   -   -   SS  -   S2 "),
        _row("           -   SR  ign ign ign ign ign ign ign SR "),
        _row("           -   -   FW  FW  LA  LA  LA  TW  CL  -  "),
        _row("           -   ign SR  ES  CW  CW  TW  TW  CL  ign"),
        _row("           -   CL  CL  CL  CL  CL  CL  CL  CL  CL "),
        _row("           -   -   -   -   -   -   -   -   -   -  "),
    ),
)

# Seconds that an entry lives after a segment, by state.  kernel: tcp_timeouts (4.19.66 .. 7.3.4)
TCP_TIMEOUTS = (0, 120, 60, 432000, 120, 60, 30, 120, 10, 120)


# What the tracker wants done with the packet.
ACCEPT = "accepted"
INVALID = "goes on without a connection, and so without NAT"
KILL = "accepted, and its entry goes"
REPEAT = "its entry goes, and it is looked up again"


def get_conntrack_index(th: TcpHdr) -> int:
    """The class of a segment.  kernel: get_conntrack_index (2.6.24 .. 7.3.4)"""
    if th.rst:
        return TCP_RST_SET
    if th.syn:
        return TCP_SYNACK_SET if th.ack else TCP_SYN_SET
    if th.fin:
        return TCP_FIN_SET
    return TCP_ACK_SET if th.ack else TCP_NONE_SET


def segment_seq_plus_len(th: TcpHdr) -> int:
    """The end of a segment's sequence space (u32).  kernel: segment_seq_plus_len"""
    return u32(th.seq + th.payload + th.syn + th.fin)


def after(a: int, b: int) -> bool:
    """Is sequence number `a` past `b`?  (s32)(a - b) > 0.  kernel: after"""
    return 0 < u32(a - b) < 0x80000000


def tcp_new(ct: Conn, th: TcpHdr) -> Conn | None:
    """The first segment of a connection; None if it cannot be one.

    A bare ACK picks up a connection in its middle (net.netfilter.nf_conntrack_tcp_loose is 1).
    kernel: tcp_new, tcp_packet (4.19.66 .. 7.3.4)
    """
    index = get_conntrack_index(th)
    state = TCP_CONNTRACKS[IP_CT_DIR_ORIGINAL][index][TCP_CONNTRACK_NONE]
    if state >= TCP_CONNTRACK_MAX:
        return None
    end = segment_seq_plus_len(th)
    ack = th.ack_seq if th.ack else None
    tcp = attrs.evolve(
        ct.tcp, td_maxack=(ack, None), last_index=index, last_dir=IP_CT_DIR_ORIGINAL, last_end=end
    )
    return attrs.evolve(ct, tcp_state=state, td_end=end, tcp=tcp)


def tcp_packet(ct: Conn, th: TcpHdr, direction: int) -> tuple[str, Conn]:
    """A segment of a known connection: what becomes of it, and the connection after it.

    kernel: tcp_packet, nf_conntrack_tcp_packet (4.19.66 .. 7.3.4)
    """
    index, old = get_conntrack_index(th), ct.tcp_state
    new = TCP_CONNTRACKS[direction][index][old]
    if new == TCP_CONNTRACK_SYN_SENT and old >= TCP_CONNTRACK_TIME_WAIT:
        if may_reopen(ct, direction):
            return REPEAT, ct
        new = TCP_CONNTRACK_IGNORE
    if new == TCP_CONNTRACK_IGNORE:
        return ACCEPT, ignored(ct, th, direction)
    if new == TCP_CONNTRACK_MAX:
        return INVALID, ct
    if index == TCP_RST_SET:
        maxack = ct.tcp.td_maxack[1 - direction]
        if maxack is not None and after(maxack, th.seq):
            return INVALID, ct  # a reset from before what the other side has confirmed
        if not closes(ct, th, direction):
            new = old
    if new == TCP_CONNTRACK_SYN_RECV and direction == IP_CT_DIR_REPLY and index == TCP_ACK_SET:
        if ct.tcp.simultaneous_open:
            new = TCP_CONNTRACK_ESTABLISHED
    return accepted(ct, th, direction, new)


def may_reopen(ct: Conn, direction: int) -> bool:
    """Was it closed by a FIN, or by a reset of this side?  Sequence numbers are not asked.

    kernel: nf_conntrack_tcp_packet, case TCP_CONNTRACK_SYN_SENT (4.19.66 .. 7.3.4)
    """
    reset = ct.tcp.last_index == TCP_RST_SET and ct.tcp.last_dir == direction
    return any(ct.tcp.close_init) or reset


def ignored(ct: Conn, th: TcpHdr, direction: int) -> Conn:
    """State and timeout stay; a SYN/ACK that fits an ignored SYN shows that both ends began anew.

    kernel: nf_conntrack_tcp_packet, case TCP_CONNTRACK_IGNORE (4.19.66 .. 7.3.4)
    """
    tcp = ct.tcp
    if get_conntrack_index(th) == TCP_SYNACK_SET and tcp.last_index == TCP_SYN_SET:
        # what is ignored of both is the server's SYN/ACK and, before it, the client's SYN
        if th.ack_seq == tcp.last_end:
            tcp = attrs.evolve(tcp, close_init=(False, False))
            ct = attrs.evolve(ct, tcp_state=TCP_CONNTRACK_SYN_RECV, td_end=tcp.last_end, tcp=tcp)
    return recorded(ct, th, direction)


def recorded(ct: Conn, th: TcpHdr, direction: int) -> Conn:
    """kernel: ct->proto.tcp.last_*"""
    index, end = get_conntrack_index(th), segment_seq_plus_len(th)
    tcp = attrs.evolve(ct.tcp, last_index=index, last_dir=direction, last_end=end)
    return attrs.evolve(ct, tcp=tcp)


def closes(ct: Conn, th: TcpHdr, direction: int) -> bool:
    """Does this reset close the connection, or is it one that the other end will challenge?

    kernel: nf_conntrack_tcp_packet, case TCP_CONNTRACK_CLOSE (4.19.66 .. 7.3.4)
    """
    if ct.tcp_state != TCP_CONNTRACK_ESTABLISHED or not ct.status & IPS_ASSURED:
        return True
    if th.seq == ct.tcp.td_maxack[1 - direction]:
        return True
    last_is_ack = ct.tcp.last_index == TCP_ACK_SET and ct.tcp.last_dir == direction
    return last_is_ack and th.seq == ct.tcp.last_end


def accepted(ct: Conn, th: TcpHdr, direction: int, state: int) -> tuple[str, Conn]:
    """The segment counts.  A reset before any answer leaves no entry behind.

    kernel: nf_conntrack_tcp_packet, its end (4.19.66 .. 7.3.4)
    """
    ct = recorded(with_ends(ct, th, direction), th, direction)
    if not ct.status & IPS_SEEN_REPLY and th.rst:
        return KILL, ct
    close_init = list(ct.tcp.close_init)
    if state == TCP_CONNTRACK_FIN_WAIT:
        close_init[direction] = True
    both = ct.tcp.simultaneous_open or state == TCP_CONNTRACK_SYN_SENT2
    tcp = attrs.evolve(ct.tcp, close_init=(close_init[0], close_init[1]), simultaneous_open=both)
    status = ct.status
    if status & IPS_SEEN_REPLY and state == TCP_CONNTRACK_ESTABLISHED:
        status |= IPS_ASSURED
    return ACCEPT, attrs.evolve(ct, tcp_state=state, tcp=tcp, status=status)


def with_ends(ct: Conn, th: TcpHdr, direction: int) -> Conn:
    """How far the originator has come, and what this side has acknowledged.

    kernel: tcp_in_window (4.19.66 .. 7.3.4)
    """
    end = segment_seq_plus_len(th)
    if direction == IP_CT_DIR_ORIGINAL and after(end, ct.td_end):
        ct = attrs.evolve(ct, td_end=end)
    if not th.ack:
        return ct
    acks = list(ct.tcp.td_maxack)
    seen = acks[direction]
    if seen is None or after(th.ack_seq, seen):
        acks[direction] = th.ack_seq
    return attrs.evolve(ct, tcp=attrs.evolve(ct.tcp, td_maxack=(acks[0], acks[1])))


def tcp_timeout(ct: Conn, th: TcpHdr) -> int:
    """Seconds until the entry expires.  A reset always takes CLOSE's, whatever the state.

    kernel: nf_conntrack_tcp_packet, its end (4.19.66 .. 7.3.4)
    """
    return TCP_TIMEOUTS[TCP_CONNTRACK_CLOSE if th.rst else ct.tcp_state]
