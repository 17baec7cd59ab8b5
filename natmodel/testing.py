# SPDX-License-Identifier: GPL-2.0-or-later
"""Hypothesis runs a scenario at random, and shrinks a run that fails to a short schedule.

`NatMachine` walks the explorer's own system: packets arrive, CPUs take steps, entries expire.  Set its
class attributes, override its hooks, add rules and invariants of your own; docs/testing.md shows how.

It finds; it proves nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, ClassVar, Final, TypeAlias

import attrs
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from natmodel.ops import Node
from natmodel.release import Confirmed, Fate, Release, absent
from natmodel.render import text
from natmodel.scenario import Scenario
from natmodel.scenario import with_release as with_release  # for those who look for it here
from natmodel.schedule import Schedule, Step
from natmodel.system import Edge, Move, State, System
from natmodel.trace import trace_of
from natmodel.values import NF_DROP, Conn, CtTuple, nf_ct_zone_id
from natmodel.verdict import Replay
from natmodel.world import World


class PacketDropped(AssertionError):
    """A packet was dropped, and the machine does not accept that."""


@attrs.frozen
class Turn:
    """Whose turn it is, and what comes of it: a small number for each, valid at any time.

    The CPU is the one named if it can act, else the next below that can, so that no lower number
    means the same.  Outcome 0 is the luckiest draw: the packet is done soonest, and most in another's
    way.  Where a step inserts an entry, outcome 0 is "not yet", so that one step too many does no harm.
    """

    cpu: int
    outcome: int

    @classmethod
    def of(cls, number: int) -> Turn:
        """One number for both: what Hypothesis has fewer of, it shrinks further."""
        return cls(number % _MOST_CPUS, number // _MOST_CPUS)


_MOST_CPUS: Final = 64
_MOST_OUTCOMES: Final = 1024
TURNS: Final = st.integers(0, _MOST_CPUS * _MOST_OUTCOMES - 1).map(Turn.of)


# ── the machine ─────────────────────────────────────────────────────────────────────────────────


class NatMachine(RuleBasedStateMachine):
    """One scenario, run at random; a drop or a table that is not sound is a failure."""

    scenario: ClassVar[Scenario] = Scenario()
    release: ClassVar[Release | None] = None
    """A row of your own, to be run instead of the scenario's kernel."""
    fail_on_drop: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        premises = self.premises()
        self.row: Final = premises.release
        self.system: Final = _system(premises)
        self.states: Final[list[State]] = [self.system.initial]
        self.moves: Final[list[Move]] = []
        self.expired: Final[list[tuple[int, int]]] = []
        """(number of steps before, id of the entry) for each entry that has expired."""
        self._todo: Final = [len(_todo(call.args)) for call in premises.threads()]
        self._arrived: Final = [0] * self.system.cpus

    # ── hooks for subclasses ────────────────────────────────────────────────────────────────────

    @classmethod
    def premises(cls) -> Scenario:
        """What is run: the scenario, on the class's own release if it has one."""
        return cls.scenario if cls.release is None else with_release(cls.scenario, cls.release)

    def on_drop(self, move: Move) -> None:
        """The step just taken has dropped a packet.  Fails, unless `fail_on_drop` is False."""
        if self.fail_on_drop:
            end = end_of(move)
            assert end is not None
            raise PacketDropped(
                f"cpu {move.cpu}'s packet is dropped in step {len(self.moves)} of "
                f"'{self.schedule}' ({end.cause})"
            )

    def may_expire(self) -> Iterable[Conn]:
        """Entries that could expire now: those that packets have made, and not the scenario's own.

        So nothing is found that `check`, for which nothing expires, has not looked at.  For all
        entries, return linked_entries(self.world).
        """
        return self.world.entries()

    # ── where the run stands ────────────────────────────────────────────────────────────────────

    @property
    def state(self) -> State:
        return self.states[-1]

    @property
    def world(self) -> World:
        """The shared memory as it is now."""
        return self.system.world(self.state)

    @property
    def schedule(self) -> Schedule:
        """The steps taken so far."""
        return Schedule(tuple(Step(move.cpu, move.answer.draws) for move in self.moves))

    @property
    def replay(self) -> Replay:
        """The run so far, as verdict.replay gives it; but entries may have expired."""
        moves, states = tuple(self.moves), tuple(self.states)
        return Replay(self.premises(), self.schedule, self.system, states, moves)

    def fates(self, cpu: int) -> tuple[Fate, ...]:
        """How the CPU's packets have ended, as far as they have."""
        return _fates(self.system, self.state[cpu])

    def is_idle(self, cpu: int) -> bool:
        """Has the CPU nothing to do, and is a packet still to come?"""
        return self._arrived[cpu] == len(self.fates(cpu)) < self._todo[cpu]

    def can_step(self, cpu: int) -> bool:
        """Is the CPU busy with a packet, and not waiting for a lock?"""
        # where SYNs are sent again, a CPU has steps to take when all its packets have ended
        busy = self._arrived[cpu] > len(self.fates(cpu)) or self._arrived[cpu] == self._todo[cpu]
        return busy and bool(self.system.edges(self.state, cpu))

    # ── rules ───────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: any(map(self.is_idle, range(self.system.cpus))))
    @rule(turn=TURNS)
    def packet_arrives(self, turn: Turn) -> None:
        """An idle CPU gets its next packet, and looks it up."""
        found = self._at_or_below(turn.cpu, self.is_idle)
        if found is not None and self._take(found, turn.outcome):
            self._arrived[found] += 1
            self._look_at_last_move()

    @rule(turn=TURNS)
    def cpu_takes_step(self, turn: Turn) -> None:
        """A busy CPU makes its next access to shared memory, or draws what the kernel would draw."""
        found = self._at_or_below(turn.cpu, self.can_step)
        if found is not None and self._take(found, turn.outcome):
            self._look_at_last_move()

    @precondition(lambda self: bool(_unexpired(self.world, self.may_expire())))
    @rule(
        entry=st.runner().flatmap(
            lambda self: st.sampled_from(_unexpired(self.world, self.may_expire()))
        )
    )
    def entry_expires(self, entry: int) -> None:
        """An entry's timeout passes; it stays linked until somebody reaps it."""
        self.expired.append((len(self.moves), entry))
        gone = self.world.bury if self.row.timer_per_entry else self.world.expire
        self.states[-1] = (*self.state[:-1], self.system.number(gone(entry)))

    def _at_or_below(self, cpu: int, can: Callable[[int], bool]) -> int | None:
        return next((c for c in range(cpu % self.system.cpus, -1, -1) if can(c)), None)

    def _take(self, cpu: int, outcome: int) -> bool:
        """The CPU's next step; False if it holds back."""
        ways = _luckiest_first(self.system, self.state, cpu)
        if any(self.system.worlds[w].linked != self.world.linked for _, w, _, _ in ways):
            if outcome == 0:
                return False
            outcome -= 1
        # Even numbers are the luckiest outcome too, so that it comes up half of the time.
        way = (outcome + 1) // 2 * (outcome % 2) % len(ways)
        move = self.system.take(self.state, cpu, ways[way][2].draws)
        assert move is not None
        self.moves.append(move)
        self.states.append(move.state)
        return True

    def _look_at_last_move(self) -> None:
        if is_drop(self.moves[-1]):
            self.on_drop(self.moves[-1])

    # ── invariants ──────────────────────────────────────────────────────────────────────────────

    @invariant()
    def table_is_sound(self) -> None:
        """The three that follow; one invariant, since Hypothesis prints each after every step."""
        self.no_two_entries_share_a_key()
        self.counters_match_fates()
        self.dropped_packets_leave_no_entry()

    def no_two_entries_share_a_key(self) -> None:
        """No key that a look-up can ask for has two owners."""
        owners = Counter(map(key_of, self.world.linked))
        for node in self.world.linked:
            owners[key_of(node)] += sum(
                key_of(other) == key_of(node) for other in _background_nodes(self.world, node.t)
            )
        for (t, _, _), n in owners.items():
            assert n == 1, f"two entries share the key {t}"

    def counters_match_fates(self) -> None:
        """The step that ends a packet raises the counters that tell how; no other step raises any."""
        if self.moves:
            move = self.moves[-1]
            raised = Counter(name for name in move.answer.counted if name in _TELLING)
            end = end_of(move)
            allowed = [Counter[str]()] if end is None else raised_by(self.row, end.cause)
            if allowed is not None:
                assert raised in allowed, f"step {len(self.moves)} has raised {dict(raised)}"
        if self.system.is_final(self.state):
            ends = [end_of(move) for move in self.moves if is_drop(move)]
            clashes = sum(end is not None and end.cause == "clash" for end in ends)
            counted = sum(move.answer.counted.count("drop") for move in self.moves)
            told = clashes if self.row.resolve_clash is not absent else 0
            assert counted == told, f"drop is {counted}, and {clashes} packets clashed"

    def dropped_packets_leave_no_entry(self) -> None:
        """A packet that has no connection of its own in the end has left none behind."""
        linked = {node.ct.id for node in self.world.linked}
        sources = {ct.id for ct in self.world.bysource}
        for cpu in range(self.system.cpus):
            for fate in self.fates(cpu):
                if fate.ct is None or fate.ct.id != fate.packet:
                    assert fate.packet not in linked, f"packet {fate.packet} has left an entry"
                    assert fate.packet not in sources, f"packet {fate.packet} has left its source"
        for move in self.moves[-1:]:
            end = move.answer.reply
            if isinstance(end, Confirmed) and is_drop(move):
                assert end.ct.id not in linked, f"packet {end.ct.id} is dropped, its entry is not"

    # ── what a failure says ─────────────────────────────────────────────────────────────────────

    def teardown(self) -> None:
        """Say what happened; Hypothesis shows it under the steps of the example it has shrunk."""
        note(_Said(self.report))

    def report(self) -> str:
        """The lane trace of the run, under the expiries that a schedule cannot say."""
        lines = [f"entry {entry} expired after step {n}\n" for n, entry in self.expired]
        return "".join(["\n", *lines, text(trace_of(self.replay))]).rstrip("\n")


