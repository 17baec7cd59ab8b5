# SPDX-License-Identifier: GPL-2.0-or-later
"""The four rows of docs/own-allocator.md: their verdicts and odds, and that what they declare is true."""

from __future__ import annotations

import inspect
import re
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from docs.examples import (
    FOUR_PORTS,
    KEEPING,
    by_source,
    choose_again,
    odds_of_a_drop,
    one_lock,
    partition,
    pods,
)
from docs.examples.by_source import hashing_by_source, start_of
from docs.examples.choose_again import choosing_again
from docs.examples.one_lock import ONE_LOCK, odds_of_waiting
from docs.examples.partition import partitioned
from natmodel.blind import is_blind
from natmodel.odds import drops
from natmodel.quotient import Quotient
from natmodel.release import Packet, Release
from natmodel.releases import V6_12_117
from natmodel.scenario import Scenario, with_release
from natmodel.schedule import Schedule
from natmodel.trace import Kind, trace_of
from natmodel.values import parse_address
from natmodel.verdict import Verdict, check, replay, to_the_end
from proofs.a_safety import two_nodes_in_the_table_carry_one_key, two_packets_have_chosen_one_key

MODULES = (partition, choose_again, one_lock, by_source)
PAGE = (Path(__file__).parent.parent / "docs" / "own-allocator.md").read_text(encoding="utf-8")
EACH = (
    partitioned(2),
    choosing_again(1),
    choosing_again(1, locked=True),
    ONE_LOCK,
    hashing_by_source(0),
)
NEVER = ("never", Fraction(0))
each_row = pytest.mark.parametrize("row", EACH, ids=lambda row: row.name.partition(", ")[2])


def asked(row: Release, hosts: tuple[int, ...] = (8, 9), **more: Any) -> Verdict:
    return check(pods(row, hosts, **more), exhaustive=True)


def said(row: Release, hosts: tuple[int, ...] = (8, 9), **more: Any) -> tuple[str, Fraction]:
    verdict = asked(row, hosts, **more)
    return verdict.quantifier.value, odds_of_a_drop(verdict.scenario)


def causes(verdict: Verdict) -> list[Kind]:
    assert verdict.witness is not None
    return [cause.kind for cause in trace_of(replay(verdict.scenario, verdict.witness)).causes]


# ── all four ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_page_shows_the_paths_word_for_word(module: ModuleType) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    shown = [block for block in blocks if block in inspect.getsource(module)]
    assert len(shown) == 1
    assert sum(bool(line.strip()) for line in shown[0].splitlines()) <= 40


@each_row
@pytest.mark.parametrize("ports", ["4000-4003", "4000-4006"])
def test_a_full_window_drops_every_packet(row: Release, ports: str) -> None:
    nat = f"masquerade to :{ports} random"
    verdict = check(pods(row, nat=nat, occupied=[ports]), exhaustive=True, outcomes=True)
    assert [outcome.drops for outcome in verdict.outcomes] == [2]
    assert odds_of_a_drop(verdict.scenario) == 1


@each_row
def test_confirm_is_as_safe_as_the_kernels(row: Release) -> None:
    """A theorem of proofs/ on a row of one's own."""
    assert two_nodes_in_the_table_carry_one_key.evidence(row).endswith("states")


@each_row
def test_its_bound_names_the_row(row: Release) -> None:
    assert f"kernel {row.name}, " in asked(row).bound


def test_two_rows_take_the_choice_of_one_port_away() -> None:
    for row in (partitioned(2), ONE_LOCK):
        with pytest.raises(AssertionError, match="no such state"):
            two_packets_have_chosen_one_key.evidence(row)
    for row in (choosing_again(1), choosing_again(1, locked=True), hashing_by_source(0)):
        assert two_packets_have_chosen_one_key.evidence(row).startswith("state")


@each_row
def test_blind_is_declared_where_it_is_true(row: Release) -> None:
    """What is declared is explored in the reduced form, and has the odds of the full one."""
    assert is_blind(row) == (row.name not in (partitioned(2).name, hashing_by_source(0).name))
    for s in (pods(row), pods(row, nat=KEEPING, port=4001), pods(row, occupied=["4001"])):
        full = Quotient(s.threads(), s.world(), lazy=False, merge=False)
        assert full.grow()
        assert odds_of_a_drop(s) == 1 - drops(full)[0]


def test_the_unmodified_row() -> None:
    assert said(V6_12_117) == ("sometimes", Fraction(63, 512))
    assert said(V6_12_117, nat=KEEPING, port=4001) == ("sometimes", Fraction(63, 128))
    assert said(V6_12_117, occupied=["4000-4001"]) == ("sometimes", Fraction(4473, 16384))
    assert said(V6_12_117, (8, 9, 10)) == ("sometimes", Fraction(520093945, 1451188224))


# ── partitions ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cpus", [2, 3])
@pytest.mark.parametrize("nat", [FOUR_PORTS, KEEPING])
def test_slices_never_clash(cpus: int, nat: str) -> None:
    hosts = tuple(range(8, 8 + cpus))
    assert said(partitioned(cpus), hosts, nat=nat, port=4001) == NEVER


def test_a_slice_runs_out_while_ports_of_another_are_free() -> None:
    verdict = asked(partitioned(2), occupied=["4000-4001"])
    assert (verdict.quantifier.value, str(verdict.witness)) == ("always", "000[0]0000")
    assert causes(verdict) == [Kind.EXHAUSTED]
    assert odds_of_a_drop(verdict.scenario) == 1
    verdict = asked(partitioned(2), (8, 9, 10), cpus=2, occupied=["4000"])
    assert (verdict.quantifier.value, causes(verdict)) == ("always", [Kind.EXHAUSTED])


