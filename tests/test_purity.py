# SPDX-License-Identifier: GPL-2.0-or-later
"""A path that depends on more than its arguments and replies is refused, and the reason is named."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
import random
import time
from collections.abc import Callable
from os import urandom
from typing import Any

import attrs
import pytest

from natmodel import cli, ops, paths, values
from natmodel.controls import locked
from natmodel.explore import Explorer
from natmodel.ops import Call, RoverLoad, path
from natmodel.purity import ImpurePath, inspect
from natmodel.release import Packet, Release
from natmodel.releases import RELEASES, l4proto
from natmodel.scenario import Scenario
from natmodel.testing import with_release
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


NAMES = frozenset({"a", "bb", "ccc"})
CHANGING = {1}


def the_order_of_a_constant_set(key: int) -> int:
    for name in {"a", "bb", "ccc"}:
        return key + len(name)
    return key


def the_order_of_a_constant_set_in_a_comprehension(key: int) -> int:
    return [len(name) + key for name in {"a", "bb", "ccc"}][0]  # noqa: RUF015  # the fault to be found


def the_order_of_a_global_set(key: int) -> int:
    return key + len(next(iter(NAMES)))


def the_order_of_a_set_behind_another_name(key: int) -> int:
    names = NAMES
    return key + len(next(iter(names)))


def the_order_of_a_set_of_a_module(key: int) -> int:
    return key + next(iter(l4proto.TRACKERS))


def a_set_that_changes(key: int) -> int:
    return key + (key in CHANGING)


def the_order_of_keys(key: int) -> int:
    table = dict.fromkeys(("a", "bb"))
    return key + len(next(iter(table.keys() | ("ccc",))))


def the_order_of_kept_keys(key: int) -> int:
    keys = dict.fromkeys(("a", "bb")).keys()
    return key + len(next(iter(keys - {"a"} if key else keys)))


def the_order_of_keys_by_method(key: int) -> int:
    return key + len(next(iter({"a": 1}.keys().__or__({"b"}))))


def a_hash(key: int) -> int:
    return key + "abc".__hash__()


def another_hash(key: int) -> int:
    return key + hash("abc")


def an_imported_clock(key: int) -> int:
    import time

    return key + time.monotonic_ns()


def an_imported_generator(key: int) -> int:
    from random import randrange

    return key + randrange(1000)


def an_import(key: int) -> int:
    from natmodel.values import u16

    return u16(key)


def a_hidden_import(key: int) -> int:
    return key + int(__import__("time").monotonic_ns())


def a_clock_by_another_way(key: int) -> int:
    return key + int(cli.time.monotonic_ns())  # type: ignore[attr-defined]  # cli does not export it


def an_operating_system_s_random_numbers(key: int) -> int:
    return key + urandom(1)[0]


def a_stored_clock(key: int, now: Callable[[], int] = time.monotonic_ns) -> int:
    return key + now()


def a_mutable_default(key: int, seen: list[int] = []) -> int:  # noqa: B006  # the fault to be found
    seen.append(key)
    return key + len(seen)


def a_mutable_keyword_default(key: int, *, seen: dict[int, int] = {}) -> int:  # noqa: B006  # the fault to be found
    return seen.setdefault(key, len(seen))


class Box:
    """What a class may hide."""

    kept: list[int] = []  # noqa: RUF012  # the fault to be found
    calls = 0

    def __init__(self, key: int) -> None:
        self.key = key

    @staticmethod
    def now() -> int:
        return time.monotonic_ns()

    @classmethod
    def later(cls) -> int:
        return cls.now() + 1

    def counted(self) -> int:
        Box.calls += 1
        return self.key + Box.calls

    def moved(self) -> int:
        return self.key + random.randrange(2)

    @property
    def moment(self) -> int:
        return self.key + time.monotonic_ns()


def a_static_method(key: int) -> int:
    return key + Box.now()


def a_class_method(key: int) -> int:
    return key + Box.later()


def a_method(key: int) -> int:
    return Box(key).moved()


def a_counting_method(key: int) -> int:
    return Box(key).counted()


def a_property(key: int) -> int:
    return Box(key).moment


def a_list_of_a_class(key: int) -> int:
    return key + len(Box.kept)


class Stamped:
    def __init__(self) -> None:
        self.at = time.monotonic_ns()


def an_object_that_is_made(key: int) -> int:
    return key + Stamped().at


@attrs.frozen
class Dated:
    at: int = attrs.field(factory=time.monotonic_ns)


def a_field_that_is_made(key: int) -> int:
    return key + Dated().at


@functools.cache
def cached(key: int) -> int:
    return key + time.monotonic_ns()


def a_cached_clock(key: int) -> int:
    return cached(key)


partial = functools.partial(cached, 7)


def a_partial_clock(key: int) -> int:
    return partial()


def wrapped(function: Callable[[int], int]) -> Callable[[int], int]:
    @functools.wraps(function)
    def wrapper(key: int) -> int:
        return function(key) + time.monotonic_ns()

    return wrapper


a_wrapper = wrapped(abs)


def a_wrapped_clock(key: int) -> int:
    return a_wrapper(key)


def counter() -> Callable[[int], int]:
    n = 0

    def a_variable_of_the_function_around(key: int) -> int:
        nonlocal n
        n += 1
        return key + n

    return a_variable_of_the_function_around


def the_globals(key: int) -> int:
    globals()["TICKS"] += 1
    return key + TICKS


MORE_IMPURE: list[tuple[Callable[[int], int], str]] = [
    (the_order_of_a_constant_set, "more with a set than ask what is in it"),
    (the_order_of_a_constant_set_in_a_comprehension, "more with a set than ask"),
    (the_order_of_a_global_set, "the set 'NAMES'"),
    (the_order_of_a_set_behind_another_name, "the set 'NAMES'"),
    (the_order_of_a_set_of_a_module, "the set 'l4proto.TRACKERS'"),
    (a_set_that_changes, "global 'CHANGING', a set, which can change"),
    (the_order_of_keys, "keys of a dictionary by '|', which makes a set"),
    (the_order_of_kept_keys, "keys of a dictionary by '-', which makes a set"),
    (the_order_of_keys_by_method, "keys of a dictionary by '__or__', which makes a set"),
    (a_hash, "hash"),
    (another_hash, "hash"),
    (an_imported_clock, "reads the clock, through 'time', which it imports"),
    (an_imported_generator, "random numbers of its own, through 'random', which it imports"),
    (an_import, "imports 'natmodel.values' when it runs"),
    (a_hidden_import, "reaches outside, through '__import__'"),
    (a_clock_by_another_way, "reads the clock, through 'cli.time'"),
    (an_operating_system_s_random_numbers, "random numbers of its own, through 'urandom'"),
    (a_stored_clock, "reads the clock, through 'now'"),
    (a_mutable_default, "keeps a list in the default of its argument 'seen'"),
    (a_mutable_keyword_default, "keeps a dict in the default of its argument 'seen'"),
    (a_static_method, "calls Box.now, which reads the clock"),
    (a_class_method, "which reads the clock, through 'time'"),
    (a_method, "calls Box.moved, which draws random numbers"),
    (a_counting_method, "calls Box.counted, which changes an attribute, 'calls'"),
    (a_property, "calls Box.moment, which reads the clock"),
    (a_list_of_a_class, "'Box.kept', a list, which can change"),
    (an_object_that_is_made, "calls Stamped.__init__, which reads the clock"),
    (a_field_that_is_made, "calls Dated.__init__, which reads the clock"),
    (a_cached_clock, "calls cached, which reads the clock"),
    (a_partial_clock, "which reads the clock"),
    (a_wrapped_clock, "calls a_wrapper, which reads the clock"),
    (counter(), "changes 'n', a variable of the function around it"),
    (the_globals, "reaches outside, through 'globals'"),
]


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


@pytest.mark.parametrize(("helper", "named"), IMPURE + MORE_IMPURE)
def test_an_impure_path_of_a_user_is_named(helper: Callable[[int], int], named: str) -> None:
    with pytest.raises(ImpurePath, match=named) as refused:
        Threads().start(user_path(helper))
    assert "of_a_user" in str(refused.value)


def test_what_the_path_itself_does_is_named() -> None:
    """Not a helper's code but the path's own, with its own defaults."""

    @path
    async def impure(key: int, seen: list[int] = []) -> int:  # noqa: B006  # the fault to be found
        return await RoverLoad(len(seen))

    @path
    async def imports(key: int) -> int:
        import time

        return await RoverLoad(int(time.time()))

    @path
    async def loops(key: int) -> int:
        for name in {"a", "bb", "ccc"}:
            return await RoverLoad(len(name))
        return 0

    for body, named in ((impure, "argument 'seen'"), (imports, "clock"), (loops, "a set")):
        with pytest.raises(ImpurePath, match=named) as refused:
            Threads().start(body(7))
        assert "once gave" not in str(refused.value)


# ── what is pure ────────────────────────────────────────────────────────────────────────────────


def membership(key: int) -> int:
    words = [word for word in ("a", "bb") if word in NAMES and word not in {"x", "y", "z"}]
    return (key in {1, 2, 3}) + (key not in {key, 7}) + len(words) + (key in l4proto.TRACKERS)


def membership_in_what_is_made(key: int) -> int:
    return key in frozenset((key, 1)) or (key + 1) in set(range(key))


def dictionaries(key: int) -> int:
    table = {"a": key, "b": 2}
    total = sum(value - key for value in table.values())
    for name, value in table.items():
        total -= len(name) - value
    return total + len(sorted(table.keys())) + ("a" in table.keys()) | 8  # noqa: SIM118  # the form is the point


@dataclasses.dataclass(frozen=True)
class Pair:
    one: int
    two: list[int] = dataclasses.field(default_factory=list)


@attrs.frozen
class Thing:
    one: int
    two: list[int] = attrs.field(factory=list)

    def sum(self) -> int:
        return self.one + len(self.two)


class Plain:
    LIMIT = 7

    def __init__(self, key: int) -> None:
        self.key = key
        self.key += Plain.LIMIT

    def now(self) -> int:
        return self.key


def objects(key: int) -> int:
    return Pair(key).one + Thing(key).sum() + Plain(key).now()


@functools.cache
def square(key: int) -> int:
    return key * key


def helpers(key: int, base: int = 7, pair: tuple[int, int] = (1, 2)) -> int:
    return values.u16(square(key) + base + pair[0]) + int(functools.partial(max, 1)(key))


def enumerations(key: int) -> int:
    return key if Manip(Manip.SRC.value) is Manip.SRC else 0


@pytest.mark.parametrize(
    "helper",
    [membership, membership_in_what_is_made, dictionaries, objects, helpers, enumerations],
)
def test_what_is_pure_is_let_pass(helper: Callable[[int], int]) -> None:
    Threads().start(user_path(helper))


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


@pytest.mark.parametrize(("helper", "named"), IMPURE)
def test_an_impure_function_of_a_release_is_named(helper: Callable[[int], int], named: str) -> None:
    """One that is no path, and that natmodel's own paths call."""

    def window(t: CtTuple, r: NatRange, manip: Manip) -> tuple[int, int]:
        return 4000, helper(t.sport)

    row = attrs.evolve(RELEASES["6.12.117"], name="impure", port_window=window)
    with pytest.raises(ImpurePath, match=named) as refused:
        Threads().start(with_release(Scenario.default(), row).threads()[0])
    assert "port_window of impure is not pure" in str(refused.value)


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
                inspect(body)


@pytest.mark.parametrize(
    "name", sorted(m.name for m in pkgutil.iter_modules(paths.__path__, "natmodel.paths."))
)
def test_every_path_of_natmodels_own_is_pure(name: str) -> None:
    """Also those that only another path goes to: nobody looks at them when they run."""
    found = [
        value.__wrapped__
        for value in vars(importlib.import_module(name)).values()
        if hasattr(value, "__wrapped__")
    ]
    for body in found:
        inspect(body)


def test_names_in_paths_are_told_from_packets() -> None:
    """The tests' own paths are looked at like any other: this one is fine."""

    @path
    async def fine(p: Packet) -> int:
        return await ops.RoverLoad(p.t.protonum)

    packet = Packet(0, CtTuple(2, 6, 1, 2, 3, 4))
    assert Threads().start(fine(packet)) == 0
