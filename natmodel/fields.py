# SPDX-License-Identifier: GPL-2.0-or-later
"""JSON read strictly: every field has a type and a place, and none is passed over.

A wrong shape is Malformed, a word outside its vocabulary Unplayable; both texts name the place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NoReturn, TypeVar

T = TypeVar("T")

U16: Final = 0xFFFF
U32: Final = 0xFFFFFFFF
U64: Final = 0xFFFFFFFFFFFFFFFF


class Malformed(Exception):
    """Not the format; the text says which field."""


class Unplayable(Exception):
    """Well formed, but this model cannot play it; the text says why."""


def told(value: object) -> str:
    """A JSON value as a message can hold it."""
    text = ascii(value)
    return text if len(text) <= 40 else text[:37] + "..."


def wrong(at: str, wanted: str, value: object) -> NoReturn:
    raise Malformed(f"{at}: {wanted} is wanted, not {told(value)}")


def as_int(value: object, at: str, low: int = 0, high: int = U32) -> int:
    # type(), since a bool is an int, too
    if type(value) is not int or not low <= value <= high:
        wrong(at, f"a number {low}..{high}", value)
    return value


def as_text(value: object, at: str) -> str:
    if not isinstance(value, str) or not value.isprintable():
        wrong(at, "a text", value)
    return value


def as_flag(value: object, at: str) -> bool:
    # Some fields of the format write 0 and 1 instead.
    if value not in (False, True):
        wrong(at, "true or false", value)
    return bool(value)


def as_list(value: object, at: str, length: int | None = None) -> list[object]:
    if not isinstance(value, list) or (length is not None and len(value) != length):
        wrong(at, "a list" if length is None else f"a list of {length}", value)
    return value


def as_word(value: object, at: str, words: Mapping[str, T]) -> T:
    """What one word of a vocabulary stands for."""
    text = as_text(value, at)
    if text not in words:
        raise Unplayable(f"{at}: {told(text)} is unknown here")
    return words[text]


class Fields:
    """One JSON object, read name by name; `end` makes sure that nothing was passed over."""

    def __init__(self, value: object, at: str = "") -> None:
        if not isinstance(value, dict):
            wrong(at or "the vector", "an object", value)
        self._left: dict[str, object] = dict(value)
        self._at: Final = at

    def at(self, name: str) -> str:
        return f"{self._at}.{name}" if self._at else name

    def has(self, name: str) -> bool:
        return name in self._left

    def value(self, name: str) -> object:
        if name not in self._left:
            raise Malformed(f"{self.at(name)}: missing")
        return self._left.pop(name)

    def skip(self, *names: str) -> None:
        """Names that say nothing."""
        for name in names:
            self._left.pop(name, None)

    def number(self, name: str, low: int = 0, high: int = U32, default: int | None = None) -> int:
        if default is not None and name not in self._left:
            return default
        return as_int(self.value(name), self.at(name), low, high)

    def number_or_null(self, name: str, high: int = U32) -> int | None:
        value = self.value(name)
        return None if value is None else as_int(value, self.at(name), 0, high)

    def flag(self, name: str, default: bool | None = None) -> bool:
        if default is not None and name not in self._left:
            return default
        return as_flag(self.value(name), self.at(name))

    def text(self, name: str) -> str:
        return as_text(self.value(name), self.at(name))

    def word(self, name: str, words: Mapping[str, T], default: str | None = None) -> T:
        value = default if default is not None and not self.has(name) else self.value(name)
        return as_word(value, self.at(name), words)

    def items(self, name: str, length: int | None = None) -> list[object]:
        return as_list(self.value(name), self.at(name), length)

    def each(
        self, name: str, read: Callable[[object, str], T], optional: bool = False
    ) -> tuple[T, ...]:
        """A list, each item read by `read`."""
        if optional and not self.has(name):
            return ()
        at = self.at(name)
        return tuple(read(item, f"{at}[{n}]") for n, item in enumerate(self.items(name)))

    def nested(self, name: str) -> Fields:
        return Fields(self.value(name), self.at(name))

    def end(self) -> None:
        if self._left:
            raise Unplayable(f"{self.at(min(self._left))}: the format has no such field")
