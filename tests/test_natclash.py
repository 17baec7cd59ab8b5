# SPDX-License-Identifier: GPL-2.0-or-later
"""The workload that other checkers were measured on has as many states here as it has there."""

from __future__ import annotations

import pytest

from natmodel.explore import Explorer
from tests.bench.natclash import Workload

# what: states, transitions, terminals, steps of a shortest drop; measured with several checkers
PINNED = {
    Workload(2, 4, 0, "fixed"): (15, 16, 3, 4),
    Workload(3, 4, 0, "fixed"): (105, 162, 7, 4),
    Workload(4, 4, 0, "fixed"): (847, 1800, 15, 4),
    Workload(3, 4, 0, "rover"): (320, 597, 10, 8),
    Workload(2, 4, 0, "random"): (175, 320, 14, 6),
    Workload(3, 4, 0, "random"): (2413, 6612, 34, 6),
}


@pytest.mark.parametrize("work", PINNED, ids=str)
def test_a_plain_search_sees_every_state_once(work: Workload) -> None:
    explored = Explorer(work.calls(), work.world(), lazy=False, merge=False).run()
    assert explored.witness is not None
    steps = len(explored.witness.steps)
    assert (explored.states, explored.edges, explored.final, steps) == PINNED[work]
