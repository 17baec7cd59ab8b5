# SPDX-License-Identifier: GPL-2.0-or-later
"""One router, one packet after the other: what can come out of each step, with exact odds.

It runs the row's own paths over a world, and branches where they draw.  Draws that nothing can tell apart
are one branch (natmodel/draws.py), so a port that was drawn may stand for many: `Drawn` says for which.
A packet may be held by a queue and released later; that is the only way to interleave here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Final, TypeAlias

import attrs

from natmodel import ops
from natmodel.boot import hashing
from natmodel.draws import Classes, Context, chain_limits, found_or_not, labels_of, neighbourhoods
from natmodel.ops import Call, Node, Window
from natmodel.paths.nf_conntrack_confirm import HZ
from natmodel.paths.nf_hooks import nf_confirm, nf_nat_inet_fn, resolve_normal_ct
from natmodel.release import Release, Skb
from natmodel.values import IPPROTO_TCP, NF_DROP, CtTuple, Manip, NatRange
from natmodel.world import ONE, Background, Draw, World, answers

# The hooks' names, as rules give them.
PRE_ROUTING: Final = "PRE_ROUTING"
LOCAL_IN: Final = "LOCAL_IN"
FORWARD: Final = "FORWARD"
LOCAL_OUT: Final = "LOCAL_OUT"
POST_ROUTING: Final = "POST_ROUTING"

Network: TypeAlias = tuple[int, int]


class CannotPlay(Exception):
    """The router would have to do something that is not modelled; the text says what."""


def contains(network: Network, address: int) -> bool:
    """Is the address in the network (first, last)?"""
    return network[0] <= address <= network[1]


@attrs.frozen
class Rule:
    """A NAT rule: where it stands, what it matches (None: anything), and what it asks for.

    `alternates` are destinations that are taken in turn, in place of the range's address.
    """

    hook: str
    range: NatRange
    saddr: Network | None = None
    daddr: Network | None = None
    protonum: int | None = None
    dport: int | None = None
    alternates: tuple[int, ...] = ()

    def matches(self, t: CtTuple) -> bool:
        return (
            (self.saddr is None or contains(self.saddr, t.src))
            and (self.daddr is None or contains(self.daddr, t.dst))
            and self.protonum in (None, t.protonum)
            and self.dport in (None, t.dport)
        )

    def range_at(self, turn: int) -> NatRange:
        if not self.alternates:
            return self.range
        address = self.alternates[turn % len(self.alternates)]
        return attrs.evolve(self.range, min_addr=address, max_addr=address)


@attrs.frozen
class Ruleset:
    """`nat_hooks`: are NAT's hooks registered, so that flows without a rule get null bindings?

    `queue` names where packets of connections without an answer are held: at FORWARD, or at POST_ROUTING
    after NAT and before confirm; None: nowhere.
    """

    nat_hooks: bool
    rules: tuple[Rule, ...] = ()
    queue: str | None = None


@attrs.frozen
class Topology:
    """Where packets go: the router's own addresses, and the networks behind it, the first that fits."""

    own: frozenset[int]
    networks: tuple[tuple[Network, str], ...]

    def towards(self, address: int) -> str | None:
        """The network that has this address; None for the router itself."""
        if address in self.own:
            return None
        for network, name in self.networks:
            if contains(network, address):
                return name
        raise CannotPlay("a packet to an address without a route")


@attrs.frozen(cache_hash=True)
class State:
    """The router between two steps.

    `held` are the packets that a queue has been given, in order, None where one has been given back;
    `nat_hooks` as in Ruleset; `bound` the (protocol, address, port) that local sockets have; `turns`
    how often each rule's alternates were used.
    """

    world: World
    held: tuple[Skb | None, ...] = ()
    nat_hooks: bool = True
    bound: frozenset[tuple[int, int, int]] = frozenset()
    turns: tuple[int, ...] = ()


