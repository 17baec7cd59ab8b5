# SPDX-License-Identifier: GPL-2.0-or-later
"""The cells of a sweep: one scenario each, what is asked of it, and what was found out.

A cell goes to a worker as a short text, and its answer comes back as one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import product
from typing import Any, Final

import attrs

from natmodel import odds
from natmodel.census import most_drops
from natmodel.errors import BadInput
from natmodel.explore import Limits
from natmodel.memory import memory_in_use
from natmodel.nat_text import shown
from natmodel.quotient import Circular, Quotient
from natmodel.releases import RELEASES
from natmodel.scenario import Scenario, pods, row_of
from natmodel.values import NF_NAT_RANGE_PROTO_SPECIFIED
from natmodel.verdict import EXIT_CODES, Quantifier, Verdict, check

# What can be asked of a cell.  The verdict always is.
ASKS: Final = ("verdict", "outcomes", "drops", "odds")
USUAL_ASKS: Final = ("verdict", "drops", "odds")

# Every worker holds so many at most, and as many workers as there are cores do so at once.
USUAL_LIMITS: Final = Limits(states=200_000)

# More keys than this in a window, and each of them a state: lone steps alone would not save that.
_SMALL_WINDOW: Final = 256


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
        return line(self.to_data())


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
        return min(self, other, key=lambda a: (len(a.gave_up), line(a.to_data())))


def line(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"))


# ── the work ────────────────────────────────────────────────────────────────────────────────────


def work_item(cell: Cell, limits: Limits) -> str:
    """What a worker is sent."""
    return line({"cell": cell.to_data(), "limits": attrs.asdict(limits)})


def work(item: str) -> str:
    """What a worker does: the answer's text for a work item's.  Knows nothing but its argument."""
    data = json.loads(item)
    found = answer(Cell.from_data(data["cell"]), Limits(**data["limits"]))
    return line(found.to_data())


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
    return sorted(set(cells), key=place)[int(first) - 1 :: int(last)]


def premises(cell: Cell) -> tuple[tuple[str, str], ...]:
    """The flags, with their values, that give all but the kernel and the pods."""
    flags, scenario = cell.scenario.arguments(), cell.scenario
    hidden = {"--kernel"}
    if scenario.packets == pods(min(len(scenario.packets), _MOST_PODS)):
        hidden.add("--packet")
    pairs = zip(flags[::2], flags[1::2], strict=True)
    return tuple(pair for pair in pairs if pair[0] not in hidden)


def place(cell: Cell) -> tuple[Any, ...]:
    """Where a cell stands in a report."""
    s = cell.scenario
    row = list(RELEASES).index(row_of(s.kernel))
    return premises(cell), row, s.kernel, len(s.packets), cell.text()
