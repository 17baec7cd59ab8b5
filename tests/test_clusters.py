# SPDX-License-Identifier: GPL-2.0-or-later
"""The closed forms against values measured with other checkers, and against every step of the system."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter, defaultdict
from fractions import Fraction
from itertools import product
from math import prod
from pathlib import Path

import pytest

from natmodel import clusters
from natmodel.clusters import (
    MOST_PACKETS,
    drop_odds,
    drops,
    overlapped_drop_odds,
    overlapped_drops,
    u16_overlapped_drops,
)
from natmodel.errors import BadInput
from natmodel.ops import Atomic
from natmodel.system import State, System
from natmodel.values import NF_DROP
from tests import exploring
from tests.bench.natclash import Workload, insert
from tests.exploring import scenario

ROOT = Path(__file__).parent.parent

# packets, ports: P(at least one drop), as exact checkers of Markov chains found it
MEASURED = {
    (2, 2): Fraction(3, 16),
    (2, 4): Fraction(3, 32),
    (3, 4): Fraction(5771, 20736),
    (3, 8): Fraction(11603, 82944),
    (3, 16): Fraction(23267, 331776),
    (3, 32): Fraction(46595, 1327104),
    (4, 4): Fraction(197635007, 382205952),
    (4, 8): Fraction(828032447, 3057647616),
}
# The section in which confirm looks at the keys.
CONFIRMS = {"4.19.66": "test_and_link_original", "6.12.117": "test_and_publish"}
# Walked through, step by step: no longer than some seconds together.
WALKED = [(1, 1), (1, 3), *((2, r) for r in range(2, 10)), *((3, r) for r in (3, 4, 5, 12)), (4, 4)]


def walked(packets: int, ports: int, *, overlapped: bool = False) -> dict[int, Fraction]:
    """P(so many drops), forward over the whole transition system; it knows nothing of groups.

    With `overlapped`, nobody confirms as long as somebody has not chosen.
    """
    work = Workload(packets, ports, 0, "random")
    system = System(work.calls(), work.world(), lazy=False)
    found = dict.fromkeys(range(packets), Fraction(0))
    now: dict[State, Fraction] = {system.initial: Fraction(1)}
    while now:
        later: defaultdict[State, Fraction] = defaultdict(Fraction)
        for state, odds in now.items():
            movable = [cpu for cpu in range(packets) if system.pending(state, cpu) is not None]
            if not movable:
                found[sum(fate.verdict == NF_DROP for fate in system.results(state))] += odds
            choosing = [cpu for cpu in movable if not confirms(system, state, cpu)]
            movable = choosing or movable if overlapped else movable
            for cpu in movable:
                for t, w, answer, _ in system.edges(state, cpu):
                    to = (*state[:cpu], t, *state[cpu + 1 : -1], w)
                    later[to] += odds * answer.odds / len(movable)
        now = later
    return found


def confirms(system: System, state: State, cpu: int) -> bool:
    """Is it the CPU's next step to confirm?"""
    op = system.pending(state, cpu)
    return isinstance(op, Atomic) and op.call.name == insert.__name__


# ── every packet that is not through is equally likely to take the next step ────────────────────


@pytest.mark.parametrize(("packets", "ports"), MEASURED)
def test_other_checkers_found_the_same(packets: int, ports: int) -> None:
    assert drop_odds(packets, ports) == MEASURED[packets, ports]


@pytest.mark.parametrize(("packets", "ports"), WALKED)
def test_the_whole_transition_system_has_the_same_odds(packets: int, ports: int) -> None:
    assert drops(packets, ports) == walked(packets, ports)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("packets", "ports"), [(3, 20), (4, 6), (5, 5)])
def test_larger_transition_systems_have_the_same_odds(packets: int, ports: int) -> None:
    assert drops(packets, ports) == walked(packets, ports)


def test_six_packets_on_the_size_of_the_default_range() -> None:
    assert f"{float(drop_odds(6, 64512)):.11e}" == "8.71913336212e-05"


