# SPDX-License-Identifier: GPL-2.0-or-later
"""Is a path a pure function of its arguments and replies?  What its code says, before it runs.

The explorer runs a path again to bring back a frame, so a path that reads a clock, draws random
numbers, keeps a global, or depends on the order of a set would make states that never were.  `inspect`
looks for these in the code of the path and of the functions it calls, and names what it finds;
`threads` runs every frame twice, and so catches what the code hides.

Where code cannot tell, a path is refused: what it imports while it runs, what it takes out of a
namespace, a set that it does more with than ask what is in it.
"""

from __future__ import annotations

import builtins
import dis
import functools
import inspect as python
import re
import struct
import sys
from collections.abc import Iterator
from enum import Enum
from fractions import Fraction
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MappingProxyType,
    ModuleType,
)
from typing import Any, Final, TypeVar

import attrs


class ImpurePath(Exception):
    """A path depends on more than its arguments and replies."""


CLOCK: Final = "reads the clock"
CHANCE: Final = "draws random numbers of its own"
OUTSIDE: Final = "reaches outside"
ORDER: Final = "whose order may differ from run to run"

_MODULES: Final = {
    CLOCK: "time datetime calendar sched timeit zoneinfo",
    CHANCE: "random secrets uuid",
    OUTSIDE: """os sys io socket asyncio threading thread subprocess multiprocessing concurrent queue
        contextvars signal select selectors pathlib shutil tempfile glob platform resource importlib
        builtins inspect gc ctypes logging warnings tracemalloc weakref getpass locale""",
}
_BY_MODULE: Final = {name: what for what, names in _MODULES.items() for name in names.split()}
# what modules call themselves in C
_ALIASES: Final = {"posix": "os", "nt": "os", "pydatetime": "datetime"}

_NAMES: Final = {
    CLOCK: "monotonic monotonic_ns perf_counter perf_counter_ns process_time time_ns utcnow",
    CHANCE: "urandom getrandom getrandbits randrange randint token_bytes token_hex uuid1 uuid4",
    OUTSIDE: """__builtins__ __code__ __dict__ __globals__ __import__ __subclasses__ breakpoint compile
        delattr eval exec globals id input locals open print setattr vars""",
    "uses hash(), which may differ from run to run": "hash __hash__",
}
_BY_NAME: Final = {name: what for what, names in _NAMES.items() for name in names.split()}
# builtins with these names are looked for by value: anybody may call an attribute so
_ATTRIBUTES: Final = {
    name: what for name, what in _BY_NAME.items() if name[:2] == "__" or not hasattr(builtins, name)
}

CONSTANTS: Final[tuple[type, ...]] = (
    type(None), type(...), bool, int, float, complex, str, bytes, range, Fraction, Enum,
    MappingProxyType, struct.Struct, re.Pattern, TypeVar, type, ModuleType, BuiltinFunctionType,
)  # fmt: skip

_TRUSTED: Final = frozenset({*sys.stdlib_module_names, "attr", "attrs"}) - _BY_MODULE.keys()
# classes of natmodel's own that are values
_VALUES: Final = ("natmodel.values", "natmodel.ops", "natmodel.release")
_WHEN_MADE: Final = ("__new__", "__init__", "__post_init__", "__attrs_post_init__")
_GENERATED: Final = ("<attrs generated", "<string>")
_CACHED: Final = type(functools.cache(len))
_SET_OPERATORS: Final = frozenset("|&^-")
_SET_METHODS: Final = frozenset({"__or__", "__and__", "__xor__", "__sub__",
                                 "__ror__", "__rand__", "__rxor__", "__rsub__"})  # fmt: skip


def inspect(body: Any) -> None:
    """Raise ImpurePath if the code of `body`, or of a function it calls, looks outside."""
    for problem in _Inspection().problems(body):
        raise ImpurePath(f"{body.__module__}.{body.__qualname__} is not a pure path: it {problem}")


def inspect_value(where: str, value: Any) -> None:
    """Raise ImpurePath if calling `value`, a function that no path is, would look outside."""
    for problem in _Inspection().value(where, value, None):
        raise ImpurePath(f"{where} is not pure: it {problem}")


# ── instructions ────────────────────────────────────────────────────────────────────────────────

