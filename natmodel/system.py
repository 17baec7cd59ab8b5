# SPDX-License-Identifier: GPL-2.0-or-later
"""CPUs and the memory they share, as one transition system: states, and the steps they can take.

A state is a tuple of small integers, one thread for each CPU and the world last.  Explorer, replay and
the Hypothesis machine all walk this system; none of them knows a path or an operation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import partial
from typing import Any, Final, TypeAlias

import attrs

from natmodel import draws, ops
from natmodel.blind import is_blind, is_blind_function
from natmodel.draws import Context
from natmodel.ops import NO_FOOTPRINT, Call, Footprint, Op
from natmodel.release import Confirmed, Fate, Packet
from natmodel.threads import Stack, Threads
from natmodel.values import NF_DROP, Conn, CtTuple
from natmodel.world import Answer, Chooser, Draw, World, answers, range_of_draw, waits_for

State: TypeAlias = tuple[int, ...]


@attrs.frozen
class Move:
    """One CPU takes one step: what it did, how that came out, and the state it leads to."""

    cpu: int
    op: Op[Any]
    answer: Answer
    state: State

    @property
    def drops(self) -> bool:
        """Does this step drop a packet?"""
        return is_drop(self.answer.reply)


def is_drop(reply: Any) -> bool:
    """Has the step that got this reply dropped a packet?"""
    return isinstance(reply, Confirmed | Fate) and reply.verdict == NF_DROP


# A thread's step in a world: (the thread after, the world after, the answer, does it drop?).
Edge: TypeAlias = tuple[int, int, Answer, bool]


class System:
    """The steps that CPUs running `calls` over `world` can take.

    With lazy draws (the default) a draw branches into the classes that the state can tell apart; else
    into every class that could matter anywhere.  A run that is not `blind` never has lazy draws, and what
    a path that is not blind draws itself branches into every single value.  `touching`: answers say
    which memory they touched.
    """

    def __init__(
        self, calls: Sequence[Call[Any]], world: World, *, lazy: bool = True, touching: bool = False
    ) -> None:
        self.threads: Final = Threads()
        self.blind: Final = all(map(is_blind, calls))
        self.lazy: Final = lazy and self.blind
        self._touching: Final = touching
        self.worlds: Final[list[World]] = []
        self._world_ids: dict[World, int] = {}
        self._edges: dict[tuple[Any, ...], list[Edge]] = {}
        self._hands: dict[int, _Hand] = {}
        starts = tuple(self.threads.start(call) for call in calls)
        self.initial: Final[State] = (*starts, self.number(world))

    @property
    def cpus(self) -> int:
        return len(self.initial) - 1

    def __getstate__(self) -> dict[str, Any]:
        """Without what can be had again: steps lead to the same numbers."""
        return {**self.__dict__, "_edges": {}, "_hands": {}}

    def number(self, world: World) -> int:
        """The world's number."""
        number = self._world_ids.get(world)
        if number is None:
            number = self._world_ids[world] = len(self.worlds)
            self.worlds.append(world)
        return number

    def world(self, state: State) -> World:
        return self.worlds[state[-1]]

    def pending(self, state: State, cpu: int) -> Op[Any] | None:
        """What the CPU does next; None if it is done."""
        return self.threads.pending[state[cpu]]

    def results(self, state: State) -> tuple[Any, ...]:
        """What each CPU's path returned; None where it has not ended."""
        return tuple(self.threads.result[t] for t in state[:-1])

    def is_final(self, state: State) -> bool:
        """Has every CPU ended?"""
        return all(self.threads.pending[t] is None for t in state[:-1])

    def edges(self, state: State, cpu: int) -> list[Edge]:
        """The ways in which this CPU can take its next step."""
        t, w = state[cpu], state[-1]
        found = self._edges.get((t, w))
        if found is None:
            op = self.threads.pending[t]
            if op is None:
                return []
            try:
                choose = self._without_context if self.blind else self._wary(t, op)
                found = self._edges[t, w] = self._compute(t, w, op, choose)
            except _NeedsContext:
                return self._edges_in_context(state, cpu, op)
        return found

    def _wary(self, t: int, op: Op[Any]) -> Chooser:
        """For a run that is not blind: who draws may be, and then starts a walk."""

        def choose(world: World, draw: Draw) -> draws.Classes:
            section = op.call if isinstance(op, ops.Atomic) else None
            body = self.threads.stack[t][-1][0]
            walks = is_blind(section) if section is not None else is_blind_function(body)
            return (draws.eager if walks else draws.every_value)(world, draw)

        return choose

    def _without_context(self, world: World, draw: Draw) -> draws.Classes:
        if self.lazy and not isinstance(draw, ops.RandomBelow | ops.RhltableLookup):
            raise _NeedsContext
        return draws.eager(world, draw)

    def _edges_in_context(self, state: State, cpu: int, op: Op[Any]) -> list[Edge]:
        """A draw's classes depend on what the other CPUs hold, too."""
        context = self.context(state, cpu)
        key = (state[cpu], state[-1], context)
        found = self._edges.get(key)
        if found is None:
            choose = partial(draws.lazy, context=context)
            found = self._edges[key] = self._compute(state[cpu], state[-1], op, choose)
        return found

    def _compute(self, t: int, w: int, op: Op[Any], choose: Chooser) -> list[Edge]:
        return [
            (
                self.threads.after(t, answer.reply),
                self.number(answer.world),
                answer,
                is_drop(answer.reply),
            )
            for answer in answers(self.worlds[w], op, choose, touching=self._touching)
        ]

    def touched(self, state: State, cpu: int) -> Footprint:
        """What this CPU's next step touches, however it comes out; or the attempt, if it is blocked.

        For a `touching` system without lazy draws.
        """
        assert self._touching
        assert not self.lazy
        edges = self.edges(state, cpu)
        op = self.pending(state, cpu)
        if not edges and op is not None:
            return waits_for(self.world(state), op, self._wary(state[cpu], op))
        footprint = NO_FOOTPRINT
        for _, _, answer, _ in edges:
            footprint |= answer.footprint
        return footprint

    def moves(self, state: State) -> Iterator[Move]:
        """Every step that some CPU can take."""
        for cpu in range(self.cpus):
            for t, w, answer, _ in self.edges(state, cpu):
                op = self.threads.pending[state[cpu]]
                assert op is not None
                yield Move(cpu, op, answer, _moved(state, cpu, t, w))

    def take(self, state: State, cpu: int, values: Sequence[int]) -> Move | None:
        """The CPU's next step with these values drawn; None if it is done or blocked.

        Raises WrongDraws if the step draws more or fewer values, or one that is out of range.
        """
        op = self.pending(state, cpu)
        if op is None:
            return None
        left = list(values)

        def choose(world: World, draw: Draw) -> list[tuple[int, Fraction]]:
            return [(_next_value(draw, left), Fraction(1))]

        for answer in answers(self.world(state), op, choose):
            if left:
                raise WrongDraws(f"{len(left)} more drawn than the step draws")
            t = self.threads.after(state[cpu], answer.reply)
            return Move(cpu, op, answer, _moved(state, cpu, t, self.number(answer.world)))
        return None

    # ── what CPUs hold ──────────────────────────────────────────────────────────────────────────

    def context(self, state: State, cpu: int) -> Context:
        """What CPUs hold, for a draw by this one."""
        hands = [self.hand(t) for t in state[:-1]]
        return Context(
            frozenset().union(*(hand.keys for hand in hands)),
            frozenset().union(*(hand.offsets for hand in hands)),
            frozenset().union(*(hand.addresses for hand in hands)),
            sum(hand.packets for hand in hands) - 1,
        )

    def hand(self, t: int) -> _Hand:
        """What a thread's frames name."""
        hand = self._hands.get(t)
        if hand is None:
            hand = self._hands[t] = _Hand.of(self.threads.stack[t], self.threads.pending[t])
        return hand


