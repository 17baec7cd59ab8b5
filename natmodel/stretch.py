# SPDX-License-Identifier: GPL-2.0-or-later
"""Stretches of keys that stamped entries occupy, asked about once instead of key by key.

The entries of one stamp are alike but for their ids and keys.  A used-question compares keys and ids,
and looks at nothing else in them (tests/test_house.py holds the paths to that); so if it calls one key
used, it calls every key used that is on the same line, is occupied by the same stamp only, and whose
entry has neither the asking connection's id nor its ORIGINAL tuple.  A stretch knows these keys.  What
could make a difference of any other kind is left out of it, and asked in the slow, obvious way.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from natmodel.ops import Body, Call, Chain, HashDelete, HashInsert, Op, ReadChain
from natmodel.values import (
    IP_CT_DIR_ORIGINAL,
    IP_CT_DIR_REPLY,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    Conn,
    CtTuple,
    Manip,
    nf_ct_invert_tuple,
)
from natmodel.world import Background, Entry, Returned, Stamp, same_ends

_KEYS: Final = 1 << 16


def is_source_key(t: CtTuple, manip: Manip) -> bool:
    """Is it t's source key that a walk of this manip changes?  ICMP has one key only."""
    return manip is Manip.SRC or t.protonum in (IPPROTO_ICMP, IPPROTO_ICMPV6)


@attrs.frozen
class Stretch:
    """Tuples that differ from `t` in one key, and are used as `t` is: those whose key is marked."""

    t: CtTuple
    on_src: bool
    marks: bytearray

    def __contains__(self, t: CtTuple) -> bool:
        mine = self.t
        if t.src != mine.src or t.dst != mine.dst:
            return False
        if t.protonum != mine.protonum or t.l3num != mine.l3num:
            return False
        if self.on_src:
            return t.dport == mine.dport and self.marks[t.sport] == 1
        return t.sport == mine.sport and self.marks[t.dport] == 1


def stretch_around(
    background: Background, t: CtTuple, manip: Manip, asking: Conn, op: ReadChain, chain: Chain
) -> Stretch | None:
    """The stretch of `t`, which has been found used by nothing but reading `chain` for `op`.

    The table must be as it was at the start.  None where `t` is not a stamp's, or where its neighbours
    could be told from it.
    """
    reply = nf_ct_invert_tuple(t)
    if len(chain.nodes) != 1 or op.t != reply or op.counting or background.expired:
        return None
    (node,) = chain.nodes
    stamp = _stamp_of(background, node.ct.id)
    if stamp is None:
        return None
    # Under another zone id, some of the keys are in the bucket that was read and others are not.
    if background.hashing.zone_id(node.ct.zone, IP_CT_DIR_REPLY) != op.zone_id:
        return None
    on_src = is_source_key(t, manip)
    if stamp.field != _field(reply, on_src) or not _only_occupant(stamp, background, reply):
        return None
    if _may_be_ours(stamp, asking):
        return None
    marks = _marks(stamp, background, reply)
    return Stretch(t, on_src, marks) if marks[t.sport if on_src else t.dport] else None


def _stamp_of(background: Background, conn_id: int) -> Stamp | None:
    for entry in background.entries:
        if isinstance(entry, Stamp) and 0 <= conn_id - entry.template.id < len(entry):
            return entry
    return None


def _field(reply: CtTuple, on_src: bool) -> str:
    """Where in the REPLY tuple the key stands.  ICMP keeps its id where it is."""
    if on_src and reply.protonum not in (IPPROTO_ICMP, IPPROTO_ICMPV6):
        return "reply.dport"
    return "reply.sport"


def _only_occupant(stamp: Stamp, background: Background, reply: CtTuple) -> bool:
    """Can no other stamp occupy a key on this line, nor this one by its ORIGINAL tuples?"""
    for entry in background.entries:
        if isinstance(entry, Stamp):
            template = entry.template
            if IP_CT_DIR_ORIGINAL in entry.hashed and same_ends(template.orig, reply):
                return False
            if entry is not stamp and same_ends(template.reply, reply):
                return False
    return True


def _may_be_ours(stamp: Stamp, asking: Conn) -> bool:
    """Can one of the entries be the asking connection, or have its ORIGINAL tuple?"""
    own = 0 <= asking.id - stamp.template.id < len(stamp)
    return own or same_ends(stamp.template.orig, asking.orig)


def _marks(stamp: Stamp, background: Background, reply: CtTuple) -> bytearray:
    """A mark for each key that the stamp occupies, and nobody else."""
    marks = bytearray(_KEYS)
    marks[stamp.first : stamp.last + 1] = b"\1" * (stamp.last + 1 - stamp.first)
    for a, b in stamp.excluded:
        marks[a : b + 1] = bytes(b + 1 - a)
    for entry in background.entries:
        if isinstance(entry, Entry):
            for direction in entry.hashed:
                t = entry.ct.tuplehash(direction)
                if same_ends(t, reply):
                    # Of the other key we do not ask: to leave out more is not wrong.
                    marks[t.dport if stamp.field == "reply.dport" else t.sport] = 0
    return marks


class Stretches:
    """What is known of the answers to one connection's used-questions over one table.

    Whoever runs the questions tells what he hears; once the table has changed, nothing is known.
    """

    def __init__(self, background: Background, manip: Manip, asking: Conn) -> None:
        self._background: Final = background
        self._manip: Final = manip
        self._asking: Final = asking
        self._known: dict[Body, list[Stretch]] = {}
        self._changed = False
        # What the question that is being asked has read.
        self._reads: list[tuple[ReadChain, Chain]] = []

    def begin(self) -> None:
        """A question is about to be asked."""
        self._reads.clear()

    def hear(self, op: Op[Any] | Returned, reply: Any) -> None:
        """An operation has been answered."""
        if isinstance(op, ReadChain):
            self._reads.append((op, reply))
        elif isinstance(op, HashInsert | HashDelete):
            self._changed = True
            self._known.clear()

    def learn(self, call: Call[Any]) -> None:
        """The question `call` has been answered "used"."""
        if self._changed or len(self._reads) != 1 or not self._fits(call):
            return
        ((op, chain),) = self._reads
        stretch = stretch_around(
            self._background, call.args[1], self._manip, self._asking, op, chain
        )
        if stretch is not None:
            self._known.setdefault(call.body, []).append(stretch)

    def _fits(self, call: Call[Any]) -> bool:
        """Is it asked of a tuple by this connection, and of nothing else?  (k, t, ct)"""
        return len(call.args) == 3 and call.args[2] is self._asking

    def __contains__(self, call: Call[Any]) -> bool:
        """Is the question's answer known to be "used"?"""
        for stretch in self._known.get(call.body, ()):
            if call.args[1] in stretch:
                return self._fits(call)
        return False