_NO_STEPS: Final = frozenset({"CACHE", "EXTENDED_ARG", "NOP", "PRECALL", "RESUME"})
_PUSHES: Final = (
    "LOAD_CONST", "LOAD_FAST", "LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF",
    "LOAD_SMALL_INT", "LOAD_COMMON_CONSTANT", "LOAD_CLOSURE", "PUSH_NULL", "KW_NAMES",
)  # fmt: skip
_POPS_TWO: Final = ("BINARY_", "COMPARE_OP", "CONTAINS_OP", "IS_OP")
_POPS_ONE: Final = ("LOAD_ATTR", "LOAD_METHOD", "GET_ITER", "UNARY_", "RETURN_VALUE", "POP_TOP",
                    "STORE_FAST", "STORE_GLOBAL", "STORE_DEREF", "STORE_NAME")  # fmt: skip
_READS: Final = ("LOAD_ATTR", "LOAD_METHOD")


@attrs.frozen
class _Use:
    """A place in a function's code that puts a value on the stack."""

    steps: tuple[dis.Instruction, ...]
    at: int
    # is the code written by attrs or dataclasses?  Its globals are its own
    generated: bool = False

    @property
    def step(self) -> dis.Instruction:
        return self.steps[self.at]

    def consumer(self) -> tuple[_Use, bool] | None:
        """(what takes the value off the stack, is the value on top then?); None if nobody can tell."""
        above = 0
        if not self.steps:
            return None
        if self.step.opname.startswith(("LOAD_GLOBAL", *_READS)):
            above = max(0, self._effect(self.step) - (self.step.opname == "LOAD_GLOBAL"))
        for n in range(self.at + 1, len(self.steps)):
            step = self.steps[n]
            pops = _pops(step)
            if pops is None or pops > above:
                return None if pops is None else (attrs.evolve(self, at=n), above == 0)
            above += self._effect(step)
        return None

    @staticmethod
    def _effect(step: dis.Instruction) -> int:
        if step.opname == "CALL":
            return -(step.arg or 0) - 1
        return dis.stack_effect(step.opcode, step.arg, jump=False)

    def asks_what_is_in_it(self) -> bool:
        """Is the value, a set, only the right side of `in`?"""
        found = self.consumer()
        return found is not None and found[1] and found[0].step.opname == "CONTAINS_OP"

    def called(self) -> _Use | None:
        """The call of the value, if the next thing that happens to it is that it is called."""
        found = self.consumer()
        return found[0] if found is not None and found[0].step.opname == "CALL" else None

    def is_of_a_local(self) -> bool:
        """Is the object whose attribute is set a local variable, as `self` is?"""
        before = self.at - 1
        if before >= 0 and self.steps[before].opname == "SWAP":  # self.n += 1
            copies = (n for n in range(before, 0, -1) if self.steps[n].opname == "COPY")
            before = next(copies, 0) - 1
        return before >= 0 and self.steps[before].opname.startswith("LOAD_FAST")

    def attribute(self) -> tuple[str, _Use] | None:
        """The attribute that is read of the value at once."""
        if self.at + 1 < len(self.steps) and self.steps[self.at + 1].opname in _READS:
            return str(self.steps[self.at + 1].argval), attrs.evolve(self, at=self.at + 1)
        return None


def _pops(step: dis.Instruction) -> int | None:
    """How many values the instruction takes off the stack; None for those not looked into."""
    name, arg = step.opname, step.arg or 0
    if name.startswith(_PUSHES):
        return 0
    if name.startswith(_POPS_TWO):
        return 2
    if name.startswith(_POPS_ONE):
        return 1
    if name in ("BUILD_TUPLE", "BUILD_LIST", "BUILD_SET", "BUILD_STRING"):
        return arg
    return arg + 2 if name == "CALL" else None


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The code of a function and of what is defined inside."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


# ── functions ───────────────────────────────────────────────────────────────────────────────────


