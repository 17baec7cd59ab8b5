# SPDX-License-Identifier: GPL-2.0-or-later
"""Is natmodel as fast as it should be?  Runs the installed command on a few cases and times it.

Then plays the recorded vectors, file by file, and tells how many a second there are of each kind.
Exits 0 if every case gave its answer within its budget and every file had its rate, 1 if one did not.
`python -m tests.bench.budgets conform FILE...` does the second part only, for these files.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from natmodel.conform import conform, read_recorded
from tests.bench.cpu import run

NATMODEL: Final = str(Path(sys.executable).with_name("natmodel"))
ROOT: Final = Path(__file__).parent.parent.parent
VECTORS: Final = ROOT / "tests" / "vectors"
FILES: Final = tuple(sorted([*VECTORS.glob("*.jsonl.xz"), *VECTORS.glob("kernel/*.xz")]))


class Case(NamedTuple):
    """One command line: the clock that counts, its budget in seconds, the expected exit codes."""

    name: str
    clock: str
    budget: float
    exits: tuple[int, ...]
    arguments: tuple[str, ...]


def three_pods(kernel: str) -> Case:
    """Three pods with one source port and one server, eight ports, one of them occupied."""
    packets = [f"--packet=tcp 172.16.1.{host}:32769 > 198.51.100.7:80" for host in (8, 9, 10)]
    nat = "--nat=snat to 192.0.2.1:4000-4007 random-fully"
    arguments = (
        "check",
        f"--kernel={kernel}",
        nat,
        *packets,
        "--cpus=3",
        "--occupied=4000",
        "--exhaustive",
    )
    return Case(f"three pods, eight ports, {kernel}", "cpu", 2.0, (0, 1), arguments)


CASES: Final = (
    Case("check, without an argument", "wall", 1.0, (1,), ("check",)),
    three_pods("4.19.66"),
    three_pods("6.12.117"),
    Case("conform, everything recorded", "wall", 60.0, (0,), ("conform", *map(str, FILES))),
)
# Vectors a second on one core: of every file, and of all of them together.
LEAST_OF_ONE, LEAST_OF_ALL = 250, 500


def states_in(text: str) -> int | None:
    """The number of states that the JSON result names, if it names one."""
    try:
        states = json.loads(text).get("states")
    except (ValueError, AttributeError):
        return None
    return states if isinstance(states, int) else None


def holds(case: Case) -> bool:
    """Run the case, print one line about it, and say whether it kept its budget and its answer."""
    command = [NATMODEL, *case.arguments]
    if case.arguments[0] == "check":
        command += ["--format", "json"]
    ended = run(command, ROOT)
    spent = {"wall": ended.wall, "cpu": ended.cpu}
    kept = ended.code in case.exits and spent[case.clock] < case.budget
    states = states_in(ended.text)
    rate = "" if states is None else f"  {states:,} states, {states / ended.cpu:,.0f} a second"
    print(
        f"{'yes' if kept else 'NO':3}  {case.name}: {spent[case.clock]:.2f} s {case.clock} "
        f"of {case.budget:.1f}, exit {ended.code}{rate}"
    )
    return kept


class Played(NamedTuple):
    """How many vectors of each kind there were, and the CPU seconds that they took, read and played."""

    number: dict[str, int]
    seconds: dict[str, float]

    def add(self, kind: str, number: int, seconds: float) -> None:
        self.number[kind] = self.number.get(kind, 0) + number
        self.seconds[kind] = self.seconds.get(kind, 0.0) + seconds


def play(file: Path) -> Played:
    played = Played({}, {})
    start = time.process_time()
    for recorded in read_recorded(file):
        assert conform(recorded).outcome == "agree", recorded.where
        end = time.process_time()
        played.add(recorded.kind, 1, end - start)
        start = end
    return played


def told(name: str, played: Played, least: int) -> bool:
    """Print the rates, and say whether all kinds together have the least that is asked for."""
    number, seconds = played
    rate = sum(number.values()) / sum(seconds.values())
    kinds = ", ".join(f"{kind} {number[kind] / seconds[kind]:,.0f}" for kind in number)
    answer = "yes" if rate >= least else "NO"
    print(f"{answer:3}  conform {name}: {rate:,.0f} a second of {least} ({kinds})", flush=True)
    return rate >= least


def rates(files: Sequence[Path]) -> bool:
    """Has every file its rate, and have all together?"""
    every = Played({}, {})
    answers = []
    for file in files:
        played = play(file)
        answers.append(told(file.name, played, LEAST_OF_ONE))
        for kind, number in played.number.items():
            every.add(kind, number, played.seconds[kind])
    return told("in all", every, LEAST_OF_ALL) and all(answers)


def kept() -> bool:
    """Has every case its budget, and every file its rate?"""
    return all([*map(holds, CASES), rates(FILES)])


def main(arguments: Sequence[str]) -> int:
    print(f"python {sys.version.split()[0]}, {os.cpu_count()} cores")
    if arguments[:1] == ["conform"]:
        return 0 if rates([*map(Path, arguments[1:])] or FILES) else 1
    return 0 if kept() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