class _Said:
    """A text that is made only if it is printed."""

    def __init__(self, make: Callable[[], str]) -> None:
        self._make = make

    def __repr__(self) -> str:
        return self._make()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self._make())


# ── choices ─────────────────────────────────────────────────────────────────────────────────────

# How far to look ahead, in steps of one CPU.
_HORIZON: Final = 256


@lru_cache(maxsize=65536)
def _luckiest_first(system: System, state: State, cpu: int) -> list[Edge]:
    """The outcomes of a step; first those with which the CPU alone would be done soonest."""
    ways = system.edges(state, cpu)
    if len(ways) < 2:
        return ways
    return sorted(ways, key=lambda way: (*_outlook(system, state, cpu, way), way[2].draws))


def _outlook(system: System, state: State, cpu: int, way: Edge) -> tuple[int, bool]:
    """(steps to the CPU's end, is nobody dropped?) if each CPU in turn now ran to its end."""
    state = (*state[:cpu], way[0], *state[cpu + 1 : -1], way[1])
    state, own, dropped = _run_alone(system, state, cpu)
    for other in (*range(cpu + 1, system.cpus), *range(cpu)):
        if not dropped:
            state, _, dropped = _run_alone(system, state, other)
    return own, not dropped


def _run_alone(system: System, state: State, cpu: int) -> tuple[State, int, bool]:
    """(state, steps, is a packet dropped?) after the CPU has run on, taking each first outcome."""
    for n in range(_HORIZON):
        ways = system.edges(state, cpu)
        if not ways:
            return state, n, False
        t, w, _, drops = ways[0]
        state = (*state[:cpu], t, *state[cpu + 1 : -1], w)
        if drops:
            return state, n + 1, True
    return state, _HORIZON, False


