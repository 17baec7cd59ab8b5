# SPDX-License-Identifier: GPL-2.0-or-later
"""What each reduction saves, on the race that natmodel is about: pods with one server and source port.

ABOUT says what the columns are.  Each decides whether a packet can be dropped; the further to the right,
the less there is to look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from natmodel.census import census
from natmodel.dpor import Dpor
from natmodel.explore import Limits
from natmodel.ops import Call
from natmodel.quotient import Quotient
from natmodel.scenario import Scenario
from natmodel.world import World

ABOUT: Final = (
    "Pods with one server and one source port, `random-fully`, one CPU for each.",
    "schedules: each for itself; states: none is met twice; classes: pods have no",
    "names; lazy: draws are decided when something asks; lone: who meets nobody goes",
    "on alone; traces: schedules that source-DPOR runs, one of each trace.",
    "`>`: stopped there; `-`: too many to try, or there is no module for it yet.",
)
HEADER: Final = ("pods", "kernel", "schedules", "states", "classes", "lazy", "lone", "traces")
KERNELS: Final = ("4.19.66", "6.12.117")
POD: Final = "tcp 172.16.1.{}:32769 > 198.51.100.7:80"
NOT_THERE: Final = "-"


class Window(NamedTuple):
    """The ports to choose from.  One that is not `small` has too many for draws that are not lazy."""

    name: str
    nat: str
    small: bool


FOUR: Final = Window("four ports", "snat to 203.0.113.1:4000-4003 random-fully", True)
EIGHT: Final = Window("eight ports", "snat to 203.0.113.1:4000-4007 random-fully", True)
ALL: Final = Window("64,512 ports", "masquerade random-fully", False)


class Race(NamedTuple):
    """So many pods, each on a CPU of its own, that choose at the same time."""

    pods: int
    kernel: str
    window: Window

    def asked(self) -> tuple[Sequence[Call[Any]], World]:
        packets = [POD.format(8 + n) for n in range(self.pods)]
        scenario = Scenario.from_arguments(self.kernel, [self.window.nat], packets)
        return scenario.threads(), scenario.world()


def races(window: Window, pods: tuple[int, ...] = (2, 3)) -> list[Race]:
    return [Race(n, kernel, window) for n in pods for kernel in KERNELS]


def line(race: Race, limits: Limits) -> list[str]:
    """The cells below HEADER; `-`: too many to try, or no module for it."""
    small = race.window.small
    schedules, states = _plain(race, limits) if small else (NOT_THERE, NOT_THERE)
    return [
        str(race.pods),
        race.kernel,
        schedules,
        states,
        _classes(race, limits, lazy=False) if small else NOT_THERE,
        _classes(race, limits, lazy=True),
        _lone(race, limits) if small else NOT_THERE,
        _traces(race, limits) if small else NOT_THERE,
    ]


def _plain(race: Race, limits: Limits) -> tuple[str, str]:
    counted = census(*race.asked(), limits, merge=False)
    schedules = NOT_THERE if counted.schedules is None else f"{counted.schedules:,}"
    return schedules, _number(counted.states, counted.complete)


def _classes(race: Race, limits: Limits, *, lazy: bool) -> str:
    graph = Quotient(*race.asked(), lazy=lazy)
    complete = graph.grow(limits)
    return _number(len(graph.states), complete)


def _lone(race: Race, limits: Limits) -> str:
    graph = Quotient(*race.asked(), lone=True)
    complete = graph.grow(limits)
    return _number(len(graph.states), complete)


def _traces(race: Race, limits: Limits) -> str:
    found = Dpor(*race.asked()).run(limits)
    return _number(found.traces, found.complete)


def _number(number: int, complete: bool) -> str:
    return f"{number:,}" if complete else f"> {number:,}"
