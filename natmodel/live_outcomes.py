# SPDX-License-Identifier: GPL-2.0-or-later
"""What the model says a live scenario can come out as: classes, ports, counters, patterns, with odds.

The laboratory's words for what it saw are rebuilt here from what the router (natmodel/router.py) did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import attrs

from natmodel.live import (
    DeleteNat,
    Hold,
    LiveScenario,
    NfqOpen,
    Release,
    Reply,
    Send,
    Sleep,
    Step,
    UdpBind,
)
from natmodel.release import Release as Row
from natmodel.release import Skb
from natmodel.router import POST_ROUTING, CannotPlay, Drawn, Network, Router, State, Topology, Way
from natmodel.values import (
    AF_INET,
    IPPROTO_ICMP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    CtTuple,
    address_text,
    parse_address,
)
from natmodel.world import ONE

# The counters that the laboratory looked at.
COUNTERS: Final = (
    "insert_failed",
    "drop",
    "clash_resolve",
    "chaintoolong",
    "search_restart",
    "invalid",
    "early_drop",
)
# Where its classes of ports begin.
_CLASSES: Final = ((0, 0), (1, 511), (512, 599), (600, 1023), (1024, 65535))


def _network(text: str, bits: int) -> Network:
    first = parse_address(text)[1]
    return first, first + (1 << (32 - bits)) - 1


# The laboratory: pods 10.1.<pod>.0/24, the server's side, and a router with eight outside addresses.
PODS: Final = 2
LABORATORY: Final = Topology(
    own=frozenset(
        [parse_address(f"10.200.0.{n}")[1] for n in range(1, 9)]
        + [parse_address(f"10.1.{pod}.1")[1] for pod in range(PODS)]
    ),
    networks=(
        *((_network(f"10.1.{pod}.0", 24), f"p{pod}") for pod in range(PODS)),
        (_network("10.200.0.0", 24), "s"),
        (_network("10.201.0.0", 16), "s"),
    ),
)


@attrs.frozen(cache_hash=True)
class Frame:
    """A packet that somebody has seen, and where."""

    t: CtTuple
    at: str


@attrs.frozen(cache_hash=True)
class Branch:
    """One of the ways that the scenario can have gone so far, as far as anybody can tell later.

    `frames` has an item for each step: the packet that a reply would answer.  `drawn` says of keys that
    were drawn for which others they stand.
    """

    state: State
    frames: tuple[Frame | None, ...] = ()
    pattern: str = ""
    endpoints: tuple[tuple[int, int], ...] = ()
    drawn: tuple[tuple[int, Drawn], ...] = ()
    addresses: frozenset[int] = frozenset()


@attrs.define
class StepOutcomes:
    """What can be seen of one step.

    `classes` have odds, `counters` the least and the most that they rise by in each class; ports are
    told singly, and as windows for which one key stands.
    """

    classes: dict[str, Fraction] = attrs.field(factory=lambda: defaultdict(Fraction))
    counters: dict[str, dict[str, tuple[int, int]]] = attrs.field(factory=dict)
    ports: set[int] = attrs.field(factory=set)
    dports: set[int] = attrs.field(factory=set)
    windows: set[Drawn] = attrs.field(factory=set)

    def add(self, odds: Fraction, class_: str, counted: tuple[str, ...]) -> None:
        self.classes[class_] += odds
        ranges = self.counters.setdefault(class_, {})
        for name in COUNTERS:
            n = counted.count(name)
            low, high = ranges.get(name, (n, n))
            ranges[name] = min(low, n), max(high, n)

    def add_frame(self, t: CtTuple, drawn: dict[int, Drawn]) -> None:
        for key, keys in ((t.sport, self.ports), (t.dport, self.dports)):
            keys.add(key)
            if key in drawn:
                self.windows.add(drawn[key])

    def allows(self, key: int, keys: set[int]) -> bool:
        return key in keys or any(window.is_one_of_many(key) for window in self.windows)


@attrs.frozen
class Outcomes:
    """What can be seen of a whole run; `patterns` and `addresses` as in natmodel.live.Seen."""

    steps: tuple[StepOutcomes, ...]
    patterns: dict[str, Fraction]
    addresses: frozenset[int]


@attrs.frozen
class Came:
    """One way that a step came out, in the laboratory's words.

    `answered` is the packet that a reply would answer, `got` the one that appeared somewhere; `lettered`
    says whether the step has a letter in the pattern.
    """

    odds: Fraction
    state: State
    class_: str
    answered: Frame | None = None
    got: Frame | None = None
    lettered: bool = False
    counted: tuple[str, ...] = ()
    drawn: tuple[Drawn, ...] = ()


class Play:
    """A scenario on a row."""

    def __init__(self, k: Row, scenario: LiveScenario) -> None:
        self.scenario: Final = scenario
        self.router: Final = Router(
            k, scenario.rules, LABORATORY, named=_named(scenario), cuts=_cuts(scenario)
        )

    def outcomes(self) -> Outcomes:
        """Raises CannotPlay."""
        branches = {Branch(self.router.start()): ONE}
        steps = []
        for n, step in enumerate(self.scenario.steps):
            seen = StepOutcomes()
            self.router.others = sum(map(self._may_choose, self.scenario.steps[n + 1 :]))
            after: dict[Branch, Fraction] = defaultdict(Fraction)
            for branch, odds in branches.items():
                for one in self._step(n, step, branch):
                    after[_then(branch, one, seen, odds)] += odds * one.odds
            steps.append(seen)
            branches = after
        patterns: dict[str, Fraction] = defaultdict(Fraction)
        for branch, odds in branches.items():
            patterns[branch.pattern] += odds
        addresses = frozenset(len(branch.addresses) for branch in branches)
        return Outcomes(tuple(steps), dict(patterns), addresses)

    def _may_choose(self, step: Step) -> bool:
        """Can the step choose a key?  A packet that is released after NAT has chosen long ago."""
        if isinstance(step, Release):
            return self.scenario.rules.queue != POST_ROUTING
        return isinstance(step, Send | Reply)

    def _step(self, n: int, step: Step, branch: Branch) -> Iterator[Came]:
        match step:
            case Hold():
                yield from self._hold(n, step, branch.state)
            case Send():
                yield from self._send(n, step, branch.state)
            case Reply():
                yield from self._reply(n, step, branch)
            case Release():
                yield from self._release(step, branch.state)
            case DeleteNat():
                yield Came(ONE, self.router.without_nat(branch.state), "rc=0")
            case Sleep():
                yield Came(ONE, self.router.wait(branch.state, step.seconds), "-")
            case UdpBind():
                state = self.router.bind(branch.state, IPPROTO_UDP, step.address, step.port)
                yield Came(ONE, state, "-")
            case NfqOpen():
                yield Came(ONE, branch.state, "ok")

    def _send(self, n: int, step: Send, state: State) -> Iterator[Came]:
        skb = Skb(n, step.t, step.th, local_origin=step.origin == "r")
        for way in self.router.receive(state, skb):
            got = _frame(way)
            seen = got if step.expect_at in (None, got.at if got else None) else None
            if seen is None:
                told = step.origin == "r" and way.dropped
                class_ = "DROP,sender got EPERM" if told else "DROP"
            elif step.origin == "s":
                class_ = f"at:{seen.at}"
            else:
                class_ = self._class(step.t, seen.t)
            yield _seen(way, class_, seen, got, lettered=step.origin != "s")

    def _hold(self, n: int, step: Hold, state: State) -> Iterator[Came]:
        skb = Skb(n, step.t, step.th, local_origin=step.origin == "r")
        for way in self.router.receive(state, skb, hold=True):
            if not way.held:
                raise CannotPlay("the queue does not get the packet")
            yield _seen(way, "queued", None, None)

    def _release(self, step: Release, state: State) -> Iterator[Came]:
        if step.which >= len(state.held):
            raise CannotPlay("a packet is released that was never held")
        for way in self.router.release(state, step.which):
            got = _frame(way)
            sent = self._held_steps()[step.which].t
            class_ = self._class(sent, got.t) if got else "DROP"
            yield _seen(way, class_, got, got, lettered=True)

    def _held_steps(self) -> list[Hold]:
        return [step for step in self.scenario.steps if isinstance(step, Hold)]

    def _reply(self, n: int, step: Reply, branch: Branch) -> Iterator[Came]:
        """The server answers: ends swapped, an ICMP echo with its reply."""
        if step.to >= n:
            raise CannotPlay("a reply to a step that is still to come")
        frame = branch.frames[step.to]
        if frame is None:
            yield Came(ONE, branch.state, "n/a(no packet to answer)")
            return
        t = frame.t
        answer = CtTuple(AF_INET, t.protonum, t.dst, t.dport, t.src, t.sport)
        if t.protonum == IPPROTO_ICMP:
            answer = CtTuple(AF_INET, t.protonum, t.dst, t.sport, t.src, 0)
        th = step.th if t.protonum == IPPROTO_TCP else None
        for way in self.router.receive(branch.state, Skb(n, answer, th)):
            got = _frame(way)
            class_ = "DROP"
            if got is not None:
                dport = 0 if got.t.protonum == IPPROTO_ICMP else got.t.dport
                class_ = f"at:{got.at}:{address_text(AF_INET, got.t.dst)}:{dport}"
            yield _seen(way, class_, None, got)

    def _class(self, sent: CtTuple, got: CtTuple) -> str:
        """Where the source port landed, in the laboratory's words."""
        if (got.src, got.sport) == (sent.src, sent.sport):
            return "unNATed"
        prefix = "" if got.src != sent.src else "unNATed-addr,"
        if got.sport == sent.sport:
            return prefix + "kept"
        if self.scenario.range is not None:
            low, high = self.scenario.range
            inside = low <= got.sport <= high
            return prefix + (f"in[{low}-{high}]" if inside else "OUT-OF-RANGE")
        low, high = next(span for span in _CLASSES if span[0] <= got.sport <= span[1])
        return prefix + f"remap[{low}-{high}]"


