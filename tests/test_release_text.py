# SPDX-License-Identifier: GPL-2.0-or-later
"""The releases table as people see it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from natmodel import lines
from natmodel.cli import main
from natmodel.release_text import (
    FAMILIES,
    difference_lines,
    differing,
    generations,
    markdown,
    marks,
    notes_of,
    row_lines,
    side_by_side,
    source_of,
    table_lines,
)
from natmodel.releases import MODULES, RELEASES

ROWS = tuple(RELEASES.values())
PAGE = Path(__file__).parent.parent / "docs" / "releases.md"


def test_the_page_is_what_the_table_makes() -> None:
    """`natmodel releases --format markdown > docs/releases.md` makes it anew."""
    assert PAGE.read_text(encoding="utf-8") == markdown(ROWS, notes_of(ROWS, MODULES))


def test_every_row_says_what_is_new_in_it() -> None:
    notes = notes_of(ROWS, MODULES)
    assert list(notes) == list(RELEASES)
    assert all(notes.values())
    assert len(set(notes.values())) > 40


def test_names_of_kernels_speak_of_these_rows() -> None:
    assert set(lines.ROW_NAMES) == set(RELEASES)


def test_a_row_names_the_trees_that_were_read() -> None:
    for k in ROWS:
        named = k.covers.partition("(READ: ")[2].removesuffix(")").split(", ")
        read = {str(tree) for tree, row in lines.TREES.items() if row == k.name}
        assert {name.replace("-rc", ".0-rc").replace(".0.0-rc", ".0-rc") for name in named} == (
            read or {lines.EL8}
        ), k.name


def test_every_field_is_in_a_family() -> None:
    fields = [name for names, _ in FAMILIES.values() for name in names]
    assert len(fields) == len(set(fields))
    left_out = {"name", "covers", "new_connection"}
    assert {*fields, *left_out} == {a.name for a in type(ROWS[0]).__attrs_attrs__}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_change_is_marked_and_only_a_change(family: str) -> None:
    letters = generations(ROWS, family)
    assert list(letters.values()) == sorted(letters.values())
    found = marks(ROWS, family)
    assert not found[0][1]
    for (before, _), (letter, marked) in pairwise(found):
        assert marked is (before != letter)


def test_neighbours_differ_in_the_table() -> None:
    columns = [marks(ROWS, family) for family in FAMILIES]
    for n in range(1, len(ROWS)):
        assert any(column[n][1] for column in columns), ROWS[n].name


def test_all_of_it_fits_80_columns() -> None:
    assert all(len(line) <= 80 for line in table_lines(ROWS, 80))
    for a, b in pairwise(ROWS):
        assert all(len(line) <= 80 for line in difference_lines(a, b, 80))
        assert all(len(line) <= 80 for line in row_lines(a, 80))


def test_two_rows_show_the_source_of_what_differs() -> None:
    a, b = RELEASES["4.19.66"], RELEASES["5.0.1"]
    assert "l4proto_unique_tuple" in differing(a, b)
    text = "\n".join(difference_lines(a, b, 160))
    assert "off = await RoverLoad(t.protonum)" in text
    assert "return random_unless_shifted(k, w, r, ct)" in text
    assert list(difference_lines(a, a, 80))[-1] == "They are one row."


def test_side_by_side_loses_no_line() -> None:
    old, new = (source_of(RELEASES[k].tuple_taken) for k in ("4.18.0", "5.0.1"))
    shown = list(side_by_side(old, new, 400))
    assert [line[:198].rstrip() for line in shown if line[199:200] != ">"] == old
    assert [line[201:] for line in shown if line[199:200] != "<"] == new


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("", 0, "differs from the row above"),
        ("6.12.117", 0, "nf_nat_used_tuple_harder"),
        ("6.12.120", 2, ""),
        ("5.15.59", 0, "5.15.0"),
        ("4.19.66 5.0.1", 0, "bounded_rounds_with_swapped_ids"),
        ("--of 6.1.0-56", 3, "6.1.192"),
        ("--of 6.12.117+deb12-cloud-amd64", 0, "6.12.117"),
        ("--of 9.9", 2, ""),
        ("6.1.0-56", 2, ""),
        ("4.20.0 5.0.1 5.2.1", 2, ""),
    ],
)
def test_the_command(
    arguments: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["releases", *arguments.split()]) == code
    out, err = capsys.readouterr()
    assert said in out
    assert err.count("\n") == (code == 2)
