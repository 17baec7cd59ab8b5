# SPDX-License-Identifier: GPL-2.0-or-later
"""Many scenarios at once: kernels x NAT rules x numbers of packets, on any `concurrent.futures.Executor`.

A sweep is a list of cells.  Each is a work item of its own, which goes to a worker as a short text and
comes back as one: whatever runs Python and has natmodel can be a worker (docs/cluster.md).

A report maps cells to answers.  Reports are merged in any order and any grouping, and what is printed
depends on cells and answers alone: not on how many workers there were, nor on who was first.  That holds
for limits in states.  Where a limit in seconds or memory ends a search depends on the machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, as_completed
from contextlib import contextmanager, suppress
from typing import Final, TypeAlias

from natmodel.cells import USUAL_LIMITS, Answer, Cell, work, work_item
from natmodel.errors import BadInput
from natmodel.explore import Limits
from natmodel.kept import Kept
from natmodel.sweep_text import Report


class WorkerDied(BadInput):
    """A worker was killed, or ran out of memory: what it had not answered is not known."""


# ── running ─────────────────────────────────────────────────────────────────────────────────────

# Called after each answer: how many there are, of how many.
Progress: TypeAlias = Callable[[int, int], None]


def run(
    cells: Iterable[Cell],
    executor: Executor | None = None,
    *,
    limits: Limits = USUAL_LIMITS,
    keep: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Answer every cell; each is one work item for `executor`, or done in this process if there is none.

    `keep` names a file: answers that it holds are not sought again, others are added as they come.
    Raises WorkerDied if the executor breaks, and BadInput for a file that cannot be used.
    """
    sweep = _Sweep(cells, limits, keep, progress)
    try:
        sweep.run(executor)
    except BrokenExecutor:
        raise sweep.worker_died() from None
    return sweep.report


def run_here(
    cells: Iterable[Cell],
    jobs: int = 1,
    *,
    limits: Limits = USUAL_LIMITS,
    keep: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """As `run`, in `jobs` processes of this machine; in this one if that is 1.

    If a worker dies, what it and its like had not answered is tried again in new processes, once; then
    WorkerDied is raised.
    """
    sweep = _Sweep(cells, limits, keep, progress)
    if min(jobs, len(sweep.todo)) <= 1:
        sweep.run(None)
        return sweep.report
    for _ in range(2):
        workers = max(1, min(jobs, len(sweep.todo)))
        with suppress(BrokenExecutor), _processes(workers) as pool:
            sweep.run(pool)
            return sweep.report
    raise sweep.worker_died()


class _Sweep:
    """What has been answered so far."""

    def __init__(
        self, cells: Iterable[Cell], limits: Limits, keep: str | None, progress: Progress | None
    ) -> None:
        self._cells: Final = list(dict.fromkeys(cells))
        self._limits: Final = limits
        self._progress: Final = progress
        self._kept: Final = None if keep is None else Kept(keep)
        self._found: Final[dict[Cell, Answer]] = {}
        if self._kept is not None:
            for cell in self._cells:
                for data in self._kept.found(work_item(cell, limits)):
                    self._add(cell, Answer.from_data(data))

    @property
    def todo(self) -> list[Cell]:
        return [cell for cell in self._cells if cell not in self._found]

    @property
    def report(self) -> Report:
        return Report(self._found)

    def worker_died(self) -> WorkerDied:
        return WorkerDied(
            f"sweep: a worker died (killed, or out of memory) when {len(self._found)} of "
            f"{len(self._cells)} cells were answered; fewer workers or states need less memory, and "
            "what a file keeps is not sought again"
        )

    def run(self, executor: Executor | None) -> None:
        """Answer what is left to do.  Raises BrokenExecutor."""
        items = {cell: work_item(cell, self._limits) for cell in self.todo}
        for cell, text in _answers(items, executor):
            data = json.loads(text)
            if self._kept is not None:
                self._kept.add(items[cell], data)
            self._add(cell, Answer.from_data(data))
            if self._progress is not None:
                self._progress(len(self._found), len(self._cells))

    def _add(self, cell: Cell, found: Answer) -> None:
        before = self._found.get(cell)
        self._found[cell] = found if before is None else before.better(found)


def _answers(items: Mapping[Cell, str], executor: Executor | None) -> Iterator[tuple[Cell, str]]:
    """Answers as they come."""
    if executor is None:
        yield from ((cell, work(item)) for cell, item in items.items())
        return
    futures = {executor.submit(work, item): cell for cell, item in items.items()}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        for future in futures:
            future.cancel()


@contextmanager
def _processes(jobs: int) -> Iterator[Executor]:
    """A pool that is gone afterwards, at once if something went wrong."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # A new interpreter each: whoever calls may have threads, and those cannot be forked.
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _be_a_worker)
    try:
        yield pool
    except BaseException:
        # What they are at may take an hour, and a pool has no other way to stop them (before 3.14).
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _be_a_worker() -> None:
    """Ctrl-C is for the process that waits for us, and we end when it does."""
    from signal import SIG_IGN, SIGINT, signal
    from threading import Thread

    signal(SIGINT, SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool's workers do not notice that their parent was killed, and would wait for ever."""
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
