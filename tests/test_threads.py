# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames: calls forget, gotos forget, and what is brought back is what was."""

from __future__ import annotations

from natmodel.ops import Call, RoverLoad, path
from natmodel.run import run
from natmodel.scenario import Scenario
from natmodel.threads import Threads


@path
async def two_loads(first: int, second: int) -> int:
    return await RoverLoad(first) + await RoverLoad(second)


@path
async def countdown(n: int, total: int) -> int | Call[int]:
    if n == 0:
        return total
    total += await RoverLoad(n)
    return countdown(n - 1, total)


@path
async def caller(n: int) -> tuple[int, int]:
    return await two_loads(n, n + 1), await countdown(n, 0)


def drive(threads: Threads, t: int, replies: list[int]) -> int:
    for reply in replies:
        t = threads.after(t, reply)
    return t


def test_two_histories_with_one_result_are_one_state() -> None:
    threads = Threads()
    t = threads.start(caller(2))
    assert drive(threads, t, [1, 4]) == drive(threads, t, [3, 2])


def test_goto_forgets_the_previous_round() -> None:
    threads = Threads()
    t = threads.start(countdown(3, 0))
    assert drive(threads, t, [5, 0]) == drive(threads, t, [0, 5])
    assert len(threads.stack[drive(threads, t, [5, 0])]) == 1


def test_a_frame_s_log_does_not_grow_with_a_loop_of_gotos() -> None:
    threads = Threads()
    t = threads.start(countdown(500, 0))
    for _ in range(499):
        t = threads.after(t, 0)
        assert len(threads.stack[t][-1][2]) == 0


def test_threads_and_run_read_a_path_alike() -> None:
    world = Scenario.default().world()
    threads = Threads()
    t = drive(threads, threads.start(caller(2)), [0, 0, 0, 0])
    assert threads.pending[t] is None
    assert threads.result[t] == run(caller(2), world).result == (0, 0)
