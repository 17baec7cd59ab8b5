# SPDX-License-Identifier: GPL-2.0-or-later
"""What a process costs: CPU seconds, which other processes disturb less than the clock on the wall."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Ran(NamedTuple):
    """A process that has ended: its CPU seconds, its seconds, its exit code, its standard output."""

    cpu: float
    wall: float
    code: int
    text: str


def cpu_of_children() -> float:
    """User and system seconds of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(command: Sequence[str], folder: Path) -> Ran:
    """Run the command in the folder, from its start to its end."""
    wall, cpu = time.perf_counter(), cpu_of_children()
    ended = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    cpu, wall = cpu_of_children() - cpu, time.perf_counter() - wall
    return Ran(cpu, wall, ended.returncode, ended.stdout)
