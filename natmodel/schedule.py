# SPDX-License-Identifier: GPL-2.0-or-later
"""Which CPU takes each step, and what it draws: a value with a short text that pastes back.

One character for each step names its CPU: 0 to 9, then a to z.  Values drawn in a step follow it in
brackets, and a space marks each switch: `000[4711]0 11`.  More than eight equal steps that draw
nothing are counted: `0*64511`.  Between steps, blanks and underscores mean nothing, but a blank
ends a count.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Final, NoReturn

import attrs

from natmodel.errors import BadInput

CPUS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"

# The longest run that is written step by step.
_WRITTEN_OUT: Final = 8
# Enough for 36 CPUs that each walk the whole default range; a slip of the finger asks for more.
_MAX_STEPS: Final = 4_000_000
_MAX_VALUE: Final = 0xFFFFFFFF

_BLANK: Final = re.compile(r"[\s_]+")
_DRAWS: Final = re.compile(r"\[([^\]]*)\]")
_COUNT: Final = re.compile(r"\*([0-9][0-9_]*)?")
_NUMBER: Final = re.compile(r"[0-9]{1,10}")


@attrs.frozen(cache_hash=True)
class Step:
    """CPU `cpu` takes one step; `draws` are the values it draws, in order."""

    cpu: int
    draws: tuple[int, ...] = ()

    def __str__(self) -> str:
        values = f"[{','.join(map(str, self.draws))}]" if self.draws else ""
        return CPUS[self.cpu] + values


@attrs.frozen(cache_hash=True, repr=False)
class Schedule:
    """Steps in order; `str` writes them, `parse` reads them back.  The least one is the best."""

    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """The schedule that `text` writes.  Raises BadInput, naming the position."""
        return cls(tuple(_Parser(text).steps()))

    def __str__(self) -> str:
        return " ".join(_words(self.steps))

    def __repr__(self) -> str:
        return f"Schedule.parse({str(self)!r})"

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def switches(self) -> int:
        """How many times the CPU changes."""
        return max(0, sum(1 for _ in groupby(self.steps, lambda step: step.cpu)) - 1)

    @property
    def key(self) -> tuple[int, int, str]:
        """The best schedule has the fewest steps, then the fewest switches, then the least text.

        The text is compared without its blanks, which mean nothing.
        """
        return len(self), self.switches, str(self).replace(" ", "")

    def __lt__(self, other: Schedule) -> bool:
        return self.key < other.key


def _words(steps: tuple[Step, ...]) -> list[str]:
    """The steps between two switches are one word, but a count ends its word."""
    words = []
    for _, turn in groupby(steps, lambda step: step.cpu):
        words.append("")
        for step, run in groupby(turn):
            n = sum(1 for _ in run)
            if n > _WRITTEN_OUT and not step.draws:
                words[-1] += f"{step}*{n}"
                words.append("")
            else:
                words[-1] += str(step) * n
        if not words[-1]:
            words.pop()
    return words


class _Parser:
    """Reads one text from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def steps(self) -> list[Step]:
        steps: list[Step] = []
        while not self._done():
            step = Step(self._cpu(), self._draws())
            times = self._count(step)
            if len(steps) + times > _MAX_STEPS:
                self._fail(f"more than {_MAX_STEPS} steps")
            steps.extend([step] * times)
        return steps

    def _done(self) -> bool:
        self._match(_BLANK)
        return self._at == len(self._text)

    def _cpu(self) -> int:
        name = self._text[self._at]
        if name not in CPUS:
            self._fail(f"{name!r} is no CPU: they are named 0 to 9, then a to z")
        self._at += 1
        return CPUS.index(name)

    def _draws(self) -> tuple[int, ...]:
        self._match(_BLANK)
        match = self._match(_DRAWS)
        if match is None:
            if self._text.startswith("[", self._at):
                self._fail("the bracket is not closed")
            return ()
        values = [_BLANK.sub("", value) for value in match[1].split(",")]
        for value in values:
            if not _NUMBER.fullmatch(value) or int(value) > _MAX_VALUE:
                self._at = match.start()
                self._fail(f"{value[:20]!r} is no value to draw: 0 to {_MAX_VALUE}")
        return tuple(map(int, values))

    def _count(self, step: Step) -> int:
        self._match(_BLANK)
        match = self._match(_COUNT)
        if match is None:
            return 1
        digits = (match[1] or "").replace("_", "")
        self._at = match.start()
        if step.draws:
            self._fail("a step that draws values is not repeated")
        if not _NUMBER.fullmatch(digits) or int(digits) == 0:
            self._fail(f"after '*' comes how many steps, 1 to {_MAX_STEPS}")
        self._at = match.end()
        return int(digits)

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return match

    def _fail(self, why: str) -> NoReturn:
        raise BadInput(f"schedule, character {self._at + 1}: {why}")
