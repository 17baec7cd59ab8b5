# SPDX-License-Identifier: GPL-2.0-or-later
"""A path that depends on more than its arguments and replies is refused, and the reason is named."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from natmodel import ops
from natmodel.controls import locked
from natmodel.explore import Explorer
from natmodel.ops import Call, RoverLoad, path
from natmodel.purity import ImpurePath
from natmodel.release import Packet, Release
from natmodel.releases import RELEASES
from natmodel.scenario import Scenario
from natmodel.threads import Threads
from natmodel.values import Conn, CtTuple, Manip, NatRange

COUNTED = [0]
TICKS = 0


def a_global(key: int) -> int:
    COUNTED[0] += 1
    return key + COUNTED[0]


def another_global(key: int) -> int:
    global TICKS
    TICKS += 1
    return key + TICKS


def the_order_of_a_set(key: int) -> int:
    return next(iter({str(key), str(key + 1), "x"})).__len__()


def the_clock(key: int) -> int:
    return key + time.monotonic_ns()


def random_numbers(key: int) -> int:
    return key + random.randrange(1000)


class Hidden:
    """Something that the code of a path does not show."""

    calls: int = 0

    def __int__(self) -> int:
        Hidden.calls += 1
        return Hidden.calls


IMPURE: list[tuple[Callable[[int], int], str]] = [
    (a_global, "global 'COUNTED'"),
    (another_global, "global 'TICKS'"),
    (the_order_of_a_set, "set"),
    (the_clock, "clock"),
    (random_numbers, "random"),
]


def user_path(helper: Callable[[int], int]) -> Call[int]:
    """A path of a user's own, which calls the helper."""

    @path
    async def of_a_user(key: int) -> int:
        return await RoverLoad(helper(key) % 256)

    return of_a_user(7)


@pytest.mark.parametrize(("helper", "named"), IMPURE)
def test_an_impure_path_of_a_user_is_named(helper: Callable[[int], int], named: str) -> None:
    with pytest.raises(ImpurePath, match=named) as refused:
        Threads().start(user_path(helper))
    assert "of_a_user" in str(refused.value)


def impure_release(helper: Callable[[int], int]) -> Release:
    """A release row whose port search consults the helper."""

    @path
    async def impure_search(k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn) -> CtTuple:
        return t.with_sport(helper(t.sport) % 65536)

    row = RELEASES["6.12.117"]
    return attrs.evolve(row, name="impure", l4proto_unique_tuple=impure_search)


@pytest.mark.parametrize(("helper", "named"), IMPURE)
def test_an_impure_path_of_a_release_is_named(helper: Callable[[int], int], named: str) -> None:
    scenario = Scenario.from_arguments(nat=("masquerade random",))
    calls: list[Call[Any]] = [
        Call(call.body, (impure_release(helper), *call.args[1:])) for call in scenario.threads()
    ]
    with pytest.raises(ImpurePath, match=named) as refused:
        Explorer(calls, scenario.world()).run()
    assert "impure_search" in str(refused.value)


def test_what_the_code_hides_is_caught_when_it_runs() -> None:
    @path
    async def hidden(key: Any) -> int:
        return await RoverLoad(int(key))

    with pytest.raises(ImpurePath, match="once gave"):
        Threads().start(hidden(Hidden()))


def test_a_path_may_not_be_given_a_set() -> None:
    @path
    async def given_a_set(keys: frozenset[int]) -> int:
        return await RoverLoad(max(keys))

    with pytest.raises(ImpurePath, match="set"):
        Threads().start(given_a_set(frozenset({1, 2})))


@pytest.mark.parametrize("name", RELEASES)
def test_the_paths_of_every_release_are_pure(name: str) -> None:
    row = RELEASES[name]
    for k in (row, locked(row)):
        for field in attrs.fields(Release):
            value = getattr(k, field.name)
            body = getattr(value, "__wrapped__", None)
            if body is not None:
                Threads()._inspect((body, (), ()))


def test_names_in_paths_are_told_from_packets() -> None:
    """The tests' own paths are looked at like any other: this one is fine."""

    @path
    async def fine(p: Packet) -> int:
        return await ops.RoverLoad(p.t.protonum)

    packet = Packet(0, CtTuple(2, 6, 1, 2, 3, 4))
    assert Threads().start(fine(packet)) == 0
