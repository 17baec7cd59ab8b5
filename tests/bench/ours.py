# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m tests.bench.ours QUESTION T R K MODE`: natmodel's answer about natclash(T, R, K, mode)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
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


def clusters(work: Workload) -> Answers:
    """P(some drop) for the uniform scheduler by the closed form: a fraction, shown by 12 digits."""
    exact = import_module("natmodel.clusters").drop_odds(work.packets, work.ports)
    return {"uniform": f"{float(exact):.12g}"}


QUESTIONS: Final[dict[str, Callable[[Workload], Answers]]] = {
    "census": census,
    "sorted": merged,
    "odds": odds,
    "clusters": clusters,
}
# Modules that are not there everywhere.  `lone` has no question above yet.
NEEDED: Final = {"clusters": "natmodel.clusters", "lone": "natmodel.lone"}


def missing(question: str) -> str | None:
    """Why the question cannot be asked, if it cannot."""
    module = NEEDED.get(question)
    if module is not None and find_spec(module) is None:
        return f"there is no {module} yet"
    return None if question in QUESTIONS else f"nobody asks {question} yet"


def main(question: str, packets: str, ports: str, occupied: str, mode: str) -> None:
    work = Workload(int(packets), int(ports), int(occupied), cast(Mode, mode))
    print(json.dumps(QUESTIONS[question](work)))


if __name__ == "__main__":
    main(*sys.argv[1:])