@attrs.frozen(cache_hash=True)
class Drawn:
    """The window of a draw, and its keys (as residues) that could be told from others."""

    first: int
    size: int
    told: frozenset[int]

    def is_one_of_many(self, key: int) -> bool:
        """Is the key just a free one, in whose place any other such key could have been drawn?"""
        residue = (key - self.first) & 0xFFFF
        return residue < self.size and residue not in self.told

    def but(self, keys: Iterable[int]) -> Drawn:
        """The same, where these keys were drawn themselves and stand for others."""
        return attrs.evolve(self, told=self.told - {(key - self.first) & 0xFFFF for key in keys})


@attrs.frozen
class Way:
    """One way that a step can come out.

    `skb` is the packet as it left the router, or where it was held or dropped; `at` the network that it
    left to, None if it did not.  `counted` are the counters raised, `drawn` the draws made.
    """

    odds: Fraction
    state: State
    skb: Skb
    at: str | None = None
    held: bool = False
    counted: tuple[str, ...] = ()
    drawn: tuple[Drawn, ...] = ()

    @property
    def dropped(self) -> bool:
        return self.skb.verdict == NF_DROP


class Router:
    """A router with a kernel of this row.

    `named` are the keys that somebody will ask for, `cuts` keys that must not be taken for their lower
    neighbours; both only say which draws are to be told apart.
    """

    def __init__(
        self,
        k: Release,
        rules: Ruleset,
        topology: Topology,
        named: Iterable[int] = (),
        cuts: Iterable[int] = (),
    ) -> None:
        self.k: Final = k
        self.rules: Final = rules
        self.topology: Final = topology
        self._named: Final = frozenset(named)
        self._cuts: Final = frozenset(cuts)
        # How many packets may still come: they can walk over what is chosen now.
        self.others: int = 1

    def start(self) -> State:
        """Nothing in the table, no socket bound."""
        world = World(Background((), hashing(self.k)))
        turns = (0,) * len(self.rules.rules)
        return State(world, nat_hooks=self.rules.nat_hooks, turns=turns)

    # ── steps ───────────────────────────────────────────────────────────────────────────────────

    def receive(self, state: State, skb: Skb, hold: bool = False) -> Iterator[Way]:
        """A packet comes in from a network, or from the router itself; `hold`: a queue may take it."""
        hook = LOCAL_OUT if skb.local_origin else PRE_ROUTING
        way = Way(ONE, state, skb)
        if not self._tracks(state):
            yield self._leave(way)
            return
        for tracked in self._run(way, resolve_normal_ct(self.k, skb)):
            for way in self._nat(tracked, Manip.DST, hook):
                yield from self._route(way, hold)

    def release(self, state: State, which: int) -> Iterator[Way]:
        """The queue gives back the packet that it was given as number `which`."""
        skb = state.held[which]
        if skb is None:
            raise CannotPlay("a packet is released twice")
        held = (*state.held[:which], None, *state.held[which + 1 :])
        way = Way(ONE, attrs.evolve(state, held=held), skb)
        for back in self._run(way, self.k.nf_reinject(self.k, skb)):
            if self.rules.queue == FORWARD:
                yield from self._post_routing(back, hold=False)
            else:
                yield from self._confirm(back)

    def bind(self, state: State, protonum: int, address: int, port: int) -> State:
        return attrs.evolve(state, bound=state.bound | {(protonum, address, port)})

    def without_nat(self, state: State) -> State:
        """The last NAT chain is gone, and NAT's hooks with it."""
        return attrs.evolve(state, nat_hooks=False)

    def wait(self, state: State, seconds: Fraction) -> State:
        """Time passes, and nothing comes."""
        jiffies = int(seconds * HZ)
        linked = tuple(
            Node(attrs.evolve(n.ct, timeout=max(n.ct.timeout - jiffies, 0)), n.direction)
            for n in state.world.linked
        )
        return attrs.evolve(state, world=attrs.evolve(state.world, linked=linked))

    # ── hooks ───────────────────────────────────────────────────────────────────────────────────

    def _tracks(self, state: State) -> bool:
        """conntrack's hooks come and go with those who need them."""
        return state.nat_hooks or self.rules.queue is not None

    def _route(self, way: Way, hold: bool) -> Iterator[Way]:
        if way.dropped:
            yield way
        elif self.topology.towards(way.skb.t.dst) is None:
            yield from self._deliver(way)
        elif self._queued(way, FORWARD, hold) and not way.skb.local_origin:
            yield self._hold(way)
        else:
            yield from self._post_routing(way, hold)

    def _deliver(self, way: Way) -> Iterator[Way]:
        """LOCAL_IN.  Whether a socket has the port or not, an answer of the router's is not modelled."""
        t = way.skb.t
        if t.protonum == IPPROTO_TCP and (t.protonum, t.dst, t.dport) not in way.state.bound:
            raise CannotPlay("a TCP segment to the router itself, which would answer with a reset")
        for translated in self._nat(way, Manip.SRC, LOCAL_IN):
            for confirmed in self._run(translated, nf_confirm(self.k, translated.skb)):
                yield attrs.evolve(confirmed, at=None)

    def _post_routing(self, way: Way, hold: bool) -> Iterator[Way]:
        for translated in self._nat(way, Manip.SRC, POST_ROUTING):
            if self._queued(translated, POST_ROUTING, hold):
                yield self._hold(translated)
            else:
                yield from self._confirm(translated)

    def _confirm(self, way: Way) -> Iterator[Way]:
        for confirmed in self._run(way, nf_confirm(self.k, way.skb)):
            yield confirmed if confirmed.dropped else self._leave(confirmed)

    def _queued(self, way: Way, where: str, hold: bool) -> bool:
        if self.rules.queue != where or not way.skb.is_new or way.skb.ct is None:
            return False
        if not hold:
            raise CannotPlay("a queue takes a packet, and nobody is there to release it")
        return True

    def _hold(self, way: Way) -> Way:
        state = attrs.evolve(way.state, held=(*way.state.held, way.skb))
        return attrs.evolve(way, state=state, held=True)

    def _leave(self, way: Way) -> Way:
        return attrs.evolve(way, at=self.topology.towards(way.skb.t.dst))

    def _nat(self, way: Way, manip: Manip, hook: str) -> Iterator[Way]:
        """NAT's core hook at `hook`, with the first of its rules that matches."""
        if way.dropped or not way.state.nat_hooks:
            yield way
            return
        asked = None
        for n, rule in enumerate(self.rules.rules):
            if rule.hook == hook and rule.matches(way.skb.t):
                turns = list(way.state.turns)
                asked = rule.range_at(turns[n])
                if rule.alternates and way.skb.is_new:
                    turns[n] += 1
                    way = attrs.evolve(way, state=attrs.evolve(way.state, turns=tuple(turns)))
                break
        yield from self._run(way, nf_nat_inet_fn(self.k, way.skb, manip, asked))

    # ── running a path ──────────────────────────────────────────────────────────────────────────

    def _run(self, way: Way, call: Call[Skb]) -> Iterator[Way]:
        """Every way the path can come out, alone."""
        drawn: list[Drawn] = []
        for answer in answers(way.state.world, ops.Atomic(call), self._chooser(drawn)):
            yield attrs.evolve(
                way,
                odds=way.odds * answer.odds,
                state=attrs.evolve(way.state, world=answer.world),
                skb=answer.reply,
                counted=way.counted + answer.counted,
                drawn=(*way.drawn, *dict.fromkeys(drawn)) if answer.draws else way.drawn,
            )

    def _chooser(self, drawn: list[Drawn]) -> Callable[[World, Draw], Classes]:
        """Tells draws apart, and notes which windows were drawn from."""

        def choose(world: World, op: Draw) -> Classes:
            if isinstance(op, ops.RandomBelow):
                return chain_limits(world, op)
            if isinstance(op, ops.RhltableLookup):
                return found_or_not(op)
            w = op.window
            context = Context(self._named, frozenset(), frozenset(), self.others)
            labels = labels_of(world, w, context)
            drawn.append(Drawn(w.first, w.size, frozenset(labels)))
            cuts = self._cuts_of(w)
            return neighbourhoods(w.size, w.attempts, self.others, frozenset(labels.items()), cuts)

        return choose

    def _cuts_of(self, w: Window) -> tuple[int, ...]:
        return tuple(sorted(c - w.first for c in self._cuts if 0 < c - w.first < w.size))
