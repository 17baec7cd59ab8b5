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
import shlex
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, as_completed
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import reduce
from itertools import groupby, product
from typing import Any, Final, TypeAlias

import attrs

from natmodel import odds
from natmodel.census import most_drops
from natmodel.errors import BadInput
from natmodel.explore import Limits
from natmodel.kept import Kept
from natmodel.memory import memory_in_use
from natmodel.nat_text import shown
from natmodel.quotient import Circular, Quotient
from natmodel.releases import RELEASES
from natmodel.scenario import Scenario, pods, row_of
from natmodel.values import NF_NAT_RANGE_PROTO_SPECIFIED
from natmodel.verdict import EXIT_CODES, Quantifier, Verdict, check

SCHEMA: Final = "natmodel.sweep/1"

# What can be asked of a cell.  The verdict always is.
ASKS: Final = ("verdict", "outcomes", "drops", "odds")
USUAL_ASKS: Final = ("verdict", "drops", "odds")

# Every worker holds so many at most, and as many workers as there are cores do so at once.
USUAL_LIMITS: Final = Limits(states=200_000)

# More keys than this in a window, and each of them a state: lone steps alone would not save that.
_SMALL_WINDOW: Final = 256

WIDTH: Final = 80


class WorkerDied(BadInput):
    """A worker was killed, or ran out of memory: what it had not answered is not known."""


# ── cells and answers ───────────────────────────────────────────────────────────────────────────


def _asks(given: Iterable[str]) -> tuple[str, ...]:
    names = {"verdict", *given}
    for name in sorted(names):
        if name not in ASKS:
            raise BadInput(f"sweep: {shown(name)} is none of {', '.join(ASKS)}")
    return tuple(name for name in ASKS if name in names)


