# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels a test runs on: all of them in the exhaustive run, a few in every run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import pytest

from natmodel.releases import RELEASES

T = TypeVar("T")

# The first rows to be held against compiled code: one with a rover, one with bounded rounds.
ROVER, ROUNDS = "4.19.66", "6.12.117"

# One for each way in which a packet meets the shared memory differently from its neighbours.
TELLING = ("2.6.24", "2.6.35.6", "3.10.4", "4.7.4", ROVER, "4.19.304", "5.0.1", "6.6.63", ROUNDS)


def each_kernel(*quick: str) -> pytest.MarkDecorator:
    """One test for each row; those not named are left to `tox -e exhaustive`."""
    names: list[Any] = [
        name if name in quick else pytest.param(name, marks=pytest.mark.exhaustive)
        for name in RELEASES
    ]
    return pytest.mark.parametrize("kernel", names)


def by_row(table: Mapping[str, T]) -> dict[str, T]:
    """A table whose lines name rows (`A, B .. C`), as one with a line for each row.

    Every row must be in one line and no more.
    """
    rows = list(RELEASES)
    found: dict[str, T] = {}
    for line, value in table.items():
        for span in line.split(", "):
            first, _, last = span.partition(" .. ")
            for row in rows[rows.index(first) : rows.index(last or first) + 1]:
                assert row not in found, f"{row} is in two lines"
                found[row] = value
    missing = [row for row in rows if row not in found]
    assert not missing, f"in no line: {missing}"
    return found