@pytest.mark.parametrize(("number", "cpus"), [(2, 2), (4, 2), (5, 3)])
def test_a_connection_tells_its_cpu(number: int, cpus: int) -> None:
    """What in_own_slice takes for granted."""
    s = pods(V6_12_117, range(8, 8 + number), cpus=cpus)
    for cpu, call in enumerate(s.threads()):
        packets: tuple[Packet, ...] = call.args[1]
        assert {packet.id % cpus for packet in packets} == {cpu}


# ── choosing again ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("packets", "tries"), [(2, 1), (3, 1), (3, 2)])
@pytest.mark.parametrize("nat", [FOUR_PORTS, KEEPING])
def test_n_packets_need_to_choose_n_times(packets: int, tries: int, nat: str) -> None:
    verdict = asked(choosing_again(tries), tuple(range(8, 8 + packets)), nat=nat, port=4001)
    assert (verdict.quantifier.value == "never") == (tries >= packets - 1)
    if verdict.witness:
        assert causes(verdict) == [Kind.RACE]


@pytest.mark.parametrize("packets", [2, 3, pytest.param(4, marks=pytest.mark.exhaustive)])
def test_once_more_under_a_lock_is_enough(packets: int) -> None:
    hosts = tuple(range(8, 8 + packets))
    assert said(choosing_again(1, locked=True), hosts) == NEVER


def test_without_another_try_it_is_the_kernel() -> None:
    assert said(choosing_again(0)) == said(V6_12_117)


@pytest.mark.parametrize(("tries", "steps"), [(0, 258), (1, 514), (2, 770)])
def test_a_full_window_is_walked_once_for_each_choice(tries: int, steps: int) -> None:
    s = pods(
        choosing_again(tries), (8,), nat="masquerade to :4000-4255 random", occupied=["4000-4255"]
    )
    assert len(to_the_end(s, Schedule(()))) == steps


# ── one lock ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("hosts", [(8, 9), (8, 9, 10)])
@pytest.mark.parametrize("nat", [FOUR_PORTS, KEEPING])
def test_under_one_lock_nobody_clashes(hosts: tuple[int, ...], nat: str) -> None:
    assert said(ONE_LOCK, hosts, nat=nat, port=4001) == NEVER


def test_how_often_somebody_waits() -> None:
    assert odds_of_waiting(pods(ONE_LOCK)) == Fraction(127, 128)
    assert odds_of_waiting(pods(ONE_LOCK, (8, 9, 10))) == Fraction(2239481, 2239488)
    assert odds_of_waiting(pods(ONE_LOCK, (8,))) == 0


@pytest.mark.parametrize("row", [*EACH, V6_12_117], ids=lambda row: row.name)
def test_a_SYN_that_comes_twice_is_beyond_all_of_them(row: Release) -> None:  # TCP's name
    """Two packets of one connection clash on ORIGINAL, and a lock that is taken later is no help."""
    syn = "tcp 172.16.1.8:32769 > 198.51.100.7:80"
    verdict = check(with_release(Scenario(nat=[FOUR_PORTS], packets=[syn, syn]), row))
    assert verdict.quantifier.value == "sometimes"
    assert causes(verdict) == [Kind.SAME_ORIGINAL]


# ── hashing by source ───────────────────────────────────────────────────────────────────────────


def start(host: int, secret: int, size: int = 4) -> int:
    return start_of(parse_address(f"172.16.1.{host}")[1], 32769, secret, size)


@pytest.mark.parametrize(
    "secret", [0, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in (1, 2))]
)
def test_a_pair_clashes_if_and_only_if_it_starts_together(secret: int) -> None:
    """All pairs of 16 sources, on an empty window: 35/64, or never."""
    for pair in combinations(range(8, 24), 2):
        together = len({start(host, secret) for host in pair}) == 1
        expected = ("sometimes", Fraction(35, 64)) if together else NEVER
        assert said(hashing_by_source(secret), pair) == expected


def test_among_occupied_ports_it_is_the_first_free_one_that_counts() -> None:
    for pair in combinations(range(8, 24), 2):
        free = {max(start(host, 0), 2) if start(host, 0) == 1 else start(host, 0) for host in pair}
        verdict = asked(hashing_by_source(0), pair, occupied=["4001"])
        assert (verdict.quantifier.value == "sometimes") == (len(free) == 1)


def test_three_clash_if_and_only_if_two_of_them_start_together() -> None:
    for hosts in combinations(range(8, 16), 3):
        starts = {start(host, 0) for host in hosts}
        assert (check(pods(hashing_by_source(0), hosts)).witness is None) == (len(starts) == 3)


def test_it_draws_nothing_and_keeps_no_port_by_itself() -> None:
    assert said(hashing_by_source(0), nat=KEEPING, port=4001) == ("sometimes", Fraction(63, 128))


def test_an_unlucky_pair_on_the_whole_range() -> None:
    pairs = [p for p in combinations(range(1, 255), 2) if len({start(h, 0, 64512) for h in p}) == 1]
    assert pairs == [(79, 110)]
    s = pods(hashing_by_source(0), pairs[0], nat="masquerade random")
    assert str(check(s).witness) == "0000 11111 0"
    assert odds_of_a_drop(s) == Fraction(35, 64)
    usual = pods(V6_12_117, pairs[0], nat="masquerade random")
    assert odds_of_a_drop(usual) == Fraction(2079, 2**28)