class _Inspection:
    """Looks at each function once."""

    def __init__(self) -> None:
        self._seen: set[FunctionType] = set()

    def problems(self, function: FunctionType, owner: type | None = None) -> Iterator[str]:
        """What is wrong with the function's code.

        A method of `owner` may set attributes of its own object, and call its other methods.
        """
        self._seen.add(function)
        generated = owner is not None and function.__code__.co_filename.startswith(_GENERATED)
        yield from self._defaults(function, generated)
        for code in _codes(function.__code__):
            steps = tuple(s for s in dis.get_instructions(code) if s.opname not in _NO_STEPS)
            for n in range(len(steps)):
                yield from self._instruction(function, _Use(steps, n, generated), owner is not None)
            if owner is not None:
                yield from self._methods(owner, _Use(steps, 0), ())

    def _defaults(self, function: FunctionType, generated: bool) -> Iterator[str]:
        """An argument's default is made once and kept."""
        named = function.__code__.co_varnames[: function.__code__.co_argcount]
        values = function.__defaults__ or ()
        defaults = [*zip(named[len(named) - len(values) :], values, strict=True)]
        for name, value in (*defaults, *(function.__kwdefaults__ or {}).items()):
            if _is_mutable(value):
                kind = type(value).__name__
                yield f"keeps a {kind} in the default of its argument {name!r}, which can change"
            else:
                yield from self.value(name, value, _Use((), 0, generated))

    def _instruction(self, function: FunctionType, use: _Use, method: bool) -> Iterator[str]:
        step, name = use.step, str(use.step.argval)
        match step.opname:
            case "STORE_GLOBAL" | "DELETE_GLOBAL":
                yield f"changes the global {name!r}"
            case "STORE_DEREF" | "DELETE_DEREF":
                if name in function.__code__.co_freevars:
                    yield f"changes {name!r}, a variable of the function around it"
            case "STORE_ATTR" | "DELETE_ATTR":
                if not (method and use.is_of_a_local()):
                    yield f"changes an attribute, {name!r}"
            case "BUILD_SET":
                if not use.asks_what_is_in_it():
                    yield f"builds a set, {ORDER}"
            case "SET_ADD" | "SET_UPDATE":
                yield f"builds a set, {ORDER}"
            case "LOAD_CONST":
                if _holds_set(step.argval) and not use.asks_what_is_in_it():
                    yield f"does more with a set than ask what is in it: a set, {ORDER}"
            case "IMPORT_NAME":
                what = _of_module(name)
                if what is not None:
                    yield f"{what}, through {name!r}, which it imports when it runs"
                else:
                    yield f"imports {name!r} when it runs, so that nobody can look at it before"
            case "LOAD_GLOBAL" | "LOAD_NAME" | "LOAD_DEREF" | "LOAD_CLASSDEREF":
                found, value = _look_up(function, name, "DEREF" in step.opname)
                if found:
                    yield from self.value(name, value, use)
            case "LOAD_ATTR" | "LOAD_METHOD":
                yield from self._attribute(name, use)

    def _attribute(self, name: str, use: _Use) -> Iterator[str]:
        """Names that give away what an attribute is, whatever it is an attribute of."""
        if name in _ATTRIBUTES:
            yield f"{_ATTRIBUTES[name]}, through {name!r}"
        if name in ("keys", "items"):
            call = use.called()
            found = None if call is None else call.consumer()
            then = None if found is None else found[0].step
            if then is None:
                return
            operator = _operator(then)
            if then.opname.startswith("STORE_"):
                operator = next(filter(None, map(_operator, use.steps)), None)
            if operator is not None or then.argval in _SET_METHODS:
                by = operator or then.argval
                yield f"combines the {name} of a dictionary by {by!r}, which makes a set, {ORDER}"

    # ── values ──────────────────────────────────────────────────────────────────────────────────

    def value(self, name: str, value: Any, use: _Use | None) -> Iterator[str]:
        """What is wrong with using this value of this name, and its attributes, in a path."""
        what = _of_value(name, value)
        if what is not None:
            yield f"{what}, through {name!r}"
        elif value is set or value is frozenset:
            call = None if use is None else use.called()
            if call is None or not call.asks_what_is_in_it():
                yield f"builds a {name}, {ORDER}"
        elif isinstance(value, ModuleType):
            yield from self._of_module(name, value, use)
        elif isinstance(value, FunctionType):
            yield from self._function(name, value)
        elif isinstance(value, _CACHED | functools.partial):
            inner = value.func if isinstance(value, functools.partial) else value.__wrapped__
            yield from self.value(name, inner, None)
        elif isinstance(value, set | frozenset) or _holds_set(value):
            if isinstance(value, set):
                yield f"uses the global {name!r}, a set, which can change"
            elif use is None or not use.asks_what_is_in_it():
                yield f"does more with the set {name!r} than ask what is in it: a set, {ORDER}"
        elif isinstance(value, type):
            yield from self._class(name, value, use)
        elif not _is_constant(value):
            if use is None or not use.generated:
                yield f"uses the global {name!r}, a {type(value).__name__}, which can change"
        elif attrs.has(type(value)):
            yield from self._methods(type(value), use, ())

    def _function(self, name: str, function: FunctionType) -> Iterator[str]:
        if _is_path(function) or function in self._seen:  # a path is looked at when it is run
            return
        if _root(_home(function)) not in _TRUSTED:
            yield from (f"calls {name}, which {problem}" for problem in self.problems(function))

    def _of_module(self, name: str, module: ModuleType, use: _Use | None) -> Iterator[str]:
        """What is read of a module: it may be another module."""
        attribute = use.attribute() if use is not None else None
        if attribute is None:
            return
        read, then = attribute
        value = getattr(module, read, None)
        if value is not None:
            yield from self.value(f"{name}.{read}", value, then)

    def _class(self, name: str, made: type, use: _Use | None) -> Iterator[str]:
        """A class may be called, and any attribute that the function reads may be one of its own."""
        attribute = use.attribute() if use is not None else None
        if attribute is not None and attribute[0] != "__class__":
            read, then = attribute
            value = python.getattr_static(made, read, None)
            if isinstance(value, list | dict | set | bytearray):
                yield from self.value(f"{name}.{read}", value, then)
        yield from self._methods(made, use, _WHEN_MADE)

    def _methods(self, made: type, use: _Use | None, always: tuple[str, ...]) -> Iterator[str]:
        read = [str(step.argval) for step in use.steps if step.opname in _READS] if use else []
        for owner in made.__mro__:
            if _root(owner.__module__) in _TRUSTED or owner.__module__ in _VALUES:
                continue
            for name in dict.fromkeys((*always, *read)):
                value = vars(owner).get(name)
                if isinstance(value, property):
                    value = value.fget
                value = getattr(value, "__func__", value)
                if isinstance(value, FunctionType) and value not in self._seen:
                    where = f"calls {made.__name__}.{name}, which "
                    yield from (where + problem for problem in self.problems(value, made))
                elif isinstance(value, BuiltinFunctionType):
                    yield from self.value(f"{made.__name__}.{name}", value, None)


