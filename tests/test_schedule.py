# SPDX-License-Identifier: GPL-2.0-or-later
"""A schedule pastes back, however it was wrapped, and nonsense is refused in one line."""

from __future__ import annotations

import textwrap
from contextlib import suppress
from itertools import groupby, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from natmodel.errors import BadInput
from natmodel.schedule import CPUS, Schedule, Step

steps = st.builds(
    Step,
    st.integers(0, len(CPUS) - 1) | st.integers(0, 2),
    st.just(()) | st.lists(st.integers(0, 0xFFFFFFFF), max_size=3).map(tuple),
)
# Runs of equal steps, since single ones are seldom alike.
schedules = st.lists(st.tuples(steps, st.integers(1, 12))).map(
    lambda runs: Schedule(tuple(step for step, n in runs for _ in range(n)))
)


def plain(text: str) -> Schedule:
    """One step for each character that names a CPU."""
    return Schedule(tuple(Step(CPUS.index(name)) for name in text))


@given(schedules)
def test_a_schedule_pastes_back(schedule: Schedule) -> None:
    assert Schedule.parse(str(schedule)) == schedule
    assert eval(repr(schedule)) == schedule


@given(schedules, st.integers(2, 40))
def test_lines_wrapped_at_blanks_paste_back(schedule: Schedule, width: int) -> None:
    wrapped = textwrap.fill(str(schedule), width, break_long_words=False)
    assert Schedule.parse(wrapped) == schedule


@given(st.lists(st.integers(0, 3)))
def test_without_counts_blanks_and_underscores_mean_nothing(cpus: list[int]) -> None:
    text = "".join(map(str, cpus))
    assert Schedule.parse("_".join(text)) == Schedule.parse("\n\t".join(text)) == plain(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("00000011111101", "000000 111111 0 1"),
        ("01", "0 1"),
        ("", ""),
        (" \n", ""),
        ("0[4711]", "0[4711]"),
        ("0 [ 47 11 , 3 ] 0", "0[4711,3]0"),
        ("0[007]", "0[7]"),
        ("00000000", "00000000"),
        ("000000000", "0*9"),
        ("0*3", "000"),
        ("0 *3", "000"),
        ("0*64_511", "0*64511"),
        ("0*9 0[5] 0", "0*9 0[5]0"),
        ("0[5]0*9", "0[5]0*9"),
        ("0*9 1", "0*9 1"),
        ("0*9a", "0*9 a"),
        ("0*45 0*45", "0*90"),
        ("z*10", "z*10"),
    ],
)
def test_texts_are_read_and_written(text: str, written: str) -> None:
    assert str(Schedule.parse(text)) == written


def test_a_long_walk_has_a_short_text() -> None:
    schedule = Schedule((Step(0),) * 64_511 + (Step(1, (7,)),))
    assert str(schedule) == "0*64511 1[7]"
    assert len(schedule) == 64_512
    assert Schedule.parse("0*64511 1[7]") == schedule


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("00-1", "character 3"),
        ("0A", "character 2"),
        ("0[12", "character 2"),
        ("0[]", "character 2"),
        ("0[1,]", "character 2"),
        ("0[x]", "character 2"),
        ("0[-1]", "character 2"),
        ("0[4294967296]", "character 2"),
        ("0[\u0663]", "character 2"),
        ("\u0663", "character 1"),
        ("[1]", "character 1"),
        ("0*", "character 2"),
        ("0*0", "character 2"),
        ("0[1]*2", "character 5"),
        ("0*2*2", "character 4"),
        ("0*4000001", "steps"),
        ("0*4000000 0", "steps"),
        ("0*" + "9" * 5000, "character 2"),
    ],
)
def test_nonsense_is_refused_where_it_stands(text: str, where: str) -> None:
    with pytest.raises(BadInput, match=where) as refused:
        Schedule.parse(text)
    assert "\n" not in str(refused.value)


@given(st.text() | st.text("01a[]*,_ 5"))
@example("0*9_")
@example("0**")
def test_random_text_is_a_schedule_or_bad_input(text: str) -> None:
    with suppress(BadInput):
        schedule = Schedule.parse(text)
        assert Schedule.parse(str(schedule)) == schedule


@given(schedules)
def test_switches_are_counted(schedule: Schedule) -> None:
    turns = [cpu for cpu, _ in groupby(step.cpu for step in schedule.steps)]
    assert schedule.switches == max(0, len(turns) - 1)


def test_the_least_schedule_is_the_best() -> None:
    best_first = ["11 0", "0 1 0", "000 1", "0[1] 111", "0[2] 111", "1 000", "0 11 0", "0 1 0 1"]
    parsed = [Schedule.parse(text) for text in best_first]
    assert all(a < b for a, b in pairwise(parsed))