@attrs.frozen
class Cell:
    """One scenario of a sweep, and what is asked of it: some of ASKS."""

    scenario: Scenario
    asks: tuple[str, ...] = attrs.field(default=USUAL_ASKS, converter=_asks)

    def to_data(self) -> dict[str, Any]:
        return {"scenario": json.loads(self.scenario.to_json()), "asks": list(self.asks)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Cell:
        """The cell that `to_data` told.  Raises BadInput."""
        return cls(Scenario.from_text(json.dumps(data["scenario"])), data["asks"])

    def text(self) -> str:
        """The cell in one line; equal cells have one text."""
        return _line(self.to_data())


@attrs.frozen
class Answer:
    """What was found out about one cell.

    `verdict`, `witness` (a schedule's text), `steps` (its length) and `states` (up to symmetry) are as of
    an exhaustive `natmodel.check`.  `outcomes` are (packets dropped, shortest schedule), as of
    `Verdict.outcomes`; `drops` is the most packets that one schedule drops; `odds[n]` is P(n packets are
    dropped) under the uniform scheduler (natmodel.odds), without zeros at the end.  These are None if
    nobody asked, or if a search was given up.  `gave_up` says where: (what was asked, what ended the
    search: "states", "seconds", "memory", or "circle" if some schedule has no end).
    """

    verdict: Quantifier
    witness: str | None
    steps: int | None
    states: int
    outcomes: tuple[tuple[int, str], ...] | None = None
    drops: int | None = None
    odds: tuple[Fraction, ...] | None = None
    gave_up: tuple[tuple[str, str], ...] = ()

    @property
    def exit_code(self) -> int:
        """0 never, 1 a drop is reachable, 3 not decided, or not every outcome was found."""
        undecided = "outcomes" in dict(self.gave_up)
        return EXIT_CODES[Quantifier.UNKNOWN if undecided else self.verdict]

    @property
    def drop_odds(self) -> Fraction | None:
        """P(some packet is dropped)"""
        return None if self.odds is None else 1 - self.odds[0]

    def to_data(self) -> dict[str, Any]:
        data = attrs.asdict(self, recurse=False)
        data["verdict"] = self.verdict.value
        data["outcomes"] = None if self.outcomes is None else list(map(list, self.outcomes))
        data["odds"] = None if self.odds is None else list(map(str, self.odds))
        data["gave_up"] = dict(self.gave_up)
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Answer:
        """The answer that `to_data` told."""
        fields = dict(data)
        fields["verdict"] = Quantifier(fields["verdict"])
        if fields["outcomes"] is not None:
            fields["outcomes"] = tuple((drops, way) for drops, way in fields["outcomes"])
        if fields["odds"] is not None:
            fields["odds"] = tuple(map(Fraction, fields["odds"]))
        fields["gave_up"] = tuple(fields["gave_up"].items())
        return cls(**fields)

    def better(self, other: Answer) -> Answer:
        """Of two answers about one cell, that which leaves less open; always the same one of two."""
        return min(self, other, key=lambda a: (len(a.gave_up), _line(a.to_data())))


def _line(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"))


# ── the work ────────────────────────────────────────────────────────────────────────────────────


def work_item(cell: Cell, limits: Limits) -> str:
    """What a worker is sent."""
    return _line({"cell": cell.to_data(), "limits": attrs.asdict(limits)})


def work(item: str) -> str:
    """What a worker does: the answer's text for a work item's.  Knows nothing but its argument."""
    data = json.loads(item)
    found = answer(Cell.from_data(data["cell"]), Limits(**data["limits"]))
    return _line(found.to_data())


def answer(cell: Cell, limits: Limits = USUAL_LIMITS) -> Answer:
    """Answer one cell, in this process.  Each search has `limits` to itself."""
    verdict = check(cell.scenario, limits, exhaustive=True, outcomes="outcomes" in cell.asks)
    first = _first(cell, verdict, limits)
    if verdict.quantifier is Quantifier.NEVER:
        return _weighed(first, cell, 0, (Fraction(1),), None)
    if {"drops", "odds"}.isdisjoint(cell.asks):
        return first
    return _weighed(first, cell, *_graph_answers(cell, limits))


def _first(cell: Cell, verdict: Verdict, limits: Limits) -> Answer:
    """The verdict, and the outcomes if they were asked for."""
    explored, witness = verdict.explored, verdict.witness
    found = Answer(
        verdict.quantifier,
        None if witness is None else str(witness),
        None if witness is None else len(witness),
        explored.states,
    )
    if not explored.complete:
        why = _which(limits, explored.states)
        return attrs.evolve(found, gave_up=_for_each(cell, ("verdict", "outcomes"), why))
    if "outcomes" not in cell.asks:
        return found
    ways = tuple((outcome.drops, str(outcome.schedule)) for outcome in verdict.outcomes)
    return attrs.evolve(found, outcomes=ways)


def _weighed(
    first: Answer,
    cell: Cell,
    most: int | None,
    shares: tuple[Fraction, ...] | None,
    why: str | None,
) -> Answer:
    """The answer, with the most drops and the odds where they were asked for."""
    missing = [name for name, found in (("drops", most), ("odds", shares)) if found is None]
    more = () if why is None else _for_each(cell, missing, why)
    return attrs.evolve(
        first,
        drops=most if "drops" in cell.asks else None,
        odds=shares if "odds" in cell.asks else None,
        gave_up=(*first.gave_up, *more),
    )


def _for_each(cell: Cell, names: Iterable[str], why: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, why) for name in names if name in cell.asks)


def _graph_answers(
    cell: Cell, limits: Limits
) -> tuple[int | None, tuple[Fraction, ...] | None, str | None]:
    """(the most drops, the odds, why one of them is missing)"""
    scenario = cell.scenario
    graph = Quotient(scenario.threads(), scenario.world(), lazy=True)
    try:
        if graph.grow(limits):
            most = most_drops(graph)
            return most, _shares(graph) if "odds" in cell.asks else None, None
        why = _which(limits, len(graph.states))
        del graph  # before there is another one
        return _most_by_lone_steps(cell, limits), None, why
    except Circular:
        return None, None, "circle"


def _shares(graph: Quotient) -> tuple[Fraction, ...]:
    shares = odds.drops(graph)
    while not shares[-1]:
        shares = shares[:-1]
    return shares


def _most_by_lone_steps(cell: Cell, limits: Limits) -> int | None:
    """Lone steps keep the most drops but not the odds, and their draws are not lazy."""
    scenario = cell.scenario
    if "drops" not in cell.asks or not all(_is_small(rule.range) for rule in scenario.nat):
        return None
    graph = Quotient(scenario.threads(), scenario.world(), lone=True)
    return most_drops(graph) if graph.grow(limits) else None


def _is_small(r: Any) -> bool:
    ports = r.max_proto - r.min_proto + 1
    return bool(r.flags & NF_NAT_RANGE_PROTO_SPECIFIED) and ports <= _SMALL_WINDOW


def _which(limits: Limits, states: int) -> str:
    """The limit that has ended a search."""
    if limits.states is not None and states > limits.states:
        return "states"
    if limits.memory is not None and memory_in_use() > limits.memory:
        return "memory"
    return "seconds"


# ── the cells of a sweep ────────────────────────────────────────────────────────────────────────


def kernels_of(texts: Iterable[str]) -> tuple[str, ...]:
    """The kernels that these texts mean, each once: a kernel's name, `all` rows, or rows A..B.

    Raises BadInput.
    """
    rows, found = list(RELEASES), dict[str, None]()
    for text in texts:
        first, dots, last = (part.strip() for part in text.partition(".."))
        if text.strip() == "all":
            found |= dict.fromkeys(rows)
        elif not dots:
            row_of(text)
            found[text] = None
        else:
            a, b = rows.index(row_of(first)), rows.index(row_of(last))
            if a > b:
                raise BadInput(f"kernel {shown(text)}: {last} comes before {first}")
            found |= dict.fromkeys(rows[a : b + 1])
    return tuple(found)


def cells_of(
    base: Scenario | None = None,
    *,
    kernels: Iterable[str] = (),
    nats: Iterable[str] = (),
    numbers: Iterable[int] = (),
    asks: Iterable[str] = USUAL_ASKS,
    **more: Any,
) -> list[Cell]:
    """The product: each kernel, each NAT rule, each number of pods to one server.

    What is not given is as in `base`; `more` is as for `Scenario.from_arguments`, and each cell has it.
    Raises BadInput, naming the kernel, if one of the cells makes no sense.
    """
    rows: tuple[str | None, ...] = kernels_of(kernels) or (None,)
    rules: list[tuple[str, ...]] = [(nat,) for nat in nats] or [()]
    packets = [tuple(map(str, _pods(number))) for number in numbers]
    if packets and more.get("packet"):
        raise BadInput("sweep: packets are given one by one or as a number, not both")
    found: dict[Cell, None] = {}
    for kernel in rows:
        for nat, packet in product(rules, packets or [tuple(more.get("packet", ()))]):
            given = more | {"packet": packet, "nat": nat}
            found[Cell(_scenario(kernel, base, given), tuple(asks))] = None
    return list(found)


def _scenario(kernel: str | None, base: Scenario | None, given: dict[str, Any]) -> Scenario:
    try:
        return Scenario.from_arguments(kernel, base=base, **given)
    except BadInput as refused:
        where = "" if kernel is None else f"kernel {shown(kernel)}: "
        raise BadInput(f"{where}{refused}") from None


def _pods(number: int) -> tuple[Any, ...]:
    if not 1 <= number <= _MOST_PODS:
        raise BadInput(f"packets {number}: from 1 to {_MOST_PODS} can be asked for")
    return pods(number)


# Their addresses end in 8, 9, ... 255.
_MOST_PODS: Final = 248


def slice_of(cells: Iterable[Cell], text: str) -> list[Cell]:
    """Slice I/N, I from 1 to N: every Nth cell of the report's order.  Raises BadInput."""
    first, slash, last = text.partition("/")
    if not (slash and first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise BadInput(f"slice {shown(text)}: I/N is needed, with I from 1 to N")
    return sorted(set(cells), key=_place)[int(first) - 1 :: int(last)]


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


# ── the report ──────────────────────────────────────────────────────────────────────────────────


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
        return sorted(self.answers.items(), key=lambda item: _place(item[0]))

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
        for premises, group in groupby(
            zip(items, rows, strict=True), lambda row: _premises(row[0][0])
        ):
            lines += [*_premises_lines(premises), head, *(row for _, row in group), ""]
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


def _premises(cell: Cell) -> tuple[tuple[str, str], ...]:
    """The flags, with their values, that give all but the kernel and the pods."""
    flags, scenario = cell.scenario.arguments(), cell.scenario
    hidden = {"--kernel"}
    if scenario.packets == pods(min(len(scenario.packets), _MOST_PODS)):
        hidden.add("--packet")
    pairs = zip(flags[::2], flags[1::2], strict=True)
    return tuple(pair for pair in pairs if pair[0] not in hidden)


def _premises_lines(premises: Iterable[Iterable[str]]) -> list[str]:
    text = " ".join(map(shlex.join, premises))
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _place(cell: Cell) -> tuple[Any, ...]:
    """Where a cell stands in a report."""
    s = cell.scenario
    row = list(RELEASES).index(row_of(s.kernel))
    return _premises(cell), row, s.kernel, len(s.packets), cell.text()


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
