# SPDX-License-Identifier: GPL-2.0-or-later
"""natmodel against other checkers: each case is run in turns, ours, theirs, ours, theirs, and so on.

CPU seconds of whole processes are compared, pair by pair.  What a checker makes first, and compiles, is
not counted; our interpreter's start and imports are.  All that is said is compared as well: a case in
which anybody says something else than the others is an error, not a row.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final, cast

import attrs

from tests.bench.cpu import run
from tests.bench.natclash import Mode, Workload
from tests.bench.peers import (
    MINICHECK,
    PYTHON,
    RUMUR,
    SPIN,
    STORM,
    Answers,
    Peer,
    Side,
    read_json,
)

ROOT: Final = Path(__file__).parent.parent.parent


@attrs.frozen
class Row:
    """One question about one workload.

    `peer` is asked the same, if there is one who can be; `known` is what is to be answered, by another
    program of ours that is not here.  `also` is a question of ours that is not counted, for answers that
    can be compared.
    """

    question: str
    work: Workload
    peer: Peer | None = None
    known: Answers = attrs.field(factory=dict)
    also: str | None = None

    @property
    def name(self) -> str:
        work = self.work
        return f"{work.mode} {work.packets}/{work.ports}/{work.occupied} {self.question}"

    def side(self, question: str) -> Side:
        """natmodel, as a process of its own."""
        work = self.work
        asked = [question, *map(str, (work.packets, work.ports, work.occupied)), work.mode]
        asked += [] if work.seed is None else [str(work.seed)]
        return Side([sys.executable, "-m", "tests.bench.ours", *asked], ROOT, read_json)


def _work(text: str) -> Workload:
    """rover 6/8/0; random 2/16/9@59 for nine of sixteen ports by a seed of 59."""
    mode, _, rest = text.partition(" ")
    sizes, _, seed = rest.partition("@")
    packets, ports, occupied = map(int, sizes.split("/"))
    return Workload(packets, ports, occupied, cast(Mode, mode), seed=int(seed) if seed else None)


FULL: Final = (
    Row("census", _work("rover 6/8/0"), SPIN),
    Row("census", _work("rover 6/8/0"), RUMUR, also="sorted"),
    Row("census", _work("rover 8/8/0"), known={"states": 690_734_981}),
    Row("census", _work("random 4/8/0"), MINICHECK),
    Row("census", _work("random 5/8/0"), SPIN),
    Row("census", _work("random 5/8/0"), RUMUR, also="sorted"),
    Row("census", _work("fixed 2/1024/1023"), SPIN),
    Row("lone", _work("fixed 2/1024/1023"), SPIN),
    Row("odds", _work("random 4/8/0"), STORM),
    Row("clusters", _work("random 6/64512/0"), known={"uniform": "8.71913336212e-05"}),
    Row("apart", _work("random 3/64512/0"), known={"worst": "4.6502495629e-05"}),
    Row("apart", _work("random 2/64512/38062@59"), known={"uniform": "1.39135729808e-05"}),
)
QUICK: Final = (
    Row("census", _work("rover 4/4/0"), SPIN),
    Row("census", _work("rover 4/4/0"), RUMUR, also="sorted"),
    Row("census", _work("random 3/4/0"), SPIN),
    Row("census", _work("random 3/4/0"), RUMUR, also="sorted"),
    Row("census", _work("random 3/4/0"), MINICHECK),
    Row("census", _work("fixed 2/64/63"), SPIN),
    Row("odds", _work("random 3/4/0"), STORM),
    Row("clusters", _work("random 3/4/0"), known={"uniform": f"{5771 / 20736:.12g}"}),
)


class Disagreement(Exception):
    """A program failed, or did not say what another one said."""


@attrs.frozen
class Result:
    """CPU seconds of each run, what at least two said, what one alone, and why somebody was not asked."""

    row: Row
    ours: Sequence[float] = ()
    theirs: Sequence[float] = ()
    agreed: Answers = attrs.field(factory=dict)
    alone: Answers = attrs.field(factory=dict)
    why_not: str | None = None

    @property
    def ratios(self) -> tuple[float, float, float] | None:
        """The least, the middle and the greatest of ours / theirs, pair by pair."""
        if not self.theirs:
            return None
        found = [a / b for a, b in zip(self.ours, self.theirs, strict=True)]
        return min(found), median(found), max(found)


def measured(row: Row, pairs: int) -> Result:
    """Run the row so many times.  Raises Disagreement."""
    if row.peer is None:
        return _run(row, None, pairs)
    why_not = row.peer.missing()
    if why_not is not None:
        return attrs.evolve(_run(row, None, pairs), why_not=why_not)
    with tempfile.TemporaryDirectory() as folder:
        return _run(row, row.peer.ready(row.work, Path(folder)), pairs)


def _run(row: Row, theirs: Side | None, pairs: int) -> Result:
    us, them, besides = _Counted(), _Counted(), _Counted()
    for _ in range(pairs):
        us.run(row.name, row.side(row.question))
        if theirs is not None:
            them.run(row.name, theirs)
    if theirs is not None and row.also is not None:
        besides.run(row.name, row.side(row.also))
    heard = [row.known, us.answers, them.answers, besides.answers]
    agreed, alone = compared(row.name, heard)
    if not agreed and (theirs is not None or row.known):
        raise Disagreement(f"{row.name}: nothing was said by two: {alone}")
    return Result(row, us.seconds, them.seconds, agreed, alone)


class _Counted:
    """The runs of one side."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.answers: Answers = {}

    def run(self, name: str, side: Side) -> None:
        ran = run(side.command, side.folder)
        answers = side.read(ran.text) if ran.code == 0 else {}
        if not answers:
            command = " ".join(side.command)
            raise Disagreement(f"{name}: {command} ended with {ran.code}: {ran.text}")
        compared(name, [self.answers, answers])
        self.answers = answers
        self.seconds.append(ran.cpu)


def compared(name: str, heard: Sequence[Answers]) -> tuple[Answers, Answers]:
    """(what two or more have said, what one has).  Raises Disagreement."""
    agreed: Answers = {}
    alone: Answers = {}
    for answers in heard:
        for what, value in answers.items():
            known = agreed.get(what, alone.get(what, value))
            if known != value:
                raise Disagreement(f"{name}: {what} is {known}, or {value}")
            if what in alone:
                agreed[what] = alone.pop(what)
            elif what not in agreed:
                alone[what] = value
    return agreed, alone


# ── how much of it is only the start ────────────────────────────────────────────────────────────


def starts(times: int) -> Iterator[tuple[str, float]]:
    """(what, CPU seconds) of processes that do nothing but start: it is part of what is counted above."""
    commands = {
        "python, natmodel not imported": [sys.executable, "-c", "pass"],
        "python, natmodel imported": [
            sys.executable,
            "-c",
            "import natmodel.odds, natmodel.census",
        ],
    }
    if STORM.missing() is None:
        commands["python, stormpy imported"] = [PYTHON, "-c", "import stormpy"]
    for what, command in commands.items():
        yield what, median(run(command, ROOT).cpu for _ in range(times))
