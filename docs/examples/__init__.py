# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows of one's own: four ways to be rid of the race, on 6.12.117.  docs/own-allocator.md tells of them.

They are not in the package: what is in it counts as blind without a declaration (natmodel/blind.py), and
these are to show how a stranger's paths are treated.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from natmodel import odds
from natmodel.quotient import Quotient
from natmodel.release import Release
from natmodel.scenario import Scenario, with_release

FOUR_PORTS = "masquerade to :4000-4003 random"
KEEPING = "masquerade to :4000-4003"


def pods(
    row: Release,
    hosts: Sequence[int] = (8, 9),
    *,
    nat: str = FOUR_PORTS,
    port: int = 32769,
    cpus: int | None = None,
    occupied: Sequence[str] = (),
) -> Scenario:
    """The pods 172.16.1.x connect to one server, all from one port, on a row of one's own."""
    packets = [f"tcp 172.16.1.{host}:{port} > 198.51.100.7:80" for host in hosts]
    scenario = Scenario.from_arguments(nat=[nat], packet=packets, cpus=cpus, occupied=occupied)
    return with_release(scenario, row)


def odds_of_a_drop(scenario: Scenario) -> Fraction:
    """P(some packet is dropped) if whoever is next is drawn evenly (natmodel/odds.py)."""
    graph = Quotient(scenario.threads(), scenario.world(), lazy=True)
    assert graph.grow()
    return 1 - odds.drops(graph)[0]
