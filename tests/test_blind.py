# SPDX-License-Identifier: GPL-2.0-or-later
"""Paths of a user's own are explored without reductions, unless their author declares them blind."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import product
from typing import Any

import attrs
import pytest

from natmodel.blind import is_blind
from natmodel.controls import locked
from natmodel.explore import Explored, Explorer
from natmodel.ops import Call, RandomU16, Window, blind, path
from natmodel.paths.nf_nat_l4proto_unique_tuple import port_window
from natmodel.paths.nf_nat_used_tuple import nf_nat_used_tuple
from natmodel.release import Release
from natmodel.releases import RELEASES, V6_12_117
from natmodel.scenario import Scenario
from natmodel.schedule import Schedule
from natmodel.testing import with_release
from natmodel.values import Conn, CtTuple, Manip, NatRange
from natmodel.verdict import Quantifier, Verdict, check
from tests.exploring import POD, drops, fates

BOTH = ("lazy draws", "merged cpus")


def pods(*hosts: int, ports: tuple[int, ...] = ()) -> Scenario:
    sources = ports or (32769,) * len(hosts)
    packets = [POD.format(host, port) for host, port in zip(hosts, sources, strict=True)]
    return Scenario(nat=["masquerade to :4000-4003 random"], packets=packets)


def witness_of(verdict: Verdict) -> Schedule:
    assert verdict.witness is not None
    return verdict.witness


def search(s: Scenario, k: Release, **options: Any) -> Explored:
    own = with_release(s, k)
    return Explorer(own.threads(), own.world(), **options).run()


# ── an address that a path looks at ─────────────────────────────────────────────────────────────


def by_address(ports: tuple[int, ...]) -> Release:
    """Each pod has a port of its own: ports[the last three bits of its address]."""

    @path
    async def port_of_pod(k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn) -> CtTuple:
        return t.with_sport(4000 + ports[ct.orig.src & 7])

    return attrs.evolve(V6_12_117, name="by address", l4proto_unique_tuple=port_of_pod)


@pytest.mark.parametrize("ports", [*product(range(2), repeat=2), *product(range(2), repeat=3)])
def test_cpus_are_not_merged_where_a_path_looks_at_the_address(ports: tuple[int, ...]) -> None:
    s, row = pods(*range(8, 8 + len(ports))), by_address(ports)
    verdict = check(with_release(s, row), exhaustive=True)
    truth = search(s, row, lazy=False, merge=False)
    assert verdict.explored.states == truth.states
    assert verdict.explored.outcomes == truth.outcomes
    assert verdict.witness == truth.witness
    assert (verdict.witness is None) == (len(set(ports)) == len(ports))
    assert verdict.reductions == ()


# ── a draw that is more than the start of a walk ────────────────────────────────────────────────


def tossing(unlucky: Callable[[int], bool]) -> Release:
    """A draw decides whether everybody gets one port, and starts no walk."""

    @path
    async def coin(k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn) -> CtTuple:
        off = await RandomU16(k.rng, Window(t, True, 4000, 16, 16))
        return t.with_sport(5000 if unlucky(off) else 5000 + (ct.orig.sport & 7))

    return attrs.evolve(V6_12_117, name="coin", l4proto_unique_tuple=coin)


@pytest.mark.parametrize(
    ("unlucky", "in_one_step"),
    [
        (65000, False),
        pytest.param(9, False, marks=pytest.mark.exhaustive),
        pytest.param(65000, True, marks=pytest.mark.exhaustive),
    ],
)
def test_a_draw_that_a_path_looks_at_branches_into_every_value(
    unlucky: int, in_one_step: bool
) -> None:
    """One value in 65,536 gives a port that is occupied."""
    row = tossing(lambda off: off == unlucky)
    s = attrs.evolve(pods(8), occupied=["5000"])
    verdict = check(with_release(s, locked(row) if in_one_step else row))
    assert verdict.quantifier is Quantifier.SOMETIMES
    assert [(unlucky,)] == [step.draws for step in witness_of(verdict).steps if step.draws]
    assert verdict.reductions == ()


def test_natmodels_own_walk_in_a_row_that_is_not_blind_stays_a_walk() -> None:
    """Another function of the row is the user's: the draw still starts a walk over four ports."""

    @path
    async def as_usual(k: Release, t: CtTuple, ct: Conn) -> bool | Call[bool]:
        return nf_nat_used_tuple(k, t, ct)

    row = attrs.evolve(V6_12_117, name="as usual", used_tuple=as_usual, used_tuple_new=as_usual)
    explored = search(pods(8, 9), row)
    usual = search(pods(8, 9), V6_12_117, lazy=False, merge=False)
    assert explored.reductions == ()
    assert (explored.states, fates(explored)) == (usual.states, fates(usual))


