# SPDX-License-Identifier: GPL-2.0-or-later
"""Weighing packets that cannot meet apart gives the odds of the graph of all states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from natmodel import odds, schedulers
from natmodel.apart import Apart, GivenUp, NotApart
from natmodel.clusters import drop_odds
from natmodel.explore import Limits
from natmodel.ops import Call
from natmodel.quotient import Quotient
from natmodel.releases import RELEASES
from natmodel.scenario import Scenario
from natmodel.world import World
from tests.bench.natclash import Workload
from tests.drawn import shown_by
from tests.exploring import scenario, stripped
from tests.kernels import TELLING, each_kernel

Calls = list[Call[Any]]


def all_odds(calls: Calls, world: World) -> tuple[Any, ...]:
    """By the graph of all states."""
    graph = Quotient(calls, world, lazy=True)
    together = Quotient(calls, world, lazy=True, together=True)
    assert graph.grow()
    assert together.grow()
    return (
        stripped(schedulers.drops(graph)),
        stripped(schedulers.drops(together)),
        schedulers.worst(graph),
        schedulers.best(graph),
    )


def apart_odds(calls: Calls, world: World) -> tuple[Any, ...]:
    apart = Apart(calls, world)
    return stripped(apart.drops()), stripped(apart.overlapped()), apart.worst(), apart.best()


@st.composite
def random_workloads(draw: st.DrawFn) -> Workload:
    packets = draw(st.integers(2, 3))
    ports = draw(st.integers(1, 12 if packets == 2 else 6))
    occupied = draw(st.integers(0, ports))
    return Workload(packets, ports, occupied, "random", seed=draw(st.none() | st.integers(0, 99)))


@settings(max_examples=40)
@given(work=random_workloads())
def test_workloads(work: Workload) -> None:
    assert apart_odds(work.calls(), work.world()) == all_odds(work.calls(), work.world())


@st.composite
def windows(draw: st.DrawFn, kernel: str) -> Scenario:
    """Two pods and a small window, with any few of its ports taken; some sizes do not divide 65,536."""
    size = draw(st.sampled_from([1, 2, 3, 5, 7, 8, 9, 12, 100, 116]))
    taken = draw(st.sets(st.integers(4000, 4000 + size - 1), max_size=min(size, 6)))
    nat = f"snat to 203.0.113.1:4000-{4000 + size - 1} random-fully"
    sports = draw(st.lists(st.sampled_from([32769, 32770, 4001]), min_size=2, max_size=2))
    occupied = (",".join(map(str, sorted(taken))),) if taken else ()
    return scenario(kernel, nat, ports=tuple(sports), occupied=occupied)


def agrees(s: Scenario) -> bool:
    try:
        found = apart_odds([*s.threads()], s.world())
    except NotApart:
        return True
    return found == all_odds([*s.threads()], s.world())


@each_kernel(*TELLING)
@settings(max_examples=6)
@given(data=st.data())
def test_rows(kernel: str, data: st.DataObject) -> None:
    assert agrees(data.draw(windows(kernel)))


@pytest.mark.parametrize("kernel", ["4.19.66", "6.12.117"])
@pytest.mark.parametrize(
    "nat", ["masquerade random-fully", "masquerade to :4000-4006 random-fully"]
)
def test_they_are_weighed_apart(kernel: str, nat: str) -> None:
    s = scenario(kernel, nat)
    assert apart_odds([*s.threads()], s.world()) == all_odds([*s.threads()], s.world())


@pytest.mark.exhaustive
@pytest.mark.parametrize("kernel", ["4.19.66", "6.12.117"])
def test_three_pods_on_the_default_range(kernel: str) -> None:
    s = scenario(kernel, "masquerade random-fully", ports=(32769,) * 3)
    assert apart_odds([*s.threads()], s.world()) == all_odds([*s.threads()], s.world())


def test_three_on_the_whole_range_and_the_closed_form() -> None:
    """Where every port is as likely, three and four fit the closed form (natmodel.clusters)."""
    for packets, ports in ((3, 64512), (3, 1000), (4, 64)):
        work = Workload(packets, ports, 0, "random")
        assert 1 - Apart(work.calls(), work.world()).drops()[0] == drop_odds(packets, ports)


@pytest.mark.exhaustive
def test_a_random_set_of_59_percent_of_all_ports() -> None:
    work = Workload(2, 64512, 38062, "random", seed=59)
    found = 1 - Apart(work.calls(), work.world()).drops()[0]
    assert f"{float(found):.7g}" == "1.391357e-05"


# ── what is refused ─────────────────────────────────────────────────────────────────────────────

SAME_SOURCE = ("tcp 172.16.1.8:32769 > 198.51.100.7:80", "tcp 172.16.1.8:32769 > 198.51.100.8:80")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"nat": "masquerade"}, "draws no start"),
        ({"kernel": "4.19.66", "nat": "masquerade random"}, "draws no start"),
        ({"kernel": "2.6.24", "nat": "masquerade random"}, "meet whose keys"),
        ({"retransmit": "1"}, "timer"),
        ({"packet": SAME_SOURCE}, "different windows"),
    ],
)
def test_what_is_not_of_the_kind_is_refused(more: dict[str, Any], why: str) -> None:
    arguments = {"kernel": "6.12.117", "nat": "masquerade random-fully", **more}
    s = scenario(**arguments)
    with pytest.raises(NotApart, match=why):
        Apart(s.threads(), s.world()).drops()


def test_a_second_round_of_draws_is_refused() -> None:
    s = scenario("6.12.117", "masquerade random-fully", occupied=("2000-2300",))
    with pytest.raises(NotApart, match="a second time"):
        Apart(s.threads(), s.world()).drops()


def test_a_limit_is_kept() -> None:
    s = scenario("6.12.117", "masquerade random-fully", ports=(32769,) * 3)
    with pytest.raises(GivenUp):
        Apart(s.threads(), s.world(), Limits(states=100)).drops()


def test_odds_of_says_how_they_were_had() -> None:
    taken = ",".join(str(port) for port in range(4000, 4063) if port % 7 in (1, 2, 4))
    s = scenario("6.12.117", "snat to 203.0.113.1:4000-4062 random-fully", occupied=(taken,))
    found = odds.odds_of(s)
    assert found.groups is not None
    assert sum(found.uniform or ()) == 1
    assert odds.odds_of(scenario("6.12.117", "masquerade random-fully")).groups is None


@pytest.mark.parametrize("kernel", RELEASES)
def test_every_row_is_weighed_or_refused(kernel: str) -> None:
    s = scenario(kernel, "snat to 203.0.113.1:4000-4004 random-fully", occupied=("4001",))
    assert agrees(s)


# ── an error is noticed ─────────────────────────────────────────────────────────────────────────


def alone(self: Apart, start: int) -> list[int]:
    return [start]


def first_free_only(self: Apart, starts: Any) -> bool:
    return len({key for start in starts for key in self._frees(start, 1)}) == 1


def without_labels(self: Apart, starts: Any) -> Any:
    return tuple(sorted((start - starts[0][1]) % self._draw.window.size for _, start in starts))


@pytest.mark.parametrize(
    ("where", "mutant"),
    [
        ("natmodel.apart.Apart._near", alone),
        ("natmodel.apart.Apart._is_one_group", first_free_only),
        ("natmodel.apart.Apart._shape", without_labels),
        ("natmodel.apart.Apart._psi", lambda self, starts, kind: self._phi(starts, kind)),
    ],
)
def test_a_mutant_is_noticed(
    where: str, mutant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, mutant)

    shown_by(
        random_workloads(),
        lambda work: apart_odds(work.calls(), work.world()) == all_odds(work.calls(), work.world()),
        200,
    )
