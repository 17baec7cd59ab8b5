# SPDX-License-Identifier: GPL-2.0-or-later
"""Exact odds: those of the other checkers, and those of a recursion that merges nothing."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import product
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from natmodel import odds
from natmodel.arrivals import patterns
from natmodel.cli import main
from natmodel.errors import BadInput
from natmodel.explore import Limits
from natmodel.ops import Call
from natmodel.quotient import Quotient
from natmodel.releases import RELEASES
from natmodel.system import Move, State, System
from natmodel.world import World
from tests.bench.natclash import Workload
from tests.drawn import drawn_scenarios, drawn_workloads, shown_by
from tests.exploring import calls_on, drop_odds, scenario, stripped
from tests.kernels import TELLING, each_kernel
from tests.test_census import each_once

Calls = list[Call[Any]]


def graph_of(calls: Calls, world: World, **options: Any) -> Quotient:
    graph = Quotient(calls, world, **options)
    assert graph.grow()
    return graph


# ── what other checkers say ─────────────────────────────────────────────────────────────────────

# what: P(some drop), uniform and worst; Storm's exact answers (peers' baselines, section 1)
PINNED = {
    Workload(2, 2, 0, "random"): ("3/16", "1/2"),
    Workload(2, 4, 0, "random"): ("3/32", "1/4"),
    Workload(2, 4, 2, "random"): ("381/2048", "5/8"),
    Workload(3, 4, 0, "random"): ("5771/20736", "5/8"),
    Workload(3, 8, 0, "random"): ("11603/82944", "11/32"),
    Workload(3, 16, 0, "random"): ("23267/331776", "23/128"),
    Workload(4, 4, 0, "random"): ("197635007/382205952", "29/32"),
    Workload(4, 8, 0, "random"): ("828032447/3057647616", "151/256"),
    Workload(3, 4, 2, "random"): ("1", "1"),
    Workload(3, 4, 3, "random"): ("1", "1"),
    Workload(3, 4, 0, "rover"): ("131/144", "1"),
}


@pytest.mark.parametrize("work", PINNED, ids=str)
def test_the_odds_of_the_other_checkers(work: Workload) -> None:
    graph = graph_of(work.calls(), work.world())
    uniform, worst = map(Fraction, PINNED[work])
    assert (1 - odds.drops(graph)[0], odds.worst(graph)) == (uniform, worst)


@pytest.mark.parametrize("ports", [2, 3, 4, 7, 8])
def test_two_that_choose_together_are_equal_once_in_r(ports: int) -> None:
    work = Workload(2, ports, 0, "random")
    graph = graph_of(work.calls(), work.world(), together=True)
    assert odds.drops(graph) == (1 - Fraction(1, ports), Fraction(1, ports), Fraction(0))


@pytest.mark.parametrize("kernel", ["4.19.66", "6.12.117"])
def test_two_random_starts_on_the_default_range_are_equal_in_67584_of_2_to_the_32(
    kernel: str,
) -> None:
    """65,536 starts for 64,512 ports: 1,024 of these have two."""
    s = scenario(kernel, "masquerade random-fully")
    graph = graph_of(calls_on(s, None), s.world(), lazy=True, together=True)
    assert 1 - odds.drops(graph)[0] == Fraction(67584, 2**32)


# ── the slow, obvious way ───────────────────────────────────────────────────────────────────────


class Plain:
    """Recursions over single states; no class of draws, of CPUs or of ports is used."""

    def __init__(self, calls: Calls, world: World) -> None:
        self.system = System(calls, world, lazy=False, touching=True)
        self.linked = world.linked
        self._memo: dict[Any, Any] = {}

    def small(self, most: int) -> bool:
        seen, todo = {self.system.initial}, [self.system.initial]
        for state in todo:
            for move in self.system.moves(state):
                if move.state not in seen:
                    seen.add(move.state)
                    todo.append(move.state)
            if len(seen) > most:
                return False
        return True

    def next(self, state: State) -> list[list[Move]]:
        by_cpu: dict[int, list[Move]] = defaultdict(list)
        for move in self.system.moves(state):
            by_cpu[move.cpu].append(move)
        return list(by_cpu.values())

    def adaptive(self, prefer: Callable[[Iterable[Fraction]], Fraction]) -> Fraction:
        memo: dict[State, Fraction] = {}

        def value(state: State) -> Fraction:
            if state not in memo:
                chances = [
                    sum(
                        (m.answer.odds * (1 if m.drops else value(m.state)) for m in moves),
                        Fraction(),
                    )
                    for moves in self.next(state)
                ]
                memo[state] = prefer(chances) if chances else Fraction(0)
            return memo[state]

        return value(self.system.initial)

    def drops(self, *, together: bool = False) -> tuple[Fraction, ...]:
        memo: dict[State, dict[int, Fraction]] = {}

        def value(state: State) -> dict[int, Fraction]:
            if state not in memo:
                found: dict[int, Fraction] = defaultdict(Fraction)
                choices = self.next(state)
                if together and self.system.world(state).linked == self.linked:
                    waiting = [any(map(links, moves)) for moves in choices]
                    if not all(waiting):
                        choices = [
                            c for c, waits in zip(choices, waiting, strict=True) if not waits
                        ]
                for move in [m for moves in choices for m in moves]:
                    for n, p in value(move.state).items():
                        found[n + move.drops] += p * move.answer.odds / len(choices)
                memo[state] = dict(found) or {0: Fraction(1)}
            return memo[state]

        found = value(self.system.initial)
        return tuple(found.get(n, Fraction(0)) for n in range(max(found) + 1))


def links(move: Move) -> bool:
    return any(kind == "chain" for kind, *_ in move.answer.footprint.writes)


def agrees(calls: Calls, world: World, *, lazy: bool) -> bool:
    plain = Plain(calls, world)
    assume(plain.small(2500))
    graph = graph_of(calls, world, lazy=lazy)
    overlap = graph_of(calls, world, lazy=lazy, together=True)
    return (
        stripped(odds.drops(graph)) == stripped(plain.drops())
        and 1 - odds.drops(graph)[0] == drop_odds(plain.system)
        and stripped(odds.drops(overlap)) == stripped(plain.drops(together=True))
        and odds.worst(graph) == plain.adaptive(max)
        and odds.best(graph) == plain.adaptive(min)
    )


@each_kernel(*TELLING)
@settings(max_examples=6)
@given(data=st.data())
def test_odds_of_drawn_scenarios(kernel: str, data: st.DataObject) -> None:
    s = data.draw(drawn_scenarios(kernel))
    assert agrees(calls_on(s, None), s.world(), lazy=data.draw(st.booleans()))


@settings(max_examples=40)
@given(work=drawn_workloads())
def test_odds_of_drawn_workloads(work: Workload) -> None:
    assert agrees(work.calls(), work.world(), lazy=False)


def test_the_probabilities_of_the_ends_are_those_of_their_drops() -> None:
    s = scenario("6.12.117", "snat to 203.0.113.1:4000-4003 random-fully")
    graph = graph_of(calls_on(s, None), s.world(), lazy=True)
    dropped = sum(
        p
        for number, p in odds.ends(graph).items()
        for fates in graph.system.results(graph.states[number])
        for fate in fates
        if fate.verdict == 0
    )
    assert dropped == sum(n * p for n, p in enumerate(odds.drops(graph)))


# ── arrivals, and the command ───────────────────────────────────────────────────────────────────


def by_hand(work: Workload, share: Fraction) -> list[Fraction]:
    """Every start of every packet: who has committed is seen, who has not is not."""
    found = [Fraction(0)] * (work.packets + 1)
    for pattern, p in patterns(work.packets, share).items():
        for starts in product(range(work.ports), repeat=work.packets):
            chosen: list[int] = []
            for start, seen in zip(starts, pattern, strict=True):
                taken = {*range(work.occupied), *chosen[:seen]}
                walk = [(start + i) % work.ports for i in range(work.ports)]
                chosen.append(next((port for port in walk if port not in taken), walk[-1]))
            table, dropped = set(range(work.occupied)), 0
            for port in chosen:
                dropped += port in table
                table.add(port)
            found[dropped] += p / work.ports**work.packets
    return found


@settings(max_examples=25)
@given(
    packets=st.integers(1, 3),
    ports=st.integers(1, 4),
    data=st.data(),
    share=st.fractions(0, 1, max_denominator=20),
)
def test_arrivals_step_by_step(
    packets: int, ports: int, data: st.DataObject, share: Fraction
) -> None:
    work = Workload(packets, ports, data.draw(st.integers(0, ports)), "random")
    assert odds.on_arrival(work.calls(), work.world(), share) == tuple(by_hand(work, share))


@pytest.mark.parametrize("kernel", RELEASES)
@pytest.mark.parametrize("nat", ["masquerade", "masquerade random"])
def test_arrivals_at_once_overlap_and_far_apart_do_not(kernel: str, nat: str) -> None:
    s = scenario(kernel, nat)
    at_once, never = (odds.odds_of(s, share=Fraction(share)) for share in (1, 0))
    assert never.arrivals == (Fraction(1), Fraction(0), Fraction(0))
    if (kernel, nat) != ("2.6.24", "masquerade random"):
        assert at_once.arrivals == at_once.overlap


def test_of_2_6_24_it_matters_how_two_choices_overlap() -> None:
    """Its random start is put where the other's walk goes on from, so they get into each other's way."""
    found = odds.odds_of(scenario("2.6.24", "masquerade random"), share=Fraction(1))
    assert found.arrivals is not None
    assert found.overlap is not None
    assert 1 - found.arrivals[0] == Fraction(33, 2097152) < Fraction(1, 5) < 1 - found.overlap[0]


def test_the_order_matters_where_packets_are_told_apart() -> None:
    """One keeps its port; the other's hash finds it free only if it comes first."""
    s = scenario("4.19.66", "masquerade", ports=(32769, 32770), rover=("tcp=0",))
    assert sum(odds.odds_of(s, share=Fraction(1, 3)).arrivals or ()) == 1