class _NeedsContext(Exception):
    """A step draws a value whose classes the thread and the world alone do not tell."""


class WrongDraws(Exception):
    """The values do not fit the step."""


def _next_value(draw: Draw, left: list[int]) -> int:
    below = range_of_draw(draw)
    if not left:
        raise WrongDraws(f"the step draws a value below {below}, and none is given")
    value = left.pop(0)
    if not 0 <= value < below:
        raise WrongDraws(f"the step draws a value below {below}, not {value}")
    return value


def _moved(state: State, cpu: int, t: int, w: int) -> State:
    return (*state[:cpu], t, *state[cpu + 1 : -1], w)


@attrs.frozen
class _Hand:
    """Keys, offsets and addresses that a thread's frames name, and how many packets it has to go."""

    keys: frozenset[int]
    offsets: frozenset[int]
    addresses: frozenset[int]
    packets: int

    @classmethod
    def of(cls, stack: Stack, pending: Op[Any] | None) -> _Hand:
        keys: set[int] = set()
        offsets: set[int] = set()
        addresses: set[int] = set()
        packets: set[int] = set()
        for t in tuples_in((stack, pending), packets):
            keys |= {t.sport, t.dport}
            addresses |= {t.src, t.dst}
        for _, args, log in stack:
            # Beside a window, any small number may be an offset into it; a reply may be one, too.
            if any(isinstance(arg, ops.Window) for arg in args):
                offsets |= {arg for arg in args if type(arg) is int}
            offsets |= {reply for reply in log if type(reply) is int}
        to_go = len(packets) or bool(stack)  # a path of one's own may be given no packet
        return cls(frozenset(keys), frozenset(offsets), frozenset(addresses), to_go)


def tuples_in(value: Any, packets: set[int]) -> Iterator[CtTuple]:
    """Every tuple inside a value; the ids of connections and packets met go into `packets`."""
    if isinstance(value, CtTuple):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tuples_in(item, packets)
    elif isinstance(value, Packet):
        packets.add(value.id)
        yield value.t
    elif isinstance(value, Conn):
        yield value.orig
        yield value.reply
    elif attrs.has(type(value)) and not hasattr(value, "new_connection"):
        for field in attrs.fields(type(value)):
            yield from tuples_in(getattr(value, field.name), packets)