def _unexpired(world: World, entries: Iterable[Conn]) -> list[int]:
    """The ids of those that have not expired.  One that is being inserted cannot expire."""
    locked = {ct.id for ct in world.locked}
    return sorted(ct.id for ct in entries if ct.timeout > 0 and ct.id not in locked)


# ── the system, and what its states mean ────────────────────────────────────────────────────────


@lru_cache(maxsize=32)
def _system(scenario: Scenario) -> System:
    """One for all examples: what it remembers of one holds for the next."""
    return System(scenario.threads(), scenario.world())


def _todo(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The packets that are an argument of paths.packet.packets."""
    todo: tuple[Any, ...] = args[1]
    return todo


def _fates(system: System, t: int) -> tuple[Fate, ...]:
    """The fates that are an argument, and in the end the result, of paths.packet.packets."""
    stack = system.threads.stack[t]
    fates: tuple[Fate, ...] = stack[0][1][2] if stack else system.threads.result[t]
    return fates


def end_of(move: Move) -> Confirmed | Fate | None:
    """How the step has ended a packet, if it has."""
    reply = move.answer.reply
    return reply if isinstance(reply, Confirmed | Fate) else None


def is_drop(move: Move) -> bool:
    """Has the step dropped a packet?"""
    end = end_of(move)
    return end is not None and end.verdict == NF_DROP


Key: TypeAlias = tuple[CtTuple, int, int]


def key_of(node: Node) -> Key:
    """What a look-up must ask for to be given this node.  kernel: nf_ct_key_equal"""
    return node.t, nf_ct_zone_id(node.ct.zone, node.direction), node.ct.net


def _background_nodes(world: World, t: CtTuple) -> Iterator[Node]:
    """The scenario's own nodes that still carry this tuple."""
    for _, node in world.background.nodes_of(t):
        now = world.current(node)
        if now is not None:
            yield now


def linked_entries(world: World) -> Iterator[Conn]:
    """Every entry in the table, the scenario's own first; each once."""
    seen = set()
    for node in world.background.all_nodes():
        now = world.current(node)
        if now is not None and now.ct.id not in seen:
            seen.add(now.ct.id)
            yield now.ct
    yield from world.entries()


# Counters that tell how a packet has ended, and what each end raises.
_TELLING: Final = frozenset({"drop", "insert_failed", "chaintoolong", "clash_resolve"})


def raised_by(k: Release, cause: str) -> list[Counter[str]] | None:
    """The counters, of those above, that a packet's end can raise; None if nothing is known of it.

    A clash that was resolved once counted as a failed insertion (4.7 .. 5.9); before there were
    resolutions, a clash did not count as a drop (<= 4.6).
    """
    match cause:
        case "inserted":
            return [Counter()]
        case "clash" if k.resolve_clash is absent:
            return [Counter(["insert_failed"])]
        case "clash":
            return [Counter(["drop", "insert_failed"])]
        case "chain too long":
            return [Counter(["chaintoolong", "insert_failed"])]
        case "dying":
            return [Counter(["insert_failed"]), Counter()]
        case "merged with the winner":
            return [Counter(["insert_failed"]), Counter(["clash_resolve"])]
        case "inserted for replies only":
            return [Counter(["clash_resolve"]), Counter()]
    return None
