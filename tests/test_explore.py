# SPDX-License-Identifier: GPL-2.0-or-later
"""The explorer against its slow self: pinned counts, merged and unmerged, lazy and eager, witnesses."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natmodel.explore import Explored, Explorer, Limits
from natmodel.ops import RandomU16, RoverLoad, Window, path
from natmodel.paths.packet import nf_conntrack_in
from natmodel.release import Packet, Release
from natmodel.releases import V6_12_117
from natmodel.scenario import Scenario
from natmodel.schedule import Schedule, Step
from natmodel.symmetry import exchangeable
from natmodel.system import State, System
from natmodel.values import Conn, CtTuple, Manip, NatRange
from natmodel.verdict import Quantifier, check, replay
from tests.exploring import calls_on, drop_odds, drops, explore, fates, scenario

KERNELS = ("4.19.66", "6.12.117")
SMALL = "snat to 203.0.113.1:4000-4007 random-fully"


# ── pinned counts ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kernel", "nat", "packets", "merged", "unmerged"),
    [
        ("4.19.66", "masquerade", 2, 42, 78),
        ("6.12.117", "masquerade", 2, 43, 80),
        ("4.19.66", SMALL, 2, 287, 560),
        ("6.12.117", SMALL, 2, 193, 372),
        ("6.12.117", SMALL, 3, 5706, 32213),
    ],
)
def test_state_counts(kernel: str, nat: str, packets: int, merged: int, unmerged: int) -> None:
    ports = (32769,) * packets
    occupied = ("4000",) if nat == SMALL else ()
    s = scenario(kernel, nat, ports=ports, occupied=occupied)
    one, all_ = explore(s), explore(s, merge=False)
    assert (one.states, all_.states) == (merged, unmerged)
    assert fates(one) == fates(all_)
    assert one.witness == all_.witness


def test_the_seven_thousand_states_of_the_spike() -> None:
    """3 cpus, 8 ports, 1 occupied, every draw told apart: the count that a second program found."""
    s = scenario("6.12.117", SMALL, ports=(32769,) * 3, occupied=("4000",))
    assert explore(s, lazy=False).states == 7088


# ── merging ─────────────────────────────────────────────────────────────────────────────────────


def groups(s: Scenario) -> list[tuple[int, ...]]:
    return exchangeable([call.args[1] for call in s.threads()], s.world())


def test_packets_of_different_sources_are_exchangeable() -> None:
    assert groups(scenario("6.12.117", ports=(1025, 1026, 1025, 1026))) == [(0, 2), (1, 3)]


@pytest.mark.parametrize(
    ("why", "more"),
    [
        ("a hash of the source chooses the address", {"nat": "snat to 203.0.113.1-203.0.113.9"}),
        ("the range holds a source", {"nat": "snat to 172.16.1.8"}),
        (
            "an entry of one source is in the by-source hash or may be",
            {"occupied": ("tcp 172.16.1.8:32769 > 198.51.100.9:80 as 203.0.113.1:1024",)},
        ),
        ("one source has two packets", {"packet": ["udp 10.0.0.1:1 > 1.1.1.1:53"] * 2}),
        ("two packets on one cpu", {"cpus": 1}),
    ],
)
def test_merging_is_refused_where_the_address_shows(why: str, more: dict[str, Any]) -> None:
    s = scenario("6.12.117", **more)
    assert not groups(s), why


@given(
    kernel=st.sampled_from(KERNELS),
    nat=st.sampled_from(
        ["masquerade", "masquerade random", "masquerade to :4000-4002 random-fully",
         "snat to 203.0.113.1:4000-4001", "snat to 203.0.113.1:4000 random", "dnat to 10.9.9.9:1-2"]
    ),
    protocol=st.sampled_from(["tcp", "udp"]),
    ports=st.lists(st.sampled_from([4000, 4001, 32769]), min_size=2, max_size=3),
    occupied=st.sets(st.sampled_from([4000, 4001, 4002, 32769]), max_size=2),
)  # fmt: skip
def test_merged_and_unmerged_agree(
    kernel: str, nat: str, protocol: str, ports: list[int], occupied: set[int]
) -> None:
    packets = [
        f"{protocol} 172.16.1.{8 + n}:{port} > 198.51.100.7:80" for n, port in enumerate(ports)
    ]
    if "dnat" in nat:
        occupied = set()
    # three of them with a random start, unmerged, are too many states for a quick test
    if "random" in nat or (kernel == "6.12.117" and occupied):
        packets = packets[:2]
    s = scenario(kernel, nat, packet=packets, occupied=tuple(map(str, sorted(occupied))))
    one, all_ = explore(s), explore(s, merge=False)
    assert fates(one) == fates(all_)
    assert one.witness == all_.witness
    assert one.states <= all_.states


# ── draws ───────────────────────────────────────────────────────────────────────────────────────


def compare_draws(s: Scenario) -> None:
    """Lazy and eager draws: the same fates, the same length of witness, the same exact odds."""
    searches = [Explorer(s.threads(), s.world(), lazy=lazy) for lazy in (True, False)]
    lazy, eager = (search.run() for search in searches)
    assert fates(lazy) == fates(eager)
    assert lazy.states <= eager.states
    assert length(lazy) == length(eager)
    assert drop_odds(searches[0].system) == drop_odds(searches[1].system)


def length(explored: Explored) -> int | None:
    return None if explored.witness is None else len(explored.witness)


def compare_draws_with(kernel: str, size: int, occupied: tuple[int, ...]) -> None:
    nat = f"masquerade to :4000-{3999 + size} random-fully"
    compare_draws(scenario(kernel, nat, occupied=tuple(str(4000 + n) for n in occupied)))


def places(size: int, number: int) -> tuple[int, ...]:
    """None, a middle, both ends, or all three; as many as there are."""
    middle, ends = [size // 2], [0, size - 1]
    return tuple(sorted(set(([], middle, ends, middle + ends)[number])))


def sizes_and_numbers() -> list[Any]:
    """Every size with every number of occupied ports; a run of the tests takes one of the wider ones."""
    return [
        pytest.param(
            kernel,
            size,
            number,
            marks=() if size <= 6 or number == (size + n) % 4 else pytest.mark.exhaustive,
        )
        for n, kernel in enumerate(KERNELS)
        for size in range(1, 17)
        for number in range(min(size, 3) + 1)
    ]


@pytest.mark.parametrize(("kernel", "size", "number"), sizes_and_numbers())
def test_lazy_draws_equal_eager_draws(kernel: str, size: int, number: int) -> None:
    """Every range up to 16 ports, with 0, 1, 2 and 3 of them occupied."""
    occupied = places(size, number)
    assert len(occupied) == number
    compare_draws_with(kernel, size, occupied)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", range(1, 11))
def test_lazy_draws_equal_eager_draws_wherever_ports_are_occupied(kernel: str, size: int) -> None:
    for number in range(min(size, 3) + 1):
        for occupied in combinations(range(size), number):
            compare_draws_with(kernel, size, occupied)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("nat", "occupied"),
    [
        pytest.param(
            "masquerade to :4000-4039 random-fully",
            "4003-4009,4020",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param("masquerade to :4000-4099 random", "4000-4049", marks=pytest.mark.exhaustive),
        ("masquerade to :4000-4039 random", "4003"),
    ],
)
def test_lazy_draws_equal_eager_draws_on_wider_ranges(kernel: str, nat: str, occupied: str) -> None:
    compare_draws(scenario(kernel, nat, occupied=(occupied,)))


@pytest.mark.parametrize(
    ("size", "occupied"),
    [
        (4, ("4000",)),
        pytest.param(8, ("4000",), marks=pytest.mark.exhaustive),
        pytest.param(7, (), marks=pytest.mark.exhaustive),
        pytest.param(12, ("4005",), marks=pytest.mark.exhaustive),
    ],
)
def test_lazy_draws_equal_eager_draws_for_three(size: int, occupied: tuple[str, ...]) -> None:
    nat = f"masquerade to :4000-{3999 + size} random-fully"
    compare_draws(scenario("6.12.117", nat, ports=(1, 1, 1), occupied=occupied))


# ── witnesses ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("mode", ["", " random", " random-fully"])
def test_the_default_range_is_decided_in_every_mode(kernel: str, mode: str) -> None:
    verdict = check(scenario(kernel, f"masquerade{mode}"))
    assert verdict.quantifier is Quantifier.SOMETIMES
    assert verdict.witness is not None
    assert len(replay(verdict.scenario, verdict.witness).drops) == 1


@pytest.mark.parametrize(
    ("kernel", "steps", "text"),
    [("4.19.66", 13, "00000 1111111 0"), ("6.12.117", 12, "00000 111111 0")],
)
def test_the_shortest_witness_of_the_seed(kernel: str, steps: int, text: str) -> None:
    """On 4.19.66 the winner links its two keys in two steps."""
    witness = check(scenario(kernel)).witness
    assert witness is not None
    assert (len(witness), witness.switches, str(witness)) == (steps, 2, text)


Way = tuple[tuple[int, tuple[int, ...]], ...]


def every_witness(system: System, steps: int) -> list[Way]:
    """All concrete schedules of this length whose last step is the first to drop."""
    ways: list[tuple[Way, State]] = [((), system.initial)]
    found: list[Way] = []
    for n in range(1, steps + 1):
        longer: list[tuple[Way, State]] = []
        for way, state in ways:
            for move in system.moves(state):
                step = (*way, (move.cpu, move.answer.draws))
                if not move.drops:
                    longer.append((step, move.state))
                elif n == steps:
                    found.append(step)
        ways = longer
    return found


def the_least(s: Scenario, k: Release, *, lazy: bool = True) -> str:
    """The text of the least schedule that drops, by looking at every schedule there is."""
    for steps in range(1, 30):
        ways = every_witness(System(calls_on(s, k), s.world(), lazy=lazy), steps)
        if ways:
            return str(min(Schedule(tuple(Step(*step) for step in way)) for way in ways))
    raise AssertionError("no drop")


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_witness_is_the_least_of_all(kernel: str) -> None:
    """Fewest steps, then fewest switches, then least text."""
    s = scenario(kernel, "snat to 203.0.113.1:4000-4000")
    assert str(check(s).witness) == the_least(s, s.release)


def asking(loads: int, unlucky: range) -> Release:
    """Some loads, a draw, and some loads again; a packet with an unlucky draw has port 5000."""

    @path(blind=True)
    async def search(k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn) -> CtTuple:
        for _ in range(loads):
            await RoverLoad(6)
        off = await RandomU16(k.rng, Window(t, True, 4000, 16, 16))
        for _ in range(loads):
            await RoverLoad(6)
        return t.with_sport(5000 if off % 16 in unlucky else 5001 + (t.sport & 7))

    return attrs.evolve(V6_12_117, name="asking", l4proto_unique_tuple=search)


@pytest.mark.parametrize("loads", [0, 1, 8])
@pytest.mark.parametrize("unlucky", [range(9, 12), range(2, 16)])
def test_the_least_text_is_the_text_s(loads: int, unlucky: range) -> None:
    """[10] comes before [9]; runs of equal steps are counted, after eight of them."""
    s = scenario("6.12.117", "snat to 203.0.113.1:5000-5009 random", ports=(1,), occupied=("5000",))
    k = asking(loads, unlucky)
    explored = explore(s, k, lazy=False)
    assert "[10]" in str(explored.witness)
    assert str(explored.witness) == the_least(s, k, lazy=False)


# ── limits ──────────────────────────────────────────────────────────────────────────────────────


def test_a_limit_reached_is_unknown() -> None:
    verdict = check(scenario("6.12.117", ports=(1025, 1026)), Limits(states=10))
    assert verdict.quantifier is Quantifier.UNKNOWN
    assert verdict.exit_code == 3
    assert not verdict.explored.complete


def test_never_needs_every_state() -> None:
    verdict = check(scenario("6.12.117", ports=(1025, 1026)))
    assert verdict.quantifier is Quantifier.NEVER
    assert verdict.exit_code == 0


def test_always_needs_an_exhaustive_search() -> None:
    s = scenario("6.12.117", "snat to 203.0.113.1:4000", ports=(1, 2))
    assert check(s).quantifier is Quantifier.SOMETIMES
    assert check(s, exhaustive=True).quantifier is Quantifier.ALWAYS


def test_one_cpu_runs_its_packets_one_after_the_other() -> None:
    assert check(scenario("6.12.117", cpus=1)).quantifier is Quantifier.NEVER


def test_a_search_over_paths_that_are_not_packets() -> None:
    s = scenario("6.12.117")
    packet = s.threads()[0].args[1][0]
    assert isinstance(packet, Packet)
    explored = Explorer([nf_conntrack_in(s.release, packet)], s.world()).run()
    assert explored.complete
    assert explored.final == 1


def test_max_drops_is_one_less_than_the_packets() -> None:
    explored = explore(scenario("4.19.66", "masquerade random", ports=(5, 5, 5)))
    assert max(map(drops, explored.outcomes)) == 2
