# SPDX-License-Identifier: GPL-2.0-or-later
"""What a sweep found out, cell by cell: joined in any order, and printed in one."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import reduce
from itertools import groupby
from typing import Any, Final, TypeAlias

import attrs

from natmodel.cells import Answer, Cell, place, premises
from natmodel.scenario import row_of
from natmodel.verdict import Quantifier

SCHEMA: Final = "natmodel.sweep/1"

WIDTH: Final = 80


@attrs.frozen
class Report:
    """The answers by cell.  Two reports that are equal print the same."""

    answers: Mapping[Cell, Answer] = attrs.Factory(dict)

    def merged(self, other: Report) -> Report:
        """Both reports in one; in any order and any grouping the same one.

        If both have a cell, what is kept is the answer that leaves less open.
        """
        answers = dict(self.answers)
        for cell, found in other.answers.items():
            answers[cell] = answers[cell].better(found) if cell in answers else found
        return Report(answers)

    def items(self) -> list[tuple[Cell, Answer]]:
        """In the order of the report: by all that is not kernel or number of packets, then by these."""
        return sorted(self.answers.items(), key=lambda item: place(item[0]))

    def total(self, quantifier: Quantifier) -> int:
        return sum(found.verdict is quantifier for found in self.answers.values())

    @property
    def exit_code(self) -> int:
        """3 if a cell is not decided, else 1 if in one a drop is reachable, else 0."""
        return max((found.exit_code for found in self.answers.values()), default=0)

    def text(self) -> str:
        """Tables of at most 80 columns, one for each set of premises, and the sum as the last line."""
        columns = [column for column in _COLUMNS if any(map(column.asked, self.answers.items()))]
        items = self.items()
        cells = [[column.name for column in columns]]
        cells += [[column.text(item) for column in columns] for item in items]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        head, *rows = [_row_text(columns, row, widths) for row in cells]
        lines: list[str] = []
        for shared, group in groupby(
            zip(items, rows, strict=True), lambda row: premises(row[0][0])
        ):
            lines += [*_premises_lines(shared), head, *(row for _, row in group), ""]
        return "\n".join([*lines, self._sum()]) + "\n"

    def _sum(self) -> str:
        number = len(self.answers)
        totals = ", ".join(f"{self.total(q)} {q.value}" for q in Quantifier)
        return f"{number} {'cell' if number == 1 else 'cells'}: {totals}"

    def to_data(self) -> dict[str, Any]:
        """As JSON: the cells in the order of the report, with every fraction exact, and the sum."""
        cells = [cell.to_data() | found.to_data() for cell, found in self.items()]
        for data, (_, found) in zip(cells, self.items(), strict=True):
            data["drop_odds"] = None if found.drop_odds is None else str(found.drop_odds)
        total = {q.value: self.total(q) for q in Quantifier}
        return {"schema": SCHEMA, "cells": cells, "sum": {"cells": len(cells), **total}}


def merged(reports: Iterable[Report]) -> Report:
    """All of them in one."""
    return reduce(Report.merged, reports, Report())


def _premises_lines(shared: Iterable[Iterable[str]]) -> list[str]:
    text = " ".join(map(shlex.join, shared))
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


# ── the table ───────────────────────────────────────────────────────────────────────────────────

_Item: TypeAlias = tuple[Cell, Answer]


@attrs.frozen
class _Column:
    name: str
    text: Callable[[_Item], str]
    asked: Callable[[_Item], bool] = lambda item: True


def _kernel_text(item: _Item) -> str:
    kernel = item[0].scenario.kernel
    return kernel if len(kernel) <= 10 else row_of(kernel)


def _states_text(item: _Item) -> str:
    """`>`: there are more."""
    _, found = item
    return f"{'>' if 'verdict' in dict(found.gave_up) else ''}{found.states}"


def _number(value: Any) -> str:
    return "-" if value is None else str(value)


def odds_text(p: Fraction | None) -> str:
    """Four digits, or two of what is missing to 1; 0 and 1 only if it is just that."""
    if p is None:
        return "-"
    text = f"{float(p):.4g}"
    return f"1-{float(1 - p):.2g}" if text == "1" and p != 1 else text


def _limit_text(item: _Item) -> str:
    return "/".join(dict.fromkeys(why for _, why in item[1].gave_up))


_COLUMNS: Final = (
    _Column("kernel", _kernel_text),
    _Column("packets", lambda item: str(len(item[0].scenario.packets))),
    _Column("verdict", lambda item: item[1].verdict.value),
    _Column("steps", lambda item: _number(item[1].steps)),
    _Column("most", lambda item: _number(item[1].drops), lambda item: "drops" in item[0].asks),
    _Column("states", _states_text),
    _Column("P(drop)", lambda i: odds_text(i[1].drop_odds), lambda item: "odds" in item[0].asks),
    _Column(
        "ends",
        lambda item: _number(None if item[1].outcomes is None else len(item[1].outcomes)),
        lambda item: "outcomes" in item[0].asks,
    ),
    _Column("limit", _limit_text, lambda item: bool(item[1].gave_up)),
)
# Words; numbers stand at the right.
_WORDS: Final = ("kernel", "verdict", "limit")


def _row_text(columns: Iterable[_Column], cells: Iterable[str], widths: Iterable[int]) -> str:
    texts = [
        text.ljust(width) if column.name in _WORDS else text.rjust(width)
        for column, text, width in zip(columns, cells, widths, strict=True)
    ]
    gap = "  " if sum(map(len, texts)) + 2 * len(texts) - 2 <= WIDTH else " "
    return gap.join(texts).rstrip()