# ── declared ────────────────────────────────────────────────────────────────────────────────────


@path(blind=True)
async def first_port(k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn) -> CtTuple:
    return t.with_sport(4000)


@path(blind=False)
async def undeclared(k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn) -> CtTuple:
    return t.with_sport(4000)


def row_with(search: Any) -> Release:
    return attrs.evolve(V6_12_117, name="mine", l4proto_unique_tuple=search)


def test_a_declared_path_is_explored_in_the_reduced_form() -> None:
    s = pods(8, 9, 10)
    reduced, full = search(s, row_with(first_port)), search(s, row_with(undeclared))
    assert (reduced.reductions, full.reductions) == (BOTH, ())
    assert reduced.states < full.states
    assert fates(reduced) == fates(full)
    assert reduced.witness == full.witness
    assert max(map(drops, full.outcomes)) == 2


def test_what_is_asked_for_can_only_be_less() -> None:
    s = pods(8, 9)
    assert search(s, V6_12_117).reductions == BOTH
    assert search(s, V6_12_117, merge=False).reductions == ("lazy draws",)
    assert search(s, V6_12_117, lazy=False).reductions == ("merged cpus",)
    assert search(pods(8, 8, ports=(1, 2)), V6_12_117).reductions == ("lazy draws",)


@pytest.mark.parametrize("name", RELEASES)
def test_natmodels_own_rows_are_blind(name: str) -> None:
    assert is_blind(RELEASES[name])
    assert is_blind(locked(RELEASES[name]))


def test_a_declaration_keeps_the_name_and_the_body() -> None:
    t = CtTuple(2, 6, 1, 2, 3, 4)
    call = first_port(V6_12_117, t, NatRange(), Manip.SRC, Conn(0, t, t))
    assert (call.name, first_port.__name__) == ("first_port", "first_port")
    with pytest.raises(TypeError, match="positional"):
        first_port(k=V6_12_117)  # type: ignore[call-arg]  # that is the fault


def my_window(t: CtTuple, r: NatRange, manip: Manip) -> tuple[int, int] | None:
    return (4000 + t.src % 2, 1)


@functools.wraps(port_window)
def disguised(t: CtTuple, r: NatRange, manip: Manip) -> tuple[int, int] | None:
    return (4000 + t.src % 2, 1)


@functools.wraps(V6_12_117.used_tuple)
def disguised_path(k: Release, t: CtTuple, ct: Conn) -> Call[bool]:
    return V6_12_117.used_tuple(k, t.with_sport(t.sport + ct.orig.src % 2), ct)


class MyRelease(Release):
    """May answer anything."""


def of_my_own(k: Release) -> MyRelease:
    return MyRelease(**{a.name: getattr(k, a.name) for a in attrs.fields(Release)})


@pytest.mark.parametrize(
    "k",
    [
        attrs.evolve(V6_12_117, port_window=my_window),
        attrs.evolve(V6_12_117, port_window=disguised),
        attrs.evolve(V6_12_117, used_tuple=disguised_path),
        attrs.evolve(V6_12_117, find_best_ips=functools.partial(V6_12_117.find_best_ips)),
        of_my_own(V6_12_117),
        row_with(undeclared),
        tossing(bool),
    ],
)
def test_every_function_of_a_row_counts(k: Release) -> None:
    assert not is_blind(k)
    calls = with_release(pods(8, 9), k).threads()
    assert not any(map(is_blind, calls))
    assert not is_blind((1, ("x", calls[0])))


def test_a_function_that_is_no_path_can_be_declared_too() -> None:
    @blind
    def window_of_one(t: CtTuple, r: NatRange, manip: Manip) -> tuple[int, int] | None:
        return (4000, 1)

    assert is_blind(attrs.evolve(V6_12_117, port_window=window_of_one))


def test_the_outermost_path_counts() -> None:
    @path
    async def two_lives(k: Release, helper: Callable[..., object]) -> int:
        return 0

    @path(blind=True)
    async def one_life(k: Release, helper: Callable[..., object]) -> int:
        return 0

    assert not is_blind(two_lives(V6_12_117, int))
    assert not is_blind(one_life(V6_12_117, lambda: 1))
    assert is_blind(one_life(V6_12_117, V6_12_117.used_tuple))