def test_delays_are_the_drops_one_by_one() -> None:
    found = odds.odds_of(scenario("6.12.117", retransmit="1,3"))
    assert found.uniform is not None
    assert found.delays == {0: found.uniform[0], 1000: found.uniform[1]}


@pytest.mark.parametrize("more", [{"cpus": 1}, {"retransmit": "1"}])
def test_arrivals_that_mean_nothing_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="arrivals"):
        odds.odds_of(scenario("6.12.117", **more), share=Fraction(1, 2))


Capture = pytest.CaptureFixture[str]


def test_the_command_prints_what_it_says(capsys: Capture) -> None:
    flags = ["--nat", "masquerade random-fully", "--window", "100", "--commit", "1.2"]
    assert main(["odds", *flags]) == 1
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for line in (
        "full overlap 1.573563e-05   33/2097152",
        "arrivals     3.753891e-07   49203/131072000000",
        "best         0",
    ):
        assert line in text
    assert main(["odds", *flags, "--format", "json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["some_dropped"]["overlap"]["exact"] == "33/2097152"
    assert data["share"] == {"exact": "3/250", "value": 0.012}
    assert sum(Fraction(p["exact"]) for p in data["dropped"]["uniform"]) == 1


def test_the_command_with_a_limit_is_not_decided(capsys: Capture) -> None:
    assert main(["odds", "--max-states", "20"]) == 3
    assert "not decided" in capsys.readouterr().out


def test_the_command_where_nothing_is_dropped(capsys: Capture) -> None:
    assert main(["odds", "--nat", "none"]) == 0
    assert "no packet is dropped" in capsys.readouterr().out


@pytest.mark.parametrize(
    "flags",
    ["--window 1", "--window 1 --commit 2", "--window 0 --commit 0", "--window x --commit 1"],
)
def test_bad_times_are_one_clear_line(flags: str, capsys: Capture) -> None:
    assert main(["odds", *flags.split()]) == 2
    err = capsys.readouterr().err
    assert "window" in err
    assert len(err.splitlines()) == 1


def test_a_limit_stops_the_graph() -> None:
    work = Workload(4, 8, 0, "random")
    assert not Quotient(work.calls(), work.world()).grow(Limits(states=50))


# ── an error is noticed ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("where", "mutant"),
    [
        ("natmodel.schedulers._scheduler", lambda graph: 1),
        ("natmodel.quotient.links", lambda edge: False),
        ("natmodel.symmetry._runs", each_once),
        ("natmodel.schedulers._unit", lambda graph, order, scheduler: 1),
    ],
)
def test_a_mutant_is_noticed(where: str, mutant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, mutant)

    shown_by(drawn_workloads(), lambda work: agrees(work.calls(), work.world(), lazy=False), 300)