def test_the_odds_are_there_within_two_seconds_start_up_included() -> None:
    code = """
import sys
from natmodel.clusters import drop_odds
loaded = {name.partition(".")[0] for name in sys.modules}
assert drop_odds(6, 64512) > 0
import time
print(time.process_time())
print(*sorted(loaded & {"attr", "attrs", "click", "rich", "hypothesis"}))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    seconds, loaded = ran.stdout.split("\n")[:2]
    assert float(seconds) < 2
    assert loaded == ""


@pytest.mark.parametrize("packets", range(1, 7))
@pytest.mark.parametrize("more", [0, 1, 5, 64000])
def test_the_odds_sum_to_one(packets: int, more: int) -> None:
    for odds in (drops(packets, packets + more), overlapped_drops(packets, packets + more)):
        assert list(odds) == list(range(packets))
        assert sum(odds.values()) == 1
        assert all(0 <= p <= 1 for p in odds.values())


@pytest.mark.parametrize("packets", range(1, 6))
def test_the_starts_of_a_group_are_counted(packets: int) -> None:
    """There are (n - 1)^(n - 1) prime parking functions, and no drops but among them."""
    assert sum(clusters._of_group(packets)) == (packets - 1) ** (packets - 1)


def test_two_packets_by_hand() -> None:
    """One start for both (1/R); then, 3 in 8, both have probed before one has confirmed."""
    for ports in range(2, 20):
        assert drop_odds(2, ports) == Fraction(3, 8 * ports)


# ── everybody chooses before anybody confirms ───────────────────────────────────────────────────


@pytest.mark.parametrize(("packets", "ports"), [(1, 1), (2, 3), (3, 2), (3, 3), (4, 3), (3, 5)])
def test_every_way_to_start_gives_the_same_odds(packets: int, ports: int) -> None:
    found = dict.fromkeys(range(packets), Fraction(0))
    for starts in product(range(ports), repeat=packets):
        found[packets - len(set(starts))] += Fraction(1, ports**packets)
    assert overlapped_drops(packets, ports) == found


@pytest.mark.parametrize(("packets", "ports"), [(1, 2), (2, 2), (2, 5), (3, 3), (3, 4)])
def test_the_transition_system_has_the_same_odds_if_everybody_chooses_first(
    packets: int, ports: int
) -> None:
    assert overlapped_drops(packets, ports) == walked(packets, ports, overlapped=True)


def test_it_is_the_birthday_problem() -> None:
    assert overlapped_drop_odds(2, 64512) == Fraction(1, 64512)
    people = Fraction(1)
    for n in range(23):
        people *= Fraction(365 - n, 365)
    assert overlapped_drop_odds(23, 365) == 1 - people


@pytest.mark.parametrize("packets", range(2, 6))
def test_full_overlap_is_the_worse(packets: int) -> None:
    for ports in (packets, 8, 100):
        assert overlapped_drop_odds(packets, ports) > drop_odds(packets, ports)


# ── the same with a kernel's starts ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("packets", "ports"), [(1, 3), (2, 3), (3, 3), (4, 3), (2, 100), (3, 7)])
def test_every_u16_gives_the_same_odds(packets: int, ports: int) -> None:
    """Ports are weighed by how many of the 65,536 values name them, counted one by one."""
    values = Counter(value % ports for value in range(65536))
    found = dict.fromkeys(range(packets), Fraction(0))
    for starts in product(range(ports), repeat=packets):
        ways = prod(values[start] for start in starts)
        found[packets - len(set(starts))] += Fraction(ways, 65536**packets)
    assert u16_overlapped_drops(packets, ports) == found


@pytest.mark.parametrize("packets", [1, 2, 4, 7])
def test_u16_and_uniform_starts_agree_where_they_may(packets: int) -> None:
    for ports in (1, 2, 64, 65536):
        assert u16_overlapped_drops(packets, ports) == overlapped_drops(packets, ports)
    for ports in (7, 1000, 64512):
        found = u16_overlapped_drops(packets, ports)
        assert sum(found.values()) == 1
        assert (found[0] < overlapped_drops(packets, ports)[0]) == (packets > 1)


@pytest.mark.parametrize("kernel", ["4.19.66", "6.12.117"])
@pytest.mark.parametrize("ports", [2, 3, 7, 64512])
def test_the_system_has_the_same_odds_on_a_kernel(ports: int, kernel: str) -> None:
    """Three packets, all of which choose before one confirms; lazy draws and all."""
    rule = f"snat to 203.0.113.1:{65536 - ports}-65535 random-fully"
    pods = scenario(kernel, rule, ports=(1024 + 7,) * 3)
    system = System(pods.threads(), pods.world())
    odds = {system.initial: Fraction(1)}
    for cpu in (0, 1, 2):
        odds = stepped_to(system, odds, cpu, CONFIRMS[kernel])
    for cpu in (0, 1, 2):
        odds = stepped_to(system, odds, cpu, None)
    found = dict.fromkeys(range(3), Fraction(0))
    for state, p in odds.items():
        assert system.is_final(state)
        found[exploring.drops(system.results(state))] += p
    assert found == u16_overlapped_drops(3, ports)


def stepped_to(
    system: System, odds: dict[State, Fraction], cpu: int, section: str | None
) -> dict[State, Fraction]:
    """The states when this CPU has come to a section, or to its end."""
    found: defaultdict[State, Fraction] = defaultdict(Fraction)
    now = odds
    while now:
        later: defaultdict[State, Fraction] = defaultdict(Fraction)
        for state, p in now.items():
            op = system.pending(state, cpu)
            if op is None or (isinstance(op, Atomic) and op.call.name == section):
                found[state] += p
                continue
            for t, w, answer, _ in system.edges(state, cpu):
                later[(*state[:cpu], t, *state[cpu + 1 : -1], w)] += p * answer.odds
        now = later
    return found


# ── what is refused ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("packets", "ports", "message"),
    [
        (3, 2, "3 packets, 2 ports: no closed form, a walk may find no port"),
        (0, 2, "0 packets, 2 ports: at least one of each is needed"),
        (1, 0, "1 packets, 0 ports: at least one of each is needed"),
        (-1, 2, "-1 packets, 2 ports: at least one of each is needed"),
        (MOST_PACKETS + 1, 64512, "9 packets: computed for up to 8 only"),
    ],
)
def test_what_is_not_covered_is_refused(packets: int, ports: int, message: str) -> None:
    for function in (drops, drop_odds):
        with pytest.raises(BadInput) as caught:
            function(packets, ports)
        assert str(caught.value) == message


def test_a_u16_names_65536_ports() -> None:
    with pytest.raises(BadInput, match=r"^65537 ports: a u16 names 65,536 at most$"):
        u16_overlapped_drops(2, 65537)
    with pytest.raises(BadInput, match="at least one of each"):
        u16_overlapped_drops(0, 2)


def test_full_overlap_needs_a_packet_and_a_port() -> None:
    for packets, ports in ((0, 1), (1, 0)):
        with pytest.raises(BadInput, match="at least one of each"):
            overlapped_drop_odds(packets, ports)
