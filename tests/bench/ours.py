# SPDX-License-Identifier: GPL-2.0-or-later
"""One answer of natmodel about natclash(T, R, K, mode), as a process of its own.

python -m tests.bench.ours QUESTION T R K MODE [SEED]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from tests.bench.natclash import Mode, Workload

if TYPE_CHECKING:
    from tests.bench.peers import Answers

# What is imported is part of what is counted, so each question imports its own.


def census(work: Workload) -> Answers:
    """All states and the most drops, from classes."""
    counted = import_module("natmodel.census").census(work.calls(), work.world())
    return {"states": counted.states, "drops": counted.drops, "classes": counted.classes}


def merged(work: Workload) -> Answers:
    """How many states there are if packets have no names but ports have."""
    graph = import_module("natmodel.quotient").Quotient(work.calls(), work.world())
    graph.rotation = None
    graph.grow()
    return {"sorted": len(graph.states)}


def odds(work: Workload) -> Answers:
    """P(some drop), for the uniform and for the worst scheduler, from one graph."""
    graph = import_module("natmodel.quotient").Quotient(work.calls(), work.world())
    graph.grow()
    odds = import_module("natmodel.odds")
    return {"uniform": str(1 - odds.drops(graph)[0]), "worst": str(odds.worst(graph))}


def lone(work: Workload) -> Answers:
    """The most drops, by lone steps."""
    graph = import_module("natmodel.quotient").Quotient(work.calls(), work.world(), lone=True)
    graph.grow()
    return {"drops": import_module("natmodel.census").most_drops(graph)}


def apart(work: Workload) -> Answers:
    """P(some drop) by groups of packets that can meet: uniform, or worst; shown by 12 digits."""
    found = import_module("natmodel.apart").Apart(work.calls(), work.world())
    if work.occupied:
        return {"uniform": f"{float(1 - found.drops()[0]):.12g}"}
    return {"worst": f"{float(found.worst()):.12g}"}


def clusters(work: Workload) -> Answers:
    """P(some drop) for the uniform scheduler by the closed form: a fraction, shown by 12 digits."""
    exact = import_module("natmodel.clusters").drop_odds(work.packets, work.ports)
    return {"uniform": f"{float(exact):.12g}"}


QUESTIONS: Final[dict[str, Callable[[Workload], Answers]]] = {
    "census": census,
    "sorted": merged,
    "odds": odds,
    "clusters": clusters,
    "lone": lone,
    "apart": apart,
}


def main(
    question: str, packets: str, ports: str, occupied: str, mode: str, seed: str | None = None
) -> None:
    t, r, k = map(int, (packets, ports, occupied))
    work = Workload(t, r, k, cast(Mode, mode), seed=None if seed is None else int(seed))
    print(json.dumps(QUESTIONS[question](work)))


if __name__ == "__main__":
    main(*sys.argv[1:])