def _look_up(function: FunctionType, name: str, enclosed: bool) -> tuple[bool, Any]:
    """What a free name stands for in this function, if that is known."""
    if enclosed:
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        for variable, cell in cells:
            if variable == name:
                try:
                    return True, cell.cell_contents
                except ValueError:  # it has no value yet
                    break
        return False, None
    if name in function.__globals__:
        return True, function.__globals__[name]
    return hasattr(builtins, name), getattr(builtins, name, None)


def _of_module(name: str) -> str | None:
    """What it means to use something of this module."""
    if "random" in name.split("."):
        return CHANCE
    root = _root(name)
    return _BY_MODULE.get(_ALIASES.get(root, root))


def _of_value(name: str, value: Any) -> str | None:
    """What it means to use this value, by what it is or where it comes from."""
    last = name.rpartition(".")[2]
    if getattr(builtins, last, None) is value and last in _BY_NAME:
        return _BY_NAME[last]
    if isinstance(value, ModuleType):
        return _of_module(value.__name__)
    home = _home(value)
    what = None if home == "builtins" else _of_module(home)
    return _ATTRIBUTES.get(last, what) if what is not None else None


def _home(value: Any) -> str:
    """The module that a function, or the object it is a method of, comes from."""
    owner = getattr(value, "__self__", None)
    if owner is not None and not isinstance(owner, ModuleType | type):
        return type(owner).__module__
    if isinstance(owner, type):
        return owner.__module__
    if isinstance(value, FunctionType | BuiltinFunctionType | type):
        return value.__module__ or ""
    return type(value).__module__


def _root(module: str) -> str:
    """`_random` is where `random` is written in C."""
    return module.partition(".")[0].removeprefix("_")


def _operator(step: dis.Instruction) -> str | None:
    """The operator that is there for sets as well."""
    sign = step.argrepr.removesuffix("=")
    return sign if step.opname == "BINARY_OP" and sign in _SET_OPERATORS else None


def _is_path(function: FunctionType) -> bool:
    return function.__globals__.get("__name__") == "natmodel.ops" and hasattr(
        function, "__wrapped__"
    )


def _holds_set(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(map(_holds_set, value))
    return isinstance(value, frozenset)


def _is_mutable(value: Any) -> bool:
    return isinstance(value, list | dict | set | bytearray) or (
        isinstance(value, tuple) and any(map(_is_mutable, value))
    )


def _is_constant(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_constant, value))
    if isinstance(value, CONSTANTS):
        return True
    frozen = getattr(type(value), "__setattr__", None) is not object.__setattr__
    return attrs.has(type(value)) and frozen


def refuse_sets(name: str, values: Any) -> None:
    """Raise ImpurePath if a path was given, or returned, a set: it might come to depend on its order."""
    if isinstance(values, set | frozenset):
        raise ImpurePath(f"{name} is not a pure path: it is given a set, which has no order")
    if isinstance(values, tuple):
        for value in values:
            refuse_sets(name, value)
