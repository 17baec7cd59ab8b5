# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables, as text of at most 80 columns and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

from tests.bench.peers import Answers
from tests.bench.rows import Result

Line = Sequence[str]
WIDTH: Final = 80

RESULTS: Final = ("natclash T/R/K", "ours", "peer", "theirs", "min", "median", "max")


def text(header: Line, lines: Sequence[Line]) -> str:
    """First column to the left, others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    rows = [header, ["-" * width for width in widths], *lines]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def markdown(header: Line, lines: Sequence[Line]) -> str:
    rows = [header, ["---", *["---:"] * (len(header) - 1)], *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def line(result: Result) -> Line:
    """The cells below RESULTS."""
    peer = result.row.peer
    ratios = [f"{ratio:.3g}" for ratio in result.ratios or ()] or ["", "", ""]
    return [
        result.row.name,
        seconds(result.ours),
        peer.name if peer is not None else "",
        seconds(result.theirs),
        *ratios,
    ]


def seconds(runs: Sequence[float]) -> str:
    """The middle one."""
    if not runs:
        return "-"
    middle = median(runs)
    return f"{middle:.2f}" if middle < 100 else f"{middle:.0f}"


def note(result: Result) -> str:
    """What was agreed on, and who could not be asked."""
    parts = [
        result.why_not or "",
        facts("agreed" if result.theirs else "as known", result.agreed),
        facts("said by one", result.alone),
    ]
    peer = result.row.peer
    whom = f", {peer.name}" if peer is not None else ""
    return f"{result.row.name}{whom}: {'; '.join(filter(None, parts))}"


def facts(how: str, answers: Answers) -> str:
    said = ", ".join(f"{what} {shown(value)}" for what, value in answers.items())
    return f"{said} ({how})" if said else ""


def shown(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else value
