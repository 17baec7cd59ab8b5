# SPDX-License-Identifier: GPL-2.0-or-later
"""Is natmodel as fast as it should be, and as fast as others?

`python -m tests.bench [--pairs N] [--quick] [--markdown FILE] [peers] [reduction] [budgets]`

peers: the same questions to other checkers, each where it is installed; reduction: how much each
reduction saves; budgets: times that the installed command has to keep.  All three, if none is named.
Peers are SPIN, rumur and gcc where these programs are found, and stormpy and minicheck of the Python that
NATMODEL_PEERS_PYTHON names (this one, if it is not set).
Exits 1 if a budget was not kept or if two programs did not say the same.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

from natmodel.explore import Limits
from tests.bench import budgets, reduction, rows, table
from tests.bench.rows import Disagreement, Result

PARTS = ("peers", "reduction", "budgets")


class Section(NamedTuple):
    """A table with what is to be said about it, before and after."""

    title: str
    about: Sequence[str]
    header: table.Line
    lines: Sequence[table.Line]
    notes: Sequence[str] = ()


def peers(quick: bool, pairs: int) -> Iterator[Section]:
    results = list(_results(rows.QUICK if quick else rows.FULL, pairs))
    about = (
        f"CPU seconds of whole processes (the middle of {pairs}), run in turns: ours, theirs.",
        "min, median, max: of ours / theirs, pair by pair; below 1, natmodel needs less.",
        "Models are made and compiled before, which is not counted.",
    )
    lines, notes = map(table.line, results), map(table.note, results)
    yield Section("Other checkers", about, table.RESULTS, [*lines], [*notes])
    started = [(what, f"{cpu:.2f}") for what, cpu in rows.starts(pairs)]
    yield Section(
        "Starts", ("CPU seconds; part of what is counted above.",), ("process", "CPU"), started
    )


def _results(asked: Sequence[rows.Row], pairs: int) -> Iterator[Result]:
    for row in asked:
        with_whom = f", {row.peer.name}" if row.peer is not None else ""
        print(f"{row.name}{with_whom} ...", file=sys.stderr, flush=True)
        yield rows.measured(row, pairs)


def reductions(quick: bool) -> Iterator[Section]:
    limits = Limits(states=20_000 if quick else 300_000)
    for window in (reduction.FOUR,) if quick else (reduction.EIGHT, reduction.ALL):
        lines = [reduction.line(race, limits) for race in reduction.races(window)]
        yield Section(f"Reductions, {window.name}", reduction.ABOUT, reduction.HEADER, lines)


def machine() -> str:
    """What ran this, and how much else ran beside it."""
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    python = platform.python_version()
    return f"Python {python}, {os.cpu_count()} cores, load {load} (1, 5, 15 minutes)."


def as_text(section: Section) -> str:
    drawn = table.text(section.header, section.lines)
    notes = [fill(note, table.WIDTH, subsequent_indent="    ") for note in section.notes]
    return "\n".join([section.title, *section.about, "", drawn, *notes, ""])


def as_markdown(section: Section) -> str:
    drawn = table.markdown(section.header, section.lines)
    notes = "\n".join(f"* {note}" for note in section.notes)
    parts = [f"## {section.title}", "\n".join(section.about), drawn, notes]
    return "\n\n".join(filter(None, parts))


def page(sections: Sequence[Section], before: str) -> str:
    """docs/benchmarks.md"""
    about = (
        "# Benchmarks\n\n`tox -e bench -- --markdown docs/benchmarks.md` writes this page; what is\n"
        "measured, and how, is in `tests/bench/`.  natclash T/R/K: T packets choose one of R ports, of\n"
        f"which K are occupied (`tests/bench/natclash.py`).\n\n{before}"
    )
    return "\n\n".join([about, *map(as_markdown, sections)]) + "\n"


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--pairs", type=int, help="times that each case is run (5; --quick: 1)")
    parser.add_argument("--quick", action="store_true", help="small cases only")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file as well")
    found = parser.parse_args(given)
    if not set(found.parts) <= set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}")
    return found


def main(given: Sequence[str]) -> int:
    asked = arguments(given)
    parts = asked.parts or PARTS
    before = machine()
    print(before, flush=True)
    sections = []
    try:
        for section in _sections(parts, asked.quick, asked.pairs or (1 if asked.quick else 5)):
            print(as_text(section), flush=True)
            sections.append(section)
    except Disagreement as wrong:
        print(wrong, file=sys.stderr)
        return 1
    if asked.markdown is not None:
        asked.markdown.write_text(page(sections, before), encoding="utf-8")
    return 0 if "budgets" not in parts or budgets.kept() else 1


def _sections(parts: Sequence[str], quick: bool, pairs: int) -> Iterator[Section]:
    if "peers" in parts:
        yield from peers(quick, pairs)
    if "reduction" in parts:
        yield from reductions(quick)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