def _named(scenario: LiveScenario) -> Iterator[int]:
    """The keys that packets come with."""
    for step in scenario.steps:
        if isinstance(step, Send):
            yield from (step.t.sport, step.t.dport)


def _cuts(scenario: LiveScenario) -> Iterator[int]:
    """The first keys of classes."""
    if scenario.range is not None:
        yield from (scenario.range[0], scenario.range[1] + 1)
    else:
        yield from (low for low, _ in _CLASSES)


def _frame(way: Way) -> Frame | None:
    return None if way.at is None else Frame(way.skb.t, way.at)


def _seen(
    way: Way, class_: str, answered: Frame | None, got: Frame | None, lettered: bool = False
) -> Came:
    return Came(way.odds, way.state, class_, answered, got, lettered, way.counted, way.drawn)


def _then(branch: Branch, one: Came, seen: StepOutcomes, odds: Fraction) -> Branch:
    """The branch after a step, of which `seen` is told."""
    drawn = _drawn(branch, one)
    seen.add(odds * one.odds, one.class_, one.counted)
    pattern, endpoints, addresses = branch.pattern, branch.endpoints, branch.addresses
    if one.got is not None:
        seen.add_frame(one.got.t, drawn)
        addresses |= {one.got.t.src}
    if one.lettered:
        letter = "-"
        if one.got is not None and not one.class_.startswith("DROP"):
            end = one.got.t.src, one.got.t.sport
            endpoints = endpoints if end in endpoints else (*endpoints, end)
            letter = chr(ord("A") + endpoints.index(end) % 26)
        pattern += letter
    keys = tuple(sorted(drawn.items(), key=lambda item: item[0]))
    return Branch(one.state, (*branch.frames, one.answered), pattern, endpoints, keys, addresses)


def _drawn(branch: Branch, one: Came) -> dict[int, Drawn]:
    """Keys that were drawn, this step's with them: those that a connection has and that nobody named."""
    drawn, before = dict(branch.drawn), [key for key, _ in branch.drawn]
    if one.drawn:
        for ct in (*one.state.world.bysource, *one.state.world.entries()):
            for key in (ct.reply.sport, ct.reply.dport):
                drawn.update((key, d.but(before)) for d in one.drawn if d.is_one_of_many(key))
    return drawn
