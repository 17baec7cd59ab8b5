# SPDX-License-Identifier: GPL-2.0-or-later
"""Classes of random draws against full enumeration of the 65,536 starts (SPEC b.1)."""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from natmodel import draws
from natmodel.draws import U16, Label, every_walk, neighbourhoods
from natmodel.quotient import Quotient
from natmodel.schedulers import worst
from natmodel.system import System
from natmodel.verdict import replay
from tests.exploring import explore, fates, reachable, scenario


def walk(off: int, size: int, attempts: int) -> tuple[int, ...]:
    """The residues that a walk names, wrapping at 65,536 as a u16 does."""
    return tuple(((off + i) & 0xFFFF) % size for i in range(attempts))


@pytest.mark.parametrize(
    ("size", "attempts"),
    [(1, 1), (2, 2), (4, 4), (5, 5), (7, 7), (16, 16), (100, 100), (127, 127), (1000, 8),
     (424, 16), (511, 16), (64512, 1), (64512, 8), (65535, 4), (65536, 4)],
)  # fmt: skip
def test_every_walk_equals_full_enumeration(size: int, attempts: int) -> None:
    truth = Counter(walk(off, size, attempts) for off in range(U16))
    classes: Counter[tuple[int, ...]] = Counter()
    for off, odds in every_walk(size, attempts):
        assert odds * U16 == int(odds * U16)
        classes[walk(off, size, attempts)] += int(odds * U16)
    assert classes == truth
    assert len(every_walk(size, attempts)) <= max(size, 1) + attempts


def test_the_default_range_is_not_uniform() -> None:
    """Ports 1024..2047 come out twice as often; two draws agree with 67,584 / 2^32 (SPEC b.1)."""
    port: defaultdict[int, Fraction] = defaultdict(Fraction)
    for off, odds in every_walk(64512, 1):
        port[1024 + off % 64512] += odds
    assert {p for p, odds in port.items() if odds == Fraction(2, U16)} == set(range(1024, 2048))
    assert set(port.values()) == {Fraction(1, U16), Fraction(2, U16)}
    assert sum(odds**2 for odds in port.values()) == Fraction(67584, 2**32)


labels = st.dictionaries(
    st.integers(0, 40),
    st.tuples(st.booleans(), st.sampled_from(["named", "entry", "stamp"]), st.integers(0, 3)),
    max_size=6,
)


@settings(max_examples=8)  # each one looks at all 65,536 starts
@given(
    size=st.one_of(st.integers(1, 41), st.sampled_from([300, 511, 1000, 64512, 65535, 65536])),
    attempts=st.integers(1, 20),
    others=st.integers(0, 3),
    labelled=labels,
    at=st.integers(0, 65535),
)
def test_lazy_classes_equal_full_enumeration(
    size: int,
    attempts: int,
    others: int,
    labelled: dict[int, tuple[bool, str, int]],
    at: int,
) -> None:
    """The shortcuts for starts far from every label and far from the wrap lose nothing."""
    named = {
        (at + off) % size: Label(occupied, (name, n))
        for off, (occupied, name, n) in labelled.items()
    }
    found = neighbourhoods(size, attempts, others, frozenset(named.items()))
    starts = draws._Starts(size, attempts, others, named)
    around = [starts._around(off) for off in range(U16)]
    whole: defaultdict[int, Counter[object]] = defaultdict(Counter)
    for off in range(U16):
        whole[off % size][around[off]] += 1
    frozen = {residue: frozenset(counts.items()) for residue, counts in whole.items()}
    truth: dict[object, list[int]] = {}
    for off in range(U16):
        at_class = truth.setdefault((around[off][0], frozen[off % size]), [off, 0])
        at_class[1] += 1
    assert found == sorted((off, Fraction(n, U16)) for off, n in truth.values())


# ── buckets, chains, limits ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kernel", ["4.19.66", "6.12.117"])
@pytest.mark.parametrize(
    "nat", ["masquerade", "snat to 203.0.113.1:4000-4002 random-fully", "masquerade random"]
)
def test_order_forgotten_and_order_kept_agree(kernel: str, nat: str) -> None:
    """Without hash keys the explorer forgets the order of chains; with them it keeps it."""
    forgotten = explore(scenario(kernel, nat), merge=False)
    kept = explore(scenario(kernel, nat, boot="buckets 65536"), merge=False)
    assert fates(forgotten) == fates(kept)
    if kernel != "4.19.66" or nat != "masquerade random":  # there, keys fix the start as well
        assert forgotten.states <= kept.states


def test_the_chain_limit_branches_where_a_chain_can_reach_it() -> None:
    """One bucket, 27 entries: 54 nodes.  Too long at 52 or more for the least limit (SPEC f.3)."""
    s = scenario("6.12.117", ports=(1025,), occupied=("5000-5026",), boot="buckets 1")
    explored = explore(s)
    assert fates(explored) == {((0, "chain too long"),), ((1, "inserted"),)}
    system = System(s.threads(), s.world())
    limits = {
        move.answer.draws: move.answer.odds
        for state in reachable(system)
        for move in system.moves(state)
        if move.answer.draws
    }
    # 54 nodes are too many for limits 50, 51 and 52, each drawn singly; the others are one class.
    assert limits == {
        (0,): Fraction(1, 30),
        (1,): Fraction(1, 30),
        (2,): Fraction(1, 30),
        (3,): Fraction(27, 30),
    }
    witness = explored.witness
    assert witness is not None
    trace = replay(s, witness)
    assert trace.counters["chaintoolong"] == trace.counters["insert_failed"] == 1
    assert "drop" not in trace.counters


@pytest.mark.parametrize("boot", [None, "buckets 65536"])
def test_no_limit_is_drawn_where_no_chain_can_reach_it(boot: str | None) -> None:
    s = scenario("6.12.117", ports=(1025,), boot=boot)
    system = System(s.threads(), s.world())
    assert not any(move.answer.draws for state in reachable(system) for move in system.moves(state))


def test_a_walk_inside_an_occupied_run_is_told_from_others() -> None:
    """Two holes in one run of strangers: who walks towards the one does not come to the other."""
    s = scenario("6.12.117", "snat to 203.0.113.1:4000-4006 random-fully", occupied=("4001,4004",))
    odds = []
    for lazy in (True, False):
        graph = Quotient(s.threads(), s.world(), lazy=lazy)
        assert graph.grow()
        odds.append(worst(graph))
    assert odds[0] == odds[1]
