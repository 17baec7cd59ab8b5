# SPDX-License-Identifier: GPL-2.0-or-later
"""One schedule of each trace: dynamic partial-order reduction with source sets and sleep sets.

Two schedules are one trace if one comes from the other by swapping neighbours that do not meet
(`Footprint.meets`).  They end in one state, and drop the same packets.  This search runs one schedule of
each trace and keeps no states; it is source-DPOR of Abdulla, Aronis, Jonsson and Sagonas, "Source Sets"
(POPL 2014, JACM 2017).  What a path or an operation is it does not know: footprints are all it goes by.

**Footprints depend on states.**  A race is between steps that were taken, so it is judged by what they
touched when they were.  A CPU falls asleep where all its ways have been tried, and sleeps on while the
steps taken meet none of these ways: until then it has the same ways, touching the same cells, and so
they may be looked up in whatever state it still sleeps in.

**Draws.**  A step is always taken in each of its ways; nothing is saved within a CPU.  A CPU with one way
that meets the step taken wakes up with all of them: if its ways touch different cells, that may cost a
schedule too many, and never one too few.

**Locks.**  A step that has to wait has no edges, and touches what it looks at until it has to.  Three
things are needed for it.  An unlock and the lock that waited for it cannot be reversed, but that lock and
the one before the unlock can.  So a race is tried out: the steps that do not depend on the earlier one
are taken without it, and if the later one then has to wait, the steps before are looked at as well, past
the one that could not be reversed.  A step may touch less when it is taken at last than what it waited
for: a look-up that waited for an expired entry's locks finds the entry gone.  So what it waits for where
it is tried out counts as touched, too.  And where a schedule is given up because all who could go on
sleep, somebody may be waiting who is never seen to go on, since those who would let him have been tried
before: his races are looked at there.

**What is not proved.**  The proof for source sets wants a step that meets another one to meet it as well
after a third step that does not meet that one.  A section need not: what it reads decides what else it
touches.  So where it is tried out and touches cells that neither it nor the earlier step touched in the
schedule, whoever can goes on from there, which is always enough there.  That this and the three things
above are enough everywhere is held by tests only (tests/test_dpor.py): against every schedule, and by the
number of traces against sleep sets alone, which need none of it and are sound wherever footprints are.

It ends only if every schedule does; a limit stops it otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import attrs

from natmodel.explore import NO_LIMITS, Limits
from natmodel.ops import Call, Footprint
from natmodel.system import Edge, State, System
from natmodel.world import Answer, World


@attrs.frozen
class Traces:
    """What a search has run.

    `traces` counts schedules run to their end, one of each trace; `blocked` those given up, since all
    who could go on slept: another schedule of their trace has been run.  `steps` were taken in all.
    `outcomes` are the results of the CPUs at the ends, `drops` the most that one schedule has.
    `complete` says that nothing was left out.
    """

    traces: int
    blocked: int
    steps: int
    outcomes: frozenset[tuple[Any, ...]]
    drops: int
    complete: bool
    seconds: float


class Dpor:
    """A search for one schedule of each trace of `calls`.

    Without `source` sets every CPU that does not sleep goes on from every state: the same traces, by
    sleep sets alone.
    """

    def __init__(self, calls: Sequence[Call[Any]], world: World, *, source: bool = True) -> None:
        self.system: Final = System(calls, world, lazy=False, touching=True)
        self._source: Final = source

    def run(self, limits: Limits = NO_LIMITS) -> Traces:
        """Run until every trace has been, or a limit is reached: `limits.states` counts steps."""
        began = time.monotonic()
        search = Search(self.system, self._source)
        complete = True
        while search.nodes and complete:
            search.go_on()
            complete = not _over(limits, search.steps, began)
        return Traces(
            traces=search.traces,
            blocked=search.blocked,
            steps=search.steps,
            outcomes=frozenset(search.outcomes),
            drops=search.drops,
            complete=complete,
            seconds=time.monotonic() - began,
        )


def _over(limits: Limits, steps: int, began: float) -> bool:
    if limits.states is not None and steps > limits.states:
        return True
    return limits.seconds is not None and time.monotonic() - began > limits.seconds


# ── what has happened before what ───────────────────────────────────────────────────────────────

# How many steps of each CPU have happened before, a CPU's own step included: a vector clock.
Clock: TypeAlias = tuple[int, ...]


@attrs.frozen(eq=False)
class Event:
    """A step that was taken, and what had happened before."""

    cpu: int
    answer: Answer
    clock: Clock

    def known_to(self, clock: Clock) -> bool:
        """Has it happened before whatever has this clock?"""
        return self.clock[self.cpu] <= clock[self.cpu]


def join(a: Clock, b: Clock) -> Clock:
    """What either knows."""
    return tuple(map(max, a, b))


def depends(event: Event, cpu: int, touched: Footprint) -> bool:
    """Does it matter whether a step of `cpu` that touches these cells comes before the event?"""
    return event.cpu == cpu or event.answer.footprint.meets(touched)


def knows(events: Sequence[Event], cpu: int, touched: Footprint, nothing: Clock) -> Clock:
    """What has happened before a step of `cpu` that touches these cells."""
    clock = nothing
    for event in reversed(events):
        if not event.known_to(clock) and depends(event, cpu, touched):
            clock = join(clock, event.clock)
    return clock


def initials(events: Sequence[Event], cpu: int, touched: Footprint) -> set[int]:
    """Whose step may come first, of these events and then a step of `cpu` that touches these cells."""
    first = {
        event.cpu
        for n, event in enumerate(events)
        if not any(earlier.known_to(event.clock) for earlier in events[:n])
    }
    if not any(depends(event, cpu, touched) for event in events):
        first.add(cpu)
    return first


def sleeps_on(event: Event, cpu: int, touched: Footprint) -> bool:
    """Does a CPU sleep on after the event, if its next step touches these cells?"""
    return not depends(event, cpu, touched)


def is_within(touched: Footprint, other: Footprint) -> bool:
    """Is all that meets the one met by the other, too?"""
    return touched.writes <= other.writes and touched.reads <= other.reads | other.writes


# ── the search ──────────────────────────────────────────────────────────────────────────────────


@attrs.define(eq=False)
class _Node:
    """A state of the schedule that is being run.

    `asleep` are the CPUs that need not go on from here, `todo` those that must; who has is `done`.
    It is `cpu`'s turn, and `ways` are those left to it.
    """

    state: State
    asleep: frozenset[int]
    drops: int
    todo: set[int]
    done: set[int] = attrs.Factory(set)
    cpu: int | None = None
    ways: list[tuple[Edge, Event]] = attrs.Factory(list)


class Search:
    """The schedule that is being run, and what has been found so far.

    Event number n leads from node number n to the next one.  A schedule's last event leads to no node:
    to its end, or to where all sleep.
    """

    def __init__(self, system: System, source: bool) -> None:
        self._system: Final = system
        self._source: Final = source
        self.nodes: Final[list[_Node]] = []
        self._events: Final[list[Event]] = []
        self.traces = self.blocked = self.steps = self.drops = 0
        self.outcomes: Final[set[tuple[Any, ...]]] = set()
        self._enter(system.initial, frozenset(), 0)

    def go_on(self) -> None:
        """Take a step, or a step back."""
        node = self.nodes[-1]
        if len(self._events) == len(self.nodes):
            self._events.pop()
        if not node.ways and not self._next_turn(node):
            self.nodes.pop()
            return
        (t, w, _, drops), event = node.ways.pop()
        self.steps += 1
        self._events.append(event)
        cpu, state = event.cpu, node.state
        to = (*state[:cpu], t, *state[cpu + 1 : -1], w)
        self._enter(to, self._asleep_after(node, event), node.drops + drops)

    def _enter(self, state: State, asleep: frozenset[int], drops: int) -> None:
        """Go on from this state later, if there is a reason to."""
        able = self._able(state)
        awake = able - asleep
        if awake:
            todo = {min(awake)} if self._source else awake
            self.nodes.append(_Node(state, asleep, drops, todo))
        elif able:
            self.blocked += 1
            if self._source:
                self.give_up(state)
        else:
            assert self._system.is_final(state), "every CPU that has not ended is blocked"
            self.traces += 1
            self.drops = max(self.drops, drops)
            self.outcomes.add(self._system.results(state))

    def _able(self, state: State) -> set[int]:
        """The CPUs that have a step to take and need not wait."""
        return {cpu for cpu in range(self._system.cpus) if self._system.edges(state, cpu)}

    def _next_turn(self, node: _Node) -> bool:
        """Find the ways of the next CPU; False if it is no CPU's turn any more."""
        if node.cpu is not None:
            node.done.add(node.cpu)
        cpu = node.cpu = min(node.todo - node.done - node.asleep, default=None)
        if cpu is None:
            return False
        clocks: dict[Footprint, Clock] = {}
        for edge in self._system.edges(node.state, cpu):
            touched = edge[2].footprint
            if touched not in clocks:
                if self._source:
                    self._reverse_races(cpu, touched)
                clocks[touched] = self._clock(cpu, touched)
            node.ways.append((edge, Event(cpu, edge[2], clocks[touched])))
        assert node.ways, "a CPU that has to wait was told to go on"
        node.ways.reverse()
        return True

    def _clock(self, cpu: int, touched: Footprint) -> Clock:
        before = knows(self._events, cpu, touched, self._nothing)
        return (*before[:cpu], before[cpu] + 1, *before[cpu + 1 :])

    @property
    def _nothing(self) -> Clock:
        return (0,) * self._system.cpus

    def _asleep_after(self, node: _Node, event: Event) -> frozenset[int]:
        """Who sleeps on after the event, of those who slept and those who have had their turn."""
        return frozenset(
            cpu
            for cpu in node.asleep | node.done
            if sleeps_on(event, cpu, self._system.touched(node.state, cpu))
        )

    def give_up(self, state: State) -> None:
        """Look at the races of those who have to wait: they take no step in this schedule."""
        for cpu in range(self._system.cpus):
            if self._system.pending(state, cpu) and not self._system.edges(state, cpu):
                self._reverse_races(cpu, self._system.touched(state, cpu))

    # ── races ───────────────────────────────────────────────────────────────────────────────────

    def _reverse_races(self, cpu: int, touched: Footprint) -> None:
        """See to it that a step of `cpu` is also taken before each event that it races with.

        An event that happened before another one that races needs no look now: it is looked at when
        that one has been reversed.
        """
        covered = next((e.clock for e in reversed(self._events) if e.cpu == cpu), self._nothing)
        wanted = touched
        at = len(self._events)
        while at > 0:
            at -= 1
            event = self._events[at]
            if event.known_to(covered) or not depends(event, cpu, wanted):
                continue
            waits = self.reverse(at, cpu, touched)
            if waits is None:
                if depends(event, cpu, touched):
                    covered = join(covered, event.clock)
            elif wanted | waits != wanted:
                wanted |= waits
                at = len(self._events)

    def reverse(self, at: int, cpu: int, touched: Footprint) -> Footprint | None:
        """Have a step of `cpu` taken before event number `at`; if it must wait there, for what?

        If it touches there what it does not touch after the event, who meets it there may be yet to
        come: whoever can goes on from there.
        """
        node, event = self.nodes[at], self._events[at]
        apart = [later for later in self._events[at + 1 :] if not event.known_to(later.clock)]
        state = node.state
        for later in apart:
            state = self._again(state, later)
        there = self._system.touched(state, cpu)
        if not is_within(there, touched | event.answer.footprint):
            node.todo |= self._able(node.state)
        if not self._system.edges(state, cpu):
            return there
        first = initials(apart, cpu, there)
        if first.isdisjoint(node.todo | node.asleep):
            node.todo.add(min(first))
        return None

    def _again(self, state: State, event: Event) -> State:
        """The state after the same step has been taken from this one."""
        cpu, seen = event.cpu, (event.answer.draws, event.answer.reply)
        for t, w, answer, _ in self._system.edges(state, cpu):
            if (answer.draws, answer.reply) == seen:
                return (*state[:cpu], t, *state[cpu + 1 : -1], w)
        raise AssertionError("a step cannot be taken without one that it does not meet")
