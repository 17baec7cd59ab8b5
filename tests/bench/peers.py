# SPDX-License-Identifier: GPL-2.0-or-later
"""Other checkers, each used where it is installed: SPIN, rumur (Murphi), Storm, minicheck.

What they make first (a model, C, a program) is made once and not counted.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from tests.bench import models
from tests.bench.natclash import Workload

# Counts, and probabilities as fractions in lowest terms.
Answers: TypeAlias = dict[str, int | str]

# A Python that has stormpy, of which there are wheels for few versions, and minicheck.
PYTHON: Final = os.environ.get("NATMODEL_PEERS_PYTHON", sys.executable)
KINDS: Final[tuple[Literal["dtmc", "mdp"], ...]] = ("dtmc", "mdp")


class Side(NamedTuple):
    """A program to be run and counted, and what its output says."""

    command: list[str]
    folder: Path
    read: Callable[[str], Answers]


class Peer(NamedTuple):
    """A checker: what of it is not there, if anything, and how it is made ready in an empty folder."""

    name: str
    missing: Callable[[], str | None]
    ready: Callable[[Workload, Path], Side]


def _without(*programs: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        absent = [program for program in programs if shutil.which(program) is None]
        return f"not installed: {', '.join(absent)}" if absent else None

    return missing


def _make(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def _number(pattern: str, text: str) -> int:
    """The last number that the pattern finds; 0 if it finds none."""
    found = re.findall(pattern, text)
    return int(float(found[-1].replace(",", ""))) if found else 0


# ── SPIN ────────────────────────────────────────────────────────────────────────────────────────


def spin(work: Workload, folder: Path) -> Side:
    """pan without partial-order reduction, which saves nothing here and costs some time."""
    (folder / "model.pml").write_text(models.promela(work), encoding="utf-8")
    _make(folder, "spin", "-a", "model.pml")
    _make(
        folder, "gcc", "-O2", "-DSAFETY", "-DNOREDUCE", "-DMEMLIM=20000", "-w", "-o", "pan", "pan.c"
    )
    return Side(["./pan", "-E", "-m10000"], folder, read_spin)


def read_spin(text: str) -> Answers:
    """It counts one state more, the one before the packets are there."""
    if "errors: 0" not in text or "Search not completed" in text:
        return {}
    states = _number(r"([\d.e+]+) states, stored", text)
    return {"states": states - 1, "drops": _number(r"most drops: (\d+)", text)}


# ── rumur ───────────────────────────────────────────────────────────────────────────────────────


def rumur(work: Workload, folder: Path) -> Side:
    """The checker that rumur generates, with packets merged; one thread, which costs the least CPU."""
    (folder / "model.m").write_text(models.murphi(work), encoding="utf-8")
    options = ["--deadlock-detection=off", "--symmetry-reduction=heuristic", "--threads=1"]
    _make(folder, "rumur", *options, "--output=model.c", "model.m")
    flags = ["-std=c11", "-O3", "-march=native", "-DNDEBUG", "-w", "-o", "checker", "model.c"]
    _make(folder, "gcc", *flags, "-lpthread", "-latomic", *_wide_swap())
    return Side(["./checker"], folder, read_rumur)


def _wide_swap() -> list[str]:
    return ["-mcx16"] if os.uname().machine == "x86_64" else []


def read_rumur(text: str) -> Answers:
    states = _number(r"([\d,]+) states", text)
    return {"sorted": states} if states else {}


# ── Storm and minicheck: packages for Python ────────────────────────────────────────────────────


def _without_module(module: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        if sys.executable == PYTHON:
            there = find_spec(module) is not None
        else:
            looked = f"import importlib.util as i, sys; sys.exit(i.find_spec('{module}') is None)"
            there = shutil.which(PYTHON) is not None and not subprocess.call([PYTHON, "-c", looked])
        return None if there else f"not installed: {module}"

    return missing


def _script(name: str) -> str:
    return str(Path(__file__).with_name(name))


def storm(work: Workload, folder: Path) -> Side:
    """Sparse matrices of rationals: a DTMC for the uniform scheduler, an MDP for the worst."""
    for kind in KINDS:
        (folder / f"model.{kind}").write_text(models.prism(work, kind), encoding="utf-8")
    return Side([PYTHON, _script("run_storm.py"), "model.dtmc", "model.mdp"], folder, read_json)


def minicheck(work: Workload, folder: Path) -> Side:
    """States in plain tuples, none of them merged."""
    asked = [*map(str, (work.packets, work.ports, work.occupied)), work.mode]
    return Side([PYTHON, _script("run_minicheck.py"), *asked], folder, read_json)


def read_json(text: str) -> Answers:
    """What our own scripts print: the last line, since Storm may warn before."""
    lines: Sequence[str] = text.strip().splitlines() or ["{}"]
    answers: Answers = json.loads(lines[-1])
    return answers


SPIN: Final = Peer("SPIN", _without("spin", "gcc"), spin)
RUMUR: Final = Peer("rumur", _without("rumur", "gcc"), rumur)
STORM: Final = Peer("Storm", _without_module("stormpy"), storm)
MINICHECK: Final = Peer("minicheck", _without_module("minicheck"), minicheck)
