# SPDX-License-Identifier: GPL-2.0-or-later
"""Is natmodel as fast as it should be?  Runs the installed command on a few cases and times it.

Exits 0 if every case gave its answer within its budget, 1 if one did not.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

NATMODEL: Final = str(Path(sys.executable).with_name("natmodel"))


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
)


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def states_in(text: str) -> int | None:
    """The number of states that the JSON result names, if it names one."""
    try:
        states = json.loads(text).get("states")
    except (ValueError, AttributeError):
        return None
    return states if isinstance(states, int) else None


def holds(case: Case) -> bool:
    """Run the case, print one line about it, and say whether it kept its budget and its answer."""
    command = [NATMODEL, *case.arguments, "--format", "json"]
    wall, cpu = time.perf_counter(), cpu_of_children()
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    spent = {"wall": time.perf_counter() - wall, "cpu": cpu_of_children() - cpu}
    kept = ended.returncode in case.exits and spent[case.clock] < case.budget
    states = states_in(ended.stdout)
    rate = "" if states is None else f"  {states:,} states, {states / spent['cpu']:,.0f} a second"
    print(
        f"{'yes' if kept else 'NO':3}  {case.name}: {spent[case.clock]:.2f} s {case.clock} "
        f"of {case.budget:.1f}, exit {ended.returncode}{rate}"
    )
    return kept


def main() -> int:
    print(f"python {sys.version.split()[0]}, {os.cpu_count()} cores")
    answers = [holds(case) for case in CASES]
    return 0 if all(answers) else 1


if __name__ == "__main__":
    sys.exit(main())
